"""How webhooks fare as it is read from their lanes, and what is told of it as events. Time is virtual."""

import re
from asyncio import StreamWriter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.receiver import Received, Receiver, answer, says
from tidings.config import Config
from tidings.core.health import Standing
from tidings.core.retry import Delays
from tidings.store import health, webhooks
from tidings.store.statements import load

DOWN = says(answer(500))
WELL = says(answer(200))


async def state_of(engine: Engine, webhook: Any) -> health.State:
    async with engine.services.wide.connection() as connection:
        return (await health.read(connection, "default", [webhook.id, uuid4()], engine.clock.now()))[webhook.id]


async def told(engine: Engine) -> list[dict[str, Any]]:
    rows = await engine.sql("select type, subject, source, record from tidings.events where source = 'tidings' order by id")
    return [{"type": row["type"], "subject": row["subject"]} | msgspec.json.decode(row["record"]) for row in rows]


async def test_health_follows_what_a_webhook_goes_through(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(100,) * 5, jitter=0))
        engine.clock.stand_still()
        begun = engine.clock.now()
        assert (await state_of(engine, webhook)).health.state is Standing.IDLE

        await engine.publish()
        await engine.cycle()
        state = await state_of(engine, webhook)
        assert (state.health.state, state.health.since, state.lane.last_success_at) == (Standing.HEALTHY, begun, begun)

        receiver.otherwise = DOWN
        engine.clock.ahead += timedelta(seconds=5)
        failed_at = engine.clock.now()
        await engine.publish()
        await engine.cycle()
        engine.clock.ahead += timedelta(seconds=100)
        await engine.cycle()
        state = await state_of(engine, webhook)
        assert (state.health.state, state.health.since) == (Standing.FAILING, failed_at)
        assert (state.lane.last_failure, state.lane.last_failure_at) == (
            "The receiver answered HTTP 500.",
            failed_at + timedelta(seconds=100),
        )
        assert state.health.sentence.startswith("Its last 2 attempts failed: The receiver answered HTTP 500. 1 delivery waits;")

        for _ in range(30):
            await engine.publish()
        await engine.cycle()
        state = await state_of(engine, webhook)
        assert (state.health.state, state.health.since) == (Standing.RESTING, failed_at)
        assert state.health.until > engine.clock.now()

        receiver.otherwise = WELL
        engine.clock.ahead += timedelta(seconds=1000)
        for _ in range(8):
            await engine.cycle()
        state = await state_of(engine, webhook)
        assert (state.health.state, state.lane.waiting) == (Standing.HEALTHY, 0)
        assert state.health.since == engine.clock.now()
        async with engine.services.wide.snapshot() as connection:
            figures = await health.figures(connection, "default", webhook.id, engine.clock.now())
            rates = await health.success_rates(connection, "default", [webhook.id, uuid4()], engine.clock.now())
        made = {name: one.succeeded + one.retried + one.failed for name, one in figures.items()}
        assert made == dict.fromkeys(("hour", "day", "month"), len(receiver.received))
        assert rates == {webhook.id: figures["hour"].success_rate}


async def test_a_webhook_that_is_changed_while_it_fails_is_tried_at_once_and_still_failing(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(100,) * 5))
        for _ in range(30):
            await engine.publish()
        await engine.cycle()
        assert (await state_of(engine, webhook)).health.state is Standing.RESTING
        changed = msgspec.structs.replace(webhook, name="other")
        async with engine.services.wide.transaction() as connection:
            await webhooks.update_webhook(connection, engine.services.box, changed, was=webhook)
        assert (await state_of(engine, webhook)).health.state is Standing.FAILING
        before = len(receiver.received)
        await engine.cycle()
        assert len(receiver.received) > before


async def test_what_is_paused_or_disabled_says_why_and_since_when(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(410))
    async with engine_of(config) as engine:
        gone = await engine.add_webhook(receiver.url(), "*")
        paused = await engine.add_webhook(receiver.url(), "*", enabled=False)
        await engine.publish()
        await engine.cycle()
        state = (await state_of(engine, gone)).health
        assert state.state is Standing.DISABLED
        assert "410 Gone" in state.sentence
        assert state.since is not None
        state = (await state_of(engine, paused)).health
        assert (state.state, state.since) == (Standing.PAUSED, paused.created_at)


async def test_webhooks_are_told_once_that_another_fails_recovers_and_is_disabled(config: Config, receiver: Receiver) -> None:
    status = {"/ill": 500}

    async def by_path(request: Received, writer: StreamWriter) -> None:
        writer.write(answer(status.get(request.path, 200)))

    receiver.otherwise = by_path
    async with engine_of(config) as engine:
        policy = Delays(delays=(10,) * 30, jitter=0)
        ill = await engine.add_webhook(receiver.url("/ill"), "order.*", "webhook.*", name="ERP", retry=policy)
        await engine.add_webhook(receiver.url("/watch"), "webhook.failing", "webhook.recovered", "webhook.disabled")
        await engine.add_webhook(receiver.url("/all"), "*")
        engine.clock.stand_still()
        begun = engine.clock.now()
        await engine.publish("order.paid")
        for number in range(1, 16):
            await engine.cycle()
            published = await engine.value("select count(*) from tidings.outbox where source = 'tidings'") + len(
                await told(engine)
            )
            assert published == (number >= 10), number  # at the tenth attempt, and not again
            engine.clock.ahead += timedelta(seconds=10)
        (warning,) = await told(engine)
        assert warning == {
            "type": "webhook.failing",
            "subject": str(ill.id),
            "webhook_id": str(ill.id),
            "name": "ERP",
            "url": ill.url,
            "since": begun.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "reason": "The receiver answered HTTP 500.",
            "waiting": 1,
        }
        status["/ill"] = 200
        await engine.cycle()
        await engine.cycle()
        status["/ill"] = 410
        engine.clock.ahead += timedelta(seconds=1)  # events are told apart by their time
        await engine.publish("order.paid")
        await engine.cycle()
        await engine.cycle()
        assert [one["type"] for one in await told(engine)] == ["webhook.failing", "webhook.recovered", "webhook.disabled"]
        assert "410 Gone" in (await told(engine))[-1]["reason"]
        heard: dict[str, list[str]] = {}
        for request in receiver.received:
            heard.setdefault(request.path, []).append(msgspec.json.decode(request.body)["type"])
        assert heard["/watch"] == ["webhook.failing", "webhook.recovered", "webhook.disabled"]
        assert heard["/all"] == ["order.paid"] * 2  # that was said of the group's own facts
        assert set(heard["/ill"]) == {"order.paid"}  # it is not told of itself


async def test_a_webhook_that_fails_for_an_hour_is_warned_of_however_few_attempts_that_are(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(1900, 1900, 1900), jitter=0))
        engine.clock.stand_still()
        await engine.publish()
        for expected in (0, 0, 1, 1):
            await engine.cycle()
            assert (
                await engine.value("select count(*) from tidings.outbox where source = 'tidings'") + len(await told(engine))
                == expected
            )
            engine.clock.ahead += timedelta(seconds=1900)
        async with engine.services.wide.connection() as connection:
            assert await health.warned(connection, "default") == [webhook.id]
            assert await health.warned(connection, "other") == []
            assert await health.count(connection, engine.clock.now()) == health.Count(failing=1, resting=0)


async def test_two_webhooks_that_watch_each_other_and_both_fail_do_not_feed_each_other(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        for path in ("/a", "/b"):
            await engine.add_webhook(receiver.url(path), "*", "webhook.*", retry=Delays(delays=(10,) * 12, jitter=0))
        engine.clock.stand_still()
        await engine.publish("order.paid")
        for _ in range(100):
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=5)
        assert await engine.unfinished() == 0
        assert [one["type"] for one in await told(engine)] == ["webhook.failing"] * 2


@pytest.mark.parametrize("name", ["read", "warned", "attempts_since", "ending", "warn"])
async def test_health_is_read_by_index_however_many_webhooks_there_are(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """with made as (
          insert into tidings.webhooks (id, group_id, name, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry,
            created_at, updated_at)
          select md5(n::text)::uuid, 'default', 'n', 'https://x', true, 'standard', '[]', '', 'POST', '{}', 30, '{}', now(), now()
          from generate_series(1, 20000) n returning id)
        insert into tidings.lanes (webhook_id, concurrency, allowance) select id, 1, 1 from made;
        insert into tidings.statistics (group_id, webhook_id, span, starts_at, outcome, part, count, latencies)
          select 'default', webhook_id, 'minute', now(), 'succeeded', 1, 1, '{}' from tidings.lanes;
        update tidings.webhooks set sealed_credentials = '', credentials = jsonb_build_object('client_certificate', jsonb_build_object('not_after', now()))
          where id = md5('7')::uuid;
        update tidings.lanes set warned_at = now() where webhook_id = md5('7')::uuid;
        analyze tidings.webhooks; analyze tidings.lanes; analyze tidings.statistics"""
    )
    page = "'00000000-0000-0000-0000-000000000000', md5('7')::uuid, md5('8')::uuid"
    values = {
        "read": {"$1": "'default'", "$2::uuid[]": f"array[{page}]::uuid[]"},
        "warned": {"$1": "'default'", "$2": "50", "$3": "10000"},
        "attempts_since": {"$1": "'default'", "$2::uuid[]": f"array[{page}]::uuid[]", "$3": "now() - interval '1 hour'"},
        "ending": {"$1": "'default'", "$2": "now() + interval '1 day'", "$3": "10"},
        "warn": {"$1": "now()", "$2": "now() + interval '1 day'", "$3": "10"},
    }[name]
    statement = (load("certificates") if name in {"ending", "warn"} else load("health"))[name]
    for place, value in values.items():
        statement = statement.replace(place, value)
    plan = await connection.fetchval(f"explain (analyze, format json) {statement}")
    rows = [int(float(number)) for number in re.findall(r'"Actual Rows": ([\d.]+)', plan)]
    assert 0 < max(rows) <= 10
    assert "Seq Scan" not in plan
    await connection.close()
