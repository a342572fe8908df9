"""What stands between us and whoever asks: requests as the first of the proxies had them (`core.reached`)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tidings.core.reached import Network, peer_of

logger = logging.getLogger("tidings.api")

Scope = dict[str, Any]
_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"


class BehindProxies:
    """An application that is asked by proxies, and by those whom nobody believes what they say of others."""

    def __init__(self, app: Any, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._has_told = False

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            forwarded = [value for name, value in scope["headers"] if name == _FOR]
            if self._trusted:
                scope = self._seen_through(scope, forwarded)
            elif forwarded and not self._has_told:
                self._tell(scope)
        await self._app(scope, receive, send)

    def _seen_through(self, scope: Scope, forwarded: list[bytes]) -> Scope:
        client = scope.get("client")
        proto = b",".join(value for name, value in scope["headers"] if name == _PROTO)
        peer = peer_of(
            client[0] if client else "", b",".join(forwarded).decode("latin-1"), proto.decode("latin-1"), self._trusted
        )
        if client and peer.address != client[0]:
            scope["client"] = (peer.address, 0)
        if peer.scheme:
            scope["scheme"] = peer.scheme
        return scope

    def _tell(self, scope: Scope) -> None:
        self._has_told = True
        client = scope.get("client")
        logger.warning(
            "a proxy at %s says whom it asks for and is not believed: all who come by it count as one address. "
            "If it is yours, name it in TIDINGS_TRUSTED_PROXIES.",
            client[0] if client else "an unknown address",
        )
