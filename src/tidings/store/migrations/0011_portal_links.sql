-- To the operator: two small tables and one index. The index is built over the notices that are remembered; while it is, notices
-- of integrations wait. That takes a second for a million of them.

-- Customers' links ------------------------------------------------------------------------------------------------------

create table tidings.portal_links (
  id uuid primary key,
  token_hash bytea not null unique,
  group_id text not null references tidings.groups (id),
  brand jsonb not null,
  origins text[] not null,
  created_at timestamptz not null,
  ends_at timestamptz not null,
  constraint portal_link_ends check (ends_at > created_at and ends_at <= created_at + interval '24 hours'),
  constraint portal_link_is_bounded check (length(brand::text) <= 60000 and cardinality(origins) <= 10)
);
comment on table tidings.portal_links is 'Links that show a customer one group. A row that is deleted ends the sessions that were begun with it; the janitor takes away those whose time is over.';
comment on column tidings.portal_links.token_hash is 'SHA-256 of the token in the link. The token itself is kept nowhere.';
comment on column tidings.portal_links.origins is 'The origins whose pages may hold it in a frame; empty: none may.';
comment on constraint portal_link_ends on tidings.portal_links is 'Forbids a link that lasts.';
comment on constraint portal_link_is_bounded on tidings.portal_links is 'Forbids a brand or a list of origins that would weigh on every page.';
create index portal_links_by_end on tidings.portal_links (ends_at);
create index portal_links_by_age on tidings.portal_links (created_at);

alter table tidings.sessions add column link_id uuid references tidings.portal_links on delete cascade;
comment on column tidings.sessions.link_id is 'The link it was begun with: such a session is a customer''s and shows the link''s group alone. Null: an operator''s.';
create index sessions_of_link on tidings.sessions (link_id) where link_id is not null;

-- Notices ---------------------------------------------------------------------------------------------------------------

alter table tidings.integration_notices add column type text;
comment on column tidings.integration_notices.type is 'What its sender calls it; null before this column was there.';
create index integration_notices_newest on tidings.integration_notices (integration_id, received_at desc);

create table tidings.integration_refusals (
  integration_id uuid not null references tidings.integrations on delete cascade,
  reason text not null,
  refused_count bigint not null,
  said text not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  primary key (integration_id, reason),
  constraint refusal_reason_is_known check (reason in ('disconnected', 'signature', 'replayed', 'body')),
  constraint refusal_is_bounded check (length(said) <= 500)
);
comment on table tidings.integration_refusals is 'How many notices were refused, and why: one row a reason, however many come. Written at most once a second by a process.';
comment on column tidings.integration_refusals.said is 'What the sender of the last one was told.';
