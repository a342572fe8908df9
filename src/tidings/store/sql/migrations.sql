-- name: lock
select pg_advisory_xact_lock(7413201, 0);

-- name: set_lock_timeout
-- From here on to the end of the transaction. A statement that waits for a lock makes all wait who come after it.
set local lock_timeout = '2s';

-- name: blocker
-- Whose transaction has used a table of ours for longest.
select a.pid, a.usename::text as role, a.application_name as application, a.state, extract(epoch from now() - a.xact_start)::float8 as seconds
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.xact_start is not null and exists (
  select from pg_locks l join pg_class c on c.oid = l.relation and c.relnamespace = to_regnamespace('tidings')
  where l.pid = a.pid and l.granted and l.database = (select oid from pg_database where datname = current_database())
)
order by a.xact_start limit 1;

-- name: prepare
create schema if not exists tidings;
create table if not exists tidings.migrations (
  number integer primary key,
  name text not null,
  applied_at timestamptz not null default now()
);

-- name: stranger
-- Whose schema `tidings` is, where it is not of our making: nobody has migrated it, and it is somebody else's or holds something.
select pg_get_userbyid(n.nspowner) from pg_namespace n
where n.nspname = 'tidings' and to_regclass('tidings.migrations') is null and (n.nspowner <> (select oid from pg_roles where rolname = current_user)
  or exists (select from pg_depend d where d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid and d.classid <> 'pg_default_acl'::regclass));

-- name: is_there
select to_regclass('tidings.migrations') is not null;

-- name: applied
select number from tidings.migrations;

-- name: is_ahead
-- $1 the last migration that is known
select exists (select from tidings.migrations where number > $1);

-- name: oldest
-- The last migration of the oldest program that can run on this schema.
select value from tidings.settings where name = 'oldest_program';

-- name: put_oldest
-- $1 number
insert into tidings.settings (name, value) values ('oldest_program', $1) on conflict (name) do update set value = excluded.value;

-- name: record
-- $1 number, $2 name
insert into tidings.migrations (number, name) values ($1, $2);
