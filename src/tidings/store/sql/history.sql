-- name: ensure_day
-- $1 day (UTC)
select tidings.ensure_day($1);

-- name: drop_days_before
-- $1 day (UTC)
select tidings.drop_days_before($1);

-- name: note_kinds
-- $1 groups, $2 types, $3 days
insert into tidings.event_kinds as k (group_id, type, last_day)
select * from unnest($1::text[], $2::text[], $3::date[])
on conflict (group_id, type) do update set last_day = excluded.last_day where k.last_day < excluded.last_day;

-- name: events_by_id
-- The bounds let PostgreSQL skip the partitions of other days. $1 ids, $2 smallest, $3 largest
select id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, external_id, webhook_id, capture_error
from tidings.events where id = any ($1::uuid[]) and id >= $2 and id <= $3;

-- name: list_events
-- Newest first. $1 group, $2 type or null, $3 before this id or null, $4 limit, $5 offset
select id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, external_id, webhook_id, capture_error, delivery_count
from tidings.events
where group_id = $1 and ($2::text is null or type = $2) and ($3::uuid is null or id < $3)
order by id desc limit $4 offset $5;

-- name: get_event
-- $1 group, $2 id
select id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, external_id, webhook_id, capture_error, delivery_count
from tidings.events where group_id = $1 and id = $2;

-- name: list_deliveries
-- Unfinished and finished together, newest first. Each side is cut to the page before they are joined, so that both
-- read an index from its end. $1 group, $2 webhook or null, $3 status or null, $4 event or null, $5 before this id or null,
-- $6 limit, $7 offset
select * from (
  (select q.id, q.webhook_id, q.event_id, q.event_type, q.is_test,
     case when q.worker_id is not null then 'sending' when q.attempt_count > 0 then 'retrying' else 'pending' end as status,
     q.attempt_count, q.last_status, q.last_error, null::timestamptz as finished_at,
     case when q.worker_id is null then q.due_at end as next_retry_at
   from tidings.queue q
   where q.group_id = $1 and ($2::uuid is null or q.webhook_id = $2) and ($4::uuid is null or q.event_id = $4) and ($5::uuid is null or q.id < $5)
     and ($3::text is null or $3 = case when q.worker_id is not null then 'sending' when q.attempt_count > 0 then 'retrying' else 'pending' end)
   order by q.id desc limit $6::bigint + $7::bigint)
  union all
  (select d.id, d.webhook_id, d.event_id, d.event_type, d.is_test, d.status, d.attempt_count, d.last_status, d.last_error, d.finished_at, null
   from tidings.deliveries d
   where d.group_id = $1 and ($2::uuid is null or d.webhook_id = $2) and ($4::uuid is null or d.event_id = $4) and ($5::uuid is null or d.id < $5)
     and ($3::text is null or $3 = d.status)
   order by d.id desc limit $6::bigint + $7::bigint)
) both_kinds
order by id desc limit $6 offset $7;

-- name: get_delivery
-- $1 group, $2 id
select q.id, q.webhook_id, q.event_id, q.event_type, q.is_test,
  case when q.worker_id is not null then 'sending' when q.attempt_count > 0 then 'retrying' else 'pending' end as status,
  q.attempt_count, q.last_status, q.last_error, null::timestamptz as finished_at,
  case when q.worker_id is null then q.due_at end as next_retry_at
from tidings.queue q where q.group_id = $1 and q.id = $2
union all
select d.id, d.webhook_id, d.event_id, d.event_type, d.is_test, d.status, d.attempt_count, d.last_status, d.last_error, d.finished_at, null
from tidings.deliveries d where d.group_id = $1 and d.id = $2;

-- name: list_attempts
-- Oldest first. $1 delivery
select number, started_at, response_status, response_headers, response_body, is_truncated, failure, error,
  dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms
from tidings.attempts where delivery_id = $1 order by number;

-- name: last_response_bodies
-- The bounds let PostgreSQL skip the partitions of other days. $1 deliveries, $2 smallest, $3 largest
select distinct on (delivery_id) delivery_id, response_body from tidings.attempts
where delivery_id = any ($1::uuid[]) and delivery_id >= $2 and delivery_id <= $3
order by delivery_id, number desc;

-- name: list_logs
-- Deliveries with the table or collection each is about, newest first; each side is cut to the page before they are joined.
-- $1 group, $2 collection or null, $3 states or null, $4 limit, $5 offset
select * from (
  (select q.id, q.webhook_id, q.event_id, q.attempt_count, q.last_status, q.last_error, null::timestamptz as finished_at,
     case when q.worker_id is not null then 'sending' when q.attempt_count > 0 then 'retrying' else 'pending' end as status,
     case when q.worker_id is null then q.due_at end as next_retry_at
   from tidings.queue q join tidings.events e on e.id = q.event_id
   where q.group_id = $1 and ($2::text is null or e.table_name = $2)
     and ($3::text[] is null or case when q.worker_id is not null then 'sending' when q.attempt_count > 0 then 'retrying' else 'pending' end = any ($3))
   order by q.id desc limit $4::bigint + $5::bigint)
  union all
  (select d.id, d.webhook_id, d.event_id, d.attempt_count, d.last_status, d.last_error, d.finished_at, d.status, null
   from tidings.deliveries d join tidings.events e on e.id = d.event_id
   where d.group_id = $1 and ($2::text is null or e.table_name = $2) and ($3::text[] is null or d.status = any ($3))
   order by d.id desc limit $4::bigint + $5::bigint)
) both_kinds
order by id desc limit $4 offset $5;
