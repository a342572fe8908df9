"""What the relay of a source answers to machines that watch it: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import REGISTRY

_TEXT = "text/plain; charset=utf-8"


class RelayWatch:
    """An application that answers them and nothing else; `serving.watching` lets nothing else come here."""

    def __init__(self, why_not_ready: Callable[[], list[str]]) -> None:
        """Make it. `why_not_ready`: says, in sentences, what keeps events from going on."""
        self._why_not_ready = why_not_ready

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        status, kind, body = self._answer(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
        if path == "/healthz":
            return 200, _TEXT, b"ok"
        problems = self._why_not_ready()
        return (503, _TEXT, " ".join(problems).encode()) if problems else (200, _TEXT, b"ready")
