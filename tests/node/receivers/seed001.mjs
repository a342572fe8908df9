// Seed 001, "Signature Verification", as printed; the import of Express, the app and its port are the test's.
import { createRequire } from "node:module";
const express = createRequire(import.meta.url)(process.env.EXPRESS);
const app = express();

import crypto from 'crypto';
function verifyWebhookSignature(body, signature, secret) {
const expected = crypto
.createHmac('sha256', secret)
.update(body, 'utf8')
.digest('hex');
return crypto.timingSafeEqual(
Buffer.from(signature),
Buffer.from(expected)
);
}
// In your handler:
app.post('/webhooks/vivreal', express.raw({ type: 'application/json' }), (req, res) => {
const signature = req.headers['x-vivreal-signature'];
const isValid = verifyWebhookSignature(req.body, signature, process.env.WEBHOOK_SECRET);
if (!isValid) {
return res.status(401).json({ error: 'Invalid signature' });
}
const event = JSON.parse(req.body);
// Process event...
res.status(200).json({ received: true });
});

app.listen(process.env.PORT, () => console.log("listening"));
