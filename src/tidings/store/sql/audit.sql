-- name: add
-- $1 at, $2 group or null, $3 action, $4 who, $5 who's id or null, $6 address, $7 subject's id or null, $8 subject, $9 key or null, $10 its name
insert into tidings.audit (at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: list
-- Newest first. $1 group or null, $2 before or null, $3 how many
select number, at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name from tidings.audit
where ($1::text is null or group_id = $1) and ($2::bigint is null or number < $2) order by number desc limit $3;

-- name: forget_old
-- The oldest first, so many at a time. $1 from before, $2 how many
delete from tidings.audit where number in (select number from tidings.audit where at < $1 order by at limit $2);

-- name: busy
-- The groups of the newest entries, those with most of them first: nobody else can have become too much. $1 how many entries, $2 how many groups
select group_id from (select group_id from tidings.audit order by number desc limit $1) newest group by group_id order by count(*) desc limit $2;

-- name: forget_of_group
-- What is past so many of a group: whoever is busy forgets their own. $1 group, $2 how many stay, $3 how many go at a time
delete from tidings.audit where number in (select number from tidings.audit where group_id = $1 order by number desc offset $2 limit $3);

-- name: forget_of_none
-- The same of what is about no group; in words of its own, since an index finds no null by a parameter. $1 how many stay, $2 how many go at a time
delete from tidings.audit where number in (select number from tidings.audit where group_id is null order by number desc offset $1 limit $2);
