-- name: prepare
-- Three tables alike: one without capture, one captured, one whose trigger notifies per row as the naive way does.
create table public.plain (id bigint generated always as identity primary key, n bigint, email text, total numeric, status text, created_at timestamptz default now(), note text);
create table public.captured (like public.plain including all);
create table public.notified (like public.plain including all);
create function public.notify_per_row() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into tidings.outbox (source, operation, table_schema, table_name, record)
    values ('tables', tg_op, tg_table_schema, tg_table_name, row_to_json(new));
  perform pg_notify('tidings_outbox', '');
  return null;
end $$;
create trigger notify_per_row after insert on public.notified for each row execute function public.notify_per_row();

-- name: create_database
create database apart;

-- name: drop_database
drop database apart with (force);

-- name: fill_outbox
-- A backlog of published events of so many types in one transaction. $1 how many, $2 how many types, $3 bytes of data in each, 150 or more
with made as (
  insert into tidings.outbox (source, type, record)
  select 'publish', 'bench.t' || i % $2::integer, json_build_object('id', i, 'email', 'user' || i || '@example.com', 'total', 12.5,
    'status', 'paid', 'created_at', '2026-01-01T00:00:00.000Z', 'note', repeat('x', $3::integer - 130))
  from generate_series(1, $1::integer) i
)
select pg_notify('tidings_outbox', '');

-- name: publish_numbered
-- One small event with a number. $1 type, $2 number
with made as (
  insert into tidings.outbox (source, type, record) values ('publish', $1, json_build_object('n', $2::bigint))
)
select case when pg_try_advisory_xact_lock_shared(7413201, 1) then null else pg_notify('tidings_outbox', '') end;

-- name: insert_captured
-- $1 number
insert into public.captured (n, email, total, status, note) values ($1, 'user@example.com', 12.5, 'paid', repeat('x', 150));

-- name: fill_stuck
-- A lane with very many due rows, all of one event. $1 webhook, $2 how many
with event as (
  insert into tidings.events (id, group_id, source, type, record, occurred_at, delivery_count)
  values ((lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
    'default', 'publish', 'bench.stuck', '{}', now(), 1)
  returning id
), stuck as (
  update tidings.lanes set waiting = waiting + $2::integer where webhook_id = $1
)
insert into tidings.queue (id, webhook_id, event_id, group_id, due_at)
select (left(id::text, 14) || '7' || substr(md5(i::text), 1, 3) || '-8' || substr(md5(i::text), 4, 3) || '-' || substr(md5(i::text), 7, 12))::uuid,
  $1, id, 'default', now() - interval '1 minute'
from event, generate_series(1, $2::integer) i;

-- name: wake_lanes
update tidings.lanes set due_at = now() where due_at > now();

-- name: clear_webhooks
with queued as (delete from tidings.queue), flying as (delete from tidings.flights), unrouted as (delete from tidings.outbox), gone as (delete from tidings.webhooks)
update tidings.routes_version set version = version + 1;

-- name: is_unsettled
-- Anything but the deliveries that cannot be finished by intent: those to paths that hang.
select exists (select from tidings.outbox)
  or exists (select from tidings.queue q where not exists (select from tidings.webhooks w where w.id = q.webhook_id and w.name like '/hang%'))
  or exists (select from tidings.under_way u
    where not exists (select from tidings.webhooks w where w.id = u.webhook_id and w.name like '/hang%'));

-- name: has_listener
-- Whether a client of a listener has asked.
select exists (select from tidings.listener_sessions where not is_over);

-- name: clear_tables
truncate public.plain, public.captured, public.notified;

-- name: tidy
vacuum analyze tidings.outbox, tidings.queue, tidings.lanes;

-- name: fill_plain
-- $1 how many
insert into public.plain (email, total, status, note) select 'user@example.com', 12.5, 'paid', repeat('x', 150) from generate_series(1, $1::integer);

-- name: fill_captured
-- Past its triggers, as the table would be before it was captured. $1 how many
insert into public.captured (email, total, status, note) select 'user@example.com', 12.5, 'paid', repeat('x', 150) from generate_series(1, $1::integer);

-- name: vacuum_plain
vacuum analyze public.plain;

-- name: vacuum_captured
vacuum analyze public.captured;

-- name: update_plain
update public.plain set status = 'sent';

-- name: update_captured
update public.captured set status = 'sent';

-- name: empty_outbox
truncate tidings.outbox;

-- name: close_lanes
update tidings.lanes set open = false;

-- name: backfill_is_over
select not exists (select from tidings.backfills where state = 'running') and not exists (select from tidings.outbox);

-- name: add_jobs
-- A job for each webhook, all of the same minute. $1 due at
insert into tidings.cron_jobs (id, group_id, name, schedule, timezone, type, webhook_id, timeout_seconds, missed, enabled, next_at, created_at, updated_at)
select id, 'default', id::text, '* * * * *', 'UTC', 'http', id, 30, 'once', true, $1, now(), now() from tidings.webhooks;

-- name: finished_deliveries
-- Of jobs, each with a webhook that has no other. Their lanes are asked: history is long by now, and no index is sure to be used.
select count(*) from tidings.cron_jobs j join tidings.lanes l on l.webhook_id = j.webhook_id where l.last_success_at is not null;

-- name: clear_jobs
truncate tidings.cron_jobs, tidings.cron_runs;

-- name: wal_position
-- Bytes of write-ahead log since the beginning.
select pg_current_wal_insert_lsn() - '0/0'::pg_lsn;

-- name: server_processes
-- All but the one that started them; that of this connection first.
select array_agg(pid order by pid <> pg_backend_pid()) from pg_stat_activity where pid is not null;

-- name: add_group
-- $1 id
insert into tidings.groups (id) values ($1) on conflict do nothing;

-- name: publish_of_group
-- One small event with a number. $1 group, $2 type, $3 number
with made as (
  insert into tidings.outbox (group_id, source, type, record) values ($1, 'publish', $2, json_build_object('n', $3::bigint))
)
select case when pg_try_advisory_xact_lock_shared(7413201, 1) then null else pg_notify('tidings_outbox', '') end;

-- name: publish_many
-- Events of 400 bytes of so many types, in one transaction. $1 group, $2 how types begin, $3 how many types, $4 how many events
with made as (
  insert into tidings.outbox (group_id, source, type, record)
  select $1, 'publish', $2 || (random() * 1e6)::integer % $3::integer, json_build_object('id', i, 'note', repeat('x', 370))
  from generate_series(1, $4::integer) i
)
select case when pg_try_advisory_xact_lock_shared(7413201, 1) then null else pg_notify('tidings_outbox', '') end;

-- name: insert_many_captured
-- In one transaction, through its triggers. $1 how many
insert into public.captured (email, total, status, note) select 'user@example.com', 12.5, 'paid', repeat('x', 150) from generate_series(1, $1::integer);

-- name: is_outbox_shorter
-- $1 than how many
select count(*) < $1 from (select from tidings.outbox limit $1) waiting;

-- name: delivered
-- $1 group
select count(*) from tidings.deliveries where group_id = $1;

-- name: is_group_unsettled
-- $1 group
select exists (select from tidings.outbox where group_id = $1) or exists (select from tidings.queue where group_id = $1)
  or exists (select from tidings.under_way u join tidings.webhooks w on w.id = u.webhook_id where w.group_id = $1);

-- name: forget_unsettled
-- What a load has left in the outbox, and what hangs.
with unrouted as (delete from tidings.outbox)
delete from tidings.queue q using tidings.webhooks w where w.id = q.webhook_id and w.name like '/hang%';
