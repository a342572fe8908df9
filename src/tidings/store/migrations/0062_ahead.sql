-- To the operator: one column without a value, for homes of a fleet. Nothing is rewritten.

alter table tidings.outbox add column answers bytea;
comment on column tidings.outbox.answers is 'Of what came by the stream of a fleet: what receivers answered to first attempts that were made while this database was away. They are recorded as the row is routed, and not made again.';
