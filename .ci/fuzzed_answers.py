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
    header(["Link"], times(one_of(["<", "<>;", ";a=", '<>;"']), 60000)),
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
        ["Retry-After", "Date", "X-Rate-Limit-Reset"],
        st.one_of(numbers, anything, one_of(DATES)),
    ),
    header(
        ["Content-Type"],
        filled("text/{}; charset{}={}", words, one_of(["", "*", "*0"]), one_of(CHARSETS)),
    ),
    header(
        ["Content-Encoding", "Transfer-Encoding", "Connection"],
        one_of(["gzip", "chunked", "close", ""]),
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
