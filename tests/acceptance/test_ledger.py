"""Limits of lanes hold while workers are killed, and a stop repeats nothing. Whether anything is lost: tests/torture/test_ledger.py."""

import asyncio
import json
import os
import random
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.engine import engine_of, eventually
from tests.support.process import Process
from tests.support.receiver import Receiver, answer
from tests.support.torture import LONG
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.store.database import UNAVAILABLE
from tidings.store.embedded import start_embedded

WRITING_SECONDS = float(os.environ.get("LEDGER_SECONDS", "30" if LONG else "15"))


async def write_rows(url: str, rng: random.Random, per_second: int) -> None:
    """Write at a steady rate, some of it rolled back, through PostgreSQL's crash."""
    loop = asyncio.get_running_loop()
    begun, number, connection = loop.time(), 0, None
    while loop.time() - begun < WRITING_SECONDS:
        await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
        number += 1
        try:
            connection = connection or await asyncpg.connect(url)
            end = "rollback" if rng.random() < 0.1 else "commit"
            await connection.execute(f"begin; insert into ledger values ({number if end == 'commit' else -number}); {end}")
        except (*UNAVAILABLE, asyncpg.PostgresError):
            connection = None  # whether it was committed is read from the table afterwards
            await asyncio.sleep(0.1)
    if connection is not None:
        await connection.close()


async def kill_workers(workers: list[Process], start: Any, rng: random.Random) -> int:
    """Kill one worker after the other at random moments, each replaced at once; return how many."""
    killed = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + WRITING_SECONDS
    while loop.time() < until:
        await asyncio.sleep(rng.uniform(1.5, 4))
        position = rng.randrange(len(workers))
        await workers[position].kill()
        killed += 1
        workers[position] = await start()
    return killed


def is_left(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer has closed the connection, by what the system says of its socket."""
    try:
        with socket.fromfd(writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as connection:
            return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Turnstile:
    """Counts how many requests each path has at once: not answered yet, and their sender still there."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._open: dict[str, set[asyncio.StreamWriter]] = {}
        self.most: Counter[str] = Counter()
        self.acknowledged: dict[str, set[int]] = {}

    async def receive(self, request: Any, writer: asyncio.StreamWriter) -> None:
        there = self._open.setdefault(request.path, set())
        there -= {other for other in there if other.transport.is_closing() or is_left(other)}
        there.add(writer)
        self.most[request.path] = max(self.most[request.path], len(there))
        mood = self._rng.random()
        if mood < LIMITS[request.path] * 0.001:
            await asyncio.Event().wait()
        # So slow that at the rate of the writing every place is taken.
        slowest = 0.012 * LIMITS[request.path]
        await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=self._rng.uniform(0, slowest))
        there.discard(writer)
        if mood < 0.1:
            writer.write(answer(500, b"not now"))
            return
        self.acknowledged.setdefault(request.path, set()).add(json.loads(request.body)["data"]["record"]["n"])
        writer.write(answer())


LIMITS = Counter({"/one": 1, "/five": 5, "/twenty": 20})
ENOUGH = Counter({"/one": 1, "/five": 5, "/twenty": 12})  # at once, that a slow machine comes to


async def test_limits_hold_over_three_processes_that_are_killed_at_random(tmp_path: Path, tell: Callable[[str], None]) -> None:
    rng = random.Random(random.randrange(2**32))
    server = start_embedded(tmp_path)
    options = {"database_url": server.get_uri(), "secret_key": "ledger", "allow_private_networks": "127.0.0.0/8"}
    config = Config(data_dir=tmp_path, admin_key="k", **options)
    turnstile, receiver = Turnstile(rng), Receiver()
    receiver.otherwise = turnstile.receive
    await receiver.start(backlog=1000)
    async with engine_of(config) as engine:
        await engine.user.execute("create table ledger (n bigint primary key)")
        for path, limit in LIMITS.items():
            await engine.add_webhook(
                receiver.url(path), {"table": "ledger"},
                concurrency=limit, timeout_seconds=1, retry=Delays(delays=(0.1, 0.2, 0.5) + (1,) * 90),
            )  # fmt: skip
        await engine.worker.heart.end()
    workers: list[Process] = []
    try:
        workers += [await Process.start("worker", **options) for _ in range(3)]
        async with asyncio.timeout(WRITING_SECONDS + 60):
            await asyncio.gather(
                kill_workers(workers, lambda: Process.start("worker", **options), rng),
                write_rows(config.database_url or "", rng, per_second=120),
            )
        reader = await asyncpg.connect(config.database_url)

        async def is_settled() -> bool:
            left = "select exists (select from tidings.outbox) or exists (select from tidings.queue) or exists (select from tidings.flights)"
            return not await reader.fetchval(left)

        await eventually(is_settled, limit=600)
        committed = {row["n"] for row in await reader.fetch("select n from ledger")}
        await reader.close()
    finally:
        for worker in workers:
            await worker.kill()
        await receiver.stop()
        server.cleanup()
    tell(f"limits: {json.dumps({'committed': len(committed), 'most at once': turnstile.most})}")
    assert turnstile.most <= LIMITS, "no more than there are places"
    assert turnstile.most >= ENOUGH, "and the limits were what held them back"
    assert {path: committed - turnstile.acknowledged[path] for path in LIMITS} == {path: set() for path in LIMITS}


async def test_a_stop_by_sigterm_loses_nothing_and_repeats_nothing(config: Config, receiver: Receiver) -> None:
    seen: Counter[str] = Counter()

    async def slowly(request: Any, writer: asyncio.StreamWriter) -> None:
        seen[request.headers["webhook-id"]] += 1
        await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.15)
        writer.write(answer())

    receiver.otherwise = slowly
    options = {"database_url": config.database_url, "secret_key": "test", "allow_private_networks": "127.0.0.0/8"}
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.worker.heart.end()
        for round_ in range(4):
            process = await Process.start("serve", "--port", "0", admin_key="test", **options)
            for _ in range(100):
                await engine.publish()
            await engine.user.execute("notify tidings_outbox")
            await receiver.wait_for(100 * round_ + 20)
            assert await process.stop() == 0
            assert await engine.value("select count(*) from tidings.flights") == 0
            assert await engine.value("select count(*) from tidings.workers") == 0
        process = await Process.start("worker", **options)

        async def done() -> bool:
            return bool(await engine.value("select count(*) = 400 from tidings.deliveries where status = 'succeeded'"))

        await eventually(done)
        await process.stop()
    assert len(seen) == 400
    assert set(seen.values()) == {1}
