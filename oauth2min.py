#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: no-check-untyped-defs, no-warn-return-any, disable-error-code="arg-type, union-attr"
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# pyright: reportPossiblyUnboundVariable=false, reportUnsupportedDunderAll=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportReturnType=false
# ruff: noqa: BLE001, I001, PLE0605, PYI034, SIM905, UP006, UP035, UP041, UP045
"""OAuth 2.0 for Python programs: one file to copy, the standard library, nothing else.

    from oauth2min import Client

    # The program itself: client credentials (RFC 6749 section 4.4)
    spotify = Client("spotify", client_id, client_secret)
    track = spotify.get("tracks/11dFghVXANMlKmJXsNCbNl").json()

    # A user, in the browser: authorization code with PKCE (section 4.1, RFC 7636, RFC 8252)
    spotify = Client("spotify", client_id, client_secret, grant_type="authorization_code",
                     scope="user-library-read user-follow-read", store="spotify-token.json")
    spotify.login()                    # opens the browser only if no usable token is stored
    for page in spotify.pages("me/tracks", {"limit": 50}):
        for item in page["items"]:
            print(item["track"]["name"])

A program (the client) gets an access token from the authorization server, in one of several
ways (grants), and sends it to an API. The scope is what it allows; a refresh token gets the
next one without the user. The rules are in these documents; comments name their sections:

    RFC 6749 OAuth 2.0           RFC 8252 programs on a user's machine   RFC 9207 issuers
    RFC 6750 bearer tokens       RFC 8414 metadata of a server           RFC 9700 security
    RFC 7009 revocation          RFC 8628 devices without a browser      RFC 9110 HTTP
    RFC 7636 PKCE: a stolen code is worth nothing                        RFC 9112 HTTP/1.1

Not here: the implicit and the password grant (RFC 9700 tells why), the validation of ID
tokens, and async. Read it from the top: OAuth comes first, up to "Token file".
"""
import base64
import copy
import errno
import hashlib
import io
import json
import os
import re
import select
import socket
import sys
import threading
import time
import warnings
import zlib
from collections import namedtuple
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from email.utils import mktime_tz, parsedate_tz
from http.client import HTTPException, HTTPMessage, HTTPResponse
from time import monotonic
from urllib.error import URLError
from urllib.parse import (parse_qs, parse_qsl, quote, quote_plus, unquote,
                          unquote_plus, urlencode, urljoin, urlsplit)
from urllib.request import BaseHandler, OpenerDirector, ProxyHandler, Request

TYPE_CHECKING = False  # type checkers take it for True; the module `typing` starts slowly
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Dict, List, Optional, Tuple
    Params = Optional["Mapping[str, object] | Iterable[Tuple[str, object]] | str"]

__version__ = "0.2.0"
__all__ = """
    PROVIDERS AuthorizationError AuthorizationRequest Client LoginRequired OAuth2Error
    RateLimited Response ResponseError StoreError Token TokenError TokenFile UnsafeURL
    discover main""".split()

MARGIN = 30             # seconds: a token counts as expired up to this long before its end
LOGIN_TIME = 300        # seconds that a user has in the browser
MIN_INTERVAL = 1        # seconds between two questions of the device grant
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = "client_credentials", "authorization_code", DEVICE_CODE
AUTH_METHODS = "client_secret_basic", "client_secret_post", "none"

# --- Errors -----------------------------------------------------------------------------

class OAuth2Error(Exception):
    """The base of the errors below. Your own mistakes are ValueError or TypeError, and what
    the network does is an OSError. No message holds a secret, a code or a query string."""

    # In the server's words (RFC 6749 sections 4.1.2.1 and 5.2); None where it said nothing.
    error: "Optional[str]" = None
    error_description: "Optional[str]" = None
    error_uri: "Optional[str]" = None
    retry_after: "Optional[float]" = None    # seconds, if it is trouble that will pass

class AuthorizationError(OAuth2Error):
    """The user or the server said no, or what came back is no answer to our request.
    Correct what `.error` names, then call `login()` again."""

class TokenError(OAuth2Error):
    """The token endpoint said no (RFC 6749 section 5.2), or its answer made no sense."""
    status: int = 200                     # of the HTTP answer
    _refused: bool = False                # the code or refresh token is dead: _is_refusal

class ResponseError(OAuth2Error):
    """The API answered 400 or more; `.response` is its answer."""
    response: "Response"

class RateLimited(ResponseError):
    """The API wants you to wait `.retry_after` seconds, as Client(max_wait=60) does."""
    retry_after: float = 1.0

class LoginRequired(OAuth2Error):
    """There is no usable token, and only the user can help: call `login()`."""
    response: "Optional[Response]" = None    # the API's 401, where one led here

class StoreError(OAuth2Error):
    """The stored token cannot be read, or it is another client's."""

class UnsafeURL(OAuth2Error, ValueError):
    """A secret was not sent: the URL is no https, no web address, or of another origin."""

# --- Token ------------------------------------------------------------------------------

class Token(namedtuple("Token",
                       "access_token token_type expires_at refresh_token scope raw")):
    """What the token endpoint gave (RFC 6749 section 5.1); replaced, never changed.
    expires_at: its end, in seconds of the clock; None: not said. scope: words with spaces.
    raw: the whole answer, an id_token for example. ValueError, TypeError: a wrong value."""
    __slots__ = ()
    access_token: str
    token_type: str
    expires_at: "Optional[float]"
    refresh_token: "Optional[str]"
    scope: "Optional[str]"
    raw: "Optional[Dict[str, Any]]"

    def __new__(cls, access_token: str, token_type: str = "Bearer",
                expires_at: "float | None" = None, refresh_token: "str | None" = None,
                scope: "str | None" = None, raw: "Dict[str, Any] | None" = None) -> "Token":
        # It goes into a header: a line break would begin a field of the server's choice.
        _require(isinstance(access_token, str) and re.fullmatch("[!-~]+", access_token),
                 "an access token is a string of visible ASCII characters")
        _require(expires_at is None or -1e12 < expires_at < 1e12,  # and no nan
                 "expires_at is a number of seconds, as time.time() gives, or None")
        for text in refresh_token, scope:
            _require(not text or _is_text(text),
                     "refresh_token and scope are strings that UTF-8 can hold, or None")
        return super().__new__(cls, access_token, token_type, expires_at,
                               refresh_token or None, scope, raw)

    @classmethod
    def from_dict(cls, fields: "Mapping[str, Any]") -> "Token":
        """A Token out of the answer of a token endpoint, with the liberties of servers, or
        out of what another library kept: `expires_at` counts, else `expires_in`, from now
        on. ValueError: there is no access token."""
        # Seconds; None for 0 or no number. Without `expires_at`, the end follows from it.
        life = _seconds(fields.get("expires_in"))
        scope = fields.get("scope") or fields.get("scopes") or ""
        if not isinstance(scope, list):
            scope = f"{scope}".replace(",", " ").split()  # GitHub's has commas
        return cls(fields.get("access_token") or fields.get("token"),
                   fields.get("token_type") or "Bearer",
                   _seconds(fields.get("expires_at"), life and time.time() + life),
                   fields.get("refresh_token"), " ".join(map(str, scope)) or None,
                   dict(fields))

    def __repr__(self) -> str:
        return f"<Token expires_at={self.expires_at} scope={self.scope!r}>"

# --- Client -----------------------------------------------------------------------------

class Client:
    """Your application at one authorization server, with at most one token at a time.

    server: a name in PROVIDERS, an issuer URL (RFC 8414), or a dict of metadata.
    client_id, client_secret: as registered there; a public client has no secret.
    grant_type: how a first token is obtained: one of GRANT_TYPES.
    scope: what the token is to be good for, a string with spaces or several strings.
    redirect_uri: where a login ends; a loopback one without a port gets any free port.
    store: the path of a file, or an object like TokenFile; without one, in memory only.
    base_url: of the API. Relative URLs are appended, and its origin alone sees the token.
    headers: sent with every API request.
    timeout: seconds for one request in all. max_wait: seconds in all for rate limits.
    context: an ssl.SSLContext, for a CA or a client certificate of your own.
    handlers: further handlers for urllib, such as a ProxyHandler.
    trace: a function that gets each HTTP message as text, secrets masked: try `print`.

    Threads may share a client. A wrong value is a ValueError or TypeError at once."""

    def __init__(self, server: "str | Mapping[str, Any]", client_id: str,
                 client_secret: "str | None" = None, *,
                 grant_type: str = "client_credentials",
                 scope: "str | Iterable[str] | None" = None,
                 redirect_uri: str = "http://127.0.0.1/callback", store: object = None,
                 base_url: "str | None" = None,
                 headers: "Mapping[str, str] | None" = None, timeout: float = 30,
                 max_wait: float = 0, context: "ssl.SSLContext | None" = None,
                 handlers: "Iterable[BaseHandler]" = (),
                 trace: "Callable[[str], object] | None" = None) -> None:
        _require(grant_type in GRANT_TYPES, f"grant_type must be one of {GRANT_TYPES}")
        _require(0 < timeout < 1e9 and max_wait >= 0, "timeout, max_wait: seconds, please")
        facts = _server_facts(server, base_url)
        self._base_url = facts["base_url"]
        self._grant_type = grant_type
        self._headers = _own_headers(headers)
        self._max_wait = max_wait
        self._http = _HTTP(context, handlers, trace, timeout,
                           self._headers.get("User-agent"), facts.get("allow_http"))
        self._redirect_uri = _redirect_uri(redirect_uri, self._http.allow_http)
        self._server = _Server(facts, self._http, client_id, client_secret)
        self._keeper = _TokenKeeper(  # first: whose token it is, for the store
            {"server": facts.get("issuer") or facts["token_endpoint"],
             "client_id": client_id, "grant_type": grant_type},
            _scope(scope), store)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. The client can still be used, it opens new ones."""
        self._http.close()

    def get(self, url: str, params: "Params" = None, **more: "Any") -> "Response":
        """`request` with the method GET."""
        return self.request("GET", url, params, **more)

    def post(self, url: str, data: "Params | bytes" = None, **more: "Any") -> "Response":
        """`request` with the method POST."""
        return self.request("POST", url, data=data, **more)

    def request(self, method: str, url: str, params: "Params" = None,
                data: "Params | bytes" = None, json: object = None,
                headers: "Mapping[str, str] | None" = None) -> "Response":
        """Sends an authorized request and returns the answer, read to its end.
        data: a form (a mapping or pairs), or the body itself (str, bytes). json: any value.
        ResponseError: the answer is 400 or more; after a 401, another token is tried first.
        LoginRequired: no usable token. UnsafeURL: the token is not for that address.
        URLError: the network; or the answer is cut short, or larger than MAX_CONTENT."""
        body, content_type = _body(data, json)
        sent = {**content_type, **self._headers, **_own_headers(headers)}
        if "Range" not in sent:  # a part of gzip's bytes cannot be unpacked
            sent.setdefault("Accept-encoding", "gzip")
        return self._http.read(self._send(_Request(
            method, _absolute(self._base_url, url, params), sent, body)), MAX_CONTENT)

    def open(self, url: "str | Request") -> "HTTPResponse":
        """The answer as a stream, as from `urllib.request.urlopen`: for what is too large
        for memory. A Request may have a file as its data. Close the answer (`with`). The
        errors are those of `request`; an answer that is cut short is an OSError."""
        if isinstance(url, str):
            url = Request(_absolute(self._base_url, url))
        return self._http.stream(self._send(_Request(
            url.get_method(), _absolute(None, url.full_url),
            {**self._headers, **_own_headers(url.header_items())}, url.data)))

    def pages(self, url: str, params: "Params" = None,
              next: "str | Tuple[str, str] | Callable[[Any], str | None] | None" = None
              ) -> "Iterator[Any]":
        """Yields the parsed pages of a listing, each fetched with a token that is good.
        The next page is found by `Link: rel=next` (RFC 8288), or by a link called `next` or
        `@odata.nextLink` at the top of the page or one level down. next="paging.next" names
        another link; next=("meta.next_token", "pagination_token") a cursor and the
        parameter that takes it; a function gets the page and returns the link. It ends with
        a 204, or where the link is missing, empty or was seen before. UnsafeURL: it leads
        to another origin. ValueError: what looks like a next page is no link."""
        first = address = _absolute(self._base_url, url, params)
        seen = {None}  # None: there is no next page
        while address not in seen:
            if _origin(address) != _origin(first):
                raise UnsafeURL(f"the next page is elsewhere: {_scheme_and_host(address)}")
            seen.add(address)
            answer = self.request("GET", address)
            if answer.status_code == 204:
                return
            page = answer.json()
            yield page
            address = _next_page(answer, page, first, next)  # a cursor goes into `first`

    def access_token(self, rejected: "str | None" = None) -> str:
        """A good access token for any other HTTP library: ask before each request.
        rejected: a token that an API has just answered with 401: you get another one, and
        the server is asked once, however many threads and processes come. LoginRequired:
        only the user can help. TokenError, URLError: renewing failed."""
        return self._keeper.good(self.request_token, rejected).token.access_token

    @property
    def token(self) -> "Token | None":
        """The current Token, good or not, from memory, or else from the store. Assigning
        one saves it in the store too; assigning None forgets it in both."""
        kept = self._keeper.kept
        if kept is None:
            with self._keeper.alone() as kept:
                pass  # entering is enough: `alone` reads the store and yields the newest
        return kept and kept.token

    @token.setter
    def token(self, token: "Token | None") -> None:
        if token is not None and not isinstance(token, Token):
            raise TypeError("assign a Token, or None to forget it")
        keeper = self._keeper
        with keeper.alone():  # StoreError: the record is another client's
            # Token(*token) checks it again: _replace(), which made it perhaps, does not.
            keeper.keep(token and Token(*token), keeper.scope)

    def for_user(self, store: object = None) -> "Client":
        """The same client for another user, with a token of its own, kept in `store`. All
        else is shared, metadata, TLS context and connections, too."""
        client = copy.copy(self)
        client._keeper = _TokenKeeper(self._keeper.owner, self._keeper.scope, store)
        return client

    def login(self, open_browser: "bool | Callable[[str], object] | None" = None,
              timeout: "float | None" = None, **parameters: str) -> Token:
        """Makes sure that there is a usable token. The user is asked if there is none, if
        renewing it was refused, if more scope is wanted than was asked for last time, or if
        there are `parameters`, which go with the authorization request. The address is
        always shown on stderr; the one where it ends may be pasted. open_browser: a bool or
        a function that gets it; None opens it, but not over plain SSH, nor for a device.
        timeout: seconds for the user. AuthorizationError: a no. LoginRequired: too late."""
        try:
            if not parameters:
                kept = self._keeper.good(self.request_token)
                if kept.covers(self._keeper.scope):
                    return kept.token
        except (LoginRequired, TokenError) as error:
            if error.retry_after or self._grant_type == "client_credentials":
                raise  # it will pass, or is a program's own: a user cannot help
        if self._grant_type == DEVICE_CODE:
            endpoint = "device_authorization_endpoint"
            fields = self._server.post(endpoint, self._login_form(endpoint, {}, parameters),
                                       ("device_code", "user_code"))
            self.token = token = _device_token(fields, open_browser, timeout,
                                               self.request_token)
            return token
        with _Callback() as callback:  # it listens first: no answer can be missed
            asked = self.authorization_request(callback.listen(self._redirect_uri),
                                               **parameters)
            _say(f"To log in, open this address in a browser:\n\n{asked.url}\n")
            _browse(asked.url, open_browser)
            answer = callback.wait(asked, LOGIN_TIME if timeout is None else timeout,
                                   self._server)
            return self.exchange(asked, answer)  # inside `with`: its end tells the browser

    def authorization_request(self, redirect_uri: "str | None" = None,
                              **parameters: str) -> "AuthorizationRequest":
        """The first half of a login (RFC 6749 section 4.1.1): send the user's browser to
        `.url`, and keep the whole in the user's session, for `exchange`. In a web
        application `redirect_uri` is a page of yours."""
        import secrets
        # `state`: an answer that somebody forged lacks it (RFC 6749 section 10.12). PKCE:
        # the browser sees only a hash of the verifier; the verifier itself goes with the
        # code, so that one who steals the code cannot use it (RFC 7636 section 4).
        state = secrets.token_urlsafe(32)
        verifier = ""
        uri = _redirect_uri(redirect_uri or self._redirect_uri, self._http.allow_http)
        form = {"response_type": "code", "redirect_uri": uri, "state": state}
        if self._server.get("pkce") is not False:
            methods = self._server.get("code_challenge_methods_supported") or "S256"
            _require("S256" in f"{methods}", "this server's metadata do not list S256: if "
                     "it is to do without PKCE, write 'pkce': False into its dict")
            verifier = secrets.token_urlsafe(32)
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
            form["code_challenge"] = digest.decode().rstrip("=")
            form["code_challenge_method"] = "S256"
        form = self._login_form("authorization_endpoint", form, {
            **(self._server.get("authorization_parameters") or {}), **parameters})
        return AuthorizationRequest(
            _absolute(None, self._server.endpoint("authorization_endpoint"), form), state,
            verifier, uri)

    def _login_form(self, endpoint, form, parameters):
        """What is asked for at this endpoint. ValueError: a parameter would be there twice,
        or is secret: browsers show the address, and keep it in their history."""
        form = {**form, "client_id": self._server.client_id,
                "scope": self._keeper.scope or None}  # None is left out
        query = self._server.endpoint(endpoint).partition("?")[2]  # it may have one
        names = [*form, *dict(parse_qsl(query, True)), *parameters]  # it may repeat a name
        for name in names:
            is_secret = name in parameters and re.fullmatch(_SECRET_NAMES, name)
            _require(names.count(name) == 1 and not is_secret,
                     f"{name} is set already, or the client's to set (Client(scope=))")
        return {**form, "resource": self._server.get("resource"), **parameters}

    def exchange(self, authorization_request: "Iterable[str]", response: str) -> Token:
        """The second half: `response` is the address that the browser ended at, or its
        query. AuthorizationError: a no, or no answer to this request: nothing was sent."""
        asked = AuthorizationRequest(*authorization_request)  # a session may make it a list
        with self._keeper.alone():  # a StoreError comes before the code is used up
            self.token = token = self.request_token(
                "authorization_code", code=_code(asked, response, self._server),
                redirect_uri=asked.redirect_uri, code_verifier=asked.code_verifier)
        return token

    def logout(self) -> bool:
        """Forgets the token, in the store, too, and revokes it where the server can (RFC
        7009). Returns whether it confirmed: if not, the token may live until it expires."""
        keeper = self._keeper
        with suppress(Exception), keeper.alone():
            pass  # reading moves a damaged file aside; what stays wrong fails below
        with keeper.alone() as kept:
            keeper.keep(None)
            return kept is not None and _revoke(kept.token, self._server)

    def refresh(self) -> Token:
        """A new token now: by the refresh grant (RFC 6749 section 6), or for a program by
        asking anew. LoginRequired: there is nothing to renew it by, or it was refused."""
        with self._keeper.alone() as kept:
            if kept and not kept.token.refresh_token:
                kept = None  # else renew() could mark it as dead, though it may be good
            return self._keeper.renew(self.request_token, kept).token

    def request_token(self, grant_type: str, **parameters: "str | None") -> Token:
        """Any grant, the standard's or an extension: posts to the token endpoint, and
        returns the Token, which is kept nowhere (assign it to `token`). TokenError: the
        answer is no. All tokens come through here: override it for a grant of your own."""
        # An empty parameter is left out (section 3.2), and replaces none of the others.
        form = {"grant_type": grant_type, "resource": self._server.get("resource"),
                **(self._server.get("token_parameters") or {}),
                **{name: text for name, text in parameters.items() if text}}
        fields = self._server.post("token_endpoint", form, ["access_token"])
        try:
            return Token.from_dict(fields)
        except ValueError as error:
            raise TokenError(f"the server gave an odd token ({error}): tell its owner")

    def _send(self, request):
        """The good answer to an API request, not yet read; else the error is raised."""
        origin_of_token = _origin(self._base_url or request.full_url, self._http.allow_http)
        if _origin(request.full_url) != origin_of_token:  # nobody else sees the token
            raise UnsafeURL("the token is not for "
                            f"{_without_query(request.full_url)}: use another Client")
        patience = self._max_wait if request.is_repeatable else 0
        while True:
            try:
                return self._send_once(request)
            except (RateLimited, TokenError) as error:
                wait = error.retry_after  # None: it is no matter of waiting
                if wait is None or wait > patience:
                    raise
            time.sleep(wait)
            patience -= wait

    def _send_once(self, request):
        keeper = self._keeper
        kept = keeper.good(self.request_token)
        for _ in range(3):  # our token, then the one in the store, then a new one
            # 1. The token goes on a copy: after a wait, _send starts from the original.
            access_token = kept.token.access_token
            answer = self._http.follow(request.with_bearer(access_token))
            request = answer.request  # the last one, if there were redirects
            if answer.code < 400:
                keeper.unproven = {}  # this token is accepted: none is on trial now
                return answer
            error = _response_error(request, self._http.read(answer))
            # 2. Another helps if this one was sent, unless it just replaced a refused one.
            if (answer.code != 401 or "Authorization" not in request.unredirected_hdrs
                    or monotonic() < keeper.unproven.get(access_token, 0)):
                raise error
            try:
                kept = keeper.good(self.request_token, access_token)
            except LoginRequired as failure:
                failure.response = error.response
                raise
            # 3. A file cannot be sent twice; the next request has the new token.
            if not request.is_repeatable:
                break
        raise error

# --- Keeping the token ------------------------------------------------------------------

class _Kept(namedtuple("_Kept", "token renew_at scope")):
    """A token in use. renew_at: the clock time from which it counts as expired; None: not
    known; 0: only a login helps. scope: what we asked for; token.scope: what we got."""

    def is_good(self):
        return self.renew_at is None or time.time() < self.renew_at

    def covers(self, scope):
        """Whether all of this scope was asked for."""
        return set(scope.split()) <= set(self.scope.split())

    def is_alive(self):
        """Whether a server would still take it, even if it is time to renew it."""
        return self.renew_at != 0 and time.time() < (self.token.expires_at or 0)

class _TokenKeeper:
    """Keeps one token good: in memory, in a store, among threads and processes."""
    # The token in use, or None. Read without a lock, replaced only inside of `alone`.
    kept = None
    # What the store held when we last read or wrote it. If something else is there, another
    # process has renewed; if nothing is there now, somebody has logged out.
    in_store = None
    # How the last renewal failed: whoever waited for it gets this error, too.
    failure = None
    # The process whose thread is inside of `alone`: that one may enter again.
    inside = None
    # What the thread inside renews, 0 for nothing yet: it may come in again, from a trace.
    renewing = 0
    # Why only a user can help: this, or how the server refused to renew the last token.
    why = "no good token, nor one to renew it (is there a scope offline_access?)"

    def __init__(self, owner, scope, store):
        # Whose record the store has: another owner's is never used, and never replaced.
        self.owner = owner
        self.scope = scope      # what to ask for from now on
        self.store = TokenFile(store) if isinstance(store, (str, os.PathLike)) else store
        _require(store is None or hasattr(self.store, "lock"),
                 "store must be a path, or have load(), save(record) and lock()")
        self.name = getattr(self.store, "path", "the store")  # for messages
        # {access token: monotonic() time} of the one that we got in place of a refused one.
        # Until an API takes it, or that time, another 401 is not worth another renewal.
        self.unproven = {}
        # {process: its lock}. In a forked child, the parent's might never be released.
        self.locks = {}

    def good(self, ask, rejected=None):
        """A good token other than the `rejected` one. `ask` is Client.request_token. Of
        many who come at once one asks the server; the others wait, and find what it got."""
        kept = self.kept
        if kept and rejected is None and kept.is_good():
            return kept  # without any lock
        failure = self.failure  # if there is another after the wait, that renewal failed
        with self.alone() as kept:
            if kept and kept.is_good() and kept.token.access_token != rejected:
                return kept
            try:
                if self.failure is not failure:
                    # The renewal we waited for failed: so do we. None drops its traceback.
                    raise self.failure.with_traceback(None)
                kept = self.renew(ask, kept)
            except LoginRequired:
                raise  # not as `failure`: who waited looks anew, a login may be done
            except (OSError, OAuth2Error) as error:
                self.failure = error
                # If we tried early, the old token is still good until its own end.
                kept = self.kept
                if rejected or not kept or not kept.is_alive():
                    raise
            if rejected:
                self.unproven = {kept.token.access_token: monotonic() + MARGIN}
            return kept

    def renew(self, ask, kept):
        """A new token from the server: by the refresh grant (RFC 6749 section 6), or for a
        program anew. LoginRequired: only a user can help."""
        if self.renewing is kept:  # the same refresh token once more would be a thief's
            raise URLError("this thread is renewing the token already: try again")
        self.renewing = kept
        old = kept and kept.token
        if old and old.refresh_token:
            try:
                return self.keep(self.refreshed(ask, old), kept.scope)
            except TokenError as error:
                if not error._refused:
                    raise
                said = error.error or error.error_description
            # A process out of our lock's reach may have renewed before us.
            kept = self.newest()
            if kept and kept.token != old:
                return kept if kept.is_good() else self.renew(ask, kept)
            self.why = f"the server will not renew ({said or 'no reason given'})"
        if self.owner["grant_type"] == "client_credentials":  # a program asks again
            return self.keep(ask("client_credentials", scope=self.scope), self.scope)
        if kept:  # it is of no use now: forget it here, mark it (0) for other processes
            self.kept = None
            self.save(kept._replace(renew_at=0))
        raise LoginRequired(f"{self.why}: call login()")

    def refreshed(self, ask, old):
        """The Token that the server gives for the refresh token of the old one."""
        new = ask("refresh_token", refresh_token=old.refresh_token)
        # A server that does not rotate sends no refresh token: then the old one stays.
        new = new._replace(refresh_token=new.refresh_token or old.refresh_token,
                           scope=new.scope or old.scope)
        if new.access_token == old.access_token:  # the same one: its end stays, too
            new = new._replace(expires_at=old.expires_at or new.expires_at)
        return new

    @contextmanager
    def alone(self):
        """Lets in one thread of one process at a time, and yields the newest token."""
        process = os.getpid()
        with self.locks.setdefault(process, threading.RLock()):
            if self.inside == process:  # this thread is inside
                yield self.kept
                return
            self.inside = process
            self.renewing = 0
            try:
                with ExitStack() if self.store is None else self.store.lock():
                    yield self.newest()
            finally:
                self.inside = None

    def newest(self):
        """What another process saved since we last looked, else what is in memory: a token
        that could not be saved is newer than the stored one. Call it inside of `alone`."""
        record = None if self.store is None else self.store.load()
        if record != self.in_store:
            self.kept = None if record is None else self.read(record)  # None: a logout
            self.why = _TokenKeeper.why
            self.in_store = record
        return self.kept

    def read(self, record):
        """The record as a _Kept. StoreError: it is none, or another client's."""
        with suppress(KeyError, TypeError, ValueError):
            kept = _Kept(Token(**record["token"]), record["renew_at"], f"{record['scope']}")
            kept.is_good()  # a TypeError if renew_at is no number
            if {**record, **self.owner} == record:
                return kept
        raise StoreError(f"{self.name} holds no token of this server, client and grant_type"
                         ": name another store")

    def keep(self, token, scope=""):
        """Saves a token, then uses it: no other process may start from a used-up one."""
        end = token and token.expires_at
        # MARGIN early, but at most a tenth of its life: else one of 20 s is never good.
        kept = token and _Kept(
            token, end and end - min(MARGIN, (end - time.time()) / 10), scope)
        try:
            self.save(kept)
        finally:  # save() may raise: warnings as errors (python -W error), Ctrl-C
            self.why = _TokenKeeper.why
            self.kept = kept
        return kept

    def save(self, kept):
        """Writes it into the store, None for nothing. If the store fails, that is a
        warning and no error: the token was paid for, and serves this process."""
        if self.store is None:
            return
        record = kept and {**self.owner, **kept._asdict(), "token": kept.token._asdict()}
        try:
            self.store.save(record)
            self.in_store = record
        except Exception as error:  # whatever a store raises, the token in memory is good
            why = getattr(error, "strerror", None) or type(error).__name__
            warnings.warn(f"cannot save the token in {self.name}: {why}", RuntimeWarning)

# --- Authorization request --------------------------------------------------------------

class AuthorizationRequest(namedtuple("AuthorizationRequest",
                                      "url state code_verifier redirect_uri")):
    """A login under way: four strings, to be kept in the user's session. The browser gets
    only `url`. `code_verifier` is empty if the server's dict says 'pkce': False."""
    url: str
    state: str
    code_verifier: str
    redirect_uri: str

    def __repr__(self) -> str:
        return f"<AuthorizationRequest to {_without_query(self.url)}>"

def _code(asked, response, server):
    """The code out of the address that the browser ended at (RFC 6749 section 4.1.2)."""
    fields = _answer_to(asked, response)
    # Was it this server that we asked? The code of another one must not go to it.
    here = _absolute(None, server.endpoint("authorization_endpoint"))
    if fields is None or not asked.url.startswith((f"{here}?", f"{here}&")):
        raise AuthorizationError("this is no answer to our request (its state or address "
                                 "is another; a query alone will do): nothing was sent")
    if not _is_from(server, fields):
        raise AuthorizationError(
            f"this is an answer of {_one_line(fields.get('iss', 'nobody'))}: nothing was "
            "sent. If that is our server, write it into its dict, as 'issuer'")
    if not fields.get("error"):
        return fields["code"]
    raise _in_their_words(
        AuthorizationError, "", fields,
        _ADVICE.get(fields["error"], "check client_id, redirect_uri and scope"),
        (asked.state, asked.code_verifier, fields.get("code")))  # which are secret

def _is_from(server, fields):
    """Whether the answer comes from the server that we asked, by its `iss` (RFC 9207): else
    we could send the code of one server to another. If we know no issuer, `iss` must have
    the host of an endpoint. It may be missing if it is not promised, and in an error."""
    theirs = fields.get("iss")
    issuer = server.get("issuer")
    if theirs is None:
        return fields.get("error") or not _promises_iss(server)
    if issuer:
        return theirs == issuer
    return _scheme_and_host(theirs) in [
        _scheme_and_host(server.endpoint(name))
        for name in ("authorization_endpoint", "token_endpoint")]

def _promises_iss(server):
    """Whether each answer of this server says whose it is (RFC 9207 section 3)."""
    return server.get("authorization_response_iss_parameter_supported") is True

def _answer_to(asked, response):
    """The fields of an address, or of its query, if they answer this request: by its state,
    and by the address where it should come (RFC 9700 section 4.4.2). Else None; also if one
    is repeated (RFC 6749 section 3.1): nobody could say which of the two counts."""
    text = response.partition("#")[0]
    address, mark, query = text.partition("?")
    if not mark or "=" in address.partition("://")[0]:  # a query alone; a value may have ?
        address = ""
        query = text
    # The whole address, or its path. A browser adds a slash where there is no path.
    place = asked.redirect_uri.partition("?")[0].rstrip("/")
    if address and address.rstrip("/") not in (place, urlsplit(place).path):
        return None
    pairs = parse_qsl(query, True)  # True: a blank value is one, too
    fields = dict(pairs)
    is_ours = asked.state and asked.state == fields.get("state")
    is_answer = fields.get("code") or fields.get("error")
    if is_ours and is_answer and len(fields) == len(pairs):
        return fields

# --- Token endpoint ---------------------------------------------------------------------

class _Endpoints:
    """Speaks with the authorization server, with the client's credentials. What is known
    of that server, `get` and `endpoint`, is in the class that extends this one: _Server."""

    def __init__(self, facts, http, client_id, client_secret):
        _require(_is_text(client_id), "client_id must be a string, not empty, of one line")
        _require(client_secret is None or _is_text(client_secret),
                 "client_secret must be a string of one line, or None: is it set?")
        self.facts = facts
        self.http = http
        self.client_id = client_id
        self.client_secret = client_secret

    def post(self, endpoint, form, needed=()):
        """Posts a form and returns the fields of the answer. TokenError: they say no, or a
        `needed` one is missing."""
        headers, proof = self.credentials()
        form = {**form, **proof}
        secrets = [f"{form[name]}" for name in form if re.fullmatch(_SECRET_NAMES, name)]
        secrets += [self.client_secret, *headers.get("Authorization", "").split()]
        request = _Request(
            "POST", self.endpoint(endpoint),
            {**headers, "Accept": "application/json", "Content-type": _FORM},
            _form(form).encode(), secrets)
        request.spends = True  # it uses up a code: no idle connection, it may be dead
        answer = self.http.read(self.http.open(request))  # a redirect is not followed
        fields = _json(answer.content, answer.text)  # as UTF-8/16/32, else in its charset
        if not isinstance(fields, dict):
            # Some send a form, as GitHub may. A text with a blank or "<" is none: emptied.
            fields = dict(parse_qsl(re.sub(r"(?s)\A.*[<\s].*", "", answer.text.strip())))
        has_all = all(isinstance(fields.get(name), str) for name in needed)
        if answer.status_code < 300 and has_all and not fields.get("error"):
            return fields
        raise _token_error(request, answer, fields)

    def credentials(self):
        """Headers and form fields that say who the client is (RFC 6749 section 2.3.1)."""
        method = self.get("token_endpoint_auth_method")
        if method is None and self.client_secret:
            known = re.findall("client_secret_(?:basic|post)",
                               f"{self.get('token_endpoint_auth_methods_supported')}")
            method = (known or AUTH_METHODS)[0]  # in the server's order
        if method == "client_secret_basic":
            # Quoted, ":" and "/" too (safe="~"); a space is %20: some do not decode a plus.
            basic = base64.b64encode(
                f"{quote(self.client_id, '~')}:{quote(self.client_secret or '', '~')}"
                .encode()).decode()
            return {"Authorization": f"Basic {basic}"}, {}
        secret = self.client_secret if method == "client_secret_post" else None
        return {}, {"client_id": self.client_id, "client_secret": secret}

def _token_error(request, answer, fields):
    """A TokenError in the server's words. The advice follows `error`, else the status."""
    status = answer.status_code
    said = _words(fields)[0]  # its `error`, "" if there is none
    word = said or ("invalid_client" if status in (401, 403) else None)
    advice = _ADVICE.get(word, "check the grant type and the scope")
    wait = None
    # Trouble that will pass, by its status or its word.
    if re.search(r"\b(408|429|50[0234]|temporarily_unavailable|server_error|slow_down)\b",
                 f"{status} {word}"):
        wait = _retry_after(answer) or _seconds(fields.get("interval"), 1.0)
        advice = f"try again in {wait:.0f} seconds"
    error = _in_their_words(TokenError, f"{_without_query(answer.url)} answered {status}",
                            fields, advice, request.secrets)
    error.status = status
    error.retry_after = wait
    error._refused = wait is None and _is_refusal(answer, fields, said)
    return error

def _is_refusal(answer, fields, word):
    """Whether the server itself refused the code or refresh token that was sent: it is dead
    then. Not so if it refused the client (by `error`, or by a Basic challenge), or if the
    answer is text, a page, or has an `error` of several words, as a framework's "Not
    Found". A refusal, too: JSON without an `error` (Twitch, Strava), or an empty 4xx."""
    status = answer.status_code
    is_client = word == "invalid_client" or not word and any(
        field.startswith("basic") for field in _listed(answer.headers, "WWW-Authenticate"))
    is_own = fields and " " not in word or re.fullmatch(  # or 4xx and Content-Length: 0
        "4.. 0", f"{status} {answer.headers.get('Content-Length')}")
    return is_own and not is_client and status in (200, 400, 401, 403)

# --- Token file -------------------------------------------------------------------------

class TokenFile:
    """Keeps a token in a JSON file, for you alone and safely for any number of processes:
    it is replaced in one step, under a lock (a file beside it) that the system frees when
    its owner dies. Another store has the same three methods; `load` and `save` are only
    called inside of `with lock()`, and a record is a dict that JSON can hold, or None for
    nothing."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        """ValueError: this path leads to something that is no file, such as a folder, has a
        `~` without a home directory, or is a link in a folder that others can write to."""
        path = os.path.expanduser(path)
        # A symbolic link stays one, its target is replaced.
        self.path = os.path.realpath(path)
        _require(not os.path.islink(path) or not _is_shared(path),
                 f"{path!r} is a link in a folder that others can write to")
        is_other = os.path.exists(self.path) and not os.path.isfile(self.path)
        _require(not is_other and not path.startswith("~"),
                 f"{path!r} is no path of a file, or there is no home directory")

    def load(self) -> "Dict[str, Any] | None":
        """Returns the record; None without a file, or from an empty one. StoreError: it
        cannot be read, or is damaged. A damaged one that looks like ours (it begins like
        JSON, or with the zeros that a power cut leaves) is moved aside: so the next login
        can save."""
        try:
            with open(self.path, "rb", opener=_private) as file:
                content = file.read()
            record = _json(content)
            if record is None and content.strip():
                if content[:1] in b"{\0":
                    os.replace(self.path, f"{self.path}.damaged")
                raise StoreError(f"{self.path} is no token file, or damaged and now called "
                                 f"{self.path}.damaged: name another, or log in again")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"make {self.path} readable, or name another store "
                             f"({error.strerror})")
        return record

    def save(self, record: "Dict[str, Any] | None") -> None:
        """Replaces the record; None removes it, and what was moved aside. OSError: the disk
        does not take it. Whenever the process is killed, the file holds the old record or
        the new one, whole; but for one that is a mount point, which is written in place."""
        new = f"{self.path}.new"
        _remove(new)  # left there by a process that was killed
        if record is None:
            _remove(self.path)
            _remove(f"{self.path}.damaged")
            return
        try:
            # "x": a file of our own, and not one that others laid there.
            with open(new, "x", encoding="utf-8", opener=_private) as file:
                json.dump(record, file, indent=1)
                file.flush()
                try:
                    os.fsync(file)  # before the rename, or a power cut leaves an empty file
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                        raise  # some file systems cannot: the token is saved all the same
            _replace(new, self.path)
        except OSError as error:
            if error.errno != errno.EBUSY:  # that is a mount point, as in a container
                raise
            import shutil
            shutil.copyfile(new, self.path)
            warnings.warn(f"{self.path} is written in place", RuntimeWarning)
        finally:
            _remove(new)  # it is only there if something failed, as on a full disk

    @contextmanager
    def lock(self) -> "Iterator[None]":
        """Held by one thread of one process. Makes the folder, and those above it.
        Where there are no locks, it warns and goes on."""
        from pathlib import Path
        with ExitStack() as at_the_end:
            try:
                # One by one: os.makedirs gives this mode to the last one only.
                for folder in reversed(Path(self.path).parents):
                    folder.mkdir(0o700, exist_ok=True)
                file = at_the_end.enter_context(
                    open(f"{self.path}.lock", "ab", opener=_private)).fileno()
                # It asks and never blocks: with gevent, the owner may run in this thread.
                while not _flock(file, "LOCK_EX", "LK_NBLCK"):
                    time.sleep(0.01)
                # Closing is not enough: a forked child has the file open, too.
                at_the_end.callback(_flock, file, "LOCK_UN", "LK_UNLCK")
            except (OSError, ImportError) as error:
                warnings.warn(f"{self.path} has no lock ({error}): let no one else use it",
                              RuntimeWarning)
            yield

def _private(path, flags):
    """Opens a file, for `open`: with a mode that lets nobody else in, not through a link,
    and without waiting at a FIFO. OSError: another user may have laid it there."""
    for name in "O_NOFOLLOW", "O_NONBLOCK":  # Windows has neither
        flags |= getattr(os, name, 0)
    file = os.open(path, flags, 0o600)
    # Windows has no geteuid; there each st_uid is 0, and so is int().
    if _is_shared(path) and os.fstat(file).st_uid != getattr(os, "geteuid", int)():
        os.close(file)
        raise PermissionError(errno.EPERM, "it is another user's")
    return file

def _is_shared(path):
    """Whether others can write to the folder of this file."""
    return os.stat(os.path.dirname(path) or ".").st_mode & 2

def _replace(new, path):
    """os.replace(), tried for a second: on Windows, a scanner may have the file open."""
    for _ in range(100):
        with suppress(PermissionError):
            return os.replace(new, path)
        time.sleep(0.01)
    os.replace(new, path)

def _remove(path):
    """Removes a file, if there is one."""
    with suppress(FileNotFoundError):
        os.unlink(path)

def _flock(file, unix, windows):
    """Locks or unlocks an open file, by the name that the operation has on Unix or on
    Windows. Returns whether it did: None if another process has the lock."""
    with suppress(BlockingIOError, PermissionError):
        try:
            import fcntl
            fcntl.flock(file, fcntl.LOCK_NB | getattr(fcntl, unix))
        except ImportError:
            import msvcrt
            msvcrt.locking(file, getattr(msvcrt, windows), 1)
        return True

# --- Loopback and terminal --------------------------------------------------------------

class _Callback:
    """Waits for the browser to come back to a loopback address (RFC 8252 section 7.3), or
    for that address pasted on the terminal. The end of the `with` block tells the browser
    how the login ended: a page that said "success" before the exchange could be wrong."""

    asked = None  # the request whose answer is waited for
    answer = ""   # the address that the browser came to, once it is the true one

    def __init__(self):
        # What the browser gets. `ended`: the login is over. `told`: the page was sent.
        self.page = _page(200, "You are logged in", "You can close this page now.")
        self.ended = threading.Event()
        self.told = threading.Event()
        self.listeners = []

    def listen(self, redirect_uri):
        """Listens at this address, if it is on this machine; returns it with its port. For
        "localhost" it listens on IPv4 and, where there is IPv6, on that, too. OSError: the
        port cannot be had, or only on one of the two: then the browser could take our code
        to the program that has the other."""
        parts = urlsplit(redirect_uri)
        if parts.scheme != "http" or not _LOOPBACK.fullmatch(parts.netloc):
            return redirect_uri  # the answer can only be pasted
        host = parts.hostname
        port = parts.port or 0  # 0 is any that is free
        # No one knows which of the two the browser will try.
        for address in ("127.0.0.1", "::1") if host == "localhost" else (host,):
            try:
                listener = _listener(self, address, port)
            except OSError as error:
                if self.listeners and error.errno != errno.EADDRINUSE:
                    break  # there is no IPv6
                raise OSError(
                    error.errno, f"cannot listen on port {port} ({error.strerror}): free "
                    "it, or give redirect_uri another one, or none for any that is free")
            except AttributeError:  # this Python cannot listen, as in a browser
                return redirect_uri
            self.listeners.append(listener)
            port = listener.server_address[1]  # the second takes the same
        # The port is put after the host, in the place of an old one; the rest is as given.
        return re.sub(r"(?i)^(http://(?:\[::1\]|[^:/?]+)):?[0-9]*", rf"\1:{port}",
                      redirect_uri)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure:
            self.page = _page(200, "The login failed", "The program says why.")
        self.ended.set()
        if self.answer:
            self.told.wait(2)  # seconds; if the program ends before, no page is sent
        for listener in self.listeners:  # the ports are free at once for others
            listener.server_close()

    def wait(self, asked, seconds, server):
        """Returns the address that the browser came back to, or what was pasted.
        LoginRequired: the time is over. It never blocks for long: Ctrl-C must work at once,
        and not every system can wait for a terminal and a socket together."""
        self.asked = asked
        deadline = monotonic() + seconds
        typed = ""
        with ExitStack() as at_the_end:
            terminal = _terminal()
            if terminal is not None:
                _give_every_key(terminal, at_the_end)
                _say("If that browser is elsewhere, paste the address that it ends at here,"
                     " or a code that it shows:")
            elif self.listeners:
                _say("Browser elsewhere? See authorization_request() and exchange().")
            else:
                raise LoginRequired("no answer can come here: use authorization_request() "
                                    "and exchange()")
            while not self.answer:
                if monotonic() > deadline:
                    raise LoginRequired(
                        f"nobody logged in for {seconds:g} seconds: try again; check "
                        "client_id, redirect_uri and scope; or use "
                        "authorization_request(), exchange()")
                time.sleep(0.0005)  # without a listener, nothing else here takes time
                for listener in self.listeners:
                    listener.handle_request()  # one, or none within 3 ms: see _listener
                more = _typed()
                for key in more:
                    if key in "\b\x7f":  # Backspace: it is shown as ^?, wipe out all three
                        typed = typed[:-1]
                        _say("\b\b\b   \b\b\b", "")
                    else:
                        typed += key
                # An address with line breaks in it comes in pieces: wait for the last one.
                if typed.endswith("\n") and not more:
                    pasted = _pasted(typed, asked, server)
                    if pasted:
                        return pasted
                    typed = ""
                    _say(f"Please paste it whole ({asked.redirect_uri}...), or the code")
        return self.answer

def _listener(callback, address, port):
    """A server at this address, which gives each connection a thread. 32 may be open: then
    the oldest has had its time, so that nobody can keep the true answer out."""
    from socketserver import ThreadingTCPServer
    connections = []  # the oldest first

    class Listener(ThreadingTCPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        allow_reuse_address = os.name != "nt"  # there it would let others listen, too
        daemon_threads = True
        request_queue_size = 128

        def verify_request(self, connection, _):
            """Is asked before a connection gets its thread."""
            connections.append(connection)
            if len(connections) > 32:
                with suppress(OSError):  # it may be closed already
                    connections.pop(0).shutdown(socket.SHUT_RDWR)
            return True

        def handle_error(self, *_):
            pass  # a stranger may send anything, and hang up at any moment

    listener = Listener((address, port), _handler(callback))
    # So long handle_request() waits for a connection, at most. Without a limit, accept()
    # would block if the one in the queue has hung up meanwhile.
    listener.socket.settimeout(0.003)
    return listener

def _handler(callback):
    """The class that speaks HTTP with one connection. It knows one thing: the way back into
    `callback`. What goes wrong is answered with a fixed page, or hung up on, and shown to
    nobody: any web page can make the user's browser send something here."""
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds: browsers open connections ahead and then send nothing

        def do_GET(self):
            """Only a request to our path, with our host and our `state`, ends the wait. All
            others are refused at once, and nothing that they send is kept or repeated."""
            ours = callback.asked.redirect_uri
            # The path is UTF-8, but http.server has read it as Latin-1.
            answer = urljoin(ours, self.path.encode("latin-1").decode("utf-8", "replace"))
            # UnsafeURL, which hangs up: the Host is no name of this machine. So a page
            # elsewhere that made its own name point here gets nothing (DNS rebinding).
            port = _origin(f"http://{self.headers['Host']}", False)[2]
            if (port == _origin(ours)[2] and len(answer) <= MAX_QUERY
                    and _answer_to(callback.asked, answer)):
                callback.answer = answer
                callback.ended.wait()  # until the exchange is over
                self.wfile.write(callback.page)
                callback.told.set()
            else:
                self.send_error(404)

        def do_POST(self):
            """The same for an answer that the browser sends as a form, which a server may
            want (response_mode=form_post): the form takes the place of the query."""
            # Without a length this is a ValueError, which hangs up; so is "-5", by the 0.
            size = min(int(f"0{self.headers['Content-Length']}"), MAX_QUERY)
            form = self.rfile.read(size).decode("latin-1")
            self.path = f"{self.path.partition('?')[0]}?{form}"
            self.do_GET()

        def send_error(self, code, *_):
            """Is called by the base class, too, for what is no HTTP."""
            self.wfile.write(
                _page(code, "Nothing here", "This address only serves to end a login."))

        def log_message(self, *_):
            pass

    return Handler

def _page(status, title, text):
    """The whole answer for the browser, which repeats nothing of what was sent and asks
    nobody for anything. Title and text are ASCII, so that a character is a byte. The status
    may be an HTTPStatus of http.server's: `:d` makes it a number."""
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ min-height: 90vh; display: grid; place-content: center; margin: 0;
        background: canvas }}
main {{ box-sizing: border-box; width: min(22rem, 90vw); padding: 1.5rem 2rem .5rem;
        background: #8881; border: 1px solid #8885; border-radius: .75rem }}
h1 {{ margin: 0; font-size: 1.4rem }}
</style>
</head>
<main><h1>{title}</h1><p>{text}</p></main>
"""
    return f"""HTTP/1.1 {status:d} \r
Content-Type: text/html; charset=utf-8\r
Content-Length: {len(page)}\r
Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r
Content-Security-Policy: frame-ancestors 'none'\r
Cache-Control: no-store\r
Referrer-Policy: no-referrer\r
Connection: close\r
\r
{page}""".encode()

def _say(text, end="\n"):
    """Shows a text to the user, on stderr: stdout is for results."""
    with suppress(Exception):  # it may be None, closed, or a thing of the caller's
        sys.stderr.write(f"{text}{end}")
        sys.stderr.flush()  # before Python 3.9, a file or pipe would have it at the end

def _browse(url, open_browser):
    """Opens a browser as login() was told: True for the system's, a function of the
    caller's, or None for the system's if the user would see it: over SSH the screen is
    another machine's. It never waits, and it may fail, for the address was shown before."""
    if open_browser is None:
        open_browser = ("SSH_CONNECTION" not in os.environ
                        or "DISPLAY" in os.environ or "BROWSER" in os.environ)
    if open_browser is True:
        open_browser = _system_browser
    with suppress(RuntimeError):  # there may be no threads
        if open_browser:  # some come back only when the page is there, or closed
            threading.Thread(target=open_browser, args=(url,), daemon=True).start()

def _system_browser(url):
    """webbrowser.open() in a process of its own, which has not our stdin and stdout. Else
    `x=$(program)` would get what the browser prints, and wait until it ends; and a browser
    in the terminal would take what is pasted. It may fail."""
    with suppress(Exception):
        if hasattr(sys, "frozen"):  # sys.executable is this program, and no Python
            import webbrowser
            webbrowser.open(url)
        else:
            from subprocess import DEVNULL, call
            # -I: a webbrowser.py in the current folder may be anybody's.
            call([sys.executable, "-I", "-m", "webbrowser", url],
                 stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)

def _terminal():
    """The descriptor of stdin, if it is a terminal and we are in its foreground; else None,
    and always on Windows: nothing can be pasted there."""
    with suppress(AttributeError, OSError, ValueError):  # stdin may be closed; or Windows
        file = sys.stdin.fileno()
        if os.tcgetpgrp(file) == os.getpgrp():
            return file

def _give_every_key(terminal, at_the_end):
    """Lets the terminal give each key at once, for it cuts a line after 1,024 characters,
    or 4,096. `at_the_end` makes it as it was: also at SIGTERM, which would skip that."""
    def end(*_):
        sys.exit(143)  # as a shell has it for one who dies of SIGTERM

    # The terminal stays as it is, and cuts long lines, where nothing can be done about
    # SIGTERM. ValueError: this is not the first thread. TypeError: it has a handler in C.
    with suppress(ImportError, TypeError, ValueError):
        from signal import SIG_DFL, SIGTERM, getsignal, signal
        from termios import ICANON, TCSANOW, tcgetattr, tcsetattr
        before = getsignal(SIGTERM)
        # A handler of the program's own is set again: if that fails, nothing is changed.
        handler = end if before == SIG_DFL else before
        signal(SIGTERM, handler)
        at_the_end.callback(signal, SIGTERM, before)
        at_the_end.callback(tcsetattr, terminal, TCSANOW, tcgetattr(terminal))
        mode = tcgetattr(terminal)
        mode[3] &= ~ICANON  # 3: the local flags
        tcsetattr(terminal, TCSANOW, mode)

def _typed():
    """What was typed on the terminal since we last asked, "" for nothing. It never waits,
    so no thread is left behind that would take from the program what is typed after the
    login."""
    file = _terminal()
    if file is None or not select.select([file], [], [], 0)[0]:
        return ""
    return os.read(file, _BLOCK).decode("utf-8", "replace")

def _pasted(typed, asked, server):
    """The answer in what was typed; "" if there is none. It may be an address or its query.
    It may also be code#state, or a code alone if PKCE protects it: of 16 characters at
    least, and only from a server that promises no `iss`. With an out-of-band redirect_uri,
    any text is taken for the code."""
    line = re.sub(r"[\s\0-\x1f]", "", typed)
    code, mark, state = line.partition("#")  # as Anthropic's page shows them
    is_shown = asked.redirect_uri.startswith("urn:")  # "out of band"
    # A code alone brings no state: it gets ours if PKCE protects it, or if it is shown out
    # of band. Else its state is "", and _answer_to refuses it.
    if (asked.code_verifier or is_shown) and not mark:
        state = asked.state
    # No ":", as an address has, and no "=" but at the end, as a query has: it is a code.
    if is_shown or re.fullmatch("[^=?&:]{16,}={0,2}", code) and not _promises_iss(server):
        line = _form({"code": unquote(code), "state": state})
    return line if _answer_to(asked, line) else ""

def _device_token(fields, open_browser, timeout, ask):
    """The device grant (RFC 8628): the user types a short code on another device, and we
    ask the token endpoint again and again whether that has happened. `fields` is the answer
    of the device authorization endpoint. LoginRequired: the time is over."""
    # The first has the code in it, the last is Google's. What cannot be printed is quoted:
    # a terminal would obey it.
    url = str(fields.get("verification_uri_complete") or fields.get("verification_uri")
              or fields.get("verification_url"))
    url = quote(url[:2000], f"{_SAFE}#", None, "surrogatepass")
    _origin(url)  # UnsafeURL: there is none, or it could open a file
    _say(f"To log in, type the code {_one_line(fields['user_code'])} at\n\n{url}\n\nin any "
         "browser.\n")
    _browse(url, open_browser or False)
    interval = max(MIN_INTERVAL, _seconds(fields.get("interval"), 5))
    if timeout is None:  # the caller's may be longer: the server says when the code is over
        timeout = _seconds(fields.get("expires_in"), LOGIN_TIME)
    deadline = monotonic() + timeout
    while monotonic() + interval < deadline:
        time.sleep(interval)
        try:
            return ask(DEVICE_CODE, device_code=fields["device_code"])
        except URLError:  # section 3.5: the network may come back
            interval *= 2
        except TokenError as error:
            word = error.error or error.error_description  # the latter is Twitch's
            if word == "expired_token":
                break
            if word in ("access_denied", "authorization_declined"):  # Microsoft's
                denied = AuthorizationError(f"the user said no: {error}")
                denied.error = word
                raise denied
            if word == "slow_down":
                interval += 5
            if error.retry_after:  # the error slow_down has one, too: it is not raised
                interval = max(interval, error.retry_after)
            elif word != "authorization_pending":
                raise
    raise LoginRequired("nobody confirmed the code in time: call login() for a new one")

# --- HTTP -------------------------------------------------------------------------------

MAX_CONTENT = 268435456  # bytes of an API answer in memory, after gzip; else open()
MAX_ANSWER = 1048576    # bytes of a token answer, of metadata, of an error
MAX_HEAD = 65536        # bytes of an answer's head, its interim answers included
MAX_QUERY = 16384       # characters of what the browser brings
MAX_FIELDS = 200        # field lines in a head
MAX_INTERIM = 20        # interim answers (1xx) before the answer
MAX_IDLE = 64           # idle connections that are kept
IDLE_TIME = 120         # seconds; a router on the way may have forgotten older ones
MIN_SECRET = 8          # characters: a shorter secret is not looked for in what is shown
_FORM = "application/x-www-form-urlencoded"
_REDIRECTS = 301, 302, 303, 307, 308
_IDEMPOTENT = "GET HEAD OPTIONS TRACE PUT DELETE".split()  # RFC 9110 section 9.2.2
_BLOCK = 16384          # bytes that are read, sent or unpacked at once: a record of TLS

class Response(namedtuple("Response", "status_code headers url content")):
    """The answer of an API, read to its end. In `headers` case does not matter; `url` is
    the last one, after redirects; `content` is the body."""
    status_code: int
    headers: "HTTPMessage"
    url: str
    content: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status_code} from {_without_query(self.url)}>"

    @property
    def text(self) -> str:
        """The body in the charset that the server names, else in UTF-8."""
        # The first that we know counts: where the server names none, that is ours.
        named = _CHARSET.search(f"{self.headers.get('Content-Type')}; charset=utf-8")
        return self.content.decode(named.group(1), "replace")

    def json(self) -> "Any":
        """The body parsed: in the encoding that its first bytes show (RFC 4627 section 3),
        else in the charset that the server names. ValueError: it is not JSON."""
        for text in self.content, self.text:
            with suppress(ValueError, RecursionError):
                return json.loads(text, parse_int=_integer)
        raise ValueError(f"{_scheme_and_host(self.url)} answered {self.status_code}, but "
                         "that is not JSON: is this the right address?")

class _Request(Request):
    """A request. _HTTP.open sends a copy of it. No message about it may repeat one of its
    `secrets`."""
    # Whether it uses something up, such as a code. Then it goes over a new connection: an
    # idle one may be dead already, and the code would be lost.
    spends = False

    def __init__(self, method, url, headers, body=None, secrets=()):
        _require(re.fullmatch(_TOKEN, method), "a method is one word, such as GET")
        # origin_req_host is for cookies; without it, urllib would parse the URL once more.
        super().__init__(url, body, origin_req_host="", method=method.upper())
        # Unredirected: a handler of the user's that follows a redirect would send the
        # token, and what else is meant for this origin, to the next one.
        self.unredirected_hdrs = headers
        self.secrets = secrets
        # Whether the body can be sent twice: a file or an iterator is used up.
        self.is_repeatable = body is None or isinstance(body, bytes)

    def with_bearer(self, access_token):
        """The same request with a token (RFC 6750 section 2.1)."""
        return _Request(
            self.method, self.full_url,
            {**self.unredirected_hdrs, "Authorization": f"Bearer {access_token}"},
            self.data, (*self.secrets, access_token))

# What a ProxyHandler may have, as name=address: for http and https, only a proxy that is
# spoken to in HTTP.
_PROXY = re.compile(r"""(?isx) (?! https?= ) .*  # another name, such as "no": anything
    | https?= (http://)? ([^/]*@)? (\[[^]/]*] | [^/:@]+) (:[0-9]*)? /?""")

class _HTTP:
    """Sends requests and reads answers, by one opener made of urllib's handlers and ours.
    `timeout` is seconds for a request in all, and for each read of a stream."""

    def __init__(self, context, handlers, trace, timeout, user_agent, allow_http):
        self.connections = _Connections(context, allow_http)  # first: __del__ closes them
        # None means the default context: it has no such attribute, and is right, too.
        _require(getattr(context, "check_hostname", context is None),
                 "context must be an ssl.SSLContext that checks certificates")
        self.trace = trace
        self.timeout = timeout
        self.user_agent = user_agent or f"oauth2min/{__version__}"
        self.allow_http = allow_http
        self.opener = OpenerDirector()
        handlers = [self.connections, *handlers]
        if not any(isinstance(handler, ProxyHandler) for handler in handlers):
            handlers.append(ProxyHandler())  # which looks at the environment
        for handler in handlers:
            for name, address in getattr(handler, "proxies", {}).items():
                # To an address of another form, urllib would send its password in the
                # clear, or show it in an error.
                _require(_PROXY.fullmatch(f"{name}={address}"),
                         f"{name}_proxy must be like http://me:pass@host:3128: for all "
                         "others, such as SOCKS, give a handler of your own in handlers=")
            self.opener.add_handler(handler)

    def close(self):
        """Closes the idle connections."""
        self.connections.close()

    __del__ = close  # or Python would warn of the sockets that are still open

    def open(self, request):
        """The answer to this one request, its body not yet read. URLError: there is
        none."""
        self.tell(request, f"--> {request.method} {request.full_url}",
                  request.unredirected_hdrs, request.data)
        # A copy: what handlers write into it, such as a Cookie, is for this time only.
        sent = copy.copy(request)
        sent.unredirected_hdrs = {"Host": request.host, "Accept-encoding": "identity",
                                  "User-agent": self.user_agent,
                                  **request.unredirected_hdrs}
        try:
            answer = self.opener.open(sent, timeout=self.timeout)
            answer.request = request
            return answer
        except UnsafeURL:  # which is a ValueError, too
            raise
        except (OSError, HTTPException, ValueError) as error:
            failure = _network_error(error, request)
        raise failure  # not in `except`: the old error, which may quote a header, stays out

    def follow(self, request):
        """The answer after at most ten redirects (RFC 9110 section 15.4), whose `request`
        is the last one. ResponseError: there are more, or one cannot be followed."""
        for _ in range(11):
            answer = self.open(request)
            if answer.code not in _REDIRECTS:
                return answer
            response = self.read(answer)
            request = _redirected(request, response)
        raise _response_error(request, response)

    def read(self, answer, limit=MAX_ANSWER):
        """The whole answer. URLError: it is cut short, or larger than so many bytes. But
        of a redirect or an error (301 and up), what came of the body is enough."""
        content = io.BytesIO()  # it gives its bytes away without making a copy of them
        # From 301 on, a URLError only ends the reading; () suppresses nothing.
        with answer, suppress(() if answer.code < 301 else URLError):
            for part in _decoded(answer):
                content.write(part)
                if content.tell() > limit:
                    raise URLError(f"the answer is larger than {limit} bytes: try open()")
        content = content.getvalue()
        self.tell(answer.request, f"<-- {answer.code} {answer.msg}", answer.headers,
                  content)
        return Response(answer.code, answer.headers, answer.url, content)

    def stream(self, answer):
        """The answer as a file, for the caller to read; a trace does not see the body."""
        self.tell(answer.request, f"<-- {answer.code} {answer.msg}", answer.headers, b"")
        if isinstance(answer, _Answer):  # and not that of a handler of the user's
            answer.connection.deadline = float("inf")  # each read has the timeout anew
        return answer

    def tell(self, request, start, headers, body):
        """Shows a message to the `trace` of the user, which never changes what happens."""
        if self.trace:
            with suppress(Exception):
                self.trace(_as_text(start, headers, body, request.secrets))

def _redirected(request, response):
    """What is to be sent instead (RFC 9110 section 15.4). ResponseError: that is not clear,
    or it cannot be sent twice. UnsafeURL: it must not be sent there."""
    kept = ".*"  # the names of the headers that stay
    method = request.method
    body = request.data
    if re.fullmatch("30[12] POST|303 (?!HEAD).*", f"{response.status_code} {method}"):
        method = "GET"
        body = None
        kept = "(?!Content-).*"
    target = response.headers.get("Location")
    if target is None or body and not request.is_repeatable:
        raise _response_error(request, response)
    # A field is read as Latin-1; as bytes again, UTF-8 is quoted as what it is.
    url = _joined(response.url, quote(target.encode("latin-1"), f"{_SAFE}#"))
    here = _origin(response.url)
    there = _origin(url)
    if here != there:
        kept = "Range|If-range"  # a part is asked for there, too; no other header goes
        if body or here[0] > there[0]:  # "https" comes after "http"
            raise UnsafeURL(f"redirected to {_scheme_and_host(url)}: no https, or a body")
    headers = {name: text for name, text in request.unredirected_hdrs.items()
               if re.fullmatch(kept, name)}
    return _Request(method, url, headers, body, request.secrets)

def _response_error(request, response):
    """A ResponseError in the server's own words: those of its challenge (RFC 6750 section
    3), else those of its JSON. It is a RateLimited if waiting helps."""
    challenge = _challenge(response.headers)
    said = (challenge.get("error_description") or challenge.get("error")
            or _explanation(response.text))
    if response.status_code in _REDIRECTS:
        said = "a redirect that cannot be followed"
    text = (f"{request.method} {_one_line(_without_query(response.url), request.secrets)} "
            f"answered {response.status_code}")
    if said:
        text += f": {_one_line(said, request.secrets)}"
    if "scope" in challenge:  # what the token would have to be good for
        text += f": it needs the scope {_one_line(challenge['scope'], request.secrets)}"
    wait = _retry_after(response)
    error = ResponseError(text)
    if wait:
        error = RateLimited(f"{text}: try again in {wait:.0f} seconds")
        error.retry_after = wait
    error.response = response
    return error

def _explanation(text):
    """What the JSON of an error says under one of these names, wherever it stands, and the
    longest of it, for that tells most; None if it says nothing."""
    said = re.findall(
        rf'(?s)"(?:error_description|message|detail|title|errors?)"[\s:[]*({_QUOTED})',
        text)
    return _json(max(said, key=len, default=""))

def _retry_after(response):
    """Seconds to wait, at least one; None if this is no matter of waiting."""
    headers = response.headers
    # A 429 always is one; a 503 or a 403 (GitHub's) only if a header says so.
    if response.status_code != 429 and not (
            response.status_code in (403, 503)
            and ("Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0")):
        return None
    # The server's clock counts, if it tells. X and GitHub name a time by it, Reddit and the
    # IETF's draft a number of seconds.
    now = _date(headers.get("Date")) or time.time()
    for name in "Retry-After X-Rate-Limit-Reset X-RateLimit-Reset RateLimit-Reset".split():
        text = headers.get(name)
        # "0" is nothing to _seconds: it becomes True, which counts as 1. A number above
        # 1e8, which would be three years, is a time.
        number = _seconds(text) or _date(text) or text == "0"
        if number:
            return max(1.0, min(1e9, number - now if number > 1e8 else number))
    return 1.0

def _date(text):
    """The clock time of an HTTP date; None if it is none."""
    with suppress(Exception):  # of any kind, before Python 3.10
        return mktime_tz(parsedate_tz(text))

def _seconds(value, default=None):
    """A number of seconds, which may have come as a string. The default: it is none, or not
    between 0 and 1e10."""
    with suppress(ValueError):
        number = float(f"{value}")  # so true is no number
        if 0 < number < 1e10:
            return number
    return default

# --- HTTP: connections ---

class _Connections(BaseHandler):
    """Speaks http and https for urllib, which calls a handler by the names of its methods
    and would make a TLS handshake for every request; this one keeps connections open."""
    handler_order = 600  # a handler of your own for http or https comes first
    era = 0              # another one after each close()

    def __init__(self, context, allow_http):
        self.context = context  # None until it is needed: the system's takes time to make
        self.allow_http = allow_http
        # The warmest is taken first, from the right. A list, and no deque: without the
        # global lock, only a list can be copied while other threads change it.
        self.idle = []

    def http_open(self, request):
        """The answer to a request of urllib's, whose host a ProxyHandler may have changed
        to that of the proxy. UnsafeURL: it would cross the network in the clear."""
        _origin(request.full_url, self.allow_http)  # only for its UnsafeURL
        headers = {**request.headers, **request.unredirected_hdrs}
        tunnel = request._tunnel_host
        login = {}
        if tunnel and "Proxy-authorization" in headers:  # not for the server behind it
            login["Proxy-Authorization"] = headers.pop("Proxy-authorization")
        # With the process: after a fork, two of them would talk over one connection.
        key = os.getpid(), request.type, request.host, tunnel, login
        request.deadline = monotonic() + request.timeout
        idle = None if request.spends else self.take(key)
        if idle:
            try:
                return idle.answer(request, headers)
            except ConnectionError:  # the server may have given it up just as we took it
                if request.method not in _IDEMPOTENT or not request.is_repeatable:
                    raise
        return _Connection(key, self).answer(request, headers)

    https_open = http_open

    def take(self, key):
        """The warmest idle connection that is still good, or None."""
        for connection in reversed(self.idle[:]):
            if connection.key == key:
                with suppress(ValueError):  # another thread was faster
                    self.idle.remove(connection)
                    if connection.is_good():
                        return connection
                    connection.hang_up()

    def give_back(self, connection):
        """Keeps a connection whose answer was read to its end, unless close() came while it
        was in use."""
        connection.idle_since = time.time()  # which goes on while a laptop sleeps
        self.idle.append(connection)  # first: close() may come at any moment
        # If close() came, all idle ones go, and not only this one: that does no harm.
        self.drop(MAX_IDLE if connection.era == self.era else 0)

    def close(self):
        """Closes the idle connections, and those in use when they come back."""
        self.era += 1
        self.drop(0)

    def drop(self, rest):
        """Closes idle connections, the oldest first, until only `rest` of them are left."""
        with suppress(IndexError):  # another thread was faster
            while len(self.idle) > rest:
                self.idle.pop(0).hang_up()

class _Connection(io.RawIOBase):
    """One connection, to an origin or to a proxy, and the time that its request has. It is
    itself the file that its answers are read from."""
    sock = None  # while it is not open

    def __init__(self, key, owner):
        self.key = key
        self.owner = owner
        self.era = owner.era

    def is_good(self):
        """Whether it may be used again. On one that may, there is nothing to read: neither
        the end, nor a word out of turn. What TLS has to say for itself does not count."""
        self.sock.settimeout(0)
        try:
            self.sock.recv(1)
        except OSError as error:
            # Nothing to read: 2 is ssl.SSL_ERROR_WANT_READ, but a Python may have no ssl.
            return (error.errno in (errno.EWOULDBLOCK, 2)
                    and 0 <= time.time() - self.idle_since < IDLE_TIME)
        return False

    def ready(self):
        """The socket, for the time that is left; socket.timeout if there is none."""
        left = min(self.timeout, self.deadline - monotonic())
        if left <= 0:
            raise socket.timeout("timed out")
        self.sock.settimeout(left)
        return self.sock

    def makefile(self, _):
        """The file that HTTPResponse reads an answer from. What it holds beyond that
        answer is dropped with it, unseen; is_good finds only what is still in the socket.
        So this buffer is small."""
        return io.BufferedReader(self, 8192)

    def readable(self):
        return True

    def readinto(self, buffer):
        """Reads something into the buffer; 0 is the end. OSError: the end comes too early:
        the head has said how long the body is."""
        try:
            size = self.ready().recv_into(buffer)
            if size or self.until_end:
                return size
            raise _BadAnswer("a body that breaks off")
        except BaseException:  # Ctrl-C is one, too
            self.deadline = 0  # the buffer may have lost bytes: each later read fails, too
            raise

    def connect(self):
        """Opens the socket: to the proxy if there is one, through its tunnel (RFC 9110
        section 9.3.6), and in TLS with the server itself."""
        scheme, host, tunnel, login = self.key[1:]
        if scheme == "https" and not self.owner.context:
            import ssl  # there are Pythons without
            # TLS 1.2 at least; before Python 3.10, as the system's OpenSSL has it.
            self.owner.context = ssl.create_default_context()
        # `host` may be a proxy's, `scheme` is the request's: https may use any proxy, http
        # only one on this machine (else UnsafeURL), but for allow_http. If the name has
        # more than one address, each has the whole timeout; looking it up has none.
        _, name, port = _origin(f"{scheme}://{host}", self.owner.allow_http)
        self.sock = socket.create_connection((name.strip("[]"), port), self.timeout)
        if tunnel:
            _, name, port = _origin(f"https://{tunnel}")
            place = f"{name}:{port}"
            self.ready().sendall(_head("CONNECT", place, {"Host": place, **login}))
            answer = _Answer(self, method="CONNECT")
            answer.begin()
            if answer.status != 200:
                raise OSError(f"the proxy said {answer.status} (407: it wants a user "
                              "and a password)")
        if scheme == "https":  # a name may end with a dot, but not in a certificate
            self.sock = self.owner.context.wrap_socket(self.ready(),
                                                       server_hostname=name.strip("[]."))

    def answer(self, request, headers):
        """Sends the request, and returns the answer when its head is there."""
        self.timeout = request.timeout
        self.deadline = request.deadline
        # Whether the server may hang up now without an error from readinto. In the head it
        # may: `lines` has its own error for that.
        self.until_end = True
        try:
            if not self.sock:
                self.connect()
            answer = _Answer(self, method=request.method)
            for piece in _pieces(request, headers):
                try:
                    self.ready().sendall(piece)
                except OSError:  # the answer may say why, as a 413 or a 401 does
                    break
            answer.begin()
            self.until_end = answer.length is None and not answer.chunked
        except BaseException:
            self.hang_up()
            raise
        # A file may have become shorter than its Content-Length said: then the server would
        # take the next request for its rest.
        answer.will_close |= not request.is_repeatable
        answer.connection = self
        answer.url = request.full_url
        answer.msg = answer.reason  # as urlopen has it
        return answer

    def close(self):
        """Does nothing: the BufferedReader calls it when its answer is closed."""

    def hang_up(self):
        """Closes the socket, if it came so far. The connection is not used again."""
        if self.sock:
            self.sock.close()

def _head(method, target, headers):
    """The head of a request, as it goes over the wire (RFC 9112 section 3)."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1")

def _pieces(request, headers):
    """The request as it is sent: the head with the beginning of the body, then the rest.
    The length of the body is measured, never taken from the caller. What cannot be
    measured, a pipe or an iterator, goes through memory, for many servers take nothing
    without a length."""
    body = request.data or b""
    if not getattr(body, "seekable", bool)():  # bool() is False
        # Bytes have `decode`. Of an iterator it joins the parts, of a pipe the lines.
        body = io.BytesIO(body if hasattr(body, "decode") else b"".join(body))
    start = body.tell()
    end = body.seek(0, io.SEEK_END)
    body.seek(start)
    if request.data is not None or request.method in ("PATCH", "POST", "PUT"):
        headers["Content-length"] = end - start
    piece = _head(request.method, request.selector or "/", headers)
    piece += body.read(min(_BLOCK, end - start))
    while piece:
        yield piece
        # A file that grows meanwhile is not sent further: that would be another request.
        piece = body.read(min(_BLOCK, end - body.tell()))

# --- HTTP: reading an answer ---

_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
# A 101 would be another protocol, for which we never ask.
_STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) (?!101)([1-9][0-9][0-9])(?: ([^\r\n\0]*))?\r?")
# A name and a value, or else the whole of an odd line.
_FIELD_LINE = re.compile(rf"(?m)^(?:({_TOKEN}):([^\r\n\0]*)\r?\n|(.+))")
_FOLD = re.compile("\r?\n[ \t]+")  # before a line that goes on (RFC 9112 section 5.2)
# The line break after the chunk before, the size of this one, and what may follow it.
_CHUNK_START = re.compile(rb"\r?\n([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")

class _BadAnswer(OSError):
    """What came is no HTTP, or it ends too early; the message says what was odd."""

class _Answer(HTTPResponse):
    """An answer that is read strictly (RFC 9112). Closing it gives its connection back.

    http.client forgives in silence: after one odd field line it drops all the others; where
    it does not understand a Transfer-Encoding or Content-Length, it reads until the end;
    and a body that is cut short can pass for whole. Here each of them is an error. The
    body is read by its own methods; that it ends too early, the connection says."""
    connection = None

    def begin(self):
        """Reads the head, in the place of http.client's own method. Interim answers come
        first, and are passed over. `headers` are as they came, but for the blanks around a
        value."""
        self.room = MAX_HEAD  # bytes that all of this, and a trailer, may still have
        for _ in range(MAX_INTERIM + 1):
            start, _, fields = self.lines().partition("\n")
            found = _STATUS_LINE.fullmatch(start)
            if not found:
                raise _BadAnswer(f"a status line that begins with {start[:12]!r}")
            minor, status, reason = found.groups("")
            self.will_close = minor == "0"  # HTTP/1.0 has one answer a connection
            self.status = self.code = int(status)
            self.reason = reason
            self.headers = HTTPMessage()
            for name, value, odd in _FIELD_LINE.findall(fields):
                if odd:
                    raise _BadAnswer(f"a field line that begins with {odd[:12]!r}")
                self.headers.set_raw(name, value.strip(" \t"))
            if self.status >= 200:
                return self.frame()
        raise _BadAnswer(f"more than {MAX_INTERIM} interim answers")

    def lines(self):
        """The lines of a head or a trailer up to the empty one, as one text."""
        text = b""
        for _ in range(MAX_FIELDS + 2):  # with the status line and the empty one
            # After the end of the stream, or of the room, all the other lines are b"".
            line = self.fp.readline(self.room)
            self.room -= len(line)
            if line in (b"\r\n", b"\n"):
                return _FOLD.sub(" ", text.decode("latin-1"))
            text += line
        if not text:
            raise ConnectionResetError("the server hung up without an answer")
        raise _BadAnswer(f"a head that breaks off, or has more than {MAX_HEAD} bytes or "
                         f"{MAX_FIELDS} fields")

    def frame(self):
        """Finds out where the body ends: with its last chunk, after so many bytes or, if
        nothing is said of it, with the connection (RFC 9112 section 6.3)."""
        codings = _listed(self.headers, "Transfer-Encoding")
        sizes = _listed(self.headers, "Content-Length")
        self.will_close |= "close" in _listed(self.headers, "Connection")
        self.chunked = False
        self.chunk_left = None  # of no chunk yet
        self.length = None
        if self._method == "HEAD" or self.status in (204, 304):
            self.length = 0
        elif codings:
            if codings != ["chunked"]:
                raise _BadAnswer(f"the Transfer-Encoding {', '.join(codings)[:12]!r}")
            self.chunked = True
            # Section 6.1: a proxy may have read it otherwise.
            self.will_close |= bool(sizes)
        elif sizes:
            size = ",".join(set(sizes))  # one number, however often it is said
            if not re.fullmatch("[0-9]{1,15}", size):
                raise _BadAnswer(f"the Content-Length {size[:12]!r}")
            self.length = int(size)
        else:
            self.will_close = True

    def _get_chunk_left(self):
        """How much of the chunk is still to come; None after the last (RFC 9112 section
        7.1). http.client asks this before it reads. A line break stands between two chunks;
        before the first there is none, so that one is put in here."""
        if not self.chunk_left:
            start = b"\n" if self.chunk_left is None else self.fp.readline(2)
            found = _CHUNK_START.fullmatch(start + self.fp.readline(4096))
            if not found:
                self.fp = io.BytesIO()  # no later read may go on
                raise _BadAnswer("a chunk that has no size, or is longer than that")
            self.chunk_left = int(found[1], 16)
            if not self.chunk_left:
                self.lines()  # the trailer: nobody needs it, but the next answer follows it
                self._close_conn()  # closes the file, and not the socket
                self.chunk_left = None
        return self.chunk_left

    def close(self):
        """Gives the connection back if it can be used again: the answer was read to its
        end, and nobody said that it closes. Else hangs up."""
        connection = self.connection
        self.connection = None
        # A body read to its end is closed by http.client, or its `length` is 0 by now.
        is_whole = self.isclosed() or self.length == 0
        super().close()
        if connection and is_whole and not self.will_close:
            connection.owner.give_back(connection)
        elif connection:
            connection.hang_up()

def _listed(headers, name):
    """The words of a field that is a list, of all its lines, in lower case."""
    return [word.strip(" \t") for line in headers.get_all(name, ())
            for word in line.lower().split(",")]

def _decoded(answer):
    """The body, part by part, its content codings undone (RFC 9110 section 8.4). URLError:
    it is broken, or cut short."""
    parts = iter(lambda: answer.read1(_BLOCK), b"")
    try:
        for level, coding in enumerate(
                reversed(_listed(answer.headers, "Content-Encoding"))):
            if coding in ("gzip", "x-gzip") and level < 2:  # each may grow a thousandfold
                parts = _gunzip(parts)
            elif coding not in ("identity", ""):
                raise _BadAnswer(f"the Content-Encoding {coding[:12]!r}")
        yield from parts
    except (OSError, HTTPException, zlib.error) as error:
        raise _network_error(error, answer.request) from None

def _gunzip(parts):
    """What one or more gzip members hold (RFC 1952), in small parts. What follows the last
    one is ignored."""
    inflater = None
    for part in parts:
        while part:
            if inflater is None or inflater.eof:
                # A part may end between the two bytes that each member begins with.
                if inflater and not b"\x1f\x8b".startswith(part[:2]):
                    return
                inflater = zlib.decompressobj(31)  # 31: gzip, and nothing else
            yield inflater.decompress(part, _BLOCK)  # never more than this much at once
            # What comes after this member; or else what this block had no room for.
            part = inflater.unused_data or inflater.unconsumed_tail
    if inflater and not inflater.eof:
        raise _BadAnswer("the compressed data break off")

def _network_error(error, request):
    """What happened and what to do, without what Python's own messages quote."""
    if isinstance(error, URLError):
        error = error.reason
    said = _one_line(getattr(error, "strerror", None) or f"{error}", request.secrets)
    advice = "check the address, the network and the proxy settings"
    if isinstance(error, socket.timeout):
        advice = "try again, or raise timeout="
    elif "certificate" in said.lower():
        advice = "name the file of the network's own CA in SSL_CERT_FILE, or pass context="
    # The reason keeps its type, by which a program tells a timeout from the rest.
    kind = type(error) if isinstance(error, OSError) else _BadAnswer
    if kind is _BadAnswer:
        advice = "that is no HTTP or no gzip, or broke off: check the address, or try again"
    text = f"no answer from {_scheme_and_host(request.full_url)}: {said}: {advice}"
    reason = kind(text)
    reason.strerror = text  # else ssl's errors are shown as a tuple
    return URLError(reason)

# --- HTTP: links and challenges ---

# A quoted string (RFC 9110 section 5.6.4) ends at a quote with an even number of
# backslashes before it. One that nobody closes ends with the field: else the search would
# begin again at each quote in it, and take the square of its length. (\\?\Z: or with a
# backslash that nothing follows.)
_QUOTED = r'".*?(?<!\\)(?:\\\\)*(?:"|\\?\Z)'
# A target, or a name that may have a value: the items of Link and of WWW-Authenticate.
_ITEM = re.compile(rf"(?s)<([^<>]*)>|({_TOKEN})(\s*=\s*(?:{_QUOTED}|'[^']*'|[^\s;,\"]*))?")
_NEXT = "next", "@odata.nextLink"

def _items(headers, field):
    """(target, name, value) of each item in the lines of this field, which are one list
    (RFC 9110 section 5.3). A value still has its equals sign and its quotes; "" is for what
    an item lacks."""
    return _ITEM.findall(", ".join(headers.get_all(field, ())))

def _challenge(headers):
    """The parameters of the Bearer challenge (RFC 6750 section 3, RFC 9110 section 11)."""
    found = {}
    scheme = ""
    for _, name, value in _items(headers, "WWW-Authenticate"):
        name = name.lower()
        if not value:  # a word alone begins a challenge
            scheme = name
        elif scheme == "bearer":
            # Without the equals sign, the quotes, and the backslash before a character.
            found.setdefault(name, re.sub(r"(?s)^\s*=\s*'?|'\Z|\\(.)|\"", r"\1", value))
    return found

def _next_page(answer, page, first, next):
    """The address of the next page: where `pages` was told to look, or where it is found
    without that. None is the end."""
    if not next:
        link = _link_in_header(answer.headers) or _link_on_page(page)
    elif callable(next):
        link = next(page)
    elif isinstance(next, str):
        link = _at(page, next)
    else:
        path, parameter = next
        cursor = _at(page, path)
        return _with_parameter(first, parameter, cursor) if cursor else None
    if link:
        return _joined(answer.url, link)

def _link_in_header(headers):
    """The target of `Link: <target>; rel=next` (RFC 8288), or None."""
    link = None
    for target, name, value in _items(headers, "Link"):
        link = target or link
        if name.lower() == "rel" and "next" in value.strip(" =\"'").lower().split():
            return link

def _link_on_page(page):
    """The link called `next`, or `@odata.nextLink`, at the top of the page or else one
    level down. ValueError: there are several, or it is no link."""
    places = [page]
    if isinstance(page, dict) and not page.keys() & _NEXT:
        places = page.values()
    links = [_at(place, name) for place in places for name in _NEXT if _at(place, name)]
    if not links:
        return None
    link = _at(links[0], "href") or links[0]  # HAL has {"href": link}
    _require(len(links) < 2 and isinstance(link, str),
             "this page calls several things next, or no link: choose with next='a.next'")
    return link

def _at(page, path):
    """What is on the page under "a.b.c", or under this whole name; else None."""
    with suppress(KeyError, TypeError):
        if path in page:
            return page[path]
        for name in path.split("."):
            page = page[name]
        return page

def _with_parameter(url, name, value):
    """The same address, byte for byte, but for this parameter."""
    address, _, query = url.partition("?")
    others = [pair for pair in query.split("&")
              if pair and unquote_plus(pair.partition("=")[0]) != name]
    return f"{address}?{'&'.join([*others, _form({name: value})])}"

# --- HTTP: what is sent ---

_SAFE = "%/:=&?~+!$,;'@()*[]"  # has a meaning in an address, and stays as it is; so has #
_LOOPBACK = re.compile(r"(?i)(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?")
# In lower case: the scheme, the host, and a port of at most 65535.
_URL = re.compile(r"""(?x) (https?):// (\[[0-9a-f:.]+\]|[a-z0-9._~-]+)
    (?: : ([0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]) )?
    (?=[/?#]|$)""")
# A name and a value that HTTP allows, of a header that we do not set ourselves. Between
# them is a line break, which neither of them may have.
_HEADER = re.compile(rf"""(?aix) (?! (?: authorization | connection | content-length | host
    | transfer-encoding) \n ) {_TOKEN} \n [\t\ -~\x80-\xff]*""")

def _require(right, rule):
    """The check of what a caller gives: ValueError, with the rule as its text."""
    if not right:
        raise ValueError(rule)

def _joined(url, link):
    """Where a link on a page leads (RFC 3986 section 5). UnsafeURL: to no web address; it
    is not shown, for it is of a server's making."""
    try:
        target = _absolute(None, urljoin(url, link.strip()))
        _origin(target)
        return target
    except (AttributeError, TypeError, ValueError):
        raise UnsafeURL(f"a link at {_without_query(url)} leads nowhere") from None

def _absolute(base_url, url, params=None):
    """The whole address, in the characters that HTTP allows."""
    url = str.strip(url).partition("#")[0]  # a TypeError if it is no string
    if not re.match("(?i)[a-z][a-z0-9+.-]*:", url):  # it is relative: RFC 3986 section 4.2
        _require(base_url, "a relative address needs a base_url: give the whole one")
        slash = "" if url[:1] in "?" else "/"  # "" is in it, too
        url = f"{base_url.rstrip('/')}{slash}{url.lstrip('/')}"
    query = _form(params or "")
    if query:
        url += f"{'&' if '?' in url else '?'}{query}"
    # A % without two hex digits is quoted: it means itself. "surrogatepass": a server's
    # JSON may have half of a surrogate pair.
    return re.sub("%(?![0-9A-Fa-f]{2})", "%25", quote(url, _SAFE, None, "surrogatepass"))

def _form(fields):
    """As HTML forms are sent. What is None is left out; a value may be several. TypeError:
    these are no pairs."""
    if isinstance(fields, str):
        return fields.encode().decode()  # an error now, and not in the middle of sending
    pairs = fields.items() if hasattr(fields, "items") else fields
    single = []
    # What is no iterable, such as 5, is taken for one pair: the error below tells it.
    for pair in pairs if hasattr(pairs, "__iter__") else [pairs]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise TypeError("no mapping, pairs, str or bytes: use open(Request(url, file))")
        name, value = pair
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            value = [value]
        single += [(name, item) for item in value if item is not None]
    with suppress(UnicodeEncodeError):  # which holds the text, and that may be secret
        return urlencode(single)
    raise ValueError("a parameter has characters that UTF-8 does not have")

def _body(data, value):
    """The body of a request, and the header that names its type."""
    if value is not None:
        _require(data is None, "give data or json, not both")
        data = json.dumps(value, allow_nan=False).encode()
        return data, {"Content-type": "application/json"}
    if isinstance(data, str):
        data = data.encode()
    if data is None or isinstance(data, bytes):
        return data, {}  # only the caller knows its type
    return _form(data).encode(), {"Content-type": _FORM}

def _own_headers(headers):
    """Headers as urllib spells them. ValueError: HTTP does not allow one, or only we set
    it."""
    own = {}
    for name, value in dict(headers or {}).items():
        _require(_HEADER.fullmatch(name + "\n" + value),
                 "headers: HTTP does not allow this, or only the client sets it (Host, "
                 "Authorization, Connection, Content-Length, Transfer-Encoding)")
        own[name.capitalize()] = value
    return own

def _origin(url, allow_http=True):
    """Scheme, host and port: what a token belongs to. UnsafeURL: it is no web address or,
    without `allow_http`, it is neither https nor on this machine."""
    match = _URL.match(str.lower(url))  # a TypeError if it is no string
    if not match:
        raise UnsafeURL(
            f"{_scheme_and_host(url)!r} is no web address (https://...), or has a user")
    scheme, host, port = match.groups()
    if scheme == "http" and not allow_http and not _LOOPBACK.fullmatch(host):
        raise UnsafeURL(f"{_scheme_and_host(url)} is not https, and not on this machine")
    return scheme, host, int(port or (443 if scheme == "https" else 80))

def _redirect_uri(uri, allow_http):
    """The same, if a code may come there (RFC 6749 section 3.1.2, RFC 8252 section 7): to
    https, to this machine, to a scheme of a program's own, or to a page that shows it."""
    _require(re.fullmatch(r"""(?x) (https? | [a-z][a-z0-9+-]* \. [a-z0-9.+-]*) : [!-"$-~]+
                          | urn:ietf:wg:oauth:2\.0:oob(:auto)?""", uri),
             "redirect_uri must be https, loopback or of a scheme like com.example.app:")
    if uri.startswith("http"):
        _origin(uri, allow_http)
    return uri

def _is_text(value):
    """Whether it is a string, not empty, without line breaks and other control characters,
    that UTF-8 can hold (it cannot hold half of a surrogate pair)."""
    return isinstance(value, str) and re.fullmatch("[^\0-\x1f\x7f\ud800-\udfff]+", value)

def _scope(scope):
    """The scope as it goes over the wire: words with spaces (RFC 6749 section 3.3)."""
    words = scope.split() if isinstance(scope, str) else list(scope or ())
    for word in words:  # of visible ASCII, without quotes and backslashes
        _require(re.fullmatch(r"[!#-\[\]-~]+", word),
                 "scope must be a string with spaces, or several strings without")
    return " ".join(words)

# --- HTTP: what may be shown ---

_SECRET_NAMES = ("(?:access_|refresh_|id_|subject_|actor_)?token|(?:device_)?code|"
                 "code_verifier|state|client_secret|password|(?:client_)?assertion")
# What has such a name, and the headers that are secret. A group holds what stays when the
# rest is masked: the name, the signs around it, and the scheme of an Authorization.
_SECRET_FIELD = re.compile(rf"""(?imsx)
    ("(?:{_SECRET_NAMES})"\s*:\s*") .*?(?<!\\)(?:\\\\)*(?="|\\?\Z)  # JSON, see _QUOTED
    | ((?:[?&#]|^)(?:{_SECRET_NAMES})=) [^&\s]+  # a form or a query
    | (^(?:(?:proxy-)?authorization:[ ]*[a-z]*|(?:set-)?cookie:)[ ]?) [^\n]*""")

def _without_query(url):
    """An address without what may be secret in it: user, query, fragment."""
    return re.sub("(^|/)[^/?#]*@|[?#].*", r"\1", _one_line(url))

def _scheme_and_host(url):
    """The same without the path, which may be of a server's making."""
    return re.match("(?:[^:/?#]*:)?(?://[^/]*)?", _without_query(url)).group()

def _one_line(text, secrets=()):
    """What a server said, fit for a message: one line of at most 300 characters, without
    query strings, and nothing of it if it repeats a secret, as it is or percent-encoded."""
    text = text[:8000]  # more than is shown: a secret cut in two would not be found
    said = f"{text}{unquote(text)}{unquote_plus(text)}".lower()
    if any(secret.lower() in said for secret in _long(secrets)):
        return "(not shown: it repeats a secret)"
    return " ".join(re.sub(r"\?\S+", "", _printable(text[:2000])).split())[:300]

def _printable(text):
    """The same with blanks for what could steer a terminal: all control and bidirectional
    characters but line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)

def _long(secrets):
    """Those that are worth looking for: a short one is in many a word."""
    return [secret for secret in secrets if secret and len(secret) >= MIN_SECRET]

# What to do, by the server's word; None is for no word at all.
_ADVICE = {
    "invalid_grant": "that is used up, expired or another client's: log in again",
    "invalid_client": "check client_id, client_secret and token_endpoint_auth_method (if "
                      "the secret has odd characters, try client_secret_post)",
    "access_denied": "",  # the word says it all
    None: "that says neither yes nor no: is this the right address?"
}

def _words(fields):
    """error, error_description and error_uri, out of the dialects that servers have; "" is
    for what is not said."""
    if isinstance(fields.get("error"), dict):  # Facebook's, with a message
        fields = fields["error"]
    text = fields.get("error_description", fields.get("message"))
    return [word if isinstance(word, str) else ""
            for word in (fields.get("error"), text, fields.get("error_uri"))]

def _in_their_words(kind, where, fields, advice, secrets):
    """An error of this kind, in the server's words as far as they are fit for a message."""
    words = [_one_line(word, secrets) or None for word in _words(fields)]
    error = kind(": ".join(filter(None, (where, *words[:2], advice))))
    error.error, error.error_description, error.error_uri = words
    return error

def _as_text(text, headers, body, secrets):
    """A message for `trace`, at most 10,000 characters of it: this text, the headers, the
    body unpacked. What `open` and the connection add (Host, User-agent, Content-length) is
    not in it. Secrets are masked: by value what we know, else by name."""
    for name, value in headers.items():
        text += f"\n{name}: {value}"
    if body and isinstance(body, bytes):  # in JSON, some write a slash as "\/"
        text += "\n\n" + body[:40000].decode("utf-8", "replace").replace(r"\/", "/")
    for secret in _long(secrets):
        text = text.replace(secret, "***")
    return _printable(_SECRET_FIELD.sub(r"\1\2\3***", text)[:10000]) + "\n"

# The charsets that a server may choose: no other codec is started for a stranger.
_CHARSET = re.compile(r"""(?ix) ; \s* charset \s* = [\s"']* (
    (us-)?ascii | utf-?8 | utf-(16|32)(le|be)? | latin-?1 | iso-8859-([1-9]|1[013-6]) |
    (cp|windows-)125[0-8] | gb2312 | gbk | gb18030 | big5 | euc-(jp|kr) | shift_jis |
    iso-2022-jp) (?![\w-])""")

def _json(*texts):
    """What the first of these texts says that is JSON; None if none is. Bytes are read in
    the encoding that RFC 4627 section 3 detects."""
    for text in texts:
        with suppress(ValueError, RecursionError):
            return json.loads(text, parse_int=_integer)

def _integer(digits):
    """A number in JSON. Before Python 3.11, the time that int() takes has no limit: it
    grows with the square of the length."""
    _require(len(digits) < 4300, "a number with too many digits")
    return int(digits)

# --- Servers ----------------------------------------------------------------------------

def discover(issuer: str, context: "ssl.SSLContext | None" = None,
             timeout: float = 30) -> "Dict[str, Any]":
    """The metadata of the server that calls itself `issuer`: from RFC 8414's address, or
    else from one of OpenID's; no redirect is followed. OAuth2Error: none has it; the
    message says what was tried. URLError: the last one could not be read. UnsafeURL: an
    address is not https. `timeout` is seconds for each address."""
    return _metadata(_HTTP(context, (), None, timeout, None, False), issuer)

def _metadata(http, issuer):
    """As `discover`. Metadata that name another issuer, be it only by a slash, do not count
    (RFC 8414 section 3.3): with them a server could pass itself off as another."""
    _origin(issuer)
    scheme, host, path, *_ = urlsplit(issuer.rstrip("/"))
    places = [f"{scheme}://{host}/.well-known/oauth-authorization-server{path}",
              f"{scheme}://{host}{path}/.well-known/openid-configuration",
              f"{scheme}://{host}/.well-known/openid-configuration{path}"]
    tried = []
    for url in dict.fromkeys(places):  # the latter two may be one
        try:
            answer = http.open(_Request("GET", url, {"Accept": "application/json"}))
            found = _json(http.read(answer).content)
        except URLError:
            if url == places[-1]:
                raise
            continue
        if _at(found, "issuer") == issuer:
            if scheme == "https" and re.search('(?i)_endpoint": "http:', json.dumps(found)):
                raise UnsafeURL("the metadata of this server name addresses without https")
            return found
        tried.append(f"{url} answered {answer.code}, issuer {_at(found, 'issuer')!s:.30}")
    raise OAuth2Error(_one_line(f"no metadata of this issuer: spell it as they do, or give "
                                f"the endpoints in a dict: {'; '.join(tried)}"))

class _Server(_Endpoints):
    """The facts about a server: those that were given, and those that an issuer publishes
    (RFC 8414), which are fetched when they are first needed."""

    def get(self, name):
        """A fact by its name in RFC 8414 section 2, or one of our own, or None. Those that
        were given count before those that are published. The network is only asked while no
        token endpoint is known; if that fails, the next call tries again."""
        if not self.facts.get("token_endpoint"):
            # What RFC 8414 has no name for, such as `pkce`, only the caller can say.
            standard = {key: fact
                        for key, fact in _metadata(self.http, self.facts["issuer"]).items()
                        if re.search("_(endpoint|supported)$", key)}
            self.facts = {**standard, **self.facts}
        return self.facts.get(name)

    def endpoint(self, name):
        """The address of an endpoint, to which secrets may go. ValueError: there is
        none."""
        url = self.get(name)
        _require(isinstance(url, str),
                 f"this needs {name!r}, which the server's metadata do not have")
        _origin(url, self.http.allow_http)
        return url

def _revoke(token, endpoint):
    """Whether the server confirmed that the token is worth nothing now (RFC 7009). What
    lasts, the refresh token, comes first, and its answer counts: most servers let the
    access token end with it, and some then refuse to hear of that one."""
    confirmed = []  # of each token that there is
    for name in "refresh_token", "access_token":
        form = {"token": getattr(token, name), "token_type_hint": name}
        try:
            if form["token"]:
                endpoint.post("revocation_endpoint", form)
                confirmed.append(True)
        except (OSError, OAuth2Error, ValueError) as error:
            # Google says this of one that is dead already.
            confirmed.append(getattr(error, "error", None) == "invalid_token")
    return confirmed[0]

def _server_facts(server, base_url=None):
    """The dict of a server, by whatever name it was given: one in PROVIDERS, an issuer URL,
    or the dict itself, which is copied. ValueError: it cannot be one. UnsafeURL: one of its
    addresses is not https; so that is said when the client is made, before anything is
    sent."""
    if isinstance(server, str):
        _require(server in PROVIDERS or "://" in server,
                 f"no server {server!r}: give an issuer URL or {', '.join(PROVIDERS)}")
        server = PROVIDERS.get(server, {"issuer": server})
    _require(_at(server, "issuer")
             or _at(server, "token_endpoint") and not _promises_iss(server),
             "the server needs an 'issuer', or if it promises no iss, a 'token_endpoint'")
    _require(server.get("token_endpoint_auth_method") in (*AUTH_METHODS, None),
             f"token_endpoint_auth_method must be one of: {', '.join(AUTH_METHODS)}")
    facts = {**server, "base_url": base_url or server.get("base_url")}
    for name, url in facts.items():
        if url and re.fullmatch("issuer|base_url|.*_endpoint", name):
            _origin(url, facts.get("allow_http"))
    _require(not re.search("[?#]", facts["base_url"] or ""),
             "base_url must be without a query: give parameters with each request")
    return facts

# Servers that tutorials use and that publish no metadata, or not all that is needed: plain
# dicts, as you would write one for your own server. A provider is data: no code knows its
# name. A refresh token takes a scope: X calls it offline.access, Microsoft offline_access.
# With an `issuer` beside the endpoints, an `iss` in an answer must be equal to it (RFC
# 9207).
PROVIDERS: "Dict[str, Dict[str, Any]]" = {
    "spotify": {
        "authorization_endpoint": "https://accounts.spotify.com/authorize",
        "token_endpoint": "https://accounts.spotify.com/api/token",
        "base_url": "https://api.spotify.com/v1"
    },
    "x": {
        "authorization_endpoint": "https://x.com/i/oauth2/authorize",
        "token_endpoint": "https://api.x.com/2/oauth2/token",
        "revocation_endpoint": "https://api.x.com/2/oauth2/revoke",
        "base_url": "https://api.x.com/2"
    },
    "x-app": {  # X for the program itself: its API key and secret, by client credentials
        "token_endpoint": "https://api.x.com/oauth2/token",
        "base_url": "https://api.x.com/2"
    },
    "github": {
        "issuer": "https://github.com/login/oauth",
        "authorization_endpoint": "https://github.com/login/oauth/authorize",
        "token_endpoint": "https://github.com/login/oauth/access_token",
        "device_authorization_endpoint": "https://github.com/login/device/code",
        "token_endpoint_auth_method": "client_secret_post",
        "base_url": "https://api.github.com"
    },
    "gitlab": {  # its metadata leave out the device endpoint
        "issuer": "https://gitlab.com",
        "device_authorization_endpoint": "https://gitlab.com/oauth/authorize_device",
        "base_url": "https://gitlab.com/api/v4"
    },
    "google": {
        "issuer": "https://accounts.google.com",
        "authorization_parameters": {"access_type": "offline", "prompt": "consent"},
        "base_url": "https://www.googleapis.com"
    },
    "microsoft": {  # of any organization: its metadata name an issuer that is a pattern
        "authorization_endpoint":
            "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        "token_endpoint": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        "device_authorization_endpoint":
            "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
        "base_url": "https://graph.microsoft.com/v1.0"
    },
    "reddit": {
        "authorization_endpoint": "https://www.reddit.com/api/v1/authorize",
        "token_endpoint": "https://www.reddit.com/api/v1/access_token",
        "revocation_endpoint": "https://www.reddit.com/api/v1/revoke_token",
        "token_endpoint_auth_method": "client_secret_basic",  # even without a secret
        "authorization_parameters": {"duration": "permanent"},
        "base_url": "https://oauth.reddit.com"
    }
}

# --- Command line -----------------------------------------------------------------------

_USAGE = """\
usage: %s COMMAND SERVER ...

  login  SERVER [--scope=S] [--redirect-uri=URI] [--device] [--no-browser]
         [-p KEY=VALUE] [--store=PATH] [--trace]
  get    SERVER URL [-p KEY=VALUE] [-H HEADER] [--pages] [-X METHOD]
         [--json=JSON] [--scope=S] [--store=PATH] [--trace]
  token  SERVER [--renew] [--scope=S] [--store=PATH] [--trace]
  status SERVER [--store=PATH]
  logout SERVER [--store=PATH] [--trace]

SERVER is an issuer URL or one of these:
spotify, x, x-app, github, gitlab, google, microsoft, reddit.

  login     logs a user in
  get       gets something from the API; URL may be relative to its base URL
  token     prints an access token
  status    tells as JSON who is logged in, how, and until when; 1 if nobody is
  logout    revokes the token and forgets it

  --scope S             what the token is to be good for: words with spaces
  --redirect-uri URI    as it is registered (http://127.0.0.1/callback)
  --device              log in by a code that is typed on another device
  --no-browser          only show the address
  -p KEY=VALUE          a parameter; there may be several
  -H 'NAME: VALUE'      a header; there may be several
  --pages               get all pages of a listing, a line each
  -X METHOD             another method than GET
  --json JSON           a body to send, by POST
  --renew               first get a new one from the server
  --store PATH          keep the token in this file
  --trace               show the HTTP messages, secrets masked

The client's id and secret are read from the environment: SPOTIFY_CLIENT_ID and
SPOTIFY_CLIENT_SECRET for spotify, OAUTH2_... for an issuer URL. After a login,
get and token act for that user, else for the program itself."""

_PROGRAM = "oauth2min"  # as a shell calls it: here the command that an installer makes

def main(argv: "List[str] | None" = None) -> int:
    """The command line, see `oauth2min --help`. Results go to stdout, all else to stderr.
    Returns the exit status: 0 if all is well, 1 if the command failed (one line says why,
    and what to do next), 2 if the command line is wrong, 130 after Ctrl-C."""
    try:
        if argv is None:  # in UTF-8, whatever the locale says, which may be C
            argv = [os.fsencode(word).decode() for word in sys.argv[1:]]
        if "--help" in argv:
            print(_USAGE % _PROGRAM)
            return 0
        command, given = _parsed(*argv)
    except ValueError as error:
        _say(f"usage: {_PROGRAM} COMMAND SERVER ...\n{error}; see {_PROGRAM} --help")
        return 2
    try:
        with _client(given) as client:
            command(client, given)
        print(end="", flush=True)  # if nobody reads on, the error comes here: see below
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # `| head` has seen enough. On Windows that is EINVAL; so is a wrong name of a file.
        if isinstance(error, OSError) and not error.filename and error.errno in (
                errno.EPIPE, errno.EINVAL):
            with suppress(OSError):
                sys.stdout.close()  # or Python would flush again at its end, and complain
            return 1
        # A URLError has a reason; "[Errno 111]" says nothing to most people.
        text = re.sub(r"^\[\w+ \d+\] ", "", f"{getattr(error, 'reason', error)}")
        _say("oauth2min: " + text.replace(
            "call login()", f"{_PROGRAM} login {given['SERVER']}"))
    return 1

def _parsed(name="", *words):
    """The function of a command, and a dict of what was given to it. The keys are as in
    _USAGE ("--scope", "SERVER", "URL"); the values are strings, "" for an option without
    one. "-p" and "-H" are always there, each a list of [name, value]. ValueError: the
    command line is wrong; the message begins with the usage of the command."""
    import getopt
    _require(name in _COMMANDS, f"oauth2min: no command {name!r}")
    # The lines of this command, which end where the next one begins.
    usage = re.search(f"(?m)^  {name} .*\n(?:    .*\n)*", _USAGE).group()
    try:
        # getopt wants "p:H:X:", and the names of the others, with "=" if a value follows.
        pairs, words = getopt.gnu_getopt(
            words, ":".join([*re.findall(r"\[-(\w) ", usage), ""]),
            re.findall(r"--([\w-]+=?)", usage))
        _require(len(words) == 1 + usage.count(" URL "),
                 "a word is missing, or one too many")
        _server_facts(words[0])  # only for its ValueError
        given = dict([*pairs, *zip(("SERVER", "URL"), words)])
        for several, mark in ("-p", "="), ("-H", ":"):
            given[several] = [text.split(mark, 1) for option, text in pairs
                              if option == several]
            # A pair without the mark has only one item.
            _require(all(pair[1:] for pair in given[several]),
                     f"{several} takes a name and a value, with a {mark!r} between them")
        given["JSON"] = json.loads(given.get("--json", "null"))  # or a ValueError
        return _COMMANDS[name], given
    except Exception as error:  # getopt has one of its own
        raise ValueError(f"{usage}oauth2min: {error}")

def _login(client, given):
    """Logs a user in, if no good token of an earlier login is stored. The file may hold the
    token of another grant, such as the program's own: that one is forgotten first, but
    never if it is another client's."""
    grant_type = DEVICE_CODE if "--device" in given else "authorization_code"
    # `client` was made with the grant of the token in the file: see _client.
    if client._grant_type != grant_type:
        client.token = None
        client = _client(given, grant_type)
    earlier = client.token
    # --no-browser is "" if it was given: no browser. None: one where that makes sense.
    # parse_qs gathers the values of each name in a list: "-p" may come twice with one.
    client.login(given.get("--no-browser"), None,
                 **parse_qs(_form(given["-p"]), True))
    _say("An earlier login is still good." if client.token == earlier else "Logged in.")
    with redirect_stdout(sys.stderr):  # stdout is for results
        _status(client, given)

def _get(client, given):
    """Prints an answer of the API, byte for byte, or all pages of a listing, a line each.
    On a terminal it is JSON in ASCII, a string where the answer is none, so that no sign in
    it can steer the terminal."""
    _check_access(client, given)
    if "--pages" in given:
        for page in client.pages(given["URL"], given["-p"]):
            print(json.dumps(page), flush=True)  # in ASCII
        return
    method = "POST" if "--json" in given else "GET"
    answer = client.request(given.get("-X", method), given["URL"], given["-p"],
                            json=given["JSON"])
    if sys.stdout.isatty():
        print(json.dumps(_json(answer.content, json.dumps(answer.text)), indent=2))
    else:  # for a program, which may also have asked for a picture
        sys.stdout.buffer.write(answer.content)

def _print_token(client, given):
    """Prints a good access token alone, for the $(...) of a shell."""
    _check_access(client, given)
    if "--renew" in given:
        client.refresh()
    print(client.access_token())

def _status(client, _):
    """Prints who is logged in, how and until when, as JSON in ASCII, and no token. It asks
    no server, which may know better. LoginRequired: nobody is, or that login is over."""
    token = client.token
    keeper = client._keeper
    kept = keeper.kept  # client.token has just read it from the store
    # A refresh token that was refused stays in the store, where renew_at is 0 then.
    renewable = token and token.refresh_token is not None and kept.renew_at != 0
    if client._grant_type == "client_credentials" or not (
            renewable or kept and kept.is_good()):
        raise LoginRequired("nobody is logged in: call login()")
    end = token.expires_at
    print(json.dumps({**keeper.owner, "scope": token.scope or kept.scope,
                      "until": end and time.ctime(end), "renewable": renewable,
                      "store": keeper.name}, indent=2))

def _logout(client, _):
    """Revokes the token and forgets it, which is a success also if the server does not
    confirm."""
    _say("Revoked and forgotten." if client.logout() else
         "Forgotten here. The server did not confirm: any token lives until its end.")

_COMMANDS = {"login": _login, "get": _get, "token": _print_token, "status": _status,
             "logout": _logout}

def _check_access(client, given):
    """Makes sure that there can be a token with the scope of --scope; forgets one of the
    program that has less. LoginRequired: the user's login has less, or nobody is logged in
    and the program has no secret, without which it gets no token (RFC 6749 section 4.4)."""
    is_program = client._grant_type == "client_credentials"
    if is_program and not client._server.client_secret:
        # given["SECRET"] is the name of a variable, and not the secret: see _client.
        raise LoginRequired(f"nobody is logged in: call login(), or set {given['SECRET']}")
    keeper = client._keeper
    if client.token and not keeper.kept.covers(keeper.scope):
        if not is_program:
            raise LoginRequired("your login lacks scope: call login() "
                                f"--scope '{keeper.scope}'")
        client.token = None  # another one is asked for

def _client(given, grant_type=None):
    """A client as the options and the environment say. Without a grant type, it has that of
    the token in the file, so that the commands after a login act for the user. That is read
    without the lock: a file is replaced in one step. Each server and client has a file of
    its own, in the folder that the system has for such things."""
    server = given["SERVER"]
    name = "OAUTH2" if "://" in server else server.upper().replace("-", "_")
    given["SECRET"] = f"{name}_CLIENT_SECRET"  # what to set, for a message
    client_id, secret = [os.fsencode(os.getenv(f"{name}_CLIENT_{kind}", "")).decode()
                         for kind in ("ID", "SECRET")]
    _require(client_id, f"set {name}_CLIENT_ID, and {name}_CLIENT_SECRET if there is one")
    folder = os.getenv("XDG_STATE_HOME") or os.getenv("LOCALAPPDATA") or "~/.local/state"
    file = quote_plus(f"{server} {client_id}")[:200]
    store = TokenFile(given.get("--store", f"{folder}/oauth2min/{file}.json"))
    grant_type = grant_type or _at(store.load(), "grant_type") or "client_credentials"
    trace = _say if "--trace" in given else None
    return Client(server, client_id, secret or None, store=store, grant_type=grant_type,
                  scope=given.get("--scope"), headers=dict(given["-H"]),
                  redirect_uri=given.get("--redirect-uri", "http://127.0.0.1/callback"),
                  trace=trace)

if __name__ == "__main__":
    _PROGRAM = f"python3 {sys.argv[0]}"
    sys.exit(main())
