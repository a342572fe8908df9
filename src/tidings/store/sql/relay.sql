-- Flights between databases (theory: core.cargo).

-- name: try_own
-- One process at a time takes a source's outbox, so that what is committed keeps its order: the first, until its connection ends.
select pg_try_advisory_lock(7413201, 10);

-- name: try_own_landing
-- The same of what lands flights in a home.
select pg_try_advisory_lock(7413201, 11);

-- name: new_groups
-- Those that are not there, in the order of the names. $1 names
select name from unnest($1::text[]) with ordinality as n (name, position)
where not exists (select from tidings.groups g where g.id = name) order by position;

-- name: count_groups
-- $1 how many at most
select count(*) from (select from tidings.groups limit $1) g;

-- name: make_groups
-- Groups whose events come, as a table makes them whose rows are of groups. $1 names
insert into tidings.groups (id) select distinct unnest($1::text[]) on conflict do nothing;

-- name: keep
-- In parallel: $1 ids, $2 homes, $3 cargoes, $4 numbers of events
insert into tidings.relay_flights (id, home, cargo, event_count)
select f.id, f.home, f.cargo, f.event_count
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[]) with ordinality as f (id, home, cargo, event_count, position) order by f.position
returning id, number, made_at;

-- name: left
-- What the stream may not have yet, in the order it was taken. $1 homes, $2 behind which number, $3 how many at most,
-- $4 bytes beyond which no other is read
select id, home, cargo, event_count, number, made_at, is_split from (
  select f.*, sum(octet_length(f.cargo)) over (order by f.number) - octet_length(f.cargo) as before from (
    select id, home, cargo, event_count, number, made_at, is_split from tidings.relay_flights where number > $2 and home = any ($1::text[]) order by number limit $3
  ) f
) g where before < $4 order by number;

-- name: left_to
-- The same for one home. $1 home, $2 behind which number, $3 how many at most, $4 bytes beyond which no other is read
select id, home, cargo, event_count, number, made_at, is_split from (
  select f.*, sum(octet_length(f.cargo)) over (order by f.number) - octet_length(f.cargo) as before from (
    select number, id, home, cargo, event_count, made_at, is_split from tidings.relay_flights where home = $1 and number > $2 order by number limit $3
  ) f
) g where before < $4 order by number;

-- name: loads
-- How much waits for each home. $1 homes
select home, count(*) as flights, sum(event_count) as events, sum(octet_length(cargo))::bigint as bytes
from tidings.relay_flights where home = any ($1::text[]) group by home;

-- name: split
-- It travels in pieces from now on. $1 id
update tidings.relay_flights set is_split = true where id = $1;

-- name: stranded
-- How many are to other homes than $1, $2 at most
select count(*) from (select from tidings.relay_flights where home <> all ($1::text[]) limit $2) f;

-- name: forget
-- The stream has them. $1 ids
delete from tidings.relay_flights where id = any ($1::uuid[]);

-- name: waiting
-- How many flights and events wait for the stream, so many flights at most, and for how long the oldest has. $1 limit
select count(*) as flights, coalesce(sum(event_count), 0) as events, coalesce(extract(epoch from clock_timestamp() - min(made_at)), 0)::float8 as seconds
from (select event_count, made_at from tidings.relay_flights order by number limit $1) w;

-- name: wishes
select home, table_schema, table_name, operation from tidings.relay_wishes;

-- name: drop_wishes
-- $1 homes, those that are given anew
delete from tidings.relay_wishes where home = any ($1::text[]);

-- name: put_wishes
-- In parallel: $1 homes, $2 schemas, $3 tables, $4 operations
insert into tidings.relay_wishes (home, table_schema, table_name, operation)
select distinct * from unnest($1::text[], $2::text[], $3::text[], $4::text[]);

-- name: land
-- Whether it was not landed before, and by which history of PostgreSQL: a standby that was promoted begins another. $1 flight
with landed as (insert into tidings.landed_flights (id) values ($1) on conflict do nothing returning id)
select exists (select from landed) as is_new, case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as history;

-- name: history
select case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end;

-- name: is_landed
-- $1 flight
select exists (select from tidings.landed_flights where id = $1);

-- name: begin_landing
-- Of several at once those that were not landed before; whether nothing is in the outbox that was there first; and the versions that what comes
-- is routed by. What is being routed is in the outbox still, for everybody else. Where groups live stays as it is until the transaction ends:
-- whoever moves one waits. Which groups are not there, and by which history of PostgreSQL, as above. $1 flights, $2 groups
with landed as (
  insert into tidings.landed_flights (id) select unnest($1::uuid[]) on conflict do nothing returning id
)
select array(select id from landed) as new, not exists (select from tidings.outbox) as is_outbox_empty,
  (select version from tidings.routes_version) as routes_version, (select version from tidings.privacy_version) as privacy_version,
  (select version from tidings.placing for share) as placing_version,
  array(select name from unnest($2::text[]) name where not exists (select from tidings.groups g where g.id = name)) as new_groups,
  case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as history;

-- name: outlook
-- $1 rows of the outbox that are many, $2 how long without a heartbeat
select (select count(*) > $1 from (select from tidings.outbox limit $1 + 1) o) as is_full, not exists (select from tidings.outbox) as is_empty,
  (select count(*) from tidings.workers where heartbeat_at >= now() - $2::interval) as workers;

-- name: forget_landed
-- $1 days, $2 how many at most
with gone as (
  delete from tidings.landed_flights where id in (
    select id from tidings.landed_flights where landed_at < now() - make_interval(days => $1) order by landed_at limit $2
  )
  returning id
)
select count(*) from gone;

-- name: set_aside
-- A flight that cannot be read, or an event of one that PostgreSQL refuses. $1 kind, $2 JSON, $3 why
insert into tidings.outbox_rejected (id, kind, row_as_json, error)
values (nextval(pg_get_serial_sequence('tidings.outbox', 'id')), $1, $2::text::json, $3);
