// Receivers under Express as people write them, a fault at each path; those that are sound verify by published libraries.
import crypto from "node:crypto";
import { createRequire } from "node:module";
import { Webhook } from "standardwebhooks";
import { verify } from "@tidings/sdk";

const express = createRequire(import.meta.url)(process.env.EXPRESS);
const app = express();
const secret = process.env.WEBHOOK_SECRET;
const other = "whsec_" + crypto.randomBytes(32).toString("base64");

const raw = express.raw({ type: "application/json", limit: "5mb" });
const parsed = express.json({ limit: "5mb" });

// Each takes what a check does not throw at.
function receiving(check) {
  return (req, res) => {
    try {
      check(req);
    } catch (error) {
      return res.status(401).json({ error: error.message });
    }
    res.sendStatus(204);
  };
}
const standard = (text) => (req) => new Webhook(text).verify(req.body, req.headers);

app.post("/sound", raw, receiving(standard(secret)));
app.post("/sound-sdk", raw, receiving((req) => verify(req.body, req.headers, secret)));
app.post("/limit", express.raw({ type: "application/json" }), receiving(standard(secret)));
app.post("/wrong-secret", raw, receiving(standard(other)));
app.post("/wrong-secret-sdk", raw, receiving((req) => verify(req.body, req.headers, other)));
app.post("/uncaught", raw, (req, res) => {
  new Webhook(other).verify(req.body, req.headers);
  res.sendStatus(204);
});
app.post("/stringified", parsed, receiving((req) => new Webhook(secret).verify(JSON.stringify(req.body), req.headers)));
app.post("/indented", parsed, receiving((req) => new Webhook(secret).verify(JSON.stringify(req.body, null, 2), req.headers)));
app.post("/trusting", raw, (req, res) => res.json({ received: true }));
app.post("/handler", raw, (req, res) => {
  try {
    standard(secret)(req);
  } catch {
    return res.sendStatus(401);
  }
  throw new Error("unknown type");
});

// Written by hand: its key, and how it reads the time.
function byHand(key, isNear) {
  return receiving((req) => {
    const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": given } = req.headers;
    if (!isNear(time)) throw new Error("stale");
    const expected = "v1," + crypto.createHmac("sha256", key).update(`${id}.${time}.`).update(req.body).digest("base64");
    if (!given.split(" ").includes(expected)) throw new Error("no");
  });
}
const bytes = Buffer.from(secret.replace("whsec_", ""), "base64");
app.post("/text-key", raw, byHand(secret, (time) => Math.abs(Date.now() / 1000 - time) < 300));
app.post("/milliseconds", raw, byHand(bytes, (time) => Math.abs(Date.now() - time) < 300_000));
app.post("/timeless", raw, byHand(bytes, () => true));

app.listen(process.env.PORT, () => console.log("listening"));
