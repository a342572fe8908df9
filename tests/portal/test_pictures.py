"""Pictures of the pages, light and dark and on a phone. `make pictures` puts them where the docs show them."""

import pytest
from playwright.async_api import Browser

from tests.support.browser import LOOKS, look_at, page_of, sign_in

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
    "bins-empty": "/settings/bins",
    "bin-new": "/settings/bins/new",
    "fleet-none": "/settings/fleet",
    "listeners-empty": "/settings/listeners",
    "recover-nothing": "/recover?status=failed",
    "recoveries-empty": "/recoveries",
    "webhooks-empty": "/webhooks",
    "webhook-new": "/webhooks/new",
    "not-found": "/nowhere",
}


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_can_be_used_by_everybody_and_is_pictured(browser: Browser, portal: str, look: str) -> None:
    """axe-core finds nothing serious on any page in any look, and nothing is wider than the window."""
    faults: dict[str, list[str]] = {}
    async with page_of(browser, portal, **LOOKS[look]) as page:
        for name, path in PAGES.items():
            if name == "overview-empty":
                await sign_in(page)
            faults[name] = await look_at(page, path, f"{name}-{look}")
    assert {name: found for name, found in faults.items() if found} == {}
