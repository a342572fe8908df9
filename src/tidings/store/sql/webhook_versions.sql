-- name: versions_by_number
-- Also of webhooks that are deleted. $1 webhooks, $2 version of each
select v.* from unnest($1::uuid[], $2::integer[]) as wanted (webhook_id, version)
join tidings.webhook_versions v on v.webhook_id = wanted.webhook_id and v.version = wanted.version;

-- name: list_versions
-- Newest first. $1 group, $2 webhook, $3 before this version, or null, $4 how many
select * from tidings.webhook_versions
where webhook_id = $2 and group_id = $1 and version < coalesce($3::integer, 2147483647) order by version desc limit $4;

-- name: forget_versions
-- Those that no history names any more: superseded a day before the oldest partition begins, since an attempt is of the day of its
-- event or later. $1 how many at most
delete from tidings.webhook_versions v using (
  select s.webhook_id, s.version from tidings.webhook_versions s
  where s.superseded_at < (
    select min(to_date(right(c.relname, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC' - interval '1 day'
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tidings.events'::regclass and c.relname ~ '_[0-9]{8}$')
  order by s.superseded_at limit $1
) old
where v.webhook_id = old.webhook_id and v.version = old.version;
