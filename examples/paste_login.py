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

    python3 examples/paste_login.py --fake"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, LoginRequired, OAuth2Error

SCOPE = "user-library-read user-follow-read"


def ask(url):
    """Shows the address, on stderr as it is no result, and takes the one that comes back."""
    print(f"Open this address in any browser, and say yes:\n\n{url}\n\n"
          "Then paste the address that the browser ends at, and press Enter:", file=sys.stderr)
    return input()


def report(spotify, ask):
    try:
        spotify.access_token()  # there may be one in the file that is good, or can be renewed
    except LoginRequired:
        print("There is no token yet: a browser, on whatever machine, must open an address.")
        asked = spotify.authorization_request()
        address = ask(asked.url)
        print("An address came back: the state in it is checked, then the code is traded.")
        spotify.exchange(asked, address)
    me = spotify.get("me").json()
    print(f"Logged in as {me.get('display_name') or me['id']!a}.")


def main():
    if "--fake" in sys.argv[1:]:
        os.environ["no_proxy"] = "*"  # all of this stays on this machine
        from fake_server import FakeServer
        with FakeServer() as server, Client(server.provider("spotify"), "fake-public", scope=SCOPE,
                                            grant_type="authorization_code") as spotify:
            report(spotify, server.approve)  # plays the user and the browser
        return
    if not os.environ.get("SPOTIFY_CLIENT_ID"):
        sys.exit("Set SPOTIFY_CLIENT_ID first, or try --fake.")
    with Client("spotify", os.environ["SPOTIFY_CLIENT_ID"], scope=SCOPE,
                grant_type="authorization_code", store="spotify-token.json") as spotify:
        report(spotify, ask)


if __name__ == "__main__":
    try:
        print(__doc__) if {"-h", "--help"} & {*sys.argv} else main()
    except EOFError:
        sys.exit("No address came back: nothing was sent.")
    except (KeyboardInterrupt, OSError, OAuth2Error) as error:
        reason = getattr(error, "reason", error)
        sys.exit(str(getattr(reason, "strerror", None) or reason) or 130)
