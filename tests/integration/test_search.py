"""Searching history: every question answers exactly what brute force does, by an index, and a bounded number of rows."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import url_of
from tests.support.history import DAY, OLD_IDS_UNTIL, History, Past
from tidings.api.paging import Paging
from tidings.api.search import Asked, find_deliveries, find_events
from tidings.api.services import Services
from tidings.app import opened
from tidings.config import Config
from tidings.core.delivery import State
from tidings.core.event import Event, milliseconds, row_id
from tidings.core.question import Question, checked, table_named
from tidings.profiles import PROFILES


class Stage(msgspec.Struct):
    """A history, and the parts that answer questions about it."""

    history: History
    services: Services
    user: Any

    def of(self, group: str) -> Services:
        return msgspec.structs.replace(self.services, group_id=group)


@pytest.fixture(scope="module")
async def stage(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Some 20,000 deliveries of 10,000 events, for this module."""
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"create database test_search template {template}")
    user = await asyncpg.connect(url_of(postgres, "test_search"))
    await user.execute(
        "update tidings.settings set value = $1 where name = 'delivery_ids_by_event_since'", str(milliseconds(OLD_IDS_UNTIL))
    )
    config = Config(
        database_url=url_of(postgres, "test_search"),
        data_dir=tmp_path_factory.mktemp("search"),
        secret_key="test",
        admin_key="test",
    )
    async with opened(config) as services:
        history = History()
        await history.write_webhooks(user, lambda id_: services.box.seal("whsec_" + "A" * 44, id_))
        history.make(9000)
        history.make_crowd()
        await history.write(user)
        await user.execute("vacuum analyze")
        yield Stage(history, services, user)
    await user.close()
    await admin.execute("drop database test_search with (force)")
    await admin.close()


# Brute force -------------------------------------------------------------------------------------------------------------


def is_of_type(event: Event, word: str, profile: str | None) -> bool:
    """Whether an event is what a word names: in the webhook's vocabulary, or ours, or else in any system's."""
    own = None if profile is None else PROFILES[profile].vocabulary
    ours = {"order.paid", "content.published", "create", "integration.updated"}
    if word.endswith("*") and not word.startswith("integration.object"):
        return event.type.startswith(word[:-1])
    if own is not None and own.sent is not None and (word == own.test or word in own.sent.values()):
        return own.name_of(event) == word
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
    async with services.database.snapshot() as connection:
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
