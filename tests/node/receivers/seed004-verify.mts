// Seed 004, "Verifying Webhook Signatures", as printed; only the imports and the port are the test's.
import { FluxbaseClient } from "@tidings/sdk";
import { createRequire } from "node:module";
const express = createRequire(import.meta.url)(process.env.EXPRESS!);
process.env.FLUXBASE_WEBHOOK_SECRET = process.env.WEBHOOK_SECRET;

const app = express();
app.use(express.json());

const WEBHOOK_SECRET = process.env.FLUXBASE_WEBHOOK_SECRET!;

app.post("/webhooks/fluxbase", (req, res) => {
  const signature = req.headers["x-fluxbase-signature"] as string;
  const payload = req.body;

  // Verify signature using SDK utility
  const isValid = FluxbaseClient.verifyWebhookSignature(
    payload,
    signature,
    WEBHOOK_SECRET
  );

  if (!isValid) {
    return res.status(401).send("Invalid signature");
  }

  // Process the webhook event
  const { event, table, record } = payload;
  console.log(`Received ${event} event for ${table}`);

  // Handle event...

  res.status(200).send("OK");
});

app.listen(process.env.PORT, () => console.log("listening"));
