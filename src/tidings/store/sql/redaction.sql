-- name: version
select version from tidings.privacy_version;

-- name: moved
-- What processes remember of events is not to be sent any more.
update tidings.privacy_version set version = version + 1;

-- name: all
-- Of all groups.
select * from tidings.redaction_rules order by group_id, created_at, id;

-- name: of_groups
-- $1 groups
select * from tidings.redaction_rules where group_id = any ($1::text[]) order by group_id, created_at, id;

-- name: list
-- Oldest first. $1 group, $2 limit, $3 offset
select * from tidings.redaction_rules where group_id = $1 order by created_at, id limit $2 offset $3;

-- name: get
-- $1 group, $2 id
select * from tidings.redaction_rules where group_id = $1 and id = $2;

-- name: lock
-- $1 group, $2 id
select * from tidings.redaction_rules where group_id = $1 and id = $2 for update;

-- name: lock_group
-- Those who make a rule of a group do so one after the other. $1 group
select from tidings.groups where id = $1 for no key update;

-- name: count
-- $1 group
select count(*) from tidings.redaction_rules where group_id = $1;

-- name: add
-- $1 id, $2 group, $3 name, $4 events, $5 webhook or null, $6 fields, $7 subject, $8 headers, $9 responses, $10 resend hours, $11 payload hours or null, $12 now
insert into tidings.redaction_rules (id, group_id, name, events, webhook_id, fields, subject, headers, responses, resend_hours, payload_hours,
  created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12);

-- name: change
-- As above.
update tidings.redaction_rules set name = $3, events = $4, webhook_id = $5, fields = $6, subject = $7, headers = $8, responses = $9,
  resend_hours = $10, payload_hours = $11, updated_at = $12 where group_id = $2 and id = $1;

-- name: delete
-- $1 group, $2 id
delete from tidings.redaction_rules where group_id = $1 and id = $2 returning name;

-- name: marks
-- What rules did to events, and their types. $1 ids, $2 smallest, $3 largest
select id, type, redaction from tidings.events where id = any ($1::uuid[]) and id >= $2 and id <= $3;
