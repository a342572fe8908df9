-- The role of requests: rights of its own, and the group whose rows it sees.

-- name: take
-- For the session; and no group, whose rows are none, until one is said. $1 role
select set_config('role', $1, false), set_config('tidings.group', '', false);

-- name: act_for
-- For the session. $1 group
select set_config('tidings.group', $1, false);

-- name: raise
-- Our own rights, to the end of the transaction or until `lower`. Returns what the role was: read before it is set, since what is selected is
-- worked out for a row that is there already, while sources of rows are read in whichever order the planner likes.
with was as materialized (select current_setting('role') as role) select was.role, set_config('role', 'none', true) from was;

-- name: lower
-- $1 what the role was
select set_config('role', $1, true);

-- name: lock
-- One process at a time; as for migrations.
select pg_advisory_xact_lock(7413201, 0);

-- name: set_lock_timeout
-- As for migrations too: whoever comes to use a table of the user's would wait behind us.
set local lock_timeout = '2s';

-- name: owner
select current_user::text;

-- name: find
-- A role that passes for the owner of a table is not bound by its policies. $1 role
select r.rolsuper or r.rolbypassrls or exists (
    select from pg_class c where c.relnamespace = 'tidings'::regnamespace and pg_has_role(r.oid, c.relowner, 'usage')) as is_strong
from pg_roles r where r.rolname = $1;

-- name: create
-- $1 role
select format('create role %I nologin', $1::text) as statement;

-- name: join
-- $1 role, $2 who is to take it
select format('grant %I to %I', $1::text, $2::text) as statement;

-- name: differences
-- What makes the rights of a role those that it is to have, on everything in our schema; columns are '' where a right is for all of them.
-- $1 role, $2 names of tables and views, $3 verbs, $4 columns, $5 whether what is too much is among it
with wanted as (
  select * from unnest($2::text[], $3::text[], $4::text[]) as w (name, verb, col)
), had as (
  select c.relname::text as name, lower(a.privilege_type) as verb, '' as col
  from pg_class c cross join lateral aclexplode(c.relacl) a
  where c.relnamespace = 'tidings'::regnamespace and a.grantee = (select oid from pg_roles where rolname = $1)
  union all
  select c.relname::text, lower(a.privilege_type), t.attname::text
  from pg_class c join pg_attribute t on t.attrelid = c.oid cross join lateral aclexplode(t.attacl) a
  where c.relnamespace = 'tidings'::regnamespace and a.grantee = (select oid from pg_roles where rolname = $1)
)
select format('grant usage on schema tidings to %I;', $1::text) as statement where not has_schema_privilege($1::text, 'tidings', 'usage')
union all
select format('revoke %s%s on tidings.%I from %I;', verb, case when col <> '' then format(' (%I)', col) else '' end, name, $1::text)
from (select * from had except select * from wanted) too_much where $5
union all
select format('grant %s%s on tidings.%I to %I;', verb, case when col <> '' then format(' (%I)', col) else '' end, name, $1::text)
from (select * from wanted except select * from had) missing;

-- name: open_collections
-- Tables of collections that the role cannot reach yet: from before there was one, or made under another. $1 role
select tidings.open_records(k.table_schema, k.name, k.group_id, $1)
from tidings.collections k
join pg_namespace n on n.nspname = k.table_schema join pg_class c on c.relnamespace = n.oid and c.relname = k.name
where not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tidings_requests'
  and p.polroles = array[(select oid from pg_roles where rolname = $1)]);
