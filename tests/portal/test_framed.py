"""A customer's portal in a page of another site, under real HTTPS: where its link allows that, and nowhere else."""

import msgspec
from playwright.async_api import expect

from tests.support.browser import chromium
from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.proxy import Certificates, tls_page, tls_proxy
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.operations import portal_links

HOOKS, HOST, OTHER = "hooks.test", "host.test", "other.test"


async def test_a_portal_works_in_a_frame_of_the_origin_that_its_link_names_and_in_no_other(
    config: Config, api_server: ApiServer, receiver: Receiver
) -> None:
    """Third-party cookies are blocked in this browser, as they are in most: those of the frame are kept apart for its host."""
    certificates = Certificates(HOOKS, HOST, OTHER)
    link = served = ""
    async with (
        tls_proxy(certificates, lambda: served) as proxy,
        tls_page(
            certificates, lambda: f'<!doctype html><title>host</title><iframe src="{link}" width=1200 height=900></iframe>'
        ) as pages,
        chromium(*certificates.flags, "--test-third-party-cookie-phaseout") as browser,
    ):
        origin = f"https://{HOST}:{pages}"
        settings = {"public_url": f"https://{HOOKS}:{proxy}", "trusted_proxies": "127.0.0.1"}
        async with (
            engine_of(msgspec.structs.replace(config, **settings), running=True) as engine,
            api_server.serving(engine.services) as served,
        ):
            ours = await engine.add_webhook(receiver.url(), "*", name="Ours")
            made = await portal_links.create(engine.services, "one", scheme="http", host="", origins=[origin])
            link = made.url
            assert link.startswith(f"https://{HOOKS}:{proxy}/p/")
            context = await browser.new_context()
            context.set_default_timeout(PATIENCE * 1000)
            page = await context.new_page()
            await page.goto(f"{origin}/")
            frame = page.frame_locator("iframe")
            await expect(frame.get_by_role("heading", name="Your webhooks")).to_be_visible()
            await frame.get_by_role("link", name="Ours").click()
            await frame.get_by_role("button", name="Pause").click()
            await expect(frame.get_by_text("The webhook is paused.")).to_be_visible()
            assert await engine.value("select enabled from tidings.webhooks where id = $1", ours.id) is False
            cookies = [one for one in await context.cookies() if one["name"] == "__Host-tidings-customer"]
            assert [(one["secure"], one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, True, "None")]
            assert cookies[0].get("partitionKey") == f"https://{HOST}", cookies
            assert await engine.value("select address from tidings.sessions") == "192.0.2.77"

            refused: list[str] = []
            page.on("console", lambda said: refused.append(said.text))
            await page.goto(f"https://{OTHER}:{pages}/")
            await expect(page.locator("iframe")).to_be_visible()
            inner = await (await page.locator("iframe").element_handle()).content_frame()
            assert inner is not None
            assert await inner.get_by_role("heading", name="Your webhooks").count() == 0
            assert any("frame-ancestors" in said for said in refused), refused
            await context.close()
