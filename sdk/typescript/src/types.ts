import type { Figures } from "./history-types.js";
import type { Profile } from "./verify.js";

/** What was done to a row. */
export type Operation = "INSERT" | "UPDATE" | "DELETE" | "*";

/** Changes of one table. Without `schema`, the table in `public`. */
export interface TableFilter {
  table: string;
  schema?: string | null;
  operations?: Operation[];
}

/** When a delivery is tried again: after these seconds each, or after growing ones. */
export type RetryPolicy =
  | { delays: number[]; jitter?: number }
  | { base: number; factor?: number; max?: number; tries?: number; jitter?: number };

/** A signature beside the profile's own: its header, and how it is written. */
export interface Signature {
  header: string;
  format?: "hex" | "sha256=hex" | "base64" | "t=,v1=";
}

/** A webhook as it is to be. */
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
  /** By what its receiver lets it in: `{ type: "basic", username, password }` or `{ type: "oauth2", token_url, client_id, client_secret }`. */
  auth?: Record<string, string> | null;
  /** A certificate with its chain, and its key, in PEM form. */
  client_certificate?: { certificate: string; key: string } | Certificate | null;
  /** Authorities that its receiver's certificate must come from, in PEM form. */
  ca_certificates?: string | Certificate[] | null;
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

/** What is shown of a certificate. `fingerprint`: SHA-256, in hex. */
export interface Certificate {
  subject: string;
  issuer: string;
  not_before: string;
  not_after: string;
  fingerprint: string;
}

/** Whether the changes of a table that a webhook names are captured; `reason`: why not. */
export interface TableState {
  schema: string;
  table: string;
  state: string;
  reason: string | null;
}

/** What a call did that somebody should know: who hears less than one may think. `field`: what it is about. */
export interface Warned {
  code: string;
  message: string;
  field: string;
}

/** A subscription. */
export interface Webhook {
  id: string;
  name: string;
  description: string | null;
  url: string;
  enabled: boolean;
  disabled_reason: string | null;
  profile: Profile;
  events: (string | TableFilter)[];
  asymmetric: boolean;
  signature: Signature | null;
  body_template: string | null;
  jwt_enabled: boolean;
  /** With `(hidden)` in the place of the secret. */
  auth: Record<string, string> | null;
  client_certificate: Certificate | null;
  ca_certificates: Certificate[] | null;
  method: string;
  headers: Record<string, string>;
  timeout_seconds: number;
  retry: RetryPolicy;
  concurrency: number;
  rate_per_second: number | null;
  ordered: boolean;
  /** `collection:<id>` or `cron:<id>`: what it belongs to and is changed with. */
  managed_by: string | null;
  /** Counts its changes, from 1. */
  version: number;
  fault: string | null;
  created_at: string;
  updated_at: string;
  tables?: TableState[];
  /** In the answer to the creation only; `webhooks.getSecret` reads it again. */
  secret?: string;
  /** How it fares; where it is read. */
  health?: Health;
  /** Why it has its profile. In the answer to the creation only. */
  profile_reason?: string;
  /** What it will not hear. In the answers to its creation and its changes. */
  warnings?: Warned[];
}

/** How a webhook fares. `hour`, `day` and `month` are told of one webhook, not in lists. */
export interface Health {
  state: "healthy" | "failing" | "resting" | "paused" | "disabled" | "idle" | "expiring" | "expired";
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

/** What may be changed of a webhook. `version`: only if it is still at this one. */
export type WebhookChange = Partial<WebhookInput> & { version?: number };

/** Fields of a webhook as they would be, and which event to show: one of history, or a sample. */
export type PreviewInput = WebhookChange & TestInput & { event_id?: string };

/** Of how many days a dry run is, and which page of it. */
export interface DryRunAsked {
  days?: number;
  limit?: number;
  cursor?: string;
}

/** A webhook as it would be, and of how many days. */
export type DryRunInput = WebhookChange & DryRunAsked;

/** The event of a preview. `name`: what the profile calls it; `is_sample`: it never happened. */
export interface PreviewedEvent {
  id: string;
  type: string;
  name: string;
  is_sample: boolean;
  occurred_at: string;
}

/** A request as it would be sent. */
export interface Preview {
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
  profile: Profile;
  event: PreviewedEvent;
  /** What will differ when it is sent. */
  notes: string[];
  profile_reason: string | null;
}

/** How far a delivery is. */
export type DeliveryStatus = "pending" | "sending" | "retrying" | "succeeded" | "failed" | "cancelled";

/** One event on its way to one webhook. */
export interface Delivery {
  id: string;
  webhook_id: string;
  event_id: string;
  event: string;
  schema: string | null;
  table: string | null;
  record_id: string | null;
  status: DeliveryStatus;
  attempts: number;
  response_status: number | null;
  response_body: string | null;
  /** The kind of its last failure, such as `timeout`. */
  failure: string | null;
  error: string | null;
  payload: unknown;
  is_test: boolean;
  created_at: string;
  delivered_at: string | null;
  finished_at: string | null;
  next_retry_at: string | null;
}

/** A request. `body` is null where others take all the room of the answer. */
export interface SentRequest {
  method: string;
  url: string;
  headers: [string, string][];
  body: string | null;
  /** A rule hides some of it. */
  is_redacted: boolean;
}

/** One HTTP request made for a delivery. Times in milliseconds. */
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
  /** Which version of the webhook it was made by. */
  webhook_version: number | null;
  /** What was sent; when one attempt is read. */
  request: SentRequest | null;
}

/**
 * What a test event is: `event`, a type by the names of the webhook's profile, with `data` instead of its example; or with
 * `table` the change of a row.
 */
export interface TestInput {
  event?: string | null;
  table?: string | null;
  schema?: string;
  record?: unknown;
  old_record?: unknown;
  data?: unknown;
}

/** What came of a test delivery. `success` is null while no attempt is on record. */
export interface TestResult {
  outcome: "answered" | "refused" | "timed_out" | "no_worker" | "waiting";
  success: boolean | null;
  message: string;
  event_id: string;
  delivery_id: string;
  response_status: number | null;
  response_body: string | null;
  error: string | null;
  total_ms: number | null;
}

/** Which secret comes next (made when absent), and how long the present one verifies beside it (a day). */
export interface Rotation {
  secret?: string | null;
  overlap_seconds?: number;
}

/** A webhook's secret; until `previous_secret_until` deliveries verify with either. */
export interface Secret {
  secret: string;
  previous_secret: string | null;
  previous_secret_until: string | null;
  public_key: string;
}
