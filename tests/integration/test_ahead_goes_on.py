"""Who sends ahead goes on until the database is back, also while somebody has flights at hand and tries to land them."""

from datetime import UTC, datetime
from functools import partial

import pytest

from tests.integration.test_ahead import Away, at_hand, away, away_stream, is_recorded, numbers, publish
from tests.support.engine import Engine, eventually
from tests.support.fleet import relaying
from tests.support.receiver import Receiver
from tidings.core.ahead import Said, Turn, encode_said, read_said
from tidings.store import vitals
from tidings.store.database import UNAVAILABLE
from tidings.worker.answered import Answered
from tidings.worker.signals import Signal

__all__ = ["away"]  # the fixture

pytest_plugins = ("tests.support.fleet_fixtures",)


async def test_nobody_is_asked_to_end_before_the_database_is_back(away: Away) -> None:
    """Whoever has flights at hand tries again every few seconds: each time would end what is sent ahead for half a minute."""
    told = Answered(away.beside, there=partial(vitals.write, away.engine.services.wide))
    _, revision = await away.beside.state()
    await away.beside.change(encode_said(Said(Turn.AHEAD, "another", datetime.now(UTC), 5)), revision)
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
    webhook = await home.add_webhook(receiver.url(), "order.*", timeout_seconds=1)
    await at_hand(home, webhook.id)
    async with relaying(source, away_stream(away).flights):
        await publish(source, range(3))
        await receiver.wait_for(3)

        async def are_awaited() -> bool:
            return (await away.beside.is_received())[0]

        await eventually(are_awaited)  # so that what comes next is at hand without a database
        away.switch.cut()
        await publish(source, range(3, 6))
        await receiver.wait_for(6)
        holder = read_said((await away.beside.state())[0]).holder
        failures = outages.failures

        async def are_tried() -> bool:
            return outages.failures >= failures + 25

        await eventually(are_tried)
        await publish(source, range(6, 9))
        await receiver.wait_for(9)
        said = read_said((await away.beside.state())[0])
        assert (said.state, said.holder) == (Turn.AHEAD, holder), "nobody had it end in between"
        away.switch.mend()
        await eventually(lambda: is_recorded(home, 9))
    assert numbers(receiver) == list(range(9))
