"""The file on its own: installed, copied, twice in a program, where something is missing.

    python3 .ci/check_installed.py [alone] [without] [twice] [packages]

Without a word, all of it. `packages` needs build and uv. Each program runs in a process of
its own, against the fake server.
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

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
import oauth2min  # noqa: E402
from fake_server import FakeServer  # noqa: E402

SECRET = "in ASCII, for any locale"
TOKEN = r"\A[\w-]{20,}\n\Z"
TRACK = "tracks/11dFghVXANMlKmJXsNCbNl"


class Case(unittest.TestCase):
    """A fake server, an empty folder, and programs that run there."""

    def setUp(self):
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)
        registered = self.server.clients["fake-app"]
        registered["client_secret"] = SECRET
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        self.path = os.path.join(self.folder, "token")
        self.environment = dict(
            os.environ,
            OAUTH2_CLIENT_ID="fake-app",
            OAUTH2_CLIENT_SECRET=SECRET,
            XDG_STATE_HOME=os.path.join(self.folder, "state"),
            no_proxy="127.0.0.1",
        )
        self.environment.pop("PYTHONPATH", None)

    def copy(self, name):
        """A folder with nothing in it but the file."""
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(ROOT, "oauth2min.py"), folder)
        return folder

    def run_in(self, folder, *command):
        """The exit status, stdout and stderr."""
        done = subprocess.run(
            command,
            cwd=folder,
            env=self.environment,
            universal_newlines=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    def good(self, folder, *command):
        """The stdout of a command that has nothing to complain of."""
        status, out, said = self.run_in(folder, *command)
        self.assertEqual((status, said), (0, ""), " ".join(command))
        return out


class Alone(Case):
    def test_the_file_works_where_nothing_else_is(self):
        self.empty = self.copy("empty")
        self.assertEqual(os.listdir(self.empty), ["oauth2min.py"])
        name = self.python("-c", "import oauth2min; print(oauth2min.__file__)")
        self.assertEqual(
            os.path.realpath(name.strip()),
            os.path.join(self.empty, "oauth2min.py"),
        )
        as_script = ("oauth2min.py",)
        as_module = ("-m", "oauth2min")
        for program in as_script, as_module:
            token = self.python(*program, "token", self.server.url)
            self.assertRegex(token, TOKEN)
        url = self.server.url + "/v1/" + TRACK
        track = self.python("oauth2min.py", "get", self.server.url, url)
        self.assertIn('"name"', track)
        self.assertEqual(len(self.server.forms("/token")), 1)
        left = set(os.listdir(self.empty)) - {"__pycache__"}
        self.assertEqual(left, {"oauth2min.py"})

    def python(self, *arguments):
        return self.good(self.empty, sys.executable, "-W", "error", *arguments)


class Without(Case):
    """What `sys.modules[name] = None` makes an ImportError for whoever wants it."""

    ASK = "print(len(Client(server, 'fake-app', secret, store=store).access_token()) > 9)"

    def without(self, names, *lines):
        """What a program makes of it: its status, stdout and stderr."""
        program = ["import sys"]
        for name in names.split():
            program.append("sys.modules[%r] = None" % name)
        program += [
            "import oauth2min",
            "from oauth2min import *",
            "server = %r" % self.server.metadata,
            "secret = %r" % SECRET,
            "store = None",
            *lines,
        ]
        return self.run_in(
            self.copy("alone"), sys.executable, "-c", "\n".join(program)
        )

    def assert_works(self, names, *lines):
        """A client gets its token all the same."""
        works = self.without(names, *lines, self.ASK)
        self.assertEqual(works, (0, "True\n", ""))

    def assert_says(self, pattern, names, *lines):
        """It ends with one line for the user: of a traceback the last, of the command the
        only one."""
        status, out, said = self.without(names, *lines)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(said, pattern)

    def test_ssl(self):
        self.assert_works("ssl _ssl")
        # There has to be a server, as TLS begins on an open connection.
        url = self.server.url.replace("http:", "https:")
        https = "server['token_endpoint'] = %r" % url
        self.assert_says(
            r"\n[\w.]+: .*\bssl\b.*\n\Z", "ssl _ssl", https, self.ASK
        )
        command = "sys.exit(main(['token', %r]))" % url
        self.assert_says(r"\Aoauth2min: .*\bssl\b.*\n\Z", "ssl _ssl", command)

    def test_fcntl(self):
        self.assert_works("fcntl")
        store = "store = %r" % self.path
        status, out, said = self.without("fcntl", store, self.ASK)
        self.assertEqual((status, out), (0, "True\n"))
        warning = "RuntimeWarning: %s has no lock .*\n" % self.path
        self.assertRegex(said, warning)
        self.assertTrue(os.path.exists(self.path))

    def test_webbrowser(self):
        self.assert_works("webbrowser")
        client = "Client(server, 'fake-public', grant_type='authorization_code')"
        for browser in "None", "False", "print":
            login = "%s.login(%s, timeout=0.2)" % (client, browser)
            status, out, said = self.without("webbrowser", login)
            self.assertEqual(status, 1)
            address = said.splitlines()[2] + "\n"
            self.assertEqual(out, address if browser == "print" else "")
            self.assertRegex(
                said, r"\noauth2min\.LoginRequired: nobody logged in.*\n\Z"
            )

    def test_readline(self):
        self.assert_works("readline")

    def test_a_home(self):
        del self.environment["XDG_STATE_HOME"]
        self.environment.pop("HOME", None)
        # As in many a container, nobody knows this user.
        homeless = "import pwd; pwd.getpwuid = {}.__getitem__"
        self.assert_works("", homeless)
        command = "sys.exit(main(['token', server['issuer']]))"
        self.assert_says(r"\Aoauth2min: .*\bhome\b.*\n\Z", "", homeless, command)
        store = "['--store', %r]" % self.path
        command = "sys.exit(main(['token', server['issuer'], *%s]))" % store
        status, out, said = self.without("", homeless, command)
        self.assertEqual((status, said), (0, ""))
        self.assertRegex(out, TOKEN)


class Twice(Case):
    """Two copies in one program, as two vendors put them there."""

    def setUp(self):
        super().setUp()
        self.copy("vendor_a")
        self.copy("vendor_b")
        sys.path.insert(0, self.folder)
        self.addCleanup(sys.path.remove, self.folder)
        self.addCleanup(sys.modules.pop, "vendor_a.oauth2min", None)
        self.addCleanup(sys.modules.pop, "vendor_b.oauth2min", None)
        self.addCleanup(sys.modules.pop, "vendor_a", None)
        self.addCleanup(sys.modules.pop, "vendor_b", None)
        importlib.invalidate_caches()
        self.a = importlib.import_module("vendor_a.oauth2min")
        self.b = importlib.import_module("vendor_b.oauth2min")

    def test_they_are_two(self):
        files = {module.__file__ for module in (self.a, self.b, oauth2min)}
        self.assertEqual(len(files), 3)

    def test_they_share_the_token_file(self):
        with contextlib.ExitStack() as stack:
            clients = []
            for module in self.a, self.b:
                client = module.Client(
                    self.server.metadata, "fake-app", SECRET, store=self.path
                )
                clients.append(stack.enter_context(client))
            tokens = {client.access_token() for client in clients}
            self.assertEqual(len(tokens), 1)
            for requests in range(
                2, 7
            ):  # of 8 threads of each, one renews it for all
                self.server.expire()
                self.assertEqual(self.use_at_once(clients * 8), [200] * 16)
                self.assertEqual(len(self.server.forms()), requests)

    def use_at_once(self, clients):
        """What the API answers to each, all of them in threads that start together."""
        barrier = threading.Barrier(len(clients))
        got = []

        def use(client):
            barrier.wait(10)
            got.append(client.get(TRACK).status_code)

        threads = [
            threading.Thread(target=use, args=[client]) for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return got

    def test_they_share_no_name_and_no_error(self):
        for name in self.a.__all__:
            one = getattr(self.a, name)
            other = getattr(self.b, name)
            self.assertIsNot(one, other)
            if isinstance(one, type) and issubclass(one, Exception):
                self.assertFalse(issubclass(one, self.b.OAuth2Error))
                self.assertFalse(issubclass(other, self.a.OAuth2Error))

    def test_they_raise_no_error_of_the_other_and_share_no_provider(self):
        for module, stranger in (self.a, self.b), (self.b, self.a):
            client = module.Client(self.server.metadata, "fake-app", "wrong")
            self.addCleanup(client.close)
            with self.assertRaises(module.TokenError) as caught:
                client.access_token()
            self.assertNotIsInstance(caught.exception, stranger.OAuth2Error)
            module.PROVIDERS[module.__name__] = self.server.metadata
            with self.assertRaises(ValueError):
                stranger.Client(module.__name__, "id")


class Packages(Case):
    NAME = "oauth2min-" + oauth2min.__version__

    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.folder, "source")
        dist = os.path.join(self.folder, "dist")
        self.take_the_commit()
        self.python("-m", "build", "--outdir", dist, self.source)
        wheel = self.NAME + "-py3-none-any.whl"
        sdist = self.NAME + ".tar.gz"
        self.assertEqual(sorted(os.listdir(dist)), [wheel, sdist])
        self.wheel = os.path.join(dist, wheel)
        self.sdist = os.path.join(dist, sdist)

    def take_the_commit(self):
        commit = subprocess.check_output(["git", "-C", ROOT, "archive", "HEAD"])
        with tarfile.open(fileobj=io.BytesIO(commit)) as archive:
            archive.extractall(self.source, filter="data")

    def test_a_wheel_and_an_sdist_hold_what_they_should_and_work_by_pip_and_uv(
        self,
    ):
        self.check_wheel()
        self.check_sdist()
        for package in self.wheel, self.sdist:
            for installer in self.pip, self.uv:
                with self.subTest(package, installer=installer.__name__):
                    self.use(installer(package))

    def check_wheel(self):
        info = self.NAME + ".dist-info/"
        expected = {"oauth2min.py"}
        for name in (
            "METADATA",
            "RECORD",
            "WHEEL",
            "entry_points.txt",
            "top_level.txt",
        ):
            expected.add(info + name)
        with zipfile.ZipFile(self.wheel) as archive:
            self.assertEqual(set(archive.namelist()), expected)
            code = archive.read("oauth2min.py").decode()
            metadata = archive.read(info + "METADATA").decode()
        self.assertEqual(code, self.read("oauth2min.py"))
        head, _, text = metadata.partition("\n\n")
        self.assertEqual(text.strip(), self.read("README.md").strip())
        self.check_fields(email.message_from_string(head))

    def check_fields(self, fields):
        self.assertEqual(fields["Name"], "oauth2min")
        self.assertEqual(fields["Version"], oauth2min.__version__)
        self.assertEqual(fields["Requires-Python"], ">=3.6")
        self.assertEqual(fields["Requires-Dist"], None)
        self.assertEqual(fields["Description-Content-Type"], "text/markdown")
        self.assertEqual(
            fields["License-Expression"] or fields["License"], "0BSD"
        )

    def check_sdist(self):
        files = set()
        with tarfile.open(self.sdist) as archive:
            for member in archive:
                if member.isfile() and ".egg-info/" not in member.name:
                    files.add(member.name[len(self.NAME) + 1 :])
        self.assertEqual(
            files,
            {
                "PKG-INFO",
                "README.md",
                "oauth2min.py",
                "pyproject.toml",
                "setup.cfg",
            },
        )

    def read(self, name):
        with open(os.path.join(self.source, name), encoding="utf-8") as file:
            return file.read()

    def python(self, *arguments):
        status, out, said = self.run_in(self.folder, sys.executable, *arguments)
        self.assertEqual(status, 0, out + said)

    def pip(self, package):
        """The folder of a virtual environment that has the package."""
        folder = tempfile.mkdtemp(dir=self.folder)
        self.python("-m", "venv", folder)
        self.good(folder, "bin/pip", "-q", "install", package)
        return folder

    def uv(self, package):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.python(
            "-m",
            "uv",
            "venv",
            "-q",
            "--clear",
            "--python",
            sys.executable,
            folder,
        )
        self.python(
            "-m", "uv", "pip", "install", "-q", "--python", folder, package
        )
        return folder

    def use(self, folder):
        command = [os.path.join(folder, "bin", "oauth2min")]
        module = [os.path.join(folder, "bin", "python"), "-m", "oauth2min"]
        for program in command, module:
            token = self.good(folder, *program, "token", self.server.url)
            self.assertRegex(token, TOKEN)


PARTS = {"alone": Alone, "without": Without, "twice": Twice, "packages": Packages}


def main(words):
    unknown = [word for word in words if word not in PARTS]
    if unknown:
        print(__doc__, file=sys.stderr)
        return 2
    suite = unittest.TestSuite()
    for word in words or PARTS:
        suite.addTests(
            unittest.defaultTestLoader.loadTestsFromTestCase(PARTS[word])
        )
    result = unittest.TextTestRunner().run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
