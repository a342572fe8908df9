-- name: head
-- Where the chain begins and ends, as whoever looks at it finds it.
select sealed_key, place, hash, anchor_place, anchor_hash, unstamped_places, unstamped_until, mac from tidings.audit_head;

-- name: lock_head
-- The same for whoever moves it; nothing, when somebody else does so now.
select sealed_key, place, hash, anchor_place, anchor_hash, unstamped_places, unstamped_until, mac from tidings.audit_head for update skip locked;

-- name: wait_for_head
-- The same, after whoever has it.
select sealed_key, place, hash, anchor_place, anchor_hash, unstamped_places, unstamped_until, mac from tidings.audit_head for update;

-- name: now
select now();

-- name: set_key
-- $1 the key, encrypted
update tidings.audit_head set sealed_key = $1;

-- name: move
-- $1 place, $2 hash, $3 anchor's place, $4 anchor's hash, $5 unstamped places, $6 unstamped until or null, $7 mac
update tidings.audit_head set place = $1, hash = $2, anchor_place = $3, anchor_hash = $4, unstamped_places = $5, unstamped_until = $6, mac = $7;

-- name: has_pending
select exists (select from tidings.audit_pending);

-- name: count_pending
-- So many at most: $1
select count(*) from (select from tidings.audit_pending limit $1) p;

-- name: take_pending
-- Entries that wait to be sealed, in order of their numbers, and no longer: only whoever holds the head does this. $1 how many
with taken as (
  delete from tidings.audit_pending where number in (select number from tidings.audit_pending order by number limit $1) returning number
)
select t.number as pending, a.* from taken t left join tidings.audit a on a.number = t.number order by t.number;

-- name: add
-- $1 places, $2 numbers, $3 when, $4 hashes
insert into tidings.audit_chain (place, number, sealed_at, hash)
select p.place, p.number, $3, p.hash from unnest($1::bigint[], $2::bigint[], $4::bytea[]) as p (place, number, hash);

-- name: links
-- A stretch of the chain with its entries. $1 behind this place, $2 up to this one, $3 how many
select c.place, c.number as sealed_number, c.sealed_at, c.hash, a.* from tidings.audit_chain c left join tidings.audit a on a.number = c.number
where c.place > $1 and c.place <= $2 order by c.place limit $3;

-- name: seal_at
-- $1 place
select place, number, sealed_at, hash from tidings.audit_chain where place = $1;

-- name: last_seal
select place, number, sealed_at, hash from tidings.audit_chain order by place desc limit 1;

-- name: outside
-- The first entry between two numbers that has no seal and does not wait for one. $1 behind this one, $2 up to this one, or null: all
select a.number from tidings.audit a where a.number > $1 and ($2::bigint is null or a.number <= $2)
  and not exists (select from tidings.audit_chain c where c.number = a.number and c.number > $1)
  and not exists (select from tidings.audit_pending p where p.number = a.number and p.number > $1)
order by a.number limit 1;

-- name: oldest
-- $1 behind this place, $2 how many
select place, number, sealed_at, hash from tidings.audit_chain where place > $1 order by place limit $2;

-- name: forget_entries
-- Those whose seals lie before the anchor; the trigger lets no others go. $1 behind this place, $2 up to this one
delete from tidings.audit where number in (select number from tidings.audit_chain where place > $1 and place <= $2);

-- name: forget_seals
-- $1 up to this place
delete from tidings.audit_chain where place <= $1;
