"""How a duty goes on after what met it: `worker.duties.every`."""

import asyncio
import logging

import asyncpg
import pytest

from tidings.core.errors import BusyError
from tidings.worker.duties import every
from tidings.worker.signals import Signal


class _Met:
    """A duty that meets one thing after the other, and then is told to stop."""

    def __init__(self, *met: Exception) -> None:
        self._met = iter(met)
        self.stopping = Signal()

    async def run_once(self) -> None:
        if (error := next(self._met, None)) is not None:
            raise error
        self.stopping.set()


@pytest.mark.parametrize(
    "error",
    [
        BusyError("Another process is changing triggers. Try again."),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_short_for_a_moment_ends_no_duty_and_is_no_error(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    duty = _Met(error)
    with caplog.at_level(logging.DEBUG, "tidings"):
        await asyncio.wait_for(every(0.0, duty, duty.stopping), 60)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
