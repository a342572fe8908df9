"""`/api/v1/bins`: addresses that take any request, keep it for a day and answer as told."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.http.paging import Limit, Offset
from tidings.core.bin import Bin, text_of
from tidings.core.claims import Verdict
from tidings.core.reached import url_as_asked
from tidings.core.webhook import Signature
from tidings.operations import bins
from tidings.operations.bins import BinChange
from tidings.operations.services import Services
from tidings.store.bins import Kept


class BinView(msgspec.Struct, frozen=True):
    """A bin as read. Its secret is shown nowhere; `has_secret` says that it has one."""

    id: UUID
    name: str
    url: str
    status: int
    delay_seconds: float
    body: str
    content_type: str
    profile: str | None
    signature: Signature | None
    has_secret: bool
    webhook_id: UUID | None
    request_count: int
    refused_count: int
    created_at: datetime
    updated_at: datetime
    used_at: datetime


class CaughtView(msgspec.Struct, frozen=True):
    """A request that came to a bin. Its body is in `body` when it is text, else in `body_base64`."""

    number: int
    received_at: datetime
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: str | None
    body_base64: str | None
    body_bytes: int
    is_truncated: bool
    address: str
    status: int
    verdict: Verdict


_Before = Annotated[int | None, QueryParameter(ge=0, description="Only those with a smaller number, newest first.")]
_After = Annotated[
    int | None,
    QueryParameter(ge=0, description="Only those with a larger number, oldest first: for those who follow what comes."),
]


@post("/", status_code=201)
async def create_bin(
    services: NamedDependency[Services],
    request: Request,  # type: ignore[type-arg]
    data: JSONBody[BinChange],
) -> BinView:
    """Make a request bin. Its `url`, which nobody can guess, takes any request, below it too."""
    return _view(services, request, await bins.create(services, data))


@get("/")
async def list_bins(
    services: NamedDependency[Services],
    request: Request,  # type: ignore[type-arg]
    limit: Limit = 50,
    offset: Offset = 0,
) -> list[BinView]:
    """List the group's bins, newest first."""
    return [_view(services, request, one) for one in await bins.list_bins(services, limit=limit, offset=offset)]


@get("/{bin_id:uuid}")
async def get_bin(
    services: NamedDependency[Services],
    request: Request,  # type: ignore[type-arg]
    bin_id: FromPath[UUID],
) -> BinView:
    """Read a bin."""
    return _view(services, request, await bins.read(services, bin_id))


@patch("/{bin_id:uuid}")
async def change_bin(
    services: NamedDependency[Services],
    request: Request,  # type: ignore[type-arg]
    bin_id: FromPath[UUID],
    data: JSONBody[BinChange],
) -> BinView:
    """Change what a bin answers, or what it verifies with; what came before keeps what was found of it."""
    return _view(services, request, await bins.change(services, bin_id, data))


@delete("/{bin_id:uuid}", status_code=204)
async def delete_bin(services: NamedDependency[Services], bin_id: FromPath[UUID]) -> None:
    """Delete a bin with all that came to it."""
    await bins.remove(services, bin_id)


@get("/{bin_id:uuid}/requests")
async def list_bin_requests(
    services: NamedDependency[Services],
    bin_id: FromPath[UUID],
    limit: Limit = 50,
    before: _Before = None,
    after: _After = None,
) -> list[CaughtView]:
    """List what came to a bin: the last 500 requests, of a day at most."""
    found = await bins.list_requests(services, bin_id, limit=limit, before=before, after=after)
    return [_caught(one) for one in found]


@delete("/{bin_id:uuid}/requests", status_code=204)
async def clear_bin(services: NamedDependency[Services], bin_id: FromPath[UUID]) -> None:
    """Take away all that came to a bin."""
    await bins.clear(services, bin_id)


@get("/{bin_id:uuid}/requests/{number:int}")
async def get_bin_request(services: NamedDependency[Services], bin_id: FromPath[UUID], number: FromPath[int]) -> CaughtView:
    """Read one request that came to a bin, with whether its signature was as expected, and if not, why."""
    return _caught(await bins.read_request(services, bin_id, number))


def _view(services: Services, request: Request, one: Bin) -> BinView:  # type: ignore[type-arg]
    base = url_as_asked(services.config.public_url, request.url.scheme, request.headers.get("host", ""))
    answer = one.answer
    return BinView(
        id=one.id, name=one.name, url=f"{base}/bin/{one.id}", status=answer.status, delay_seconds=answer.delay_seconds,
        body=answer.body, content_type=answer.content_type, profile=one.profile, signature=one.signature,
        has_secret=one.has_secret, webhook_id=one.webhook_id, request_count=one.request_count, refused_count=one.refused_count,
        created_at=one.created_at, updated_at=one.updated_at, used_at=one.used_at,
    )  # fmt: skip


def _caught(one: Kept) -> CaughtView:
    text = text_of(one.body, is_cut=one.is_truncated)
    return CaughtView(
        number=one.number, received_at=one.received_at, method=one.method, path=one.path, headers=one.headers, body=text,
        body_base64=b64encode(one.body).decode() if text is None else None, body_bytes=one.body_bytes,
        is_truncated=one.is_truncated, address=one.address, status=one.status, verdict=one.verdict,
    )  # fmt: skip


router = Router(
    "/api/v1/bins",
    route_handlers=[
        create_bin, list_bins, get_bin, change_bin, delete_bin, list_bin_requests, clear_bin, get_bin_request,
    ],
    tags=["Request bins"],
)  # fmt: skip
