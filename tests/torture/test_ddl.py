"""Tables that change their shape while they are captured: nothing that is left out is told, no row goes to another group, and what is
committed is captured or the table's state says that it is not.

Every value bears the number of the column it was written to, which a column keeps under any name: so a value that is told shows where
it comes from. Random alterations, changes and settings, one after the other, against a small model that knows columns by their numbers.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import asyncpg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of
from tests.support.torture import LONG, told
from tidings.config import Config
from tidings.core.capture import TableSettings
from tidings.core.errors import TidingsError
from tidings.core.webhook import Webhook
from tidings.sources import backfill, tables
from tidings.store import capture
from tidings.worker.duties import Backfiller

NOWHERE = "http://127.0.0.1:9/"
COLUMNS = ("a", "b", "c", "a", "b", "c", "new", "old", "w")  # those that there are at first, more often
TABLES = ("t", "u", "v")
_VALUE = re.compile(r"c\d+\.\d+\.\d+")

_tables = st.sampled_from(("t", "t", *TABLES))
_columns = st.sampled_from(COLUMNS)
_some = st.lists(_columns, max_size=2, unique=True)
_alterations = st.one_of(
    st.tuples(st.just("rename"), _tables, _columns, _columns),
    st.tuples(st.just("swap columns"), _tables, _columns, _columns),
    st.tuples(st.just("drop"), _tables, _columns, st.sampled_from(["", "cascade"])),
    st.tuples(st.just("add"), _tables, _columns, st.none()),
    st.tuples(st.just("exchange"), _tables, _columns, st.booleans()),
    st.tuples(st.just("retype"), _tables, _columns, st.sampled_from(["varchar", "text"])),
    st.tuples(st.just("rename table"), _tables, _tables, st.none()),
    st.tuples(st.just("swap tables"), _tables, _tables, st.none()),
    st.tuples(st.just("make anew"), _tables, _some, st.none()),
    st.tuples(st.just("move away and back"), _tables, st.none(), st.none()),
    st.tuples(
        st.just("trigger"), _tables, st.sampled_from(["disable", "enable", "enable replica", "enable always"]), st.none()
    ),
)
_settings = st.fixed_dictionaries(
    {"exclude": _some},
    optional={
        "group": _columns,
        "rename": st.dictionaries(_columns, st.sampled_from(["a", "told", "b"]), max_size=2),
        "changed": _some,
        "when": st.sampled_from(
            ["new.{} is not null", "length(new.{}) > 2", "cast(new.{} as int) = 1", "1 / length(new.{}) < 5"]
        ),
        "when_column": _columns,
    },
)
_changes = st.tuples(
    st.just("change"),
    _tables,
    st.sampled_from(["insert", "insert", "update", "delete"]),
    st.sampled_from(["commit", "commit", "commit", "commit", "rollback", "savepoint"]),
)
# As often as they stand here: alternatives of alternatives would be flattened, and alterations be most of all.
_kinds: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "alteration": _alterations,
    "change": _changes,
    "settings": st.tuples(st.just("settings"), _tables, _settings, st.none()),
    "janitor": st.just(("janitor", None, None, None)),
    "old snapshot": st.tuples(st.just("old snapshot"), _tables, _alterations, st.none()),
    "backfill": st.tuples(st.just("backfill"), _tables, _alterations, st.none()),
}
_OFTEN = {"alteration": 4, "change": 8, "settings": 2, "janitor": 1, "old snapshot": 1, "backfill": 1}
_step = st.sampled_from([kind for kind, times in _OFTEN.items() for _ in range(times)]).flatmap(_kinds.__getitem__)
_first = st.tuples(st.just("settings"), st.just("t"), _settings, st.none())
# A session keeps what it has compiled of every trigger that it ever fired, and looks through all of it at each change of a table.
OF_ONE_SESSION = 25  # scripts

_scripts = st.tuples(_first, st.lists(_step, min_size=12, max_size=40 if LONG else 24)).map(lambda drawn: [drawn[0], *drawn[1]])

# Found by chance: a backfill passes the settings on to the table that took the name, before the columns change their names.
_PASSED_ON_BEFORE_A_SWAP: list[tuple[Any, ...]] = [
    ("settings", "t", {"exclude": [], "group": "a"}, None),
    ("swap tables", "t", "u", None),
    ("backfill", "t", ("swap columns", "t", "a", "b"), None),
    ("change", "t", "insert", "commit"),
]


class Kept:
    """Settings as they were put, by columns. `relation` and `numbers`: what the names meant."""

    def __init__(self, relation: int, asked: dict[str, Any], numbers: dict[str, int]) -> None:
        self.relation = relation
        self.asked = asked
        self.numbers = numbers
        self.former: set[int] = set()


class Play:
    """One script against one database."""

    def __init__(self, engine: Engine, user: Any, other: Any, hook: Webhook) -> None:
        self.engine = engine
        self.user = user
        self.other = other
        self.hook = hook
        self.serial = count(1)
        self.kept: dict[str, Kept] = {}
        self.secret: set[tuple[int, int]] = set()  # columns that no event may show
        self.figures = {"alterations": 0, "changes": 0, "events": 0, "changes of tables that are not captured": 0}

    async def begin(self) -> None:
        for user in (self.user, self.other):
            if user.is_in_transaction():  # the script before ended in a failure, of which Hypothesis now looks for the shortest
                await user.execute("rollback")
        for table in TABLES:
            await self.user.execute(f"drop table if exists public.{table} cascade")
        await self.user.execute(
            "truncate tidings.captured_tables, tidings.backfills cascade; truncate tidings.outbox, tidings.events"
        )
        for table in TABLES[:2]:
            await self.make(table, ["a", "b", "c"])
        await tables.keep_all_in_step(self.engine.services.wide)

    async def make(self, table: str, columns: list[str]) -> None:
        names = ", ".join(f'"{name}" text' for name in columns)
        await self.user.execute(f"create table public.{table} (id int primary key{', ' if names else ''}{names})")

    async def shape(self, table: str) -> tuple[int, dict[str, int]]:
        """The table's number, and its columns by name in order; nothing when there is none."""
        rows = await self.user.fetch(
            "select a.attrelid, a.attname, a.attnum from pg_attribute a where a.attrelid = to_regclass('public.' || $1) "
            "and a.attnum > 0 and not a.attisdropped order by a.attnum", table
        )  # fmt: skip
        return (rows[0]["attrelid"], {row["attname"]: row["attnum"] for row in rows}) if rows else (0, {})

    async def take(self, step: tuple[Any, ...]) -> None:
        kind, table, first, second = step
        if kind == "change":
            await self.change(table, first, second)
        elif kind == "settings":
            await self.configure(table, first)
        elif kind == "janitor":
            await self.clean()
        elif kind == "old snapshot":
            await self.change_with_an_old_snapshot(table, first)
        elif kind == "backfill":
            await self.fill_back(table, first)
        else:
            await self.alter(step)

    # Alterations -------------------------------------------------------------------------------------------------------

    async def alter(self, step: tuple[Any, ...]) -> None:
        kind, table, first, second = step
        statements = {
            "rename": f'alter table {table} rename "{first}" to "{second}"',
            "swap columns": f'alter table {table} rename "{first}" to x; alter table {table} rename "{second}" to "{first}"; '
            f'alter table {table} rename x to "{second}"',
            "drop": f'alter table {table} drop "{first}" {second}',
            "add": f'alter table {table} add "{first}" text',
            "exchange": f'alter table {table} add x text; alter table {table} rename "{first}" to gone; '
            f'alter table {table} rename x to "{first}"; {f"alter table {table} drop gone" if second else ""}',
            "retype": f'alter table {table} alter "{first}" type {second}',
            "rename table": f"alter table {table} rename to {first}",
            "swap tables": f"alter table {table} rename to x; alter table {first} rename to {table}; alter table x rename to {first}",
            "move away and back": f"create schema if not exists away; alter table {table} set schema away; alter table away.{table} set schema public",
        }
        self.figures["alterations"] += 1
        try:
            async with self.user.transaction():
                if kind == "make anew":
                    await self.user.execute(f"drop table if exists public.{table}")
                    await self.make(table, ["a", *(name for name in first if name != "a")])
                elif kind == "trigger":
                    for row in await self.user.fetch(
                        "select tgname from pg_trigger where tgrelid = to_regclass('public.' || $1) and tgname like 'tidings%'",
                        table,
                    ):
                        await self.user.execute(f"alter table {table} {first} trigger {row['tgname']}")
                else:
                    await self.user.execute(statements[kind])
        except (asyncpg.SyntaxOrAccessError, asyncpg.DependentObjectsStillExistError, asyncpg.FeatureNotSupportedError):
            pass  # there is no such table or column, the name is taken, or PostgreSQL refuses for a trigger of ours

    async def configure(self, table: str, asked: dict[str, Any]) -> None:
        relation, columns = await self.shape(table)
        when = asked.get("when") and asked["when"].format(f'"{asked.get("when_column", "a")}"')
        wanted = TableSettings(
            "public", table, group_column=asked.get("group"), excluded_columns=tuple(asked["exclude"]),
            renamed_columns=asked.get("rename", {}), changed_columns=tuple(asked.get("changed", ())),
            conditions={"INSERT": when} if when else {},
        )  # fmt: skip
        try:
            async with self.engine.services.wide.transaction() as connection:
                await tables.change_settings(connection, wanted)
        except TidingsError:
            return
        before = self.kept.get(table)
        self.kept[table] = Kept(relation, asked, columns)
        if before is not None:
            self.kept[table].former = {*before.former, before.relation} - {relation}
        self.secret = {(r, n) for r, n in self.secret if r != relation}
        self.secret |= {(relation, columns[name]) for name in asked["exclude"]}

    async def clean(self) -> None:
        """As the janitor does every minute."""
        await tables.keep_all_in_step(self.engine.services.wide)
        await self.pass_on(TABLES)

    async def pass_on(self, names: Iterable[str]) -> None:
        """Whenever tables are brought in step, settings of a name pass to the table that has it now, if it fits them."""
        for name, kept in self.kept.items():
            if name not in names:
                continue
            relation, columns = await self.shape(name)
            is_claimed = any(relation in {other.relation, *other.former} for key, other in self.kept.items() if key != name)
            if relation in {0, kept.relation} or is_claimed or await self.state(name) != "captured":
                continue
            kept.former |= {kept.relation}
            kept.relation, kept.numbers = relation, columns
            self.secret |= {(relation, columns[excluded]) for excluded in kept.asked["exclude"]}

    async def state(self, table: str) -> str:
        async with self.engine.services.wide.connection() as connection:
            return next(one.state for one in await tables.table_states(connection, self.hook) if one.table == table)

    # Changes -----------------------------------------------------------------------------------------------------------

    def values(self, relation: int, columns: dict[str, int]) -> dict[str, str | None]:
        serial = next(self.serial)
        return {
            name: f"c{relation}.{number}.{serial}" if (serial + number) % 7 else None
            for name, number in columns.items()
            if name != "id"
        }

    async def change(self, table: str, kind: str, end: str) -> None:
        relation, columns = await self.shape(table)
        if not relation:
            return
        state, user = await self.state(table), self.user
        before = await self.last()
        await user.execute("begin")
        if end == "savepoint":
            await user.execute("savepoint s")
        old, new = await self.act(user, table, kind, relation, columns)
        await user.execute({"commit": "commit", "rollback": "rollback", "savepoint": "rollback to savepoint s; commit"}[end])
        events = await self.events(before)
        if end != "commit" or (old is None and new is None):
            assert events == []
            return
        self.figures["changes"] += 1
        if state != "captured":
            self.figures["changes of tables that are not captured"] += 1
            kept = self.kept.get(table)
            if kept is not None and kept.relation == relation and (group := kept.asked.get("group")) is not None:
                assert events == [] or kept.numbers[group] in columns.values(), "a row is told to a group that nobody named"
            return
        assert [event[:4] for event in events] == list(self.expected(table, relation, columns, kind, old, new)), (table, state)

    async def act(self, user: Any, table: str, kind: str, relation: int, columns: dict[str, int]) -> tuple[Any, Any]:
        """Make a change of one row, and return it before and after; none where there is no row."""
        values = self.values(relation, columns)
        if kind == "insert":
            key = next(self.serial)
            names = "".join(f', "{name}"' for name in values)
            places = "".join(f", ${place}" for place in range(1, len(values) + 1))
            await user.execute(f"insert into {table} (id{names}) values ({key}{places})", *values.values())
            return None, {"id": key, **values}
        row = await user.fetchrow(f"select * from {table} order by id desc limit 1")
        if row is None:
            return None, None
        if kind == "delete":
            await user.execute(f"delete from {table} where id = $1", row["id"])
            return dict(row), None
        some = {name: value for place, (name, value) in enumerate(values.items()) if (place + row["id"]) % 2}
        sets = "".join(f', "{name}" = ${place}' for place, name in enumerate(some, 1))
        await user.execute(f"update {table} set id = id{sets} where id = {row['id']}", *some.values())
        return dict(row), {**dict(row), **some}

    def expected(
        self, table: str, relation: int, columns: dict[str, int], kind: str, old: Any, new: Any
    ) -> Iterator[tuple[str, str, Any, Any]]:
        """The events of a change, by the settings that hold for the table."""
        kept, operation = self.kept.get(table), kind.upper()
        if kept is None:
            yield "default", operation, new, old
            return
        assert kept.relation == relation, "another table than the one that settings were made for counts as captured"
        now = {number: name for name, number in columns.items()}
        asked = kept.asked

        def name_of(written: str) -> str | None:
            return now.get(kept.numbers[written])

        def group(row: Any) -> str:
            return row[name_of(asked["group"])] or "default" if asked.get("group") else "default"

        def shaped(row: Any) -> Any:
            hidden = {*asked["exclude"], *(name_of(name) for name in asked["exclude"])}
            told_as = {name_of(name): new for name, new in asked.get("rename", {}).items() if name_of(name)}
            hidden |= {new for new in told_as.values() if new not in told_as}
            return row and {told_as.get(name, name): value for name, value in row.items() if name not in hidden}

        if (
            kind == "insert"
            and asked.get("when")
            and not self.holds(asked["when"], new[name_of(asked.get("when_column", "a"))])
        ):
            return
        moves = kind == "update" and group(old) != group(new)
        compared = [name_of(name) for name in asked.get("changed", ())]
        if kind == "update" and compared and not moves and all(old[name] == new[name] for name in compared):
            return
        if moves:
            yield group(old), "DELETE", None, shaped(old)
            yield group(new), "INSERT", shaped(new), None
        else:
            yield group(new or old), operation, shaped(new), shaped(old)

    @staticmethod
    def holds(when: str, value: str | None) -> bool:
        return value is not None  # what cannot be evaluated, a cast to int, is told; the others hold but for null

    async def last(self) -> int:
        return await self.user.fetchval("select coalesce(max(id), 0) from tidings.outbox")

    async def events(self, after: int) -> list[tuple[Any, ...]]:
        """What was told since; nothing secret is in it."""
        rows = await self.user.fetch("select * from tidings.outbox where id > $1 order by id", after)
        self.figures["events"] += len(rows)
        for row in rows:
            for value in _VALUE.findall(f"{row['record']} {row['old_record']} {row['capture_error']}"):
                relation, number, _ = value[1:].split(".")
                assert (int(relation), int(number)) not in self.secret, f"{value} is told"
        return [
            (row["group_id"], row["operation"], row["record"] and json.loads(row["record"]), row["old_record"] and json.loads(row["old_record"]), row["capture_error"])
            for row in rows
        ]  # fmt: skip

    async def change_with_an_old_snapshot(self, table: str, alteration: tuple[Any, ...]) -> None:
        """A transaction that has looked at the catalogue before an alteration, and changes the table after it."""
        await self.other.execute("begin isolation level repeatable read; select 1 from pg_class limit 1")
        await self.alter(alteration)
        relation, columns = await self.shape(table)
        before = await self.last()
        try:
            if relation:
                await self.act(self.other, table, "insert", relation, columns)
            await self.other.execute("commit")
        except asyncpg.PostgresError:
            await self.other.execute("rollback")
        await self.events(before)

    async def fill_back(self, table: str, alteration: tuple[Any, ...]) -> None:
        """A backfill, with an alteration between its beginning and its first chunk."""
        before = await self.last()
        try:
            async with self.engine.services.wide.transaction() as connection:
                await capture.lock(connection)
                await backfill.begin(connection, self.hook, ("public", table), self.engine.clock.now())
                await tables.keep_in_step(connection, needed=("public", table))
        except TidingsError:
            return
        await self.pass_on([table])
        await self.alter(alteration)
        await self.worker.run_once()
        await self.user.execute("update tidings.backfills set state = 'cancelled' where state = 'running'")
        await self.clean()
        await self.events(before)

    @property
    def worker(self) -> Backfiller:
        return self.engine.worker.backfiller


async def test_nothing_left_out_is_told_whatever_becomes_of_the_table(config: Config) -> None:
    totals: dict[str, int] = {}
    async with engine_of(config) as engine:
        user, other = [await asyncpg.connect(config.database_url, statement_cache_size=0) for _ in range(2)]
        await engine.user.execute(
            "create table t (id int primary key); create table u (id int primary key); create table v (id int primary key)"
        )
        hook = await engine.add_webhook(NOWHERE, *({"table": table} for table in TABLES))
        loop = asyncio.get_running_loop()

        async def play(steps: list[tuple[Any, ...]]) -> None:
            nonlocal user
            if totals.get("scripts", 0) % OF_ONE_SESSION == OF_ONE_SESSION - 1:
                await user.close()
                user = await asyncpg.connect(config.database_url, statement_cache_size=0)
            script = Play(engine, user, other, hook)
            await script.begin()
            for step in steps:
                await script.take(step)
            for name, figure in script.figures.items():
                totals[name] = totals.get(name, 0) + figure
            totals["scripts"] = totals.get("scripts", 0) + 1

        @settings(
            max_examples=1500 if LONG else 40, deadline=None, derandomize=not LONG, suppress_health_check=list(HealthCheck)
        )
        @given(_scripts)
        @example(_PASSED_ON_BEFORE_A_SWAP)
        def attack(steps: list[tuple[Any, ...]]) -> None:
            asyncio.run_coroutine_threadsafe(play(steps), loop).result()

        await loop.run_in_executor(None, attack)
        await user.close()
        await other.close()
    assert totals["events"] > 0
    told("ddl", {**totals, "values of columns that are left out, told": 0, "rows told to another group": 0})
