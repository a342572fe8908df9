// Verification, against the vectors that the Python tests share.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { verify, verifyWebhookSignature, WebhookVerificationError } from "../dist/esm/index.js";

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
    assert.throws(at(vector.timestamp + 301), WebhookVerificationError);
    assert.throws(at(vector.timestamp - 301), WebhookVerificationError);
    assert.throws(
      () => verify(vector.body, { "x-fluxbase-signature": vector.hex }, vector.key, { profile: "fluxbase-t" }),
      WebhookVerificationError,
    );
  });
}

test("a missing header is told by its name", () => {
  assert.throws(() => verify("{}", {}, "whsec_AAAA"), /webhook-id is missing/);
  assert.throws(() => verify("{}", new Headers(), "secret", { profile: "vivreal" }), /x-vivreal-signature is missing/);
});
