"""Fixtures of tests of a home whose database can be taken away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.ahead import Away, Hands, away_at
from tests.support.stream import Cluster
from tidings.config import Config
from tidings.transport.stream import Stream


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def away(config: Config, fresh_databases: Any, cluster: Cluster, way: Stream) -> AsyncIterator[Away]:
    (url,) = await fresh_databases(1)
    async with away_at(config, url, cluster, way) as found:
        yield found
