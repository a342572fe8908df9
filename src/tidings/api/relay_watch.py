"""What the relay of a source answers to machines that watch it: `/healthz`, `/readyz`, `/metrics`."""

from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY

from tidings.api.routes.health import Told, database_up

_TEXT = "text/plain; charset=utf-8"


class Source(Protocol):
    """What is known of a source, without asking anybody."""

    @property
    def is_database_up(self) -> bool:
        """Whether its database answers."""

    def why_not_ready(self) -> list[str]:
        """Say, in sentences, what keeps events from going on."""


class RelayWatch:
    """An application that answers them and nothing else; `serving.watching` lets nothing else come here."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        status, kind, body = self._answer(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            registry = CollectorRegistry()
            registry.register(Told([database_up(is_up=self._source.is_database_up)]))
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry) + generate_latest(REGISTRY)
        if path == "/healthz":
            return 200, _TEXT, b"ok"
        problems = self._source.why_not_ready()
        return (503, _TEXT, " ".join(problems).encode()) if problems else (200, _TEXT, b"ready")
