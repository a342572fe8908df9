"""What would end a line, or cannot be seen, is refused where people give names, and comes into no header of an answer."""

from collections.abc import AsyncIterator

import pytest

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config

KEY = {"Authorization": "Bearer test"}
HOOK = {"url": "https://example.com/hook", "events": ["order.paid"]}
JOB = {"name": "nightly", "schedule": "0 2 * * *", "url": "https://example.com/job"}
BAD = ("a\r\nX-Injected: 1", "a\nb", "a\x01b", "a\x7fb", "a\x85b", "a\u2028b")


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        yield visitor


async def test_control_characters_are_refused_with_the_field(visitor: Visitor) -> None:
    for bad in BAD:
        for path, body, field in (
            ("/webhooks", HOOK | {"name": bad}, "name"),
            ("/webhooks", HOOK | {"description": bad.replace("\n", "\x02").replace("\r", "\x02")}, "description"),
            ("/webhooks", HOOK | {"url": f"https://example.com/{bad}"}, "url"),
            ("/webhooks", HOOK | {"events": [bad]}, "events[0]"),
            ("/webhooks", HOOK | {"events": [{"table": bad}]}, "events[0].table"),
            ("/webhooks", HOOK | {"events": [{"table": "orders", "schema": bad}]}, "events[0].schema"),
            ("/webhooks", HOOK | {"events": [{"collection": bad}]}, "events[0].collection"),
            ("/webhooks", HOOK | {"headers": {bad: "x"}}, "headers"),
            ("/webhooks", HOOK | {"secret": bad * 20}, "secret"),
            ("/webhooks", HOOK | {"signature": {"header": bad, "format": "hex"}}, "signature.header"),
            ("/groups", {"id": bad}, "id"),
            ("/groups/default/portal-link", {"brand": {"name": bad}}, "brand.name"),
            ("/groups/default/portal-link", {"origins": [f"https://{bad}.example"]}, "origins[0]"),
            ("/events", {"type": bad, "data": {}}, "type"),
            ("/collections", {"name": bad, "schema": []}, "name"),
            ("/integrations", {"name": bad, "platform": "github"}, "name"),
        ):
            answer = await visitor.client.post(f"/api/v1{path}", json=body, headers=KEY)
            assert answer.status_code == 422, (path, field, bad, answer.text)
            assert answer.json()["field"] == field, (path, answer.text)
            assert "x-injected" not in answer.headers
        answer = await visitor.client.post("/api/v1/webhooks", json=HOOK | {"headers": {"X-A": f"{bad}\r"}}, headers=KEY)
        assert answer.json()["field"] == "headers.X-A"
        answer = await visitor.client.post("/api/cron", json=JOB | {"name": bad}, headers=KEY)
        assert (answer.status_code, answer.json()["field"]) == (422, "name"), answer.text


async def test_a_description_may_have_lines(visitor: Visitor) -> None:
    body = HOOK | {"url": "https://1.1.1.1/x", "description": "one\ntwo\tthree"}
    answer = await visitor.client.post("/api/v1/webhooks/preview", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text


async def test_no_header_of_an_answer_holds_a_line_that_was_asked_for(visitor: Visitor) -> None:
    await visitor.sign_in()
    for path in ("/webhooks?q=a%0d%0aX-Injected:%201", "/%0d%0aX-Injected:%201", "/sign-in?to=/%0d%0aX-Injected:%201",
                 "/sources/integrations/a%0d%0aX-Injected:%201", "/deliveries?webhook=%0d%0aX-Injected:1"):  # fmt: skip
        answer = await visitor.client.get(path)
        assert "x-injected" not in answer.headers, path
        assert not any("\r" in value or "\n" in value for value in answer.headers.values())
    answer = await visitor.send("/theme", {"theme": "dark", "to": "/\r\nX-Injected: 1"})
    assert answer.headers["location"] == "/"
