"""PostgreSQL's queue of notifications is full: what notifies waits or is told to come again, and nothing is blamed on a row."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.diagnosis import unwell
from tidings.operations import diagnosis
from tidings.store import outbox, vitals
from tidings.store.embedded import start_embedded
from tidings.store.migrations import LAST
from tidings.store.outages import NotificationsFullError, sentence


@pytest.fixture
async def small_queue() -> AsyncIterator[str]:
    """The URL of a PostgreSQL whose queue holds half a megabyte."""
    folder = Path(tempfile.mkdtemp(prefix="tidings-notify-"))
    server = start_embedded(folder)
    try:
        connection = await asyncpg.connect(server.get_uri())
        await connection.execute("alter system set max_notify_queue_pages = 64")
        await connection.close()
        server.stop()
        server.start()
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


async def fill(connection: Any) -> None:
    for length in (6000, 2000, 400, 50, 10, 1) * 2:  # the last page to its end
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await _notify_for_ever(connection, length)


async def _notify_for_ever(connection: Any, length: int) -> None:
    for number in range(10_000):
        await connection.execute("select pg_notify('x', repeat('a', $1::int) || $2::text)", length, str(number))


async def test_a_full_queue_of_notifications_is_a_shortage_of_ours(
    small_queue: str, config: Config, api_server: ApiServer
) -> None:
    config = msgspec.structs.replace(config, database_url=small_queue)
    async with engine_of(config) as engine, api_server.serving(engine.services) as url:
        lazy = await asyncpg.connect(small_queue)
        await lazy.execute("listen anything")
        await lazy.execute("begin; select 1")
        sleeper = await engine.services.wide.dedicated()  # as a dispatcher that is to be woken
        assert await outbox.try_sleep(sleeper)
        await fill(engine.user)
        key = {"Authorization": "Bearer test"}
        async with httpx.AsyncClient(base_url=url, headers=key, timeout=PATIENCE) as client:
            answer = await client.post("/api/v1/events", json={"type": "order.paid", "data": {}})
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE"), answer.text
            assert answer.headers["Retry-After"]
        with pytest.raises(NotificationsFullError) as refused:
            async with engine.services.wide.transaction() as connection:
                await outbox.ring(connection)
        assert "queue of notifications is full" in sentence(refused.value)
        async with engine.services.wide.connection() as connection:
            found = await vitals.read(connection, LAST, is_all=True)
        problems = unwell(found, machine_time=found.at, disk_left=None, uncaptured=0)
        assert [one.name for one in problems if one.name == "notifications"] == ["notifications"]
        assert "notifications" in (await diagnosis.examine(engine.services)).looked_at
        assert await engine.value("select count(*) from tidings.outbox") == 0
        await lazy.close()
        await sleeper.close()
