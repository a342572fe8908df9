"""The demo's calls to the API, over HTTP as anyone would make them."""

import asyncio
import urllib.request
from typing import Any, Final

import msgspec

TIMEOUT: Final = 30.0  # seconds
# It is on this machine: a proxy that the environment names would look for it on its own.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoClient:
    """As much of a client as the demo needs."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    async def create_webhook(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Create a webhook and return it, its secret included."""
        return await asyncio.to_thread(self._post, "/api/v1/webhooks", fields)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own URL
            self._url + path,
            data=msgspec.json.encode(body),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            method="POST",
        )
        with _opener.open(request, timeout=TIMEOUT) as response:
            answer: dict[str, Any] = msgspec.json.decode(response.read())
            return answer
