"""`/api/v1/set-aside`: events that could not be routed, of all groups."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.http.paging import Limit
from tidings.operations import set_aside
from tidings.operations.services import Services
from tidings.operations.set_aside import SetAside

Before = Annotated[int | None, QueryParameter(description="Only what has a smaller number: the last one of the page before.")]


class SetAsideView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that could not be routed. `row` is there when one is read by its number."""

    number: int
    group: str | None
    source: str | None
    type: str | None
    schema: str | None
    table: str | None
    operation: str | None
    reason: str
    created_at: datetime
    row: msgspec.Raw | None = None


@get("/")
async def list_set_aside(services: NamedDependency[Services], limit: Limit = 50, before: Before = None) -> list[SetAsideView]:
    """List what was set aside, newest first."""
    return [_view(found) for found in await set_aside.list_rows(services, limit=limit, before=before)]


@get("/{number:int}")
async def get_set_aside(services: NamedDependency[Services], number: FromPath[int]) -> SetAsideView:
    """Read what was set aside under a number, with the row as it was."""
    return _view(await set_aside.read(services, number))


@post("/{number:int}/route", status_code=202)
async def route_again(services: NamedDependency[Services], number: FromPath[int]) -> None:
    """Route it again. When its reason still holds, it is set aside again, under another number."""
    await set_aside.route_again(services, number)


@delete("/{number:int}", status_code=204)
async def discard(services: NamedDependency[Services], number: FromPath[int]) -> None:
    """Discard it for good: its event is told to nobody."""
    await set_aside.discard(services, number)


def _view(found: SetAside) -> SetAsideView:
    return SetAsideView(
        found.number,
        found.group_id,
        found.source,
        found.type,
        found.schema,
        found.table,
        found.operation,
        found.reason,
        found.at,
        None if found.row is None else msgspec.Raw(found.row.encode()),
    )


router = Router("/api/v1/set-aside", route_handlers=[list_set_aside, get_set_aside, route_again, discard], tags=["Set aside"])
