"""README.md's section "From another library": each program of theirs and of ours is run, what
theirs does by itself is measured, and ours takes the tokens over that theirs has kept.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import threading
import time
import unittest
import urllib.parse
from types import SimpleNamespace
from unittest import mock

import ecosystem
import fake_server
import oauth2min
import requests
from ecosystem import blocks, section
from fake_server import fetch
from test_oauth2min import free_port

TITLE = "From another library"
VERIFIER = "v" * 43  # of those who send no challenge
fake_server.SCOPES.update(openid="Who", profile="Who", offline_access="Stay")
fake_server.SCOPES["User.Read"] = "Who"
SUMMARIES = re.findall(
    "(?s)<details><summary>(.*?)</summary>(.*?)</details>", section(TITLE)
)
OURS, TAKEOVER = blocks(section(TITLE))[:2]
# Theirs and ours; where theirs stands alone, ours is the one at the top.
PROGRAMS = {name: [*blocks(text), OURS][:2] for name, text in SUMMARIES}


class Lenient(ecosystem.Server):
    """It takes clients by Basic and by post, with and without PKCE, and gives an ID token to
    who asks for `openid`. It stands for all the authorization servers of the programs."""

    def __init__(self):
        super().__init__()
        self.asked = []  # of each authorization request whether it had a challenge
        self.clients["lax"] = {
            "client_secret": "plain-secret",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": [
                "http://127.0.0.1/callback",
                "http://localhost",
                "http://localhost/",
                "http://localhost/callback",
                "http://localhost/login/auth/authorized",
            ],
        }
        self.clients["lax-public"] = dict(
            self.clients["lax"], client_secret=None, token_endpoint_auth_method="none"
        )

    def answer(self, request):
        host = re.match("/https/[^/]+(/common/+v2.0)?", request.path)
        path = request.path[host.end() if host else 0 :]
        path = {"/api/token": "/token"}.get(path, path)
        if path.endswith("/discovery/instance"):  # msal asks which hosts are the same
            return fake_server.Answer(200, {"metadata": []})
        if request.path not in self.canned:
            request = request._replace(path=path)
        if path == "/authorize":
            query = request.query
            self.has_state = "state" in query
            query.setdefault("state", "none")
            self.asked.append("code_challenge" in query)
            if not self.asked[-1]:
                digest = hashlib.sha256(VERIFIER.encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
                query.update(code_challenge=challenge, code_challenge_method="S256")
            self.scope, self.nonce = query.get("scope", ""), query.get("nonce")
        if path == "/token":
            if "code" in request.form:
                request.form.setdefault("code_verifier", VERIFIER)
            is_basic = "Authorization" in request.headers
            self.clients["lax"]["token_endpoint_auth_method"] = (
                "client_secret_basic" if is_basic else "client_secret_post"
            )
        answer = super().answer(request)
        if path == "/token" and answer.status == 200 and "openid" in self.scope:
            answer.body["id_token"] = id_token(self.nonce)
        if host and path.startswith("/.well-known/"):  # by https, the issuer is that host
            there = "https://" + host.group().split("/")[2]
            answer.body = json.loads(json.dumps(answer.body).replace(self.url, there))
        return answer

    def codes(self):
        return [form["code"] for form in self.forms() if "code" in form]


def id_token(nonce):
    def part(value):
        text = json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    claims = {
        "iss": "https://auth.example.com",
        "aud": "lax-public",
        "sub": "ada",
        "nonce": nonce,
        "exp": int(time.time()) + 3600,
        "iat": int(time.time()),
        "preferred_username": "ada",
    }
    return "%s.%s.%s" % (part({"alg": "none"}), part(claims), "x")


class Other:
    """How to run one of their programs; below, what is different for some."""

    package = None  # of the library, if it is not its name
    start = "print("  # where that begins which is done again and again
    options = ()  # what in the program asks for PKCE
    public = True

    def __init__(self, name):
        self.name = name

    def run(self, at, source):
        """Logs in, and returns a function that asks for the user's name."""
        names = at.names()
        head, _, tail = source.rpartition(self.start)
        execute(head, names)
        self.left = names

        def again():
            with contextlib.redirect_stdout(io.StringIO()) as shown:
                execute(self.start + tail, names)
            return shown.getvalue().strip()

        return again

    def kept(self, at):
        """What was kept, as it is in their file."""
        return self.left["session"].token


class RequestsOAuth2Client(Other):
    def kept(self, at):
        return self.left["auth"].token.as_dict()


class Spotipy(Other):
    public = False

    def kept(self, at):
        with open("their-token.json") as file:
            return json.load(file)


class Msal(Other):
    start = "accounts = "

    def kept(self, at):
        return self.left["result"]


class Google(Other):
    options = (', "installed": {', ', "installed": {')
    public = False

    def kept(self, at):
        return json.loads(self.left["session"].credentials.to_json())


class FlaskDance(Other):
    options = (", use_pkce=True", "")
    public = False

    def run(self, at, source):
        names = at.names()
        execute(source, names)
        browser = names["app"].test_client()
        self.browser = browser

        def again():
            answer = browser.get("/")
            while answer.status_code in (302, 303):
                url = answer.headers["Location"]
                if "/authorize?" in url:
                    url = at.user(url)
                answer = browser.get(re.sub("^http://localhost", "", url))
            if answer.status_code != 200:
                raise ValueError(answer.status)
            return answer.text

        return again

    def kept(self, at):
        with self.browser.session_transaction() as session:
            return dict(session)["auth_oauth_token"]


class RequestsOAuthlib(Other):
    options = (', pkce="S256"', "")


class Authlib(Other):
    options = (', code_challenge_method="S256"', "")


OTHERS = [
    RequestsOAuthlib("requests-oauthlib"),
    Authlib("Authlib"),
    RequestsOAuth2Client("requests-oauth2client"),
    Spotipy("spotipy"),
    Msal("msal"),
    Google("google-auth-oauthlib"),
    FlaskDance("Flask-Dance"),
]


def execute(source, names):
    exec(compile(source, "README.md", "exec"), names)


class World:
    """One server and one user for a program."""

    def __init__(self, case, other):
        self.server = case.enterContext(Lenient())
        self.public = other.public
        self.stolen = False  # whether the user brings somebody else's answer
        # No host but this machine is reached, and each session goes to the server.
        case.enterContext(mock.patch("webbrowser.open", self.browse))
        case.enterContext(mock.patch("oauth2min._system_browser", self.browse))
        browser = SimpleNamespace(open=self.browse)
        case.enterContext(mock.patch("webbrowser.get", lambda name=None: browser))
        case.enterContext(mock.patch.dict(os.environ, OAUTHLIB_INSECURE_TRANSPORT="1",
                                          OAUTHLIB_RELAX_TOKEN_SCOPE="1"))
        send, url = requests.adapters.HTTPAdapter.send, self.server.url

        def send_there(adapter, request, **options):
            request.url = re.sub("^https://", url + "/https/", request.url)
            return send(adapter, request, **options)

        case.enterContext(
            mock.patch.object(requests.adapters.HTTPAdapter, "send", send_there)
        )
        login = oauth2min.Client.login
        case.enterContext(
            mock.patch.object(
                oauth2min.Client, "login", lambda client: login(client, self.browse)
            )
        )
        case.enterContext(
            mock.patch.dict(
                oauth2min.PROVIDERS,
                spotify=self.server.metadata,
                microsoft=dict(self.server.metadata, base_url=self.server.url + "/graph"),
            )
        )
        for path in "/graph/me", "/https/graph.microsoft.com/v1.0/me":
            self.server.canned[path] = {"displayName": "Ada"}

    def names(self):
        return {
            "__name__": "program",
            "client_id": "lax-public" if self.public else "lax",
            "client_secret": None if self.public else "plain-secret",
            "secret_key": "for the cookies",
            "input": self.user,
            "save": lambda *tokens, **more: None,
        }

    def user(self, url):
        """Says yes, and brings the address that the browser ended at."""
        host = re.match("https://[^/]+", url)
        address = self.server.approve(re.sub("^https://[^/]+", self.server.url, url))
        if host:  # there, the server is that host
            issuer = urllib.parse.quote(self.server.url, safe="")
            address = address.replace(issuer, urllib.parse.quote(host.group(), safe=""))
        if self.stolen:  # an attacker has sent the user his own answer
            address = re.sub("([?&])state=[^&]*", r"\1state=another", address)
            address = re.sub("([?&])code=[^&]*", r"\1code=stolen", address)
        return address

    def browse(self, url, *more, **options):
        def answer():
            address, _, query = self.user(url).partition("?")
            address += "/" * (address.count("/") == 2)  # as browsers do
            if "response_mode=form_post" in url:
                fetch("POST", address, dict(urllib.parse.parse_qsl(query)))
            else:
                fetch("GET", address + "?" + query)

        def run():
            with contextlib.suppress(OSError):
                answer()
                if self.stolen:
                    self.stolen = False  # some go on waiting
                    answer()

        threading.Thread(target=run, daemon=True).start()
        return True


class InAFolder(unittest.TestCase):
    """Works in a folder of its own."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.port = str(free_port())

    def take_over(self, at, kept):
        with open("their-token.json", "w") as file:
            json.dump(kept, file)
        names = at.names()
        # Up to where it would log in.
        execute(self.ours.partition("client.login()")[0] + TAKEOVER, names)
        client = names["client"]
        self.addCleanup(client.close)
        self.assertTrue(client.token.refresh_token)
        if client.token.expires_at is not None:  # else a 401 tells it
            left = client.token.expires_at - time.time()
            self.assertTrue(0 < left < 3660, left)
        asked = len(at.server.asked)
        for renew in (lambda: None), client.refresh, at.server.expire:
            renew()
            self.assertEqual(client.get("me").json()["display_name"], "Ada")
        self.assertEqual(len(at.server.asked), asked)


class Others(InAFolder):
    """What README.md says in its table of other libraries is what happens."""

    rows = {}

    def source(self, at, other, number):
        """Theirs is led to the server as if it were that host; ours is told its address."""
        source = PROGRAMS[other.name][number].replace("8888", self.port)
        if number == 0:
            return source
        return source.replace("https://auth.example.com", at.server.url)

    def start(self, other, at, source=None):
        with contextlib.suppress(FileNotFoundError):
            os.unlink("their-token.json")
        return other.run(at, source or self.source(at, other, 0))

    def works(self, again):
        try:
            return again() == "Ada"
        except Exception as error:
            if os.environ.get("VERBOSE"):
                import traceback

                traceback.print_exception(error)
            return False

    def checks_state(self, other, at):
        at.stolen = True
        with contextlib.suppress(Exception):
            self.start(other, at)()
        at.stolen = False
        return "stolen" not in at.server.codes()

    def pkce(self, other, at):
        had = at.server.asked[-1]
        if not had:
            return "no"
        if not other.options:
            return "yes"
        old, new = other.options
        source = self.source(at, other, 0)
        self.assertIn(old.strip(", "), source)
        with contextlib.suppress(Exception):
            self.start(other, at, re.sub(r",\s+" + re.escape(old.strip(", ")), new, source))()
        return "yes" if at.server.asked[-1] else "if told"

    def renews_by_the_clock(self, other, at):
        """Twice, and so with the second refresh token."""
        at.server.expires_in = 1
        again = self.start(other, at)
        self.assertEqual(again(), "Ada")
        before = at.server.renewals()
        for _ in range(2):
            time.sleep(2.1)  # some round up
            if not self.works(again):
                return False
        return at.server.renewals() >= before + 2

    def heals_a_401(self, other, at):
        at.server.expires_in = 3600
        again = self.start(other, at)
        self.assertEqual(again(), "Ada")
        at.server.expire()
        return self.works(again)

    def takes_over(self, other, at):
        """Our program works with what theirs has kept, and renews it."""
        again = self.start(other, at)
        self.assertEqual(again(), "Ada")
        kept = json.loads(json.dumps(other.kept(at)))
        self.ours = OURS.replace("https://auth.example.com", at.server.url)
        self.take_over(at, kept)

    def ours_works(self, other, at):
        if other.name == "Flask-Dance":
            again = FlaskDance(other.name).run(at, self.source(at, other, 1))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink("token.json")
            with contextlib.redirect_stderr(io.StringIO()):
                again = Other("ours").run(at, self.source(at, other, 1))
                self.assertEqual(again(), "Ada")
        for _ in range(2):
            self.assertEqual(again(), "Ada")
            at.server.expire()


def add_test(other):
    def test(self):
        at = World(self, other)
        self.assertEqual(self.start(other, at)(), "Ada")
        row = [
            "yes" if self.checks_state(other, at) else "no",
            self.pkce(other, at),
            "yes" if self.renews_by_the_clock(other, at) else "no",
            "yes" if self.heals_a_401(other, at) else "no",
        ]
        self.rows[other.name] = row
        with self.subTest("ours"):
            self.ours_works(other, at)
        with self.subTest("taken over"):
            self.takes_over(other, at)

    setattr(Others, "test_" + re.sub(r"\W", "_", other.name), test)


for other in OTHERS:
    add_test(other)


class Golang(InAFolder):
    """Its token in JSON, which has nanoseconds and a zone."""

    def test_it_is_taken_over(self):
        at = World(self, OTHERS[0])
        with contextlib.redirect_stderr(io.StringIO()):
            self.ours = OURS.replace("https://auth.example.com", at.server.url)
            names = at.names()
            with contextlib.redirect_stdout(io.StringIO()):
                execute(self.ours, names)
        token = names["client"].token
        names["client"].close()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(token.expires_at + 7200))
        fields = {
            "access_token": token.access_token,
            "token_type": "Bearer",
            "refresh_token": token.refresh_token,
            "expiry": clock + ".123456789+02:00",
        }
        os.unlink("token.json")
        self.take_over(at, fields)


class TableOfOthers(unittest.TestCase):  # after Others, by its name
    def test_its_rows(self):
        if len(Others.rows) < len(OTHERS):
            self.skipTest("not all were tried")
        rows = re.findall(r"(?m)^\| (.*?) +\|$", section(TITLE))[1:]
        cells = [row.split(" | ") for row in rows]
        self.assertEqual(
            [[name, *Others.rows[name]] for name in Others.rows],
            [row[:5] for row in sorted(cells) if row[0] in Others.rows],
        )


def print_table():
    import importlib.metadata

    print("%-24s%-10s%-8s%-9s%-7s%s" % ("from", "version", "state", "PKCE", "clock", "401"))
    for other in OTHERS:
        if other.name in Others.rows:
            version = importlib.metadata.version(other.name)
            print("%-24s%-10s%-8s%-9s%-7s%s" % (other.name, version, *Others.rows[other.name]))


