-- About the server itself.

-- name: timeline
-- Which history of PostgreSQL this is: a standby that is promoted begins another. Null on a standby.
select case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end;
