-- To the operator: promised retries are no longer put off by the circuit breaker while few deliveries of a webhook wait, and each lane
-- remembers how its last attempts ended. Takes a moment; lanes that rest now end that rest as before.

create function tidings.is_long(waiting bigint) returns boolean language sql immutable return waiting >= 20;
comment on function tidings.is_long is 'Whether so many deliveries of a lane wait that its circuit breaker spreads them. Shorter ones keep every promised time.';

create function tidings.places(concurrency integer, allowance integer, waiting bigint) returns integer language sql immutable
return least(concurrency, case when tidings.is_long(waiting) then allowance else greatest(allowance, 20) end);
comment on function tidings.places is 'How many attempts of a lane may be under way: in a short one the breaker never keeps a retry from its time.';

alter table tidings.lanes
  add column held_until timestamptz,
  add column last_success_at timestamptz,
  add column last_failure_at timestamptz,
  add column turned_at timestamptz,
  add column warned_at timestamptz,
  add column closed_at timestamptz,
  add column last_failure text;
comment on column tidings.lanes.resting_until is 'The circuit breaker''s rest. It counts while the lane is long.';
comment on column tidings.lanes.held_until is 'Nothing goes out before, however short the lane is: its receiver said so (Retry-After), or the head of an ordered lane waits for its next attempt.';
comment on column tidings.lanes.turned_at is 'Since when its attempts fail (failure_count > 0) or succeed.';
comment on column tidings.lanes.warned_at is 'When it was told that it is failing (webhook.failing); null unless it is.';
comment on column tidings.lanes.closed_at is 'Since when its webhook is disabled or set aside.';
comment on column tidings.lanes.last_failure is 'Why its last failed attempt failed.';

update tidings.lanes l set
  held_until = case when l.ordered then l.resting_until end,
  turned_at = case when l.failure_count > 0 then now() end,
  closed_at = case when not l.open then w.updated_at end
from tidings.webhooks w
where w.id = l.webhook_id and (l.ordered and l.resting_until is not null or l.failure_count > 0 or not l.open);

create index lanes_warned on tidings.lanes (warned_at) where warned_at is not null;

-- A test is claimed whatever its lane says, so it is found without its lane.
create index queue_tests on tidings.queue (due_at) where is_test;

create or replace function tidings.lock_lanes(webhooks uuid[], now timestamptz) returns table (webhook_id uuid, room integer)
language plpgsql set search_path = pg_catalog as $$
begin
  perform from tidings.lanes l where l.webhook_id = any (webhooks) order by l.webhook_id for no key update;
  return query
    select l.webhook_id,
      case when l.open and l.due_at > now and not l.saturated and not l.ordered and l.rate_per_second is null
             and coalesce(l.held_until <= now, true) and (coalesce(l.resting_until <= now, true) or not tidings.is_long(l.waiting))
           then greatest(0, least(l.concurrency, l.allowance) - l.in_flight) else 0 end
    from tidings.lanes l where l.webhook_id = any (webhooks);
end $$;
