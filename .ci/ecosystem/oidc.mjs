// oidc-provider for programs that have a key, and for the exchange of tokens.
//
//     node oidc.mjs PUBLIC.pem
//
// Prints its issuer on one line when it is ready; ends when stdin does. GET /me tells whose
// token it is, and which scope it has.

import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
console.info = console.warn = () => {};
const { Provider, errors } = await import("oidc-provider");

const key = createPublicKey(readFileSync(process.argv[2])).export({ format: "jwk" });
const exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
const accessToken = "urn:ietf:params:oauth:token-type:access_token";
const common = {
  redirect_uris: [], response_types: [], grant_types: ["client_credentials", exchange],
};

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      ...common, client_id: "robot", jwks: { keys: [{ ...key, use: "sig", alg: "RS256" }] },
      token_endpoint_auth_method: "private_key_jwt", token_endpoint_auth_signing_alg: "RS256",
    }, {
      ...common, client_id: "second", client_secret: "a secret",
      token_endpoint_auth_method: "client_secret_basic",
    }],
    scopes: ["read", "write"],
    responseTypes: ["code"],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    ttl: { ClientCredentials: 600 },
    clientAuthMethods: ["private_key_jwt", "client_secret_basic"],
  });
  provider.on("server_error", (ctx, error) => console.error(error));
  const { ClientCredentials } = provider;

  provider.registerGrantType(exchange, async (ctx) => {  // RFC 8693 section 2
    const { client, params } = ctx.oidc;
    const subject = await ClientCredentials.find(params.subject_token);
    if (!subject || params.subject_token_type !== accessToken) {
      throw new errors.InvalidGrant("no such subject token");
    }
    const token = new ClientCredentials({ client, scope: subject.scope });
    ctx.body = { access_token: await token.save(), issued_token_type: accessToken,
      token_type: "Bearer", expires_in: token.expiration, scope: subject.scope };
  }, ["subject_token", "subject_token_type"]);

  provider.use(async (ctx, next) => {
    if (ctx.path !== "/me") return next();
    const token = await ClientCredentials.find(ctx.get("authorization").slice(7));
    if (token && ctx.method === "DELETE") {
      await token.destroy();
      ctx.status = 204;
    } else if (token) {
      ctx.body = { client: token.clientId, scope: token.scope };
    } else {
      ctx.status = 401;
    }
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("close", () => process.exit()).resume();
