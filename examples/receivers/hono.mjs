// Hono on Node.
//   npm install hono @hono/node-server @tidings/sdk && WEBHOOK_SECRET=whsec_… node hono.mjs
import { serve } from "@hono/node-server";
import { Receiver } from "@tidings/sdk";
import { webhook } from "@tidings/sdk/hono";
import { Hono } from "hono";

const app = new Hono();
const receiver = new Receiver(process.env.WEBHOOK_SECRET); // { store: new PostgresStore(pool) } in earnest

app.post(
  "/webhooks",
  webhook(receiver, async (event) => {
    console.log(event.type, event.data); // once for each event; what is thrown here brings it back
  }),
);

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
