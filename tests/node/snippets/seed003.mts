// Seed 003, every call of its page as printed; only the import and the addresses are the test's.
import { VskiClient } from "@tidings/sdk";

const client = new VskiClient({ url: process.env.TIDINGS_URL!, apiKey: process.env.TIDINGS_KEY });

// Create collection with test webhook URL
await client.settings.collections.create({
  name: "test_collection",
  type: "base",
  schema: [
    { name: "data", type: "text", required: true },
  ],
  options: JSON.stringify({
    triggers: [
      {
        action: "create",
        url: process.env.RECEIVER_URL!,
        method: "POST",
      },
    ],
  }),
});

// Create test record to trigger webhook
await client.collection("test_collection").create({
  data: "Test data",
});

// Check webhook.site to see the payload

// Create test record
const testRecord = await client.collection("notifications").create({
  title: "Test Notification",
  message: "This is a test",
  status: "active",
});

// Check logs
const logs = await client.webhookLogs.list({
  collection: "notifications",
  page: 1,
  perPage: 10,
});

console.log(logs);
