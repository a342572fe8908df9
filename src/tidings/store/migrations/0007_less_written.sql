-- To the operator: stop every worker of the version before; what one of them still holds counts as lost and is sent again.

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

-- A flight names each lane once, and its attempts only where one of them is not the first.
alter table tidings.flights
  drop constraint arrays_are_parallel,
  add column lanes uuid[],
  add column lane_numbers smallint[],
  alter attempt_numbers drop not null;
update tidings.flights f set
  lanes = named.lanes,
  lane_numbers = array(select array_position(named.lanes, u.id)::smallint from unnest(f.webhook_ids) with ordinality as u (id, place) order by u.place)
from (select id, array(select distinct unnest(webhook_ids)) as lanes from tidings.flights) named where named.id = f.id;
alter table tidings.flights
  drop column webhook_ids,
  alter lanes set not null,
  alter lanes set storage external,
  alter lane_numbers set not null,
  alter lane_numbers set storage external,
  add constraint arrays_are_parallel check (
    cardinality(delivery_ids) = cardinality(event_ids) and cardinality(delivery_ids) = cardinality(lane_numbers)
    and (attempt_numbers is null or cardinality(delivery_ids) = cardinality(attempt_numbers)));
comment on column tidings.flights.lanes is 'The webhooks of its deliveries, each once.';
comment on column tidings.flights.lane_numbers is 'Of each delivery, which of the lanes is its own, counted from 1.';
comment on column tidings.flights.attempt_numbers is 'Of each delivery; null when all are first attempts.';

create view tidings.under_way as
select f.id as flight_id, f.worker_id, f.leased_at, u.id, u.event_id, f.lanes[u.lane_number] as webhook_id, coalesce(u.number, 1::smallint) as number
from tidings.flights f, unnest(f.delivery_ids, f.event_ids, f.lane_numbers, f.attempt_numbers) as u (id, event_id, lane_number, number);
comment on view tidings.under_way is 'The deliveries in flights, one by one; for up to a second that includes what is done.';
