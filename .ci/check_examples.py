"""Each example runs as its docstring says: with --fake, without a network, until Ctrl-C.

    python .ci/check_examples.py    # from the root; with -v and names as unittest

What they share with the tests of the library, they take from test_oauth2min.py.
"""

import ast
import contextlib
import io
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from unittest import mock

ROOT = os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import fetch  # noqa: E402
from test_oauth2min import Case, RawServer, query_of  # noqa: E402


class ExamplesTest(Case):
    """Each example runs with --fake: no network, no user, no account, and no secret
    shown."""

    # Of secrets, these may be seen: the address of a login has to hold them.
    PUBLIC = re.compile("(?:code_challenge|state)=[A-Za-z0-9_-]+")

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
        return query_of(
            self.heard(end.process.stderr, r"\n\n(https?://\S+)\n\n.*:\n").group(1)
        )

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
                ("paste_login.py", "Logged in as 'Ada'"),
                ("web_app.py", "(?s)(<li>.*){5}Log out.*You are logged out"),
            )
        ]:
            with self.subTest(name):
                out, err = end()
                self.assertRegex(out, expected)
                # Only its login shows a URL there.
                self.assertEqual(err != "", name == "spotify_library.py")

    def test_the_quickstart_shows_what_it_got(self):
        out, err = self.start_example("quickstart.py")()
        self.assertRegex(out, "(?s)What it got: .*120 saved tracks.*server: yes[.]\n$")
        self.assertEqual(err, "")

    def test_the_doctor_masks_passwords_and_says_what_to_do(self):
        plain = self.start_example("doctor.py")
        fake = self.start_example(
            "doctor.py",
            "--fake",
            https_proxy="http://bob:se@cr/t@proxy:1",
            all_proxy="socks5://bob:secret@proxy:1",
        )
        out, err = fake()
        self.assertNotRegex(out + err, "bob|se@cr|secret")
        self.assertRegex(
            out,
            r"(?s)look here  proxy: all = socks5://\*\*\*@proxy:1: it must.*"
            r"ok  .*https = http://\*\*\*@proxy:1\n.*ok .*listen on 127.0.*"
            r"ok         clock: [+-]\d s from",
        )
        out, _ = plain()
        self.assertRegex(out, "(?s)look here  clock: .*name your server")

    def run_here(self, name, *arguments):
        """Runs it in this process and without a variable; what it wrote, and how it
        ended."""
        path, ended = os.path.join(ROOT, "examples", name), None
        environment = mock.patch.dict(os.environ, clear=True)
        command_line = mock.patch("sys.argv", [path, *arguments])
        with environment, command_line, contextlib.redirect_stdout(
            io.StringIO()
        ) as out:
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as error:
                ended = error.code
        return out.getvalue(), ended

    def test_what_is_missing_in_the_environment_is_named_in_one_line(self):
        for name, missing in (
            ("spotify_track.py", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
            ("spotify_library.py", "SPOTIFY_CLIENT_ID"),
            ("paste_login.py", "SPOTIFY_CLIENT_ID"),
            ("x_timeline.py", "X_API_KEY and X_API_SECRET"),
            ("web_app.py", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
        ):
            with self.subTest(name):
                out, ended = self.run_here(name)
                self.assertRegex("%s%s" % (out, ended), "^Set %s .{0,40}$" % missing)

    def test_help_is_the_docstring_and_needs_nothing(self):
        for name in self.ALL:
            path = os.path.join(ROOT, "examples", name)
            with self.subTest(name), open(path, encoding="utf-8") as file:
                docstring = ast.get_docstring(ast.parse(file.read()), clean=False)
                for option in "-h", "--help":
                    out, ended = self.run_here(name, option)
                    self.assertEqual((out, ended or 0), ("%s\n" % docstring, 0))
                self.assertLess(max(map(len, docstring.splitlines())), 80)

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
            self.assertRegex(
                end(1)[1], "^no answer from https://.* the proxy settings\n$"
            )
        self.assertRegex(doctor()[0], r"(?s)clock: no answer from \S+ \(\[Errno")
        url = self.heard(web.process.stdout, r"http://[0-9.:]+").group()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        status, headers, _ = fetch("GET", url)
        state = query_of(headers["Location"])["state"]
        request = urllib.request.Request(url + "/callback?code=c&state=" + state)
        request.add_header("Cookie", headers["Set-Cookie"].partition(";")[0])
        with self.assertRaises(urllib.request.HTTPError) as caught:
            opener.open(request)
        with caught.exception as error:
            page = error.read().decode()
        self.assertRegex(page, r"\n(\[Errno -?\d+\] )?no answer from https:")

    def test_a_user_who_says_no_to_the_quickstart_gets_one_line(self):
        end = self.start_example("quickstart.py", "--browser", BROWSER="true")
        asked = self.asked(end)
        answer = "?error=access_denied&state=" + asked["state"]
        fetch("GET", asked["redirect_uri"] + answer)
        self.assertRegex(end(1)[1], r"^access_denied: .*\n$")


if __name__ == "__main__":
    unittest.main()
