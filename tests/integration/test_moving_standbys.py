"""Homes whose standby takes over: what was moved is at one of them, and what sources committed is delivered."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.support.clusters import Pair
from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import relaying
from tests.support.furnished import Furnished
from tests.support.homes import Home
from tests.support.moves import halted, onward, open_lanes, rows_of, until_halted, without_state
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import fleet_of
from tidings.running import run
from tidings.transport.stream import Stream
from tidings.transport.stream_making import make
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures", "tests.support.move_fixtures")

Homes = tuple[Home, Home]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    pair = Pair(tmp_path / "pair")
    try:
        await pair.start()
        yield pair
    finally:
        await pair.stop()


@pytest.fixture
async def south(config: Config, homes: Homes, fleet_stream: Stream, pair: Pair) -> AsyncIterator[Home]:
    """A home with a standby, to which no name leads."""
    there = msgspec.structs.replace(
        config, database_url=pair.switch.url(), home="south", stream="nats://127.0.0.1:1", request_role="none"
    )
    await make(fleet_stream, fleet_of(("east", "south", "west")), replicas=1, most_bytes=10_000_000)
    async with engine_of(there) as engine:
        home = Home("south", engine, fleet_stream)
        await home.follower.run_once()
        yield home


async def have_commits_not_wait(pair: Pair) -> None:
    await pair.ask("alter system set synchronous_standby_names = ''")
    await pair.ask("select pg_reload_conf()")


@asynccontextmanager
async def stuck(pair: Pair) -> AsyncIterator[None]:
    """Have the standby receive nothing while the block runs, though it is connected."""
    standby = await asyncpg.connect(pair.standby.get_uri())
    try:
        pid = await standby.fetchval("select pid from pg_stat_wal_receiver")
    finally:
        await standby.close()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def kept(home: Home) -> dict[str, list[Any]]:
    """Return what a group has, but for what PostgreSQL keeps of no table that is not logged, when another takes over."""
    return {name: rows for name, rows in without_state(await rows_of(home.engine, "acme")).items() if name != "bin_requests"}


async def fall_over(home: Home, pair: Pair, *, is_standby_in_step: bool) -> None:
    """Have the standby take over, and everybody hear of it."""
    await pair.lose_primary(is_standby_in_step=is_standby_in_step)
    await pair.promote()
    await home.engine.services.wide.server.pool.expire_connections()
    home.engine.user.terminate()
    home.engine.user = await asyncpg.connect(pair.primary.get_uri())


async def test_nothing_is_deleted_before_the_standby_of_the_new_home_has_it(
    homes: Homes, south: Home, pair: Pair, fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    before, were_open = await kept(east), await open_lanes(east)
    await have_commits_not_wait(pair)
    async with stuck(pair):
        with pytest.raises(StartupError, match="A standby of south is behind by more than 2 s"):
            await onward(east, south, fleet_stream, patience=2).run()
        assert await open_lanes(east) == were_open
        assert await kept(east) == before
    await onward(east, south, fleet_stream).run()
    await fall_over(south, pair, is_standby_in_step=False)
    assert await kept(south) == before
    assert not any((await rows_of(east.engine, "acme")).values())


async def test_a_standby_takes_over_in_the_middle_of_a_move_which_is_called_off_and_done_again(
    homes: Homes, south: Home, pair: Pair, fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    before = await kept(east)
    await onward(east, south, fleet_stream).run()
    async with halted(east, "exclusive"):
        running = asyncio.create_task(onward(south, east, fleet_stream).run())
        await until_halted(east, running)
        await fall_over(south, pair, is_standby_in_step=True)
    with pytest.raises(StartupError, match="A database went away while acme was moved"):
        await running
    await onward(south, east, fleet_stream).run()
    assert await kept(east) == before
    assert not any((await rows_of(south.engine, "acme")).values())


async def test_an_old_home_that_comes_back_as_it_was_in_the_middle_of_a_move_does_nothing_and_is_cleared(
    homes: Homes, south: Home, pair: Pair, fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    before = await kept(east)
    await onward(east, south, fleet_stream).run()
    async with halted(east, "exclusive"):
        running = asyncio.create_task(onward(south, east, fleet_stream).run())
        await until_halted(east, running)
        await pair.fall_behind()  # nobody knows of it any more
    await running
    await fall_over(south, pair, is_standby_in_step=False)
    assert (await rows_of(south.engine, "acme"))["queue"], "it has come back"
    assert (await open_lanes(south), await open_lanes(east) > 0) == (0, True), "one home delivers"
    await onward(south, east, fleet_stream).run()
    assert not any((await rows_of(south.engine, "acme")).values())
    assert await kept(east) == before


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[None]:
    """Run a home's worker until the block ends."""
    stop, ready = Signal(), asyncio.Event()
    running = asyncio.create_task(run(config, stop, with_api=False, with_worker=True, on_ready=lambda _: ready.set()))
    await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        await running


async def test_what_sources_committed_is_delivered_when_a_standby_that_was_behind_takes_over_while_it_comes(
    source: Engine, way: Stream, cluster: Cluster, config: Config, pair: Pair, receiver: Receiver
) -> None:
    """Some of it was routed as it was landed, some was in the outbox, some was under way."""
    there = msgspec.structs.replace(
        config, database_url=pair.switch.url(), home="here", stream=cluster.url, request_role="none"
    )
    committed = list(range(600))

    async def publish(numbers: list[int]) -> None:
        for number in numbers:
            data = json.dumps({"number": number, "pad": "x" * (2000 if number % 50 == 0 else 1)})
            await source.sql("select tidings.publish('order.paid', $1)", data)

    def told() -> set[int]:
        return {json.loads(one.body)["data"]["number"] for one in receiver.received}

    async def are_told(numbers: list[int]) -> bool:
        return set(numbers) <= told()

    async with engine_of(there) as home, relaying(source, way.flights), serving(there):
        await home.add_webhook(receiver.url(), "order.*")
        await publish(committed[:100])
        await eventually(lambda: are_told(committed[:100]))
        await pair.fall_behind()
        await publish(committed[100:300])
        rest = asyncio.create_task(publish(committed[300:]))
        await eventually(lambda: are_told(committed[100:250]))
        await pair.lose_primary(is_standby_in_step=False)
        await pair.promote()
        home.user.terminate()
        home.user = await asyncpg.connect(pair.primary.get_uri())
        await rest
        await eventually(lambda: are_told(committed))
        lost = await home.value(
            "select $1::int - count(distinct record::jsonb ->> 'number') from tidings.events", len(committed)
        )
        assert lost == 0
