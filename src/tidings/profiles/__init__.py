"""How an event looks on one receiver's wire. Pure: `render(event, webhook, ...) -> Request`."""

from collections.abc import Callable
from typing import Final

from tidings.profiles import standard
from tidings.profiles.request import Rendering, Request

Render = Callable[[Rendering], Request]

PROFILES: Final[dict[str, Render]] = {"standard": standard.render}

__all__ = ["PROFILES", "Render", "Rendering", "Request"]
