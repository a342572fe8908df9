// Verification, against the vectors that the Python tests share.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { verify, verifyWebhookSignature, VerificationError } from "../dist/esm/index.js";

const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/signatures.json", import.meta.url), "utf8"));

for (const [number, vector] of vectors.entries()) {
  test(`vector ${number} verifies as raw body, bytes and parsed object`, () => {
    for (const payload of [vector.body, Buffer.from(vector.body), JSON.parse(vector.body)]) {
      assert.equal(verifyWebhookSignature(payload, vector.hex, vector.key), true);
      assert.equal(verifyWebhookSignature(payload, `sha256=${vector.hex}`, vector.key), true);
    }
    assert.equal(verifyWebhookSignature(vector.body, vector.hex.toUpperCase(), vector.key), false);
    assert.equal(verifyWebhookSignature(vector.body, vector.hex, "another"), false);
    assert.equal(verifyWebhookSignature(vector.body, undefined, vector.key), false);
    assert.equal(verifyWebhookSignature(vector.body + " ", vector.hex, vector.key), false);
  });

  test(`vector ${number} verifies with its time, within the tolerance`, () => {
    const headers = { "x-fluxbase-signature": `t=${vector.timestamp}, v2=x,, v1=no, v1=${vector.timestamped_hex}` };
    const at = (now) => () => verify(vector.body, headers, vector.key, { profile: "fluxbase-t", now });
    assert.deepEqual(at(vector.timestamp + 299)(), JSON.parse(vector.body));
    assert.throws(at(vector.timestamp + 301), VerificationError);
    assert.throws(at(vector.timestamp - 301), VerificationError);
    assert.throws(
      () => verify(vector.body, { "x-fluxbase-signature": vector.hex }, vector.key, { profile: "fluxbase-t" }),
      VerificationError,
    );
  });
}

test("a missing header is told by its name", () => {
  assert.throws(() => verify("{}", {}, "whsec_AAAA"), /webhook-id is missing/);
  assert.throws(() => verify("{}", new Headers(), "secret", { profile: "vivreal" }), /x-vivreal-signature is missing/);
});

const part = (said) => Buffer.from(typeof said === "string" ? said : JSON.stringify(said)).toString("base64url");
const pair = generateKeyPairSync("ed25519");
const jwk = { ...pair.publicKey.export({ format: "jwk" }), kid: "k1", alg: "EdDSA" };
const whpk = "whpk_" + Buffer.from(jwk.x, "base64url").toString("base64");
const CLAIMS = { iss: "tidings", sub: "w1", group: "default", roles: ["service", "webhook"], iat: 1000, exp: 1300 };

function bearer(claims = {}, head = {}) {
  const signed = `${part({ alg: "EdDSA", typ: "JWT", kid: "k1", ...head })}.${part({ ...CLAIMS, ...claims })}`;
  return { authorization: `Bearer ${signed}.${sign(null, Buffer.from(signed), pair.privateKey).toString("base64url")}` };
}

test("a vski delivery is known by its token", () => {
  const options = { profile: "vski", now: 1100, issuer: "tidings", webhookId: "w1" };
  for (const keys of [{ keys: [jwk] }, whpk, [whpk]]) assert.deepEqual(verify('{"action":"create"}', bearer(), keys, options), { action: "create" });
  assert.equal(verify("", bearer(), whpk, options), null);
  for (const [headers, keys, more, fault] of [
    [{}, whpk, {}, /authorization is missing/],
    [{ authorization: "Basic x" }, whpk, {}, /no bearer token/],
    [{ authorization: "Bearer a.b.c" }, whpk, {}, /no token that can be read/],
    [bearer({}, { alg: "none" }), whpk, {}, /not signed/],
    [bearer({}, { kid: "k2" }), { keys: [jwk] }, {}, /not signed/],
    [{ authorization: bearer().authorization.slice(0, -4) + "AAAA" }, whpk, {}, /not signed/],
    [bearer(), whpk, { now: 1601 }, /time is over/],
    [bearer(), whpk, { now: 699 }, /time is over/],
    [bearer({ roles: [] }), whpk, {}, /not one of a webhook/],
    [bearer({ iss: "other" }), whpk, {}, /not of tidings/],
    [bearer({ sub: "w2" }), whpk, {}, /not of webhook w1/],
  ])
    assert.throws(() => verify("{}", headers, keys, { ...options, ...more }), fault);
});

test("what is no profile and what is no JSON are said", () => {
  assert.throws(() => verify("{}", {}, "k", { profile: "vsky" }), /write one of standard/);
  assert.throws(() => verify("{", bearer(), whpk, { profile: "vski", now: 1100 }), /not JSON/);
});

test("a signature of the webhook's own verifies", () => {
  const { body, key, hex, timestamp, timestamped_hex } = vectors[0];
  const base64 = createHmac("sha256", key).update(body).digest("base64");
  const values = { hex, "sha256=hex": `sha256=${hex}`, base64, "t=,v1=": `t=${timestamp},v1=${timestamped_hex}` };
  for (const [format, value] of Object.entries(values))
    for (const profile of ["standard", "vski"]) {
      const options = { profile, signature: { header: "X-Own", format }, now: timestamp };
      assert.deepEqual(verify(body, { "x-own": value }, ["another", key], options), JSON.parse(body));
      assert.throws(() => verify(body + " ", { "x-own": value }, key, options), /x-own is not a signature/);
      assert.throws(() => verify(body, { "x-own": value }, "another", options), /x-own is not a signature/);
      assert.throws(() => verify(body, {}, key, options), /x-own is missing/);
    }
  assert.throws(() => verify("{}", {}, "k", { signature: { header: "X-Own", format: "md5" } }), /write one of hex/);
});
