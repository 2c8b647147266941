"""What a stranger sends costs a straight line: CPU time and memory for 1, 2 and 4 parts of it.

    python3 .ci/check_linear.py             # all
    python3 .ci/check_linear.py charset     # those with this word in their name

Each thing is sent in three sizes, the largest of which is 4 MB, or as much as the library takes
of that kind (a token answer, an error, a head). It passes if four times as much takes at most
BEND times as long, and never more than SECONDS for each MB; and if no more memory is taken than
so many bytes for each byte, which differs by what is made of it. The time is that of the CPU,
the memory what Python's objects take at most (tracemalloc), so that other programs on the machine
do not count. Each thing has a process of its own, and another process is the server.

In the end it judges two ways to read JSON that are not straight, to show that it sees them.
It needs a system with fork().
"""

import contextlib
import gzip
import itertools
import json
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.request
from urllib.parse import parse_qs, urlsplit

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path.insert(0, ROOT)
import oauth2min  # noqa: E402
from oauth2min import Client, Token, TokenFile  # noqa: E402

BEND = 8            # a straight line has 4, a parabola 16
MEASURABLE = 0.2    # seconds: a shorter time says nothing about the form of the line
SECONDS = 3         # of CPU time for each MB: five times what the slowest takes
TOO_LONG = 60       # seconds of CPU time for one thing: then it ends
SLACK = 2000000     # bytes that do not count, for they do not grow: buffers, caches
MB = 1 << 20
PART = MB                       # so the sizes are 1, 2 and 4 MB
PART_OF_ANSWER = MB // 4 - 100  # of token answers, errors, metadata: the library takes 1 MB
PART_OF_HEAD = 15000            # of a head: it takes 64 kB
MEMORY_OF_HEAD = 100            # bytes for each byte of it: 6 MB at most
TIMES = 10                      # that often a head is sent, or it is too short to be measured
SECRET = "secret-of-the-client"
ACCESS = "token-of-the-client"
JSON = "Content-Type: application/json"
CODE = "authorization_code"


class Thing:
    """Something that a stranger may send: `data` makes it, of about so many bytes, and `use`
    does what a user does, and gets the size. memory: bytes for each byte that are in order."""

    def __init__(self, name, part, memory, use, data):
        self.name = name
        self.part = part
        self.memory = memory
        self.use = use
        self.data = data


THINGS = []


def thing(name, part, memory, use, data):
    THINGS.append(Thing(name, part, memory, use, data))


# --- The server ---------------------------------------------------------------------------


def message(status, lines, body):
    head = ["HTTP/1.1 %d Words" % status, "Connection: close", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def whole(body, *lines, status=200):
    return message(status, ["Content-Length: %d" % len(body), *lines], body)


def serve(listener):
    """Answers /NUMBER/SIZE/... with that thing, in that size, without an end."""
    answers = {}
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            path = file.readline().split()[1].decode()
            size = 0
            for line in iter(file.readline, b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            file.read(size)
            connection.sendall(answer_to(path, answers))


def answer_to(path, answers):
    """`answers` has the last one, which is often asked for again."""
    if path.endswith("/good-token"):
        return whole(b'{"access_token": "%s"}' % ACCESS.encode())
    found = re.search("/([0-9]+)/([0-9]+)", path)
    if not found:           # a hostile redirect leads here
        return whole(b"{}")
    number, size = map(int, found.groups())
    if (number, size) not in answers:
        answers.clear()
        answers[number, size] = THINGS[number].data(size)
    return answers[number, size]


# --- How it is used -----------------------------------------------------------------------


def client(url, endpoint="/token", **more):
    server = {
        "token_endpoint": url + endpoint,
        "authorization_endpoint": url + "/authorization",
        "device_authorization_endpoint": url + "/device",
    }
    no_proxy = urllib.request.ProxyHandler({})
    more.setdefault("base_url", url)
    return Client(server, "client", SECRET, timeout=TOO_LONG, handlers=[no_proxy], **more)


def user_of(url, **more):
    user = client(url, **more)
    user.token = Token(ACCESS)
    return user


def failing(function, *arguments):
    """Calls it, and shows what its error would say."""
    try:
        function(*arguments)
    except (oauth2min.OAuth2Error, OSError, ValueError) as error:
        return str(error) + repr(error)
    return ""


def get(url, size):
    failing(user_of(url).get, "x")


def get_traced(url, size):
    failing(user_of(url, trace=str).get, "x")


def get_often(url, size):
    user = user_of(url)
    for _ in range(TIMES):
        failing(user.get, "x")


def text(url, size):
    failing(lambda: user_of(url).get("x").text)


def text_often(url, size):
    for _ in range(TIMES):
        text(url, size)


def parsed(url, size):
    failing(lambda: user_of(url).get("x").json())


def read_stream(url, size):
    def read():
        with user_of(url).open(url + "/x") as stream:
            while stream.read(1 << 14):
                pass

    failing(read)


def listing_often(url, size):
    for _ in range(TIMES):
        failing(lambda: [None for _ in zip(range(2), user_of(url).pages("x"))])


def token(url, size):
    failing(client(url).access_token)


def token_traced(url, size):
    failing(client(url, trace=str).access_token)


def renewal(url, size):
    user = client(url, grant_type=CODE)
    user.token = Token(ACCESS, expires_at=1, refresh_token="refresh-token")
    failing(user.access_token)


def discovery(url, size):
    failing(oauth2min.discover, url)


def device(url, size):
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    failing(client(url, grant_type=grant).login, False, 0)


def stored(url, size):
    number = int(url.split("/")[-2])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "wb") as file:
            file.write(THINGS[number].data(size))
        failing(TokenFile(path).load)
        with open(path, "wb") as file:
            file.write(THINGS[number].data(size))
        failing(lambda: client(url, store=path).token)


def exchanged(url, size):
    """A web application gets it from whoever opens its address."""
    number = int(url.split("/")[-2])
    user = client(url, grant_type=CODE)
    asked = user.authorization_request("https://app.example/back")
    answer = THINGS[number].data(size).replace("STATE", asked.state)
    failing(user.exchange, asked, answer)


def pasted(url, size):
    """As a terminal gives it: in blocks, and the rest of the world does not wait for it."""
    number = int(url.split("/")[-2])
    typed = THINGS[number].data(size) + "\n"
    blocks = [typed[at : at + (1 << 14)] for at in range(0, len(typed), 1 << 14)]
    oauth2min._typed = iter(blocks + [""] * 9).__next__
    user = client(url, grant_type=CODE, redirect_uri="https://127.0.0.1/callback")
    with contextlib.suppress(StopIteration):    # nothing more is typed
        user.login(lambda url: None, TOO_LONG)


def callback(url, size):
    """Any web page can make the user's browser send something to the listener."""
    number = int(url.split("/")[-2])
    hostile = THINGS[number].data(size)
    user = client(url, "/good-token", grant_type=CODE)

    def browse(address):
        query = parse_qs(urlsplit(address).query)
        place = urlsplit(query["redirect_uri"][0])
        state = query["state"][0]
        good = "GET /callback?code=1&state=%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (
            state,
            place.netloc,
        )
        sent = hostile.replace("STATE", state).replace("PLACE", place.netloc)
        for request in sent, good:
            visit(place, request.encode("latin-1"))

    user.login(browse)


def visit(place, request):
    """Sends it, and hears the answer to its end, or until the listener hangs up."""
    with contextlib.suppress(OSError):
        with socket.create_connection((place.hostname, place.port), 9) as browser:
            sender = threading.Thread(target=send, args=(browser, request))
            sender.start()
            while browser.recv(1 << 14):
                pass
            sender.join()


def send(browser, request):
    with contextlib.suppress(OSError):
        browser.sendall(request)
        browser.shutdown(socket.SHUT_WR)


# --- Bodies, whole, in chunks and compressed ----------------------------------------------


def fill(piece, size):
    """The piece again and again, up to the size."""
    return (piece * (size // len(piece) + 1))[:size]


def repeated(piece, size):
    """As often as it fits whole."""
    return piece * (size // len(piece))


def chunked(size, chunk, *lines):
    body = repeated(chunk, size) + b"0\r\n\r\n"
    return message(200, ["Transfer-Encoding: chunked", *lines], body)


def packed(data, coding="gzip"):
    return whole(data, "Content-Encoding: " + coding)


def noise(size):
    """What cannot be compressed, and is the same each time."""
    numbers = bytes((at * at * 7 + at // 251) % 256 for at in range(65521))
    return fill(numbers, size)


EMPTY_MEMBER = gzip.compress(b"")
NAMED = b"\x1f\x8b\x08\x08" + bytes(6)     # the start of a member that has a name
for name, memory, data in [
    ("bytes", 3, lambda size: whole(noise(size))),
    ("bytes until the end", 3, lambda size: message(200, [], noise(size))),
    ("chunks of one byte", 1, lambda size: chunked(size, b"1\r\nx\r\n")),
    ("chunks with extensions", 1, lambda size: chunked(size, b"1;a=bcdefgh\r\nx\r\n")),
    ("chunk sizes with zeros", 1, lambda size: chunked(size, b"000000000000001\r\nx\r\n")),
    ("gzip of noise", 3, lambda size: packed(gzip.compress(noise(size)))),
    ("gzip of zeros", 3, lambda size: packed(gzip.compress(bytes(size)))),
    (
        "gzip in gzip",
        3,
        lambda size: packed(gzip.compress(gzip.compress(bytes(size))), "gzip,gzip"),
    ),
    ("gzip of empty members", 1, lambda size: packed(repeated(EMPTY_MEMBER, size))),
    (
        "gzip in gzip of empty members",
        1,
        lambda size: packed(gzip.compress(repeated(EMPTY_MEMBER, size)), "gzip, gzip"),
    ),
    ("gzip, then junk", 1, lambda size: packed(gzip.compress(b"x") + noise(size))),
    (
        "gzip with a long name",
        1,
        lambda size: packed(NAMED + b"x" * size + b"\0" + EMPTY_MEMBER[10:]),
    ),
    ("no gzip, but called so", 1, lambda size: packed(noise(size))),
    (
        "gzip in chunks of one byte",
        1,
        lambda size: message(
            200,
            ["Transfer-Encoding: chunked", "Content-Encoding: gzip"],
            b"".join(b"1\r\n%c\r\n" % byte for byte in gzip.compress(noise(size // 6)))
            + b"0\r\n\r\n",
        ),
    ),
    ("coding that is not known", 1, lambda size: packed(noise(size), "br")),
]:
    thing("answer: " + name, PART, memory, get, data)
    thing("stream: " + name, PART, 1, read_stream, data)


# --- Texts in charsets --------------------------------------------------------------------

# The library must start none of the first: some take the square of the length.
FORBIDDEN = """
    punycode idna unicode_escape raw_unicode_escape utf-7 hz rot13 zip hex base64 unknown
""".split()
CHARSETS = """
    utf-8 us-ascii latin-1 iso-8859-15 cp1252 windows-1251 utf-16 utf-16le utf-16be utf-32
    utf-32le gb2312 gbk gb18030 big5 euc-jp euc-kr shift_jis iso-2022-jp
""".split()
FORBIDDEN_PIECES = b"-a", b"\\x41"
PIECES = b"\xff", b"\x81", b"\x1b$B", b"\xd8\x00"
for charset, piece in [
    *itertools.product(FORBIDDEN, FORBIDDEN_PIECES),
    *itertools.product(CHARSETS, PIECES),
]:
    line = "Content-Type: text/plain; charset=" + charset
    thing(
        "text: charset %s, %r" % (charset, piece),
        PART,
        8,              # the body, then the text: 2 bytes a character, and once more
        text,
        lambda size, line=line, piece=piece: whole(fill(piece, size), line),
    )


# --- JSON ---------------------------------------------------------------------------------

# What of it is made into objects, and how many bytes an object has, is the module json's.
HOSTILE_JSON = [
    # name, bytes for each byte, text of this size
    ("a long string", 5, lambda size: b'{"error": "%s"}' % (b"x" * (size - 14))),
    ("escapes", 5, lambda size: b'{"error": "%s"}' % repeated(b"\\u0041", size - 14)),
    ("half pairs", 5, lambda size: b'{"message": "%s"}' % repeated(b"\\ud800", size - 16)),
    ("backslashes", 5, lambda size: b'{"token": "%s' % (b"\\" * (size - 11))),
    ("quotes", 5, lambda size: fill(b'"token":', size)),
    ("blanks after a name", 3, lambda size: b'{"token"' + b" " * (size - 9) + b"}"),
    ("blanks", 3, lambda size: b" " * size),
    ("deep lists", 4, lambda size: b"[" * size),
    ("deep objects", 4, lambda size: fill(b'{"error":', size)),
    ("deep and closed", 4, lambda size: b"[" * (size // 2) + b"]" * (size // 2)),
    ("numbers", 12, lambda size: b"[" + repeated(b"1,", size - 3) + b"1]"),
    ("floats", 20, lambda size: b"[" + repeated(b"1e5,", size - 3) + b"1]"),
    ("empty lists", 55, lambda size: b"[" + repeated(b"[],", size - 3) + b"1]"),
    ("empty objects", 55, lambda size: b"[" + repeated(b"{},", size - 3) + b"1]"),
    ("small objects", 55, lambda size: b"[" + repeated(b'{"error":1},', size - 3) + b"1]"),
    ("names", 30, lambda size: b"{%s}" % b",".join(b'"%x":1' % at for at in range(size // 9))),
    ("a long integer", 3, lambda size: b"9" * size),
    ("a long integer inside", 3, lambda size: b'{"expires_in": %s}' % (b"9" * (size - 17))),
    ("a long float", 3, lambda size: b"9" * (size - 2) + b".5"),
    ("a long exponent", 3, lambda size: b"1e" + b"9" * (size - 2)),
    ("zeros", 3, lambda size: b"0" * size),
    ("UTF-16", 8, lambda size: ('["%s"]' % ("x" * (size // 2 - 4))).encode("utf-16-le")),
    ("half of UTF-32", 5, lambda size: b"\0\0\0[" * (size // 4)),
]
HOSTILE_FORMS = [
    ("pairs", 120, lambda size: fill(b"a=b&", size)),
    ("ampersands", 60, lambda size: b"&" * size),
    ("names that are the same", 120, lambda size: fill(b"error=x&", size)),
    ("percents", 20, lambda size: b"error=" + b"%" * (size - 6)),
    ("quoted", 60, lambda size: b"error=" + repeated(b"%41", size - 6)),
    ("plus signs", 20, lambda size: b"error=" + b"+" * (size - 6)),
    ("half quoted", 60, lambda size: b"access_token=" + repeated(b"%f", size - 13)),
    ("lines", 20, lambda size: b"\n" * size),
]
for name, memory, data in HOSTILE_JSON:
    def good(size, data=data):
        return whole(data(size), JSON)

    def bad(size, data=data):
        return whole(data(size), JSON, status=400)

    thing("answer: json, " + name, PART, memory + 3, parsed, good)
    thing("answer with a trace: json, " + name, PART, 4, get_traced, good)
    thing("error: json, " + name, PART_OF_ANSWER, memory + 6, get, bad)
    thing("metadata: json, " + name, PART_OF_ANSWER, memory + 6, discovery, good)
    thing("stored file: json, " + name, PART, memory + 6, stored, data)
for name, memory, data in HOSTILE_JSON + HOSTILE_FORMS:
    def good(size, data=data):
        return whole(data(size))

    def bad(size, data=data):
        return whole(data(size), status=400)

    thing("token answer: " + name, PART_OF_ANSWER, memory + 8, token, good)
    thing("token answer with a trace: " + name, PART_OF_ANSWER, memory + 8, token_traced, good)
    thing("token error: " + name, PART_OF_ANSWER, memory + 8, renewal, bad)
    thing("device answer: " + name, PART_OF_ANSWER, memory + 8, device, good)


# --- Heads --------------------------------------------------------------------------------

CHALLENGES = {
    "quoted quotes": ('Bearer x="', '\\"'),
    "backslashes": ('Bearer x="', "\\"),
    "equals signs": ("Bearer ", "a="),
    "quotes": ("Bearer ", '"'),
    "single quotes": ("Bearer a=", "'"),
    "names with blanks": ("Bearer ", "a "),
    "blanks": ("Bearer a", " "),
    "blanks after an equals sign": ("Bearer a=", " "),
    "commas": ("Bearer", ","),
    "schemes": ("", "Bearer,"),
    "parameters": ("Bearer ", 'error="x",'),
    "token68": ("Negotiate ", "abc/+="),
    "long name": ("Bearer ", "x"),
    "angles": ("", "<"),
}
LINKS = {
    "angles": ("", "<"),
    "targets": ("", "<a>"),
    "targets and names": ("", "<a>;b"),
    "targets and quotes": ("", '<a>;"'),
    "backslashes": ('<a>;rel="', "\\"),
    "quoted quotes": ('<a>;rel="', '\\"'),
    "single quotes": ("<a>;rel=", "'"),
    "blanks": ("<a>; rel", " "),
    "blanks after an equals sign": ("<a>; rel=", " "),
    "words": ('<a>; rel="', "x "),
    "parameters": ("<a>", ";rel=x"),
    "next": ("", "</a>;rel=next,"),
    "long target": ("<", "a"),
}
TYPES = {
    "semicolons in quotes": ('a/b; c="', ";"),
    "semicolons": ("a/b", ";"),
    "blanks": ("a/b;", " "),
    "blanks after charset": ("a/b; charset=", " "),
    "charset": ("a/b", "; charset "),
    "charset=": ("a/b", "; charset="),
    "quotes": ("a/b; charset=", "\"'"),
    "numbered": ("a/b", ";charset*0=a"),
    "long name": ("a/b; charset=", "x"),
}
OTHERS = {
    "Retry-After: digits": ("Retry-After: ", "9"),
    "Retry-After: days": ("Retry-After: ", "Mon, "),
    "Retry-After: numbers": ("Retry-After: ", "1 "),
    "Retry-After: colons": ("Retry-After: Fri, 31 Dec 9999 ", "1:"),
    "Date: numbers": ("Retry-After: 1\r\nDate: ", "1 "),
    "Date: parentheses": ("Retry-After: 1\r\nDate: ", "("),
    "X-RateLimit-Reset: digits": ("X-RateLimit-Reset: ", "9"),
    "Location: colons": ("Location: ", ":"),
    "Location: slashes": ("Location: ", "/"),
    "Location: dots": ("Location: /", "../"),
    "Location: percents": ("Location: /", "%"),
    "Location: at signs": ("Location: http://", "@"),
    "Location: brackets": ("Location: http://", "["),
    "Location: letters that are not ASCII": ("Location: /", "\xe9"),
    "Content-Encoding: commas": ("Content-Encoding: ", ","),
    "Content-Encoding: gzip": ("Content-Encoding: ", "gzip,"),
    "Content-Length: commas": ("Content-Length: ", "0,"),
    "Content-Length: zeros": ("Content-Length: ", "0"),
    "Transfer-Encoding: commas": ("Transfer-Encoding: ", "chunked,"),
    "Connection: blanks": ("Connection: ", " ,"),
    "a line that goes on": ("X: ", "\r\n y"),
    "a line that goes on, with blanks": ("X: y\r\n", " "),
    "a name without an end": ("", "x"),
    "no name": ("", ":"),
    "carriage returns": ("X: ", "\r"),
    "lines": ("X: y\r\n", "\r\nX: y"),
    "Set-Cookie": ("Set-Cookie: ", "a=b; "),
}


def head(status, start, piece, size, body=b'{"message": "no"}'):
    line = start + repeated(piece, size - len(start))
    if start.startswith(("Content-Length", "Transfer-Encoding")):
        return message(status, [line], body)
    return whole(body, line, status=status)


def heads(label, status, use, field, pieces):
    for name, (start, piece) in pieces.items():
        thing(
            "%s: %s" % (label, name),
            PART_OF_HEAD,
            MEMORY_OF_HEAD,
            use,
            lambda size, line=field + start, piece=piece: head(status, line, piece, size),
        )


heads("challenge", 403, get_often, "WWW-Authenticate: ", CHALLENGES)
heads("link", 200, listing_often, "Link: ", LINKS)
heads("type", 200, text_often, "Content-Type: ", TYPES)
heads("type of an error", 400, get_often, "Content-Type: ", TYPES)
for status in 200, 302, 429:
    heads("head of a %d" % status, status, get_often, "", OTHERS)
thing(
    "head: interim answers",
    PART_OF_HEAD,
    MEMORY_OF_HEAD,
    get_often,
    lambda size: fill(b"HTTP/1.1 103 X\r\nA: b\r\n\r\n", size) + whole(b"{}"),
)
thing(
    "head: a status line",
    PART_OF_HEAD,
    MEMORY_OF_HEAD,
    get_often,
    lambda size: b"HTTP/1.1 200 " + b" x" * (size // 2) + b"\r\n\r\n",
)
thing(
    "trailer: many lines, after each of many bodies",
    PART_OF_HEAD,
    MEMORY_OF_HEAD,
    get_often,
    lambda size: message(200, ["Transfer-Encoding: chunked"], b"0\r\n" + fill(b"X: y\r\n", size)),
)


# --- The way back of a login ----------------------------------------------------------------

QUERIES = {
    "ampersands": "&",
    "equals signs": "=",
    "pairs": "a=b&",
    "states": "state=STATE&",
    "codes": "code=1&",
    "percents": "%",
    "quoted": "%41",
    "plus signs": "+",
    "question marks": "?",
    "number signs": "#",
    "colons": ":",
    "slashes": "/",
    "letters": "x",
    "words": "x ",
    "no ASCII": "\xe9",
}
for name, word in QUERIES.items():
    def answer(size, piece=word):
        start = "https://app.example/back?state=STATE&error=x&error_description="
        return start + repeated(piece, size)

    def address(size, piece=word):
        return "https://127.0.0.1/callback?code=1&state=x&" + repeated(piece, size)

    def request(size, piece=word):
        query = repeated(piece, size).replace(" ", "+")
        return "GET /callback?%s HTTP/1.1\r\nHost: PLACE\r\n\r\n" % query

    def form(size, piece=word):
        body = repeated(piece, size)
        return (
            "POST /callback HTTP/1.1\r\nHost: PLACE\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )

    def lines(size, piece=word):
        line = "X: %s\r\n" % repeated(piece, 60000)
        return "GET /callback HTTP/1.1\r\nHost: PLACE\r\n" + repeated(line, size) + "\r\n"

    thing("exchange: " + name, PART, 60, exchanged, answer)
    if name in ("ampersands", "pairs", "percents", "letters", "words"):
        thing("pasted: " + name, PART, 60, pasted, address)
    thing("callback, query: " + name, PART_OF_HEAD, MEMORY_OF_HEAD, callback, request)
    thing("callback, form: " + name, PART, 40, callback, form)
    thing("callback, head: " + name, PART, 40, callback, lines)


# --- Measuring ----------------------------------------------------------------------------


class NotStraight(Exception):
    """The message says what is beyond its bound."""


def time_of(use, url, size):
    start = time.process_time()
    use(url, size)
    return time.process_time() - start


def memory_of(use, url, size):
    """The most that Python's objects take, beside what they took before."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    use(url, size)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most - before


def measured(thing, home):
    """(size, seconds, bytes) for each of the three sizes."""
    address = "%s/%d/" % (home, THINGS.index(thing))
    thing.use(address + "1000", 1000)       # what is only loaded once does not count
    found = []
    for times in 1, 2, 4:
        size = thing.part * times
        url = address + str(size)
        seconds = time_of(thing.use, url, size)
        found.append((size, seconds, memory_of(thing.use, url, size)))
    return found


def judge(thing, found):
    """NotStraight: it takes more than the bounds allow."""
    (_, first, _), _, (size, last, _) = found
    if last > MEASURABLE and last > BEND * first:
        raise NotStraight("four times as much takes %.1f times as long" % (last / first))
    if last > SECONDS and last / size > SECONDS / MB:
        raise NotStraight("%.1f seconds for %d bytes" % (last, size))
    for size, _, memory in found:
        if memory > thing.memory * size + SLACK:
            each = memory / size
            raise NotStraight("%d bytes for %d, %.0f for each" % (memory, size, each))


def checked(thing, home):
    """Measures and judges it, up to three times: the fastest run tells what it costs."""
    for attempt in range(3):
        found = measured(thing, home)
        try:
            judge(thing, found)
            return found
        except NotStraight:
            if attempt == 2:
                raise
    return None


def in_a_process(thing, home):
    """(whether it is straight, what it took or what is wrong), of a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_CPU, (TOO_LONG, TOO_LONG))
        signal.alarm(10 * TOO_LONG)     # if it only waits
        sys.stderr = open(os.devnull, "w")
        try:
            answer = True, checked(thing, home)
        except NotStraight as error:
            answer = False, str(error)
        except BaseException as error:
            answer = False, "%s: %s" % (type(error).__name__, error)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        told = file.read()
    os.waitpid(process, 0)
    return json.loads(told.decode()) if told else (False, "it does not end")


# --- Two ways that are not straight -------------------------------------------------------

real_loads = json.loads


def with_the_square(text, **more):
    """Looks at the rest of the text again and again."""
    for at in range(0, len(text), 4000):
        text[at:].count(text[:1] * 9)
    return real_loads(text, **more)


def with_much_memory(text, **more):
    pieces = list(text) + list(text)
    return real_loads(text[: len(pieces)], **more)


def is_seen(loads, home):
    """Whether the check fails where JSON is read like this."""
    wrong = next(thing for thing in THINGS if thing.name == "answer: json, a long string")
    json.loads = loads
    try:
        good, told = in_a_process(wrong, home)
    finally:
        json.loads = real_loads
    print("%s  seen: %s, %s" % ("FAIL" if good else "ok  ", loads.__name__, told), flush=True)
    return not good


def main(words):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    home = "http://127.0.0.1:%d" % listener.getsockname()[1]
    server = os.fork()
    if not server:
        serve(listener)
    listener.close()        # if the server ends, nobody waits for it
    failed = 0
    chosen = [thing for thing in THINGS if all(word in thing.name for word in words)]
    worst = {}
    try:
        for thing in chosen:
            good, told = in_a_process(thing, home)
            if not good:
                failed += 1
                print("FAIL  %s: %s" % (thing.name, told), flush=True)
                continue
            kind = thing.name.partition(":")[0]
            size, seconds, memory = told[-1]
            figures = seconds / size * MB, memory / size
            worst.setdefault(kind, []).append((*figures, thing.name))
        for kind, rows in worst.items():
            seconds, _, slowest = max(rows)
            memory, largest = max((row[1], row[2]) for row in rows)
            print(
                "ok    %d of %s: at most %.2f s for each MB (%s), %.1f bytes for each (%s)"
                % (len(rows), kind, seconds, slowest, memory, largest)
            )
        for loads in with_the_square, with_much_memory:
            failed += not is_seen(loads, home)
    finally:
        if os.waitpid(server, os.WNOHANG)[0]:
            failed += 1
            print("FAIL  the server has ended: what came after that says nothing")
        else:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
    print("%d things, %d are not straight" % (len(chosen), failed))
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
