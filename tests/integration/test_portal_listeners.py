"""Listeners in the portal: who listens, to what, and what waits."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.listening import FULL
from tidings.operations.listening import leasing, listeners
from tidings.operations.listening.leasing import TakeAsked
from tidings.operations.listening.listeners import ListenerAsked


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        await visitor.sign_in()
        yield visitor


async def test_who_listens_is_shown_skipped_and_deleted(visitor: Visitor) -> None:
    path, engine = "/settings/listeners", visitor.engine
    assert "Nobody listens" in (await visitor.get(path)).text
    webhook = await engine.add_webhook("https://example.com/hook", "order.*")
    desk = await listeners.open_listener(engine.services, ListenerAsked("desk <b>", events=["order.*", "bill.paid"]))
    mirror = await listeners.open_listener(engine.services, ListenerAsked("lap", webhook_id=webhook.id))
    text = (await visitor.get(path)).text
    assert "desk &lt;b&gt;" in text
    assert "order.*, bill.paid" in text
    assert text.count("nobody there") == 2
    assert f'href="/webhooks/{webhook.id}"' in text
    assert f'href="/webhooks/{mirror.id}"' in text
    await leasing.take(engine.services, desk.id, TakeAsked(uuid4()))
    await engine.publish("order.paid", "{}")
    await engine.worker.dispatcher.run_once()
    text = (await visitor.get(path)).text
    assert ("listening" in text, text.count("nobody there")) == (True, 1)
    held = engine.services.clock.now() + timedelta(hours=2)
    await engine.sql("update tidings.lanes set held_until = $2 where webhook_id = $1", desk.id, held)
    assert "since its receiver asked for that" in (await visitor.get(path)).text
    token = await visitor.csrf(path)
    said = await visitor.send(f"{path}/{desk.id}/skip", {"csrf": token}, 303)
    assert said.headers["location"] == path
    text = (await visitor.get(path)).text
    assert "1 delivery that waited was cancelled" in text
    assert "since its receiver asked for that" not in text
    await engine.sql("update tidings.webhooks set enabled = false, disabled_reason = $2 where id = $1", desk.id, FULL)
    assert "10,000 deliveries wait for this listener" in (await visitor.get(path)).text
    await visitor.send(f"{path}/{desk.id}/delete", {"csrf": token}, 303)
    assert [one.name for one in await listeners.list_listeners(engine.services)] == ["lap"]
    await visitor.send(f"{path}/{uuid4()}/delete", {"csrf": token}, 404)
