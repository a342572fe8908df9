"""The seed documents' own receivers and client calls, run under Node against a running engine."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.node import checked, receiving, run_snippet
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config

SECRET = "whsec_of-a-seed-receiver"
EXPRESS = ["express4", "express5"]
AWKWARD = [
    "plain", "", "Grüße aus Köln, 東京, 🎉", "<script>alert('&')</script>", "line\nbreak\ttab \\ \"quote\" / slash",
    "\u2028\u2029\u007f", "x" * 40_000,  # Express refuses bodies over 100 kB, and an update has the row twice
]  # fmt: skip


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        await engine.user.execute(
            "create table posts (id int primary key, title text, price numeric, score float8, big bigint, doc jsonb, raw json)"
        )
        yield Api(client, engine)


async def change_rows(api: Api) -> int:
    """Make rows of every awkward kind, change them, delete them; returns how many events that are."""
    for number, title in enumerate(AWKWARD):
        await api.engine.user.execute(
            "insert into posts values ($1, $2, 1.50, 1e21, 9007199254740993, $3, $4)",
            number, title, json.dumps({"2": "b", "1": title[:50], "n": 0.1}), '{"b": 1.0, "a": -0, "e": 1e-7, "10": [], "9": {}}',
        )  # fmt: skip
    await api.engine.user.execute("update posts set price = price * 2.00, doc = null")
    await api.engine.user.execute("delete from posts")
    return 3 * len(AWKWARD)


async def attempted(api: Api, webhook: Any, count: int) -> list[dict[str, Any]]:
    """Wait until so many of a webhook's deliveries were tried, and return them."""

    async def tried() -> list[dict[str, Any]] | None:
        page = await api("GET", f"/api/v1/webhooks/{webhook['id']}/deliveries?limit=1000", 200)
        found = [delivery for delivery in page if delivery["response_status"] is not None]
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = await eventually(tried)
    return found


@pytest.mark.parametrize("express", EXPRESS)
@pytest.mark.parametrize(
    ("script", "path", "profile"),
    [
        ("receivers/seed000.js", "/webhooks/vivreal", "vivreal"),
        ("receivers/seed001.mjs", "/webhooks/vivreal", "vivreal"),
        ("receivers/seed004.js", "/webhooks/fluxbase", "fluxbase"),
        ("receivers/seed004-verify.mts", "/webhooks/fluxbase", "fluxbase"),
        ("receivers/seed004.js", "/webhooks/fluxbase", "fluxbase-t"),
    ],
)
async def test_a_seed_receiver_accepts_our_deliveries_and_refuses_forged_ones(
    api: Api, script: str, path: str, profile: str, express: str
) -> None:
    async with receiving(script, express=express, secret=SECRET) as url:
        honest = await api.create(url + path, {"table": "posts"}, profile=profile, secret=SECRET)
        forged = await api.create(url + path, {"table": "posts"}, profile=profile, secret="another secret")
        count = await change_rows(api)
        accepted = await attempted(api, honest, count)
        refused = await attempted(api, forged, 5)
    assert {(d["status"], d["response_status"]) for d in accepted} == {("succeeded", 200)}
    assert {d["response_status"] for d in refused} == {401}


async def test_the_calls_of_seed_004_run_and_print_what_the_document_says(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute(
        "create table users (id int); create table orders (id int); create table order_items (id int)"
    )
    output = await run_snippet(
        "snippets/seed004.mts",
        TIDINGS_URL=str(api.client.base_url), FLUXBASE_CLIENT_KEY="test", RECEIVER_URL=receiver.url("/hook"),
    )  # fmt: skip
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    hook = re.escape(receiver.url("/hook"))
    expected = [
        f"Webhook created: {uuid}", f"Webhook ID: {uuid}", f"Webhook URL: {hook}",
        "Order Notifications: Enabled", f"  URL: {hook}", "  Events: 2 configured",
        "Name: Order Notifications", "Enabled: true", r"Events: \[", r"  \{", r"    table: 'orders',", "    schema: 'public',",
        r"    operations: \[ 'INSERT', 'UPDATE' \]", r"  \},",
        r"  \{ table: 'order_items', schema: 'public', operations: \[ 'INSERT' \] \}", r"\]", "Max Retries: 3", f"Created: {time}",
        f"{time}: succeeded", "  Response: 200", "  Attempts: 1", "Webhook deleted",
    ]  # fmt: skip
    lines = output.splitlines()
    assert re.fullmatch("\n".join(expected), "\n".join(lines)), output
    sent = json.loads(receiver.received[0].body)
    assert (sent["event"], sent["table"], sent["record"]) == ("INSERT", "test_table", {"id": "test-id", "name": "Test Record"})
    assert await api("GET", "/api/v1/webhooks", 200) == []


async def test_the_calls_of_seed_003_run_from_collection_to_log(api: Api, receiver: Receiver) -> None:
    trigger = {"action": "create", "url": receiver.url("/notified"), "method": "POST"}
    fields = [{"name": name, "type": "text"} for name in ("title", "message", "status")]
    await api("POST", "/api/collections", 201, {"name": "notifications", "fields": fields, "options": {"triggers": [trigger]}})
    await api("POST", "/api/collections/notifications/records", 201, {"title": "before"})

    async def is_logged() -> bool:
        logs = await api("GET", "/api/webhooks/logs?collection=notifications&status=success", 200)
        return len(logs["items"]) == 1

    await eventually(is_logged)
    output = await run_snippet(
        "snippets/seed003.mts",
        TIDINGS_URL=str(api.client.base_url), TIDINGS_KEY="test", RECEIVER_URL=receiver.url("/unique-id"),
    )  # fmt: skip
    requests = {request.path: json.loads(request.body) for request in await receiver.wait_for(3)}
    sent = requests["/unique-id"]
    assert (sent["action"], sent["collection"], sent["record"]["data"]) == ("create", "test_collection", "Test data")
    assert requests["/notified"]["record"]["message"] == "This is a test"
    for said in ("page: 1", "perPage: 10", "collection: 'notifications'", "action: 'create'", "status: 'success'"):
        assert said in output
    assert "test_collection" not in output


# Published libraries ---------------------------------------------------------------------------------------------------


def as_received(request: Any) -> dict[str, Any]:
    return {"body": request.body.decode(), "headers": {name.lower(): value for name, value in request.headers.items()}}


async def test_published_libraries_verify_what_is_sent(api: Api, receiver: Receiver) -> None:
    import cloudevents.core.bindings.http as ce_http
    import jwt
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent
    from standardwebhooks import Webhook as StandardWebhook
    from svix.webhooks import Webhook as SvixWebhook

    made = {
        path: await api.create(receiver.url(f"/{path}"), {"table": "posts"}, **fields)
        for path, fields in {
            "standard": {"asymmetric": True},
            "binary": {"profile": "cloudevents"},
            "structured": {"profile": "cloudevents-structured"},
            "token": {"profile": "vski", "jwt_enabled": True},
        }.items()
    }
    secret = made["standard"]["secret"]
    rotated = await api("POST", f"/api/v1/webhooks/{made['standard']['id']}/secret/rotate", 200)
    await api.engine.user.execute("insert into posts (id, title) values (1, 'Grüße <&>')")
    await receiver.wait_for(4)
    got = {request.path[1:]: request for request in receiver.received}

    standard = as_received(got["standard"])
    for key in (secret, rotated["secret"]):
        StandardWebhook(key).verify(standard["body"], standard["headers"])
        SvixWebhook(key).verify(standard["body"], standard["headers"])

    jwks_url = str(api.client.base_url) + "/.well-known/jwks.json"
    token = got["token"].headers["authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        keys = (await client.get(jwks_url)).json()
    signing_key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, signing_key, algorithms=["EdDSA"], issuer="tidings")
    assert claims["roles"] == ["service", "webhook"]

    public = rotated["public_key"]
    answers = await checked(
        {"check": "standardwebhooks", **standard, "secret": secret},
        {"check": "standardwebhooks", **standard, "secret": rotated["secret"]},
        {"check": "svix", **standard, "secret": rotated["secret"]},
        {"check": "sdk", **standard, "secret": public},
        {"check": "cloudevents", **as_received(got["binary"])},
        {"check": "cloudevents", **as_received(got["structured"])},
        {"check": "jose", "token": token, "jwks": jwks_url, "issuer": "tidings"},
        {"check": "standardwebhooks", **standard, "body": standard["body"] + " ", "secret": secret},
    )
    *good, forged = answers
    assert [answer for answer in good if "error" in answer] == []
    assert "error" in forged
    assert good[6]["ok"]["roles"] == ["service", "webhook"]
    for answer in good[4:6]:
        assert answer["ok"]["type"] == "table.posts.inserted"
        assert answer["ok"]["data"]["record"]["title"] == "Grüße <&>"

    for request in (got["binary"], got["structured"]):
        message = ce_http.HTTPMessage(headers={n.lower(): v for n, v in request.headers.items()}, body=request.body)
        event = ce_http.from_http(message, JSONFormat(), CloudEvent)
        assert event.get_type() == "table.posts.inserted"
        assert event.get_data()["record"]["title"] == "Grüße <&>"
