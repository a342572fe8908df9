import type { Profile } from "./verify.js";

export type Operation = "INSERT" | "UPDATE" | "DELETE" | "*";

/** Changes of one table. Without `schema`, the table in `public`. */
export interface TableFilter {
  table: string;
  schema?: string | null;
  operations?: Operation[];
}

export type RetryPolicy =
  | { delays: number[]; jitter?: number }
  | { base: number; factor?: number; max?: number; tries?: number; jitter?: number };

export interface Signature {
  header: string;
  format?: "hex" | "sha256=hex" | "base64" | "t=,v1=";
}

export interface WebhookInput {
  url: string;
  /** Event types, families such as `content.*`, `*`, or tables. */
  events: (string | TableFilter)[];
  name?: string;
  description?: string | null;
  enabled?: boolean;
  profile?: Profile;
  /** Made when absent; the answer to the creation has it. */
  secret?: string | null;
  asymmetric?: boolean;
  signature?: Signature | null;
  body_template?: string | null;
  jwt_enabled?: boolean;
  method?: string;
  headers?: Record<string, string>;
  timeout_seconds?: number;
  /** Wins over the two that follow. */
  retry?: RetryPolicy;
  max_retries?: number;
  retry_backoff_seconds?: number;
  concurrency?: number;
  rate_per_second?: number | null;
  ordered?: boolean;
}

export interface Webhook {
  id: string;
  name: string;
  description: string | null;
  url: string;
  enabled: boolean;
  is_active: boolean;
  disabled_reason: string | null;
  profile: Profile;
  events: (string | TableFilter)[];
  asymmetric: boolean;
  signature: Signature | null;
  body_template: string | null;
  jwt_enabled: boolean;
  method: string;
  headers: Record<string, string>;
  timeout_seconds: number;
  retry: RetryPolicy;
  max_retries: number;
  retry_backoff_seconds: number;
  concurrency: number;
  rate_per_second: number | null;
  ordered: boolean;
  version: number;
  fault: string | null;
  scope: string;
  created_at: string;
  updated_at: string;
  tables?: { schema: string; table: string; state: string; reason: string | null }[];
  /** In the answer to the creation only; `webhooks.getSecret` reads it again. */
  secret?: string;
  /** How it fares; where it is read. */
  health?: Health;
  /** Why it has its profile. In the answer to the creation only. */
  profile_reason?: string;
  message?: string;
}

/** How a webhook fares. `hour`, `day` and `month` are told of one webhook, not in lists. */
export interface Health {
  state: "healthy" | "failing" | "resting" | "paused" | "disabled" | "idle";
  since: string | null;
  until: string | null;
  sentence: string;
  waiting: number;
  sending: number;
  last_success_at: string | null;
  last_failure_at: string | null;
  last_failure: string | null;
  success_rate: number | null;
  hour?: Figures;
  day?: Figures;
  month?: Figures;
}

/** A webhook as it may be sent back: what was read of it, changed or not. */
export type WebhookChange = Partial<WebhookInput> & Partial<Omit<Webhook, "secret">>;

/** Fields of a webhook as they would be, and which event to show. */
export type PreviewInput = WebhookChange & TestInput & { secret?: string | null; event_id?: string };

/** A request as it would be sent. */
export interface Preview {
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
  profile: Profile;
  event: { id: string; type: string; name: string; is_sample: boolean; occurred_at: string };
  /** What will differ when it is sent. */
  notes: string[];
  profile_reason: string | null;
}

export type DeliveryStatus = "pending" | "sending" | "retrying" | "succeeded" | "failed" | "cancelled";

export interface Delivery {
  id: string;
  webhook_id: string;
  event_id: string;
  event: string;
  event_type: string;
  table_name: string | null;
  record_id: string | null;
  status: DeliveryStatus;
  attempts: number;
  attempt: number;
  attempt_number: number;
  response_status: number | null;
  status_code: number | null;
  http_status_code: number | null;
  response_code: number | null;
  response_body: string | null;
  error: string | null;
  error_message: string | null;
  payload: unknown;
  is_test: boolean;
  created_at: string;
  delivered_at: string | null;
  finished_at: string | null;
  next_retry_at: string | null;
}

export interface Attempt {
  number: number;
  started_at: string;
  response_status: number | null;
  response_headers: [string, string][];
  response_body: string | null;
  is_truncated: boolean;
  failure: string | null;
  error: string | null;
  dns_ms: number | null;
  connect_ms: number | null;
  tls_ms: number | null;
  first_byte_ms: number | null;
  total_ms: number | null;
}

/**
 * What a test event is: `event`, a type by the names of the webhook's profile, with `data` instead of its example; or with
 * `table` the change of a row.
 */
export interface TestInput {
  event?: string;
  table?: string;
  schema?: string;
  record?: unknown;
  old_record?: unknown;
  data?: unknown;
}

export interface TestResult {
  outcome: "answered" | "refused" | "timed_out" | "no_worker" | "waiting";
  success: boolean | null;
  message: string;
  event_id: string;
  delivery_id: string;
  status_code: number | null;
  response_body: string | null;
  error: string | null;
  total_ms: number | null;
}

export interface Secret {
  secret: string;
  previous_secret: string | null;
  previous_secret_until: string | null;
  public_key: string;
}

export interface EventInput {
  type: string;
  data?: unknown;
  subject?: string;
  /** Your own id: publishing it again sends nothing again. */
  id?: string;
}

export interface BatchResult {
  accepted: number;
  duplicates: number;
  /** Of each event its id, null where it was not accepted. */
  ids: (string | null)[];
  errors: { line: number; error: string; code: string; field: string | null }[];
}

export interface Page {
  limit?: number;
  offset?: number;
  /** Of another page of the same query. */
  cursor?: string;
  /** States, several or one. */
  status?: DeliveryStatus | DeliveryStatus[];
}

/** What events and deliveries are asked for alike. Times as `Date` or ISO 8601. */
export interface Filter {
  limit?: number;
  offset?: number;
  cursor?: string;
  /** Types or families such as `order.*`, or as receivers know them: `INSERT`. */
  type?: string | string[];
  table?: string;
  /** The row's `id` or `_id`; with `table`. */
  record_id?: string;
  /** Stands in the record's JSON, whatever the case; 3 characters at least. */
  text?: string;
  since?: Date | string;
  until?: Date | string;
  /** Tell how many there are, in `count` of the page. */
  count?: boolean;
}

export interface EventFilter extends Filter {
  subject?: string;
  external_id?: string;
}

export interface WebhookDeliveryFilter extends Filter, Page {
  event_id?: string;
  /** Kinds of failure of the last attempt, such as `timeout`. */
  failure?: string | string[];
  /** Statuses of the last response, or classes of them: `404`, `5xx`. */
  response_status?: number | string | (number | string)[];
}

export interface DeliveryFilter extends WebhookDeliveryFilter {
  webhook_id?: string;
}

/** A page of a list, newest first. */
export interface Found<T> {
  items: T[];
  /** The cursor of the page after it, of older entries. */
  next: string | undefined;
  /** The cursor of the page before it. */
  prev: string | undefined;
  /** How far was looked, when that was not far enough to fill the page; `next` goes on from there. */
  searchedTo: string | undefined;
  /** `213`, `>10000`, or `>=213` where not all was looked at. */
  count: string | undefined;
}

/** What attempts come to; without any, rate and percentiles are null. */
export interface Figures {
  succeeded: number;
  retried: number;
  failed: number;
  success_rate: number | null;
  per_second: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}

export interface Statistics {
  since: string;
  until: string;
  step: "minute" | "hour" | "day";
  total: Figures;
  series: (Figures & { starts_at: string })[];
}

export interface StatisticsFilter {
  webhook_id?: string;
  since?: Date | string;
  until?: Date | string;
  step?: "minute" | "hour" | "day";
}

export interface CollectionField {
  name: string;
  type: string;
  required?: boolean;
  unique?: boolean;
  /** What a `select` may be. */
  values?: string[];
  /** What a `relation` refers to. */
  collection?: string;
  /** In a change: the name it had before. */
  was?: string;
  [more: string]: unknown;
}

export interface CollectionInput {
  name: string;
  type?: "base" | "auth";
  fields?: CollectionField[];
  schema?: CollectionField[];
  /** An object, or the same as a JSON string. */
  options?: string | Record<string, unknown>;
  /** In a change: fields whose values may be lost. */
  drop?: string[];
}

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

export interface Logs {
  page: number;
  perPage: number;
  hasMore: boolean;
  items: LogEntry[];
}

export type Stored = { id: string } & Record<string, unknown>;

export interface CronInput {
  name: string;
  schedule: string;
  type: "http" | "sql";
  timezone?: string;
  url?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  contentType?: string;
  retryLimit?: number;
  jwtEnabled?: boolean;
  sql?: string;
  database?: string;
  /** Ticks that passed while nothing ran: the last of them once on return (default), or none. */
  missed?: "once" | "skip";
  /** Seconds a request, or the SQL, may take. */
  timeout?: number;
  active?: boolean;
}
