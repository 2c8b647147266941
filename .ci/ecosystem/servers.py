"""Servers by others: MCP servers by the SDKs for Python and JavaScript, whose users log in by
examples/mcp_login.py; and oidc-provider, for the grants of README.md that need a key.

ECOSYSTEM_DIR names the folder with node_modules.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import mcp_login
from ecosystem import blocks, section
from oauth2min import TokenError
from test_oauth2min import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
NODE_MODULES = os.path.join(os.environ.get("ECOSYSTEM_DIR", "."), "node_modules")
MCP_BY_NODE = os.path.join(
    NODE_MODULES, "@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js"
)


class Mcp(unittest.TestCase):
    """From a 401 to a tool call, with the servers of those who make the protocol."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.port, self.logins = free_port(), 0
        self.redirect_uri = "http://127.0.0.1:%d/callback" % free_port()

    def start(self, command, url, **environment):
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError):
                try:
                    urllib.request.urlopen(url, b"{}").close()
                except urllib.error.HTTPError as error:
                    error.close()
                return
            self.assertIsNone(process.poll())
            time.sleep(0.1)
        self.fail("the server did not start")

    def browser(self, url):
        """These servers ask nobody: the browser is led to us at once."""
        self.logins += 1
        threading.Thread(
            target=lambda: urllib.request.urlopen(url).close(), daemon=True
        ).start()
        return True

    def greeting(self, url):
        message = '{"name": "greet", "arguments": {"name": "Ada"}}'
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            with contextlib.redirect_stderr(io.StringIO()):
                mcp_login.use(
                    url, "tools/call", message, "", self.browser, self.redirect_uri
                )
        return json.loads(shown.getvalue())["content"][0]["text"]

    def test_by_the_sdk_for_python(self):
        origin = "http://127.0.0.1:%d" % self.port
        self.start(
            [sys.executable, os.path.join(HERE, "mcp_server.py"), str(self.port)],
            origin + "/mcp",
        )
        for _ in range(2):
            self.assertEqual(self.greeting(origin + "/mcp"), "Hello, Ada!")
        self.assertEqual(self.logins, 1)
        self.post(origin + "/expire")  # a 401, and the refresh token is still good
        self.assertEqual(self.greeting(origin + "/mcp"), "Hello, Ada!")
        self.assertEqual(self.logins, 1)
        self.post(origin + "/forget")  # all that it ever knew of us
        with self.assertRaises(TokenError) as caught:
            self.greeting(origin + "/mcp")
        self.assertEqual(caught.exception.error, "invalid_client")
        self.assertEqual(self.greeting(origin + "/mcp"), "Hello, Ada!")  # registered anew
        self.assertEqual(self.logins, 2)

    def post(self, url):
        urllib.request.urlopen(url, b"").close()

    def test_by_the_sdk_for_javascript(self):
        if not os.path.exists(MCP_BY_NODE):
            self.skipTest("npm has installed no SDK")
        url = "http://localhost:%d/mcp" % self.port
        self.start(
            ["node", MCP_BY_NODE, "--oauth", "--oauth-strict"],
            url,
            MCP_PORT=str(self.port),
            MCP_AUTH_PORT=str(free_port()),
        )
        for _ in range(2):
            self.assertEqual(self.greeting(url), "Hello, Ada!")
        self.assertEqual(self.logins, 1)


class OtherGrants(unittest.TestCase):
    """README.md's section of that name, against oidc-provider."""

    def test_each_program(self):
        if not os.path.exists(os.path.join(NODE_MODULES, "oidc-provider")):
            self.skipTest("npm has installed no oidc-provider")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        key, public = os.path.join(folder, "key.pem"), os.path.join(folder, "public.pem")
        for words in ["genrsa", "-out", key], ["rsa", "-in", key, "-pubout", "-out", public]:
            subprocess.run(["openssl", *words], stderr=subprocess.DEVNULL, check=True)
        script = os.path.join(os.path.dirname(NODE_MODULES), "oidc.mjs")
        with open(os.path.join(HERE, "oidc.mjs")) as source, open(script, "w") as copy:
            copy.write(source.read())  # beside its node_modules
        process = self.enterContext(
            subprocess.Popen(
                ["node", script, public], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        self.addCleanup(process.stdin.close)
        issuer = process.stdout.readline().decode().strip()
        names = {"key_file": key}
        for block in blocks(section("Other grants")):
            exec(compile(block, "README.md", "exec"), names)
        signed = names["KeyClient"](
            issuer, "robot", key, issuer, scope="read", base_url=issuer
        )
        self.addCleanup(signed.close)
        self.assertEqual(signed.get("me").json(), {"client": "robot", "scope": "read"})
        other = names["Exchanged"](
            signed, issuer, "second", "a secret", base_url=issuer
        )
        self.addCleanup(other.close)
        self.assertEqual(other.get("me").json(), {"client": "second", "scope": "read"})
        for client in signed, other:  # a 401 in the middle
            self.assertEqual(client.request("DELETE", "me").status_code, 204)
            self.assertEqual(client.get("me").json()["scope"], "read")


def print_versions():
    """Those of the servers."""
    import importlib.metadata

    print("mcp for Python", importlib.metadata.version("mcp"))
    for package in "@modelcontextprotocol/sdk", "oidc-provider":
        with contextlib.suppress(OSError):
            with open(os.path.join(NODE_MODULES, package, "package.json")) as file:
                print(package, json.load(file)["version"])
