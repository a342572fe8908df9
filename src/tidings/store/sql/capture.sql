-- name: find_tables
-- What the names stand for. Views, foreign tables and the like have no row triggers. $1 schemas, $2 names
select n.nspname as schema_name, c.relname as table_name, c.relkind::text as kind, c.relispartition as is_partition
from unnest($1::text[], $2::text[]) as wanted (schema_name, table_name)
join pg_namespace n on n.nspname = wanted.schema_name
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.table_name
where c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: installed
-- Every table that carries our trigger, and for which operations. Partitions carry copies of their root's: they are not
-- listed. tgtype bits: 4 INSERT, 8 DELETE, 16 UPDATE (PostgreSQL, src/include/catalog/pg_trigger.h)
select n.nspname as schema_name, c.relname as table_name, c.relkind::text as kind,
  t.tgtype::integer & 28 as operation_bits, t.tgenabled <> 'D' as is_enabled,
  t.tgnargs = 0 or t.tgargs = convert_to(n.nspname, 'UTF8') || '\x00'::bytea || convert_to(c.relname, 'UTF8') || '\x00'::bytea as is_named_right
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where t.tgname = 'tidings_capture' and not t.tgisinternal and t.tgparentid = 0;

-- name: set_lock_timeout
-- A trigger needs a lock that writers hold for a moment. Waiting for a long one would make writers queue behind us.
set local lock_timeout = '2s';

-- name: install
-- format() does the quoting. $1 schema, $2 table, $3 operations, such as INSERT OR UPDATE, $4 is partitioned
select format('create or replace trigger tidings_capture after %s on %I.%I for each row execute function tidings.capture(%s)',
  $3::text, $1::text, $2::text, case when $4::boolean then format('%L, %L', $1::text, $2::text) else '' end) as statement;

-- name: remove
-- $1 schema, $2 table
select format('drop trigger if exists tidings_capture on %I.%I', $1::text, $2::text) as statement;

-- name: lock
-- One process at a time changes triggers.
select pg_advisory_xact_lock(7413201, 3);
