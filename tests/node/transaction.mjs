// Publishes in transactions of pg, as the Python tests do: one line for each step, with what came of it.
import { publish, within } from "@tidings/sdk";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.POSTGRES });
const client = await pool.connect();
const count = async () => (await pool.query("select count(*)::int as n from tidings.outbox")).rows[0].n;
const refused = (asked) => asked.then(() => "taken", (error) => `${error.constructor.name}: ${error.message}`);

await client.query("begin");
const paid = await publish(client, { type: "order.paid", data: { id: 17, lines: [1, null] }, subject: "order-17", id: "order-17-paid" });
console.log(/^[0-9a-f-]{36}$/.test(paid), await count()); // nobody sees it before the commit
console.log((await publish(client, { type: "order.paid", data: { id: 17, lines: [1, null] }, subject: "order-17", id: "order-17-paid" })) === paid);
await client.query("commit");

await client.query("begin");
await publish(client, { type: "order.lost", data: null });
await client.query("rollback");

await client.query("begin");
await within(client, new Headers({ baggage: "a=b, tidings.hops=3;x=y" }));
await publish(client, { type: "order.exact", json: '{"total": 0.1234567890123456789}', group: "acme" });
await client.query("commit");

await client.query("begin");
await client.query("savepoint before");
console.log(await refused(publish(client, { type: "order.paid", data: {}, group: "nobody" })));
await client.query("rollback to before");
await publish(client, { type: "order.list", data: [1, "two"] });
await client.query("commit");

console.log(await refused(publish(pool, { type: "order.paid", data: {} })));
console.log(await refused(publish(client, { type: "order.paid" })));
console.log(await refused(publish(client, { type: "order.paid", data: 1, json: "1" })));
client.release();
await pool.end();
