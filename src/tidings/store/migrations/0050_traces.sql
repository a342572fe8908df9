-- To the operator: events may belong to a trace, and attempts are counted by webhook for /metrics. Two columns without a value and one small table: nothing is
-- rewritten, and events that belong to no trace take no more room than before.

-- Which trace an event belongs to (theory: core/trace.py). A default, so that every way into the outbox has it: triggers, functions, COPY. What is no traceparent is left out here by its
-- shape, so that whoever sets it cannot make a row large; the rest of the rules is read where events are routed.
alter table tidings.outbox add column traceparent text;
alter table tidings.outbox alter column traceparent set default case when current_setting('tidings.traceparent', true) ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)'
  then left(current_setting('tidings.traceparent', true), 56) end;
alter table tidings.events add column traceparent text;
comment on column tidings.events.traceparent is 'The trace that it belongs to and the span that caused it, as W3C Trace Context writes it; null: it belongs to none.';

-- A monitoring system cannot hold a series for each of a million webhooks, and a series that is one webhook today and another tomorrow tells nothing. So the first webhooks that
-- deliver anything get a series each, which they keep until they are deleted, and all others are counted together, once and for good.
create table tidings.webhook_counters (
  webhook_id uuid not null,
  outcome text not null,
  group_id text not null,
  count bigint not null default 0,
  began_at timestamptz not null default now(),
  primary key (webhook_id, outcome)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table tidings.webhook_counters is 'Attempts since the beginning: of webhooks that have a series of their own in /metrics, and of all others together (webhook_id all zeros). Written as minutes are summed up.';
