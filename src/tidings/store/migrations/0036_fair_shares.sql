-- To the operator: an index on the outbox, by group; it writes some 76 bytes to the log for each captured row. The outbox is needed for as long as
-- building it takes, some 50 ms for 100,000 rows that wait, and transactions that write to captured tables wait meanwhile.

-- Names are compared byte by byte: cheaper than by any language, and alike everywhere.
create index outbox_by_group on tidings.outbox (group_id collate "C", id);

-- A loose index scan: one look for each group, however many rows it has. Names of groups are ASCII, so ~ is behind them all; what was
-- written under another name is taken by age alone.
create function tidings.outbox_groups(behind text, past text[], most integer, deep integer) returns table (group_id text, waiting integer)
language plpgsql set search_path = pg_catalog as $$
declare
  low text;
  bar text;
  seen text;
  found_groups integer := 0;
begin
  for part in 1..2 loop
    low := case part when 1 then behind else '' end;
    while found_groups < most loop
      bar := coalesce((select min(p collate "C") from unnest(past) p where p collate "C" > low), '~');
      select o.group_id into seen from tidings.outbox o
        where o.group_id collate "C" > low and o.group_id collate "C" < bar order by o.group_id collate "C", o.id limit 1;
      if found then
        exit when part = 2 and seen collate "C" > behind;
        group_id := seen;
        select count(*) into waiting from (
          select from tidings.outbox o where o.group_id collate "C" between seen and seen order by o.group_id collate "C", o.id limit deep) few;
        return next;
        found_groups := found_groups + 1;
        low := seen;
      else
        exit when bar = '~';
        low := bar;
      end if;
    end loop;
  end loop;
end $$;
comment on function tidings.outbox_groups is 'The groups that have rows in the outbox, but for those in past: the next ones behind a name, and from the first on again, with how many rows, counted no further than deep.';

-- Pairs are compared, and one group is a range of groups, so that only this index has the order: the other one, of numbers alone, leads past
-- all that the groups in front have waiting.
create function tidings.outbox_turns_of(groups text[], shares integer[]) returns setof bigint
language plpgsql set search_path = pg_catalog as $$
declare
  size constant bigint := 256;
  turn bigint;
  looked integer := 0;
  wanted integer;
  got integer;
begin
  for place in 1..cardinality(groups) loop
    turn := 0;
    wanted := shares[place];
    while wanted > 0 and looked < 128 loop
      select o.id / size into turn from tidings.outbox o
        where (o.group_id collate "C", o.id) >= (groups[place], turn * size) and o.group_id collate "C" <= groups[place]
        order by o.group_id collate "C", o.id limit 1;
      exit when not found;
      if pg_try_advisory_xact_lock(7413202, (turn % 2147483647)::integer) then
        return query select o.id from tidings.outbox o
          where (o.group_id collate "C", o.id) >= (groups[place], turn * size) and (o.group_id collate "C", o.id) < (groups[place], (turn + 1) * size)
          order by o.group_id collate "C", o.id limit wanted;
        get diagnostics got = row_count;
        wanted := wanted - got;
      end if;
      turn := turn + 1;
      looked := looked + 1;
    end loop;
  end loop;
end $$;
comment on function tidings.outbox_turns_of is 'The oldest rows of groups, so many of each, in ranges of 256 numbers that nobody else is routing: it locks those to the end of the transaction, as outbox_turns does, 128 at most.';
