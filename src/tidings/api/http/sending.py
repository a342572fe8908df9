"""Answers of the doors that stand before the framework: JSON, sent as ASGI has it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


async def send_json(
    send: Callable[[dict[str, Any]], Awaitable[None]],
    status: int,
    body: Any,
    headers: Mapping[str, str],
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send an answer, whole.

    Args:
        headers: Besides its type and length, which they may replace.
        more: Lines of the head that are sent as they are.
    """
    text = _encode(body)
    named = {"content-type": "application/json", "content-length": str(len(text)), **headers}
    lines = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*lines, *more]})
    await send({"type": "http.response.body", "body": text, "more_body": False})
