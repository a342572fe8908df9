-- name: is_there
select to_regclass('tidings.migrations') is not null;

-- name: live_workers
select count(*) from tidings.workers where heartbeat_at > now() - interval '15 seconds';

-- name: triggers
-- Every trigger that calls a function of ours, on whatever table. Partitions carry copies of their root's: they are not listed.
select n.nspname as schema_name, c.relname as table_name, t.tgname as trigger_name, pg_get_userbyid(c.relowner) as owner,
  pg_has_role(c.relowner, 'USAGE') or (has_schema_privilege(n.oid, 'usage') and not exists (
    select from (select c.oid union select relid from pg_partition_tree(c.oid)) part (oid) where not has_table_privilege(part.oid, 'trigger'))) as is_allowed,
  format('DROP TRIGGER %I ON %I.%I;', t.tgname, n.nspname, c.relname) as drop
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_proc p on p.oid = t.tgfoid
where p.pronamespace = to_regnamespace('tidings') and n.nspname <> 'tidings' and not t.tgisinternal and t.tgparentid = 0
order by n.nspname, c.relname, t.tgname;

-- name: collections
select k.table_schema as schema_name, k.name as table_name
from tidings.collections k join pg_namespace n on n.nspname = k.table_schema join pg_class c on c.relnamespace = n.oid and c.relname = k.name
order by k.table_schema, k.name;

-- name: dependents
-- What others made of what is in our schema, and what would go with it: views, foreign keys, defaults, policies, columns of our types.
-- $1 how many
with ours as (
  select 'pg_class'::regclass as class, oid from pg_class where relnamespace = to_regnamespace('tidings')
  union all select 'pg_proc'::regclass, oid from pg_proc where pronamespace = to_regnamespace('tidings')
  union all select 'pg_type'::regclass, oid from pg_type where typnamespace = to_regnamespace('tidings')
), theirs as (
  select distinct d.classid, d.objid, d.objsubid, case d.classid
    when 'pg_rewrite'::regclass then (select ev_class from pg_rewrite where oid = d.objid)
    when 'pg_constraint'::regclass then (select nullif(conrelid, 0) from pg_constraint where oid = d.objid)
    when 'pg_attrdef'::regclass then (select adrelid from pg_attrdef where oid = d.objid)
    when 'pg_policy'::regclass then (select polrelid from pg_policy where oid = d.objid)
    when 'pg_class'::regclass then d.objid end as relation
  from pg_depend d join ours on d.refclassid = ours.class and d.refobjid = ours.oid
  where d.deptype in ('n', 'a') and d.classid <> 'pg_trigger'::regclass
)
select distinct case t.classid when 'pg_rewrite'::regclass then pg_describe_object('pg_class'::regclass, t.relation, 0)
  else pg_describe_object(t.classid, t.objid, t.objsubid) end as shown
from theirs t left join pg_class c on c.oid = t.relation
  left join pg_proc p on t.classid = 'pg_proc'::regclass and p.oid = t.objid left join pg_type y on t.classid = 'pg_type'::regclass and y.oid = t.objid
where coalesce(c.relnamespace, p.pronamespace, y.typnamespace) is distinct from to_regnamespace('tidings')
order by shown limit $1;

-- name: size
-- Bytes of all that is in the schema, and about how many rows of each of the tables that people ask about. reltuples is -1 before the first look.
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint as bytes,
  coalesce(sum(greatest(c.reltuples, 0)) filter (where c.relname ~ '^events(_|$)'), 0)::bigint as events,
  coalesce(sum(greatest(c.reltuples, 0)) filter (where c.relname ~ '^deliveries(_|$)'), 0)::bigint as deliveries
from pg_class c where c.relnamespace = to_regnamespace('tidings') and c.relkind in ('r', 'm');

-- name: set_lock_timeout
-- Dropping waits for those who use the table, and others would wait behind that.
set local lock_timeout = '2s';

-- name: drop_table
-- $1 schema, $2 table
select format('drop table if exists %I.%I cascade', $1::text, $2::text) as statement;

-- name: close_table
-- What kept it to its group, for the role of requests. $1 schema, $2 table
select format('select tidings.close_records(%L, %L)', $1::text, $2::text) as statement;

-- name: revoke_records
-- What running roles may do with it, which their rights on the schema tidings do not take along. $1 schema, $2 table
select string_agg(format('revoke all on %1$I.%2$I from %3$I; revoke usage on schema %1$I from %3$I;', $1::text, $2::text, r.rolname), ' ') as statement
from pg_policy p join pg_roles r on r.oid = any (p.polroles) where p.polrelid = to_regclass('tidings.webhooks') and p.polname = 'running_role';

-- name: partitions
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
where c.relnamespace = to_regnamespace('tidings') and c.relispartition and c.relkind = 'r' order by c.relname;

-- name: drop_partition
-- $1 table
select format('drop table if exists tidings.%I', $1::text) as statement;

-- name: drop_empty_schema
-- Nothing, where something else is in it. $1 schema
select format('drop schema %I', $1::text) as statement
where to_regnamespace(quote_ident($1)) is not null
  and not exists (select from pg_class where relnamespace = to_regnamespace(quote_ident($1)));

-- name: drop_schema
drop schema tidings cascade;
