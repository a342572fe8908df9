// A shop whose customers have webhooks of their own: python/shop.py in TypeScript, with the same routes and the same tests.
//   DATABASE_URL=postgresql://… TIDINGS_URL=… TIDINGS_KEY=… WEBHOOK_SECRET=whsec_… node shop.mjs --port 8000
import { randomUUID } from "node:crypto";
import { serve } from "@hono/node-server";
import { Client, PostgresStore, publish, Receiver, within } from "@tidings/sdk";
import { webhook } from "@tidings/sdk/hono";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import pg from "pg";

const TABLES = `
  create table if not exists accounts (
    id text primary key, name text not null, credit numeric(12, 2) not null constraint credit_is_enough check (credit >= 0));
  create table if not exists orders (
    id bigint generated always as identity primary key, account_id text not null references accounts, total numeric(12, 2) not null,
    margin numeric(12, 2) not null, status text not null default 'new')`;
const SHOWN = "id::int, account_id, total::text, status";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const tidings = new Client({ url: process.env.TIDINGS_URL!, apiKey: process.env.TIDINGS_KEY });
const store = new PostgresStore(pool);
const receiver = new Receiver(process.env.WEBHOOK_SECRET!, { store });
const app = new Hono();

app.get("/healthz", (c) => c.json("ok"));

app.post("/accounts", async (c) => {
  const { name, credit } = await c.req.json();
  if (!(credit >= 0)) throw new HTTPException(422, { message: "credit must be a number, 0 or more." });
  const id = `acct_${randomUUID().replaceAll("-", "")}`;
  await tidings.groups.create(id); // first: a group without an account harms nobody
  await pool.query("insert into accounts values ($1, $2, $3)", [id, name, credit]);
  return c.json({ id }, 201);
});

app.post("/accounts/:id/orders", async (c) => {
  const { total, margin = 0 } = await c.req.json();
  if (!(total > 0)) throw new HTTPException(422, { message: "total must be a number above 0." });
  const account = await found(pool, "select id from accounts where id = $1", c.req.param("id"));
  const insert = `insert into orders (account_id, total, margin) values ($1, $2, $3) returning ${SHOWN}`;
  return c.json((await pool.query(insert, [account.id, total, margin])).rows[0], 201); // table.orders.inserted, by the trigger
});

app.post("/orders/:id/pay", async (c) => {
  const paid = await transaction(async (client) => {
    const order = await found(client, `select ${SHOWN} from orders where id = $1 for update`, c.req.param("id"));
    if (order.status !== "new") return order; // it was paid: a second click tells nobody anything
    const data = `{"id": ${order.id}, "total": ${order.total}}`; // all digits: a number of JavaScript has not room for every one
    await publish(client, { type: "order.paid", json: data, id: `order-${order.id}-paid`, group: order.account_id });
    await client.query("update accounts set credit = credit - $1 where id = $2", [order.total, order.account_id]);
    return (await client.query(`update orders set status = 'paid' where id = $1 returning ${SHOWN}`, [order.id])).rows[0];
  }).catch((error) => {
    if (error.constraint !== "credit_is_enough") throw error; // rolled back, and the event with it
    throw new HTTPException(402, { message: "The account's credit is too small." });
  });
  return c.json(paid);
});

app.get("/orders/:id", async (c) => c.json(await found(pool, `select ${SHOWN} from orders where id = $1`, c.req.param("id"))));

app.post("/accounts/:id/portal-link", async (c) => {
  const account = await found(pool, "select id, name from accounts where id = $1", c.req.param("id"));
  const link = await tidings.portalLinks.create(account.id, { expires_in: 3600, access: "manage", brand: { name: account.name } });
  return c.json({ url: link.url }); // send the browser there, once you know that it is this customer's
});

app.post(
  "/webhooks",
  webhook<{ object: { order_id?: number; status?: string } }>(receiver, async (event) => {
    const parcel = event.data.object; // verified, and each event once
    if (parcel.status !== "delivered") return;
    await transaction(async (client) => {
      await within(client, event.headers); // this answers a delivery: loops are found so
      await client.query("update orders set status = 'delivered' where id = $1 and status = 'paid'", [parcel.order_id]);
    });
  }),
);

async function found(client: pg.Pool | pg.PoolClient, query: string, key: string) {
  const { rows } = await client.query(query, [key]);
  if (rows.length === 0) throw new HTTPException(404, { message: `There is no ${key}.` });
  return rows[0];
}

async function transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const done = await work(client);
    await client.query("commit");
    return done;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

await pool.query(TABLES);
await store.createTable();
serve({ fetch: app.fetch, port: Number(process.argv[3] ?? 8000) });
