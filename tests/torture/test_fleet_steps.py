"""Relay and intake are killed, or cut off from PostgreSQL or the stream, at each of their steps in turn: nothing is lost, landed twice or overtaken."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from tests.support import injecting
from tests.support.engine import Engine, eventually
from tests.support.fleet import relay_of, relaying
from tests.support.injecting import Calls, Fault, KilledError
from tests.support.torture import LONG
from tidings.transport.stream import Stream
from tidings.transport.stream_flights import CONSUMER, stream_of
from tidings.transport.stream_making import MAX_UNACKNOWLEDGED
from tidings.worker.intake import Intake, Router
from tidings.worker.kept import Kept

pytest_plugins = ("tests.support.fleet_fixtures",)

MOST_STEPS = 300  # that a relay or an intake may have before this has to be thought about
EVERY = 1 if LONG else 5  # of the steps, which in the short form; others each time
AGAIN_SECONDS = 0.2  # after which flights come again that were not acknowledged
WAYS = [
    pytest.param(is_after, is_fatal, id=f"{'killed' if is_fatal else 'cut off'} {'after' if is_after else 'before'}")
    for is_after in (False, True)
    for is_fatal in (True, False)
]


@pytest.fixture
async def quick(way: Stream) -> Stream:
    """The stream, which brings flights soon again that whoever died had not acknowledged."""
    quickly = ConsumerConfig(
        durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=AGAIN_SECONDS, max_ack_pending=MAX_UNACKNOWLEDGED
    )
    await way.jetstream.add_consumer(stream_of("here"), quickly)
    return way


async def publish(source: Engine, numbers: range) -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))


async def landed(home: Engine) -> list[int]:
    rows = await home.sql("select (record::jsonb ->> 'number')::int as number from tidings.outbox order by id")
    return [row["number"] for row in rows]


async def is_sent(source: Engine) -> bool:
    question = "select exists (select from tidings.outbox) or exists (select from tidings.relay_flights)"
    return not await source.value(question)


def intake_of(home: Engine, flights: Any, router: Router | None = None) -> Intake:
    database = home.services.wide
    kept = Kept(database, flights, "here")
    return Intake(database, flights, "here", again_seconds=AGAIN_SECONDS * 1.5, kept=kept, router=router)


async def until(running: asyncio.Task[None], check: Any) -> None:
    """Wait until it has ended, or is done with what there was."""

    async def is_over() -> bool:
        return running.done() or await check()

    await eventually(is_over)


async def ended(running: asyncio.Task[None], worker: Any) -> None:
    worker.stop()
    with suppress(KilledError):
        await running


async def land_all(home: Engine, way: Stream, count: int) -> None:
    intake = intake_of(home, Calls(way.flights, Fault(0, is_after=False, is_fatal=False)))
    running = asyncio.create_task(intake.run())

    async def is_there() -> bool:
        return len(await landed(home)) >= count

    await until(running, is_there)
    intake.stop()
    await running


def steps() -> range:
    return range(random.randint(1, EVERY), MOST_STEPS, EVERY)


@pytest.mark.parametrize(("is_after", "is_fatal"), WAYS)
async def test_a_relay_that_ends_at_any_step_loses_nothing_and_overtakes_nothing(
    source: Engine, home: Engine, quick: Stream, *, is_after: bool, is_fatal: bool
) -> None:
    count = 0
    database = await source.value("select current_database()")
    for at in steps():
        fault = Fault(at, is_after=is_after, is_fatal=is_fatal)
        await publish(source, range(count, count + 2))
        with injecting.statements(fault, database):
            relay = relay_of(source, Calls(quick.flights, fault, ("send",)))
            running = asyncio.create_task(relay.run())
            await publish(source, range(count + 2, count + 3))
            await until(running, lambda: is_sent(source))
            await ended(running, relay)
        count += 3
        async with relaying(source, quick.flights):
            await eventually(lambda: is_sent(source))
        await land_all(home, quick, count)
        assert await landed(home) == list(range(count)), str(fault)
        if not fault.has_happened:
            return
    pytest.fail("there is no end of the steps of a relay")


@pytest.mark.parametrize(("is_after", "is_fatal"), WAYS)
async def test_an_intake_that_ends_at_any_step_lands_each_flight_once_and_in_its_order(
    source: Engine, home: Engine, quick: Stream, *, is_after: bool, is_fatal: bool
) -> None:
    count = 0
    database = await home.value("select current_database()")
    for at in steps():
        fault = Fault(at, is_after=is_after, is_fatal=is_fatal)
        async with relaying(source, quick.flights):
            for number in range(count, count + 3):
                await publish(source, range(number, number + 1))
                await eventually(lambda: is_sent(source))
        count += 3
        with injecting.statements(fault, database):
            intake = intake_of(home, Calls(quick.flights, fault, ("first", "holding", "kept", "forget")))
            running = asyncio.create_task(intake.run())

            async def is_there(count: int = count) -> bool:
                return len(await landed(home)) >= count

            await until(running, is_there)
            await ended(running, intake)
        await land_all(home, quick, count)
        assert await landed(home) == list(range(count)), str(fault)
        if not fault.has_happened:
            return
    pytest.fail("there is no end of the steps of an intake")


@pytest.mark.parametrize(("is_after", "is_fatal"), WAYS)
async def test_an_intake_that_routes_and_ends_at_any_step_routes_each_event_once(
    source: Engine, home: Engine, quick: Stream, *, is_after: bool, is_fatal: bool
) -> None:
    webhook = await home.add_webhook("https://example.com", "order.*", ordered=True)
    await home.sql("update tidings.lanes set open = false where webhook_id = $1", webhook.id)
    count = 0
    database = await home.value("select current_database()")
    for at in steps():
        fault = Fault(at, is_after=is_after, is_fatal=is_fatal)
        async with relaying(source, quick.flights):
            for number in range(count, count + 3):
                await publish(source, range(number, number + 1))
                await eventually(lambda: is_sent(source))
        count += 3
        with injecting.statements(fault, database):
            intake = intake_of(
                home, Calls(quick.flights, fault, ("first", "holding", "kept", "forget")), home.worker.dispatcher
            )
            running = asyncio.create_task(intake.run())

            async def is_there(count: int = count) -> bool:
                return await come(home) >= count

            await until(running, is_there)
            await ended(running, intake)
        again = intake_of(home, Calls(quick.flights, Fault(0, is_after=False, is_fatal=False)), home.worker.dispatcher)
        running = asyncio.create_task(again.run())
        await until(running, is_there)
        await ended(running, again)
        while await home.value("select count(*) from tidings.outbox"):
            await home.worker.dispatcher.run_once()
        # In the order of the lane: each once, none overtaken.
        rows = await home.sql(
            "select (e.record::jsonb ->> 'number')::int as number from tidings.queue q join tidings.events e on e.id = q.event_id "
            "order by q.due_at, q.event_id"
        )
        assert [row["number"] for row in rows] == list(range(count)), str(fault)
        assert await home.value("select count(*) from tidings.events") == count, str(fault)
        if not fault.has_happened:
            return
    pytest.fail("there is no end of the steps of an intake")


async def come(home: Engine) -> int:
    """Return how many events have come, routed or not."""
    found: int = await home.value("select (select count(*) from tidings.outbox) + (select count(*) from tidings.events)")
    return found
