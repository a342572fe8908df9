"""People look at what happened: a row changes, its delivery appears, it is opened and sent again. In real Chromium."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.portal.test_pictures import LOOKS, WIDEST
from tests.support.browser import page_of, pictures_folder, serious_faults, sign_in
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver, answer, says
from tidings.core.retry import ONCE, Delays

HOSTILE = '<img src=x onerror="document.title=1"> \u202efdp.exe'


async def test_a_changed_row_appears_without_reloading_and_is_opened_and_sent_again(
    signed_in: Page, engine: Engine, receiver: Receiver
) -> None:
    page = signed_in
    receiver.otherwise = says(answer(500, b'{"error": "duplicate key"}'))
    await engine.sql("create table public.orders (id bigint primary key, status text)")
    await engine.add_webhook(receiver.url(), {"table": "orders"}, name="ERP", retry=ONCE)
    await page.get_by_role("link", name="Deliveries", exact=True).click()
    await expect(page.get_by_role("heading", name="Webhook Delivery")).to_be_visible()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await page.evaluate("window.stayed = true")

    await engine.sql("insert into public.orders values (17, 'open')")
    await page.get_by_role("link", name="1 new").click()
    await expect(page.locator("tr[data-row]")).to_have_count(1)
    await expect(page.locator("tr[data-row]")).to_contain_text("table.orders.inserted")
    await expect(page.get_by_role("button", name="failed 1")).to_be_visible()
    assert await page.evaluate("window.stayed")  # it is the page that was there before

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


@pytest.mark.parametrize("look", LOOKS)
async def test_pages_about_history_can_be_used_by_everybody_and_are_pictured(
    browser: Browser, portal: str, engine: Engine, receiver: Receiver, tmp_path: Path, look: str
) -> None:
    """With what somebody has after an hour's work, some of it hostile: axe-core finds nothing serious, nothing is too wide."""
    await _an_hours_work(engine, receiver)
    folder = pictures_folder(tmp_path)
    failed = await engine.value("select id from tidings.deliveries where status = 'failed' order by id limit 1")
    unwanted = await engine.value("select id from tidings.events where delivery_count = 0 limit 1")
    changed = await engine.value("select id from tidings.events where operation = 'UPDATE' limit 1")
    pages = {
        "overview": "/",
        "deliveries": "/deliveries",
        "deliveries-searched": "/deliveries?status=failed%2Cretrying&webhook=ERP&since=1d&response_status=5xx",
        "delivery": f"/deliveries/{failed}",
        "events": "/events",
        "event": f"/events/{changed}",
        "event-unwanted": f"/events/{unwanted}",
        "search": "/search?q=order",
    }
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        await sign_in(page)
        for name, path in pages.items():
            await page.goto(path)
            await page.wait_for_load_state("load")
            if await page.locator("#states").count():
                await expect(page.locator("#states b").first).to_be_visible()
            faults[name] = await serious_faults(page)
            overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if overflow > 0:
                faults[name].append(f"wider than the window by {overflow} px: {await page.evaluate(WIDEST)}")
            assert await page.title() != "1"
            await page.screenshot(path=folder / f"{name}-{look}.png", animations="disabled", full_page=name == "delivery")
    assert {name: found for name, found in faults.items() if found} == {}


async def _an_hours_work(engine: Engine, receiver: Receiver) -> None:
    await engine.sql("create table public.orders (id bigint primary key, status text, total numeric, note text)")
    await engine.add_webhook(receiver.url("/erp"), "order.*", {"table": "orders"}, name="ERP", retry=ONCE)
    await engine.add_webhook(receiver.url("/crm"), "customer.*", "order.paid", name="CRM", retry=Delays(delays=(600, 3600)))
    await engine.add_webhook(receiver.url("/shop"), "order.*", name=HOSTILE, retry=ONCE)
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


async def _done(engine: Engine, number: int) -> None:
    """Wait until so many attempts have a result."""

    async def are_done() -> bool:
        made = await engine.value(
            "select (select count(*) from tidings.deliveries) + (select count(*) from tidings.queue where attempt_count > 0)"
        )
        return made >= number

    await eventually(are_done)
