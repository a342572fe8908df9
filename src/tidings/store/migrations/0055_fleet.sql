-- To the operator: tables of databases that are sources or homes of a fleet (docs/fleet.md). Where there is none they stay empty.

create table tidings.relay_flights (
  number bigint generated always as identity primary key,
  id uuid not null,
  home text not null,
  cargo bytea not null,
  event_count integer not null,
  made_at timestamptz not null default clock_timestamp()
);
comment on table tidings.relay_flights is 'Of a source: events that were taken out of the outbox and that the stream has not acknowledged yet, packed as they travel.';
alter table tidings.relay_flights alter column cargo set storage external;
create index relay_flights_id on tidings.relay_flights (id);

create table tidings.relay_wishes (
  home text not null,
  table_schema text not null,
  table_name text not null,
  operation text not null check (operation in ('INSERT', 'UPDATE', 'DELETE')),
  primary key (table_schema, table_name, operation, home)
);
comment on table tidings.relay_wishes is 'Of a source: what webhooks at its homes want to hear of its tables.';
alter table tidings.relay_wishes enable row level security;
create policy of_no_group on tidings.relay_wishes for select using (true);

create table tidings.landed_flights (
  id uuid primary key,
  landed_at timestamptz not null default now()
);
comment on table tidings.landed_flights is 'Of a home: flights whose events are in its outbox, or were. One that comes again is known by it.';
create index landed_flights_landed_at on tidings.landed_flights (landed_at);

alter table tidings.outbox_rejected drop constraint kind_is_known,
  add constraint kind_is_known check (kind in ('event', 'delivery', 'flight'));
comment on column tidings.outbox_rejected.kind is 'event: a row of the outbox that could not be routed. delivery: a row of the queue that history cannot hold. flight: what came by the stream and cannot be read.';

-- As before, but for the groups of a source.
create or replace function tidings.publish(type text, data json default 'null', subject text default null, id text default null, group_id text default 'default')
returns uuid language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  at timestamptz := clock_timestamp();
  -- UUIDv7 (RFC 9562, 5.7): the time in the first 48 bits, version 7 over gen_random_uuid's version 4
  made uuid := encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid;
  -- as sources/publish.py, Draft.digest
  digest bytea := sha256(convert_to(publish.type, 'UTF8') || '\x00'::bytea || convert_to(coalesce(publish.subject, ''), 'UTF8')
    || '\x00'::bytea || convert_to(publish.data::text, 'UTF8'));
  known record;
begin
  if publish.type is null or publish.type !~ '^[^\s.*]+(\.[^\s.*]+)*$' or length(publish.type) > 200 or publish.type ~ '^(table|webhook)\.' then
    raise exception using errcode = 'invalid_parameter_value', message = format('type is %L; write a dotted name such as order.paid.', publish.type),
      hint = 'The families table. and webhook. are made by Tidings.';
  end if;
  if length(publish.id) not between 1 and 200 then
    raise exception using errcode = 'invalid_parameter_value', message = 'id must have 1 to 200 characters.';
  end if;
  -- At a source of a fleet groups are known at their homes alone.
  if not exists (select from tidings.groups g where g.id = publish.group_id) and not exists (select from tidings.settings s where s.name = 'source' and s.value <> '') then
    raise exception using errcode = 'invalid_parameter_value', message = format('There is no group %L.', publish.group_id);
  end if;
  if exists (select from tidings.groups g where g.id = publish.group_id and g.deleting_at is not null) then
    raise exception using errcode = 'invalid_parameter_value', message = format('The group %L is being deleted.', publish.group_id),
      hint = 'Make it again once it is gone.';
  end if;
  if publish.id is not null then
    insert into tidings.published (group_id, external_id, event_id, digest) values (publish.group_id, publish.id, made, digest)
      on conflict do nothing;
    if not found then
      select p.event_id, p.digest into known from tidings.published p where p.group_id = publish.group_id and p.external_id = publish.id;
      if known.digest <> digest then
        raise exception using errcode = 'unique_violation',
          message = format('An event with the id %L was published before, with other content. Give this one its own id.', publish.id);
      end if;
      return known.event_id;
    end if;
  end if;
  insert into tidings.outbox (group_id, source, type, subject, record, occurred_at, event_id, external_id)
    values (publish.group_id, 'publish', publish.type, publish.subject, coalesce(publish.data, 'null'), at, made, publish.id);
  perform tidings.ring();
  return made;
end $$;
