-- To the operator: lanes know whose they are, so that claims can look at those of each group. Rewrites `lanes`, one small row for each webhook:
-- and deliveries wait for that (some seconds for hundreds of thousands). One index on it goes and one comes. Two others come, on `backfills` and `integrations`, which are small.

alter table tidings.lanes add column group_id text;
update tidings.lanes l set group_id = w.group_id from tidings.webhooks w where w.id = l.webhook_id;
alter table tidings.lanes alter column group_id set not null;
comment on column tidings.lanes.group_id is 'Whose it is: its webhook''s. A trigger writes it where whoever makes the lane does not.';

-- For programs of before: a webhook and its lane are made by one statement, and a trigger sees what that has written so far.
create function tidings.lane_is_its_webhooks() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if new.group_id is null then
    select w.group_id into new.group_id from tidings.webhooks w where w.id = new.webhook_id;
  end if;
  return new;
end $$;
create trigger its_webhooks before insert on tidings.lanes for each row execute function tidings.lane_is_its_webhooks();

-- The policy compares the column: to ask for the webhook was a look for each lane.
drop policy made_with_webhook on tidings.lanes;
drop policy own_group on tidings.lanes;
create policy own_group on tidings.lanes using (group_id = (select current_setting('tidings.group', true)))
  with check (group_id = (select current_setting('tidings.group', true)));

-- A loose index scan: one look for each group that has something waiting; a group's first entry says when it is due. What waits for nothing is
-- not in it. Names are compared byte by byte, as in the outbox.
create index lanes_due_by_group on tidings.lanes (trusted, group_id collate "C", due_at) where open and due_at < 'infinity';
-- Nothing asks by time alone any more: both kinds have an index of their own for that.
drop index tidings.lanes_due;

-- Lists of one group's, in their order, without a look at all that others have.
create index backfills_by_group on tidings.backfills (group_id, created_at desc, id);
drop index tidings.integrations_of_group;
create index integrations_of_group on tidings.integrations (group_id, name);
