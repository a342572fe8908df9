-- To the operator: two small tables and one column. Portal links that are good while this is applied let their holders look, and
-- change nothing, until they end (at most a day); new ones say what they allow.

-- What a link allows ----------------------------------------------------------------------------------------------------

alter table tidings.portal_links add column access text not null default 'read';
alter table tidings.portal_links add constraint portal_link_access_is_known check (access in ('read', 'manage', 'full'));
comment on column tidings.portal_links.access is 'What its holder may do: look; also manage webhooks; also choose tables, collections and names of their own.';

create table tidings.customer_webhooks (
  webhook_id uuid primary key references tidings.webhooks on delete cascade,
  group_id text not null references tidings.groups (id)
);
comment on table tidings.customer_webhooks is 'The webhooks that customers made by portal links: so many of a group are allowed.';
create index customer_webhooks_of_group on tidings.customer_webhooks (group_id);

-- Who did what ----------------------------------------------------------------------------------------------------------

create table tidings.audit (
  number bigint generated always as identity primary key,
  at timestamptz not null,
  group_id text,
  action text not null,
  who text not null,
  who_id uuid,
  address text not null,
  subject_id uuid,
  subject text not null,
  constraint audit_who_is_known check (who in ('key', 'session', 'link', 'system')),
  constraint audit_is_bounded check (length(action) <= 40 and length(address) <= 100 and length(subject) <= 200)
);
comment on table tidings.audit is 'Who did what, on what, when, from where: written with what it tells, read by people, never by the engine. It holds no secrets. The janitor keeps so many of each group, a year at most.';
comment on column tidings.audit.group_id is 'The group that it is about; null: the installation.';
comment on column tidings.audit.who_id is 'Of a session or a portal link its id, which opens nothing.';
comment on column tidings.audit.subject is 'What its subject was called then: it may be gone by now.';
comment on constraint audit_is_bounded on tidings.audit is 'Forbids a name or an address to fill the table.';
create index audit_of_group on tidings.audit (group_id, number desc);
create index audit_by_age on tidings.audit (at);
