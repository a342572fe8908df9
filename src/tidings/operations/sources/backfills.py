"""Backfills: a table's present rows as events for one webhook, and how far each has come."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import ConflictError
from tidings.operations import audit
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.sources.tables import name_of
from tidings.sources import backfill, tables
from tidings.store import backfills, capture, webhooks
from tidings.store.request_role import as_owner


class Backfill(msgspec.Struct, frozen=True):
    """A backfill.

    Attributes:
        row_count: How many rows were sent.
        skipped_count: How many were left to events of their own, or went.
        estimated_rows: A guess at the whole table, when it began.
        error: Why it cannot go on for now.
    """

    id: UUID
    webhook_id: UUID
    schema: str
    table: str
    state: str
    row_count: int
    skipped_count: int
    estimated_rows: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


async def start(services: Services, table: str, webhook_id: UUID) -> Backfill:
    """Send a table's present rows to a webhook as insertions, and go on with their changes, without gap or overlap.

    Raises:
        ConflictError: One is under way.
        InvalidInputError: The table or the webhook does not allow it.
        NotFoundError: There is no such webhook.
    """
    async with services.database.transaction() as connection:
        await capture.lock(connection)
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        async with as_owner(connection):
            row = await backfill.begin(connection, webhook, name_of(table), services.clock.now())
        await tables.keep_in_step(connection, needed=name_of(table))
        await audit.note(
            services, connection, Action.BACKFILL_BEGAN, row["id"], ".".join(name_of(table)), after={"webhook_id": webhook.id}
        )
        return backfill_of(row)


async def list_backfills(services: Services, *, table: str | None = None, limit: int, offset: int = 0) -> list[Backfill]:
    """Return a page of backfills, newest first; with a table only those of it."""
    name = None if table is None else name_of(table)
    async with services.database.connection() as connection:
        rows = await backfills.list_backfills(connection, services.group_id, limit=limit, offset=offset, table=name)
    return [backfill_of(row) for row in rows]


async def read(services: Services, backfill_id: UUID) -> Backfill:
    """Return how far a backfill has come.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return backfill_of(_there(await backfills.get(connection, services.group_id, backfill_id), backfill_id))


async def cancel(services: Services, backfill_id: UUID) -> Backfill:
    """End a backfill early. What it has written is delivered.

    Raises:
        ConflictError: It is over.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        row = _there(await backfills.get(connection, services.group_id, backfill_id), backfill_id)
        if (ended := await backfills.end(connection, backfill_id, "cancelled")) is None:
            raise ConflictError(f"The backfill is {row['state']}; there is nothing to cancel.")
        name = (row["table_schema"], row["table_name"])
        await tables.keep_in_step(connection, named=[name])
        await audit.note(
            services,
            connection,
            Action.BACKFILL_CANCELLED,
            backfill_id,
            ".".join(name),
            before={"state": row["state"]},
            after={"state": "cancelled"},
        )
        return backfill_of(ended)


def _there(row: Any | None, backfill_id: UUID) -> Any:
    return there(row, f"There is no backfill {backfill_id}.")


def backfill_of(row: Any) -> Backfill:
    """Return a backfill from its row."""
    renamed = {"schema": row["table_schema"], "table": row["table_name"]}
    fields = {name: row[name] for name in Backfill.__struct_fields__ if name not in renamed}
    return Backfill(**fields, **renamed)
