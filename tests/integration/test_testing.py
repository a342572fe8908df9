"""Tests of webhooks, and their health, over HTTP."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.integration.test_api import KEY, Api
from tests.integration.test_shapes import api as api
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.client import verify
from tidings.config import Config
from tidings.operations.webhooks.testing import Ending, ending_of


async def pressed(api: Api, hook: dict[str, Any], expect: int = 200, body: Any = None) -> Any:
    return await api("POST", f"/api/v1/webhooks/{hook['id']}/test", expect, body)


async def test_a_test_is_of_any_type_and_goes_to_its_webhook_alone(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url("/others"), "*", "cron.*", {"table": "*"})
    hook = await api.create(receiver.url("/hook"), "order.*", {"table": "posts"})
    for body, type_ in (
        ({"event": "order.paid", "data": {"total": 12.50}}, "order.paid"),
        ({"event": "INSERT"}, "table.posts.inserted"),
        ({"event": "table.posts.deleted", "record": {"id": 7}}, "table.posts.deleted"),
        ({"event": "content.published"}, "content.published"),
        ({"event": "cron.fired"}, "cron.fired"),
        ({"event": "webhook.failing"}, "webhook.failing"),
        ({}, "webhook.test"),
    ):
        result = await pressed(api, hook, 200, body)
        assert (result["outcome"], result["success"], result["response_status"]) == ("answered", True, 200)
        request = receiver.received[-1]
        assert verify(request.body, request.headers, hook["secret"])["type"] == type_
        delivery = await api("GET", f"/api/v1/deliveries/{result['delivery_id']}", 200)
        assert (delivery["is_test"], delivery["event"]) == (True, type_)
    assert json.loads(receiver.received[0].body)["data"] == {"total": 12.5}
    assert {request.path for request in receiver.received} == {"/hook"}


async def test_a_test_is_asked_for_by_the_names_of_the_profile(api: Api, receiver: Receiver) -> None:
    hook = await api.create(receiver.url("/hook"), "*", profile="vivreal")
    await pressed(api, hook, 200, {"event": "collection.object.created", "data": {"id": "a81", "title": "New"}})
    (request,) = receiver.received
    assert request.headers["x-vivreal-event"] == "collection.object.created"
    assert json.loads(request.body)["data"]["fields"] == {"title": "New"}
    for name, said in (
        ("bogus.thing", "collection.object.created"),
        ("collection.object.create", 'Did you mean "collection.object.created"'),
        ("content.created", 'It is called "collection.object.created" here'),
    ):
        refused = await pressed(api, hook, 422, {"event": name})
        assert (refused["field"], said in refused["error"]) == ("event", True)
    standard = await api.create(receiver.url("/hook"), "*")
    await api("PUT", "/api/v1/event-types/order.paid", 200, {"example": {"total": 7}})
    assert 'Did you mean "order.paid"' in (await pressed(api, standard, 422, {"event": "order.payed"}))["error"]
    assert (await pressed(api, standard, 422, {"event": "bogus.thing"}))["field"] == "event"
    await pressed(api, standard, 200, {"event": "order.paid"})
    assert json.loads(receiver.received[-1].body)["data"] == {"total": 7}
    assert len(receiver.received) == 2


async def test_a_paused_or_resting_webhook_is_tested_all_the_same(api: Api, receiver: Receiver) -> None:
    hook = await api.create(receiver.url("/hook"), "order.*", ordered=True, rate_per_second=0.001, enabled=False)
    await api.engine.user.execute("update tidings.lanes set held_until = now() + interval '1 hour', failure_count = 9")
    assert (await pressed(api, hook))["success"] is True
    assert (await pressed(api, hook, 200, {"event": "order.paid"}))["success"] is True


async def test_what_came_of_a_test_is_told_apart(api: Api, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers none
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        hook = await api.create(silent_url, "*", timeout_seconds=0.2)
        late = await pressed(api, hook)
    assert (late["outcome"], late["success"], late["response_status"]) == ("timed_out", False, None)
    gone = await pressed(api, hook)  # nobody listens there any more
    assert (gone["outcome"], gone["success"]) == ("refused", False)
    assert "could not be reached" in gone["message"]
    receiver.otherwise = says(answer(500, b"no"))
    hook = await api.create(receiver.url("/hook"), "*")
    failed = await pressed(api, hook)
    assert (failed["outcome"], failed["success"], failed["response_status"]) == ("answered", False, 500)


async def test_without_a_worker_a_test_says_so_and_does_not_wait(
    config: Config, api_server: ApiServer, receiver: Receiver
) -> None:
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        api = Api(client, engine)
        hook = await api.create(receiver.url("/hook"), "*", timeout_seconds=0.1)
        waiting = await pressed(api, hook)  # the worker's heart beats, and it does nothing
        assert (waiting["outcome"], waiting["success"]) == ("waiting", None)
        await engine.user.execute("update tidings.workers set heartbeat_at = now() - interval '1 minute'")
        absent = await pressed(api, hook)
        assert (absent["outcome"], absent["success"]) == ("no_worker", None)
        assert "tidings worker" in absent["message"]
        await engine.cycle()
        assert len(receiver.received) == 2


async def test_nobody_can_publish_what_counts_as_a_test(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url("/hook"), "order.*")
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": 1, "id": "webhook.test"})
    await receiver.wait_for(1)

    async def is_recorded() -> Any:
        return await api("GET", "/api/v1/deliveries", 200)

    (delivery,) = await eventually(is_recorded)
    assert delivery["is_test"] is False


@pytest.mark.parametrize(
    ("status", "failure", "ending"),
    [
        (204, None, Ending.ANSWERED), (500, None, Ending.ANSWERED), (200, "too_large", Ending.ANSWERED),
        (None, "timeout", Ending.TIMED_OUT), (200, "timeout", Ending.TIMED_OUT),
        *((None, failure, Ending.REFUSED) for failure in ("dns", "connect", "tls", "reset", "protocol", "address_refused")),
    ],
)  # fmt: skip
def test_every_ending_has_a_name(status: int | None, failure: str | None, ending: Ending) -> None:
    assert ending_of(status, failure) is ending


# Health ----------------------------------------------------------------------------------------------------------------


async def test_health_is_shown_with_its_sentence_and_figures(api: Api, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500, b"no"))
    hook = await api.create(receiver.url("/hook"), "order.*")
    path = f"/api/v1/webhooks/{hook['id']}"
    assert (await api("GET", path, 200))["health"]["state"] == "idle"
    await api.engine.publish()

    async def fails() -> Any:
        health = (await api("GET", path, 200))["health"]
        return health if health["state"] == "failing" and health["hour"]["success_rate"] is not None else None

    health = await eventually(fails)
    assert "HTTP 500" in health["sentence"]
    assert "HTTP 500" in health["last_failure"]
    assert (health["waiting"], health["last_success_at"], health["success_rate"]) == (1, None, 0)
    assert [health[span]["retried"] for span in ("hour", "day", "month")] == [1, 1, 1]
    assert health["hour"]["p95_ms"] > 0
    assert None not in (health["since"], health["last_failure_at"])
    (listed,) = await api("GET", "/api/v1/webhooks", 200)
    assert listed["health"] == {n: v for n, v in health.items() if n not in {"hour", "day", "month"}}
    assert (await api("PATCH", path, 200, {"enabled": False, "health": {"state": "healthy"}}))["enabled"] is False
    paused = (await api("GET", path, 200))["health"]
    assert (paused["state"], "paused" in paused["sentence"]) == ("paused", True)
    await api.engine.user.execute("update tidings.lanes set warned_at = now(), open = true")
    metrics = (await api.client.get("/metrics")).text
    assert "\ntidings_webhooks_failing 1.0\n" in metrics
    assert "\ntidings_webhooks_resting 0.0\n" in metrics
