-- name: add
-- $1 id, $2 token_hash, $3 key_hash, $4 group_id, $5 browser, $6 address, $7 now, $8 ends_at
insert into tidings.sessions (id, token_hash, key_hash, group_id, browser, address, created_at, seen_at, ends_at)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8);

-- name: keep_newest
-- Ends the oldest, so that no more than so many are left. $1 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions order by created_at desc, id desc offset $1
);

-- name: find
-- One whose time is not over. $1 token_hash, $2 key_hash, $3 now, $4 seen after
select id, group_id, browser, address, created_at, seen_at, ends_at from tidings.sessions
where token_hash = $1 and key_hash = $2 and ends_at > $3 and seen_at > $4;

-- name: see
-- $1 id, $2 now
update tidings.sessions set seen_at = $2 where id = $1;

-- name: show_group
-- $1 id, $2 group_id
update tidings.sessions set group_id = $2 where id = $1;

-- name: list
-- Those whose time is not over, newest first. $1 key_hash, $2 now, $3 seen after, $4 limit
select id, group_id, browser, address, created_at, seen_at, ends_at from tidings.sessions
where key_hash = $1 and ends_at > $2 and seen_at > $3 order by created_at desc, id desc limit $4;

-- name: end
-- $1 id
delete from tidings.sessions where id = $1 returning id;

-- name: end_token
-- $1 token_hash
delete from tidings.sessions where token_hash = $1;

-- name: end_others
-- $1 id of the one that stays
delete from tidings.sessions where id <> $1;

-- name: forget
-- Those that ended or were not seen for long. $1 now, $2 seen before
delete from tidings.sessions where ends_at <= $1 or seen_at <= $2;
