"""What comes by the stream is routed in the transaction that lands it, and put into the outbox where that cannot be."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import pack, relaying
from tests.support.receiver import Receiver
from tidings.core import cargo
from tidings.core.event import Event, milliseconds, uuid7
from tidings.core.fleet import Fleet, fleet_of
from tidings.store import moving, placing, relay
from tidings.transport.stream import Stream
from tidings.transport.stream_flights import CONSUMER, stream_of
from tidings.worker.intake import Intake
from tidings.worker.kept import Kept
from tidings.worker.supplies import Arrival, FromStream

pytest_plugins = ("tests.support.fleet_fixtures",)

LANDED = "select count(*) from tidings.landed_flights"
WAITING = "select count(*) from tidings.outbox"


def intake_of(home: Engine, flights: Any) -> Intake:
    return Intake(home.services.wide, flights, "here", router=home.worker.dispatcher, clock=home.services.clock)


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
    assert await pack(source, way.flights) == 5
    async with relaying(source, way.flights):
        await land(intake_of(home, way.flights), home, 1)
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
    await pack(source, way.flights)
    flight, cargo = await source.user.fetchrow("select id, cargo from tidings.relay_flights")
    for _ in range(2):
        await way.flights.send("here", "shop", flight, cargo)
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
        return [one for arrived in await self._way.flights.receive(home, seconds) for one in (arrived, _Again(arrived))]

    async def first(self, home: str) -> int:
        return await self._way.flights.first(home)


class _Again:
    def __init__(self, arrived: Any) -> None:
        self.id, self.name, self.sequence, self.cargo = arrived.id, arrived.name, arrived.sequence, arrived.cargo
        self.source, self.whole, self.is_new = arrived.source, arrived.whole, arrived.is_new

    async def done(self) -> None:
        pass


async def test_behind_what_waits_in_the_outbox_it_waits_there_too(source: Engine, home: Engine, way: Stream) -> None:
    await home.publish("local.event")
    await publish(source, 1)
    async with relaying(source, way.flights):
        await land(intake_of(home, way.flights), home, 1)
    assert await home.value(WAITING) == 2


async def test_a_group_that_crowds_others_waits_in_the_outbox_which_has_the_shares(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    for engine in (source, home):
        await engine.sql("insert into tidings.groups (id) values ('loud'), ('quiet')")
    for group in ("loud", "quiet"):
        await home.add_webhook(receiver.url(f"/{group}"), "order.*", group_id=group)
    intake = intake_of(home, way.flights)
    async with relaying(source, way.flights):
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
    (packed,) = cargo.flights(cargo.packed(events), way.flights.most_bytes)
    await way.flights.send("here", "shop", uuid4(), packed.data)
    await land(intake_of(home, way.flights), home, 1)
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


async def test_what_a_process_has_no_room_for_is_claimed_by_others(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    await publish(source, 3)
    await pack(source, way.flights)
    async with engine_of(home.services.config) as other, relaying(source, way.flights):
        home.worker.places.close()
        await land(intake_of(home, way.flights), home, 1)
        assert await home.value(WAITING) == 0
        assert await home.value("select count(*) from tidings.queue") == 3
        assert await other.worker.deliverer.run_once() == 3
        await eventually(lambda: arrived(receiver, 3))
        await other.cycle()


async def test_while_events_go_to_so_many_webhooks_that_few_fit_into_a_batch_flights_go_through_the_outbox(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    """What was routed at once would else be as many deliveries as a flight has, in one transaction."""
    await home.add_webhook(receiver.url(), "order.*")
    home.worker.dispatcher._size.limit = 2
    intake = intake_of(home, way.flights)
    async with relaying(source, way.flights):
        await source.sql("select tidings.publish('order.paid', '{\"number\": 1}') from generate_series(1, 3)")
        await land(intake, home, 1)
        assert await home.value(WAITING) == 3
        while await home.value(WAITING):
            await home.worker.dispatcher.run_once()
        await source.sql("select tidings.publish('order.paid', '{\"number\": 1}') from generate_series(1, 3)")
        await land(intake, home, 2)
    assert await home.value(WAITING) == 0


async def test_how_large_a_batch_may_be_is_learnt_from_flights_too(source: Engine, home: Engine, way: Stream) -> None:
    home.worker.dispatcher._size.limit = 4
    async with relaying(source, way.flights):
        await source.sql("select tidings.publish('order.paid', '{\"number\": 1}') from generate_series(1, 3)")
        await land(intake_of(home, way.flights), home, 1)
    assert await home.value(WAITING) == 0
    assert home.worker.dispatcher._size.limit == 8, "it made few deliveries, so that more fit"


async def arrived(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) >= count


# What is not plain --------------------------------------------------------------------------------------------------------------


def event(number: int, **fields: Any) -> Event:
    return msgspec.structs.replace(event_at(number, 2026), **fields)


async def send(way: Stream, *events: Event, sender: str = "shop", version: int | None = None, **more: Any) -> UUID:
    """Send a flight of some events and return its id."""
    (packed,) = cargo.flights(cargo.packed(events), way.flights.most_bytes, version, more.pop("origin", None))
    flight = more.pop("id", None) or uuid4()
    await way.flights.send("here", sender, flight, packed.data, **more)
    return cast("UUID", flight)


async def rows(home: Engine) -> list[tuple[Any, ...]]:
    """What is in the outbox: group, number, origin, by which version of the directory."""
    found = await home.sql(
        "select group_id, (record::jsonb ->> 'number')::int, origin, placed_by from tidings.outbox order by id"
    )
    return [tuple(row) for row in found]


async def events_of(home: Engine) -> list[int]:
    """What is in history, by the number in each event."""
    found = await home.sql("select (record::jsonb ->> 'number')::int as number from tidings.events order by 1")
    return [row["number"] for row in found]


FLEET = fleet_of(("here", "there"))
OURS, THEIRS = (
    next(name for at in range(100) if FLEET.home_of(name := f"group-{at}") == home_name) for home_name in FLEET.homes
)


async def place(home: Engine, fleet: Fleet = FLEET) -> None:
    async with home.services.wide.transaction() as connection:
        await placing.put(connection, "here", fleet)


async def test_what_is_of_a_group_that_lives_elsewhere_waits_in_the_outbox_to_travel_on(home: Engine, way: Stream) -> None:
    await place(home)
    intake = intake_of(home, way.flights)
    await send(way, event(1, group_id=OURS), version=3)
    await land(intake, home, 1)
    assert await events_of(home) == [1]
    await send(way, event(2, group_id=OURS), event(3, group_id=THEIRS), version=3)
    await land(intake, home, 2)
    assert await rows(home) == [(OURS, 2, "shop", 3), (THEIRS, 3, "shop", 3)]
    assert await events_of(home) == [1]


async def test_what_is_of_a_group_that_has_webhooks_here_is_routed_here_whatever_the_fleet_says(
    home: Engine, way: Stream, receiver: Receiver
) -> None:
    await place(home)
    await home.sql("insert into tidings.groups (id) values ($1)", THEIRS)
    await home.add_webhook(receiver.url(), "order.*", group_id=THEIRS)
    await send(way, event(1, group_id=THEIRS))
    await land(intake_of(home, way.flights), home, 1)
    assert (await rows(home), await events_of(home)) == ([], [1])


async def test_what_is_of_a_group_that_is_being_moved_waits_in_the_outbox(home: Engine, way: Stream) -> None:
    await place(home)
    async with home.services.wide.transaction() as connection:
        await moving.begin(connection, OURS, "there")
    await send(way, event(1, group_id=OURS))
    await land(intake_of(home, way.flights), home, 1)
    assert [number for _, number, *_ in await rows(home)] == [1]


async def test_who_begins_to_move_a_group_and_who_routes_for_it_see_each_other(home: Engine, way: Stream) -> None:
    """Whoever moves it waits for transactions that began before: one that does not know of it must not begin later."""
    await place(home)
    intake = intake_of(home, way.flights)
    await send(way, event(1, group_id=OURS))
    async with home.services.wide.transaction() as connection:
        await moving.begin(connection, OURS, "there")
        landing = asyncio.create_task(intake.run_once())
        await eventually(lambda: is_waiting(home, landing))
        assert not landing.done(), "it waits for what is said of the group"
    await landing
    assert [number for _, number, *_ in await rows(home)] == [1]
    assert await events_of(home) == []


async def is_waiting(home: Engine, landing: asyncio.Task[int]) -> bool:
    return landing.done() or await home.value(
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
    )


async def test_nothing_is_routed_behind_what_another_process_puts_into_the_outbox_at_this_moment(
    home: Engine, way: Stream
) -> None:
    """It was at work here before and is not yet gone; what it began is committed while we wait for its note of the flight."""
    intake = intake_of(home, way.flights)
    first = await send(way, event(1))
    await send(way, event(2))
    async with home.services.wide.transaction() as connection:
        assert await relay.land(connection, first, [event(1)], "shop")
        landing = asyncio.create_task(intake.run_once())
        await eventually(lambda: is_waiting(home, landing))
    await landing
    await land(intake, home, 2)
    assert [number for _, number, *_ in await rows(home)] == [1, 2]
    assert await events_of(home) == []


async def test_nothing_is_routed_in_another_history_of_postgresql(home: Engine, way: Stream) -> None:
    """Where a standby has taken over it is to be looked first whether it has what was landed last."""
    intake = intake_of(home, way.flights)
    async with home.services.wide.connection() as connection:
        here = await relay.history(connection)
    assert here is not None
    intake._history = f"{int(here, 16) - 1:08X}"  # of the server that was
    await send(way, event(1))
    with pytest.raises(relay.MovedError):
        await intake.run_once()
    assert (await home.value(LANDED), await rows(home), await events_of(home)) == (0, [], [])
    intake._history = here
    assert await home.worker.dispatcher.route_brought(
        FromStream(home.services.clock, [Arrival(uuid4(), "shop", [event(2)])], history=here), 1, can_wait=True
    )
    assert await events_of(home) == [2]


async def test_no_more_groups_are_made_than_sources_may_and_the_others_are_set_aside(home: Engine, way: Stream) -> None:
    await home.sql("insert into tidings.groups (id) select 'own-' || n from generate_series(1, $1) n", relay.MAX_GROUPS - 2)
    intake = intake_of(home, way.flights)
    await send(way, event(1, group_id="g1"))
    await land(intake, home, 1)
    assert (await rows(home), await events_of(home)) == ([], [1]), "there is room for one"
    await send(way, event(2), event(3, group_id="g2"))
    await land(intake, home, 2)
    assert [number for _, number, *_ in await rows(home)] == [2]
    assert "no group is made beyond 100,000" in await home.value("select error from tidings.outbox_rejected")
    assert await home.value("select count(*) from tidings.groups") == relay.MAX_GROUPS


async def test_pieces_of_a_flight_are_landed_by_the_outbox_and_none_of_one_that_was_routed_whole(
    home: Engine, way: Stream
) -> None:
    intake = intake_of(home, way.flights)
    whole = await send(way, event(1), event(2))
    await land(intake, home, 1)
    assert await events_of(home) == [1, 2]
    await send(way, event(1), whole=whole)
    assert await intake.run_once() == 1
    await send(way, event(3), whole=uuid4())
    assert await intake.run_once() == 1
    assert [number for _, number, *_ in await rows(home)] == [3]
    assert await events_of(home) == [1, 2]


async def test_what_only_homes_make_is_set_aside_when_a_source_sends_it_and_landed_when_a_home_does(
    home: Engine, way: Stream
) -> None:
    intake, test = intake_of(home, way.flights), {"source": "tidings", "type": "webhook.test", "webhook_id": uuid4()}
    await send(way, event(1), event(2, **test))
    await land(intake, home, 1)
    assert [number for _, number, *_ in await rows(home)] == [1]
    assert "is of tables or publish" in await home.value("select error from tidings.outbox_rejected")
    await home.worker.dispatcher.run_once()
    assert await home.value(WAITING) == 0
    await send(way, event(3, **test), sender="home_there", version=5, origin="till")
    await land(intake, home, 2)
    assert await rows(home) == [("default", 3, "till", 5)]


async def test_what_comes_in_the_name_of_another_is_set_aside(home: Engine, way: Stream) -> None:
    (packed,) = cargo.flights(cargo.packed([event(1)]), way.flights.most_bytes)
    headers = {"Nats-Msg-Id": str(uuid4()), "Tidings-For": "here.till"}
    await way.jetstream.publish("tidings.flights.here.shop", packed.data, headers=headers)
    assert await intake_of(home, way.flights).run_once() == 1
    assert (await rows(home), await events_of(home)) == ([], [])
    assert "no relay sent it" in await home.value("select error from tidings.outbox_rejected")


async def test_what_a_source_packs_again_is_told_once(home: Engine, way: Stream) -> None:
    intake = intake_of(home, way.flights)
    for _ in range(2):
        await send(way, event(1), event(2))
    await land(intake, home, 2)
    while await home.value(WAITING):
        await home.worker.dispatcher.run_once()
    assert await events_of(home) == [1, 2]
    assert await home.value("select count(*) from tidings.outbox_rejected") == 0


async def test_what_gives_flights_out_is_missed_in_the_log_once(
    home: Engine, way: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidings.intake")
    await way.jetstream.delete_consumer(stream_of("here"), CONSUMER)
    intake = Intake(home.services.wide, way.flights, "here", kept=Kept(home.services.wide, way.flights, "here"))
    running = asyncio.create_task(intake.run())

    async def said() -> list[int]:
        levels = [one.levelno for one in caplog.records if "stream status" in one.getMessage()]
        return levels if len(levels) > 2 else []

    try:
        assert (await eventually(said))[:3] == [logging.WARNING, logging.INFO, logging.INFO]
    finally:
        intake.stop()
        await running


async def test_what_was_routed_at_once_and_lost_with_a_database_is_landed_again(home: Engine, way: Stream) -> None:
    for number in range(1, 4):  # each in a transaction of its own: what is lost is an end of them
        await send(way, event(number))
        await land(intake_of(home, way.flights), home, number)
    assert await events_of(home) == [1, 2, 3]
    await home.sql("delete from tidings.events where (record::jsonb ->> 'number')::int > 1")
    await home.sql(
        "delete from tidings.landed_flights where id not in (select id from tidings.landed_flights order by landed_at limit 1)"
    )
    wide = home.services.wide
    intake = Intake(
        wide,
        way.flights,
        "here",
        router=home.worker.dispatcher,
        clock=home.services.clock,
        kept=Kept(wide, way.flights, "here"),
    )
    running = asyncio.create_task(intake.run())
    try:
        await eventually(lambda: are_landed(home, 3))
    finally:
        intake.stop()
        await running
    assert [number for _, number, *_ in await rows(home)] == [2, 3]


async def are_landed(home: Engine, count: int) -> bool:
    return bool(await home.value(LANDED) == count)
