#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""The three grants of OAuth 2.0 end to end, on this machine, each message shown.

    python3 examples/quickstart.py              # a script plays the user
    python3 examples/quickstart.py --browser    # you are, in your browser

The authorization server and the API are `fake_server.py`. What is secret is
masked: tokens, codes, passwords."""
import contextlib
import io
import os
import re
import sys
import textwrap
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import command_line, errors_in_one_line, fake_server  # noqa: E402
from fake_server import FakeServer  # noqa: E402
from oauth2min import Client  # noqa: E402

WIDTH = 79


def say(text: str) -> None:
    print()
    print(textwrap.fill(text, WIDTH))


def show(message: str) -> None:
    """One HTTP message, indented: a form or a query has a line for each parameter, and what
    is too long for a terminal is cut."""
    arrow = "  <-- " if message[:3].isdigit() else "  --> "
    print()
    for line in message.splitlines():
        parts = re.sub("([?&])", r"\n    \1", line) if arrow == "  --> " else line
        for part in parts.split("\n"):
            text = arrow + part
            print((text if len(text) <= WIDTH else text[:WIDTH - 3] + "...").rstrip())


def mask(url: str) -> str:
    return re.sub("((?:code|state)=)[^&]*", r"\1***", url)


def heading(text: str) -> None:
    print("\n\n" + text + "\n" + "=" * len(text))


def the_program_itself(server: FakeServer) -> None:
    heading("1. Client credentials: the program speaks for itself")
    say("The program proves who it is, with its id and its secret, and gets an access "
        "token (RFC 6749 section 4.4). With that it asks the API for a track.")
    secret = server.clients["fake-app"]["client_secret"]
    with Client(server.metadata, "fake-app", secret, trace=show) as app:
        track = app.get("tracks/11dFghVXANMlKmJXsNCbNl").json()
    say("What it got: %r by %s." % (track["name"], track["artists"][0]["name"]))


def a_user(server: FakeServer, in_your_browser: bool) -> None:
    heading("2. Authorization code with PKCE: a user lets the program in")
    say("The browser goes to the authorization server; there the user says yes, and the "
        "browser comes back to a port of this program, with a code. The program trades the "
        "code for tokens (section 4.1, RFC 7636, RFC 8252).")
    sys.stdout.flush()
    with Client(server.metadata, "fake-public", grant_type="authorization_code",
                scope="user-library-read", trace=show) as user:
        if in_your_browser:
            user.login(open_browser=True)
        else:
            login_by_script(server, user)
        saved = 0
        for page in user.pages("me/tracks", {"limit": 50}):
            saved += len(page["items"])
        say("What it got: %d saved tracks, page by page." % saved)

        heading("3. Refresh: the access token is over, the user need not come again")
        say("The server forgets the access token. The API says 401, the client trades its "
            "refresh token for new tokens (section 6), and sends the request once more.")
        server.expire()
        me = user.get("me").json()
        say("What it got: the profile of %s. The program did not notice a thing."
            % me["display_name"])

        heading("4. Log out")
        say("Both tokens are revoked (RFC 7009), the longer-lasting one first.")
        say("Confirmed by the server: %s." % ("yes" if user.logout() else "no"))


def login_by_script(server: FakeServer, user: Client) -> None:
    def browser(url: str) -> None:
        """Plays the user and the browser: opens the page, says yes, is sent back."""
        show("GET " + mask(url))
        say("The user says yes, and the browser is sent back with the code:")
        address = server.approve(url)
        show("GET " + mask(address))
        say("The program checks that the answer is to its own question (state, iss), and "
            "trades the code:")
        urllib.request.urlopen(address).close()

    with contextlib.redirect_stderr(io.StringIO()):  # where login() shows the address
        user.login(open_browser=browser)


def main(*options: str) -> None:
    with fake_server() as server:
        the_program_itself(server)
        a_user(server, in_your_browser="--browser" in options)


if __name__ == "__main__":
    with errors_in_one_line():
        main(*command_line(__doc__, options=["--browser"]))
