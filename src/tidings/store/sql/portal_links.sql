-- name: add
-- $1 id, $2 token_hash, $3 group_id, $4 brand, $5 origins, $6 now, $7 ends_at, $8 access
insert into tidings.portal_links (id, token_hash, group_id, brand, origins, created_at, ends_at, access)
values ($1, $2, $3, $4::jsonb, $5, $6, $7, $8);

-- name: keep_newest
-- Ends the oldest, so that no more than so many are left. $1 how many
delete from tidings.portal_links where id in (
  select id from tidings.portal_links order by created_at desc, id desc offset $1
);

-- name: find
-- One whose time is not over. $1 token_hash, $2 now
select id, group_id, brand, origins, created_at, ends_at, access, 0 as session_count from tidings.portal_links
where token_hash = $1 and ends_at > $2;

-- name: list
-- Those of a group whose time is not over, newest first, with how many browsers they are open in. $1 group_id, $2 now, $3 limit, $4 offset
select l.id, l.group_id, l.brand, l.origins, l.created_at, l.ends_at, l.access,
  (select count(*) from tidings.sessions s where s.link_id = l.id)::integer as session_count
from tidings.portal_links l where l.group_id = $1 and l.ends_at > $2 order by l.created_at desc, l.id desc limit $3 offset $4;

-- name: end
-- The sessions that were begun with it end too. $1 id, $2 group_id
delete from tidings.portal_links where id = $1 and group_id = $2 returning id;

-- name: forget
-- Those whose time is over. $1 now
delete from tidings.portal_links where ends_at <= $1;
