"""A database of the version before: what it holds is delivered once, and its history can still be read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from tests.integration.test_flights import assert_books_are_right, rescue
from tests.support.engine import engine_of
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.event import milliseconds, uuid7
from tidings.store.migrations import available
from tidings.store.secrets import SecretBox

LAST_OF_BEFORE = 3  # the migrations of the version before

STATES = ("pending", "retrying", "leased", "succeeded", "failed", "cancelled")


async def schema_up_to(last: int, url: str) -> Any:
    """Make the schema as of a migration, and return a connection to it."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "create schema if not exists tidings; create table if not exists tidings.migrations"
        " (number integer primary key, name text not null, applied_at timestamptz not null default now())"
    )
    done = {row["number"] for row in await connection.fetch("select number from tidings.migrations")}
    for number, name, sql in available():
        if number <= last and number not in done:
            await connection.execute(sql)
            await connection.execute("insert into tidings.migrations (number, name) values ($1, $2)", number, name)
    return connection


async def old_database(url: str, receiver_url: str) -> dict[str, UUID]:
    """Make the schema of the version before with a delivery in each state; return their ids."""
    connection = await schema_up_to(LAST_OF_BEFORE, url)
    now = datetime.now(UTC)
    for day in (-1, 0, 1):
        await connection.execute("select tidings.ensure_day($1)", (now + timedelta(days=day)).date())
    webhook = uuid4()
    sealed = SecretBox("test").seal("whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", webhook)
    await connection.execute(
        "insert into tidings.webhooks (id, group_id, name, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry, created_at, updated_at)"
        """ values ($1, 'default', 'old', $2, true, 'standard', '["*"]', $3, 'POST', '{}', 30, '{"delays": [1, 1]}', $4, $4)""",
        webhook, receiver_url, sealed, now,
    )  # fmt: skip
    await connection.execute(
        "insert into tidings.lanes (webhook_id, concurrency, allowance, due_at) values ($1, 100, 10, 'infinity')", webhook
    )
    ids = {state: await _old_delivery(connection, state, webhook, now, number) for number, state in enumerate(STATES)}
    await connection.execute("insert into tidings.outbox (source, type, record) values ('publish', 'a.unrouted', '{}')")
    await connection.close()
    return ids


async def _old_delivery(connection: Any, state: str, webhook: UUID, now: datetime, number: int) -> UUID:
    event, delivery, worker = (uuid7(milliseconds(now), tail) for tail in (number, number + 100, 7))
    await connection.execute(
        "insert into tidings.events (id, group_id, source, type, record, occurred_at, delivery_count) values ($1, 'default', 'publish', $2, '{}', $3, 1)",
        event, f"a.{state}", now,
    )  # fmt: skip
    made = 0 if state == "pending" else 1
    if state in {"pending", "retrying", "leased"}:
        is_leased = state == "leased"
        await connection.execute(
            "insert into tidings.queue (id, webhook_id, event_id, group_id, event_type, due_at, attempt_count, worker_id, claimed_at) values ($1, $2, $3, 'default', $4, $5, $6, $7, $8)",
            delivery, webhook, event, f"a.{state}", now, made, worker if is_leased else None, now if is_leased else None,
        )  # fmt: skip
    else:
        await connection.execute(
            "insert into tidings.deliveries (id, webhook_id, event_id, group_id, event_type, is_test, status, attempt_count, last_status, finished_at) values ($1, $2, $3, 'default', $4, false, $5, 1, 200, $6)",
            delivery, webhook, event, f"a.{state}", state, now,
        )  # fmt: skip
    if made and state != "leased":
        await connection.execute(
            "insert into tidings.attempts (delivery_id, number, started_at, response_status, response_body, worker_id) values ($1, 1, $2, 200, 'as it was', $3)",
            delivery, now, worker,
        )  # fmt: skip
    return delivery


async def test_an_old_database_goes_on_where_it_was(config: Config, empty_database_url: str, receiver: Receiver) -> None:
    ids = await old_database(empty_database_url, receiver.url())
    config = msgspec.structs.replace(config, database_url=empty_database_url)
    async with engine_of(config) as engine:
        await assert_books_are_right(engine)
        for _ in range(4):
            await engine.cycle()
        types = sorted(msgspec.json.decode(request.body)["type"] for request in receiver.received)
        assert types == ["a.leased", "a.pending", "a.retrying", "a.unrouted"]
        await assert_books_are_right(engine)
        attempts = {
            state: [(a["number"], a["failure"], a["response_body"]) for a in await engine.attempts(ids[state])]
            for state in STATES
        }
        assert attempts == {
            "pending": [(1, None, "ok")],
            "retrying": [(1, None, "as it was"), (2, None, "ok")],
            "leased": [(1, "lost", None), (2, None, "ok")],
            "succeeded": [(1, None, "as it was")],
            "failed": [(1, None, "as it was")],
            "cancelled": [(1, None, "as it was")],
        }


async def test_an_old_delivery_can_be_sent_again_with_all_its_attempts(
    config: Config, empty_database_url: str, receiver: Receiver
) -> None:
    from tidings.store import queue

    ids = await old_database(empty_database_url, receiver.url())
    config = msgspec.structs.replace(config, database_url=empty_database_url)
    async with engine_of(config) as engine:
        for _ in range(4):
            await engine.cycle()
        async with engine.services.wide.transaction() as connection:
            assert await queue.send_again(connection, [ids["failed"]]) == {ids["failed"]}
        await engine.cycle()
        assert [a["number"] for a in await engine.attempts(ids["failed"])] == [1, 2]
        await assert_books_are_right(engine)


async def test_what_an_ordered_lane_had_under_way_keeps_its_place(
    config: Config, empty_database_url: str, receiver: Receiver
) -> None:
    ids = await old_database(empty_database_url, receiver.url())
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("update tidings.lanes set ordered = true")
    await connection.execute("update tidings.queue set due_at = due_at - interval '1 hour' where id = $1", ids["leased"])
    await connection.close()
    config = msgspec.structs.replace(config, database_url=empty_database_url)
    async with engine_of(config) as engine:
        first = await engine.value("select id from tidings.queue order by due_at, id limit 1")
        assert first == ids["leased"]
        await engine.worker.deliverer.run_once()
        await engine.worker.attempts.drain(20)
        assert msgspec.json.decode(receiver.received[0].body)["type"] == "a.leased"


async def test_what_is_under_way_in_flights_of_whole_webhooks_is_put_back(
    config: Config, empty_database_url: str, receiver: Receiver
) -> None:
    ids = await old_database(empty_database_url, receiver.url())
    connection = await schema_up_to(6, empty_database_url)
    await connection.execute(
        "with gone as (delete from tidings.queue returning *), lane as (update tidings.lanes set waiting = 0, in_flight = 3)"
        " insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, webhook_ids, attempt_numbers)"
        " select gen_random_uuid(), now(), array_agg(id), array_agg(event_id), array_agg(webhook_id), array_agg((attempt_count + 1)::smallint) from gone"
    )
    await connection.execute("update tidings.counters set count = 0")
    await connection.close()
    config = msgspec.structs.replace(config, database_url=empty_database_url)
    async with engine_of(config) as engine:
        await assert_books_are_right(engine)
        assert await rescue(engine) == 3
        for _ in range(4):
            await engine.cycle()
        types = sorted(msgspec.json.decode(request.body)["type"] for request in receiver.received)
        assert types == ["a.leased", "a.pending", "a.retrying", "a.unrouted"]
        assert [(a["number"], a["failure"]) for a in await engine.attempts(ids["retrying"])] == [
            (1, None),
            (2, "lost"),
            (3, None),
        ]
        await assert_books_are_right(engine)
