"""A fleet as an operator runs it: the commands of docs/fleet-operations.md, each as a process, one after the other."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support import stream
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process, run_cli
from tests.support.receiver import Receiver

KEY = {"authorization": "Bearer test"}
SMALL = ("--replicas", "1", "--max-bytes", "50000000")
SERVING = {"port": 0, "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 2}


class Fleet:
    """Two homes and a source, with the settings that all share."""

    def __init__(self, urls: dict[str, str], **common: Any) -> None:
        self.urls = urls
        self.common = common
        self.addresses: dict[str, str] = {}

    async def run(self, *args: str, expect: int = 0, **settings: Any) -> Any:
        """Run a command as an operator does, and return what it says to programs."""
        done = await asyncio.to_thread(run_cli, *args, "--json", **self.common, **settings)
        assert done.returncode == expect, done.stdout + done.stderr
        said = done.stdout or done.stderr
        return json.loads(said.splitlines()[-1])

    async def at(self, home: str, *args: str, **options: Any) -> Any:
        return await self.run(*args, database_url=self.urls[home], home=home, **options)

    async def api(self, home: str, method: str, path: str, group: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(base_url=self.addresses[home], timeout=PATIENCE) as client:
            answer = await client.request(method, path, json=body, headers=KEY | {"x-tidings-group": group})
        assert answer.is_success, answer.text
        return answer.json()


@asynccontextmanager
async def process_of(*args: str, **settings: Any) -> AsyncIterator[Process]:
    running = await Process.start(*args, **settings)
    try:
        yield running
        assert await running.stop() == 0
    finally:
        await running.kill()


@pytest.fixture
async def fleet(tmp_path: Path, fresh_databases: Callable[[int], Awaitable[list[str]]]) -> AsyncIterator[Fleet]:
    eu, us, shop = await fresh_databases(3)
    async with stream.running(tmp_path / "nats") as cluster:
        common = {"stream": cluster.url, "secret_key": "test", "admin_key": "test", "data_dir": tmp_path}
        yield Fleet({"eu": eu, "us": us, "shop": shop}, **common)


async def test_a_fleet_is_made_grows_moves_a_group_and_is_taken_apart(fleet: Fleet, receiver: Receiver) -> None:
    assert (await fleet.run("stream", "init", "--home", "eu", *SMALL))["homes"] == ["eu"]
    async with AsyncExitStack() as stack:

        async def serve(home: str) -> None:
            options = SERVING | fleet.common | {"database_url": fleet.urls[home], "home": home}
            fleet.addresses[home] = (await stack.enter_async_context(process_of("serve", **options))).ready["url"]

        await serve("eu")
        relaying = await stack.enter_async_context(AsyncExitStack())
        at_source = {"database_url": fleet.urls["shop"], "source": "shop"}
        await relaying.enter_async_context(process_of("relay", **at_source, **fleet.common))
        user = await asyncpg.connect(fleet.urls["shop"])
        stack.push_async_callback(user.close)

        async def publish(number: int) -> None:
            await user.execute("select tidings.publish('order.paid', $1, group_id => 'acme')", json.dumps({"number": number}))

        async def received(count: int) -> bool:
            return len(receiver.received) >= count

        await fleet.api("eu", "POST", "/api/v1/groups", "default", {"id": "acme"})
        await fleet.api("eu", "POST", "/api/v1/webhooks", "acme", {"url": receiver.url(), "events": ["order.*"]})
        await publish(1)
        await eventually(lambda: received(1))

        # One more home: nothing moves for it.
        assert (await fleet.run("stream", "init", "--home", "eu", "--home", "us", *SMALL))["homes"] == ["eu", "us"]
        await serve("us")
        await eventually(lambda: is_well(fleet))
        plan = await fleet.at("eu", "stream", "move", "acme", "--to", "us", "--database", fleet.urls["us"], "--plan")
        assert plan["rows"]["webhooks"] == 1
        assert len(await fleet.api("eu", "GET", "/api/v1/deliveries", "acme")) == 1
        await fleet.at("eu", "stream", "move", "acme", "--to", "us", "--database", fleet.urls["us"])
        await publish(2)
        await eventually(lambda: received(2))
        assert [json.loads(one.body)["data"]["number"] for one in receiver.received] == [1, 2]

        async def is_on_record() -> bool:
            return [one["status"] for one in await fleet.api("us", "GET", "/api/v1/deliveries", "acme")] == ["succeeded"] * 2

        await eventually(is_on_record)

        # New groups by hand, and by name.
        await fleet.run("stream", "place", "newcomer", "--home", "us")
        databases = [f"--database={home}={fleet.urls[home]}" for home in ("eu", "us")]
        await fleet.run("stream", "spread", "--home", "eu", "--home", "us", *databases, "--plan")

        # Maintenance of the stream, with commits going on.
        await fleet.run("stream", "drain", "--all")
        await publish(3)
        assert (await fleet.run("stream", "status"))["drained"] == ["eu", "us"]
        assert len(receiver.received) == 2
        await fleet.run("stream", "drain", "--all", "--resume")
        await eventually(lambda: received(3))
        await eventually(lambda: is_well(fleet))

        refused = await fleet.run("stream", "remove", "us", expect=2)
        assert "acme" in refused["error"] or "group" in refused["error"]
        await fleet.at("us", "stream", "move", "acme", "--to", "eu", "--database", fleet.urls["eu"])
        await publish(4)
        await eventually(lambda: received(4))
        await relaying.aclose()
        await fleet.run("relay", "--leave", **at_source)
    user = await asyncpg.connect(fleet.urls["shop"])
    assert (
        await user.fetchval("select (select count(*) from tidings.outbox) + (select count(*) from tidings.relay_flights)") == 0
    )
    await user.close()


async def is_well(fleet: Fleet) -> bool:
    done = await asyncio.to_thread(run_cli, "stream", "status", "--json", **fleet.common)
    return done.returncode == 0
