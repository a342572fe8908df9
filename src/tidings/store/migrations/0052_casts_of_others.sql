-- To the operator: triggers write with the rights of whoever owns this schema, and to write a row as JSON PostgreSQL calls a type's own cast
-- to json. So whoever owned a type could have anything be done with those rights. From now on casts are called of types alone that a
-- superuser or the owner of this schema owns, as those of extensions are; the values of others are told as text. Your tables are not touched.

create function tidings.told_as(value text, type oid) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  t record;
  part text;
  i text;
begin
  if type < 16384 then return null; end if;
  select p.typtype, p.typbasetype, p.typrelid, r.rolsuper or r.oid = (select nspowner from pg_namespace where nspname = 'tidings') as is_trusted,
    case when p.typsubscript = 'array_subscript_handler'::regproc then p.typelem else 0 end as element
  into t from pg_type p join pg_roles r on r.oid = p.typowner where p.oid = type;
  if t.typtype = 'd' then return tidings.told_as(value, t.typbasetype); end if;
  if t.element <> 0 then
    i := 'i' || length(value);  -- what is within has a longer value, so another name
    part := tidings.told_as(format('(%s)[%s]', value, i), t.element);
    return case when part is null then null
      when (select typtype from pg_type where oid = t.element) in ('c', 'd') then format('case when array_ndims(%1$s) > 1 then to_json(format(''%%s'', %1$s))
        when %1$s is not null then (select coalesce(json_agg(%2$s order by %3$s), ''[]'') from generate_subscripts(%1$s, 1) %3$s) end', value, part, i)
      else format('case when %1$s is not null then format(''%%s'', %1$s)::text[] end', value) end;
  end if;
  if t.typtype = 'c' then
    select case when bool_or(f.told is not null) then string_agg(format('%s as %I', coalesce(f.told, format('(%s).%I', value, a.attname)), a.attname), ', ' order by a.attnum) end
    into part from pg_attribute a cross join lateral (select tidings.told_as(format('(%s).%I', value, a.attname), a.atttypid)) f (told)
    where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped;
    return case when part is not null then format('case when %s is distinct from null then (select row_to_json(r) from (select %s) r) end', value, part) end;
  end if;
  return case when not t.is_trusted then format('case when %1$s is not null then format(''%%s'', %1$s) end', value) end;
end $$;
comment on function tidings.told_as is 'The expression by which a value is told without a cast that somebody else made, or null where there can be none.';

create function tidings.row_of(whole record, relation oid) returns json
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns text;
  told json;
begin
  select case when bool_or(f.told is not null) then string_agg(format('%s as %I', coalesce(f.told, format('($1).%I', a.attname)), a.attname), ', ' order by a.attnum) end
  into columns from pg_attribute a
  cross join lateral (select case when a.atttypid >= 16384 then tidings.told_as(format('($1).%I', a.attname), a.atttypid) end) f (told)
  where a.attrelid = relation and a.attnum > 0 and not a.attisdropped;
  if columns is null then return row_to_json(whole); end if;
  execute 'select row_to_json(r) from (select ' || columns || ') r' into told using whole;
  return told;
end $$;
comment on function tidings.row_of is 'row_to_json, without casts that somebody else made. relation: the table that the row is of.';
revoke all on function tidings.told_as, tidings.row_of from public;

-- As in 0001_engine.sql.
create or replace function tidings.capture() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  new_row json;
  old_row json;
  problem text;
  is_plain constant boolean := not exists (select from pg_attribute a where a.attrelid = tg_relid and a.attnum > 0 and a.atttypid >= 16384);
  root_schema name := coalesce(tg_argv[0], tg_table_schema);
  root_table name := coalesce(tg_argv[1], tg_table_name);
begin
  begin
    if tg_op <> 'DELETE' then new_row := case when is_plain then row_to_json(new) else tidings.row_of(new, tg_relid) end; end if;
    if tg_op <> 'INSERT' then old_row := case when is_plain then row_to_json(old) else tidings.row_of(old, tg_relid) end; end if;
  exception when others then
    new_row := null;
    old_row := null;
    problem := 'The row could not be written as JSON: ' || sqlerrm;
  end;
  insert into tidings.outbox (source, operation, table_schema, table_name, record, old_record, capture_error)
    values ('tables', tg_op, root_schema, root_table, new_row, old_row, problem);
  if not pg_try_advisory_xact_lock_shared(7413201, 1) then
    perform pg_notify('tidings_outbox', '');
  end if;
  return null;
end $$;

-- As in 0028_masked_escapes.sql.
create or replace function tidings.capture_bound() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  relation constant oid := tg_argv[9];
  excluded text[] := tg_argv[3];
  renamed json := '{}';
  targets text[];
  new_whole json;
  old_whole json;
  new_row json;
  old_row json;
  group_column text;
  new_group text := 'default';
  old_group text := 'default';
  key_columns text[] := '{}';
  parts text;
  number integer;
  is_plain constant boolean := not exists (select from pg_attribute a where a.attrelid = tg_relid and a.attnum > 0 and a.atttypid >= 16384);
  problem text := case when tg_argv[11] <> '' then 'The condition of ' || tg_op || ' could not be evaluated for this row, so it is told.' end;
begin
  if tg_relid <> relation and pg_partition_root(tg_relid) is distinct from relation then return null; end if;
  if tg_argv[6] <> '' then
    group_column := (pg_identify_object_as_address(1259, relation, tg_argv[6]::integer)).object_names[3];
    if group_column is null or group_column like '........pg.dropped.%' then return null; end if;
  end if;
  foreach number in array tg_argv[4]::integer[] loop
    excluded := excluded || (pg_identify_object_as_address(1259, relation, number)).object_names[3];
  end loop;
  if tg_argv[5] <> '{}' then
    select json_object_agg(n.name, n.target), array_agg(n.target) into renamed, targets from (
      select (pg_identify_object_as_address(1259, relation, r.key::integer)).object_names[3] as name, r.value as target
      from json_each_text(tg_argv[5]::json) r
    ) n where n.name not like '........pg.dropped.%';
    -- A column that has come to be called what another is told as would be told in its place: it is left out.
    excluded := excluded || array(select unnest(targets) except select json_object_keys(renamed));
  end if;
  -- Before the row is read: of one that cannot be, these are told apart all the same.
  if tg_argv[7] <> '' then
    foreach number in array tg_argv[8]::integer[] loop
      key_columns := key_columns || (pg_identify_object_as_address(1259, relation, number)).object_names[3];
    end loop;
  end if;
  begin
    if tg_op <> 'DELETE' then
      new_whole := case when is_plain then row_to_json(new) else tidings.row_of(new, tg_relid) end;
      new_row := tidings.shaped(new_whole, excluded, coalesce(renamed, '{}'));
    end if;
    if tg_op <> 'INSERT' then
      old_whole := case when is_plain then row_to_json(old) else tidings.row_of(old, tg_relid) end;
      old_row := tidings.shaped(old_whole, excluded, coalesce(renamed, '{}'));
    end if;
  exception when others then
    begin
      if tg_op <> 'DELETE' then
        new_whole := case when is_plain then row_to_json(new) else tidings.row_of(new, tg_relid) end;
        new_row := tidings.shaped_strange(new_whole, excluded, coalesce(renamed, '{}'));
      end if;
      if tg_op <> 'INSERT' then
        old_whole := case when is_plain then row_to_json(old) else tidings.row_of(old, tg_relid) end;
        old_row := tidings.shaped_strange(old_whole, excluded, coalesce(renamed, '{}'));
      end if;
    exception when others then
      new_row := null;
      old_row := null;
      problem := 'The row could not be written as JSON: ' || case when excluded = '{}' then sqlerrm else 'error ' || sqlstate end;
      parts := 'select json_build_object(' || (
        select coalesce(string_agg(format('%L, %s', a.attname, coalesce(tidings.told_as(format('($1).%I', a.attname), a.atttypid), format('($1).%I', a.attname))), ', '), '')
        from pg_attribute a where a.attrelid = tg_relid and a.attname = any (array_remove(key_columns || group_column, null)) and a.attnum > 0) || ')';
      begin
        if tg_op <> 'DELETE' then execute parts into new_whole using new; end if;
        if tg_op <> 'INSERT' then execute parts into old_whole using old; end if;
      exception when others then
        new_whole := coalesce(new_whole, '{}');
        old_whole := coalesce(old_whole, '{}');
      end;
    end;
  end;
  if group_column is not null then
    new_group := coalesce(tidings.member(new_whole, group_column), 'default');
    old_group := coalesce(tidings.member(old_whole, group_column), case when tg_op = 'INSERT' then new_group else 'default' end);
    if tg_op = 'DELETE' then new_group := old_group; end if;
  end if;
  if tg_argv[7] <> '' then
    insert into tidings.backfill_changes (backfill_id, key, operation)
    select distinct tg_argv[7]::uuid, k.key, o.operation
    from (select (select json_agg(tidings.member(w.whole, c))::text from unnest(key_columns) c) as key
          from (values (new_whole), (old_whole)) w (whole) where w.whole is not null) k,
      unnest(case when new_group = old_group then array[tg_op] else array['DELETE', 'INSERT'] end) o (operation);
  end if;
  insert into tidings.outbox (group_id, source, operation, table_schema, table_name, record, old_record, capture_error)
  select told.group_id, 'tables', told.operation, tg_argv[0], tg_argv[1],
    case when told.operation <> 'DELETE' then new_row end, case when told.operation <> 'INSERT' then old_row end, problem
  from (
    select new_group as group_id, tg_op as operation where new_group = old_group
    union all select old_group, 'DELETE' where new_group <> old_group
    union all select new_group, 'INSERT' where new_group <> old_group
  ) told
  where group_column is null or tg_argv[2] = 'make' or exists (select from tidings.groups g where g.id = told.group_id);
  perform tidings.ring();
  return null;
end $$;
