-- part: columns
webhooks, events_per_second, events_burst, stored_bytes, payload_bytes

-- name: find
-- The limits of a group, its own or those of all, and how often limits were changed, as of one moment. $1 group
select c.limits_version as version, g.group_id is not null as is_own,
  case when g.group_id is null then d.webhooks else g.webhooks end as webhooks,
  case when g.group_id is null then d.events_per_second else g.events_per_second end as events_per_second,
  case when g.group_id is null then d.events_burst else g.events_burst end as events_burst,
  case when g.group_id is null then d.stored_bytes else g.stored_bytes end as stored_bytes,
  case when g.group_id is null then d.payload_bytes else g.payload_bytes end as payload_bytes
from tidings.api_key_changes c cross join tidings.default_limits d left join tidings.group_limits g on g.group_id = $1;

-- name: of_payloads
-- Which groups have another limit of payload_bytes than all, none among it, and how often limits were changed.
select c.limits_version as version, d.payload_bytes as of_all,
  array(select g.group_id from tidings.group_limits g where g.payload_bytes is distinct from d.payload_bytes order by g.group_id) as groups,
  array(select g.payload_bytes from tidings.group_limits g where g.payload_bytes is distinct from d.payload_bytes order by g.group_id) as limits
from tidings.api_key_changes c cross join tidings.default_limits d;

-- name: version
select limits_version from tidings.api_key_changes;

-- name: defaults
select {columns} from tidings.default_limits;

-- name: put
-- A group's own limits. $1 group, $2 to $6 the limits
insert into tidings.group_limits (group_id, {columns}) values ($1, $2, $3, $4, $5, $6)
on conflict (group_id) do update set webhooks = excluded.webhooks, events_per_second = excluded.events_per_second,
  events_burst = excluded.events_burst, stored_bytes = excluded.stored_bytes, payload_bytes = excluded.payload_bytes;

-- name: put_defaults
-- $1 to $5 the limits
update tidings.default_limits set ({columns}) = ($1, $2, $3, $4, $5);

-- name: remove
-- $1 group
delete from tidings.group_limits where group_id = $1 returning group_id;

-- name: lock
-- Limits of a group, or of all, are changed by one after the other, and so are its webhooks made where they have a limit: to the end of the
-- transaction. $1 group, '' for the limits of all
select pg_advisory_xact_lock(7413203, hashtext($1));

-- name: count_webhooks
-- No more are counted than it takes to know. $1 group, $2 how many at most
select count(*) from (select from tidings.webhooks where group_id = $1 limit $2) w;

-- name: take
-- Portions of the buckets of groups, in one order, so that two processes cannot wait for each other. In parallel: $1 groups, $2 rates, $3 bursts,
-- $4 needs, $5 how many ahead
select w.group_id, t.granted, t.remaining
from (select * from unnest($1::text[], $2::float8[], $3::float8[], $4::integer[], $5::integer[]) as w (group_id, rate, burst, need, ahead)
  order by group_id) w
cross join lateral tidings.take_events(w.group_id, w.rate, w.burst, w.need, w.ahead) t;

-- name: tokens
-- What is in the bucket of a group now. $1 group, $2 rate, $3 burst
select floor(least($3::float8, tokens + $2::float8 * greatest(0, extract(epoch from clock_timestamp() - filled_at))))::bigint
from tidings.group_rates where group_id = $1;

-- name: stored
-- The bytes that groups have, and how many rows are not added up yet. Of a day more can go than was counted when it came: what is from before
-- there were limits, or has a rule's mark in place of something shorter. That is taken off no other day. $1 groups
select w.group_id, coalesce(d.bytes, 0)::bigint as bytes, coalesce(d.rows, 0)::bigint as rows
from unnest($1::text[]) as w (group_id)
cross join lateral (
  select sum(greatest(0, by_day.bytes)) as bytes, sum(by_day.rows) as rows
  from (
    select day, sum(bytes) as bytes, sum(rows) as rows
    from (
      select day, bytes, 0 as rows from tidings.stored_bytes where group_id = w.group_id
      union all
      select day, bytes, 1 from tidings.stored_changes where group_id = w.group_id
    ) every group by day
  ) by_day
) d;

-- name: pace
-- How many events a second a group had of late. $1 group, $2 for how long that counts
select per_second from tidings.group_paces where group_id = $1 and noted_at > clock_timestamp() - $2::interval;

-- name: add
-- What a transaction has written to history. In parallel: $1 groups, $2 days, $3 bytes, $4 events
insert into tidings.stored_changes (group_id, day, bytes, events)
select * from unnest($1::text[], $2::date[], $3::bigint[], $4::bigint[]);

-- name: fold
-- Adds up what was written, so many rows at a time; days that are dropped by now have nothing. Returns how many rows, and of which groups.
-- $1 how many at most, $2 the first day that there is
with taken as (
  delete from tidings.stored_changes where ctid = any (array(select ctid from tidings.stored_changes limit $1 for update skip locked))
  returning group_id, day, bytes, events
), added as (
  insert into tidings.stored_bytes as s (group_id, day, bytes)
  select group_id, day, sum(bytes)::bigint from taken where day >= $2::date group by group_id, day
  order by group_id, day  -- one order for all, so that none waits for another in a circle
  on conflict (group_id, day) do update set bytes = s.bytes + excluded.bytes
), paced as (
  insert into tidings.group_paces as p (group_id, events, since, noted_at)
  select group_id, sum(events)::bigint, clock_timestamp(), '-infinity' from taken group by group_id order by group_id
  on conflict (group_id) do update set
    per_second = case when clock_timestamp() - p.since < interval '10 s' then p.per_second
      else (p.events + excluded.events) / extract(epoch from clock_timestamp() - p.since) end,
    noted_at = case when clock_timestamp() - p.since < interval '10 s' then p.noted_at else clock_timestamp() end,
    events = case when clock_timestamp() - p.since < interval '10 s' then p.events + excluded.events else 0 end,
    since = case when clock_timestamp() - p.since < interval '10 s' then p.since else clock_timestamp() end
)
select count(*) as rows, array_agg(distinct group_id) as groups from taken;

-- name: look_again
-- Has whoever tells of overruns look at groups whose rows somebody else has added up: by rows of nothing. $1 groups
insert into tidings.stored_changes (group_id, day, bytes, events)
select g.id, current_date, 0, 0 from unnest($1::text[]) as g (id) order by g.id;

-- name: first_day
-- The first day that has partitions.
select min(to_date(right(c.relname, 8), 'YYYYMMDD')) from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'tidings.events'::regclass and c.relname ~ '_[0-9]{8}$';

-- name: forget_days
-- What was stored on days that are gone. $1 the first day that there is
delete from tidings.stored_bytes where day < $1;

-- name: forget_rates
delete from tidings.group_rates r where not exists (select from tidings.groups g where g.id = r.group_id);

-- name: forget_paces
delete from tidings.group_paces p where not exists (select from tidings.groups g where g.id = p.group_id);

-- name: overruns
-- Groups that are over a limit by what nobody refuses, among these and those that were. A pace is of ten seconds at least, in which the doors
-- let through a burst besides. $1 groups, $2 for how long a pace counts
with looked_at as (
  select unnest($1::text[]) as group_id union select group_id from tidings.group_overruns
), limited as (
  select l.group_id, case when g.group_id is null then d.stored_bytes else g.stored_bytes end as stored_bytes,
    case when g.group_id is null then d.events_per_second else g.events_per_second end as events_per_second,
    case when g.group_id is null then d.events_burst else g.events_burst end as events_burst
  from looked_at l join tidings.groups t on t.id = l.group_id cross join tidings.default_limits d
  left join tidings.group_limits g on g.group_id = l.group_id
), used as (
  select l.group_id, l.stored_bytes, l.events_per_second, coalesce(l.events_burst, l.events_per_second) as burst,
    case when l.stored_bytes is null then 0 else
      coalesce((select sum(greatest(0, s.bytes)) from tidings.stored_bytes s where s.group_id = l.group_id), 0) end as bytes,
    case when l.events_per_second is null then 0 else
      coalesce((select p.per_second from tidings.group_paces p where p.group_id = l.group_id and p.noted_at > clock_timestamp() - $2::interval), 0) end as pace
  from limited l
)
select group_id, 'stored_bytes' as limit_name, stored_bytes::bigint as allowed, bytes::bigint as used from used where bytes > stored_bytes
union all
select group_id, 'events_per_second', events_per_second::bigint, ceil(pace)::bigint from used where pace > events_per_second + burst / 10.0;

-- name: lock_overruns
-- Who tells of overruns does so after whoever does it now: two that look at the same moment would find, and end, what the other does not see yet.
select from tidings.default_limits for no key update;

-- name: note_overruns
-- Those that were not over before. In parallel: $1 groups, $2 limits; $3 now
insert into tidings.group_overruns (group_id, limit_name, since)
select o.group_id, o.limit_name, $3 from unnest($1::text[], $2::text[]) as o (group_id, limit_name) order by 1, 2
on conflict do nothing returning group_id, limit_name;

-- name: end_overruns
-- Those that are within their limits again: all but these. In parallel: $1 groups, $2 limits
delete from tidings.group_overruns o
where not exists (select from unnest($1::text[], $2::text[]) as w (group_id, limit_name) where w.group_id = o.group_id and w.limit_name = o.limit_name);

-- name: overruns_of
-- $1 group
select limit_name, since from tidings.group_overruns where group_id = $1 order by limit_name;
