"""How the figures grow: with the number of webhooks, of stored deliveries, of worker processes, with the rate and the payload.

Each measurement returns the points of a curve, on its own database. `docs/benchmarks.md` shows the curves and says how they
are measured; `docs/capacity.md` plans with them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import msgspec

from tidings.bench.measures import WEBHOOKS, Figures, add_backlog_webhooks, drain_backlog, latencies, medians, percentile
from tidings.bench.stage import KEY, Stage
from tidings.bench.statements import GROWTH, SQL

DAYS = 30  # that history is spread over, today included
FILLED_AT_ONCE = 50_000  # webhooks in one statement
MEASURABLE = 10_000  # webhooks; the memory of fewer is lost in that of the process
WARMING = 3  # webhooks made first, that do not count: connections are opened, statements prepared
STEADY_RATE = 200  # deliveries a second, as the latency of the other measurements
PAYLOAD = 300  # bytes of data, where nothing else is said
STATISTICS_COPIES = 500  # of the rows of the measured minutes: enough for their size in bulk


class GrowthPlan(msgspec.Struct, frozen=True):
    """The points of each curve, and how long each is measured."""

    webhooks: tuple[int, ...]  # the first as many as get the backlog
    stored: tuple[int, ...]
    workers: tuple[int, ...]
    rates: tuple[int, ...]  # deliveries a second
    payloads: tuple[int, ...]  # bytes; past 2,000 PostgreSQL compresses
    probes: int  # webhooks made through the API
    backlog: int
    runs: int
    seconds: int  # at a steady rate


FULL_GROWTH = GrowthPlan(
    webhooks=(WEBHOOKS, 1000, 10_000, 100_000, 1_000_000), stored=(100_000, 1_000_000, 10_000_000), workers=(1, 2, 4),
    rates=(10, 50, 200, 1000), payloads=(300, 700, 1500), probes=30, backlog=30_000, runs=3, seconds=20,
)  # fmt: skip
QUICK_GROWTH = GrowthPlan(
    webhooks=(WEBHOOKS, 1000, 10_000), stored=(10_000, 100_000), workers=(1, 2),
    rates=(20, 200, 1000), payloads=(300, 1500), probes=10, backlog=5000, runs=1, seconds=3,
)  # fmt: skip

Points = list[Figures]
Grown = Callable[[Stage, GrowthPlan], Awaitable[Points]]


async def by_webhooks(stage: Stage, plan: GrowthPlan) -> Points:
    """Making a webhook, its first delivery, the start and the memory of a process, and deliveries, beside so many others."""
    points: Points = []
    async with stage.apart() as own:
        await add_backlog_webhooks(own)
        there = WEBHOOKS
        for count in plan.webhooks:
            while there < count:
                some = min(count, there + FILLED_AT_ONCE)
                await own.execute(GROWTH["fill_webhooks"], there, some)
                there = some
            await _tidied(own, "webhooks")
            started = time.perf_counter()
            async with own.running("serve") as url:
                start = time.perf_counter() - started
                figures = await _new_webhooks(own, url, plan.probes)
                figures |= await _drained(own, plan) | {"start_s": start, "rss_mb": own.engine_rss_mb()}
            points.append({"webhooks": count, "webhook_disk_bytes": await own.value(GROWTH["webhook_bytes"]) / count} | figures)
    for point in points:
        if point["webhooks"] >= MEASURABLE:
            grown = (point["rss_mb"] - points[0]["rss_mb"]) * 2**20
            point["webhook_memory_bytes"] = grown / (point["webhooks"] - points[0]["webhooks"])
    return points


async def _new_webhooks(stage: Stage, url: str, count: int) -> Figures:
    """Make webhooks one by one, and publish an event for each as soon as it is there."""
    made, answered = [], []
    stage.receiver.arrivals()
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client:
        for number in range(WARMING + count):
            kind = f"probe.{uuid4().hex}"
            webhook = {"name": kind, "url": stage.receiver.url("/probe"), "events": [kind]}
            begun = time.perf_counter()
            (await client.post("/api/v1/webhooks", json=webhook)).raise_for_status()
            made.append((time.perf_counter() - begun) * 1e3)
            answered.append(time.time())
            (await client.post("/api/v1/events", json={"type": kind, "data": {"n": number}})).raise_for_status()
            await stage.settled()
    arrivals = stage.receiver.arrivals()
    first = [(arrivals[number] - at) * 1e3 for number, at in enumerate(answered)]
    return _p50_p95("create", made[WARMING:]) | _p50_p95("first_delivery", first[WARMING:])


def _p50_p95(name: str, times: list[float]) -> Figures:
    return {f"{name}_p50_ms": percentile(times, 50), f"{name}_p95_ms": percentile(times, 95)}


async def by_stored(stage: Stage, plan: GrowthPlan) -> Points:
    """Deliveries and their latency beside a history of so many."""
    points: Points = []
    async with stage.apart() as own:
        await add_backlog_webhooks(own)
        there = 0
        for count in plan.stored:
            for days_ago in range(DAYS):
                await own.execute(GROWTH["ensure_day"], days_ago)
                await own.execute(GROWTH["fill_history"], days_ago, (count - there) // DAYS)
            there = count
            await _tidied(own, "history")
            async with own.running("worker"):
                drained = await _drained(own, plan)
                points.append({"stored": count} | await _steady(own, STEADY_RATE, plan.seconds) | drained)
    return points


async def by_workers(stage: Stage, plan: GrowthPlan) -> Points:
    """Deliveries of so many worker processes."""
    points: Points = []
    for count in plan.workers:
        async with stage.apart() as own, own.running("worker", count):
            await add_backlog_webhooks(own)
            points.append({"workers": count} | await _drained(own, plan))
    return points


async def by_rate(stage: Stage, plan: GrowthPlan) -> Points:
    """What an engine takes at a steady rate, idle first, and how long its deliveries take."""
    points: Points = []
    async with stage.apart() as own, own.running("worker"):
        await add_backlog_webhooks(own)
        await _drained(own, plan)
        before = await own.usage()
        await asyncio.sleep(plan.seconds)
        points.append({"per_s": 0} | _cores((await own.usage()).each_since(before, 1), 1 / plan.seconds))
        for rate in plan.rates:
            await _steady(own, rate, 2)  # the first time after a checkpoint that a page is written to, it is logged whole
            steady = await _steady(own, rate, plan.seconds)
            points.append({"per_s": rate} | steady | _cores(steady, rate))
    return points


def _cores(each: Figures, rate: float) -> Figures:
    return {"engine_cores": each["engine_us"] * rate / 1e6, "postgres_cores": each["postgres_us"] * rate / 1e6}


async def by_payload(stage: Stage, plan: GrowthPlan) -> Points:
    """What a delivery with so many bytes of data costs, and what it takes in storage."""
    points: Points = []
    for size in plan.payloads:
        async with stage.apart() as own, own.running("worker"):
            await add_backlog_webhooks(own)
            await drain_backlog(own, plan.backlog // 5, size)  # lanes and connections grow, and every index has its first pages
            before = await own.value(GROWTH["history_bytes"])
            drained = [await drain_backlog(own, plan.backlog, size) for _ in range(plan.runs)]
            stored = (await own.value(GROWTH["history_bytes"]) - before) / (plan.backlog * plan.runs)
            await own.execute(GROWTH["fill_statistics"], STATISTICS_COPIES)
            await own.execute(GROWTH["tidy_statistics"])
            row = await own.value(GROWTH["statistics_row_bytes"])
            points.append({"payload_bytes": size, "storage_bytes": stored, "statistics_row_bytes": row} | medians(drained))
    return points


async def _tidied(stage: Stage, what: str) -> None:
    """Have what was filled as it would be after a while: vacuumed, analysed, and written."""
    await stage.execute(GROWTH[f"tidy_{what}"])
    await stage.execute(GROWTH["checkpoint"])


async def _drained(stage: Stage, plan: GrowthPlan) -> Figures:
    """Work off backlogs; medians."""
    await drain_backlog(stage, plan.backlog // 5, PAYLOAD)  # lanes and connections grow
    return medians([await drain_backlog(stage, plan.backlog, PAYLOAD) for _ in range(plan.runs)])


async def _steady(stage: Stage, rate: int, seconds: int) -> Figures:
    """Make events at a steady rate: from commit to receipt, and what each delivery takes, its event's transaction included."""
    before = await stage.usage()
    times = await latencies(stage, SQL["publish_numbered"], rate, seconds, [f"bench.t{number}" for number in range(WEBHOOKS)])
    used = (await stage.usage()).each_since(before, rate * seconds)
    return {"latency_p50_ms": percentile(times, 50), "latency_p99_ms": percentile(times, 99)} | used


GROWTH_MEASURES: dict[str, Grown] = {
    "webhooks": by_webhooks,
    "stored": by_stored,
    "workers": by_workers,
    "rate": by_rate,
    "payload": by_payload,
}
