"""Capture: which changes become events, whatever the table is like."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tidings.config import Config
from tidings.core.errors import BusyError, InvalidInputError
from tidings.sources import tables
from tidings.store import webhooks

NOWHERE = "http://127.0.0.1:9/"


async def outbox(engine: Engine) -> list[Any]:
    return await engine.sql(
        "select operation, table_schema, table_name, record::text, old_record::text, capture_error from tidings.outbox order by id"
    )


async def operations(engine: Engine) -> list[str]:
    return [row["operation"] for row in await outbox(engine)]


async def test_insert_update_and_delete_become_events_with_both_rows(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, total numeric(10,2))")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await engine.user.execute("insert into orders values (1, 2.5); update orders set total = 3; delete from orders")
        insert, update, delete = await outbox(engine)
        assert (insert["operation"], insert["record"], insert["old_record"]) == (
            "INSERT",
            '{"id":1,"total":2.50}',
            None,
        )
        assert (update["record"], update["old_record"]) == ('{"id":1,"total":3.00}', '{"id":1,"total":2.50}')
        assert (delete["record"], delete["old_record"]) == (None, '{"id":1,"total":3.00}')


async def test_a_rolled_back_change_is_no_event(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("begin; insert into t values (1); rollback")
        await engine.user.execute(
            "begin; insert into t values (2); savepoint s; insert into t values (3); rollback to s; commit"
        )
        assert [row["record"] for row in await outbox(engine)] == ['{"id":2}']


async def test_a_bulk_statement_gives_one_event_per_row(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int primary key, n int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("insert into t select i, 0 from generate_series(1, 250) i")
        await engine.user.execute("update t set n = 1 where id <= 10")
        await engine.user.execute("insert into t values (1, 2), (999, 2) on conflict (id) do update set n = excluded.n")
        await engine.user.copy_records_to_table("t", records=[(1001, 0), (1002, 0)])
        kinds = await operations(engine)
        assert (kinds.count("INSERT"), kinds.count("UPDATE")) == (250 + 1 + 2, 10 + 1)


async def test_only_the_operations_a_webhook_wants_are_captured(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        first = await engine.add_webhook(NOWHERE, {"table": "t", "operations": ["DELETE"]})
        await engine.user.execute("insert into t values (1); delete from t")
        assert await operations(engine) == ["DELETE"]
        await engine.add_webhook(NOWHERE, "table.t.updated")
        await engine.user.execute("insert into t values (2); update t set id = 3; delete from t")
        assert await operations(engine) == ["DELETE", "UPDATE", "DELETE"]
        await drop_webhook(engine, first.id)
        await engine.user.execute("insert into t values (2); update t set id = 3; delete from t")
        assert await operations(engine) == ["DELETE", "UPDATE", "DELETE", "UPDATE"]


async def drop_webhook(engine: Engine, webhook_id: Any) -> None:
    async with engine.services.wide.transaction() as connection:
        webhook = await webhooks.get_webhook(connection, "default", webhook_id)
        await tables.keep_in_step(connection, was=webhook)
        await webhooks.delete_webhook(connection, webhook_id)


async def test_the_last_webhook_takes_the_trigger_with_it(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        webhook = await engine.add_webhook(NOWHERE, {"table": "t"})
        assert await engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 1
        await drop_webhook(engine, webhook.id)
        assert await engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 0


async def test_truncate_is_not_captured(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("insert into t values (1); truncate t")
        assert await operations(engine) == ["INSERT"]


@pytest.mark.parametrize(
    ("schema", "table"),
    [
        ("public", "Order Items"),
        ("Odd.Schema", "a.b"),
        ("sales", 'quo"ted'),
        ("public", "sélect"),
        ("s'x", "from"),
        ("public", "x" * 63),
    ],
)
async def test_tables_with_odd_names_are_captured_under_their_names(config: Config, schema: str, table: str) -> None:
    async with engine_of(config) as engine:
        quoted = await engine.value("select format('%I.%I', $1::text, $2::text)", schema, table)
        await engine.user.execute(await engine.value("select format('create schema if not exists %I', $1::text)", schema))
        await engine.user.execute(f"create table {quoted} (id int)")
        await engine.add_webhook(NOWHERE, {"table": table, "schema": schema})
        await engine.user.execute(f"insert into {quoted} values (1)")
        (row,) = await outbox(engine)
        assert (row["table_schema"], row["table_name"]) == (schema, table)


async def test_a_name_with_a_dot_is_a_schema_and_a_table_unless_public_has_it(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute('create schema auth; create table auth.users (id int); create table "auth.roles" (id int)')
        one = await engine.add_webhook(NOWHERE, {"table": "auth.users"})
        two = await engine.add_webhook(NOWHERE, {"table": "auth.roles"})
        assert [(one.events[0].schema, one.events[0].table)] == [("auth", "users")]
        assert [(two.events[0].schema, two.events[0].table)] == [("public", "auth.roles")]


async def test_changes_of_partitions_are_events_of_their_root(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create table log (day date, n int) partition by range (day);"
            "create table log_1 partition of log for values from ('2026-01-01') to ('2026-02-01');"
        )
        await engine.add_webhook(NOWHERE, {"table": "log"})
        await engine.user.execute("create table log_2 partition of log for values from ('2026-02-01') to ('2026-03-01')")
        await engine.user.execute(
            "insert into log values ('2026-01-05', 1), ('2026-02-05', 2); insert into log_2 values ('2026-02-06', 3)"
        )
        assert {row["table_name"] for row in await outbox(engine)} == {"log"}
        assert len(await outbox(engine)) == 3
        with pytest.raises(InvalidInputError, match="name the partitioned table"):
            await engine.add_webhook(NOWHERE, {"table": "log_1"})


async def test_a_row_moved_between_partitions_is_a_delete_and_an_insert(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create table p (k int, n int) partition by list (k); create table p1 partition of p for values in (1); create table p2 partition of p for values in (2)"
        )
        await engine.add_webhook(NOWHERE, {"table": "p"})
        await engine.user.execute("insert into p values (1, 1); update p set k = 2")
        assert await operations(engine) == ["INSERT", "DELETE", "INSERT"]


async def test_every_column_type_arrives_as_postgresql_writes_it(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create type mood as enum ('happy', 'sad'); create type pair as (a int, b text); create domain positive as int check (value > 0);"
            "create table kinds (i8 bigint, n numeric, f float8, b bool, t text, by bytea, ts timestamptz, d date, iv interval, u uuid, j json, jb jsonb,"
            " a int[], aa text[][], m mood, c pair, p positive, r int4range, net inet, bits bit(3), pt point, mny money, ch char(3), nul text,"
            " gen int generated always as (1 + 1) stored)"
        )
        await engine.add_webhook(NOWHERE, {"table": "kinds"})
        await engine.user.execute(
            """insert into kinds values (9223372036854775807, 1.10, 'Infinity', true, E'a"\\\\\\n\\u2028é', '\\xdeadbeef', '2026-11-21 12:00:00.123456+02',
            '2026-11-21', '1 day 2 hours', '550e8400-e29b-41d4-a716-446655440000', '{"a": 1,  "a": 2, "z": "\\u0000"}', '{"b": 1.0}', '{1,NULL,3}', '{{a,b},{c,d}}',
            'sad', '(1,"x y")', 5, '[1,5)', '10.0.0.1/8', '101', '(1,2)', '12.34', 'ab', null)"""
        )
        (row,) = await outbox(engine)
        assert row["capture_error"] is None
        record = msgspec.json.decode(row["record"])
        assert record["i8"] == 9223372036854775807
        assert record["f"] == "Infinity"
        assert record["by"] == "\\xdeadbeef"
        assert record["ts"] == "2026-11-21T10:00:00.123456+00:00"
        assert record["a"] == [1, None, 3]
        assert record["aa"] == [["a", "b"], ["c", "d"]]
        assert record["c"] == {"a": 1, "b": "x y"}
        assert record["j"]["z"] == "\x00"
        assert record["nul"] is None
        assert record["gen"] == 2
        assert list(record)[:4] == ["i8", "n", "f", "b"]


async def test_a_type_that_cannot_be_written_fails_no_statement_and_says_so(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create type odd as enum ('one'); create function odd_json(odd) returns json language plpgsql as $$ begin raise exception 'never'; end $$;"
            "create cast (odd as json) with function odd_json(odd); create table broken (id int, o odd)"
        )
        await engine.add_webhook(NOWHERE, {"table": "broken"})
        await engine.user.execute("insert into broken values (1, 'one')")
        (row,) = await outbox(engine)
        assert row["record"] is None
        assert "never" in row["capture_error"]


async def test_a_table_without_a_key_and_one_without_columns_are_captured(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table keyless (a int, b int); create table bare ()")
        await engine.add_webhook(NOWHERE, {"table": "keyless"}, {"table": "bare"})
        await engine.user.execute("insert into keyless values (1, 1), (1, 1); insert into bare default values")
        assert [row["record"] for row in await outbox(engine)] == ['{"a":1,"b":1}', '{"a":1,"b":1}', "{}"]


async def test_altering_dropping_and_renaming_a_captured_table_fails_nothing_and_shows(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int); create table u (id int)")
        webhook = await engine.add_webhook(NOWHERE, {"table": "t"}, {"table": "u"})
        await engine.user.execute("alter table t add column note text default 'x'; insert into t values (1)")
        await engine.user.execute("alter table t drop column id; insert into t values ('y')")
        assert [row["record"] for row in await outbox(engine)] == ['{"id":1,"note":"x"}', '{"note":"y"}']
        await engine.user.execute("drop table t; alter table u rename to v; insert into v values (1)")
        async with engine.services.wide.connection() as connection:
            states = {state.table: state.state for state in await tables.table_states(connection, webhook)}
        assert states == {"t": "missing", "u": "missing"}
        await engine.user.execute("create table t (id int)")
        await tables.keep_all_in_step(engine.services.wide)
        await engine.user.execute("insert into t values (7); insert into v values (2)")
        assert [row["record"] for row in await outbox(engine)][2:] == ['{"id":1}', '{"id":7}']


async def test_a_disabled_trigger_shows(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        webhook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("alter table t disable trigger tidings_capture")
        async with engine.services.wide.connection() as connection:
            (state,) = await tables.table_states(connection, webhook)
        assert state.state == "disabled"


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("create view x as select 1 as a", "a view"),
        ("create materialized view x as select 1 as a", "a materialized view"),
    ],
)
async def test_what_has_no_row_triggers_is_refused(config: Config, kind: str, named: str) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(kind)
        with pytest.raises(InvalidInputError, match=named):
            await engine.add_webhook(NOWHERE, {"table": "x"})


async def test_our_own_tables_are_refused(config: Config) -> None:
    async with engine_of(config) as engine:
        with pytest.raises(InvalidInputError, match="Tidings itself"):
            await engine.add_webhook(NOWHERE, {"table": "outbox", "schema": "tidings"})


async def test_a_table_locked_by_others_is_not_waited_for(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        writer = await asyncpg.connect(config.database_url)
        await writer.execute("begin; insert into t values (1)")
        with pytest.raises(BusyError, match="locked by another transaction"):
            await engine.add_webhook(NOWHERE, {"table": "t"})
        await writer.execute("commit")
        assert await engine.value("select count(*) from tidings.webhooks") == 0
        await writer.close()


async def test_one_tables_trouble_does_not_keep_others_from_being_captured(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int); create table u (id int)")
        await engine.add_webhook(NOWHERE, {"table": "t"}, {"table": "u"})
        await engine.user.execute("drop table t; drop table u; create table t (id int); create table u (id int)")
        writer = await asyncpg.connect(config.database_url)
        await writer.execute("begin; insert into t values (1)")
        await tables.keep_all_in_step(engine.services.wide)
        await engine.user.execute("insert into u values (1)")
        assert [row["table_name"] for row in await outbox(engine)] == ["u"]
        await writer.execute("rollback")
        await writer.close()


async def test_a_role_with_no_rights_on_our_schema_is_captured_all_the_same(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        role = await engine.value("select 'app_' || substr(md5(current_database()), 1, 8)")
        await engine.user.execute(f"create role {role}; grant insert on t to {role}; set role {role}")
        await engine.user.execute("insert into t values (1)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await engine.user.execute("select * from tidings.outbox")
        await engine.user.execute("reset role")
        assert await operations(engine) == ["INSERT"]
        await engine.user.execute(f"revoke all on t from {role}; drop role {role}")


async def test_no_wake_up_is_lost_however_transactions_and_sleep_fall(config: Config) -> None:
    """Changes committed while the dispatcher falls asleep and wakes are routed without the fallback's help."""
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        dispatcher = engine.worker.dispatcher
        dispatcher.fallback_interval = 2 * PATIENCE
        loop = asyncio.create_task(dispatcher.run())
        writers = [await asyncpg.connect(config.database_url) for _ in range(4)]

        async def write(connection: Any, number: int) -> None:
            for step in range(60):
                await connection.execute("begin")
                await connection.execute("insert into t values ($1)", number * 1000 + step)
                await asyncio.sleep(0.0005 * ((number * 7 + step * 3) % 11))  # transactions of all lengths
                await connection.execute("commit" if step % 5 else "rollback")

        await asyncio.gather(*(write(connection, number) for number, connection in enumerate(writers)))

        async def is_routed() -> bool:
            return not await engine.value("select exists (select from tidings.outbox)")

        await eventually(is_routed)
        dispatcher.stop()
        await loop
        for connection in writers:
            await connection.close()
        assert await engine.value("select count(*) from tidings.events") == 4 * 48
