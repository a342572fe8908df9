"""From one PostgreSQL to a fleet and back, with work under way: what was committed is delivered, at each step."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tests.support import stream as servers
from tests.support.engine import Engine, engine_of, eventually
from tests.support.receiver import Receiver
from tidings.app import opened
from tidings.config import Config
from tidings.fleet import leave, leave_as_home, make_stream, move_group, run_relay
from tidings.fleet_homes import place
from tidings.running import run
from tidings.worker.signals import Signal

AT_LEAST = 10  # deliveries by which a state is seen to work
PACE = 0.02  # seconds between two commits of a writer, so that receivers keep up
SLOW = 0.2  # where an ordered lane has to, after a move that it waited for


class Writer:
    """A user who commits one numbered row after the other, without an end."""

    def __init__(self, url: str, first: int, group: str = "default", *, pace: float = PACE) -> None:
        self._group, self._pace = group, pace
        self.first = self._next = first
        self._url, self._stopped = url, False
        self.committed: list[int] = []

    async def run(self) -> None:
        user = await asyncpg.connect(self._url)
        try:
            while not self._stopped:
                data = json.dumps({"number": self._next})
                await user.execute("select tidings.publish('order.paid', $1, group_id => $2)", data, self._group)
                self.committed.append(self._next)
                self._next += 1
                await asyncio.sleep(self._pace)
        finally:
            await user.close()

    def stop(self) -> None:
        self._stopped = True


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[None]:
    """Run a worker, and more with it where it is the home of a fleet, until the block ends."""
    stop, ready = Signal(), asyncio.Event()
    running = asyncio.create_task(run(config, stop, with_api=False, with_worker=True, on_ready=lambda _: ready.set()))
    await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def relaying(config: Config) -> AsyncIterator[None]:
    stop, ready = Signal(), asyncio.Event()
    running = asyncio.create_task(run_relay(config, stop, on_ready=lambda _: ready.set()))
    await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        await running


async def test_one_postgresql_becomes_a_home_takes_a_source_and_is_alone_again_with_work_under_way(
    config: Config, receiver: Receiver, fresh_databases: Any, tmp_path: Path
) -> None:
    (shop_url,) = await fresh_databases(1)
    async with opened(msgspec.structs.replace(config, database_url=shop_url)):
        pass  # its schema is made
    async with engine_of(config) as engine:
        await engine.worker.heart.end()  # it only looks on: whoever leaves a fleet refuses while any worker is at work
        await engine.add_webhook(receiver.url(), "order.*")
        own, shops = Writer(str(config.database_url), 0), Writer(shop_url, 1_000_000)
        writing = [asyncio.create_task(own.run())]
        async with serving(config):
            await goes_on(receiver, own)
        async with servers.running(tmp_path / "nats") as cluster:
            home = msgspec.structs.replace(config, stream=cluster.url, home="eu")
            shop = msgspec.structs.replace(config, stream=cluster.url, source="shop", database_url=shop_url)
            await make_stream(home, ["eu"], replicas=1, most_bytes=10_000_000)
            async with serving(home), relaying(shop):
                writing.append(asyncio.create_task(shops.run()))
                await goes_on(receiver, own)
                await goes_on(receiver, shops)
                await make_stream(home, ["eu", "us"], replicas=1, most_bytes=10_000_000)
                await goes_on(receiver, shops)
                shops.stop()
                await writing[1]
                await eventually(lambda: are_all_there(receiver, shops))
            assert await leave(shop) == 0
            assert await leave_as_home(home) == "eu"
        async with serving(config):
            await goes_on(receiver, own)
            own.stop()
            await writing[0]
            await eventually(lambda: are_all_there(receiver, own))
        await expect_ledger(engine, receiver, own, shops)


async def test_a_group_moves_to_another_home_and_back_with_work_under_way(
    config: Config, receiver: Receiver, fresh_databases: Any, tmp_path: Path
) -> None:
    """What sources send, what is committed at the old home, and what waits there: all is delivered, and in its order."""
    shop_url, us_url = await fresh_databases(2)
    async with (
        servers.running(tmp_path / "nats") as cluster,
        engine_of(config) as engine,
        engine_of(msgspec.structs.replace(config, database_url=us_url)) as other,
    ):
        async with opened(msgspec.structs.replace(config, database_url=shop_url)):
            pass
        eu = msgspec.structs.replace(config, stream=cluster.url, home="eu")
        us = msgspec.structs.replace(config, stream=cluster.url, home="us", database_url=us_url)
        shop = msgspec.structs.replace(config, stream=cluster.url, source="shop", database_url=shop_url)
        await make_stream(eu, ["eu", "us"], replicas=1, most_bytes=10_000_000)
        await place(eu, ["acme"], "eu")
        await engine.sql("insert into tidings.groups (id) values ('acme')")
        await engine.add_webhook(receiver.url(), "order.*", group_id="acme", ordered=True)
        waiting = await engine.add_webhook("http://127.0.0.1:9/", "order.*", group_id="acme")
        shops, own = Writer(shop_url, 0, "acme", pace=SLOW), Writer(str(config.database_url), 1_000_000, "acme", pace=SLOW)
        async with serving(eu), serving(us), relaying(shop):
            writing = [asyncio.create_task(shops.run()), asyncio.create_task(own.run())]
            for home, target, url in ((eu, "us", us_url), (us, "eu", str(config.database_url))):
                await goes_on(receiver, shops)
                await goes_on(receiver, own)
                moved = await move_group(home, "acme", target=target, url=url)
                assert moved is not None
                assert moved.rows["queue"] > 0
            await goes_on(receiver, shops)
            for writer, task in zip((shops, own), writing, strict=True):
                writer.stop()
                await task
            for writer in (shops, own):
                await eventually(lambda writer=writer: are_all_there(receiver, writer))
        assert await other.value("select count(*) from tidings.events where group_id = 'acme'") == 0
        committed = [*shops.committed, *own.committed]
        assert set(numbers(receiver)) == set(committed)
        told = "select count(*) from tidings.events where group_id = 'acme' and type = 'order.paid'"
        assert await engine.value(told) == len(committed), "without what Tidings tells of the other webhook"
        for writer in (shops, own):
            first_seen = list(dict.fromkeys(number for number in numbers(receiver) if number in set(writer.committed)))
            assert first_seen == writer.committed, "out of order"
        held = "select count(*) from tidings.queue where webhook_id = $1"
        assert await engine.value(held, waiting.id) == len(committed), "what waits for the other webhook waits still"


async def expect_ledger(engine: Engine, receiver: Receiver, *writers: Writer) -> None:
    """Expect each event once in history, delivered at least once, and nothing under way."""
    told = Counter(numbers(receiver))
    committed = {number for writer in writers for number in writer.committed}
    assert committed - set(told) == set(), "lost"
    assert set(told) - committed == set(), "nobody committed it"
    assert await engine.value("select count(*) from tidings.events") == len(committed)
    await eventually(lambda: is_nothing_under_way(engine))


async def is_nothing_under_way(engine: Engine) -> bool:
    return await engine.unfinished() == 0


def numbers(receiver: Receiver) -> list[int]:
    return [json.loads(one.body)["data"]["number"] for one in receiver.received]


async def goes_on(receiver: Receiver, writer: Writer) -> None:
    """Return once some of a writer's have come that are committed from now on."""
    latest = writer.committed[-1] if writer.committed else -1
    upto = 10**6 * (writer.first // 10**6 + 1)
    await eventually(lambda: are_more(receiver, range(latest + 1, upto)))


async def are_more(receiver: Receiver, expected: range) -> bool:
    return sum(number in expected for number in numbers(receiver)) >= AT_LEAST


async def are_all_there(receiver: Receiver, writer: Writer) -> bool:
    return {*writer.committed} <= {*numbers(receiver)}
