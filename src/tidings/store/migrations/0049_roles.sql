-- To the operator: processes may work from now on under a role that owns nothing (docs/roles.md). What needs ownership stands in functions that
-- have the rights of whoever owns this schema; they do one thing each, look names up nowhere but where they say, and nobody may call them
-- who was not allowed to. Your tables are not touched; the policies of the tables of collections are written anew, which needs each for a moment.

-- Whose rows -------------------------------------------------------------------------------------------------------------

create function tidings.is_bound() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return row_security_active('tidings.webhooks') and not exists (
    select from pg_policy p cross join lateral unnest(p.polroles) r (id)
    where p.polrelid = 'tidings.webhooks'::regclass and p.polname = 'running_role' and pg_has_role(r.id, 'usage'));
end $$;
comment on function tidings.is_bound is 'Whether whoever asks is to see the rows of one group alone. A running role is bound by policies too, but one of them shows it all.';

-- As in 0034_groups_apart.sql, but for the roles that all is shown to.
create or replace view tidings.under_way as
select f.id as flight_id, f.worker_id, f.leased_at, u.id, u.event_id, f.lanes[u.lane_number] as webhook_id, coalesce(u.number, 1::smallint) as number
from tidings.flights f, unnest(f.delivery_ids, f.event_ids, f.lane_numbers, f.attempt_numbers) as u (id, event_id, lane_number, number)
where not (select tidings.is_bound()) or coalesce(
  (select w.group_id from tidings.webhooks w where w.id = f.lanes[u.lane_number]),
  (select e.group_id from tidings.events e where e.id = u.event_id)) = (select current_setting('tidings.group', true));

do $$
declare
  walked record;
begin
  for walked in select * from (values
    ('walked_events', 'events', '{group_id,source,type,operation,subject,table_schema,table_name,about,external_id,delivery_count}'::text[]),
    ('walked_deliveries', 'deliveries', '{webhook_id,event_id,group_id,status,last_status,failure,started_at,attempt_count}'),
    ('walked_queue', 'queue', '{webhook_id,event_id,group_id,attempt_count,last_status}')) w (name, source, columns)
  loop
    execute format('create or replace view tidings.%I as select t.id, %s from tidings.%I t', walked.name, (
      select string_agg(format('case when not (select tidings.is_bound()) '
        || 'or t.group_id = (select current_setting(''tidings.group'', true)) then t.%1$I end as %1$I', c.name), ', ' order by c.place)
      from unnest(walked.columns) with ordinality c (name, place)), walked.source);
  end loop;
end $$;

create or replace view tidings.own_events as
select id, group_id, source, type, operation, subject, table_schema, table_name, about, external_id, delivery_count
from tidings.events
where not (select tidings.is_bound()) or group_id = (select current_setting('tidings.group', true));

-- A running role may take the role of requests, and has its rights; it is not to be bound by what binds that one. Whoever else may take it
-- can also say another group, so nothing is shown that was not before.
create or replace function tidings.open_records(table_schema text, name text, group_id text, role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  given name;
begin
  for given in
    select role union
    select r.rolname from pg_policy p join pg_roles r on r.oid = any (p.polroles) where p.polrelid = 'tidings.webhooks'::regclass and p.polname = 'running_role'
  loop
    execute format('grant usage on schema %I to %I', table_schema, given);
    execute format('grant select, insert, update, delete on %I.%I to %I', table_schema, name, given);
  end loop;
  execute format('alter table %I.%I enable row level security', table_schema, name);
  execute format('drop policy if exists tidings_everyone on %I.%I', table_schema, name);
  execute format('drop policy if exists tidings_requests on %I.%I', table_schema, name);
  execute format('create policy tidings_everyone on %I.%I using (true)', table_schema, name);
  execute format('create policy tidings_requests on %I.%I as restrictive to %I using ((select current_setting(''tidings.group'', true)) = %L or current_user <> %3$L)',
    table_schema, name, role, group_id);
end $$;

do $$
declare
  c record;
begin
  for c in
    select k.table_schema, k.name, k.group_id, r.rolname from tidings.collections k
    join pg_namespace n on n.nspname = k.table_schema join pg_class t on t.relnamespace = n.oid and t.relname = k.name
    join pg_policy p on p.polrelid = t.oid and p.polname = 'tidings_requests' join pg_roles r on r.oid = any (p.polroles)
    where pg_has_role(t.relowner, 'usage')
  loop
    perform tidings.open_records(c.table_schema, c.name, c.group_id, c.rolname);
  end loop;
end $$;

-- What needs ownership, day by day ----------------------------------------------------------------------------------------

alter function tidings.ensure_day(date) security definer set search_path = pg_catalog, pg_temp;
alter function tidings.drop_days_before(date) security definer set search_path = pg_catalog, pg_temp;
revoke all on function tidings.ensure_day(date), tidings.drop_days_before(date) from public;

-- Conditions are functions. They run with the rights of whoever changes a row, and what may stand in one is judged before it is made
-- (core/condition_tree.py). No other name can be given.
create function tidings.make_guard(name text, body text, is_settled boolean) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if name !~ '^when_[0-9a-f]{32}$' then raise exception '% is no name of a condition', name using errcode = 'insufficient_privilege'; end if;
  execute format('create or replace function tidings.%I(r record) returns boolean language plpgsql immutable set search_path = pg_catalog%s as %L',
    name, case when is_settled then $set$ set timezone = 'UTC' set datestyle = 'ISO, MDY' set intervalstyle = 'postgres'
    set extra_float_digits = 1 set bytea_output = 'hex' set array_nulls = on set transform_null_equals = off set lc_monetary = 'C'$set$ end, body);
  execute format('grant execute on function tidings.%I(record) to public', name);  -- whoever changes a row calls it
end $$;
revoke all on function tidings.make_guard from public;

create function tidings.drop_guard(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if name !~ '^when_[0-9a-f]{32}$' then raise exception '% is no name of a condition', name using errcode = 'insufficient_privilege'; end if;
  execute format('drop function if exists tidings.%I(record)', name);
end $$;
revoke all on function tidings.drop_guard from public;

-- PostgreSQL lets whoever has TRIGGER on a table make triggers on it and exchange them, but drop none: that takes the table's owner. What goes with
-- a function that is dropped needs no such right. So a trigger that is to go is exchanged for one that calls a function made for this alone,
-- and goes with it (store/capture.py). Until the transaction commits nobody else sees either.
create function tidings.make_leaving() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  name text := 'leaving_' || replace(gen_random_uuid()::text, '-', '');
begin
  execute format('create function tidings.%I() returns trigger language plpgsql as ''begin return null; end''', name);
  execute format('revoke all on function tidings.%I() from public', name);
  execute format('grant execute on function tidings.%I() to %I', name, session_user);
  return name;
end $$;
revoke all on function tidings.make_leaving from public;
comment on function tidings.make_leaving is 'Makes a function that one trigger is to call, to be dropped with it by drop_leaving; returns its name.';

create function tidings.drop_leaving(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
begin
  if name !~ '^leaving_[0-9a-f]{32}$' then raise exception '% was not made to leave', name using errcode = 'insufficient_privilege'; end if;
  execute format('drop function tidings.%I() cascade', name);
end $$;
revoke all on function tidings.drop_leaving from public;

-- Tables of collections belong to whoever owns this schema. One statement each; schemas of other names and types that PostgreSQL did not bring
-- are refused, so this changes nothing but such tables.
create function tidings.change_records(what text, table_schema text, table_name text, more json) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  whole text := format('%I.%I', table_schema, table_name);
  of_column text := quote_ident(more ->> 0);
  kinds text[] := case when what = 'create_table' then array(select json_array_elements_text(more -> 1))
    when what in ('add_column', 'retype_column') then array[more ->> 1] else '{}' end;
  kind text;
  statement text;
begin
  if table_schema !~ '^collections_' then
    raise exception '% is no schema of collections', table_schema using errcode = 'insufficient_privilege';
  end if;
  foreach kind in array kinds loop
    if kind::regtype::oid >= 16384 then raise exception '% is no type of a field', kind using errcode = 'insufficient_privilege'; end if;
  end loop;
  statement := case what
    when 'create_schema' then case when to_regnamespace(quote_ident(table_schema)) is null then format('create schema %I', table_schema) else 'select' end
    when 'create_table' then format('create table %s (id text primary key, created timestamptz not null default now(), updated timestamptz not null default now(), '
      || 'tidings_announced timestamptz, %s)', whole, (
        -- Whether a record was archived is never unknown.
        select string_agg(format('%I %s%s', c.name, k.kind::regtype,
          case when c.name = 'archived' then ' not null default false' when r.is_required::boolean then ' not null' else '' end), ', ' order by c.place)
        from json_array_elements_text(more -> 0) with ordinality c (name, place)
        join json_array_elements_text(more -> 1) with ordinality k (kind, place) using (place)
        join json_array_elements_text(more -> 2) with ordinality r (is_required, place) using (place)))
    when 'create_trigger' then format('create trigger tidings_content after insert or update or delete on %s for each row execute function tidings.capture_content(%L, %L, %L)',
      whole, more ->> 0, more ->> 1, more ->> 2)
    -- What is to be published finds itself.
    when 'create_due_index' then format('create index on %s ("publishDate") where "publishDate" is distinct from tidings_announced', whole)
    when 'drop_table' then format('drop table %s', whole)
    when 'add_column' then format('alter table %s add column %s %s', whole, of_column, kind::regtype)
    when 'drop_column' then format('alter table %s drop column %s', whole, of_column)
    when 'rename_column' then format('alter table %s rename column %s to %I', whole, of_column, more ->> 1)
    -- By way of text, which every value has.
    when 'retype_column' then format('alter table %1$s alter column %2$s type %3$s using %2$s::text::%3$s', whole, of_column, kind::regtype)
    when 'require_column' then format('alter table %s alter column %s %s not null', whole, of_column, case when (more ->> 1)::boolean then 'set' else 'drop' end)
    when 'add_unique' then format('create unique index %I on %s (%s)', 'u_' || md5(table_name || '.' || (more ->> 0)), whole, of_column)
    when 'drop_unique' then format('drop index if exists %I.%I', table_schema, 'u_' || md5(table_name || '.' || (more ->> 0)))
    -- A record that is referred to by a field that is not required leaves null behind.
    when 'add_relation' then format('alter table %s add constraint %I foreign key (%s) references %I.%I (id) on delete %s deferrable initially immediate',
      whole, 'r_' || md5(table_name || '.' || (more ->> 0)), of_column, table_schema, more ->> 1, case when (more ->> 2)::boolean then 'no action' else 'set null' end)
    when 'drop_relation' then format('alter table %s drop constraint if exists %I', whole, 'r_' || md5(table_name || '.' || (more ->> 0)))
    when 'drop_constraint' then format('alter table %s drop constraint %s', whole, of_column)
    when 'open_table' then format('select tidings.open_records(%L, %L, %L, %L)', table_schema, table_name, more ->> 0, more ->> 1)
  end;
  if statement is null then raise exception '% is nothing that is done with records', what; end if;
  execute statement;
end $$;
revoke all on function tidings.change_records from public;
comment on function tidings.change_records is 'Changes the table of a collection, with the rights of whoever owns this schema. what: one statement; more: its arguments, a JSON array.';
