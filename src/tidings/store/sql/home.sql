-- name: database
-- The number of this database, which it keeps under another name. A copy has another.
select oid::bigint from pg_database where datname = current_database();

-- name: system
-- The number of the cluster, which its standbys share.
select system_identifier from pg_control_system();
