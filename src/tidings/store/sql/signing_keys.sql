-- name: lock
-- Processes that start at once agree on one key: a statement of its own, so that the next one sees what was committed.
select pg_advisory_xact_lock(7413201, 3);

-- name: make
-- The first key of a purpose. $1 id, $2 purpose, $3 private key
insert into tidings.signing_keys (id, purpose, private_key)
select $1, $2, $3 where not exists (select from tidings.signing_keys where purpose = $2);

-- name: all
-- Newest first.
select id, purpose, private_key from tidings.signing_keys order by created_at desc, id;
