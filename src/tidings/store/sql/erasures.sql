-- Erasures (theory: core.erasure). Pages: $1 group, $2 position or null, $3 ids of events and deliveries before, $4 rows, $5 bytes as they
-- are stored, $6 bytes as they come; of either one row may have more. What compresses well is stored in a hundredth, so both are counted: the
-- first costs nothing, and bounds how much is unpacked for the second. A page's rows are all that were looked at, so that its last is the next
-- position; of other groups' nothing but the key comes. What is erased is named by keys, $1.

-- name: lock_group
-- $1 group
select from tidings.groups where id = $1 for no key update;

-- name: count_open
-- $1 group
select count(*) from tidings.erasures where group_id = $1 and state in ('waiting', 'running');

-- name: is_erasing
-- Whether something is taken out of a group, which is locked. $1 group
select exists (select from tidings.erasures where group_id = $1 and state in ('waiting', 'running') and not dry_run);

-- name: begin
-- What is open now, or was begun before, may have written to the outbox unseen. $1 id, $2 group, $3 kind, $4 path, $5 hash, $6 subject, sealed,
-- $7 dry run, $8 pending, $9 state, $10 stage, $11 now
insert into tidings.erasures (id, group_id, kind, path, subject_hash, subject, dry_run, pending, state, stage, until, outbox_after, report, due_at,
  created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, greatest($11, clock_timestamp()), pg_snapshot_xmax(pg_current_snapshot()), '{}', $11, $11, $11);

-- name: get
-- $1 group, $2 id
select * from tidings.erasures where group_id = $1 and id = $2;

-- name: lock
-- Waits for the chunk that is under way. $1 group, $2 id
select * from tidings.erasures where group_id = $1 and id = $2 for no key update;

-- name: list
-- Newest first. $1 group, $2 limit, $3 offset
select * from tidings.erasures where group_id = $1 order by created_at desc, id limit $2 offset $3;

-- name: of_subject
-- Newest first. $1 group, $2 hash, $3 limit, $4 offset
select * from tidings.erasures where group_id = $1 and subject_hash = $2 order by created_at desc, id limit $3 offset $4;

-- name: take
-- The one that is due longest, until the transaction ends; others take others. $1 now
select * from tidings.erasures where state in ('waiting', 'running') and due_at <= $1 order by due_at, id limit 1 for no key update skip locked;

-- name: advance
-- $1 id, $2 state, $3 stage, $4 position, $5 report, $6 due at, $7 faults, $8 error, $9 now, $10 finished at, $11 whether it is over
update tidings.erasures set state = $2, stage = $3, position = $4, report = $5::text::json, due_at = $6, fault_count = $7, error = $8, updated_at = $9,
  finished_at = $10, subject = case when $11 then null else subject end where id = $1;

-- name: outbox_past
-- Once those transactions have ended that could write unseen, the last number of the outbox is noted; null: not yet. $1 id
update tidings.erasures set outbox_past = coalesce(outbox_past,
  case when outbox_after <= pg_snapshot_xmin(pg_current_snapshot()) then (select coalesce(max(id), 0) from tidings.outbox) end)
where id = $1 returning outbox_past;

-- name: is_routed
-- Whether nothing waits in the outbox up to a number. $1 number
select not exists (select from tidings.outbox where id <= $1);

-- name: page_events
-- With what is sealed of them, which counts as well: a rule that hides everything leaves little else.
with looked as (
  select * from tidings.events where ($2::text is null or id > $2::uuid) and id < $3::uuid order by id limit $4
), measured as (
  select e.*, s.sealed, coalesce(pg_column_size(e.record), 0) + coalesce(pg_column_size(e.old_record), 0) + coalesce(pg_column_size(s.sealed), 0) as bytes
  from looked e left join tidings.sealed_payloads s on s.event_id = e.id
), sized as (
  select *, sum(bytes) over (order by id) - bytes as before from measured
), unpacked as (
  select *, case when group_id = $1 then coalesce(octet_length(record::text), 0) + coalesce(octet_length(old_record::text), 0) + coalesce(octet_length(sealed), 0)
    else 0 end as octets from sized where before < $5
), weighed as (
  select *, sum(octets) over (order by id) - octets as octets_before from unpacked
)
select id::text as key, group_id = $1 and payload_gone is distinct from 'erasure' as is_ours,
  case when group_id = $1 then record end as record, case when group_id = $1 then old_record end as old_record,
  case when group_id = $1 then array[external_id, capture_error, case when operation is null then subject end] end as texts,
  case when group_id = $1 then sealed end as sealed
from weighed where octets_before < $6 order by id;

-- name: page_deliveries
with looked as (
  select id, group_id, response_headers, response_body, last_error,
    coalesce(pg_column_size(response_body), 0) + coalesce(pg_column_size(response_headers), 0) as bytes
  from tidings.deliveries where ($2::text is null or id > $2::uuid) and id < $3::uuid order by id limit $4
), sized as (
  select *, sum(bytes) over (order by id) - bytes as before from looked
), unpacked as (
  select *, case when group_id = $1 then coalesce(octet_length(response_body), 0) + coalesce(octet_length(response_headers::text), 0) else 0 end as octets
  from sized where before < $5
), weighed as (
  select *, sum(octets) over (order by id) - octets as octets_before from unpacked
)
select id::text as key, group_id = $1 as is_ours,
  case when group_id = $1 then array[response_headers::text, response_body, last_error] end as texts
from weighed where octets_before < $6 order by id;

-- name: erase_deliveries
update tidings.deliveries set response_headers = null, response_body = null, last_error = case when last_error is not null then 'Erased.' end
where id = any ($1::text[]::uuid[]);

-- name: page_attempts
-- Whole deliveries. An attempt tells no group; its delivery, or its event, does.
with these as materialized (
  select distinct delivery_id from tidings.attempts where ($2::text is null or delivery_id > $2::uuid) and delivery_id < $3::uuid order by delivery_id limit $4
), measured as (
  select t.delivery_id, sum(coalesce(pg_column_size(a.response_body), 0) + coalesce(pg_column_size(a.response_headers), 0)) as bytes
  from these t join tidings.attempts a using (delivery_id) group by t.delivery_id
), sized as (
  select *, sum(bytes) over (order by delivery_id) - bytes as before from measured
), told as (
  select delivery_id,
    coalesce((select d.group_id from tidings.deliveries d where d.id = s.delivery_id), (select q.group_id from tidings.queue q where q.id = s.delivery_id),
      (select e.group_id from tidings.under_way u join tidings.events e on e.id = u.event_id where u.id = s.delivery_id)) as group_id
  from sized s where before < $5::bigint
), unpacked as (
  select t.delivery_id, t.group_id,
    sum(case when t.group_id = $1 then coalesce(octet_length(a.response_body), 0) + coalesce(octet_length(a.response_headers::text), 0) else 0 end) as octets
  from told t join tidings.attempts a using (delivery_id) group by t.delivery_id, t.group_id
), weighed as (
  select *, sum(octets) over (order by delivery_id) - octets as octets_before from unpacked
)
select delivery_id::text as key, w.group_id = $1 as is_ours,
  case when w.group_id = $1 then array[a.response_headers::text, a.response_body, a.error] end as texts
from weighed w join tidings.attempts a using (delivery_id) where octets_before < $6::bigint order by delivery_id, a.number;

-- name: erase_attempts
update tidings.attempts set response_headers = null, response_body = null, error = case when error is not null then 'Erased.' end
where delivery_id = any ($1::text[]::uuid[]);

-- name: page_queue
select id::text as key, group_id = $1 as is_ours, case when group_id = $1 then array[last_error] end as texts
from tidings.queue where ($2::text is null or id > $2::uuid) and id < $3::uuid and $5::bigint + $6::bigint > 0 order by id limit $4;

-- name: erase_queue
update tidings.queue set last_error = 'Erased.' where id = any ($1::text[]::uuid[]);

-- name: page_set_aside
-- A row may hold what no operator of json takes; its group is told by its text.
with looked as (
  select id, row_as_json, error, sealed, pg_column_size(row_as_json) + coalesce(pg_column_size(sealed), 0) as bytes
  from tidings.outbox_rejected where ($2::text is null or id > $2::bigint) and $3::uuid is not null order by id limit $4
), sized as (
  select *, sum(bytes) over (order by id) - bytes as before from looked
), told as (
  select *, (regexp_replace(row_as_json::text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\u0001', 'g')::json ->> 'group_id') is not distinct from $1 as is_ours
  from sized where before < $5
), unpacked as (
  select *, case when is_ours then octet_length(row_as_json::text) + coalesce(octet_length(sealed), 0) else 0 end as octets from told
), weighed as (
  select *, sum(octets) over (order by id) - octets as octets_before from unpacked
)
select id::text as key, is_ours, case when is_ours then array[row_as_json::text, error] end as texts, case when is_ours then sealed end as sealed
from weighed where octets_before < $6 order by id;

-- name: erase_set_aside
delete from tidings.outbox_rejected where id = any ($1::text[]::bigint[]);

-- name: page_bins
with ours as materialized (
  select id from tidings.bins where group_id = $1
), looked as (
  select bin_id, number, headers, path, verdict, body, pg_column_size(body) + pg_column_size(headers) as bytes from tidings.bin_requests
  where bin_id in (select id from ours)
    and ($2::text is null or (bin_id, number) > (($2::json ->> 0)::uuid, ($2::json ->> 1)::bigint)) and $3::uuid is not null
  order by bin_id, number limit $4
), sized as (
  select *, sum(bytes) over (order by bin_id, number) - bytes as before from looked
), unpacked as (
  select *, octet_length(body) + octet_length(headers) as octets from sized where before < $5
), weighed as (
  select *, sum(octets) over (order by bin_id, number) - octets as octets_before from unpacked
)
select json_build_array(bin_id, number)::text as key, true as is_ours, array[headers, path, verdict] as texts, body
from weighed where octets_before < $6 order by bin_id, number;

-- name: erase_bins
delete from tidings.bin_requests r using (select (k::json ->> 0)::uuid as bin_id, (k::json ->> 1)::bigint as number from unnest($1::text[]) k) e
where r.bin_id = e.bin_id and r.number = e.number;

-- name: page_objects
with ours as materialized (
  select id from tidings.integrations where group_id = $1
), looked as (
  select integration_id, object_type, object_id, data, coalesce(pg_column_size(data), 0) as bytes from tidings.integration_objects
  where integration_id in (select id from ours)
    and ($2::text is null or (integration_id, object_type, object_id) > (($2::json ->> 0)::uuid, $2::json ->> 1, $2::json ->> 2)) and $3::uuid is not null
  order by integration_id, object_type, object_id limit $4
), sized as (
  select *, sum(bytes) over (order by integration_id, object_type, object_id) - bytes as before from looked
), unpacked as (
  select *, coalesce(octet_length(data::text), 0) as octets from sized where before < $5
), weighed as (
  select *, sum(octets) over (order by integration_id, object_type, object_id) - octets as octets_before from unpacked
)
select json_build_array(integration_id, object_type, object_id)::text as key, true as is_ours, array[data::text, object_id] as texts
from weighed where octets_before < $6 order by integration_id, object_type, object_id;

-- name: erase_objects
delete from tidings.integration_objects o
using (select (k::json ->> 0)::uuid as integration_id, k::json ->> 1 as object_type, k::json ->> 2 as object_id from unnest($1::text[]) k) e
where o.integration_id = e.integration_id and o.object_type = e.object_type and o.object_id = e.object_id;

-- name: page_runs
with ours as materialized (select id from tidings.cron_jobs where group_id = $1)
select json_build_array(job_id, scheduled_at)::text as key, true as is_ours, array[result, error] as texts
from tidings.cron_runs where job_id in (select id from ours)
  and ($2::text is null or (job_id, scheduled_at) > (($2::json ->> 0)::uuid, ($2::json ->> 1)::timestamptz)) and $3::uuid is not null and $5::bigint + $6::bigint > 0
order by job_id, scheduled_at limit $4;

-- name: erase_runs
update tidings.cron_runs r set result = case when result is not null then 'Erased.' end, error = case when error is not null then 'Erased.' end
from (select (k::json ->> 0)::uuid as job_id, (k::json ->> 1)::timestamptz as scheduled_at from unnest($1::text[]) k) e
where r.job_id = e.job_id and r.scheduled_at = e.scheduled_at;

-- name: page_recoveries
select id::text as key, group_id = $1 as is_ours, case when group_id = $1 then array[question::text, error] end as texts
from tidings.recoveries where ($2::text is null or id > $2::uuid) and $3::uuid is not null and $5::bigint + $6::bigint > 0 order by id limit $4;

-- name: erase_recoveries
-- One that is not over ends, since nobody knows any more what it was to send.
update tidings.recoveries set question = 'null', error = 'Erased.' where id = any ($1::text[]::uuid[]);

-- name: page_lanes
select l.webhook_id::text as key, w.group_id = $1 as is_ours, case when w.group_id = $1 then array[l.loop_reason] end as texts
from tidings.lanes l join tidings.webhooks w on w.id = l.webhook_id
where w.group_id = $1 and ($2::text is null or l.webhook_id > $2::uuid) and $3::uuid is not null and $5::bigint + $6::bigint > 0 order by l.webhook_id limit $4;

-- name: erase_lanes
update tidings.lanes set loop_reason = 'Erased.' where webhook_id = any ($1::text[]::uuid[]);

-- name: erase_events
-- The record stays: ids, times, the type. A test stays known as one. $1 ids, $2 smallest, $3 largest, $4 now
update tidings.events set record = null, old_record = null, capture_error = null, about = null, payload_gone = 'erasure', payload_gone_at = $4,
  subject = case when operation is not null then subject end,
  external_id = case when external_id = 'webhook.test' then external_id end
where id = any ($1::uuid[]) and id >= $2 and id <= $3;

-- name: erase_answers
-- Of all attempts of events. In parallel $1 events, $2 from, $3 to
with these as materialized (
  select d.id from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as e (id, low, high)
  join tidings.deliveries d on d.id >= e.low and d.id <= e.high and d.event_id = e.id
), tried as (
  update tidings.attempts a set response_headers = null, response_body = null, error = case when error is not null then 'Erased.' end
  where a.delivery_id = any (array(select id from these)) and a.delivery_id >= (select id from these order by id limit 1) and a.delivery_id <= (select id from these order by id desc limit 1)
)
update tidings.deliveries d set response_headers = null, response_body = null, last_error = case when last_error is not null then 'Erased.' end
where d.id = any (array(select id from these)) and d.id >= (select id from these order by id limit 1) and d.id <= (select id from these order by id desc limit 1) returning d.id;

-- name: erase_published
-- A publisher's id goes on standing for its event, unless it tells the subject; what was published under it is not told any more.
-- In parallel $1 groups, $2 ids, $3 whether they tell the subject
with told as materialized (
  select * from unnest($1::text[], $2::text[], $3::boolean[]) as t (group_id, external_id, is_it)
), gone as (
  delete from tidings.published p using told t where t.is_it and p.group_id = t.group_id and p.external_id = t.external_id returning p.event_id
), kept as (
  update tidings.published p set digest = '\x00' from told t where not t.is_it and p.group_id = t.group_id and p.external_id = t.external_id returning p.event_id
)
select (select count(*) from gone) + (select count(*) from kept);

-- name: lock_lanes_of
-- In the order of everywhere. In parallel $1 events, $2 from, $3 to
select from tidings.lanes where webhook_id in (
  select q.webhook_id from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as e (id, low, high)
  join tidings.queue q on q.id >= e.low and q.id <= e.high and q.event_id = e.id) order by webhook_id for no key update;

-- name: cancel
-- Ends what waits of events, in lanes that are locked. In parallel $1 events, $2 from, $3 to
with gone as (
  delete from tidings.queue q using unnest($1::uuid[], $2::uuid[], $3::uuid[]) as e (id, low, high)
  where q.id >= e.low and q.id <= e.high and q.event_id = e.id returning q.*
), counted as (
  insert into tidings.counters as c (name, part, count) select 'requeued', 0, -count(*) from gone having count(*) > 0
  on conflict (name, part) do update set count = c.count + excluded.count, updated_at = now()
), emptied as (
  update tidings.lanes l set waiting = l.waiting - g.count from (select webhook_id, count(*) as count from gone group by webhook_id) g
  where l.webhook_id = g.webhook_id
)
insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, last_status, last_error, finished_at)
select id, webhook_id, event_id, group_id, is_test, 'cancelled', attempt_count, last_status, 'Its event was erased.', now() from gone returning id;

-- name: wait_for
-- $1 erasure, $2 events, $3 group
insert into tidings.erasure_waits (erasure_id, event_id, group_id) select $1, id, $3 from unnest($2::uuid[]) as e (id) on conflict do nothing;

-- name: waits
-- $1 erasure, $2 behind, $3 how many
select event_id from tidings.erasure_waits where erasure_id = $1 and ($2::text is null or event_id > $2::uuid) order by event_id limit $3;

-- name: waits_left
-- $1 erasure
select exists (select from tidings.erasure_waits where erasure_id = $1);

-- name: waited
-- $1 erasure, $2 events
delete from tidings.erasure_waits where erasure_id = $1 and event_id = any ($2::uuid[]);

-- name: external_ids
-- $1 ids, $2 smallest, $3 largest
select group_id, external_id from tidings.events where id = any ($1::uuid[]) and id >= $2 and id <= $3 and external_id is not null;
