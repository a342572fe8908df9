-- To the operator: gives webhooks versions, and keeps beside them which tables they name and who signed with what. Stop every
-- older process first: what one of them changes afterwards would have no version. The rows of tidings.webhooks are read and
-- copied once, about half a minute for a million, while nobody can change a webhook. Your own tables are not touched.

alter table tidings.webhooks
  add column version integer not null default 1,
  add column fault text;
comment on column tidings.webhooks.fault is 'Why this row cannot be read, as a sentence with the remedy: it is set aside, its lane closed, until it is changed.';

-- Lists are by time, newest first, then by id.
create index webhooks_listed on tidings.webhooks (group_id, created_at desc, id);
drop index tidings.webhooks_by_group;

-- Changes -------------------------------------------------------------------------------------------------------------

create table tidings.webhook_changes (
  version bigint primary key,
  webhook_id uuid not null,
  changed_at timestamptz not null default clock_timestamp()
);
comment on table tidings.webhook_changes is 'Which webhook each routes_version is about: a process reads what changed since it last looked, and everything when a row is missing.';

-- Versions ------------------------------------------------------------------------------------------------------------

-- No foreign key: history names versions of webhooks that are deleted.
create table tidings.webhook_versions (
  webhook_id uuid not null,
  version integer not null,
  created_at timestamptz not null,
  superseded_at timestamptz,
  group_id text not null,
  name text not null,
  description text,
  url text not null,
  enabled boolean not null,
  disabled_reason text,
  profile text not null,
  events jsonb not null,
  secret bytea not null,
  previous_secret bytea,
  previous_secret_until timestamptz,
  is_asymmetric boolean not null,
  signature jsonb,
  body_template text,
  jwt_enabled boolean not null,
  method text not null,
  headers jsonb not null,
  timeout_seconds double precision not null,
  retry jsonb not null,
  managed_by text,
  concurrency integer not null,
  rate_per_second double precision,
  ordered boolean not null,
  webhook_created_at timestamptz not null,
  primary key (webhook_id, version)
);
create index webhook_versions_superseded on tidings.webhook_versions (superseded_at) where superseded_at is not null;
comment on table tidings.webhook_versions is 'Every version of every webhook that history can name: what its requests were made from.';
comment on column tidings.webhook_versions.superseded_at is 'When the next version was made, or the webhook was deleted; null for the present one.';

insert into tidings.webhook_versions (webhook_id, version, created_at, group_id, name, description, url, enabled, disabled_reason, profile,
  events, secret, previous_secret, previous_secret_until, is_asymmetric, signature, body_template, jwt_enabled, method, headers,
  timeout_seconds, retry, managed_by, concurrency, rate_per_second, ordered, webhook_created_at)
select w.id, w.version, w.updated_at, w.group_id, w.name, w.description, w.url, w.enabled, w.disabled_reason, w.profile,
  w.events, w.secret, w.previous_secret, w.previous_secret_until, w.is_asymmetric, w.signature, w.body_template, w.jwt_enabled, w.method, w.headers,
  w.timeout_seconds, w.retry, w.managed_by, l.concurrency, l.rate_per_second, l.ordered, w.created_at
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id;

-- Tables that webhooks name -------------------------------------------------------------------------------------------

create table tidings.table_subscriptions (
  webhook_id uuid not null references tidings.webhooks on delete cascade,
  table_schema text not null,
  table_name text not null,
  operation text not null check (operation in ('INSERT', 'UPDATE', 'DELETE')),
  primary key (table_schema, table_name, operation, webhook_id)
);
create index table_subscriptions_of_webhook on tidings.table_subscriptions (webhook_id);
comment on table tidings.table_subscriptions is 'The tables that enabled webhooks name: which triggers there are follows from it.';

-- What cannot be read as a filter is skipped here, as everywhere. A name without a schema means public.
insert into tidings.table_subscriptions (webhook_id, table_schema, table_name, operation)
select distinct w.id, coalesce(f.item ->> 'schema', 'public'), f.item ->> 'table', o.operation
from tidings.webhooks w
cross join lateral jsonb_array_elements(case jsonb_typeof(w.events) when 'array' then w.events else '[]' end) f (item)
cross join lateral jsonb_array_elements_text(case jsonb_typeof(f.item -> 'operations') when 'array' then f.item -> 'operations' else '[]' end) o (operation)
where w.enabled and jsonb_typeof(f.item -> 'table') = 'string' and f.item ->> 'table' <> '*' and o.operation in ('INSERT', 'UPDATE', 'DELETE');

-- Signers -------------------------------------------------------------------------------------------------------------

create table tidings.signers (
  id integer generated always as identity primary key,
  webhooks_key uuid not null references tidings.signing_keys,
  tokens_key uuid not null references tidings.signing_keys,
  issuer text not null,
  constraint signer_is_known unique (webhooks_key, tokens_key, issuer)
);
comment on table tidings.signers is 'What this installation has signed with: an attempt names one by its number, so that its request can be made again.';
