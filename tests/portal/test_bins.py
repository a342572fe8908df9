"""A request bin in a real browser: made by form, and what comes is there without anybody asking."""

import httpx
from playwright.async_api import Page, expect

from tests.support.browser import serious_faults
from tidings.core.signature import HmacKey, sign_hex

SECRET = "a text as a secret"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">\u202e\x1b[2J"


async def test_what_comes_to_a_bin_is_shown_as_it_comes(signed_in: Page) -> None:
    page = signed_in
    await page.goto("/settings")
    await page.get_by_role("link", name="Request bins").first.click()
    await page.get_by_role("link", name="New request bin").first.click()
    await page.get_by_label("Name").fill("Try it")
    await page.get_by_label("Status it answers").fill("202")
    await page.get_by_label("Or by the rules of a profile").select_option("vivreal")
    await page.get_by_label("And this secret").fill(SECRET)
    await page.get_by_role("button", name="Make the bin").click()
    await expect(page.locator("[data-live-said]")).to_have_text("live")
    url = await page.locator(".address code").inner_text()
    async with httpx.AsyncClient() as client:
        signed = sign_hex(HmacKey.of_text(SECRET), b'{"a":1}')
        answer = await client.post(f"{url}/first", content=b'{"a":1}', headers={"X-Vivreal-Signature": signed})
        assert answer.status_code == 202
        await expect(page.locator("#bin")).to_contain_text("/first")
        await expect(page.get_by_role("heading", name="Request 1")).to_be_visible()
        await expect(page.locator("#bin .attempt .state")).to_have_text("verified")
        await client.post(url, content=b'{"a": 1}', headers={"X-Vivreal-Signature": signed})
        await expect(page.locator("#bin .attempt .state")).to_have_text("rewritten body")
        await expect(page.locator(".attempt-said")).to_contain_text("without spaces")
        await client.put(url, content=HOSTILE.encode(), headers=[(b"X-Odd", HOSTILE[:40].encode())])
        await expect(page.locator("#bin .attempt .state")).to_have_text("missing header")
    assert await page.title() != "taken"
    assert await page.locator("#bin img").count() == 0
    await expect(page.locator("#bin .document")).to_contain_text("U+202E")
    await page.get_by_role("link", name="POST /first").click()
    await expect(page.get_by_role("heading", name="Request 1")).to_be_visible()
    assert await serious_faults(page) == []
