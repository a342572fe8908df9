"""The pages about sources and settings, and the customer's, in a real browser: whole walks, and pictures of each page."""

import hmac
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import LOOKS, look_at, page_of, sign_in
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver
from tidings.core.brand import Brand
from tidings.operations import portal_links
from tidings.operations.sources import backfills, collections, event_types, integrations, jobs, records
from tidings.operations.sources.integrations import IntegrationChange
from tidings.operations.sources.job_changes import JobChange

PAGES = {
    "sources": "/sources",
    "tables": "/sources/tables",
    "table": "/sources/tables/table?name=orders",
    "collections": "/sources/collections",
    "collection": "/sources/collections/posts",
    "record": "/sources/collections/posts/records/hello",
    "record-add": "/sources/collections/posts/add",
    "jobs": "/sources/jobs",
    "job": "/sources/jobs/{job}",
    "integrations": "/sources/integrations",
    "integration": "/sources/integrations/shop",
    "catalogue": "/sources/catalogue",
    "collection-new": "/sources/new/collection",
    "collection-edit": "/sources/collections/posts/edit",
    "collection-delete": "/sources/collections/posts/delete",
    "job-new": "/sources/new/job",
    "job-edit": "/sources/jobs/{job}/edit",
    "integration-new": "/sources/new/integration",
    "integration-edit": "/sources/integrations/shop/edit",
    "table-new": "/sources/new/table",
    "table-edit": "/sources/tables/table/edit?name=orders",
    "type-new": "/sources/new/type",
    "type-edit": "/sources/catalogue/type?name=order.paid",
    "dry-run": "/webhooks/{webhook}/dry-run",
    "settings": "/settings",
    "groups": "/settings/groups",
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
    await portal_links.create(
        services, "sample", scheme="http", host="localhost", brand=Brand("Acme"), origins=["https://app.example.com"]
    )
    return {"job": str(nightly.job.id), "aside": str(aside), "webhook": str(erp.id)}


@pytest.mark.parametrize("look", LOOKS)
async def test_sources_settings_and_a_customers_page_can_be_used_by_everybody(
    browser: Browser, portal: str, engine: Engine, receiver: Receiver, look: str
) -> None:
    """axe-core finds nothing serious on any page in any look, and nothing is wider than the window."""
    needs = await furnish(engine, receiver)
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        await sign_in(page)
        for name, path in PAGES.items():
            faults[name] = await look_at(page, path.format_map(needs), f"{name}-{look}")
        brand, origins = Brand("Acme", MARK, "#1f5f43"), ["https://app.example.com"]
        host = portal.removeprefix("http://")
        made = await portal_links.create(engine.services, "customer", scheme="http", host=host, brand=brand, origins=origins)
        await page.goto(made.url)
        await page.wait_for_url("**/home")
        faults["customer"] = await look_at(page, "/home", f"customer-{look}")
        own = f"/webhooks/{needs['webhook']}"
        for name, path in (("new", "/webhooks/new"), ("webhook", own), ("edit", f"{own}/edit"), ("deliveries", "/deliveries")):
            faults[f"customer-{name}"] = await look_at(page, path, f"customer-{name}-{look}")
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
