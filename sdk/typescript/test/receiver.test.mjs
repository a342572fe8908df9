// A receiver takes each event once, and says what to answer.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { MemoryStore, PostgresStore, Receiver } from "../dist/esm/index.js";

const SECRET = "whsec_" + Buffer.from("k".repeat(32)).toString("base64");
const BODY = '{"type":"order.paid","timestamp":"2026-11-21T03:42:37.002Z","data":{"total":12.5}}';

function delivery(body = BODY, id = "e1") {
  const time = String(Math.floor(Date.now() / 1000));
  const signature = createHmac("sha256", "k".repeat(32)).update(`${id}.${time}.${body}`).digest("base64");
  return [body, { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": `v1,${signature}`, baggage: "b" }];
}

test("an event is handed over once, in the same words for every profile", async () => {
  const got = [];
  const receiver = new Receiver(() => SECRET);
  for (let n = 0; n < 3; n++) assert.equal((await receiver.handle(...delivery(), (event) => got.push(event), "request")).status, 204);
  const [{ id, type, timestamp, data, body, headers, request }] = got;
  assert.deepEqual([got.length, id, type, timestamp, data, request], [1, "e1", "order.paid", "2026-11-21T03:42:37.002Z", { total: 12.5 }, "request"]);
  assert.deepEqual([body, headers.baggage], [JSON.parse(BODY), "b"]);
  const forged = await receiver.handle(BODY + " ", delivery()[1], () => got.push("forged"));
  assert.deepEqual([forged.status, forged.headers["content-type"], got.length], [401, "text/plain; charset=utf-8", 1]);
});

test("what a handler throws brings the event back", async () => {
  const receiver = new Receiver(SECRET);
  let go;
  const first = receiver.handle(...delivery(), () => new Promise((_, reject) => (go = () => reject(new Error("no disk")))));
  while (go === undefined) await new Promise(setImmediate);
  const busy = await receiver.handle(...delivery(), () => assert.fail("it is being worked on"));
  assert.deepEqual([busy.status, busy.headers["retry-after"]], [503, "5"]);
  go();
  await assert.rejects(first, /no disk/);
  assert.equal((await receiver.handle(...delivery(), () => {})).status, 204);
});

test("a repeat does not look new by a header that nothing signs", async () => {
  const options = { signature: { header: "X-Own" } };
  const receiver = new Receiver("k", options);
  const own = createHmac("sha256", "k").update(BODY).digest("hex");
  let count = 0;
  for (const id of ["a", "b"]) await receiver.handle(BODY, { "x-own": own, "webhook-id": id }, () => count++);
  const events = new Receiver(SECRET, { profile: "cloudevents" });
  for (const id of ["a", "b"]) await events.handle(BODY, { ...delivery()[1], "ce-id": id, "ce-type": "order.p%C3%A4d" }, ({ type }) => assert.equal(type, "order.päd", count++));
  assert.equal(count, 2);
});

test("memory is bounded, and keeps its time", async () => {
  let now = 0;
  const store = new MemoryStore({ size: 2, now: () => now });
  for (const key of ["a", "b", "c"]) await store.finish(key, 100);
  assert.deepEqual([await store.begin("b", 1), await store.begin("c", 1)], ["done", "done"]);
  now = 100_000;
  assert.equal(await store.begin("c", 1), "new");
});

test("what cannot work is not made", () => {
  assert.throws(() => new Receiver(""), /secret is empty/);
  assert.throws(() => new Receiver(SECRET, { profile: "vsky" }), /write one of standard/);
  assert.throws(() => new PostgresStore({}, { table: "seen; drop table x" }), /write a name/);
});
