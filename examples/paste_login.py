#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A login on a machine that has no browser, where none can reach it: by pasting.

It shows the two halves of a login (RFC 6749 sections 4.1.1 and 4.1.3), which
`login()` of spotify_library.py does in one: the address of the authorization
page goes to a browser anywhere. That ends at http://127.0.0.1/callback, where
nothing listens, so it shows an error; the address itself is what counts, and
comes back by copy and paste. Nobody else can use it: the code in it is
worthless without the `code_verifier`, which never left this program.

Register a program at https://developer.spotify.com/dashboard with the redirect
URI http://127.0.0.1/callback first, and then:

    SPOTIFY_CLIENT_ID=... python3 examples/paste_login.py

The token is in spotify-token.json then, where spotify_library.py finds it. Or,
without an account and without a network, against fake_server.py:

    python3 examples/paste_login.py --fake  # a script is the user
    python3 examples/paste_login.py --fake --browser  # you are it"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import by_hand, environment, run, show
from oauth2min import Client, LoginRequired

SCOPE = "user-library-read user-follow-read"


def ask(url):
    """Shows the address, on stderr as it is no result, and takes what comes back."""
    print(f"Open this address in any browser, and say yes:\n\n{url}\n", file=sys.stderr)
    print("Then paste the address that the browser ends at, and press Enter:",
          file=sys.stderr)
    try:
        return input()
    except EOFError:
        sys.exit("No address came back: nothing was sent.")


def report(server, client_id, ask, store=None):
    with Client(server, client_id, grant_type="authorization_code",
                scope=SCOPE, store=store) as spotify:
        try:
            spotify.access_token()  # one in the file may be good, or can be renewed
        except LoginRequired:
            login(spotify, ask)
        me = spotify.get("me").json()
        name = me.get("display_name") or me["id"]
        show(f"Logged in as {name}.")


def login(spotify, ask):
    show("There is no token yet: a browser, on whatever machine, must open an address.")
    asked = spotify.authorization_request()
    address = ask(asked.url)
    show("An address came back: the state in it is checked, then the code is traded.")
    spotify.exchange(asked, address)


def for_real():
    [client_id] = environment("SPOTIFY_CLIENT_ID")
    report("spotify", client_id, ask, "spotify-token.json")


def with_fake(server):
    # approve() plays the user and the browser: it opens the address and says yes.
    user = ask if by_hand() else server.approve
    report(server.provider("spotify"), "fake-public", user)


if __name__ == "__main__":
    run(__doc__, for_real, with_fake, has_user=True)
