-- To the operator: makes two small tables. A worker of the version before does not know that a listener's client holds a lease: what such
-- a client has under way while both versions run is put back at once, and comes to it again.

-- A listener is a webhook whose lane is closed to workers for ever: its deliveries are leased to a client that asks for them.
create table tidings.listeners (
  webhook_id uuid primary key references tidings.webhooks on delete cascade,
  group_id text not null references tidings.groups (id),
  name text not null,
  mirrors uuid,
  heard_at timestamptz not null default clock_timestamp(),
  constraint listener_name_is_one unique (group_id, name)
);
comment on table tidings.listeners is 'Webhooks whose deliveries go to a connected client (tidings listen) instead of to a URL.';
comment on column tidings.listeners.mirrors is 'The webhook whose settings it had when it was made or found last; null: its own.';
comment on column tidings.listeners.heard_at is 'When a client asked last. Nobody for three days: it is deleted.';
comment on constraint listener_name_is_one on tidings.listeners is 'Forbids two of a name in a group: clients of one name share its deliveries.';

create table tidings.listener_sessions (
  id uuid primary key,
  webhook_id uuid not null references tidings.listeners (webhook_id) on delete cascade,
  turn uuid not null default gen_random_uuid(),
  heard_at timestamptz not null default clock_timestamp()
);
create index listener_sessions_of on tidings.listener_sessions (webhook_id);
comment on table tidings.listener_sessions is 'Clients of listeners. Each leases by flights, under its id, as a worker does; one that is silent for 30 s is struck, and its flights are grounded.';
comment on column tidings.listener_sessions.turn is 'Of its latest request. A request that still waits when the next one comes leases nothing any more.';
comment on column tidings.listener_sessions.heard_at is 'Changes with each of its requests.';
