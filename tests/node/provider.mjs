// A sign-in provider: node-oidc-provider, which is certified, with its own pages. Whoever signs in is who they write they are.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const { PORT, REDIRECT, CLIENT, SECRET } = process.env;
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [{ client_id: CLIENT, client_secret: SECRET, redirect_uris: [REDIRECT] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  cookies: { keys: ["only for a test"] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }),
  }),
});
createServer(provider.callback()).listen(Number(PORT), "127.0.0.1", () => console.log("ready"));
