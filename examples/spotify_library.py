#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A user lets a program see whom she follows and what she saved at Spotify.

It shows the login in the browser (authorization code with PKCE, RFC 7636 and
8252): the link to the authorization page with the scopes in it, the callback
on a free port, listings page by page, and the refresh token in the file
spotify-token.json, so that nobody is asked a second time.

Register a program at https://developer.spotify.com/dashboard with the redirect
URI http://127.0.0.1/callback first (no port is needed, and no secret); then:

    SPOTIFY_CLIENT_ID=... python3 examples/spotify_library.py

Or, without an account and without a network, against fake_server.py:

    python3 examples/spotify_library.py --fake"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, OAuth2Error

SCOPE = "user-library-read user-follow-read"


def show(text):
    """One line, whatever characters are in a name and whatever the terminal can show."""
    text = "".join(c if c.isprintable() else " " for c in text)[:79]
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def report(server, client_id, store, open_browser=None):
    with Client(server, client_id, grant_type="authorization_code", scope=SCOPE,
                store=store) as spotify:
        spotify.login(open_browser)  # returns at once if the file holds a usable token
        artists = [artist["name"]
                   for page in spotify.pages("me/following", {"type": "artist", "limit": 20})
                   for artist in page["artists"]["items"]]
        show(f"You follow {len(artists)} artists: {', '.join(artists[:3])} ...")
        saved = [item for page in spotify.pages("me/tracks", {"limit": 50})
                 for item in page["items"]]
        show(f"You saved {len(saved)} tracks, these last:")
        for item in saved[:3]:
            track = item["track"]
            show(f"  {item['added_at'][:10]}  {track['name']}, by {track['artists'][0]['name']}")


def main():
    if "--fake" in sys.argv[1:]:
        os.environ["no_proxy"] = "*"  # all of this stays on this machine
        from fake_server import FakeServer
        with FakeServer() as server, tempfile.TemporaryDirectory() as folder:
            store = os.path.join(folder, "spotify-token.json")
            report(server.provider("spotify"), "fake-public", store, server.browser)
            server.expire()
            show("The program again, hours later, with the refresh token from the file:")
            report(server.provider("spotify"), "fake-public", store, server.browser)
            grants = [form["grant_type"] for form in server.forms("/token")]
            show(f"What the token endpoint was asked for: {', '.join(grants)}.")
        return
    if not os.environ.get("SPOTIFY_CLIENT_ID"):
        sys.exit("Set SPOTIFY_CLIENT_ID first, or try --fake.")
    report("spotify", os.environ["SPOTIFY_CLIENT_ID"], "spotify-token.json")


if __name__ == "__main__":
    try:
        print(__doc__) if {"-h", "--help"} & {*sys.argv} else main()
    except (KeyboardInterrupt, OSError, OAuth2Error) as error:
        reason = getattr(error, "reason", error)
        sys.exit(str(getattr(reason, "strerror", None) or reason) or 130)
