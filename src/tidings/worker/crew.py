"""Duties that run beside each other: begun by name, and told of when one dies."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

logger = logging.getLogger("tidings.worker")

AGAIN_SECONDS = 1.0  # after which a task that goes on is told again to end


class Crew:
    """Tasks of one process that live and end together.

    A duty that dies of an error that it does not know ends nobody by itself: `on_failed` is called, once for each, after a line
    in the log that has the cause.
    """

    def __init__(self, whose: str, on_failed: Callable[[], None] = lambda: None, logger: logging.Logger = logger) -> None:
        """Make it. `whose`: what stops when a duty dies, for the log."""
        self._whose = whose
        self._on_failed = on_failed
        self._logger = logger
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, duty: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Begin a duty."""
        task = asyncio.create_task(duty, name=name)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)
        return task

    async def until(self, *ends: Coroutine[Any, Any, Any]) -> None:
        """Wait until a duty has ended, or one of these is over; what one of these raises is raised."""
        waits = [asyncio.create_task(end) for end in ends]
        try:
            await asyncio.wait([*self._tasks, *waits], return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                if wait.done():
                    wait.result()
        finally:
            for wait in waits:
                wait.cancel()

    def named(self, *names: str) -> list[asyncio.Task[None]]:
        """Return the duties of these names."""
        return [task for task in self._tasks if task.get_name() in names]

    @property
    def has_begun(self) -> bool:
        """Whether there are any."""
        return bool(self._tasks)

    async def settle(self, seconds: float) -> None:
        """Wait until all have ended, having been told to; those that do not in time are cancelled."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            self._logger.warning("%s did not stop in time", task.get_name())
            task.cancel()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.critical("%s died; %s", task.get_name(), self._whose, exc_info=error)
            self._on_failed()


async def ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended.

    One that waits for what comes in that very moment may not hear of it (`asyncio.wait_for` before Python 3.12), and go on.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_SECONDS)
