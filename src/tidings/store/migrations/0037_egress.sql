-- To the operator: one small table and two columns on webhooks and their versions, all empty: nothing is called that was not called before,
-- and nothing is refused but ports of other protocols (see CHANGELOG). The table of webhooks is needed for a moment.

create table tidings.group_egress (
  group_id text primary key references tidings.groups (id) on delete cascade,
  narrowing jsonb not null,
  changed_at timestamptz not null,
  constraint group_egress_is_an_object check (jsonb_typeof(narrowing) = 'object'),
  constraint group_egress_is_bounded check (length(narrowing::text) <= 200000)
);
comment on table tidings.group_egress is 'What the webhooks of a group may not call although the installation may. A group without a row is not narrowed.';

alter table tidings.webhooks add column credentials jsonb, add column sealed_credentials bytea,
  add constraint webhook_credentials_are_whole check ((credentials is null) = (sealed_credentials is null));
comment on column tidings.webhooks.credentials is 'What is shown of what it shows to its receiver: by which way, as whom, and until when a certificate is good. No secret.';
comment on column tidings.webhooks.sealed_credentials is 'The whole of it, encrypted under SECRET_KEY for this webhook: user and password, client and secret, certificate and key, authorities.';
comment on constraint webhook_credentials_are_whole on tidings.webhooks is 'Forbids credentials of which nobody sees that they are there, and ones that are shown and not there.';

alter table tidings.webhook_versions add column credentials jsonb, add column sealed_credentials bytea;
comment on column tidings.webhook_versions.credentials is 'As in tidings.webhooks.';
comment on column tidings.webhook_versions.sealed_credentials is 'As in tidings.webhooks.';
