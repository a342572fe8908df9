-- To the operator: two columns, indexes and three small tables for the audit. Making the indexes takes about a second for a million entries.
-- Entries that are there already are sealed as they are by the first worker that starts. From now on entries are neither changed nor
-- taken away, but for those that are older than TIDINGS_AUDIT_DAYS.

alter table tidings.audit add column changes text;
alter table tidings.audit add column stamp bytea;
alter table tidings.audit add constraint audit_changes_are_bounded check (octet_length(changes) <= 8192);
alter table tidings.audit add constraint audit_stamp_is_whole check (octet_length(stamp) = 24);
comment on table tidings.audit is 'Who did what, on what, when, from where, and what changed by it: written with what it tells, read by people, never by the engine. It holds no secrets and no payloads. Nothing changes an entry; old ones go from the beginning of the chain.';
comment on column tidings.audit.changes is 'JSON: field to what it was and what it is, cut where long; secrets are hidden in it. Null: nothing was changed but what the action says.';
comment on column tidings.audit.stamp is '8 bytes of chance, and 16 by which whoever knows the key of the audit tells that a process of Tidings wrote this entry, and wrote it so. Null: from before there were stamps.';
create unique index audit_stamps_differ on tidings.audit (stamp);  -- a stamp cannot be used for a copy

create index audit_of_subject on tidings.audit (subject_id, number) where subject_id is not null;
create index audit_of_name on tidings.audit (subject, number) where subject <> '';
create index audit_of_who on tidings.audit (who_id, number) where who_id is not null;
create index audit_of_key on tidings.audit (key_id, number) where key_id is not null;
create index audit_of_key_name on tidings.audit (key_name, number) where key_name <> '';
create index audit_of_action on tidings.audit (action, number);
create index audit_of_address on tidings.audit (address, number) where address <> '';

-- The chain -------------------------------------------------------------------------------------------------------------------

create table tidings.audit_pending (
  number bigint primary key
);
comment on table tidings.audit_pending is 'Entries that are not sealed yet: each is here from the transaction that wrote it until a worker seals it, a second later.';

create table tidings.audit_chain (
  place bigint primary key,
  number bigint not null,
  sealed_at timestamptz not null,
  hash bytea not null,
  constraint audit_chain_hash_is_whole check (octet_length(hash) = 32)
);
comment on table tidings.audit_chain is 'The seals of entries, in the order in which they were found committed: each hash is over the entry and the hash before, with a key that the database does not know.';
create unique index audit_chain_by_number on tidings.audit_chain (number);

create table tidings.audit_head (
  is_only boolean primary key default true check (is_only),
  sealed_key bytea,
  place bigint not null default 0,
  hash bytea not null default decode(repeat('00', 32), 'hex'),
  anchor_place bigint not null default 0,
  anchor_hash bytea not null default decode(repeat('00', 32), 'hex'),
  unstamped_places bigint not null default 0,
  unstamped_until timestamptz,
  mac bytea
);
comment on table tidings.audit_head is 'One row: where the chain of the audit begins (behind its anchor: what was before is forgotten) and ends, and the key of its hashes, encrypted under SECRET_KEY.';
comment on column tidings.audit_head.unstamped_places is 'So many seals at the beginning are of entries from before there were stamps; others without one were written by processes of an older release, until unstamped_until.';
comment on column tidings.audit_head.mac is 'Over all else of this row but the key, with the key.';
insert into tidings.audit_head default values;

-- As who owns the tables: whoever may write an entry need not be able to touch what waits to be sealed.
create function tidings.audit_entered() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into tidings.audit_pending (number) values (new.number);
  return null;
end
$$;
create trigger audit_entered after insert on tidings.audit for each row execute function tidings.audit_entered();
insert into tidings.audit_pending (number) select number from tidings.audit;

create function tidings.audit_stays() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if tg_table_name = 'audit_chain' then
      if old.place <= (select anchor_place from tidings.audit_head) then return old; end if;
    elsif exists (
      select from tidings.audit_chain c join tidings.audit_head h on c.place <= h.anchor_place where c.number = old.number
    ) then return old; end if;
  end if;
  raise exception 'The audit is only ever added to: % of %.% is refused. Old entries go by themselves (TIDINGS_AUDIT_DAYS).',
    tg_op, tg_table_schema, tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_stays before update or delete on tidings.audit for each row execute function tidings.audit_stays();
create trigger audit_stays_whole before truncate on tidings.audit for each statement execute function tidings.audit_stays();
create trigger audit_chain_stays before update or delete on tidings.audit_chain for each row execute function tidings.audit_stays();
create trigger audit_chain_stays_whole before truncate on tidings.audit_chain for each statement execute function tidings.audit_stays();
