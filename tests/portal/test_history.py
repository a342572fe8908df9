"""People look at what happened, search it and send it again; and its pages in every look. In real Chromium."""

from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import LOOKS, look_at, page_of, sign_in
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver, answer, says
from tidings.core.retry import ONCE, Delays
from tidings.operations.history import recoveries
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange

PAGES = {
    "overview": "/",
    "deliveries": "/deliveries",
    "deliveries-searched": "/deliveries?status=failed%2Cretrying&webhook=ERP&since=1d&response_status=5xx",
    "delivery": "/deliveries/{failed}",
    "events": "/events",
    "event": "/events/{changed}",
    "event-unwanted": "/events/{unwanted}",
    "explain": "/events/{changed}/explain",
    "search": "/search?q=order",
    "webhooks": "/webhooks",
    "webhook": "/webhooks/{erp}",
    "webhook-edit": "/webhooks/{erp}/edit",
    "webhook-ready": "/webhooks/{erp}/ready",
    "webhook-recover": "/webhooks/{erp}/recover",
    "webhook-secrets": "/webhooks/{erp}/secrets",
    "webhook-test": "/webhooks/{erp}/test",
    "webhook-versions": "/webhooks/{erp}/versions",
    "recover": "/recover?status=failed",
    "recoveries": "/recoveries",
    "recovery": "/recoveries/{recovery}",
}
WHOLE = {"delivery", "explain", "webhook"}  # pictured below the window's end too
HOSTILE = '<img src=x onerror="document.title=1"> \u202efdp.exe'


async def test_history_is_searched_as_one_types_and_sent_again_by_keys(
    signed_in: Page, engine: Engine, receiver: Receiver
) -> None:
    page = signed_in
    receiver.otherwise = says(answer(500, b'{"error": "duplicate key"}'))
    await engine.sql("create table public.orders (id bigint primary key, status text)")
    await engine.add_webhook(receiver.url(), {"table": "orders"}, name="ERP", retry=ONCE)
    await engine.sql("insert into public.orders values (17, 'open')")
    await _done(engine, 1)
    await page.get_by_role("link", name="Deliveries", exact=True).click()
    await expect(page.get_by_role("button", name="failed 1")).to_be_visible()
    await page.get_by_role("textbox", name="Table").fill("nothing")  # as one types
    await expect(page.get_by_text("Nothing fits")).to_be_visible()
    await page.get_by_role("textbox", name="Table").fill("orders")
    await expect(page.locator("tr[data-row]")).to_have_count(1)
    assert page.url.endswith("/deliveries?table=orders")  # the address is the question
    await page.get_by_role("heading", name="Webhook Delivery").click()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")

    await expect(
        page.get_by_text("The receiver answered HTTP 500. It was given up after 1 attempt; the policy allows 1.")
    ).to_be_visible()
    await expect(page.get_by_text('"duplicate key"')).to_be_visible()
    receiver.otherwise = says(answer(200))
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("It goes out again, with the same id.")).to_be_visible()

    async def is_delivered() -> bool:
        return await engine.value("select exists (select from tidings.deliveries where status = 'succeeded')")

    await eventually(is_delivered)
    await expect(page.locator(".under-title .state")).to_contain_text("delivered")
    await page.get_by_role("searchbox").fill("orders 17")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("1 webhook wanted it when it happened.")).to_be_visible()

    await page.goto("/deliveries?status=succeeded")
    await page.get_by_role("heading", name="Webhook Delivery").click()
    for key in ("j", "x", "r"):  # to the first row, tick it, retry
        await page.keyboard.press(key)
    await expect(page.get_by_text("1 delivery goes out again.")).to_be_visible()
    assert page.url.endswith("/deliveries?status=succeeded")


async def test_recover_takes_along_what_one_has_just_asked_for(signed_in: Page) -> None:
    """Filters change the address without loading the page, and the button follows."""
    await signed_in.goto("/deliveries")
    await signed_in.locator(".filters [name=table]").fill("orders")
    await signed_in.wait_for_url("**/deliveries?**table=orders**")
    await signed_in.get_by_role("link", name="Recover…").click()
    await signed_in.wait_for_url("**/recover?**table=orders**")
    await expect(signed_in.get_by_text("There is nothing to send again.")).to_be_visible()
    await expect(signed_in.locator(".repair-facts")).to_contain_text("orders")


@pytest.mark.parametrize("look", LOOKS)
async def test_pages_about_history_can_be_used_by_everybody_and_are_pictured(
    browser: Browser, portal: str, engine: Engine, receiver: Receiver, look: str
) -> None:
    """With what somebody has after an hour's work, some of it hostile: axe-core finds nothing serious, nothing is too wide."""
    needs = await an_hours_work(engine, receiver)
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        await sign_in(page)
        for name, path in PAGES.items():
            faults[name] = await look_at(page, path.format_map(needs), f"{name}-{look}", whole=name in WHOLE)
            assert await page.title() != "1"
    assert {name: found for name, found in faults.items() if found} == {}


async def an_hours_work(engine: Engine, receiver: Receiver) -> dict[str, str]:
    """Fill an installation with what happens in an hour, some of it hostile; return what addresses need."""
    await engine.sql("create table public.orders (id bigint primary key, status text, total numeric, note text)")
    erp = await engine.add_webhook(receiver.url("/erp"), "order.*", {"table": "orders"}, name="ERP", retry=ONCE)
    await engine.add_webhook(receiver.url("/crm"), "customer.*", "order.paid", name="CRM", retry=Delays(delays=(600, 3600)))
    shop = await engine.add_webhook(receiver.url("/shop"), "order.*", name=HOSTILE, retry=ONCE)
    await engine.sql("insert into public.orders select n, 'open', n * 10.5, 'call first' from generate_series(1, 12) n")
    for number in range(10):
        await engine.publish("customer.created", f'{{"id": {number}, "name": "Ada Lovelace"}}')
    await engine.publish("newsletter.sent", '{"to": 1200}')
    await _done(engine, 22)
    receiver.otherwise = says(
        answer(503, b'{"error": "duplicate key value violates unique constraint"}', {"x-request-id": "r-1"})
    )
    await engine.sql("update public.orders set status = 'paid', note = $1 where id <= 3", HOSTILE)
    await engine.publish("order.paid", '{"id": 17, "total": 129.9, "customer": {"name": "Grace Hopper"}}')
    await _done(engine, 28)
    receiver.otherwise = says(answer(200))
    await engine.sql("update tidings.lanes set warned_at = now() - interval '3 minutes' where last_failure is not null")
    await subscriptions.change(engine.services, erp.id, WebhookChange(timeout_seconds=12))
    hour_ago = engine.clock.now() - timedelta(hours=1)
    recovery = await recoveries.begin_webhook(engine.services, shop.id, hour_ago, missing=True, rate_per_second=0.1)
    return {
        "recovery": str(recovery.id),
        "erp": str(erp.id),
        "failed": str(await engine.value("select id from tidings.deliveries where status = 'failed' order by id limit 1")),
        "unwanted": str(await engine.value("select id from tidings.events where delivery_count = 0 limit 1")),
        "changed": str(await engine.value("select id from tidings.events where operation = 'UPDATE' limit 1")),
    }


async def _done(engine: Engine, number: int) -> None:
    """Wait until so many attempts have a result."""

    async def are_done() -> bool:
        made = await engine.value(
            "select (select count(*) from tidings.deliveries) + (select count(*) from tidings.queue where attempt_count > 0)"
        )
        return made >= number

    await eventually(are_done)
