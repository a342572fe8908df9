"""What is routed comes from the outbox or from the stream: both give the same events, once, inside the transaction that routes them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.support.engine import Engine
from tidings.core.event import Event, milliseconds, uuid7
from tidings.core.event_fault import MAX_EVENT_BYTES
from tidings.store import outbox, relay
from tidings.worker.batches import Batch, Size
from tidings.worker.supplies import MOST_BYTES, Arrival, FromOutbox, FromStream, NotNowError, Supply, together

Brought = Callable[[Sequence[Event]], Any]  # puts events where a supply has them from, and returns that

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(number: int = 0, **fields: Any) -> Event:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=number)
    made = Event(
        uuid7(milliseconds(at), number),
        "default",
        "publish",
        "order.paid",
        None,
        None,
        None,
        None,
        f'{{"n":{number}}}',
        None,
        at,
    )
    return msgspec.structs.replace(made, **fields)


def changed(number: int, **fields: Any) -> Event:
    of_table = {"source": "tables", "operation": "UPDATE", "table_schema": "public", "table_name": "orders"}
    return event(
        number, **{"type": "table.orders.updated", "subject": "public.orders", "old_record": "{}", **of_table, **fields}
    )


@pytest.fixture(params=["outbox", "stream"])
def bring(request: pytest.FixtureRequest, engine: Engine) -> Brought:
    services = engine.services

    async def bring(events: Sequence[Event]) -> Supply:
        if request.param == "stream":
            return FromStream(services.clock, [Arrival(uuid4(), "shop", [one]) for one in events])
        async with services.wide.transaction() as connection:
            await outbox.bring(connection, events, "shop")
        return FromOutbox(services.clock, services.installation.salt)

    return bring


async def taken(engine: Engine, supply: Supply, *, is_kept: bool = True) -> Any:
    async with engine.services.wide.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        found = await supply.take(connection, Batch(100, 0, Size(100)))
        await (transaction.commit() if is_kept else transaction.rollback())
    return found


async def test_events_come_as_they_were_committed_with_where_they_are_from(engine: Engine, bring: Brought) -> None:
    events = [
        event(3),
        changed(1, external_id="x", hops=2),
        event(2, traceparent=TRACE, subject="invoice 7"),
        event(4, group_id="acme", capture_error="it was no JSON", record=None),
    ]
    found = await taken(engine, await bring(events))
    assert found.events == events
    assert found.faults == {}
    assert found.uncounted == events
    assert found.origins == {one.id: "shop" for one in events}
    versions = await engine.user.fetchrow(
        "select (select version from tidings.routes_version), (select version from tidings.privacy_version)"
    )
    assert (found.routes_version, found.privacy_version) == tuple(versions)


async def test_they_are_taken_once(engine: Engine, bring: Brought) -> None:
    supply = await bring([event(1), event(2)])
    assert len((await taken(engine, supply)).events) == 2
    assert (await taken(engine, supply)).numbers == []


async def test_they_are_there_again_when_they_could_not_be_routed(engine: Engine, bring: Brought) -> None:
    supply = await bring([event(1), event(2)])
    first = await taken(engine, supply, is_kept=False)
    assert (await taken(engine, supply)).events == first.events


async def test_what_a_source_says_of_a_table_follows_from_the_table(engine: Engine, bring: Brought) -> None:
    """As of a row of the outbox: its type and subject are nobody's choice. What is no trace is left out."""
    (found,) = (
        await taken(engine, await bring([changed(1, type="order.paid", subject="mine", traceparent="x", hops=None)]))
    ).events
    assert (found.type, found.subject, found.traceparent, found.hops) == ("table.orders.updated", "public.orders", None, 0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"occurred_at": datetime(2400, 1, 1, tzinfo=UTC)}, "in the year 2400"),
        ({"id": uuid4()}, "is no UUIDv7"),
        ({"group_id": "x" * 1000}, "Its group is"),
        ({"type": ""}, "Its type must have 1"),
        ({"source": "tables", "table_name": "orders"}, "names no table"),
        (
            {"source": "tables", "table_name": "orders", "table_schema": "public", "operation": "MERGE"},
            "its operation is 'MERGE'",
        ),
    ],
)
async def test_what_cannot_become_an_event_is_told(engine: Engine, bring: Brought, fields: dict[str, Any], said: str) -> None:
    found = await taken(engine, await bring([event(1), event(2, **fields)]), is_kept=False)
    assert found.events == []
    (reason,) = found.faults.values()
    assert said in reason
    assert set(found.faults) == {found.numbers[1]}


async def test_the_stream_waits_behind_what_is_in_the_outbox_even_while_that_is_being_routed(engine: Engine) -> None:
    services = engine.services
    supply = FromStream(services.clock, [Arrival(uuid4(), "shop", [event(2)])])
    await engine.publish()
    with pytest.raises(NotNowError):
        await taken(engine, supply)
    async with services.wide.transaction() as connection:
        assert (await outbox.take(connection, 10)).rows  # a dispatcher is at it
        with pytest.raises(NotNowError):
            await taken(engine, supply)
    assert len((await taken(engine, supply)).events) == 1


async def test_a_flight_that_was_landed_in_the_outbox_is_known_to_the_stream_and_the_other_way_round(engine: Engine) -> None:
    services, first, second = engine.services, uuid4(), uuid4()
    async with services.wide.transaction() as connection:
        assert await relay.land(connection, first, [event(1)], "shop")
    await engine.cycle()
    known, fresh = Arrival(first, "shop", [event(1)]), Arrival(second, "shop", [event(2)])
    with pytest.raises(NotNowError):  # it may have been put into the outbox just now, by another process
        await taken(engine, FromStream(services.clock, [known, fresh]), is_kept=False)
    supply = FromStream(services.clock, [known])
    assert (await taken(engine, supply)).events == []
    assert (supply.new, supply.landed) == (set(), [])
    supply = FromStream(services.clock, [fresh])
    assert (await taken(engine, supply)).events == [event(2)]
    assert (supply.new, supply.landed) == ({second}, [event(2)])
    async with services.wide.transaction() as connection:
        assert not await relay.land(connection, second, [event(2)], "shop")


async def test_what_comes_by_the_stream_has_its_time_and_size_as_the_outbox_would_give_them(engine: Engine) -> None:
    clock, at = engine.services.clock, event(1).occurred_at
    elsewhere = event(1, occurred_at=at.astimezone(timezone(timedelta(hours=5))))
    (found,) = (await taken(engine, FromStream(clock, [Arrival(uuid4(), "shop", [elsewhere])]))).events
    assert (found.occurred_at, found.occurred_at.tzinfo) == (at, UTC)
    large = event(2, record='"' + "€" * (MAX_EVENT_BYTES // 3) + '"')  # characters of three bytes
    (reason,) = (await taken(engine, FromStream(clock, [Arrival(uuid4(), "shop", [large])]), is_kept=False)).faults.values()
    assert "Its records have" in reason


@pytest.mark.parametrize(
    ("sizes", "first"),
    [([500, 500], 1), ([100, 200, 212, 1], 3), ([600, 1], 1), ([1], 1), ([0, 0], 2)],
)
def test_flights_are_routed_together_up_to_a_batch(sizes: list[int], first: int) -> None:
    arrivals = [Arrival(uuid4(), "shop", [event(1)] * size) for size in sizes]
    assert together(arrivals) == arrivals[:first]


def test_flights_are_routed_together_up_to_so_many_bytes() -> None:
    arrivals = [Arrival(uuid4(), "shop", [], MOST_BYTES // 2) for _ in range(3)]
    assert together(arrivals) == arrivals[:2]
