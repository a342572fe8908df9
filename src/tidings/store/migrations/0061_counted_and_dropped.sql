-- To the operator: an index of the audit is made anew, about a second for a million entries, in which what people do waits. Two views, and a
-- function that nothing calls any more is dropped. Your tables are not touched.

-- In one direction, so that it serves a comparison of rows: (group_id, number) < ($1, $2).
create index audit_by_group on tidings.audit (group_id, number);
drop index tidings.audit_of_group;

-- A policy compares the group of each row, which is in no index of deliveries: to count those of one webhook under it, each row was read. These
-- keep groups apart by the webhook, once for all its rows, so that the index alone is read. What is left of a webhook that was deleted is
-- not in them.
create view tidings.counted_deliveries as
select d.id, d.webhook_id, d.status from tidings.webhooks w join tidings.deliveries d on d.webhook_id = w.id
where not (select tidings.is_bound()) or w.group_id = (select current_setting('tidings.group', true));
comment on view tidings.counted_deliveries is 'Finished deliveries of webhooks that are there, to be counted by webhook: to those whom row-level security binds, those of their group''s.';

create view tidings.counted_queue as
select q.id, q.webhook_id from tidings.webhooks w join tidings.queue q on q.webhook_id = w.id
where not (select tidings.is_bound()) or w.group_id = (select current_setting('tidings.group', true));
comment on view tidings.counted_queue is 'The same of deliveries that wait.';

-- tidings.capture_bound() (0018_bound_columns.sql) has long taken its place. A database that comes here from before that still has triggers which
-- call it, until they are replaced; there it stays.
do $$
begin
  if not exists (select from pg_trigger where tgfoid = to_regprocedure('tidings.capture_shaped()')) then
    drop function if exists tidings.capture_shaped();
  end if;
end $$;
