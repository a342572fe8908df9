-- Roles that own nothing, and what they lack.

-- name: look
-- Who we are, and whose the schema is; null where there is none.
select current_user::text as role, current_database()::text as database, pg_get_userbyid(d.datdba) as database_owner, n.owner,
  n.is_own, coalesce(n.may_use, true) as may_use, r.rolsuper or (r.rolcreaterole and r.rolinherit) as may_make_roles, r.rolsuper as is_superuser,
  has_database_privilege(d.oid, 'create') as may_create, current_setting('server_version_num')::integer / 10000 as version,
  exists (select from pg_roles a where a.rolname in ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'alloydbsuperuser')) as is_managed
from pg_database d join pg_roles r on r.rolname = current_user left join (
  select pg_get_userbyid(nspowner) as owner, pg_has_role(nspowner, 'usage') as is_own,
    has_schema_privilege(oid, 'usage') as may_use from pg_namespace where nspname = 'tidings'
) n on true
where d.datname = current_database();

-- name: running_roles
-- Those that were given what running takes.
select r.rolname as role from pg_policy p join pg_roles r on r.oid = any (p.polroles)
where p.polrelid = to_regclass('tidings.webhooks') and p.polname = 'running_role' order by r.rolname;

-- name: exists
-- $1 role
select exists (select from pg_roles where rolname = $1);

-- name: missing_schema
-- Without that nothing else can be asked. $1 role
select format('GRANT USAGE ON SCHEMA tidings TO %I;', $1::text) as statement where not has_schema_privilege($1::text, 'tidings', 'usage');

-- name: missing
-- What a role lacks to run Tidings, as the statements that give it. $1 role, $2 names of tables and sequences, $3 verbs, $4 functions
with wanted as (
  select c.oid, c.relname, c.relkind, c.relrowsecurity, w.verb from unnest($2::text[], $3::text[]) as w (name, verb)
  join pg_class c on c.relname = w.name and c.relnamespace = 'tidings'::regnamespace
), whoever as (
  select r.oid, r.rolname, r.rolsuper or r.rolbypassrls as sees_all from pg_roles r where r.rolname = $1
)
(select format('GRANT %s ON %s tidings.%I TO %I;', upper(string_agg(w.verb, ', ' order by w.verb)), case w.relkind when 'S' then 'SEQUENCE' else 'TABLE' end,
  w.relname, $1::text) as statement
from wanted w where case w.relkind when 'S' then not has_sequence_privilege($1::text, w.oid, w.verb) else not has_table_privilege($1::text, w.oid, w.verb) end
group by w.relname, w.relkind order by w.relname)
union all
(select case when p.oid is null then format('CREATE POLICY running_role ON tidings.%I TO %I USING (true) WITH CHECK (true);', w.relname, $1::text)
  else format('ALTER POLICY running_role ON tidings.%I TO %I, %s;', w.relname, $1::text,
    (select string_agg(quote_ident(r.rolname), ', ' order by r.rolname) from pg_roles r where r.oid = any (p.polroles))) end
from (select distinct oid, relname from wanted where relrowsecurity and relkind in ('r', 'p')) w cross join whoever o
left join pg_policy p on p.polrelid = w.oid and p.polname = 'running_role'
where not o.sees_all and (p.oid is null or not exists (select from unnest(p.polroles) r where pg_has_role(o.oid, r, 'usage')))
order by w.relname)
union all
(select format('GRANT EXECUTE ON FUNCTION tidings.%I(%s) TO %I;', p.proname, pg_get_function_identity_arguments(p.oid), $1::text)
from pg_proc p where p.pronamespace = 'tidings'::regnamespace and p.proname = any ($4::text[]) and not has_function_privilege($1::text, p.oid, 'execute')
order by p.proname)
union all
(select format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, $1::text) from pg_namespace n
where n.oid in (select c.relnamespace from tidings.collections k join pg_namespace m on m.nspname = k.table_schema join pg_class c on c.relnamespace = m.oid and c.relname = k.name)
  and not has_schema_privilege($1::text, n.oid, 'usage') order by n.nspname)
union all
(select format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %I.%I TO %I;', k.table_schema, k.name, $1::text)
from tidings.collections k join pg_namespace n on n.nspname = k.table_schema join pg_class c on c.relnamespace = n.oid and c.relname = k.name
where not (has_table_privilege($1::text, c.oid, 'select') and has_table_privilege($1::text, c.oid, 'insert')
  and has_table_privilege($1::text, c.oid, 'update') and has_table_privilege($1::text, c.oid, 'delete'))
order by k.table_schema, k.name);

-- name: too_much
-- What was granted to a role beyond that. $1 role, $2 names of tables and sequences, $3 verbs
select format('REVOKE %s ON TABLE tidings.%I FROM %I;', a.privilege_type, c.relname, $1::text) as statement
from pg_class c cross join lateral aclexplode(c.relacl) a
where c.relnamespace = 'tidings'::regnamespace and a.grantee = (select oid from pg_roles where rolname = $1)
  and not exists (select from unnest($2::text[], $3::text[]) w (name, verb) where w.name = c.relname and w.verb = lower(a.privilege_type))
order by c.relname, a.privilege_type;

-- name: may_take
-- Whether one role may take another. $1 who, $2 which
select pg_has_role($1::text, $2::text, case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end);

-- name: may_create
-- $1 role
select has_database_privilege($1::text, current_database(), 'create');

-- name: missing_on
-- What a role lacks to put a trigger on tables, and on partitions of theirs, or to read them. $1 schemas, $2 names, $3 verbs, $4 role, which need not be there
with asked as (
  select distinct c.oid, n.nspname, c.relname, c.relowner
  from unnest($1::text[], $2::text[]) a (schema_name, table_name)
  join pg_namespace m on m.nspname = a.schema_name join pg_class t on t.relnamespace = m.oid and t.relname = a.table_name
  cross join lateral (select t.oid union select p.relid from pg_partition_tree(t.oid) p) part (oid)
  join pg_class c on c.oid = part.oid join pg_namespace n on n.oid = c.relnamespace
)
select pg_get_userbyid(n.nspowner) as owner, format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, $4::text) as statement
from pg_namespace n where n.nspname in (select nspname from asked) and has_schema_privilege((select r.oid from pg_roles r where r.rolname = $4), n.oid, 'usage') is not true
union all
(select pg_get_userbyid(relowner), format('GRANT %s ON %I.%I TO %I;', upper(string_agg(v.verb, ', ' order by v.verb)), nspname, relname, $4::text)
from asked cross join unnest($3::text[]) v (verb) where has_table_privilege((select r.oid from pg_roles r where r.rolname = $4), asked.oid, v.verb) is not true
group by relowner, nspname, relname order by nspname, relname);

-- name: missing_to_lock
-- What a role lacks to lock rows of tables against changes, as backfills do: UPDATE on one column, whichever. $1 schemas, $2 names, $3 role, which
-- need not be there
select pg_get_userbyid(t.relowner) as owner, format('GRANT UPDATE (%I) ON %I.%I TO %I;', k.attname, n.nspname, t.relname, $3::text) as statement
from unnest($1::text[], $2::text[]) a (schema_name, table_name) join pg_namespace n on n.nspname = a.schema_name
join pg_class t on t.relnamespace = n.oid and t.relname = a.table_name join pg_index i on i.indrelid = t.oid and i.indisprimary
join pg_attribute k on k.attrelid = t.oid and k.attnum = i.indkey[0]
where has_any_column_privilege((select r.oid from pg_roles r where r.rolname = $3), t.oid, 'update') is not true order by n.nspname, t.relname;

-- name: our_role
select current_user::text;

-- name: named_tables
-- Tables that webhooks name, and whether one of their backfills may come: any may.
select distinct table_schema, table_name from tidings.table_subscriptions order by table_schema, table_name;
