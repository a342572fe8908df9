"""What a fleet costs: CPU of each part for each delivery, time from commit to receipt, and rest when something dies."""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec

from tidings.bench.fleet_stage import Grounds, Working, grounds, until, working
from tidings.bench.measures import WEBHOOKS, Figures, medians, percentile
from tidings.bench.receiver import Receiver
from tidings.bench.stage import Stage
from tidings.bench.statements import FLEET, SQL
from tidings.core.filters import type_filter
from tidings.fleet import stream_of_fleet
from tidings.transport.stream_standing import standing

DATA_BYTES = 410  # of an event's record, as in the measurement of one PostgreSQL
STEADY_RATE = 200  # events a second
WARMING = 1.0  # seconds at a steady rate that do not count
BROKEN_RATE = 50  # events a second while something dies: each lane gets half of them
BEFORE_THE_BLOW = 3.0  # seconds
ARRIVE_SECONDS = 60.0
PLAIN, ORDERED = "bench.plain", "bench.ordered"


class FleetPlan(msgspec.Struct, frozen=True):
    """How long and how much; the quick plan serves to see that all is well, not to be quoted."""

    rows: int  # of a backlog
    turns: int  # of the fleet and the engine on one PostgreSQL
    homes: tuple[int, ...]  # the points of the curves; the first is 1
    processes: tuple[int, ...]
    seconds: int  # at a steady rate
    after_seconds: float  # for which events are committed after something died
    most_seconds: float  # of all together


FULL_FLEET = FleetPlan(30_000, 3, (1, 2, 4), (1, 2, 4), 15, 8.0, 240.0)
QUICK_FLEET = FleetPlan(3000, 1, (1, 2), (1, 2), 3, 4.0, 150.0)


async def fleet(stage: Stage, plan: FleetPlan) -> Figures:
    """Measure everything about a fleet. What is found is told as it is found.

    Raises:
        RuntimeError: It took longer than it may.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidings-fleet-"))
    try:
        async with asyncio.timeout(plan.most_seconds), grounds(stage, folder) as on:
            await _costs(stage, on, plan)
            await _by_homes(stage, on, plan)
            async with working(on, homes=1, processes=2, relays=2, nodes=3) as those:
                await _latency(stage, those, plan)
                await _takeovers(stage, those, plan)
    except TimeoutError:
        raise RuntimeError(f"the fleet was not measured within {plan.most_seconds:.0f} s; it has what was found") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return stage.told


async def _costs(stage: Stage, on: Grounds, plan: FleetPlan) -> None:
    """A backlog at the source, delivered by its home, in turns with one that the engine on one PostgreSQL delivers."""
    for number in range(WEBHOOKS):
        await stage.add_webhook(type_filter(f"bench.t{number}"), f"/w{number}")
    runs: list[Figures] = []
    engines: list[Figures] = []
    async with working(on, homes=1) as one:
        await one.add_webhooks(WEBHOOKS)
        await _drained(one, plan.rows // 5)  # lanes and connections grow
        await _drained_alone(stage, plan.rows // 5)
        for _ in range(plan.turns):
            engines.append(await _drained_alone(stage, plan.rows))
            runs.append(await _drained(one, plan.rows))
    await stage.clear_webhooks()
    ratios = [run["process_us"] / engine["engine_us"] for run, engine in zip(runs, engines, strict=True)]
    stage.told |= {f"fleet_{key}": value for key, value in medians(runs).items()}
    stage.told |= {f"fleet_beside_{key}": value for key, value in medians(engines).items()}
    stage.told["fleet_process_ratio"] = statistics.median(ratios)


async def _by_homes(stage: Stage, on: Grounds, plan: FleetPlan) -> None:
    """What a delivery costs of all parts together, by the number of homes, and by that of processes at one home."""
    cost = {(1, 1): stage.told["fleet_all_us"]}
    for homes, processes in [*((count, 1) for count in plan.homes), *((1, count) for count in plan.processes)]:
        if (homes, processes) not in cost:
            async with working(on, homes=homes, processes=processes) as those:
                await those.add_webhooks(WEBHOOKS // homes)
                await _drained(those, plan.rows // 5)
                found = [await _drained(those, plan.rows) for _ in range(2 if plan.turns > 1 else 1)]
            cost[homes, processes] = statistics.fmean(run["all_us"] for run in found)
            for name, value in medians(found).items():
                stage.told[f"fleet_{homes}_homes_{processes}_processes_{name}"] = value
    stage.told["fleet_homes_ratio"] = max(cost[count, 1] for count in plan.homes) / cost[1, 1]
    stage.told["fleet_processes_ratio"] = max(cost[1, count] for count in plan.processes) / cost[1, 1]


async def _drained(those: Working, rows: int) -> Figures:
    """Work off so many events: how fast, and what each delivery took of each part."""
    for place in (those.grounds.source, *those.homes):
        await place.stage.execute(FLEET["tidy"])
    receiver = those.grounds.receiver
    done, started, before = receiver.requests + rows, time.perf_counter(), those.used()
    await those.source.execute(FLEET["fill"], rows, WEBHOOKS // len(those.homes), DATA_BYTES, those.groups)
    filled = those.used()
    await _received(receiver, done)
    await those.settled()
    seconds, after = time.perf_counter() - started, those.used()
    outbox = (filled.source_postgres - before.source_postgres) / rows * 1e6
    return {"per_s": rows / seconds} | after.each_since(before, rows) | {"source_outbox_us": outbox}


async def _drained_alone(stage: Stage, rows: int) -> Figures:
    """The same of the engine on one PostgreSQL. Its backlog is there before it is measured, as in its own measurement."""
    await stage.execute(SQL["tidy"])
    done, before = stage.receiver.requests + rows, await stage.usage()
    await stage.execute(FLEET["fill"], rows, WEBHOOKS, DATA_BYTES, ["default"])
    filled = await stage.usage()
    await _received(stage.receiver, done)
    await stage.settled()
    after = await stage.usage()
    used = after.each_since(before, rows)
    outbox = (filled.postgres_seconds - before.postgres_seconds) / rows * 1e6
    return {"engine_us": used["engine_us"], "postgres_us": used["postgres_us"], "outbox_us": outbox}


async def _received(receiver: Receiver, count: int) -> None:
    async def look() -> bool:
        return receiver.requests >= count

    await until(look, f"{count} requests", seconds=ARRIVE_SECONDS)


async def _latency(stage: Stage, those: Working, plan: FleetPlan) -> None:
    """Commit to receipt at a steady rate, with three nodes that each have what was taken over."""
    await those.homes[0].stage.add_webhook(type_filter(PLAIN), "/plain", group_id=those.groups[0])
    committed = await _published(those, [PLAIN], STEADY_RATE, plan.seconds)
    arrivals = await _arrivals(those, len(committed))
    first = min(committed.values()) + WARMING
    times = [(arrivals[number] - at) * 1e3 for number, at in committed.items() if at >= first]
    stage.told["fleet_latency_p50_ms"] = percentile(times, 50)
    stage.told["fleet_latency_p99_ms"] = percentile(times, 99)


async def _takeovers(stage: Stage, those: Working, plan: FleetPlan) -> None:
    """How long lanes get nothing when what is at work dies by SIGKILL: a relay, a home's process, a node of the stream."""
    home = those.homes[0]
    await home.stage.execute(SQL["add_group"], those.groups[0])
    await home.stage.add_webhook(type_filter(ORDERED), "/ordered", group_id=those.groups[0], ordered=True)
    blows: dict[str, Callable[[], None]] = {"relay": those.relays[0].kill, "process": those.processes[0].kill}
    for name, blow in blows.items():
        await _struck(stage, those, name, blow, plan)
    async with stream_of_fleet(msgspec.structs.replace(home.stage.services.config, stream=those.servers.url)) as way:
        (standing_now,) = await standing(way, those.fleet)
    leader = next(node for node in those.servers.nodes if node.name == standing_now.leader)
    await _struck(stage, those, "node", leader.process.kill, plan)


async def _struck(stage: Stage, those: Working, name: str, blow: Callable[[], None], plan: FleetPlan) -> None:
    async def strike() -> None:
        await asyncio.sleep(BEFORE_THE_BLOW)
        blow()

    striking = asyncio.create_task(strike())
    committed = await _published(those, [PLAIN, ORDERED], BROKEN_RATE, BEFORE_THE_BLOW + plan.after_seconds)
    await striking
    arrivals = await _arrivals(those, len(committed))
    for position, lane in enumerate(("plain", "ordered")):
        came = sorted(arrivals[number] for number in committed if number % 2 == position)
        stage.told[f"fleet_takeover_{name}_{lane}_s"] = max(after - before for before, after in pairwise(came))
    stage.told[f"fleet_takeover_{name}_latest_s"] = max(arrivals[number] - at for number, at in committed.items())


async def _published(those: Working, kinds: list[str], per_second: int, seconds: float) -> dict[int, float]:
    """Publish numbered events of these types in turn, at a steady rate; return when each was committed (since 1970)."""
    those.grounds.receiver.arrivals()
    committed: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with those.source.services.wide.connection() as connection:
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            await connection.execute(SQL["publish_of_group"], those.groups[0], kinds[number % len(kinds)], number)
            committed[number] = time.time()
    return committed


async def _arrivals(those: Working, count: int) -> dict[int, float]:
    """Return when each of so many numbered events first arrived, once all have."""
    found: dict[int, float] = {}

    async def look() -> bool:
        for number, at in those.grounds.receiver.arrivals().items():
            found.setdefault(number, at)
        return len(found) >= count

    await until(look, f"all of {count} events at the receiver", seconds=ARRIVE_SECONDS)
    return found
