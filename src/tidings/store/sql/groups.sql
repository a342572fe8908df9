-- name: get
-- $1 id
select id, created_at from tidings.groups where id = $1;

-- name: list
-- In order of their ids. $1 limit, $2 offset, $3 only those behind this id, which need not be there; '' for all
select id, created_at from tidings.groups where id > $3 order by id limit $1 offset $2;

-- name: add
-- Those that are there stay as they are. $1 ids
insert into tidings.groups (id) select unnest($1::text[]) on conflict do nothing returning id;
