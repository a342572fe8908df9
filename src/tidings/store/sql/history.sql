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
