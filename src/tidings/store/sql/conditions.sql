-- name: see_types
-- For the trigger that is to be read: operators of the types of columns are found where those types are, so that one of somebody's is seen to
-- be one, and not taken for PostgreSQL's. Nothing is run. $1 schema, $2 table
select set_config('search_path', concat_ws(', ', 'pg_catalog', (
  select string_agg(distinct quote_ident(s.nspname), ', ') from pg_attribute a join pg_type t on t.oid = a.atttypid
  join pg_namespace s on s.oid = t.typnamespace and s.nspname <> 'pg_catalog'
  where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and not a.attisdropped), 'pg_temp'), true);

-- name: see_own
-- Names are PostgreSQL's own again.
select set_config('search_path', 'pg_catalog, pg_temp', true);

-- name: probe
-- A trigger that has a condition as its owner wrote it, for PostgreSQL to read it; it is taken back at once. $1 schema, $2 table,
-- $3 operations, $4 condition
select format(E'create trigger tidings_capture_probe after %s on %I.%I for each row when (%s\n) execute function tidings.capture_bound()',
  $3::text, $1::text, $2::text, $4::text) as statement;

-- name: probed
-- What PostgreSQL made of it. $1 schema, $2 table
select t.tgqual::text from pg_trigger t
where t.tgrelid = format('%I.%I', $1::text, $2::text)::regclass and t.tgname = 'tidings_capture_probe' and t.tgparentid = 0;

-- name: plan
-- Has PostgreSQL plan the condition: what in it asks for no row is worked out then. Columns of nothing stand for the row, kept from being
-- worked out themselves. $1 schema, $2 table, $3 condition
select format(E'explain select from (select %1$s offset 0) new, (select %1$s offset 0) old where (%2$s\n)',
  (select string_agg(format('null::%s as %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' order by a.attnum)
   from pg_attribute a where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and not a.attisdropped), $3::text) as statement;

-- name: functions
-- 16384 is the first number of what PostgreSQL did not bring. $1 object ids, $2 operators that conditions may have
select p.oid, p.proname as name, p.prosrc as code, p.provolatile = 'i' as is_immutable,
  p.oid < 16384 and p.pronamespace = 'pg_catalog'::regnamespace as is_builtin,
  exists (select from pg_cast c where c.castfunc = p.oid) as is_cast,
  exists (select from pg_operator o where o.oprcode = p.oid and o.oprname = any ($2::text[])) as is_operator
from pg_proc p where p.oid = any ($1::oid[]);

-- name: types
-- $1 object ids
select t.oid, t.typname as name, t.typtype::text as kind, t.typinput::oid as reads, t.typoutput::oid as writes
from pg_type t where t.oid = any ($1::oid[]);

-- name: unreadable_columns
-- Those whose literals run functions of somebody's when they are merely parsed: composites, and what holds domains. $1 schema, $2 table,
-- $3 columns
select a.attname as name, format_type(a.atttypid, null) as type
from pg_attribute a join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
left join pg_type e on e.oid = b.typelem and b.typelem <> 0
where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and a.attname = any ($3::text[])
  and not (b.typtype in ('b', 'e') and coalesce(e.typtype in ('b', 'e'), true) or b.typtype in ('r', 'm') and b.oid < 16384);

-- name: make_guard
-- $1 function, $2 body, $3 whether it is to mean the same in every session
select tidings.make_guard($1, $2, $3);

-- name: unused_guards
-- $1 how many
select p.proname as name from pg_proc p
where p.pronamespace = 'tidings'::regnamespace and p.proname like 'when\_%'
  and not exists (select from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.classid = 'pg_trigger'::regclass)
limit $1;

-- name: drop_guard
-- $1 function
select tidings.drop_guard($1);
