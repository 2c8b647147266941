#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""What is wrong here? It looks at what logins and requests need, and at their
variables (proxies, SSL_CERT_FILE, BROWSER, SSH_CONNECTION, DISPLAY); "look
here" comes with a remedy. Nothing to register. Name your server, or --fake:
    python3 examples/doctor.py https://accounts.spotify.com"""
import os
import re
import socket
import sys
import textwrap
import time
import urllib.request
import webbrowser
from email.utils import parsedate_to_datetime
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import command_line, errors_in_one_line, fake_server

def say(good, text, remedy=""):
    text = "ok         " + text if good else "look here  " + text + remedy
    print(textwrap.fill(text, 79, subsequent_indent=" " * 11, break_on_hyphens=False))

def look_at_certificates():
    try:
        import ssl
        paths = ssl.get_default_verify_paths()
        trusted = bool(ssl.create_default_context().get_ca_certs())
        if not trusted and paths.capath:
            trusted = bool(os.listdir(paths.capath))  # a folder is read when it is needed
        where = f"CA file {paths.cafile}, folder {paths.capath}"
        say(trusted, f"{ssl.OPENSSL_VERSION}, {where}", ": it trusts nobody; "
            "install those of the system, or name a file in SSL_CERT_FILE")
    except (ImportError, OSError) as error:
        say(False, f"no https ({error})", ": take a Python with ssl; mend SSL_CERT_FILE")

def look_at_proxies():
    for kind, url in sorted(urllib.request.getproxies().items()):
        masked = re.sub("^([a-z0-9]+://)?.*@", r"\1***@", url, flags=re.IGNORECASE)
        say(not re.match("(?!https?:)[a-z0-9]+://", url.lower()),
            f"proxy: {kind} = {masked}", ": it must be like http://host:port")

def look_at_loopback():
    for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        try:
            with socket.socket(family) as listener:
                listener.bind((host, 0))
                listener.listen(1)
                socket.create_connection(listener.getsockname()[:2], 2).close()
            say(True, f"a login can listen on {host}")
        except OSError as error:
            say(False, f"a login cannot listen on {host} ({error.strerror or error})",
                ": use the other of 127.0.0.1 and [::1] in redirect_uri, "
                "or see paste_login.py")

def look_at_browser():
    try:
        name = os.path.basename(getattr(webbrowser.get(), "name", None) or "the system's")
    except webbrowser.Error:
        name = "none"
    remote = "SSH_CONNECTION" in os.environ and not {"BROWSER", "DISPLAY"} & set(os.environ)
    say(not remote and name not in "none www-browser lynx links elinks w3m".split(),
        f"browser: {name}", ": a login opens none; open the address that it shows yourself")

def look_at_clock(url):
    try:
        try:
            answer = urllib.request.urlopen(url, timeout=10)
        except urllib.request.HTTPError as error:
            answer = error  # it has a date all the same
        with answer:
            off = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
        say(abs(off) < 30, f"clock: {off:+.0f} s from {url}",
            ": set it, tokens expire by it")
    except Exception as error:
        why = getattr(error, "reason", type(error).__name__)  # others may show a password
        say(False, f"clock: no answer from {url or 'no address'} ({why})",
            ": name your server, https and all, and look at the proxy and the CA")

def main(url=""):
    say(True, f"Python {sys.version.split()[0]}, {sys.executable}")
    for look in look_at_certificates, look_at_proxies, look_at_loopback, look_at_browser:
        look()
    if url != "--fake":
        return look_at_clock(url)
    with fake_server() as server:
        look_at_clock(server.url)

if __name__ == "__main__":
    with errors_in_one_line():
        main(*command_line(__doc__, words=1))
