-- name: insert
-- $1 id, $2 group, $3 name, $4 platform, $5 secret, $6 settings, $7 now
insert into tidings.integrations (id, group_id, name, platform, secret, settings, enabled, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6::jsonb, true, $7, $7);

-- name: update
-- $1 id, $2 secret, $3 settings, $4 enabled, $5 now
update tidings.integrations set secret = $2, settings = $3::jsonb, enabled = $4, updated_at = $5 where id = $1;

-- name: delete
-- $1 id
delete from tidings.integrations where id = $1;

-- name: get
-- $1 name
select * from tidings.integrations where name = $1;

-- name: list
-- In order of their names. $1 group, $2 limit, $3 offset
select * from tidings.integrations where group_id = $1 order by name limit $2 offset $3;

-- name: remember_notice
-- Nothing comes back when its id or its content was known. $1 integration, $2 notice, $3 digest, $4 now, $5 type
insert into tidings.integration_notices (integration_id, notice_id, digest, received_at, type) values ($1, $2, $3, $4, $5)
on conflict do nothing returning 1;

-- name: id_of_digest
-- Under which id the same notice came before. $1 integration, $2 digest
select notice_id from tidings.integration_notices where integration_id = $1 and digest = $2;

-- name: forget_notices
-- $1 older than
delete from tidings.integration_notices where received_at < $1;

-- name: lock_object
-- Notices of one object are worked on one after the other, its first one too, when there is no row to lock yet.
-- $1 integration, $2 type, $3 id
select pg_advisory_xact_lock(7413203, hashtext(concat_ws(' ', $1::uuid::text, $2::text, $3::text)));

-- name: get_object
-- $1 integration, $2 type, $3 id
select version::float8 as version, data from tidings.integration_objects where integration_id = $1 and object_type = $2 and object_id = $3;

-- name: put_object
-- $1 integration, $2 type, $3 id, $4 version, $5 data, $6 now
insert into tidings.integration_objects (integration_id, object_type, object_id, version, data, updated_at)
values ($1, $2, $3, $4::float8::numeric, $5, $6)
on conflict (integration_id, object_type, object_id) do update set version = excluded.version, data = excluded.data, updated_at = excluded.updated_at;

-- name: list_objects
-- $1 integration, $2 type or null, $3 limit, $4 offset
select object_type, object_id, version::float8 as version, data, updated_at from tidings.integration_objects
where integration_id = $1 and data is not null and ($2::text is null or object_type = $2)
order by object_type, object_id limit $3 offset $4;

-- name: object_ids
-- Of objects that are not deleted. $1 integration, $2 types
select object_type, object_id from tidings.integration_objects
where integration_id = $1 and data is not null and object_type = any ($2::text[]);

-- name: list_notices
-- The last ones, newest first. $1 integration, $2 limit
select notice_id, type, received_at from tidings.integration_notices where integration_id = $1 order by received_at desc limit $2;

-- name: count_refusals
-- $1 integrations, $2 reasons, $3 how many of each, $4 what the last was told, $5 first at, $6 last at
insert into tidings.integration_refusals (integration_id, reason, refused_count, said, first_at, last_at)
select r.integration_id, r.reason, r.refused_count, r.said, r.first_at, r.last_at
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
  as r (integration_id, reason, refused_count, said, first_at, last_at)
where exists (select from tidings.integrations i where i.id = r.integration_id)
order by r.integration_id, r.reason  -- in one order, so that two processes cannot wait for each other
on conflict (integration_id, reason) do update set refused_count = integration_refusals.refused_count + excluded.refused_count,
  said = excluded.said, last_at = excluded.last_at;

-- name: list_refusals
-- By reason, the last one first. $1 integration
select reason, refused_count, said, first_at, last_at from tidings.integration_refusals where integration_id = $1 order by last_at desc;
