-- part: entry
a.number, a.at, a.group_id, a.action, a.who, a.who_id, a.address, a.subject_id, a.subject, a.key_id, a.key_name, a.changes

-- part: window
-- So many entries along one index, the newest first: what of them fits, and how far they go. The planner is left no choice of index.
-- $1 behind this number, $2 before this one, $3 how many are looked at, $4 how many are wanted, $5 group or null, $6 who or null, $7 who's id or
-- null, $8 key or null, $9 its name or null, $10 actions, $11 beginnings of actions (%), $12 subject's id or null, $13 subject or null, $14 address
-- or null, $15 since or null, $16 until or null; an action that is empty: any
select (select count(*) from walked) as seen, (select min(number) from walked) as reached, array(
  select number from walked
  where ($5::text is null or group_id = $5) and ($6::text is null or who = $6) and ($7::uuid is null or who_id = $7)
    and ($8::uuid is null or key_id = $8) and ($9::text is null or key_name = $9)
    and (cardinality($10::text[] || $11::text[]) = 0 or action = any($10) or action like any($11))
    and ($12::uuid is null or subject_id = $12) and ($13::text is null or subject = $13) and ($14::text is null or address = $14)
    and ($15::timestamptz is null or at >= $15) and ($16::timestamptz is null or at < $16)
  order by number desc limit $4
) as found

-- part: columns
select number, at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name from tidings.audit

-- name: add
-- $1 at, $2 group or null, $3 action, $4 who, $5 who's id or null, $6 address, $7 subject's id or null, $8 subject, $9 key or null, $10 its name,
-- $11 changes as JSON or null, $12 stamp
insert into tidings.audit (at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name, changes, stamp)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: by_all
with walked as materialized ({columns} where number > $1 and number < $2 order by number desc limit $3) {window};

-- Those below compare rows, and are in the order of rows, for no index but their own to serve: there are few groups, keys and actions and many
-- entries of most, so the planner takes it for cheaper to walk all entries, newest first, than those of one; of one that did nothing that is all.

-- name: by_group_id
with walked as materialized ({columns}
  where (group_id, number) > ($5, $1) and (group_id, number) < ($5, $2) order by group_id desc, number desc limit $3) {window};

-- name: by_subject_id
with walked as materialized ({columns}
  where subject_id is not null and (subject_id, number) > ($12, $1) and (subject_id, number) < ($12, $2) order by subject_id desc, number desc limit $3) {window};

-- name: by_who_id
with walked as materialized ({columns}
  where who_id is not null and (who_id, number) > ($7, $1) and (who_id, number) < ($7, $2) order by who_id desc, number desc limit $3) {window};

-- name: by_key_id
with walked as materialized ({columns}
  where key_id is not null and (key_id, number) > ($8, $1) and (key_id, number) < ($8, $2) order by key_id desc, number desc limit $3) {window};

-- name: by_key_name
with walked as materialized ({columns}
  where key_name <> '' and (key_name, number) > ($9, $1) and (key_name, number) < ($9, $2) order by key_name desc, number desc limit $3) {window};

-- name: by_subject
with walked as materialized ({columns}
  where subject <> '' and (subject, number) > ($13, $1) and (subject, number) < ($13, $2) order by subject desc, number desc limit $3) {window};

-- name: by_address
with walked as materialized ({columns}
  where address <> '' and (address, number) > ($14, $1) and (address, number) < ($14, $2) order by address desc, number desc limit $3) {window};

-- name: by_action
with walked as materialized ({columns}
  where (action, number) > (($10::text[])[1], $1) and (action, number) < (($10::text[])[1], $2) order by action desc, number desc limit $3) {window};

-- name: around
-- Numbers between which all entries of a time are: they are given a moment before an entry is committed, by clocks that may be apart; an hour
-- is room for both. $1 since or null, $2 until or null
select coalesce((select number from tidings.audit where at < $1::timestamptz - interval '1 hour' order by at desc limit 1), 0) as low,
  (select number from tidings.audit where at >= $2::timestamptz + interval '1 hour' order by at limit 1) as high;

-- name: entries
-- $1 numbers
select {entry} from tidings.audit a where a.number = any($1::bigint[]) order by a.number desc;
