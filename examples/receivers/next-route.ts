// Next.js: app/webhooks/route.ts.
import { Receiver } from "@tidings/sdk";
import { webhook } from "@tidings/sdk/next";

export const runtime = "nodejs"; // signatures are checked with node:crypto

const receiver = new Receiver(process.env.WEBHOOK_SECRET!); // { store: new PostgresStore(pool) } in earnest

export const POST = webhook<{ total: number }>(receiver, async (event) => {
  console.log(event.type, event.data.total); // once for each event; what is thrown here brings it back
});
