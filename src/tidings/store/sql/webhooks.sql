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

-- name: webhooks_by_id
-- $1 ids
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.id = any ($1::uuid[]);

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
-- $1 group, $2 profile, $3 created at; then as in update_webhook: $4 id, $5 name, $6 description, $7 url, $8 enabled, $9 events,
-- $10 secret, $11 previous secret, $12 until, $13 asymmetric, $14 signature, $15 body template, $16 jwt, $17 method, $18 headers,
-- $19 timeout, $20 retry, $21 concurrency, $22 rate, $23 ordered; $24 managed by. A lane begins with ten at once and doubles with success: a
-- receiver that has never heard of us is not met by a hundred connections.
with made as (
  insert into tidings.webhooks (group_id, profile, created_at, updated_at, id, name, description, url, enabled, events,
    secret, previous_secret, previous_secret_until, is_asymmetric, signature, body_template, jwt_enabled, method, headers, timeout_seconds, retry, managed_by)
  values ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9::jsonb,
    $10, $11, $12, $13, $14::jsonb, $15, $16, $17, $18::jsonb, $19, $20::jsonb, $24)
  returning id
)
insert into tidings.lanes (webhook_id, open, concurrency, allowance, rate_per_second, ordered, tokens)
select id, $8, $21, least($21, 10), $22, $23, coalesce(greatest($22::float8, 1), 0) from made;

-- name: update_webhook
-- A change of its limits also forgets past failures: the owner has just looked after it.
-- $1 disabled reason, $2 updated at; then $3 id, $4 name, $5 description, $6 url, $7 enabled, $8 events, $9 secret,
-- $10 previous secret, $11 until, $12 asymmetric, $13 signature, $14 body template, $15 jwt, $16 method, $17 headers, $18 timeout,
-- $19 retry, $20 concurrency, $21 rate, $22 ordered
with changed as (
  update tidings.webhooks set disabled_reason = $1, updated_at = $2, name = $4, description = $5, url = $6, enabled = $7,
    events = $8::jsonb, secret = $9, previous_secret = $10, previous_secret_until = $11, is_asymmetric = $12, signature = $13::jsonb,
    body_template = $14, jwt_enabled = $15, method = $16, headers = $17::jsonb, timeout_seconds = $18, retry = $19::jsonb
  where id = $3
)
update tidings.lanes set open = $7, concurrency = $20, allowance = least($20, 10), rate_per_second = $21, ordered = $22,
  failure_count = 0, rest_count = 0, resting_until = null, saturated = false, due_at = now()
where webhook_id = $3;

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

-- name: managed_webhooks
-- Oldest first. $1 managed by
select w.*, l.concurrency, l.rate_per_second, l.ordered
from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.managed_by = $1 order by w.created_at, w.id;
