"""The Python SDK, both clients, against a running engine."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

import tidings
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.client import ApiError, AsyncClient, Client, VerificationError, verify
from tidings.config import Config

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url(config: Config, api_server: ApiServer) -> AsyncIterator[str]:
    async with engine_of(config, running=True) as engine, api_server.serving(engine.services) as url:
        await engine.user.execute("create table posts (id int primary key, title text)")
        yield url


async def test_the_async_client_does_what_the_api_does(url: str, receiver: Receiver) -> None:
    async with AsyncClient(url, "test") as client:
        webhook = await client.webhooks.create(receiver.url("/hook"), ["order.*"], name="Orders", retry={"delays": [1]})
        assert webhook.secret is not None
        assert (webhook.name, webhook.profile, webhook.retry["delays"]) == ("Orders", "standard", [1])
        published = await client.events.publish("order.paid", {"total": 12.5}, id="o-1")
        assert (await client.events.publish("order.paid", {"total": 12.5}, id="o-1")).duplicate
        await receiver.wait_for(1)
        request = receiver.received[0]
        said = verify(request.body, request.headers, webhook.secret)
        assert said["data"] == {"total": 12.5}
        with pytest.raises(VerificationError):
            verify(request.body + b" ", request.headers, webhook.secret)
        tested = await client.webhooks.test(webhook.id, event="order.tested", data={"a": 1})
        assert (tested.success, tested.outcome) == (True, "answered")
        shown = await client.webhooks.preview(webhook.id, profile="vivreal", events=["*"], event_id=published.id)
        assert (shown.profile, shown.event.is_sample, dict(shown.headers)["X-Vivreal-Event"]) == (
            "vivreal",
            False,
            "order.paid",
        )
        shown = await client.webhooks.preview_draft(url=receiver.url("/hook"), event="webhook.test")
        assert (shown.profile, shown.event.is_sample) == ("standard", True)
        health = (await client.webhooks.get(webhook.id)).health
        assert health is not None
        assert health.day is not None
        assert webhook.profile_reason is not None
        (delivery,) = await client.deliveries.list(event_id=published.id)
        assert (await client.deliveries.get(delivery.id)).payload["data"] == {"total": 12.5}
        assert [attempt.number for attempt in await client.deliveries.list_attempts(delivery.id)] == [1]
        await client.deliveries.retry(delivery.id)
        await receiver.wait_for(3)
        assert len(await client.webhooks.list_deliveries(webhook.id)) == 2
        assert (await client.webhooks.get_secret(webhook.id)).secret == webhook.secret
        assert (await client.webhooks.rotate_secret(webhook.id)).previous_secret == webhook.secret
        assert (await client.webhooks.update(webhook.id, enabled=False)).enabled is False
        assert [one.id for one in await client.webhooks.list()] == [webhook.id]
        assert (await client.events.get(published.id)).type == "order.paid"
        assert len(await client.events.list(type="order.paid")) == 1
        batch = await client.events.publish_batch(
            [{"type": "a.b", "data": n} for n in range(3)] + [{"type": "table.x", "data": 1}]
        )
        assert (batch.accepted, len(batch.ids), [error.line for error in batch.errors]) == (3, 4, [4])
        await client.webhooks.delete(webhook.id)
        with pytest.raises(ApiError) as caught:
            await client.webhooks.get(webhook.id)
        assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")


async def test_the_sync_client_does_the_same(url: str, receiver: Receiver) -> None:
    def work() -> None:
        with Client(url, "test") as client:
            webhook = client.webhooks.create(receiver.url("/hook"), [{"table": "posts"}], profile="vivreal")
            assert client.webhooks.get(webhook.id).events == [
                {"table": "posts", "schema": "public", "operations": ["INSERT", "UPDATE", "DELETE"]}
            ]
            with pytest.raises(ApiError) as caught:
                client.webhooks.update(webhook.id, events=["content.created"])
            assert (caught.value.status, caught.value.field) == (422, "events[0]")
            client.webhooks.delete(webhook.id)

    await asyncio.to_thread(work)


def test_there_is_one_source_of_both_clients() -> None:
    spec = importlib.util.spec_from_file_location("make_sync_client", ROOT / "tools" / "make_sync_client.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    made = tool.made()
    assert set(made) == {path for room in tool.ROOMS for path in room.glob("sync_*.py")}
    assert [path.name for path, text in made.items() if path.read_text() != text] == []


def test_the_package_offers_the_sdk() -> None:
    assert (tidings.Client, tidings.AsyncClient, tidings.verify) == (Client, AsyncClient, verify)
    with pytest.raises(AttributeError):
        tidings.nothing  # noqa: B018


def answering(*answers: Any) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A network that gives these answers in turn; an exception is raised."""
    seen: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return answer

    return httpx.MockTransport(handle), seen


NOTHING = httpx.Response(200, json=[])


@pytest.mark.parametrize(
    "trouble", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(503), httpx.Response(502)]
)
async def test_what_can_be_repeated_is(trouble: Any) -> None:
    transport, seen = answering(trouble, NOTHING)
    async with AsyncClient("http://t", transport=transport) as client:
        assert await client.webhooks.list() == []
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (httpx.ConnectError("refused"), 0, "UNREACHABLE"),
        (httpx.ReadTimeout("slow"), 0, "TIMEOUT"),
        (
            httpx.Response(503, json={"error": "The database is unavailable. Try again.", "code": "UNAVAILABLE"}),
            503,
            "UNAVAILABLE",
        ),
        (httpx.Response(500, text="<html>"), 500, "HTTP_ERROR"),
    ],
)
async def test_what_cannot_be_repeated_is_tried_once(trouble: Any, status: int, code: str) -> None:
    transport, seen = answering(trouble)
    async with AsyncClient("http://t", transport=transport) as client:
        with pytest.raises(ApiError) as caught:
            await client.webhooks.create("https://x.example", ["*"])
    assert (caught.value.status, caught.value.code, len(seen)) == (status, code, 1)


async def test_publishing_is_repeated_with_the_same_id() -> None:
    published = httpx.Response(202, json={"id": "550e8400-e29b-41d4-a716-446655440000", "duplicate": True})
    transport, seen = answering(httpx.ReadError("cut"), published)
    async with AsyncClient("http://t", transport=transport) as client:
        assert (await client.events.publish("a.b")).duplicate
    assert seen[0].content == seen[1].content


async def test_a_client_of_a_group_sees_what_is_its_own(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE) as admin:
        assert (await admin.post("/api/v1/groups", json={"id": "acme"})).status_code == 201
    async with AsyncClient(url, "test", group="acme") as client, AsyncClient(url, "test") as other:
        made = await client.webhooks.create("http://127.0.0.1:9/", ["*"])
        assert [webhook.id for webhook in await client.webhooks.list()] == [made.id]
        assert await other.webhooks.list() == []


def happened(number: int) -> dict[str, Any]:
    at = "2026-11-21T03:42:37.002Z"
    return {"id": str(UUID(int=number)), "source": "api", "type": "a.b", "occurred_at": at}


def three_pages() -> list[httpx.Response]:
    return [
        httpx.Response(200, json=[happened(1), happened(2)], headers={"Tidings-Next": "one", "Tidings-Count": ">=2"}),
        httpx.Response(200, json=[], headers={"Tidings-Next": "two", "Tidings-Searched-To": "2026-11-21T03:42:37.002Z"}),
        httpx.Response(200, json=[happened(3)], headers={"Tidings-Prev": "one"}),
    ]


async def test_a_walk_reads_every_page() -> None:
    since = datetime(2026, 11, 21, tzinfo=UTC)
    transport, seen = answering(*three_pages())
    async with AsyncClient("http://t", transport=transport) as client:
        found = [event.id.int async for event in client.events.walk(type=["a.b", "order.*"], since=since, offset=3, count=True)]
    assert found == [1, 2, 3]
    asked = [dict(request.url.params.multi_items()) | {"type": request.url.params.get_list("type")} for request in seen]
    first = {"type": ["a.b", "order.*"], "since": "2026-11-21T00:00:00+00:00", "count": "true"}
    assert asked == [first | {"offset": "3"}, first | {"cursor": "one"}, first | {"cursor": "two"}]


def test_a_page_tells_what_is_around_it() -> None:
    transport, _ = answering(*three_pages())
    with Client("http://t", transport=transport) as client:
        page = client.events.page()
        assert ([event.id.int for event in page.items], page.next, page.prev, page.count) == ([1, 2], "one", None, ">=2")
        assert client.events.page(cursor="one").searched_to == datetime(2026, 11, 21, 3, 42, 37, 2000, tzinfo=UTC)
    transport, _ = answering(*three_pages())
    with Client("http://t", transport=transport) as client:
        assert [event.id.int for event in client.events.walk()] == [1, 2, 3]


async def test_deliveries_are_searched_and_statistics_read(url: str, receiver: Receiver) -> None:
    async with AsyncClient(url, "test") as client:
        webhook = await client.webhooks.create(receiver.url("/hook"), ["order.*"])
        for number in range(3):
            await client.events.publish("order.paid", {"number": number})
        await receiver.wait_for(3)

        async def all_succeeded() -> Any:
            found = [delivery.id async for delivery in client.deliveries.walk(status="succeeded", type="order.*", limit=1)]
            return found if len(found) == 3 else None

        found = await eventually(all_succeeded)
        assert [
            delivery.id for delivery in await client.webhooks.list_deliveries(webhook.id, response_status=[200, "5xx"])
        ] == found
        assert (await client.deliveries.page(webhook_id=webhook.id, count=True)).count == "3"
        assert (await client.statistics.get(webhook_id=webhook.id)).total.succeeded == 3
        with pytest.raises(ApiError, match="did you mean succeeded") as caught:
            await client.deliveries.list(status="suceeded")
        assert (caught.value.status, caught.value.field) == (422, "status")
