# SPDX-License-Identifier: 0BSD
"""What the examples share: how they begin, how they print and how they end.

Your own program needs none of it; what is about OAuth stands in the examples.
"""
import contextlib
import os
import sys

from oauth2min import OAuth2Error

def show(text):
    """Prints one line, whatever is in a name and whatever the terminal can show."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    print(printable[:79].encode(encoding, "replace").decode(encoding))

def environment(*names):
    """The values of these variables; what is missing ends the program in one line."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        hint = "" if "--fake" in sys.argv else ", or try --fake"
        sys.exit(f"Set {' and '.join(missing)} first{hint}.")
    return [os.environ[name] for name in names]

def command_line(doc, options=("--fake",), words=0):
    """The arguments: one of the options, or at most so many words. Anything else gets the
    docstring and status 2, as a slip like `--fak` must not go to the real service."""
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(doc)
        sys.exit(0)
    one_option = len(arguments) == 1 and arguments[0] in options
    only_words = not any(argument.startswith("-") for argument in arguments)
    if not one_option and not (only_words and len(arguments) <= words):
        print(doc, file=sys.stderr)
        sys.exit(2)
    return arguments

def reason(error):
    """Why it went wrong, without what urllib and the system put around it."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause)

@contextlib.contextmanager
def fake_server():
    """A fake server, in this process; nothing leaves this machine."""
    os.environ["no_proxy"] = "*"
    from fake_server import FakeServer
    with FakeServer() as server:
        yield server

@contextlib.contextmanager
def errors_in_one_line(*more):
    """Nobody needs a traceback of a network that is down; Ctrl-C ends in silence."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, OAuth2Error, *more) as error:
        sys.exit(reason(error))

def run(doc, for_real, with_fake, words=0, errors=()):
    """Calls `with_fake(server)` if there is `--fake`, else `for_real` with the words."""
    arguments = command_line(doc, words=words)
    with errors_in_one_line(*errors):
        if "--fake" in arguments:
            with fake_server() as server:
                with_fake(server)
        else:
            for_real(*arguments)

def web_server(app, port=0):
    """A server for a WSGI application, with a thread for each request. It listens on this
    machine alone, and sets the application's attribute `url`. Port 0 is any free one."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Handler(WSGIRequestHandler):
        def log_message(self, format, *args):
            """Logs nothing: the address of the callback has a code in it."""

    server = Server(("127.0.0.1", port), Handler)
    server.set_app(app)
    app.url = f"http://127.0.0.1:{server.server_port}"
    return server
