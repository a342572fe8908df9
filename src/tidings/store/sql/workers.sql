-- name: register
-- $1 id, $2 host, $3 process id
insert into tidings.workers (id, host, pid) values ($1, $2, $3);

-- name: beat
-- No row: this worker was declared dead and its deliveries given to others. $1 id
update tidings.workers set heartbeat_at = now() where id = $1 returning id;

-- name: leave
-- $1 id
delete from tidings.workers where id = $1;

-- name: rescue
-- Buries workers that stopped beating and frees what they held. The attempt each was making is put on record as lost,
-- because what came of it is unknown. $1 how long without a heartbeat
with dead as (
  delete from tidings.workers where heartbeat_at < now() - $1::interval returning id
), freed as (
  update tidings.queue q set worker_id = null, claimed_at = null, due_at = now(),
    last_status = null, last_error = 'The worker died before it could record the attempt.'
  from (
    select id, worker_id, claimed_at from tidings.queue
    where worker_id in (select id from dead)
       or worker_id is not null and not exists (select from tidings.workers w where w.id = worker_id)
    for update skip locked
  ) held
  where q.id = held.id
  returning q.id, q.webhook_id, q.attempt_count, held.worker_id, held.claimed_at
), recorded as (
  insert into tidings.attempts (delivery_id, number, started_at, failure, error, worker_id)
  select id, attempt_count, claimed_at, 'lost', 'The worker died before it could record the attempt.', worker_id from freed
  on conflict do nothing
), woken as (
  update tidings.lanes set due_at = least(due_at, now()), saturated = false where webhook_id in (select webhook_id from freed)
)
select count(*) from freed;

-- name: database_time
select clock_timestamp();
