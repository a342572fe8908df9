-- name: known_webhooks
-- Found unreadable, of all groups, in order of their ids. $1 behind this id, $2 how many
select id::text as key, id::text, name, group_id, fault as reason, updated_at as since from tidings.webhooks
where fault is not null and id > $1 order by tidings.webhooks.id limit $2;

-- name: known_jobs
-- $1 behind this id, $2 how many
select id::text as key, id::text, name, group_id, fault as reason, updated_at as since from tidings.cron_jobs
where fault is not null and id > $1 order by tidings.cron_jobs.id limit $2;

-- name: known_backfills
-- $1 behind this id, $2 how many
select id::text as key, id::text, table_schema || '.' || table_name as name, group_id, error as reason, updated_at as since from tidings.backfills
where state = 'running' and error is not null and id > $1 order by tidings.backfills.id limit $2;

-- name: known
-- What the mender could not read. $1 kind, $2 behind this key, $3 how many
select key, found_at from tidings.unreadable where kind = $1 and key > $2 order by key limit $3;

-- name: count_known
-- $1 how many are counted
select kind, count(*) as count from (select kind from tidings.unreadable limit $1) counted group by kind
union all
select 'backfill', count(*) from (select from tidings.backfills where state = 'running' and error is not null limit $1) counted;

-- name: integrations_by_key
-- $1 behind this key, $2 how many
select * from tidings.integrations where (id::text) collate "C" > $1 order by (id::text) collate "C" limit $2;

-- name: collections_by_key
-- $1 behind this key, $2 how many
select * from tidings.collections where (id::text) collate "C" > $1 order by (id::text) collate "C" limit $2;

-- name: tables_by_key
-- $1 behind this key, $2 how many
select (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C" as key, table_schema, table_name from tidings.captured_tables
where (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C" > $1
order by (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C" limit $2;

-- name: these_integrations
-- $1 keys
select * from tidings.integrations where (id::text) collate "C" = any ($1::text[]) order by (id::text) collate "C";

-- name: these_collections
-- $1 keys
select * from tidings.collections where (id::text) collate "C" = any ($1::text[]) order by (id::text) collate "C";

-- name: these_tables
-- $1 keys
select (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C" as key, table_schema, table_name from tidings.captured_tables
where (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C" = any ($1::text[])
order by (quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C";

-- name: named_collections
-- Those of all groups that have a name. $1 name, $2 how many
select * from tidings.collections where name = $1 order by id limit $2;

-- name: write_down
-- $1 kind, $2 keys
insert into tidings.unreadable (kind, key) select $1, unnest($2::text[]) on conflict do nothing;

-- name: strike_out
-- What was looked through and can be read, or is gone. $1 kind, $2 behind this key, $3 up to this one, or null, $4 but these
delete from tidings.unreadable where kind = $1 and key > $2 and ($3::text is null or key <= $3) and key <> all ($4::text[]);

-- name: webhooks_after
-- Webhooks that are set aside, with the limits of their lanes. $1 behind this id, $2 how many
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
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
