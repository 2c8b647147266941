"""oauth2min against oidc-provider, a certified authorization server.

    .ci/interop/run.sh           installs the server, makes a private CA and runs this file

INTEROP_DIR names the folder with node_modules, ca.pem, server.pem and server.key.
"""

import base64
import concurrent.futures
import contextlib
import faulthandler
import gc
import io
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
import unittest
import urllib.error
import urllib.parse
import urllib.request
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.environ["INTEROP_DIR"]
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

import oauth2min  # noqa: E402
from oauth2min import AuthorizationError, Client, LoginRequired, TokenError  # noqa: E402
from scripted_user import ScriptedUser  # noqa: E402

SECRET = "".join(map(chr, range(32, 127)))  # all that a secret may hold, as in server.mjs
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
os.environ["no_proxy"] = "localhost,127.0.0.1"


class Server:
    """What all the test cases have: a server of their own, and ways to talk to it."""

    tls = False

    @classmethod
    def setUpClass(cls):
        shutil.copy(os.path.join(HERE, "server.mjs"), FOLDER)  # beside its node_modules
        command = ["node", "server.mjs"] + ["server.key", "server.pem"] * cls.tls
        cls.process = subprocess.Popen(
            command,
            cwd=FOLDER,
            universal_newlines=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        cls.issuer = json.loads(cls.process.stdout.readline())["issuer"]
        cls.context = (
            ssl.create_default_context(cafile=os.path.join(FOLDER, "ca.pem"))
            if cls.tls
            else None
        )

    @classmethod
    def tearDownClass(cls):
        with cls.process:
            cls.process.stdin.close()

    def client(self, client_id="public", secret=None, server=None, **options):
        client = Client(
            server or self.issuer,
            client_id,
            secret,
            base_url=self.issuer,
            context=self.context,
            **options,
        )
        self.addCleanup(client.close)
        return client

    def user_client(
        self, client_id="public", secret=None, grant="authorization_code", **options
    ):
        return self.client(
            client_id, secret, grant_type=grant, scope="openid read", **options
        )

    def logged_in(self, *args, **options):
        client = self.user_client(*args, **options)
        user = ScriptedUser(self.context)
        client.login(open_browser=user, timeout=60)
        self.assertEqual(user.wait().status, 200, user.text)
        return client

    def assert_alice(self, client):
        """The userinfo endpoint says that it is her."""
        self.assertEqual(client.get("me").json(), {"sub": "alice"})

    def metadata(self, **more):
        return dict(oauth2min.discover(self.issuer, context=self.context), **more)

    def status(self, token):
        """What the API answers to a token, asked without oauth2min."""
        request = urllib.request.Request(
            self.issuer + "/api", headers={"Authorization": "Bearer " + token.access_token}
        )
        try:
            answer = urllib.request.urlopen(request, context=self.context, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.getcode()


class Cases(Server):
    def test_discover_returns_the_metadata_of_the_issuer_and_leaves_nothing_open(self):
        gc.collect()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            server = self.metadata()
            gc.collect()
        self.assertEqual([str(warning.message) for warning in caught], [])
        self.assertEqual(server["issuer"], self.issuer)
        self.assertEqual(server["token_endpoint"], self.issuer + "/token")
        self.assertIs(server["authorization_response_iss_parameter_supported"], True)

    def program(self, client_id, **server):
        """The trace of a request by a program, which shows nowhere what the secret is."""
        messages = []
        client = self.client(
            client_id,
            SECRET,
            self.metadata(**server),
            trace=messages.append,
            scope=["read", "write"],
        )
        self.assertEqual(
            client.get("api").json(),
            {"client_id": client_id, "scope": "read write", "sub": None, "aud": None},
        )
        text = "\n".join(messages)
        coded = urllib.parse.quote(SECRET, safe="")
        pair = urllib.parse.quote(client_id, safe="") + ":" + coded
        for form in SECRET, coded, base64.b64encode(pair.encode()).decode():
            self.assertNotIn(form, text)
        return text.lower()

    def test_client_credentials_by_basic_with_a_secret_of_every_printable_character(self):
        text = self.program("basic: 50%+/=&")
        self.assertIn("authorization: basic", text)
        self.assertNotIn("client_secret=", text)

    def test_client_credentials_by_post_with_a_secret_of_every_printable_character(self):
        text = self.program("post", token_endpoint_auth_method="client_secret_post")
        self.assertNotIn("authorization: basic", text)
        self.assertIn("client_secret=", text)

    def test_a_program_keeps_its_token_in_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token.json")
            tokens = [
                self.client("post", SECRET, store=path).access_token() for _ in range(2)
            ]
        self.assertEqual(tokens[0], tokens[1])

    def test_public_and_confidential_clients_log_in_on_any_free_port(self):
        for name, secret in ("public", None), ("confidential", SECRET):
            client = self.logged_in(name, secret)
            self.assert_alice(client)
            self.assertEqual(client.get("api").json()["client_id"], name)
            client.login(open_browser=lambda url: self.fail("asked again"))

    def test_a_login_comes_back_over_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no ::1 on this machine")
        client = self.logged_in(redirect_uri="http://[::1]/callback")
        self.assert_alice(client)

    def test_the_two_halves_of_a_login_check_state_and_issuer_and_spend_no_code(self):
        client = self.user_client(redirect_uri="http://127.0.0.1:9/callback")
        request = client.authorization_request()
        user = ScriptedUser(self.context)
        user(request.url)
        good = user.wait().url
        for bad in (
            good.replace("state=", "state=x"),
            re.sub("&iss=[^&]*", "", good),
            good.replace("iss=http", "iss=other"),
        ):
            with self.assertRaises(AuthorizationError):
                client.exchange(request, bad)
        client.exchange(request, good)
        self.assert_alice(client)

    def test_a_resource_named_in_the_parameters_is_the_audience_of_each_token(self):
        resource = {"resource": self.issuer + "/api"}
        client = self.logged_in(
            server=self.metadata(
                authorization_parameters=resource, token_parameters=resource
            )
        )
        for renew in (lambda: None), client.refresh:
            renew()
            self.assertEqual(client.get("api").json()["aud"], resource["resource"])

    def test_a_refresh_replaces_both_tokens(self):
        for client in self.logged_in(), self.logged_in("confidential", SECRET):
            old = client.token
            client.refresh()
            self.assertNotEqual(client.token.access_token, old.access_token)
            self.assertNotEqual(client.token.refresh_token, old.refresh_token)
            self.assertEqual(client.get("api").json()["sub"], "alice")

    def test_clients_with_one_store_renew_once_when_a_401_tells_them(self):
        with tempfile.TemporaryDirectory() as folder:
            messages = []
            options = {
                "store": os.path.join(folder, "token.json"),
                "trace": messages.append,
            }
            first, second = self.logged_in(**options), self.user_client(**options)
            self.assert_alice(second)
            self.assertEqual(first.request("DELETE", "api").status_code, 204)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                subs = list(
                    pool.map(lambda c: c.get("me").json()["sub"], [first, second] * 8)
                )
            self.assertEqual(subs, ["alice"] * 16)
            self.assertEqual("\n".join(messages).count("grant_type=refresh_token"), 1)

    def test_a_refresh_token_used_twice_ends_in_login_required(self):
        client = self.logged_in()
        old = client.token
        client.refresh()
        new = client.token
        with self.assertRaises(TokenError) as caught:
            client.request_token("refresh_token", refresh_token=old.refresh_token)
        self.assertEqual(caught.exception.error, "invalid_grant")
        self.assertEqual(self.status(new), 401)  # the server has taken all of it back
        for renewing in client.refresh, lambda: client.get("api"):
            with self.assertRaises(LoginRequired):
                renewing()

    def test_logout_revokes_the_tokens(self):
        client = self.logged_in()
        token = client.token
        self.assertIs(client.logout(), True)
        self.assertIsNone(client.token)
        self.assertEqual(self.status(token), 401)
        with self.assertRaises(TokenError):
            client.request_token("refresh_token", refresh_token=token.refresh_token)

    def test_a_wrong_secret_is_invalid_client_and_no_error_shows_it(self):
        for secret, error, status in (
            (SECRET[::-1], "invalid_client", 401),
            ("caf\u00e9", "invalid_request", 400),
        ):
            with self.assertRaises(TokenError) as caught:
                self.client("confidential", secret).access_token()
            exception = caught.exception
            self.assertEqual((exception.error, exception.status), (error, status))
            shown = traceback.format_exception(type(exception), exception, None)
            self.assertNotIn(secret, repr(exception) + "".join(shown))
            if error == "invalid_client":
                self.assertIn("client_secret_post", str(exception))

    def test_a_denied_consent_is_access_denied(self):
        client = self.user_client()
        user = ScriptedUser(self.context, deny=True)
        with self.assertRaises(AuthorizationError) as caught:
            client.login(open_browser=user, timeout=60)
        self.assertEqual(caught.exception.error, "access_denied")
        self.assertIn("error=access_denied", user.wait().url)
        self.assertTrue(user.text)  # the page that tells so


class Http(Cases, unittest.TestCase):
    pass


class Https(Cases, unittest.TestCase):
    tls = True

    def test_without_the_private_ca_the_error_says_what_to_do(self):
        client = Client(self.metadata(), "post", SECRET)
        self.addCleanup(client.close)
        for call in (client.access_token, lambda: oauth2min.discover(self.issuer)):
            with self.assertRaises(urllib.error.URLError) as caught:
                call()
            self.assertIn("SSL_CERT_FILE", str(caught.exception))


class Device(Server, unittest.TestCase):
    tls = True

    def log_in(self, deny):
        pending = threading.Event()
        shown = io.StringIO()

        def trace(message):
            if "authorization_pending" in message:
                pending.set()

        def code():
            return re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue()).group()

        client = self.user_client("device", grant=DEVICE, trace=trace)
        user = ScriptedUser(self.context, deny=deny, after=pending, code=code)
        with contextlib.redirect_stderr(shown):
            try:
                client.login(open_browser=user)
            finally:
                user.wait()
        self.assertIn(self.issuer + "/device", shown.getvalue())
        self.assertEqual(user.status, 200, user.text)
        return client

    def test_a_login_is_pending_until_the_user_approves(self):
        self.assert_alice(self.log_in(deny=False))

    def test_a_login_is_pending_until_the_user_denies(self):
        with self.assertRaises(AuthorizationError) as caught:
            self.log_in(deny=True)
        self.assertEqual(caught.exception.error, "access_denied")

    def test_when_the_time_is_up_a_login_is_still_required(self):
        with self.assertRaises(LoginRequired):
            self.user_client("device", grant=DEVICE).login(timeout=2)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(120, exit=True)  # a deadlock must not last for ever
    unittest.main(buffer=True)  # what login() tells the user stays out of the report
