"""The pages about sources and settings, and the customer's, in a real browser: whole walks, and pictures of each page."""

import hmac
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.portal.test_pictures import LOOKS, WIDEST
from tests.support.browser import page_of, pictures_folder, serious_faults, sign_in
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver
from tidings.core.brand import Brand
from tidings.operations import portal_links
from tidings.operations.groups import acting_for
from tidings.operations.sources import backfills, collections, event_types, integrations, jobs, records
from tidings.operations.sources.integrations import IntegrationChange
from tidings.operations.sources.job_changes import JobChange

PAGES = {
    "sources": "/sources",
    "tables": "/sources/tables",
    "table": "/sources/tables/table?name=orders",
    "table-capture": "/sources/tables/capture?name=orders",
    "collections": "/sources/collections",
    "collection": "/sources/collections/posts",
    "record": "/sources/collections/posts/records/hello",
    "record-add": "/sources/collections/posts/add",
    "jobs": "/sources/jobs",
    "job": "/sources/jobs/{job}",
    "integrations": "/sources/integrations",
    "integration": "/sources/integrations/shop",
    "catalogue": "/sources/catalogue",
    "settings": "/settings",
    "groups": "/settings/groups",
    "links": "/settings/links",
    "keys": "/settings/keys",
    "set-aside": "/settings/set-aside",
    "set-aside-row": "/settings/set-aside/{aside}",
    "about": "/settings/about",
}
FIELDS = [
    {"name": "title", "type": "text", "required": True},
    {"name": "status", "type": "select", "values": ["draft", "live"]},
    {"name": "views", "type": "number"},
    {"name": "body", "type": "editor"},
]
MARK = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIyNCIgaGVpZ2h0PSIyNCI+PGNpcmNsZSBjeD0iMTIiIGN5PSIxMiIgcj0iMTAiIGZpbGw9IiMxZjVmNDMiLz48L3N2Zz4="


def raw(**values: Any) -> Any:
    import msgspec

    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


async def furnish(engine: Engine, receiver: Receiver) -> dict[str, str]:
    """Fill an installation with something of each kind; return what addresses need."""
    services = engine.services
    await engine.sql("create table orders (id int primary key, account_id text, status text, total numeric, card_number text)")
    await engine.sql("create table invoices (id int primary key, total numeric)")
    await engine.sql("insert into orders select n, 'acme', 'new', n * 2, '4111' from generate_series(1, 3000) n")
    erp = await engine.add_webhook(receiver.url(), {"table": "orders"}, "order.*", name="ERP")
    await engine.add_webhook(receiver.url(), {"table": "orders", "operations": ["UPDATE"]}, name="Mail")
    await engine.add_webhook(receiver.url(), {"table": "invoices"}, name="Ledger")
    await backfills.start(services, "orders", erp.id)
    await collections.create(services, "posts", fields=FIELDS)
    titles = ("Hello, world", "What a webhook is", "<b>Not bold</b> \u202etxet", "On retries")
    for place, title in enumerate(titles):
        name = "hello" if place == 0 else f"post-{place}"
        await records.create(services, "posts", [raw(id=name, title=title, status="live", views=place * 1234)])
    nightly = await jobs.create(
        services, JobChange(name="nightly report", schedule="30 2 * * 1-5", timezone="Europe/Berlin", url=receiver.url())
    )
    await jobs.run_now(services, nightly.job.id)
    await jobs.create(services, JobChange(name="every five minutes", schedule="*/5 * * * *", url=receiver.url()))
    shop = await integrations.create(services, IntegrationChange(name="shop", platform="hmac"))
    for number in range(3):
        body = b'{"type": "product.updated", "id": "evt_%d"}' % number
        await integrations.receive(
            services, "shop", {"x-signature": hmac.digest(shop.secret.encode(), body, "sha256").hex()}, body
        )
    for _ in range(4):
        with pytest.raises(Exception, match="not verified"):
            await integrations.receive(services, "shop", {"x-signature": "0" * 64}, b"{}")
    await event_types.put(
        services,
        "order.paid",
        description="An order was paid.",
        schema='{"type": "object", "required": ["total"]}',
        example='{"total": 12.5}',
    )
    await engine.publish("order.paid", '{"total": 12.5}')
    await engine.sql("insert into tidings.outbox (group_id, source, record) values ('nobody', 'publish', '{\"total\": 7}')")
    aside = await eventually(lambda: engine.value("select max(id) from tidings.outbox_rejected"))
    await engine.sql("insert into tidings.groups (id) values ('acme'), ('globex')")
    await portal_links.create(services, "sample", brand=Brand("Acme"), origins=["https://app.example.com"])
    return {"job": str(nightly.job.id), "aside": str(aside)}


async def look_at(page: Page, path: str, picture: Path) -> list[str]:
    """Take a picture of a page, and return what keeps people out of it."""
    await page.goto(path)
    await page.wait_for_load_state("networkidle")
    faults = await serious_faults(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        faults.append(f"wider than the window by {overflow} px: {await page.evaluate(WIDEST)}")
    await page.screenshot(path=picture, animations="disabled")
    return faults


@pytest.mark.parametrize("look", LOOKS)
async def test_sources_settings_and_a_customers_page_can_be_used_by_everybody(
    browser: Browser, portal: str, engine: Engine, receiver: Receiver, tmp_path: Path, look: str
) -> None:
    """axe-core finds nothing serious on any page in any look, and nothing is wider than the window."""
    folder = pictures_folder(tmp_path)
    needs = await furnish(engine, receiver)
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        await sign_in(page)
        for name, path in PAGES.items():
            faults[name] = await look_at(page, path.format_map(needs), folder / f"{name}-{look}.png")
        made = await portal_links.create(
            engine.services, "customer", brand=Brand("Acme", MARK, "#1f5f43"), origins=["https://app.example.com"]
        )
        await page.goto(made.path)
        await page.wait_for_url("**/home")
        faults["customer"] = await look_at(page, "/home", folder / f"customer-{look}.png")
    assert {name: found for name, found in faults.items() if found} == {}


async def test_a_record_is_edited_and_its_event_is_seen(signed_in: Page, engine: Engine) -> None:
    page = signed_in
    await collections.create(engine.services, "posts", fields=FIELDS)
    await page.goto("/search?q=content+items")
    await page.get_by_role("main").get_by_role("link", name="Sources").click()
    await page.get_by_role("main").get_by_role("link", name="Collections").click()
    await page.get_by_role("link", name="posts").click()
    await page.get_by_role("link", name="Add a record").first.click()
    await page.get_by_label("title").fill("Hello")
    await page.get_by_label("views").fill("many")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_text("views must be a number.")).to_be_visible()
    await page.get_by_label("views").fill("12")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_text("The record is added")).to_be_visible()
    await page.get_by_label("title").fill("Hello again")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The record is saved")).to_be_visible()
    await eventually(
        lambda: engine.value("select count(*) = 2 from tidings.events where table_name = 'posts' and operation is not null")
    )
    await page.reload()
    await expect(page.get_by_role("table", name="Its last events").get_by_text("content.updated")).to_be_visible()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("The record is deleted")).to_be_visible()


async def test_a_customers_link_cannot_see_another_group(
    browser: Browser, portal: str, page: Page, engine: Engine, receiver: Receiver
) -> None:
    """An operator makes a link in Settings; the customer who opens it sees their group, leaves, and sees nothing more."""
    await engine.sql("insert into tidings.groups (id) values ('acme'), ('globex')")
    ours = await engine.add_webhook(receiver.url(), "*", name="Ours", group_id="acme")
    theirs = await engine.add_webhook(receiver.url(), "*", name="Theirs", group_id="globex")
    await sign_in(page)
    await page.goto("/settings/links?group=acme")
    await page.get_by_label("Name").fill("Acme Ltd")
    await page.get_by_label("Colour").fill("#1f5f43")
    await page.get_by_role("button", name="Make a link for acme").click()
    address = await page.locator(".linked code").inner_text()
    async with page_of(browser, portal) as customer:
        await customer.goto(address)
        await customer.wait_for_url("**/home")
        await expect(customer.get_by_text("Acme Ltd")).to_be_visible()
        await expect(customer.get_by_text("Ours")).to_be_visible()
        text = await customer.locator("body").inner_text()
        assert "Theirs" not in text
        assert "globex" not in text
        for path in (f"/webhooks/{theirs.id}", "/settings", "/sources", "/groups", "/home?group=globex", "/"):
            answer = await customer.goto(path)
            assert answer is not None
            assert answer.status in {403, 404}, path
            assert "Theirs" not in await customer.locator("body").inner_text()
        await acting_for(engine.services, "acme")
        assert str(ours.id) in await (await customer.request.get("/home")).text()
        await customer.goto("/home")
        await customer.get_by_role("link", name="Leave").click()
        await customer.get_by_role("button", name="Leave").click()
        await expect(customer.get_by_role("heading", name="You have left")).to_be_visible()
        await customer.goto("/home")
        await expect(customer).to_have_title("Sign in · Tidings")
