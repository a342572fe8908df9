"""What the last look at the installation found, shared by all who ask at the same time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from tidings.core.diagnosis import Problem

FRESH_SECONDS: Final = 1.0  # for which one look serves everybody who asks

Look = Callable[[], Coroutine[Any, Any, list[Problem]]]
T = TypeVar("T")


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


class OneAtATime(Generic[T]):
    """A reading that all who ask at the same time share, and nobody waits for longer than is said.

    It is not called off when it takes longer: a connection that is silent is given back only once the system has given it up,
    and whoever asks meanwhile would call off, and wait for, one more of them each time.
    """

    def __init__(self) -> None:
        self._reading: asyncio.Task[T] | None = None

    async def within(self, seconds: float, read: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Return what is read; None: it did not come in time.

        Raises:
            Exception: What the reading met.
        """
        reading = self._reading
        if reading is None:
            reading = self._reading = asyncio.create_task(read())
            reading.add_done_callback(self._ended)
        done, _ = await asyncio.wait({reading}, timeout=seconds)
        return reading.result() if done else None

    def _ended(self, reading: asyncio.Task[T]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # whoever waited has it; nobody may have
