"""The address that metrics have for themselves: nothing else is answered there, and that without a key."""

from typing import Any

from tidings.api.http.access import OWN_ADDRESS

PATHS = frozenset({"/metrics", "/healthz", "/readyz"})


class Watching:
    """The application, as far as those may see it who watch it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request that may come here."""
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._app(scope | {OWN_ADDRESS: True}, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
