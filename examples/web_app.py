#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A web application: a login as in paste_login.py, and for_user() for each user.
Register http://127.0.0.1:8000/callback at developer.spotify.com/dashboard, run
    SPOTIFY_CLIENT_ID=... SPOTIFY_CLIENT_SECRET=... python3 examples/web_app.py
and open http://127.0.0.1:8000/. With --fake a script is the user."""
import os
import sys
import threading
import urllib.request
from html import escape
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import environment, reason, run, web_server
from oauth2min import Client, LoginRequired, OAuth2Error

SCOPE = "user-library-read"
HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
LOG_OUT = '<form method="post" action="/logout"><button>Log out</button></form>'

class App:
    url = ""  # its own address: web_server() tells it
    def __init__(self, *settings):
        self.client = Client(*settings, grant_type="authorization_code", scope=SCOPE)
        self.sessions = {}  # for each cookie a client and, during a login, its first half

    def __call__(self, environ, start_response):  # for each request (PEP 3333)
        try:
            status, headers, body = self.answer(environ)
        except (OSError, OAuth2Error) as error:
            status, headers = "403 Forbidden", []
            body = escape(reason(error)) + ' <a href="/">Try again</a>'
        start_response(status, HEADERS + headers)
        return [f"<!DOCTYPE html><title>Saved tracks</title>\n{body}".encode()]

    def answer(self, environ):
        key = environ.get("HTTP_COOKIE", "").split("session=")[-1].split(";")[0]
        client, asked = self.sessions.get(key, (None, None))
        route = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]
        if route == "GET /":
            return self.home(key, client)
        if route == "GET /callback" and asked:
            client.exchange(asked, environ["QUERY_STRING"])  # it checks the state first
            return redirect("/", self.new_session(key, client))
        if route == "POST /logout" and client:
            self.sessions.pop(key, None)
            client.logout()
            return "200 OK", [], 'You are logged out. <a href="/">Log in</a>'
        return redirect("/")

    def home(self, key, client):
        if client is None:
            client = self.client.for_user()  # it shares all but the token
        try:
            page = client.get("me/tracks", {"limit": 5}).json()
        except LoginRequired:
            asked = client.authorization_request(self.url + "/callback")
            return redirect(asked.url, self.new_session(key, client, asked))
        rows = [f"<li>{escape(item['track']['name'])}\n" for item in page["items"]]
        return "200 OK", [], "".join(rows) + LOG_OUT

    def new_session(self, old_key, client, asked=None):
        """The cookie: a new key, unknown to all before. With https add "; Secure" to it."""
        self.sessions.pop(old_key, None)
        key = os.urandom(32).hex()
        self.sessions[key] = client, asked
        return "Set-Cookie", f"session={key}; Path=/; HttpOnly; SameSite=Lax"

def redirect(place, *headers):
    return "303 See Other", [("Location", place), *headers], ""

def for_real():
    client_id, secret = environment("SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET")
    app = App("spotify", client_id, secret)
    with app.client, web_server(app, 8000) as server:
        print(f"Open {app.url} in a browser; Ctrl-C ends it.", flush=True)
        server.serve_forever()

def with_fake(fake):
    app = App(fake.provider("spotify"), "fake-public")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with app.client, web_server(app) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser.open(app.url) as consent:
            callback = fake.approve(consent.geturl())
        with browser.open(callback) as page, browser.open(app.url + "/logout", b"") as end:
            print(page.read().decode(), end.read().decode(), sep="\n")
        server.shutdown()

if __name__ == "__main__":
    run(__doc__, for_real, with_fake)
