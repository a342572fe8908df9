-- name: look
-- Whether anything was counted since the last look, and which of the sessions that watch are still there. $1 sessions, $2 now
select (select coalesce(sum(count), 0)::bigint from tidings.counters) as counted,
  array(select s.id from tidings.sessions s join tidings.api_keys k on k.id = s.key_id and (k.expires_at is null or k.expires_at > $2)
    where s.id = any ($1::uuid[]) and s.ends_at > $2) as sessions;

-- name: newest
-- The newest deliveries of all groups after one, by the keys of both places; one under way comes when it is done. $1 after, $2 how many
select id, group_id, webhook_id, status from (
  (select id, group_id, webhook_id, status from tidings.deliveries where id > $1 order by id desc limit $2)
  union all
  (select id, group_id, webhook_id, case when attempt_count > 0 then 'retrying' else 'pending' end from tidings.queue where id > $1 order by id desc limit $2)
) places order by id desc limit $2;
