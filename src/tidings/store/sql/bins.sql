-- part: columns
b.id, b.group_id, b.name, b.answer_status, b.answer_delay_ms, b.answer_body, b.answer_content_type, b.profile, b.signature,
b.secret, b.webhook_id, b.request_count, b.refused_count, b.created_at, b.updated_at, b.used_at

-- name: lock_group
-- One makes a bin at a time, so that they can be counted. $1 group_id
select id from tidings.groups where id = $1 for no key update;

-- name: count
-- $1 group_id, $2 how many are counted at most
select count(*) from (select 1 from tidings.bins where group_id = $1 limit $2) counted;

-- name: insert
-- $1 id, $2 group_id, $3 name, $4 status, $5 delay_ms, $6 body, $7 content_type, $8 profile, $9 signature, $10 secret, $11 webhook_id, $12 now
insert into tidings.bins (id, group_id, name, answer_status, answer_delay_ms, answer_body, answer_content_type, profile, signature,
  secret, webhook_id, created_at, updated_at, used_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12);

-- name: update
-- $1 id, $2 name, $3 status, $4 delay_ms, $5 body, $6 content_type, $7 profile, $8 signature, $9 secret, $10 webhook_id, $11 now
update tidings.bins set name = $2, answer_status = $3, answer_delay_ms = $4, answer_body = $5, answer_content_type = $6,
  profile = $7, signature = $8, secret = $9, webhook_id = $10, updated_at = $11, used_at = greatest(used_at, $11)
where id = $1;

-- name: get
-- $1 group_id, $2 id
select {columns} from tidings.bins b where b.group_id = $1 and b.id = $2;

-- name: lock
-- $1 group_id, $2 id
select {columns} from tidings.bins b where b.group_id = $1 and b.id = $2 for update;

-- name: several
-- Of whichever group: what was sent to these. $1 ids
select {columns} from tidings.bins b where b.id = any ($1::uuid[]);

-- name: list
-- Newest first. $1 group_id, $2 limit, $3 offset
select {columns} from tidings.bins b where b.group_id = $1 order by b.created_at desc, b.id desc limit $2 offset $3;

-- name: delete
-- What came to it goes with it. $1 group_id, $2 id
delete from tidings.bins where group_id = $1 and id = $2 returning name;

-- name: count_requests
-- Gives numbers to what came to bins, in the order of their ids, so that two of these never wait for each other in a circle. One that was
-- deleted meanwhile is missing in the answer. $1 ids in order, $2 how many came, $3 how many were refused before, $4 now
update tidings.bins b set request_count = b.request_count + c.came, refused_count = b.refused_count + c.refused,
  used_at = greatest(b.used_at, $4)
from (
  select i.id, i.came, i.refused from unnest($1::uuid[], $2::integer[], $3::integer[]) i (id, came, refused)
  join (select id from tidings.bins where id = any ($1::uuid[]) order by id for no key update) locked on locked.id = i.id
) c where b.id = c.id returning b.id, b.request_count;

-- name: add_requests
-- $1 bin_ids, $2 numbers, $3 times, $4 methods, $5 paths, $6 headers, $7 bodies, $8 body_bytes, $9 is_whole, $10 kept_bytes, $11 addresses, $12 statuses, $13 verdicts
insert into tidings.bin_requests (bin_id, number, received_at, method, path, headers, body, body_bytes, is_whole, kept_bytes, address,
  status, verdict)
select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::integer[],
  $9::boolean[], $10::integer[], $11::text[], $12::smallint[], $13::text[]);

-- name: trim
-- Takes away what a bin has more than it keeps. $1 bin_id, $2 requests, $3 bytes
delete from tidings.bin_requests r using (
  select number, row_number() over newest as place, sum(kept_bytes) over newest as bytes from tidings.bin_requests
  where bin_id = $1 window newest as (order by number desc)
) old where r.bin_id = $1 and r.number = old.number and (old.place > $2 or old.bytes > $3);

-- part: summary
r.number, r.received_at, r.method, r.path, r.body_bytes, r.is_whole, r.address, r.status, r.verdict

-- name: list_before
-- Newest first, older than a number. $1 bin_id, $2 number, $3 not older than, $4 limit, $5 with bodies
select {summary}, r.headers, case when $5::boolean then r.body else '' end as body from tidings.bin_requests r where r.bin_id = $1 and r.number < $2 and r.received_at > $3
order by r.number desc limit $4;

-- name: list_after
-- Oldest first, newer than a number: for those who follow. $1 bin_id, $2 number, $3 not older than, $4 limit, $5 with bodies
select {summary}, r.headers, case when $5::boolean then r.body else '' end as body from tidings.bin_requests r where r.bin_id = $1 and r.number > $2 and r.received_at > $3
order by r.number limit $4;

-- name: get_request
-- $1 bin_id, $2 number, $3 not older than
select {summary}, r.headers, r.body from tidings.bin_requests r where r.bin_id = $1 and r.number = $2 and r.received_at > $3;

-- name: clear
-- $1 bin_id
delete from tidings.bin_requests where bin_id = $1;

-- name: counts
-- How many came to each, for those who look. $1 ids
select id, group_id, request_count from tidings.bins where id = any ($1::uuid[]);

-- name: forget_requests
-- Those that are older than they are kept, some at a time. $1 older than, $2 how many
delete from tidings.bin_requests where ctid = any (array(
  select ctid from tidings.bin_requests where received_at <= $1 order by received_at limit $2
)) and received_at <= $1;

-- name: forget_bins
-- Those that nothing came to for long. What they keep is older than that and gone already. $1 unused since, $2 how many
delete from tidings.bins where id in (select id from tidings.bins where used_at <= $1 order by used_at limit $2 for update skip locked);
