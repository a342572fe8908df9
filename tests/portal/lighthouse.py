"""Every page of the portal as Lighthouse sees it, signed in, on a desk and on a phone: `make lighthouse`, or
`make lighthouse PAGES=overview,delivery` of some.

Not a part of `make test`: it takes minutes, and what it says of speed holds for a machine that does nothing else.
"""

import asyncio
import json
import os
import subprocess
from typing import Any

import httpx

from tests.portal.test_history import PAGES as HISTORY
from tests.portal.test_history import an_hours_work
from tests.portal.test_sources_and_settings import PAGES as SOURCES_AND_SETTINGS
from tests.portal.test_sources_and_settings import furnish
from tests.support.browser import ROOT, find_chromium
from tests.support.engine import Engine
from tests.support.portal import visiting
from tests.support.receiver import Receiver
from tidings.core.brand import Brand
from tidings.operations import portal_links

LOOK = ROOT / "tools" / "lighthouse" / "look.mjs"
GOAL = 95  # of a hundred, to be passed: performance, accessibility, best practices


async def test_pages_about_history_and_webhooks(engine: Engine, portal: str, receiver: Receiver) -> None:
    needs = await an_hours_work(engine, receiver)
    found = await _look(portal, {"sign-in": "/sign-in"}, "")
    pages = {**HISTORY, "webhook-new": "/webhooks/new"}
    found += await _look(
        portal, {name: path.format_map(needs) for name, path in pages.items()}, await _operator(engine, portal)
    )
    _judge(found)


async def test_pages_about_sources_and_settings_and_a_customers(engine: Engine, portal: str, receiver: Receiver) -> None:
    needs = await furnish(engine, receiver)
    pages = {**SOURCES_AND_SETTINGS, "gallery": "/gallery"}
    found = await _look(portal, {name: path.format_map(needs) for name, path in pages.items()}, await _operator(engine, portal))
    host, brand = portal.removeprefix("http://"), Brand("Acme", None, "#1f5f43")
    made = await portal_links.create(engine.services, "customer", scheme="http", host=host, brand=brand)
    async with visiting(engine, portal) as customer:
        await customer.client.get(made.url)
        found += await _look(portal, {"customer": "/home"}, _cookie(customer.client))
    _judge(found)


async def _operator(engine: Engine, portal: str) -> str:
    async with visiting(engine, portal) as visitor:
        await visitor.sign_in()
        return _cookie(visitor.client)


def _cookie(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)


async def _look(url: str, pages: dict[str, str], cookie: str) -> list[dict[str, Any]]:
    """Return what was seen of each page."""
    process = await asyncio.create_subprocess_exec("node", LOOK, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if only := os.environ.get("PAGES"):
        pages = {name: path for name, path in pages.items() if name in only.split(",")}
    asked = {"chromium": find_chromium(), "cookie": cookie, "pages": {name: url + path for name, path in pages.items()}}
    output, _ = await process.communicate(json.dumps(asked).encode())
    assert process.returncode == 0
    found = [json.loads(line) for line in output.splitlines()]
    for one in found:
        one["meant"] = asked["pages"][one["page"]]
    return found


def _judge(found: list[dict[str, Any]]) -> None:
    """Print a line for each page: performance, accessibility and best practices on a desk, and on a phone; none may be low."""
    print("\n| page | desktop | mobile |\n|---|---|---|")
    scores = {(one["page"], one["device"]): " / ".join(map(str, one["scores"])) for one in found}
    for page in dict.fromkeys(one["page"] for one in found):
        print(f"| {page} | {scores[page, 'desktop']} | {scores[page, 'mobile']} |")
    low = {
        f"{one['page']}, {one['device']}": (one["scores"], one["below"], one.get("error"))
        for one in found
        if min(one["scores"]) <= GOAL
    }
    assert low == {}
    assert [(one["shown"], one["meant"]) for one in found if one["shown"] != one["meant"]] == []
