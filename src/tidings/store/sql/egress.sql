-- name: get_narrowing
-- $1 group
select narrowing from tidings.group_egress where group_id = $1;

-- name: list_narrowings
-- In order of their groups. $1 behind this group, $2 how many
select group_id, narrowing, changed_at from tidings.group_egress where group_id > $1 order by group_id limit $2;

-- name: put_narrowing
-- $1 group, $2 narrowing, $3 now
insert into tidings.group_egress (group_id, narrowing, changed_at) values ($1, $2::jsonb, $3)
on conflict (group_id) do update set narrowing = excluded.narrowing, changed_at = excluded.changed_at;

-- name: delete_narrowing
-- $1 group
delete from tidings.group_egress where group_id = $1;

-- name: hold_routes
-- Waits for changes of webhooks that are under way, so that the next statement sees what they made. From here on every change of a webhook
-- is held back: what follows is the end of the transaction.
select from tidings.routes_version for update;

-- name: tell_of_group
-- Tells workers that every webhook of a group is to be read anew. What is claimed after the commit is sent by what holds then. $1 group
with wanted as (
  select id, row_number() over (order by id) as place from tidings.webhooks where group_id = $1
), counted as (
  select count(*) as many from wanted
), next as (
  update tidings.routes_version set version = version + counted.many from counted where counted.many > 0 returning version - counted.many as version
)
insert into tidings.webhook_changes (version, webhook_id) select next.version + wanted.place, wanted.id from next, wanted;
