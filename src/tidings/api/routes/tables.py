"""`/api/v1/tables`: how tables are captured, and their rows as events (backfill)."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit, Offset
from tidings.core.capture import TableSettings
from tidings.core.filters import OPERATIONS
from tidings.core.warned import Warned, of_backfill
from tidings.operations.services import Services
from tidings.operations.sources import backfills, tables
from tidings.operations.sources.backfills import Backfill
from tidings.operations.sources.tables import CapturedTable, name_of


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

    `state`: `captured`, `waiting`, `missing`, `disabled`, `unwanted`, `left`: nobody wants it and its trigger is still
    there, or `stopped`: its settings do not fit it as it is now, and nothing is captured until they are written anew.
    `reason`: why it is not captured; of one that is, what went wrong
    with a row of today or yesterday. Columns are shown by the names that they have now.
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
    state: str
    reason: str | None
    warnings: list[Warned] | UnsetType = UNSET


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
    warnings: list[Warned]


@get("/")
async def list_tables(services: NamedDependency[Services]) -> list[TableView]:
    """List the tables that are captured, or have settings."""
    return [_view(found) for found in await tables.list_tables(services)]


@get("/{table:str}")
async def get_table(services: NamedDependency[Services], table: FromPath[str]) -> TableView:
    """Read how a table is captured: `orders`, or `sales.orders` outside `public`."""
    return _view(await tables.read(services, table))


@put("/{table:str}")
async def put_table(services: NamedDependency[Services], table: FromPath[str], data: JSONBody[CaptureChange]) -> TableView:
    """Say how a table is captured. Changes committed after this answer are told so; none is told twice or lost meanwhile."""
    made = await tables.change(services, _settings(table, data))
    return _view(made, made.warnings)


@delete("/{table:str}", status_code=200)
async def delete_table(services: NamedDependency[Services], table: FromPath[str]) -> TableView:
    """Capture the table as any other again: whole rows, into group `default`. The answer says how it is captured now."""
    made = await tables.reset(services, table)
    return _view(made, made.warnings)


@post("/{table:str}/backfill", status_code=202)
async def start_backfill(
    services: NamedDependency[Services], table: FromPath[str], data: JSONBody[NewBackfill]
) -> BackfillView:
    """Send a table's present rows to a webhook as insertions, and go on with their changes, without gap or overlap."""
    return _backfill_view(await backfills.start(services, table, data.webhook_id))


@get("/")
async def list_backfills(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[BackfillView]:
    """List backfills, newest first."""
    return [_backfill_view(found) for found in await backfills.list_backfills(services, limit=limit, offset=offset)]


@get("/{backfill_id:uuid}")
async def get_backfill(services: NamedDependency[Services], backfill_id: FromPath[UUID]) -> BackfillView:
    """Read how far a backfill has come."""
    return _backfill_view(await backfills.read(services, backfill_id))


@post("/{backfill_id:uuid}/cancel", status_code=200)
async def cancel_backfill(services: NamedDependency[Services], backfill_id: FromPath[UUID]) -> BackfillView:
    """End a backfill early. What it has written is delivered."""
    return _backfill_view(await backfills.cancel(services, backfill_id))


def _settings(table: str, asked: CaptureChange) -> TableSettings:
    schema, name = name_of(table)
    return TableSettings(
        table_schema=schema,
        table_name=name,
        group_column=asked.group_by,
        unknown_groups=asked.unknown_groups,
        excluded_columns=tuple(dict.fromkeys(asked.exclude)),
        renamed_columns=asked.rename,
        changed_columns=tuple(dict.fromkeys(asked.changed)),
        conditions=dict.fromkeys(OPERATIONS, asked.when) if isinstance(asked.when, str) else asked.when,
    )


def _view(found: CapturedTable, warnings: list[Warned] | UnsetType = UNSET) -> TableView:
    own = found.settings
    return TableView(
        *own.name,
        operations=found.operations,
        group_by=own.group_column,
        unknown_groups=own.unknown_groups,
        exclude=list(own.excluded_columns),
        rename=own.renamed_columns,
        changed=list(own.changed_columns),
        when=own.conditions,
        fault=own.fault,
        state=found.state,
        reason=found.reason,
        warnings=warnings,
    )


def _backfill_view(found: Backfill) -> BackfillView:
    fields = {name: getattr(found, name) for name in Backfill.__struct_fields__}
    return BackfillView(**fields, warnings=of_backfill(found.skipped_count))


router = Router(
    "/api/v1/tables", route_handlers=[list_tables, get_table, put_table, delete_table, start_backfill], tags=["Tables"]
)
backfill_router = Router("/api/v1/backfills", route_handlers=[list_backfills, get_backfill, cancel_backfill], tags=["Tables"])
