"""Many processes, one token file, and some of them are killed: what takes too long for the tests.

    python3 .ci/processes.py [KILLS]
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
GONE = 3  # the exit status of a worker that was told to log in again
os.environ["no_proxy"] = "127.0.0.1"
context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
if os.name == "posix":
    context.set_forkserver_preload(["oauth2min"])


def client(server, path):
    return Client(server, "fake-public", grant_type="authorization_code",
                  scope="user-library-read", store=path)


def work(server, path, rounds):
    """Calls the API again and again; the first failure ends the process with another status."""
    with client(server, path) as user:
        for _ in range(rounds):
            try:
                user.get("me/tracks", {"limit": 1})
            except LoginRequired:
                os._exit(GONE)
            except ResponseError as error:  # expired again, between the renewal and its use
                if error.response.status_code != 401:
                    raise


class Case(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "token.json")

    def start(self, rounds):
        process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(self.server.metadata, self.path, rounds))
        process.start()
        return process

    def login(self):
        with client(self.server.metadata, self.path) as user:
            user.token = None
            asked = user.authorization_request()
            user.exchange(asked, self.server.approve(asked.url))
        return len(self.grants("refresh_token"))

    def grants(self, kind):
        return [form for form in self.server.forms("/token") if form.get("grant_type") == kind]


class Expiry(Case):
    def test_sixteen_processes_and_twenty_expiries_cost_twenty_token_requests(self):
        self.login()
        for _ in range(20):
            self.server.expire()
            fleet = [self.start(3) for _ in range(16)]
            for process in fleet:
                process.join()
            self.assertEqual([process.exitcode for process in fleet], [0] * 16)
        self.assertEqual(len(self.grants("refresh_token")), 20)
        with client(self.server.metadata, self.path) as user:
            self.assertEqual(user.get("me/tracks").status_code, 200)
            user.refresh()  # and its refresh token is the one that counts


class Kill(Case):
    def test_a_kill_loses_no_token_but_one_that_the_server_rotated_in_that_moment(self):
        seed = random.randrange(1 << 32)
        print("seed", seed, "kills", KILLS)
        dice, lost, killed = random.Random(seed), 0, 0
        before = self.login()
        fleet = [self.start(10 ** 6) for _ in range(4)]
        while killed < KILLS:
            self.server.expire()
            time.sleep(dice.random() * 0.03)
            process = fleet.pop(dice.randrange(len(fleet)))
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.join()
            self.assertIn(process.exitcode, (-signal.SIGKILL, GONE))
            self.check_file()
            gone = [process for process in fleet if process.exitcode == GONE]
            if gone or process.exitcode == GONE:
                # The grant dies of one thing only: a refresh token that the server saw twice, once
                # from a process that was killed between its request and the file. (The server may
                # see the dead one's request last, and then it is not the token in the file.)
                used = [form["refresh_token"] for form in self.grants("refresh_token")[before:]]
                self.assertLess(len(set(used)), len(used))
                for other in fleet:
                    other.kill() if hasattr(other, "kill") else os.kill(other.pid, signal.SIGKILL)
                    other.join()
                fleet, lost = [], lost + 1
                before = self.login()
            while len(fleet) < 4:
                fleet.append(self.start(10 ** 6))
        for process in fleet:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        self.check_file()
        with client(self.server.metadata, self.path) as user:
            try:
                user.get("me/tracks")
            except LoginRequired:
                lost += 1
        print("%d kills, %d refreshes, %d grants lost inside a kill" % (
            killed, len(self.grants("refresh_token")), lost))
        self.assertLess(lost, KILLS / 5)

    def check_file(self):
        with open(self.path) as file:
            self.assertEqual(json.load(file)["client_id"], "fake-public")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        start = time.monotonic()
        with TokenFile(self.path).lock():
            pass
        self.assertLess(time.monotonic() - start, 5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        KILLS = int(sys.argv.pop(1))
    unittest.main()
