-- name: ensure_day
-- $1 day (UTC)
select tidings.ensure_day($1);

-- name: drop_days_before
-- $1 day (UTC)
select tidings.drop_days_before($1);

-- name: add_events
-- In parallel: $1 ids, $2 groups, $3 sources, $4 types, $5 operations, $6 subjects, $7 schemas, $8 tables, $9 records, $10 old
-- records, $11 times, $12 external ids, $13 webhooks, $14 capture errors, $15 counts of deliveries, $16 hashes of what they are about, $17 hops,
-- $18 what rules did, $19 traces; and what they add to what is kept (as `add` of limits.sql): $20 groups, $21 days, $22 bytes, $23 events
with stored as (
  insert into tidings.stored_changes (group_id, day, bytes, events)
  select * from unnest($20::text[], $21::date[], $22::bigint[], $23::bigint[])
)
insert into tidings.events (id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at,
  external_id, webhook_id, capture_error, delivery_count, about, hops, redaction, traceparent)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::json[], $10::json[],
  $11::timestamptz[], $12::text[], $13::uuid[], $14::text[], $15::integer[], $16::bigint[], $17::smallint[], $18::json[], $19::text[]);

-- name: add_deliveries
-- In parallel: $1 ids, $2 webhooks, $3 events, $4 groups, $5 tests, $6 statuses, $7 attempts, $8 finished at, $9 started at,
-- $10 response statuses, $11 errors, $12 headers, $13 bodies, $14 truncated, $15 failures, $16 to $20 times, $21 versions, $22 signers
insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, finished_at, started_at, last_status,
  last_error, response_headers, response_body, is_truncated, failure, dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version, signer_id)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::text[], $7::integer[], $8::timestamptz[],
  $9::timestamptz[], $10::integer[], $11::text[], $12::json[], $13::text[], $14::boolean[], $15::text[], $16::real[], $17::real[],
  $18::real[], $19::real[], $20::real[], $21::integer[], $22::integer[]);

-- name: note_kinds
-- A kind may be given on several days, as around midnight: each once. $1 groups, $2 types, $3 days
insert into tidings.event_kinds as k (group_id, type, last_day)
select n.group_id, n.type, max(n.day) from unnest($1::text[], $2::text[], $3::date[]) as n (group_id, type, day)
group by n.group_id, n.type order by n.group_id, n.type
on conflict (group_id, type) do update set last_day = excluded.last_day where k.last_day < excluded.last_day;

-- name: forget_kinds
-- $1 day: those of which there was none since
delete from tidings.event_kinds where last_day < $1;

-- name: events_by_id
-- The bounds let PostgreSQL skip the partitions of other days. $1 ids, $2 smallest, $3 largest
select id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, external_id, webhook_id, capture_error, hops, redaction, payload_gone, traceparent
from tidings.events where id = any ($1::uuid[]) and id >= $2 and id <= $3;
