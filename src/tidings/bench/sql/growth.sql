-- name: fill_webhooks
-- Webhooks of others like `/w0`, a hundred in each group, with lanes and versions, as if made a day ago. Their sealed secrets are copies,
-- which nothing can open for them; nothing needs to, since no event is for them. $1 from number, $2 to number, without it
with wanted as materialized (
  select gen_random_uuid() as id, 'group' || i / 100 as group_id, 'other' || i as name, jsonb_build_array('order.t' || i % 1000, 'customer.*') as events
  from generate_series($1::integer, $2::integer - 1) i
), groups as (
  insert into tidings.groups (id) select distinct group_id from wanted on conflict do nothing
), made as (
  insert into tidings.webhooks select r.* from tidings.webhooks w, wanted,
    jsonb_populate_record(w, jsonb_build_object('id', wanted.id, 'group_id', wanted.group_id, 'name', wanted.name, 'events', wanted.events)) r
  where w.name = '/w0'
), kept as (
  insert into tidings.webhook_versions select r.* from tidings.webhook_versions v, wanted,
    jsonb_populate_record(v, jsonb_build_object('webhook_id', wanted.id, 'group_id', wanted.group_id, 'name', wanted.name, 'events', wanted.events)) r
  where v.name = '/w0'
)
insert into tidings.lanes (webhook_id, group_id, open, closed_at, concurrency, allowance, rate_per_second, ordered, tokens)
select wanted.id, wanted.group_id, l.open, l.closed_at, l.concurrency, l.allowance, l.rate_per_second, l.ordered, l.tokens
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id, wanted
where w.name = '/w0';

-- name: tidy_webhooks
vacuum analyze tidings.groups, tidings.webhooks, tidings.webhook_versions, tidings.lanes;

-- name: fill_history
-- A day of deliveries that are over, evenly from its midnight on (of today: until now), of an event each, 300 bytes of data; one in fifty
-- failed. $1 how many days ago, $2 how many
with day as (
  select midnight, least(now(), midnight + interval '1 day') - midnight as length
  from (select date_trunc('day', now(), 'UTC') - $1::integer * interval '1 day' as midnight) d
), receivers as (
  select array_agg(id) as ids from tidings.webhooks where name like '/w%'
), made as materialized (
  select i, ids[1 + i % cardinality(ids)] as webhook_id, at, lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as head,
    md5(random()::text) as one, md5(random()::text) as other
  from day, receivers, generate_series(1, $2::integer) i, lateral (select midnight + length * (i - 1) / $2::integer as at) t
), events as (
  insert into tidings.events (id, group_id, source, type, record, occurred_at, delivery_count)
  select (head || '7' || left(one, 3) || '8' || right(one, 15))::uuid, 'default', 'publish', 'bench.t' || i % 64,
    json_build_object('id', i, 'note', repeat(one, 8)), at, 1
  from made
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, finished_at, started_at,
  webhook_version, response_headers, response_body, is_truncated, first_byte_ms, total_ms)
select (head || '7' || left(one, 3) || '8' || right(other, 15))::uuid, webhook_id, (head || '7' || left(one, 3) || '8' || right(one, 15))::uuid,
  'default', false, case when i % 50 = 0 then 'failed' else 'succeeded' end, 1, case when i % 50 = 0 then 410 else 200 end, at, at,
  1, '[["content-length","2"]]', 'ok', false, 1.5, 1.6
from made;

-- name: ensure_day
-- $1 how many days ago
select tidings.ensure_day((date_trunc('day', now(), 'UTC') - $1::integer * interval '1 day')::date);

-- name: tidy_history
vacuum analyze tidings.events, tidings.deliveries, tidings.attempts;

-- name: checkpoint
-- What was filled is written now, and not while something is measured.
checkpoint;

-- name: history_bytes
-- Of today's partitions, indexes included.
select sum(pg_total_relation_size(format('tidings.%I', parent || to_char(now() at time zone 'UTC', '_YYYYMMDD'))::regclass))::float8
from unnest(array['events', 'deliveries', 'attempts']) as p (parent);

-- name: webhook_bytes
-- With lanes and versions, indexes included.
select sum(pg_total_relation_size(format('tidings.%I', name)::regclass))::float8
from unnest(array['webhooks', 'lanes', 'webhook_versions']) as t (name);

-- name: fill_statistics
-- As many times what there is of a minute, each a day earlier. $1 how many times
insert into tidings.statistics select r.* from tidings.statistics s, generate_series(1, $1::integer) i,
  jsonb_populate_record(s, jsonb_build_object('starts_at', s.starts_at - i * interval '1 day')) r
where s.span = 'minute';

-- name: tidy_statistics
vacuum full tidings.statistics;

-- name: statistics_row_bytes
select pg_total_relation_size('tidings.statistics')::float8 / count(*) from tidings.statistics;
