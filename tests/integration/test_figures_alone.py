"""What a process tells of itself to those who watch it, while its database or the stream is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.process import free_ports
from tests.support.serving import ApiServer
from tests.support.stream import Cluster
from tests.support.switch import Switch, behind
from tidings.config import Config
from tidings.fleet import run_relay
from tidings.operations.readiness import OneAtATime
from tidings.operations.readings import ANSWER_SECONDS
from tidings.transport.stream import Stream
from tidings.worker.ahead import IS_AHEAD
from tidings.worker.reporting import MAX_SET_ASIDE
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.switch_fixtures")


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@asynccontextmanager
async def watching(config: Config, api_server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    """Ask the API of an installation whose database can be taken away."""
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE) as client,
    ):
        yield client


async def test_without_its_database_a_process_tells_what_it_knows_by_itself(
    config: Config, switch: Switch, api_server: ApiServer
) -> None:
    async with watching(behind(switch, msgspec.structs.replace(config, open_documents=True)), api_server) as client:
        there = await figures(client)
        assert (there["tidings_database_up"], there["tidings_outbox_rows"]) == (1, 0)
        switch.cut()
        IS_AHEAD.set(1)
        try:
            alone = await figures(client)
        finally:
            IS_AHEAD.set(0)
        assert (alone["tidings_database_up"], alone["tidings_ahead"]) == (0, 1)
        assert alone["process_resident_memory_bytes"] > 0
        assert "tidings_outbox_rows" not in alone, "it is not known, which is not zero"
        assert "tidings_set_aside" not in {name.partition("{")[0] for name in alone}
        switch.mend()
        await eventually(lambda: is_up(client))
        assert (await figures(client))["tidings_outbox_rows"] == 0


async def test_a_database_that_is_silent_keeps_nobody_waiting_who_watches(
    config: Config, switch: Switch, api_server: ApiServer
) -> None:
    async with watching(behind(switch, msgspec.structs.replace(config, open_documents=True)), api_server) as client:
        assert (await figures(client))["tidings_database_up"] == 1
        switch.silence()
        began = time.monotonic()
        told = await asyncio.gather(*(figures(client) for _ in range(20)))
        assert [one["tidings_database_up"] for one in told] == [0] * 20
        assert time.monotonic() - began < 5 * ANSWER_SECONDS, "the system gives a silent connection up much later"
        switch.cut()  # what is silent is told so
        switch.mend()
        await eventually(lambda: is_up(client))


async def is_up(client: httpx.AsyncClient) -> bool:
    return (await figures(client)).get("tidings_database_up") == 1


async def test_one_reading_serves_all_who_ask_meanwhile_and_nobody_waits_for_longer_than_is_said() -> None:
    begun, ending, shared = 0, Signal(), OneAtATime[int]()

    async def read() -> int:
        nonlocal begun
        begun += 1
        await ending.wait()
        return begun

    assert await asyncio.gather(*(shared.within(0.01, read) for _ in range(100))) == [None] * 100
    assert await shared.within(0.01, read) is None
    assert begun == 1
    waiting = asyncio.create_task(shared.within(PATIENCE, read))
    ending.set()
    assert await waiting == 1
    assert await shared.within(PATIENCE, read) == 2, "what was read for others is not told again later"


async def test_what_a_reading_meets_is_told_to_who_waits_and_the_next_one_begins_anew() -> None:
    shared = OneAtATime[int]()

    async def fails() -> int:
        raise ConnectionRefusedError("refused")

    async def works() -> int:
        return 7

    with pytest.raises(ConnectionRefusedError):
        await shared.within(PATIENCE, fails)
    assert await shared.within(PATIENCE, works) == 7


async def test_a_relay_without_its_database_tells_no_figures_of_it_and_is_not_ready(
    source: Engine, switch: Switch, way: Stream, cluster: Cluster
) -> None:
    (port,) = free_ports(1)
    await source.sql("delete from tidings.workers")
    config = msgspec.structs.replace(
        behind(switch, source.services.config), stream=cluster.url, source="shop", metrics_address=f"127.0.0.1:{port}"
    )
    stop = Signal()
    task = asyncio.create_task(run_relay(config, stop))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            await eventually(lambda: tells(client, {"tidings_database_up": 1, 'tidings_relay_at_work{source="shop"}': 1}))
            assert 'tidings_relay_outbox_rows{source="shop"}' in await figures(client)
            await source.sql(
                "insert into tidings.outbox_rejected (id, row_as_json, error) select n, '{}', 'no' from generate_series(1, $1::integer) n",
                MAX_SET_ASIDE + 1,
            )
            await eventually(lambda: tells(client, {'tidings_relay_set_aside{source="shop"}': MAX_SET_ASIDE}))
            switch.cut()
            await eventually(lambda: tells(client, {"tidings_database_up": 0, 'tidings_relay_at_work{source="shop"}': 0}))
            assert 'tidings_relay_outbox_rows{source="shop"}' not in await figures(client)
            ready = await client.get("/readyz")
            assert (ready.status_code, "what is committed at source shop waits there" in ready.text) == (503, True)
            switch.mend()
            await eventually(lambda: tells(client, {"tidings_database_up": 1, 'tidings_relay_at_work{source="shop"}': 1}))
            await eventually(lambda: is_ready(client))
    finally:
        stop.set()
        await task


async def tells(client: httpx.AsyncClient, wanted: dict[str, float]) -> bool:
    try:
        found = await figures(client)
    except httpx.ConnectError:  # it has not begun
        return False
    return all(found.get(name) == value for name, value in wanted.items())


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_a_relay_without_the_stream_tells_what_waits_and_why(source: Engine, way: Stream, cluster: Cluster) -> None:
    (port,) = free_ports(1)
    await source.sql("delete from tidings.workers")
    config = msgspec.structs.replace(
        source.services.config, stream=cluster.url, source="shop", metrics_address=f"127.0.0.1:{port}"
    )
    stop = Signal()
    task = asyncio.create_task(run_relay(config, stop))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            await eventually(lambda: tells(client, {'tidings_relay_at_work{source="shop"}': 1}))
            cluster.nodes[0].kill()
            await source.sql("select tidings.publish('order.paid', '{}')")
            waits = {
                "tidings_database_up": 1,
                'tidings_relay_waiting_flights{home="here",source="shop"}': 1,
                'tidings_relay_waiting_reason{home="here",reason="away",source="shop"}': 1,
            }
            await eventually(lambda: tells(client, waits))
            assert "does not answer" in (await client.get("/readyz")).text
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
