-- name: get
-- $1 name
select value from tidings.settings where name = $1;

-- name: make
-- The first process that starts decides. $1 name, $2 value
insert into tidings.settings (name, value) values ($1, $2) on conflict (name) do nothing;

-- name: replace
-- $1 name, $2 value
insert into tidings.settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value;

-- name: server
-- Which database this is.
select current_database() as name, current_setting('server_version') as version, clock_timestamp() as at,
  (select max(number) from tidings.migrations) as schema_number;
