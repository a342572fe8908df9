-- To the operator: two tables and a column without a value, for homes of a fleet (docs/fleet.md). Nothing is rewritten.

create table tidings.placing (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 1,
  home text not null,
  fleet json not null
);
comment on table tidings.placing is 'Of a home: what it is called, and the fleet''s directory as it heard it last, which it goes by while the stream is away.';
comment on column tidings.placing.version is 'Rises with every change here, of `group_moves` too; a dispatcher compares it inside the transaction that routes.';

create table tidings.group_moves (
  group_id text primary key,
  home text not null,
  begun_at timestamptz not null default now(),
  held_after xid8 not null default pg_current_xact_id(),
  has_left boolean not null default false
);
comment on table tidings.group_moves is 'Of a home: groups that are being moved to another home, and that were; and those that are being moved here. Until they are there, what comes for them stays in the outbox.';
comment on column tidings.group_moves.held_after is 'Transactions that began before this one may route events of the group; they are waited for.';
comment on column tidings.group_moves.has_left is 'It lives there from this transaction on: nothing of it is routed or sent from here.';

alter table tidings.outbox add column placed_by bigint;
comment on column tidings.outbox.placed_by is 'Of what came by the stream of a fleet: the version of the directory that led it here, so that homes which disagree for a moment do not send it in circles.';
