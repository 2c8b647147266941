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

    python3 examples/spotify_library.py --fake  # a script is the user
    python3 examples/spotify_library.py --fake --browser  # you are it"""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import by_hand, environment, run, show
from oauth2min import Client

SCOPE = "user-library-read user-follow-read"


def report(server, client_id, store, open_browser=None):
    with Client(server, client_id, grant_type="authorization_code",
                scope=SCOPE, store=store) as spotify:
        spotify.login(open_browser)  # returns at once if the file holds a usable token
        show_artists(spotify)
        show_tracks(spotify)


def show_artists(spotify):
    artists = []
    for page in spotify.pages("me/following", {"type": "artist", "limit": 20}):
        for artist in page["artists"]["items"]:
            artists.append(artist["name"])
    show(f"You follow {len(artists)} artists: {', '.join(artists[:3])} ...")


def show_tracks(spotify):
    saved = []
    for page in spotify.pages("me/tracks", {"limit": 50}):
        saved.extend(page["items"])
    show(f"You saved {len(saved)} tracks, these last:")
    for item in saved[:3]:
        day, track = item["added_at"][:10], item["track"]
        artist = track["artists"][0]["name"]
        show(f"  {day}  {track['name']}, by {artist}")


def for_real():
    [client_id] = environment("SPOTIFY_CLIENT_ID")
    report("spotify", client_id, "spotify-token.json")


def with_fake(server):
    spotify = server.provider("spotify")
    user = True if by_hand() else server.browser  # True opens your own browser
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "spotify-token.json")
        report(spotify, "fake-public", store, user)
        server.expire()
        show("The program again, hours later, with the refresh token from the file:")
        report(spotify, "fake-public", store, user)
    grants = [form["grant_type"] for form in server.forms("/token")]
    show(f"What the token endpoint was asked for: {', '.join(grants)}.")


if __name__ == "__main__":
    run(__doc__, for_real, with_fake, has_user=True)
