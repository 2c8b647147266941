#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A program asks Spotify for a track, and for the albums of its artist.

It shows the grant without a user (client credentials, RFC 6749 section 4.4),
a class of your own on top of Client, and a job that outlives its token: there
is no word about renewal in it, the client does that.

Register a program at https://developer.spotify.com/dashboard first, and then:

    export SPOTIFY_CLIENT_ID=... SPOTIFY_CLIENT_SECRET=...
    python3 examples/spotify_track.py [TRACK-ID]

Or, without an account and without a network, against fake_server.py:

    python3 examples/spotify_track.py --fake [TRACK-ID]"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import environment, run, show
from oauth2min import Client

TRACK = "11dFghVXANMlKmJXsNCbNl"  # the last part of a track's address at open.spotify.com


class Spotify(Client):
    """The client with words of its own: the rest of the program knows no address."""

    def track(self, track_id):
        return self.get("tracks/" + track_id).json()

    def albums(self, artist_id):
        albums = {"include_groups": "album", "limit": 10}
        for page in self.pages(f"artists/{artist_id}/albums", albums):
            yield from page["items"]


def report(spotify, track_id, hours_pass=None):
    track = spotify.track(track_id)
    title = track["name"]
    artist = track["artists"][0]
    name = artist["name"]
    show(f"{title}, by {name}")
    if hours_pass:
        hours_pass()
    albums = list(spotify.albums(artist["id"]))
    show(f"{len(albums)} albums by {name}, among them:")
    for album in albums[:5]:
        year = album["release_date"][:4]
        show(f"  {year}  {album['name']}")


def for_real(track_id=TRACK):
    client_id, secret = environment("SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET")
    with Spotify("spotify", client_id, secret) as spotify:
        report(spotify, track_id)


def with_fake(server, track_id=TRACK):
    secret = server.clients["fake-app"]["client_secret"]
    with Spotify(server.provider("spotify"), "fake-app", secret) as spotify:
        report(spotify, track_id, hours_pass=server.expire)
    tokens = len(server.forms("/token"))
    show(f"Tokens that this took: {tokens}; the first one expired.")


if __name__ == "__main__":
    run(__doc__, for_real, with_fake, words=1, fake_words=1)
