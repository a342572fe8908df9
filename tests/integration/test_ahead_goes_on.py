"""Who sends ahead goes on until the database is back, also while somebody has flights at hand and tries to land them."""

from functools import partial

import pytest

from tests.support.ahead import Away, ahead_by, is_recorded, numbers, publish
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver
from tidings.core.ahead import Turn
from tidings.store import vitals
from tidings.store.database import UNAVAILABLE
from tidings.worker.answered import Answered
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.ahead_fixtures")


async def test_nobody_is_asked_to_end_before_the_database_is_back(away: Away) -> None:
    """Whoever has flights at hand tries again every few seconds: each time would end what is sent ahead for half a minute."""
    told = Answered(away.beside, there=partial(vitals.write, away.engine.services.wide))
    await away.say(ahead_by("another"))
    before = await away.beside.state()
    away.switch.cut()
    for _ in range(3):
        with pytest.raises(UNAVAILABLE):
            await told.begin(Signal())
    assert await away.beside.state() == before


async def test_it_is_sent_ahead_in_one_go_while_flights_at_hand_are_tried_again(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home = away.engine
    outages = home.services.wide.outages
    await away.hook(receiver.url())
    async with away.relaying(source):
        await publish(source, range(3))
        await receiver.wait_for(3)

        async def are_awaited() -> bool:
            return (await away.beside.is_received())[0]

        await eventually(are_awaited)  # so that what comes next is at hand without a database
        away.switch.cut()
        await publish(source, range(3, 6))
        await receiver.wait_for(6)
        holder = (await away.said()).holder
        failures = outages.failures

        async def are_tried() -> bool:
            return outages.failures >= failures + 25

        await eventually(are_tried)
        await publish(source, range(6, 9))
        await receiver.wait_for(9)
        said = await away.said()
        assert (said.state, said.holder) == (Turn.AHEAD, holder), "nobody had it end in between"
        away.switch.mend()
        await eventually(lambda: is_recorded(home, 9))
    assert numbers(receiver) == list(range(9))
