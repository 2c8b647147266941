"""README.md does what it says: its programs, command lines, diagrams and tables.

    python .ci/check_readme.py             # from the root; with -v and names as unittest
    python .ci/check_readme.py --update    # writes the figures of this oauth2min.py into it

What they share with the tests of the library, they take from test_oauth2min.py. The programs that
need other libraries are run by .ci/ecosystem.
"""

import ast
import asyncio
import concurrent.futures
import contextlib
import hashlib
import importlib.util
import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse
import webbrowser
from shutil import which
from unittest import mock

ROOT = os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples"), os.path.join(ROOT, ".ci")]
import check_limits  # noqa: E402
import oauth2min  # noqa: E402
from oauth2min import PROVIDERS, Client, discover  # noqa: E402
from test_oauth2min import DEVICE_CODE, SCOPE, ServerCase, free_port, query_of  # noqa: E402


README = os.path.join(ROOT, "README.md")
BANNER = "(?m)^# -+ ([^:\\n]+?) -+$"  # those with a colon are parts of a section


def figures():
    """Patterns of README.md, each with the figure of this very oauth2min.py that stands there.
    The figure is in the pattern's group."""
    with open(oauth2min.__file__, "rb") as file:
        data = file.read()
    yield "The sum of this version is\n`([0-9a-f]+)`", hashlib.sha256(data).hexdigest()
    lines = data.decode().splitlines()
    starts = [
        (number, re.match(BANNER, line).group(1))
        for number, line in enumerate(lines)
        if re.match(BANNER, line)
    ]
    ends = [number for number, _ in starts[1:]] + [len(lines)]
    for (start, title), end in zip(starts, ends):
        yield r"(?m)^\| %s \| (\d+) \|" % re.escape(title), str(end - start)
    aloud = [start + 1 for start, title in starts if title == "Token file"][0]
    yield r"and\s+([\d,]+) of 800 lines that are read aloud", str(aloud)
    tree = ast.parse(data)
    if hasattr(tree.body[0], "end_lineno"):  # from Python 3.8 on
        docstring_lines = check_limits.lines_of(check_limits.docstrings(tree))
        tokens = list(check_limits.code_tokens(data.decode(), docstring_lines))
        yield r"it has ([\d,]+) of 13,500 tokens", "{:,}".format(len(tokens))


def update():
    """Writes the figures into README.md."""
    with open(README, encoding="utf-8") as file:
        text = file.read()
    for pattern, figure in figures():
        match = re.search(pattern, text)
        text = text[: match.start(1)] + figure + text[match.end(1) :]
    with open(README, "w", encoding="utf-8") as file:
        file.write(text)


class ReadmeTest(ServerCase):
    """README.md does what it says: its programs, command lines, diagrams and tables."""

    # For the reader: these tests themselves, what needs a network, and other machines.
    NOT_RUN = {
        "python3 -m unittest",
        "pip install .",
        ".ci/run",
        "docker run -it",
        "ssh -L 8888:127.0.0.1:8888 other.example.com",
    }
    IF_THERE = {"curl", "sha256sum"}  # the programs of others
    FAKE_SERVER = "python3 examples/fake_server.py"
    SECRET = "its % secret"  # in letters that every locale has

    def setUp(self):
        super().setUp()
        with open(README, encoding="utf-8") as file:
            self.text = file.read()
        self.server.clients["fake-app"]["client_secret"] = self.SECRET
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def section(self, title):
        found = self.text.partition("\n## %s\n" % title)[2].partition("\n## ")[0]
        self.assertTrue(found, title)
        return found

    def blocks(self, language, title=None):
        text = self.section(title) if title else self.text
        return re.findall(r"(?ms)^```%s\n(.*?)^```$" % language, text)

    def table(self, title):
        """The rows under a heading, each a list of cells."""
        lines = re.findall(r"(?m)^\| (.*) \|$", self.section(title))
        return [line.split(" | ") for line in lines[1:]]

    @staticmethod
    def replaced(text, pairs):
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    def test_it_fits_a_terminal_a_readers_time_and_this_version(self):
        for_all = self.text.partition("\n## From another library\n")[0]
        self.assertLessEqual(for_all.count("\n"), 460)
        self.assertLessEqual(self.text.count("\n"), 1250)
        plain = re.sub(r"(?ms)^```mermaid$.*?^```$|^\|.*?$", "", self.text)
        for line in plain.splitlines():
            self.assertLessEqual(len(line), 99, line)
        for line in "".join(self.blocks("(?:sh|console)")).splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertIn("\n- %s: " % oauth2min.__version__, self.text)

    # Programs

    def run_block(self, block):
        """Runs it as it stands, but for where the servers are, and who the user is.
        Returns its names, and the lines that it printed."""
        public = "SPOTIFY_CLIENT_SECRET" not in block
        environment = {
            "SPOTIFY_CLIENT_ID": "fake-public" if public else "fake-app",
            "SPOTIFY_CLIENT_SECRET": self.SECRET,
            "BROWSER": "true",
        }
        names, output = {}, io.StringIO()
        browser = webbrowser.GenericBrowser("true")
        block = block.replace("https://auth.example.com", self.server.url)
        with contextlib.ExitStack() as stack:
            for context in (
                mock.patch.dict(os.environ, environment),
                mock.patch.dict(PROVIDERS, spotify=self.server.metadata),
                mock.patch("oauth2min._system_browser", self.server.browser),
                mock.patch("webbrowser.get", return_value=browser),
                mock.patch("oauth2min.LOGIN_TIME", 10),
                contextlib.redirect_stdout(output),
                self.captured_stderr(),
            ):
                stack.enter_context(context)
            exec(compile(block, "README.md", "exec"), names)
        for value in names.values():
            if isinstance(value, Client):
                value.close()
        return names, output.getvalue().splitlines()

    def test_each_python_block_does_what_it_says(self):
        self.server.clients["my-id"] = dict(
            self.server.clients["fake-app"], client_secret="my-secret"
        )
        titles = "Two programs", "Another server"
        (_, track), (_, saved), (_, echo) = [
            self.run_block(block)
            for title in titles
            for block in self.blocks("python", title)
        ]
        self.assertRegex(
            "\n".join(track), "^[A-Z][a-z]+ [A-Z][a-z]+ by [A-Z][a-z]+ [A-Z][a-z]+$"
        )
        self.assertEqual((len(saved), echo), (120, ["{'q': 'hello'}"]))
        self.assertTrue(os.path.exists("spotify-token.json"))

    def test_each_store_keeps_a_token(self):
        """The last one, that of keyring, is run by .ci/ecosystem."""
        simple, sqlite, _ = self.blocks("python", "Keeping tokens")
        names, nothing = self.run_block(simple)
        self.assertEqual(nothing, [])
        store = names["Store"]()
        self.client(store=store).get("echo")
        self.assertEqual(store.load()["client_id"], "fake-app")
        make = self.run_block(sqlite)[0]["SQLiteStore"]
        clients = [self.client(store=make("tokens.db", "ada")) for _ in range(4)]
        del self.server.requests[:]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(3):
                list(pool.map(lambda client: client.get("echo"), clients))
                self.server.expire()
        self.assertEqual(len(self.server.forms()), 3)  # not 12
        if os.name == "posix":
            self.assertEqual(os.stat("tokens.db").st_mode & 0o777, 0o600)
        other = self.client(store=make("tokens.db", "grace"))
        self.assertIsNone(other.token)
        clients[0].logout()
        self.assertIsNone(self.client(store=make("tokens.db", "ada")).token)

    def test_each_program_for_other_libraries_is_a_program(self):
        """What it does, .ci/ecosystem tells."""
        for block in self.blocks("python"):
            compile(block, "README.md", "exec")

    def test_each_way_to_await_an_answer_works(self):
        ways = re.findall(r"`(await\s[^`]+)`", self.text)
        self.assertEqual(
            [way.split("(")[0] for way in ways],
            ["await asyncio.to_thread", "await loop.run_in_executor"],
        )
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        for way in ways[0 if hasattr(asyncio, "to_thread") else 1 :]:
            names = {
                "asyncio": asyncio,
                "loop": loop,
                "client": self.client(),
                "url": "echo",
            }
            exec("async def call():\n    return " + way, names)
            answer = loop.run_until_complete(names["call"]())
            self.assertEqual(answer.json()["authorization"], "Bearer")

    def test_two_copies_share_a_token_file_but_no_errors(self):
        copies = []
        for name in "one", "two":
            spec = importlib.util.spec_from_file_location(name, oauth2min.__file__)
            copies.append(importlib.util.module_from_spec(spec))
            spec.loader.exec_module(copies[-1])
            with copies[-1].Client(
                self.server.metadata, "fake-app", self.SECRET, store="token.json"
            ) as client:
                client.get("echo")
        self.assertEqual(len(self.server.forms()), 1)
        self.assertFalse(issubclass(copies[0].TokenError, copies[1].OAuth2Error))

    # Command lines

    def shell_blocks(self):
        """Each a list of commands, with what they show, None where the page does not
        tell."""
        text = re.sub(r"(?ms)^```(?:python|mermaid|go)$.*?^```$", "", self.text)
        for fenced, indented in re.findall(
            r"(?ms)^```(?:sh|console)\n(.*?)^```$|((?:^    \S[^\n]*\n)+)", text
        ):
            if fenced.startswith("$ "):
                yield [
                    (command.replace("\n>", "\n"), shows)
                    for command, shows in re.findall(
                        r"(?m)^\$ ((?:.*\\\n>)*.*)\n((?:(?!\$ ).*\n)*)", fenced
                    )
                ]
            else:
                yield [
                    (re.sub("  +# .*", "", line.strip()), None)
                    for line in (fenced + indented).splitlines()
                ]

    def runs(self, command):
        program = command.split()[0]
        return command not in self.NOT_RUN and (
            program not in self.IF_THERE or which(program)
        )

    def copy_the_project(self, changes):
        """And a program python3, which is this Python."""
        with open(oauth2min.__file__, encoding="utf-8") as file:
            source = file.read()
        for old, _ in changes:
            self.assertIn(old, source)
        os.mkdir("project")
        os.symlink(os.path.join(ROOT, "examples"), os.path.join("project", "examples"))
        for name, text in (
            ("project/oauth2min.py", self.replaced(source, changes)),
            ("python3", '#!/bin/sh\nexec "%s" -S "$@"\n' % sys.executable),
        ):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o755)

    def on_a_terminal(self, script):
        """What a shell that runs this shows to a user, who does what she is told to:
        opens an address, types a code."""
        with open("script", "w") as file:
            file.write(script)
        env = {
            name: value
            for name, value in os.environ.items()
            if not re.match("PYTHON|XDG_|OAUTH2_|SPOTIFY_", name)
        }
        env.update(
            HOME=self.folder,
            PATH=self.folder + os.pathsep + env["PATH"],
            COLUMNS="80",
            https_proxy=self.url_nobody_listens_at(),
            no_proxy="127.0.0.1",  # no way out
            BROWSER="true",
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONWARNINGS="error",
        )
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        shell = self.enter_context(
            subprocess.Popen(
                ["sh", "script"],
                env=env,
                start_new_session=True,
                stdin=slave,
                stdout=slave,
                stderr=slave,
            )
        )
        os.close(slave)

        def end():
            if shell.poll() is None:
                # With the program that it waits for.
                os.killpg(shell.pid, signal.SIGKILL)

        watchdog = threading.Timer(60, end)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(end)
        told = re.compile(
            rb"^(http://\S+/authorize\?\S+)\r\n|type the code (\S+) (?:there:|at)", re.M
        )
        shown, done, data = b"", 0, b"first"
        while data:
            try:
                data = os.read(master, 65536)
            except OSError:  # how Linux tells the end
                data = b""
            shown += data
            for match in told.finditer(shown, done):
                done, (url, code) = match.end(), match.groups(b"")
                if url:
                    self.server.browser(url.decode())
                else:
                    self.server.approve_device(code.decode())
        lines = shown.decode().replace("\r\n", "\n")
        return re.sub("[^\n]*\r", "", lines)  # what was overwritten

    def test_each_command_line_is_one_that_the_next_test_runs_or_known(self):
        in_prose = re.findall(
            r"`((?:python3|pip|docker|ssh|curl) [^`]+|\.ci/run)`", self.text
        )
        self.assertEqual(set(in_prose) - self.NOT_RUN, {self.FAKE_SERVER})
        commands = [command for block in self.shell_blocks() for command, _ in block]
        self.assertEqual(self.NOT_RUN - {*in_prose, *commands}, set())
        prompts = len(re.findall(r"(?m)^\$ ", self.text))
        in_blocks = "".join(self.blocks("sh")).count("\n")
        self.assertEqual(len(commands), prompts + in_blocks + 2)  # none was overlooked

    @unittest.skipUnless(hasattr(os, "openpty"), "there are no terminals here")
    def test_each_command_line_does_what_it_says(self):
        """All in one shell, from the top to the bottom. Each block begins in the
        project, or rather in a copy of it for which the fake server is Spotify. What
        the page shows is compared; there, `...` stands for a part of a line or, alone,
        for any lines."""
        url = self.server.url
        self.server.device_interval = 0.05
        here = [
            ("https://accounts.spotify.com", url),
            ("https://api.spotify.com", url),
            ("http://127.0.0.1:8080", url),
            ("8888", str(free_port())),
            ("ID=... ", "ID=fake-app "),
            ("SECRET=...", "SECRET='%s'" % self.SECRET),
        ]
        there = [
            (url + "/token", "https://accounts.spotify.com/api/token"),
            (url + "/authorize", "https://accounts.spotify.com/authorize"),
            (url, "https://api.spotify.com"),
        ]
        self.copy_the_project([('.com/api/token"', '.com/token"')] + here[:2])
        script, expected = "", []
        for block in self.shell_blocks():
            script += "cd ~/project\n"
            for command, shows in filter(lambda pair: self.runs(pair[0]), block):
                script += self.replaced(command, here) + "\nprintf '\\001%d\\n' $?\n"
                expected.append((command, shows))
        results = re.split("\001([0-9]+)\n", self.on_a_terminal(script))
        self.assertEqual(len(results), 2 * len(expected) + 1, results[-1])
        for (command, shows), shown, status in zip(
            expected, results[::2], results[1::2]
        ):
            with self.subTest(command):
                self.assertEqual(status, "0", shown)
                back = [(url, "http://127.0.0.1:8080")] if "8080" in command else there
                if shows is not None:
                    lines = (
                        r"(.*\n)*"
                        if line == "..."
                        else ".*".join(map(re.escape, line.split("..."))) + r"\n"
                        for line in shows.splitlines()
                    )
                    shown += "\n" * (shown[-1:] not in ("", "\n"))
                    self.assertRegex(
                        self.replaced(shown, back), r"\A%s\Z" % "".join(lines)
                    )
        with open("project/pages.jsonl") as file:
            self.assertEqual(
                [len(json.loads(line)["items"]) for line in file], [50, 50, 20]
            )
        grants = " ".join(form["grant_type"] for form in self.server.forms())
        self.assertRegex(
            grants,
            "^client_credentials authorization_code client_credentials "
            "authorization_code( %s)+ authorization_code$" % DEVICE_CODE,
        )
        self.assertIn(".json", "".join(os.listdir(".local/state/oauth2min")))

    def test_the_fake_server_runs_by_hand(self):
        import fake_server

        with mock.patch("sys.argv", ["fake_server.py", "--help"]), self.assertRaises(
            SystemExit
        ), contextlib.redirect_stdout(io.StringIO()) as shown:
            fake_server.main()
        self.assertIn("8080 by default", shown.getvalue())
        for port in "65536", "-1":
            with mock.patch(
                "sys.argv", ["fake_server.py", "--port", port]
            ), self.assertRaisesRegex(
                SystemExit, "^a port is a number from 0 to 65535$"
            ):
                fake_server.main()
        process = self.enter_context(
            subprocess.Popen(
                [sys.executable, "-B", *self.FAKE_SERVER.split()[1:], "--port", "0"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                universal_newlines=True,
            )
        )
        self.addCleanup(process.kill)
        url = process.stdout.readline().split()[-1]
        self.assertEqual(discover(url)["issuer"], url)

    # Diagrams

    def test_each_diagram_shows_what_is_really_sent(self):
        """The parameters of each request and of each answer; for requests also the
        endpoint, and whether the client authenticates by Basic."""
        messages = []
        names = {
            urllib.parse.urlsplit(str(url)).path: name
            for name, url in self.server.metadata.items()
            if "_endpoint" in name
        }

        def program():
            self.client(scope=SCOPE, trace=messages.append).get("echo")

        def user():
            client = self.client_without_login(trace=messages.append)
            asked = client.authorization_request()
            address = self.server.approve(asked.url)
            messages.append("303 \n\n" + json.dumps(query_of(address)))
            client.exchange(asked, address)
            return client

        def refresh():
            client = user()
            del messages[:], self.server.requests[:]
            self.server.expire()
            client.get("me")

        def device():
            self.server.device_interval, sleep = 0.01, time.sleep

            def wait(seconds):
                sleep(seconds)
                code = re.search("[A-Z]{4}-[A-Z]{4}", shown.getvalue())
                self.server.approve_device(code.group())

            client = self.client_without_login(
                grant_type=DEVICE_CODE, trace=messages.append
            )
            with mock.patch("time.sleep", wait), self.captured_stderr() as shown:
                client.login()

        diagrams = self.blocks("mermaid")
        self.assertEqual(len(diagrams), 4)
        for diagram, happens in zip(diagrams, (program, user, refresh, device)):
            del messages[:], self.server.requests[:]
            happens()
            with self.subTest(happens.__name__):
                requests = re.findall(
                    "->>server: ([A-Z]+) ([a-z_]+)(.*?)<br/>(.*)", diagram
                )
                sent = [
                    request for request in self.server.requests if request.path in names
                ]
                self.assertEqual(len(requests), len(sent))
                for (method, endpoint, more, parameters), request in zip(
                    requests, sent
                ):
                    self.assertEqual(
                        (method, endpoint, "Basic" in more),
                        (
                            request.method,
                            names[request.path],
                            "Basic" in request.headers.get("Authorization", ""),
                        ),
                    )
                    form = {**request.query, **request.form}
                    pairs = re.findall(
                        "([a-z_]+)(=[^, ]*)?", parameters.replace("<br/>", " ")
                    )
                    self.assertEqual(
                        dict(pairs),
                        {
                            name: "=" + form[name] if name + "=" in parameters else ""
                            for name in form
                        },
                    )
                answers = re.findall(
                    r"server-->>(?:program: |browser: .*?<br/>)(.*)", diagram
                )
                got = [
                    json.loads(message.partition("\n\n")[2])
                    for message in messages
                    if re.match("(<-- )?(200|303)", message) and "/v1/" not in message
                ]
                self.assertEqual(
                    [set(re.findall("[a-z_]{3,}", answer)) for answer in answers],
                    list(map(set, got)),
                )

    # Tables

    def test_each_error_and_each_message_in_the_table_is_real(self):
        with open(oauth2min.__file__, encoding="utf-8") as file:
            source = re.sub(r'"\s*\n\s*f?"', "", file.read())
        seen = set()
        for cells in self.table("Errors"):
            seen.update(re.findall(r"`(\w+)`", cells[0]))
            for quoted in re.findall('"([^"`]+)"', " ".join(cells)):
                self.assertTrue(quoted in source, quoted)  # not the whole source
        errors = {
            name
            for name in oauth2min.__all__
            if inspect.isclass(getattr(oauth2min, name))
            and issubclass(getattr(oauth2min, name), Exception)
        }
        self.assertEqual(
            seen, errors | {"URLError", "OSError", "RuntimeWarning", "ValueError"}
        )

    def test_the_sections_are_those_of_the_source(self):
        with open(oauth2min.__file__, encoding="utf-8") as file:
            banners = re.findall(BANNER, file.read())
        self.assertEqual([row[0] for row in self.table("The source")], banners)

    def test_the_figures_are_those_of_the_source(self):
        for pattern, figure in figures():
            with self.subTest(pattern):
                found = re.search(pattern, self.text)
                self.assertEqual(found and found.group(1), figure, "run it with --update")

    def test_the_parameters_are_those_of_the_client(self):
        parameters = list(inspect.signature(Client).parameters.values())
        rows = self.table("The parameters of Client")
        self.assertEqual(
            [row[0] for row in rows], ["`%s`" % parameter.name for parameter in parameters]
        )
        for row, parameter in zip(rows, parameters):
            shown = re.match(r"`?(\"[^`]*\"|\d+)", row[2])
            if shown:
                self.assertEqual(shown.group(1).strip('"'), str(parameter.default))

    def test_the_examples_are_those_that_there_are(self):
        helpers = {"common.py", "fake_server.py", "classroom.py"}
        there = {
            name for name in os.listdir(os.path.join(ROOT, "examples")) if name[-3:] == ".py"
        }
        shown = [re.findall(r"\[(.*?)\]", row[0])[0] for row in self.table("Examples")]
        self.assertEqual(set(shown), there - helpers)
        self.assertEqual(len(shown), len(set(shown)))

    # Links

    def prose(self):
        return re.sub(r"(?ms)^```.*?^```$|`[^`\n]+`", "", self.text)

    def test_each_link_leads_somewhere(self):
        titles = re.findall("(?m)^## (.+)$", self.text)
        anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        for target in re.findall(r"\]\(\s*([^)]+)\)", self.prose()):
            with self.subTest(target):
                if target.startswith("#"):
                    self.assertIn(target[1:], anchors)
                elif not target.startswith("https://"):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, target)))
        linked = re.findall(r"\]\(#([^)]+)\)", self.prose())
        self.assertEqual(anchors - set(linked), set())  # the list at the top has them all

    def test_each_clause_is_a_link_to_it(self):
        definition = r"(?m)^\[(RFC .+)\]: (\S+)$"
        definitions = dict(re.findall(definition, self.prose()))
        text = re.sub(definition, "", self.prose())
        named = re.findall(r"RFC\s+\d+(?:\s+section\s+[\d.]*\d)?", text)
        links = re.findall(r"\[(RFC\s+\d+(?:\s+section\s+[\d.]*\d)?)\]", text)
        self.assertEqual(named, links)
        self.assertEqual({" ".join(name.split()) for name in links}, set(definitions))
        for name, url in definitions.items():
            number, section = re.match(r"RFC (\d+)(?: section (.+))?", name).groups()
            fragment = "#section-" + section if section else ""
            self.assertEqual(url, "https://www.rfc-editor.org/rfc/rfc%s%s" % (number, fragment))


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        update()
    else:
        unittest.main()
