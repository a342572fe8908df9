-- name: read
-- What the health of webhooks depends on, by their keys. $1 group, $2 webhooks
select w.id, w.enabled, w.disabled_reason, w.fault, l.ordered, l.waiting, l.in_flight, tidings.is_long(l.waiting) as is_long, l.due_at,
  l.failure_count, l.resting_until, l.held_until, l.turned_at, l.warned_at, l.closed_at, l.last_success_at, l.last_failure_at, l.last_failure,
  l.looped_at, l.loop_count, l.loop_reason, tidings.client_certificate_end(w.credentials) as certificate_ends_at,
  tidings.authorities_end(w.credentials) as authorities_end_at
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.group_id = $1 and w.id = any ($2::uuid[]);

-- name: warned
-- The webhooks of a group that fail, those that have for longest first; of all groups' so many are looked through at most.
-- $1 group, $2 how many, $3 how many are looked through
select w.id from (
  select webhook_id, warned_at from tidings.lanes where warned_at is not null order by warned_at limit $3
) l join tidings.webhooks w on w.id = l.webhook_id
where w.group_id = $1 and w.enabled and coalesce(w.managed_by not like 'listener:%', true) order by l.warned_at limit $2;

-- name: count
-- How many webhooks fail, and how many of these rest. Up to $1 are looked through; $2 now
select count(*) filter (where not rests) as failing, count(*) filter (where rests) as resting from (
  select coalesce(held_until > $2 and not ordered, false) or coalesce(resting_until > $2, false) and tidings.is_long(waiting) as rests
  from tidings.lanes where warned_at is not null and open limit $1
) l;

-- name: attempts_since
-- How many attempts of webhooks succeeded, and how many were made, in the minutes since a time. $1 group, $2 webhooks, $3 since
select webhook_id, (sum(count) filter (where outcome = 'succeeded'))::bigint as succeeded, sum(count)::bigint as made from tidings.statistics
where group_id = $1 and webhook_id = any ($2::uuid[]) and span = 'minute' and starts_at >= $3 group by webhook_id;

-- name: described
-- $1 webhooks
select id, group_id, name, url from tidings.webhooks where id = any ($1::uuid[]);

-- name: waiting
-- $1 webhooks
select webhook_id, waiting from tidings.lanes where webhook_id = any ($1::uuid[]);
