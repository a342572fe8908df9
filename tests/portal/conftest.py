"""A served portal, and a browser that looks at it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import chromium, page_of, sign_in
from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.serving import ApiServer
from tidings.config import Config

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this process."""
    async with chromium() as running:
        yield running


@pytest.fixture
async def engine(config: Config) -> AsyncIterator[Engine]:
    """A running engine on a database of its own."""
    async with engine_of(config, running=True) as running:
        yield running


@pytest.fixture
async def portal(engine: Engine, api_server: ApiServer) -> AsyncIterator[str]:
    """The URL at which the portal is served."""
    async with api_server.serving(engine.services) as url:
        yield url


@pytest.fixture
async def page(browser: Browser, portal: str) -> AsyncIterator[Page]:
    """A page of a browser that is not signed in."""
    async with page_of(browser, portal) as opened:
        yield opened


@pytest.fixture
async def signed_in(page: Page) -> Page:
    """A page of a browser that is signed in, on the first page."""
    await sign_in(page)
    return page
