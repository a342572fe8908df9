"""How a server ends that strangers hold connections to: in bounded time, and without a word for each of them.

What is asked for whole is answered. A body that is still on its way has a second; then its client is told to try again. An
answer that takes longer than `GRACE_SECONDS` is cut off. uvicorn would cancel each with a traceback.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn

from tidings.api.serving.entrance import Entrance

STOP_SECONDS: Final = 1.0  # that a body has to come to its end
GRACE_SECONDS: Final = 5  # that answers have
_LAST_SECONDS: Final = 1.0  # that those have to end which were cut off


async def unless_stopped(app: Any, cut_off: Callable[[], None], scope: Any, receive: Any, send: Any) -> None:
    """Have an application answer; when it is cancelled, nobody is told why by an error: `cut_off` ends the connection."""
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:  # it is the whole of a task, and nobody waits for it but the server, which has given up
        cut_off()


class StoppingServer(uvicorn.Server):
    """uvicorn that waits for what it cut off, and sums it up in a line."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_LAST_SECONDS)
        entrance: Entrance = self.config.http.keywords["entrance"]  # type: ignore[union-attr]
        entrance.close()
