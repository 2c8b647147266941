#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""A web application: a login as in paste_login.py, and for_user() for each one.
All users share one client, its settings and connections; each has a token.
Register a program at https://developer.spotify.com/dashboard with the redirect
URI http://127.0.0.1:8000/callback, run this, and open http://127.0.0.1:8000/:
    SPOTIFY_CLIENT_ID=... SPOTIFY_CLIENT_SECRET=... python3 examples/web_app.py
Without an account: --fake (two users come, by script), or --fake --browser."""
import os
import sys
from html import escape

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import environment, reason, run, serve
from oauth2min import Client, LoginRequired, OAuth2Error

HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"),
           ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")]
PAGE = """<!DOCTYPE html>
<html lang="en"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>:root {{ color-scheme: light dark; background: canvas; font: 1.1rem/1.5 system-ui }}
main {{ max-width: 30rem; margin: auto; padding: 1rem }} button {{ font: inherit }}</style>
<main><h1>{title}</h1>{content}</main>"""
LOG_IN = '<p><a href="/login">Log in</a></p>'
LOG_OUT = '<form method="post" action="/logout"><button>Log out</button></form>'

class App:
    def __init__(self, *settings):
        self.url = ""  # its own address: serve() sets it
        self.client = Client(*settings, grant_type="authorization_code",
                             scope="user-library-read")
        self.sessions = {}  # by cookie: a user's client, the first half of a login if any

    def __call__(self, environ, start_response):  # for each request (PEP 3333)
        try:
            status, headers, body = self.answer(environ)
        except (OSError, OAuth2Error) as error:
            why = f"<p>{escape(reason(error))}</p>\n{LOG_IN}"
            status, headers, body = page("That did not work", why, "403 Forbidden")
        start_response(status, HEADERS + headers)
        return [body.encode()]

    def answer(self, environ):
        key = environ.get("HTTP_COOKIE", "").split("session=")[-1].split(";")[0]
        user, asked = self.sessions.get(key, (None, None))
        route = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]
        if route == "GET /login":
            user = self.client.for_user()
            asked = user.authorization_request(self.url + "/callback")
            return self.go(asked.url, key, user, asked)
        if route == "GET /callback" and asked:
            user.exchange(asked, environ["QUERY_STRING"])  # it checks the state first
            return self.go("/", key, user)
        if route == "POST /logout" and user:
            self.sessions.pop(key, None)
            user.logout()
            return page("You are logged out", LOG_IN)
        if route == "GET /":
            return self.home(user or self.client.for_user())
        return page("There is nothing here", LOG_IN, "404 Not Found")

    def home(self, user):
        try:
            me = user.get("me").json()
            saved = user.get("me/tracks", {"limit": 5}).json()["items"]
        except LoginRequired:  # nobody has logged in, or the permission was taken back
            return page("What did you save last?", LOG_IN)
        tracks = [f"<li>{escape(item['track']['name'])}</li>\n" for item in saved]
        title = f"{me['display_name'] or me['id']} saved last"
        return page(title, f"<ol>\n{''.join(tracks)}</ol>\n{LOG_OUT}")

    def go(self, place, old_key, user, asked=None):  # with a cookie that nobody knows
        self.sessions.pop(old_key, None)
        key = os.urandom(32).hex()
        self.sessions[key] = user, asked
        cookie = f"session={key}; Path=/; HttpOnly; SameSite=Lax"  # with https also Secure
        return "303 See Other", [("Location", place), ("Set-Cookie", cookie)], ""

def page(title, content, status="200 OK"):
    return status, [], PAGE.format(title=escape(title), content=content)

def for_real():
    settings = environment("SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET")
    serve(App("spotify", *settings), 8000)

def with_fake(fake):
    serve(App(fake.provider("spotify"), "fake-public"), 0, fake)

if __name__ == "__main__":
    run(__doc__, for_real, with_fake, has_user=True)
