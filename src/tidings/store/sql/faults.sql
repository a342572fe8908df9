-- name: known
-- Settings of all groups that were found unreadable, each kind's newest first. $1 how many of each, $2 the id of one, or null
select * from (select 'webhook' as kind, id::text, name, group_id, fault as reason, updated_at as since
  from tidings.webhooks
  where fault is not null and ($2::text is null or id::text = $2) order by updated_at desc limit $1) w
union all
select * from (select 'job', id::text, name, group_id, fault, updated_at from tidings.cron_jobs
  where fault is not null and ($2::text is null or id::text = $2) order by updated_at desc limit $1) j
union all
select * from (select 'backfill', id::text, table_schema || '.' || table_name, group_id, error, updated_at
  from tidings.backfills
  where state = 'running' and error is not null and ($2::text is null or id::text = $2) order by updated_at desc limit $1) b;

-- name: integrations
-- $1 how many
select * from tidings.integrations order by updated_at desc limit $1;

-- name: collections
-- $1 how many
select * from tidings.collections order by updated_at desc limit $1;

-- name: webhooks_after
-- Webhooks that are set aside, with the limits of their lanes. $1 behind this id, $2 how many
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.fault is not null and w.id > $1 order by w.id limit $2;

-- name: mend_webhooks
-- What was set aside and can be read again is sent to again. Where the version is still the one that was read. $1 ids, $2 versions
with mended as (
  update tidings.webhooks w set fault = null, version = w.version + 1, updated_at = now()
  from unnest($1::uuid[], $2::integer[]) as m (id, version)
  where w.id = m.id and w.version = m.version and w.fault is not null returning w.id, w.enabled
)
update tidings.lanes l set open = m.enabled and not exists (select from tidings.listeners s where s.webhook_id = m.id), closed_at = case when not m.enabled then l.closed_at end, due_at = greatest(l.held_until, least(l.due_at, now()))
from mended m where l.webhook_id = m.id
returning l.webhook_id;

-- name: jobs_after
-- Jobs that are set aside. $1 behind this id, $2 how many
select * from tidings.cron_jobs where fault is not null and id > $1 order by id limit $2;

-- name: mend_job
-- $1 id, $2 as it was changed last, $3 its next tick
update tidings.cron_jobs set fault = null, enabled = true, next_at = $3, updated_at = now() where id = $1 and updated_at = $2 and fault is not null returning id;
