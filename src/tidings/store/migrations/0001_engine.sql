-- To the operator: creates the tables of the engine, all inside schema tidings. Nothing else in the database is
-- touched; triggers on your tables are made later, when a webhook names a table.

create table tidings.settings (
  name text primary key,
  value text not null
);
comment on table tidings.settings is 'Facts of this installation, made once: the salt of event ids, the hash of the admin key.';

create table tidings.groups (
  id text primary key check (id ~ '^[A-Za-z0-9_.-]{1,100}$'),
  created_at timestamptz not null default now()
);
comment on table tidings.groups is 'The tenants; a fresh installation has one.';
insert into tidings.groups (id) values ('default');

-- Configuration ------------------------------------------------------------------------------------------------------

create table tidings.webhooks (
  id uuid primary key,
  group_id text not null references tidings.groups,
  name text not null,
  description text,
  url text not null,
  enabled boolean not null,
  disabled_reason text,
  profile text not null,
  events jsonb not null,
  secret bytea not null,
  method text not null,
  headers jsonb not null,
  timeout_seconds double precision not null,
  retry jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint enabled_has_no_reason check (not enabled or disabled_reason is null)
);
create index webhooks_by_group on tidings.webhooks (group_id, created_at desc);
comment on column tidings.webhooks.secret is 'AES-256-GCM under SECRET_KEY; the id is the associated data, so rows cannot be swapped.';

create table tidings.routes_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 1
);
comment on table tidings.routes_version is 'Rises with every change of a webhook; a dispatcher compares it inside the transaction that routes.';
insert into tidings.routes_version default values;

-- Hot: only unfinished work. Rows are deleted when done, so claims stay fast whatever the history is. ------------------

-- No CHECK here: PostgreSQL prepares each anew for every statement, which took a tenth of the user's single-row transaction.
-- Two writers know the rules: tidings.capture() and store/sql/outbox.sql.
create table tidings.outbox (
  id bigint generated always as identity primary key,
  group_id text not null default 'default',
  source text not null,
  type text,
  operation text,
  subject text,
  table_schema text,
  table_name text,
  record json,
  old_record json,
  occurred_at timestamptz not null default clock_timestamp(),
  event_id uuid,
  external_id text,
  webhook_id uuid,
  capture_error text
);
comment on column tidings.outbox.event_id is 'Given when the publisher was told the id; otherwise it follows from occurred_at and id.';
comment on column tidings.outbox.webhook_id is 'The one webhook a test event is for.';

create table tidings.outbox_rejected (
  id bigint primary key,
  row_as_json json not null,
  error text not null,
  rejected_at timestamptz not null default now()
);
comment on table tidings.outbox_rejected is 'Outbox rows that could not be routed, with the reason; kept until someone looks.';

create table tidings.lanes (
  webhook_id uuid primary key references tidings.webhooks on delete cascade,
  open boolean not null default true,
  due_at timestamptz not null default 'infinity',
  concurrency integer not null,
  rate_per_second double precision,
  tokens double precision not null default 0,
  refilled_at timestamptz not null default now(),
  ordered boolean not null default false,
  allowance integer not null,
  failure_count integer not null default 0,
  rest_count integer not null default 0,
  resting_until timestamptz,
  saturated boolean not null default false,
  constraint sane_limits check (concurrency > 0 and (rate_per_second is null or rate_per_second > 0) and allowance > 0)
) with (fillfactor = 50);
create index lanes_due on tidings.lanes (due_at) where open;
comment on table tidings.lanes is 'The queue of one webhook, as a claim sees it. Locking the row is what makes its limits exact over any number of workers.';
comment on column tidings.lanes.due_at is 'No delivery of this lane is due before; a claim does not look at the lane until then.';
comment on column tidings.lanes.allowance is 'How many at once the circuit breaker allows now: 1 while the lane fails, doubled by success up to concurrency.';
comment on column tidings.lanes.failure_count is 'Attempts that failed since the last success.';
comment on column tidings.lanes.rest_count is 'Rests since the last success; each is twice as long as the one before.';
comment on column tidings.lanes.saturated is 'Something is due but all places are taken; the next result of the lane makes it due.';

create table tidings.workers (
  id uuid primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now()
);

create table tidings.queue (
  id uuid primary key,
  webhook_id uuid not null,
  event_id uuid not null,
  group_id text not null,
  event_type text not null,
  is_test boolean not null default false,
  due_at timestamptz not null,
  attempt_count integer not null default 0,
  worker_id uuid,
  claimed_at timestamptz,
  last_status integer,
  last_error text,
  constraint lease_is_whole check ((worker_id is null) = (claimed_at is null))
);
create index queue_waiting on tidings.queue (webhook_id, due_at, id) where worker_id is null;
create index queue_leased on tidings.queue (webhook_id) where worker_id is not null;
comment on table tidings.queue is 'Unfinished deliveries. Leased while worker_id is set; state follows from worker_id and attempt_count.';

-- The hot tables turn over many times a minute: vacuum them by count of dead rows, not by share, and without pauses.
alter table tidings.outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1);
alter table tidings.queue set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1);
alter table tidings.lanes set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- The lanes that fresh deliveries are for are locked in one order, so that two batches cannot wait for each other. The lock
-- also keeps a claim, which does not see the new rows yet, from putting a lane to sleep. Two statements, so that the second
-- sees what the last holder of the lock committed; one function, so that nobody waits for a journey between them.
create function tidings.lock_lanes(webhooks uuid[], now timestamptz) returns table (webhook_id uuid, room integer)
language plpgsql set search_path = pg_catalog as $$
begin
  perform from tidings.lanes l where l.webhook_id = any (webhooks) order by l.webhook_id for no key update;
  return query
    select l.webhook_id, least(l.concurrency, l.allowance)
      - (select count(*) from tidings.queue q where q.webhook_id = l.webhook_id and q.worker_id is not null)::integer
    from tidings.lanes l
    where l.webhook_id = any (webhooks) and l.open and l.due_at > now and not l.saturated and not l.ordered
      and l.rate_per_second is null and coalesce(l.resting_until <= now, true);
end $$;
comment on function tidings.lock_lanes is 'Locks lanes; returns how many deliveries those with nothing due may be given at once.';

-- Cold: append-only history in one partition a day, dropped whole. Ids are UUIDv7, so the id alone finds the partition. --

create table tidings.events (
  id uuid primary key,
  group_id text not null,
  source text not null,
  type text not null,
  operation text,
  subject text,
  table_schema text,
  table_name text,
  record json,
  old_record json,
  occurred_at timestamptz not null,
  external_id text,
  webhook_id uuid,
  capture_error text,
  delivery_count integer not null
) partition by range (id);

create table tidings.deliveries (
  id uuid primary key,
  webhook_id uuid not null,
  event_id uuid not null,
  group_id text not null,
  event_type text not null,
  is_test boolean not null,
  status text not null,
  attempt_count integer not null,
  last_status integer,
  last_error text,
  finished_at timestamptz not null,
  constraint finished check (status in ('succeeded', 'failed', 'cancelled'))
) partition by range (id);
create index deliveries_by_webhook on tidings.deliveries (webhook_id, id);

create table tidings.attempts (
  delivery_id uuid not null,
  number integer not null,
  started_at timestamptz not null,
  response_status integer,
  response_headers json,
  response_body text,
  is_truncated boolean not null default false,
  failure text,
  error text,
  dns_ms real,
  connect_ms real,
  tls_ms real,
  first_byte_ms real,
  total_ms real,
  worker_id uuid not null,
  primary key (delivery_id, number)
) partition by range (delivery_id);

create table tidings.published (
  group_id text not null,
  external_id text not null,
  event_id uuid not null,
  digest bytea not null,
  created_at timestamptz not null default now(),
  primary key (group_id, external_id)
);
create index published_by_age on tidings.published (created_at);
comment on table tidings.published is 'Ids that publishers gave, so that publishing again sends nothing again.';

create function tidings.first_id_of(day date) returns uuid
language sql immutable strict set search_path = pg_catalog
return (lpad(to_hex((extract(epoch from day::timestamp at time zone 'UTC') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
comment on function tidings.first_id_of is 'The smallest UUIDv7 of a day (UTC).';

create function tidings.ensure_day(day date) returns void
language plpgsql set search_path = pg_catalog set lock_timeout = '2s' as $$  -- nobody queues behind us for longer
declare
  parent text;
begin
  perform pg_advisory_xact_lock(7413201, 2);  -- two processes making the same day would fail each other
  foreach parent in array array['events', 'deliveries', 'attempts'] loop
    execute format('create table if not exists tidings.%I partition of tidings.%I for values from (%L) to (%L)',
      parent || to_char(day, '_YYYYMMDD'), parent, tidings.first_id_of(day), tidings.first_id_of(day + 1));
  end loop;
end $$;
comment on function tidings.ensure_day is 'Makes the partitions of a day, when they are missing.';

create function tidings.drop_days_before(day date) returns integer
language plpgsql set search_path = pg_catalog set lock_timeout = '2s' as $$  -- nobody queues behind us for longer
declare
  -- A delivery's id begins with its event's time, so the oldest id tells the oldest day for both.
  first_needed uuid := least(tidings.first_id_of(day), (select id from tidings.queue order by id limit 1));
  suffix text;
  parent text;
  dropped integer := 0;
begin
  for suffix in
    select right(c.relname, 9) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tidings.events'::regclass and c.relname ~ '_[0-9]{8}$'
      and tidings.first_id_of(to_date(right(c.relname, 8), 'YYYYMMDD') + 1) <= first_needed
  loop
    foreach parent in array array['attempts', 'deliveries', 'events'] loop
      execute format('drop table if exists tidings.%I', parent || suffix);
    end loop;
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
comment on function tidings.drop_days_before is 'Drops the history of whole days, but never a day an unfinished delivery still needs.';

-- Capture -----------------------------------------------------------------------------------------------------------

-- The doorbell. A dispatcher that sleeps holds advisory lock (7413201, 1) exclusively; this function asks for it shared,
-- to the end of the transaction. Granted: a dispatcher is awake and, to fall asleep, must wait for this transaction to
-- end. Refused: someone sleeps, so ring. pg_notify in every transaction instead would serialise their commits.
--
-- row_to_json, not to_jsonb: it keeps the columns' order, and it embeds json columns as they are, where to_jsonb fails
-- the user's statement on a \u0000 or an extreme number inside one. What still fails (a type's own broken cast, a row over
-- 1 GB as text) is caught and told in capture_error.
create function tidings.capture() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  new_row json;
  old_row json;
  problem text;
  root_schema name := coalesce(tg_argv[0], tg_table_schema);
  root_table name := coalesce(tg_argv[1], tg_table_name);
begin
  begin
    if tg_op <> 'DELETE' then new_row := row_to_json(new); end if;
    if tg_op <> 'INSERT' then old_row := row_to_json(old); end if;
  exception when others then
    new_row := null;
    old_row := null;
    problem := 'The row could not be written as JSON: ' || sqlerrm;
  end;
  insert into tidings.outbox (source, operation, table_schema, table_name, record, old_record, capture_error)
    values ('tables', tg_op, root_schema, root_table, new_row, old_row, problem);
  if not pg_try_advisory_xact_lock_shared(7413201, 1) then
    perform pg_notify('tidings_outbox', '');
  end if;
  return null;
end $$;
revoke all on function tidings.capture() from public;
comment on function tidings.capture is 'Writes one row change to the outbox, in the transaction that makes it. Arguments: schema and name of a partitioned table''s root.';
