-- To the operator: queries of requests run from now on under a role of their own, which sees the rows of one group (docs/security.md). The
-- role is made at the start, where ours may make roles; otherwise the start says what a superuser has to run once. Row-level security is
-- switched on for tables of schema tidings: our role owns them and sees all, but other roles that you gave rights on them see nothing any
-- more, unless they have BYPASSRLS or you add a policy for them. pg_dump runs as the owner or a superuser. Nothing is rewritten; the
-- tables are needed for a moment each, which waits 2 s at most.

-- Rows that say whose they are -------------------------------------------------------------------------------------------

-- Sub-selects, so that the setting is read once for a statement and not for every row. Unset or '' is nobody's.
do $$
declare
  name text;
begin
  foreach name in array array['webhooks', 'webhook_versions', 'customer_webhooks', 'listeners', 'event_types', 'cron_jobs', 'collections',
    'integrations', 'backfills', 'recoveries', 'bins', 'events', 'event_kinds', 'deliveries', 'queue', 'statistics', 'published', 'outbox',
    'audit']
  loop
    execute format('alter table tidings.%I enable row level security', name);
    execute format('create policy own_group on tidings.%I using (group_id = (select current_setting(''tidings.group'', true))) '
      || 'with check (group_id = (select current_setting(''tidings.group'', true)))', name);
  end loop;
end $$;

alter table tidings.groups enable row level security;
create policy own_group on tidings.groups using (id = (select current_setting('tidings.group', true)));

-- Rows that belong to one of those -----------------------------------------------------------------------------------------

-- The tables asked have policies of their own, which hold here as well.
do $$
declare
  part record;
begin
  for part in select * from (values ('lanes', 'webhook_id', 'webhooks'), ('table_subscriptions', 'webhook_id', 'webhooks'),
    ('listener_sessions', 'webhook_id', 'webhooks'), ('cron_runs', 'job_id', 'cron_jobs'), ('integration_objects', 'integration_id', 'integrations'),
    ('integration_notices', 'integration_id', 'integrations'), ('integration_refusals', 'integration_id', 'integrations'),
    ('bin_requests', 'bin_id', 'bins')) p (name, belongs, owner)
  loop
    execute format('alter table tidings.%I enable row level security', part.name);
    execute format('create policy own_group on tidings.%1$I using (exists (select from tidings.%3$I o where o.id = %1$I.%2$I))',
      part.name, part.belongs, part.owner);
  end loop;
end $$;
-- A webhook and its lane are written by one statement, which does not see the webhook yet. Each has one lane: nobody makes another's.
create policy made_with_webhook on tidings.lanes for insert with check (true);

-- An attempt is its delivery's, wherever that is. A function, with the rights of whoever asks: sub-selects in the policy would be
-- prepared for every day's attempts with every day's deliveries, each time history is asked for anything.
create function tidings.is_own_delivery(id uuid) returns boolean
language plpgsql stable as $$
begin
  return exists (select from tidings.deliveries d where d.id = is_own_delivery.id) or exists (select from tidings.queue q where q.id = is_own_delivery.id)
    or exists (select from tidings.under_way u where u.id = is_own_delivery.id);
end $$;
alter table tidings.attempts enable row level security;
create policy own_group on tidings.attempts using (tidings.is_own_delivery(delivery_id));

-- Records: each collection is a table of one group, in the user's database, and whoever else reads it reads it as before.
create function tidings.open_records(table_schema text, name text, group_id text, role text) returns void
language plpgsql set search_path = pg_catalog as $$
begin
  execute format('grant usage on schema %I to %I', table_schema, role);
  execute format('grant select, insert, update, delete on %I.%I to %I', table_schema, name, role);
  execute format('alter table %I.%I enable row level security', table_schema, name);
  execute format('drop policy if exists tidings_everyone on %I.%I', table_schema, name);
  execute format('drop policy if exists tidings_requests on %I.%I', table_schema, name);
  execute format('create policy tidings_everyone on %I.%I using (true)', table_schema, name);
  execute format('create policy tidings_requests on %I.%I as restrictive to %I using ((select current_setting(''tidings.group'', true)) = %L)',
    table_schema, name, role, group_id);
end $$;
revoke all on function tidings.open_records from public;
comment on function tidings.open_records is 'Lets the role of requests read and write the records of a collection while it acts for the collection''s group.';

create function tidings.close_records(table_schema text, name text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
  given record;
  whole regclass := format('%I.%I', table_schema, name);
begin
  for given in select r.rolname from pg_policy p join pg_roles r on r.oid = any (p.polroles) where p.polrelid = whole and p.polname = 'tidings_requests' loop
    execute format('revoke all on %s from %I', whole, given.rolname);
    execute format('revoke usage on schema %I from %I', table_schema, given.rolname);
  end loop;
  execute format('drop policy if exists tidings_everyone on %s', whole);
  execute format('drop policy if exists tidings_requests on %s', whole);
  if not exists (select from pg_policy p where p.polrelid = whole) then
    execute format('alter table %s disable row level security', whole);
  end if;
end $$;
revoke all on function tidings.close_records from public;
comment on function tidings.close_records is 'Leaves the table of a collection as open_records found it: for those who uninstall Tidings and keep their records.';

-- Rows of no group ---------------------------------------------------------------------------------------------------------

-- Numbers, and what changed, for the engine's own use: they say nothing of anybody.
alter table tidings.routes_version enable row level security;
create policy of_no_group on tidings.routes_version using (true);
alter table tidings.webhook_changes enable row level security;
create policy of_no_group on tidings.webhook_changes for insert with check (true);
alter table tidings.counters enable row level security;
create policy of_no_group on tidings.counters using (part = 0);
alter table tidings.workers enable row level security;
create policy of_no_group on tidings.workers for select using (true);

-- Views, which have the rights of their owner --------------------------------------------------------------------------------

create or replace view tidings.under_way as
select f.id as flight_id, f.worker_id, f.leased_at, u.id, u.event_id, f.lanes[u.lane_number] as webhook_id, coalesce(u.number, 1::smallint) as number
from tidings.flights f, unnest(f.delivery_ids, f.event_ids, f.lane_numbers, f.attempt_numbers) as u (id, event_id, lane_number, number)
where not (select row_security_active('tidings.webhooks')) or coalesce(
  (select w.group_id from tidings.webhooks w where w.id = f.lanes[u.lane_number]),
  (select e.group_id from tidings.events e where e.id = u.event_id)) = (select current_setting('tidings.group', true));
comment on view tidings.under_way is 'The deliveries in flights, one by one; for up to a second that includes what is done. Of one group, for those whom row-level security binds.';

-- A list that walks along all of history has to be able to stop after so many rows, whoever they are: a policy would have it look on,
-- behind its limit, until it has as many of the group. So these show every row to whom policies bind, but of another group's its id alone.
do $$
declare
  walked record;
begin
  for walked in select * from (values
    ('walked_events', 'events', '{group_id,source,type,operation,subject,table_schema,table_name,about,external_id,delivery_count}'::text[]),
    ('walked_deliveries', 'deliveries', '{webhook_id,event_id,group_id,status,last_status,failure,started_at,attempt_count}'),
    ('walked_queue', 'queue', '{webhook_id,event_id,group_id,attempt_count,last_status}')) w (name, source, columns)
  loop
    execute format('create view tidings.%I as select t.id, %s from tidings.%I t', walked.name, (
      select string_agg(format('case when not (select row_security_active(''tidings.webhooks'')) '
        || 'or t.group_id = (select current_setting(''tidings.group'', true)) then t.%1$I end as %1$I', c.name), ', ' order by c.place)
      from unnest(walked.columns) with ordinality c (name, place)), walked.source);
    execute format('comment on view tidings.%I is %L', walked.name,
      'As ' || walked.source || ', for walks along it: to those whom row-level security binds a row of another group shows its id and nothing else.');
  end loop;
end $$;
