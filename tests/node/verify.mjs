// Verifies deliveries, and signs notices, with the published libraries: one JSON document a line on standard input, one result a line.
import { createInterface } from "node:readline";
import { HTTP } from "cloudevents";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { sign as signAsGitHub } from "@octokit/webhooks-methods";
import { Webhook as Standard } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";
import { verify, verifyWebhookSignature } from "@tidings/sdk";

const checks = {
  standardwebhooks: ({ body, headers, secret }) => new Standard(secret).verify(body, headers),
  svix: ({ body, headers, secret }) => new Svix(secret).verify(body, headers),
  cloudevents: ({ body, headers }) => HTTP.toEvent({ headers, body }),
  jose: async ({ token, jwks, issuer }) => (await jwtVerify(token, createRemoteJWKSet(new URL(jwks)), { issuer })).payload,
  sdk: ({ body, headers, secret, options }) => verify(body, headers, secret, options),
  signature: ({ payload, signature, secret }) => verifyWebhookSignature(payload, signature, secret),
  // Notices as other systems send them, signed by their own libraries.
  signStripe: ({ payload, secret, timestamp }) => Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }),
  signGitHub: ({ payload, secret }) => signAsGitHub(secret, payload),
  signStandard: ({ payload, secret, id, timestamp }) => new Standard(secret).sign(id, new Date(timestamp * 1000), payload),
  // The bytes' promise: what JavaScript makes of a body again is the body.
  stable: ({ bodies }) => bodies.filter((body) => JSON.stringify(JSON.parse(body)) !== body),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { check, ...input } = JSON.parse(line);
  let result;
  try {
    result = { ok: (await checks[check](input)) ?? null };
  } catch (error) {
    result = { error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(result));
}
