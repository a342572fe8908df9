"""What was being landed at the moment the database went: nobody knows whether it is there, so nobody sends it ahead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from uuid import UUID, uuid4

from tests.support.ahead import Away, is_recorded, numbers, publish
from tests.support.engine import Engine, eventually
from tests.support.fleet import pack
from tests.support.receiver import Receiver
from tidings.clock import Clock
from tidings.core.answers import DOUBTS, MAX_DOUBTS, doubt, doubted
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AheadStream
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.alone import Alone
from tidings.worker.answered import Answered
from tidings.worker.lander import Lander
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.ahead_fixtures")

# Whoever lands a flight waits for this lock as it commits.
LOCK = 4711
HOLD = f"""
create function public.wait_to_commit() returns trigger language plpgsql as
$$ begin perform pg_advisory_xact_lock_shared({LOCK}); return null; end $$;
create constraint trigger wait_to_commit after insert on tidings.landed_flights deferrable initially deferred
for each row execute function public.wait_to_commit();
select pg_advisory_lock({LOCK});
"""
LANDED = "select count(*) from tidings.landed_flights"


async def lose_the_answer_to_a_commit(away: Away) -> None:
    """Wait until a flight is being committed, and take the database away; it commits without anybody hearing of it."""
    home = away.engine

    async def is_committing() -> bool:
        return bool(await home.value("select count(*) from pg_stat_activity where wait_event = 'advisory'"))

    async def is_committed() -> bool:
        return bool(await home.value(LANDED))

    await eventually(is_committing)
    away.switch.cut()
    await home.user.execute(f"select pg_advisory_unlock({LOCK})")
    await eventually(is_committed)


async def test_what_was_being_landed_as_the_database_went_is_left_to_it(source: Engine, away: Away, receiver: Receiver) -> None:
    home = away.engine
    await away.hook(receiver.url())
    await home.user.execute(HOLD)
    async with away.relaying(source):
        await publish(source, range(1))
        await lose_the_answer_to_a_commit(away)
        await publish(source, range(1, 3))
        await receiver.wait_for(2)
        assert await away.is_ahead()
        assert numbers(receiver) == [1, 2]
        away.switch.mend()
        await eventually(lambda: is_recorded(home, 3))
    assert numbers(receiver) == [0, 1, 2], "none was made twice, and each is on record"


class Arrived(NamedTuple):
    """A flight that came to whoever lands by the outbox."""

    id: UUID
    cargo: bytes
    name: str = "shop"
    source: str = "shop"
    whole: UUID | None = None
    is_new: bool = True
    sequence: int = 1

    async def done(self) -> None: ...


async def arrived_from(source: Engine, way: Stream) -> Arrived:
    await pack(source, way.flights)
    return Arrived(*await source.user.fetchrow("select id, cargo from tidings.relay_flights"))


@asynccontextmanager
async def landing(away: Away, beside: AheadStream, arrived: Arrived, **patience: float) -> AsyncIterator[None]:
    """A flight is being put into the outbox, by who tells of doubts by this stream."""
    stopped = Signal()
    lander = Lander(away.engine.services.wide, Alone(Answered(beside), stopped, **patience), stopped, Clock(), None)
    task = asyncio.create_task(lander.land([arrived]))
    try:
        yield
    finally:
        stopped.set()
        away.switch.mend()
        with suppress(Exception):
            await task


async def are_doubted(away: Away, expected: set[UUID]) -> bool:
    count = (await away.beside.numbers()).get(DOUBTS, 0)
    return doubted(await away.beside.read(DOUBTS, count)) == expected


async def test_so_is_what_was_being_put_into_the_outbox(source: Engine, away: Away, way: Stream) -> None:
    await away.engine.user.execute(HOLD)
    await publish(source, range(1))
    arrived = await arrived_from(source, way)
    async with landing(away, away.beside, arrived):
        await lose_the_answer_to_a_commit(away)
        await eventually(lambda: are_doubted(away, {arrived.id}))


async def test_so_is_a_flight_of_which_postgresql_refuses_an_event(source: Engine, away: Away, way: Stream) -> None:
    home = away.engine
    await home.sql("alter table tidings.outbox add constraint refused check (type <> 'order.refused')")
    await home.user.execute(HOLD)
    async with source.user.transaction():  # one flight
        await publish(source, range(1))
        await source.sql("select tidings.publish('order.refused', '{}')")
    arrived = await arrived_from(source, way)
    async with landing(away, away.beside, arrived):
        await lose_the_answer_to_a_commit(away)
        await eventually(lambda: are_doubted(away, {arrived.id}))
    assert await home.value("select count(*) from tidings.outbox_rejected") == 1


async def test_so_is_what_the_database_takes_long_to_commit(source: Engine, away: Away, way: Stream) -> None:
    """Others take it for away before whoever lands has lost patience with it."""
    home = away.engine
    await home.user.execute(HOLD)
    await publish(source, range(1))
    arrived = await arrived_from(source, way)
    async with landing(away, away.beside, arrived, unseen_seconds=0.1):
        await eventually(lambda: are_doubted(away, {arrived.id}))
        assert home.services.wide.outages.failures == 0, "to it nothing has failed"
        assert await home.value(LANDED) == 0, "it is being committed still"
        await home.user.execute(f"select pg_advisory_unlock({LOCK})")


class AwayAtFirst(AheadStream):
    """A stream of answers that takes none until it is told to."""

    is_away = True
    refused = 0

    async def put(self, number: int, data: bytes) -> None:
        if self.is_away:
            self.refused += 1
            raise StreamAwayError("no node answers")
        await super().put(number, data)


async def test_a_stream_that_was_away_at_that_moment_too_is_told_once_it_is_back(
    source: Engine, away: Away, way: Stream
) -> None:
    await away.engine.user.execute(HOLD)
    await publish(source, range(1))
    arrived, beside = await arrived_from(source, way), AwayAtFirst(way, "here")
    async with landing(away, beside, arrived):
        await lose_the_answer_to_a_commit(away)

        async def is_refused() -> bool:
            return beside.refused > 0

        await eventually(is_refused)
        beside.is_away = False
        await eventually(lambda: are_doubted(away, {arrived.id}))


async def test_of_very_many_doubts_the_last_is_known(away: Away) -> None:
    """Whoever sends ahead reads so many at most, and only what was being landed last can be sent ahead."""
    answered, old, last = Answered(away.beside), uuid4(), [uuid4(), uuid4()]
    for _ in range(MAX_DOUBTS - 1):
        await away.beside.put(DOUBTS, doubt([old]))
    await answered.doubt([Arrived(last[0], b"")])
    assert (await away.beside.numbers())[DOUBTS] == MAX_DOUBTS
    assert await are_doubted(away, {old, last[0]})
    await answered.doubt([Arrived(last[1], b"")])
    assert await are_doubted(away, {last[1]})
