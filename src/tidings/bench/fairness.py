"""What a group that publishes a hundred times as much does to the deliveries of another, in three regimes."""

import asyncio
import statistics
import time

import asyncpg
import msgspec
import uvloop

from tidings.bench.load import run_load
from tidings.bench.stage import Stage
from tidings.bench.statements import SQL
from tidings.core.filters import TableFilter, type_filter

QUIET, LOUD = "quiet", "default"
QUIET_PER_SECOND = 20
LOUD_TIMES = 100
LOUD_WEBHOOKS = 64
WARMING = 2.0  # seconds beside the load that do not count: connections are opened, lanes are new
LOUD_STATEMENTS = 200  # a second, below capacity
BULK = 100_000  # rows of loud's one transaction
BACKLOG = 50_000  # rows of loud's that wait in the outbox at least, beyond capacity
REFILL = 20_000


class Beside(msgspec.Struct, frozen=True):
    """What came of one turn: quiet's times from commit to receipt in milliseconds, and what loud got done meanwhile."""

    times: list[float]
    loud_per_second: float


async def fair_shares(stage: Stage, seconds: int, turns: int) -> dict[str, float]:
    """Return quiet's median and p99 alone and in each regime, medians of turns, with the ratios of the p99 in the same turn.

    Args:
        seconds: Of each measurement.
        turns: Of alone and all regimes, one after the other.
    """
    await _prepare(stage)
    runs: dict[str, list[Beside]] = {"alone": [], "below": [], "beyond": [], "hanging": []}
    for _ in range(turns):
        for regime, found in runs.items():
            found.append(await _beside(stage, regime, seconds))
            await stage.execute(SQL["forget_unsettled"])
            await stage.settled()
    await stage.clear_webhooks()
    figures = {}
    alone = [_p(one.times, 99) for one in runs["alone"]]
    for regime, found in runs.items():
        p99s = [_p(one.times, 99) for one in found]
        figures[f"fair_{regime}_p50_ms"] = statistics.median(_p(one.times, 50) for one in found)
        figures[f"fair_{regime}_p99_ms"] = statistics.median(p99s)
        if regime != "alone":
            figures[f"fair_{regime}_p99_ratio"] = statistics.median(p / a for p, a in zip(p99s, alone, strict=True))
            figures[f"fair_{regime}_loud_per_s"] = statistics.median(one.loud_per_second for one in found)
    return figures


async def _prepare(stage: Stage) -> None:
    await stage.execute(SQL["add_group"], QUIET)
    for number in range(4):
        await stage.add_webhook(type_filter(f"bench.q{number}"), f"/q{number}", group_id=QUIET)
    for number in range(LOUD_WEBHOOKS):
        await stage.add_webhook(type_filter(f"bench.t{number}"), f"/w{number}", group_id=LOUD)
        await stage.add_webhook(type_filter(f"bench.hang{number}"), f"/hang{number}", group_id=LOUD)
    await stage.add_webhook(TableFilter("captured", "public"), "/captured", group_id=LOUD, concurrency=1000)


async def _beside(stage: Stage, regime: str, seconds: int) -> Beside:
    """Measure quiet while loud does what the regime says."""
    stage.receiver.arrivals()
    url = stage.database_url
    before, begun = await stage.value(SQL["delivered"], LOUD), time.monotonic()
    committed, _ = await asyncio.gather(
        run_load(publish_quietly, url, seconds + WARMING), run_load(be_loud, url, regime, seconds + WARMING)
    )
    taken = time.monotonic() - begun
    done = await stage.value(SQL["delivered"], LOUD) - before
    async with asyncio.timeout(60):
        while await stage.value(SQL["is_group_unsettled"], QUIET):  # noqa: ASYNC110 - PostgreSQL does not tell
            await asyncio.sleep(0.02)
    arrivals = stage.receiver.arrivals()
    first = min(committed.values()) + WARMING
    times = [(arrivals[number] - at) * 1e3 for number, at in committed.items() if at >= first]
    return Beside(times, done / taken)


def publish_quietly(url: str, seconds: float) -> dict[int, float]:
    """Publish numbered events of the quiet group at a steady rate; return when each was committed (seconds since 1970)."""
    committed: dict[int, float] = {}

    async def main() -> None:
        connection = await asyncpg.connect(url)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(int(QUIET_PER_SECOND * seconds)):
            await asyncio.sleep(max(0.0, begun + number / QUIET_PER_SECOND - loop.time()))
            await connection.execute(SQL["publish_of_group"], QUIET, f"bench.q{number % 4}", number)
            committed[number] = time.time()
        await connection.close()

    uvloop.run(main())
    return committed


def be_loud(url: str, regime: str, seconds: float) -> None:
    """Publish as the other group does in a regime."""

    async def main() -> None:
        connection = await asyncpg.connect(url)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if regime in {"below", "hanging"}:
            kind = "bench.t" if regime == "below" else "bench.hang"
            await _publish_steadily(connection, kind, until)
        elif regime == "beyond":
            await connection.execute(SQL["insert_many_captured"], BULK)
            while loop.time() < until:
                if await connection.fetchval(SQL["is_outbox_shorter"], BACKLOG):
                    await connection.execute(SQL["publish_many"], LOUD, "bench.t", LOUD_WEBHOOKS, REFILL)
                await asyncio.sleep(0.2)
        await connection.close()

    uvloop.run(main())


async def _publish_steadily(connection: asyncpg.Connection, kind: str, until: float) -> None:
    loop = asyncio.get_running_loop()
    begun, number = loop.time(), 0
    rows = QUIET_PER_SECOND * LOUD_TIMES // LOUD_STATEMENTS
    while loop.time() < until:
        await asyncio.sleep(max(0.0, begun + number / LOUD_STATEMENTS - loop.time()))
        await connection.execute(SQL["publish_many"], LOUD, kind, LOUD_WEBHOOKS, rows)
        number += 1


def _p(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]
