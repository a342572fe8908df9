-- name: register
-- $1 id, $2 host, $3 process id
insert into tidings.workers (id, host, pid) values ($1, $2, $3) returning part;

-- name: new_part
-- $1 id
update tidings.workers set part = nextval('tidings.statistics_part') where id = $1 returning part;

-- name: beat
-- No row: this worker was declared dead and its deliveries given to others. $1 id
update tidings.workers set heartbeat_at = clock_timestamp() where id = $1 returning clock_timestamp();

-- name: heartbeats
select id, heartbeat_at from tidings.workers;

-- name: leave
-- $1 id
delete from tidings.workers where id = $1;

-- name: are_any
-- $1 how long without a heartbeat
select exists (select from tidings.workers where heartbeat_at >= now() - $1::interval);

-- name: bury
-- Strikes workers from the list whose hearts have not beaten since they were looked at; their flights are nobody's then. $1 ids, $2 beats
delete from tidings.workers w using unnest($1::uuid[], $2::timestamptz[]) as dead (id, heartbeat_at)
where w.id = dead.id and w.heartbeat_at = dead.heartbeat_at returning w.id;

-- name: alive
-- $1 how long without a heartbeat
select count(*) from tidings.workers where heartbeat_at >= now() - $1::interval;

-- name: database_time
select clock_timestamp();

-- name: list
-- Those that are alive, the oldest first. $1 limit
select id, host, pid, started_at, heartbeat_at from tidings.workers order by started_at, id limit $1;
