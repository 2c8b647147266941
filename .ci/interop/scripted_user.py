"""A person with a browser, as a script: logs in, says yes or no, ends at the callback."""

import http.cookiejar
import threading
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser


class Page(HTMLParser):
    """The form of a page, and the link to refuse, as oidc-provider writes them."""

    def __init__(self, html):
        super().__init__()
        self.action, self.fields, self.cancel, self.link = None, {}, None, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.action = attrs["action"]
        elif tag == "input" and self.action:
            self.fields[attrs["name"]] = attrs.get("value", "")
        elif tag == "a":
            self.link = attrs.get("href")

    def handle_data(self, data):
        if "Cancel" in data:
            self.cancel = self.link


class ScriptedUser:
    """Called with a URL, follows the pages from there, in a thread of its own.

    With deny, says no where it is asked for consent; with after, an Event, begins then.
    code is a function that reads the device's code, to be typed if a page asks for it.
    wait() waits for the end: then url, status and text are those of the last page.
    """

    def __init__(self, context=None, deny=False, after=None, code=None):
        self.deny = deny
        self.after = after
        self.code = code
        self.url = self.status = self.text = self.thread = None
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            Redirects(self),
        )

    def __call__(self, url):
        self.thread = threading.Thread(target=self.browse, args=(url,), daemon=True)
        self.thread.start()
        return True

    def wait(self):
        if self.thread:
            self.thread.join(30)
        return self

    def browse(self, url):
        if self.after:
            self.after.wait(30)
        data = None
        for _ in range(10):
            page = self.fetch(url, data)
            if self.status != 200 or not page.action:
                break
            data = page.fields
            if self.deny and data.get("prompt") == "consent":
                self.fetch(page.cancel, None)
                break
            if data.get("user_code") == "":
                data["user_code"] = self.code()
            if "login" in data:
                data.update(login="alice", password="any")
            url, data = page.action, urllib.parse.urlencode(data).encode()

    def fetch(self, url, data):
        self.url = url
        try:
            answer = self.opener.open(url, data, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        except (
            OSError
        ):  # nobody listens at the redirect URI: the address bar is what counts
            self.status = self.text = None
            return None
        with answer:
            self.status, self.text = answer.getcode(), answer.read().decode()
        return Page(self.text)


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows as usual, and tells the user where it is."""

    def __init__(self, user):
        self.user = user

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        self.user.url = newurl
        return super().redirect_request(req, fp, code, msg, headers, newurl)
