"""What fuzz_servers.py plays: servers, the time, and a client that knows some secrets.

Each new connection finds the next item of a list, then the end; nothing waits, and nothing
leaves the process. What is wrong with an error, or with what was sent, ends in an
AssertionError.
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
HOST, PORT = "127.0.0.1", 8000
HOME = "http://%s:%d" % (HOST, PORT)
BACK = "https://127.0.0.1/callback"
SERVER = {
    "issuer": HOME,
    "token_endpoint": HOME + "/token",
    "authorization_endpoint": HOME + "/authorization",
    "device_authorization_endpoint": HOME + "/device_authorization",
    "revocation_endpoint": HOME + "/revocation",
}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ID = "client-id"
SECRET = "kEy/wOrd+s:%ü"
ACCESS = "Access~Token/1+="
REFRESH = "Refresh:Token/2"
CODE = "The/Code+of-the-user"
VERIFIER = "Verifier_of-the-client"
STATE = "State-of-the-login"
SECRETS = SECRET, ACCESS, REFRESH, CODE, VERIFIER, STATE
ASKED = AuthorizationRequest(HOME + "/authorization", STATE, VERIFIER, BACK)
GOOD = b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "%s"}' % ACCESS.encode()
CONTEXT = ssl.create_default_context()      # made once, as that takes long


# --- What every error promises ------------------------------------------------------------


class Hang(Exception):
    """The example took too long."""


def hang(*_):
    """For the signal of the timer."""
    raise Hang


def check(error, secrets):
    """The error, and those that a traceback would show with it."""
    for text in str(error), repr(error):
        assert 0 < len(text) < 1000, "%d characters: %.200s" % (len(text), text)
        assert text.isprintable(), ascii(text)
        told = text + urllib.parse.unquote(text) + urllib.parse.unquote_plus(text)
        for secret in secrets:
            found = secret.casefold() in told.casefold()
            assert not found, "%s in: %s" % (secret, text)
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause:
        check(cause, secrets)


# --- Servers, and the rest of the world ---------------------------------------------------


class Pipe(socket.socket):
    """One of a pair of sockets, which does not have the options of TCP."""

    def setsockopt(self, *_):
        """Nothing happens."""


class Clock:
    """The time, in which nobody has to wait for the end of a sleep()."""

    slept = 0.0

    def time(self):
        return time.time() + self.slept

    monotonic = time

    def sleep(self, seconds):
        if 0 <= seconds < 9e9:
            self.slept += seconds
        else:
            time.sleep(seconds)     # for whatever that raises


class Store:
    """A store that has this record, and keeps no other."""

    def __init__(self, record):
        self.record = record

    def load(self):
        return self.record

    def save(self, record):
        """Nothing is kept."""

    def lock(self):
        return contextlib.ExitStack()

    def __repr__(self):
        return "<Store>"


class Servers(contextlib.ExitStack):
    """Answers connections with the items of a list, while it is entered."""

    def __init__(self, answers):
        super().__init__()
        self.answers = list(answers)
        self.peers = []             # the address and the far end of each connection
        self.said = io.StringIO()   # what went to stderr
        self.replace(socket, "create_connection", self.connect)
        clock = Clock()
        self.replace(oauth2min, "time", clock)
        self.replace(oauth2min, "monotonic", clock.monotonic)
        self.replace(sys, "stderr", self.said)
        self.warnings = self.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", RuntimeWarning)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        self.callback(signal.setitimer, signal.ITIMER_REAL, 0)

    def replace(self, place, name, value):
        self.enter_context(mock.patch.object(place, name, value))

    def __exit__(self, *failure):
        super().__exit__(*failure)
        for address, peer in self.peers:
            sent = self.sent(peer)
            at_home = address == (HOST, PORT)
            assert at_home or "\nauthorization:" not in sent.lower(), sent
            peer.close()
        for warning in self.warnings:
            check(warning.message, SECRETS)
        assert "Traceback" not in self.said.getvalue(), self.said.getvalue()

    def connect(self, address, *_, **__):
        """Instead of socket.create_connection(), with the errors of that."""
        host, port = address[:2]
        host.encode("idna")
        if not 0 <= port <= 65535:
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
        try:
            data = peer.recv(1 << 17, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return ""
        text = data.decode("latin-1")
        known = SECRET if "Authorization: Basic " in text else ""
        without_address = text.partition("\n")[2]
        return "\n".join([text, known, urllib.parse.unquote_plus(without_address)])

    def secrets(self):
        """Those in the last request, its address aside: no message may repeat them."""
        if not self.peers:
            return []
        _, last = self.peers[-1]
        sent = self.sent(last).partition("\n")[2]
        return [secret for secret in SECRETS if secret in sent]

    def client(self, server=SERVER, **more):
        no_proxy = urllib.request.ProxyHandler({})
        client = Client(
            server,
            ID,
            SECRET,
            context=CONTEXT,
            trace=lambda text: None,
            handlers=[no_proxy],
            **more,
        )
        return self.enter_context(client)

    def attempt(self, function, *documented):
        """What it returns; None if it raises one of the errors that may come out of it."""
        try:
            return function()
        except (OAuth2Error, OSError, *documented) as error:
            check(error, self.secrets())
            return None
