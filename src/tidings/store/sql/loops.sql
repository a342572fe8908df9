-- name: changes
-- The changes of a record before one, newest first; found by hash, so another record's can be among them. $1 hash, $2 before this event,
-- $3 not before this one, $4 how many
select id, occurred_at from tidings.events where about = $1 and id < $2 and id >= $3 order by id desc limit $4;

-- name: sent
-- When deliveries began to be sent; of those that are under way, when they were leased. $1 deliveries, $2 smallest, $3 largest
select s.id, min(s.at) as at from (
  select id, started_at as at from tidings.deliveries where id = any ($1::uuid[]) and id between $2 and $3 and started_at is not null
  union all select delivery_id, started_at from tidings.attempts where delivery_id = any ($1::uuid[]) and delivery_id between $2 and $3
  union all select id, leased_at from tidings.under_way where id = any ($1::uuid[])
) s group by s.id;

-- name: stop
-- Ends deliveries that led to themselves before they are made, and notes it on their lanes, which are locked. Returns the webhooks to be
-- told of: those that were not told of within the last hour. $1 ids, $2 webhooks, $3 events, $4 groups, $5 reasons, $6 now
with given as (
  select g.* from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[]) as g (id, webhook_id, event_id, group_id, reason)
), was as materialized (
  select l.webhook_id, l.looped_at, l.waiting from tidings.lanes l where l.webhook_id in (select webhook_id from given)
), ended as (
  insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_error, finished_at)
  select g.id, g.webhook_id, g.event_id, g.group_id, false, 'failed', 0, g.reason, $6 from given g join was using (webhook_id)
), noted as (
  update tidings.lanes l set loop_count = l.loop_count + g.count, looped_at = $6, loop_reason = g.reason
  from (select webhook_id, count(*) as count, max(reason) as reason from given group by webhook_id) g where l.webhook_id = g.webhook_id
), counted as (
  insert into tidings.counters as c (name, part, count) select 'looped', 0, count(*) from given having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
)
select webhook_id, waiting from was where looped_at is null or looped_at < $6::timestamptz - interval '1 hour';

-- name: looping
-- Webhooks of a group that had deliveries stopped since a time. $1 group, $2 since, $3 how many
select w.id, w.name, w.url, l.looped_at, l.loop_count, l.loop_reason from tidings.lanes l join tidings.webhooks w on w.id = l.webhook_id
where l.looped_at >= $2 and w.group_id = $1 order by l.looped_at desc limit $3;
