-- name: get
-- $1 name
select value from tidings.settings where name = $1;

-- name: make
-- The first process that starts decides. $1 name, $2 value
insert into tidings.settings (name, value) values ($1, $2) on conflict (name) do nothing;

-- name: replace
-- $1 name, $2 value
insert into tidings.settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value;
