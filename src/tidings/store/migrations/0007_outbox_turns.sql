-- Rows of the outbox are taken by turns: whoever routes holds advisory locks on ranges of numbers, not on rows. A lock on a row
-- writes to the table and to the log, as much again as deleting the row does.

create function tidings.outbox_turns(wanted integer) returns setof bigint
language plpgsql set search_path = pg_catalog as $$
declare
  size constant bigint := 256;
  turn bigint := 0;
  looked integer := 0;
  found_rows integer := 0;
  more integer;
begin
  while found_rows < wanted and looked < 64 loop
    select o.id / size into turn from tidings.outbox o where o.id >= turn * size order by o.id limit 1;
    exit when not found;
    if pg_try_advisory_xact_lock(7413202, (turn % 2147483647)::integer) then
      select count(*) into more from tidings.outbox o where o.id >= turn * size and o.id < (turn + 1) * size;
      found_rows := found_rows + more;
      return next turn * size;
    end if;
    turn := turn + 1;
    looked := looked + 1;
  end loop;
end $$;
comment on function tidings.outbox_turns is 'Locks the oldest ranges of 256 numbers that nobody else is routing, to the end of the transaction, until they have as many rows as wanted; returns where each begins. Deleting a row is still what takes it: the locks only keep dispatchers out of each other''s way.';
