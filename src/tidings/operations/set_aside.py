"""Events that could not be routed: rows of the outbox, set aside with the reason, until somebody routes them again or discards
them. They are the installation's: what cannot be read may belong to no group at all.
"""

from datetime import datetime
from typing import Any

import msgspec

from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import outbox, set_aside

MAX_NUMBER = 2**63 - 1


class SetAside(msgspec.Struct, frozen=True):
    """A row that was set aside.

    Attributes:
        number: By which it is asked for.
        reason: Why it could not be routed.
        row: The row as JSON text; None in lists.
    """

    number: int
    group_id: str | None
    source: str | None
    type: str | None
    schema: str | None
    table: str | None
    operation: str | None
    reason: str
    at: datetime
    row: str | None = None


async def list_rows(services: Services, *, limit: int, before: int | None = None) -> list[SetAside]:
    """Return a page of what was set aside, newest first.

    Args:
        before: Only what has a smaller number.
    """
    last = None if before is None else max(min(before, MAX_NUMBER), 0)
    async with services.database.connection() as connection:
        return [_row(found) for found in await set_aside.list_rows(connection, limit=limit, before=last)]


async def read(services: Services, number: int) -> SetAside:
    """Return what was set aside under a number, with the row.

    Raises:
        NotFoundError: There is nothing.
    """
    async with services.database.connection() as connection:
        found = there(await set_aside.get(connection, min(number, MAX_NUMBER)), _nothing(number))
    return _row(found, found["row_as_json"])


async def route_again(services: Services, number: int) -> None:
    """Put a row back among those that are routed. When its reason still holds, it is set aside again, under another number.

    Raises:
        ConflictError: It cannot be read as a row of the outbox.
        NotFoundError: There is nothing under that number.
    """
    async with services.database.transaction() as connection:
        there(await set_aside.route_again(connection, min(number, MAX_NUMBER)) or None, _nothing(number))
        await outbox.ring(connection)


async def discard(services: Services, number: int) -> None:
    """Delete a row for good: its event is told to nobody.

    Raises:
        NotFoundError: There is nothing under that number.
    """
    async with services.database.transaction() as connection:
        there(await set_aside.discard(connection, min(number, MAX_NUMBER)) or None, _nothing(number))


def _nothing(number: int) -> str:
    return f"Nothing is set aside under {number}; it was routed again or discarded."


def _row(found: Any, text: str | None = None) -> SetAside:
    return SetAside(
        found["id"],
        found["group_id"],
        found["source"],
        found["type"],
        found["table_schema"],
        found["table_name"],
        found["operation"],
        found["error"],
        found["rejected_at"],
        text,
    )
