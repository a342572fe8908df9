"""The ledger on a fleet: what sources committed against what receivers got and what homes have on record, while everybody dies.

Relays, homes, nodes of the stream and all databases are killed, frozen and started again, and once the stream has no quorum.
What was committed is what the sources hold at the end.
"""

import asyncio
import json
import os
import random
import re
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support import fleet_chaos as chaos
from tests.support import stream as streams
from tests.support.engine import eventually
from tests.support.fleet_chaos import AWAY, Part, Server
from tests.support.limits import PATIENCE
from tests.support.process import run_cli
from tests.support.receiver import Receiver, answer
from tests.support.torture import LONG, told
from tidings.core.fleet import fleet_of

SECONDS = float(os.environ.get("FLEET_SECONDS", "600" if LONG else "0"))  # of chaos; each thing happens once at least
HOMES = ("eu", "us")
SOURCES = ("billing", "shop")
OF_EACH = 2  # processes
NODES = 3
LONGEST = 15.0 if LONG else 1.5  # seconds that something is frozen or away; a worker counts as dead after ten
PAUSES = (0.5, 4.0) if LONG else (0.1, 0.6)  # seconds between blows of one kind
NO_QUORUM_SECONDS = 20.0 if LONG else 3.0
BEFORE_AHEAD = 10.0  # seconds without a home's database, in which what was under way ends
LEAST_AHEAD = 500 if LONG else 50  # deliveries that are then
WRITE_PAUSE = 0.05  # seconds
MAX_EVENTS = 4  # of a transaction
CONCURRENCY = 3  # of the lanes that have a limit
ANSWER_SECONDS = 0.02  # that these receivers take
SETTLED_SECONDS = 900.0
CAPTURED = "/captured"
_ATTEMPTS = """
select w.url, d.event_id::text, d.status, d.attempt_count,
  (d.started_at is not null)::integer + count(a.delivery_id) as attempts,
  (d.last_status is not null)::integer + count(a.response_status) as answered,
  (d.last_status = 200)::integer + count(*) filter (where a.response_status = 200) as good
from tidings.deliveries d join tidings.webhooks w on w.id = d.webhook_id left join tidings.attempts a on a.delivery_id = d.id
group by w.url, d.id, d.event_id, d.status, d.attempt_count, d.started_at, d.last_status
"""


class Ledger:
    """What receivers got. Of each source, every line of events is counted from 0 on: the lines of groups, and that of a table."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.acknowledged: dict[tuple[str, str], list[int]] = defaultdict(list)  # by path and source
        self.requests: Counter[tuple[str, str]] = Counter()  # by path and id of the event
        self.answered: Counter[tuple[str, str]] = Counter()
        self.at_once: Counter[str] = Counter()  # now, by path
        self.most_at_once: Counter[str] = Counter()

    async def receive(self, request: Any, writer: asyncio.StreamWriter) -> None:
        """Answer, mostly that it is well."""
        path, data = request.path, json.loads(request.body)["data"]
        of = path, request.headers["webhook-id"]
        self.requests[of] += 1
        self.at_once[path] += 1
        self.most_at_once[path] = max(self.most_at_once[path], self.at_once[path])
        try:
            if path.startswith("/limited"):
                await asyncio.sleep(ANSWER_SECONDS)
            mood = self._chance.random()
            if mood < 0.01:
                writer.transport.abort()
            elif mood < 0.03:
                self.answered[of] += 1
                writer.write(answer(503, b"not now"))
            else:
                self.answered[of] += 1
                row = data["record"] if path == CAPTURED else data
                assert path == CAPTURED or path.endswith(f"/{row['line']}"), path
                self.acknowledged[path, row["source"]].append(row["number"])
                writer.write(answer())
        finally:
            self.at_once[path] -= 1


class Writer:
    """Commits to a source, through whatever happens to its database."""

    def __init__(self, source: str, server: Server, lines: list[str], chance: random.Random) -> None:
        self._source, self._server, self._lines, self._chance = source, server, lines, chance

    async def set_up(self) -> None:
        """Make the tables that tell at the end what was committed, of which one is captured."""
        connection = await asyncpg.connect(self._server.url)
        await connection.execute("create table ledger (line text, number int, primary key (line, number))")
        await connection.execute("create table steps (number int primary key, source text not null)")
        await connection.close()

    async def write(self, stop: asyncio.Event) -> None:
        connection = None
        while not stop.is_set():
            try:
                connection = connection or await asyncpg.connect(self._server.url, timeout=5, command_timeout=20)
                await self._write_some(connection)
            except AWAY:  # whether it was committed is read from the table
                if connection is not None:
                    connection.terminate()
                connection = None
            await asyncio.sleep(WRITE_PAUSE)
        if connection is not None:
            connection.terminate()

    async def _write_some(self, connection: Any) -> None:
        line, count, is_kept = (
            self._chance.choice(self._lines),
            self._chance.randint(1, MAX_EVENTS),
            self._chance.random() > 0.1,
        )
        first = await connection.fetchval("select count(*) from ledger where line = $1", line) if is_kept else -MAX_EVENTS
        step = await connection.fetchval("select count(*) from steps") if is_kept else -1
        transaction = connection.transaction()
        await transaction.start()
        for number in range(first, first + count):
            data = json.dumps({"source": self._source, "line": line, "number": number})
            await connection.execute("insert into ledger values ($1, $2)", line, number)
            await connection.execute("select tidings.publish('order.paid', $1, group_id => $2)", data, line)
        await connection.execute("insert into steps values ($1, $2)", step, self._source)
        await (transaction.commit() if is_kept else transaction.rollback())


def lines() -> dict[str, str]:
    """Two groups of each home."""
    fleet, found = fleet_of(HOMES), dict[str, str]()
    for home in HOMES:
        names = (f"group-{number}" for number in range(100))
        found |= dict.fromkeys([name for name in names if fleet.home_of(name) == home][:2], home)
    return found


async def subscribe(homes: dict[str, Part], receiver: Receiver) -> None:
    """Make a webhook of each kind for each group, and one for the tables of the sources."""
    often = {"retry": {"delays": [0.2, 0.5, 1] + [2] * 90, "jitter": 0}}
    hooks: dict[str, list[dict[str, Any]]] = {
        line: [
            {"url": receiver.url(f"/ordered/{line}"), "events": ["order.*"], "ordered": True} | often,
            {"url": receiver.url(f"/limited/{line}"), "events": ["order.*"], "concurrency": CONCURRENCY} | often,
        ]
        for line in lines()
    }
    for line, home in lines().items():
        async with httpx.AsyncClient(base_url=homes[home].ready["url"], timeout=PATIENCE, headers={"X-API-Key": "test"}) as api:
            made = await api.post("/api/v1/groups", json={"id": line})
            assert made.status_code == 201, made.text
    where = lines() | {"default": fleet_of(HOMES).home_of("default")}
    hooks["default"] = [{"url": receiver.url(CAPTURED), "events": [{"table": "steps"}]} | often]
    for group, theirs in hooks.items():
        headers = {"X-API-Key": "test", "X-Tidings-Group": group}
        async with httpx.AsyncClient(base_url=homes[where[group]].ready["url"], timeout=PATIENCE, headers=headers) as api:
            for hook in theirs:
                answered = await api.post("/api/v1/webhooks", json=hook)
                assert answered.status_code == 201, answered.text


async def test_nothing_is_lost_in_a_fleet_whoever_is_killed(tmp_path: Path, receiver: Receiver) -> None:
    seed = int(os.environ.get("FLEET_SEED", random.randrange(2**32)))
    print(f"FLEET_SEED={seed}", flush=True)
    ledger = Ledger(random.Random(seed))
    receiver.otherwise = ledger.receive
    found: dict[str, Server] = {}
    parts: list[Part] = []
    happened: Counter[str] = Counter()
    try:
        found = await chaos.servers(tmp_path, (*SOURCES, *HOMES))
        async with streams.running(tmp_path / "nats", nodes=NODES) as cluster:
            parts = await started(tmp_path, found, cluster, receiver)
            writers = [
                Writer(source, found[source], list(lines()), random.Random(seed + n)) for n, source in enumerate(SOURCES)
            ]
            stop = asyncio.Event()
            writing = [asyncio.create_task(writer.write(stop)) for writer in writers]
            try:
                await let_loose(parts, found, cluster, random.Random(seed), happened)
                await without_a_database(found[HOMES[0]], ledger, happened)
            finally:
                stop.set()
                await asyncio.gather(*writing)
            await eventually(lambda: is_settled(found), limit=SETTLED_SECONDS)
            codes = [await part.stop() for part in parts]
        figures, problems = await compare(found, ledger)
    finally:
        for part in parts:
            await part.end()
        for server in found.values():
            await server.stop()
    figures |= {"ended by themselves": sum((part.ended for part in parts), Counter[int]()).total()}
    print(f"fleet: seed {seed}, {json.dumps(figures)}, {dict(happened)}")
    assert problems == [], (seed, figures, logs(parts))
    assert codes == [0] * len(parts), (seed, logs(parts))
    assert figures["ended by themselves"] == 0, (seed, logs(parts))
    processes = f"{len(SOURCES)}, {len(HOMES)}, {len(SOURCES) * OF_EACH}, {len(HOMES) * OF_EACH}, {NODES}"
    told(
        "fleet",
        {"seed": str(seed), "sources, homes, relays, processes of homes, nodes of the stream": processes} | happened | figures,
    )


async def started(folder: Path, found: dict[str, Server], cluster: streams.Cluster, receiver: Receiver) -> list[Part]:
    """Start a fleet, with webhooks that the sources know of."""
    common = {"stream": cluster.url, "secret_key": "test", "admin_key": "test"}
    options = [f"--home={home}" for home in HOMES]
    made = await asyncio.to_thread(
        run_cli, "stream", "init", *options, "--max-bytes", "50000000", "--json", **common, data_dir=folder
    )
    assert made.returncode == 0, made.stdout + made.stderr
    of_home = {"port": 0, "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 2}
    homes = [
        Part(f"{home}-{n}", folder, "serve", database_url=found[home].url, home=home, **of_home, **common)
        for home in HOMES
        for n in range(OF_EACH)
    ]
    relays = [
        Part(f"{source}-{n}", folder, "relay", database_url=found[source].url, source=source, **common)
        for source in SOURCES
        for n in range(OF_EACH)
    ]
    parts = [*homes, *relays]
    try:
        await asyncio.gather(*(part.start() for part in parts))
        await subscribe({home: homes[n * OF_EACH] for n, home in enumerate(HOMES)}, receiver)
        for source in SOURCES:
            await Writer(source, found[source], [], random.Random()).set_up()
        await eventually(lambda: are_captured(found))
    except BaseException:
        for part in parts:
            await part.end()
        raise
    return parts


async def are_captured(found: dict[str, Server]) -> bool:
    triggers = "select count(*) from pg_trigger where tgname like 'tidings%' and tgrelid = 'steps'::regclass"
    return all([await found[source].value(triggers) for source in SOURCES])


async def let_loose(
    parts: list[Part], found: dict[str, Server], cluster: streams.Cluster, chance: random.Random, happened: Counter[str]
) -> None:
    """Have processes, nodes and databases die beside each other; then there is no quorum."""
    end = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as raging:
        for kinds in (
            chaos.blows_of_parts(parts, every=1 if LONG else OF_EACH),
            chaos.blows_of_nodes(cluster.nodes),
            chaos.blows_of_servers(list(found.values())),
        ):
            raging.create_task(
                chaos.rage(
                    kinds,
                    random.Random(chance.random()),
                    lambda: time.monotonic() >= end,
                    happened,
                    longest=LONGEST,
                    pauses=PAUSES,
                )
            )
    happened["seconds without a quorum"] += int(NO_QUORUM_SECONDS)
    await chaos.without_quorum(cluster, NO_QUORUM_SECONDS)


async def without_a_database(home: Server, ledger: Ledger, happened: Counter[str]) -> None:
    """Have a home be without its database until deliveries go on without it, and for a while after that."""
    ours = [f"/limited/{line}" for line, where in lines().items() if where == home.name]

    def received() -> int:
        return sum(len(numbers) for (path, _), numbers in ledger.acknowledged.items() if path in ours)

    async def are_sent() -> bool:
        return received() >= before + LEAST_AHEAD

    await home.stop()
    try:
        await asyncio.sleep(BEFORE_AHEAD)  # what was under way ends
        before = received()
        await eventually(are_sent)
        happened["delivered without a database, at least"] += received() - before
    finally:
        await home.start()


async def is_settled(found: dict[str, Server]) -> bool:
    """Whether nothing is on its way: neither at a source, nor in the stream, nor at a home."""
    at_sources = "select exists (select from tidings.outbox) or exists (select from tidings.relay_flights)"
    at_homes = "select exists (select from tidings.outbox) or exists (select from tidings.queue) or exists (select from tidings.flights)"
    wanted = there = 0
    for source in SOURCES:
        if await found[source].value(at_sources):
            return False
        wanted += await found[source].value("select (select count(*) from ledger) + (select count(*) from steps)")
    for home in HOMES:
        if await found[home].value(at_homes):
            return False
        there += await found[home].value("select count(*) from tidings.events where source <> 'tidings'")
    return there >= wanted


async def compare(found: dict[str, Server], ledger: Ledger) -> tuple[dict[str, int], list[str]]:
    """Return the figures, and what is wrong with them."""
    committed: dict[tuple[str, str], int] = {}  # by path and source
    for source in SOURCES:
        committed[CAPTURED, source] = await found[source].value("select count(*) from steps")
        for row in await found[source].rows("select line, count(*) as count from ledger group by line"):
            committed |= {(f"/{kind}/{row['line']}", source): row["count"] for kind in ("ordered", "limited")}
    known: dict[tuple[str, str], Any] = {}
    for home in HOMES:
        for row in await found[home].rows(_ATTEMPTS):
            of = re.sub(r"^http://[^/]*", "", row["url"]), row["event_id"]
            assert of not in known, of
            known[of] = row
    return figures_of(committed, known, ledger)


def figures_of(
    committed: dict[tuple[str, str], int], known: dict[tuple[str, str], Any], ledger: Ledger
) -> tuple[dict[str, int], list[str]]:
    """Compare what was committed with what was received, and that with what is on record."""
    lost = phantoms = out_of_order = 0
    for of, count in committed.items():
        seen = ledger.acknowledged[of]
        lost += len(set(range(count)) - set(seen))
        phantoms += len(set(seen) - set(range(count)))
        if of[0].startswith("/ordered"):
            firsts = list(dict.fromkeys(seen))
            out_of_order += sum(after < before for before, after in pairwise(firsts))
    limits = {path: 1 if path.startswith("/ordered") else CONCURRENCY for path in ledger.most_at_once if path != CAPTURED}
    figures = {
        "deliveries of what was committed": sum(committed.values()),
        "delivered": sum(len(set(seen)) for seen in ledger.acknowledged.values()),
        "repeated": sum(len(seen) - len(set(seen)) for seen in ledger.acknowledged.values()),
        "lost": lost,
        "sent though rolled back": phantoms,
        "out of order in ordered lanes": out_of_order,
        "lanes above their limit": sum(ledger.most_at_once[path] > limit for path, limit in limits.items()),
        "requests": ledger.requests.total(),
        "requests without an attempt on record": sum(
            max(0, count - (known[of]["attempts"] if of in known else 0)) for of, count in ledger.requests.items()
        ),
        "answers on record that nobody gave": sum(max(0, row["answered"] - ledger.answered[of]) for of, row in known.items()),
        "deliveries on record without one good answer": sum(row["good"] != 1 for row in known.values()),
        "deliveries whose attempts are not as many as they say": sum(
            row["attempts"] != row["attempt_count"] for row in known.values()
        ),
    }
    harmless = {"deliveries of what was committed", "delivered", "repeated", "requests"}
    return figures, [f"{what}: {count}" for what, count in figures.items() if count and what not in harmless]


def logs(parts: list[Part]) -> str:
    """Return the ends of what processes said."""
    return "\n".join(f"{part.name} {dict(part.ended)}:\n{part.log.read_text(errors='replace')[-3000:]}" for part in parts)
