"""What was sent is on record: the request that history shows is the one that the receiver got, byte for byte."""

from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.profiles import PROFILES
from tidings.running import _serving

KEY = {"Authorization": "Bearer test"}
POLICY = {"delays": [1] * 20, "jitter": 0}

# Each changes something that a request is made of.
EDITS: dict[str, dict[str, Any]] = {
    "url": {"url": "/elsewhere?a=1&b=%20"},
    "headers": {"headers": {"X-Team": "erp", "X-Latin": "caf\xe9", "User-Agent": "ours"}},
    "no headers": {"headers": {}},
    "method": {"method": "PUT"},
    "template": {"body_template": '{"text": "{{record.title}} <ü>", "at": "{{timestamp}}", "of": "{{webhook_id}}"}'},
    "no template": {"body_template": None},
    "signature": {"signature": {"header": "X-Own", "format": "t=,v1="}},
    "no signature": {"signature": None},
    "token": {"jwt_enabled": True},
    "name": {"name": "nothing that is sent"},
}


def as_bytes(request: dict[str, Any]) -> bytes:
    """Put a request together as it travels."""
    parts = urlsplit(request["url"])
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = "".join(f"{name}: {value}\r\n" for name, value in request["headers"])
    return f"{request['method']} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + request["body"].encode()


class Story:
    """One webhook, one delivery that fails again and again, and edits in between."""

    def __init__(self, engine: Engine, client: httpx.AsyncClient, receiver: Receiver) -> None:
        self._engine = engine
        self._client = client
        self._receiver = receiver

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        response = await self._client.request(method, path, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def begin(self, **fields: Any) -> str:
        made = await self.call("POST", "/api/v1/webhooks", {"url": self._receiver.url(), "retry": POLICY} | fields)
        self.path = f"/api/v1/webhooks/{made['id']}"
        return made["id"]

    async def edit(self, change: dict[str, Any]) -> None:
        if "url" in change:
            change = {"url": self._receiver.url(change["url"])}
        await self.call("PATCH", self.path, change)

    async def attempt(self) -> None:
        await self._engine.cycle()
        self._engine.clock.ahead += timedelta(seconds=2)

    async def shown(self) -> list[bytes]:
        (delivery,) = await self.call("GET", "/api/v1/deliveries")
        attempts = await self.call("GET", f"/api/v1/deliveries/{delivery['id']}/attempts")
        for attempt in attempts:
            alone = await self.call("GET", f"/api/v1/deliveries/{delivery['id']}/attempts/{attempt['number']}")
            assert alone == attempt
        return [as_bytes(attempt["request"]) for attempt in attempts]

    @property
    def received(self) -> list[bytes]:
        return [request.raw for request in self._receiver.received]


@pytest.fixture
async def story(config: Config, receiver: Receiver) -> Any:
    receiver.otherwise = says(answer(500))
    async with (
        engine_of(config) as engine,
        _serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        await engine.user.execute("create table posts (id int primary key, title text)")
        yield Story(engine, client, receiver)


@pytest.mark.parametrize("profile", PROFILES)
async def test_each_attempt_is_shown_as_it_was_sent_whatever_was_edited_between_them(story: Story, profile: str) -> None:
    rng = Random(profile)
    await story.begin(profile=profile, events=[{"table": "posts"}], **({"asymmetric": True} if profile == "standard" else {}))
    await story._engine.user.execute("insert into posts values (1, 'Ü <&> 1.50')")
    await story.attempt()
    for name in rng.sample(list(EDITS), len(EDITS)):
        await story.edit(EDITS[name])
        if rng.random() < 0.4:
            await story.call("POST", f"{story.path}/secret/rotate", {"overlap_seconds": rng.choice([0, 3, 86400])})
        await story.attempt()
    assert await story.shown() == story.received
    assert len(story.received) == len(EDITS) + 1
    await story.call("DELETE", story.path)
    assert await story.shown() == story.received


async def test_what_succeeds_at_once_is_shown_as_it_was_sent(story: Story) -> None:
    story._receiver.otherwise = says(answer(200))
    await story.begin(events=["*"])
    await story.call("POST", "/api/v1/events", {"type": "a.b", "data": {"big": 12345678901234567890, "text": "\u2028"}})
    await story.attempt()
    await story.edit(EDITS["template"])
    await story.edit(EDITS["url"])
    assert await story.shown() == story.received
    (delivery,) = await story.call("GET", "/api/v1/deliveries")
    assert delivery["payload"]["type"] == "a.b"  # not what the webhook's template would make of it now


async def test_requests_are_made_again_with_the_keys_and_the_name_of_then(config: Config, receiver: Receiver) -> None:
    """Another PUBLIC_URL signs tokens in another name; those of before are shown in the old one."""
    import msgspec

    receiver.otherwise = says(answer(500))
    shown = []
    for public_url in ("https://one.example.com", "https://two.example.com"):
        changed = msgspec.structs.replace(config, public_url=public_url)
        async with engine_of(changed) as engine, _serving(engine.services):
            if not shown:
                await engine.add_webhook(receiver.url(), "*", jwt_enabled=True)
                await engine.publish()
                await engine.cycle()
            from tidings.operations.history.attempts import sent_requests
            from tidings.store import search

            async with engine.services.wide.connection() as connection:
                row = (await engine.sql("select id, webhook_id, event_id from tidings.queue"))[0]
                attempts = await search.attempts(connection, UUID(str(row["id"])))
                (request,) = await sent_requests(engine.services, connection, row["webhook_id"], row["event_id"], attempts)
                shown.append(as_bytes(msgspec.to_builtins(request)))
    assert shown == [receiver.received[0].raw] * 2


async def test_a_render_failure_and_a_lost_attempt_show_no_request(story: Story) -> None:
    await story.begin(events=["*"])
    await story._engine.publish(data="[" * 5000 + "]" * 5000)
    await story.attempt()
    (delivery,) = await story.call("GET", "/api/v1/deliveries")
    (attempt,) = await story.call("GET", f"/api/v1/deliveries/{delivery['id']}/attempts")
    assert (attempt["failure"], attempt["request"]) == ("render", None)
