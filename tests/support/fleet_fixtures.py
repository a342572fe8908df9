"""Fixtures of tests of a fleet: a source, a home, and a real stream between them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import stream as servers
from tests.support.engine import Engine, engine_of
from tests.support.fleet import FLEET
from tests.support.stream import Cluster
from tidings.config import Config
from tidings.transport import stream
from tidings.transport.stream import Stream
from tidings.transport.stream_making import make


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with servers.running(tmp_path / "nats", max_payload=65_536) as cluster:
        yield cluster


@pytest.fixture
async def way(cluster: Cluster) -> AsyncIterator[Stream]:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        yield way


@pytest.fixture
async def source(config: Config) -> AsyncIterator[Engine]:
    async with engine_of(config) as engine:
        yield engine


@pytest.fixture
async def home(config: Config, fresh_databases: Any) -> AsyncIterator[Engine]:
    (url,) = await fresh_databases(1)
    there = msgspec.structs.replace(config, database_url=url, home="here", stream="nats://127.0.0.1:1")
    async with engine_of(there) as engine:
        yield engine
