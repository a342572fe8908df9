-- name: add
-- $1 id, $2 token_hash, $3 key_hash, $4 group_id, $5 browser, $6 address, $7 now, $8 ends_at, $9 link or null
insert into tidings.sessions (id, token_hash, key_hash, group_id, browser, address, created_at, seen_at, ends_at, link_id)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9);

-- name: keep_newest
-- Ends the oldest operators', so that no more than so many are left: customers keep nobody out. $1 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions where link_id is null order by created_at desc, id desc offset $1
);

-- name: keep_newest_of_link
-- The same of the customers' sessions of a link. $1 link, $2 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions where link_id = $1 order by created_at desc, id desc offset $2
);

-- name: find
-- One whose time is not over, with the link it was begun with. $1 token_hash, $2 key_hash, $3 now, $4 seen after
select s.id, s.group_id, s.browser, s.address, s.created_at, s.seen_at, s.ends_at, s.link_id, l.brand, l.origins, l.access
from tidings.sessions s left join tidings.portal_links l on l.id = s.link_id
where s.token_hash = $1 and s.key_hash = $2 and s.ends_at > $3 and s.seen_at > $4;

-- name: see
-- $1 id, $2 now
update tidings.sessions set seen_at = $2 where id = $1;

-- name: show_group
-- Of an operator's; a customer's shows its link's group alone. $1 id, $2 group_id
update tidings.sessions set group_id = $2 where id = $1 and link_id is null;

-- name: list
-- The operators' whose time is not over, newest first. $1 key_hash, $2 now, $3 seen after, $4 limit
select id, group_id, browser, address, created_at, seen_at, ends_at from tidings.sessions
where link_id is null and key_hash = $1 and ends_at > $2 and seen_at > $3 order by created_at desc, id desc limit $4;

-- name: end
-- $1 id
delete from tidings.sessions where id = $1 returning id, browser, group_id, link_id;

-- name: end_token
-- $1 token_hash
delete from tidings.sessions where token_hash = $1 returning id, browser, group_id, link_id;

-- name: end_others
-- The operators' alone. $1 id of the one that stays
delete from tidings.sessions where id <> $1 and link_id is null returning id, browser, group_id, link_id;

-- name: forget
-- Those that ended or were not seen for long. $1 now, $2 seen before
delete from tidings.sessions where ends_at <= $1 or seen_at <= $2;
