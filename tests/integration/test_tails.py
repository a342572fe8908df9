"""Attempts are told of as they are recorded, to those who want them, and slow readers of what they missed."""

import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import engine_of, eventually
from tests.support.receiver import Receiver
from tidings.api.tails import MAX_OF_GROUP, MAX_WAITING, Tail, Tails
from tidings.config import Config
from tidings.core.delivery import State
from tidings.core.errors import BusyError
from tidings.operations.history.following import Tried, Wanted, read_tried
from tidings.operations.services import Services
from tidings.store import live
from tidings.store.live import Announced

LISTENS = "select count(*) from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 5 and granted"


@asynccontextmanager
async def following(api: Api, **asked: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:  # noqa: F811
    """Follow a stream, which has begun."""
    async with api.client.stream("GET", "/api/v1/attempts/stream", params=asked) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = said(response)
        assert (await anext(events))[0] == "gap", "nothing is missed from here on"
        yield events


async def said(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def test_each_attempt_is_told_of_with_what_it_was_of(api: Api, receiver: Receiver) -> None:  # noqa: F811
    hook = await api.create(receiver.url(), "order.*")
    assert await api.engine.value(LISTENS) == 0
    async with following(api) as events:
        event = await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
        name, told = await anext(events)
    (delivery,) = await api("GET", "/api/v1/deliveries", 200)
    assert name == "attempt"
    assert told == {
        "id": delivery["id"], "webhook_id": hook["id"], "event_id": event["id"], "event": "order.paid", "status": "succeeded",
        "attempts": 1, "number": 1, "created_at": told["created_at"],
    }  # fmt: skip
    await eventually(lambda: _nobody_listens(api))


async def _nobody_listens(api: Api) -> bool:  # noqa: F811
    return await api.engine.value(LISTENS) == 0


async def test_only_what_is_wanted_is_told_and_nothing_of_other_groups(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    theirs = {"headers": {"X-Tidings-Group": "acme"}}
    await api("POST", "/api/v1/webhooks", 201, {"url": receiver.url(), "events": "*"}, **theirs)
    first, second = await api.create(receiver.url("/1"), "*"), await api.create(receiver.url("/2"), "*")
    async with (
        following(api, webhook_id=second["id"]) as of_one, following(api, type="order.*,cart.left") as of_types,
        following(api, status="failed") as of_failed, following(api, status="succeeded") as of_all,
    ):  # fmt: skip
        await api("POST", "/api/v1/events", 202, {"type": "other.told", "data": {}}, **theirs)
        for type_ in ("user.made", "order.paid", "cart.left"):
            await api("POST", "/api/v1/events", 202, {"type": type_, "data": {}})
        seen = [(await anext(of_one))[1] for _ in range(3)]
        assert {one["webhook_id"] for one in seen} == {second["id"]}
        types = [(await anext(of_types))[1]["event"] for _ in range(4)]
        assert sorted(types) == ["cart.left", "cart.left", "order.paid", "order.paid"]
        everything = [(await anext(of_all))[1] for _ in range(6)]
        assert {one["webhook_id"] for one in everything} == {first["id"], second["id"]}
        assert {one["event"] for one in everything} == {"user.made", "order.paid", "cart.left"}
        del of_failed
    await api("GET", "/api/v1/attempts/stream?status=nonsense", 422)
    await api("GET", "/api/v1/attempts/stream?since=now", 422)


def tried(event: str = "order.paid") -> Tried:
    return Tried(uuid4(), uuid4(), uuid4(), event, "succeeded", 1, 1, datetime.now(UTC))


async def test_a_slow_reader_is_told_how_many_it_missed_of_what_it_wanted(api: Api) -> None:  # noqa: F811
    tail = Tail(api.engine.services, Wanted(types=("order.*",)))
    tail.hear([tried("user.made") for _ in range(MAX_WAITING)])
    tail.hear([tried() for _ in range(MAX_WAITING + 7)])
    messages = tail.messages()
    assert await anext(messages) == b'event: missed\ndata: {"count":7}\n\n'
    tail.end()
    assert len([text async for text in messages]) == MAX_WAITING


async def test_a_busy_neighbour_neither_drowns_a_stream_nor_shows_in_it(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    await api.create(receiver.url(), "*")
    async with following(api) as events:
        neighbours = [Announced("acme", uuid4(), 1) for _ in range(MAX_WAITING * 3)]
        async with api.engine.services.wide.connection() as connection:
            assert await live.announce(connection, neighbours, is_gap=False)
        await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
        name, told = await anext(events)
        assert (name, told["event"]) == ("attempt", "order.paid"), "the first that is heard of"


async def test_streams_of_a_group_share_what_is_read(config: Config, receiver: Receiver) -> None:
    reads = 0

    async def counted(services: Services, attempts: dict[UUID, int]) -> list[Tried]:
        nonlocal reads
        reads += 1
        return await read_tried(services, attempts)

    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        hub = Tails(read=counted)
        asked = (Wanted(), Wanted(states=(State.SUCCEEDED,)), Wanted(states=(State.FAILED,)))
        tails = [Tail(engine.services, wanted) for wanted in asked]
        streams = [hub.follow(tail) for tail in tails]
        for tail, stream in zip(tails, streams, strict=True):
            hub.add(tail)
            assert [await anext(stream), await anext(stream)][1].startswith(b"event: gap")
        await engine.publish()
        await engine.cycle()
        await engine.worker.teller.run_once()
        first, second = await anext(streams[0]), await anext(streams[1])
        assert first == second
        assert first.startswith(b"event: attempt")
        assert reads == 1
        hub.close()
        assert [text async for text in streams[2]] == [], "it wants others"
        for stream in streams:
            await stream.aclose()


async def test_attempts_that_were_not_announced_are_a_gap(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "*")
    async with following(api) as events:
        async with api.engine.services.wide.connection() as connection:
            assert await live.announce(connection, [], is_gap=True)
        assert (await anext(events))[0] == "gap"


async def test_what_is_recorded_notifies_nobody_in_its_transaction(config: Config, receiver: Receiver) -> None:
    """Commits that notify wait for one another: the announcement is one of its own, for all that was recorded."""
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        heard: list[str] = []
        listener = await engine.services.wide.dedicated()
        try:
            await listener.add_listener(live.ATTEMPTS_CHANNEL, lambda _, __, ___, payload: heard.append(payload))
            await live.listen(listener, lambda _, __: None, lambda: None)
            for _ in range(3):
                await engine.publish()
                await engine.cycle()
            await live.probe(listener)  # what was notified comes before the answer
            assert heard == []
            assert await engine.worker.teller.run_once() == 3
            await live.probe(listener)
            assert len(heard) == 1
            assert heard[0].startswith("default/")
        finally:
            await listener.close()


async def test_a_slow_reader_whose_key_ends_is_told_nothing_more(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "*")
    for _ in range(2):
        await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
    await receiver.wait_for(2)
    first, second = [UUID(one["id"]) for one in await api("GET", "/api/v1/deliveries", 200)]
    is_good = True

    async def is_admitted() -> bool:
        return is_good

    tail = Tail(api.engine.services, Wanted(), is_admitted)
    tail.hear([(first, 1)])
    messages = tail.messages()
    assert (await anext(messages)).startswith(b"event: attempt")
    tail.hear([(second, 1)])  # before the reader has taken what came first
    is_good = False
    assert [text async for text in messages] == []


async def test_streams_are_bounded(api: Api) -> None:  # noqa: F811
    hub = Tails()
    try:
        for _ in range(MAX_OF_GROUP):
            hub.add(Tail(api.engine.services, Wanted()))
        with pytest.raises(BusyError, match="Too many streams"):
            hub.add(Tail(api.engine.services, Wanted()))
    finally:
        hub.close()
    with pytest.raises(BusyError):
        hub.add(Tail(api.engine.services, Wanted()))


async def test_a_stream_goes_on_and_says_so_when_its_listener_was_cut_off(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "order.*")
    async with following(api) as events:
        await api.engine.sql(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 5"
        )
        await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
        names = [(await anext(events))[0]]
        while "gap" not in names:
            names.append((await anext(events))[0])
        await api("POST", "/api/v1/events", 202, {"type": "order.sent", "data": {}})
        assert (await anext(events))[1]["event"] == "order.sent"


async def test_an_attempt_is_told_of_within_a_moment(api: Api, receiver: Receiver, tell: Any) -> None:  # noqa: F811
    """The time from the receiver's answer to the line; no limit here, as machines differ: the figure is told."""
    await api.create(receiver.url(), "order.*")
    took = []
    async with following(api) as events:
        for count in range(1, 21):
            await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
            await receiver.wait_for(count)
            began = time.monotonic()
            assert (await anext(events))[0] == "attempt"
            took.append(time.monotonic() - began)
    tell(f"attempt to stream: p50 {statistics.median(took) * 1000:.0f} ms of {len(took)}")


async def test_a_stream_that_begins_while_the_listener_of_the_last_one_ends_hears(
    api: Api,  # noqa: F811
) -> None:
    tails = Tails()
    first, second = Tail(api.engine.services, Wanted()), Tail(api.engine.services, Wanted())
    tails.add(first)
    follow = tails.follow(first)
    await anext(follow)
    await follow.aclose()
    tails.add(second)  # before the listener has seen that nobody was left
    follow = tails.follow(second)
    assert [await anext(follow), await anext(follow)] == [b"retry: 2000\n\n", b"event: gap\ndata: {}\n\n"]
    assert tails._task is not None
    assert not tails._stopping.is_set()
    await follow.aclose()


async def test_a_stream_ends_when_nobody_can_say_whether_its_key_is_good_still(api: Api) -> None:  # noqa: F811
    """As when its database is away: whoever follows begins another, and is told of the gap."""

    async def is_admitted() -> bool:
        raise BusyError("All connections to the database are in use; nothing was done. Try again.")

    tails, tail = Tails(), Tail(api.engine.services, Wanted(), is_admitted)
    assert [text async for text in tails.follow(tail)] == [b"retry: 2000\n\n"]
