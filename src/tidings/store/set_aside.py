"""What could go no further, set aside with the reason: rows of the outbox and of the queue, flights of other databases."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from tidings.core import cargo
from tidings.core.cargo import CargoError, ForeignEventError, check_carried, check_origin
from tidings.core.delivery import Delivery
from tidings.core.errors import ConflictError, StartupError
from tidings.core.fleet import is_of_home
from tidings.store import erasures, outbox, relay
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("set_aside")

MAX_SHOWN_BYTES = 1_000_000  # of a row; a larger one is not shown
MAX_REASON_LENGTH = 1000  # characters


async def list_rows(connection: Connection, *, limit: int, before: int | None) -> list[Any]:
    """Return a page of the rows, newest first, without what is in them."""
    rows: list[Any] = await connection.fetch(_SQL["list"], before, limit)
    return rows


async def get(connection: Connection, number: int) -> Any | None:
    """Return a row with all that is in it, unless that is too much to be shown."""
    return await connection.fetchrow(_SQL["get"], number, MAX_SHOWN_BYTES)


async def try_again(connection: Connection, number: int, box: SecretBox) -> str | None:
    """Put a row back into the outbox or the queue, and land a flight; return of which kind it is, or None when there is none.

    Raises:
        ConflictError: It cannot be read as what it is said to be, its source may not make it, its webhook was deleted, or its
            group has an erasure under way.
    """
    row = await connection.fetchrow(_SQL["kind"], number)
    if row is None:
        return None
    kind: str = row["kind"]
    if row["group_id"] is not None:
        await erasures.refuse_while_erasing(connection, row["group_id"])
    try:
        if kind == "flight":
            await _land(connection, number)
            return kind
        if kind == "event":
            if row["origin"] is not None and not is_of_home(row["origin"]):
                check_origin(row["source"], row["type"], is_for_one=row["webhook_id"] is not None)
            routed = await connection.fetchval(_SQL["route_again"], number)
            if row["sealed"] is not None:
                await outbox.put_records(connection, routed, *outbox.unsealed(box, row["sealed"], number))
            return kind
        await connection.execute(_SQL["lock_lane"], UUID(row["webhook_id"] or ""))
        back = await connection.fetchval(_SQL["deliver_again"], number)
    except StartupError as error:
        raise ConflictError(
            "The row cannot be put back: its records were sealed under another SECRET_KEY. Discard it."
        ) from error
    except (CargoError, ForeignEventError, relay.TooManyGroupsError) as error:
        raise ConflictError(f"It cannot be routed: {str(error).rstrip('.')}. Discard it.") from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError) as error:
        raise ConflictError(f"The row cannot be put back: {error}. Publish what it says anew, and discard it.") from error
    if back is None:
        raise ConflictError("The row cannot be put back: its webhook was deleted. Discard it.")
    return kind


async def _land(connection: Connection, number: int) -> None:
    """Put the events of a flight into the outbox, all or none, as if it had come by the stream just now."""
    row = await connection.fetchrow(_SQL["take_flight"], number)
    sender, packed = row["sender"], base64.b64decode(row["cargo"])
    found = await asyncio.to_thread(cargo.opened, packed)
    for event in found.events:
        check_carried(event, is_of_home=is_of_home(sender))
    for group_id in sorted({event.group_id for event in found.events}):
        await erasures.refuse_while_erasing(connection, group_id)
    await relay.bring(connection, found.events, cargo.origin_of(sender, found), found.placed_by)


async def put_deliveries(connection: Connection, deliveries: Mapping[Delivery, str]) -> None:
    """Set leased deliveries aside, each with the reason; the attempt under way counts as made."""
    given = list(deliveries)
    await connection.execute(
        _SQL["put_deliveries"],
        [each.id for each in given],
        [each.webhook_id for each in given],
        [each.event_id for each in given],
        [each.group_id for each in given],
        [each.is_test for each in given],
        [each.attempt_number for each in given],
        [deliveries[each][:MAX_REASON_LENGTH] for each in given],
    )


async def put_flight(connection: Connection, flight_id: int, reason: str) -> int:
    """Set aside all that a flight holds, and end it; return how many deliveries that were."""
    return len(await connection.fetch(_SQL["put_flight"], flight_id, reason[:MAX_REASON_LENGTH]))


async def discard(connection: Connection, number: int) -> bool:
    """Delete a row for good; whether there was one."""
    return await connection.fetchval(_SQL["discard"], number) is not None


async def count(connection: Connection, *, limit: int) -> int:
    """Return how many rows there are, so many at most."""
    found: int = await connection.fetchval(_SQL["count"], limit)
    return found


async def counts(connection: Connection, *, limit: int) -> dict[str, int]:
    """Return how many things of each kind are set aside, so many of each at most."""
    rows: Sequence[Any] = await connection.fetch(_SQL["counts"], limit)
    return {row["kind"]: row["count"] for row in rows}
