-- name: lock
-- Processes that start at once agree on one key: a statement of its own, so that the next one sees what was committed.
select pg_advisory_xact_lock(7413201, 4);

-- name: make
-- The first key of a purpose. $1 id, $2 purpose, $3 private key
insert into tidings.signing_keys (id, purpose, private_key)
select $1, $2, $3 where not exists (select from tidings.signing_keys where purpose = $2);

-- name: all
-- All keys, by when they sign, the last first. What is to be published and what signs is PostgreSQL's clock to say: processes agree.
select id, purpose, private_key, signs_from, published_until, signs_from <= clock_timestamp() as has_begun,
  coalesce(published_until > clock_timestamp(), true) as is_published
from tidings.signing_keys order by signs_from desc, created_at desc, id;

-- name: add
-- A key that follows the others of its purpose. $1 id, $2 purpose, $3 private key, $4 seconds until it signs
insert into tidings.signing_keys (id, purpose, private_key, signs_from) values ($1, $2, $3, now() + $4::int * interval '1 second');

-- name: retire
-- The keys that others follow: published for so long after these sign. $1 the new keys, $2 seconds until they sign, $3 seconds after that
update tidings.signing_keys set published_until = now() + ($2::int + $3::int) * interval '1 second'
where id <> all($1::uuid[]) and (published_until is null or published_until > now() + ($2::int + $3::int) * interval '1 second');

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
