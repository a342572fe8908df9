"""What the last look at the installation found, shared by all who ask at the same time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tidings.core.diagnosis import Problem

FRESH_SECONDS = 1.0  # for which one look serves everybody who asks

Look = Callable[[], Coroutine[Any, Any, list[Problem]]]


class Readiness:
    """Asking is open to all and costs nothing: there is one look a second, however many ask."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._looked_at = float("-inf")
        self._look: asyncio.Task[list[Problem]] | None = None

    async def share(self, look: Look) -> list[Problem]:
        """Return what a look finds, or found a moment ago."""
        if time.monotonic() - self._looked_at < FRESH_SECONDS:
            return self._found
        if self._look is None:
            self._look = asyncio.create_task(self._take(look))
        return await asyncio.shield(self._look)

    async def _take(self, look: Look) -> list[Problem]:
        try:
            self._found = await look()
            self._looked_at = time.monotonic()
            return self._found
        finally:
            self._look = None
