-- name: find_tables
-- What the names stand for. Views, foreign tables and the like have no row triggers. $1 schemas, $2 names
select n.nspname as schema_name, c.relname as table_name, c.oid as relation, c.relkind::text as kind, c.relispartition as is_partition,
  exists (select from tidings.collections k where k.table_schema = n.nspname and k.name = c.relname) as is_collection
from unnest($1::text[], $2::text[]) as wanted (schema_name, table_name)
join pg_namespace n on n.nspname = wanted.schema_name
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.table_name
where c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: known_tables
-- To tell somebody who misspelt one. $1 how many
select n.nspname as schema_name, c.relname as table_name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname not in ('tidings', 'information_schema')
  and not exists (select from tidings.collections k where k.table_schema = n.nspname and k.name = c.relname)
order by n.nspname <> 'public', n.nspname, c.relname limit $1;

-- name: captured_tables
-- Every table that carries a trigger of ours. Partitions carry copies of their root's: they are not listed.
select distinct n.nspname as schema_name, c.relname as table_name
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where t.tgname like 'tidings\_capture%' and not t.tgisinternal and t.tgparentid = 0;

-- name: installed
-- The triggers of ours on tables. $1 schemas, $2 names
-- tgtype bits: 4 INSERT, 8 DELETE, 16 UPDATE (PostgreSQL, src/include/catalog/pg_trigger.h). tgenabled: O and A fire in ordinary
-- sessions. A partition's copy can be disabled by itself.
with recursive ours as (
  select t.oid as root, t.oid, t.tgenabled from pg_trigger t
  where t.tgname like 'tidings\_capture%' and not t.tgisinternal and t.tgparentid = 0
    and t.tgrelid in (select c.oid from unnest($1::text[], $2::text[]) as asked (schema_name, table_name)
      join pg_namespace n on n.nspname = asked.schema_name join pg_class c on c.relnamespace = n.oid and c.relname = asked.table_name)
  union all
  select ours.root, t.oid, t.tgenabled from ours join pg_trigger t on t.tgparentid = ours.oid
)
select n.nspname as schema_name, c.relname as table_name, t.tgname as trigger_name, t.tgtype::integer & 28 as operation_bits,
  p.proname as function_name, t.tgargs as arguments,
  not exists (select from ours where ours.root = t.oid and ours.tgenabled not in ('O', 'A')) as is_enabled
from unnest($1::text[], $2::text[]) as asked (schema_name, table_name)
join pg_namespace n on n.nspname = asked.schema_name
join pg_class c on c.relnamespace = n.oid and c.relname = asked.table_name
join pg_trigger t on t.tgrelid = c.oid
join pg_proc p on p.oid = t.tgfoid
where t.tgname like 'tidings\_capture%' and not t.tgisinternal and t.tgparentid = 0;

-- name: subscribed_tables
-- Every table that a webhook names, each found from the one before by index: as many steps as there are tables, however
-- many webhooks name them. Those of webhooks at homes of a fleet are counted in.
with recursive named as (
  (select table_schema, table_name from tidings.table_subscriptions order by table_schema, table_name limit 1)
  union all
  select following.* from named cross join lateral (
    select s.table_schema, s.table_name from tidings.table_subscriptions s
    where (s.table_schema, s.table_name) > (named.table_schema, named.table_name) order by s.table_schema, s.table_name limit 1
  ) following
)
select table_schema, table_name from named union select table_schema, table_name from tidings.relay_wishes;

-- name: subscribed_operations
-- The operations that webhooks want of tables, other than one webhook. Each is one look into the index: the limit keeps the planner
-- from reading all subscriptions instead. $1 schemas, $2 names, $3 webhook, or null
select asked.table_schema, asked.table_name, o.operation
from unnest($1::text[], $2::text[]) as asked (table_schema, table_name)
cross join unnest('{INSERT,UPDATE,DELETE}'::text[]) as o (operation)
cross join lateral (
  (select from tidings.table_subscriptions s
  where s.table_schema = asked.table_schema and s.table_name = asked.table_name and s.operation = o.operation
    and s.webhook_id is distinct from $3::uuid
  limit 1)
  union all
  (select from tidings.relay_wishes r where r.table_schema = asked.table_schema and r.table_name = asked.table_name and r.operation = o.operation limit 1)
  limit 1
) wanted;

-- name: set_lock_timeout
-- A trigger needs a lock that writers hold for a moment. Waiting for a long one would make writers queue behind us.
set local lock_timeout = '2s';

-- name: install
-- format() does the quoting. $1 schema, $2 table, $3 trigger, $4 operations, such as INSERT OR UPDATE, $5 condition or null,
-- $6 function, $7 arguments
select format('create or replace trigger %I after %s on %I.%I for each row %s execute function tidings.%I(%s)', $3::text, $4::text,
  $1::text, $2::text, coalesce('when (' || $5::text || ')', ''), $6::text,
  (select string_agg(quote_literal(a.value), ', ' order by a.position) from unnest($7::text[]) with ordinality a (value, position))) as statement;

-- name: remove
-- $1 schema, $2 table, $3 trigger
select format('drop trigger if exists %I on %I.%I', $3::text, $1::text, $2::text) as statement;

-- name: may_drop
-- PostgreSQL has triggers dropped by the table's owner alone. $1 schema, $2 table
select pg_has_role(c.relowner, 'usage') from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2;

-- name: make_leaving
-- For those who may only make triggers (theory: 0049_roles.sql).
select tidings.make_leaving();

-- name: leave
-- $1 schema, $2 table, $3 trigger, $4 function
select format('create or replace trigger %I after delete on %I.%I for each row when (false) execute function tidings.%I()', $3::text, $1::text, $2::text, $4::text) as statement;

-- name: drop_leaving
-- $1 function
select tidings.drop_leaving($1);

-- name: lock
-- One process at a time changes triggers.
select pg_advisory_xact_lock(7413201, 3);

-- name: columns
-- In their order. $1 schema, $2 table
select a.attname as name, a.attnum as number, exists (
    select from pg_index i where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey)
  ) as is_key
from pg_attribute a
where a.attrelid = (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2)
  and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: offered_tables
-- Tables whose changes can be told of, in order, each with its first columns: not those of PostgreSQL, ours, partitions, collections.
-- $1 how many, $2 columns of each
select n.nspname as schema_name, c.relname as table_name, array(
    select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum limit $2
  ) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p' and n.nspname <> 'information_schema'
  and n.nspname not like 'pg\_%' and n.nspname <> 'tidings'
  and not exists (select from tidings.collections k where k.table_schema = n.nspname and k.name = c.relname)
order by n.nspname <> 'public', n.nspname, c.relname limit $1;

-- name: put_settings
-- What they were bound to before is remembered while it exists. $1 schema, $2 table, $3 group column, $4 unknown groups, $5 excluded,
-- $6 renamed, $7 changed, $8 conditions, $9 relation, $10 numbers
insert into tidings.captured_tables as c (table_schema, table_name, group_column, unknown_groups, excluded_columns, renamed_columns,
  changed_columns, conditions, relation, column_numbers)
values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8::jsonb, $9::oid, $10::jsonb)
on conflict (table_schema, table_name) do update set group_column = $3, unknown_groups = $4, excluded_columns = $5,
  renamed_columns = $6::jsonb, changed_columns = $7, conditions = $8::jsonb, relation = $9, column_numbers = $10::jsonb,
  former_relations = array(select f from unnest(c.former_relations || c.relation) f join pg_class on pg_class.oid = f where f <> $9),
  updated_at = now();

-- name: bind_settings
-- $1 schema, $2 table, $3 relation, $4 numbers
update tidings.captured_tables c set relation = $3::oid, column_numbers = $4::jsonb,
  former_relations = array(select f from unnest(c.former_relations || c.relation) f join pg_class on pg_class.oid = f where f <> $3)
where (table_schema, table_name) = ($1, $2);

-- name: remove_settings
-- $1 schema, $2 table
delete from tidings.captured_tables where table_schema = $1 and table_name = $2 returning 1;

-- name: tables_with_settings
select table_schema, table_name from tidings.captured_tables;

-- name: settings
-- With the table as it is now; also tables that settings were made for under another name, with that. $1 schemas, $2 names
select asked.table_schema, asked.table_name, c.table_name is not null as has_some, c.group_column, c.unknown_groups, c.excluded_columns,
  c.renamed_columns, c.changed_columns, c.conditions, c.relation as bound_to, c.column_numbers, t.oid as relation, (
    select json_object_agg(a.attname, a.attnum) from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  ) as columns, claimed.shown as claimed_by
from unnest($1::text[], $2::text[]) as asked (table_schema, table_name)
left join tidings.captured_tables c using (table_schema, table_name)
left join (pg_namespace n join pg_class t on t.relnamespace = n.oid and t.relkind in ('r', 'p'))
  on n.nspname = asked.table_schema and t.relname = asked.table_name
left join lateral (
  select other.table_schema || '.' || other.table_name as shown from tidings.captured_tables other
  where (other.relation = t.oid or t.oid = any (other.former_relations))
    and (other.table_schema, other.table_name) <> (asked.table_schema, asked.table_name) limit 1
) claimed on t.oid is distinct from c.relation
where c.table_name is not null or claimed.shown is not null;

-- name: capture_errors
-- The latest of each table, of yesterday and today. $1 schemas, $2 names
select asked.table_schema, asked.table_name, e.capture_error from unnest($1::text[], $2::text[]) as asked (table_schema, table_name)
cross join lateral (
  select capture_error from tidings.events where capture_error is not null and table_schema = asked.table_schema
    and table_name = asked.table_name and id >= tidings.first_id_of((now() at time zone 'UTC')::date - 1) order by id desc limit 1
) e;

-- name: hearers
-- The webhooks of a group that name the tables, so many of each, with the operations each wants. $1 schemas, $2 names, $3 group,
-- $4 how many of a table
select asked.table_schema, asked.table_name, w.id, w.name, w.operations
from unnest($1::text[], $2::text[]) as asked (table_schema, table_name)
cross join lateral (
  select w.id, w.name, array_agg(s.operation order by s.operation) as operations
  from tidings.table_subscriptions s join tidings.webhooks w on w.id = s.webhook_id
  where s.table_schema = asked.table_schema and s.table_name = asked.table_name and w.group_id = $3
  group by w.id, w.name order by w.name, w.id limit $4
) w
order by asked.table_schema, asked.table_name, w.name, w.id;

-- name: hearers_of_all
-- The names of webhooks of all groups that name a table. $1 schema, $2 table, $3 how many
select w.name from tidings.webhooks w
where exists (select from tidings.table_subscriptions s where s.webhook_id = w.id and s.table_schema = $1 and s.table_name = $2)
order by w.name, w.id limit $3;
