"""Tests of oauth2min: `python3 -m unittest` from the root, without a network.

Wherever a real server on 127.0.0.1 can answer, one does: examples/fake_server.py, which
is stricter than most. The name of a test is the rule that it holds the file to; the
docstring of a class names the clause of the standard, or what is promised to users. A
comment `# inside:` marks a test that touches what is not public. The sections:

    0   Helpers
    1   The file, errors, token
    2   Client: making one, requests, responses, pages, logging in and out, the grants
    3   Keeping the token: renewal, stores
    4   Authorization request: what is asked, reading the answer
    5   Token endpoint: the client's name, the answers, errors, what real servers send
    6   Token file
    7   Loopback and terminal: the listener, its neighbours, pasting, devices
    8   HTTP: bearer, redirects, connections, heads, streams, proxies, TLS, rate limits,
        gzip, traces
    9   Servers: discovery, providers
    10  Command line
"""

import ast
import base64
import contextlib
import email.utils
import errno
import gc
import gzip
import hashlib
import inspect
import io
import json
import os
import pickle
import pprint
import re
import select
import shlex
import shutil
import signal
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import tokenize
import traceback
import types
import unittest
import urllib.parse
import urllib.request
import urllib.response
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from unittest import mock
from urllib.error import URLError

try:
    import ssl
except ImportError:
    ssl = None
try:
    import tracemalloc
except ImportError:  # as in PyPy
    tracemalloc = None

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "examples")]

import oauth2min
from fake_server import FakeServer, fetch
from oauth2min import (
    PROVIDERS,
    AuthorizationError,
    AuthorizationRequest,
    Client,
    LoginRequired,
    OAuth2Error,
    RateLimited,
    ResponseError,
    StoreError,
    Token,
    TokenError,
    TokenFile,
    UnsafeURL,
    discover,
)

SCOPE = "user-library-read user-follow-read"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
FORM = "application/x-www-form-urlencoded"
HUSH = "h-u-s-h-ed"  # stands for whatever no message may repeat
HOSTILE = "<script>alert(1)</script>\r\n\x1b[31m\x00\u202e" + "x" * 10000
TOKEN = {"access_token": "scripted", "token_type": "Bearer", "expires_in": 3600}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REDIRECTS = 301, 302, 303, 307, 308
PROMISE_OF_ISS = "authorization_response_iss_parameter_supported"  # RFC 9207
ALBUMS = "artists/%022d/albums" % 7  # the fake server has 27 of them
SURPRISES = r".*_proxy|SSH_.*|DISPLAY|WAYLAND_DISPLAY|BROWSER|WSL.*|SSL_CERT_\w+"
OLDEST_GARBAGE = 2 if hasattr(gc, "freeze") else 1  # of a test; a full look takes 5 ms
PATIENCE = 60  # seconds, for what is sure to come: this machine may have other work

Row = types.SimpleNamespace  # a row of a table, whose columns have names

# Made for these tests alone: for "localhost" and 127.0.0.1, and its own CA.
TLS_PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2g372y4RAOmhftO9
KM79jyQrpXxIcSFtXfDfT8pefE2hRANCAATfqR0ckhxdNISPTkGs6NlCZQbU6U+1
J/1QC/6ePfqn6eI4v13VGC2ZJtdwyOIYeTg6ZKS6dNlcXX+3JuijOIxS
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBeDCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABN+pHRySHF00hI9O
Qazo2UJlBtTpT7Un/VAL/p49+qfp4ji/XdUYLZkm13DI4hh5ODpkpLp02Vxdf7cm
6KM4jFKjXjBcMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1Ud
DgQWBBRLTMLtyDfiYnQTYM0Sel9e4fn02DAaBgNVHREEEzARgglsb2NhbGhvc3SH
BH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhAIxOF6bobeFkXOoKILmhDotkT0Sjn3Zs
10MwVn7QwGyJAiEAn+HdjzNEOFWQNEaJr1bgiHY8TXe/cHeyCkii+zakA94=
-----END CERTIFICATE-----
"""

needs_ssl = unittest.skipUnless(ssl, "this Python has no ssl")
needs_fork = unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
needs_terminals = unittest.skipUnless(
    hasattr(os, "openpty"), "no pseudo-terminals here"
)
needs_posix = unittest.skipUnless(
    os.name == "posix", "Windows has no modes and no signals"
)
needs_proc = unittest.skipUnless(
    os.name == "posix" and os.path.isdir("/proc/self"), "needs a folder that root cannot write to"
)


def setUpModule():
    for name in list(os.environ):
        if re.fullmatch(SURPRISES, name, re.I):
            del os.environ[name]  # a proxy, for example
    if hasattr(gc, "freeze"):  # makes the many gc.collect() to come cheap
        gc.freeze()


def restore_environ(before):
    if os.environ.copy() != before:
        os.environ.clear()
        os.environ.update(before)


# --- 0 Helpers ------------------------------------------------------------------------


def query_of(url):
    """The parameters of an address; one that is there twice is an error."""
    query = urllib.parse.urlsplit(url).query
    pairs = urllib.parse.parse_qsl(query, True, True)
    if len(dict(pairs)) < len(pairs):
        raise AssertionError("a parameter is there twice: " + url)
    return dict(pairs)


def with_parameters(url, **parameters):
    """The address with other parameters; None takes one out."""
    fields = {**query_of(url), **parameters}
    kept = {name: value for name, value in fields.items() if value is not None}
    return url.partition("?")[0] + "?" + urllib.parse.urlencode(kept)


def redirect_uri_of(url):
    """Where the answer to this authorization request is to come to, split."""
    return urllib.parse.urlsplit(query_of(url)["redirect_uri"])


def clock_stopped_at(moment):
    """A context in which time.time() is always this."""
    return mock.patch("time.time", return_value=moment)


def expire_by_the_clock(client):
    """Its token gets the time of a second ago; the server would still take it."""
    client.token = client.token._replace(expires_at=time.time() - 1)


def results_of_threads(function, number=64):
    """What `function` returns, or raises, in so many threads that start at one
    moment."""
    barrier = threading.Barrier(number)
    results = []

    def run():
        barrier.wait(PATIENCE)
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return results


def parallel_map(function, items):
    """What map() gives, but all at once."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(function, items))


def answer_to(address, data, timeout=PATIENCE):
    """Sends the bytes; all that came back, b"" also if the far end hung up on us."""
    with socket.create_connection(address, timeout) as connection:
        try:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


def has_ipv6():
    try:
        return bool(free_port("::1"))
    except OSError:
        return False


def blocks_of_memory():
    """How many are in use."""
    if hasattr(sys, "getallocatedblocks"):
        return sys.getallocatedblocks()
    gc.collect()  # in PyPy, where nothing else takes garbage away at once
    return len(gc.get_objects())


class MemoryStore:
    """A store of somebody else's making. Its lock cannot be taken twice.

    calls               the names of the methods that were called, in their order
    calls_without_lock  those that came from outside of the lock: there must be none
    disk_full           set it, and nothing can be saved
    """

    def __init__(self):
        self.record = None
        self.calls = []
        self.calls_without_lock = []
        self.disk_full = False
        self.mutex = threading.Lock()
        self.owner = None

    def note(self, call):
        self.calls.append(call)
        if self.owner != threading.get_ident():
            self.calls_without_lock.append(call)

    def load(self):
        self.note("load")
        return self.record

    def save(self, record):
        self.note("save")
        if self.disk_full:
            raise OSError(28, "No space left on device")
        self.record = json.loads(json.dumps(record))

    @contextlib.contextmanager
    def lock(self):
        if self.owner == threading.get_ident():
            raise AssertionError(
                "lock() was called by its holder, which would wait for ever"
            )
        with self.mutex:
            self.owner = threading.get_ident()
            try:
                yield
            finally:
                self.owner = None


class RawServer:
    """A server that plays a list of answers for each connection, and then hangs up.

    An answer is bytes, sent after a request was read, or a function of the socket and
    the request.

    accepted  how many connections there were
    heard     (number of the connection, request) pairs
    hung_up   set when a client hangs up
    context   of TLS, if it is to speak that
    """

    context = None

    def __init__(self, *connections):
        self.connections = connections
        self.accepted = 0
        self.heard = []
        self.hung_up = threading.Event()
        self.threads = []
        self.closing = False
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.start(self.accept)

    def start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            if self.closing:
                return connection.close()
            answers = self.connections[self.accepted : self.accepted + 1]
            self.accepted += 1
            self.start(self.play, self.accepted - 1, connection, *answers)

    def play(self, number, connection, answers=()):
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        with contextlib.suppress(OSError), connection, connection.makefile(
            "rb"
        ) as file:
            for answer in answers:
                request = self.read_request(file)
                if not request:
                    return self.hung_up.set()
                self.heard.append((number, request))
                if callable(answer):
                    answer(connection, request)
                else:
                    connection.sendall(answer)

    @staticmethod
    def say_nothing(connection, request):
        """An answer that does not come; the client has to hang up."""
        connection.recv(1)

    @staticmethod
    def read_request(file):
        request = line = file.readline()
        while line not in (b"\r\n", b""):
            line = file.readline()
            request += line
        size = re.search(rb"(?im)^content-length: *(\d+)", request)
        if re.search(rb"(?im)^transfer-encoding: *chunked", request):
            while not request.endswith(b"\n0\r\n\r\n"):
                request += file.readline() or b"\n0\r\n\r\n"
        return request + file.read(int(size.group(1)) if size else 0)

    def close(self):
        self.closing = True
        socket.create_connection(self.socket.getsockname()).close()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.socket.close()


class Case(unittest.TestCase):
    """An empty folder, and an environment without surprises.

    Afterwards nothing may be left open for the garbage collector. `secrets` are what no
    error may hold.
    """

    maxDiff = None

    def setUp(self):
        warned = self.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", ResourceWarning)
        self.addCleanup(self.assert_none_warned, warned)
        self.addCleanup(restore_environ, os.environ.copy())
        self.folder = os.path.realpath(
            self.enter_context(tempfile.TemporaryDirectory())
        )
        self.secrets = [HUSH, "fake secret", "fake%20secret"]

    def assert_none_warned(self, warned):
        gc.collect(OLDEST_GARBAGE)
        self.assertEqual([str(warning.message) for warning in warned], [])

    def enter_context(self, manager):
        """Like enterContext() of Python 3.11."""
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def path(self, name="token.json"):
        """The path of a file in the folder of this test."""
        return os.path.join(self.folder, name)

    def content_of(self, name="token.json"):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def captured_stderr(self):
        """A context that catches stderr, where a login speaks to the user."""
        return contextlib.redirect_stderr(io.StringIO())

    def assert_fit_to_show(self, text):
        self.assertTrue(text.isprintable(), ascii(text))
        self.assertLess(len(text), 1000)
        for secret in self.secrets:
            self.assertNotIn(secret, text)

    def error_of(self, kind, call, *arguments, **named):
        """The error, of just this kind, after a look at what all of them promise."""
        with self.assertRaises(kind) as caught:
            call(*arguments, **named)
        error = caught.exception
        self.assertIs(type(error), kind)
        self.assert_fit_to_show(str(error))
        shown = "".join(traceback.format_exception(kind, error, None))
        shown += repr((error, vars(error)))
        for secret in self.secrets:
            self.assertNotIn(secret, shown)
        return error

    def start(self, command, **settings):
        """A process whose stdout can be read as text. If it hangs it is killed."""
        process = self.enter_context(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, universal_newlines=True, **settings
            )
        )
        watchdog = threading.Timer(2 * PATIENCE, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(process.kill)
        return process

    def start_python(
        self, code, *arguments, shell=(), stdin=subprocess.PIPE, **settings
    ):
        """Another interpreter that has the standard library, oauth2min.py and no home
        directory; its stdout and stderr are one."""
        code = "import sys\nsys.path.insert(0, %r)\n%s" % (HERE, textwrap.dedent(code))
        python = [sys.executable, "-B", "-I", "-S", "-W", "error", "-c", code]
        environ = {name: value for name, value in os.environ.items() if name != "HOME"}
        return self.start(
            [*shell, *python, *arguments],
            stdin=stdin,
            stderr=subprocess.STDOUT,
            env=environ,
            **settings,
        )

    def output_of_python(self, code, *arguments):
        return self.start_python(code, *arguments).communicate()[0]

    def wait_for_line(self, process, text):
        """Reads on until a line of its output holds this; the line."""
        lines = []
        while not lines or text not in lines[-1]:
            lines.append(process.stdout.readline())
            if not lines[-1]:
                self.fail("it ended before it said %r: %s" % (text, "".join(lines)))
        return lines[-1].strip()


class ServerCase(Case):
    """With a fake server. A scripted answer that nobody asked for is a failure."""

    def setUp(self):
        super().setUp()
        self.server = self.start_server()

    def start_server(self, **settings):
        server = FakeServer(**settings).start()
        self.addCleanup(server.close)
        self.addCleanup(lambda: self.assertEqual(server.unasked(), []))
        return server

    def start_tls_server(self):
        """A server with TLS, and a context that trusts it."""
        self.write("tls.pem", TLS_PEM.encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("tls.pem"))
        server = self.start_server(context=context)
        return server, ssl.create_default_context(cafile=self.path("tls.pem"))

    def start_raw_server(self, *connections):
        server = RawServer(*connections)
        self.addCleanup(server.close)
        return server

    def raw_server_and_client(self, *connections, timeout=PATIENCE):
        """A raw server, and a client of it that has its token."""
        server = self.start_raw_server(*connections)
        client = self.client_with_token(base_url=server.url, timeout=timeout)
        return server, client

    def url_nobody_listens_at(self):
        listener = self.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))  # and never listens
        return "http://127.0.0.1:%d" % listener.getsockname()[1]

    def client(self, client_id="fake-app", metadata=(), server=None, **settings):
        """A client of the fake server. `metadata` changes what it knows of that server,
        None takes a key away; `server` is another one."""
        settings.setdefault(
            "client_secret", self.server.clients[client_id]["client_secret"]
        )
        if server is None:
            server = dict(self.server.metadata, **dict(metadata))
            if client_id == "fake-post":
                server["token_endpoint_auth_method"] = "client_secret_post"
            server = {
                name: value for name, value in server.items() if value is not None
            }
        return self.enter_context(Client(server, client_id, **settings))

    def client_without_login(self, client_id="fake-public", **settings):
        """A client whose user has not logged in."""
        settings.setdefault("grant_type", "authorization_code")
        settings.setdefault("scope", SCOPE)
        return self.client(client_id, **settings)

    def logged_in_client(self, client_id="fake-public", **settings):
        """A client whose user has logged in."""
        client = self.client_without_login(client_id, **settings)
        asked = client.authorization_request()
        client.exchange(asked, self.server.approve(asked.url))
        return client

    def client_with_token(self, **settings):
        """A client that need not ask for its token."""
        client = self.client(**settings)
        client.token = Token(HUSH)
        return client

    def assert_token_requests(self, number):
        """So many requests have come to the token endpoint."""
        self.assertEqual(len(self.server.forms()), number)

    def assert_works(self, client):
        """Its next request gets its own answer, whatever the last one left behind."""
        answer = client.get("echo", {"n": 1}).json()
        self.assertEqual(answer["query"], {"n": "1"})
        self.assertEqual(answer["authorization"], "Bearer")

    def last_authorization(self):
        """How the client of the last request said who it is."""
        return self.server.requests[-1].headers["Authorization"]

    def requested_paths(self):
        return [request.path for request in self.server.requests]


class LoginCase(ServerCase):
    """With a user, who sits at a browser."""

    def setUp(self):
        super().setUp()
        # inside: the device grant asks a thousand times faster
        self.enter_context(mock.patch("oauth2min.MIN_INTERVAL", 0.001))

    def fail_if_asked(self, url):
        self.fail("the user was asked")

    def stderr_of_login(
        self, client, open_browser=None, timeout=PATIENCE, **parameters
    ):
        """Logs in at the fake server; what was shown on stderr."""
        with self.captured_stderr() as shown:
            client.login(open_browser or self.server.browser, timeout, **parameters)
        return shown.getvalue()

    @contextlib.contextmanager
    def machine_with_browser(self, environ=None):
        """A machine with this environment, by default a desktop's; gives the stand-in of
        the system's browser."""
        with mock.patch.dict(os.environ, {"DISPLAY": ":0"} if environ is None else environ):
            # inside: otherwise it would be opened by another process
            with mock.patch("oauth2min._system_browser") as opened:
                yield opened


# --- 1 The file, errors, token --------------------------------------------------------


class FileTest(Case):
    """One file, of the standard library alone, for every Python from 3.6 on. Importing
    it does nothing but define names."""

    SOURCE = inspect.getsource(oauth2min)

    @staticmethod
    def count_tokens(source):
        """Python tokens without comments, docstrings, line ends and indents.

        From Python 3.12 on, the parts of an f-string are tokens of their own. Here all of
        them count as one, as in older versions, so that the number is the same in each.
        """
        layout = tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER
        opening = getattr(tokenize, "FSTRING_START", None)
        closing = getattr(tokenize, "FSTRING_END", None)
        kinds = [
            token.type
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in (tokenize.COMMENT, tokenize.NL)
        ]
        count = depth = 0
        for before, kind, after in zip([tokenize.NEWLINE] + kinds, kinds, kinds[1:]):
            docstring = kind == tokenize.STRING and before in layout and after in layout
            if kind == closing:
                depth -= 1
            elif depth == 0 and kind not in layout and not docstring:
                count += 1
            if kind == opening:
                depth += 1
        return count

    def test_it_has_at_most_13500_tokens_and_92_columns(self):
        self.assertEqual(
            self.count_tokens('def f(x):\n    """Doc."""\n    f(f"a {x}")\n'), 10
        )
        self.assertLessEqual(self.count_tokens(self.SOURCE), 13500)
        long_lines = [line for line in self.SOURCE.splitlines() if len(line) > 92]
        self.assertEqual(long_lines, [])

    def test_its_sections_stand_in_this_order(self):
        self.assertEqual(
            re.findall("(?m)^# --- ([^:\n]+?) -+$", self.SOURCE),
            [
                "Errors",
                "Token",
                "Client",
                "Keeping the token",
                "Authorization request",
                "Token endpoint",
                "Token file",
                "Loopback and terminal",
                "HTTP",
                "Servers",
                "Command line",
            ],
        )

    def test_its_public_names_are_these(self):
        errors = (
            "OAuth2Error AuthorizationError TokenError LoginRequired ResponseError"
            " RateLimited StoreError UnsafeURL"
        )
        others = (
            "Client Token TokenFile Response AuthorizationRequest discover PROVIDERS"
            " main"
        )
        expected = errors.split() + others.split()
        self.assertEqual(sorted(oauth2min.__all__), sorted(expected))
        for name in oauth2min.__all__:
            self.assertTrue(hasattr(oauth2min, name), name)

    def test_it_says_its_licence_and_does_not_ask_for_the_version_of_python(self):
        self.assertIn("\n# SPDX-License-Identifier: 0BSD\n", self.SOURCE)
        self.assertNotRegex(self.SOURCE, "version_info|hexversion")

    def test_all_that_it_imports_is_the_standard_library(self):
        names = set()
        for node in ast.walk(ast.parse(self.SOURCE)):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self.assertEqual(node.level, 0)
                names.add(node.module.partition(".")[0])
        code = """
            import importlib.util
            sys.path.pop(0)
            print([name for name in sys.argv[1:] if not importlib.util.find_spec(name)])
            """
        names -= {"fcntl", "msvcrt", "termios"}  # which not every system has
        self.assertEqual(self.output_of_python(code, *sorted(names)), "[]\n")

    def test_importing_it_loads_nothing_that_only_a_login_or_a_command_needs(self):
        code = """
            import oauth2min
            late = {"http.server", "webbrowser", "argparse", "html", "secrets", "fcntl"}
            print(late & set(sys.modules))
            """
        self.assertEqual(self.output_of_python(code), "set()\n")

    def test_importing_works_without_a_home_and_what_a_small_python_lacks(self):
        code = """
            for name in "ssl _ssl fcntl msvcrt termios webbrowser readline".split():
                sys.modules[name] = None
            import oauth2min
            """
        self.assertEqual(self.output_of_python(code), "")

    def test_what_needs_a_missing_module_says_so_when_it_is_called(self):
        code = """
            for name in "ssl _ssl fcntl msvcrt".split():
                sys.modules[name] = None
            from oauth2min import Client, TokenFile
            server = {"token_endpoint": "https://127.0.0.1/token"}
            try:
                Client(server, "i", "s").access_token()
            except Exception as error:
                print("ssl" in str(error).lower())
            try:
                with TokenFile(sys.argv[1]).lock():
                    pass
            except RuntimeWarning as warning:
                print(sys.argv[1] in str(warning))
            """
        self.assertEqual(self.output_of_python(code, self.path()), "True\nTrue\n")


class ErrorTest(ServerCase):
    """Your mistakes are ValueError and TypeError, the network's are OSError, and the
    rest are these. Their texts are looked at wherever error_of() is used."""

    def test_they_descend_from_these(self):
        bases = [
            (OAuth2Error, Exception),
            (AuthorizationError, OAuth2Error),
            (TokenError, OAuth2Error),
            (LoginRequired, OAuth2Error),
            (ResponseError, OAuth2Error),
            (RateLimited, ResponseError),
            (StoreError, OAuth2Error),
            (UnsafeURL, OAuth2Error),
        ]
        for kind, base in bases:
            self.assertIs(kind.__bases__[0], base)
        self.assertTrue(issubclass(UnsafeURL, ValueError))

    def test_they_can_be_pickled_with_what_they_know(self):
        client = self.client(client_secret="wrong")
        stranger = self.client_without_login()
        errors = [
            self.error_of(TokenError, client.access_token),
            self.error_of(LoginRequired, stranger.access_token),
            self.error_of(OAuth2Error, discover, self.server.url + "/nobody"),
        ]
        for error in errors:
            copy = pickle.loads(pickle.dumps(error))
            self.assertIs(type(copy), type(error))
            self.assertEqual(str(copy), str(error))
            self.assertEqual(vars(copy), vars(error))
        self.assertEqual(errors[0].error, "invalid_client")
        self.assertEqual(errors[0].status, 401)


class TokenTest(Case):
    """A token is an immutable value. It is checked when it is made, not when it is
    used."""

    def test_one_string_is_enough_and_it_cannot_be_changed(self):
        token = Token("a")
        self.assertEqual(tuple(token), ("a", "Bearer", None, None, None, None))
        for name in token._fields + ("another",):
            with self.assertRaises(AttributeError):
                setattr(token, name, "b")
        self.assertEqual(token, Token("a"))
        others = {"expires_at": 1.5, "raw": {}}  # in PyPy, _replace() checks them
        for name in token._fields:
            other = {name: others.get(name, "b")}
            self.assertNotEqual(token, token._replace(**other))

    def test_no_secret_is_in_the_repr_of_anything(self):
        url = "https://a.example/?state=" + HUSH
        things = [
            Token(HUSH, "Bearer", 1.5, HUSH, "s", {"id_token": HUSH}),
            Client("spotify", "id", HUSH),
            AuthorizationRequest(url, HUSH, HUSH, "http://127.0.0.1/"),
        ]
        for thing in things:
            texts = [
                repr(thing),
                str(thing),
                "%r %s" % (thing, thing),
                "{}".format(thing),
                f"{thing} {thing!r}",
                str({"it": [thing]}),
                pprint.pformat([thing]),
            ]
            for text in texts:
                with self.subTest(text):
                    self.assertNotIn(HUSH, text)
                    self.assertIn(type(thing).__name__, text)

    def test_an_access_token_that_cannot_be_sent_is_refused_and_not_quoted(self):
        for wrong in ("\nX: 1", "\r", "\0", "\n", " ", "\u20ac"):
            for text in (HUSH + wrong, wrong + HUSH, wrong):
                with self.subTest(text):
                    self.error_of(ValueError, Token, text)
        self.error_of(ValueError, Token, "")

    def test_a_value_of_the_wrong_kind_is_refused(self):
        wrong_fields = [
            {"access_token": None},
            {"access_token": b"a"},
            {"expires_at": "soon"},
            {"expires_at": float("nan")},
            {"expires_at": 10**400},
            {"refresh_token": 5},
            {"scope": ["s"]},
        ]
        for wrong in wrong_fields:
            fields = dict({"access_token": "a"}, **wrong)
            with self.subTest(wrong), self.assertRaises((TypeError, ValueError)):
                Token(**fields)

    def test_what_other_libraries_keep_is_read(self):
        """The names under which they keep a token, a scope and an end."""
        kept: "dict[str, dict[str, object]]" = {
            "requests-oauthlib": {"access_token": "a", "scope": ["s", "t"], "expires_at": 9.5},
            "spotipy": {"access_token": "a", "scope": "s t", "expires_in": 7, "expires_at": 9.5},
            "google-auth": {"token": "a", "scopes": ["s", "t"], "expires_at": 9.5},
            "GitHub": {"access_token": "a", "scope": "s,t", "expires_at": "9.5"},
        }
        for library, fields in kept.items():
            with self.subTest(library):
                token = Token.from_dict({**fields, "refresh_token": "r"})
                self.assertEqual(token[:5], ("a", "Bearer", 9.5, "r", "s t"))

    def test_without_a_known_end_it_follows_from_the_life(self):
        soon = time.time() + 60
        for life, end in (60, soon), ("60", soon), (0, None), (None, None):
            with self.subTest(life):
                token = Token.from_dict({"access_token": "a", "expires_in": life})
                self.assertEqual(token.expires_at is None, end is None)
                self.assertAlmostEqual(token.expires_at or 0, end or 0, delta=30)

    def test_raw_is_a_copy(self):
        """So what becomes of the dict changes no token."""
        fields = {"access_token": "a", "id_token": "i"}
        token = Token.from_dict(fields)
        fields.clear()
        self.assertEqual(token.raw, {"access_token": "a", "id_token": "i"})


# --- 2 Client -------------------------------------------------------------------------


class MakingTest(Case):
    """A misspelt keyword is a TypeError, a wrong value a ValueError, and an address
    without https an UnsafeURL: all of them at once, when the client is made."""

    SERVER = {"token_endpoint": "https://auth.example/token"}

    WRONG_VALUES = [
        dict(client_id=""),
        dict(client_id="\ud800"),
        dict(client_id="a\n"),
        dict(client_secret="a\r\n"),
        dict(client_secret=""),
        dict(client_secret="a\udfff"),
        dict(grant_type="password"),
        dict(grant_type=""),
        dict(scope='a"b'),
        dict(scope=["a b"]),
        dict(scope="\xe4"),
        dict(redirect_uri="callback"),
        dict(redirect_uri="myapp:/callback"),  # any program may claim it: RFC 8252 section 7.1
        dict(redirect_uri="http://127.0.0.1/#a"),
        dict(redirect_uri="http://127.0.0.1:99999/"),
        dict(redirect_uri="http://\xe4/"),
        dict(base_url="ftp://api.example/"),
        dict(base_url="api.example/v1"),
        dict(timeout=0),
        dict(timeout=-1),
        dict(timeout=float("nan")),
        dict(timeout=1e999),
        dict(timeout=1e10),
        dict(max_wait=-1),
        dict(server={}),
        dict(server="nobody"),
        dict(server="http://auth.example"),
        dict(server="https://"),
        dict(server="ftp://auth.example"),
        dict(server={"token_endpoint": "https://user:h-u-s-h-ed@auth.example/?h-u-s-h-ed"}),
        dict(server=dict(SERVER, token_endpoint_auth_method="private_key_jwt")),
    ]
    WRONG_KINDS = [
        dict(server=None),
        dict(server=5),
        dict(server={"token_endpoint": None}),
        dict(server={"issuer": 5}),
        dict(client_id=None),
        dict(client_id=b"i"),
        dict(client_secret=5),
        dict(grant_type=None),
        dict(grant_type=["a"]),
        dict(scope=5),
        dict(scope=[5]),
        dict(redirect_uri=None),
        dict(store=5),
        dict(store=Token("a")),
        dict(base_url=5),
        dict(headers="X: a"),
        dict(headers={"X": 5}),
        dict(headers={5: "a"}),
        dict(timeout="30"),
        dict(timeout=None),
        dict(max_wait="60"),
        dict(max_wait=None),
        dict(context="ca.pem"),
        dict(context=types.SimpleNamespace(check_hostname=False)),
        dict(handlers=[5]),
        dict(handlers=5),
    ]

    def make(self, **settings):
        needed = {"server": self.SERVER, "client_id": "i", "client_secret": "s"}
        return Client(**dict(needed, **settings))

    def test_a_misspelt_keyword_is_a_type_error(self):
        with self.assertRaises(TypeError):
            self.make(redirect_url="http://127.0.0.1/")
        with self.assertRaises(TypeError):
            Client(self.SERVER, "i", "s", "authorization_code")

    def test_a_wrong_value_is_a_value_error_at_once(self):
        for wrong in self.WRONG_VALUES:
            with self.subTest(wrong), self.assertRaises(ValueError) as caught:
                self.make(**wrong)
            self.assert_fit_to_show(str(caught.exception))

    def test_a_value_of_the_wrong_kind_is_refused_at_once(self):
        for wrong in self.WRONG_KINDS:
            with self.subTest(wrong), self.assertRaises((TypeError, ValueError)):
                self.make(**wrong)

    def test_an_unknown_server_is_answered_with_the_known_ones(self):
        error = self.error_of(ValueError, self.make, server="spotfy")
        for name in PROVIDERS:
            self.assertIn(name, str(error))

    def test_a_server_that_promises_iss_needs_its_issuer(self):
        promising = dict(self.SERVER, **{PROMISE_OF_ISS: True})
        for issuer in {}, {"issuer": None}, {"issuer": ""}:
            with self.subTest(issuer):
                server = dict(promising, **issuer)
                error = self.error_of(ValueError, self.make, server=server)
                self.assertIn("'issuer'", str(error))
        self.make(server=dict(promising, issuer="https://auth.example"))
        for other in False, None, "true":
            self.make(server=dict(promising, **{PROMISE_OF_ISS: other}))

    def test_an_address_without_https_is_refused_unless_on_loopback_or_allowed(self):
        names = (
            "issuer authorization_endpoint device_authorization_endpoint token_endpoint"
            " revocation_endpoint base_url"
        )
        for name in names.split():
            for host in (
                "auth.example",
                "127.0.0.1.auth.example",
                "localhost.a",
                "10.0.0.1",
            ):
                server = dict(self.SERVER, **{name: "http://%s/x" % host})
                with self.subTest(server):
                    self.error_of(UnsafeURL, self.make, server=server)
                self.make(server=dict(server, allow_http=True))
        self.error_of(UnsafeURL, self.make, base_url="http://api.example/")
        for host in "127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]", "[::1]:8080":
            self.make(server={"token_endpoint": "http://%s/token" % host})


class RequestTest(ServerCase):
    """What the caller passes, and what goes out: the URL, the query, the body, the
    headers. No mistake costs a request, and no error quotes what was passed."""

    def test_a_relative_url_is_appended_to_base_url(self):
        for base_url in "/v1", "/v1/":
            client = self.client(base_url=self.server.url + base_url)
            for url in "echo", "/echo", self.server.url + "/v1/echo":
                with self.subTest(base_url=base_url, url=url):
                    self.assertEqual(client.get(url).json()["target"], "/v1/echo")

    def test_without_base_url_a_relative_url_is_refused_and_not_quoted(self):
        get = self.client(metadata={"base_url": None}).get
        self.error_of(ValueError, get, "echo?q=" + HUSH)
        self.error_of(ValueError, get, HUSH + "@127.0.0.1/echo")
        self.error_of(UnsafeURL, get, "me:%s@127.0.0.1" % HUSH)  # "me" is its scheme

    def test_parameters_become_the_query(self):
        rows = [
            Row(params={"a": 1, "b": "ü &="}, query="?a=1&b=%C3%BC+%26%3D"),
            Row(params=[("a", 1), ("a", 2)], query="?a=1&a=2"),
            Row(params={"a": [1, 2]}, query="?a=1&a=2"),
            Row(params={"a": None, "b": 2}, query="?b=2"),
            Row(params={}, query=""),
            Row(params=(), query=""),
            Row(params="a=1&b=2", query="?a=1&b=2"),
            Row(params="a=c#&b=2", query="?a=c%23&b=2"),
            Row(url="echo#part", params={"a": 1}, query="?a=1"),
            Row(url="echo?z=0", params={"a": 1}, query="?z=0&a=1"),
            Row(url="echo?z=%20", params=None, query="?z=%20"),
        ]
        client = self.client()
        for row in rows:
            with self.subTest(row):
                answer = client.get(getattr(row, "url", "echo"), row.params)
                self.assertEqual(answer.json()["target"], "/v1/echo" + row.query)

    def test_what_is_none_is_left_out_and_an_iterable_is_its_items(self):
        client = self.client()
        for params, query in (
            ({"a": [1, None, 2]}, "?a=1&a=2"),
            ({"a": (number for number in (1, 2))}, "?a=1&a=2"),
            ({"a": range(2), "b": {3: 0}}, "?a=0&a=1&b=3"),
            ((("a", number) for number in (1, 2)), "?a=1&a=2"),
            ({"a": None}, ""),
            ({"a": []}, ""),
            ({"a": [None]}, ""),
            ([("a", None)], ""),
            ({"a": "ü".encode(), "b": True}, "?a=%C3%BC&b=True"),
        ):
            with self.subTest(query):
                target = client.get("echo", params).json()["target"]
                self.assertEqual(target, "/v1/echo" + query)
        echo = client.post("echo", {"a": [1, None, 2], "b": None}).json()
        self.assertEqual(echo["body"], "a=1&a=2")

    def test_the_query_that_is_there_stays_as_it_is_but_for_a_lone_percent_sign(self):
        client = self.client()
        for url, target in (
            ("echo?a=%20b+c&d=%2f;e=(f)*!'~", "echo?a=%20b+c&d=%2f;e=(f)*!'~"),
            ("echo?a=100%", "echo?a=100%25"),
            ("echo?a=100%&b=5%2", "echo?a=100%25&b=5%252"),
            ("echo?a=%zz%41", "echo?a=%25zz%41"),
            ("echo?a={b}|c", "echo?a=%7Bb%7D%7Cc"),
        ):
            with self.subTest(url):
                raw, raw_client = self.raw_server_and_client([OK])
                raw_client.get(url)
                [(_, request)] = raw.heard
                self.assertEqual(request.split()[1], b"/" + target.encode())
        client.get("echo?a=%20", {"b": "%"})
        self.assertEqual(self.server.requests[-1].target, "/v1/echo?a=%20&b=%25")

    def test_a_base_url_with_a_query_or_a_fragment_is_a_mistake(self):
        for more in "?key=" + HUSH, "?", "#" + HUSH:
            base_url = self.server.url + "/v1" + more
            for settings in {"base_url": base_url}, {"metadata": {"base_url": base_url}}:
                error = self.error_of(ValueError, self.client, **settings)
                self.assertIn("base_url", str(error))

    def test_a_number_that_json_does_not_have_is_a_mistake(self):
        client = self.client()
        for number in float("nan"), float("inf"), -float("inf"):
            for value in number, {"a": [number]}:
                self.error_of(ValueError, client.post, "echo", json=value)
        self.assertEqual(self.server.requests, [])

    def test_an_address_that_is_no_string_is_a_type_error(self):
        for address in None, 5, b"echo":
            with self.subTest(address):
                self.error_of(TypeError, self.client().get, address)
        self.assertEqual(self.server.requests, [])

    def test_data_of_another_kind_is_a_mistake_that_names_what_takes_files(self):
        self.write("file", b"x")
        with open(self.path("file"), "rb") as file, open(self.path("file")) as text:
            for data in file, text, io.BytesIO(b"x"), 5, object():
                error = self.error_of(TypeError, self.client().post, "echo", data)
                self.assertIn("open(", str(error))
                self.assertIn("Request", str(error))
        self.assertEqual(self.server.requests, [])

    def test_a_method_is_a_word_and_goes_out_in_upper_case(self):
        client = self.client()
        for method in "GET ", "G ET", "", "GET\r\nX: 1", "\xdc", "GET/":
            with self.subTest(method):
                self.error_of(ValueError, client.request, method, "echo")
        self.assertEqual(self.server.requests, [])
        for method in "get", "Post", "dElete":
            echo = client.request(method, "echo").json()
            self.assertEqual(echo["method"], method.upper())

    def test_the_headers_of_the_client_win_over_what_would_be_set(self):
        own = {"Content-Type": "x/own", "Accept-Encoding": "identity", "User-Agent": "u"}
        client = self.client(headers=own)
        for given in {"data": {"a": 1}}, {"json": [1]}, {"data": b"x"}:
            client.request("POST", "echo", **given)
            sent = self.server.requests[-1].headers
            for name, value in own.items():
                self.assertEqual(sent.get_all(name), [value])
        # The form of a token request has its own type, but the same User-Agent.
        token = self.server.requests[0].headers
        self.assertEqual(token.get_all("Content-Type"), [FORM])
        self.assertEqual(token.get_all("User-Agent"), ["u"])

    def test_what_http_does_not_allow_in_a_query_is_sent_quoted_and_never_raw(self):
        for query, sent in (
            ("q=a b", b"q=a%20b"),
            ("q=a\r\nX: 1", b"q=a%0D%0AX:%201"),
            ("q=\x00\x7f\xfc", b"q=%00%7F%C3%BC"),
        ):
            for url, params in ("x", query), ("x?" + query, None):
                raw, client = self.raw_server_and_client([OK])
                with self.subTest(url):
                    client.get(url, params)
                    [(_, request)] = raw.heard
                    self.assertEqual(request.split(b"\r\n")[0], b"GET /x?%s HTTP/1.1" % sent)

    def test_a_parameter_that_utf_8_cannot_hold_is_refused_and_not_quoted(self):
        client = self.client()
        for call in client.get, client.post:
            self.error_of(ValueError, call, "echo", {"a": HUSH + "\ud800"})
            with self.assertRaises(ValueError):
                call("echo", HUSH + "=\ud800")
        self.assertEqual(self.server.requests, [])
        self.server.script("/v1/a%ED%A0%80", 200, [1])
        self.assertEqual(client.get("a\ud800").json(), [1])

    def test_spaces_and_umlauts_in_a_path_are_quoted_and_nothing_is_quoted_twice(self):
        client = self.client()
        for path, sent in (("straße 1", "stra%C3%9Fe%201"), ("a%2Fb", "a%2Fb")):
            self.server.script("/v1/" + sent, 200, [path])
            self.assertEqual(client.get(path).json(), [path])

    def test_a_body_is_a_form_or_json_or_what_it_is(self):
        twice = [("a", "1"), ("a", "2")]
        rows = [
            Row(given={"data": {"a": "ü b"}}, kind=FORM, body="a=%C3%BC+b"),
            Row(given={"data": twice}, kind=FORM, body="a=1&a=2"),
            Row(
                given={"json": {"a": [1, "x"]}},
                kind="application/json",
                body='{"a": [1, "x"]}',
            ),
            Row(given={"json": []}, kind="application/json", body="[]"),
            Row(given={"json": False}, kind="application/json", body="false"),
            Row(given={"data": "Zoë"}, kind=None, body="Zoë"),
            Row(given={"data": b"\x01bytes"}, kind=None, body="\x01bytes"),
        ]
        client = self.client()
        for row in rows:
            for method in "POST", "PUT", "PATCH", "DELETE":
                with self.subTest(row, method=method):
                    echo = client.request(method, "echo", **row.given).json()
                    self.assertEqual(echo["method"], method)
                    self.assertEqual(echo["body"], row.body)
                    if row.kind:
                        self.assertEqual(echo["content_type"], row.kind)

    def test_a_body_may_come_with_parameters_and_a_content_type_of_its_own(self):
        headers = {"content-type": "x/own"}
        answer = self.client().post("echo", "{}", params={"b": 2}, headers=headers)
        echo = answer.json()
        self.assertEqual(echo["target"], "/v1/echo?b=2")
        self.assertEqual(echo["content_type"], "x/own")

    def test_data_and_json_at_once_are_refused(self):
        for data in {"a": 1}, {}, b"":
            post = self.client().post
            self.error_of(ValueError, post, "echo", data=data, json={"b": 2})

    def test_headers_of_a_request_come_before_those_of_the_client(self):
        client = self.client(headers={"X-One": "1", "X-Two": "1"})
        client.get("echo", headers={"x-two": "2"})
        token, sent = [request.headers for request in self.server.requests]
        self.assertEqual(sent.get_all("X-One"), ["1"])
        self.assertEqual(sent.get_all("X-Two"), ["2"])
        self.assertIsNone(token["X-One"])
        user_agent = "oauth2min/" + oauth2min.__version__
        for headers in token, sent:
            self.assertEqual(headers.get_all("User-Agent"), [user_agent])

    def test_a_header_that_is_not_allowed_or_our_own_is_refused_and_not_quoted(self):
        wrong = [
            {"X": HUSH + "\r\nY: 1"},
            {"X": HUSH + "\n"},
            {"X": "\r" + HUSH},
            {"X": HUSH + "\x00"},
            {"X": HUSH + "\u20ac"},
            {"X\r\nY": HUSH},
            {"X:" + HUSH: "1"},
            {"X " + HUSH: "1"},
            {"X:": "a"},
            {"": HUSH},
            {"Authorization:" + HUSH: ""},
            {"Authorization": "Basic " + HUSH},
            {"authorization": HUSH},
            {"Content-Length": "5"},
            {"content-length": HUSH},
            {"Transfer-Encoding": "chunked"},
            {"Host": "example.com"},
            {"connection": "close"},
        ]
        client = self.client()
        for headers in wrong:
            request = urllib.request.Request(
                self.server.url + "/v1/echo", headers=headers
            )
            with self.subTest(headers):
                self.error_of(ValueError, self.client, headers=headers)
                self.error_of(ValueError, client.get, "echo", headers=headers)
                self.error_of(ValueError, client.post, "echo", headers=headers)
                self.error_of(ValueError, client.open, request)
        self.assertEqual(self.server.requests, [])


class ResponseTest(ServerCase):
    """What comes back has the names that users of requests and httpx know. 400 or more
    is a ResponseError, which explains itself in the server's own words."""

    def test_it_has_the_names_of_requests_and_httpx(self):
        self.server.script("/v1/echo", 201, {"name": "Zoë"}, {"X-One": "1"})
        answer = self.client().get("echo", {"q": HUSH})
        self.assertEqual(answer.status_code, 201)
        self.assertEqual(answer.headers["X-One"], "1")
        self.assertEqual(answer.headers["x-oNE"], "1")
        self.assertEqual(answer.url, self.server.url + "/v1/echo?q=" + HUSH)
        self.assertEqual(answer.content, b'{"name": "Zo\\u00eb"}')
        self.assertEqual(answer.text, '{"name": "Zo\\u00eb"}')
        self.assertEqual(answer.json(), {"name": "Zoë"})
        self.assertIn("201", repr(answer))
        self.assertNotIn(HUSH, repr(answer))

    def test_text_is_decoded_by_the_charset(self):
        rows = [
            Row(
                kind="text/plain; charset=latin-1",
                body="Zoë".encode("latin-1"),
                text="Zoë",
            ),
            Row(
                kind='text/plain; charset="UTF-16"',
                body="Zoë".encode("utf-16"),
                text="Zoë",
            ),
            Row(kind="text/plain", body="Zoë".encode(), text="Zoë"),
            Row(kind="text/plain", body=b"Zo\xeb", text="Zo\ufffd"),
        ]
        codecs_that_are_no_charsets = "undefined idna hex rot13 utf-7 unicode_escape zlib"
        for charset in ["nonsense", "a\xff", "", *codecs_that_are_no_charsets.split()]:
            kind = "text/plain; charset=" + charset
            rows.append(Row(kind=kind, body="Zoë".encode(), text="Zoë"))
        for charset, text in (
            ("utf-8", "Zoë"),
            ("UTF8", "Zoë"),
            ("us-ascii", "Zo"),
            ("iso-8859-1", "Zoë"),
            ("latin1", "Zoë"),
            ("latin-1", "Zoë"),
            ("windows-1252", "Zoë €"),
            ("cp1252", "Zoë €"),
            ("windows-1251", "Привет"),
            ("cp1251", "Привет"),
            ("utf-16le", "Zoë"),
            ("utf-32", "Zoë"),
            ("shift_jis", "日本"),
            ("euc-jp", "日本"),
            ("iso-2022-jp", "日本"),
            ("gbk", "中国"),
            ("gb18030", "中国"),
            ("big5", "中文"),
            ("euc-kr", "한국"),
        ):
            for form in "text/plain;charset=%s", 'text/html; a=b; Charset="%s" ; c=d':
                rows.append(Row(kind=form % charset, body=text.encode(charset), text=text))
        client = self.client()
        for row in rows:
            with self.subTest(row):
                headers = {"Content-Type": row.kind}
                self.server.script("/v1/echo", 200, row.body, headers)
                answer = client.get("echo")
                self.assertEqual(answer.text, row.text)
                self.assertEqual(answer.content, row.body)
                self.assertRaises(ValueError, answer.json)

    def test_a_number_that_int_would_take_the_square_of_its_length_for_is_no_json(self):
        client = self.client()
        self.server.script("/v1/echo", 200, b"[%s]" % (b"7" * 1000000))
        self.error_of(ValueError, client.get("echo").json)
        self.server.script("/v1/echo", 200, b"[%s, 1.5, -7]" % (b"7" * 4000))
        self.assertEqual(client.get("echo").json(), [int("7" * 4000), 1.5, -7])
        life = b'{"access_token": "t", "expires_in": %s}' % (b"7" * 1000000)
        self.server.script("/token", 200, life)
        self.error_of(TokenError, self.client().access_token)

    def test_json_is_parsed_with_a_byte_order_mark_and_refused_with_a_value_error(self):
        client = self.client()
        self.server.script("/v1/echo", 200, "\ufeff[1]")
        self.assertEqual(client.get("echo").json(), [1])
        problem = (
            "%s answered 200, but that is not JSON: is this the right address?"
        )
        for body in "", "{", "[" * 100000, '{"a":' * 100000:
            self.server.script("/v1/echo", 200, body)
            with self.subTest(body[:9]):
                answer = client.get("echo", {"q": HUSH})
                error = self.error_of(ValueError, answer.json)
                self.assertEqual(str(error), problem % self.server.url)

    def test_json_is_found_in_each_encoding_that_it_may_have(self):
        client = self.client()
        value = {"access_token": "t", "name": "Zoë €"}
        text = json.dumps(value, ensure_ascii=False)
        for encoding in "utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "utf-32":
            with self.subTest(encoding):
                body = text.encode(encoding)
                self.server.script("/v1/echo", 200, body)
                self.assertEqual(client.get("echo").json(), value)
                self.server.script("/token", 200, body)
                self.assertEqual(client.refresh().raw, value)
        headers = {"Content-Type": "application/json; charset=windows-1252"}
        body = text.encode("cp1252")
        self.server.script("/v1/echo", 200, body, headers)
        self.assertEqual(client.get("echo").json(), value)
        self.server.script("/token", 200, body, headers)
        self.assertEqual(client.refresh().raw, value)

    def test_a_number_of_very_many_digits_is_refused_before_it_costs_time(self):
        digits = "1" * 5000
        for text in digits, "-" + digits, '{"a": [%s]}' % digits:
            self.server.script("/v1/echo", 200, text)
            answer = self.client().get("echo")
            self.error_of(ValueError, answer.json)
        self.server.script("/v1/echo", 200, digits[:4299])
        self.assertEqual(self.client().get("echo").json(), int(digits[:4299]))
        answer = json.dumps(TOKEN)[:-1] + ', "expires_at": %s}' % digits
        self.server.script("/token", 200, answer)
        self.error_of(TokenError, self.client().access_token)

    def test_an_answer_without_a_body_is_empty_and_its_connection_is_used_again(self):
        gzipped = {"Content-Encoding": "gzip"}
        rows = [
            Row(method="HEAD", status=200, headers={}, sent="1234"),
            Row(method="HEAD", status=200, headers=gzipped, sent="1234"),
            Row(method="GET", status=204, headers={}, sent=""),
            Row(method="GET", status=204, headers=gzipped, sent=""),
            Row(method="GET", status=304, headers={}, sent=""),
            Row(method="GET", status=200, headers={}, sent=""),
        ]
        client = self.client()
        for row in rows:
            with self.subTest(row):
                self.server.script("/v1/echo", row.status, row.sent, row.headers)
                answer = client.request(row.method, "echo")
                self.assertEqual(answer.status_code, row.status)
                self.assertEqual(answer.content, b"")
                self.assertEqual(answer.text, "")
                self.assert_works(client)
        self.assertEqual(self.server.connections, 1)

    def test_a_response_error_holds_the_answer_and_the_servers_own_explanation(self):
        why = "Because of x"
        challenge = 'Bearer error_description="%s"'
        zipped = gzip.compress(b'{"message": "%s"}' % why.encode())
        problem = {"title": "Forbidden", "detail": why, "status": 403}  # RFC 9457
        problem_json = {"Content-Type": "application/problem+json"}
        spotify = {"status": 404, "message": why}
        x = {"code": 1, "message": why}
        oauth = {"error": "bad", "error_description": why}
        rows = [
            Row(status=404, body={"error": spotify}, headers={}),
            Row(status=422, body={"message": why}, headers={}),
            Row(status=403, body=problem, headers=problem_json),
            Row(status=400, body={"errors": [x]}, headers={}),
            Row(status=400, body=oauth, headers={}),
            Row(status=403, body="", headers={"WWW-Authenticate": challenge % why}),
            Row(
                status=403,
                body="",
                headers={"WWW-Authenticate": challenge % (r"Isn\'t. " + why)},
            ),
            Row(status=500, body=zipped, headers={"Content-Encoding": "gzip"}),
        ]
        client = self.client_with_token()
        for row in rows:
            with self.subTest(row):
                self.server.script("/v1/echo", row.status, row.body, row.headers)
                error = self.error_of(ResponseError, client.get, "echo", {"q": HUSH})
                self.assertEqual(error.response.status_code, row.status)
                for part in "GET", "127.0.0.1", "/v1/echo", str(row.status), why:
                    self.assertIn(part, str(error))
        self.assertEqual(error.response.json(), {"message": why})

    def test_of_what_an_error_says_the_longest_tells_most_wherever_it_stands(self):
        client = self.client_with_token()
        for body in (
            {"title": "no", "detail": "yes"},
            {"error": "no", "error_description": "yes"},
            {"error": "no", "message": "yes"},
            {"errors": ["no"], "inner": {"message": "yes"}},
            {"error": {"title": "no", "inner": [{"detail": "yes"}]}},
            {"error": {"code": "no", "errors": ["yes"]}},
            {"code": "no", "title": "yes"},
        ):
            with self.subTest(body):
                self.server.script("/v1/echo", 400, body)
                error = self.error_of(ResponseError, client.get, "echo")
                self.assertTrue(str(error).endswith("answered 400: yes"), error)

    def test_a_challenge_is_read_by_its_grammar(self):
        # RFC 9110 section 11.6.1, RFC 6750 section 3
        client = self.client_with_token()
        for challenges in (
            ['Bearer error="e", error_description="Too old"'],
            ["Bearer error=e,error_description=Too-old"],
            ['BEARER ERROR="e", ERROR_DESCRIPTION="Too old"'],
            ['bearer realm="", error_description="Too old"'],
            ['Basic realm="x"', 'Bearer error_description="Too old"'],
            ['Basic realm="a, Bearer b", Bearer error_description="Too old"'],
            ['Negotiate abc==, Bearer error_description = "Too old"'],
            ["Negotiate", ',, Bearer realm="a" , , error_description="Too old"'],
            ['Bearer error_description="Too old", Basic error_description="no"'],
            ['Digest error_description="no", Bearer error_description="Too old"'],
            [r'Bearer realm="a\"b, c=\\", error_description="Too old"'],
            [r'Bearer error_description="Too\ old"'],
        ):
            headers = [("WWW-Authenticate", challenge) for challenge in challenges]
            with self.subTest(challenges):
                self.server.script("/v1/echo", 403, "", headers)
                error = self.error_of(ResponseError, client.get, "echo")
                self.assertRegex(str(error), "answered 403: Too.old")

    def test_a_scope_that_is_missing_is_named(self):
        challenge = 'Bearer error="insufficient_scope", scope="read write"'
        self.server.script("/v1/echo", 403, "", {"WWW-Authenticate": challenge})
        error = self.error_of(ResponseError, self.client().get, "echo")
        self.assertIn("read write", str(error))

    def test_a_hostile_challenge_takes_linear_time(self):
        client = self.client_with_token()
        for text in "Bearer " + 'a="' * 20000, "Bearer a=" * 6000, '"' * 60000, "a" * 60000:
            self.server.script("/v1/echo", 403, "", {"WWW-Authenticate": text})
            started = time.process_time()
            self.error_of(ResponseError, client.get, "echo")
            self.assertLess(time.process_time() - started, 1)  # of the processor

    def test_the_explanation_is_bounded_and_holds_no_token_and_no_query(self):
        client = self.client_with_token()
        url = self.server.url + "/v1/echo?q=1&code=" + HUSH
        texts = [
            "x" * 9000,
            "the token %s is bad" % HUSH,
            "no %s here" % url,
            "\x00" * 5000,
            "two\r\nlines\x1b[31m",
            "see /v1/echo?code=%s" % HUSH,
        ]
        for text in texts:
            printable = re.sub("[^ -~]", "", text)
            challenge = {
                "WWW-Authenticate": 'Bearer error_description="%s"' % printable
            }
            with self.subTest(text[:40]):
                self.server.script("/v1/echo", 400, {"message": text})
                self.error_of(ResponseError, client.get, url)
                self.server.script("/v1/echo", 400, {"error": {"message": text}})
                self.error_of(ResponseError, client.get, url)
                self.server.script("/v1/echo", 400, "", challenge)
                self.error_of(ResponseError, client.get, url)

    def test_the_token_that_was_sent_is_masked_even_if_it_has_been_replaced_since(self):
        def answer(connection, request):
            client.token = Token("another")  # as another thread might have done
            connection.sendall(
                b"HTTP/1.1 400 Bad\r\nContent-Length: 29\r\n\r\n"
                b'{"message": "h-u-s-h-ed is bad"}'
            )

        _, client = self.raw_server_and_client([answer])
        self.error_of(ResponseError, client.get, "x")
        self.assertEqual(client.token.access_token, "another")

    def test_an_html_page_is_not_quoted(self):
        page = "<title>Oh no</title>error=1&message=Oh no"
        self.server.script("/v1/echo", 500, page, {"Content-Type": "text/html"})
        error = self.error_of(ResponseError, self.client().get, "echo")
        self.assertNotIn("Oh no", str(error))
        self.assertIn("Oh no", error.response.text)


class PagesTest(ServerCase):
    """pages() finds the next page by itself: RFC 8288 (Link), or a link in the page.
    What looks like a link and is none is an error, not the end."""

    def queries_for_pages(self, *pages, params=None, **named):
        """Plays pages, each a body or a tuple (body, Link header, ...), which have to
        come out of pages(); the queries that were asked for."""
        pages = [page if isinstance(page, tuple) else (page,) for page in pages]
        for body, *links in pages:
            headers = [("Link", link) for link in links]
            self.server.script("/v1/list", 200, json.dumps(body), headers)
        found = list(self.client().pages("list", params, **named))
        self.assertEqual(found, [body for body, *_ in pages])
        asked = self.server.requests[-len(pages) :]
        return [request.target.partition("?")[2] for request in asked]

    def test_the_next_link_is_found_in_the_link_header(self):
        url = self.server.url + "/v1/list"
        pages = [
            ([], '<%s?p=1>; rel="prev", <%s?p=2>; rel="next"' % (url, url)),
            ([], "</v1/list?p=2>; rel=next"),
            ([], '<list?p=2>;rel="last next"'),
            ([], '<?p=2>; title="a, b; <c>"; REL="Next"'),
            ([], '<?p=2>; rel="next"; title=x'),
            ([], '<?p=1>; rel="first"', '<?p=2>; rel="next"'),
            ([], '<?a=1,2>; rel="prev",<?p=2>; rel="next"'),
            ([], "<?p=2>; rel='next'"),
            ([], r'<?p=1>; title="a\", <b>; rel=next", <?p=2>; rel=next'),
            ([], '<?p=1>; title="rel=next"; rel=prev, <?p=2>; rel = "next"'),
            ([], '<?p=2>; rel="NEXT"; title*=UTF-8\'\'a%20b'),
            ({"next": "/other"}, '<?p=2>; rel="next"'),
        ]
        for page in pages:
            with self.subTest(page):
                queries = self.queries_for_pages(page, {"last": 1}, params={"p": 1})
                self.assertEqual(queries, ["p=1", "p=2"])

    def test_the_next_link_is_found_in_the_page(self):
        url = self.server.url + "/v1/list"
        pages = [
            ({"next": url + "?p=2"}, '<?p=1>; rel="prev"'),
            {"next": url + "?p=2"},
            {"next": "list?p=2"},
            {"next": "?p=2"},
            {"next": " \n?p=2\t "},
            {"next": " %s?p=2 " % url},
            {"@odata.nextLink": url + "?p=2", "value": []},
            {"artists": {"next": url + "?p=2", "items": []}},
            {"next": "?p=2", "inner": {"next": "?p=3"}},
            {"paging": {"next": "?p=2"}, "inner": {"next": None}},
            {"_links": {"next": {"href": "?p=2"}, "self": {"href": "?p=1"}}},
            {"links": {"next": "?p=2", "self": "?p=1"}},
            {"next": {"href": url + "?p=2"}},
            {"meta": {"@odata.nextLink": "?p=2"}},
        ]
        for page in pages:
            with self.subTest(page):
                queries = self.queries_for_pages(page, {"last": 1}, params={"p": 1})
                self.assertEqual(queries, ["p=1", "p=2"])

    def test_next_names_the_link(self):
        def first_of_a(page):
            return page.get("a") and page["a"][0]

        for following, page in (
            ("paging.next", {"paging": {"next": "?p=2"}, "next": "?p=3"}),
            ("@odata.nextLink", {"@odata.nextLink": "?p=2"}),
            (None, {"next": None, "@odata": {"nextLink": "?p=2"}}),
            ("a", {"a": "?p=2"}),
            (first_of_a, {"a": ["?p=2"]}),
        ):
            with self.subTest(page):
                queries = self.queries_for_pages(page, {"last": 1}, next=following)
                self.assertEqual(queries, ["", "p=2"])

    def test_next_may_be_a_cursor_and_its_parameter(self):
        cursor = ("meta.next", "token")
        text = {"meta": {"next": "t 2&"}}
        number = {"meta": {"next": 3}}
        last = {"meta": {}}
        params = {"a": "1", "token": "0"}
        queries = self.queries_for_pages(text, number, last, params=params, next=cursor)
        self.assertEqual(queries, ["a=1&token=0", "a=1&token=t+2%26", "a=1&token=3"])
        # The same cursor once more is the end. A list will do, too, as JSON has it.
        queries = self.queries_for_pages(number, number, next=list(cursor))
        self.assertEqual(queries, ["", "token=3"])

    def test_a_cursor_leaves_the_other_bytes_of_the_query_as_they_are(self):
        page = {"next": "c d"}
        for params, query in (
            ("a=%20b+c&d&=e&token=0&f=%C3", "a=%20b+c&d&=e&f=%C3&token=c+d"),
            ("tok%65n=0&a=1", "a=1&token=c+d"),
            (None, "token=c+d"),
        ):
            pages = page, {}
            with self.subTest(params):
                self.check_cursor(params, query, pages)

    def check_cursor(self, params, query, pages):
        answers = [
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            for body in (json.dumps(page).encode() for page in pages)
        ]
        raw, client = self.raw_server_and_client(answers)
        self.assertEqual(len(list(client.pages("x", params, next=("next", "token")))), 2)
        (_, first), (_, second) = raw.heard
        self.assertEqual(second.split()[1], b"/x?" + query.encode())

    def test_204_is_the_end(self):
        self.server.script("/v1/list", 204, "")
        self.assertEqual(list(self.client().pages("list")), [])
        self.server.script("/v1/list", 200, {"next": "list?p=2"})
        self.server.script("/v1/list", 204, "")
        found = list(self.client().pages("list"))
        self.assertEqual(found, [{"next": "list?p=2"}])

    def test_what_is_called_next_and_is_no_link_is_a_mistake_that_names_next(self):
        wrong = [
            {"next": 2},
            {"next": True},
            {"next": ["?p=2"]},
            {"next": {"page": 2}},
            {"paging": {"next": 2}},
            {"_links": {"next": {"href": 2}}},
        ]
        for page in wrong:
            self.server.script("/v1/list", 200, page)
            pages = self.client().pages("list")
            with self.subTest(page):
                self.assertEqual(next(pages), page)
                error = self.error_of(ValueError, next, pages)
                self.assertIn("next=", str(error))

    def test_the_end_is_a_link_that_is_missing_null_empty_or_seen_before(self):
        last_pages = [
            {},
            {"next": None},
            {"next": ""},
            {"a": {"next": None}},
            {"next": None, "inner": {"next": "?p=9"}},
            [],
            None,
            "text",
            {"next": "?p=1"},
            {"next": "list?p=1#top"},
            ([], '<?p=9>; rel="prev"'),
            ([], "<?p=9>; rel=nextish"),
            ([], '<?p=9>; rel="prev"; title="; rel=next"'),
            ([], "<?p=9>; rev=next"),
        ]
        for last in last_pages:
            with self.subTest(last):
                self.assertEqual(self.queries_for_pages(last, params="p=1"), ["p=1"])
        queries = self.queries_for_pages(
            {"next": "?p=2"}, {"next": "?p=1"}, params="p=1"
        )
        self.assertEqual(queries, ["p=1", "p=2"])

    def test_two_next_links_are_for_the_caller_to_choose_from(self):
        page = {"artists": {"next": "?p=2"}, "albums": {"next": "?p=3"}}
        self.server.script("/v1/list", 200, page)
        pages = self.client().pages("list")
        self.assertEqual(next(pages), page)
        self.assertIn("next=", str(self.error_of(ValueError, next, pages)))
        queries = self.queries_for_pages(page, {}, next="albums.next")
        self.assertEqual(queries, ["", "p=3"])

    def test_a_hostile_link_header_takes_linear_time(self):
        for link in "<" * 60000, "<a>" + ";" * 60000, "<a>; rel=" + '"' * 60000:
            started = time.process_time()
            self.queries_for_pages(([], link))
            self.assertLess(time.process_time() - started, 1)  # of the processor: 0.02

    def test_a_link_that_is_no_address_is_refused(self):
        def bytes_of(page):
            return b"?p=2"

        links = [
            ("http://[", None),
            ("http://[", "link"),
            (5, "link"),
            (["?p=2"], "link"),
            ({"href": "?p=2"}, "link"),
            (0, bytes_of),
        ]
        for link, following in links:
            self.server.script("/v1/list", 200, {"next": link, "link": link})
            pages = self.client().pages("list", next=following)
            with self.subTest(link=link):
                next(pages)
                self.error_of(UnsafeURL, next, pages)
        self.server.script("/v1/list", 200, [], {"Link": "<http://[>; rel=next"})
        self.error_of(UnsafeURL, list, self.client().pages("list"))

    def test_a_page_is_fetched_when_it_is_asked_for_and_with_a_fresh_token(self):
        ids = []
        pages = self.client().pages(ALBUMS, {"limit": 10})
        for number, page in enumerate(pages, 1):
            ids += [album["id"] for album in page["items"]]
            # A token and a page, and from then on a refusal, another token and a page.
            self.assertEqual(len(self.server.requests), 3 * number - 1)
            self.server.expire()
        self.assertEqual(len(set(ids)), 27)
        self.assertEqual(len(ids), 27)
        self.assert_token_requests(3)


class LoginTest(LoginCase):
    """login() makes sure that there is a usable token, and asks the user only if there
    is none."""

    def test_parameters_are_added_to_the_request(self):
        self.stderr_of_login(self.client_without_login(), login_hint="ada")
        self.assertEqual(self.server.requests[0].query["login_hint"], "ada")

    def test_with_a_good_token_nothing_happens_and_an_expired_one_is_renewed(self):
        client = self.logged_in_client(store=self.path())
        newcomer = self.client_without_login(store=self.path())
        requests = len(self.server.requests)
        for one in client, newcomer:
            self.assertEqual(self.stderr_of_login(one, self.fail_if_asked), "")
            self.assertEqual(one.token, client.token)
        self.assertEqual(len(self.server.requests), requests)
        expire_by_the_clock(client)
        self.assertEqual(self.stderr_of_login(client, self.fail_if_asked), "")
        self.assertEqual(self.requested_paths()[requests:], ["/token"])

    def test_more_scope_is_asked_for_and_less_is_not(self):
        def client_for(scope):
            return self.client_without_login(scope=scope, store=self.path())

        self.stderr_of_login(client_for("user-library-read"))
        self.stderr_of_login(client_for("user-follow-read user-library-read"))
        self.assertEqual(self.requested_paths().count("/authorize"), 2)
        for scope in SCOPE, "user-follow-read", None:
            self.stderr_of_login(client_for(scope), self.fail_if_asked)

    def test_what_the_server_makes_of_the_scope_asks_nobody_again(self):
        for name, scope in (
            ("missing", {}),
            ("empty", {"scope": ""}),
            ("less", {"scope": "email"}),
        ):
            with self.subTest(name):
                client = self.client_without_login(store=self.path(name))
                self.server.script("/token", body=dict(TOKEN, **scope))
                self.stderr_of_login(client)
                self.stderr_of_login(client, self.fail_if_asked)
                newcomer = self.client_without_login(store=self.path(name))
                self.stderr_of_login(newcomer, self.fail_if_asked)

    def test_after_a_dead_refresh_token_the_user_can_log_in_again(self):
        client = self.logged_in_client(store=self.path())
        expire_by_the_clock(client)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        error = self.error_of(LoginRequired, client.get, "me")
        self.assertIn("login()", str(error))
        self.stderr_of_login(client)
        self.assertEqual(client.get("me").json()["id"], "ada")
        grants = [form["grant_type"] for form in self.server.forms()]
        self.assertEqual(
            grants, ["authorization_code", "refresh_token", "authorization_code"]
        )


class LogoutTest(ServerCase):
    """RFC 7009. logout() forgets in any case, and tells whether the server confirmed
    it."""

    def test_both_tokens_are_revoked_the_refresh_token_first(self):
        client = self.logged_in_client(store=self.path())
        token = client.token
        self.assertIs(client.logout(), True)
        self.assertEqual(
            self.server.forms("/revoke"),
            [
                {
                    "token": token.refresh_token,
                    "token_type_hint": "refresh_token",
                    "client_id": "fake-public",
                },
                {
                    "token": token.access_token,
                    "token_type_hint": "access_token",
                    "client_id": "fake-public",
                },
            ],
        )
        self.assertFalse(os.path.exists(self.path()))
        self.error_of(LoginRequired, client.get, "me")

    def test_a_store_that_fails_for_once_does_not_stop_it(self):
        class Flaky(MemoryStore):
            fails = False

            def load(self):
                if self.fails:
                    self.fails = False
                    raise ConnectionError
                return super().load()

        store = Flaky()
        client = self.logged_in_client(store=store)
        store.fails = True
        self.assertIs(client.logout(), True)
        self.assertIsNone(store.record)

    def logout_is_confirmed(self, trouble=None, **settings):
        """What logout() says, if the endpoint has this trouble and the client these
        settings; it has to forget the token in any case."""
        # Two, as in two runs of a program: the second has not yet looked for a token.
        store = MemoryStore()
        first = self.client_without_login(store=store, **settings)
        second = self.client_without_login(store=store, **settings)
        first.token = Token(HUSH, refresh_token=HUSH)
        if trouble:
            self.server.script("/revoke", **trouble)
        confirmed = second.logout()
        self.assertIsNone(store.record)
        self.assertIsNone(second.token)
        return confirmed

    def test_it_forgets_in_any_case_and_tells_whether_the_server_confirmed_it(self):
        invalid_token = {"status": 400, "body": {"error": "invalid_token"}}
        self.assertIs(self.logout_is_confirmed(), True)
        # Google: it is gone.
        self.assertIs(self.logout_is_confirmed(invalid_token), True)
        for trouble in {"status": 503}, {"status": 400}, {"close": True}:
            with self.subTest(trouble):
                self.assertIs(self.logout_is_confirmed(trouble), False)

    def test_it_forgets_where_there_is_nobody_to_confirm_it(self):
        nobody = self.server.url + "/nobody"
        for endpoint in None, nobody, self.url_nobody_listens_at():
            with self.subTest(endpoint):
                metadata = {"revocation_endpoint": endpoint}
                self.assertIs(self.logout_is_confirmed(metadata=metadata), False)
        null = dict(self.server.metadata, revocation_endpoint=None)
        self.assertIs(self.logout_is_confirmed(server=null), False)
        # It has no metadata.
        self.assertIs(self.logout_is_confirmed(server=nobody), False)

    def test_it_is_undone_by_nobody_who_shares_the_store(self):
        metadata = {"revocation_endpoint": None}
        for who_leaves in "saver", "finder":
            store = MemoryStore()
            saver = self.logged_in_client(store=store, metadata=metadata)
            finder = self.client_without_login(store=store, metadata=metadata)
            finder.get("me")
            record = store.record
            leaving = saver
            staying = finder
            if who_leaves == "finder":
                leaving = finder
                staying = saver
            with self.subTest(who_leaves):
                self.assertIs(leaving.logout(), False)
                self.server.expire()
                self.error_of(LoginRequired, staying.get, "me")
                self.assertIsNone(store.record)
                store.record = record  # out of a backup, say
                self.assertEqual(staying.get("me").status_code, 200)

    def test_in_a_store_that_cannot_be_written_it_does_not_speak_of_a_new_token(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        store.disk_full = True
        expected = "cannot save the token in the store: "
        with self.assertWarnsRegex(RuntimeWarning, expected):
            client.logout()


class GrantTest(ServerCase):
    """RFC 6749 sections 4 and 6. request_token() is any grant; all others call it."""

    def test_the_scope_is_a_string_or_any_strings(self):
        words = SCOPE.split()
        scopes = [
            SCOPE,
            words,
            tuple(words),
            (word for word in words),
            "  ".join(words),
        ]
        for scope in scopes:
            self.client(scope=scope).access_token()
            self.assertEqual(
                self.server.forms()[-1],
                {"grant_type": "client_credentials", "scope": SCOPE},
            )

    def test_a_refresh_does_not_repeat_the_scope(self):
        client = self.logged_in_client()
        old = client.token.refresh_token
        client.refresh()
        self.assertEqual(
            self.server.forms()[-1],
            {
                "grant_type": "refresh_token",
                "refresh_token": old,
                "client_id": "fake-public",
            },
        )

    def test_any_other_grant_can_be_asked_for_and_nothing_is_kept_of_it(self):
        store = MemoryStore()
        client = self.client(store=store)
        self.server.script("/token", 200, {"access_token": "a", "refresh_token": "r"})
        jwt = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        token = client.request_token(jwt, assertion="x.y.z")
        self.assertEqual(token.access_token, "a")
        self.assertEqual(token.refresh_token, "r")
        form = {"grant_type": jwt, "assertion": "x.y.z"}
        self.assertEqual(self.server.forms(), [form])
        self.assertIsNone(client.token)
        self.assertIsNone(store.record)

    def test_token_parameters_go_with_every_grant_and_with_every_renewal(self):
        parameters = {"audience": "https://api.example/ü", "resource": "r"}
        program = self.client(metadata={"token_parameters": parameters})
        user = self.logged_in_client(metadata={"token_parameters": parameters})
        for client in user, program:
            client.get("echo")
            self.server.expire()
            client.get("echo")
        self.server.script("/token", 200, {"access_token": "a"})
        program.request_token("urn:x", subject_token="s")
        login, renewal, first, second, other = self.server.forms()
        self.assertEqual(login["grant_type"], "authorization_code")
        self.assertEqual(renewal["grant_type"], "refresh_token")
        self.assertEqual(first, dict(parameters, grant_type="client_credentials"))
        self.assertEqual(second, first)
        self.assertEqual(other, dict(parameters, grant_type="urn:x", subject_token="s"))
        for form in login, renewal:
            self.assertEqual({name: form[name] for name in parameters}, parameters)

    def test_a_resource_of_the_server_goes_with_every_login_grant_and_renewal(self):
        # RFC 8707 section 2
        facts = {"resource": "https://api.example/"}
        user = self.client_without_login(metadata=facts)
        asked = user.authorization_request()
        self.assertEqual(query_of(asked.url)["resource"], facts["resource"])
        user.exchange(asked, self.server.approve(asked.url))
        user.refresh()
        program = self.client(metadata=facts)
        program.access_token()
        program.refresh()
        device = self.client_without_login(metadata=facts, grant_type=DEVICE_CODE)
        self.server.script("/device_authorization", 400, {"error": "invalid_target"})
        self.error_of(TokenError, device.login)
        forms = self.server.forms() + self.server.forms("/device_authorization")
        self.assertEqual([form["resource"] for form in forms], [facts["resource"]] * 5)
        other = user.authorization_request(resource="https://other.example/")
        self.assertEqual(query_of(other.url)["resource"], "https://other.example/")


# --- 3 Keeping the token --------------------------------------------------------------


class RenewalTest(ServerCase):
    """An access token is renewed before it expires or after a 401, once, however many
    threads and processes come with the same one; RFC 6749 section 6."""

    ONE_OF_MANY = """
        import json, os
        from oauth2min import Client
        server, path, scope, forks = sys.argv[1:]
        for _ in range(int(forks) - 1):
            if not os.fork():
                break
        client = Client(json.loads(server), "fake-public", store=path, scope=scope,
                        grant_type="authorization_code")
        with client:
            assert client.token
            os.write(1, b"ready\\n")
            os.read(0, 3)
            os.write(1, b"%d\\n" % client.get("echo").status_code)
        """

    def renewable_clients(self, **settings):
        """One for each grant that can be renewed, with a token."""
        program = self.client(**settings)
        user = self.logged_in_client(**settings)
        program.access_token()
        return program, user

    def test_a_good_token_is_used_without_a_request_a_lock_or_a_look_at_the_store(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        expected = client.token.access_token
        store.calls.clear()
        sent = len(self.server.requests)
        store.lock = None
        self.assertEqual({client.access_token() for _ in range(100)}, {expected})
        self.assertEqual(len(self.server.requests), sent)
        self.assertEqual(store.calls, [])

    def test_64_threads_that_meet_an_expired_token_cause_one_request(self):
        def expire_at_the_server(client):
            self.server.expire()

        self.server.token_delay = 0.05
        for client in self.renewable_clients():
            for expire in expire_by_the_clock, expire_at_the_server:
                with self.subTest(client=client, expire=expire.__name__):
                    expire(client)
                    before = len(self.server.forms())
                    answers = results_of_threads(lambda: client.get("echo").status_code)
                    self.assertEqual(answers, [200] * 64)
                    self.assert_token_requests(before + 1)

    def test_16_processes_that_meet_an_expired_token_cause_one_request(self):
        client = self.logged_in_client(store=self.path())
        expire_by_the_clock(client)
        forks = 16 if hasattr(os, "fork") else 1  # they start sooner than interpreters
        metadata = json.dumps(self.server.metadata)
        arguments = metadata, self.path(), SCOPE, str(forks)
        for where, requests in (
            ("by the clock", 2),
            ("at the server", 3),
        ):
            processes = [
                self.start_python(self.ONE_OF_MANY, *arguments)
                for _ in range(16 // forks)
            ]
            for process in processes:
                for _ in range(forks):
                    self.assertEqual(process.stdout.readline(), "ready\n")
            if where == "at the server":
                self.server.expire()
            for process in processes:
                process.stdin.write("go\n" * forks)
                process.stdin.flush()
            shown = "".join(process.stdout.read() for process in processes)
            with self.subTest(where):
                self.assertEqual(shown, "200\n" * 16)
                self.assert_token_requests(requests)

    def test_an_api_that_always_answers_401_is_asked_twice_and_one_token_renewed(self):
        for client in self.renewable_clients():
            before = len(self.server.forms())
            for _ in range(2):
                self.server.script("/v1/echo", 401)
            error = self.error_of(ResponseError, client.get, "echo")
            self.assertEqual(error.response.status_code, 401)
            self.assert_token_requests(before + 1)

    def test_without_anything_to_renew_from_a_login_is_required(self):
        self.server.issue_refresh_token = False
        client = self.logged_in_client()
        self.server.expire()
        for _ in range(2):
            self.error_of(LoginRequired, client.get, "echo")
        self.assert_token_requests(1)

    def test_the_reason_of_a_refusal_is_forgotten_with_the_next_token(self):
        client = self.logged_in_client()
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.error_of(LoginRequired, client.refresh)
        for token in Token("a", expires_at=1), None:
            client.token = token
            error = self.error_of(LoginRequired, client.access_token)
            self.assertNotIn("invalid_grant", str(error))

    def test_the_reason_of_a_refusal_is_not_said_of_a_token_of_another_process(self):
        one = self.logged_in_client(store=self.path())
        two = self.client_without_login(store=self.path())
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.error_of(LoginRequired, one.refresh)
        two.token = Token("a", expires_at=1)
        error = self.error_of(LoginRequired, one.access_token)
        self.assertNotIn("invalid_grant", str(error))

    def test_after_a_401_of_the_api_the_login_required_has_that_answer(self):
        self.server.issue_refresh_token = False
        client = self.logged_in_client()
        self.server.script("/v1/echo", 401, {"why": "it is Monday"})
        error = self.error_of(LoginRequired, client.get, "echo")
        self.assertEqual(error.response.status_code, 401)
        self.assertEqual(error.response.json(), {"why": "it is Monday"})
        self.assertIsNone(self.error_of(LoginRequired, client.get, "echo").response)

    def test_the_reason_of_a_refusal_is_said_to_those_who_come_later_too(self):
        client = self.logged_in_client()
        expire_by_the_clock(client)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        for call in client.access_token, client.refresh, client.access_token:
            error = self.error_of(LoginRequired, call)
            self.assertIn("invalid_grant", str(error))

    def test_a_refresh_token_is_kept_when_the_answer_holds_none(self):
        self.server.rotate = False
        client = self.logged_in_client(store=self.path())
        old = client.token
        client.refresh()
        self.assertNotEqual(client.token.access_token, old.access_token)
        self.assertEqual(client.token.refresh_token, old.refresh_token)
        newcomer = self.client_without_login(store=self.path())
        self.assertEqual(newcomer.token, client.token)

    def test_a_rotated_refresh_token_is_saved_before_the_new_token_is_used(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        old = client.token.refresh_token
        save = store.save
        paths = []

        def save_and_note(record):
            save(record)
            paths.append(self.requested_paths()[-1])

        store.save = save_and_note
        self.server.expire()
        client.get("echo")
        self.assertEqual(paths, ["/token"])
        *_, refused, renewal, granted = self.requested_paths()
        self.assertEqual(
            (refused, renewal, granted), ("/v1/echo", "/token", "/v1/echo")
        )
        self.assertNotIn(old, json.dumps(store.record))
        self.assertIn(client.token.refresh_token, json.dumps(store.record))

    def test_it_expires_30_seconds_early_but_by_no_more_than_a_tenth_of_its_life(self):
        for life, margin in (
            (3600, 30),
            (100, 10),
            (10, 1),
        ):
            self.server.expires_in = life
            path = self.path(str(life))
            client = self.client(store=path)
            old = client.access_token()
            end = client.token.expires_at
            with clock_stopped_at(end - margin - 0.5):
                self.assertEqual(client.access_token(), old)
                self.assertEqual(self.client(store=path).access_token(), old)
            with clock_stopped_at(end - margin + 0.5):
                new = self.client(store=path).access_token()
                self.assertNotEqual(new, old)
                self.assertEqual(client.access_token(), new)

    def test_a_body_that_cannot_be_sent_twice_gets_its_401_the_next_a_new_token(self):
        refusal = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
        raw = self.start_raw_server([refusal], [OK])
        client = self.client(base_url=raw.url)

        def upload():
            body = io.BytesIO(b"x")
            request = urllib.request.Request(raw.url + "/x", body, method="POST")
            with client.open(request) as answer:
                return answer.status

        error = self.error_of(ResponseError, upload)
        self.assertEqual(error.response.status_code, 401)
        self.assertEqual(upload(), 200)
        self.assert_token_requests(2)
        self.assertEqual(len(raw.heard), 2)

    def test_a_new_token_is_used_even_if_it_is_inside_the_margin_already(self):
        for client in self.renewable_clients():
            expire_by_the_clock(client)
            self.server.script(
                "/token", 200, {"access_token": "new", "expires_in": 1e-9}
            )
            self.server.script("/v1/echo")
            client.get("echo")
            self.assertEqual(self.last_authorization(), "Bearer new")

    def test_without_expires_in_a_token_is_used_until_a_401(self):
        self.server.script("/token", 200, {"access_token": "timeless"})
        client = self.client()
        client.access_token()
        with clock_stopped_at(time.time() + 1e9):
            self.assertEqual(client.access_token(), "timeless")
        client.get("echo")  # the server does not know this token
        self.assert_token_requests(2)

    def test_a_refresh_that_is_asked_for_costs_no_good_token_if_nothing_can_renew_it(self):
        self.server.issue_refresh_token = False
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        before = dict(store.record)
        self.error_of(LoginRequired, client.refresh)
        self.assertEqual(store.record, before)
        self.assertEqual(client.get("me").status_code, 200)
        self.assert_token_requests(1)

    def test_a_dead_refresh_token_is_tried_once_and_stays_in_the_store(self):
        refusals = [
            (400, {"error": "invalid_grant"}),
            (400, {"error": None}),
            (400, ""),
            (401, ""),
        ]
        for status, body in refusals:
            client = self.logged_in_client(store=self.path())
            expire_by_the_clock(client)
            record = TokenFile(self.path()).load()
            requests = len(self.server.forms())
            self.server.script("/token", status, body)
            with self.subTest(status=status, body=body):
                errors = results_of_threads(client.access_token, 16)
                self.assertEqual({type(error) for error in errors}, {LoginRequired})
                self.assert_token_requests(requests + 1)
                # The access token is over; whoever comes next is told so.
                expected = dict(record, renew_at=0)
                self.assertEqual(TokenFile(self.path()).load(), expected)

    def test_trouble_at_the_token_endpoint_does_not_cost_the_refresh_token(self):
        troubles = [
            (TokenError, dict(status=500, body="<h1>Oops</h1>")),
            (TokenError, dict(status=503, body="")),
            (TokenError, dict(status=429, body="")),
            (TokenError, dict(status=200, body="")),
            (TokenError, dict(status=200, body='<html lang="en">')),
            (TokenError, dict(status=400, body='<p class="x">No')),
            (TokenError, dict(status=403, body="Access denied. Ref=123")),
            (TokenError, dict(status=200, body="Login: http://portal.example/?x=1")),
            (TokenError, dict(status=404, body={"status": 404, "error": "Not Found"})),
            (TokenError, dict(status=400, body={"error": "temporarily_unavailable"})),
            (TokenError, dict(status=401, body={"error": "invalid_client"})),
            (URLError, dict(close=True)),
        ]
        for kind, trouble in troubles:
            client = self.logged_in_client()
            expire_by_the_clock(client)
            self.server.script("/token", **trouble)
            with self.subTest(trouble):
                self.error_of(kind, client.access_token)
                client.access_token()
                *_, first, second = self.server.forms()
                self.assertEqual(second, first)

    def client_with_a_faster_neighbour(self, newer):
        """A client with an expired token, whose refresh is refused. Then its store
        holds the record `newer`, as if a process on another machine, out of the reach
        of its lock, had been a moment faster."""
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        before = len(self.server.forms())
        load = store.load

        def load_or_newer():
            record = load()
            return newer if record and len(self.server.forms()) > before else record

        store.load = load_or_newer
        expire_by_the_clock(client)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        return client

    def test_a_token_taken_over_from_the_store_that_gets_401_too_is_renewed(self):
        one = self.logged_in_client(store=self.path())
        two = self.client_without_login(store=self.path())
        two.access_token()
        one.refresh()
        self.server.expire()
        self.assertEqual(two.get("echo").status_code, 200)
        self.assertEqual(
            self.requested_paths()[-4:], ["/v1/echo", "/v1/echo", "/token", "/v1/echo"]
        )

    def test_after_invalid_grant_a_newer_token_in_the_store_is_used(self):
        store = MemoryStore()
        neighbour = self.logged_in_client(store=store)
        client = self.client_with_a_faster_neighbour(store.record)
        self.assertEqual(client.access_token(), neighbour.token.access_token)
        self.assertEqual(client.token, neighbour.token)
        self.assert_token_requests(3)  # two logins, and the refused refresh

    def test_after_invalid_grant_a_newer_token_that_has_expired_is_renewed(self):
        store = MemoryStore()
        neighbour = self.logged_in_client(store=store)
        expire_by_the_clock(neighbour)
        client = self.client_with_a_faster_neighbour(store.record)
        old = client.token.refresh_token
        self.assertEqual(client.get("me").json()["id"], "ada")
        sent = [form["refresh_token"] for form in self.server.forms()[2:]]
        self.assertEqual(sent, [old, neighbour.token.refresh_token])

    def test_if_renewing_that_newer_token_fails_it_is_used_to_its_end(self):
        store = MemoryStore()
        neighbour = self.logged_in_client(store=store)
        client = self.client_with_a_faster_neighbour(store.record)
        self.server.script("/token", 503, "")
        with clock_stopped_at(neighbour.token.expires_at - 20):
            self.assertEqual(client.access_token(), neighbour.token.access_token)

    def test_after_invalid_grant_a_logout_elsewhere_stays_one(self):
        client = self.client_with_a_faster_neighbour(None)
        client._keeper.store.save = self.fail  # inside: nothing is written there again
        self.error_of(LoginRequired, client.access_token)
        self.assertIsNone(client.token)

    def test_another_process_finds_a_good_token_in_the_store_and_asks_for_none(self):
        code = """
            import json
            from oauth2min import Client
            server, path = sys.argv[1:]
            client = Client(json.loads(server), "fake-app", "s", store=path)
            print(client.access_token())
            """
        token = self.client(store=self.path()).access_token()
        newcomer = self.client(store=self.path())
        self.assertEqual(newcomer.access_token(), token)
        metadata = json.dumps(self.server.metadata)
        shown = self.output_of_python(code, metadata, self.path())
        self.assertEqual(shown, token + "\n")
        self.assert_token_requests(1)

    @needs_fork
    def test_after_a_fork_the_child_does_not_wait_for_a_thread_of_its_parent(self):
        asked = threading.Event()
        over = threading.Event()
        answer = OK.replace(b"2\r\n\r\n{}", b'21\r\n\r\n{"access_token": "a"}')

        def answer_when_over(connection, request):
            asked.set()
            over.wait(PATIENCE)
            connection.sendall(answer)

        raw = self.start_raw_server([answer_when_over], [answer])
        self.addCleanup(over.set)
        client = self.client(metadata={"token_endpoint": raw.url + "/token"})
        thread = threading.Thread(target=client.access_token, daemon=True)
        thread.start()
        self.assertTrue(asked.wait(PATIENCE))  # so now it has the lock
        with warnings.catch_warnings():
            # Python warns that this is dangerous.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                signal.alarm(10)
                os._exit(0 if client.access_token() == "a" else 2)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        over.set()
        thread.join(PATIENCE)
        self.assertEqual(client.access_token(), "a")
        self.assertEqual(len(raw.heard), 2)

    def test_a_jump_of_the_clock_costs_at_most_one_request(self):
        for jump in 3600, -3600, 86400, -86400, 1e9, -1e9:
            for make in self.client, self.logged_in_client:
                client = make()
                client.access_token()
                before = len(self.server.forms())
                with self.subTest(jump=jump, client=client):
                    with clock_stopped_at(time.time() + jump):
                        client.get("echo")
                    client.get("echo")
                    self.assertLessEqual(len(self.server.forms()), before + 1)
                    self.server.expire()
                    client.get("echo")
                    self.assertLessEqual(len(self.server.forms()), before + 2)


class ManyThreadsTest(ServerCase):
    """However many threads come at once, one request goes to the token endpoint, and
    all of them get what came of it, a token or an error."""

    def users_and_programs(self, **settings):
        """A client of each kind, with a token that can be renewed."""
        program = self.client(**settings)
        program.access_token()
        return program, self.logged_in_client(**settings)

    def test_an_api_that_refuses_every_token_costs_one_renewal_in_all(self):
        stranger = self.start_server()  # it knows none of our tokens
        self.server.token_delay = 0.05
        for client in self.users_and_programs(base_url=stranger.url + "/v1"):
            before = len(self.server.forms())
            for number in 64, 16:
                errors = results_of_threads(lambda: client.get("me"), number)
                with self.subTest(client=client, number=number):
                    kinds = {type(error) for error in errors}
                    self.assertEqual(kinds, {ResponseError})
                    statuses = {error.response.status_code for error in errors}
                    self.assertEqual(statuses, {401})
                    self.assert_token_requests(before + 1)

    def test_a_token_that_was_accepted_is_renewed_again_when_it_is_refused(self):
        for client in self.users_and_programs():
            before = len(self.server.forms())
            for number in range(1, 4):
                self.server.expire()
                self.assertEqual(client.get("echo").status_code, 200)
                self.assert_token_requests(before + number)

    def test_a_call_that_is_refused_for_ever_ends_though_others_are_allowed(self):
        def trace(text):
            if text.startswith("<-- 401"):
                client.get("tracks/11dFghVXANMlKmJXsNCbNl")  # as another thread would

        client = self.client(trace=trace)
        for _ in range(3):  # a fourth request would be answered with 200
            self.server.script("/v1/echo", 401)
        self.error_of(ResponseError, client.get, "echo")
        self.assertLessEqual(len(self.server.forms()), 4)

    def test_64_threads_wait_one_timeout_for_a_token_endpoint_that_does_not_answer(self):
        def outcome(make):
            raw = self.start_raw_server(*[[RawServer.say_nothing]] * 64)
            metadata = {"token_endpoint": raw.url + "/token"}
            client = make("fake-app", metadata=metadata, timeout=1)
            client.token = Token(HUSH, "Bearer", 1, "hush-refresh")
            errors = results_of_threads(client.access_token)
            return {type(error) for error in errors}, raw.accepted

        kinds = self.client, self.client_without_login
        self.assertEqual(parallel_map(outcome, kinds), [({URLError}, 1)] * 2)

    def test_a_failure_is_not_handed_on_to_those_who_come_later(self):
        class SlowStore(MemoryStore):
            def load(self):
                time.sleep(0.005)
                return super().load()

        self.server.script("/token", 500, "<p>")
        client = self.client(store=SlowStore())
        outcomes = []
        threads = []
        for _ in range(60):  # there is always somebody who waits
            thread = threading.Thread(
                target=lambda: outcomes.extend(results_of_threads(client.access_token, 1))
            )
            thread.start()
            threads.append(thread)
            time.sleep(0.003)
        for thread in threads:
            thread.join()
        self.assertEqual(len(outcomes), 60)
        self.assertIsInstance(outcomes[-1], str)
        self.assert_token_requests(2)

    def test_a_renewal_that_fails_is_shared_by_those_who_waited_for_it(self):
        def outcome(trouble):
            server = self.start_server()
            client = self.client_without_login(server=server.metadata)
            asked = client.authorization_request()
            client.exchange(asked, server.approve(asked.url))
            expire_by_the_clock(client)
            server.script("/token", delay=0.3, **trouble)
            errors = results_of_threads(client.access_token, 16)
            self.assertEqual(len(server.forms()), 2)
            return client, errors

        troubles = [
            (TokenError, dict(status=500, body="<p>")),
            (TokenError, dict(status=401, body={"error": "invalid_client"})),
            (LoginRequired, dict(status=400, body={"error": "invalid_grant"})),
            (URLError, dict(close=True)),
        ]
        outcomes = parallel_map(outcome, [trouble for _, trouble in troubles])
        for (kind, trouble), (client, errors) in zip(troubles, outcomes):
            with self.subTest(trouble):
                self.assertEqual({type(error) for error in errors}, {kind})
                for error in errors:  # it does not grow by each who raises it
                    frames = traceback.extract_tb(error.__traceback__)
                    self.assertLess(len(frames), 40)
            if kind != LoginRequired:  # it is no verdict for those who come later
                self.assertTrue(client.access_token())

    def test_a_refusal_is_not_shared_once_another_process_has_logged_in(self):
        class SharedStore(MemoryStore):
            """Another process logs in as soon as ours has noted a refusal."""

            def save(self, record):
                super().save(record)
                if record["renew_at"] == 0:
                    self.record = neighbour.record

        neighbour = MemoryStore()
        expire_by_the_clock(self.logged_in_client(store=neighbour))
        client = self.logged_in_client(store=SharedStore())
        expire_by_the_clock(client)
        self.server.script("/token", 400, {"error": "invalid_grant"}, delay=0.3)
        results = results_of_threads(client.access_token, 16)
        errors = [error for error in results if not isinstance(error, str)]
        self.assertEqual([type(error) for error in errors], [LoginRequired])
        self.assert_token_requests(4)  # two logins, the refusal, and one renewal

    def test_a_rejected_token_is_renewed_once_for_all_and_never_given_again(self):
        self.server.token_delay = 0.05
        for client in self.users_and_programs():
            old = client.token.access_token
            before = len(self.server.forms())
            for _ in range(2):
                tokens = results_of_threads(lambda: client.access_token(rejected=old))
                with self.subTest(client):
                    self.assertEqual(set(tokens), {client.token.access_token})
                    self.assertNotIn(old, tokens)
                    self.assert_token_requests(before + 1)
            self.assertEqual(client.access_token(), tokens[0])

    def test_a_server_that_repeats_the_rejected_token_is_asked_once_each_time(self):
        self.server.script("/token", 200, {"access_token": "a", "expires_in": 60})
        self.server.script("/token", 200, {"access_token": "a", "expires_in": 60})
        client = self.client()
        self.assertEqual(client.access_token(), "a")
        self.assertEqual(client.access_token(rejected="a"), "a")
        self.assert_token_requests(2)

    def test_another_process_may_have_replaced_the_rejected_token(self):
        one = self.logged_in_client(store=self.path())
        two = self.client_without_login(store=self.path())
        old = two.access_token()
        new = one.refresh().access_token
        self.assertEqual(two.access_token(), old)
        self.assertEqual(two.access_token(rejected=old), new)
        self.assert_token_requests(2)

    PASSING = [
        dict(status=503, body=""),
        dict(status=500, body="<p>"),
        dict(status=429, body=""),
        dict(status=400, body={"error": "temporarily_unavailable"}),
        dict(status=404, body="<p>"),
        dict(close=True),
    ]

    def test_if_an_early_renewal_fails_the_old_token_is_used_to_its_end(self):
        for trouble in self.PASSING:
            for client in self.users_and_programs():
                old = client.access_token()
                end = client.token.expires_at
                with self.subTest(trouble, client=client):
                    with clock_stopped_at(end - 20):
                        self.server.script("/token", **trouble)
                        self.assertEqual(client.access_token(), old)
                    with clock_stopped_at(end + 1):
                        self.server.script("/token", **trouble)
                        self.assertRaises(
                            (TokenError, URLError), client.access_token
                        )
                        self.assertNotEqual(client.access_token(), old)

    def test_an_early_renewal_that_is_refused_is_no_passing_trouble(self):
        client = self.logged_in_client()
        end = client.token.expires_at
        self.server.script("/token", 400, {"error": "invalid_grant"})
        with clock_stopped_at(end - 20):
            for _ in range(2):
                self.error_of(LoginRequired, client.access_token)

    def test_a_rejected_token_is_not_used_to_its_end(self):
        client = self.logged_in_client()
        old = client.access_token()
        self.server.script("/token", 503, "")
        self.error_of(TokenError, client.access_token, rejected=old)


class OtherUserTest(ServerCase):
    """for_user(): one client of a web application serves many users."""

    def login(self, client):
        asked = client.authorization_request()
        return client.exchange(asked, self.server.approve(asked.url))

    def test_each_user_has_a_token_and_a_store_of_their_own(self):
        ada = self.logged_in_client(store=self.path("ada"))
        bob = ada.for_user(self.path("bob"))
        none = ada.for_user()
        for user in bob, none:
            self.assertIsNone(user.token)
            self.error_of(LoginRequired, user.get, "me")
        token = self.login(bob)
        self.assertNotEqual(ada.token, token)
        self.assertEqual(self.client_without_login(store=self.path("bob")).token, token)
        self.assertIs(ada.logout(), True)
        self.assertIsNone(ada.token)
        self.assertEqual(bob.token, token)
        self.assertEqual(bob.get("me").status_code, 200)
        self.assertIsNone(none.token)

    def test_all_share_the_settings_the_metadata_and_the_connections(self):
        headers = {"X-Mine": "1"}
        settings = dict(headers=headers, base_url=self.server.url + "/v1")
        server = self.server.url  # whose metadata are to be fetched
        ada = self.logged_in_client(server=server, **settings)
        ada.get("me")
        requests = len(self.server.requests)
        bob = ada.for_user()
        bob.token = ada.token
        before = self.server.connections
        for client in bob, ada, bob:
            client.get("me")
            self.assertEqual(self.server.requests[-1].headers["X-Mine"], "1")
        self.assertEqual(self.server.connections, before)
        self.assertEqual(len(self.server.requests), requests + 3)
        del ada
        gc.collect()
        bob.get("me")
        self.assertEqual(self.server.connections, before)

    @needs_ssl
    def test_all_share_one_tls_context(self):
        secure, _ = self.start_tls_server()
        os.environ["SSL_CERT_FILE"] = self.path("tls.pem")
        ada = self.client(metadata=secure.metadata)
        create = ssl.create_default_context
        with mock.patch.object(ssl, "create_default_context", side_effect=create) as made:
            for client in ada, ada.for_user(), ada.for_user():
                client.get("echo")
        self.assertLessEqual(made.call_count, 1)


class ReentryTest(ServerCase):
    """The same thread may come in twice: it never waits for itself."""

    TRACE_THAT_LOOKS = """
        import json
        from oauth2min import Client
        server, path = sys.argv[1:]
        seen = []
        client = Client(json.loads(server), "fake-public", store=path,
                        grant_type="authorization_code",
                        trace=lambda text: seen.append(client.token.access_token))
        with client:
            client.token = client.token._replace(expires_at=1)
            client.get("me")
            client.refresh()
            print(len(seen), None in seen)
        """

    def test_a_trace_may_look_at_the_token_during_a_renewal(self):
        self.logged_in_client(store=self.path())
        metadata = json.dumps(self.server.metadata)
        shown = self.output_of_python(self.TRACE_THAT_LOOKS, metadata, self.path())
        self.assertEqual(shown, "6 False\n")  # three requests and their answers

    @unittest.skipUnless(hasattr(signal, "setitimer"), "no timers here")
    def test_a_signal_handler_may_look_at_the_token_during_a_renewal(self):
        seen = []
        has_looked = threading.Event()

        def look(*_):
            seen.append(client.token)
            has_looked.set()

        def answer(connection, request):
            os.kill(os.getpid(), signal.SIGALRM)
            has_looked.wait(PATIENCE)
            connection.sendall(OK.replace(b": 2", b": %d" % len(text))[:-2] + text)

        text = json.dumps(TOKEN).encode()
        raw = self.start_raw_server([answer])
        client = self.client_without_login(
            metadata={"token_endpoint": raw.url}, store=MemoryStore()
        )
        client.token = old = Token(HUSH, refresh_token="hush-refresh")
        before = signal.signal(signal.SIGALRM, look)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        client.refresh()
        self.assertEqual(seen, [old])
        self.assertEqual(client.access_token(), "scripted")

    def test_a_trace_that_renews_during_a_renewal_sends_no_refresh_token_twice(self):
        def renew(text):
            if "/token" in text.partition("\n")[0]:
                failures.append(self.error_of(URLError, client.access_token, old))
                failures.append(self.error_of(URLError, client.refresh))

        failures = []
        client = self.logged_in_client(store=MemoryStore(), trace=renew)
        old = client.token.access_token
        client.token = client.token._replace(expires_at=1)
        del failures[:]  # of the login, which the trace saw, too
        self.assertEqual(client.get("me").status_code, 200)
        self.assertEqual(len(failures), 2)
        self.assert_token_requests(2)
        client.refresh()
        self.assert_token_requests(3)

    def test_a_trace_that_asks_for_a_token_does_not_ask_the_server_for_another(self):
        def ask(text):
            failures.append(self.error_of(URLError, client.access_token))

        failures = []
        client = self.client(trace=ask)
        client.refresh()
        self.assertEqual(len(failures), 2)  # at the request, and at its answer
        self.assert_token_requests(1)

    def test_a_trace_cannot_change_what_happens(self):
        def fail(text):
            raise KeyError(text)

        client = self.logged_in_client(trace=fail)
        client.refresh()
        self.assertEqual(client.get("me").status_code, 200)


class StoreTest(ServerCase):
    """Whatever a store holds, no token is lost or mixed up: a record is bound to its
    server, client and grant, and a store that cannot be written is a warning."""

    def result_with_warning(self, path, call):
        """What a call returns that warns of this file, and of nothing else."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            result = call()
        self.assertTrue(caught)
        for warning in caught:
            self.assertIs(warning.category, RuntimeWarning)
            self.assertIn(path, str(warning.message))
        return result

    @needs_proc
    def test_in_a_folder_that_is_read_only_the_token_goes_on_in_memory(self):
        path = "/proc/oauth2min-token.json"
        client = self.client(store=path)
        token = self.result_with_warning(path, client.access_token)
        self.assertEqual(client.access_token(), token)
        self.assert_token_requests(1)

    def test_a_store_that_is_refused_is_refused_before_the_code_is_used_up(self):
        store = MemoryStore()
        client = self.client_without_login(store=store)
        asked = client.authorization_request()
        answer = self.server.approve(asked.url)
        store.record = {"another": "client's"}
        self.error_of(StoreError, client.exchange, asked, answer)
        self.assertEqual(self.server.forms(), [])
        store.record = None
        self.assertIsNotNone(client.exchange(asked, answer))

    def test_once_the_code_is_used_up_the_store_is_not_asked_again(self):
        class Once(MemoryStore):
            def load(self):
                if "load" in self.calls:
                    raise ConnectionError
                return super().load()

        client = self.client_without_login(store=Once())
        asked = client.authorization_request()
        client.exchange(asked, self.server.approve(asked.url))
        self.assertEqual(client.get("me").status_code, 200)

    def test_a_store_may_look_empty(self):
        class Bare(MemoryStore):
            def __len__(self):
                return 0

        store = Bare()
        self.logged_in_client(store=store)
        other = self.client_without_login(store=store)
        self.assertEqual(other.get("me").status_code, 200)

    def test_a_rotated_token_that_could_not_be_saved_comes_before_the_stored_one(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        store.disk_full = True
        for _ in range(3):
            old = client.token.refresh_token
            self.server.expire()
            with self.assertWarns(RuntimeWarning):
                client.get("echo")
            self.assertEqual(self.server.forms()[-1]["refresh_token"], old)
        store.disk_full = False
        client.refresh()
        self.assertIn(client.token.refresh_token, json.dumps(store.record))

    def test_a_token_from_elsewhere_that_could_not_be_saved_comes_before_it_too(self):
        def exchange(client):
            asked = client.authorization_request()
            client.exchange(asked, self.server.approve(asked.url))

        def assign(client):
            client.token = self.logged_in_client().token

        for give in exchange, assign:
            store = MemoryStore()
            self.logged_in_client(store=store)
            client = self.client_without_login(store=store)
            store.disk_full = True
            with self.subTest(give.__name__), self.assertWarns(RuntimeWarning):
                give(client)
                new = client.token.refresh_token
                self.server.expire()
                client.get("echo")
                self.assertEqual(self.server.forms()[-1]["refresh_token"], new)

    def test_on_a_full_disk_the_token_goes_on_in_memory_and_the_old_one_stays(self):
        try:
            import resource
        except ImportError:
            self.skipTest("no limits here")
        client = self.logged_in_client(store=self.path())
        before = self.content_of()
        files = os.listdir(self.folder)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            token = self.result_with_warning(self.path(), client.refresh)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(client.token, token)
        self.assertEqual(self.content_of(), before)
        self.assertEqual(os.listdir(self.folder), files)

    def test_a_logout_elsewhere_is_final_though_a_renewal_could_not_be_saved(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        store.disk_full = True
        with self.assertWarns(RuntimeWarning):
            client.refresh()
        store.disk_full = False
        self.client_without_login(store=store).logout()
        self.assertIsNone(store.record)
        self.server.expire()
        self.error_of(LoginRequired, client.get, "me")
        self.assertIsNone(client.token)
        self.assertIsNone(store.record)

    def test_after_a_refusal_the_store_says_so_to_the_next_process(self):
        for status, body in (400, {"error": "invalid_grant"}), (200, {"ok": False}):
            store = MemoryStore()
            client = self.logged_in_client(store=store)
            record = dict(store.record)
            self.server.script("/token", status, body)
            self.error_of(LoginRequired, client.refresh)
            self.assertEqual(store.record, dict(record, renew_at=0))
            # It does not run into a 401 first: it tries the refresh token once more.
            requests = len(self.server.requests)
            newcomer = self.client_without_login(store=store)
            self.assertEqual(newcomer.get("me").status_code, 200)
            paths = self.requested_paths()[requests:]
            self.assertEqual(paths, ["/token", "/v1/me"])

    def test_after_a_401_with_nothing_to_refresh_the_store_says_so_too(self):
        self.server.issue_refresh_token = False
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        self.server.expire()
        self.error_of(LoginRequired, client.get, "me")
        requests = len(self.server.requests)
        newcomer = self.client_without_login(store=store)
        self.error_of(LoginRequired, newcomer.get, "me")
        self.assertEqual(len(self.server.requests), requests)

    def test_a_token_that_the_server_repeats_does_not_live_longer(self):
        # Doorkeeper gives the same token again, with the seconds that are left.
        for life in 0, 50, 7200, None:
            client = self.logged_in_client()
            old = client.token
            answer = {"access_token": old.access_token, "expires_in": life}
            self.server.script("/token", 200, answer)
            client.refresh()
            with self.subTest(life):
                self.assertEqual(client.token.access_token, old.access_token)
                self.assertLessEqual(client.token.expires_at, old.expires_at)
                self.assertEqual(client.token.refresh_token, old.refresh_token)

    def test_a_record_holds_the_token_and_what_it_is_bound_to_and_no_more(self):
        token = {
            "access_token": "a",
            "token_type": "Bearer",
            "expires_at": 1e9,
            "refresh_token": "r",
            "scope": "other",
            "raw": {"id_token": "i"},
        }
        for issuer in self.server.url, None:
            store = MemoryStore()
            client = self.client_without_login(
                "fake-app",
                metadata={"issuer": issuer, PROMISE_OF_ISS: None},
                store=store,
                client_secret=HUSH,
                trace=len,
            )
            client.token = Token(**token)
            server = issuer or self.server.url + "/token"
            bound = [server, "fake-app", "authorization_code", SCOPE]
            with self.subTest(issuer=issuer):
                rest = [value for value in store.record.values() if value not in bound]
                self.assertEqual(len(store.record), 6)
                self.assertEqual(len(rest), 2)  # the token, and one for the margin
                self.assertIn(token, rest)
                self.assertNotIn(HUSH, json.dumps(store.record))

    def test_a_token_of_another_server_client_or_grant_type_is_not_touched(self):
        self.client(store=self.path()).access_token()
        content = self.content_of()
        requests = len(self.server.requests)
        others = [
            self.client(store=self.path(), metadata={"issuer": "https://b.example"}),
            self.client("fake-post", store=self.path()),
            self.client(store=self.path(), grant_type="authorization_code"),
        ]
        for client in others:
            with self.subTest(client):
                self.error_of(StoreError, client.access_token)
                self.error_of(StoreError, client.login)
                self.error_of(StoreError, client.refresh)
                self.error_of(StoreError, client.logout)
                self.error_of(StoreError, getattr, client, "token")
                self.error_of(StoreError, setattr, client, "token", Token("a"))
        self.assertEqual(self.content_of(), content)
        self.assertEqual(len(self.server.requests), requests)

    def test_a_record_that_is_none_of_ours_is_not_touched(self):
        for record in ({}, {"token": 5}, {"access_token": HUSH}):
            TokenFile(self.path()).save(record)
            with self.subTest(record):
                self.error_of(StoreError, self.client(store=self.path()).access_token)
            self.assertEqual(TokenFile(self.path()).load(), record)

    def test_it_is_used_only_inside_of_its_lock_which_is_never_taken_twice(self):
        store = MemoryStore()
        client = self.logged_in_client(store=store)
        client.refresh()
        client.get("echo")
        self.client_without_login(store=store).login()
        self.assertTrue(self.client_without_login(store=store).token)
        self.client_without_login(store=store).access_token()
        expire_by_the_clock(client)
        results_of_threads(client.access_token, 8)
        client.logout()
        self.assertEqual(store.calls_without_lock, [])
        self.assertLessEqual({"load", "save"}, set(store.calls))

    def test_a_token_that_is_assigned_is_saved_and_none_forgets_it(self):
        client = self.client(store=self.path())
        client.token = token = Token("a", "Bearer", 1e11, "r", "s", {"x": 1})
        self.assertEqual(client.access_token(), "a")
        self.assertEqual(self.client(store=self.path()).token, token)
        client.token = None
        self.assertIsNone(client.token)
        self.assertFalse(os.path.exists(self.path()))
        with self.assertRaises(TypeError):
            client.token = "a"
        with self.assertRaises(ValueError):
            client.token = token._replace(access_token="a\r\nX: b")
        self.assertFalse(os.path.exists(self.path()))


# --- 4 Authorization request ----------------------------------------------------------


class AuthorizationRequestTest(ServerCase):
    """RFC 6749 section 4.1.1, and RFC 7636: state and verifier are new in each
    request."""

    def test_its_query_is_this_and_nothing_else_and_its_secrets_are_new_each_time(self):
        self.assertEqual(  # RFC 7636 appendix B
            self.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        )
        client = self.client_without_login()
        requests = [client.authorization_request() for _ in range(20)]
        for asked in requests:
            self.assertRegex(asked.state, "^[A-Za-z0-9_-]{22,}$")  # 128 bits
            # RFC 7636 section 4.1
            self.assertRegex(asked.code_verifier, "^[A-Za-z0-9._~-]{43,128}$")
            address, _, _ = asked.url.partition("?")
            self.assertEqual(address, self.server.url + "/authorize")
            self.assertEqual(
                query_of(asked.url),
                {
                    "response_type": "code",
                    "client_id": "fake-public",
                    "scope": SCOPE,
                    "redirect_uri": "http://127.0.0.1/callback",
                    "state": asked.state,
                    "code_challenge": self.challenge_of(asked.code_verifier),
                    "code_challenge_method": "S256",
                },
            )
        self.assertEqual(len({asked.state for asked in requests}), 20)
        self.assertEqual(len({asked.code_verifier for asked in requests}), 20)

    def test_without_a_scope_none_is_sent(self):
        uri = "https://app.example/back?a=1"
        asked = self.client_without_login(scope=None).authorization_request(uri)
        self.assertNotIn("scope", query_of(asked.url))
        self.assertEqual(asked.redirect_uri, uri)
        self.assertEqual(query_of(asked.url)["redirect_uri"], asked.redirect_uri)

    def test_parameters_of_the_server_and_then_of_the_call_are_added(self):
        parameters = {"access_type": "offline", "prompt": "consent"}
        client = self.client_without_login(
            metadata={"authorization_parameters": parameters}
        )
        plain = query_of(self.client_without_login().authorization_request().url)
        asked = client.authorization_request(prompt="login", login_hint="a b&c")
        query = query_of(asked.url)
        self.assertEqual(
            {name: query[name] for name in query if name not in plain},
            {"access_type": "offline", "prompt": "login", "login_hint": "a b&c"},
        )

    def test_what_is_made_here_cannot_be_given(self):
        names = [
            "state",
            "code_challenge",
            "code_challenge_method",
            "client_id",
            "client_secret",
            "password",
            "code_verifier",
            "refresh_token",
            "scope",
            "response_type",
        ]
        for name in names:
            metadata = {"authorization_parameters": {name: "mine"}}
            client = self.client_without_login(scope=None)
            insisting = self.client_without_login(metadata=metadata)
            with self.subTest(name):
                with self.assertRaisesRegex(ValueError, name):
                    client.authorization_request(**{name: "mine"})
                with self.assertRaisesRegex(ValueError, name):
                    insisting.authorization_request()

    def test_a_query_that_the_endpoint_has_is_kept(self):
        endpoint = self.server.url + "/authorize?tenant=a%20b&p="
        client = self.client_without_login(
            metadata={"authorization_endpoint": endpoint}
        )
        url = client.authorization_request().url
        self.assertTrue(url.startswith(endpoint + "&"), url)
        self.assertEqual(query_of(url)["tenant"], "a b")

    def test_what_is_made_here_cannot_stand_in_the_query_of_the_endpoint_either(self):
        for name in "client_id", "redirect_uri", "state", "response_type", "scope":
            endpoint = self.server.url + "/authorize?a=b&%s=" % name
            client = self.client_without_login(
                metadata={"authorization_endpoint": endpoint}
            )
            with self.subTest(name), self.assertRaisesRegex(ValueError, name):
                client.authorization_request()

    def test_a_parameter_that_stands_in_the_query_of_the_endpoint_is_refused(self):
        # Azure's functions have their key as a `code` there: that is nobody's but theirs.
        endpoint = self.server.url + "/authorize?code=1&prompt="
        facts = {"authorization_endpoint": endpoint}
        client = self.client_without_login(metadata=facts)
        self.assertEqual(query_of(client.authorization_request().url)["code"], "1")
        facts["authorization_parameters"] = {"prompt": "login"}
        insisting = self.client_without_login(metadata=facts)
        with self.assertRaisesRegex(ValueError, "prompt"):
            client.authorization_request(prompt="login")
        with self.assertRaisesRegex(ValueError, "prompt"):
            insisting.authorization_request()

    def test_without_pkce_there_is_no_challenge_and_no_verifier(self):
        client = self.client_without_login(metadata={"pkce": False})
        asked = client.authorization_request()
        self.assertEqual(asked.code_verifier, "")
        names = {"response_type", "client_id", "scope", "redirect_uri", "state"}
        self.assertEqual(set(query_of(asked.url)), names)
        self.server.script("/token", body=TOKEN)
        answer = {"code": "c", "state": asked.state, "iss": self.server.url}
        client.exchange(asked, urllib.parse.urlencode(answer))
        self.assertEqual(
            self.server.forms(),
            [
                {
                    "grant_type": "authorization_code",
                    "code": "c",
                    "client_id": "fake-public",
                    "redirect_uri": "http://127.0.0.1/callback",
                }
            ],
        )

    def test_where_the_metadata_list_no_s256_only_pkce_false_asks_without_it(self):
        for methods in ["plain"], ["plain", "S512"], "plain", 5:
            facts = {"code_challenge_methods_supported": methods}
            client = self.client_without_login(metadata=facts)
            with self.subTest(methods):
                error = self.error_of(ValueError, client.authorization_request)
                self.assertIn("'pkce': False", str(error))
            client = self.client_without_login(metadata=dict(facts, pkce=False))
            self.assertEqual(client.authorization_request().code_verifier, "")
        for methods in None, ["plain", "S256"]:
            facts = {"code_challenge_methods_supported": methods}
            client = self.client_without_login(metadata=facts)
            with self.subTest(methods):
                query = query_of(client.authorization_request().url)
                self.assertEqual(query["code_challenge_method"], "S256")

    def test_it_is_four_strings_that_survive_a_session(self):
        client = self.client_without_login()
        asked = client.authorization_request()
        self.assertIsInstance(asked, AuthorizationRequest)
        self.assertEqual(
            asked._fields, ("url", "state", "code_verifier", "redirect_uri")
        )
        self.assertEqual({type(text) for text in asked}, {str})
        kept = json.loads(json.dumps(asked))
        self.assertEqual(
            client.exchange(kept, self.server.approve(asked.url)), client.token
        )

    def test_an_endpoint_that_is_missing_is_named(self):
        for name, grant_type, call in (
            (
                "authorization_endpoint",
                "authorization_code",
                Client.authorization_request,
            ),
            ("authorization_endpoint", "authorization_code", Client.login),
            ("device_authorization_endpoint", DEVICE_CODE, Client.login),
        ):
            client = self.client_without_login(
                grant_type=grant_type, metadata={name: None}
            )
            with self.subTest(name, call=call), self.captured_stderr():
                self.assertIn(name, str(self.error_of(ValueError, call, client)))
        self.assertEqual(self.server.requests, [])

    @staticmethod
    def challenge_of(verifier):
        digest = hashlib.sha256(verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class ExchangeTest(ServerCase):
    """RFC 6749 section 4.1.2, RFC 9207 (iss), RFC 7636 section 4.5: what is not the
    answer to our request sends nothing."""

    def approved_request(self, client_id="fake-public", **settings):
        """A client, what it asked, and the right answer to that."""
        client = self.client_without_login(client_id, **settings)
        asked = client.authorization_request()
        return client, asked, self.server.approve(asked.url)

    def denied_request(self):
        """A client, what it asked, and the answer of a user who says no."""
        client = self.client_without_login()
        asked = client.authorization_request()
        return client, asked, self.server.deny(asked.url)

    def test_it_sends_this_form_and_nothing_else(self):
        for client_id, more in (
            ("fake-public", {"client_id": "fake-public"}),
            ("fake-app", {}),
        ):
            client, asked, answer = self.approved_request(client_id)
            token = client.exchange(asked, answer)
            form = {
                "grant_type": "authorization_code",
                "code": query_of(answer)["code"],
                "redirect_uri": asked.redirect_uri,
                "code_verifier": asked.code_verifier,
            }
            self.assertEqual(self.server.forms()[-1], dict(form, **more))
            self.assertEqual(token.scope, SCOPE)
            self.assertEqual(client.token, token)

    def test_the_answer_may_be_an_address_or_its_query(self):
        shapes = [
            "{address}?{query}",
            "{address}?{query}#_=_",
            "{query}",
            "{query}#_=_",
            "?{query}",
            "/callback?{query}",
        ]
        for shape in shapes:
            with self.subTest(shape):
                client, asked, answer = self.approved_request()
                address, _, query = answer.partition("?")
                response = shape.format(address=address, query=query)
                self.assertEqual(client.exchange(asked, response), client.token)

    def test_what_is_not_our_answer_sends_nothing_and_leaves_the_code_good(self):
        client, asked, right = self.approved_request()
        other = client.authorization_request()
        address = right.partition("?")[0]
        code = query_of(right)["code"]
        self.secrets += [code, asked.state, other.state]
        wrong = {
            "wrong state": with_parameters(right, state="wrong"),
            "another login's": with_parameters(right, state=other.state),
            "state not ASCII": with_parameters(right, state="stäte"),
            "empty state": with_parameters(right, state=""),
            "no state": with_parameters(right, state=None),
            "state twice": right + "&state=" + asked.state,
            "state twice, the wrong one first": right.replace("?", "?state=wrong&"),
            "code twice": right + "&code=" + code,
            "something twice": right + "&a=1&a=1",
            "error without state": address + "?error=access_denied",
            "wrong iss": with_parameters(right, iss="https://attacker.example"),
            "iss with a slash more": with_parameters(right, iss=self.server.url + "/"),
            "empty iss": with_parameters(right, iss=""),
            "no iss": with_parameters(right, iss=None),
            "no iss, empty error": with_parameters(right, iss=None, error=""),
            "no code": with_parameters(right, code=None),
            "empty code": with_parameters(right, code=""),
            "empty error": with_parameters(right, code=None, error=""),
            "blank error": with_parameters(right, code=None, error=" "),
            "no query": address,
            "nothing": "",
        }
        for name, answer in wrong.items():
            with self.subTest(name):
                error = self.error_of(
                    AuthorizationError, client.exchange, asked, answer
                )
                self.assertIsNone(error.error)
        stateless = asked._replace(state=""), with_parameters(right, state=None)
        self.error_of(AuthorizationError, client.exchange, *stateless)
        self.assertEqual(self.server.forms(), [])
        self.assertEqual(client.exchange(asked, right), client.token)

    def test_iss_may_be_missing_in_an_error_but_not_be_wrong(self):
        client, asked, denial = self.denied_request()
        for iss, code in (
            (None, "access_denied"),
            ("https://attacker.example", None),
        ):
            answer = with_parameters(denial, iss=iss)
            error = self.error_of(AuthorizationError, client.exchange, asked, answer)
            self.assertEqual(error.error, code)

    def test_where_no_issuer_is_known_iss_has_the_host_of_an_endpoint(self):
        facts = {"issuer": None, PROMISE_OF_ISS: None}
        client, asked, right = self.approved_request(metadata=facts)
        for iss in "https://somebody.example", "https://", "", "http://127.0.0.1:1":
            answer = with_parameters(right, iss=iss)
            error = self.error_of(AuthorizationError, client.exchange, asked, answer)
            self.assertIn("'issuer'", str(error))
            self.assertIn(iss, str(error))
        self.assert_token_requests(0)
        answer = with_parameters(right, iss=self.server.url + "/tenant/v2.0")
        self.assertEqual(client.exchange(asked, answer), client.token)

    def test_a_redirect_uri_without_a_path_gets_a_slash_from_the_browser(self):
        client = self.client_without_login(redirect_uri="https://app.example")
        asked = client.authorization_request()
        for place in "https://app.example/", "https://app.example", "/", "":
            answer = place + "?error=e&state=" + asked.state + "&iss=" + self.server.url
            error = self.error_of(AuthorizationError, client.exchange, asked, answer)
            self.assertEqual(error.error, "e")

    def test_the_explanation_in_an_error_is_found_in_linear_time(self):
        # With a square in it, this would take an hour.
        self.assertIsNone(oauth2min._explanation('"detail":' + " " * 1000000))

    def test_an_answer_counts_only_at_the_address_that_it_was_to_come_to(self):
        client, asked, right = self.approved_request()
        address, _, query = right.partition("?")
        path = urllib.parse.urlsplit(right).path
        for place in (
            address + "/evil",
            "https://evil.example" + path,
            address.replace("127.0.0.1", "evil.example"),
            path + "/evil",
            "/evil" + path,
            "/",
            "https://evil.example/a=b",
        ):
            error = self.error_of(
                AuthorizationError, client.exchange, asked, place + "?" + query
            )
            self.assertIn("address", str(error))
        self.assert_token_requests(0)
        self.assertEqual(client.exchange(asked, path + "?" + query), client.token)

    def test_a_login_is_bound_to_the_server_that_was_asked(self):
        _, asked, right = self.approved_request()
        other = self.client_without_login(
            metadata={"authorization_endpoint": "https://other.example/authorize"}
        )
        self.error_of(AuthorizationError, other.exchange, asked, right)
        self.assert_token_requests(0)

    def test_iss_is_not_missed_where_none_is_promised(self):
        silent = {"authorization_response_iss_parameter_supported": None}
        client, asked, right = self.approved_request(metadata=silent)
        answer = with_parameters(right, iss=None)
        self.assertEqual(client.exchange(asked, answer), client.token)

    def test_a_denial_says_so(self):
        client, asked, denial = self.denied_request()
        answer = with_parameters(denial, error_uri="https://e/x")
        error = self.error_of(AuthorizationError, client.exchange, asked, answer)
        self.assertRegex(str(error), "access_denied.*The user said no")
        self.assertEqual(error.error, "access_denied")
        self.assertEqual(error.error_description, "The user said no")
        self.assertEqual(error.error_uri, "https://e/x")
        self.assertEqual(self.server.forms(), [])

    def test_a_question_mark_in_an_error_description_hides_nothing(self):
        # RFC 3986 section 3.4: a query may hold one.
        client = self.client_without_login()
        asked = client.authorization_request()
        query = "error=access_denied&error_description=Why?&state=%s&iss=%s"
        query %= asked.state, self.server.url
        for response in asked.redirect_uri + "?" + query, "?" + query, query:
            with self.subTest(response):
                error = self.error_of(
                    AuthorizationError, client.exchange, asked, response
                )
                self.assertEqual(error.error, "access_denied")
                self.assertIn("Why", error.error_description)

    def test_a_hostile_error_is_shown_clean_and_short(self):
        client, asked, denial = self.denied_request()
        self.secrets.append(asked.state)
        for name in "error", "error_description", "error_uri":
            for text in HOSTILE, asked.state + HOSTILE, "no " + HUSH:
                fields = {"code": HUSH, "error": "access_denied", name: text}
                answer = with_parameters(denial, **fields)
                with self.subTest(name):
                    self.error_of(AuthorizationError, client.exchange, asked, answer)


# --- 5 Token endpoint -----------------------------------------------------------------


class ClientAuthenticationTest(ServerCase):
    """RFC 6749 section 2.3.1."""

    def test_a_client_authenticates_in_the_header_or_the_form_or_sends_its_id(self):
        self.client("fake-app").access_token()
        self.client("fake-post").access_token()
        self.server.script("/token", body=TOKEN)
        self.client("fake-public").access_token()
        secret = self.server.clients["fake-post"]["client_secret"]
        grant = {"grant_type": "client_credentials"}
        in_header, in_form, public = self.server.requests
        self.assertEqual(in_header.form, grant)
        self.assertEqual(
            in_form.form, dict(grant, client_id="fake-post", client_secret=secret)
        )
        self.assertEqual(public.form, dict(grant, client_id="fake-public"))
        self.assertIn("Authorization", in_header.headers)
        self.assertNotIn("Authorization", in_form.headers)
        self.assertNotIn("Authorization", public.headers)

    def test_a_secret_goes_the_first_of_the_two_ways_that_the_metadata_name(self):
        for methods, is_in_form in (
            (None, False),
            ([], False),
            (["none", "private_key_jwt"], False),
            (["client_secret_basic", "client_secret_post"], False),
            (["client_secret_post", "client_secret_basic"], True),
            (["private_key_jwt", "none", "client_secret_post"], True),
            (["client_secret_jwt", "client_secret_basic"], False),
        ):
            self.server.script("/token", body=TOKEN)
            facts = {"token_endpoint_auth_methods_supported": methods}
            with self.subTest(methods):
                self.client(metadata=facts).access_token()
                sent = self.server.requests[-1]
                self.assertEqual("client_secret" in sent.form, is_in_form)
                self.assertEqual("Authorization" in sent.headers, not is_in_form)

    def test_the_id_and_the_secret_are_form_encoded_before_base64_a_space_as_20(self):
        pairs = [
            (  # RFC 6749 section 2.3.1
                "s6BhdRkqt3",
                "7Fjfp0ZBr1KtDRbnfVdmIw",
                b"s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw",
            ),
            (
                "i:ü-._~",
                ":%+/= é ~",
                b"i%3A%C3%BC-._~:%3A%25%2B%2F%3D%20%C3%A9%20~",
            ),
        ]
        for client_id, secret, pair in pairs:
            self.server.clients[client_id] = {
                "client_secret": secret,
                "token_endpoint_auth_method": "client_secret_basic",
            }
            self.client(client_id).access_token()
            sent = self.last_authorization()
            self.assertEqual(sent, "Basic " + base64.b64encode(pair).decode())


class TokenAnswerTest(ServerCase):
    """RFC 6749 sections 5.1 and 5.2, read as tolerantly as real servers need it. All
    that is no token is a TokenError, and no secret is in it."""

    def token_from(self, *answer, **settings):
        """The token out of this scripted answer."""
        self.server.script("/token", *answer)
        client = self.client(**settings)
        client.access_token()
        return client.token

    def error_from(self, *answer, **settings):
        return self.error_of(TokenError, self.token_from, *answer, **settings)

    def test_a_token_is_read_in_whatever_form_it_comes(self):
        plain = json.dumps({"access_token": "t", "scope": "a b"})
        answers = [
            (plain, "application/json; charset=utf-8"),
            (plain, "text/html"),
            (plain, FORM),
            (plain, "nonsense"),
            ("\ufeff" + plain, "application/json"),
            ("\n " + plain + "\n", "text/plain"),
            ("access_token=t&scope=a%20b", FORM),
            ("access_token=t&scope=a+b", "application/json"),
            ("access_token=t&scope=a%2Cb&", "text/plain"),
        ]
        for body, content_type in answers:
            with self.subTest(body=body, content_type=content_type):
                token = self.token_from(200, body, {"Content-Type": content_type})
                self.assertEqual(token.access_token, "t")
                self.assertEqual(token.scope, "a b")

    def test_all_that_came_with_it_is_kept(self):
        raw = {
            "access_token": "t",
            "id_token": "i",
            "expires_in": "60",
            "x": {"y": [1]},
        }
        self.assertEqual(self.token_from(200, raw).raw, raw)

    def test_the_life_of_a_token_is_read_tolerantly(self):
        lives = [
            (60, 60),
            ("60", 60),
            (60.0, 60),
            ("60.5", 60.5),
            (None, None),
            ("soon", None),
            ("", None),
            (-5, None),
            ("1e999", None),
            (True, None),
            ([60], None),
            ({}, None),
            (10**400, None),
            (float("nan"), None),
            (float("inf"), None),
        ]
        for life, seconds in lives:
            with self.subTest(life=life), clock_stopped_at(1e9):
                token = self.token_from(200, {"access_token": "t", "expires_in": life})
                self.assertEqual(token.expires_at, seconds and 1e9 + seconds)
        with clock_stopped_at(1e9):
            token = self.token_from(200, "access_token=t&expires_in=60")
        self.assertEqual(token.expires_at, 1e9 + 60)

    def test_the_scope_is_read_tolerantly_and_a_changed_one_never_raises(self):
        scopes = [
            ("a b", "a b"),
            ("a,b", "a b"),
            ("a, b", "a b"),
            (["a", "b"], "a b"),
            (None, None),
            (5, "5"),
        ]
        for scope, expected in scopes:
            with self.subTest(scope=scope):
                body = {"access_token": "t", "scope": scope}
                self.assertEqual(
                    self.token_from(200, body, scope=SCOPE).scope, expected
                )

    def test_whatever_the_token_type_bearer_is_sent(self):
        kinds = "bearer", "BEARER", None, "Application Access Token", 5
        answers = [{"access_token": "t", "token_type": kind} for kind in kinds]
        answers.append({"access_token": "t"})
        for answer in answers:
            with self.subTest(answer):
                self.server.script("/token", 200, answer)
                self.server.script("/v1/echo")
                self.client().get("echo")
                self.assertEqual(self.last_authorization(), "Bearer t")

    def test_an_error_is_one_whatever_the_status_and_the_form(self):
        late = {"error": "bad_code", "error_description": "Old"}
        busy = "temporarily_unavailable"
        rows = [
            Row(status=400, body=late, error="bad_code", description="Old"),
            Row(status=200, body=late, error="bad_code", description="Old"),
            Row(
                status=200,
                body={"error": "bad_code", "access_token": "t"},
                error="bad_code",
                description=None,
            ),
            Row(
                status=200,
                body={"error": {"message": "Old"}, "access_token": "t"},
                error=None,
                description="Old",
            ),
            Row(
                status=200,
                body="error=bad_code&error_description=Too+old",
                error="bad_code",
                description="Too old",
            ),
            Row(
                status=200,
                body={"ok": False, "error": "invalid_auth"},
                error="invalid_auth",
                description=None,
            ),
            Row(
                status=401,
                body={"error": "invalid_client"},
                error="invalid_client",
                description=None,
            ),
            Row(status=503, body={"error": busy}, error=busy, description=None),
        ]
        for row in rows:
            with self.subTest(row):
                problem = self.error_from(row.status, row.body)
                self.assertEqual(problem.status, row.status)
                self.assertEqual(problem.error, row.error)
                self.assertEqual(problem.error_description, row.description)
                self.assertIn(row.error or "", str(problem))
                self.assertIn(row.description or "", str(problem))

    def test_an_answer_without_a_usable_token_is_a_token_error_with_the_status(self):
        answers = [
            (200, ""),
            (200, "<html><p class=x>Hi"),
            (200, {}),
            (200, []),
            (200, "null"),
            (200, "7"),
            (200, b"\xff\xfe\x00="),
            (200, b'{"access_token": "\xff"}'),
            (200, "[" * 100000),
            (200, '{"access_token":' * 50000),
            (200, {"ok": False}),
            (200, {"access_token": None}),
            (200, {"access_token": ""}),
            (200, {"access_token": 7}),
            (200, {"access_token": ["t"]}),
            (200, {"access_token": "t\nX: 1"}),
            (200, {"access_token": "t\u20ac"}),
            (400, {"access_token": "t"}),
            (400, {"error": 5}),
            (400, {"error": ["a"]}),
            (500, "<html>" * 9999),
            (502, ""),
        ]
        for status, body in answers:
            with self.subTest(status=status, body=str(body)[:40]):
                self.assertEqual(self.error_from(status, body).status, status)

    def test_an_answer_of_more_than_1_mib_is_a_network_error(self):
        body = {"access_token": "t", "x": "x" * (1 << 20)}
        self.server.script("/token", 200, body)
        self.error_of(URLError, self.client().access_token)

    def test_trouble_that_passes_says_when_to_try_again(self):
        unavailable = {"error": "temporarily_unavailable"}
        for status, body, headers, seconds in (
            (500, "<p>", {}, 1),
            (503, "", {}, 1),
            (503, "", {"Retry-After": "7"}, 7),
            (429, "", {"Retry-After": "7"}, 7),
            (400, unavailable, {}, 1),
        ):
            with self.subTest(status=status, headers=headers):
                error = self.error_from(status, body, headers)
                self.assertEqual(error.retry_after, seconds)
                self.assertIn("try again in %d seconds" % seconds, str(error))
        error = self.error_from(400, {"error": "invalid_scope"})
        self.assertIsNone(error.retry_after)

    def test_a_redirect_is_not_followed(self):
        other = self.start_server()
        for status in REDIRECTS:
            for url in other.url + "/token", "/v1/echo":
                with self.subTest(status=status, url=url):
                    error = self.error_from(status, "", {"Location": url})
                    self.assertEqual(error.status, status)
        self.assertEqual(other.connections, 0)
        self.assertEqual(len(self.server.requests), 10)

    def test_an_error_after_odd_parameters_is_a_token_error_all_the_same(self):
        answer = {"error": "bad", "error_description": "None of 12345678"}
        self.server.script("/token", 400, answer)
        odd = {"code": 12345678, "state": None, "password": ""}
        error = self.error_of(TokenError, self.client().request_token, "urn:x", **odd)
        self.assertNotIn("12345678", error.error_description)

    def test_a_secret_under_8_characters_is_not_looked_for(self):
        answer = {"error": "bad", "error_description": "it is secret"}
        for secret, is_shown in ("secret", True), ("is secret", False):
            with self.subTest(secret):
                error = self.error_from(400, answer, client_secret=secret)
                self.assertEqual(error.error_description == "it is secret", is_shown)

    def test_a_client_that_is_refused_hears_of_the_other_way_to_send_its_secret(self):
        for status, body in (401, {"error": "invalid_client"}), (403, ""):
            with self.subTest(status):
                self.assertIn("client_secret_post", str(self.error_from(status, body)))

    @staticmethod
    def forms_of(secret):
        """The ways in which a server may write this in its answer."""
        quoted = urllib.parse.quote(secret)
        return {
            secret,
            quoted,
            urllib.parse.quote(secret, ""),
            urllib.parse.quote(secret, "") + "=",
            re.sub("%..", lambda match: match.group().lower(), quoted),
            urllib.parse.quote_plus(secret),
        }

    def test_no_error_repeats_what_is_secret_even_if_the_server_does(self):
        secret = "hush/ü+%: &?"
        old = "hush-old/+&?"
        code = "hush-code/+?"
        verifier = "hush-v" * 9
        pair = "fake-app:" + urllib.parse.quote(secret, safe="~")
        basic = base64.b64encode(pair.encode()).decode()
        client = self.client_without_login("fake-app", client_secret=secret)

        def exchange():
            client.request_token(
                "authorization_code", code=code, code_verifier=verifier
            )

        for call, values in (
            (client.refresh, (secret, basic, old)),
            (exchange, (secret, basic, code, verifier)),
        ):
            for value in values:
                for echo in self.forms_of(value):
                    for error in "invalid_grant", "invalid_client", echo, None:
                        client.token = Token("hush-access", "Bearer", 1, old)
                        text = "It is %s, is it? %s" % (echo, "x" * 5000)
                        answer = {
                            "error": error,
                            "error_description": text,
                            "error_uri": text,
                            "message": text,
                        }
                        self.server.script("/token", 400, answer)
                        kind = TokenError
                        is_refusal = error != "invalid_client" and " " not in str(error)
                        if call != exchange and is_refusal:
                            kind = LoginRequired
                        self.secrets = [value, echo]
                        self.error_of(kind, call)


def token_answer(who, body, **reading):
    """A body with a token, and what is to be read otherwise than it is written
    there."""
    written = body if isinstance(body, dict) else {}
    names = "token_type", "expires_in", "refresh_token", "scope"
    row = {name: written.get(name) for name in names}
    row["token_type"] = row["token_type"] or "Bearer"
    return Row(who=who, body=body, **dict(row, **reading))


def error_answer(who, status, body, only_a_login_helps=False, **reading):
    """A refusal, and what is to be read otherwise than it is written there; at last
    what it means in answer to a refresh."""
    written = body if isinstance(body, dict) else {}
    row = {
        "error": written.get("error"),
        "description": written.get("error_description"),
        "only_a_login_helps": only_a_login_helps,
    }
    return Row(who=who, status=status, body=body, **dict(row, **reading))


class CompatibilityTest(ServerCase):
    """What real servers answer, by their documentation or by the bug trackers of other
    clients, and the right reading of it. The tokens are made up."""

    TOKENS = [
        token_answer(
            "GitHub",
            {
                "access_token": "t",
                "scope": "repo,gist",
                "token_type": "bearer",
            },
            scope="repo gist",
        ),
        token_answer(
            "GitHub, as a form",
            "access_token=t&expires_in=28800&refresh_token=r&scope=repo%2Cgist"
            "&refresh_token_expires_in=15811200&token_type=bearer",
            token_type="bearer",
            expires_in=28800,
            refresh_token="r",
            scope="repo gist",
        ),
        token_answer(
            "a form with a line break at its end",
            "access_token=t&token_type=bearer\r\n",
            token_type="bearer",
        ),
        token_answer(
            "GitHub, without a scope",
            "access_token=t&scope=&token_type=bearer",
            token_type="bearer",
        ),
        token_answer(
            "Facebook",
            {
                "access_token": "t",
                "token_type": "bearer",
                "expires_in": 5183944,
            },
        ),
        token_answer(
            "Facebook, once", "access_token=t&expires_in=5183999", expires_in=5183999
        ),
        token_answer(
            "Slack",
            {
                "ok": True,
                "access_token": "t",
                "token_type": "bot",
                "enterprise": None,
                "scope": "chat:write,im",
                "authed_user": {"access_token": "another"},
            },
            scope="chat:write im",
        ),
        token_answer(
            "Spotify",
            {
                "access_token": "t",
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": "r",
                "scope": SCOPE,
            },
        ),
        token_answer(
            "X",
            {
                "token_type": "bearer",
                "expires_in": 7200,
                "access_token": "t",
                "refresh_token": "r",
                "scope": "tweet.read offline.access",
            },
        ),
        token_answer(
            "X, for the program",
            {"token_type": "bearer", "access_token": "AA%2FAA%3DBB"},
        ),
        token_answer(
            "Microsoft, version 1",
            {
                "token_type": "Bearer",
                "expires_in": "3599",
                "ext_expires_in": "3599",
                "expires_on": "1000003599",
                "not_before": "1000000000",
                "resource": "r",
                "access_token": "t",
            },
            expires_in=3599,
        ),
        token_answer(
            "Twitch",
            {
                "access_token": "t",
                "expires_in": 14124,
                "refresh_token": "r",
                "scope": ["channel:moderate", "chat:edit"],
                "token_type": "bearer",
            },
            scope="channel:moderate chat:edit",
        ),
        token_answer(
            "PayPal",
            {
                "scope": "https://uri.paypal.com/a openid",
                "access_token": "t",
                "token_type": "Bearer",
                "app_id": "APP-1",
                "expires_in": "32400",
            },
            expires_in=32400,
        ),
        token_answer(
            "NetSuite",
            {
                "access_token": "t",
                "expires_in": "3600",
                "token_type": "bearer",
            },
            expires_in=3600,
        ),
        token_answer(
            "SurveyMonkey",
            {
                "access_token": "t",
                "token_type": "bearer",
                "expires_in": None,
            },
        ),
        token_answer(
            "Mailchimp",
            {
                "access_token": "t",
                "expires_in": 0,
                "scope": None,
            },
            expires_in=None,
        ),
        token_answer(
            "eBay",
            {
                "access_token": "t",
                "expires_in": 7200,
                "refresh_token": "r",
                "refresh_token_expires_in": 47304000,
                "token_type": "User Access Token",
            },
        ),
        token_answer(
            "LinkedIn",
            {
                "access_token": "t",
                "expires_in": 5184000,
                "scope": "openid,email",
            },
            scope="openid email",
        ),
        token_answer(
            "Weibo",
            {
                "access_token": "t",
                "remind_in": "157679999",
                "expires_in": 157679999,
            },
        ),
        token_answer(
            "QQ",
            "access_token=t&expires_in=7776000&refresh_token=r",
            expires_in=7776000,
            refresh_token="r",
        ),
        token_answer(
            "Shopify",
            {"access_token": "t", "scope": "write_orders,read_customers"},
            scope="write_orders read_customers",
        ),
        token_answer(
            "Strava",
            {
                "token_type": "Bearer",
                "expires_at": 1000021600,
                "expires_in": 21600,
                "refresh_token": "r",
                "access_token": "t",
                "athlete": {"id": 1},
            },
        ),
        token_answer(
            "Square",
            {
                "access_token": "t",
                "token_type": "bearer",
                "expires_at": "2001-10-09T01:46:40Z",
                "refresh_token": "r",
                "short_lived": False,
            },
        ),
        token_answer("Deezer", "access_token=t&expires=0"),
        token_answer(
            "Keycloak",
            {
                "access_token": "t",
                "expires_in": 300,
                "refresh_expires_in": 0,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "email",
            },
        ),
        token_answer(
            "glewlwyd",
            {
                "token_type": "bearer",
                "access_token": "t",
                "iat": 1000000000,
                "expires_in": 3600,
                "refresh_token": "r",
                "scope": "g_profile",
            },
        ),
        token_answer(
            "a byte order mark",
            "\ufeff" + '{"access_token": "t", "expires_in": 60}',
            expires_in=60,
        ),
        token_answer(
            "nulls",
            {
                "access_token": "t",
                "error": None,
                "refresh_token": None,
                "scope": "",
            },
            scope=None,
        ),
    ]

    ERRORS = [
        error_answer(
            "GitHub",
            200,
            {"error": "incorrect_client_credentials", "error_description": "Check."},
            only_a_login_helps=True,
        ),
        error_answer(
            "GitHub, as a form",
            200,
            "error=bad_verification_code&error_description=It+is+old.",
            error="bad_verification_code",
            description="It is old.",
            only_a_login_helps=True,
        ),
        error_answer(
            "GitHub",
            200,
            {"error": "bad_refresh_token", "error_description": "It is expired."},
            only_a_login_helps=True,
        ),
        error_answer(
            "a form with a line break at its end",
            400,
            "error=invalid_grant\n",
            error="invalid_grant",
            description=None,
            only_a_login_helps=True,
        ),
        error_answer(
            "Facebook",
            400,
            {
                "error": {
                    "message": "Invalid.",
                    "type": "OAuthException",
                    "code": 1,
                }
            },
            error=None,
            description="Invalid.",
            only_a_login_helps=True,
        ),
        error_answer("Slack", 200, {"ok": False, "error": "invalid_code"}, True),
        error_answer(
            "Slack",
            200,
            {"ok": False, "error": "invalid_refresh_token"},
            only_a_login_helps=True,
        ),
        error_answer(
            "Spotify",
            400,
            {"error": "invalid_grant", "error_description": "It was revoked"},
            only_a_login_helps=True,
        ),
        error_answer(
            "X",
            400,
            {
                "error": "invalid_request",
                "error_description": "Value passed for the token was invalid.",
            },
            only_a_login_helps=True,
        ),
        error_answer(
            "X, for the program",
            403,
            {"errors": [{"code": 99, "message": "Unable to verify"}]},
            only_a_login_helps=True,
        ),
        error_answer(
            "Google",
            400,
            {"error": "invalid_grant", "error_description": "It has been revoked."},
            only_a_login_helps=True,
        ),
        error_answer("Google", 401, {"error": "deleted_client"}, True),
        error_answer(
            "Microsoft",
            400,
            {
                "error": "invalid_grant",
                "error_codes": [70000],
                "error_description": "AADSTS70000: Expired.\r\nTrace ID: 1\r\n",
            },
            description="AADSTS70000: Expired. Trace ID: 1",
            only_a_login_helps=True,
        ),
        error_answer(
            "Auth0",
            403,
            {"error": "invalid_grant", "error_description": "Unknown or invalid."},
            only_a_login_helps=True,
        ),
        error_answer(
            "Twitch",
            400,
            {"status": 400, "message": "Invalid refresh token"},
            description="Invalid refresh token",
            only_a_login_helps=True,
        ),
        error_answer(
            "Reddit",
            401,
            {"message": "Unauthorized", "error": 401},
            error=None,
            description="Unauthorized",
            only_a_login_helps=True,
        ),
        error_answer(
            "WeChat", 200, {"errcode": 40029, "errmsg": "invalid code"}, True
        ),
        error_answer(
            "Strava",
            400,
            {"message": "Bad Request", "errors": [{"field": "refresh_token"}]},
            description="Bad Request",
            only_a_login_helps=True,
        ),
        error_answer(
            "Fitbit",
            400,
            {
                "errors": [{"errorType": "invalid_grant", "message": "It is invalid"}],
                "success": False,
            },
            only_a_login_helps=True,
        ),
        error_answer(
            "HubSpot",
            400,
            {"status": "BAD_REFRESH_TOKEN", "message": "invalid refresh token"},
            description="invalid refresh token",
            only_a_login_helps=True,
        ),
        error_answer(
            "SoundCloud",
            401,
            {
                "code": 401,
                "message": "invalid_grant",
                "error": None,
            },
            description="invalid_grant",
            only_a_login_helps=True,
        ),
        error_answer("Deezer", 200, "wrong code"),
        error_answer("Zoho", 200, {"error": "invalid_code"}, True),
        error_answer("glewlwyd", 400, "", only_a_login_helps=True),
        error_answer("a proxy in between", 502, "<html><h1>Bad Gateway</h1>"),
    ]

    def test_their_tokens(self):
        for row in self.TOKENS:
            with self.subTest(row.who, body=row.body), clock_stopped_at(1e9):
                self.server.script(
                    "/token", 200, row.body, {"Content-Type": "text/plain"}
                )
                self.server.script("/v1/echo")
                client = self.client()
                client.get("echo")
                token = client.token
                self.assertEqual(token.token_type, row.token_type)
                self.assertEqual(
                    token.expires_at, row.expires_in and 1e9 + row.expires_in
                )
                self.assertEqual(token.refresh_token or None, row.refresh_token)
                self.assertEqual(token.scope or None, row.scope)
                sent = self.last_authorization()
                self.assertEqual(sent, "Bearer " + token.access_token)

    def test_their_errors(self):
        for row in self.ERRORS:
            with self.subTest(row.who, body=row.body):
                self.server.script("/token", row.status, row.body)
                error = self.error_of(TokenError, self.client().access_token)
                self.assertEqual(error.status, row.status)
                self.assertEqual(error.error, row.error)
                self.assertEqual(error.error_description, row.description)

    def test_after_which_of_them_only_a_login_helps(self):
        for row in self.ERRORS:
            with self.subTest(row.who, body=row.body):
                client = self.client(grant_type="authorization_code")
                client.token = Token(HUSH, expires_at=1, refresh_token=HUSH)
                self.server.script("/token", row.status, row.body)
                kind = LoginRequired if row.only_a_login_helps else TokenError
                self.error_of(kind, client.access_token)

    def test_where_a_refresh_brings_no_refresh_token_the_old_one_stays(self):
        # LemonLDAP::NG leaves it out.
        client = self.client(grant_type="authorization_code")
        client.token = Token("a", expires_at=1, refresh_token="r")
        for more in {}, {"refresh_token": None}, {"refresh_token": ""}:
            answer = dict(more, access_token="t", expires_in=3600)
            with self.subTest(more):
                self.server.script("/token", 200, answer)
                self.assertEqual(client.refresh().access_token, "t")
                self.assertEqual(client.token.refresh_token, "r")


# --- 6 Token file ---------------------------------------------------------------------


class TokenFileTest(Case):
    """A file that only its owner can read, and that no moment at which a program may be
    killed can damage."""

    def setUp(self):
        super().setUp()
        self.file = TokenFile(self.path())

    def names_of_files(self):
        return sorted(os.listdir(self.folder))

    def save(self, record):
        """As a new program does it."""
        file = TokenFile(self.path())
        with file.lock():
            file.save(record)

    @needs_posix
    def test_a_link_that_is_laid_at_the_last_moment_is_not_followed(self):
        self.write("victim", b"mine")
        remove = os.unlink

        def remove_then_lay_a_link(path):
            with contextlib.suppress(FileNotFoundError):
                remove(path)
            if not os.path.lexists(path):
                os.symlink(self.path("victim"), path)

        with mock.patch("os.unlink", remove_then_lay_a_link):
            self.error_of(FileExistsError, self.file.save, {"a": 1})
        with open(self.path("victim"), "rb") as file:
            self.assertEqual(file.read(), b"mine")

    def test_it_loads_what_was_saved(self):
        record = {"token": {"access_token": "ü", "raw": {"x": [1.5, None, True]}}}
        self.save(record)
        self.assertEqual(TokenFile(self.path()).load(), record)

    def test_a_missing_file_or_folder_is_no_token(self):
        self.assertIsNone(self.file.load())
        self.assertIsNone(TokenFile(self.path("new/folder/token.json")).load())

    def test_saving_none_removes_it_and_what_a_killed_writer_left(self):
        self.save({})
        for _ in range(2):
            self.write("token.json.new", b"{}")
            self.save(None)
            self.assertEqual(self.names_of_files(), ["token.json.lock"])

    @needs_posix
    def test_only_its_owner_can_read_it_whatever_the_umask(self):
        self.addCleanup(os.umask, os.umask(0))
        file = TokenFile(self.path("new/f/token.json"))
        with file.lock():
            file.save({})
        for name, mode in (
            ("new", 0o700),
            ("new/f", 0o700),
            ("new/f/token.json", 0o600),
        ):
            with self.subTest(name):
                found = os.stat(self.path(name)).st_mode
                self.assertEqual(stat.S_IMODE(found), mode)

    def test_it_is_written_beside_with_its_mode_and_synced_before_it_is_renamed(self):
        self.save({"old": 1})
        before = self.names_of_files()
        old = self.content_of()
        seen = []

        def fsync(file):
            seen.append(self.content_of())
            (new,) = set(self.names_of_files()) - set(before)
            content = self.content_of(new).decode()
            self.assertEqual(json.loads(content), {"new": 2})
            if os.name == "posix":
                self.assertEqual(stat.S_IMODE(os.fstat(file.fileno()).st_mode), 0o600)

        with mock.patch("os.fsync", fsync):
            self.save({"new": 2})
        self.assertEqual(seen[:1], [old])
        self.assertEqual(self.names_of_files(), before)
        self.assertEqual(self.file.load(), {"new": 2})

    def test_an_empty_file_is_no_token(self):
        for content in b"", b"\n":
            self.write("token.json", content)
            self.assertIsNone(self.file.load())

    def test_a_file_of_somebody_else_is_left_where_it_is_and_named(self):
        others = b"#!/bin/sh\n", b"KEY=h-u-s-h-ed", b"\x80\x04\xff\0", b"[" * 100000
        for content in (b'["h-u-s-h-ed"]', b'"text"', b"7", b'{"a": 1}', *others):
            self.write("token.json", content)
            client = Client("x-app", "i", "s", store=self.file)
            for call in client.access_token, client.logout, client.refresh:
                error = self.error_of(StoreError, call)
                self.assertIn(self.path(), str(error))
            self.assertEqual(self.content_of(), content)
            self.assertEqual(self.names_of_files(), ["token.json", "token.json.lock"])

    def test_a_logout_removes_what_was_moved_aside(self):
        self.write("token.json", b"{")
        Client("x-app", "i", "s", store=self.file).logout()
        self.assertEqual(self.names_of_files(), ["token.json.lock"])

    def test_a_file_system_that_cannot_sync_is_no_reason_not_to_save(self):
        for number in errno.EINVAL, errno.ENOTSUP:
            with mock.patch("os.fsync", side_effect=OSError(number, "no")):
                self.file.save({"number": number})
            self.assertEqual(self.file.load(), {"number": number})
        with mock.patch("os.fsync", side_effect=OSError(errno.EIO, "no")):
            self.error_of(OSError, self.file.save, {})
        self.assertEqual(self.file.load(), {"number": errno.ENOTSUP})

    def test_where_it_cannot_be_replaced_it_is_written_in_place(self):
        self.file.save({"a": 1})
        with mock.patch("os.replace", side_effect=OSError(errno.EBUSY, "busy")):
            with self.assertWarns(RuntimeWarning):
                self.file.save({"a": 2})
        self.assertEqual(self.file.load(), {"a": 2})
        self.assertEqual(self.names_of_files(), ["token.json"])
        for number in errno.EPERM, errno.EACCES:  # it may be another user's
            with mock.patch("os.replace", side_effect=OSError(number, "no")):
                with mock.patch("time.sleep"):
                    self.error_of(PermissionError, self.file.save, {"a": 3})
        self.assertEqual(self.file.load(), {"a": 2})

    def test_while_a_scanner_has_it_open_on_windows_it_is_tried_again_for_a_second(self):
        self.file.save({"a": 1})
        replace = os.replace
        slept = []

        def replace_later(new, path):
            if sum(slept) < 0.9:
                raise PermissionError(errno.EACCES, "Access is denied")
            replace(new, path)

        with mock.patch("os.replace", replace_later), mock.patch("time.sleep", slept.append):
            self.file.save({"a": 2})
        self.assertEqual(self.file.load(), {"a": 2})
        self.assertEqual(self.names_of_files(), ["token.json"])

    def test_a_link_in_a_folder_that_others_can_write_to_is_refused(self):
        os.symlink(self.path("elsewhere"), self.path("link"))
        TokenFile(self.path("link"))  # of our own
        os.chmod(self.folder, 0o1777)
        self.addCleanup(os.chmod, self.folder, 0o700)
        self.error_of(ValueError, TokenFile, self.path("link"))

    def test_a_lock_that_is_a_link_is_not_followed(self):
        os.symlink(self.path("elsewhere"), self.path("token.json.lock"))
        with self.assertWarns(RuntimeWarning):
            with self.file.lock():
                pass
        self.assertFalse(os.path.lexists(self.path("elsewhere")))

    @needs_posix
    def test_another_users_file_or_lock_in_a_shared_folder_is_refused(self):
        self.save({"a": 1})
        another = mock.patch("os.geteuid", return_value=os.geteuid() + 1)
        with another:
            self.assertEqual(self.file.load(), {"a": 1})  # nobody else could lay it there
        os.chmod(self.folder, 0o1777)
        self.addCleanup(os.chmod, self.folder, 0o700)
        self.assertEqual(self.file.load(), {"a": 1})
        files = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
        with another:
            self.assertIn("another user", str(self.error_of(StoreError, self.file.load)))
            with self.assertWarnsRegex(RuntimeWarning, "another user"), self.file.lock():
                pass
        if files:
            self.assertEqual(len(os.listdir("/dev/fd")), files)

    @needs_posix
    def test_a_fifo_in_the_place_of_the_file_or_lock_holds_nobody_up(self):
        os.mkfifo(self.path())
        os.mkfifo(self.path("token.json.lock"))
        self.error_of(ValueError, TokenFile, self.path())
        with self.assertWarns(RuntimeWarning), self.file.lock():
            self.assertIsNone(self.file.load())
            self.file.save({"a": 1})
            self.assertEqual(self.file.load(), {"a": 1})

    def test_a_damaged_file_is_moved_aside_and_named(self):
        contents = [
            b"\0" * 300,  # after a power cut
            b"{\xff",
            b'{"token": {"access_token": "h-u-s-h-ed',
            b'{"a":' * 100000,
        ]
        for content in contents:
            for name in self.names_of_files():
                os.unlink(self.path(name))
            self.write("token.json", content)
            with self.subTest(content[:30]):
                error = self.error_of(StoreError, self.file.load)
                self.assertIn(self.path(), str(error))
                (moved,) = self.names_of_files()
                self.assertNotEqual(moved, "token.json")
                self.assertEqual(self.content_of(moved), content)
                self.assertIsNone(self.file.load())

    def test_a_symbolic_link_stays_one(self):
        os.mkdir(self.path("elsewhere"))
        try:
            os.symlink(self.path("elsewhere/real.json"), self.path())
        except (OSError, NotImplementedError):
            self.skipTest("no symbolic links here")
        for record in ({"a": 1}, {"a": 2}):
            self.save(record)
            self.assertTrue(os.path.islink(self.path()))
            real = TokenFile(self.path("elsewhere/real.json"))
            self.assertEqual(real.load(), record)

    def test_a_tilde_is_the_home_directory(self):
        os.environ.update(HOME=self.folder, USERPROFILE=self.folder)
        TokenFile("~/token.json").save({"a": 1})
        self.assertEqual(self.file.load(), {"a": 1})

    def test_a_path_that_is_none_is_refused(self):
        for path in "", self.folder, os.devnull:
            self.error_of(ValueError, TokenFile, path)

    @needs_posix
    def test_a_home_that_nobody_has_is_refused(self):
        self.error_of(ValueError, TokenFile, "~nobody-of-this-name/token.json")

    def test_a_file_that_cannot_be_read_is_named_and_not_taken_for_none(self):
        os.mkdir(self.path())
        error = self.error_of(StoreError, self.file.load)
        self.assertIn(self.path(), str(error))
        self.assertEqual(self.names_of_files(), ["token.json"])

    @needs_posix
    def test_nor_is_one_below_another_file(self):
        self.write("token.json", b"{}")
        path = self.path("token.json/below")
        error = self.error_of(StoreError, TokenFile(path).load)
        self.assertIn(path, str(error))
        self.assertEqual(self.names_of_files(), ["token.json"])

    def test_its_lock_keeps_others_out_until_its_holder_lets_go_or_is_killed(self):
        code = """
            from oauth2min import TokenFile
            with TokenFile(sys.argv[1]).lock():
                print("held", flush=True)
                sys.stdin.read()
            """
        for end in "lets go", "is killed":
            holder = self.start_python(code, self.path())
            self.wait_for_line(holder, "held")
            locked = threading.Event()

            def wait():
                with self.file.lock():
                    locked.set()

            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            with self.subTest(end):
                self.assertFalse(locked.wait(0.05))
                if end == "lets go":
                    holder.stdin.close()
                else:
                    holder.kill()
                self.assertTrue(locked.wait(PATIENCE))
            thread.join(PATIENCE)

    def test_on_windows_it_waits_for_as_long_as_another_has_it(self):
        calls = []

        def locking(file, mode, size):  # says at once that another has it
            calls.append((mode, size))
            if len(calls) < 3:
                raise PermissionError(errno.EACCES, "Permission denied")

        windows = types.SimpleNamespace(LK_NBLCK=1, LK_UNLCK=0, locking=locking)
        with mock.patch.dict(sys.modules, fcntl=None, msvcrt=windows):
            with self.file.lock():
                self.assertEqual(calls, [(1, 1)] * 3)
        self.assertEqual(calls, [(1, 1)] * 3 + [(0, 1)])

    def test_a_killed_writer_loses_nothing_and_leaves_nothing(self):
        code = """
            import os
            from oauth2min import TokenFile
            file = TokenFile(sys.argv[1])
            os.fsync = lambda _: os._exit(9)
            with file.lock():
                file.save({"new": 2})
            """
        self.save({"old": 1})
        before = self.names_of_files()
        self.assertEqual(self.output_of_python(code, self.path()), "")
        self.assertNotEqual(self.names_of_files(), before)
        self.assertEqual(self.file.load(), {"old": 1})
        self.save({"new": 3})
        self.assertEqual(self.names_of_files(), before)


# --- 7 Loopback and terminal ----------------------------------------------------------


class LoopbackTest(LoginCase):
    """RFC 8252 sections 7.3 and 8.3: the browser comes back to a port on this machine
    alone."""

    def stderr_of_abandoned_login(self, client, open_browser=None):
        """Nobody logs in; what was shown on stderr."""
        with self.captured_stderr() as shown:
            self.error_of(LoginRequired, client.login, open_browser, timeout=0.02)
        return shown.getvalue()

    def test_the_user_is_told_of_success_on_a_page_that_asks_for_nothing(self):
        client = self.client_without_login()
        shown = self.stderr_of_login(client)
        [(status, headers, page)] = self.server.pages
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"].lower(), "text/html; charset=utf-8")
        self.assertIn("no-store", headers["Cache-Control"])
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertNotIn("script", headers["Content-Security-Policy"])
        self.assertIn("logged in", page)
        asks = r"<script|src=|href=|url\(|@import|http-equiv|\bon\w+="
        self.assertNotRegex(page.lower(), asks)
        code = self.server.forms()[0]["code"]
        for secret in client.token.access_token, client.token.refresh_token, code:
            self.assertNotIn(secret, page + shown)
        self.assertEqual(client.get("me").json()["id"], "ada")

    def test_the_user_is_told_of_a_failure_too(self):
        client = self.client_without_login()
        browser = self.server.denying_browser
        error = self.error_of(AuthorizationError, self.stderr_of_login, client, browser)
        self.assertEqual(error.error, "access_denied")
        self.assertEqual(self.server.forms(), [])
        refusal = {"error": "invalid_grant", "error_description": HOSTILE}
        self.server.script("/token", 400, refusal)
        self.error_of(TokenError, self.stderr_of_login, self.client_without_login())
        for _, _, page in self.server.pages:
            self.assertIn("failed", page)
            self.assertNotRegex(page, "logged in|<script|xxx")

    def test_an_answer_with_our_state_from_another_issuer_ends_it(self):
        def browser(url):
            wrong = with_parameters(
                self.server.approve(url), iss="https://attacker.example"
            )
            threading.Thread(target=fetch, args=("GET", wrong)).start()

        client = self.client_without_login()
        self.error_of(AuthorizationError, self.stderr_of_login, client, browser)
        self.assertEqual(self.server.forms(), [])

    def test_what_a_server_says_in_utf_8_is_read_as_it_was_meant(self):
        def browser(url):
            asked = query_of(url)
            line = "GET /callback?error=no&error_description=%s&state=" + asked["state"]
            text = line + " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
            address = "127.0.0.1", redirect_uri_of(url).port
            answer_to(address, (text % (said, address[1])).encode())

        for said in "n\xe3o", "n%C3%A3o":
            client = self.client_without_login()
            error = self.error_of(AuthorizationError, self.stderr_of_login, client, browser)
            self.assertEqual(error.error_description, "n\xe3o")

    def test_a_program_that_is_refused_opens_no_browser(self):
        client = self.client("fake-app", client_secret="another secret")
        self.error_of(TokenError, client.login, self.fail_if_asked)

    def test_a_browser_that_waits_for_the_page_does_not_stop_the_login(self):
        pages = []
        ended = threading.Event()

        def browser(url):  # as BROWSER="text-browser %s" does
            _, _, page = fetch("GET", self.server.approve(url))
            pages.append(page)
            ended.set()

        self.stderr_of_login(self.client_without_login(), browser)
        self.assertTrue(ended.wait(PATIENCE))  # it may run in a thread
        self.assertIn("logged in", pages[0])

    def test_where_nothing_can_be_shown_the_login_goes_on(self):
        with open(self.path("closed"), "w") as closed:
            pass
        broken = mock.Mock(write=mock.Mock(side_effect=ArithmeticError))
        for stderr in None, closed, broken, mock.Mock(spec=[]):
            with self.subTest(stderr), contextlib.redirect_stderr(stderr):
                with contextlib.redirect_stdout(io.StringIO()) as stdout:
                    self.client_without_login().login(self.server.browser, PATIENCE)
                self.assertEqual(stdout.getvalue(), "")

    def test_the_address_is_shown_whatever_opens_the_browser(self):
        given = []
        for opener in False, given.append:
            with self.machine_with_browser() as opened:
                client = self.client_without_login()
                shown = self.stderr_of_abandoned_login(client, opener)
            self.assertEqual(opened.call_count, 0)
            (url,) = re.findall(r"\S+/authorize\?\S+", shown)
            self.assertTrue(url.startswith(self.server.url))
        self.assertEqual(given, [url])

    def test_the_browser_is_opened_where_it_makes_sense(self):
        ssh = {
            "SSH_CONNECTION": "1 2 3 4",
            "SSH_CLIENT": "1 2 4",
            "SSH_TTY": "/dev/pts/1",
        }
        forwarded = dict(ssh, DISPLAY=":10")
        other_end = dict(ssh, BROWSER="open-there")
        desktop = {"DISPLAY": ":0"}
        stubborn = {"BROWSER": "firefox"}
        rows = [
            Row(wish=None, environ=desktop, opened=True),
            Row(wish=None, environ=ssh, opened=False),
            Row(wish=None, environ=forwarded, opened=True),
            Row(wish=None, environ=other_end, opened=True),
            Row(wish=None, environ={}, opened=True),
            Row(wish=True, environ=ssh, opened=True),
            Row(wish=True, environ={}, opened=True),
            Row(wish=False, environ=stubborn, opened=False),
        ]
        for row in rows:
            client = self.client_without_login()
            with self.subTest(row):
                with self.machine_with_browser(row.environ) as opened:
                    shown = self.stderr_of_abandoned_login(client, row.wish)
                self.assertEqual(opened.call_count, row.opened)
                for call in opened.call_args_list:
                    self.assertIn(call[0][0], shown)

    BROWSER = """
        import os, sys, time
        assert not sys.stdin.read()  # what is typed is for the login
        print("dirt", flush=True)
        print("dirt", file=sys.stderr, flush=True)
        url, page = sys.argv[1:]
        with open(page + ".new", "w") as file:
            file.write(url)
        os.replace(page + ".new", page)
        while os.path.exists(page):  # until the folder of the test is removed
            time.sleep(0.01)
        """
    LOGIN = """
        import json
        from oauth2min import Client
        client = Client(json.loads(sys.argv[1]), "fake-public", grant_type="authorization_code")
        client.login(open_browser=True)
        print("logged in")
        """

    @needs_posix
    def test_the_browser_neither_writes_to_our_stdout_nor_keeps_it_open(self):
        self.write("browser.py", textwrap.dedent(self.BROWSER).encode())
        self.write("webbrowser.py", b"raise SystemExit")  # of somebody else's
        page = self.path("page")
        command = [sys.executable, self.path("browser.py"), "%s", page]
        os.environ["BROWSER"] = " ".join(map(shlex.quote, command))
        metadata = json.dumps(self.server.metadata)
        process = self.start_python(self.LOGIN, metadata, cwd=self.folder)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(page) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.server.browser(self.content_of("page").decode())
        shown = process.stdout.read()  # to its end, which the browser does not wait for
        self.assertIn("logged in", shown)
        self.assertNotIn("dirt", shown)

    def test_a_frozen_program_is_not_started_again_as_a_browser(self):
        # inside: what runs in a thread otherwise
        with mock.patch("sys.frozen", True, create=True), mock.patch("webbrowser.open") as opened:
            with mock.patch("subprocess.Popen", side_effect=self.fail_if_asked):
                oauth2min._system_browser("https://as.example/")
        opened.assert_called_once_with("https://as.example/")

    def redirect_uri_after_login(self, uri):
        self.stderr_of_login(self.client_without_login(redirect_uri=uri))
        self.assertEqual(self.server.pages[-1][0], 200)
        return self.server.forms()[-1]["redirect_uri"]

    def test_a_redirect_uri_without_a_port_gets_a_free_one(self):
        addresses = ["http://127.0.0.1", "http://localhost"]
        if has_ipv6():
            addresses.append("http://[::1]")
        for address in addresses:
            with self.subTest(address):
                sent = self.redirect_uri_after_login(address + "/callback")
                self.assertRegex(sent, r"^%s:\d+/callback$" % re.escape(address))

    def test_a_redirect_uri_with_a_port_has_that_one(self):
        uris = ["http://127.0.0.1:%d/callback" % free_port()]
        if has_ipv6():
            uris.append("http://[::1]:%d/callback" % free_port("::1"))
        for uri in uris:
            with self.subTest(uri):
                self.assertEqual(self.redirect_uri_after_login(uri), uri)

    def test_localhost_is_listened_to_on_both_families(self):
        hosts = ["127.0.0.1"] + ["::1"] * has_ipv6()
        reached = []

        def browser(url):
            for host in hosts:
                with socket.create_connection((host, redirect_uri_of(url).port), 2):
                    reached.append(host)
            self.server.browser(url)

        client = self.client_without_login(redirect_uri="http://localhost/callback")
        self.stderr_of_login(client, browser)
        self.assertEqual(reached, hosts)

    def test_without_ipv6_localhost_is_listened_to_all_the_same(self):
        class Socket(socket.socket):
            def __init__(self, family=socket.AF_INET, *arguments, **named):
                if family == socket.AF_INET6:
                    raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
                super().__init__(family, *arguments, **named)

        client = self.client_without_login(redirect_uri="http://localhost/callback")
        with mock.patch("socket.socket", Socket):
            self.stderr_of_login(client)

    def test_a_busy_port_is_named_before_the_user_is_asked(self):
        port = self.start_raw_server().url.rpartition(":")[2]
        for host in "127.0.0.1", "localhost":
            uri = "http://%s:%s/callback" % (host, port)
            client = self.client_without_login(redirect_uri=uri)
            with self.subTest(host), self.assertRaisesRegex(OSError, r"\b%s\b" % port):
                self.stderr_of_login(client, self.fail_if_asked)
        self.assertEqual(self.server.requests, [])

    def test_a_port_that_cannot_be_had_is_named_with_the_reason_of_the_system(self):
        bind = "socketserver.TCPServer.server_bind"
        client = self.client_without_login(redirect_uri="http://127.0.0.1:80/callback")
        for number, kind in (
            (errno.EACCES, PermissionError),  # one below 1024, or that Windows reserves
            (errno.EADDRINUSE, OSError),
            (errno.EADDRNOTAVAIL, OSError),
        ):
            reason = os.strerror(number)
            with mock.patch(bind, side_effect=OSError(number, reason)):
                error = self.error_of(kind, client.login, self.fail_if_asked)
            self.assertIn(" 80 (%s)" % reason, error.strerror)
            self.assertNotIn("program", error.strerror)  # it need not be another's

    def test_when_time_is_up_the_user_has_to_try_again_and_the_port_is_free(self):
        urls = []
        self.stderr_of_abandoned_login(self.client_without_login(), urls.append)
        with socket.socket() as other:
            other.bind(("127.0.0.1", redirect_uri_of(urls[0]).port))


class NeighbourTest(LoginCase):
    """What others on this machine, or a web page, may send to the listener: none of it
    ends the wait, holds it up, or costs more than a little. RFC 8252 section 8."""

    @staticmethod
    def patient_setup(handler, setup=socketserver.StreamRequestHandler.setup):
        handler.timeout = 2 * PATIENCE
        setup(handler)

    def result_of_attack(self, attack, **settings):
        """What attack(address, state) returns, which runs during the wait. Then comes
        the true answer, which has to end the login, before the time of idle connections
        is up."""
        results = []
        times = []
        threads = []

        def neighbour(url):
            uri = redirect_uri_of(url)
            try:
                address = uri.hostname, uri.port
                results.append(attack(address, query_of(url)["state"]))
            except Exception as error:
                results.append(error)
            times.append(time.monotonic())
            results.append(fetch("GET", self.server.approve(url)))

        def browser(url):
            threads.append(threading.Thread(target=neighbour, args=(url,)))
            threads[0].start()

        client = self.client_without_login(**settings)
        before = len(self.server.forms())
        try:
            # inside: how long a connection may say nothing, so long that nothing waits
            # for its end
            setup = "socketserver.StreamRequestHandler.setup"
            with mock.patch(setup, self.patient_setup):
                self.stderr_of_login(client, browser, timeout=4 * PATIENCE)
            self.assertLess(time.monotonic() - times[0], PATIENCE)
        finally:
            threads[0].join()
        self.assertEqual(client.get("me").json()["id"], "ada")
        self.assertEqual(results[-1][0], 200)
        self.assert_token_requests(before + 1)  # nobody else's code was sent
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def assert_refused(self, make_requests):
        """Sends what make_requests(host and port, our state) returns: pairs of the
        status that it has to be answered with, and the text of a request."""

        def attack(address, state):
            rows = make_requests("%s:%d" % address, "state=" + state)
            texts = [text.encode("latin-1") for _, text in rows]
            return rows, parallel_map(lambda text: answer_to(address, text), texts)

        for (status, text), answer in zip(*self.result_of_attack(attack)):
            with self.subTest(text):
                # Or it is hung up on, if it came by a foreign name.
                self.assertRegex(answer, b"^HTTP/1.[01] %d |^$" % status)
                self.assertNotRegex(answer, b"logged in|<script|Python")

    @staticmethod
    def request(line, host, body=""):
        head = "%s HTTP/1.1\r\nHost: %s\r\n" % (line, host)
        return head + "Content-Length: %d\r\n\r\n%s" % (len(body), body)

    def test_an_answer_without_our_state_or_with_one_twice_is_refused(self):
        def requests(host, ours):
            queries = [
                "",
                "?code=x",
                "?code=x&state=",
                "?code=x&state=" + "A" * (len(ours) - len("state=")),
                "?error=access_denied",
                "?code=x&%s&%s" % (ours, ours),
                "?code=x&code=x&" + ours,
                "?state=wrong&code=x&" + ours,
            ]
            queries.append("?code=x&%s&a=%s" % (ours, "b" * (1 << 14)))
            texts = [self.request("GET /callback" + query, host) for query in queries]
            return [(404, text) for text in texts]

        self.assert_refused(requests)

    def test_a_host_that_is_not_ours_is_refused(self):
        def requests(host, ours):
            name, _, port = host.partition(":")
            line = "GET /callback?code=x&" + ours
            others = name, "attacker.example", "attacker.example:" + port
            texts = [self.request(line, other) for other in others]
            texts.append(self.request(line, host).replace("Host: %s\r\n" % host, ""))
            return [(404, text) for text in texts]

        self.assert_refused(requests)

    def test_another_path_or_method_is_refused(self):
        def requests(host, ours):
            rows = []
            for path in "/", "/favicon.ico", "/callback/a", "/Callback", "/callback;a":
                line = "GET %s?code=x&%s" % (path, ours)
                rows.append((404, self.request(line, host)))
            for method in "HEAD OPTIONS PUT DELETE PATCH CONNECT BREW".split():
                line = "%s /callback?code=x&%s" % (method, ours)
                rows.append((501, self.request(line, host)))
            line = "POST /callback?code=x&" + ours  # the form counts, and there is none
            return rows + [(404, self.request(line, host))]

        self.assert_refused(requests)

    def test_the_true_answer_may_be_a_form(self):
        """As OAuth 2.0 Form Post Response Mode has it; a query of ours stays in the
        address."""
        for uri in "http://127.0.0.1/callback", "http://127.0.0.1/callback?mine=1":
            pages = []

            def browser(url):
                form = query_of(self.server.approve(url))
                form.pop("mine", None)
                pages.append(fetch("POST", query_of(url)["redirect_uri"], form))

            self.server.clients["fake-public"]["redirect_uris"].append(uri)
            with self.subTest(uri):
                client = self.client_without_login(redirect_uri=uri)
                self.stderr_of_login(client, browser)
                self.assertEqual(client.get("me").json()["id"], "ada")

    def test_a_form_that_is_none_is_refused(self):
        def requests(host, ours):
            forms = "", "code=x", "code=x&state=y", "code=x&%s&%s" % (ours, ours)
            rows = [(404, self.request("POST /callback", host, form)) for form in forms]
            for length in "-1", "x", "1e3", "+5":
                head = "POST /callback HTTP/1.1\r\nHost: %s\r\n" % host
                head += "Content-Length: %s\r\n\r\ncode=x&" % length
                rows.append((404, head + ours))
            return rows

        self.assert_refused(requests)

    def threads_with_idle_connections(self, count, address):
        """Opens so many connections that say nothing, or the half of something, which
        stay open at the true answer; how many threads there are then."""
        beginnings = [
            b"",
            b"GET",
            b"GET /callback?sta",
            b"POST /callback HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
        ]
        with contextlib.ExitStack() as stack:
            for index in range(count):
                connection = stack.enter_context(
                    socket.create_connection(address, PATIENCE)
                )
                with contextlib.suppress(ConnectionError):
                    connection.sendall(beginnings[index % 4])
                if index % 100 == 99:  # until all are accepted: the queue is short
                    answer_to(address, b"GET / HTTP/1.1\r\n\r\n")
            self.addCleanup(stack.pop_all().close)
        deadline = time.monotonic() + PATIENCE
        while threading.active_count() >= 60 and time.monotonic() < deadline:
            time.sleep(0.01)  # those that were hung up on come to their end
        return threading.active_count()

    def test_idle_and_half_sent_connections_keep_nobody_out(self):
        counts = {"127.0.0.1": 200}
        if has_ipv6():
            counts["localhost"] = 60
        for host, count in counts.items():

            def attack(address, state):
                address = "127.0.0.1", address[1]
                return self.threads_with_idle_connections(count, address)

            with self.subTest(host):
                uri = "http://%s/callback" % host
                self.assertLess(self.result_of_attack(attack, redirect_uri=uri), 60)

    def test_lines_without_end_are_hung_up_on(self):
        def attack(address, state):
            long = b"x" * 1000000
            requests = [
                b"GET /callback?state=" + long,
                long,
                b"GET / HTTP/1.1\r\nX: " + long,
                b"GET /callback HTTP/1.1\r\n" + b"X: y\r\n" * 100000,
                b"POST /callback HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + long,
                b"POST /callback HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            ]
            return [answer_to(address, request) for request in requests]

        for answer in self.result_of_attack(attack):
            self.assertNotRegex(answer, b"^HTTP/1.[01] [123]|logged in")

    FLOOD = r"""
        import socket, threading
        address, answers = ("127.0.0.1", int(sys.argv[1])), []
        requests = [line % address[1] for line in (
            b"GET /callback?state=x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
            b"nonsense%d\r\n", b"GET /callback HTTP/%d\r\n", b"\r\n%d")]
        def flood():
            for number in range(50):
                with socket.create_connection(address, 60) as connection:
                    connection.sendall(requests[number % 4])
                    answers.append(connection.recv(12)[9:])
        threads = [threading.Thread(target=flood) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(answers), answers.count(b"404"))
        """

    def test_a_flood_of_1000_requests_takes_neither_memory_nor_threads(self):
        def attack(address, state):
            flood = self.start_python(self.FLOOD, str(address[1]))
            threads = 0
            blocks = blocks_of_memory()
            while flood.poll() is None:
                threads = max(threads, threading.active_count())
                time.sleep(0.005)
            return flood.stdout.read(), threads, blocks_of_memory() - blocks

        answers, threads, blocks = self.result_of_attack(attack)
        # Who is slow, while 32 others come and go, may be hung up on.
        self.assertRegex(answers, "^1000 [0-9]+\n$")
        self.assertLess(threads, 60)
        if not sys.gettrace():  # whoever traces the lines keeps a book
            self.assertLess(blocks, 1000)  # of memory: not one for each request

    def test_a_connection_that_says_nothing_is_given_up_in_silence(self):
        # inside: _Callback and its server, for a connection that gives up sooner than
        # after five seconds
        waited = []

        class Impatient(socket.socket):
            def settimeout(self, seconds):
                waited.append(seconds)
                super().settimeout(0.01)

        near, far = socket.socketpair()
        near = Impatient(near.family, near.type, near.proto, near.detach())
        with far, self.captured_stderr() as shown, oauth2min._Callback() as callback:
            callback.listen("http://127.0.0.1/")
            callback.listeners[0].process_request(near, ("", 0))
            self.assertEqual(far.recv(1), b"")
            self.assertEqual(shown.getvalue(), "")
        self.assertLessEqual(max(waited), 10)

    def test_at_port_80_the_host_needs_no_port(self):
        # inside: _Callback and _handler, as not everybody may listen at that port
        requests = [
            ("http://127.0.0.1:80/callback", b"127.0.0.1", b"200"),
            ("http://127.0.0.1:80/callback", b"127.0.0.1:80", b"200"),
            ("http://localhost:80/callback", b"localhost", b"200"),
            ("http://127.0.0.1:80/callback", b"localhost", b"200"),
            ("http://127.0.0.1:8080/callback", b"[::1]:8080", b"200"),
            ("http://[::1]:80/callback", b"[::1]", b"200"),
            ("http://127.0.0.1:80/callback", b"127.0.0.1:8", b"404"),
            ("http://127.0.0.1:8080/callback", b"127.0.0.1", b"404"),
            ("http://127.0.0.1:8080/callback", b"127.0.0.1:80", b"404"),
        ]
        for uri, host, status in requests:
            callback = oauth2min._Callback()
            callback.asked = AuthorizationRequest("", "s", "", uri)
            callback.ended.set()
            near, far = socket.socketpair()
            line = b"GET /callback?code=c&state=s HTTP/1.1\r\n"
            with self.subTest(uri, host=host), near, far:
                far.sendall(line + b"Host: %s\r\n\r\n" % host)
                oauth2min._handler(callback)(near, ("", 0), None)
                self.assertEqual(far.recv(12)[9:], status)
                expected = uri + "?code=c&state=s" if status == b"200" else ""
                self.assertEqual(callback.answer, expected)


@needs_terminals
class TerminalTest(ServerCase):
    """Where no browser can come back, the user pastes the address that it ended at."""

    LOGIN = """
        import json, signal
        server, settings, controlling = json.loads(sys.argv[1])
        if controlling:
            import fcntl, termios
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from oauth2min import Client, OAuth2Error
        try:
            settings["grant_type"] = "authorization_code"
            with Client(server, "fake-public", **settings) as client:
                client.login(open_browser=False, timeout=120)
                print("logged in", client.get("me").json()["id"], flush=True)
            if sys.stdin and not sys.stdin.closed:
                print("left:", sys.stdin.readline().strip(), flush=True)
        except (OAuth2Error, KeyboardInterrupt) as error:
            print(type(error).__name__, flush=True)
        """

    def start_login(self, stdin, metadata=(), controlling=False, shell=(), **settings):
        """Begins a login in another process; the process and the address that it
        shows."""
        server = dict(self.server.metadata, **dict(metadata))
        arguments = json.dumps([server, settings, controlling])
        process = self.start_python(
            self.LOGIN, arguments, shell=shell, stdin=stdin, start_new_session=True
        )
        url = self.wait_for_line(process, "/authorize?")
        return process, url

    def state_of_terminal(self, file):
        import termios  # which Windows has not

        return termios.tcgetattr(file)

    def start_login_on_terminal(self, controlling=True, **settings):
        """The same on a terminal; a function that types there comes first."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        before = self.state_of_terminal(slave)
        try:
            process, url = self.start_login(slave, controlling=controlling, **settings)
        finally:
            os.close(slave)

        def paste(text):
            keys = text.encode() + b"\n"
            while keys:  # it takes so many at once
                keys = keys[os.write(master, keys) :]

        paste.terminal = master
        paste.before = before
        return paste, process, url

    def open_browser_at(self, url):
        _, _, page = fetch("GET", self.server.approve(url))
        self.assertIn("logged in", page)

    def test_what_is_pasted_may_have_many_forms(self):
        def query(url):
            return url.partition("?")[2] + "#_=_"

        def spaces_and_line_breaks(url):
            return "\n  %s\n %s  %s\n \n" % (url[:30], url[30:60], url[60:])

        def bare_code(url):
            return " %s " % query_of(url)["code"]

        def bare_code_out_of_an_address(url):
            return "".join("%%%X" % ord(letter) for letter in query_of(url)["code"])

        def start(shape):
            metadata = {
                "authorization_response_iss_parameter_supported": shape in with_iss
            }
            return self.start_login_on_terminal(metadata=metadata)

        def code_and_state(url):
            return "%(code)s#%(state)s" % query_of(url)

        with_iss = [query, spaces_and_line_breaks]
        shapes = with_iss + [bare_code, bare_code_out_of_an_address, code_and_state]
        for shape, (paste, process, url) in zip(shapes, parallel_map(start, shapes)):
            with self.subTest(shape.__name__):
                paste(shape(self.server.approve(url)))
                self.wait_for_line(process, "logged in ada")

    def test_a_wrong_address_is_asked_for_again(self):
        paste, process, url = self.start_login_on_terminal()
        right = self.server.approve(url)
        wrong_addresses = [
            with_parameters(right, state="wrong"),
            "error=access_denied",
            url,
            "https://example.com/",
            query_of(url)["redirect_uri"],
            "a-short-word",
            "words that are long enough but several",
            "http://a-bare-code/if-you-ask-me",
        ]
        for wrong in wrong_addresses:
            paste(wrong)
            self.wait_for_line(process, "Please paste")
        paste(right)
        self.wait_for_line(process, "logged in ada")
        self.assert_token_requests(1)

    def assert_no_answer(self, *shapes, **metadata):
        """None of these is taken."""
        paste, process, url = self.start_login_on_terminal(metadata=metadata)
        answer = {"code": "a-code-that-is-long-enough", "state": query_of(url)["state"]}
        for shape in shapes:
            paste(shape % answer)
            self.wait_for_line(process, "Please paste")
        self.assertEqual(self.server.forms(), [])

    def test_a_code_with_another_state_is_not_taken(self):
        shapes = "%(code)s#wrong", "%(code)s#", "%(code)s#%(state)s#%(state)s"
        self.assert_no_answer(*shapes, **{PROMISE_OF_ISS: False})

    def test_without_pkce_a_bare_code_is_not_taken(self):
        self.assert_no_answer("%(code)s", **{PROMISE_OF_ISS: False, "pkce": False})

    def test_where_iss_is_promised_a_code_without_an_address_is_not_taken(self):
        self.assert_no_answer("%(code)s", "%(code)s#%(state)s", **{PROMISE_OF_ISS: True})

    def test_a_pasted_denial_ends_it(self):
        paste, process, url = self.start_login_on_terminal()
        paste(self.server.deny(url))
        self.wait_for_line(process, "AuthorizationError")

    def test_where_no_answer_can_come_nobody_waits_for_one(self):
        elsewhere = self.client_without_login(redirect_uri="https://app.example/callback")
        here = self.client_without_login()
        no_listening = mock.patch(
            "socketserver.TCPServer.server_activate", side_effect=AttributeError
        )  # as in Pyodide
        with mock.patch("sys.stdin", None), self.captured_stderr(), no_listening:
            for client in elsewhere, here:
                error = self.error_of(LoginRequired, client.login)
                self.assertIn("authorization_request() and exchange()", str(error))

    def test_a_redirect_uri_that_is_not_here_works_by_paste_alone(self):
        uri = "https://app.example/callback"
        self.server.clients["fake-public"]["redirect_uris"].append(uri)
        paste, process, url = self.start_login_on_terminal(redirect_uri=uri)
        self.assertEqual(query_of(url)["redirect_uri"], uri)
        paste(self.server.approve(url))
        self.wait_for_line(process, "logged in ada")

    def test_on_an_out_of_band_page_any_one_word_is_the_code(self):
        for uri, pkce in (
            ("urn:ietf:wg:oauth:2.0:oob", False),
            ("urn:ietf:wg:oauth:2.0:oob:auto", True),
        ):
            paste, process, _ = self.start_login_on_terminal(
                metadata={PROMISE_OF_ISS: False, "pkce": pkce}, redirect_uri=uri
            )
            self.wait_for_line(process, "paste the address")
            self.server.script("/token", 400, {"error": "invalid_grant"})
            paste(" \n")
            self.wait_for_line(process, "Please paste")
            paste("4/x%3D")
            self.wait_for_line(process, "TokenError")
            self.assertEqual(self.server.forms()[-1]["code"], "4/x=")

    def test_an_address_of_8000_characters_is_not_cut(self):
        paste, process, url = self.start_login_on_terminal()
        address, _, query = self.server.approve(url).partition("?")
        self.wait_for_line(process, "paste the address")
        paste("%s?more=%s&%s" % (address, "x" * (8000 - len(address + query)), query))
        self.wait_for_line(process, "logged in ada")

    def test_backspace_takes_back_what_was_typed(self):
        paste, process, url = self.start_login_on_terminal()
        self.wait_for_line(process, "paste the address")
        address = self.server.approve(url)
        paste("x\x7f\x7f\x7f%sxy\b\x7f%s\x04" % (address[:50], address[50:]))
        self.wait_for_line(process, "logged in ada")

    def test_however_it_ends_the_terminal_is_as_before(self):
        def pasted(ending):
            return lambda paste, process, url: paste(getattr(self.server, ending)(url))

        def killed(number):
            return lambda paste, process, url: process.send_signal(number)

        ends = [
            (pasted("approve"), "logged in ada", 0),
            (pasted("deny"), "AuthorizationError", 0),
            (killed(signal.SIGINT), "KeyboardInterrupt", 0),
            (killed(signal.SIGTERM), "", 128 + signal.SIGTERM),
        ]
        logins = parallel_map(lambda _: self.start_login_on_terminal(), ends)
        for (end, said, status), (paste, process, url) in zip(ends, logins):
            self.wait_for_line(process, "paste the address")
            self.assertNotEqual(self.state_of_terminal(paste.terminal), paste.before)
            end(paste, process, url)
            self.wait_for_line(process, said) if said else process.wait(PATIENCE)
            with self.subTest(said):
                self.assertEqual(self.state_of_terminal(paste.terminal), paste.before)
                paste("")  # which the program waits for
                self.assertEqual(process.wait(PATIENCE), status)

    def test_after_the_login_nothing_reads_the_terminal_any_more(self):
        paste, process, url = self.start_login_on_terminal()
        self.open_browser_at(url)
        self.wait_for_line(process, "logged in ada")
        paste("for the program")
        self.wait_for_line(process, "left: for the program")

    def test_a_terminal_that_is_not_the_controlling_one_does_no_harm(self):
        paste, process, url = self.start_login_on_terminal(controlling=False)
        paste("https://wrong.example/?a=b")
        self.open_browser_at(url)
        self.wait_for_line(process, "logged in ada")

    def test_stdin_that_is_no_terminal_is_not_read(self):
        close_stdin = ["sh", "-c", 'exec "$0" "$@" <&-']
        (closed, closed_url), (nothing, nothing_url), (pipe, pipe_url) = parallel_map(
            lambda settings: self.start_login(**settings),
            [
                dict(stdin=None, shell=close_stdin),
                dict(stdin=subprocess.DEVNULL),
                dict(stdin=subprocess.PIPE),
            ],
        )
        self.open_browser_at(closed_url)
        self.wait_for_line(closed, "logged in ada")
        self.open_browser_at(nothing_url)
        self.wait_for_line(nothing, "logged in ada")
        self.assertEqual(self.wait_for_line(nothing, "left:"), "left:")
        pipe.stdin.write("data\n")
        pipe.stdin.flush()
        self.open_browser_at(pipe_url)
        self.wait_for_line(pipe, "logged in ada")
        self.assertEqual(self.wait_for_line(pipe, "left:"), "left: data")

    def test_ctrl_c_ends_the_wait_at_once_and_frees_the_port(self):
        _, *on_terminal = self.start_login_on_terminal()
        for process, url in on_terminal, self.start_login(subprocess.DEVNULL):
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            self.wait_for_line(process, "KeyboardInterrupt")
            # Without the signal it would wait for twice as long.
            self.assertLess(time.monotonic() - started, PATIENCE)
            with (
                socket.socket()
            ) as other:  # with this option, only a listener is in its way
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", redirect_uri_of(url).port))


class DeviceTest(LoginCase):
    """RFC 8628."""

    ENDS = {"access_denied", "authorization_declined", "expired_token", "invalid_client"}
    MIN_INTERVAL = oauth2min.MIN_INTERVAL  # inside: in earnest, before LoginCase hurries

    def device_login(
        self, *errors, open_browser=None, timeout=None, status=400, **given
    ):
        """A login at a scripted server, which answers with these errors, None for no
        answer, a dict for what goes with it, and then, unless the last was the end, with a
        token. What was slept, and shown."""
        grant = {
            "device_code": "dc",
            "user_code": "ABCD-EFGH",
            "expires_in": 600,
            "verification_uri": "https://as.example/device",
        }
        grant.update(given)
        grant = {name: value for name, value in grant.items() if value is not None}
        self.server.script("/device_authorization", body=grant)
        for error in errors:
            if isinstance(error, dict):
                self.server.script("/token", **error)
            elif error:
                self.server.script("/token", status, {"error": error})
            else:
                self.server.script("/token", close=True)
        if not self.ENDS.intersection(map(str, errors)):
            self.server.script("/token", body=TOKEN)
        slept = []
        client = self.device_client()
        with mock.patch("time.sleep", slept.append), self.captured_stderr() as shown:
            token = client.login(open_browser, timeout)
        self.assertEqual(token.access_token, "scripted")
        return slept, shown.getvalue()

    def device_client(self, client_id="fake-public", **settings):
        return self.client_without_login(client_id, grant_type=DEVICE_CODE, **settings)

    def test_the_whole_conversation(self):
        self.server.device_interval = 0.01
        sleep = time.sleep

        def wait(seconds):
            sleep(seconds)
            slept.append(seconds)
            if len(slept) == 3:  # the answer was "pending" until now
                code = re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue()).group()
                self.server.approve_device(code)

        for client_id, more in (
            ("fake-public", {"client_id": "fake-public"}),
            ("fake-app", {}),
        ):
            del self.server.requests[:]
            slept = []
            client = self.device_client(client_id)
            with mock.patch("time.sleep", wait), self.captured_stderr() as shown:
                token = client.login()
            self.assertEqual(client.token, token)
            self.assertEqual(token.scope, SCOPE)
            self.assertEqual(slept, [0.01] * 3)
            self.assertIn(self.server.url + "/device", shown.getvalue())
            [asked] = self.server.forms("/device_authorization")
            self.assertEqual(asked, {"client_id": client_id, "scope": SCOPE})
            polls = self.server.forms()
            code = polls[0]["device_code"]
            poll = dict(more, grant_type=DEVICE_CODE, device_code=code)
            self.assertEqual(polls, [poll] * 3)
            self.assertNotIn(code, shown.getvalue())
            self.assertEqual(client.get("me").json()["id"], "ada")

    def test_it_asks_at_the_servers_interval_and_slows_down_when_told(self):
        wait = "authorization_pending"
        slow = "slow_down"
        for interval, errors, expected in (
            (None, [wait, wait], [5, 5, 5]),
            ("nonsense", [wait], [5, 5]),
            (7, [wait, slow, wait], [7, 7, 12, 12]),
            ("2", [slow, slow], [2, 7, 12]),
        ):
            with self.subTest(interval=interval, errors=errors):
                slept, _ = self.device_login(*errors, interval=interval)
                self.assertEqual(slept, expected)

    def test_no_interval_makes_it_ask_without_a_pause(self):
        with mock.patch("oauth2min.MIN_INTERVAL", self.MIN_INTERVAL):
            for interval in 1e-9, "0.5":
                slept, _ = self.device_login("authorization_pending", interval=interval)
                self.assertGreaterEqual(min(slept), 1)

    def test_it_waits_for_as_long_as_the_server_says_in_an_error(self):
        slow = {"status": 400, "body": {"error": "slow_down", "interval": 30}}
        busy = {"status": 429, "headers": {"Retry-After": "20"}}
        away = {"status": 503, "headers": {"Retry-After": "60"}, "body": "<html>"}
        silent = {"status": 429}
        for error, expected in (slow, 30), (busy, 20), (away, 60), (silent, 5):
            with self.subTest(error):
                slept, _ = self.device_login(error, "authorization_pending")
                self.assertEqual(slept, [5, expected, expected])

    def test_a_user_who_says_no_ends_it(self):
        for word in "access_denied", "authorization_declined":  # the second is Microsoft's
            wait = "authorization_pending"
            error = self.error_of(AuthorizationError, self.device_login, wait, word)
            self.assertEqual(error.error, word)

    def test_a_client_that_is_refused_ends_it(self):
        login = self.device_login
        wait = "authorization_pending"
        error = self.error_of(TokenError, login, wait, "invalid_client")
        self.assertEqual(error.error, "invalid_client")
        self.assertIn("invalid_client", str(error))

    def test_a_code_that_has_expired_ends_it_and_the_user_has_to_try_again(self):
        login = self.device_login
        wait = "authorization_pending"
        error = self.error_of(LoginRequired, login, wait, "expired_token")
        self.assertIn("login()", str(error))

    def test_when_time_is_up_the_user_has_to_try_again(self):
        for life, timeout in (
            (0.06, None),
            (600, 0.06),
            (600, 0),
        ):
            self.server.device_interval = 0.02
            self.server.device_expires_in = life
            with self.captured_stderr():
                login = self.device_client().login
                self.error_of(LoginRequired, login, timeout=timeout)

    def test_an_answer_without_a_code_is_a_token_error(self):
        for status, body, code in (
            (400, {"error": "invalid_scope"}, "invalid_scope"),
            (200, {}, None),
            (200, {"user_code": "A", "verification_uri": "https://as.example/"}, None),
            (200, {"device_code": "d", "verification_uri": "https://as.example/"}, None),
            (200, "<html>", None),
        ):
            self.server.script("/device_authorization", status, body)
            with self.subTest(body), self.captured_stderr():
                error = self.error_of(TokenError, self.device_client().login)
                self.assertEqual(error.error, code)

    def test_a_browser_is_opened_only_if_told_to(self):
        url = "https://as.example/device"
        given = []
        for wish, expected in (
            (None, []),
            (False, []),
            (True, [url]),
            (given.append, []),
        ):
            with self.subTest(wish), self.machine_with_browser() as opened:
                self.device_login(open_browser=wish)
                urls = [call[0][0] for call in opened.call_args_list]
                self.assertEqual(urls, expected)
        self.assertEqual(given, [url])

    def test_the_whole_address_is_shown_and_opened(self):
        url = "https://as.example/device?user_code=ABCD-EFGH&lang=%C3%BC#top"
        for name in "verification_uri", "verification_url":  # the second is Google's
            given = []
            opened = threading.Event()

            def browser(url):
                given.append(url)
                opened.set()

            answer = dict({"verification_uri": None}, **{name: url})
            with self.subTest(name):
                _, shown = self.device_login(open_browser=browser, **answer)
                self.assertIn("\n\n%s\n" % url, shown)
                self.assertTrue(opened.wait(PATIENCE))
                self.assertEqual(given, [url])

    def test_the_address_with_the_code_in_it_is_shown_and_opened_beside_the_code(self):
        given = []
        opened = threading.Event()

        def browser(url):
            given.append(url)
            opened.set()

        self.server.device_interval = 0.01
        client = self.device_client()
        with self.captured_stderr() as shown:
            thread = threading.Thread(target=client.login, args=(browser,), daemon=True)
            thread.start()
            self.assertTrue(opened.wait(PATIENCE))
            code = query_of(given[0])["user_code"]
            self.server.approve_device(code)
            thread.join(PATIENCE)
        self.assertIn("\n\n%s\n" % given[0], shown.getvalue())
        self.assertIn("code %s " % code, shown.getvalue())
        self.assertEqual(client.get("me").json()["id"], "ada")

    def test_an_address_that_is_none_of_the_web_is_not_shown(self):
        for address in None, "", "file:///etc/passwd", "javascript:alert(1)":
            given = []
            answer = {
                "device_code": "dc",
                "user_code": "ABCD",
                "verification_uri": address,
            }
            self.server.script("/device_authorization", body=answer)
            with self.subTest(address), self.captured_stderr() as shown:
                self.error_of(UnsafeURL, self.device_client().login, given.append)
                self.assertEqual(shown.getvalue(), "")
                self.assertEqual(given, [])

    def test_parameters_go_with_the_request_for_a_code(self):
        self.server.script("/device_authorization", 400, {"error": "invalid_request"})
        self.error_of(TokenError, self.device_client().login, audience="a b")
        form = {"audience": "a b", "scope": SCOPE, "client_id": "fake-public"}
        self.assertEqual(self.server.forms("/device_authorization"), [form])

    def test_a_network_that_is_away_for_a_while_slows_it_down(self):
        slept, _ = self.device_login(None, "authorization_pending", None)
        self.assertEqual(slept, [5, 10, 10, 20])

    def test_a_server_in_trouble_is_asked_again(self):
        for status in 500, 503:
            slept, _ = self.device_login("server_error", "nonsense", status=status)
            self.assertEqual(slept, [5, 5, 5])

    def test_pending_is_pending_whatever_the_status(self):
        for status in 200, 403, 428:  # GitHub, Google for slow_down, Google
            with self.subTest(status):
                errors = "authorization_pending", "slow_down"
                slept, _ = self.device_login(*errors, status=status)
                self.assertEqual(slept, [5, 5, 10])

    def test_what_the_server_wants_shown_is_cleaned(self):
        code = "AB\x1b[2JCD\x07\r\u202eEF" + "x" * 10000
        uri = "https://as.example/\x1b]0;device\x07"
        _, shown = self.device_login(user_code=code, verification_uri=uri)
        self.assertTrue(shown.replace("\n", "").isprintable(), ascii(shown))
        self.assertRegex(shown, r"AB ?\[2JCD *EF")
        self.assertLess(len(shown), 5000)
        uri = "https://as.example/\x1b]0;a\x07?b=c" + "x" * 9999
        _, shown = self.device_login(verification_uri=uri)
        self.assertIn("\n\nhttps://as.example/%1B]0;a%07?b=cxxx", shown)
        self.assertLess(len(shown), 5000)

    def test_where_no_thread_can_be_had_for_the_browser_it_goes_on(self):
        start = threading.Thread.start

        def start_no_browser(thread):
            if thread._target == self.fail_if_asked:  # inside: the server has threads, too
                raise RuntimeError("can't start new thread")
            start(thread)

        with mock.patch("threading.Thread.start", start_no_browser):
            self.device_login(open_browser=self.fail_if_asked)

    def test_it_needs_no_webbrowser(self):
        frozen = mock.patch("sys.frozen", True, create=True)
        with frozen, mock.patch.dict(sys.modules, webbrowser=None):
            for open_browser in None, False, len:
                self.device_login(open_browser=open_browser)


# --- 8 HTTP ---------------------------------------------------------------------------


class BearerTest(ServerCase):
    """RFC 6750 section 5.3, RFC 9110 section 15.4: the token goes to the origin that it
    is meant for and to no other, and redirects do not carry it away."""

    def setUp(self):
        super().setUp()
        self.other = self.start_server()
        self.other_host = self.other.url.partition("//")[2]

    def test_nothing_is_sent_to_another_origin_than_that_of_base_url(self):
        client = self.client()
        names = {
            "port": self.server.url.rpartition(":")[2],
            "other": self.other_host,
            "password": HUSH,
        }
        templates = [
            "http://{other}/v1/echo?q={password}",
            "HTTP://{other}/v1/echo",
            "http://localhost:{port}/v1/echo",
            "https://127.0.0.1:{port}/v1/echo",
            "http://{password}@127.0.0.1:{port}/v1/echo",
            "http://127.0.0.1:{port}@{other}/v1/echo",
            "http://127.0.0.1:{port}\\@{other}/v1/echo",
            "http://127.0.0.1:{port}%40{other}/v1/echo",
            "http:\\\\{other}\\v1",
            "http:///{other}/v1/echo",
            "http:{other}",
            " \thttp://{other}/v1/echo",
            "http://127.0.0.1:{port}0/v1/echo",
            "http://127.0.0.1.:{port}/v1/echo",
            "http://127.0.0.1\uff0e1:{port}/v1/echo",
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "data:,x",
            "mailto:x@example.com",
        ]
        for template in templates:
            url = template.format(**names)
            with self.subTest(url):
                self.error_of(UnsafeURL, client.get, url)
                self.error_of(UnsafeURL, client.post, url)
                self.error_of(UnsafeURL, client.open, url)
                self.error_of(UnsafeURL, next, client.pages(url))
        self.assertEqual(self.server.requests, [])
        self.assertEqual(self.other.connections, 0)

    def test_what_only_looks_like_another_origin_stays_at_home(self):
        for url in ("//%s/x", "\\\\%s\\x", "/\\%s/x", "@%s/x"):
            with self.subTest(url):
                error = self.error_of(
                    ResponseError, self.client().get, url % self.other_host
                )
                self.assertTrue(error.response.url.startswith(self.server.url + "/v1/"))
        self.assertEqual(self.other.connections, 0)

    def test_without_base_url_the_token_is_for_the_origin_that_the_caller_names(self):
        client = self.client(metadata={"base_url": None})
        location = self.server.url + "/v1/echo"
        for server in self.server, self.other:
            server.script("/v1/x", 302, "", {"Location": location})
        own = client.get(self.server.url + "/v1/x").json()
        foreign = client.get(self.other.url + "/v1/x").json()
        self.assertEqual(own["authorization"], "Bearer")
        self.assertIsNone(foreign["authorization"])
        self.assertIn("Bearer", self.other.requests[0].headers["Authorization"])
        unsafe_urls = [
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "data:,x",
            "http://example.com/x",
            "http://%s@127.0.0.1/x" % HUSH,
        ]
        for url in unsafe_urls:
            self.error_of(UnsafeURL, client.get, url)

    def test_pages_do_not_go_on_to_another_origin(self):
        links = self.other.url + "/v1/echo", "//%s/v1/echo" % self.other_host
        for base_url in self.server.url + "/v1", None:
            client = self.client(metadata={"base_url": base_url})
            for link in links + ("file:///x", "http://["):
                with self.subTest(base_url=base_url, link=link):
                    self.server.script("/v1/list", 200, {"next": link})
                    pages = client.pages(self.server.url + "/v1/list")
                    self.assertEqual(next(pages), {"next": link})
                    self.error_of(UnsafeURL, next, pages)
        self.assertEqual(self.other.connections, 0)

    def test_a_redirect_within_the_origin_keeps_the_token_and_the_headers(self):
        client = self.client(headers={"X-Mine": "1"})
        for status in REDIRECTS:
            self.server.script("/v1/old", status, "", {"Location": "echo?x=1"})
            answer = client.get("old")
            self.assertEqual(answer.url, self.server.url + "/v1/echo?x=1")
            self.assertEqual(answer.json()["authorization"], "Bearer")
            self.assertEqual(self.server.requests[-1].headers["X-Mine"], "1")

    def test_a_redirect_to_another_origin_loses_the_token_and_the_headers(self):
        client = self.client(headers={"X-Mine": HUSH})
        localhost = self.server.url.replace("127.0.0.1", "localhost")
        for status in REDIRECTS:
            for url, server in (
                (self.other.url, self.other),
                (localhost, self.server),
            ):
                self.server.script(
                    "/v1/old", status, "", {"Location": url + "/v1/echo"}
                )
                answer = client.get("old", headers={"Cookie": HUSH, "X-Own": HUSH})
                self.assertEqual(answer.url, url + "/v1/echo")
                self.assertIsNone(answer.json()["authorization"])
                self.assertNotIn(HUSH, str(server.requests[-1].headers))

    def test_a_401_from_another_origin_renews_nothing(self):
        location = self.other.url + "/v1/me"
        self.server.script("/v1/old", 302, "", {"Location": location})
        error = self.error_of(ResponseError, self.client().get, "old")
        self.assertEqual(error.response.status_code, 401)
        self.assert_token_requests(1)
        self.assertEqual(len(self.other.requests), 1)

    def test_a_body_does_not_go_on_to_another_origin(self):
        for status in 307, 308:
            self.server.script(
                "/v1/old", status, "", {"Location": self.other.url + "/v1/echo"}
            )
            self.error_of(
                UnsafeURL, self.client_with_token().post, "old", json={"a": 1}
            )
        self.assertEqual(self.other.connections, 0)

    @needs_ssl
    def test_a_redirect_from_https_to_http_is_refused(self):
        secure, context = self.start_tls_server()
        secure.script(
            "/v1/old", 302, "", {"Location": self.other.url + "/v1/echo?q=" + HUSH}
        )
        client = self.client(metadata=secure.metadata, context=context)
        self.error_of(UnsafeURL, client.get, "old")
        self.assertEqual(self.other.connections, 0)

    def test_a_redirect_may_be_written_in_utf_8(self):
        location = "straße 1".encode().decode("latin-1")
        self.server.script("/v1/old", 302, "", {"Location": location})
        self.server.script("/v1/stra%C3%9Fe%201", 200, ["there"])
        answer = self.client().get("old")
        self.assertEqual(answer.json(), ["there"])

    def test_a_redirect_may_be_written_in_latin_1(self):
        self.server.script("/v1/old", 302, "", {"Location": "stra\xdfe"})
        self.server.script("/v1/stra%DFe", 200, ["there"])
        self.assertEqual(self.client().get("old").json(), ["there"])

    def test_the_first_location_counts_and_none_is_an_error(self):
        for second in "/v1/echo", "/v1/me":
            headers = [("Location", "/v1/echo"), ("Location", second)]
            self.server.script("/v1/old", 302, "", headers)
            self.assertEqual(self.client().get("old").json()["target"], "/v1/echo")
        self.server.script("/v1/old", 302)
        error = self.error_of(ResponseError, self.client().get, "old")
        self.assertEqual(error.response.status_code, 302)

    def test_a_method_in_lower_case_is_redirected_like_one_in_upper_case(self):
        request = self.request_after_redirect(302, "post", json={"a": 1})
        self.assertEqual((request.method, request.body), ("GET", b""))
        request = self.request_after_redirect(303, "head")
        self.assertEqual(request.method, "HEAD")

    def test_to_another_origin_a_part_stays_a_part(self):
        location = self.other.url + "/v1/echo"
        self.server.script("/v1/old", 302, "", {"Location": location})
        headers = {"Range": "bytes=0-9", "If-Range": '"v1"', "X-Own": HUSH}
        self.client().get("old", headers=headers)
        sent = self.other.requests[-1].headers
        self.assertEqual(sent["Range"], "bytes=0-9")
        self.assertEqual(sent["If-Range"], '"v1"')  # else a part of another version
        self.assertIsNone(sent["X-Own"])

    def test_a_redirect_to_what_is_not_the_web_is_refused(self):
        client = self.client()
        unsafe_urls = [
            "file:///etc/passwd",
            "ftp://127.0.0.1/?" + HUSH,
            "data:,x",
            "http://%s@127.0.0.1/x" % HUSH,
            "http://[",
            "http://[::1",
            "//[" + HUSH,
            "file:" + HUSH,
            "x:/" + HUSH + "/y",
        ]
        for url in unsafe_urls:
            with self.subTest(url):
                self.server.script("/v1/old", 302, "", {"Location": url})
                self.error_of(UnsafeURL, client.get, "old")

    def test_a_redirect_loop_ends(self):
        loop = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
        raw, client = self.raw_server_and_client([loop] * 100)
        error = self.error_of(ResponseError, client.get, "x")
        self.assertEqual(error.response.status_code, 302)
        self.assertLessEqual(len(raw.heard), 30)

    def request_after_redirect(self, status, method, **body):
        self.server.script("/v1/old", status, "", {"Location": "/v1/echo"})
        self.client_with_token().request(method, "old", **body)
        request = self.server.requests[-1]
        self.assertEqual(request.path, "/v1/echo")
        return request

    def test_a_redirect_may_make_it_a_get_without_a_body(self):
        for status, method in (
            (301, "POST"),
            (302, "POST"),
            (303, "PUT"),
        ):
            with self.subTest(status):
                request = self.request_after_redirect(status, method, json={"a": 1})
                self.assertEqual((request.method, request.body), ("GET", b""))
                self.assertIsNone(request.headers["Content-Type"])

    def test_307_and_308_send_the_body_again(self):
        for status, method in (307, "POST"), (308, "PUT"):
            with self.subTest(status):
                request = self.request_after_redirect(status, method, json={"a": 1})
                self.assertEqual((request.method, request.body), (method, b'{"a": 1}'))
                content_type = request.headers["Content-Type"]
                self.assertEqual(content_type, "application/json")

    def test_a_cookie_of_a_jar_is_chosen_anew_whenever_a_request_is_sent_again(self):
        head = b"HTTP/1.1 %s\r\nSet-Cookie: a=%d\r\nLocation: /b\r\n"
        head += b"Content-Length: 0\r\n\r\n"
        for again in b"302 Found", b"401 Unauthorized":
            answers = [head % (b"200 OK", 1), head % (again, 2), OK]
            raw = self.start_raw_server(answers)
            jar = urllib.request.HTTPCookieProcessor()
            client = self.client_with_token(base_url=raw.url, handlers=[jar])
            client.token = Token(HUSH, refresh_token=HUSH)
            client.request_token = lambda *_, **more: Token(HUSH + "2")
            for _ in range(2):
                client.get("a")
            cookies = [re.findall(b"Cookie: (.*)\r", heard) for _, heard in raw.heard]
            with self.subTest(again):
                self.assertEqual(cookies, [[], [b"a=1"], [b"a=2"]])

    def test_a_head_stays_one(self):
        request = self.request_after_redirect(303, "HEAD")
        self.assertEqual((request.method, request.body), ("HEAD", b""))
        self.assertIsNone(request.headers["Content-Type"])

    def test_a_huge_redirect_is_not_read(self):
        sent = []

        def flood(connection, request):
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\n")
            while len(sent) < 1000:
                connection.sendall(bytes(1 << 16))
                sent.append(1 << 16)

        _, client = self.raw_server_and_client([flood], [OK])
        self.assertEqual(client.get("x").json(), {})
        self.assertLess(sum(sent), 30 << 20)


class KeepAliveTest(ServerCase):
    """RFC 9112 section 9.3: connections are used again where the server allows it; what
    may be done twice is sent again if a reused one was dead (RFC 9110 section
    9.2.2)."""

    def test_one_connection_serves_the_token_and_all_requests(self):
        client = self.client()
        for number in range(50):
            query = client.get("echo", {"n": number}).json()["query"]
            self.assertEqual(query, {"n": str(number)})
        self.assertEqual(self.server.connections, 1)
        self.assertEqual(len(self.server.requests), 51)

    def heard_on_a_reused_connection(self, method, data=None):
        """Which connections and methods arrive at a server that hangs up, instead of an
        answer, on a connection that is used again; how many connections there were."""
        raw, client = self.raw_server_and_client([OK, b""], [OK])
        client.get("x")
        if method in ("POST", "PATCH"):
            self.error_of(URLError, client.request, method, "x", data=data)
        else:
            answer = client.request(method, "x", data=data)
            self.assertEqual(answer.status_code, 200)
        heard = []
        for number, request in raw.heard:
            heard.append((number, request.split()[0].decode()))
        return heard, raw.accepted

    def test_an_idle_connection_that_the_server_closed_is_replaced(self):
        client = self.client()
        client.get("echo")
        for method in ("GET", "POST"):
            self.server.hang_up()
            echo = client.request(method, "echo").json()
            self.assertEqual(echo["method"], method)
        self.assertEqual(self.server.connections, 3)
        self.assertEqual(len(self.server.requests), 4)

    def test_what_is_idempotent_is_sent_again_if_a_reused_connection_was_dead(self):
        idempotent_requests = [
            ("GET", None),
            ("HEAD", None),
            ("DELETE", None),
            ("OPTIONS", None),
            ("PUT", b"1"),
        ]
        for method, data in idempotent_requests:
            with self.subTest(method):
                heard, accepted = self.heard_on_a_reused_connection(method, data)
                self.assertEqual(heard, [(0, "GET"), (0, method), (1, method)])
                self.assertEqual(accepted, 2)

    def test_what_is_not_idempotent_is_not_sent_again(self):
        for method in "POST", "PATCH":
            with self.subTest(method):
                heard, accepted = self.heard_on_a_reused_connection(method, b"1")
                self.assertEqual(heard, [(0, "GET"), (0, method)])
                self.assertEqual(accepted, 1)

    def test_it_is_sent_again_only_once(self):
        raw, client = self.raw_server_and_client([OK, b""], [b""], [OK])
        client.get("x")
        self.error_of(URLError, client.get, "x")
        self.assertEqual(raw.accepted, 2)
        self.assertEqual(len(raw.heard), 3)

    def test_it_is_never_sent_again_on_a_fresh_connection(self):
        for fresh, requests in (
            ([b""], 1),
            ([], 0),
        ):
            with self.subTest(fresh):
                raw, client = self.raw_server_and_client(fresh, [OK])
                self.error_of(URLError, client.get, "x")
                self.assertEqual(raw.accepted, 1)
                self.assertEqual(len(raw.heard), requests)

    def test_a_body_that_breaks_off_is_an_error_and_not_asked_for_again(self):
        length = b"Content-Length: 10"
        chunked = b"Transfer-Encoding: chunked"
        broken_answers = [
            (b"200 OK", length, b"abc"),
            (b"200 OK", length, b""),
            (b"200 OK", chunked, b"5\r\nab"),
            (b"200 OK", chunked, b"-1\r\nab"),
            (b"200 OK", chunked, b"2\r\nab\r\n"),
        ]
        for status, field, body in broken_answers:
            answer = b"HTTP/1.1 %s\r\n%s\r\n\r\n%s" % (status, field, body)
            for before in [], [OK]:
                with self.subTest(answer, before=before):
                    raw, client = self.raw_server_and_client(before + [answer], [OK])
                    for _ in before:
                        client.get("x")
                    self.error_of(URLError, client.get, "x")
                    self.assertEqual(raw.accepted, 1)
                    self.assertEqual(client.get("x").json(), {})  # on a new connection

    def test_a_body_that_breaks_off_does_not_hide_the_status(self):
        chunked = b"Transfer-Encoding: chunked"
        for field, body, content in (
            (b"Content-Length: 10", b"abc", b"abc"),
            (b"Content-Length: 10", b"", b""),
            (b"Content-Length: 9999999", b"abc", b"abc"),
            (chunked, b"5\r\nab", b"ab"),
            (chunked, b"-1\r\nab", b""),
        ):
            answer = b"HTTP/1.1 404 Not Found\r\n%s\r\n\r\n%s" % (field, body)
            with self.subTest(answer):
                raw, client = self.raw_server_and_client([answer], [OK])
                error = self.error_of(ResponseError, client.get, "x")
                self.assertEqual(error.response.status_code, 404)
                self.assertEqual(error.response.content, content)
                self.assertEqual(client.get("x").json(), {})  # on a new connection
                self.assertEqual(raw.accepted, 2)

    def test_a_token_request_never_goes_over_a_connection_that_was_used_before(self):
        answer = OK.replace(b"2\r\n\r\n{}", b'21\r\n\r\n{"access_token": "a"}')
        raw = self.start_raw_server([answer, b""], [answer, b""], [b""])
        metadata = {"token_endpoint": raw.url + "/token", "base_url": raw.url}
        client = self.client(metadata=metadata)
        for _ in range(2):
            client.refresh()
        self.error_of(URLError, client.refresh)  # and is not sent once more
        self.assertEqual([number for number, _ in raw.heard], [0, 1, 2])
        self.assertEqual(raw.accepted, 3)
        # What a token request opened serves others.
        client = self.client()
        client.get("echo")
        self.assertEqual(self.server.connections, 1)
        client.refresh()
        self.assertEqual(self.server.connections, 2)

    def test_an_answer_before_the_end_of_an_upload_is_read(self):
        refusal = (
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 20\r\n\r\n"
            b'{"message": "Large"}'
        )

        def answer_early(connection, request):
            connection.sendall(refusal)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

        class Endless(io.RawIOBase):
            def __init__(self):
                self.read_so_far = 0

            def read(self, size=-1):
                self.read_so_far += 8192
                return bytes(8192) if self.read_so_far < 64 << 20 else b""

        raw, client = self.raw_server_and_client([answer_early], [OK])
        raw.read_request = lambda file: b"".join(iter(file.readline, b"\r\n"))
        request = urllib.request.Request(raw.url + "/x", Endless(), method="PUT")
        error = self.error_of(ResponseError, client.open, request)
        self.assertEqual(error.response.status_code, 413)
        self.assertEqual(client.get("x").json(), {})
        self.assertEqual(raw.accepted, 2)

    def test_the_length_of_a_body_is_measured_whatever_it_comes_out_of(self):
        self.write("file", b"0abc")
        pipe = self.start([sys.executable, "-c", "print('abc')"]).stdout.buffer
        with open(self.path("file"), "rb") as file:
            file.read(1)  # what was read before is not a part of it
            bodies = file, iter([b"a", b"bc"]), io.BytesIO(b"abc"), pipe, b"abc"
            raw, client = self.raw_server_and_client(*([OK] for _ in bodies))
            for data in bodies:
                request = urllib.request.Request(raw.url + "/x", data, method="PUT")
                with client.open(request) as answer:
                    self.assertEqual(answer.read(), b"{}")
        for _, request in raw.heard:
            head, _, body = request.partition(b"\r\n\r\n")
            lengths = re.findall(rb"(?i)\r\nContent-Length: ([0-9]+)", head)
            self.assertEqual(lengths, [b"%d" % len(body)])
            self.assertEqual(body.strip(), b"abc")

    def test_an_address_without_a_path_asks_for_the_root(self):
        raw, client = self.raw_server_and_client([OK] * 3)
        for address in "", raw.url, raw.url + "?a=1":
            client.get(address)
        lines = [request.split(b"\r\n")[0] for _, request in raw.heard]
        self.assertEqual(lines[:2], [b"GET / HTTP/1.1"] * 2)
        self.assertEqual(lines[2], b"GET /?a=1 HTTP/1.1")

    def test_a_file_that_grows_while_it_is_sent_is_no_second_request(self):
        class Log(io.BytesIO):
            def read(self, size=-1):
                block = super().read(size)
                position = self.tell()
                self.seek(0, io.SEEK_END)
                self.write(b"GET /forged HTTP/1.1\r\nHost: x\r\n\r\n")
                self.seek(position)
                return block

        raw, client = self.raw_server_and_client([OK] * 3, [OK])
        request = urllib.request.Request(raw.url + "/x", Log(b"abc"), method="PUT")
        with client.open(request) as answer:
            answer.read()
        client.get("y")
        heard = [request.partition(b" HTTP")[0] for _, request in raw.heard]
        self.assertEqual(heard, [b"PUT /x", b"GET /y"])

    def test_a_file_that_became_shorter_does_not_take_the_next_request_for_its_rest(self):
        class Log(io.BytesIO):
            def read(self, size=-1):
                return super().read(size)[:1]

        def answer_early(connection, request):
            connection.sendall(OK)

        # The server goes on to read where it is, so the next request must come elsewhere.
        raw, client = self.raw_server_and_client([answer_early, OK], [OK])
        raw.read_request = lambda file: b"".join(iter(lambda: file.readline().strip(), b""))
        body = Log(b"a")
        body.seek = lambda *_: 400  # as it was when its length was measured
        request = urllib.request.Request(raw.url + "/x", body, method="PUT")
        with client.open(request) as answer:
            answer.read()
        client.get("y")
        self.assertEqual(raw.accepted, 2)

    def test_a_body_that_is_no_bytes_is_a_type_error_that_sends_nothing(self):
        raw, client = self.raw_server_and_client(*[[OK]] * 6)
        self.write("file", b"abc")
        with open(self.path("file")) as text:
            for data in "abc", ["a"], {"a": 1}, 5, text:
                request = urllib.request.Request(raw.url + "/x", data, method="PUT")
                self.error_of(TypeError, client.open, request)
        self.assertEqual(raw.heard, [])
        self.assertEqual(client.get("x").json(), {})

    def test_a_handler_of_the_user_for_http_is_used(self):
        answers = []

        class Recorded(urllib.request.HTTPHandler):
            def http_open(self, request):
                answers.append(super().http_open(request))
                return answers[-1]

        class MadeUp(urllib.request.BaseHandler):
            def http_open(self, request):
                head = email.message_from_string("Content-Type: application/json")
                body = io.BytesIO(json.dumps({"access_token": "a"}).encode())
                answer = urllib.response.addinfourl(body, head, request.full_url, 200)
                answer.msg = "OK"
                answers.append(answer)
                return answer

        for handler in Recorded(), MadeUp():
            client = self.client(handlers=[handler])
            answers.clear()
            with self.subTest(type(handler).__name__):
                self.assertEqual(client.get("echo").status_code, 200)
                self.assertEqual(len(answers), 2)
                with client.open("echo") as answer:
                    self.assertTrue(answer.read().startswith(b"{"))
                self.assertEqual(len(answers), 3)

    def test_a_connection_is_used_again_when_the_server_allows_it(self):
        chunked = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
        hints = (
            b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        )
        for answer in OK, chunked, hints + OK:
            with self.subTest(answer):
                raw, client = self.raw_server_and_client([answer, answer])
                self.assertEqual(client.get("x").json(), {})
                self.assertEqual(client.get("x").json(), {})
                self.assertEqual(raw.accepted, 1)

    def test_a_connection_is_not_used_again_when_the_server_does_not(self):
        for answer in (
            OK.replace(b"Con", b"Connection: close\r\nCon"),
            b"HTTP/1.0 200 OK\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n{}",
        ):
            with self.subTest(answer):
                raw, client = self.raw_server_and_client([answer], [answer])
                self.assertEqual(client.get("x").json(), {})
                self.assertEqual(client.get("x").json(), {})
                self.assertEqual(raw.accepted, 2)

    def test_an_idle_connection_is_looked_at_where_there_is_no_poll_either(self):
        # inside: the name `select` in the module
        no_poll = types.SimpleNamespace(select=select.select)
        with mock.patch("oauth2min.select", no_poll):
            client = self.client()
            for _ in range(2):
                client.post("echo")
            self.server.hang_up()
            client.post("echo")  # which is not sent twice
        self.assertEqual(self.server.connections, 2)
        self.assertEqual(len(self.server.requests), 4)

    def test_no_chunks_are_awaited_where_there_can_be_none(self):
        for status in b"204 No Content", b"304 Not Modified":
            answer = b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n" % status
            raw, client = self.raw_server_and_client([answer, OK])
            self.assertEqual(client.get("x").content, b"")
            self.assertEqual(client.get("x").json(), {})
            self.assertEqual(raw.accepted, 1)

    def test_connections_to_many_origins_make_room_for_those_to_others(self):
        # inside: MAX_IDLE
        client = self.client_with_token(metadata={"base_url": None})
        with mock.patch("oauth2min.MAX_IDLE", 2):
            servers = [self.start_raw_server([OK, OK, OK]) for _ in range(4)]
            for raw in servers:
                for _ in range(3):
                    client.get(raw.url)
                self.assertEqual(raw.accepted, 1)

    @unittest.skipUnless(hasattr(select, "poll"), "select() here takes any number")
    def test_a_connection_is_used_again_with_a_thousand_files_open(self):
        files = [os.open(os.devnull, os.O_RDONLY)]
        self.addCleanup(lambda: [os.close(file) for file in files])
        try:
            while files[-1] < 1024:  # what select() can no longer take
                files.append(os.dup(files[0]))
        except OSError:
            self.skipTest("this process may not open that many files")
        client = self.client()
        for _ in range(3):
            client.get("echo")
        self.assertEqual(self.server.connections, 1)

    def test_a_stream_closed_early_is_not_used_again_and_one_read_to_its_end_is(self):
        body = b"." * 999999 + b"}"
        for sizes, connections in (
            ([], 2),
            ([1], 2),
            ([None], 1),
            ([7777] * 999, 1),
        ):
            before = self.server.connections
            client = self.client()
            self.server.script("/v1/echo", 200, body)
            with client.open("echo") as answer:
                parts = [
                    answer.read() if size is None else answer.read(size)
                    for size in sizes
                ]
            self.assertEqual(b"".join(parts).endswith(b"}"), connections == 1)
            self.assert_works(client)
            self.assertEqual(self.server.connections - before, connections)

    def test_a_reused_connection_has_the_clients_timeout(self):
        client = self.client(timeout=0.3)
        client.get("echo")
        self.server.script("/v1/echo", delay=2 * PATIENCE)
        started = time.monotonic()
        error = self.error_of(URLError, client.get, "echo")
        self.assertIsInstance(error.reason, socket.timeout)
        self.assertLess(time.monotonic() - started, PATIENCE)  # half of the delay
        self.assertEqual(self.server.connections, 1)
        self.assertEqual(len(self.server.requests), 3)

    def test_close_and_the_end_of_a_client_close_its_connections(self):
        for end in "close", "with", "garbage":
            raw = self.start_raw_server([OK, OK])
            server = dict(self.server.metadata, base_url=raw.url)
            client = Client(server, "fake-app", "x")
            client.token = Token(HUSH)
            client.get("x")
            if end == "close":
                client.close()
            elif end == "with":
                client.__exit__(None, None, None)
            else:
                del client
                gc.collect()
            with self.subTest(end):
                self.assertTrue(raw.hung_up.wait(PATIENCE))

    def test_a_connection_that_is_taken_during_a_close_is_not_closed(self):
        # inside: client._http.connections.idle, for a moment between two steps of a
        # thread
        raw, client = self.raw_server_and_client([OK, OK], [OK, OK], [OK])
        with client.open("x") as first:  # so there are two
            client.get("x")
            first.read()
        connections = client._http.connections
        self.assertEqual(len(connections.idle), 2)
        newest = connections.idle[-1]
        oldest = connections.idle[0]
        hang_up = oldest.hang_up
        taken = []

        def take_the_next_meanwhile():
            taken.append(connections.take(newest.key))
            hang_up()

        oldest.hang_up = take_the_next_meanwhile
        client.close()
        self.assertEqual(taken, [newest])
        self.assertEqual(list(connections.idle), [])
        connections.give_back(newest)
        self.assertEqual(client.post("x").json(), {})
        self.assertEqual(raw.accepted, 3)

    def test_a_connection_in_use_during_a_close_is_closed_when_it_comes_back(self):
        raw, client = self.raw_server_and_client([OK, OK], [OK])
        with client.open("x") as answer:
            client.close()
            self.assertEqual(answer.read(), b"{}")
        self.assertTrue(raw.hung_up.wait(10))
        self.assertEqual(client.get("x").json(), {})  # on another
        self.assertEqual(raw.accepted, 2)

    def test_64_threads_each_get_their_own_answer(self):
        client = self.client()
        names = iter(range(64))

        def count_right_answers():
            name = next(names)
            right = 0
            for number in range(8):
                method = "GET" if number % 3 else "POST"
                query = {"n": "%d-%d" % (name, number)}
                echo = client.request(method, "echo", query).json()
                right += echo["query"] == query and echo["authorization"] == "Bearer"
            return right

        self.assertEqual(results_of_threads(count_right_answers), [8] * 64)
        self.assert_token_requests(1)
        self.assertEqual(len(self.server.requests), 1 + 64 * 8)
        self.assertLessEqual(self.server.connections, 65)

    @needs_fork
    def test_after_a_fork_parent_and_child_have_connections_of_their_own(self):
        client = self.client()
        client.get("echo")

        def works(name):
            queries = [{"n": name * number} for number in range(1, 9)]
            return all(
                client.get("echo", query).json()["query"] == query for query in queries
            )

        with warnings.catch_warnings():
            # The threads are the server's.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if works("child") else 2
                client.close()
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.server.connections, 2)
        self.assertTrue(works("parent"))
        self.assertEqual(self.server.connections, 2)


class HeadTest(ServerCase):
    """RFC 9112: an answer is read by its grammar. What is odd is read right or is a
    URLError that names it; nothing is forgiven in silence."""

    @staticmethod
    def answer(*fields, first=b"HTTP/1.1 200 OK", body=b"{}"):
        return b"\r\n".join([first, *fields, b"", body])

    def chunked(self, body, *fields):
        return self.answer(b"Transfer-Encoding: chunked", *fields, body=body)

    def assert_read(self, answer, content=b"{}", method="GET", is_reused=True):
        """It is read so, and what follows it is not taken for a part of it; the
        answer."""
        raw, client = self.raw_server_and_client([answer, OK], [OK])
        found = client.request(method, "x")
        self.assertEqual(found.content, content)
        self.assertEqual(client.get("x").json(), {})
        self.assertEqual(raw.accepted, 1 if is_reused else 2)
        return found

    def assert_refused(self, answer, named):
        """It is an error that names what is odd, and its connection is given up; the
        error."""
        raw, client = self.raw_server_and_client([answer, OK], [OK])
        error = self.error_of(URLError, client.get, "x")
        self.assertRegex(str(error), named)
        self.assertEqual(client.get("x").json(), {})
        self.assertEqual(raw.accepted, 2)
        return error

    def assert_all_refused(self, named, *answers):
        for answer in answers:
            with self.subTest(answer[:200]):
                self.assert_refused(answer, named)

    def test_a_status_line_is_read_by_its_grammar(self):
        size = b"Content-Length: 2"
        for first, status in (
            (b"HTTP/1.1 200", 200),
            (b"HTTP/1.1 200 ", 200),
            (b"HTTP/1.1 299 all is \xfc well", 299),
            (b"HTTP/1.9 200 OK", 200),
        ):
            with self.subTest(first):
                found = self.assert_read(self.answer(size, first=first))
                self.assertEqual(found.status_code, status)

    def test_a_status_that_nobody_knows_is_one_of_its_hundred(self):
        answer = self.answer(b"Content-Length: 2", first=b"HTTP/1.1 999 Odd")
        _, client = self.raw_server_and_client([answer])
        error = self.error_of(ResponseError, client.get, "x")
        self.assertEqual(error.response.status_code, 999)

    def test_what_is_no_status_line_is_an_error_that_says_so(self):
        size = b"Content-Length: 2"
        firsts = [
            b"HTTP/2.0 200 OK",
            b"HTTP/2 200 OK",
            b"HTTP/1.10 200 OK",
            b"http/1.1 200 OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 099 OK",
            b"HTTP/1.1 +20 OK",
            b"HTTP/1.1 200OK",
            b"HTTP/1.1 200 O\0K",
            b"HTTP/1.1 200 O\rK",
            b"ICY 200 OK",
            b"X-Early: 1\r\nHTTP/1.1 200 OK",
            b"",
        ]
        answers = [self.answer(size, first=first) for first in firsts]
        self.assert_all_refused("status line", *answers)

    def test_a_switch_of_protocols_is_an_error(self):
        switch = self.answer(b"Upgrade: x", first=b"HTTP/1.1 101 Switching", body=b"")
        self.assert_all_refused("status line|101", switch, switch + OK)

    def test_20_interim_answers_are_read_and_21_are_an_error(self):
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 9\r\n\r\n"
        found = self.assert_read(hint * 20 + OK)
        self.assertIsNone(found.headers["Link"])
        self.assert_refused(hint * 21 + OK, "interim")
        self.assert_refused(hint.replace(b"</x>", b"x" * 5000) * 20 + OK, "head")

    def test_fields_are_read_by_their_grammar(self):
        for field, value in (
            (b"X-Odd:1", "1"),
            (b"X-Odd: \t 1 \t ", "1"),
            (b"X-Odd:", ""),
            (b"x-ODD: a:b", "a:b"),
            (b"X-Odd: \xfc", "\xfc"),
            (b"X-Odd: a\r\n b\r\n\tc", "a b c"),
            (b"X-Odd:\r\n 1", "1"),
            (b"X-Odd: a\x0bb\x85c", "a\x0bb\x85c"),
            (b"X-!#$%&'*+.^_`|~: 1\r\nX-Odd: 1", "1"),
        ):
            with self.subTest(field):
                found = self.assert_read(self.answer(field, b"Content-Length: 2"))
                self.assertEqual(found.headers.get_all("X-Odd"), [value])

    def test_lines_may_end_in_a_line_feed_alone(self):
        self.assert_read(OK.replace(b"\r\n", b"\n"))
        self.assert_read(b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\n{}")
        chunked = self.chunked(b"2\r\n{}\r\n0\r\n\r\n")
        self.assert_read(chunked.replace(b"\r\n", b"\n"))

    def test_what_is_no_field_is_an_error_that_says_so(self):
        fields = [
            "X-Größe: 1".encode(),
            b"X-Cache : HIT",
            b"X-One: a\rb",
            b"X-One: a\r",
            b"X-One: a\0b",
            b": 1",
            b"X-One",
            b"X One: 1",
            b"(x): 1",
        ]
        for field in fields:
            both = field, b"Content-Length: 2"
            for order in both, both[::-1]:
                with self.subTest(order):
                    self.assert_refused(self.answer(*order), "field|head")

    def test_a_head_has_at_most_200_fields_and_64_kilobytes(self):
        size = b"Content-Length: 2"
        self.assert_read(self.answer(*[b"X: 1"] * 199, size))
        self.assert_read(self.answer(b"X: " + b"x" * 65000, size))
        self.assert_refused(self.answer(*[b"X: 1"] * 200, size), "head.*200")
        long = self.answer(b"X: " + b"x" * 70000, size)
        many = self.answer(*[b"X: " + b"x" * 7000] * 10, size)
        self.assert_all_refused("head.*65536", long, many)

    def test_a_head_that_breaks_off_is_an_error_wherever_it_does(self):
        head = OK[: -len(b"{}")]
        cuts = [[head[:end]] for end in range(len(head))]
        raw, client = self.raw_server_and_client(*cuts)
        for [cut] in cuts:
            with self.subTest(cut):
                self.error_of(URLError, client.get, "x")
        self.assertEqual(raw.accepted, len(cuts))

    def test_a_content_length_is_one_number(self):
        two = b"Content-Length: 2"
        for fields in (
            [b"Content-Length:\t2 "],
            [b"Content-Length: 002"],
            [b"Content-Length: 2, 2"],
            [b"Content-Length:\r\n 2"],
            [two, two],
            [two, b"content-length: 2 , 2"],
        ):
            with self.subTest(fields):
                self.assert_read(self.answer(*fields))

    def test_another_content_length_is_an_error_that_names_it(self):
        values = b"9, 99", b"+2", b"-2", b"2.0", b"0x2", b"2 2", b"two", b"\xb2"
        values += b"", b",", b"2,", b"9" * 25, b"1" * 5000
        answers = [self.answer(b"Content-Length: " + value) for value in values]
        differ = b"Content-Length: 2", b"Content-Length: 3"
        self.assert_all_refused("Content-Length", *answers, self.answer(*differ))

    def test_the_only_transfer_encoding_is_chunked(self):
        body = b"2\r\n{}\r\n0\r\n\r\n"
        for value in b"chunked", b"Chunked", b"chunked ", b"\tchunked\t":
            with self.subTest(value):
                self.assert_read(self.answer(b"Transfer-Encoding: " + value, body=body))
        values = b"identity, chunked", b"gzip, chunked", b"gzip", b"identity", b"chunkedx"
        values += b"chunked, gzip", b"x chunked", b"\x0bchunked", b""
        values += (b"chunked\r\nTransfer-Encoding: chunked",)
        fields = [b"Transfer-Encoding: " + value for value in values]
        answers = [self.answer(field, body=body) for field in fields]
        self.assert_all_refused("Transfer-Encoding", *answers)

    def test_chunks_count_before_a_content_length_and_end_the_connection(self):
        body = b"2\r\n{}\r\n0\r\n\r\n"
        for size in b"2", b"12", b"999", b"2, 3":
            with self.subTest(size):
                answer = self.chunked(body, b"Content-Length: " + size)
                self.assert_read(answer, is_reused=False)
        old = b"Transfer-Encoding: chunked", b"Connection: keep-alive"
        answer = self.answer(*old, first=b"HTTP/1.0 200 OK", body=body)
        self.assert_read(answer, is_reused=False)  # RFC 9112 section 6.1

    def test_where_there_is_no_body_none_is_awaited_whatever_is_said_of_its_size(self):
        for field in b"Content-Length: 7", b"Transfer-Encoding: chunked", b"X: 1":
            for method, first in (
                ("HEAD", b"HTTP/1.1 200 OK"),
                ("GET", b"HTTP/1.1 204 No Content"),
                ("GET", b"HTTP/1.1 304 Not Modified"),
            ):
                with self.subTest(field=field, first=first):
                    answer = self.answer(field, first=first, body=b"")
                    self.assert_read(answer, b"", method)

    def test_what_an_old_server_says_of_the_connection_does_not_count(self):
        size = b"Content-Length: 2"
        keep = b"Connection: x, Keep-Alive"
        old = b"HTTP/1.0 200 OK"
        self.assert_read(self.answer(size, first=old), is_reused=False)
        self.assert_read(self.answer(size, keep, first=old), is_reused=False)
        self.assert_read(self.answer(size, b"Connection: x, CLOSE"), is_reused=False)

    def test_chunks_may_have_extensions_and_a_trailer(self):
        for body in (
            b"2\r\n{}\r\n0\r\n\r\n",
            b"002\r\n{}\r\n000\r\n\r\n",
            b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            b"2;a=b;c=\"d;e\"\r\n{}\r\n0;x\r\n\r\n",
            b"2 ; a\r\n{}\r\n0 \r\n\r\n",
            b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\nAnother: 2\r\n\r\n",
        ):
            with self.subTest(body):
                found = self.assert_read(self.chunked(body))
                self.assertIsNone(found.headers["X-Trailer"])
        big = b"%x\r\n%s\r\n0\r\n\r\n" % (99999, b"A" * 99999)
        self.assert_read(self.chunked(big), b"A" * 99999)

    def test_a_chunk_of_another_size_is_an_error_that_says_so(self):
        sizes = b"-1", b"0x2", b"+2", b"1_0", b"", b" 2", b"2\0", b"2 2", b"g", b"\xb2"
        sizes += b"f" * 16, b"0" * 5000, b"2;" + b"x" * 5000
        bodies = [size + b"\r\n{}\r\n0\r\n\r\n" for size in sizes]
        bodies += [b"2\r\n{}x\r\n0\r\n\r\n", b"1\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n"]
        bodies += [b"0\r\n" + b"X: 1\r\n" * 300 + b"\r\n"]
        self.assert_all_refused("chunk|head", *map(self.chunked, bodies))

    def test_chunks_that_break_off_are_an_error_wherever_they_do(self):
        body = b"2;x\r\n{ \r\n1\r\n}\r\n0\r\nX: 1\r\n\r\n"
        self.assert_read(self.chunked(body), b"{ }")
        cuts = [[self.chunked(body[:end])] for end in range(len(body))]
        raw, client = self.raw_server_and_client(*cuts)
        for [cut] in cuts:
            with self.subTest(cut):
                self.error_of(URLError, client.get, "x")
        self.assertEqual(raw.accepted, len(cuts))

    def test_an_error_quotes_at_most_12_characters_of_an_odd_head(self):
        long = b"abcdefghijklmnopqrstuvwxyz"
        answers = [
            self.answer(first=long),
            self.answer(b"X " + long),
            self.answer(b"Content-Length: " + long),
            self.answer(b"Transfer-Encoding: " + long),
            self.answer(b"Content-Length: 2", b"Content-Encoding: " + long),
            self.chunked(long + b"\r\n"),
        ]
        for answer in answers:
            with self.subTest(answer):
                text = str(self.assert_refused(answer, "."))
                self.assertNotRegex(text, "|".join(self.windows(long.decode(), 13)))

    @staticmethod
    def windows(text, size):
        return [text[start : start + size] for start in range(len(text) - size + 1)]


class StreamTest(ServerCase):
    """open(): by whatever method a stream is read, a body that is cut short is an
    OSError, and a whole one comes whole."""

    BODY = b"one\ntwo\nthree\n"

    @staticmethod
    def read_into(stream):
        buffer = bytearray(5)
        size = stream.readinto(buffer)
        return bytes(buffer[:size])

    @staticmethod
    def copied(stream):
        copy = io.BytesIO()
        shutil.copyfileobj(stream, copy)
        return copy.getvalue()

    def ways(self):
        """The ways to read all of a stream, by their names."""
        steps = {
            "read(n)": lambda stream: stream.read(5),
            "read1": lambda stream: stream.read1(5),
            "readline": lambda stream: stream.readline(),
            "readline(n)": lambda stream: stream.readline(3),
            "readinto": self.read_into,
        }
        ways = {
            "read": lambda stream: stream.read(),
            "read(None)": lambda stream: stream.read(None),
            "readlines": lambda stream: b"".join(stream.readlines()),
            "iteration": b"".join,
            "copyfileobj": self.copied,
        }
        for name, step in steps.items():
            ways[name] = lambda stream, step=step: b"".join(
                iter(lambda: step(stream), b"")
            )
        return ways.items()

    def test_after_a_read_that_failed_nothing_more_can_be_read(self):
        goes_on = threading.Event()

        def pause(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
            goes_on.wait(PATIENCE)
            connection.sendall(b"56789")

        raw, client = self.raw_server_and_client([pause], [OK], timeout=0.2)
        with client.open("x") as stream:
            self.error_of(socket.timeout, stream.read)
            goes_on.set()
            time.sleep(0.05)
            for _ in range(2):
                self.error_of(socket.timeout, stream.read)
        client.get("x")
        self.assertEqual(raw.accepted, 2)

    @unittest.skipUnless(hasattr(signal, "setitimer"), "no timers here")
    def test_nor_after_a_read_that_ctrl_c_ended(self):
        goes_on = threading.Event()

        def pause(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n01234")
            goes_on.wait(PATIENCE)
            connection.sendall(b"56789")

        def interrupt(number, frame):
            if frame.f_code.co_name == "readinto":  # and nowhere else in this program
                raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, interrupt)
        _, client = self.raw_server_and_client([pause])
        with client.open("x") as stream:
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)  # again and again
            self.error_of(KeyboardInterrupt, stream.read)
            signal.setitimer(signal.ITIMER_REAL, 0)
            goes_on.set()
            for _ in range(2):
                self.error_of(socket.timeout, stream.read)

    def test_after_a_bad_chunk_nothing_more_can_be_read(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        rest = b"\r\n1\r\nb\r\n0\r\n\r\n"
        for bad in b"x\r\na" + rest, b"1\r\na\r\nx" + rest, b"1\r\naa" + rest:
            _, client = self.raw_server_and_client([head + bad])
            with self.subTest(bad), client.open("x") as stream:
                self.error_of(oauth2min._BadAnswer, stream.read)
                for _ in range(5):
                    self.error_of(oauth2min._BadAnswer, stream.read, 1)

    def test_nor_where_nothing_said_how_long_the_body_is(self):
        def pause(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n01234")
            connection.recv(1)

        _, client = self.raw_server_and_client([pause], timeout=0.2)
        with client.open("x") as stream:
            for _ in range(2):
                self.error_of(socket.timeout, stream.read)

    def test_a_stream_may_outlive_its_client_and_then_closes_its_connection(self):
        raw = self.start_raw_server([OK])
        client = Client({"token_endpoint": raw.url}, "i", base_url=raw.url)
        client.token = Token(HUSH)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")  # of a socket that nobody closed, for example
            stream = client.open("x")
            del client
            gc.collect()
            self.assertEqual(stream.read(), b"{}")
            stream.close()
            del stream
            gc.collect()
        self.assertEqual(caught, [])

    def read_stream(self, answer, read):
        _, client = self.raw_server_and_client([answer])
        with client.open("x") as stream:
            return read(stream)

    def answers(self, body):
        """The ways to send it that tell its end."""
        size = b"Content-Length: %d" % len(self.BODY)
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        whole_chunks = chunks + (b"0\r\n\r\n" if body == self.BODY else b"")
        head = b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s"
        yield head % (size, body)
        yield head % (b"Transfer-Encoding: chunked", whole_chunks)

    def test_a_whole_body_comes_whole_by_every_method(self):
        for answer in self.answers(self.BODY):
            for name, read in self.ways():
                with self.subTest(name, answer=answer):
                    self.assertEqual(self.read_stream(answer, read), self.BODY)

    def test_a_body_cut_short_is_an_error_by_every_method(self):
        for body in self.BODY[:8], self.BODY[:6], b"":
            for answer in self.answers(body):
                for name, read in self.ways():
                    with self.subTest(name, answer=answer):
                        with self.assertRaises(OSError):
                            self.read_stream(answer, read)

    def test_a_body_without_a_size_ends_with_the_connection(self):
        answer = b"HTTP/1.1 200 OK\r\n\r\n" + self.BODY
        for name, read in self.ways():
            with self.subTest(name):
                self.assertEqual(self.read_stream(answer, read), self.BODY)

    def test_get_notices_it_too_also_in_what_is_compressed(self):
        for zipped in gzip.compress(self.BODY), self.BODY:
            coding = b"Content-Encoding: gzip\r\n" if zipped != self.BODY else b""
            for cut in 1, 8, len(zipped) - 3:
                sizes = b"Content-Length: %d" % len(zipped), b"Content-Length: %d" % cut
                for size in sizes if coding else sizes[:1]:
                    head = b"HTTP/1.1 200 OK\r\n%s%s\r\n\r\n" % (coding, size)
                    with self.subTest(zipped=zipped, cut=cut, size=size):
                        _, client = self.raw_server_and_client([head + zipped[:cut]])
                        self.error_of(URLError, client.get, "x")


class OddAnswersTest(ServerCase):
    """What careless servers and proxies send, and its one right reading: it is read as
    it was meant, or it is an error that says so. Other classes have the tables of their
    own part: HeadTest, GzipTest, ResponseTest, PagesTest, RateLimitTest."""

    BROKEN = [
        ([b"Content-Length: 100"], b"abc"),
        ([b"Content-Length: 3", b"Content-Encoding: br"], b"abc"),
        ([b"Content-Length: 3", b"Content-Encoding: gzip"], b"abc"),
        ([b"Content-Encoding: gzip"], gzip.compress(b"abc" * 99)[:-9]),
        ([b"Transfer-Encoding: chunked"], b"9\r\nabc"),
        ([b"Transfer-Encoding: chunked"], b"zz\r\nabc"),
        ([b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"], b""),
        ([b"Content-Length: 9999999999"], b"x" * 2000000),
    ]

    @staticmethod
    def odd(*fields, status=b"200 OK", body=b"{}"):
        """An answer that ends with its connection."""
        first = b"HTTP/1.1 " + status
        return b"\r\n".join([first, b"Connection: close", *fields, b"", body])

    def played(self, *answers):
        """A server that gives each of the answers on a connection of its own, and a
        client that has a token for it."""
        return self.raw_server_and_client(*([answer] for answer in answers))

    def test_what_was_meant_is_read(self):
        one = gzip.compress(b"one")
        named = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x03\x00abcname\0comment\0" + one[10:]
        bytewise = b"".join(b"1\r\n%c\r\n" % byte for byte in one + gzip.compress(b"two"))
        zipped = b"Content-Encoding: gzip"
        chunked = b"Transfer-Encoding: chunked"
        rows = [
            Row(fields=[b" folded: before any field"], body=b"one", content=b"one"),
            Row(fields=[b"Content-Length: 3"], body=b"one and more", content=b"one"),
            Row(fields=[b"Content-Type: a/b; c=\"" + b";" * 60000], body=b"1", content=b"1"),
            Row(fields=[b"Content-Encoding: , gzip ,"], body=one, content=b"one"),
            Row(fields=[b"Content-Encoding:\r\n gzip"], body=one, content=b"one"),
            Row(fields=[zipped], body=named, content=b"one"),
            Row(fields=[zipped], body=one + b"\r\n", content=b"one"),
            Row(fields=[zipped], body=one + bytes(512), content=b"one"),
            Row(fields=[zipped, chunked], body=bytewise + b"0\r\n\r\n", content=b"onetwo"),
        ]
        for row in rows:
            with self.subTest(row.fields[0][:40], body=row.body):
                _, client = self.played(self.odd(*row.fields, body=row.body))
                self.assertEqual(client.get("x").content, row.content)

    def test_what_cannot_be_read_is_an_error_that_names_it(self):
        packed = gzip.compress(b"content")
        rows = [
            Row(coding=b"deflate", body=zlib.compress(b"content"), named="deflate"),
            Row(coding=b"br, gzip", body=packed, named="'br'"),
            Row(coding=b"gzip, br", body=packed, named="'br'"),
            Row(coding=b"gzip;q=1", body=packed, named="gzip;q=1"),
            Row(coding=b"aws-chunked", body=b"7\r\ncontent", named="aws-chunked"),
            Row(coding=b"utf-8", body=b"content", named="utf-8"),
        ]
        for row in rows:
            with self.subTest(row):
                field = b"Content-Encoding: " + row.coding
                _, client = self.played(self.odd(field, body=row.body))
                error = self.error_of(URLError, client.get, "x")
                self.assertIn(row.named, str(error))

    def test_compressed_data_that_are_broken_are_an_error_and_never_content(self):
        packed = gzip.compress(b"content")
        for body in (
            b"content",
            zlib.compress(b"content"),
            packed[:-8] + bytes(4) + packed[-4:],  # another checksum
            packed[:-1] + b"\1",  # another size
            packed + packed[:5],
        ):
            with self.subTest(body):
                _, client = self.played(self.odd(b"Content-Encoding: gzip", body=body))
                self.error_of(URLError, client.get, "x")

    def test_a_body_that_nobody_needs_does_not_hide_a_redirect(self):
        for fields, body in self.BROKEN:
            with self.subTest(fields, body=body[:9]):
                moved = self.odd(b"Location: /y", *fields, status=b"302 Found", body=body)
                raw, client = self.played(moved, OK)
                self.assertEqual(client.get("x").json(), {})
                self.assertTrue(raw.heard[1][1].startswith(b"GET /y "))

    def test_the_body_of_a_300_is_its_answer_and_has_to_be_whole(self):
        for fields, body in self.BROKEN:
            with self.subTest(fields, body=body[:9]):
                answer = self.odd(*fields, status=b"300 Choose", body=body)
                _, client = self.played(answer)
                self.error_of(URLError, client.get, "x")

    def test_nor_a_status_and_what_its_fields_say(self):
        challenge = b'WWW-Authenticate: Bearer error="insufficient_scope", scope="more"'
        for fields, body in self.BROKEN:
            for status, field, kind, said in (
                (b"404 Not Found", b"X: 1", ResponseError, "answered 404"),
                (b"403 Forbidden", challenge, ResponseError, "insufficient_scope.*more"),
                (b"403 Forbidden", b"Retry-After: 7", RateLimited, "in 7 seconds"),
                (b"429 Too Many", b"Retry-After: 7", RateLimited, "in 7 seconds"),
                (b"503 Away", b"Retry-After: 7", RateLimited, "in 7 seconds"),
            ):
                with self.subTest(status, fields=fields, body=body[:9]):
                    answer = self.odd(field, *fields, status=status, body=body)
                    _, client = self.played(answer)
                    error = self.error_of(kind, client.get, "x")
                    self.assertRegex(str(error), said)

    def test_nor_that_a_token_is_refused(self):
        for fields, body in self.BROKEN:
            with self.subTest(fields, body=body[:9]):
                refusal = self.odd(*fields, status=b"401 Unauthorized", body=body)
                raw, client = self.raw_server_and_client([refusal], [OK])
                self.assertEqual(client.get("x").json(), {})
                self.assertEqual(raw.accepted, 2)
                self.assertNotEqual(client.token.access_token, HUSH)

    def test_an_answer_to_a_refresh_that_breaks_off_does_not_end_the_login(self):
        for fields, body in [([b"Content-Length: 30"], b""), *self.BROKEN]:
            for status in b"400 Bad Request", b"401 Unauthorized", b"403 Forbidden":
                with self.subTest(status, fields=fields, body=body[:9]):
                    answer = self.odd(*fields, status=status, body=body)
                    raw = self.start_raw_server([answer])
                    endpoint = {"token_endpoint": raw.url}
                    client = self.client_without_login(metadata=endpoint)
                    client.token = Token("old", expires_at=1, refresh_token=HUSH)
                    self.error_of(TokenError, client.access_token)
                    self.assertEqual(client.token.refresh_token, HUSH)

    def test_a_401_with_a_basic_challenge_is_a_word_about_the_client(self):
        for challenges in (
            ["Basic realm=x"],
            ["basic"],
            ['Bearer realm="x", Basic realm="y"'],
            ["Negotiate", "Basic realm=y"],
        ):
            with self.subTest(challenges):
                headers = [("WWW-Authenticate", text) for text in challenges]
                client = self.logged_in_client()
                expire_by_the_clock(client)
                self.server.script("/token", 401, {"status": 401}, headers)
                self.error_of(TokenError, client.access_token)
                self.assertTrue(client.access_token())

    def test_where_a_redirect_leads(self):
        rows = [
            Row(fields=[b"Location: /caf\xe9"], target=b"/caf%E9"),
            Row(fields=["Location: /café".encode()], target=b"/caf%C3%A9"),
            Row(fields=[b"Location: \t /y \t"], target=b"/y"),
            Row(fields=[b"Location: /y z"], target=b"/y%20z"),
            Row(fields=[b"Location: /50%"], target=b"/50%25"),
            Row(fields=[b"Location: /a%20b%E9"], target=b"/a%20b%E9"),
            Row(fields=[b"Location: /^{|}\"<>"], target=b"/%5E%7B%7C%7D%22%3C%3E"),
            Row(fields=[b"Location: y"], target=b"/d/y"),
            Row(fields=[b"Location: ?q=2"], target=b"/d/x?q=2"),
            Row(fields=[b"Location: ../y#part"], target=b"/y"),
            Row(fields=[b"location: /y", b"LOCATION: /y"], target=b"/y"),
            Row(fields=[b"Location: /y", b"Location: /z"], target=b"/y"),
            Row(fields=[], target=ResponseError),
            Row(fields=[b"Location: http://user:pass@127.0.0.1/"], target=UnsafeURL),
            Row(fields=[b"Location: http://127.0.0.1:99999/"], target=UnsafeURL),
            Row(fields=[b"Location: http://["], target=UnsafeURL),
            Row(fields=[b"Location: javascript:x"], target=UnsafeURL),
            Row(fields=[b"Location: file:///etc/passwd"], target=UnsafeURL),
        ]
        for row in rows:
            with self.subTest(row):
                moved = self.odd(*row.fields, status=b"302 Found")
                raw, client = self.played(moved, OK)
                if isinstance(row.target, bytes):
                    self.assertEqual(client.get("d/x?q=1").json(), {})
                    self.assertEqual(raw.heard[1][1].split()[1], row.target)
                else:
                    self.error_of(row.target, client.get, "d/x?q=1")
                    self.assertEqual(raw.accepted, 1)

    def test_a_challenge_in_whatever_way_it_is_written(self):
        rows = [
            ['Bearer error="insufficient_scope" scope="more"'],
            ['Bearer error="insufficient_scope"; scope="more"'],
            ['Bearer error="insufficient_scope", scope="more",'],
            ['Bearer error="insufficient_scope", scope="more'],
            ['Bearer error="insufficient_scope",\r\n scope="more"'],
            ['Bearer  ERROR = insufficient_scope ,\tScope = more'],
            ["Bearer", 'Bearer error="insufficient_scope", scope="more"'],
            ['Bearer x=https://h/?a, error="insufficient_scope", scope="more"'],
            ['Negotiate oY/G+MIGD=, Bearer error="insufficient_scope", scope="more"'],
            ['DPoP error="no", Bearer error="insufficient_scope", scope="more"'],
            ['Bearer error="insufficient_scope", scope="more", DPoP error="no"'],
            ['Bearer realm="a, error=\\"no\\"", error="insufficient_scope", scope="more"'],
        ]
        for challenges in rows:
            with self.subTest(challenges):
                fields = [b"WWW-Authenticate: " + text.encode() for text in challenges]
                _, client = self.played(self.odd(*fields, status=b"403 Forbidden"))
                error = self.error_of(ResponseError, client.get, "x")
                self.assertRegex(str(error), "403: insufficient_scope: .* more$")

    def test_a_next_link_in_whatever_way_it_is_written(self):
        for link, target in (
            (b"</y>;rel=next", b"/y"),
            (b"</y>; rel=next;", b"/y"),
            (b"</y> ; REL = 'next'", b"/y"),
            (b'</y>; rel="next', b"/y"),
            (b'</z>; rel="prev", </y?a=1,2>; title="\\", <z>"; rel="last next"', b"/y?a=1,2"),
            (b"</y%E9?50%>; rel=next", b"/y%E9?50%25"),
            (b"<y z#part>; rel=next", b"/y%20z"),
            (b'</z>; rev=next, </z>; rel="http://x/next", </z>; rel=nextish', None),
        ):
            with self.subTest(link):
                first = self.odd(b"Link: " + link, body=b"[1]")
                raw, client = self.played(first, self.odd(body=b"[2]"))
                pages = list(client.pages("x"))
                self.assertEqual(pages, [[1], [2]] if target else [[1]])
                if target:
                    self.assertEqual(raw.heard[1][1].split()[1], target)

    def test_a_date_in_whatever_form_http_had_it(self):
        for form in "%a, %d %b %Y %X GMT", "%A, %d-%b-%y %X GMT", "%a %b %d %X %Y":
            now = int(time.time())
            date, until = (
                time.strftime(form, time.gmtime(now + seconds)).encode()
                for seconds in (5000, 5060)
            )
            fields = b"Date: " + date, b"Retry-After: " + until
            with self.subTest(until):
                _, client = self.played(self.odd(*fields, status=b"429 Too Many"))
                error = self.error_of(RateLimited, client.get, "x")
                self.assertAlmostEqual(error.retry_after, 60, delta=1)


class ProxyTest(ServerCase):
    """RFC 9110 section 9.3.6. A FakeServer can be the proxy for plain HTTP: it answers
    itself, whatever the host."""

    CREDENTIALS = "Basic " + base64.b64encode(b"me:h-u-s-h-ed/@").decode()

    def setUp(self):
        super().setUp()
        self.proxy = self.start_server()
        self.address = self.with_password(self.proxy.url)

    @staticmethod
    def with_password(url):
        return url.replace("//", "//me:h-u-s-h-ed%2F%40@")

    @staticmethod
    def tunnel(connection, request):
        """What a proxy does with CONNECT."""
        host, _, port = request.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            ways = {connection: far, far: connection}
            while True:
                for source in select.select(list(ways), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    ways[source].sendall(data)

    def client_behind_proxy(self, answer):
        """A recording proxy, a TLS server, and a client that goes through the one to
        the other."""
        raw = self.start_raw_server([answer])
        os.environ["https_proxy"] = self.with_password(raw.url)
        secure, context = self.start_tls_server()
        return raw, secure, self.client(metadata=secure.metadata, context=context)

    def test_plain_requests_go_through_the_proxy_of_the_environment(self):
        os.environ["http_proxy"] = self.address
        echo = self.client().get("echo").json()
        self.assertEqual(echo["target"], self.server.url + "/v1/echo")
        for path, request in zip(("/token", "/v1/echo"), self.proxy.requests):
            self.assertEqual(request.target, self.server.url + path)
            self.assertEqual("http://" + request.headers["Host"], self.server.url)
            credentials = request.headers.get_all("Proxy-Authorization")
            self.assertEqual(credentials, [self.CREDENTIALS])
        self.assertEqual(len(self.proxy.requests), 2)
        self.assertEqual(self.proxy.connections, 1)
        self.assertEqual(self.server.connections, 0)

    @needs_ssl
    def test_the_answer_to_connect_is_waited_for_no_longer_than_the_timeout(self):
        def drip(connection, request):
            for _ in range(600):  # a minute: what is cut off early was not waited for
                time.sleep(0.1)
                connection.sendall(b"H")
                sent.append(b"H")

        def check(answer):
            raw = self.start_raw_server([answer])
            proxy = urllib.request.ProxyHandler({"https": raw.url})
            client = self.client_with_token(
                base_url="https://api.example", timeout=0.3, handlers=[proxy]
            )
            error = self.error_of(URLError, client.get, "x")
            self.assertIsInstance(error.reason, socket.timeout)
            self.assertTrue(raw.heard[0][1].startswith(b"CONNECT api.example:443 "))

        sent = []
        parallel_map(check, [RawServer.say_nothing, drip])
        self.assertLess(len(sent), 150)

    def test_a_proxy_handler_takes_the_place_of_the_environment(self):
        os.environ["http_proxy"] = self.start_server().url
        handler = urllib.request.ProxyHandler({"http": self.proxy.url})
        self.client(handlers=[handler]).get("echo")
        self.assertEqual(len(self.proxy.requests), 2)
        self.assertEqual(self.server.connections, 0)
        self.assertNotIn("Proxy-Authorization", self.proxy.requests[0].headers)
        direct = urllib.request.ProxyHandler({})
        self.client(handlers=iter([direct])).get("echo")
        self.assertEqual(len(self.proxy.requests), 2)
        self.assertEqual(len(self.server.requests), 2)

    def test_no_proxy_is_honoured(self):
        os.environ.update(http_proxy=self.address, no_proxy="127.0.0.1")
        self.client().get("echo")
        self.assertEqual(len(self.server.requests), 2)
        self.assertEqual(self.proxy.connections, 0)
        self.assertNotIn("Proxy-Authorization", self.server.requests[0].headers)

    @needs_ssl
    def test_https_goes_through_one_tunnel_and_the_password_stays_outside(self):
        raw, secure, client = self.client_behind_proxy(self.tunnel)
        for _ in range(3):
            self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual(raw.accepted, 1)
        self.assertEqual(secure.connections, 1)
        self.assertEqual(len(secure.requests), 4)
        [(_, request)] = raw.heard
        line = "CONNECT %s HTTP/1." % secure.url[len("https://") :]
        self.assertTrue(request.startswith(line.encode()))
        credentials = "Proxy-Authorization: %s\r\n" % self.CREDENTIALS
        self.assertIn(credentials.encode(), request)
        self.assertNotIn(b"\nAuthorization:", request)
        for request in secure.requests:
            self.assertNotIn("Proxy-Authorization", request.headers)
            self.assertTrue(request.target.startswith("/"))

    def test_a_proxy_that_asks_for_a_password_is_an_error_that_says_so(self):
        os.environ["http_proxy"] = self.address
        client = self.client()
        self.proxy.script("/token", 407, "<html>")
        self.assertEqual(self.error_of(TokenError, client.get, "echo").status, 407)
        self.proxy.script("/v1/echo", 407, "<html>")
        self.assertIn("407", str(self.error_of(ResponseError, client.get, "echo")))

    @needs_ssl
    def test_a_tunnel_that_is_refused_is_a_network_error(self):
        # http.client warns, on Python 3.6.
        warnings.simplefilter("ignore", ResourceWarning)
        _, secure, client = self.client_behind_proxy(
            b"HTTP/1.1 407 h-u-s-h-ed\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertIn("407", str(self.error_of(URLError, client.get, "echo")))
        self.assertEqual(secure.connections, 0)

    def test_an_odd_address_is_a_mistake_and_its_password_is_not_shown(self):
        os.environ["no_proxy"] = "10.0.0.0/8, .example"
        for address in (
            "http:/me:h-u-s-h-ed@127.0.0.1:1",
            "http://me:h-u-s-h-ed/@127.0.0.1:1",
            "http://me:h-u-s-h-ed",  # the host was forgotten
        ):
            for variable in "http_proxy", "https_proxy":
                environ = mock.patch.dict(os.environ, {variable: address})
                with self.subTest(address), environ:
                    error = self.error_of(ValueError, self.client)
                    self.assertIn(variable, str(error))
            handler = urllib.request.ProxyHandler({"https": address})
            self.error_of(ValueError, self.client, handlers=[handler])

    def test_an_address_that_others_can_use_is_no_mistake(self):
        for address in (
            "proxy:3128",
            "me:pass@proxy:3128",
            "http://proxy:3128/",
        ):
            with self.subTest(address), mock.patch.dict(os.environ, http_proxy=address):
                self.client()

    def trouble_of_client_behind(self, **environ):
        """What is said of these variables, when the client is made or when it asks."""
        with mock.patch.dict(os.environ, environ):
            with self.assertRaises((ValueError, OSError)) as caught:
                self.client_with_token().get("echo")
        self.assert_fit_to_show(str(caught.exception))
        return str(caught.exception)

    def test_a_socks_proxy_is_named_in_the_error(self):
        for scheme in "socks5", "socks5h", "socks4", "SOCKS":
            for password in "", "me:h-u-s-h-ed@":
                address = "%s://%s127.0.0.1:1080" % (scheme, password)
                with self.subTest(address):
                    text = self.trouble_of_client_behind(http_proxy=address)
                    self.assertIn("SOCKS", text)

    @needs_ssl
    def test_to_an_https_proxy_nothing_goes_out_in_the_clear(self):
        secure, context = self.start_tls_server()
        for password in "", "me:h-u-s-h-ed@":
            raw = self.start_raw_server([lambda connection, request: None])
            heard = []
            raw.read_request = lambda file: heard.append(file.read(3))
            address = raw.url.replace("http://", "https://" + password)
            os.environ["https_proxy"] = address
            with self.subTest(password), self.assertRaises((ValueError, OSError)):
                self.client_with_token(
                    metadata=secure.metadata, context=context, timeout=2
                ).get("echo")
            self.assertNotIn(b"CON", heard)  # a handshake begins with 16 03 01
        self.assertEqual(secure.connections, 0)

    def test_only_the_proxy_variables_of_http_and_https_are_looked_at(self):
        odd = "socks5://me:h-u-s-h-ed/@:"
        names = "X509_USER_PROXY", "all_proxy", "ftp_proxy", "a_proxy", "HTTPX_PROXY"
        for name in names:
            with self.subTest(name), mock.patch.dict(os.environ, {name: odd}):
                client = self.client()
                self.assertEqual(client.get("echo").status_code, 200)

    @needs_ssl
    def test_407_of_a_tunnel_says_that_the_proxy_wants_a_user_and_a_password(self):
        answer = b"HTTP/1.1 407 h-u-s-h-ed\r\nContent-Length: 0\r\n\r\n"
        _, _, client = self.client_behind_proxy(answer)
        error = self.error_of(URLError, client.get, "echo")
        self.assertRegex(str(error), "(?i)proxy.*407.*user.*password")

    def test_plain_http_is_not_sent_across_the_network_to_a_proxy(self):
        url = "http://proxy.invalid:3128"
        for address in url, self.with_password(url):
            os.environ["http_proxy"] = address
            self.error_of(UnsafeURL, self.client().get, "echo")

    def test_plain_http_is_not_sent_through_a_proxy_on_this_machine_either(self):
        os.environ["http_proxy"] = self.proxy.url
        self.proxy.script(
            "/v1/old", 302, "", {"Location": "http://api.example/v1/echo"}
        )
        self.error_of(UnsafeURL, self.client().get, "old")
        paths = [request.path for request in self.proxy.requests]
        self.assertEqual(paths, ["/token", "/v1/old"])


@needs_ssl
class TLSTest(ServerCase):
    """Certificates are always checked, by the system's or by the caller's context."""

    def test_context_is_for_the_token_the_api_and_the_metadata(self):
        secure, context = self.start_tls_server()
        client = self.client(metadata=secure.metadata, context=context)
        self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual(secure.connections, 1)
        self.assertEqual(len(secure.requests), 2)
        self.assertTrue(self.client(server=secure.url, context=context).access_token())
        self.assertEqual(discover(secure.url, context)["issuer"], secure.url)

    def test_a_connection_with_bytes_left_inside_of_tls_is_not_used_again(self):
        secure, context = self.start_tls_server()
        client = self.client(metadata=secure.metadata, context=context)
        secure.script("/v1/echo", raw=OK + b"x" * 12000)  # in one record
        client.get("echo")
        self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual(secure.connections, 2)

    @needs_proc
    def test_an_answer_before_the_end_of_an_upload_is_read_here_too(self):
        # It hangs up with the upload unread, which breaks the pipe: each version of Python
        # has an error of its own for that in TLS. (Linux keeps what came before.)
        def answer_early(connection, request):
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            time.sleep(0.05)

        secure, context = self.start_tls_server()
        raw = self.start_raw_server([answer_early])
        raw.context = secure.context
        raw.read_request = lambda file: b"".join(iter(file.readline, b"\r\n"))
        url = raw.url.replace("http", "https")
        client = self.client_with_token(base_url=url, context=context)
        error = self.error_of(ResponseError, client.post, "x", bytes(1 << 23))
        self.assertEqual(error.response.status_code, 413)

    def test_a_ca_that_is_not_trusted_is_an_error_that_tells_the_way_out(self):
        secure, _ = self.start_tls_server()
        for metadata in (secure.metadata, {"base_url": secure.url}):
            error = self.error_of(URLError, self.client(metadata=metadata).get, "x")
            for part in ("127.0.0.1", "certificate", "SSL_CERT_FILE", "context="):
                self.assertIn(part, str(error))
            self.assertTrue(str(error.reason).startswith("no answer from"), error)
        self.assertEqual(secure.requests, [])

    def test_a_dot_at_the_end_of_a_host_is_not_looked_for_in_the_certificate(self):
        secure, context = self.start_tls_server()
        url = secure.url.replace("127.0.0.1", "localhost.")
        client = self.client(metadata=dict(secure.metadata, base_url=url), context=context)
        client.token = Token(HUSH)
        getaddrinfo = socket.getaddrinfo

        def resolve(host, *more, **named):
            """Not all systems know this one."""
            self.assertEqual(host, "localhost.")
            return getaddrinfo("127.0.0.1", *more, **named)

        with mock.patch("socket.getaddrinfo", resolve):
            self.assertEqual(client.get("/").status_code, 200)
        self.assertEqual(secure.requests[-1].headers["Host"], url.partition("//")[2])

    def test_one_context_lasts_as_long_as_the_client(self):
        secure, _ = self.start_tls_server()
        os.environ["SSL_CERT_FILE"] = self.path("tls.pem")
        client = self.client(metadata=secure.metadata)
        create = ssl.create_default_context
        load = ssl.SSLContext.load_default_certs
        creating = mock.patch.object(ssl, "create_default_context", side_effect=create)
        loading = mock.patch.object(
            ssl.SSLContext, "load_default_certs", autospec=True, side_effect=load
        )
        with creating as created, loading as loaded:
            for _ in range(3):
                client.get("echo")
                secure.hang_up()
        self.assertEqual(secure.connections, 3)
        self.assertLessEqual(max(created.call_count, loaded.call_count), 1)


class RateLimitTest(ServerCase):
    """RFC 6585 section 4, RFC 9110 section 10.2.3: RateLimited at once, or with
    max_wait after so many seconds in all."""

    def test_retry_after_is_found_wherever_the_server_puts_it(self):
        now = int(time.time())
        client = self.client()
        reset = str(now + 50)
        late = str(now + 900)
        past = str(now - 50)
        date = email.utils.formatdate(now + 50, usegmt=True)
        past_date = email.utils.formatdate(now - 50, usegmt=True)
        limits = [
            (429, {"Retry-After": "50"}, 50),
            (503, {"Retry-After": "50"}, 50),
            (429, {"Retry-After": date}, 50),
            (503, {"Retry-After": date}, 50),
            (429, {"x-rate-limit-reset": reset}, 50),  # X
            (429, {"x-ratelimit-reset": reset}, 50),  # GitHub
            (429, {"x-ratelimit-reset": "50"}, 50),
            (429, {"x-ratelimit-reset": "50.0"}, 50),  # Reddit
            (429, {"x-rate-limit-reset": late, "Retry-After": "50"}, 50),
            (429, {"x-ratelimit-reset": "7", "Retry-After": date}, 50),
            (429, {"x-rate-limit-reset": late, "Retry-After": "0"}, 1),
            (503, {"x-ratelimit-reset": "900", "Retry-After": "0"}, 1),
            (429, {"Retry-After": "0"}, 1),
            (429, {"Retry-After": past_date}, 1),
            (429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 1),
            (  # of a server whose clock was never set
                429,
                {
                    "Date": "Sat, 01 Jan 2000 00:00:10 GMT",
                    "Retry-After": "Sat, 01 Jan 2000 00:01:00 GMT",
                },
                50,
            ),
            (429, {"x-rate-limit-reset": past}, 1),
            (429, {}, 1),
        ]
        for status, headers, seconds in limits:
            with self.subTest(status=status, headers=headers), clock_stopped_at(now):
                self.server.script("/v1/echo", status, {"message": "Slow"}, headers)
                with mock.patch("time.sleep") as sleep:
                    error = self.error_of(RateLimited, client.get, "echo", {"q": HUSH})
                sleep.assert_not_called()
                self.assertEqual(error.response.status_code, status)
                delta = 3 if seconds > 1 else 0
                self.assertAlmostEqual(error.retry_after, seconds, delta=delta)

    def test_nonsense_is_a_second_or_more_and_an_end_is_in_sight(self):
        client = self.client()
        nonsense = [
            "soon",
            "",
            "-5",
            "nan",
            "inf",
            "-inf",
            "1e999",
            "9" * 400,
            "0x10",
            "\xb2",
            "Mon, 99 Foo 2024 25:61:61 GMT",
            "Fri, 31 Dec 9999999999 23:59:59 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Thu,\xa0Jan 1:2:3:4\xa0,\xa00\xa0\xa0\xa0",
        ]
        for text in nonsense:
            for name in "Retry-After", "x-rate-limit-reset":
                with self.subTest(name=name, text=text):
                    self.server.script("/v1/echo", 429, "", {name: text})
                    error = self.error_of(RateLimited, client.get, "echo")
                    self.assertGreaterEqual(error.retry_after, 1)
                    self.assertLessEqual(error.retry_after, 1e9)

    def test_a_403_is_a_rate_limit_where_its_fields_say_so(self):
        now = int(time.time())
        used_up = {"X-RateLimit-Remaining": "0"}
        reset = {"X-RateLimit-Reset": str(now + 50)}
        rows = [
            ({"Retry-After": "50"}, 50),
            (used_up, 1),
            (dict(used_up, **reset), 50),
            (dict(used_up, **{"Retry-After": "7"}, **reset), 7),
            ({}, None),
            (reset, None),
            ({"X-RateLimit-Remaining": "10"}, None),
            ({"X-RateLimit-Remaining": "9", **reset}, None),
        ]
        client = self.client()
        for headers, seconds in rows:
            with self.subTest(headers), clock_stopped_at(now):
                self.server.script("/v1/echo", 403, "", headers)
                kind = ResponseError if seconds is None else RateLimited
                error = self.error_of(kind, client.get, "echo")
                if seconds:
                    self.assertAlmostEqual(error.retry_after, seconds, delta=3)

    def test_a_file_is_not_sent_again_for_it_is_used_up(self):
        self.server.script("/v1/echo", 429, "", {"Retry-After": "1"})
        client = self.client_with_token(max_wait=60)
        url = self.server.url + "/v1/echo"
        request = urllib.request.Request(url, io.BytesIO(b"abc"), method="PUT")
        self.error_of(RateLimited, client.open, request)
        bodies = [request.body for request in self.server.requests]
        self.assertEqual(bodies, [b"abc"])

    def test_the_clock_of_the_server_counts_for_a_date(self):
        client = self.client()
        for ahead in -5000, 5000:
            then = time.time() + ahead
            headers = {
                "Date": email.utils.formatdate(then, usegmt=True),
                "Retry-After": email.utils.formatdate(then + 50, usegmt=True),
            }
            self.server.script("/v1/echo", 429, "", headers)
            error = self.error_of(RateLimited, client.get, "echo")
            self.assertAlmostEqual(error.retry_after, 50, delta=3)

    def test_503_without_retry_after_is_a_plain_response_error(self):
        self.server.script("/v1/echo", 503, "")
        self.error_of(ResponseError, self.client(max_wait=60).get, "echo")

    @staticmethod
    def status_of_get(client):
        return client.get("echo").status_code

    def sleeps_and_result(self, max_wait, waits, call=None, status=429):
        """How long a call sleeps whose first answers ask for these waits, and its
        end."""
        for seconds in waits:
            self.server.script("/v1/echo", status, "", {"Retry-After": str(seconds)})
        sleeps = []
        client = self.client(max_wait=max_wait)
        with mock.patch("time.sleep", sleeps.append):
            try:
                result = (call or self.status_of_get)(client)
            except RateLimited:
                result = "limited"
        return sleeps, result

    def test_max_wait_bounds_all_the_naps_of_a_request_together(self):
        rows = [
            Row(max_wait=60, waits=[20, 20], sleeps=[20, 20], result=200),
            Row(max_wait=60, waits=[60], sleeps=[60], result=200),
            Row(max_wait=60, waits=[61], sleeps=[], result="limited"),
            Row(max_wait=50, waits=[20, 20, 20], sleeps=[20, 20], result="limited"),
            Row(max_wait=3, waits=[0, 0, 0, 0], sleeps=[1, 1, 1], result="limited"),
            Row(max_wait=0, waits=[0], sleeps=[], result="limited"),
            Row(max_wait=0.5, waits=[0], sleeps=[], result="limited"),
        ]
        for row in rows:
            with self.subTest(row):
                slept = self.sleeps_and_result(row.max_wait, row.waits)
                self.assertEqual(slept, (row.sleeps, row.result))
        self.assertEqual(self.sleeps_and_result(9, [5], status=503), ([5], 200))

    def test_only_a_rate_limit_is_waited_for(self):
        self.server.script("/v1/echo", 404)
        client = self.client(max_wait=float("inf"))
        with mock.patch("time.sleep") as sleep:
            self.error_of(ResponseError, client.get, "echo")
        sleep.assert_not_called()

    def test_every_way_to_ask_waits_and_sends_the_same_again(self):
        def body_of_post(client):
            return client.post("echo", {"a": 1}).json()["body"]

        def number_of_pages(client):
            return len(list(client.pages("echo")))

        def status_of_stream(client):
            with client.open("echo") as answer:
                return answer.status

        for call, result in (
            (body_of_post, "a=1"),
            (number_of_pages, 1),
            (status_of_stream, 200),
        ):
            self.assertEqual(self.sleeps_and_result(60, [7], call), ([7], result))


class GzipTest(ServerCase):
    """RFC 9110 section 8.4. A bomb is an error before it has taken the memory."""

    ZIPPED = {"Content-Encoding": "gzip"}

    def peak_megabytes(self, kind, client):
        """The memory in MiB that a refused answer takes."""
        if tracemalloc is None:
            return self.peak_by_the_system(kind, client)
        tracemalloc.start()
        try:
            self.error_of(kind, client.get, "echo")
            return tracemalloc.get_traced_memory()[1] >> 20
        finally:
            tracemalloc.stop()

    def peak_by_the_system(self, kind, client):
        """By what Linux counts, whose highest figure can be put back."""
        if not os.path.exists("/proc/self/clear_refs"):
            self.skipTest("nothing counts the memory here")
        gc.collect()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = self.highest_kibibytes()
        self.error_of(kind, client.get, "echo")
        garbage = 15 << 10  # that the collector may let lie, in KiB; 13 was seen
        return self.highest_kibibytes() - before - garbage >> 10

    @staticmethod
    def highest_kibibytes():
        with open("/proc/self/status") as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1))

    @staticmethod
    def gzip_bomb(megabytes):
        """Zeros, a thousandfold compressed. The blocks are equal: only two are made."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
        first, more = (
            deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
            for _ in range(2)
        )
        return first + more * (megabytes - 1)

    def test_gzip_is_asked_for_and_undone_but_not_by_open(self):
        client = self.client()
        body = gzip.compress(b"[1]")
        for name in ("gzip", "GZIP", "x-gzip"):
            self.server.script("/v1/echo", 200, body, {"Content-Encoding": name})
            self.assertEqual(client.get("echo").json(), [1])
            self.assertIn("gzip", self.server.requests[-1].headers["Accept-Encoding"])
        self.server.script("/v1/echo", 200, body, self.ZIPPED)
        with client.open("echo") as answer:
            self.assertEqual(answer.read(), body)
        self.assertNotIn(
            "gzip", self.server.requests[-1].headers.get("Accept-Encoding", "")
        )
        self.assertEqual(self.server.connections, 1)

    def test_honest_data_is_let_through_and_a_bomb_is_not(self):
        # inside: MAX_CONTENT, whose 256 MiB would take a second here
        client = self.client()
        limit = 16 << 20
        honest = bytes(limit)
        too_much = bytes(limit + 1)
        self.assertEqual(oauth2min.MAX_CONTENT, 256 << 20)
        with mock.patch("oauth2min.MAX_CONTENT", limit):
            self.server.script("/v1/echo", 200, gzip.compress(honest, 1), self.ZIPPED)
            self.assertEqual(len(client.get("echo").content), limit)
            self.server.script("/v1/echo", 200, gzip.compress(too_much, 1), self.ZIPPED)
            self.error_of(URLError, client.get, "echo")
            self.server.script("/v1/echo", 200, self.gzip_bomb(60), self.ZIPPED)
            peak = self.peak_megabytes(URLError, client)
            self.assertLess(peak, 40)  # room to join the parts
        self.assert_works(client)

    def test_errors_and_token_answers_are_no_place_for_a_bomb(self):
        for body, headers in (
            (self.gzip_bomb(200), self.ZIPPED),
            (b" " * (20 << 20), {}),
        ):
            self.server.script("/token", 400, body, headers)
            self.assertLess(self.peak_megabytes(TokenError, self.client()), 30)
            self.server.script("/v1/echo", 400, body, headers)
            peak = self.peak_megabytes(ResponseError, self.client_with_token())
            self.assertLess(peak, 30)

    def test_more_than_two_layers_of_gzip_are_refused(self):
        body = b"[1]"
        for layers in range(1, 5):
            body = gzip.compress(body)
            headers = [("Content-Encoding", "gzip")] * layers
            self.server.script("/v1/echo", 200, body, headers)
            with self.subTest(layers):
                if layers > 2:
                    error = self.error_of(URLError, self.client().get, "echo")
                    self.assertIn("Content-Encoding", str(error))
                else:
                    self.assertEqual(self.client().get("echo").json(), [1])

    def test_codings_are_undone_in_whatever_way_they_are_written(self):
        once = gzip.compress(b"[1]")
        twice = gzip.compress(once)
        for body, *values in (
            (once, "gzip "),
            (once, "\tGZip"),
            (once, "x-gzip"),
            (once, "identity, gzip"),
            (once, "gzip", "identity"),
            (twice, "gzip, gzip"),
            (twice, "gzip,X-GZIP"),
            (twice, "gzip", "gzip"),
            (b"[1]", "identity"),
            (b"[1]", ""),
        ):
            headers = [("Content-Encoding", value) for value in values]
            with self.subTest(values):
                self.server.script("/v1/echo", 200, body, headers)
                self.assertEqual(self.client().get("echo").json(), [1])

    def test_several_members_are_one_body_and_what_follows_them_is_ignored(self):
        members = gzip.compress(b"[1") + gzip.compress(b"") + gzip.compress(b",2]")
        many = b"".join(gzip.compress(b"%05d" % number) for number in range(999))
        for body, content in (
            (members, b"[1,2]"),
            (members + bytes(9000), b"[1,2]"),
            (members + b"junk" * 3000, b"[1,2]"),
            (members + b"x" + b"\x1f" * 9000, b"[1,2]"),
            (members + b"\x1fjunk", b"[1,2]"),
            (many, b"".join(b"%05d" % number for number in range(999))),
            (b"", b""),
        ):
            with self.subTest(body[-20:]):
                self.server.script("/v1/echo", 200, body, self.ZIPPED)
                self.assertEqual(self.client().get("echo").content, content)

    def test_members_are_unpacked_once_each_however_large_they_are(self):
        block = oauth2min._BLOCK  # inside: the size at which unpacking pauses
        sizes = 0, 1, block - 1, block, block + 1, 3 * block, 300000
        contents = [os.urandom(size // 2) + bytes(size - size // 2) for size in sizes]
        for members in contents, contents[::-1], contents * 2, contents[2:3] * 9:
            whole = b"".join(members)
            body = b"".join(map(gzip.compress, members))
            for sent, coding in (body, "gzip"), (gzip.compress(body), "gzip, gzip"):
                with self.subTest(size=len(whole), coding=coding):
                    headers = {"Content-Encoding": coding}
                    self.server.script("/v1/echo", 200, sent, headers)
                    content = self.client().get("echo").content
                    self.assertTrue(content == whole, len(content))

    def test_another_coding_is_an_error_that_names_it_but_not_for_open(self):
        for value, name in ("br", "br"), ("gzip, zstd", "zstd"), ("a b", "a b"):
            headers = {"Content-Encoding": value}
            with self.subTest(value):
                self.server.script("/v1/echo", 200, b"[1]", headers)
                error = self.error_of(URLError, self.client().get, "echo")
                self.assertRegex(str(error), "Content-Encoding.*" + name)
                self.server.script("/v1/echo", 200, b"[1]", headers)
                with self.client().open("echo") as answer:
                    self.assertEqual(answer.read(), b"[1]")

    def test_no_gzip_is_asked_for_where_the_caller_wants_a_range_or_says_what(self):
        for name, value in (
            ("Range", "bytes=0-1"),
            ("range", "bytes=0-1"),
            ("Accept-Encoding", "identity"),
            ("accept-encoding", "br"),
        ):
            headers = {name: value}
            asked = [
                lambda: self.client().get("echo", headers=headers),
                lambda: self.client(headers=headers).get("echo"),
            ]
            for ask in asked:
                ask()
                sent = self.server.requests[-1].headers
                with self.subTest(name):
                    self.assertEqual(sent[name], value)
                    self.assertNotIn("gzip", sent.get("Accept-Encoding", ""))

    def test_broken_gzip_does_not_hide_the_status_and_the_fields(self):
        for body in b"no gzip", gzip.compress(b"{}")[:-9], b"\x1f\x8b":
            for coding in "gzip", "br":
                with self.subTest(body=body, coding=coding):
                    self.check_status_and_fields(body, {"Content-Encoding": coding})

    def check_status_and_fields(self, body, headers):
        client = self.client()
        self.server.script("/v1/x", 302, body, dict(headers, Location="echo"))
        self.assertEqual(client.get("x").json()["target"], "/v1/echo")
        limit = dict(headers, **{"Retry-After": "50"})
        self.server.script("/v1/x", 429, body, limit)
        self.assertEqual(self.error_of(RateLimited, client.get, "x").retry_after, 50)
        self.server.script("/v1/x", 404, body, headers)
        error = self.error_of(ResponseError, client.get, "x")
        self.assertEqual(error.response.status_code, 404)
        before = len(self.server.forms())
        self.server.script("/v1/x", 401, body, headers)
        self.server.script("/v1/x", 200, ["good"])
        self.assertEqual(client.get("x").json(), ["good"])
        self.assert_token_requests(before + 1)

    def test_broken_gzip_is_a_network_error(self):
        client = self.client()
        good = gzip.compress(bytes(range(256)) * 9)
        broken = [
            b"plain",
            b"\x1f\x8b",
            good[:5],
            good[:-9],
            good[:-8] + b"\x00" * 8,
            good[:20] + b"\xff" * 9 + good[29:],
        ]
        for body in broken:
            with self.subTest(body[:20]):
                self.server.script("/v1/echo", 200, body, self.ZIPPED)
                self.error_of(URLError, client.get, "echo")
                self.assert_works(client)


class NetworkErrorTest(ServerCase):
    """The network's errors are URLErrors that name the host and what to do next."""

    def message_of_network_error(self, client, kind, host="127.0.0.1"):
        error = self.error_of(URLError, client.get, "echo", {"q": HUSH})
        self.assertIn(host, str(error))
        self.assertRegex(str(error), "(?i)check|try|raise|use")
        self.assertIsInstance(error.reason, kind)
        return str(error)

    def test_a_server_that_is_down(self):
        url = self.url_nobody_listens_at()
        for settings in (
            {"server": url, "base_url": url},
            {"metadata": {"token_endpoint": url}},
            {"metadata": {"base_url": url}},
        ):
            with self.subTest(settings):
                client = self.client(**settings)
                self.message_of_network_error(client, ConnectionRefusedError)

    def test_a_host_that_nobody_knows(self):
        client = self.client_with_token(
            base_url="http://nothing.invalid/v1", metadata={"allow_http": True}
        )
        # What the answer would be depends on the network that the tests run in.
        unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=unknown):
            self.message_of_network_error(client, socket.gaierror, "nothing.invalid")

    def test_a_host_name_that_nobody_can_have(self):
        metadata = {"base_url": None, "allow_http": True}
        client = self.client_with_token(metadata=metadata)
        for host in "a..example", "a" * 64 + ".example":
            self.error_of(URLError, client.get, "http://%s/x?%s" % (host, HUSH))

    def test_a_server_that_does_not_answer_in_time(self):
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["
        for path, client, raw in (
            ("/token", self.client(timeout=0.1), b""),
            ("/v1/echo", self.client_with_token(timeout=0.1), b""),
            ("/v1/echo", self.client_with_token(timeout=0.1), half),
        ):
            self.server.script(path, raw=raw)
            with self.subTest(path, raw=raw):
                self.assertIn(
                    "time", self.message_of_network_error(client, socket.timeout)
                )

    def test_a_server_that_does_not_speak_http(self):
        head = b"HTTP/1.1 200 OK\r\n"
        answers = [
            b"SSH-2.0-OpenSSH_9 h-u-s-h-ed\r\n\r\n",
            b"\x15\x03\x01\x00",
            b"HTTP/1.1 2",
            b"HTTP/1.1 two OK\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n",
            head + b"X: " + b"a" * 70000 + b"\r\n\r\n",
            head + b"X: 1\r\n" * 201 + b"\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nh-u-s-h-ed\r\n",
        ]
        for answer in answers:
            for path in "/token", "/v1/echo":
                with self.subTest(answer=answer[:60], path=path):
                    self.server.script(path, raw=answer, close=True)
                    self.message_of_network_error(self.client(), OSError)


class TimeoutTest(ServerCase):
    """timeout= is for a request in all, however its answer drips; for open() until the
    head is there, and then for each read."""

    DRIPS = 600  # of a tenth of a second each: what is cut off early was not waited for

    def drip(self, start, piece, pieces=DRIPS):
        """An answer that comes in pieces, and a list of those that were sent."""
        sent = []

        def answer(connection, request):
            connection.sendall(start)
            while len(sent) < pieces:
                time.sleep(0.1)
                connection.sendall(piece)
                sent.append(piece)

        return answer, sent

    def test_an_answer_that_drips_is_not_waited_for(self):
        size = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        drips = [
            (b"", b"H"),
            (b"HTTP/1.1 200 ", b"O"),
            (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"),
            (b"", b"HTTP/1.1 103 Early\r\n\r\n"),
            (size, b"x"),
            (chunked, b"1\r\nx\r\n"),
            (chunked + b"1", b"0"),
            (chunked + b"0\r\n", b"X: 1\r\n"),
        ]
        parallel_map(lambda drip: self.check_drip(*drip), drips)

    def check_drip(self, start, piece):
        answer, sent = self.drip(start, piece)
        raw = self.start_raw_server([answer])
        api = self.client_with_token(base_url=raw.url, timeout=0.3)
        error = self.error_of(URLError, api.get, "x")
        self.assertIsInstance(error.reason, socket.timeout, (start, piece))
        self.assertLess(len(sent), self.DRIPS // 4)

    def test_a_token_answer_that_drips_is_not_waited_for(self):
        answer, sent = self.drip(OK.replace(b": 2", b": 9999"), b" ")
        raw = self.start_raw_server([answer])
        client = self.client(metadata={"token_endpoint": raw.url}, timeout=0.3)
        error = self.error_of(URLError, client.access_token)
        self.assertIsInstance(error.reason, socket.timeout)
        self.assertLess(len(sent), self.DRIPS // 4)

    def test_a_request_that_is_sent_again_has_what_is_left_of_its_time(self):
        def hang_up_late(connection, request):
            time.sleep(0.8)

        drip, sent = self.drip(b"", b"H", 10)  # which takes a second in all
        _, client = self.raw_server_and_client([OK, hang_up_late], [drip], timeout=1)
        client.get("x")
        self.error_of(URLError, client.get, "x")
        self.assertLess(len(sent), 8)  # 0.2 s are left: two pieces

    def test_each_read_of_a_stream_has_its_own_time(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
        answer, sent = self.drip(head, b"x", 6)
        _, client = self.raw_server_and_client([answer], timeout=0.5)
        with client.open("x") as stream:
            self.assertEqual(stream.read(), b"x" * 6)

    def test_a_stream_that_is_silent_for_too_long_is_an_error(self):
        def answer(connection, request):
            connection.sendall(OK[:-1])
            RawServer.say_nothing(connection, request)

        def check(read):
            _, client = self.raw_server_and_client([answer], timeout=0.3)
            with client.open("x") as stream:
                self.error_of(socket.timeout, read, stream)

        parallel_map(check, [HTTPResponse.read, HTTPResponse.readline])


class TraceTest(ServerCase):
    """The trace shows each message, and no secret: neither those that the client knows,
    nor what has the name of one. It can never change what happens."""

    BASIC = base64.b64encode(b"fake-app:fake%20secret%2F%C3%BC%2B%25%3A").decode()

    def setUp(self):
        super().setUp()
        self.trace = []

    def traced_client(self, client_id, **settings):
        return self.client(client_id, trace=self.trace.append, **settings)

    def assert_hidden(self, *secrets):
        """None of the secrets is in the trace, neither as it is nor as it was sent."""
        text = "\n".join(self.trace)
        for secret in secrets + (HUSH, "fake secret/ü+%:"):
            self.assertTrue(secret)
            self.assertNotIn(secret, text)
            self.assertNotIn(urllib.parse.quote(secret, safe=""), text)
            self.assertNotIn(urllib.parse.quote_plus(secret), text)
            self.assertNotIn(json.dumps(secret)[1:-1], text)

    def test_it_shows_each_message_once(self):
        client = self.traced_client("fake-app")
        client.post("echo", json={"name": "Zoe"}, params={"q": "1"})
        token_request, token_answer, request, answer = [
            text.lower() for text in self.trace
        ]
        for part in "post /token grant_type=client_credentials content-type".split():
            self.assertIn(part, token_request)
        self.assertIn("basic ***", token_request)
        for part in "200", '"expires_in": 3600', "application/json":
            self.assertIn(part, token_answer)
        for part in "post", "/v1/echo?q=1", '{"name": "zoe"}', "bearer ***":
            self.assertIn(part, request)
        for part in "200", '"authorization": "bearer"':
            self.assertIn(part, answer)

    def test_no_sign_in_it_can_steer_a_terminal(self):
        steering = "a\x07\x1b[31m\x7f\x9b2J\u200f\u202e\u2066\u2028\t\r\nb"
        headers = {"X-Odd": "a\x1b[31m\x9b2Jb"}
        self.server.script("/v1/x", 200, steering, headers)
        self.traced_client("fake-app").post("x", steering)
        for text in self.trace:
            odd = [sign for sign in text if not sign.isprintable() and sign != "\n"]
            self.assertEqual(odd, [])
        for text in self.trace[2:]:
            self.assertRegex(text, r"\n\na +\[31m +2J +\nb$")
        self.assertRegex(self.trace[3], r"\nX-Odd: a \[31m 2Jb\n")

    def test_one_that_fails_does_not_cost_the_token_that_it_was_shown(self):
        def trace(text):
            if text.startswith("200"):
                raise BrokenPipeError

        user = self.logged_in_client(store=self.path())
        client = self.client_without_login(store=self.path(), trace=trace)
        client.refresh()
        self.assertNotEqual(client.token, user.token)
        self.assertIn(client.token.access_token.encode(), self.content_of())

    def test_no_secret_of_a_login_is_in_it(self):
        for client_id in "fake-app", "fake-post", "fake-public":
            client = self.traced_client(
                client_id, grant_type="authorization_code", scope=SCOPE
            )
            asked = client.authorization_request()
            response = self.server.approve(asked.url)
            first = client.exchange(asked, response)
            second = client.refresh()
            client.get("me")
            self.assertTrue(client.logout())
            with self.subTest(client_id):
                self.assert_hidden(
                    query_of(response)["code"],
                    asked.state,
                    asked.code_verifier,
                    first.access_token,
                    first.refresh_token,
                    second.access_token,
                    second.refresh_token,
                    self.BASIC,
                )

    def test_no_secret_of_a_program_is_in_it(self):
        for client_id in "fake-app", "fake-post":
            token = self.traced_client(client_id).request_token("client_credentials")
            self.assert_hidden(token.access_token, self.BASIC)

    def test_no_secret_of_a_device_is_in_it(self):
        def approve(seconds):
            code = re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue()).group()
            self.server.approve_device(code)

        client = self.traced_client("fake-public", grant_type=DEVICE_CODE, scope=SCOPE)
        with self.captured_stderr() as shown, mock.patch("time.sleep", approve):
            token = client.login(open_browser=False)
        device_code = self.server.forms()[-1]["device_code"]
        self.assert_hidden(device_code, token.access_token, token.refresh_token)

    NAMES_OF_SECRETS = (
        "access_token refresh_token id_token token code device_code state client_secret"
        " code_verifier password assertion client_assertion"
    )

    def assert_masked_in(self, client, answer=None, **sent):
        """Posts this, gets this answer, and finds no secret in the trace of both."""
        del self.trace[:]
        self.server.script("/v1/x", **(answer or {"body": ""}))
        with contextlib.suppress(ResponseError):
            client.request("POST", "x", **sent)
        self.assertIn("/v1/x", "".join(self.trace))
        self.assert_hidden()

    def test_secrets_are_masked_by_their_names_wherever_they_stand(self):
        fields = {name: HUSH + '"&,}= x' for name in self.NAMES_OF_SECRETS.split()}
        query = urllib.parse.urlencode(fields)
        text = {"Content-Type": "text/plain"}
        client = self.traced_client("fake-app")
        for sent in (
            {"params": fields},
            {"data": fields},
            {"json": {"a": [fields]}},
            {"headers": {"Cookie": "a=1; sid=" + HUSH}},
        ):
            with self.subTest(sent=list(sent)):
                self.assert_masked_in(client, **sent)
        answers = [
            dict(body=query, headers=text),
            dict(status=400, body=[fields]),
            dict(body=json.dumps(fields, indent=1), headers=text),
            dict(body={"pad": "x" * 9900, "id_token": HUSH * 99}),  # which is cut off
            dict(body="", headers={"Set-Cookie": "sid=" + HUSH}),
        ]
        for answer in answers:
            with self.subTest(answer=str(answer)[:60]):
                self.assert_masked_in(client, answer)
        for mark in "?", "#":
            with self.subTest(location=mark):
                self.server.script("/v1/y")
                headers = {"Location": "/v1/y" + mark + query}
                answer = dict(status=302, body="", headers=headers)
                self.assert_masked_in(client, answer)
        del self.trace[:]
        self.server.script("/token", 400, query)
        self.error_of(TokenError, client.request_token, "urn:x", **fields)
        self.assert_hidden()

    def test_a_secret_with_slashes_is_masked_also_as_json_may_write_them(self):
        client = self.traced_client("fake-app")
        client.token = Token("h/u/s/h+token/of/mine==")
        for slash in "/", r"\/":
            echo = '{"Authorization": "Bearer h/u/s/h+token/of/mine=="}'.replace("/", slash)
            self.server.script("/v1/echo", 200, echo)
            client.get("echo")
        self.assertEqual("".join(self.trace).count('"Bearer ***"'), 2)
        self.assertNotIn("mine", "".join(self.trace))

    def test_where_a_long_body_is_cut_no_part_of_a_secret_is_left(self):
        client = self.traced_client("fake-app")
        token = client.access_token()
        for letter in "a", "\xfc", "\u6f22", "\U0001f40d":  # of one to four bytes
            for width in 1, len(letter.encode()):  # cut by characters, or by bytes
                for size in 10000, 20000, 40000:
                    before = letter * ((size - len(token) + 3) // width)
                    body = (before + token + "b" * 99).encode()
                    head = OK[:-2].replace(b": 2", b": %d" % len(body))
                    self.server.script("/v1/echo", raw=head + body)
                    del self.trace[:]
                    client.get("echo")
                    with self.subTest(letter=letter, width=width, size=size):
                        self.assertFalse(token[:8] in "".join(self.trace))

    def test_the_password_of_a_proxy_is_masked(self):
        os.environ["http_proxy"] = self.server.url.replace("//", "//me:%s@" % HUSH)
        self.traced_client("fake-app").get("echo")
        credentials = base64.b64encode(b"me:h-u-s-h-ed")
        self.assert_hidden(credentials.decode())
        self.assertIn("/v1/echo", self.trace[2])


# --- 9 Servers ------------------------------------------------------------------------


class DiscoveryTest(ServerCase):
    """RFC 8414 section 3, and OpenID Connect Discovery: metadata count only for their
    issuer."""

    RFC8414 = "/.well-known/oauth-authorization-server"
    OPENID = "/.well-known/openid-configuration"

    def test_metadata_say_only_what_rfc_8414_has_a_name_for(self):
        found = discover(self.server.url)
        own = {"pkce": False, "authorization_parameters": {"prompt": "none"}}
        self.server.script(self.RFC8414, 200, {**found, **own})
        client = Client(self.server.url, "fake-public")
        query = query_of(client.authorization_request().url)
        self.assertIn("code_challenge", query)
        self.assertNotIn("prompt", query)

    def test_the_address_of_rfc_8414_comes_first_and_openids_next_also_for_a_path(self):
        for path in "", "/", "/tenant/one", "/tenant/":
            issuer = self.server.url + path
            bare = path.rstrip("/")
            metadata = {"issuer": issuer, "token_endpoint": "https://as.example/t"}
            first = self.RFC8414 + bare
            second = bare + self.OPENID
            with self.subTest(path):
                del self.server.requests[:]
                self.server.script(first, body=metadata)
                self.assertEqual(discover(issuer), metadata)
                self.server.script(first, 404, "nothing here")
                self.server.script(second, body=metadata)
                self.assertEqual(discover(issuer), metadata)
                self.assertEqual(self.requested_paths(), [first, first, second])
                if bare:  # section 5: where OpenID providers are asked that follow RFC 8414
                    third = self.OPENID + bare
                    self.server.script(first, 404, "nothing here")
                    self.server.script(second, 404, "nothing here")
                    self.server.script(third, body=metadata)
                    self.assertEqual(discover(issuer), metadata)
                    self.assertEqual(self.requested_paths()[3:], [first, second, third])

    def test_what_is_no_metadata_of_this_issuer_is_passed_over(self):
        endpoint = {"token_endpoint": "https://attacker.example/token"}
        bodies = [
            "<html>",
            "",
            b"\xff",
            [],
            "null",
            endpoint,
            dict(endpoint, issuer=None),
            dict(endpoint, issuer=self.server.url + "/"),
            dict(endpoint, issuer="https://attacker.example"),
        ]
        for body in bodies:
            with self.subTest(body):
                self.server.script(self.RFC8414, body=body)
                found = discover(self.server.url)["token_endpoint"]
                self.assertEqual(found, self.server.url + "/token")

    def test_if_none_is_left_the_error_names_what_was_tried_and_who_answered(self):
        self.error_of(OAuth2Error, discover, self.server.url + "/nobody?" + HUSH)
        other = "https://other.example"
        self.server.script(self.RFC8414, body={"issuer": other + HOSTILE})
        self.server.script(self.OPENID, body="<html>")
        error = self.error_of(OAuth2Error, discover, self.server.url)
        self.assertIn(self.server.url + self.RFC8414, str(error))
        self.assertIn(self.server.url + self.OPENID, str(error))
        self.assertIn(other, str(error))

    def client_whose_metadata_name(self, **endpoints):
        metadata = dict(self.server.metadata, **endpoints)
        self.server.script(self.RFC8414, body=metadata)
        client = self.client_without_login(server=self.server.url)
        client.token = Token("a", refresh_token="r")
        return client

    def test_plain_http_is_refused_for_the_issuer_and_for_what_its_metadata_name(self):
        self.error_of(UnsafeURL, discover, "http://issuer.example")
        url = "http://as.example/x"
        client = self.client_whose_metadata_name(authorization_endpoint=url)
        self.error_of(UnsafeURL, client.authorization_request)
        client = self.client_whose_metadata_name(token_endpoint=url)
        self.error_of(UnsafeURL, client.refresh)
        client = self.client_whose_metadata_name(revocation_endpoint=url)
        self.assertIs(client.logout(), False)

    @needs_ssl
    def test_the_metadata_of_an_https_issuer_name_no_http_not_on_this_machine_either(self):
        secure, context = self.start_tls_server()
        for name in "token_endpoint", "authorization_endpoint", "x_endpoint":
            for url in "http://127.0.0.1:1/x", "HTTP://localhost/x", "http://as.example/x":
                secure.script(self.RFC8414, body=dict(secure.metadata, **{name: url}))
                with self.subTest(name, url=url):
                    self.error_of(UnsafeURL, discover, secure.url, context)
        paths = {request.path for request in secure.requests}
        self.assertEqual(paths, {self.RFC8414})  # no other place is asked

    @needs_ssl
    def test_a_context_that_does_not_check_is_refused(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        self.error_of(
            ValueError,
            discover,
            self.url_nobody_listens_at().replace("http", "https"),
            context,
        )

    def test_a_long_issuer_does_not_make_a_long_error(self):
        self.error_of(OAuth2Error, discover, self.server.url + "/" + "x" * 5000)

    def test_a_client_fetches_the_metadata_once_and_only_when_needed(self):
        client = self.client(
            server=self.server.url,
            base_url=self.server.url + "/v1",
            store=MemoryStore(),  # whose lock cannot be taken twice
        )
        self.assertIsNone(client.token)
        self.assertEqual(self.server.requests, [])
        results_of_threads(lambda: client.get("echo"), 8)
        paths = sorted(self.requested_paths())
        expected = [self.RFC8414, "/token"] + ["/v1/echo"] * 8
        self.assertEqual(paths, sorted(expected))

    def test_an_address_that_hangs_up_is_no_reason_not_to_ask_the_next(self):
        self.server.script(self.RFC8414, close=True)
        found = discover(self.server.url)
        self.assertEqual(found["issuer"], self.server.url)

    def test_a_client_that_found_no_metadata_looks_again(self):
        for path in self.RFC8414, self.OPENID:
            self.server.script(path, 503, "later")
        client = self.client_without_login(server=self.server.url)
        self.error_of(OAuth2Error, client.authorization_request)
        self.assertTrue(client.authorization_request().url.startswith(self.server.url))


class ProviderTest(Case):
    """Plain dicts for servers without metadata, or whose metadata are not enough."""

    KEYS = (
        r"issuer|\w+_endpoint|\w+_supported|base_url|authorization_parameters|"
        "token_parameters|token_endpoint_auth_method|pkce"
    )

    def test_each_is_well_formed(self):
        self.assertEqual(list(PROVIDERS)[:2], ["spotify", "x"])
        self.assertGreaterEqual(len(PROVIDERS), 8)
        for name, server in PROVIDERS.items():
            with self.subTest(name):
                Client(name, "i", "s")
                for key, value in server.items():
                    self.assertTrue(re.fullmatch(self.KEYS, key), key)
                    if re.fullmatch(r"issuer|\w+_endpoint|base_url", key):
                        self.assertTrue(value.startswith("https://"), value)

    def expired_client_of(self, server):
        client = Client(server, "i", "s", grant_type="authorization_code")
        client.token = Token("a", expires_at=1)
        return client

    def test_what_google_and_reddit_want_is_sent_and_a_login_can_change_it(self):
        for name, parameters in (
            ("google", {"access_type": "offline", "prompt": "consent"}),
            ("reddit", {"duration": "permanent"}),
        ):
            endpoints = {
                "token_endpoint": "https://as.example/token",
                "authorization_endpoint": "https://as.example/authorize",
            }
            self.enter_context(mock.patch.dict(PROVIDERS[name], endpoints))
            client = Client(name, "i", "s", grant_type="authorization_code")
            self.enter_context(client)
            query = query_of(client.authorization_request().url)
            self.assertEqual({key: query[key] for key in parameters}, parameters)
            for key in parameters:
                own = {key: "mine"}
                with self.subTest(name, key=key), self.captured_stderr() as shown:
                    self.error_of(LoginRequired, client.login, False, 0.001, **own)
                    url = re.search(r"\S+\?\S+", shown.getvalue()).group()
                    sent = {key: query_of(url)[key] for key in parameters}
                    self.assertEqual(sent, dict(parameters, **own))


# --- 10 Command line ------------------------------------------------------------------


class Shown(io.StringIO):
    """What a user sees, who may do something about it: `react` gets each text."""

    def __init__(self, react):
        super().__init__()
        self.react = react

    def write(self, text):
        self.react(text)
        return super().write(text)


class CommandCase(LoginCase):
    """Commands for the fake server, by its issuer URL and by a name, as if it were
    Spotify."""

    def setUp(self):
        super().setUp()
        self.set_client("fake-app")
        os.environ["XDG_STATE_HOME"] = self.path("state")
        provider = self.server.provider("spotify")
        self.enter_context(mock.patch.dict(PROVIDERS, spotify=provider))
        # inside: not minutes
        self.enter_context(mock.patch("oauth2min.LOGIN_TIME", 10))
        self.servers = ("spotify", ""), (self.server.url, self.server.url + "/v1/")

    def set_client(self, client_id):
        """Puts a client into the environment."""
        secret = self.server.clients[client_id]["client_secret"] or ""
        for name in "SPOTIFY", "OAUTH2":
            os.environ[name + "_CLIENT_ID"] = client_id
            # As UTF-8, which the C locale of Python 3.6 cannot encode.
            os.environ[name + "_CLIENT_SECRET"] = os.fsdecode(secret.encode())

    def output_of_main(
        self, line, *more, status=0, stdout=None, stderr=None, react=len
    ):
        """What a command writes to stdout and to stderr; it has to end with this
        status. The line is split as a shell does it; what more there is, is an argument
        each."""
        out = stdout or io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n")
        err = stderr or Shown(react)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = oauth2min.main(shlex.split(line) + list(more))
            except SystemExit as error:  # argparse's way
                ended = error.code
        out.flush()
        out = "" if stdout else out.buffer.getvalue().decode()
        err = "" if stderr else err.getvalue()
        self.assertEqual(ended, status, err)
        for secret in self.secrets:
            self.assertNotIn(secret, err)
        return out, err

    def json_of_main(self, line, *more):
        """What a command writes that succeeds in silence, and writes JSON."""
        out, err = self.output_of_main(line, *more)
        self.assertEqual(err, "")
        return json.loads(out)

    def error_line_of(self, line, *more):
        """The one line that says why a command failed, and nothing besides."""
        out, err = self.output_of_main(line, *more, status=1)
        self.assertEqual(out, "")
        self.assertRegex(err, r"^oauth2min: .*\n\Z")
        self.assert_fit_to_show(err[:-1])
        return err[:-1]

    def stderr_of_browser_login(self, server, *options, browser=None, status=0):
        """Logs in at the browser that the command opens by itself; what was shown."""
        with self.machine_with_browser() as opened:
            opened.side_effect = browser or self.server.browser
            out, err = self.output_of_main("login", server, *options, status=status)
        self.assertEqual(out, "")
        self.assertEqual(opened.call_count, 1)
        return err

    def do_what_is_shown(self, text):
        """What a user does who reads an address, or a code."""
        for url in re.findall(r"\S+/authorize\?\S+", text):
            self.server.browser(url)
        for code in re.findall("[A-Z]{4}-[A-Z]{4}", text):
            with contextlib.suppress(KeyError):  # a trace shows it, too
                self.server.approve_device(code)

    def stored_records(self):
        """The records that were kept where nobody said otherwise, by their paths."""
        records = {}
        for folder, _, names in os.walk(self.path("state")):
            for name in names:
                if name.endswith(".json"):
                    path = os.path.join(folder, name)
                    records[path] = TokenFile(path).load()
        return records

    def start_script(self, *arguments):
        """The file run by another interpreter, with stdout and stderr apart."""
        python = [sys.executable, "-B", "-W", "error"]
        return self.start(
            [*python, *arguments],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


class CommandLineTest(CommandCase):
    """login, get, token, status, logout: what each of them does, and what it keeps where."""

    def test_without_a_login_get_and_token_act_for_the_program(self):
        for server, base_url in self.servers:
            with self.subTest(server):
                echo = self.json_of_main(
                    "get", server, base_url + "echo", "-p", "q=a b=ü"
                )
                self.assertEqual(echo["query"], {"q": "a b=ü"})
                self.assertIn("403", self.error_line_of("get", server, base_url + "me"))
                grant = {"grant_type": "client_credentials"}
                self.assertEqual(self.server.forms()[-1], grant)

    def test_after_a_login_they_act_for_the_user_until_the_logout(self):
        for server, base_url in self.servers:
            with self.subTest(server):
                options = "--scope", SCOPE, "-p", "login_hint=ada"
                shown = self.stderr_of_browser_login(server, *options)
                self.assertRegex(shown, r"(?s)/authorize\?.*\nLogged in\.\n{\n.*\n}\n$")
                requests = self.server.requests
                asked = [sent.query for sent in requests if sent.path == "/authorize"][
                    -1
                ]
                self.assertEqual(asked["scope"], SCOPE)
                self.assertEqual(asked["login_hint"], "ada")
                self.assertEqual(
                    self.json_of_main("get", server, base_url + "me")["id"], "ada"
                )
                shown = self.output_of_main("logout", server)
                self.assertEqual(shown, ("", "Revoked and forgotten.\n"))
                self.assertEqual(self.stored_records(), {})
                self.assertIn("403", self.error_line_of("get", server, base_url + "me"))
                self.output_of_main("logout", server)

    def test_a_login_need_not_open_a_browser(self):
        self.server.device_interval = 0.01
        for option, grant_type in (
            ("--no-browser", "authorization_code"),
            ("--device", DEVICE_CODE),
        ):
            with self.subTest(option), self.machine_with_browser() as opened:
                out, err = self.output_of_main(
                    "login spotify", option, react=self.do_what_is_shown
                )
                self.assertEqual(out, "")
                self.assertEqual(opened.call_count, 0)
                self.assertRegex(err, r"(?s)\nLogged in\.\n{\n.*\n}\n\Z")
                self.assertEqual(self.server.forms()[-1]["grant_type"], grant_type)
                self.assertEqual(self.json_of_main("get spotify me")["id"], "ada")

    def test_a_login_tells_what_it_did_or_that_nothing_was_needed(self):
        login = "login spotify --no-browser --scope", SCOPE
        for number in range(2):
            _, shown = self.output_of_main(*login, react=self.do_what_is_shown)
            facts = json.loads("{" + shown.partition("\n{")[2])
            self.assertEqual(facts, self.json_of_main("status spotify"))
            self.assertEqual(facts["scope"], SCOPE)
            is_needless = "An earlier login is still good" in shown
            self.assertEqual(is_needless, number == 1)
        self.assertEqual(self.requested_paths().count("/authorize"), 1)

    def test_a_login_replaces_the_token_of_another_grant(self):
        self.output_of_main("token spotify")
        before = self.stored_records()
        browser = self.server.denying_browser
        shown = self.stderr_of_browser_login("spotify", browser=browser, status=1)
        self.assertRegex(shown, r"\noauth2min: access_denied.*\n$")
        self.stderr_of_browser_login("spotify")
        after = self.stored_records()
        self.assertEqual(list(after), list(before))
        [record] = after.values()
        self.assertEqual(record["grant_type"], "authorization_code")

    def test_a_login_by_another_grant_does_not_replace_another_clients_token(self):
        self.server.device_interval = 0.01
        self.logged_in_client("fake-public", store=self.path())
        content = self.content_of()
        line = self.error_line_of("login spotify --device --store", self.path())
        self.assertIn("of this server, client and grant type", line.replace("_", " "))
        self.assertEqual(self.content_of(), content)
        self.assertEqual(self.server.forms("/device_authorization"), [])

    def test_a_public_client_has_no_secret(self):
        self.set_client("fake-public")
        self.assertIn("oauth2min login spotify", self.error_line_of("get spotify me"))
        self.stderr_of_browser_login("spotify")
        self.assertEqual(self.json_of_main("get spotify me")["id"], "ada")
        self.assertEqual(self.server.forms()[-1]["client_id"], "fake-public")

    def test_token_prints_the_token_alone_and_asks_for_none_if_one_is_stored(self):
        for _ in range(2):
            shown = self.output_of_main("token spotify")
            [record] = self.stored_records().values()
            self.assertEqual(shown, (record["token"]["access_token"] + "\n", ""))
        self.assert_token_requests(1)

    def test_token_renew_gets_a_new_one_from_the_server_and_keeps_it(self):
        self.logged_in_client("fake-app", store=self.path())
        store = "--store", self.path()
        for name, options, grant_type in (
            ("a user", store, "refresh_token"),
            ("the program", (), "client_credentials"),
        ):
            with self.subTest(name):
                old, _ = self.output_of_main("token spotify", *options)
                new, err = self.output_of_main("token spotify --renew", *options)
                self.assertNotEqual(new, old)
                self.assertEqual(err, "")
                self.assertEqual(self.server.forms()[-1]["grant_type"], grant_type)
                again, _ = self.output_of_main("token spotify", *options)
                self.assertEqual(again, new)

    def test_get_sends_other_methods_and_json(self):
        for options, method, body in (
            ("", "GET", ""),
            ("-X DELETE", "DELETE", ""),
            ("""--json '{"a": "ü"}'""", "POST", '{"a": "\\u00fc"}'),
            ("-X PUT --json [1]", "PUT", "[1]"),
        ):
            with self.subTest(options):
                echo = self.json_of_main("get spotify echo " + options)
                self.assertEqual(echo["method"], method)
                self.assertEqual(echo["body"], body)
                kind = "application/json" if body else None
                self.assertEqual(echo["content_type"], kind)

    def test_status_says_who_is_logged_in_and_how_and_asks_nobody(self):
        store = "--store", self.path()
        for client_id, grant_type in (
            ("fake-app", "authorization_code"),
            ("fake-public", DEVICE_CODE),
        ):
            with self.subTest(grant_type):
                self.set_client(client_id)
                client = self.logged_in_client(
                    client_id, store=self.path(), grant_type=grant_type
                )
                end = 1700000000
                client.token = client.token._replace(expires_at=end, scope="a b")
                sent = len(self.server.requests)
                self.assertEqual(
                    self.json_of_main("status spotify", *store),
                    {
                        "server": self.server.url,
                        "client_id": client_id,
                        "grant_type": grant_type,
                        "scope": "a b",
                        "until": time.ctime(end),
                        "renewable": True,
                        "store": self.path(),
                    },
                )
                self.assertEqual(len(self.server.requests), sent)
                os.unlink(self.path())

    def test_status_knows_what_the_server_left_out(self):
        client = self.client(
            grant_type="authorization_code", scope=SCOPE, store=self.path()
        )
        client.token = Token("a")
        found = self.json_of_main("status spotify --store", self.path())
        known = found["scope"], found["until"], found["renewable"]
        self.assertEqual(known, (SCOPE, None, False))

    def test_status_is_1_if_nobody_is_logged_in(self):
        line = "status spotify --store", self.path()
        self.assertIn("login spotify", self.error_line_of(*line))
        self.output_of_main("token spotify --store", self.path())  # the program's own
        self.assertIn("login spotify", self.error_line_of(*line))
        self.output_of_main("logout spotify --store", self.path())
        client = self.logged_in_client("fake-app", store=self.path())
        self.output_of_main(*line)
        expire_by_the_clock(client)
        self.output_of_main(*line)  # it can be renewed
        refused = client.token
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.error_line_of("token spotify --store", self.path())
        self.assertIn("login spotify", self.error_line_of(*line))
        client.token = refused._replace(refresh_token=None)
        self.assertIn("login spotify", self.error_line_of(*line))

    def test_status_of_a_login_that_ends_at_this_moment_is_1(self):
        self.logged_in_client("fake-app", store=self.path())
        load = TokenFile.load

        def load_and_remove(file):  # as a logout in another process
            record = load(file)
            file.save(None)
            return record

        with mock.patch.object(TokenFile, "load", load_and_remove):
            line = self.error_line_of("status spotify --store", self.path())
        self.assertIn("nobody is logged in", line)

    def test_no_parameter_is_lost(self):
        echo = self.json_of_main("get spotify echo?z=0 -p a=1 -p b= -p a=2")
        self.assertEqual(echo["target"], "/v1/echo?z=0&a=1&b=&a=2")

    def test_get_sends_headers(self):
        raw = self.start_raw_server([OK], [OK])
        self.client(store=self.path()).access_token()
        line = "get %s %s --store" % (self.server.url, raw.url), self.path()
        headers = "-H", "Client-Id: abc:d", "-H", "X-None:", "-H", "accept:text/plain"
        for options in (), ("--pages",):
            self.assertEqual(self.json_of_main(*line, *headers, *options), {})
        self.assertEqual(len(raw.heard), 2)
        for _, request in raw.heard:
            for field in b"Client-id: +abc:d", b"X-none: ", b"Accept: text/plain":
                self.assertRegex(request, b"\r\n%s\r\n" % field)

    def test_no_parameter_of_a_login_is_lost(self):
        parameters = "-p resource=https://a -p resource=https://b -p audience="
        sent = "resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&audience="

        def deny(text):
            for query in re.findall(r"/authorize\?(\S+)", text):
                asked = dict(urllib.parse.parse_qsl(query))
                answer = {"error": "access_denied", "state": asked["state"]}
                url = asked["redirect_uri"] + "?" + urllib.parse.urlencode(answer)
                threading.Thread(target=fetch, args=("GET", url), daemon=True).start()

        login = "login spotify --no-browser " + parameters
        _, shown = self.output_of_main(login, react=deny, status=1)
        self.assertIn("access_denied", shown)
        self.assertIn("&" + sent, shown)
        self.server.script("/device_authorization", 400, {"error": "invalid_target"})
        self.error_line_of("login spotify --device " + parameters)
        self.assertIn(sent, self.server.requests[-1].body.decode())

    def test_options_may_stand_anywhere_after_the_command(self):
        for line in (
            "get -p a=1 spotify echo",
            "get spotify -p a=1 echo",
            "get spotify echo -p a=1",
        ):
            with self.subTest(line):
                self.assertEqual(self.json_of_main(line)["query"], {"a": "1"})

    def test_a_logout_tells_how_it_ended(self):
        self.assertIn("did not confirm", self.stderr_of_logout())
        self.client(store=self.path()).access_token()
        self.assertIn("Revoked and forgotten.", self.stderr_of_logout())
        self.client(store=self.path()).access_token()
        self.server.script("/revoke", 503)
        self.assertIn("did not confirm", self.stderr_of_logout())

    def stderr_of_logout(self):
        """One line; the file has to be gone."""
        out, err = self.output_of_main("logout spotify --store", self.path())
        self.assertEqual(out, "")
        self.assertEqual(err.count("\n"), 1)
        self.assertFalse(os.path.exists(self.path()))
        return err

    def test_tokens_are_kept_under_the_state_folder_for_each_server_and_client(self):
        self.addCleanup(os.umask, os.umask(0))
        self.server.clients["another"] = self.server.clients["fake-app"]
        for server in "spotify", self.server.url, self.start_server().url:
            self.set_client("fake-app")
            self.output_of_main("token", server)
        self.set_client("another")
        self.output_of_main("token spotify")
        self.assertEqual(len(self.stored_records()), 4)
        for path in self.stored_records():
            folder = os.path.dirname(path)
            self.assertEqual(folder, self.path(os.path.join("state", "oauth2min")))
            if os.name == "posix":
                paths = path, folder, self.path("state")
                modes = [stat.S_IMODE(os.stat(one).st_mode) for one in paths]
                self.assertEqual(modes, [0o600, 0o700, 0o700])

    def test_where_the_state_folder_is(self):
        xdg = self.path("xdg")
        local = self.path("local")
        for state_home, local_app_data, folder in (
            (xdg, local, xdg),
            ("", local, local),
            (None, None, self.path(".local/state")),
        ):
            for name, value in (
                ("XDG_STATE_HOME", state_home),
                ("LOCALAPPDATA", local_app_data),
            ):
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            os.environ.update(HOME=self.folder, USERPROFILE=self.folder)
            with self.subTest(folder):
                self.output_of_main("token spotify")
                names = os.listdir(os.path.join(folder, "oauth2min"))
                self.assertEqual(len(names), 2)  # the token, and the lock

    def test_a_client_id_of_any_length_has_a_file(self):
        for client_id in "x" * 321, "\xfc" * 321:
            self.server.clients[client_id] = self.server.clients["fake-app"]
            os.environ["SPOTIFY_CLIENT_ID"] = os.fsdecode(client_id.encode())
            for _ in range(2):
                self.output_of_main("token spotify")
            self.assertEqual(len(self.server.forms()), 1)
            del self.server.requests[:]

    def test_store_names_another_file(self):
        for _ in range(2):
            self.output_of_main("token spotify --store", self.path())
        self.assertEqual(self.stored_records(), {})
        self.assert_token_requests(1)
        self.assertTrue(os.path.exists(self.path()))

    @needs_proc
    def test_a_token_that_cannot_be_saved_is_a_line_and_the_result_comes_as_well(self):
        warnings.simplefilter("always", RuntimeWarning)
        path = "/proc/oauth2min-token.json"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            out, _ = self.output_of_main("get spotify echo --store", path)
        self.assertEqual(json.loads(out)["authorization"], "Bearer")
        self.assertRegex(str(caught[-1].message), "cannot .*" + path)

    def test_it_runs_as_a_script_and_as_a_module(self):
        del os.environ["SPOTIFY_CLIENT_ID"]
        module = "-m", "oauth2min"
        for command, status, stdout, stderr in (
            (("oauth2min.py", "token"), 2, "", "^usage: "),
            ((*module, "token", "spotify"), 1, "", "^oauth2min: set SPOTIFY_.*\n$"),
        ):
            process = self.start_script(*command)
            with self.subTest(command):
                out, err = process.communicate()
                self.assertEqual(process.returncode, status)
                self.assertEqual(out, stdout)
                self.assertRegex(err, stderr)

    def test_messages_name_the_program_as_it_was_called(self):
        os.environ["SPOTIFY_CLIENT_SECRET"] = ""
        script = os.path.join(os.curdir, "oauth2min.py")
        installed = "-c", "import sys, oauth2min; sys.exit(oauth2min.main())"
        for call, name in (
            ((script,), "python3 " + script),
            (("-m", "oauth2min"), "python3 " + os.path.abspath(script)),
            (installed, "oauth2min"),
        ):
            with self.subTest(name):
                processes = [
                    self.start_script(*call, *arguments)
                    for arguments in (("token", "spotify"), ("token",), ("--help",))
                ]
                told = ["".join(process.communicate()) for process in processes]
                self.assertIn(": %s login spotify, or" % name, told[0])
                self.assertRegex(told[1], "; see %s --help\n$" % re.escape(name))
                for usage in told[1:]:
                    self.assertTrue(usage.startswith("usage: %s COMMAND" % name))

    @needs_posix
    def test_arguments_and_environment_are_utf_8_whatever_the_locale(self):
        # Python 3.6 takes the C locale at its word; later ones do so if they are told to.
        os.environ.update(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
        self.assertIn("ü".encode(), os.fsencode(os.environ["SPOTIFY_CLIENT_SECRET"]))
        url = self.server.url
        get = "oauth2min.py", "get", url, url + "/v1/echo", "-p", os.fsdecode("q=€".encode())
        process = self.start_script(*get)
        out, err = process.communicate()
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(json.loads(out)["query"], {"q": "€"})


class CommandOutputTest(CommandCase):
    """Results go to stdout, and all that is for people to stderr; nothing that a server
    sends, and nothing that stdout or stderr cannot do, spoils the results."""

    def written_to_terminal(self, stream, *arguments):
        """What a command shows whose stdout, or stderr, is a terminal; its other
        output."""
        master, slave = os.openpty()
        with open(master, "rb", 0) as far:
            with open(slave, "w") as near:
                output = self.output_of_main(*arguments, **{stream: near})
            parts = []
            with contextlib.suppress(OSError):  # the end, on Linux
                parts.extend(iter(lambda: far.read(4096).decode(), ""))
        return "".join(parts).replace("\r\n", "\n"), "".join(output)

    def test_pages_are_a_compact_line_each(self):
        out, err = self.output_of_main("get spotify %s -p limit=10 --pages" % ALBUMS)
        pages = [json.loads(line) for line in out.splitlines()]
        sizes = [len(page["items"]) for page in pages]
        self.assertEqual(sizes, [10, 10, 7])
        lines = [json.dumps(page) + "\n" for page in pages]
        self.assertEqual(out, "".join(lines))
        self.assertEqual(err, "")

    @needs_terminals
    def test_on_a_terminal_an_answer_is_indented_and_a_page_is_a_line(self):
        shown, _ = self.written_to_terminal("stdout", "get spotify echo")
        echo = json.loads(shown)
        self.assertEqual(shown, json.dumps(echo, indent=2) + "\n")
        shown, _ = self.written_to_terminal("stdout", "get spotify echo --pages")
        self.assertEqual(shown, json.dumps(json.loads(shown)) + "\n")

    def output_in_encoding(self, encoding, line):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
        self.output_of_main(line, stdout=stdout)
        return stdout.buffer.getvalue()

    def test_whatever_stdout_can_encode_the_json_of_pages_is_right(self):
        for encoding in "utf-8", "ascii", "latin-1", "cp1252":
            for text in "Zoë", "日本 \U0001f600", "\ud83d alone":
                with self.subTest(encoding=encoding, text=ascii(text)):
                    self.server.script("/v1/echo", 200, {"name": text})
                    line = "get spotify echo --pages"
                    shown = self.output_in_encoding(encoding, line)
                    found = json.loads(shown.decode(encoding))
                    self.assertEqual(found, {"name": text})
                    self.assertTrue(shown[:-1].decode("ascii").isprintable())

    def test_an_answer_is_written_byte_for_byte(self):
        bodies = [
            b"two\nlines",
            b"",
            "Zoë €".encode(),
            b"\x1b[31m\xff\x00",
            b"[" * 99999,
            '{ "name":\r\n "Zoë €", "size": 1.0e2, "name": null }\n'.encode(),
            '"in UTF-16"'.encode("utf-16"),
            b"null",
        ]
        for body in bodies:
            for encoding in "utf-8", "ascii":
                with self.subTest(body=body[:20], encoding=encoding):
                    self.server.script("/v1/echo", 200, body)
                    shown = self.output_in_encoding(encoding, "get spotify echo")
                    self.assertEqual(shown, body)

    @needs_terminals
    def test_nothing_in_an_answer_can_steer_a_terminal(self):
        text = "a\x1b[31m\x9b\u202eZoë\r\n\tb"
        for body in text, json.dumps({"name": text}, ensure_ascii=False), "null":
            self.server.script("/v1/echo", 200, body)
            shown, _ = self.written_to_terminal("stdout", "get spotify echo")
            self.assertNotRegex(shown, "[^\n -~]")
        self.assertEqual(shown, "null\n")

    def test_a_trace_goes_to_stderr_and_holds_no_secret(self):
        self.server.device_interval = 0.01
        for option in "--no-browser", "--device":
            with self.subTest(option):
                self.check_trace_of_session(option)

    def check_trace_of_session(self, option):
        out, trace = self.output_of_main(
            "login spotify --trace --scope", SCOPE, option, react=self.do_what_is_shown
        )
        self.assertEqual(out, "")
        [record] = self.stored_records().values()
        token = record["token"]
        forms = [{**request.query, **request.form} for request in self.server.requests]
        out, err = self.output_of_main("get spotify me --trace")
        self.assertEqual(json.loads(out)["id"], "ada")
        trace += err
        out, err = self.output_of_main("token spotify --trace")
        self.assertEqual(out, token["access_token"] + "\n")
        trace += err
        out, err = self.output_of_main("logout spotify --trace")
        self.assertEqual(out, "")
        trace += err
        for part in "POST %s/token\n", "GET %s/v1/me\n", "POST %s/revoke\n":
            self.assertIn(part % self.server.url, trace)
        self.assertIn("\n<-- 200 OK\n", trace)
        # The user has to see this one whole.
        trace = re.sub(r"\S+/authorize\?\S+", "", trace)
        names = "code", "state", "code_verifier", "device_code"
        secrets = [form[name] for form in forms for name in names if name in form]
        self.assertNotEqual(secrets, [])
        for secret in (
            *secrets,
            TraceTest.BASIC,
            token["access_token"],
            token["refresh_token"],
        ):
            self.assertNotIn(secret, trace)

    def test_help_and_usage_fit_a_terminal_of_80_columns(self):
        shown, _ = self.output_of_main("--help")
        with self.captured_stderr() as usage:
            for command in "login", "get", "token", "status", "logout":
                self.assertEqual(oauth2min.main([command]), 2)
        for line in (shown + usage.getvalue()).splitlines():
            self.assertLessEqual(len(line), 80, line)
        for option in "--scope=S", "-p KEY=VALUE", "--json=JSON":
            self.assertIn(option, usage.getvalue())

    def test_the_help_is_a_result(self):
        texts_in_help = [
            ("", ["login", "get", "token", "status", "logout"]),
            ("login", ["--device", *PROVIDERS]),
            ("get", ["--pages"]),
            ("token", ["--scope"]),
            ("status", ["--store"]),
            ("logout", ["--store"]),
        ]
        for command, texts in texts_in_help:
            out, err = self.output_of_main(command + " --help")
            for text in texts + ["SPOTIFY_CLIENT_ID"]:
                self.assertIn(text, out)
            self.assertEqual(err, "")

    def test_a_closed_stdout_is_no_reason_to_fail_where_there_is_no_result(self):
        with contextlib.redirect_stdout(None), self.captured_stderr():
            self.assertEqual(oauth2min.main(["logout", "spotify"]), 0)

    def test_if_stderr_is_closed_stdout_has_the_results_alone(self):
        with self.machine_with_browser() as opened:
            opened.side_effect = self.server.browser
            commands = [
                ("get spotify nothing", 1, 0),
                ("get spotify echo --trace", 0, 1),
                ("get spotify %s -p limit=10 --pages" % ALBUMS, 0, 3),
                ("login spotify", 0, 0),
                ("logout spotify", 0, 0),
            ]
            for line, status, lines in commands:
                out = io.TextIOWrapper(io.BytesIO())
                with self.subTest(line), contextlib.redirect_stdout(out):
                    with contextlib.redirect_stderr(None):
                        self.assertEqual(oauth2min.main(line.split()), status)
                    shown = out.buffer.getvalue()
                    self.assertEqual(len(shown.splitlines()), lines)

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self):
        enough = threading.Event()

        def second_page(connection, request):
            enough.wait(PATIENCE)
            connection.sendall(OK)

        first_page = OK.replace(b"2\r\n\r\n{}", b'13\r\n\r\n{"next":"/2"}')
        raw = self.start_raw_server([first_page, second_page])
        self.client(store=self.path()).access_token()
        options = "--pages", "--store", self.path()
        get = "oauth2min.py", "get", self.server.url, raw.url
        process = self.start_script(*get, *options)
        self.assertEqual(process.stdout.readline(), '{"next": "/2"}\n')
        process.stdout.close()  # as `| head -1` does
        enough.set()
        self.assertEqual(process.stderr.read(), "")
        self.assertEqual(process.wait(), 1)

    @needs_posix
    def test_ctrl_c_is_130_without_a_traceback(self):
        code = """
            import signal, warnings, oauth2min
            # Where it is ignored, a child would inherit that.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            warnings.simplefilter("ignore", ResourceWarning)  # of a connection in use
            sys.exit(oauth2min.main(sys.argv[1:]))
            """
        asked = threading.Event()
        over = threading.Event()

        def never_answer(connection, request):
            asked.set()
            over.wait(2 * PATIENCE)

        raw = self.start_raw_server([never_answer])
        self.addCleanup(over.set)
        self.client(store=self.path()).access_token()
        options = "--store", self.path()
        url = self.server.url
        slow = self.start_python(code, "get", url, raw.url, *options)
        login = self.start_python(code, "login", url, "--no-browser")
        self.wait_for_line(login, "authorize")
        self.assertTrue(asked.wait(PATIENCE))
        # Where nothing can be pasted, a login names the two halves.
        halves = r"\n.* authorization_request\(\) and exchange\(\)\.\n"
        for process, said in (slow, ""), (login, halves):
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            self.assertRegex(process.stdout.read(), r"\A%s\Z" % said)
            self.assertEqual(process.wait(), 130)
            # Without the signal it would wait for twice as long.
            self.assertLess(time.monotonic() - started, PATIENCE)


class CommandErrorTest(CommandCase):
    """Status 2 for a wrong command line, with the usage; 1 and one line for all
    else."""

    def test_a_wrong_command_line_is_2_and_says_so(self):
        wrong_lines = [
            "",
            "login",
            "get spotify",
            "dance spotify",
            "token spotify tracks",
            "login spotify tracks",
            "login spotify --pages",
            "token spotify -p a=b",
            "logout spotify --scope a",
            "get spotify echo --device",
            "get spotify echo another",
            "get spotify echo --colour",
            "get spotify echo -p a",
            "get spotify echo --json {a}",
            "get spotify echo --json ''",
            "get spotify echo -H a=b",
            "token spotify -H a:b",
            "token spotfy",
            "token auth.example",
            "token http://auth.example",
            "get spotify echo --store",
        ]
        for line in wrong_lines:
            with self.subTest(line):
                out, err = self.output_of_main(line, status=2)
                self.assertEqual(out, "")
                self.assertRegex(err, "^usage:")
        self.assertEqual(self.server.requests, [])

    def test_what_is_missing_in_the_environment_is_named(self):
        for server, name in (
            ("spotify", "SPOTIFY"),
            ("x-app", "X_APP"),
            (self.server.url, "OAUTH2"),
        ):
            names = r"\b%s_CLIENT_ID\b.*\b%s_CLIENT_SECRET\b" % (name, name)
            with self.subTest(server):
                os.environ.pop(name + "_CLIENT_ID", None)
                self.assertRegex(self.error_line_of("token", server), names)
                os.environ[name + "_CLIENT_ID"] = ""
                self.assertRegex(self.error_line_of("token", server), names)
        self.assertEqual(self.server.requests, [])

    def test_without_a_login_and_a_secret_both_ways_on_are_named(self):
        os.environ.update(SPOTIFY_CLIENT_ID="fake-public", SPOTIFY_SECRET="misspelt")
        del os.environ["SPOTIFY_CLIENT_SECRET"]
        line = self.error_line_of("get spotify me")
        self.assertRegex(line, ": oauth2min login spotify, or set SPOTIFY_CLIENT_SECRET$")
        self.assertEqual(self.server.requests, [])

    def test_an_unknown_server_comes_before_what_is_missing(self):
        del os.environ["SPOTIFY_CLIENT_ID"]
        _, err = self.output_of_main("token spotfy", status=2)
        self.assertNotIn("CLIENT_ID", err)
        for name in PROVIDERS:
            self.assertIn(name, err)

    def test_an_expired_login_says_what_to_run(self):
        for server, _ in self.servers:
            client = self.logged_in_client("fake-app", store=self.path())
            expire_by_the_clock(client)
            self.server.script("/token", 400, {"error": "invalid_grant"})
            line = self.error_line_of("token", server, "--store", self.path())
            self.assertIn("oauth2min login " + server, line)
            self.assertNotIn("login()", line)

    def test_the_program_asks_anew_if_its_token_has_less_scope(self):
        read, follow = SCOPE.split()
        for scope, number in (read, 1), (read, 1), (SCOPE, 2), (follow, 2):
            shown, _ = self.output_of_main("token spotify --scope", scope)
            self.assert_token_requests(number)
        [record] = self.stored_records().values()
        self.assertEqual(record["token"]["scope"], SCOPE)
        self.assertEqual(record["token"]["access_token"] + "\n", shown)

    def test_a_login_with_less_scope_says_which_login_to_do(self):
        store = self.path("a store")
        read, follow = SCOPE.split()
        login = "login spotify --no-browser --store", store, "--scope", read
        self.output_of_main(*login, react=self.do_what_is_shown)
        sent = len(self.server.requests)
        for line in "get spotify me", "token spotify", "token spotify --renew":
            told = self.error_line_of(line, "--store", store, "--scope", SCOPE)
            advice = shlex.split(told.rpartition(": oauth2min ")[2])
            self.assertEqual(advice, ["login", "spotify", "--scope", SCOPE])
        self.assertEqual(len(self.server.requests), sent)
        get = "get spotify me --store", store, "--scope"
        self.assertEqual(self.json_of_main(*get, read)["id"], "ada")
        advice = " ".join(map(shlex.quote, advice))
        options = "--no-browser", "--store", store
        self.output_of_main(advice, *options, react=self.do_what_is_shown)
        self.assertEqual(self.json_of_main(*get, follow + " " + read)["id"], "ada")

    def test_a_mistake_is_one_line(self):
        nobody = self.url_nobody_listens_at()
        port = nobody.rpartition(":")[2]
        names = {"nobody": nobody, "url": self.server.url, "albums": ALBUMS}
        mistakes = [
            ("get {nobody} {nobody}/x", "no answer"),
            ("get {url}/nobody {url}", "no metadata"),
            ("get {url} echo", "relative"),
            ("get spotify {nobody}/x", "not for"),
            ("get spotify file:///etc/passwd", "no web address"),
            ("get spotify nothing", "404"),
            ("get spotify {albums} -p limit=x", "400.*Invalid limit"),
            ("token spotify --scope 'a\"b'", "scope"),
            ("get spotify echo -H 'Host: a'", "only the client sets it"),
            ("get spotify echo -H 'a b: c'", "HTTP does not allow"),
            ("get spotify echo -H 'a: \u20ac'", "HTTP does not allow"),
            ("get spotify echo -H 'a: \n'", "HTTP does not allow"),
            ("login spotify --redirect-uri callback", "redirect_uri"),
            ("login spotify --redirect-uri {nobody}", port),
            ("login spotify -p state=1", "state"),
            ("login spotify -p timeout=1", "timeout"),
        ]
        for line, says in mistakes:
            with self.subTest(line):
                self.assertRegex(self.error_line_of(line.format(**names)), says)

    def test_what_the_system_says_of_a_file_is_told(self):
        # As Windows says it of much, such as a reader of stdout that has gone.
        odd = OSError(errno.EINVAL, "Invalid argument", "token?.json")
        with mock.patch("os.path.realpath", side_effect=odd):
            self.assertIn("token?.json", self.error_line_of("token spotify"))

    def test_trouble_with_a_server_is_one_line(self):
        nowhere = {"Location": "http://["}
        rows = [
            Row(answer=dict(status=429), says="try again in 1 seconds"),
            Row(answer=dict(raw=b"x", close=True), says="broke off"),
            Row(
                answer=dict(status=302, body="", headers=nowhere), says="leads nowhere"
            ),
            Row(answer=dict(body="<html>"), says=".", options="--pages"),
            Row(answer=dict(body="[" * 100000), says=".", options="--pages"),
        ]
        for row in rows:
            with self.subTest(row.says):
                self.server.script("/v1/echo", **row.answer)
                line = "get spotify echo " + getattr(row, "options", "")
                self.assertRegex(self.error_line_of(line), row.says)

    def test_trouble_with_a_token_is_one_line(self):
        new = self.path("new")
        self.server.script("/token", 500)
        self.assertIn("500", self.error_line_of("get spotify echo --store", new))
        os.environ["SPOTIFY_CLIENT_SECRET"] = HUSH
        line = self.error_line_of("get spotify echo --store", new)
        self.assertIn("invalid_client", line)

    def test_trouble_with_a_store_is_one_line(self):
        self.client(store=self.path("mine")).access_token()
        self.write("damaged", b"{")
        self.write("null", b"null")
        self.write("none of ours", b'{"a": 1}')
        troubles = [
            ("get spotify echo", "damaged", "damaged"),
            ("login spotify", "null", "damaged"),
            ("get spotify echo", "none of ours", "holds no"),
            ("token spotify", "", "no path of a file"),
            ("token https://as.example", "mine", "of this server"),
            ("login https://as.example", "mine", "of this server"),
        ]
        if os.name == "posix":  # on Windows, what is below a file is not there
            troubles.append(("get spotify echo", "mine/x", "make .* readable"))
        for line, name, says in troubles:
            with self.subTest(line, name=name):
                self.assertRegex(
                    self.error_line_of(line, "--store", self.path(name)), says
                )

    def test_a_python_without_ssl_is_an_error_of_one_line_too(self):
        with mock.patch.dict(sys.modules, ssl=None, _ssl=None):
            self.assertIn("ssl", self.error_line_of("token https://127.0.0.1:1"))
