/** The same client under the names, and with the defaults, that code written for Fluxbase and VSKI expects. */
import { Client, type ClientOptions } from "./client.js";
import { type Http, part } from "./http.js";
import type { WebhookDeliveryFilters } from "./history-types.js";
import type { CollectionInput, CollectionRecord, JobInput } from "./source-types.js";
import type { Delivery, Webhook, WebhookInput } from "./types.js";
import { type Profile, verifyWebhookSignature } from "./verify.js";
import { Webhooks } from "./webhooks.js";

/** A delivery. To a webhook of profile `fluxbase` or `fluxbase-t` it has every name that Fluxbase's code has for a thing. */
export interface DialectDelivery extends Delivery {
  event_type?: string;
  table_name?: string | null;
  attempt?: number;
  attempt_number?: number;
  status_code?: number | null;
  http_status_code?: number | null;
  response_code?: number | null;
  error_message?: string | null;
}

/** A webhook. One of profile `fluxbase` or `fluxbase-t` has Fluxbase's names too. */
export interface DialectWebhook extends Webhook {
  is_active?: boolean;
  max_retries?: number;
  retry_backoff_seconds?: number;
  scope?: string;
}

/** A page, as VSKI counts. */
export interface Listed<T> {
  items: T[];
  page: number;
  perPage: number;
  totalItems: number;
  totalPages: number;
}

/** One delivery, as `webhookLogs.list` reads it. */
export interface LogEntry {
  id: string;
  webhook: string;
  collection: string | null;
  action: string | null;
  record: string | null;
  url: string | null;
  method: string | null;
  status: "pending" | "processing" | "retrying" | "success" | "failed" | "cancelled";
  attempts: number;
  responseStatus: number | null;
  responseBody: string | null;
  error: string | null;
  nextRetry: string | null;
  created: string;
  updated: string | null;
}

/** A page of deliveries, as `webhookLogs.list` reads it. */
export interface Logs {
  page: number;
  perPage: number;
  hasMore: boolean;
  items: LogEntry[];
}

/** `client.webhooks`, whose webhooks speak one profile unless they say otherwise. */
class DialectWebhooks extends Webhooks {
  constructor(
    http: Http,
    private readonly profile: Profile,
  ) {
    super(http);
  }

  override create(input: WebhookInput): Promise<DialectWebhook> {
    return super.create({ profile: this.profile, ...input });
  }

  override get(id: string): Promise<DialectWebhook> {
    return super.get(id);
  }

  /** List a webhook's deliveries, newest first. */
  getDeliveries(id: string, filters: WebhookDeliveryFilters = {}): Promise<DialectDelivery[]> {
    return this.http.request("GET", `/api/v1/webhooks/${part(id)}/deliveries`, { query: { ...filters } });
  }
}

/** `client.settings.collections`, as VSKI's code asks for it. */
class VskiCollections {
  constructor(private readonly http: Http) {}

  create(input: CollectionInput): Promise<CollectionRecord> {
    return this.http.request("POST", "/api/collections", { body: input });
  }

  list(page: { limit?: number; offset?: number } = {}): Promise<CollectionRecord[]> {
    return this.http.request("GET", "/api/collections", { query: { ...page } });
  }

  get(name: string): Promise<CollectionRecord> {
    return this.http.request("GET", `/api/collections/${part(name)}`);
  }

  update(name: string, change: Partial<CollectionInput>): Promise<CollectionRecord> {
    return this.http.request("PATCH", `/api/collections/${part(name)}`, { body: change });
  }

  /** Delete a collection, with everything in it. */
  delete(name: string): Promise<unknown> {
    return this.http.request("DELETE", `/api/collections/${part(name)}?confirm=${encodeURIComponent(name)}`);
  }
}

/** `client.collection(name)`: the records of a collection. */
class VskiRecords {
  private readonly path: string;

  constructor(
    private readonly http: Http,
    collection: string,
  ) {
    this.path = `/api/collections/${part(collection)}/records`;
  }

  create(record: Record<string, unknown>): Promise<CollectionRecord> {
    return this.http.request("POST", this.path, { body: record });
  }

  update(id: string, change: Record<string, unknown>): Promise<CollectionRecord> {
    return this.http.request("PATCH", `${this.path}/${part(id)}`, { body: change });
  }

  delete(id: string): Promise<unknown> {
    return this.http.request("DELETE", `${this.path}/${part(id)}`);
  }

  list(query: { page?: number; perPage?: number; filter?: string; sort?: string } = {}): Promise<Listed<CollectionRecord>> {
    return this.http.request("GET", this.path, { query: { ...query } });
  }

  get(id: string): Promise<CollectionRecord> {
    return this.http.request("GET", `${this.path}/${part(id)}`);
  }
}

/** `client.webhookLogs`: deliveries in VSKI's words. */
class VskiWebhookLogs {
  constructor(private readonly http: Http) {}

  list(query: { collection?: string; status?: string; page?: number; perPage?: number } = {}): Promise<Logs> {
    return this.http.request("GET", "/api/webhooks/logs", { query: { ...query } });
  }
}

/** `client.cron`: jobs of a schedule. */
class VskiCron {
  constructor(private readonly http: Http) {}

  create(input: JobInput): Promise<CollectionRecord> {
    return this.http.request("POST", "/api/cron", { body: input });
  }

  list(): Promise<Listed<CollectionRecord>> {
    return this.http.request("GET", "/api/cron");
  }

  get(id: string): Promise<CollectionRecord> {
    return this.http.request("GET", `/api/cron/${part(id)}`);
  }

  /** Fire an http job now, out of turn. */
  run(id: string): Promise<CollectionRecord> {
    return this.http.request("POST", `/api/cron/${part(id)}/run`);
  }

  /** The ticks that fired, newest first. */
  runs(id: string, page: { page?: number; perPage?: number } = {}): Promise<Record<string, unknown>[]> {
    return this.http.request("GET", `/api/cron/${part(id)}/runs`, { query: { ...page } });
  }

  update(id: string, change: Partial<JobInput>): Promise<CollectionRecord> {
    return this.http.request("PATCH", `/api/cron/${part(id)}`, { body: change });
  }

  delete(id: string): Promise<unknown> {
    return this.http.request("DELETE", `/api/cron/${part(id)}`);
  }
}

/** The client as Fluxbase's code makes it: its webhooks speak profile `fluxbase` unless they say otherwise. */
export class FluxbaseClient extends Client {
  override readonly webhooks = new DialectWebhooks(this.http, "fluxbase");

  /** Use another key from now on. */
  setToken(token: string): void {
    this.http.options.apiKey = token;
  }

  /** Tell whether a signature is that of a payload, the raw body or the parsed object. */
  static verifyWebhookSignature = verifyWebhookSignature;
}

/** The client as VSKI's code makes it: its webhooks speak profile `vski` unless they say otherwise. */
export class VskiClient extends Client {
  override readonly webhooks = new DialectWebhooks(this.http, "vski");
  readonly settings = { collections: new VskiCollections(this.http) };
  readonly webhookLogs = new VskiWebhookLogs(this.http);
  readonly cron = new VskiCron(this.http);

  constructor(options: ClientOptions | string) {
    super(typeof options === "string" ? { url: options } : options);
  }

  /** The records of a collection. */
  collection(name: string): VskiRecords {
    return new VskiRecords(this.http, name);
  }

  /** Use another key from now on. */
  setToken(token: string): void {
    this.http.options.apiKey = token;
  }
}
