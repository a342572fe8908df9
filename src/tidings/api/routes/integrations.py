"""`/api/v1/integrations` and `/in/{name}`: systems that send notices to Tidings, which become events.

Not to be confused with webhooks, which Tidings sends.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit, Offset
from tidings.api.http.parameters import refuse_unknown
from tidings.core.errors import InvalidInputError
from tidings.core.hops import HEADER, hops_of
from tidings.core.reached import url_as_asked
from tidings.operations.services import Services
from tidings.operations.sources import integrations
from tidings.operations.sources.integrations import IntegrationChange, SyncedObject, SyncResult
from tidings.store.integrations import Integration, Settings

MAX_SYNC_BYTES = 33_554_432


class IntegrationView(msgspec.Struct, frozen=True):
    """An integration as read. `secret` is in the answer to its creation only, when it was made here.

    `fault`: why it is set aside, because something of it cannot be read as it is stored. Its notices are
    answered with 503 while that is so.
    """

    name: str
    platform: str
    url: str
    settings: Settings
    enabled: bool
    fault: str | None
    created_at: datetime
    updated_at: datetime
    secret: str | UnsetType = UNSET


class NoticeResult(msgspec.Struct, frozen=True):
    """What became of a notice. `duplicate`: it had been received before."""

    received: bool
    duplicate: bool


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects as they are. `complete`: there are no others of their types."""

    objects: list[SyncedObject]
    complete: bool = False


class SyncBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects as they are, each with `type`, `id`, `data` and perhaps `version`. `complete`: no others of their types exist."""

    objects: list[dict[str, Any]]
    complete: bool = False


class ObjectView(msgspec.Struct, frozen=True):
    """An object as an integration told it last."""

    type: str
    id: str
    version: float
    data: msgspec.Raw
    updated_at: datetime


def _view(
    services: Services,
    request: Request[Any, Any, Any],
    integration: Integration,
    *,
    with_secret: bool = False,
) -> IntegrationView:
    base = url_as_asked(services.config.public_url, request.url.scheme, request.headers.get("host", ""))
    return IntegrationView(
        name=integration.name,
        platform=integration.platform,
        url=f"{base}/in/{integration.name}",
        settings=integration.settings,
        enabled=integration.enabled,
        fault=integration.fault,
        created_at=integration.created_at,
        updated_at=integration.updated_at,
        secret=integration.secret if with_secret else UNSET,
    )


@post("/", status_code=201)
async def create_integration(
    services: NamedDependency[Services], request: Request[Any, Any, Any], data: JSONBody[IntegrationChange]
) -> IntegrationView:
    """Create an integration. Give its `url` and its secret to the system that is to send there."""
    made_here = data.secret is UNSET or data.secret is None
    return _view(services, request, await integrations.create(services, data), with_secret=made_here)


@get("/")
async def list_integrations(
    services: NamedDependency[Services], request: Request[Any, Any, Any], limit: Limit = 50, offset: Offset = 0
) -> list[IntegrationView]:
    """List integrations, in order of their names."""
    page = await integrations.list_integrations(services, limit=limit, offset=offset)
    return [_view(services, request, integration) for integration in page]


@get("/{name:str}")
async def get_integration(
    services: NamedDependency[Services], request: Request[Any, Any, Any], name: FromPath[str]
) -> IntegrationView:
    """Read an integration."""
    return _view(services, request, await integrations.read(services, name))


@patch("/{name:str}")
async def change_integration(
    services: NamedDependency[Services],
    request: Request[Any, Any, Any],
    name: FromPath[str],
    data: JSONBody[IntegrationChange],
) -> IntegrationView:
    """Change the secret or the settings; `enabled: false` disconnects it, and its notices are refused."""
    return _view(services, request, await integrations.change(services, name, data))


@delete("/{name:str}", status_code=204)
async def delete_integration(services: NamedDependency[Services], name: FromPath[str]) -> None:
    """Delete an integration, with what is known of its objects. Events that were made stay."""
    await integrations.remove(services, name)


@get("/{name:str}/objects")
async def list_objects(
    services: NamedDependency[Services],
    name: FromPath[str],
    limit: Limit = 50,
    offset: Offset = 0,
    type_: Annotated[str | None, QueryParameter(name="type", description="Only objects of this type.")] = None,
) -> list[ObjectView]:
    """List an integration's objects as they were told last."""
    page = await integrations.list_objects(services, name, type_=type_, limit=limit, offset=offset)
    return [ObjectView(one.type, one.id, one.version, msgspec.Raw(one.data.encode()), one.updated_at) for one in page]


@post("/{name:str}/sync", status_code=200, request_max_body_size=MAX_SYNC_BYTES)
async def sync_integration(
    services: NamedDependency[Services], name: FromPath[str], request: Request[Any, Any, Any], data: JSONBody[SyncBody]
) -> SyncResult:
    """Bring an integration's objects up to date with those of the other system: each that differs is an event."""
    try:
        given = msgspec.json.decode(await request.body(), type=Sync)
    except msgspec.ValidationError as error:
        raise InvalidInputError("objects", f"objects: {error}. Each has a type, an id and data.") from error
    return await integrations.sync(services, name, given.objects, is_complete=given.complete)


async def _services_for_notices(request: Request[Any, Any, Any]) -> Services:
    """Return the parts for who sends notices: they share nothing that calls and deliveries need."""
    services: Services = request.app.state.services
    services = msgspec.structs.replace(services, wide=services.for_notices or services.wide)
    return services.after(hops_of(request.headers.get(HEADER)))


@post(
    "/in/{name:str}",
    status_code=200,
    tags=["Notices"],
    guards=[refuse_unknown],
    dependencies={"services": Provide(_services_for_notices)},
)
async def receive(
    services: NamedDependency[Services], name: FromPath[str], request: Request[Any, Any, Any]
) -> Response[NoticeResult]:
    """Receive a notice. It is verified before anything is stored; when this answers 200, its events are committed."""
    headers = {key.lower(): value for key, value in request.headers.items()}
    is_new = await integrations.receive(services, name, headers, await request.body())
    return Response(NoticeResult(received=True, duplicate=not is_new))


router = Router(
    "/api/v1/integrations",
    route_handlers=[
        create_integration,
        list_integrations,
        get_integration,
        change_integration,
        delete_integration,
        list_objects,
        sync_integration,
    ],
    tags=["Integrations"],
)
