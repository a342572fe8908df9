-- part: beginning
-- What it was begun with, as far as that is good now: a key as it is or as it was; a link whose maker may still make it. $2 now,
-- $4 roles that make links
from tidings.sessions s
left join tidings.api_keys k on k.id = s.key_id and k.revoked_at is null and (k.expires_at is null or k.expires_at > $2)
  and (k.group_id is null or k.group_id = s.group_id) -- a group that is deleted is left by the sessions that show it
  and (s.key_hash = encode(k.token_hash, 'hex') or (s.key_hash = encode(k.previous_hash, 'hex') and k.previous_until > $2))
left join tidings.members m on m.id = s.member_id
left join tidings.portal_links l on l.id = s.link_id and tidings.maker_may(l, $2, $4::text[])

-- part: is_good
(k.id is not null or m.id is not null) and (s.link_id is null or l.id is not null) and s.ends_at > $2 and s.seen_at > $3

-- part: whose
k.id as key_id, k.name as key_name, k.scopes, k.group_id as bound_to, m.id as member_id, m.email as member_email,
  array(select r.role from tidings.member_roles r where r.member_id = m.id order by r.group_id nulls first) as roles,
  array(select r.group_id from tidings.member_roles r where r.member_id = m.id order by r.group_id nulls first) as groups

-- name: add
-- $1 id, $2 token_hash, $3 key_hash or null for that of the key as it is, $4 group_id, $5 browser, $6 address, $7 now, $8 ends_at, $9 link or null,
-- $10 key or null, $11 member or null
insert into tidings.sessions (id, token_hash, key_hash, group_id, browser, address, created_at, seen_at, ends_at, link_id, key_id, member_id)
values ($1, $2, coalesce($3, (select encode(token_hash, 'hex') from tidings.api_keys where id = $10)), $4, $5, $6, $7, $7, $8, $9, $10, $11);

-- name: keep_newest
-- Ends the oldest that keys began, so that no more than so many are left: neither customers nor members keep them out. $1 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions where link_id is null and member_id is null order by created_at desc, id desc offset $1
);

-- name: keep_newest_of_member
-- The same of one member's. $1 member, $2 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions where member_id = $1 order by created_at desc, id desc offset $2
);

-- name: keep_newest_of_link
-- The same of the customers' sessions of a link. $1 link, $2 how many
delete from tidings.sessions where id in (
  select id from tidings.sessions where link_id = $1 order by created_at desc, id desc offset $2
);

-- name: find
-- One whose time is not over, with what it was begun with. $1 token_hash, $2 now, $3 seen after, $4 roles that make links
select s.id, s.group_id, s.browser, s.address, s.created_at, s.seen_at, s.ends_at, s.link_id, l.brand, l.origins, l.access, {whose}
{beginning}
where s.token_hash = $1 and {is_good};

-- name: see
-- $1 id, $2 now
update tidings.sessions set seen_at = $2 where id = $1;

-- name: show_group
-- Of an operator's; a customer's shows its link's group alone. $1 id, $2 group_id
update tidings.sessions set group_id = $2 where id = $1 and link_id is null;

-- name: list
-- Those of people who signed in, whose time is not over, newest first. $1 limit, $2 now, $3 seen after, $4 roles that make links, $5 offset,
-- $6 only this key's or null, $7 only this member's or null
select s.id, s.group_id, s.browser, s.address, s.created_at, s.seen_at, s.ends_at, {whose}
{beginning}
where s.link_id is null and {is_good} and ($6::uuid is null or s.key_id = $6) and ($7::uuid is null or s.member_id = $7)
order by s.created_at desc, s.id desc limit $1 offset $5;

-- part: ended
id, browser, group_id, link_id, key_id, (select k.name from tidings.api_keys k where k.id = key_id) as key_name,
  member_id, (select m.email from tidings.members m where m.id = member_id) as member_email

-- name: end
-- $1 id, $2 only this key's or null, $3 only this member's or null
delete from tidings.sessions where id = $1 and ($2::uuid is null or key_id = $2) and ($3::uuid is null or member_id = $3) returning {ended};

-- name: end_token
-- $1 token_hash
delete from tidings.sessions where token_hash = $1 returning {ended};

-- name: end_others
-- Customers' go on: they end with their links. $1 id of the one that stays or null, $2 only this key's or null, $3 only this member's or null
delete from tidings.sessions where id is distinct from $1 and link_id is null
  and ($2::uuid is null or key_id = $2) and ($3::uuid is null or member_id = $3) returning {ended};

-- name: forget
-- Those that ended or were not seen for long. $1 now, $2 seen before
delete from tidings.sessions where ends_at <= $1 or seen_at <= $2;
