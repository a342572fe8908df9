-- part: key
k.id, k.name, k.group_id, k.scopes, k.token_hash, k.previous_hash, k.previous_until, k.created_at, k.rotated_at, k.expires_at, k.revoked_at

-- name: versions
-- How often keys were changed, and limits of groups.
select version, limits_version from tidings.api_key_changes;

-- name: find
-- One key, and how often keys were changed, as of one moment. $1 id
select c.version, {key} from tidings.api_key_changes c left join tidings.api_keys k on k.id = $1;

-- name: get
-- One key for whoever may see it, to be changed in this transaction. $1 id, $2 group that all is about or null
select {key} from tidings.api_keys k where k.id = $1 and ($2::text is null or k.group_id = $2) for no key update;

-- name: read
-- The same to look at, with when it was last used. $1 id, $2 group that all is about or null
select {key}, u.used_at, u.address from tidings.api_keys k left join tidings.api_key_uses u on u.key_id = k.id
where k.id = $1 and ($2::text is null or k.group_id = $2);

-- name: list
-- Newest first. $1 group that all is about or null, $2 good ones that stop before this or null, $3 good ones not used from then on or null, $4 now,
-- $5 limit, $6 offset
select {key}, u.used_at, u.address from tidings.api_keys k left join tidings.api_key_uses u on u.key_id = k.id
where ($1::text is null or k.group_id = $1)
  and ($2::timestamptz is null or k.expires_at < $2) and ($3::timestamptz is null or coalesce(u.used_at, k.created_at) < $3)
  and (($2::timestamptz is null and $3::timestamptz is null)
    or (k.revoked_at is null and (k.expires_at is null or k.expires_at > $4::timestamptz)))
order by k.created_at desc, k.id desc limit $5 offset $6;

-- name: add
-- Nothing, when there are too many already. $1 id, $2 name, $3 group or null, $4 scopes, $5 hash, $6 now, $7 expires_at or null, $8 how many,
-- $9 how many of a group
insert into tidings.api_keys (id, name, group_id, scopes, token_hash, created_at, expires_at)
select $1, $2, $3, $4, $5, $6, $7 where (select count(*) from tidings.api_keys) < $8
  and (select count(*) from tidings.api_keys where group_id = $3) < $9
returning id;

-- name: rename
-- $1 id, $2 name
update tidings.api_keys set name = $2 where id = $1;

-- name: rotate
-- $1 id, $2 hash, $3 now, $4 until when the one before is good, $5 expires_at or null
update tidings.api_keys
set token_hash = $2, previous_hash = token_hash, previous_until = $4, rotated_at = $3, expires_at = $5 where id = $1;

-- name: revoke
-- With the sessions that were begun with it, and so the streams of their pages, and the portal links that it made. $1 id, $2 now
with ended as (delete from tidings.sessions where key_id = $1), links as (delete from tidings.portal_links where key_id = $1)
update tidings.api_keys set revoked_at = $2 where id = $1;

-- name: put
-- The key of the settings, as they say it; with another one the links end that the one before made. $1 id, $2 name, $3 scopes, $4 hash
insert into tidings.api_keys as k (id, name, scopes, token_hash, created_at) values ($1, $2, $3, $4, now())
on conflict (id) do update set token_hash = excluded.token_hash, rotated_at = now() where k.token_hash <> excluded.token_hash;

-- name: use
-- Of keys that were taken away meanwhile nothing is kept. $1 ids, $2 times, $3 addresses, $4 seconds that they are apart at least
insert into tidings.api_key_uses as u (key_id, used_at, address)
select n.key_id, n.used_at, n.address from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as n (key_id, used_at, address)
join tidings.api_keys k on k.id = n.key_id order by n.key_id
on conflict (key_id) do update set used_at = excluded.used_at, address = excluded.address
where u.used_at < excluded.used_at - make_interval(secs => $4);

-- name: forget
-- Those that have opened nothing for long. $1 over before
delete from tidings.api_keys where expires_at <= $1 or revoked_at <= $1;
