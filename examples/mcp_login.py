#!/usr/bin/env python3
# SPDX-License-Identifier: 0BSD
"""An MCP server, from its first 401 to what one of its tools answers.
The 401 names the metadata of the resource (RFC 9728), these the authorization
server, whose metadata (RFC 8414) name where programs register (RFC 7591); the
token is for this resource alone (RFC 8707). With --fake it needs no network.
    python3 examples/mcp_login.py https://mcp.example.com/mcp [METHOD [PARAMS]]
METHOD: tools/list, or tools/call with '{"name": ..., "arguments": {...}}'."""
import json
import os
import re
import sys
import tempfile
from urllib.request import HTTPError, Request, urlopen
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from common import command_line, run
from oauth2min import Client, OAuth2Error, TokenError, TokenFile, discover

PROGRAM = {"client_name": "oauth2min", "application_type": "native",
           "grant_types": ["authorization_code", "refresh_token"],
           "token_endpoint_auth_method": "none"}
HEADERS = {"Content-Type": "application/json", "MCP-Protocol-Version": "2025-06-18",
           "Accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {},
         "clientInfo": {"name": "oauth2min", "version": "0"}}

def fetch(url, data=None):
    return json.load(urlopen(Request(url, data, HEADERS), timeout=30))

def resource_at(url):
    """Its metadata: the 401 says where they are; else they are at a well-known place."""
    parts = url.split("/", 3)
    place = "/".join(parts[:3] + [".well-known/oauth-protected-resource"] + parts[3:])
    try:
        fetch(url, b"{}")
    except HTTPError as error:
        place = (re.findall('_metadata="([^"]+)"', str(error.headers)) or [place])[0]
    resource = fetch(place)
    if resource["resource"].rstrip("/") != url.rstrip("/"):
        raise OAuth2Error(f"{place} is about another resource")  # that poses as this one
    return resource

def client_for(url, registration, redirect_uri):
    resource = resource_at(url)
    server = discover(resource["authorization_servers"][0])
    server.update(resource=resource["resource"], base_url=url)
    if registration.load() is None:
        form = json.dumps(dict(PROGRAM, redirect_uris=[redirect_uri])).encode()
        registration.save(fetch(server["registration_endpoint"], form))
    us = registration.load()["client_id"]
    return Client(server, us, grant_type="authorization_code", redirect_uri=redirect_uri,
                  store=registration.path + re.sub(r"\W+", "-", "-" + us) + ".json",
                  scope=resource.get("scopes_supported"))

def ask(client, url, headers, method, **message):
    body = json.dumps(dict(message, jsonrpc="2.0", method=method)).encode()
    with client.open(Request(url, body, headers)) as answer:
        if "Mcp-Session-Id" in answer.headers:
            headers["Mcp-Session-Id"] = answer.headers["Mcp-Session-Id"]
        for line in answer:  # other events may come first, each within `timeout`
            found = re.match(rb"(?:data: *)?({.*)", line)
            told = json.loads(found.group(1)) if found else {}
            if "id" in told and "method" not in told:
                return told.get("result") or sys.exit(told["error"]["message"])

def use(url="", method="tools/list", params="{}", folder="", open_browser=None,
        redirect_uri="http://127.0.0.1:8976/callback"):  # many servers compare the port
    if not url.startswith("http") or not params.startswith("{"):
        command_line(__doc__, words=-1)  # shows it, with status 2: there is a wrong word
    name = re.sub(r"\W+", "-", url)
    registration = TokenFile(os.path.join(folder, f"mcp-{name}"))  # as whom we are known
    try:
        with client_for(url, registration, redirect_uri) as client:
            client.login(open_browser)
            at = client, url, dict(HEADERS)
            ask(*at, "initialize", id=1, params=HELLO)
            ask(*at, "notifications/initialized")
            print(json.dumps(ask(*at, method, id=2, params=json.loads(params)), indent=1))
    except TokenError as error:
        if error.error == "invalid_client":
            registration.save(None)  # it has forgotten us: the next run registers anew
        raise

def with_fake(server, method="tools/call",
              params='{"name": "greet", "arguments": {"name": "Ada"}}'):
    with tempfile.TemporaryDirectory() as folder:
        use(server.url + "/mcp", method, params, folder, server.browser)

if __name__ == "__main__":
    run(__doc__, use, with_fake, words=3)
