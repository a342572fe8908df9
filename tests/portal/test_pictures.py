"""Pictures of the pages, light and dark and on a phone. `make pictures` puts them where the docs show them."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.browser import PHONE, WIDE, page_of, pictures_folder, serious_faults, sign_in

LOOKS = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "phone": {"color_scheme": "light", "viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
}
WIDEST = """() => [...document.querySelectorAll("main *")].filter(one => one.getBoundingClientRect().right > innerWidth
  && !one.closest(".table-scroll, .scroll, pre, .json, .diff-lines")).slice(0, 5).map(one => one.outerHTML.slice(0, 100)).join(" | ")"""
PAGES = {
    "sign-in": "/sign-in",
    "overview-empty": "/",
    "deliveries-empty": "/deliveries",
    "events-empty": "/events",
    "gallery": "/gallery",
    "lists": "/gallery#lists",
    "bodies": "/gallery#documents",
    "compared": "/gallery#comparison",
    "forms": "/gallery#forms",
    "settings": "/settings",
    "recover": "/recover?status=failed",
    "recoveries": "/recoveries",
    "webhooks": "/webhooks",
    "webhook-new": "/webhooks/new",
    "not-found": "/nowhere",
}


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_can_be_used_by_everybody_and_is_pictured(
    browser: Browser, portal: str, tmp_path: Path, look: str
) -> None:
    """axe-core finds nothing serious on any page in any look, and nothing is wider than the window."""
    folder = pictures_folder(tmp_path)
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        for name, path in PAGES.items():
            if name == "overview-empty":
                await sign_in(page)
            await page.goto(path)
            await page.wait_for_load_state("networkidle")
            faults[name] = await serious_faults(page)
            overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if overflow > 0:
                faults[name].append(f"wider than the window by {overflow} px: {await page.evaluate(WIDEST)}")
            await page.screenshot(path=folder / f"{name}-{look}.png", animations="disabled")
    assert {name: found for name, found in faults.items() if found} == {}
