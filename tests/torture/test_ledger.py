"""Nothing lost: a ledger of what was committed against a ledger of what was acknowledged, while everything goes wrong.

Rows are written while workers are killed and stopped, clocks are stepped, PostgreSQL is restarted, crashed, failed over and out of
disk, and receivers fail, hang, reset and lie. What was committed is what the last primary holds at the end.
"""

import asyncio
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.chaos import FAKETIME, FAULTS, OF_POSTGRES, OF_WORKERS, Crew, FullDisk, SteppedClock, World, rage
from tests.support.clusters import Pair
from tests.support.engine import engine_of, eventually
from tests.support.receiver import Receiver, answer
from tests.support.torture import LONG, told
from tidings.config import Config
from tidings.core.retry import Delays

SECONDS = float(os.environ.get("LEDGER_SECONDS", "600" if LONG else "15"))
WORKERS = 3
SLOWNESS = 1.0 if SECONDS >= 60 else 0.3
CHANGES_PER_SECOND = 100
STEPS_PER_SECOND = 4
LANES = ("/ordered/1", "/ordered/2", "/ordered/3")


class Ledger:
    """What the receivers saw of each change."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.world: World | None = None
        self.acknowledged: dict[str, Counter[int]] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.ids: dict[tuple[str, int], set[str]] = {}
        self.reordered = 0

    async def receive(self, request: Any, writer: asyncio.StreamWriter) -> None:
        path, change = request.path, json.loads(request.body)["data"]["record"]["n"]
        message_id = request.headers["webhook-id"]
        self.requests[path, message_id] += 1
        self.ids.setdefault((path, change), set()).add(message_id)
        mood = self._rng.random() * (1 if path == "/plain" else 4)  # ordered lanes stand still while one delivery fails
        if mood < 0.01:
            await asyncio.Event().wait()
        elif mood < 0.03:
            writer.transport.abort()
        elif mood < 0.04:  # less than it promises
            writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nok")
            writer.close()
        elif mood < 0.05:
            writer.write(b"SPAM/9 yes\r\n\r\n")
            writer.close()
        elif mood < 0.1 or (self.world is not None and self.world.is_receiver_down):
            writer.write(answer(500, b"not now"))
        else:
            self._acknowledge(path, change)
            writer.write(answer())

    def _acknowledge(self, path: str, change: int) -> None:
        seen = self.acknowledged.setdefault(path, Counter())
        if path != "/plain" and change not in seen and seen and change < max(seen):
            self.reordered += 1
        seen[change] += 1


async def write_rows(url: str, table: str, rng: random.Random, per_second: float, until: float) -> None:
    """Write at a steady rate, some of it rolled back, through whatever PostgreSQL does."""
    loop = asyncio.get_running_loop()
    begun, number, connection = loop.time(), 0, None
    while loop.time() < until:
        await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
        number += 1
        try:
            connection = connection or await asyncpg.connect(url, timeout=5, command_timeout=20)
            end = "rollback" if rng.random() < 0.1 else "commit"
            await connection.execute(f"begin; insert into {table} values ({number if end == 'commit' else -number}); {end}")
        except FAULTS:  # whether it was committed is read from the table afterwards
            if connection is not None:
                connection.terminate()
            connection = None
            await asyncio.sleep(0.2)
    if connection is not None:
        connection.terminate()


async def set_up(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        for table in ("ledger", "steps"):
            await engine.user.execute(f"create table {table} (n bigint primary key)")
        often = Delays(delays=(0.2, 0.5, 1) + (2,) * 95, jitter=0)
        await engine.add_webhook(receiver.url("/plain"), {"table": "ledger"}, timeout_seconds=2, retry=often)
        for lane in LANES:
            await engine.add_webhook(receiver.url(lane), {"table": "steps"}, timeout_seconds=1, retry=often, ordered=True)
        await engine.worker.heart.end()


async def test_what_is_committed_is_delivered_whatever_goes_wrong(tmp_path: Path, tell: Callable[[str], None]) -> None:
    seed = int(os.environ.get("LEDGER_SEED", random.randrange(2**32)))
    print(f"LEDGER_SEED={seed}", flush=True)
    rng = random.Random(seed)
    pair, receiver, ledger = Pair(tmp_path), Receiver(), Ledger(random.Random(seed))
    receiver.otherwise = ledger.receive
    crew = Crew(WORKERS, tmp_path)
    happened: Counter[str] = Counter()
    try:
        await receiver.start(backlog=1000)
        await pair.start()
        options: dict[str, Any] = {
            "database_url": pair.switch.url(), "secret_key": "ledger", "allow_private_networks": "127.0.0.0/8",
            "stop_grace_seconds": 5,
        }  # fmt: skip
        await set_up(Config(data_dir=tmp_path, admin_key="k", **options), receiver)
        await crew.start(**options)
        world = ledger.world = World(pair, crew, rng)
        of_workers = tuple(kind for kind in OF_WORKERS if FAKETIME is not None or kind is not SteppedClock)
        of_postgres = tuple(kind for kind in OF_POSTGRES if pair.disk.is_own or kind is not FullDisk)
        until = asyncio.get_running_loop().time() + SECONDS
        await asyncio.gather(
            write_rows(pair.switch.url(), "ledger", random.Random(seed + 1), CHANGES_PER_SECOND, until),
            write_rows(pair.switch.url(), "steps", random.Random(seed + 2), STEPS_PER_SECOND, until),
            rage(world, of_workers, SECONDS, happened, SLOWNESS),
            rage(world, of_postgres, SECONDS, happened, SLOWNESS),
        )
        await eventually(lambda: is_settled(pair), limit=900)
        codes = await crew.stop()
        figures, problems = await compare(pair, ledger)
        figures |= logged(crew)
    finally:
        await crew.kill()
        await receiver.stop()
        await pair.stop()
    figures |= {"things that went wrong": happened.total(), "workers that ended by themselves": crew.codes[1] + crew.codes[3]}
    tell(f"ledger: seed {seed}, {json.dumps(figures)}, {dict(happened)}, exit codes {dict(crew.codes)}")
    assert codes == [0] * WORKERS
    assert problems == [], figures
    told(
        "ledger", figures | {"what went wrong, and how often": ", ".join(f"{name} {n}" for name, n in sorted(happened.items()))}
    )


async def is_settled(pair: Pair) -> bool:
    left = "select exists (select from tidings.outbox) or exists (select from tidings.queue) or exists (select from tidings.flights)"
    try:
        return not await pair.ask(left)
    except FAULTS:
        return False


async def compare(pair: Pair, ledger: Ledger) -> tuple[dict[str, int], list[str]]:
    """Return the figures, and what is wrong with them."""
    reader = await asyncpg.connect(pair.primary.get_uri())
    plain = {row["n"] for row in await reader.fetch("select n from ledger")}
    steps = {row["n"] for row in await reader.fetch("select n from steps")}
    recorded = {
        (row["url"], str(row["event_id"])): row["attempts"]
        for row in await reader.fetch(
            """select w.url, d.event_id, (d.started_at is not null)::integer + count(a.delivery_id) as attempts
            from tidings.deliveries d join tidings.webhooks w on w.id = d.webhook_id
            left join tidings.attempts a on a.delivery_id = d.id group by w.url, d.id, d.event_id, d.started_at"""
        )
    }
    committed = {"/plain": plain} | dict.fromkeys(LANES, steps)
    lost = sum(len(there - ledger.acknowledged.get(path, {}).keys()) for path, there in committed.items())
    phantoms = sum(n not in committed[path] for path, n in ledger.ids)
    known = {(re.sub(r"^http://[^/]*", "", url), event_id): count for (url, event_id), count in recorded.items()}
    figures = {
        "committed": len(plain) + len(steps),
        "deliveries of them": sum(map(len, committed.values())),
        "delivered": sum(len(seen) for seen in ledger.acknowledged.values()),
        "lost": lost,
        "repeated": sum(count - 1 for seen in ledger.acknowledged.values() for count in seen.values()),
        "reordered in ordered lanes": ledger.reordered,
        "sent though rolled back": phantoms,
        "ids that changed between repeats": sum(len(ids) > 1 for ids in ledger.ids.values()),
        "requests": ledger.requests.total(),
        "requests without an attempt on record": sum(max(0, n - known.get(key, 0)) for key, n in ledger.requests.items()),
        "recorded in the future": await reader.fetchval("select count(*) from tidings.deliveries where finished_at > clock_timestamp()"),
        "places in lanes that nobody holds": await reader.fetchval("select coalesce(sum(abs(in_flight) + abs(waiting)), 0)::integer from tidings.lanes"),
    }  # fmt: skip
    await reader.close()
    harmless = {"committed", "deliveries of them", "delivered", "repeated", "requests"}
    return figures, [f"{what}: {count}" for what, count in figures.items() if count and what not in harmless]


def logged(crew: Crew) -> dict[str, int]:
    """Return how much workers said of outages: one line at the beginning of each, one at its end."""
    text = "".join(crew.log(number).read_text(errors="replace") for number in range(WORKERS))
    return {
        "outages that workers told of": text.count("database unavailable, what needs it waits"),
        "lines in the logs of workers": text.count("\n"),
    }
