import { randomUUID } from "node:crypto";
import { Http, type RequestOptions } from "./http.js";
import type {
  Attempt,
  BatchResult,
  CollectionInput,
  CronInput,
  Delivery,
  DeliveryFilter,
  DryRun,
  EventFilter,
  EventInput,
  Explained,
  Found,
  Listed,
  Logs,
  Preview,
  PreviewInput,
  RecoverInput,
  Recovery,
  RetryInput,
  Secret,
  Statistics,
  StatisticsFilter,
  Stored,
  TestInput,
  TestResult,
  Webhook,
  WebhookChange,
  WebhookDeliveryFilter,
  WebhookInput,
} from "./types.js";
import { type Profile, verifyWebhookSignature } from "./verify.js";

export interface ClientOptions {
  /** Where the server is, such as `https://tidings.example.com`. */
  url: string;
  apiKey?: string | undefined;
  /** The profile of webhooks created without one; the server's own choice when absent. */
  profile?: Profile;
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Milliseconds one try may take; 30,000 when absent. */
  timeoutMs?: number;
  /** How often to try again what can be repeated, when the network or the server is unwell; 2 when absent. */
  retries?: number;
  /** Whose webhooks, collections and events it is about; `default` when absent. */
  group?: string;
}

const part = encodeURIComponent;

class Webhooks {
  constructor(
    private readonly http: Http,
    private readonly profile: Profile | undefined,
  ) {}

  /** Create a webhook. The answer has its secret. */
  create(input: WebhookInput, options?: RequestOptions): Promise<Webhook> {
    const body = this.profile === undefined ? input : { profile: this.profile, ...input };
    return this.http.post("/api/v1/webhooks", body, false, options);
  }

  list(page: { limit?: number; offset?: number } = {}): Promise<Webhook[]> {
    return this.http.get("/api/v1/webhooks", { ...page });
  }

  get(id: string): Promise<Webhook> {
    return this.http.get(`/api/v1/webhooks/${part(id)}`);
  }

  /** Change what is named; the rest stays. What was read may be sent back. */
  update(id: string, change: WebhookChange): Promise<Webhook> {
    return this.http.patch(`/api/v1/webhooks/${part(id)}`, change);
  }

  /** Read the exact request that a webhook would send; without `id`, one that is not saved yet. Nothing is changed or sent. */
  preview(input: PreviewInput, id?: string): Promise<Preview> {
    const path = id === undefined ? "/api/v1/webhooks/preview" : `/api/v1/webhooks/${part(id)}/preview`;
    return this.http.post(path, input);
  }

  delete(id: string): Promise<{ message: string; success: boolean } | undefined> {
    return this.http.delete(`/api/v1/webhooks/${part(id)}`);
  }

  getDeliveries(id: string, filter: WebhookDeliveryFilter = {}): Promise<Delivery[]> {
    return this.http.get(`/api/v1/webhooks/${part(id)}/deliveries`, { ...filter });
  }

  /** Send a test event and wait for what comes of it. It is tried once, paused or not. */
  test(id: string, input?: TestInput): Promise<TestResult> {
    return this.http.post(`/api/v1/webhooks/${part(id)}/test`, input ?? {}, false, { timeoutMs: 330_000 });
  }

  /** Send it all again, as a job, that it did not acknowledge of the events of a time. */
  recover(id: string, input: RecoverInput): Promise<Recovery> {
    return this.http.post(`/api/v1/webhooks/${part(id)}/recover`, input);
  }

  /** What a webhook that is not saved would have been sent of the last days. Nothing is sent or saved. */
  dryRun(input: Partial<WebhookInput>, page: { days?: number; limit?: number; cursor?: string } = {}): Promise<DryRun> {
    return this.http.ask("/api/v1/webhooks/dry-run", input, { ...page });
  }

  /** What a webhook would have been sent of the last days, as it is or as a change makes it. */
  dryRunOf(
    id: string,
    page: { days?: number; limit?: number; cursor?: string } = {},
    change?: Partial<WebhookInput>,
  ): Promise<DryRun> {
    return this.http.ask(`/api/v1/webhooks/${part(id)}/dry-run`, change, { ...page });
  }

  getSecret(id: string): Promise<Secret> {
    return this.http.get(`/api/v1/webhooks/${part(id)}/secret`);
  }

  /** Give the webhook another secret; the present one verifies beside it for `overlap_seconds` (a day when absent). */
  rotateSecret(id: string, input: { secret?: string; overlap_seconds?: number } = {}): Promise<Secret> {
    return this.http.post(`/api/v1/webhooks/${part(id)}/secret/rotate`, input);
  }
}

class Deliveries {
  constructor(private readonly http: Http) {}

  list(filter: DeliveryFilter = {}): Promise<Delivery[]> {
    return this.http.get("/api/v1/deliveries", { ...filter });
  }

  /** The same, with the cursors of the pages around. */
  page(filter: DeliveryFilter = {}): Promise<Found<Delivery>> {
    return this.http.page("/api/v1/deliveries", { ...filter });
  }

  /** Every delivery that fits, newest first, page by page. */
  walk(filter: DeliveryFilter = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.http.walk("/api/v1/deliveries", { ...filter });
  }

  get(id: string): Promise<Delivery> {
    return this.http.get(`/api/v1/deliveries/${part(id)}`);
  }

  attempts(id: string): Promise<Attempt[]> {
    return this.http.get(`/api/v1/deliveries/${part(id)}/attempts`);
  }

  /** Send a delivery again, with the same id. */
  retry(id: string): Promise<Delivery> {
    return this.http.post(`/api/v1/deliveries/${part(id)}/retry`, undefined);
  }

  /** Send many again, as a job: up to 1,000 by their ids, or all that a search finds. */
  retryAll(input: RetryInput): Promise<Recovery> {
    return this.http.post("/api/v1/deliveries/retry", input);
  }
}

class Recoveries {
  constructor(private readonly http: Http) {}

  /** `cursor`: the last id of the page before. */
  list(page: { limit?: number; cursor?: string } = {}): Promise<Recovery[]> {
    return this.http.get("/api/v1/recoveries", { ...page });
  }

  get(id: string): Promise<Recovery> {
    return this.http.get(`/api/v1/recoveries/${part(id)}`);
  }

  /** End a recovery early. What it has put into the queue is delivered. */
  cancel(id: string): Promise<Recovery> {
    return this.http.post(`/api/v1/recoveries/${part(id)}/cancel`, undefined);
  }
}

class Events {
  constructor(private readonly http: Http) {}

  /** Publish an event. It gets an id when it has none, so that trying again cannot publish it twice. */
  publish(event: EventInput, options?: RequestOptions): Promise<{ id: string; duplicate: boolean }> {
    return this.http.post("/api/v1/events", { id: randomUUID(), ...event }, true, options);
  }

  /** Publish up to 10,000 events in one call; what cannot be accepted keeps none of the others. */
  publishBatch(events: Iterable<EventInput>, options?: RequestOptions): Promise<BatchResult> {
    const lines = Array.from(events, (event) => JSON.stringify({ id: randomUUID(), ...event }));
    return this.http.post("/api/v1/events/batch", new TextEncoder().encode(lines.join("\n")), true, options);
  }

  list(filter: EventFilter = {}): Promise<unknown[]> {
    return this.http.get("/api/v1/events", { ...filter });
  }

  /** The same, with the cursors of the pages around. */
  page(filter: EventFilter = {}): Promise<Found<unknown>> {
    return this.http.page("/api/v1/events", { ...filter });
  }

  /** Every event that fits, newest first, page by page. */
  walk(filter: EventFilter = {}): AsyncGenerator<unknown, void, undefined> {
    return this.http.walk("/api/v1/events", { ...filter });
  }

  get(id: string): Promise<unknown> {
    return this.http.get(`/api/v1/events/${part(id)}`);
  }

  /** For each webhook whether an event goes to it, and why: those it goes to first, then the nearest. */
  explain(id: string, page: { webhook_id?: string; limit?: number; cursor?: string } = {}): Promise<Explained> {
    return this.http.get(`/api/v1/events/${part(id)}/explain`, { ...page });
  }
}

class Collections {
  constructor(private readonly http: Http) {}

  create(input: CollectionInput): Promise<Stored> {
    return this.http.post("/api/collections", input);
  }

  list(page: { limit?: number; offset?: number } = {}): Promise<Stored[]> {
    return this.http.get("/api/collections", { ...page });
  }

  get(name: string): Promise<Stored> {
    return this.http.get(`/api/collections/${part(name)}`);
  }

  update(name: string, change: Partial<CollectionInput>): Promise<Stored> {
    return this.http.patch(`/api/collections/${part(name)}`, change);
  }

  /** Delete a collection, with everything in it. */
  delete(name: string): Promise<unknown> {
    return this.http.delete(`/api/collections/${part(name)}?confirm=${encodeURIComponent(name)}`);
  }
}

class Records {
  private readonly path: string;

  constructor(
    private readonly http: Http,
    collection: string,
  ) {
    this.path = `/api/collections/${part(collection)}/records`;
  }

  create(record: Record<string, unknown>): Promise<Stored> {
    return this.http.post(this.path, record);
  }

  update(id: string, change: Record<string, unknown>): Promise<Stored> {
    return this.http.patch(`${this.path}/${part(id)}`, change);
  }

  delete(id: string): Promise<unknown> {
    return this.http.delete(`${this.path}/${part(id)}`);
  }

  list(query: { page?: number; perPage?: number; filter?: string; sort?: string } = {}): Promise<Listed<Stored>> {
    return this.http.get(this.path, { ...query });
  }

  get(id: string): Promise<Stored> {
    return this.http.get(`${this.path}/${part(id)}`);
  }
}

class WebhookLogs {
  constructor(private readonly http: Http) {}

  list(query: { collection?: string; status?: string; page?: number; perPage?: number } = {}): Promise<Logs> {
    return this.http.get("/api/webhooks/logs", { ...query });
  }
}

class Cron {
  constructor(private readonly http: Http) {}

  create(input: CronInput): Promise<Stored> {
    return this.http.post("/api/cron", input);
  }

  list(): Promise<Listed<Stored>> {
    return this.http.get("/api/cron");
  }

  get(id: string): Promise<Stored> {
    return this.http.get(`/api/cron/${part(id)}`);
  }

  /** Fire an http job now, out of turn. */
  run(id: string): Promise<Stored> {
    return this.http.post(`/api/cron/${part(id)}/run`, undefined);
  }

  /** The ticks that fired, newest first. */
  runs(id: string, page: { page?: number; perPage?: number } = {}): Promise<Record<string, unknown>[]> {
    return this.http.get(`/api/cron/${part(id)}/runs`, { ...page });
  }

  update(id: string, change: Partial<CronInput>): Promise<Stored> {
    return this.http.patch(`/api/cron/${part(id)}`, change);
  }

  delete(id: string): Promise<unknown> {
    return this.http.delete(`/api/cron/${part(id)}`);
  }
}

/** A client of one server. Making it sends nothing. */
export class TidingsClient {
  readonly webhooks: Webhooks;
  readonly deliveries: Deliveries;
  readonly events: Events;
  readonly recoveries: Recoveries;
  readonly settings: { readonly collections: Collections };
  readonly webhookLogs: WebhookLogs;
  readonly cron: Cron;
  private readonly http: Http;

  constructor(options: ClientOptions | string) {
    const given = typeof options === "string" ? { url: options } : options;
    if (!given.url) throw new TypeError("url is required: where the Tidings server is, such as http://localhost:8080.");
    this.http = new Http({
      url: given.url.replace(/\/+$/, ""),
      apiKey: given.apiKey,
      fetch: given.fetch ?? ((...call) => globalThis.fetch(...call)),
      timeoutMs: given.timeoutMs ?? 30_000,
      retries: given.retries ?? 2,
      group: given.group,
    });
    this.webhooks = new Webhooks(this.http, given.profile);
    this.deliveries = new Deliveries(this.http);
    this.events = new Events(this.http);
    this.recoveries = new Recoveries(this.http);
    this.settings = { collections: new Collections(this.http) };
    this.webhookLogs = new WebhookLogs(this.http);
    this.cron = new Cron(this.http);
  }

  /** The records of a collection. */
  collection(name: string): Records {
    return new Records(this.http, name);
  }

  /** How attempts fared, of all webhooks or of one; of the last day when nothing is said. */
  statistics(filter: StatisticsFilter = {}): Promise<Statistics> {
    return this.http.get("/api/v1/statistics", { ...filter });
  }

  /** Use another key from now on. */
  setToken(token: string): void {
    this.http.setKey(token);
  }

  /** Tell whether a signature is that of a payload, the raw body or the parsed object. */
  static verifyWebhookSignature = verifyWebhookSignature;
}

/** The client as seed 004's code makes it: its webhooks speak profile `fluxbase` unless they say otherwise. */
export class FluxbaseClient extends TidingsClient {
  constructor(options: ClientOptions) {
    super({ profile: "fluxbase", ...options });
  }
}

/** The client as seed 003's code makes it: its webhooks speak profile `vski` unless they say otherwise. */
export class VskiClient extends TidingsClient {
  constructor(options: ClientOptions | string) {
    super({ profile: "vski", ...(typeof options === "string" ? { url: options } : options) });
  }
}
