"""`tidings listen`: nothing is lost through restarts of the server, cut connections and a client that freezes, and nothing is taken
from the webhook beside it; with faults on purpose, a receiver that drops repeats ends in the right state.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process, settings
from tests.support.receiver import Received, Receiver, answer
from tests.support.terminal import Relay
from tests.support.torture import LONG, told

EVENTS = 5_000 if LONG else 120
RESTARTS = 20 if LONG else 1
CUTS = 20 if LONG else 1
FREEZE_SECONDS = 40.0 if LONG else 1.0  # in the long form beyond the lease: others take what it had
FAULTS = ("--fail", "10%", "--drop", "5%", "--duplicate", "5%", "--reorder", "--seed", "11")
RETRY = {"delays": [0.2, 0.5] + [1] * 90}
TAKES = 900.0 if LONG else PATIENCE


class Ledger:
    """What a receiver got of each event, and what it would hold as one that drops repeats."""

    def __init__(self) -> None:
        self.got: Counter[int] = Counter()
        self.ids: dict[str, int] = {}
        self.stock: Counter[int] = Counter()

    async def receive(self, request: Received, writer: asyncio.StreamWriter) -> None:
        number, id_ = json.loads(request.body)["data"]["n"], request.headers["webhook-id"]
        self.got[number] += 1
        if id_ not in self.ids:
            self.ids[id_] = number
            self.stock[number % 10] += number
        writer.write(answer())


def right_stock() -> Counter[int]:
    stock: Counter[int] = Counter()
    for number in range(EVENTS):
        stock[number % 10] += number
    return stock


class World:
    """A server that is restarted on its port, the way to it, and clients that go on beside it."""

    def __init__(self, options: dict[str, Any], home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.options = options | {"port": self.port}
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self.server: Process | None = None
        self.api = httpx.AsyncClient(base_url=self.url, headers={"Authorization": "Bearer k"}, timeout=30)

    async def start(self) -> None:
        self.server = await Process.start("serve", **self.options)

    async def restart(self, rng: random.Random) -> None:
        assert self.server is not None
        if rng.random() < 0.5:
            await self.server.kill()
        else:
            await self.server.stop()
        await self.start()

    def listen(self, url: str, *words: str) -> subprocess.Popen[bytes]:
        environ = settings() | {"TIDINGS_SERVER": url, "TIDINGS_KEY": "k", "XDG_CONFIG_HOME": str(self.home)}
        with (self.home / f"listen-{words[-1]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tidings", "listen", "-q", *words], env=environ, stdout=subprocess.DEVNULL, stderr=log
            )

    async def publish(self, first: int, last: int) -> None:
        """Publish events by ids of their own, through whatever happens to the server."""
        lines = [json.dumps({"type": "stock.taken", "id": f"e{n}", "data": {"n": n}}) for n in range(first, last)]

        async def is_done() -> bool:
            try:
                said = await self.api.post("/api/v1/events/batch", content="\n".join(lines))
            except httpx.TransportError:
                return False
            return said.status_code < 300

        await eventually(is_done)

    async def close(self) -> None:
        await self.api.aclose()
        if self.server is not None:
            await self.server.kill()


async def rage(world: World, relay: Relay, client: subprocess.Popen[bytes], rng: random.Random) -> None:
    """Restart the server, cut connections and freeze the client, while events are published."""
    restarts, cuts, freezes = RESTARTS, CUTS, 1
    step, published = EVENTS // (RESTARTS + CUTS + 1), 0
    kinds = ["restart"] * restarts + ["cut"] * cuts + ["freeze"] * freezes
    rng.shuffle(kinds)
    for kind in kinds:
        upto = min(EVENTS, published + step)
        publishing = asyncio.create_task(world.publish(published, upto))
        published = upto
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        match kind:
            case "restart":
                await world.restart(rng)
            case "cut":
                relay.cut()
                await asyncio.sleep(rng.uniform(0.1, 1.0))
                relay.mend()
            case _:
                client.send_signal(signal.SIGSTOP)
                await asyncio.sleep(FREEZE_SECONDS)
                client.send_signal(signal.SIGCONT)
        await publishing
    if published < EVENTS:
        await world.publish(published, EVENTS)


async def test_every_delivery_arrives_through_restarts_cuts_and_a_freeze(
    database_url: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    seed = int(os.environ.get("LISTEN_SEED", random.randrange(2**32)))
    print(f"LISTEN_SEED={seed}", flush=True)
    rng = random.Random(seed)
    options: dict[str, Any] = {
        "database_url": database_url, "secret_key": "s", "admin_key": "k", "allow_private_networks": "127.0.0.0/8",
        "stop_grace_seconds": 5, "data_dir": tmp_path,
    }  # fmt: skip
    receivers = {name: (Receiver(), Ledger()) for name in ("webhook", "listener", "faulty")}
    world = World(options, tmp_path)
    clients: list[subprocess.Popen[bytes]] = []
    try:
        for receiver, ledger in receivers.values():
            receiver.otherwise = ledger.receive
            await receiver.start()
        await world.start()
        made = await world.api.post(
            "/api/v1/webhooks", json={"url": receivers["webhook"][0].url(), "events": ["stock.*"], "retry": RETRY}
        )
        assert made.status_code == 201, made.text
        async with Relay(world.url) as relay:
            forward = ["-f", receivers["listener"][0].url(), "--webhook", made.json()["id"], "--name"]
            clients.append(world.listen(relay.url, *forward, "frozen"))
            clients.append(
                world.listen(
                    relay.url, "-f", receivers["faulty"][0].url(), *FAULTS, "--webhook", made.json()["id"], "--name", "faulty"
                )
            )
            user = await asyncpg.connect(database_url)
            await eventually(
                lambda: user.fetchval("select count(distinct webhook_id) = 2 from tidings.listener_sessions where not is_over")
            )
            await rage(world, relay, clients[0], rng)
            unfinished = (
                "select not exists (select from tidings.outbox) and not exists (select from tidings.queue)"
                " and not exists (select from tidings.flights)"
            )
            await eventually(lambda: user.fetchval(unfinished), limit=TAKES)
            statuses = await user.fetch("select status, count(*) from tidings.deliveries group by status")
            lost = await user.fetchval("select count(*) from tidings.attempts where failure = 'lost'")
            await user.close()
    finally:
        for client in clients:
            client.send_signal(signal.SIGCONT)
            client.terminate()
            client.wait()
        await world.close()
        for receiver, _ in receivers.values():
            await receiver.stop()
    assert [tuple(row) for row in statuses] == [("succeeded", 3 * EVENTS)]
    for name, (_, ledger) in receivers.items():
        assert sorted(ledger.got) == list(range(EVENTS)), f"{name} missed some"
        assert ledger.stock == right_stock(), f"{name} has counted wrongly"
        assert len(ledger.ids) == EVENTS, f"{name} saw another id for the same event"
    repeats = {name: sum(ledger.got.values()) - EVENTS for name, (_, ledger) in receivers.items()}
    tell(f"listen: {EVENTS} events, {RESTARTS} restarts, {CUTS} cuts, repeats {repeats}, lost attempts {lost}")
    told(
        "listening",
        {
            "Events, each for a webhook and two listeners": EVENTS,
            "Restarts of the server, half of them by SIGKILL": RESTARTS,
            "Cuts of all connections": CUTS,
            "Seconds for which a client was frozen": FREEZE_SECONDS,
            "Missed by the listener": 0,
            "Missed by the webhook beside it": 0,
            "Attempts put on record as lost": lost,
            "Requests that the webhook's receiver got twice": repeats["webhook"],
            "Requests that the listener's receiver got twice": repeats["listener"],
            "Repeats with faults on purpose": repeats["faulty"],
            "Events that the receiver with faults, dropping repeats, counted wrongly": 0,
        },
    )
