#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""The latest posts of somebody at X (Twitter), read by the application itself.

It shows an app-only token (client credentials), kept in the file x-token.json,
as X gives one that never expires; pages that hang together by a cursor, not by
a link; and rate limits: waited for if that takes a minute at most, else told.

Register an app at https://developer.x.com for an API key and its secret; then:

    export X_API_KEY=... X_API_SECRET=...
    python3 examples/x_timeline.py [USERNAME]

Or, without an account and without a network, against fake_server.py:
    python3 examples/x_timeline.py --fake"""
import itertools
import os
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, OAuth2Error, RateLimited

POSTS = 12  # X counts each one that is read, and may send a bill


def show(text):
    """One line, whatever characters are in a post and whatever the terminal can show."""
    text = "".join(c if c.isprintable() else " " for c in text)[:79]
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def posts(x, username):
    user = x.get("users/by/username/" + urllib.parse.quote(username, safe="")).json()
    if "data" not in user:
        sys.exit(f"There is no user {username!a} at X.")
    for page in x.pages(f"users/{user['data']['id']}/tweets", {"max_results": 5},
                        next=("meta.next_token", "pagination_token")):
        yield from page.get("data", [])


def report(server, key, secret, store, username):
    with Client(server, key, secret, store=store, max_wait=60) as x:
        try:
            for post in itertools.islice(posts(x, username), POSTS):
                show(f"{username}: {post['text']}")
        except RateLimited as error:
            then = time.strftime("%H:%M", time.localtime(time.time() + error.retry_after))
            show(f"That is all that X allows for now. Try again at {then}.")


def main():
    if "--fake" in sys.argv[1:]:
        os.environ["no_proxy"] = "*"  # all of this stays on this machine
        from fake_server import FakeServer
        with FakeServer() as server, tempfile.TemporaryDirectory() as folder:
            server.rate_limit = 4  # one request for the user, three for the posts
            facts = (server.provider("x"), "fake-app", server.clients["fake-app"]["client_secret"],
                     os.path.join(folder, "x-token.json"), "XDevelopers")
            report(*facts)
            report(*facts)  # a second run: the token is in the file, but the limit is reached
            show(f"Runs: 2, tokens: {len(server.forms('/token'))}.")
        return
    names = "X_API_KEY", "X_API_SECRET"
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        sys.exit(f"Set {' and '.join(missing)} first, or try --fake.")
    username = sys.argv[1] if len(sys.argv) > 1 else "XDevelopers"
    report("x-app", *[os.environ[name] for name in names], "x-token.json", username)


if __name__ == "__main__":
    try:
        print(__doc__) if {"-h", "--help"} & {*sys.argv} else main()
    except (KeyboardInterrupt, OSError, OAuth2Error) as error:
        reason = getattr(error, "reason", error)
        sys.exit(str(getattr(reason, "strerror", None) or reason) or 130)
