"""No receiver, whatever it does, slows or stops the deliveries to others, and what came of each attempt is told in a sentence."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process
from tests.support.receiver import Receiver, answer
from tests.support.torture import LONG, told
from tests.torture.behaviours import BEHAVIOURS, ENDS_AS, standing
from tidings.config import Config
from tidings.core.egress import Egress
from tidings.core.outcome import FAILURES, Exchange, failure_reason
from tidings.core.retry import Delays
from tidings.core.target import parse_target, request_head
from tidings.store import webhooks
from tidings.transport.sender import Sender

SECONDS = 40.0 if LONG else 2.0  # of each phase
# Seconds that a 99th percentile of a few milliseconds is off by because of what else the machine does in one phase and not in another.
NOISE = 0.005
PER_SECOND = 10  # events; each goes to a hundred webhooks
OVERLOAD_PER_SECOND = 100  # the same: more attempts than two cores can make
HEALTHY = 5
# A body that does not fit into a socket's buffers is written while nobody reads it.
_BODY = b"x" * 4_000_000


def is_understood(reason: str) -> bool:
    """Whether this is a sentence of ours, and none of Python's."""
    return bool(re.fullmatch(r"[A-Z].{10,280}\.", reason)) and not re.search(
        r"Error\(|0x[0-9a-f]{6}|b'|Traceback|<[a-z]+ ", reason
    )


def ended_as(status: int | None, failure: str | None) -> str:
    return failure or str(status)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def sender(ca: trustme.CA) -> AsyncIterator[Sender]:
    import ssl
    from ipaddress import ip_network

    context = ssl.create_default_context()
    ca.configure_trust(context)
    sender = Sender(Egress(allowed=(ip_network("127.0.0.0/8"),)), tls=context)
    yield sender
    await sender.close()


def test_there_are_more_than_sixty_of_them_each_with_a_name_of_its_own() -> None:
    assert len(ENDS_AS) >= 60
    assert len({behaviour.name for behaviour in BEHAVIOURS}) == len(BEHAVIOURS)
    outcomes = {outcome for ends_as in ENDS_AS.values() for outcome in ends_as if not outcome.isdigit()}
    assert outcomes <= set(FAILURES)


async def test_each_ends_as_it_must_with_a_reason_that_a_person_understands(sender: Sender, ca: trustme.CA) -> None:
    async with standing(ca) as urls:

        async def attempt(name: str) -> Exchange:
            body = _BODY if name == "never reads" else b"{}"
            data = f"{request_head('POST', urls[name])}content-length: {len(body)}\r\n\r\n".encode() + body
            # Only what must end by its time is given little of it.
            timeout = 2.0 if "timeout" in ENDS_AS[name] else PATIENCE
            return await sender.send(parse_target(urls[name]), data, timeout_seconds=timeout)

        exchanges = dict(zip(ENDS_AS, await asyncio.gather(*map(attempt, ENDS_AS)), strict=True))
    others = {
        name: (ended_as(exchange.status, exchange.failure), exchange.error)
        for name, exchange in exchanges.items()
        if ended_as(exchange.status, exchange.failure) not in ENDS_AS[name]
    }
    assert not others
    riddles = {name: reason for name, exchange in exchanges.items() if not is_understood(reason := failure_reason(exchange))}
    assert not riddles


class Neighbours:
    """Healthy receivers beside the hostile ones: how long each event took from its commit to each of them, in seconds."""

    def __init__(self) -> None:
        self.committed: dict[int, float] = {}
        self.latencies: list[float] = []
        self.got: Counter[int] = Counter()

    async def receive(self, request: Any, writer: asyncio.StreamWriter) -> None:
        number = json.loads(request.body)["data"]["n"]
        self.latencies.append(time.perf_counter() - self.committed[number])
        self.got[number] += 1
        writer.write(answer())

    async def publish(self, user: Any, first: int, per_second: int = PER_SECOND) -> int:
        """Publish at a steady rate for `SECONDS`, and return the number after the last."""
        loop = asyncio.get_running_loop()
        begun, number = loop.time(), first
        while loop.time() < begun + SECONDS:
            self.committed[number] = time.perf_counter()  # it may arrive before the commit is answered
            await user.execute(
                "insert into tidings.outbox (source, type, record) values ('publish', 'order.paid', $1)",
                json.dumps({"n": number}),
            )
            self.committed[number] = time.perf_counter()
            await user.execute("notify tidings_outbox")
            number += 1
            await asyncio.sleep(max(0.0, begun + (number - first) / per_second - loop.time()))
        return number

    def taken(self) -> float:
        """Return the 99th percentile of what was measured since the last time."""
        latencies, self.latencies = sorted(self.latencies), []
        return latencies[int(len(latencies) * 0.99)]


@asynccontextmanager
async def receivers_apart(module: str, argument: object) -> AsyncIterator[dict[str, str]]:
    """Have receivers listen in a process of their own; lends their URLs by name."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(argument), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**20
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


class Scene:
    """A worker in a process of its own, healthy receivers, and those beside them."""

    def __init__(self, engine: Engine, worker: Process, receiver: Receiver, neighbours: Neighbours) -> None:
        self.engine, self.worker, self._receiver, self._neighbours = engine, worker, receiver, neighbours
        self.published = 0

    async def beside(self, urls: dict[str, str]) -> dict[UUID, str]:
        """Subscribe others to the same events."""
        return {
            (await self.engine.add_webhook(url, "order.*", timeout_seconds=1, retry=Delays(delays=()))).id: name
            for name, url in urls.items()
        }

    async def without(self, webhook_ids: Iterable[UUID]) -> None:
        """End what `beside` began."""
        async with self.engine.services.wide.transaction() as connection:
            await webhooks.disable_webhooks(connection, list(webhook_ids), "It is not needed any more.")

    async def measured(self, per_second: int = PER_SECOND) -> float:
        """Publish for a while, and return the 99th percentile of what healthy receivers waited, in seconds."""
        self.published = await self._neighbours.publish(self.engine.user, self.published, per_second)
        await self._receiver.wait_for(self.published * HEALTHY, limit=4 * PATIENCE)
        assert set(self._neighbours.got.values()) == {HEALTHY}
        return self._neighbours.taken()

    async def ends(self, others: dict[UUID, str]) -> list[Any]:
        """Wait until each of the others has had an attempt, and return how the first of each ended."""

        async def all_have_ended_once() -> bool:
            ended = await self.engine.value(
                "select count(distinct webhook_id) from tidings.deliveries where webhook_id = any($1)", list(others)
            )
            return bool(ended == len(others))

        await eventually(all_have_ended_once)
        return await self.engine.sql(  # type: ignore[no-any-return]
            """select distinct on (webhook_id) webhook_id, last_status, failure, last_error from tidings.deliveries
            where webhook_id = any($1) order by webhook_id, id""",
            list(others),
        )


@asynccontextmanager
async def scene(config: Config, receiver: Receiver, authority: Path) -> AsyncIterator[Scene]:
    """Have a worker deliver to healthy receivers."""
    neighbours = Neighbours()
    receiver.otherwise = neighbours.receive
    async with engine_of(config) as engine:
        for position in range(HEALTHY):
            await engine.add_webhook(receiver.url(f"/{position}"), "order.*")
        await engine.worker.heart.end()
        worker = await Process.start(
            "worker",
            environ={"SSL_CERT_FILE": str(authority)},
            database_url=config.database_url,
            secret_key="test",
            allow_private_networks="127.0.0.0/8",
        )
        try:
            yield Scene(engine, worker, receiver, neighbours)
        finally:
            await worker.kill()


async def test_healthy_receivers_get_everything_in_time_beside_all_of_them(
    config: Config, receiver: Receiver, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    authority = tmp_path / "authority.pem"
    async with (
        receivers_apart("tests.torture.behaviours", authority) as hostile,
        receivers_apart("tests.torture.neighbours", len(hostile)) as well_behaved,
        scene(config, receiver, authority) as there,
    ):
        calm, calm_bytes = await there.measured(), there.worker.memory_bytes()
        others = await there.beside(well_behaved)
        among_many = await there.measured()
        await there.without(others)
        others = await there.beside(hostile)
        beside, grown = await there.measured(), (there.worker.memory_bytes() - calm_bytes) / 2**20
        rows = await there.ends(others)
    ends = {others[row["webhook_id"]]: (ended_as(row["last_status"], row["failure"]), row["last_error"]) for row in rows}
    assert not {name: end for name, end in ends.items() if end[0] not in ENDS_AS[name]}
    assert all(reason is None or is_understood(reason) for _, reason in ends.values())
    figures: dict[str, str | int | float] = {
        "hostile behaviours": len(ends), "events for each receiver": there.published,
        "99th percentile of healthy receivers, calm, ms": calm * 1e3,
        "the same beside as many well-behaved ones, ms": among_many * 1e3,
        "the same beside the hostile ones, ms": beside * 1e3,
        "hostile over calm (goal: at most 2)": beside / calm,
        "well-behaved over calm: what so many more receivers cost": among_many / calm,
        "hostile over well-behaved: what their hostility costs": beside / among_many,
        "memory of the worker, grown by, MB (goal: at most 50)": grown,
    }  # fmt: skip
    tell(f"hostile receivers: {json.dumps(figures)}")
    told("hostile-receivers", figures)
    if LONG:
        assert beside <= 2 * calm + NOISE
        assert beside <= 2 * among_many
    assert grown <= 50 if LONG else grown <= 150


async def test_healthy_receivers_wait_a_bounded_time_when_more_is_asked_than_can_be_done(
    config: Config, receiver: Receiver, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    authority = tmp_path / "authority.pem"
    async with receivers_apart("tests.torture.behaviours", authority) as hostile, scene(config, receiver, authority) as there:
        calm = await there.measured(OVERLOAD_PER_SECOND)
        await there.beside(hostile)
        beside = await there.measured(OVERLOAD_PER_SECOND)
        waiting = await there.engine.value("select count(*) from tidings.queue")
    figures: dict[str, str | int | float] = {
        "hostile receivers": len(hostile), "attempts wanted in a second": len(hostile) * OVERLOAD_PER_SECOND,
        "events for each receiver": there.published,
        "99th percentile of healthy receivers, calm, ms": calm * 1e3,
        "the same beside the hostile ones, ms (goal: at most 2,000)": beside * 1e3,
        "deliveries to hostile ones that waited at the end": waiting,
    }  # fmt: skip
    tell(f"hostile receivers, overload: {json.dumps(figures)}")
    told("hostile-receivers-overload", figures)
    if LONG:
        assert beside <= 2.0
