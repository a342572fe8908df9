-- To the operator: for sources of a fleet: what waits for one home is read without what waits for others. Elsewhere the table is empty.

create index relay_flights_home on tidings.relay_flights (home, number);
alter table tidings.relay_flights add column is_split boolean not null default false;
comment on column tidings.relay_flights.is_split is 'It was larger than the stream carries when its turn came: it travels in pieces, and goes on so whatever is carried later.';
