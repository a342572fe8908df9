-- How history is read. A list can be asked for by anything, and history has ten million rows: so no statement leaves the way to
-- PostgreSQL. Each walks one index from its end and looks at no more rows than it is told to (of each "lane"), lets through what
-- fits ("matched"), and says how far it came ("reached"). Whoever asks goes on from there (`core.search`).
--
-- Written newest first. For a page that goes back `store.search` reads the same statement with asc and desc exchanged.
--
-- A delivery is in one of three places; each statement on deliveries looks at all that are asked for, in one snapshot.
--
-- All are given $1 group, $2 ids from, $3 ids before, $4 rows of each lane at most, $5 ids in the answer at most; then what must
-- fit, null where anything does. Of an event: $6 types, $7 patterns of types, $8 operations on captured tables (all three are null
-- or none), $9 schema, $10 table, $11 which row it is about (core.event.about_hash), $12 external id, $13 subject.
-- Those on deliveries: $14 whether any of these is asked for, $15 places (finished, waiting, sending), $16 states, $17 webhook,
-- $18 event, $19 response statuses, $20 their classes (5 for 5xx; both are null or neither), $21 failures.

-- part: finished
id, webhook_id, event_id, group_id, status as state, last_status, failure, case when started_at is null then attempt_count end as last_number

-- part: waiting
id, webhook_id, event_id, group_id, case when attempt_count > 0 then 'retrying' else 'pending' end as state, last_status, null::text as failure,
  nullif(attempt_count, 0) as last_number

-- part: sending
-- What stands in a flight; for up to a second that includes what is done.
select u.id, u.webhook_id, u.event_id, null::text as group_id, 'sending' as state,
  case when u.number > 1 then (select a.response_status from tidings.attempts a where a.delivery_id = u.id and a.number = u.number - 1) end as last_status,
  null::text as failure, nullif(u.number - 1, 0) as last_number, row_number() over (order by u.id desc) as n
from (
  select u.* from tidings.under_way u
  where 'sending' = any ($15::text[]) and u.id >= $2 and u.id < $3
    and (select 1 from tidings.attempts a where a.delivery_id = u.id and a.number = u.number) is null and ($17::uuid is null or u.webhook_id = $17) and ($18::uuid is null or u.event_id = $18)
  order by u.id desc limit $4
) u

-- part: own_webhook
-- The webhook, where it is the group's, or was before it was deleted: to walk along another group's would never come to an end. Selected as
-- a whole: PostgreSQL does not know that coalesce tells nothing, and would not use an index for it behind a policy.
(select coalesce((select w.id from tidings.webhooks w where w.id = $17), (select v.webhook_id from tidings.webhook_versions v where v.webhook_id = $17 limit 1)))

-- part: fits
($6::text[] is null or e.type = any ($6) or e.type like any ($7::text[]) or e.source = 'tables' and e.operation = any ($8::text[]))
  and ($9::text is null or e.table_schema = $9) and ($10::text is null or e.table_name = $10)
  and ($11::bigint is null or e.about = $11) and ($12::text is null or e.external_id = $12)
  and ($13::text is null or e.subject = $13 and e.operation is null)

-- part: answer
-- Sub-selects instead of joins, so that they are made for few rows, and by index, whatever the estimates.
matched as materialized (
  select s.id, s.event_id from seen s
  where ($16::text[] is null or s.state = any ($16)) and ($17::uuid is null or s.webhook_id = $17) and ($18::uuid is null or s.event_id = $18)
    and ($19::integer[] is null or s.last_status = any ($19) or s.last_status / 100 = any ($20::integer[]))
    and ($21::text[] is null or coalesce(s.failure,
      (select a.failure from tidings.attempts a where a.delivery_id = s.id and a.number = s.last_number)) = any ($21))
    and (s.group_id = $1 or s.group_id is null
      and coalesce((select w.group_id from tidings.webhooks w where w.id = s.webhook_id), (select e.group_id from tidings.events e where e.id = s.event_id)) = $1
      and (select 1 from tidings.queue q where q.id = s.id) is null and (select 1 from tidings.deliveries d where d.id = s.id) is null)
    and (not $14 or (select {fits} from tidings.events e where e.id = s.event_id))
)
select array(select id from matched order by id desc limit $5) as ids, array(select event_id from matched order by id desc limit $5) as event_ids,
  (select count(*) from matched) as matches, (select count(*) from seen) as seen, (select id from ends order by id desc limit 1) as reached

-- name: deliveries_by_id
-- Along everybody's: rows of other groups count among those that are looked at (migration 0034).
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {finished} from tidings.walked_deliveries
    where 'finished' = any ($15::text[]) and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  select *, row_number() over (order by id desc) from (
    select {waiting} from tidings.walked_queue
    where 'waiting' = any ($15::text[]) and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  {sending}
), ends as (select id from seen where n = $4), {answer};

-- name: deliveries_by_webhook
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {finished} from tidings.deliveries
    where 'finished' = any ($15::text[]) and webhook_id = {own_webhook} and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  select *, row_number() over (order by id desc) from (
    select {waiting} from tidings.queue
    where 'waiting' = any ($15::text[]) and webhook_id = {own_webhook} and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  {sending}
), ends as (select id from seen where n = $4), {answer};

-- name: unsuccessful_by_webhook
-- What is finished: by an index without what succeeded.
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {finished} from tidings.deliveries
    where 'finished' = any ($15::text[]) and webhook_id = {own_webhook} and status <> 'succeeded' and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  select *, row_number() over (order by id desc) from (
    select {waiting} from tidings.queue
    where 'waiting' = any ($15::text[]) and webhook_id = {own_webhook} and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  {sending}
), ends as (select id from seen where n = $4), {answer};

-- name: unsuccessful_by_group
-- What is finished without success, and what waits for another attempt: each by an index that has nothing else.
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {finished} from tidings.deliveries
    where 'finished' = any ($15::text[]) and group_id = $1 and status <> 'succeeded' and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  select *, row_number() over (order by id desc) from (
    select {waiting} from tidings.queue
    where 'waiting' = any ($15::text[]) and group_id = $1 and attempt_count > 0 and id >= $2 and id < $3 order by id desc limit $4) lane
  union all
  {sending}
), ends as (select id from seen where n = $4), {answer};

-- part: of_events
-- The deliveries of events, which are in ranges of ids (core.event.delivery_id_bounds); those of older events among all of their
-- millisecond.
bounds as materialized (
  select e.id as event_id,
    case when e.id < $25 then left(h.digits, 12) || '70008000' else left(h.digits, 12) || '7' || substr(h.digits, 27, 3) || to_hex(h.rest) end as low,
    case when e.id < $25 then left(h.digits, 12) || '7fffbfff' else left(h.digits, 12) || '7' || substr(h.digits, 27, 3) || to_hex(h.rest | 3) end as high
  from via e cross join lateral (
    select d.digits, 32768 | (('x' || substr(d.digits, 30, 3))::bit(12)::integer << 2) as rest from (select replace(e.id::text, '-', '') as digits) d) h
), found as materialized (
  select d.*, b.event_id as via_id, row_number() over (order by b.event_id desc) as n
  from (select event_id, (low || '000000000000')::uuid as low, (high || 'ffffffffffff')::uuid as high from bounds order by event_id desc) b
  cross join lateral (
    (select {finished} from tidings.deliveries
     where 'finished' = any ($15::text[]) and id >= b.low and id <= b.high and id >= $2 and id < $3 and event_id = b.event_id order by id desc limit $26)
    union all
    (select {waiting} from tidings.queue
     where 'waiting' = any ($15::text[]) and id >= b.low and id <= b.high and id >= $2 and id < $3 and event_id = b.event_id order by id desc limit $26)
  ) d
  order by b.event_id desc limit $26
), seen as materialized (
  select id, webhook_id, event_id, group_id, state, last_status, failure, last_number from found
  union all
  select id, webhook_id, event_id, group_id, state, last_status, failure, last_number from flown
), ends as (
  select id from via where n = $4 union all select via_id from found where n = $26 union all select id from flying where n = $4
)

-- name: deliveries_by_kind
-- Those of events of some types. $22 types, $23 events from, $24 events before, $25 deliveries' ids tell their events from here on,
-- $26 deliveries at most
with via as materialized (
  select e.id, e.n from unnest($22::text[]) as kind (type) cross join lateral (
    select id, row_number() over (order by id desc) as n from (
      select id from tidings.own_events
      where hashtextextended(type, hashtextextended(group_id, 0)) = hashtextextended(kind.type, hashtextextended($1, 0))
        and type = kind.type and group_id = $1 and id >= $23 and id < $24 order by id desc limit $4) lane
  ) e
), flying as materialized (
  {sending}
), flown as (
  select * from flying f where (select e.type = any ($22) and e.group_id = $1 from tidings.events e where e.id = f.event_id)
), {of_events}, {answer};

-- name: deliveries_by_about
-- Those of events about one thing. $22 what (core.event.about_hash), $23 events from, $24 events before, $25, $26 as above
with via as materialized (
  select id, row_number() over (order by id desc) as n from (
    select id from tidings.events where about = $22 and group_id = $1 and id >= $23 and id < $24 order by id desc limit $4) lane
), flying as materialized (
  {sending}
), flown as (
  select * from flying f where (select e.about = $22 and e.group_id = $1 from tidings.events e where e.id = f.event_id)
), {of_events}, {answer};

-- part: event
id, group_id, source, type, operation, subject, table_schema, table_name, about, external_id, delivery_count

-- part: answer_of_events
-- $14 only those that no webhook wanted
matched as materialized (
  select id from seen e where group_id = $1 and {fits} and not ($14 and delivery_count > 0)
)
select array(select id from matched order by id desc limit $5) as ids, (select count(*) from matched) as matches, (select count(*) from seen) as seen,
  (select id from seen where n = $4 order by id desc limit 1) as reached

-- name: events_by_id
-- Along everybody's, as `deliveries_by_id`.
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {event} from tidings.walked_events where id >= $2 and id < $3 order by id desc limit $4) lane
), {answer_of_events};

-- name: events_by_kind
-- Those of some types. $15 types
with seen as materialized (
  select e.* from unnest($15::text[]) as kind (type) cross join lateral (
    select *, row_number() over (order by id desc) as n from (
      select {event} from tidings.own_events
      where hashtextextended(type, hashtextextended(group_id, 0)) = hashtextextended(kind.type, hashtextextended($1, 0))
        and type = kind.type and group_id = $1 and id >= $2 and id < $3 order by id desc limit $4) lane
  ) e
), {answer_of_events};

-- name: events_by_about
-- Those about one thing. $15 what (core.event.about_hash)
with seen as materialized (
  select *, row_number() over (order by id desc) as n from (
    select {event} from tidings.events where about = $15 and group_id = $1 and id >= $2 and id < $3 order by id desc limit $4) lane
), {answer_of_events};

-- name: events_about_any
-- The newest events about any of some things, as many of each as of all. $1 group, $2 what (core.event.about_hash), $3 how many
select e.id from unnest($2::bigint[]) as what (about) cross join lateral (
  select id from tidings.events where about = what.about and group_id = $1 order by id desc limit $3
) e order by e.id desc limit $3;

-- name: containing
-- Which of these events have a text in them, in their order; those beyond so many bytes are not looked at. The first is, whatever
-- its size. $1 ids, $2 smallest, $3 largest, $4 pattern, $5 bytes, as they are stored
select id, coalesce(record::text ilike $4, false) or coalesce(old_record::text ilike $4, false) as has_text from (
  select u.id, e.record, e.old_record, sum(coalesce(e.size, 0)) over (order by u.position) - coalesce(e.size, 0) as before, u.position
  from unnest($1::uuid[]) with ordinality as u (id, position) left join lateral (
    select record, old_record, coalesce(pg_column_size(record), 0) + coalesce(pg_column_size(old_record), 0) as size
    from tidings.events where id = u.id and id >= $2 and id <= $3
  ) e on true
) sized where before < $5 order by position;

-- name: events
-- The bounds let PostgreSQL skip the partitions of other days. $1 group, $2 ids, $3 smallest, $4 largest
select id, source, type, operation, subject, table_schema, table_name, record, old_record, occurred_at, external_id, capture_error, delivery_count, redaction, payload_gone, payload_gone_at, traceparent
from tidings.events where group_id = $1 and id = any ($2::uuid[]) and id >= $3 and id <= $4;

-- name: deliveries
-- Wherever they are now, with their last attempt that has a result. $1 group, $2 ids, $3 smallest, $4 largest
with found as materialized (
  select id, webhook_id, event_id, is_test, status, attempt_count, last_status, last_error, failure, response_body, webhook_version, finished_at,
    null::timestamptz as next_retry_at, total_ms, case when started_at is null then attempt_count end as last_number
  from tidings.deliveries where group_id = $1 and id = any ($2::uuid[]) and id >= $3 and id <= $4
  union all
  select id, webhook_id, event_id, is_test, case when attempt_count > 0 then 'retrying' else 'pending' end, attempt_count, last_status, last_error,
    null, null, null, null, due_at, null, attempt_count
  from tidings.queue where group_id = $1 and id = any ($2::uuid[])
), sending as materialized (
  select u.id, u.webhook_id, u.event_id, u.number from tidings.under_way u
  where u.id = any ($2::uuid[]) and u.id <> all (array(select id from found))
    and (select 1 from tidings.attempts a where a.delivery_id = u.id and a.number = u.number) is null
), places as (
  select * from found
  union all
  select s.id, s.webhook_id, s.event_id, e.type = 'webhook.test', 'sending', s.number, null, null, null, null, null, null, null, null, s.number - 1
  from sending s cross join lateral (select type from tidings.events where id = s.event_id and group_id = $1 limit 1) e
)
select p.id, p.webhook_id, p.event_id, p.is_test, p.status, p.attempt_count, p.finished_at, p.next_retry_at,
  coalesce(p.last_status, a.response_status) as last_status, coalesce(p.last_error, a.error) as last_error,
  coalesce(p.failure, a.failure) as failure, coalesce(p.response_body, a.response_body) as response_body,
  coalesce(p.webhook_version, a.webhook_version) as webhook_version,
  coalesce(p.total_ms, a.total_ms) as total_ms
from places p left join lateral (
  select response_status, error, failure, response_body, webhook_version, total_ms from tidings.attempts where delivery_id = p.id and number = p.last_number limit 1
) a on true;

-- name: attempts
-- Those before the last are rows of their own; the last is in the delivery's row. Oldest first. $1 delivery
select delivery_id, number, started_at, response_status, response_headers, response_body, coalesce(is_truncated, false) as is_truncated, failure, error,
  dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version, signer_id
from tidings.attempts where delivery_id = $1
union all
select id, attempt_count, started_at, last_status, response_headers, response_body, coalesce(is_truncated, false), failure, last_error,
  dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version, signer_id
from tidings.deliveries where id = $1 and started_at is not null
order by number;

-- name: kinds
-- The types a group has events of, in order. $1 group, $2 pattern or null, $3 how many
select type from (select type from tidings.event_kinds where group_id = $1 order by type limit 10000) known
where $2::text is null or type like $2 limit $3;

-- name: known_types
-- Those of some types that a group has events of, or has in its catalogue. $1 group, $2 types
select type from tidings.event_kinds where group_id = $1 and type = any ($2::text[])
union select name from tidings.event_types where group_id = $1 and name = any ($2::text[]);

-- name: is_kind
-- Whether a group has events of a type, or has it in its catalogue. $1 group, $2 type
select exists (select from tidings.event_kinds where group_id = $1 and type = $2) or exists (select from tidings.event_types where group_id = $1 and name = $2);

-- name: share
-- Which part of the newest events is a group's. $1 group
select coalesce(avg((group_id is not distinct from $1)::integer), 1)::float8 from (select group_id from tidings.walked_events order by id desc limit 200) newest;

-- name: group_of_webhook
-- $1 webhook
select group_id from tidings.webhooks where id = $1;

-- name: count_of_webhook
-- How many deliveries a webhook has that are finished or wait, each place counted up to a bound, by index alone. $1 webhook, $2 ids
-- from, $3 ids before, $4 bound
select (select count(*) from (select from tidings.counted_deliveries where webhook_id = $1 and id >= $2 and id < $3 limit $4) finished)
  + (select count(*) from (select from tidings.counted_queue where webhook_id = $1 and id >= $2 and id < $3 limit $4) waiting);

-- name: count_finished_of_webhook
-- How many finished deliveries a webhook has, and how many of them did not succeed, by index alone. $1 webhook, $2 ids from, $3 ids before,
-- $4 bound of those that did not; twice that of all, so that the difference is right up to the bound
select (select count(*) from (select from tidings.counted_deliveries where webhook_id = $1 and id >= $2 and id < $3 limit 2 * $4::bigint) f) as finished,
  (select count(*) from (select from tidings.counted_deliveries where webhook_id = $1 and id >= $2 and id < $3 and status <> 'succeeded' limit $4::bigint) u)
    as unsuccessful;

-- name: event_of_external_id
-- $1 group, $2 external id
select event_id from tidings.published where group_id = $1 and external_id = $2;
