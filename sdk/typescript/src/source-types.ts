import type { Paged } from "./history-types.js";
import type { Warned } from "./types.js";

/** An event type that is described. `schema`: JSON Schema of its data; null: anything. */
export interface EventType {
  name: string;
  description: string | null;
  schema: unknown;
  example: unknown;
  built_in: boolean;
  updated_at: string | null;
}

/** What is said of an event type. */
export interface EventTypeInput {
  description?: string | null;
  schema?: Record<string, unknown> | boolean | null;
  example?: unknown;
}

/** How a table is captured. */
export interface Table {
  schema: string;
  table: string;
  /** Which changes are captured, since some webhook wants them. */
  operations: string[];
  /** The column that says whose a row is. */
  group_by: string | null;
  /** What becomes of rows of groups that are not there. */
  unknown_groups: string;
  /** Columns that are told to nobody. */
  exclude: string[];
  /** Column to the name it is told by. */
  rename: Record<string, string>;
  /** An update is told where one of these columns changed; any, when empty. */
  changed: string[];
  /** Operation to the condition under which it is told. */
  when: Record<string, string>;
  fault: string | null;
  state: "captured" | "missing" | "disabled" | "waiting" | "stopped" | "unwanted" | "left";
  /** Why it is in that state. */
  reason: string | null;
  /** Who hears less of it now. In the answer to a change. */
  warnings?: Warned[];
}

/** How a table is to be captured; what is left out is as for any table. */
export interface TableInput {
  group_by?: string | null;
  unknown_groups?: string;
  exclude?: string[];
  rename?: Record<string, string>;
  changed?: string[];
  when?: string | Record<string, string>;
}

/** A job that sends a table's present rows to a webhook. */
export interface Backfill {
  id: string;
  webhook_id: string;
  schema: string;
  table: string;
  state: string;
  row_count: number;
  /** Left to events of their own, or gone. */
  skipped_count: number;
  /** A guess at the whole table, when it began. */
  estimated_rows: number;
  /** Why it cannot go on for now. */
  error: string | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
  /** Why rows were left out. */
  warnings: Warned[];
}

/** A field of a collection. */
export interface Field {
  name: string;
  type: string;
  required?: boolean;
  unique?: boolean;
  /** What a `select` may be. */
  values?: string[];
  /** What a `relation` refers to. */
  collection?: string | null;
}

/** A collection of records, with its fields in `schema`. */
export interface Collection {
  id: string;
  name: string;
  type: string;
  schema: Field[];
  options: Record<string, unknown>;
  author: string | null;
  /** Why it cannot be read as it is stored. */
  fault?: string;
  created: string;
  updated: string;
}

/** A field as it is to be. `was`: in a change, the name it had before. */
export type FieldInput = Field & { was?: string; [more: string]: unknown };

/** What a collection is to be. */
export interface CollectionInput {
  name?: string;
  type?: "base" | "auth";
  schema?: FieldInput[];
  /** An object, or the same as a JSON string. */
  options?: string | Record<string, unknown>;
  author?: string | null;
  /** In a change: fields whose values may be lost. */
  drop?: string[];
}

/** A record: its fields, and `id`, `created` and `updated`. */
export type CollectionRecord = { id: string } & Record<string, unknown>;

/** A page of records. */
export interface RecordPage {
  page: number;
  perPage: number;
  totalItems: number;
  totalPages: number;
  items: CollectionRecord[];
}

/** Which page of a list, counted from 1, and how long pages are. */
export interface Numbered {
  page?: number;
  perPage?: number;
}

/** Which records. `filter`: such as `status = "active" && total > 5`; `sort`: fields, with `-` for descending. */
export interface RecordFilters extends Numbered {
  filter?: string;
  sort?: string;
}

/** Who somebody says to be; `identity` is the same as `email`. */
export interface Credentials {
  password: string;
  email?: string | null;
  identity?: string | null;
}

/** Who somebody is: the record, and a token of an hour that says so. */
export interface Session {
  token: string;
  record: CollectionRecord;
}

/** A job of a schedule. Of an SQL job, what belongs to requests is null; of an http job, `sql`. */
export interface Job {
  id: string;
  name: string;
  schedule: string;
  timezone: string;
  type: "http" | "sql";
  url: string | null;
  method: string | null;
  headers: Record<string, string> | null;
  body: string | null;
  contentType: string | null;
  retryLimit: number | null;
  jwtEnabled: boolean | null;
  sql: string | null;
  timeout: number;
  missed: "once" | "skip";
  active: boolean;
  fault: string | null;
  /** Its next tick. */
  next: string | null;
  created: string;
  updated: string;
}

/** A page of jobs. */
export interface JobPage {
  page: number;
  perPage: number;
  totalItems: number;
  totalPages: number;
  items: Job[];
}

/** What a job does, and when. */
export interface JobInput {
  name?: string;
  schedule?: string;
  timezone?: string;
  type?: "http" | "sql";
  url?: string;
  method?: string;
  headers?: Record<string, string> | string;
  body?: unknown;
  contentType?: string | null;
  retryLimit?: number;
  jwtEnabled?: boolean;
  sql?: string;
  database?: string | null;
  /** Seconds a request, or the SQL, may take. */
  timeout?: number;
  /** Ticks that passed while nothing ran: the last of them once on return (default), or none. */
  missed?: "once" | "skip";
  active?: boolean;
}

/** A tick that fired. */
export interface Run {
  scheduled: string;
  fired: string;
  event: string | null;
  missed: number;
  /** `fired`: its request is a delivery of `event`. */
  status: "fired" | "running" | "succeeded" | "failed";
  result: string | null;
  error: string | null;
  finished: string | null;
}

/** How an integration reads notices: its signature's `header` and `format`; `deployed_types` are of deployments. */
export interface IntegrationSettings {
  header?: string;
  format?: string;
  id_header?: string | null;
  deployed_types?: string[];
}

/** Another system that sends notices to `url`. `secret`: in the answer to its creation, where it was made here. */
export interface Integration {
  name: string;
  platform: string;
  url: string;
  settings: IntegrationSettings;
  enabled: boolean;
  created_at: string;
  updated_at: string;
  /** Why it is set aside. Its notices get 503. */
  fault: string | null;
  secret?: string;
}

/** What an integration is to be. `secret`: made when absent. */
export interface IntegrationInput {
  name?: string;
  platform?: string;
  secret?: string | null;
  settings?: IntegrationSettings;
  enabled?: boolean;
}

/** An object of another system, as it was told last. */
export interface IntegrationObject {
  type: string;
  id: string;
  version: number;
  data: unknown;
  updated_at: string;
}

/** Which objects of an integration. */
export interface ObjectFilters {
  limit?: number;
  offset?: number;
  type?: string;
}

/** Objects as they are in the other system, each with `type`, `id` and `data`; `complete`: these are all. */
export interface SyncInput {
  objects: ({ type: string; id: string; data: unknown } & Record<string, unknown>)[];
  complete?: boolean;
}

/** What a synchronisation came to: of each kind how many. */
export interface SyncResult {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
}

/** What a group may have and do; null: as much as it likes. */
export interface Limits {
  webhooks: number | null;
  events_per_second: number | null;
  /** How many events may come at once after a pause; null: as many as a second's. */
  events_burst: number | null;
  /** Of records, old records and answers of receivers that are kept. */
  stored_bytes: number | null;
  /** Of one event's data. */
  payload_bytes: number | null;
}

/** Limits to change; those that are left out stay, null: no limit. */
export interface LimitsInput {
  webhooks?: number | null;
  events_per_second?: number | null;
  events_burst?: number | null;
  stored_bytes?: number | null;
  payload_bytes?: number | null;
}

/** What a group has and does. */
export interface LimitsUsed {
  webhooks: number;
  events_per_second: number;
  /** How many events may be published at once, now; null: as many as it likes. */
  events_left: number | null;
  stored_bytes: number;
}

/** A limit that a group is over, by what nobody refuses, such as captured changes. */
export interface Overrun {
  limit: string;
  since: string;
}

/** The limits of a group, and what is used of them. */
export interface GroupLimits {
  group: string;
  /** Whether they are its own; else they are those of all groups. */
  is_own: boolean;
  limits: Limits;
  used: LimitsUsed;
  over: Overrun[];
}

/** A customer or tenant: webhooks and events of one are never seen by another. */
export interface Group {
  id: string;
  created_at: string;
  /** Since when it is being deleted. */
  deleting_at: string | null;
  /** Why that cannot go on for now. */
  fault: string | null;
}

/** How a customer's portal looks: a name, a picture as a `data:` URL, a colour as `#rrggbb`. */
export interface Brand {
  name?: string | null;
  logo?: string | null;
  accent?: string | null;
}

/** A signature in a header of its own. */
export interface BinSignature {
  header: string;
  format?: "hex" | "sha256=hex" | "base64" | "t=,v1=";
}

/** What a bin answers, and what verifies what comes: a profile and a secret, or a webhook's. */
export interface BinInput {
  name?: string;
  status?: number;
  delay_seconds?: number;
  body?: string;
  content_type?: string;
  profile?: string | null;
  secret?: string | null;
  signature?: BinSignature | null;
  webhook_id?: string | null;
}

/** A request bin. `url`: where it takes any request, and below. */
export interface Bin {
  id: string;
  name: string;
  url: string;
  /** What it answers. */
  status: number;
  delay_seconds: number;
  body: string;
  content_type: string;
  /** By whose rules requests should be signed; null: they are not verified, or by those of the webhook. */
  profile: string | null;
  signature: BinSignature | null;
  /** It has a secret of its own to verify with. */
  has_secret: boolean;
  webhook_id: string | null;
  /** How many requests ever came: the number of the newest. */
  request_count: number;
  /** How many did not, because more came than it takes in a second. */
  refused_count: number;
  created_at: string;
  updated_at: string;
  used_at: string;
}

/** Whether a request is signed as expected, and why. `seconds_off`: how long before it came it was signed. */
export interface Verdict {
  is_verified: boolean;
  reason: string;
  sentence: string;
  seconds_off: number | null;
}

/** A request that came to a bin. Its body is in `body` when it is text, else in `body_base64`. */
export interface CaughtRequest {
  number: number;
  received_at: string;
  method: string;
  path: string;
  /** Name and value of each, in their order. */
  headers: [string, string][];
  body: string | null;
  body_base64: string | null;
  /** How much of the body was read; `is_truncated`: more came than is kept. */
  body_bytes: number;
  is_truncated: boolean;
  address: string;
  /** What it was answered with. */
  status: number;
  verdict: Verdict;
}

/** Which requests: newest first, or those behind the number `after`, oldest first. */
export interface BinRequestFilters {
  limit?: number;
  before?: number;
  after?: number;
}

/** How long a link holds (seconds), how the portal looks, and which pages may frame it. */
export interface PortalLinkInput {
  expires_in?: number;
  /** Look; also make and change webhooks (when absent); also choose tables and collections. */
  access?: "read" | "manage" | "full";
  brand?: Brand | null;
  origins?: string[];
}

/** A link that shows a customer the portal. `sessions`: how many browsers it let in. */
export interface PortalLink {
  id: string;
  group: string;
  name: string | null;
  origins: string[];
  /** The key or the member that made it, which it ends with. */
  made_by: string;
  sessions: number;
  access: "read" | "manage" | "full";
  created_at: string;
  expires_at: string;
}

/** A link that was made just now. `url` is shown this once. */
export interface MadePortalLink {
  id: string;
  group: string;
  url: string;
  access: "read" | "manage" | "full";
  expires_at: string;
}

/** A key whose signatures verify, or will. `until`: it is published so long. */
export interface SigningKey {
  id: string;
  purpose: string;
  state: "signing" | "next" | "before";
  signs_from: string;
  until: string | null;
  public_key: string;
}

/** How long new keys are published before they sign; `leaked`: the old ones are published no longer than they sign. */
export interface KeyRotation {
  overlap_seconds?: number;
  leaked?: boolean;
}

/** A key to make: what it is for, what it may do, the group it is for (null: all), and for how many seconds it is good. */
export interface ApiKeyInput {
  name: string;
  scopes: string[];
  bound_to?: string | null;
  expires_in?: number | null;
}

/** How long the present key is good beside the new one, and for how many seconds from now that is (null: as before). */
export interface ApiKeyRotation {
  overlap_seconds?: number;
  expires_in?: number | null;
}

/** A key of the API, without what is secret of it. `start`: what it begins with; `bound_to`: null for all groups. */
export interface ApiKey {
  id: string;
  name: string;
  start: string;
  scopes: string[];
  bound_to: string | null;
  /** It is the admin key of the settings, and is changed there. */
  of_settings: boolean;
  created_at: string;
  rotated_at: string | null;
  /** Until when the one before the last rotation is good. */
  previous_until: string | null;
  expires_at: string | null;
  revoked_at: string | null;
  /** To within a minute. */
  used_at: string | null;
  used_from: string | null;
}

/** A key that was made or rotated just now. `key` is shown this once. */
export interface MadeApiKey {
  id: string;
  name: string;
  key: string;
  scopes: string[];
  bound_to: string | null;
  previous_until: string | null;
  expires_at: string | null;
}

/** What a member is; `bound_to`: null for all groups. */
export interface MemberRole {
  role: "owner" | "developer" | "support" | "viewer";
  bound_to: string | null;
}

/** Somebody who may sign in to the portal by the provider. `subject`: who they are there; null: they have not come yet. */
export interface Member {
  id: string;
  email: string;
  name: string;
  issuer: string | null;
  subject: string | null;
  roles: MemberRole[];
  invited_at: string;
  joined_at: string | null;
  signed_in_at: string | null;
}

/** Somebody to invite. `groups`: null, or left out, for all of them. */
export interface MemberInput {
  email: string;
  role: MemberRole["role"];
  groups?: string[] | null;
}

/** What a member is to be. `none` takes away the role that they have. */
export interface MemberRoleInput {
  role: MemberRole["role"] | "none";
  groups?: string[] | null;
}

/** A browser that is signed in to the portal. */
export interface PortalSession {
  id: string;
  by: "key" | "member";
  key_id: string | null;
  key_name: string | null;
  member_id: string | null;
  member_email: string | null;
  browser: string;
  address: string;
  group: string;
  began_at: string;
  /** To within five minutes. */
  seen_at: string;
  ends_at: string;
}

/** A JSON Web Key Set. */
export interface Jwks {
  keys: { kid: string; kty: string; crv?: string; x?: string; [more: string]: unknown }[];
}

/** An event that could not be routed, or a delivery that history cannot hold, and why. `row`: when one is read by its number. */
export interface SetAsideEvent {
  number: number;
  kind: "event" | "delivery";
  group: string | null;
  source: string | null;
  type: string | null;
  schema: string | null;
  table: string | null;
  operation: string | null;
  reason: string;
  created_at: string;
  row?: Record<string, unknown> | null;
}

/** Which entries: only those with a smaller number than `before`. */
export interface SetAsidePaged {
  limit?: number;
  before?: number;
}

/** A setting that cannot be read as it is stored. `kind` and `id` name it; `reason` is with the remedy. */
export interface Fault {
  kind: "webhook" | "job" | "integration" | "collection" | "table" | "backfill";
  id: string;
  name: string;
  group: string | null;
  reason: string;
  since: string | null;
  /** By which a list goes on behind it. */
  cursor: string;
}

/** Which settings: only those behind the one with this cursor. */
export interface FaultsPaged {
  limit?: number;
  cursor?: string;
}

/** What somebody did. */
export interface AuditEntry {
  number: number;
  at: string;
  /** What it is about; null: the installation. */
  group: string | null;
  /** Such as `webhook.created`, `secret.shown` or `link.made`. */
  action: string;
  who: "key" | "session" | "member" | "link" | "system";
  /** The id of the key, the session or the portal link. */
  who_id: string | null;
  address: string;
  subject_id: string | null;
  /** What it was called then. */
  subject: string;
  /** The key that it was done with, or that the session was begun with. */
  key_id: string | null;
  key_name: string;
  /** Field to what it was and what it is; what is secret is hidden, what is long is cut. */
  changes: Record<string, [unknown, unknown]>;
}

/** An entry with its seal. */
export interface SealedEntry extends AuditEntry {
  /** In the chain: a later one has a greater place. */
  place: number;
  sealed_at: string;
  /** Over the entry and all before it, in hex. */
  hash: string;
}

/** Which sealed entries: those behind the place `after`, about which group and of which time; at most `limit` in a page. */
export interface AuditExported {
  after?: number | string;
  limit?: number;
  group?: string;
  since?: string | Date;
  until?: string | Date;
}

/** The first place where the audit is not as it was written. */
export interface AuditFault {
  kind: "changed" | "removed" | "inserted" | "reordered" | "head";
  /** In the chain. */
  place: number | null;
  /** Of the entry. */
  number: number | null;
  sentence: string;
}

/** What came of verifying a stretch of the audit. */
export interface AuditVerification {
  is_intact: boolean;
  checked: number;
  /** Up to which place of the chain was looked. */
  verified_to: number;
  /** When the entry there was sealed. */
  verified_at: string | null;
  /** The `after` to go on with; null: the end was reached, or a fault. */
  next: number | null;
  /** How many entries are not sealed yet. */
  waiting: number;
  /** Where the chain ends; noted elsewhere, it shows later that the audit was not put back. */
  head: string;
  fault: AuditFault | null;
}

/** Which part of the audit is verified: at most `limit` entries behind the place `after`; `head`: one that was noted. */
export interface AuditStretch {
  after?: number;
  limit?: number;
  head?: string;
}

/** What somebody did: about which group, by what, with which key (its id or name), to what, whence and when. */
export interface AuditFilters extends SetAsidePaged {
  cursor?: string;
  group?: string;
  who?: "key" | "session" | "member" | "link" | "system";
  who_id?: string;
  with_key?: string;
  /** Such as `webhook.deleted`, or a family such as `secret.*`. */
  action?: string | readonly string[];
  subject_id?: string;
  subject?: string;
  address?: string;
  since?: string | Date;
  until?: string | Date;
}

/** Which keys: those that are good and stop before a time, or those that are good and were not used from a time on. */
export interface KeysPaged extends Paged {
  expires_before?: string | Date;
  unused_since?: string | Date;
}

/** A line to change in a receiver. */
export interface FindingLine {
  /** The framework, program or file that it is for. */
  where: string;
  code: string;
}

/** One thing that is wrong with a receiver, in a sentence with the remedy. */
export interface Finding {
  /** For programs: it stays the same. */
  name: string;
  /** `error`: deliveries are refused or lost; otherwise they are taken. */
  level: "error" | "warning" | "note";
  sentence: string;
  /** To change, those of what the receiver seems to be written in first. */
  lines: FindingLine[];
}

/** A request that was sent to find out, and what came of it. */
export interface ProbeAnswer {
  probe: string;
  /** What it was, in words. */
  sent: string;
  /** Of a body that was made large. */
  bytes: number | null;
  response_status: number | null;
  response_body: string | null;
  error: string | null;
  total_ms: number;
}

/** What was found out about a webhook's receiver. */
export interface Diagnosis {
  /** The name of the worst finding, or `healthy`. */
  verdict: string;
  sentence: string;
  /** Deliveries are taken. */
  is_taking: boolean;
  /** What it seems to be written in; null: it does not say. */
  framework: string | null;
  findings: Finding[];
  probes: ProbeAnswer[];
}

/** Something that is wrong with an installation, in a sentence with the remedy. */
export interface Problem {
  name: string;
  sentence: string;
  /** Nothing is delivered because of it. */
  is_fatal: boolean;
}

/** All that is wrong with an installation, what stops deliveries first, and what was looked at. */
export interface Examined {
  problems: Problem[];
  looked_at: string[];
}

/** What the settings of an installation allow to be called. `http_hosts` null: plain http:// goes to `allowed_networks`. */
export interface EgressRules {
  allowed_networks: string[];
  denied_networks: string[];
  ports: string;
  denied_ports: string;
  http_hosts: string[] | null;
  allow_http: boolean;
  proxy: string | null;
}

/** An address of a name, and why it may not be called; null: it may. */
export interface JudgedAddress {
  address: string;
  cause: string | null;
}

/** Whether a URL may be called. `sentence`: what whoever writes it is told when not; `cause`: which rule it is. */
export interface Judgement {
  url: string;
  group: string;
  is_allowed: boolean;
  sentence: string | null;
  cause: string | null;
  addresses: JudgedAddress[];
}

/** What a group may not call although the installation may. `networks`, `ports`: only these, where there are any. */
export interface Narrowing {
  networks: string[];
  denied_networks: string[];
  ports: string[];
  denied_ports: string[];
  https_only: boolean;
}

/** A narrowing to set; all of it, each time. */
export type NarrowingInput = Partial<Narrowing>;
