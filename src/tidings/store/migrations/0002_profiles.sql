-- To the operator: adds what profiles need to tidings.webhooks, and a table for the keys this installation signs with.

alter table tidings.webhooks
  add column previous_secret bytea,
  add column previous_secret_until timestamptz,
  add column is_asymmetric boolean not null default false,
  add column signature jsonb,
  add column body_template text,
  add column jwt_enabled boolean not null default false,
  add constraint rotation_is_whole check ((previous_secret is null) = (previous_secret_until is null));

create table tidings.signing_keys (
  id uuid primary key,
  purpose text not null check (purpose in ('webhooks', 'tokens')),
  private_key bytea not null,
  created_at timestamptz not null default now()
);
create index signing_keys_newest on tidings.signing_keys (purpose, created_at desc);
comment on table tidings.signing_keys is 'Ed25519 keys. The newest of each purpose signs; all are published, so that what an older one signed still verifies.';
comment on column tidings.signing_keys.private_key is 'AES-256-GCM under SECRET_KEY, the id as associated data.';
