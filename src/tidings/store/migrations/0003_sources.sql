-- To the operator: adds the tables of collections, scheduled jobs, integrations, capture settings and event types, and the
-- function tidings.publish() for applications. Your own tables are not touched.

-- Tables by customer --------------------------------------------------------------------------------------------------

create table tidings.captured_tables (
  table_schema text not null,
  table_name text not null,
  group_column text,
  unknown_groups text not null default 'make' check (unknown_groups in ('make', 'ignore')),
  excluded_columns text[] not null default '{}',
  renamed_columns jsonb not null default '{}',
  changed_columns text[] not null default '{}',
  conditions jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (table_schema, table_name)
);
comment on table tidings.captured_tables is 'How tables are captured where that differs from whole rows into group default.';

create table tidings.backfills (
  id uuid primary key,
  group_id text not null,
  webhook_id uuid not null references tidings.webhooks on delete cascade,
  table_schema text not null,
  table_name text not null,
  key_columns text[] not null,
  heard text[] not null,
  state text not null check (state in ('running', 'finished', 'cancelled')),
  position text,
  row_count bigint not null default 0,
  skipped_count bigint not null default 0,
  estimated_rows bigint not null,
  error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
create unique index one_running_backfill on tidings.backfills (table_schema, table_name) where state = 'running';
comment on column tidings.backfills.heard is 'Operations of the table that the webhook hears: a row that one of them told is left to it.';
comment on column tidings.backfills.position is 'The key of the last row looked at, as a JSON object; the next chunk begins behind it.';
comment on index tidings.one_running_backfill is 'The trigger of a table notes the changes of one backfill at a time.';

create table tidings.backfill_changes (
  backfill_id uuid not null,
  key text not null,
  operation text not null
);
create table tidings.backfill_busy (
  backfill_id uuid not null references tidings.backfills on delete cascade,
  key text not null,
  primary key (backfill_id, key)
);
comment on table tidings.backfill_busy is 'Rows that somebody was changing when their turn came. They are looked at again: waiting for them could deadlock.';
create index backfill_changes_by_key on tidings.backfill_changes (backfill_id, key);
comment on table tidings.backfill_changes is 'Rows that changed since a backfill began: their events tell them, so the backfill does not.';

-- Leaves out and renames members of a row, in their order. Values stay as they were written.
create function tidings.shaped(whole json, excluded text[], renamed json) returns json
language sql immutable set search_path = pg_catalog
return coalesce((select json_object_agg(coalesce(renamed ->> m.key, m.key), m.value) from json_each(whole) m where m.key <> all (excluded)), '{}');

create function tidings.ring() returns void
language plpgsql set search_path = pg_catalog as $$
begin
  if not pg_try_advisory_xact_lock_shared(7413201, 1) then perform pg_notify('tidings_outbox', ''); end if;
end $$;
comment on function tidings.ring is 'The doorbell (theory: 0001_engine.sql, tidings.capture).';

-- As tidings.capture(), for tables with settings. A row that passes from one group to another was deleted for the one and
-- inserted for the other: neither may see the other's version. Where columns are left out, an error is told by its code
-- alone, since PostgreSQL's sentence may hold a value.
-- Arguments: schema, table, group's column or '', what to do about unknown groups, columns left out, renamed columns as JSON,
-- running backfill or '', its key columns, and what the trigger's WHEN says (for comparison only).
create function tidings.capture_shaped() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  excluded text[] := tg_argv[4];
  new_whole json;
  old_whole json;
  new_row json;
  old_row json;
  new_group text := 'default';
  old_group text := 'default';
  problem text;
begin
  begin
    if tg_op <> 'DELETE' then
      new_whole := row_to_json(new);
      new_row := tidings.shaped(new_whole, excluded, tg_argv[5]::json);
    end if;
    if tg_op <> 'INSERT' then
      old_whole := row_to_json(old);
      old_row := tidings.shaped(old_whole, excluded, tg_argv[5]::json);
    end if;
  exception when others then
    new_row := null;
    old_row := null;
    problem := 'The row could not be written as JSON: ' || case when excluded = '{}' then sqlerrm else 'error ' || sqlstate end;
  end;
  if tg_argv[2] <> '' then
    new_group := coalesce(new_whole ->> tg_argv[2], 'default');
    old_group := coalesce(old_whole ->> tg_argv[2], case when tg_op = 'INSERT' then new_group else 'default' end);
    if tg_op = 'DELETE' then new_group := old_group; end if;
  end if;
  if tg_argv[6] <> '' then
    insert into tidings.backfill_changes (backfill_id, key, operation)
    select distinct tg_argv[6]::uuid, k.key, o.operation
    from (select (select json_agg(w.whole ->> c)::text from unnest(tg_argv[7]::text[]) c) as key
          from (values (new_whole), (old_whole)) w (whole) where w.whole is not null) k,
      unnest(case when new_group = old_group then array[tg_op] else array['DELETE', 'INSERT'] end) o (operation);
  end if;
  insert into tidings.outbox (group_id, source, operation, table_schema, table_name, record, old_record, capture_error)
  select told.group_id, 'tables', told.operation, tg_argv[0], tg_argv[1],
    case when told.operation <> 'DELETE' then new_row end, case when told.operation <> 'INSERT' then old_row end, problem
  from (
    select new_group as group_id, tg_op as operation where new_group = old_group
    union all select old_group, 'DELETE' where new_group <> old_group
    union all select new_group, 'INSERT' where new_group <> old_group
  ) told
  where tg_argv[2] = '' or tg_argv[3] = 'make' or exists (select from tidings.groups g where g.id = told.group_id);
  perform tidings.ring();
  return null;
end $$;
revoke all on function tidings.capture_shaped() from public;

-- Collections -----------------------------------------------------------------------------------------------------------

create table tidings.collections (
  id uuid primary key,
  group_id text not null references tidings.groups,
  name text not null,
  type text not null check (type in ('base', 'auth')),
  fields jsonb not null,
  options jsonb not null,
  author text,
  table_schema text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint collection_name_is_taken unique (group_id, name)
);
comment on table tidings.collections is 'Each is the table of the same name in its group''s schema; this row knows what its columns mean.';

alter table tidings.webhooks add column managed_by text;
create index webhooks_managed on tidings.webhooks (managed_by) where managed_by is not null;
comment on column tidings.webhooks.managed_by is 'collection:<id> or cron:<id>: a trigger of a collection, or the requests of a job, which are changed there.';

-- As tidings.capture(), for the records of a collection. Arguments: id, name and group of the collection. What a record never
-- shows: when its publishing was announced, and the hash of a password.
create function tidings.capture_content() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  new_row json;
  old_row json;
  kind text;
begin
  if tg_op <> 'DELETE' then new_row := tidings.shaped(row_to_json(new), '{tidings_announced,password_hash}', '{}'); end if;
  if tg_op <> 'INSERT' then old_row := tidings.shaped(row_to_json(old), '{tidings_announced,password_hash}', '{}'); end if;
  kind := case tg_op when 'INSERT' then 'content.created' when 'DELETE' then 'content.deleted' else 'content.updated' end;
  if tg_op = 'UPDATE' then
    if new.archived and not old.archived then
      kind := 'content.archived';
    elsif new.tidings_announced is distinct from old.tidings_announced then
      kind := 'content.published';
    end if;
  end if;
  insert into tidings.outbox (group_id, source, type, operation, subject, table_schema, table_name, record, old_record)
    values (tg_argv[2], 'collections', kind, tg_op, tg_argv[0], tg_table_schema, tg_argv[1], new_row, old_row);
  perform tidings.ring();
  return null;
end $$;
revoke all on function tidings.capture_content() from public;

-- A record whose time to be published has come is marked, which is a change like any other. Rows that somebody is changing wait.
create function tidings.announce_due(now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c record;
  marked integer;
  total integer := 0;
begin
  for c in select k.table_schema, k.name from tidings.collections k loop
    execute format('update %1$I.%2$I set tidings_announced = "publishDate" where id in (select id from %1$I.%2$I '
      || 'where "publishDate" is distinct from tidings_announced and "publishDate" <= $1 and not archived '
      || 'order by "publishDate" limit 1000 for update skip locked)', c.table_schema, c.name) using now;
    get diagnostics marked = row_count;
    total := total + marked;
  end loop;
  return total;
end $$;

-- Schedules -------------------------------------------------------------------------------------------------------------

create table tidings.cron_jobs (
  id uuid primary key,
  group_id text not null references tidings.groups,
  name text not null,
  schedule text not null,
  timezone text not null,
  type text not null check (type in ('http', 'sql')),
  webhook_id uuid references tidings.webhooks,
  body text,
  content_type text,
  sql text,
  timeout_seconds double precision not null,
  missed text not null check (missed in ('once', 'skip')),
  enabled boolean not null,
  next_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint cron_name_is_taken unique (group_id, name),
  constraint job_is_whole check ((type = 'http') = (webhook_id is not null) and (type = 'sql') = (sql is not null))
);
create index cron_jobs_due on tidings.cron_jobs (next_at) where enabled;
comment on column tidings.cron_jobs.webhook_id is 'Carries the job''s requests: same queue, same retries, same log.';
comment on column tidings.cron_jobs.missed is 'Ticks that passed while nothing ran: the last of them once on return, or none.';

create table tidings.cron_runs (
  job_id uuid not null references tidings.cron_jobs on delete cascade,
  scheduled_at timestamptz not null,
  fired_at timestamptz not null,
  event_id uuid,
  missed_count integer not null default 0,
  status text not null check (status in ('fired', 'running', 'succeeded', 'failed')),
  result text,
  error text,
  finished_at timestamptz,
  primary key (job_id, scheduled_at)
);
create index cron_runs_under_way on tidings.cron_runs (fired_at) where status = 'running';
comment on table tidings.cron_runs is 'Every tick that fired; its key is what makes each fire once.';

-- Integrations ----------------------------------------------------------------------------------------------------------

create table tidings.integrations (
  id uuid primary key,
  group_id text not null references tidings.groups,
  name text not null,
  platform text not null,
  secret bytea not null,
  settings jsonb not null,
  enabled boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint integration_name_is_taken unique (name)
);
comment on table tidings.integrations is 'Systems that send notices to /in/<name>; the name is the installation''s, not the group''s.';

create table tidings.integration_objects (
  integration_id uuid not null references tidings.integrations on delete cascade,
  object_type text not null,
  object_id text not null,
  version numeric not null,
  data json,
  updated_at timestamptz not null,
  primary key (integration_id, object_type, object_id)
);
comment on column tidings.integration_objects.data is 'Null once it was deleted: a notice that comes late must not bring it back.';

create table tidings.integration_notices (
  integration_id uuid not null references tidings.integrations on delete cascade,
  notice_id text not null,
  digest bytea not null,
  received_at timestamptz not null,
  primary key (integration_id, notice_id)
);
create index integration_notices_by_age on tidings.integration_notices (received_at);
create unique index integration_notices_by_digest on tidings.integration_notices (integration_id, digest);

-- Publishing ------------------------------------------------------------------------------------------------------------

create table tidings.event_types (
  group_id text not null references tidings.groups,
  name text not null,
  description text,
  json_schema json,
  example json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (group_id, name)
);
comment on table tidings.event_types is 'What applications publish, for those who subscribe: words, a JSON Schema that data must match, an example.';

-- Writes an event to the outbox in the caller's own transaction. Only to whom it is granted:
--   grant usage on schema tidings to app; grant execute on function tidings.publish to app;
create function tidings.publish(type text, data json default 'null', subject text default null, id text default null, group_id text default 'default')
returns uuid language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  at timestamptz := clock_timestamp();
  -- UUIDv7 (RFC 9562, 5.7): the time in the first 48 bits, version 7 over gen_random_uuid's version 4
  made uuid := encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid;
  -- as sources/publish.py, Draft.digest
  digest bytea := sha256(convert_to(publish.type, 'UTF8') || '\x00'::bytea || convert_to(coalesce(publish.subject, ''), 'UTF8')
    || '\x00'::bytea || convert_to(publish.data::text, 'UTF8'));
  known record;
begin
  if publish.type is null or publish.type !~ '^[^\s.*]+(\.[^\s.*]+)*$' or length(publish.type) > 200 or publish.type ~ '^(table|webhook)\.' then
    raise exception using errcode = 'invalid_parameter_value', message = format('type is %L; write a dotted name such as order.paid.', publish.type),
      hint = 'The families table. and webhook. are made by Tidings.';
  end if;
  if length(publish.id) not between 1 and 200 then
    raise exception using errcode = 'invalid_parameter_value', message = 'id must have 1 to 200 characters.';
  end if;
  if not exists (select from tidings.groups g where g.id = publish.group_id) then
    raise exception using errcode = 'invalid_parameter_value', message = format('There is no group %L.', publish.group_id);
  end if;
  if publish.id is not null then
    insert into tidings.published (group_id, external_id, event_id, digest) values (publish.group_id, publish.id, made, digest)
      on conflict do nothing;
    if not found then
      select p.event_id, p.digest into known from tidings.published p where p.group_id = publish.group_id and p.external_id = publish.id;
      if known.digest <> digest then
        raise exception using errcode = 'unique_violation',
          message = format('An event with the id %L was published before, with other content. Give this one its own id.', publish.id);
      end if;
      return known.event_id;
    end if;
  end if;
  insert into tidings.outbox (group_id, source, type, subject, record, occurred_at, event_id, external_id)
    values (publish.group_id, 'publish', publish.type, publish.subject, coalesce(publish.data, 'null'), at, made, publish.id);
  perform tidings.ring();
  return made;
end $$;
revoke all on function tidings.publish from public;
