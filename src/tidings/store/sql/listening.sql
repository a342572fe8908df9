-- name: lock_names
-- Lets one at a time make listeners of a group, so that their number and their names are exact. $1 group
select pg_advisory_xact_lock(7413202, hashtext($1));

-- name: count
-- $1 group
select count(*) from tidings.listeners where group_id = $1;

-- name: add
-- $1 webhook, $2 group, $3 name, $4 the webhook it mirrors, or null
insert into tidings.listeners (webhook_id, group_id, name, mirrors) values ($1, $2, $3, $4);

-- name: mirror
-- $1 listener, $2 the webhook it mirrors, or null
update tidings.listeners set mirrors = $2 where webhook_id = $1;

-- name: lock_mirrors
-- Listeners that have their settings of a webhook, locked. $1 group, $2 the webhook
select w.id from tidings.listeners s join tidings.webhooks w on w.id = s.webhook_id where s.group_id = $1 and s.mirrors = $2
order by w.id for update of w;

-- name: called
-- $1 group, $2 name
select s.webhook_id, s.mirrors from tidings.listeners s where s.group_id = $1 and s.name = $2;

-- name: get
-- One, or all of a group, by name. $1 group, $2 id, or null for all, $3 how many
select s.webhook_id as id, s.name, s.mirrors, s.heard_at, w.profile, w.events, w.enabled, w.disabled_reason, w.timeout_seconds, w.version,
  w.created_at, w.fault, l.waiting, l.in_flight as under_way, case when l.held_until > now() then l.held_until end as held_until,
  (select count(*)::integer from tidings.listener_sessions c where c.webhook_id = s.webhook_id and not c.is_over) as clients
from tidings.listeners s join tidings.webhooks w on w.id = s.webhook_id join tidings.lanes l on l.webhook_id = s.webhook_id
where s.group_id = $1 and ($2::uuid is null or s.webhook_id = $2)
order by s.name limit $3;

-- name: begin_turn
-- Renews a client's lease, and returns the turn of this request, and whether the client has left; nothing when there is no such client.
-- $1 session, $2 listener
update tidings.listener_sessions set turn = gen_random_uuid(), heard_at = clock_timestamp() where id = $1 and webhook_id = $2 returning turn, is_over;

-- name: count_sessions
-- Of a listener, whose row is locked by `hear`: those that are there, and those that left lately. $1 listener
select count(*) filter (where not is_over) as there, count(*) filter (where is_over) as over from tidings.listener_sessions where webhook_id = $1;

-- name: begin_session
-- Clients make up their ids, and none may be a worker's. $1 session, $2 listener
insert into tidings.listener_sessions (id, webhook_id)
select $1, $2 where not exists (select from tidings.workers where id = $1) on conflict (id) do nothing returning turn;

-- name: end_session
-- $1 session, $2 listener
update tidings.listener_sessions set is_over = true where id = $1 and webhook_id = $2;

-- name: hear
-- $1 listener
update tidings.listeners set heard_at = clock_timestamp() where webhook_id = $1;

-- name: hold_turn
-- Whether this request is still its client's latest; it stays so to the end of the transaction. $1 session, $2 turn
select true from tidings.listener_sessions where id = $1 and turn = $2 for no key update;

-- name: unheld
-- Leases of a client that it does not hold: they never reached it. Those whose result is being written are left alone.
-- $1 session, $2 what it holds, $3 listener
select id from tidings.flights where worker_id = $1 and id <> all ($2::bigint[]) and lanes = array[$3::uuid] order by id for update skip locked;

-- name: lock_lane
-- $1 listener
select ordered, in_flight from tidings.lanes where webhook_id = $1 for no key update;

-- name: lease
-- Takes due deliveries of a listener, whose lane is locked, out of the queue and leases each by a flight of its own: their results come
-- one by one, from whichever process the client reaches. Order and Retry-After hold as in `queue.claim`; the breaker does not, since
-- nobody is spared by it. $1 session, $2 now, $3 listener, $4 how many at most
with lane as materialized (
  select ordered from tidings.lanes where webhook_id = $3 and coalesce(held_until <= $2, true)
), unrouted as materialized (
  select o.occurred_at
  from (select w.group_id from tidings.webhooks w where w.id = $3 and (select ordered from lane)) g
  cross join lateral (
    select occurred_at from tidings.outbox where group_id collate "C" between g.group_id and g.group_id
    order by group_id collate "C", id limit 1) o
), taken as (
  delete from tidings.queue q where q.id = any (array(
    select d.id from lane, lateral (
      select id, due_at from tidings.queue
      where webhook_id = $3 and due_at <= $2::timestamptz + case when lane.ordered then interval '10 seconds' else interval '0' end
      order by due_at, id limit $4
    ) d
    where not lane.ordered or not exists (select from unrouted where unrouted.occurred_at <= d.due_at)))
  returning q.id, q.event_id, q.webhook_id, q.group_id, q.attempt_count + 1 as attempt_number, q.due_at, q.is_test
), moved as (
  update tidings.lanes l set in_flight = l.in_flight + t.count, waiting = l.waiting - t.count
  from (select count(*)::integer as count from taken) t where l.webhook_id = $3 and t.count > 0
), flight as (
  insert into tidings.flights (worker_id, leased_at, lanes, delivery_ids, event_ids, lane_numbers, attempt_numbers)
  select $1, $2, array[webhook_id], array[id], array[event_id], array[1::smallint], array[attempt_number::smallint] from taken
  returning id, delivery_ids[1] as delivery_id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'claimed', 0, count(*) from taken having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
select taken.id, taken.event_id, taken.webhook_id, taken.group_id, taken.attempt_number, taken.due_at, taken.is_test, flight.id as flight_id
from taken join flight on flight.delivery_id = taken.id order by taken.due_at, taken.id;

-- name: next_due_at
-- When something of a listener is due next, infinity when nothing waits; and until when its lane is held, where it is. $1 listener
select greatest(l.held_until, coalesce((select q.due_at from tidings.queue q where q.webhook_id = $1 order by q.due_at, q.id limit 1), 'infinity')
    - case when l.ordered then interval '10 seconds' else interval '0' end) as at,
  l.waiting, case when l.held_until > clock_timestamp() then l.held_until end as held_until from tidings.lanes l where l.webhook_id = $1;

-- name: land
-- Ends leases whose results are written in this transaction: those that are still this client's. $1 session, $2 listener, $3 leases
delete from tidings.flights where worker_id = $1 and id = any ($3::bigint[]) and lanes = array[$2::uuid]
returning id, delivery_ids[1] as delivery_id, event_ids[1] as event_id, coalesce(attempt_numbers[1], 1::smallint)::integer as number, leased_at, clock_timestamp() as at;

-- name: places
-- When events happened, for results of an ordered lane. $1 events, $2 the first of them, $3 the last
select id, least(occurred_at, now()) as at from tidings.events where id = any ($1::uuid[]) and id between $2 and $3;

-- name: traced
-- What a trace tells of events. $1 events, $2 the first of them, $3 the last
select id, type, traceparent from tidings.events where id = any ($1::uuid[]) and id between $2 and $3;

-- name: skip
-- Ends what waits for a listener, whose lane is locked and then held no longer: nothing is left that was to wait so long. $1 listener, $2 how many at most, $3 why
with gone as (
  delete from tidings.queue where id = any (array(select id from tidings.queue where webhook_id = $1 order by due_at, id limit $2)) returning *
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, -count(*) from gone having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
), ended as (
  insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, last_error, finished_at)
  select id, webhook_id, event_id, group_id, is_test, 'cancelled', attempt_count, last_status, $3, now() from gone
), moved as (
  update tidings.lanes l set waiting = l.waiting - (select count(*) from gone), held_until = null where l.webhook_id = $1
)
select count(*) from gone;

-- name: heartbeats
select id, heard_at from tidings.listener_sessions;

-- name: bury
-- Strikes clients that have not been heard of since. $1 sessions, $2 since when
delete from tidings.listener_sessions s using unnest($1::uuid[], $2::timestamptz[]) as silent (id, heard_at)
where s.id = silent.id and s.heard_at = silent.heard_at returning s.id;

-- name: flights_of
-- What clients held, without that whose result is being written. $1 sessions
select id from tidings.flights where worker_id = any ($1::uuid[]) and cardinality(lanes) = 1 order by id for update skip locked;

-- name: kept
-- Listeners with what their keeping depends on. $1 how many
select s.webhook_id as id, s.group_id, s.name, w.enabled, w.disabled_reason, l.waiting, clock_timestamp() - s.heard_at as silence,
  exists (select from tidings.listener_sessions c where c.webhook_id = s.webhook_id and not c.is_over) as has_clients
from tidings.listeners s join tidings.webhooks w on w.id = s.webhook_id join tidings.lanes l on l.webhook_id = s.webhook_id
order by s.heard_at limit $1;

-- name: ring
-- Tells whoever waits for deliveries of listeners that there are some. $1 listeners, as text
select pg_notify('tidings_listeners', $1);
