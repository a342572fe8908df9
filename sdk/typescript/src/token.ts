import { createPublicKey, type KeyObject, verify } from "node:crypto";
import type { Jwks } from "./source-types.js";

const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");
const ROLE = "webhook"; // tokens of people, signed by the same key, do not have it

interface Demands {
  issuer: string | undefined;
  webhookId: string | undefined;
  toleranceSeconds: number;
  now: number;
}

/** A key as the API writes it, `whpk_…`. */
export function publicKeyOf(text: string): KeyObject {
  const key = Buffer.from(text.replace(/^whpk_/, ""), "base64");
  return createPublicKey({ key: Buffer.concat([ED25519_SPKI, key]), format: "der", type: "spki" });
}

/** Say what is wrong with a token: what profile `vski` sends, which signs no body. */
export function faultOf(authorization: string, keys: string | readonly string[] | Jwks, asked: Demands): string | undefined {
  const [scheme = "", token = ""] = authorization.split(" ", 2);
  const parts = token.split(".");
  if (scheme.toLowerCase() !== "bearer" || parts.length !== 3) return "Authorization is no bearer token.";
  const [head, claims] = parts.slice(0, 2).map(objectOf);
  if (head === undefined || claims === undefined) return "Authorization is no token that can be read.";
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  const signature = Buffer.from(parts[2] ?? "", "base64url");
  if (head["alg"] !== "EdDSA" || !candidates(keys, head["kid"]).some((key) => verify(null, signed, key, signature)))
    return "The token is not signed by one of the keys; they are at /.well-known/jwks.json, and rotated.";
  const { iat, exp, roles, iss, sub } = claims;
  const { issuer, webhookId, toleranceSeconds, now } = asked;
  if (typeof iat !== "number" || typeof exp !== "number" || now < iat - toleranceSeconds || now > exp + toleranceSeconds)
    return "The token's time is over, or has not come.";
  if (!Array.isArray(roles) || !roles.includes(ROLE)) return "The token is not one of a webhook.";
  if (issuer !== undefined && iss !== issuer) return `The token is not of ${issuer}.`;
  if (webhookId !== undefined && sub !== webhookId) return `The token is not of webhook ${webhookId}.`;
  return undefined;
}

function candidates(keys: string | readonly string[] | Jwks, id: unknown): KeyObject[] {
  if (typeof keys === "string") return [publicKeyOf(keys)];
  if (Array.isArray(keys)) return (keys as readonly string[]).map(publicKeyOf);
  return (keys as Jwks).keys
    .filter((key) => key.crv === "Ed25519" && key.kid === id)
    .map((key) => createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: String(key.x) }, format: "jwk" }));
}

function objectOf(part: string): Record<string, unknown> | undefined {
  try {
    const said: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
