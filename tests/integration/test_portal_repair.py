"""Recovering and explaining in the portal, over HTTP, without script."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from tests.integration.test_portal import Visitor, visitor  # noqa: F401 - a fixture
from tests.support.engine import Engine, routed
from tests.support.receiver import Receiver, answer, says
from tidings.core.retry import Delays
from tidings.core.webhook import Webhook

ONCE = Delays(delays=(), jitter=0)
HOSTILE = '<img src=x onerror="alert(1)">\u202e'


def text_of(page: httpx.Response) -> str:
    """Return what a page says, without its markup."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page.text.partition("<main")[2], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def fail(engine: Engine, receiver: Receiver, webhook: Webhook, count: int) -> None:
    """Have so many deliveries to a webhook fail."""
    receiver.otherwise = says(answer(500))
    for _ in range(count):
        await engine.publish()
    await routed(engine)
    while await engine.cycle():
        pass
    assert len(await engine.deliveries()) == count
    receiver.otherwise = says(answer(200))
    receiver.received.clear()


async def go_on(engine: Engine) -> None:
    await engine.worker.recoverer.run_once()
    while await engine.cycle():
        pass


async def test_what_a_search_finds_is_counted_sent_again_and_followed(visitor: Visitor, receiver: Receiver) -> None:  # noqa: F811
    engine = visitor.engine
    webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
    await fail(engine, receiver, webhook, 3)
    await visitor.sign_in()
    query = {"status": "failed", "type": "order.*", "webhook": str(webhook.id), "cursor": "of the list"}
    page = await visitor.get(f"/recover?{urlencode(query)}")
    assert "3 deliveries will be sent again." in text_of(page)
    assert "State failed" in text_of(page)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text.partition("repair-form")[2]))
    assert (hidden["status"], hidden["type"], hidden["webhook"]) == ("failed", "order.*", str(webhook.id))
    refused = await visitor.post("/recover", {**hidden, "rate_per_second": "fast"}, 422)
    assert "is no number" in text_of(refused)
    begun = await visitor.post("/recover", {**hidden, "rate_per_second": "50"}, 303)
    path = begun.headers["location"]
    waiting = await visitor.get(path)
    assert 'hx-trigger="every 1s"' in waiting.text
    assert "It begins as soon as" in text_of(waiting)
    assert "It has begun." in text_of(waiting)
    await go_on(engine)
    done = await visitor.get(path)
    assert "It is done. 3 deliveries went into the queue again, with the same ids." in text_of(done)
    assert "hx-trigger" not in done.text.partition("<main")[2]
    assert "/deliveries?until=" in done.text
    assert len(receiver.received) == 3
    listed = await visitor.get("/recoveries")
    assert path in listed.text
    part = await visitor.get(path, **{"HX-Request": "true"})
    assert part.text.lstrip().startswith('<section class="card repair-progress"')
    empty = await visitor.get("/recover?status=failed")
    assert "There is nothing to send again." in text_of(empty)


async def test_a_webhook_is_sent_what_it_missed_while_it_was_paused(visitor: Visitor, receiver: Receiver) -> None:  # noqa: F811
    engine = visitor.engine
    for _ in range(2):
        await engine.publish()
    await routed(engine)
    webhook = await engine.add_webhook(receiver.url(), "order.*", name=HOSTILE, retry=ONCE)
    await visitor.sign_in()
    path = f"/webhooks/{webhook.id}/recover"
    page = await visitor.get(path)
    assert "<img" not in page.text
    assert "There is nothing to send again." in text_of(page)
    since = (engine.clock.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    csrf = await visitor.csrf(path)
    form = {"csrf": csrf, "since": since, "until": "", "missing": "true", "rate_per_second": ""}
    counted = await visitor.post(f"{path}/count", form, 200)
    assert "2 deliveries will be sent: 0 again, and 2 that never were." in text_of(counted)
    part = await visitor.post(f"{path}/count", form, 200, **{"HX-Request": "true"})
    assert part.text.strip() == "<p>2 deliveries will be sent: 0 again, and 2 that never were.</p>"
    refused = await visitor.post(path, {**form, "since": "yesterday"}, 422)
    assert "since is 'yesterday'" in text_of(refused)
    refused = await visitor.post(path, {**form, "until": "2020-01-01T00:00"}, 422)
    assert "until is not after since" in text_of(refused)
    begun = await visitor.post(path, form, 303)
    await go_on(engine)
    done = await visitor.get(begun.headers["location"])
    assert "It is done. 2 deliveries went into the queue again" in text_of(done)
    assert len(receiver.received) == 2
    await engine.user.execute("update tidings.webhooks set enabled = false")
    assert "Enable it, then recover" in text_of(await visitor.post(path, form, 409))
    await visitor.get(f"/webhooks/{uuid4()}/recover", 404)


async def test_a_recovery_is_cancelled_once(visitor: Visitor, receiver: Receiver) -> None:  # noqa: F811
    engine = visitor.engine
    webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
    await fail(engine, receiver, webhook, 2)
    await visitor.sign_in()
    form = {"csrf": await visitor.csrf("/recover"), "status": "failed"}
    path = (await visitor.post("/recover", form, 303)).headers["location"]
    assert "Cancel it" in (await visitor.get(path)).text
    assert (await visitor.post(f"{path}/cancel", form, 303)).headers["location"] == path
    page = text_of(await visitor.get(path))
    assert "It was cancelled. 0 deliveries had gone into the queue before" in page
    assert "Cancel it" not in page
    await visitor.post(f"{path}/cancel", form, 303)
    assert "there is nothing to cancel" in text_of(await visitor.get(path))
    await go_on(engine)
    assert receiver.received == []
    await visitor.get(f"/recoveries/{uuid4()}", 404)
    await visitor.get("/recoveries?cursor=x", 422)


async def test_an_event_is_explained_webhook_by_webhook(visitor: Visitor, receiver: Receiver) -> None:  # noqa: F811
    engine = visitor.engine
    await visitor.sign_in()
    await engine.publish(data='{"name": "<b>17</b>"}')
    await routed(engine)
    event = await engine.value("select id from tidings.events")
    path = f"/events/{event}/explain"
    assert "There are no webhooks" in text_of(await visitor.get(path))
    wants = await engine.add_webhook(receiver.url(), "order.*", name=HOSTILE)
    await engine.add_webhook(receiver.url(), "invoice.*", name="Invoices")
    page = await visitor.get(path)
    said = text_of(page)
    assert "It goes to 1 webhook of the 2 shown" in said
    assert "It is sent: entry 1 of its events matches." in said
    assert "It is not sent: no entry of events matches. The nearest is entry 1" in said
    assert "no: type is order.paid; the webhook wants invoice.*" in said
    assert said.index("U+202E") < said.index("Invoices")
    assert "There is no delivery of it" in said
    assert f"/webhooks/{wants.id}/recover?since=" in page.text
    assert "<img" not in page.text
    assert "<b>17" not in page.text
    assert "What would be sent" in said
    alone = await visitor.get(f"{path}?webhook_id={wants.id}")
    assert "Invoices" not in alone.text
    await visitor.get(f"{path}?webhook_id=x", 422)
    await visitor.get(f"/events/{uuid4()}/explain", 404)
    await engine.user.execute("create table orders (id int)")
    await engine.add_webhook(receiver.url(), {"table": "orders"})
    await engine.user.execute("insert into orders values (17)")
    await routed(engine)
    row = await engine.value("select id from tidings.events where table_name = 'orders'")
    assert "about orders 17" in text_of(await visitor.get(f"/events/{row}/explain"))


async def test_rows_that_changed_while_the_only_webhook_of_their_table_was_paused_can_be_recovered(
    visitor: Visitor,  # noqa: F811
    receiver: Receiver,
) -> None:
    engine = visitor.engine
    await visitor.sign_in()
    await engine.user.execute("create table orders (id int primary key)")
    webhook = await engine.add_webhook(receiver.url(), {"table": "orders"}, retry=ONCE)
    path = f"/webhooks/{webhook.id}"
    csrf = {"csrf": await visitor.csrf(path)}
    await visitor.post(f"{path}/pause", csrf, 303)
    await engine.user.execute("insert into orders values (1), (2)")
    await routed(engine)
    await visitor.post(f"{path}/resume", csrf, 303)
    since = (engine.clock.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    form = csrf | {"since": since, "until": "", "missing": "true", "rate_per_second": ""}
    counted = await visitor.post(f"{path}/recover/count", form, 200)
    assert "2 deliveries will be sent: 0 again, and 2 that never were." in text_of(counted)
