"""`/docs`: the API in a browser, drawn from our own document by files of the package."""

from playwright.async_api import Page, expect

from tests.support.browser import sign_in


async def test_the_api_is_shown_with_nothing_loaded_from_elsewhere(page: Page, portal: str) -> None:
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    await sign_in(page)
    await page.goto(f"{portal}/docs")
    await expect(page.get_by_role("heading", name="Create webhook").first).to_be_visible()
    await expect(page.get_by_text("When to try again.").first).to_be_visible()
    await page.get_by_placeholder("Search...").fill("rotate webhook")
    await expect(page.get_by_role("menuitem", name="Rotate webhook secret").first).to_be_visible()  # by a worker, in a blob
    assert [url for url in asked if not url.startswith((portal, "blob:", "data:"))] == []
    assert wrong == []
    colour = await page.evaluate("getComputedStyle(document.querySelector('#docs h1')).fontFamily")
    assert "system-ui" in colour  # its styles are in force
