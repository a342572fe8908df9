-- name: take
-- The oldest committed rows, deleted as they are read: if routing fails the transaction takes that back. Rows another
-- dispatcher holds are skipped. $1 how many
with oldest as (
  select id from tidings.outbox order by id limit $1 for update skip locked
)
delete from tidings.outbox o using oldest where o.id = oldest.id
returning o.id, o.group_id, o.source, o.type, o.operation, o.subject, o.table_schema, o.table_name, o.record, o.old_record,
  o.occurred_at, o.event_id, o.external_id, o.webhook_id, o.capture_error,
  (select version from tidings.routes_version) as routes_version;

-- name: reject
-- Sets a row aside with the reason it cannot be routed. $1 number, $2 error
with taken as (
  delete from tidings.outbox o where o.id = $1 returning o.*
)
insert into tidings.outbox_rejected (id, row_as_json, error) select id, to_json(taken), $2 from taken;

-- name: ring
-- The doorbell, as the capture trigger rings it.
select case when pg_try_advisory_xact_lock_shared(7413201, 1) then null else pg_notify('tidings_outbox', '') end;

-- name: try_sleep
-- Granted only while no open transaction holds the doorbell lock, that is, while nothing can be committed unheard.
select pg_try_advisory_lock(7413201, 1);

-- name: wake
select pg_advisory_unlock(7413201, 1);

-- name: is_someone_asleep
-- Another dispatcher holds the doorbell, so this one may rest: the bell rings for every listener.
select exists (
  select from pg_locks
  where locktype = 'advisory' and classid = 7413201 and objid = 1 and objsubid = 2 and mode = 'ExclusiveLock' and granted
    and database = (select oid from pg_database where datname = current_database())
);

-- name: claim_external_ids
-- Remembers publishers' ids, and returns those that were not known before. $1 group, $2 external ids, $3 event ids, $4 digests
insert into tidings.published (group_id, external_id, event_id, digest)
select $1, r.external_id, r.event_id, r.digest
from unnest($2::text[], $3::uuid[], $4::bytea[]) as r (external_id, event_id, digest)
on conflict do nothing returning external_id;

-- name: find_external_ids
-- $1 group, $2 external ids
select external_id, event_id, digest from tidings.published where group_id = $1 and external_id = any ($2::text[]);

-- name: forget_external_ids
-- $1 older than
delete from tidings.published where created_at < $1;

-- name: backlog
-- How many rows wait, and for how long the oldest has.
select count(*) as waiting, coalesce(extract(epoch from clock_timestamp() - min(occurred_at)), 0)::float8 as lag_seconds
from tidings.outbox;

-- name: writers
-- How many open transactions have captured a change: they hold the doorbell's lock shared.
select count(*) from pg_locks
where locktype = 'advisory' and classid = 7413201 and objid = 1 and objsubid = 2 and mode = 'ShareLock' and granted
  and database = (select oid from pg_database where datname = current_database());
