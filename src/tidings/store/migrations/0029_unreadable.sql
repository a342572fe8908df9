-- To the operator: makes a small table and four small indexes. Who changes integrations, collections, settings of tables or backfills at that
-- moment waits for it, and it for them, up to 2 s. Captured writes do not wait.

-- Who lists what cannot be read would have to read all settings. So the mender reads some of them at a time, and writes down what it meets.
create table tidings.unreadable (
  kind text not null,
  key text collate "C" not null,
  found_at timestamptz not null default now(),
  primary key (kind, key),
  constraint unreadable_kind_is_known check (kind in ('integration', 'collection', 'table'))
);
comment on table tidings.unreadable is 'Integrations, collections and settings of tables that the mender could not read when it looked last. Whoever lists them reads them again. (Webhooks, jobs and backfills say it in their own rows.)';
comment on column tidings.unreadable.key is 'The id of an integration or a collection; the quoted name of a table.';
comment on constraint unreadable_kind_is_known on tidings.unreadable is 'Forbids kinds that nobody looks for.';

-- In the order of the key, whatever the language of the database is.
create index captured_tables_by_key on tidings.captured_tables ((quote_ident(table_schema) || '.' || quote_ident(table_name)) collate "C");
create index backfills_in_trouble on tidings.backfills (id) where state = 'running' and error is not null;
create index integrations_by_key on tidings.integrations ((id::text) collate "C");
create index collections_by_key on tidings.collections ((id::text) collate "C");
