"""Moving a group between two homes whose duties are turned by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.support.engine import Engine, eventually
from tests.support.homes import Home
from tidings.core.fleet import Fleet
from tidings.store.statements import load
from tidings.transport.stream import Stream
from tidings.worker.moving import Move


def move_of(homes: tuple[Home, Home], way: Stream, group: str = "acme", **more: Any) -> Move:
    east, west = homes
    here, there = east.engine.services.wide, west.engine.services.wide
    return Move(here, there, way, group, source="east", target="west", version=lambda: 0, **more)


async def rows_of(engine: Engine, group: str) -> dict[str, list[str]]:
    """Return all that a group has, table by table, as JSON."""
    found: dict[str, list[str]] = {}
    async with engine.services.wide.transaction() as connection:
        ids = [row["id"] for row in await connection.fetch("select id from tidings.events where group_id = $1", group)]
        ids += [row["id"] for row in await connection.fetch("select id from tidings.deliveries where group_id = $1", group)]
        names = [
            row["external_id"]
            for row in await connection.fetch("select external_id from tidings.published where group_id = $1", group)
        ]
        for row in await connection.fetch(load("moving")["plan"], group, ids, names):
            if row["name"] not in {"groups", "members"}:
                rows = await connection.fetch(f"select to_jsonb(x) - 'signer_id' as row from ({row['take']}) x")
                found[row["name"]] = sorted({*found.get(row["name"], []), *(one["row"] for one in rows)})
    return found


def without_state(rows: dict[str, list[str]]) -> dict[str, list[Any]]:
    """Leave out when a lane is looked at next, and whether it is open."""
    lanes = [json.loads(one) for one in rows["lanes"]]
    kept = [{name: one[name] for name in one if name not in {"due_at", "in_flight", "saturated"}} for one in lanes]
    return rows | {"lanes": sorted(kept, key=str)}


class KilledError(BaseException):
    """What kills does not ask."""


class Life:
    """Ends when a step is to be done."""

    def __init__(self, last: str) -> None:
        self._last = last

    def __call__(self, step: str) -> None:
        if step == self._last:
            raise KilledError


class Halted:
    """The stream, of which a move hears no word of those who send until somebody lets it."""

    def __init__(self, way: Stream) -> None:
        self.flights, self.bucket, self._bucket = way.flights, self, way.bucket
        self.is_asked, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def fleet(self) -> Fleet:
        return await self._bucket.fleet()

    async def change(self, changed: Callable[[Fleet], Fleet]) -> Fleet:
        return await self._bucket.change(changed)

    async def settled(self) -> dict[str, int]:
        self.is_asked.set()
        await self.may_go_on.wait()
        return await self._bucket.settled()


def onward(one: Home, other: Home, way: Stream, **more: Any) -> Move:
    """A move of acme from one home to another."""
    return Move(
        one.engine.services.wide, other.engine.services.wide, way, "acme", source=one.name, target=other.name,
        version=lambda: 0, **more,
    )  # fmt: skip


async def open_lanes(home: Home) -> int:
    return int(await home.engine.value("select count(*) from tidings.lanes where group_id = 'acme' and open"))


@asynccontextmanager
async def halted(home: Home, mode: str) -> AsyncIterator[None]:
    """Have a move come no further than what waits to be delivered at a home, while the block runs."""
    other = await asyncpg.connect(home.engine.services.wide.url)
    try:
        async with other.transaction():
            await other.execute(f"lock table tidings.queue in {mode} mode")
            yield
    finally:
        await other.close()


async def until_halted(home: Home, running: "asyncio.Task[Any]") -> None:
    """Return once a move waits for what somebody else holds at a home."""
    waiting = (
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%tidings.queue%' "
        "and datname = current_database()"
    )

    async def is_halted() -> bool:
        if running.done():
            await running
        return bool(await home.engine.value(waiting))

    await eventually(is_halted)
