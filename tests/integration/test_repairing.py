"""Sending many again, explaining and dry runs over the API and its clients, against a running engine."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import eventually
from tests.support.receiver import Receiver, answer, says
from tidings.client import AsyncClient
from tidings.operations.history import recoveries

ONCE = {"retry": {"delays": []}}


async def publish(api: Api, *ids: str, type_: str = "order.paid") -> None:  # noqa: F811
    for id_ in ids:
        await api("POST", "/api/v1/events", 202, {"type": type_, "data": {"name": id_}, "id": id_})


async def settled(api: Api, count: int, query: str = "") -> list[Any]:  # noqa: F811
    """Wait until so many deliveries are finished, and return them."""

    async def finished() -> list[Any] | None:
        found = await api("GET", f"/api/v1/deliveries?status=failed,succeeded{query}", 200)
        return found if len(found) == count else None

    found: list[Any] = await eventually(finished)
    return found


async def over(api: Api, recovery: Any) -> Any:  # noqa: F811
    """Wait until a recovery is over."""

    async def ended() -> Any:
        now = await api("GET", f"/api/v1/recoveries/{recovery['id']}", 200)
        return now if now["state"] not in {"waiting", "running"} else None

    return await eventually(ended)


def received(receiver: Receiver) -> list[str]:
    return sorted(request.headers["webhook-id"] for request in receiver.received)


async def test_everything_not_acknowledged_between_a_and_b_comes_again_once_with_its_ids(
    api: Api,  # noqa: F811
    receiver: Receiver,
) -> None:
    """Failed ones, and with `missing` those from while the webhook was paused; not what came before or after, nor what was
    acknowledged. Doing it twice sends nothing twice."""
    hook = await api.create(receiver.url(), "order.*", **ONCE)
    path = f"/api/v1/webhooks/{hook['id']}"
    receiver.otherwise = says(answer(500))
    await publish(api, "before")
    (before,) = await settled(api, 1)
    begin = api.engine.clock.now() + timedelta(milliseconds=2)
    api.engine.clock.ahead += timedelta(milliseconds=5)
    await publish(api, "a", "b")
    failed = await settled(api, 3)
    receiver.otherwise = says(answer(200))
    await publish(api, "good")
    await settled(api, 4)
    await api("PATCH", path, 200, {"enabled": False})
    await publish(api, "paused", "paused too")

    async def routed() -> Any:
        return not await api.engine.value("select count(*) from tidings.outbox")

    await eventually(routed)
    refused = await api("POST", f"{path}/recover", 409, {"since": begin.isoformat(), "missing": True})
    assert "Enable it" in refused["error"]
    await api("PATCH", path, 200, {"enabled": True})
    end = api.engine.clock.now() + timedelta(milliseconds=2)
    receiver.received.clear()
    asked = {"since": begin.isoformat(), "until": end.isoformat(), "missing": True}
    begun = await api.client.post(f"{path}/recover", json=asked)
    assert begun.status_code == 202
    assert begun.headers["location"] == f"/api/v1/recoveries/{begun.json()['id']}"
    done = await over(api, begun.json())
    assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, None)
    assert (done["found_count"], done["queued_count"], done["skipped_count"]) == (4, 4, 0)
    await receiver.wait_for(4)
    events = {event["external_id"]: event["id"] for event in await api("GET", "/api/v1/events", 200)}
    assert received(receiver) == sorted(events[name] for name in ("a", "b", "paused", "paused too"))
    await settled(api, 6)
    again = await over(api, await api("POST", f"{path}/recover", 202, asked))
    assert (again["state"], again["found_count"]) == ("done", 0)
    assert len(receiver.received) == 4
    assert {one["id"] for one in failed} >= {before["id"]}
    assert (await api("GET", f"/api/v1/deliveries/{before['id']}", 200))["status"] == "failed"
    listed = await api("GET", "/api/v1/recoveries?limit=1", 200)
    assert [one["id"] for one in listed] == [again["id"]]
    older = await api("GET", f"/api/v1/recoveries?cursor={again['id']}", 200)
    assert [one["id"] for one in older] == [done["id"]]


async def test_a_webhook_that_came_later_is_sent_what_it_would_hear_now(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await publish(api, "early", "early too")
    await publish(api, "other", type_="invoice.sent")

    async def all_there() -> Any:
        return len(await api("GET", "/api/v1/events", 200)) == 3

    await eventually(all_there)
    hook = await api.create(receiver.url(), "order.*", **ONCE)
    since = (api.engine.clock.now() - timedelta(hours=1)).isoformat()
    services = api.engine.services
    forecast = await recoveries.count_webhook(
        services, hook_id := UUID(hook["id"]), datetime.fromisoformat(since), missing=True
    )
    assert (forecast.again, forecast.missing, forecast.is_exact) == (0, 2, True)
    forecast = await recoveries.count_webhook(services, hook_id, datetime.fromisoformat(since))
    assert (forecast.again, forecast.missing, forecast.is_exact) == (0, 0, True)
    done = await over(api, await api("POST", f"/api/v1/webhooks/{hook['id']}/recover", 202, {"since": since, "missing": True}))
    assert (done["state"], done["queued_count"]) == ("done", 2)
    await receiver.wait_for(2)


async def test_some_are_sent_again_by_a_search_or_by_their_ids(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url("/one"), "order.*", **ONCE)
    hook = await api.create(receiver.url("/two"), "*", **ONCE)
    receiver.otherwise = says(answer(500))
    await publish(api, "a", "b")
    await publish(api, "c", type_="invoice.sent")
    await settled(api, 5)
    receiver.otherwise = says(answer(200))
    receiver.received.clear()
    search = {"status": "failed", "type": ["order.*"], "webhook_id": hook["id"], "response_status": 500}
    done = await over(api, await api("POST", "/api/v1/deliveries/retry", 202, search))
    assert (done["state"], done["found_count"], done["ids"]) == ("done", 2, [])
    said = {"status": "failed", "type": "order.*", "webhook_id": hook["id"], "response_status": "500"}
    assert {name: text for name, text in done["search"].items() if name != "until"} == said
    await receiver.wait_for(2)
    assert {request.path for request in receiver.received} == {"/two"}
    good = await api("GET", "/api/v1/deliveries?status=failed", 200)
    assert len(good) == 3
    succeeded = await settled(api, 2, f"&webhook_id={hook['id']}&type=order.*")
    ids = [good[0]["id"], succeeded[0]["id"], succeeded[0]["id"]]
    done = await over(api, await api("POST", "/api/v1/deliveries/retry", 202, {"ids": ids}))
    assert (done["state"], done["found_count"], done["queued_count"], done["search"]) == ("done", 2, 2, None)
    assert sorted(done["ids"]) == sorted(set(ids))
    await receiver.wait_for(4)


async def test_a_recovery_is_cancelled_and_keeps_to_its_rate(api: Api, receiver: Receiver) -> None:  # noqa: F811
    hook = await api.create(receiver.url(), "order.*", **ONCE)
    receiver.otherwise = says(answer(500))
    await publish(api, *(str(number) for number in range(5)))
    await settled(api, 5)
    body = {"status": "failed", "rate_per_second": 0.01}
    begun = await api("POST", "/api/v1/deliveries/retry", 202, body)
    assert begun["rate_per_second"] == 0.01

    async def first() -> Any:
        now = await api("GET", f"/api/v1/recoveries/{begun['id']}", 200)
        return now if now["queued_count"] else None

    assert (await eventually(first))["state"] == "running"
    ended = await api("POST", f"/api/v1/recoveries/{begun['id']}/cancel", 200)
    assert (ended["state"], ended["queued_count"]) == ("cancelled", 1)
    assert (await api("POST", f"/api/v1/recoveries/{begun['id']}/cancel", 409))["code"] == "CONFLICT"
    since = (api.engine.clock.now() - timedelta(hours=1)).isoformat()
    slow = {"since": since, "rate_per_second": 0.01}
    for _ in range(10):
        await api("POST", f"/api/v1/webhooks/{hook['id']}/recover", 202, slow)
    refused = await api("POST", f"/api/v1/webhooks/{hook['id']}/recover", 409, slow)
    assert "Wait for one, or cancel one." in refused["error"]


REFUSED: list[tuple[str, Any, str]] = [
    ("/api/v1/deliveries/retry", {}, "ids"),
    ("/api/v1/deliveries/retry", {"ids": []}, "ids"),
    ("/api/v1/deliveries/retry", {"ids": [str(uuid4())]}, "ids[0]"),
    ("/api/v1/deliveries/retry", {"ids": ["x"]}, "ids[0]"),
    ("/api/v1/deliveries/retry", {"ids": [str(uuid4())] * 1001}, "ids"),
    ("/api/v1/deliveries/retry", {"ids": [str(uuid4())], "status": "failed"}, "ids"),
    ("/api/v1/deliveries/retry", {"status": "sending"}, "status"),
    ("/api/v1/deliveries/retry", {"status": "lost"}, "status"),
    ("/api/v1/deliveries/retry", {"type": "no.such"}, "type"),
    ("/api/v1/deliveries/retry", {"state": "failed"}, "state"),
    ("/api/v1/deliveries/retry", {"status": "failed", "rate_per_second": 0}, "rate_per_second"),
    ("/api/v1/deliveries/retry", {"status": "failed", "since": "2999-01-01T00:00:00Z"}, "since"),
    ("/api/v1/deliveries/retry?status=failed", {"status": "failed"}, "status"),
    ("/api/v1/webhooks/{id}/recover", {}, "since"),
    ("/api/v1/webhooks/{id}/recover", {"since": "2026-11-21T03:42:37"}, "since"),
    ("/api/v1/webhooks/{id}/recover", {"since": "2026-11-21T03:42:37Z", "until": "2026-11-20T03:42:37Z"}, "until"),
    ("/api/v1/webhooks/{id}/recover", {"since": "2026-11-21T03:42:37Z", "missed": True}, "missed"),
    ("/api/v1/webhooks/{id}/dry-run?days=0", {}, "days"),
    ("/api/v1/webhooks/dry-run", {"profile": "standard"}, "events"),
    ("/api/v1/webhooks/dry-run", {"events": [{"table": "nowhere"}]}, "events[0].table"),
]


async def test_what_cannot_be_sent_again_is_said_with_its_field(api: Api, receiver: Receiver) -> None:  # noqa: F811
    hook = await api.create(receiver.url(), "*")
    for path, body, field in REFUSED:
        refused = await api("POST", path.format(id=hook["id"]), 422, body)
        assert (refused["field"], refused["code"]) == (field, "INVALID_INPUT"), (path, body)
    assert await api("GET", "/api/v1/recoveries", 200) == []


async def test_what_is_another_groups_is_not_there(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    hook = await api.create(receiver.url(), "*", **ONCE)
    receiver.otherwise = says(answer(500))
    await publish(api, "a")
    (mine,) = await settled(api, 1)
    acme = {"headers": {"X-Tidings-Group": "acme"}}
    await api("POST", f"/api/v1/webhooks/{hook['id']}/recover", 404, {"since": "2026-01-01T00:00:00Z"}, **acme)
    refused = await api("POST", "/api/v1/deliveries/retry", 422, {"ids": [mine["id"]]}, **acme)
    assert refused["field"] == "ids[0]"
    begun = await api("POST", "/api/v1/deliveries/retry", 202, {"status": "failed"}, **acme)
    await api("GET", f"/api/v1/recoveries/{begun['id']}", 404)
    await api("POST", f"/api/v1/recoveries/{begun['id']}/cancel", 404)
    await api("GET", f"/api/v1/events/{mine['event_id']}/explain", 404, **acme)
    await api("POST", f"/api/v1/webhooks/{hook['id']}/dry-run", 404, {}, **acme)

    async def ended() -> Any:
        now = await api("GET", f"/api/v1/recoveries/{begun['id']}", 200, **acme)
        return now if now["state"] == "done" else None

    assert (await eventually(ended))["found_count"] == 0


async def test_an_event_is_explained_for_each_webhook_the_nearest_first(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.engine.user.execute("create table orders (id int primary key)")
    far = await api.create(receiver.url("/far"), "invoice.*", name="far")
    near = await api.create(receiver.url("/near"), {"table": "orders", "operations": ["DELETE"]}, name="near")
    sent = await api.create(receiver.url("/sent"), {"table": "orders"}, name="sent", profile="vivreal")
    await api("PATCH", f"/api/v1/webhooks/{far['id']}", 200, {"enabled": False})
    await api.engine.user.execute("insert into orders values (17)")
    (delivery,) = await settled(api, 1)
    path = f"/api/v1/events/{delivery['event_id']}/explain"
    said = await api("GET", path, 200)
    assert [(one["name"], one["is_sent"]) for one in said["webhooks"]] == [("sent", True), ("near", False), ("far", False)]
    first, second, third = said["webhooks"]
    assert (first["delivery_id"], first["status"]) == (delivery["id"], "succeeded")
    (attempt,) = await api("GET", f"/api/v1/deliveries/{delivery['id']}/attempts", 200)
    assert (first["request"]["url"], first["request"]["body"]) == (sent["url"], attempt["request"]["body"])
    assert (second["request"], second["delivery_id"]) == (None, None)
    (entry,) = second["filters"]
    assert [(one["name"], one["holds"]) for one in entry["conditions"]] == [
        ("source", True), ("table", True), ("operation", False),
    ]  # fmt: skip
    assert "the webhook is disabled" in third["sentence"]
    page = await api("GET", f"{path}?limit=2", 200)
    rest = await api("GET", f"{path}?limit=2&cursor={page['cursor']}", 200)
    assert [one["name"] for one in page["webhooks"] + rest["webhooks"]] == ["sent", "near", "far"]
    assert rest["cursor"] is None
    alone = await api("GET", f"{path}?webhook_id={near['id']}", 200)
    assert [one["name"] for one in alone["webhooks"]] == ["near"]
    assert (await api("GET", f"{path}?cursor=x", 422))["field"] == "cursor"
    assert (await api("GET", f"{path}?webhook={near['id']}", 422))["field"] == "webhook"
    await api("GET", f"/api/v1/events/{uuid4()}/explain", 404)
    await api("GET", f"{path}?webhook_id={uuid4()}", 404)


async def test_a_dry_run_tells_what_a_webhook_would_have_been_sent(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await publish(api, "a", "b", "c")
    await publish(api, "d", type_="invoice.sent")

    async def all_there() -> Any:
        return len(await api("GET", "/api/v1/events", 200)) == 4

    await eventually(all_there)
    first = await api("POST", "/api/v1/webhooks/dry-run?limit=2", 200, {"events": ["order.*"]})
    assert [(one["type"], one["name"]) for one in first["events"]] == [("order.paid", "order.paid")] * 2
    rest = await api("POST", f"/api/v1/webhooks/dry-run?limit=2&cursor={first['cursor']}", 200, {"events": ["order.*"]})
    assert (len(rest["events"]), rest["cursor"], rest["searched_to"]) == (1, None, None)
    assert await api("GET", "/api/v1/webhooks", 200) == []
    hook = await api.create(receiver.url(), "invoice.*")
    path = f"/api/v1/webhooks/{hook['id']}/dry-run"
    assert [one["type"] for one in (await api("POST", path, 200))["events"]] == ["invoice.sent"]
    assert len((await api("POST", path, 200, {"events": "*"}))["events"]) == 4
    assert (await api("GET", f"/api/v1/webhooks/{hook['id']}", 200))["events"] == ["invoice.*"]
    assert receiver.received == []


async def test_the_clients_recover_explain_and_look_ahead(api: Api, receiver: Receiver) -> None:  # noqa: F811
    async with AsyncClient(str(api.client.base_url), "test") as client:
        hook = await client.webhooks.create(receiver.url(), ["order.*"], retry={"delays": []})
        receiver.otherwise = says(answer(500))
        published = await client.events.publish("order.paid", {"total": 1})
        await settled(api, 1)
        receiver.otherwise = says(answer(200))
        since = api.engine.clock.now() - timedelta(hours=1)
        recovery = await client.webhooks.recover(hook.id, since=since, rate_per_second=100)

        async def ended() -> Any:
            now = await client.recoveries.get(recovery.id)
            return now if now.is_over else None

        assert (await eventually(ended)).queued_count == 1
        many = await client.deliveries.retry_all(webhook_id=hook.id, status="succeeded,failed")
        assert {one.id for one in await client.recoveries.list()} == {recovery.id, many.id}
        explained = await client.events.explain(published.id)
        assert [(one.webhook_id, one.is_sent) for one in explained.webhooks] == [(hook.id, True)]
        assert len((await client.webhooks.dry_run(hook.id)).events) == 1
        assert (await client.webhooks.dry_run_draft(events=["invoice.*"], days=1)).events == []
