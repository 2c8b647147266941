"""Fuzzing of all that oauth2min.py reads from others, with hypothesis (any from 6.31 on).

    python3 .ci/fuzz.py [EXAMPLES [SEED [NAME...]]]      # 300 for each test by default

Whatever comes in, there is a right answer or one of the errors that the documentation names,
soon; and no error is long, unprintable or repeats a secret, not even where the answer does.
Servers are played: a new connection gets the next bytes of a list, then the end. Time is played
too. A failure prints its smallest example; the seed printed first brings all of them back.
"""
import contextlib
import gzip
import io
import json
import os
import random
import signal
import socket
import ssl
import sys
import tempfile
import time
import types
import unittest
import urllib.parse
import urllib.request
import warnings
from unittest import mock

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import oauth2min  # noqa: E402
from oauth2min import AuthorizationRequest, Client, OAuth2Error, Token, discover  # noqa: E402

EXAMPLES, SEED = 300, random.randrange(1 << 32)
PATIENCE = 5        # seconds of real time for an example
HOME = "http://127.0.0.1:8000"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SERVER = {"issuer": HOME, "base_url": HOME + "/api/", **{
    name + "_endpoint": HOME + "/" + name
    for name in ("token", "authorization", "device_authorization", "revocation")}}
ID, SECRET, ACCESS, REFRESH = "client-id", "kEy/wOrd+secret:%ü", "Access~Token/1+=", "Refresh:Token/2"
CODE, VERIFIER, STATE = "The/Code+of-the-user", "Verifier_of-the-client", "State-of-the-login"
SECRETS = SECRET, ACCESS, REFRESH, CODE, VERIFIER
ASKED = AuthorizationRequest(HOME + "/authorization", STATE, VERIFIER, "http://127.0.0.1/callback")
CONTEXT = ssl.create_default_context()


# --- What is checked -------------------------------------------------------------------------

class Hang(Exception):
    pass


def hang(*_):
    raise Hang("no end after %d seconds" % PATIENCE)


def attempt(function, *documented):
    """What it returns; None if it raises one of the errors that may come out of it."""
    try:
        return function()
    except (OAuth2Error, OSError) + documented as error:
        check(error)


def check(error):
    """The error and those that a traceback would show with it."""
    for text in str(error), repr(error):
        assert len(text) < 1000, "%d characters: %.200s" % (len(text), text)
        assert text.isprintable(), text
        told = text + urllib.parse.unquote(text) + urllib.parse.unquote_plus(text)
        for secret in SECRETS:
            assert secret.casefold() not in told.casefold(), "%s in %s" % (secret, text)
    assert str(error), "no message"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause:
        check(cause)


# --- What is played --------------------------------------------------------------------------

class Pipe(socket.socket):
    def setsockopt(self, *_):
        pass        # a pair of sockets has none of those that http.client sets


class Clock(types.SimpleNamespace):
    """The time, in which nobody has to wait for the end of a sleep()."""
    now = 0.0

    def time(self):
        return time.time() + self.now

    monotonic = time

    def sleep(self, seconds):
        time.sleep(min(seconds, 0) or seconds > 9e9 and seconds or 0)   # it may be no number
        self.now += seconds


class Played(contextlib.ExitStack):
    """Answers connections with the items of a list, and notes what was sent to whom."""

    def __init__(self, answers=()):
        super().__init__()
        self.answers, self.peers = list(answers), []
        patch = mock.patch.object
        for change in (patch(socket, "create_connection", self.connect),
                       patch(oauth2min, "time", Clock()),
                       patch(sys, "stderr", io.StringIO())):
            self.enter_context(change)
        self.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        self.callback(signal.setitimer, signal.ITIMER_REAL, 0)

    def __exit__(self, *failure):
        super().__exit__(*failure)
        for address, peer in self.peers:
            with peer, contextlib.suppress(BlockingIOError):
                peer.setblocking(False)
                sent = peer.recv(1 << 16)
                assert address == ("127.0.0.1", 8000) or b"\nauthorization:" not in sent.lower()

    def connect(self, address, *_, **more):
        address[0].encode("idna")
        if not 0 <= address[1] <= 65535:
            raise OverflowError("getsockaddrarg: port must be 0-65535.")
        if not self.answers:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = socket.socketpair()
        self.peers.append((address, theirs))
        theirs.sendall(self.answers.pop(0))
        theirs.shutdown(socket.SHUT_WR)
        return Pipe(fileno=ours.detach())

    def client(self, server=SERVER, secret=SECRET, **more):
        return self.enter_context(contextlib.closing(Client(
            server, ID, secret, context=CONTEXT, trace=lambda text: None,
            handlers=[urllib.request.ProxyHandler({})], **more)))


class Store:
    def __init__(self, record):
        self.load, self.save, self.lock = lambda: record, lambda record: None, contextlib.ExitStack


# --- What comes in ---------------------------------------------------------------------------

def spelt(text):
    """A secret as a server may repeat it."""
    quote = urllib.parse.quote
    each = "".join("%%%02x" % byte for byte in text.encode())
    return [text, quote(text, ""), quote(text, "").lower(), urllib.parse.quote_plus(text), each,
            text.upper(), quote(quote(text, ""), "")]


def some(*items):
    return st.sampled_from(items)


def joined(*parts, **more):
    return st.lists(st.one_of(*parts), **more).map("".join)


anything = st.text(st.characters(), max_size=30)        # lone surrogates, too
echoes = some(*(form for secret in SECRETS for form in spelt(secret)))
urls = joined(some("http:", "https:", "//", HOME, "127.0.0.1", ":8000", ":99999", ":", "localhost",
                   "a..b", "[::1]", "file:", "/api/", "?a=b", "#", "@", "..", "\\", "%", "?page=2"),
              anything, echoes, max_size=6)
addresses = joined(some(HOME, "http://", "x", "/", "?", "#", "@", " ", ":9"), anything, max_size=4)
numbers = st.one_of(st.integers(), st.floats(), st.integers(1, 100), some(10 ** 400, 1e9, 1e-9))
words = st.one_of(joined(anything, echoes, some(" ", ",", "bearer", "invalid_grant"), max_size=4),
                  numbers.map(str), urls, st.builds(str.__mul__, anything, st.integers(0, 3000)))
NAMES = ("access_token token_type expires_in expires refresh_token scope error error_description "
         "error_uri message detail ok device_code user_code verification_uri interval issuer next "
         "token_endpoint pkce token_parameters authorization_parameters base_url offline meta "
         "token_endpoint_auth_method revocation_endpoint authorization_endpoint @odata.nextLink "
         "authorization_response_iss_parameter_supported allow_http token renew_at items").split()
def objects(inner, **usual):
    """Dicts with the names that mean something; `usual` values come most of the time."""
    usual = {name: st.one_of(some(value), some(value), inner) for name, value in usual.items()}
    more = st.dictionaries(st.one_of(some(*NAMES), anything), inner, max_size=4)
    return st.builds(lambda left, right: {**left, **right}, st.fixed_dictionaries(usual), more)


values = st.recursive(st.one_of(st.none(), st.booleans(), numbers, words),
                      lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)),
                      max_leaves=8)
ERRORS = ("invalid_grant invalid_client authorization_pending slow_down access_denied "
          "expired_token insufficient_scope invalid_token").split()


def documents(json_values):
    """Bodies: JSON in an encoding or other, forms, and what is left of them on a bad day."""
    as_json = st.builds(lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"), json_values, st.booleans())
    form = st.dictionaries(some(*NAMES), words, max_size=4).map(
        lambda fields: urllib.parse.urlencode(fields, errors="replace").encode())
    deep = st.builds(lambda start, n, end: start * n + end, some(b"[", b'{"next":', b"9", b'"\\'),
                     st.integers(1, 50000), st.binary(max_size=3))
    cut = st.builds(lambda body, at, more: body[:at] + more + body[at:], as_json,
                    st.integers(0, 60), st.binary(max_size=5))
    return st.one_of(as_json, as_json, as_json, form, deep, cut, st.binary())


header_values = st.one_of(
    words, urls,
    st.builds("<{}>; rel={}".format, urls, some("next", '"prev next"', "", '"')),
    st.builds('Bearer realm="{}", {}="{}", scope="{}"'.format, anything,
              some("error", "error_description"), words, anything),
    st.builds("text/html; charset{}={}".format, some("", "*", "*0", "*1*"), st.one_of(anything, some(
        "unicode_escape", "utf-7", "idna", "undefined", "hex", "utf-16", "''%E4", "raw_unicode_escape"))),
    some("gzip", "chunked", "close", "application/json", "0", "-1", "Fri, 31 Dec 9999 23:59:59 -9999",
         "Thu, 01 Jan 1970 00:00:00 GMT", " ", ",", "Mon, 0"),
    st.builds(str.__mul__, some("<", '"', "<>;", ";a=", "error=", " ", '<>;"'), st.integers(1, 65000)))
header_lines = st.builds("{}: {}".format, some(*(
    "Content-Type Content-Encoding Content-Length Transfer-Encoding Connection Location Link Date "
    "WWW-Authenticate Retry-After X-Rate-Limit-Reset X-RateLimit-Reset RateLimit-Reset X").split()),
    header_values)


def chunked(body, sizes):
    """In chunks; the size of the last is what the server says it is."""
    return (b"%x\r\n" % len(body[:5]) + body[:5] + b"\r\n" + sizes.encode("utf-8", "replace") + b"\r\n"
            + body[5:] + b"\r\n0\r\n\r\n")


@st.composite
def answers(draw, json_values=values, statuses=(200, 200, 200, 400, 401, 403, 429, 503, 302, 307, 308)):
    body = draw(documents(json_values))
    head = [draw(st.one_of(*[some("HTTP/1.1 %d Words" % status) for status in statuses],
                           st.integers(-1, 1000).map("HTTP/1.1 {} x".format), words))]
    head += draw(st.lists(st.one_of(header_lines, header_lines, words), max_size=4))
    form = draw(some("whole", "whole", "whole", "open", "gzip", "chunked", "short", "cut"))
    if form == "gzip":
        head, body = head + ["Content-Encoding: gzip"], gzip.compress(body)
    if form == "cut":
        head, body = head + ["Content-Encoding: gzip"], gzip.compress(body)[:draw(st.integers(0, 40))]
    if form == "chunked":
        head += ["Transfer-Encoding: chunked"]
        body = chunked(body, draw(st.one_of(some("-1", "-5", "5", "zz", "f" * 20), anything)))
    elif form != "open":
        head.append("Content-Length: %d" % (len(body) + (form == "short")))
    head = "\r\n".join(head).encode("latin-1", "replace")
    return head + b"\r\n\r\n" + body + draw(some(b"", b"", b"", b"more"))


def scripts(*first, **more):
    """Some answers, the first of them to certain questions."""
    rest = st.lists(answers(**more), max_size=3)
    return st.tuples(st.tuples(*first), rest).map(lambda parts: [*parts[0], *parts[1]])


tokens = objects(values, access_token=ACCESS, refresh_token=REFRESH, expires_in=3600)


# --- The tests -------------------------------------------------------------------------------

class Fuzz(unittest.TestCase):
    @given(scripts(answers(tokens), answers(tokens)), some(
        "access_token", "refresh", "logout", "exchange", "request_token"), st.booleans())
    def test_token_answers(self, script, action, known):
        with Played(script) as played:
            client = played.client(secret=SECRET if known else None)
            if action != "access_token":
                client.token = Token(ACCESS, refresh_token=REFRESH)
            got = attempt(lambda: {
                "exchange": lambda: client.exchange(ASKED, "?code=%s&state=%s" % (CODE, STATE)),
                "request_token": lambda: client.request_token("urn:x", code=CODE),
            }.get(action, getattr(client, action))())
            if isinstance(got, Token):
                self.assertEqual(got.raw["access_token"], got.access_token)
                self.assertIn(type(got.expires_at), (float, type(None)))
            for secret in SECRETS:
                self.assertNotIn(secret, repr(client))
            attempt(client.access_token)        # whatever was kept can be used, or says why not

    @given(scripts(answers(), answers()), some("get", "post", "open", "pages"), some(
        None, "next", "meta.next", ("meta.next", "cursor"), lambda page: page["next"]),
        some(0, 60), st.booleans(), addresses)
    def test_api_answers(self, script, action, following, max_wait, based, url):
        with Played(script) as played:
            client = played.client({**SERVER, "base_url": based and HOME + "/api"}, max_wait=max_wait)
            client.token = Token(ACCESS, refresh_token=REFRESH)
            url = url if based and action != "pages" else HOME + "/api/x"
            if action == "pages":
                function = following if callable(following) else None
                with contextlib.suppress(*[KeyError, TypeError, IndexError] if function else []):
                    attempt(lambda: list(zip(range(5), client.pages(url, next=following))), ValueError)
                return
            got = attempt(lambda: getattr(client, action)(url), ValueError)
            if got is not None and action != "open":
                self.assertIsInstance(got.text, str)
                repr(got)
                attempt(got.json, ValueError)
            elif got:
                got.close()

    @given(scripts(answers(objects(values, **SERVER), (200,)), answers(objects(values, **SERVER), (200,))),
           some("access_token", "login", "logout", "authorization_request", "exchange", "discover"))
    def test_metadata(self, script, action):
        with Played(script) as played:
            if action == "discover":
                attempt(lambda: discover(HOME, CONTEXT))
                return
            client = played.client(HOME, grant_type=DEVICE if action == "login" else "client_credentials")
            if action == "logout":
                client.token = Token(ACCESS, refresh_token=REFRESH)
            arguments = {"exchange": (ASKED, "?code=1&state=" + STATE), "login": (False,)}
            attempt(lambda: getattr(client, action)(*arguments.get(action, ())), ValueError)

    @given(scripts(answers(objects(values, device_code=CODE, user_code="ABCD", interval=5, expires_in=600,
                                   verification_uri=HOME)),
                   answers(objects(values, error="authorization_pending"), (400,)),
                   answers(objects(values, error="slow_down"), (400,)),
                   json_values=st.one_of(tokens, objects(values, error="access_denied"))))
    def test_device_login(self, script):
        with Played(script) as played:
            attempt(lambda: played.client(grant_type=DEVICE).login())
            self.assertNotIn("\x1b", sys.stderr.getvalue())

    @given(joined(some("?", "&", "=", "#", "code=" + CODE, "state=" + STATE, "iss=" + HOME, "iss=x",
                       "error=", "error_description=", "error_uri=", "code=", "\n", ";"),
                  words, urls, max_size=8), st.booleans())
    def test_pasted_addresses(self, text, typed):
        answer = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"access_token": ACCESS}).encode()
        for pasted in text, "state=%s&%s" % (STATE, text):
            with Played([answer]) as played:
                client = played.client(grant_type="authorization_code", redirect_uri="https://app/back")
                attempt(lambda: client.exchange(ASKED, pasted))
                if "code=" not in pasted or STATE not in urllib.parse.unquote(pasted):
                    self.assertEqual(played.peers, [])
            with Played([answer]) as played, mock.patch.object(
                    oauth2min, "_typed", iter([text[:9], text[9:], "\n", ""] * 3 + [""] * 9999).__next__):
                client = played.client(grant_type="authorization_code", redirect_uri="https://app/back")
                attempt(lambda: client.login(False))

    @given(st.binary(), st.one_of(values, objects(values, **{
        "server": HOME, "client_id": ID, "grant_type": "client_credentials", "renew_at": 0, "scope": "",
        "token": None}), st.fixed_dictionaries({
            "server": some(HOME), "client_id": some(ID), "grant_type": some("client_credentials"),
            "renew_at": numbers, "scope": words, "token": st.one_of(tokens, st.fixed_dictionaries({
                "access_token": st.one_of(some(ACCESS), words), "refresh_token": st.one_of(
                    st.none(), words), "expires_at": numbers, "raw": values}))})), scripts(), st.booleans())
    def test_stored_tokens(self, raw, record, script, in_a_file):
        answer = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"access_token": ACCESS}).encode()
        with Played([answer, *script]) as played, tempfile.TemporaryDirectory() as folder:
            store = Store(record)
            if in_a_file:
                store = os.path.join(folder, "token")
                with open(store, "wb") as file:
                    file.write(raw if raw else json.dumps(record).encode())
            client = played.client(store=store)
            for function in client.access_token, lambda: repr(client.token), client.logout:
                attempt(function)

    @given(objects(values, **SERVER), scripts(), some("access_token", "login", "authorization_request"))
    def test_server_dicts(self, server, script, action):
        with Played(script) as played:
            attempt(lambda: getattr(played.client(server, grant_type=DEVICE), action)(), ValueError, TypeError)

    @given(st.lists(joined(some("GET ", "POST ", "HEAD ", "/callback", "?", " HTTP/1.1", "\r\n", "\r\n\r\n",
                                "Host: PLACE", "Content-Length: ", "9", "&state=" + STATE, "&state=STATE",
                                "&code=", "error=", "\x00", "Transfer-Encoding: chunked"),
                           words.map(lambda text: text[:300]), max_size=12), max_size=6),
           answers(tokens, (200,)))
    def test_callback(self, requests, answer):
        real, seen, wrong = socket.create_connection, [], []

        def browse(url):
            fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
            place = urllib.parse.urlsplit(fields["redirect_uri"]).netloc
            last = "GET /callback?code=%s&state=STATE&iss=%s HTTP/1.1\r\nHost: PLACE\r\n\r\n" % (
                urllib.parse.quote(CODE), HOME)
            for request in requests + [last]:
                request = request.replace("STATE", fields["state"]).replace("PLACE", place)
                with contextlib.suppress(OSError), socket.socket() as ours:
                    ours.settimeout(PATIENCE)
                    ours.connect(("127.0.0.1", int(place.rpartition(":")[2])))
                    ours.sendall(request.encode("utf-8", "replace"))
                    ours.shutdown(socket.SHUT_WR)
                    seen.append(b"".join(iter(lambda: ours.recv(65536), b"")))

        with Played([answer]) as played:
            client = played.client(grant_type="authorization_code")
            attempt(lambda: client.login(browse))
            assert real and not wrong

    @given(scripts(answers(objects(values, **SERVER), (200,)), answers(tokens, (200,))),
           st.lists(some("--pages", "--trace", "-X", "PUT", "-p", "a=b", "--json", "{}"), max_size=3), urls)
    def test_command_line(self, script, options, url):
        pass


if __name__ == "__main__":
    if len(sys.argv) > 1:
        EXAMPLES = int(sys.argv.pop(1))
    if len(sys.argv) > 1:
        SEED = int(sys.argv.pop(1))
    print("seed", SEED, "with", EXAMPLES, "examples for each test", flush=True)
    signal.signal(signal.SIGALRM, hang)
    for name in dir(Fuzz):
        if name.startswith("test_"):
            test = settings(max_examples=EXAMPLES, database=None, deadline=None, print_blob=True,
                            suppress_health_check=list(HealthCheck))(getattr(Fuzz, name))
            setattr(Fuzz, name, seed(SEED)(test))
    unittest.main()
