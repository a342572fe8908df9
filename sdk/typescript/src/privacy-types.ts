/** What of a redaction rule can be said. */
export interface RedactionChange {
  name?: string;
  /** The types it is for, families (`order.*`) or `*`. */
  events?: string[];
  /** The one webhook whose deliveries it is for. */
  webhook_id?: string | null;
  /** Paths of what is not kept of payloads, such as `customer.email`. */
  fields?: string[];
  subject?: boolean;
  headers?: string[];
  responses?: "full" | "scrubbed" | "none";
  resend_hours?: number;
  payload_hours?: number | null;
}

/** A redaction rule to make. */
export interface RedactionInput extends RedactionChange {
  events: string[];
}

/** What of events and of answers is not kept. */
export interface RedactionRule {
  id: string;
  name: string;
  events: string[];
  webhook_id: string | null;
  fields: string[];
  subject: boolean;
  headers: string[];
  responses: "full" | "scrubbed" | "none";
  resend_hours: number;
  payload_hours: number | null;
  created_at: string;
  updated_at: string;
}

/** A rule to try, and the event to try it on; the latest that it is for when none is named. */
export interface RedactionPreviewInput {
  rule: RedactionChange;
  event_id?: string | null;
}

/** What is kept of an event. */
export interface KeptEvent {
  subject: string | null;
  external_id: string | null;
  record: unknown;
  old_record: unknown;
}

/** What a rule would do to an event. `hidden`: the paths by which something would be missing. */
export interface RedactionPreview {
  event_id: string;
  type: string;
  hidden: string[];
  responses: string;
  before: KeptEvent;
  after: KeptEvent;
}

/** A subject: a value at a path of payloads, or without `field` a text that stands in them anywhere. */
export interface SubjectInput {
  value: string | number;
  field?: string | null;
}

/** Whose data is erased. */
export interface ErasureInput extends SubjectInput {
  /** Only count. */
  dry_run?: boolean;
  /** What is not delivered yet is delivered first, or not at all. */
  pending?: "finish" | "cancel";
}

/** How many rows of a place were about the subject, and of how many that was taken out. */
export interface ErasedCount {
  found: number;
  erased: number;
}

/** A job that takes what is kept of somebody out of all places. */
export interface Erasure {
  id: string;
  state: "waiting" | "running" | "done" | "cancelled" | "failed";
  stage: string | null;
  field: string | null;
  /** The same for the same subject, who is not told. */
  subject_hash: string;
  dry_run: boolean;
  pending: "finish" | "cancel";
  until: string;
  /** From 0 to 1. */
  progress: number;
  report: Record<string, ErasedCount>;
  error: string | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
}
