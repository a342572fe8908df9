"""The measurements. Each returns its figures by key; where two states are compared, both are measured in turn."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import msgspec

from tidings.bench.stage import Stage
from tidings.bench.statements import SQL
from tidings.core.event import Event
from tidings.core.outcome import Exchange
from tidings.core.signature import new_secret
from tidings.core.webhook import TableFilter, Webhook, type_filter
from tidings.profiles import prepare

WEBHOOKS = 64
PUMPS = 128
EVENTS = 64  # so many that none is written from memory

_INSERT = "insert into {table} (email, total, status, note) values ('user@example.com', 12.5, 'paid', repeat('x', 150));\n"


class Plan(msgspec.Struct, frozen=True):
    """How long and how much; the quick plan serves to see that all is well, not to be quoted."""

    backlog: int
    backlog_runs: int
    sender_requests: int
    latency_seconds: int
    pgbench_seconds: int
    pgbench_pairs: int
    hostile_seconds: int
    stuck_rows: int
    batches: int
    bulk_rows: int
    backfill_rows: int
    jobs: int


FULL = Plan(50_000, 3, 60_000, 20, 8, 3, 15, 500_000, 20, 100_000, 400_000, 1000)
QUICK = Plan(15_000, 1, 15_000, 4, 2, 1, 6, 100_000, 4, 20_000, 40_000, 200)

Figures = dict[str, float]
Measure = Callable[[Stage, Plan], Awaitable[Figures]]


async def throughput(stage: Stage, plan: Plan) -> Figures:
    """Outbox to recorded history: 64 webhooks, one for each event, a backlog of 400-byte events."""
    await _add_backlog_webhooks(stage)
    rates = [await _drain_backlog(stage, plan.backlog) for _ in range(plan.backlog_runs)]
    await stage.clear_webhooks()
    sender = await _bare_sender(stage, plan.sender_requests)
    rate = statistics.median(rates)
    return {"deliveries_per_s": rate, "sender_per_s": sender, "pipeline_ratio": rate / sender}


async def _add_backlog_webhooks(stage: Stage) -> None:
    for number in range(WEBHOOKS):
        await stage.add_webhook(type_filter(f"bench.t{number}"), f"/w{number}")


async def _drain_backlog(stage: Stage, rows: int) -> float:
    await stage.execute(SQL["tidy"])
    await stage.execute(SQL["fill_outbox"], rows, WEBHOOKS)
    started = time.perf_counter()
    await stage.settled()
    return rows / (time.perf_counter() - started)


async def _bare_sender(stage: Stage, requests: int) -> float:
    """The sender alone, signing included, against the same receiver."""
    now = stage.services.clock.now()
    webhook = Webhook(
        id=UUID(int=1), group_id="default", name="bare", url=stage.receiver.url("/bare"), secret=new_secret(bytes(32)),
        created_at=now, updated_at=now,
    )  # fmt: skip
    events = [
        Event(UUID(int=2), "default", "publish", "bench.bare", None, None, None, None,
              f'{{"number":{number},"note":"{"x" * 346}"}}', None, now)
        for number in range(EVENTS)
    ]  # fmt: skip
    sender, prepared = stage.services.sender, prepare(webhook, stage.services.keys.current)
    begun = ended = 0
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin() -> None:
        nonlocal begun
        event = events[begun % EVENTS]
        begun += 1
        data = prepared.write(event, event.id, int(time.time()))
        sender.start(prepared.target, data, timeout_seconds=30, done=go_on)

    def go_on(_: Exchange) -> None:
        nonlocal ended
        ended += 1
        if begun < requests:
            begin()
        elif ended == begun:
            finished.set_result(None)

    started = time.perf_counter()
    for _ in range(min(PUMPS, requests)):
        begin()
    await finished
    return requests / (time.perf_counter() - started)


async def latency(stage: Stage, plan: Plan) -> Figures:
    """Commit to receipt, at 200 row changes a second."""
    await stage.add_webhook(TableFilter("captured", "public"), "/latency")
    times = await _latencies(stage, SQL["insert_captured"], 200, plan.latency_seconds)
    await stage.clear_webhooks()
    return {"latency_p50_ms": _percentile(times, 50), "latency_p99_ms": _percentile(times, 99)}


async def _latencies(stage: Stage, sql: str, per_second: int, seconds: int, types: list[str] | None = None) -> list[float]:
    """Return commit-to-receipt times in milliseconds of numbered changes, made at a steady rate.

    Args:
        types: When given, the event type of each change in turn; those that begin with `bench.hostile` do not count.
    """
    stage.receiver.arrivals()
    committed: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with stage.services.database.connection() as connection:
        for number in range(per_second * seconds):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            kind = types[number % len(types)] if types else ""
            await connection.execute(sql, *((kind, number) if types else (number,)))
            if not kind.startswith("bench.hostile"):
                committed[number] = time.time()
    await stage.settled()
    arrivals = stage.receiver.arrivals()
    # The first second warms up: connections are opened, lanes are new.
    return [(arrivals[number] - at) * 1e3 for number, at in committed.items() if number >= per_second]


async def capture(stage: Stage, plan: Plan) -> Figures:
    """What capture costs a user's transactions, with the engine beside them: 8 clients, single-row INSERTs."""
    await stage.add_webhook(TableFilter("captured", "public"), "/capture", concurrency=1000)
    await stage.add_webhook(type_filter("table.notified.inserted"), "/capture", concurrency=1000)
    rates: dict[str, list[float]] = {"plain": [], "captured": [], "notified": []}
    for _ in range(plan.pgbench_pairs):
        for table, measured in rates.items():
            await stage.execute(SQL["clear_tables"])
            measured.append(await stage.pgbench(_INSERT.format(table=table), plan.pgbench_seconds))
            await stage.settled()
    await stage.clear_webhooks()
    ratios = [c / p for c, p in zip(rates["captured"], rates["plain"], strict=True)]
    against = [c / n for c, n in zip(rates["captured"], rates["notified"], strict=True)]
    return {
        "plain_tps": statistics.median(rates["plain"]),
        "capture_ratio": statistics.median(ratios),
        "capture_vs_notify": statistics.median(against),
    }


async def hostile(stage: Stage, plan: Plan) -> Figures:
    """The p99 of 90 healthy webhooks, with 10 beside them that accept and never answer, over without."""
    healthy = [f"bench.h{number}" for number in range(90)]
    for number, kind in enumerate(healthy):
        await stage.add_webhook(type_filter(kind), f"/h{number}")
    before = await _latencies(stage, SQL["publish_numbered"], 200, plan.hostile_seconds, healthy)
    for number in range(10):
        await stage.add_webhook(type_filter("bench.hostile"), f"/hang{number}")
    mixed = [kind for number, kind in enumerate(healthy) for kind in ([kind] if number % 9 else [kind, "bench.hostile"])]
    during = await _latencies(stage, SQL["publish_numbered"], 222, plan.hostile_seconds, mixed)
    await stage.clear_webhooks()
    return {"hostile_p99_ratio": _percentile(during, 99) / _percentile(before, 99)}


async def stuck(stage: Stage, plan: Plan) -> Figures:
    """Deliveries to healthy webhooks while another has very many due rows that go nowhere, over without."""
    await _add_backlog_webhooks(stage)
    before = [await _drain_backlog(stage, plan.backlog) for _ in range(plan.backlog_runs)]
    webhook = await stage.add_webhook(type_filter("bench.stuck"), "/hang")
    await stage.execute(SQL["fill_stuck"], webhook, plan.stuck_rows)
    await stage.execute(SQL["wake_lanes"])
    during = [await _drain_backlog(stage, plan.backlog) for _ in range(plan.backlog_runs)]
    await stage.clear_webhooks()
    return {"backlog_ratio": statistics.median(during) / statistics.median(before)}


async def publishing(stage: Stage, plan: Plan) -> Figures:
    """Batches of 10,000 events of 400 bytes through the API, while the engine routes what is committed (to nobody)."""
    line = msgspec.json.encode({"type": "bench.published", "data": {"note": "x" * 350}}) + b"\n"
    batch = line * 10_000
    async with stage.api() as url, httpx.AsyncClient(base_url=url, headers={"X-API-Key": "bench"}, timeout=60) as client:
        started = time.perf_counter()
        for _ in range(plan.batches):
            answer = await client.post("/api/v1/events/batch", content=batch)
            answer.raise_for_status()
        rate = plan.batches * 10_000 / (time.perf_counter() - started)
        await stage.settled()
    return {"publish_per_s": rate}


async def bulk(stage: Stage, plan: Plan) -> Figures:
    """What capture adds to a statement that updates very many rows, in microseconds a row; median of three."""
    await stage.add_webhook(TableFilter("captured", "public", ("UPDATE",)), "/bulk")
    await stage.execute(SQL["clear_tables"])
    times: dict[str, list[float]] = {"plain": [], "captured": []}
    for table in times:
        await stage.execute(SQL[f"fill_{table}"], plan.bulk_rows)
    for _ in range(3):
        for table, measured in times.items():
            await stage.execute(SQL[f"vacuum_{table}"])
            started = time.perf_counter()
            await stage.execute(SQL[f"update_{table}"])
            measured.append(time.perf_counter() - started)
            await stage.execute(SQL["empty_outbox"])
    await stage.settled()
    await stage.clear_webhooks()
    added = statistics.median(times["captured"]) - statistics.median(times["plain"])
    return {"capture_bulk_us": added / plan.bulk_rows * 1e6}


async def backfilling(stage: Stage, plan: Plan) -> Figures:
    """A table's rows as events in the queue of a webhook that is paused, and what memory that takes of the engine."""
    await stage.execute(SQL["clear_tables"])
    await stage.execute(SQL["fill_captured"], plan.backfill_rows)
    webhook = await stage.add_webhook(TableFilter("captured", "public"), "/backfill")
    await stage.execute(SQL["close_lanes"])
    before = stage.engine_rss_mb()
    started = time.perf_counter()
    await stage.backfill(webhook, ("public", "captured"))
    rate = plan.backfill_rows / (time.perf_counter() - started)
    grown = stage.engine_rss_mb() - before
    await stage.clear_webhooks()
    return {"backfill_rows_per_s": rate, "backfill_rss_growth_mb": grown}


async def ticks(stage: Stage, plan: Plan) -> Figures:
    """Jobs that are all due in the same second: from that second until the last request has arrived."""
    taken = await stage.fire_jobs(plan.jobs)
    await stage.clear_webhooks()
    return {"cron_fired_s": taken}


async def memory(stage: Stage, _: Plan) -> Figures:
    """The engine's resident memory, after all the others."""
    return {"rss_mb": stage.engine_rss_mb()}


def _percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


MEASURES: dict[str, Measure] = {
    "throughput": throughput,
    "latency": latency,
    "capture": capture,
    "hostile": hostile,
    "stuck": stuck,
    "publishing": publishing,
    "bulk": bulk,
    "backfilling": backfilling,
    "ticks": ticks,
    "memory": memory,
}
