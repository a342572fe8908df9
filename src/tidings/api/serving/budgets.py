"""How many requests are worked on at once, by door: notices, bins, pages and calls must not take the event loop from each
other, nor from deliveries. What is beyond is told to come again, at once, which costs next to nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tidings.api.serving.entrance import REFUSED

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

AT_ONCE = {"api": 256, "notices": 64, "bins": 64}  # what one process works on, beside what waits for a client's bytes
RETRY_AFTER_SECONDS = 1
_DOORS = (("/in/", "notices"), ("/bin/", "bins"))
_WATCHED = frozenset({"/healthz", "/readyz"})  # whoever asks these needs the truth most when there is too much to do

_BODY = msgspec.json.encode(
    {"error": "There is too much to do at this moment; nothing was done. Try again.", "code": "TOO_BUSY"}
)


class Budgets:
    """The application, with bounds on how much of it is asked for at once."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._under_way = dict.fromkeys(AT_ONCE, 0)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or say that there is too much to do."""
        if scope["type"] != "http" or scope["path"] in _WATCHED:
            await self._app(scope, receive, send)
            return
        door = next((door for start, door in _DOORS if scope["path"].startswith(start)), "api")
        under_way = self._under_way
        if under_way[door] >= AT_ONCE[door]:
            REFUSED.labels(f"busy_{door}").inc()
            await _refuse(send)
            return

        # Who waits for a client's bytes, or for a client to read, takes no place: slow clients would take them all.
        async def received() -> Message:
            under_way[door] -= 1
            try:
                return await receive()
            finally:
                under_way[door] += 1

        async def sent(message: Message) -> None:
            under_way[door] -= 1
            try:
                await send(message)
            finally:
                under_way[door] += 1

        under_way[door] += 1
        try:
            await self._app(scope, received, sent)
        finally:
            under_way[door] -= 1


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BODY)).encode()),
        (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY, "more_body": False})
