-- name: get
-- `has_left`: for another home of the fleet. $1 id
select id, created_at, deleting_at, deleting_fault,
  exists (select from tidings.group_moves m where m.group_id = g.id and m.has_left) as has_left
from tidings.groups g where id = $1;

-- name: list
-- In order of the bytes of their ids, which is one order at all homes of a fleet, without those that left for another home.
-- $1 limit, $2 offset, $3 only those behind this id, which need not be there; '' for all
select id, created_at, deleting_at, deleting_fault from tidings.groups g
where id collate "C" > $3 and not exists (select from tidings.group_moves m where m.group_id = g.id and m.has_left)
order by id collate "C" limit $1 offset $2;

-- name: add
-- Those that are there stay as they are. $1 ids
insert into tidings.groups (id) select unnest($1::text[]) on conflict do nothing returning id;

-- name: holdings
-- What a group has that is deleted with it, so many of each kind at most. $1 group, $2 how many
select (select count(*) from (select from tidings.webhooks where group_id = $1 and managed_by is null limit $2) w) as webhooks,
  (select count(*) from (select from tidings.cron_jobs where group_id = $1 limit $2) j) as jobs,
  (select count(*) from (select from tidings.integrations where group_id = $1 limit $2) i) as integrations,
  (select count(*) from (select from tidings.collections where group_id = $1 limit $2) c) as collections,
  (select count(*) from (select from tidings.event_types where group_id = $1 limit $2) e) as event_types,
  (select count(*) from (select from tidings.portal_links where group_id = $1 limit $2) l) as portal_links,
  (select count(*) from (select from tidings.api_keys where group_id = $1 and revoked_at is null limit $2) k) as api_keys,
  (select count(*) from (select from tidings.bins where group_id = $1 limit $2) b) as request_bins;

-- name: begin_deleting
-- $1 id, $2 now
update tidings.groups set deleting_at = coalesce(deleting_at, $2) where id = $1 returning id, created_at, deleting_at, deleting_fault;

-- name: next_deleting
-- The one that is looked at, while others look at others. $1 not these
select id, deleting_at, deleting_after, deleting_past from tidings.groups where deleting_at is not null and id <> all ($1::text[])
order by deleting_at limit 1 for update skip locked;

-- name: jobs
-- $1 group, $2 how many
select id, webhook_id from tidings.cron_jobs where group_id = $1 order by id limit $2 for update;

-- name: delete_integrations
-- With their objects and notices. $1 group, $2 how many
delete from tidings.integrations where id in (select id from tidings.integrations where group_id = $1 limit $2) returning id;

-- name: delete_types
-- $1 group, $2 how many
delete from tidings.event_types where group_id = $1 and name in (select name from tidings.event_types where group_id = $1 limit $2) returning name;

-- name: delete_recoveries
-- $1 group, $2 how many
delete from tidings.recoveries where id in (select id from tidings.recoveries where group_id = $1 limit $2) returning id;

-- name: delete_rules
-- $1 group, $2 how many
delete from tidings.redaction_rules where id in (select id from tidings.redaction_rules where group_id = $1 limit $2) returning id;

-- name: delete_erasures
-- With the events that they wait for. $1 group, $2 how many
delete from tidings.erasures where id in (select id from tidings.erasures where group_id = $1 limit $2) returning id;

-- name: delete_links
-- With the sessions that began by them. $1 group, $2 how many
delete from tidings.portal_links where id in (select id from tidings.portal_links where group_id = $1 limit $2) returning id;

-- name: delete_bins
-- With what came to them. $1 group, $2 how many
delete from tidings.bins where id in (select id from tidings.bins where group_id = $1 limit $2) returning id;

-- name: leave
-- Sessions that show the group show another. $1 group, $2 the other
update tidings.sessions set group_id = $2 where group_id = $1;

-- name: note_last
-- From here on nobody writes events for the group who looked it up before: those transactions have ended, which a first call notes and a
-- later one finds. (Numbers of open ones are not seen, and may be lower.) True: the number is noted. $1 id
update tidings.groups set
  deleting_after = coalesce(deleting_after, pg_snapshot_xmax(pg_current_snapshot())),
  deleting_past = case when deleting_after <= pg_snapshot_xmin(pg_current_snapshot()) then (select coalesce(max(id), 0) from tidings.outbox) end
where id = $1 returning deleting_past is not null;

-- name: is_routed
-- Whether nothing of a group waits in the outbox up to a number; false, too, when too much waits to look through. $1 group, $2 up to this number, $3 how much
select count(*) filter (where group_id = $1) = 0 and count(*) < $3 from (select group_id from tidings.outbox where id <= $2 order by id limit $3) waiting;

-- name: delete
-- $1 id
delete from tidings.groups where id = $1;

-- name: say_fault
-- $1 id, $2 why, or null
update tidings.groups set deleting_fault = $2 where id = $1 and deleting_fault is distinct from $2 returning true;
