-- name: there
-- Whether it may be written to, and whether our schema is there.
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as is_read_only,
  to_regclass('tidings.migrations') is not null as has_schema, clock_timestamp() as at,
  current_setting('max_connections')::integer - (select count(*)::integer from pg_stat_activity where backend_type = 'client backend') as connections_left;

-- name: schema_number
-- The last migration, and that of the oldest program that can run on the schema.
select (select max(number) from tidings.migrations) as number,
  (select case when value ~ '^[0-9]{1,9}$' then value::integer end from tidings.settings where name = 'oldest_program') as oldest;

-- name: lags
-- $1 how long a worker may be silent. Before PostgreSQL 17 no infinite time can be subtracted.
select (select count(*)::integer from tidings.workers where heartbeat_at >= now() - $1::interval) as workers,
  coalesce((select value from tidings.settings where name = 'source'), '') as source,
  coalesce(extract(epoch from greatest(interval '0', clock_timestamp() - (select occurred_at from tidings.outbox where isfinite(occurred_at) order by id limit 1))), 0)::float8 as routing_lag;

-- name: rest
-- What else somebody should see to; each is counted up to a thousand. $1 before the end of a key, $2 before that of a certificate
select
  (select count(*)::integer from (
    select from tidings.webhooks where tidings.certificate_end(credentials) is not null and tidings.certificate_end(credentials) <= now()
      and enabled limit 1000
  ) c) as ended_certificates,
  (select count(*)::integer from (
    select from tidings.webhooks where tidings.certificate_end(credentials) is not null and tidings.certificate_end(credentials) > now()
      and tidings.certificate_end(credentials) < now() + $2::interval and enabled limit 1000
  ) c) as ending_certificates,
  (select count(*)::integer from (
    select from tidings.api_keys where revoked_at is null and expires_at > now() and expires_at < now() + $1::interval limit 1000
  ) k) as ending_keys,
  coalesce(extract(epoch from greatest(interval '0', now() - least(
    (select min(due_at) from tidings.lanes where open and trusted and due_at > '-infinity' and due_at < 'infinity'),
    (select min(due_at) from tidings.lanes where open and not trusted and due_at > '-infinity' and due_at < 'infinity')))), 0)::float8 as lane_lag,
  (select count(*)::integer from (select from tidings.outbox_rejected limit 1000) r) as set_aside,
  (select count(*)::integer from (select from tidings.lanes where warned_at is not null and open limit 1000) f) as failing,
  (select count(*)::integer from (select from tidings.webhooks where fault is not null limit 1000) s) as stopped,
  (select count(*)::integer from (select from tidings.backfills where state = 'running' and error is not null limit 1000) b) as held_backfills,
  pg_notification_queue_usage()::float8 as notifications,
  current_user::text as role,
  (select count(*)::integer from pg_class c
    where c.relnamespace = 'tidings'::regnamespace and c.relkind in ('r', 'p', 'S') and not pg_has_role(c.relowner, 'usage')
      and not exists (select from pg_policy p cross join lateral unnest(p.polroles) r (id)
        where p.polrelid = 'tidings.webhooks'::regclass and p.polname = 'running_role' and pg_has_role(r.id, 'usage'))) as not_owned,
  (select max(to_date(right(c.relname, 8), 'YYYYMMDD')) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tidings.events'::regclass and c.relname ~ '\d{8}$') as last_day;

-- name: urls
-- Where enabled webhooks send to that need no certificates of their own, listeners left out, which send nowhere: one of each group first, then a second one of each, and so on,
-- so that the dead hosts of one group do not stand for the way out of all. $1 how many groups, those made last, $2 how many of each
select w.url from (select id from tidings.groups order by created_at desc, id limit $1) g, lateral (
  select url, created_at, row_number() over (order by created_at desc, id) as place from tidings.webhooks h
  where group_id = g.id and enabled and fault is null and sealed_credentials is null and not exists (select from tidings.listeners s where s.webhook_id = h.id)
  order by created_at desc, id limit $2
) w order by w.place, w.created_at desc;

-- name: write_something
-- Some hundred kilobytes, gone with the transaction: whether there is room for them, and for the log of it.
create temporary table tidings_probe on commit drop as select n from generate_series(1, 10000) n;
