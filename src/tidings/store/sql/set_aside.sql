-- name: list
-- What could be neither routed nor delivered, newest first. A row may hold \u0000 or half a surrogate, by which ->> fails for all of
-- its members: columns of type json may, so what is asked here is another row than that which is put back. $1 number that they are below, or null, $2 limit
select id, kind, row_as_json ->> 'group_id' as group_id, row_as_json ->> 'source' as source, row_as_json ->> 'type' as type,
  row_as_json ->> 'table_schema' as table_schema, row_as_json ->> 'table_name' as table_name, row_as_json ->> 'operation' as operation,
  error, rejected_at
from (select id, kind, error, rejected_at, regexp_replace(row_as_json::text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\u0001', 'g')::json as row_as_json
  from tidings.outbox_rejected where $1::bigint is null or id < $1 order by id desc limit $2) r
order by id desc;

-- name: get
-- As above, with the row as it was, unless that is larger than $2 bytes. $1 number
select id, kind, row_as_json ->> 'group_id' as group_id, row_as_json ->> 'source' as source, row_as_json ->> 'type' as type,
  row_as_json ->> 'table_schema' as table_schema, row_as_json ->> 'table_name' as table_name, row_as_json ->> 'operation' as operation,
  error, rejected_at, case when octet_length(row_as_is) <= $2 then row_as_is end as row_as_json
from (select id, kind, error, rejected_at, row_as_json::text as row_as_is, regexp_replace(row_as_json::text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\u0001', 'g')::json as row_as_json
  from tidings.outbox_rejected where id = $1) r;

-- name: kind
-- Locked to the end of the transaction. origin: the source that it came from by the stream of a fleet. $1 number
select kind, sealed, row_as_json ->> 'group_id' as group_id, row_as_json ->> 'webhook_id' as webhook_id, row_as_json ->> 'source' as source,
  row_as_json ->> 'type' as type, row_as_json ->> 'origin' as origin
from (select kind, sealed, regexp_replace(row_as_json::text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\u0001', 'g')::json as row_as_json
  from tidings.outbox_rejected where id = $1 for update) r;

-- name: take_flight
-- A flight that came by the stream, with where it came from. $1 number
delete from tidings.outbox_rejected where id = $1 returning row_as_json ->> 'cargo' as cargo, row_as_json ->> 'source' as sender;

-- name: route_again
-- Puts a row back into the outbox, where it gets a new number, and with it a new event id unless it had one. What json_populate_record
-- cannot read of its records is masked meanwhile. $1 number
with taken as (
  delete from tidings.outbox_rejected where id = $1
  returning tidings.masked(row_as_json::text, tidings.mask_of(row_as_json::text))::json as row_as_json, tidings.mask_of(row_as_json::text) as mask
)
insert into tidings.outbox (group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at,
  event_id, external_id, webhook_id, capture_error, hops, traceparent, origin)
select r.group_id, r.source, r.type, r.operation, r.subject, r.table_schema, r.table_name,
  replace(r.record::text, taken.mask, '\u')::json, replace(r.old_record::text, taken.mask, '\u')::json, r.occurred_at,
  r.event_id, r.external_id, r.webhook_id, r.capture_error, r.hops, r.traceparent, r.origin
from taken cross join lateral json_populate_record(null::tidings.outbox, taken.row_as_json) r
returning id;

-- name: lock_lane
-- $1 webhook
select from tidings.lanes where webhook_id = $1 for no key update;

-- name: deliver_again
-- Puts a row back into the queue of its lane, which is locked; nothing comes back when the lane is gone. $1 number
with taken as (
  delete from tidings.outbox_rejected where id = $1 returning row_as_json
), queued as (
  insert into tidings.queue (id, webhook_id, event_id, group_id, is_test, due_at, attempt_count, last_error)
  select r.id, r.webhook_id, r.event_id, r.group_id, coalesce(r.is_test, false), now(), coalesce(r.attempt_count, 0), r.last_error
  from taken cross join lateral json_populate_record(null::tidings.queue, taken.row_as_json) r
  join tidings.lanes l on l.webhook_id = r.webhook_id
  returning id, webhook_id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, count(*) from queued having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
), woken as (
  update tidings.lanes l set waiting = l.waiting + 1, due_at = greatest(l.held_until, least(l.due_at, now())) from queued q where q.webhook_id = l.webhook_id
)
select id from queued;

-- name: put_deliveries
-- Sets deliveries aside that history cannot hold, as the rows of the queue they would be. $1 ids, $2 webhooks, $3 events, $4 groups,
-- $5 tests, $6 attempts made, $7 reasons
insert into tidings.outbox_rejected (id, kind, row_as_json, error)
select nextval(pg_get_serial_sequence('tidings.outbox', 'id')), 'delivery', json_build_object('id', r.id, 'webhook_id', r.webhook_id,
  'event_id', r.event_id, 'group_id', r.group_id, 'is_test', r.is_test, 'attempt_count', r.attempt_count), r.reason
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::integer[], $7::text[])
  as r (id, webhook_id, event_id, group_id, is_test, attempt_count, reason);

-- name: put_flight
-- Sets aside what a flight holds that cannot be grounded, and ends it. $1 flight, $2 reason
with gone as (
  delete from tidings.flights where id = $1 returning id
), held as materialized (
  select u.id, u.event_id, u.webhook_id, u.number from tidings.under_way u where u.flight_id in (select id from gone)
), landed as (
  update tidings.lanes l set in_flight = greatest(0, l.in_flight - h.count), saturated = false, due_at = greatest(l.held_until, least(l.due_at, now()))
  from (select webhook_id, count(*)::integer as count from held group by webhook_id) h where l.webhook_id = h.webhook_id
)
insert into tidings.outbox_rejected (id, kind, row_as_json, error)
select nextval(pg_get_serial_sequence('tidings.outbox', 'id')), 'delivery', json_build_object('id', h.id, 'webhook_id', h.webhook_id,
  'event_id', h.event_id, 'group_id', coalesce(e.group_id, w.group_id), 'attempt_count', h.number), $2
from held h left join tidings.events e on e.id = h.event_id left join tidings.webhooks w on w.id = h.webhook_id
returning id;

-- name: discard
-- $1 number
delete from tidings.outbox_rejected where id = $1 returning id;

-- name: count
-- How many there are, so many at most. $1 limit
select count(*) from (select from tidings.outbox_rejected limit $1) some_of_them;

-- name: counts
-- How many there are of each kind of thing, so many of each at most. $1 limit
select 'event' as kind, (select count(*) from (select from tidings.outbox_rejected where kind = 'event' limit $1) few) as count
union all select 'delivery', (select count(*) from (select from tidings.outbox_rejected where kind = 'delivery' limit $1) few)
union all select 'flight', (select count(*) from (select from tidings.outbox_rejected where kind = 'flight' limit $1) few)
union all select 'webhook', (select count(*) from (select from tidings.webhooks where fault is not null limit $1) few)
union all select 'job', (select count(*) from (select from tidings.cron_jobs where fault is not null limit $1) few);
