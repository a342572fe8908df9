-- To the operator: deliveries can be sent again by the thousand, as a job with progress (tidings.recoveries). Days of history are
-- dropped a little later than before when something of them was sent again at that very moment.

create table tidings.recoveries (
  id uuid primary key,
  group_id text not null references tidings.groups,
  webhook_id uuid,
  question json not null,
  since timestamptz,
  until timestamptz not null,
  missing boolean not null,
  state text not null,
  stage text not null,
  position uuid,
  found_count bigint not null default 0,
  queued_count bigint not null default 0,
  skipped_count bigint not null default 0,
  rate_per_second double precision,
  due_at timestamptz not null,
  fault_count integer not null default 0,
  error text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  constraint known_state check (state in ('waiting', 'running', 'done', 'cancelled', 'failed')),
  constraint known_stage check (stage in ('deliveries', 'events')),
  constraint finished_has_its_time check ((finished_at is null) = (state in ('waiting', 'running'))),
  constraint missing_is_of_a_webhook check (not missing or webhook_id is not null),
  constraint times_are_bounded check (coalesce(since, '1970-01-01Z') between '1970-01-01Z' and '9000-01-01Z' and until between '1970-01-01Z' and '9000-01-01Z'
    and due_at between '1970-01-01Z' and '9000-01-01Z' and created_at between '1970-01-01Z' and '9000-01-01Z'),
  constraint sane_rate check (rate_per_second > 0 and rate_per_second <= 100000)
);
create index recoveries_due on tidings.recoveries (due_at, id) where state in ('waiting', 'running');
create index recoveries_open on tidings.recoveries (group_id) where state in ('waiting', 'running');
create index recoveries_listed on tidings.recoveries (group_id, created_at desc, id);
create index recoveries_finished on tidings.recoveries (finished_at) where finished_at is not null;
comment on table tidings.recoveries is 'Jobs that send many deliveries again. Whoever works on one locks its row for a chunk; the chunk commits with the position behind it.';
comment on column tidings.recoveries.webhook_id is 'Where it is about one webhook: it ends when that is deleted or disabled.';
comment on column tidings.recoveries.question is 'The search whose deliveries are sent again (core.question.Question).';
comment on column tidings.recoveries.missing is 'Whether events that the webhook would hear now, and never had a delivery of, are sent to it too.';
comment on column tidings.recoveries.stage is 'What is walked along now: deliveries, then events where missing ones are asked for.';
comment on column tidings.recoveries.position is 'The first id, of a delivery or an event, that was not looked at yet; null at the beginning of a stage.';
comment on column tidings.recoveries.due_at is 'Before then it is left alone: that keeps its rate, and waits where something is in its way.';
comment on column tidings.recoveries.fault_count is 'Chunks in a row that PostgreSQL refused.';

-- Sent again can be what the janitor is about to drop: so it looks once more when nobody else can look any more.
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
    order by 1
  loop
    foreach parent in array array['events', 'deliveries', 'attempts'] loop
      if to_regclass('tidings.' || parent || suffix) is not null then
        execute format('lock table tidings.%I in access exclusive mode', parent || suffix);
      end if;
    end loop;
    exit when exists (
      select from tidings.queue where id < tidings.first_id_of(to_date(right(suffix, 8), 'YYYYMMDD') + 1)
      union all
      select from tidings.flights, unnest(delivery_ids) as u (id) where u.id < tidings.first_id_of(to_date(right(suffix, 8), 'YYYYMMDD') + 1));
    foreach parent in array array['attempts', 'deliveries', 'events'] loop
      execute format('drop table if exists tidings.%I', parent || suffix);
    end loop;
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
