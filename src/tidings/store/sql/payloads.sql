-- Whole payloads of events that are kept without what rules hide, and payloads that end before their record.

-- name: seal
-- In parallel $1 events, $2 groups, $3 sealed, $4 hours for sending again, $5 when to look
insert into tidings.sealed_payloads (event_id, group_id, sealed, resend_hours, look_at)
select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[], $5::timestamptz[])
on conflict (event_id) do nothing;

-- name: end_later
-- In parallel $1 events, $2 groups, $3 when
insert into tidings.payload_ends (event_id, group_id, due_at)
select * from unnest($1::uuid[], $2::text[], $3::timestamptz[]) on conflict (event_id) do nothing;

-- name: events
-- Events with what is sealed of them. The bounds let PostgreSQL skip the partitions of other days. $1 ids, $2 smallest, $3 largest
select e.id, e.group_id, e.source, e.type, e.operation, e.subject, e.table_schema, e.table_name, e.record, e.old_record, e.occurred_at, e.external_id,
  e.webhook_id, e.capture_error, e.hops, e.redaction, e.payload_gone, e.traceparent, s.sealed
from tidings.events e left join tidings.sealed_payloads s on s.event_id = e.id and e.redaction is not null
where e.id = any ($1::uuid[]) and e.id >= $2 and e.id <= $3;

-- name: is_there
-- $1 event
select tidings.payload_is_there($1);

-- name: sealed_due
-- Those to look at, locked to the end of the transaction. $1 now, $2 how many
select event_id, resend_hours, look_count, ends_at from tidings.sealed_payloads where look_at <= $1 order by look_at limit $2 for update skip locked;

-- name: ends_due
-- $1 now, $2 how many
select event_id from tidings.payload_ends where due_at <= $1 order by due_at limit $2 for update skip locked;

-- name: standing
-- Of events, whether a delivery is unfinished, and whether one ended otherwise than well. Deliveries of an event have ids between bounds.
-- In parallel $1 events, $2 from, $3 to
with flown as materialized (
  select array(select distinct u.id from tidings.flights f, unnest(f.event_ids) as u (id) where f.event_ids && $1::uuid[]) as ids
)
select e.id,
  exists (select from tidings.queue q where q.id >= e.low and q.id <= e.high and q.event_id = e.id) or e.id = any ((select ids from flown)::uuid[]) as is_open,
  exists (select from tidings.deliveries d where d.id >= e.low and d.id <= e.high and d.event_id = e.id and d.status <> 'succeeded') as has_failed
from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as e (id, low, high);

-- name: look_later
-- In parallel $1 events, $2 when; $3 whether that is the end of the time for sending again
update tidings.sealed_payloads s set look_at = n.at, look_count = case when n.is_end then 0 else s.look_count + 1 end, ends_at = case when n.is_end then n.at end
from unnest($1::uuid[], $2::timestamptz[], $3::boolean[]) as n (id, at, is_end) where s.event_id = n.id;

-- name: shred
-- $1 events
delete from tidings.sealed_payloads where event_id = any ($1::uuid[]);

-- name: put_off
-- $1 events, $2 when
update tidings.payload_ends set due_at = $2 where event_id = any ($1::uuid[]);

-- name: forget_ends
-- $1 events
delete from tidings.payload_ends where event_id = any ($1::uuid[]);

-- name: uncount
-- Payloads that are about to go count as stored no more. Those that are there still, locked, so that nobody takes them off twice.
-- In parallel $1 events, $2 their days; $3 smallest, $4 largest
with there as materialized (
  select e.id, e.group_id, coalesce(octet_length(e.record::text), 0) + coalesce(octet_length(e.old_record::text), 0) as bytes
  from tidings.events e
  where e.id = any ($1::uuid[]) and e.id >= $3 and e.id <= $4 and (e.record is not null or e.old_record is not null) order by e.id for update
)
insert into tidings.stored_changes (group_id, day, bytes, events)
select there.group_id, asked.day, -sum(there.bytes)::bigint, 0
from there join unnest($1::uuid[], $2::date[]) as asked (id, day) using (id) group by there.group_id, asked.day;

-- name: empty
-- Takes payloads out of history; the record stays. $1 events, $2 smallest, $3 largest, $4 why, $5 now
update tidings.events set record = null, old_record = null, payload_gone = $4, payload_gone_at = $5
where id = any ($1::uuid[]) and id >= $2 and id <= $3 and payload_gone is null;

-- name: empty_responses
-- Of all attempts of events. In parallel $1 events, $2 from, $3 to
with these as materialized (
  select d.id from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as e (id, low, high)
  join tidings.deliveries d on d.id >= e.low and d.id <= e.high and d.event_id = e.id
), ended as (
  update tidings.deliveries d set response_headers = null, response_body = null
  where d.id = any (array(select id from these)) and d.id >= (select id from these order by id limit 1) and d.id <= (select id from these order by id desc limit 1)
    and (d.response_headers is not null or d.response_body is not null)
)
update tidings.attempts a set response_headers = null, response_body = null
where a.delivery_id = any (array(select id from these)) and a.delivery_id >= (select id from these order by id limit 1) and a.delivery_id <= (select id from these order by id desc limit 1)
  and (a.response_headers is not null or a.response_body is not null);

-- name: window
-- Events that are old enough, from a position on, so many, and the last of them; some of them are empty already. $1 behind, $2 before, $3 how many
select id, group_id, payload_gone is null and (record is not null or old_record is not null) as has_payload from tidings.events where id > $1 and id < $2 order by id limit $3;

-- name: position
-- How far payloads are taken out that are older than the setting says; locked. Nothing: somebody else is at it.
select value::uuid from tidings.settings where name = 'payloads_emptied_to' for update skip locked;

-- name: begin_position
insert into tidings.settings (name, value) values ('payloads_emptied_to', '00000000-0000-0000-0000-000000000000') on conflict do nothing;

-- name: advance
-- $1 position
update tidings.settings set value = $1::uuid::text where name = 'payloads_emptied_to';

-- name: exact_ids_from
-- Milliseconds since 1970 from which on ids of deliveries tell their events.
select value::bigint from tidings.settings where name = 'delivery_ids_by_event_since';
