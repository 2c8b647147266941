"""What fuzz.py plays: servers, time, and a client that knows some secrets.

Each new connection finds the next item of a list, then the end; nothing waits, and nothing leaves
the process. What is wrong with an error, or with what was sent, ends in an AssertionError.
"""
import contextlib
import io
import os
import signal
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request
import warnings
from unittest import mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path.insert(0, ROOT)
import oauth2min  # noqa: E402
from oauth2min import AuthorizationRequest, Client, OAuth2Error  # noqa: E402

PATIENCE = 5        # seconds that an example may take
CONTEXT = ssl.create_default_context()
HOME, BACK = "http://127.0.0.1:8000", "https://127.0.0.1/callback"
SERVER = {name + "_endpoint": HOME + "/" + name
          for name in ("token", "authorization", "device_authorization", "revocation")}
SERVER["issuer"] = HOME
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ID, SECRET, ACCESS, REFRESH = "client-id", "kEy/wOrd+s:%ü", "Access~Token/1+=", "Refresh:Token/2"
CODE, VERIFIER, STATE = "The/Code+of-the-user", "Verifier_of-the-client", "State-of-the-login"
SECRETS = SECRET, ACCESS, REFRESH, CODE, VERIFIER, STATE
ASKED = AuthorizationRequest(HOME + "/authorization", STATE, VERIFIER, BACK)
GOOD = b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "%s"}' % ACCESS.encode()


class Hang(Exception):
    """The example took too long."""


def hang(*_):
    raise Hang


def check(error, secrets):
    """The error, and those that a traceback would show with it."""
    for text in str(error), repr(error):
        assert 0 < len(text) < 1000, "%d characters: %.200s" % (len(text), text)
        assert text.isprintable(), ascii(text)
        told = (text + urllib.parse.unquote(text) + urllib.parse.unquote_plus(text)).casefold()
        for secret in secrets:
            assert secret.casefold() not in told, "%s in: %s" % (secret, text)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause:
        check(cause, secrets)


class Pipe(socket.socket):
    def setsockopt(self, *_):
        """Nothing: a pair of sockets does not have the options of TCP."""


class Clock:
    """The time, in which nobody has to wait for the end of a sleep()."""
    slept = 0.0

    def time(self):
        return time.time() + self.slept

    monotonic = time

    def sleep(self, seconds):
        time.sleep(0 if 0 <= seconds < 9e9 else seconds)    # or whatever that raises
        self.slept += seconds


class Played(contextlib.ExitStack):
    """Answers connections with the items of a list."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.peers, self.said = list(answers), [], io.StringIO()
        for place, name, value in ((socket, "create_connection", self.connect),
                                   (oauth2min, "time", Clock()), (sys, "stderr", self.said)):
            self.enter_context(mock.patch.object(place, name, value))
        self.warnings = self.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", RuntimeWarning)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        self.callback(signal.setitimer, signal.ITIMER_REAL, 0)

    def __exit__(self, *failure):
        super().__exit__(*failure)
        for address, peer in self.peers:
            sent = self.sent(peer)
            assert address == ("127.0.0.1", 8000) or "\nauthorization:" not in sent.lower(), sent
            peer.close()
        for warning in self.warnings:
            check(warning.message, SECRETS)
        assert "Traceback" not in self.said.getvalue(), self.said.getvalue()

    def connect(self, address, *_, **__):
        address[0].encode("idna")
        if not 0 <= address[1] <= 65535:
            raise OverflowError("connect(): port must be 0-65535.")
        if not self.answers:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = socket.socketpair()
        self.peers.append((address, theirs))
        theirs.sendall(self.answers.pop(0))
        theirs.shutdown(socket.SHUT_WR)
        return Pipe(fileno=ours.detach())

    def sent(self, peer):
        """What a server got, and what that means."""
        with contextlib.suppress(BlockingIOError):
            text = peer.recv(1 << 17, socket.MSG_PEEK | socket.MSG_DONTWAIT).decode("latin-1")
            known = SECRET if "Authorization: Basic " in text else ""
            return "\n".join([text, known, urllib.parse.unquote_plus(text.partition("\n")[2])])
        return ""

    def secrets(self):
        """Those in the last request, its address aside: no message may repeat them."""
        sent = self.sent(self.peers[-1][1]).partition("\n")[2] if self.peers else ""
        return [secret for secret in SECRETS if secret in sent]

    def client(self, server=SERVER, **more):
        return self.enter_context(Client(
            server, ID, SECRET, context=CONTEXT, trace=lambda text: None,
            handlers=[urllib.request.ProxyHandler({})], **more))

    def attempt(self, function, *documented):
        """What it returns; None if it raises one of the errors that may come out of it."""
        try:
            return function()
        except (OAuth2Error, OSError) + documented as error:
            check(error, self.secrets())


class Store:
    def __init__(self, record):
        self.load, self.save, self.lock = lambda: record, lambda _: None, contextlib.ExitStack

    def __repr__(self):
        return "<Store>"
