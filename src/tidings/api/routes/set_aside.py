"""`/api/v1/set-aside`: what could be neither routed nor delivered, and settings that cannot be read; of all groups."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.http.access import key_of
from tidings.api.http.paging import Limit, with_all_homes
from tidings.core.errors import InvalidInputError
from tidings.core.voucher import vouched
from tidings.operations import everywhere, set_aside
from tidings.operations.services import Services
from tidings.operations.set_aside import SetAside

Before = Annotated[int | None, QueryParameter(description="Only what has a smaller number: the last one of the page before.")]

OfAll = Annotated[
    str | None, QueryParameter(description="From `Tidings-Next`, which lists of several homes have.", min_length=1)
]

After = Annotated[str | None, QueryParameter(description="The `cursor` of the last setting of the page before.")]


class FaultView(msgspec.Struct, frozen=True):
    """A setting that cannot be read as it is stored: a webhook, job, integration, collection, table or backfill.

    `id`: of an integration, a collection or a table its name. `reason`: with the remedy. `cursor`: by which the list goes
    on behind it.
    """

    kind: str
    id: str
    name: str
    group: str | None
    reason: str
    since: datetime | None
    cursor: str


class SetAsideView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that could not be routed, a delivery that history cannot hold, or a flight of events that came from another
    database of a fleet (`source`) and cannot be read. `row` is there when one is read by its number, up to a megabyte.
    `home`: in a list of all homes of a fleet, whose number it is (`X-Tidings-Home`).
    """

    number: int
    kind: str
    group: str | None
    source: str | None
    type: str | None
    schema: str | None
    table: str | None
    operation: str | None
    reason: str
    created_at: datetime
    row: msgspec.Raw | None = None
    home: str | None = None


@get("/")
async def list_set_aside(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    limit: Limit = 50,
    before: Before = None,
    cursor: OfAll = None,
) -> Response[list[SetAsideView]]:
    """List what was set aside, newest first; in a fleet that of all homes, unless `before` names a number of this one, with
    `Tidings-Next` to go on, and `Tidings-Homes-Away` where homes did not answer.

    Raises:
        InvalidInputError: The cursor is none of this list.
    """
    if everywhere.is_asked(services) and before is None:
        page = await everywhere.list_set_aside(services, vouched(key_of(request)), limit=limit, cursor=cursor or "")
        return with_all_homes(request, page, [_view(found, home) for home, found in page.items])
    if cursor is not None:
        raise InvalidInputError("cursor", "cursor goes with lists of several homes, and without before; take before.")
    return Response([_view(found) for found in await set_aside.list_rows(services, limit=limit, before=before)])


@get("/settings")
async def list_settings(
    services: NamedDependency[Services], limit: Limit = set_aside.PAGE, cursor: After = None
) -> list[FaultView]:
    """List settings that cannot be read, kind by kind. They come back by themselves once they can.

    Raises:
        InvalidInputError: The cursor is empty, or none of this list.
    """
    if cursor == "":
        raise InvalidInputError("cursor", "cursor is that of the last setting of the page before; or leave it out.")
    found = await set_aside.list_settings(services, limit=limit, after=cursor or "")
    return [FaultView(one.kind, one.id, one.name, one.group_id, one.reason, one.since, one.cursor) for one in found]


@post("/settings/{kind:str}/{setting_id:str}/retry", status_code=204)
async def retry_setting(services: NamedDependency[Services], kind: FromPath[str], setting_id: FromPath[str]) -> None:
    """Read a setting again. What waited for it goes on; 409 says why it still cannot be read."""
    await set_aside.retry_setting(services, kind, setting_id)


@delete("/settings/{kind:str}/{setting_id:str}", status_code=204)
async def discard_setting(services: NamedDependency[Services], kind: FromPath[str], setting_id: FromPath[str]) -> None:
    """Remove a webhook with what waits for it, a job, an integration, or the settings of a table."""
    await set_aside.discard_setting(services, kind, setting_id)


@get("/{number:int}")
async def get_set_aside(services: NamedDependency[Services], number: FromPath[int]) -> SetAsideView:
    """Read what was set aside under a number, with the row as it was."""
    return _view(await set_aside.read(services, number))


@post("/{number:int}/route", status_code=202)
async def route_again(services: NamedDependency[Services], number: FromPath[int]) -> None:
    """Put it back where it was taken from. When its reason still holds, it is set aside again, under another number."""
    await set_aside.route_again(services, number)


@delete("/{number:int}", status_code=204)
async def discard(services: NamedDependency[Services], number: FromPath[int]) -> None:
    """Discard it for good: it is told to nobody."""
    await set_aside.discard(services, number)


def _view(found: SetAside, home: str | None = None) -> SetAsideView:
    return SetAsideView(
        found.number,
        found.kind,
        found.group_id,
        found.source,
        found.type,
        found.schema,
        found.table,
        found.operation,
        found.reason,
        found.at,
        None if found.row is None else msgspec.Raw(found.row.encode()),
        home,
    )


router = Router(
    "/api/v1/set-aside",
    route_handlers=[list_set_aside, list_settings, retry_setting, discard_setting, get_set_aside, route_again, discard],
    tags=["Set aside"],
)
