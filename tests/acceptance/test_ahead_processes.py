"""Processes that send ahead of a PostgreSQL that is stopped: one is frozen and goes on later, one is told to stop while receivers hang."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support import stream
from tests.support.ahead import numbers
from tests.support.engine import eventually
from tests.support.fleet_chaos import Part, Server, servers
from tests.support.limits import PATIENCE
from tests.support.process import run_cli
from tests.support.receiver import Receiver, hangs
from tidings.transport.stream import opened
from tidings.transport.stream_ahead import AheadStream

BEGUN, ENDED = "the database is away: first attempts", "what comes is left to the database again"
KEY = {"authorization": "Bearer test"}


def is_ahead(part: Part) -> bool:
    """Whether a process sends ahead, by its log."""
    said = part.log.read_text()
    return said.count(BEGUN) > said.count(ENDED)


@asynccontextmanager
async def fleet(folder: Path, shop: str) -> AsyncIterator[tuple[Server, list[Part], AheadStream]]:
    """A source, and a home of two processes with a PostgreSQL of its own."""
    server = (await servers(folder, ["eu"]))["eu"]
    parts: list[Part] = []
    try:
        async with stream.running(folder / "nats") as cluster:
            common = {"stream": cluster.url, "secret_key": "test", "admin_key": "test"}
            init = ("stream", "init", "--home", "eu", "--replicas", "1", "--max-bytes", "50000000")
            made = await asyncio.to_thread(run_cli, *init, **common, data_dir=folder)
            assert made.returncode == 0, made.stdout + made.stderr
            at_home = {"port": 0, "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 60}
            parts += [
                Part(f"eu-{n}", folder, "serve", database_url=server.url, home="eu", **at_home, **common) for n in range(2)
            ]
            parts.append(Part("relay", folder, "relay", database_url=shop, source="shop", **common))
            for part in parts:
                await part.start()
            try:
                async with opened(cluster.url, credentials=None, ca_file=None) as way:
                    yield server, parts, AheadStream(way, "eu")
            finally:
                for part in parts:
                    await part.end()
    finally:
        await server.stop()


async def test_who_sends_ahead_is_frozen_and_later_told_to_stop_and_nothing_is_lost_or_made_twice(
    tmp_path: Path, fresh_databases: Callable[[int], Awaitable[list[str]]], receiver: Receiver
) -> None:
    (shop,) = await fresh_databases(1)
    async with fleet(tmp_path, shop) as (server, parts, beside):
        homes = parts[:2]
        # A timeout that is over when the other takes the turn: its lane opens at once, and none of what comes is left to the database.
        hook = {"url": receiver.url(), "events": ["order.*"], "timeout_seconds": 3, "retry": {"delays": [0.1], "jitter": 0}}
        async with httpx.AsyncClient(base_url=homes[0].ready["url"], timeout=PATIENCE, headers=KEY) as api:
            answered = await api.post("/api/v1/webhooks", json=hook)
            assert answered.status_code == 201, answered.text
        user = await asyncpg.connect(shop)

        async def come(number: int) -> None:
            await user.execute("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))
            await eventually(lambda: has(number))

        async def has(number: int) -> bool:
            return number in numbers(receiver)

        async def are_told(count: int) -> bool:
            return len(await beside.numbers()) >= count

        async def ahead() -> Part | None:
            return next((part for part in homes if is_ahead(part)), None)

        async def is_so(part: Part, is_expected: bool) -> bool:
            return is_ahead(part) is is_expected

        try:
            await come(0)
            await eventually(lambda: is_recorded(server, 1))
            await eventually(lambda: is_known(server))
            await server.stop()
            first = await eventually(ahead)
            await come(1)
            await eventually(lambda: are_told(1))  # what is under way when a process is frozen is made again
            other = next(part for part in homes if part is not first)
            first._signal(signal.SIGSTOP)
            try:
                await eventually(lambda: is_so(other, True))
                await come(2)
            finally:
                first._signal(signal.SIGCONT)
            await eventually(lambda: is_so(first, False))  # it learns that the turn is another's
            await come(3)
            await eventually(lambda: are_told(3))
            receiver.scripts.append(hangs)
            await come(4)
            assert await other.stop() == 0
            assert "that were made ahead are not on record" not in other.log.read_text()
            await server.start()
            await receiver.wait_for(6)  # what hung is made again
            await eventually(lambda: is_recorded(server, 5))
        finally:
            await user.close()
        assert numbers(receiver) == [0, 1, 2, 3, 4, 4]
        (row,) = await server.rows("select attempt_count from tidings.deliveries order by attempt_count desc limit 1")
        assert row["attempt_count"] == 2, "that it was begun is on record"
        (row,) = await server.rows("select failure from tidings.attempts")
        assert row["failure"] == "timeout"


async def is_known(server: Server) -> bool:
    """Whether both processes have been at work for so long since the webhook was made that they know it."""
    found: Any = await server.value(
        "select count(*) from tidings.workers where heartbeat_at > (select max(created_at) from tidings.webhooks) + interval '4 s'"
    )
    return bool(found >= 2)


async def is_recorded(server: Server, count: int) -> bool:
    found: Any = await server.value("select count(*) from tidings.deliveries where status = 'succeeded'")
    return bool(found >= count)
