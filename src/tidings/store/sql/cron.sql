-- name: insert
-- $1 id, $2 group, $3 name, $4 schedule, $5 timezone, $6 type, $7 webhook, $8 body, $9 content type, $10 sql, $11 timeout,
-- $12 missed, $13 enabled, $14 next at, $15 now
insert into tidings.cron_jobs (id, group_id, name, schedule, timezone, type, webhook_id, body, content_type, sql, timeout_seconds,
  missed, enabled, next_at, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15);

-- name: update
-- As in insert, without what cannot change. $1 id, $2 name, $3 schedule, $4 timezone, $5 body, $6 content type, $7 sql, $8 timeout,
-- $9 missed, $10 enabled, $11 next at, $12 now, $13 fault
update tidings.cron_jobs set name = $2, schedule = $3, timezone = $4, body = $5, content_type = $6, sql = $7, timeout_seconds = $8,
  missed = $9, enabled = $10, next_at = $11, updated_at = $12, fault = $13
where id = $1;

-- name: delete
-- $1 id
delete from tidings.cron_jobs where id = $1;

-- name: get
-- $1 group, $2 id
select * from tidings.cron_jobs where group_id = $1 and id = $2;

-- name: lock
-- The same, until the transaction ends. $1 group, $2 id
select * from tidings.cron_jobs where group_id = $1 and id = $2 for update;

-- name: list
-- In order of their names. $1 group, $2 limit, $3 offset
select *, count(*) over () as total from tidings.cron_jobs where group_id = $1 order by name limit $2 offset $3;

-- name: claim_due
-- Jobs whose tick has come, until the transaction ends; others take others. Those of a group that is being moved here fire where it is
-- still: what a move that was broken off has copied does nothing. $1 now, $2 how many
select * from tidings.cron_jobs j where enabled and next_at <= $1
  and not exists (select from tidings.group_moves m, tidings.placing p where m.group_id = j.group_id and m.home = p.home and not m.has_left)
order by next_at limit $2 for update of j skip locked;

-- name: advance
-- $1 ids, $2 next at
update tidings.cron_jobs j set next_at = n.next_at
from unnest($1::uuid[], $2::timestamptz[]) as n (id, next_at) where j.id = n.id;

-- name: set_aside
-- Jobs that cannot be read fire no more until someone has put them right. $1 ids, $2 faults, $3 now
update tidings.cron_jobs j set enabled = false, fault = n.fault, updated_at = $3
from unnest($1::uuid[], $2::text[]) as n (id, fault) where j.id = n.id;

-- name: record_runs
-- $1 jobs, $2 scheduled at, $3 now, $4 events, $5 missed counts, $6 statuses. A tick that was fired already (its job was given an
-- earlier time again) stays as it is.
insert into tidings.cron_runs (job_id, scheduled_at, fired_at, event_id, missed_count, status)
select job_id, scheduled_at, $3, event_id, missed_count, status
from unnest($1::uuid[], $2::timestamptz[], $4::uuid[], $5::integer[], $6::text[]) as r (job_id, scheduled_at, event_id, missed_count, status)
on conflict do nothing
returning job_id, scheduled_at;

-- name: finish_run
-- $1 job, $2 scheduled at, $3 status, $4 result, $5 error, $6 event, $7 now
update tidings.cron_runs set status = $3, result = $4, error = $5, event_id = $6, finished_at = $7
where job_id = $1 and scheduled_at = $2 and status = 'running' returning 1;

-- name: give_up_runs
-- What a process that died was running: PostgreSQL has rolled it back. $1 now
update tidings.cron_runs r set status = 'failed', finished_at = $1::timestamptz, error = 'The process that ran it died; what it had done was rolled back.'
from tidings.cron_jobs j
where j.id = r.job_id and r.status = 'running' and r.fired_at < $1::timestamptz - make_interval(secs => j.timeout_seconds + 60)
returning r.job_id;

-- name: list_runs
-- Newest first. $1 job, $2 limit, $3 offset
select scheduled_at, fired_at, event_id, missed_count, status, result, error, finished_at
from tidings.cron_runs where job_id = $1 order by scheduled_at desc limit $2 offset $3;

-- name: forget_runs
-- $1 older than
delete from tidings.cron_runs where scheduled_at < $1 and status <> 'running';

-- name: session
-- Of a job's role, which may have set a search_path of its own: names are written out, operators too.
select pid, backend_start as began_at from pg_catalog.pg_stat_activity where pid operator(pg_catalog.=) pg_catalog.pg_backend_pid();

-- name: end_session
-- $1 number, $2 when it began
select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
where pid operator(pg_catalog.=) $1 and backend_start operator(pg_catalog.=) $2;

-- name: explain
-- Makes the statement by which PostgreSQL says whether our role may run another, without running it: its rights are looked at as it begins.
-- Options stand already, so that nothing of the text can be one. $1 statement
select 'explain (costs off) ' || $1::text as statement;

-- name: grant_on_table
-- What our role lacks on a table that PostgreSQL names without its schema, of what a statement may do with it. $1 name, $2 verbs
select format('GRANT %s ON %I.%I TO %I;', upper(string_agg(v.verb, ', ' order by v.verb)), n.nspname, c.relname, current_user) as statement
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join unnest($2::text[]) v (verb)
where c.relname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not has_table_privilege(c.oid, v.verb)
group by n.nspname, c.relname, c.oid order by pg_table_is_visible(c.oid) desc, n.nspname limit 1;

-- name: grant_otherwise
-- $1 what is granted, such as USAGE ON SCHEMA, $2 name
select format('GRANT %s %I TO %I;', $1::text, $2::text, current_user) as statement;
