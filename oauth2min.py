#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""OAuth 2.0 for Python programs: one file to copy, the standard library, nothing else.

    from oauth2min import Client

    # The program itself: client credentials (RFC 6749 section 4.4)
    spotify = Client("spotify", client_id, client_secret)
    track = spotify.get("tracks/11dFghVXANMlKmJXsNCbNl").json()

    # A user, in the browser: authorization code with PKCE (section 4.1, RFC 7636, RFC 8252)
    spotify = Client("spotify", client_id, client_secret, grant_type="authorization_code",
                     scope="user-library-read user-follow-read", store="spotify-token.json")
    spotify.login()                       # opens the browser only if no usable token is stored
    for page in spotify.pages("me/tracks", {"limit": 50}):
        for item in page["items"]:
            print(item["track"]["name"])

It follows RFC 6749 (OAuth 2.0), 6750 (bearer tokens), 7009 (revocation), 7636 (PKCE), 8252 (native
applications), 8414 (metadata), 8628 (devices), 9207 (issuer), 9700 (security). Not
here: implicit and password grant (RFC 9700 sections 2.1.2, 2.4), validation of ID tokens (that
takes RSA, which Python lacks), async (`await asyncio.to_thread(client.get, url)`). Calls
point down: read it from the top, stop at any banner."""
import base64
import contextlib
import email.utils
import errno
import hashlib
import http.client
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
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Self
    JSON = dict[str, Any]
    Params = Mapping[str, object] | Iterable[tuple[str, object]] | str | None
    Headers = Mapping[str, str] | None
    Next = str | tuple[str, str] | Callable[[Any], str | None] | None
    Browser = bool | Callable[[str], object] | None

__version__ = "0.1.0"
__all__ = ["PROVIDERS", "AuthorizationError", "AuthorizationRequest", "Client", "LoginRequired",
           "OAuth2Error", "RateLimited", "Response", "ResponseError", "StoreError", "Token",
           "TokenError", "TokenFile", "UnsafeURL", "discover", "main"]

MARGIN = 30             # seconds: a token counts as expired this early, it has yet to travel
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
    """The base; your own mistakes are ValueError or TypeError, the network's errors OSError."""
    error = error_description = error_uri = None  # type: str | None  # in the server's words

    def __init__(self, message: str = "", **facts: "Any") -> None:
        super().__init__(message)  # never with a secret in it
        vars(self).update(facts)

class AuthorizationError(OAuth2Error):
    """The user or the authorization endpoint said no (RFC 6749 section 4.1.2.1), or what came is
    no answer to our question. Mend what `.error` names, then `login()` again."""

class TokenError(OAuth2Error):
    """The token endpoint said no (RFC 6749 section 5.2) or, `.error` being None, nonsense."""
    status = 0  # of the HTTP answer

class ResponseError(OAuth2Error):
    """The API answered 400 or more; `.response` is its answer."""
    response: "Response"

class RateLimited(ResponseError):
    """429, or 503 with Retry-After: wait `.retry_after` seconds, or let `Client(max_wait=60)`."""
    retry_after = 1.0  # seconds; this many where the server does not say

class LoginRequired(OAuth2Error):
    """There is no usable token, and only the user can help: call `login()`."""
class StoreError(OAuth2Error):
    """The stored token cannot be read, or is another client's."""
class UnsafeURL(OAuth2Error, ValueError):
    """Refused to send a secret there: no https, not the token's origin, or no web address."""

# --- Token -----------------------------------------------------------------------------------

class Token(namedtuple("Token", "access_token token_type expires_at refresh_token scope raw")):
    """What the token endpoint gave (RFC 6749 section 5.1). It is replaced, never changed.
    `expires_at` is clock time in seconds, None if the server did not say; `scope` is separated by
    spaces; `raw` is the server's whole answer, with whatever else is in it (`id_token`)."""
    __slots__ = ()
    def __new__(cls, access_token: str, token_type: str = "Bearer",
                expires_at: "float | None" = None, refresh_token: "str | None" = None,
                scope: "str | None" = None, raw: "JSON | None" = None) -> "Self":
        # It goes into a header: a line break would begin one of the server's choice.
        if not isinstance(access_token, str) or not re.fullmatch("[!-~]+", access_token):
            raise ValueError("an access token is a string of visible ASCII characters")
        if type(expires_at) not in (int, float, type(None)) or not abs(expires_at or 0) < 1e12:
            raise ValueError("expires_at is a number of seconds, as time.time() gives, or None")
        if not all(isinstance(text, (str, type(None))) for text in (refresh_token, scope)):
            raise ValueError("refresh_token and scope are strings or None")
        return super().__new__(cls, access_token, token_type, expires_at, refresh_token or None,
                               scope, raw)

    def __repr__(self) -> str:
        kind = "with" if self.refresh_token else "without"
        return f"<Token expires_at={self.expires_at} scope={self.scope!r} {kind} refresh token>"

# --- Token file ------------------------------------------------------------------------------

class TokenFile:
    """Keeps a token in a JSON file, for you alone and safely for any number of processes: replaced
    in one step, under a lock (a file beside it) that the system frees when its owner dies. Another
    store has the same three methods; `load` and `save` are only called inside `with lock()`."""
    def __init__(self, path: "str | os.PathLike[str]") -> None:
        path = os.path.expanduser(os.fspath(path))
        if not path or path.startswith("~") or os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f"{path!r} is no path of a file, or there is no home: name another")
        self.path = os.path.realpath(path)  # a symbolic link stays one, its target is replaced

    def __repr__(self) -> str:
        return f"TokenFile({self.path!r})"

    def load(self) -> "JSON | None":
        """The record, None without a file. A damaged one is moved aside: a StoreError."""
        try:
            with open(self.path, "rb") as file:
                record = _json(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read the token file {self.path} ({error.strerror}): mend "
                             "that or name another") from None
        if isinstance(record, dict):
            return record
        with contextlib.suppress(OSError):
            os.replace(self.path, self.path + ".damaged")
        raise StoreError(f"the token file {self.path} is damaged, now .damaged: log in again")

    def save(self, record: "JSON | None") -> None:
        """Replaces the record; None removes it. OSError if the disk does not take it."""
        new = self.path + ".new"
        for path in (new, self.path) if record is None else (new,):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # `new` may be left from a process that was killed
        if record is None:
            return
        try:
            # O_EXCL: our own file with this mode, no link that somebody laid there
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(record, file, indent=1)
                file.flush()
                os.fsync(file.fileno())  # before the rename, or a power cut leaves it empty
            os.replace(new, self.path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(new)  # only there if writing failed, as on a full disk

    @contextlib.contextmanager
    def lock(self) -> "Iterator[None]":
        """Held by one thread of one process. Makes the folder; warns where locks are missing."""
        import pathlib
        with contextlib.ExitStack() as stack:
            try:
                for folder in reversed(pathlib.Path(self.path).parents):
                    folder.mkdir(0o700, exist_ok=True)  # os.makedirs: this mode for the last only
                file = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
                stack.callback(os.close, file)
                _lock_file(file, True)
                stack.callback(_lock_file, file, False)  # a forked child has the file open, too
            except (OSError, ImportError) as error:
                warnings.warn(f"cannot lock the token file {self.path} ({error}): let no other "
                              "process use it", RuntimeWarning, stacklevel=4)
            yield

def _lock_file(file: int, wanted: bool) -> None:
    try:
        import fcntl
        fcntl.flock(file, fcntl.LOCK_EX if wanted else fcntl.LOCK_UN)
    except ImportError:
        windows: Any = __import__("msvcrt")
        try:
            windows.locking(file, windows.LK_LOCK if wanted else windows.LK_UNLCK, 1)
        except OSError as error:
            if error.errno != errno.EDEADLOCK:
                raise
            _lock_file(file, wanted)  # it was not to be had within ten seconds

# --- Client ----------------------------------------------------------------------------------

class Client:
    """Your application at one authorization server, with at most one token at a time.
    `server` is a name in PROVIDERS, an issuer URL (RFC 8414), or a dict of metadata; `grant_type`
    says how a first token is obtained; `store` is a path or an object like TokenFile. A relative
    URL is appended to `base_url`, whose origin alone sees the token. `timeout`: seconds for each
    request; `max_wait`: seconds in all that one may wait for a rate limit. `context` is for a
    private CA or a client certificate; `handlers` are further urllib handlers (ProxyHandler);
    `trace` gets every HTTP message as text, secrets masked: try `print`. Threads may share a
    client. A wrong value is a ValueError or TypeError, here and not later."""
    def __init__(self, server: "str | Mapping[str, Any]", client_id: str,
                 client_secret: "str | None" = None, *, grant_type: str = "client_credentials",
                 scope: "str | Iterable[str] | None" = None,
                 redirect_uri: str = "http://127.0.0.1/callback", store: "Any" = None,
                 base_url: "str | None" = None, headers: "Headers" = None, timeout: float = 30,
                 max_wait: float = 0, context: "ssl.SSLContext | None" = None,
                 handlers: "Iterable[urllib.request.BaseHandler]" = (),
                 trace: "Callable[[str], object] | None" = None) -> None:
        if isinstance(store, (str, os.PathLike)):
            store = TokenFile(store)
        for right, rule in (
                (_is_text(client_id), "client_id must be a non-empty string"),
                (client_secret is None or _is_text(client_secret),
                 "client_secret must be None or a non-empty string: is its variable set?"),
                (grant_type in GRANT_TYPES, "grant_type must be " + " or ".join(GRANT_TYPES)),
                (0 < timeout < 1e9 and max_wait >= 0, "timeout and max_wait are seconds"),
                (trace is None or callable(trace), "trace must be a function, such as print"),
                (store is None or all(hasattr(store, name) for name in ("load", "save", "lock")),
                 "store must be a path, or have load(), save(record) and lock()")):
            if not right:
                raise ValueError(rule)
        self._server = _server(server)
        self._allow_http = bool(self._server.get("allow_http"))
        self._base_url = base_url or self._server.get("base_url")
        self._home = self._base_url and _origin(self._base_url, self._allow_http)
        for name, url in self._server.items():
            if url and re.fullmatch("issuer|.*_endpoint", name):
                _origin(url, self._allow_http)
        self._client_id, self._client_secret = client_id, client_secret
        self._grant_type, self._scope = grant_type, _scope(scope)
        self._redirect_uri, self._headers = _redirect_uri(redirect_uri), _headers(headers)
        self._timeout, self._max_wait, self._store = timeout, max_wait, store
        self._connections = _KeepAlive(context, self._allow_http, trace)
        self._opener = _opener(self._connections, *handlers)
        issuer = self._server.get("issuer") or self._server["token_endpoint"]
        self._bound = {"server": issuer, "client_id": client_id, "grant_type": grant_type}
        self._held: _Held | None = None  # read without a lock, replaced under one
        self._seen: Token | None = None  # what the store held when we last read or wrote it
        self._locks: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"<Client {self._client_id!r} of {self._bound['server']}>"

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. The client can still be used, it opens new ones."""
        if hasattr(self, "_connections"):  # not if a value was wrong
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
                headers: "Headers" = None) -> "Response":
        """Sends an authorized request and returns the answer, read to its end. `data` is a form (a
        mapping or pairs) or a body as it is (str, bytes). ResponseError: the answer is 400 or more
        (a 401 first renews the token). LoginRequired: no usable token. UnsafeURL: an address that
        the token is not for. URLError: the network failed."""
        body, content_type = _body(data, json)
        sent = {"Accept-encoding": "gzip", **content_type, **_headers(headers)}
        url = _absolute(self._base_url, url, params)
        response = _read(self._send(method, url, body, sent), MAX_CONTENT)
        if len(response.content) > MAX_CONTENT:
            raise URLError(f"the answer is larger than {MAX_CONTENT} bytes: use open()")
        return response

    def open(self, url: "str | urllib.request.Request") -> "http.client.HTTPResponse":
        """The answer as a stream, as from `urllib.request.urlopen`: for what is too large for
        memory. Close it (`with`). The errors are those of `request`."""
        if isinstance(url, str):
            url = urllib.request.Request(_absolute(self._base_url, url))
        return self._send(url.get_method(), _absolute(None, url.full_url), url.data,
                          _headers(dict(url.header_items())))

    def pages(self, url: str, params: "Params" = None, next: "Next" = None) -> "Iterator[Any]":
        """Yields the parsed pages of a listing, each fetched with a token that is good then.
        The next page is found by `Link: rel=next`, or a link called `next` or `@odata.nextLink` on
        the page or one level down. `next="paging.next"` names the link; `("meta.next_token",
        "pagination_token")` a cursor and the parameter for it; a function gets the page, returns
        the link. It ends at a link that is missing, empty or seen before; one to another origin,
        which would get the token, is an UnsafeURL."""
        first = url = _absolute(self._base_url, url, params)
        seen: set[str] = set()
        while url not in seen:
            if _origin(url, True) != _origin(first, True):
                raise UnsafeURL(f"the next page is at {_site(url)}: the token is not for there")
            seen.add(url)
            answer = self.request("GET", url)
            page = answer.json()
            yield page
            link = _next_link(answer, page, first, next)
            url = _joined(answer.url, link) if link else url  # seen before: the end

    def access_token(self) -> str:
        """A valid access token, renewed if need be, for use with any other HTTP library: ask for
        it before each request. Raises LoginRequired, or TokenError if renewing fails."""
        return str(self._current()[0].token.access_token)

    @property
    def token(self) -> "Token | None":
        """The current Token, good or not, out of memory or else the store. Assigning one saves it
        in the store too; assigning None forgets it."""
        held = self._held
        if held is None:
            with self._alone():
                held = self._newest()
        return held.token if held else None

    @token.setter
    def token(self, token: "Token | None") -> None:
        if not isinstance(token, (Token, type(None))):
            raise TypeError("assign a Token, or None to forget it")
        with self._alone():
            self._newest()  # a StoreError if it is not ours to replace
            self._keep(token and Token(*token), self._scope)  # checked: _replace() does not

    # --- logging in and out ---
    def login(self, open_browser: "Browser" = None, timeout: "float | None" = None,
              **parameters: str) -> Token:
        """Makes sure that there is a usable token; asks the user only if there is none, or if more
        scope is wanted now than was asked for last time. The address is shown on stderr in any
        case, and the one that a browser elsewhere ends at can be pasted. `open_browser` is True,
        False, a function that gets the address, or None: where a browser makes sense.
        `parameters` are added to the authorization request. AuthorizationError: the answer is no.
        LoginRequired: `timeout` seconds are over (300 in a browser, the life of a device code)."""
        with contextlib.suppress(LoginRequired):
            held, _ = self._current()
            if set(self._scope.split()) <= set(held.scope.split()):
                return held.token
        if self._grant_type == DEVICE_CODE:
            self.token = token = self._device_token(open_browser, timeout, parameters)
            return token
        with _Callback(self._redirect_uri) as callback:  # listens first: no answer can be missed
            asked = self.authorization_request(callback.redirect_uri, **parameters)
            _say(f"To log in, open this address in a browser:\n\n{asked.url}\n\n"
                 "If that browser is on another machine, paste the address that it ends at here:")
            _browse(asked.url, open_browser)
            answer = callback.wait(asked, LOGIN_TIME if timeout is None else timeout,
                                   self._facts.get("issuer") or "")
            return self.exchange(asked, answer)  # and only then the browser is told how it ended

    def authorization_request(self, redirect_uri: "str | None" = None,
                              **parameters: str) -> "AuthorizationRequest":
        """The first half of a login: send the user's browser to `.url`, and keep the whole in the
        user's session, for `exchange`. In a web application `redirect_uri` is a page of yours."""
        import secrets
        # RFC 6749 section 4.1.1, with `state` against forged answers (section 10.12) and PKCE
        # against stolen codes (RFC 7636): what begins here can be finished nowhere else.
        state, verifier = secrets.token_urlsafe(32), ""
        redirect_uri = _redirect_uri(redirect_uri or self._redirect_uri)
        form = {"response_type": "code", "client_id": self._client_id, "state": state,
                "redirect_uri": redirect_uri, "scope": self._scope or None}
        if self._facts.get("pkce", True):
            verifier = secrets.token_urlsafe(32)
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
            form.update(code_challenge=digest.decode().rstrip("="), code_challenge_method="S256")
        more = {**self._facts.get("authorization_parameters", {}), **parameters}
        for name in set(form).intersection(more):
            raise ValueError(f"{name} is set by the client itself (a scope by Client(scope=))")
        url = _absolute(None, self._endpoint("authorization_endpoint"), {**form, **more})
        return AuthorizationRequest(url, state, verifier, redirect_uri)

    def exchange(self, authorization_request: "Iterable[str]", response: str) -> Token:
        """The second half: `response` is the address that the browser ended at, or its query.
        AuthorizationError if it is no answer to this request (then nothing is sent and the code
        is not spent), or if the answer is no."""
        asked = AuthorizationRequest(*authorization_request)  # a session may make it a list
        with self._alone():
            self._newest()  # a StoreError comes now, while the code is not spent
        self.token = token = self.request_token(
            "authorization_code", code=_code(asked, response, self._facts),
            redirect_uri=asked.redirect_uri, code_verifier=asked.code_verifier or None)
        return token

    def _device_token(self, open_browser: "Browser", timeout: "float | None",
                      parameters: "JSON") -> Token:
        """RFC 8628: the user types a short code on another device, and we ask again and again."""
        fields = self._post("device_authorization_endpoint",
                            {"scope": self._scope or None, **parameters}, "user_code")
        url, code = (
            "".join(filter(str.isprintable, str(text)[:2000]))  # a terminal would obey the rest
            for text in (fields.get("verification_uri") or fields.get("verification_url"),
                         fields["user_code"]))
        _origin(url, True)  # UnsafeURL: there is none, or it could open a file
        _say(f"To log in, open this address in any browser, and type the code {code} there:"
             f"\n\n{url}\n")
        _browse(url, open_browser or False)
        interval = _seconds(fields.get("interval")) or 5
        life = _seconds(fields.get("expires_in")) or LOGIN_TIME
        deadline = time.monotonic() + (life if timeout is None else min(life, timeout))
        over = LoginRequired("nobody confirmed the code in time: call login() for a new one")
        failure: Exception = over
        while time.monotonic() + interval < deadline:
            time.sleep(interval)
            try:
                return self.request_token(DEVICE_CODE, device_code=fields.get("device_code"))
            except URLError as error:  # section 3.5: the network may come back
                failure, interval = error, interval * 2
            except TokenError as error:
                failure, said = over, error.error or error.error_description  # so Twitch
                if said == "access_denied":
                    raise AuthorizationError("the user said no", error=said) from None
                if said == "slow_down":
                    interval += 5  # section 3.5
                elif said == "expired_token":
                    break
                elif said != "authorization_pending" and error.status < 500:
                    raise
        raise failure

    def logout(self) -> bool:
        """Revokes the token where the server can (RFC 7009) and forgets it in any case. Returns
        whether the server confirmed; if not, the token may live on until it expires."""
        with self._alone():
            held = self._newest()
            try:
                if held is None or not self._facts.get("revocation_endpoint"):
                    return False
                for name in ("refresh_token", "access_token"):  # what lasts comes first
                    form = {"token": getattr(held.token, name), "token_type_hint": name}
                    try:
                        if form["token"]:
                            self._post("revocation_endpoint", form)
                    except TokenError as error:
                        if error.error != "invalid_token":  # Google, of one that is dead already
                            raise
                return True
            except (OSError, OAuth2Error):
                return False
            finally:
                self._keep(None, "")

    # --- the grants ---
    def refresh(self) -> Token:
        """The refresh grant, now (RFC 6749 section 6). LoginRequired if it cannot work."""
        with self._alone():
            return self._refresh(self._newest()).token

    def request_token(self, grant_type: str, **parameters: "str | None") -> Token:
        """Any grant, the standard's or an extension: posts to the token endpoint and returns the
        Token, which is kept nowhere (assign it to `token` for that). Raises TokenError."""
        form = {"grant_type": grant_type, **self._facts.get("token_parameters", {}), **parameters}
        return _token(self._post("token_endpoint", form, "access_token"))

    def _post(self, endpoint: str, form: "JSON", needed: "str | None" = None) -> "JSON":
        """Sends a form with the client's credentials. TokenError if the answer lacks `needed`."""
        url, method = self._endpoint(endpoint), self._facts.get("token_endpoint_auth_method")
        method = method or ("client_secret_basic" if self._client_secret else "none")
        headers, form = _authenticate(method, self._client_id, self._client_secret, form)
        request = urllib.request.Request(url, _form(form).encode(), headers)  # so it is a POST
        answer: Any = self._opener.open(request, timeout=self._timeout)  # follows no redirect
        secrets = [str(form[name] or "") for name in form if re.fullmatch(_MASKED, name)]
        secrets += self._client_secret or "", headers.get("Authorization", "")[len("Basic "):]
        return _fields(_read(answer, MAX_ANSWER), needed, secrets, self._client_secret or "")

    def _endpoint(self, name: str) -> str:
        url = str(self._facts.get(name) or "")
        if not url:
            raise ValueError(f"this needs {name!r}, which the server's metadata does not have")
        _origin(url, self._allow_http)
        return url

    @property
    def _facts(self) -> "JSON":
        """The server's metadata; an issuer's are fetched when they are first needed."""
        if not self._server.get("token_endpoint"):
            found = _metadata(self._opener, self._server["issuer"], self._timeout)
            # What RFC 8414 has no name for, such as `pkce`, is yours alone to say.
            standard = {name: fact for name, fact in found.items()
                        if name.endswith(("_endpoint", "_supported"))}
            self._server = {**standard, **self._server}
        return self._server

    # --- sending ---
    def _send(self, method: str, url: str, body: "Any", headers: "JSON") -> "_Answer":
        home = self._home or _origin(url, self._allow_http)  # nobody else sees the token
        if _origin(url, True) != home:
            raise UnsafeURL(f"the token is for {_place(str(self._base_url))}, not for "
                            f"{_place(url)}: use another Client")
        headers = {**self._headers, **headers}
        held, _ = self._current()
        at_home, hops, renewals, waited = True, 0, 0, 0.0
        while True:
            # The host (origin_req_host, for cookies): else urllib parses the address once more.
            request = urllib.request.Request(url, body, headers, home[1], method=method)
            if at_home:  # RFC 6750 section 2.1; urllib may redirect other headers (issue 77842)
                bearer = "Bearer " + held.token.access_token
                request.add_unredirected_header("Authorization", bearer)
            answer: Any = self._opener.open(request, timeout=self._timeout)
            if answer.status < 400 and answer.status not in _REDIRECTS:
                return answer  # type: ignore[no-any-return]
            new = _redirected(method, url, body, headers, answer) if hops < 10 else None
            if new:
                method, url, body, headers = new
                hops, at_home = hops + 1, at_home and _origin(url, True) == home
                continue
            error: Any = _response_error(method, answer, [held.token.access_token])
            again = isinstance(body, (bytes, type(None)))  # a stream cannot be sent twice
            if at_home and answer.status == 401 and renewals < 2:
                held, asked = self._current(stale=held)
                renewals += 2 if asked else 1  # what another process had stored may be as stale
            elif (again and isinstance(error, RateLimited)
                    and waited + error.retry_after <= self._max_wait):
                time.sleep(error.retry_after)
                waited += error.retry_after
                held, _ = self._current()
            else:
                raise error
            if not again:
                raise error

    # --- keeping the token good ---
    def _current(self, stale: "_Held | None" = None) -> "tuple[_Held, bool]":
        """A good token other than `stale`, and whether this very call got it from the server. Many
        threads and processes may come here at once: one of them asks the server, the others wait
        for a lock, and then find what that one got, in memory or in the store."""
        held = self._held
        if held and stale is None and held.good():
            return held, False  # without any lock
        with self._alone():
            held = self._newest()
            if held and held is not stale and held.good():
                return held, False
            try:
                return self._refresh(held), True
            except LoginRequired:
                if self._grant_type != "client_credentials":
                    self._held = None
                    raise
            token = self.request_token("client_credentials", scope=self._scope or None)
            return self._keep(token, self._scope), True

    def _refresh(self, held: "_Held | None") -> "_Held":
        if held is None or held.token.refresh_token is None:
            wants = self._server.get("offline")
            ask = f", and for a refresh token ask for {wants}" if held and wants else ""
            raise LoginRequired("there is no good token, nor one to renew it: call login()" + ask)
        try:
            new = self.request_token("refresh_token", refresh_token=held.token.refresh_token)
        except TokenError as error:
            # GitHub says "bad_refresh_token", Twitch "Invalid refresh token", X "Value passed for
            # the token was invalid", glewlwyd nothing.
            said = f"{error.error} {error.error_description}".lower()
            silent = error.error is None and error.status in (400, 401)
            dead = "invalid_grant|(invalid|bad).refresh.token|the token was invalid"
            if not silent and not re.search(dead, said):
                raise
            newer = self._newest()  # a process that our lock does not reach may have been first
            if newer and newer is not held:
                return newer if newer.good() else self._refresh(newer)
            self._held = None  # so that the dead refresh token is not tried again
            raise LoginRequired("the refresh token is no longer good: call login()") from None
        # A server that does not rotate sends none: then the old one stays (RFC 6749 section 6).
        new = new._replace(refresh_token=new.refresh_token or held.token.refresh_token,
                           scope=new.scope or held.token.scope)
        return self._keep(new, held.scope)  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _alone(self) -> "Iterator[None]":
        # One a process: a forked child has its parent's lock, but not the thread that holds it.
        lock = self._locks.setdefault(os.getpid(), threading.RLock())
        with lock, contextlib.ExitStack() if self._store is None else self._store.lock():
            yield

    def _newest(self) -> "_Held | None":
        """What another process saved since we last looked, else what is in memory: a token that
        could not be saved is newer than the one in the store."""
        record = None if self._store is None else self._store.load()
        if record is None:
            if self._held and self._held.token == self._seen:
                self._held = self._seen = None  # another process has logged out
            return self._held
        try:
            held = _Held(Token(**record["token"]), record["renew_at"], str(record["scope"]))
            held.good()  # a TypeError if renew_at is no number
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{self._store!r} holds no token: name another store") from None
        for name, mine in self._bound.items():
            if record.get(name) != mine:
                raise StoreError(f"{self._store!r} is of another {name}: name another store")
        enough = set(self._scope.split()) <= set(held.scope.split())  # a program asks for more
        if held.token != self._seen and (enough or self._grant_type != "client_credentials"):
            self._held, self._seen = held, held.token
        return self._held

    def _keep(self, token: "Token | None", scope: str) -> "Any":
        """Saves, then uses: no other process may start from a token that is used up."""
        held = record = None
        if token is not None:
            # A tenth of its life at most, or one of 20 seconds would never count as good.
            end, now = token.expires_at, time.time()
            held = _Held(token, end and end - min(MARGIN, max(0, end - now) / 10), scope)
            record = {**self._bound, **held._asdict(), "token": dict(token._asdict())}
        try:
            if self._store is not None:
                self._store.save(record)
                self._seen = token
        except Exception as error:  # noqa: BLE001 (whatever the store raises, the token is good)
            why = getattr(error, "strerror", None) or type(error).__name__
            warnings.warn(f"cannot save in {self._store!r} ({why}): what it holds is out of date",
                          RuntimeWarning, stacklevel=3)
        finally:
            self._held = held
        return held

class _Held(namedtuple("_", "token renew_at scope")):
    """The token in use; the clock time it counts as expired from; the scope that was asked for."""
    token: Token

    def good(self) -> bool:
        return self.renew_at is None or time.time() < self.renew_at

def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[^\ud800-\udfff]+", value))

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
        return f"<AuthorizationRequest to {_place(self.url)}>"

def _code(asked: AuthorizationRequest, response: str, facts: "JSON") -> str:
    """The code out of the address that the browser ended at (RFC 6749 section 4.1.2)."""
    fields = _answer_to(asked.state, response)
    if fields is None:
        raise AuthorizationError("this is no answer to our request (its state is another), so "
                                 "nothing was sent: log in again, in one window")
    issuer, named = facts.get("issuer"), fields.get("iss")
    promised = facts.get("authorization_response_iss_parameter_supported") is True
    # RFC 9207: an answer of another server than was asked is an attempt to mix up the two.
    if issuer and named != issuer and (named or promised and "error" not in fields):
        raise AuthorizationError(f"the answer does not come from {issuer}: nothing was sent")
    secrets = asked.state, asked.code_verifier, fields.get("code")
    error, text, uri = (_printable(fields.get(name, ""), secrets) or None
                        for name in ("error", "error_description", "error_uri"))
    if fields.get("error"):
        advice = ("the user or the server said no" if error == "access_denied" else
                  "check client_id, redirect_uri and scope against what is registered there")
        raise AuthorizationError(": ".join(filter(None, (error, text, advice))),
                                 error=error, error_description=text, error_uri=uri)
    return fields["code"]

def _answer_to(state: str, response: str) -> "dict[str, str] | None":
    """The fields of an address or its query, if they answer the request with this state. None if
    one is repeated (RFC 6749 section 3.1), for then two readers may see two answers."""
    import hmac
    query = re.sub("^(?:[^=?]*://[^?]*|[^=?]*)[?]|#.*", "", response)
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    fields = dict(pairs)
    theirs = fields.get("state", "").encode("utf-8", "replace")
    ours = hmac.compare_digest(theirs, state.encode()) and len(fields) == len(pairs)
    return fields if state and ours and (fields.get("code") or fields.get("error")) else None

def _redirect_uri(uri: str) -> str:
    if not re.fullmatch(r"(?i)[a-z][a-z0-9+.-]*:[!-\"$-~]+", uri):  # RFC 6749 section 3.1.2
        raise ValueError("redirect_uri must be an absolute URI without a fragment")
    _ = urllib.parse.urlsplit(uri).port  # a ValueError if it is no port number
    return uri

# --- Loopback --------------------------------------------------------------------------------

class _Callback(contextlib.ExitStack):
    """Waits for the browser to come back to a loopback address (RFC 8252 section 7.3), or for that
    address pasted on the terminal. The end of the `with` block tells the browser how the login
    ended: a page that said "success" before the exchange could be wrong."""

    def __init__(self, redirect_uri: str) -> None:
        super().__init__()
        self.redirect_uri, self.state, self.query, self.page = redirect_uri, "", "", b""
        self.ended, self.told = threading.Event(), threading.Event()
        self.listeners, self.connections = [], deque()  # type: list[Any], deque[Any]
        parts = urllib.parse.urlsplit(redirect_uri)
        host, port = parts.hostname or "", parts.port or 0
        if parts.scheme != "http" or not _LOOPBACK.fullmatch(parts.netloc):
            return  # not ours to listen on: the user will paste
        for address in ("127.0.0.1", "::1") if host == "localhost" else (host,):
            try:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                listener = self.enter_context(socket.socket(family))
                if os.name != "nt":  # on Windows this would let others listen there, too
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(128)
                listener.setblocking(False)
            except OSError as error:
                if self.listeners and error.errno != errno.EADDRINUSE:
                    break  # there is no IPv6
                self.close()
                raise OSError(error.errno, f"cannot listen on port {port} ({error.strerror}): end "
                              "the program that does, or use another redirect_uri") from None
            self.listeners.append(listener)
            port = listener.getsockname()[1]
        host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.redirect_uri = parts._replace(netloc=host).geturl()
        self.handler = _handler(self)

    def __exit__(self, failure: "Any", *more: "Any") -> "bool | None":
        self.page = (_page("The login failed", "The program that you came from says why.")
                     if failure else _page("You are logged in", "You can close this page now."))
        self.ended.set()
        deadline = time.monotonic() + 2
        while self.query and not self.told.is_set() and time.monotonic() < deadline:
            self.accept()  # a page that was reloaded during the exchange asks anew
        return super().__exit__(failure, *more)

    def wait(self, asked: AuthorizationRequest, seconds: float, issuer: str) -> str:
        """The query that the browser came back with, or what was pasted."""
        self.state, typed, deadline = asked.state, "", time.monotonic() + seconds
        while not self.query:
            if time.monotonic() > deadline:
                raise LoginRequired(f"nobody logged in within {seconds:g} seconds: try again")
            self.accept()
            more = _typed()
            typed += more
            if more or not typed.endswith(("\n", "\r")):
                continue  # an address with line breaks in it comes in pieces
            line, pasted, typed = typed.strip(), "".join(typed.split()), ""
            if asked.code_verifier and re.fullmatch(r"(?!.*://)[^\s=?&]{16,}", line):
                line = urllib.parse.unquote(line)  # the code alone: PKCE does what state would
                return _form({"code": line, "state": asked.state, "iss": issuer})
            if _answer_to(asked.state, pasted):
                return pasted
            _say(f"Please paste the whole of the address, which begins with {asked.redirect_uri}")
        return self.query

    def accept(self) -> None:
        ready = [listener for listener in self.listeners if _readable(listener)]
        if not ready:
            time.sleep(0.01)
        for listener in ready:
            with contextlib.suppress(OSError):  # it hung up before we came
                args = listener.accept()[:1]
                threading.Thread(target=self.serve, args=args, daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        self.connections.append(connection)
        with connection, contextlib.suppress(Exception):  # a stranger may send anything
            if len(self.connections) > 32:
                with contextlib.suppress(OSError):
                    self.connections.popleft().shutdown(socket.SHUT_RDWR)  # it has had its time
            self.handler(connection, ("", 0), None)

def _handler(callback: _Callback) -> "Any":
    """Speaks HTTP with one connection and knows one thing: the way back into `callback`."""
    import http.server
    ours = urllib.parse.urlsplit(callback.redirect_uri)
    hosts = ours.netloc, re.sub(":80$", "", ours.netloc)  # browsers leave that port out

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # seconds: browsers open connections ahead and then send nothing

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if self.command == "POST":  # OAuth 2.0 Form Post Response Mode
                size = self.headers.get("Content-Length", "0")
                query = self.rfile.read(max(0, min(int(size), 1 << 16))).decode("ascii", "replace")
            if path != (ours.path or "/"):
                self.send_error(404)
            elif self.headers["Host"] not in hosts or not _answer_to(callback.state, query):
                self.send_error(400)  # another login, or a foreign name that leads to us
            else:
                callback.query = callback.query or query
                callback.ended.wait()
                self.show(200, callback.page)
                callback.told.set()

        do_POST = do_GET

        def send_error(self, code: int, *_: object) -> None:
            page = _page("Nothing here", "This address only serves to end a login.")
            self.show({404: 404, 501: 405}.get(code, 400), page)

        def show(self, code: int, page: bytes) -> None:
            policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
            self.send_response_only(code)
            for name, value in (
                    ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"),
                    ("Content-Length", str(len(page))), ("Connection", "close"),
                    ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else page)

        def log_message(self, *_: object) -> None:
            pass

    return Handler

def _page(title: str, text: str) -> bytes:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>:root{{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}}
body{{min-height:90vh;display:grid;place-content:center;margin:0}}h1{{margin:0;font-size:1.4rem}}
main{{box-sizing:border-box;width:min(22rem,90vw);padding:1.5rem 2rem .5rem;background:#8881;
border:1px solid #8885;border-radius:.75rem}}</style><main><h1>{title}</h1><p>{text}</p></main>
""".encode()

def _say(text: str) -> None:
    if sys.stderr:  # None would be stdout, which is for results
        print(text, file=sys.stderr, flush=True)

def _browse(url: str, open_browser: "Browser") -> None:
    """Opens a browser, unless it could not be seen: over SSH the screen is another machine's, and
    a text browser would take the terminal."""
    run: Any = open_browser
    if open_browser in (None, True):
        try:
            import webbrowser
        except ImportError:
            return  # there is none, but the address was shown
        run = webbrowser.open
    if open_browser is None:
        with contextlib.suppress(webbrowser.Error):
            name = os.path.basename(getattr(webbrowser.get(), "name", None) or "")
            here = "SSH_CONNECTION" not in os.environ or {"DISPLAY", "BROWSER"} & set(os.environ)
            text = name in ("www-browser", "lynx", "links", "elinks", "w3m")
            open_browser = bool(here) and not text
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
        windows: Any = __import__("msvcrt")
        typed = ""
        while windows.kbhit():
            typed += windows.getwche()
        return typed
    return os.read(file, 65536).decode("utf-8", "replace") if _readable(file) else ""

# --- Token endpoint --------------------------------------------------------------------------

def _authenticate(method: str, client_id: str, secret: "str | None", form: "JSON") -> "Any":
    """Headers and form with the client's credentials (RFC 6749 section 2.3.1)."""
    if method == "client_secret_basic":
        # Form-encoded, else a colon breaks it; a space as %20, since some do not decode a plus.
        pair = ":".join(urllib.parse.quote(text, safe="~") for text in (client_id, secret or ""))
        basic = "Basic " + base64.b64encode(pair.encode()).decode()
        return {"Accept": "application/json", "Authorization": basic}, form
    proof = {"client_secret": secret} if method == "client_secret_post" else {}
    return {"Accept": "application/json"}, {**form, "client_id": client_id, **proof}

def _fields(answer: "Any", needed: "str | None", secrets: "Any", client_secret: str) -> "JSON":
    """The fields of an answer (RFC 6749 section 5); a TokenError if they say no, or nothing."""
    fields = _json(answer.content)
    if not isinstance(fields, dict):  # a form, from GitHub
        fields = dict(urllib.parse.parse_qsl(answer.text))
    error: Any = fields.get("error")
    text = fields.get("error_description", fields.get("message"))
    if isinstance(error, dict):  # Facebook
        error, text = error.get("type") or True, error.get("message")
    there = needed is None or isinstance(fields.get(needed), str) and fields[needed]
    if there and answer.status_code < 300 and not error and fields.get("ok") is not False:  # Slack
        return dict(fields)
    error, text, uri = (_printable(value, secrets) if isinstance(value, str) and value else None
                        for value in (error, text, fields.get("error_uri")))
    kind = _printable(answer.headers.get("Content-Type", "an unknown type"), secrets)
    advice = "check the grant type and the scope against what is registered there"
    if error is None:
        advice = (f"no {needed} in {len(answer.content)} bytes of {kind}: "
                  "is this the right address?")
    elif error == "invalid_grant":
        advice = "the code or refresh token is used up, expired or another client's: log in again"
    if error == "invalid_client" or answer.status_code in (401, 403):
        advice = "check client_id, client_secret and token_endpoint_auth_method"
        if not re.fullmatch(r"[\w.~-]*", client_secret, re.ASCII):
            advice += ": some servers misread such a secret, try client_secret_post"
    where = f"{_place(answer.url)} answered {answer.status_code}"
    raise TokenError(": ".join(filter(None, (where, error, text, advice))), error=error,
                     error_description=text, error_uri=uri, status=answer.status_code)

def _token(fields: "JSON") -> Token:
    """RFC 6749 section 5.1, with the liberties that servers take."""
    life, scope = _seconds(fields.get("expires_in", fields.get("expires"))), fields.get("scope")
    expires_at = time.time() + life if life else None
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and value}
    if isinstance(scope, str):
        scope = scope.replace(",", " ").split()  # GitHub's has commas
    scope = " ".join(map(str, scope)) if isinstance(scope, list) else None
    try:
        return Token(fields["access_token"], texts.get("token_type", "Bearer"), expires_at,
                     texts.get("refresh_token"), scope, fields)
    except ValueError:
        text = "the server gave an access token that no header can hold: report that to its owner"
        raise TokenError(text, status=200) from None

# --- HTTP ------------------------------------------------------------------------------------

_URL = re.compile(r"(?i)(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?(?=[/?#]|$)")
_LOOPBACK = re.compile(r"(?i)(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?")
_REDIRECTS = 301, 302, 303, 307, 308
_IDEMPOTENT = "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"  # RFC 9110 section 9.2.2
_MASKED = ("(?:access_|refresh_|id_|subject_|actor_)?token|(?:device_)?code|code_verifier|state|"
           "client_secret|password|(?:client_)?assertion")

class Response(namedtuple("_", "status_code headers url content")):
    """The answer of an API, read to its end. In `headers` case does not matter; `url` is the last
    one, after redirects; `content` is the body, bytes."""
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Response {self.status_code} from {_place(self.url)}>"

    @property
    def text(self) -> str:
        """The body in the charset that the server names, else UTF-8."""
        with contextlib.suppress(LookupError, ValueError):  # no such charset, or one that raises
            return str(self.content, self.headers.get_content_charset() or "utf-8", "replace")
        return str(self.content, "utf-8", "replace")

    def json(self) -> "Any":
        """The body parsed. Raises ValueError if it is not JSON."""
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self.text.lstrip("\ufeff"))
        raise ValueError(f"{_site(self.url)} answered {self.status_code} with {len(self.content)} "
                         "bytes that are not JSON: is this the right address?")

def _opener(*handlers: "Any") -> urllib.request.OpenerDirector:
    """urllib's own, without its handlers for file: and ftp:, for connections and for redirects."""
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", "oauth2min/" + __version__)]
    if not any(isinstance(handler, urllib.request.ProxyHandler) for handler in handlers):
        handlers = (urllib.request.ProxyHandler(), *handlers)
    for handler in (urllib.request.HTTPErrorProcessor(), *handlers):
        for scheme, proxy in getattr(handler, "proxies", {}).items():
            if not re.fullmatch(r"(\w+://)?[^/]+(/[^@]*)?", proxy):
                # urllib's own error would show its password
                raise ValueError(f"{scheme}_proxy is no address such as http://me:pass@host:3128")
        opener.add_handler(handler)
    return opener

class _Answer(http.client.HTTPResponse):
    """An answer that gives its connection back when it is closed."""
    give_back = trace = None  # type: Any

    def begin(self) -> None:
        super().begin()
        while self.status < 200:  # http.client takes a 103 for the answer, which is yet to come
            self.headers = None  # type: ignore[assignment] # or it would not read on
            super().begin()
        if self.length == 0:  # 204 and 304: http.client would wait for chunks
            self.chunked = False

    def close(self) -> None:
        whole, give_back, self.give_back = self.isclosed(), self.give_back, None
        super().close()
        if give_back:
            give_back(whole and not self.length)

class _KeepAlive(urllib.request.AbstractHTTPHandler):
    """Keeps connections open, where urllib makes a TLS handshake for every request."""
    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, context: "Any", allow_http: bool, trace: "Any") -> None:
        super().__init__()
        if context is not None and not getattr(context, "check_hostname", False):
            raise ValueError("context must be an ssl.SSLContext that checks certificates")
        self.context, self.allow_http, self.trace = context, allow_http, trace
        self.idle: dict[Any, deque[Any]] = {}  # stacks: the warmest is taken, the others age

    def http_open(self, request: "Any") -> _Answer:
        url, method, data = request.full_url, request.get_method(), request.data
        if request.type != "https":
            _origin(url, self.allow_http)  # also if a proxy on this machine takes it from here
        headers, tunnel = {**request.headers, **request.unredirected_hdrs}, request._tunnel_host
        # With the process: after a fork, two of them would talk over one connection.
        proxy = tunnel and headers.get("Proxy-authorization")
        key = os.getpid(), request.type, request.host, tunnel, proxy
        connection = self.take(key, request.timeout)
        if self.trace:
            self.trace(_traced(f"{method} {url}", headers, data))
        if proxy:
            del headers["Proxy-authorization"]  # it was for the tunnel
        while True:
            used = connection.sock  # the server may give up an idle one just as we take it
            try:
                connection.request(method, request.selector, data, headers,
                                   encode_chunked="Transfer-encoding" in headers)
                answer: _Answer = connection.getresponse()
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()  # request() opens it again
                lost = isinstance(error, OSError) and not isinstance(error, socket.timeout)
                again = method in _IDEMPOTENT and isinstance(data, (bytes, type(None)))
                if not (used and lost and again):
                    raise _network_error(error, url) from None

        def give_back(whole: bool) -> None:
            if key not in self.idle and len(self.idle) >= MAX_IDLE:
                self.close()
            stack = self.idle.setdefault(key, deque())
            if whole and connection.sock and len(stack) < MAX_IDLE:
                connection.idle_since = time.monotonic()
                stack.append(connection)
            else:
                connection.close()
        answer.url, answer.msg = url, answer.reason  # type: ignore[assignment] # as urlopen does
        answer.give_back, answer.trace = give_back, self.trace
        return answer

    https_open = http_open

    def http_error_default(self, request: "Any", answer: _Answer, *_: object) -> _Answer:
        return answer  # for the caller to judge, where urllib raises HTTPError

    def take(self, key: "Any", timeout: float) -> "Any":
        """A connection: the one used last, or a new one. What is not open opens itself."""
        try:
            connection = self.idle[key].pop()
        except LookupError:
            return self.connect(timeout, *key)
        # One that has something to say, also within TLS, was closed or speaks out of turn.
        talks = getattr(connection.sock, "pending", int)() or _readable(connection.sock)
        if talks or time.monotonic() > connection.idle_since + IDLE_TIME:
            connection.close()
        return connection

    def connect(self, timeout: float, _: int, scheme: str, host: str, tunnel: "Any",
                proxy: "Any") -> "Any":
        _origin(f"{scheme}://{host}", self.allow_http)  # which may be a proxy's
        connection = http.client.HTTPConnection(host, timeout=timeout)
        if scheme == "https":
            self.context = self.context or _tls_context()
            connection = http.client.HTTPSConnection(host, timeout=timeout, context=self.context)
        if tunnel:
            connection.set_tunnel(tunnel, headers={"Proxy-Authorization": proxy} if proxy else {})
        connection.response_class = _Answer
        return connection

    def close(self) -> None:
        idle, self.idle = self.idle, {}
        for stack in list(idle.values()):
            with contextlib.suppress(IndexError):
                while True:  # as take() does: no connection may have two owners
                    stack.pop().close()

def _readable(file: "Any") -> bool:
    """Whether there is something to read, or the end. poll() takes any number of open files."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([file], [], [], 0)[0])
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))

def _tls_context() -> "Any":
    import ssl
    context = ssl.create_default_context()
    if hasattr(ssl, "TLSVersion"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context

def _redirected(method: str, url: str, body: "Any", headers: "JSON", answer: "_Answer") -> "Any":
    """What is to be sent instead (RFC 9110 section 15.4), None if that cannot be followed."""
    target = answer.getheader("Location") if answer.status in _REDIRECTS else None
    if answer.status == 303 and method != "HEAD" or answer.status < 303 and method == "POST":
        method, body = "GET", None
        headers = {name: headers[name] for name in headers if name[:8] != "Content-"}
    if not target or not isinstance(body, (bytes, type(None))):
        return None
    _read(answer, MAX_ANSWER)
    old, url = url, _joined(url, target.encode("latin-1").decode("utf-8", "replace"))
    here, there = _origin(old, True), _origin(url, True)
    if body is not None and here != there or here[0] > there[0]:  # "https" > "http"
        raise UnsafeURL(f"{_place(old)} redirects to {_site(url)}: no https, or not for our data")
    return method, url, body, headers if here == there else {}

def _response_error(method: str, answer: "_Answer", secrets: "Any") -> ResponseError:
    """With the server's own words, from its header (RFC 6750 section 3) or its JSON."""
    response = _read(answer, MAX_ANSWER)
    said = response.headers.get("WWW-Authenticate", "")
    said += response.text if _json(response.content) else ""
    names = "error_description", "message", "detail", "title", "error", "scope"
    words = rf'\b({"|".join(names)})"?\s*[=:]\s*("(?:[^"\\]|\\.)*")'
    found = {name: _printable(str(_json(word) or word), secrets)
             for name, word in reversed(re.findall(words, said))}  # so that the first one counts
    text = next((": " + found[name] for name in names[:-1] if name in found), "")
    if response.status_code < 400:
        text = ": a redirect that cannot be followed"
    if "scope" in found:  # RFC 6750 section 3: what it would have taken
        text += f": it needs the scope {found['scope']}"
    place = _printable(_place(response.url), secrets)
    text = f"{method} {place} answered {response.status_code}{text}"
    wait = _retry_after(response)
    if wait is None:
        return ResponseError(text, response=response)
    text += f": try again in {wait:.0f} seconds"
    return RateLimited(text, response=response, retry_after=wait)

def _retry_after(response: Response) -> "Any":
    """Seconds to wait, at least one; None if this is no matter of waiting."""
    headers, status = response.headers, response.status_code
    if status != 429 and not (status == 503 and "Retry-After" in headers):
        return None
    now = _date(headers.get("Date")) or time.time()  # the server's clock counts, if it tells
    for name in ("Retry-After", "X-Rate-Limit-Reset", "X-RateLimit-Reset", "RateLimit-Reset"):
        text = headers.get(name)
        number = _seconds(text) or _date(text) or text == "0"
        if number:  # X and GitHub name a time, Reddit and the IETF's draft a number of seconds
            return max(1.0, min(1e9, number - now if number > 1e9 else number))
    return 1.0

def _date(text: "Any") -> "Any":
    with contextlib.suppress(Exception):  # of any kind, before Python 3.10
        return email.utils.mktime_tz(email.utils.parsedate_tz(text))

def _seconds(value: "Any") -> "Any":
    """A number that may have come as a string; None for nonsense, and for what is no time."""
    with contextlib.suppress(ValueError, OverflowError):
        number = float(value) if type(value) in (str, int, float) else 0.0
        return number if 0 < number < 1e10 else None

def _read(answer: "_Answer", limit: int) -> Response:
    """Reads to the end, or a little more than `limit` bytes; gives the connection back."""
    content, part, source = bytearray(), b"more", answer  # type: Any, Any, Any
    try:
        with answer:
            if answer.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip"):
                import gzip
                source = gzip.GzipFile(fileobj=answer)
            elif answer.length is not None and answer.length <= limit:
                content, part = answer.read(), b""  # in one go, without a copy
            while part and len(content) <= limit:
                part = source.read(1 << 16)
                content += part
            if answer.length and not part:
                raise http.client.IncompleteRead(b"")
    except (OSError, EOFError, ValueError, zlib.error, http.client.HTTPException) as error:
        broken = isinstance(error, ValueError)  # a chunk of -1 bytes
        raise _network_error(EOFError() if broken else error, answer.url) from None
    if answer.trace:
        with contextlib.suppress(Exception):  # or the token in this answer would be lost
            answer.trace(_traced(f"{answer.status} {answer.reason}", answer.headers, content))
    return Response(answer.status, answer.headers, answer.url, bytes(content))

def _network_error(error: Exception, url: str) -> Exception:
    """What happened and what to do; http.client's own messages quote headers and addresses."""
    said = _printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)
    said = re.sub("(Tunnel connection failed: [0-9]+).*", r"\1", said)  # it may hold a password
    text = f"{said}: check the address, the network and the proxy settings"
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or type(error).__name__ == "CertificateError":
        text = (f"its certificate is not trusted ({getattr(error, 'verify_message', said)}): if "
                "the network has its own CA, name its file in SSL_CERT_FILE, or pass context=")
    elif isinstance(error, socket.timeout):
        text = "nothing came in time: try again, or raise timeout="
    elif isinstance(error, (ValueError, http.client.InvalidURL)):
        return ValueError("the address or a header has characters that HTTP does not allow")
    elif isinstance(error, (http.client.HTTPException, EOFError, zlib.error)):
        text = f"the answer broke off or is not HTTP ({type(error).__name__}): try again"
    kind: Any = type(error) if isinstance(error, OSError) else OSError
    number = [error.errno] if isinstance(error, OSError) and error.errno else []
    return URLError(kind(*number, f"no answer from {_site(url)}: {text}"))

def _next_link(answer: Response, page: "Any", first: str, next: "Next") -> "str | None":
    """As `pages` was told; else RFC 8288, or what APIs use in its stead."""
    if isinstance(next, tuple):
        cursor, parts = _at(page, next[0]), urllib.parse.urlsplit(first)
        pairs = [pair for pair in urllib.parse.parse_qsl(parts.query, True) if pair[0] != next[1]]
        query = _form([*pairs, (next[1], cursor)])
        return parts._replace(query=query).geturl() if cursor else None
    if next:
        return next(page) if callable(next) else _at(page, next)
    for link in answer.headers.get_all("Link") or []:
        for url, rest in re.findall(r'<([^<>]*)>((?:[^,"]|"[^"]*")*)', link):
            for name, value in re.findall(r';\s*([\w*-]+)\s*=\s*("[^"]*"|[^\s;]*)', rest):
                if name.lower() == "rel" and "next" in value.strip('"').lower().split():
                    return str(url)
    top, names = page if isinstance(page, dict) else {}, ("next", "@odata.nextLink")
    places = [top] if {*names} & {*top} else [*top.values()]  # "next": null is the end
    found = [place[name] for place in places if isinstance(place, dict)
             for name in names if isinstance(place.get(name), str)]
    if len(found) > 1 and places != [top]:
        raise ValueError("this page has several next links: choose one with next='name.next'")
    return found[0] if found else None

def _at(page: "Any", path: str) -> "Any":
    for name in [path] if isinstance(page, dict) and path in page else path.split("."):
        page = page.get(name) if isinstance(page, dict) else None
    return page

def _joined(url: str, link: str) -> str:
    try:
        return _absolute(None, urllib.parse.urljoin(url, link))
    except (AttributeError, TypeError, ValueError):
        raise UnsafeURL(f"a link at {_place(url)} leads nowhere") from None

def _absolute(base_url: "str | None", url: str, params: "Any" = None) -> str:
    """The whole address, in the characters that HTTP allows."""
    url = urllib.parse.quote(url.strip(), "%/:=&?~#+!$,;'@()*[]", None, "surrogatepass")
    url = url.partition("#")[0]
    if not re.match("(?i)[a-z][a-z0-9+.-]*:", url):  # RFC 3986 section 4.2
        if base_url is None:
            raise ValueError(f"{_place(url)!r} is relative, and there is no base_url: complete it")
        url = base_url.rstrip("/") + ("/" if url[:1] not in ("", "?") else "") + url.lstrip("/")
    return url + ("&" if "?" in url else "?") + _form(params) if params else url

def _body(data: "Any", value: object) -> "tuple[bytes | None, dict[str, str]]":
    if data is not None and value is not None:
        raise ValueError("give data or json, not both")
    if value is not None:
        return json.dumps(value).encode(), {"Content-type": "application/json"}
    if data is None:
        return None, {}
    body = data if isinstance(data, bytes) else _form(data).encode()
    kind = {"Content-type": "application/octet-stream"}  # else urllib says that it is a form
    return body, kind if isinstance(data, (str, bytes)) else {}

def _form(fields: "Any") -> str:
    """As HTML forms are sent; what is None is left out."""
    pairs = fields.items() if hasattr(fields, "items") else fields
    with contextlib.suppress(UnicodeEncodeError):  # whose repr shows the text
        if isinstance(fields, str):
            return fields.encode().decode()
        return urllib.parse.urlencode([(k, v) for k, v in pairs if v is not None], True)
    raise ValueError("a parameter has characters that UTF-8 does not have")

def _headers(headers: "Headers") -> "dict[str, str]":
    """Checked here, since http.client would quote a bad one in its error."""
    headers = {str.capitalize(name): value for name, value in dict(headers or {}).items()}
    if "Authorization" in headers:
        raise ValueError("the Authorization header is the client's own")
    if not all(re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII)
               and re.fullmatch(r"[\t -~\x80-\xff]*", headers[name]) for name in headers):
        raise ValueError("a header has characters that HTTP does not allow")
    return headers

def _origin(url: str, allow_http: bool = False) -> "tuple[str, str, int]":
    """Scheme, host and port: what a token belongs to; UnsafeURL if it may not get one."""
    match = _URL.match(url)
    if not match or int(match.group(3) or 0) > 65535:
        raise UnsafeURL(f"{_site(url)} is not a web address (https://host/path, without a user)")
    scheme, host, port = match.group(1).lower(), match.group(2).lower(), match.group(3)
    if scheme == "http" and not (allow_http or _LOOPBACK.fullmatch(host)):
        raise UnsafeURL(f"{_site(url)} is not https, and not on this machine")
    return scheme, host, int(port or (443 if scheme == "https" else 80))

def _site(url: str) -> str:
    """The same without the path, which may be of a server's making."""
    return _place(re.sub("(?s)^([^:/?#]*:?(//[^/]*)?).*", r"\1", url))

def _place(url: str) -> str:
    """An address without what may be secret in it: user, query, fragment."""
    return re.sub("[^/]*@", "", _printable(re.split("[?#]", url)[0]))

def _printable(text: str, secrets: "Iterable[str | None]" = ()) -> str:
    """What a server said, fit for a message: one bounded line, without the secrets we sent it."""
    said = text + urllib.parse.unquote(text) + urllib.parse.unquote_plus(text)
    if any(secret and secret.lower() in said.lower() for secret in secrets):
        return "(not shown: it repeats a secret)"
    text = "".join(c if c.isprintable() else " " for c in text[:2000])
    text = " ".join(re.sub(r"\?\S+", "", text).split())
    return text if len(text) <= 300 else text[:300] + "..."

def _json(text: "str | bytes") -> "Any":
    """What the JSON says; None if it is not JSON."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)

def _traced(start: str, headers: "Any", body: "Any") -> str:
    """A message as it goes over the wire, secrets masked."""
    text = "\n".join([start] + [f"{name}: {value}" for name, value in headers.items()])
    text = re.sub("(?im)^((?:proxy-)?authorization: *[a-z]*|(?:set-)?cookie:).*", r"\1 ***", text)
    if body and isinstance(body, (bytes, bytearray)):
        text += "\n\n" + body.decode("utf-8", "replace")
    text = re.sub(rf'("(?:{_MASKED})"\s*:\s*)"(?:[^"\\]|\\.)*"', r'\1"***"', text)
    return re.sub(rf"(?m)((?:[?&#]|^)(?:{_MASKED})=)[^&\s]+", r"\1***", text)[:10000]

# --- Servers ---------------------------------------------------------------------------------

def discover(issuer: str, context: "ssl.SSLContext | None" = None, timeout: float = 30) -> "JSON":
    """The metadata of the server that calls itself `issuer`: RFC 8414's address first, then
    OpenID's. OAuth2Error, with the addresses tried, if neither has it."""
    with contextlib.closing(_KeepAlive(context, False, None)) as connections:
        return _metadata(_opener(connections), issuer, timeout)

def _metadata(opener: urllib.request.OpenerDirector, issuer: str, timeout: float) -> "JSON":
    _origin(issuer, True)
    scheme, host, path, *_ = urllib.parse.urlsplit(issuer.rstrip("/"))
    others, tried = "", [f"{scheme}://{host}/.well-known/oauth-authorization-server{path}",
                         f"{scheme}://{host}{path}/.well-known/openid-configuration"]
    for url in tried:
        answer: Any = opener.open(url, timeout=timeout)
        found = _json(_read(answer, MAX_ANSWER).content)
        if isinstance(found, dict):
            if found.get("issuer") == issuer and answer.status == 200:  # RFC 8414 section 3.3
                return found
            others = f"; one calls itself {_printable(str(found.get('issuer')))[:100]}"
    places = " or ".join(map(_place, tried))
    raise OAuth2Error(f"no metadata of this issuer at {places}{others}: spell the issuer as it "
                      "does, or give the endpoints in a dict")

def _server(server: "str | Mapping[str, Any]") -> "JSON":
    if isinstance(server, str):
        if server not in PROVIDERS and "://" not in server:
            raise ValueError(f"unknown server {server!r}: give one of " + ", ".join(PROVIDERS)
                             + ", an issuer URL (https://...) or, in Python, a dict")
        server = PROVIDERS.get(server, {"issuer": server})
    if not hasattr(server, "get") or not (server.get("token_endpoint") or server.get("issuer")):
        raise ValueError("the server needs a 'token_endpoint', or an 'issuer' to look it up")
    if server.get("token_endpoint_auth_method") not in (*AUTH_METHODS, None):
        raise ValueError("token_endpoint_auth_method must be one of: " + ", ".join(AUTH_METHODS))
    return dict(server)

def _row(base_url: str, host: str, *paths: str, **facts: object) -> "JSON":
    names = "authorization", "token", "device_authorization", "revocation"
    urls = {f"{name}_endpoint": host + path for name, path in zip(names, paths) if path}
    return dict(urls, base_url=base_url, **facts)

# `offline`: what a server wants to be asked before it gives a refresh token.
PROVIDERS: "dict[str, JSON]" = {
    "spotify": _row("https://api.spotify.com/v1", "https://accounts.spotify.com",
                    "/authorize", "/api/token"),
    "x": _row("https://api.x.com/2", "https://", "x.com/i/oauth2/authorize",
              "api.x.com/2/oauth2/token", "", "api.x.com/2/oauth2/revoke",
              offline="the scope offline.access"),
    # X for the application itself: with its API key and secret, by client credentials.
    "x-app": _row("https://api.x.com/2", "https://api.x.com", "", "/oauth2/token"),
    "github": _row("https://api.github.com", "https://github.com/login", "/oauth/authorize",
                   "/oauth/access_token", "/device/code", issuer="https://github.com/login/oauth",
                   token_endpoint_auth_method="client_secret_post"),
    "gitlab": _row("https://gitlab.com/api/v4", "https://gitlab.com/oauth", "/authorize", "/token",
                   "/authorize_device", "/revoke", issuer="https://gitlab.com"),
    "google": _row("https://www.googleapis.com", "https://",
                   "accounts.google.com/o/oauth2/v2/auth", "oauth2.googleapis.com/token",
                   "oauth2.googleapis.com/device/code", "oauth2.googleapis.com/revoke",
                   issuer="https://accounts.google.com",
                   offline="access_type=offline and prompt=consent",
                   authorization_parameters={"access_type": "offline", "prompt": "consent"}),
    "microsoft": _row("https://graph.microsoft.com/v1.0",
                      "https://login.microsoftonline.com/common/oauth2/v2.0",
                      "/authorize", "/token", "/devicecode", offline="the scope offline_access"),
    "discord": _row("https://discord.com/api/v10", "https://discord.com", "/oauth2/authorize",
                    "/api/oauth2/token", "", "/api/oauth2/token/revoke",
                    issuer="https://discord.com"),
    # Reddit wants Basic even of a client without a secret.
    "reddit": _row("https://oauth.reddit.com", "https://www.reddit.com/api/v1", "/authorize",
                   "/access_token", "", "/revoke_token", offline="duration=permanent",
                   authorization_parameters={"duration": "permanent"},
                   token_endpoint_auth_method="client_secret_basic"),
    "twitch": _row("https://api.twitch.tv/helix", "https://id.twitch.tv/oauth2", "/authorize",
                   "/token", "", "/revoke", issuer="https://id.twitch.tv/oauth2",
                   token_endpoint_auth_method="client_secret_post"),
}

# --- Command line ----------------------------------------------------------------------------

def main(argv: "list[str] | None" = None) -> int:
    """The command line, see `oauth2min --help`. Returns the exit status."""
    import argparse
    import io
    parser = argparse.ArgumentParser("oauth2min", description="An OAuth 2.0 client.", epilog=(
        "The client's id and secret are read from the environment: SPOTIFY_CLIENT_ID and "
        "SPOTIFY_CLIENT_SECRET for spotify, OAUTH2_... for an issuer URL. After a login, get and "
        "token act for that user, else for the program itself."))
    parser.add_argument("--version", action="version", version=f"oauth2min {__version__}")
    parser.set_defaults(p=[], X=None, json=None, pages=False, scope=None, redirect_uri=None,
                        device=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True  # an argument only since Python 3.7
    for name, text in (("login", "log a user in"), ("get", "get something from the API"),
                       ("token", "print an access token"), ("logout", "revoke and forget it")):
        add = commands.add_parser(name, help=text, epilog=parser.epilog).add_argument
        add("server", metavar="SERVER", help="an issuer URL, or one of: " + ", ".join(PROVIDERS))
        if name == "get":
            add("url", metavar="URL", help="whole, or relative to the API's base URL")
            add("-X", metavar="METHOD", help="another method than GET")
            add("--json", help="a body to send, by POST")
            add("--pages", action="store_true", help="get all pages, a line each")
        if name == "login":
            add("--redirect-uri", metavar="URI", help="as registered (http://127.0.0.1/callback)")
            add("--device", action="store_true", help="by a code, on another device")
            add("--no-browser", action="store_true", help="only show the address")
        if name in ("login", "get"):
            add("-p", metavar="KEY=VALUE", action="append", default=[], help="one parameter each")
        if name != "logout":
            add("--scope", help="what the token is to be good for: words with spaces")
        add("--store", metavar="PATH", help="keep the token in this file")
        add("--trace", action="store_true", help="show the HTTP messages, secrets masked")
    args = parser.parse_args(argv)
    body = _json(os.fsencode(args.json or "null"))
    if not all("=" in pair for pair in args.p) or args.json is not None and body is None:
        parser.error("-p takes KEY=VALUE, and --json takes JSON")
    if args.pages and (args.X or args.json):
        parser.error("--pages only gets")
    for name in ("stdout", "stderr"):  # one that the shell has closed
        setattr(sys, name, getattr(sys, name) or io.StringIO())
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_: _say(f"oauth2min: {text}")
            _run(args, [tuple(pair.split("=", 1)) for pair in args.p], body)
        return 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough; the interpreter will flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ImportError, OAuth2Error, OSError, TypeError, ValueError) as error:
        error = error.reason if isinstance(error, URLError) else error  # type: ignore[assignment]
        text = str(getattr(error, "strerror", None) or error)  # without its "[Errno 111]"
        _say("oauth2min: " + text.replace("call login()", f"oauth2min login {args.server}"))
    return 1

def _run(args: "Any", parameters: "list[Any]", body: "Any") -> None:
    _server(args.server)  # an unknown name comes before a missing variable
    name = "OAUTH2" if "://" in args.server else re.sub(r"\W", "_", args.server).upper()
    client_id, secret = (os.environ.get(name + end) for end in ("_CLIENT_ID", "_CLIENT_SECRET"))
    if not client_id:
        raise ValueError(f"set {name}_CLIENT_ID in the environment, and {name}_CLIENT_SECRET "
                         "unless the client is public")
    folder = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.local/state"
    file = urllib.parse.quote_plus(f"{args.server} {client_id}.json")
    store = TokenFile(args.store or os.path.join(folder, "oauth2min", file))
    login = DEVICE_CODE if args.device else "authorization_code"
    record = store.load() or {}
    if not secret and not record and args.command in ("get", "token"):
        raise LoginRequired(f"nobody is logged in: call login(), or set {name}_CLIENT_SECRET")
    stored = record.get("grant_type", "client_credentials" if secret else login)
    if args.command == "login" and stored != login:
        _ = Client(args.server, client_id, store=store, grant_type=stored).token  # or StoreError
        vars(store).update(load=lambda: None)  # hidden from the login, which replaces it
    with Client(args.server, client_id, secret or None, scope=args.scope, store=store,
                grant_type=login if args.command == "login" else stored,
                redirect_uri=args.redirect_uri or "http://127.0.0.1/callback",
                trace=(lambda text: _say(text + "\n")) if args.trace else None) as client:
        style: dict[str, Any] = {"separators": (",", ":")}
        style["ensure_ascii"] = not (sys.stdout.encoding or "").lower().startswith("utf")
        if args.command == "login":
            client.login(False if args.no_browser else None, None, **dict(parameters))
            _say("Logged in.")
        elif args.command == "logout":
            there, revoked = client.token, client.logout()
            _say("Revoked and forgotten." if revoked else "There was no token." if not there else
                 "Forgotten here; the server did not confirm, so it may live on until it expires.")
        elif args.command == "token":
            print(client.access_token(), flush=True)
        elif args.pages:
            for number, page in enumerate(client.pages(args.url, parameters), 1):
                _print(json.dumps(page, **style))
                if sys.stderr.isatty():
                    print(f"page {number}", end="\r", file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                print(" " * 12, end="\r", file=sys.stderr, flush=True)
        else:
            method = args.X or ("GET" if body is None else "POST")
            answer = client.request(method, args.url, parameters, json=body)
            if sys.stdout.isatty():
                style.update(indent=2, separators=None)
            found = _json(answer.content)
            _print(answer.text if found is None else json.dumps(found, **style))

def _print(text: str) -> None:
    """Also what the terminal cannot show, and half a pair of surrogates in JSON."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)

if __name__ == "__main__":
    sys.exit(main())
