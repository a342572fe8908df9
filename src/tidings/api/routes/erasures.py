"""`/api/v1/erasures`: what is kept of somebody, taken out of all places."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.core.erasure import Count, Erasure, Subject
from tidings.core.job import State
from tidings.operations import erasures
from tidings.operations.services import Services


class SubjectBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject. `field`: the path at which its value stands in payloads; null: the value is a text that stands anywhere."""

    value: str | int
    field: str | None = None


class ErasureBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An erasure to begin. `pending`: what is not delivered yet is delivered first (`finish`), or not at all (`cancel`)."""

    value: str | int
    field: str | None = None
    dry_run: bool = False
    pending: str = "finish"


class ErasureView(msgspec.Struct, frozen=True):
    """An erasure, as far as it has come. Whose it is is not told: `subject_hash` is the same for the same subject."""

    id: UUID
    state: str
    stage: str | None
    field: str | None
    subject_hash: str
    dry_run: bool
    pending: str
    until: datetime
    progress: float
    report: dict[str, Count]
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


@post("/", status_code=202)
async def begin_erasure(services: NamedDependency[Services], data: JSONBody[ErasureBody]) -> Response[ErasureView]:
    """Begin to erase what is kept of a subject, of all that happened until now, as a job. The job is at the answer's
    `Location`; its report says what was found and erased, place by place.
    """
    subject = Subject(str(data.value), data.field)
    begun = await erasures.begin(services, subject, dry_run=data.dry_run, pending=data.pending)
    return Response(_view(begun), headers={"Location": f"/api/v1/erasures/{begun.id}"})


@post("/find", status_code=200)
async def find_erasures(services: NamedDependency[Services], data: JSONBody[SubjectBody]) -> list[ErasureView]:
    """Find the erasures of a subject, newest first, a hundred at most: by its keyed hash, since nobody keeps the subject."""
    return [_view(one) for one in await erasures.find(services, Subject(str(data.value), data.field))]


@get("/")
async def list_erasures(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[ErasureView]:
    """List erasures, newest first. They are kept for good."""
    return [_view(one) for one in await erasures.list_erasures(services, limit=limit, offset=offset)]


@get("/{erasure_id:uuid}")
async def get_erasure(services: NamedDependency[Services], erasure_id: FromPath[UUID]) -> ErasureView:
    """Read how far an erasure has come, and its report."""
    return _view(await erasures.read(services, erasure_id))


@post("/{erasure_id:uuid}/cancel", status_code=200)
async def cancel_erasure(services: NamedDependency[Services], erasure_id: FromPath[UUID]) -> ErasureView:
    """End an erasure early. What it has erased stays erased."""
    return _view(await erasures.cancel(services, erasure_id))


def _view(erasure: Erasure) -> ErasureView:
    return ErasureView(
        erasure.id,
        erasure.state,
        None if erasure.state is State.DONE else erasure.stage,
        erasure.path,
        erasure.subject_hash.hex(),
        erasure.dry_run,
        erasure.pending,
        erasure.until,
        erasure.progress,
        erasure.report,
        erasure.error,
        erasure.created_at,
        erasure.updated_at,
        erasure.finished_at,
    )


router = Router(
    "/api/v1/erasures",
    route_handlers=[begin_erasure, find_erasures, list_erasures, get_erasure, cancel_erasure],
    tags=["Privacy"],
)
