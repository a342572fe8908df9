"""Integrations: notices of other systems, signed by their own libraries."""

import hashlib
import hmac
import json
import time
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import routed
from tests.support.node import checked
from tests.support.receiver import Receiver
from tidings.core.signature import new_secret

STRIPE_SECRET = "whsec_the_secret_that_stripe_shows"
GITHUB_SECRET = "the secret that was typed into GitHub"


def text(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)


def stripe_event(number: int, kind: str, created: int, **fields: Any) -> dict[str, Any]:
    data = {"object": {"id": "prod_1", "object": "product", "name": "Grüße", "active": True} | fields}
    return {"id": f"evt_{number}", "object": "event", "type": kind, "created": created, "data": data, "livemode": False}


async def send_stripe(
    api: Api,  # noqa: F811
    body: dict[str, Any],
    *,
    expect: int = 200,
    at: float | None = None,
    secret: str = STRIPE_SECRET,
) -> Any:
    payload = text(body)
    (signed,) = await checked(
        {"check": "signStripe", "payload": payload, "secret": secret, "timestamp": int(at or time.time())}
    )
    return await send(api, "shop", payload, {"Stripe-Signature": signed["ok"]}, expect)


async def send(api: Api, name: str, payload: str, headers: dict[str, str], expect: int = 200) -> Any:  # noqa: F811
    response = await api.client.post(
        f"/in/{name}", content=payload.encode(), headers={"content-type": "application/json", "authorization": "", **headers}
    )
    assert response.status_code == expect, response.text
    return response.json()


async def told(api: Api) -> list[tuple[str, Any]]:  # noqa: F811
    await routed(api.engine)
    rows = await api.engine.sql("select type, record from tidings.events where source = 'integrations' order by id")
    return [(row["type"], json.loads(row["record"])) for row in rows]


async def stored(api: Api) -> int:  # noqa: F811
    return await api.engine.value(
        "select (select count(*) from tidings.outbox) + (select count(*) from tidings.integration_notices) "
        "+ (select count(*) from tidings.integration_objects) + (select count(*) from tidings.events)"
    )


@pytest.fixture
async def shop(api: Api) -> Any:  # noqa: F811
    return await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "stripe", "secret": STRIPE_SECRET})


async def test_a_stripe_product_is_created_updated_and_deleted(api: Api, shop: Any) -> None:  # noqa: F811
    assert (shop["url"], shop["platform"], shop["enabled"]) == (
        f"{str(api.client.base_url).rstrip('/')}/in/shop",
        "stripe",
        True,
    )
    assert "secret" not in shop
    now = int(time.time())
    assert await send_stripe(api, stripe_event(1, "product.created", now - 9)) == {"received": True, "duplicate": False}
    await send_stripe(api, stripe_event(2, "product.updated", now - 5, name="New"))
    await send_stripe(api, stripe_event(3, "product.deleted", now - 1, name="New"))
    events = await told(api)
    assert [kind for kind, _ in events] == [
        "integration.connected",
        *(f"integration.object.{a}" for a in ("created", "updated", "deleted")),
    ]
    created, updated, deleted = (record for _, record in events[1:])
    assert (created["integration"], created["platform"], created["object_type"], created["object_id"]) == (
        "shop",
        "stripe",
        "product",
        "prod_1",
    )
    assert (created["object"]["name"], created["previous"], created["notice"]) == (
        "Grüße",
        None,
        {"id": "evt_1", "type": "product.created"},
    )
    assert (updated["object"]["name"], updated["previous"]["name"]) == ("New", "Grüße")
    assert deleted["object"]["name"] == "New"
    assert await api("GET", "/api/v1/integrations/shop/objects", 200) == []


async def test_duplicates_and_late_notices_are_absorbed(api: Api, shop: Any) -> None:  # noqa: F811
    now = int(time.time())
    await send_stripe(api, stripe_event(2, "product.updated", now - 5, name="newer"))
    await send_stripe(api, stripe_event(1, "product.created", now - 9, name="older"))
    assert (await send_stripe(api, stripe_event(2, "product.updated", now - 5, name="newer")))["duplicate"] is True
    await send_stripe(api, stripe_event(4, "product.updated", now - 4, name="newer"))  # says nothing new
    await send_stripe(api, stripe_event(5, "product.deleted", now - 3))
    await send_stripe(api, stripe_event(3, "product.updated", now - 4, name="late"))
    events = [(kind, record["object"]["name"]) for kind, record in (await told(api))[1:]]
    assert events == [("integration.object.created", "newer"), ("integration.object.deleted", "newer")]


async def test_a_forged_or_replayed_notice_is_refused_and_stored_nowhere(api: Api, shop: Any) -> None:  # noqa: F811
    await told(api)
    before = await stored(api)
    body = stripe_event(1, "product.created", int(time.time()))
    for refused in (
        await send_stripe(api, body, expect=401, secret="whsec_another_secret_altogether"),
        await send_stripe(api, body, expect=401, at=time.time() - 400),
        await send(api, "shop", text(body), {}, 401),
        await send(api, "shop", text(body), {"Stripe-Signature": "t=1,v1=abc"}, 401),
        await send(api, "shop", text(body), {"Stripe-Signature": "nonsense"}, 401),
    ):
        assert refused["code"] == "UNAUTHORIZED"
        assert refused["error"].startswith("The notice is not verified: ")
    (signed,) = await checked(
        {"check": "signStripe", "payload": text(body), "secret": STRIPE_SECRET, "timestamp": int(time.time())}
    )
    await send(api, "shop", text(body).replace("true", "false"), {"Stripe-Signature": signed["ok"]}, 401)
    assert await stored(api) == before
    await send(api, "nothing", text(body), {}, 404)


async def send_github(api: Api, event: str, body: Any, delivery: str, *, expect: int = 200, secret: str = GITHUB_SECRET) -> Any:  # noqa: F811
    payload = text(body)
    (signed,) = await checked({"check": "signGitHub", "payload": payload, "secret": secret})
    headers = {"X-Hub-Signature-256": signed["ok"], "X-GitHub-Event": event, "X-GitHub-Delivery": delivery}
    return await send(api, "code", payload, headers, expect)


async def test_github_tells_of_deployments_and_objects(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await api("POST", "/api/v1/integrations", 201, {"name": "code", "platform": "github", "secret": GITHUB_SECRET})
    assert made["platform"] == "github"
    await api.create(receiver.url("/site"), "site.deployed", profile="vivreal")
    deployed = {
        "action": "created",
        "deployment_status": {"id": 7, "state": "success", "target_url": "https://example.com"},
        "repository": {"id": 1},
    }
    await send_github(api, "deployment_status", deployed, "d-1")
    waiting = {"action": "created", "deployment_status": {"id": 8, "state": "pending", "updated_at": "2026-03-15T12:00:00Z"}}
    await send_github(api, "deployment_status", waiting, "d-2")
    issue = {"action": "opened", "issue": {"id": 12345678901234567, "title": "Broken", "updated_at": "2026-03-15T12:00:00Z"}}
    await send_github(api, "issues", issue, "d-3")
    await send_github(api, "push", {"ref": "refs/heads/main", "commits": []}, "d-4")
    (request,) = await receiver.wait_for(1)
    said = json.loads(request.body)
    assert (said["event"], said["data"]["deployment"]["deployment_status"]["target_url"]) == (
        "site.deployed",
        "https://example.com",
    )
    events = await told(api)
    assert [kind for kind, _ in events[1:]] == [
        "site.deployed", "integration.object.created", "integration.object.created", "integration.received",
    ]  # fmt: skip
    assert (events[3][1]["object_type"], events[3][1]["object_id"]) == ("issue", "12345678901234567")
    assert events[4][1]["notice"]["type"] == "push"
    before = await stored(api)
    # GitHub signs no time and no id: what was overheard is told by its content.
    assert "under another id" in (await send_github(api, "issues", issue, "d-5", expect=401))["error"]
    assert (await send_github(api, "issues", issue, "d-3"))["duplicate"] is True
    await send_github(api, "issues", issue | {"action": "edited"}, "d-6", expect=401, secret="not the secret at all")
    assert await stored(api) == before


async def test_any_sender_of_standard_webhooks_is_understood(api: Api) -> None:  # noqa: F811
    made = await api("POST", "/api/v1/integrations", 201, {"name": "any", "platform": "standard"})
    assert made["secret"].startswith("whsec_")
    payload = text({"type": "invoice.paid", "timestamp": "2026-03-15T12:00:00Z", "data": {"id": "in_1", "total": 12.50}})

    async def sent(message_id: str, stamp: float, expect: int, secret: str = made["secret"]) -> Any:
        (signed,) = await checked(
            {"check": "signStandard", "payload": payload, "secret": secret, "id": message_id, "timestamp": int(stamp)}
        )
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(stamp)), "webhook-signature": signed["ok"]}
        return await send(api, "any", payload, headers, expect)

    await sent("msg_1", time.time(), 200)
    assert (await sent("msg_1", time.time(), 200))["duplicate"] is True
    await sent("msg_2", time.time() - 400, 401)
    await sent("msg_3", time.time(), 401, new_secret(bytes(32)))
    assert (await sent("msg_4", time.time(), 200))["duplicate"] is False  # the same content, said again under a signed id
    (_, (kind, record)) = await told(api)
    assert (kind, record["object_type"], record["object_id"]) == ("integration.object.created", "invoice", "in_1")
    (known,) = await api("GET", "/api/v1/integrations/any/objects?type=invoice", 200)
    assert (known["id"], known["data"]["total"]) == ("in_1", 12.5)


@pytest.mark.parametrize("format_", ["hex", "sha256=hex", "base64", "t=,v1="])
async def test_a_generic_sender_signs_as_was_agreed(api: Api, format_: str) -> None:  # noqa: F811
    settings = {"header": "X-Deploy-Signature", "format": format_, "deployed_types": ["build.done"]}
    made = await api("POST", "/api/v1/integrations", 201, {"name": "ci", "platform": "hmac", "settings": settings})
    secret = made["secret"].encode()

    def signature(payload: str, key: bytes = secret) -> str:
        stamp = str(int(time.time()))
        content = f"{stamp}.{payload}" if format_ == "t=,v1=" else payload
        digest = hmac.new(key, content.encode(), hashlib.sha256)
        return {
            "hex": digest.hexdigest(), "sha256=hex": f"sha256={digest.hexdigest()}", "base64": b64encode(digest.digest()).decode(),
            "t=,v1=": f"t={stamp},v1={digest.hexdigest()}",
        }[format_]  # fmt: skip

    payload = text({"id": "b-1", "type": "build.done", "site": "www"})
    await send(api, "ci", payload, {"X-Deploy-Signature": signature(payload)})
    assert (await send(api, "ci", payload, {"X-Deploy-Signature": signature(payload)}))["duplicate"] is True
    for wrong in (signature(payload, b"another"), "", "x", signature(payload + " ")):
        await send(api, "ci", payload, {"X-Deploy-Signature": wrong}, 401)
    if format_ != "hex":  # a signature in another format than was agreed is none
        plain = hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()
        await send(api, "ci", payload, {"X-Deploy-Signature": plain}, 401)
    await send(api, "ci", "[1]", {"X-Deploy-Signature": signature("[1]")}, 422)
    assert [kind for kind, _ in await told(api)] == ["integration.connected", "site.deployed"]


async def test_a_sync_tells_what_differs(api: Api, shop: Any, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "integration.*", profile="vivreal-content")
    path = "/api/v1/integrations/shop/sync"
    objects = [{"type": "price", "id": f"price_{n}", "data": {"id": f"price_{n}", "amount": n}} for n in range(3)]
    counts = await api("POST", path, 200, {"objects": objects})
    assert counts == {"created": 3, "updated": 0, "deleted": 0, "unchanged": 0}
    objects[0]["data"]["amount"] = 99
    counts = await api("POST", path, 200, {"objects": objects[:2], "complete": True})
    assert counts == {"created": 0, "updated": 1, "deleted": 1, "unchanged": 1}
    kinds = [kind for kind, _ in await told(api)]
    assert kinds.count("integration.synced") == 2
    bodies = [json.loads(request.body) for request in await receiver.wait_for(5)]
    assert sorted(body["event"] for body in bodies) == ["integration.created"] * 3 + [
        "integration.deleted",
        "integration.updated",
    ]
    updated = next(body["data"] for body in bodies if body["event"] == "integration.updated")
    assert (updated["_id"], updated["id"], updated["platform"], updated["objectValue"]["amount"]) == (
        "shop:price:price_0",
        "price_0",
        "stripe",
        99,
    )
    assert updated["groupID"] == "default"
    await api("POST", path, 422, {"objects": [{"type": "", "id": "x", "data": {}}]})
    await api("POST", path, 422, {"objects": [{"type": "x", "id": "x"}]})


async def test_connecting_changing_and_disconnecting_are_events(api: Api, shop: Any) -> None:  # noqa: F811
    path = "/api/v1/integrations/shop"
    assert await api("GET", path, 200) == shop
    await api("PATCH", path, 200, {"secret": "whsec_a_new_secret_of_stripes"})
    await send_stripe(api, stripe_event(1, "product.created", 1), expect=401)
    await send_stripe(api, stripe_event(1, "product.created", 1), secret="whsec_a_new_secret_of_stripes")
    await api("PATCH", path, 200, {"enabled": False})
    await send_stripe(api, stripe_event(2, "product.created", 2), expect=404)
    await api("PATCH", path, 200, {"enabled": True})
    await api("DELETE", path, 204)
    await api("GET", path, 404)
    assert [kind.removeprefix("integration.") for kind, _ in await told(api)] == [
        "connected", "updated", "object.created", "disconnected", "connected", "disconnected",
    ]  # fmt: skip
    secrets = await api.engine.sql(
        "select e::text as line from tidings.events e union all select o::text from tidings.outbox o"
    )
    assert "whsec_" not in str(secrets)


async def test_what_is_no_integration_is_refused(api: Api, shop: Any) -> None:  # noqa: F811
    for body, field in (
        ({"platform": "github"}, "name"),
        ({"name": "a/b", "platform": "github"}, "name"),
        ({"name": "x", "platform": "myspace"}, "platform"),
        ({"name": "x", "platform": "stripe"}, "secret"),
        ({"name": "x", "platform": "github", "secret": "short"}, "secret"),
        ({"name": "x", "platform": "standard", "secret": "not whsec"}, "secret"),
        ({"name": "x", "platform": "hmac", "settings": {"format": "md5"}}, "settings.format"),
        ({"name": "x", "platform": "hmac", "settings": {"hat": 1}}, "settings"),
        ({"name": "x", "platform": "github", "settings": {"header": "X"}}, "settings"),
    ):
        assert (await api("POST", "/api/v1/integrations", 422, body))["field"] == field, body
    await api("POST", "/api/v1/integrations", 409, {"name": "shop", "platform": "github"})
    await api("PATCH", "/api/v1/integrations/shop", 422, {"platform": "github"})
    assert len(await api("GET", "/api/v1/integrations", 200)) == 1


async def test_an_integration_belongs_to_its_group(api: Api, shop: Any, receiver: Receiver) -> None:  # noqa: F811
    acme = {"X-Tidings-Group": "acme"}
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    await api("GET", "/api/v1/integrations/shop", 404, headers=acme)
    await api("POST", "/api/v1/integrations", 409, {"name": "shop", "platform": "github"}, headers=acme)
    hook = {"url": receiver.url("/acme"), "events": ["integration.*"]}
    await api("POST", "/api/v1/webhooks", 201, hook, headers=acme)
    await send_stripe(api, stripe_event(1, "product.created", 1))
    await api("POST", "/api/v1/integrations", 201, {"name": "acme-code", "platform": "github"}, headers=acme)
    (request,) = await receiver.wait_for(1)
    assert json.loads(request.body)["data"]["integration"] == "acme-code"


async def test_notices_are_forgotten_when_retention_ends(api: Api, shop: Any) -> None:  # noqa: F811
    await send_stripe(api, stripe_event(1, "product.created", 1))
    api.engine.clock.ahead = timedelta(days=31)
    await api.engine.worker._janitor.run_once()
    assert await api.engine.value("select count(*) from tidings.integration_notices") == 0
    assert await api.engine.value("select count(*) from tidings.integration_objects") == 1
