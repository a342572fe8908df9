// The table of calls, sdk/operations.json, which the Python tests hold against the API's document: this client does what it says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Client } from "../dist/esm/index.js";

const table = JSON.parse(readFileSync(new URL("../../operations.json", import.meta.url), "utf8"));
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const walkOf = (method) => (/^list(_|$)/.test(method) ? method.replace("list", "walk") : `walk_${method}`);

function answering(...answers) {
  const calls = [];
  const fetch = async (url, init) => {
    calls.push({ url: new URL(url), ...init });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response(answer.text ?? (answer.body === undefined ? null : JSON.stringify(answer.body)), { status: answer.status ?? 200, headers: answer.headers ?? {} });
  };
  return { calls, client: new Client({ url: "http://t", apiKey: "k", fetch }) };
}

/** An answer of a document a line. */
function lines(items, next) {
  const headers = { "content-type": "application/x-ndjson", ...(next === undefined ? {} : { "tidings-next": next }) };
  return { body: items, text: items.map((item) => `${JSON.stringify(item)}\n`).join(""), headers };
}

function call(client, { name, args, options }, rename = (method) => method, more = options) {
  const [group, method] = name.split(".");
  const calls = client[camel(group)];
  return calls[camel(rename(method))](...args, ...(more === undefined ? [] : [more]));
}

function pathOf({ path, args }) {
  const left = [...args];
  return path.replace(/\{\w+\}/g, () => encodeURIComponent(left.shift()));
}

for (const said of table.calls) {
  const { name, method, query = [], options = {}, sends, repeats } = said;

  test(`${name} is made as the table says`, async () => {
    const empty = said.answer === null ? undefined : [];
    const { calls, client } = answering({ body: empty, status: empty === undefined ? 204 : 200 });
    await call(client, said);
    const [made] = calls;
    assert.equal(`${made.method} ${made.url.pathname}`, `${method} ${pathOf(said)}`);
    const asked = query.filter((one) => one in options).flatMap((one) => [options[one]].flat().map((word) => [one, String(word)]));
    assert.deepEqual([...made.url.searchParams].sort(), asked.sort());
    if (name === "events.publish_batch")
      assert.deepEqual(new TextDecoder().decode(made.body).split("\n").map((line) => JSON.parse(line)), said.args[0]);
    else assert.deepEqual(made.body === undefined ? undefined : JSON.parse(made.body), sends);
  });

  test(`${name} ${repeats ? "is made again, and the same" : "is made once"} when its answer was lost`, async () => {
    const lost = { status: 503, body: { error: "Try again.", code: "UNAVAILABLE" }, headers: { "retry-after": "0" } };
    const { calls, client } = answering(lost, { status: 200, body: [] });
    if (!repeats) {
      await assert.rejects(call(client, said), { name: "ApiError", status: 503, code: "UNAVAILABLE" });
      assert.equal(calls.length, 1);
      return;
    }
    await call(client, said);
    assert.deepEqual(calls[1].body, calls[0].body);
  });

  if (said.walk !== undefined)
    test(`${name} is read to its end by ${walkOf(name.split(".")[1])}`, async () => {
      const item = { id: "i1", version: 4, number: 4 };
      const [pages, size, second] = {
        header: [[{ body: [item], headers: { "tidings-next": "there" } }, { body: [item] }], {}, { cursor: "there" }],
        offset: [[{ body: [item] }, { body: [] }], { limit: 1 }, { limit: "1", offset: "1" }],
        page: [[{ body: { items: [item] } }, { body: [] }], { perPage: 1 }, { perPage: "1", page: "2" }],
        id: [[{ body: [item] }, { body: [] }], { limit: 1 }, { limit: "1", cursor: "i1" }],
        version: [[{ body: [item] }, { body: [] }], { limit: 1 }, { limit: "1", cursor: "4" }],
        number: [[{ body: [item] }, { body: [] }], { limit: 1 }, { limit: "1", before: "4" }],
        after: [[lines([item, item], "9"), lines([item])], {}, { after: "9" }],
      }[said.walk] ?? [
        [{ body: { [said.walk]: [item], cursor: "there" } }, { body: { [said.walk]: [item], cursor: null } }],
        {},
        { cursor: "there" },
      ];
      const { calls, client } = answering(...pages);
      const found = [];
      for await (const one of call(client, said, walkOf, size)) found.push(one.id);
      assert.deepEqual(found, pages.flatMap(({ body }) => (body.items ?? body[said.walk] ?? body).map(({ id }) => id)));
      assert.deepEqual(Object.fromEntries(calls[1].url.searchParams), second);
    });
}

test("the client has the calls of the table and no others", () => {
  const has = Object.entries(new Client({ url: "http://t" }))
    .filter(([group]) => group !== "http")
    .flatMap(([group, calls]) => {
      const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(calls));
      return methods.filter((method) => method !== "constructor").map((method) => `${group}.${method}`);
    });
  const said = table.calls.flatMap(({ name, walk, page }) => {
    const [group, method] = name.split(".");
    const names = [method, ...(walk === undefined ? [] : [walkOf(method)]), ...(page ? [method.replace("list", "page")] : [])];
    return names.map((one) => `${camel(group)}.${camel(one)}`);
  });
  assert.deepEqual(has.sort(), said.sort());
});

test("options are of a client and of those made of it", async () => {
  const { calls, client } = answering({ body: [] }, { body: [] }, { body: [] });
  await client.tables.list();
  await client.withOptions({ group: "acme" }).tables.list();
  await client.withOptions({ home: "us" }).tables.list();
  const told = calls.map(({ headers }) => [headers.authorization, headers["x-tidings-group"], headers["x-tidings-home"]]);
  assert.deepEqual(told, [["Bearer k", undefined, undefined], ["Bearer k", "acme", undefined], ["Bearer k", undefined, "us"]]);
  assert.throws(() => client.withOptions({ retries: -1 }), /retries is -1/);
  assert.throws(() => new Client({ url: "" }), /url is required/);
  const stopped = new AbortController();
  stopped.abort(new Error("enough"));
  const hung = new Client({ url: "http://t", fetch: async (_, { signal }) => signal.throwIfAborted(), signal: stopped.signal });
  await assert.rejects(hung.tables.list(), /enough/);
});
