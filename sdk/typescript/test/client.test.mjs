// The client's own decisions: what is sent, what is tried again, what is thrown.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { ApiError, Client, FluxbaseClient, VskiClient } from "../dist/esm/index.js";

function answering(...answers) {
  const calls = [];
  const fetch = async (url, init) => {
    calls.push({ url, ...init });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response(answer.body ?? "[]", { status: answer.status ?? 200, headers: answer.headers ?? {} });
  };
  return { calls, fetch };
}

const client = (net, options = {}) => new Client({ url: "http://t/", apiKey: "k", fetch: net.fetch, ...options });

test("a request carries the key and the body", async () => {
  const net = answering({ body: '{"id":"1"}', status: 201 });
  await client(net).webhooks.create({ url: "https://x.example", events: ["*"] });
  const [call] = net.calls;
  assert.equal(call.url, "http://t/api/v1/webhooks");
  assert.equal(call.headers.authorization, "Bearer k");
  assert.deepEqual(JSON.parse(call.body), { url: "https://x.example", events: ["*"] });
});

test("the seed systems' clients create webhooks of their profile, unless told otherwise", async () => {
  for (const [Dialect, profile] of [[FluxbaseClient, "fluxbase"], [VskiClient, "vski"]]) {
    const net = answering({ body: "{}" }, { body: "{}" });
    const made = new Dialect({ url: "http://t", fetch: net.fetch });
    await made.webhooks.create({ url: "https://x.example", events: ["*"] });
    await made.webhooks.create({ url: "https://x.example", events: ["*"], profile: "standard" });
    assert.deepEqual(net.calls.map((call) => JSON.parse(call.body).profile), [profile, "standard"]);
  }
});

test("what can be repeated is tried again, and the rest is not", async () => {
  const flaky = answering(new TypeError("fetch failed"), { status: 503 }, { body: "[]" });
  assert.deepEqual(await client(flaky).webhooks.list(), []);
  assert.equal(flaky.calls.length, 3);
  const once = answering(new TypeError("fetch failed"));
  await assert.rejects(client(once).webhooks.create({ url: "https://x.example", events: ["*"] }), { code: "UNREACHABLE", status: 0 });
  assert.equal(once.calls.length, 1);
});

test("publishing is repeated with the same id", async () => {
  const net = answering(new TypeError("cut"), { status: 202, body: '{"id":"1","duplicate":true}' });
  assert.equal((await client(net).events.publish({ type: "a.b" })).duplicate, true);
  assert.equal(net.calls[0].body, net.calls[1].body);
});

test("a batch goes as lines, each with an id", async () => {
  const net = answering(new TypeError("cut"), { status: 202, body: '{"accepted":2,"duplicates":0,"ids":[],"errors":[]}' });
  const result = await client(net).events.publishBatch([{ type: "a.b", data: 1 }, { type: "a.b", id: "own" }]);
  assert.equal(result.accepted, 2);
  const lines = new TextDecoder().decode(net.calls[1].body).split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => [line.type, line.id === "own" || line.id.length === 36]), [["a.b", true], ["a.b", true]]);
  assert.deepEqual(net.calls[0].body, net.calls[1].body);
});

test("a deletion whose first answer was lost succeeds", async () => {
  const net = answering(new TypeError("cut"), { status: 404, body: '{"error":"There is no webhook."}' });
  assert.equal(await client(net).webhooks.delete("1"), undefined);
});

test("a refusal is thrown with its sentence, code and field", async () => {
  const net = answering({ status: 422, body: '{"error":"url is required.","code":"INVALID_INPUT","field":"url"}' }, { status: 500, body: "<html>" });
  await assert.rejects(client(net).webhooks.get("a/b"), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.message, error.status, error.code, error.field], ["url is required.", 422, "INVALID_INPUT", "url"]);
    return true;
  });
  assert.equal(net.calls[0].url, "http://t/api/v1/webhooks/a%2Fb");
  await assert.rejects(client(net).webhooks.get("1"), /HTTP 500/);
});

test("a server that never answers is given up in time", async () => {
  const fetch = (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const slow = new Client({ url: "http://t", fetch, timeoutMs: 20, retries: 0 });
  const awake = setTimeout(() => {}, 10_000); // a timeout's own timer does not keep Node running, as a socket does
  await assert.rejects(slow.webhooks.list(), { code: "TIMEOUT" });
  clearTimeout(awake);
});

test("a collection, its records, the logs and cron have their calls", async () => {
  const net = answering(...Array(14).fill({ body: "{}" }));
  const vski = new VskiClient({ url: "http://localhost:3000", fetch: net.fetch, group: "acme" });
  await vski.settings.collections.create({ name: "posts", schema: [], options: "{}" });
  await vski.settings.collections.update("posts", {});
  const posts = vski.collection("posts");
  await posts.create({ a: 1 });
  await posts.update("1", {});
  await posts.delete("1");
  await posts.list({ page: 2 });
  await posts.get("1");
  await vski.webhookLogs.list({ collection: "posts", page: 1, perPage: 10 });
  await vski.cron.create({ name: "n", schedule: "0 0 * * 0", type: "http" });
  await vski.cron.run("1");
  await vski.cron.runs("1", { perPage: 5 });
  await vski.settings.collections.list();
  await vski.settings.collections.get("Blog Posts");
  await vski.settings.collections.delete("Blog Posts");
  const made = net.calls.map((call) => `${call.method} ${new URL(call.url).pathname}${new URL(call.url).search}`);
  assert.ok(net.calls.every((call) => call.headers["x-tidings-group"] === "acme"));
  assert.deepEqual(made, [
    "POST /api/collections", "PATCH /api/collections/posts", "POST /api/collections/posts/records", "PATCH /api/collections/posts/records/1",
    "DELETE /api/collections/posts/records/1", "GET /api/collections/posts/records?page=2", "GET /api/collections/posts/records/1",
    "GET /api/webhooks/logs?collection=posts&page=1&perPage=10", "POST /api/cron", "POST /api/cron/1/run", "GET /api/cron/1/runs?perPage=5",
    "GET /api/collections", "GET /api/collections/Blog%20Posts", "DELETE /api/collections/Blog%20Posts?confirm=Blog%20Posts",
  ]);
});

test("the package can be required too", () => {
  const required = createRequire(import.meta.url)("../dist/cjs/index.js");
  assert.equal(typeof required.FluxbaseClient.verifyWebhookSignature, "function");
});

test("each framework has its entry, for import and require", async () => {
  for (const framework of ["express", "next", "hono"]) {
    const name = `@tidings/sdk/${framework}`;
    assert.equal(typeof (await import(name)).webhook, "function");
    assert.equal(typeof createRequire(import.meta.url)(name).webhook, "function");
  }
});

test("a walk reads every page, and asks for the same each time", async () => {
  const net = answering(
    { body: '[{"id":"a"},{"id":"b"}]', headers: { "Tidings-Next": "one" } },
    { body: "[]", headers: { "Tidings-Next": "two", "Tidings-Searched-To": "2026-11-21T03:42:37.002Z" } },
    { body: '[{"id":"c"}]', headers: { "Tidings-Prev": "one" } },
  );
  const found = [];
  const since = new Date("2026-11-21T00:00:00Z");
  for await (const { id } of client(net).deliveries.walk({ status: ["failed", "retrying"], since, offset: 3 })) found.push(id);
  assert.deepEqual(found, ["a", "b", "c"]);
  const asked = "http://t/api/v1/deliveries?status=failed&status=retrying&since=2026-11-21T00%3A00%3A00.000Z";
  assert.deepEqual(net.calls.map((call) => call.url), [`${asked}&offset=3`, `${asked}&cursor=one`, `${asked}&cursor=two`]);
});

test("a page tells what is around it", async () => {
  const headers = { "Tidings-Next": "n", "Tidings-Prev": "p", "Tidings-Searched-To": "2026-11-21T03:42:37.002Z", "Tidings-Count": ">=7" };
  const net = answering({ body: "[]", headers }, { body: "[]" }, { body: '{"step":"hour"}' });
  const page = await client(net).events.page({ type: "order.*", count: true });
  assert.deepEqual(page, { items: [], next: "n", prev: "p", searchedTo: "2026-11-21T03:42:37.002Z", count: ">=7" });
  assert.deepEqual(await client(net).deliveries.page(), { items: [], next: undefined, prev: undefined, searchedTo: undefined, count: undefined });
  assert.equal((await client(net).statistics.get({ webhook_id: "w" })).step, "hour");
});

test("deliveries are sent again by ids, by a search, and for a time of a webhook", async () => {
  const job = { status: 202, body: '{"id":"r1","state":"waiting"}' };
  const net = answering(job, job, job, { body: '{"id":"r1","state":"cancelled"}' });
  const tidings = client(net);
  await tidings.deliveries.retryAll({ ids: ["a", "b"] });
  await tidings.deliveries.retryAll({ status: ["failed"], type: "order.*", rate_per_second: 5 });
  const since = new Date("2026-11-21T13:00:00Z");
  assert.equal((await tidings.webhooks.recover("w/1", { since, missing: true })).id, "r1");
  assert.equal((await tidings.recoveries.cancel("r1")).state, "cancelled");
  assert.deepEqual(net.calls.map((call) => [call.method, call.url, call.body && JSON.parse(call.body)]), [
    ["POST", "http://t/api/v1/deliveries/retry", { ids: ["a", "b"] }],
    ["POST", "http://t/api/v1/deliveries/retry", { status: ["failed"], type: "order.*", rate_per_second: 5 }],
    ["POST", "http://t/api/v1/webhooks/w%2F1/recover", { since: "2026-11-21T13:00:00.000Z", missing: true }],
    ["POST", "http://t/api/v1/recoveries/r1/cancel", undefined],
  ]);
});

test("a dry run and an explanation are questions, which may be asked again", async () => {
  const net = answering({ status: 503 }, { body: '{"events":[]}' }, { body: '{"events":[]}' }, { body: '{"webhooks":[]}' });
  const tidings = client(net);
  assert.deepEqual((await tidings.webhooks.dryRunDraft({ events: ["order.*"], days: 3 })).events, []);
  await tidings.webhooks.dryRun("w", { limit: 2 });
  await tidings.events.explain("e", { webhook_id: "w" });
  assert.deepEqual(net.calls.map((call) => call.url), [
    "http://t/api/v1/webhooks/dry-run?days=3",
    "http://t/api/v1/webhooks/dry-run?days=3",
    "http://t/api/v1/webhooks/w/dry-run?limit=2",
    "http://t/api/v1/events/e/explain?webhook_id=w",
  ]);
});

test("what led to an event is handed on", async () => {
  const net = answering(...Array(4).fill({ status: 202, body: '{"id":"1"}' }));
  const tidings = client(net, { group: "Zoë" });
  await tidings.events.publish({ type: "a.b" }, { causedBy: new Headers({ Baggage: "tidings=1" }) });
  await tidings.events.publish({ type: "a.b" }, { causedBy: { baggage: ["a=1", "tidings=2"], traceparent: "00-ab-cd-01" } });
  await tidings.events.publishBatch([{ type: "a.b" }], { causedBy: { baggage: "tidings=3" } });
  await tidings.events.publish({ type: "a.b" });
  assert.deepEqual(net.calls.map(({ headers }) => headers.baggage), ["tidings=1", "a=1,tidings=2", "tidings=3", undefined]);
  assert.deepEqual(net.calls.map(({ headers }) => headers.traceparent), [undefined, "00-ab-cd-01", undefined, undefined]);
  assert.equal(net.calls[0].headers["x-tidings-group"], "Zo%C3%AB");
});
