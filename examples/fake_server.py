#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""An OAuth 2.0 authorization server and a small API in one, for learning and testing ONLY.

It has two users, who never have to log in, keeps everything in memory and listens on this
machine alone. In what it accepts it is stricter than most real servers: a client that gets
on with this one should get on with any. The clause behind each strictness is beside it.

    python3 examples/fake_server.py                 # by hand: open its address in a browser

    with FakeServer() as server:                    # in a program, on a free port
        secret = server.clients["fake-app"]["client_secret"]
        client = Client(server.metadata, "fake-app", secret)
        print(client.get("tracks/11dFghVXANMlKmJXsNCbNl").json()["name"])
        print(server.forms("/token"))               # what the client sent

The API looks like Spotify's under /v1 and like X's under /2. Its data are made up: whatever
id you ask for, if only it has the right form, exists.
"""

import argparse
import base64
import hashlib
import hmac
import html
import http.client
import http.server
import json
import os
import re
import secrets
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import deque
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

CODE_LIFE = 60                  # seconds; RFC 6749 section 4.1.2 allows ten minutes at most
HISTORY = 20                    # messages that the start page shows
SHOWN = 1000                    # bytes of a body that it shows
KEPT = 10000                    # requests that `requests` holds, the oldest go first
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
FORM = "application/x-www-form-urlencoded"
NO_STORE = {"Cache-Control": "no-store"}
CLIENTS = (  # the secret has all that RFC 6749 section 2.3.1 wants encoded
    ("fake-app", "client_secret_basic", "fake secret/ü+%:"),
    ("fake-post", "client_secret_post", "fake secret/ü+%:"),
    ("fake-public", "none", None),
)
USERS = {"ada": "Ada", "grace": "Grace"}
SCOPES = {
    "user-library-read": "See the tracks that you saved",
    "user-follow-read": "See whom you follow",
    "tweet.read": "See posts as you see them",
    "users.read": "See profiles as you see them",
    "offline.access": "Stay connected until you end it",
}


class Request(NamedTuple):
    method: str
    path: str
    target: str                 # the path and the query as they were sent
    headers: "Any"              # an email.message.Message
    query: "dict[str, str]"
    form: "dict[str, str]"
    body: bytes
    repeated: bool  # a parameter is there twice; query and form have the last value
    user: str = ""              # the API knows: whom the token speaks for


class Answer(Exception):
    """Returned, or raised from any depth. A body that is not str or bytes is sent as JSON;
    `raw` is sent instead of all that, after `delay` seconds; `close` hangs up then."""

    def __init__(
        self,
        status: int,
        body: "Any",
        headers: "Any" = (),
        raw: "bytes | None" = None,
        delay: float = 0,
        close: bool = False,
    ) -> None:
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = list(headers.items() if isinstance(headers, dict) else headers)
        self.raw, self.delay, self.close = raw, delay, close

    def content(self) -> "tuple[str, bytes]":
        """The type and the bytes of its body."""
        if self.raw is not None:
            return "", self.raw
        if isinstance(self.body, bytes):
            return "text/plain; charset=utf-8", self.body
        if isinstance(self.body, str):
            return "text/plain; charset=utf-8", self.body.encode("utf-8")
        return "application/json", json.dumps(self.body).encode("utf-8")


# ---- What may be shown of a message ------------------------------------------------------

TELLING = (  # the headers that a learner wants to see
    "Authorization",
    "Content-Type",
    "Location",
    "Retry-After",
    "Www-Authenticate",
)
SECRET = (
    "(?:access_|refresh_|id_|subject_|actor_)?token|(?:device_)?code|code_verifier|state|"
    "client_secret|password|(?:client_)?assertion|transaction"
)


class Exchange(NamedTuple):
    """A request and its answer: what the start page shows, and who watches gets."""

    time: float
    request: "Request"
    origin: str                 # that the request came to
    status: int
    headers: "list[tuple[str, str]]"
    content: bytes              # of the answer, or its beginning

    @property
    def path(self) -> str:
        return self.request.path

    def request_text(self) -> str:
        """In the form of the client's trace; what is secret is masked."""
        start = "%s %s%s" % (
            self.request.method,
            self.origin,
            self.request.target[:SHOWN],
        )
        return self.text(start, self.request.headers.items(), self.request.body)

    def answer_text(self) -> str:
        start = "%d %s" % (self.status, http.client.responses.get(self.status, ""))
        return self.text(start, self.headers, self.content)

    @staticmethod
    def text(start: str, headers: "Any", body: bytes) -> str:
        lines = [start]
        for name, value in headers:
            if name.title() in TELLING:
                lines.append("%s: %s" % (name.title(), value[:SHOWN]))
        if len(body) > SHOWN:  # without half a secret at its end
            body = re.sub(rb"[\w-]*$", b"... (there is more)", body[:SHOWN])
        if body:
            lines += ["", body.decode("utf-8", "replace")]
        if body.startswith(b"<!doctype html>"):
            lines[-1:] = ["(a page)"]
        return masked("\n".join(lines))


def masked(text: str) -> str:
    """Without secrets: known by their names, and those of this server by their length."""
    text = re.sub(r"(?m)^(Authorization: *(?:\S+ )?).*", r"\1***", text)
    text = re.sub(r'("(?:%s)": *)"(?:[^"\\]|\\.)*("|$)' % SECRET, r'\1"***"', text)
    # JSON in JSON, as /v1/echo gives it back.
    text = re.sub(r'(\\"(?:%s)\\": *\\").*?\\"' % SECRET, r'\1***\\"', text)
    text = re.sub(r"(?m)((?:[?&]|^)(?:%s)=)[^&\s]+" % SECRET, r"\1***", text)
    return re.sub(r"(?<!code_challenge=)\b(?<![\w-])[\w-]{43,}", "***", text)


def readable(message: str) -> str:
    """A message with a line for each field of a query, of a form and of JSON."""
    head, _, body = message.partition("\n\n")
    head = re.sub(r"(?m)^(?:[A-Z]+|Location:) \S+\?\S+", one_a_line, head)
    try:
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        if re.match("[a-z_]+=[^{]*$", body):
            body = body.replace("&", "\n&")
    return head + "\n\n" + body if body else head


def one_a_line(address: "re.Match[str]") -> str:
    return re.sub("([?&])", r"\n    \1", address.group())


class FakeServer:
    """Serves in threads of its own from start() to close(), or within a `with` block. With
    an `ssl.SSLContext` that has a certificate it is https. The first attributes may be set
    at any time."""

    def __init__(self, port: int = 0, context: "Any" = None) -> None:
        self.expires_in: float = 3600           # seconds, of access tokens to come
        self.rotate = True                      # a new refresh token with every refresh?
        self.issue_refresh_token = True
        self.token_delay: float = 0             # seconds that the token endpoint takes
        self.device_interval: float = 5         # seconds between two polls
        self.device_expires_in: float = 600     # seconds that a device code lives
        self.code_life: float = CODE_LIFE
        self.rate_limit = 900                   # requests to /2 in 15 minutes
        self.kept = KEPT
        self.log: Callable[[str], object] = lambda line: None
        # Gets each request with its answer, just before that is sent.
        self.watch: Callable[[Exchange], object] = lambda exchange: None

        self.port, self.context = port, context
        self.url = ""                           # known after start()
        self.connections = 0                    # accepted so far
        self.requests: list[Request] = []       # in the order of their arrival
        self.history: deque[Exchange] = deque(maxlen=HISTORY)   # for the start page
        self.clients: dict[str, dict[str, Any]] = {}
        for client_id, method, secret in CLIENTS:
            self.clients[client_id] = {
                "client_secret": secret,
                "token_endpoint_auth_method": method,
                "redirect_uris": [
                    "http://%s/callback" % host
                    for host in ("127.0.0.1", "[::1]", "localhost")
                ],
            }
        self.closing = threading.Event()
        self._lock = threading.Lock()           # one request is answered at a time
        self._scripts: dict[str, list[Answer]] = {}
        self._browsers: list[threading.Thread] = []
        self._pages: list[tuple[int, Any, str]] = []
        self._authorization_server = AuthorizationServer(self)
        self._api = Api(self, self._authorization_server.access_tokens)

    def start(self) -> "FakeServer":
        self._listener = Listener(self)
        scheme = "https" if self.context else "http"
        self.url = "%s://127.0.0.1:%d" % (scheme, self._listener.server_address[1])
        self._thread = threading.Thread(target=self._listener.serve, daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Waits for the browsers of browser(), hangs up on all and ends all threads."""
        for thread in self._browsers:
            thread.join()
        self.closing.set()
        with socket.create_connection(("127.0.0.1", self._listener.server_address[1])):
            self._thread.join()                 # it waited for a connection
        self._listener.server_close()
        self.hang_up()
        for worker in self._listener.workers:
            worker.join(10)                     # not every system wakes one that reads

    def __enter__(self) -> "FakeServer":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def metadata(self) -> "dict[str, Any]":
        """What a Client needs to know of this server (RFC 8414); the API is /v1."""
        return self.provider("spotify")

    def provider(self, name: str) -> "dict[str, Any]":
        """The same with the base_url of the API that looks like "spotify" or like "x"."""
        return dict(
            self._authorization_server.metadata(),
            base_url=self.url + {"spotify": "/v1", "x": "/2"}[name],
        )

    def forms(self, path: str = "/token") -> "list[dict[str, str]]":
        return [request.form for request in self.requests if request.path == path]

    # Trouble to order

    def script(
        self,
        path: str,
        status: int = 200,
        body: "Any" = None,
        headers: "Any" = (),
        raw: "bytes | None" = None,
        delay: float = 0,
        close: bool = False,
    ) -> None:
        """The next request to `path` gets this Answer. They queue up. The body is {} by
        default, `headers` (a dict or pairs) replace the usual ones; `close` alone hangs up
        in silence."""
        if close and body is None and raw is None:
            raw = b""
        self._scripts.setdefault(path, []).append(
            Answer(status, {} if body is None else body, headers, raw, delay, close)
        )

    def unasked(self) -> "list[str]":
        """The paths of scripted answers that nobody has asked for."""
        return [path for path, answers in self._scripts.items() for _ in answers]

    def expire(self) -> None:
        """From now on every access token issued so far is refused with 401."""
        self._authorization_server.access_tokens.clear()

    def hang_up(self) -> None:
        """Closes every open connection without a word, as servers do with idle ones."""
        for connection in list(self._listener.workers.values()):
            try:
                # Not SSLSocket's own, which takes the TLS state away from under a reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass                            # it is closed already

    # The user

    def approve(self, url: str, user: str = "ada") -> str:
        """Agrees at an authorization URL: where the browser is sent, or a ValueError."""
        return self._decide(url, "approve", user)

    def deny(self, url: str) -> str:
        return self._decide(url, "deny")

    def _decide(self, url: str, decision: str, user: str = "ada") -> str:
        status, headers, text = fetch("GET", url)
        form = dict(re.findall('<input type="hidden" name="(.+)" value="(.+)">', text))
        if form:
            form.update(decision=decision, user=user)
            status, headers, text = fetch("POST", self.url + "/decision", form)
        if status != 303:
            title = re.findall("<h1>(.*)</h1>", text) or [text]
            raise ValueError(
                "the authorization server answered %d: %s" % (status, title[0])
            )
        return str(headers["Location"])

    def browser(self, url: str) -> bool:
        """For login(open_browser=server.browser): approves, in a thread."""
        return self._browse(self.approve, url)

    def denying_browser(self, url: str) -> bool:
        return self._browse(self.deny, url)

    def _browse(self, decide: "Callable[[str], str]", url: str) -> bool:
        def run() -> None:
            try:
                page = fetch("GET", decide(url))
            except (OSError, ValueError, http.client.HTTPException) as error:
                page = 0, {}, str(error)
            self._pages.append(page)

        self._browsers.append(threading.Thread(target=run, daemon=True))
        self._browsers[-1].start()
        return True

    @property
    def pages(self) -> "list[tuple[int, Any, str]]":
        """Where each browser ended: (status, headers, text), or (0, {}, error)."""
        for thread in self._browsers:
            thread.join()
        return self._pages

    def approve_device(self, user_code: str, approved: bool = True) -> None:
        """Agrees to a device login. A KeyError: no device waits with this code."""
        with self._lock:
            self._authorization_server.waiting_device(user_code).approved = approved

    def deny_device(self, user_code: str) -> None:
        self.approve_device(user_code, False)

    def user_codes(self) -> "list[str]":
        """Those of the devices that wait for a user, the newest last."""
        with self._lock:
            return self._authorization_server.user_codes()

    # For the Handler of the connections

    def answer(self, request: "Request") -> "Answer":
        with self._lock:
            self.requests.append(request)
            del self.requests[: -self.kept]
            if self._scripts.get(request.path):
                return self._scripts[request.path].pop(0)
        if request.path == "/token":
            self.closing.wait(self.token_delay)
        with self._lock:
            try:
                if request.path in OWN_PAGES:
                    return own_page(self, request)
                if re.match("/(v1|2)/", request.path):
                    return self._api.answer(request)
                return self._authorization_server.answer(request)
            except Answer as answer:
                return answer

    def tell(self, request: "Request", answer: "Answer", body: bytes) -> None:
        """Whoever watches, and the start page, will know of this."""
        if request.path not in OWN_PAGES:
            exchange = Exchange(
                time.time(),
                request,
                self.url,
                answer.status,
                answer.headers,
                body[: SHOWN + 1],
            )
            with self._lock:
                self.history.append(exchange)
            self.watch(exchange)


def fetch(
    method: str, url: str, form: "dict[str, str] | None" = None
) -> "tuple[int, Any, str]":
    """What a browser would get without redirects: (status, headers, text). Plain http."""
    parts = urlsplit(url)
    body, headers = (urlencode(form), {"Content-Type": FORM}) if form else (None, {})
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(
            method,
            parts._replace(scheme="", netloc="", fragment="").geturl(),
            body,
            headers,
        )
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


# ---- The authorization server ------------------------------------------------------------


class Grant(SimpleNamespace):
    """What a client asked for and a user allows. Codes and tokens live and die with it."""

    client_id = scope = user_code = ""
    user = "ada"
    approved: "bool | None" = None              # by a user; None: not answered yet
    spent = False                               # the code was traded for tokens
    refresh_token: "str | None" = None          # the one that is good now
    revoked = False
    resource: "str | None" = None               # what alone its tokens are for: RFC 8707


class AuthorizationServer:
    """The endpoints of RFC 6749, 7009, 8414 and 8628; and of 7591, 7523 and 9728 below."""

    def __init__(self, fake: "FakeServer") -> None:
        self.fake = fake
        self.questions: dict[str, Grant] = {}               # consent pages not yet answered
        self.codes: dict[str, Grant] = {}
        self.devices: dict[str, Grant] = {}
        self.refresh_tokens: dict[str, Grant] = {}          # all there ever were
        self.access_tokens: dict[str, tuple[Grant, float]] = {}     # and when they expire
        self.endpoints: dict[str, tuple[str, Callable[[Request], Answer]]] = {
            "/.well-known/oauth-authorization-server": ("GET", self.discovery),
            "/.well-known/openid-configuration": ("GET", self.discovery),
            "/authorize": ("GET", self.authorize),
            "/decision": ("POST", self.decision),
            "/token": ("POST", self.token),                 # RFC 6749 section 3.2
            "/revoke": ("POST", self.revoke),
            "/device_authorization": ("POST", self.device_authorization),
            "/device": ("GET", self.device),
        }
        self.grants: dict[str, Callable[[str, dict[str, str]], dict[str, Any]]] = {
            "client_credentials": self.client_credentials,
            "authorization_code": self.authorization_code,
            "refresh_token": self.refresh_token,
            DEVICE_CODE: self.device_code,
        }
        Assertions(self)
        McpServer(self)

    def answer(self, request: "Request") -> "Answer":
        if request.path not in self.endpoints:
            return not_found()
        method, endpoint = self.endpoints[request.path]
        if request.method != method:
            return Answer(405, "Only %s is allowed here" % method, {"Allow": method})
        # RFC 6749 sections 3.1 and 3.2.
        check(not request.repeated, "invalid_request: A parameter is there twice")
        return endpoint(request)

    def metadata(self) -> "dict[str, Any]":
        url = self.fake.url
        return {
            "issuer": url,
            "authorization_endpoint": url + "/authorize",
            "token_endpoint": url + "/token",
            "revocation_endpoint": url + "/revoke",
            "device_authorization_endpoint": url + "/device_authorization",
            "registration_endpoint": url + "/register",
            "response_types_supported": ["code"],
            "grant_types_supported": list(self.grants),
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
                "none",
            ],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": list(SCOPES),
        }

    def discovery(self, request: "Request") -> "Answer":
        return Answer(200, self.metadata())

    # The authorization endpoint

    def authorize(self, request: "Request") -> "Answer":
        query = request.query
        client = self.fake.clients.get(query.get("client_id", ""), {"redirect_uris": []})
        redirect_uri = query.get("redirect_uri", "")
        # No redirect to an address that nobody registered: RFC 6749 section 4.1.2.1.
        if not any(same_redirect_uri(redirect_uri, uri) for uri in client["redirect_uris"]):
            title = "Wrong client_id or redirect_uri"
            return page(400, title, "No client is registered so.")
        challenge = query.get("code_challenge", "")
        grant = Grant(
            client_id=query["client_id"],
            redirect_uri=redirect_uri,
            state=query.get("state"),
            code_challenge=challenge,
            resource=query.get("resource"),
        )
        try:
            required(query, "state")    # against forged answers: RFC 6749 section 10.12
            response_type = query.get("response_type")
            check(response_type == "code", "unsupported_response_type: Not code")
            # PKCE for all clients: RFC 9700 section 2.1.1. 32 bytes: RFC 7636 section 4.2.
            check(query.get("code_challenge_method") == "S256", "invalid_request: Not S256")
            right_length = re.fullmatch("[A-Za-z0-9_-]{43}", challenge)
            check(right_length, "invalid_request: No challenge")
            grant.scope = known_scope(query)
        except Answer as answer:
            return self.redirect(grant, answer.body)
        origin = "%s://%s" % urlsplit(redirect_uri)[:2]
        return self.ask(grant, "Then you go back to", origin)

    def ask(self, grant: "Grant", label: str, value: str) -> "Answer":
        """The consent page. Its form works once and from here: RFC 6749 section 10.12."""
        transaction = secrets.token_urlsafe(32)
        self.questions[transaction] = grant
        wishes = [SCOPES[word] for word in grant.scope.split()] or ["Know that it is you"]
        options = ["<option value=%s>%s</option>\n" % pair for pair in USERS.items()]
        form = CONSENT % (
            "</li>\n<li>".join(wishes),
            label,
            html.escape(value),
            transaction,
            "".join(options),
        )
        return page(
            200, "Connect %s?" % grant.client_id, "It asks for your permission to:", form
        )

    def decision(self, request: "Request") -> "Answer":
        grant = self.questions.pop(request.form.get("transaction", ""), None)
        if grant is None:
            return page(400, "Too late", "Please start again in the application.")
        grant.approved = request.form.get("decision") == "approve"
        grant.user = request.form.get("user", grant.user)
        if grant.user not in USERS:
            return page(400, "Unknown user", "There is nobody of that name here.")
        if grant.user_code:
            return page(
                200,
                "Connected" if grant.approved else "Not connected",
                "You can close this window and go back to your device.",
            )
        if not grant.approved:
            return self.redirect(
                grant, {"error": "access_denied", "error_description": "The user said no"}
            )
        code = secrets.token_urlsafe(32)
        self.codes[code] = grant
        grant.expires_at = time.monotonic() + self.fake.code_life
        return self.redirect(grant, {"code": code})

    def redirect(self, grant: "Grant", answer: "dict[str, str]") -> "Answer":
        answer = dict(answer, iss=self.fake.url)            # RFC 9207, in errors as well
        if grant.state:
            answer["state"] = grant.state                   # RFC 6749 section 4.1.2
        # With its query (RFC 6749 section 3.1.2). Not 307: that posts on (RFC 9700 4.12).
        location = grant.redirect_uri + ("&" if "?" in grant.redirect_uri else "?")
        return Answer(
            303,
            "",
            {
                "Location": location + urlencode(answer),
                **NO_STORE,
                "Referrer-Policy": "no-referrer",
            },
        )

    # The token endpoint

    def client(self, request: "Request") -> str:
        """Authenticates the client that sent a request (RFC 6749 section 2.3); its id."""
        form, header = request.form, request.headers.get("Authorization")
        check("?" not in request.target, "invalid_request: Parameters belong into the body")
        check(
            request.headers.get_content_type() == FORM, "invalid_request: This is no form"
        )
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        method = "none" if secret is None else "client_secret_post"
        if header is not None:
            check(secret is None, "invalid_request: The client authenticates in two ways")
            method = "client_secret_basic"
            client_id, secret = basic_credentials(header)
            check(
                form.get("client_id") in (None, client_id),
                "invalid_request: Two client_ids",
            )
        client = self.fake.clients.get(client_id, {})
        # The method that it is registered with and no other: RFC 7591 section 2.
        right_method = client.get("token_endpoint_auth_method") == method
        check(right_method and equal(client["client_secret"], secret),
              "invalid_client: Unknown, or its secret or its way to authenticate is wrong",
              401)
        return client_id

    def token(self, request: "Request") -> "Answer":
        client_id = self.client(request)
        grant_type = required(request.form, "grant_type")
        check(grant_type in self.grants, "unsupported_grant_type: It is not known here")
        return Answer(200, self.grants[grant_type](client_id, request.form), NO_STORE)

    def client_credentials(
        self, client_id: str, form: "dict[str, str]"
    ) -> "dict[str, Any]":
        # RFC 6749 section 4.4.
        public = self.fake.clients[client_id]["client_secret"] is None
        check(not public, "unauthorized_client: Not for a public client")
        return self.issue(Grant(client_id=client_id, scope=known_scope(form)))

    def authorization_code(
        self, client_id: str, form: "dict[str, str]"
    ) -> "dict[str, Any]":
        redirect_uri = required(form, "redirect_uri")
        verifier = required(form, "code_verifier")
        grant = own(self.codes, form, "code", client_id)
        grant.revoked = grant.spent  # one of two stole it: RFC 6749 section 4.1.2
        check(not grant.spent, "invalid_grant: The code was used before")
        grant.spent = True                      # whatever comes now
        check(time.monotonic() < grant.expires_at, "invalid_grant: The code has expired")
        # With its port: RFC 6749 section 4.1.3.
        check(
            redirect_uri == grant.redirect_uri,
            "invalid_grant: The redirect_uri was another",
        )
        # RFC 7636 sections 4.1 and 4.6.
        check(
            re.fullmatch("[A-Za-z0-9._~-]{43,128}", verifier),
            "invalid_grant: No code_verifier",
        )
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest())
        right = digest.decode("ascii").rstrip("=") == grant.code_challenge
        check(right, "invalid_grant: The code_verifier is wrong")
        return self.issue(grant)

    def refresh_token(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        grant = own(self.refresh_tokens, form, "refresh_token", client_id)
        # An old one: one of two stole it (RFC 9700 section 4.14.2).
        grant.revoked = form["refresh_token"] != grant.refresh_token
        check(not grant.revoked, "invalid_grant: The refresh token was used before")
        wanted = set(form.get("scope", "").split())     # RFC 6749 section 6
        check(
            wanted <= set(grant.scope.split()),
            "invalid_scope: More than the user agreed to",
        )
        return self.issue(grant)

    def issue(self, grant: "Grant") -> "dict[str, Any]":
        """A new access token; a refresh token where it is due: RFC 6749 section 5.1."""
        token, life = secrets.token_urlsafe(32), self.fake.expires_in
        self.access_tokens[token] = grant, time.monotonic() + life
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": life}
        if grant.scope:
            answer["scope"] = grant.scope
        due = self.fake.rotate if grant.refresh_token else self.fake.issue_refresh_token
        if due and grant.approved:              # by a user: RFC 6749 section 4.4.3
            grant.refresh_token = answer["refresh_token"] = secrets.token_urlsafe(32)
            self.refresh_tokens[grant.refresh_token] = grant
        return answer

    def revoke(self, request: "Request") -> "Answer":
        client_id = self.client(request)
        token = required(request.form, "token")  # token_type_hint is but a hint: not needed
        access, grant = self.access_tokens.get(token), self.refresh_tokens.get(token)
        if access and access[0].client_id == client_id:
            del self.access_tokens[token]
        if grant and grant.client_id == client_id:
            grant.revoked = True  # with its access tokens: RFC 7009 section 2.1
        return Answer(200, "", NO_STORE)        # for an unknown token too: section 2.2

    # The device grant

    def device_authorization(self, request: "Request") -> "Answer":
        client_id = self.client(request)        # RFC 8628 section 3.1
        # Consonants only: they make no words, and no 0 or O (RFC 8628 section 6.1).
        letters = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8))
        user_code, device_code = letters[:4] + "-" + letters[4:], secrets.token_urlsafe(32)
        life, interval = self.fake.device_expires_in, self.fake.device_interval
        self.devices[device_code] = Grant(
            client_id=client_id,
            scope=known_scope(request.form),
            user_code=user_code,
            expires_at=time.monotonic() + life,
            interval=interval,
            next_poll=0,
        )
        uri = self.fake.url + "/device"
        return Answer(
            200,
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": uri,
                "verification_uri_complete": uri + "?user_code=" + user_code,
                "expires_in": life,
                "interval": interval,
            },
            NO_STORE,
        )

    def device_code(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        grant, now = own(self.devices, form, "device_code", client_id), time.monotonic()
        check(not grant.spent, "invalid_grant: The device_code was used before")
        check(now < grant.expires_at, "expired_token: The device_code has expired")
        early = now < grant.next_poll
        grant.interval += 5 if early else 0     # and it stays so: RFC 8628 section 3.5
        grant.next_poll = now + grant.interval
        check(not early, "slow_down: Polled before the interval was over")
        check(
            grant.approved is not None, "authorization_pending: The user has yet to answer"
        )
        grant.spent = True
        check(grant.approved, "access_denied: The user said no")
        return self.issue(grant)

    def waiting(self) -> "list[Grant]":
        """The devices whose user has yet to answer."""
        return [
            grant
            for grant in self.devices.values()
            if grant.approved is None and time.monotonic() < grant.expires_at
        ]

    def user_codes(self) -> "list[str]":
        return [grant.user_code for grant in self.waiting()]

    def waiting_device(self, user_code: str) -> "Grant":
        """However it was typed (RFC 8628 section 6.1). A KeyError if no device has it."""
        waiting = {grant.user_code.replace("-", ""): grant for grant in self.waiting()}
        return waiting[re.sub("[^A-Z]", "", user_code.upper())]

    def device(self, request: "Request") -> "Answer":
        user_code = request.query.get("user_code", "")
        try:
            grant = self.waiting_device(user_code)
        except KeyError:
            problem = '<span role="alert">No device waits with this code.</span> '
            return page(200, "Connect a device", problem if user_code else "", DEVICE_FORM)
        # Shown once more, for the user to compare with the device: RFC 8628 section 5.4.
        return self.ask(grant, "The code on your device", grant.user_code)


def check(condition: object, problem: str, status: int = 400) -> None:
    """`problem`: an error code (RFC 6749 section 5.2) and, after a colon, a description."""
    if not condition:
        error, _, description = problem.partition(": ")
        headers = {"WWW-Authenticate": 'Basic realm="fake"'} if status == 401 else {}
        raise Answer(
            status,
            {"error": error, "error_description": description},
            dict(headers, **NO_STORE),
        )


def equal(secret: "str | None", other: "str | None") -> bool:
    """Says by its time nothing about where they differ."""
    return hmac.compare_digest(repr(secret).encode("utf-8"), repr(other).encode("utf-8"))


def required(parameters: "dict[str, str]", name: str) -> str:
    # Empty is the same as missing: RFC 6749 section 3.1.
    check(parameters.get(name), "invalid_request: The parameter %s is missing" % name)
    return parameters[name]


def own(
    grants: "dict[str, Grant]", form: "dict[str, str]", name: str, client_id: str
) -> "Grant":
    """What a code or token stands for, if it is this client's (RFC 6749 section 5.2)."""
    grant = grants.get(required(form, name), Grant())
    valid = grant.client_id == client_id and not grant.revoked
    check(valid, "invalid_grant: The %s is not valid" % name)
    # To be named in each request, as MCP wants it: RFC 8707 section 2.2.
    same = grant.resource in (None, form.get("resource"))
    check(same, "invalid_target: The resource was another")
    return grant


def known_scope(parameters: "dict[str, str]") -> str:
    scope = parameters.get("scope", "")
    check(set(scope.split()) <= set(SCOPES), "invalid_scope: Not known here")  # section 3.3
    return scope


def same_redirect_uri(one: str, other: str) -> bool:
    """To the letter (RFC 9700 section 2.1), but for a port on loopback (RFC 8252, 7.3)."""
    port = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]{1,5}(?=/|$)")
    return port.sub(r"\1", one) == port.sub(r"\1", other)


def basic_credentials(header: str) -> "tuple[str, str | None]":
    """The id and the secret, form-decoded (RFC 6749 section 2.3.1); else ("", None)."""
    try:
        scheme, value = header.split(None, 1)
        pair = base64.b64decode(value, validate=True).decode("ascii")
        client_id, secret = (
            unquote_plus(part, errors="strict") for part in pair.split(":", 1)
        )
    except ValueError:                          # not ASCII: it was not encoded
        return "", None
    return (client_id, secret) if scheme.lower() == "basic" else ("", None)


# ---- Programs with a key -----------------------------------------------------------------

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Assertions:
    """The grant of RFC 7523: a program signs who it is with its key, by RS256. Its client
    has a "public_key", the path of a PEM file. Needs the program openssl."""

    def __init__(self, server: "AuthorizationServer") -> None:
        self.server = server
        self.seen: set[str] = set()
        server.grants[JWT_BEARER] = self.grant

    def grant(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        claims = self.claims(client_id, required(form, "assertion"))
        url = self.server.fake.url
        # RFC 7523 section 3.
        check(claims.get("iss") == client_id, "invalid_grant: It is of somebody else")
        check(claims.get("aud") in (url, url + "/token"), "invalid_grant: It is not for me")
        is_fresh = claims.get("exp", 0) - 3600 <= time.time() < claims.get("exp", 0)
        check(is_fresh, "invalid_grant: It is too old, or for more than an hour")
        check(claims.get("jti") not in self.seen, "invalid_grant: It was used before")
        self.seen.add(claims["jti"])
        scope = known_scope({"scope": claims.get("scope") or form.get("scope", "")})
        return self.server.issue(Grant(client_id=client_id, scope=scope))

    def claims(self, client_id: str, assertion: str) -> "dict[str, Any]":
        """What the client with this key has signed."""
        signed, _, signature = assertion.rpartition(".")
        key = self.server.fake.clients[client_id].get("public_key")
        try:
            header, claims = (json.loads(decoded(part)) for part in signed.split("."))
            with tempfile.NamedTemporaryFile() as file:
                file.write(decoded(signature))
                file.flush()
                command = "openssl dgst -sha256 -verify %s -signature %s" % (key, file.name)
                result = subprocess.run(
                    command.split(), input=signed.encode(), stdout=subprocess.DEVNULL
                )
        except ValueError:
            check(False, "invalid_grant: This is no JWT")
        check(
            header.get("alg") == "RS256" and result.returncode == 0,
            "invalid_grant: The signature is not by RS256 and the key of this client",
        )
        return dict(claims, jti=required(claims, "jti"))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


# ---- An MCP server -----------------------------------------------------------------------


class McpServer:
    """A server of the Model Context Protocol at /mcp, with a tool that greets. It is for
    programs that never heard of it: its 401 says where they register and log in."""

    METADATA = "/.well-known/oauth-protected-resource/mcp"
    TOOL = {
        "name": "greet",
        "description": "Greets somebody",
        "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    }

    def __init__(self, server: "AuthorizationServer") -> None:
        self.server = server
        server.endpoints[self.METADATA] = "GET", self.metadata
        server.endpoints["/register"] = "POST", self.register
        server.endpoints["/mcp"] = "POST", self.answer

    @property
    def url(self) -> str:
        return self.server.fake.url + "/mcp"

    def metadata(self, request: "Request") -> "Answer":
        """RFC 9728 section 3."""
        issuer = self.server.fake.url
        return Answer(200, {"resource": self.url, "authorization_servers": [issuer]})

    def register(self, request: "Request") -> "Answer":
        """RFC 7591 section 3, for programs on a user's machine: without a secret."""
        try:
            client = json.loads(request.body)
        except ValueError:
            client = {}
        uris = client.get("redirect_uris") or [""]
        loopback = all(re.match(r"http://(127\.0\.0\.1|\[::1\])[:/]", uri) for uri in uris)
        check(loopback, "invalid_redirect_uri: Not on a loopback address")
        public = client.get("token_endpoint_auth_method") == "none"
        check(public, "invalid_client_metadata: Only for public clients")
        client_id = secrets.token_hex(8)
        self.server.fake.clients[client_id] = dict(client, client_secret=None)
        return Answer(201, dict(client, client_id=client_id), NO_STORE)

    def answer(self, request: "Request") -> "Answer":
        token = request.headers.get("Authorization", "").partition(" ")[2]
        grant, expires_at = self.server.access_tokens.get(token, (Grant(), 0))
        is_good = expires_at > time.monotonic() and not grant.revoked
        if not is_good or grant.resource != self.url:  # RFC 9728 section 5.1
            where = self.server.fake.url + self.METADATA
            challenge = 'Bearer error="invalid_token", resource_metadata="%s"' % where
            return Answer(401, {"error": "invalid_token"}, {"WWW-Authenticate": challenge})
        try:
            message = json.loads(request.body)
            method, params = message["method"], message.get("params", {})
        except (KeyError, TypeError, ValueError):
            return Answer(400, "This is no message of JSON-RPC")
        if "id" not in message:  # a notification
            return Answer(202, "")
        return self.event(dict({"jsonrpc": "2.0", "id": message["id"]},
                               **self.result(method, params)))

    def result(self, method: str, params: "dict[str, Any]") -> "dict[str, Any]":
        if method == "initialize":
            version = params.get("protocolVersion", "2025-06-18")
            about = {"name": "fake server", "version": "1"}
            return {"result": {"protocolVersion": version, "capabilities": {"tools": {}},
                               "serverInfo": about}}
        if method == "tools/list":
            return {"result": {"tools": [self.TOOL]}}
        if method == "tools/call" and params.get("name") == self.TOOL["name"]:
            name = params.get("arguments", {}).get("name", "you")
            return {"result": {"content": [{"type": "text", "text": "Hello, %s!" % name}]}}
        return {"error": {"code": -32601, "message": "Not known here"}}

    def event(self, message: "dict[str, Any]") -> "Answer":
        """As a server-sent event, after one that a client has to skip."""
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        events = ["event: message\ndata: %s\n\n" % json.dumps(each)
                  for each in (note, message)]
        return Answer(200, ": hello\n\n" + "".join(events),
                      {"Content-Type": "text/event-stream"})


# ---- The API -----------------------------------------------------------------------------


class Api:
    """A part of Spotify's API under /v1 and of X's under /2."""

    def __init__(
        self, fake: "FakeServer", access_tokens: "dict[str, tuple[Grant, float]]"
    ) -> None:
        self.fake = fake
        self.access_tokens = access_tokens
        self.window_ends, self.used = 0, 0  # the rate limit: a time, requests until then
        # Path, and what the token has to be: None anything, "" any user, or a scope.
        self.routes: list[tuple[str, str | None, Callable[..., Any]]] = [
            ("/v1/echo", None, self.echo),
            ("/v1/tracks/([0-9A-Za-z]{22})", None, self.track),
            ("/v1/artists/([0-9A-Za-z]{22})/albums", None, self.albums),
            ("/v1/me", "", self.me),
            ("/v1/me/tracks", "user-library-read", self.saved_tracks),
            ("/v1/me/following", "user-follow-read", self.following),
            ("/2/users/by/username/([A-Za-z0-9_]{1,15})", None, self.user),
            ("/2/users/([0-9]{1,19})/tweets", None, self.tweets),
        ]

    def answer(self, request: "Request") -> "Answer":
        """What find() found, or its error in Spotify's form or in X's (RFC 9457)."""
        headers: dict[str, str] = {}
        try:
            return Answer(200, self.find(request, headers), headers)
        except Answer as error:
            if request.path.startswith("/v1/"):
                body: Any = {"error": {"status": error.status, "message": error.body}}
            else:
                body = {
                    "title": http.client.responses[error.status],
                    "detail": error.body,
                    "status": error.status,
                    "type": "about:blank",
                }
                headers["Content-Type"] = "application/problem+json"
            return Answer(error.status, body, dict(headers, **dict(error.headers)))

    def find(self, request: "Request", headers: "dict[str, str]") -> "Any":
        if request.path == "/v1/echo" and "Authorization" not in request.headers:
            return self.echo(request)
        grant = self.grant(request)
        if request.path.startswith("/2/"):
            self.count(headers)
        for path, scope, function in self.routes:
            match = re.fullmatch(path, request.path)
            if match and (request.method in ("GET", "HEAD") or path == "/v1/echo"):
                check_scope(grant, scope)
                return function(request._replace(user=grant.user), *match.groups())
        raise Answer(404, "Resource not found")

    def grant(self, request: "Request") -> "Grant":
        """What the token of a request stands for. In the header and only there: an address
        ends up in logs (RFC 9700 section 4.3.2)."""
        if "access_token" in request.query or "access_token" in request.form:
            raise refusal(400, "invalid_request", "The token is for the header")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":          # no error code then: RFC 6750 section 3.1
            challenge = {"WWW-Authenticate": 'Bearer realm="fake"'}
            raise Answer(401, "No token provided", challenge)
        grant, expires_at = self.access_tokens.get(token.strip(), (Grant(), 0))
        if grant.revoked or expires_at <= time.monotonic():
            raise refusal(401, "invalid_token", "The access token expired or is not valid")
        return grant

    def count(self, headers: "dict[str, str]") -> None:
        """X's rate limit."""
        if self.window_ends <= time.time():
            self.window_ends, self.used = int(time.time()) + 15 * 60, 0
        self.used += 1
        left = self.fake.rate_limit - self.used
        headers["x-rate-limit-limit"] = str(self.fake.rate_limit)
        headers["x-rate-limit-remaining"] = str(max(0, left))
        headers["x-rate-limit-reset"] = str(self.window_ends)
        if left < 0:
            raise Answer(429, "Too Many Requests")

    def echo(self, request: "Request") -> "dict[str, Any]":
        """The request itself, also without a token; of the token only the scheme."""
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        return {
            "method": request.method,
            "target": request.target,
            "query": request.query,
            "content_type": request.headers.get("Content-Type"),
            "body": request.body.decode("utf-8", "replace"),
            "authorization": scheme or None,
        }

    # Like Spotify

    def thing(self, type: str, id: str, **more: object) -> "dict[str, Any]":
        return dict(
            {
                "id": id,
                "type": type,
                "name": made_up_name(type + id),
                "href": "%s/v1/%ss/%s" % (self.fake.url, type, id),
                "uri": "spotify:%s:%s" % (type, id),
            },
            **more,
        )

    def track(self, request: "Request", id: str) -> "dict[str, Any]":
        number = zlib.crc32(id.encode("ascii"))
        return self.thing(
            "track",
            id,
            duration_ms=120000 + number % 180000,
            artists=[self.thing("artist", made_up_id(number % 45))],
            album=self.thing("album", made_up_id(number % 1000)),
        )

    def albums(self, request: "Request", id: str) -> "dict[str, Any]":
        return self.listing(
            request,
            27,
            lambda index: self.thing(
                "album",
                made_up_id(index),
                album_type="album",
                total_tracks=10 + index % 5,
                release_date="%d-05-17" % (2024 - index),
                artists=[self.thing("artist", id)],
            ),
        )

    def me(self, request: "Request") -> "dict[str, Any]":
        return self.thing("user", request.user, display_name=USERS[request.user])

    def saved_tracks(self, request: "Request") -> "dict[str, Any]":
        first = 1000 * list(USERS).index(request.user)  # no track is saved by both
        return self.listing(
            request,
            120,
            lambda index: {
                "added_at": "2024-%02d-%02dT12:00:00Z"
                % (12 - index // 10, 28 - index % 10 * 2),
                "track": self.track(request, made_up_id(first + index)),
            },
        )

    def listing(
        self, request: "Request", total: int, item: "Callable[[int], dict[str, Any]]"
    ) -> "dict[str, Any]":
        """A page that is counted off."""
        limit = number(request, "limit", 20, 1, 50)
        offset = number(request, "offset", 0, 0, 10**9)
        following = self.link(request, limit=limit, offset=offset + limit)
        return {
            "limit": limit,
            "offset": offset,
            "total": total,
            "next": following if offset + limit < total else None,
            "items": [item(index) for index in range(total)[offset : offset + limit]],
        }

    def link(self, request: "Request", **parameters: object) -> str:
        return (
            self.fake.url + request.path + "?" + urlencode({**request.query, **parameters})
        )

    def following(self, request: "Request") -> "dict[str, Any]":
        """A page with a cursor: the last id of the page before it."""
        if request.query.get("type") != "artist":
            raise Answer(400, "Invalid type")
        limit = number(request, "limit", 20, 1, 50)
        rest = range(45)[number(request, "after", -1, -1, 44) + 1 :]
        ids = [made_up_id(index) for index in rest[:limit]]
        after = ids[-1] if len(rest) > limit else None
        return {
            "artists": {
                "items": [self.thing("artist", id) for id in ids],
                "limit": limit,
                "total": 45,
                "cursors": {"after": after},
                "next": after and self.link(request, after=after),
            }
        }

    # Like X

    def user(self, request: "Request", username: str) -> "dict[str, Any]":
        id = str(zlib.crc32(username.lower().encode("ascii")))
        return {"data": {"id": id, "name": made_up_name(id), "username": username}}

    def tweets(self, request: "Request", id: str) -> "dict[str, Any]":
        count = number(request, "max_results", 10, 5, 100)
        rest = range(230)[number(request, "pagination_token", 0, 0, 229) :]
        data = [
            {
                "id": str(1900000000000000000 - index),
                "text": "%s, no. %d" % (made_up_name(id + str(index)), 230 - index),
            }
            for index in rest[:count]
        ]
        meta: dict[str, Any] = {"result_count": len(data)}
        if len(rest) > count:
            meta["next_token"] = made_up_id(rest[count])
        return {"data": data, "meta": meta}


def check_scope(grant: "Grant", scope: "str | None") -> None:
    allowed = grant.approved and scope in ["", *grant.scope.split()]
    if scope is not None and not allowed:
        raise refusal(403, "insufficient_scope", "Insufficient scope")


def refusal(status: int, error: str, message: str) -> "Answer":
    challenge = 'Bearer error="%s", error_description="%s"' % (error, message)
    return Answer(status, message, {"WWW-Authenticate": challenge})     # RFC 6750 section 3


def number(request: "Request", name: str, default: int, low: int, high: int) -> int:
    text = request.query.get(name, str(default))
    if not re.fullmatch("-?[0-9]{1,22}", text) or not low <= int(text) <= high:
        raise Answer(400, "Invalid %s" % name)
    return int(text)


def made_up_id(index: int) -> str:
    return "%022d" % index


FIRST_WORDS = """
    Quiet Golden Distant Electric Paper Northern Velvet Second Crooked Early
""".split()
SECOND_WORDS = """
    Harbour Morning Signals Orchard Mirrors Tide Letters Engines Lanterns Rain
""".split()


def made_up_name(seed: str) -> str:
    number = zlib.crc32(seed.encode("utf-8"))
    return FIRST_WORDS[number % 10] + " " + SECOND_WORDS[number // 10 % 10]


# ---- The pages ---------------------------------------------------------------------------


def page(status: int, title: str, text: str, form: str = "", kind: str = "") -> "Answer":
    """`text` and `form` are HTML: who calls this has escaped what is in them."""
    return Answer(
        status,
        PAGE.format(
            title=html.escape(title), style=STYLE, text=text, form=form, kind=kind
        ),
        PAGE_HEADERS,
    )


def not_found() -> "Answer":
    return page(404, "Not found", 'There is nothing here. <a href="/">What is here?</a>')


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - fake server</title>
<style>{style}</style>
<main{kind}>
<h1>{title}</h1>
<p>{text}</p>
{form}
<footer>This is the fake server, for learning and testing only.</footer>
</main>
"""
CONSENT = """<ul><li>%s</li></ul>
<p>%s: <strong>%s</strong></p>
<form method="post" action="/decision">
<input type="hidden" name="transaction" value="%s">
<label for="user">You are</label>
<select id="user" name="user">
%s</select>
<button name="decision" value="deny">Deny</button>
<button class="yes" name="decision" value="approve">Allow</button>
</form>"""
DEVICE_FORM = """<form action="/device">
<label for="user_code">The code that your device shows</label>
<input id="user_code" name="user_code" required autofocus autocomplete="off"
  spellcheck="false">
<button class="yes">Continue</button>
</form>"""
STYLE = """
:root { color-scheme: light dark; --card: #fff; --soft: #5c6066; --yes: #14603c;
  --ink: #f1f3f4; --line: #d7dadd }
@media (prefers-color-scheme: dark) {
  :root { --card: #1e2123; --soft: #a3a9ae; --yes: #7ed3a4; --ink: #121415;
    --line: #3c4144 }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card);
  border: 1px solid var(--soft); border-radius: .75rem; overflow-wrap: anywhere }
h1, h2 { margin: 0; font-size: 1.375rem; line-height: 1.25 }
h2 { margin: 2rem 0 .75rem; font-size: 1.125rem }
h3 { margin: 1rem 0 0; font-size: 1rem; font-weight: 600 }
p:empty { display: none }
a { color: var(--yes) }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0 }
label, input, select { flex: 1 0 100% }
button { flex: 1; cursor: pointer }
input, select, button { min-height: 2.75rem; padding: .5rem 1rem; font: inherit;
  color: inherit; border: 1px solid var(--soft); border-radius: .5rem;
  background: var(--card) }
.yes { border-color: var(--yes); background: var(--yes); color: var(--card) }
:focus-visible { outline: 3px solid var(--yes); outline-offset: 2px }
footer { color: var(--soft); font-size: .875rem }
.wide { max-width: 56rem }
.wide button { flex: 0 1 auto }
dl { display: grid; grid-template-columns: minmax(8rem, 2fr) 3fr; margin: 0 }
dt, dd { margin: 0; padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line) }
pre, code { font: .875rem/1.5 ui-monospace, Consolas, monospace }
pre { margin: .5rem 0; padding: .75rem 1rem; border-radius: .5rem; background: var(--ink);
  white-space: pre-wrap }
ol { margin: 0; padding: 0; list-style: none }
summary { padding: .375rem .25rem; border-top: 1px solid var(--line); cursor: pointer }
@media (max-width: 36rem) {
  main { padding: 1.25rem }
  dl { display: block }
  dd { border: 0; padding-top: 0 }
}
"""
STYLE_DIGEST = hashlib.sha256(STYLE.encode("ascii")).digest()
STYLE_HASH = base64.b64encode(STYLE_DIGEST).decode("ascii")
POLICY = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-%s'"
)
PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # No form-action: Chromium applies it to the redirect after the form, too.
    "Content-Security-Policy": POLICY % STYLE_HASH,
    "X-Frame-Options": "DENY",                  # no clickjacking: RFC 6749 section 10.13
    "Referrer-Policy": "no-referrer",  # the address holds the state: RFC 9700 section 4.2
    **NO_STORE,
}


# ---- The start page ----------------------------------------------------------------------

SHELL = (  # what to try: what it is, and the command lines
    ("The program itself: a token, and a request with it",
     """export OAUTH2_CLIENT_ID=fake-app OAUTH2_CLIENT_SECRET='fake secret/ü+%:'
python3 oauth2min.py get {url} \\
    {url}/v1/tracks/11dFghVXANMlKmJXsNCbNl --trace"""),
    ("A user, who says yes in a browser",
     """export OAUTH2_CLIENT_ID=fake-public OAUTH2_CLIENT_SECRET=
python3 oauth2min.py login {url} --scope user-library-read
python3 oauth2min.py get {url} {url}/v1/me"""),
    ("The same for a device that has no browser, which shows a code",
     """python3 oauth2min.py logout {url}
python3 oauth2min.py login {url} --device"""),
    ("By hand: curl does not encode the secret as RFC 6749 section 2.3.1 wants it",
     """curl -u 'fake-app:fake+secret%2F%C3%BC%2B%25%3A' \\
     -d grant_type=client_credentials {url}/token"""),
)
METHODS = {
    "client_secret_basic": "in the header Authorization: Basic",
    "client_secret_post": "in the form: client_id and client_secret",
    "none": "has no secret: the form has its client_id",
}
ENDPOINTS = {
    "/.well-known/oauth-authorization-server": "What this server can do (RFC 8414)",
    "/.well-known/openid-configuration": "The same, at the address of OpenID",
    "/authorize": "The user says yes or no (RFC 6749 section 3.1)",
    "/token": "A code, a refresh token or a secret becomes a token (section 3.2)",
    "/revoke": "Ends a token (RFC 7009)",
    "/device_authorization": "A device asks for a code (RFC 8628)",
    "/device": "The user types that code",
    "/register": "A program registers itself (RFC 7591)",
    "/mcp": "An MCP server, whose 401 tells where to register and to log in",
    "/.well-known/oauth-protected-resource/mcp": "What it told (RFC 9728)",
}
RESOURCES = (
    ("/v1/echo", "Your request as it came, also without a token"),
    ("/v1/tracks/ID", "A track. An ID is any 22 letters and digits"),
    ("/v1/artists/ID/albums", "27 albums, page by page"),
    ("/v1/me", "The user: it takes a login"),
    ("/v1/me/tracks", "120 saved tracks: it takes user-library-read"),
    ("/v1/me/following?type=artist", "45 artists: it takes user-follow-read"),
    ("/2/users/by/username/NAME", "A user, as at X"),
    ("/2/users/NUMBER/tweets", "Posts, 900 requests in 15 minutes, as at X"),
)
FORGET = """<form method="post" action="/expire">
<button>Forget all access tokens</button>
</form>
<p>Then each is refused with 401, as if its time were over. Refresh tokens stay.</p>"""
OWN_PAGES = "/", "/expire", "/favicon.ico"


def own_page(fake: "FakeServer", request: "Request") -> "Answer":
    """What no authorization server has: the start page, and its button."""
    if request.method == "GET" and request.path == "/":
        return start_page(fake)
    if request.method == "POST" and request.path == "/expire":
        fake.expire()
        return Answer(303, "", {"Location": "/#messages", **NO_STORE})
    return not_found()


def start_page(fake: "FakeServer") -> "Answer":
    """Tells a person who opened it what is here, what to try, and what came in last."""
    endpoints = fake._authorization_server.endpoints
    parts = [
        "<h2>Try it</h2>",
        "<p>Run this in another terminal, in the folder of <code>oauth2min.py</code>. More "
        "to try, and exercises, are in <code>examples/README.md</code>.</p>",
        *("<h3>%s</h3>\n%s" % (title, code(commands.format(url=fake.url), "pre"))
          for title, commands in SHELL),
        '<h2 id="messages">The last messages</h2>',
        '<p>The newest is the first. <a href="/">Load this page again</a> to see newer '
        "ones. Tokens, codes and secrets are masked.</p>",
        messages(fake.history),
        FORGET,
        "<h2>Clients</h2>",
        definitions(
            (code(client_id), METHODS.get(client["token_endpoint_auth_method"], "")
             + secret_of(client_id))
            for client_id, client in fake.clients.items()
        ),
        "<p>Each may come back to <code>/callback</code> on 127.0.0.1, [::1] or localhost, "
        "at any port.</p>",
        "<h2>Endpoints of the authorization server</h2>",
        definitions(
            (code("%s %s" % (method, path)), ENDPOINTS.get(path, ""))
            for path, (method, _) in endpoints.items()
            if path != "/decision"  # which only the form of the consent page knows
        ),
        "<h2>Scopes</h2>",
        definitions((code(word), wish) for word, wish in SCOPES.items()),
        "<h2>API</h2>",
        definitions((code("GET " + path), what) for path, what in RESOURCES),
    ]
    text = "An authorization server and an API in one, at %s. Its users are %s." % (
        code(fake.url),
        " and ".join(USERS.values()),
    )
    title = "An OAuth 2.0 server to play with"
    return page(200, title, text, "\n".join(parts), ' class="wide"')


def secret_of(client_id: str) -> str:
    """Only of those that this file makes up: another's is not ours to show."""
    for name, _, secret in CLIENTS:
        if name == client_id and secret:
            return "; its secret is " + code(secret)
    return ""


def code(text: str, tag: str = "code") -> str:
    return "<%s>%s</%s>" % (tag, html.escape(text), tag)


def definitions(pairs: "Any") -> str:
    rows = ["<dt>%s</dt>\n<dd>%s</dd>\n" % pair for pair in pairs]
    return "<dl>\n%s</dl>" % "".join(rows)


def messages(history: "Any") -> str:
    rows = [
        "<li><details>\n<summary>%s %s %d</summary>\n%s%s</details></li>\n"
        % (
            time.strftime("%H:%M:%S", time.localtime(exchange.time)),
            code("%s %s" % (exchange.request.method, exchange.path)),
            exchange.status,
            code(readable(exchange.request_text()), "pre"),
            code(readable(exchange.answer_text()), "pre"),
        )
        for exchange in reversed(history)
    ]
    return "<ol>\n%s</ol>" % "".join(rows) if rows else "<p>None so far.</p>"


# ---- Connections -------------------------------------------------------------------------


class Listener(socketserver.ThreadingTCPServer):
    """One thread a connection, each of them known: close() leaves nothing behind."""

    # On Windows it would share the port with others.
    allow_reuse_address = os.name == "posix"
    request_queue_size = 256

    def __init__(self, fake: "FakeServer") -> None:
        self.fake = fake
        self.workers: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", fake.port), Handler)

    def serve(self) -> None:
        """Until close(), which comes with a last connection: nothing wakes up in vain."""
        while not self.fake.closing.is_set():
            self.handle_request()

    def verify_request(self, request: "Any", client_address: "Any") -> bool:
        return not self.fake.closing.is_set()   # the last connection needs no thread

    def process_request(self, request: "Any", client_address: "Any") -> None:
        if self.fake.context:  # the handshake is for the worker: it may take its time
            request = self.fake.context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        worker = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.workers[worker] = request
        self.fake.connections += 1
        worker.start()

    def handle_error(self, request: "Any", client_address: "Any") -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client may hang up when it likes
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1                               # an answer is sent in one piece
    server: "Listener"

    def do_GET(self) -> None:
        fake = self.server.fake
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,7}", length):
            return self.send_error(411)  # and hangs up: where does the next request begin?
        body = self.rfile.read(int(length))
        try:
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query, keep_blank_values=True, errors="strict")
            is_form = self.headers.get_content_type() == FORM
            text = body.decode("ascii") if is_form else ""
            form = parse_qsl(text, keep_blank_values=True, errors="strict")
        except ValueError:
            return self.send_error(400, "The URL or the form is malformed")
        repeated = len(dict(query)) + len(dict(form)) < len(query) + len(form)
        request = Request(
            self.command,
            parts.path,
            self.path,
            self.headers,
            dict(query),
            dict(form),
            body,
            repeated,
        )
        answer = fake.answer(request)
        content_type, content = answer.content()
        fake.tell(request, answer, content)
        fake.closing.wait(answer.delay)
        self.close_connection = self.close_connection or answer.close
        if answer.raw is None:
            self.send(answer, content_type, content)
        else:
            self.wfile.write(answer.raw)
        # Without the query, which may hold a code.
        fake.log("%s %s -> %d" % (self.command, parts.path, answer.status))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def send(self, answer: "Answer", content_type: str, content: bytes) -> None:
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": content_type,
            "Content-Length": str(len(content)),
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, _ in answer.headers:
            headers.pop(name.title(), None)
        self.send_response_only(answer.status)
        for pair in [*headers.items(), *answer.headers]:
            self.send_header(*pair)
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(content)

    def log_message(self, format: str, *args: "Any") -> None:
        """Says nothing, also of what http.server itself refuses."""


# ---- By hand -----------------------------------------------------------------------------

USAGE = """\
A fake OAuth 2.0 server, for learning and testing only: {url}

Open that address in a browser: it shows what is here, and the last messages.

  client id     client secret           authentication
  fake-app      'fake secret/ü+%:'      client_secret_basic
  fake-post     'fake secret/ü+%:'      client_secret_post
  fake-public   (leave it unset)        none
"""


def usage(url: str) -> str:
    text = USAGE.format(url=url)
    for title, commands in SHELL:
        text += "\n%s:\n\n  %s\n" % (title, commands.format(url=url).replace("\n", "\n  "))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description="An OAuth 2.0 server and API, for learning only."
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="8080 by default; 0: any free one"
    )
    server = FakeServer(parser.parse_args().port)
    server.log = print
    server.kept = HISTORY                       # it may run for days
    try:
        server.start()
    except OverflowError:
        sys.exit("a port is a number from 0 to 65535")
    except OSError as error:
        sys.exit(
            "cannot listen on port %d: %s; try --port 0"
            % (server.port, error.strerror or error)
        )
    try:
        sys.stdout.buffer.write(usage(server.url).encode())     # whatever the locale
        sys.stdout.flush()
        while True:
            time.sleep(1)               # Windows does not hear Ctrl-C in a wait without end
    except KeyboardInterrupt:
        server.close()


if __name__ == "__main__":
    main()
