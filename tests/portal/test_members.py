"""Somebody signs in at a real provider, in a real browser, and an owner says what they may."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from playwright.async_api import Browser, Page, expect

from tests.support.browser import page_of, serious_faults
from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.node import NODE, free_port
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.oidc import redirect_uri

CLIENT, SECRET = "tidings", "a secret of 32 characters or more"


@asynccontextmanager
async def providing(public_url: str) -> AsyncIterator[str]:
    """Run the provider; lends its issuer."""
    port = free_port()
    environ = {"PORT": str(port), "REDIRECT": redirect_uri(public_url), "CLIENT": CLIENT, "SECRET": SECRET}
    process = await asyncio.create_subprocess_exec(
        "node", "provider.mjs", cwd=NODE, env=os.environ | environ, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while await process.stdout.readline() != b"ready\n":
                assert process.returncode is None, "the provider did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def _come(page: Page, who: str) -> None:
    """Sign in as somebody, at the provider's own pages."""
    await page.goto("/sign-in?to=%2Faccount")
    await page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    await page.get_by_placeholder("Enter any login").fill(who)
    await page.get_by_placeholder("and password").fill("any")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()


async def test_somebody_is_invited_signs_in_and_is_removed(browser: Browser, config: Config, api_server: ApiServer) -> None:
    public = api_server.url
    async with providing(public) as issuer:
        settings = {"public_url": public, "oidc_issuer": issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET}
        config = msgspec.structs.replace(config, owners="root@example.com", **settings)  # type: ignore[arg-type]
        async with (
            engine_of(config, running=True) as engine,
            api_server.serving(engine.services),
            page_of(browser, public) as root,
            page_of(browser, public) as ada,
        ):
            await _come(root, "root")
            await expect(root.get_by_role("heading", level=1)).to_have_text("root@example.com")
            await _come(ada, "ada")
            await expect(ada.get_by_role("heading", level=1)).to_have_text("You are no member here")
            assert await serious_faults(ada) == []
            await root.goto("/settings/members")
            assert await serious_faults(root) == []
            await root.get_by_label("Address").fill("ada@example.com")
            await root.get_by_label("Role").select_option("support")
            await root.get_by_role("button", name="Invite").click()
            await expect(root.get_by_text("ada@example.com may sign in")).to_be_visible()

            await ada.goto("/sign-in")  # at the provider they are signed in still
            await ada.get_by_role("link", name="Sign in with 127.0.0.1").click()
            await ada.wait_for_url("**/webhooks")
            await ada.goto("/account")
            await expect(ada.get_by_text("deliveries:retry")).to_be_visible()
            assert await serious_faults(ada) == []

            await root.get_by_role("link", name="ada@example.com").click()
            await expect(root.get_by_role("heading", name="Signed in")).to_be_visible()
            assert await serious_faults(root) == []
            await root.get_by_role("button", name="Remove the member").click()
            await expect(root.get_by_text("signed out everywhere")).to_be_visible()
            await ada.reload()
            await expect(ada.get_by_role("heading", level=1)).to_have_text("Sign in")
