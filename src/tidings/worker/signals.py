"""Waiting for something to happen, or for time to pass."""

import asyncio


class Signal:
    """An event that can be waited for with a limit."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    def clear(self) -> None:
        """Forget that it was set."""
        self._event.clear()

    @property
    def is_set(self) -> bool:
        """Whether it was set since it was last cleared."""
        return self._event.is_set()

    async def wait(self, limit: float | None = None) -> bool:
        """Wait until it is set, at most `limit` seconds; tell whether it was."""
        try:
            async with asyncio.timeout(limit):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
