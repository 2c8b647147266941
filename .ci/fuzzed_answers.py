"""What fuzz_servers.py sends: what servers, users and files may say, for hypothesis.

Most of it is nearly right, as what is only noise never gets far into the library.
"""

import gzip
import json
import urllib.parse

from hypothesis import strategies as st
from scripted_connections import ACCESS, CODE, HOME, ID, REFRESH, SECRET, SERVER, VERIFIER

NAMES = """
    access_token token_type expires_in expires refresh_token scope error
    error_description error_uri message ok user_code device_code interval
    verification_url next meta
""".split()
FACTS = """
    pkce token_parameters authorization_parameters base_url allow_http offline
    token_endpoint_auth_method authorization_response_iss_parameter_supported
""".split()
ERRORS = """
    invalid_grant invalid_client authorization_pending slow_down access_denied
    expired_token insufficient_scope
""".split()
STARTS_OF_URLS = [
    "",
    "/",
    "?page=2",
    "next",
    HOME,
    "https:",
    "http:",
    "//",
    "http://localhost:1/",
    "%",
    "http://127.0.0.1:99999/",
    "http://a..b/",
    "file:",
    "http://a@b",
    ":",
    "\\",
]
DATES = ["Fri, 31 Dec 9999 23:59:59 -9999", "Thu, 01 Jan 1970 00:00:00 GMT", " ", "Mon, 0"]
CHARSETS = [
    "unicode_escape",
    "utf-7",
    "idna",
    "undefined",
    "hex",
    "utf-16",
    "''%E4",
    "\x00",
    "",
]
LARGEST = 100000        # bytes: what a pair of sockets holds


# --- Small pieces -------------------------------------------------------------------------

one_of = st.sampled_from


def mostly(good, bad):
    """The good ones nine times out of ten."""
    dice = st.integers(0, 9)
    return dice.flatmap(lambda number: bad if number == 9 else good)


def joined(*parts, size=5):
    return st.lists(st.one_of(*parts), max_size=size).map("".join)


def times(piece, most):
    """A piece again and again."""
    return st.builds(lambda text, number: text * number, piece, st.integers(0, most))


def filled(template, *parts):
    """The template with a value of each part in it."""
    return st.builds(template.format, *parts)


def spelt(secret):
    """A secret in the ways that a server may repeat it."""
    quoted = urllib.parse.quote(secret, "")
    each_byte = "".join("%%%02x" % byte for byte in secret.encode())
    return [
        secret,
        secret.upper(),
        each_byte,
        quoted,
        quoted.lower(),
        urllib.parse.quote(quoted),
        urllib.parse.quote_plus(secret),
    ]


SECRETS_AS_SENT = []
for secret in SECRET, ACCESS, REFRESH, CODE, VERIFIER:
    SECRETS_AS_SENT += spelt(secret)

anything = st.text(st.characters(), max_size=20)        # with lone surrogates
nothing = st.just("")
secrets = one_of(SECRETS_AS_SENT)
numbers = st.one_of(st.integers(), st.floats(), one_of([10**400, 9.5e9, 60, 1, 1e-9]))
starts = one_of(STARTS_OF_URLS)
places = filled("{}{}", starts, st.one_of(nothing, anything))
urls = filled("{}{}{}", starts, st.one_of(secrets, anything, nothing), starts)
words = st.one_of(
    secrets,
    one_of(ERRORS),
    urls,
    times(anything, 99),
    joined(anything, one_of(SECRETS_AS_SENT + ERRORS + [" ", ","]), size=4),
)


# --- JSON ---------------------------------------------------------------------------------


def objects(inner, names=NAMES, **usual):
    """Dicts with names that mean something; the `usual` values come most of the time."""
    usual_values = {}
    for name, value in usual.items():
        usual_values[name] = mostly(st.just(value), inner)
    more = st.dictionaries(mostly(one_of(names), anything), inner, max_size=3)
    return st.builds(
        lambda left, right: {**left, **right}, more, st.fixed_dictionaries(usual_values)
    )


def like_json(text):
    return st.recursive(
        st.one_of(st.none(), st.booleans(), numbers, text),
        lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)),
        max_leaves=6,
    )


values = like_json(words)
token_answers = objects(values, access_token=ACCESS, refresh_token=REFRESH, expires_in=3600)
metadata = objects(like_json(places), FACTS, **SERVER)


# --- What is stored -----------------------------------------------------------------------

records = mostly(
    objects(
        values,
        server=HOME,
        client_id=ID,
        grant_type="client_credentials",
        renew_at=0,
        scope="",
    ),
    values,
)
tokens = objects(
    values,
    access_token=ACCESS,
    token_type="Bearer",
    expires_at=0,
    refresh_token=REFRESH,
    scope="",
    raw=None,
)


# --- Headers ------------------------------------------------------------------------------


def header(names, value):
    """A line with one of the names."""
    return filled("{}: {}", one_of(names), value)


headers = st.one_of(
    header(["Link"], filled("<{}>; rel={}", urls, one_of(["next", '"up next"', "", '"']))),
    header(["Link"], times(one_of(["<", "<>;", ";a=", '<>;"', "'", ' "\\']), 60000)),
    header(["Link"], joined(urls, one_of(["<", ">", ";", "rel", "=", "next", '"', "'", ","]))),
    header(
        ["WWW-Authenticate"],
        joined(words, one_of(["Bearer", " ", ",", "=", '"', "\\", "error", "scope", "==", "'"])),
    ),
    header(
        ["WWW-Authenticate"],
        filled(
            'Bearer {}="{}", scope="{}"',
            one_of(["error", "error_description"]),
            words,
            words,
        ),
    ),
    header(
        ["Retry-After", "Date", "X-Rate-Limit-Reset", "X-RateLimit-Remaining"],
        st.one_of(numbers, anything, one_of(DATES)),
    ),
    header(
        ["Content-Type"],
        filled("text/{}; charset{}={}", words, one_of(["", "*", "*0"]), one_of(CHARSETS)),
    ),
    header(
        ["Content-Encoding", "Transfer-Encoding", "Connection"],
        one_of(["gzip", "x-gzip ", "gzip, gzip", "br", "chunked", "chunked ", "close", ""]),
    ),
    header(["Content-Length", "X"], st.one_of(numbers, words)),
)


# --- Bodies and whole answers -------------------------------------------------------------


def as_json(document, ensure_ascii):
    text = json.dumps(document, ensure_ascii=ensure_ascii)
    return text.encode("utf-8", "surrogatepass")


def as_form(fields):
    return urllib.parse.urlencode(fields, errors="replace").encode()


def bodies(documents):
    """JSON in one encoding or another, forms, and what is left of them on a bad day."""
    text = st.builds(as_json, documents, st.booleans())
    form = st.dictionaries(one_of(NAMES), words, max_size=4).map(as_form)
    deep = times(one_of([b"[", b'{"next":', b"9", b'error="\\']), 9999)
    broken = st.builds(
        lambda body, at, more: body[:at] + more + body[at:],
        text,
        st.integers(0, 60),
        st.binary(max_size=5),
    )
    return mostly(text, st.one_of(form, deep, broken, st.binary()))


def framed(framing, body):
    """The header lines that tell where the body ends, and the body in that form."""
    if framing in ("length", "short"):
        claimed = len(body) + (1 if framing == "short" else 0)
        return ["Content-Length: %d" % claimed], body
    if framing == "gzip":
        packed = gzip.compress(body)
        return ["Content-Encoding: gzip", "Content-Length: %d" % len(packed)], packed
    if framing == "torn":
        return ["Content-Encoding: gzip"], gzip.compress(body)[:-1]
    if framing == "open":
        return [], body
    size = "%x" % len(body) if framing == "chunked" else framing
    chunk = size.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    return ["Transfer-Encoding: chunked"], chunk


good_framings = one_of(["length", "open", "gzip", "chunked"])
bad_framings = one_of(["short", "torn", "-1", "-5", "F" * 20])  # the last are chunk sizes


@st.composite
def answers(draw, documents, *statuses):
    """A whole answer with a body that holds such a document."""
    bad_statuses = st.one_of(st.integers(-1, 1000), words)
    status = draw(mostly(one_of(statuses), bad_statuses))
    lines = ["HTTP/1.1 %s Words" % status]
    lines += draw(mostly(st.lists(headers, max_size=2), st.lists(words, max_size=2)))
    if status in (302, 307):
        lines.append("Location: " + draw(urls))
    body = draw(bodies(documents))
    framing, body = framed(draw(mostly(good_framings, bad_framings)), body)
    lines += framing
    head = "\r\n".join(lines) + "\r\n\r\n"
    return (head.encode("latin-1", "replace") + body)[:LARGEST]


any_answers = answers(values, 200, 200, 200, 302, 307, 400, 401, 401, 403, 429, 503)


def scripts(*first):
    """What one server after the other answers: these, and then two of any kind."""
    return st.tuples(*first, any_answers, any_answers)


# --- Answers whose one right reading is known -------------------------------------------

CODINGS = {
    "": [],
    "identity": [],
    "gzip": [gzip.compress],
    "gzip ": [gzip.compress],
    "\tX-GZip": [gzip.compress],
    "identity, gzip": [gzip.compress],
    ", gzip ,": [gzip.compress],
    "gzip, gzip": [gzip.compress] * 2,
    "gzip\r\nContent-Encoding: x-gzip": [gzip.compress] * 2,
}
HEAD_LINES = [
    "X: y",
    "X:",
    "X: a\r\n b",
    "X: \xe9",
    "Set-Cookie: a=b; c",
    "X-!#$%&'*+.^_`|~: 1",
    "Connection: close",
    "Connection: x, keep-alive",
    "Date: never",
    "Content-Type: a/b; charset=punycode; c=\";;;",
    "Link: <",
]
INTERIM = ["HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints\r\nLink: </x>", "HTTP/1.0 199"]
STATUS_LINES = ["HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 299 \xfc", "HTTP/1.9 200 "]
SIZES = ["{}", " {} ", "00{}", "{0}, {0}", "{0}\r\nContent-Length: {0}", "\r\n {}"]
CHUNK_LINES = ["{:x}", "{:X} ", "000{:x}", '{:x};a="b;c"', "{:x} ; a"]
TRAILERS = ["", "X: y\r\n", "X: y\r\nContent-Length: 9\r\n"]


def split(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@st.composite
def in_chunks(draw, data):
    """The data in chunks, each with its size in one of the ways that RFC 9112 allows."""
    body = b""
    for chunk in split(data, draw(st.integers(1, max(1, len(data))))):
        line = draw(one_of(CHUNK_LINES)).format(len(chunk))
        body += line.encode() + b"\r\n" + chunk + b"\r\n"
        if len(body) > LARGEST:
            break
    return body + b"0\r\n" + draw(one_of(TRAILERS)).encode() + b"\r\n"


@st.composite
def known_answers(draw, *framings):
    """A whole answer, its body as it comes, and what the body holds."""
    content = draw(st.one_of(st.binary(), times(one_of([b"x", b"\0\xff"]), 9999)))
    value, encoders = draw(one_of(sorted(CODINGS.items(), key=str)))
    body = content
    if encoders:
        members = split(content, draw(st.integers(max(1, len(content) // 3), 10000)))
        body = b"".join(map(gzip.compress, members or [b""]))
        for encode in encoders[1:]:
            body = encode(body)
    lines = draw(st.lists(one_of(HEAD_LINES), max_size=4))
    if value or draw(st.booleans()):
        lines.append("Content-Encoding: " + value)
    sent = body
    framing = draw(one_of(framings))
    if framing == "chunked":
        lines.append("Transfer-Encoding: " + draw(one_of(["chunked", "Chunked ", "\tchunked"])))
        sent = draw(in_chunks(body))
    elif framing == "length":
        lines.append("Content-Length: " + draw(one_of(SIZES)).format(len(body)))
    interim = "".join(line + "\r\n\r\n" for line in draw(st.lists(one_of(INTERIM), max_size=3)))
    lines = draw(st.permutations(lines))
    head = "\r\n".join([draw(one_of(STATUS_LINES)), *lines, "", ""])
    if draw(st.booleans()):
        head = head.replace("\r\n", "\n")
    return (interim + head).encode("latin-1"), sent, body, content


def quoted(text):
    """A quoted string (RFC 9110 section 5.6.4), in which a letter may have a backslash."""
    escaped = "".join("\\" + letter if letter in '"\\x' else letter for letter in text)
    return '"%s"' % escaped


@st.composite
def parameters(draw, **fixed):
    """The parameters of a challenge, in any order and spelling of their names."""
    texts = st.text("ab x,=;<>'\"\\/", max_size=9)
    others = draw(st.sets(one_of(["realm", "a"])))
    found = ["%s=%s" % (name, quoted(draw(texts))) for name in sorted(others)]
    for name, value in fixed.items():
        spelling = draw(one_of([name, name.upper(), name.title()]))
        sign = draw(one_of(["=", " =", "= ", " = "]))
        found.append(spelling + sign + draw(one_of([value, quoted(value)])))
    return draw(one_of([", ", ",", " , ", ",, "])).join(draw(st.permutations(found)))


other_challenges = st.one_of(
    one_of(["Negotiate", "NTLM TlRMTVNT==", "Negotiate oY/G+MIGD=", "Basic"]),
    filled("Digest {}", parameters(error="another", scope="another")),
    filled("DPoP {}", parameters(error="another")),
)
bearer_challenges = filled(
    "{} {}",
    one_of(["Bearer", "BEARER", "bearer"]),
    parameters(error="insufficient_scope", scope="admin"),
)


@st.composite
def known_challenges(draw):
    """The lines of an answer whose one Bearer challenge says insufficient_scope, admin."""
    others = draw(st.lists(other_challenges, max_size=3))
    challenges = draw(st.permutations([*others, draw(bearer_challenges)]))
    name = draw(one_of(["WWW-Authenticate", "www-authenticate"]))
    if draw(st.booleans()):
        return ["%s: %s" % (name, ", ".join(challenges))]
    return ["%s: %s" % (name, challenge) for challenge in challenges]


# How a page can say that the next one is /2, and how `pages` has to be told.
LINKED = [
    (["Link: </2>; rel=next"], [], None),
    (["Link: </2>;rel='next'"], [], None),
    (['link: </1?a=1,2;rel=next>; rel="prev", </2>; title="a, \\"b"; REL="last Next"'], {}, None),
    (["Link: </1>; rel=prev", 'Link: </2> ; rel = "next"'], {"next": 7}, None),
    (["Link: </9>; rel=last"], {"next": "/2"}, None),
    ([], {"next": "2"}, None),
    ([], {"next": {"href": "/2"}}, None),
    ([], {"@odata.nextLink": HOME + "/2"}, None),
    ([], {"links": {"next": "/2", "last": "/9"}}, None),
    ([], {"_links": {"next": {"href": "/2"}, "self": {"href": "/1"}}}, None),
    ([], {"paging": {"next": "/2"}, "items": [{"next": "/9"}]}, None),
    ([], {"a": {"b": "/2"}, "next": "/9"}, "a.b"),
    ([], {"a.b": "/2"}, "a.b"),
    ([], [["/2"]], lambda page: page[0][0] if page else None),
]
# What looks like a next page and is no link: never the end.
UNCLEAR = [
    {"next": 2},
    {"next": True},
    {"next": ["/2"]},
    {"next": {"id": 2}},
    {"next": {"href": 2}},
    {"links": {"next": 2.5}},
    {"a": {"next": "/2"}, "b": {"next": "/3"}},
]


# --- What a user types, and what comes to the listener ------------------------------------


def pasted_addresses(state):
    pieces = [
        "?",
        "&",
        "&code=" + CODE,
        "&state=" + state,
        "&iss=" + HOME,
        "&iss=x",
        "&error=",
        "&error_description=",
        "&error_uri=",
        "\n",
    ]
    return joined(one_of(pieces), words, size=8)


# STATE and PLACE stand for the state of the login and for where the listener is.
nearly_right_callbacks = filled(
    "{} {}?{}{}{} HTTP/1.1\r\n{}\r\n\r\n",
    one_of(["GET", "POST", "PUT"]),
    one_of(["/callback", "/callback", "/"]),
    one_of(["state=STATE", "state=x", ""]),
    one_of(["&code=1", "&error=no", ""]),
    one_of(["", "&state=x", "&code=2"]),
    one_of(["Host: PLACE", "Host: PLACE", "Host: evil", ""]),
)
broken_callbacks = joined(
    one_of(
        [
            "GET ",
            "POST ",
            "/callback?state=STATE&code=1",
            " HTTP/1.1",
            "\r\n",
            "\x00",
            "\r\n\r\n",
            "Host: PLACE\r\n",
            "Content-Length: 9",
            "Expect: 100-continue",
        ]
    ),
    anything,
    size=9,
)
callbacks = st.lists(mostly(nearly_right_callbacks, broken_callbacks), max_size=5)
