-- About the server itself.

-- name: may_copy
-- PostgreSQL copies nothing into a table whose rows a policy has to look at. True where there is no schema of ours yet.
select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'tidings' and c.relname = 'outbox' and row_security_active(c.oid));

-- name: insert_rows
-- $1 table, $2 columns
select format('insert into tidings.%I (%s) values (%s)', $1::text, (select string_agg(format('%I', c), ', ' order by n) from unnest($2::text[]) with ordinality u (c, n)),
  (select string_agg('$' || n, ', ' order by n) from generate_series(1, cardinality($2::text[])) n)) as statement;

-- name: timeline
-- Which history of PostgreSQL this is: a standby that is promoted begins another. Null on a standby.
select case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end;
