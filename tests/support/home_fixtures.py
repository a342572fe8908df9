"""Fixtures of tests of two homes: `east` and `west`, and a real stream between them. With `fleet_fixtures`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.homes import HOMES, Home
from tests.support.stream import Cluster
from tidings.config import Config
from tidings.transport import stream
from tidings.transport.stream import Stream
from tidings.transport.stream_making import make


@pytest.fixture
async def fleet_stream(cluster: Cluster) -> AsyncIterator[Stream]:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, HOMES, replicas=1, most_bytes=10_000_000)
        yield way


@pytest.fixture
async def homes(config: Config, fleet_stream: Stream, fresh_databases: Any) -> AsyncIterator[tuple[Home, Home]]:
    (url,) = await fresh_databases(1)
    async with AsyncExitStack() as stack:
        found = []
        for name, its in (("east", config), ("west", msgspec.structs.replace(config, database_url=url))):
            there = msgspec.structs.replace(its, home=name, stream="nats://127.0.0.1:1")
            home = Home(name, await stack.enter_async_context(engine_of(there)), fleet_stream)
            await home.follower.run_once()
            found.append(home)
        yield found[0], found[1]
