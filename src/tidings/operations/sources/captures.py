"""How tables are doing: captured or not and why, for which webhooks, and how far a backfill of each is."""

from collections.abc import Sequence

import msgspec

from tidings.core.capture import TableName, TableSettings
from tidings.core.filters import OPERATIONS
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.operations.sources.backfills import Backfill, backfill_of
from tidings.operations.sources.tables import name_of
from tidings.sources import tables
from tidings.store import backfills, capture
from tidings.store.capture import Column, Hearer
from tidings.store.database import Connection
from tidings.store.request_role import as_owner

MAX_HEARERS = 100  # webhooks of a table that are named
_OF_LIST = 4  # of them in a list: three are shown, and whether there are more


class Capture(msgspec.Struct, frozen=True):
    """How a table is doing.

    Attributes:
        state: `captured`, `waiting`, `missing`, `disabled`, `stopped`, or `unwanted`: no webhook names it.
        reason: Why it is not captured; of one that is, what went wrong with a row lately.
        operations: Those that any webhook wants of it.
        is_shaped: It is captured otherwise than whole, by settings of its own.
        hearers: Webhooks of the group that name it.
        backfill: The last one.
    """

    settings: TableSettings
    state: str
    reason: str | None
    operations: tuple[str, ...]
    is_shaped: bool
    hearers: tuple[Hearer, ...]
    backfill: Backfill | None


class CaptureDetail(msgspec.Struct, frozen=True):
    """A table with its columns and its backfills, newest first."""

    capture: Capture
    columns: tuple[Column, ...]
    backfills: tuple[Backfill, ...]


async def list_captures(services: Services, *, limit: int, offset: int = 0) -> list[Capture]:
    """Return a page of the tables that webhooks name, that carry our triggers or have settings, in order of their names."""
    async with services.database.transaction() as connection:
        async with as_owner(connection):
            names = {
                *await capture.subscribed_tables(connection),
                *await capture.captured_tables(connection),
                *await capture.tables_with_settings(connection),
            }
        return await _read(services, connection, sorted(names)[offset : offset + limit], hearer_count=_OF_LIST)


async def read(services: Services, table: str, *, limit: int = 20) -> CaptureDetail:
    """Return how a table is doing, with its last backfills.

    Raises:
        NotFoundError: There is no such table, and none was named so.
    """
    name = name_of(table)
    async with services.database.transaction() as connection:
        async with as_owner(connection):
            exists = name in await capture.find_tables(connection, [name])
        found = await _read(services, connection, [name], hearer_count=MAX_HEARERS)
        is_known = exists or found[0].state != "missing" or found[0].is_shaped or found[0].operations
        there(
            is_known or None, f"There is no table {table!r}. Tables outside public are named with their schema: sales.orders."
        )
        columns = tuple(await capture.columns(connection, name)) if exists else ()
        rows = await backfills.list_backfills(connection, services.group_id, limit=limit, offset=0, table=name)
    return CaptureDetail(found[0], columns, tuple(map(backfill_of, rows)))


async def uncaptured(connection: Connection, *, are_elsewhere: bool) -> list[TableName]:
    """Return the tables that webhooks name and that carry no trigger of ours, or whose settings do not fit them any more.

    Args:
        are_elsewhere: Tables can be in other databases (`Services.are_tables_elsewhere`): none is told of that is not here.
    """
    wanted, captured = await capture.subscribed_tables(connection), await capture.captured_tables(connection)
    settings = await capture.settings_of(connection, wanted)
    lacking = set(wanted) - set(captured)
    if are_elsewhere:
        lacking &= set(await capture.find_tables(connection, lacking))
    return sorted(lacking | {name for name, own in settings.items() if own.stop is not None})


async def _read(services: Services, connection: Connection, names: Sequence[TableName], *, hearer_count: int) -> list[Capture]:
    if not names:
        return []
    states = await tables.states(connection, names)
    async with as_owner(connection):
        settings = await capture.settings_of(connection, names)
    hearers = await capture.hearers(connection, names, services.group_id, limit=hearer_count)
    rows = await backfills.last_of_tables(connection, names, services.group_id)
    last = {(row["table_schema"], row["table_name"]): backfill_of(row) for row in rows}
    return [
        Capture(
            settings=settings.get(name, TableSettings(*name)),
            state=state.state,
            reason=state.reason,
            operations=tuple(operation for operation in OPERATIONS if operation in wanted),
            is_shaped=name in settings,
            hearers=tuple(hearers.get(name, ())),
            backfill=last.get(name),
        )
        for name, (state, wanted) in states.items()
    ]
