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
-- What ends references to a table by other collections of a group. $1 schema, $2 table, $3 group
select format('alter table %I.%I drop constraint %I', n.nspname, c.relname, k.conname) as statement
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  join tidings.collections o on o.table_schema = n.nspname and o.name = c.relname and o.group_id = $3
where k.contype = 'f' and k.confrelid = to_regclass(format('%I.%I', $1::text, $2::text)) and k.conrelid <> k.confrelid
order by n.nspname, c.relname, k.conname;

-- name: create_schema
-- $1 schema
select format('create schema if not exists %I', $1::text) as statement;

-- name: create_table
-- Whether a record was archived is never unknown. $1 schema, $2 table, $3 columns, $4 types, $5 which are required
select format('create table %I.%I (id text primary key, created timestamptz not null default now(), updated timestamptz not null default now(), '
  || 'tidings_announced timestamptz, %s)', $1::text, $2::text,
  (select string_agg(format('%I %s%s', c.name, c.type,
      case when c.name = 'archived' then ' not null default false' when c.is_required then ' not null' else '' end), ', ' order by c.place)
    from unnest($3::text[], $4::text[], $5::boolean[]) with ordinality c (name, type, is_required, place))) as statement;

-- name: create_trigger
-- $1 schema, $2 table, $3 id, $4 name, $5 group
select format('create trigger tidings_content after insert or update or delete on %I.%I for each row execute function tidings.capture_content(%L, %L, %L)',
  $1::text, $2::text, $3::text, $4::text, $5::text) as statement;

-- name: create_due_index
-- What is to be published finds itself. $1 schema, $2 table
select format('create index on %I.%I ("publishDate") where "publishDate" is distinct from tidings_announced', $1::text, $2::text) as statement;

-- name: open_table
-- To whoever asks, when that is a role of its own (`request_role`). $1 schema, $2 table, $3 group
select case when current_setting('role') = 'none' then 'select' else
  format('select tidings.open_records(%L, %L, %L, %L)', $1::text, $2::text, $3::text, current_setting('role')) end as statement;

-- name: drop_table
-- $1 schema, $2 table
select format('drop table %I.%I', $1::text, $2::text) as statement;

-- name: add_column
-- $1 schema, $2 table, $3 column, $4 type
select format('alter table %I.%I add column %I %s', $1::text, $2::text, $3::text, $4::text) as statement;

-- name: drop_column
-- $1 schema, $2 table, $3 column
select format('alter table %I.%I drop column %I', $1::text, $2::text, $3::text) as statement;

-- name: rename_column
-- $1 schema, $2 table, $3 column, $4 new name
select format('alter table %I.%I rename column %I to %I', $1::text, $2::text, $3::text, $4::text) as statement;

-- name: retype_column
-- By way of text, which every value has. $1 schema, $2 table, $3 column, $4 type
select format('alter table %1$I.%2$I alter column %3$I type %4$s using %3$I::text::%4$s', $1::text, $2::text, $3::text, $4::text) as statement;

-- name: require_column
-- $1 schema, $2 table, $3 column, $4 required
select format('alter table %I.%I alter column %I %s not null', $1::text, $2::text, $3::text, case when $4::boolean then 'set' else 'drop' end) as statement;

-- name: add_unique
-- $1 schema, $2 table, $3 column
select format('create unique index %I on %I.%I (%I)', left('u_' || md5($2::text || '.' || $3::text), 63), $1::text, $2::text, $3::text) as statement;

-- name: drop_unique
-- $1 schema, $2 table, $3 column
select format('drop index if exists %I.%I', $1::text, left('u_' || md5($2::text || '.' || $3::text), 63)) as statement;

-- name: add_relation
-- A record that is referred to by a field that is not required leaves null behind. $1 schema, $2 table, $3 column, $4 other table, $5 required
select format('alter table %1$I.%2$I add constraint %3$I foreign key (%4$I) references %1$I.%5$I (id) on delete %6$s deferrable initially immediate',
  $1::text, $2::text, left('r_' || md5($2::text || '.' || $3::text), 63), $3::text, $4::text, case when $5::boolean then 'no action' else 'set null' end) as statement;

-- name: drop_relation
-- $1 schema, $2 table, $3 column
select format('alter table %I.%I drop constraint if exists %I', $1::text, $2::text, left('r_' || md5($2::text || '.' || $3::text), 63)) as statement;

-- name: count_values
-- $1 schema, $2 table, $3 column
select format('select count(%I) from %I.%I', $3::text, $1::text, $2::text) as statement;

-- name: announce_due
-- $1 now
select tidings.announce_due($1);
