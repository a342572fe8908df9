-- What there is in the database of somebody who comes from Hasura, as far as the page asks for it.
create schema hdb_catalog;
create table hdb_catalog.event_log (
  id text primary key default gen_random_uuid()::text, schema_name text not null, table_name text not null, trigger_name text not null,
  payload jsonb not null, delivered boolean not null default false, error boolean not null default false, tries integer not null default 0,
  created_at timestamp default now(), locked timestamptz, next_retry_at timestamp, archived boolean not null default false
);
create table orders (id int primary key, status text, card_number text);
