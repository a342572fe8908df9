-- name: lock_due_lanes
-- The lanes a claim will look at: those due longest, without those somebody else is looking at. The lock is what makes a
-- lane's limits exact; `claim` is a statement of its own so that it sees what the last holder of the lock committed.
-- $1 now, $2 how many lanes at most
select webhook_id from tidings.lanes where open and due_at <= $1 order by due_at limit $2 for update skip locked;

-- name: claim
-- Leases due deliveries of locked lanes to a worker: filter, order, limit, lease and attempt count in one statement.
-- It visits lanes, not deliveries: of each, the first few waiting rows by index, so a lane with a million rows costs no more
-- than one with ten. Nobody else leases rows of a locked lane, so the queue rows need no lock of their own.
-- $1 worker, $2 now, $3 how many of each lane at most, $4 the lanes
with due as materialized (
  select webhook_id, concurrency, allowance, ordered, rate_per_second,
    case when rate_per_second is null then null
         else least(greatest(rate_per_second, 1), tokens + rate_per_second * greatest(0, extract(epoch from $2::timestamptz - refilled_at)))
    end as tokens
  from tidings.lanes where webhook_id = any ($4::uuid[])
), room as materialized (
  -- free: places left under the lane's own limits. room: this claim's share of them.
  select due.*, places.free, least(places.free, $3::integer) as room
  from due cross join lateral (
    select least(
      case when due.ordered then 1 else least(due.concurrency, due.allowance) end
        - (select count(*) from tidings.queue q where q.webhook_id = due.webhook_id and q.worker_id is not null)::integer,
      floor(due.tokens)::integer) as free
  ) places
), seen as materialized (
  -- One row more than there is room for: it tells when the lane is due again.
  select room.webhook_id, q.id, q.due_at,
    q.due_at <= $2 and row_number() over (partition by room.webhook_id order by q.due_at, q.id) <= room.room as taken
  from room cross join lateral (
    select id, due_at from tidings.queue
    where webhook_id = room.webhook_id and worker_id is null
    order by due_at, id
    limit greatest(room.room, 0) + 1
  ) q
), rest as (
  select webhook_id, count(*) filter (where taken)::integer as took, min(due_at) filter (where not taken) as next_due_at
  from seen group by webhook_id
), moved as (
  update tidings.lanes l set
    tokens = case when room.tokens is null then l.tokens else room.tokens - coalesce(rest.took, 0) end,
    refilled_at = case when room.tokens is null then l.refilled_at else $2 end,
    saturated = coalesce(rest.next_due_at <= $2 and rest.took >= room.free and (room.tokens is null or room.tokens - rest.took >= 1), false),
    due_at = case
      when rest.next_due_at is null then 'infinity'
      when rest.next_due_at > $2 then rest.next_due_at
      when rest.took < room.free then $2  -- more is due than this claim's share: to the back of the line
      when room.tokens - rest.took < 1 then $2 + make_interval(secs => (1 - room.tokens + rest.took) / room.rate_per_second)
      else $2 + interval '1 second'  -- saturated: a result makes it due; this is the net under that
    end
  from room left join rest using (webhook_id)
  where l.webhook_id = room.webhook_id
)
update tidings.queue q set worker_id = $1, claimed_at = $2, attempt_count = q.attempt_count + 1
where q.id = any (array(select id from seen where taken))  -- an array, so that the plan is the index whatever the estimates
returning q.id, q.event_id, q.webhook_id, q.attempt_count as attempt_number, q.due_at, q.is_test,
  (select version from tidings.routes_version) as routes_version;

-- name: lock_lanes
-- $1 webhooks, $2 now
select webhook_id, room from tidings.lock_lanes($1, $2);

-- name: make_due
-- New work for locked lanes: due at once, unless they rest. $1 webhooks, $2 now
update tidings.lanes set due_at = greatest($2::timestamptz, resting_until)
where webhook_id = any ($1::uuid[]) and due_at > greatest($2::timestamptz, resting_until);

-- name: next_due_at
-- When the next lane is due; infinity when none is.
select min(due_at) from tidings.lanes where open;

-- name: finish
-- Moves finished deliveries from the queue into history, where this worker still holds the lease on that very attempt. What
-- does not come back was taken from it meanwhile, and its result is refused.
-- $1 worker, $2 ids, $3 attempt numbers, $4 states, $5 response statuses, $6 errors, $7 now
with done as (
  delete from tidings.queue q
  using unnest($2::uuid[], $3::integer[], $4::text[], $5::integer[], $6::text[]) as r (id, number, state, response_status, reason)
  where q.id = r.id and q.worker_id = $1 and q.attempt_count = r.number
  returning q.id, q.webhook_id, q.event_id, q.group_id, q.event_type, q.is_test, q.attempt_count, r.state, r.response_status, r.reason
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, event_type, is_test, attempt_count, status, last_status, last_error, finished_at)
select done.*, $7 from done
returning id;

-- name: retry_later
-- Gives deliveries back to wait for their next attempt, under the same guard. In an ordered lane the row keeps its place:
-- the lane rests instead. $1 worker, $2 ids, $3 attempt numbers, $4 due at, $5 response statuses, $6 errors
update tidings.queue q set worker_id = null, claimed_at = null, last_status = r.status, last_error = r.error,
  due_at = case when l.ordered then q.due_at else r.due_at end
from unnest($2::uuid[], $3::integer[], $4::timestamptz[], $5::integer[], $6::text[]) as r (id, number, due_at, status, error),
  tidings.lanes l
where q.id = r.id and q.worker_id = $1 and q.attempt_count = r.number and l.webhook_id = q.webhook_id
returning q.id;

-- name: release_forgotten
-- Gives back what is leased to this worker although it does not know of it: the answer to the claim was lost with its
-- connection. Nothing was sent. $1 worker, $2 leased before, $3 what it knows of
with given as (
  update tidings.queue set worker_id = null, claimed_at = null, attempt_count = attempt_count - 1
  where worker_id = $1 and claimed_at < $2 and id <> all ($3::uuid[])
  returning webhook_id
), woken as (
  update tidings.lanes set due_at = least(due_at, now()), saturated = false where webhook_id in (select webhook_id from given)
)
select count(*) from given;

-- name: give_back
-- Nothing was sent. $1 worker, $2 ids
update tidings.queue set worker_id = null, claimed_at = null, attempt_count = attempt_count - 1
where worker_id = $1 and id = any ($2::uuid[]);

-- name: settle_lanes
-- What a batch of results means for its lanes. From the fifth failure in a row on, a lane rests 1, 2, 4 … 300 s and is then
-- tried by a single probe. A rest is counted once, however many attempts fail together: a hundred that were under way when
-- a receiver restarted are one failure of the receiver. A success ends that, and doubles what may be under way.
-- $1 webhooks, $2 successes of each, $3 failures of each, $4 earliest retry of each, $5 now, $6 Retry-After: rest at least
-- until, of each. Returns which of them are due.
update tidings.lanes l set
  failure_count = s.failures,
  rest_count = s.rests,
  allowance = s.allowance,
  resting_until = s.resting_until,
  saturated = false,
  due_at = greatest(
    s.resting_until,
    least(case when l.saturated or s.failures = 0 and l.failure_count > 0 then $5 else l.due_at end, s.retry_at, l.due_at))
from (
  select c.webhook_id, c.retry_at, c.failures, c.rests, c.allowance,
    greatest(
      case when c.rests > c.rest_count then $5::timestamptz + make_interval(secs => least(300, power(2, least(c.rests - 1, 10))))
           when c.succeeded = 0 then c.resting_until end,
      case when c.failed > 0 and c.ordered then c.retry_at end,
      c.rest_until) as resting_until
  from (
    select l.webhook_id, l.ordered, l.rest_count, l.resting_until, r.succeeded, r.failed, r.retry_at, r.rest_until,
      case when r.succeeded > 0 then 0 else l.failure_count + r.failed end as failures,
      case when r.succeeded > 0 then 0
           when r.failed > 0 and l.failure_count + r.failed >= 5 and coalesce(l.resting_until <= $5, true) then l.rest_count + 1
           else l.rest_count end as rests,
      case when r.succeeded > 0 then least(l.concurrency, l.allowance * 2)
           when r.failed > 0 and l.failure_count + r.failed >= 5 then 1
           else l.allowance end as allowance
    from unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[], $6::timestamptz[])
           as r (webhook_id, succeeded, failed, retry_at, rest_until)
    join tidings.lanes l using (webhook_id)
    where r.failed > 0 or r.retry_at is not null or l.failure_count > 0 or l.saturated or l.allowance < l.concurrency
    order by l.webhook_id for no key update of l  -- the same order as everywhere
  ) c
) s
where l.webhook_id = s.webhook_id
returning l.due_at <= $5 as is_due;

-- name: send_again
-- Moves finished deliveries back into the queue with their ids. $1 ids
with again as (
  delete from tidings.deliveries d where d.id = any ($1::uuid[])
    and exists (select from tidings.webhooks w where w.id = d.webhook_id)
  returning d.*
), queued as (
  insert into tidings.queue (id, webhook_id, event_id, group_id, event_type, is_test, due_at, attempt_count, last_status, last_error)
  select id, webhook_id, event_id, group_id, event_type, is_test, now(), attempt_count, last_status, last_error from again
  returning id, webhook_id
), woken as (
  update tidings.lanes set due_at = least(due_at, now()) where webhook_id in (select webhook_id from queued)
)
select id from queued;

-- name: send_again_now
-- A delivery that waits for its next attempt is due now. $1 id
with hurried as (
  update tidings.queue set due_at = now() where id = $1 and worker_id is null returning webhook_id
), woken as (
  update tidings.lanes set due_at = least(due_at, now()) where webhook_id in (select webhook_id from hurried)
)
select webhook_id from hurried;

-- name: announce
-- Tells every worker that there is something new in the queue.
select pg_notify('tidings_queue', '');

-- name: depth
-- How many deliveries are unfinished, how many of them due, and for how long the oldest has been.
select count(*) as unfinished, count(*) filter (where worker_id is not null) as sending,
  count(*) filter (where worker_id is null and due_at <= now()) as due,
  coalesce(extract(epoch from now() - min(due_at) filter (where worker_id is null and due_at <= now())), 0)::float8 as lag_seconds
from tidings.queue;

-- name: cancel_of_webhook
-- Ends what a deleted webhook leaves unfinished. $1 webhook
with gone as (
  delete from tidings.queue where webhook_id = $1 returning *
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, event_type, is_test, status, attempt_count, last_status, last_error, finished_at)
select id, webhook_id, event_id, group_id, event_type, is_test, 'cancelled', attempt_count, last_status, 'The webhook was deleted.', now() from gone;
