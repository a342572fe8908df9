"""What comes by the stream is routed in the transaction that lands it, and put into the outbox where that cannot be."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.support.engine import Engine
from tests.support.fleet import pack, relaying
from tests.support.receiver import Receiver
from tidings.core import cargo
from tidings.core.event import Event, milliseconds, uuid7
from tidings.transport.stream import Stream
from tidings.worker.intake import Intake

pytest_plugins = ("tests.support.fleet_fixtures",)

LANDED = "select count(*) from tidings.landed_flights"
WAITING = "select count(*) from tidings.outbox"


def intake_of(home: Engine, way: Any) -> Intake:
    return Intake(home.services.wide, way, "here", router=home.worker.dispatcher, clock=home.services.clock)


async def publish(source: Engine, count: int, *, type_: str = "order.paid", group_id: str = "default") -> None:
    for number in range(count):
        await source.sql("select tidings.publish($1, $2, group_id => $3)", type_, json.dumps({"number": number}), group_id)


async def land(intake: Intake, home: Engine, flights: int) -> None:
    while await home.value(LANDED) < flights:
        await intake.run_once()


def numbers(receiver: Receiver) -> list[int]:
    return [json.loads(one.body)["data"]["number"] for one in receiver.received]


async def test_what_comes_is_routed_as_it_is_landed(source: Engine, home: Engine, way: Stream, receiver: Receiver) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    await home.add_webhook(receiver.url("/ordered"), "order.*", ordered=True)
    await publish(source, 5)
    assert await pack(source, way) == 5
    async with relaying(source, way):
        await land(intake_of(home, way), home, 1)
    assert await home.value(WAITING) == 0
    assert await home.value("select sum(delivery_count) from tidings.events") == 10
    assert await home.value("select last_value from tidings.outbox_id_seq") == 1, "nothing was ever there"
    while len(receiver.received) < 10:
        await home.cycle()
    assert sorted(numbers(receiver)) == sorted([*range(5), *range(5)])
    ordered = [json.loads(one.body)["data"]["number"] for one in receiver.received if one.path == "/ordered"]
    assert ordered == list(range(5))


async def test_a_flight_that_comes_again_is_routed_once(source: Engine, home: Engine, way: Stream, receiver: Receiver) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    await publish(source, 1)
    await pack(source, way)
    flight, cargo = await source.user.fetchrow("select id, cargo from tidings.relay_flights")
    for _ in range(2):
        await way.send("here", "shop", flight, cargo)
    home.worker.dispatcher.rung.clear()
    intake = intake_of(home, _Twice(way))
    assert await intake.run_once() == 2
    await home.cycle()
    assert numbers(receiver) == [0]


class _Twice:
    """A stream that brings everything twice, as one does whose acknowledgements are lost."""

    def __init__(self, way: Stream) -> None:
        self._way = way

    async def receive(self, home: str, seconds: float) -> list[Any]:
        return [one for arrived in await self._way.receive(home, seconds) for one in (arrived, _Again(arrived))]

    async def first(self, home: str) -> int:
        return await self._way.first(home)


class _Again:
    def __init__(self, arrived: Any) -> None:
        self.id, self.name, self.sequence, self.cargo = arrived.id, arrived.name, arrived.sequence, arrived.cargo
        self.source = arrived.source

    async def done(self) -> None:
        pass


async def test_behind_what_waits_in_the_outbox_it_waits_there_too(source: Engine, home: Engine, way: Stream) -> None:
    await home.publish("local.event")
    await publish(source, 1)
    async with relaying(source, way):
        await land(intake_of(home, way), home, 1)
    assert await home.value(WAITING) == 2


async def test_a_group_that_crowds_others_waits_in_the_outbox_which_has_the_shares(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    for engine in (source, home):
        await engine.sql("insert into tidings.groups (id) values ('loud'), ('quiet')")
    for group in ("loud", "quiet"):
        await home.add_webhook(receiver.url(f"/{group}"), "order.*", group_id=group)
    intake = intake_of(home, way)
    async with relaying(source, way):
        await source.sql(
            "select tidings.publish('order.paid', '{\"number\": 1}', group_id => 'loud') from generate_series(1, 400)"
        )
        await land(intake, home, 1)
        assert await home.value(WAITING) == 0, "until then nobody knew"
        await publish(source, 1, group_id="loud")
        await land(intake, home, 2)
    assert await home.value(WAITING) == 1


async def test_what_cannot_be_routed_is_set_aside_from_the_outbox_alone(home: Engine, way: Stream, receiver: Receiver) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    events = [event_at(number, year) for number, year in ((1, 2026), (2, 2400), (3, 2026))]
    (packed,) = cargo.flights(cargo.packed(events), way.most_bytes)
    await way.send("here", "shop", uuid4(), packed.data)
    await land(intake_of(home, way), home, 1)
    assert await home.value(WAITING) == 3
    while await home.value(WAITING):
        await home.cycle()
    await home.cycle()
    assert sorted(numbers(receiver)) == [1, 3]
    assert "in the year 2400" in await home.value("select error from tidings.outbox_rejected")


def event_at(number: int, year: int) -> Event:
    at = datetime(year, 11, 22, tzinfo=UTC)
    record = json.dumps({"number": number})
    return Event(uuid7(milliseconds(at), number), "default", "publish", "order.paid", None, None, None, None, record, None, at)


async def test_what_a_batch_has_no_room_for_waits_in_the_outbox_where_others_can_take_it(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    await publish(source, 3)
    await pack(source, way)
    other = await home.user.fetchval(
        "insert into tidings.workers (id, host, pid) values (gen_random_uuid(), 'other', 1) returning id"
    )
    places = home.worker.places
    promised = await places.promise(places.free() - 1, can_wait=False)
    promised += await places.promise(places.free() - 1, can_wait=False)
    async with relaying(source, way):
        await land(intake_of(home, way), home, 1)
    places.keep_promise(promised)
    await home.sql("delete from tidings.workers where id = $1", other)
    assert await home.value(WAITING) == 3
