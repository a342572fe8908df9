-- name: add
-- $1 at, $2 group or null, $3 action, $4 who, $5 who's id or null, $6 address, $7 subject's id or null, $8 subject, $9 key or null, $10 its name
insert into tidings.audit (at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: list
-- Newest first. $1 group or null, $2 before or null, $3 how many
select number, at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name from tidings.audit
where ($1::text is null or group_id = $1) and ($2::bigint is null or number < $2) order by number desc limit $3;

-- name: forget
-- What is too old, and of each group what is past so many: whoever is busy forgets their own. $1 from before, $2 how many of a group
delete from tidings.audit where at < $1 or number in (
  select number from (select number, row_number() over (partition by group_id order by number desc) as place from tidings.audit) counted
  where place > $2
);
