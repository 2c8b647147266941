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
    REDIS_URL=redis://localhost/ python3 examples/shared_store.py --fake"""
import contextlib
import json
import multiprocessing
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, OAuth2Error

sys.exit(print(__doc__)) if {"-h", "--help"} & {*sys.argv} else None
try:
    import redis
except ImportError:
    sys.exit("This needs redis-py: python3 -m pip install redis")

class RedisStore:
    """The three methods that a store has; a record is a dict ready for JSON, None for nothing."""

    def __init__(self, key):
        self.redis, self.key = redis.Redis.from_url(os.environ["REDIS_URL"]), key

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
    with Client(server, client_id, grant_type="authorization_code", scope="user-library-read",
                store=RedisStore("oauth2min:" + client_id)) as client:
        client.login(open_browser)  # returns at once where a usable token is in the store
        return client.get("me/tracks", {"limit": 1}).json()["total"]

def main():
    fake = "--fake" in sys.argv[1:]
    names = ["REDIS_URL"] if fake else ["REDIS_URL", "SPOTIFY_CLIENT_ID"]
    if not all(map(os.environ.get, names)):
        sys.exit(f"Set {' and '.join(names)} first.")
    if not fake:
        return print("You saved", work("spotify", os.environ["SPOTIFY_CLIENT_ID"]), "tracks.")
    os.environ["no_proxy"] = "*"  # all of this stays on this machine
    from fake_server import FakeServer
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fleet is to inherit that
    with FakeServer() as server, multiprocessing.get_context("spawn").Pool(8) as fleet:
        signal.signal(signal.SIGINT, ctrl_c)
        RedisStore("").redis.delete("oauth2min:fake-public", "oauth2min:fake-public:lock")
        work(server.metadata, "fake-public", server.browser)
        for _ in range(10):
            server.expire()  # now all of them meet a 401 at once
            fleet.starmap(work, [(server.metadata, "fake-public")] * 24, 1)
        print(f"8 processes, 10 expiries: {len(server.forms('/token')) - 1} refreshes")

if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, OAuth2Error, redis.RedisError) as error:
        sys.exit(str(getattr(error, "reason", error)) or 130)
