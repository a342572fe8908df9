-- name: begin
-- Leases fresh deliveries of locked lanes. $1 worker, $2 now, $3 deliveries, $4 events, $5 numbers of their lanes; $6 the lanes, $7 how many of each
with boarded as (
  update tidings.lanes l set in_flight = l.in_flight + c.count
  from unnest($6::uuid[], $7::integer[]) as c (webhook_id, count) where l.webhook_id = c.webhook_id
)
insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lane_numbers, lanes) values ($1, $2, $3, $4, $5, $6)
returning id;

-- name: hold
-- The flights that are still this worker's, locked until their results are written. What does not come back was grounded
-- meanwhile, and its results are refused. $1 worker, $2 flights
select id, clock_timestamp() from tidings.flights where worker_id = $1 and id = any ($2::bigint[]) order by id for no key update;

-- name: land
-- Ends flights whose last results are being written, where they are still this worker's. $1 worker, $2 flights
delete from tidings.flights where worker_id = $1 and id = any ($2::bigint[]) returning id, clock_timestamp();

-- name: trim
-- Leaves in a flight what is still under way. $1 flight, $2 deliveries, $3 events, $4 numbers of their lanes, $5 the lanes, $6 attempt numbers
update tidings.flights set delivery_ids = $2, event_ids = $3, lane_numbers = $4, lanes = $5, attempt_numbers = $6 where id = $1;

-- name: settled
-- Of results that may have been written already, when the answer to that was lost: those that were. What was put back without an
-- attempt is told by its flight, which no longer has it. In parallel $1 deliveries, $2 attempt numbers, $3 flights
select r.id from unnest($1::uuid[], $2::integer[], $3::bigint[]) as r (id, number, flight_id)
where exists (select from tidings.attempts a where a.delivery_id = r.id and a.number = r.number)
  or exists (select from tidings.deliveries d where d.id = r.id and d.attempt_count = r.number)
  or not exists (select from tidings.flights f where f.id = r.flight_id and r.id = any (f.delivery_ids));

-- name: orphans
-- Flights whose worker, or listener's client, is gone or has left. $1 how many at most
select id from tidings.flights f where not exists (select from tidings.workers w where w.id = f.worker_id)
  and not exists (select from tidings.listener_sessions s where s.id = f.worker_id and not s.is_over)
order by id limit $1 for update skip locked;

-- name: unknown
-- Flights of this worker that it does not know of: either their lease is being committed, or the answer to that was lost with its
-- connection, and nothing was sent. $1 worker, $2 what it knows of, $3 how many at most
select id from tidings.flights where worker_id = $1 and id <> all ($2::bigint[]) order by id limit $3;

-- name: forgotten
-- Those of these flights that are still this worker's, locked. $1 worker, $2 flights
select id from tidings.flights where worker_id = $1 and id = any ($2::bigint[]) order by id for update skip locked;

-- name: lock_lanes_of
-- The lanes of what flights hold, in the order of everywhere: who deletes a webhook waits for us, or we for him. $1 flights
select from tidings.lanes
where webhook_id = any (array(select distinct unnest(lanes) from tidings.flights where id = any ($1::bigint[])))
order by webhook_id for no key update;

-- name: ground
-- Ends flights that nobody flies, and puts what has no result yet back into the queue. An attempt is recorded when history
-- has it, whatever became of its delivery since. What history has no event of any more cannot be sent: it is counted, and gone.
-- $1 flights, $2 why what came of them is unknown: then each open attempt is put on record as lost; null: they were not sent
with grounded as (
  delete from tidings.flights where id = any ($1::bigint[]) returning id
), open as materialized (
  select u.id, u.event_id, u.webhook_id, u.number, u.leased_at from tidings.under_way u
  where u.flight_id in (select id from grounded) and not exists (select from tidings.attempts a where a.delivery_id = u.id and a.number = u.number)
    and not exists (select from tidings.deliveries d where d.id = u.id and d.attempt_count = u.number)
), known as materialized (
  select o.*, l.ordered, l.webhook_id is not null as has_lane, e.group_id,
    e.type = 'webhook.test' or e.external_id is not distinct from 'webhook.test' and e.webhook_id is not null as is_test,
    least(e.occurred_at, now()) as place_at,
    $2::text as error
  from open o join tidings.events e on e.id = o.event_id left join tidings.lanes l on l.webhook_id = o.webhook_id
), recorded as (
  insert into tidings.attempts (delivery_id, number, started_at, failure, error)
  select id, number, leased_at, 'lost', error from known where $2 is not null
), ended as (
  insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_error, finished_at)
  select id, webhook_id, event_id, group_id, is_test, 'cancelled', number, 'The webhook was deleted.', now() from known where not has_lane
), queued as (
  insert into tidings.queue (id, webhook_id, event_id, group_id, is_test, due_at, attempt_count, last_error)
  select id, webhook_id, event_id, group_id, is_test, case when ordered then place_at else now() end, number - ($2 is null)::integer, error
  from known where has_lane
  returning webhook_id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, count(*) from queued having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
), woken as (
  update tidings.lanes l set in_flight = l.in_flight - c.grounded, waiting = l.waiting + c.queued, saturated = false,
    due_at = greatest(l.held_until, least(l.due_at, now()))
  from (
    select o.webhook_id, o.count as grounded, coalesce(q.count, 0) as queued
    from (select webhook_id, count(*)::integer as count from open group by webhook_id) o
    left join (select webhook_id, count(*) as count from queued group by webhook_id) q using (webhook_id)
  ) c where l.webhook_id = c.webhook_id
)
select (select count(*) from open) as grounded, (select count(*) from open) - (select count(*) from known) as gone;

-- name: under_way
-- How many deliveries workers hold, those of the last second that are done included.
select coalesce(sum(cardinality(delivery_ids)), 0) from tidings.flights;
