"""The measurements. Each returns its figures by key; where two states are compared, both are measured in turn."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import httpx
import msgspec

from tidings.bench.fairness import fair_shares
from tidings.bench.history import answering, past_of
from tidings.bench.listening import KIND, carrying
from tidings.bench.load import publish_steadily, publish_together, run_load
from tidings.bench.policies import comparing
from tidings.bench.portal import browsing
from tidings.bench.stage import KEY, Stage
from tidings.bench.statements import SQL
from tidings.core.event import Event
from tidings.core.filters import TableFilter, type_filter
from tidings.core.outcome import Exchange
from tidings.core.signature import new_secret
from tidings.core.webhook import Webhook
from tidings.profiles import prepare

WEBHOOKS = 64
PUMPS = 128
LATE = timedelta(days=57)  # 80,000 ticks of a job of every minute
PUBLISHERS = 64  # connections
PUBLISHED_TO = 16  # webhooks
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
    singles: int
    single_pairs: int
    bulk_rows: int
    backfill_rows: int
    jobs: int
    late_seconds: int
    stored: int
    waiting: int
    asked: int
    listened: int
    fair_seconds: int
    fair_turns: int


FULL = Plan(
    50_000, 3, 60_000, 20, 8, 3, 15, 500_000, 20, 30_000, 3, 100_000, 400_000, 1000, 15, 10_000_000, 1_000_000, 50, 10_000,
    15, 5,
)  # fmt: skip
QUICK = Plan(15_000, 1, 15_000, 4, 2, 1, 6, 100_000, 4, 5000, 1, 20_000, 40_000, 200, 6, 200_000, 20_000, 10, 2000, 4, 1)

Figures = dict[str, float]
Measure = Callable[[Stage, Plan], Awaitable[Figures]]


async def throughput(stage: Stage, plan: Plan) -> Figures:
    """Outbox to recorded history, in turns with the yardstick: 400-byte events, one of 64 webhooks for each."""
    await add_backlog_webhooks(stage)
    await drain_backlog(stage, plan.backlog // 5)  # lanes and connections grow
    runs, own = [], []
    for _ in range(plan.backlog_runs):
        own.append(await stage.yardstick("pipeline", plan.backlog))
        runs.append(await drain_backlog(stage, plan.backlog))
    await stage.clear_webhooks()
    ratios = [run["deliveries_per_s"] / bare for run, bare in zip(runs, own, strict=True)]
    return medians(runs) | {"yardstick_per_s": statistics.median(own), "yardstick_ratio": statistics.median(ratios)}


async def sending(stage: Stage, plan: Plan) -> Figures:
    """The sender alone, rendering and signing included, in turns with the yardstick's."""
    own, bare = [], []
    for _ in range(plan.backlog_runs):
        bare.append(await stage.yardstick("sender", plan.sender_requests))
        own.append(await _bare_sender(stage, plan.sender_requests))
    ratios = [mine / theirs for mine, theirs in zip(own, bare, strict=True)]
    return {"sender_per_s": statistics.median(own), "sender_ratio": statistics.median(ratios)}


async def add_backlog_webhooks(stage: Stage) -> None:
    """Subscribe 64 webhooks, each to one of the types of a backlog."""
    for number in range(WEBHOOKS):
        await stage.add_webhook(type_filter(f"bench.t{number}"), f"/w{number}")


async def drain_backlog(stage: Stage, rows: int, data_bytes: int = 410) -> Figures:
    """Work off so many events of so many bytes: how fast, and what each delivery took of engine and PostgreSQL."""
    await stage.execute(SQL["tidy"])
    await stage.execute(SQL["fill_outbox"], rows, WEBHOOKS, data_bytes)
    started, before = time.perf_counter(), await stage.usage()
    await stage.settled()
    seconds, after = time.perf_counter() - started, await stage.usage()
    return {"deliveries_per_s": rows / seconds} | after.each_since(before, rows)


def medians(runs: list[Figures]) -> Figures:
    """Return the median of each figure over runs."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


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
    times = await latencies(stage, SQL["insert_captured"], 200, plan.latency_seconds)
    await stage.clear_webhooks()
    return {"latency_p50_ms": percentile(times, 50), "latency_p99_ms": percentile(times, 99)}


async def latencies(stage: Stage, sql: str, per_second: int, seconds: int, types: list[str] | None = None) -> list[float]:
    """Return commit-to-receipt times in milliseconds of numbered changes, made at a steady rate.

    Args:
        types: When given, the event type of each change in turn; those that begin with `bench.hostile` do not count.
    """
    stage.receiver.arrivals()
    committed: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with stage.services.wide.connection() as connection:
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
    before = await latencies(stage, SQL["publish_numbered"], 200, plan.hostile_seconds, healthy)
    for number in range(10):
        await stage.add_webhook(type_filter("bench.hostile"), f"/hang{number}")
    mixed = [kind for number, kind in enumerate(healthy) for kind in ([kind] if number % 9 else [kind, "bench.hostile"])]
    during = await latencies(stage, SQL["publish_numbered"], 222, plan.hostile_seconds, mixed)
    await stage.clear_webhooks()
    return {"hostile_p99_ratio": percentile(during, 99) / percentile(before, 99)}


async def stuck(stage: Stage, plan: Plan) -> Figures:
    """Deliveries to healthy webhooks while another has very many due rows that go nowhere, over without."""
    await add_backlog_webhooks(stage)
    before = [(await drain_backlog(stage, plan.backlog))["deliveries_per_s"] for _ in range(plan.backlog_runs)]
    webhook = await stage.add_webhook(type_filter("bench.stuck"), "/hang")
    await stage.execute(SQL["fill_stuck"], webhook, plan.stuck_rows)
    await stage.execute(SQL["wake_lanes"])
    during = [(await drain_backlog(stage, plan.backlog))["deliveries_per_s"] for _ in range(plan.backlog_runs)]
    await stage.clear_webhooks()
    return {"backlog_ratio": statistics.median(during) / statistics.median(before)}


async def publishing(stage: Stage, plan: Plan) -> Figures:
    """Events of 400 bytes through the API: in batches, to nobody; one by one, over batches; one at a time, until it arrives."""
    async with stage.api() as url:
        started = time.perf_counter()
        await _publish_batches(url, [_batch(10_000, 1)] * plan.batches)
        rate = plan.batches * 10_000 / (time.perf_counter() - started)
        await stage.settled()
    async with stage.serving() as (serving, url):
        for number in range(PUBLISHED_TO):
            await serving.add_webhook(type_filter(f"bench.t{number}"), f"/p{number}")
        batches = [_batch(1000, PUBLISHED_TO)] * (plan.singles // 1000)
        ratios = []
        for _ in range(plan.single_pairs):
            single = await _settling(serving, run_load(publish_together, url, KEY, PUBLISHERS, plan.singles, PUBLISHED_TO))
            ratios.append((await _settling(serving, _publish_batches(url, batches)), single))
        times = await _publishing_latencies(serving, url, plan.latency_seconds)
    return {
        "publish_per_s": rate,
        "publish_single_per_s": statistics.median(plan.singles / single for _, single in ratios),
        "publish_single_ratio": statistics.median(batched / single for batched, single in ratios),
        "publish_latency_p50_ms": percentile(times, 50),
        "publish_latency_p99_ms": percentile(times, 99),
    }


def _batch(count: int, kinds: int) -> bytes:
    lines = (msgspec.json.encode({"type": f"bench.t{n % kinds}", "data": {"note": "x" * 350}}) for n in range(count))
    return b"\n".join(lines)


async def _publish_batches(url: str, batches: list[bytes]) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client:
        for batch in batches:
            answer = await client.post("/api/v1/events/batch", content=batch)
            answer.raise_for_status()


async def _settling(stage: Stage, load: Awaitable[object]) -> float:
    """Return the seconds of a load, until all that it published is delivered and recorded."""
    started = time.perf_counter()
    await load
    await stage.settled()
    return time.perf_counter() - started


async def _publishing_latencies(stage: Stage, url: str, seconds: int) -> list[float]:
    """Return the times from call to receipt, in milliseconds, of events published one at a time."""
    stage.receiver.arrivals()
    begun = await run_load(publish_steadily, url, KEY, 100, seconds)
    await stage.settled()
    arrivals = stage.receiver.arrivals()
    return [(arrivals[number] - at) * 1e3 for number, at in begun.items()]


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
    """Jobs all due in the same second, until the last request is recorded; what as many that are weeks late do to others."""
    await stage.add_job_webhooks(plan.jobs)
    taken = await stage.fire_jobs(plan.jobs, timedelta(seconds=2))
    await stage.add_webhook(type_filter("bench.beside"), "/beside")
    before = await latencies(stage, SQL["publish_numbered"], 200, plan.late_seconds, ["bench.beside"])
    during, _ = await asyncio.gather(
        latencies(stage, SQL["publish_numbered"], 200, plan.late_seconds, ["bench.beside"]), _fire_late_jobs(stage, plan)
    )
    await stage.clear_webhooks()
    return {"cron_fired_s": taken, "late_jobs_p99_ratio": percentile(during, 99) / percentile(before, 99)}


async def _fire_late_jobs(stage: Stage, plan: Plan) -> None:
    await asyncio.sleep(2)  # when deliveries have warmed up
    await stage.fire_jobs(plan.jobs, -LATE)


async def history(stage: Stage, plan: Plan) -> Figures:
    """Every list, search and count, beside a month's history and a long queue: the 95th percentile of each."""
    return await answering(await past_of(stage, plan.stored, plan.waiting), plan.asked)


async def portal(stage: Stage, plan: Plan) -> Figures:
    """Every page of the portal beside the same history: median and 95th percentile of each, and the bytes of the first."""
    return await browsing(await past_of(stage, plan.stored, plan.waiting), plan.asked)


async def policies(stage: Stage, plan: Plan) -> Figures:
    """Requests beside the same history, in turns with row-level security and without: how much longer they take."""
    return await comparing(await past_of(stage, plan.stored, plan.waiting), plan.asked)


async def listening(stage: Stage, plan: Plan) -> Figures:
    """Deliveries by `tidings listen` to this machine: how many a second, and what it adds to the median of a webhook's."""

    async def half(stage: Stage) -> float:
        return percentile(await latencies(stage, SQL["publish_numbered"], 50, plan.latency_seconds, [KIND]), 50)

    async def publish(url: str) -> None:
        await _publish_batches(url, [_batch(1000, 1)] * (plan.listened // 1000))

    return await carrying(stage, half, publish, plan.listened)


async def fairness(stage: Stage, plan: Plan) -> Figures:
    """The p99 of a group beside another that publishes a hundred times as much, over alone."""
    return await fair_shares(stage, plan.fair_seconds, plan.fair_turns)


async def memory(stage: Stage, _: Plan) -> Figures:
    """The engine's resident memory, after all the others."""
    return {"rss_mb": stage.engine_rss_mb()}


def percentile(times: list[float], percent: int) -> float:
    """Return the time that so many of a hundred stay below."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


MEASURES: dict[str, Measure] = {
    "throughput": throughput,
    "sending": sending,
    "latency": latency,
    "capture": capture,
    "hostile": hostile,
    "stuck": stuck,
    "publishing": publishing,
    "bulk": bulk,
    "backfilling": backfilling,
    "ticks": ticks,
    "history": history,
    "portal": portal,
    "policies": policies,
    "listen": listening,
    "fairness": fairness,
    "memory": memory,
}
