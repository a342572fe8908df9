-- name: fill_groups
-- Groups beside the first, with few webhooks each: copies of `/w0`, which nothing needs to open. $1 how many groups, $2 webhooks of each
with wanted as materialized (
  select gen_random_uuid() as id, 'small' || i / $2::integer as group_id, 'small' || i as name from generate_series(0, $1::integer * $2::integer - 1) i
), groups as (
  insert into tidings.groups (id) select distinct group_id from wanted on conflict do nothing
), made as (
  insert into tidings.webhooks select r.* from tidings.webhooks w, wanted,
    jsonb_populate_record(w, jsonb_build_object('id', wanted.id, 'group_id', wanted.group_id, 'name', wanted.name)) r
  where w.name = '/w0'
)
insert into tidings.lanes (webhook_id, group_id, open, closed_at, concurrency, allowance, rate_per_second, ordered, tokens)
select wanted.id, wanted.group_id, l.open, l.closed_at, l.concurrency, l.allowance, l.rate_per_second, l.ordered, l.tokens
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id, wanted
where w.name = '/w0';

-- name: fill_kinds
-- $1 how many types of the first group; the others have four
insert into tidings.event_kinds
select g.id, 'bench.t' || i, current_date from tidings.groups g, generate_series(0, case g.id when 'default' then $1::integer - 1 else 3 end) i
union all select 'default', 'table.orders.' || action, current_date from unnest(array['inserted', 'updated']) action
on conflict do nothing;

-- name: fill_events
-- A day of events, evenly from its midnight on (of today: until now): one in eight of a small group, one in four a row's change,
-- 300 bytes of data. $1 how many days ago, $2 how many, $3 how many types, $4 how many small groups, $5 the hash of one row
with day as (
  select midnight, least(now(), midnight + interval '1 day') - midnight as length
  from (select date_trunc('day', now(), 'UTC') - $1::integer * interval '1 day' as midnight) d
)
insert into tidings.events (id, group_id, source, type, operation, subject, table_schema, table_name, record, occurred_at, external_id, delivery_count, about)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid, group_id,
  case when is_row then 'tables' else 'publish' end,
  case when is_row then 'table.orders.' || case when i % 3 = 0 then 'inserted' else 'updated' end
    when group_id = 'default' then 'bench.t' || i % $3::integer else 'bench.t' || i % 4 end,
  case when is_row then case when i % 3 = 0 then 'INSERT' else 'UPDATE' end end, case when is_row then 'public.orders' else 'order-' || i % 50000 end,
  case when is_row then 'public' end, case when is_row then 'orders' end, json_build_object('id', i % 50000, 'note', repeat(md5(i::text), 8)), at,
  case when i % 10 = 0 and not is_row then 'external-' || $1 || '-' || i end, 2,
  case when is_row and i % 50000 = 7 then $5 else hashtextextended(group_id || i % 50000, 0) end
from day, generate_series(0, $2::integer - 1) i,
  lateral (select midnight + length * i / $2::integer as at, case when i % 8 = 0 then 'small' || i / 8 % $4::integer else 'default' end as group_id) t,
  lateral (select group_id = 'default' and i % 4 = 3 as is_row) k
order by i;

-- name: fill_published
-- The publishers' ids of a day's events. $1 how many days ago
insert into tidings.published (group_id, external_id, event_id, digest)
select group_id, external_id, id, '' from tidings.events
where external_id is not null and id >= tidings.first_id_of((now() at time zone 'UTC')::date - $1::integer)
  and id < tidings.first_id_of((now() at time zone 'UTC')::date - $1::integer + 1);

-- name: fill_deliveries
-- Two for each event of a day: one in twenty failed, for any of three reasons. $1 how many days ago
with receivers as (
  select group_id, array_agg(id order by name) as ids from tidings.webhooks group by group_id
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, last_error, finished_at, started_at,
  webhook_version, response_headers, response_body, failure, first_byte_ms, total_ms)
select (left(digits, 12) || '7' || substr(digits, 27, 3) || to_hex(32768 | (('x' || substr(digits, 30, 3))::bit(12)::integer << 2) | which)
    || substr(md5(digits || which), 1, 12))::uuid,
  ids[1 + (chance + which * 7) % cardinality(ids)], e.id, e.group_id, false, case when chance % 20 = 0 then 'failed' else 'succeeded' end, 1,
  case when chance % 20 > 0 then 200 when chance % 60 = 0 then 404 when chance % 60 = 20 then 503 end,
  case when chance % 20 = 0 then 'The receiver did not answer as it should.' end, e.occurred_at, e.occurred_at, 1, '[["content-length","2"]]', 'ok',
  case when chance % 60 = 40 then 'timeout' end, 1.5, 1.6
from tidings.events e join receivers using (group_id), generate_series(0, 1) which, lateral (select replace(e.id::text, '-', '') as digits) d,
  lateral (select ('x' || substr(md5(digits || which), 13, 7))::bit(28)::integer as chance) c
where e.id >= tidings.first_id_of((now() at time zone 'UTC')::date - $1::integer)
  and e.id < tidings.first_id_of((now() at time zone 'UTC')::date - $1::integer + 1)
order by e.id, which;

-- name: fill_queue
-- Deliveries that wait: ten of each of the newest events, one in ten tried before. $1 how many
with receivers as (
  select group_id, array_agg(id order by name) as ids from tidings.webhooks group by group_id
), made as (
  insert into tidings.queue (id, webhook_id, event_id, group_id, due_at, attempt_count, last_status, last_error)
  select (left(digits, 12) || '7' || substr(digits, 27, 3) || to_hex(32768 | (('x' || substr(digits, 30, 3))::bit(12)::integer << 2) | 2)
      || substr(md5(digits || i), 1, 12))::uuid,
    ids[1 + i % cardinality(ids)], e.id, e.group_id, now() + interval '1 day', (i = 0)::integer, case when i = 0 then 503 end,
    case when i = 0 then 'The receiver answered HTTP 503.' end
  from (select id, group_id from tidings.events order by id desc limit $1::integer / 10) e join receivers using (group_id),
    generate_series(0, 9) i, lateral (select replace(e.id::text, '-', '') as digits) d
  order by 1
  returning 1
)
insert into tidings.counters as c (name, part, count) select 'queued', 0, count(*) from made
on conflict (name, part) do update set count = c.count + excluded.count;

-- name: fill_flights
-- What workers have under way: 2,000 in flights of 100.
insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lanes, lane_numbers)
select gen_random_uuid(), now(), array_agg(id), array_agg(event_id), array_agg(webhook_id), array_agg(place::smallint)
from (select *, row_number() over (partition by n / 100) as place from (
  select (left(digits, 12) || '7' || substr(digits, 27, 3) || to_hex(32768 | (('x' || substr(digits, 30, 3))::bit(12)::integer << 2) | 3) || 'ffffffffffff')::uuid as id,
    e.id as event_id, (select id from tidings.webhooks w where w.group_id = e.group_id order by name limit 1) as webhook_id, row_number() over () as n
  from (select id, group_id from tidings.events order by id desc limit 2000) e, lateral (select replace(e.id::text, '-', '') as digits) d
) found) u group by n / 100;

-- name: fill_statistics
-- Of each webhook and group: a month of days and hours, and the last minutes.
insert into tidings.statistics (group_id, webhook_id, span, starts_at, outcome, part, count, latencies, is_rolled_up)
select w.group_id, w.id, s.span, s.starts_at, o.outcome, 0, 290, array_fill(10::bigint, array[29]), false
from (select group_id, id from tidings.webhooks union all select id, '00000000-0000-0000-0000-000000000000' from tidings.groups) w,
  unnest(array['succeeded', 'retried', 'failed']) o (outcome), (
    select 'day' as span, date_trunc('day', now(), 'UTC') - i * interval '1 day' as starts_at from generate_series(0, 29) i
    union all select 'hour', date_trunc('hour', now(), 'UTC') - i * interval '1 hour' from generate_series(0, 719) i
    union all select 'minute', date_trunc('minute', now(), 'UTC') - i * interval '1 minute' from generate_series(0, 5) i
  ) s
on conflict do nothing;

-- name: tidy
vacuum analyze;

-- name: small_webhook
-- One of the first small group.
select id from tidings.webhooks where group_id = 'small0' order by name limit 1;

-- name: some_event
-- One of a day in the middle. $1 how many days ago
select id from tidings.events where group_id = 'default' and id >= tidings.first_id_of((now() at time zone 'UTC')::date - $1::integer) order by id limit 1;

-- name: some_deliveries
-- Ids of twenty that failed and twenty that came through, of the first group.
select array_agg(id) from (
  (select id from tidings.deliveries where group_id = 'default' and status = 'failed' order by id desc limit 20)
  union all (select id from tidings.deliveries where group_id = 'default' and status = 'succeeded' order by id desc limit 20)
) d;

-- name: some_external_id
select external_id from tidings.published where group_id = 'default' limit 1;

-- name: bytes_per_delivery
-- Of finished ones: with their events and attempts, indexes included.
select (select sum(pg_total_relation_size(inhrelid)) from pg_inherits
        where inhparent in ('tidings.events'::regclass, 'tidings.deliveries'::regclass, 'tidings.attempts'::regclass))::float8
  / (select count(*) from tidings.deliveries);
