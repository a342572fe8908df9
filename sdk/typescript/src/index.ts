/**
 * Client and receiver helpers for Tidings.
 *
 * `TidingsClient` manages webhooks; `FluxbaseClient` and `VskiClient` are the same client under the names, and with the defaults,
 * that code written for those systems expects. `verify` checks what a receiver got.
 */
export { FluxbaseClient, TidingsClient, VskiClient, type ClientOptions } from "./client.js";
export { TidingsError, type ErrorBody } from "./errors.js";
export type { RequestOptions } from "./http.js";
export type * from "./types.js";
export { verify, verifyWebhookSignature, WebhookVerificationError, type Profile, type VerifyOptions } from "./verify.js";
