"""A real browser for tests: Debian's Chromium, or the one that CHROMIUM names, driven by Playwright."""

import io
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.limits import PATIENCE

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "images" / "portal"
COLOURS = 128  # of a picture
AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"
WIDE = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}
LOOKS = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "phone": {"color_scheme": "light", "viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
}
_TOO_WIDE = """() => [...document.querySelectorAll("main *")].filter(one => one.getBoundingClientRect().right > innerWidth
  && !one.closest(".table-scroll, .scroll, pre, .json, .diff-lines")).slice(0, 5).map(one => one.outerHTML.slice(0, 100)).join(" | ")"""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Return the path of a Chromium.

    Raises:
        RuntimeError: There is none; what to install.
    """
    found = os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError("The portal's tests need Chromium: `apt-get install chromium`, or name one in CHROMIUM.")
    return found


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """Run a Chromium while the block runs, with further flags."""
    async with async_playwright() as playwright:
        # As root, and in containers, there is no sandbox to be had; the pages are ours.
        usual = ["--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"]
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=[*usual, *flags])
        yield browser
        await browser.close()


@asynccontextmanager
async def page_of(browser: Browser, base_url: str, **options: object) -> AsyncIterator[Page]:
    """Open a page of a browser that knows nobody. What goes wrong in it (a script that fails, anything the
    Content-Security-Policy refuses) fails the test at its end.
    """
    context = await browser.new_context(base_url=base_url, **({"viewport": WIDE} | options))  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE * 1000)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    await context.close()
    assert faults == []


async def sign_in(page: Page, key: str = "test") -> None:
    """Sign in, and land on the first page."""
    await page.goto("/sign-in")
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")


async def serious_faults(page: Page) -> list[str]:
    """Return what axe-core finds on a page that keeps people out: each fault with where it is."""
    session = await page.context.new_cdp_session(
        page
    )  # past the page's own Content-Security-Policy, which allows no such script
    await session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    result = await session.send(
        "Runtime.evaluate",
        {"expression": "axe.run().then(r => JSON.stringify(r.violations))", "awaitPromise": True, "returnByValue": True},
    )
    await session.detach()
    return [
        f"{found['id']}: {node['target']} {node.get('failureSummary', '')}"
        for found in json.loads(result["result"]["value"])
        if found["impact"] in {"serious", "critical"}
        for node in found["nodes"][:5]
    ]


async def look_at(page: Page, path: str, name: str, *, whole: bool = False) -> list[str]:
    """Go to a page, take its picture, and return what keeps people out of it or does not fit its window."""
    await page.goto(path)
    if await page.locator("nav#states").count():
        await expect(page.locator("nav#states b").first).to_be_visible()
    if await page.locator("[data-live-said]").count():
        await expect(page.locator("[data-live-said]")).to_have_text("live")
    faults = await serious_faults(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        faults.append(f"wider than the window by {overflow} px: {await page.evaluate(_TOO_WIDE)}")
    await picture(page, name, whole=whole)
    return faults


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Put a picture of a page into the docs, when `make pictures` asks for pictures.

    Flat colours are nearly all there is on a page: with few of them a picture takes a quarter, and looks the same. They are chosen to
    cover what there is, and not by how often they stand there: a state is told by a few pixels.
    """
    if not os.environ.get("TIDINGS_PICTURES"):
        return
    taken = Image.open(io.BytesIO(await page.screenshot(animations="disabled", full_page=whole))).convert("RGB")
    few = taken.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).convert("RGB")
    few.save(PICTURES / f"{name}.webp", lossless=True, quality=60, method=4)
