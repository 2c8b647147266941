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

    python3 examples/spotify_track.py --fake"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, OAuth2Error

TRACK = "11dFghVXANMlKmJXsNCbNl"  # the last part of a track's address at open.spotify.com


class Spotify(Client):
    """The client with words of its own: the rest of the program need not know any address."""

    def track(self, track_id):
        return self.get("tracks/" + track_id).json()

    def albums(self, artist_id):
        for page in self.pages(f"artists/{artist_id}/albums",
                               {"include_groups": "album", "limit": 10}):
            yield from page["items"]


def show(text):
    """One line, whatever characters are in a name and whatever the terminal can show."""
    text = "".join(c if c.isprintable() else " " for c in text)[:79]
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def report(spotify, track_id, hours_pass=lambda: None):
    track = spotify.track(track_id)
    artist = track["artists"][0]
    show(f"{track['name']}, by {artist['name']}")
    hours_pass()
    albums = list(spotify.albums(artist["id"]))
    show(f"{len(albums)} albums by {artist['name']}, among them:")
    for album in albums[:5]:
        show(f"  {album['release_date'][:4]}  {album['name']}")


def main():
    if "--fake" in sys.argv[1:]:
        os.environ["no_proxy"] = "*"  # all of this stays on this machine
        from fake_server import FakeServer
        with FakeServer() as server:
            secret = server.clients["fake-app"]["client_secret"]
            with Spotify(server.provider("spotify"), "fake-app", secret) as spotify:
                report(spotify, TRACK, hours_pass=server.expire)
            show(f"Tokens that this took: {len(server.forms('/token'))}; the first one expired.")
        return
    names = "SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET"
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        sys.exit(f"Set {' and '.join(missing)} first, or try --fake.")
    with Spotify("spotify", *[os.environ[name] for name in names]) as spotify:
        report(spotify, sys.argv[1] if len(sys.argv) > 1 else TRACK)


if __name__ == "__main__":
    try:
        print(__doc__) if {"-h", "--help"} & {*sys.argv} else main()
    except (KeyboardInterrupt, OSError, OAuth2Error) as error:
        reason = getattr(error, "reason", error)
        sys.exit(str(getattr(reason, "strerror", None) or reason) or 130)
