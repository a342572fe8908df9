"""What may be called, asked by every door, told to operators and narrowed by group."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.dns import dns
from tests.support.engine import engine_of, eventually
from tests.support.furnished import NOWHERE
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tests.support.tokens import TokenServer
from tidings.config import Config
from tidings.transport.names import Names


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    """An installation that allows this machine, and denies a part of it."""
    config = msgspec.structs.replace(config, deny_networks="127.9.0.0/16", deny_ports="4444")
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


async def judged(api: Api, url: str, group: str = "default") -> Any:
    return await api("POST", "/api/v1/egress/judge", 200, {"url": url}, headers={"x-tidings-group": group})


async def test_the_settings_are_told_and_urls_are_judged_without_a_call(api: Api, receiver: Receiver) -> None:
    rules = await api("GET", "/api/v1/egress", 200)
    assert (rules["allowed_networks"], rules["denied_networks"], rules["denied_ports"]) == (
        ["127.0.0.0/8"],
        ["127.9.0.0/16"],
        "4444",
    )
    good = await judged(api, receiver.url())
    assert (good["is_allowed"], good["cause"], good["addresses"]) == (True, None, [{"address": "127.0.0.1", "cause": None}])
    for url, cause in (
        ("https://127.9.1.1/", "in 127.9.0.0/16, which is denied"),
        ("https://10.0.0.1/", "is not public"),
        ("https://127.0.0.1:4444/", "TIDINGS_DENY_PORTS"),
    ):
        bad = await judged(api, url)
        assert not bad["is_allowed"]
        assert cause in bad["cause"]
        assert cause not in bad["sentence"]
    async with dns({"inside.test": [["10.1.2.3", "127.0.0.1"]]}) as server:
        api.engine.services.sender._opener._names = Names(("127.0.0.1",), server.port)
        found = await judged(api, "https://inside.test/")
    assert found["is_allowed"]
    assert [one["cause"] is None for one in sorted(found["addresses"], key=lambda one: str(one["address"]))] == [False, True]
    assert receiver.connections == 0
    assert (await api("POST", "/api/v1/egress/judge", 422, {"url": "ftp://x"}))["field"] == "url"


async def test_a_group_is_narrowed_for_saving_preview_and_what_is_sent(api: Api, receiver: Receiver) -> None:
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    acme = {"headers": {"x-tidings-group": "acme"}}
    made = await api("POST", "/api/v1/webhooks", 201, {"url": receiver.url(), "events": ["*"], "retry": {"delays": []}}, **acme)
    other = await api.create(receiver.url("/other"), "*")
    event = {"type": "order.paid", "data": {}}
    await api("POST", "/api/v1/events", 202, event, **acme)
    await receiver.wait_for(1)  # its connection is kept
    narrowed = await api("PUT", "/api/v1/groups/acme/egress", 200, {"denied_networks": ["127.0.0.0/16"]})
    assert narrowed == await api("GET", "/api/v1/groups/acme/egress", 200)
    await api("POST", "/api/v1/events", 202, event, **acme)

    async def refused() -> Any:
        return [row["error"] for row in await api.engine.attempts() if row["failure"] == "address_refused"]

    (sentence,) = await eventually(refused)
    assert sentence.startswith("127.0.0.1 is not allowed here.")
    await api("POST", "/api/v1/events", 202, event)  # of the other group, by the same host
    await receiver.wait_for(2)
    assert [one.path for one in receiver.received] == ["/hook", "/other"]
    body = {"url": receiver.url(), "events": ["*"]}
    for path in ("/api/v1/webhooks", "/api/v1/webhooks/preview", f"/api/v1/webhooks/{made['id']}/preview"):
        sent = body | ({"url": receiver.url("/new")} if path.endswith("preview") else {})
        assert (await api("POST", path, 422, sent, **acme))["field"] == "url"
    assert not (await judged(api, receiver.url(), "acme"))["is_allowed"]
    assert (await judged(api, receiver.url()))["is_allowed"]
    await api("POST", f"/api/v1/webhooks/{other['id']}/preview", 200, {})
    await api("PUT", "/api/v1/groups/acme/egress", 200, {})
    await api("POST", "/api/v1/events", 202, event, **acme)
    await receiver.wait_for(3)
    assert await api.engine.value("select count(*) from tidings.group_egress") == 0


async def test_a_name_that_leads_elsewhere_once_it_is_saved_is_not_followed(api: Api, receiver: Receiver) -> None:
    """Allowed as it is saved, denied as it is sent to, and allowed again for the next."""
    denied = Receiver()
    denied._server = await asyncio.start_server(denied._serve, "127.9.1.1", receiver.port)
    event = {"type": "order.paid", "data": {}}
    async with dns({"turning.test": [["127.0.0.1"], ["127.9.1.1"], ["127.0.0.1"]]}) as server:
        api.engine.services.sender._opener._names = Names(("127.0.0.1",), server.port)
        await api.create(f"http://turning.test:{receiver.port}/", "*")
        await api("POST", "/api/v1/events", 202, event)
        (refused,) = await eventually(api.engine.attempts)
        assert refused["failure"] == "address_refused"
        assert "127.9" not in refused["error"], "what the name resolved to is not told"
        await api("POST", "/api/v1/events", 202, event)
        await receiver.wait_for(1)
    await denied.stop()
    assert denied.connections == 0


async def test_connections_and_tokens_of_before_a_narrowing_serve_nobody_whom_it_denies_them(
    api: Api, receiver: Receiver
) -> None:
    """Both groups use one receiver and one endpoint of tokens, by connections that are kept."""
    tokens = TokenServer()
    tokens._server = await asyncio.start_server(tokens._serve, "127.0.0.3", 0)
    tokens.port = tokens._server.sockets[0].getsockname()[1]
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    acme = {"headers": {"x-tidings-group": "acme"}}
    auth = {"type": "oauth2", "token_url": f"http://127.0.0.3:{tokens.port}/", "client_id": "a", "client_secret": "b"}
    body = {"url": receiver.url(), "events": ["*"], "retry": {"delays": []}, "auth": auth}
    event = {"type": "order.paid", "data": {}}
    for of_group in (acme, {}):
        await api("POST", "/api/v1/webhooks", 201, body, **of_group)
        await api("POST", "/api/v1/events", 202, event, **of_group)
    await receiver.wait_for(2)
    asked = len(tokens.received)
    await api("PUT", "/api/v1/groups/acme/egress", 200, {"denied_networks": ["127.0.0.3/32"]})
    await api("POST", "/api/v1/events", 202, event, **acme)

    async def refused() -> Any:
        return [row for row in await api.engine.attempts() if row["failure"] is not None]

    (row,) = await eventually(refused)
    assert row["failure"] in {"token", "address_refused"}
    assert len(tokens.received) == asked, "its endpoint may not be called, though its token was good and its connection open"
    await api("POST", "/api/v1/events", 202, event)
    await receiver.wait_for(3)
    assert receiver.received[-1].headers["authorization"].startswith("Bearer token-")
    await tokens.stop()


async def test_a_webhook_that_is_made_meanwhile_is_narrowed_too(api: Api) -> None:
    """It is written before the narrowing is, and committed while that waits for it."""
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    acme = {"headers": {"x-tidings-group": "acme"}}
    async with api.engine.holding("select from tidings.routes_version for update"):
        making = asyncio.create_task(api("POST", "/api/v1/webhooks", 201, {"url": NOWHERE, "events": ["*"]}, **acme))
        await eventually(lambda: api.engine.are_waiting(1))
        narrowing = asyncio.create_task(api("PUT", "/api/v1/groups/acme/egress", 200, {"https_only": True}))
        await eventually(lambda: api.engine.are_waiting(2))
    made, _ = await asyncio.gather(making, narrowing)
    told = await api.engine.value("select count(*) from tidings.webhook_changes where webhook_id = $1", UUID(made["id"]))
    assert told == 2  # that it was made, and that it is narrowed


async def test_a_narrowing_that_cannot_be_read_is_written_anew(api: Api) -> None:
    await api.engine.sql("insert into tidings.group_egress values ('default', '{\"networks\": [\"nonsense\"]}', now())")
    assert "Write anew" in str(await api("GET", "/api/v1/groups/default/egress", 409))
    await api("PUT", "/api/v1/groups/default/egress", 200, {"https_only": True})
    assert (await api("GET", "/api/v1/groups/default/egress", 200))["https_only"]
    (entry,) = await api.engine.sql("select * from tidings.audit where action = 'egress.narrowed'")
    assert "https_only" in str(dict(entry))


async def test_a_narrowing_that_cannot_be_is_refused(api: Api) -> None:
    for body, field in (
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"ports": ["0"]}, "ports"),
        ({"denied_ports": ["x"]}, "denied_ports"),
        ({"denied_networks": ["10.0.0.0/8"] * 1001}, "denied_networks"),
    ):
        assert (await api("PUT", "/api/v1/groups/default/egress", 422, body))["field"] == field
    await api("PUT", "/api/v1/groups/nobody/egress", 404, {})


async def test_a_tenant_hears_that_it_is_refused_and_not_by_which_rule(api: Api) -> None:
    key = await api("POST", "/api/v1/keys", 201, {"name": "t", "scopes": ["webhooks:write"], "bound_to": "default"})
    tenant = {"headers": {"authorization": f"Bearer {key['key']}"}}
    for url in ("https://127.9.1.1/", "https://10.0.0.1/", "https://127.0.0.1:4444/", "http://8.8.8.8/"):
        body = {"url": url, "events": ["*"]}
        told = (await api("POST", "/api/v1/webhooks", 422, body, **tenant))["error"]
        operator = (await api("POST", "/api/v1/webhooks", 422, body))["error"]
        assert "ask whoever runs this installation" in told
        assert operator.startswith(told)
        assert len(operator) > len(told)
        assert "TIDINGS" not in told
    for method, path in (
        ("GET", "/api/v1/egress"),
        ("GET", "/api/v1/groups/default/egress"),
        ("PUT", "/api/v1/groups/default/egress"),
    ):
        await api(method, path, 403, {} if method == "PUT" else None, **tenant)
