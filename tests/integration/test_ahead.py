"""Deliveries go on while a home's database is away, and are recorded once it is back: with a real stream and a real outage."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from tests.support.ahead import Away, ahead_by, are_ended, is_recorded, numbers, publish
from tests.support.engine import Engine, eventually
from tests.support.fleet import relaying
from tests.support.receiver import Receiver
from tidings.core.ahead import GIVE_UP_SECONDS, NOBODY, RENEW_INTERVAL, Turn
from tidings.core.cargo import FORMAT
from tidings.store.outages import AnotherDatabaseError, RefusedConnectionError
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import ahead_of
from tidings.transport.stream_flights import Flights, stream_of
from tidings.worker.ahead_session import Session
from tidings.worker.ahead_turn import Turn as AheadTurn
from tidings.worker.answered import Answered
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.ahead_fixtures")


async def test_what_comes_while_the_database_is_away_is_delivered_and_recorded_once(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    async with away.relaying(source):
        await publish(source, range(3))
        await receiver.wait_for(3)
        switch.cut()
        await publish(source, range(3, 10))
        await receiver.wait_for(10)
        assert await away.is_ahead()
        assert await home.value("select count(*) from tidings.landed_flights") <= 3, "nothing was landed meanwhile"
        home.clock.ahead += timedelta(minutes=1)
        mended_at = home.clock.now()
        switch.mend()
        await eventually(lambda: is_recorded(home, 10))
        await publish(source, range(10, 12))
        await eventually(lambda: is_recorded(home, 12))
    assert numbers(receiver) == list(range(12)), "none was made twice"
    assert await away.is_ended()
    (found,) = await home.sql(
        "select min(last_status) as least, min(finished_at - started_at) as least_time, "
        "count(*) filter (where finished_at > $1) as recorded_late from tidings.deliveries",
        mended_at,
    )
    assert found["least"] == 200
    assert found["least_time"] >= timedelta()
    assert found["recorded_late"] == 2, "what was delivered meanwhile ended when its receiver answered"
    lane = (await home.sql("select in_flight, waiting from tidings.lanes"))[0]
    assert (lane["in_flight"], lane["waiting"]) == (0, 0)
    assert await home.unfinished() == 0


async def test_what_fails_is_tried_again_by_the_database_and_its_first_attempt_is_on_record(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    async with away.relaying(source):
        switch.cut()
        await eventually(away.is_ahead)
        receiver.scripts.append(failing)
        await publish(source, range(1))
        await receiver.wait_for(1)
        await publish(source, range(1, 2))  # its lane rests, or its turn comes after a second
        switch.mend()
        await eventually(lambda: are_ended(home, 2))
    rows = await home.attempts()
    failed = [row for row in rows if row["response_status"] == 500]
    assert [(row["number"], row["response_body"]) for row in failed] == [(1, "broken")]
    assert [row["number"] for row in rows if row["delivery_id"] == failed[0]["delivery_id"]] == [1, 2]
    assert sorted(set(numbers(receiver))) == [0, 1]


async def is_received(receiver: Receiver, expected: range) -> bool:
    return set(expected) <= set(numbers(receiver))


async def failing(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 6\r\n\r\nbroken")


async def test_what_hangs_on_the_database_waits_for_it(source: Engine, away: Away, receiver: Receiver) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url("/plain"))
    await away.hook(receiver.url("/ordered"), ordered=True)
    await away.hook(receiver.url("/slowly"), rate_per_second=100.0)
    await away.hook(receiver.url("/patient"), timeout_seconds=300)
    async with away.relaying(source):
        switch.cut()
        await publish(source, range(3))
        await receiver.wait_for(3)
        assert {one.path for one in receiver.received} == {"/plain"}
        switch.mend()
        await eventually(lambda: are_ended(home, 12))
    for path in ("/plain", "/ordered", "/slowly", "/patient"):
        assert numbers(receiver, path) == [0, 1, 2]


async def test_what_was_answered_waits_with_its_event_where_that_goes_through_the_outbox(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    """As where something waits in the outbox when the database comes back."""
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    async with away.relaying(source):
        switch.cut()
        await publish(source, range(4))
        await receiver.wait_for(4)
        await home.sql(
            "insert into tidings.outbox (source, type, record) select 'publish', 'other', '{}' from generate_series(1, 3)"
        )
        async with home.user.transaction():  # which does not go by the switch
            await home.sql("select from tidings.outbox for update")
            switch.mend()
            await eventually(lambda: waits(home, 4))
        await eventually(lambda: are_ended(home, 4))
    assert numbers(receiver) == [0, 1, 2, 3]
    assert await home.value("select count(*) from tidings.outbox") == 0


async def waits(home: Engine, count: int) -> bool:
    return bool(await home.value("select count(*) from tidings.outbox where answers is not null") >= count)


async def test_a_lane_has_no_more_under_way_than_it_may(source: Engine, away: Away, receiver: Receiver) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url(), concurrency=2)
    under_way, most, opened = 0, 0, asyncio.Event()

    async def counting(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if most == 2:
            opened.set()
        await opened.wait()
        under_way -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    receiver.otherwise = counting
    async with away.relaying(source):
        switch.cut()
        await publish(source, range(20))
        await receiver.wait_for(20)
        switch.mend()
        await eventually(lambda: are_ended(home, 20))
    assert most == 2
    assert numbers(receiver) == list(range(20))


async def test_a_process_that_dies_while_it_sends_ahead_keeps_nobody_from_landing_for_long(away: Away) -> None:
    """Its turn is over by its silence. What it had not told is delivered again."""
    await away.say(ahead_by("dead"))
    await Answered(away.beside, silent_seconds=0.5).begin(Signal())
    assert await away.is_ended()


async def test_only_one_process_sends_ahead_and_another_goes_on_when_it_is_silent(away: Away) -> None:
    aheads = [await away.ahead(silent_seconds=0.5) for _ in range(2)]
    turns = [await ahead._take_turn() for ahead in aheads]
    assert [turn is not None for turn in turns] == [True, False]
    assert turns[0] is not None
    assert turns[0].is_sure

    async def is_taken() -> bool:
        return await aheads[1]._take_turn() is not None

    await eventually(is_taken)
    turns[0]._renewed_at -= RENEW_INTERVAL
    await turns[0].renew(1)
    assert not turns[0].is_ours, "whoever was silent for too long learns that another has the turn"


async def test_nothing_is_sent_ahead_while_somebody_of_the_home_lands(away: Away) -> None:
    """As where this process alone has lost the database."""
    services = away.engine.services
    ahead = await away.ahead(away_seconds=0.5)
    services.wide.outages.failed(ConnectionRefusedError())
    try:

        async def is_received() -> bool:
            return (await away.beside.is_received())[0]

        await eventually(is_received)
        for _ in range(3):
            if await is_received():
                assert not await ahead.run_once()
        assert not await away.is_ahead()
    finally:
        services.wide.outages._began = None


async def test_where_postgresql_refuses_us_nothing_is_sent_ahead(away: Away) -> None:
    services = away.engine.services
    ahead = await away.ahead()
    for error in (AnotherDatabaseError(), RefusedConnectionError()):
        services.wide.outages._began = None
        services.wide.outages.failed(error)
        assert not await ahead.run_once()
    services.wide.outages._began = None


async def test_who_landed_when_the_database_fell_silent_asks_what_was_sent_ahead_once_it_speaks_again(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    """Its statement is answered after all, over the connection it has: to it nothing has failed."""
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    async with away.relaying(source):
        await publish(source, range(1))
        await eventually(lambda: is_recorded(home, 1))
        switch.silence()
        await publish(source, range(1, 2))  # which is being landed, and is left to the database
        await eventually(away.is_ahead)
        await publish(source, range(2, 8))
        await eventually(lambda: is_received(receiver, range(2, 8)))
        switch.mend()
        await eventually(lambda: are_ended(home, 8))
    assert numbers(receiver) == list(range(8)), "none was made twice"
    assert len(await home.attempts()) == 8, "and each is on record"


async def test_what_was_answered_is_kept_where_postgresql_refuses_another_event_of_the_flight(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    for table in ("outbox", "events"):
        await home.sql(f"alter table tidings.{table} add constraint refused check (type <> 'order.refused')")
    async with away.relaying(source):
        switch.cut()
        await eventually(away.is_ahead)
        async with source.user.transaction():  # one flight
            await publish(source, range(3))
            await source.sql("select tidings.publish('order.refused', $1)", json.dumps({"number": 3}))
        await receiver.wait_for(4)
        switch.mend()
        await eventually(lambda: is_recorded(home, 3))
        await eventually(lambda: are_ended(home, 3))
    assert numbers(receiver) == [0, 1, 2, 3], "none was made twice"
    assert await home.value("select count(*) from tidings.outbox_rejected") == 1


async def test_who_is_stopped_while_another_sends_ahead_does_not_learn_that_it_has_ended(away: Away) -> None:
    """So that what is at hand then is landed by somebody who knows what was answered."""
    await away.say(ahead_by("alive"))
    stopped = Signal()
    stopped.set()
    assert not await Answered(away.beside).begin(stopped)
    assert (await away.said()).state is Turn.ENDING
    await away.say(NOBODY)
    assert await Answered(away.beside).begin(stopped)


async def test_a_flight_that_its_sender_sends_again_much_later_is_sent_ahead_once(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    """The stream itself knows a flight again for two minutes alone."""
    home, way = away.engine, away.way
    await away.hook(receiver.url())
    its = (await way.jetstream.stream_info(stream_of("here"))).config
    await way.jetstream.update_stream(its.evolve(duplicate_window=0.1))
    async with relaying(source, way.flights):
        away.switch.cut()
        await eventually(away.is_ahead)
        await publish(source, range(1))
        await receiver.wait_for(1)
        first = await way.flights.kept("here", await way.flights.last("here"))
        assert first is not None
        assert first.id is not None

        async def is_there_twice() -> bool:
            await way.flights.send("here", "shop", first.id, first.cargo)
            return await way.flights.last("here") > first.sequence

        await eventually(is_there_twice)
        await publish(source, range(1, 2))
        await receiver.wait_for(2)
        assert numbers(receiver) == [0, 1], "none was made twice"
        away.switch.mend()
        await eventually(lambda: are_ended(home, 2))
    assert numbers(receiver) == [0, 1], "none was made twice"


class Slow:
    """The flights of a home, from a stream that answers so late that the turn may be over."""

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self.first, self.last, self.most_bytes = flights.first, flights.last, flights.most_bytes
        self.turn: AheadTurn | None = None
        self.is_late = True

    async def kept(self, home: str, number: int) -> Any:
        found = await self._flights.kept(home, number)
        if self.turn is not None and self.is_late:
            self.turn._renewed_at -= GIVE_UP_SECONDS
        return found


async def test_what_is_read_after_the_turn_may_be_over_is_not_begun_and_is_read_again(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    """As where this process stood still while it asked."""
    home, way = away.engine, away.way
    await away.hook(receiver.url())
    ahead = await away.ahead()
    away.switch.cut()
    await eventually(away.is_ahead)
    await away.beside.change(b"", (await away.beside.state())[1])  # whoever has the turn has it no more
    await pack_and_send(source, way)
    slow = Slow(way.flights)
    turn = slow.turn = await ahead._take_turn()
    assert turn is not None
    session = Session(
        away.streams._replace(way=slow), home.worker.known, home.clock, turn,
        since=-1e9, is_over=lambda: False, monotonic=time.monotonic,
    )  # fmt: skip
    session._next = await way.flights.first("here")
    begins_at = session._next
    assert not await session._begin_some()
    assert session._next == begins_at
    assert not session._under_way
    slow.is_late = False
    turn._renewed_at = time.monotonic()
    await session._begin_some()
    assert session._next > begins_at
    await receiver.wait_for(1)


async def pack_and_send(source: Engine, way: Stream) -> None:
    async with relaying(source, way.flights):
        last = await way.flights.last("here")
        await publish(source, range(1))

        async def is_sent() -> bool:
            return await way.flights.last("here") > last

        await eventually(is_sent)


async def test_whoever_goes_on_for_one_who_is_silent_waits_for_what_that_one_had_under_way(away: Away) -> None:
    one, other = [await away.ahead(silent_seconds=GIVE_UP_SECONDS) for _ in range(2)]
    assert await one._take_turn() is not None
    other._watched.silent_for((await away.beside.state())[1], time.monotonic() - GIVE_UP_SECONDS)
    other._since = 0.0  # it has been without the database for long
    begun = time.monotonic()
    assert await other._take_turn() is not None
    assert other._since >= begun


async def test_an_event_that_nobody_can_route_keeps_nothing_else_from_being_sent(
    source: Engine, away: Away, receiver: Receiver, way: Stream
) -> None:
    home, switch = away.engine, away.switch
    await away.hook(receiver.url())
    early = "0001-01-01T00:00:00+14:00"  # there is no such time in UTC
    event = [uuid4(), "default", "publish", "order.paid", None, None, None, None, "{}", None, early, None, None, None, 0, None]
    async with relaying(source, way.flights):
        switch.cut()
        await eventually(away.is_ahead)
        await way.flights.send("here", "shop", uuid4(), msgspec.msgpack.encode([FORMAT, [event]]))
        await publish(source, range(1))
        await receiver.wait_for(1)
        assert numbers(receiver) == [0]
        switch.mend()
        await eventually(lambda: are_ended(home, 1))


async def test_where_the_stream_has_no_room_for_what_receivers_said_it_is_told_that_they_did(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    """More was under way at once than there is room for. Else all of it would be made again."""
    home, switch, count = away.engine, away.switch, 90
    await away.hook(receiver.url(), timeout_seconds=3, concurrency=count)
    room = (await away.way.jetstream.stream_info(ahead_of("here"))).config.max_bytes or 0
    all_came = asyncio.Event()

    async def long_winded(_: Any, writer: asyncio.StreamWriter) -> None:
        if len(receiver.received) >= count:
            all_came.set()
        await all_came.wait()
        body = b"x" * (2 * room // count)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    receiver.otherwise = long_winded
    async with away.relaying(source):
        switch.cut()
        await eventually(lambda: is_open(away, 3))
        await source.sql(  # in one flight, so that none waits for the others for long
            "select tidings.publish('order.paid', json_build_object('number', n)) from generate_series(0, $1::int - 1) n", count
        )
        await receiver.wait_for(count)
        switch.mend()
        await eventually(lambda: are_ended(home, count))
    assert numbers(receiver) == list(range(count)), "none was made twice"


async def is_open(away: Away, timeout_seconds: float) -> bool:
    """Whether lanes of webhooks with this timeout are open for whoever sends ahead."""
    said = await away.said()
    return said.since is not None and datetime.now(UTC) - said.since > timedelta(seconds=timeout_seconds)
