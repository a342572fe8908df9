"""Tables: how they are captured. A table is named `orders`, or `sales.orders` outside `public`."""

from collections.abc import Collection
from typing import Any

import msgspec

from tidings.core.audit import Action
from tidings.core.capture import TableName, TableSettings
from tidings.core.errors import NotFoundError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.filters import OPERATIONS
from tidings.core.table_name import parse_name
from tidings.core.warned import NAMED, Warned, of_grouping
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.sources import tables
from tidings.store import capture
from tidings.store.database import Connection


class CapturedTable(msgspec.Struct, frozen=True):
    """A table that is captured, or has settings.

    Attributes:
        operations: Those that some webhook wants now.
        state: `captured`, `waiting`, `missing`, `disabled`, `stopped` or `unwanted`.
        reason: Why it is not captured; of one that is, what went wrong with a row lately.
        warnings: Of one that was changed, who hears less of it.
    """

    settings: TableSettings
    operations: list[str]
    state: str
    reason: str | None
    warnings: list[Warned] = []


def name_of(text: str) -> TableName:
    """Read a table's name: the schema before a dot, `public` without one (`core.table_name`)."""
    schema, table = parse_name(text)
    return ("public" if schema is None else schema, table)


async def list_tables(services: Services) -> list[CapturedTable]:
    """Return the tables that are captured, or have settings."""
    async with services.wide.connection() as connection:
        names = {*await capture.captured_tables(connection), *await capture.tables_with_settings(connection)}
        return list((await _captured(connection, names)).values())


async def read(services: Services, table: str) -> CapturedTable:
    """Return how a table is captured.

    Raises:
        NotFoundError: It is not captured and has no settings.
    """
    name = name_of(table)
    async with services.wide.connection() as connection:
        found = (await _captured(connection, [name])).get(name)
    return there(found, f"The table {table!r} is not captured and has no settings.")


async def change(services: Services, settings: TableSettings) -> CapturedTable:
    """Say how a table is captured. Changes committed after this are told so; none is told twice or lost meanwhile.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    async with services.wide.transaction() as connection:
        before = await _settings(connection, settings.name)
        await tables.change_settings(connection, settings)
        states: dict[str, Any] = {"before": before or TableSettings(*settings.name), "after": settings}
        name = ".".join(settings.name)
        await audit.note(services, connection, Action.TABLE_CHANGED, subject=name, is_of_group=False, **states)
        made = (await _captured(connection, [settings.name]))[settings.name]
        told = await _who_loses(connection, before or TableSettings(*settings.name), settings)
        return msgspec.structs.replace(made, warnings=told)


async def reset(services: Services, table: str) -> CapturedTable:
    """Capture a table as any other again: whole rows, into group `default`.

    Returns:
        How it is captured now, with who hears less of it. No webhook need want it any more.

    Raises:
        NotFoundError: It has no settings.
    """
    name = name_of(table)
    async with services.wide.transaction() as connection:
        await capture.lock(connection)
        before = await _settings(connection, name)
        if not await capture.remove_settings(connection, name):
            raise NotFoundError(f"The table {table!r} has no settings.")
        await tables.keep_in_step(connection, needed=name)
        await audit.note(services, connection, Action.TABLE_RESET, subject=".".join(name), is_of_group=False, before=before)
        state, _ = (await tables.states(connection, [name]))[name]
        plain = CapturedTable(TableSettings(*name), [], state.state, state.reason)
        made = (await _captured(connection, [name])).get(name, plain)
        told = await _who_loses(connection, before or TableSettings(*name), made.settings)
        return msgspec.structs.replace(made, warnings=told)


async def _who_loses(connection: Connection, before: TableSettings, after: TableSettings) -> list[Warned]:
    """Return what to tell of webhooks that heard rows which are others' now."""
    if before.group_column == after.group_column:
        return []
    if before.group_column is None:  # all rows were of one group
        found = await capture.hearers(connection, [after.name], DEFAULT_GROUP, limit=NAMED + 1)
        names = [hearer.name for hearer in found.get(after.name, ())]
    else:
        names = await capture.hearers_of_all(connection, after.name, limit=NAMED + 1)
    return of_grouping(before, after, names, are_more=len(names) > NAMED)


async def _settings(connection: Connection, name: TableName) -> TableSettings | None:
    return (await capture.settings_of(connection, [name])).get(name)


async def _captured(connection: Connection, names: Collection[TableName]) -> dict[TableName, CapturedTable]:
    """Return those of the tables that are captured, or have settings."""
    installed = await capture.installed(connection, names)
    settings = await capture.settings_of(connection, names)
    found = {}
    known = sorted({*installed, *settings})
    states = await tables.states(connection, known)
    for name in known:
        is_told = {operation for trigger in installed.get(name, ()) for operation in trigger.operations}
        operations = [operation for operation in OPERATIONS if operation in is_told]
        state, _ = states[name]
        found[name] = CapturedTable(settings.get(name, TableSettings(*name)), operations, state.state, state.reason)
    return found
