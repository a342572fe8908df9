-- To the operator: six small tables, and four columns of the events, which no row needs to be rewritten for. Workers of the release
-- before know no rules: stop them before you make the first, or what they route meanwhile is kept whole.

-- Rules ---------------------------------------------------------------------------------------------------------------------

create table tidings.redaction_rules (
  id uuid primary key,
  group_id text not null references tidings.groups (id),
  name text not null,
  events text[] not null,
  webhook_id uuid references tidings.webhooks on delete cascade,
  fields text[] not null,
  subject boolean not null,
  headers text[] not null,
  responses text not null,
  resend_hours integer not null,
  payload_hours integer,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint redaction_is_bounded check (length(name) between 1 and 200 and cardinality(events) between 1 and 50 and cardinality(fields) <= 50
    and cardinality(headers) <= 50 and resend_hours between 0 and 8760 and payload_hours between 1 and 8760),
  constraint redaction_of_responses_is_known check (responses in ('full', 'scrubbed', 'none'))
);
create index redaction_rules_of_group on tidings.redaction_rules (group_id, created_at, id);
create index redaction_rules_of_webhook on tidings.redaction_rules (webhook_id) where webhook_id is not null;
comment on table tidings.redaction_rules is 'What of events and of answers is not kept (core.redaction). Receivers are sent all of it.';

create table tidings.privacy_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 1
);
comment on table tidings.privacy_version is 'Rises with every change of a rule, and with what is erased. A dispatcher reads it in the statement that takes rows of the outbox.';
insert into tidings.privacy_version default values;

create function tidings.privacy_changed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update tidings.privacy_version set version = version + 1;
  return null;
end
$$;
revoke all on function tidings.privacy_changed() from public;
create trigger privacy_changed after insert or update or delete or truncate on tidings.redaction_rules
  for each statement execute function tidings.privacy_changed();

-- Events --------------------------------------------------------------------------------------------------------------------

alter table tidings.events
  add column redaction json,
  add column payload_gone text,
  add column payload_gone_at timestamptz;
comment on column tidings.events.redaction is 'What rules did to it (core.redaction.Redaction); null: nothing. Its member hidden names what is missing in the row.';
comment on column tidings.events.payload_gone is 'Why its payload is not there any more: retention or erasure; null: it is.';

create table tidings.sealed_payloads (
  event_id uuid primary key,
  group_id text not null,
  sealed bytea not null,
  resend_hours integer not null,
  look_at timestamptz not null,
  look_count integer not null default 0,
  ends_at timestamptz
);
create index sealed_payloads_due on tidings.sealed_payloads (look_at);
comment on table tidings.sealed_payloads is 'Whole payloads of events that are kept without what rules hide: encrypted, while a delivery needs them. A worker deletes them (worker.shredder).';
comment on column tidings.sealed_payloads.sealed is 'AES-256-GCM under SECRET_KEY; the event''s id is the associated data.';
comment on column tidings.sealed_payloads.look_at is 'When it is looked whether a delivery still needs it: later and later.';
comment on column tidings.sealed_payloads.ends_at is 'All deliveries have ended, not all of them well: until then it can be sent again.';

create table tidings.payload_ends (
  event_id uuid primary key,
  group_id text not null,
  due_at timestamptz not null
);
create index payload_ends_due on tidings.payload_ends (due_at);
comment on table tidings.payload_ends is 'Events whose payload goes before their record, by a rule.';

create function tidings.payload_is_there(wanted uuid) returns boolean
language sql stable set search_path = pg_catalog
return coalesce((select e.payload_gone is null and (e.redaction is null or e.redaction -> 'hidden' is null
  or exists (select from tidings.sealed_payloads s where s.event_id = e.id)) from tidings.events e where e.id = wanted), true);
comment on function tidings.payload_is_there is 'Whether an event can be sent as it was: its payload is neither hidden for good nor gone. Of an event that history does not have this is not asked.';

-- What is set aside -----------------------------------------------------------------------------------------------------------

alter table tidings.outbox_rejected add column sealed bytea;
comment on column tidings.outbox_rejected.sealed is 'The records of a row of a group with rules, encrypted: its JSON has none then. Associated data: the number as a UUID.';

-- Erasures --------------------------------------------------------------------------------------------------------------------

create table tidings.erasures (
  id uuid primary key,
  group_id text not null references tidings.groups (id),
  kind text not null,
  path text,
  subject_hash bytea not null,
  subject bytea,
  dry_run boolean not null,
  pending text not null,
  state text not null,
  stage text not null,
  position text,
  until timestamptz not null,
  outbox_after xid8,
  outbox_past bigint,
  report json not null,
  due_at timestamptz not null,
  fault_count integer not null default 0,
  error text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  constraint erasure_kind_is_known check (kind in ('field', 'text') and (kind = 'field') = (path is not null)),
  constraint erasure_state_is_known check (state in ('waiting', 'running', 'done', 'cancelled', 'failed')),
  constraint erasure_pending_is_known check (pending in ('finish', 'cancel')),
  constraint erasure_forgets_its_subject check ((subject is null) = (state in ('done', 'cancelled', 'failed'))),
  constraint erasure_finished_has_its_time check ((finished_at is null) = (state in ('waiting', 'running')))
);
create index erasures_due on tidings.erasures (due_at, id) where state in ('waiting', 'running');
create index erasures_listed on tidings.erasures (group_id, created_at desc, id);
comment on table tidings.erasures is 'Jobs that erase what is kept of a subject. A row is the record of its erasure: whose it was is told by a keyed hash alone.';
comment on column tidings.erasures.subject is 'Encrypted, and only while it runs.';
comment on column tidings.erasures.subject_hash is 'HMAC-SHA-256 under a key made of SECRET_KEY: who knows the subject can find its erasure, nobody can find the subject.';
comment on constraint erasure_forgets_its_subject on tidings.erasures is 'Forbids that an erasure that is over keeps what it erased.';

create table tidings.erasure_waits (
  erasure_id uuid not null references tidings.erasures on delete cascade,
  event_id uuid not null,
  group_id text not null,
  primary key (erasure_id, event_id)
);
comment on table tidings.erasure_waits is 'Events that an erasure found and that have deliveries under way: they are erased once those have ended.';
