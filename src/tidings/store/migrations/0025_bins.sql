-- To the operator: two small tables. What comes to a request bin is kept in one that is not logged: it costs the log and
-- replicas nothing, and is gone after a crash of PostgreSQL or on a replica that is promoted. The bins themselves stay.

create table tidings.bins (
  id uuid primary key,
  group_id text not null references tidings.groups (id),
  name text not null,
  answer_status smallint not null,
  answer_delay_ms integer not null,
  answer_body text not null,
  answer_content_type text not null,
  profile text,
  signature text,
  secret bytea,
  webhook_id uuid references tidings.webhooks on delete set null,
  request_count bigint not null default 0,
  refused_count bigint not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  used_at timestamptz not null,
  constraint bin_is_bounded check (
    length(name) <= 200 and octet_length(answer_body) <= 65536 and length(answer_content_type) <= 200
    and length(signature) <= 1000 and octet_length(secret) <= 2000
  ),
  constraint bin_answer_is_one check (answer_status between 200 and 599 and answer_delay_ms between 0 and 30000)
);
comment on table tidings.bins is 'Request bins: addresses that take any request and answer as told. The janitor takes away those that nothing came to for 30 days.';
comment on column tidings.bins.id is 'Random: whoever knows it may send there.';
comment on column tidings.bins.secret is 'Encrypted; what requests should be signed with. Null: the secret of the webhook, or they are not verified.';
comment on column tidings.bins.request_count is 'How many ever came; the number of the newest.';
create index bins_of_group on tidings.bins (group_id, created_at desc, id desc);
create index bins_by_use on tidings.bins (used_at);
create index bins_of_webhook on tidings.bins (webhook_id) where webhook_id is not null;

create unlogged table tidings.bin_requests (
  bin_id uuid not null references tidings.bins on delete cascade,
  number bigint not null,
  received_at timestamptz not null,
  method text not null,
  path text not null,
  headers text not null,
  body bytea not null,
  body_bytes integer not null,
  is_whole boolean not null,
  kept_bytes integer not null,
  address text not null,
  status smallint not null,
  verdict text not null,
  primary key (bin_id, number)
);
comment on table tidings.bin_requests is 'What came to request bins: the newest 500 of each, for a day.';
comment on column tidings.bin_requests.body is 'As far as it is kept; body_bytes says how much was read, is_whole whether that was all.';
comment on column tidings.bin_requests.headers is 'As JSON in text: names and values in their order, with whatever was sent.';
comment on column tidings.bin_requests.status is 'What it was answered with.';
comment on column tidings.bin_requests.verdict is 'As JSON in text: whether its signature was as expected when it came, and why not.';
create index bin_requests_by_age on tidings.bin_requests (received_at);
