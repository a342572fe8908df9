import type { DeliveryStatus, SentRequest } from "./types.js";
import type { Profile } from "./verify.js";

/** An event to publish. */
export interface EventInput {
  /** A dotted name, such as `order.paid`. */
  type: string;
  data?: unknown;
  /** What it is about, for people and searches. */
  subject?: string | null;
  /** Your own id: publishing it again sends nothing again. */
  id?: string | null;
}

/** What became of a publication. `duplicate`: it had been published before, and nothing was sent again. */
export interface Published {
  id: string;
  duplicate: boolean;
}

/** Something that happened. */
export interface Event {
  id: string;
  source: string;
  type: string;
  operation: string | null;
  subject: string | null;
  schema: string | null;
  table: string | null;
  /** What it says: the row as it is now, or what was published. */
  record: unknown;
  old_record: unknown;
  occurred_at: string;
  /** The publisher's own id. */
  external_id: string | null;
  /** Why the row could not be captured whole. */
  capture_error: string | null;
  /** To how many webhooks it went. */
  delivery_count: number;
  /** What a rule keeps out of it, by its paths. */
  redacted: string[];
  /** Why its payload is not kept any more. */
  payload_gone: "retention" | "erasure" | null;
  payload_gone_at: string | null;
}

/** A webhook as it was for a time. `changes`: of each changed field what it was before, and then. */
export interface Version {
  version: number;
  created_at: string;
  superseded_at: string | null;
  changes: Record<string, [unknown, unknown]>;
}

/** Why an event of a batch was not accepted; lines are counted from 1. */
export interface LineError {
  line: number;
  error: string;
  code: string;
  field: string | null;
  /** Of one that came too soon. */
  retry_after_seconds: number | null;
}

/** What became of a batch. */
export interface BatchResult {
  accepted: number;
  duplicates: number;
  /** Of each event its id, null where it was not accepted. */
  ids: (string | null)[];
  errors: LineError[];
}

/** Which part of a list: at most `limit` entries, without the `offset` first ones. */
export interface Paged {
  limit?: number;
  offset?: number;
}

/** Which part of a list: at most `limit` entries after the page that ended with `cursor`. */
export interface Walked {
  limit?: number;
  cursor?: string | number;
}

/** Which part of a list: `cursor` is the last id of the page before. */
export interface AfterPaged extends Paged {
  cursor?: string;
}

/** For which webhooks an event is explained: all, page by page, or one. */
export interface ExplainAsked {
  webhook_id?: string;
  limit?: number;
  cursor?: string;
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

/** What events are asked for. */
export interface EventFilters extends Filter {
  subject?: string;
  external_id?: string;
}

/** What deliveries of one webhook are asked for. */
export interface WebhookDeliveryFilters extends Filter {
  /** States, several or one. */
  status?: DeliveryStatus | DeliveryStatus[];
  event_id?: string;
  /** Kinds of failure of the last attempt, such as `timeout`. */
  failure?: string | string[];
  /** Statuses of the last response, or classes of them: `404`, `5xx`. */
  response_status?: number | string | (number | string)[];
}

/** What deliveries are asked for. */
export interface DeliveryFilters extends WebhookDeliveryFilters {
  webhook_id?: string;
}

/** What is sent again: deliveries by their ids (at most 1,000), or a search. */
export interface RetryInput {
  ids?: string[];
  /** Without it, what was not acknowledged: failed and retrying. */
  status?: DeliveryStatus | DeliveryStatus[];
  webhook_id?: string;
  event_id?: string;
  type?: string | string[];
  table?: string;
  record_id?: string;
  failure?: string | string[];
  response_status?: number | string | (number | string)[];
  text?: string;
  since?: Date | string;
  until?: Date | string;
  /** How many go into the queue in a second; no limit when absent. */
  rate_per_second?: number | null;
}

/** Which listener, by its name, and what it hears: `events` with a profile, or what a webhook hears; with neither everything. */
export interface ListenerInput {
  name: string;
  webhook_id?: string | null;
  events?: unknown[] | string;
  profile?: string;
}

/** Who is given deliveries when they ask. Its `id` is also that of the webhook that history knows it as. */
export interface Listener {
  id: string;
  name: string;
  /** The webhook that it mirrors. */
  webhook_id: string | null;
  events: unknown[];
  profile: string;
  timeout_seconds: number;
  enabled: boolean;
  /** Why it hears nothing. */
  reason: string | null;
  waiting: number;
  under_way: number;
  clients: number;
  created_at: string;
  heard_at: string;
  /** Until when nothing is given out: the receiver asked to be left alone, or what is first in order waits for its next attempt. */
  held_until: string | null;
  /** In the answer to its making; not of one that mirrors a webhook. */
  secret?: string;
}

/** What a client of a listener asks for. */
export interface TakeInput {
  /** An id that you made up. */
  session: string;
  /** The leases you have. */
  held?: number[];
  /** 64 at most. */
  limit?: number;
  /** 10 at most. */
  wait_seconds?: number;
}

/** A delivery to be sent as it is, signature and all, and told of by its `lease` and `version`. */
export interface Leased {
  lease: number;
  id: string;
  event_id: string;
  event: string;
  attempt_number: number;
  method: string;
  headers: [string, string][];
  body: string;
  timeout_seconds: number;
  version: number;
}

/** Deliveries that were leased. */
export interface Taken {
  deliveries: Leased[];
  /** How many wait beside these. */
  waiting: number;
  /** No later request took this one's place. */
  is_latest: boolean;
  /** Until when nothing is given out: the receiver asked to be left alone, or what is first in order waits for its next attempt. */
  held_until: string | null;
}

/** What came of a delivery: an answer, by its `response_status`, or a `failure` such as `timeout` or `connect`, with a sentence. */
export interface AttemptTold {
  lease: number;
  version: number;
  response_status?: number | null;
  response_headers?: [string, string][];
  response_body?: string;
  is_truncated?: boolean;
  failure?: string | null;
  error?: string | null;
  total_ms?: number;
}

/** Which results were written, by their leases, and which were refused because those had ended. */
export interface Recorded {
  recorded: number[];
  refused: number[];
}

/** How many deliveries that waited were cancelled. */
export interface Skipped {
  cancelled: number;
}

/** Which time is recovered. */
export interface RecoverInput {
  since: Date | string;
  /** Not included; now when absent. */
  until?: Date | string | null;
  /** Also what the webhook never had a delivery of: from while it was paused, disabled or not there. */
  missing?: boolean;
  /** How many go into the queue in a second; no limit when absent. */
  rate_per_second?: number | null;
}

/** A job that sends many deliveries again. */
export interface Recovery {
  id: string;
  state: "waiting" | "running" | "done" | "cancelled" | "failed";
  webhook_id: string | null;
  search: Record<string, string> | null;
  ids: string[];
  since: string | null;
  until: string;
  missing: boolean;
  rate_per_second: number | null;
  /** From 0 to 1; null when nobody knows. */
  progress: number | null;
  found_count: number;
  queued_count: number;
  skipped_count: number;
  error: string | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
}

/** One thing that is asked of an event, and whether it is so. */
export interface Condition {
  name: string;
  holds: boolean;
  sentence: string;
}

/** One entry of a webhook's `events`, counted from 0. It matches where all of its conditions hold. */
export interface FilterExplained {
  position: number;
  matches: boolean;
  conditions: Condition[];
}

/** Whether an event goes to a webhook as it is now, and why. */
export interface WebhookExplained {
  webhook_id: string;
  name: string;
  url: string;
  profile: Profile;
  is_sent: boolean;
  sentence: string;
  conditions: Condition[];
  filters: FilterExplained[];
  filter_count: number;
  notes: string[];
  /** What would be sent now. */
  request: SentRequest | null;
  delivery_id: string | null;
  status: DeliveryStatus | null;
}

/** An event explained for webhooks. */
export interface Explained {
  event_id: string;
  type: string;
  /** Those it goes to, then the nearest. */
  webhooks: WebhookExplained[];
  /** Of the next page; null: these were all. */
  cursor: string | null;
}

/** An event that a webhook would have been sent. */
export interface HeardEvent {
  id: string;
  type: string;
  /** What its receiver knows it as. */
  name: string;
  source: string;
  operation: string | null;
  schema: string | null;
  table: string | null;
  subject: string | null;
  occurred_at: string;
}

/** What a webhook would have been sent, newest first. */
export interface DryRun {
  profile: Profile;
  since: string;
  events: HeardEvent[];
  seen: number;
  searched_to: string | null;
  /** Where to go on; null: all was looked at. */
  cursor: string | null;
}

/** A page of a list, newest first. */
export interface Page<T> {
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
  /** Of a step. */
  starts_at?: string;
}

/** How attempts fared from `since` until `until`, in whole steps. */
export interface Statistics {
  since: string;
  until: string;
  step: "minute" | "hour" | "day";
  total: Figures;
  series: Figures[];
}

/** Of which time, and in what steps. */
export interface StatisticsFilters {
  since?: Date | string;
  until?: Date | string;
  step?: "minute" | "hour" | "day";
}

/** Of which webhook, or of all. */
export interface AllStatisticsFilters extends StatisticsFilters {
  webhook_id?: string;
}
