"""The API in the words of the seed systems' clients."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tests.unit.test_profiles import hex_of
from tidings.app import opened
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.running import _serving


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        await engine.user.execute("create table posts (id int primary key, title text)")
        yield Api(client, engine)


async def test_a_webhook_is_made_and_changed_in_fluxbases_words(api: Api, receiver: Receiver) -> None:
    body = {
        "url": receiver.url("/hook"), "profile": "fluxbase", "events": "INSERT,DELETE", "is_active": False, "scope": "user",
        "secret": "your-webhook-secret", "max_retries": 7, "retry_backoff_seconds": 2, "timeout_seconds": 9,
    }  # fmt: skip
    made = await api("POST", "/api/v1/webhooks", 201, body)
    assert made["name"] == "127.0.0.1"
    assert (made["enabled"], made["is_active"], made["events"]) == (False, False, ["INSERT", "DELETE"])
    assert (made["max_retries"], made["retry_backoff_seconds"], made["timeout_seconds"]) == (7, 2, 9)
    assert made["retry"] == {"base": 2, "factor": 2, "max": 86_400, "tries": 8, "jitter": 0.1}
    path = f"/api/v1/webhooks/{made['id']}"
    put = await api("PUT", path, 200, {"is_active": True})
    assert (put["enabled"], put["url"], put["message"]) == (True, body["url"], "Webhook updated successfully")
    assert "secret" not in put
    for method, below in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("GET", "/secret"),
    ):
        refused = await api(method, f"/api/v1/webhooks/half-a-uuid{below}", 400, {} if method in {"PATCH", "POST"} else None)
        assert refused["error"] == "Invalid webhook ID"


async def test_a_delivery_to_a_fluxbase_webhook_has_every_spelling_of_its_fields(api: Api, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(201, b"thanks")))
    made = await api.create(receiver.url("/hook"), {"table": "posts"}, profile="fluxbase", secret="your-webhook-secret")
    await api.engine.user.execute("insert into posts values (7, 'Grüße')")
    await receiver.wait_for(1)

    async def finished() -> Any:
        found = await api("GET", f"/api/v1/webhooks/{made['id']}/deliveries", 200)
        return found and found[0]["finished_at"] and found[0]

    delivery = await eventually(finished)
    assert (
        delivery["response_status"]
        == delivery["status_code"]
        == delivery["http_status_code"]
        == delivery["response_code"]
        == 201
    )
    assert delivery["attempts"] == delivery["attempt"] == delivery["attempt_number"] == 1
    assert delivery["event"] == delivery["event_type"] == "table.posts.inserted"
    assert (delivery["error"], delivery["error_message"], delivery["response_body"]) == (None, None, "thanks")
    assert (delivery["table_name"], delivery["record_id"]) == ("posts", "7")
    assert delivery["payload"] == json.loads(receiver.received[0].body)
    assert await api("GET", f"/api/v1/deliveries/{delivery['id']}", 200) == delivery


async def test_a_thing_has_one_name_where_the_profile_is_not_fluxbases(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"})
    others = {"is_active", "max_retries", "retry_backoff_seconds", "scope", "message"}
    path = f"/api/v1/webhooks/{made['id']}"
    for told in (made, await api("GET", path, 200), await api("PATCH", path, 200, {"is_active": True, "max_retries": 3})):
        assert others.isdisjoint(told)
    await api.engine.user.execute("insert into posts values (7, 'Grüße')")
    await receiver.wait_for(1)
    (delivery,) = await api("GET", f"{path}/deliveries", 200)
    assert (delivery["schema"], delivery["table"], delivery["record_id"]) == ("public", "posts", "7")
    others = {"event_type", "table_name", "attempt", "attempt_number", "status_code", "http_status_code", "response_code"}
    assert (others | {"error_message"}).isdisjoint(delivery)
    result = await api("POST", f"{path}/test", 200)
    assert (result["response_status"], "status_code" in result) == (200, False)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, {"event": "TEST", "table": "test", "schema": "public", "record": {"test": True}, "old_record": None}),
        (
            {"data": {"a": 1.50}},
            {"event": "TEST", "table": "test", "schema": "public", "record": {"a": 1.5}, "old_record": None},
        ),
        (
            {"event": "UPDATE", "table": "t", "schema": "s", "record": {"id": 1}, "old_record": {"id": 2}},
            {"event": "UPDATE", "table": "t", "schema": "s", "record": {"id": 1}, "old_record": {"id": 2}},
        ),
        (
            {"event": "delete", "table": "t", "record": {"id": 1}},
            {"event": "DELETE", "table": "t", "schema": "public", "record": {"id": 1}, "old_record": {"id": 1}},
        ),
    ],
)
async def test_a_test_says_what_it_is_told_and_is_kept_apart(api: Api, receiver: Receiver, body: Any, sent: Any) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"}, profile="fluxbase")
    result = await api("POST", f"/api/v1/webhooks/{made['id']}/test", 200, body)
    assert (result["success"], result["status_code"], result["response_body"]) == (True, 200, "ok")
    got = json.loads(receiver.received[0].body)
    assert {name: got[name] for name in sent} == sent
    (delivery,) = await api("GET", f"/api/v1/webhooks/{made['id']}/deliveries", 200)
    of_row = {"UPDATE": "table.s.t.updated", "DELETE": "table.t.deleted"}
    assert (delivery["is_test"], delivery["event"]) == (True, of_row.get(sent["event"], "webhook.test"))


async def test_a_test_that_cannot_be_sent_is_refused_with_its_field(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), "*")
    path = f"/api/v1/webhooks/{made['id']}/test"
    assert (await api("POST", path, 422, {"table": "t", "event": "TRUNCATE"}))["field"] == "event"
    assert (await api("POST", path, 422, {"tables": "t"}))["field"] == "tables"
    assert receiver.received == []


async def test_secrets_are_read_and_rotated_while_both_verify(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"}, profile="vivreal")
    path = f"/api/v1/webhooks/{made['id']}/secret"
    assert (await api("GET", path, 200))["secret"] == made["secret"]
    rotated = await api("POST", f"{path}/rotate", 200, {"secret": "a-new-secret", "overlap_seconds": 3600})
    assert (rotated["secret"], rotated["previous_secret"]) == ("a-new-secret", made["secret"])
    await api.engine.user.execute("insert into posts values (1, 'a')")
    await receiver.wait_for(1)
    request = receiver.received[0]
    assert request.headers["x-vivreal-signature"] == hex_of(made["secret"], request.body)
    assert request.headers["x-vivreal-signature-next"] == hex_of("a-new-secret", request.body)
    again = await api("POST", f"{path}/rotate", 200, {"overlap_seconds": 0})
    assert (len(again["secret"]), again["previous_secret"]) == (64, None)
    await api.engine.user.execute("insert into posts values (2, 'b')")
    await receiver.wait_for(2)
    request = receiver.received[1]
    assert request.headers["x-vivreal-signature"] == hex_of(again["secret"], request.body)
    for refused in (
        {"overlap_seconds": -1},
        {"overlap_seconds": 1e9},
        {"secret": "short"},
        {"secret": again["secret"]},
        {"x": 1},
    ):
        await api("POST", f"{path}/rotate", 422, refused)
    assert (await api("GET", path, 200))["secret"] == again["secret"]
    stored = await api.engine.value("select secret::text || coalesce(previous_secret::text, '') from tidings.webhooks")
    assert again["secret"].encode().hex() not in stored


async def test_a_webhook_lives_in_vskis_words(api: Api, receiver: Receiver) -> None:
    made = await api(
        "POST", "/api/webhooks", 201,
        {"name": "n", "url": receiver.url("/hook"), "method": "PUT", "headers": '{"X-A": "1"}', "body": '{"t": "{{record.title}}"}',
         "retryLimit": 3, "jwtEnabled": True, "active": True, "events": ["create", {"table": "posts"}]},
    )  # fmt: skip
    assert (made["method"], made["headers"], made["retryLimit"], made["jwtEnabled"]) == ("PUT", {"X-A": "1"}, 3, True)
    await api.engine.user.execute("insert into posts values (1, 'Grüße')")
    await receiver.wait_for(1)
    request = receiver.received[0]
    assert (request.method, request.body.decode(), request.headers["x-a"]) == ("PUT", '{"t":"Grüße"}', "1")
    assert request.headers["authorization"].startswith("Bearer ey")
    path = f"/api/webhooks/{made['id']}"
    changed = await api("PATCH", path, 200, {"active": False, "retryLimit": 100})
    assert (changed["active"], changed["retryLimit"], changed["url"]) == (False, 100, made["url"])
    assert await api("GET", path, 200) == changed
    assert await api("GET", "/api/webhooks", 200) == [changed]
    assert (await api("PATCH", path, 422, {"retryLimit": 101}))["field"] == "max_retries"
    assert (await api("POST", "/api/webhooks", 422, {"url": "ftp://x"}))["field"] == "url"
    await api("DELETE", path, 204)
    await api("GET", path, 404)


async def test_logs_filter_by_collection_and_status_and_page(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("create table notes (id int)")
    receiver.otherwise = says(answer(500, b"no"))
    for table in ("posts", "notes"):
        await api.create(receiver.url(f"/{table}"), {"table": table}, profile="vski", retry={"delays": []})
    await api.engine.user.execute("insert into posts select n, 'x' from generate_series(1, 3) n; insert into notes values (9)")

    async def all_failed() -> Any:
        found = await api("GET", "/api/webhooks/logs?status=failed", 200)
        return found if len(found["items"]) == 4 else None

    await eventually(all_failed)
    first = await api("GET", "/api/webhooks/logs?collection=posts&status=failed&page=1&perPage=2", 200)
    second = await api("GET", "/api/webhooks/logs?collection=posts&status=failed&page=2&perPage=2", 200)
    assert (len(first["items"]), first["hasMore"], len(second["items"]), second["hasMore"]) == (2, True, 1, False)
    entries = first["items"] + second["items"]
    assert sorted(entry["record"] for entry in entries) == ["1", "2", "3"]
    assert {(e["action"], e["collection"], e["responseStatus"], e["responseBody"]) for e in entries} == {
        ("create", "posts", 500, "no")
    }
    assert (await api("GET", "/api/webhooks/logs?status=success", 200))["items"] == []
    assert (await api("GET", "/api/webhooks/logs?status=done", 422))["field"] == "status"
    await api("GET", "/api/webhooks/logs?page=0", 422)


async def test_names_of_another_profile_are_refused_and_nothing_is_made(api: Api, receiver: Receiver) -> None:
    body = {"url": receiver.url("/hook"), "profile": "vivreal", "events": ["content.created"]}
    refused = await api("POST", "/api/v1/webhooks", 422, body)
    assert refused["field"] == "events[0]"
    assert "collection.object.created" in refused["error"]
    assert await api("GET", "/api/v1/webhooks", 200) == []


async def test_the_public_keys_need_no_key_and_stay(api: Api, config: Config) -> None:
    async with httpx.AsyncClient(base_url=api.client.base_url, timeout=PATIENCE) as client:
        keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert [(key["kty"], key["crv"], "d" in key) for key in keys] == [("OKP", "Ed25519", False)] * 2
    async with opened(config) as services:
        assert {one.key.id for one in services.keys.published} == {key["kid"] for key in keys}


async def test_the_default_profile_is_what_the_configuration_says(config: Config, receiver: Receiver) -> None:
    fluxbase = msgspec.structs.replace(config, default_profile="fluxbase")
    async with (
        opened(fluxbase) as services,
        _serving(services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        made = await client.post("/api/v1/webhooks", json={"url": receiver.url("/h"), "events": ["*"]})
        assert made.json()["profile"] == "fluxbase"
    with pytest.raises(StartupError, match="default_profile"):
        async with opened(msgspec.structs.replace(config, default_profile="fancy")):
            pass


@pytest.mark.parametrize(
    ("fields", "field", "remedy"),
    [
        ({"profile": "fancy"}, "profile", "vivreal"),
        ({"profile": "fluxbase", "events": ["order.paid"]}, "events[0]", '"table"'),
        ({"profile": "vivreal-content", "events": ["*", "site.deployed"]}, "events[1]", "content"),
        ({"max_retries": 0}, "max_retries", "1 to 100"),
        ({"max_retries": 101}, "max_retries", "1 to 100"),
        ({"retry_backoff_seconds": -5}, "retry_backoff_seconds", "0 to"),
        ({"retry": {"delays": [60, -1]}}, "retry.delays", "0 to"),
        ({"retry": {"delays": [1e12]}}, "retry.delays", "604800"),
        ({"profile": "vivreal", "secret": "short"}, "secret", "8 to"),
        ({"secret": "whsec_c2hvcnQ="}, "secret", "24 to 64"),
        ({"timeout_seconds": 0}, "timeout_seconds", "0.1"),
        ({"body_template": "{"}, "body_template", "Put placeholders"),
    ],
)
async def test_what_cannot_be_is_422_with_the_field_and_the_remedy_and_nothing_changes(
    api: Api, receiver: Receiver, fields: dict[str, Any], field: str, remedy: str
) -> None:
    body = {"url": receiver.url("/hook"), "events": ["*"]} | fields
    refused = await api("POST", "/api/v1/webhooks", 422, body)
    assert refused["field"] == field
    assert remedy in refused["error"]
    assert await api("GET", "/api/v1/webhooks", 200) == []
    change = {name: value for name, value in fields.items() if name != "profile"}
    if change:
        made = await api(
            "POST",
            "/api/v1/webhooks",
            201,
            {"url": body["url"], "events": ["*"]} | {k: v for k, v in fields.items() if k == "profile"},
        )
        path = f"/api/v1/webhooks/{made['id']}"
        before = await api("GET", path, 200)
        assert (await api("PATCH", path, 422, change))["field"] == field
        assert await api("GET", path, 200) == before


async def test_http_is_refused_where_only_public_addresses_are_allowed(config: Config) -> None:
    public_only = msgspec.structs.replace(config, allow_private_networks="")
    async with (
        opened(public_only) as services,
        _serving(services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        for profile in ("standard", "vivreal", "fluxbase", "vski"):
            body = {"url": "http://hooks.example.com/x", "events": ["*"], "profile": profile}
            refused = await client.post("/api/v1/webhooks", json=body)
            assert (refused.status_code, refused.json()["field"]) == (422, "url")
            assert "https://" in refused.json()["error"]
