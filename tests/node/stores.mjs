// Does with the TypeScript SDK's stores what the Python tests do with theirs: one line a store, what each step answered.
import { MemoryStore, PostgresStore, RedisStore } from "@tidings/sdk";
import pg from "pg";
import { createClient } from "redis";

const pool = new pg.Pool({ connectionString: process.env.POSTGRES });
const redis = await createClient({ socket: { path: process.env.REDIS } }).connect();
const table = new PostgresStore(pool, { table: "seen_by_node" });
await table.createTable();
await table.createTable();

for (const store of [new MemoryStore(), table, new RedisStore(redis, { prefix: "node:" })]) {
  const said = [await store.begin("a", 60), await store.begin("a", 60)];
  await store.release("a");
  said.push(await store.begin("a", 60));
  await store.finish("a", 60);
  said.push(await store.begin("a", 60), await store.begin("b", 0.001));
  for (let again = "busy"; again === "busy"; ) again = await store.begin("b", 60).then((state) => (state === "new" && said.push("over"), state));
  const crowd = await Promise.all(Array.from({ length: 20 }, () => store.begin("crowd", 60)));
  said.push(`${crowd.filter((state) => state === "new").length} of ${crowd.length}`);
  console.log(said.join(" "));
}
await pool.end();
redis.destroy();
