-- To the operator: a view; nothing is read or rewritten.

-- Events by their type are found along an index on a hash. Functions of hashes may tell what they are given, for all that PostgreSQL knows
-- (they are not leakproof), so behind a policy it would not use that index: it read all of history instead. This view keeps groups apart
-- by itself. The conditions of whoever reads it are asked together with its own, so that the index serves.
create view tidings.own_events as
select id, group_id, source, type, operation, subject, table_schema, table_name, about, external_id, delivery_count
from tidings.events
where not (select row_security_active('tidings.webhooks')) or group_id = (select current_setting('tidings.group', true));
comment on view tidings.own_events is 'As events, for searches by type: to those whom row-level security binds, the rows of their group.';
