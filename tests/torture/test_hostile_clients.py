"""No client, whatever it sends or leaves unsent, stops the answers to others, nor the deliveries; a process with 256 descriptors."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process
from tests.support.receiver import Receiver
from tests.support.torture import LONG, told
from tests.torture.clients import CLIENTS

SECONDS = 45.0 if LONG else 4.0  # of each phase
PER_SECOND = 50 if LONG else 10
DESCRIPTORS = 256
MOST_MEMORY = 120 * 2**20  # more than quiet
MOST_SLOWER = 3.0  # the p99 of others beside hostile clients, of that without


class Client:
    """A well-behaved client: publishes and asks, so many times a second, over twenty connections at most that it keeps.

    Attributes:
        deferred: How often it was told to come again, and came.
    """

    def __init__(self, url: str) -> None:
        # Without a bound it would open one for each request that waits, and have more connections than the hostile ones.
        limits = httpx.Limits(max_connections=20, keepalive_expiry=None)
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.1", limits=limits)
        self._http = httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE, transport=transport)
        self.published = self.deferred = 0
        self.faults: list[str] = []

    async def work(self, seconds: float) -> list[float]:
        """Do so for so long, and return how long each request took."""
        took: list[float] = []
        begun = time.perf_counter()
        asked: set[asyncio.Task[None]] = set()
        for number in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(max(0.0, begun + number / PER_SECOND - time.perf_counter()))
            asked.add(asyncio.create_task(self._ask(number, took)))
        await asyncio.wait(asked)
        return took

    async def _ask(self, number: int, took: list[float]) -> None:
        try:
            while True:
                begun = time.perf_counter()
                if number % 2:
                    answer = await self._http.get("/api/v1/webhooks")
                else:
                    answer = await self._http.post("/api/v1/events", json={"type": "order.paid", "data": {"number": number}})
                if answer.status_code != 503 or "retry-after" not in answer.headers:
                    break
                self.deferred += 1
                await asyncio.sleep(float(answer.headers["retry-after"]))
            self.published += answer.is_success and not number % 2
            if not answer.is_success:
                self.faults.append(f"{answer.status_code} {answer.text}")
        except httpx.HTTPError as error:
            self.faults.append(repr(error))
        took.append(time.perf_counter() - begun)

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def crowd(url: str) -> AsyncIterator[dict[str, Any]]:
    """Hostile clients, in a process of their own, while the block runs; then how they fared."""
    parts = httpx.URL(url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.torture.clients", parts.host, str(parts.port),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    fared: dict[str, Any] = {}
    try:
        yield fared
    finally:
        output, _ = await asyncio.wait_for(process.communicate(b""), PATIENCE)
        fared |= json.loads(output)


def p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[-1]


async def test_hostile_clients_stop_nobody(database_url: str, tmp_path: Path, receiver: Receiver) -> None:
    server = await Process.start(
        "serve", descriptors=DESCRIPTORS, database_url=database_url, data_dir=tmp_path, secret_key="test", admin_key="test",
        port=0, allow_private_networks="127.0.0.0/8", stop_grace_seconds=1, header_seconds=5, body_seconds=5,
    )  # fmt: skip
    url = server.ready["url"]
    client, user = Client(url), await asyncpg.connect(database_url)
    try:
        async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE) as maker:
            hook = {"url": receiver.url(), "events": ["order.*"]}
            assert (await maker.post("/api/v1/webhooks", json=hook)).status_code == 201
            assert (await maker.post("/api/v1/integrations", json={"name": "shop", "platform": "hmac"})).status_code == 201
        await client.work(1.0)  # what is made at first use is made
        quiet, before = await client.work(SECONDS), server.memory_bytes()
        most = before
        async with crowd(url) as fared:
            working = asyncio.create_task(client.work(SECONDS))
            while not working.done():
                await asyncio.wait([working], timeout=0.05)
                most = max(most, server.memory_bytes())
            beside = await working
        assert fared["faults"] == []
        assert set(fared["turns"]) == {*CLIENTS, "many"}
        assert client.faults == []
        await receiver.wait_for(client.published)

        async def settled() -> bool:
            return await user.fetchval("select count(*) from tidings.deliveries") == client.published

        await eventually(settled)
        booked = await user.fetch("select status, attempt_count from tidings.deliveries group by 1, 2")
        assert {(row["status"], row["attempt_count"]) for row in booked} == {("succeeded", 1)}
        assert await user.fetchval("select count(*) from tidings.attempts") == 0, "what failed was booked on the receiver"
        assert most - before <= MOST_MEMORY
        told(
            "hostile-clients",
            {
                "clients of a different kind, at once": len(CLIENTS) + 1,
                "their turns": sum(fared["turns"].values()),
                "descriptors of the server": DESCRIPTORS,
                "requests of others, all answered": len(beside),
                "of these told to come again first": client.deferred,
                "their p99 without hostile clients, ms": p99(quiet) * 1e3,
                "beside them, ms": p99(beside) * 1e3,
                f"times slower (at most {MOST_SLOWER:.0f})": p99(beside) / p99(quiet),
                "deliveries, all at the first attempt": client.published,
                "memory taken meanwhile, MiB": (most - before) / 2**20,
            },
        )
        if LONG:
            assert p99(beside) <= MOST_SLOWER * p99(quiet)
    finally:
        await client.close()
        await user.close()
        await server.stop()
