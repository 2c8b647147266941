#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""What is wrong here? It tries what logins and requests need. "ok" it has tried;
"look here" has failed, and comes with a remedy, then the status is 1; and "not
tried" is the rest. Name your server, or --fake; nothing to register:
    python3 examples/doctor.py https://accounts.spotify.com"""
import os
import re
import socket
import sys
import time
import urllib.request
from email.utils import mktime_tz, parsedate_tz
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import (command_line, errors_in_one_line, fake_server, reason, say,
                    system_words, usage)

PROXY = re.compile(r"(?i)(http://)?([^/]*@)?([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?/?")
marks = []

def tell(mark, text):
    say(f"{mark:11}{text}", indent=" " * 11)
    marks.append(mark)

def try_certificates():
    try:
        import ssl
        context = ssl.create_default_context()
        if os.environ.get("SSL_CERT_FILE"):  # about which OpenSSL itself is silent
            context.load_verify_locations(os.environ["SSL_CERT_FILE"])
        number = len(context.get_ca_certs())
        tell("ok" if number else "not tried", f"Python {sys.version.split()[0]}, "
             f"{ssl.OPENSSL_VERSION}, {number} CAs are read")
    except (ImportError, OSError) as error:
        tell("look here", f"no https ({reason(error)}): SSL_CERT_FILE must be CAs in PEM")

def look_at_proxies():
    for kind in "http", "https":
        url = urllib.request.getproxies().get(kind, "")
        found = PROXY.fullmatch(url)  # in an odd one the password may be anywhere
        if found:
            tell("not tried", f"{kind}_proxy: {found.group(3)}{found.group(4) or ''}")
        elif url:
            tell("look here", f"{kind}_proxy must be like http://me:password@host:3128")

def try_loopback():
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            socket.create_connection(listener.getsockname(), 2).close()
        tell("ok", "a login can listen on 127.0.0.1")
    except OSError as error:
        tell("look here", f"no login can listen ({reason(error)}): see paste_login.py")

def try_server(url):
    found = re.match("https?://[^/?#@]+(?=[/?#]|$)", url)
    if not found:
        return tell("look here", "name your server like https://accounts.spotify.com")
    try:
        answer = urllib.request.urlopen(url, timeout=10)
    except urllib.request.HTTPError as error:
        answer = error  # it has a date all the same
    except Exception as error:
        return tell("look here", f"no answer from {found.group()} ({system_words(error)}): "
                    "mend the address, the proxy or the CAs (https_proxy, SSL_CERT_FILE)")
    answer.close()
    date = parsedate_tz(answer.headers["Date"] or "")
    tell("ok", f"{found.group()} answered")
    if date:
        off = time.time() - mktime_tz(date)
        mark = "ok" if abs(off) < 30 else "look here"
        tell(mark, f"the clock differs from its by {off:+.0f} s; tokens expire by it")

def main(options, words):
    if bool(options) == bool(words):
        usage(__doc__)
    try_certificates()
    look_at_proxies()
    try_loopback()
    if options:
        with fake_server() as server:
            try_server(server.url)
    else:
        try_server(*words)
    sys.exit(int("look here" in marks))

if __name__ == "__main__":
    with errors_in_one_line():
        main(*command_line(__doc__, ["--fake"], words=1))
