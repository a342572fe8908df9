/**
 * Client and receiver helpers for Tidings.
 *
 * `Client` does what the API does; `FluxbaseClient` and `VskiClient` are the same client under the names, and with the defaults,
 * that code written for those systems expects. `verify` checks what a receiver got; `Receiver` also drops repeats, and
 * `@tidings/sdk/express`, `/next` and `/hono` make a route of it. `publish` writes an event in a transaction of `pg`.
 */
export { Client, type ClientOptions } from "./client.js";
export { FluxbaseClient, VskiClient, type DialectDelivery, type Listed, type LogEntry, type Logs } from "./dialects.js";
export { ApiError, type ErrorBody } from "./errors.js";
export type * from "./history-types.js";
export type { CausedBy } from "./http.js";
export { Receiver, type Answer, type Handler, type Received, type ReceiverOptions } from "./receiving/receiver.js";
export {
  MemoryStore,
  PostgresStore,
  RedisStore,
  type PostgresClient,
  type RedisClient,
  type SeenState,
  type SeenStore,
} from "./receiving/stores.js";
export type * from "./privacy-types.js";
export type * from "./source-types.js";
export { publish, within, type TransactionClient, type TransactionEvent } from "./transaction.js";
export type * from "./types.js";
export { verify, verifyWebhookSignature, VerificationError, type Body, type Headers, type Profile, type Secrets, type VerifyOptions } from "./verify.js";
