-- To the operator: one column without a value, for homes of a fleet. Nothing is rewritten.

alter table tidings.outbox add column origin text;
comment on column tidings.outbox.origin is 'Of what came by the stream of a fleet: the source, whose clock its events have their order by. Sources are behind each other by as much as they like.';
