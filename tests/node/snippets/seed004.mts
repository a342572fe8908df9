// Seed 004, every call of its guide as printed; only the import, the addresses and what joins the pieces are the test's.
import { FluxbaseClient } from "@tidings/sdk";

// Initialize client (requires authentication)
const client = new FluxbaseClient({
  url: process.env.TIDINGS_URL!,
  apiKey: process.env.FLUXBASE_CLIENT_KEY, // Or use service key for backend
});
const hook = process.env.RECEIVER_URL!;

{
  // Quick Start
  const webhook = await client.webhooks.create({
    name: "User Events",
    description: "Notify external system of user changes",
    url: hook,
    secret: "your-webhook-secret",
    enabled: true,
    events: [
      {
        table: "users",
        operations: ["INSERT", "UPDATE"],
      },
    ],
    max_retries: 3,
    timeout_seconds: 30,
  });

  console.log("Webhook created:", webhook.id);

  // List all webhooks
  const webhooks = await client.webhooks.list();

  // Get webhook details
  const details = await client.webhooks.get(webhook.id);

  // Update webhook
  await client.webhooks.update(webhook.id, {
    enabled: false,
    events: [
      {
        table: "users",
        operations: ["INSERT", "UPDATE", "DELETE"],
      },
    ],
  });

  // Delete webhook
  await client.webhooks.delete(webhook.id);
}

// Create a Webhook
const webhook = await client.webhooks.create({
  name: "Order Notifications",
  description: "Send notifications when orders are created or updated",
  url: hook,
  secret: "secure-random-secret-string",
  enabled: true,
  events: [
    {
      table: "orders",
      operations: ["INSERT", "UPDATE"],
    },
    {
      table: "order_items",
      operations: ["INSERT"],
    },
  ],
  max_retries: 3,
  timeout_seconds: 30,
  retry_backoff_seconds: 5,
});

console.log("Webhook ID:", webhook.id);
console.log("Webhook URL:", webhook.url);

const webhookId = webhook.id;

{
  // List Webhooks
  const webhooks = await client.webhooks.list();

  webhooks.forEach((webhook) => {
    console.log(`${webhook.name}: ${webhook.enabled ? "Enabled" : "Disabled"}`);
    console.log(`  URL: ${webhook.url}`);
    console.log(`  Events: ${webhook.events.length} configured`);
  });
}

{
  // Get Webhook Details
  const webhook = await client.webhooks.get(webhookId);

  console.log("Name:", webhook.name);
  console.log("Enabled:", webhook.enabled);
  console.log("Events:", webhook.events);
  console.log("Max Retries:", webhook.max_retries);
  console.log("Created:", webhook.created_at);
}

// Testing Webhooks: test via SDK
await client.webhooks.test(webhookId, {
  event: "INSERT",
  table: "test_table",
  record: { id: "test-id", name: "Test Record" }
});

{
  // View Delivery History
  const deliveries = await client.webhooks.getDeliveries(webhookId, {
    limit: 50,
    offset: 0,
  });

  deliveries.forEach((delivery) => {
    console.log(`${delivery.created_at}: ${delivery.status}`);
    console.log(`  Response: ${delivery.response_status}`);
    console.log(`  Attempts: ${delivery.attempts}`);
    if (delivery.error) {
      console.log(`  Error: ${delivery.error}`);
    }
  });
}

{
  // Monitor deliveries:
  const deliveries = await client.webhooks.getDeliveries(webhookId, { limit: 100 });
}

// Enable/disable webhook
await client.webhooks.update(webhookId, {
  enabled: false,
});

// Update events
await client.webhooks.update(webhookId, {
  events: [
    {
      table: "users",
      operations: ["INSERT", "UPDATE", "DELETE"],
    },
  ],
});

// Update URL and secret
await client.webhooks.update(webhookId, {
  url: `${hook}/new`,
  secret: "new-secret-key",
});

await client.webhooks.delete(webhookId);
console.log("Webhook deleted");
