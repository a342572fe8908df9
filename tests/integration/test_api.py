"""The API over HTTP, against a running engine."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.config import Config

KEY = {"Authorization": "Bearer test"}


class Api:
    """A client of a served API, and the engine behind it."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine) -> None:
        self.client = client
        self.engine = engine

    async def __call__(self, method: str, path: str, expect: int, body: Any = None, **options: Any) -> Any:
        response = await self.client.request(method, path, json=body, **options)
        assert response.status_code == expect, response.text
        return response.json() if response.content else None

    async def create(self, url: str, *events: Any, **fields: Any) -> Any:
        return await self("POST", "/api/v1/webhooks", 201, {"url": url, "events": list(events)} | fields)


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


async def test_a_webhook_is_created_read_changed_and_deleted(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("create table orders (id int)")
    made = await api.create(
        receiver.url(), {"table": "orders", "operations": ["INSERT"]}, "order.*", name="Orders", description="d"
    )
    assert made["secret"].startswith("whsec_")
    assert made["tables"] == [{"schema": "public", "table": "orders", "state": "captured", "reason": None}]
    path = f"/api/v1/webhooks/{made['id']}"
    read = await api("GET", path, 200)
    health = read.pop("health")
    assert (health["state"], health["waiting"], health["day"]["success_rate"]) == ("idle", 0, None)
    assert read == {name: value for name, value in made.items() if name not in {"secret", "profile_reason", "warnings"}}
    (listed,) = await api("GET", "/api/v1/webhooks", 200)
    assert listed.pop("health") == {n: v for n, v in health.items() if n not in {"hour", "day", "month"}}
    assert listed == {n: v for n, v in read.items() if n != "tables"}
    changed = await api("PATCH", path, 200, {"enabled": False, "description": None})
    assert (changed["enabled"], changed["description"], changed["name"]) == (False, None, "Orders")
    assert changed["events"] == made["events"]
    assert (
        await api.engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 1
    )  # what comes now can be recovered
    await api("PATCH", path, 200, {"enabled": True})
    assert await api.engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 1
    assert (await api("DELETE", path, 200))["success"] is True
    await api("GET", path, 404)
    assert await api.engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 0


async def test_a_change_travels_from_a_row_to_the_api(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("create table orders (id int)")
    hook = await api.create(receiver.url(), {"table": "orders"})
    await api.engine.user.execute("insert into orders values (1)")

    async def listed() -> Any:
        rows = await api("GET", f"/api/v1/webhooks/{hook['id']}/deliveries?status=succeeded", 200)
        return rows or None

    (delivery,) = await eventually(listed)
    assert (delivery["event"], delivery["attempts"], delivery["response_status"]) == ("table.orders.inserted", 1, 200)
    assert delivery["delivered_at"] is not None
    assert await api("GET", f"/api/v1/deliveries/{delivery['id']}", 200) == delivery
    (attempt,) = await api("GET", f"/api/v1/deliveries/{delivery['id']}/attempts", 200)
    assert (attempt["number"], attempt["response_body"], attempt["failure"]) == (1, "ok", None)
    assert ["content-length", "2"] in attempt["response_headers"]
    event = await api("GET", f"/api/v1/events/{delivery['event_id']}", 200)
    assert (event["record"], event["delivery_count"], event["table"]) == ({"id": 1}, 1, "orders")
    assert await api("GET", "/api/v1/events?type=table.orders.inserted", 200) == [event]
    assert await api("GET", "/api/v1/events?type=other", 200) == []
    assert (await api("GET", "/api/v1/events?type=no+type", 422))["field"] == "type"


async def test_a_body_that_is_no_json_is_shown_as_a_string_and_none_as_null(api: Api, receiver: Receiver) -> None:
    text = {"body_template": 'say "{{type}}"', "headers": {"Content-Type": "text/plain"}}
    for name, fields in (("text", text), ("none", {"profile": "vski", "method": "GET"})):
        made = await api.create(receiver.url(f"/{name}"), "*", **fields)
        await api("POST", f"/api/v1/webhooks/{made['id']}/test", 200)
        (shown,) = await api("GET", f"/api/v1/webhooks/{made['id']}/deliveries", 200)
        assert shown["payload"] == ('say "webhook.test"' if name == "text" else None)


async def test_publishing_is_idempotent_by_id(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "order.*")
    event = {"type": "order.paid", "data": {"total": 1.50}, "id": "order-1", "subject": "orders/1"}
    first = await api("POST", "/api/v1/events", 202, event)
    again = await api("POST", "/api/v1/events", 202, event)
    assert (first["duplicate"], again["duplicate"], again["id"]) == (False, True, first["id"])
    conflict = await api("POST", "/api/v1/events", 409, event | {"data": {}})
    assert conflict["code"] == "CONFLICT"
    await receiver.wait_for(1)
    (request,) = receiver.received
    assert request.headers["webhook-id"] == first["id"]
    assert b'"data":{"total":1.5}' in request.body

    async def read() -> Any:
        response = await api.client.get(f"/api/v1/events/{first['id']}")
        return response.json() if response.status_code == 200 else None

    assert (await eventually(read))["external_id"] == "order-1"


async def publish_lines(api: Api, expect: int, *lines: Any) -> Any:
    content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    response = await api.client.post("/api/v1/events/batch", content=content.encode("utf-8", "surrogateescape"))
    assert response.status_code == expect, response.text
    return response.json()


async def test_a_batch_is_published_line_by_line(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "order.*")
    result = await publish_lines(
        api, 202,
        {"type": "order.paid", "data": {"n": 1}, "id": "a"},
        "",
        {"type": "table.orders.inserted", "data": 1},
        '{"type":"order.paid","data":12345678901234567890,"subject":"Grüße"}\r',
        {"type": "order.paid", "data": {"n": 1}, "id": "a"},
        {"type": "order.paid", "data": {"n": 2}, "id": "a"},
        "not json",
        '{"type":"order.paid","data":"\udcff"}',
        {"type": "order.paid", "date": 1},
        {"type": "order.paid", "data": 1, "id": "x" * 300},
    )  # fmt: skip
    assert (result["accepted"], result["duplicates"]) == (2, 1)
    assert [(error["line"], error["code"], error["field"]) for error in result["errors"]] == [
        (3, "INVALID_INPUT", "type"), (6, "CONFLICT", None), (7, "INVALID_INPUT", "line"), (8, "INVALID_INPUT", "line"),
        (9, "INVALID_INPUT", "line"), (10, "INVALID_INPUT", "id"),
    ]  # fmt: skip
    first, refused, second, again, *rest = result["ids"]
    assert (again, refused, rest) == (first, None, [None] * 5)
    await receiver.wait_for(2)
    bodies = {request.headers["webhook-id"]: request.body for request in receiver.received}
    assert set(bodies) == {first, second}
    assert bodies[second].endswith(b'"data":"12345678901234567890"}')
    repeated = await publish_lines(api, 202, {"type": "order.paid", "data": {"n": 1}, "id": "a"})
    assert (repeated["accepted"], repeated["duplicates"], repeated["ids"]) == (0, 1, [first])


async def test_a_batch_has_bounds(api: Api) -> None:
    line = {"type": "a.b", "data": "x" * 300}
    full = await publish_lines(api, 202, *[line] * 10_000)
    assert (full["accepted"], full["errors"]) == (10_000, [])
    assert "10001 lines" in (await publish_lines(api, 422, *[{"type": "a.b", "data": 1}] * 10_001))["error"]
    assert (await publish_lines(api, 422))["field"] == "body"
    assert "33554432" in (await publish_lines(api, 413, "x" * 33_554_433))["error"]


async def test_two_batches_with_the_same_ids_publish_each_once(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "order.*", concurrency=1000)
    lines = [{"type": "order.paid", "data": number, "id": f"id-{number}"} for number in range(200)]
    results = await asyncio.gather(*(publish_lines(api, 202, *(lines if turn % 2 else lines[::-1])) for turn in range(4)))
    assert sum(result["accepted"] for result in results) == 200
    assert sum(result["duplicates"] for result in results) == 600
    assert len({frozenset(result["ids"]) for result in results}) == 1
    await receiver.wait_for(200)


async def test_published_digits_are_kept(api: Api) -> None:
    raw = b'{"type": "a.b", "data": {"n": 12345678901234567890.10, "i": 1e2}}'
    made = (await api.client.post("/api/v1/events", content=raw)).json()

    async def read() -> Any:
        response = await api.client.get(f"/api/v1/events/{made['id']}")
        return response.text if response.status_code == 200 else None

    assert '{"n": 12345678901234567890.10, "i": 1e2}' in await eventually(read)


async def test_the_test_button_takes_the_real_path_and_tells_the_result(api: Api, receiver: Receiver) -> None:
    hook = await api.create(receiver.url(), "nothing.else")
    other = await api.create(receiver.url("/other"), "*")
    result = await api("POST", f"/api/v1/webhooks/{hook['id']}/test", 200)
    assert (result["success"], result["response_status"], result["response_body"]) == (True, 200, "ok")
    assert [request.path for request in receiver.received] == ["/hook"]
    delivery = await api("GET", f"/api/v1/deliveries/{result['delivery_id']}", 200)
    assert (delivery["is_test"], delivery["event"]) == (True, "webhook.test")
    receiver.otherwise = says(answer(500, b"no"))
    result = await api("POST", f"/api/v1/webhooks/{hook['id']}/test", 200)
    assert (result["success"], result["response_status"], result["response_body"]) == (False, 500, "no")
    assert {request.path for request in receiver.received} == {"/hook"}
    await api("DELETE", f"/api/v1/webhooks/{other['id']}", 200)
    await api("POST", f"/api/v1/webhooks/{other['id']}/test", 404)


async def test_a_failed_delivery_is_sent_again_by_hand_with_the_same_id(api: Api, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    await api.create(receiver.url(), "*", retry={"delays": []})
    await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": None})

    async def failed() -> Any:
        return await api("GET", "/api/v1/deliveries?status=failed", 200)

    (delivery,) = await eventually(failed)
    again = await api("POST", f"/api/v1/deliveries/{delivery['id']}/retry", 202)
    assert again["id"] == delivery["id"]

    async def done() -> Any:
        return (await api("GET", f"/api/v1/deliveries/{delivery['id']}", 200))["status"] == "succeeded"

    await eventually(done)
    attempts = await api("GET", f"/api/v1/deliveries/{delivery['id']}/attempts", 200)
    assert [(attempt["number"], attempt["response_status"]) for attempt in attempts] == [(1, 500), (2, 200)]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


async def test_a_waiting_delivery_can_be_hurried(api: Api, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    await api.create(receiver.url(), "*", retry={"delays": [3600]})
    await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": None})

    async def waiting() -> Any:
        return await api("GET", "/api/v1/deliveries?status=retrying", 200)

    (delivery,) = await eventually(waiting)
    assert delivery["next_retry_at"] is not None
    await api("POST", f"/api/v1/deliveries/{delivery['id']}/retry", 202)
    await receiver.wait_for(2)


async def test_deleting_a_webhook_cancels_what_it_leaves(api: Api, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    hook = await api.create(receiver.url(), "*", retry={"delays": [3600]})
    await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": None})

    async def waiting() -> Any:
        return await api("GET", "/api/v1/deliveries?status=retrying", 200)

    (delivery,) = await eventually(waiting)
    await api("DELETE", f"/api/v1/webhooks/{hook['id']}", 200)
    after = await api("GET", f"/api/v1/deliveries/{delivery['id']}", 200)
    assert (after["status"], after["error"]) == ("cancelled", "The webhook was deleted.")
    await api("POST", f"/api/v1/deliveries/{delivery['id']}/retry", 409)


async def test_lists_are_paged_by_offset_and_cursor(api: Api) -> None:
    ids = [(await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": n}))["id"] for n in range(5)]

    async def all_there() -> Any:
        rows = await api("GET", "/api/v1/events", 200)
        return rows if len(rows) == 5 else None

    rows = await eventually(all_there)
    assert {row["id"] for row in rows} == set(ids)
    first = await api("GET", "/api/v1/events?limit=2", 200)
    second = await api("GET", f"/api/v1/events?limit=2&cursor={first[-1]['id']}", 200)
    assert first + second == rows[:4]
    assert await api("GET", "/api/v1/events?limit=2&offset=2", 200) == second
    await api("GET", "/api/v1/events?limit=0", 422)


GOOD = {"url": "http://127.0.0.1:9/x", "events": ["a.b"]}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"url": "nonsense"}, "url", "https"),
        ({"url": "ftp://example.com"}, "url", "https"),
        ({"url": "http://[bad"}, "url", "not a URL"),
        ({"url": "http://10.0.0.1/"}, "url", "not public"),
        ({"url": "https://169.254.169.254/latest"}, "url", "not public"),
        ({"url": 7}, "url", "str"),
        ({"events": []}, "events", "at least one"),
        ({"events": [{"table": "nowhere"}]}, "events[0].table", "public.nowhere"),
        ({"events": [{"table": "pg_class", "schema": "pg_catalog"}]}, "events[0].table", "PostgreSQL"),
        ({"events": ["table.nowhere.inserted"]}, "events[0].table", "nowhere"),
        ({"headers": {"Host": "x"}}, "headers.Host", "not allowed"),
        ({"headers": {"X": "a\r\nb"}}, "headers.X", "invalid characters"),
        ({"retry": {"delays": [-5]}}, "retry.delays", "seconds"),
        ({"secret": "short"}, "secret", "base64"),
        ({"profile": "fancy"}, "profile", "standard"),
        ({"timeout_seconds": 0}, "timeout_seconds", "0.1"),
        ({"colour": "blue"}, "colour", "unknown field"),
    ],
)
async def test_bad_input_is_refused_with_its_field_and_nothing_is_made(
    api: Api, change: dict[str, Any], field: str, words: str
) -> None:
    answer = await api("POST", "/api/v1/webhooks", 422, GOOD | change)
    assert answer["field"] == field
    assert words in answer["error"]
    assert answer["code"] == "INVALID_INPUT"
    assert await api("GET", "/api/v1/webhooks", 200) == []


@pytest.mark.parametrize("missing", ["url", "events"])
async def test_what_is_required_is_asked_for(api: Api, missing: str) -> None:
    answer = await api("POST", "/api/v1/webhooks", 422, {n: v for n, v in GOOD.items() if n != missing})
    assert answer["field"] == missing


async def test_a_refused_change_changes_nothing(api: Api, receiver: Receiver) -> None:
    hook = await api.create(receiver.url(), "a.b")
    path = f"/api/v1/webhooks/{hook['id']}"
    before = await api("GET", path, 200)
    await api("PATCH", path, 422, {"name": "new", "events": [{"table": "nowhere"}]})
    await api("PATCH", path, 422, {"profile": "vivreal"})
    assert await api("GET", path, 200) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": 1}, "type"), ({"type": "a.b"}, "data"), ({"type": "table.x.inserted", "data": 1}, "type"), ({"type": "a.*", "data": 1}, "type"),
        ({"type": "webhook.test", "data": 1}, "type"), ({"type": "a b", "data": 1}, "type"), ({"type": "a.b", "data": 1, "id": ""}, "id"),
        ({"type": "a.b", "data": 1, "more": 1}, "more"), ({"type": "a.b", "data": 1, "subject": "\x00"}, "subject"),
    ],
)  # fmt: skip
async def test_a_bad_publication_is_refused_with_its_field(api: Api, body: Any, field: str) -> None:
    assert (await api("POST", "/api/v1/events", 422, body))["field"] == field


async def test_data_nested_too_deeply_is_refused(api: Api) -> None:
    raw = b'{"type": "a.b", "data": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    response = await api.client.post("/api/v1/events", content=raw)
    assert response.status_code in {400, 422}, response.text


async def test_a_body_that_is_not_json_is_400_and_one_too_large_413(api: Api) -> None:
    response = await api.client.post("/api/v1/webhooks", content=b"{nonsense")
    assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_BODY")
    response = await api.client.post("/api/v1/events", content=b'{"type":"a.b","data":"' + b"x" * 1_100_000 + b'"}')
    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer test"},
        {"Authorization": "ServiceKey test"},
        {"X-API-Key": "test"},
        {"apikey": "test"},
        {"X-Client-Key": "test"},
        {"X-Service-Key": "test"},
    ],
)
async def test_the_key_is_taken_from_every_header_clients_put_it_in(api: Api, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=api.client.base_url, timeout=PATIENCE) as client:
        assert (await client.get("/api/v1/webhooks", headers=headers)).status_code == 200


async def test_a_missing_and_a_wrong_key_get_the_same_answer(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.client.base_url, timeout=PATIENCE) as client:
        for path in ("/api/v1/webhooks", "/api/v1/deliveries", "/api/v1/events"):
            missing = await client.get(path)
            wrong = await client.get(path, headers={"Authorization": "Bearer wrong"})
            empty = await client.get(path, headers={"X-API-Key": ""})
            assert missing.status_code == wrong.status_code == empty.status_code == 401
            assert missing.text == wrong.text == empty.text
        assert (await client.post("/api/v1/webhooks", content=b"{nonsense")).status_code == 401


@pytest.mark.parametrize("path", ["webhooks", "deliveries", "events"])
async def test_what_is_not_there_is_404_and_an_id_that_is_none_too(api: Api, path: str) -> None:
    answer = await api("GET", f"/api/v1/{path}/550e8400-e29b-41d4-a716-446655440000", 404)
    assert answer["code"] == "NOT_FOUND"
    await api("GET", f"/api/v1/{path}/nonsense", 400 if path == "webhooks" else 404)
    await api("PUT", f"/api/v1/{path}", 405)


async def test_health_and_readiness_answer_without_a_key_and_what_tells_more_does_not(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "*")
    await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": 1})
    await receiver.wait_for(1)
    async with httpx.AsyncClient(base_url=api.client.base_url, timeout=PATIENCE) as client:
        assert (await client.get("/healthz")).text == "ok"
        assert (await client.get("/readyz")).text == "ready"
        for path in ("/metrics", "/openapi.json"):
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert (await client.get(path, headers={"X-API-Key": "wrong"})).status_code == 401
        for path in ("/healthz", "/readyz", "/.well-known/jwks.json", "/in/nobody"):
            assert (await client.request("POST" if "/in" in path else "GET", path, params={"a": 1})).status_code == 422
    document = await api("GET", "/openapi.json", 200)

    async def counted() -> Any:
        text = (await api.client.get("/metrics")).text
        return text if 'tidings_attempt_seconds_count{outcome="succeeded"}' in text else None

    metrics = await eventually(counted)
    assert set(document["paths"]) >= {"/api/v1/webhooks", "/api/v1/events", "/api/v1/deliveries/{delivery_id}/retry"}
    for name in ("tidings_queue_waiting 0.0", "tidings_outbox_lag_seconds", "tidings_attempt_seconds_bucket"):
        assert name in metrics


async def test_a_secret_is_in_no_answer_but_the_first_and_not_in_the_database(api: Api, receiver: Receiver) -> None:
    hook = await api.create(receiver.url(), "*")
    for path in ("/api/v1/webhooks", f"/api/v1/webhooks/{hook['id']}"):
        assert hook["secret"] not in (await api.client.get(path)).text
    stored = await api.engine.value("select secret from tidings.webhooks")
    assert hook["secret"].encode() not in stored


async def test_webhooks_are_walked_by_cursor_from_the_newest_to_the_oldest(api: Api, receiver: Receiver) -> None:
    made = [(await api.create(receiver.url(), "*"))["id"] for _ in range(5)]
    await api.engine.user.execute("update tidings.webhooks set created_at = now() where id = any ($1::uuid[])", made[1:4])
    all_of_them = [webhook["id"] for webhook in await api("GET", "/api/v1/webhooks", 200)]
    walked: list[str] = []
    while page := await api("GET", f"/api/v1/webhooks?limit=2{f'&cursor={walked[-1]}' if walked else ''}", 200):
        walked += [webhook["id"] for webhook in page]
    assert walked == all_of_them
    await api("GET", f"/api/v1/webhooks?cursor={UUID(int=1)}", 404)
    await api("GET", f"/api/v1/webhooks?cursor={made[0]}&offset=1", 422)


async def test_no_group_is_named_as_another_place_in_a_path(api: Api) -> None:
    for name in (".", "..", "", " a"):
        assert (await api("POST", "/api/v1/groups", 422, {"id": name}))["field"] == "id"
    await api("POST", "/api/v1/groups", 201, {"id": "..a"})


async def test_groups_are_listed_page_by_page_without_an_offset(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api("POST", "/api/v1/groups", 201, {"id": name})
    seen: list[str] = []
    while page := await api("GET", f"/api/v1/groups?limit=2{f'&cursor={seen[-1]}' if seen else ''}", 200):
        seen += [group["id"] for group in page]
    assert seen == ["a", "b", "c", "default"]
    for query in ("cursor=", "cursor=a&offset=1"):
        assert (await api("GET", f"/api/v1/groups?{query}", 422))["field"] == "cursor"
