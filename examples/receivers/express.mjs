// Express 4 or 5.
//   npm install express @tidings/sdk && WEBHOOK_SECRET=whsec_… node express.mjs
import { Receiver } from "@tidings/sdk";
import { webhook } from "@tidings/sdk/express";
import express from "express";

const app = express();
const receiver = new Receiver(process.env.WEBHOOK_SECRET); // { store: new PostgresStore(pool) } in earnest

app.post(
  "/webhooks",
  webhook(receiver, async (event) => {
    console.log(event.type, event.data); // once for each event; what is thrown here brings it back
  }),
);

app.listen(process.env.PORT ?? 3000);
