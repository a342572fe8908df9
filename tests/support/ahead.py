"""A home whose database can be taken away, and what tests of that begin with."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import msgspec

from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import landing_at, relaying
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tests.support.switch import Switch
from tidings.clock import machine_time
from tidings.config import Config
from tidings.core.ahead import Said, Turn, encode_said, whose
from tidings.core.answers import Answer
from tidings.core.outcome import SUCCEEDED, Exchange
from tidings.core.webhook import Webhook
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AheadStream
from tidings.worker.ahead import Ahead, Ready
from tidings.worker.ahead_session import Streams

AWAY = 1.5  # seconds
ATTEMPTS = "select count(*) from tidings.deliveries where attempt_count = 1 and status = 'succeeded'"


class Away(NamedTuple):
    """A home at work, whose database can be taken away."""

    engine: Engine
    switch: Switch
    way: Stream
    beside: AheadStream

    async def hook(self, url: str, **fields: Any) -> Webhook:
        """Subscribe a URL, and wait until that is known also while the database is away. Its lane opens after a second."""
        made = await self.engine.add_webhook(url, "order.*", **({"timeout_seconds": 1} | fields))

        async def is_at_hand() -> bool:
            return self.engine.worker.known.routes.at_hand(made.id) is not None

        await eventually(is_at_hand)
        return made

    def relaying(self, source: Engine) -> AbstractAsyncContextManager[Any]:
        """Have what is committed at a source come by the stream."""
        return relaying(source, self.way.flights)

    @property
    def streams(self) -> Streams:
        return Streams(self.way.flights, self.way.bucket, self.beside, "here")

    async def ahead(self, **fields: Any) -> Ahead:
        """One more that would send ahead, of a process that knows all: it is turned by hand."""
        ready = Ready(self.engine.services.wide, self.engine.worker.known)
        await ready.run_once()
        return Ahead(self.engine.services.wide, self.streams, ready, self.engine.clock, **({"away_seconds": 0} | fields))

    async def said(self) -> Said:
        return whose((await self.beside.state())[0])

    async def say(self, said: Said) -> None:
        """Say in place of another who sends ahead."""
        _, revision = await self.beside.state()
        assert await self.beside.change(encode_said(said), revision) is not None

    async def is_ahead(self) -> bool:
        return (await self.said()).state is Turn.AHEAD

    async def is_ended(self) -> bool:
        return (await self.said()).state is Turn.ENDED


def ahead_by(holder: str) -> Said:
    """Return what the key says while somebody sends ahead."""
    return Said(Turn.AHEAD, holder, datetime.now(UTC), 5)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def ready_at(home: Engine, hands: Hands | None = None) -> Ready:
    """What the worker of a home knows, as new as its database."""
    ready = Ready(home.services.wide, home.worker.known, **({} if hands is None else {"monotonic": hands}))
    await ready.run_once()
    return ready


def answered(event_id: Any = None, webhook_id: Any = None) -> Answer:
    return Answer(event_id or uuid4(), webhook_id or uuid4(), machine_time(), Exchange(200, body=b"ok"), SUCCEEDED)


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
            engine.user = await asyncpg.connect(url)
            async with landing_at(engine, there, away_seconds=AWAY):
                yield Away(engine, switch, way, AheadStream(way, "here"))
    finally:
        await switch.stop()


async def publish(source: Engine, numbers: range, **fields: Any) -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number} | fields))


def numbers(receiver: Receiver, path: str = "/hook") -> list[int]:
    return sorted(json.loads(one.body)["data"]["number"] for one in receiver.received if one.path == path)


async def is_recorded(home: Engine, count: int) -> bool:
    return bool(await home.value(ATTEMPTS) >= count)


async def are_ended(home: Engine, count: int) -> bool:
    return bool(await home.value("select count(*) from tidings.deliveries") >= count and not await home.unfinished())
