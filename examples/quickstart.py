#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""The grants of OAuth 2.0, end to end on this machine, each message whole.

    python3 examples/quickstart.py              # a script plays the user
    python3 examples/quickstart.py --browser    # you are the user
    python3 examples/quickstart.py --step       # waits for Enter at each step

The authorization server and the API are `fake_server.py`. What is secret is
masked: tokens, codes, passwords. Forms, queries and JSON have a field a line;
that, and nothing else, is another on the wire."""
import contextlib
import functools
import io
import itertools
import os
import re
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import common  # noqa: E402
from common import WIDTH, by_hand, fake_server  # noqa: E402
from fake_server import DEVICE_CODE, Exchange, FakeServer, readable  # noqa: E402
from oauth2min import Client  # noqa: E402


# --- What is shown ----------------------------------------------------------------------

def heading(text: str) -> None:
    print("\n\n" + text + "\n" + "=" * len(text))


def say(text: str) -> None:
    print()
    common.say(text)


def trace(message: str) -> None:
    """Shows a message that the program sends or gets."""
    if not is_answer(message):
        wait_for_enter()
    show(message)


def show(message: str) -> None:
    """One HTTP message: an arrow tells the direction, seen from who asks."""
    arrow = "  <-- " if is_answer(message) else "  --> "
    message = message.lstrip("<-> \n")  # what the trace itself may put before it
    lines = readable(message).rstrip().splitlines()
    print()
    for line in lines:  # too long a line goes on in the next one, set in
        inset = " " * (len(line) - len(line.lstrip()) + 4)
        for part in textwrap.wrap(line, WIDTH - 6, subsequent_indent=inset,
                                  break_on_hyphens=False) or [""]:
            print((arrow + part).rstrip())
    sys.stdout.flush()


def is_answer(message: str) -> bool:
    return bool(re.match(r"[<\- \n]*\d{3} ", message))


def wait_for_enter() -> None:
    if "--step" in sys.argv:
        with contextlib.suppress(EOFError):  # nobody is there to press it
            input("\n[Enter]")


# --- The lessons ------------------------------------------------------------------------

def the_program_itself(server: FakeServer) -> None:
    heading("1. Client credentials: the program speaks for itself")
    say("The program proves who it is, with its id and its secret, and gets an access "
        "token (RFC 6749 section 4.4). With that it asks the API for a track.")
    secret = server.clients["fake-app"]["client_secret"]
    with Client(server.metadata, "fake-app", secret, trace=trace) as app:
        track = app.get("tracks/11dFghVXANMlKmJXsNCbNl").json()
    say("What it got: %r by %s." % (track["name"], track["artists"][0]["name"]))


def a_user(server: FakeServer) -> None:
    wait_for_enter()
    heading("2. Authorization code with PKCE: a user lets the program in")
    say("The browser goes to the authorization server; there the user says yes, and the "
        "browser comes back to a port of this program, with a code. The program trades the "
        "code for tokens (section 4.1, RFC 7636, RFC 8252).")
    with Client(server.metadata, "fake-public", grant_type="authorization_code",
                scope="user-follow-read", trace=trace) as user:
        log_in(server, user)
        say("The program has an access token, which it shows to the API, and a refresh "
            "token, which it shows to nobody but this server. It asks for a listing, page "
            "by page; each page has the address of the next one.")
        parameters = {"type": "artist", "limit": 2}
        names = []
        for page in itertools.islice(user.pages("me/following", parameters), 2):
            names += [artist["name"] for artist in page["artists"]["items"]]
        say("What it got: %d of the artists that the user follows. %s." % (
            len(names), ", ".join(names)))
        the_token_is_over(server, user)
        log_out(user)


def log_in(server: FakeServer, user: Client) -> None:
    if by_hand():
        print(flush=True)
        user.login(open_browser=True)
    else:
        with contextlib.redirect_stderr(io.StringIO()):  # where login() shows the address
            user.login(open_browser=server.browser)


def watch(server: FakeServer, exchange: Exchange) -> None:
    """The messages of the browser are told by the server: the program never sees the one,
    and whoever the user is, script or person, the server sees both."""
    if exchange.path == "/authorize":
        say("The browser opens the address that the program made (section 4.1.1). The "
            "state ties the answer to this login, the challenge ties the code to this "
            "program. The server answers with a page:")
        show(exchange.request_text())
    elif exchange.path == "/decision" and exchange.status == 303:
        say("The user has decided, and the server sends the browser back to the port of "
            "the program, with a code, or with an error (section 4.1.2):")
        show(exchange.answer_text())
        if "code=" in exchange.answer_text():
            say("The program checks that this answers its own question (state) and comes "
                "from the server that it asked (iss), and trades the code. The "
                "code_verifier proves that the challenge was its own:")
    elif exchange.path in script_says_yes_after():
        for user_code in server.user_codes():
            server.approve_device(user_code)


def script_says_yes_after() -> "list[str]":
    """What a device asks for before the script that is its user says yes: its codes, or,
    with --step, where nobody is in a hurry, once in vain for tokens."""
    if by_hand():
        return []
    return ["/token"] if "--step" in sys.argv else ["/device_authorization"]


def the_token_is_over(server: FakeServer, user: Client) -> None:
    wait_for_enter()
    heading("3. Refresh: the access token is over, the user need not come again")
    say("The server forgets the access token. The API says 401, the client trades its "
        "refresh token for new tokens (section 6), and sends the request once more.")
    server.expire()
    old = user.token
    me = user.get("me").json()
    say("What it got: the profile of %s. The program did not notice a thing." % (
        me["display_name"]))
    if old and user.token and user.token.refresh_token != old.refresh_token:
        say("The refresh token is another one, too: this server takes each only once, so "
            "that a stolen one is noticed (RFC 9700 section 4.14.2).")


def log_out(user: Client) -> None:
    wait_for_enter()
    heading("4. Log out")
    say("Both tokens are revoked (RFC 7009), the longer-lasting one first.")
    say("Confirmed by the server: %s." % ("yes" if user.logout() else "no"))


def a_device(server: FakeServer) -> None:
    wait_for_enter()
    heading("5. Device code: the user has a browser, but elsewhere")
    say("A television has no browser. It shows a short code; the user types that into a "
        "browser on a telephone, and the program asks again and again whether that has "
        "happened (RFC 8628).")
    with Client(server.metadata, "fake-public", grant_type=DEVICE_CODE,
                scope="user-library-read", trace=trace) as device:
        if by_hand():
            server.device_interval = 2  # seconds; most servers say 5
            print(flush=True)
            device.login(open_browser=True)
        else:
            server.device_interval = 1
            with contextlib.redirect_stderr(io.StringIO()):  # where login() shows the code
                device.login(open_browser=False)
        say("The user had said yes. (Before that the answer is 400, authorization_pending: "
            "see it with --step or --browser.) What the program got is what it got in "
            "section 2, and is renewed in the same way.")


def main() -> None:
    with fake_server() as server:
        server.code_life = 600  # seconds: with --step somebody may think about it
        server.watch = functools.partial(watch, server)
        the_program_itself(server)
        a_user(server)
        a_device(server)


if __name__ == "__main__":
    with common.errors_in_one_line():
        common.command_line(__doc__, options=["--browser", "--step"])
        main()
