#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""Many machines, one token that changes with every refresh: a store in Redis.
Where a refresh token may be used once, two machines that refresh at once are
taken for a thief and a victim, and all are logged out. So the token is in one
place, with a lock for who renews it; any database with a lock will do.
Register as for spotify_library.py, and run everywhere (the first one asks)
    export REDIS_URL=redis://host/ SPOTIFY_CLIENT_ID=...
    python3 examples/shared_store.py
or, without an account, let 8 processes share a token of fake_server.py:
    REDIS_URL=redis://localhost/ python3 examples/shared_store.py --fake
where a script is the user; with --browser you are."""
import contextlib
import json
import multiprocessing
import os
import signal
import sys

try:
    import redis
except ImportError:
    redis = None  # it is asked for where it is needed: --help works without it

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from common import by_hand, environment, run
from oauth2min import Client


class RedisStore:
    """The three methods of a store; a record is a dict for JSON, or None for nothing."""

    def __init__(self, key):
        if redis is None:
            sys.exit("This needs redis-py: python3 -m pip install redis")
        self.redis = redis.Redis.from_url(os.environ["REDIS_URL"])
        self.key = key

    def load(self):
        return json.loads(self.redis.get(self.key) or "null")

    def save(self, record):
        self.redis.set(self.key, json.dumps(record))

    @contextlib.contextmanager
    def lock(self):
        # A lease in seconds: longer than any token request, bearable after a dead owner
        lock = self.redis.lock(self.key + ":lock", timeout=120, sleep=0.02)
        lock.acquire()
        try:
            yield
        finally:
            with contextlib.suppress(redis.exceptions.LockError):  # the lease was over
                lock.release()


def work(server, client_id, open_browser=None):
    store = RedisStore("oauth2min:" + client_id)
    with Client(server, client_id, grant_type="authorization_code",
                scope="user-library-read", store=store) as client:
        client.login(open_browser)  # returns at once where a usable token is in the store
        return client.get("me/tracks", {"limit": 1}).json()["total"]


def for_real():
    _, client_id = environment("REDIS_URL", "SPOTIFY_CLIENT_ID")
    print("You saved", work("spotify", client_id), "tracks.")


def with_fake(server):
    environment("REDIS_URL")
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fleet is to inherit that
    with multiprocessing.get_context("spawn").Pool(8) as fleet:
        signal.signal(signal.SIGINT, ctrl_c)
        store = RedisStore("oauth2min:fake-public")
        store.redis.delete(store.key)
        store.redis.delete(store.key + ":lock")
        work(server.metadata, "fake-public", True if by_hand() else server.browser)
        for _ in range(10):
            server.expire()  # now all of them meet a 401 at once
            fleet.starmap(work, [(server.metadata, "fake-public")] * 24, 1)
        refreshes = len(server.forms("/token")) - 1
    print(f"8 processes, 10 expiries: {refreshes} refreshes")


if __name__ == "__main__":
    errors = (redis.RedisError,) if redis else ()
    run(__doc__, for_real, with_fake, has_user=True, errors=errors)
