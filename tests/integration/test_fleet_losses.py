"""What happens when something of a fleet is lost: a test of each row of the table in docs/fleet-losses.md, with real nodes and databases."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from tests.support import stream as servers
from tests.support.clusters import Disk, Pair
from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import FLEET, landing_at, pack, relaying
from tests.support.stream import Cluster
from tidings.clock import machine_time
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, fleet_of
from tidings.core.pressure import Why
from tidings.fleet import TO_START, told_as_startup
from tidings.fleet_watch import status
from tidings.store import relay
from tidings.transport import stream
from tidings.transport.stream import Stream
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import standing
from tidings.worker.intake import Intake
from tidings.worker.kept import Kept
from tidings.worker.lines import MAX_WAITING
from tidings.worker.relay import Relay

pytest_plugins = ("tests.support.fleet_fixtures",)

TWO = fleet_of(("eu", "us"))


@asynccontextmanager
async def three_nodes(folder: Path, fleet: Fleet = FLEET) -> AsyncIterator[tuple[Cluster, Stream]]:
    async with (
        servers.running(folder / "three", nodes=3) as cluster,
        stream.opened(cluster.url, credentials=None, ca_file=None) as way,
    ):
        await make(way, fleet, replicas=3, most_bytes=10_000_000)
        yield cluster, way


@asynccontextmanager
async def taking(home: Engine, flights: Any, name: str = "here", *, seconds: float = 60) -> AsyncIterator[Intake]:
    """Land what comes for a home while the block runs."""
    database = home.services.wide
    intake = Intake(database, flights, name, kept=Kept(database, flights, name, seconds=seconds))
    running = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        intake.stop()
        await running


async def publish(source: Engine, numbers: range, group: str = "default") -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1, group_id => $2)", json.dumps({"number": number}), group)


async def numbers(home: Engine) -> list[int]:
    rows = await home.sql("select (record::jsonb ->> 'number')::int as number from tidings.outbox order by id")
    return [row["number"] for row in rows]


async def are(home: Engine, expected: list[int]) -> bool:
    return len(await numbers(home)) >= len(expected)


async def holds(home: Engine, expected: list[int]) -> None:
    """Wait until so many events are landed, and see that it is these, in this order."""
    await eventually(lambda: are(home, expected))
    assert await numbers(home) == expected


# A node, and the quorum ----------------------------------------------------------------------------------------------------------


class _Failing:
    """A stream whose leader dies just as flights were received that nobody has acknowledged."""

    def __init__(self, way: Stream, cluster: Cluster) -> None:
        self._way, self._cluster = way, cluster
        self.killed: servers.Node | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way.flights, name)

    async def receive(self, home: str, seconds: float) -> Any:
        arrived = await self._way.flights.receive(home, seconds)
        if arrived and self.killed is None:
            (found,) = await standing(self._way, FLEET)
            (self.killed,) = [node for node in self._cluster.nodes if node.name == found.leader]
            self.killed.kill()
        return arrived


async def test_a_node_is_lost_with_flights_that_nobody_acknowledged_and_nothing_is_lost_or_overtaken(
    source: Engine, home: Engine, tmp_path: Path
) -> None:
    async with three_nodes(tmp_path) as (cluster, way):
        async with relaying(source, way.flights), taking(home, failing := _Failing(way, cluster)):
            await publish(source, range(5))
            await holds(home, list(range(5)))
            assert failing.killed is not None
            await publish(source, range(5, 10))
            await holds(home, list(range(10)))
            failing.killed.start()
        assert await source.value("select count(*) from tidings.outbox") == 0


async def test_a_node_whose_disk_is_full_keeps_nobody_waiting(source: Engine, home: Engine, tmp_path: Path) -> None:
    """Where nobody may mount a disk of its own, which could be filled, the node ends."""
    disks = [Disk(tmp_path / "three" / f"node{number}") for number in range(3)]
    try:
        async with three_nodes(tmp_path) as (cluster, way), relaying(source, way.flights), taking(home, way.flights):
            await publish(source, range(3))
            await holds(home, [0, 1, 2])
            (found,) = await standing(way, FLEET)
            full = [node.name for node in cluster.nodes].index(found.leader)
            if disks[full].is_own:
                disks[full].fill()
            else:
                cluster.nodes[full].kill()
            await publish(source, range(3, 8))
            await holds(home, list(range(8)))
            disks[full].free()
            cluster.nodes[full].kill()
            cluster.nodes[full].start()
            await publish(source, range(8, 10))
            await holds(home, list(range(10)))
    finally:
        for disk in disks:
            disk.remove()


async def test_without_a_quorum_users_commit_and_all_of_it_comes_in_its_order_once_there_is_one(
    source: Engine, home: Engine, tmp_path: Path
) -> None:
    many = MAX_WAITING + 4
    async with three_nodes(tmp_path) as (cluster, way), relaying(source, way.flights), taking(home, way.flights):
        await publish(source, range(1))
        await holds(home, [0])
        for node in cluster.nodes[:2]:
            node.freeze()
        try:
            for number in range(1, many):
                await publish(source, range(number, number + 1))
                await eventually(lambda: is_packed_or_enough(source))
            assert await source.value("select count(*) from tidings.relay_flights") <= MAX_WAITING + 1
            assert await numbers(home) == [0]
        finally:
            for node in cluster.nodes[:2]:
                node.thaw()
        await holds(home, list(range(many)))


async def test_who_asks_for_the_status_without_a_quorum_is_told_what_to_start(tmp_path: Path) -> None:
    async with three_nodes(tmp_path) as (cluster, _):
        config = Config(stream=cluster.url)
        assert await status(config, machine_time())
        for node in cluster.nodes[:2]:
            node.kill()
        with pytest.raises(StartupError, match=r"More than half of NATS's nodes have to run: start those that do not"):
            await status(config, machine_time())


@pytest.mark.parametrize(("why", "has_remedy"), [(Why.AWAY, True), (Why.FULL, False), (Why.LARGE, False)])
def test_nodes_are_named_as_the_remedy_where_nobody_answered_alone(why: Why, has_remedy: bool) -> None:
    with pytest.raises(StartupError) as caught, told_as_startup("how it is"):
        raise StreamAwayError("what came of it.", why)
    assert str(caught.value) == "The stream did not say how it is: what came of it." + has_remedy * f" {TO_START}"


async def is_packed_or_enough(source: Engine) -> bool:
    packed = await source.value("select count(*) from tidings.relay_flights")
    return packed >= MAX_WAITING or not await source.value("select count(*) from tidings.outbox")


# A home, and a source ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def without_database(engine: Engine) -> AsyncIterator[None]:
    """Have a database take nobody in while the block runs, and let nobody stay."""
    name = await engine.value("select current_database()")
    elsewhere = await asyncpg.connect(engine.services.wide.url, database="postgres")
    try:
        await elsewhere.execute(f"alter database {name} allow_connections false")
        await elsewhere.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        try:
            yield
        finally:
            await elsewhere.execute(f"alter database {name} allow_connections true")
            engine.user.terminate()
            engine.user = await asyncpg.connect(engine.services.wide.url)
    finally:
        await elsewhere.close()


async def test_what_is_for_a_home_that_is_away_waits_and_nothing_else_does(
    source: Engine, home: Engine, config: Config, fresh_databases: Any, cluster: Cluster
) -> None:
    (url,) = await fresh_databases(1)
    groups = {TWO.home_of(f"group-{number}"): f"group-{number}" for number in range(20)}
    async with (
        stream.opened(cluster.url, credentials=None, ca_file=None) as way,
        stream.opened(cluster.url, credentials=None, ca_file=None) as other_way,
        engine_of(msgspec.structs.replace(config, database_url=url)) as us,
    ):
        await make(way, TWO, replicas=1, most_bytes=10_000_000)
        services = source.services
        sender = Relay(
            services.wide, way.flights, TWO, services.box, services.clock, source="shop", salt=services.installation.salt
        )
        await source.sql("insert into tidings.settings values ('source', 'shop')")
        running = asyncio.create_task(sender.run())
        try:
            async with taking(home, way.flights, "eu"), taking(us, other_way.flights, "us"):
                await publish(source, range(2), groups["eu"])
                await holds(home, [0, 1])
                async with without_database(home):
                    await publish(source, range(2, 4), groups["eu"])
                    await publish(source, range(3), groups["us"])
                    await holds(us, [0, 1, 2])
                    await eventually(lambda: is_waiting(way, "eu"))
                await holds(home, [0, 1, 2, 3])
        finally:
            sender.stop()
            await running


async def is_waiting(way: Stream, home: str) -> bool:
    return any(found.home == home and found.flights for found in await standing(way, TWO))


async def test_a_source_that_is_away_keeps_no_other_waiting_and_goes_on_where_it_was(
    source: Engine, home: Engine, config: Config, fresh_databases: Any, way: Stream
) -> None:
    (url,) = await fresh_databases(1)
    async with engine_of(msgspec.structs.replace(config, database_url=url)) as billing, taking(home, way.flights):
        services = billing.services
        sender = Relay(
            services.wide, way.flights, FLEET, services.box, services.clock, source="billing", salt=services.installation.salt
        )
        running = asyncio.create_task(sender.run())
        try:
            async with relaying(source, way.flights):
                await publish(billing, range(1))
                await holds(home, [0])
                async with without_database(billing):
                    await publish(source, range(10, 12))
                    await holds(home, [0, 10, 11])
                await publish(billing, range(1, 2))
                await holds(home, [0, 10, 11, 1])
        finally:
            sender.stop()
            await running


# A standby that was behind -------------------------------------------------------------------------------------------------------


async def test_what_was_landed_and_lost_with_a_database_is_landed_again_in_its_order(
    source: Engine, home: Engine, way: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        await publish(source, range(number, number + 1))
        await pack(source, way.flights)
    await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": 5, "more": "x" * 60_000}))
    async with relaying(source, way.flights), taking(home, way.flights):
        await holds(home, [0, 1, 2, 3, 4, 5])
    # The end of what was committed is gone, as with a standby that was behind.
    await home.sql("delete from tidings.outbox where (record::jsonb ->> 'number')::int > 2")
    await home.sql(
        "delete from tidings.landed_flights where id in (select id from tidings.landed_flights order by landed_at desc limit 3)"
    )
    async with relaying(source, way.flights), taking(home, way.flights):
        await publish(source, range(6, 7))
        await holds(home, [0, 1, 2, 3, 4, 5, 6])
    assert "3 flights that were landed" in caplog.text
    caplog.clear()
    async with taking(home, way.flights) as intake:
        await publish(source, range(7, 8))
        await pack(source, way.flights)
        async with relaying(source, way.flights):
            await holds(home, list(range(8)))
        assert intake is not None
    assert "that were landed" not in caplog.text


async def test_nothing_is_landed_where_another_postgresql_has_taken_over_before_it_was_looked_at(home: Engine) -> None:
    """Else what was landed last there would look as if all before it had been."""
    async with home.services.wide.connection() as connection:
        there = await relay.history(connection)
        assert there is not None
        assert await relay.note_landed(connection, uuid4(), history=there)
        assert await relay.note_landed(connection, uuid4())
    with pytest.raises(relay.MovedError):
        async with home.services.wide.transaction() as connection:
            await relay.note_landed(connection, uuid4(), history=f"{int(there, 16) + 1:08X}")
    assert await home.value("select count(*) from tidings.landed_flights") == 2


async def test_where_nothing_ever_came_there_is_nothing_to_be_landed_again(home: Engine, way: Stream) -> None:
    holding = await way.flights.holding("here")
    assert (holding.first, holding.last, holding.landed) == (1, 0, 0)
    assert await way.flights.first("here") == 1

    async def land(_: Any) -> None:
        raise AssertionError

    assert await Kept(home.services.wide, way.flights, "here").begin(land) == 0


async def test_the_stream_forgets_what_was_landed_when_its_time_is_over(source: Engine, home: Engine, way: Stream) -> None:
    async with relaying(source, way.flights), taking(home, way.flights, seconds=0):
        await publish(source, range(3))
        await holds(home, [0, 1, 2])

        async def is_forgotten() -> bool:
            holding = await way.flights.holding("here")
            return holding.first == holding.last + 1

        await eventually(is_forgotten)
        await publish(source, range(3, 4))
        await holds(home, [0, 1, 2, 3])


async def test_a_home_whose_standby_was_behind_takes_over_and_loses_nothing_that_sources_committed(
    source: Engine, way: Stream, cluster: Cluster, config: Config, tmp_path: Path
) -> None:
    pair = Pair(tmp_path / "pair")
    try:
        await pair.start()
        there = msgspec.structs.replace(
            config, database_url=pair.switch.url(), home="here", stream=cluster.url, request_role="none"
        )
        async with (
            relaying(source, way.flights),
            engine_of(there) as home,
            landing_at(home, there),
        ):
            await publish(source, range(3))
            await holds(home, [0, 1, 2])
            await pair.fall_behind()
            await publish(source, range(3, 6))
            await holds(home, [0, 1, 2, 3, 4, 5])
            await pair.lose_primary(is_standby_in_step=False)
            await pair.promote()
            await publish(source, range(6, 7))  # it may come before anybody has heard of the other
            home.user.terminate()
            home.user = await asyncpg.connect(pair.primary.get_uri())
            await holds(home, [0, 1, 2, 3, 4, 5, 6])
    finally:
        await pair.stop()
