"""Searching history: every question answers exactly what brute force does, by an index, and a bounded number of rows."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.history import DAY, History, Past, Stage, staged
from tidings.core.delivery import State
from tidings.core.event import TEST_TYPE, Event, about_hash, milliseconds, row_id
from tidings.core.question import Question, checked, table_named
from tidings.core.search import COUNT_BOUND, Drive, Span, Window, span_of
from tidings.operations.history.search import Asked, Paging, find_deliveries, find_events
from tidings.operations.services import Services
from tidings.profiles import PROFILES
from tidings.store import search, webhooks


@pytest.fixture(scope="module")
async def stage(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Some 15,000 deliveries of 10,000 events, for this module."""
    folder = tmp_path_factory.mktemp("search")
    async with staged(postgres, template, folder, name=f"{template}_search", events=9000) as stage:
        yield stage


# Brute force -------------------------------------------------------------------------------------------------------------


def is_of_type(event: Event, word: str, profile: str | None) -> bool:
    """Whether an event is what a word names: in the webhook's vocabulary, or ours, or else in any system's."""
    own = None if profile is None else PROFILES[profile].vocabulary
    ours = {"order.paid", "order.refunded", "content.published", "create", "integration.updated"}
    if word.endswith("*") and not word.startswith("integration.object"):
        return event.type.startswith(word[:-1])
    if own is not None and own.sent is not None and (word == own.test or word in own.sent.values()):
        is_sent = event.operation is not None or event.type in own.sent or event.type == TEST_TYPE
        return is_sent and own.name_of(event) == word
    if word in ours or word.startswith("table."):
        return event.type == word
    return any(
        p.vocabulary.sent is not None and word in p.vocabulary.sent.values() and p.vocabulary.name_of(event) == word
        for p in PROFILES.values()
    )


def fits_event(event: Event, asked: Asked, profile: str | None = None) -> bool:
    q = asked.question
    at = milliseconds(event.occurred_at)
    created = DAY + timedelta(milliseconds=at - milliseconds(DAY))
    row = event.record if event.record is not None else event.old_record
    return (
        event.group_id == q.group_id
        and (q.since is None or created >= q.since)
        and (q.until is None or created < q.until)
        and (not asked.types or any(is_of_type(event, word, profile) for word in asked.types))
        and (q.schema is None or event.table_schema == q.schema)
        and (q.table is None or event.table_name == q.table)
        and (q.record_id is None or (event.operation is not None and row_id(row) == q.record_id))
        and (q.subject is None or (event.operation is None and event.subject == q.subject))
        and (q.external_id is None or event.external_id == q.external_id)
        and (q.event_id is None or event.id == q.event_id)
        and (q.text is None or any(q.text.lower() in (text or "").lower() for text in (event.record, event.old_record)))
    )


def fits(past: Past, asked: Asked, history: History) -> bool:
    q = asked.question
    profile = history.webhooks.get(q.webhook_id, ("", "standard"))[1] if q.webhook_id is not None else None
    return (
        (not q.states or past.state in q.states)
        and (q.webhook_id is None or past.webhook_id == q.webhook_id)
        and (not q.failures or past.failure in q.failures)
        and (not (q.statuses or q.classes) or past.status in q.statuses or (past.status or 0) // 100 in q.classes)
        and fits_event(past.event, asked, profile)
    )


def expected_deliveries(history: History, asked: Asked) -> list[UUID]:
    return sorted((past.id for past in history.deliveries if fits(past, asked, history)), reverse=True)


def expected_events(history: History, asked: Asked) -> list[UUID]:
    return sorted((event.id for event in history.events if fits_event(event, asked)), reverse=True)


# Walking -----------------------------------------------------------------------------------------------------------------


async def walk(stage: Stage, find: Any, asked: Asked, limit: int) -> tuple[list[UUID], list[UUID]]:
    """Return what every page holds, from the newest to the oldest, and the same walked back."""
    services = stage.of(asked.question.group_id)
    forward: list[UUID] = []
    cursor: str | None = None
    for _ in range(10_000):
        result = await page(services, find, asked, Paging(limit, 0, cursor, count=False))
        assert len(result.page.ids) <= limit
        forward += result.page.ids
        if result.page.older is None:
            break
        cursor = result.seal.text(result.page.older)
    backward: list[UUID] = list(result.page.ids)
    while result.page.newer is not None:
        result = await page(services, find, asked, Paging(limit, 0, result.seal.text(result.page.newer), count=False))
        backward = [*result.page.ids, *backward]
    return forward, backward


async def page(services: Services, find: Any, asked: Asked, paging: Paging) -> Any:
    async with services.wide.snapshot() as connection:
        return await find(services, connection, asked, paging)


TIMES = st.integers(-2, 75).map(lambda hours: DAY + timedelta(hours=hours, microseconds=hours * 377))


@st.composite
def questions(draw: Any, history: History, *, of_events: bool) -> Asked:
    """Any question: each filter is there or not."""

    def maybe(values: Any, odds: int = 4) -> Any:
        return draw(values) if draw(st.integers(0, odds)) == 0 else None

    group = draw(st.sampled_from(["default", "default", "default", "acme", "zeta"]))
    since, until = sorted((draw(TIMES), draw(TIMES)))
    schema, table = table_named(maybe(st.sampled_from(["orders", "sales.orders", "public.customers_2", "posts", "nowhere"])))
    more: dict[str, Any] = {}
    if of_events:
        if table is None:
            more["subject"] = maybe(st.sampled_from(["order/7", "sales.orders", "nothing"]))
        more["external_id"] = maybe(st.sampled_from(["ext-5", "ext-17", "ext-none"]), 9)
    else:
        webhooks = [id_ for id_, (owner, _) in history.webhooks.items() if owner == group] + [history.gone]
        more["states"] = tuple(maybe(st.sets(st.sampled_from(State), min_size=1), 2) or ())
        more["webhook_id"] = maybe(st.sampled_from(webhooks), 3)
        more["event_id"] = maybe(st.sampled_from([event.id for event in history.events]), 9)
        more["failures"] = tuple(maybe(st.sets(st.sampled_from(["timeout", "dns", "lost"]), min_size=1), 6) or ())
        more["statuses"] = tuple(maybe(st.sets(st.sampled_from([200, 404, 503, 418]), min_size=1), 6) or ())
        more["classes"] = tuple(maybe(st.sets(st.sampled_from([2, 3, 5]), min_size=1), 6) or ())
    question = Question(
        group_id=group,
        since=since if draw(st.booleans()) and since < until else None,
        until=until if draw(st.booleans()) and since < until else None,
        schema=schema,
        table=table,
        record_id=None if table is None else maybe(st.sampled_from(["7", "x", "70"]), 1),
        text=maybe(st.sampled_from(["red", "GRÖSSE", "größe blue", "100%", "_id", "nothing of it"]), 6),
        **more,
    )
    words = st.sampled_from(
        ["order.paid", "order.*", "table.orders.updated", "table.*", "INSERT", "content.*", "create", "UPDATE"]
    )
    return Asked(checked(question), tuple(sorted(maybe(st.sets(words, min_size=1, max_size=2), 2) or ())))


ALWAYS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@ALWAYS
@given(data=st.data(), limit=st.sampled_from([50, 333, 1000]))
async def test_every_question_on_deliveries_answers_what_brute_force_does(stage: Stage, data: Any, limit: int) -> None:
    asked = data.draw(questions(stage.history, of_events=False))
    expected = expected_deliveries(stage.history, asked)
    forward, backward = await walk(stage, find_deliveries, asked, max(limit, len(expected) // 10))
    assert forward == expected
    assert backward == expected


@ALWAYS
@given(data=st.data(), limit=st.sampled_from([50, 333, 1000]))
async def test_every_question_on_events_answers_what_brute_force_does(stage: Stage, data: Any, limit: int) -> None:
    asked = data.draw(questions(stage.history, of_events=True))
    expected = expected_events(stage.history, asked)
    forward, backward = await walk(stage, find_events, asked, max(limit, len(expected) // 10))
    assert forward == expected
    assert backward == expected


async def test_pages_that_follow_each_other_miss_and_repeat_nothing_while_deliveries_are_added(stage: Stage) -> None:
    asked = Asked(Question(group_id="default", states=(State.SUCCEEDED, State.PENDING, State.RETRYING)))
    expected = expected_deliveries(stage.history, asked)
    found: list[UUID] = []
    cursor = None
    while cursor is not None or not found:
        result = await page(stage.services, find_deliveries, asked, Paging(len(expected) // 5, 0, cursor, count=False))
        found += result.page.ids
        cursor = None if result.page.older is None else result.seal.text(result.page.older)
        for _ in range(20):
            stage.history.add("default", DAY + timedelta(hours=72, milliseconds=len(found)))
        await stage.history.write(stage.user)
    assert found == expected
    forward, backward = await walk(stage, find_deliveries, asked, 1000)
    assert forward == backward == expected_deliveries(stage.history, asked) != expected


async def test_an_offset_leaves_out_the_newest_however_far_they_are_apart(stage: Stage) -> None:
    asked = Asked(Question(group_id="default", states=(State.FAILED,), text="green"))
    expected = expected_deliveries(stage.history, asked)
    found: list[UUID] = []
    paging = Paging(30, 120, None, count=False)
    while len(found) < 30:
        result = await page(stage.services, find_deliveries, asked, paging)
        found += result.page.ids
        paging = Paging(30 - len(found), 0, result.seal.text(result.page.older), count=False)
    assert found == expected[120:150]


_SOME_WEBHOOK = next(iter(History().webhooks))  # the same in each history
COUNTED = {
    "all": Asked(Question(group_id="default")),
    "of a small group": Asked(Question(group_id="acme")),
    "of another": Asked(Question(group_id="zeta")),
    "failed": Asked(Question(group_id="default", states=(State.FAILED,))),
    "of a type": Asked(Question(group_id="default"), ("order.refunded",)),
    "succeeded, of a webhook": Asked(Question(group_id="default", states=(State.SUCCEEDED,), webhook_id=_SOME_WEBHOOK)),
    "of a webhook, a day long": Asked(
        Question(group_id="default", states=(State.SUCCEEDED,), webhook_id=_SOME_WEBHOOK, since=DAY + timedelta(days=1))
    ),
    "of another group's webhook": Asked(Question(group_id="acme", states=(State.SUCCEEDED,), webhook_id=_SOME_WEBHOOK)),
    "nothing": Asked(Question(group_id="default", statuses=(418,))),
}


@pytest.mark.parametrize("name", COUNTED)
async def test_a_count_is_exact_or_says_that_there_are_more(stage: Stage, name: str) -> None:
    asked = COUNTED[name]
    services = stage.of(asked.question.group_id)
    result = await page(services, find_deliveries, asked, Paging(1, 0, None, count=True))
    there = len(expected_deliveries(stage.history, asked))
    match result.count[0]:
        case ">" if result.count == f">{COUNT_BOUND}":
            assert there > COUNT_BOUND
        case ">":
            assert int(result.count[2:]) <= there
        case _:
            assert int(result.count) == there


# Plans -------------------------------------------------------------------------------------------------------------------

ALL = Question(group_id="default")
DRIVES = {
    "deliveries_by_id": (ALL, {"deliveries_pkey", "queue_pkey"}),
    "deliveries_by_webhook": (ALL, {"deliveries_by_webhook", "queue_by_webhook"}),
    "unsuccessful_by_webhook": (ALL, {"deliveries_unsuccessful_by_webhook", "queue_by_webhook"}),
    "unsuccessful_by_group": (ALL, {"deliveries_unsuccessful", "queue_retrying"}),
    "deliveries_by_kind": (ALL, {"events_by_kind", "deliveries_pkey", "queue_pkey"}),
    "deliveries_by_about": (ALL, {"events_by_about", "deliveries_pkey", "queue_pkey"}),
    "events_by_id": (ALL, {"events_pkey"}),
    "events_by_kind": (ALL, {"events_by_kind"}),
    "events_by_about": (ALL, {"events_by_about"}),
}
ROWS = 60


def test_every_drive_has_its_plan_looked_at() -> None:
    assert set(DRIVES) == set(search.LOOKS)


class Explaining:
    """A connection that explains what is fetched, by the plan that serves whatever is asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plan: Any = None

    async def fetch(self, sql: str, *args: Any) -> Any:
        await self._explain(sql, *args)
        return await self._connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        await self._explain(sql, *args)
        return await self._connection.fetchrow(sql, *args)

    async def _explain(self, sql: str, *args: Any) -> None:
        await self._connection.execute("set local plan_cache_mode = force_generic_plan")
        await self._connection.execute(f"prepare looked as {sql}")
        text = f"explain (analyze, format json) execute looked ({', '.join(map(literal, args))})"
        self.plan = json.loads(await self._connection.fetchval(text))[0]["Plan"]
        await self._connection.execute("deallocate looked")


def scanned_whole(plan: Any) -> set[str]:
    """The tables that are read from end to end."""
    return {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan" and node["Actual Loops"]}


def most_rows(plan: Any) -> int:
    """How many rows any one step of a plan handles, those it throws away included."""
    return max((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes(plan))


def literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int():
            return str(value)
        case list() | tuple():
            return f"'{{{','.join(map(str, value))}}}'"
        case _:
            return f"'{value}'"


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("is_apart", [True, False])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("asks_of_event", [True, False])
@pytest.mark.parametrize("name", DRIVES)
async def test_every_drive_walks_its_index_and_a_bounded_number_of_rows(
    stage: Stage, name: str, asks_of_event: bool, newest_first: bool, is_apart: bool
) -> None:
    """Under the role of requests as well: a policy keeps PostgreSQL from an index whose condition could tell what it is given."""
    question, indexes = DRIVES[name]
    webhook = next(id_ for id_, (group, _) in stage.history.webhooks.items() if group == "default")
    left = msgspec.structs.replace(
        question,
        webhook_id=webhook if name.endswith("by_webhook") else None,
        table="orders" if asks_of_event else None,
        failures=("timeout",) if not asks_of_event and not name.startswith("events") else (),
    )
    kinds = ("order.paid", "table.orders.inserted") if name.endswith("by_kind") else ()
    drive = Drive(name, left, left, Span(), kinds, about_hash("default", "orders", "7") if name.endswith("about") else None)
    services = stage.of("default")
    database = services.database if is_apart else services.wide
    async with database.transaction() as connection:
        explaining = Explaining(connection)
        looked = await search.LOOKS[name](explaining, Window(drive, Span(), newest_first, ROWS, ROWS, ROWS))
        parents = dict(
            await connection.fetch(
                "select c.relname, p.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent where p.relkind = 'I'"
            )
        )
    scans = [node for node in nodes(explaining.plan) if node.get("Index Name")]
    used = {parents.get(node["Index Name"], node["Index Name"]) for node in scans if node["Actual Loops"]}
    assert indexes <= used
    assert scanned_whole(explaining.plan) <= {"flights"}  # which has a row for each batch, and is wanted whole
    assert not any(node["Node Type"] in {"Bitmap Heap Scan", "Hash Join", "Merge Join"} for node in nodes(explaining.plan))
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    assert 0 < looked.seen <= 5 * ROWS
    assert (
        read <= 25 * ROWS
    )  # those of each lane, their events, webhooks and attempts; the tables have two hundred times as many


async def test_days_outside_the_bounds_of_time_are_not_opened(stage: Stage) -> None:
    question = msgspec.structs.replace(ALL, since=DAY + timedelta(hours=25), until=DAY + timedelta(hours=47))
    drive = Drive("deliveries_by_id", question, question, span_of(question))
    async with stage.of("default").database.transaction() as connection:
        explaining = Explaining(connection)
        await search.deliveries_by_id(explaining, Window(drive, drive.span, True, ROWS, ROWS, ROWS))
    opened = {node.get("Relation Name", "") for node in nodes(explaining.plan) if node["Actual Loops"]}
    assert {name for name in opened if name.startswith("deliveries_")} == {"deliveries_20261119"}


async def test_the_newest_events_about_any_of_some_things_are_read_and_no_more(stage: Stage) -> None:
    several = [about_hash("default", "orders", str(number)) for number in range(20)]
    async with stage.of("default").database.transaction() as connection:
        explaining = Explaining(connection)
        found = await search.events_about_any(explaining, "default", several, 3)
    assert len(found) == 3
    assert scanned_whole(explaining.plan) == set()
    assert most_rows(explaining.plan) <= 3 * len(several)  # as many of each as of all


@pytest.mark.parametrize("look", ["called", "troubled"])
async def test_webhooks_are_looked_for_among_a_bounded_number_of_a_group(stage: Stage, look: str) -> None:
    """By name, where no index helps, and those that something stopped: the newest of the group are looked at, in order."""
    trying = stage.user.transaction()
    await trying.start()
    await stage.user.execute(
        """with made as (
             insert into tidings.webhooks select r.* from generate_series(1, $1::integer) n, tidings.webhooks w,
               jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid(), 'created_at', w.created_at - n * interval '1 s')) r
             where w.id = (select id from tidings.webhooks where group_id = 'default' limit 1) returning id)
           insert into tidings.lanes (webhook_id, concurrency, allowance) select id, 10, 10 from made""",
        2 * webhooks.LOOKED_THROUGH,
    )
    await stage.user.execute(
        """insert into tidings.groups (id) select 'narrowed-' || n from generate_series(1, 1000) n;
           insert into tidings.group_egress (group_id, narrowing, changed_at) select id, '{}', now() from tidings.groups where id like 'narrowed-%'"""
    )
    await stage.user.execute("analyze tidings.webhooks; analyze tidings.lanes; analyze tidings.group_egress")
    explaining = Explaining(stage.user)
    if look == "called":
        assert (await webhooks.webhooks_called(explaining, "default", "nobody is called so", limit=8))[0] == []
    else:
        assert await webhooks.troubled(explaining, "default", 8) == []
    await trying.rollback()
    # Its figures outlive what is rolled back.
    await stage.user.execute("analyze tidings.webhooks; analyze tidings.lanes; analyze tidings.group_egress")
    assert scanned_whole(explaining.plan) == set()
    assert most_rows(explaining.plan) <= webhooks.LOOKED_THROUGH
