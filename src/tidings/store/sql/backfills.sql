-- name: insert
-- $1 id, $2 group, $3 webhook, $4 schema, $5 table, $6 key columns, $7 operations heard, $8 relation, $9 numbers of the key columns
insert into tidings.backfills (id, group_id, webhook_id, table_schema, table_name, key_columns, heard, relation, key_numbers, state, estimated_rows)
values ($1, $2, $3, $4, $5, $6, $7, $8::oid, $9, 'running', (
  select greatest(c.reltuples, 0)::bigint from pg_class c where c.oid = $8::oid))
returning *;

-- name: get
-- $1 group, $2 id
select * from tidings.backfills where group_id = $1 and id = $2;

-- name: list
-- Newest first. $1 group, $2 limit, $3 offset, $4 schema and $5 table, or null
select * from tidings.backfills where group_id = $1 and ($4::text is null or (table_schema, table_name) = ($4, $5::text))
order by created_at desc, id limit $2 offset $3;

-- name: last_of_tables
-- Of each table the last one of a group. $1 schemas, $2 names, $3 group
select b.* from unnest($1::text[], $2::text[]) as asked (table_schema, table_name)
cross join lateral (
  select * from tidings.backfills b
  where b.table_schema = asked.table_schema and b.table_name = asked.table_name and b.group_id = $3
  order by b.created_at desc limit 1
) b;

-- name: watches
-- One that began before keys had numbers notes nothing, and ends at its next chunk.
select id, table_schema, table_name, key_numbers from tidings.backfills where state = 'running' and key_numbers is not null;

-- name: claim
-- The one least recently worked on, until the transaction ends; others take others.
select * from tidings.backfills where state = 'running' order by updated_at limit 1 for update skip locked;

-- name: advance
-- $1 id, $2 position, $3 rows written, $4 rows left to their own events
update tidings.backfills set position = $2, row_count = row_count + $3, skipped_count = skipped_count + $4, error = null,
  updated_at = clock_timestamp() where id = $1;

-- name: end
-- $1 id, $2 state
update tidings.backfills set state = $2, updated_at = now(), finished_at = now() where id = $1 and state = 'running' returning *;

-- name: fail
-- It stays running and is tried again. $1 id, $2 error
update tidings.backfills set error = $2, updated_at = clock_timestamp() where id = $1;

-- name: forget_changes
-- Of backfills that are over.
delete from tidings.backfill_changes c
where not exists (select from tidings.backfills b where b.id = c.backfill_id and b.state = 'running');

-- name: busy
-- $1 id, $2 how many
select key from tidings.backfill_busy where backfill_id = $1 limit $2;

-- name: put_busy
-- $1 id, $2 keys
insert into tidings.backfill_busy (backfill_id, key) select $1, unnest($2::text[]) on conflict do nothing;

-- name: remove_busy
-- $1 id, $2 keys
delete from tidings.backfill_busy where backfill_id = $1 and key = any ($2::text[]);

-- name: outbox_is_full
-- Whether more than so many rows wait to be routed: a backfill does not queue in front of what happens now. $1 how many
select count(*) > $1 from (select from tidings.outbox limit $1 + 1) waiting;

-- name: try_shared_lock
-- Nobody changes how tables are captured while a chunk is read by settings: it is told by those that hold when it commits.
select pg_try_advisory_xact_lock_shared(7413201, 3);

-- name: set_lock_timeout
set local lock_timeout = '2s';

-- name: hold_table
-- Makes the statement that keeps a table's columns as they are until the transaction ends. LOCK TABLE would take more rights than reading
-- does. $1 schema, $2 table
select format('select from only %I.%I limit 0', $1::text, $2::text) as statement;

-- name: stop
-- $1 id, $2 why
update tidings.backfills set state = 'cancelled', error = $2, updated_at = now(), finished_at = now() where id = $1 and state = 'running';

-- name: see_types
-- Where types of a key have operators of their own (citext), names are looked up behind PostgreSQL's own in their schemas too, to the end of the
-- transaction: compared by others, rows would be passed over. To make such a type takes a superuser; an array or an enum takes nobody, and has PostgreSQL's. $1 schema, $2 table, $3 key columns
select set_config('search_path', concat_ws(', ', 'pg_catalog', (
  select string_agg(distinct quote_ident(s.nspname), ', ') from pg_attribute a join pg_type t on t.oid = a.atttypid
  join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  join pg_namespace s on s.oid = b.typnamespace and s.nspname <> 'pg_catalog'
  where a.attrelid = (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2)
    and a.attnum > 0 and a.attname = any ($3::text[]) and b.typtype = 'b' and b.typsubscript <> 'array_subscript_handler'::regproc), 'pg_temp'), true);

-- name: see_own
-- Names are PostgreSQL's own again.
select set_config('search_path', 'pg_catalog, pg_temp', true);

-- Below, a table is called `new`, as conditions call it, and `new.*` is its row: `new` alone would be a column of that name. What these
-- statements call is written with its schema, as they see others than PostgreSQL's (`see_types`).

-- name: next_keys
-- Makes a statement that returns the keys of the next rows, each as a JSON object. Its parameters: $1 position, $2 how many.
-- $1 schema, $2 table, $3 key columns, $4 has a position
select format('select pg_catalog.json_build_object(%s)::text as key from %I.%I as new %s order by %s limit $2',
  (select string_agg(format('%L, new.%I', k.name, k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
  $1::text, $2::text,
  case when $4::boolean then format('where (%s) > (%s)',
    (select string_agg(format('new.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
    (select string_agg(format('(pg_catalog.json_populate_record(null::%I.%I, $1::json)).%I', $1::text, $2::text, k.name), ', ' order by k.place)
      from unnest($3::text[]) with ordinality k (name, place)))
  else 'where $1::text is null' end,
  (select string_agg(format('new.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place))
) as statement;

-- name: find_rows
-- Makes a statement that locks rows against changes, except those somebody is changing, and returns the keys it got; its
-- parameter: $1 keys. Without the lock it tells which of them there are. $1 schema, $2 table, $3 key columns, $4 with the lock
select format('select pg_catalog.json_build_object(%s)::text as key from %I.%I as new where (%s) in (select %s from pg_catalog.unnest($1::text[]) given (key), '
  || 'pg_catalog.json_populate_record(null::%2$I.%3$I, given.key::json) p)' || case when $4::boolean then ' for share of new skip locked' else '' end,
  (select string_agg(format('%L, new.%I', k.name, k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
  $1::text, $2::text,
  (select string_agg(format('new.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
  (select string_agg(format('p.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place))
) as statement;

-- name: tell_rows
-- Makes a statement that writes locked rows to the outbox as live events write them, except those that an event has told since
-- the backfill began, and returns how many. Its parameters: $1 keys, $2 backfill, $3 operations heard, $4 webhook, $5 group,
-- $6 columns left out, $7 renamed columns, $8 key columns. A row whose condition cannot be evaluated is told, with that.
-- $1 schema, $2 table, $3 key columns, $4 is shaped, $5 group's column or null, $6 call of the condition of INSERT or null
select format('with told as (insert into tidings.outbox (group_id, source, operation, table_schema, table_name, record, webhook_id, capture_error) '
  || 'select $5, ''tables'', ''INSERT'', %1$L, %2$L, %3$s, $4, case when w.holds is null then %8$L end '
  || 'from %1$I.%2$I as new cross join lateral (select %9$s as whole, %7$s as holds offset 0) w '
  || 'where (%4$s) in (select %5$s from pg_catalog.unnest($1::text[]) given (key), pg_catalog.json_populate_record(null::%1$I.%2$I, given.key::json) p) '
  || 'and %6$s and w.holds is not false '
  || 'and not exists (select from tidings.backfill_changes c where c.backfill_id = $2 and c.operation = any ($3) '
  || 'and c.key = (select pg_catalog.json_agg(w.whole ->> k.name)::text from pg_catalog.unnest($8::text[]) k (name))) and ($6::text[], $7::json::text) is not null order by %4$s returning 1) '
  || 'select pg_catalog.count(*) from told',
  $1::text, $2::text,
  case when $4::boolean then 'tidings.shaped(w.whole, $6::text[], $7::json)' else 'w.whole' end,
  (select string_agg(format('new.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
  (select string_agg(format('p.%I', k.name), ', ' order by k.place) from unnest($3::text[]) with ordinality k (name, place)),
  case when $5::text is null then 'true' else format('coalesce(w.whole ->> %L, ''default'') = $5', $5::text) end,
  coalesce($6::text, 'true'), 'The condition of INSERT could not be evaluated for this row, so it is told.',
  case when exists (select from pg_attribute a where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and a.atttypid >= 16384)
    then format('tidings.row_of(new.*, %s)', format('%I.%I', $1::text, $2::text)::regclass::oid) else 'pg_catalog.row_to_json(new.*)' end
) as statement;

-- name: missing
-- What our role lacks to read a table whole and to lock its rows against changes, which takes UPDATE on any one column; and to see them all,
-- where policies of the table show it some. $1 the table, $2 a column
select pg_get_userbyid(w.owner) as owner, w.statement from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral (values
  (1, n.nspowner, not has_schema_privilege(n.oid, 'usage'), format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user)),
  (2, c.relowner, not has_table_privilege(c.oid, 'select') and exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
    and not a.attisdropped and not has_column_privilege(c.oid, a.attnum, 'select')), format('GRANT SELECT ON %I.%I TO %I;', n.nspname, c.relname, current_user)),
  (3, c.relowner, not has_any_column_privilege(c.oid, 'update'), format('GRANT UPDATE (%I) ON %I.%I TO %I;', $2::text, n.nspname, c.relname, current_user)),
  (4, c.relowner, row_security_active(c.oid) and not exists (select from pg_policy p where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*'
    and pg_get_expr(p.polqual, p.polrelid) = 'true' and (p.polroles = '{0}' or exists (select from unnest(p.polroles) r where pg_has_role(r, 'usage')))),
    format('CREATE POLICY tidings_backfills ON %I.%I TO %I USING (true) WITH CHECK (false);', n.nspname, c.relname, current_user))
) as w (place, owner, is_missing, statement) where c.oid = $1::oid and w.is_missing order by w.place;
