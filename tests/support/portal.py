"""A browser without a screen, for tests of the portal's pages over HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.engine import Engine
from tests.support.limits import PATIENCE

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INLINE = r"<script(?![^>]*\bsrc=)|<style|<[^>]*\sstyle=|<[a-z][^>]*\son\w+=|(?:href|src|action)=\"\s*javascript:"


class Visitor:
    """A browser without a screen."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine) -> None:
        self.client = client
        self.engine = engine

    async def get(self, path: str, expect: int = 200, **headers: str) -> httpx.Response:
        response = await self.client.get(path, headers=headers)
        assert response.status_code == expect, response.text[:500]
        assert re.findall(INLINE, response.text) == []
        return response

    async def csrf(self, path: str) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await self.get(path)).text)
        assert found
        return found[1]

    async def send(self, path: str, fields: dict[str, Any], expect: int = 303, *, of: str = "/sign-out") -> httpx.Response:
        """Send a form with the token that a page holds."""
        sent = {"csrf": await self.csrf(of)} | fields
        origin = str(self.client.base_url).rstrip("/")
        response = await self.client.post(path, data=sent, headers={"Origin": origin})
        assert response.status_code == expect, response.text.partition("<main")[2][:2500] or response.text[:2000]
        return response

    async def sign_in(self) -> None:
        await self.send("/sign-in", {"key": "test", "to": "/"}, of="/sign-in")


@asynccontextmanager
async def visiting(engine: Engine, url: str, **headers: str) -> AsyncIterator[Visitor]:
    """A browser that knows nobody."""
    async with httpx.AsyncClient(base_url=url, headers=HTML | headers, timeout=PATIENCE) as client:
        yield Visitor(client, engine)
