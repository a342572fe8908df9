"""A source, a home and a real stream between them, for tests that turn each by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from tests.support.engine import Engine
from tidings.config import Config
from tidings.core.fleet import Fleet
from tidings.worker.intake import Intake
from tidings.worker.landing import Packing, landing
from tidings.worker.relay import Relay

FLEET = Fleet(("here",))


def relay_of(source: Engine, flights: Any) -> Relay:
    services = source.services
    return Relay(services.wide, flights, FLEET, services.box, services.clock, source="shop", salt=services.installation.salt)


async def pack(source: Engine, flights: Any) -> int:
    """Pack what is committed, as a relay does that is gone before it sends it."""
    async with source.services.wide.connection() as connection:
        return await relay_of(source, flights).run_once(connection)


@asynccontextmanager
async def relaying(source: Engine, flights: Any) -> AsyncIterator[Relay]:
    relay = relay_of(source, flights)
    running = asyncio.create_task(relay.run())
    await asyncio.wait([running, asyncio.create_task(relay.is_at_work.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield relay
    finally:
        relay.stop()
        await running


def landing_at(home: Engine, config: Config, *, away_seconds: float | None = None) -> AbstractAsyncContextManager[None]:
    """Land what comes for a home as its worker does; where `away_seconds` is given, also what it does without its database."""
    services = home.services
    packing = Packing(services.box, services.clock, services.installation.salt)
    if away_seconds is not None:
        packing = packing._replace(router=home.worker.dispatcher, known=home.worker.known, away_seconds=away_seconds)
    return landing(config, services.wide, packing, on_failed=pytest.fail)


async def land(home: Engine, flights: Any, events: int) -> None:
    """Land what comes until so many events are in the outbox, or were."""
    intake = Intake(home.services.wide, flights, "here")
    landed = 0
    while landed < events:
        await intake.run_once()
        landed = await home.value("select count(*) from tidings.outbox")
