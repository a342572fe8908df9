-- To the operator: your tables are not touched. A row with \u0000 or half a surrogate in a column of type json, of a table with settings, was
-- told without its record, and of a change the version before went to the default group. Both are told as they are from now on.

create function tidings.mask_of(whole text) returns text
language sql immutable set search_path = pg_catalog
return encode(sha256(convert_to(whole, 'UTF8')), 'hex');
comment on function tidings.mask_of is 'A mask that does not occur in a document: nobody writes one that holds its own digest.';

-- Such escapes are JSON, and can be kept and sent. But PostgreSQL's functions turn all escapes of a document into text to find a member of
-- it, which it cannot with these. So they are masked meanwhile; all others, and backslashes that are escaped themselves, are left alone.
-- Nothing looks back from an escape, or long documents would take forever: escaped backslashes and pairs of surrogates are put out of
-- the way first, and brought back.
create function tidings.masked(whole text, mask text) returns text
language sql immutable set search_path = pg_catalog
return replace(replace(regexp_replace(regexp_replace(replace(whole, '\\', tidings.mask_of(whole) || 'b'),
  '\\(u[dD][89abAB][0-9a-fA-F]{2})\\(u[dD][c-fC-F][0-9a-fA-F]{2})', tidings.mask_of(whole) || 'p\1' || tidings.mask_of(whole) || 'p\2', 'g'),
  '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', mask || '\1', 'g'),
  tidings.mask_of(whole) || 'p', '\'), tidings.mask_of(whole) || 'b', '\\');
comment on function tidings.masked is 'JSON with a mask in place of each \u that PostgreSQL cannot read; replace(…, mask, ''\u'') brings it back.';

create function tidings.shaped_strange(whole json, excluded text[], renamed json) returns json
language sql immutable set search_path = pg_catalog
return replace(tidings.shaped(tidings.masked(whole::text, tidings.mask_of(whole::text))::json, excluded, renamed)::text,
  tidings.mask_of(whole::text), '\u')::json;
comment on function tidings.shaped_strange is 'As tidings.shaped(), of a row that it cannot read.';

create or replace function tidings.member(whole json, name text) returns text
language sql immutable set search_path = pg_catalog
return case when whole::text ~ '\\u(0000|[dD][89a-fA-F])'
  then replace(tidings.masked(whole::text, tidings.mask_of(whole::text))::json ->> name, tidings.mask_of(whole::text), '\u')
  else whole ->> name end;

-- As in 0021_strange_escapes.sql; its arguments are told in 0018_bound_columns.sql.
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
      new_whole := row_to_json(new);
      new_row := tidings.shaped(new_whole, excluded, coalesce(renamed, '{}'));
    end if;
    if tg_op <> 'INSERT' then
      old_whole := row_to_json(old);
      old_row := tidings.shaped(old_whole, excluded, coalesce(renamed, '{}'));
    end if;
  exception when others then
    begin
      if tg_op <> 'DELETE' then
        new_whole := row_to_json(new);
        new_row := tidings.shaped_strange(new_whole, excluded, coalesce(renamed, '{}'));
      end if;
      if tg_op <> 'INSERT' then
        old_whole := row_to_json(old);
        old_row := tidings.shaped_strange(old_whole, excluded, coalesce(renamed, '{}'));
      end if;
    exception when others then
      new_row := null;
      old_row := null;
      problem := 'The row could not be written as JSON: ' || case when excluded = '{}' then sqlerrm else 'error ' || sqlstate end;
      parts := 'select json_build_object(' || (
        select coalesce(string_agg(format('%1$L, ($1).%1$I', c), ', '), '') from unnest(array_remove(key_columns || group_column, null)) c) || ')';
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
