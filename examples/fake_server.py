#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""An OAuth 2.0 authorization server and a small API in one, for learning and testing ONLY.

It has one user, who never has to log in, keeps everything in memory and listens on this machine
alone. In what it accepts it is stricter than most real servers: a client that gets on with this
one should get on with any. The clause behind each strictness stands beside it.

By hand:

    python3 examples/fake_server.py                 # tells how to use it, serves until Ctrl-C

In a program, on a free port:

    with FakeServer() as server:
        client = Client(server.metadata, "fake-app", server.clients["fake-app"]["client_secret"])
        print(client.get("tracks/11dFghVXANMlKmJXsNCbNl").json()["name"])
        print(server.forms("/token"))               # what the client sent

The API looks like Spotify's under /v1 and like X's under /2. Its data are made up: whatever id
you ask for, if only it has the right form, exists.
"""

import argparse
import base64
import email.message
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
import sys
import threading
import time
import zlib
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple, Tuple
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

CODE_LIFE = 60                  # seconds; RFC 6749 section 4.1.2 allows ten minutes at most
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
FORM = "application/x-www-form-urlencoded"
MAX_BODY = 64 * 1024            # bytes of a request body
Headers = Tuple[Tuple[str, str], ...]
NO_STORE: "Headers" = (("Cache-Control", "no-store"),)
SCOPES = {
    "user-library-read": "See the tracks that you saved",
    "user-follow-read": "See whom you follow",
    "user-read-private": "See your name and your country",
    "playlist-read-private": "See your private playlists",
    "tweet.read": "See posts as you see them",
    "users.read": "See profiles as you see them",
    "offline.access": "Stay connected until you end it",
}


class Request(NamedTuple):
    """A request as it arrived. Of a parameter that is there twice, `query` and `form` hold the
    last value; `target` is the path and the query exactly as they were sent."""

    method: str
    path: str
    query: "dict[str, str]"
    headers: "email.message.Message"
    form: "dict[str, str]"
    body: bytes
    target: str


class Answer(Exception):
    """Returned by what handles a request, or raised, from any depth. A str or bytes body is sent
    as it is, any other as JSON."""

    def __init__(self, status: int, body: "Any", headers: "Headers" = ()) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class FakeServer:
    """Serves in threads of its own from start() to close(), or within a `with` block.

    The attributes in the first group may be set at any time. `context` is an `ssl.SSLContext`
    with a certificate: then `url` is https.
    """

    def __init__(self, port: int = 0, context: "Any" = None, host: str = "127.0.0.1") -> None:
        self.expires_in: "float" = 3600         # seconds, of access tokens to come
        self.rotate = True                      # a new refresh token with every refresh?
        self.issue_refresh_token = True
        self.token_delay = 0.0                  # seconds that the token endpoint takes
        self.device_interval: "float" = 5       # seconds between two polls
        self.device_expires_in: "float" = 600   # seconds that a device code lives
        self.rate_limit = 900                   # requests to /2 in 15 minutes
        self.log: "Callable[[str], object] | None" = None       # print, for example

        self.host, self.port, self.context = host, port, context
        self.url = ""                           # known after start()
        self.connections = 0                    # accepted so far
        self.requests: "list[Request]" = []     # in the order of their arrival
        self.clients: "dict[str, dict[str, Any]]" = {}
        for client_id, method, secret in (
                # All that goes wrong if it is not encoded as RFC 6749 section 2.3.1 says.
                ("fake-app", "client_secret_basic", "fake secret/ü+%:"),
                ("fake-post", "client_secret_post", "fake secret/ü+%:"),
                ("fake-public", "none", None)):
            self.clients[client_id] = {
                "client_secret": secret, "token_endpoint_auth_method": method,
                "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback",
                                  "http://localhost/callback"]}
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._scripts: "dict[str, list[SimpleNamespace]]" = {}
        self._browsers: "list[threading.Thread]" = []
        self._pages: "list[tuple[int, Any, str]]" = []
        self._authorization_server = AuthorizationServer(self)
        self._api = Api(self, self._authorization_server)

    def start(self) -> "FakeServer":
        self._httpd = HTTPServer(self)
        self.url = "%s://%s:%d" % ("https" if self.context else "http", self.host,
                                   self._httpd.server_port)
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,),
                                        daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Waits for the browsers of browser(), hangs up on everybody and ends all threads."""
        self._join_browsers()
        self.closing.set()
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()
        for worker in self._httpd.hang_up():
            worker.join()

    def __enter__(self) -> "FakeServer":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def metadata(self) -> "dict[str, Any]":
        """What a Client needs to know of this server (RFC 8414), the base_url of /v1 with it."""
        return self.provider("spotify")

    def provider(self, name: str) -> "dict[str, Any]":
        """The metadata, with the base_url of the API that looks like "spotify" or like "x"."""
        return dict(self._authorization_server.metadata(),
                    base_url=self.url + {"spotify": "/v1", "x": "/2"}[name])

    def forms(self, path: str = "/token") -> "list[dict[str, str]]":
        return [request.form for request in self.requests if request.path == path]

    def expire(self) -> None:
        """From now on every access token issued so far is refused with 401."""
        self._authorization_server.expire()

    # Trouble to order

    def script(self, path: str, status: int = 200, body: "Any" = None, headers: "Any" = (),
               raw: "bytes | None" = None, delay: float = 0, close: bool = False) -> None:
        """The next request to `path`, whatever its method, gets this answer. They queue up.

        A str or bytes body is sent as it is, any other as JSON ({} by default); `headers` (a dict
        or pairs) go before the usual ones; `raw` is written to the socket instead of all that.
        `close` hangs up afterwards, and when nothing else is given, without any answer.
        """
        if close and (status, body, raw) == (200, None, None) and not headers:
            raw = b""
        pairs = tuple(headers.items() if isinstance(headers, dict) else headers)
        answer = Answer(status, {} if body is None else body, pairs)
        with self._lock:
            self._scripts.setdefault(path, []).append(
                SimpleNamespace(answer=answer, raw=raw, delay=delay, close=close))

    def unasked(self) -> "list[str]":
        """The paths of scripted answers that nobody has asked for."""
        with self._lock:
            return [path for path, scripts in self._scripts.items() for _ in scripts]

    def hang_up(self) -> None:
        """Closes every open connection without a word, as servers do with idle ones."""
        self._httpd.hang_up()

    # The user

    def approve(self, url: str) -> str:
        """Agrees at an authorization URL; returns the address that the browser is sent to. If
        there is none, because the request was not acceptable, a ValueError says why."""
        return self._decide(url, "approve")

    def deny(self, url: str) -> str:
        return self._decide(url, "deny")

    def approve_device(self, user_code: str) -> None:
        """Agrees to a device login. A KeyError: no device waits with this code."""
        self._authorization_server.decide_device(user_code, True)

    def deny_device(self, user_code: str) -> None:
        self._authorization_server.decide_device(user_code, False)

    def browser(self, url: str) -> bool:
        """For `Client.login(open_browser=server.browser)`: approves in a thread and follows the
        redirect. The page where that ends is kept in `pages`."""
        return self._browse(url, "approve")

    def denying_browser(self, url: str) -> bool:
        return self._browse(url, "deny")

    @property
    def pages(self) -> "list[tuple[int, Any, str]]":
        """(status, headers, text) of the page where each browser ended; waits for those on their
        way. The status is 0, and the text an error, for one that got nowhere."""
        self._join_browsers()
        return self._pages

    def _browse(self, url: str, decision: str) -> bool:
        def run() -> None:
            try:
                page = fetch("GET", self._decide(url, decision))
            except (OSError, ValueError, http.client.HTTPException) as error:
                page = 0, {}, str(error)
            self._pages.append(page)

        thread = threading.Thread(target=run, daemon=True)
        self._browsers.append(thread)
        thread.start()
        return True

    def _join_browsers(self) -> None:
        for thread in self._browsers:
            thread.join()

    def _decide(self, url: str, decision: str) -> str:
        status, headers, text = fetch("GET", url)
        if status == 200:
            fields = dict(re.findall('<input type="hidden" name="([^"]+)" value="([^"]+)">', text))
            fields["decision"] = decision
            status, headers, text = fetch("POST", self.url + "/authorize/decision", fields)
        if status != 303:
            title = re.search("<h1>(.*)</h1>", text)
            raise ValueError("the authorization server answered %d: %s"
                             % (status, title.group(1) if title else text))
        return str(headers["Location"])

    # Called by the handler of the connections, below

    def take_script(self, request: "Request") -> "SimpleNamespace | None":
        """Writes the request down; returns the answer that is scripted for it."""
        with self._lock:
            self.requests.append(request)
            scripts = self._scripts.get(request.path)
            return scripts.pop(0) if scripts else None

    def answer(self, request: "Request", repeated: bool) -> "Answer":
        try:
            if re.match("/(v1|2)/", request.path):
                return self._api.answer(request)
            if repeated:                        # RFC 6749 sections 3.1 and 3.2
                raise oauth_error("invalid_request", "A parameter is there twice")
            return self._authorization_server.answer(request)
        except Answer as answer:
            return answer


def fetch(method: str, url: str, form: "dict[str, str] | None" = None) -> "tuple[int, Any, str]":
    """What a browser would get, redirects not followed: (status, headers, text)."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    if parts.scheme == "https":
        import ssl
        # Not verified: it talks to the server in this process, whatever certificate that has.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.netloc, timeout=30, context=context)
    try:
        connection.request(method, parts._replace(scheme="", netloc="", fragment="").geturl(),
                           urlencode(form) if form else None,
                           {"Content-Type": FORM} if form else {})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


# ---- Connections -----------------------------------------------------------------------------

class HTTPServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread a connection, each of them known, so that close() leaves nothing behind."""

    allow_reuse_address = os.name == "posix"    # on Windows it would share the port with others
    request_queue_size = 256

    def __init__(self, fake: "FakeServer") -> None:
        self.fake = fake
        self.workers: "dict[threading.Thread, socket.socket]" = {}
        self.lock = threading.Lock()
        super().__init__((fake.host, fake.port), Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)        # without HTTPServer's slow getfqdn()
        self.server_name, self.server_port = self.fake.host, self.server_address[1]

    def get_request(self) -> "tuple[socket.socket, Any]":
        connection, address = super().get_request()
        if self.fake.context:           # the handshake is for the worker: it may take its time
            connection = self.fake.context.wrap_socket(connection, server_side=True,
                                                       do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: "Any", client_address: "Any") -> None:
        worker = threading.Thread(target=self.process_request_thread,
                                  args=(request, client_address), daemon=True)
        with self.lock:
            self.workers[worker] = request
            self.fake.connections += 1
        worker.start()

    def shutdown_request(self, request: "Any") -> None:
        super().shutdown_request(request)
        with self.lock:
            self.workers.pop(threading.current_thread(), None)

    def hang_up(self) -> "list[threading.Thread]":
        with self.lock:
            for connection in self.workers.values():
                try:
                    # Not SSLSocket's own, which takes the TLS state away from under a reader.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    pass                # the other side was faster
            return list(self.workers)

    def handle_error(self, request: "Any", client_address: "Any") -> None:
        if not isinstance(sys.exc_info()[1], OSError):      # a client may hang up when it likes
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads a request, has it answered, and sends the answer in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "HTTPServer"

    def do_GET(self) -> None:
        fake = self.server.fake
        try:
            request, repeated = self.read_request()
        except Answer as answer:
            self.close_connection = True        # who knows where the next request begins
            return self.send(answer)
        script = fake.take_script(request)
        if script is None:
            return self.send(fake.answer(request, repeated))
        fake.closing.wait(script.delay)
        self.close_connection = self.close_connection or script.close
        if script.raw is None:
            return self.send(script.answer)
        self.wfile.write(script.raw)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def read_request(self) -> "tuple[Request, bool]":
        """The request, and whether a parameter is there twice."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,9}", length):
            raise oauth_error("invalid_request", "A plain Content-Length is needed", 411)
        body = self.rfile.read(min(int(length), 16 * MAX_BODY))     # or the answer may get lost
        if int(length) > MAX_BODY:
            raise oauth_error("invalid_request", "The body is too large", 413)
        if len(body) < int(length):
            raise ConnectionResetError("hung up in the middle of a request")
        try:
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query, keep_blank_values=True, errors="strict")
            text = body.decode("ascii") if self.headers.get_content_type() == FORM else ""
            form = parse_qsl(text, keep_blank_values=True, errors="strict")
        except ValueError:
            raise oauth_error("invalid_request", "The URL or the form is malformed") from None
        repeated = len(dict(query)) + len(dict(form)) < len(query) + len(form)
        return Request(self.command, parts.path, dict(query), self.headers, dict(form), body,
                       self.path), repeated

    def send(self, answer: "Answer") -> None:
        body, content_type = answer.body, "text/plain; charset=utf-8"
        if not isinstance(body, (str, bytes)):
            body, content_type = json.dumps(body), "application/json"
        body = body.encode("utf-8") if isinstance(body, str) else body
        usual = [("Date", self.date_time_string()), ("Content-Type", content_type),
                 ("Content-Length", str(len(body)))]
        if answer.status in (204, 304):
            del usual[1:]
        if self.close_connection:
            usual.append(("Connection", "close"))
        given = {name.lower() for name, _ in answer.headers}
        head = ["HTTP/1.1 %d %s" % (answer.status, http.client.responses.get(answer.status, ""))]
        head += ["%s: %s" % pair for pair in usual if pair[0].lower() not in given]
        head += ["%s: %s" % pair for pair in answer.headers]
        if self.command == "HEAD" or answer.status in (204, 304):
            body = b""
        self.wfile.write("\r\n".join(head + ["", ""]).encode("latin-1") + body)
        if self.server.fake.log:                # without the query, which may hold a code
            self.server.fake.log("%s %s -> %d" % (self.command, self.path.partition("?")[0],
                                                  answer.status))

    def log_message(self, format: str, *args: "Any") -> None:
        """Says nothing, also of what http.server itself refuses."""


# ---- The authorization server ----------------------------------------------------------------

class Grant:
    """What a user, or nobody in particular, allowed a client: its tokens live and die with it."""

    def __init__(self, client_id: str, scope: str, user: bool) -> None:
        self.client_id = client_id
        self.scope = scope
        self.user = user
        self.refresh_token: "str | None" = None     # the one that is good now
        self.revoked = False


class AuthorizationServer:
    """The endpoints of RFC 6749, 7009, 8414 and 8628. All state is here, under one lock."""

    def __init__(self, fake: "FakeServer") -> None:
        self.fake = fake
        self.lock = threading.RLock()
        self.questions: "dict[str, SimpleNamespace]" = {}   # consent pages not yet answered
        self.codes: "dict[str, SimpleNamespace]" = {}
        self.devices: "dict[str, SimpleNamespace]" = {}
        self.access_tokens: "dict[str, SimpleNamespace]" = {}
        self.refresh_tokens: "dict[str, Grant]" = {}        # all there ever were
        self.endpoints: "dict[str, dict[str, Callable[[Request], Answer]]]" = {
            "/.well-known/oauth-authorization-server": {"GET": self.discovery},
            "/.well-known/openid-configuration": {"GET": self.discovery},
            "/authorize": {"GET": self.authorize},
            "/authorize/decision": {"POST": self.decision},
            "/token": {"POST": self.token},
            "/revoke": {"POST": self.revoke},
            "/device_authorization": {"POST": self.device_authorization},
            "/device": {"GET": self.device, "POST": self.device_decision},
        }

    def answer(self, request: "Request") -> "Answer":
        methods = self.endpoints.get(request.path)
        if methods is None:
            return page(404, "Not found", "<p>There is nothing here.</p>")
        if request.method not in methods:           # RFC 6749 section 3.2: POST, to get a token
            raise oauth_error("invalid_request", "The method is not allowed here", 405,
                              (("Allow", ", ".join(methods)),))
        if request.path == "/token":
            self.fake.closing.wait(self.fake.token_delay)
        with self.lock:
            return methods[request.method](request)

    def metadata(self) -> "dict[str, Any]":
        url = self.fake.url
        return {
            "issuer": url,
            "authorization_endpoint": url + "/authorize",
            "token_endpoint": url + "/token",
            "revocation_endpoint": url + "/revoke",
            "device_authorization_endpoint": url + "/device_authorization",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials",
                                      "refresh_token", DEVICE_CODE],
            "token_endpoint_auth_methods_supported": ["client_secret_basic",
                                                      "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": list(SCOPES),
        }

    def discovery(self, request: "Request") -> "Answer":
        return Answer(200, self.metadata())

    # The authorization endpoint

    def authorize(self, request: "Request") -> "Answer":
        query = request.query
        client = self.fake.clients.get(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        # No redirect to an address that nobody registered (RFC 6749 section 4.1.2.1). It is never
        # optional here, though section 3.1.2.3 would allow that if only one is registered.
        if client is None:
            return page(400, "Unknown client_id", "<p>No client is registered under it.</p>")
        if not any(same_redirect_uri(redirect_uri, uri) for uri in client["redirect_uris"]):
            return page(400, "Wrong redirect_uri", "<p>It must be one of those that are "
                        "registered for the client, to the letter.</p>")
        try:
            if required(query, "response_type") != "code":
                raise oauth_error("unsupported_response_type", "The response_type must be code")
            required(query, "state")                # against forged answers: RFC 6749 10.12
            # PKCE for every client, public or not (RFC 9700 section 2.1.1), and never plain.
            if query.get("code_challenge_method") != "S256":
                raise oauth_error("invalid_request", "The code_challenge_method must be S256")
            # 32 bytes as base64url without padding: RFC 7636 section 4.2.
            if not re.fullmatch("[A-Za-z0-9_-]{43}", required(query, "code_challenge")):
                raise oauth_error("invalid_request", "The code_challenge must have 43 characters")
            scope = known_scope(query)
        except Answer as answer:
            return self.redirect(redirect_uri, query.get("state"), answer.body)
        back = "%s://%s" % urlsplit(redirect_uri)[:2]
        return self.ask("/authorize/decision", "Then you go back to", back, SimpleNamespace(
            client_id=query["client_id"], scope=scope, redirect_uri=redirect_uri,
            state=query["state"], code_challenge=query["code_challenge"]))

    def ask(self, action: str, label: str, value: str, question: "SimpleNamespace") -> "Answer":
        """The consent page. Its form holds a number that works once and that no other site can
        guess (RFC 6749 section 10.12); a real server ties it to the user's session as well."""
        transaction = secrets.token_urlsafe(32)
        self.questions[transaction] = question
        question.action = action
        return consent_page(action, transaction, question.client_id, question.scope, label, value)

    def asked(self, request: "Request") -> "SimpleNamespace":
        question = self.questions.pop(request.form.get("transaction", ""), None)
        if question is None or question.action != request.path:
            raise page(400, "Too late", "<p>This was answered before. Please start again in the "
                       "application.</p>")
        return question

    def decision(self, request: "Request") -> "Answer":
        question = self.asked(request)
        if request.form.get("decision") != "approve":
            return self.redirect(question.redirect_uri, question.state, {
                "error": "access_denied", "error_description": "The user said no"})
        code = secrets.token_urlsafe(32)
        self.codes[code] = question
        question.expires_at = time.monotonic() + CODE_LIFE
        question.grant = None                       # until the code is spent
        return self.redirect(question.redirect_uri, question.state, {"code": code})

    def redirect(self, redirect_uri: str, state: "str | None",
                 answer: "dict[str, str]") -> "Answer":
        if state:
            answer = dict(answer, state=state)      # RFC 6749 section 4.1.2
        answer = dict(answer, iss=self.fake.url)    # RFC 9207, in errors as well
        # A query in the redirect_uri is kept (RFC 6749 section 3.1.2). 303, because after a 307
        # the browser would post the form on to the client (RFC 9700 section 4.12).
        location = redirect_uri + ("&" if "?" in redirect_uri else "?") + urlencode(answer)
        return Answer(303, "", NO_STORE + (("Location", location),
                                           ("Referrer-Policy", "no-referrer")))

    # The token endpoint

    def client(self, request: "Request") -> str:
        """Authenticates the client that sent a request itself (RFC 6749 section 2.3); its id."""
        if "?" in request.target:                   # RFC 6749 section 2.3.1
            raise oauth_error("invalid_request", "Parameters belong into the body")
        if request.headers.get_content_type() != FORM:      # RFC 6749 section 4.1.3 and others
            raise oauth_error("invalid_request", "The body must be form-encoded")
        header = request.headers.get("Authorization")
        client_id, secret = request.form.get("client_id", ""), request.form.get("client_secret")
        challenge: "Headers" = ()
        if header is None:
            method = "none" if secret is None else "client_secret_post"
        elif secret is not None:                    # RFC 6749 section 2.3
            raise oauth_error("invalid_request", "The client authenticates in two ways at once")
        else:
            method = "client_secret_basic"
            challenge = (("WWW-Authenticate", 'Basic realm="fake"'),)   # RFC 6749 section 5.2
            id_in_form = client_id
            client_id, secret = basic_credentials(header)
            if id_in_form not in ("", client_id):
                raise oauth_error("invalid_request", "Two different values of client_id")
        client = self.fake.clients.get(client_id)
        # The method that it is registered with and no other: RFC 7591 section 2.
        if client is None or client["token_endpoint_auth_method"] != method or not (
                hmac.compare_digest(repr(client["client_secret"]).encode("utf-8"),
                                    repr(secret).encode("utf-8"))):
            raise oauth_error("invalid_client", "The client is unknown, its secret is wrong, or "
                              "it is to authenticate in another way", 401, challenge)
        return client_id

    def token(self, request: "Request") -> "Answer":
        client_id = self.client(request)
        grants: "dict[str, Callable[[str, dict[str, str]], dict[str, Any]]]" = {
            "client_credentials": self.client_credentials,
            "authorization_code": self.authorization_code,
            "refresh_token": self.refresh_token,
            DEVICE_CODE: self.device_code,
        }
        grant_type = required(request.form, "grant_type")
        if grant_type not in grants:
            raise oauth_error("unsupported_grant_type", "This grant_type is not known here")
        return Answer(200, grants[grant_type](client_id, request.form), NO_STORE)

    def client_credentials(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        if self.fake.clients[client_id]["client_secret"] is None:       # RFC 6749 section 4.4
            raise oauth_error("unauthorized_client", "Not for a public client")
        return self.issue(Grant(client_id, known_scope(form), user=False))

    def authorization_code(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        code = self.codes.get(required(form, "code"))
        redirect_uri, verifier = required(form, "redirect_uri"), required(form, "code_verifier")
        if code is None or code.client_id != client_id:     # RFC 6749 section 4.1.3
            raise oauth_error("invalid_grant", "The code is not known")
        if code.grant is not None:
            code.grant.revoked = True               # one of two stole it: RFC 6749 section 4.1.2
            raise oauth_error("invalid_grant", "The code was used before")
        code.grant = Grant(client_id, code.scope, user=True)    # spent, whatever comes now
        if time.monotonic() > code.expires_at:
            raise oauth_error("invalid_grant", "The code has expired")
        if code.redirect_uri != redirect_uri:       # with its port: RFC 6749 section 4.1.3
            raise oauth_error("invalid_grant", "Not the redirect_uri of the authorization request")
        if not re.fullmatch("[A-Za-z0-9._~-]{43,128}", verifier):       # RFC 7636 section 4.1
            raise oauth_error("invalid_grant", "The code_verifier is malformed")
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        if base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=") != code.code_challenge:
            raise oauth_error("invalid_grant", "The code_verifier is wrong")    # section 4.6
        return self.issue(code.grant)

    def refresh_token(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        token = required(form, "refresh_token")
        grant = self.refresh_tokens.get(token)
        if grant is None or grant.client_id != client_id or grant.revoked:  # RFC 6749 section 6
            raise oauth_error("invalid_grant", "The refresh token is not valid")
        if grant.refresh_token != token:            # one of two stole it: RFC 9700 section 4.14.2
            grant.revoked = True
            raise oauth_error("invalid_grant", "The refresh token was used before")
        scope = form.get("scope") or grant.scope
        if not set(scope.split()) <= set(grant.scope.split()):          # RFC 6749 section 6
            raise oauth_error("invalid_scope", "More than the user agreed to")
        return self.issue(grant, scope)

    def issue(self, grant: "Grant", scope: "str | None" = None) -> "dict[str, Any]":
        """A new access token, and a new refresh token where it is due (RFC 6749 section 5.1)."""
        scope = grant.scope if scope is None else scope
        token = secrets.token_urlsafe(32)
        self.access_tokens[token] = SimpleNamespace(
            grant=grant, scope=scope, expires_at=time.monotonic() + self.fake.expires_in)
        answer = {"access_token": token, "token_type": "Bearer",
                  "expires_in": self.fake.expires_in}
        if scope:
            answer["scope"] = scope
        # Without a user there is none: the client can ask again (RFC 6749 section 4.4.3).
        first = grant.refresh_token is None
        if grant.user and (self.fake.issue_refresh_token if first else self.fake.rotate):
            grant.refresh_token = answer["refresh_token"] = secrets.token_urlsafe(32)
            self.refresh_tokens[grant.refresh_token] = grant
        return answer

    def access(self, token: str) -> "SimpleNamespace | None":
        """What is known of an access token: its `grant`, its `scope`, when it `expires_at`."""
        with self.lock:
            access = self.access_tokens.get(token)
            return None if access is None or access.grant.revoked else access

    def expire(self) -> None:
        with self.lock:
            for access in self.access_tokens.values():
                access.expires_at = 0

    def revoke(self, request: "Request") -> "Answer":
        client_id = self.client(request)
        token = required(request.form, "token")     # token_type_hint is but a hint: not needed
        access, grant = self.access_tokens.get(token), self.refresh_tokens.get(token)
        if access is not None and access.grant.client_id == client_id:
            del self.access_tokens[token]
        if grant is not None and grant.client_id == client_id:
            grant.revoked = True                    # with its access tokens: RFC 7009 section 2.1
        return Answer(200, "", NO_STORE)            # for an unknown token too: section 2.2

    # The device grant

    def device_authorization(self, request: "Request") -> "Answer":
        client_id = self.client(request)            # RFC 8628 section 3.1
        # Consonants only: they make no words, and no 0 or O (RFC 8628 section 6.1).
        letters = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8))
        user_code, device_code = letters[:4] + "-" + letters[4:], secrets.token_urlsafe(32)
        life, interval = self.fake.device_expires_in, self.fake.device_interval
        self.devices[device_code] = SimpleNamespace(
            client_id=client_id, scope=known_scope(request.form), user_code=user_code,
            approved=None, spent=False, polled_at=None, interval=interval,
            expires_at=time.monotonic() + life)
        uri = self.fake.url + "/device"
        return Answer(200, {
            "device_code": device_code, "user_code": user_code, "verification_uri": uri,
            "verification_uri_complete": uri + "?user_code=" + user_code,
            "expires_in": life, "interval": interval}, NO_STORE)

    def device_code(self, client_id: str, form: "dict[str, str]") -> "dict[str, Any]":
        device = self.devices.get(required(form, "device_code"))
        if device is None or device.client_id != client_id or device.spent:
            raise oauth_error("invalid_grant", "The device_code is not valid")
        now = time.monotonic()
        early = device.polled_at is not None and now < device.polled_at + device.interval
        device.polled_at = now
        if now > device.expires_at:
            raise oauth_error("expired_token", "The device_code has expired")
        if early:
            device.interval += 5                    # and it stays so: RFC 8628 section 3.5
            raise oauth_error("slow_down", "Polled before the interval was over")
        if device.approved is None:
            raise oauth_error("authorization_pending", "The user has not answered yet")
        device.spent = True
        if not device.approved:
            raise oauth_error("access_denied", "The user said no")
        return self.issue(Grant(client_id, device.scope, user=True))

    def waiting_device(self, user_code: str) -> "SimpleNamespace | None":
        typed = re.sub("[^A-Z]", "", user_code.upper())     # as people type: RFC 8628 section 6.1
        for device in self.devices.values():
            waiting = device.approved is None and time.monotonic() < device.expires_at
            if waiting and device.user_code.replace("-", "") == typed:
                return device
        return None

    def decide_device(self, user_code: str, approved: bool) -> None:
        with self.lock:
            device = self.waiting_device(user_code)
            if device is None:
                raise KeyError(user_code)
            device.approved = approved

    def device(self, request: "Request") -> "Answer":
        user_code = request.query.get("user_code")
        device = self.waiting_device(user_code) if user_code else None
        if device is None:
            return device_page("No device waits with this code." if user_code else "")
        # Shown once more, for the user to compare with the device: RFC 8628 section 5.4.
        return self.ask("/device", "The code on your device", device.user_code, SimpleNamespace(
            client_id=device.client_id, scope=device.scope, device=device))

    def device_decision(self, request: "Request") -> "Answer":
        device = self.asked(request).device
        if device.approved is None:
            device.approved = request.form.get("decision") == "approve"
        return page(200, "Connected" if device.approved else "Not connected",
                    "<p>You can close this window and go back to your device.</p>")


def oauth_error(error: str, description: str, status: int = 400,
                headers: "Headers" = ()) -> "Answer":
    body = {"error": error, "error_description": description}       # RFC 6749 section 5.2
    return Answer(status, body, NO_STORE + headers)


def required(parameters: "dict[str, str]", name: str) -> str:
    if not parameters.get(name):        # empty is the same as missing: RFC 6749 section 3.1
        raise oauth_error("invalid_request", "The parameter %s is missing" % name)
    return parameters[name]


def known_scope(parameters: "dict[str, str]") -> str:
    scope = parameters.get("scope", "")
    if not set(scope.split()) <= set(SCOPES):                       # RFC 6749 section 3.3
        raise oauth_error("invalid_scope", "An unknown scope was asked for")
    return scope


def same_redirect_uri(one: str, other: str) -> bool:
    """The same to the letter (RFC 9700 section 2.1), but for the port on loopback, where a
    program takes the one that is free (RFC 8252 section 7.3)."""
    port = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]{1,5}(?=/|$)")
    return port.sub(r"\1", one) == port.sub(r"\1", other)


def basic_credentials(header: str) -> "tuple[str, str | None]":
    """The id and the secret in an Authorization header; ("", None) if there are none.

    Base64, then the first colon, then form-decoding of both halves (RFC 6749 section 2.3.1): a
    server that leaves out the last step turns careful clients away.
    """
    scheme, _, value = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            return "", None
        pair = base64.b64decode(value.strip(), validate=True).decode("ascii")
        client_id, _, secret = pair.partition(":")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:                  # no base64, or not ASCII: it was not encoded before
        return "", None


# ---- The API ---------------------------------------------------------------------------------

class Api:
    """A part of Spotify's API under /v1 and of X's under /2. An error has the form of either."""

    def __init__(self, fake: "FakeServer", authorization_server: "AuthorizationServer") -> None:
        self.fake = fake
        self.authorization_server = authorization_server
        self.window_ends, self.used = 0, 0      # the rate limit: a time, requests until then
        # Path, and what the token must be good for: None anything, "" any user, else a scope.
        self.routes: "list[tuple[str, str | None, Callable[..., Any]]]" = [
            ("/v1/echo", None, self.echo),
            ("/v1/slow", None, self.slow),
            ("/v1/tracks/([0-9A-Za-z]{22})", None, self.track),
            ("/v1/artists/([0-9A-Za-z]{22})", None, self.artist),
            ("/v1/artists/([0-9A-Za-z]{22})/albums", None, self.albums),
            ("/v1/me", "", self.me),
            ("/v1/me/tracks", "user-library-read", self.saved_tracks),
            ("/v1/me/following", "user-follow-read", self.following),
            ("/2/users/by/username/([A-Za-z0-9_]{1,15})", None, self.user),
            ("/2/users/([0-9]{1,19})/tweets", None, self.tweets),
        ]

    def answer(self, request: "Request") -> "Answer":
        if request.path == "/v1/echo" and "Authorization" not in request.headers:
            return Answer(200, self.echo(request))
        access = self.access(request)
        headers = self.count(request) if request.path.startswith("/2/") else ()
        for path, scope, function in self.routes:
            match = re.fullmatch(path, request.path)
            if match is None:
                continue
            if scope is not None and not (access.grant.user and
                                          scope in ["", *access.scope.split()]):
                raise self.bearer_error(request, 403, "insufficient_scope", "Insufficient scope",
                                        ', scope="%s"' % scope if scope else "")
            if request.method not in ("GET", "HEAD") and path != "/v1/echo":
                raise self.error(request, 405, "Method not allowed", (("Allow", "GET, HEAD"),))
            return Answer(200, function(request, *match.groups()), headers)
        raise self.error(request, 404, "Resource not found", headers)

    def access(self, request: "Request") -> "SimpleNamespace":
        """What the token gives access to. It is in the header, and only there."""
        # What is in an address ends up in logs and histories: RFC 9700 section 4.3.2.
        if "access_token" in request.query or "access_token" in request.form:
            raise self.bearer_error(request, 400, "invalid_request", "The token is for the header")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":          # no error code then: RFC 6750 section 3.1
            raise self.error(request, 401, "No token provided",
                             (("WWW-Authenticate", 'Bearer realm="fake"'),))
        access = self.authorization_server.access(token.strip())
        if access is None or access.expires_at <= time.monotonic():
            raise self.bearer_error(request, 401, "invalid_token", "The access token expired"
                                    if access else "The access token is not valid")
        return access

    def bearer_error(self, request: "Request", status: int, error: str, message: str,
                     more: str = "") -> "Answer":
        challenge = 'Bearer error="%s", error_description="%s"%s' % (error, message, more)
        return self.error(request, status, message, (("WWW-Authenticate", challenge),))

    def error(self, request: "Request", status: int, message: str,
              headers: "Headers" = ()) -> "Answer":
        if request.path.startswith("/v1/"):
            return Answer(status, {"error": {"status": status, "message": message}}, headers)
        problem = {"title": http.client.responses[status], "detail": message, "status": status,
                   "type": "about:blank"}       # RFC 9457
        return Answer(status, problem, headers + (("Content-Type", "application/problem+json"),))

    def number(self, request: "Request", name: str, default: int, low: int, high: int) -> int:
        text = request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise self.error(request, 400, "Invalid %s" % name)
        return int(text)

    # For tests of clients

    def echo(self, request: "Request") -> "dict[str, Any]":
        """The request itself, also without a token. Of the token it shows only the scheme."""
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        return {"method": request.method, "target": request.target, "query": request.query,
                "content_type": request.headers.get("Content-Type"),
                "body": request.body.decode("utf-8", "replace"), "authorization": scheme or None}

    def slow(self, request: "Request") -> "dict[str, Any]":
        milliseconds = self.number(request, "ms", 0, 0, 60000)
        self.fake.closing.wait(milliseconds / 1000)
        return {"ms": milliseconds}

    # Like Spotify

    def thing(self, type: str, id: str, **more: object) -> "dict[str, Any]":
        href = "%s/v1/%ss/%s" % (self.fake.url, type, id)
        return dict({"id": id, "type": type, "name": made_up_name(type + id), "href": href,
                     "uri": "spotify:%s:%s" % (type, id)}, **more)

    def track(self, request: "Request", id: str) -> "dict[str, Any]":
        number = zlib.crc32(id.encode("ascii"))
        return self.thing("track", id, duration_ms=120000 + number % 180000,
                          artists=[self.thing("artist", made_up_id(number % 45))],
                          album=self.thing("album", made_up_id(number % 1000)))

    def artist(self, request: "Request", id: str) -> "dict[str, Any]":
        return self.thing("artist", id, genres=["made up"], followers={"href": None, "total": 7})

    def albums(self, request: "Request", id: str) -> "dict[str, Any]":
        return self.listing(request, 27, lambda index: self.thing(
            "album", made_up_id(index), album_type="album", total_tracks=10 + index % 5,
            release_date="%d-05-17" % (2024 - index), artists=[self.thing("artist", id)]))

    def me(self, request: "Request") -> "dict[str, Any]":
        return self.thing("user", "ada", display_name="Ada")

    def saved_tracks(self, request: "Request") -> "dict[str, Any]":
        return self.listing(request, 120, lambda index: {
            "added_at": "2024-%02d-%02dT12:00:00Z" % (12 - index // 10, 28 - index % 10 * 2),
            "track": self.track(request, made_up_id(index))})

    def listing(self, request: "Request", total: int,
                item: "Callable[[int], dict[str, Any]]") -> "dict[str, Any]":
        """A page that is counted off, with the addresses of its neighbours."""
        limit = self.number(request, "limit", 20, 1, 50)
        offset = self.number(request, "offset", 0, 0, 10 ** 9)

        def link(start: int, exists: bool) -> "str | None":
            query = urlencode(dict(request.query, limit=limit, offset=max(0, start)))
            return self.fake.url + request.path + "?" + query if exists else None

        return {"href": link(offset, True), "limit": limit, "offset": offset, "total": total,
                "next": link(offset + limit, offset + limit < total),
                "previous": link(offset - limit, offset > 0),
                "items": [item(index) for index in range(total)[offset:offset + limit]]}

    def following(self, request: "Request") -> "dict[str, Any]":
        """A page with a cursor: the last id of the page before it."""
        if request.query.get("type") != "artist":
            raise self.error(request, 400, "Invalid type")
        limit = self.number(request, "limit", 20, 1, 50)
        ids = [made_up_id(index) for index in range(45)]
        after = request.query.get("after", "")
        if after and after not in ids:
            raise self.error(request, 400, "Invalid cursor")
        rest = ids[ids.index(after) + 1:] if after else ids
        last = rest[limit - 1] if len(rest) > limit else None
        following = urlencode({"type": "artist", "limit": limit, "after": last})
        return {"artists": {
            "items": [self.artist(request, id) for id in rest[:limit]], "limit": limit,
            "next": last and self.fake.url + request.path + "?" + following,
            "cursors": {"after": last}, "total": len(ids)}}

    # Like X

    def count(self, request: "Request") -> "Headers":
        """The headers of the rate limit; refuses what is beyond it."""
        with self.authorization_server.lock:
            if self.window_ends <= time.time():
                self.window_ends, self.used = int(time.time()) + 15 * 60, 0
            self.used += 1
            left = self.fake.rate_limit - self.used
            headers = (("x-rate-limit-limit", str(self.fake.rate_limit)),
                       ("x-rate-limit-remaining", str(max(0, left))),
                       ("x-rate-limit-reset", str(self.window_ends)))
        if left < 0:
            raise self.error(request, 429, "Too Many Requests", headers)
        return headers

    def user(self, request: "Request", username: str) -> "dict[str, Any]":
        id = str(zlib.crc32(username.lower().encode("ascii")))
        return {"data": {"id": id, "name": made_up_name(id), "username": username}}

    def tweets(self, request: "Request", id: str) -> "dict[str, Any]":
        total, count = 230, self.number(request, "max_results", 10, 5, 100)
        match = re.fullmatch("page([0-9]{1,9})", request.query.get("pagination_token", "page0"))
        if match is None:
            raise self.error(request, 400, "Invalid pagination_token")
        start = int(match.group(1))
        data = [{"id": str(1900000000000000000 - index),
                 "text": "%s, no. %d" % (made_up_name(id + str(index)), total - index)}
                for index in range(total)[start:start + count]]
        meta: "dict[str, Any]" = {"result_count": len(data)}
        if start + count < total:
            meta["next_token"] = "page%d" % (start + count)
        return {"data": data, "meta": meta}


def made_up_id(index: int) -> str:
    return "%022d" % index


def made_up_name(seed: str) -> str:
    first = "Quiet Golden Distant Electric Paper Northern Velvet Second Crooked Early".split()
    second = "Harbour Morning Signals Orchard Mirrors Tide Letters Engines Lanterns Rain".split()
    number = zlib.crc32(seed.encode("utf-8"))
    return first[number % 10] + " " + second[number // 10 % 10]


# ---- The pages -------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --ground: #f4f4f1; --card: #fff; --text: #1d1f21;
  --soft: #5c6066; --line: #d8d8d3; --accent: #14603c; --on-accent: #fff }
@media (prefers-color-scheme: dark) { :root { --ground: #141617; --card: #1e2123; --text: #eceeef;
  --soft: #a3a9ae; --line: #383d40; --accent: #7ed3a4; --on-accent: #0c2417 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; overflow-wrap: anywhere }
h1 { margin: 0 0 1rem; font-size: 1.375rem; line-height: 1.25 }
ul { margin: 0 0 1.25rem; padding: 0; list-style: none; border-top: 1px solid var(--line) }
li { padding: .625rem 0; border-bottom: 1px solid var(--line) }
label { display: block; margin-bottom: .25rem }
input, button { width: 100%; min-height: 2.75rem; padding: .5rem 1rem; font: inherit;
  border: 1px solid var(--soft); border-radius: .5rem; background: transparent; color: inherit }
input { margin-bottom: .75rem; letter-spacing: .1em; text-transform: uppercase }
form div { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem }
button { cursor: pointer }
button.yes { border-color: var(--accent); background: var(--accent); color: var(--on-accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
footer { margin-top: 1.5rem; color: var(--soft); font-size: .875rem }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode("ascii")).digest()).decode("ascii")
PAGE_HEADERS = NO_STORE + (
    ("Content-Type", "text/html; charset=utf-8"),
    # This one style and nothing else. There is no form-action: Chromium applies it to the redirect
    # after the form too, so that 'self' would keep the browser from going back to the client.
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
                                "style-src 'sha256-%s'" % STYLE_HASH),
    ("X-Frame-Options", "DENY"),                # no clickjacking: RFC 6749 section 10.13
    ("Referrer-Policy", "no-referrer"),         # the address holds the state: RFC 9700 section 4.2
)


def page(status: int, title: str, content: str) -> "Answer":
    """`content` is HTML: who calls this has escaped what is in it."""
    title = html.escape(title)
    return Answer(status, """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s - fake server</title>
<style>%s</style>
</head>
<body>
<main>
<h1>%s</h1>
%s
<footer>This is the fake server, for learning and testing only.</footer>
</main>
</body>
</html>
""" % (title, STYLE, title, content), PAGE_HEADERS)


def consent_page(action: str, transaction: str, client_id: str, scope: str, label: str,
                 value: str) -> "Answer":
    wishes = [SCOPES[word] for word in scope.split()] or ["Know that it is you"]
    return page(200, "Connect %s?" % client_id, """<p>It asks for your permission to:</p>
<ul>%s</ul>
<p>%s: <strong>%s</strong></p>
<form method="post" action="%s">
<input type="hidden" name="transaction" value="%s">
<div>
<button name="decision" value="deny">Deny</button>
<button class="yes" name="decision" value="approve">Allow</button>
</div>
</form>""" % ("".join("<li>%s</li>" % html.escape(wish) for wish in wishes), html.escape(label),
              html.escape(value), html.escape(action), html.escape(transaction)))


def device_page(problem: str) -> "Answer":
    return page(200, "Connect a device", """<form action="/device">
%s<label for="user_code">The code that your device shows</label>
<input id="user_code" name="user_code" required autofocus autocomplete="off" spellcheck="false">
<button class="yes">Continue</button>
</form>""" % (problem and '<p role="alert">%s</p>\n' % html.escape(problem)))


# ---- By hand ---------------------------------------------------------------------------------

USAGE = """\
A fake OAuth 2.0 server, for learning and testing only: {url}

  client id     client secret           authentication
{clients}

A token for the program itself, with curl (which does not encode the secret
as RFC 6749 section 2.3.1 asks, so here it is encoded already):

  curl -u 'fake-app:{encoded}' \\
    -d grant_type=client_credentials {url}/token

The same with oauth2min, and a request with the token:

  from oauth2min import Client
  fake = Client("{url}", "fake-app", {secret})
  track = "{url}/v1/tracks/11dFghVXANMlKmJXsNCbNl"
  print(fake.get(track).json())

Metadata: {url}/.well-known/oauth-authorization-server
Ctrl-C ends it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="An OAuth 2.0 server and API, for learning only.")
    parser.add_argument("--port", type=int, default=8080, help="8080 by default; 0: any free one")
    server = FakeServer(parser.parse_args().port)
    server.log = print
    try:
        server.start()
    except OSError as error:
        sys.exit("cannot listen on port %d: %s; try --port 0" % (server.port, error))
    try:
        secret = server.clients["fake-app"]["client_secret"]
        # ascii() because not every terminal can show the secret.
        clients = ["  %-13s %-23s %s" % (client_id, ascii(client["client_secret"]),
                                         client["token_endpoint_auth_method"])
                   for client_id, client in server.clients.items()]
        print(USAGE.format(url=server.url, clients="\n".join(clients), secret=ascii(secret),
                           encoded=urlencode({"": secret})[1:]), flush=True)
        while True:
            time.sleep(1)               # Windows does not hear Ctrl-C in a wait without end
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


if __name__ == "__main__":
    main()
