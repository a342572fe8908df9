// Seed 000, "Create a webhook receiver", as printed; only the import of Express and the port are the test's.
const express = require(process.env.EXPRESS);
const crypto = require("crypto");
const app = express();
app.use(express.json());
const WEBHOOK_SECRET = process.env.WEBHOOK_SECRET; // from Vivreal
function verifySignature(payload, signature) {
const expected = crypto
.createHmac("sha256", WEBHOOK_SECRET)
.update(JSON.stringify(payload))
.digest("hex");
return crypto.timingSafeEqual(
Buffer.from(signature),
Buffer.from(expected)
);
}
app.post("/webhooks/vivreal", (req, res) => {
const signature = req.headers["x-vivreal-signature"];
if (!signature || !verifySignature(req.body, signature)) {
return res.status(401).json({ error: "Invalid signature" });
}
const { event, data } = req.body;
console.log(`Received event: ${event}`, data);
switch (event) {
case "collection.object.created":
// Handle new object
break;
case "collection.object.updated":
// Handle update
break;
case "collection.object.deleted":
// Handle deletion
break;
default:
console.log("Unknown event type:", event);
}
res.status(200).json({ received: true });
});
app.listen(process.env.PORT, () => console.log("Webhook receiver on :3001"));
