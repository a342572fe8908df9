"""Deliveries go on while a home's database is away, and are recorded once it is back: with a real stream and a real outage."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import landing_at, relaying
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tests.support.switch import Switch
from tidings.config import Config
from tidings.core.ahead import Turn, read_said
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AheadStream

pytest_plugins = ("tests.support.fleet_fixtures",)

AWAY = 1.5  # seconds
ATTEMPTS = "select count(*) from tidings.deliveries where attempt_count = 1 and status = 'succeeded'"


class Away(NamedTuple):
    """A home at work, whose database can be taken away."""

    engine: Engine
    switch: Switch
    beside: AheadStream

    async def is_ahead(self) -> bool:
        return read_said((await self.beside.state())[0]).state is Turn.AHEAD

    async def is_ended(self) -> bool:
        return read_said((await self.beside.state())[0]).state is Turn.ENDED


@pytest.fixture
async def away(config: Config, fresh_databases: Any, cluster: Cluster, way: Stream) -> AsyncIterator[Away]:
    (url,) = await fresh_databases(1)
    async with away_at(config, url, cluster, way) as found:
        yield found


@asynccontextmanager
async def away_at(config: Config, url: str, cluster: Cluster, way: Stream) -> AsyncIterator[Away]:
    """A home at work on a database behind a switch; its user's connection does not go through it."""
    switch = Switch(url.partition("host=")[2])
    await switch.start()
    name = url.partition("?")[0].rpartition("/")[2]
    there = msgspec.structs.replace(config, database_url=switch.url(name), home="here", stream=cluster.url)
    try:
        async with engine_of(there, running=True) as engine:
            await engine.user.close()
            engine.user = await connected(url)
            async with landing_at(engine, there, away_seconds=AWAY):
                yield Away(engine, switch, AheadStream(way, "here"))
    finally:
        await switch.stop()


async def connected(url: str) -> Any:
    import asyncpg

    return await asyncpg.connect(url)


async def publish(source: Engine, numbers: range, **fields: Any) -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number} | fields))


def numbers(receiver: Receiver, path: str = "/hook") -> list[int]:
    return sorted(json.loads(one.body)["data"]["number"] for one in receiver.received if one.path == path)


async def at_hand(engine: Engine, *ids: UUID) -> None:
    """Wait until what is to be known of webhooks while the database is away is known."""

    async def are_known() -> bool:
        return all(engine.worker.known.routes.at_hand(one) is not None for one in ids)

    await eventually(are_known)


async def test_what_comes_while_the_database_is_away_is_delivered_and_recorded_once(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home, switch = away.engine, away.switch
    webhook = await home.add_webhook(receiver.url(), "order.*", timeout_seconds=1)
    await at_hand(home, webhook.id)
    async with relaying(source, away_stream(away).flights):
        await publish(source, range(3))
        await receiver.wait_for(3)
        switch.cut()
        await publish(source, range(3, 10))
        await receiver.wait_for(10)
        assert await away.is_ahead()
        assert await home.value("select count(*) from tidings.landed_flights") <= 3, "nothing was landed meanwhile"
        switch.mend()
        await eventually(lambda: is_recorded(home, 10))
        await publish(source, range(10, 12))
        await eventually(lambda: is_recorded(home, 12))
    assert numbers(receiver) == list(range(12)), "none was made twice"
    assert await away.is_ended()
    (found,) = await home.sql(
        "select min(last_status) as least, max(started_at - finished_at) as longest from tidings.deliveries"
    )
    assert found["least"] == 200
    lane = (await home.sql("select in_flight, waiting from tidings.lanes"))[0]
    assert (lane["in_flight"], lane["waiting"]) == (0, 0)
    assert await home.unfinished() == 0


def away_stream(away: Away) -> Stream:
    return away.beside._way


async def is_recorded(home: Engine, count: int) -> bool:
    return bool(await home.value(ATTEMPTS) >= count)
