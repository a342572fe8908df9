"""`/api/v1/tables`: how tables are captured, and their rows as events (backfill)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.core.capture import TableName, TableSettings
from tidings.core.errors import ConflictError, NotFoundError
from tidings.core.webhook import OPERATIONS
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.sources import backfill, tables
from tidings.store import backfills, capture, webhooks
from tidings.store.database import Connection


class CaptureChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a table is to be captured; what is left out is as for any table.

    Attributes:
        when: An SQL condition on NEW and OLD for all operations, or one for each.
    """

    group_by: str | None = None
    unknown_groups: str = "make"
    exclude: list[str] = []
    rename: dict[str, str] = {}
    changed: list[str] = []
    when: str | dict[str, str] = {}


class TableView(msgspec.Struct, frozen=True):
    """A table that is captured, or has settings. `operations`: those that some webhook wants now.

    `fault`: why its settings cannot be read as they are stored; its triggers stay as they are until they are written anew.
    """

    schema: str
    table: str
    operations: list[str]
    group_by: str | None
    unknown_groups: str
    exclude: list[str]
    rename: dict[str, str]
    changed: list[str]
    when: dict[str, str]
    fault: str | None


class NewBackfill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which webhook."""

    webhook_id: UUID


class BackfillView(msgspec.Struct, frozen=True):
    """A backfill as read.

    `row_count` rows were sent, `skipped_count` were left to events of their own, or went. `estimated_rows`: a guess
    at the whole table, when it began. `error`: why it cannot go on for now.
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


def _named(text: str) -> TableName:
    """Read a table's name in a path: the schema before a dot, `public` without one."""
    schema, dot, table = text.partition(".")
    return (schema, table) if dot else ("public", text)


async def _views(connection: Connection, names: Collection[TableName]) -> dict[TableName, TableView]:
    """Return those of the tables that are captured, or have settings."""
    installed = await capture.installed(connection, names)
    settings = await capture.settings_of(connection, names)
    views = {}
    for name in sorted({*installed, *settings}):
        is_told = {operation for trigger in installed.get(name, ()) for operation in trigger.operations}
        own = settings.get(name, TableSettings(*name))
        views[name] = TableView(
            *name,
            operations=[operation for operation in OPERATIONS if operation in is_told],
            group_by=own.group_column,
            unknown_groups=own.unknown_groups,
            exclude=list(own.excluded_columns),
            rename=own.renamed_columns,
            changed=list(own.changed_columns),
            when=own.conditions,
            fault=own.fault,
        )
    return views


@get("/")
async def list_tables(services: NamedDependency[Services]) -> list[TableView]:
    """List the tables that are captured, or have settings."""
    async with services.database.connection() as connection:
        names = {*await capture.captured_tables(connection), *await capture.tables_with_settings(connection)}
        return list((await _views(connection, names)).values())


@get("/{table:str}")
async def get_table(services: NamedDependency[Services], table: FromPath[str]) -> TableView:
    """Read how a table is captured: `orders`, or `sales.orders` outside `public`."""
    async with services.database.connection() as connection:
        view = (await _views(connection, [_named(table)])).get(_named(table))
    return there(view, f"The table {table!r} is not captured and has no settings.")


@put("/{table:str}")
async def put_table(services: NamedDependency[Services], table: FromPath[str], data: JSONBody[CaptureChange]) -> TableView:
    """Say how a table is captured. Changes committed after this answer are told so; none is told twice or lost meanwhile."""
    schema, name = _named(table)
    settings = TableSettings(
        table_schema=schema,
        table_name=name,
        group_column=data.group_by,
        unknown_groups=data.unknown_groups,
        excluded_columns=tuple(dict.fromkeys(data.exclude)),
        renamed_columns=data.rename,
        changed_columns=tuple(dict.fromkeys(data.changed)),
        conditions=dict.fromkeys(OPERATIONS, data.when) if isinstance(data.when, str) else data.when,
    )
    async with services.database.transaction() as connection:
        await tables.change_settings(connection, settings)
        return (await _views(connection, [settings.name]))[settings.name]


@delete("/{table:str}", status_code=204)
async def delete_table(services: NamedDependency[Services], table: FromPath[str]) -> None:
    """Capture the table as any other again: whole rows, into group `default`."""
    async with services.database.transaction() as connection:
        await capture.lock(connection)
        if not await capture.remove_settings(connection, _named(table)):
            raise NotFoundError(f"The table {table!r} has no settings.")
        await tables.keep_in_step(connection, needed=_named(table))


@post("/{table:str}/backfill", status_code=202)
async def start_backfill(
    services: NamedDependency[Services], table: FromPath[str], data: JSONBody[NewBackfill]
) -> BackfillView:
    """Send a table's present rows to a webhook as insertions, and go on with their changes, without gap or overlap."""
    async with services.database.transaction() as connection:
        await capture.lock(connection)
        webhook = found(await webhooks.get_webhook(connection, services.group_id, data.webhook_id), data.webhook_id)
        row = await backfill.begin(connection, webhook, _named(table), services.clock.now())
        await tables.keep_in_step(connection, needed=_named(table))
        return _backfill_view(row)


@get("/")
async def list_backfills(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[BackfillView]:
    """List backfills, newest first."""
    async with services.database.connection() as connection:
        rows = await backfills.list_backfills(connection, services.group_id, limit=limit, offset=offset)
    return [_backfill_view(row) for row in rows]


@get("/{backfill_id:uuid}")
async def get_backfill(services: NamedDependency[Services], backfill_id: FromPath[UUID]) -> BackfillView:
    """Read how far a backfill has come."""
    async with services.database.connection() as connection:
        return _backfill_view(_found(await backfills.get(connection, services.group_id, backfill_id), backfill_id))


@post("/{backfill_id:uuid}/cancel", status_code=200)
async def cancel_backfill(services: NamedDependency[Services], backfill_id: FromPath[UUID]) -> BackfillView:
    """End a backfill early. What it has written is delivered."""
    async with services.database.transaction() as connection:
        row = _found(await backfills.get(connection, services.group_id, backfill_id), backfill_id)
        if (ended := await backfills.end(connection, backfill_id, "cancelled")) is None:
            raise ConflictError(f"The backfill is {row['state']}; there is nothing to cancel.")
        await tables.keep_in_step(connection, named=[(row["table_schema"], row["table_name"])])
        return _backfill_view(ended)


def _found(row: Any | None, backfill_id: UUID) -> Any:
    return there(row, f"There is no backfill {backfill_id}.")


def _backfill_view(row: Any) -> BackfillView:
    renamed = {"schema": row["table_schema"], "table": row["table_name"]}
    fields = {name: row[name] for name in BackfillView.__struct_fields__ if name not in renamed}
    return BackfillView(**fields, **renamed)


router = Router(
    "/api/v1/tables", route_handlers=[list_tables, get_table, put_table, delete_table, start_backfill], tags=["Tables"]
)
backfill_router = Router("/api/v1/backfills", route_handlers=[list_backfills, get_backfill, cancel_backfill], tags=["Tables"])
