-- To the operator: a job that cannot be read no longer stops the others; it is made inactive and says why in tidings.cron_jobs.fault.
-- Times and limits that no program can hold, which nothing but an UPDATE by hand can have written, are brought within bounds.

update tidings.cron_jobs set
  next_at = least(greatest(next_at, '1970-01-01Z'), '9000-01-01Z'),
  created_at = least(greatest(created_at, '1970-01-01Z'), '9000-01-01Z'),
  updated_at = least(greatest(updated_at, '1970-01-01Z'), '9000-01-01Z'),
  timeout_seconds = least(greatest(timeout_seconds, 0.1), 86400)
where not (next_at between '1970-01-01Z' and '9000-01-01Z' and created_at between '1970-01-01Z' and '9000-01-01Z'
  and updated_at between '1970-01-01Z' and '9000-01-01Z' and timeout_seconds between 0.1 and 86400);

alter table tidings.cron_jobs
  add column fault text,
  add constraint job_times_are_bounded check (next_at between '1970-01-01Z' and '9000-01-01Z' and created_at between '1970-01-01Z' and '9000-01-01Z'
    and updated_at between '1970-01-01Z' and '9000-01-01Z' and timeout_seconds between 0.1 and 86400);
comment on column tidings.cron_jobs.fault is 'Why the scheduler made it inactive: its schedule or its zone could not be read. Null: nothing is wrong.';
comment on constraint job_times_are_bounded on tidings.cron_jobs is 'Forbids infinity, NaN and what a program''s calendar does not hold: one such row would stop every read.';
