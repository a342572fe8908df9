-- part: taken
select id, group_id, source, type, operation, subject, table_schema, table_name, case when size > $3 then null else record end as record,
  case when size > $3 then null else old_record end as old_record, occurred_at, event_id, external_id, webhook_id, capture_error, hops, traceparent,
  (select version from tidings.routes_version) as routes_version, size, is_counted,
  (select version from tidings.privacy_version) as privacy_version, origin, (select version from tidings.placing) as placing_version, placed_by, answers
from taken

-- part: with_size
returning o.*, case when pg_column_size(o.record) > 100000 or pg_column_size(o.old_record) > 100000
    then coalesce(octet_length(o.record::text), 0) + coalesce(octet_length(o.old_record::text), 0) end as size

-- part: stored
coalesce(pg_column_size(o.record), 0) + coalesce(pg_column_size(o.old_record), 0) + coalesce(octet_length(o.answers), 0) as stored

-- name: take
-- The oldest committed rows, deleted as they are read: if routing fails the transaction takes that back. Ranges of numbers
-- that another dispatcher is routing are left out. Of large records as many as have $2 bytes as they are stored, with what
-- was answered already, but one at least. What is larger than $3 bytes as text is told by its size alone, and not sent to us:
-- it is set aside. $1 how many
with turn as materialized (
  select first from tidings.outbox_turns($1) as first
), oldest as (
  select row.id, sum(row.stored) over (order by row.id) - row.stored as before
  from turn cross join lateral (
    select o.id, {stored}
    from tidings.outbox o where o.id >= turn.first and o.id < turn.first + 256 order by o.id
  ) row
  order by row.id limit $1
), taken as (
  delete from tidings.outbox o using oldest where o.id = oldest.id and oldest.before < $2
  {with_size}
)
{taken};

-- name: take_alone
-- As `take`, for a relay, beside which nobody takes rows: ranges need no locks, and nothing is counted first. An array, so
-- that the plan is the index whatever the estimates. $1 to $3 as there
with oldest as materialized (
  select row.id, sum(row.stored) over (order by row.id) - row.stored as before
  from (select o.id, {stored} from tidings.outbox o order by o.id limit $1) row
), taken as (
  delete from tidings.outbox o where o.id = any (array(select id from oldest where before < $2))
  {with_size}
)
{taken};

-- name: is_empty
select not exists (select from tidings.outbox);

-- name: groups
-- The groups that have rows, with how many. $1 behind which name, $2 without these, $3 how many groups at most, $4 counted how far
select group_id, waiting from tidings.outbox_groups($1, $2, $3, $4);

-- name: take_shares
-- As `take`, but of each group its oldest rows. Arrays, so that the plan is the index whatever the estimates.
-- $1 groups, $4 how many rows of each, $2 and $3 as there
with chosen as materialized (
  select array(select tidings.outbox_turns_of($1, $4)) as ids
), oldest as materialized (
  select row.id, sum(row.stored) over (order by row.id) - row.stored as before
  from (
    select o.id, {stored}
    from tidings.outbox o where o.id = any ((select ids from chosen)::bigint[])
  ) row
), taken as (
  delete from tidings.outbox o where o.id = any (array(select id from oldest where before < $2))
  {with_size}
)
{taken};

-- name: take_onward
-- As `take_shares`, in the strict order of each group: rows that a dispatcher has are waited for, since it gives them back.
-- $1 groups, $4 how many rows of each, $2 and $3 as there
with chosen as materialized (
  select row.id, row.stored from unnest($1::text[]) as g (id) cross join lateral (
    select o.id, {stored} from tidings.outbox o where o.group_id collate "C" = g.id order by o.id limit $4 for update
  ) row
), oldest as materialized (
  select row.id, sum(row.stored) over (order by row.id) - row.stored as before from chosen row
), taken as (
  delete from tidings.outbox o where o.id = any (array(select id from oldest where before < $2))
  {with_size}
)
{taken};

-- name: reject
-- Sets rows aside, each with the reason it cannot be routed; with or without its records. $1 numbers, $2 reasons, $3 with records,
-- $4 of each its records as they are sealed, or null
with sealed as materialized (
  select id, records from unnest($1::bigint[], $4::bytea[]) as s (id, records)
), taken as (
  delete from tidings.outbox o using sealed where o.id = any ($1::bigint[]) and sealed.id = o.id
  returning o.id, o.group_id, o.source, o.type, o.operation, o.subject, o.table_schema, o.table_name,
    case when $3 and sealed.records is null then o.record end as record, case when $3 and sealed.records is null then o.old_record end as old_record, o.occurred_at, o.event_id, o.external_id, o.webhook_id, o.capture_error, o.hops, o.traceparent, o.origin
)
insert into tidings.outbox_rejected (id, row_as_json, error, sealed)
select taken.id, to_json(taken), reason.text || case when $3 then '' else ' They could not be kept.' end, sealed.records
from taken join unnest($1::bigint[], $2::text[]) as reason (id, text) using (id) join sealed using (id);

-- name: drop_known
-- Of rows that came by the stream of a fleet those that were told already, and those that stand here twice: a source whose standby took
-- over packs again what it had packed. Under the id of another event they stay. $1 numbers
delete from tidings.outbox o where o.id = any ($1::bigint[]) and o.origin is not null and (
  exists (select from tidings.events e where e.id = o.event_id
    and (e.group_id, e.source, e.type, e.subject, e.occurred_at) is not distinct from (o.group_id, o.source, o.type, o.subject, o.occurred_at))
  or exists (select from tidings.outbox p where p.id = any ($1::bigint[]) and p.id < o.id and p.event_id = o.event_id
    and (p.group_id, p.source, p.type, p.subject, p.occurred_at, p.origin) is not distinct from (o.group_id, o.source, o.type, o.subject, o.occurred_at, o.origin)))
returning o.id;

-- name: records
-- Of rows of some groups; of one that is too large to be routed there are none. $1 numbers, $2 groups, $3 bytes as text
select id, case when fits then record end as record, case when fits then old_record end as old_record from (
  select *, coalesce(octet_length(record::text), 0) + coalesce(octet_length(old_record::text), 0) <= $3 as fits
  from tidings.outbox where id = any ($1::bigint[]) and group_id = any ($2::text[]) and (record is not null or old_record is not null)) o;

-- name: put_records
-- $1 number, $2 record, $3 old record
update tidings.outbox set record = $2::text::json, old_record = $3::text::json where id = $1;

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

-- name: add
-- A few events, in the caller's transaction, and the doorbell. $1 groups, $2 sources, $3 types, $4 operations, $5 subjects,
-- $6 schemas, $7 tables, $8 records, $9 old records, $10 occurred at, $11 event ids, $12 external ids, $13 webhooks, $14 whether counted
with event as (
  insert into tidings.outbox (group_id, source, type, operation, subject, table_schema, table_name, record, old_record,
    occurred_at, event_id, external_id, webhook_id, is_counted)
  select e.group_id, e.source, e.type, e.operation, e.subject, e.table_schema, e.table_name, e.record::json, e.old_record::json,
    e.occurred_at, e.event_id, e.external_id, e.webhook_id, e.is_counted
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::uuid[], $12::text[], $13::uuid[], $14::boolean[]) with ordinality
    as e (group_id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, event_id,
      external_id, webhook_id, is_counted, position)
  order by e.position
)
select case when pg_try_advisory_xact_lock_shared(7413201, 1) then null else pg_notify('tidings_outbox', '') end;

-- part: stale
with stale as materialized (
  select c.position - 1 as position
  from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality as c (group_id, name, schema_version, position)
  left join tidings.event_types t on t.group_id = c.group_id and t.name = c.name and t.json_schema is not null
  where t.xmin::text::bigint is distinct from c.schema_version
)

-- part: claimed
claimed as (
  insert into tidings.published (group_id, external_id, event_id, digest)
  select e.group_id, e.external_id, e.event_id, e.digest from event e where e.external_id is not null
  order by e.group_id, e.external_id, e.position  -- in one order, so that two commits cannot wait for each other
  on conflict do nothing returning event_id
)

-- part: said
select array(select s.position from stale s) as stale,
  array(select e.position - 1 from event e where e.event_id not in (select w.event_id from written w)) as known,
  case when not exists (select from written) or pg_try_advisory_xact_lock_shared(7413201, 1) then null
    else pg_notify('tidings_outbox', '') end

-- name: commit
-- What applications published, by one statement: publishers' ids are claimed, rows written, the doorbell rung. A schema is told
-- from others by xmin, the transaction that wrote it: no two changes of a type share one. If any is not the one in force, in
-- the snapshot that all of this is done in, nothing is written. An id that another transaction has claimed and not yet
-- committed is waited for; one that is known keeps its event out and is told.
-- What was checked: $1 groups, $2 types, $3 the schemas' xmin, null for none. The events: $4 groups, $5 types, $6 subjects,
-- $7 records, $8 occurred at, $9 event ids, $10 external ids, $11 digests, $12 traces
{stale}, event as materialized (
  select * from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::uuid[], $10::text[], $11::bytea[], $12::text[])
    with ordinality as e (group_id, type, subject, record, occurred_at, event_id, external_id, digest, traceparent, position)
  where not exists (select from stale)
), {claimed}, written as (
  insert into tidings.outbox (group_id, source, type, subject, record, occurred_at, event_id, external_id, traceparent)
  select e.group_id, 'publish', e.type, e.subject, e.record::json, e.occurred_at, e.event_id, e.external_id, e.traceparent
  from event e where e.external_id is null or e.event_id in (select c.event_id from claimed c)
  order by e.position
  returning event_id
)
{said};

-- name: commit_counted
-- The same where the groups of some have a limit of what is kept: their bytes are counted as they are accepted, so that what waits to be routed is
-- among them. Besides: $13 bytes, null where they are not counted here, $14 days
{stale}, event as materialized (
  select * from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::uuid[], $10::text[], $11::bytea[], $12::text[], $13::bigint[], $14::date[])
    with ordinality as e (group_id, type, subject, record, occurred_at, event_id, external_id, digest, traceparent, bytes, day, position)
  where not exists (select from stale)
), {claimed}, written as (
  insert into tidings.outbox (group_id, source, type, subject, record, occurred_at, event_id, external_id, traceparent, is_counted)
  select e.group_id, 'publish', e.type, e.subject, e.record::json, e.occurred_at, e.event_id, e.external_id, e.traceparent, case when e.bytes is not null then true end
  from event e where e.external_id is null or e.event_id in (select c.event_id from claimed c)
  order by e.position
  returning event_id
), counted as (
  insert into tidings.stored_changes (group_id, day, bytes, events)
  select e.group_id, e.day, sum(e.bytes)::bigint, count(*) from event e
  where e.bytes is not null and e.event_id in (select w.event_id from written w) group by e.group_id, e.day
)
{said};

-- name: claim_external_ids
-- Remembers publishers' ids, and returns those that were not known before. $1 group, $2 external ids, $3 event ids, $4 digests
insert into tidings.published (group_id, external_id, event_id, digest)
select $1, r.external_id, r.event_id, r.digest
from unnest($2::text[], $3::uuid[], $4::bytea[]) as r (external_id, event_id, digest)
on conflict do nothing returning external_id;

-- name: find_external_ids
-- $1 groups, $2 an external id of each
select p.group_id, p.external_id, p.event_id, p.digest
from unnest($1::text[], $2::text[]) as r (group_id, external_id)
join tidings.published p on p.group_id = r.group_id and p.external_id = r.external_id;

-- name: forget_external_ids
-- $1 older than
delete from tidings.published where created_at < $1;

-- name: backlog
-- How many rows wait: up to 10,000 counted, beyond that the numbers between the oldest and the newest, some of which can be
-- missing. For how long the oldest has.
select case when few.count > 10000 then (select max(id) from tidings.outbox) - (select min(id) from tidings.outbox) + 1 else few.count end as waiting,
  coalesce(extract(epoch from greatest(interval '0', clock_timestamp() - (select occurred_at from tidings.outbox where isfinite(occurred_at) order by id limit 1))), 0)::float8 as lag_seconds
from (select count(*) as count from (select from tidings.outbox order by id limit 10001) first) few;

-- name: writers
-- How many open transactions have captured a change: they hold the doorbell's lock shared.
select count(*) from pg_locks
where locktype = 'advisory' and classid = 7413201 and objid = 1 and objsubid = 2 and mode = 'ShareLock' and granted
  and database = (select oid from pg_database where datname = current_database());
