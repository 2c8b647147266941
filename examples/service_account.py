#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A program that has a key in place of a secret: a service account of Google.

It shows how a grant that the library does not know becomes the client's: it
overrides `request_token`, here by a signed assertion (RFC 7523), RS256 by the
program openssl. Its tokens are kept, renewed and shared like any other.

Make a service account at https://console.cloud.google.com, download its key:
    GOOGLE_APPLICATION_CREDENTIALS=key.json python3 examples/service_account.py

Or, without an account and without a network, against fake_server.py:
    python3 examples/service_account.py --fake"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import environment, run, show
from oauth2min import Client

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform.read-only"
API = "https://cloudresourcemanager.googleapis.com/v1"


class ServiceAccount(Client):
    """issuer: who signs. audience: who is to believe it, mostly the token endpoint."""

    def __init__(self, server, client_id, issuer, audience, key_file, **options):
        super().__init__(server, client_id, **options)
        self.claims = {"iss": issuer, "aud": audience}
        self.key_file = key_file

    def request_token(self, grant_type, scope=None, **parameters):
        """A first token, and each one after it, is asked for by an assertion."""
        claims = dict(self.claims, scope=scope)
        return super().request_token(GRANT, assertion=jwt(claims, self.key_file))


def jwt(claims, key_file):
    """A JSON Web Token (RFC 7519), signed by RS256. It is good for five minutes."""
    now = int(time.time())
    claims = dict(claims, iat=now, exp=now + 300, jti=os.urandom(16).hex())
    header = {"alg": "RS256", "typ": "JWT"}
    text = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", key_file]
    signature = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True)
    return (text + b"." + encoded(signature.stdout)).decode()


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def for_real():
    [path] = environment("GOOGLE_APPLICATION_CREDENTIALS")
    with open(path) as file:
        account = json.load(file)
    endpoint, email = account["token_uri"], account["client_email"]
    google = {"token_endpoint": endpoint, "base_url": API}
    with tempfile.TemporaryDirectory() as folder:  # that only you can enter
        key = os.path.join(folder, "key.pem")
        with open(key, "w") as file:
            file.write(account["private_key"])
        with ServiceAccount(google, account["client_id"], email, endpoint, key,
                            scope=SCOPE) as client:
            show(client.get("projects/" + account["project_id"]).json()["name"])


def with_fake(server):
    with tempfile.TemporaryDirectory() as folder:
        key, pub = os.path.join(folder, "key.pem"), os.path.join(folder, "pub.pem")
        for words in ["genrsa", "-out", key], ["rsa", "-in", key, "-pubout", "-out", pub]:
            subprocess.run(["openssl", *words], stderr=subprocess.DEVNULL, check=True)
        server.clients["robot"] = {"client_secret": None, "public_key": pub,
                                   "token_endpoint_auth_method": "none"}
        with ServiceAccount(server.metadata, "robot", "robot", server.url, key) as robot:
            for _ in range(2):
                show(robot.get("tracks/11dFghVXANMlKmJXsNCbNl").json()["name"])
                server.expire()
    grants = [form["grant_type"].rpartition(":")[2] for form in server.forms()]
    show(f"Tokens: {', '.join(grants)}.")


if __name__ == "__main__":
    run(__doc__, for_real, with_fake, errors=(subprocess.CalledProcessError,))
