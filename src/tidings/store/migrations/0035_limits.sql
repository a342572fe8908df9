-- To the operator: limits by group. Seven small tables and two columns, nothing is rewritten; no group has a limit until you set one. What is
-- stored is counted from now on: history from before counts as nothing, and is gone when its retention ends.

-- Limits ----------------------------------------------------------------------------------------------------------------------

create table tidings.group_limits (
  group_id text primary key references tidings.groups (id) on delete cascade,
  webhooks integer,
  events_per_second integer,
  events_burst integer,
  stored_bytes bigint,
  payload_bytes bigint,
  constraint group_limits_are_sane check (webhooks >= 0 and events_per_second > 0 and events_burst > 0 and stored_bytes >= 0 and payload_bytes > 0),
  constraint burst_is_of_a_rate check (events_burst is null or events_per_second is not null)
);
comment on table tidings.group_limits is 'What each group may have and do; null: as much as it likes. Groups without a row have those of default_limits.';

create table tidings.default_limits (
  is_only boolean primary key default true check (is_only),
  webhooks integer,
  events_per_second integer,
  events_burst integer,
  stored_bytes bigint,
  payload_bytes bigint,
  constraint default_limits_are_sane check (webhooks >= 0 and events_per_second > 0 and events_burst > 0 and stored_bytes >= 0 and payload_bytes > 0),
  constraint burst_is_of_a_rate check (events_burst is null or events_per_second is not null)
);
comment on table tidings.default_limits is 'One row: the limits of all groups that have none of their own; null: none.';
insert into tidings.default_limits default values;

alter table tidings.api_key_changes add column limits_version bigint not null default 1;
comment on column tidings.api_key_changes.limits_version is 'How often limits were changed: whoever looks at keys sees it by the same look.';

create function tidings.limits_changed() returns trigger language plpgsql as $$
begin
  update tidings.api_key_changes set limits_version = limits_version + 1;
  return null;
end
$$;
create trigger limits_changed after insert or update or delete or truncate on tidings.group_limits
  for each statement execute function tidings.limits_changed();
create trigger limits_changed after insert or update or delete or truncate on tidings.default_limits
  for each statement execute function tidings.limits_changed();

-- Events a second: one bucket for each group, of which processes take portions ----------------------------------------------------

create unlogged table tidings.group_rates (
  group_id text primary key,
  tokens double precision not null,
  filled_at timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table tidings.group_rates is 'The bucket of each group that has a limit of events a second. Not logged: after a crash buckets are full.';

create function tidings.take_events(
  of_group text, rate double precision, burst double precision, need integer, ahead integer, out granted integer, out remaining double precision)
language plpgsql set search_path = pg_catalog as $$
declare
  at timestamptz;
begin
  insert into tidings.group_rates (group_id, tokens, filled_at) values (of_group, burst, clock_timestamp()) on conflict do nothing;
  select tokens, filled_at into remaining, at from tidings.group_rates where group_id = of_group for update;
  remaining := least(burst, remaining + rate * greatest(0, extract(epoch from clock_timestamp() - at)));
  granted := floor(least(remaining, need + least(ahead, greatest(0, (remaining - need) / 2))));
  remaining := remaining - granted;
  update tidings.group_rates set tokens = remaining, filled_at = greatest(at, clock_timestamp()) where group_id = of_group;
end $$;
comment on function tidings.take_events is 'Takes tokens out of a group''s bucket: what is needed as far as there is so much, and some ahead, never more than half of what is left. It decides as core.limits.take does; a test compares them.';

-- Bytes that are stored -----------------------------------------------------------------------------------------------------------

create table tidings.stored_changes (
  group_id text not null,
  day date not null,
  bytes bigint not null,
  events bigint not null
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index stored_changes_of_group on tidings.stored_changes (group_id);
comment on table tidings.stored_changes is 'What was written to history, added in the transactions that write it: rows that nobody waits for. The bookkeeper adds them up into stored_bytes.';

create table tidings.stored_bytes (
  group_id text not null,
  day date not null,
  bytes bigint not null,
  primary key (group_id, day)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index stored_bytes_by_day on tidings.stored_bytes (day);
comment on table tidings.stored_bytes is 'The bytes that each group has in the history of each day: records, old records, and what receivers answered. They go with the day''s partitions.';

create unlogged table tidings.group_paces (
  group_id text primary key,
  events bigint not null,
  since timestamptz not null,
  per_second double precision not null default 0,
  noted_at timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table tidings.group_paces is 'How many events a second each group had of late, whatever they came from.';
comment on column tidings.group_paces.per_second is 'Of the stretch before since; noted_at says when that was.';

create table tidings.group_overruns (
  group_id text not null references tidings.groups (id) on delete cascade,
  limit_name text not null constraint known_limit check (limit_name in ('stored_bytes', 'events_per_second')),
  since timestamptz not null,
  primary key (group_id, limit_name)
);
comment on table tidings.group_overruns is 'Groups that are over a limit, by what nobody refuses: told once, and forgotten when they are within it again.';

alter table tidings.outbox add column is_counted boolean;
comment on column tidings.outbox.is_counted is 'Its bytes were counted in the transaction that accepted it, since its group has limits. Null: whoever routes it counts them.';

alter table tidings.integration_refusals drop constraint refusal_reason_is_known,
  add constraint refusal_reason_is_known check (reason in ('disconnected', 'signature', 'replayed', 'body', 'fault', 'limit'));
