-- To the operator: groups can be deleted. Adds three columns without rewriting anything, and makes four small indexes. It needs the table of
-- groups for itself for a moment, and writes to captured tables read that: they wait for milliseconds, or for up to 2 s at a time
-- while a transaction that has written to a captured table is still open. After 2 s all is taken back and tried again for about a
-- minute; then whose transaction it was is told.

alter table tidings.groups
  add column deleting_at timestamptz,
  add column deleting_past bigint,
  add column deleting_fault text;
comment on column tidings.groups.deleting_at is 'Since when it is being deleted, with all it has; null: it is not. Nobody can act for it any more.';
comment on column tidings.groups.deleting_past is 'The number of the outbox that must be routed before it goes, since events make the group that they name.';
comment on column tidings.groups.deleting_fault is 'Why that cannot go on for now.';
create index groups_deleting on tidings.groups (deleting_at) where deleting_at is not null;
create index integrations_of_group on tidings.integrations (group_id);
create index portal_links_of_group on tidings.portal_links (group_id);
create index sessions_of_group on tidings.sessions (group_id);
