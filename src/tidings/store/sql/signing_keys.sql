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

-- name: number_signer
-- The number of these keys and this issuer, given at first use. $1 key for webhooks, $2 key for tokens, $3 issuer
with made as (
  insert into tidings.signers (webhooks_key, tokens_key, issuer)
  select $1, $2, $3 where not exists (select from tidings.signers where webhooks_key = $1 and tokens_key = $2 and issuer = $3)
  returning id
)
select id from made union all select id from tidings.signers where webhooks_key = $1 and tokens_key = $2 and issuer = $3;

-- name: signer
-- $1 number
select s.webhooks_key, w.private_key as webhooks_private_key, s.tokens_key, t.private_key as tokens_private_key, s.issuer
from tidings.signers s
join tidings.signing_keys w on w.id = s.webhooks_key join tidings.signing_keys t on t.id = s.tokens_key where s.id = $1;
