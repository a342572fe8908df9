-- part: member
m.id, m.email, m.name, m.issuer, m.subject, m.invited_at, m.joined_at, m.signed_in_at,
  array(select r.role from tidings.member_roles r where r.member_id = m.id and ($1::text is null or r.group_id = $1) order by r.group_id nulls first) as roles,
  array(select r.group_id from tidings.member_roles r where r.member_id = m.id and ($1::text is null or r.group_id = $1) order by r.group_id nulls first) as groups

-- part: in_group
($1::text is null or exists (select from tidings.member_roles r where r.member_id = m.id and r.group_id = $1))

-- name: list
-- In order of their addresses, each with the roles that whoever asks may see. $1 group that all is about or null, $2 limit, $3 offset
select {member} from tidings.members m where {in_group} order by m.email limit $2 offset $3;

-- name: read
-- $1 group that all is about or null, $2 id
select {member} from tidings.members m where m.id = $2 and {in_group};

-- name: lock
-- The same, to be changed in this transaction. $1 group that all is about or null, $2 id
select {member} from tidings.members m where m.id = $2 and {in_group} for update;

-- name: lock_address
-- Who was invited by an address, to be changed in this transaction. $1 group that all is about or null, $2 address
select {member} from tidings.members m where m.email = $2 for update;

-- name: lock_person
-- Who somebody at the provider is, to be changed in this transaction. $1 null, $2 issuer, $3 subject
select {member} from tidings.members m where m.issuer = $2 and m.subject = $3 for update;

-- name: add
-- Nothing, when there are too many already, or somebody is called so. $1 id, $2 address, $3 now, $4 how many
insert into tidings.members (id, email, invited_at)
select $1, $2, $3 where (select count(*) from tidings.members) < $4 on conflict do nothing returning id;

-- name: put_role
-- In place of the one that they have for the same. $1 member, $2 group or null, $3 role
insert into tidings.member_roles (member_id, group_id, role) values ($1, $2, $3)
on conflict (member_id, coalesce(group_id, '')) do update set role = excluded.role;

-- name: drop_role
-- $1 member, $2 group or null
delete from tidings.member_roles where member_id = $1 and group_id is not distinct from $2;

-- name: join
-- From now on they are this person. $1 id, $2 issuer, $3 subject, $4 now
update tidings.members set issuer = $2, subject = $3, joined_at = $4 where id = $1;

-- name: signed_in
-- $1 id, $2 what they are called, $3 now
update tidings.members set name = $2, signed_in_at = $3 where id = $1;

-- name: remove
-- With their roles, sessions and portal links. $1 id
delete from tidings.members where id = $1;

-- name: end_links
-- The portal links that they made and may make no more. $1 member, $2 the roles that may
delete from tidings.portal_links l where l.member_id = $1 and not exists (
  select from tidings.member_roles r
  where r.member_id = $1 and (r.group_id is null or r.group_id = l.group_id) and r.role = any ($2::text[])
);
