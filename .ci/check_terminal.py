"""A login by hand on a terminal: what a person types and pastes, what is seen, what is left.

    python3 .ci/check_terminal.py [TEST...]

Each test starts a program on a pseudo-terminal of 80 columns, types into it as a person or a
terminal's paste would, and reads the screen. After each of them `stty -a` must say what it
said before. Needs a Unix with `stty`; where that is missing, it says so and fails.
"""

import codecs
import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import urllib.request
from urllib.parse import parse_qs, urlencode, urlsplit

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer  # noqa: E402

COLUMNS = 80
PATIENCE = 30           # seconds without an end: it will never come
LONG = 8000             # characters; terminals cut a line at 1,024 or 4,096
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
BACKSPACE, CTRL_C, CTRL_D, ENTER = "\x7f", "\x03", "\x04", "\r"

# What a program does with a login; `login` and `say` are there. Its end is seen on the screen.
PROGRAM = """
import json, os, signal, sys, threading, time
sys.path.insert(0, %r)
from oauth2min import AuthorizationError, Client, LoginRequired, OAuth2Error, TokenError
def say(*words):
    print(*words, flush=True)
def client(**options):
    return Client(json.loads(os.environ["SERVER"]), "fake-public",
                  grant_type="authorization_code", **options)
def login(open_browser=False, timeout=%d, **options):
    with client(**options) as user:
        return user.login(open_browser, timeout)
""" % (ROOT, PATIENCE)
LOGIN = "login()\nsay('LOGGED IN')\n"

# Makes stdin the controlling terminal, and leaves the signals as a shell would: what runs in the
# background may have been told to ignore some.
TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for name in "SIGINT", "SIGQUIT":
    signal.signal(getattr(signal, name), signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Screen:
    """What a terminal of 80 columns shows of the bytes that it got: its lines, as a list. An
    escape sequence or another sign that moves the cursor must not come: a ValueError."""

    def __init__(self):
        self.lines = [[]]
        self.row = self.column = 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data):
        for sign in self.decoder.decode(data):
            if sign == "\n":
                self.down()
            elif sign == "\r":
                self.column = 0
            elif sign == "\b":
                self.column = max(0, min(self.column, COLUMNS - 1) - 1)
            elif sign == "\a":
                pass
            elif not sign.isprintable():
                raise ValueError("%r reached the terminal" % sign)
            else:
                if self.column == COLUMNS:
                    self.down()
                    self.column = 0
                line = self.lines[self.row]
                line.extend(" " * (self.column + 1 - len(line)))
                line[self.column] = sign
                self.column += 1

    def down(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def text(self):
        return ["".join(line).rstrip() for line in self.lines]


class Program:
    """A program on a terminal of its own, whose controlling terminal it is."""

    def __init__(self, command, environment, before="sane"):
        self.master, self.slave = self.open_files = os.openpty()
        size = struct.pack("HHHH", 24, COLUMNS, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        self.stty(*before.split())
        self.before = self.stty("-a")
        self.output = b""
        self.screen = Screen()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *command], env=environment,
            stdin=self.slave, stdout=self.slave, stderr=self.slave)

    def stty(self, *arguments):
        done = subprocess.run(
            ("stty", *arguments), stdin=self.slave, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode()

    def is_canonical(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ICANON)

    def read(self):
        """Takes in what there is to read, for a moment at most."""
        if select.select([self.master], [], [], 0.02)[0]:
            data = os.read(self.master, 65536)
            self.output += data
            self.screen.feed(data)

    def sees(self, pattern, after=0):
        """Waits for a text on the terminal, and returns the match."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern.encode(), self.output[after:])
            if found:
                return found
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.read()
                found = re.search(pattern.encode(), self.output[after:])
                if found:
                    return found
                raise AssertionError("no %r on the screen:\n%s" % (
                    pattern, "\n".join(self.screen.text()[-30:])))
            self.read()

    def address(self):
        """The address that the user is to open, once it is on the screen whole."""
        return self.sees(r"(https?://\S+[?&]state=\S+)\r?\n").group(1).decode()

    def types(self, text, pause=0.0):
        """Sends keys. With a pause between them it is a person; without one a paste, which
        comes in pieces, as the terminal takes them."""
        keys = text.encode()
        step = 1 if pause else 1024
        for start in range(0, len(keys), step):
            piece = keys[start:start + step]
            deadline = time.monotonic() + PATIENCE
            while piece:
                if time.monotonic() > deadline:
                    raise AssertionError("the terminal takes no more keys")
                self.read()  # or its echo would fill the other side
                if select.select([], [self.master], [], 0.02)[1]:
                    piece = piece[os.write(self.master, piece):]
            time.sleep(pause)

    def ends(self):
        """Waits for the end of the program and returns its status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError("it did not end; on the screen:\n%s"
                                     % "\n".join(self.screen.text()[-30:]))
            self.read()
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for file in self.open_files:
            os.close(file)
        self.open_files = ()


class Terminal(unittest.TestCase):
    promises_iss = False
    patience = PATIENCE

    def setUp(self):
        self.assertIsNotNone(shutil.which("stty"), "these tests need the command stty")
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)
        self.program = None
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.metadata = self.server.metadata
        if not self.promises_iss:
            # Then a code alone will do: nothing else could be compared with an address.
            del self.metadata["authorization_response_iss_parameter_supported"]
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": self.folder, "no_proxy": "127.0.0.1",
            "XDG_STATE_HOME": self.folder, "OAUTH2_CLIENT_ID": "fake-public",
            "SERVER": json.dumps(self.metadata), "LC_ALL": "C.UTF-8", "TERM": "dumb",
        }

    def tearDown(self):
        if self.program:
            self.program.close()
        self.assertEqual(self.server.unasked(), [])

    def start(self, text=LOGIN, before="sane"):
        self.run_command([sys.executable, "-W", "error", "-c", PROGRAM + text], before)

    def run_command(self, command, before="sane"):
        self.program = Program(command, self.environment, before)

    def start_command_line(self, *options):
        module = os.path.join(ROOT, "oauth2min.py")
        self.run_command([sys.executable, "-W", "error", module, "login", self.server.url,
                          "--no-browser", *options])

    def approved(self):
        """The address that the browser ends at."""
        return self.server.approve(self.program.address())

    def long_address(self, length=LONG):
        """The same, made so long by a parameter of the server's, which comes first: if the
        end is lost, the code and the state are."""
        approved = self.approved()
        address, _, query = approved.partition("?")
        return "%s?session_state=%s&%s" % (address, "x" * (length - len(approved) - 15), query)

    def ready(self):
        """Waits until long lines can be pasted: a person is slower than any program."""
        deadline = time.monotonic() + Terminal.patience
        while self.program.is_canonical():
            self.program.read()
            if time.monotonic() > deadline:
                Terminal.patience = 1  # the other tests will fail as well, but soon
                self.fail("the terminal still cuts long lines")

    def prompted(self):
        """Waits for the sentence about pasting; how much is on the terminal then."""
        self.program.address()
        self.program.sees(r"(?i)\bpaste\b[^\n]*\n")
        return len(self.program.output)

    def callback(self):
        """The browser comes back by itself; returns its page."""
        approved = self.approved()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(approved, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def asked_state(self):
        return parse_qs(urlsplit(self.program.address()).query)["state"][0]

    def any_code(self):
        """The token endpoint takes any code, once."""
        self.server.script("/token", 200, {"access_token": "any", "token_type": "Bearer"})

    def code_sent(self):
        forms = self.server.forms("/token")
        self.assertEqual(len(forms), 1)
        return forms[0]["code"]

    def unchanged(self):
        """The terminal is as it was before."""
        self.assertEqual(self.program.stty("-a"), self.program.before)

    def succeeds(self):
        self.assertEqual(self.program.ends(), 0, "\n".join(self.program.screen.text()[-20:]))
        text = "\n".join(self.program.screen.text())
        self.assertRegex(text, "LOGGED IN\n*$")
        self.unchanged()


class Pasting(Terminal):
    """What a person pastes arrives, whole."""

    def test_an_address(self):
        self.start()
        self.program.types(self.approved() + ENTER)
        self.succeeds()

    def test_an_address_of_8000_characters(self):
        self.start()
        address = self.long_address()
        self.assertEqual(len(address), LONG)
        self.ready()
        self.program.types(address + ENTER)
        self.succeeds()

    def test_addresses_about_as_long_as_what_terminals_cut(self):
        for length in 1023, 1024, 1025, 4094, 4095, 4096, 4097:
            with self.subTest(length):
                self.start()
                address = self.long_address(length)
                self.ready()
                self.program.types(address + ENTER)
                self.succeeds()
                self.program.close()

    def test_a_code_of_7900_characters_in_an_address(self):
        code = "".join("%04d" % number for number in range(7900 // 4))
        self.start()
        address = self.approved().partition("?")[0]
        address += "?" + urlencode({"state": self.asked_state(), "code": code})
        self.any_code()
        self.ready()
        self.program.types(address + ENTER)
        self.succeeds()
        self.assertEqual(self.code_sent(), code)

    def test_a_code_alone_of_8000_characters(self):
        code = "".join("%04d" % number for number in range(LONG // 4))
        self.start()
        self.any_code()
        self.program.address()
        self.ready()
        self.program.types(code + ENTER)
        self.succeeds()
        self.assertEqual(self.code_sent(), code)

    def test_a_code_alone(self):
        self.start()
        self.program.types(parse_qs(urlsplit(self.approved()).query)["code"][0] + ENTER)
        self.succeeds()

    def test_a_code_alone_that_ends_in_equals_signs(self):
        self.start()
        self.any_code()
        self.program.address()
        self.program.types("TWFuIGlzIGRpc3Rpbmd1aXNoZWQ==" + ENTER)
        self.succeeds()
        self.assertEqual(self.code_sent(), "TWFuIGlzIGRpc3Rpbmd1aXNoZWQ==")

    def test_code_and_state_with_a_hash_between_them(self):
        self.start()
        code = parse_qs(urlsplit(self.approved()).query)["code"][0]
        self.program.types("%s#%s%s" % (code, self.asked_state(), ENTER))
        self.succeeds()

    def test_a_code_with_another_state_is_not_sent(self):
        self.start()
        approved = self.approved()
        code = parse_qs(urlsplit(approved).query)["code"][0]
        before = self.prompted()
        self.program.types("%s#%s%s" % (code, "another-state", ENTER))
        self.program.sees(r"(?i)\bpaste\b", after=before)
        self.assertEqual(self.server.forms("/token"), [])
        self.program.types(approved + ENTER)
        self.succeeds()

    def test_a_word_on_an_out_of_band_page(self):
        self.start("login(redirect_uri=%r)\nsay('LOGGED IN')" % OUT_OF_BAND)
        self.any_code()
        self.program.address()
        self.program.types("4/1AX" + ENTER)
        self.succeeds()
        self.assertEqual(self.code_sent(), "4/1AX")

    def test_line_breaks_in_an_address(self):
        """As it is copied from a mail, or from a terminal that is narrow."""
        self.start()
        address = self.approved()
        cut = [address[start:start + 40] for start in range(0, len(address), 40)]
        self.program.types(ENTER.join(cut) + ENTER)
        self.succeeds()

    def test_line_breaks_in_an_address_of_8000_characters(self):
        self.start()
        address = self.long_address()
        cut = [address[start:start + 76] for start in range(0, len(address), 76)]
        self.ready()
        self.program.types((ENTER + "  ").join(cut) + ENTER)
        self.succeeds()

    def test_something_else_first(self):
        """What is no answer is asked for again, and what comes then counts."""
        self.start()
        address = self.approved()
        for wrong in "", "   ", "yes", "https://example.com/" + "x" * 300:
            with self.subTest(wrong):
                before = self.prompted()
                self.program.types(wrong + ENTER)
                self.program.sees(r"(?i)\bpaste\b" if wrong.strip() else "\n", after=before)
        self.program.types(address + ENTER)
        self.succeeds()

    def test_ctrl_d_ends_nothing(self):
        self.start()
        address = self.approved()
        self.program.types(CTRL_D, 0.1)
        self.program.types(address + ENTER)
        self.succeeds()

    def test_in_another_thread_than_the_first(self):
        self.start("thread = threading.Thread(target=login)\nthread.start()\n"
                   "thread.join()\nsay('LOGGED IN')")
        self.program.types(self.approved() + ENTER)
        self.succeeds()

    def test_one_login_after_another(self):
        self.start("login()\nsay('FIRST')\nlogin()\nsay('LOGGED IN')")
        address = self.approved()
        self.program.types(address + ENTER)
        self.program.sees("FIRST\r\n")
        first = self.program.output.index(b"FIRST\r\n")
        second = self.program.sees(r"(http://\S+[?&]state=\S+)\r?\n", after=first)
        self.program.types(self.server.approve(second.group(1).decode()) + ENTER)
        self.succeeds()


class Promised(Terminal):
    """The metadata promise `iss` (RFC 9207): then a code alone is no answer."""
    promises_iss = True

    def test_a_code_alone_is_refused_and_an_address_taken(self):
        self.start()
        approved = self.approved()
        before = self.prompted()
        self.program.types(parse_qs(urlsplit(approved).query)["code"][0] + ENTER)
        self.program.sees(r"(?i)\bpaste\b", after=before)
        self.assertEqual(self.server.forms("/token"), [])
        self.program.types(approved + ENTER)
        self.succeeds()


class Typing(Terminal):
    """A person types, is wrong, and sees what was typed."""

    def typed(self, keys, shown, sent, before="sane"):
        self.start(before=before)
        self.any_code()
        self.program.address()
        self.prompted()
        self.program.types(keys, 0.03)
        self.program.types(ENTER)
        self.succeeds()
        self.assertEqual(self.code_sent(), sent)
        self.assertIn(shown, self.program.screen.text())

    def test_each_key_is_seen(self):
        self.typed("a-code-typed-by-hand", "a-code-typed-by-hand", "a-code-typed-by-hand")

    def test_backspace(self):
        keys = "a-code-with-a-mistkae" + BACKSPACE * 3 + "ake"
        self.typed(keys, "a-code-with-a-mistake", "a-code-with-a-mistake")

    def test_backspace_where_it_is_another_key(self):
        keys = "a-code-with-a-mistkae" + "\b" * 3 + "ake"
        self.typed(keys, "a-code-with-a-mistake", "a-code-with-a-mistake", "sane erase ^H")

    def test_backspace_beyond_the_start_takes_away_nothing_else(self):
        keys = "abc" + BACKSPACE * 10 + "a-code-typed-by-hand"
        self.typed(keys, "a-code-typed-by-hand", "a-code-typed-by-hand")

    def test_backspace_after_a_long_paste(self):
        self.start()
        address = self.long_address()
        self.ready()
        self.program.types(address + "xyz")
        self.program.types(BACKSPACE * 3, 0.02)
        self.program.types(ENTER)
        self.succeeds()

    def test_no_key_is_seen_where_the_terminal_shows_none(self):
        self.start(before="sane -echo")
        self.any_code()
        self.program.address()
        self.program.types("a-code-typed-by-hand" + ENTER)
        self.succeeds()
        self.assertNotIn("by-hand", "".join(self.program.screen.text()))

    def test_every_line_begins_at_the_left(self):
        self.start()
        address = self.approved()
        before = self.prompted()
        self.program.types("nothing" + ENTER)
        self.program.sees(r"(?i)\bpaste\b", after=before)
        self.program.types(address + ENTER)
        self.succeeds()
        for line in self.program.screen.text():
            self.assertFalse(line.startswith(" "), line)

    def test_the_address_to_open_can_be_copied(self):
        """It stands alone, and nothing is broken off but by the terminal itself."""
        self.start()
        self.approved()
        text = self.program.output.decode()
        self.assertIn("\r\n%s\r\n" % self.program.address(), text)
        self.program.types(CTRL_C)
        self.program.ends()
        self.unchanged()


class WaysOut(Terminal):
    """However a login ends, the terminal is as it was."""

    def test_the_browser_comes_first(self):
        self.start()
        self.assertIn("You are logged in", self.callback())
        self.succeeds()

    def test_the_browser_comes_first_while_a_line_is_half_typed(self):
        self.start()
        self.program.address()
        self.program.types("http://127.0.0.1", 0.02)
        self.callback()
        self.succeeds()

    def test_what_is_typed_afterwards_is_for_the_program(self):
        self.start("login()\nsay('NAME')\nsay('HELLO', input())\nsay('LOGGED IN')")
        self.callback()
        self.program.sees("NAME\r\n")
        self.program.types("Adda" + BACKSPACE * 2 + "a" + ENTER)
        self.succeeds()
        self.assertIn("HELLO Ada", self.program.screen.text())

    def test_the_user_says_no(self):
        self.start("try:\n    login()\nexcept AuthorizationError:\n    say('LOGGED IN')")
        self.program.types(self.server.deny(self.program.address()) + ENTER)
        self.succeeds()

    def test_the_token_endpoint_says_no(self):
        self.start("try:\n    login()\nexcept TokenError:\n    say('LOGGED IN')")
        self.server.script("/token", 400, {"error": "invalid_grant"})
        self.program.types(self.approved() + ENTER)
        self.succeeds()

    def test_the_time_is_over(self):
        self.start("try:\n    login(timeout=1)\nexcept LoginRequired:\n    say('LOGGED IN')")
        self.succeeds()

    def test_the_time_is_over_while_a_line_is_half_typed(self):
        self.start("try:\n    login(timeout=3)\nexcept LoginRequired:\n    say('LOGGED IN')")
        self.program.address()
        self.program.types("http://127")
        self.succeeds()

    def test_the_port_is_taken(self):
        self.start("try:\n    login(redirect_uri='http://127.0.0.1:%d/callback')\n"
                   "except OSError:\n    say('LOGGED IN')" % urlsplit(self.server.url).port)
        self.succeeds()

    def test_an_exception_out_of_a_signal_handler(self):
        self.start("def handler(*_):\n    raise ArithmeticError\n"
                   "signal.signal(signal.SIGUSR1, handler)\n"
                   "try:\n    login()\nexcept ArithmeticError:\n    say('LOGGED IN')")
        self.prompted()
        time.sleep(0.3)         # else it could come while the last words are written
        os.kill(self.program.process.pid, signal.SIGUSR1)
        self.succeeds()

    def test_a_signal_that_changes_nothing(self):
        self.start("signal.signal(signal.SIGUSR1, lambda *_: say('SIGNAL'))\n" + LOGIN)
        address = self.approved()
        self.program.types(address[:50])
        os.kill(self.program.process.pid, signal.SIGUSR1)
        self.program.sees("SIGNAL")
        self.program.types(address[50:] + ENTER)
        self.assertEqual(self.program.ends(), 0)
        self.assertEqual(self.program.screen.text().count("LOGGED IN"), 1)
        self.unchanged()

    def test_ctrl_c(self):
        self.start("try:\n    login()\nexcept KeyboardInterrupt:\n    say('INTERRUPTED')\n")
        self.program.address()
        self.program.types(CTRL_C)
        self.assertEqual(self.program.ends(), 0)
        self.assertIn("INTERRUPTED", "\n".join(self.program.screen.text()))
        self.unchanged()

    def test_ctrl_c_while_a_line_is_half_pasted(self):
        self.start("try:\n    login()\nexcept KeyboardInterrupt:\n    say('INTERRUPTED')\n"
                   "say('LEFT', repr(input()))")
        address = self.long_address()
        self.ready()
        self.program.types(address)
        self.program.types(CTRL_C)
        self.program.sees("INTERRUPTED\r\n")
        self.unchanged()
        self.program.types("afterwards" + ENTER)
        self.assertEqual(self.program.ends(), 0)
        self.assertIn("LEFT 'afterwards'", self.program.screen.text())
        self.unchanged()

    def test_ctrl_c_with_a_handler_of_the_programs_own(self):
        self.start("def handler(*_):\n    say('HANDLER')\n    sys.exit(3)\n"
                   "signal.signal(signal.SIGINT, handler)\nlogin()")
        self.program.address()
        self.prompted()
        self.program.types(CTRL_C)
        self.assertEqual(self.program.ends(), 3)
        self.assertIn("HANDLER", "\n".join(self.program.screen.text()))
        self.unchanged()

    def test_ctrl_c_at_the_command_line(self):
        self.start_command_line()
        self.program.address()
        self.prompted()
        self.program.types(CTRL_C)
        self.assertEqual(self.program.ends(), 130)
        self.assertNotIn("Traceback", "\n".join(self.program.screen.text()))
        self.unchanged()

    def test_sigterm(self):
        """The parent learns that it was a signal, as without us."""
        self.start()
        self.program.address()
        self.prompted()
        os.kill(self.program.process.pid, signal.SIGTERM)
        self.assertIn(self.program.ends(), (-signal.SIGTERM, 128 + signal.SIGTERM))
        self.unchanged()

    def test_sigterm_at_the_command_line(self):
        self.start_command_line()
        self.program.address()
        self.prompted()
        os.kill(self.program.process.pid, signal.SIGTERM)
        self.assertIn(self.program.ends(), (-signal.SIGTERM, 128 + signal.SIGTERM))
        self.unchanged()

    def test_the_program_ends_while_another_thread_waits_for_the_login(self):
        """Such a thread gets no signal, and nothing at all runs in it at the end: it may not
        change the terminal."""
        text = "thread = threading.Thread(target=login, daemon=True)\nthread.start()\n%s"
        for ending, work in (
            (lambda: self.program.types(CTRL_C), "thread.join()"),
            (lambda: os.kill(self.program.process.pid, signal.SIGTERM), "thread.join()"),
            (lambda: self.program.types("x" + ENTER), "time.sleep(1)"),
        ):
            self.start(text % work)
            self.program.address()
            self.program.sees(r"(?i)\bpaste\b")
            time.sleep(0.2)
            ending()
            self.program.ends()
            self.unchanged()
            self.program.close()

    def test_sigterm_with_a_handler_of_the_programs_own(self):
        self.start("def handler(*_):\n    say('HANDLER')\n    sys.exit(3)\n"
                   "signal.signal(signal.SIGTERM, handler)\nlogin()")
        self.program.address()
        self.prompted()
        os.kill(self.program.process.pid, signal.SIGTERM)
        self.assertEqual(self.program.ends(), 3)
        self.assertIn("HANDLER", "\n".join(self.program.screen.text()))
        self.unchanged()

    def test_sigterm_that_the_program_ignores(self):
        self.start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LOGIN)
        address = self.approved()
        os.kill(self.program.process.pid, signal.SIGTERM)
        self.program.types(address + ENTER)
        self.succeeds()

    def test_the_handlers_of_the_program_are_as_before(self):
        self.start("""
names = [name for name in dir(signal) if re.fullmatch('SIG[A-Z0-9]+', name)]
def handlers():
    return [signal.getsignal(getattr(signal, name)) for name in names]
before = handlers()
login()
say('LOGGED IN' if handlers() == before else 'CHANGED')
""".replace("\nnames", "\nimport re\nnames"))
        self.program.types(self.approved() + ENTER)
        self.succeeds()

    def test_a_terminal_that_was_not_in_its_usual_state(self):
        self.start(before="sane -icanon -echo min 3 time 2 susp ^X erase ^H")
        self.callback()
        self.succeeds()

    def test_the_command_line(self):
        self.start_command_line()
        address = self.long_address()
        self.ready()
        self.program.types(address + ENTER)
        self.assertEqual(self.program.ends(), 0)
        self.unchanged()


class InTheBackground(Terminal):
    """A program that is not in the foreground has no right to the terminal: the system would
    stop it if it changed something."""

    def test_the_browser_comes_and_the_terminal_is_not_touched(self):
        text = PROGRAM + LOGIN
        shell = 'set -m; "$@" & wait $!; echo STATUS $?'
        self.run_command(["sh", "-c", shell, "sh", sys.executable, "-c", text])
        self.callback()
        self.program.sees("STATUS 0")
        self.assertEqual(self.program.ends(), 0)
        self.unchanged()


class Stopped(Terminal):
    """Ctrl-Z and `fg` in a shell that looks after its terminal."""

    @unittest.skipUnless(shutil.which("bash"), "there is no bash here")
    def test_what_is_pasted_after_fg_arrives(self):
        path = os.path.join(self.folder, "login.py")
        with open(path, "w") as file:
            file.write(PROGRAM + LOGIN)
        self.environment.update(PS1="$ ", PROGRAM_PYTHON=sys.executable)
        self.run_command(["bash", "--norc", "--noediting", "-i"])
        self.program.types("$PROGRAM_PYTHON %s%s" % (path, ENTER))
        address = self.approved()
        self.prompted()
        self.program.types("\x1a")
        self.program.sees("Stopped")
        before = len(self.program.output)
        self.program.types("echo hel" + BACKSPACE + "p" + ENTER)
        self.program.sees("\nhep", after=before)
        self.program.types("fg" + ENTER)
        self.program.sees("login.py\r\n", after=before)
        self.program.types(address + ENTER)
        self.program.sees("LOGGED IN\r\n")
        self.program.types("exit" + ENTER)
        self.assertEqual(self.program.ends(), 0)
        self.unchanged()


if __name__ == "__main__":
    unittest.main(verbosity=1)
