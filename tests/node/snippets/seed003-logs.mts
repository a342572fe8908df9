// Seed 003, "Check logs", as printed; only the import and the address are the test's.
import { VskiClient } from "@tidings/sdk";

const client = new VskiClient({ url: process.env.TIDINGS_URL!, apiKey: process.env.TIDINGS_KEY });

// Check logs
const logs = await client.webhookLogs.list({
  collection: "notifications",
  page: 1,
  perPage: 10,
});

console.log(logs);
