"""Events that lead to themselves: receivers that really loop are stopped after a stated depth, and that is shown."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import engine_of, eventually, user_url
from tests.support.limits import PATIENCE
from tests.support.receiver import Received, Receiver, answer
from tests.support.serving import ApiServer
from tidings.client import AsyncClient, within_async
from tidings.config import Config
from tidings.core.flips import LONGEST, SHORTEST, Change, Loop, PutOff, decide_flip, put_off_of
from tidings.core.hops import DEFAULT_DEPTH, MAX_HOPS, hops_of, told, too_deep

DEPTH = 5


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    import msgspec

    async with (
        engine_of(msgspec.structs.replace(config, loop_depth=DEPTH), running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


@pytest.fixture
async def observer() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


async def is_stopped(api: Api, webhook: Any) -> Any:
    """Wait until a delivery was stopped, and return what is shown of it everywhere."""
    (stopped,) = await eventually(lambda: api("GET", "/api/v1/deliveries?status=failed", 200))
    assert (stopped["webhook_id"], stopped["attempts"]) == (webhook["id"], 0)
    read = await api("GET", f"/api/v1/webhooks/{webhook['id']}", 200)
    assert "1 delivery was stopped because they led to themselves" in read["health"]["sentence"]
    metrics = (await api.client.get("/metrics")).text
    assert "tidings_deliveries_looped 1.0" in metrics
    return stopped


def publishes_again(api: Api, how: str) -> Any:
    """A receiver that answers each delivery by publishing the same, within the delivery."""

    async def script(received: Received, writer: asyncio.StreamWriter) -> None:
        url = str(api.client.base_url)
        carried = {"baggage": received.headers["baggage"]}
        if how == "sdk":
            async with AsyncClient(url, "test") as client:
                await client.events.publish("order.paid", {"again": True}, caused_by=received.headers)
        elif how == "batch":
            body = json.dumps({"type": "order.paid", "data": {}})
            await api.client.post("/api/v1/events/batch", content=body, headers=carried)
        elif how == "record":
            await api.client.post("/api/collections/posts/records", json={"title": "again"}, headers=carried)
        else:
            user = await asyncpg.connect(user_url(api.engine.services.config))  # an application's, whose role may publish
            try:
                async with user.transaction():
                    await within_async(user, received.headers)
                    call = "select tidings.publish('order.paid', '{}')"
                    await user.execute(call if how == "function" else "insert into orders default values")
            finally:
                user.terminate()
        writer.write(answer())

    return script


@pytest.mark.parametrize("how", ["sdk", "batch", "record", "function", "table"])
async def test_a_receiver_that_publishes_what_it_is_told_is_stopped_by_the_header_that_comes_back(
    api: Api, receiver: Receiver, observer: Receiver, how: str
) -> None:
    await api.engine.user.execute("create table orders (id int generated always as identity)")
    await api("POST", "/api/collections", 201, {"name": "posts", "schema": [{"name": "title", "type": "text"}]})
    await api.create(observer.url(), "webhook.loop")
    receiver.otherwise = publishes_again(api, how)
    webhook = await api.create(receiver.url(), "order.paid", "content.*", {"table": "orders"})
    begin = {"record": "/api/collections/posts/records"}.get(how, "/api/v1/events")
    await api.client.post(begin, json={"title": "first"} if how == "record" else {"type": "order.paid", "data": {}})
    stopped = await is_stopped(api, webhook)
    assert stopped["error"].startswith(f"Stopped: {DEPTH} deliveries led to this event")
    assert [hops_of(one.headers["baggage"]) for one in receiver.received] == list(range(1, DEPTH + 1))
    (told_of,) = await observer.wait_for(1)
    said = json.loads(told_of.body)
    assert (said["type"], said["data"]["webhook_id"]) == ("webhook.loop", webhook["id"])
    # Sent again by hand it goes out, once: somebody decided so.
    await api("POST", f"/api/v1/deliveries/{stopped['id']}/retry", 202)
    await receiver.wait_for(DEPTH + 1)


async def test_a_notice_that_a_delivery_led_to_carries_on_its_hops(api: Api, receiver: Receiver) -> None:
    import hashlib
    import hmac

    made = await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "github"})
    await api.create(receiver.url(), "integration.*", "site.*")
    body = json.dumps({"repository": {"id": 7}, "action": "created"}).encode()
    signature = hmac.new(made["secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "repository", "x-github-delivery": "1"}
    response = await api.client.post("/in/shop", content=body, headers=headers | {"baggage": "a=b, tidings.hops=3 ;x=y"})
    assert response.status_code == 200
    hops = await eventually(
        lambda: api.engine.sql("select hops from tidings.events where source = 'integrations' and hops > 0")
    )
    assert {row["hops"] for row in hops} == {3}


async def test_webhooks_that_are_told_of_each_other_do_not_loop(api: Api, receiver: Receiver) -> None:
    receiver.otherwise = publishes_again(api, "sdk")
    for _ in range(2):
        await api.create(receiver.url(), "webhook.*", "order.paid")
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
    counted = "select count(*) from tidings.deliveries where attempt_count = 0"
    await eventually(lambda: api.engine.value(counted))
    last = -1
    while last != (last := await api.engine.value("select count(*) from tidings.events")):
        await eventually(lambda: _is_quiet(api))
    operational = await api.engine.sql("select type, count(*) from tidings.events where source = 'tidings' group by type")
    assert {row["type"]: row["count"] for row in operational}.keys() <= {"webhook.loop"}
    assert sum(row["count"] for row in operational) <= 2  # once for each webhook in an hour


async def _is_quiet(api: Api) -> bool:
    waits = await api.engine.value("select (select count(*) from tidings.outbox) + (select count(*) from tidings.queue)")
    return not waits and not await api.engine.value("select sum(in_flight) from tidings.lanes")


# The same row ------------------------------------------------------------------------------------------------------------


def writes_back(url: str, *, is_late: bool) -> Any:
    """A receiver that changes the row it is told of, in its own connection; before it answers, or just after."""

    async def change(number: int) -> None:
        user = await asyncpg.connect(url)
        try:
            await user.execute("update orders set touched = touched + 1 where id = $1", number)
        finally:
            user.terminate()  # which the end of the test does not cut short

    tasks = set()

    async def script(received: Received, writer: asyncio.StreamWriter) -> None:
        number = json.loads(received.body)["data"]["record"]["id"]
        if is_late:
            writer.write(answer())
            tasks.add(asyncio.create_task(change(number)))
            return
        await change(number)
        writer.write(answer())

    return script


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_receiver_that_writes_back_to_the_row_it_is_told_of_is_put_off_and_stopped(
    api: Api, receiver: Receiver, is_late: bool
) -> None:
    await api.engine.user.execute("create table orders (id int primary key, touched int default 0)")
    receiver.otherwise = writes_back(api.engine.services.config.database_url, is_late=is_late)
    webhook = await api.create(receiver.url(), {"table": "orders", "operations": ["UPDATE"]})
    await api.engine.user.execute("insert into orders values (1), (2)")
    await api.engine.user.execute("update orders set touched = 1 where id = 1")
    stopped = await is_stopped(api, webhook)
    assert "each followed the delivery of the one before" in stopped["error"]
    made = await api.engine.value("select touched from orders where id = 1")
    assert DEPTH + put_off_of(DEPTH) <= made <= DEPTH + put_off_of(DEPTH) + 12  # some pass before history is asked
    await api.engine.user.execute("update orders set touched = 1 where id = 2")  # another row is told of as before
    await receiver.wait_for(made + 1)


async def test_a_row_that_changes_often_by_itself_is_told_of_each_time(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("create table orders (id int primary key, touched int default 0)")
    await api.create(receiver.url(), {"table": "orders", "operations": ["UPDATE"]})
    await api.engine.user.execute("insert into orders values (1)")
    for count in range(4 * DEPTH):
        await api.engine.user.execute(f"update orders set touched = {count} where id = 1")
        await receiver.wait_for(count + 1 if count < 2 else 1)  # the first ones wait for their deliveries, as in a loop
    await receiver.wait_for(4 * DEPTH)
    assert await api("GET", "/api/v1/deliveries?status=failed", 200) == []


# Decisions -----------------------------------------------------------------------------------------------------------------

START = datetime(2026, 1, 1, tzinfo=UTC)


def chain(
    count: int, *, gap: float = 0.1, wait: float = 0.01, put_off: int = 0, pause: float = 1.0
) -> tuple[list[Change], datetime]:
    """Changes that each follow the delivery of the one before, the last ones of which were put off."""
    changes, at = [], START
    for number in range(count):
        this = pause if number >= count - put_off else wait
        changes.append(Change(at, at + timedelta(seconds=this)))
        at += timedelta(seconds=this + gap)
    return changes, at


@pytest.mark.parametrize(("put_off", "expected"), [(0, PutOff(SHORTEST)), (5, PutOff(SHORTEST)), (6, "loop")])
def test_a_chain_is_put_off_six_times_before_it_is_a_loop(put_off: int, expected: Any) -> None:
    decided = decide_flip(*chain(16, put_off=put_off), 16)
    assert decided == expected or (expected == "loop" and isinstance(decided, Loop))


@pytest.mark.parametrize("mean", [0.5, 2.0, 5.0])
def test_a_busy_row_whose_changes_come_by_chance_is_not_called_a_loop(mean: float) -> None:
    rng = random.Random(1)
    changes: list[Change] = []
    at, stopped = START, 0
    for _ in range(5_000):
        decided = decide_flip(changes[-16:], at, 16)
        stopped += isinstance(decided, Loop)
        wait = decided.length.total_seconds() if isinstance(decided, PutOff) else 0.01
        changes.append(Change(at, at + timedelta(seconds=wait)))
        at += timedelta(seconds=rng.expovariate(1 / mean))
    assert stopped == 0


def test_what_does_not_wait_for_its_delivery_is_no_loop() -> None:
    changes, now = chain(16, put_off=2)
    assert decide_flip(changes[1:], now, 16) is None  # too few
    assert decide_flip([*changes[:-1], Change(changes[-1].at, None)], now, 16) is None  # not sent yet
    assert decide_flip([*changes[:-1], Change(changes[-1].at, now)], now, 16) is None  # sent when the next was made already
    slow, later = chain(16, gap=11)
    assert decide_flip(slow, later, 16) is None  # every eleven seconds
    seldom, later = chain(16, gap=8)
    assert decide_flip(seldom, later, 16) == PutOff(timedelta(seconds=3 * 8.01))
    assert timedelta(seconds=3 * 8.01) <= LONGEST


@pytest.mark.parametrize(
    ("baggage", "hops"),
    [
        (None, 0), ("", 0), ("tidings.hops=3", 3), ("a=1,tidings.hops = 12;p=q , b=2", 12), ("tidings.hops=", 0),
        ("tidings.hops=-1", 0), ("tidings.hops=²", 0), ("tidings.hops=99999999999", MAX_HOPS), ("xtidings.hops=3", 0),
        ("tidings.hops=abc,tidings.hops=4", 4), ("userId=alice,serverNode=DF%2028", 0),
    ],
)  # fmt: skip
def test_hops_are_read_from_baggage_as_others_write_it(baggage: str | None, hops: int) -> None:
    assert hops_of(baggage) == hops
    assert hops_of(told(hops)) == min(hops + 1, MAX_HOPS)


def test_the_depth_is_the_number_of_deliveries_that_are_made() -> None:
    assert too_deep(DEFAULT_DEPTH - 1, DEFAULT_DEPTH) is None
    assert "16 deliveries led to this event" in (too_deep(DEFAULT_DEPTH, DEFAULT_DEPTH) or "")
