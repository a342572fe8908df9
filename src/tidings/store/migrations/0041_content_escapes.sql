-- To the operator: no table is touched. A record of a collection, written by SQL, with \u0000 or half a surrogate in a field of type json made
-- that statement fail. It is told as it is from now on, as a row of a table is (0028_masked_escapes.sql).
create or replace function tidings.capture_content() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  hidden constant text[] := '{tidings_announced,password_hash}';
  new_row json;
  old_row json;
  kind text;
  problem text;
begin
  begin
    if tg_op <> 'DELETE' then new_row := tidings.shaped(row_to_json(new), hidden, '{}'); end if;
    if tg_op <> 'INSERT' then old_row := tidings.shaped(row_to_json(old), hidden, '{}'); end if;
  exception when others then
    begin
      if tg_op <> 'DELETE' then new_row := tidings.shaped_strange(row_to_json(new), hidden, '{}'); end if;
      if tg_op <> 'INSERT' then old_row := tidings.shaped_strange(row_to_json(old), hidden, '{}'); end if;
    exception when others then
      new_row := null;
      old_row := null;
      problem := 'The row could not be written as JSON: error ' || sqlstate;  -- its sentence may hold what is hidden
    end;
  end;
  kind := case tg_op when 'INSERT' then 'content.created' when 'DELETE' then 'content.deleted' else 'content.updated' end;
  if tg_op = 'UPDATE' then
    if new.archived and not old.archived then
      kind := 'content.archived';
    elsif new.tidings_announced is distinct from old.tidings_announced then
      kind := 'content.published';
    end if;
  end if;
  insert into tidings.outbox (group_id, source, type, operation, subject, table_schema, table_name, record, old_record, capture_error)
    values (tg_argv[2], 'collections', kind, tg_op, tg_argv[0], tg_table_schema, tg_argv[1], new_row, old_row, problem);
  perform tidings.ring();
  return null;
end $$;
