"""Fuzzing of all that oauth2min.py reads from others, with hypothesis (from 6.31 on).

    python3 .ci/fuzz.py [EXAMPLES [SEED [Fuzz.test_NAME...]]]

Whatever comes in, there is a right answer or one of the errors that the documentation names,
soon; and no error is long, unprintable, or repeats a secret that the answer does. A failure
shows its smallest example; the seed, which is printed first, brings it back.
"""
import contextlib
import gzip
import io
import itertools
import json
import os
import random
import signal
import socket
import sys
import tempfile
import unittest
import urllib.parse
from unittest import mock

from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from played import (ACCESS, ASKED, BACK, CODE, DEVICE, GOOD, HOME, ID, PATIENCE, REFRESH, SECRET,
                    SERVER, STATE, VERIFIER, Played, Store, check, hang)

import oauth2min

EXAMPLES = 300      # for each test
CODE_GRANT = "authorization_code"


# --- What comes in ---------------------------------------------------------------------------

NAMES = ("access_token token_type expires_in expires refresh_token scope error error_description "
         "error_uri message ok user_code device_code interval verification_url next meta").split()
FACTS = ("pkce token_parameters authorization_parameters base_url allow_http offline "
         "token_endpoint_auth_method authorization_response_iss_parameter_supported").split()
ERRORS = ("invalid_grant invalid_client authorization_pending slow_down access_denied "
          "expired_token insufficient_scope").split()
some = st.sampled_from
KNOWN = oauth2min.Token(ACCESS, refresh_token=REFRESH)


def mostly(good, bad):
    return st.integers(0, 9).flatmap(lambda number: bad if number == 9 else good)


def joined(*parts, size=5):
    return st.lists(st.one_of(*parts), max_size=size).map("".join)


def times(piece, most):
    return st.builds(lambda piece, number: piece * number, piece, st.integers(0, most))


def spelt(text):
    """A secret in the ways that a server may repeat it."""
    each = "".join("%%%02x" % byte for byte in text.encode())
    quoted = urllib.parse.quote(text, "")
    return [text, text.upper(), each, quoted, quoted.lower(), urllib.parse.quote(quoted),
            urllib.parse.quote_plus(text)]


def objects(inner, names=NAMES, **usual):
    """Dicts with names that mean something; the `usual` values come most of the time."""
    usual = {name: mostly(st.just(value), inner) for name, value in usual.items()}
    more = st.dictionaries(mostly(some(names), anything), inner, max_size=3)
    return st.builds(lambda left, right: {**left, **right}, more, st.fixed_dictionaries(usual))


def like_json(text):
    return st.recursive(
        st.one_of(st.none(), st.booleans(), numbers, text),
        lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)), max_leaves=6)


SENT = spelt(SECRET) + spelt(ACCESS) + spelt(REFRESH) + spelt(CODE) + spelt(VERIFIER)
anything = st.text(st.characters(), max_size=20)        # with lone surrogates
numbers = st.one_of(st.integers(), st.floats(), some([10 ** 400, 9.5e9, 60, 1, 1e-9]))
starts = some(["", "/", "?page=2", "next", HOME, "https:", "http:", "//", "http://localhost:1/",
               "%", "http://127.0.0.1:99999/", "http://a..b/", "file:", "http://a@b", ":", "\\"])
places = st.builds("{}{}".format, starts, st.one_of(st.just(""), anything))
urls = st.builds("{}{}{}".format, starts, st.one_of(some(SENT), anything, st.just("")), starts)
words = st.one_of(some(SENT), some(ERRORS), urls, times(anything, 99),
                  joined(anything, some([*SENT, *ERRORS, " ", ","]), size=4))
values = like_json(words)
tokens = objects(values, access_token=ACCESS, refresh_token=REFRESH, expires_in=3600)
metadata = objects(like_json(places), FACTS, **SERVER)
headers = st.one_of([st.builds("{}: {}".format, some(names.split()), value) for names, value in (
    ("Link", st.builds("<{}>; rel={}".format, urls, some(["next", '"up next"', "", '"']))),
    ("Link", times(some(["<", "<>;", ";a=", '<>;"']), 60000)),
    ("WWW-Authenticate", st.builds('Bearer {}="{}", scope="{}"'.format, some(
        ["error", "error_description"]), words, words)),
    ("Retry-After Date X-Rate-Limit-Reset", st.one_of(numbers, anything, some(
        ["Fri, 31 Dec 9999 23:59:59 -9999", "Thu, 01 Jan 1970 00:00:00 GMT", " ", "Mon, 0"]))),
    ("Content-Type", st.builds("text/{}; charset{}={}".format, words, some(["", "*", "*0"]), some(
        ["unicode_escape", "utf-7", "idna", "undefined", "hex", "utf-16", "''%E4", "\x00", ""]))),
    ("Content-Encoding Transfer-Encoding Connection", some(["gzip", "chunked", "close", ""])),
    ("Content-Length X", st.one_of(numbers, words)))])


def bodies(documents):
    """JSON in one encoding or another, forms, and what is left of them on a bad day."""
    text = st.builds(json.dumps, documents, ensure_ascii=st.booleans()).map(
        lambda text: text.encode("utf-8", "surrogatepass"))
    form = st.dictionaries(some(NAMES), words, max_size=4).map(
        lambda fields: urllib.parse.urlencode(fields, errors="replace").encode())
    deep = times(some([b"[", b'{"next":', b"9", b'error="\\']), 9999)
    cut = st.builds(lambda body, at, more: body[:at] + more + body[at:], text, st.integers(0, 60),
                    st.binary(max_size=5))
    return mostly(text, st.one_of(form, deep, cut, st.binary()))


@st.composite
def answers(draw, documents, *statuses):
    """A whole answer with a body that holds such a document."""
    bad, oddities = st.one_of(st.integers(-1, 1000), words), st.lists(words, max_size=2)
    status = draw(mostly(some(statuses), bad))
    head = ["HTTP/1.1 %s Words" % status] + draw(mostly(st.lists(headers, max_size=2), oddities))
    if status in (302, 307):
        head.append("Location: " + draw(urls))
    body, framing = draw(bodies(documents)), draw(mostly(some(
        ["length", "open", "gzip", "chunked"]), some(["short", "torn", "-1", "-5", "F" * 20])))
    if framing in ("gzip", "torn"):
        head, body = head + ["Content-Encoding: gzip"], gzip.compress(body)
        body = body[:-1] if framing == "torn" else body
    if framing in ("length", "gzip", "short"):
        head.append("Content-Length: %d" % (len(body) + (framing == "short")))
    elif framing not in ("open", "torn"):
        head.append("Transfer-Encoding: chunked")
        size = "%x" % len(body) if framing == "chunked" else framing
        body = size.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    start = "\r\n".join([*head, "", ""]).encode("latin-1", "replace")
    return (start + body)[:100000]          # what a pair of sockets holds


def ok(body, *lines):
    """An answer for an example: what once went wrong is tried every time."""
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", body]).encode()


def moved(place):
    return ok("", "Location: " + place).replace(b"200", b"302")


ANY = answers(values, 200, 200, 200, 302, 307, 400, 401, 401, 403, 429, 503)


def scripts(*first):
    return st.tuples(*first, ANY, ANY)


# --- The tests -------------------------------------------------------------------------------

class Fuzz(unittest.TestCase):
    @example([ok("-5\r\n{}\r\n", "Transfer-Encoding: chunked")], "request_token")
    @example([ok(r'{"access_token": "a", "refresh_token": "\ud800"}')] * 2, "refresh")
    @given(scripts(answers(tokens, 200, 200, 400), answers(tokens, 200, 401)),
           some(["access_token", "refresh", "logout", "exchange", "request_token"]))
    def test_token_answers(self, script, action):
        arguments = {"exchange": (ASKED, "code=%s&state=%s" % (CODE, STATE)),
                     "request_token": ("urn:x",)}.get(action, ())
        with Played(script) as played:
            client = played.client()
            if action != "access_token":
                client.token = KNOWN
            got = played.attempt(lambda: getattr(client, action)(*arguments))
            if isinstance(got, oauth2min.Token):
                self.assertEqual(got.raw["access_token"], got.access_token)
            played.attempt(client.access_token)     # what was kept can be used, or says why not

    @example([ok(r'{"error":"\ud800"}', "Content-Type: x/y; charset=unicode_escape").replace(
        b"200", b"400")], "get", HOME, 0, "/")
    @example([ok("[" * 99999)], "get", HOME, 0, "/")
    @example([moved("http://127.0.0.1:99999/")], "get", HOME, 0, "/")
    @example([moved("http://a..b/")], "get", HOME, 0, "/")
    @example([moved("/" + ACCESS)], "get", HOME, 0, "/")
    @example([moved("file:" + ACCESS)], "get", HOME, 0, "/")
    @given(scripts(), some(["get", "post", "open"]), some([None, HOME]), some([0, 60]), places)
    def test_api_answers(self, script, action, base_url, max_wait, url):
        with Played(script) as played:
            client = played.client(base_url=base_url, max_wait=max_wait)
            client.token = KNOWN
            got = played.attempt(lambda: getattr(client, action)(HOME + url), ValueError)
            if got and action == "open":
                got.close()
            elif got:
                self.assertIsInstance(got.text + repr(got), str)
                played.attempt(got.json, ValueError)

    @example([ok("{}", "Link: " + "<" * 60000)], None)
    @example([ok('{"next": [[]]}')], "next")
    @example([ok(r'{"next": "\ud800"}')] * 2, ("next", "cursor"))
    @example([ok('{"next": "https://' + ACCESS + '"}')], None)
    @given(scripts(answers(objects(values, next="/2", meta={"next": "3"}), 200)),
           some([None, "next", "meta.next", ("meta.next", "cursor"), lambda page: page["next"]]))
    def test_pages(self, script, next):
        theirs = (KeyError, TypeError) if callable(next) else ()
        with Played(script) as played:
            client = played.client()
            client.token = KNOWN
            played.attempt(lambda: list(zip(range(9), client.pages(HOME, next=next))), ValueError,
                           *theirs)

    @example([ok(json.dumps({**SERVER, "token_parameters": 5})), GOOD], "access_token")
    @example([ok(json.dumps({**SERVER, "authorization_parameters": 5}))], "authorization_request")
    @example([ok(json.dumps({**SERVER, "offline": "\x1b" * 999})), GOOD], "logout")
    @given(scripts(answers(metadata, 200), answers(metadata, 200)), some(
        ["access_token", "login", "logout", "authorization_request", "exchange", "discover"]))
    def test_metadata(self, script, action):
        grant_type = DEVICE if action == "login" else "client_credentials"
        arguments = {"exchange": (ASKED, "code=1&state=" + STATE)}.get(action, ())
        with Played(script) as played:
            client = played.client(HOME, grant_type=grant_type)
            played.attempt(lambda: oauth2min.discover(HOME) if action == "discover" else
                           getattr(client, action)(*arguments), ValueError)  # no such endpoint

    @example([ok('{"user_code": "1", "verification_uri": "%s", "device_code": []}' % HOME), GOOD])
    @example([ok('{"user_code": "1", "verification_uri": "%s"}' % SECRET)])
    @given(scripts(answers(objects(values, device_code=CODE, user_code="ABCD", interval=5,
                                   expires_in=600, verification_uri=HOME), 200),
                   answers(objects(values, error="authorization_pending"), 400),
                   answers(objects(values, error="slow_down"), 400), answers(tokens, 200, 400)))
    def test_device_login(self, script):
        with Played(script) as played:
            played.attempt(lambda: played.client(grant_type=DEVICE).login())
            self.assertTrue(played.said.getvalue().replace("\n", "").isprintable())

    @example("state=" + STATE + "&error=%20", "", 0)
    @given(joined(some(["?", "&", "&code=" + CODE, "&state=" + STATE, "&iss=" + HOME, "&iss=x",
                        "&error=", "&error_description=", "&error_uri=", "\n"]), words, size=8),
           some(["", "state=" + STATE, "code=1&state=" + STATE]), st.integers(0, 50))
    def test_pasted_addresses(self, text, start, cut):
        text = start + text
        with Played([GOOD]) as played:
            played.attempt(lambda: played.client().exchange(ASKED, text))
            self.assertTrue(not played.peers or "code=" in text and "state=" in text)
        typed = itertools.chain([text[:cut], text[cut:], "\n", "", "\n"], itertools.repeat(""))
        with Played([GOOD]) as played, mock.patch.object(
                oauth2min, "_typed", typed.__next__):
            client = played.client(grant_type=CODE_GRANT, redirect_uri=BACK)
            played.attempt(lambda: client.login(False, timeout=2))

    @given(mostly(objects(values, server=HOME, client_id=ID, grant_type="client_credentials",
                          renew_at=0, scope=""), values),
           objects(values, access_token=ACCESS, token_type="Bearer", expires_at=0,
                   refresh_token=REFRESH, scope="", raw=None),
           st.binary(), some(["object", "file", "bytes"]), scripts(answers(tokens, 200)))
    def test_stored_tokens(self, record, token, raw, kind, script):
        if isinstance(record, dict):
            record.setdefault("token", {name: token[name] for name in oauth2min.Token._fields})
        with Played(script) as played, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            with open(path, "wb") as file:
                file.write(raw if kind == "bytes" else json.dumps(record).encode())
            client = played.client(store=Store(record) if kind == "object" else path)
            for function in client.access_token, lambda: repr(client.token), client.logout:
                played.attempt(function)

    @given(metadata, scripts(),
           some(["access_token", "login", "refresh"]))
    def test_server_dicts(self, server, script, action):
        with Played(script) as played:
            played.attempt(lambda: getattr(played.client(server, grant_type=DEVICE), action)(),
                           ValueError, TypeError)

    @given(st.lists(mostly(
        st.builds("{} {}?{}{}{} HTTP/1.1\r\n{}\r\n\r\n".format, some(["GET", "POST", "PUT"]), some(
            ["/callback", "/callback", "/"]), some(["state=STATE", "state=x", ""]), some(
            ["&code=1", "&error=no", ""]), some(["", "&state=x", "&code=2"]), some(
            ["Host: PLACE", "Host: PLACE", "Host: evil", ""])),
        joined(some(["GET ", "POST ", "/callback?state=STATE&code=1", " HTTP/1.1", "\r\n", "\x00",
                     "\r\n\r\n", "Host: PLACE\r\n", "Content-Length: 9", "Expect: 100-continue"]),
               anything, size=9)), max_size=5), answers(tokens, 200))
    def test_callback(self, requests, answer):
        right, seen = "GET /callback?code=1&state=STATE HTTP/1.1\r\nHost: PLACE\r\n\r\n", []

        def browse(url):
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
            place = urllib.parse.urlsplit(asked["redirect_uri"]).netloc
            for request in requests + [right]:
                with contextlib.suppress(OSError), socket.socket() as browser:
                    browser.settimeout(PATIENCE)
                    browser.connect(("127.0.0.1", int(place.rpartition(":")[2])))
                    sent = request.replace("STATE", asked["state"]).replace("PLACE", place)
                    browser.sendall(sent.encode("utf-8", "replace"))
                    browser.shutdown(socket.SHUT_WR)
                    page = b"".join(iter(lambda: browser.recv(1 << 16), b""))
                    seen.append((request, page))

        with Played([answer]) as played:
            played.attempt(lambda: played.client(grant_type=CODE_GRANT).login(browse))
        for request, page in seen:
            ended = b"You are logged in" in page or b"The login failed" in page
            self.assertTrue("state=STATE" in request or not ended, request)
            if ended:
                self.assertNotRegex(request, "^PUT|Host: evil|state=x|code=1&code=2")
            if page.startswith(b"HTTP"):        # and not as HTTP/0.9 wants it
                self.assertIn(page[9:12], [b"200"] if ended else [b"400", b"404", b"405"])

    @given(scripts(answers(metadata, 200), answers(tokens, 200)),
           some(["login --no-browser --device", "token", "logout", "get /x", "get http:x",
                 "get /x --pages", "get /x --json {}", "get /x --trace"]))
    def test_command_line(self, script, command):
        name, *more = command.replace(" /", " " + HOME + "/").split()
        with Played(script) as played, tempfile.TemporaryDirectory() as folder, mock.patch.dict(
                os.environ, clear=True, OAUTH2_CLIENT_ID=ID, OAUTH2_CLIENT_SECRET=SECRET,
                XDG_STATE_HOME=folder), mock.patch.object(
                sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8")):
            status = oauth2min.main([name, HOME, *more])
            told = played.said.getvalue().splitlines()
            self.assertIn(status, (0, 1))
            if "--trace" not in more:
                if status:
                    check(oauth2min.OAuth2Error(told.pop()), played.secrets())
                self.assertTrue(name in ("login", "logout") or not told, told)


if __name__ == "__main__":
    EXAMPLES = int(sys.argv.pop(1)) if sys.argv[1:] else EXAMPLES
    SEED = int(sys.argv.pop(1)) if sys.argv[1:] else random.randrange(1 << 32)
    print("seed", SEED, "with", EXAMPLES, "examples for each test", flush=True)
    signal.signal(signal.SIGALRM, hang)
    for name in filter(lambda name: name.startswith("test_"), dir(Fuzz)):
        test = settings(max_examples=EXAMPLES, database=None, deadline=None, print_blob=True,
                        report_multiple_bugs=False,     # smaller examples sooner
                        suppress_health_check=list(HealthCheck))(getattr(Fuzz, name))
        setattr(Fuzz, name, seed(SEED)(test))
    unittest.main(failfast=True)
