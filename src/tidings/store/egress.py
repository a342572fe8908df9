"""Narrowings of groups as rows, and how workers are told of them."""

from datetime import datetime
from typing import Any

import msgspec

from tidings.core.errors import ConflictError, TidingsError
from tidings.core.narrowing import Narrowing, NarrowingForm, parse_narrowing
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("egress")


def read_narrowing(text: str | None) -> Narrowing | None:
    """Return a narrowing as it is stored; None: there is none.

    Raises:
        InvalidInputError: It cannot be read.
        msgspec.MsgspecError: It is nothing of the kind.
    """
    return None if text is None else parse_narrowing(msgspec.json.decode(text, type=NarrowingForm))


async def narrowing_of(connection: Connection, group_id: str) -> Narrowing | None:
    """Return the narrowing of a group.

    Raises:
        ConflictError: It cannot be read: then nobody knows what the group may call.
    """
    try:
        return read_narrowing(await connection.fetchval(_SQL["get_narrowing"], group_id))
    except (TidingsError, msgspec.MsgspecError) as error:
        raise ConflictError(
            f"What the group {group_id!r} may call cannot be read ({error}). Write anew what the group may call."
        ) from error


async def list_narrowings(connection: Connection, *, after: str, limit: int) -> list[Any]:
    """Return a page of narrowings as rows, in order of their groups."""
    rows: list[Any] = await connection.fetch(_SQL["list_narrowings"], after, limit)
    return rows


async def put_narrowing(connection: Connection, group_id: str, narrowing: Narrowing | None, now: datetime) -> None:
    """Write the narrowing of a group, or take it away, and tell workers: the last statements of a transaction."""
    if narrowing is None:
        await connection.execute(_SQL["delete_narrowing"], group_id)
    else:
        await connection.execute(_SQL["put_narrowing"], group_id, msgspec.json.encode(narrowing.form).decode(), now)
    await connection.execute(_SQL["hold_routes"])
    await connection.execute(_SQL["tell_of_group"], group_id)
