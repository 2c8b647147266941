# mypy: ignore-errors
# ruff: noqa
"""The two handlers that README.md shows for Pyodide, word for word: check.py looks."""

# --- by the browser ---
import email
import io
from http.client import HTTPMessage
from urllib.error import URLError
from urllib.request import BaseHandler
from urllib.response import addinfourl

class Browser(BaseHandler):
    """Sends requests by the browser, for Pyodide has no sockets."""
    handler_order = 500  # before the library's own

    def https_open(self, request):
        from js import XMLHttpRequest
        from pyodide.ffi import JsException, to_js
        xhr = XMLHttpRequest.new()
        xhr.open(request.get_method(), request.full_url, False)  # waits for the answer
        xhr.overrideMimeType("text/plain; charset=x-user-defined")  # a letter is a byte
        for name, value in {**request.headers, **request.unredirected_hdrs}.items():
            if name not in ("Host", "User-agent", "Accept-encoding"):  # are the browser's
                xhr.setRequestHeader(name, value)
        try:
            xhr.send(request.data and to_js(request.data))
        except JsException:
            raise URLError("no answer, or one that the server lets no page see (CORS)")
        headers = email.message_from_string(xhr.getAllResponseHeaders(), HTTPMessage)
        del headers["Content-Encoding"]  # is undone
        body = bytes(ord(letter) & 255 for letter in xhr.responseText)
        answer = addinfourl(io.BytesIO(body), headers, xhr.responseURL, xhr.status)
        answer.msg = xhr.statusText
        return answer

# --- in the same process ---
import io
from http.client import HTTPResponse
from types import SimpleNamespace
from urllib.parse import urlencode
from urllib.request import BaseHandler, Request
import fake_server  # examples/fake_server.py

class Wire(io.BytesIO):
    """A connection that is none: what is written comes after what was read."""
    def makefile(self, *_):
        return self

    def setsockopt(self, *_):
        pass

    def close(self):
        pass

class InProcess(BaseHandler):
    """Plays a FakeServer that was never started: without sockets, without threads."""
    handler_order = 500  # before the library's own

    def __init__(self, server):
        self.server = server
        server.url = "http://127.0.0.1"
        fake_server.fetch = self.fetch

    def http_open(self, request):
        body = request.data or b""
        headers = {**request.headers, **request.unredirected_hdrs}
        headers["Content-Length"] = len(body)
        head = f"{request.get_method()} {request.selector} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sent = f"{head}\r\n".encode("latin-1") + body
        wire = Wire(sent)
        fake_server.Handler(wire, None, SimpleNamespace(fake=self.server))
        wire.seek(len(sent))
        answer = HTTPResponse(wire, method=request.get_method())
        answer.begin()
        answer.url = request.full_url
        answer.msg = answer.reason
        return answer

    def fetch(self, method, url, form=None):
        """What server.approve() asks in place of a browser."""
        body = form and urlencode(form).encode()
        request = Request(url, body, {"Content-Type": fake_server.FORM}, method=method)
        answer = self.http_open(request)
        return answer.status, answer.headers, answer.read().decode()
