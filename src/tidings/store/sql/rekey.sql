-- name: live_workers
-- How many worker processes are running: they hold the key in memory.
select count(*) from tidings.workers where heartbeat_at > now() - interval '15 seconds';

-- name: webhooks
-- $1 behind this id, $2 how many
select id, secret, previous_secret, sealed_credentials from tidings.webhooks where id > $1 order by id limit $2 for update;

-- name: reseal_webhook
-- $1 id, $2 secret, $3 previous secret, $4 credentials
update tidings.webhooks set secret = $2, previous_secret = $3, sealed_credentials = $4 where id = $1;

-- name: versions
-- $1, $2 behind this webhook and version, $3 how many
select webhook_id as id, version, secret, previous_secret, sealed_credentials from tidings.webhook_versions
where (webhook_id, version) > ($1::uuid, $2::integer) order by webhook_id, version limit $3 for update;

-- name: reseal_version
-- $1 webhook, $2 version, $3 secret, $4 previous secret, $5 credentials
update tidings.webhook_versions set secret = $3, previous_secret = $4, sealed_credentials = $5 where webhook_id = $1 and version = $2;

-- name: signing_keys
select id, private_key from tidings.signing_keys for update;

-- name: reseal_signing_key
-- $1 id, $2 private key
update tidings.signing_keys set private_key = $2 where id = $1;

-- name: integrations
select id, secret from tidings.integrations for update;

-- name: reseal_integration
-- $1 id, $2 secret
update tidings.integrations set secret = $2 where id = $1;

-- name: lock_fingerprint
select value from tidings.settings where name = 'secret_key_fingerprint' for update;

-- name: bins
select id, secret from tidings.bins where secret is not null for update;

-- name: reseal_bin
-- $1 id, $2 secret
update tidings.bins set secret = $2 where id = $1;

-- name: set_fingerprint
-- $1 fingerprint
update tidings.settings set value = $1 where name = 'secret_key_fingerprint';

-- name: payloads
-- $1 behind this event, $2 how many
select event_id as id, sealed from tidings.sealed_payloads where event_id > $1 order by event_id limit $2 for update;

-- name: reseal_payload
-- $1 event, $2 sealed
update tidings.sealed_payloads set sealed = $2 where event_id = $1;

-- name: set_aside
-- $1 behind this number, as a UUID, $2 how many
select lpad(to_hex(id), 32, '0')::uuid as id, sealed from tidings.outbox_rejected
where sealed is not null and lpad(to_hex(id), 32, '0')::uuid > $1 order by id limit $2 for update;

-- name: reseal_set_aside
-- $1 number as a UUID, $2 sealed
update tidings.outbox_rejected set sealed = $2 where sealed is not null and lpad(to_hex(id), 32, '0')::uuid = $1;

-- name: subjects
-- $1 behind this erasure, $2 how many
select id, subject as sealed from tidings.erasures where subject is not null and id > $1 order by id limit $2 for update;

-- name: reseal_subject
-- $1 erasure, $2 subject
update tidings.erasures set subject = $2 where id = $1;
