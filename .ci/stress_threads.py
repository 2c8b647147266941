# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Many threads and a few clients, for a Python without the global lock: no part of the daily run.

    python3.14t -W error .ci/stress_threads.py [SECONDS]     # 20

How to get such a Python, where there is none ready-made (it takes some minutes, and nothing is
installed): in the unpacked source of CPython 3.13 or later,

    ./configure --disable-gil --prefix=/tmp/free && make -j2 && make install
    /tmp/free/bin/python3 -W error .ci/stress_threads.py

All the time, threads send requests, and each answer has to be the one to its request; the token
expires, at the server and by the clock; users come and go; and clients are closed beside requests.
In the end each request was answered rightly, no token was asked for more often than there was a
reason to, and after a last close() no connection is open. Then threads come to the end of their
answers just as their client is closed, again and again: none leaves a connection open.
"""
import gc
import os
import random
import socket
import sys
import sysconfig
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer  # noqa: E402
from oauth2min import Client, ResponseError, Token  # noqa: E402

THREADS = 16
ROUNDS = 50
os.environ["no_proxy"] = "127.0.0.1"


class Stress:
    """The clients, the counts, and what the threads do until the time is over."""

    def __init__(self, folder):
        self.server = FakeServer().start()
        self.over = threading.Event()
        self.troubles = []
        self.mutex = threading.Lock()
        self.counts = {}
        secret = self.server.clients["fake-app"]["client_secret"]
        self.program = Client(self.server.metadata, "fake-app", secret)
        self.stored = Client(
            self.server.metadata,
            "fake-app",
            secret,
            store=os.path.join(folder, "token.json"),
        )
        self.user = Client(
            self.server.metadata,
            "fake-public",
            grant_type="authorization_code",
            scope="user-library-read",
        )
        asked = self.user.authorization_request()
        self.user.exchange(asked, self.server.approve(asked.url))
        self.clients = [self.program, self.stored, self.user]

    def count(self, what):
        with self.mutex:
            self.counts[what] = self.counts.get(what, 0) + 1

    def start(self, function, name):
        thread = threading.Thread(target=self.repeat, args=(function, name))
        thread.start()
        return thread

    def repeat(self, function, name):
        """Calls it until the time is over; the first trouble ends the whole."""
        dice = random.Random(name)
        number = 0
        try:
            while not self.over.is_set():
                number += 1
                function(dice, "%s-%d" % (name, number))
        except BaseException:
            self.troubles.append("%s: %s" % (name, traceback.format_exc()))
            self.over.set()

    def renew_after(self, client, error):
        """It expired again between its renewal and its first use, which a client takes for
        the API's fault."""
        if error.response.status_code != 401:
            raise error
        client.refresh()
        self.count("renewals by hand")

    # --- what the threads do ---

    def get(self, dice, name):
        """A request whose answer repeats it."""
        client = dice.choice(self.clients)
        method = dice.choice(["GET", "POST", "PUT"])
        body = None if method == "GET" else {"body": name}
        try:
            echo = client.request(method, "echo", {"n": name}, json=body).json()
        except ResponseError as error:
            self.renew_after(client, error)
            return
        if echo["query"] != {"n": name} or echo["method"] != method:
            raise AssertionError("%s got the answer %r" % (name, echo))
        self.count("answers")

    def stream(self, dice, name):
        """An answer that is read in pieces, or left halfway."""
        client = dice.choice(self.clients)
        try:
            with client.open("echo?n=" + name) as answer:
                head = answer.read(10)
                if dice.random() < 0.5:
                    rest = answer.read()
                    if ('"%s"' % name).encode() not in head + rest:
                        raise AssertionError("%s got %r" % (name, head + rest))
                    self.count("streams")
        except ResponseError as error:
            self.renew_after(client, error)

    def another_user(self, dice, name):
        """A client that shares its connections, and soon is garbage."""
        client = self.program.for_user()
        client.token = self.program.token or Token("none yet")
        try:
            if client.get("echo", {"n": name}).json()["query"] != {"n": name}:
                raise AssertionError("%s got another answer" % name)
            self.count("users")
        except ResponseError as error:
            self.renew_after(client, error)

    def expire(self, dice, name):
        time.sleep(0.1 * dice.random())
        if dice.random() < 0.5:
            self.server.expire()
        else:
            client = dice.choice(self.clients[:2])
            token = client.token
            if token:
                client.token = token._replace(expires_at=time.time() - 1)
        self.count("expiries")

    def close(self, dice, name):
        time.sleep(0.01 * dice.random())
        dice.choice(self.clients).close()
        self.count("closes")

    def collect(self, dice, name):
        time.sleep(0.05)
        gc.collect()

    # --- the whole ---

    def run(self, seconds):
        threads = [self.start(self.get, "get %d" % n) for n in range(THREADS)]
        threads += [self.start(self.stream, "stream %d" % n) for n in range(THREADS // 4)]
        threads += [self.start(self.another_user, "user %d" % n) for n in range(2)]
        for function in self.expire, self.close, self.collect:
            threads.append(self.start(function, function.__name__))
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                self.troubles.append("a thread hangs: " + thread.name)
        forms = len(self.server.forms())
        reasons = 2 * self.counts["expiries"] * len(self.clients) + len(self.clients)
        reasons += self.counts.get("renewals by hand", 0) + self.counts["users"]
        if forms > reasons:
            self.troubles.append("%d token requests for %d reasons" % (forms, reasons))
        for client in self.clients:
            client.close()
        self.expect_no_connection("after a last close()")
        for number in range(ROUNDS):
            if self.troubles:
                break
            self.close_at_the_end_of_answers(number)
        self.server.close()

    def close_at_the_end_of_answers(self, number):
        """All requests began before close(), and end about when it comes, or after it."""
        barrier = threading.Barrier(THREADS + 1)

        def read():
            with self.program.open("echo") as answer:
                barrier.wait(60)
                answer.read()

        threads = [threading.Thread(target=read) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        barrier.wait(60)
        time.sleep(number % 10 / 5000)
        self.program.close()
        for thread in threads:
            thread.join(60)
        self.expect_no_connection("after a close() beside requests")

    def expect_no_connection(self, when):
        left = self.open_connections()
        if left:
            self.troubles.append("%d connections are open %s" % (left, when))

    def open_connections(self):
        """How many sockets of this process lead to the server."""
        gc.collect()
        port = int(self.server.url.rpartition(":")[2])
        return sum(self.leads_to(thing, port) for thing in gc.get_objects())

    @staticmethod
    def leads_to(thing, port):
        if not isinstance(thing, socket.socket):
            return False
        try:
            return thing.getpeername()[1] == port
        except OSError:
            return False


def main(seconds):
    lock = "without" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with"
    if lock == "without" and sys._is_gil_enabled():
        lock = "with (switched on again)"
    with tempfile.TemporaryDirectory() as folder:
        stress = Stress(folder)
        stress.run(seconds)
    print("Python %s, %s the global lock" % (sys.version.split()[0], lock))
    print(", ".join("%s: %d" % pair for pair in sorted(stress.counts.items())))
    print(*stress.troubles, sep="\n")
    return 1 if stress.troubles else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
