-- Moving a group from this home to another (theory: worker.moving). Run by who owns the schema.

-- name: plan
-- What a group has, table by table in the order that rows can refer to each other, with the statements that take it along. All of it
-- but history goes in one transaction at each home; of history a page does. A table is shared when each change of it changes a row that
-- all groups' changes wait for (its trigger counts a version): it comes last, so that this row is not locked while what waits is copied.
-- $1 group, $2 ids of a page of history, or none, $3 publishers' own ids of one, or none
with plan (position, step, name, own, fits, stays, is_shared) as (values
  (1, 'settings', 'groups', 't.id = %1$L', null, true, false),
  (2, 'settings', 'group_egress', 't.group_id = %1$L', null, false, false),
  (3, 'settings', 'group_overruns', 't.group_id = %1$L', null, false, false),
  (4, 'settings', 'members', 't.id in (select r.member_id from tidings.member_roles r where r.group_id = %1$L)', 'true', true, false),
  (5, 'settings', 'member_roles', 't.group_id = %1$L', '<person> is not null', false, false),
  (6, 'settings', 'event_types', 't.group_id = %1$L', null, false, false),
  (7, 'settings', 'event_kinds', 't.group_id = %1$L', null, false, false),
  (8, 'settings', 'webhooks', 't.group_id = %1$L', null, false, false),
  (9, 'settings', 'webhook_versions', 't.group_id = %1$L', null, false, false),
  (10, 'settings', 'table_subscriptions', 't.webhook_id in (select w.id from tidings.webhooks w where w.group_id = %1$L)', null, false, false),
  (11, 'settings', 'lanes', 't.group_id = %1$L', null, false, false),
  (12, 'settings', 'customer_webhooks', 't.group_id = %1$L', null, false, false),
  (13, 'settings', 'listeners', 't.group_id = %1$L', null, false, false),
  (14, 'settings', 'certificate_warnings', 't.webhook_id in (select w.id from tidings.webhooks w where w.group_id = %1$L)', null, false, false),
  (15, 'settings', 'integrations', 't.group_id = %1$L', null, false, false),
  (16, 'settings', 'integration_objects', 't.integration_id in (select i.id from tidings.integrations i where i.group_id = %1$L)', null, false, false),
  (17, 'settings', 'integration_notices', 't.integration_id in (select i.id from tidings.integrations i where i.group_id = %1$L)', null, false, false),
  (18, 'settings', 'integration_refusals', 't.integration_id in (select i.id from tidings.integrations i where i.group_id = %1$L)', null, false, false),
  (19, 'settings', 'cron_jobs', 't.group_id = %1$L', null, false, false),
  (20, 'settings', 'cron_runs', 't.job_id in (select j.id from tidings.cron_jobs j where j.group_id = %1$L)', null, false, false),
  (21, 'settings', 'bins', 't.group_id = %1$L', null, false, false),
  (22, 'settings', 'bin_requests', 't.bin_id in (select b.id from tidings.bins b where b.group_id = %1$L)', null, false, false),
  (23, 'settings', 'recoveries', 't.group_id = %1$L', null, false, false),
  (24, 'settings', 'erasures', 't.group_id = %1$L', null, false, false),
  (25, 'settings', 'backfills', 't.group_id = %1$L', null, false, false),
  (26, 'settings', 'sealed_payloads', 't.group_id = %1$L', null, false, false),
  (27, 'settings', 'payload_ends', 't.group_id = %1$L', null, false, false),
  (28, 'settings', 'statistics', 't.group_id = %1$L', null, false, false),
  (29, 'settings', 'stored_bytes', 't.group_id = %1$L', null, false, false),
  (30, 'settings', 'webhook_counters', 't.group_id = %1$L', null, false, false),
  (31, 'settings', 'queue', 't.webhook_id in (select w.id from tidings.webhooks w where w.group_id = %1$L)', null, false, false),
  (32, 'settings', 'events', 't.id in (select q.event_id from tidings.queue q where q.webhook_id in (select w.id from tidings.webhooks w where w.group_id = %1$L))', null, true, false),
  (33, 'settings', 'attempts', 't.delivery_id in (select q.id from tidings.queue q where q.webhook_id in (select w.id from tidings.webhooks w where w.group_id = %1$L))', null, false, false),
  (34, 'settings', 'group_limits', 't.group_id = %1$L', null, false, true),
  (35, 'settings', 'api_keys', 't.group_id = %1$L', null, false, true),
  (36, 'settings', 'api_key_uses', 't.key_id in (select k.id from tidings.api_keys k where k.group_id = %1$L)', null, false, true),
  (37, 'settings', 'portal_links', 't.group_id = %1$L',
    '(s.key_id is null or exists (select from tidings.api_keys k where k.id = s.key_id)) and (s.member_id is null or <person> is not null)', false, false),
  (38, 'settings', 'redaction_rules', 't.group_id = %1$L', null, false, true),
  (39, 'events', 'events', 't.id = any (%2$L::uuid[])', null, false, false),
  (40, 'deliveries', 'deliveries', 't.id = any (%2$L::uuid[])', null, false, false),
  (41, 'deliveries', 'attempts', 't.delivery_id = any (%2$L::uuid[])', null, false, false),
  (42, 'published', 'published', 't.group_id = %1$L and t.external_id = any (%3$L::text[])', null, false, false)
), who (person) as (values (
  -- Somebody may have been invited there too. Who it is says the provider, where it was asked: an address can be given to somebody else.
  '(select m.id from tidings.members m join moving_members o on (o.issuer, o.subject) = (m.issuer, m.subject)
      or o.email = m.email and (o.subject is null or m.subject is null)
    where o.id = s.member_id order by m.subject is null limit 1)'
)), said as (
  select p.*, format(p.own, $1::text, $2::uuid[], $3::text[]) as its, 'moving_' || p.name as staged,
    (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = format('tidings.%I', p.name)::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    -- No lane is open before all is there; who signed is known at the other home by other numbers.
    (select string_agg(case when p.name = 'lanes' and a.attname = 'open' then 'false' when a.attname = 'signer_id' then 'null'
      when a.attname = 'member_id' then who.person else 's.' || quote_ident(a.attname) end, ', ' order by a.attnum)
      from pg_attribute a
      where a.attrelid = format('tidings.%I', p.name)::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as put_values
  from plan p, who
)
select step, name, columns, stays, is_shared, (fits is null or name = 'member_roles') and name <> 'groups' as is_counted, staged,
  format('select %s from tidings.%I t where %s', columns, name, its) as take,
  format('select count(*) from tidings.%I t where %s', name, its) as count,
  format('create temp table if not exists %I on commit drop as select %s from tidings.%I limit 0', staged, columns, name) as stage,
  format('insert into tidings.%I (%s) select %s from %I s where %s on conflict do nothing', name, columns, put_values, staged, coalesce(replace(fits, '<person>', who.person), 'true')) as put,
  format('delete from tidings.%I t where %s', name, its) as remove
from said, who order by position;

-- name: be_alone
-- For as long as the connection lasts. $1 group
select pg_try_advisory_lock(7413204, hashtext($1));

-- name: unfinished
-- Moves that were begun and are not over while nobody is alone with their groups here, which whoever moves one is as long as its connection
-- lasts; and groups that the fleet keeps back at its sources, of which nothing is known here: their moves have not got so far. $1 how many at most
select g.group_id, g.home, g.begun_at from (
  select m.group_id, m.home, m.begun_at from tidings.group_moves m where not m.has_left
  union all
  select p.group_id, null, null from tidings.placing, json_array_elements_text(coalesce(fleet -> 'held', '[]')) p (group_id)
  where not exists (select from tidings.group_moves m where m.group_id = p.group_id)
) g
where not exists (select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = 7413204
  and l.objid = hashtext(g.group_id)::oid and l.database = (select d.oid from pg_database d where d.datname = current_database()))
order by g.begun_at nulls last, g.group_id limit $1;

-- name: awake
-- So that a connection does not count as one whose process stands still, while the other home is at work.
select;

-- name: begin
-- $1 group, $2 home
insert into tidings.group_moves (group_id, home) values ($1, $2)
on conflict (group_id) do update set home = excluded.home, begun_at = now(), held_after = pg_current_xact_id(), has_left = false;

-- name: get
-- $1 group
select home, has_left, held_after < pg_snapshot_xmin(pg_current_snapshot()) as is_known from tidings.group_moves where group_id = $1;

-- name: bump
-- Dispatchers look anew at what is known here.
update tidings.placing set version = version + 1;

-- name: follow
-- What a group has here still goes to where it lives by now. $1 group, $2 home
update tidings.group_moves set home = $2 where group_id = $1 and has_left;

-- name: note_left
-- $1 group
update tidings.group_moves set has_left = true where group_id = $1;

-- name: stay
-- Whoever moves the group locks it first. One that is about to be moved is waited for. $1 group
select from tidings.groups where id = $1 for key share;

-- name: left_for
-- $1 group
select home from tidings.group_moves where group_id = $1 and has_left;

-- name: end
-- $1 group
delete from tidings.group_moves where group_id = $1;

-- name: in_the_way
-- What cannot be moved as it is, of each kind so many as there are. $1 group
select (select count(*) from tidings.collections where group_id = $1) as collections,
  (select count(*) from tidings.recoveries where group_id = $1 and finished_at is null) as recoveries,
  (select count(*) from tidings.erasures where group_id = $1 and finished_at is null) as erasures,
  (select count(*) from tidings.backfills where group_id = $1 and finished_at is null) as backfills,
  (select count(*) from tidings.groups where id = $1 and deleting_at is not null) as deletions;

-- name: is_there
-- Whether a home has anything of a group that was not moved there. $1 group
select exists (select from tidings.webhooks where group_id = $1) or exists (select from tidings.api_keys where group_id = $1)
  or exists (select from tidings.cron_jobs where group_id = $1) or exists (select from tidings.integrations where group_id = $1)
  or exists (select from tidings.bins where group_id = $1) or exists (select from tidings.collections where group_id = $1);

-- name: things
-- Ids of what a group has, which nothing else is called by anywhere; so many at most. $1 group, $2 how many
(select id from tidings.webhooks where group_id = $1 limit $2) union all (select id from tidings.cron_jobs where group_id = $1 limit $2)
union all (select id from tidings.integrations where group_id = $1 limit $2) union all (select id from tidings.bins where group_id = $1 limit $2)
union all (select id from tidings.api_keys where group_id = $1 limit $2);

-- name: has_any
-- Whether a group has any of these. $1 group, $2 ids
select exists (select from tidings.webhooks where id = any ($2::uuid[]) and group_id = $1)
  or exists (select from tidings.cron_jobs where id = any ($2::uuid[]) and group_id = $1)
  or exists (select from tidings.integrations where id = any ($2::uuid[]) and group_id = $1)
  or exists (select from tidings.bins where id = any ($2::uuid[]) and group_id = $1)
  or exists (select from tidings.api_keys where id = any ($2::uuid[]) and group_id = $1);

-- name: written
-- How far the log of this PostgreSQL is.
select pg_current_wal_insert_lsn()::text;

-- name: is_at_standbys
-- Whether the standbys that are connected have the log up to a place. Whoever may not see where they are sees none that is behind. $1 place
select not exists (
  select from pg_stat_replication r left join pg_replication_slots s on s.active_pid = r.pid
  where r.state = 'streaming' and coalesce(s.slot_type, 'physical') = 'physical' and r.write_lsn < $1::text::pg_lsn
);

-- name: last_row
select coalesce(max(id), 0) from tidings.outbox;

-- name: is_routed
-- Whether nothing of a group is in the outbox up to a number. $1 group, $2 number
select not exists (select from tidings.outbox o where o.group_id collate "C" = $1 and o.id <= $2);

-- name: close
-- Nothing of the group is begun any more. $1 group
update tidings.lanes set open = false where group_id = $1 and open;

-- name: leave
-- From here to the end of the transaction the group is locked: whoever comes to change it is told so, and does not wait. $1 group
select pg_advisory_xact_lock(7413205, hashtext($1));

-- name: going
-- Where a group has gone, or goes at this moment. $1 group
select home, has_left, not has_left and not pg_try_advisory_xact_lock_shared(7413205, hashtext($1)) as is_leaving
from tidings.group_moves where group_id = $1;

-- name: lock
-- All that is to be moved, from those who would change it. $1 group
with locked as (select from tidings.groups where id = $1 for update),
  its_webhooks as (select from tidings.webhooks where group_id = $1 order by id for update),
  its_lanes as (select from tidings.lanes where group_id = $1 order by webhook_id for update),
  its_jobs as (select from tidings.cron_jobs where group_id = $1 order by id for update)
select (select count(*) from locked), (select count(*) from its_webhooks), (select count(*) from its_lanes), (select count(*) from its_jobs);

-- name: is_at_rest
-- Whether no delivery of a group is under way, nor could one begin. $1 group
select not exists (select from tidings.lanes where group_id = $1 and open)
  and not exists (select from tidings.flights f where f.lanes && array(select w.id from tidings.webhooks w where w.group_id = $1));

-- name: open
-- Each lane as its webhook wants it. $1 group
update tidings.lanes l set open = w.enabled and w.fault is null and not exists (select from tidings.listeners s where s.webhook_id = w.id),
  due_at = greatest(l.held_until, now()), saturated = false, in_flight = 0
from tidings.webhooks w where w.id = l.webhook_id and l.group_id = $1;

-- name: webhooks
-- $1 group
select id from tidings.webhooks where group_id = $1;

-- name: tell_changes
-- Workers look at these webhooks anew. $1 ids
with next as (
  update tidings.routes_version set version = version + cardinality($1::uuid[]) returning version
)
insert into tidings.webhook_changes (version, webhook_id)
select next.version - cardinality($1::uuid[]) + c.place, c.id from next, unnest($1::uuid[]) with ordinality as c (id, place);

-- name: events
-- A page of history. $1 group, $2 behind this event, $3 how many
select id from tidings.events where group_id = $1 and id > $2 order by id limit $3;

-- name: deliveries
-- $1 group, $2 behind this delivery, $3 how many
select id from tidings.deliveries where group_id = $1 and id > $2 order by id limit $3;

-- name: published
-- Publishers' own ids, in the order that they are found by. $1 group, $2 behind this one, $3 how many
select external_id as id from tidings.published where group_id = $1 and external_id > $2 order by external_id limit $3;

-- name: days
-- The days of ids that begin with their time. $1 ids
select distinct (timestamp 'epoch' + (('x' || lpad(left(replace(i::text, '-', ''), 12), 16, '0'))::bit(64)::bigint) * interval '1 millisecond')::date as day
from unnest($1::uuid[]) i;

-- name: queued_days
-- The days of what waits: ids of deliveries begin with the time of their event. $1 group
select distinct (timestamp 'epoch' + (('x' || lpad(left(replace(q.event_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint) * interval '1 millisecond')::date as day
from tidings.queue q where q.webhook_id in (select w.id from tidings.webhooks w where w.group_id = $1);

-- name: make_day
-- $1 day
select tidings.ensure_day($1);

-- name: key
-- What this home's secrets are encrypted under, and how far its schema is.
select (select value from tidings.settings where name = 'secret_key_fingerprint') as fingerprint, (select max(number) from tidings.migrations) as schema;
