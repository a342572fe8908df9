-- name: database
-- The number of this database, which it keeps under another name. A copy has another.
select oid::bigint from pg_database where datname = current_database();

-- name: may_read_system
-- Some who run PostgreSQL for others allow it to nobody.
select has_function_privilege('pg_catalog.pg_control_system()', 'execute');

-- name: system
-- The number of the cluster, which its standbys share.
select system_identifier from pg_control_system();
