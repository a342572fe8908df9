"""Backfill: the rows a table has now, as events for one webhook, then its changes, without gap or overlap.

The naive way, to read the table beside its writers, tells some rows twice and some versions after newer ones. Our rule:

- From the transaction that begins a backfill on, the table's trigger notes the key of every row that it writes an event for.
  Making the trigger waits for open writers, so every change is either visible to the backfill or noted.
- A chunk of rows, in the order of the primary key, is locked against changes and then looked at with a new snapshot. A row
  whose change was noted has told its present state by an event of its own: it is left out. Any other is written to the outbox,
  and its later changes must wait for the chunk's commit, so their events come behind it.
- Rows that somebody is changing are not waited for (two locks held in two orders would be a deadlock, and it might be the
  user's transaction that PostgreSQL ends); they are looked at again later.
- The chunk's rows and the position behind them commit together. A process that dies loses nothing and repeats nothing.
"""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tidings.core.capture import TableName, TableSettings
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.event import DEFAULT_GROUP, Event, table_event_type
from tidings.core.filters import OPERATIONS
from tidings.core.webhook import Subscription
from tidings.store import backfills, capture, roles
from tidings.store.database import UNAVAILABLE, Connection

CHUNK = 2000  # rows; a change of one of them waits for at most one chunk, some 50 ms
MAX_WAITING = 10_000  # rows in the outbox beyond which a backfill pauses, so that what happens now is told soon


async def begin(connection: Connection, webhook: Subscription, table: TableName, now: Any) -> Any:
    """Write down a backfill, in the caller's transaction, and return its row.

    The caller then puts the triggers in step, in the same transaction.

    Raises:
        ConflictError: Another one of the table is under way, or its settings cannot be read.
        InvalidInputError: The webhook does not hear the table's insertions, or its group has no rows there; or the table has
            no primary key, or one that may be written nowhere.
    """
    shown = ".".join(table)
    found = (await capture.find_tables(connection, [table])).get(table)
    if found is None or found.refusal is not None:
        raise InvalidInputError("table", found.refusal if found and found.refusal else f"There is no table {shown}.")
    heard = tuple(operation for operation in OPERATIONS if _hears(webhook, table, operation, now))
    if "INSERT" not in heard:
        raise InvalidInputError(
            "webhook_id",
            f"The webhook {webhook.name!r} does not hear INSERTs of {shown}, which is what a backfill sends. Add "
            f'{{"table": "{table[1]}", "schema": "{table[0]}"}} to its events.',
        )
    if not webhook.enabled:
        raise InvalidInputError("webhook_id", f"The webhook {webhook.name!r} is disabled. Enable it first.")
    settings = (await capture.settings_of(connection, [table])).get(table, TableSettings(*table))
    if (why := settings.fault or settings.stop) is not None:
        raise ConflictError(why)
    if settings.group_column is None and webhook.group_id != DEFAULT_GROUP:
        raise InvalidInputError(
            "webhook_id",
            f"All rows of {shown} belong to group {DEFAULT_GROUP!r}. Set group_by for it, so that some are others'.",
        )
    keys = [column for column in await capture.columns(connection, table) if column.is_key]
    key_columns = tuple(column.name for column in keys)
    if not key_columns:
        raise InvalidInputError("table", f"{shown} has no primary key, by which a backfill finds its way. Add one.")
    if hidden := set(key_columns) & set(settings.excluded_columns):
        raise InvalidInputError(
            "table", f"A backfill remembers how far it is by the primary key of {shown}, but {min(hidden)} is excluded."
        )
    if lacking := await backfills.missing(connection, found.relation, key_columns[0]):
        raise InvalidInputError(
            "table",
            f"The database role may not read all rows of {shown} and hold them while they are written down, which is what a "
            f"backfill does. As {lacking[0].owner}, or as an administrator, run: "
            f"{roles.sentence_of([one.statement for one in lacking])}",
        )
    return await backfills.insert(
        connection,
        uuid4(),
        group_id=webhook.group_id,
        webhook_id=webhook.id,
        table=table,
        relation=found.relation,
        key_columns=key_columns,
        key_numbers=tuple(column.number for column in keys),
        heard=heard,
    )


def _hears(webhook: Subscription, table: TableName, operation: str, now: Any) -> bool:
    schema, name = table
    type_ = table_event_type(schema, name, operation)
    return webhook.wants(Event(UUID(int=0), webhook.group_id, "tables", type_, operation, None, schema, name, None, None, now))


async def work_on_next(connection: Connection) -> TableName | None:
    """Do a chunk of the backfill that has waited longest, in the caller's transaction, and return its table.

    Returns:
        None when that did not bring it on: none is running, all are in other hands, what is left is being changed by others, or
        enough waits to be routed already.
    """
    row = await backfills.claim(connection)
    if row is None or await backfills.is_outbox_full(connection, MAX_WAITING):
        return None
    table = (row["table_schema"], row["table_name"])
    try:
        async with connection.transaction():
            return table if await _chunk(connection, row, table) else None
    except UNAVAILABLE:  # a full disk or a standby is no fault of the table's
        raise
    except asyncpg.PostgresError as error:  # the table was dropped, altered, or is forbidden to us: told, and tried again
        await backfills.fail(connection, row["id"], _shown(error, table))
        return None


async def _chunk(connection: Connection, row: Any, table: TableName) -> bool:
    if not await backfills.hold_settings(connection):
        return False
    await backfills.hold_table(connection, table)
    settings = (await capture.settings_of(connection, [table])).get(table)
    if settings is not None and (why := settings.fault or settings.stop) is not None:
        await backfills.fail(connection, row["id"], why)
        return False
    if not await _has_its_key(connection, row, table):
        why = f"{'.'.join(table)} is another table now, or its primary key was renamed or changed. Begin the backfill anew."
        await backfills.stop(connection, row["id"], why)
        return True
    keys = await backfills.next_keys(connection, row, CHUNK)
    again = [] if keys else await backfills.busy_keys(connection, row, CHUNK)
    if not keys and not again:
        await backfills.end(connection, row["id"], "finished")
        return True
    told, skipped, busy = await backfills.tell(connection, row, settings, keys or again)
    if keys:
        await backfills.put_busy(connection, row, busy)
    else:
        await backfills.remove_busy(connection, row, sorted(set(again) - set(busy)))
    await backfills.advance(connection, row, position=keys[-1] if keys else row["position"], told=told, skipped=skipped)
    return bool(keys) or len(busy) < len(again)


async def _has_its_key(connection: Connection, row: Any, table: TableName) -> bool:
    """Tell whether a backfill's position still means what it did."""
    found = (await capture.find_tables(connection, [table])).get(table)
    if found is None or found.relation != row["relation"]:
        return False
    now = [(column.name, column.number) for column in await capture.columns(connection, table) if column.is_key]
    return now == list(zip(row["key_columns"], row["key_numbers"] or (), strict=False))


def _shown(error: asyncpg.PostgresError, table: TableName) -> str:
    """Return an error without values: a type's own function may have put the row into its sentence."""
    if isinstance(
        error, asyncpg.SyntaxOrAccessError | asyncpg.ObjectNotInPrerequisiteStateError | asyncpg.LockNotAvailableError
    ):
        return f"{type(error).__name__}: {error}"  # of names and rights
    return f"PostgreSQL could not read rows of {'.'.join(table)}: {type(error).__name__} ({error.sqlstate})."
