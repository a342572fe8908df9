-- To the operator: stop every worker of the version before; what one of them still holds counts as lost and is sent again.
-- A delivery that is made at once is written fewer times from here on: a batch is leased by one row of tidings.flights, and the
-- last attempt of a delivery lives in the delivery's own row. The new indexes on history take some ten seconds for each
-- ten million rows, while nothing is routed or delivered. What was routed before is not found by the id of its
-- record or by its subject; everything else in history answers the new searches.

-- Lanes count for themselves ------------------------------------------------------------------------------------------

alter table tidings.lanes
  add column in_flight integer not null default 0,
  add column waiting bigint not null default 0,
  add constraint sane_counts check (in_flight >= 0 and waiting >= 0);
comment on column tidings.lanes.in_flight is 'Attempts under way, over all workers: raised with the flight, lowered with the result, in the same transactions.';
comment on column tidings.lanes.waiting is 'Rows of tidings.queue, kept so that nobody needs to count them.';

-- What workers of the version before held: what came of those attempts is unknown.
alter table tidings.attempts
  drop column worker_id,
  alter column is_truncated drop not null,
  alter column is_truncated drop default,
  add column webhook_version integer,
  add column signer_id integer;
comment on column tidings.attempts.webhook_version is 'The version of the webhook it was made with; null before versions were kept.';
comment on column tidings.attempts.signer_id is 'Which keys of the installation signed, where they did.';

insert into tidings.attempts (delivery_id, number, started_at, failure, error)
select id, attempt_count, claimed_at, 'lost', 'The worker died before it could record the attempt.'
from tidings.queue where worker_id is not null
on conflict do nothing;

update tidings.queue q set last_status = null, last_error = 'The worker died before it could record the attempt.',
  due_at = case when l.ordered then q.due_at else now() end  -- in an ordered lane it keeps its place
from tidings.lanes l where l.webhook_id = q.webhook_id and q.worker_id is not null;

delete from tidings.workers;

-- The queue holds what waits, and nothing else ------------------------------------------------------------------------

drop index tidings.queue_waiting, tidings.queue_leased;
alter table tidings.queue
  drop constraint lease_is_whole,
  drop column worker_id,
  drop column claimed_at,
  drop column event_type;
create index queue_due on tidings.queue (webhook_id, due_at, id);
create index queue_by_webhook on tidings.queue (webhook_id, id);
create index queue_retrying on tidings.queue (group_id, id) where attempt_count > 0;
comment on table tidings.queue is 'Deliveries that wait: for a place, for their turn or for their next attempt. What is under way is in tidings.flights.';

update tidings.lanes l set waiting = q.waiting, due_at = least(l.due_at, now()), saturated = false
from (select webhook_id, count(*) as waiting from tidings.queue group by webhook_id) q where q.webhook_id = l.webhook_id;

-- A flight: deliveries that are under way together ----------------------------------------------------------------------

create table tidings.flights (
  id bigint generated always as identity primary key,
  worker_id uuid not null,
  leased_at timestamptz not null,
  delivery_ids uuid[] not null,
  event_ids uuid[] not null,
  webhook_ids uuid[] not null,
  attempt_numbers smallint[] not null,
  constraint arrays_are_parallel check (
    cardinality(delivery_ids) = cardinality(event_ids) and cardinality(delivery_ids) = cardinality(webhook_ids)
    and cardinality(delivery_ids) = cardinality(attempt_numbers))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_cost_delay = 0);
-- Ids do not compress, and trying to takes longer than writing them.
alter table tidings.flights
  alter delivery_ids set storage external, alter event_ids set storage external, alter webhook_ids set storage external, alter attempt_numbers set storage external;
create index flights_by_worker on tidings.flights (worker_id);
comment on table tidings.flights is 'What a worker is sending: one row leases a whole batch. It goes when its last result is recorded; those of dead workers are grounded, and what they did not record waits in the queue again.';

-- Two statements, so that the second sees what the last holder of a lock committed; one function, so that nobody waits for a
-- journey between them. See the comment in 0001 on why fresh deliveries lock their lanes.
drop function tidings.lock_lanes;
create function tidings.lock_lanes(webhooks uuid[], now timestamptz) returns table (webhook_id uuid, room integer)
language plpgsql set search_path = pg_catalog as $$
begin
  perform from tidings.lanes l where l.webhook_id = any (webhooks) order by l.webhook_id for no key update;
  return query
    select l.webhook_id,
      case when l.open and l.due_at > now and not l.saturated and not l.ordered and l.rate_per_second is null
             and coalesce(l.resting_until <= now, true)
           then greatest(0, least(l.concurrency, l.allowance) - l.in_flight) else 0 end
    from tidings.lanes l where l.webhook_id = any (webhooks);
end $$;
comment on function tidings.lock_lanes is 'Locks lanes; returns how many deliveries each may be given at once: none where something is due already, or order or rate must be kept. A lane that is gone is not in the answer.';

-- History: the last attempt is in the delivery's row ----------------------------------------------------------------------

alter table tidings.deliveries
  drop column event_type,
  add column started_at timestamptz,
  add column webhook_version integer,
  add column signer_id integer,
  add column response_headers json,
  add column response_body text,
  add column is_truncated boolean,
  add column failure text,
  add column dns_ms real,
  add column connect_ms real,
  add column tls_ms real,
  add column first_byte_ms real,
  add column total_ms real;
comment on column tidings.deliveries.started_at is 'When its last attempt began. That attempt is in this row, those before it are in tidings.attempts; null when it is there too, or none was made.';

create index deliveries_unsuccessful on tidings.deliveries (group_id, id) where status <> 'succeeded';
create index deliveries_unsuccessful_by_webhook on tidings.deliveries (webhook_id, id) where status <> 'succeeded';

alter table tidings.events add column about bigint;
comment on column tidings.events.about is 'A hash of what it is about: its record or its subject (core.event.about_hash). Found by index, then compared.';
-- A number for each kind of event instead of its name: a third of the size. Found by index, then compared.
create index events_by_kind on tidings.events (hashtextextended(type, hashtextextended(group_id, 0)), id);
create index events_by_about on tidings.events (about, id) where about is not null;

-- The types that each group has seen, for searches by family and for those who choose from what there is.
create table tidings.event_kinds (
  group_id text not null,
  type text not null,
  last_day date not null,
  primary key (group_id, type)
);
insert into tidings.event_kinds (group_id, type, last_day)
select group_id, type, max(occurred_at)::date from tidings.events where length(type) <= 200 group by group_id, type;
comment on column tidings.event_kinds.last_day is 'The last day one was routed; the janitor forgets those that history no longer has.';

-- Ids of deliveries made from now on begin with their event's (core.event.delivery_id); those of older ones only with its time.
insert into tidings.settings (name, value)
select 'delivery_ids_by_event_since', ((extract(epoch from now()) * 1000)::bigint + 60000)::text;

create or replace function tidings.drop_days_before(day date) returns integer
language plpgsql set search_path = pg_catalog set lock_timeout = '2s' as $$  -- nobody queues behind us for longer
declare
  -- A delivery's id begins with its event's time, so the oldest id tells the oldest day for both.
  first_needed uuid := least(
    tidings.first_id_of(day),
    (select id from tidings.queue order by id limit 1),
    (select under_way.id from tidings.flights, unnest(delivery_ids) as under_way (id) order by under_way.id limit 1));
  suffix text;
  parent text;
  dropped integer := 0;
begin
  for suffix in
    select right(c.relname, 9) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tidings.events'::regclass and c.relname ~ '_[0-9]{8}$'
      and tidings.first_id_of(to_date(right(c.relname, 8), 'YYYYMMDD') + 1) <= first_needed
  loop
    foreach parent in array array['attempts', 'deliveries', 'events'] loop
      execute format('drop table if exists tidings.%I', parent || suffix);
    end loop;
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

-- Statistics: rows that the recorder writes with its results ------------------------------------------------------------

create sequence tidings.statistics_part as integer;
alter table tidings.workers add column part integer not null default nextval('tidings.statistics_part');
comment on column tidings.workers.part is 'The rows of statistics and counters that only this worker writes.';

create table tidings.statistics (
  group_id text not null,
  webhook_id uuid not null,
  span text not null constraint known_span check (span in ('minute', 'hour', 'day')),
  starts_at timestamptz not null,
  outcome text not null constraint known_outcome check (outcome in ('succeeded', 'retried', 'failed')),
  part integer not null,
  count bigint not null,
  latencies bigint[] not null,
  is_rolled_up boolean not null default false,
  primary key (group_id, webhook_id, span, starts_at, outcome, part)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index statistics_by_age on tidings.statistics (span, starts_at);
create index statistics_to_roll_up on tidings.statistics (starts_at) where span = 'minute' and not is_rolled_up;
comment on table tidings.statistics is 'Attempts by minute, hour and day: of each webhook, and of each group (webhook_id all zeros). Written with the results they count.';
comment on column tidings.statistics.part is 'Each recorder writes rows of its own, so that none waits for another; hours and days are summed up into part 0.';
comment on column tidings.statistics.is_rolled_up is 'A minute that its hour and its day have in them already.';
comment on column tidings.statistics.latencies is 'How many took how long: by the bounds of core.statistics.';

create function tidings.added(one bigint[], other bigint[]) returns bigint[]
language sql immutable set search_path = pg_catalog
return (select array_agg(coalesce(a, 0) + coalesce(b, 0) order by position) from unnest(one, other) with ordinality as pairs (a, b, position));
comment on function tidings.added is 'The sum of two lists of counts.';

create table tidings.counters (
  name text not null,
  part integer not null,
  count bigint not null,
  seconds double precision,
  latencies bigint[],
  updated_at timestamptz not null default now(),
  primary key (name, part)
) with (fillfactor = 50);
comment on table tidings.counters is 'What all processes have counted since the beginning, in rows of their own; rows that nobody writes any more are summed up into part 0.';
comment on column tidings.counters.name is 'The outcomes of attempts; and what went into the queue less what came out of it: queued, claimed and requeued.';
insert into tidings.counters (name, part, count) select 'queued', 0, count(*) from tidings.queue;
