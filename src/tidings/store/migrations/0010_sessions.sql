-- To the operator: one small table, for people signed in to the portal. Nothing else changes.

create table tidings.sessions (
  id uuid primary key,
  token_hash bytea not null unique,
  key_hash text not null,
  group_id text not null references tidings.groups (id),
  browser text not null,
  address text not null,
  created_at timestamptz not null,
  seen_at timestamptz not null,
  ends_at timestamptz not null,
  constraint session_texts_are_bounded check (length(browser) <= 200 and length(address) <= 100)
);
comment on table tidings.sessions is 'Browsers that are signed in to the portal. Rows whose time is over mean nothing; the janitor takes them away.';
comment on column tidings.sessions.token_hash is 'SHA-256 of the token in the browser''s cookie. The token itself is kept nowhere.';
comment on column tidings.sessions.key_hash is 'The hash of the key it was begun with: another admin key ends all sessions of the one before.';
comment on column tidings.sessions.group_id is 'The group whose pages it shows.';
comment on constraint session_texts_are_bounded on tidings.sessions is 'Forbids what a browser says of itself to fill the table.';
create index sessions_by_age on tidings.sessions (created_at);
create index sessions_by_end on tidings.sessions (ends_at);
