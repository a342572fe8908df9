-- Signing keys can be rotated: the new one is published at once and signs later, the old one is published for a while longer.
-- Keys there are sign from when they were made, and are published until a rotation says otherwise.
alter table tidings.signing_keys add column signs_from timestamptz;
update tidings.signing_keys set signs_from = created_at;
alter table tidings.signing_keys alter column signs_from set not null, alter column signs_from set default now();
alter table tidings.signing_keys add column published_until timestamptz;
alter table tidings.signing_keys add constraint signing_key_is_published_while_it_signs check (published_until >= signs_from);
comment on constraint signing_key_is_published_while_it_signs on tidings.signing_keys is 'Forbids a key that would sign what nobody can verify.';
comment on column tidings.signing_keys.signs_from is 'Of each purpose the key with the last time that has come signs. Until then it is published beside the one that does.';
comment on column tidings.signing_keys.published_until is 'Null: no other key has followed.';
comment on table tidings.signing_keys is 'Ed25519 keys. Of each purpose one signs; those before it are published for a while, so that what they signed still verifies.';
