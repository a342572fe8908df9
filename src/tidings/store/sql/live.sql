-- name: look
-- Whether anything was counted since the last look, and which of the sessions that watch are still there. $1 sessions, $2 now, $3 roles that
-- make links
select (select coalesce(sum(count), 0)::bigint from tidings.counters) as counted,
  array(select s.id from tidings.sessions s -- as `beginning` of sessions.sql
    left join tidings.api_keys k on k.id = s.key_id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > $2) and (k.group_id is null or k.group_id = s.group_id)
      and (s.key_hash = encode(k.token_hash, 'hex') or (s.key_hash = encode(k.previous_hash, 'hex') and k.previous_until > $2))
    left join tidings.portal_links l on l.id = s.link_id and tidings.maker_may(l, $2, $3::text[])
    where s.id = any ($1::uuid[]) and s.ends_at > $2 and (s.link_id is null or l.id is not null)
      and (k.id is not null or exists (select from tidings.member_roles r where r.member_id = s.member_id
        and (r.group_id is null or r.group_id = s.group_id)))) as sessions;

-- name: newest
-- The newest deliveries of all groups after one, by the keys of both places; one under way comes when it is done. $1 after, $2 how many
select id, group_id, webhook_id, status from (
  (select id, group_id, webhook_id, status from tidings.deliveries where id > $1 order by id desc limit $2)
  union all
  (select id, group_id, webhook_id, case when attempt_count > 0 then 'retrying' else 'pending' end from tidings.queue where id > $1 order by id desc limit $2)
) places order by id desc limit $2;

-- name: is_heard
-- Whether anybody listens. They hold the lock shared; who announces asks for it alone, and gives it back in the same breath: while nobody
-- listens no notification is made, since all notifying commits wait for each other.
select case when pg_try_advisory_lock(7413201, 5) then not pg_advisory_unlock(7413201, 5) else true end as listens;

-- name: announce
-- Tells of attempts that were recorded, unless the queue of notifications fills up because some session listens and reads none: a full one
-- fails whatever notifies. False: they were not told. $1 what is told
with room as materialized (select pg_notification_queue_usage() < 0.5 as is_left)
select (select is_left from room) and (select count(pg_notify('tidings_attempts', told)) from room, unnest($1::text[]) told where is_left) >= 0;

-- name: listen
-- From now on attempts are announced, as long as this session lasts.
select pg_advisory_lock_shared(7413201, 5);

-- name: probe
-- Whether the connection leads to a server that answers.
select true;
