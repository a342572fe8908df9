-- name: hold
-- Held until the transaction ends, so that two customers cannot both make the last one. $1 group
select id from tidings.groups where id = $1 for no key update;

-- name: count
-- $1 group
select count(*) from tidings.customer_webhooks where group_id = $1;

-- name: add
-- $1 webhook, $2 group
insert into tidings.customer_webhooks (webhook_id, group_id) values ($1, $2);
