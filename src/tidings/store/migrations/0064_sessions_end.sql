-- To the operator: adds a column to a small table. Nothing is rewritten.

-- A request that was sent before a client left can arrive after it. It must not begin the client anew, and lease to nobody.
alter table tidings.listener_sessions add column is_over boolean not null default false;
comment on column tidings.listener_sessions.is_over is 'It left. Its row stays half a minute, so that a late request of it is refused.';
