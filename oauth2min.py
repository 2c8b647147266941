#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""OAuth 2.0 for Python programs: one file, the standard library, nothing else.

Copy this file next to yours. The program itself (client credentials, RFC 6749 section 4.4):

    from oauth2min import Client

    spotify = Client("spotify", client_id, client_secret)
    track = spotify.get("tracks/11dFghVXANMlKmJXsNCbNl").json()

A user, in the browser (authorization code with PKCE, section 4.1, RFC 7636, RFC 8252):

    spotify = Client("spotify", client_id, client_secret, grant_type="authorization_code",
                     scope="user-library-read user-follow-read", store="spotify-token.json")
    spotify.login()                       # opens the browser only if no usable token is stored
    for page in spotify.pages("me/tracks", {"limit": 50}):
        for item in page["items"]:
            print(item["track"]["name"])

What it follows: RFC 6749 (OAuth 2.0), 6750 (bearer tokens), 7009 (revocation), 7636 (PKCE),
8252 (native applications), 8414 (server metadata), 8628 (devices), 9207 (issuer in the answer)
and 9700 (what went wrong with all of it so far, and what to do instead).

What is not here: the implicit and the password grant (RFC 9700 forbids them), validation of ID
tokens (the standard library has no RSA), and async (`await asyncio.to_thread(client.get, url)`).

The file reads from the top: errors, the token, where it is kept, the client, and then what the
client is built from. Calls point down. You may stop at any banner.
"""
import base64
import contextlib
import email.utils
import errno
import hashlib
import http.client
import json as jsonlib
import os
import re
import select
import socket
import threading
import time
import urllib.parse
import urllib.request
import warnings
import zlib
from collections import deque, namedtuple
from urllib.error import URLError

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is not needed at run time, and costs every start a few milliseconds
    import ssl
    from typing import Any, Callable, ContextManager, Iterable, Iterator, Mapping, Protocol

    class Store(Protocol):
        def load(self) -> "dict[str, Any] | None": ...
        def save(self, record: "dict[str, Any] | None") -> None: ...
        def lock(self) -> "ContextManager[object]": ...

    Params = Mapping[str, object] | Iterable[tuple[str, object]] | str | None
    Headers = Mapping[str, str]

__version__ = "0.1.0"
__all__ = ["Client", "Token", "TokenFile", "Response", "AuthorizationRequest", "discover",
           "PROVIDERS", "OAuth2Error", "AuthorizationError", "TokenError", "LoginRequired",
           "ResponseError", "RateLimited", "StoreError", "UnsafeURL", "main"]

MARGIN = 30             # seconds before its end that a token counts as expired: it has a way to go
LOGIN_TIME = 300        # seconds that a user has in the browser
MAX_ANSWER = 1 << 20    # bytes read of a token answer, of metadata, of an error
MAX_CONTENT = 1 << 28   # bytes of an API answer in memory, gzip undone: room for honest data
MAX_IDLE = 64           # connections kept idle for each origin, and origins they are kept for
IDLE_TIME = 120         # seconds; after that a middlebox may have forgotten an idle connection
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = ("client_credentials", "authorization_code", DEVICE_CODE)
AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")


# --- Errors ----------------------------------------------------------------------------------

class OAuth2Error(Exception):
    """What all errors here have in common, but your own mistakes (ValueError, TypeError) and the
    network's (OSError, mostly `urllib.error.URLError`). No message holds a secret."""

    def __init__(self, message: str = "", **facts: "Any") -> None:
        super().__init__(message)
        vars(self).update(facts)


class AuthorizationError(OAuth2Error):
    """The user or the authorization endpoint said no (RFC 6749 section 4.1.2.1), or the answer
    is not one to our question. What to do: mend what `.error` names, then `login()` again."""

    error: "str | None" = None
    error_description: "str | None" = None
    error_uri: "str | None" = None


class TokenError(OAuth2Error):
    """The token endpoint said no (RFC 6749 section 5.2), or nothing sensible: then `.error` is
    None. `.status` is that of the HTTP answer."""

    error: "str | None" = None
    error_description: "str | None" = None
    error_uri: "str | None" = None
    status: int = 0


class LoginRequired(OAuth2Error):
    """There is no usable token, and only the user can help: call `login()`."""


class ResponseError(OAuth2Error):
    """The API answered 400 or more; `.response` is its answer, whole."""

    response: "Response"


class RateLimited(ResponseError):
    """429, or 503 with Retry-After. Try again after `.retry_after` seconds (1.0 where the server
    does not say), or let the client wait by itself: `Client(max_wait=60)`."""

    retry_after: float = 1.0


class StoreError(OAuth2Error):
    """The stored token cannot be read, or is another client's."""


class UnsafeURL(OAuth2Error, ValueError):
    """Refused to send a secret there: no https, not the token's origin, or no web address."""


# --- Token -----------------------------------------------------------------------------------

class Token(namedtuple("Token", "access_token token_type expires_at refresh_token scope raw")):
    """What the token endpoint gave (RFC 6749 section 5.1). It is replaced, never changed.

    `expires_at` is clock time in seconds, None if the server did not say; `scope` is separated by
    spaces; `raw` is the server's whole answer, with whatever else is in it (`id_token`).
    """

    __slots__ = ()

    def __new__(cls, access_token: str, token_type: str = "Bearer",
                expires_at: "float | None" = None, refresh_token: "str | None" = None,
                scope: "str | None" = None, raw: "dict[str, Any] | None" = None) -> "Token":
        # It goes into a header: a line break in it would begin a header of the server's choice.
        if not isinstance(access_token, str) or not re.fullmatch("[!-~]+", access_token):
            raise ValueError("an access token is a string of visible ASCII characters")
        if not isinstance(expires_at, (int, float, type(None))) or isinstance(expires_at, bool):
            raise ValueError("expires_at is a number of seconds (as of time.time()) or None")
        if not all(isinstance(text, (str, type(None))) for text in (refresh_token, scope)):
            raise ValueError("refresh_token and scope are strings or None")
        return super().__new__(cls, access_token, token_type, expires_at, refresh_token or None,
                               scope, raw)

    def __repr__(self) -> str:
        return "<Token expires_at=%r scope=%r %s refresh token>" % (
            self.expires_at, self.scope, "with" if self.refresh_token else "without")


# --- Token file ------------------------------------------------------------------------------

class TokenFile:
    """Keeps a token in a JSON file that only you can read, safely for any number of processes.

    The file is replaced in one step, so it is whole at every moment. The lock, a file beside it,
    is the system's: it is free as soon as its owner is dead. Write another store (a database, a
    key ring) with the same three methods; `load` and `save` are only called inside `lock`.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        path = os.path.expanduser(os.fspath(path))
        if not path or path.startswith("~"):
            raise ValueError("%r is no path of a file (or there is no home directory)" % path)
        self.path = os.path.realpath(path)  # a symbolic link stays one, its target is replaced

    def __repr__(self) -> str:
        return "TokenFile(%r)" % self.path

    def load(self) -> "dict[str, Any] | None":
        """The saved record, None without a file. StoreError if it is not one; it is moved aside,
        since the token in it may still be saved by hand."""
        try:
            with open(self.path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("cannot read the token file %s (%s): mend that, or name another file"
                             % (self.path, error.strerror)) from None
        record = _json(text)
        if record is None and text.strip() == b"null" or isinstance(record, dict):
            return record
        damaged = self.path + ".damaged"
        with contextlib.suppress(OSError):
            os.replace(self.path, damaged)
        raise StoreError("the token file %s is damaged; it is now %s: log in again"
                         % (self.path, damaged))

    def save(self, record: "dict[str, Any] | None") -> None:
        """Replaces the record; None removes it. OSError if the disk does not take it."""
        if record is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return
        text = jsonlib.dumps(record, indent=1).encode("ascii")
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        new = "%s.%d.new" % (self.path, os.getpid())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        try:
            # O_EXCL: it is ours alone, with this mode, and no link that somebody laid there.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before the rename: else a power cut leaves it empty
            os.replace(new, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    @contextlib.contextmanager
    def lock(self) -> "Iterator[None]":
        """Held by one process, and one thread of it, at a time. Where the system cannot lock, it
        warns and goes on: one user on one machine loses nothing by that."""
        folder, name = os.path.split(self.path)
        file = None
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            file = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            _lock_file(file, True)
            for entry in os.listdir(folder):  # we are alone, so these are of killed processes
                if entry.startswith(name + ".") and entry.endswith(".new"):
                    os.unlink(os.path.join(folder, entry))
        except (OSError, ImportError) as error:
            warnings.warn("cannot lock the token file %s (%s): let no other process use it"
                          % (self.path, error), RuntimeWarning, stacklevel=2)
        try:
            yield
        finally:
            if file is not None:
                with contextlib.suppress(OSError, ImportError):
                    _lock_file(file, False)  # closing is not enough: a forked child has it too
                os.close(file)


def _lock_file(file: int, wanted: bool) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt  # Windows
        while True:
            try:
                mode = msvcrt.LK_LOCK if wanted else msvcrt.LK_UNLCK
                return msvcrt.locking(file, mode, 1)
            except OSError as error:
                if error.errno != 36:  # EDEADLOCK: it tried for ten seconds
                    raise
    fcntl.flock(file, fcntl.LOCK_EX if wanted else fcntl.LOCK_UN)


class _NoStore:
    """The store of a client that was given none: its token lives as long as the program."""

    def load(self) -> None:
        return None

    def save(self, record: object) -> None:
        pass

    def lock(self) -> "ContextManager[object]":
        return contextlib.ExitStack()


# --- Client: making one ----------------------------------------------------------------------

# The token in use; from when on (clock time) it counts as expired, None for never; the scope that
# was asked for, which need not be the one granted.
_Held = namedtuple("_Held", "token renew_at scope")


class Client:
    """Your application at one authorization server, with at most one token at a time.

    `server` is a name in PROVIDERS, an issuer URL (RFC 8414), or a dict of metadata. `grant_type`
    says how a first token is obtained. `store` is a path or an object like TokenFile. A relative
    URL is appended to `base_url`; only its origin ever sees the token. `timeout` is in seconds,
    for each request; `max_wait` is how many seconds in all a request may wait for a rate limit.
    `context` is for a private CA or a client certificate, `handlers` are further urllib handlers,
    such as a ProxyHandler. `trace` gets every HTTP message as text, secrets masked: try `print`.

    Threads may share a client. A wrong value is a ValueError, here and not later.
    """

    def __init__(self, server: "str | Mapping[str, Any]", client_id: str,
                 client_secret: "str | None" = None, *, grant_type: str = "client_credentials",
                 scope: "str | Iterable[str] | None" = None,
                 redirect_uri: str = "http://127.0.0.1/callback",
                 store: "str | os.PathLike[str] | Store | None" = None,
                 base_url: "str | None" = None, headers: "Headers | None" = None,
                 timeout: float = 30, max_wait: float = 0,
                 context: "ssl.SSLContext | None" = None,
                 handlers: "Iterable[urllib.request.BaseHandler]" = (),
                 trace: "Callable[[str], object] | None" = None) -> None:
        if not isinstance(client_id, str) or not client_id:
            raise ValueError("client_id must be a non-empty string (is its variable set?)")
        if client_secret is not None and (not isinstance(client_secret, str) or not client_secret):
            raise ValueError("client_secret must be None or a non-empty string")
        if grant_type not in GRANT_TYPES:
            raise ValueError("grant_type must be one of: " + ", ".join(GRANT_TYPES))
        if not (timeout > 0 and max_wait >= 0):
            raise ValueError("timeout must be more than 0 seconds, max_wait at least 0")
        self._server = _server(server)
        self._allow_http = bool(self._server.get("allow_http", False))
        self._client_id, self._client_secret = client_id, client_secret
        self._grant_type, self._scope = grant_type, _scope(scope)
        self._redirect_uri = _redirect_uri(redirect_uri)
        self._base_url = base_url or self._server.get("base_url")
        for url in (self._base_url, self._server.get("issuer"), self._server.get("token_endpoint")):
            if url is not None:
                _origin(url, self._allow_http)
        self._headers = dict(headers or {})
        _check_headers(self._headers)
        self._timeout, self._max_wait = timeout, max_wait
        self._trace = trace
        self._opener = _opener(context, handlers, self._allow_http, trace)
        self._store: "Any" = store or _NoStore()
        if isinstance(store, (str, os.PathLike)):
            self._store = TokenFile(store)
        elif not all(hasattr(self._store, name) for name in ("load", "save", "lock")):
            raise TypeError("store must be a path or have load(), save(record) and lock()")
        # What a stored token is good for, and for nothing else.
        self._bound = {"server": self._server.get("issuer") or self._server["token_endpoint"],
                       "client_id": client_id, "grant_type": grant_type}
        self._held: "Any" = None    # a _Held, or None
        self._seen: "Any" = None    # the token that the store held when we last looked or saved
        self._lock, self._pid = threading.RLock(), os.getpid()

    def __repr__(self) -> str:
        return "<Client %r at %s>" % (self._client_id, self._bound["server"])

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. The client can still be used; it opens new ones."""
        for handler in self._opener.handlers:
            if isinstance(handler, _KeepAlive):
                handler.close_idle()

    def __del__(self) -> None:
        if hasattr(self, "_opener"):
            self.close()

    # --- using it ---

    def get(self, url: str, params: "Params" = None,
            headers: "Headers | None" = None) -> "Response":
        """`request` with the method GET."""
        return self.request("GET", url, params, headers=headers)

    def post(self, url: str, data: "Params | bytes" = None, json: object = None,
             params: "Params" = None, headers: "Headers | None" = None) -> "Response":
        """`request` with the method POST."""
        return self.request("POST", url, params, data, json, headers)

    def request(self, method: str, url: str, params: "Params" = None,
                data: "Params | bytes" = None, json: object = None,
                headers: "Headers | None" = None) -> "Response":
        """Sends an authorized request and returns the answer, read to its end.

        `data` is a form (a mapping or pairs) or a body as it is (str, bytes); `json` is sent as
        JSON. A 401 renews the token once. Raises ResponseError for an answer of 400 or more,
        LoginRequired without a usable token, UnsafeURL for an address that the token is not for,
        URLError when the network fails.
        """
        url = _absolute(self._base_url, url, params)
        body, content_type = _body(data, json)
        sent = dict(content_type, **{"Accept-Encoding": "gzip"})
        sent.update({name.capitalize(): value for name, value in (headers or {}).items()})
        return self._request(method, url, body, sent, self._home(url))

    def open(self, url: "str | urllib.request.Request") -> "http.client.HTTPResponse":
        """The answer as a stream, as from `urllib.request.urlopen`: for what is too large for
        memory. Close it (`with`). The errors are those of `request`."""
        if isinstance(url, str):
            url = urllib.request.Request(_absolute(self._base_url, url, None))
        address = _absolute(self._base_url, url.full_url, None)
        headers = dict(url.header_items())
        return self._send(url.get_method(), address, url.data, headers, self._home(address))

    def pages(self, url: str, params: "Params" = None,
              next: "str | tuple[str, str] | Callable[[Any], str | None] | None" = None
              ) -> "Iterator[Any]":
        """Yields the parsed pages of a listing, each fetched with a token that is good then.

        The next page is found by `Link: rel=next`, or a link called `next` or `@odata.nextLink`
        on the page or one level down; `next="paging.next"` names the link; a pair such as
        `("meta.next_token", "pagination_token")` names a cursor and the parameter that takes it;
        a function gets the page and returns the link. The end is a link that is missing, empty or
        seen before. A link to another origin raises UnsafeURL: it would get the token.
        """
        first = url = _absolute(self._base_url, url, params)
        home, seen = self._home(url), set()
        while url and url not in seen:
            seen.add(url)
            answer = self._request("GET", url, None, {"Accept-Encoding": "gzip"}, home)
            page = answer.json()
            yield page
            if isinstance(next, tuple):
                cursor = _at(page, next[0])
                url = _with_parameter(first, next[1], cursor) if cursor else ""
                continue
            link = (_next_link(answer, page) if next is None else
                    next(page) if callable(next) else _at(page, next))
            url = _absolute(None, urllib.parse.urljoin(answer.url, link), None) if link else ""

    def access_token(self) -> str:
        """A valid access token, renewed if need be: for use with any other HTTP library. Ask for
        it anew before each request. Raises what renewing raises: TokenError, LoginRequired."""
        token: str = self._current().token.access_token
        return token

    @property
    def token(self) -> "Token | None":
        """The current Token, fresh or not, from memory or else from the store. Assigning one saves
        it to the store too; assigning None forgets it."""
        if self._held is None:
            with self._alone():
                self._newest()
        return self._held.token if self._held else None

    @token.setter
    def token(self, token: "Token | None") -> None:
        if not isinstance(token, (Token, type(None))):
            raise TypeError("assign a Token, or None to forget it")
        with self._alone():
            self._keep(token, self._scope)

    # --- logging in and out ---

    def login(self, open_browser: "bool | Callable[[str], object] | None" = None,
              timeout: "float | None" = None, **parameters: str) -> Token:
        """Makes sure that there is a usable token; asks the user only if there is none, or if more
        scope is wanted now than was asked for then.

        The address is always shown on stderr, for a user whose browser is elsewhere; the address
        that this browser ends at can be pasted on the terminal. `open_browser` is True, False, a
        function that gets the address, or None: where a browser makes sense. `parameters` are
        added to the authorization request. Raises AuthorizationError for a no, LoginRequired when
        `timeout` seconds are over (300; a device code says for itself how long it lives).
        """
        try:
            held = self._current()
            if set(self._scope.split()) <= set(held.scope.split()):
                return held.token
        except LoginRequired:
            pass
        if self._grant_type == DEVICE_CODE:
            return self._device_login(open_browser, timeout)
        with _Callback(self._redirect_uri) as callback:  # listen first: no answer can be missed
            asked = self.authorization_request(callback.redirect_uri, **parameters)
            _show_address(asked.url, bool(callback.servers), open_browser)
            answer = callback.wait(asked, LOGIN_TIME if timeout is None else timeout)
            return self.exchange(asked, answer)  # the browser is told how it ended after this

    def authorization_request(self, redirect_uri: "str | None" = None,
                              **parameters: str) -> "AuthorizationRequest":
        """The first half of a login: send the user's browser to `.url`, and keep the whole, in
        the user's session, for `exchange`. In a web application `redirect_uri` is your page."""
        redirect_uri = _redirect_uri(redirect_uri or self._redirect_uri)
        parameters = {**self._facts.get("authorization_parameters", {}), **parameters}
        return _authorization_request(self._endpoint("authorization_endpoint"), self._client_id,
                                      redirect_uri, self._scope, self._facts.get("pkce", True),
                                      parameters)

    def exchange(self, authorization_request: "AuthorizationRequest | Iterable[str]",
                 response: str) -> Token:
        """The second half: `response` is the address that the browser ended at, or its query.

        Raises AuthorizationError if it is not the answer to this request (then nothing is sent
        and the code is not spent), or if the answer is no.
        """
        asked = AuthorizationRequest(*authorization_request)
        parameters = {"code": _code(asked, response, self._facts),
                      "redirect_uri": asked.redirect_uri,
                      "code_verifier": asked.code_verifier or None}
        token = self.request_token("authorization_code", **parameters)
        with self._alone():
            return self._keep(token, self._scope)

    def logout(self) -> bool:
        """Revokes the token where the server can (RFC 7009) and forgets it in any case. Returns
        whether the server confirmed; if not, the token may live until it expires."""
        with self._alone():
            token = self.token
            try:
                # The refresh token first: whoever stops us here has taken the longer lever.
                return token is not None and all([
                    self._revoke(value, hint) for value, hint in
                    ((token.refresh_token, "refresh_token"), (token.access_token, "access_token"))
                    if value])
            finally:
                self._keep(None, "")

    def _revoke(self, token: str, hint: str) -> bool:
        if "revocation_endpoint" not in self._facts:
            return False
        try:
            answer = self._post("revocation_endpoint", {"token": token, "token_type_hint": hint})
        except OSError:
            return False
        return 200 <= answer.status_code < 300

    def _device_login(self, open_browser: "bool | Callable[[str], object] | None",
                      timeout: "float | None") -> Token:
        """RFC 8628: the user types a short code on another device while we ask again and again."""
        answer = self._post("device_authorization_endpoint", {"scope": self._scope or None})
        fields = _fields(answer, self._secrets())
        code, user_code, address = (fields.get(name) for name in (
            "device_code", "user_code", "verification_uri"))
        address = address or fields.get("verification_url")  # Google's, from before the RFC
        if not (isinstance(code, str) and isinstance(user_code, str) and isinstance(address, str)):
            raise TokenError("the device authorization endpoint gave no code", status=200)
        _show_code(_printable(user_code), _printable(address), open_browser)
        interval = _seconds(fields.get("interval")) or 5.0
        life = _seconds(fields.get("expires_in")) or LOGIN_TIME
        deadline = time.monotonic() + (life if timeout is None else min(life, timeout))
        while time.monotonic() + interval < deadline:
            time.sleep(interval)
            try:
                token = self.request_token(DEVICE_CODE, device_code=code)
            except TokenError as error:
                if error.error == "slow_down":
                    interval += 5  # section 3.5
                elif error.error == "access_denied":
                    raise AuthorizationError("the user said no", error=error.error) from None
                elif error.error == "expired_token":
                    break
                elif error.error != "authorization_pending":
                    raise
            else:
                with self._alone():
                    return self._keep(token, self._scope)
        raise LoginRequired("nobody confirmed the code in time: call login() for a new one")

    # --- the grants ---

    def refresh(self) -> Token:
        """The refresh grant, now (RFC 6749 section 6). LoginRequired without a refresh token, or
        if the server takes it no longer."""
        with self._alone():
            held = self._newest()
            if held is None or held.token.refresh_token is None:
                raise LoginRequired("there is no refresh token: call login()")
            return self._refresh(held).token

    def request_token(self, grant_type: str, **parameters: "str | None") -> Token:
        """Any grant, the standard's or an extension: posts to the token endpoint and returns the
        Token, which is kept nowhere (assign it to `token` for that). Raises TokenError."""
        form = {"grant_type": grant_type, **self._facts.get("token_parameters", {}), **parameters}
        answer = self._post("token_endpoint", form)
        secrets = self._secrets(*[value for name, value in form.items() if name != "grant_type"])
        fields = _fields(answer, secrets, self._client_secret or "")
        return _token(fields, answer.status_code)

    def _post(self, endpoint: str, form: "Mapping[str, str | None]") -> "Response":
        """Every form that carries client authentication leaves from here."""
        url = self._endpoint(endpoint)
        method = self._facts.get("token_endpoint_auth_method")
        if method is None:
            method = "client_secret_basic" if self._client_secret else "none"
        headers, form = _authenticate(method, self._client_id, self._client_secret, form)
        body, content_type = _body({k: v for k, v in form.items() if v is not None}, None)
        request = urllib.request.Request(url, body, {**headers, **content_type}, method="POST")
        return _read(self._opener.open(request, timeout=self._timeout), MAX_ANSWER)

    def _secrets(self, *more: "str | None") -> "list[str]":
        """What no message may repeat, even where a server does."""
        token = self._held.token if self._held else None
        values = [self._client_secret, *more] + ([token[0], token[3]] if token else [])
        return [value for value in values if value]

    # --- the server ---

    @property
    def _facts(self) -> "dict[str, Any]":
        """The server's metadata; of an issuer, fetched when first needed."""
        if "token_endpoint" not in self._server:
            with self._alone():
                if "token_endpoint" not in self._server:
                    found = _metadata(self._opener, self._server["issuer"], self._timeout)
                    self._server = {**found, **self._server}
        return self._server

    def _endpoint(self, name: str) -> str:
        url = self._facts.get(name)
        if not isinstance(url, str):
            raise ValueError("the server's metadata has no %r, which this needs" % name)
        _origin(url, self._allow_http)
        return url

    # --- keeping the token good ---

    def _current(self) -> "_Held":
        """The token in memory while it is good, without any lock; else a renewed one."""
        held = self._held
        return held if _good(held) else self._renew(held)[0]

    def _renew(self, old: "_Held | None") -> "tuple[_Held, bool]":
        """Something better than `old`, and whether this very call got it from the server.

        However many threads and processes come here at once, one of them asks the server: the
        others wait for a lock, and then find what the first one got, in memory or in the store.
        """
        with self._alone():
            held = self._held
            if held is old or not _good(held):
                held = self._newest()
            if held is not old and _good(held):
                return held, False
            if held and held.token.refresh_token:
                try:
                    return self._refresh(held), True
                except LoginRequired:
                    if self._grant_type != "client_credentials":
                        raise
            if self._grant_type == "client_credentials":
                token = self.request_token("client_credentials", scope=self._scope or None)
                self._keep(token, self._scope)
                return self._held, True
            self._held = None
            raise LoginRequired("the access token is no longer good and there is no refresh token: "
                                "call login()" if held else "no token yet: call login()")

    def _refresh(self, held: "_Held") -> "_Held":
        try:
            new = self.request_token("refresh_token", refresh_token=held.token.refresh_token)
        except TokenError as error:
            # glewlwyd answers 400 with nothing in it.
            if error.error != "invalid_grant" and (error.error or error.status not in (400, 401)):
                raise
            newer = self._newest()  # a process that our lock does not reach may have been first
            if newer is not held and _good(newer):
                return newer
            self._held = None  # so that the dead refresh token is not tried again
            raise LoginRequired("the refresh token is no longer good: call login()") from None
        # Servers that do not rotate send none: the old one stays (RFC 6749 section 6).
        self._keep(new._replace(refresh_token=new.refresh_token or held.token.refresh_token,
                                scope=new.scope or held.token.scope), held.scope)
        return self._held

    @contextlib.contextmanager
    def _alone(self) -> "Iterator[None]":
        if self._pid != os.getpid():  # forked: a thread that is not here may have held the lock
            self._lock, self._pid = threading.RLock(), os.getpid()
        with self._lock:
            with self._store.lock():
                yield

    def _newest(self) -> "_Held | None":
        """What another process saved since we last looked, else what is in memory: a token that
        could not be saved is newer than the one in the store."""
        stored = self._load()
        if stored and stored.token != self._seen:
            self._held, self._seen = stored, stored.token
        return self._held

    def _load(self) -> "_Held | None":
        record = self._store.load()
        if record is None:
            return None
        try:
            token, renew_at, scope = Token(**record["token"]), record["renew_at"], record["scope"]
            if not isinstance(renew_at, (int, float, type(None))) or not isinstance(scope, str):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise StoreError("%r holds no token of this program: name another" % self._store
                             ) from None
        for name, mine in self._bound.items():
            if record.get(name) != mine:
                raise StoreError("%r holds a token of another %s: name another store, or remove "
                                 "that token" % (self._store, name.replace("_", " ")))
        if self._grant_type == "client_credentials" and set(self._scope.split()) - set(scope.split()):
            return None  # of a program that wanted less; a new one costs nothing
        return _Held(token, renew_at, scope)

    def _keep(self, token: "Token | None", scope: str) -> "Token":
        """Saves, then uses: whoever stops us between has lost nothing."""
        held = record = None
        if token is not None:
            held = _Held(token, _renew_at(token), scope)
            record = dict(self._bound, token=dict(token._asdict()), renew_at=held.renew_at,
                          scope=scope)
        try:
            self._store.save(record)
            self._seen = token
        except Exception as error:  # whatever a store may raise: the token is still good
            warnings.warn("could not save in %r (%s): the change lasts as long as this program"
                          % (self._store, getattr(error, "strerror", None) or type(error).__name__),
                          RuntimeWarning, stacklevel=3)
        finally:
            self._held = held
        return token  # type: ignore[return-value]

    # --- sending ---

    def _home(self, url: str) -> "tuple[str, str, int]":
        """The one origin that may see the token."""
        home = _origin(self._base_url or url, self._allow_http)
        if _origin(url, self._allow_http) != home:
            raise UnsafeURL("%s is not the origin %s that the token is for: make another Client "
                            "for it" % (_place(url), _place(self._base_url or "")))
        return home

    def _request(self, method: str, url: str, body: "Any", headers: "Headers",
                 home: "tuple[str, str, int]") -> "Response":
        response = _read(self._send(method, url, body, headers, home), MAX_CONTENT)
        if len(response.content) > MAX_CONTENT:
            raise URLError("the answer is larger than %d bytes: use open()" % MAX_CONTENT)
        return response

    def _send(self, method: str, url: str, body: "Any", headers: "Headers",
              home: "tuple[str, str, int]") -> "_Answer":
        if _origin(url, self._allow_http) != home:
            raise UnsafeURL("%s is a link to another origin than the token's" % _place(url))
        _check_headers(headers)
        once = not isinstance(body, (bytes, type(None)))  # a stream cannot be sent twice
        renewals, renewed, waited = 0, False, 0.0
        held = self._current()
        while True:
            request = _ApiRequest(url, body, {**self._headers, **headers}, method=method)
            request.access_token, request.home = held.token.access_token, home
            answer = self._opener.open(request, timeout=self._timeout)
            if answer.status < 400 and answer.status not in _REDIRECTS:
                return answer
            error = _response_error(method, answer, self._secrets())
            if answer.status == 401 and not (once or renewed) and renewals < 2 and (
                    _origin(answer.url, True) == home):
                # A token that another process had stored is no renewal: it may be as stale.
                held, renewed = self._renew(held)
                renewals += 1
            elif (isinstance(error, RateLimited) and not once
                    and waited + error.retry_after <= self._max_wait):
                time.sleep(error.retry_after)
                waited += error.retry_after
                held = self._current()
            else:
                raise error


def _good(held: "_Held | None") -> bool:
    return held is not None and (held.renew_at is None or time.time() < held.renew_at)


def _renew_at(token: Token) -> "float | None":
    """Early, so that the token does not expire on its way, but never by more than a tenth of its
    life: a token of 20 seconds would otherwise never be good."""
    if token.expires_at is None:
        return None
    life = max(0.0, token.expires_at - time.time())
    return float(token.expires_at - min(MARGIN, life / 10))


def _scope(scope: "str | Iterable[str] | None") -> str:
    """The scope as it goes over the wire: separated by spaces (RFC 6749 section 3.3)."""
    words = [] if scope is None else scope.split() if isinstance(scope, str) else list(scope)
    if not all(isinstance(word, str) and re.fullmatch(r"[!#-\[\]-~]+", word) for word in words):
        raise ValueError("scope must be a string with spaces, or several strings without")
    return " ".join(words)


# --- Authorization request -------------------------------------------------------------------

class AuthorizationRequest(namedtuple("AuthorizationRequest",
                                      "url state code_verifier redirect_uri")):
    """A login under way: four strings, to be kept in the user's session and shown to nobody; only
    `url` goes out. `code_verifier` is empty for a server that refuses PKCE."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<AuthorizationRequest to %s>" % _place(self.url)


def _authorization_request(endpoint: str, client_id: str, redirect_uri: str, scope: str,
                           pkce: bool, more: "Mapping[str, str]") -> AuthorizationRequest:
    """RFC 6749 section 4.1.1, with `state` against forged answers (section 10.12) and PKCE against
    stolen codes (RFC 7636): what was asked here can be finished nowhere else."""
    import secrets
    state = secrets.token_urlsafe(32)
    verifier = secrets.token_urlsafe(32) if pkce else ""
    form = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri,
            "state": state}
    if pkce:
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        form["code_challenge"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
        form["code_challenge_method"] = "S256"
    if scope:
        form["scope"] = scope
    for name in sorted(set(form).union(["scope"]).intersection(more)):
        raise ValueError("%s is not yours to set here: it is made from the client's own" % name)
    return AuthorizationRequest(_absolute(None, endpoint, {**form, **more}), state, verifier,
                                redirect_uri)


def _code(asked: AuthorizationRequest, response: str, facts: "Mapping[str, Any]") -> str:
    """The code out of the address that the browser ended at (RFC 6749 section 4.1.2)."""
    fields = _query(response)
    if fields is None or not _same(fields.get("state"), asked.state):
        raise AuthorizationError("this is not the answer to our request (the state is another): "
                                 "nothing was sent; log in again, with one attempt at a time")
    issuer, named = facts.get("issuer"), fields.get("iss")
    promised = facts.get("authorization_response_iss_parameter_supported") is True
    # RFC 9207: an answer by another server than the one asked is an attempt to mix up the two.
    if issuer and (named is not None and named != issuer
                   or named is None and promised and "error" not in fields):
        raise AuthorizationError("the answer does not come from %s: nothing was sent" % issuer)
    if "error" in fields:
        error, text, uri = (_printable(fields.get(name, ""), [asked.state]) or None
                            for name in ("error", "error_description", "error_uri"))
        advice = {"access_denied": "the user or the server said no",
                  "invalid_scope": "check the scope against the server's documentation"}
        raise AuthorizationError("the authorization endpoint answered %s%s: %s" % (
            error, " (%s)" % text if text else "", advice.get(
                error or "", "check client_id, redirect_uri and scope as registered there")),
            error=error, error_description=text, error_uri=uri)
    if not fields.get("code"):
        raise AuthorizationError("the answer holds neither a code nor an error: log in again")
    return fields["code"]


def _query(response: str) -> "dict[str, str] | None":
    """The fields of an address or of a bare query; None if one is repeated (RFC 6749 section 3.1),
    for then two readers may see two answers."""
    query = response.partition("#")[0].rpartition("?")[2]
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _same(ours: "str | None", theirs: str) -> bool:
    """Compares in a time that does not tell how much was right."""
    import hmac
    return hmac.compare_digest((ours or "").encode(), theirs.encode())


def _redirect_uri(uri: str) -> str:
    parts = urllib.parse.urlsplit(uri)
    if not parts.scheme or "#" in uri or not re.fullmatch("[!-~]+", uri) or parts.port == -1:
        raise ValueError("redirect_uri must be an absolute URI without a fragment, in ASCII")
    return uri


# --- Loopback --------------------------------------------------------------------------------

class _Callback:
    """Waits for the browser to come back to a loopback address (RFC 8252 section 7.3), and for the
    same address pasted on the terminal. Leaving the `with` block tells the browser how the login
    ended: a page that said "success" before the exchange could be wrong."""

    def __init__(self, redirect_uri: str) -> None:
        parts = urllib.parse.urlsplit(redirect_uri)
        self.redirect_uri, self.path = redirect_uri, parts.path or "/"
        self.state, self.query, self.page = "", "", b""
        self.ended, self.told = threading.Event(), threading.Event()
        self.servers: "list[Any]" = []
        if parts.scheme != "http" or not _LOOPBACK.fullmatch(parts.netloc.rpartition("@")[2]):
            return  # not ours to listen on: the user will paste
        host, port = parts.hostname or "", parts.port or 0
        try:
            for address in ("127.0.0.1", "::1") if host == "localhost" else (host,):
                try:
                    self.servers.append(_listen(address, port, self))
                    port = self.servers[0].server_address[1]
                except OSError as error:
                    if not self.servers or error.errno == errno.EADDRINUSE:
                        raise  # and else there is no IPv6 here
        except OSError as error:
            self.close()
            raise OSError(error.errno, "cannot listen on port %s of %s (%s): end the program that "
                          "does, or choose another redirect_uri" % (port, host, error.strerror)
                          ) from None
        netloc = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
        self.redirect_uri = urllib.parse.urlunsplit(parts._replace(netloc=netloc))

    def __enter__(self) -> "_Callback":
        return self

    def __exit__(self, kind: "Any", *_: object) -> None:
        self.page = _page(*(("You are logged in", "You can close this page now.") if kind is None else
                            ("The login failed", "The program that you came from says why.")))
        self.ended.set()
        if self.query and self.servers:
            self.told.wait(2)
        self.close()

    def close(self) -> None:
        for server in self.servers:
            server.server_close()

    def wait(self, asked: AuthorizationRequest, seconds: float) -> str:
        """The query that the browser came back with, or what was pasted."""
        self.state = asked.state
        deadline, typed = time.monotonic() + seconds, ""
        while not self.query:
            if time.monotonic() > deadline:
                raise LoginRequired("nobody logged in within %g seconds: try again" % seconds)
            for server in self.servers:
                server.handle_request()  # waits 50 ms for a connection, hands it to a thread
            if not self.servers:
                time.sleep(0.05)
            more = _typed()
            typed += more
            if typed.endswith(("\n", "\r")) and not more:  # all of it: an address may be broken
                pasted, typed = "".join(typed.split()), ""
                fields = _query(pasted)
                if asked.code_verifier and re.fullmatch("[^=?&]+", pasted):
                    return urllib.parse.urlencode({"code": pasted, "state": asked.state})
                if fields and _same(fields.get("state"), asked.state):
                    return pasted
                if pasted:
                    _say("That is not the address that this login ends at; its beginning is\n%s\n"
                         "Please paste it whole." % asked.redirect_uri)
        return self.query


def _listen(host: str, port: int, callback: _Callback) -> "Any":
    """An HTTP server that knows one thing: the way back into `callback`."""
    import http.server
    import socket
    import socketserver

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # seconds: browsers open connections ahead and then send nothing

        def do_GET(self) -> None:
            self.take(*self.path.partition("?")[::2])

        def do_POST(self) -> None:  # OAuth 2.0 Form Post Response Mode
            size = self.headers.get("Content-Length", "")
            body = self.rfile.read(int(size)) if re.fullmatch("[0-9]{1,5}", size) else b""
            self.take(self.path, body.decode("ascii", "replace"))

        def take(self, path: str, query: str) -> None:
            fields = _query(query)
            if path != callback.path:
                self.send_error(404)
            elif (fields is None or not _same(fields.get("state"), callback.state)
                    or self.headers["Host"] != urllib.parse.urlsplit(callback.redirect_uri).netloc):
                self.send_error(400)  # not our login, or a foreign name that points to us
            else:
                self.server.waiting.remove(self.connection)
                callback.query = callback.query or query
                callback.ended.wait()
                self.show(200, callback.page)
                callback.told.set()

        def send_error(self, code: int, *_: object) -> None:
            self.show({404: 404, 501: 405}.get(code, 400),
                      _page("Nothing here", "This address is only for the end of a login."))

        def show(self, code: int, page: bytes) -> None:
            self.send_response_only(code)
            for name, value in (
                    ("Content-Type", "text/html; charset=utf-8"), ("Connection", "close"),
                    ("Content-Length", str(len(page))), ("Cache-Control", "no-store"),
                    ("Referrer-Policy", "no-referrer"), ("Content-Security-Policy",
                     "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else page)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 128
        timeout = 0.05
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        allow_reuse_address = os.name != "nt"  # on Windows that would let others share the port
        waiting: "deque[Any]" = deque()  # the connections that have not yet shown our state

        def server_bind(self) -> None:
            socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for our name

        def process_request(self, request: "Any", address: "Any") -> None:
            self.waiting.append(request)
            if len(self.waiting) > 32:  # the oldest has had its time
                with contextlib.suppress(OSError):
                    self.waiting.popleft().shutdown(socket.SHUT_RDWR)
            super().process_request(request, address)

        def close_request(self, request: "Any") -> None:
            with contextlib.suppress(ValueError):
                self.waiting.remove(request)
            super().close_request(request)

        def handle_error(self, *_: object) -> None:
            pass  # of a connection that broke

    return Server((host, port), Handler)


def _page(title: str, text: str) -> bytes:
    return ("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>
:root{color-scheme:light dark}
body{font:1.1rem/1.5 system-ui,sans-serif;min-height:90vh;display:grid;place-content:center;
text-align:center;margin:0 1.5rem}h1{font-size:1.6rem;margin:0}
</style></head><body><main><h1>%s</h1><p>%s</p></main></body></html>
""" % (title, title, text)).encode("ascii")


def _say(text: str) -> None:
    """On stderr: stdout is for results."""
    import sys
    print(text, file=sys.stderr, flush=True)


def _show_address(url: str, listens: bool, open_browser: "Any") -> None:
    """The address first, then the browser: it may be the wrong one, or none at all."""
    _say("To log in, open this address in a browser:\n\n%s\n" % url)
    _say("If that browser is not on this machine, paste the address that it ends at here:"
         if listens else "Then paste the address that the browser ends at here:")
    if callable(open_browser):
        open_browser(url)
    elif open_browser or open_browser is None and _has_screen():
        import webbrowser
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)


def _has_screen() -> bool:
    """Can a browser here be seen? A text browser would take the terminal from us, and over SSH
    the screen is another machine's."""
    import webbrowser
    remote = "SSH_CONNECTION" in os.environ and "DISPLAY" not in os.environ
    try:
        name = os.path.basename(getattr(webbrowser.get(), "name", ""))
    except webbrowser.Error:
        return False
    text = name in ("www-browser", "lynx", "links", "elinks", "w3m")
    return "BROWSER" in os.environ or not (remote or text)


def _typed() -> str:
    """What was typed since we last asked. It never waits, so no thread is left reading."""
    import sys
    try:
        file = sys.stdin.fileno()
        if not os.isatty(file):
            return ""
    except (AttributeError, OSError, ValueError):
        return ""  # stdin is closed, or not a file
    if os.name == "nt":
        import msvcrt
        return "".join(iter(lambda: msvcrt.getwche() if msvcrt.kbhit() else "", ""))
    ready = select.select([file], [], [], 0)[0] and os.tcgetpgrp(file) == os.getpgrp()
    return os.read(file, 65536).decode("utf-8", "replace") if ready else ""


# --- Token endpoint --------------------------------------------------------------------------

def _authenticate(method: str, client_id: str, secret: "str | None",
                  form: "Mapping[str, Any]") -> "tuple[dict[str, str], dict[str, Any]]":
    """Headers and form with the client's own credentials (RFC 6749 section 2.3.1)."""
    headers = {"Accept": "application/json"}
    if method == "client_secret_basic":
        # Each is form-encoded before base64, else a colon or an umlaut breaks it; a space as %20,
        # which those servers read rightly too that forget to decode a plus sign.
        pair = ":".join(urllib.parse.quote(text, safe="~") for text in (client_id, secret or ""))
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers, dict(form)
    proof = {"client_secret": secret} if method == "client_secret_post" else {}
    return headers, {**form, "client_id": client_id, **proof}


def _fields(answer: "Response", secrets: "Iterable[str]", client_secret: str = ""
            ) -> "dict[str, Any]":
    """The fields of an answer (RFC 6749 section 5), read from whatever a server makes of it; a
    TokenError if they say no, or nothing."""
    fields = _json(answer.content)
    if not isinstance(fields, dict):  # GitHub and old Facebook send a form
        fields = dict(urllib.parse.parse_qsl(answer.text)) if b"=" in answer.content else {}
    error, text = fields.get("error"), fields.get("error_description")
    if isinstance(error, dict):  # Facebook
        error, text = error.get("type"), error.get("message")
    known = not error and answer.status_code < 300 and fields.get("ok") is not False  # ok: Slack
    if known and ("access_token" in fields or "device_code" in fields):
        return fields
    error, text, uri = (_printable(value, secrets) or None if isinstance(value, str) else None
                        for value in (error, text or fields.get("message"), fields.get("error_uri")))
    where = "%s answered %d" % (_place(answer.url), answer.status_code)
    if error is None and not text:
        kind = answer.headers.get_content_type()
        text = ("a redirect: use the address that it leads to" if 300 <= answer.status_code < 400
                else "no token but %d bytes of %s: is this the token endpoint?"
                % (len(answer.content), kind))
    advice = _ADVICE.get(error or "", "")
    if error == "invalid_client" or answer.status_code in (401, 403):
        advice = "check client_id, client_secret and token_endpoint_auth_method"
        if not re.fullmatch(r"[\w.~-]*", client_secret, re.ASCII):
            advice += ("; the secret holds characters that this server may not decode: try the "
                       "method client_secret_post")
    message = ": ".join(part for part in (where, error, text, advice) if part)
    raise TokenError(message, error=error, error_description=text, error_uri=uri,
                     status=answer.status_code)


_ADVICE = {
    "invalid_grant": "the code or the refresh token is used up, expired, or another client's: "
                     "log in again",
    "invalid_scope": "check the scope against the server's documentation",
    "unauthorized_client": "allow this grant type where the client is registered",
    "unsupported_grant_type": "this server does not have this grant type",
}


def _token(fields: "Mapping[str, Any]", status: int) -> Token:
    """RFC 6749 section 5.1, with the liberties that servers take."""
    life = _seconds(fields.get("expires_in", fields.get("expires")))
    refresh_token, scope = fields.get("refresh_token"), fields.get("scope")
    if isinstance(scope, str):
        scope = scope.replace(",", " ").split()  # GitHub's are separated by commas
    scope = " ".join(str(word) for word in scope) if isinstance(scope, list) else None
    kind = fields.get("token_type")
    try:
        return Token(fields["access_token"], kind if isinstance(kind, str) and kind else "Bearer",
                     time.time() + life if life else None,
                     refresh_token if isinstance(refresh_token, str) else None, scope, dict(fields))
    except (KeyError, ValueError):
        raise TokenError("the token endpoint gave no access token that can be sent",
                         status=status) from None


def _seconds(value: object) -> "float | None":
    """A number that may have come as a string; None for nonsense, and for what is not a time."""
    try:
        number = float(value) if isinstance(value, (str, int, float)) else 0.0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < 1e10 and value is not True else None


# --- HTTP ------------------------------------------------------------------------------------

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?(?=[/?#]|$)", re.I)
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?", re.I)
_REDIRECTS = (301, 302, 303, 307, 308)
_IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")  # RFC 9110 section 9.2.2


class Response:
    """The answer of an API: `status_code`, `headers` (`headers["Date"]` in any case, None if it is
    not there), `url` (after redirects) and the body as `content`, `text` or `json()`."""

    __slots__ = ("status_code", "headers", "url", "content")

    def __init__(self, status_code: int, headers: "email.message.Message", url: str,
                 content: bytes) -> None:
        self.status_code, self.headers, self.url, self.content = status_code, headers, url, content

    def __repr__(self) -> str:
        return "<Response %d from %s>" % (self.status_code, _place(self.url))

    @property
    def text(self) -> str:
        charset = self.headers.get_content_charset() or "utf-8"
        try:
            return self.content.decode(charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> "Any":
        """Raises ValueError if the body is not JSON."""
        return jsonlib.loads(self.text)


def _opener(context: "Any", handlers: "Iterable[urllib.request.BaseHandler]", allow_http: bool,
            trace: "Any") -> urllib.request.OpenerDirector:
    """urllib's own machine, with handlers of ours in the place of those that open a connection
    for each request, send the token along a redirect, and read file: and ftp:."""
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", "oauth2min/" + __version__)]
    own = [_KeepAlive(context, allow_http, trace), _Bearer(), _Redirects(),
           urllib.request.HTTPErrorProcessor()]
    if not any(isinstance(handler, urllib.request.ProxyHandler) for handler in handlers):
        own.append(urllib.request.ProxyHandler())
    for handler in [*own, *handlers]:
        opener.add_handler(handler)
    return opener


class _ApiRequest(urllib.request.Request):
    """A request that carries a token, and the only origin to show it to."""

    access_token, home, hops = "", ("", "", 0), 0


class _Bearer(urllib.request.BaseHandler):
    """RFC 6750 section 2.1. The header is an unredirected one: urllib copies all others into the
    request that a redirect makes, to whatever host (CPython issue 77842)."""

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        if isinstance(request, _ApiRequest) and _origin(request.full_url, True) == request.home:
            request.add_unredirected_header("Authorization", "Bearer " + request.access_token)
        return request

    https_request = http_request


class _Redirects(urllib.request.BaseHandler):
    """Follows the redirects of an API. A token endpoint has no business to send secrets on."""

    def http_error_302(self, request: urllib.request.Request, answer: "_Answer", code: int,
                       message: str, headers: "Any") -> "Any":
        target = headers.get("Location")
        if target is None or not isinstance(request, _ApiRequest) or request.hops >= 10:
            return None
        url = _absolute(None, urllib.parse.urljoin(request.full_url, target), None)
        if request.full_url[:6].lower() == "https:" and url[:6].lower() != "https:":
            raise UnsafeURL("%s redirects from https to %s: not followed"
                            % (_place(request.full_url), _place(url)))
        method, data = request.get_method(), request.data
        if code == 303 and method != "HEAD" or code < 303 and method == "POST":
            method, data = "GET", None  # RFC 9110 section 15.4
        kept = _origin(url, True) == _origin(request.full_url, True)
        if data is not None and not (kept and isinstance(data, bytes)):
            return None
        new = _ApiRequest(url, data, request.headers if kept else {}, method=method)
        new.hops = request.hops + 1
        if kept:
            new.access_token, new.home = request.access_token, request.home
        _read(answer, MAX_ANSWER)
        return self.parent.open(new, timeout=request.timeout)  # type: ignore[attr-defined]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def http_error_default(self, request: object, answer: "_Answer", *_: object) -> "_Answer":
        return answer  # for the caller to judge


class _Answer(http.client.HTTPResponse):
    """An answer that gives its connection back when it is closed."""

    give_back: "Callable[[bool], None] | None" = None
    trace: "Callable[[str], object] | None" = None

    def close(self) -> None:
        whole, give_back, self.give_back = self.isclosed(), self.give_back, None
        super().close()
        if give_back:
            give_back(whole)


class _KeepAlive(urllib.request.AbstractHTTPHandler):
    """Keeps connections open. urllib closes each after one answer, and so pays for a TLS handshake
    each time; `urlopen` even reads all the CA certificates anew."""

    def __init__(self, context: "Any", allow_http: bool, trace: "Any") -> None:
        super().__init__()
        self.context, self.allow_http, self.trace = context, allow_http, trace
        self.lock = threading.Lock()
        # A stack for each far end: the warmest connection is taken first, the others grow old.
        self.idle: "dict[Any, deque[Any]]" = {}

    def close_idle(self) -> None:
        with contextlib.suppress(KeyError, IndexError):  # other threads may take some meanwhile
            while self.idle:
                stack = self.idle.popitem()[1]
                while stack:
                    stack.pop().close()

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def http_open(self, request: urllib.request.Request) -> _Answer:
        if not self.allow_http and request.type == "http" and not (
                _LOOPBACK.fullmatch(request.host) and _LOOPBACK.fullmatch(
                    urllib.parse.urlsplit(request.full_url).netloc)):
            raise UnsafeURL("%s would cross the network unencrypted: use https" % (
                _place(request.full_url)))
        headers = {**request.headers, **request.unredirected_hdrs}
        headers = {name.title(): value for name, value in headers.items()}
        method = request.get_method()
        if self.trace:
            self.trace(_traced("%s %s" % (method, request.full_url), headers, request.data))
        proxy = headers.pop("Proxy-Authorization", None) if request._tunnel_host else None
        # The process is part of the key: after a fork, two would talk over one connection.
        key = os.getpid(), request.type, request.host, request._tunnel_host, proxy
        connection = self.take(key)
        again = connection and method in _IDEMPOTENT and isinstance(request.data, (bytes, type(None)))
        try:
            while True:
                connection, used = connection or self.connect(request, proxy), connection
                try:
                    connection.request(method, request.selector, request.data, headers,
                                       encode_chunked=request.has_header("Transfer-encoding"))
                    answer = connection.getresponse()
                    break
                except OSError as error:
                    connection.close()
                    if not (used and again) or isinstance(error, socket.timeout):
                        raise
                    connection = None  # the server gave up the idle connection as we took it
        except (OSError, http.client.HTTPException, ValueError) as error:
            if connection:
                connection.close()
            raise _network_error(error, request.full_url, request.timeout) from None
        answer.url, answer.msg = request.full_url, answer.reason

        def give_back(whole: bool) -> None:
            if whole and connection.sock and len(self.idle) <= MAX_IDLE:
                stack = self.idle.setdefault(key, deque())
                if len(stack) < MAX_IDLE:
                    connection.idle_since = time.monotonic()
                    return stack.append(connection)
            connection.close()

        answer.give_back = give_back
        answer.trace = self.trace
        return answer

    https_open = http_open

    def take(self, key: "Any") -> "Any":
        """An idle connection that the server has not closed, or None."""
        while True:
            try:
                connection = self.idle[key].pop()
            except (KeyError, IndexError):
                return None
            if time.monotonic() - connection.idle_since < IDLE_TIME and not _readable(connection):
                return connection
            connection.close()

    def connect(self, request: urllib.request.Request, proxy: "str | None") -> "Any":
        if request.type == "http":
            connection = http.client.HTTPConnection(request.host, timeout=request.timeout)
        else:
            with self.lock:
                self.context = self.context or _tls_context()
            connection = http.client.HTTPSConnection(request.host, timeout=request.timeout,
                                                     context=self.context)
            if request._tunnel_host:
                connection.set_tunnel(request._tunnel_host,
                                      headers={"Proxy-Authorization": proxy} if proxy else {})
        connection.response_class = _Answer
        return connection


def _readable(connection: "Any") -> bool:
    """Has an idle connection something to say? Then it was closed, or speaks out of turn."""
    if not hasattr(select, "poll"):  # Windows, where select() takes any number
        return bool(select.select([connection.sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _tls_context() -> "Any":
    """What the system trusts, and TLS 1.2 at least."""
    import ssl
    context = ssl.create_default_context()
    if hasattr(ssl, "TLSVersion"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context


def _network_error(error: Exception, url: str, timeout: "float | None") -> Exception:
    """What happened and what to do, as the OSError that it was within an URLError, as in urllib.
    http.client quotes headers and addresses in its messages, so few are repeated."""
    kind: "Any" = type(error) if isinstance(error, OSError) else OSError
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or type(error).__name__ == "CertificateError":
        text = ("its certificate is not trusted (%s). If your network has a CA of its own, name its "
                "file in SSL_CERT_FILE, or pass context=" % getattr(error, "verify_message", "wrong"))
    elif isinstance(error, socket.timeout):
        text = "no answer within %s seconds: try again, or raise timeout=" % timeout
    elif isinstance(error, socket.gaierror):
        text = "its name is not known: check the address, the network and the proxy settings"
    elif isinstance(error, OSError):
        text = "%s: check that it runs, the network and the proxy settings" % (
            error.strerror or _printable(str(error)))
    elif isinstance(error, http.client.HTTPException):
        text = "it broke off or does not speak HTTP (%s): try again" % type(error).__name__
    else:
        return ValueError("the address or a header has characters that HTTP does not allow")
    return URLError(kind("%s cannot be reached, %s" % (_place(url), text)))


def _read(answer: "_Answer", limit: int) -> Response:
    """Reads to the end, at most about `limit` bytes, and gives the connection back."""
    import gzip
    body: "Any" = answer
    try:
        with answer:
            if answer.getheader("Content-Encoding", "").lower() in ("gzip", "x-gzip"):
                body = gzip.GzipFile(fileobj=answer)
            if body is answer and answer.length is not None and answer.length <= limit:
                content = answer.read()
            else:
                parts, size = [], 0
                while size <= limit:
                    parts.append(body.read(65536))
                    if not parts[-1]:
                        break
                    size += len(parts[-1])
                content = b"".join(parts)
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise _network_error(error if isinstance(error, OSError) else http.client.HTTPException(),
                             answer.url, None) from None
    if answer.trace:
        answer.trace(_traced("%d %s" % (answer.status, answer.reason), answer.headers, content))
    return Response(answer.status, answer.headers, answer.url, content)


def _response_error(method: str, answer: "_Answer", secrets: "Iterable[str]") -> ResponseError:
    """The server's own explanation, from its header (RFC 6750 section 3) or its JSON."""
    response = _read(answer, MAX_ANSWER)
    challenge = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"',
                                response.headers.get("WWW-Authenticate") or ""))
    found = challenge.get("error_description") or challenge.get("error")
    page: "Any" = _json(response.content)
    for name in ("error_description", "message", "detail", "error", "errors", "title"):
        inner = page.get(name) if isinstance(page, dict) else None
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            inner = inner.get("message") or inner.get("detail")
        if isinstance(inner, str):
            found = found or inner
    if response.status_code < 400:
        found = "a redirect that cannot be followed"
    if challenge.get("error") == "insufficient_scope":
        found = "%s; needed is the scope %r: add it, login() again" % (found, challenge.get("scope"))
    message = "%s %s answered %d" % (method, _place(response.url), response.status_code)
    message += ": " + _printable(found, secrets) if found else ""
    wait = _retry_after(response)
    if wait is None:
        return ResponseError(message, response=response)
    return RateLimited("%s; try again in %g seconds" % (message, wait), response=response,
                       retry_after=wait)


def _retry_after(response: Response) -> "float | None":
    """Seconds to wait, at least one; None if this is no matter of waiting."""
    given = response.headers.get("Retry-After")
    if response.status_code != 429 and not (response.status_code == 503 and given):
        return None
    now = _date(response.headers.get("Date")) or time.time()  # the server's clock, not ours
    until = _date(given)
    if until:
        return max(1.0, until - now)
    for name in ("Retry-After", "X-Rate-Limit-Reset", "X-RateLimit-Reset", "RateLimit-Reset"):
        number = _seconds(response.headers.get(name))
        if number:  # X and GitHub name a time, Reddit and the IETF's draft a number of seconds
            return max(1.0, number - now if number > 1e9 else number)
    return 1.0


def _date(text: "str | None") -> "float | None":
    parts = email.utils.parsedate_tz(text or "")
    try:
        return float(email.utils.mktime_tz(parts)) if parts else None
    except (ValueError, OverflowError):
        return None


def _next_link(answer: Response, page: "Any") -> "str | None":
    """RFC 8288, or what APIs use in its stead."""
    for link in answer.headers.get_all("Link") or []:
        for url, parameters in re.findall(r"<([^>]*)>((?:[^,\"]|\"[^\"]*\")*)", link):
            if re.search(r';\s*rel\s*=\s*("([^"]*\s)?next(\s[^"]*)?"|next\b)', parameters, re.I):
                return str(url)
    if not isinstance(page, dict):
        return None
    found = [place[name] for place in [page, *page.values()] if isinstance(place, dict)
             for name in ("next", "@odata.nextLink") if isinstance(place.get(name), str)]
    if len(found) > 1 and found[0] not in (page.get("next"), page.get("@odata.nextLink")):
        raise ValueError("this page has several next links: choose one with next='name.next'")
    return found[0] if found else None


def _at(page: "Any", path: str) -> "Any":
    """The value at a dotted path, None if it is not there."""
    for name in [path] if isinstance(page, dict) and path in page else path.split("."):
        page = page.get(name) if isinstance(page, dict) else None
    return page


def _with_parameter(url: str, name: str, value: object) -> str:
    parts = urllib.parse.urlsplit(url)
    query = [pair for pair in urllib.parse.parse_qsl(parts.query, True) if pair[0] != name]
    return parts._replace(query=urllib.parse.urlencode([*query, (name, value)])).geturl()


def _absolute(base_url: "str | None", url: str, params: "Params") -> str:
    """The whole address, in the characters that HTTP allows."""
    url = urllib.parse.quote(url.strip(), safe="%/:=&?~#+!$,;'@()*[]").partition("#")[0]
    if not re.match("[a-z][a-z0-9+.-]*:", url, re.I):  # RFC 3986 section 4.2
        if base_url is None:
            raise ValueError("%s is a relative URL, and the client has no base_url" % _place(url))
        url = base_url.rstrip("/") + ("/" if url[:1] not in ("", "?") else "") + url.lstrip("/")
    if params:
        if not isinstance(params, str):
            pairs = params.items() if hasattr(params, "items") else params
            params = urllib.parse.urlencode([(k, v) for k, v in pairs if v is not None], True)
        url += ("&" if "?" in url else "?") + params
    return url


def _body(data: "Params | bytes", json: object) -> "tuple[bytes | None, dict[str, str]]":
    """The body and the header that names its kind."""
    if json is not None:
        if data is not None:
            raise ValueError("give data or json, not both")
        return jsonlib.dumps(json).encode(), {"Content-type": "application/json"}
    if data is None or isinstance(data, (str, bytes)):
        return (data.encode() if isinstance(data, str) else data,
                {} if data is None else {"Content-type": "application/octet-stream"})
    return (urllib.parse.urlencode(data, True).encode(),
            {"Content-type": "application/x-www-form-urlencoded"})


def _origin(url: str, allow_http: bool = False) -> "tuple[str, str, int]":
    """Scheme, host and port: what a token belongs to."""
    match = _URL.match(url)
    if not match:
        raise UnsafeURL("%s is not a web address, https://host/path, without a user name in it"
                        % _place(url))
    scheme, host, port = match.group(1).lower(), match.group(2).lower(), match.group(3)
    if scheme == "http" and not (allow_http or _LOOPBACK.fullmatch(host)):
        raise UnsafeURL("%s is not https, and not on this machine" % _place(url))
    return scheme, host, int(port or (443 if scheme == "https" else 80))


def _place(url: str) -> str:
    """An address without what may be secret in it: user name, query, fragment."""
    return re.sub("//[^/]*@", "//", _printable(re.split("[?#]", url)[0]))


def _printable(text: str, secrets: "Iterable[str]" = ()) -> str:
    """What a server said, fit for a message: a line of bounded length, without what we sent."""
    for secret in secrets:
        for form in (secret, urllib.parse.quote(secret, safe="~"), urllib.parse.quote_plus(secret)):
            text = text.replace(form, "***")
    text = re.sub(r"\?\S*", "", "".join(c if c.isprintable() else " " for c in text[:2000]))
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "..."


def _json(text: bytes) -> "Any":
    """What the JSON says; None if it is none."""
    try:
        return jsonlib.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _check_headers(headers: "Headers") -> None:
    for name, value in headers.items():
        if not (re.fullmatch(r"[!#-'*+.^-z|~\w-]+", name, re.ASCII)
                and re.fullmatch(r"[\t -~\x80-\xff]*", value)):
            raise ValueError("a header has characters that HTTP does not allow")
        if name.lower() == "authorization":
            raise ValueError("the Authorization header is the client's own")


_MASKED = ("access_token|refresh_token|id_token|token|code|device_code|client_secret|code_verifier|"
           "password|client_assertion|assertion|state|subject_token|actor_token")


def _traced(start: str, headers: "Any", body: "Any") -> str:
    """A message as it goes over the wire, secrets masked."""
    lines = [start] + ["%s: %s" % pair for pair in headers.items()]
    for i, line in enumerate(lines):
        lines[i] = re.sub("(?i)^((?:proxy-)?authorization: *[a-z]*|(?:set-)?cookie:).*", r"\1 ***", line)
    text = body.decode("utf-8", "replace")[:10000] if isinstance(body, bytes) else ""
    text = "\n".join(lines) + ("\n\n" + text if text else "")
    text = re.sub(r'("(?:%s)"\s*:\s*)"(?:[^"\\]|\\.)*"' % _MASKED, r'\1"***"', text)
    return re.sub(r"(?m)((?:[?&]|^)(?:%s)=)[^&\s]+" % _MASKED, r"\1***", text)


# --- Servers ---------------------------------------------------------------------------------

def discover(issuer: str, context: "ssl.SSLContext | None" = None,
             timeout: float = 30) -> "dict[str, Any]":
    """The metadata of the server that calls itself `issuer`: RFC 8414's address first, then
    OpenID's. OAuth2Error, with the addresses tried, if neither has it."""
    return _metadata(_opener(context, (), False, None), issuer, timeout)


def _metadata(opener: urllib.request.OpenerDirector, issuer: str,
              timeout: float) -> "dict[str, Any]":
    scheme, _, rest = issuer.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    tried = ["%s://%s/.well-known/oauth-authorization-server%s" % (scheme, host, slash + path),
             "%s://%s/.well-known/openid-configuration" % (scheme, rest)]
    others = ""
    for url in tried:
        found = _json(_read(opener.open(url, timeout=timeout), MAX_ANSWER).content)
        if isinstance(found, dict):
            if found.get("issuer") == issuer:  # RFC 8414 section 3.3
                return found
            others = " (one is for the issuer %s)" % _printable(str(found.get("issuer")))
    raise OAuth2Error("no metadata of %s at %s%s: check the issuer, or give the endpoints in a dict"
                      % (_place(issuer), " or ".join(tried), others))


def _server(server: "str | Mapping[str, Any]") -> "dict[str, Any]":
    if isinstance(server, str):
        if server not in PROVIDERS and "://" not in server:
            raise ValueError("unknown server %r: give an issuer URL, a dict, or one of: %s"
                             % (server, ", ".join(PROVIDERS)))
        server = PROVIDERS.get(server, {"issuer": server})
    if "token_endpoint" not in server and "issuer" not in server:
        raise ValueError("the server needs a 'token_endpoint', or an 'issuer' to look it up")
    if server.get("token_endpoint_auth_method") not in AUTH_METHODS + (None,):
        raise ValueError("token_endpoint_auth_method must be one of: " + ", ".join(AUTH_METHODS))
    return dict(server)


PROVIDERS: "dict[str, dict[str, Any]]" = {
    "spotify": {
        "authorization_endpoint": "https://accounts.spotify.com/authorize",
        "token_endpoint": "https://accounts.spotify.com/api/token",
        "base_url": "https://api.spotify.com/v1"},
}
