"""Why a receiver refuses deliveries, asked in a real browser."""

from playwright.async_api import Page, expect

from tests.support.browser import serious_faults
from tests.support.engine import Engine
from tests.support.receiver import Receiver
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange


async def test_a_press_finds_out_and_shows_the_line_to_change(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    page = signed_in
    made = await subscriptions.create(engine.services, WebhookChange(url=receiver.url(), events=["order.*"]))
    await page.goto(f"/webhooks/{made.webhook.id}")
    await page.locator(".webhook-actions").get_by_role("link", name="Diagnose").click()
    await page.get_by_role("button", name="Diagnose").click()
    found = page.locator("#diagnosed")
    await expect(found).to_contain_text("not verified")
    await expect(found).to_contain_text("signed by a stranger")
    await found.get_by_role("radio", name="Flask").check()
    await expect(found.get_by_text("request.get_data()")).to_be_visible()
    assert await serious_faults(page) == []
    await page.set_viewport_size({"width": 375, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
