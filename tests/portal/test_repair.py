"""Mending in a real browser: what a webhook missed while it was paused, and why an event went where it went."""

from pathlib import Path

import msgspec
from playwright.async_api import Page, expect

from tests.support.browser import pictures_folder, serious_faults
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange

MISSED = 6


async def test_a_paused_hour_is_recovered_and_followed_to_its_end(
    signed_in: Page, engine: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    """One pauses a webhook, things happen, one goes on: the form counts what was missed, the page follows it without being
    loaded again, and the event explains itself."""
    page, services = signed_in, engine.services
    webhook = await engine.add_webhook(receiver.url(), "order.*", name="ERP")
    await subscriptions.change(services, webhook.id, WebhookChange(enabled=False))
    for _ in range(MISSED):
        await engine.publish()

    async def all_there() -> bool:
        return await engine.value("select count(*) from tidings.events") == MISSED

    await eventually(all_there)
    await subscriptions.change(services, webhook.id, WebhookChange(enabled=True))
    await page.goto(f"/webhooks/{webhook.id}/recover")
    await expect(page.get_by_text("There is nothing to send again.")).to_be_visible()
    assert await serious_faults(page) == []
    await page.get_by_label("Also what never came to be").check()
    await expect(page.get_by_text(f"{MISSED} deliveries will be sent: 0 again, and {MISSED} that never were.")).to_be_visible()
    await page.get_by_label("At most, a second").fill("2")
    pictures = pictures_folder(tmp_path)
    await page.screenshot(path=pictures / "recover-webhook-light.png", animations="disabled")
    await page.get_by_role("button", name="Send again").click()
    await page.wait_for_url("**/recoveries/*")
    await page.evaluate("window.stays = true")
    await expect(page.get_by_role("button", name="Cancel it")).to_be_visible()
    await page.screenshot(path=pictures / "recovery-light.png", animations="disabled")
    assert await serious_faults(page) == []
    await expect(
        page.get_by_text(f"It is done. {MISSED} deliveries went into the queue again, with the same ids.")
    ).to_be_visible()
    await expect(page.locator("#recovery")).to_contain_text("100\u2009%")
    await expect(page.get_by_role("button", name="Cancel it")).to_have_count(0)
    assert await page.evaluate("window.stays")
    await receiver.wait_for(MISSED)
    event = await engine.value("select id from tidings.events order by id limit 1")
    assert str(event) in {request.headers["webhook-id"] for request in receiver.received}
    await page.goto("/recoveries")
    await page.get_by_role("link", name="What one webhook did not acknowledge").click()
    await page.wait_for_url("**/recoveries/*")
    await page.goto(f"/events/{event}/explain")
    await expect(page.get_by_text("It is sent: events[0] matches.")).to_be_visible()
    await page.get_by_text("What would be sent").click()
    await expect(page.get_by_text("webhook-signature").first).to_be_visible()
    assert await serious_faults(page) == []
    await page.screenshot(path=pictures / "explain-light.png", animations="disabled", full_page=True)
    assert msgspec.json.decode(receiver.received[0].body)["type"] == "order.paid"


async def test_recover_takes_along_what_one_has_just_asked_for(signed_in: Page) -> None:
    """Filters change the address without loading the page, and the button follows."""
    await signed_in.goto("/deliveries")
    await signed_in.locator(".filters [name=table]").fill("orders")
    await signed_in.wait_for_url("**/deliveries?**table=orders**")
    await signed_in.get_by_role("link", name="Recover…").click()
    await signed_in.wait_for_url("**/recover?**table=orders**")
    await expect(signed_in.get_by_text("There is nothing to send again.")).to_be_visible()
    await expect(signed_in.locator(".repair-facts")).to_contain_text("orders")
