"""What the documents of the seed systems tell people to do, step by step and in their words, in a real browser."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import serious_faults
from tests.support.engine import Engine, eventually
from tests.support.receiver import Received, Receiver, answer, says
from tidings.client import verify
from tidings.operations.sources import collections

FOREIGN = '"collection.object.created" is an event of it'
PAST_REST = 20  # deliveries of one webhook from which on its breaker spreads them


async def set_up(page: Page, name: str, url: str) -> None:
    """Fill in name and URL, and wait until the URL was checked."""
    await page.locator("#name").fill(name)
    await page.locator("#url").fill(url)
    await page.locator("#url").press("Tab")
    await expect(page.locator("#url-error")).to_contain_text("answers in")


async def save(page: Page) -> str:
    """Press Save, and return the secret that is shown once."""
    await page.locator(".setup-end").get_by_role("button", name="Save").click()
    await page.wait_for_url("**/ready")
    secret: str = await page.locator(".secret-value").inner_text()
    return secret


def is_verified(received: Received, secret: str, profile: str) -> bool:
    try:
        verify(received.body, received.headers, secret, profile=profile)
    except Exception:  # noqa: BLE001 - whatever it is, it does not verify
        return False
    return True


async def test_000_configure_the_webhook_in_the_portal(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    """Integrations → Webhooks → + New Webhook. URL, Events, Secret; Save. Create an object; look at the Webhook Delivery section.

    Nobody says which profile: the names of the events do.
    """
    page = signed_in
    await collections.create(engine.services, "blog_posts", fields=[{"name": "title", "type": "text"}])
    await page.get_by_label("Search", exact=True).fill("integrations")
    await page.keyboard.press("Enter")
    await page.locator("main").get_by_role("link", name="Webhooks").first.click()
    await page.get_by_role("link", name="New webhook").first.click()
    await set_up(page, "Site", receiver.url("/webhooks/vivreal"))
    events = page.get_by_label("Further events by name")
    await events.fill("collection.object.creatd")
    await expect(page.locator("#request")).to_contain_text('Did you mean "collection.object.created"?')
    await events.fill("collection.object.created, collection.object.updated, collection.object.deleted")
    await expect(page.locator("#request")).to_contain_text("X-Vivreal-Signature")
    await expect(page.locator("#request")).to_contain_text(f"Profile Vivreal was chosen: {FOREIGN}")
    await expect(page.locator("#events")).to_contain_text("collection.object")  # the boxes are the profile's by now
    assert await serious_faults(page) == []
    secret = await save(page)
    await expect(page.locator("main")).to_contain_text("Its profile is Vivreal.")
    await expect(page.get_by_text(f"Profile Vivreal was chosen: {FOREIGN}")).to_be_visible()
    await expect(page.locator("#first")).to_contain_text("Waiting for the first delivery")
    assert "x-vivreal-signature" in await page.locator(".code").inner_text()

    other = await page.context.new_page()  # Create an object in any collection
    await other.goto("/sources/collections/blog_posts/add")
    await other.get_by_label("title").fill("New Post")
    await other.get_by_role("button", name="Add").click()
    await receiver.wait_for(1)
    await expect(page.locator("#first")).to_contain_text("was delivered")
    (came,) = receiver.received
    assert b'"event":"collection.object.created"' in came.body
    assert b'"title":"New Post"' in came.body
    assert is_verified(came, secret, "vivreal")
    await page.get_by_role("link", name="Go to the webhook").click()
    await expect(page.get_by_role("heading", name="Webhook Delivery")).to_be_visible()
    await expect(page.locator("#deliveries")).to_contain_text("collection.object.created")


async def test_001_setting_up_a_webhook(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    """Group Settings → Webhooks → Add Endpoint; event types; signing secret. Its panel shows what failed."""
    page = signed_in
    await engine.sql("create table orders (id bigint primary key, status text)")
    await page.get_by_label("Search", exact=True).fill("group settings")
    await page.keyboard.press("Enter")
    await page.locator("main").get_by_role("link", name="Settings").first.click()
    await page.get_by_role("link", name="Add Endpoint").click()
    await set_up(page, "Orders", receiver.url("/hooks"))
    family = page.locator("details.family", has=page.locator(".family-name", has_text=re.compile("^orders$")))
    await family.locator("summary").click()
    await family.get_by_label("inserted").check()
    await family.get_by_label("updated").check()
    await expect(page.locator("#request")).to_contain_text("table.orders.inserted")
    secret = await save(page)
    webhook = page.url.removesuffix("/ready")

    await engine.sql("insert into orders values (1, 'open')")
    await receiver.wait_for(1)
    assert is_verified(receiver.received[0], secret, "standard")
    await expect(page.locator("#first")).to_contain_text("was delivered")

    receiver.otherwise = says(answer(500, b"duplicate key"))
    await engine.sql("insert into orders select n, 'open' from generate_series(100, $1) n", 100 + PAST_REST + 20)
    await eventually(lambda: _is(engine, "select count(*) from tidings.lanes where failure_count > 0"))
    await page.goto(webhook)
    await expect(page.locator(".webhook-health").first).to_contain_text("HTTP 500")
    await expect(page.locator(".webhook-health").first).to_contain_text(re.compile("tried at|goe?s? out now|tried at once"))
    await expect(page.get_by_role("link", name="Failed deliveries")).to_be_visible()
    assert await serious_faults(page) == []


async def test_004_testing_webhooks_from_the_dashboard(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    """Webhooks → Select webhook → Test."""
    page = signed_in
    await engine.sql("create table users (id bigint primary key, email text)")
    await engine.add_webhook(
        receiver.url(), {"table": "users"}, name="User Events", profile="fluxbase", secret="your-webhook-secret"
    )
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks").click()
    await page.get_by_role("link", name="User Events").click()
    await page.get_by_role("link", name="Test", exact=True).first.click()
    await expect(page.get_by_label("Event")).to_have_value('["INSERT", "public", "users"]')
    await page.get_by_label("Data").fill('{"id": "test-id", "name": "Test Record"}')
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#tested")).to_contain_text("The receiver answered 200")
    (came,) = receiver.received
    assert b'"record":{"id":"test-id","name":"Test Record"}' in came.body
    assert is_verified(came, "your-webhook-secret", "fluxbase")
    await page.get_by_label("Data").fill("{not json")
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#tested .error")).to_be_visible()
    await page.get_by_label("Event").select_option(label="users: DELETE")
    await expect(page.get_by_label("Data")).to_have_value(re.compile(r'"id": \d'))


@pytest.mark.parametrize("has_script", [True, False])
async def test_a_webhook_is_changed_and_deleted(
    browser: Any, portal: str, engine: Engine, receiver: Receiver, has_script: bool
) -> None:
    """Edit, review, save; delete by name: with script in a dialog, without it on a page."""
    from tests.support.browser import page_of, sign_in

    made = await engine.add_webhook(receiver.url(), "order.*", name="ERP")
    async with page_of(browser, portal, java_script_enabled=has_script) as page:
        await sign_in(page)
        await page.goto(f"/webhooks/{made.id}/edit")
        await page.locator("#timeout").fill("12")
        if has_script:
            await expect(page.locator("#request")).to_contain_text("What changes")
        await page.get_by_role("button", name="Review changes").click()
        await expect(page.locator(".review")).to_contain_text('"timeout_seconds": 12.0')
        await page.get_by_role("button", name="Save changes").click()
        await expect(page.get_by_text("The webhook is changed.")).to_be_visible()
        await page.get_by_role("button", name="Delete this webhook").click()
        await page.locator("#delete-name").fill("ERP")
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page.get_by_text("The webhook is deleted.")).to_be_visible()
        await expect(page.get_by_text("No webhooks yet")).to_be_visible()


async def _is(engine: Engine, sql: str) -> bool:
    return bool(await engine.value(sql))
