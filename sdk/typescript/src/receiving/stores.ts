/** What a store knows of a delivery: nothing (`new`, and it is begun now), begun elsewhere (`busy`), or `done`. */
export type SeenState = "new" | "busy" | "done";

/** Where it is remembered what was seen. Anything with these three methods is one. */
export interface SeenStore {
  /** Take what nobody has, or whose lease is over, and return `new`; else `busy` or `done`. Of two at once one gets `new`. */
  begin(key: string, leaseSeconds: number): Promise<SeenState>;
  /** Remember that it is done. */
  finish(key: string, keepSeconds: number): Promise<void>;
  /** Forget it: it may come again. */
  release(key: string): Promise<void>;
}

/** In this process's memory: for one process, until it ends. The oldest are forgotten beyond `size`. */
export class MemoryStore implements SeenStore {
  private readonly known = new Map<string, { state: SeenState; until: number }>();
  private readonly size: number;
  private readonly now: () => number;

  /** @param options `size`: how many are remembered, 100,000 when absent; `now`: milliseconds of a clock. */
  constructor(options: { size?: number; now?: () => number } = {}) {
    this.size = options.size ?? 100_000;
    this.now = options.now ?? (() => performance.now());
  }

  /** Take what nobody has, or whose lease is over. */
  async begin(key: string, leaseSeconds: number): Promise<SeenState> {
    const known = this.known.get(key);
    if (known !== undefined && known.until > this.now()) return known.state;
    this.remember(key, "busy", leaseSeconds);
    return "new";
  }

  /** Remember that it is done. */
  async finish(key: string, keepSeconds: number): Promise<void> {
    this.remember(key, "done", keepSeconds);
  }

  /** Forget it: it may come again. */
  async release(key: string): Promise<void> {
    this.known.delete(key);
  }

  private remember(key: string, state: SeenState, seconds: number): void {
    this.known.delete(key);
    this.known.set(key, { state, until: this.now() + seconds * 1000 });
    if (this.known.size > this.size) this.known.delete(this.known.keys().next().value as string);
  }
}

/** What a PostgreSQL store asks: a `Pool` or `Client` of pg, or anything with its `query`. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** In PostgreSQL: one table, which `createTable` makes, and which clears up after itself. */
export class PostgresStore implements SeenStore {
  private readonly table: string;

  /** @throws TypeError The table's name is none. */
  constructor(
    private readonly client: PostgresClient,
    options: { table?: string } = {},
  ) {
    this.table = options.table ?? "tidings_seen";
    if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(this.table))
      throw new TypeError(`table is ${this.table}; write a name in lower case, perhaps with a schema: app.seen.`);
  }

  /** Make the table where it is not there. */
  async createTable(): Promise<void> {
    await this.client.query(
      `create table if not exists ${this.table} (key text primary key, done boolean not null, until timestamptz not null)`,
    );
  }

  /** Take what nobody has, or whose lease is over. */
  async begin(key: string, leaseSeconds: number): Promise<SeenState> {
    // Where another transaction has just begun the same key, this one waits for it, then sees nothing of it: that is `busy`.
    const { rows } = await this.client.query(
      `with begun as (
         insert into ${this.table} as seen (key, done, until) values ($1, false, now() + make_interval(secs => $2::float8))
         on conflict (key) do update set done = false, until = excluded.until where seen.until <= now()
         returning key
       )
       select case when exists (select from begun) then 'new'
                   when exists (select from ${this.table} where key = $1 and done) then 'done' else 'busy' end as state`,
      [key, leaseSeconds],
    );
    return rows[0]?.["state"] as SeenState;
  }

  /** Remember that it is done; some of which the time is over are forgotten, so that the table does not grow for ever. */
  async finish(key: string, keepSeconds: number): Promise<void> {
    await this.client.query(
      `with cleared as (
         delete from ${this.table}
          where key in (select key from ${this.table} where until <= now() and key <> $1 limit 10 for update skip locked)
       )
       insert into ${this.table} as seen (key, done, until) values ($1, true, now() + make_interval(secs => $2::float8))
       on conflict (key) do update set done = true, until = excluded.until`,
      [key, keepSeconds],
    );
  }

  /** Forget it: it may come again. */
  async release(key: string): Promise<void> {
    await this.client.query(`delete from ${this.table} where key = $1`, [key]);
  }
}

/** What a Redis store asks: a client of node-redis (`sendCommand`), or of ioredis (`call`). */
export type RedisClient =
  | { sendCommand(args: string[]): Promise<unknown> }
  | { call(command: string, ...args: string[]): Promise<unknown> };

/** In Redis. */
export class RedisStore implements SeenStore {
  private readonly prefix: string;

  /** @param options `prefix` stands before each key; `tidings:seen:` when absent. */
  constructor(
    private readonly client: RedisClient,
    options: { prefix?: string } = {},
  ) {
    this.prefix = options.prefix ?? "tidings:seen:";
  }

  /** Take what nobody has, or whose lease is over. */
  async begin(key: string, leaseSeconds: number): Promise<SeenState> {
    const name = this.prefix + key;
    if ((await this.command("SET", name, "busy", "NX", "PX", milliseconds(leaseSeconds))) !== null) return "new";
    return String(await this.command("GET", name)) === "done" ? "done" : "busy";
  }

  /** Remember that it is done. */
  async finish(key: string, keepSeconds: number): Promise<void> {
    await this.command("SET", this.prefix + key, "done", "PX", milliseconds(keepSeconds));
  }

  /** Forget it: it may come again. */
  async release(key: string): Promise<void> {
    await this.command("DEL", this.prefix + key);
  }

  private command(name: string, ...args: string[]): Promise<unknown> {
    return "sendCommand" in this.client ? this.client.sendCommand([name, ...args]) : this.client.call(name, ...args);
  }
}

const milliseconds = (seconds: number): string => String(Math.round(seconds * 1000));
