# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, no-check-untyped-defs
"""A web application with many users: what does each of them cost? One client is made, and
for_user() for each; they call an API over TLS, one at a time.

python3 .ci/check_users.py [USERS]
"""

import gc
import os
import ssl
import sys
import tempfile
import time
import tracemalloc
import unittest
from unittest import mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer  # noqa: E402
from oauth2min import Client, Token  # noqa: E402
from test_oauth2min import TLS_PEM  # noqa: E402

USERS = 1000
MEMORY = 16 * 1024      # bytes for a user, at most: a TLS context alone would take 800 kB
os.environ["no_proxy"] = "127.0.0.1"


class Users(unittest.TestCase):
    """of one application"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        certificate = os.path.join(folder.name, "tls.pem")
        with open(certificate, "w", encoding="ascii") as file:
            file.write(TLS_PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server = FakeServer(context=context).start()
        self.addCleanup(self.server.close)
        trust = mock.patch.dict(os.environ, SSL_CERT_FILE=certificate)
        trust.start()
        self.addCleanup(trust.stop)
        create = mock.patch.object(
            ssl, "create_default_context", side_effect=ssl.create_default_context
        )
        self.contexts = create.start()
        self.addCleanup(create.stop)
        secret = self.server.clients["fake-app"]["client_secret"]
        self.application = Client(self.server.metadata, "fake-app", secret)
        self.addCleanup(self.application.close)

    def user(self, number, token):
        user = self.application.for_user(os.path.join(self.folder, "%d.json" % number))
        user.token = token
        return user

    def test_one_tls_context_and_one_connection_while_one_calls_at_a_time(self):
        self.application.access_token()
        users = [self.user(number, self.application.token) for number in range(USERS)]
        start = time.process_time()
        for user in users:
            self.assertEqual(user.get("echo").status_code, 200)
        seconds = time.process_time() - start
        print("a request: %.2f ms of CPU, client and server together" % (1000 * seconds / USERS))
        self.assertEqual(len(self.server.requests), USERS + 1)
        self.assertEqual(self.contexts.call_count, 1)
        self.assertEqual(self.server.connections, 1)

    def test_each_has_a_token_of_their_own(self):
        names = ["access-%d" % number for number in range(USERS)]
        users = [self.user(number, Token(name)) for number, name in enumerate(names)]
        self.assertEqual([user.access_token() for user in users], names)
        again = [self.application.for_user(user._keeper.store) for user in users]
        self.assertEqual([user.access_token() for user in again], names)
        self.assertIsNone(self.application.token)

    def test_the_memory_of_each_is_small(self):
        self.application.access_token()
        self.user(0, self.application.token).get("echo")
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        users = [self.user(number, self.application.token) for number in range(USERS)]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) // len(users)
        print("a user with a token in a file: %d bytes" % each)
        self.assertLess(each, MEMORY)

    def test_the_time_of_each(self):
        store = os.path.join(self.folder, "token.json")
        start = time.process_time()
        users = [self.application.for_user(store) for _ in range(USERS)]
        seconds = time.process_time() - start
        print("for_user(): %.0f microseconds of CPU" % (1e6 * seconds / len(users)))
        self.assertEqual(self.contexts.call_count, 0)
        self.assertEqual(self.server.connections, 0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        USERS = int(sys.argv.pop(1))
    unittest.main()
