-- name: add
-- $1 id, $2 token_hash, $3 group_id, $4 brand, $5 origins, $6 now, $7 ends_at, $8 access, $9 key or null, $10 member or null, $11 made by
insert into tidings.portal_links (id, token_hash, group_id, brand, origins, created_at, ends_at, access, key_id, member_id, made_by)
values ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10, $11);

-- name: keep_newest
-- Ends the oldest, so that no more than so many are left. $1 how many
delete from tidings.portal_links where id in (
  select id from tidings.portal_links order by created_at desc, id desc offset $1
);

-- name: find
-- One whose time is not over, and whose maker may still make it. $1 token_hash, $2 now, $3 roles that make links
select l.id, l.group_id, l.brand, l.origins, l.created_at, l.ends_at, l.access, l.made_by, 0 as session_count from tidings.portal_links l
where l.token_hash = $1 and l.ends_at > $2 and tidings.maker_may(l, $2, $3);

-- name: list
-- Those of a group that are good, newest first, with how many browsers they are open in. $1 group_id, $2 now, $3 limit, $4 offset,
-- $5 roles that make links
select l.id, l.group_id, l.brand, l.origins, l.created_at, l.ends_at, l.access, l.made_by,
  (select count(*) from tidings.sessions s where s.link_id = l.id)::integer as session_count
from tidings.portal_links l where l.group_id = $1 and l.ends_at > $2 and tidings.maker_may(l, $2, $5)
order by l.created_at desc, l.id desc limit $3 offset $4;

-- name: end
-- The sessions that were begun with it end too. $1 id, $2 group_id
delete from tidings.portal_links where id = $1 and group_id = $2 returning id;

-- name: forget
-- Those whose time is over. $1 now
delete from tidings.portal_links where ends_at <= $1;
