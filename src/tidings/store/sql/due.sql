-- Whether duties that have nothing to do most of the time have something (theory: worker.looks).

-- name: look
-- Never less than each of them would find: a duty that is told wrongly that there is something looks itself. $1 now
select
  exists (select from tidings.backfills where state = 'running') as backfiller,
  exists (select from tidings.recoveries where state in ('waiting', 'running') and due_at <= $1) as recoverer,
  exists (select from tidings.erasures where state in ('waiting', 'running') and due_at <= $1) as eraser,
  exists (select from tidings.sealed_payloads where look_at <= $1) or exists (select from tidings.payload_ends where due_at <= $1) as shredder,
  exists (select from tidings.cron_jobs) or exists (select from tidings.collections) as scheduler,
  exists (select from tidings.audit_pending) as sealer;
