// Express. The body must stay as it came: express.raw, not express.json.
//   npm install express @tidings/sdk && WEBHOOK_SECRET=whsec_… node express.mjs
import { verify } from "@tidings/sdk";
import express from "express";

const app = express();
const seen = new Set(); // a database table in earnest: deliveries may be repeated, their id stays

app.post("/webhooks", express.raw({ type: "*/*" }), (req, res) => {
  let event;
  try {
    event = verify(req.body, req.headers, process.env.WEBHOOK_SECRET);
  } catch (error) {
    return res.status(401).json({ error: error.message });
  }
  const id = req.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    console.log(event.type, event.data);
  }
  res.status(204).end();
});

app.listen(process.env.PORT ?? 3000, () => console.log("listening"));
