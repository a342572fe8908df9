-- name: lock
select pg_advisory_xact_lock(7413201, 0);

-- name: prepare
create schema if not exists tidings;
create table if not exists tidings.migrations (
  number integer primary key,
  name text not null,
  applied_at timestamptz not null default now()
);

-- name: applied
select number from tidings.migrations;

-- name: record
-- $1 number, $2 name
insert into tidings.migrations (number, name) values ($1, $2);
