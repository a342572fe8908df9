-- name: fill
-- A backlog of published events in one transaction, in turns of groups. $1 how many, $2 how many types of each group, $3 bytes of
-- data in each, 150 or more, $4 groups
with made as (
  insert into tidings.outbox (group_id, source, type, record)
  select ($4::text[])[1 + i % cardinality($4::text[])], 'publish', 'bench.t' || i / cardinality($4::text[]) % $2::integer,
    json_build_object('id', i, 'email', 'user' || i || '@example.com', 'total', 12.5,
      'status', 'paid', 'created_at', '2026-01-01T00:00:00.000Z', 'note', repeat('x', $3::integer - 130))
  from generate_series(1, $1::integer) i
)
select pg_notify('tidings_outbox', '');

-- name: tidy
vacuum analyze tidings.outbox, tidings.queue, tidings.lanes, tidings.relay_flights;

-- name: has_relay
select exists (select from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 10 and granted
  and database = (select oid from pg_database where datname = current_database()));

-- name: has_intake
select exists (select from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 11 and granted
  and database = (select oid from pg_database where datname = current_database()));

-- name: is_relayed
select not exists (select from tidings.outbox) and not exists (select from tidings.relay_flights);
