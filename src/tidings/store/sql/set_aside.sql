-- name: list
-- Rows of the outbox that could not be routed, newest first. $1 number that they are below, or null, $2 limit
select id, row_as_json ->> 'group_id' as group_id, row_as_json ->> 'source' as source, row_as_json ->> 'type' as type,
  row_as_json ->> 'table_schema' as table_schema, row_as_json ->> 'table_name' as table_name, row_as_json ->> 'operation' as operation,
  error, rejected_at
from tidings.outbox_rejected where $1::bigint is null or id < $1 order by id desc limit $2;

-- name: get
-- As above, with the row as it was. $1 number
select id, row_as_json ->> 'group_id' as group_id, row_as_json ->> 'source' as source, row_as_json ->> 'type' as type,
  row_as_json ->> 'table_schema' as table_schema, row_as_json ->> 'table_name' as table_name, row_as_json ->> 'operation' as operation,
  error, rejected_at, row_as_json::text as row_as_json
from tidings.outbox_rejected where id = $1;

-- name: route_again
-- Puts a row back into the outbox, where it gets a new number, and with it a new event id unless it had one. $1 number
with taken as (
  delete from tidings.outbox_rejected where id = $1 returning row_as_json
)
insert into tidings.outbox (group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at,
  event_id, external_id, webhook_id, capture_error)
select r.group_id, r.source, r.type, r.operation, r.subject, r.table_schema, r.table_name, r.record, r.old_record, r.occurred_at,
  r.event_id, r.external_id, r.webhook_id, r.capture_error
from taken cross join lateral json_populate_record(null::tidings.outbox, taken.row_as_json) r
returning id;

-- name: discard
-- $1 number
delete from tidings.outbox_rejected where id = $1 returning id;

-- name: count
-- How many there are, so many at most. $1 limit
select count(*) from (select from tidings.outbox_rejected limit $1) some_of_them;
