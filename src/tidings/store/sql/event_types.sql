-- name: put
-- $1 group, $2 name, $3 description, $4 schema, $5 example
insert into tidings.event_types (group_id, name, description, json_schema, example) values ($1, $2, $3, $4, $5)
on conflict (group_id, name) do update set description = $3, json_schema = $4, example = $5, updated_at = now()
returning name, description, json_schema, example, updated_at;

-- name: get
-- $1 group, $2 name
select name, description, json_schema, example, updated_at from tidings.event_types where group_id = $1 and name = $2;

-- name: list
-- In order of their names. $1 group
select name, description, json_schema, example, updated_at from tidings.event_types where group_id = $1 order by name;

-- name: delete
-- $1 group, $2 name
delete from tidings.event_types where group_id = $1 and name = $2 returning 1;

-- name: schemas
-- Those of the types that have one, and what tells it from others (`commit` in outbox.sql). $1 groups, $2 a name of each
select t.group_id, t.name, t.json_schema, t.xmin::text::bigint as schema_version
from unnest($1::text[], $2::text[]) as r (group_id, name)
join tidings.event_types t on t.group_id = r.group_id and t.name = r.name
where t.json_schema is not null;

-- name: seen
-- The types that a group's history holds, the last ones first, so many. $1 group, $2 limit, $3 offset
select type, last_day from tidings.event_kinds where group_id = $1 order by last_day desc, type limit $2 offset $3;
