// A strict OAuth 2.0 authorization server on the loopback, and a tiny API beside it.
//
//     node server.mjs [KEY.pem CERT.pem]
//
// With a key and a certificate: HTTPS, issuer https://localhost:PORT; else HTTP on 127.0.0.1.
// Prints {"issuer": ..., "port": ...} on one line when it is ready; ends when stdin does. Keeps
// everything in memory. Any login name and any password will do.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
console.info = console.warn = () => {}; // what a server in production would have to change
const { Provider } = await import("oidc-provider");

const [key, cert] = process.argv.slice(2);
const device = "urn:ietf:params:oauth:grant-type:device_code";

// The secret is all of VSCHAR (RFC 6749 appendix A.2), the space, `:`, `%`, `+` and quotes too.
// The server takes nothing beyond: a letter such as e with an acute accent is refused when the
// client is registered ("invalid client_secret value") and, sent by a client, as invalid_request.
const secret = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));

const native = { // any port on the loopback is fine (RFC 8252 section 7.3)
  application_type: "native",
  redirect_uris: ["http://127.0.0.1/callback", "http://[::1]/callback"],
  grant_types: ["authorization_code", "refresh_token"],
};
const machine = { redirect_uris: [], response_types: [], grant_types: ["client_credentials"] };

const clients = [
  { client_id: "basic: 50%+/=&", ...machine,
    client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
  { client_id: "post", ...machine,
    client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
  { client_id: "confidential", ...native,
    client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
  { client_id: "public", ...native, token_endpoint_auth_method: "none" },
  { client_id: "device", application_type: "native", redirect_uris: [], response_types: [],
    grant_types: [device, "refresh_token"], token_endpoint_auth_method: "none" },
];

const off = { enabled: false };
const configuration = {
  clients,
  scopes: ["openid", "offline_access", "read", "write"],
  cookies: { keys: [randomBytes(32).toString("hex")] },
  jwks: { keys: [generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
    .export({ format: "jwk" })] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  responseTypes: ["code"],
  pkce: { required: () => true }, // and oidc-provider knows no method but S256
  allowOmittingSingleRegisteredRedirectUri: false,
  // A refresh token for whoever may use one, without offline_access; good for one use. Using it
  // again takes away all that came of the same consent.
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed("refresh_token"),
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  ttl: {
    AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, DeviceCode: 60,
    Grant: 3600, IdToken: 600, Interaction: 600, RefreshToken: 3600, Session: 3600,
  },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true }, // its login and consent pages
    introspection: { enabled: true },
    revocation: { enabled: true, allowedPolicy: (ctx, client, token) => (
      token.clientId === client.clientId) },
    dPoP: off, pushedAuthorizationRequests: off, rpInitiatedLogout: off,
    // A token asked for with resource=ISSUER/api is for the API alone (RFC 8707).
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "read write", accessTokenFormat: "opaque" }),
    },
  },
};

// GET /api: who is asking, for a token of a user or of a program; 401 without a good one.
// DELETE /api: ends the life of the token it is asked with. (The revocation endpoint takes the
// refresh token along: oidc-provider revokes all that came of the same consent.)
const api = (provider) => async (ctx, next) => {
  if (ctx.path !== "/api") {
    await next();
    if (ctx.type === "text/html") { // the pages must not need the Internet
      ctx.body = ctx.body.replace(/@import url\([^)]*\);/g, "");
    }
    return;
  }
  const [, value] = /^Bearer (\S+)$/.exec(ctx.get("authorization")) ?? [];
  const { AccessToken, ClientCredentials } = provider;
  const token = await AccessToken.find(value) ?? await ClientCredentials.find(value);
  if (token && ctx.method === "DELETE") {
    await token.destroy();
    ctx.status = 204;
  } else if (token) {
    ctx.body = { client_id: token.clientId, sub: token.accountId ?? null,
      scope: token.scope ?? null, aud: token.aud ?? null };
  } else {
    ctx.status = 401;
    ctx.set("WWW-Authenticate", value
      ? 'Bearer error="invalid_token", error_description="unknown, expired or revoked"'
      : "Bearer");
    ctx.body = { error: value ? "invalid_token" : "no token" };
  }
};

const server = key
  ? https.createServer({ key: readFileSync(key), cert: readFileSync(cert) })
  : http.createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const issuer = key ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, configuration);
  provider.on("server_error", (ctx, error) => console.error(error));
  provider.use(api(provider));
  server.on("request", provider.callback());
  console.log(JSON.stringify({ issuer, port }));
});
process.stdin.on("close", () => process.exit()).resume();
