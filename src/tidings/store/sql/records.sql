-- Each makes a statement for one collection's table. What a record never shows is left out of what they return.
-- A field may be called anything that begins with a letter. So a row is `t.*`, never `t`, which would be a field of that name, and what
-- is returned has a name in parentheses, since an order prefers names of what is returned to those of fields.

-- name: insert
-- Its parameter: $1 array of records. $1 schema, $2 table, $3 columns
select format('with made as (insert into %1$I.%2$I (%3$s) select %3$s from json_populate_recordset(null::%1$I.%2$I, $1::json) returning *) '
  || 'select m.id, tidings.shaped(row_to_json(m.*), ''{tidings_announced,password_hash}'', ''{}'')::text as "(record)" from made m',
  $1::text, $2::text, (select string_agg(format('%I', c), ', ') from unnest($3::text[]) c)) as statement;

-- name: update
-- Members that are not there stay. Its parameter: $1 array of changes, each with its id. $1 schema, $2 table, $3 columns
select format('with made as (update %1$I.%2$I t set (%3$s) = (select %4$s from json_populate_record(t.*, p.value) r) from json_array_elements($1::json) p '
  || 'where t.id = p.value ->> ''id'' returning t.*) '
  || 'select m.id, tidings.shaped(row_to_json(m.*), ''{tidings_announced,password_hash}'', ''{}'')::text as "(record)" from made m',
  $1::text, $2::text, (select string_agg(format('%I', c), ', ') from unnest($3::text[]) c),
  (select string_agg(format('r.%I', c), ', ') from unnest($3::text[]) c)) as statement;

-- name: delete
-- Its parameter: $1 ids. $1 schema, $2 table
select format('delete from %I.%I where id = any ($1::text[]) returning id', $1::text, $2::text) as statement;

-- name: get
-- Its parameter: $1 id. $1 schema, $2 table
select format('select tidings.shaped(row_to_json(t.*), ''{tidings_announced,password_hash}'', ''{}'')::text as "(record)" from %I.%I t where id = $1', $1::text, $2::text) as statement;

-- name: page
-- Its parameters: $1 limit, $2 offset, then those of the condition. $1 schema, $2 table, $3 condition, $4 order
select format('select tidings.shaped(row_to_json(t.*), ''{tidings_announced,password_hash}'', ''{}'')::text as "(record)" from %I.%I t where %s order by %s limit $1 offset $2',
  $1::text, $2::text, $3::text, $4::text) as statement;

-- name: count
-- Its parameters: those of the condition, which are numbered from $3. $1 schema, $2 table, $3 condition
select format('select count(*) from %I.%I t where ($1::bigint is null or $2::bigint is null or true) and %s', $1::text, $2::text, $3::text) as statement;

-- name: password
-- Its parameter: $1 e-mail address. $1 schema, $2 table
select format('select id, password_hash from %I.%I where email = $1', $1::text, $2::text) as statement;
