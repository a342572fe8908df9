-- name: routes_version
select version from tidings.routes_version;

-- name: routes_after
-- What routing needs of the webhooks behind an id. $1 id, $2 how many
select id, version, group_id, enabled, profile, events from tidings.webhooks where id > $1 order by id limit $2;

-- name: changes_after
-- What changed behind a version, each with what routing needs of the webhook as it is now. $1 version, $2 how many
select c.version as routes_version, c.webhook_id as id, w.version, w.group_id, w.enabled, w.profile, w.events
from tidings.webhook_changes c left join tidings.webhooks w on w.id = c.webhook_id
where c.version > $1 order by c.version limit $2;

-- name: forget_changes
-- $1 made before, $2 how many at most
delete from tidings.webhook_changes c using (select version from tidings.webhook_changes order by version limit $2) oldest
where c.version = oldest.version and c.changed_at < $1;

-- name: get_webhook
-- $1 group, $2 id
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.group_id = $1 and w.id = $2;

-- name: webhooks_by_id
-- $1 ids
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.id = any ($1::uuid[]);

-- name: lock_webhook
-- The same, held until the transaction ends, so that two changes cannot overwrite each other. $1 group, $2 id
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.group_id = $1 and w.id = $2 for update of w;

-- name: list_webhooks
-- Newest first. $1 group, $2 limit, $3 offset, $4 the last one of the page before, or null
with last as (
  select created_at, id from tidings.webhooks where group_id = $1 and id = $4
)
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id
where w.group_id = $1 and ($4::uuid is null
  or w.created_at <= (select created_at from last) and (w.created_at < (select created_at from last) or w.id > (select id from last)))
order by w.created_at desc, w.id limit $2 offset $3;

-- name: troubled
-- Webhooks that something else than their owner stopped, newest first; of a group's webhooks the newest $3 are looked at. $1 group, $2 how many
select id, name, url, updated_at, coalesce(disabled_reason, fault) as reason, enabled from (
  select id, name, url, created_at, updated_at, disabled_reason, fault, enabled from tidings.webhooks where group_id = $1 order by created_at desc, id limit $3
) w where fault is not null or not enabled and disabled_reason is not null order by updated_at desc limit $2;

-- name: managed_webhooks
-- Oldest first. $1 managed by
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.managed_by = $1 order by w.created_at, w.id;

-- name: insert_webhook
-- $1 group, $2 profile, $3 created at; then as in update_webhook: $4 id, $5 name, $6 description, $7 url, $8 enabled, $9 events,
-- $10 asymmetric, $11 signature, $12 body template, $13 jwt, $14 method, $15 headers, $16 timeout, $17 retry, $18 concurrency,
-- $19 rate, $20 ordered, $21 secret, $22 previous secret, $23 until; $24 managed by, $25 credentials
-- as they are shown, $26 sealed. A lane begins with ten at once and doubles with
-- success: a receiver that has never heard of us is not met by a hundred connections. The lane of a listener is shut: workers leave it alone.
with made as (
  insert into tidings.webhooks (group_id, profile, created_at, updated_at, id, name, description, url, enabled, events, is_asymmetric,
    signature, body_template, jwt_enabled, method, headers, timeout_seconds, retry, secret, previous_secret, previous_secret_until, managed_by, credentials, sealed_credentials)
  values ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9::jsonb, $10,
    $11::jsonb, $12, $13, $14, $15::jsonb, $16, $17::jsonb, $21, $22, $23, $24, $25::jsonb, $26)
  returning id, group_id
)
insert into tidings.lanes (webhook_id, group_id, open, closed_at, concurrency, allowance, rate_per_second, ordered, tokens)
select id, group_id, $8 and not coalesce($24 like 'listener:%', false), case when not $8 then $3::timestamptz end, $18, least($18, 10), $19, $20, coalesce(greatest($19::float8, 1), 0) from made;

-- name: update_webhook
-- $1 disabled reason, $2 updated at, $3 version, $4 fault, $5 profile; then $6 id, $7 name, $8 description, $9 url, $10 enabled, $11 events,
-- $12 asymmetric, $13 signature, $14 body template, $15 jwt, $16 method, $17 headers, $18 timeout, $19 retry, $20 concurrency, $21 rate,
-- $22 ordered, $23 secret, $24 previous secret, $25 until, $26 whether the credentials are others now, $27 as they are shown, $28 sealed. Where $23 is null the secrets stay
-- as they are, to the byte.
with changed as (
  update tidings.webhooks set disabled_reason = $1, updated_at = $2, version = $3, fault = $4, profile = $5, name = $7, description = $8, url = $9,
    enabled = $10, events = $11::jsonb, is_asymmetric = $12, signature = $13::jsonb, body_template = $14, jwt_enabled = $15, method = $16,
    headers = $17::jsonb, timeout_seconds = $18, retry = $19::jsonb, secret = coalesce($23::bytea, secret),
    previous_secret = case when $23::bytea is null then previous_secret else $24 end,
    previous_secret_until = case when $23::bytea is null then previous_secret_until else $25 end,
    credentials = case when $26 then $27::jsonb else credentials end, sealed_credentials = case when $26 then $28 else sealed_credentials end
  where id = $6
)
update tidings.lanes set open = $10 and $4::text is null and not exists (select from tidings.listeners where webhook_id = $6), closed_at = case when not $10 or $4::text is not null then coalesce(closed_at, $2) end,
  concurrency = $20, allowance = least($20, 10), rate_per_second = $21, ordered = $22,
  rest_count = 0, resting_until = null, held_until = null, saturated = false, due_at = now(), looped_at = null, loop_count = 0, loop_reason = null
where webhook_id = $6;

-- name: put_tables
-- $1 webhook; the tables it names: $2 schemas, $3 names, $4 operations
with named as (
  select * from unnest($2::text[], $3::text[], $4::text[]) as n (table_schema, table_name, operation)
), gone as (
  delete from tidings.table_subscriptions s where s.webhook_id = $1
    and (s.table_schema, s.table_name, s.operation) not in (select table_schema, table_name, operation from named)
)
insert into tidings.table_subscriptions (webhook_id, table_schema, table_name, operation)
select $1, table_schema, table_name, operation from named on conflict do nothing;

-- name: disable_webhooks
-- Closes webhooks whose receivers said they are gone, and returns those that were open. $1 ids, $2 reason
with disabled as (
  update tidings.webhooks set enabled = false, disabled_reason = $2, updated_at = now(), version = version + 1
  where id = any ($1::uuid[]) and enabled returning id
), closed as (
  update tidings.lanes set open = false, closed_at = coalesce(closed_at, now()) where webhook_id in (select id from disabled)
), unsubscribed as (
  delete from tidings.table_subscriptions where webhook_id in (select id from disabled)
)
select id from disabled;

-- name: delete_webhook
-- Its lane and what it subscribed to go with it. $1 id
delete from tidings.webhooks where id = $1;

-- name: record_changes
-- Keeps the present state of changed webhooks as a version, ends the one before, and tells workers which they were. The lock on
-- routes_version makes versions follow each other as they are committed. $1 ids, $2 when; null: now
with ended as (
  update tidings.webhook_versions v set superseded_at = coalesce($2::timestamptz, now())
  where v.webhook_id = any ($1::uuid[]) and v.superseded_at is null
), kept as (
  insert into tidings.webhook_versions (webhook_id, version, created_at, group_id, name, description, url, enabled, disabled_reason,
    profile, events, secret, previous_secret, previous_secret_until, is_asymmetric, signature, body_template, jwt_enabled, method,
    headers, timeout_seconds, retry, managed_by, concurrency, rate_per_second, ordered, webhook_created_at, credentials, sealed_credentials)
  select w.id, w.version, coalesce($2::timestamptz, now()), w.group_id, w.name, w.description, w.url, w.enabled, w.disabled_reason,
    w.profile, w.events, w.secret, w.previous_secret, w.previous_secret_until, w.is_asymmetric, w.signature, w.body_template, w.jwt_enabled, w.method,
    w.headers, w.timeout_seconds, w.retry, w.managed_by, l.concurrency, l.rate_per_second, l.ordered, w.created_at,
    w.credentials, w.sealed_credentials
  from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.id = any ($1::uuid[])
), next as (
  update tidings.routes_version set version = version + cardinality($1::uuid[]) returning version
)
insert into tidings.webhook_changes (version, webhook_id)
select next.version - cardinality($1::uuid[]) + c.place, c.id from next, unnest($1::uuid[]) with ordinality as c (id, place);

-- name: set_aside
-- Where the version is still the one that was read. A row that is being changed is not waited for: who changes it may want the lane,
-- which we hold. $1 ids, $2 versions, $3 faults
with held as (
  select w.id, f.fault from unnest($1::uuid[], $2::integer[], $3::text[]) as f (id, version, fault)
  join tidings.webhooks w on w.id = f.id and w.version = f.version
  for no key update of w skip locked
), rested as (
  update tidings.lanes l set open = l.open and l.webhook_id not in (select id from held),
    closed_at = case when l.webhook_id in (select id from held) then coalesce(l.closed_at, now()) else l.closed_at end, due_at = greatest(l.due_at, now() + interval '1 second')
  where l.webhook_id = any ($1::uuid[])
)
update tidings.webhooks w set fault = held.fault from held where w.id = held.id and w.fault is null
returning w.id;

-- name: lock_rows
-- In one order. $1 ids
select from tidings.webhooks where id = any ($1::uuid[]) order by id for no key update;

-- name: webhooks_called
-- Those whose name or URL holds a text, or whose id does when the text is no shorter than an id's first part, newest first, among the
-- first $5 behind a place. $1 group, $2 the text as a pattern of ILIKE, or null for any, $3 the last one of the page before, or null, $4 limit, $5 how many are looked at. The last row looked at is told as
-- well (matches false), so that the next page goes on from there.
with last as (
  select created_at, id from tidings.webhooks where group_id = $1 and id = $3
), looked as materialized (
  select id, created_at, row_number() over (order by created_at desc, id) as place,
    $2::text is null or name ilike $2 or url ilike $2 or length($2) > 9 and id::text ilike $2 as matches
  from (
    select id, created_at, name, url from tidings.webhooks
    where group_id = $1 and ($3::uuid is null or created_at <= (select created_at from last)
      and (created_at < (select created_at from last) or id > (select id from last)))
    order by created_at desc, id limit $5
  ) nearest
), chosen as (
  select id, place, matches from looked where matches order by place limit $4
), ends as (
  select id, place, false as matches from looked where not matches order by place desc limit 1
)
select w.*, l.concurrency, l.rate_per_second, l.ordered, (select e.narrowing from tidings.group_egress e where e.group_id = w.group_id) as narrowing, c.matches, c.place
from (select * from chosen union all select * from ends where place = $5) c
join tidings.webhooks w on w.id = c.id join tidings.lanes l on l.webhook_id = w.id order by c.place;
