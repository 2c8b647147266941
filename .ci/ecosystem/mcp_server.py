"""An MCP server with its own authorization server, by the SDK for Python.

    python mcp_server.py PORT

Its user says yes at once. A POST to /forget makes it forget all clients and tokens, one to
/expire the access tokens alone.
"""

import logging
import secrets
import sys
import time
import urllib.parse

from mcp.server.auth.provider import AccessToken, AuthorizationCode, RefreshToken
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from starlette.responses import Response

PORT = int(sys.argv[1])
URL = "http://127.0.0.1:%d" % PORT


class Provider:
    """Keeps all in memory. Refresh tokens are good for one use."""

    def __init__(self):
        self.clients, self.codes, self.access, self.refresh = {}, {}, {}, {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        code = secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject="ada",
        )
        answer = urllib.parse.urlencode({"code": code, "state": params.state, "iss": ISSUER})
        return "%s?%s" % (params.redirect_uri, answer)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        return self.issue(self.codes.pop(authorization_code.code))

    async def load_refresh_token(self, client, refresh_token):
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        return self.issue(self.refresh.pop(refresh_token.token))

    def issue(self, grant):
        about = {
            "client_id": grant.client_id,
            "scopes": grant.scopes,
            "resource": grant.resource,
            "subject": grant.subject,
        }
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        expires_at = int(time.time()) + 600
        self.access[access] = AccessToken(token=access, expires_at=expires_at, **about)
        self.refresh[refresh] = RefreshToken(token=refresh, **about)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=600)

    async def load_access_token(self, token):
        return self.access.get(token)

    async def revoke_token(self, token):
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    async def forget(self, request):
        self.clients.clear()
        self.refresh.clear()
        return await self.expire(request)

    async def expire(self, request):
        self.access.clear()
        return Response()


settings = AuthSettings(
    issuer_url=URL,
    resource_server_url=URL + "/mcp",
    client_registration_options=ClientRegistrationOptions(enabled=True),
    validate_token_resource=True,
)
ISSUER = str(settings.issuer_url)
provider = Provider()
server = MCPServer("reference", auth=settings, auth_server_provider=provider)


@server.tool()
def greet(name: str) -> str:
    """Greets somebody."""
    return "Hello, %s!" % name


logging.disable()
server.custom_route("/forget", ["POST"])(provider.forget)
server.custom_route("/expire", ["POST"])(provider.expire)
server.run("streamable-http", port=PORT)
