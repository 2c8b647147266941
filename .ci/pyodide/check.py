# mypy: allow-untyped-defs, allow-untyped-calls
"""What runs inside of Pyodide, for run.sh: a client and its server in one process, no socket."""

import os
import sys
import tempfile
import unittest
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer  # noqa: E402
from oauth2min import Client, ResponseError, TokenFile  # noqa: E402


def read(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as file:
        return file.read()


HANDLERS = read(".ci", "pyodide", "handlers.py").split("\n# --- ")[1:]
BY_THE_BROWSER, IN_THE_SAME_PROCESS = [part.partition("---\n")[2] for part in HANDLERS]


class Case(unittest.TestCase):
    def setUp(self):
        names: "dict[str, Any]" = {}
        exec(IN_THE_SAME_PROCESS, names)
        self.server = FakeServer()
        self.handler = names["InProcess"](self.server)

    def client(self, client_id="fake-app", **settings):
        secret = self.server.clients[client_id]["client_secret"]
        handlers = [self.handler]
        server = self.server.metadata
        return Client(server, client_id, secret, handlers=handlers, **settings)

    def test_a_program_gets_its_token_and_renews_it(self):
        client = self.client()
        for requests in 1, 2:
            answer = client.post("echo", {"a": "\xfc"}).json()
            self.assertEqual((answer["method"], answer["body"]), ("POST", "a=%C3%BC"))
            self.assertEqual(len(self.server.forms()), requests)
            self.server.expire()

    def test_pages_streams_and_errors(self):
        client = self.client()
        pages = client.pages("artists/%022d/albums" % 7, {"limit": 10})
        self.assertEqual([len(page["items"]) for page in pages], [10, 10, 7])
        with client.open("echo") as stream:
            self.assertIn(b'"method": "GET"', stream.read())
        with self.assertRaises(ResponseError) as caught:
            client.get("nothing")
        self.assertEqual(caught.exception.response.status_code, 404)

    def test_a_user_logs_in_and_out(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "token.json")
        client = self.client(
            "fake-public",
            grant_type="authorization_code",
            scope="user-library-read",
            store=path,
        )
        asked = client.authorization_request()
        client.exchange(asked, self.server.approve(asked.url))
        self.assertEqual(client.get("me").json()["id"], "ada")
        self.assertIsNotNone(TokenFile(path).load())
        client.refresh()
        self.assertTrue(client.logout())
        self.assertIsNone(TokenFile(path).load())

    def test_the_readme_shows_these_handlers(self):
        readme = read("README.md")
        if "class InProcess" not in readme:
            self.skipTest("it does not show them yet")
        for code in BY_THE_BROWSER, IN_THE_SAME_PROCESS:
            self.assertIn(code.strip(), readme)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)
    result = unittest.TextTestRunner().run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
