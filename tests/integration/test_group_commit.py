"""Group commit: many callers, one statement, and each is answered for itself."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of, eventually
from tidings.config import Config
from tidings.core.errors import BusyError, ConflictError
from tidings.sources.group_commit import (
    COMMITS_AT_ONCE,
    GROUP_PART,
    MAX_BYTES,
    MAX_EVENTS,
    MAX_SCHEMAS,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Publisher,
    Schemas,
)
from tidings.sources.publish import Draft, Published
from tidings.store.database import Database, Server
from tidings.store.event_types import Schema

MIB = 1_048_576


def draft(external_id: str | None = None, data: str = "1", type_: str = "a.b", subject: str | None = None) -> Draft:
    return Draft(type_, data.encode(), subject, external_id)


class Desk:
    """A publisher, and what it has written."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.publisher = engine.services.publisher

    async def publish(self, one: Draft, group: str = "default") -> Published:
        return await self.publisher.publish(group, one, self.engine.clock.now())

    async def all(self, drafts: Iterable[Draft]) -> list[Any]:
        """Publish all at the same time, and return what each caller gets."""
        return await asyncio.gather(*map(self.publish, drafts), return_exceptions=True)

    async def all_of_two(self, drafts: Sequence[Draft], more: Sequence[Draft]) -> list[Any]:
        """Publish the same for two groups, and then more for a third, as above."""
        await self.engine.user.execute("insert into tidings.groups (id) values ('acme'), ('third')")
        given = [(one, "default") for one in drafts] + [(one, "acme") for one in drafts] + [(one, "third") for one in more]
        return await asyncio.gather(*(self.publish(*each) for each in given), return_exceptions=True)

    async def commits(self) -> list[int]:
        """How many events there were in each commit, in their order: rows of one statement share a transaction."""
        return [
            row["count"]
            for row in await self.engine.sql("select count(*) from tidings.outbox group by xmin::text order by min(id)")
        ]

    async def schema(self, text: str | None, name: str = "a.b") -> None:
        """Change the schema of a type, as another process does."""
        await self.engine.user.execute(
            "insert into tidings.event_types (group_id, name, json_schema) values ('default', $2, $1) "
            "on conflict (group_id, name) do update set json_schema = $1",
            text,
            name,
        )

    async def queries(self, one: Draft) -> int:
        """Publish, and return how many statements that took."""
        seen: list[Any] = []
        (connection,) = self.publisher._idle
        with connection.query_logger(seen.append):
            await self.publish(one)
        return len(seen)


@pytest.fixture
async def desk(config: Config) -> AsyncIterator[Desk]:
    async with engine_of(config) as engine:
        yield Desk(engine)


def kinds(results: list[Any]) -> list[str]:
    return [("duplicate" if one.duplicate else "new") if isinstance(one, Published) else type(one).__name__ for one in results]


# One commit, many callers ------------------------------------------------------------------------------------------------


async def test_a_lone_call_is_one_statement(desk: Desk) -> None:
    await desk.publish(draft())
    assert await desk.queries(draft(external_id="x")) == 1
    assert await desk.queries(draft(type_="never.seen")) == 1
    assert await desk.queries(draft(external_id="x")) == 2  # the second asks what the id stands for


async def test_callers_that_come_together_share_a_commit_and_each_gets_its_own_answer(desk: Desk) -> None:
    await desk.engine.user.execute("insert into tidings.groups (id) values ('acme')")
    await desk.schema('{"type": "string"}', "a.strict")
    await desk.publish(draft(external_id="old"))
    results = await asyncio.gather(
        *(desk.publish(one) for one in (
            draft(), draft(external_id="old"), draft(external_id="old", data="2"), draft(external_id="new"), draft(external_id="new"), draft(external_id="new", data="2"),
            draft(type_="a.strict"), draft(type_="a.strict", data='"x"'), draft(type_="a.*"), draft(data="[1"), draft(subject="s"),
        )),
        desk.publish(draft(external_id="old", data="2"), "acme"),
        return_exceptions=True,
    )  # fmt: skip
    assert kinds(results) == [
        "new", "duplicate", "ConflictError", "new", "duplicate", "ConflictError",
        "InvalidInputError", "new", "InvalidInputError", "InvalidInputError", "new", "new",
    ]  # fmt: skip
    assert results[3].id == results[4].id
    assert [results[n].field for n in (6, 8, 9)] == ["data", "type", "data"]
    assert await desk.commits() == [1, 5]
    rows = await desk.engine.sql("select event_id, external_id, group_id, subject from tidings.outbox order by id")
    assert [tuple(row)[1:] for row in rows] == [
        ("old", "default", None), (None, "default", None), ("old", "acme", None),
        ("new", "default", None), (None, "default", None), (None, "default", "s"),
    ]  # fmt: skip
    assert [row["event_id"] for row in rows[1:]] == [results[n].id for n in (0, 11, 3, 7, 10)]


async def test_events_of_one_caller_keep_their_order(desk: Desk) -> None:
    async def caller(number: int) -> None:
        for n in range(20):
            await desk.publish(draft(subject=str(number), data=str(n)))

    await asyncio.gather(*map(caller, range(8)))
    rows = await desk.engine.sql("select subject, record from tidings.outbox order by id")
    for number in range(8):
        assert [int(row["record"]) for row in rows if row["subject"] == str(number)] == list(range(20))
    assert len(await desk.commits()) < 160


async def test_a_caller_that_goes_away_takes_nothing_with_it(desk: Desk) -> None:
    tasks = [asyncio.create_task(desk.publish(draft(external_id=str(n)))) for n in range(3)]
    await asyncio.sleep(0)  # all wait
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Published, asyncio.CancelledError, Published]
    assert kinds(await desk.all([draft(external_id="1")])) == ["duplicate"]
    assert await desk.commits() == [3]


# Idempotency -------------------------------------------------------------------------------------------------------------

_CALLS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["x", "y", None]), st.integers(1, 2), st.booleans()), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_CALLS)
async def test_an_id_is_published_once_whoever_publishes_it_when(
    desk: Desk, calls: list[tuple[int, str | None, int, bool]]
) -> None:
    """Calls at two publishers, as of two processes; `together`: with the call before, else after all before are answered."""
    await desk.engine.user.execute("truncate tidings.outbox, tidings.published")
    other = Publisher(desk.engine.services.wide)
    publishers = (desk.publisher, other)
    pending: list[asyncio.Task[Published]] = []
    for who, external_id, content, together in calls:
        if pending and not together:
            await asyncio.wait(pending)
        publishing = publishers[who].publish("default", draft(external_id, str(content)), desk.engine.clock.now())
        pending.append(asyncio.create_task(publishing))
    results = await asyncio.gather(*pending, return_exceptions=True)
    await other.close()
    rows = {row["event_id"]: row for row in await desk.engine.sql("select event_id, external_id, record from tidings.outbox")}
    for (_, external_id, content, _), result in zip(calls, results, strict=True):
        if external_id is None:
            assert isinstance(result, Published)
            assert not result.duplicate
            continue
        (winner,) = [row for row in rows.values() if row["external_id"] == external_id]
        if str(content) == winner["record"]:
            assert isinstance(result, Published)
            assert result.id == winner["event_id"]
        else:
            assert isinstance(result, ConflictError)
            assert result.details["event_id"] == str(winner["event_id"])
    assert len(rows) == kinds(results).count("new")


async def test_an_id_that_an_open_transaction_claims_holds_up_nobody_else(desk: Desk) -> None:
    user = desk.engine.user
    await user.execute("begin")
    event_id = await user.fetchval("select tidings.publish('a.b', '1', id => 'x')")
    results = await desk.all([draft(external_id="w"), draft(external_id="x"), draft(), draft(external_id="y")])
    assert kinds(results) == ["new", "BusyError", "new", "new"]
    await user.execute("commit")
    assert await desk.all([draft(external_id="x")]) == [Published(event_id, duplicate=True)]


async def test_ids_that_are_claimed_elsewhere_hold_up_a_commit_for_a_while_and_no_longer(desk: Desk) -> None:
    user = desk.engine.user
    ids = [str(n) for n in range(20)]
    await user.execute("begin")
    await user.execute("select tidings.publish('a.b', '1', id => n::text) from generate_series(0, 19) n")
    results = await desk.all([*map(draft, ids), draft()])
    assert kinds(results) == ["BusyError"] * 21
    says = [str(result) for result in results]
    assert says[0].startswith("Another transaction is in the way")
    assert says[-1].startswith("Other events held up this one")
    await user.execute("rollback")
    assert kinds(await desk.all(map(draft, ids))) == ["new"] * 20


# What is refused ---------------------------------------------------------------------------------------------------------


async def test_an_event_that_postgresql_refuses_keeps_none_of_its_neighbours(desk: Desk) -> None:
    await desk.engine.user.execute("alter table tidings.outbox add constraint no_x check (subject <> 'x')")
    results = await desk.all(
        [
            draft(external_id="a"),
            draft(external_id="b", subject="x"),
            draft(external_id="c", subject="y"),
            draft(external_id="a"),
        ]
    )
    assert kinds(results) == ["new", "CheckViolationError", "new", "duplicate"]
    assert await desk.engine.value("select count(*) from tidings.published") == 2


async def test_an_integer_too_long_for_a_schema_is_refused_alone(desk: Desk) -> None:
    await desk.schema('{"type": "integer"}')
    results = await desk.all([draft(), draft(data="9" * 5000), draft(data="2")])
    assert kinds(results) == ["new", "InvalidInputError", "new"]
    assert results[1].field == "data"


async def test_a_schema_is_in_force_at_once_wherever_it_was_changed(desk: Desk) -> None:
    for schema, data, expected in (
        (None, "1", "new"), ('{"type": "string"}', "1", "InvalidInputError"), ('{"type": "string"}', '"x"', "new"),
        ('{"type": "integer"}', "1", "new"), ('{"type": "integer"}', '"x"', "InvalidInputError"), (None, '"x"', "new"),
    ):  # fmt: skip
        await desk.schema(schema)
        assert kinds(await desk.all([draft(data=data)])) == [expected], (schema, data)
    await desk.schema('{"type": "string"}')
    assert await desk.queries(draft(data='"x"')) == 3  # it does not fit, so it is asked for, and tried again
    assert await desk.queries(draft(data='"x"')) == 1
    await desk.engine.user.execute("delete from tidings.event_types")
    assert kinds(await desk.all([draft()])) == ["new"]


async def test_schemas_that_change_at_every_look_are_not_looked_at_for_ever(desk: Desk) -> None:
    await desk.schema("true", "a.b")
    await desk.publish(draft(type_="a.c"))
    await desk.engine.user.execute(
        "alter table tidings.event_types rename to told; create view tidings.event_types as "
        "select group_id, name, json_schema, ceil(random() * 1e9)::bigint::text::xid as xmin from tidings.told"
    )
    with pytest.raises(BusyError, match="schemas of event types are changing"):
        await desk.publish(draft())
    assert kinds(await desk.all([draft(type_="a.c")])) == ["new"]


async def test_schemas_that_are_remembered_have_a_bound_and_the_oldest_goes_first() -> None:
    schemas = Schemas()
    schemas.learn([], {("default", f"a.t{n}"): Schema("{}", n) for n in range(MAX_SCHEMAS)})
    first, second = ("default", "a.t0"), ("default", "a.t1")
    assert schemas.of([first]) == {first: Schema("{}", 0)}
    schemas.learn([("default", "a.new")], {("default", "a.new"): Schema("{}", 1)})
    assert len(schemas) == MAX_SCHEMAS
    assert schemas.of([first, second]) == {first: Schema("{}", 0), second: None}
    schemas.learn([first], {})
    assert schemas.of([first]) == {first: None}


# Bounds ------------------------------------------------------------------------------------------------------------------


async def test_one_call_more_than_may_wait_is_told_to_come_again(desk: Desk) -> None:
    results = await desk.all_of_two([draft()] * (MAX_WAITING // 2), [draft()])
    assert kinds(results) == ["new"] * MAX_WAITING + ["BusyError"]
    assert await desk.commits() == [MAX_EVENTS] * (MAX_WAITING // MAX_EVENTS)


async def test_data_that_waits_has_a_bound_and_so_has_that_of_a_commit(desk: Desk) -> None:
    large = draft(data=f'"{"x" * (MIB - 2)}"')
    results = await desk.all_of_two([large] * (MAX_WAITING_BYTES // MIB // 2), [draft()])
    assert kinds(results) == ["new"] * (MAX_WAITING_BYTES // MIB) + ["BusyError"]
    assert await desk.commits() == [MAX_BYTES // MIB] * (MAX_WAITING_BYTES // MAX_BYTES)
    larger = draft(subject="x" * MAX_BYTES)
    assert kinds(await desk.all([draft(), larger, draft()])) == ["new"] * 3
    assert (await desk.commits())[-3:] == [1, 1, 1]


async def test_connections_are_kept_and_as_many_as_commits_at_once(desk: Desk) -> None:
    for _ in range(3):
        await desk.all([draft()] * (MAX_EVENTS * 4))
    kept = "select count(*) from pg_stat_activity where query like 'with stale%' and datname = current_database()"
    assert await desk.engine.value(kept) == COMMITS_AT_ONCE


# Outages -----------------------------------------------------------------------------------------------------------------


async def test_without_a_database_every_caller_is_told_and_the_next_after_it_came_back_is_served(desk: Desk) -> None:
    url = desk.engine.services.wide.url
    database = Database("postgresql://postgres:@127.0.0.1:1/postgres", Server())
    publisher = Publisher(database)

    async def publish(count: int) -> list[Any]:
        now = desk.engine.clock.now()
        return await asyncio.gather(*(publisher.publish("default", draft(), now) for _ in range(count)), return_exceptions=True)

    results = await publish(3)
    assert kinds(results) == ["UnavailableError"] * 3
    assert len(set(map(id, results))) == 3
    assert "Publish it again" in str(results[0])
    database.url = url
    assert kinds(await publish(3)) == ["new"] * 3
    await publisher.close()


async def test_when_its_connection_is_cut_every_caller_of_a_commit_is_told_and_publishing_again_does_no_harm(
    desk: Desk,
) -> None:
    await desk.publish(draft())
    for connection in desk.publisher._idle:
        connection.terminate()  # as while it was idle
    assert kinds(await desk.all([draft(external_id="a"), draft(external_id="b")])) == ["new", "new"]
    user = desk.engine.user
    other = await asyncpg.connect(desk.engine.services.wide.url)
    await user.execute("begin; lock table tidings.published in exclusive mode")
    tasks = [asyncio.create_task(desk.publish(draft(external_id=one))) for one in ("c", "d")]
    waiting = "pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    await eventually(lambda: other.fetchval(f"select count(pg_terminate_backend(pid)) from {waiting}"))
    assert kinds(await asyncio.gather(*tasks, return_exceptions=True)) == ["UnavailableError"] * 2
    await user.execute("rollback")
    assert kinds(await desk.all([draft(one) for one in ("b", "c", "d")])) == ["duplicate", "new", "new"]
    await other.close()


async def test_closing_finishes_what_is_under_way_and_answers_everybody(config: Config) -> None:
    async with engine_of(config) as engine:
        desk = Desk(engine)
        tasks = [asyncio.create_task(desk.publish(draft())) for _ in range(MAX_EVENTS + 1)]
        await asyncio.sleep(0)
        await desk.publisher.close()
        assert kinds(await asyncio.gather(*tasks)) == ["new"] * len(tasks)
        assert not desk.publisher._idle


async def test_where_more_wait_than_one_commit_takes_groups_take_turns(desk: Desk) -> None:
    await desk.engine.user.execute("insert into tidings.groups (id) values ('quiet') on conflict do nothing")
    calls = [desk.publish(draft(f"l{number}")) for number in range(2 * MAX_EVENTS)]
    answers = await asyncio.gather(*calls, desk.publish(draft("q"), "quiet"))
    assert len(answers) == 2 * MAX_EVENTS + 1
    beside = await desk.engine.value(
        "select count(*) from tidings.outbox where xmin::text = (select xmin::text from tidings.outbox where group_id = 'quiet')"
    )
    assert beside == MAX_EVENTS, "it is in a whole commit, and not in the one of those that are left over"


async def test_one_group_has_half_of_the_room_for_those_who_wait(desk: Desk) -> None:
    most = int(MAX_WAITING * GROUP_PART)
    tasks = [asyncio.create_task(desk.publish(draft())) for _ in range(most)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await desk.publish(draft())
    await desk.engine.user.execute("insert into tidings.groups (id) values ('quiet') on conflict do nothing")
    assert not (await desk.publish(draft(), "quiet")).duplicate
    await asyncio.gather(*tasks)
