"""A switch in front of a test's PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.support.switch import Switch
from tidings.config import Config


@pytest.fixture
async def switch(config: Config) -> AsyncIterator[Switch]:
    """A port in front of the test's PostgreSQL that can be cut."""
    assert config.database_url is not None
    switch = Switch(config.database_url.partition("host=")[2])
    await switch.start()
    yield switch
    await switch.stop()
