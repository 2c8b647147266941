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

It follows RFC 6749 (OAuth 2.0), 6750 (bearer tokens), 7009 (revocation), 7636 (PKCE), 8252 (native
applications), 8414 (server metadata), 8628 (devices), 9207 (the issuer in the answer) and 9700
(what went wrong so far, and what to do instead). What is not here: the implicit and the password
grant (RFC 9700 forbids them), validation of ID tokens (the standard library has no RSA), and async
(use `await asyncio.to_thread(client.get, url)`).

Read it from the top: errors, the token, where it is kept, the client, and then what the client
is built from. Calls point down the file. You may stop at any banner.
"""
import base64
import contextlib
import email.utils
import errno
import hashlib
import http.client
import itertools
import json
import os
import re
import select
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request
import warnings
import zlib
from collections import deque, namedtuple
from urllib.error import URLError

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` would cost every start a few milliseconds, for nothing
    import ssl
    from email.message import Message
    from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Tuple, Union
    Params = Union[Mapping[str, object], Iterable[Tuple[str, object]], str, None]
    Browser = Union[bool, Callable[[str], object], None]
    JSON = Dict[str, Any]

__version__ = "0.1.0"
__all__ = ["Client", "Token", "TokenFile", "Response", "AuthorizationRequest", "discover",
           "PROVIDERS", "OAuth2Error", "AuthorizationError", "TokenError", "LoginRequired",
           "ResponseError", "RateLimited", "StoreError", "UnsafeURL", "main"]

MARGIN = 30             # seconds before its end that a token counts as expired: it has a way to go
LOGIN_TIME = 300        # seconds that a user has in the browser
MAX_ANSWER = 1 << 20    # bytes read of a token answer, of metadata, of an error
MAX_CONTENT = 1 << 28   # bytes of an API answer in memory, gzip undone: room for honest data
MAX_IDLE = 64           # idle connections kept for an origin, and origins they are kept for
IDLE_TIME = 120         # seconds; by then a middlebox may have forgotten an idle connection
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = "client_credentials", "authorization_code", DEVICE_CODE
AUTH_METHODS = "client_secret_basic", "client_secret_post", "none"


# --- Errors ----------------------------------------------------------------------------------

class OAuth2Error(Exception):
    """The base of all errors but your own mistakes (ValueError, TypeError) and the network's
    (OSError, mostly `urllib.error.URLError`). No message holds a secret."""

    def __init__(self, message: str = "", **facts: "Any") -> None:
        super().__init__(message)
        vars(self).update(facts)

class AuthorizationError(OAuth2Error):
    """The user or the authorization endpoint said no (RFC 6749 section 4.1.2.1), or the answer is
    not one to our question. Mend what `.error` names, then `login()` again."""

    error = error_description = error_uri = None  # type: str | None

class TokenError(OAuth2Error):
    """The token endpoint said no (RFC 6749 section 5.2), or nothing sensible: then `.error` is
    None. `.status` is that of the HTTP answer."""

    error = error_description = error_uri = None  # type: str | None
    status = 0

class LoginRequired(OAuth2Error):
    """There is no usable token, and only the user can help: call `login()`."""

class ResponseError(OAuth2Error):
    """The API answered 400 or more; `.response` is its answer, whole."""

    response: "Response"

class RateLimited(ResponseError):
    """429, or 503 with Retry-After. Try again after `.retry_after` seconds (1.0 where the server
    does not say), or let the client wait for you: `Client(max_wait=60)`."""

    retry_after = 1.0

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
                scope: "str | None" = None, raw: "JSON | None" = None) -> "Token":
        # It goes into a header: a line break in it would begin a header of the server's choice.
        if not isinstance(access_token, str) or not re.fullmatch("[!-~]+", access_token):
            raise ValueError("an access token is a string of visible ASCII characters")
        if type(expires_at) not in (int, float, type(None)):
            raise ValueError("expires_at is a number of seconds, as time.time() gives, or None")
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
    is the system's: free as soon as its owner is dead. Another store (a database, a key ring) has
    the same three methods; the client calls `load` and `save` only inside `with lock()`.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        path = os.path.expanduser(os.fspath(path))
        if not path or path.startswith("~"):
            raise ValueError("%r is no path of a file (or there is no home directory)" % path)
        self.path = os.path.realpath(path)  # a symbolic link stays one, its target is replaced

    def __repr__(self) -> str:
        return "TokenFile(%r)" % self.path

    def load(self) -> "JSON | None":
        """The saved record, None without a file. A damaged file is moved aside, since somebody may
        still read the token in it, and named in a StoreError."""
        try:
            with open(self.path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("cannot read the token file %s (%s): mend that or name another file"
                             % (self.path, error.strerror)) from None
        record: "JSON | None" = _json(text)
        if isinstance(record, dict) or text.strip() == b"null":
            return record
        with contextlib.suppress(OSError):
            os.replace(self.path, self.path + ".damaged")
        raise StoreError("the token file %s is damaged and was renamed to .damaged: log in again"
                         % self.path)

    def save(self, record: "JSON | None") -> None:
        """Replaces the record; None removes it. OSError if the disk does not take it."""
        if record is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return
        text, new = json.dumps(record, indent=1).encode(), self.path + ".new"
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)  # of a process that was killed
        try:
            # O_EXCL: a file of our own with this mode, not a link that somebody laid there.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before the rename, or a power cut leaves it empty
            os.replace(new, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    @contextlib.contextmanager
    def lock(self) -> "Iterator[None]":
        """Held by one thread of one process at a time. Where the system cannot lock, this warns
        and goes on: a single process loses nothing by that."""
        file = None
        try:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            file = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            _lock_file(file, True)
        except (OSError, ImportError) as error:
            warnings.warn("cannot lock the token file %s (%s): let no other process use it"
                          % (self.path, error), RuntimeWarning, stacklevel=4)
        try:
            yield
        finally:
            if file is not None:
                with contextlib.suppress(OSError, ImportError):
                    _lock_file(file, False)  # to close is not enough: a forked child has it too
                os.close(file)

def _lock_file(file: int, wanted: bool) -> None:
    try:
        import fcntl
        return fcntl.flock(file, fcntl.LOCK_EX if wanted else fcntl.LOCK_UN)
    except ImportError:
        windows: "Any" = __import__("msvcrt")
    while True:
        try:
            return windows.locking(file, windows.LK_LOCK if wanted else windows.LK_UNLCK, 1)
        except OSError as error:
            if error.errno != errno.EDEADLOCK:  # which means: not within ten seconds
                raise


# --- Client ----------------------------------------------------------------------------------

# The token in use; from when on (clock time) it counts as expired, None for never; the scope that
# was asked for, which need not be the one granted.
_Held = namedtuple("_Held", "token renew_at scope")

class Client:
    """Your application at one authorization server, with at most one token at a time.

    `server` is a name in PROVIDERS, an issuer URL (RFC 8414), or a dict of metadata. `grant_type`
    says how a first token is obtained. `store` is a path or an object like TokenFile. A relative
    URL is appended to `base_url`, whose origin alone sees the token. `timeout` is in seconds, for
    each request; `max_wait` is how many seconds in all a request may wait for a rate limit.
    `context` is for a private CA or a client certificate, `handlers` are further urllib handlers,
    such as a ProxyHandler. `trace` gets every HTTP message as text, secrets masked: try `print`.
    Threads may share a client. A wrong value is a ValueError, here and not later.
    """

    _connections: "_KeepAlive | None" = None  # for __del__, if a value is wrong

    def __init__(self, server: "str | Mapping[str, Any]", client_id: str,
                 client_secret: "str | None" = None, *, grant_type: str = "client_credentials",
                 scope: "str | Iterable[str] | None" = None,
                 redirect_uri: str = "http://127.0.0.1/callback", store: "Any" = None,
                 base_url: "str | None" = None, headers: "Mapping[str, str] | None" = None,
                 timeout: float = 30, max_wait: float = 0,
                 context: "ssl.SSLContext | None" = None,
                 handlers: "Iterable[urllib.request.BaseHandler]" = (),
                 trace: "Callable[[str], object] | None" = None) -> None:
        for name, text in ("client_id", client_id), ("client_secret", client_secret):
            if text == "" or not isinstance(text, str) and (text or name == "client_id"):
                raise ValueError("%s must be a non-empty string: is its variable set?" % name)
        if grant_type not in GRANT_TYPES:
            raise ValueError("grant_type must be one of: " + ", ".join(GRANT_TYPES))
        if not (timeout > 0 and max_wait >= 0):
            raise ValueError("timeout must be more than 0 seconds, max_wait at least 0")
        self._server = _server(server)
        self._allow_http = bool(self._server.get("allow_http"))
        self._client_id, self._client_secret = client_id, client_secret
        self._grant_type, self._scope = grant_type, _scope(scope)
        self._redirect_uri, self._headers = _redirect_uri(redirect_uri), _headers(headers)
        self._base_url = base_url or self._server.get("base_url")
        for name in self._server:
            if self._server[name] and re.fullmatch("issuer|base_url|.*_endpoint", name):
                _origin(self._server[name], self._allow_http)
        _origin(self._base_url or "https://none", self._allow_http)
        if context is not None and not getattr(context, "check_hostname", False):
            raise ValueError("context must be an ssl.SSLContext that checks certificates and names")
        if trace is not None and not callable(trace):
            raise TypeError("trace must be a function of one string, such as print")
        self._timeout, self._max_wait = timeout, max_wait
        self._connections = _KeepAlive(context, self._allow_http, trace)
        self._opener = _opener(self._connections, *handlers)
        self._store = TokenFile(store) if isinstance(store, (str, os.PathLike)) else store
        if store and not all(hasattr(self._store, name) for name in ("load", "save", "lock")):
            raise TypeError("store must be a path, or have load(), save(record) and lock()")
        # What a stored token is good for, and for nothing else.
        self._bound = {"server": self._server.get("issuer") or self._server["token_endpoint"],
                       "client_id": client_id, "grant_type": grant_type}
        self._held: "Any" = None  # a _Held or None: read without a lock, replaced under one
        self._seen: "Any" = None  # the token in the store, when we last read or wrote it
        self._lock, self._process = threading.RLock(), os.getpid()

    def __repr__(self) -> str:
        return "<Client %r of %s>" % (self._client_id, self._bound["server"])

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. The client can still be used, it opens new ones."""
        if self._connections:
            self._connections.close()

    __del__ = close

    # --- using it ---

    def get(self, url: str, params: "Params" = None, **more: "Any") -> "Response":
        """`request` with the method GET."""
        return self.request("GET", url, params, **more)

    def post(self, url: str, data: "Params | bytes" = None, json: object = None,
             **more: "Any") -> "Response":
        """`request` with the method POST."""
        return self.request("POST", url, data=data, json=json, **more)

    def request(self, method: str, url: str, params: "Params" = None,
                data: "Params | bytes" = None, json: object = None,
                headers: "Mapping[str, str] | None" = None) -> "Response":
        """Sends an authorized request and returns the answer, read to its end.

        `data` is a form (a mapping or pairs) or a body as it is (str, bytes); `json` is sent as
        JSON. A 401 renews the token once. Raises ResponseError for an answer of 400 or more,
        LoginRequired without a usable token, UnsafeURL for an address that the token is not for,
        URLError when the network fails.
        """
        url = _absolute(self._base_url, url, params)
        body, content_type = _body(data, json)
        sent = {"Accept-encoding": "gzip", **content_type, **_headers(headers)}
        response = _read(self._send(method, url, body, sent), MAX_CONTENT)
        if len(response.content) > MAX_CONTENT:
            raise URLError("the answer is larger than %d bytes: use open()" % MAX_CONTENT)
        return response

    def open(self, url: "str | urllib.request.Request") -> "http.client.HTTPResponse":
        """The answer as a stream, as from `urllib.request.urlopen`: for what is too large for
        memory. Close it (`with`). The errors are those of `request`."""
        request = url if isinstance(url, urllib.request.Request) else urllib.request.Request(
            _absolute(self._base_url, url))
        return self._send(request.get_method(), _absolute(None, request.full_url), request.data,
                          _headers(dict(request.header_items())))

    def pages(self, url: str, params: "Params" = None,
              next: "str | tuple[str, str] | Callable[[Any], str | None] | None" = None
              ) -> "Iterator[Any]":
        """Yields the parsed pages of a listing, each fetched with a token that is good then.

        The next page is found by `Link: rel=next`, or by a link called `next` or `@odata.nextLink`
        on the page or one level down; `next="paging.next"` names the link; a pair such as
        `("meta.next_token", "pagination_token")` names a cursor and the parameter that takes it;
        a function gets the page and returns the link. The end is a link that is missing, empty or
        seen before. A link to another origin raises UnsafeURL: it would get the token.
        """
        first = url = _absolute(self._base_url, url, params)
        seen: "set[str]" = set()
        while url not in seen:
            if _origin(url, True) != _origin(first, True):
                raise UnsafeURL("the next page is at %s: the token is not for there" % _place(url))
            seen.add(url)
            answer = self.request("GET", url)
            page = answer.json()
            yield page
            if isinstance(next, tuple):
                cursor = _at(page, next[0])
                link = cursor and _with_parameter(first, next[1], cursor)
            else:
                link = (next(page) if callable(next) else
                        _at(page, next) if next else _next_link(answer, page))
            if not link:
                return
            url = _absolute(None, urllib.parse.urljoin(answer.url, link))

    def access_token(self) -> str:
        """A valid access token, renewed if need be, for use with any other HTTP library: ask for
        it before each request. Raises LoginRequired, or TokenError if renewing fails."""
        return str(self._current().token.access_token)

    @property
    def token(self) -> "Token | None":
        """The current Token, good or not, out of memory or else the store. Assigning one saves it
        in the store too; assigning None forgets it."""
        if self._held is None:
            with self._alone():
                self._newest()
        held = self._held
        return held.token if held else None

    @token.setter
    def token(self, token: "Token | None") -> None:
        if not isinstance(token, (Token, type(None))):
            raise TypeError("assign a Token, or None to forget it")
        with self._alone():
            self._keep(token, self._scope)

    # --- logging in and out ---

    def login(self, open_browser: "Browser" = None, timeout: "float | None" = None,
              **parameters: str) -> Token:
        """Makes sure that there is a usable token; asks the user only if there is none, or if more
        scope is wanted now than was asked for then.

        The address is always shown on stderr, for a user whose browser is elsewhere; the address
        that this browser ends at can be pasted on the terminal. `open_browser` is True, False, a
        function that gets the address, or None: where a browser makes sense. `parameters` are
        added to the authorization request. Raises AuthorizationError for a no, LoginRequired when
        `timeout` seconds are over (300; a device code says for itself how long it lives).
        """
        with contextlib.suppress(LoginRequired):
            held = self._current()
            if set(self._scope.split()) <= set(held.scope.split()):
                return held.token
        if self._grant_type == DEVICE_CODE:
            return self._device_login(open_browser, timeout)
        with _Callback(self._redirect_uri) as callback:  # listens first: no answer can be missed
            asked = self.authorization_request(callback.redirect_uri, **parameters)
            _show_address(asked.url, bool(callback.servers), open_browser)
            answer = callback.wait(asked, LOGIN_TIME if timeout is None else timeout,
                                   self._facts.get("issuer") or "")
            return self.exchange(asked, answer)  # and only then the browser is told how it ended

    def authorization_request(self, redirect_uri: "str | None" = None,
                              **parameters: str) -> "AuthorizationRequest":
        """The first half of a login: send the user's browser to `.url`, and keep the whole in the
        user's session, for `exchange`. In a web application `redirect_uri` is a page of yours."""
        form = {"response_type": "code", "client_id": self._client_id, "scope": self._scope,
                "redirect_uri": _redirect_uri(redirect_uri or self._redirect_uri)}
        endpoint, facts = self._endpoint("authorization_endpoint"), self._facts
        parameters = {**facts.get("authorization_parameters", {}), **parameters}
        return _authorization_request(endpoint, form, parameters, facts.get("pkce", True))

    def exchange(self, authorization_request: "AuthorizationRequest | Iterable[str]",
                 response: str) -> Token:
        """The second half: `response` is the address that the browser ended at, or its query.
        AuthorizationError if it is no answer to this request (then nothing is sent and the code
        is not spent), or if the answer is no."""
        asked = AuthorizationRequest(*authorization_request)
        token = self.request_token(
            "authorization_code", code=_code(asked, response, self._facts),
            redirect_uri=asked.redirect_uri, code_verifier=asked.code_verifier or None)
        self.token = token
        return token

    def _device_login(self, open_browser: "Browser", timeout: "float | None") -> Token:
        """RFC 8628: the user types a short code on another device, and we ask again and again."""
        fields = self._post("device_authorization_endpoint", {"scope": self._scope or None},
                            "user_code")
        _show_code(fields, open_browser)
        interval, life = _seconds(fields.get("interval")) or 5, _seconds(fields.get("expires_in"))
        deadline = time.monotonic() + min(life or LOGIN_TIME, timeout or life or LOGIN_TIME)
        while time.monotonic() + interval < deadline:
            time.sleep(interval)
            try:
                token = self.request_token(DEVICE_CODE, device_code=fields.get("device_code"))
            except TokenError as error:
                if error.error == "access_denied":
                    raise AuthorizationError("the user said no", error=error.error) from None
                if error.error == "expired_token":
                    break
                if error.error not in ("authorization_pending", "slow_down"):
                    raise
                interval += 5 if error.error == "slow_down" else 0  # section 3.5
            else:
                self.token = token
                return token
        raise LoginRequired("nobody confirmed the code in time: call login() for a new one")

    def logout(self) -> bool:
        """Revokes the token where the server can (RFC 7009) and forgets it in any case. Returns
        whether the server confirmed; if not, the token may live on until it expires."""
        with self._alone():
            held, confirmed = self._newest(), []
            try:
                for name in ("refresh_token", "access_token"):  # the one that lasts comes first
                    token = getattr(held.token, name) if held else None
                    if token and "revocation_endpoint" in self._facts:
                        form = {"token": token, "token_type_hint": name}
                        confirmed.append(self._post("revocation_endpoint", form, None) is not None)
            except (OSError, TokenError):
                confirmed.append(False)
            finally:
                self._keep(None, "")
        return bool(confirmed) and all(confirmed)

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
        return _token(self._post("token_endpoint", form, "access_token"))

    def _post(self, endpoint: str, form: "JSON", needed: "str | None") -> "JSON":
        """Sends a form with the client's credentials; returns the fields of the answer, if what is
        `needed` is among them. As this is no _ApiRequest, no redirect is followed."""
        url, method = self._endpoint(endpoint), self._facts.get("token_endpoint_auth_method")
        method = method or ("client_secret_basic" if self._client_secret else "none")
        headers, form = _authenticate(method, self._client_id, self._client_secret, form)
        body, content_type = _body({k: v for k, v in form.items() if v is not None}, None)
        request = urllib.request.Request(url, body, {**headers, **content_type}, method="POST")
        answer = _read(self._opener.open(request, timeout=self._timeout), MAX_ANSWER)
        secrets = [form[name] for name in form if re.fullmatch(_MASKED, name)]
        return _fields(answer, needed, self._secrets(headers.get("Authorization", "")[6:], *secrets),
                       self._client_secret or "")

    def _secrets(self, *more: "str | None") -> "list[str]":
        """What no message may repeat, even where a server does."""
        token = self._held.token if self._held else (None,) * 4
        return [text for text in (self._client_secret, token[0], token[3], *more) if text]

    @property
    def _facts(self) -> "JSON":
        """The server's metadata; an issuer's are fetched when they are first needed."""
        if not self._server.get("token_endpoint"):
            found = _metadata(self._opener, self._server["issuer"], self._timeout)
            self._server = {**found, **self._server}
        return self._server

    def _endpoint(self, name: str) -> str:
        url = self._facts.get(name)
        if not isinstance(url, str):
            raise ValueError("this needs %r, which the server's metadata does not have" % name)
        _origin(url, self._allow_http)
        return url

    # --- keeping the token good ---

    def _current(self) -> "Any":
        """The token in memory while it is good, without any lock; else a renewed one."""
        held = self._held
        return held if _good(held) else self._renew(held)[0]

    def _renew(self, old: "_Held | None") -> "tuple[Any, bool]":
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
                return self._keep(token, self._scope), True
            self._held = None
            raise LoginRequired("the access token is no longer good and there is no refresh token: "
                                "call login()" if held else "there is no token yet: call login()")

    def _refresh(self, held: "_Held") -> "Any":
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
        # Servers that do not rotate send none: then the old one stays (RFC 6749 section 6).
        return self._keep(new._replace(refresh_token=new.refresh_token or held.token.refresh_token,
                                       scope=new.scope or held.token.scope), held.scope)

    @contextlib.contextmanager
    def _alone(self) -> "Iterator[None]":
        if self._process != os.getpid():  # forked: a thread that is not here may have the lock
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock, self._store.lock() if self._store else contextlib.ExitStack():
            yield

    def _newest(self) -> "Any":
        """What another process saved since we last looked, else what is in memory: a token that
        could not be saved is newer than the one in the store."""
        record = self._store.load() if self._store else None
        if record is None:
            return self._held
        try:
            held = _Held(Token(**record["token"]), record["renew_at"], str(record["scope"]))
            time.time() < (held.renew_at or 0)  # is a number, or a TypeError
        except (KeyError, TypeError, ValueError):
            raise StoreError("%r does not hold a token: name another store" % self._store) from None
        for name, mine in self._bound.items():
            if record.get(name) != mine:
                raise StoreError("%r holds a token of another %s: name another store, or remove it"
                                 % (self._store, name.replace("_", " ")))
        enough = set(self._scope.split()) <= set(held.scope.split())
        if held.token != self._seen and (enough or self._grant_type != "client_credentials"):
            self._held, self._seen = held, held.token
        return self._held

    def _keep(self, token: "Token | None", scope: str) -> "Any":
        """Saves, then uses: no other process may start from a token that is used up."""
        held = record = None
        if token is not None:
            # Early, so that it does not expire on its way, but by no more than a tenth of its life:
            # a token of 20 seconds would otherwise never be good.
            end, now = token.expires_at, time.time()
            held = _Held(token, end and end - min(MARGIN, max(0, end - now) / 10), scope)
            record = {**self._bound, **held._asdict(), "token": dict(token._asdict())}
        try:
            if self._store:
                self._store.save(record)
            self._seen = token
        except Exception as error:  # whatever a store may raise: the token is good all the same
            warnings.warn("could not save in %r (%s): what is new is known to this program alone"
                          % (self._store, getattr(error, "strerror", None) or type(error).__name__),
                          RuntimeWarning, stacklevel=3)
        finally:
            self._held = held
        return held

    # --- sending ---

    def _send(self, method: str, url: str, body: "Any", headers: "dict[str, str]") -> "_Answer":
        home = _origin(self._base_url or url, self._allow_http)  # nobody else sees the token
        if _origin(url, True) != home:
            raise UnsafeURL("%s is not at %s://%s:%d, where the token is for: make another Client"
                            % ((_place(url),) + home))
        once = not isinstance(body, (bytes, type(None)))  # a stream cannot be sent twice
        renewals, renewed, waited, held = 0, False, 0.0, self._current()
        while True:
            request = _ApiRequest(url, body, {**self._headers, **headers}, method=method)
            # Unredirected: urllib copies all other headers to wherever a redirect leads (CPython
            # issue 77842). RFC 6750 section 2.1.
            request.add_unredirected_header("Authorization", "Bearer " + held.token.access_token)
            answer: "_Answer" = self._opener.open(request, timeout=self._timeout)  # type: ignore
            if answer.status < 400 and answer.status not in _REDIRECTS:
                return answer
            error = _response_error(method, answer, self._secrets())
            if (answer.status == 401 and _origin(answer.url, True) == home
                    and renewals < 2 and not (renewed or once)):
                # A token that another process had stored is no renewal: it may be as stale.
                held, renewed = self._renew(held)
                renewals += 1
            elif (isinstance(error, RateLimited) and waited + error.retry_after <= self._max_wait
                    and not once):
                time.sleep(error.retry_after)
                waited += error.retry_after
                held = self._current()
            else:
                raise error

def _good(held: "_Held | None") -> bool:
    return held is not None and (held.renew_at is None or time.time() < held.renew_at)

def _scope(scope: "str | Iterable[str] | None") -> str:
    """The scope as it goes over the wire: separated by spaces (RFC 6749 section 3.3)."""
    words = scope.split() if isinstance(scope, str) else list(scope or ())
    if not all(isinstance(word, str) and re.fullmatch(r"[!#-\[\]-~]+", word) for word in words):
        raise ValueError("scope must be a string with spaces, or several strings without")
    return " ".join(words)


# --- Authorization request -------------------------------------------------------------------

class AuthorizationRequest(namedtuple("_", "url state code_verifier redirect_uri")):
    """A login under way: four strings, to be kept in the user's session. Only `url` goes out;
    `code_verifier` is empty for a server that refuses PKCE."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<AuthorizationRequest to %s>" % _place(self.url)

def _authorization_request(endpoint: str, form: "JSON", more: "JSON", pkce: bool
                           ) -> AuthorizationRequest:
    """RFC 6749 section 4.1.1, with `state` against forged answers (section 10.12) and PKCE against
    stolen codes (RFC 7636): what begins here can be finished nowhere else."""
    import secrets
    form["state"], verifier = secrets.token_urlsafe(32), ""
    if pkce:
        verifier = secrets.token_urlsafe(32)
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        form.update(code_challenge=digest.decode().rstrip("="), code_challenge_method="S256")
    for name in set(form).intersection(more):
        raise ValueError("%s is set by the client itself (a scope by Client(scope=))" % name)
    url = _absolute(None, endpoint, {**form, "scope": form["scope"] or None, **more})
    return AuthorizationRequest(url, form["state"],
                                verifier, form["redirect_uri"])

def _code(asked: AuthorizationRequest, response: str, facts: "JSON") -> str:
    """The code out of the address that the browser ended at (RFC 6749 section 4.1.2)."""
    fields = _answer_to(asked.state, response)
    if fields is None:
        raise AuthorizationError("this is no answer to our request (its state is another): nothing "
                                 "was sent; log in again, in one window")
    issuer, named = facts.get("issuer"), fields.get("iss")
    promised = facts.get("authorization_response_iss_parameter_supported") is True
    # RFC 9207: an answer of another server than was asked is an attempt to mix up the two.
    if issuer and named != issuer and (named or promised and "error" not in fields):
        raise AuthorizationError("the answer does not come from %s: nothing was sent" % issuer)
    error, text, uri = (_printable(fields.get(name, ""), [asked.state]) or None
                        for name in ("error", "error_description", "error_uri"))
    if error:
        advice = ("the user or the server said no" if error == "access_denied" else
                  "check client_id, redirect_uri and scope against what is registered there")
        raise AuthorizationError(": ".join(filter(None, (error, text, advice))),
                                 error=error, error_description=text, error_uri=uri)
    return fields.get("code", "")

def _answer_to(state: str, response: str) -> "dict[str, str] | None":
    """The fields of an address or its query, if they answer the request with this state. None if
    one is repeated (RFC 6749 section 3.1), for then two readers may see two answers."""
    import hmac
    query = re.sub("^[^=?]*[?]|#.*", "", response)
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    fields = dict(pairs)
    theirs = fields.get("state", "").encode("utf-8", "replace")  # compared in constant time
    ours = hmac.compare_digest(theirs, state.encode()) and len(fields) == len(pairs)
    return fields if ours and (fields.get("code") or "error" in fields) else None

def _redirect_uri(uri: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:[!-\"$-~]+", uri, re.I):  # RFC 6749 section 3.1.2
        raise ValueError("redirect_uri must be an absolute URI without a fragment")
    urllib.parse.urlsplit(uri).port  # a ValueError if it is none
    return uri


# --- Loopback --------------------------------------------------------------------------------

class _Callback(contextlib.ExitStack):
    """Waits for the browser to come back to a loopback address (RFC 8252 section 7.3), and for the
    same address pasted on the terminal. Leaving the `with` block tells the browser how the login
    ended: a page that said "success" before the exchange could be wrong."""

    def __init__(self, redirect_uri: str) -> None:
        super().__init__()
        self.redirect_uri, self.state, self.query, self.page = redirect_uri, "", "", b""
        self.ended, self.told = threading.Event(), threading.Event()
        self.servers: "list[Any]" = []
        parts = urllib.parse.urlsplit(redirect_uri)
        host, port = parts.hostname or "", parts.port or 0
        if parts.scheme != "http" or not _LOOPBACK.fullmatch(parts.netloc):
            return  # not ours to listen on: the user will paste
        for address in ("127.0.0.1", "::1") if host == "localhost" else (host,):
            try:
                self.servers.append(self.enter_context(_listen(address, port, parts.path or "/", self)))
                port = self.servers[0].server_address[1]
            except OSError as error:
                if not self.servers or error.errno == errno.EADDRINUSE:  # else there is no IPv6
                    self.close()
                    raise OSError(error.errno, "cannot listen on port %s of %s (%s): end the program "
                                  "that does, or choose another redirect_uri"
                                  % (port, host, error.strerror)) from None
        netloc = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
        self.redirect_uri = parts._replace(netloc=netloc).geturl()

    def __exit__(self, failure: "Any", *more: "Any") -> bool:
        self.page = (_page("The login failed", "The program that you came from says why.")
                     if failure else _page("You are logged in", "You can close this page now."))
        self.ended.set()
        if self.query:
            self.told.wait(2)
        return super().__exit__(failure, *more)

    def wait(self, asked: AuthorizationRequest, seconds: float, issuer: str) -> str:
        """The query that the browser came back with, or what was pasted."""
        self.state, typed, deadline = asked.state, "", time.monotonic() + seconds
        while not self.query:
            if time.monotonic() > deadline:
                raise LoginRequired("nobody logged in within %g seconds: try again" % seconds)
            if not self.servers:
                time.sleep(0.05)
            for server in self.servers and select.select(self.servers, [], [], 0.05)[0]:
                server.handle_request()  # in a thread
            more = _typed()
            typed += more
            if more or not typed.endswith(("\n", "\r")):
                continue  # an address with line breaks in it comes in pieces
            pasted, typed = "".join(typed.split()), ""
            if asked.code_verifier and re.fullmatch("(?!.*://)[^=?&]+", pasted):  # the code alone
                return urllib.parse.urlencode({"code": pasted, "state": asked.state, "iss": issuer})
            if _answer_to(asked.state, pasted):
                return pasted
            _say("This login ends at an address that begins with\n%s\nPlease paste the whole of it:"
                 % asked.redirect_uri)
        return self.query

def _listen(host: str, port: int, path: str, callback: _Callback) -> "Any":
    """An HTTP server that knows one thing: the way back into `callback`."""
    import http.server
    import socketserver

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # seconds: browsers open connections ahead and then send nothing

        def do_GET(self) -> None:
            self.take(*self.path.partition("?")[::2])

        def do_POST(self) -> None:  # OAuth 2.0 Form Post Response Mode
            size = self.headers.get("Content-Length", "")
            body = self.rfile.read(int(size)) if re.fullmatch("[0-9]{1,5}", size) else b""
            self.take(self.path.partition("?")[0], body.decode("ascii", "replace"))

        def take(self, sent_to: str, query: str) -> None:
            if sent_to != path:
                self.send_error(404)
            elif (self.headers["Host"] != urllib.parse.urlsplit(callback.redirect_uri).netloc
                    or not callback.state or not _answer_to(callback.state, query)):
                self.send_error(400)  # another login, or a foreign name that leads to us
            else:
                callback.query = callback.query or query
                callback.ended.wait()
                self.show(200, callback.page)
                callback.told.set()

        def send_error(self, code: int, *_: object) -> None:
            self.show({404: 404, 501: 405}.get(code, 400),
                      _page("Nothing here", "This address only serves to end a login."))

        def show(self, code: int, page: bytes) -> None:
            self.send_response_only(code)
            for header in ("Content-Type: text/html; charset=utf-8", "Connection: close",
                           "Content-Length: %d" % len(page), "Cache-Control: no-store",
                           "Referrer-Policy: no-referrer", "Content-Security-Policy: default-src "
                           "'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"):
                self.send_header(*header.split(": "))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else page)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads, request_queue_size, timeout = True, 128, 0
        allow_reuse_address = os.name != "nt"  # Windows would let others listen there too
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        accepted: "deque[Any]" = deque()
        server_bind = socketserver.TCPServer.server_bind  # HTTPServer's asks the DNS for our name

        def process_request(self, request: "Any", address: "Any") -> None:
            self.accepted.append(request)
            if len(self.accepted) > 32:  # the oldest has had its time
                with contextlib.suppress(OSError):
                    self.accepted.popleft().shutdown(socket.SHUT_RDWR)
            super().process_request(request, address)

        def handle_error(self, *_: object) -> None:
            pass  # a connection broke

    return Server((host, port), Handler)

def _page(title: str, text: str) -> bytes:
    return ("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title>
<meta name="viewport" content="width=device-width"><style>
:root{color-scheme:light dark;font:1.1rem/1.5 system-ui,sans-serif}
body{min-height:90vh;display:grid;place-content:center;text-align:center;margin:0 1.5rem}
</style></head><body><main><h1>%s</h1><p>%s</p></main></body></html>
""" % (title, title, text)).encode()

def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # stdout is for results

def _show_address(url: str, listens: bool, open_browser: "Browser") -> None:
    _say("To log in, open this address in a browser:\n\n%s\n" % url)
    _say("If that browser is on another machine, paste the address that it ends at here:"
         if listens else "Then paste the address that the browser ends at here:")
    _browse(url, open_browser)

def _show_code(fields: "JSON", open_browser: "Browser") -> None:
    url = _printable(str(fields.get("verification_uri") or fields.get("verification_url")))  # Google
    _say("To log in, open this address in any browser, and type the code %s there:\n\n%s\n"
         % (_printable(str(fields.get("user_code"))), url))
    _browse(url, open_browser or False)

def _browse(url: str, open_browser: "Browser") -> None:
    """Opens a browser, unless it could not be seen: over SSH the screen is another machine's, and
    a text browser would take the terminal."""
    import webbrowser
    run: "Any" = open_browser if callable(open_browser) else webbrowser.open
    if open_browser is None:
        with contextlib.suppress(webbrowser.Error):
            name = os.path.basename(getattr(webbrowser.get(), "name", None) or "")
            remote = "SSH_CONNECTION" in os.environ and "DISPLAY" not in os.environ
            text = name in ("www-browser", "lynx", "links", "elinks", "w3m")
            open_browser = not text and ("BROWSER" in os.environ or not remote)
    if open_browser:  # in a thread: some come back only when the page is there, or closed
        threading.Thread(target=run, args=(url,), daemon=True).start()

def _typed() -> str:
    """What was typed since we last asked. It never waits, so nothing is left reading."""
    try:
        file = sys.stdin.fileno()
        if not os.isatty(file) or os.name != "nt" and os.tcgetpgrp(file) != os.getpgrp():
            return ""
    except (AttributeError, OSError, ValueError):
        return ""  # stdin is closed, or no file, or not our terminal
    if os.name == "nt":
        windows: "Any" = __import__("msvcrt")
        return "".join(iter(lambda: windows.getwche() if windows.kbhit() else "", ""))
    ready = select.select([file], [], [], 0)[0]
    return os.read(file, 65536).decode("utf-8", "replace") if ready else ""


# --- Token endpoint --------------------------------------------------------------------------

def _authenticate(method: str, client_id: str, secret: "str | None", form: "JSON"
                  ) -> "tuple[dict[str, str], JSON]":
    """Headers and form with the client's credentials (RFC 6749 section 2.3.1)."""
    headers = {"Accept": "application/json"}
    if method == "client_secret_basic":
        # Each is form-encoded before base64, else a colon or an umlaut breaks it; a space as %20,
        # which those servers get right too that forget to decode a plus sign.
        pair = ":".join(urllib.parse.quote(text, safe="~") for text in (client_id, secret or ""))
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers, form
    proof = {"client_secret": secret} if method == "client_secret_post" else {}
    return headers, {**form, "client_id": client_id, **proof}

def _fields(answer: "Response", needed: "str | None", secrets: "list[str]",
            client_secret: str) -> "JSON":
    """The fields of an answer (RFC 6749 section 5), out of whatever a server makes of it; a
    TokenError if they say no, or nothing."""
    fields: "Any" = _json(answer.content)
    if not isinstance(fields, dict):  # a form, from GitHub
        fields = dict(urllib.parse.parse_qsl(answer.text))
    error, text = fields.get("error"), fields.get("error_description", fields.get("message"))
    if isinstance(error, dict):  # Facebook
        error, text = error.get("type"), error.get("message")
    if answer.status_code < 300 and not error and fields.get("ok") is not False:  # as Slack says
        if needed is None or isinstance(fields.get(needed), str) and fields[needed]:
            return fields
    error, text, uri = (_printable(value, secrets) if isinstance(value, str) and value else None
                        for value in (error, text, fields.get("error_uri")))
    if error == "invalid_client" or answer.status_code in (401, 403):
        advice = "check client_id, client_secret and token_endpoint_auth_method"
        if not re.fullmatch(r"[\w.~-]*", client_secret, re.ASCII):
            advice += ": some servers do not decode what stands in this secret, try client_secret_post"
    elif error == "invalid_grant":
        advice = "the code or the refresh token is used up, expired or another client's: log in again"
    elif error:
        advice = "check the grant type and the scope against what is registered there"
    else:
        advice = "no %s in %d bytes of %s: is this the right address?" % (
            needed, len(answer.content), answer.headers.get_content_type())
    where = "%s answered %d" % (_place(answer.url), answer.status_code)
    raise TokenError(": ".join(filter(None, (where, error, text, advice))), error=error,
                     error_description=text, error_uri=uri, status=answer.status_code)

def _token(fields: "JSON") -> Token:
    """RFC 6749 section 5.1, with the liberties that servers take."""
    life = _seconds(fields.get("expires_in", fields.get("expires")))
    kind, refresh, scope = (fields.get(n) for n in ("token_type", "refresh_token", "scope"))
    if isinstance(scope, str):
        scope = scope.replace(",", " ").split()  # GitHub's has commas
    try:
        return Token(fields["access_token"], kind if isinstance(kind, str) and kind else "Bearer",
                     time.time() + life if life else None, refresh if isinstance(refresh, str) else
                     None, " ".join(map(str, scope)) if isinstance(scope, list) else None, fields)
    except ValueError:
        raise TokenError("the server gave an access token that no header can hold", status=200) from None

def _seconds(value: object) -> "float | None":
    """A number that may have come as a string; None for nonsense, and for what is no time."""
    try:
        number = float(value) if type(value) in (str, int, float) else 0.0  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < 1e10 else None


# --- HTTP ------------------------------------------------------------------------------------

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?(?=[/?#]|$)", re.I)
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?", re.I)
_REDIRECTS = 301, 302, 303, 307, 308
_IDEMPOTENT = "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"  # RFC 9110 section 9.2.2
_MASKED = ("access_token|refresh_token|id_token|token|code|device_code|client_secret|code_verifier|"
           "password|assertion|client_assertion|subject_token|actor_token|state")

class Response(namedtuple("_", "status_code headers url content")):
    """The answer of an API, read to its end. In `headers` case does not matter, and what is not
    there is None; `url` is the last one, after redirects; the body is `content`, bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<Response %d from %s>" % (self.status_code, _place(self.url))

    @property
    def text(self) -> str:
        """The body in the charset that the server names, else UTF-8."""
        with contextlib.suppress(LookupError):
            return str(self.content, self.headers.get_content_charset() or "utf-8", "replace")
        return str(self.content, "utf-8", "replace")

    def json(self) -> "Any":
        """The body parsed. Raises ValueError if it is not JSON."""
        return json.loads(self.text)

class _ApiRequest(urllib.request.Request):
    """A request that carries the token. Others, to a token endpoint, are not redirected."""

    hops = 0

def _opener(*handlers: "Any") -> urllib.request.OpenerDirector:
    """urllib's own machine, without its handlers for file: and ftp:, and with ours in the place of
    those that open a connection for every request and send the token wherever a redirect leads."""
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", "oauth2min/" + __version__)]
    if not any(isinstance(handler, urllib.request.ProxyHandler) for handler in handlers):
        opener.add_handler(urllib.request.ProxyHandler())
    for handler in (_Redirects(), urllib.request.HTTPErrorProcessor()) + handlers:
        opener.add_handler(handler)
    return opener

class _Redirects(urllib.request.BaseHandler):
    """Follows the redirects of an API (RFC 9110 section 15.4), without the token and the client's
    headers when they leave its origin."""

    def http_error_302(self, request: "Any", answer: "_Answer", code: int, reason: str,
                       headers: "Any") -> "Any":
        method, data, target = request.get_method(), request.data, headers.get("Location")
        headers = request.headers
        if code == 303 and method != "HEAD" or code < 303 and method == "POST":
            method, data = "GET", None
            headers = {name: headers[name] for name in headers if name[:8] != "Content-"}
        if not (target and isinstance(request, _ApiRequest) and request.hops < 10
                and isinstance(data, (bytes, type(None)))):
            return None
        _read(answer, MAX_ANSWER)
        old, url = request.full_url, _absolute(None, urllib.parse.urljoin(request.full_url, target))
        kept = _origin(url, True) == _origin(old, True)
        if data is not None and not kept or _origin(old, True)[0] > _origin(url, True)[0]:
            raise UnsafeURL("%s redirects to %s: that is not https, or the body that we sent is not "
                            "for there" % (_place(old), _place(url)))
        new = _ApiRequest(url, data, headers if kept else {}, method=method)
        new.hops = request.hops + 1
        if kept and request.has_header("Authorization"):
            new.add_unredirected_header("Authorization", request.get_header("Authorization"))
        return self.parent.open(new, timeout=request.timeout)  # type: ignore[attr-defined]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def http_error_default(self, request: "Any", answer: "_Answer", *_: object) -> "_Answer":
        return answer  # for the caller to judge

class _Answer(http.client.HTTPResponse):
    """An answer that gives its connection back when it is closed."""

    give_back = trace = request = None  # type: Any

    def close(self) -> None:
        whole, give_back, self.give_back = self.isclosed(), self.give_back, None
        super().close()
        if give_back:
            give_back(whole)

class _KeepAlive(urllib.request.AbstractHTTPHandler):
    """Keeps connections open. urllib opens one for each request, with a TLS handshake each time,
    and for that `urlopen` reads all CA certificates anew."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, context: "Any", allow_http: bool, trace: "Any") -> None:
        super().__init__()
        self.context, self.allow_http, self.trace = context, allow_http, trace
        self.lock = threading.Lock()
        self.idle: "dict[Any, deque[Any]]" = {}  # stacks: the warmest is taken, the others age

    def http_open(self, request: "Any") -> _Answer:
        if request.type == "http" and not (self.allow_http or _LOOPBACK.fullmatch(request.host)):
            raise UnsafeURL("%s would be sent to %s in the clear: use https"
                            % (_place(request.full_url), request.host))
        method, data = request.get_method(), request.data
        headers = {**request.headers, **request.unredirected_hdrs}
        headers = {name.title(): value for name, value in headers.items()}
        if self.trace:
            self.trace(_traced("%s %s" % (method, request.full_url), headers, data))
        proxy = headers.pop("Proxy-Authorization", None) if request._tunnel_host else None
        # With the process: two of them, after a fork, would talk at once over one connection.
        key = os.getpid(), request.type, request.host, request._tunnel_host, proxy
        connection = self.take(key, request.timeout) or self.connect(request, proxy)
        while True:
            used = connection.sock  # the server may give up an idle one just as we take it
            try:
                connection.request(method, request.selector, data, headers,
                                   encode_chunked=request.has_header("Transfer-encoding"))
                answer: _Answer = connection.getresponse()
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                if not (used and isinstance(error, OSError) and not isinstance(error, socket.timeout)
                        and method in _IDEMPOTENT and type(data) in (bytes, type(None))):
                    raise _network_error(error, request) from None
                connection = self.connect(request, proxy)

        def give_back(whole: bool) -> None:
            stack = self.idle.setdefault(key, deque())
            if whole and connection.sock and len(stack) < MAX_IDLE and len(self.idle) <= MAX_IDLE:
                connection.idle_since = time.monotonic()
                stack.append(connection)
            else:
                connection.close()

        answer.url, answer.msg = request.full_url, answer.reason  # type: ignore  # as urlopen does
        answer.give_back, answer.trace, answer.request = give_back, self.trace, request
        return answer

    https_open = http_open

    def take(self, key: "Any", timeout: float) -> "Any":
        """An idle connection that is still open, or None. One that has something to say was
        closed by the server, or the server speaks out of turn."""
        while self.idle.get(key):
            try:
                connection = self.idle[key].pop()
            except (KeyError, IndexError):  # another thread was faster
                return None
            with contextlib.suppress(ValueError):  # its number is too large for select()
                ready = select.select([connection.sock], [], [], 0)[0]
            if not ready and time.monotonic() < connection.idle_since + IDLE_TIME:
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def connect(self, request: "Any", proxy: "str | None") -> "Any":
        kind, options = http.client.HTTPConnection, {"timeout": request.timeout}  # type: Any, Any
        if request.type == "https":
            with self.lock:
                self.context = self.context or _tls_context()
            kind, options["context"] = http.client.HTTPSConnection, self.context
        connection = kind(request.host, **options)
        if request._tunnel_host:
            connection.set_tunnel(request._tunnel_host,
                                  headers={"Proxy-Authorization": proxy} if proxy else {})
        connection.response_class = _Answer
        return connection

    def close(self) -> None:
        with contextlib.suppress(KeyError, IndexError):  # other threads may take some meanwhile
            while self.idle:
                stack = self.idle.popitem()[1]
                while stack:
                    stack.pop().close()

def _tls_context() -> "Any":
    """What the system trusts, and TLS 1.2 at least."""
    import ssl
    context = ssl.create_default_context()
    if hasattr(ssl, "TLSVersion"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context

def _network_error(error: Exception, request: "Any") -> Exception:
    """What happened and what to do, as the OSError that it was within an URLError, as in urllib.
    http.client quotes headers and addresses in its messages, so these are not repeated."""
    kind: "Any" = type(error) if isinstance(error, OSError) else OSError
    text = "%s: check the address, the network and the proxy settings" % _printable(
        getattr(error, "strerror", None) or str(error) or type(error).__name__)
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or type(error).__name__ == "CertificateError":
        text = ("its certificate is not trusted (%s): if your network has a CA of its own, name its "
                "file in SSL_CERT_FILE, or pass context=" % getattr(error, "verify_message", "wrong"))
    elif isinstance(error, socket.timeout):
        text = "nothing came for %s seconds: try again, or raise timeout=" % request.timeout
    elif isinstance(error, (http.client.HTTPException, EOFError, zlib.error)):
        text = "the answer broke off or is not HTTP (%s): try again" % type(error).__name__
    elif isinstance(error, ValueError):
        return ValueError("the address or a header has characters that HTTP does not allow")
    text = "no answer from %s: %s" % (_place(request.full_url), text)
    return URLError(kind(*filter(None, (getattr(error, "errno", None), text))))

def _read(answer: "_Answer", limit: int) -> Response:
    """Reads to the end, or a little more than `limit` bytes; gives the connection back."""
    try:
        with answer:
            if answer.getheader("Content-Encoding", "").lower() in ("gzip", "x-gzip"):
                import gzip
                content = gzip.GzipFile(fileobj=answer).read(limit + 1)
            elif answer.length is not None and answer.length <= limit:
                content = answer.read()
            else:
                content = b"".join(itertools.takewhile(bool, (
                    answer.read(65536) for _ in range(limit // 65536 + 1))))
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise _network_error(error, answer.request) from None
    if answer.trace:
        answer.trace(_traced("%d %s" % (answer.status, answer.reason), answer.headers, content))
    return Response(answer.status, answer.headers, answer.url, content)

def _response_error(method: str, answer: "_Answer", secrets: "list[str]") -> ResponseError:
    """With the server's own explanation, from its header (RFC 6750 section 3) or its JSON."""
    response = _read(answer, MAX_ANSWER)
    said = response.headers.get("WWW-Authenticate") or ""
    said += response.text if _json(response.content) else ""
    found = dict(re.findall(r'"?\b(error|error_description|scope|message|detail|title)"?\s*[=:]\s*'
                            r'("(?:[^"\\]|\\.)*")', said)[::-1])  # the first of each
    words = [str(_json(found[name].encode())) for name in (
        "error_description", "message", "detail", "title", "error") if name in found]
    text = _printable(words[0], secrets) if words else ""
    if response.status_code < 400:
        text = "a redirect that cannot be followed"
    if found.get("error") == '"insufficient_scope"':
        text += "; add the scope %s and login() again" % _printable(found.get("scope", ""), secrets)
    message = "%s %s answered %d" % (method, _place(response.url), response.status_code)
    message += ": " + text if text else ""
    wait = _retry_after(response)
    if wait is None:
        return ResponseError(message, response=response)
    return RateLimited("%s: try again in %.0f seconds" % (message, wait), response=response,
                       retry_after=wait)

def _retry_after(response: Response) -> "float | None":
    """Seconds to wait, at least one; None if this is no matter of waiting."""
    headers, status = response.headers, response.status_code
    if status != 429 and not (status == 503 and "Retry-After" in headers):
        return None
    now, until = (_date(headers.get(name)) for name in ("Date", "Retry-After"))
    now = now or time.time()  # the server's clock counts, if it tells
    for name in ("Retry-After", "X-Rate-Limit-Reset", "X-RateLimit-Reset", "RateLimit-Reset"):
        number = until or _seconds(headers.get(name))
        if number:  # X and GitHub name a time, Reddit and the IETF's draft a number of seconds
            return max(1.0, number - now if number > 1e9 else number)
    return 1.0

def _date(text: "str | None") -> "float | None":
    parts = email.utils.parsedate_tz(text or "")
    with contextlib.suppress(ValueError, OverflowError):
        return email.utils.mktime_tz(parts) if parts else None
    return None

def _next_link(answer: Response, page: "Any") -> "str | None":
    """RFC 8288, or what APIs use in its stead."""
    for link in answer.headers.get_all("Link") or []:
        for url, rest in re.findall(r"<([^>]*)>((?:[^,\"]|\"[^\"]*\")*)", link):
            for name, value in re.findall(r";\s*([\w*-]+)\s*=\s*(\"[^\"]*\"|[^\s;]*)", rest):
                if name.lower() == "rel" and "next" in value.strip('"').lower().split():
                    return str(url)
    names = "next", "@odata.nextLink"
    found = [place[name] for place in ([page, *page.values()] if isinstance(page, dict) else [])
             if isinstance(place, dict) for name in names if isinstance(place.get(name), str)]
    if len(found) > 1 and not any(isinstance(page.get(name), str) for name in names):
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

def _absolute(base_url: "str | None", url: str, params: "Any" = None) -> str:
    """The whole address, in the characters that HTTP allows."""
    url = urllib.parse.quote(url.strip(), safe="%/:=&?~#+!$,;'@()*[]").partition("#")[0]
    if not re.match("[a-z][a-z0-9+.-]*:", url, re.I):  # RFC 3986 section 4.2
        if base_url is None:
            raise ValueError("%s is a relative URL, and the client has no base_url" % _place(url))
        url = base_url.rstrip("/") + ("/" if url[:1] not in ("", "?") else "") + url.lstrip("/")
    if params and not isinstance(params, str):
        pairs = params.items() if hasattr(params, "items") else params
        params = urllib.parse.urlencode([(k, v) for k, v in pairs if v is not None], True)
    return url + ("&" if "?" in url else "?") + params if params else url

def _body(data: "Any", value: object) -> "tuple[bytes | None, dict[str, str]]":
    """The body, and the header that names its kind."""
    if value is not None:
        if data is not None:
            raise ValueError("give data or json, not both")
        return json.dumps(value).encode(), {"Content-type": "application/json"}
    if data is None:
        return None, {}
    if isinstance(data, (str, bytes)):
        return (data.encode() if isinstance(data, str) else data,
                {"Content-type": "application/octet-stream"})
    return (urllib.parse.urlencode(data, True).encode(),
            {"Content-type": "application/x-www-form-urlencoded"})

def _headers(headers: "Mapping[str, str] | None") -> "dict[str, str]":
    """Checked here, since http.client would quote a bad one in its error."""
    headers = {name.capitalize(): value for name, value in dict(headers or {}).items()}
    for name, value in headers.items():
        if not (re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII)
                and re.fullmatch(r"[\t -~\x80-\xff]*", value)):
            raise ValueError("a header has characters that HTTP does not allow")
    if "Authorization" in headers:
        raise ValueError("the Authorization header is the client's own")
    return headers

def _origin(url: str, allow_http: bool = False) -> "tuple[str, str, int]":
    """Scheme, host and port: what a token belongs to."""
    match = _URL.match(url)
    if not match:
        raise UnsafeURL("%s is not a web address (https://host/path, without a user)" % _place(url))
    scheme, host, port = match.group(1).lower(), match.group(2).lower(), match.group(3)
    if scheme == "http" and not (allow_http or _LOOPBACK.fullmatch(host)):
        raise UnsafeURL("%s is not https, and not on this machine" % _place(url))
    return scheme, host, int(port or (443 if scheme == "https" else 80))

def _place(url: str) -> str:
    """An address without what may be secret in it: user, query, fragment."""
    return re.sub("//[^/]*@", "//", _printable(re.split("[?#]", url)[0]))

def _printable(text: str, secrets: "Iterable[str]" = ()) -> str:
    """What a server said, fit for a message: a line of bounded length, without what we sent."""
    said = text + urllib.parse.unquote(text) + urllib.parse.unquote_plus(text)
    if any(secret in said for secret in secrets):
        return "(not shown: it repeats a secret)"
    text = "".join(c if c.isprintable() else " " for c in text[:2000])
    text = " ".join(re.sub(r"\?\S+", "", text).split())
    return text if len(text) <= 300 else text[:300] + "..."

def _json(text: bytes) -> "Any":
    """What the JSON says; None if it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text.decode("utf-8-sig"))

def _traced(start: str, headers: "Any", body: "Any") -> str:
    """A message as it goes over the wire, secrets masked."""
    head = "\n".join([start] + ["%s: %s" % pair for pair in headers.items()])
    head = re.sub("(?im)^((?:proxy-)?authorization: *[a-z]*|(?:set-)?cookie:).*", r"\1 ***", head)
    text = head + "\n\n" + body.decode("utf-8", "replace") if isinstance(body, bytes) and body else head
    text = re.sub(r'("(?:%s)"\s*:\s*)"(?:[^"\\]|\\.)*"' % _MASKED, r'\1"***"', text)
    return re.sub(r"(?m)((?:[?&#]|^)(?:%s)=)[^&\s]+" % _MASKED, r"\1***", text)[:10000]


# --- Servers ---------------------------------------------------------------------------------

def discover(issuer: str, context: "ssl.SSLContext | None" = None, timeout: float = 30) -> "JSON":
    """The metadata of the server that calls itself `issuer`: RFC 8414's address first, then
    OpenID's. OAuth2Error, with the addresses tried, if neither has it."""
    with contextlib.closing(_KeepAlive(context, False, None)) as connections:
        return _metadata(_opener(connections), issuer, timeout)

def _metadata(opener: urllib.request.OpenerDirector, issuer: str, timeout: float) -> "JSON":
    scheme, host = _origin(issuer, True)[0], re.split("/", issuer)[2]
    path = issuer.rstrip("/").partition(host)[2]
    others, tried = "", ["%s://%s/.well-known/oauth-authorization-server%s" % (scheme, host, path),
                         "%s://%s%s/.well-known/openid-configuration" % (scheme, host, path)]
    for url in tried:
        answer: "Any" = opener.open(url, timeout=timeout)
        found = _json(_read(answer, MAX_ANSWER).content)
        if isinstance(found, dict):
            if found.get("issuer") == issuer and answer.status == 200:  # RFC 8414 section 3.3
                return found
            others = "; one is of the issuer %s" % _printable(str(found.get("issuer")))
    raise OAuth2Error("no metadata of %s at %s%s: check the issuer, or give the endpoints in a dict"
                      % (_place(issuer), " or ".join(tried), others))

def _server(server: "str | Mapping[str, Any]") -> "JSON":
    if isinstance(server, str):
        if server not in PROVIDERS and "://" not in server:
            raise ValueError("unknown server %r: give an issuer URL, a dict, or one of: %s"
                             % (server, ", ".join(PROVIDERS)))
        server = PROVIDERS.get(server, {"issuer": server})
    if not hasattr(server, "get") or not (server.get("token_endpoint") or server.get("issuer")):
        raise ValueError("the server needs a 'token_endpoint', or an 'issuer' to look it up")
    if server.get("token_endpoint_auth_method") not in AUTH_METHODS + (None,):
        raise ValueError("token_endpoint_auth_method must be one of: " + ", ".join(AUTH_METHODS))
    return dict(server)

PROVIDERS: "dict[str, JSON]" = {
    "spotify": {"authorization_endpoint": "https://accounts.spotify.com/authorize",
                "token_endpoint": "https://accounts.spotify.com/api/token",
                "base_url": "https://api.spotify.com/v1"},
    "x": {"authorization_endpoint": "https://x.com/i/oauth2/authorize",  # for a user
          "token_endpoint": "https://api.x.com/2/oauth2/token",
          "revocation_endpoint": "https://api.x.com/2/oauth2/revoke",
          "base_url": "https://api.x.com/2"},
    "x-app": {"token_endpoint": "https://api.x.com/oauth2/token",  # for your application itself,
              "base_url": "https://api.x.com/2"},                  # with its API key and secret
    "github": {"issuer": "https://github.com/login/oauth",
               "authorization_endpoint": "https://github.com/login/oauth/authorize",
               "token_endpoint": "https://github.com/login/oauth/access_token",
               "device_authorization_endpoint": "https://github.com/login/device/code",
               "token_endpoint_auth_method": "client_secret_post",
               "base_url": "https://api.github.com"},
    "gitlab": {"issuer": "https://gitlab.com",
               "authorization_endpoint": "https://gitlab.com/oauth/authorize",
               "token_endpoint": "https://gitlab.com/oauth/token",
               "device_authorization_endpoint": "https://gitlab.com/oauth/authorize_device",
               "revocation_endpoint": "https://gitlab.com/oauth/revoke",
               "base_url": "https://gitlab.com/api/v4"},
    "google": {"issuer": "https://accounts.google.com",
               "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
               "token_endpoint": "https://oauth2.googleapis.com/token",
               "device_authorization_endpoint": "https://oauth2.googleapis.com/device/code",
               "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
               "base_url": "https://www.googleapis.com"},
    "microsoft": {"authorization_endpoint": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
                  "token_endpoint": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
                  "device_authorization_endpoint":
                      "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
                  "base_url": "https://graph.microsoft.com/v1.0"},
    "discord": {"issuer": "https://discord.com",
                "authorization_endpoint": "https://discord.com/oauth2/authorize",
                "token_endpoint": "https://discord.com/api/oauth2/token",
                "revocation_endpoint": "https://discord.com/api/oauth2/token/revoke",
                "base_url": "https://discord.com/api/v10"},
    "reddit": {"authorization_endpoint": "https://www.reddit.com/api/v1/authorize",
               "token_endpoint": "https://www.reddit.com/api/v1/access_token",
               "revocation_endpoint": "https://www.reddit.com/api/v1/revoke_token",
               "token_endpoint_auth_method": "client_secret_basic",  # with an empty secret, too
               "base_url": "https://oauth.reddit.com"},
    "twitch": {"issuer": "https://id.twitch.tv/oauth2",
               "authorization_endpoint": "https://id.twitch.tv/oauth2/authorize",
               "token_endpoint": "https://id.twitch.tv/oauth2/token",
               "revocation_endpoint": "https://id.twitch.tv/oauth2/revoke",
               "token_endpoint_auth_method": "client_secret_post",
               "base_url": "https://api.twitch.tv/helix"},
}


# --- Command line ----------------------------------------------------------------------------

def main(argv: "list[str] | None" = None) -> int:
    """The command line: `oauth2min --help`. Returns the exit status."""
    return 0
