/**
 * Publish inside your own transaction: the event is committed with your change, or not at all.
 *
 * The event goes to the outbox of a Tidings in the same database, by the SQL function `tidings.publish`, over the connection of
 * `pg` that you have at hand. Nothing is sent before you commit, and nothing can be lost after. The function is granted to nobody
 * but its owner: `grant usage on schema tidings to app; grant execute on function tidings.publish to app;`
 */
import { headerOf, type CausedBy } from "./http.js";

// Data goes as text: a driver may turn objects and lists into something else. So do the others, which may be null.
const PUBLISH = "select tidings.publish($1::text, $2::text::json, $3::text, $4::text, $5::text) as id";
const HOPS =
  "select set_config('tidings.hops', $1, true), " +
  "set_config('tidings.traceparent', coalesce(nullif($2, ''), current_setting('tidings.traceparent', true), ''), true)";

/** The connection of a transaction: a `Client` of pg, or one of its `Pool` (`pool.connect()`), or anything with its `query`. */
export interface TransactionClient {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** An event for `publish`. */
export interface TransactionEvent {
  /** A dotted name, such as `order.paid`. */
  type: string;
  /** What JSON can say. */
  data?: unknown;
  /** The same as JSON text, where numbers have more digits than JavaScript keeps. */
  json?: string;
  /** What it is about, for people and searches. */
  subject?: string;
  /** Your own id of the fact. Publishing it again publishes nothing, and returns the first event's id. */
  id?: string;
  /** Whose event it is; else group `default`. */
  group?: string;
}

/**
 * Publish an event in the transaction that a connection has open, and return the event's id.
 *
 * @throws TypeError It is a pool, whose queries have a transaction each, or there is no data, or there is some twice.
 * @throws The driver's own errors: the type is none, the group does not exist, or the id was published with other content. As after
 * any error, the transaction can only be rolled back, to a savepoint or wholly.
 */
export async function publish(client: TransactionClient, event: TransactionEvent): Promise<string> {
  const { type, data, json, subject = null, id = null, group = "default" } = event;
  const text = json ?? JSON.stringify(data);
  if (text === undefined) throw new TypeError("The event has no data; write data: null if there is nothing to tell.");
  if (json !== undefined && data !== undefined) throw new TypeError("The event has data and json; write one of them.");
  const { rows } = await connectionOf(client).query(PUBLISH, [type, text, subject, id, group]);
  return String(rows[0]?.["id"]);
}

/**
 * Say that a delivery led to what this transaction does: rows that it changes, and events. So a loop is found, and its trace goes on.
 *
 * @param headers Of the delivery, as the receiver got them.
 * @throws TypeError It is a pool, whose queries have a transaction each.
 */
export async function within(client: TransactionClient, headers: NonNullable<CausedBy["causedBy"]>): Promise<void> {
  await connectionOf(client).query(HOPS, [String(hopsOf(headerOf(headers, "baggage"))), headerOf(headers, "traceparent")]);
}

const MAX_HOPS = 9999;

function hopsOf(baggage: string): number {
  for (const member of baggage.split(",")) {
    const [name = "", value = ""] = (member.split(";")[0] ?? "").split("=");
    if (name.trim() === "tidings.hops" && /^\d+$/.test(value.trim())) return value.trim().length <= 4 ? Number(value) : MAX_HOPS;
  }
  return 0;
}

function connectionOf(client: TransactionClient): TransactionClient {
  if ("totalCount" in client && "idleCount" in client)
    throw new TypeError("This is a pool, whose queries have a transaction each. Take a connection of it (await pool.connect()) and begin one.");
  return client;
}
