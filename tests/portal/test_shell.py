"""The shell of the portal in a real browser."""

from playwright.async_api import Page, expect

from tests.support.browser import serious_faults


async def test_one_signs_in_and_out(page: Page) -> None:
    await page.goto("/settings")
    await expect(page).to_have_title("Sign in · Tidings")
    await page.get_by_label("Key", exact=True).fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("This is not the admin key")).to_be_visible()
    assert await serious_faults(page) == []
    await page.get_by_label("Key", exact=True).fill("test")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/settings")
    await page.get_by_title("Signed in as admin").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()


async def test_the_look_is_changed_at_once_and_kept(signed_in: Page) -> None:
    page = signed_in
    await page.get_by_title("Look").click()
    async with page.expect_response("**/theme"):
        await page.get_by_role("button", name="Dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_groups_come_into_the_menu(signed_in: Page) -> None:
    await signed_in.locator("#group-menu summary").click()
    await expect(signed_in.locator("#group-menu a[aria-current]")).to_have_text("default")


async def test_a_table_is_walked_by_keys(signed_in: Page) -> None:
    page = signed_in
    await page.goto("/gallery")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator("#row-sample-1 a")).to_be_focused()
    await page.keyboard.press("x")
    await expect(page.locator("#row-sample-1 input")).to_be_checked()
    await expect(page.locator("[data-selected]")).to_have_text("1")
    await page.keyboard.press("k")
    await expect(page.locator("#row-sample-0 a")).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search", exact=True)).to_be_focused()


async def test_a_chart_is_drawn_and_a_secret_is_shown_in_its_place(signed_in: Page) -> None:
    page = signed_in
    await page.goto("/gallery")
    await expect(page.locator(".chart-drawing canvas")).to_be_visible()
    await page.get_by_role("button", name="Show the signing secret").click()
    await expect(page.get_by_text("whsec_thisIsASample")).to_be_visible()


async def test_hostile_content_runs_nowhere(signed_in: Page) -> None:
    dialogs: list[str] = []
    signed_in.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await signed_in.goto("/gallery")
    assert await signed_in.locator("main script").count() == 0
    assert dialogs == []
