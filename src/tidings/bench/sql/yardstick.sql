-- name: prepare
create schema if not exists yardstick;
create table if not exists yardstick.outbox (id bigint generated always as identity primary key, type text not null, tbl text not null, record jsonb, at timestamptz not null default clock_timestamp());
create table if not exists yardstick.events (id bigint primary key, type text not null, tbl text not null, data jsonb not null, at timestamptz not null);
create table if not exists yardstick.deliveries (id bigint generated always as identity primary key, event_id bigint not null, webhook_id int not null, status text not null, attempts int not null default 0,
  next_at timestamptz, lease_until timestamptz, last_code int, created_at timestamptz not null default now(), done_at timestamptz);
create index if not exists deliveries_next on yardstick.deliveries (next_at) where status = 'pending';
create index if not exists deliveries_by_webhook on yardstick.deliveries (webhook_id, id);
create table if not exists yardstick.attempts (delivery_id bigint not null, n int not null, at timestamptz not null, ms real not null, code int, error text, response text, primary key (delivery_id, n));
truncate yardstick.outbox, yardstick.events, yardstick.deliveries, yardstick.attempts;

-- name: fill
-- $1 how many
insert into yardstick.outbox (type, tbl, record) select 'INSERT', 'orders', jsonb_build_object('id', i, 'email', 'user' || i || '@example.com', 'total', 12.5,
  'status', 'paid', 'created_at', now(), 'note', repeat('x', 150)) from generate_series(1, $1::int) i;

-- name: tidy
vacuum analyze yardstick.outbox;

-- name: take
-- $1 how many
with o as (
  delete from yardstick.outbox where id in (select id from yardstick.outbox order by id limit $1 for update skip locked) returning id, type, tbl, record, at
), e as (
  insert into yardstick.events select id, type, tbl, record, at from o
), d as (
  insert into yardstick.deliveries (event_id, webhook_id, status, lease_until) select id, 1, 'leased', now() + interval '60 s' from o returning id, event_id
)
select d.id, o.type, o.tbl, o.record::text as record, o.at from d join o on o.id = d.event_id;

-- name: finish
-- $1 deliveries, $2 statuses of responses
update yardstick.deliveries d set status = 'succeeded', attempts = 1, last_code = x.code, done_at = now(), lease_until = null
from unnest($1::bigint[], $2::int[]) x (id, code) where d.id = x.id;

-- name: clear
truncate yardstick.outbox, yardstick.events, yardstick.deliveries, yardstick.attempts;
