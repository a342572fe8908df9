-- name: routes_version
select version from tidings.routes_version;

-- name: bump_routes_version
update tidings.routes_version set version = version + 1 returning version;

-- name: all_webhooks
select w.*, l.concurrency, l.rate_per_second, l.ordered from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id;

-- name: get_webhook
-- $1 group, $2 id
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.group_id = $1 and w.id = $2;

-- name: lock_webhook
-- The same, held until the transaction ends, so that two changes cannot overwrite each other. $1 group, $2 id
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.group_id = $1 and w.id = $2 for update of w;

-- name: list_webhooks
-- Newest first. $1 group, $2 limit, $3 offset
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id
where w.group_id = $1 order by w.created_at desc, w.id limit $2 offset $3;

-- name: insert_webhook
-- $1 id, $2 group, $3 name, $4 description, $5 url, $6 enabled, $7 profile, $8 events, $9 secret, $10 method, $11 headers,
-- $12 timeout, $13 retry, $14 created at, $15 concurrency, $16 rate, $17 ordered. A lane begins with ten at once and doubles
-- with success: a receiver that has never heard of us is not met by a hundred connections.
with made as (
  insert into tidings.webhooks (id, group_id, name, description, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry, created_at, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11::jsonb, $12, $13::jsonb, $14, $14)
  returning id
)
insert into tidings.lanes (webhook_id, open, concurrency, allowance, rate_per_second, ordered, tokens)
select id, $6, $15, least($15, 10), $16, $17, coalesce(greatest($16::float8, 1), 0) from made;

-- name: update_webhook
-- A change of its limits also forgets past failures: the owner has just looked after it. $1 id, $2 name, $3 description,
-- $4 url, $5 enabled, $6 disabled reason, $7 events, $8 secret, $9 method, $10 headers, $11 timeout, $12 retry, $13 updated at,
-- $14 concurrency, $15 rate, $16 ordered
with changed as (
  update tidings.webhooks set name = $2, description = $3, url = $4, enabled = $5, disabled_reason = $6, events = $7::jsonb, secret = $8,
    method = $9, headers = $10::jsonb, timeout_seconds = $11, retry = $12::jsonb, updated_at = $13
  where id = $1
)
update tidings.lanes set open = $5, concurrency = $14, allowance = least($14, 10), rate_per_second = $15, ordered = $16,
  failure_count = 0, rest_count = 0, resting_until = null, saturated = false, due_at = now()
where webhook_id = $1;

-- name: disable_webhooks
-- Closes webhooks whose receivers said they are gone. $1 ids, $2 reason
with disabled as (
  update tidings.webhooks set enabled = false, disabled_reason = $2, updated_at = now() where id = any ($1::uuid[]) and enabled returning id
), closed as (
  update tidings.lanes set open = false where webhook_id in (select id from disabled)
)
update tidings.routes_version set version = version + 1 where exists (select from disabled);

-- name: delete_webhook
-- Its lane goes with it. $1 id
delete from tidings.webhooks where id = $1;
