"""Tables by customer: whose a row's event is, what of the row it shows, and which changes count."""

import asyncio
import json
import random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import Engine, engine_of, eventually
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.capture import TableSettings
from tidings.core.errors import BusyError, InvalidInputError
from tidings.operations import diagnosis
from tidings.sources import tables

NOWHERE = "http://127.0.0.1:9/"


async def configure(engine: Engine, table: str, **fields: Any) -> None:
    async with engine.services.wide.transaction() as connection:
        await tables.change_settings(connection, TableSettings("public", table, **fields))


async def told(engine: Engine) -> list[tuple[Any, ...]]:
    rows = await engine.sql("select group_id, operation, record, old_record from tidings.outbox order by id")
    return [(row[0], row[1], row[2] and json.loads(row[2]), row[3] and json.loads(row[3])) for row in rows]


# What a condition means, and what a session may set that PostgreSQL would read it by.
MEANS = (
    ("new.at > '2026-01-02 12:00'", "'2026-01-02 12:30Z'", True),
    ("new.at > '2026-01-02 12:00'", "'2026-01-02 11:30Z'", False),
    ("new.d = '1/2/2026'", "'2026-01-02'", True),
    ("new.lasts = '-1 2:00'", "make_interval(days => -1, hours => 2)", True),
    ("new.f::text = '0.1'", "0.1::float8", True),
    ("new.raw::text = '\\x41'", "'\\x41'::bytea", True),
    ("new.tags = '{null}'", "array[null::text]", True),
    ("new.n = null", "null::int", False),
    ("new.price > '1,5'", "9::money", False),
)
COLUMNS = {
    "at": "timestamptz",
    "d": "date",
    "lasts": "interval",
    "f": "float8",
    "raw": "bytea",
    "tags": "text[]",
    "n": "int",
    "price": "money",
}
SET = ("timezone = 'Asia/Tokyo'", "timezone = 'America/New_York'", "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'",
       "extra_float_digits = -15", "extra_float_digits = 3", "bytea_output = 'escape'", "array_nulls = off", "transform_null_equals = on")  # fmt: skip


async def test_a_condition_may_look_at_the_whole_row_and_have_backslashes(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int, path text)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        conditions = {"UPDATE": "old.* is distinct from new.*", "INSERT": r"new.path = 'a\b'", "DELETE": "old.* is not null"}
        await configure(engine, "t", conditions=conditions)
        await engine.user.execute(r"insert into t values (1, 'a\b'), (2, 'a/b'), (3, null)")
        await engine.user.execute("update t set path = 'a/b' where id < 3; delete from t")
        found = sorted((row[1], (row[2] or row[3])["id"]) for row in await told(engine))
        assert found == [("DELETE", 1), ("DELETE", 2), ("INSERT", 1), ("UPDATE", 1)]


async def test_a_condition_means_the_same_whoever_writes(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(f"create table t (id int, {', '.join(f'{name} {type_}' for name, type_ in COLUMNS.items())})")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        for condition, value, holds in MEANS:
            column = condition.partition(".")[2].replace("::", " ").split()[0]
            await configure(engine, "t", conditions={"INSERT": condition})
            for number, setting in enumerate(SET):
                await engine.user.execute(f"insert into t (id, {column}) select {number}, {value}")
                user = await asyncpg.connect(engine.services.config.database_url)
                await user.execute(f"set {setting}; insert into t (id, {column}) select {number}, {value}")
                await user.close()
            found = [row[2]["id"] for row in await told(engine)]
            assert found == [n for number in range(len(SET)) for n in (number, number)] * holds, condition
            await engine.user.execute("delete from tidings.outbox")


# Groups ----------------------------------------------------------------------------------------------------------------


STRANGE = r"""{"a": "\u0000", "b": ["\ud800", "\ude00\ud83d\ude00"], "c": "\\u0000 \\\u0000"}"""  # PostgreSQL keeps it and cannot read it


async def test_a_row_is_of_no_group_whose_name_only_looks_like_its_own(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account json)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", group_column="account")
        await engine.user.execute(r"""insert into orders values (1, '"acme\u0000"'), (2, '"\\ud800\udc00"')""")
        groups = [row["group_id"] for row in await engine.sql("select group_id from tidings.outbox order by id")]
        assert groups == [r"acme\u0000", r"\ud800\udc00"]


async def test_a_row_whose_json_postgresql_cannot_read_is_told_as_it_is_to_its_group(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id text, note json, secret json)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(
            engine, "orders", group_column="account_id", excluded_columns=("secret",), renamed_columns={"note": "text"}
        )
        await engine.user.execute("insert into orders values (1, 'acme', $1, $1)", STRANGE)
        await engine.user.execute("update orders set id = 2")
        await engine.user.execute("update orders set account_id = 'globex'")
        await engine.user.execute("delete from orders")
        first, acme, globex = (
            f'{{ "id" : {number}, "account_id" : "{group}", "text" : {STRANGE} }}'
            for number, group in ((1, "acme"), (2, "acme"), (2, "globex"))
        )
        rows = await engine.sql("select group_id, operation, record, old_record, capture_error from tidings.outbox order by id")
        assert [tuple(row) for row in rows] == [
            ("acme", "INSERT", first, None, None),
            ("acme", "UPDATE", acme, first, None),
            ("acme", "DELETE", None, acme, None),
            ("globex", "INSERT", globex, None, None),
            ("globex", "DELETE", None, globex, None),
        ]


async def test_a_row_with_very_many_such_escapes_keeps_nobody_waiting(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id text, note json)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", group_column="account_id")
        note = '"' + r"\u0000\ud83d" * 40_000 + '"'  # 250 s, when each escape looks back to the first byte
        async with engine.user.transaction():
            await engine.user.execute("set local statement_timeout = '20s'")
            await engine.user.execute("insert into orders values (1, 'acme', $1)", note)
        rows = await engine.sql("select group_id, record, capture_error from tidings.outbox")
        assert [tuple(row) for row in rows] == [("acme", f'{{ "id" : 1, "account_id" : "acme", "note" : {note} }}', None)]


async def test_surrogates_behind_a_backslash_that_is_escaped_are_no_pair(config: Config) -> None:
    async with engine_of(config) as engine:
        strange = r'"\\ud83d\ude00"'
        assert await engine.sql("select tidings.masked($1, 'x')", strange) == [(r'"\\ud83dxde00"',)]


async def test_a_row_that_cannot_be_written_as_json_is_told_to_its_group_with_the_reason(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("""create type odd as enum ('a');
          create function refuse(odd) returns json language plpgsql as $$ begin raise exception 'not this one'; end $$;
          create cast (odd as json) with function refuse(odd);
          create table orders (id int primary key, account_id text, odd odd)""")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", group_column="account_id")
        await engine.user.execute("insert into orders values (1, 'acme', 'a')")
        await engine.user.execute("update orders set account_id = 'globex'")
        rows = await engine.sql("select group_id, operation, record, old_record, capture_error from tidings.outbox order by id")
        reason = "The row could not be written as JSON: not this one"
        assert [tuple(row) for row in rows] == [
            ("acme", "INSERT", None, None, reason),
            ("acme", "DELETE", None, None, reason),
            ("globex", "INSERT", None, None, reason),
        ]


async def test_each_customer_hears_of_its_own_rows(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.engine.user.execute("create table orders (id int primary key, account_id text, total int)")
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    await api("PUT", "/api/v1/tables/orders", 200, {"group_by": "account_id"})
    hook = {"url": receiver.url("/acme"), "events": [{"table": "orders"}]}
    made = await api("POST", "/api/v1/webhooks", 201, hook, headers={"X-Tidings-Group": "acme"})
    await api.create(receiver.url("/operator"), {"table": "orders"})
    await api.engine.user.execute("insert into orders values (1, 'acme', 10), (2, 'globex', 20), (3, null, 30)")
    await receiver.wait_for(2)
    got = sorted((request.path, json.loads(request.body)["data"]["record"]["id"]) for request in receiver.received)
    assert got == [("/acme", 1), ("/operator", 3)]
    assert [group["id"] for group in await api("GET", "/api/v1/groups", 200)] == ["acme", "default", "globex"]
    # What belongs to a group is not there for another.
    await api("GET", f"/api/v1/webhooks/{made['id']}", 404)
    await api("GET", f"/api/v1/webhooks/{made['id']}", 200, headers={"X-Tidings-Group": "acme"})
    assert len(await api("GET", "/api/v1/events", 200, headers={"X-Tidings-Group": "globex"})) == 1
    refused = await api("GET", "/api/v1/events", 404, headers={"X-Tidings-Group": "nobody"})
    assert "Make the group first." in refused["error"]


async def test_a_row_that_changes_hands_is_deleted_for_one_and_inserted_for_the_other(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id int, total int)")
        await engine.add_webhook(NOWHERE, {"table": "orders", "operations": ["INSERT"]})
        await configure(engine, "orders", group_column="account_id")
        await engine.user.execute("insert into orders values (1, 7, 10)")
        await engine.user.execute("update orders set total = 11")  # nobody wants updates
        await engine.user.execute("update orders set account_id = 8")
        old, new = {"id": 1, "account_id": 7, "total": 11}, {"id": 1, "account_id": 8, "total": 11}
        assert (await told(engine))[1:] == [("7", "DELETE", None, old), ("8", "INSERT", new, None)]
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await engine.user.execute("update orders set total = 12; delete from orders")
        assert [row[:2] for row in (await told(engine))[3:]] == [("8", "UPDATE"), ("8", "DELETE")]


async def test_rows_of_unknown_groups_can_be_ignored(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id text)")
        await engine.user.execute("insert into tidings.groups (id) values ('acme')")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", group_column="account_id", unknown_groups="ignore")
        await engine.user.execute("insert into orders values (1, 'acme'), (2, 'stranger')")
        await engine.user.execute("update orders set account_id = 'acme' where id = 2")
        assert [(row[0], row[1], row[2]["id"]) for row in await told(engine)] == [("acme", "INSERT", 1), ("acme", "INSERT", 2)]


async def test_a_group_that_cannot_be_one_is_set_aside_with_the_reason(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id text)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", group_column="account_id")
        await engine.user.execute("insert into orders values (1, E'no\\ttabs please'), (2, 'acme')")
        await engine.worker.dispatcher.run_once()
        (rejected,) = await engine.sql("select error from tidings.outbox_rejected")
        assert "A group's id has 1 to 100 characters" in rejected["error"]
        assert await engine.value("select group_id from tidings.events") == "acme"


# What is shown ---------------------------------------------------------------------------------------------------------


async def test_an_excluded_column_is_nowhere_in_storage_or_logs(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    secret = "hunter2-the-secret"
    async with engine_of(config) as engine:
        await engine.user.execute("""
            create function burst(jsonb) returns json language plpgsql as $$ begin raise 'cannot write %', $1; end $$;
            create type token as (value jsonb);
            create table users (id int primary key, email text, password text, api_token token, born date);
        """)
        await engine.add_webhook(NOWHERE, {"table": "users"})
        await configure(engine, "users", excluded_columns=("password", "api_token"), renamed_columns={"email": "mail"})
        await engine.user.execute(
            f"insert into users values (1, 'a@b.c', '{secret}', row('{{\"t\":\"{secret}\"}}'), '2001-02-03')"
        )
        await engine.user.execute(f"update users set password = '{secret}2', email = 'd@e.f'; delete from users")
        # A value whose conversion fails with the value in its message:
        await engine.user.execute(
            f"create cast (token as json) with inout; insert into users values (2, 'x', '{secret}', row('\"{secret}\"'), null)"
        )
        await engine.cycle()
        rows = await engine.sql("select operation, record, old_record, capture_error from tidings.events order by id")
        assert json.loads(rows[0]["record"]) == {"id": 1, "mail": "a@b.c", "born": "2001-02-03"}
        assert json.loads(rows[1]["old_record"])["mail"] == "a@b.c"
        assert [row["operation"] for row in rows] == ["INSERT", "UPDATE", "DELETE", "INSERT"]
        stored = ""
        for row in await engine.sql(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'tidings'"
        ):
            stored += "".join(r["line"] for r in await engine.sql(f"select t::text as line from {row['name']} t"))
        assert "a@b.c" in stored
        assert secret not in stored
        assert secret not in caplog.text


async def test_an_error_about_a_row_with_excluded_columns_tells_no_value(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("""
            create type sealed as (v text);
            create function sealed_json(sealed) returns json language plpgsql as $$ begin raise 'broken: %', $1.v; end $$;
            create cast (sealed as json) with function sealed_json(sealed);
            create table t (id int primary key, s sealed);
        """)
        await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("create domain d as sealed")
        await configure(engine, "t", excluded_columns=("s",))
        await engine.user.execute("insert into t values (1, row('top secret'))")
        (row,) = await engine.sql("select record, capture_error from tidings.outbox")
        assert "top secret" not in (row["capture_error"] or "")
        assert "top secret" not in (row["record"] or "")


# Which changes count ---------------------------------------------------------------------------------------------------


async def test_updates_count_only_when_a_named_column_changed(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, status text, meta json, seen int)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        await configure(engine, "orders", changed_columns=("status", "meta"))
        await engine.user.execute("insert into orders values (1, 'new', '{\"a\":1}', 0)")
        await engine.user.execute("update orders set seen = 1; update orders set status = 'new', meta = '{\"a\":1}'")
        await engine.user.execute("update orders set meta = '{\"a\":2}'; update orders set status = null; delete from orders")
        assert [row[1] for row in await told(engine)] == ["INSERT", "UPDATE", "UPDATE", "DELETE"]


async def test_conditions_decide_by_operation(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, total int)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        big = {"INSERT": "new.total > 100 -- large ones", "UPDATE": "new.total > 100 or old.total > 100"}
        await configure(engine, "orders", conditions=big)
        await engine.user.execute("insert into orders values (1, 5), (2, 500)")
        await engine.user.execute("update orders set total = total + 1; delete from orders")
        assert [(row[1], (row[2] or row[3])["id"]) for row in await told(engine)] == [
            ("INSERT", 2), ("UPDATE", 2), ("DELETE", 1), ("DELETE", 2),
        ]  # fmt: skip
        await configure(engine, "orders")
        await engine.user.execute("insert into orders values (3, 1)")
        assert (await told(engine))[-1][2] == {"id": 3, "total": 1}


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"group_column": "acount_id"}, "group_by", "group_by names the column 'acount_id'; public.orders has id, account_id, total."),
        ({"excluded_columns": ("x",)}, "exclude", "exclude names the column 'x'"),
        ({"changed_columns": ("x",)}, "changed", "changed names the column 'x'"),
        ({"renamed_columns": {"x": "y"}}, "rename", "rename names the column 'x'"),
        ({"renamed_columns": {"total": "id"}}, "rename", "two columns the name 'id'"),
        ({"unknown_groups": "guess"}, "unknown_groups", "write make or ignore"),
        ({"conditions": {"TRUNCATE": "true"}}, "when", "its members are INSERT, UPDATE and DELETE"),
        ({"conditions": {"INSERT": "new.tota > 1"}}, "when", "tota"),
        ({"conditions": {"INSERT": "old.total > 1"}}, "when", "old, which INSERT does not have"),
        ({"conditions": {"INSERT": "true) execute function pg_sleep(); --"}}, "when", "a ) too many"),
        ({"conditions": {"INSERT": "true; drop table orders; --"}}, "when", "';"),
        ({"conditions": {"INSERT": "(select true)"}}, "when", "subquer"),
    ],
)  # fmt: skip
async def test_settings_that_cannot_be_are_refused(config: Config, fields: Any, field: str, says: str) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, account_id int, total int)")
        with pytest.raises(InvalidInputError) as refused:
            await configure(engine, "orders", **fields)
        assert refused.value.field == field
        assert says in refused.value.message
        assert await engine.value("select count(*) from tidings.captured_tables") == 0
        assert (
            await engine.value("select count(*) from pg_trigger where tgname like 'tidings%' and tgrelid = 'orders'::regclass")
            == 0
        )


async def test_settings_of_a_locked_table_are_refused_and_stay_as_they_were(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, note text)")
        await engine.add_webhook(NOWHERE, {"table": "orders"})
        other = await asyncpg.connect(config.database_url)
        await other.execute("begin; insert into orders values (1, 'held')")
        with pytest.raises(BusyError, match="orders is locked"):
            await configure(engine, "orders", excluded_columns=("note",))
        await other.execute("commit")
        await other.close()
        assert [row[2] for row in await told(engine)] == [{"id": 1, "note": "held"}]


async def test_a_partitioned_table_has_settings_too(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("""
            create table events (id int, account text, body text, primary key (id)) partition by range (id);
            create table events_1 partition of events for values from (0) to (100);
        """)
        await engine.add_webhook(NOWHERE, {"table": "events"})
        await configure(engine, "events", group_column="account", excluded_columns=("body",), changed_columns=("account",))
        await engine.user.execute("create table events_2 partition of events for values from (100) to (200)")
        await engine.user.execute("insert into events_1 values (1, 'a', 'x'); insert into events values (101, 'b', 'y')")
        await engine.user.execute("update events set body = 'z'")
        assert await told(engine) == [
            ("a", "INSERT", {"id": 1, "account": "a"}, None), ("b", "INSERT", {"id": 101, "account": "b"}, None),
        ]  # fmt: skip
        names = await engine.sql("select distinct table_name from tidings.outbox")
        assert [row["table_name"] for row in names] == ["events"]


async def test_settings_are_read_changed_and_taken_away_over_http(api: Api) -> None:  # noqa: F811
    await api.engine.user.execute("create schema sales; create table sales.orders (id int primary key, kind text, pin text)")
    await api("GET", "/api/v1/tables/sales.orders", 404)
    await api.create(NOWHERE, {"schema": "sales", "table": "orders"})
    plain = await api("GET", "/api/v1/tables/sales.orders", 200)
    assert (plain["operations"], plain["exclude"]) == (["INSERT", "UPDATE", "DELETE"], [])
    body = {"exclude": ["pin"], "rename": {"kind": "type"}, "changed": ["kind"], "when": "new.kind <> 'draft'"}
    refused = await api("PUT", "/api/v1/tables/sales.orders", 422, body)
    assert (refused["field"], "DELETE" in refused["error"]) == ("when", True)
    body["when"] = {"INSERT": "new.kind <> 'draft'"}
    made = await api("PUT", "/api/v1/tables/sales.orders", 200, body)
    assert made.pop("warnings") == []
    assert made == await api("GET", "/api/v1/tables/sales.orders", 200)
    assert {name: made[name] for name in body} == body
    assert await api("GET", "/api/v1/tables", 200) == [made]
    assert await api("DELETE", "/api/v1/tables/sales.orders", 200) == plain | {"warnings": []}
    assert await api("GET", "/api/v1/tables/sales.orders", 200) == plain
    await api("DELETE", "/api/v1/tables/sales.orders", 404)
    await api("PUT", "/api/v1/tables/missing", 422, {})


# Every committed change, nothing else ----------------------------------------------------------------------------------

_STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["insert", "update", "delete", "merge", "savepoint", "rollback to", "release", "commit", "rollback"]),
        st.integers(1, 8),
        st.integers(1, 4),
    ),
    max_size=40,
)


class Session:
    """One of several users' connections, and what its open transaction has changed, savepoint by savepoint."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.levels: list[list[tuple[Any, ...]]] = []

    async def do(self, kind: str, first: int, count: int, stamp: int) -> list[tuple[Any, ...]]:
        """Take a step; returns what was committed by it."""
        if not self.levels:
            await self.connection.execute("begin")
            self.levels.append([])
        ids = f"between {first} and {first + count - 1}"
        statements = {
            "insert": f"insert into t select i, {stamp} from generate_series({first}, {first + count - 1}) i on conflict (id) do nothing returning 'INSERT', id, n",
            "update": f"update t set n = {stamp} where id {ids} returning 'UPDATE', id, n",
            "delete": f"delete from t where id {ids} returning 'DELETE', id, n",
            "merge": f"insert into t values ({first}, {stamp}) on conflict (id) do update set n = excluded.n "
            "returning case when xmax = 0 then 'INSERT' else 'UPDATE' end, id, n",
        }
        if kind in statements:
            try:
                self.levels[-1] += [tuple(row) for row in await self.connection.fetch(statements[kind])]
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError):
                await self._back()
        elif kind == "savepoint":
            await self.connection.execute(f"savepoint s{len(self.levels)}")
            self.levels.append([])
        elif kind == "release" and len(self.levels) > 1:
            done = self.levels.pop()
            await self.connection.execute(f"release savepoint s{len(self.levels)}")
            self.levels[-1] += done
        elif kind == "rollback to":
            await self._back()
        elif kind == "rollback":
            await self.connection.execute("rollback")
            self.levels = []
        elif kind == "commit":
            await self.connection.execute("commit")
            done, self.levels = [change for level in self.levels for change in level], []
            return done
        return []

    async def _back(self) -> None:
        if len(self.levels) > 1:
            self.levels.pop()
            await self.connection.execute(f"rollback to savepoint s{len(self.levels)}; release savepoint s{len(self.levels)}")
        else:
            await self.connection.execute("rollback")
            self.levels = []


@pytest.mark.parametrize("shaped", [False, True], ids=["plain", "with settings"])
async def test_events_are_the_committed_changes_whatever_the_interleaving(config: Config, shaped: bool) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int primary key, n int)")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        if shaped:
            await configure(engine, "t", renamed_columns={"id": "key"})
        sessions = [Session(await asyncpg.connect(config.database_url)) for _ in range(3)]
        for session in sessions:
            await session.connection.execute("set lock_timeout = '3ms'")
        loop = asyncio.get_running_loop()
        scripts: list[Any] = []

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_STEPS)
        def collect(steps: list[tuple[int, str, int, int]]) -> None:
            scripts.append(steps)

        await loop.run_in_executor(None, collect)
        key = "key" if shaped else "id"
        for steps in scripts:
            await engine.user.execute("truncate t, tidings.outbox")
            committed: list[tuple[Any, ...]] = []
            for stamp, (who, kind, first, count) in enumerate(steps):
                committed += await sessions[who].do(kind, first, count, stamp)
            for session in sessions:
                if session.levels:
                    await session.do("rollback", 0, 0, 0)
            events = [(operation, row[key], row["n"]) for _, operation, new, old in await told(engine) for row in (new or old,)]
            assert sorted(events) == sorted(committed), steps
        for session in sessions:
            await session.connection.close()


# Backfill --------------------------------------------------------------------------------------------------------------


async def start_backfill(engine: Engine, webhook_id: UUID, table: str = "t") -> None:
    from tidings.sources import backfill
    from tidings.store import capture, webhooks

    async with engine.services.wide.transaction() as connection:
        await capture.lock(connection)
        webhook = await webhooks.get_webhook(connection, "default", webhook_id)
        assert webhook is not None
        await backfill.begin(connection, webhook, ("public", table), engine.clock.now())
        await tables.keep_in_step(connection, needed=("public", table))


async def test_a_backfill_sends_every_row_once_and_then_its_changes(config: Config) -> None:
    """Writers insert, update, delete, roll back and hold rows while the backfill goes by them."""
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create table t (id int primary key, n int); insert into t select i * 2, 0 from generate_series(1, 9000) i"
        )
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await start_backfill(engine, hook.id)
        rng, stop = random.Random(5), asyncio.Event()

        async def write(number: int) -> None:
            connection = await asyncpg.connect(config.database_url)
            count = 0
            while not stop.is_set():
                count += 1
                some = sorted(rng.sample(range(1, 18_100), 3))
                end = rng.choice(["commit", "commit", "rollback"])
                inner = rng.choice(["release savepoint s", "rollback to savepoint s"])
                await connection.execute(
                    f"begin; update t set n = n + 1 where id between {some[0]} and {some[0] + 5};"
                    f"savepoint s; insert into t values ({some[1]}, {number}) on conflict (id) do update set n = t.n + 10;"
                    f"delete from t where id = {some[2]}; {inner}"
                )
                await connection.execute(f"select pg_sleep({rng.random() / 200}); {end}")
            await connection.close()

        writers = [asyncio.create_task(write(number)) for number in range(4)]
        while await engine.value("select count(*) from tidings.backfills where state = 'running'"):
            await engine.worker.backfiller.run_once()
            if await engine.value("select count(*) > 9000 from tidings.outbox"):
                await engine.user.execute("create table if not exists kept as select * from tidings.outbox with no data")
                await engine.user.execute(
                    "with taken as (delete from tidings.outbox returning *) insert into kept select * from taken"
                )
        stop.set()
        await asyncio.gather(*writers)
        await engine.user.execute("create table if not exists kept as select * from tidings.outbox with no data")
        rows = await engine.sql("""
            select operation, webhook_id, coalesce(record, old_record) as row from kept union all
            select operation, webhook_id, coalesce(record, old_record) from tidings.outbox
        """)
        order = await engine.sql("""
            select operation, webhook_id, row from (
              select id, operation, webhook_id, coalesce(record, old_record) as row from kept union all
              select id, operation, webhook_id, coalesce(record, old_record) from tidings.outbox) both_of_them order by id
        """)
        assert len(order) == len(rows)
        replayed: dict[int, int] = {}
        seen: set[int] = set()
        backfilled = 0
        for event in order:
            row = json.loads(event["row"])
            if event["webhook_id"] is not None:
                assert row["id"] not in seen, "a row that an event has told was sent again, or sent twice"
                backfilled += 1
            seen.add(row["id"])
            if event["operation"] == "DELETE":
                replayed.pop(row["id"], None)
            else:
                replayed[row["id"]] = row["n"]
        assert replayed == {row["id"]: row["n"] for row in await engine.sql("select id, n from t")}
        (done,) = await engine.sql("select * from tidings.backfills")
        assert (done["state"], done["row_count"], done["error"]) == ("finished", backfilled, None)
        assert backfilled > 5000
        assert done["skipped_count"] > 0
        # What it needed is gone: the trigger is a plain one again, and no change is noted any more.
        assert (
            await engine.value(
                "select p.proname from pg_trigger t join pg_proc p on p.oid = t.tgfoid where tgname = 'tidings_capture'"
            )
            == "capture"
        )


async def test_a_backfill_shows_rows_as_live_events_do(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("""
            create table t (a text, b int, account text, pin text, primary key (a, b));
            insert into t values ('x', 2, 'default', '1'), ('x', 1, 'default', '2'), ('"y', 1, 'default', '3'), ('z', 1, 'acme', '4'), ('w', 0, null, '5');
        """)
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await configure(
            engine,
            "t",
            group_column="account",
            excluded_columns=("pin",),
            renamed_columns={"b": "bee"},
            conditions={"INSERT": "new.b > 0"},
        )
        await start_backfill(engine, hook.id)
        await engine.worker.backfiller.run_once()
        assert [(g, o, r["a"], r["bee"], sorted(r)) for g, o, r, _ in await told(engine)] == [
            ("default", "INSERT", '"y', 1, ["a", "account", "bee"]),
            ("default", "INSERT", "x", 1, ["a", "account", "bee"]),
            ("default", "INSERT", "x", 2, ["a", "account", "bee"]),
        ]


async def test_a_backfill_goes_to_its_webhook_alone(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.engine.user.execute("create table t (id int primary key); insert into t select generate_series(1, 30)")
    await api.create(receiver.url("/old"), {"table": "t"})
    new = await api.create(receiver.url("/new"), {"table": "t"})
    made = await api("POST", "/api/v1/tables/t/backfill", 202, {"webhook_id": new["id"]})
    await receiver.wait_for(30)
    await api.engine.user.execute("insert into t values (31)")
    await receiver.wait_for(32)
    bodies = [(request.path, json.loads(request.body)["data"]["record"]["id"]) for request in receiver.received]
    assert sorted(n for path, n in bodies if path == "/new") == list(range(1, 32))
    assert [n for path, n in bodies if path == "/old"] == [31]
    done = await api("GET", f"/api/v1/backfills/{made['id']}", 200)
    assert (done["state"], done["row_count"], done["skipped_count"]) == ("finished", 30, 0)
    assert (await api("GET", "/api/v1/backfills", 200))[0]["id"] == made["id"]
    await api("POST", f"/api/v1/backfills/{made['id']}/cancel", 409)


async def test_a_backfill_that_cannot_be_is_refused(api: Api) -> None:  # noqa: F811
    await api.engine.user.execute(
        "create table keyless (id int); create table t (id int primary key); insert into t values (1)"
    )
    updates = await api.create(NOWHERE, {"table": "t", "operations": ["UPDATE"]})
    hook = await api.create(NOWHERE, {"table": "t"}, {"table": "keyless"})
    for table, webhook, status, says in (
        ("t", updates["id"], 422, "does not hear INSERTs of public.t"),
        ("keyless", hook["id"], 422, "has no primary key"),
        ("nothing", hook["id"], 422, "There is no table public.nothing"),
        ("t", "00000000-0000-0000-0000-000000000000", 404, "There is no webhook"),
    ):
        refused = await api("POST", f"/api/v1/tables/{table}/backfill", status, {"webhook_id": webhook})
        assert says in refused["error"]


async def test_a_backfill_tells_no_group_what_is_anothers(api: Api, receiver: Receiver) -> None:  # noqa: F811
    acme = {"X-Tidings-Group": "acme"}
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    await api.engine.user.execute(
        "create table t (id int primary key, account text); insert into t values (1, 'acme'), (2, 'globex'), (3, null)"
    )
    hook = await api("POST", "/api/v1/webhooks", 201, {"url": receiver.url(), "events": [{"table": "t"}]}, headers=acme)
    start = {"webhook_id": hook["id"]}
    refused = await api("POST", "/api/v1/tables/t/backfill", 422, start, headers=acme)
    assert "Set group_by" in refused["error"]
    await api("PUT", "/api/v1/tables/t", 200, {"group_by": "account", "exclude": ["id"]})
    assert "id is excluded" in (await api("POST", "/api/v1/tables/t/backfill", 422, start, headers=acme))["error"]
    await api("PUT", "/api/v1/tables/t", 200, {"group_by": "account"})
    await api("POST", "/api/v1/tables/t/backfill", 404, start)
    made = await api("POST", "/api/v1/tables/t/backfill", 202, start, headers=acme)

    async def is_over() -> bool:
        return (await api("GET", f"/api/v1/backfills/{made['id']}", 200, headers=acme))["state"] == "finished"

    await eventually(is_over)
    (request,) = await receiver.wait_for(1)
    assert json.loads(request.body)["data"]["record"] == {"id": 1, "account": "acme"}


async def test_one_backfill_of_a_table_at_a_time_and_it_can_be_cancelled(config: Config) -> None:
    from tidings.core.errors import ConflictError

    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int primary key); insert into t values (1)")
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await start_backfill(engine, hook.id)
        with pytest.raises(ConflictError, match="is under way"):
            await start_backfill(engine, hook.id)
        await engine.user.execute("drop table t")
        await engine.worker.backfiller.run_once()
        assert "does not exist" in await engine.value("select error from tidings.backfills")


async def test_a_backfill_comes_back_to_rows_that_were_being_changed(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create table t (id int primary key, n int); insert into t select i, 0 from generate_series(1, 5) i"
        )
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await start_backfill(engine, hook.id)
        changes, deletes, undoes = [await asyncpg.connect(config.database_url) for _ in range(3)]
        await changes.execute("begin; update t set n = 1 where id = 1")
        await deletes.execute("begin; delete from t where id = 2")
        await undoes.execute("begin; update t set n = 1 where id = 3")
        await engine.worker.backfiller.run_once()
        assert sorted(row[2]["id"] for row in await told(engine)) == [4, 5]
        assert await engine.value("select state from tidings.backfills") == "running"
        await changes.execute("commit")
        await deletes.execute("commit")
        await undoes.execute("rollback")
        await engine.worker.backfiller.run_once()
        happened = [(row[1], (row[2] or row[3])["id"]) for row in await told(engine)]
        assert happened == [("UPDATE", 1), ("DELETE", 2), ("INSERT", 4), ("INSERT", 5), ("INSERT", 3)]
        done = await engine.sql("select state, row_count, skipped_count from tidings.backfills")
        assert tuple(done[0]) == ("finished", 3, 2)
        for connection in (changes, deletes, undoes):
            await connection.close()


async def test_a_row_that_changes_hands_during_a_backfill_is_told_once(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "create table t (id int primary key, account text); insert into t values (1, 'default'), (2, 'acme'), (3, 'acme'), (4, 'default')"
        )
        hook = await engine.add_webhook(NOWHERE, {"table": "t", "operations": ["INSERT"]})
        await configure(engine, "t", group_column="account")
        await start_backfill(engine, hook.id)
        await engine.user.execute("update t set account = 'default' where id = 2; update t set account = 'acme' where id = 4")
        await engine.user.execute("update t set id = 5 where id = 1")  # an update, which the webhook does not hear
        await engine.worker.backfiller.run_once()
        ours = [(row[1], row[2]["id"]) for row in await told(engine) if row[0] == "default" and row[2]]
        assert ours == [("INSERT", 2), ("INSERT", 5)]


async def test_a_backfill_leaves_room_for_what_happens_now(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int primary key); insert into t select generate_series(1, 40000)")
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await start_backfill(engine, hook.id)
        await engine.worker.backfiller.run_once()
        assert await engine.value("select count(*) from tidings.outbox") == 12_000
        assert await engine.worker.backfiller.run_once() == 0
        await engine.user.execute("truncate tidings.outbox")
        await engine.worker.backfiller.run_once()
        assert await engine.value("select row_count from tidings.backfills") == 24_000


async def test_a_check_tells_of_a_table_whose_settings_do_not_fit_it_any_more(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table users (id int primary key, account text, pin text)")
        await configure(engine, "users", group_column="account")
        await engine.add_webhook(NOWHERE, {"table": "users"})
        assert "uncaptured" not in {problem.name for problem in (await diagnosis.examine(engine.services)).problems}
        await engine.user.execute("alter table users drop column account")
        assert "uncaptured" in {problem.name for problem in (await diagnosis.examine(engine.services)).problems}
