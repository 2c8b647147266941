"""Many processes, one token file, some of them killed: what takes too long for the tests.

python3 .ci/check_processes.py [KILLS]
"""

import json
import multiprocessing
import os
import random
import signal
import stat
import sys
import tempfile
import time
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer  # noqa: E402
from oauth2min import Client, LoginRequired, ResponseError, TokenFile  # noqa: E402

KILLS = 500
FLEET = 4           # processes of which one is killed, again and again
GONE = 3            # the exit status of a worker that was told to log in again
WITHOUT_END = 10**6
os.environ["no_proxy"] = "127.0.0.1"
context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
if os.name == "posix":
    context.set_forkserver_preload(["oauth2min"])


def client(server, path):
    return Client(
        server,
        "fake-public",
        grant_type="authorization_code",
        scope="user-library-read",
        store=path,
    )


def work(server, path, rounds):
    """Calls the API again and again; a failure ends the process with another status."""
    with client(server, path) as user:
        for _ in range(rounds):
            try:
                user.get("me/tracks", {"limit": 1})
            except LoginRequired:
                os._exit(GONE)
            except ResponseError as error:
                # A 401: it expired again, between the renewal and its use.
                if error.response.status_code != 401:
                    raise


class Case(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer().start()
        self.server.kept = sys.maxsize     # for refreshes(), which counts all of them
        self.addCleanup(self.server.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "token.json")

    def start(self, rounds):
        process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(self.server.metadata, self.path, rounds)
        )
        process.start()
        return process

    def login(self):
        with client(self.server.metadata, self.path) as user:
            user.token = None
            asked = user.authorization_request()
            user.exchange(asked, self.server.approve(asked.url))

    def refreshes(self):
        """The forms of the refresh grant that the server has got."""
        forms = self.server.forms("/token")
        return [form for form in forms if form.get("grant_type") == "refresh_token"]


class Expiry(Case):
    def test_sixteen_processes_and_twenty_expiries_cost_twenty_token_requests(self):
        self.login()
        for _ in range(20):
            self.server.expire()
            fleet = [self.start(rounds=3) for _ in range(16)]
            for process in fleet:
                process.join()
            self.assertEqual([process.exitcode for process in fleet], [0] * 16)
        self.assertEqual(len(self.refreshes()), 20)
        with client(self.server.metadata, self.path) as user:
            self.assertEqual(user.get("me/tracks").status_code, 200)
            user.refresh()  # and its refresh token is the one that counts


class Kill(Case):
    def test_a_kill_loses_no_token_but_one_that_the_server_rotated_in_that_moment(self):
        seed = random.randrange(1 << 32)
        print("seed", seed, "kills", KILLS)
        dice = random.Random(seed)
        lost = killed = 0
        self.login()
        self.refreshes_before = 0
        fleet = [self.start(WITHOUT_END) for _ in range(FLEET)]
        while killed < KILLS:
            self.server.expire()
            time.sleep(dice.random() * 0.03)
            victim = fleet.pop(dice.randrange(len(fleet)))
            killed += self.kill_and_look(victim)
            gone = [process for process in [victim, *fleet] if process.exitcode == GONE]
            if gone:
                self.check_why_the_grant_is_lost()
                self.end(fleet)
                fleet = []
                lost += 1
                self.refreshes_before = len(self.refreshes())
                self.login()
            while len(fleet) < FLEET:
                fleet.append(self.start(WITHOUT_END))
        self.end(fleet)
        self.check_file()
        lost += self.is_logged_out()
        print(
            "%d kills, %d refreshes, %d grants lost inside a kill"
            % (killed, len(self.refreshes()), lost)
        )
        self.assertLess(lost, KILLS / 5)

    def kill_and_look(self, process):
        """Whether it had to be killed: it may have ended itself, without a login."""
        alive = process.exitcode is None
        if alive:
            process.kill()
        process.join()
        self.assertIn(process.exitcode, (-signal.SIGKILL, GONE))
        self.check_file()
        return alive

    def end(self, fleet):
        for process in fleet:
            process.kill()
            process.join()

    def check_why_the_grant_is_lost(self):
        """It dies of one thing only: a refresh token that the server saw twice, once from a
        process that was killed between its request and the file. (The server may see the
        dead one's request last, and then it is not the token in the file.)"""
        forms = self.refreshes()[self.refreshes_before :]
        used = [form["refresh_token"] for form in forms]
        self.assertLess(len(set(used)), len(used))

    def is_logged_out(self):
        with client(self.server.metadata, self.path) as user:
            try:
                user.get("me/tracks")
            except LoginRequired:
                return True
        return False

    def check_file(self):
        with open(self.path) as file:
            record = json.load(file)
        self.assertEqual(record["client_id"], "fake-public")
        mode = os.stat(self.path).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        start = time.monotonic()
        with TokenFile(self.path).lock():
            pass
        self.assertLess(time.monotonic() - start, 5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        KILLS = int(sys.argv.pop(1))
    unittest.main()
