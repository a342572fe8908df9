"""What `tidings listen` carries: deliveries a second to a receiver on this machine, and what it adds to the time of each.

The client is the command itself, in a process of its own, beside an API and a worker.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tidings.bench.stage import KEY, Stage
from tidings.bench.statements import SQL
from tidings.core.filters import type_filter

Figures = dict[str, float]
Half = Callable[[Stage], Awaitable[float]]  # measures the median from commit to receipt, in milliseconds
Publish = Callable[[str], Awaitable[None]]  # publishes by the API at an address

KIND = "bench.t0"
CONCURRENCY = 20


async def carrying(stage: Stage, half: Half, publish: Publish, count: int) -> Figures:
    """Measure the median with a webhook and with a listener in its place, and how fast `count` deliveries are carried."""
    await stage.add_webhook(type_filter(KIND), "/direct")
    direct = await half(stage)
    await stage.clear_webhooks()
    async with stage.api() as url, _client(stage, url):
        listened = await half(stage)
        begun = time.perf_counter()
        await publish(url)
        await stage.settled()
        taken = time.perf_counter() - begun
    await stage.clear_webhooks()
    return {"listen_per_s": count / taken, "listen_p50_ms": listened, "listen_added_p50_ms": listened - direct}


@asynccontextmanager
async def _client(stage: Stage, url: str) -> AsyncIterator[None]:
    """Run `tidings listen` while the block runs."""
    words = ("listen", "-q", "--name", "bench", "-e", KIND, "--concurrency", str(CONCURRENCY))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidings", *words, "--forward", stage.receiver.url("/listen")),
        env={"TIDINGS_SERVER": url, "TIDINGS_KEY": KEY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not await stage.value(SQL["has_listener"]):  # noqa: ASYNC110 - PostgreSQL does not tell
            await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        await process.wait()
