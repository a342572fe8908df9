-- name: write
-- What one recorder has counted: of each webhook and group in one minute so far, and by outcome since the last time. It is the
-- only one that writes its part, so a minute's row is written as it is known there, not added to. $1 part, $2 minute; in parallel
-- $3 groups, $4 webhooks, $5 outcomes, $6 counts, $7 latencies as text; in parallel $8 outcomes, $9 counts, $10 seconds, $11 latencies as text;
-- what is kept besides (as `add` of limits.sql): in parallel $12 groups, $13 days, $14 bytes, $15 events
with stored as (
  insert into tidings.stored_changes (group_id, day, bytes, events)
  select * from unnest($12::text[], $13::date[], $14::bigint[], $15::bigint[])
), minutes as (
  insert into tidings.statistics (group_id, webhook_id, span, starts_at, outcome, part, count, latencies)
  select r.group_id, r.webhook_id, 'minute', $2, r.outcome, $1, r.count, r.latencies::bigint[]
  from unnest($3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::text[]) as r (group_id, webhook_id, outcome, count, latencies)
  on conflict (group_id, webhook_id, span, starts_at, outcome, part) do update set count = excluded.count, latencies = excluded.latencies
)
insert into tidings.counters as c (name, part, count, seconds, latencies)
select r.name, $1, r.count, r.seconds, r.latencies::bigint[]
from unnest($8::text[], $9::bigint[], $10::float8[], $11::text[]) as r (name, count, seconds, latencies) order by r.name
on conflict (name, part) do update set count = c.count + excluded.count, seconds = coalesce(c.seconds, 0) + excluded.seconds,
  latencies = tidings.added(c.latencies, excluded.latencies), updated_at = now();

-- name: add
-- The same for who has no rows of its own: it adds to those of part 0. $1 minute; then as in `write`: in parallel $2 groups, $3 webhooks,
-- $4 outcomes, $5 counts, $6 latencies as text; in parallel $7 outcomes, $8 counts, $9 seconds, $10 latencies as text
with minutes as (
  insert into tidings.statistics as s (group_id, webhook_id, span, starts_at, outcome, part, count, latencies)
  select r.group_id, r.webhook_id, 'minute', $1, r.outcome, 0, r.count, r.latencies::bigint[]
  from unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[]) as r (group_id, webhook_id, outcome, count, latencies)
  order by r.group_id, r.webhook_id, r.outcome  -- one order for all, so that none waits for another in a circle
  on conflict (group_id, webhook_id, span, starts_at, outcome, part) do update set
    count = s.count + excluded.count, latencies = tidings.added(s.latencies, excluded.latencies)
)
insert into tidings.counters as c (name, part, count, seconds, latencies)
select r.name, 0, r.count, r.seconds, r.latencies::bigint[]
from unnest($7::text[], $8::bigint[], $9::float8[], $10::text[]) as r (name, count, seconds, latencies) order by r.name
on conflict (name, part) do update set count = c.count + excluded.count, seconds = coalesce(c.seconds, 0) + excluded.seconds,
  latencies = tidings.added(c.latencies, excluded.latencies), updated_at = now();

-- name: counters
-- The sums over all processes.
select name, sum(count)::bigint as count, sum(seconds) as seconds,
  (select array_agg(total order by position) from (
     select position, sum(n)::bigint as total
     from tidings.counters i, unnest(i.latencies) with ordinality as l (n, position) where i.name = c.name group by position) sums) as latencies
from tidings.counters c group by name;

-- name: fold_counters
-- Sums up the rows that nobody has written for a while. Should their writer come back, it begins a new row. $1 how old
with old as (
  delete from tidings.counters where part <> 0 and updated_at < now() - $1::interval returning *
), totals as (
  select name, sum(count)::bigint as count, sum(seconds) as seconds from old group by name
), latencies as (
  select name, array_agg(total order by position) as latencies from (
    select name, position, sum(n)::bigint as total from old, unnest(latencies) with ordinality as l (n, position) group by name, position
  ) sums group by name
)
insert into tidings.counters as c (name, part, count, seconds, latencies)
select t.name, 0, t.count, t.seconds, l.latencies from totals t left join latencies l on l.name = t.name order by t.name
on conflict (name, part) do update set count = c.count + excluded.count, seconds = coalesce(c.seconds + excluded.seconds, excluded.seconds, c.seconds),
  latencies = tidings.added(c.latencies, excluded.latencies), updated_at = now();

-- name: roll_up
-- Adds minutes that are over to their hours and days, each once, and to what is counted of webhooks since the beginning. Returns how many rows those were.
-- $1 minutes before, $2 how many rows at most
with picked as (
  update tidings.statistics set is_rolled_up = true
  where ctid = any (array(
    select ctid from tidings.statistics where span = 'minute' and not is_rolled_up and starts_at < $1
    order by starts_at limit $2 for update skip locked))
  returning group_id, webhook_id, starts_at, outcome, count, latencies
), sums as (
  select group_id, webhook_id, longer.span, longer.starts_at, outcome, position, sum(n)::bigint as n
  from picked p, unnest(p.latencies) with ordinality as l (n, position),
    lateral (values ('hour', date_trunc('hour', p.starts_at, 'UTC')), ('day', date_trunc('day', p.starts_at, 'UTC'))) as longer (span, starts_at)
  group by group_id, webhook_id, longer.span, longer.starts_at, outcome, position
), added as (
  insert into tidings.statistics as s (group_id, webhook_id, span, starts_at, outcome, part, count, latencies)
  select group_id, webhook_id, span, starts_at, outcome, 0, sum(n)::bigint, array_agg(n order by position)
  from sums group by group_id, webhook_id, span, starts_at, outcome
  order by group_id, webhook_id, span, starts_at, outcome  -- one order for all, so that none waits for another in a circle
  on conflict (group_id, webhook_id, span, starts_at, outcome, part) do update set
    count = s.count + excluded.count, latencies = tidings.added(s.latencies, excluded.latencies)
), counted as (
  insert into tidings.webhook_counters as c (webhook_id, outcome, group_id, count)
  select coalesce(own.webhook_id, '00000000-0000-0000-0000-000000000000'), p.outcome, coalesce(own.group_id, ''), sum(p.count)::bigint
  from picked p left join (select distinct webhook_id, group_id from tidings.webhook_counters) own on own.webhook_id = p.webhook_id
  where p.webhook_id <> '00000000-0000-0000-0000-000000000000'
  group by 1, 2, 3 order by 1, 2  -- one order for all, as above
  on conflict (webhook_id, outcome) do update set count = c.count + excluded.count
)
select count(*) from picked;

-- name: hold_series
-- One process at a time chooses, to the end of its transaction.
select pg_advisory_xact_lock(7413201, 6);

-- name: end_series
-- Ends the series of webhooks that are deleted, and of the latest where there are more than may be. $1 how many may be
delete from tidings.webhook_counters where webhook_id <> '00000000-0000-0000-0000-000000000000' and (
  webhook_id not in (select w.id from tidings.webhooks w join tidings.webhook_counters c on c.webhook_id = w.id)
  or webhook_id in (select webhook_id from tidings.webhook_counters where webhook_id <> '00000000-0000-0000-0000-000000000000'
    group by webhook_id order by min(began_at), webhook_id offset $1));

-- name: begin_series
-- Gives a series of its own to webhooks that have delivered lately and have none, as many as there is room for. $1 how many may be, $2 minutes before
insert into tidings.webhook_counters (webhook_id, outcome, group_id)
select s.webhook_id, 'succeeded', s.group_id from (
  select webhook_id, group_id, min(starts_at) as first from tidings.statistics
  where span = 'minute' and not is_rolled_up and starts_at < $2 and webhook_id <> '00000000-0000-0000-0000-000000000000' group by webhook_id, group_id) s
join tidings.webhooks w on w.id = s.webhook_id
where not exists (select from tidings.webhook_counters c where c.webhook_id = s.webhook_id)
  and $1 > (select count(distinct webhook_id) from tidings.webhook_counters where webhook_id <> '00000000-0000-0000-0000-000000000000')  -- else nothing is looked at
order by s.first, s.webhook_id
limit greatest(0, $1 - (select count(distinct webhook_id) from tidings.webhook_counters where webhook_id <> '00000000-0000-0000-0000-000000000000'));

-- name: series
-- $1 how many rows at most
select webhook_id, group_id, outcome, count from tidings.webhook_counters order by webhook_id, outcome limit $1;

-- name: forget
-- Returns how many rows those were. $1 span, $2 rows that begin before, $3 how many at most
with gone as (
  delete from tidings.statistics where ctid = any (array(
    select ctid from tidings.statistics where span = $1 and starts_at < $2 order by span, starts_at limit $3 for update skip locked))
  returning 1
)
select count(*) from gone;

-- name: read
-- Rows of one span, oldest first; a stretch of time can have several. $1 group, $2 webhook (zeros: the whole group), $3 span,
-- $4 from, $5 to, $6 only what is not in a longer span yet: as a parameter, so that the key is used and not an index of all groups'
select starts_at, outcome, count, latencies from tidings.statistics
where group_id = $1 and webhook_id = $2 and span = $3 and starts_at >= $4 and starts_at < $5 and not ($6 and is_rolled_up)
order by starts_at;

-- name: first_new
-- The first minute that has rows which are not in a longer span yet.
select min(starts_at) from tidings.statistics where span = 'minute' and not is_rolled_up;
