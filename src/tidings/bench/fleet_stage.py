"""A fleet to measure: a source and homes with a PostgreSQL each, NATS, a relay, and processes at each home."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tidings.app import opened
from tidings.bench.nats import Servers, serving
from tidings.bench.processes import tree_seconds
from tidings.bench.stage import Stage, start_process, stop_process
from tidings.bench.statements import FLEET, SQL
from tidings.config import Config
from tidings.core.filters import type_filter
from tidings.core.fleet import Fleet, fleet_of
from tidings.store.embedded import Embedded, start_embedded

SETTLE_SECONDS = 60.0
LOOK_INTERVAL = 0.05  # seconds between questions to PostgreSQL and the receiver: they are paid for by what is measured
SOURCE = "bench"


class Used(msgspec.Struct, frozen=True):
    """CPU that each kind of part has used, in seconds."""

    source_postgres: float
    home_postgres: float
    process: float
    relay: float
    nats: float

    def each_since(self, before: "Used", count: int) -> dict[str, float]:
        """Return the microseconds that each of so many deliveries took since then, of each kind and of all."""
        pairs = zip(self.__struct_fields__, msgspec.structs.astuple(self), msgspec.structs.astuple(before), strict=True)
        found = {f"{name}_us": (now - then) / count * 1e6 for name, now, then in pairs}
        return found | {"all_us": sum(found.values())}


class Place(msgspec.Struct, frozen=True):
    """A database with a PostgreSQL of its own."""

    stage: Stage
    server: Embedded

    @property
    def pid(self) -> int:
        """Of its PostgreSQL."""
        return self.server.get_pid() or 0


class Grounds:
    """The PostgreSQL servers of a source and of homes, which outlast the fleets that are made of them."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.receiver = stage.receiver
        self.config = stage.services.config
        self.folder = folder
        self.source: Place
        self.homes: list[Place] = []
        self._fleets = 0
        self._ending = AsyncExitStack()

    async def have(self, homes: int) -> None:
        """Start what is lacking of the source and so many homes."""
        if not hasattr(self, "source"):
            self.source = await self._placed("source", home=None, source=SOURCE)
        while len(self.homes) < homes:
            name = f"h{len(self.homes)}"
            self.homes.append(await self._placed(name, home=name, source=None))

    async def close(self) -> None:
        """Stop all of them."""
        await self._ending.aclose()

    def fleet_folder(self) -> Path:
        """Return an empty folder."""
        self._fleets += 1
        return self.folder / f"nats{self._fleets}"

    async def _placed(self, name: str, **settings: Any) -> Place:
        folder = self.folder / name
        server = await asyncio.to_thread(start_embedded, folder)
        self._ending.callback(server.cleanup)
        config = msgspec.structs.replace(self.config, database_url=server.get_uri(), data_dir=folder, **settings)
        services = await self._ending.enter_async_context(opened(config))
        return Place(Stage(services, server, self.receiver), server)


@asynccontextmanager
async def grounds(stage: Stage, folder: Path) -> AsyncIterator[Grounds]:
    """Lend grounds without anything on them."""
    found = Grounds(stage, folder)
    try:
        yield found
    finally:
        await found.close()


class Working:
    """A fleet at work.

    Attributes:
        groups: One of each home.
    """

    def __init__(self, on: Grounds, homes: list[Place], fleet: Fleet, servers: Servers) -> None:
        self.grounds = on
        self.source = on.source.stage
        self.homes = homes
        self.fleet = fleet
        self.servers = servers
        self.groups = [_group_of(fleet, home) for home in fleet.homes]
        self.relays: list[asyncio.subprocess.Process] = []
        self.processes: list[asyncio.subprocess.Process] = []

    async def add_relay(self) -> None:
        """Start a relay: the first works, others stand by."""
        self.relays.append(await self._started(self.source.services.config, "relay"))
        await until(lambda: self.source.value(FLEET["has_relay"]), "a relay at work")

    async def add_process(self, home: Place) -> None:
        """Start a process at a home: the first of each lands what comes, others stand by for that."""
        self.processes.append(await self._started(home.stage.services.config, "worker"))
        await until(lambda: home.stage.value(FLEET["has_intake"]), "an intake at work")

    async def add_webhooks(self, count: int) -> None:
        """Subscribe webhooks of each home's group, each to one of so many types."""
        for home, group in zip(self.homes, self.groups, strict=True):
            await home.stage.execute(SQL["add_group"], group)
            for number in range(count):
                await home.stage.add_webhook(type_filter(f"bench.t{number}"), f"/w{number}", group_id=group)

    def used(self) -> Used:
        """Return what was used so far."""
        return Used(
            tree_seconds(self.grounds.source.pid),
            tree_seconds(*(home.pid for home in self.homes)),
            tree_seconds(*(process.pid for process in self.processes)),
            tree_seconds(*(relay.pid for relay in self.relays)),
            tree_seconds(*self.servers.pids),
        )

    async def settled(self) -> None:
        """Wait until the source has nothing left, and each home has recorded what it has sent."""
        await until(lambda: self.source.value(FLEET["is_relayed"]), "the source to have sent everything")
        for home in self.homes:
            await home.stage.settled(SETTLE_SECONDS)

    async def end(self) -> None:
        """End its processes."""
        for process in (*self.relays, *self.processes):
            await stop_process(process)

    async def _started(self, config: Config, command: str) -> asyncio.subprocess.Process:
        process, _ = await start_process(msgspec.structs.replace(config, stream=self.servers.url), command)
        return process


@asynccontextmanager
async def working(on: Grounds, *, homes: int, processes: int = 1, relays: int = 1, nodes: int = 1) -> AsyncIterator[Working]:
    """Lend a fleet at work, with so many homes, processes at each, relays at the source and nodes of the stream."""
    await on.have(homes)
    places = on.homes[:homes]
    fleet = fleet_of(tuple(f"h{number}" for number in range(homes)))
    async with serving(on.fleet_folder(), on.config, fleet, nodes=nodes) as servers:
        found = Working(on, places, fleet, servers)
        try:
            for _ in range(relays):
                await found.add_relay()
            for place in places:
                for _ in range(processes):
                    await found.add_process(place)
            yield found
        finally:
            await found.end()
            for place in places:
                await place.stage.clear_webhooks()


async def until(look: Callable[[], Any], what: str, *, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until a look finds what it looks for.

    Raises:
        RuntimeError: It did not in time.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await look():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_INTERVAL)
    except TimeoutError:
        raise RuntimeError(f"there was not {what} within {seconds:.0f} s") from None


def _group_of(fleet: Fleet, home: str) -> str:
    return next(name for name in (f"g{number}" for number in range(1000)) if fleet.home_of(name) == home)
