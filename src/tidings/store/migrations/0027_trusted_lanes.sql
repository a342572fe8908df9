-- To the operator: lanes whose last attempt did not succeed can be told from the others by index, so that they wait for those.
-- Rewrites `lanes`, one small row for each webhook: a moment.

alter table tidings.lanes
  add column trusted boolean not null generated always as (failure_count = 0 and last_success_at is not null) stored;
comment on column tidings.lanes.trusted is 'Its last attempt succeeded. Others take no place that a trusted one could need, and are claimed after them.';

-- A claim takes the trusted that have been due longest, however many of the others have been due for longer.
create index lanes_due_by_trust on tidings.lanes (trusted, due_at) where open;

-- As `lock_lanes`, which programs of the version before go on calling, and says which are trusted. A short lane that fails may have under way
-- what a claim would let it have: else what is routed to it went through the queue for nothing.
create function tidings.lock_lanes_to_route(webhooks uuid[], now timestamptz) returns table (webhook_id uuid, room integer, trusted boolean)
language plpgsql set search_path = pg_catalog as $$
begin
  perform from tidings.lanes l where l.webhook_id = any (webhooks) order by l.webhook_id for no key update;
  return query
    select l.webhook_id,
      case when l.open and l.due_at > now and not l.saturated and not l.ordered and l.rate_per_second is null
             and coalesce(l.held_until <= now, true) and (coalesce(l.resting_until <= now, true) or not tidings.is_long(l.waiting))
           then greatest(0, case when l.failure_count > 0 then tidings.places(l.concurrency, l.allowance, l.waiting)
                                 else least(l.concurrency, l.allowance) end - l.in_flight) else 0 end,
      l.trusted
    from tidings.lanes l where l.webhook_id = any (webhooks);
end $$;
comment on function tidings.lock_lanes_to_route is 'Locks lanes; returns how many deliveries each may be given at once, and whether its last attempt succeeded. A lane that is gone is not in the answer.';
