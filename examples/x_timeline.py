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
    python3 examples/x_timeline.py --fake [USERNAME]"""
import itertools
import os
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import environment, run, show
from oauth2min import Client, RateLimited

USERNAME = "XDevelopers"
POSTS = 12  # X counts each one that is read, and may send a bill


def posts(x, username):
    name = urllib.parse.quote(username, safe="")
    user = x.get("users/by/username/" + name).json()
    if "data" not in user:
        sys.exit(f"There is no user {username!a} at X.")
    user_id = user["data"]["id"]
    timeline = f"users/{user_id}/tweets"
    cursor = ("meta.next_token", "pagination_token")  # where it is, and how it is sent back
    parameters = {"max_results": 5}
    for page in x.pages(timeline, parameters, next=cursor):
        yield from page.get("data", [])


def report(server, key, secret, store, username=USERNAME):
    with Client(server, key, secret, store=store, max_wait=60) as x:
        try:
            latest = itertools.islice(posts(x, username), POSTS)
            for post in latest:
                text = post["text"]
                show(f"{username}: {text}")
        except RateLimited as error:
            then = time.time() + error.retry_after
            clock = time.strftime("%H:%M", time.localtime(then))
            show(f"That is all that X allows for now. Try again at {clock}.")


def for_real(username=USERNAME):
    key, secret = environment("X_API_KEY", "X_API_SECRET")
    report("x-app", key, secret, "x-token.json", username)


def with_fake(server, username=USERNAME):
    server.rate_limit = 4  # one request for the user, three for the posts
    x = server.provider("x")
    secret = server.clients["fake-app"]["client_secret"]
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "x-token.json")
        report(x, "fake-app", secret, store, username)
        # A second run: the token is in the file, but the limit is reached.
        report(x, "fake-app", secret, store, username)
    tokens = len(server.forms("/token"))
    show(f"Runs: 2, tokens: {tokens}.")


if __name__ == "__main__":
    run(__doc__, for_real, with_fake, words=1, fake_words=1)
