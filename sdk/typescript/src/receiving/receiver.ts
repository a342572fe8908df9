import { createHash } from "node:crypto";
import type { Signature } from "../types.js";
import { type Body, type Headers, PROFILES, type Profile, type Secrets, VerificationError, verify } from "../verify.js";
import { MemoryStore, type SeenStore } from "./stores.js";

/** A verified delivery. */
export interface Received<T = unknown> {
  /** The same at every attempt: the event's id, or a digest of the body where the profile sends none. */
  id: string;
  /** What happened, in the profile's words; empty where a template does not say. */
  type: string;
  /** When it happened, as it was sent; empty where a template does not say. */
  timestamp: string;
  /** What the event says. Where the profile has no envelope, the whole body. */
  data: T;
  /** The whole body, parsed. */
  body: unknown;
  /** The request's headers: what `causedBy` takes, where an event is published in answer. */
  headers: Headers;
  /** The framework's request, in a route. */
  request: unknown;
}

/** What is to be done once with an event. What it throws brings the event back. */
export type Handler<T = unknown> = (event: Received<T>) => unknown;

/** What is answered, in plain text: 2xx is the end of it, anything else is tried again. */
export interface Answer {
  status: number;
  text: string;
  headers: Record<string, string>;
}

/** How deliveries are taken. */
export interface ReceiverOptions {
  /** The webhook's profile; `standard` when absent. */
  profile?: Profile;
  /** The webhook's own `signature`, where it has one instead of the profile's. */
  signature?: Signature;
  /** Where it is remembered what was seen: in this process's memory when absent, which a second process or a restart knows nothing of. */
  store?: SeenStore;
  /** How old, or how far ahead, a signed time may be; 300 when absent. */
  toleranceSeconds?: number;
  /** For profile `vski`, as for `verify`. */
  issuer?: string;
  /** For profile `vski`, as for `verify`. */
  webhookId?: string;
  /** How long a handler may take, 300 when absent. When it is over, a process that died is taken to have died. */
  leaseSeconds?: number;
  /** How long it is remembered what was done; a week when absent. */
  keepSeconds?: number;
}

/** The most a body may have: twice a row of 1 MiB with all of it escaped, and room. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** What is answered to more than that. */
export const TOO_LARGE = answer(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`);

const TAKEN = answer(204);
const BUSY = answer(503, "This delivery is being worked on by another process.", { "retry-after": "5" });

// Where profiles say what: the id, the type, the time, the data. `ce-…` and `webhook-id` are headers. The id is one that the signature
// covers, which `ce-id` is not: else whoever repeats a delivery could make it look new.
const PLACES: Record<Profile, { id: string; type: string; time: string; data?: string }> = {
  standard: { id: "webhook-id", type: "type", time: "timestamp", data: "data" },
  cloudevents: { id: "webhook-id", type: "ce-type", time: "ce-time" },
  "cloudevents-structured": { id: "webhook-id", type: "type", time: "time", data: "data" },
  vivreal: { id: "id", type: "event", time: "timestamp", data: "data" },
  "vivreal-content": { id: "id", type: "event", time: "timestamp", data: "data" },
  fluxbase: { id: "", type: "event", time: "timestamp" },
  "fluxbase-t": { id: "", type: "event", time: "timestamp" },
  vski: { id: "", type: "action", time: "timestamp" },
};

/** Takes the deliveries of one webhook: each event once, as long as its handler succeeds. */
export class Receiver {
  /** Where it is remembered what was seen. */
  readonly store: SeenStore;
  private readonly options: ReceiverOptions;
  private readonly secret: () => Secrets;

  /**
   * @param secret As for `verify`; or a function that returns it, called for each delivery: for secrets that are rotated.
   * @throws TypeError There is no such profile, or no secret.
   */
  constructor(secret: Secrets | (() => Secrets), options: ReceiverOptions = {}) {
    const { profile = "standard" } = options;
    if (!PROFILES.includes(profile)) throw new TypeError(`profile is ${String(profile)}; write one of ${PROFILES.join(", ")}.`);
    if (!secret || (Array.isArray(secret) && !secret.length))
      throw new TypeError("secret is empty; write the webhook's, which the answer to its creation has.");
    this.secret = typeof secret === "function" ? secret : () => secret;
    this.options = options;
    this.store = options.store ?? new MemoryStore();
  }

  /**
   * Check a delivery and return what it says, seen before or not.
   *
   * @throws VerificationError It is not genuine, or too old.
   */
  verified<T = unknown>(body: Body, headers: Headers, request?: unknown): Received<T> {
    const { profile = "standard", signature, toleranceSeconds = 300, issuer, webhookId } = this.options;
    const said = verify(body, headers, this.secret(), { profile, signature, toleranceSeconds, issuer, webhookId });
    return received<T>(profile, body, said, headers, request, signature === undefined);
  }

  /**
   * Check a delivery, hand it over unless it was seen, and say what to answer. What the handler throws is thrown: the delivery is
   * as if it had not come, and comes again.
   */
  async handle<T = unknown>(body: Body, headers: Headers, handler: Handler<T>, request?: unknown): Promise<Answer> {
    let event: Received<T>;
    try {
      event = this.verified<T>(body, headers, request);
    } catch (error) {
      if (error instanceof VerificationError) return answer(401, error.message);
      throw error;
    }
    const state = await this.store.begin(event.id, this.options.leaseSeconds ?? 300);
    if (state !== "new") return state === "done" ? TAKEN : BUSY;
    try {
      await handler(event);
    } catch (error) {
      await this.store.release(event.id);
      throw error;
    }
    await this.store.finish(event.id, this.options.keepSeconds ?? 7 * 86_400);
    return TAKEN;
  }
}

function received<T>(profile: Profile, content: Body, body: unknown, headers: Headers, request: unknown, signsHeaders: boolean): Received<T> {
  const members = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const said = (place: string): string => {
    const inHeader = /^(webhook|ce)-/.test(place) ? headerOf(headers, place) : undefined;
    const value = inHeader === undefined ? members[place] : decoded(inHeader);
    return typeof value === "string" ? value : "";
  };
  const places = PLACES[profile];
  const isEnveloped = places.data !== undefined && places.data in members;
  return {
    id: (signsHeaders || !places.id.startsWith("webhook-") ? said(places.id) : "") || createHash("sha256").update(content).digest("hex"),
    type: said(places.type),
    timestamp: said(places.time),
    data: (isEnveloped ? members[places.data as string] : body) as T,
    body,
    headers,
    request,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not what we wrote
  }
}

function headerOf(headers: Headers, name: string): string | undefined {
  const value = typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, unknown>)[name];
  return typeof value === "string" ? value : undefined;
}

function answer(status: number, text = "", headers: Record<string, string> = {}): Answer {
  return { status, text, headers: text ? { "content-type": "text/plain; charset=utf-8", ...headers } : headers };
}
