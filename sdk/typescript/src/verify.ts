import { createHmac, createPublicKey, timingSafeEqual, verify as verifyAsymmetric } from "node:crypto";
import type { Jwks } from "./source-types.js";
import type { Signature } from "./types.js";
import { faultOf } from "./token.js";

/** How a sender writes and signs. */
export type Profile =
  | "standard"
  | "cloudevents"
  | "cloudevents-structured"
  | "vivreal"
  | "vivreal-content"
  | "fluxbase"
  | "fluxbase-t"
  | "vski";

/** A body as it came. */
export type Body = string | Uint8Array;

/** A webhook's secret, or several while it is being rotated; public keys (`whpk_…`); for profile `vski` a JSON Web Key Set. */
export type Secrets = string | readonly string[] | Jwks;

/** How a delivery is checked. */
export interface VerifyOptions {
  /** How the sender signs: the webhook's profile; `standard` when absent. */
  profile?: Profile;
  /** The webhook's own `signature`, where it has one instead of the profile's. */
  signature?: Signature | undefined;
  /** How old, or how far ahead, a signed time may be; 300 when absent. */
  toleranceSeconds?: number;
  /** For `vski`: who must have made the token. */
  issuer?: string | undefined;
  /** For `vski`: of which webhook the token must be. Say it: the token of another one is as genuine. */
  webhookId?: string | undefined;
  /** Seconds since 1970; now when absent. */
  now?: number;
}

/** A request's headers: an object with names in lower case, or something with `get`. */
export type Headers = Record<string, string | string[] | undefined> | { get(name: string): string | null };

/** What arrived is not what the sender signed, or too old. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
}

/** Every profile. */
export const PROFILES: readonly Profile[] = [
  "standard",
  "cloudevents",
  "cloudevents-structured",
  "vivreal",
  "vivreal-content",
  "fluxbase",
  "fluxbase-t",
  "vski",
];

const FORMATS: readonly string[] = ["hex", "sha256=hex", "base64", "t=,v1="];
const HEX_64 = /^[0-9a-f]{64}$/;
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");

/**
 * Check a delivery and return its parsed body.
 *
 * @param body The body's bytes as they came: a parsed and re-serialised one need not be the same.
 * @param secrets The webhook's secret, or several while it is being rotated; a public key (`whpk_…`) for `v1a` signatures. For
 * profile `vski`, which signs no body, the keys of its token: `client.signingKeys.getJwks()`, or public keys of purpose `tokens`.
 * @throws VerificationError It was not signed by one of the secrets, or its time is out of bounds.
 */
export function verify<T = unknown>(body: Body, headers: Headers, secrets: Secrets, options: VerifyOptions = {}): T {
  const { profile = "standard", signature, toleranceSeconds = 300, now = Date.now() / 1000 } = options;
  if (!PROFILES.includes(profile)) throw new TypeError(`profile is ${String(profile)}; write one of ${PROFILES.join(", ")}.`);
  if (profile === "vski" && signature === undefined) {
    const { issuer, webhookId } = options;
    const fault = faultOf(header(headers, "authorization"), secrets, { issuer, webhookId, toleranceSeconds, now });
    if (fault !== undefined) throw new VerificationError(fault);
    return parsed(body) as T;
  }
  const keys = typeof secrets === "string" ? [secrets] : (secrets as readonly string[]);
  if (signature !== undefined) verifyOwn(body, headers, keys, signature, toleranceSeconds, now);
  else if (profile.startsWith("standard") || profile.startsWith("cloudevents")) verifyStandard(body, headers, keys, toleranceSeconds, now);
  else {
    const name = profile.startsWith("vivreal") ? "x-vivreal-signature" : "x-fluxbase-signature";
    verifyOwn(body, headers, keys, { header: name, format: profile === "fluxbase-t" ? "t=,v1=" : "hex" }, toleranceSeconds, now);
  }
  return parsed(body) as T;
}

function parsed(body: Body): unknown {
  const said = text(body);
  try {
    return said === "" ? null : JSON.parse(said);
  } catch (error) {
    throw new VerificationError(`The body is not JSON: ${(error as Error).message}.`);
  }
}

/**
 * Tell whether a signature is that of a payload: bare hex, `sha256=<hex>` or `t=…,v1=…` (at most five minutes old).
 *
 * @param payload The raw body, or the parsed object: Tidings sends bodies that re-serialise to the same bytes.
 */
export function verifyWebhookSignature(payload: unknown, signature: string | string[] | undefined | null, secret: string): boolean {
  if (typeof signature !== "string" || !secret) return false;
  const body = typeof payload === "string" || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  return body !== undefined && isSigned(body, signature, secret, 300, Date.now() / 1000, false);
}

function isSigned(body: Body, signature: string, secret: string, tolerance: number, now: number, needsTime: boolean): boolean {
  if (signature.includes("t=")) {
    const parts = signature.split(",").map((part) => part.trim());
    const time = parts.filter((part) => part.startsWith("t=")).pop()?.slice(2) ?? "";
    if (!/^\d+$/.test(time) || Math.abs(now - Number(time)) > tolerance) return false;
    const expected = hmac(secret, [`${time}.`, body]).toString("hex");
    return parts.some((part) => part.startsWith("v1=") && equal(part.slice(3), expected));
  }
  const hex = signature.replace(/^sha256=/, "");
  return !needsTime && HEX_64.test(hex) && equal(hex, hmac(secret, [body]).toString("hex"));
}

/** A signature in one header, whose key is the secret's text. */
function verifyOwn(body: Body, headers: Headers, keys: readonly string[], signature: Signature, tolerance: number, now: number): void {
  const { header: name, format = "hex" } = signature;
  if (!FORMATS.includes(format)) throw new TypeError(`signature.format is ${format}; write one of ${FORMATS.join(", ")}.`);
  const value = header(headers, name.toLowerCase());
  const isBy = (key: string): boolean =>
    format === "base64"
      ? equal(value, hmac(key, [body]).toString("base64"))
      : isSigned(body, value, key, tolerance, now, format === "t=,v1=");
  if (!keys.some(isBy)) throw new VerificationError(`${name.toLowerCase()} is not a signature of this body by this secret.`);
}

function verifyStandard(body: Body, headers: Headers, keys: readonly string[], tolerance: number, now: number): void {
  const id = header(headers, "webhook-id");
  const time = header(headers, "webhook-timestamp");
  if (!/^\d+$/.test(time) || Math.abs(now - Number(time)) > tolerance) {
    throw new VerificationError("webhook-timestamp is missing, or too far from now.");
  }
  const signatures = header(headers, "webhook-signature").split(" ");
  const prefix = `${id}.${time}.`;
  for (const key of keys) {
    if (key.startsWith("whpk_")) {
      const publicKey = createPublicKey({ key: Buffer.concat([ED25519_SPKI, fromBase64(key, "whpk_")]), format: "der", type: "spki" });
      const signed = Buffer.concat([Buffer.from(prefix), Buffer.from(body as string)]);
      const candidates = signatures.filter((one) => one.startsWith("v1a,"));
      if (candidates.some((one) => verifyAsymmetric(null, signed, publicKey, Buffer.from(one.slice(4), "base64")))) return;
    } else {
      const expected = "v1," + hmac(fromBase64(key, "whsec_"), [prefix, body]).toString("base64");
      if (signatures.some((one) => equal(one, expected))) return;
    }
  }
  throw new VerificationError("webhook-signature has no signature of this body by this secret.");
}

function hmac(key: string | Uint8Array, parts: Body[]): Buffer {
  const digest = createHmac("sha256", key);
  for (const part of parts) digest.update(part);
  return digest.digest();
}

function equal(one: string, other: string): boolean {
  const left = Buffer.from(one);
  const right = Buffer.from(other);
  return left.length === right.length && timingSafeEqual(left, right);
}

function fromBase64(key: string, prefix: string): Buffer {
  return Buffer.from(key.startsWith(prefix) ? key.slice(prefix.length) : key, "base64");
}

function header(headers: Headers, name: string): string {
  const value = typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, string | string[] | undefined>)[name];
  if (typeof value !== "string" || value === "") throw new VerificationError(`The header ${name} is missing.`);
  return value;
}

function text(body: Body): string {
  return typeof body === "string" ? body : Buffer.from(body).toString("utf8");
}
