-- Recoveries: jobs that send many deliveries again (theory: `core.recovery`). What they find is found by `search.sql`.

-- name: plan_once
-- As for every search: plans that leave the planner no choice are made once.
set local plan_cache_mode = force_generic_plan;

-- name: lock_group
-- Those who begin a recovery of a group do so one after the other. $1 group
select from tidings.groups where id = $1 for no key update;

-- name: count_open
-- $1 group, $2 up to how many
select count(*) from (select from tidings.recoveries where group_id = $1 and state in ('waiting', 'running') limit $2) open;

-- name: begin
-- $1 id, $2 group, $3 webhook, $4 question, $5 since, $6 until, $7 missing, $8 rate, $9 now, $10 state, $11 stage
insert into tidings.recoveries (id, group_id, webhook_id, question, since, until, missing, rate_per_second, due_at, created_at, updated_at, state, stage)
values ($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9, $9, $9, $10, $11);

-- name: get
-- $1 group, $2 id
select * from tidings.recoveries where group_id = $1 and id = $2;

-- name: list
-- Newest first. $1 group, $2 limit, $3 the last one of the page before, or null
with last as (
  select created_at, id from tidings.recoveries where group_id = $1 and id = $3
)
select r.* from tidings.recoveries r
where r.group_id = $1 and ($3::uuid is null
  or r.created_at <= (select created_at from last) and (r.created_at < (select created_at from last) or r.id > (select id from last)))
order by r.created_at desc, r.id limit $2;

-- name: lock
-- Waits for the chunk that is under way. $1 group, $2 id
select * from tidings.recoveries where group_id = $1 and id = $2 for no key update;

-- name: take
-- The one that is due longest, until the transaction ends; others take others. $1 now
select r.*, (select value::bigint from tidings.settings where name = 'delivery_ids_by_event_since') as exact_ids_from
from tidings.recoveries r where r.state in ('waiting', 'running') and r.due_at <= $1 order by r.due_at, r.id limit 1 for no key update of r skip locked;

-- name: advance
-- $1 id, $2 state, $3 stage, $4 position, $5 found, $6 queued, $7 skipped, $8 due at, $9 faults, $10 error, $11 now, $12 finished at
update tidings.recoveries set state = $2, stage = $3, position = $4, found_count = $5, queued_count = $6, skipped_count = $7, due_at = $8,
  fault_count = $9, error = $10, updated_at = $11, finished_at = $12 where id = $1;

-- name: forget
-- Those that were over before a time. $1 before, $2 how many at most
delete from tidings.recoveries r using (
  select id from tidings.recoveries where finished_at < $1 order by finished_at limit $2) old where r.id = old.id;

-- name: standing
-- Where deliveries stand, those that wait and those that are finished. $1 ids, $2 smallest, $3 largest
select id, webhook_id, status as state from tidings.deliveries where id = any ($1::uuid[]) and id >= $2 and id <= $3
union all
select id, webhook_id, case when attempt_count > 0 then 'retrying' else 'pending' end from tidings.queue where id = any ($1::uuid[]);

-- name: lock_lanes
-- In the order of everywhere. A statement of its own: the next sees what it waited for. $1 webhooks
select from tidings.lanes where webhook_id = any ($1::uuid[]) order by webhook_id for no key update;

-- name: lanes
-- Of locked lanes: how much waits. $1 webhooks
select l.webhook_id, l.waiting, w.enabled
from tidings.lanes l join tidings.webhooks w on w.id = l.webhook_id where l.webhook_id = any ($1::uuid[]);

-- name: hurry
-- Deliveries of locked lanes that wait for their next attempt are due now; in an ordered lane they keep their place. $1 ids, $2 now
with hurried as (
  update tidings.queue set due_at = least(due_at, $2::timestamptz) where id = any ($1::uuid[]) returning id, webhook_id
), woken as (
  update tidings.lanes set due_at = greatest(held_until, least(due_at, $2::timestamptz)) where webhook_id in (select webhook_id from hurried)
)
select id from hurried;

-- name: events
-- What routing asks of events: not their payload. $1 ids, $2 smallest, $3 largest
select id, group_id, source, type, operation, subject, table_schema, table_name, null::json, null::json, occurred_at, external_id, webhook_id
from tidings.events where id = any ($1::uuid[]) and id >= $2 and id <= $3 and tidings.payload_is_there(id) order by id;

-- name: delivered
-- Which of these events have a delivery to a webhook, wherever it is, in one snapshot. Its id is between bounds: exactly known, or,
-- of events from before ids told it, in the event's millisecond. $1 webhook; in parallel $2 events, $3 from, $4 to
select g.event_id from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as g (event_id, low, high)
where exists (select from tidings.deliveries d where d.webhook_id = $1 and d.id >= g.low and d.id <= g.high and d.event_id = g.event_id)
  or exists (select from tidings.queue q where q.webhook_id = $1 and q.id >= g.low and q.id <= g.high and q.event_id = g.event_id)
  or g.event_id = any (array(select u.event_id from tidings.under_way u where u.webhook_id = $1));

-- name: count_deliveries
-- Events that go to a webhook more. $1 ids, $2 smallest, $3 largest
update tidings.events set delivery_count = delivery_count + 1 where id = any ($1::uuid[]) and id >= $2 and id <= $3;
