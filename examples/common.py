# SPDX-License-Identifier: 0BSD
"""What the examples share: how they begin, how they print and how they end.

Your own program needs none of it; what is about OAuth stands in the examples.
"""
import contextlib
import os
import re
import sys
import textwrap
import threading

from oauth2min import OAuth2Error

WIDTH = 79  # columns: some terminals begin a new line after the 80th


# --- The command line -------------------------------------------------------------------

def command_line(doc, options=(), words=0):
    """The options and the words that the program was called with. A word or an option that
    it does not know gets the docstring and status 2: a slip like `--fak` must not go to the
    real service."""
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(doc)
        sys.exit(0)
    given = [argument for argument in arguments if argument.startswith("-")]
    others = [argument for argument in arguments if not argument.startswith("-")]
    if not set(given) <= set(options) or len(others) > words:
        usage(doc)
    return given, others


def usage(doc):
    print(doc, file=sys.stderr)
    sys.exit(2)


def run(doc, for_real, with_fake, words=0, fake_words=0, has_user=False, errors=()):
    """Calls `with_fake(server, *words)` if there is `--fake`, else `for_real(*words)`; the
    numbers are how many words they take at most. If it `has_user`, `--fake --browser` lets
    a person be that user, and not a script."""
    options = ["--fake"]
    if has_user:
        options.append("--browser")
    given, others = command_line(doc, options, words)
    if given and ("--fake" not in given or len(others) > fake_words):
        usage(doc)
    with errors_in_one_line(*errors):
        if given:
            with fake_server() as server:
                with_fake(server, *others)
        else:
            for_real(*others)


def by_hand():
    """Whether a person plays the user of the fake server, and not a script."""
    return "--browser" in sys.argv


def environment(*names):
    """The values of these variables; what is missing ends the program in one line."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        hint = "" if "--fake" in sys.argv else ", or try --fake"
        sys.exit(f"Set {' and '.join(missing)} first{hint}.")
    return [os.environ[name] for name in names]


# --- The terminal -----------------------------------------------------------------------

def printable(text):
    """The text without what would steer a terminal, or what it cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "".join(c if c.isprintable() else " " for c in text)
    return text.encode(encoding, "replace").decode(encoding)


def show(text):
    """Prints one line, whatever is in a name."""
    print(printable(text)[:WIDTH], flush=True)


def say(text, indent=""):
    """Prints a paragraph, as wide as a terminal is."""
    lines = textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent,
                          break_on_hyphens=False)
    print("\n".join(lines), flush=True)


def reason(error):
    """Why it went wrong, and with which file, without what urllib and the system put around
    it."""
    cause = getattr(error, "reason", error)
    text = str(getattr(cause, "strerror", None) or cause)
    file = getattr(cause, "filename", None)
    return f"{file}: {text}" if file else text


def system_words(error):
    """The reason in the system's words alone: a proxy's, or the text of an address that
    cannot be read, may hold a password."""
    cause = getattr(error, "reason", error)
    tunnel = re.match("Tunnel connection failed: [0-9]+", str(cause))
    if tunnel:
        return tunnel.group()
    return getattr(cause, "strerror", None) or type(cause).__name__


@contextlib.contextmanager
def errors_in_one_line(*more):
    """Nobody needs a traceback of a network that is down; Ctrl-C ends in silence."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, OAuth2Error, *more) as error:
        sys.exit(reason(error))


# --- Servers on this machine ------------------------------------------------------------

@contextlib.contextmanager
def fake_server():
    """A fake server, in this process; nothing leaves this machine."""
    os.environ["no_proxy"] = "*"
    from fake_server import FakeServer
    with FakeServer() as server:
        yield server


def serve(app, port, fake=None):
    """Serves a web application until Ctrl-C, with a thread for each request, on 127.0.0.1,
    and sets its `url`. With a fake server and without --browser, two users come, and that
    is all."""
    with app.client, web_server(app, port) as server:
        app.url = f"http://127.0.0.1:{server.server_port}"
        if fake is None or by_hand():
            print(f"Open {app.url} in a browser; Ctrl-C ends it.", flush=True)
            server.serve_forever()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            two_users(app, fake)
        finally:
            server.shutdown()
            thread.join()


def web_server(app, port):
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Handler(WSGIRequestHandler):
        def log_message(self, format, *args):
            """Logs nothing: the address of the callback has a code in it."""

    server = Server(("127.0.0.1", port), Handler)
    server.set_app(app)
    return server


def two_users(app, fake):
    """Ada and Grace use the application at once, each with a browser; then Ada leaves."""
    browsers = {}
    for user in "ada", "grace":
        browsers[user] = browser = Browser()
        browser.open(app.url + "/login")  # it ends at the page of the fake server
        browser.open(fake.approve(browser.url, user))
    browsers["ada"].open(app.url + "/logout", b"")
    for browser in browsers.values():
        browser.open(app.url)


class Browser:
    """Keeps cookies, follows redirects, and prints the text of the pages of web_app.py."""

    def __init__(self):
        from urllib.request import HTTPCookieProcessor, build_opener
        self.opener = build_opener(HTTPCookieProcessor())
        self.url = ""

    def open(self, url, form=None):
        with self.opener.open(url, form) as answer:
            self.url = answer.geturl()
            text = answer.read().decode()
        for line in re.findall("<(?:h1|li|a|button).*?>(.*?)</", text):
            show(line)
