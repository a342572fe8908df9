"""The pages about history over HTTP: deliveries, events, search, overview, and that nothing senders made up does anything."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from tests.integration.test_portal import HTML, Visitor
from tests.support.engine import Engine, engine_of, routed
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.retry import ONCE, Delays
from tidings.operations import live
from tidings.operations.history import events
from tidings.sources.publish import Draft

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)> \x07\x1b[31mred \u202efdp.exe\u202c \u200bzero"
MEGABYTE = "the same again and again, " * 40_000
MARKS = re.compile("[\x00-\x08\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    """Somebody who is signed in."""
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=HTML, timeout=PATIENCE) as client,
    ):
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        visitor = Visitor(client, engine)
        await visitor.sign_in()
        yield visitor


def rows(text: str) -> list[str]:
    return re.findall(r'<tr id="row-([0-9a-f-]{36})"', text)


async def sent(engine: Engine, type_: str = "order.paid", data: str = "{}") -> None:
    """Publish, and let one attempt be made of what it leads to."""
    await engine.publish(type_, data)
    await engine.cycle()


async def only_delivery(engine: Engine) -> UUID:
    (row,) = await engine.deliveries()
    return row["id"]


async def test_the_history_can_be_searched_by_everything_and_its_pages_lead_both_ways(
    visitor: Visitor, receiver: Receiver
) -> None:
    engine = visitor.engine
    assert "No deliveries yet" in (await visitor.get("/deliveries")).text
    erp = await engine.add_webhook(receiver.url("/erp"), "*", name="ERP", retry=ONCE)
    await engine.add_webhook(receiver.url("/crm"), "order.paid", name="CRM", retry=ONCE)
    await sent(engine, "order.paid", '{"customer": "Ada Lovelace"}')
    receiver.otherwise = says(answer(503))
    await sent(engine, "order.shipped", '{"customer": "Grace Hopper"}')

    async def found(query: str) -> int:
        return len(rows((await visitor.get(f"/deliveries?{query}")).text))

    assert await found("") == 3
    assert await found("status=failed") == 1
    assert await found("status=failed&status=succeeded") == await found("status=failed,succeeded") == 3
    assert await found("webhook=crm") == 1
    assert await found(f"webhook={erp.id}") == 2
    assert await found("type=order.*") == 3
    assert await found("type=order.shipped") == 1
    assert await found("text=lovelace") == 2
    assert await found("response_status=5xx") == 1
    assert await found("since=1h") == 3
    assert await found("until=1h") == 0
    page = (await visitor.get("/deliveries?webhook=nobody", 422)).text
    assert "No webhook has &#39;nobody&#39;" in page
    typed = await visitor.get("/deliveries?text=ab", **{"HX-Request": "true"})
    assert "text must have 3 to 200 characters." in typed.text
    await visitor.get("/deliveries?colour=red", 422)
    counts = (await visitor.get("/deliveries/counts?since=1d")).text
    assert re.search(r'failed <b class="figure">1</b>', counts)
    assert re.search(r'delivered <b class="figure">2</b>', counts)

    for number in range(60):
        await engine.publish("order.paid", f'{{"n": {number}}}')
    while await engine.cycle():
        pass
    first = (await visitor.get("/deliveries?webhook=ERP&since=1d")).text
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = (await visitor.get(older.replace("&amp;", "&"))).text
    (newer,) = re.findall(r'href="([^"]+)" rel="prev"', second)
    again = (await visitor.get(newer.replace("&amp;", "&"))).text
    assert (len(rows(first)), len(rows(second))) == (50, 12)
    assert rows(again) == rows(first)
    assert not set(rows(first)) & set(rows(second))


async def test_a_name_of_the_profile_stands_beside_ours(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.add_webhook(receiver.url(), "collection.object.created", profile="vivreal", secret="s" * 40)
    await engine.user.execute(
        "insert into tidings.outbox (source, type, subject, record) values ('collections', 'content.created', 'posts', '{}')"
    )
    await engine.cycle()
    page = (await visitor.get("/deliveries?type=collection.object.created")).text
    assert len(rows(page)) == 1
    assert "content.created" in page
    assert '<span class="told-as" title="What the receiver calls it">collection.object.created</span>' in page


async def test_a_delivery_tells_why_and_shows_each_attempt_and_goes_out_again(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.add_webhook(
        receiver.url(), "*", name="ERP", retry=Delays(delays=(5,), jitter=0), headers={"X-Api-Key": "k3y-of-theirs"}
    )
    receiver.otherwise = says(answer(500, b'{"error": "duplicate key"}', {"x-request-id": "r-17"}))
    await sent(engine, data='{"id": 17, "total": 12.5}')
    waiting = await engine.value("select id from tidings.queue")
    page = (await visitor.get(f"/deliveries/{waiting}")).text
    assert (
        "The receiver answered HTTP 500. 1 attempt so far; it is tried again by itself. The policy allows 1 more attempt."
        in page
    )
    engine.clock.ahead += timedelta(seconds=6)
    await engine.cycle()
    delivery = await only_delivery(engine)
    page = (await visitor.get(f"/deliveries/{delivery}")).text
    assert "The receiver answered HTTP 500. It was given up after 2 attempts; the policy allows 2." in page
    assert "duplicate key" in page
    assert "x-request-id" in page
    assert "webhook-signature" in page
    assert f"/deliveries/{delivery}?attempt=1" in page
    assert '<h2 id="attempt-title">Attempt 1 ' in (await visitor.get(f"/deliveries/{delivery}?attempt=1")).text
    command = re.search(r'data-copy="(curl [^"]+)"', page)
    assert command
    assert "webhook-signature" in command[1]
    assert "k3y-of-theirs" not in command[1]

    request = await visitor.get(f"/deliveries/{delivery}/attempts/1/request")
    assert request.content == receiver.received[0].body
    response = await visitor.get(f"/deliveries/{delivery}/attempts/2/response")
    assert response.content == b'{"error": "duplicate key"}'
    assert response.headers["content-disposition"].startswith("attachment;")
    assert response.headers["x-content-type-options"] == "nosniff"
    await visitor.get(f"/deliveries/{delivery}/attempts/2/secret", 404)
    await visitor.get(f"/deliveries/{uuid4()}", 404)

    receiver.otherwise = says(answer(200))
    csrf = await visitor.csrf(f"/deliveries/{delivery}")
    came = await visitor.post(f"/deliveries/{delivery}/retry", {"csrf": csrf}, 303)
    assert came.headers["location"] == f"/deliveries/{delivery}"
    await engine.cycle()
    page = (await visitor.get(f"/deliveries/{delivery}")).text
    assert "The receiver acknowledged it with HTTP 200 at attempt 3, " in page
    assert receiver.received[-1].headers["webhook-id"] == receiver.received[0].headers["webhook-id"]


async def test_those_that_are_selected_go_out_again_and_those_that_cannot_are_told(
    visitor: Visitor, receiver: Receiver
) -> None:
    engine = visitor.engine
    receiver.otherwise = says(answer(500))
    await engine.add_webhook(receiver.url("/a"), "*", retry=ONCE)
    gone = await engine.add_webhook(receiver.url("/b"), "*", retry=ONCE)
    await sent(engine)
    ids = [str(row["id"]) for row in await engine.deliveries()]
    await engine.user.execute("update tidings.webhooks set enabled = false where id = $1", gone.id)
    fields: Any = {"csrf": await visitor.csrf("/deliveries"), "id": ids, "to": "/deliveries?status=failed"}
    came = await visitor.post("/deliveries/retry", fields, 303)
    assert came.headers["location"] == "/deliveries?status=failed"
    page = (await visitor.get("/deliveries?status=failed")).text
    assert "1 delivery goes out again. 1 was not: The webhook of this delivery is disabled." in page
    assert len(rows(page)) == 1
    await visitor.post("/deliveries/retry", fields | {"id": ["x"]}, 422)
    await visitor.post("/deliveries/retry", fields | {"to": "//evil.example"}, 303)


async def test_the_page_of_an_event_names_the_trace_that_it_belongs_to(visitor: Visitor) -> None:
    services, id_ = visitor.engine.services, "0af7651916cd43dd8448eb211c80319c"
    within = msgspec.structs.replace(services, traceparent=f"00-{id_}-b7ad6b7169203331-01")
    traced = await events.publish(within, Draft("order.paid", b"1"))
    other = await events.publish(services, Draft("order.paid", b"1"))
    await visitor.engine.cycle()
    assert f'<dt>Trace</dt><dd><span class="id" title="{id_}">' in (await visitor.get(f"/events/{traced.id}")).text
    assert "<dt>Trace</dt>" not in (await visitor.get(f"/events/{other.id}")).text


async def test_events_are_listed_also_those_nobody_wanted(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    assert "No events yet" in (await visitor.get("/events")).text
    await engine.add_webhook(receiver.url(), "order.paid", name="ERP")
    await events.publish(engine.services, Draft("order.paid", b'{"a": 1}', external_id="theirs-1"))
    await sent(engine, "order.lost", '{"a": 2}')
    assert len(rows((await visitor.get("/events")).text)) == 2
    page = (await visitor.get("/events?wanted=no")).text
    (unwanted,) = rows(page)
    assert "order.lost" in page
    assert len(rows((await visitor.get("/events?wanted=no&type=order.paid")).text)) == 0
    one = (await visitor.get(f"/events/{unwanted}")).text
    assert "No webhook wanted it when it happened." in one
    assert f'href="/events/{unwanted}/explain"' in one
    (wanted,) = rows((await visitor.get("/events?external_id=theirs-1")).text)
    one = (await visitor.get(f"/events/{wanted}")).text
    assert "1 webhook wanted it when it happened." in one
    assert "theirs-1" in one
    assert len(rows(one)) == 1
    assert (await visitor.get(f"/events/{wanted}/record")).json() == {"a": 1}
    await visitor.get(f"/events/{wanted}/old-record", 404)
    await visitor.get("/events?wanted=maybe", 422)


async def test_the_search_box_goes_straight_to_what_is_meant(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.user.execute("create table public.orders (id bigint primary key, status text)")
    webhook = await engine.add_webhook(receiver.url("/erp-hook"), {"table": "orders"}, "order.*", name="ERP of Acme")
    await engine.user.execute("insert into public.orders values (4711, 'open')")
    await events.publish(engine.services, Draft("order.paid", b"{}", external_id="theirs-1"))
    await routed(engine)
    await engine.cycle()
    by_type = {row["type"]: row["id"] for row in await engine.sql("select type, id from tidings.events")}
    delivery = (await engine.deliveries())[0]["id"]

    async def way(question: str) -> str:
        return (await visitor.client.get("/search", params={"q": question})).headers.get("location", "")

    assert await way(str(delivery)) == f"/deliveries/{delivery}"
    assert await way(str(by_type["order.paid"])) == f"/events/{by_type['order.paid']}"
    assert await way(str(webhook.id)) == f"/webhooks/{webhook.id}"
    assert await way("theirs-1") == f"/events/{by_type['order.paid']}"
    assert await way("erp-hook") == f"/webhooks/{webhook.id}"
    assert await way("acme") == f"/webhooks/{webhook.id}"
    assert await way("4711") == await way("orders 4711") == f"/events/{by_type['table.orders.inserted']}"
    assert await way("order.paid") == "/deliveries?type=order.paid"
    assert "/deliveries/" in await way("open")
    assert await way("nothing has this") == ""
    assert "Nothing has “nothing has this”" in (await visitor.get("/search?q=nothing+has+this")).text
    assert "Deliveries" in (await visitor.get("/search?q=delivery+history")).text
    assert "into the box above" in (await visitor.get("/search?q=")).text


async def test_the_overview_teaches_then_counts_and_tells_what_needs_somebody(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    assert "Begin with a webhook" in (await visitor.get("/")).text
    receiver.otherwise = says(answer(500))
    failing = await engine.add_webhook(receiver.url(), "*", name="ERP", retry=ONCE)
    await sent(engine)
    await engine.user.execute("update tidings.lanes set warned_at = turned_at where webhook_id = $1", failing.id)
    await engine.user.execute(
        "update tidings.webhooks set fault = 'Its secret cannot be read.' where id = $1",
        (await engine.add_webhook(receiver.url("/2"), "none.of.it", name="CMS")).id,
    )
    page = (await visitor.get("/?span=7d")).text
    assert "Begin with a webhook" not in page
    assert "Its last attempt failed: The receiver answered HTTP 500." in page
    assert "Its secret cannot be read." in page
    assert "Latest failures" in page
    assert len(rows(page)) == 1
    await visitor.get("/?span=1y", 422)
    await engine.user.execute("update tidings.lanes set warned_at = null")
    await engine.user.execute("update tidings.webhooks set fault = null")
    calm = (await visitor.get("/")).text
    assert "every webhook is healthy" not in calm
    assert "No webhook has failed ten times in a row or for an hour; 1 of 1 attempt failed in the last hour" in calm
    await engine.user.execute("delete from tidings.workers")
    assert "No worker is running" in (await visitor.get("/")).text


async def test_what_senders_and_receivers_make_up_is_inert(visitor: Visitor, receiver: Receiver) -> None:
    """Payloads, names, headers and responses full of markup, control characters, direction marks, a line of a megabyte."""
    engine = visitor.engine
    body = HOSTILE.encode() + MEGABYTE.encode()[:40_000]
    receiver.otherwise = says(answer(500, body, {"x-made-up": "<script>alert(3)</script>"}))
    name = HOSTILE.replace("\x07", "").replace("\x1b", "")
    await engine.add_webhook(receiver.url("/?a=<script>"), "*", name=name, retry=ONCE)
    payload = msgspec.json.encode({HOSTILE.replace("\x00", ""): HOSTILE, "long": MEGABYTE}).decode()
    await sent(engine, data=payload)
    delivery = await only_delivery(engine)
    event = await engine.value("select id from tidings.events")
    paths = ["/", "/deliveries", f"/deliveries/{delivery}", "/events", f"/events/{event}"]
    paths += [
        "/search?q=%3Cscript%3Ealert(4)%3C/script%3E",
        "/deliveries?type=%3Cscript%3E",
        "/deliveries?webhook=%E2%80%AE%3Cb%3E",
    ]
    for path in paths:
        response = await visitor.client.get(path)
        text = response.text
        assert response.status_code in {200, 422}, path
        assert not re.search(r"<script>alert|onerror=alert\(2\)>|<b>[^\w]", text), path
        shown = re.sub(r'(data-copy|value|title)="[^"]*"', "", text)
        assert not MARKS.search(shown), path
        assert len(text) < 400_000, path
    record = await visitor.get(f"/events/{event}/record")
    assert len(record.content) > 1_000_000
    assert record.headers["content-type"] == "application/octet-stream"
    command = re.search(r'data-copy="(curl [^"]+)"', (await visitor.get(f"/deliveries/{delivery}")).text)
    assert command
    assert not MARKS.search(command[1])


async def test_a_stream_tells_of_what_is_new_and_ends_with_its_session(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.add_webhook(receiver.url(), "*")
    async with visitor.client.stream("GET", "/live?of=deliveries&back=/deliveries") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()

        async def told(event: str) -> str:
            async for line in lines:
                if line == f"event: {event}":
                    return await anext(lines)
            raise AssertionError(f"the stream ended before {event}")

        await sent(engine)
        assert "1 new" in await told("new")
        await sent(engine)
        assert "2 new" in await told("new")
        await engine.user.execute("delete from tidings.sessions")
        await told("over")
        assert [line async for line in lines if line] == []
    await visitor.get("/live", 303)


async def test_a_look_for_all_streams_is_one_query(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.add_webhook(receiver.url(), "*")
    session = await engine.value("select id from tidings.sessions")
    before = await live.look(engine.services, [session, uuid4()])
    assert before.sessions == [session]
    await sent(engine)
    assert (await live.look(engine.services, [session])).counted > before.counted
    (new,) = await live.newest(engine.services, UUID(int=0), 10)
    assert (new.id, new.status) == (await only_delivery(engine), "succeeded")
    assert await live.newest(engine.services, new.id, 10) == []
