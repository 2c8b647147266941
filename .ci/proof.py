"""The file on its own: installed, copied, twice in a program, and where something is missing.

    python3 .ci/proof.py [Alone] [Without] [Twice] [Packages]     # the last needs build and uv

Each program runs in a process of its own, against the fake server.
"""
import contextlib
import email
import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
import zipfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
import oauth2min  # noqa: E402
from fake_server import FakeServer  # noqa: E402

SECRET = "in ASCII, for any locale"
VERSION = "oauth2min %s\n" % oauth2min.__version__
TOKEN = r"\A[\w-]{20,}\n\Z"


class Case(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)
        self.server.clients["fake-app"]["client_secret"] = SECRET
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        self.path = os.path.join(self.folder, "token")
        self.environment = dict(
            os.environ, OAUTH2_CLIENT_ID="fake-app", OAUTH2_CLIENT_SECRET=SECRET,
            XDG_STATE_HOME=os.path.join(self.folder, "state"), no_proxy="127.0.0.1")
        self.environment.pop("PYTHONPATH", None)

    def copy(self, name):
        """A folder with nothing in it but the file."""
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(ROOT, "oauth2min.py"), folder)
        return folder

    def run_in(self, folder, *command):
        """The exit status, stdout and stderr."""
        done = subprocess.run(command, cwd=folder, env=self.environment, universal_newlines=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300)
        return done.returncode, done.stdout, done.stderr

    def good(self, folder, *command):
        status, out, said = self.run_in(folder, *command)
        self.assertEqual((status, said), (0, ""), " ".join(command))
        return out


class Alone(Case):
    def test_the_file_works_where_nothing_else_is(self):
        empty = self.copy("empty")
        self.assertEqual(os.listdir(empty), ["oauth2min.py"])
        strict = sys.executable, "-W", "error"
        name = self.good(empty, *strict, "-c", "import oauth2min; print(oauth2min.__file__)")
        self.assertEqual(os.path.realpath(name.strip()), os.path.join(empty, "oauth2min.py"))
        for program in ("oauth2min.py",), ("-m", "oauth2min"):
            self.assertEqual(self.good(empty, *strict, *program, "--version"),
                             VERSION)
            out = self.good(empty, *strict, *program, "token", self.server.url)
            self.assertRegex(out, TOKEN)
        track = self.server.url + "/v1/tracks/11dFghVXANMlKmJXsNCbNl"
        out = self.good(empty, *strict, "oauth2min.py", "get", self.server.url, track)
        self.assertIn('"name"', out)
        self.assertEqual(len(self.server.forms("/token")), 1)
        self.assertEqual(set(os.listdir(empty)) - {"__pycache__"}, {"oauth2min.py"})


class Without(Case):
    """What `sys.modules[name] = None` makes an ImportError for whoever wants it."""

    ASK = "print(len(Client(server, 'fake-app', secret, store=store).access_token()) > 9)"
    WORKS = 0, "True\n", ""

    def without(self, names, *lines):
        """What a program makes of it: its status, stdout and stderr."""
        start = ["import sys", *("sys.modules[%r] = None" % name for name in names.split()),
                 "import oauth2min", "from oauth2min import *",
                 "server, store, secret = %r, None, %r" % (self.server.metadata, SECRET)]
        return self.run_in(self.copy("alone"), sys.executable, "-c", "\n".join([*start, *lines]))

    def assert_says(self, pattern, names, *lines):
        """It ends with one line for the user: of a traceback the last, of the command the only."""
        status, out, said = self.without(names, *lines)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(said, pattern)

    def test_ssl(self):
        self.assertEqual(self.without("ssl _ssl", self.ASK), self.WORKS)
        https = "server['token_endpoint'] = 'https://127.0.0.1:9/'"
        self.assert_says(r"\n[\w.]+: .*\bssl\b.*\n\Z", "ssl _ssl", https, self.ASK)
        command = "sys.exit(main(['token', 'https://127.0.0.1:9']))"
        self.assert_says(r"\Aoauth2min: .*\bssl\b.*\n\Z", "ssl _ssl", command)

    def test_fcntl(self):
        self.assertEqual(self.without("fcntl", self.ASK), self.WORKS)
        status, out, said = self.without("fcntl", "store = %r" % self.path, self.ASK)
        self.assertEqual((status, out), self.WORKS[:2])
        self.assertRegex(said, "RuntimeWarning: cannot lock the token file %s .*\n" % self.path)
        self.assertTrue(os.path.exists(self.path))

    def test_webbrowser(self):
        self.assertEqual(self.without("webbrowser", self.ASK), self.WORKS)
        login = ("Client(server, 'fake-public', grant_type='authorization_code')"
                 ".login(%s, timeout=0.2)")
        for browser in "None", "False", "print":
            status, out, said = self.without("webbrowser", login % browser)
            address = said.splitlines()[2] + "\n"
            self.assertEqual((status, out), (1, address if browser == "print" else ""))
            self.assertRegex(said, r"\noauth2min\.LoginRequired: nobody logged in.*\n\Z")

    def test_readline(self):
        self.assertEqual(self.without("readline", self.ASK), self.WORKS)

    def test_a_home(self):
        del self.environment["XDG_STATE_HOME"]
        self.environment.pop("HOME", None)
        homeless = "import pwd; pwd.getpwuid = {}.__getitem__"      # as in many a container
        self.assertEqual(self.without("", homeless, self.ASK), self.WORKS)
        command = homeless + "; sys.exit(main(['token', server['issuer'], *%r]))"
        self.assert_says(r"\Aoauth2min: .*\bhome\b.*\n\Z", "", command % ([],))
        status, out, said = self.without("", command % (["--store", self.path],))
        self.assertEqual((status, said), (0, ""))
        self.assertRegex(out, TOKEN)


class Twice(Case):
    def test_two_copies_in_one_program_share_the_token_file_and_nothing_else(self):
        self.copy("vendor_a"), self.copy("vendor_b")
        sys.path.insert(0, self.folder)
        self.addCleanup(sys.path.remove, self.folder)
        a, b = (importlib.import_module(name + ".oauth2min") for name in ("vendor_a", "vendor_b"))
        self.assertEqual(len({module.__file__ for module in (a, b, oauth2min)}), 3)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(module.Client(
                self.server.metadata, "fake-app", SECRET, store=self.path)) for module in (a, b)]
            self.assertEqual(len({client.access_token() for client in clients}), 1)
            for rounds in range(2, 7):              # of 8 threads of each, one renews it for all
                self.server.expire()
                barrier, got = threading.Barrier(16), []

                def use(client):
                    barrier.wait(10)
                    got.append(client.get("tracks/11dFghVXANMlKmJXsNCbNl").status_code)
                threads = [threading.Thread(target=use, args=[client]) for client in clients * 8]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual((got, len(self.server.forms())), ([200] * 16, rounds))
        for name in a.__all__:
            one, other = getattr(a, name), getattr(b, name)
            self.assertIsNot(one, other)
            if isinstance(one, type) and issubclass(one, Exception):
                self.assertFalse(issubclass(one, b.OAuth2Error))
                self.assertFalse(issubclass(other, a.OAuth2Error))
        for module, stranger in (a, b), (b, a):
            with self.assertRaises(module.TokenError) as caught:
                module.Client(self.server.metadata, "fake-app", "wrong").access_token()
            self.assertNotIsInstance(caught.exception, stranger.OAuth2Error)
            module.PROVIDERS[module.__name__] = self.server.metadata
            with self.assertRaises(ValueError):
                stranger.Client(module.__name__, "id")


class Packages(Case):
    def test_a_wheel_and_an_sdist_hold_what_they_should_and_work_by_pip_and_uv(self):
        source, dist = os.path.join(self.folder, "source"), os.path.join(self.folder, "dist")
        commit = subprocess.check_output(["git", "-C", ROOT, "archive", "HEAD"])
        with tarfile.open(fileobj=io.BytesIO(commit)) as archive:
            archive.extractall(source, filter="data")
        self.python("-m", "build", "--outdir", dist, source)
        name = "oauth2min-" + oauth2min.__version__
        self.assertEqual(sorted(os.listdir(dist)), [name + "-py3-none-any.whl", name + ".tar.gz"])
        wheel, sdist = (os.path.join(dist, file) for file in sorted(os.listdir(dist)))
        with zipfile.ZipFile(wheel) as archive:
            info = name + ".dist-info/"
            self.assertEqual(set(archive.namelist()), {"oauth2min.py", *(info + part for part in (
                "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"))})
            code = archive.read("oauth2min.py").decode()
            self.assertEqual(code, self.read(source, "oauth2min.py"))
            head, _, text = archive.read(info + "METADATA").decode().partition("\n\n")
        metadata = email.message_from_string(head)
        for key, value in (("Name", "oauth2min"), ("Version", oauth2min.__version__),
                           ("Requires-Python", ">=3.6"), ("Requires-Dist", None),
                           ("Description-Content-Type", "text/markdown")):
            self.assertEqual(metadata[key], value)
        self.assertEqual(metadata["License-Expression"] or metadata["License"], "0BSD")
        self.assertEqual(text.strip(), self.read(source, "README.md").strip())
        with tarfile.open(sdist) as archive:
            files = {member.name[len(name) + 1:] for member in archive if member.isfile()}
        self.assertEqual({file for file in files if ".egg-info/" not in file}, {
            "PKG-INFO", "README.md", "oauth2min.py", "pyproject.toml", "setup.cfg"})
        for package in wheel, sdist:
            for installer in self.pip, self.uv:
                with self.subTest(package, installer=installer.__name__):
                    self.use(installer(package))

    def read(self, *path):
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()

    def python(self, *arguments):
        status, out, said = self.run_in(self.folder, sys.executable, *arguments)
        self.assertEqual(status, 0, out + said)

    def pip(self, package):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.python("-m", "venv", folder)
        self.good(folder, "bin/pip", "-q", "install", package)
        return folder

    def uv(self, package):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.python("-m", "uv", "venv", "-q", "--clear", "--python", sys.executable, folder)
        self.python("-m", "uv", "pip", "install", "-q", "--python", folder, package)
        return folder

    def use(self, folder):
        commands = os.path.join(folder, "bin")
        for program in [commands + "/oauth2min"], [commands + "/python", "-m", "oauth2min"]:
            self.assertEqual(self.good(folder, *program, "--version"), VERSION)
            self.assertRegex(self.good(folder, *program, "token", self.server.url), TOKEN)


if __name__ == "__main__":
    unittest.main()
