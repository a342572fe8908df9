"""What takes expressions of somebody's: conditions of tables, filters of records, templates. Whatever is written, it only looks."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of
from tests.support.torture import LONG, told
from tests.unit.test_profiles import row, sent, to
from tidings.config import Config
from tidings.core.capture import TableSettings
from tidings.core.collection import Field
from tidings.core.errors import InvalidInputError, RenderError
from tidings.core.record_filter import parse_filter, parse_sort
from tidings.profiles.template import MAX_FILLED_BYTES, check_template
from tidings.sources import tables
from tidings.store import conditions

NOWHERE = "http://127.0.0.1:9/"
CORPUS = Path(__file__).parent / "corpus"
KNOWN = {path.stem: path.read_text().split("\n%\n") for path in CORPUS.glob("*.txt")}  # what once did harm, or nearly

_counts: dict[str, int] = {}


def counted(what: str) -> None:
    _counts[what] = _counts.get(what, 0) + 1


# Conditions ------------------------------------------------------------------------------------------------------------

_TABLE = """
create type mood as enum ('sad', 'fine');
create domain small as int check (value < 1000);
create type pair as (a int, b small);
create function evil(int) returns boolean language plpgsql as $$ begin perform set_config('test.evil', 'done', false); return true; end $$;
create operator === (leftarg = int, rightarg = int, procedure = int4eq);
create function wicked(mood) returns int language plpgsql immutable as $$ begin perform set_config('test.evil', 'done', false); return 1; end $$;
create cast (mood as int) with function wicked(mood) as implicit;
create table t (id int primary key, n int, x text, j jsonb, m mood, d small, p pair, tags text[], at timestamptz, k numeric, flag boolean);
"""
_ROWS = (
    (1, 0, "x", '{"a": 1}', "sad", 5, ["a"], 1.5, True),
    (2, None, None, None, None, None, None, None, None),
    (3, 2147483647, "12", "[]", "fine", 999, [], 10**30, False),
)
# The row is put in for @: an INSERT has no old one.
_numbers = st.recursive(
    st.sampled_from(["@.id", "@.n", "@.n", "@.k", "@.d", "0", "1", "2.5", "2147483647", "null", "length(@.x)", "cast(@.x as int)", "@.x::numeric", "(@.j ->> 'a')::int", "cardinality(@.tags)", "position('a' in @.x)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map("abs({})".format), inner.map("(- {})".format), st.tuples(inner, inner).map(lambda parts: f"coalesce({parts[0]}, {parts[1]})"),
    ),
    max_leaves=4,
)  # fmt: skip
_strings = st.recursive(
    st.sampled_from(["@.x", "@.x", "'x'", "''", "'12'", "'a''b'", "'a\\b'", "@.n::text", "@.j ->> 'a'", "@.tags[1]"]),
    lambda inner: st.one_of(inner.map("lower({})".format), inner.map("substring({} from 2)".format), st.tuples(inner, inner).map(" || ".join).map("({})".format)),
    max_leaves=3,
)  # fmt: skip
_booleans = st.one_of(
    st.tuples(_numbers, st.sampled_from(["=", ">", "<=", "<>", "is distinct from"]), _numbers).map(" ".join),
    st.tuples(_strings, st.sampled_from(["=", ">", "like", "ilike", "not like", "is distinct from", "^@"]), _strings).map(" ".join),
    st.tuples(_numbers, _numbers, _numbers).map(lambda parts: f"{parts[0]} between {parts[1]} and {parts[2]}"),
    st.tuples(_numbers, _numbers).map(lambda parts: f"{parts[0]} in (1, {parts[1]})"),
    st.sampled_from(["@.flag", "@.j @> '{\"a\": 1}'", "@.j ? 'a'", "@.tags @> array['a']", "@.m = 'sad'", "@.m is null", "@.at is null", "@.* is not null", "@.at > timestamptz '2026-01-01 00:00:00Z'", "case when @.n = 0 then true else 1 / @.n > 0 end"]),
)  # fmt: skip
_conditions = st.recursive(
    _booleans,
    lambda inner: st.one_of(inner.map("not ({})".format), st.tuples(inner, st.sampled_from([") and (", ") or ("]), inner).map(lambda parts: f"({''.join(parts)})")),
    max_leaves=4,
)  # fmt: skip

_noise = st.lists(
    st.sampled_from(["@.n", "@.x", "(", ")", "'", '"', "--", "/*", "$$", ";", "::", "int", "evil", "wicked", "===", "select", "=", "1", "case", "when", "[", "]", "E'", "\\", "\n", "pg_sleep", "now()", ","]),
    max_size=10,
).map(" ".join)  # fmt: skip
_written = st.one_of(_conditions, _conditions.map(str), _conditions.map("{} -- so".format), _noise)


class Table:
    """A table with one row of each kind that is changed under a condition."""

    def __init__(self, engine: Engine, user: Any) -> None:
        self.engine = engine
        self.user = user

    async def begin(self) -> None:
        await self.user.execute("truncate t; truncate tidings.outbox")
        await self.user.execute("set test.evil = ''")

    async def put(self, condition: str, operation: str) -> bool:
        try:
            async with self.engine.services.wide.transaction() as connection:
                await tables.change_settings(connection, TableSettings("public", "t", conditions={operation: condition}))
        except InvalidInputError as refused:
            error = refused
        else:
            return True
        assert (error.field, "secret" in error.message) == ("when", False), error.message
        return False

    async def change(self, operation: str) -> list[Any]:
        """Change rows as a user does: it never fails. Returns the events."""
        await self.user.executemany(
            "insert into t (id, n, x, j, m, d, tags, k, flag) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)", _ROWS
        )
        if operation != "INSERT":
            await self.user.execute("delete from tidings.outbox")
            await self.user.execute("delete from t" if operation == "DELETE" else "update t set n = n - 1, x = x || 'y'")
        return await self.user.fetch(
            "select record, old_record, capture_error from tidings.outbox where operation = $1 order by id", operation
        )

    async def by_itself(self, condition: str, operation: str) -> list[int]:
        """The rows of which PostgreSQL says that the condition holds, or fails: asked one by one."""
        new_row = "(select * from t where id = $1)"
        asked = f"select ({condition}\n) from {new_row} as {'old' if operation == 'DELETE' else 'new'}"
        told = []
        for id_ in (1, 2, 3):
            try:
                holds = await self.user.fetchval(asked, id_)
            except asyncpg.PostgresError:
                holds = True
            if holds:
                told.append(id_)
        return told


@pytest.fixture
async def table(config: Config) -> Any:
    async with engine_of(config) as engine:
        user = await asyncpg.connect(config.database_url, statement_cache_size=0)
        await user.execute(_TABLE)
        await engine.add_webhook(NOWHERE, {"table": "t"})
        yield Table(engine, user)
        await user.close()


async def test_a_condition_only_looks_and_never_fails_the_statement(table: Table) -> None:
    loop = asyncio.get_running_loop()

    async def play(condition: str, operation: str) -> None:
        condition = condition.replace("@.", "old." if operation == "DELETE" else "new.")
        await table.begin()
        if not await table.put(condition, operation):
            counted("conditions refused")
            return
        counted("conditions that hold up")
        events = await table.change(operation)
        if operation != "DELETE":
            noted = {json.loads(event["record"])["id"]: event["capture_error"] is not None for event in events}
            asked = set(await table.by_itself(condition, operation))
            # Which side of `or` is evaluated first is PostgreSQL's choice: what fails on one may not be reached on the other.
            assert asked <= noted.keys()
            assert all(noted[id_] for id_ in noted.keys() - asked)
        assert await table.user.fetchval("select current_setting('test.evil', true)") in {None, ""}
        for event in events:
            counted("changes told")
            if event["capture_error"] is not None:
                counted("conditions that could not be evaluated, told all the same")

    @settings(max_examples=4000 if LONG else 150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_written, st.sampled_from(["INSERT", "INSERT", "UPDATE", "DELETE"]))
    @example("(@.id = @.id) or (@.id = (0 / 0))", "INSERT")  # fails when it is planned, and not always after that
    def attack(condition: str, operation: str) -> None:
        asyncio.run_coroutine_threadsafe(play(condition, operation), loop).result()

    await loop.run_in_executor(None, attack)
    assert _counts["conditions that hold up"] > 10


@pytest.mark.parametrize("condition", KNOWN["conditions"])
async def test_a_condition_that_acts_or_reads_is_refused(table: Table, condition: str) -> None:
    await table.begin()
    assert not await table.put(condition, "INSERT")
    assert await table.user.fetchval("select current_setting('test.evil', true)") in {None, ""}
    assert await table.user.fetchval("select count(*) from pg_trigger where tgname = 'tidings_capture_probe'") == 0


async def test_what_cannot_be_evaluated_is_told_and_shows_in_the_state_without_a_value(table: Table) -> None:
    assert await table.put("cast(new.x as int) > 0", "INSERT")
    await table.user.execute("insert into t (id, x) values (1, 'top-secret'), (2, '-5'), (3, '5')")
    events = await table.user.fetch("select record, capture_error from tidings.outbox order by id")
    said = "The condition of INSERT could not be evaluated for this row, so it is told."
    assert [(json.loads(event["record"])["id"], event["capture_error"]) for event in events] == [(1, said), (3, None)]
    await table.engine.worker.dispatcher.run_once()
    async with table.engine.services.wide.connection() as connection:
        state, _ = (await tables.states(connection, [("public", "t")]))["public", "t"]
    assert state.state == "captured"
    assert (
        state.reason
        == "Of a row of today or yesterday: The condition of INSERT could not be evaluated for this row, so it is told."
    )


async def test_functions_of_conditions_go_when_no_trigger_calls_them(table: Table) -> None:
    assert await table.put("new.n > 1", "INSERT")
    assert await table.put("new.n > 2", "INSERT")
    count = "select count(*) from pg_proc where pronamespace = 'tidings'::regnamespace and proname like 'when\\_%'"
    assert await table.user.fetchval(count) == 2
    await tables.keep_all_in_step(table.engine.services.wide)
    assert await table.user.fetchval(count) == 1
    await table.user.execute("drop table t")  # nothing of ours keeps it
    async with table.engine.services.wide.transaction() as connection:
        await conditions.drop_unused_guards(connection)
    assert await table.user.fetchval(count) == 0


# Filters of records ----------------------------------------------------------------------------------------------------

_FIELDS = (
    Field("title", "text"),
    Field("views", "number"),
    Field("ready", "bool"),
    Field("day", "date"),
    Field("tags", "json"),
    Field("new at", "datetime"),
)
_filter_pieces = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["title", "views", "ready", "day", "tags", "=", "!=", ">", "~", "&&", "||", "(", ")", '"x"', "'y'", "1", "-2.5", "true", "null", '"2026-01-01"', "select", ";", "--", "pg_sleep(1)", '"\\"; drop table t; --"', "::"]),
        max_size=12,
    ).map(" ".join),
)  # fmt: skip


async def test_a_filter_becomes_one_condition_that_postgresql_can_read(table: Table) -> None:
    await table.user.execute('create table f (id text, created timestamptz, updated timestamptz, "publishDate" timestamptz, archived boolean, author text, '
                             'title text, views numeric, ready boolean, day date, tags json, "new at" timestamptz)')  # fmt: skip
    loop = asyncio.get_running_loop()

    async def play(text: str, order: str) -> None:
        try:
            where, sort = parse_filter(text, _FIELDS), parse_sort(order, _FIELDS)
        except InvalidInputError:
            counted("filters refused")
            return
        counted("filters that PostgreSQL took")
        prepared = await table.user.prepare(f"select from f where {where.sql} order by {sort}")
        assert len(prepared.get_parameters()) == len(where.values)

    @settings(max_examples=4000 if LONG else 200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_filter_pieces, st.sampled_from(["", "-title", "views,-day", "tags", "nothing", '";--']))
    def attack(text: str, order: str) -> None:
        asyncio.run_coroutine_threadsafe(play(text, order), loop).result()

    await loop.run_in_executor(None, attack)
    for text in KNOWN["filters"]:
        await play(text, "")


# Templates -------------------------------------------------------------------------------------------------------------

_paths = st.sampled_from(
    ["record", "record.id", "record.title", "record.deep.a.b", "old_record", "event", "nothing", "record.", "record..id"]
)
_texts = st.one_of(st.text(max_size=20), _paths.map("{{{{{}}}}}".format), _paths.map("a {{{{ {} }}}} b {{{{record}}}}".format))
_bodies = st.recursive(st.one_of(_texts, st.integers(), st.booleans(), st.none(), st.floats()), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4), max_leaves=20)  # fmt: skip
_records = st.recursive(st.one_of(st.text(max_size=20), st.integers(), st.none(), st.booleans()), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "title", "deep", "a", "b", "{{record}}"]), inner, max_size=4), max_leaves=12)  # fmt: skip


@settings(max_examples=5000 if LONG else 200, deadline=None)
@given(st.one_of(_bodies.map(json.dumps), st.text(max_size=80)), _records, st.booleans())
def test_a_template_is_refused_or_makes_a_bounded_body(template: str, record: Any, is_text: bool) -> None:
    try:
        check_template(template, is_text=is_text)
    except InvalidInputError:
        counted("templates refused")
        return
    of = row("UPDATE", record=json.dumps(record), old_record=json.dumps(record))
    body = sent(of, to("fluxbase", body_template=template, headers={"Content-Type": "text/plain"} if is_text else {})).body
    counted("templates filled")
    if not is_text:
        assert json.dumps(json.loads(body)) is not None
    places = template.count("{{")
    assert len(body) <= 6 * (len(template.encode("utf-8", "replace")) + places * (len(json.dumps(record)) + 100))


@pytest.mark.parametrize("is_text", [False, True])
@example(template="{{record}}" * 2000)
@example(template="{{ record.title }}" * 1000)
@given(template=st.just("{{old_record}}{{record}}" * 1000))
@settings(max_examples=3, deadline=None)
def test_a_template_that_asks_for_very_much_fails_by_our_own_word_before_it_is_made(template: str, is_text: bool) -> None:
    text = template if is_text else json.dumps([template, *itertools.repeat("{{record}}", 1000)])
    of = row("UPDATE", record=json.dumps({"title": "x" * 1_000_000}), old_record=json.dumps({"title": "y" * 1_000_000}))
    headers = {"Content-Type": "text/plain"} if is_text else {}
    with pytest.raises(RenderError, match=f"more than {MAX_FILLED_BYTES >> 20} MiB"):
        sent(of, to("fluxbase", body_template=text, headers=headers))


@pytest.mark.parametrize("template", KNOWN["templates"])
def test_a_template_that_is_no_json_or_nested_too_deeply_is_refused(template: str) -> None:
    with pytest.raises(InvalidInputError, match="body_template"):
        check_template(template)


def test_a_nested_template_and_a_nested_record_are_refused_or_fail() -> None:
    with pytest.raises(InvalidInputError, match="nested too deeply"):
        check_template("[" * 100_000 + "]" * 100_000)
    deep = json.dumps({"title": None}).replace("null", "[" * 900 + "]" * 900)
    template = "[" * 300 + '"{{record}}"' + "]" * 300
    check_template(template)
    with pytest.raises(RenderError, match="nested"):
        sent(row(record=deep), to("fluxbase", body_template=template))


def test_the_figures_are_told() -> None:
    told("expressions", dict(sorted(_counts.items())))
