#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
# mypy: allow-untyped-defs, allow-untyped-calls
"""A Python prompt with a server and clients, for the exercises in README.md:

    python3 examples/classroom.py

There is no network and nothing to register. At the prompt there are
    Client    the class, and the module oauth2min with all that it has
    server    a FakeServer; server.url is its address, for a browser, too
    secret    that of the clients fake-app and fake-post
    app       a program that has a secret: client credentials
    user      a program without one, which Ada has let in: authorization code
    grants    a function: what the token endpoint was asked for so far
Ctrl-D (Ctrl-Z and Enter on Windows) ends it."""
import code
import contextlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import oauth2min
from common import command_line, fake_server
from oauth2min import Client


class Prompt(code.InteractiveConsole):
    """Takes lines as they are copied from README.md, with their `>>> ` or `... `."""

    def raw_input(self, prompt=""):
        return re.sub(r"^(>>>|\.\.\.) ?", "", super().raw_input(prompt))


def names(server):
    """What is at the prompt."""
    secret = server.clients["fake-app"]["client_secret"]
    app = Client(server.metadata, "fake-app", secret)
    user = Client(server.metadata, "fake-public", grant_type="authorization_code",
                  scope="user-library-read")
    asked = user.authorization_request()
    user.exchange(asked, server.approve(asked.url))  # a script plays Ada

    def grants():
        return [form.get("grant_type") for form in server.forms("/token")]

    return dict(oauth2min=oauth2min, Client=Client, server=server, secret=secret, app=app,
                user=user, grants=grants)


def main():
    with fake_server() as server:
        with contextlib.suppress(ImportError):
            __import__("readline")  # the arrow keys, where there is one
        Prompt(names(server)).interact(__doc__, exitmsg="")


if __name__ == "__main__":
    command_line(__doc__)
    main()
