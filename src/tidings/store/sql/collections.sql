-- name: missing_schema_right
-- What whoever owns our schema lacks to make another one; null: it is there, or may be made. $1 schema
select pg_get_userbyid(d.datdba) as owner, format('GRANT CREATE ON DATABASE %I TO %I;', d.datname, pg_get_userbyid(n.nspowner)) as statement
from pg_namespace n join pg_database d on d.datname = current_database()
where n.nspname = 'tidings' and to_regnamespace(quote_ident($1)) is null and not has_database_privilege(n.nspowner, d.oid, 'create');

-- name: insert
-- $1 id, $2 group, $3 name, $4 type, $5 fields, $6 options, $7 author, $8 schema, $9 now
insert into tidings.collections (id, group_id, name, type, fields, options, author, table_schema, created_at, updated_at)
values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9, $9);

-- name: update
-- $1 id, $2 fields, $3 options, $4 author, $5 now
update tidings.collections set fields = $2::jsonb, options = $3::jsonb, author = $4, updated_at = $5 where id = $1;

-- name: delete
-- $1 id
delete from tidings.collections where id = $1;

-- name: get
-- $1 group, $2 name
select * from tidings.collections where group_id = $1 and name = $2;

-- name: lock
-- The same, until the transaction ends. $1 group, $2 name
select * from tidings.collections where group_id = $1 and name = $2 for update;

-- name: set_lock_timeout
-- Altering a table waits for those who use it, and others would wait behind that.
set local lock_timeout = '2s';

-- name: list
-- In order of their names. $1 group, $2 limit, $3 offset
select * from tidings.collections where group_id = $1 order by name limit $2 offset $3;

-- name: names
-- $1 group, $2 how many, $3 only those behind this; '' for all
select name from tidings.collections where group_id = $1 and name > $3 order by name limit $2;

-- name: referring
-- References to a table by other collections of a group. $1 schema, $2 table, $3 group
select n.nspname as schema_name, c.relname as table_name, k.conname as constraint_name
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  join tidings.collections o on o.table_schema = n.nspname and o.name = c.relname and o.group_id = $3
where k.contype = 'f' and k.confrelid = to_regclass(format('%I.%I', $1::text, $2::text)) and k.conrelid <> k.confrelid
order by n.nspname, c.relname, k.conname;

-- name: change
-- What takes the owner of a collection's table. $1 what, $2 schema, $3 table, $4 arguments as JSON
select tidings.change_records($1, $2, $3, $4::json);

-- name: foreign_schema
-- Whose a schema is, where that is neither a superuser, nor whose the database or our own schema is: they could put another table in the place
-- of a collection's. $1 schema
select pg_get_userbyid(n.nspowner) from pg_namespace n join pg_roles r on r.oid = n.nspowner
where n.nspname = $1 and not r.rolsuper and n.nspowner not in (
  (select nspowner from pg_namespace where nspname = 'tidings'), (select datdba from pg_database where datname = current_database()));

-- name: who_asks
-- The role that the table is to be open to, when that is one of its own (`request_role`).
select current_setting('role');

-- name: count_values
-- $1 schema, $2 table, $3 column
select format('select count(%I) from %I.%I', $3::text, $1::text, $2::text) as statement;

-- name: announce_due
-- $1 now
select tidings.announce_due($1);
