"""The turn to send ahead of a database: kept, lost, called off and given back, with a real stream."""

import asyncio
import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.support.ahead import Hands, answered, ready_at
from tests.support.engine import Engine, eventually
from tests.support.fleet import FLEET, pack
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tidings.clock import machine_time
from tidings.core import ahead, cargo
from tidings.core.ahead import Said, Step, encode_said, whose
from tidings.core.ahead import Turn as Whose
from tidings.core.answers import messages
from tidings.core.event import Event, delivery_id, event_id
from tidings.core.flips import SUSPECT
from tidings.store import relay as relays
from tidings.store import webhooks
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AheadStream, ahead_of
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_flights import SEND_SECONDS
from tidings.worker import ahead_session
from tidings.worker.ahead import Ahead
from tidings.worker.ahead_session import TOLD_AT_ONCE, Session, Streams
from tidings.worker.ahead_turn import Turn
from tidings.worker.alone import StoppedError
from tidings.worker.answered import Answered
from tidings.worker.intake import MAX_OUTBOX, Intake
from tidings.worker.routes import CurrentRoutes
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.ahead_fixtures")

_NUMBERS = count(1)
US = Said(Whose.AHEAD, "us", machine_time())


@pytest.fixture
def beside(way: Stream) -> AheadStream:
    return AheadStream(way, "here")


async def taken(beside: AheadStream, hands: Hands) -> Turn:
    _, revision = await beside.state()
    made = await beside.change(encode_said(US), revision)
    assert made is not None
    return Turn(beside, US, made, hands)


async def said(beside: AheadStream) -> Said:
    return whose((await beside.state())[0])


async def step(beside: AheadStream, what: Step, **changes: Any) -> None:
    value, revision = await beside.state()
    after = whose(value).after(what, **changes)
    assert after is not None
    assert await beside.change(encode_said(after), revision) is not None


# The turn ----------------------------------------------------------------------------------------------------------------


async def test_a_turn_is_renewed_from_time_to_time_and_without_that_it_is_not_sure(beside: AheadStream, hands: Hands) -> None:
    turn = await taken(beside, hands)
    hands.now += ahead.RENEW_INTERVAL - 0.1
    _, before = await beside.state()
    await turn.renew(3)
    assert (await beside.state())[1] == before, "it is early yet"
    hands.now += 0.1
    await turn.renew(4)
    assert await said(beside) == msgspec.structs.replace(US, reached=4)
    hands.now += ahead.GIVE_UP_SECONDS - 0.1
    assert turn.is_sure
    hands.now += 0.1
    assert turn.is_ours
    assert not turn.is_sure


async def test_a_renewal_whose_acknowledgement_was_lost_ends_no_turn(beside: AheadStream, hands: Hands) -> None:
    turn = await taken(beside, hands)
    await step(beside, Step.RENEW, reached=1)  # it is there, and we were told that nobody knows
    hands.now += ahead.GIVE_UP_SECONDS
    await turn.renew(2)
    assert turn.is_ours
    assert not turn.is_sure, "when it was renewed nobody knows"
    await turn.renew(2)
    assert turn.is_sure
    assert (await said(beside)).reached == 2


@pytest.mark.parametrize("what", [Step.CALL, Step.BURY])
async def test_a_turn_that_was_called_off_is_not_renewed(beside: AheadStream, hands: Hands, what: Step) -> None:
    turn = await taken(beside, hands)
    await step(beside, what)
    hands.now += ahead.RENEW_INTERVAL
    await turn.renew(1)
    assert not turn.is_ours
    assert not turn.is_sure


async def test_a_turn_is_given_back_though_somebody_asks_for_it_at_that_moment(way: Stream, hands: Hands) -> None:
    class Asked(AheadStream):
        """Whoever lands flights asks between our look and our word."""

        is_asked = False

        async def state(self) -> tuple[bytes, int]:
            found = await super().state()
            if not self.is_asked and whose(found[0]).state is Whose.AHEAD:
                self.is_asked = True
                await step(AheadStream(way, "here"), Step.CALL)
            return found

    asked = Asked(way, "here")
    turn = await taken(asked, hands)
    await turn.leave()
    assert asked.is_asked
    assert (await said(asked)).state is Whose.ENDED


async def test_a_turn_of_another_is_neither_renewed_nor_given_back(beside: AheadStream, hands: Hands) -> None:
    turn = await taken(beside, hands)
    await step(beside, Step.BURY)
    await step(beside, Step.TAKE, holder="another", since=US.since)
    hands.now += ahead.RENEW_INTERVAL
    await turn.renew(1)
    assert not turn.is_ours
    await turn.leave()
    assert await said(beside) == Said(Whose.AHEAD, "another", US.since)


# What is sent by it -------------------------------------------------------------------------------------------------------


class Slow:
    """Flights, and what happens while one is read."""

    def __init__(self, flights: Any, meanwhile: Callable[[], None]) -> None:
        self._flights = flights
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flights, name)

    async def kept(self, home: str, number: int) -> Any:
        found = await self._flights.kept(home, number)
        self._meanwhile()
        return found


async def sent(source: Engine, way: Stream, flights: int) -> None:
    """Send so many flights of one event each."""
    for number in range(flights):
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))
        await pack(source, way.flights)
        async with source.services.wide.connection() as connection:
            for flight in await relays.left_to(connection, "here", behind=0, limit=10, most_bytes=2**20):
                await way.flights.send("here", "shop", flight.id, flight.cargo)
                await relays.forget(connection, [flight.id])


async def session_of(home: Engine, way: Stream, hands: Hands, turn: Turn, flights: Any = None, **fields: Any) -> Session:
    await ready_at(home)
    streams = Streams(flights or way.flights, way.bucket, AheadStream(way, "here"), "here")
    given: dict[str, Any] = {"since": 0.0, "is_over": lambda: False, "monotonic": hands} | fields
    session = Session(streams, home.worker.known, home.services.clock, turn, **given)
    session._next = 1
    return session


async def test_what_took_long_to_read_is_not_sent_by_a_turn_that_may_be_over(
    source: Engine, home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    await home.add_webhook("http://127.0.0.1:1/", "order.*")
    await sent(source, way, 1)
    turn = await taken(beside, hands)

    def pass_by() -> None:
        hands.now += ahead.GIVE_UP_SECONDS

    session = await session_of(home, way, hands, turn, Slow(way.flights, pass_by))
    assert not await session._begin_some()
    assert (session._next, session._lanes.pending) == (1, 0)
    await turn.renew(0)
    session._flights = way.flights
    assert not await session._begin_some(), "that was all"
    # What cannot be reached may have failed by now.
    assert (session._next, session._lanes.pending + session.made) == (2, 1), "it is sent once that is sure"
    await session._end()


async def test_no_flight_is_begun_once_the_database_is_back_or_so_much_is_under_way(
    source: Engine, home: Engine, way: Stream, beside: AheadStream, hands: Hands, receiver: Receiver
) -> None:
    answers = asyncio.Event()

    async def patient(_: Any, writer: asyncio.StreamWriter) -> None:
        await answers.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    receiver.otherwise = patient
    await home.add_webhook(receiver.url(), "order.*")
    await sent(source, way, 4)
    turn = await taken(beside, hands)
    is_over = False
    session = await session_of(home, way, hands, turn, is_over=lambda: is_over)
    session.most_pending = 2
    assert not await session._begin_some()
    assert (session._next, session._lanes.pending) == (3, 2)
    session.most_pending = 3
    is_over = True
    assert not await session._begin_some()
    assert (session._next, session._lanes.pending) == (3, 2)
    answers.set()
    await session._end()
    assert len(receiver.received) == 2
    assert sum((await beside.numbers()).values()) == 2


def paid(**fields: Any) -> Event:
    at = machine_time()
    made = Event(
        event_id(at, next(_NUMBERS), 0), "default", "publish", "order.paid", None, None, None, None, '{"id": 7}', None, at
    )
    return msgspec.structs.replace(made, **fields)


async def test_only_what_the_database_need_not_be_asked_about_is_begun(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    hook = await home.add_webhook("http://127.0.0.1:1/", "*", concurrency=100)
    session = await session_of(home, way, hands, await taken(beside, hands))

    def begun(*events: Event, known: AbstractSet[UUID] = frozenset()) -> int:
        before = session._lanes.pending
        session._begin(uuid4(), 1, events, set(known))
        return session._lanes.pending - before

    assert begun(paid()) == 0, "where groups live is not known yet"
    for fleet in (
        msgspec.structs.replace(FLEET, parked=("default",)),
        msgspec.structs.replace(FLEET, homes=("here", "there"), moved={"default": "there"}),
    ):
        session._fleet = fleet
        assert begun(paid()) == 0
    session._fleet = FLEET
    assert begun(paid(), paid()) == 2
    assert begun(paid(group_id="another")) == 0, "its webhooks are those of its own group"
    assert begun(paid(hops=1)) == 0
    told = paid()
    assert begun(told, known={delivery_id(told.id, hook.id)}) == 0, "somebody who sent ahead before has told of it"
    changes = [
        paid(source="tables", operation="UPDATE", table_schema="public", table_name="orders") for _ in range(SUSPECT + 2)
    ]
    assert begun(*changes) == SUSPECT - 1, "a row that changes that often may be changed by who is told of it"
    home.worker.privacy._rules["default"] = ()
    assert begun(paid()) == 0
    await session._end()


async def test_of_one_flight_so_many_are_begun_and_the_rest_waits(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    await home.add_webhook("http://127.0.0.1:1/", "*", concurrency=100)
    session = await session_of(home, way, hands, await taken(beside, hands))
    session._fleet, session.most_of_flight = FLEET, 3
    session._begin(uuid4(), 1, [paid() for _ in range(5)], set())
    assert session._lanes.pending == 3
    await session._end()


async def test_the_turn_is_renewed_while_much_is_told(home: Engine, way: Stream, hands: Hands) -> None:
    class Slowly(AheadStream):
        """Each message takes its time."""

        async def put(self, number: int, data: bytes) -> None:
            await super().put(number, data)
            hands.now += ahead.RENEW_INTERVAL / TOLD_AT_ONCE

    slowly = Slowly(way, "here")
    turn = await taken(slowly, hands)
    session = await session_of(home, way, hands, turn)
    session._beside = slowly
    flights = range(1, 8 * TOLD_AT_ONCE + 1)
    for number in flights:
        session._untold[number, uuid4()] = [answered()]
    await session._tell()
    assert turn.is_sure, "though it took twice as long as it is sure without"
    assert await slowly.numbers() == dict.fromkeys(flights, 1)


async def test_where_not_all_can_be_told_the_turn_is_given_back_all_the_same(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    config = (await way.jetstream.stream_info(ahead_of("here"))).config
    await way.jetstream.update_stream(config.evolve(max_msgs=1))
    await beside.put(1, b"as many as there may be")
    session = await session_of(home, way, hands, await taken(beside, hands))
    session._untold[2, uuid4()] = [answered()]
    await session._end()
    assert (await said(beside)).state is Whose.ENDED


class Failing(AheadStream):
    """Takes nothing so many times, as a stream that is away."""

    left = 2

    async def put(self, number: int, data: bytes) -> None:
        if self.left:
            self.left -= 1
            raise StreamAwayError("no answer")
        await super().put(number, data)


async def test_a_stream_that_is_away_as_the_database_comes_back_is_waited_for_with_what_was_answered(
    home: Engine, way: Stream, hands: Hands
) -> None:
    failing = Failing(way, "here")
    session = await session_of(home, way, hands, await taken(failing, hands))
    session._beside, session._untold[2, uuid4()] = failing, [answered()]
    await session._end()
    assert await failing.numbers() == {2: 1}
    assert (await said(failing)).state is Whose.ENDED


async def test_it_is_not_waited_for_beyond_a_minute(home: Engine, way: Stream, hands: Hands) -> None:
    class Never(Failing):
        async def put(self, number: int, data: bytes) -> None:
            self.left += 1
            hands.now += ahead_session.LAST_SECONDS / 2
            raise StreamAwayError("no answer")

    never = Never(way, "here")
    session = await session_of(home, way, hands, await taken(never, hands))
    session._beside, session._untold[2, uuid4()] = never, [answered()]
    await session._end()
    assert never.left == Failing.left + 2
    assert (await said(never)).state is Whose.ENDED


async def test_nothing_is_begun_while_more_is_untold_than_may_be(
    source: Engine, home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    await home.add_webhook("http://127.0.0.1:1/", "order.*")
    await sent(source, way, 1)
    session = await session_of(home, way, hands, await taken(beside, hands))
    session._untold_bytes = ahead_session.MAX_UNTOLD_BYTES
    assert not await session._begin_some()
    assert session._next == 1
    session._untold_bytes -= 1
    await session._begin_some()
    assert session._next == 2
    session._untold_bytes = 0
    await session._end()


# Who lands ----------------------------------------------------------------------------------------------------------------


async def test_who_stops_before_all_is_told_lands_nothing_of_what_is_at_hand(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    await taken(beside, hands)
    stopped = Signal()
    stopped.set()
    assert not await Answered(beside).begin(stopped)
    landing = Intake(home.services.wide, way.flights, "here", told=Answered(beside))
    landing._alone.doubt()
    landing.stop()
    with pytest.raises(StoppedError):
        await landing._land([])
    assert (await said(beside)).state is Whose.ENDING


async def test_after_the_outbox_was_full_nothing_is_landed_before_whoever_took_the_turn_has_told_all(
    source: Engine, home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    """Nothing was landed for so long that a process of the home without the database took its turn."""
    landing = Intake(home.services.wide, way.flights, "here", told=Answered(beside, silent_seconds=0.2), unseen_seconds=0.0)
    full = (
        f"insert into tidings.outbox (source, type, record) select 'publish', 'x', '{{}}' from generate_series(0, {MAX_OUTBOX})"
    )
    await home.sql(full)
    assert await landing.run_once() == 0
    await sent(source, way, 1)
    turn = await taken(beside, hands)
    flight = (await way.flights.kept("here", 1)).id
    (landed_event,) = await events_of(way)
    await beside.put(1, messages(flight, [answered(landed_event.id)])[0])
    await home.sql("delete from tidings.outbox")
    assert await landing.run_once() == 1
    assert (await said(beside)).state is Whose.ENDED
    hands.now += ahead.RENEW_INTERVAL
    await turn.renew(1)
    assert not turn.is_ours
    assert await home.value("select count(*) from tidings.outbox where answers is not null") == 1


async def test_of_a_flight_that_lands_in_part_what_was_answered_to_the_rest_is_kept(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    whole, refused, flight = paid(), paid(subject="no \x00 in PostgreSQL"), uuid4()
    (packed,) = cargo.flights(cargo.packed([whole, refused]), 1_000_000)
    await way.flights.send("here", "shop", flight, packed.data)
    turn = await taken(beside, hands)
    await beside.put(1, messages(flight, [answered(whole.id)])[0])
    await turn.leave()
    told = Answered(beside)
    assert await told.begin(Signal())
    assert await Intake(home.services.wide, way.flights, "here", told=told).run_once() == 1
    rows = await home.sql("select event_id, answers is not null as is_answered from tidings.outbox")
    assert [(row["event_id"], row["is_answered"]) for row in rows] == [(whole.id, True)]


async def events_of(way: Stream) -> list[Event]:
    return cargo.opened((await way.flights.kept("here", 1)).cargo).events


async def test_answers_are_forgotten_some_time_after_the_last_flight_that_has_any(beside: AheadStream, hands: Hands) -> None:
    turn = await taken(beside, hands)
    for number in (3, 8):
        await beside.put(number, b"")
    await turn.leave()
    told = Answered(beside, kept_seconds=10, monotonic=hands)
    assert await told.begin(Signal())
    for following, seconds in ((8, 0), (8, 100), (9, 0), (10, 9.9)):
        hands.now += seconds
        await told.run_once(following)
        assert list(await beside.numbers()) == [3, 8]
    hands.now += 0.1
    await told.run_once(11)
    assert await beside.numbers() == {}


async def test_who_has_the_turn_has_time_to_end_before_it_is_taken_for_dead(
    way: Stream, beside: AheadStream, hands: Hands
) -> None:
    assert ahead.RENEW_INTERVAL < ahead.GIVE_UP_SECONDS
    assert ahead.GIVE_UP_SECONDS + SEND_SECONDS <= ahead.SILENT_SECONDS, "what is renewed at the last moment is known by then"
    assert ahead.SILENT_SECONDS <= ahead.AWAY_SECONDS
    await taken(beside, hands)
    stopped = Signal()

    class Counted(AheadStream):
        looks = 0

        async def state(self) -> tuple[bytes, int]:
            self.looks += 1
            return await super().state()

    counted = Counted(way, "here")
    beginning = asyncio.create_task(Answered(counted, monotonic=hands).begin(stopped))

    async def has_looked_again() -> None:
        before = counted.looks

        async def has() -> bool:
            return beginning.done() or counted.looks >= before + 2

        await eventually(has)

    async def is_called() -> bool:
        return (await said(beside)).state is Whose.ENDING

    try:
        await eventually(is_called)
        await has_looked_again()
        hands.now += ahead.SILENT_SECONDS + ahead.GRACE_SECONDS - 0.1
        await has_looked_again()
        assert await is_called()
        hands.now += 0.1
        assert await asyncio.wait_for(beginning, PATIENCE)
        assert (await said(beside)).state is Whose.ENDED
    finally:
        stopped.set()
        await beginning


async def test_while_something_is_landed_nothing_is_due(home: Engine, way: Stream, hands: Hands) -> None:
    """As between two requests of who lands it, when nobody waits for anything."""

    class Landing(AheadStream):
        landed = 0

        async def is_received(self) -> tuple[bool, int]:
            return False, self.landed

    landing = Landing(way, "here")
    streams = Streams(way.flights, way.bucket, landing, "here")
    ready = await ready_at(home, hands)
    one = Ahead(home.services.wide, streams, ready, home.clock, away_seconds=30, monotonic=hands)
    home.services.wide.outages.failed(ConnectionRefusedError())
    try:
        for _ in range(5):
            assert not await one._is_due()
            hands.now += 29
            landing.landed += 1
        await ready.run_once()
        assert not await one._is_due()
        hands.now += 29.9
        assert not await one._is_due()
        hands.now += 0.1
        assert await one._is_due()
    finally:
        home.services.wide.outages._began = None
    assert not await one._is_due()


# What is at hand ----------------------------------------------------------------------------------------------------------


async def test_what_could_not_be_read_ahead_is_read_later(home: Engine) -> None:
    hook = await home.add_webhook("http://127.0.0.1:1/", "order.*")
    routes = CurrentRoutes(home.services.box, home.clock)
    async with home.services.wide.connection() as connection:
        await routes.at_least(connection, await webhooks.routes_version(connection))
        closed = await home.services.wide.dedicated()
        await closed.close()
        with pytest.raises(Exception, match="closed"):
            await routes.read_ahead(closed)
        assert routes.at_hand(hook.id) is None
        await routes.read_ahead(connection)
    assert routes.at_hand(hook.id) == hook


async def test_what_was_read_ahead_while_subscriptions_changed_is_read_again(home: Engine) -> None:
    hook = await home.add_webhook("http://127.0.0.1:1/", "order.*")
    routes = CurrentRoutes(home.services.box, home.clock)

    class Changing:
        """Subscriptions change while webhooks are read."""

        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        async def fetch(self, *arguments: Any) -> Any:
            found = await self._connection.fetch(*arguments)
            routes.current.version += 1
            return found

    async with home.services.wide.connection() as connection:
        await routes.at_least(connection, await webhooks.routes_version(connection))
        await routes.read_ahead(Changing(connection))
        assert routes.at_hand(hook.id) is None
        await routes.read_ahead(connection)
    assert routes.at_hand(hook.id) == hook


async def test_who_has_not_heard_that_the_database_is_back_takes_no_turn_that_was_called_off(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    """Whoever asked for its end lands now, and is not to be seen yet: what is sent ahead would be delivered twice."""
    ready = await ready_at(home, hands)
    one = Ahead(home.services.wide, Streams(way.flights, way.bucket, beside, "here"), ready, home.clock, monotonic=hands)
    home.services.wide.outages.failed(ConnectionRefusedError())
    try:
        assert not await one._is_due()
        turn = await taken(beside, hands)
        hands.now += ahead.AWAY_SECONDS
        assert await one._is_due()
        await step(beside, Step.CALL)
        await turn.leave()
        assert await one._take_turn() is None, "it ended between two questions"
        assert not await one._is_due()
        hands.now += ahead.AWAY_SECONDS - 0.1
        assert not await one._is_due()
        hands.now += 0.1
        assert await one._is_due(), "nobody has landed anything since"
        assert await one._take_turn() is not None
    finally:
        home.services.wide.outages._began = None


async def test_who_has_not_heard_that_the_database_is_back_takes_no_turn_while_others_land(
    home: Engine, way: Stream, beside: AheadStream, hands: Hands
) -> None:
    """Nobody had taken it yet, so that nobody was asked to end."""
    ready = await ready_at(home, hands)
    one = Ahead(home.services.wide, Streams(way.flights, way.bucket, beside, "here"), ready, home.clock, monotonic=hands)
    home.services.wide.outages.failed(ConnectionRefusedError())
    try:
        assert not await one._is_due()
        hands.now += ahead.AWAY_SECONDS
        assert await one._is_due()
        turn = await taken(beside, hands)
        await turn.leave()  # by itself
        assert await one._is_due()
        assert await Answered(beside).begin(Signal())
        assert await one._take_turn() is None, "it was called off between two questions"
        assert not await one._is_due()
    finally:
        home.services.wide.outages._began = None
