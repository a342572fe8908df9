"""What was being landed at the moment the database went: nobody knows whether it is there, so nobody sends it ahead."""

import asyncio
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

from tests.support.ahead import Away, is_recorded, numbers, publish
from tests.support.engine import Engine, eventually
from tests.support.fleet import pack
from tests.support.receiver import Receiver
from tidings.clock import Clock
from tidings.core.answers import DOUBTS, doubted
from tidings.transport.stream import Stream
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


async def test_so_is_what_was_being_put_into_the_outbox(source: Engine, away: Away, way: Stream) -> None:
    home = away.engine
    await home.user.execute(HOLD)
    await publish(source, range(1))
    await pack(source, way.flights)
    arrived = Arrived(*await source.user.fetchrow("select id, cargo from tidings.relay_flights"))
    stopped = Signal()
    lander = Lander(home.services.wide, Alone(Answered(away.beside), stopped), stopped, Clock(), None)
    landing = asyncio.create_task(lander.land([arrived]))
    try:
        await lose_the_answer_to_a_commit(away)

        async def is_told() -> bool:
            return bool(await away.beside.numbers())

        await eventually(is_told)
        assert doubted(await away.beside.read(DOUBTS, 1)) == {arrived.id}
    finally:
        stopped.set()
        away.switch.mend()
        with suppress(Exception):
            await landing
