-- name: register
-- $1 id, $2 host, $3 process id
insert into tidings.workers (id, host, pid) values ($1, $2, $3) returning part;

-- name: new_part
-- $1 id
update tidings.workers set part = nextval('tidings.statistics_part') where id = $1 returning part;

-- name: beat
-- No row: this worker was declared dead and its deliveries given to others. $1 id
update tidings.workers set heartbeat_at = now() where id = $1 returning id;

-- name: leave
-- $1 id
delete from tidings.workers where id = $1;

-- name: are_any
-- $1 how long without a heartbeat
select exists (select from tidings.workers where heartbeat_at >= now() - $1::interval);

-- name: bury
-- Strikes workers that stopped beating from the list; their flights are nobody's then. $1 how long without a heartbeat
delete from tidings.workers where heartbeat_at < now() - $1::interval returning id;

-- name: alive
-- $1 how long without a heartbeat
select count(*) from tidings.workers where heartbeat_at >= now() - $1::interval;

-- name: database_time
select clock_timestamp();
