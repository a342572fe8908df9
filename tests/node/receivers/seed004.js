// Seed 004, "Receiving Webhooks", as printed; only the imports and the port are the test's.
const express = require(process.env.EXPRESS);
const { FluxbaseClient } = require("@tidings/sdk");
process.env.FLUXBASE_WEBHOOK_SECRET = process.env.WEBHOOK_SECRET;

const app = express();
app.use(express.json());

app.post("/webhooks/fluxbase", (req, res) => {
  // Verify signature
  const signature = req.headers["x-fluxbase-signature"];
  const isValid = FluxbaseClient.verifyWebhookSignature(
    req.body,
    signature,
    process.env.FLUXBASE_WEBHOOK_SECRET
  );

  if (!isValid) {
    return res.status(401).send("Invalid signature");
  }

  // Process event
  const { event, table, record, old_record } = req.body;

  switch (event) {
    case "INSERT":
      console.log("New record:", record.id);
      break;
    case "UPDATE":
      console.log("Updated:", record.id);
      break;
    case "DELETE":
      console.log("Deleted:", record.id);
      break;
  }

  res.status(200).send("OK");
});

app.listen(process.env.PORT, () => console.log("listening"));
