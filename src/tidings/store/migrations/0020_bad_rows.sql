-- To the operator: a group's id may be nearly any text, so that a column of yours can name it; what was set aside says of what kind it
-- is. Times of lanes that no program can reckon with, which nothing but an UPDATE by hand can have written, are brought within bounds.

alter table tidings.groups drop constraint groups_id_check,
  add constraint group_id_can_be_told check (length(id) between 1 and 100 and id !~ '[[:cntrl:]]' and id not in ('.', '..') and id = btrim(id));
comment on constraint group_id_can_be_told on tidings.groups is 'Forbids what cannot stand in a header, a URL or a list (core.group tells it in sentences).';

update tidings.lanes set
  due_at = greatest(due_at, '1970-01-01Z'), refilled_at = least(greatest(refilled_at, '1970-01-01Z'), now())
where due_at < '1970-01-01Z' or not refilled_at between '1970-01-01Z' and '9000-01-01Z';
alter table tidings.lanes
  add constraint lane_times_are_bounded check (due_at >= '1970-01-01Z' and refilled_at between '1970-01-01Z' and '9000-01-01Z');
comment on constraint lane_times_are_bounded on tidings.lanes is 'Forbids times that no difference can be made of: one such row would stop every claim.';

alter table tidings.outbox_rejected
  add column kind text not null default 'event',
  add constraint kind_is_known check (kind in ('event', 'delivery'));
comment on table tidings.outbox_rejected is 'What could be neither routed nor delivered, with the reason, as the row it was: of the outbox, or of the queue. Kept until someone looks.';
comment on column tidings.outbox_rejected.kind is 'event: a row of the outbox that could not be routed. delivery: a row of the queue that history cannot hold.';

-- What waits has a time and a number of attempts that a claim can reckon with.
update tidings.queue set due_at = least(greatest(due_at, '1970-01-01Z'), '9000-01-01Z'), attempt_count = least(greatest(attempt_count, 0), 32000)
where not (due_at between '1970-01-01Z' and '9000-01-01Z' and attempt_count between 0 and 32000);
alter table tidings.queue add constraint waits_within_bounds check (due_at between '1970-01-01Z' and '9000-01-01Z' and attempt_count between 0 and 32000);
comment on constraint waits_within_bounds on tidings.queue is 'Forbids what no claim can reckon with: one such row would stop every claim.';

alter table tidings.integration_refusals drop constraint refusal_reason_is_known,
  add constraint refusal_reason_is_known check (reason in ('disconnected', 'signature', 'replayed', 'body', 'fault'));

-- A collection whose table is gone, or is no longer as we made it, does not keep the others' records from being published.
create or replace function tidings.announce_due(now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c record;
  marked integer;
  total integer := 0;
begin
  for c in select k.table_schema, k.name from tidings.collections k loop
    begin
      execute format('update %1$I.%2$I set tidings_announced = "publishDate" where id in (select id from %1$I.%2$I '
        || 'where "publishDate" is distinct from tidings_announced and "publishDate" <= $1 and not archived '
        || 'order by "publishDate" limit 1000 for update skip locked)', c.table_schema, c.name) using now;
      get diagnostics marked = row_count;
      total := total + marked;
    exception when undefined_table or undefined_column or invalid_schema_name or wrong_object_type or data_exception
      or integrity_constraint_violation or insufficient_privilege then
      continue;
    end;
  end loop;
  return total;
end $$;

create index webhooks_set_aside on tidings.webhooks (id) where fault is not null;
create index cron_jobs_set_aside on tidings.cron_jobs (id) where fault is not null;
create index outbox_rejected_deliveries on tidings.outbox_rejected (id) where kind = 'delivery';

-- How many deliveries led to an event (theory: core/hops.py). A default, so that every way into the outbox has it: triggers, functions, COPY.
alter table tidings.outbox add column hops smallint;
alter table tidings.outbox alter column hops set default case when current_setting('tidings.hops', true) ~ '^[0-9]{1,4}$' then current_setting('tidings.hops', true)::smallint end;
alter table tidings.events add column hops smallint;
comment on column tidings.events.hops is 'How many deliveries led to it; null: it is of a version that did not count.';

alter table tidings.lanes add column looped_at timestamptz, add column loop_count bigint not null default 0, add column loop_reason text;
comment on column tidings.lanes.looped_at is 'When a delivery was not made last because it led to itself; null: never since the webhook was changed.';
