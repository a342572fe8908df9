-- To the operator: your tables are not touched. Within a minute of the first start, tables with settings of their own get triggers that
-- know columns by their numbers, so that renaming a column changes nothing about what is left out. A condition (`when`) that may act, or
-- read what is not in the row, is no longer accepted: such a table shows as `stopped` until its settings are written anew.

alter table tidings.captured_tables
  add column relation oid,
  add column former_relations oid[] not null default '{}',
  add column column_numbers jsonb;
comment on column tidings.captured_tables.relation is 'The table that the settings were made for, whatever it is called now; null: not looked for yet.';
comment on column tidings.captured_tables.former_relations is 'Tables that had the name before: none of them is captured whole only because it is called otherwise now.';
comment on column tidings.captured_tables.column_numbers is 'Each column that the settings name, by the name that was written, to its number (pg_attribute.attnum).';

alter table tidings.backfills
  add column relation oid,
  add column key_numbers smallint[];
comment on column tidings.backfills.key_numbers is 'The numbers of key_columns: a backfill whose key is renamed or dropped is over.';

-- Found by the state of a table: rows that were told although something about them could not be done.
create index events_with_capture_error on tidings.events (table_schema, table_name, id) where capture_error is not null;

-- As tidings.capture_shaped(), which knows columns by their names and remains for triggers that are not replaced yet.
--
-- A column's name is asked of pg_identify_object_as_address (1259 is pg_class), about 1 µs each: it answers as whoever holds a lock on the
-- table sees it. pg_attribute itself is read as the transaction's snapshot has it, which in REPEATABLE READ may be older than the row.
--
-- Arguments: 0 schema, 1 table, 2 what to do about unknown groups, 3 names left out, 4 numbers of columns left out, 5 {number: name in
-- events}, 6 number of the group's column or '', 7 running backfill or '', 8 numbers of its key columns, 9 the table that the numbers are
-- of, 10 what the trigger's WHEN says (for comparison only), 11 'unsure': the condition could not be evaluated.
-- Numbers of another table mean nothing (a dump that was restored): nothing is told then, and the state of the table says so.
create function tidings.capture_bound() returns trigger
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
    new_row := null;
    old_row := null;
    problem := 'The row could not be written as JSON: ' || case when excluded = '{}' then sqlerrm else 'error ' || sqlstate end;
  end;
  if group_column is not null then
    new_group := coalesce(new_whole ->> group_column, 'default');
    old_group := coalesce(old_whole ->> group_column, case when tg_op = 'INSERT' then new_group else 'default' end);
    if tg_op = 'DELETE' then new_group := old_group; end if;
  end if;
  if tg_argv[7] <> '' then
    foreach number in array tg_argv[8]::integer[] loop
      key_columns := key_columns || (pg_identify_object_as_address(1259, relation, number)).object_names[3];
    end loop;
    insert into tidings.backfill_changes (backfill_id, key, operation)
    select distinct tg_argv[7]::uuid, k.key, o.operation
    from (select (select json_agg(w.whole ->> c)::text from unnest(key_columns) c) as key
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
revoke all on function tidings.capture_bound() from public;
