"""Tests of oauth2min, in the order of its sections: `python3 -m unittest`, without a network.

Wherever a real server on 127.0.0.1 can answer, one does: examples/fake_server.py, which is
stricter than most. The name of a test is the rule that it holds the file to.
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
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import tracemalloc
import types
import unittest
import urllib.parse
import urllib.request
import warnings
import webbrowser
import zlib
from concurrent.futures import ThreadPoolExecutor
from unittest import mock
from urllib.error import URLError

try:
    import ssl
except ImportError:
    ssl = None

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "examples")]

import oauth2min
from fake_server import FakeServer, fetch
from oauth2min import (PROVIDERS, AuthorizationError, AuthorizationRequest, Client, LoginRequired,
                       OAuth2Error, RateLimited, ResponseError, StoreError, Token, TokenError,
                       TokenFile, UnsafeURL, discover)

SCOPE = "user-library-read user-follow-read"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
FORM = "application/x-www-form-urlencoded"
HUSH = "h-u-s-h"        # stands for whatever no message may repeat
HOSTILE = "<script>alert(1)</script>\r\n\x1b[31m\x00\u202e" + "x" * 10000
TOKEN = {"access_token": "scripted", "token_type": "Bearer", "expires_in": 3600}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REDIRECTS = 301, 302, 303, 307, 308

# Made for these tests and good for nothing else: "localhost" and 127.0.0.1, and its own CA.
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

def setUpModule():
    getattr(gc, "freeze", gc.collect)()     # makes the many gc.collect() to come cheap


# --- Helpers ---------------------------------------------------------------------------------

def query_of(url):
    """The parameters of an address; one that is there twice is an error."""
    pairs = urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, True, True)
    if len(dict(pairs)) < len(pairs):
        raise AssertionError("a parameter is there twice: " + url)
    return dict(pairs)

def changed(url, **parameters):
    """The address with other parameters; None takes one out."""
    fields = {**query_of(url), **parameters}
    fields = {name: value for name, value in fields.items() if value is not None}
    return url.partition("?")[0] + "?" + urllib.parse.urlencode(fields)

def redirect_uri(url):
    return urllib.parse.urlsplit(query_of(url)["redirect_uri"])

def at(moment):
    """A clock that has stopped."""
    return mock.patch("time.time", return_value=moment)

def aged(token):
    """The same token, expired by the clock; the server would still take it."""
    return token._replace(expires_at=time.time() - 1)

def together(function, number=64):
    """What `function` returns, or raises, in so many threads that start at the same moment."""
    barrier, results = threading.Barrier(number), []

    def run():
        barrier.wait(10)
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results

def each(function, items):
    """What map() gives, but all at once."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(function, items))

def talk(address, data, timeout=3):
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

class Store:
    """A store of somebody else's making; `wrong` tells when it was used outside of its lock. The
    lock is not one that can be taken twice, as that of a database is not."""

    def __init__(self):
        self.record, self.used, self.broken, self.wrong = None, [], False, []
        self.mutex, self.owner = threading.Lock(), None

    def check(self, use):
        self.used.append(use)
        if self.owner != threading.get_ident():
            self.wrong.append(use)

    def load(self):
        self.check("load")
        return self.record

    def save(self, record):
        self.check("save")
        if self.broken:
            raise OSError(28, "No space left on device")
        self.record = json.loads(json.dumps(record))

    @contextlib.contextmanager
    def lock(self):
        if self.owner == threading.get_ident():
            raise AssertionError("lock() was called by its holder, which would wait for ever")
        with self.mutex:
            self.owner = threading.get_ident()
            try:
                yield
            finally:
                self.owner = None

class Raw:
    """A server that plays a list of answers for each connection, and then hangs up.

    An answer is bytes, sent after a request was read, or a function of the socket and the request.
    `heard` holds (number of the connection, request) pairs; `left` is set when a client hangs up.
    """

    def __init__(self, *connections):
        self.connections, self.accepted, self.heard, self.threads = connections, 0, [], []
        self.left, self.closing = threading.Event(), False
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.start(self.accept)

    def start(self, function, *arguments):
        self.threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while True:
            connection = self.socket.accept()[0]
            if self.closing:
                return connection.close()
            answers = self.connections[self.accepted:self.accepted + 1]
            self.accepted += 1
            self.start(self.play, self.accepted - 1, connection, *answers)

    def play(self, number, connection, answers=()):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            for answer in answers:
                request = line = file.readline()
                while line not in (b"\r\n", b""):
                    line = file.readline()
                    request += line
                if not request:
                    return self.left.set()
                size = re.search(rb"(?im)^content-length: *(\d+)", request)
                request += file.read(int(size.group(1))) if size else b""
                self.heard.append((number, request))
                if callable(answer):
                    answer(connection, request)
                else:
                    connection.sendall(answer)

    def close(self):
        self.closing = True
        socket.create_connection(self.socket.getsockname()).close()
        for thread in self.threads:
            thread.join(10)
        self.socket.close()

class Case(unittest.TestCase):
    """An empty folder, and an environment without surprises. Afterwards nothing may be left open
    for the garbage collector, and no warning that nobody expected."""

    maxDiff = None

    def setUp(self):
        warned = self.enter(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", ResourceWarning)
        self.addCleanup(self.look, warned)
        names = r".*_proxy|SSH_.*|DISPLAY|WAYLAND_DISPLAY|BROWSER|WSL.*|SSL_CERT_\w+"
        environ = {name: value for name, value in os.environ.items()
                   if not re.fullmatch(names, name, re.I)}
        self.enter(mock.patch.dict(os.environ, environ, clear=True))
        self.folder = os.path.realpath(self.enter(tempfile.TemporaryDirectory()))
        self.secrets = [HUSH, "fake secret", "fake%20secret"]   # no error may hold one

    def look(self, warned):
        gc.collect()
        self.assertEqual([str(warning.message) for warning in warned], [])

    def enter(self, manager):
        """Like enterContext of Python 3.11."""
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def path(self, name="token.json"):
        return os.path.join(self.folder, name)

    def read(self, name="token.json"):
        with open(self.path(name), "rb") as file:
            return file.read()

    def quiet(self):
        """Catches stderr, where a login speaks to the user."""
        return contextlib.redirect_stderr(io.StringIO())

    def assert_fit_to_show(self, text):
        self.assertTrue(text.isprintable(), ascii(text))
        self.assertLess(len(text), 1000)
        for secret in self.secrets:
            self.assertNotIn(secret, text)

    def refused(self, kind, call, *arguments, **named):
        """The error, of just this kind, after a look at what all of them promise."""
        with self.assertRaises(kind) as caught:
            call(*arguments, **named)
        error = caught.exception
        self.assertIs(type(error), kind)
        self.assert_fit_to_show(str(error))
        shown = "".join(traceback.format_exception(kind, error, None)) + repr((error, vars(error)))
        for secret in self.secrets:
            self.assertNotIn(secret, shown)
        return error

    def process(self, code, *arguments, shell=(), stdin=subprocess.PIPE, **settings):
        """Another interpreter that has the standard library, oauth2min.py and no home directory;
        its stdout and stderr are one."""
        code = "import sys\nsys.path.insert(0, %r)\n%s" % (HERE, textwrap.dedent(code))
        environ = {name: value for name, value in os.environ.items() if name != "HOME"}
        process = self.enter(subprocess.Popen(
            [*shell, sys.executable, "-B", "-I", "-S", "-W", "error", "-c", code, *arguments],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ,
            universal_newlines=True, **settings))
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(process.kill)
        return process

    def output(self, code, *arguments):
        return self.process(code, *arguments).communicate()[0]

    def said(self, process, text):
        """Waits for the line of its output that holds this; returns the line."""
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
        self.server = self.another()

    def another(self, **settings):
        server = FakeServer(**settings).start()
        self.addCleanup(threading.Thread(target=server.close).start)    # it takes its 20 ms
        self.addCleanup(lambda: self.assertEqual(server.unasked(), []))
        return server

    def secure(self):
        """A server with TLS, and a context that trusts it."""
        with open(self.path("tls.pem"), "w") as file:
            file.write(TLS_PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("tls.pem"))
        return (self.another(context=context),
                ssl.create_default_context(cafile=self.path("tls.pem")))

    def raw(self, *connections):
        raw = Raw(*connections)
        self.addCleanup(raw.close)
        return raw

    def played(self, *connections):
        """The same, and a client of it that has its token."""
        raw = self.raw(*connections)
        return raw, self.hushed(base_url=raw.url)

    def deaf(self):
        """An address where nobody listens, and nobody will."""
        listener = self.enter(socket.socket())
        listener.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % listener.getsockname()[1]

    def client(self, client_id="fake-app", metadata=(), server=None, **settings):
        """A client of the fake server. `metadata` changes what it knows of that server, None takes
        a key away; `server` is another one."""
        settings.setdefault("client_secret", self.server.clients[client_id]["client_secret"])
        if server is None:
            server = dict(self.server.metadata, **dict(metadata))
            if client_id == "fake-post":
                server["token_endpoint_auth_method"] = "client_secret_post"
            server = {name: value for name, value in server.items() if value is not None}
        return self.enter(Client(server, client_id, **settings))

    def stranger(self, client_id="fake-public", **settings):
        """A client whose user has not logged in."""
        settings = {"grant_type": "authorization_code", "scope": SCOPE, **settings}
        return self.client(client_id, **settings)

    def user(self, client_id="fake-public", **settings):
        """A client whose user has logged in."""
        client = self.stranger(client_id, **settings)
        asked = client.authorization_request()
        client.exchange(asked, self.server.approve(asked.url))
        return client

    def hushed(self, **settings):
        """A client that need not ask for its token."""
        client = self.client(**settings)
        client.token = Token(HUSH)
        return client

    def paths(self):
        return [request.path for request in self.server.requests]

    def sent(self):
        """How often the token endpoint was asked."""
        return len(self.server.forms())


# --- The file --------------------------------------------------------------------------------

class FileTest(Case):
    SOURCE = inspect.getsource(oauth2min)

    def test_it_has_at_most_1507_lines_of_at_most_99_columns(self):
        lines = self.SOURCE.splitlines()
        self.assertLessEqual(len(lines), 1507)
        self.assertEqual([number for number, line in enumerate(lines, 1) if len(line) > 99], [])

    def test_the_banners_are_those_of_the_design_in_its_order(self):
        banners = re.findall("(?m)^# -+ (?:The )?(.+?) -+$", self.SOURCE)
        names = [banner.partition(":")[0].capitalize() for banner in banners]
        self.assertEqual([name for name, before in zip(names, [""] + names) if name != before],
                         ["Errors", "Token", "Token file", "Client", "Authorization request",
                          "Loopback", "Token endpoint", "Http", "Servers", "Command line"])

    def test_the_public_names_are_those_of_the_design(self):
        self.assertEqual(sorted(oauth2min.__all__), sorted([
            "Client", "Token", "TokenFile", "Response", "AuthorizationRequest", "discover",
            "PROVIDERS", "main", "OAuth2Error", "AuthorizationError", "TokenError",
            "LoginRequired", "ResponseError", "RateLimited", "StoreError", "UnsafeURL"]))
        self.assertEqual([name for name in oauth2min.__all__ if not hasattr(oauth2min, name)], [])

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
        self.assertEqual(self.output("""
            import importlib.util
            sys.path.pop(0)
            print([name for name in sys.argv[1:] if not importlib.util.find_spec(name)])
            """, *sorted(names - {"msvcrt"})), "[]\n")

    def test_importing_it_loads_nothing_that_only_a_login_or_the_command_line_needs(self):
        self.assertEqual(self.output("""
            import oauth2min
            late = {"http.server", "webbrowser", "argparse", "html", "secrets", "fcntl"}
            print(late & set(sys.modules))
            """), "set()\n")

    def test_importing_works_without_a_home_and_what_a_small_python_lacks(self):
        self.assertEqual(self.output("""
            for name in "ssl _ssl fcntl msvcrt webbrowser readline".split():
                sys.modules[name] = None
            import oauth2min
            """), "")

    def test_what_needs_a_missing_module_says_so_when_it_is_called(self):
        self.assertEqual(self.output("""
            for name in "ssl _ssl fcntl msvcrt".split():
                sys.modules[name] = None
            from oauth2min import Client, TokenFile
            try:
                Client({"token_endpoint": "https://127.0.0.1/token"}, "i", "s").access_token()
            except Exception as error:
                print("ssl" in str(error).lower())
            try:
                with TokenFile(sys.argv[1]).lock():
                    pass
            except RuntimeWarning as warning:
                print(sys.argv[1] in str(warning))
            """, self.path()), "True\nTrue\n")


# --- Errors ----------------------------------------------------------------------------------

class ErrorTest(ServerCase):
    def test_they_descend_as_the_design_says(self):
        for name, base in (("OAuth2Error", "Exception"), ("AuthorizationError", "OAuth2Error"),
                           ("TokenError", "OAuth2Error"), ("LoginRequired", "OAuth2Error"),
                           ("ResponseError", "OAuth2Error"), ("RateLimited", "ResponseError"),
                           ("StoreError", "OAuth2Error"), ("UnsafeURL", "OAuth2Error")):
            self.assertEqual(getattr(oauth2min, name).__bases__[0].__name__, base)
        self.assertTrue(issubclass(UnsafeURL, ValueError))

    def test_they_can_be_pickled_with_what_they_know(self):
        for kind, call in ((TokenError, self.client(client_secret="wrong").access_token),
                           (LoginRequired, self.stranger().access_token),
                           (OAuth2Error, lambda: discover(self.server.url + "/nobody"))):
            with self.subTest(kind.__name__):
                error = self.refused(kind, call)
                copy = pickle.loads(pickle.dumps(error))
                self.assertEqual((type(copy), str(copy), vars(copy)),
                                 (kind, str(error), vars(error)))
                if kind is TokenError:
                    self.assertEqual((copy.error, copy.status), ("invalid_client", 401))


# --- Token -----------------------------------------------------------------------------------

class TokenTest(Case):
    def test_one_string_is_enough_and_it_cannot_be_changed(self):
        token = Token("a")
        self.assertEqual(tuple(token), ("a", "Bearer", None, None, None, None))
        for name in token._fields + ("another",):
            with self.assertRaises(AttributeError):
                setattr(token, name, "b")
        self.assertEqual(token, Token("a"))
        for name in token._fields:
            self.assertNotEqual(token, token._replace(**{name: "b"}))

    def test_no_secret_is_in_the_repr_of_anything(self):
        for thing in (Token(HUSH, "Bearer", 1.5, HUSH, "s", {"id_token": HUSH}),
                      Client("spotify", "id", HUSH),
                      AuthorizationRequest("https://a.example/?state=" + HUSH, HUSH, HUSH,
                                           "http://127.0.0.1/")):
            for text in (repr(thing), str(thing), "%r %s" % (thing, thing), "{}".format(thing),
                         f"{thing} {thing!r}", str({"it": [thing]}), pprint.pformat([thing])):
                with self.subTest(text):
                    self.assertNotIn(HUSH, text)
                    self.assertIn(type(thing).__name__, text)

    def test_an_access_token_that_cannot_be_sent_is_refused_and_not_quoted(self):
        for wrong in ("\nX: 1", "\r", "\0", "\n", " ", "\u20ac"):
            for text in (HUSH + wrong, wrong + HUSH, wrong):
                with self.subTest(text):
                    self.refused(ValueError, Token, text)
        self.refused(ValueError, Token, "")

    def test_a_value_of_the_wrong_kind_is_refused(self):
        for wrong in ({"access_token": None}, {"access_token": b"a"}, {"expires_at": "soon"},
                      {"expires_at": float("nan")}, {"expires_at": 10 ** 400},
                      {"refresh_token": 5}, {"scope": ["s"]}):
            with self.subTest(wrong), self.assertRaises((TypeError, ValueError)):
                Token(**dict({"access_token": "a"}, **wrong))


# --- Token file ------------------------------------------------------------------------------

class TokenFileTest(Case):
    def files(self):
        return sorted(os.listdir(self.folder))

    def save(self, record):
        file = TokenFile(self.path())
        with file.lock():
            file.save(record)

    def test_it_loads_what_was_saved(self):
        record = {"token": {"access_token": "ü", "raw": {"x": [1.5, None, True]}}}
        self.save(record)
        self.assertEqual(TokenFile(self.path()).load(), record)

    def test_a_missing_file_or_folder_is_no_token(self):
        self.assertIsNone(TokenFile(self.path()).load())
        self.assertIsNone(TokenFile(self.path("new/folder/token.json")).load())

    def test_saving_none_removes_it_and_what_a_killed_writer_left(self):
        self.save({})
        for _ in range(2):
            with open(self.path("token.json.new"), "w") as file:
                file.write("{}")
            self.save(None)
            self.assertEqual(self.files(), ["token.json.lock"])

    @unittest.skipUnless(os.name == "posix", "Windows has no modes")
    def test_only_its_owner_can_read_it_whatever_the_umask(self):
        self.addCleanup(os.umask, os.umask(0))
        file = TokenFile(self.path("new/f/token.json"))
        with file.lock():
            file.save({})
        for name, mode in (("new", 0o700), ("new/f", 0o700), ("new/f/token.json", 0o600)):
            with self.subTest(name):
                self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), mode)

    def test_it_is_written_beside_with_its_mode_and_synced_before_it_is_renamed(self):
        self.save({"old": 1})
        before, old, seen = self.files(), self.read(), []

        def fsync(file):
            seen.append(self.read())
            (new,) = set(self.files()) - set(before)
            self.assertEqual(json.loads(self.read(new).decode()), {"new": 2})
            if os.name == "posix":
                self.assertEqual(stat.S_IMODE(os.fstat(file).st_mode), 0o600)

        with mock.patch("os.fsync", fsync):
            self.save({"new": 2})
        self.assertEqual(seen[:1], [old])
        self.assertEqual(self.files(), before)
        self.assertEqual(TokenFile(self.path()).load(), {"new": 2})

    def test_a_damaged_file_is_moved_aside_and_named(self):
        for content in (b"\x80\x04\xff\0", b"", b'{"token": {"access_token": "h-u-s-h',
                        b'["h-u-s-h"]', b'"text"', b"7", b"[" * 100000, b'{"a":' * 100000):
            with self.subTest(content[:30]):
                for name in self.files():
                    os.unlink(self.path(name))
                with open(self.path(), "wb") as file:
                    file.write(content)
                self.assertIn(self.path(),
                              str(self.refused(StoreError, TokenFile(self.path()).load)))
                (moved,) = self.files()
                self.assertNotEqual(moved, "token.json")
                self.assertEqual(self.read(moved), content)
                self.assertIsNone(TokenFile(self.path()).load())

    def test_a_symbolic_link_stays_one(self):
        os.mkdir(self.path("elsewhere"))
        try:
            os.symlink(self.path("elsewhere/real.json"), self.path())
        except (OSError, NotImplementedError):
            self.skipTest("no symbolic links here")
        for record in ({"a": 1}, {"a": 2}):
            self.save(record)
            self.assertTrue(os.path.islink(self.path()))
            self.assertEqual(TokenFile(self.path("elsewhere/real.json")).load(), record)

    def test_a_tilde_is_the_home_directory(self):
        with mock.patch.dict(os.environ, HOME=self.folder, USERPROFILE=self.folder):
            TokenFile("~/token.json").save({"a": 1})
        self.assertEqual(TokenFile(self.path()).load(), {"a": 1})

    def test_a_path_that_is_none_is_refused(self):
        for path in "", "~nobody-of-this-name/token.json", self.folder, os.devnull:
            self.refused(ValueError, TokenFile, path)

    def test_a_file_that_cannot_be_read_is_named_and_not_taken_for_none(self):
        with open(self.path(), "w") as file:
            file.write("{}")
        path = self.path("token.json/below")
        self.assertIn(path, str(self.refused(StoreError, TokenFile(path).load)))
        self.assertEqual(self.files(), ["token.json"])

    def test_its_lock_keeps_others_out_until_its_holder_lets_go_or_is_killed(self):
        for end in (lambda: holder.stdin.close(), lambda: holder.kill()):
            holder, locked = self.process("""
                from oauth2min import TokenFile
                with TokenFile(sys.argv[1]).lock():
                    print("held", flush=True)
                    sys.stdin.read()
                """, self.path()), threading.Event()
            self.said(holder, "held")

            def wait():
                with TokenFile(self.path()).lock():
                    locked.set()

            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            self.assertFalse(locked.wait(0.05))
            end()
            self.assertTrue(locked.wait(10))
            thread.join(10)

    def test_on_windows_it_waits_for_as_long_as_another_has_it(self):
        calls = []

        def locking(file, mode, size):              # gives up after ten seconds
            calls.append((mode, size))
            if len(calls) < 3:
                raise OSError(errno.EDEADLOCK, "Resource deadlock avoided")

        windows = types.SimpleNamespace(LK_LOCK=1, LK_UNLCK=0, locking=locking)
        with mock.patch.dict(sys.modules, fcntl=None, msvcrt=windows), \
                TokenFile(self.path()).lock():
            self.assertEqual(calls, [(1, 1)] * 3)
        self.assertEqual(calls, [(1, 1)] * 3 + [(0, 1)])

    def test_a_killed_writer_loses_nothing_and_leaves_nothing(self):
        self.save({"old": 1})
        before = self.files()
        self.assertEqual(self.output("""
            import os
            from oauth2min import TokenFile
            file = TokenFile(sys.argv[1])
            os.fsync = lambda _: os._exit(9)
            with file.lock():
                file.save({"new": 2})
            """, self.path()), "")
        self.assertNotEqual(self.files(), before)
        self.assertEqual(TokenFile(self.path()).load(), {"old": 1})
        self.save({"new": 3})
        self.assertEqual(self.files(), before)

class StoreTest(ServerCase):
    def warned(self, path, call):
        """What a call returns that warns of this file, and of nothing else."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            result = call()
        self.assertTrue(caught)
        for warning in caught:
            self.assertIs(warning.category, RuntimeWarning)
            self.assertIn(path, str(warning.message))
        return result

    @unittest.skipUnless(os.path.isdir("/proc/self"), "needs a folder that root cannot write to")
    def test_in_a_folder_that_is_read_only_the_token_goes_on_in_memory(self):
        path = "/proc/oauth2min-token.json"
        client = self.client(store=path)
        token = self.warned(path, client.access_token)
        self.assertEqual((client.access_token(), self.sent()), (token, 1))

    def test_on_a_full_disk_the_token_goes_on_in_memory_and_the_old_one_stays(self):
        try:
            import resource
        except ImportError:
            self.skipTest("no limits here")
        client = self.user(store=self.path())
        before, files = self.read(), os.listdir(self.folder)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            token = self.warned(self.path(), client.refresh)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(client.token, token)
        self.assertEqual((self.read(), os.listdir(self.folder)), (before, files))

    def test_a_rotated_token_that_could_not_be_saved_is_used_rather_than_the_stored_one(self):
        store = Store()
        client = self.user(store=store)
        store.broken = True
        for _ in range(3):
            old = client.token.refresh_token
            self.server.expire()
            with self.assertWarns(RuntimeWarning):
                client.get("echo")
            self.assertEqual(self.server.forms()[-1]["refresh_token"], old)
        store.broken = False
        client.refresh()
        self.assertIn(client.token.refresh_token, json.dumps(store.record))

    def test_a_token_from_elsewhere_that_could_not_be_saved_is_newer_than_the_stored_one(self):
        def exchange(client):
            asked = client.authorization_request()
            client.exchange(asked, self.server.approve(asked.url))

        def assign(client):
            client.token = self.user().token

        for give in exchange, assign:
            store = Store()
            self.user(store=store)
            client, store.broken = self.stranger(store=store), True
            with self.subTest(give.__name__), self.assertWarns(RuntimeWarning):
                give(client)
                new = client.token.refresh_token
                self.server.expire()
                client.get("echo")
                self.assertEqual(self.server.forms()[-1]["refresh_token"], new)

    def test_a_record_holds_the_token_and_what_it_is_bound_to_and_no_more(self):
        for issuer in (self.server.url, None):
            with self.subTest(issuer=issuer):
                store = Store()
                client = self.stranger("fake-app", metadata={"issuer": issuer}, store=store,
                                       client_secret=HUSH, trace=len)
                client.token = Token("a", "Bearer", 1e9, "r", "other", {"id_token": "i"})
                bound = [issuer or self.server.url + "/token", "fake-app", "authorization_code",
                         SCOPE]
                rest = [value for value in store.record.values() if value not in bound]
                self.assertEqual([value for value in rest if isinstance(value, dict)], [{
                    "access_token": "a", "token_type": "Bearer", "expires_at": 1e9,
                    "refresh_token": "r", "scope": "other", "raw": {"id_token": "i"}}])
                self.assertEqual((len(store.record), len(rest)), (6, 2))    # one for the margin
                self.assertNotIn(HUSH, json.dumps(store.record))

    def test_a_token_of_another_server_client_or_grant_type_is_not_touched(self):
        self.client(store=self.path()).access_token()
        before, requests = self.read(), len(self.server.requests)
        for client in (self.client(store=self.path(), metadata={"issuer": "https://b.example"}),
                       self.client("fake-post", store=self.path()),
                       self.client(store=self.path(), grant_type="authorization_code")):
            asked = client.authorization_request()
            answer = urllib.parse.urlencode({"code": "c", "state": asked.state})
            for use in (client.access_token, client.login, client.refresh, lambda: client.token,
                        client.logout, lambda: setattr(client, "token", Token("a")),
                        lambda: client.exchange(asked, answer)):
                with self.subTest(client=client, use=use):
                    self.refused(StoreError, use)
                    self.assertEqual((self.read(), len(self.server.requests)), (before, requests))

    def test_a_record_that_is_none_of_ours_is_not_touched(self):
        for record in ({}, {"token": 5}, {"access_token": HUSH}):
            TokenFile(self.path()).save(record)
            with self.subTest(record):
                self.refused(StoreError, self.client(store=self.path()).access_token)
            self.assertEqual(TokenFile(self.path()).load(), record)

    def test_it_is_used_only_inside_of_its_lock_which_is_never_taken_twice(self):
        store = Store()
        client, again = self.user(store=store), lambda: self.stranger(store=store)
        for use in (client.refresh, lambda: client.get("echo"), again().login,
                    lambda: again().token, again().access_token,
                    lambda: setattr(client, "token", aged(client.token)),
                    lambda: together(client.access_token, 8), client.logout):
            use()
        self.assertEqual(store.wrong, [])
        self.assertLessEqual({"load", "save"}, set(store.used))

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


# --- Client: making one ----------------------------------------------------------------------

class MakingTest(Case):
    SERVER = {"token_endpoint": "https://auth.example/token"}

    def make(self, **settings):
        return Client(**{"server": self.SERVER, "client_id": "i", "client_secret": "s",
                         **settings})

    def test_a_misspelt_keyword_is_a_type_error(self):
        with self.assertRaises(TypeError):
            self.make(redirect_url="http://127.0.0.1/")
        with self.assertRaises(TypeError):
            Client(self.SERVER, "i", "s", "authorization_code")

    def test_a_wrong_value_is_a_value_error_at_once(self):
        for wrong in (
                {"client_id": ""}, {"grant_type": "password"}, {"grant_type": ""},
                {"client_id": "\ud800"}, {"client_secret": ""}, {"client_secret": "a\udfff"},
                {"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"timeout": 1e999},
                {"timeout": 1e10}, {"max_wait": -1}, {"scope": 'a"b'}, {"scope": ["a b"]},
                {"scope": "\xe4"},
                {"redirect_uri": "callback"}, {"redirect_uri": "http://127.0.0.1/#a"},
                {"redirect_uri": "http://127.0.0.1:99999/"}, {"redirect_uri": "http://\xe4/"},
                {"base_url": "ftp://api.example/"}, {"base_url": "api.example/v1"},
                {"server": {}}, {"server": "nobody"}, {"server": "http://auth.example"},
                {"server": "https://"}, {"server": "ftp://auth.example"},
                {"server": {"token_endpoint": "https://user:h-u-s-h@auth.example/?h-u-s-h"}},
                {"server": dict(self.SERVER, token_endpoint_auth_method="private_key_jwt")}):
            with self.subTest(wrong), self.assertRaises(ValueError) as caught:
                self.make(**wrong)
            self.assert_fit_to_show(str(caught.exception))

    def test_a_value_of_the_wrong_kind_is_refused_at_once(self):
        for wrong in (
                {"server": None}, {"server": 5}, {"server": {"token_endpoint": None}},
                {"server": {"issuer": 5}}, {"client_id": None}, {"client_id": b"i"},
                {"client_secret": 5}, {"grant_type": None}, {"grant_type": ["a"]}, {"scope": 5},
                {"scope": [5]}, {"redirect_uri": None}, {"store": 5}, {"store": Token("a")},
                {"base_url": 5}, {"headers": "X: a"}, {"headers": {"X": 5}}, {"timeout": "30"},
                {"timeout": None}, {"max_wait": "60"}, {"max_wait": None}, {"handlers": [5]},
                {"handlers": 5}, {"trace": "print"}, {"context": "ca.pem"}, {"headers": {5: "a"}},
                {"context": types.SimpleNamespace(check_hostname=False)}):
            with self.subTest(wrong), self.assertRaises((TypeError, ValueError)):
                self.make(**wrong)

    def test_an_unknown_server_is_answered_with_the_known_ones(self):
        error = self.refused(ValueError, self.make, server="spotfy")
        for name in PROVIDERS:
            self.assertIn(name, str(error))

    def test_an_address_without_https_is_refused_unless_on_loopback_or_allowed(self):
        for name in ("issuer", "authorization_endpoint", "revocation_endpoint", "token_endpoint",
                     "device_authorization_endpoint", "base_url"):
            for host in ("auth.example", "127.0.0.1.auth.example", "localhost.a", "10.0.0.1"):
                server = dict(self.SERVER, **{name: "http://%s/x" % host})
                with self.subTest(server):
                    self.refused(UnsafeURL, self.make, server=server)
                self.make(server=dict(server, allow_http=True))
        self.refused(UnsafeURL, self.make, base_url="http://api.example/")
        for host in ("127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]", "[::1]:8080"):
            self.make(server={"token_endpoint": "http://%s/token" % host})


# --- Client: logging in and out --------------------------------------------------------------

class AuthorizationRequestTest(ServerCase):
    def test_its_query_is_this_and_nothing_else_and_its_secrets_are_new_each_time(self):
        def s256(verifier):
            digest = hashlib.sha256(verifier.encode()).digest()
            return base64.urlsafe_b64encode(digest).decode().rstrip("=")

        self.assertEqual(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),   # RFC 7636 B
                         "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        client = self.stranger()
        requests = [client.authorization_request() for _ in range(20)]
        for asked in requests:
            self.assertRegex(asked.state, "^[A-Za-z0-9_-]{22,}$")               # 128 bits
            self.assertRegex(asked.code_verifier, "^[A-Za-z0-9._~-]{43,128}$")  # section 4.1
            self.assertEqual(asked.url.partition("?")[0], self.server.url + "/authorize")
            self.assertEqual(query_of(asked.url), {
                "response_type": "code", "client_id": "fake-public", "scope": SCOPE,
                "redirect_uri": "http://127.0.0.1/callback", "state": asked.state,
                "code_challenge": s256(asked.code_verifier), "code_challenge_method": "S256"})
        self.assertEqual(len({text for asked in requests for text in asked[1:3]}), 40)

    def test_without_a_scope_none_is_sent(self):
        asked = self.stranger(scope=None).authorization_request("https://app.example/back?a=1")
        self.assertNotIn("scope", query_of(asked.url))
        self.assertEqual(asked.redirect_uri, "https://app.example/back?a=1")
        self.assertEqual(query_of(asked.url)["redirect_uri"], asked.redirect_uri)

    def test_parameters_of_the_server_and_then_of_the_call_are_added(self):
        client = self.stranger(metadata={"authorization_parameters": {
            "access_type": "offline", "prompt": "consent"}})
        plain = set(query_of(self.stranger().authorization_request().url))
        query = query_of(client.authorization_request(prompt="login", login_hint="a b&c").url)
        self.assertEqual({name: query[name] for name in set(query) - plain},
                         {"access_type": "offline", "prompt": "login", "login_hint": "a b&c"})

    def test_what_is_made_here_cannot_be_given(self):
        for name in ("state", "code_challenge", "code_challenge_method", "client_id", "scope",
                     "response_type"):
            metadata = {"authorization_parameters": {name: "mine"}}
            with self.subTest(name):
                with self.assertRaisesRegex(ValueError, name):
                    self.stranger(scope=None).authorization_request(**{name: "mine"})
                with self.assertRaisesRegex(ValueError, name):
                    self.stranger(metadata=metadata).authorization_request()

    def test_a_query_that_the_endpoint_has_is_kept(self):
        endpoint = self.server.url + "/authorize?tenant=a%20b&p="
        client = self.stranger(metadata={"authorization_endpoint": endpoint})
        url = client.authorization_request().url
        self.assertTrue(url.startswith(endpoint + "&"), url)
        self.assertEqual(query_of(url)["tenant"], "a b")

    def test_without_pkce_there_is_no_challenge_and_no_verifier(self):
        client = self.stranger(metadata={"pkce": False})
        asked = client.authorization_request()
        self.assertEqual(asked.code_verifier, "")
        self.assertEqual(set(query_of(asked.url)),
                         {"response_type", "client_id", "scope", "redirect_uri", "state"})
        self.server.script("/token", body=TOKEN)
        client.exchange(asked, urllib.parse.urlencode(
            {"code": "c", "state": asked.state, "iss": self.server.url}))
        self.assertEqual(self.server.forms(), [
            {"grant_type": "authorization_code", "code": "c", "client_id": "fake-public",
             "redirect_uri": "http://127.0.0.1/callback"}])

    def test_it_is_four_strings_that_survive_a_session(self):
        client = self.stranger()
        asked = client.authorization_request()
        self.assertIsInstance(asked, AuthorizationRequest)
        self.assertEqual(asked._fields, ("url", "state", "code_verifier", "redirect_uri"))
        self.assertEqual({type(text) for text in asked}, {str})
        kept = json.loads(json.dumps(asked))
        self.assertEqual(client.exchange(kept, self.server.approve(asked.url)), client.token)

    def test_an_endpoint_that_is_missing_is_named(self):
        for name, grant_type, call in (
                ("authorization_endpoint", "authorization_code", Client.authorization_request),
                ("authorization_endpoint", "authorization_code", Client.login),
                ("device_authorization_endpoint", DEVICE_CODE, Client.login)):
            client = self.stranger(grant_type=grant_type, metadata={name: None})
            with self.subTest(name, call=call), self.quiet():
                self.assertIn(name, str(self.refused(ValueError, call, client)))
        self.assertEqual(self.server.requests, [])

class ExchangeTest(ServerCase):
    def ask(self, *client_id, **settings):
        """A client, what it asked, and the server's right answer to that."""
        client = self.stranger(*client_id, **settings)
        asked = client.authorization_request()
        return client, asked, self.server.approve(asked.url)

    def denied(self):
        """The same with a no."""
        client = self.stranger()
        asked = client.authorization_request()
        return client, asked, self.server.deny(asked.url)

    def test_it_sends_this_form_and_nothing_else(self):
        for client_id, more in ("fake-public", {"client_id": "fake-public"}), ("fake-app", {}):
            client, asked, answer = self.ask(client_id)
            token = client.exchange(asked, answer)
            self.assertEqual(self.server.forms()[-1], {
                "grant_type": "authorization_code", "code": query_of(answer)["code"],
                "redirect_uri": asked.redirect_uri, "code_verifier": asked.code_verifier, **more})
            self.assertEqual((token.scope, client.token), (SCOPE, token))

    def test_the_answer_may_be_an_address_or_its_query(self):
        for name, shape in (
                ("whole", "{}?{}"), ("fragment", "{}?{}#_=_"), ("query", "{1}"),
                ("query with a fragment", "{1}#_=_"), ("query with its mark", "?{1}"),
                ("a path with an equals sign", "https://app.example/a=b;c=d/back?{1}"),
                ("path and query", "/callback?{1}")):
            with self.subTest(name):
                client, asked, answer = self.ask()
                response = shape.format(*answer.split("?"))
                self.assertEqual(client.exchange(asked, response), client.token)

    def test_what_is_not_our_answer_sends_nothing_and_leaves_the_code_good(self):
        client, asked, answer = self.ask()
        other, code = client.authorization_request(), query_of(answer)["code"]
        self.secrets += [code, asked.state, other.state]
        for name, wrong in (
                ("wrong state", changed(answer, state="wrong")),
                ("another login's", changed(answer, state=other.state)),
                ("state not ASCII", changed(answer, state="stäte")),
                ("empty state", changed(answer, state="")),
                ("no state", changed(answer, state=None)),
                ("state twice", answer + "&state=" + asked.state),
                ("state twice, the wrong one first", answer.replace("?", "?state=wrong&")),
                ("code twice", answer + "&code=" + code),
                ("something twice", answer + "&a=1&a=1"),
                ("error without state", answer.partition("?")[0] + "?error=access_denied"),
                ("wrong iss", changed(answer, iss="https://attacker.example")),
                ("iss with a slash more", changed(answer, iss=self.server.url + "/")),
                ("empty iss", changed(answer, iss="")), ("no iss", changed(answer, iss=None)),
                ("no code", changed(answer, code=None)), ("empty code", changed(answer, code="")),
                ("empty error", changed(answer, code=None, error="")),
                ("blank error", changed(answer, code=None, error=" ")),
                ("no query", answer.partition("?")[0]), ("nothing", "")):
            with self.subTest(name):
                error = self.refused(AuthorizationError, client.exchange, asked, wrong)
                self.assertIsNone(error.error)
        self.refused(AuthorizationError, client.exchange, asked._replace(state=""),
                     changed(answer, state=None))
        self.assertEqual(self.server.forms(), [])
        self.assertEqual(client.exchange(asked, answer), client.token)

    def test_iss_may_be_missing_in_an_error_but_not_be_wrong(self):
        client, asked, denial = self.denied()
        for iss, code in (None, "access_denied"), ("https://attacker.example", None):
            error = self.refused(AuthorizationError, client.exchange, asked,
                                 changed(denial, iss=iss))
            self.assertEqual(error.error, code)

    def test_iss_is_ignored_where_no_issuer_is_known_and_not_missed_where_none_is_promised(self):
        for key, iss in (("issuer", "https://somebody.example"),
                         ("authorization_response_iss_parameter_supported", None)):
            client, asked, answer = self.ask(metadata={key: None})
            self.assertEqual(client.exchange(asked, changed(answer, iss=iss)), client.token)

    def test_a_denial_says_so(self):
        client, asked, denial = self.denied()
        error = self.refused(AuthorizationError, client.exchange, asked,
                             changed(denial, error_uri="https://e/x"))
        self.assertRegex(str(error), "access_denied.*The user said no")
        self.assertEqual((error.error, error.error_description, error.error_uri),
                         ("access_denied", "The user said no", "https://e/x"))
        self.assertEqual(self.server.forms(), [])

    def test_a_question_mark_in_an_error_description_hides_nothing(self):
        client = self.stranger()                    # RFC 3986 section 3.4: a query may hold one
        asked = client.authorization_request()
        query = "error=access_denied&error_description=Why?&state=%s&iss=%s" % (
            asked.state, self.server.url)
        for response in asked.redirect_uri + "?" + query, "?" + query, query:
            with self.subTest(response):
                error = self.refused(AuthorizationError, client.exchange, asked, response)
                self.assertEqual(error.error, "access_denied")
                self.assertIn("Why", error.error_description)

    def test_a_hostile_error_is_shown_clean_and_short(self):
        client, asked, denial = self.denied()
        self.secrets.append(asked.state)
        for name in "error", "error_description", "error_uri":
            for text in HOSTILE, asked.state + HOSTILE, "no " + HUSH:
                wrong = changed(denial, **{"code": HUSH, "error": "access_denied", name: text})
                with self.subTest(name):
                    self.refused(AuthorizationError, client.exchange, asked, wrong)

class LoginCase(ServerCase):
    def fail_if_asked(self, url):
        self.fail("the user was asked")

    def login(self, client, open_browser=None, **settings):
        """Logs in at the fake server; what was shown on stderr."""
        with self.quiet() as shown:
            client.login(open_browser or self.server.browser, **dict({"timeout": 5}, **settings))
        return shown.getvalue()

    @contextlib.contextmanager
    def browsers(self, found, environ):
        """A machine with this browser, or None, and this environment; gives the stand-in of
        webbrowser.open."""
        problem = None if found else webbrowser.Error("could not locate runnable browser")
        browser = webbrowser.GenericBrowser(found or "none")
        with mock.patch.dict(os.environ, environ), \
                mock.patch("webbrowser.get", side_effect=problem, return_value=browser), \
                mock.patch("webbrowser.open", return_value=bool(found)) as opened:
            yield opened

class LoginTest(LoginCase):
    def give_up(self, client, open_browser=None):
        """Nobody logs in; what was shown on stderr."""
        with self.quiet() as shown:
            self.refused(LoginRequired, client.login, open_browser, timeout=0.02)
        return shown.getvalue()

    def test_the_user_is_told_of_success_on_a_page_that_asks_for_nothing(self):
        client = self.stranger()
        shown = self.login(client)
        (status, headers, text), = self.server.pages
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"].lower(), "text/html; charset=utf-8")
        self.assertIn("no-store", headers["Cache-Control"])
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertNotIn("script", headers["Content-Security-Policy"])
        self.assertIn("logged in", text)
        self.assertNotRegex(text.lower(), r"<script|src=|href=|url\(|@import|http-equiv|\bon\w+=")
        for secret in (client.token.access_token, client.token.refresh_token,
                       self.server.forms()[0]["code"]):
            self.assertNotIn(secret, text + shown)
        self.assertEqual(client.get("me").json()["id"], "ada")

    def test_the_user_is_told_of_a_failure_too(self):
        said_no = self.refused(AuthorizationError, self.login, self.stranger(),
                               self.server.denying_browser)
        self.assertEqual((said_no.error, self.sent()), ("access_denied", 0))
        self.server.script("/token", 400, {"error": "invalid_grant", "error_description": HOSTILE})
        self.refused(TokenError, self.login, self.stranger())
        for _, _, text in self.server.pages:
            self.assertIn("failed", text)
            self.assertNotRegex(text, "logged in|<script|xxx")

    def test_an_answer_with_our_state_from_another_issuer_ends_it(self):
        def browser(url):
            address = changed(self.server.approve(url), iss="https://attacker.example")
            threading.Thread(target=fetch, args=("GET", address)).start()

        self.refused(AuthorizationError, self.login, self.stranger(), browser)
        self.assertEqual(self.server.forms(), [])

    def test_a_browser_that_waits_for_the_page_does_not_stop_the_login(self):
        pages, ended = [], threading.Event()

        def browser(url):                           # as BROWSER="text-browser %s" does
            pages.append(fetch("GET", self.server.approve(url)))
            ended.set()

        self.login(self.stranger(), browser)
        self.assertTrue(ended.wait(3))              # it may run in a thread
        self.assertIn("logged in", pages[0][2])

    def test_parameters_are_added_to_the_request(self):
        self.login(self.stranger(), login_hint="ada")
        self.assertEqual(self.server.requests[0].query["login_hint"], "ada")

    def test_with_a_good_token_nothing_happens_and_an_expired_one_is_renewed(self):
        client, another = self.user(store=self.path()), self.stranger(store=self.path())
        requests = len(self.server.requests)
        for each in client, another:
            self.assertEqual(self.login(each, self.fail_if_asked), "")
            self.assertEqual(each.token, client.token)
        self.assertEqual(len(self.server.requests), requests)
        client.token = aged(client.token)
        self.assertEqual(self.login(client, self.fail_if_asked), "")
        self.assertEqual(self.paths()[requests:], ["/token"])

    def test_more_scope_is_asked_for_and_less_is_not(self):
        def at(scope):
            return self.stranger(scope=scope, store=self.path())

        self.login(at("user-library-read"))
        self.login(at("user-follow-read user-library-read"))
        self.assertEqual(self.paths().count("/authorize"), 2)
        for scope in SCOPE, "user-follow-read", None:
            self.login(at(scope), self.fail_if_asked)

    def test_what_the_server_makes_of_the_scope_asks_nobody_again(self):
        for name, scope in ("missing", {}), ("empty", {"scope": ""}), ("less", {"scope": "email"}):
            with self.subTest(name):
                client = self.stranger(store=self.path(name))
                self.server.script("/token", body=dict(TOKEN, **scope))
                self.login(client)
                self.login(client, self.fail_if_asked)
                self.login(self.stranger(store=self.path(name)), self.fail_if_asked)

    def test_after_a_dead_refresh_token_the_user_can_log_in_again(self):
        client = self.user(store=self.path())
        client.token = aged(client.token)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.assertIn("login()", str(self.refused(LoginRequired, client.get, "me")))
        self.login(client)
        self.assertEqual(client.get("me").json()["id"], "ada")
        self.assertEqual([form["grant_type"] for form in self.server.forms()],
                         ["authorization_code", "refresh_token", "authorization_code"])

    def test_the_address_is_shown_whatever_opens_the_browser(self):
        addresses = []
        for opener in False, addresses.append:
            with self.browsers("firefox", {"DISPLAY": ":0"}) as opened:
                shown = self.give_up(self.stranger(), opener)
            self.assertEqual(opened.call_count, 0)
            url, = re.findall(r"\S+/authorize\?\S+", shown)
            self.assertTrue(url.startswith(self.server.url))
        self.assertEqual(addresses, [url])

    def test_the_browser_is_opened_where_it_makes_sense(self):
        ssh = {"SSH_CONNECTION": "1 2 3 4", "SSH_CLIENT": "1 2 4", "SSH_TTY": "/dev/pts/1"}
        for name, wish, found, environ, expected in (
                ("told to", True, "firefox", {}, 1), ("told to, SSH", True, "firefox", ssh, 1),
                ("told not to", False, "firefox", {"BROWSER": "firefox"}, 0),
                ("desktop", None, "firefox", {"DISPLAY": ":0"}, 1),
                ("SSH", None, "firefox", ssh, 0),
                ("SSH with a display", None, "firefox", dict(ssh, DISPLAY=":10"), 1),
                ("SSH with BROWSER", None, "firefox", dict(ssh, BROWSER="open-there"), 1),
                ("text browser", None, "/usr/bin/w3m", {}, 0), ("no browser", None, None, {}, 0),
                ("told to without a browser", True, None, {}, 1)):
            with self.subTest(name), self.browsers(found, environ) as opened:
                shown = self.give_up(self.stranger(), wish)
                self.assertEqual(opened.call_count, expected)
                for call in opened.call_args_list:
                    self.assertIn(call[0][0], shown)

    def test_redirect_uris_on_loopback(self):
        port, port6 = free_port(), has_ipv6() and free_port("::1")
        for uri, expected in (
                ("http://127.0.0.1/callback", r"http://127\.0\.0\.1:\d+/callback"),
                ("http://127.0.0.1:%d/callback" % port, r"http://127\.0\.0\.1:%d/callback" % port),
                ("http://localhost/callback", r"http://localhost:\d+/callback"),
                ("http://[::1]/callback", r"http://\[::1\]:\d+/callback"),
                ("http://[::1]:%s/callback" % port6, r"http://\[::1\]:%s/callback" % port6)):
            if port6 or "[" not in uri:
                with self.subTest(uri):
                    self.login(self.stranger(redirect_uri=uri))
                    self.assertRegex(self.server.forms()[-1]["redirect_uri"], "^%s$" % expected)
                    self.assertEqual(self.server.pages[-1][0], 200)

    def test_localhost_is_listened_to_on_both_families(self):
        hosts, reached = ["127.0.0.1"] + ["::1"] * has_ipv6(), []

        def browser(url):
            for host in hosts:
                with socket.create_connection((host, redirect_uri(url).port), 2):
                    reached.append(host)
            self.server.browser(url)

        self.login(self.stranger(redirect_uri="http://localhost/callback"), browser)
        self.assertEqual(reached, hosts)

    def test_without_ipv6_localhost_is_listened_to_all_the_same(self):
        class Socket(socket.socket):
            def __init__(self, family=socket.AF_INET, *arguments, **named):
                if family == socket.AF_INET6:
                    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
                super().__init__(family, *arguments, **named)

        with mock.patch("socket.socket", Socket):
            self.login(self.stranger(redirect_uri="http://localhost/callback"))

    def test_a_busy_port_is_named_before_the_user_is_asked(self):
        busy = self.raw()
        port = busy.url.rpartition(":")[2]
        for host in "127.0.0.1", "localhost":
            client = self.stranger(redirect_uri="http://%s:%s/callback" % (host, port))
            with self.subTest(host), self.assertRaisesRegex(OSError, r"\b%s\b" % port):
                self.login(client, self.fail_if_asked)
        self.assertEqual(self.server.requests, [])

    def test_when_time_is_up_the_user_has_to_try_again_and_the_port_is_free(self):
        started, urls = time.monotonic(), []
        self.give_up(self.stranger(), urls.append)
        self.assertLess(time.monotonic() - started, 2)
        with socket.socket() as other:
            other.bind(("127.0.0.1", redirect_uri(urls[0]).port))

class NeighbourTest(LoginCase):
    """What others on this machine, or a web page, may send to the listener."""

    def attack(self, attack, **settings):
        """Runs attack(address, state) during the wait and then gives the true answer, which has
        to end the login at once; returns what the attack found."""
        results, times, threads = [], [], []

        def neighbour(url):
            uri = redirect_uri(url)
            try:
                results.append(attack((uri.hostname, uri.port), query_of(url)["state"]))
            except Exception as error:
                results.append(error)
            times.append(time.monotonic())
            results.append(fetch("GET", self.server.approve(url)))

        def browser(url):
            threads.append(threading.Thread(target=neighbour, args=(url,)))
            threads[0].start()

        client, sent = self.stranger(**settings), self.sent()
        try:
            self.login(client, browser, timeout=20)
            self.assertLess(time.monotonic() - times[0], 1)
        finally:
            threads[0].join()
        self.assertEqual((client.get("me").json()["id"], results[-1][0]), ("ada", 200))
        self.assertEqual(self.sent(), sent + 1)     # nobody else's code was sent
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def idle(self, count, address):
        """So many connections that say nothing, or the half of something; the threads left."""
        with contextlib.ExitStack() as stack:
            for index in range(count):
                connection = stack.enter_context(socket.create_connection(address, 10))
                with contextlib.suppress(ConnectionError):
                    connection.sendall((b"", b"GET", b"GET /callback?sta", b"POST /callback "
                                        b"HTTP/1.1\r\nContent-Length: 9\r\n\r\nx")[index % 4])
                if index % 100 == 99:               # until all are accepted: the queue is short
                    talk(address, b"GET / HTTP/1.1\r\n\r\n")
            self.addCleanup(stack.pop_all().close)  # still open at the true answer
        deadline = time.monotonic() + 2
        while threading.active_count() >= 60 and time.monotonic() < deadline:
            time.sleep(0.01)                        # those that were hung up on come to their end
        return threading.active_count()

    def test_each_request_but_the_true_one_is_refused_and_the_wait_goes_on(self):
        def attack(address, state):
            here, ours = "%s:%d" % address, "state=" + state

            def send(wanted, line, body="", host=here):
                text = "%s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (
                    line, host and "Host: %s\r\n" % host, len(body), body)
                requests.append((wanted, text))

            requests = []
            for query in ("", "?code=x", "?code=x&state=", "?code=x&state=" + "A" * len(state),
                          "?error=access_denied", "?code=x&%s&%s" % (ours, ours),
                          "?code=x&code=x&" + ours, "?state=wrong&code=x&" + ours):
                send(400, "GET /callback" + query)
            for host in "", "attacker.example", "attacker.example:%d" % address[1], address[0]:
                send(400, "GET /callback?code=x&" + ours, host=host)
            for body in "", "\0\xff{nonsense", "code=x&state=wrong", "%s&%s" % (ours, ours):
                send(400, "POST /callback", body)
            for path in "/", "/favicon.ico", "/callback/", "/Callback", "/callback;a":
                send(404, "GET %s?code=x&%s" % (path, ours))
                send(404, "POST " + path, "code=x&" + ours)
            for method in "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "BREW":
                send(405, "%s /callback?code=x&%s" % (method, ours))
            return requests, each(lambda request: talk(address, request[1].encode("latin-1")),
                                  requests)

        for (wanted, text), answer in zip(*self.attack(attack)):
            with self.subTest(text):
                self.assertRegex(answer, b"^HTTP/1.[01] %d " % wanted)
                self.assertNotRegex(answer, b"logged in|<script|Python")

    def test_idle_and_half_sent_connections_keep_nobody_out(self):
        for host, count in [("127.0.0.1", 200)] + [("localhost", 60)] * has_ipv6():
            with self.subTest(host):
                self.assertLess(self.attack(
                    lambda address, state: self.idle(count, ("127.0.0.1", address[1])),
                    redirect_uri="http://%s/callback" % host), 60)

    def test_lines_without_end_are_hung_up_on(self):
        def attack(address, state):
            long = b"x" * 1000000
            return [talk(address, data) for data in (
                b"GET /callback?state=" + long, long, b"GET / HTTP/1.1\r\nX: " + long,
                b"GET /callback HTTP/1.1\r\n" + b"X: y\r\n" * 100000,
                b"POST /callback HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + long,
                b"POST /callback HTTP/1.1\r\nContent-Length: -1\r\n\r\n")]

        for answer in self.attack(attack):
            self.assertNotRegex(answer, b"^HTTP/1.[01] [123]|logged in")

    def test_a_flood_of_5000_requests_takes_neither_memory_nor_threads(self):
        code = r"""
            import socket, threading
            address, answers = ("127.0.0.1", int(sys.argv[1])), []
            requests = [line % address[1] for line in (
                b"GET /callback?state=x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                b"nonsense%d\r\n", b"GET /callback HTTP/%d\r\n", b"\r\n%d")]
            def flood():
                for number in range(250):
                    with socket.create_connection(address, 10) as connection:
                        connection.sendall(requests[number % 4])
                        answers.append(connection.recv(12)[9:])
            threads = [threading.Thread(target=flood) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(len(answers), answers.count(b"400"))
            """

        def attack(address, state):
            flood, most, before = self.process(code, str(address[1])), 0, sys.getallocatedblocks()
            while flood.poll() is None:
                most = max(most, threading.active_count())
                time.sleep(0.005)
            return flood.stdout.read(), most, sys.getallocatedblocks() - before

        answers, most, more = self.attack(attack)
        self.assertEqual(answers, "5000 1260\n")
        self.assertLess(most, 60)
        if not sys.gettrace():                      # whoever traces the lines keeps a book
            self.assertLess(more, 5000)             # of memory: not one for each request

    def test_a_connection_that_says_nothing_is_given_up_in_silence(self):
        class Short(socket.socket):
            def settimeout(self, seconds):
                waited.append(seconds)
                super().settimeout(0.01)

        near, far = socket.socketpair()
        waited, near = [], Short(near.family, near.type, near.proto, near.detach())
        with far, self.quiet() as shown, oauth2min._Callback("http://127.0.0.1/") as callback:
            callback.serve(near)
            self.assertEqual((far.recv(1), shown.getvalue()), (b"", ""))
        self.assertLessEqual(max(waited), 10)

    def test_the_true_answer_may_be_a_form_post(self):
        def browser(url):
            form = query_of(self.server.approve(url))
            form.pop("mine", None)                  # which stays in the address
            pages.append(fetch("POST", query_of(url)["redirect_uri"], form))
            ended.set()

        for uri in "http://127.0.0.1/callback", "http://127.0.0.1/callback?mine=1":
            self.server.clients["fake-public"]["redirect_uris"].append(uri)
            pages, ended = [], threading.Event()
            with self.subTest(uri):
                self.login(self.stranger(redirect_uri=uri), browser)
                self.assertTrue(ended.wait(3))
                self.assertEqual(pages[0][0], 200)

    def test_at_port_80_the_host_needs_no_port(self):
        for uri, host, status in (
                ("http://127.0.0.1:80/callback", b"127.0.0.1", b"200"),
                ("http://127.0.0.1:80/callback", b"127.0.0.1:80", b"200"),
                ("http://localhost:80/callback", b"localhost", b"200"),
                ("http://[::1]:80/callback", b"[::1]", b"200"),
                ("http://127.0.0.1:80/callback", b"127.0.0.1:8", b"400"),
                ("http://127.0.0.1:80/callback", b"attacker.example", b"400"),
                ("http://127.0.0.1:8080/callback", b"127.0.0.1", b"400"),
                ("http://127.0.0.1:8080/callback", b"127.0.0.1:80", b"400")):
            # Not everybody may listen at that port, so this is about one connection alone.
            callback = oauth2min._Callback("https://app.example/")
            callback.redirect_uri, callback.state = uri, "s"
            callback.handler = oauth2min._handler(callback)
            callback.ended.set()
            near, far = socket.socketpair()
            with self.subTest(uri, host=host), far:
                far.sendall(b"GET /callback?code=c&state=s HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
                callback.serve(near)
                self.assertEqual(far.recv(12)[9:], status)
                self.assertEqual(callback.query, "code=c&state=s" if status == b"200" else "")

@unittest.skipUnless(hasattr(os, "openpty"), "no pseudo-terminals here")
class TerminalTest(ServerCase):
    CHILD = """
        import json, signal
        server, settings, controlling = json.loads(sys.argv[1])
        if controlling:
            import fcntl, termios
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from oauth2min import Client, OAuth2Error
        try:
            with Client(server, "fake-public", grant_type="authorization_code", **settings) as c:
                c.login(open_browser=False, timeout=20)
                print("logged in", c.get("me").json()["id"], flush=True)
            if sys.stdin and not sys.stdin.closed:
                print("left:", sys.stdin.readline().strip(), flush=True)
        except (OAuth2Error, KeyboardInterrupt) as error:
            print(type(error).__name__, flush=True)
        """

    def start(self, stdin, metadata=(), controlling=False, shell=(), **settings):
        """Begins a login in another process; the process and the address that it shows."""
        server = dict(self.server.metadata, **dict(metadata))
        process = self.process(self.CHILD, json.dumps([server, settings, controlling]),
                               shell=shell, stdin=stdin, start_new_session=True)
        url = self.said(process, "/authorize?")
        self.said(process, "paste")
        return process, url

    def terminal(self, controlling=True, **settings):
        """The same on a terminal; a function that types there comes first."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        try:
            process, url = self.start(slave, controlling=controlling, **settings)
        finally:
            os.close(slave)
        return lambda text: os.write(master, text.encode() + b"\n"), process, url

    def browse(self, url):
        self.assertIn("logged in", fetch("GET", self.server.approve(url))[2])

    def test_what_is_pasted_may_have_many_forms(self):
        not_promised = {"authorization_response_iss_parameter_supported": False}
        shapes = (("query", {}, lambda url: url.partition("?")[2] + "#_=_"),
                  ("spaces and line breaks", {}, lambda url: "\n  %s\n %s  %s\n \n" % (
                      url[:30], url[30:60], url[60:])),
                  ("bare code", not_promised, lambda url: " %s " % query_of(url)["code"]),
                  ("bare code out of an address", not_promised, lambda url: "".join(
                      "%%%X" % ord(letter) for letter in query_of(url)["code"])))
        terminals = each(lambda shape: self.terminal(metadata=shape[1]), shapes)
        for (name, _, shape), (paste, process, url) in zip(shapes, terminals):
            with self.subTest(name):
                paste(shape(self.server.approve(url)))
                self.said(process, "logged in ada")

    def test_a_wrong_address_is_asked_for_again(self):
        (paste, process, url), another = each(lambda metadata: self.terminal(metadata=metadata),
                                              ({}, {"pkce": False}))
        right = self.server.approve(url)
        for wrong in (changed(right, state="wrong"), "error=access_denied", url,
                      "https://example.com/", query_of(url)["redirect_uri"], "a-short-word",
                      "words that are long enough but several", "http://a-bare-code/if-you-ask-me"):
            paste(wrong)
            self.said(process, "Please paste")
        paste(right)
        self.said(process, "logged in ada")
        self.assertEqual(self.sent(), 1)
        paste, process, url = another
        paste("a-bare-code-that-is-long-enough")
        self.said(process, "Please paste")
        self.assertEqual(self.sent(), 1)

    def test_a_pasted_denial_ends_it(self):
        paste, process, url = self.terminal()
        paste(self.server.deny(url))
        self.said(process, "AuthorizationError")

    def test_a_redirect_uri_that_is_not_here_works_by_paste_alone(self):
        uri = "https://app.example/callback"
        self.server.clients["fake-public"]["redirect_uris"].append(uri)
        paste, process, url = self.terminal(redirect_uri=uri)
        self.assertEqual(query_of(url)["redirect_uri"], uri)
        paste(self.server.approve(url))
        self.said(process, "logged in ada")

    def test_after_the_login_nothing_reads_the_terminal_any_more(self):
        paste, process, url = self.terminal()
        self.browse(url)
        self.said(process, "logged in ada")
        paste("for the program")
        self.said(process, "left: for the program")

    def test_a_terminal_that_is_not_the_controlling_one_does_no_harm(self):
        paste, process, url = self.terminal(controlling=False)
        paste("https://wrong.example/?a=b")
        self.browse(url)
        self.said(process, "logged in ada")

    def test_stdin_that_is_no_terminal_is_not_read(self):
        pipe, cases = subprocess.PIPE, [
            ("closed", None, ["sh", "-c", 'exec "$0" "$@" <&-'], None),
            ("nothing", subprocess.DEVNULL, [], "left:"),
            ("pipe", subprocess.PIPE, [], "left: data")]
        starts = each(lambda case: self.start(case[1], shell=case[2]), cases)
        for (name, stdin, _, left), (process, url) in zip(cases, starts):
            with self.subTest(name):
                if stdin == pipe:
                    process.stdin.write("data\n")
                    process.stdin.flush()
                self.browse(url)
                self.said(process, "logged in ada")
                if left:
                    self.assertEqual(self.said(process, "left:"), left)

    def test_ctrl_c_ends_the_wait_at_once_and_frees_the_port(self):
        for process, url in self.terminal()[1:], self.start(subprocess.DEVNULL):
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            self.said(process, "KeyboardInterrupt")
            self.assertLess(time.monotonic() - started, 1)
            with socket.socket() as other:  # with this option, only a listener is in its way
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", redirect_uri(url).port))

class DeviceTest(LoginCase):
    def device(self, *errors, open_browser=None, timeout=None, status=400, **given):
        """A device login at a scripted server, which answers with these errors and then, unless
        the last was the end, with a token. Returns what was slept and what was shown."""
        given = dict({"device_code": "dc", "user_code": "ABCD-EFGH", "expires_in": 600,
                      "verification_uri": "https://as.example/device"}, **given)
        self.server.script("/device_authorization", body=given)
        for error in errors:                        # None: there is no answer
            self.server.script("/token", status, error and {"error": error}, close=not error)
        if not {"access_denied", "expired_token", "invalid_client"}.intersection(errors):
            self.server.script("/token", body=TOKEN)
        slept, client = [], self.stranger(grant_type=DEVICE_CODE)
        with mock.patch("time.sleep", slept.append), self.quiet() as shown:
            self.assertEqual(client.login(open_browser, timeout).access_token, "scripted")
        return slept, shown.getvalue()

    def test_the_whole_conversation(self):
        self.server.device_interval, sleep = 0.01, time.sleep
        for client_id, more in ("fake-public", {"client_id": "fake-public"}), ("fake-app", {}):
            del self.server.requests[:]
            slept = []

            def wait(seconds):
                sleep(seconds)
                slept.append(seconds)
                if len(slept) == 3:                 # the answer was "pending" until now
                    self.server.approve_device(
                        re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue()).group())

            client = self.stranger(client_id, grant_type=DEVICE_CODE)
            with mock.patch("time.sleep", wait), self.quiet() as shown:
                token = client.login()
            self.assertEqual((client.token, token.scope, slept), (token, SCOPE, [0.01] * 3))
            self.assertIn(self.server.url + "/device", shown.getvalue())
            self.assertEqual(self.server.forms("/device_authorization"), [dict(more, scope=SCOPE)])
            polls = self.server.forms()
            code = polls[0]["device_code"]
            self.assertEqual(polls, [dict(more, grant_type=DEVICE_CODE, device_code=code)] * 3)
            self.assertNotIn(code, shown.getvalue())
            self.assertEqual(client.get("me").json()["id"], "ada")

    def test_it_asks_at_the_servers_interval_and_slows_down_when_told(self):
        wait, slow = "authorization_pending", "slow_down"
        for interval, errors, expected in (
                (None, [wait, wait], [5, 5, 5]), ("nonsense", [wait], [5, 5]),
                (7, [wait, slow, wait], [7, 7, 12, 12]), ("2", [slow, slow], [2, 7, 12])):
            with self.subTest(interval=interval, errors=errors):
                self.assertEqual(self.device(*errors, interval=interval)[0], expected)

    def test_how_it_may_end(self):
        for error, kind in (("access_denied", AuthorizationError), ("invalid_client", TokenError),
                            ("expired_token", LoginRequired)):
            with self.subTest(error):
                problem = self.refused(kind, self.device, "authorization_pending", error)
                self.assertIn("login()" if kind is LoginRequired else error,
                              str(problem) + str(getattr(problem, "error", "")))

    def test_when_time_is_up_the_user_has_to_try_again(self):
        for life, timeout in (0.06, None), (600, 0.06), (600, 0):
            self.server.device_interval, self.server.device_expires_in = 0.02, life
            with self.quiet():
                self.refused(LoginRequired, self.stranger(grant_type=DEVICE_CODE).login,
                             timeout=timeout)

    def test_an_answer_without_a_code_is_a_token_error(self):
        for status, given in (400, {"error": "invalid_scope"}), (200, {}), (200, "<html>"):
            self.server.script("/device_authorization", status, given)
            with self.subTest(given), self.quiet():
                error = self.refused(TokenError, self.stranger(grant_type=DEVICE_CODE).login)
                self.assertEqual(error.error, "invalid_scope" if status == 400 else None)

    def test_a_browser_is_opened_only_if_told_to(self):
        given = []
        for wish, expected in (None, 0), (False, 0), (True, 1), (given.append, 0):
            with self.subTest(wish), self.browsers("firefox", {"DISPLAY": ":0"}) as opened:
                self.device(open_browser=wish)
                self.assertEqual([call[0][0] for call in opened.call_args_list],
                                 ["https://as.example/device"] * expected)
        self.assertEqual(given, ["https://as.example/device"])

    def test_the_whole_address_is_shown_and_opened(self):
        url = "https://as.example/device?user_code=ABCD-EFGH&lang=%C3%BC#top"
        for name in "verification_uri", "verification_url":     # the second is Google's
            given, opened = [], threading.Event()
            with self.subTest(name):
                _, shown = self.device(**{"verification_uri": None, name: url, "open_browser":
                                          lambda url: (given.append(url), opened.set())})
                self.assertIn("\n\n%s\n" % url, shown)
                self.assertTrue(opened.wait(5))
                self.assertEqual(given, [url])

    def test_an_address_that_is_none_of_the_web_is_not_shown(self):
        for address in None, "", "file:///etc/passwd", "javascript:alert(1)":
            given = []
            self.server.script("/device_authorization", body={
                "device_code": "dc", "user_code": "ABCD", "verification_uri": address})
            with self.subTest(address), self.quiet() as shown:
                self.refused(UnsafeURL, self.stranger(grant_type=DEVICE_CODE).login, given.append)
                self.assertEqual((shown.getvalue(), given), ("", []))

    def test_parameters_go_with_the_request_for_a_code(self):
        self.server.script("/device_authorization", 400, {"error": "invalid_request"})
        self.refused(TokenError, self.stranger(grant_type=DEVICE_CODE).login, audience="a b")
        self.assertEqual(self.server.forms("/device_authorization"), [
            {"audience": "a b", "scope": SCOPE, "client_id": "fake-public"}])

    def test_a_network_that_is_away_for_a_while_slows_it_down(self):
        self.assertEqual(self.device(None, "authorization_pending", None)[0], [5, 10, 10, 20])

    def test_a_server_in_trouble_is_asked_again(self):
        for status in 500, 503:
            self.assertEqual(self.device("server_error", "nonsense", status=status)[0], [5, 5, 5])

    def test_pending_is_pending_whatever_the_status(self):
        for status in 200, 403, 428:                # GitHub, Google for slow_down, Google
            with self.subTest(status):
                self.assertEqual(self.device("authorization_pending", "slow_down", status=status)[
                    0], [5, 5, 10])

    def test_what_the_server_wants_shown_is_cleaned(self):
        shown = self.device(user_code="AB\x1b[2JCD\x07\r\u202eEF" + "x" * 10000,
                            verification_uri="https://as.example/\x1b]0;device\x07")[1]
        self.assertTrue(shown.replace("\n", "").isprintable(), ascii(shown))
        self.assertRegex(shown, r"AB ?\[2JCD *EF")
        self.assertLess(len(shown), 3000)
        shown = self.device(verification_uri="https://as.example/\x1b]0;a\x07?b=c" + "x" * 9999)[1]
        self.assertIn("\n\nhttps://as.example/]0;a?b=cxxx", shown)
        self.assertLess(len(shown), 3000)

    def test_it_needs_no_webbrowser(self):
        with mock.patch.dict(sys.modules, webbrowser=None):
            for open_browser in None, False, len:
                self.device(open_browser=open_browser)

class LogoutTest(ServerCase):
    def test_both_tokens_are_revoked_the_refresh_token_first(self):
        client = self.user(store=self.path())
        token = client.token
        self.assertIs(client.logout(), True)
        self.assertEqual(self.server.forms("/revoke"), [
            {"token": token.refresh_token, "token_type_hint": "refresh_token",
             "client_id": "fake-public"},
            {"token": token.access_token, "token_type_hint": "access_token",
             "client_id": "fake-public"}])
        self.assertFalse(os.path.exists(self.path()))
        self.refused(LoginRequired, client.get, "me")

    def test_it_forgets_in_any_case_and_tells_whether_the_server_confirmed_it(self):
        nobody, at = self.server.url + "/nobody", "revocation_endpoint"
        for name, known, trouble in (
                ("confirmed", {}, None), ("error", {}, {"status": 503}),
                ("confirmed by Google", {}, {"status": 400, "body": {"error": "invalid_token"}}),
                ("refused", {}, {"status": 400}), ("hung up", {}, {"close": True}),
                ("no endpoint", {"metadata": {at: None}}, None),
                ("null", {"server": dict(self.server.metadata, **{at: None})}, None),
                ("not found", {"metadata": {at: nobody}}, None),
                ("server down", {"metadata": {at: self.deaf()}}, None),
                ("no metadata", {"server": nobody}, None)):
            with self.subTest(name):
                # Two, as in two runs of a program: the second has not yet looked for a token.
                store = Store()
                first, second = [self.stranger(store=store, **known) for _ in range(2)]
                first.token = Token(HUSH, refresh_token=HUSH)
                if trouble:
                    self.server.script("/revoke", **trouble)
                self.assertIs(second.logout(), name.startswith("confirmed"))
                self.assertIsNone(store.record)
                self.assertIsNone(second.token)

    def test_it_is_undone_by_nobody_who_shares_the_store(self):
        known = {"revocation_endpoint": None}
        for leaving in 0, 1:                        # the one that saved it, the one that found it
            store = Store()
            users = [make(store=store, metadata=known) for make in (self.user, self.stranger)]
            users[1].get("me")
            record = store.record
            self.assertIs(users[leaving].logout(), False)
            self.server.expire()
            self.refused(LoginRequired, users[1 - leaving].get, "me")
            self.assertIsNone(store.record)
            store.record = record                   # out of a backup, say
            self.assertEqual(users[1 - leaving].get("me").status_code, 200)

    def test_in_a_store_that_cannot_be_written_it_does_not_speak_of_a_new_token(self):
        store = Store()
        user, store.broken = self.user(store=store), True
        with self.assertWarnsRegex(RuntimeWarning, "cannot save in .* holds is out of date"):
            user.logout()


# --- Token endpoint --------------------------------------------------------------------------

class GrantTest(ServerCase):
    def test_a_client_authenticates_in_the_header_or_the_form_or_sends_its_id(self):
        self.client().access_token()
        self.client("fake-post").access_token()
        self.server.script("/token", body=TOKEN)
        self.client("fake-public").access_token()
        post = {"client_id": "fake-post",
                "client_secret": self.server.clients["fake-post"]["client_secret"]}
        self.assertEqual(self.server.forms(), [
            dict(more, grant_type="client_credentials")
            for more in ({}, post, {"client_id": "fake-public"})])
        self.assertEqual(["Authorization" in request.headers for request in self.server.requests],
                         [True, False, False])

    def test_the_id_and_the_secret_are_form_encoded_before_base64_a_space_as_percent_20(self):
        for client_id, secret, pair in (
                ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw",        # RFC 6749 section 2.3.1
                 b"s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw"),
                ("i:ü-._~", ":%+/= é ~", b"i%3A%C3%BC-._~:%3A%25%2B%2F%3D%20%C3%A9%20~")):
            self.server.clients[client_id] = {
                "client_secret": secret, "token_endpoint_auth_method": "client_secret_basic"}
            self.client(client_id).access_token()
            self.assertEqual(self.server.requests[-1].headers["Authorization"],
                             "Basic " + base64.b64encode(pair).decode())

    def test_the_scope_is_a_string_or_any_strings(self):
        words = SCOPE.split()
        for scope in (SCOPE, words, tuple(words), (word for word in words), "  ".join(words)):
            self.client(scope=scope).access_token()
            self.assertEqual(self.server.forms()[-1],
                             {"grant_type": "client_credentials", "scope": SCOPE})

    def test_a_refresh_does_not_repeat_the_scope(self):
        client = self.user()
        old = client.token.refresh_token
        client.refresh()
        self.assertEqual(self.server.forms()[-1], {
            "grant_type": "refresh_token", "refresh_token": old, "client_id": "fake-public"})

    def test_any_other_grant_can_be_asked_for_and_nothing_is_kept_of_it(self):
        store = Store()
        client = self.client(store=store)
        self.server.script("/token", 200, {"access_token": "a", "refresh_token": "r"})
        jwt = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        token = client.request_token(jwt, assertion="x.y.z")
        self.assertEqual((token.access_token, token.refresh_token), ("a", "r"))
        self.assertEqual(self.server.forms(), [{"grant_type": jwt, "assertion": "x.y.z"}])
        self.assertEqual((client.token, store.record), (None, None))

    def test_token_parameters_go_with_every_grant_and_with_every_renewal(self):
        more = {"token_parameters": {"audience": "https://api.example/ü", "resource": "r"}}
        program, user = self.client(metadata=more), self.user(metadata=more)
        for client in (user, program):
            client.get("echo")
            self.server.expire()
            client.get("echo")
        self.server.script("/token", 200, {"access_token": "a"})
        program.request_token("urn:x", subject_token="s")
        self.assertEqual([form["grant_type"] for form in self.server.forms()],
                         ["authorization_code", "refresh_token", "client_credentials",
                          "client_credentials", "urn:x"])
        self.assertEqual(self.server.forms()[2], self.server.forms()[3])
        for form in self.server.forms():
            self.assertEqual((form["audience"], form["resource"]), ("https://api.example/ü", "r"))

class TokenAnswerTest(ServerCase):
    def ask(self, *answer, **settings):
        """The token out of this scripted answer."""
        self.server.script("/token", *answer)
        client = self.client(**settings)
        client.access_token()
        return client.token

    def error(self, *answer, **settings):
        return self.refused(TokenError, self.ask, *answer, **settings)

    def test_a_token_is_read_in_whatever_form_it_comes_and_kept_whole(self):
        plain = json.dumps({"access_token": "t", "scope": "a b"})
        for body, content_type in (
                (plain, "application/json; charset=utf-8"), (plain, "text/html"), (plain, FORM),
                (plain, "nonsense"), ("\ufeff" + plain, "application/json"),
                ("\n " + plain + "\n", "text/plain"), ("access_token=t&scope=a%20b", FORM),
                ("access_token=t&scope=a+b", "application/json"),
                ("access_token=t&scope=a%2Cb&", "text/plain")):
            with self.subTest(body=body, content_type=content_type):
                token = self.ask(200, body, {"Content-Type": content_type})
                self.assertEqual((token.access_token, token.scope), ("t", "a b"))
        raw = {"access_token": "t", "id_token": "i", "expires_in": "60", "x": {"y": [1]}}
        self.assertEqual(self.ask(200, raw).raw, raw)

    def test_the_life_of_a_token_is_read_tolerantly(self):
        for life, expected in ((60, 60), ("60", 60), (60.0, 60), ("60.5", 60.5), (None, None),
                               ("soon", None), ("", None), (-5, None), ("1e999", None),
                               (True, None), ([60], None), ({}, None), (10 ** 400, None),
                               (float("nan"), None), (float("inf"), None)):
            for name in ("expires_in", "expires"):
                with self.subTest(life=life, name=name), at(1e9):
                    token = self.ask(200, {"access_token": "t", name: life})
                    self.assertEqual(token.expires_at, expected and 1e9 + expected)
        with at(1e9):
            token = self.ask(200, "access_token=t&expires=60")
        self.assertEqual(token.expires_at, 1e9 + 60)

    def test_the_scope_is_read_tolerantly_and_a_changed_one_never_raises(self):
        for scope, expected in (("a b", "a b"), ("a,b", "a b"), ("a, b", "a b"),
                                (["a", "b"], "a b"), (None, None), (5, None), ({"a": 1}, None)):
            with self.subTest(scope=scope):
                token = self.ask(200, {"access_token": "t", "scope": scope}, scope=SCOPE)
                self.assertEqual(token.scope, expected)

    def test_whatever_the_token_type_bearer_is_sent(self):
        for kind in ({}, {"token_type": "bearer"}, {"token_type": "BEARER"}, {"token_type": None},
                     {"token_type": "Application Access Token"}, {"token_type": 5}):
            with self.subTest(kind):
                self.server.script("/token", 200, dict(kind, access_token="t"))
                self.server.script("/v1/echo")
                self.client().get("echo")
                self.assertEqual(self.server.requests[-1].headers["Authorization"], "Bearer t")

    def test_an_error_is_one_whatever_the_status_and_the_form(self):
        for status, body, error, description in (
                (400, {"error": "bad_scope", "error_description": "No"}, "bad_scope", "No"),
                (200, {"error": "bad_code", "error_description": "Old"}, "bad_code", "Old"),
                (200, {"error": "bad_code", "access_token": "t"}, "bad_code", None),
                (200, {"error": {"message": "Old"}, "access_token": "t"}, None, "Old"),
                (200, "error=bad_code&error_description=Too+old", "bad_code", "Too old"),
                (200, {"ok": False, "error": "invalid_auth"}, "invalid_auth", None),
                (401, {"error": "invalid_client"}, "invalid_client", None),
                (503, {"error": "temporarily_unavailable"}, "temporarily_unavailable", None)):
            with self.subTest(status=status, body=body):
                problem = self.error(status, body)
                self.assertEqual((problem.status, problem.error, problem.error_description),
                                 (status, error, description))
                self.assertIn(error or "", str(problem))
                self.assertIn(description or "", str(problem))

    def test_an_answer_without_a_usable_token_is_a_token_error_with_the_status(self):
        for status, body in (
                (200, ""), (200, "<html><p class=x>Hi"), (200, {}), (200, []), (200, "null"),
                (200, "7"), (200, b"\xff\xfe\x00="), (200, b'{"access_token": "\xff"}'),
                (200, "[" * 100000), (200, '{"access_token":' * 50000), (200, {"ok": False}),
                (200, {"access_token": None}), (200, {"access_token": ""}),
                (200, {"access_token": 7}), (200, {"access_token": ["t"]}),
                (200, {"access_token": "t\nX: 1"}), (200, {"access_token": "t\u20ac"}),
                (200, {"access_token": "t", "ok": False}), (400, {"access_token": "t"}),
                (400, {"error": 5}), (400, {"error": ["a"]}), (500, "<html>" * 9999), (502, ""),
                (200, json.dumps({"access_token": "t", "x": "x" * (3 << 20)}))):  # 1 MiB is read
            with self.subTest(status=status, body=body[:40] if isinstance(body, str) else body):
                self.assertEqual(self.error(status, body).status, status)

    def test_a_redirect_is_not_followed(self):
        other = self.another()
        for status in REDIRECTS:
            for url in (other.url + "/token", "/v1/echo"):
                with self.subTest(status=status, url=url):
                    self.assertEqual(self.error(status, "", {"Location": url}).status, status)
        self.assertEqual((other.connections, len(self.server.requests)), (0, 10))

    def test_an_error_after_odd_parameters_is_a_token_error_all_the_same(self):
        self.server.script("/token", 400, {"error": "bad", "error_description": "None of 5"})
        error = self.refused(TokenError, self.client().request_token, "urn:x", code=5, state=None,
                             password="")
        self.assertNotIn("5", error.error_description)

    def test_a_secret_with_odd_characters_gets_a_hint_where_the_client_is_refused(self):
        refusal = 401, {"error": "invalid_client"}
        self.assertIn("client_secret_post", str(self.error(*refusal)))
        self.assertNotIn("client_secret_post",
                         str(self.error(*refusal, client_secret="plain-enough")))

    def test_a_content_type_is_shown_but_not_if_it_repeats_a_secret(self):
        self.assertIn("text/html", str(self.error(500, "", {"Content-Type": "text/html"})))
        for secret in HUSH, "H-u-s-H":              # the library makes it lower case
            with self.subTest(secret):
                self.error(500, "", {"Content-Type": "text/x-" + secret}, client_secret=secret)

    def test_no_error_repeats_what_is_secret_even_if_the_server_does(self):
        secret, code, verifier, old = "hush/ü+%: &?", "hush-code/+?", "hush-v" * 9, "hush-old/+&?"
        client = self.stranger("fake-app", client_secret=secret)
        quote = urllib.parse.quote
        basic = base64.b64encode(("fake-app:" + quote(secret, safe="~")).encode()).decode()

        def exchange():
            client.request_token("authorization_code", code=code, code_verifier=verifier)

        for call, values in ((client.refresh, (secret, basic, old)),
                             (exchange, (secret, basic, code, verifier))):
            for value in values:
                lower = re.sub("%..", lambda match: match.group().lower(), quote(value))
                for echo in {value, quote(value), quote(value, ""), quote(value, "") + "=", lower,
                             urllib.parse.quote_plus(value)}:
                    for error in "invalid_grant", "invalid_client", echo, None:
                        client.token = Token("hush-access", "Bearer", 1, old)
                        text = "It is %s, is it? %s" % (echo, "x" * 5000)
                        self.server.script("/token", 400, {
                            "error": error, "error_description": text, "error_uri": text,
                            "message": text})
                        kind = TokenError
                        if call == client.refresh and error in ("invalid_grant", None):
                            kind = LoginRequired
                        self.secrets = [value, echo]
                        self.refused(kind, call)


class CompatibilityTest(ServerCase):
    """What real servers answer, by their documentation or by the bug trackers of other clients,
    and the right reading of it. The tokens are made up."""

    # Who, status and body. Then of a token its type, life, refresh token and scope; of an error
    # its code, its description, and whether it means that only a login helps, after a refresh.
    ANSWERS = (
        ("GitHub", 200, {"access_token": "t", "scope": "repo,gist", "token_type": "bearer"},
         ("bearer", None, None, "repo gist")),
        ("GitHub, as a form", 200, "access_token=t&expires_in=28800&refresh_token=r&scope=repo%2C"
         "gist&refresh_token_expires_in=15811200&token_type=bearer",
         ("bearer", 28800, "r", "repo gist")),
        ("GitHub, without a scope", 200, "access_token=t&scope=&token_type=bearer",
         ("bearer", None, None, None)),
        ("GitHub", 200, {"error": "incorrect_client_credentials", "error_description": "Check."},
         ("incorrect_client_credentials", "Check.", False)),
        ("GitHub, as a form", 200, "error=bad_verification_code&error_description=It+is+old.",
         ("bad_verification_code", "It is old.", False)),
        ("GitHub", 200, {"error": "bad_refresh_token", "error_description": "It is expired."},
         ("bad_refresh_token", "It is expired.", True)),
        ("Facebook", 200, {"access_token": "t", "token_type": "bearer", "expires_in": 5183944},
         ("bearer", 5183944, None, None)),
        ("Facebook, once", 200, "access_token=t&expires=5183999",
         ("Bearer", 5183999, None, None)),
        ("Facebook", 400, {"error": {"message": "Invalid.", "type": "OAuthException", "code": 1}},
         ("OAuthException", "Invalid.", False)),
        ("Slack", 200, {"ok": True, "access_token": "t", "token_type": "bot", "enterprise": None,
                        "scope": "chat:write,im", "authed_user": {"access_token": "another"}},
         ("bot", None, None, "chat:write im")),
        ("Slack", 200, {"ok": False, "error": "invalid_code"}, ("invalid_code", None, False)),
        ("Slack", 200, {"ok": False, "error": "invalid_refresh_token"},
         ("invalid_refresh_token", None, True)),
        ("Slack, without a reason", 200, {"ok": False, "access_token": "t"}, (None, None, False)),
        ("Spotify", 200, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600,
                          "refresh_token": "r", "scope": SCOPE}, ("Bearer", 3600, "r", SCOPE)),
        ("Spotify", 400, {"error": "invalid_grant", "error_description": "It was revoked"},
         ("invalid_grant", "It was revoked", True)),
        ("X", 200, {"token_type": "bearer", "expires_in": 7200, "access_token": "t",
                    "refresh_token": "r", "scope": "tweet.read offline.access"},
         ("bearer", 7200, "r", "tweet.read offline.access")),
        ("X", 400, {"error": "invalid_request", "error_description":
                    "Value passed for the token was invalid."},
         ("invalid_request", "Value passed for the token was invalid.", True)),
        ("X, for the program", 200, {"token_type": "bearer", "access_token": "AA%2FAA%3DBB"},
         ("bearer", None, None, None)),
        ("X, for the program", 403, {"errors": [{"code": 99, "message": "Unable to verify"}]},
         (None, None, False)),
        ("Google", 400, {"error": "invalid_grant", "error_description": "It has been revoked."},
         ("invalid_grant", "It has been revoked.", True)),
        ("Google", 401, {"error": "deleted_client"}, ("deleted_client", None, False)),
        ("Microsoft, version 1", 200, {
            "token_type": "Bearer", "expires_in": "3599", "ext_expires_in": "3599", "expires_on":
            "1000003599", "not_before": "1000000000", "resource": "r", "access_token": "t"},
         ("Bearer", 3599, None, None)),
        ("Microsoft", 400, {"error": "invalid_grant", "error_codes": [70000], "error_description":
                            "AADSTS70000: Expired.\r\nTrace ID: 1\r\n"},
         ("invalid_grant", "AADSTS70000: Expired. Trace ID: 1", True)),
        ("Auth0", 403, {"error": "invalid_grant", "error_description": "Unknown or invalid."},
         ("invalid_grant", "Unknown or invalid.", True)),
        ("Twitch", 200, {"access_token": "t", "expires_in": 14124, "refresh_token": "r", "scope":
                         ["channel:moderate", "chat:edit"], "token_type": "bearer"},
         ("bearer", 14124, "r", "channel:moderate chat:edit")),
        ("Twitch", 400, {"status": 400, "message": "Invalid refresh token"},
         (None, "Invalid refresh token", True)),
        ("Reddit", 401, {"message": "Unauthorized", "error": 401}, (None, "Unauthorized", True)),
        ("PayPal", 200, {"scope": "https://uri.paypal.com/a openid", "access_token": "t",
                         "token_type": "Bearer", "app_id": "APP-1", "expires_in": "32400"},
         ("Bearer", 32400, None, "https://uri.paypal.com/a openid")),
        ("NetSuite", 200, {"access_token": "t", "expires_in": "3600", "token_type": "bearer"},
         ("bearer", 3600, None, None)),
        ("SurveyMonkey", 200, {"access_token": "t", "token_type": "bearer", "expires_in": None},
         ("bearer", None, None, None)),
        ("Mailchimp", 200, {"access_token": "t", "expires_in": 0, "scope": None},
         ("Bearer", None, None, None)),
        ("eBay", 200, {"access_token": "t", "expires_in": 7200, "refresh_token": "r",
                       "refresh_token_expires_in": 47304000, "token_type": "User Access Token"},
         ("User Access Token", 7200, "r", None)),
        ("LinkedIn", 200, {"access_token": "t", "expires_in": 5184000, "scope": "openid,email"},
         ("Bearer", 5184000, None, "openid email")),
        ("Weibo", 200, {"access_token": "t", "remind_in": "157679999", "expires_in": 157679999},
         ("Bearer", 157679999, None, None)),
        ("QQ", 200, "access_token=t&expires_in=7776000&refresh_token=r",
         ("Bearer", 7776000, "r", None)),
        ("WeChat", 200, {"errcode": 40029, "errmsg": "invalid code"}, (None, None, False)),
        ("Shopify", 200, {"access_token": "t", "scope": "write_orders,read_customers"},
         ("Bearer", None, None, "write_orders read_customers")),
        ("Strava", 200, {"token_type": "Bearer", "expires_at": 1000021600, "expires_in": 21600,
                         "refresh_token": "r", "access_token": "t", "athlete": {"id": 1}},
         ("Bearer", 21600, "r", None)),
        ("Strava", 400, {"message": "Bad Request", "errors": [{"field": "refresh_token"}]},
         (None, "Bad Request", True)),
        ("Square", 200, {"access_token": "t", "token_type": "bearer", "expires_at":
                         "2001-10-09T01:46:40Z", "refresh_token": "r", "short_lived": False},
         ("bearer", None, "r", None)),
        ("Fitbit", 400, {"errors": [{"errorType": "invalid_grant", "message": "It is invalid"}],
                         "success": False}, (None, None, True)),
        ("HubSpot", 400, {"status": "BAD_REFRESH_TOKEN", "message": "invalid refresh token"},
         (None, "invalid refresh token", True)),
        ("SoundCloud", 401, {"code": 401, "message": "invalid_grant", "error": None},
         (None, "invalid_grant", True)),
        ("Deezer", 200, "access_token=t&expires=0", ("Bearer", None, None, None)),
        ("Deezer", 200, "wrong code", (None, None, False)),
        ("Zoho", 200, {"error": "invalid_code"}, ("invalid_code", None, False)),
        ("Keycloak", 200, {"access_token": "t", "expires_in": 300, "refresh_expires_in": 0,
                           "token_type": "Bearer", "not-before-policy": 0, "scope": "email"},
         ("Bearer", 300, None, "email")),
        ("glewlwyd", 200, {"token_type": "bearer", "access_token": "t", "iat": 1000000000,
                           "expires_in": 3600, "refresh_token": "r", "scope": "g_profile"},
         ("bearer", 3600, "r", "g_profile")),
        ("glewlwyd", 400, "", (None, None, True)),
        ("a byte order mark", 200, "\ufeff" + '{"access_token": "t", "expires_in": 60}',
         ("Bearer", 60, None, None)),
        ("nulls", 200, {"access_token": "t", "error": None, "refresh_token": None, "scope": ""},
         ("Bearer", None, None, None)),
        ("a proxy in between", 502, "<html><h1>Bad Gateway</h1>", (None, None, False)))

    def test_their_tokens(self):
        for who, status, body, reading in self.ANSWERS:
            if len(reading) == 4:
                with self.subTest(who, body=body), at(1e9):
                    self.server.script("/token", status, body, {"Content-Type": "text/plain"})
                    self.server.script("/v1/echo")
                    client = self.client()
                    client.get("echo")
                    kind, end, *more = client.token[1:5]
                    self.assertEqual((kind, end and end - 1e9, *[text or None for text in more]),
                                     reading)
                    self.assertEqual(self.server.requests[-1].headers["Authorization"],
                                     "Bearer " + client.token.access_token)

    def test_their_errors(self):
        for who, status, body, reading in self.ANSWERS:
            if len(reading) == 3:
                with self.subTest(who, body=body):
                    self.server.script("/token", status, body)
                    error = self.refused(TokenError, self.client().access_token)
                    self.assertEqual((error.status, error.error, error.error_description),
                                     (status, *reading[:2]))

    def test_after_which_of_them_only_a_login_helps(self):
        for who, status, body, reading in self.ANSWERS:
            if len(reading) == 3:
                with self.subTest(who, body=body):
                    client = self.client(grant_type="authorization_code")
                    client.token = Token(HUSH, expires_at=1, refresh_token=HUSH)
                    self.server.script("/token", status, body)
                    self.refused(LoginRequired if reading[2] else TokenError, client.access_token)

    def test_lemonldap_sends_no_refresh_token_with_a_refresh_and_the_old_one_stays(self):
        client = self.client(grant_type="authorization_code")
        client.token = Token("a", expires_at=1, refresh_token="r")
        for more in {}, {"refresh_token": None}, {"refresh_token": ""}:
            with self.subTest(more):
                self.server.script("/token", 200, dict(more, access_token="t", expires_in=3600))
                self.assertEqual((client.refresh().access_token, client.token.refresh_token),
                                 ("t", "r"))


# --- Client: keeping the token good ----------------------------------------------------------

class RenewalTest(ServerCase):
    def clients(self, **settings):
        """One for each grant that can be renewed, with a token."""
        program, user = self.client(**settings), self.user(**settings)
        program.access_token()
        return program, user

    def test_a_good_token_is_used_without_a_request_a_lock_or_a_look_into_the_store(self):
        store = Store()
        client = self.user(store=store)
        store.used.clear()
        sent, store.lock = len(self.server.requests), None
        self.assertEqual({client.access_token() for _ in range(100)}, {client.token.access_token})
        self.assertEqual((len(self.server.requests), store.used), (sent, []))

    def test_64_threads_that_meet_an_expired_token_cause_one_request(self):
        self.server.token_delay = 0.05
        for client in self.clients():
            for expire in (lambda: setattr(client, "token", aged(client.token)),
                           self.server.expire):
                with self.subTest(client=client, expire=expire):
                    expire()
                    sent = self.sent()
                    answers = together(lambda: client.get("echo"))
                    self.assertEqual([getattr(answer, "status_code", answer)
                                      for answer in answers], [200] * 64)
                    self.assertEqual(self.sent(), sent + 1)

    def test_16_processes_that_meet_an_expired_token_cause_one_request(self):
        client = self.user(store=self.path())
        client.token = aged(client.token)
        forks = 16 if hasattr(os, "fork") else 1    # they start sooner than interpreters
        for number, expire in enumerate((lambda: None, self.server.expire), 2):
            processes = [self.process("""
                import json, os
                from oauth2min import Client
                for _ in range(int(sys.argv[4]) - 1):
                    if not os.fork():
                        break
                with Client(json.loads(sys.argv[1]), "fake-public", store=sys.argv[2],
                            scope=sys.argv[3], grant_type="authorization_code") as client:
                    assert client.token
                    os.write(1, b"ready\\n")
                    os.read(0, 3)
                    os.write(1, b"%d\\n" % client.get("echo").status_code)
                """, json.dumps(self.server.metadata), self.path(), SCOPE, str(forks))
                for _ in range(16 // forks)]
            for process in processes:
                for _ in range(forks):
                    self.assertEqual(process.stdout.readline(), "ready\n")
            expire()
            for process in processes:
                process.stdin.write("go\n" * forks)
                process.stdin.flush()
            self.assertEqual("".join(process.stdout.read() for process in processes), "200\n" * 16)
            self.assertEqual(self.sent(), number)

    def test_an_api_that_always_answers_401_is_asked_twice_and_the_token_renewed_once(self):
        for client in self.clients():
            sent = self.sent()
            for _ in range(2):
                self.server.script("/v1/echo", 401)
            error = self.refused(ResponseError, client.get, "echo")
            self.assertEqual((error.response.status_code, self.sent()), (401, sent + 1))

    def test_without_anything_to_renew_from_a_login_is_required(self):
        self.server.issue_refresh_token = False
        client = self.user()
        self.server.expire()
        for _ in range(2):
            self.refused(LoginRequired, client.get, "echo")
        self.assertEqual(self.sent(), 1)

    def test_a_refresh_token_is_kept_when_the_answer_holds_none(self):
        self.server.rotate = False
        client = self.user(store=self.path())
        old = client.token
        client.refresh()
        self.assertNotEqual(client.token.access_token, old.access_token)
        self.assertEqual(client.token.refresh_token, old.refresh_token)
        self.assertEqual(self.stranger(store=self.path()).token, client.token)

    def test_a_rotated_refresh_token_is_replaced_and_saved_before_the_token_is_used(self):
        store, paths = Store(), []
        client = self.user(store=store)
        old, save = client.token.refresh_token, store.save
        store.save = lambda record: (save(record), paths.append(self.paths()[-1]))
        self.server.expire()
        client.get("echo")
        self.assertEqual(paths, ["/token"])
        self.assertEqual(self.paths()[-3:], ["/v1/echo", "/token", "/v1/echo"])
        self.assertNotIn(old, json.dumps(store.record))
        self.assertIn(client.token.refresh_token, json.dumps(store.record))

    def test_a_token_expires_30_seconds_early_but_by_no_more_than_a_tenth_of_its_life(self):
        for life, margin in ((3600, 30), (100, 10), (10, 1)):
            self.server.expires_in = life
            path = self.path(str(life))
            client = self.client(store=path)
            old = client.access_token()
            end = client.token.expires_at
            with at(end - margin - 0.5):
                self.assertEqual(client.access_token(), old)
                self.assertEqual(self.client(store=path).access_token(), old)
            with at(end - margin + 0.5):
                new = self.client(store=path).access_token()
                self.assertNotEqual(new, old)
                self.assertEqual(client.access_token(), new)

    def test_a_new_token_is_used_even_if_it_is_inside_the_margin_already(self):
        for client in self.clients():
            client.token = aged(client.token)
            self.server.script("/token", 200, {"access_token": "new", "expires_in": 1e-9})
            self.server.script("/v1/echo")
            client.get("echo")
            self.assertEqual(self.server.requests[-1].headers["Authorization"], "Bearer new")

    def test_without_expires_in_a_token_is_used_until_a_401(self):
        self.server.script("/token", 200, {"access_token": "timeless"})
        client = self.client()
        client.access_token()
        with at(time.time() + 1e9):
            self.assertEqual(client.access_token(), "timeless")
        client.get("echo")                  # the server does not know this token
        self.assertEqual(self.sent(), 2)

    def test_a_body_that_cannot_be_sent_twice_gets_its_401_but_the_next_has_a_new_token(self):
        client = self.client()
        client.access_token()
        self.server.expire()

        def upload():
            with client.open(urllib.request.Request(
                    self.server.url + "/v1/echo", io.BytesIO(b"x"), {"Content-Length": "1"},
                    method="POST")) as answer:
                return answer.status

        self.assertEqual(self.refused(ResponseError, upload).response.status_code, 401)
        self.assertEqual((upload(), self.sent()), (200, 2))

    def test_a_dead_refresh_token_is_tried_once_and_its_file_is_not_deleted(self):
        for answer in ((400, {"error": "invalid_grant"}), (400, ""), (401, ""), (400, "<p>No"),
                       (400, {"error": None})):
            with self.subTest(answer):
                client = self.user(store=self.path())
                client.token = aged(client.token)
                before, sent = self.read(), self.sent()
                self.server.script("/token", *answer)
                for error in together(client.access_token, 16) + together(client.access_token, 1):
                    self.assertIs(type(error), LoginRequired)
                self.assertEqual((self.read(), self.sent()), (before, sent + 1))

    def test_trouble_at_the_token_endpoint_does_not_cost_the_refresh_token(self):
        client = self.user()
        for answer, kind in (((500, "<h1>Oops</h1>"), TokenError), ((503, ""), TokenError),
                             ((429, ""), TokenError), ((200, ""), TokenError),
                             ((400, {"error": "temporarily_unavailable"}), TokenError),
                             ((401, {"error": "invalid_client"}), TokenError), ((), URLError)):
            with self.subTest(answer):
                client.token = aged(client.token)
                self.server.script("/token", *answer, close=not answer)
                self.refused(kind, client.access_token)
                client.access_token()
                forms = self.server.forms()
                self.assertEqual(forms[-1], forms[-2])

    def test_a_token_taken_over_from_the_store_that_gets_401_too_is_renewed(self):
        one, two = self.user(store=self.path()), self.stranger(store=self.path())
        two.access_token()
        one.refresh()
        self.server.expire()
        self.assertEqual(two.get("echo").status_code, 200)
        self.assertEqual(self.paths()[-4:], ["/v1/echo", "/v1/echo", "/token", "/v1/echo"])

    def test_after_invalid_grant_a_newer_token_in_the_store_is_used(self):
        other, store = Store(), Store()
        newer, client = self.user(store=other), self.user(store=store)
        sent, load = self.sent(), store.load
        # As if a process on another machine, out of the lock's reach, had been a moment faster.
        store.load = lambda: load() and (other.record if self.sent() > sent else store.record)
        client.token = aged(client.token)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.assertEqual(client.access_token(), newer.token.access_token)
        self.assertEqual((client.token, self.sent()), (newer.token, sent + 1))

    def test_after_invalid_grant_a_newer_token_that_has_expired_is_renewed(self):
        other, store = Store(), Store()
        newer, client = self.user(store=other), self.user(store=store)
        newer.token = aged(newer.token)
        sent, load = self.sent(), store.load
        store.load = lambda: load() and (other.record if self.sent() > sent else store.record)
        client.token = aged(client.token)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        old = client.token.refresh_token
        self.assertEqual(client.get("me").json()["id"], "ada")
        self.assertEqual([form["refresh_token"] for form in self.server.forms()[sent:]],
                         [old, newer.token.refresh_token])

    def test_what_the_server_wants_for_a_refresh_token_is_no_matter_if_there_was_one(self):
        client = self.user(metadata={"offline": "the scope stay"})
        client.token = aged(client.token)
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.assertNotIn("stay", str(self.refused(LoginRequired, client.access_token)))

    def test_another_process_finds_a_good_token_in_the_store_and_asks_for_none(self):
        token = self.client(store=self.path()).access_token()
        self.assertEqual(self.client(store=self.path()).access_token(), token)
        self.assertEqual(self.output("""
            import json
            from oauth2min import Client
            print(Client(json.loads(sys.argv[1]), "fake-app", "s", store=sys.argv[2]
                         ).access_token())
            """, json.dumps(self.server.metadata), self.path()), token + "\n")
        self.assertEqual(self.sent(), 1)

    @unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
    def test_after_a_fork_the_child_does_not_wait_for_a_thread_of_its_parent(self):
        asked, over = threading.Event(), threading.Event()
        answer = OK.replace(b"2\r\n\r\n{}", b'21\r\n\r\n{"access_token": "a"}')
        raw = self.raw([lambda connection, request: (
            asked.set(), over.wait(10), connection.sendall(answer))], [answer])
        self.addCleanup(over.set)
        client = self.client(metadata={"token_endpoint": raw.url + "/token"})
        thread = threading.Thread(target=client.access_token, daemon=True)
        thread.start()
        self.assertTrue(asked.wait(10))             # so now it has the lock
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)     # that this is dangerous
            child = os.fork()
        if not child:
            try:
                signal.alarm(10)
                os._exit(0 if client.access_token() == "a" else 2)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        over.set()
        thread.join(10)
        self.assertEqual((client.access_token(), len(raw.heard)), ("a", 2))

    def test_a_jump_of_the_clock_costs_at_most_one_request(self):
        for jump in (3600, -3600, 86400, -86400, 1e9, -1e9):
            for make in self.client, self.user:
                client = make()
                client.access_token()
                sent = self.sent()
                with at(time.time() + jump):
                    client.get("echo")
                client.get("echo")
                self.assertLessEqual(self.sent(), sent + 1)
                self.server.expire()
                client.get("echo")
                self.assertLessEqual(self.sent(), sent + 2)


# --- HTTP ------------------------------------------------------------------------------------

class RequestTest(ServerCase):
    def test_a_relative_url_is_appended_to_base_url(self):
        for base_url in ("/v1", "/v1/"):
            client = self.client(base_url=self.server.url + base_url)
            for url in ("echo", "/echo", self.server.url + "/v1/echo"):
                with self.subTest(base_url=base_url, url=url):
                    self.assertEqual(client.get(url).json()["target"], "/v1/echo")
        for url in "echo?q=" + HUSH, HUSH + "@127.0.0.1/echo", "me:%s@127.0.0.1" % HUSH:
            self.refused((ValueError, UnsafeURL)["me" in url],
                         self.client(metadata={"base_url": None}).get, url)

    def test_parameters_become_the_query(self):
        client = self.client()
        for url, params, target in (
                ("echo", {"a": 1, "b": "ü &="}, "/v1/echo?a=1&b=%C3%BC+%26%3D"),
                ("echo", [("a", 1), ("a", 2)], "/v1/echo?a=1&a=2"), ("echo", {}, "/v1/echo"),
                ("echo", {"a": [1, 2]}, "/v1/echo?a=1&a=2"), ("echo", (), "/v1/echo"),
                ("echo", "a=1&b=2", "/v1/echo?a=1&b=2"), ("echo#part", {"a": 1}, "/v1/echo?a=1"),
                ("echo?z=0", {"a": 1}, "/v1/echo?z=0&a=1"), ("echo?z=%20", None, "/v1/echo?z=%20"),
                ("echo", {"a": None, "b": 2}, "/v1/echo?b=2")):
            with self.subTest(url=url, params=params):
                self.assertEqual(client.get(url, params).json()["target"], target)

    def test_a_query_that_http_does_not_allow_is_a_mistake_and_no_matter_of_the_network(self):
        error = self.refused(ValueError, self.client().get, "echo", "q=a b" + HUSH)
        self.assertRegex(str(error), "address.*characters")

    def test_a_parameter_that_utf_8_cannot_hold_is_refused_and_not_quoted(self):
        client = self.client()
        for call in client.get, client.post:
            for value in {"a": HUSH + "\ud800"}, HUSH + "=\ud800":
                self.refused(ValueError, call, "echo", value)
        self.assertEqual(self.server.requests, [])
        self.server.script("/v1/a%ED%A0%80", 200, [1])
        self.assertEqual(client.get("a\ud800").json(), [1])

    def test_spaces_and_umlauts_in_a_path_are_quoted_and_nothing_is_quoted_twice(self):
        client = self.client()
        for path, sent in (("straße 1", "stra%C3%9Fe%201"), ("a%2Fb", "a%2Fb")):
            self.server.script("/v1/" + sent, 200, [path])
            self.assertEqual(client.get(path).json(), [path])

    def test_a_body_is_a_form_or_json_or_what_it_is(self):
        client = self.client()
        for given, kind, body in (
                ({"data": {"a": "ü b"}}, FORM, "a=%C3%BC+b"),
                ({"data": [("a", "1"), ("a", "2")]}, FORM, "a=1&a=2"),
                ({"json": {"a": [1, "x"]}}, "application/json", '{"a": [1, "x"]}'),
                ({"json": []}, "application/json", "[]"),
                ({"json": False}, "application/json", "false"),
                ({"data": "Zoë"}, None, "Zoë"), ({"data": b"\x01bytes"}, None, "\x01bytes")):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                with self.subTest(method=method, given=given):
                    echo = client.request(method, "echo", **given).json()
                    self.assertEqual((echo["method"], echo["body"]), (method, body))
                    self.assertIn(kind, (None, echo["content_type"]))
        echo = client.post("echo", "{}", params={"b": 2}, headers={"content-type": "x/own"}).json()
        self.assertEqual((echo["target"], echo["content_type"]), ("/v1/echo?b=2", "x/own"))
        for data in ({"a": 1}, {}, b""):
            self.refused(ValueError, client.post, "echo", data=data, json={"b": 2})

    def test_headers_of_a_request_come_before_those_of_the_client(self):
        self.client(headers={"X-One": "1", "X-Two": "1"}).get("echo", headers={"x-two": "2"})
        token, sent = [request.headers for request in self.server.requests]
        self.assertEqual((sent.get_all("X-One"), sent.get_all("X-Two")), (["1"], ["2"]))
        self.assertIsNone(token["X-One"])
        for headers in (token, sent):
            self.assertEqual(headers.get_all("User-Agent"), ["oauth2min/" + oauth2min.__version__])

    def test_a_header_that_is_not_allowed_or_the_clients_own_is_refused_and_not_quoted(self):
        client = self.client()
        for headers in ({"X": HUSH + "\r\nY: 1"}, {"X": HUSH + "\n"}, {"X": "\r" + HUSH},
                        {"X\r\nY": HUSH}, {"X:" + HUSH: "1"}, {"X " + HUSH: "1"}, {"": HUSH},
                        {"X": HUSH + "\x00"}, {"X": HUSH + "\u20ac"}, {"X:": "a"},
                        {"Authorization:" + HUSH: ""}, {"Authorization": "Basic " + HUSH},
                        {"authorization": HUSH}):
            request = urllib.request.Request(self.server.url + "/v1/echo", headers=headers)
            with self.subTest(headers=headers):
                self.refused(ValueError, self.client, headers=headers)
                self.refused(ValueError, client.get, "echo", headers=headers)
                self.refused(ValueError, client.post, "echo", headers=headers)
                self.refused(ValueError, client.open, request)
        self.assertEqual(self.server.requests, [])

class ResponseTest(ServerCase):
    def test_it_has_the_names_of_requests_and_httpx(self):
        self.server.script("/v1/echo", 201, {"name": "Zoë"}, {"X-One": "1"})
        answer = self.client().get("echo", {"q": HUSH})
        self.assertEqual(answer.status_code, 201)
        self.assertEqual([answer.headers[name] for name in ("X-One", "x-oNE")], ["1", "1"])
        self.assertEqual(answer.url, self.server.url + "/v1/echo?q=" + HUSH)
        self.assertEqual(answer.json(), {"name": "Zoë"})
        self.assertEqual((answer.content, answer.text),
                         (b'{"name": "Zo\\u00eb"}', '{"name": "Zo\\u00eb"}'))
        self.assertIn("201", repr(answer))
        self.assertNotIn(HUSH, repr(answer))

    def test_text_is_decoded_by_the_charset(self):
        client = self.client()
        for kind, body, text in (
                ("text/plain; charset=latin-1", "Zoë".encode("latin-1"), "Zoë"),
                ('text/plain; charset="UTF-16"', "Zoë".encode("utf-16"), "Zoë"),
                ("text/plain", "Zoë".encode(), "Zoë"), ("text/plain", b"Zo\xeb", "Zo\ufffd"),
                *[("text/plain; charset=" + charset, "Zoë".encode(), "Zoë")
                  for charset in ("nonsense", "undefined", "idna", "hex", "a\xff", "")]):
            with self.subTest(kind):
                self.server.script("/v1/echo", 200, body, {"Content-Type": kind})
                answer = client.get("echo")
                self.assertEqual((answer.text, answer.content), (text, body))
                self.assertRaises(ValueError, answer.json)

    def test_json_is_parsed_with_a_byte_order_mark_and_refused_with_a_value_error(self):
        client = self.client()
        self.server.script("/v1/echo", 200, "\ufeff[1]")
        self.assertEqual(client.get("echo").json(), [1])
        for body in "", "{", "[" * 100000, '{"a":' * 100000:
            self.server.script("/v1/echo", 200, body)
            with self.subTest(body[:9]):
                error = self.refused(ValueError, client.get("echo", {"q": HUSH}).json)
                self.assertEqual(str(error), "%s answered 200 with %d bytes that are not JSON: is "
                                 "this the right address?" % (self.server.url, len(body)))

    def test_an_answer_without_a_body_is_empty_and_its_connection_is_used_again(self):
        client, zipped = self.client(), {"Content-Encoding": "gzip"}
        for method, status, headers in (
                ("HEAD", 200, {}), ("HEAD", 200, zipped), ("GET", 204, {}), ("GET", 204, zipped),
                ("GET", 304, {}), ("GET", 200, {})):
            with self.subTest(method=method, status=status, headers=headers):
                self.server.script("/v1/echo", status, "" if method == "GET" else "1234", headers)
                answer = client.request(method, "echo")
                self.assertEqual((answer.status_code, answer.content, answer.text),
                                 (status, b"", ""))
                self.assertEqual(client.get("echo?n=1").json()["query"], {"n": "1"})
        self.assertEqual(self.server.connections, 1)

    def test_a_response_error_holds_the_answer_and_the_servers_own_explanation(self):
        client, why = self.hushed(), "Because of x"
        for status, body, headers in (
                (404, {"error": {"status": 404, "message": why}}, {}), (422, {"message": why}, {}),
                (403, {"title": "Forbidden", "detail": why, "status": 403},
                 {"Content-Type": "application/problem+json"}),
                (400, {"errors": [{"code": 1, "message": why}]}, {}),
                (400, {"error": "bad", "error_description": why}, {}),
                (403, "", {"WWW-Authenticate": 'Bearer error_description="%s"' % why}),
                (403, "", {"WWW-Authenticate": r'Bearer error_description="Isn\'t. %s"' % why}),
                (500, gzip.compress(b'{"message": "%s"}' % why.encode()),
                 {"Content-Encoding": "gzip"})):
            with self.subTest(body=body):
                self.server.script("/v1/echo", status, body, headers)
                error = self.refused(ResponseError, client.get, "echo", {"q": HUSH})
                self.assertEqual(error.response.status_code, status)
                for part in ("GET", "127.0.0.1", "/v1/echo", str(status), why):
                    self.assertIn(part, str(error))
        self.assertEqual(error.response.json(), {"message": why})

    def test_the_explanation_is_bounded_and_holds_no_token_and_no_query(self):
        client, url = self.hushed(), self.server.url + "/v1/echo?q=1&code=" + HUSH
        for text in ("x" * 9000, "the token %s is bad" % HUSH, "no %s here" % url, "\x00" * 5000,
                     "two\r\nlines\x1b[31m", "see /v1/echo?code=%s" % HUSH):
            challenge = 'Bearer error_description="%s"' % re.sub("[^ -~]", "", text)
            for body, headers in (({"message": text}, {}), ({"error": {"message": text}}, {}),
                                  ("", {"WWW-Authenticate": challenge})):
                with self.subTest(text=text[:40], body=str(body)[:20]):
                    self.server.script("/v1/echo", 400, body, headers)
                    self.refused(ResponseError, client.get, url)

    def test_the_token_that_was_sent_is_masked_even_if_it_has_been_replaced_since(self):
        def answer(connection, request):
            client.token = Token("another")         # as another thread might have done
            connection.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 29\r\n\r\n"
                               b'{"message": "h-u-s-h is bad"}')

        raw, client = self.played([answer])
        self.refused(ResponseError, client.get, "x")
        self.assertEqual(client.token.access_token, "another")

    def test_an_html_page_is_not_quoted(self):
        self.server.script("/v1/echo", 500, "<title>Oh no</title>error=1&message=Oh no",
                           {"Content-Type": "text/html"})
        error = self.refused(ResponseError, self.client().get, "echo")
        self.assertNotIn("Oh no", str(error))
        self.assertIn("Oh no", error.response.text)

class BearerTest(ServerCase):
    def setUp(self):
        super().setUp()
        self.other = self.another()
        self.there = self.other.url.partition("//")[2]

    def test_nothing_is_sent_to_another_origin_than_that_of_base_url(self):
        client, port = self.client(), self.server.url.rpartition(":")[2]
        for url in (self.other.url + "/v1/echo?q=" + HUSH, "HTTP://%s/v1/echo" % self.there,
                    "http://localhost:%s/v1/echo" % port, "https://127.0.0.1:%s/v1/echo" % port,
                    "http://%s@127.0.0.1:%s/v1/echo" % (HUSH, port),
                    "http://127.0.0.1:%s@%s/v1/echo" % (port, self.there),
                    "http://127.0.0.1:%s\\@%s/v1/echo" % (port, self.there),
                    "http://127.0.0.1:%s%%40%s/v1/echo" % (port, self.there),
                    "http:\\\\%s\\v1" % self.there, "http:///%s/v1/echo" % self.there,
                    "http:" + self.there, " \t" + self.other.url + "/v1/echo",
                    "http://127.0.0.1:%s0/v1/echo" % port, "http://127.0.0.1.:%s/v1/echo" % port,
                    "http://127.0.0.1\uff0e1:%s/v1/echo" % port,
                    "file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "mailto:x@example.com"):
            for call in (client.get, client.post, client.open,
                         lambda url: next(client.pages(url))):
                with self.subTest(url=url):
                    self.refused(UnsafeURL, call, url)
        self.assertEqual((self.server.requests, self.other.connections), ([], 0))

    def test_what_only_looks_like_another_origin_stays_at_home(self):
        for url in ("//%s/x", "\\\\%s\\x", "/\\%s/x", "@%s/x"):
            with self.subTest(url):
                error = self.refused(ResponseError, self.client().get, url % self.there)
                self.assertTrue(error.response.url.startswith(self.server.url + "/v1/"))
        self.assertEqual(self.other.connections, 0)

    def test_without_base_url_the_token_is_for_the_origin_that_the_caller_names(self):
        client = self.client(metadata={"base_url": None})
        for server in (self.server, self.other):
            server.script("/v1/x", 302, "", {"Location": self.server.url + "/v1/echo"})
        self.assertEqual(client.get(self.server.url + "/v1/x").json()["authorization"], "Bearer")
        self.assertIsNone(client.get(self.other.url + "/v1/x").json()["authorization"])
        self.assertIn("Bearer", self.other.requests[0].headers["Authorization"])
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://example.com/x",
                    "http://%s@127.0.0.1/x" % HUSH):
            self.refused(UnsafeURL, client.get, url)

    def test_pages_do_not_go_on_to_another_origin(self):
        for base_url in (self.server.url + "/v1", None):
            for link in (self.other.url + "/v1/echo", "//%s/v1/echo" % self.there, "file:///x",
                         "http://["):
                with self.subTest(base_url=base_url, link=link):
                    self.server.script("/v1/list", 200, {"next": link})
                    pages = self.client(metadata={"base_url": base_url}).pages(
                        self.server.url + "/v1/list")
                    self.assertEqual(next(pages), {"next": link})
                    self.refused(UnsafeURL, next, pages)
        self.assertEqual(self.other.connections, 0)

    def test_a_redirect_within_the_origin_keeps_the_token_and_the_headers(self):
        client = self.client(headers={"X-Mine": "1"})
        for status in REDIRECTS:
            self.server.script("/v1/old", status, "", {"Location": "echo?x=1"})
            answer, sent = client.get("old"), self.server.requests[-1].headers
            self.assertEqual((answer.url, answer.json()["authorization"], sent["X-Mine"]),
                             (self.server.url + "/v1/echo?x=1", "Bearer", "1"))

    def test_a_redirect_to_another_origin_loses_the_token_and_the_headers(self):
        client = self.client(headers={"X-Mine": HUSH})
        for status in REDIRECTS:
            for url in (self.other.url, self.server.url.replace("127.0.0.1", "localhost")):
                self.server.script("/v1/old", status, "", {"Location": url + "/v1/echo"})
                answer = client.get("old", headers={"Cookie": HUSH, "X-Own": HUSH})
                self.assertEqual((answer.url, answer.json()["authorization"]),
                                 (url + "/v1/echo", None))
                last = (self.other if url == self.other.url else self.server).requests[-1]
                self.assertNotIn(HUSH, str(last.headers))

    def test_a_401_from_another_origin_renews_nothing(self):
        self.server.script("/v1/old", 302, "", {"Location": self.other.url + "/v1/me"})
        error = self.refused(ResponseError, self.client().get, "old")
        self.assertEqual(error.response.status_code, 401)
        self.assertEqual((self.sent(), len(self.other.requests)), (1, 1))

    @needs_ssl
    def test_a_redirect_from_https_to_http_is_refused(self):
        secure, context = self.secure()
        secure.script("/v1/old", 302, "", {"Location": self.other.url + "/v1/echo?q=" + HUSH})
        client = self.client(metadata=secure.metadata, context=context)
        self.refused(UnsafeURL, client.get, "old")
        self.assertEqual(self.other.connections, 0)

    def test_a_redirect_may_be_written_in_utf_8(self):
        self.server.script("/v1/old", 302, "", {"Location": "straße 1".encode().decode("latin-1")})
        self.server.script("/v1/stra%C3%9Fe%201", 200, ["there"])
        self.assertEqual(self.client().get("old").json(), ["there"])

    def test_a_redirect_to_what_is_not_the_web_is_refused(self):
        client = self.client()
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/?" + HUSH, "data:,x",
                    "http://%s@127.0.0.1/x" % HUSH, "http://[", "http://[::1", "//[" + HUSH,
                    "file:" + HUSH, "x:/" + HUSH + "/y"):
            with self.subTest(url):
                self.server.script("/v1/old", 302, "", {"Location": url})
                self.refused(UnsafeURL, client.get, "old")

    def test_a_redirect_loop_ends(self):
        loop = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
        raw, client = self.played([loop] * 100)
        error = self.refused(ResponseError, client.get, "x")
        self.assertEqual(error.response.status_code, 302)
        self.assertLessEqual(len(raw.heard), 30)

    def test_a_redirect_sends_the_body_again_or_becomes_a_get_without_one(self):
        client = self.client()
        for status, method, becomes in ((301, "POST", "GET"), (302, "POST", "GET"),
                                        (303, "PUT", "GET"), (307, "POST", "POST"),
                                        (308, "PUT", "PUT"), (303, "HEAD", "HEAD")):
            with self.subTest(status=status, method=method):
                self.server.script("/v1/old", status, "", {"Location": "/v1/echo"})
                client.request(method, "old", json=None if method == "HEAD" else {"a": 1})
                last = self.server.requests[-1]
                self.assertEqual((last.method, last.path), (becomes, "/v1/echo"))
                self.assertEqual((last.body, last.headers["Content-Type"]),
                                 (b'{"a": 1}', "application/json") if becomes[0] == "P"
                                 else (b"", None))

    def test_a_huge_redirect_is_not_read(self):
        sent = []

        def flood(connection, request):
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\n")
            while len(sent) < 1000:
                connection.sendall(bytes(1 << 16))
                sent.append(1 << 16)

        raw, client = self.played([flood], [OK])
        self.assertEqual(client.get("x").json(), {})
        self.assertLess(sum(sent), 30 << 20)

class KeepAliveTest(ServerCase):
    def test_one_connection_serves_the_token_and_all_requests(self):
        client = self.client()
        for number in range(50):
            self.assertEqual(client.get("echo", {"n": number}).json()["query"], {"n": str(number)})
        self.assertEqual((self.server.connections, len(self.server.requests)), (1, 51))

    def test_an_idle_connection_that_the_server_closed_is_replaced(self):
        client = self.client()
        client.get("echo")
        for method in ("GET", "POST"):
            self.server.hang_up()
            self.assertEqual(client.request(method, "echo").json()["method"], method)
        self.assertEqual((self.server.connections, len(self.server.requests)), (3, 4))

    def test_what_got_no_answer_on_a_reused_connection_is_sent_again_if_idempotent(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"):
            with self.subTest(method):
                raw, client = self.played([OK, b""], [OK])
                client.get("x")
                heard, data = [(0, "GET"), (0, method)], b"1" if method[0] == "P" else None
                if method in ("POST", "PATCH"):
                    self.refused(URLError, client.request, method, "x", data=data)
                else:
                    self.assertEqual(client.request(method, "x", data=data).status_code, 200)
                    heard.append((1, method))
                self.assertEqual([(number, request.split()[0].decode())
                                  for number, request in raw.heard], heard)
                self.assertEqual(raw.accepted, heard[-1][0] + 1)

    def test_it_is_sent_again_only_once_and_never_on_a_fresh_connection(self):
        for script, connections, requests in (([[OK, b""], [b""], [OK]], 2, 3),
                                              ([[b""], [OK]], 1, 1), ([[], [OK]], 1, 0)):
            with self.subTest(script):
                raw, client = self.played(*script)
                if script[0][1:]:
                    client.get("x")
                self.refused(URLError, client.get, "x")
                self.assertEqual((raw.accepted, len(raw.heard)), (connections, requests))

    def test_a_body_that_breaks_off_is_an_error_and_not_asked_for_again(self):
        for head, body in ((b"200 OK\r\nContent-Length: 10", b"abc"),
                           (b"200 OK\r\nContent-Length: 10", b""),
                           (b"404 Not Found\r\nContent-Length: 10", b"abc"),
                           (b"404 Not Found\r\nContent-Length: 9999999", b"abc"),
                           (b"200 OK\r\nTransfer-Encoding: chunked", b"5\r\nab"),
                           (b"200 OK\r\nTransfer-Encoding: chunked", b"-1\r\nab"),
                           (b"200 OK\r\nTransfer-Encoding: chunked", b"2\r\nab\r\n")):
            for before in ([], [OK]):
                with self.subTest(head=head, body=body, before=before):
                    raw, client = self.played(
                        before + [b"HTTP/1.1 %s\r\n\r\n%s" % (head, body)], [OK])
                    for _ in before:
                        client.get("x")
                    self.refused(URLError, client.get, "x")
                    self.assertEqual(raw.accepted, 1)
                    self.assertEqual(client.get("x").json(), {})    # on a new connection

    def test_a_connection_is_used_again_when_the_server_allows_it(self):
        for answer, reused in (
                (OK, True), (OK.replace(b"Con", b"Connection: close\r\nCon"), False),
                (b"HTTP/1.0 200 OK\r\n\r\n{}", False), (b"HTTP/1.1 200 OK\r\n\r\n{}", False),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n", True),
                (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
                 True)):
            with self.subTest(answer):
                raw, client = self.played(*([[answer] * 2] if reused else [[answer]] * 2))
                self.assertEqual([client.get("x").json(), client.get("x").json()], [{}, {}])
                self.assertEqual(raw.accepted, 1 if reused else 2)

    def test_an_idle_connection_is_looked_at_where_there_is_no_poll_either(self):
        with mock.patch("oauth2min.select", types.SimpleNamespace(select=select.select)):
            client = self.client()
            for _ in range(2):
                client.post("echo")
            self.server.hang_up()
            client.post("echo")                     # which is not sent twice
        self.assertEqual((self.server.connections, len(self.server.requests)), (2, 4))

    def test_no_chunks_are_awaited_where_there_can_be_none(self):
        for status in b"204 No Content", b"304 Not Modified":
            raw = self.raw([b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n" % status, OK])
            client = self.hushed(base_url=raw.url, timeout=2)
            self.assertEqual((client.get("x").content, client.get("x").json()), (b"", {}))
            self.assertEqual(raw.accepted, 1)

    def test_connections_to_many_origins_make_room_for_those_to_others(self):
        client = self.hushed(metadata={"base_url": None})
        with mock.patch("oauth2min.MAX_IDLE", 2):
            for raw in [self.raw([OK, OK, OK]) for _ in range(4)]:
                for _ in range(3):
                    client.get(raw.url)
                self.assertEqual(raw.accepted, 1)

    @unittest.skipUnless(hasattr(select, "poll"), "select() here takes any number")
    def test_a_connection_is_used_again_with_a_thousand_files_open(self):
        files = [os.open(os.devnull, os.O_RDONLY)]
        self.addCleanup(lambda: [os.close(file) for file in files])
        try:
            while files[-1] < 1024:     # what select() can no longer take
                files.append(os.dup(files[0]))
        except OSError:
            self.skipTest("this process may not open that many files")
        client = self.client()
        for _ in range(3):
            client.get("echo")
        self.assertEqual(self.server.connections, 1)

    def test_a_stream_closed_early_is_not_used_again_and_one_read_to_its_end_is(self):
        for sizes, connections in (([], 2), ([1], 2), ([None], 1), ([7] * 99, 1)):
            before, client = self.server.connections, self.client()
            with client.open("echo?n=1") as answer:
                text = b"".join(answer.read(*[size] if size else []) for size in sizes)
            self.assertEqual(text.endswith(b"}"), connections == 1)
            self.assertEqual(client.get("echo?n=2").json()["query"], {"n": "2"})
            self.assertEqual(self.server.connections - before, connections)

    def test_a_reused_connection_has_the_clients_timeout(self):
        client = self.client(timeout=0.1)
        client.get("echo")
        self.server.script("/v1/echo", delay=20)
        began = time.monotonic()
        error = self.refused(URLError, client.get, "echo")
        self.assertIsInstance(error.reason, socket.timeout)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual((self.server.connections, len(self.server.requests)), (1, 3))

    def test_close_and_the_end_of_a_client_close_its_connections(self):
        for end in (Client.close, lambda client: client.__exit__(None, None, None), None):
            with self.subTest(end):
                raw = self.raw([OK, OK])
                client = Client(dict(self.server.metadata, base_url=raw.url), "fake-app", "x")
                client.token = Token(HUSH)
                client.get("x")
                if end:
                    end(client)
                else:
                    del client
                    gc.collect()
                self.assertTrue(raw.left.wait(5))

    def test_a_connection_that_is_taken_during_a_close_is_not_closed(self):
        raw, client = self.played([OK], [OK, OK])
        with client.open("x") as first:             # so there are two
            client.get("x")
            first.read()
        (key, idle), taken = client._connections.idle.popitem(), []

        class Idle(type(idle)):
            def pop(self):
                if self.closing:
                    return super().pop()
                self.closing = True                 # after one, another thread takes the next
                for connection in self:
                    connection.close = lambda close=connection.close: (
                        taken or taken.append(super(Idle, self).pop()), close())
                client.close()
                return taken[0]

        client._connections.idle[key] = Idle(idle)
        Idle.closing = False
        self.assertEqual(client.post("x").json(), {})

    def test_64_threads_each_get_their_own_answer(self):
        client, names = self.client(), iter(range(64))

        def work():
            name, right = next(names), 0
            for number in range(8):
                mine = {"n": "%d-%d" % (name, number)}
                echo = client.request("GET" if number % 3 else "POST", "echo", mine).json()
                right += echo["query"] == mine and echo["authorization"] == "Bearer"
            return right

        self.assertEqual(together(work), [8] * 64)
        self.assertEqual((self.sent(), len(self.server.requests)), (1, 1 + 64 * 8))
        self.assertLessEqual(self.server.connections, 65)

    @unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
    def test_after_a_fork_parent_and_child_have_connections_of_their_own(self):
        client = self.client()
        client.get("echo")

        def works(name):
            return all(client.get("echo", {"n": name * number}).json()["query"]
                       == {"n": name * number} for number in range(1, 9))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)     # the threads are the server's
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

class ProxyTest(ServerCase):
    """A FakeServer can be the proxy for plain HTTP: it answers itself, whatever the host."""

    CREDENTIALS = "Basic " + base64.b64encode(b"me:h-u-s-h/@").decode()

    def setUp(self):
        super().setUp()
        self.proxy = self.another()
        self.address = self.with_password(self.proxy.url)

    @staticmethod
    def with_password(url):
        return url.replace("//", "//me:h-u-s-h%2F%40@")

    @staticmethod
    def tunnel(connection, request):
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

    def behind(self, answer):
        """A recording proxy, a TLS server, and a client that goes through the one to the other."""
        raw = self.raw([answer])
        os.environ["https_proxy"] = self.with_password(raw.url)
        secure, context = self.secure()
        return raw, secure, self.client(metadata=secure.metadata, context=context)

    def test_plain_requests_go_through_the_proxy_of_the_environment(self):
        os.environ["http_proxy"] = self.address
        self.assertEqual(self.client().get("echo").json()["target"], self.server.url + "/v1/echo")
        self.assertEqual([(request.target, request.headers["Host"],
                           request.headers.get_all("Proxy-Authorization"))
                          for request in self.proxy.requests],
                         [(self.server.url + path, self.server.url[7:], [self.CREDENTIALS])
                          for path in ("/token", "/v1/echo")])
        self.assertEqual((self.proxy.connections, self.server.connections), (1, 0))

    def test_a_proxy_handler_takes_the_place_of_the_environment(self):
        os.environ["http_proxy"] = self.another().url
        handler = urllib.request.ProxyHandler({"http": self.proxy.url})
        self.client(handlers=[handler]).get("echo")
        self.assertEqual((len(self.proxy.requests), self.server.connections), (2, 0))
        self.assertNotIn("Proxy-Authorization", self.proxy.requests[0].headers)
        self.client(handlers=iter([urllib.request.ProxyHandler({})])).get("echo")
        self.assertEqual((len(self.proxy.requests), len(self.server.requests)), (2, 2))

    def test_no_proxy_is_honoured(self):
        os.environ.update(http_proxy=self.address, no_proxy="127.0.0.1")
        self.client().get("echo")
        self.assertEqual((len(self.server.requests), self.proxy.connections), (2, 0))
        self.assertNotIn("Proxy-Authorization", self.server.requests[0].headers)

    @needs_ssl
    def test_https_goes_through_one_tunnel_and_the_password_stays_outside(self):
        raw, secure, client = self.behind(self.tunnel)
        for _ in range(3):
            self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual((raw.accepted, secure.connections, len(secure.requests)), (1, 1, 4))
        [(_, request)] = raw.heard
        self.assertTrue(request.startswith(b"CONNECT %s HTTP/1." % secure.url[8:].encode()))
        self.assertIn(("Proxy-Authorization: %s\r\n" % self.CREDENTIALS).encode(), request)
        self.assertNotIn(b"\nAuthorization:", request)
        for request in secure.requests:
            self.assertNotIn("Proxy-Authorization", request.headers)
            self.assertTrue(request.target.startswith("/"))

    def test_a_proxy_that_asks_for_a_password_is_an_error_that_says_so(self):
        os.environ["http_proxy"] = self.address
        client = self.client()
        self.proxy.script("/token", 407, "<html>")
        self.assertEqual(self.refused(TokenError, client.get, "echo").status, 407)
        self.proxy.script("/v1/echo", 407, "<html>")
        self.assertIn("407", str(self.refused(ResponseError, client.get, "echo")))

    @needs_ssl
    def test_a_tunnel_that_is_refused_is_a_network_error(self):
        warnings.simplefilter("ignore", ResourceWarning)    # http.client's own, on Python 3.6
        _, secure, client = self.behind(b"HTTP/1.1 407 h-u-s-h\r\nContent-Length: 0\r\n\r\n")
        self.assertIn("407", str(self.refused(URLError, client.get, "echo")))
        self.assertEqual(secure.connections, 0)

    def test_an_odd_address_is_a_mistake_and_its_password_is_not_shown(self):
        os.environ["no_proxy"] = "10.0.0.0/8, .example"
        for address in "http:/me:h-u-s-h@127.0.0.1:1", "http://me:h-u-s-h/@127.0.0.1:1":
            for variable in "http_proxy", "https_proxy":
                with self.subTest(address), mock.patch.dict(os.environ, {variable: address}):
                    self.assertIn(variable, str(self.refused(ValueError, self.client)))
            self.refused(ValueError, self.client,
                         handlers=[urllib.request.ProxyHandler({"https": address})])
        for address in "proxy:3128", "me:pass@proxy:3128", "http://proxy:3128/", "socks5://proxy":
            with self.subTest(address), mock.patch.dict(os.environ, http_proxy=address):
                self.client()

    def test_plain_http_is_not_sent_across_the_network_to_a_proxy(self):
        for address in ("http://proxy.invalid:3128", self.with_password("http://proxy.invalid:1")):
            os.environ["http_proxy"] = address
            self.refused(UnsafeURL, self.client().get, "echo")

    def test_nor_through_a_proxy_on_this_machine(self):
        os.environ["http_proxy"] = self.proxy.url
        self.proxy.script("/v1/old", 302, "", {"Location": "http://api.example/v1/echo"})
        self.refused(UnsafeURL, self.client().get, "old")
        self.assertEqual([request.path for request in self.proxy.requests], ["/token", "/v1/old"])

@needs_ssl
class TLSTest(ServerCase):
    def test_context_is_for_the_token_the_api_and_the_metadata(self):
        secure, context = self.secure()
        client = self.client(metadata=secure.metadata, context=context)
        self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual((secure.connections, len(secure.requests)), (1, 2))
        self.assertTrue(self.client(server=secure.url, context=context).access_token())
        self.assertEqual(discover(secure.url, context)["issuer"], secure.url)

    def test_a_connection_with_bytes_left_inside_of_tls_is_not_used_again(self):
        secure, context = self.secure()
        client = self.client(metadata=secure.metadata, context=context)
        secure.script("/v1/echo", raw=OK + b"x" * 12000)        # in one record
        client.get("echo")
        self.assertEqual(client.get("echo").json()["authorization"], "Bearer")
        self.assertEqual(secure.connections, 2)

    def test_a_ca_that_is_not_trusted_is_an_error_that_tells_the_way_out(self):
        secure, _ = self.secure()
        for metadata in (secure.metadata, {"base_url": secure.url}):
            error = self.refused(URLError, self.client(metadata=metadata).get, "x")
            for part in ("127.0.0.1", "certificate", "SSL_CERT_FILE", "context="):
                self.assertIn(part, str(error))
        self.assertEqual(secure.requests, [])

    def test_one_context_lasts_as_long_as_the_client(self):
        secure, _ = self.secure()
        os.environ["SSL_CERT_FILE"] = self.path("tls.pem")
        client, create, load = (self.client(metadata=secure.metadata), ssl.create_default_context,
                                ssl.SSLContext.load_default_certs)
        with mock.patch.object(ssl, "create_default_context", side_effect=create) as created, \
                mock.patch.object(ssl.SSLContext, "load_default_certs", autospec=True,
                                  side_effect=load) as loaded:
            for _ in range(3):
                client.get("echo")
                secure.hang_up()
        self.assertEqual(secure.connections, 3)
        self.assertLessEqual(max(created.call_count, loaded.call_count), 1)

class RateLimitTest(ServerCase):
    def test_retry_after_is_found_wherever_the_server_puts_it(self):
        now, client = int(time.time()), self.client()
        soon, past = (email.utils.formatdate(now + s, usegmt=True) for s in (50, -50))
        for status, headers, seconds in (
                (429, {"Retry-After": "50"}, 50), (503, {"Retry-After": "50"}, 50),
                (429, {"Retry-After": soon}, 50), (503, {"Retry-After": soon}, 50),
                (429, {"x-rate-limit-reset": str(now + 50)}, 50),               # X
                (429, {"x-ratelimit-reset": str(now + 50)}, 50),                # GitHub
                (429, {"x-ratelimit-reset": "50"}, 50), (429, {"x-ratelimit-reset": "50.0"}, 50),
                (429, {"x-rate-limit-reset": str(now + 900), "Retry-After": "50"}, 50),
                (429, {"x-ratelimit-reset": "7", "Retry-After": soon}, 50), (429, {}, 1),
                (429, {"x-rate-limit-reset": str(now + 900), "Retry-After": "0"}, 1),
                (503, {"x-ratelimit-reset": "900", "Retry-After": "0"}, 1),
                (429, {"Retry-After": "0"}, 1), (429, {"Retry-After": past}, 1),
                (429, {"x-rate-limit-reset": str(now - 50)}, 1)):
            with self.subTest(status=status, headers=headers):
                self.server.script("/v1/echo", status, {"message": "Slow"}, headers)
                with mock.patch("time.sleep") as sleep:
                    error = self.refused(RateLimited, client.get, "echo", {"q": HUSH})
                sleep.assert_not_called()
                self.assertEqual(error.response.status_code, status)
                self.assertAlmostEqual(error.retry_after, seconds, delta=3 if seconds > 1 else 0)

    def test_nonsense_is_a_second_or_more_and_an_end_is_in_sight(self):
        client = self.client()
        for text in ("soon", "", "-5", "nan", "inf", "-inf", "1e999", "9" * 400, "0x10", "\xb2",
                     "Mon, 99 Foo 2024 25:61:61 GMT", "Fri, 31 Dec 9999999999 23:59:59 GMT",
                     "Fri, 31 Dec 9999 23:59:59 GMT", "Thu,\xa0Jan 1:2:3:4\xa0,\xa00\xa0\xa0\xa0"):
            for name in ("Retry-After", "x-rate-limit-reset"):
                with self.subTest(name=name, text=text):
                    self.server.script("/v1/echo", 429, "", {name: text})
                    error = self.refused(RateLimited, client.get, "echo")
                    self.assertTrue(1 <= error.retry_after <= 1e9, error.retry_after)

    def test_503_without_retry_after_is_a_plain_response_error(self):
        self.server.script("/v1/echo", 503, "")
        self.refused(ResponseError, self.client(max_wait=60).get, "echo")

    def naps(self, max_wait, waits, call=lambda client: client.get("echo").status_code,
             status=429):
        """How long a call sleeps whose first answers ask for these waits, and how it ends."""
        for seconds in waits:
            self.server.script("/v1/echo", status, "", {"Retry-After": str(seconds)})
        naps, client = [], self.client(max_wait=max_wait)
        with mock.patch("time.sleep", naps.append):
            try:
                return naps + [call(client)]
            except RateLimited:
                return naps + ["limited"]

    def test_max_wait_bounds_all_the_naps_of_a_request_together(self):
        for max_wait, waits, naps in (
                (60, [20, 20], [20, 20, 200]), (60, [60], [60, 200]), (60, [61], ["limited"]),
                (50, [20, 20, 20], [20, 20, "limited"]), (3, [0, 0, 0, 0], [1, 1, 1, "limited"]),
                (0, [0], ["limited"]), (0.5, [0], ["limited"])):
            with self.subTest(max_wait=max_wait, waits=waits):
                self.assertEqual(self.naps(max_wait, waits), naps)
        self.assertEqual(self.naps(9, [5], status=503), [5, 200])

    def test_only_a_rate_limit_is_waited_for(self):
        self.server.script("/v1/echo", 404)
        with mock.patch("time.sleep") as sleep:
            self.refused(ResponseError, self.client(max_wait=float("inf")).get, "echo")
        sleep.assert_not_called()

    def test_every_way_to_ask_waits_and_sends_the_same_again(self):
        def stream(client):
            with client.open("echo") as answer:
                return answer.status

        for call, result in ((lambda client: client.post("echo", {"a": 1}).json()["body"], "a=1"),
                             (lambda client: len(list(client.pages("echo"))), 1), (stream, 200)):
            self.assertEqual(self.naps(60, [7], call), [7, result])

class GzipTest(ServerCase):
    ZIPPED = {"Content-Encoding": "gzip"}

    def peak(self, kind, client):
        """The memory in MiB that a refused answer takes."""
        tracemalloc.start()
        try:
            self.refused(kind, client.get, "echo")
            return tracemalloc.get_traced_memory()[1] >> 20
        finally:
            tracemalloc.stop()

    @staticmethod
    def bomb(megabytes):
        """Zeros, a thousandfold compressed. The blocks are equal, so only two have to be made."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
        first, more = (deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
                       for _ in range(2))
        return first + more * (megabytes - 1)

    def test_gzip_is_asked_for_and_undone_but_not_by_open(self):
        client, body = self.client(), gzip.compress(b"[1]")
        for name in ("gzip", "GZIP", "x-gzip"):
            self.server.script("/v1/echo", 200, body, {"Content-Encoding": name})
            self.assertEqual(client.get("echo").json(), [1])
            self.assertIn("gzip", self.server.requests[-1].headers["Accept-Encoding"])
        self.server.script("/v1/echo", 200, body, self.ZIPPED)
        with client.open("echo") as answer:
            self.assertEqual(answer.read(), body)
        self.assertNotIn("gzip", self.server.requests[-1].headers.get("Accept-Encoding", ""))
        self.assertEqual(self.server.connections, 1)

    def test_honest_data_is_let_through_and_a_bomb_is_not(self):
        client, limit = self.client(), 16 << 20
        self.assertEqual(oauth2min.MAX_CONTENT, 256 << 20)      # which would take a second here
        with mock.patch("oauth2min.MAX_CONTENT", limit):
            self.server.script("/v1/echo", 200, gzip.compress(bytes(limit), 1), self.ZIPPED)
            self.assertEqual(len(client.get("echo").content), limit)
            self.server.script("/v1/echo", 200, gzip.compress(bytes(limit + 1), 1), self.ZIPPED)
            self.refused(URLError, client.get, "echo")
            self.server.script("/v1/echo", 200, self.bomb(60), self.ZIPPED)
            self.assertLess(self.peak(URLError, client), 40)    # room to join the parts
        self.assertEqual(client.get("echo?n=1").json()["query"], {"n": "1"})

    def test_errors_and_token_answers_are_no_place_for_a_bomb(self):
        for path, kind in (("/token", TokenError), ("/v1/echo", ResponseError)):
            for body, headers in ((self.bomb(200), self.ZIPPED), (b" " * (20 << 20), {})):
                self.server.script(path, 400, body, headers)
                client = self.client() if path == "/token" else self.hushed()
                self.assertLess(self.peak(kind, client), 30)

    def test_broken_gzip_is_a_network_error(self):
        client, good = self.client(), gzip.compress(bytes(range(256)) * 9)
        for body in (b"plain", good[:5], good[:-9], good[:-8] + b"\x00" * 8,
                     good[:20] + b"\xff" * 9 + good[29:], b"\x1f\x8b"):
            with self.subTest(body[:20]):
                self.server.script("/v1/echo", 200, body, self.ZIPPED)
                self.refused(URLError, client.get, "echo")
                self.assertEqual(client.get("echo?n=1").json()["query"], {"n": "1"})

class PagesTest(ServerCase):
    def walk(self, *answers, params=None, **named):
        """Plays pages, each a body or (body, Link headers), and returns the queries asked for."""
        answers = [answer if isinstance(answer, tuple) else (answer,) for answer in answers]
        for body, *links in answers:
            headers = [("Link", link) for link in links]
            self.server.script("/v1/list", 200, json.dumps(body), headers)
        self.assertEqual(list(self.client().pages("list", params, **named)),
                         [body for body, *_ in answers])
        asked = self.server.requests[-len(answers):]
        return [request.target.partition("?")[2] for request in asked]

    def test_the_next_link_is_found_by_itself(self):
        url = self.server.url + "/v1/list"
        for first in (
                ([], '<%s?p=1>; rel="prev", <%s?p=2>; rel="next"' % (url, url)),
                ([], "</v1/list?p=2>; rel=next"), ([], '<list?p=2>;rel="last next"'),
                ([], '<?p=2>; title="a, b; <c>"; REL="Next"'), ([], '<?p=2>; rel="next"; title=x'),
                ([], '<?p=1>; rel="first"', '<?p=2>; rel="next"'),
                ([], '<?a=1,2>; rel="prev",<?p=2>; rel="next"'),
                ({"next": "/other"}, '<?p=2>; rel="next"'),
                ({"next": url + "?p=2"}, '<?p=1>; rel="prev"'),
                {"next": url + "?p=2"}, {"next": "list?p=2"}, {"next": "?p=2"},
                {"@odata.nextLink": url + "?p=2", "value": []},
                {"artists": {"next": url + "?p=2", "items": []}},
                {"next": "?p=2", "inner": {"next": "?p=3"}},
                {"paging": {"next": "?p=2"}, "inner": {"next": None}}):
            with self.subTest(first):
                self.assertEqual(self.walk(first, {"last": 1}, params={"p": 1}), ["p=1", "p=2"])

    def test_next_names_the_link(self):
        for following, first in (
                ("paging.next", {"paging": {"next": "?p=2"}, "next": "?p=3"}),
                ("@odata.nextLink", {"@odata.nextLink": "?p=2"}), ("a", {"a": "?p=2"}),
                (lambda page: page.get("a") and page["a"][0], {"a": ["?p=2"]})):
            with self.subTest(first):
                self.assertEqual(self.walk(first, {"last": 1}, next=following), ["", "p=2"])

    def test_next_may_be_a_cursor_and_its_parameter(self):
        cursor, pages = ("meta.next", "token"), [{"meta": {"next": next}} for next in ("t 2&", 3)]
        self.assertEqual(self.walk(*pages, {"meta": {}}, params={"a": "1", "token": "0"},
                                   next=cursor),
                         ["a=1&token=0", "a=1&token=t+2%26", "a=1&token=3"])
        self.assertEqual(self.walk(pages[1], pages[1], next=cursor), ["", "token=3"])

    def test_the_end_is_a_link_that_is_missing_null_empty_or_seen_before(self):
        for last in ({}, {"next": None}, {"next": ""}, [], None, "text", {"next": "?p=1"},
                     {"next": "list?p=1#top"}, {"a": {"next": None}}, ([], '<?p=9>; rel="prev"'),
                     {"next": None, "inner": {"next": "?p=9"}},
                     ([], "<?p=9>; rel=nextish"), ([], '<?p=9>; rel="prev"; title="; rel=next"'),
                     ([], "<?p=9>; rev=next")):
            with self.subTest(last):
                self.assertEqual(self.walk(last, params="p=1"), ["p=1"])
        self.assertEqual(self.walk({"next": "?p=2"}, {"next": "?p=1"}, params="p=1"),
                         ["p=1", "p=2"])

    def test_two_next_links_are_for_the_caller_to_choose_from(self):
        page = {"artists": {"next": "?p=2"}, "albums": {"next": "?p=3"}}
        self.server.script("/v1/list", 200, page)
        pages = self.client().pages("list")
        self.assertEqual(next(pages), page)
        self.assertIn("next=", str(self.refused(ValueError, next, pages)))
        self.assertEqual(self.walk(page, {}, next="albums.next"), ["", "p=3"])

    def test_a_hostile_link_header_takes_no_time(self):
        started = time.monotonic()
        self.walk(([], "<" * 30000, "<a>" + ";" * 30000, "<a>; rel=" + '"' * 30000))
        self.assertLess(time.monotonic() - started, 1)

    def test_a_link_that_is_no_address_is_refused(self):
        for link, following in (
                ("http://[", None), ("http://[", "link"), (5, "link"), (["?p=2"], "link"),
                ({"href": "?p=2"}, "link"), (0, lambda page: b"?p=2")):
            self.server.script("/v1/list", 200, {"next": link, "link": link})
            pages = self.client().pages("list", next=following)
            with self.subTest(link=link):
                next(pages)
                self.refused(UnsafeURL, next, pages)
        self.server.script("/v1/list", 200, [], {"Link": "<http://[>; rel=next"})
        self.refused(UnsafeURL, list, self.client().pages("list"))

    def test_a_page_is_fetched_when_it_is_asked_for_and_with_a_fresh_token(self):
        client, ids = self.client(), []
        for number, page in enumerate(client.pages("artists/%022d/albums" % 7, {"limit": 10}), 1):
            ids += [album["id"] for album in page["items"]]
            # A token and a page, and from then on a refusal, another token and a page.
            self.assertEqual(len(self.server.requests), 3 * number - 1)
            self.server.expire()
        self.assertEqual((len(set(ids)), len(ids), self.sent()), (27, 27, 3))

class NetworkErrorTest(ServerCase):
    def failed(self, client, kind, host="127.0.0.1"):
        error = self.refused(URLError, client.get, "echo", {"q": HUSH})
        self.assertIn(host, str(error))
        self.assertRegex(str(error), "(?i)check|try|raise|use")
        self.assertIsInstance(error.reason, kind)
        return str(error)

    def test_a_server_that_is_down(self):
        url = self.deaf()
        for settings in ({"server": url, "base_url": url}, {"metadata": {"token_endpoint": url}},
                         {"metadata": {"base_url": url}}):
            with self.subTest(settings):
                self.failed(self.client(**settings), ConnectionRefusedError)

    def test_a_host_that_nobody_knows(self):
        client = self.hushed(base_url="https://nothing.invalid/v1")
        # What the answer would be depends on the network that the tests run in.
        unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=unknown):
            self.failed(client, socket.gaierror, "nothing.invalid")

    def test_a_host_name_that_nobody_can_have(self):
        client = self.hushed(metadata={"base_url": None})
        for host in "a..example", "a" * 64 + ".example":
            self.refused(ValueError, client.get, "https://%s/x?%s" % (host, HUSH))

    def test_a_server_that_does_not_answer_in_time(self):
        client = self.client(timeout=0.1)
        for path, raw in (("/token", b""), ("/v1/echo", b""),
                          ("/v1/echo", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[")):
            self.server.script(path, raw=raw)
            self.assertIn("time", self.failed(client, socket.timeout))

    def test_a_server_that_does_not_speak_http(self):
        head = b"HTTP/1.1 200 OK\r\n"
        for answer in (b"SSH-2.0-OpenSSH_9 h-u-s-h\r\n\r\n", b"\x15\x03\x01\x00", b"HTTP/1.1 2",
                       b"HTTP/1.1 two OK\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n",
                       head + b"X: " + b"a" * 70000 + b"\r\n\r\n",
                       head + b"X: 1\r\n" * 200 + b"\r\n",
                       head + b"Transfer-Encoding: chunked\r\n\r\nh-u-s-h\r\n"):
            for path in ("/token", "/v1/echo"):
                with self.subTest(answer=answer[:60], path=path):
                    self.server.script(path, raw=answer, close=True)
                    self.failed(self.client(), OSError)

class TraceTest(ServerCase):
    def setUp(self):
        super().setUp()
        self.trace = []

    def traced(self, client_id, **settings):
        return self.client(client_id, trace=self.trace.append, **settings)

    def hides(self, *secrets):
        """None of the secrets is in the trace, neither as it is nor as it was sent."""
        text = "\n".join(self.trace)
        for secret in secrets + (HUSH, "fake secret/ü+%:"):
            self.assertTrue(secret)
            for form in (secret, urllib.parse.quote(secret, safe=""),
                         urllib.parse.quote_plus(secret), json.dumps(secret)[1:-1]):
                self.assertNotIn(form, text)

    def test_it_shows_each_message_once(self):
        self.traced("fake-app").post("echo", json={"name": "Zoe"}, params={"q": "1"})
        self.assertEqual(len(self.trace), 4)
        for text, parts in zip(self.trace, (
                ("POST", "/token", "grant_type=client_credentials", "Basic ***", "Content-Type"),
                ("200", '"expires_in": 3600', "application/json"),
                ("POST", "/v1/echo?q=1", '{"name": "Zoe"}', "Bearer ***"),
                ("200", '"authorization": "Bearer"'))):
            for part in parts:
                self.assertIn(part.lower(), text.lower())

    def test_one_that_fails_does_not_cost_the_token_that_it_was_shown(self):
        user = self.user(store=self.path())

        def trace(text):
            if text.startswith("200"):
                raise BrokenPipeError

        client = self.stranger(store=self.path(), trace=trace)
        client.refresh()
        self.assertNotEqual(client.token, user.token)
        self.assertIn(client.token.access_token.encode(), self.read())

    def test_no_secret_of_any_grant_is_in_it(self):
        for client_id, pair in (("fake-app", b"fake-app:fake%20secret%2F%C3%BC%2B%25%3A"),
                                ("fake-post", b"post"), ("fake-public", b"public")):
            with self.subTest(client_id):
                client = self.traced(client_id, grant_type="authorization_code", scope=SCOPE)
                asked = client.authorization_request()
                response = self.server.approve(asked.url)
                tokens = [client.exchange(asked, response), client.refresh()]
                if client_id != "fake-public":
                    tokens.append(client.request_token("client_credentials"))
                client.get("me")
                self.assertTrue(client.logout())
                self.hides(query_of(response)["code"], asked.state, asked.code_verifier,
                           base64.b64encode(pair).decode(),
                           *[text for token in tokens for text in (token[0], token[3]) if text])
        client = self.traced("fake-public", grant_type=DEVICE_CODE, scope=SCOPE)
        with self.quiet() as shown, mock.patch("time.sleep", lambda _: self.server.approve_device(
                re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue()).group())):
            token = client.login(open_browser=False)
        self.hides(self.server.forms()[-1]["device_code"], token.access_token, token.refresh_token)

    def test_secrets_are_masked_wherever_they_stand(self):
        fields = {name: HUSH + '"&,}= x' for name in (
            "access_token", "refresh_token", "id_token", "token", "code", "device_code", "state",
            "client_secret", "code_verifier", "password", "assertion", "client_assertion")}
        query, client = urllib.parse.urlencode(fields), self.traced("fake-app")
        text = [("Content-Type", "text/plain")]
        for place, status, body, headers, sent in (
                ("query", 200, "", (), {"params": fields}),
                ("form", 200, "", (), {"data": fields}),
                ("json", 200, "", (), {"json": {"a": [fields]}}),
                ("cookie", 200, "", (), {"headers": {"Cookie": "a=1; sid=" + HUSH}}),
                ("form answered", 200, query, text, {}), ("json answered", 400, [fields], (), {}),
                ("indented", 200, json.dumps(fields, indent=1), text, {}),
                ("cut off", 200, {"pad": "x" * 9900, "id_token": HUSH * 99}, (), {}),
                ("cookie set", 200, "", [("Set-Cookie", "sid=" + HUSH)], {}),
                ("location", 302, "", [("Location", "/v1/y?" + query)], {}),
                ("fragment", 302, "", [("Location", "/v1/y#" + query)], {})):
            with self.subTest(place):
                del self.trace[:]
                self.server.script("/v1/x", status, body, headers)
                if status == 302:
                    self.server.script("/v1/y", 200)
                try:
                    client.request("POST", "x", **sent)
                except ResponseError:
                    self.assertEqual(place, "json answered")
                self.assertIn("/v1/x", "".join(self.trace))
                self.hides()
        del self.trace[:]
        self.server.script("/token", 400, query)
        self.refused(TokenError, client.request_token, "urn:x", **fields)
        self.hides()

    def test_the_password_of_a_proxy_is_masked(self):
        os.environ["http_proxy"] = self.server.url.replace("//", "//me:%s@" % HUSH)
        self.traced("fake-app").get("echo")
        self.hides(base64.b64encode(("me:" + HUSH).encode()).decode())
        self.assertIn("/v1/echo", self.trace[2])


# --- Servers ---------------------------------------------------------------------------------

class DiscoveryTest(ServerCase):
    RFC8414 = "/.well-known/oauth-authorization-server"
    OPENID = "/.well-known/openid-configuration"

    def test_the_address_of_rfc_8414_comes_first_and_openids_next_also_for_a_path(self):
        for path in "", "/", "/tenant/one", "/tenant/":
            metadata = {"issuer": self.server.url + path, "token_endpoint": "https://as.example/t"}
            bare = path.rstrip("/")
            for tried in [self.RFC8414 + bare], [self.RFC8414 + bare, bare + self.OPENID]:
                with self.subTest(tried):
                    del self.server.requests[:]
                    for missing in tried[:-1]:
                        self.server.script(missing, 404, "nothing here")
                    self.server.script(tried[-1], body=metadata)
                    self.assertEqual(discover(self.server.url + path), metadata)
                    self.assertEqual(self.paths(), tried)

    def test_what_is_no_metadata_of_this_issuer_is_passed_over(self):
        endpoint = {"token_endpoint": "https://attacker.example/token"}
        for body in ("<html>", "", b"\xff", [], "null", endpoint, dict(endpoint, issuer=None),
                     dict(endpoint, issuer=self.server.url + "/"),
                     dict(endpoint, issuer="https://attacker.example")):
            with self.subTest(body):
                self.server.script(self.RFC8414, body=body)
                self.assertEqual(discover(self.server.url)["token_endpoint"],
                                 self.server.url + "/token")

    def test_if_none_is_left_the_error_names_what_was_tried_and_who_answered(self):
        self.refused(OAuth2Error, discover, self.server.url + "/nobody?" + HUSH)
        self.server.script(self.RFC8414, body={"issuer": "https://other.example" + HOSTILE})
        self.server.script(self.OPENID, body="<html>")
        error = self.refused(OAuth2Error, discover, self.server.url)
        for text in (self.server.url + self.RFC8414, self.server.url + self.OPENID,
                     "https://other.example"):
            self.assertIn(text, str(error))

    def test_plain_http_is_refused_for_the_issuer_and_for_what_its_metadata_name(self):
        self.refused(UnsafeURL, discover, "http://issuer.example")
        for name, call in (("authorization_endpoint", Client.authorization_request),
                           ("token_endpoint", Client.refresh),
                           ("revocation_endpoint", Client.logout)):
            metadata = dict(self.server.metadata, **{name: "http://as.example/x"})
            self.server.script(self.RFC8414, body=metadata)
            client = self.stranger(server=self.server.url)
            client.token = Token("a", refresh_token="r")
            with self.subTest(name):
                if call == Client.logout:
                    self.assertIs(client.logout(), False)
                else:
                    self.refused(UnsafeURL, call, client)

    @needs_ssl
    def test_a_context_that_does_not_check_is_refused(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        self.refused(ValueError, discover, self.deaf().replace("http", "https"), context)

    def test_a_long_issuer_does_not_make_a_long_error(self):
        self.refused(OAuth2Error, discover, self.server.url + "/" + "x" * 5000)

    def test_a_client_fetches_the_metadata_once_and_only_when_needed(self):
        client = self.client(server=self.server.url, base_url=self.server.url + "/v1",
                             store=Store())         # whose lock cannot be taken twice
        self.assertIsNone(client.token)
        self.assertEqual(self.server.requests, [])
        together(lambda: client.get("echo"), 8)
        self.assertEqual(sorted(self.paths()), sorted([self.RFC8414, "/token"] + ["/v1/echo"] * 8))

    def test_a_client_that_found_no_metadata_looks_again(self):
        for path in self.RFC8414, self.OPENID:
            self.server.script(path, 503, "later")
        client = self.stranger(server=self.server.url)
        self.refused(OAuth2Error, client.authorization_request)
        self.assertTrue(client.authorization_request().url.startswith(self.server.url))

class ProviderTest(Case):
    def test_each_is_well_formed(self):
        self.assertEqual(list(PROVIDERS)[:2], ["spotify", "x"])
        self.assertGreaterEqual(len(PROVIDERS), 8)
        known = (r"issuer|\w+_endpoint|\w+_supported|base_url|authorization_parameters|"
                 "token_parameters|token_endpoint_auth_method|pkce|offline")
        for name, server in PROVIDERS.items():
            with self.subTest(name):
                Client(name, "i", "s")
                for key, value in server.items():
                    self.assertTrue(re.fullmatch(known, key), key)
                    if re.fullmatch(r"issuer|\w+_endpoint|base_url", key):
                        self.assertTrue(value.startswith("https://"), value)

    def test_what_a_server_wants_for_a_refresh_token_is_said_where_it_gave_none(self):
        own = {"token_endpoint": "https://as.example/token", "offline": "the scope stay"}
        for server, wants in (("x", "offline.access"), ("google", "access_type=offline"),
                              ("microsoft", "offline_access"), ("reddit", "duration=permanent"),
                              (own, "the scope stay"), ("spotify", None)):
            client = Client(server, "i", "s", grant_type="authorization_code")
            with self.subTest(server):
                self.assertNotIn("refresh token", str(self.refused(LoginRequired,
                                                                   client.access_token)))
                client.token = Token("a", expires_at=1)
                error = str(self.refused(LoginRequired, client.access_token))
                self.assertIn("login()", error)
                self.assertIn(wants or "login()", error)
                self.assertEqual("refresh token" in error, wants is not None)

    def test_what_google_and_reddit_want_is_sent_and_a_login_can_change_it(self):
        for name, parameters in (("google", {"access_type": "offline", "prompt": "consent"}),
                                 ("reddit", {"duration": "permanent"})):
            client = Client(name, "i", "s", grant_type="authorization_code")
            self.enter(client)
            query = query_of(client.authorization_request().url)
            self.assertEqual({key: query[key] for key in parameters}, parameters)
            for key in parameters:
                with self.subTest(name, key=key), self.quiet() as shown:
                    self.refused(LoginRequired, client.login, False, 0.001, **{key: "mine"})
                    query = query_of(re.search(r"\S+\?\S+", shown.getvalue()).group())
                    self.assertEqual({key: query[key] for key in parameters},
                                     dict(parameters, **{key: "mine"}))


# --- Command line ----------------------------------------------------------------------------

class Shown(io.StringIO):
    """What a user sees, who may do something about it: `react` gets each text as it comes."""

    def __init__(self, react):
        super().__init__()
        self.react = react

    def write(self, text):
        self.react(text)
        return super().write(text)

class CommandLineTest(LoginCase):
    """Of the fake server, by its issuer URL and by a name, as if it were Spotify."""

    def setUp(self):
        super().setUp()
        self.be("fake-app")
        os.environ["XDG_STATE_HOME"] = self.path("state")
        self.enter(mock.patch.dict(PROVIDERS, spotify=self.server.provider("spotify")))
        self.enter(mock.patch("oauth2min.LOGIN_TIME", 10))
        self.servers = ("spotify", ""), (self.server.url, self.server.url + "/v1/")

    def be(self, client_id):
        """The client that the environment tells of."""
        secret = self.server.clients[client_id]["client_secret"]
        for name in "SPOTIFY", "OAUTH2":
            os.environ[name + "_CLIENT_ID"], os.environ[name + "_CLIENT_SECRET"] = (
                client_id, secret or "")

    def run_main(self, *arguments, status=0, stdout=None, stderr=None, react=len):
        """What it writes to stdout and to stderr; it has to end with this status."""
        out, err = stdout or io.StringIO(), stderr or Shown(react)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = oauth2min.main(list(arguments))
            except SystemExit as error:             # argparse's way
                ended = error.code
        out, err = ["" if given else file.getvalue()
                    for given, file in ((stdout, out), (stderr, err))]
        self.assertEqual(ended, status, err)
        for secret in self.secrets:
            self.assertNotIn(secret, err)
        return out, err

    def fails(self, *arguments):
        """The one line that says why, and nothing besides."""
        out, err = self.run_main(*arguments, status=1)
        self.assertEqual((out, err[:11], err[-1:]), ("", "oauth2min: ", "\n"))
        self.assert_fit_to_show(err[:-1])
        return err[:-1]

    def log_in(self, server, *arguments, browser=None, status=0):
        """In the browser that it opens by itself; what was shown."""
        with self.browsers("firefox", {"DISPLAY": ":0"}) as opened:
            opened.side_effect = browser or self.server.browser
            out, err = self.run_main("login", server, *arguments, status=status)
        self.assertEqual((out, opened.call_count), ("", 1))
        return err

    def visit(self, text):
        """What a user does who reads an address, or a code."""
        for url in re.findall(r"\S+/authorize\?\S+", text):
            self.server.browser(url)
        for code in re.findall("[A-Z]{4}-[A-Z]{4}", text):
            with contextlib.suppress(KeyError):     # a trace shows it, too
                self.server.approve_device(code)

    def stored(self):
        """The records that were kept where nobody said otherwise."""
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(self.path("state"))
                 for name in names if name.endswith(".json")]
        return {path: TokenFile(path).load() for path in paths}

    def shell(self, *arguments):
        """The file run by another interpreter, with stdout and stderr apart."""
        process = self.enter(subprocess.Popen(
            [sys.executable, "-B", "-W", "error", *arguments], cwd=HERE, universal_newlines=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(process.kill)
        return process

    @contextlib.contextmanager
    def terminal(self, text):
        """A terminal to write to; afterwards the list holds what was written."""
        master, slave = os.openpty()
        with open(master, "rb", 0) as far:
            with open(slave, "w") as near:
                yield near
            with contextlib.suppress(OSError):      # the end, on Linux
                text += iter(lambda: far.read(4096).decode(), "")

    def test_without_a_login_get_and_token_act_for_the_program(self):
        for server, base_url in self.servers:
            with self.subTest(server):
                out, err = self.run_main("get", server, base_url + "echo", "-p", "q=a b=ü")
                self.assertEqual((json.loads(out)["query"], err), ({"q": "a b=ü"}, ""))
                self.assertIn("403", self.fails("get", server, base_url + "me"))
                self.assertEqual(self.server.forms()[-1], {"grant_type": "client_credentials"})

    def test_after_a_login_they_act_for_the_user_until_the_logout(self):
        for server, base_url in self.servers:
            with self.subTest(server):
                shown = self.log_in(server, "--scope", SCOPE, "-p", "login_hint=ada")
                self.assertRegex(shown, r"(?s)/authorize\?.*\nLogged in[.]\n$")
                asked = [request.query for request in self.server.requests
                         if request.path == "/authorize"][-1]
                self.assertEqual((asked["scope"], asked["login_hint"]), (SCOPE, "ada"))
                out, err = self.run_main("get", server, base_url + "me")
                self.assertEqual((json.loads(out)["id"], err), ("ada", ""))
                self.assertEqual(self.run_main("logout", server), ("", "Revoked and forgotten.\n"))
                self.assertEqual(self.stored(), {})
                self.assertIn("403", self.fails("get", server, base_url + "me"))
                self.run_main("logout", server)

    def test_a_login_need_not_open_a_browser(self):
        self.server.device_interval = 0.01
        for option, grant_type in (("--no-browser", "authorization_code"),
                                   ("--device", DEVICE_CODE)):
            with self.subTest(option), self.browsers("firefox", {"DISPLAY": ":0"}) as opened:
                out, err = self.run_main("login", "spotify", option, react=self.visit)
                self.assertEqual((out, err[-11:], opened.call_count), ("", "Logged in.\n", 0))
                self.assertEqual(self.server.forms()[-1]["grant_type"], grant_type)
                self.assertEqual(json.loads(self.run_main("get", "spotify", "me")[0])["id"], "ada")

    def test_a_second_login_has_nothing_to_do(self):
        for _ in range(2):
            self.run_main("login", "spotify", "--no-browser", react=self.visit)
        self.assertEqual(self.paths().count("/authorize"), 1)

    def test_a_login_replaces_the_token_of_another_grant_only_once_it_has_succeeded(self):
        self.run_main("token", "spotify")
        before = self.stored()
        shown = self.log_in("spotify", browser=self.server.denying_browser, status=1)
        self.assertRegex(shown, r"\noauth2min: access_denied.*\n$")
        self.assertEqual(self.stored(), before)
        self.run_main("get", "spotify", "echo")
        self.assertEqual(self.sent(), 1)
        self.log_in("spotify")
        (path,), (record,) = before, self.stored().values()
        self.assertEqual((record["grant_type"], list(self.stored())),
                         ("authorization_code", [path]))

    def test_a_login_by_another_grant_does_not_replace_the_token_of_another_client(self):
        self.server.device_interval = 0.01
        self.user("fake-public", store=self.path())
        before = self.read()
        _, err = self.run_main("login", "spotify", "--device", "--store", self.path(), status=1,
                               react=self.visit)
        self.assertRegex(err, "^oauth2min: .*another client_id.*\n$")
        self.assertEqual((self.read(), self.server.forms("/device_authorization")), (before, []))

    def test_a_public_client_has_no_secret(self):
        self.be("fake-public")
        self.assertIn("oauth2min login spotify", self.fails("get", "spotify", "me"))
        self.log_in("spotify")
        self.assertEqual(json.loads(self.run_main("get", "spotify", "me")[0])["id"], "ada")
        self.assertEqual(self.server.forms()[-1]["client_id"], "fake-public")

    def test_token_prints_the_token_alone_and_asks_for_none_if_a_good_one_is_stored(self):
        for _ in range(2):
            out, err = self.run_main("token", "spotify")
            (record,) = self.stored().values()
            self.assertEqual((out, err), (record["token"]["access_token"] + "\n", ""))
        self.assertEqual(self.sent(), 1)

    def test_get_sends_other_methods_and_json(self):
        for arguments, method, body in (
                ((), "GET", ""), (("-X", "DELETE"), "DELETE", ""),
                (("--json", '{"a": "ü"}'), "POST", '{"a": "\\u00fc"}'),
                (("-X", "PUT", "--json", "[1]"), "PUT", "[1]")):
            with self.subTest(arguments):
                echo = json.loads(self.run_main("get", "spotify", "echo", *arguments)[0])
                self.assertEqual((echo["method"], echo["body"]), (method, body))
                self.assertEqual(echo["content_type"], "application/json" if body else None)

    def test_no_parameter_is_lost(self):
        out, _ = self.run_main("get", "spotify", "echo?z=0", "-p", "a=1", "-p", "b=", "-p", "a=2")
        self.assertEqual(json.loads(out)["target"], "/v1/echo?z=0&a=1&b=&a=2")

    def test_options_may_stand_anywhere_after_the_command(self):
        for arguments in (("get", "-p", "a=1", "spotify", "echo"),
                          ("get", "spotify", "-p", "a=1", "echo"),
                          ("get", "spotify", "echo", "-p", "a=1")):
            with self.subTest(arguments):
                self.assertEqual(json.loads(self.run_main(*arguments)[0])["query"], {"a": "1"})

    def test_pages_are_a_compact_line_each(self):
        out, err = self.run_main("get", "spotify", "artists/%022d/albums" % 7, "-p", "limit=10",
                                 "--pages")
        pages = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([len(page["items"]) for page in pages], [10, 10, 7])
        self.assertEqual(out, "".join(json.dumps(page, separators=(",", ":")) + "\n"
                                      for page in pages))
        self.assertEqual(err, "")

    @unittest.skipUnless(hasattr(os, "openpty"), "no pseudo-terminals here")
    def test_on_a_terminal_an_answer_is_indented_and_pages_are_counted(self):
        text = []
        with self.terminal(text) as terminal:
            self.run_main("get", "spotify", "echo", stdout=terminal)
        shown = "".join(text).replace("\r\n", "\n")
        self.assertEqual(shown, json.dumps(json.loads(shown), indent=2) + "\n")
        out, _ = self.run_main("get", "spotify", "echo")
        self.assertEqual(out, json.dumps(json.loads(shown), separators=(",", ":")) + "\n")
        text = []
        with self.terminal(text) as terminal:
            out, _ = self.run_main("get", "spotify", "artists/%022d/albums" % 7, "-p", "limit=10",
                                   "--pages", stderr=terminal)
        self.assertEqual(re.findall(r"\bpage \d+\r", "".join(text)),
                         ["page 1\r", "page 2\r", "page 3\r"])
        self.assertEqual(len(out.splitlines()), 3)

    def test_whatever_stdout_can_encode_the_json_is_right(self):
        for encoding in "utf-8", "ascii", "latin-1", "cp1252":
            for text in "Zoë", "日本 \U0001f600", "\ud83d alone":
                with self.subTest(encoding=encoding, text=ascii(text)):
                    self.server.script("/v1/echo", 200, {"name": text})
                    stdout = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
                    self.run_main("get", "spotify", "echo", stdout=stdout)
                    shown = stdout.buffer.getvalue().decode(encoding)
                    self.assertEqual(json.loads(shown), {"name": text})
                    if encoding == "utf-8" and text == "Zoë":
                        self.assertEqual(shown, '{"name":"Zoë"}\n')

    def test_what_is_no_json_is_shown_as_it_is_as_far_as_stdout_can(self):
        for body, encoding, shown in (
                ("two\nlines", "ascii", "two\nlines\n"), ("", "ascii", "\n"),
                ("null", "ascii", "null\n"), ("Zoë €", "utf-8", "Zoë €\n"),
                ("[" * 100000, "ascii", "[" * 100000 + "\n"),
                ("Zoë €", "ascii", r"Zo\xeb \u20ac" + "\n")):
            with self.subTest(body=body[:20], encoding=encoding):
                self.server.script("/v1/echo", 200, body)
                stdout = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
                self.run_main("get", "spotify", "echo", stdout=stdout)
                self.assertEqual(stdout.buffer.getvalue().decode(encoding), shown)

    def test_a_logout_tells_how_it_ended(self):
        path = self.path()
        for said, trouble in (("Revoked and forgotten.", {}), ("did not confirm", {"status": 503}),
                              ("There was no token.", None)):
            with self.subTest(said):
                if trouble is not None:
                    self.client(store=path).access_token()
                if trouble:
                    self.server.script("/revoke", **trouble)
                out, err = self.run_main("logout", "spotify", "--store", path)
                self.assertEqual((out, err.count("\n")), ("", 1))
                self.assertIn(said, err)
                self.assertFalse(os.path.exists(path))

    def test_a_trace_goes_to_stderr_and_holds_no_secret(self):
        self.server.device_interval = 0.01
        basic = base64.b64encode(b"fake-app:fake%20secret%2F%C3%BC%2B%25%3A").decode()
        for option in "--no-browser", "--device":
            out, trace = self.run_main("login", "spotify", option, "--scope", SCOPE, "--trace",
                                       react=self.visit)
            (record,) = self.stored().values()
            sent = [{**request.query, **request.form} for request in self.server.requests]
            for command in ("get", "spotify", "me"), ("token", "spotify"), ("logout", "spotify"):
                more, err = self.run_main(*command, "--trace")
                out, trace = out + more, trace + err
            self.assertEqual(out, '%s\n%s\n' % (json.dumps(
                json.loads(out.splitlines()[0]), separators=(",", ":")),
                record["token"]["access_token"]))
            for part in "POST %s/token\n", "GET %s/v1/me\n", "POST %s/revoke\n", "\n200 OK\n":
                self.assertIn(part.replace("%s", self.server.url), trace)
            trace = re.sub(r"\S+/authorize\?\S+", "", trace)    # which the user has to see whole
            secrets = {value for form in sent for name, value in form.items()
                       if name in ("code", "state", "code_verifier", "device_code")}
            self.assertGreater(len(secrets), 0)
            for secret in secrets | {basic, record["token"]["access_token"],
                                     record["token"]["refresh_token"]}:
                self.assertNotIn(secret, trace)

    def test_the_version_and_the_help_are_results(self):
        self.assertEqual(self.run_main("--version"),
                         ("oauth2min %s\n" % oauth2min.__version__, ""))
        for command, texts in (((), ("login", "get", "token", "logout", "--version")),
                               (("login",), ("--device", *PROVIDERS)), (("get",), ("--pages",)),
                               (("token",), ("--scope",)), (("logout",), ("--store",))):
            out, err = self.run_main(*command, "--help")
            for text in (*texts, "SPOTIFY_CLIENT_ID"):
                self.assertIn(text, out)
            self.assertEqual(err, "")

    def test_tokens_are_kept_under_the_state_folder_a_file_for_each_server_and_client(self):
        self.addCleanup(os.umask, os.umask(0))
        self.server.clients["another"] = self.server.clients["fake-app"]
        for server in "spotify", self.server.url, self.another().url:
            self.be("fake-app")
            self.run_main("token", server)
        self.be("another")
        self.run_main("token", "spotify")
        self.assertEqual(len(self.stored()), 4)
        for path in self.stored():
            folder = os.path.dirname(path)
            self.assertEqual(folder, self.path(os.path.join("state", "oauth2min")))
            if os.name == "posix":
                self.assertEqual([stat.S_IMODE(os.stat(each).st_mode)
                                  for each in (path, folder, self.path("state"))],
                                 [0o600, 0o700, 0o700])

    def test_where_the_state_folder_is(self):
        for number, (environ, folder) in enumerate((
                ({"XDG_STATE_HOME": "1", "LOCALAPPDATA": "2"}, "1"),
                ({"XDG_STATE_HOME": "", "LOCALAPPDATA": "2"}, "2"), ({}, ".local/state"))):
            home = self.path(str(number))
            environ = {name: value and os.path.join(home, value)
                       for name, value in environ.items()}
            for name in "XDG_STATE_HOME", "LOCALAPPDATA":
                os.environ.pop(name, None)
            os.environ.update(environ, HOME=home, USERPROFILE=home)
            with self.subTest(environ):
                self.run_main("token", "spotify")
                self.assertEqual(len(os.listdir(os.path.join(home, folder, "oauth2min"))), 2)

    def test_store_names_another_file(self):
        for _ in range(2):
            self.run_main("token", "spotify", "--store", self.path())
        self.assertEqual((self.stored(), self.sent()), ({}, 1))
        self.assertTrue(os.path.exists(self.path()))

    def test_what_is_missing_in_the_environment_is_named(self):
        for server, name in (("spotify", "SPOTIFY"), ("x-app", "X_APP"),
                             (self.server.url, "OAUTH2")):
            for environ in {}, {name + "_CLIENT_ID": ""}:
                os.environ.pop(name + "_CLIENT_ID", None)
                os.environ.update(environ)
                with self.subTest(server, environ=environ):
                    self.assertRegex(self.fails("token", server),
                                     r"\b%s_CLIENT_ID\b.*\b%s_CLIENT_SECRET\b" % (name, name))
        os.environ.update(SPOTIFY_CLIENT_ID="fake-public", SPOTIFY_SECRET="misspelt")
        os.environ.pop("SPOTIFY_CLIENT_SECRET", None)
        self.assertRegex(self.fails("get", "spotify", "me"),
                         ": oauth2min login spotify, or set SPOTIFY_CLIENT_SECRET$")
        del os.environ["SPOTIFY_CLIENT_ID"]
        line = self.fails("token", "spotfy")        # and before what is missing:
        self.assertNotIn("CLIENT_ID", line)
        for name in PROVIDERS:
            self.assertIn(name, line)
        self.assertEqual(self.server.requests, [])

    def test_an_expired_login_says_what_to_run(self):
        for server, _ in self.servers:
            client = self.user("fake-app", store=self.path())
            client.token = aged(client.token)
            self.server.script("/token", 400, {"error": "invalid_grant"})
            line = self.fails("token", server, "--store", self.path())
            self.assertIn("oauth2min login " + server, line)
            self.assertNotIn("login()", line)

    def test_a_wrong_command_line_is_2_and_says_so(self):
        for arguments in (
                [], ["login"], ["get", "spotify"], ["dance", "spotify"],
                ["token", "spotify", "tracks"], ["login", "spotify", "tracks"],
                ["login", "spotify", "--pages"], ["token", "spotify", "-p", "a=b"],
                ["logout", "spotify", "--scope", "a"], ["get", "spotify", "echo", "--device"],
                ["get", "spotify", "echo", "another"], ["get", "spotify", "echo", "--colour"],
                ["get", "spotify", "echo", "-p", "a"], ["get", "spotify", "echo", "--json", "{a}"],
                ["get", "spotify", "echo", "--json", ""],
                ["get", "spotify", "echo", "--pages", "-X", "PUT"],
                ["get", "spotify", "echo", "--pages", "--json", "1"],
                ["get", "spotify", "echo", "--store"]):
            with self.subTest(arguments):
                out, err = self.run_main(*arguments, status=2)
                self.assertEqual((out, err[:6]), ("", "usage:"))
        self.assertEqual(self.server.requests, [])

    def test_every_error_is_one_line(self):
        self.client(store=self.path("mine")).access_token()
        for name, content in ("damaged", "{"), ("null", "null"), ("none of ours", '{"a": 1}'):
            with open(self.path(name), "w") as file:
                file.write(content)
        deaf, url = self.deaf(), self.server.url
        for part, arguments, trouble in (
                ("no answer", ["get", deaf, deaf + "/x"], ()),
                ("no metadata", ["get", url + "/nobody", url], ()),
                ("not https", ["token", "http://auth.example"], ()),
                ("404", ["get", "spotify", "nothing"], ()),
                ("400.*Invalid limit", ["get", "spotify", "artists/%022d/albums" % 1, "-p",
                                        "limit=x"], ()),
                ("try again in 1 seconds", ["get", "spotify", "echo"], ("/v1/echo", 429)),
                ("500", ["get", "spotify", "echo", "--store", self.path("new")], ("/token", 500)),
                ("broke off", ["get", "spotify", "echo"], ("/v1/echo", 200, None, (), b"x", 0, 1)),
                (".", ["get", "spotify", "echo", "--pages"], ("/v1/echo", 200, "<html>")),
                (".", ["get", "spotify", "echo", "--pages"], ("/v1/echo", 200, "[" * 100000)),
                ("leads nowhere", ["get", "spotify", "echo"],
                 ("/v1/echo", 302, "", {"Location": "http://["})),
                ("relative", ["get", url, "echo"], ()),
                ("not for", ["get", "spotify", deaf + "/x"], ()),
                ("not a web address", ["get", "spotify", "file:///etc/passwd"], ()),
                ("damaged", ["get", "spotify", "echo", "--store", self.path("damaged")], ()),
                ("damaged", ["login", "spotify", "--store", self.path("null")], ()),
                ("holds no", ["get", "spotify", "echo", "--store", self.path("none of ours")], ()),
                ("cannot read", ["get", "spotify", "echo", "--store", self.path("mine/x")], ()),
                ("no path of a file", ["token", "spotify", "--store", self.folder], ()),
                ("another", ["token", "https://as.example", "--store", self.path("mine")], ()),
                ("another", ["login", "https://as.example", "--store", self.path("mine")], ()),
                ("scope", ["token", "spotify", "--scope", 'a"b'], ()),
                ("redirect_uri", ["login", "spotify", "--redirect-uri", "callback"], ()),
                (deaf.rpartition(":")[2], ["login", "spotify", "--redirect-uri", deaf], ()),
                ("state", ["login", "spotify", "-p", "state=1"], ()),
                ("timeout", ["login", "spotify", "-p", "timeout=1"], ())):
            with self.subTest(arguments, trouble=str(trouble)[:40]):
                if trouble:
                    self.server.script(*trouble)
                self.assertRegex(self.fails(*arguments), part)
        os.environ["SPOTIFY_CLIENT_SECRET"] = HUSH
        self.assertIn("invalid_client", self.fails("get", "spotify", "echo", "--store",
                                                   self.path("new")))

    @unittest.skipUnless(os.path.isdir("/proc/self"), "needs a folder that root cannot write to")
    def test_a_token_that_cannot_be_saved_is_a_line_and_the_result_comes_all_the_same(self):
        warnings.simplefilter("always", RuntimeWarning)
        path = "/proc/oauth2min-token.json"
        out, err = self.run_main("get", "spotify", "echo", "--store", path)
        self.assertEqual(json.loads(out)["authorization"], "Bearer")
        for line in err.splitlines():
            self.assertRegex(line, "^oauth2min: cannot .*%s" % path)
        self.assertNotEqual(err, "")

    def test_a_python_without_ssl_is_an_error_of_one_line_too(self):
        with mock.patch.dict(sys.modules, ssl=None, _ssl=None):
            self.assertIn("ssl", self.fails("token", "https://127.0.0.1:1"))

    def test_a_closed_stdout_is_no_reason_to_fail_where_there_is_no_result(self):
        with contextlib.redirect_stdout(None), self.quiet():
            self.assertEqual(oauth2min.main(["logout", "spotify"]), 0)

    def test_if_stderr_is_closed_stdout_has_the_results_alone(self):
        albums = "artists/%022d/albums" % 7
        with self.browsers("firefox", {"DISPLAY": ":0"}) as opened:
            opened.side_effect = self.server.browser
            for arguments, status, lines in (
                    (["get", "spotify", "nothing"], 1, 0),
                    (["get", "spotify", "echo", "--trace"], 0, 1),
                    (["get", "spotify", albums, "-p", "limit=10", "--pages"], 0, 3),
                    (["login", "spotify"], 0, 0), (["logout", "spotify"], 0, 0)):
                out = io.StringIO()
                with self.subTest(arguments), contextlib.redirect_stdout(out):
                    with contextlib.redirect_stderr(None):
                        self.assertEqual(oauth2min.main(arguments), status)
                    self.assertEqual(len(out.getvalue().splitlines()), lines)

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self):
        enough = threading.Event()

        def second(connection, request):
            enough.wait(10)
            connection.sendall(OK)

        page = OK.replace(b"2\r\n\r\n{}", b'13\r\n\r\n{"next":"/2"}')
        raw = self.raw([page, second])
        self.client(store=self.path()).access_token()
        process = self.shell("oauth2min.py", "get", self.server.url, raw.url, "--pages", "--store",
                             self.path())
        self.assertEqual(process.stdout.readline(), '{"next":"/2"}\n')
        process.stdout.close()                      # as `| head -1` does
        enough.set()
        self.assertEqual((process.stderr.read(), process.wait()), ("", 1))

    @unittest.skipUnless(os.name == "posix", "there are no signals to send")
    def test_ctrl_c_is_130_without_a_traceback(self):
        asked, over, code = threading.Event(), threading.Event(), """
            import signal, warnings, oauth2min
            signal.signal(signal.SIGINT, signal.default_int_handler)    # it may be ignored
            warnings.simplefilter("ignore", ResourceWarning)    # of the connection it waits at
            sys.exit(oauth2min.main(sys.argv[1:]))
            """
        raw = self.raw([lambda connection, request: (asked.set(), over.wait(10))])
        self.addCleanup(over.set)
        self.client(store=self.path()).access_token()
        slow = self.process(code, "get", self.server.url, raw.url, "--store", self.path())
        login = self.process(code, "login", self.server.url, "--no-browser")
        self.said(login, "paste")
        self.assertTrue(asked.wait(10))
        for process in slow, login:
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            self.assertEqual((process.stdout.read().strip(), process.wait()), ("", 130))
            self.assertLess(time.monotonic() - started, 1)

    def test_it_runs_as_a_script_and_as_a_module(self):
        del os.environ["SPOTIFY_CLIENT_ID"]
        version = "oauth2min %s\n" % oauth2min.__version__
        runs = [(self.shell(*arguments), status, out, err) for arguments, status, out, err in (
            (["oauth2min.py", "--version"], 0, version, "^$"),
            (["oauth2min.py", "token"], 2, "", "^usage: "),
            (["-m", "oauth2min", "--version"], 0, version, "^$"),
            (["-m", "oauth2min", "token", "spotify"], 1, "", "^oauth2min: set SPOTIFY_.*\n$"))]
        for process, status, out, err in runs:
            with self.subTest(process.args):
                said = process.communicate()
                self.assertEqual((process.returncode, said[0]), (status, out))
                self.assertRegex(said[1], err)
