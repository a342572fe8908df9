"""Rows of the outbox that cannot be routed: found by halves, and set aside with their reasons, so that they stop nobody else.

A row that can be no event is known before anything is written (`BadRowsError`). One that PostgreSQL refuses fails its whole
batch. The next batch is half as large, and so on, until the one at fault is alone: others wait for some ten batches, not for
512 of one row each.
"""

import logging
from typing import Final

import asyncpg

from tidings.core.errors import InvalidInputError
from tidings.store import outbox, redaction
from tidings.store.database import Database, said
from tidings.worker.batches import Size
from tidings.worker.privacy import Privacy

logger = logging.getLogger("tidings.dispatcher")

# What a row that cannot be routed raises: PostgreSQL refuses it, or it does not fit what we make of it.
FAULTS: Final = (asyncpg.PostgresError, InvalidInputError, ValueError, ArithmeticError, LookupError, TypeError)


class BadRows:
    """Finds rows that cannot be routed, and sets them aside."""

    def __init__(self, database: Database, privacy: Privacy) -> None:
        self._database = database
        self._privacy = privacy

    async def narrow_down(self, size: Size, numbers: list[int], error: Exception) -> None:
        """Take fewer rows next time, or set the row at fault aside once it is known; what was told already is dropped.

        Args:
            size: Of the batch that failed; it is changed.
            numbers: Of the rows that were in it, one at least.
            error: What it failed by, one of `FAULTS`.
        """
        if isinstance(error, asyncpg.UniqueViolationError) and await self._drop_known(numbers):
            return
        at_fault = size.failed(numbers)
        if at_fault is None:
            logger.warning("a batch cannot be routed, so fewer rows are tried: %s", self._said(error))
            return
        reason = (
            f"PostgreSQL refuses it: {self._said(error)}."
            if isinstance(error, asyncpg.PostgresError)
            else f"It cannot be read: {self._said(error) if self._privacy.hiding else repr(error)}."
        )
        await self.set_aside({at_fault: reason})

    async def set_aside(self, faults: dict[int, str]) -> None:
        """Set rows aside. `faults`: the number of each, and why; one at least."""
        async with self._database.transaction() as connection:
            await self._privacy.at_least(connection, await redaction.version(connection))
            faults = await outbox.reject(connection, faults, self._privacy.box, self._privacy.hiding)
        number, reason = next(iter(faults.items()))
        logger.error("%d outbox rows cannot be routed and were set aside, the first is %d: %s", len(faults), number, reason)

    async def _drop_known(self, numbers: list[int]) -> bool:
        """Drop those rows that came from other databases and were told already; return whether there were any.

        A source whose standby took over does not know what it had packed last, and packs it again.
        """
        async with self._database.transaction() as connection:
            dropped = await outbox.drop_known(connection, numbers)
        if dropped:
            logger.warning("%d events came again from another database, and are told once", dropped)
        return dropped > 0

    def _said(self, error: Exception) -> str:
        """Return what an error says, but not PostgreSQL's sentence where rules hide values: it can hold one."""
        return type(error).__name__ if self._privacy.hiding else said(error)
