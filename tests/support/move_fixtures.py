"""Fixtures of tests that move a group between homes. With `fleet_fixtures` and `home_fixtures`."""

from collections.abc import AsyncIterator

import pytest

from tests.support.furnished import Furnished, furnishing
from tests.support.homes import Home
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.core.fleet import with_groups
from tidings.transport.stream import Stream


@pytest.fixture
async def acme(
    homes: tuple[Home, Home], fleet_stream: Stream, api_server: ApiServer, receiver: Receiver
) -> AsyncIterator[Furnished]:
    """A group that has one of everything at `east`, but for what cannot be moved."""
    east, _ = homes
    await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {"acme": "east", "other": "east"}, 1))
    for home in homes:
        await home.follower.run_once()
    async with furnishing(east.engine, api_server, receiver.url()) as made:
        await east.engine.sql("update tidings.recoveries set state = 'cancelled', finished_at = now()")
        await east.engine.sql("update tidings.erasures set state = 'done', subject = null, finished_at = now()")
        await made("DELETE", "/api/v1/collections/posts?confirm=posts")
        while await east.engine.value("select count(*) from tidings.outbox") + await east.engine.cycle():
            pass
        await east.engine.sql("delete from tidings.flights")  # what its listener's client was given, and never answers
        yield made
