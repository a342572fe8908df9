-- To the operator: three small tables and three columns. The admin key goes on as it is, as the first of the keys. Who is signed in to
-- the portal stays signed in.

create table tidings.api_keys (
  id uuid primary key,
  name text not null,
  group_id text references tidings.groups (id) on delete cascade,
  scopes text[] not null,
  token_hash bytea not null,
  previous_hash bytea,
  previous_until timestamptz,
  created_at timestamptz not null,
  rotated_at timestamptz,
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint api_key_is_named check (length(name) between 1 and 100),
  constraint api_key_may_something check (cardinality(scopes) between 1 and 30),
  constraint api_key_hashes_are_whole check (length(token_hash) = 32 and length(previous_hash) = 32),
  constraint api_key_overlap_ends check ((previous_hash is null) = (previous_until is null))
);
comment on table tidings.api_keys is 'Keys of the API. Those that were revoked or expired stay for a while, so that whoever still has one is told so; the janitor takes them away.';
comment on column tidings.api_keys.group_id is 'The one group that it is for; null: all of them.';
comment on column tidings.api_keys.token_hash is 'SHA-256 of the key as text. The key itself is kept nowhere.';
comment on column tidings.api_keys.previous_hash is 'Of the key before the last rotation: good until previous_until, and afterwards kept to tell its holder why not.';
comment on constraint api_key_may_something on tidings.api_keys is 'Forbids a key that opens nothing.';
create index api_keys_by_group on tidings.api_keys (group_id);
create index api_keys_by_age on tidings.api_keys (created_at, id);

create table tidings.api_key_uses (
  key_id uuid primary key references tidings.api_keys on delete cascade,
  used_at timestamptz not null,
  address text not null,
  constraint api_key_use_is_bounded check (length(address) <= 100)
);
comment on table tidings.api_key_uses is 'When each key was last used, to within a minute. Apart from the keys, so that noting it changes no key and waits for no change of one.';

create table tidings.api_key_changes (
  is_only boolean primary key default true check (is_only),
  version bigint not null
);
comment on table tidings.api_key_changes is 'One row: how often keys were changed. Processes that hold keys in memory look at it, and hold them no longer when it has moved.';
insert into tidings.api_key_changes (version) values (1);

create function tidings.api_keys_changed() returns trigger language plpgsql as $$
begin
  update tidings.api_key_changes set version = version + 1;
  return null;
end
$$;
create trigger api_keys_changed after insert or update or delete or truncate on tidings.api_keys
  for each statement execute function tidings.api_keys_changed();

-- The admin key, of the settings ---------------------------------------------------------------------------------------------

insert into tidings.api_keys (id, name, scopes, token_hash, created_at)
select '00000000-0000-0000-0000-000000000001', 'admin key of the settings', '{admin}', decode(value, 'hex'), now()
from tidings.settings where name = 'admin_key_hash' and value ~ '^[0-9a-f]{64}$';

-- Sessions, by the key that they were begun with ------------------------------------------------------------------------------

alter table tidings.sessions add column key_id uuid references tidings.api_keys on delete cascade;
update tidings.sessions set key_id = '00000000-0000-0000-0000-000000000001'
where exists (select from tidings.api_keys where id = '00000000-0000-0000-0000-000000000001');
delete from tidings.sessions where key_id is null;
alter table tidings.sessions alter column key_id set not null;
-- A process of the release before, which is not replaced yet, knows one key and no column for it.
alter table tidings.sessions alter column key_id set default '00000000-0000-0000-0000-000000000001';
create index sessions_of_key on tidings.sessions (key_id);
comment on column tidings.sessions.key_id is 'The key that it was begun with; a customer''s has that of the settings. It ends with the key.';

-- Which key did it ------------------------------------------------------------------------------------------------------------

alter table tidings.audit add column key_id uuid;
alter table tidings.audit add column key_name text not null default '';
alter table tidings.audit add constraint audit_key_is_bounded check (length(key_name) <= 100);
comment on column tidings.audit.key_id is 'The key that it was done with, in a call or in a session that was begun with it; null: no key, or before keys were told apart.';
comment on column tidings.audit.key_name is 'What that key was called then.';
