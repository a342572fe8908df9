"""A fleet under chaos: what was committed at sources is delivered by the homes, whoever is killed or frozen meanwhile."""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support import stream as servers
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process, run_cli
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tests.support.torture import LONG, told
from tidings.core.fleet import fleet_of

SECONDS = 600.0 if LONG else 8.0  # of chaos
HOMES = ("eu", "us")
SOURCES = ("billing", "shop")
PAUSE = (0.2, 1.5)  # seconds between blows
NO_QUORUM_SECONDS = 20.0 if LONG else 3.0
EACH = 8  # events of a transaction, at most

Databases = Callable[[int], Awaitable[list[str]]]


def groups() -> dict[str, str]:
    """Two groups of each home."""
    fleet, found = fleet_of(HOMES), dict[str, str]()
    for home in HOMES:
        names = (f"group-{number}" for number in range(100))
        found |= dict.fromkeys([name for name in names if fleet.home_of(name) == home][:2], home)
    return found


class Part:
    """A process of the fleet that dies and is started again."""

    def __init__(self, *command: str, **settings: Any) -> None:
        self._command, self._settings = command, settings
        self._process: Process | None = None

    async def start(self) -> None:
        while self._process is None:  # what it needs may be away
            self._process = await Process.maybe_start(*self._command, **self._settings)

    @property
    def url(self) -> str:
        assert self._process is not None
        return str(self._process.ready["url"])

    async def kill(self) -> None:
        assert self._process is not None
        await self._process.kill()
        self._process = None
        await self.start()

    async def freeze(self, seconds: float) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(self._process.pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()


class Writer:
    """Commits events to a source: of each group one after the other."""

    def __init__(self, source: str, url: str, names: list[str], chance: random.Random) -> None:
        self._source, self._url, self._names, self._chance = source, url, names, chance
        self.committed: Counter[tuple[str, str]] = Counter()

    async def write(self, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(self._url)
        while not stop.is_set():
            group = self._chance.choice(self._names)
            count, first = self._chance.randint(1, EACH), self.committed[self._source, group]
            async with connection.transaction():
                for number in range(first, first + count):
                    data = json.dumps({"source": self._source, "group": group, "number": number})
                    await connection.execute("select tidings.publish('order.paid', $1, group_id => $2)", data, group)
            self.committed[self._source, group] += count
            await asyncio.sleep(0.02)
        await connection.close()


async def blow(parts: list[Part], cluster: Cluster, chance: random.Random, blows: Counter[str]) -> None:
    """Hurt something, for a while."""
    what = chance.choice(("kill", "kill", "freeze", "node", "frozen node"))
    blows[what] += 1
    match what:
        case "kill":
            await chance.choice(parts).kill()
        case "freeze":
            await chance.choice(parts).freeze(chance.uniform(0.2, 2.0))
        case "node":
            node = chance.choice(cluster.nodes)
            node.kill()
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            node.start()
        case _:
            node = chance.choice(cluster.nodes)
            node.freeze()
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            node.thaw()


async def test_nothing_is_lost_in_a_fleet_whoever_is_killed(
    fresh_databases: Databases, tmp_path: Path, receiver: Receiver
) -> None:
    seed = int(os.environ.get("TIDINGS_SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    urls = dict(zip((*SOURCES, *HOMES), await fresh_databases(4), strict=True))
    async with servers.running(tmp_path / "nats", nodes=3) as cluster:
        common = {"stream": cluster.url, "secret_key": "test", "admin_key": "test", "data_dir": tmp_path}
        made = await asyncio.to_thread(
            run_cli, "stream", "init", *(f"--home={home}" for home in HOMES), "--max-bytes", "50000000", "--json", **common
        )
        assert made.returncode == 0, made.stdout + made.stderr
        homes = {
            home: Part("serve", database_url=urls[home], home=home, port=0, allow_private_networks="127.0.0.0/8", stop_grace_seconds=1, **common)
            for home in HOMES
        }  # fmt: skip
        relays = [Part("relay", database_url=urls[source], source=source, **common) for source in SOURCES for _ in range(2)]
        parts = [*homes.values(), *relays]
        try:
            await asyncio.gather(*(part.start() for part in parts))
            where = groups()
            for group, home in where.items():
                headers = {"X-API-Key": "test", "X-Tidings-Group": group}
                async with httpx.AsyncClient(base_url=homes[home].url, timeout=PATIENCE, headers=headers) as client:
                    made_group = await client.post("/api/v1/groups", json={"id": group}, headers={"X-Tidings-Group": "default"})
                    assert made_group.status_code == 201, made_group.text
                    hook = {"url": receiver.url(f"/{group}"), "events": ["order.*"], "ordered": True}
                    answer = await client.post("/api/v1/webhooks", json=hook)
                    assert answer.status_code == 201, answer.text
            stop, blows = asyncio.Event(), Counter[str]()
            writers = [
                Writer(source, urls[source], list(where), random.Random(seed + number)) for number, source in enumerate(SOURCES)
            ]
            writing = [asyncio.create_task(writer.write(stop)) for writer in writers]
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                await blow(parts, cluster, chance, blows)
                await asyncio.sleep(chance.uniform(*PAUSE))
            blows["no quorum"] += 1
            for node in cluster.nodes[:2]:
                node.freeze()
            await asyncio.sleep(NO_QUORUM_SECONDS)
            for node in cluster.nodes[:2]:
                node.thaw()
            stop.set()
            await asyncio.gather(*writing)
            committed = sum((writer.committed for writer in writers), Counter[tuple[str, str]]())

            def heard() -> dict[tuple[str, str], list[int]]:
                found: dict[tuple[str, str], list[int]] = defaultdict(list)
                for one in receiver.received:
                    data = json.loads(one.body)["data"]
                    assert one.path == f"/{data['group']}"
                    found[data["source"], data["group"]].append(data["number"])
                return found

            async def is_all_there() -> bool:
                found = heard()
                return all(len(set(found[key])) == count for key, count in committed.items())

            await eventually(is_all_there, limit=PATIENCE * 3)
        finally:
            for part in parts:
                await part.stop()
        found = heard()
    repeated = sum(len(numbers) - len(set(numbers)) for numbers in found.values())
    firsts = {key: list(dict.fromkeys(numbers)) for key, numbers in found.items()}
    out_of_order = sum(a > b for numbers in firsts.values() for a, b in pairwise(numbers))
    lost = sum(count - len(set(found[key])) for key, count in committed.items())
    told(
        "fleet",
        {
            "seed": str(seed),
            "sources, homes, relays, nodes of the stream": f"{len(SOURCES)}, {len(HOMES)}, {len(relays)}, {len(cluster.nodes)}",
            "processes killed": blows["kill"],
            "processes frozen": blows["freeze"],
            "nodes of the stream killed or frozen": blows["node"] + blows["frozen node"],
            "committed": sum(committed.values()),
            "delivered": sum(len(numbers) for numbers in found.values()),
            "repeated": repeated,
            "out of order": out_of_order,
            "lost": lost,
        },
    )
    assert lost == 0, seed
    assert out_of_order == 0, seed
