"""Fuzzing of all that oauth2min.py reads from others, with hypothesis (from 6.31 on).

    python3 .ci/fuzz_servers.py [EXAMPLES [SEED [Fuzz.test_NAME...]]]

Whatever comes in, there is a right answer or one of the errors that the documentation
names, soon; and no error is long, unprintable, or repeats a secret that the answer does. A
failure shows its smallest example; the seed, which is printed first, brings it back.
"""

import contextlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import unittest
import urllib.parse
from unittest import mock

from fuzzed_answers import (
    LINKED,
    UNCLEAR,
    answers,
    callbacks,
    known_answers,
    known_challenges,
    metadata,
    objects,
    one_of,
    pasted_addresses,
    places,
    records,
    scripts,
    token_answers,
    tokens,
    values,
)
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from scripted_connections import (
    ACCESS,
    ASKED,
    BACK,
    CODE,
    DEVICE,
    GOOD,
    HOME,
    ID,
    PATIENCE,
    REFRESH,
    SECRET,
    SERVER,
    STATE,
    Servers,
    Store,
    check,
    hang,
)

import oauth2min

EXAMPLES = 300      # for each test
CODE_GRANT = "authorization_code"
KNOWN = oauth2min.Token(ACCESS, refresh_token=REFRESH)


# --- Helpers ------------------------------------------------------------------------------


def ok(body, *lines):
    """An answer for an @example: what once went wrong is tried every time."""
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", body]).encode()


def bad_request(body, *lines):
    return ok(body, *lines).replace(b"200", b"400")


def moved(place):
    return ok("", "Location: " + place).replace(b"200", b"302")


def hidden(secret):
    """As a server may repeat it that means no good: each byte percent-encoded."""
    return "".join("%%%02x" % byte for byte in secret.encode())


def call(client, action):
    """Calls a method of the client by its name, with the arguments that it needs."""
    if action == "discover":
        return oauth2min.discover(HOME)
    if action == "exchange":
        return client.exchange(ASKED, "code=%s&state=%s" % (CODE, STATE))
    if action == "request_token":
        return client.request_token("urn:x")
    return getattr(client, action)()


def visit(host_and_port, request):
    """What a listener answers to these bytes."""
    port = int(host_and_port.rpartition(":")[2])
    with socket.socket() as browser:
        browser.settimeout(PATIENCE)
        browser.connect(("127.0.0.1", port))
        browser.sendall(request)
        browser.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: browser.recv(1 << 16), b""))


def read_by_two(stream):
    return b"".join(iter(lambda: stream.read(2), b""))


def read_into(stream):
    content = b""
    buffer = bytearray(7)
    for size in iter(lambda: stream.readinto(buffer), 0):
        content += buffer[:size]
    return content


def copied(stream):
    content = io.BytesIO()
    shutil.copyfileobj(stream, content)
    return content.getvalue()


WAYS = {
    "read": lambda stream: stream.read(),
    "read(2)": read_by_two,
    "readinto": read_into,
    "read1": lambda stream: b"".join(iter(lambda: stream.read1(5), b"")),
    "readline": lambda stream: b"".join(iter(stream.readline, b"")),
    "iteration": b"".join,
    "copyfileobj": copied,
}


def content_of(client, way):
    """What is read of an answer, by one of the ways of a stream, or in one piece."""
    if way == "get":
        return client.get("x").content
    with client.open(HOME + "/x") as stream:
        return WAYS[way](stream)


# --- The tests ----------------------------------------------------------------------------


class Fuzz(unittest.TestCase):
    @example([ok("-5\r\n{}\r\n", "Transfer-Encoding: chunked")], "request_token")
    @example([ok(r'{"access_token": "a", "refresh_token": "\ud800"}')] * 2, "refresh")
    @given(
        scripts(answers(token_answers, 200, 200, 400), answers(token_answers, 200, 401)),
        one_of(["access_token", "refresh", "logout", "exchange", "request_token"]),
    )
    def test_token_answers(self, script, action):
        with Servers(script) as servers:
            client = servers.client()
            if action != "access_token":
                client.token = KNOWN
            got = servers.attempt(lambda: call(client, action))
            if isinstance(got, oauth2min.Token):
                raw = got.raw or {}
                self.assertEqual(raw["access_token"], got.access_token)
            # What was kept can be used, or says why not.
            servers.attempt(client.access_token)

    @example(
        [bad_request(r'{"error":"\ud800"}', "Content-Type: x/y; charset=unicode_escape")],
        "get",
        HOME,
        0,
        "/",
    )
    @example([ok("[" * 99999)], "get", HOME, 0, "/")
    @example([moved("http://127.0.0.1:99999/")], "get", HOME, 0, "/")
    @example([moved("http://a..b/")], "get", HOME, 0, "/")
    @example([moved("/" + ACCESS)], "get", HOME, 0, "/")
    @example([moved("file:" + ACCESS)], "get", HOME, 0, "/")
    @example([moved("http://a@b" + hidden(ACCESS))], "get", HOME, 0, "/")
    @given(
        scripts(),
        one_of(["get", "post", "open"]),
        one_of([None, HOME]),
        one_of([0, 60]),
        places,
    )
    def test_api_answers(self, script, action, base_url, max_wait, url):
        with Servers(script) as servers:
            client = servers.client(base_url=base_url, max_wait=max_wait)
            client.token = KNOWN
            method = getattr(client, action)
            got = servers.attempt(lambda: method(HOME + url), ValueError)
            if got and action == "open":
                got.close()
            elif got:
                self.assertIsInstance(got.text + repr(got), str)
                servers.attempt(got.json, ValueError)

    @given(known_answers("length", "chunked", "open"), one_of(["get", *sorted(WAYS)]))
    def test_whole_answers(self, answer, way):
        head, sent, body, content = answer
        with Servers([head + sent]) as servers:
            client = servers.client(base_url=HOME)
            client.token = KNOWN
            got = content_of(client, way)
        self.assertEqual(got, content if way == "get" else body)

    @given(
        known_answers("length", "chunked"),
        one_of(["get", *sorted(WAYS)]),
        st.integers(1, 9999),
    )
    def test_answers_that_break_off(self, answer, way, missing):
        whole = answer[0] + answer[1]
        with Servers([whole[: -1 - missing % len(whole)]]) as servers:
            client = servers.client(base_url=HOME)
            client.token = KNOWN
            with self.assertRaises(OSError) as caught:
                content_of(client, way)
            check(caught.exception, servers.secrets())

    @given(known_challenges())
    def test_challenges(self, lines):
        head = "\r\n".join(["HTTP/1.1 403 No", *lines, "Content-Length: 0", "", ""])
        with Servers([head.encode("latin-1")]) as servers:
            client = servers.client(base_url=HOME)
            client.token = KNOWN
            with self.assertRaises(oauth2min.ResponseError) as caught:
                client.get("x")
            check(caught.exception, servers.secrets())
        self.assertRegex(str(caught.exception), "insufficient_scope.*admin")
        self.assertNotIn("another", str(caught.exception))

    @given(one_of(LINKED), values)
    def test_listings(self, linked, last):
        lines, page, next = linked
        if isinstance(last, dict):
            last = [last]       # it may have a next page of its own
        script = [ok(json.dumps(page), *lines), ok(json.dumps(last))]
        if callable(next):
            script[1] = ok("[]")
        with Servers(script) as servers:
            client = servers.client(base_url=HOME)
            client.token = KNOWN
            found = list(client.pages("1", next=next))
            asked = servers.sent(servers.peers[1][1])
        self.assertEqual(len(found), 2)
        self.assertEqual(found[0], page)
        self.assertEqual(asked.partition(" HTTP")[0], "GET /2")

    @given(one_of(UNCLEAR), st.dictionaries(st.text(max_size=3), st.integers(), max_size=3))
    def test_unclear_listings(self, page, more):
        with Servers([ok(json.dumps({**more, **page}))]) as servers:
            client = servers.client(base_url=HOME)
            client.token = KNOWN
            with self.assertRaisesRegex(ValueError, "next="):
                list(client.pages("1"))

    @example([ok("{}", "Link: " + "<" * 60000)], None)
    @example([ok('{"next": [[]]}')], "next")
    @example([ok(r'{"next": "\ud800"}')] * 2, ("next", "cursor"))
    @example([ok('{"next": "https://' + ACCESS + '"}')], None)
    @given(
        scripts(answers(objects(values, next="/2", meta={"next": "3"}), 200)),
        one_of(
            [None, "next", "meta.next", ("meta.next", "cursor"), lambda page: page["next"]]
        ),
    )
    def test_pages(self, script, next):
        # A callable raises the last two itself.
        theirs = (KeyError, TypeError) if callable(next) else ()
        with Servers(script) as servers:
            client = servers.client()
            client.token = KNOWN

            def nine_pages():
                return list(itertools.islice(client.pages(HOME, next=next), 9))

            servers.attempt(nine_pages, ValueError, *theirs)

    @example([ok(json.dumps({**SERVER, "token_parameters": 5})), GOOD], "access_token")
    @example(
        [ok(json.dumps({**SERVER, "authorization_parameters": 5}))], "authorization_request"
    )
    @example([ok(json.dumps({**SERVER, "offline": "\x1b" * 999})), GOOD], "logout")
    @given(
        scripts(answers(metadata, 200), answers(metadata, 200)),
        one_of(
            [
                "access_token",
                "login",
                "logout",
                "authorization_request",
                "exchange",
                "discover",
            ]
        ),
    )
    def test_metadata(self, script, action):
        grant_type = DEVICE if action == "login" else "client_credentials"
        with Servers(script) as servers:
            client = servers.client(HOME, grant_type=grant_type)
            # A ValueError: there is no such endpoint.
            servers.attempt(lambda: call(client, action), ValueError)

    @example(
        [ok('{"user_code": "1", "verification_uri": "%s", "device_code": []}' % HOME), GOOD]
    )
    @example([ok('{"user_code": "1", "verification_uri": "%s"}' % SECRET)])
    @example([ok(json.dumps(
        {"user_code": "1", "device_code": "2", "verification_uri": hidden(SECRET)}))])
    @given(
        scripts(
            answers(
                objects(
                    values,
                    device_code=CODE,
                    user_code="ABCD",
                    interval=5,
                    expires_in=600,
                    verification_uri=HOME,
                ),
                200,
            ),
            answers(objects(values, error="authorization_pending"), 400),
            answers(objects(values, error="slow_down"), 400),
            answers(token_answers, 200, 400),
        )
    )
    def test_device_login(self, script):
        with Servers(script) as servers:
            client = servers.client(grant_type=DEVICE)
            servers.attempt(client.login)
            shown = servers.said.getvalue()
            self.assertTrue(shown.replace("\n", "").isprintable())

    @example("state=" + STATE + "&error=%20", "", 0)
    @given(
        pasted_addresses(STATE),
        one_of(["", "state=" + STATE, "code=1&state=" + STATE]),
        st.integers(0, 50),
    )
    def test_pasted_addresses(self, text, start, cut):
        text = start + text
        with Servers([GOOD]) as servers:
            client = servers.client()
            servers.attempt(lambda: client.exchange(ASKED, text))
            if servers.peers:
                self.assertIn("code=", text)
                self.assertIn("state=", text)
        pieces = [text[:cut], text[cut:], "\n", "", "\n"]
        typed = itertools.chain(pieces, itertools.repeat(""))
        with Servers([GOOD]) as servers:
            servers.replace(oauth2min, "_typed", typed.__next__)
            client = servers.client(grant_type=CODE_GRANT, redirect_uri=BACK)
            servers.attempt(lambda: client.login(False, timeout=2))

    @given(
        records,
        tokens,
        st.binary(),
        one_of(["object", "file", "bytes"]),
        scripts(answers(token_answers, 200)),
    )
    def test_stored_tokens(self, record, token, raw, kind, script):
        if isinstance(record, dict):
            fields = {name: token[name] for name in oauth2min.Token._fields}
            record.setdefault("token", fields)
        content = raw if kind == "bytes" else json.dumps(record).encode()
        with Servers(script) as servers, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            with open(path, "wb") as file:
                file.write(content)
            store = Store(record) if kind == "object" else path
            client = servers.client(store=store)
            servers.attempt(client.access_token)
            servers.attempt(lambda: repr(client.token))
            servers.attempt(client.logout)

    @given(metadata, scripts(), one_of(["access_token", "login", "refresh"]))
    def test_server_dicts(self, server, script, action):
        def make_and_use():
            client = servers.client(server, grant_type=DEVICE)
            return call(client, action)

        with Servers(script) as servers:
            servers.attempt(make_and_use, ValueError, TypeError)

    @given(callbacks, answers(token_answers, 200))
    def test_callback(self, requests, answer):
        right = "GET /callback?code=1&state=STATE HTTP/1.1\r\nHost: PLACE\r\n\r\n"
        pages = []

        def browse(url):
            query = urllib.parse.urlsplit(url).query
            asked = dict(urllib.parse.parse_qsl(query))
            place = urllib.parse.urlsplit(asked["redirect_uri"]).netloc
            for request in requests + [right]:
                sent = request.replace("STATE", asked["state"]).replace("PLACE", place)
                with contextlib.suppress(OSError):
                    page = visit(place, sent.encode("utf-8", "replace"))
                    pages.append((request, page))

        with Servers([answer]) as servers:
            client = servers.client(grant_type=CODE_GRANT)
            servers.attempt(lambda: client.login(browse))
        for request, page in pages:
            self.check_page(request, page)

    def check_page(self, request, page):
        ended = b"You are logged in" in page or b"The login failed" in page
        if ended:
            self.assertIn("state=STATE", request)
            self.assertNotRegex(request, "^PUT|Host: evil|state=x|code=1&code=2")
        if page.startswith(b"HTTP"):        # and not as HTTP/0.9 wants it
            allowed = [b"200"] if ended else [b"400", b"404", b"501"]
            self.assertIn(page[9:12], allowed)

    @given(
        scripts(answers(metadata, 200), answers(token_answers, 200)),
        one_of(
            [
                "login --no-browser --device",
                "token",
                "logout",
                "get /x",
                "get http:x",
                "get /x --pages",
                "get /x --json {}",
                "get /x --trace",
            ]
        ),
    )
    def test_command_line(self, script, command):
        name, *more = command.replace(" /", " " + HOME + "/").split()
        with Servers(script) as servers, tempfile.TemporaryDirectory() as folder:
            environment = {
                "OAUTH2_CLIENT_ID": ID,
                "OAUTH2_CLIENT_SECRET": SECRET,
                "XDG_STATE_HOME": folder,
            }
            servers.enter_context(mock.patch.dict(os.environ, environment, clear=True))
            servers.replace(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
            status = oauth2min.main([name, HOME, *more])
            told = servers.said.getvalue().splitlines()
            self.assertIn(status, (0, 1))
            if "--trace" in more:
                return
            if status:
                check(oauth2min.OAuth2Error(told.pop()), servers.secrets())
            if name not in ("login", "logout"):
                self.assertEqual(told, [])


def configured(test):
    """The test with our number of examples and our seed."""
    with_settings = settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,         # smaller examples sooner
        suppress_health_check=list(HealthCheck),
    )(test)
    return seed(SEED)(with_settings)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        EXAMPLES = int(sys.argv.pop(1))
    SEED = random.randrange(1 << 32)
    if len(sys.argv) > 1:
        SEED = int(sys.argv.pop(1))
    print("seed", SEED, "with", EXAMPLES, "examples for each test", flush=True)
    signal.signal(signal.SIGALRM, hang)
    for name, test in list(vars(Fuzz).items()):
        if name.startswith("test_"):
            setattr(Fuzz, name, configured(test))
    unittest.main(failfast=True)
