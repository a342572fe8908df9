-- name: lock_due_lanes
-- The lanes a claim will look at: those due longest, without those somebody else is looking at; the trusted, and of the others so
-- many at most, however long they have been due. The lock is what makes a lane's limits exact; `claim` is a statement of its own so
-- that it sees what the last holder of the lock committed. A null beside them: tests are due (`claim_tests`).
-- Pairs are compared because no other index keeps their order: by `lanes_due` the planner would walk past all that fail, however many.
-- $1 now, $2 how many trusted lanes at most, $3 how many others. Returns of each what it has under way and how many more it could begin
with trusted as materialized (
  select webhook_id, group_id, trusted, in_flight, waiting, ordered, concurrency, allowance from tidings.lanes
  where open and (trusted, due_at) between (true, '-infinity') and (true, $1) order by trusted, due_at limit $2 for update skip locked
), others as materialized (
  select webhook_id, group_id, trusted, in_flight, waiting, ordered, concurrency, allowance from tidings.lanes
  where open and (trusted, due_at) <= (false, $1) order by trusted, due_at limit $3 for update skip locked
)
select webhook_id, group_id, trusted, in_flight,
  greatest(0, least(case when ordered then 1 else tidings.places(concurrency, allowance, waiting) end - in_flight, waiting))::integer as wanted
from (select * from trusted union all select * from others) due
union all
select null, null, null, null, null where exists (select from tidings.queue where is_test and due_at <= $1);

-- name: lock_due_lanes_of_groups
-- Where `lock_due_lanes` did not come to the end of what is due: lanes of the next groups behind a name, of each those due longest. It steps
-- from group to group by the index, past those of which nothing is due, so many of both at most; no walk along anybody's lanes.
-- Pairs are compared, and both columns put in order, because only `lanes_due_by_group` has that order: whatever the estimates, no plan walks the other one.
-- $1 whether of the trusted lanes or of the others, $2 behind this group, $3 now, $4 how many groups at most, $5 how many lanes,
-- $6 groups that have been looked at, $7 how many steps. The last row is none of a lane: it names the group that the next look is behind; null: there are no more.
with recursive steps as (
  (select l.group_id, l.due_at, 1 as step, (l.due_at <= $3 and l.group_id <> all ($6::text[]))::integer as found from tidings.lanes l
   where l.open and l.due_at < 'infinity' and l.trusted = $1::boolean and l.group_id collate "C" > $2::text
   order by l.group_id collate "C", l.due_at limit 1)
  union all
  select next.group_id, next.due_at, steps.step + 1, steps.found + (next.due_at <= $3 and next.group_id <> all ($6::text[]))::integer
  from steps cross join lateral (
    select l.group_id, l.due_at from tidings.lanes l
    where l.open and l.due_at < 'infinity' and l.trusted = $1 and l.group_id collate "C" > steps.group_id
    order by l.group_id collate "C", l.due_at limit 1
  ) next
  where steps.step < $7::integer and steps.found < $4::integer
), found as materialized (
  select group_id, step from steps where due_at <= $3 and group_id <> all ($6::text[])
), due as materialized (
  select found.step, lane.* from found cross join lateral (
    select webhook_id, group_id, trusted, in_flight, waiting, ordered, concurrency, allowance from tidings.lanes
    where open and due_at < 'infinity' and trusted = $1 and (group_id collate "C", due_at) between (found.group_id, '-infinity') and (found.group_id, $3)
    order by group_id collate "C", due_at limit greatest(1, $5::integer / (select count(*) from found)) for update skip locked
  ) lane
)
select webhook_id, group_id, trusted, in_flight,
  greatest(0, least(case when ordered then 1 else tidings.places(concurrency, allowance, waiting) end - in_flight, waiting))::integer as wanted
from (select * from due order by step) due
union all
select null, (select group_id from steps where step >= $7::integer or found >= $4::integer order by step desc limit 1), null, null, null;

-- name: put_off
-- Locked lanes that are due, and for which there is no room now: those behind them come first. $1 webhooks, $2 now
update tidings.lanes set due_at = $2::timestamptz + interval '0.25 seconds' where webhook_id = any ($1::uuid[]);

-- name: claim
-- Takes due deliveries of locked lanes out of the queue and leases them by one flight: filter, order, limit, lease and attempt
-- count in one statement. It visits lanes, not deliveries: of each, the first few waiting rows by index, so a lane with a million
-- rows costs no more than one with ten. Nobody else takes rows of a locked lane, so the queue rows need no lock of their own.
-- In an ordered lane nothing goes out while the outbox has something as old of its group: dispatchers route ranges of it side by side, and one
-- that is slow, or stands still, has earlier changes under way than what is routed already. Both are read from one snapshot. What others
-- have under way is the oldest that there is: the first row of a group tells, and at a home of a fleet the first of each source, which
-- stands behind rows of sources that are ahead of it, within as many as six dispatchers can have at once.
-- $1 worker, $2 now, $3 how many of each lane at most, $4 the lanes, in parallel, $5 part
with due as materialized (
  select webhook_id, tidings.places(concurrency, allowance, waiting) as places, in_flight, ordered, rate_per_second,
    case when rate_per_second is null then null
         else least(greatest(rate_per_second, 1), tokens + rate_per_second * greatest(0, extract(epoch from $2::timestamptz - refilled_at)))
    end as tokens
  from tidings.lanes where webhook_id = any ($4::uuid[])
), room as materialized (
  -- free: places left under the lane's own limits. room: this claim's share of them.
  select due.*, places.free, least(places.free, share.most) as room
  from due join unnest($4::uuid[], $3::integer[]) as share (webhook_id, most) using (webhook_id) cross join lateral (
    select least(case when due.ordered then 1 else due.places end - due.in_flight, floor(due.tokens)::integer) as free
  ) places
), unrouted as materialized (
  select distinct on (g.group_id, o.origin) g.group_id, o.occurred_at
  from (select distinct w.group_id from due join tidings.webhooks w on w.id = due.webhook_id where due.ordered) g
  cross join lateral (
    select id, origin, occurred_at from tidings.outbox where group_id collate "C" between g.group_id and g.group_id
    order by group_id collate "C", id limit (select case when exists (select from tidings.landed_flights) then 4096 else 1 end)) o
  order by g.group_id, o.origin, o.id
), seen as materialized (
  -- One row more than there is room for: it tells when the lane is due again.
  select room.webhook_id, q.id, q.ready_at,
    q.ready_at <= $2 and row_number() over (partition by room.webhook_id order by q.due_at, q.id) <= room.room
      and (not room.ordered or not exists (select from unrouted where unrouted.group_id = q.group_id and unrouted.occurred_at <= q.due_at)) as taken
  from room cross join lateral (
    select id, group_id, due_at, due_at - case when room.ordered then interval '10 seconds' else interval '0' end as ready_at from tidings.queue
    where webhook_id = room.webhook_id
    order by due_at, id
    limit greatest(room.room, 0) + 1
  ) q
), rest as (
  select webhook_id, count(*) filter (where taken)::integer as took, min(ready_at) filter (where not taken) as next_due_at
  from seen group by webhook_id
), moved as (
  update tidings.lanes l set
    in_flight = l.in_flight + coalesce(rest.took, 0),
    waiting = l.waiting - coalesce(rest.took, 0),
    tokens = case when room.tokens is null then l.tokens else room.tokens - coalesce(rest.took, 0) end,
    refilled_at = case when room.tokens is null then l.refilled_at else $2 end,
    saturated = coalesce(rest.next_due_at <= $2 and rest.took >= room.free and (room.tokens is null or room.tokens - rest.took >= 1), false),
    due_at = greatest(
      l.held_until,
      case when tidings.is_long(l.waiting - coalesce(rest.took, 0)) then l.resting_until end,
      case
        when rest.next_due_at is null then 'infinity'
        when rest.next_due_at > $2 then rest.next_due_at
        when rest.took < room.free and room.ordered then $2 + interval '0.05 seconds'  -- something before it is not routed yet
        when rest.took < room.free then $2  -- more is due than this claim's share: to the back of the line
        when room.tokens - rest.took < 1 then $2 + make_interval(secs => (1 - room.tokens + rest.took) / room.rate_per_second)
        else $2 + interval '1 second'  -- saturated: a result makes it due; this is the net under that
      end)
  from room left join rest using (webhook_id)
  where l.webhook_id = room.webhook_id
), taken as (
  delete from tidings.queue q
  where q.id = any (array(select id from seen where taken))  -- an array, so that the plan is the index whatever the estimates
  returning q.id, q.event_id, q.webhook_id, q.group_id, q.attempt_count + 1 as attempt_number, q.due_at, q.is_test
), flight as (
  insert into tidings.flights (worker_id, leased_at, lanes, delivery_ids, event_ids, lane_numbers, attempt_numbers)
  select $1, $2, $4, array_agg(taken.id), array_agg(taken.event_id), array_agg(lane.number::smallint), array_agg(taken.attempt_number::smallint)
  from taken join unnest($4::uuid[]) with ordinality as lane (webhook_id, number) using (webhook_id) having count(*) > 0
  returning id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'claimed', $5, count(*) from taken having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
select taken.id, taken.event_id, taken.webhook_id, taken.group_id, taken.attempt_number, taken.due_at, taken.is_test,
  flight.id as flight_id, (select version from tidings.routes_version) as routes_version
from taken, flight;

-- name: claim_tests
-- Takes due tests out of the queue and leases them by one flight, whatever their lanes say: somebody asked. They count as under way,
-- and may exceed what the lane allows. Lanes that somebody else is looking at are left for the next look; a webhook that is set aside
-- cannot be sent to. $1 worker, $2 now, $3 how many at most, $4 part
with due as materialized (
  select q.id from tidings.queue q
  join tidings.lanes l on l.webhook_id = q.webhook_id
  join tidings.webhooks w on w.id = q.webhook_id and w.fault is null
  where q.is_test and q.due_at <= $2
  order by q.due_at limit $3 for update of l, q skip locked
), taken as (
  delete from tidings.queue q
  where q.id = any (array(select id from due))
  returning q.id, q.event_id, q.webhook_id, q.group_id, q.attempt_count + 1 as attempt_number, q.due_at, q.is_test
), moved as (
  update tidings.lanes l set in_flight = l.in_flight + t.count, waiting = l.waiting - t.count,
    due_at = case when tidings.is_long(l.waiting) and not tidings.is_long(l.waiting - t.count) then greatest(l.held_until, least(l.due_at, $2)) else l.due_at end
  from (select webhook_id, count(*)::integer as count from taken group by webhook_id) t where l.webhook_id = t.webhook_id
), flight as (
  insert into tidings.flights (worker_id, leased_at, lanes, delivery_ids, event_ids, lane_numbers, attempt_numbers)
  select $1, $2, array_agg(webhook_id), array_agg(id), array_agg(event_id), array_agg(place::smallint), array_agg(attempt_number::smallint)
  from (select *, row_number() over () as place from taken) t having count(*) > 0
  returning id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'claimed', $4, count(*) from taken having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
select taken.id, taken.event_id, taken.webhook_id, taken.group_id, taken.attempt_number, taken.due_at, taken.is_test,
  flight.id as flight_id, (select version from tidings.routes_version) as routes_version
from taken, flight;

-- name: lock_lanes
-- $1 webhooks, $2 now
select webhook_id, room, trusted from tidings.lock_lanes_to_route($1, $2);

-- name: deaf
-- Webhooks whose attempts have failed five times in a row or more, as when a lane begins to rest. $1 webhooks
select webhook_id from tidings.lanes where webhook_id = any ($1::uuid[]) and failure_count >= 5;

-- name: make_due
-- New rows of the queue for locked lanes: due at once, unless they are held, or rest and are long. $1 webhooks, $2 how many of each, $3 now, $4 part
with counted as (
  insert into tidings.counters as c (name, part, count) select 'queued', $4, sum(n) from unnest($2::integer[]) n
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
update tidings.lanes l set
  waiting = l.waiting + r.count,
  due_at = case when l.saturated then l.due_at else greatest(
    l.held_until, case when tidings.is_long(l.waiting + r.count) then l.resting_until end, least(l.due_at, $3::timestamptz)) end
from unnest($1::uuid[], $2::integer[]) as r (webhook_id, count)
where l.webhook_id = r.webhook_id;

-- name: next_due_at
-- When the next lane is due; infinity when none is. $1 whether those count too that are not trusted
select least(
  (select due_at from tidings.lanes where open and (trusted, due_at) >= (true, '-infinity') order by trusted, due_at limit 1),
  (select due_at from tidings.lanes where $1 and open and (trusted, due_at) <= (false, 'infinity') order by trusted, due_at limit 1));

-- name: wait_again
-- Deliveries that wait for their next attempt. In an ordered lane a delivery keeps its place: the lane rests instead. Those of
-- a webhook that was deleted meanwhile end here. The lanes are locked (`settle_lanes`).
-- $1 ids, $2 webhooks, $3 events, $4 groups, $5 tests, $6 attempts made, $7 due at, $8 places, $9 response statuses, $10 errors, $11 now, $12 part
with given as (
  select r.*, l.ordered, l.webhook_id is not null as has_lane
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::integer[], $7::timestamptz[], $8::timestamptz[], $9::integer[], $10::text[])
    as r (id, webhook_id, event_id, group_id, is_test, attempt_count, due_at, place_at, status, error)
  left join tidings.lanes l using (webhook_id)
), ended as (
  insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, last_error, finished_at)
  select id, webhook_id, event_id, group_id, is_test, 'cancelled', attempt_count, status, 'The webhook was deleted.', $11
  from given where not has_lane
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', $12, count(*) from given where has_lane having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
insert into tidings.queue (id, webhook_id, event_id, group_id, is_test, due_at, attempt_count, last_status, last_error)
select id, webhook_id, event_id, group_id, is_test, case when ordered then place_at else due_at end, attempt_count, status, error
from given where has_lane;

-- name: settle_lanes
-- What a batch of results means for its lanes. From the fifth failure in a row on, a long lane rests 1, 2, 4 … 300 s and is then
-- tried by a single probe; a short one keeps its times. A rest is counted once, however many attempts fail together: a hundred that
-- were under way when a receiver restarted are one failure of the receiver. A success ends that, and doubles what may be under way.
-- In an ordered lane what came of the head decides until when it is held; elsewhere what the receiver asked for. A lane that has
-- failed ten times in a row, or for an hour, is to be warned of, once.
-- $1 webhooks, $2 successes of each, $3 failures of each, $4 earliest retry of each, $5 now, $6 Retry-After: hold at least until, of
-- each, $7 results of each, $8 retries of each, $9 tests among the results of each, $10 why the last failure failed, of each, $11 tests among the
-- successes of each. Returns
-- which of them are due, and those that began to fail or ended it.
update tidings.lanes l set
  in_flight = l.in_flight - s.ended,
  waiting = l.waiting + s.retried,
  failure_count = s.failures,
  rest_count = s.rests,
  allowance = s.allowance,
  resting_until = s.resting_until,
  held_until = s.held_until,
  saturated = false,
  last_success_at = case when s.succeeded > 0 then $5 else l.last_success_at end,
  last_failure_at = case when s.failed > 0 then $5 else l.last_failure_at end,
  last_failure = coalesce(s.reason, l.last_failure),
  turned_at = s.turned_at,
  warned_at = case
    when s.succeeded > 0 then null
    when l.warned_at is null and s.failed > 0 and (s.failures >= 10 or s.turned_at <= $5 - interval '1 hour') then $5
    else l.warned_at end,
  due_at = greatest(
    s.held_until,
    case when tidings.is_long(l.waiting + s.retried) then s.resting_until end,
    least(case when l.saturated or s.failures = 0 and l.failure_count > 0 then $5 else l.due_at end, s.retry_at, l.due_at))
from (
  select c.*,
    case when c.rests > c.rest_count then $5::timestamptz + make_interval(secs => least(300, power(2, least(c.rests - 1, 10))))
         when c.succeeded = 0 then c.past_rest end as resting_until,
    case when c.ordered and c.ended > c.tests then greatest(c.retry_at, c.rest_until)
         when c.tests_succeeded > 0 and not c.ordered then c.rest_until  -- somebody tested a repair
         else greatest(c.past_hold, c.rest_until) end as held_until,
    case when c.succeeded + c.failed > 0 and (c.past_turn is null or (c.failures > 0) <> (c.past_failures > 0)) then $5 else c.past_turn end as turned_at
  from (
    select l.webhook_id, l.ordered, l.rest_count, l.resting_until as past_rest, l.held_until as past_hold, l.failure_count as past_failures,
      l.turned_at as past_turn, l.warned_at as past_warning,
      r.succeeded, r.failed, r.retry_at, r.rest_until, r.ended, r.retried, r.tests, r.reason, r.tests_succeeded,
      case when r.succeeded > 0 then 0 else l.failure_count + r.failed end as failures,
      case when r.succeeded > 0 then 0
           when r.failed > 0 and l.failure_count + r.failed >= 5 and coalesce(l.resting_until <= $5, true) then l.rest_count + 1
           else l.rest_count end as rests,
      case when r.succeeded > 0 then least(l.concurrency, l.allowance * 2)
           when r.failed > 0 and l.failure_count + r.failed >= 5 then 1
           else l.allowance end as allowance
    from unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[], $6::timestamptz[], $7::integer[], $8::integer[], $9::integer[], $10::text[], $11::integer[])
           as r (webhook_id, succeeded, failed, retry_at, rest_until, ended, retried, tests, reason, tests_succeeded)
    join tidings.lanes l using (webhook_id)
    order by l.webhook_id for no key update of l  -- the same order as everywhere
  ) c
) s
where l.webhook_id = s.webhook_id
returning l.webhook_id, l.due_at <= $5 as is_due, l.waiting, case when s.succeeded > 0 then s.past_turn else l.turned_at end as failing_since,
  l.warned_at is not null and s.past_warning is null as fails, l.warned_at is null and s.past_warning is not null as recovered;

-- name: lock_lanes_of
-- The lanes of finished deliveries, in the order of everywhere: who deletes a webhook waits for us, or we for him. $1 deliveries
select from tidings.lanes
where webhook_id = any (array(select distinct webhook_id from tidings.deliveries where id = any ($1::uuid[]))) order by webhook_id for no key update;

-- name: send_again
-- Moves finished deliveries back into the queue with their ids; the attempt in their row goes to those before it. $1 ids
with again as (
  delete from tidings.deliveries d where d.id = any ($1::uuid[])
    and exists (select from tidings.lanes l where l.webhook_id = d.webhook_id) and tidings.payload_is_there(d.event_id)
  returning d.*
), kept as (
  insert into tidings.attempts (delivery_id, number, started_at, response_status, response_headers, response_body, is_truncated, failure, error,
    dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version, signer_id)
  select id, attempt_count, started_at, last_status, response_headers, response_body, is_truncated, failure, last_error,
    dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version, signer_id
  from again where started_at is not null
), queued as (
  insert into tidings.queue (id, webhook_id, event_id, group_id, is_test, due_at, attempt_count, last_status, last_error)
  select id, webhook_id, event_id, group_id, is_test, now(), attempt_count, last_status, last_error from again
  returning id, webhook_id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, count(*) from queued having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
), woken as (
  update tidings.lanes l set waiting = l.waiting + q.count,
    due_at = greatest(l.held_until, least(l.due_at, now()))
  from (select webhook_id, count(*) as count from queued group by webhook_id) q where l.webhook_id = q.webhook_id
)
select id from queued;

-- name: lock_lane_of
-- The lane of a waiting delivery, before its row: so do all who change either. $1 id
select from tidings.lanes where webhook_id = (select webhook_id from tidings.queue where id = $1) for no key update;

-- name: send_again_now
-- A delivery that waits for its next attempt is due now; in an ordered lane it keeps its place. $1 id
with hurried as (
  update tidings.queue set due_at = least(due_at, now()) where id = $1 returning webhook_id
), woken as (
  update tidings.lanes set due_at = least(due_at, now()) where webhook_id in (select webhook_id from hurried)
)
select webhook_id from hurried;

-- name: announce
-- Tells every worker that there is something new in the queue.
select pg_notify('tidings_queue', '');

-- name: lag
-- For how long the lane that has been due longest has waited. Before PostgreSQL 17 no infinite time can be subtracted.
select coalesce(extract(epoch from greatest(interval '0', now() - least(
  (select min(due_at) from tidings.lanes where open and trusted and due_at > '-infinity' and due_at < 'infinity'),
  (select min(due_at) from tidings.lanes where open and not trusted and due_at > '-infinity' and due_at < 'infinity')))), 0)::float8;

-- name: close_lane
-- Waits for those who are writing to the lane's queue; whoever comes later finds no lane. $1 webhook
delete from tidings.lanes where webhook_id = $1;

-- name: cancel_of_webhook
-- Ends what a deleted webhook leaves waiting. $1 webhook
with gone as (
  delete from tidings.queue where webhook_id = $1 returning *
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, -count(*) from gone having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, last_error, finished_at)
select id, webhook_id, event_id, group_id, is_test, 'cancelled', attempt_count, last_status, 'The webhook was deleted.', now() from gone;
