"""Two homes of a fleet that ask each other: real servers, a database each, and the stream between."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from tests.support.process import free_ports
from tidings.config import Config
from tidings.core.fleet import Fleet, fleet_of
from tidings.running import Ready, run
from tidings.transport import stream
from tidings.transport.stream_making import make
from tidings.worker.signals import Signal

NAMES = ("eu", "us")
HOMES_KEY = "what the homes of the tests know each other by"
FLEET = fleet_of(NAMES)


def group_of(home: str, word: str = "shop", fleet: Fleet = FLEET) -> str:
    """Return the name of a group that lives at a home."""
    return next(name for number in range(100) if fleet.home_of(name := f"{word}-{number}") == home)


class Home:
    """A home that is served, and a client of its API with the key of its settings."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.name = str(config.home)
        self.url = f"http://127.0.0.1:{config.port}"
        self.key = str(config.admin_key)
        self._stop = Signal()
        self._running: asyncio.Task[None] | None = None
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30)

    async def start(self, *, with_worker: bool = False) -> None:
        """Serve, and return once it is ready."""
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._stop = Signal()
        running = run(self.config, self._stop, with_api=True, with_worker=with_worker, on_ready=ready.set_result)
        self._running = asyncio.create_task(running)
        await asyncio.wait([self._running, ready], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._running

    async def stop(self) -> None:
        """Serve no more."""
        self._stop.set()
        if self._running is not None:
            await self._running
            self._running = None

    async def call(self, method: str, path: str, *, key: str | None = None, group: str | None = None, **more: Any) -> Any:
        """Ask this home."""
        headers = {"Authorization": f"Bearer {key or self.key}"} | more.pop("headers", {})
        if group is not None:
            headers["X-Tidings-Group"] = group
        return await self.http.request(method, path, headers=headers, **more)

    async def close(self) -> None:
        await self.http.aclose()
        await self.stop()


@asynccontextmanager
async def two_homes(
    config: Config,
    databases: list[str],
    servers: str,
    folder: Path,
    others: Mapping[str, str] = MappingProxyType({}),
    *,
    with_worker: bool = False,
) -> AsyncIterator[tuple[Home, Home]]:
    """Lend both homes of a fleet, served. `others`: homes of it that somebody else plays, and where they are."""
    async with stream.opened(servers, credentials=None, ca_file=None) as way:
        await make(way, fleet_of((*NAMES, *others)), replicas=1, most_bytes=10_000_000)
    ports = dict(zip(NAMES, free_ports(2), strict=True))
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()} | others
    where = " ".join(f"{name}={url}" for name, url in addresses.items())
    homes = [
        Home(
            msgspec.structs.replace(
                config, database_url=url, home=name, stream=servers, homes=where, homes_key=HOMES_KEY, port=ports[name], public_url=f"http://127.0.0.1:{ports[name]}",
                admin_key=f"the admin key of the home {name}, and of no other", data_dir=folder / name,
            )
        )
        for name, url in zip(NAMES, databases, strict=True)
    ]  # fmt: skip
    try:
        for home in homes:
            await home.start(with_worker=with_worker)
        yield homes[0], homes[1]
    finally:
        for home in homes:
            await home.close()
