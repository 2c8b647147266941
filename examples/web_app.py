#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A web application: a login as in paste_login.py, and a client for each user.
Register http://127.0.0.1:8000/callback at developer.spotify.com/dashboard, run
    SPOTIFY_CLIENT_ID=... SPOTIFY_CLIENT_SECRET=... python3 examples/web_app.py
and open http://127.0.0.1:8000/. With --fake a script is the user."""
import os
import sys
import threading
import urllib.request
from html import escape
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from oauth2min import Client, LoginRequired, OAuth2Error

HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
sessions = {}  # for each cookie the user's own client and, during a login, its first half
Server = type("Server", (ThreadingMixIn, WSGIServer), {"daemon_threads": True})  # a thread each
Quiet = type("Quiet", (WSGIRequestHandler,), {"log_message": lambda *_: None})  # logs no codes

def app(who, url, environ, start_response):
    key = environ.get("HTTP_COOKIE", "").split("session=")[-1].split(";")[0]
    client, asked = sessions.get(key) or (
        Client(*who, grant_type="authorization_code", scope="user-library-read"), None)
    status, body, new = "200 OK", "", False
    try:
        route = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]
        if route == "GET /callback" and asked:
            client.exchange(asked, environ["QUERY_STRING"])  # it checks the state first
            asked, new = None, True
        elif route == "POST /logout" and sessions.pop(key, None):
            client.logout()
            body = 'You are logged out. <a href="/">Log in</a>'
        elif route == "GET /":
            page = client.get("me/tracks", {"limit": 5}).json()  # LoginRequired without a token
            body = "".join(f"<li>{escape(item['track']['name'])}\n" for item in page["items"])
            body += '<form method="post" action="/logout"><button>Log out</button></form>'
    except LoginRequired:
        asked, new = client.authorization_request(url + "/callback"), True
    except (OSError, OAuth2Error) as error:
        reason = getattr(error, "reason", error)  # without "<urlopen error"
        status, body = "403 Forbidden", escape(str(reason)) + ' <a href="/">Try again</a>'
    headers = HEADERS + [("Location", asked.url if asked and new else "/")] * (not body)
    if new:
        sessions.pop(key, None)  # a new key, which nobody can know from before the login
        key = os.urandom(32).hex()
        sessions[key] = client, asked  # Lax: other sites may link here; with https add "; Secure"
        headers.append(("Set-Cookie", f"session={key}; Path=/; HttpOnly; SameSite=Lax"))
    start_response(status if body else "303 See Other", headers)
    return [f"<!DOCTYPE html><title>Saved tracks</title>\n{body}".encode()]

def serve(port, fake, *who):
    with Server(("127.0.0.1", port), Quiet) as httpd:
        url = f"http://127.0.0.1:{httpd.server_port}"
        httpd.set_app(lambda *request: app(who, url, *request))
        if not fake:
            print(f"Open {url} in a browser; Ctrl-C ends it.", flush=True)
            httpd.serve_forever()
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open
        with browser(url) as consent, browser(fake.approve(consent.geturl())) as page:
            print(page.read().decode(), browser(url + "/logout", b"").read().decode(), sep="\n")
        httpd.shutdown()

if __name__ == "__main__":
    names = "SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET"
    try:
        sys.exit(print(__doc__)) if {"-h", "--help"} & {*sys.argv} else None
        if "--fake" in sys.argv[1:]:
            os.environ["no_proxy"] = "*"  # all of this stays on this machine
            from fake_server import FakeServer
            with FakeServer() as fake:
                sys.exit(serve(0, fake, fake.provider("spotify"), "fake-public"))
        elif not all(map(os.environ.get, names)):
            sys.exit(f"Set {' and '.join(names)} first, or try --fake.")
        serve(8000, None, "spotify", *map(os.environ.get, names))
    except (KeyboardInterrupt, OSError) as error:
        sys.exit(str(error) or 130)
