"""Each example runs as its docstring says: with --fake, without a network, until Ctrl-C.

    python .ci/check_examples.py    # from the root; with -v and names as unittest

What they share with the tests of the library, they take from test_oauth2min.py.
"""

import ast
import contextlib
import html
import io
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request
from unittest import mock

ROOT = os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
import common  # noqa: E402
import fake_server  # noqa: E402
import web_app  # noqa: E402
from fake_server import CLIENTS, HISTORY, FakeServer, fetch  # noqa: E402
from test_oauth2min import Case, RawServer, ServerCase, query_of  # noqa: E402


USER_CODE = r"\b([B-Z]{4}-[B-Z]{4})\b"


class ExamplesTest(Case):
    """Each example runs with --fake: no network, no user, no account, and no secret
    shown."""

    # Of secrets, these may be seen: the address of a login has to hold them.
    PUBLIC = re.compile("(?:code_challenge|state)=[A-Za-z0-9_-]+")

    # The address of a login, and the sentence after it.
    ADDRESS = r"(https?://\S+/authorize\?\S+)\n\n"

    ALL = (
        "quickstart.py",
        "spotify_track.py",
        "spotify_library.py",
        "x_timeline.py",
        "paste_login.py",
        "web_app.py",
        "shared_store.py",
        "doctor.py",
    )
    # A prompt, which Ctrl-C does not end; and what needs a key, or an address.
    MORE = ("classroom.py", "service_account.py", "mcp_login.py")

    def start_example(self, name, *arguments, warn="error", **variables):
        """Starts it; returns a function that gives what it wrote to stdout and stderr,
        once that has been looked through. Its stdin is open, but nothing ever comes."""
        folder = tempfile.mkdtemp(dir=self.folder)
        env = {
            name: value
            for name, value in os.environ.items()
            if not re.search("(?i)proxy|^(SPOTIFY|X|REDIS|XDG)_|^PYTHON", name)
        }
        env.update(
            HOME=folder,
            TMPDIR=folder,
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONIOENCODING="ascii",
            **variables,
        )
        path = os.path.join(ROOT, "examples", name)
        process = self.enter_context(
            subprocess.Popen(
                [sys.executable, "-W", "error", "-W", warn, path, *arguments],
                env=env,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        )
        self.addCleanup(process.kill)

        def end(status=0):
            out, err = [text.decode() for text in process.communicate(timeout=60)]
            self.assertEqual(process.returncode, status, out + err)
            for line in out.splitlines():
                self.assertLessEqual(len(line), 79, line)
            self.assertNotRegex(out + err, "Traceback|Warning|<urlopen")
            self.assertNotRegex(self.PUBLIC.sub("", out + err), "[A-Za-z0-9_-]{30,}")
            self.assertEqual(
                [name for name in os.listdir(folder) if ".lock" not in name], []
            )
            return out, err

        end.process = process
        return end

    def start_for_real(self, name, proxy, *arguments):
        """Starts it without --fake, for a user who has no other way out than this
        proxy. The web application gets a free port; redis, which need not be there, is
        one that never answers."""
        bind = "socketserver.TCPServer.server_bind"
        for file, text in (
            (
                "web_app.py",
                (
                    "import runpy, socketserver\nbind = %s\n\ndef free(self):\n"
                    "    self.server_address = '127.0.0.1', 0\n"
                    "    bind(self)\n\n%s = free\n"
                    "runpy.run_path(%r, run_name='__main__')\n"
                    % (bind, bind, os.path.join(ROOT, "examples", "web_app.py"))
                ),
            ),
            (
                "redis.py",
                (
                    "import sys, time\n\nclass Redis:\n    def from_url(url):\n"
                    "        print('waits', file=sys.stderr, flush=True)\n"
                    "        time.sleep(60)\n\n"
                    "class RedisError(Exception):\n    pass\n"
                ),
            ),
        ):
            with open(self.path(file), "w") as stream:
                stream.write(text)
        names = (
            "SPOTIFY_CLIENT_ID",
            "SPOTIFY_CLIENT_SECRET",
            "X_API_KEY",
            "X_API_SECRET",
        )
        path = self.path(name) if name == "web_app.py" else name
        return self.start_example(
            path,
            *arguments,
            **dict.fromkeys(names, "id"),
            BROWSER="true",
            REDIS_URL="redis:",
            https_proxy=proxy,
            PYTHONPATH=os.pathsep.join([self.folder, os.path.join(ROOT, "examples")]),
            warn="ignore::ResourceWarning",  # Ctrl-C may come while a socket is opened
        )

    def says_yes(self, url, user="ada"):
        """A person at the page of the fake server that some example has started: the
        address that the browser is sent to then."""
        server = FakeServer()
        server.url = "http://" + urllib.parse.urlsplit(url).netloc
        return server.approve(url, user)

    def heard(self, stream, pattern):
        """Reads until this has come; returns the match."""
        text, found = "", None
        while not found:
            data = stream.read(65536)
            text += data.decode()
            found = re.search(pattern, text)
            self.assertTrue(data or found, text)
        return found

    def asked(self, end):
        """The parameters of the login address that it shows."""
        return query_of(self.heard(end.process.stderr, self.ADDRESS).group(1))

    def test_each_example_runs_without_a_network(self):
        for name, expected, end in [
            (name, expected, self.start_example(name, "--fake"))
            for name, expected in (
                (
                    "spotify_track.py",
                    "(?s)27 albums by .*took: 2; the first one expired",
                ),
                (
                    "spotify_library.py",
                    "(?s)follow 45 .*saved 120 .*again.*saved 120 .*"
                    "authorization_code, refresh_token[.]",
                ),
                (
                    "x_timeline.py",
                    r"(?s)^(XDevelopers: .*\n){12}That is all .*2, tokens: 1[.]",
                ),
                ("paste_login.py", "Logged in as Ada[.]"),
                (
                    "web_app.py",
                    "(?s)Ada saved last.*Grace saved last.*You are logged out\n.*"
                    "Grace saved last",
                ),
            )
        ]:
            with self.subTest(name):
                out, err = end()
                self.assertRegex(out, expected)
                # Only its login shows a URL there.
                self.assertEqual(err != "", name == "spotify_library.py")

    def test_a_program_with_a_key_and_one_for_an_mcp_server(self):
        out, err = self.start_example("service_account.py", "--fake")()
        self.assertRegex(out, r"Tokens: jwt-bearer, jwt-bearer[.]\n$")
        self.assertEqual(err, "")
        out, _ = self.start_example("mcp_login.py", "--fake")()
        self.assertIn("Hello, Ada!", out)

    def test_what_comes_after_fake_counts(self):
        out, _ = self.start_example("x_timeline.py", "--fake", "somebody")()
        self.assertRegex(out, "(?s)^somebody: .*tokens: 1[.]")
        _, err = self.start_example("spotify_track.py", "--fake", "odd-id")(1)
        self.assertRegex(err, "/tracks/odd-id answered 404")

    def test_unknown_words_get_the_docstring_and_status_2(self):
        """A slip must not go to the real service: there is no way to any here."""
        for name in self.ALL + self.MORE:
            alone = "--browser" if name != "quickstart.py" else "--fake"
            for words in (
                [alone],
                ["--fak"],
                ["--fake", "--no"],
                ["--browse"],
                ["a", "b", "c"],
                ["--fake", "a", "b"],
                ["--browser", "x"],
            ):
                with self.subTest(name, words=words):
                    out, err, ended = self.run_here(name, *words)
                    self.assertEqual((out, ended), ("", 2))
                    self.assertEqual(err, "%s\n" % self.docstring_of(name))

    def test_a_person_can_be_the_user_of_the_fake_server(self):
        library, paste, web = [
            self.start_example(name, *options, BROWSER="true")
            for name, *options in (
                ("spotify_library.py", "--fake", "--browser"),
                ("paste_login.py", "--browser", "--fake"),
                ("web_app.py", "--fake", "--browser"),
            )
        ]
        shown = self.heard(library.process.stderr, self.ADDRESS).group(1)
        fetch("GET", self.says_yes(shown))
        self.assertRegex(
            library()[0], "(?s)again.*authorization_code, refresh_token[.]\n$"
        )
        shown = self.heard(paste.process.stderr, self.ADDRESS).group(1)
        paste.process.stdin.write(self.says_yes(shown).encode() + b"\n")
        self.assertRegex(paste()[0], "Logged in as Ada[.]")
        url = self.heard(web.process.stdout, r"http://[0-9.:]+").group()
        browser = common.Browser()
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            browser.open(url + "/login")
            browser.open(self.says_yes(browser.url, "grace"))
        self.assertIn("Grace saved last", shown.getvalue())
        web.process.send_signal(signal.SIGINT)
        web(130)

    # The quickstart

    def test_the_quickstart_shows_every_message_whole(self):
        out, err = self.start_example("quickstart.py")()
        self.assertEqual(err, "")
        self.assertNotIn("...", out)
        for part in (
            "--> Authorization: Basic ***",
            "--> grant_type=client_credentials",
            "-->     &code_challenge_method=S256",
            "<--     ?code=***",
            "<--     &state=***",
            "--> &code_verifier=***",
            '<--   "scope": "user-follow-read",',
            '<--   "refresh_token": "***"',
            "<-- 401 Unauthorized",
            "--> grant_type=refresh_token",
            "--> &refresh_token=***",
            "--> &token_type_hint=refresh_token",
            '<--   "user_code": "[B-Z]{4}-[B-Z]{4}",',
            "--> &device_code=***",
        ):
            with self.subTest(part):
                pattern = re.escape(part) if "[" not in part else part
                self.assertRegex(out, "(?m)^  %s$" % pattern)
        self.assertEqual(re.findall(r"(?m)^(\d)\. ", out), list("12345"))
        self.assertEqual(len(re.findall("(?m)^  --> [A-Z]+ http", out)), 13)
        # That of the server's page is not shown; the address to go back to is an answer.
        self.assertEqual(len(re.findall(r"(?m)^  <-- \d{3} ", out)), 13)

    def test_the_quickstart_tells_what_a_persons_browser_sends(self):
        end = self.start_example("quickstart.py", "--browser", BROWSER="true")
        text = self.heard(end.process.stderr, self.ADDRESS).group(1)
        fetch("GET", self.says_yes(text))
        code = self.heard(end.process.stderr, USER_CODE).group(1)
        page = urllib.parse.urljoin(text, "/device?user_code=" + code)
        with self.assertRaisesRegex(ValueError, "200: Connected"):
            self.says_yes(page)
        out, _ = end()
        self.assertEqual(out.count("/authorize\n"), 1)
        self.assertEqual(out.count("/callback\n  <--     ?code=***\n"), 1)

    def test_the_quickstart_waits_for_enter(self):
        end = self.start_example("quickstart.py", "--step")
        self.heard(end.process.stdout, r"\[Enter\]$")
        end.process.stdin.write(b"\n")
        shown = self.heard(end.process.stdout, r"(?s).*\[Enter\]$").group()
        self.assertEqual(len(re.findall("(?m)^  --> POST", shown)), 1)
        self.assertNotIn("--> GET", shown)
        out, _ = end()  # nobody presses it any more, so it does not wait
        self.assertRegex(out, '(?s)5. Device code.*"error": "authorization_pending"')

    # The doctor

    def test_the_doctor_says_ok_only_to_what_it_has_tried(self):
        odd = self.path("odd.pem")
        with open(odd, "w") as file:
            file.write("no PEM")
        for pattern, status, variables in (
            (r"^ok +Python .* CAs are read\n.*clock differs from its by [+-]\d s", 0, {}),
            ("look here  no https .No such file or dir", 1, {"SSL_CERT_FILE": "/nowhere"}),
            ("look here  no https .*PEM", 1, {"SSL_CERT_FILE": odd}),
            ("not tried  https_proxy: proxy:1\n", 0, {"https_proxy": "http://proxy:1"}),
        ):
            with self.subTest(pattern):
                out, _ = self.start_example("doctor.py", "--fake", **variables)(status)
                self.assertRegex(out, "(?s)" + pattern)

    def test_the_doctor_shows_no_password_and_nothing_that_steers_a_terminal(self):
        for proxy, shown in (
            ("http://bob:s%40cret@proxy:1", "not tried  https_proxy: proxy:1\n"),
            ("bob:s@cr@et@proxy:1", "not tried  https_proxy: proxy:1\n"),
            ("http://bob:se@cr/t@proxy:1", "look here  https_proxy must be like"),
            ("socks5://bob:s@proxy:1", "look here  https_proxy must be like"),
            ("https://bob:s@proxy:1", "look here  https_proxy must be like"),
            ("http://bob:secret", "look here  https_proxy must be like"),
            ("http://\33[31mbob:s@proxy\33[0m:1", "look here  https_proxy must be like"),
        ):
            with self.subTest(proxy):
                end = self.start_example("doctor.py", "--fake", https_proxy=proxy)
                out, err = end("look here" in shown)
                self.assertNotRegex(out + err, "bob|se@cr|secret|s@|\33")
                self.assertIn(shown, out)

    def test_the_doctor_repeats_nothing_that_a_proxy_says(self):
        text = b"HTTP/1.1 407 \33]0;secret\7 bob:secret\r\nContent-Length: 0\r\n\r\n"
        proxy = RawServer([lambda connection, _: connection.sendall(text)])
        self.enter_context(contextlib.closing(proxy))
        url = proxy.url.replace("//", "//bob:secret@")
        out, err = self.start_example(
            "doctor.py", "https://accounts.spotify.com/x?y=secret", https_proxy=url
        )(1)
        self.assertNotRegex(out + err, "bob|secret|\33")
        self.assertRegex(
            out,
            r"no answer from https://accounts.spotify.com \(Tunnel connection\s+failed: 407",
        )

    def test_the_doctor_asks_for_the_address_of_a_server(self):
        for url in "nonsense", "ftp://x/", "file:///etc/hostname", "https://", "https://a@b":
            with self.subTest(url):
                out, _ = self.start_example("doctor.py", url)(1)
                self.assertIn("look here  name your server like https://", out)
        out, err, ended = self.run_here("doctor.py")
        self.assertEqual((out, ended), ("", 2))

    def run_here(self, name, *arguments):
        """Runs it in this process and without a variable; what it wrote to stdout and
        stderr, and how it ended."""
        path, ended = os.path.join(ROOT, "examples", name), None
        environment = mock.patch.dict(os.environ, clear=True)
        command_line = mock.patch("sys.argv", [path, *arguments])
        with environment, command_line, contextlib.redirect_stdout(
            io.StringIO()
        ) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as error:
                ended = error.code
        return out.getvalue(), err.getvalue(), ended

    def docstring_of(self, name):
        with open(os.path.join(ROOT, "examples", name), encoding="utf-8") as file:
            return ast.get_docstring(ast.parse(file.read()), clean=False)

    def test_what_is_missing_in_the_environment_is_named_in_one_line(self):
        for name, missing in (
            ("spotify_track.py", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
            ("spotify_library.py", "SPOTIFY_CLIENT_ID"),
            ("paste_login.py", "SPOTIFY_CLIENT_ID"),
            ("x_timeline.py", "X_API_KEY and X_API_SECRET"),
            ("web_app.py", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
        ):
            with self.subTest(name):
                out, err, ended = self.run_here(name)
                self.assertEqual((out, err), ("", ""))
                self.assertRegex(ended, "^Set %s .{0,40}$" % missing)

    def test_help_is_the_docstring_and_needs_nothing(self):
        for name in self.ALL + self.MORE:
            docstring = self.docstring_of(name)
            with self.subTest(name):
                for option in "-h", "--help":
                    self.assertEqual(
                        self.run_here(name, option), ("%s\n" % docstring, "", 0)
                    )
                self.assertLess(max(map(len, docstring.splitlines())), 80)

    def test_each_is_short_and_narrow(self):
        for name in self.ALL + self.MORE:
            with self.subTest(name), open(
                os.path.join(ROOT, "examples", name), encoding="utf-8"
            ) as file:
                lines = file.read().splitlines()
                self.assertLessEqual(max(map(len, lines)), 92)
                if name != "quickstart.py":
                    self.assertLessEqual(len(lines), 90)

    @unittest.skipIf(os.name == "nt", "there, Ctrl-C is no signal for one process")
    def test_ctrl_c_ends_each_of_them_in_silence_and_with_130(self):
        ends, proxies = [], []
        arguments = {
            "quickstart.py": ["--browser"],
            "doctor.py": ["https://accounts.spotify.com"],
        }
        for name in self.ALL:
            proxy = RawServer([lambda connection, _: connection.recv(1)])  # no answer
            proxies.append(self.enter_context(contextlib.closing(proxy)))
            more = arguments.get(name, [])
            ends.append(self.start_for_real(name, proxy.url, *more))
        for name, end, proxy in zip(self.ALL, ends, proxies):
            with self.subTest(name):
                if name in ("quickstart.py", "spotify_library.py", "paste_login.py"):
                    self.asked(end)
                elif name == "web_app.py":
                    self.heard(
                        end.process.stdout,
                        "^Open http://[0-9.:]+ in a browser; Ctrl-C .*",
                    )
                elif name == "shared_store.py":
                    self.heard(end.process.stderr, "waits\n")
                else:
                    while not proxy.heard:
                        self.assertIsNone(end.process.poll())
                        time.sleep(0.01)
                end.process.send_signal(signal.SIGINT)
                self.assertEqual(end(130)[1], "")

    def test_without_a_network_each_says_so_in_one_line(self):
        listener = self.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))  # and never listens
        proxy = "http://127.0.0.1:%d" % listener.getsockname()[1]
        track, posts, library, web, doctor = [
            self.start_for_real(name, proxy, *more)
            for name, *more in (
                ("spotify_track.py",),
                ("x_timeline.py",),
                ("spotify_library.py",),
                ("web_app.py",),
                ("doctor.py", "https://accounts.spotify.com"),
            )
        ]
        asked = self.asked(library)
        fetch("GET", asked["redirect_uri"] + "?code=c&state=" + asked["state"])
        for end in track, posts, library:
            shown = end(1)[1].rpartition("exchange().\n")[2]
            self.assertRegex(shown, "^no answer from https://.* the proxy settings\n$")
        self.assertRegex(doctor(1)[0], r"no answer from \S+ \(Connection refused\)")
        url = self.heard(web.process.stdout, r"http://[0-9.:]+").group()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        status, headers, _ = fetch("GET", url + "/login")
        state = query_of(headers["Location"])["state"]
        request = urllib.request.Request(url + "/callback?code=c&state=" + state)
        request.add_header("Cookie", headers["Set-Cookie"].partition(";")[0])
        with self.assertRaises(urllib.request.HTTPError) as caught:
            opener.open(request)
        with caught.exception as error:
            page = error.read().decode()
        self.assertRegex(page, r"<p>(\[Errno -?\d+\] )?no answer from https:")

    def test_a_user_who_says_no_to_the_quickstart_gets_one_line(self):
        end = self.start_example("quickstart.py", "--browser", BROWSER="true")
        asked = self.asked(end)
        answer = "?error=access_denied&state=" + asked["state"]
        fetch("GET", asked["redirect_uri"] + answer)
        self.assertRegex(end(1)[1], r"^\n?(Browser elsewhere\?.*\n)?access_denied.*\n$")


class WebAppTest(ServerCase):
    """web_app.py: each user has a token of her own; all share one pool of connections."""

    def setUp(self):
        super().setUp()
        self.app = web_app.App(self.server.provider("spotify"), "fake-public")
        self.enter_context(self.app.client)
        listener = self.enter_context(common.web_server(self.app, 0))
        self.app.url = "http://127.0.0.1:%d" % listener.server_port
        self.enter_context(self.serving(listener))

    @contextlib.contextmanager
    def serving(self, listener):
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        yield
        listener.shutdown()
        thread.join()

    def browser(self):
        """An opener with cookies, to which every answer is good."""
        handlers = [urllib.request.HTTPCookieProcessor(), urllib.request.ProxyHandler({})]
        opener = urllib.request.build_opener(*handlers)

        def visit(url, form=None):
            try:
                answer = opener.open(url, form)
            except urllib.request.HTTPError as error:
                answer = error
            with answer:
                return answer.status, answer.geturl(), answer.read().decode()

        return visit

    def logged_in(self, user):
        visit = self.browser()
        _, consent, _ = visit(self.app.url + "/login")
        _, _, page = visit(self.server.approve(consent, user))
        self.assertIn("<h1>%s saved last</h1>" % user.title(), page)
        return visit

    def test_two_users_at_once_over_one_pool(self):
        ada, grace = self.logged_in("ada"), self.logged_in("grace")
        before = self.server.connections
        requests = len(self.server.requests)
        for _ in range(5):
            self.assertIn("<h1>Ada", ada(self.app.url)[2])
            self.assertIn("<h1>Grace", grace(self.app.url)[2])
        self.assertEqual(len(self.server.requests) - requests, 20)
        self.assertLessEqual(self.server.connections - before, 1)
        tokens = {
            request.headers["Authorization"] for request in self.server.requests[requests:]
        }
        self.assertEqual(len(tokens), 2)

    def test_many_users_at_once(self):
        def user_of(name):
            try:
                self.logged_in(name)(self.app.url)
            except Exception as error:
                failures.append(error)

        failures = []
        threads = [
            threading.Thread(target=user_of, args=(("ada", "grace")[number % 2],))
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.app.sessions), 16)

    def test_a_logout_is_for_one(self):
        ada, grace = self.logged_in("ada"), self.logged_in("grace")
        self.assertIn("<h1>You are logged out", ada(self.app.url + "/logout", b"")[2])
        self.assertIn("Log in", ada(self.app.url)[2])
        self.assertIn("<h1>Grace", grace(self.app.url)[2])
        self.assertEqual(len(self.server.forms("/revoke")), 2)

    def test_the_cookie_is_another_after_the_login(self):
        visit = self.browser()
        _, consent, _ = visit(self.app.url + "/login")
        [before] = self.app.sessions
        visit(self.server.approve(consent))
        [after] = self.app.sessions
        self.assertNotEqual(before, after)

    def test_an_answer_to_another_login_is_refused(self):
        visit, other = self.browser(), self.browser()
        _, consent, _ = visit(self.app.url + "/login")
        _, others, _ = other(self.app.url + "/login")
        status, _, page = visit(self.server.approve(others))
        self.assertEqual(status, 403)
        self.assertIn("<p>this is no answer to our request", page)
        self.assert_token_requests(0)
        self.assertEqual(visit(self.server.approve(consent))[0], 200)

    def test_another_address_costs_the_api_nothing(self):
        ada = self.logged_in("ada")
        before = len(self.server.requests)
        for path in "/favicon.ico", "/callback?code=a&state=b", "/logout", "/etc":
            self.assertEqual(ada(self.app.url + path)[0], 404)
        self.assertEqual(len(self.server.requests), before)

    def test_a_user_who_says_no(self):
        visit = self.browser()
        _, consent, _ = visit(self.app.url + "/login")
        status, _, page = visit(self.server.deny(consent))
        self.assertEqual(status, 403)
        self.assertIn("access_denied", page)

    def test_who_took_the_permission_back_is_asked_again(self):
        ada = self.logged_in("ada")
        self.server.expire()
        self.server.script("/token", 400, {"error": "invalid_grant"})
        status, _, page = ada(self.app.url)
        self.assertEqual(status, 200)
        self.assertIn('<a href="/login">Log in</a>', page)

    def test_what_the_api_says_is_no_html(self):
        ada = self.logged_in("ada")
        self.server.script("/v1/me", body={"id": "ada", "display_name": "<b>Ada</b>"})
        track = {"track": {"name": "<script>"}}
        self.server.script("/v1/me/tracks", body={"items": [track]})
        page = ada(self.app.url)[2]
        self.assertIn("<h1>&lt;b&gt;Ada&lt;/b&gt; saved last</h1>", page)
        self.assertIn("<li>&lt;script&gt;</li>", page)

    def test_a_strangers_cookie_is_nothing(self):
        for cookie in "session=", "session=0", "x", "session=a; session=b", "":
            request = urllib.request.Request(self.app.url, headers={"Cookie": cookie})
            with urllib.request.urlopen(request) as answer:
                self.assertIn("Log in", answer.read().decode())
        self.assertEqual(self.app.sessions, {})


class FakeServerTest(ServerCase):
    """What the fake server has for people: its start page."""

    def start_page(self):
        status, headers, text = fetch("GET", self.server.url + "/")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertNotIn("<script", text)
        return html.unescape(text)

    def test_it_tells_what_is_here(self):
        text = self.start_page()
        facts = [self.server.url, *fake_server.SCOPES, "None so far"]
        facts += ["<code>%s</code>" % client_id for client_id, _, _ in CLIENTS]
        facts += [
            "<code>%s %s</code>" % (method, path)
            for path, (method, _) in self.server._authorization_server.endpoints.items()
            if path != "/decision"
        ]
        for fact in facts:
            self.assertIn(fact, text)
        paths = [path for path, _, _ in self.server._api.routes]
        for path, _ in fake_server.RESOURCES:
            example = re.sub("NUMBER", "1", re.sub("ID", "0" * 22, path)).partition("?")[0]
            found = [route for route in paths if re.fullmatch(route, example)]
            self.assertEqual(len(found), 1, path)
            paths.remove(found[0])
        self.assertEqual(paths, [])  # each is told

    def test_its_commands_run(self):
        """As they stand, by a shell; a script is the user."""
        if not hasattr(os, "fork"):
            self.skipTest("there is no sh here")
        text = self.start_page()
        self.server.device_interval = 0.1
        blocks = re.findall("(?s)<pre>(.*?)</pre>", text)
        self.assertEqual(len(blocks), len(fake_server.SHELL))
        with open(self.path("python3"), "w") as file:
            file.write('#!/bin/sh\nexec "%s" -S "$@"\n' % sys.executable)
        os.chmod(self.path("python3"), 0o755)
        env = dict(os.environ, HOME=self.folder, XDG_STATE_HOME=self.folder,
                   PATH=self.folder + os.pathsep + os.environ["PATH"], no_proxy="*",
                   BROWSER="true")
        shell = self.enter_context(
            subprocess.Popen(
                ["sh", "-e", "-c", "\n".join(blocks)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                universal_newlines=True,
            )
        )
        self.addCleanup(shell.kill)
        shown = ""
        for line in shell.stdout:
            shown += line
            if "/authorize?" in line:
                self.server.browser(line.strip())
            for code in set(re.findall(USER_CODE, line)):
                with contextlib.suppress(KeyError):  # it may be shown twice
                    self.server.approve_device(code)
        self.assertEqual(shell.wait(), 0, shown)
        grants = [form["grant_type"].rpartition(":")[2] for form in self.server.forms()]
        self.assertRegex(
            " ".join(grants),
            "^client_credentials authorization_code( device_code)+ client_credentials$",
        )

    def test_it_shows_the_last_messages_without_secrets(self):
        user = self.logged_in_client()
        user.get("me")
        user.post("echo", json={"token": "my own", "seen": user.token.access_token})
        self.client("fake-post").get("echo", {"code": "hidden"})
        text = self.start_page()
        for request in self.server.requests[:-1]:
            self.assertIn("%s %s</code>" % (request.method, request.path), text)
        for part in (
            "Authorization: Bearer ***",
            "&code=***",
            "&state=***",
            "&code_verifier=***",
            "&client_secret=***",
            '"refresh_token": "***"',
            '"token": "***"',
            '"seen": "***"',
            "?code=***",
            "code_challenge=",
        ):
            self.assertIn(part, text)
        forms = self.server.forms("/token")
        for secret in (
            *user.token[0:1],
            user.token.refresh_token,
            forms[0]["code"],
            forms[0]["code_verifier"],
            "my own",
            "hidden",
        ):
            self.assertNotIn(secret, text)

    def test_a_secret_is_masked_wherever_a_message_is_cut(self):
        url = self.server.url + "/v1/echo"
        for size in range(fake_server.SHOWN - 60, fake_server.SHOWN + 5, 4):
            fetch("POST", url, {"pad": "-" * size, "refresh_token": "Ab1" * 14})
            for text in (
                json.dumps({"pad": "-" * size, "refresh_token": "Ab1" * 14}),
                "-" * size + " " + "Ab1" * 15,
            ):
                self.client_with_token().post("echo", data=text)
            self.assertNotIn("Ab1Ab1", self.start_page())

    def test_what_came_in_is_no_html(self):
        fetch("GET", self.server.url + "/%3Cb%3E?x=<script>alert(1)</script>")
        fetch("POST", self.server.url + "/token", {"<i>": "<b>"})
        _, _, text = fetch("GET", self.server.url + "/")
        self.assertNotRegex(text, "<script|<i>|<b>")

    def test_the_history_is_bounded(self):
        self.server.kept = 30
        client = self.client_with_token()
        for number in range(60):
            client.post("echo", data=b"x" * 5000)
        self.assertEqual(len(self.server.history), HISTORY)
        self.assertEqual(len(self.server.requests), 30)
        self.assertLess(len(self.start_page()), 80000)

    def test_its_button_ends_access_tokens(self):
        user = self.logged_in_client()
        self.assertEqual(fetch("GET", self.server.url + "/expire")[0], 404)
        user.get("me")
        self.assert_token_requests(1)
        status, headers, _ = fetch("POST", self.server.url + "/expire", {"x": "y"})
        self.assertEqual((status, headers["Location"]), (303, "/#messages"))
        user.get("me")
        self.assert_token_requests(2)

    def test_it_has_two_users(self):
        lists = []
        for name in "ada", "grace":
            user = self.client_without_login()
            asked = user.authorization_request()
            user.exchange(asked, self.server.approve(asked.url, name))
            user.refresh()  # whose token it is stays
            self.assertEqual(user.get("me").json()["id"], name)
            items = user.get("me/tracks", {"limit": 50}).json()["items"]
            lists.append({item["track"]["id"] for item in items})
        self.assertEqual(lists[0] & lists[1], set())
        asked = user.authorization_request()
        with self.assertRaisesRegex(ValueError, "400: Unknown user"):
            self.server.approve(asked.url, "<mallory>")


if __name__ == "__main__":
    unittest.main()
