"""`/api/v1/recoveries`: many deliveries sent again, as one job. Those of a search and of a webhook are begun here too."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit
from tidings.core.errors import InvalidInputError
from tidings.core.recovery import Recovery, share_done
from tidings.operations.history import asking, recoveries
from tidings.operations.services import Services

After = Annotated[UUID | None, QueryParameter(name="cursor", description="The id of the last recovery of the page before.")]
Words = str | list[str] | None


class RetryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send again: `ids`, or a search with the words of the list. `rate_per_second` goes with both."""

    ids: list[UUID] | UnsetType = UNSET
    since: datetime | None = None
    until: datetime | None = None
    type: Words = None
    table: str | None = None
    record_id: str | None = None
    text: str | None = None
    status: Words = None
    webhook_id: UUID | None = None
    event_id: UUID | None = None
    failure: Words = None
    response_status: int | str | list[int | str] | None = None
    rate_per_second: float | None = None


class RecoverBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which time to recover. `until` is now when it is left out."""

    since: datetime
    until: datetime | None = None
    missing: bool = False
    rate_per_second: float | None = None


class RecoveryView(msgspec.Struct, frozen=True):
    """A recovery as read.

    `search` has the words of the list of deliveries; it is null for one of deliveries named one by one, which `ids` then names.
    """

    id: UUID
    state: str
    webhook_id: UUID | None
    search: dict[str, str] | None
    ids: list[UUID]
    since: datetime | None
    until: datetime
    missing: bool
    rate_per_second: float | None
    progress: float | None
    found_count: int
    queued_count: int
    skipped_count: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


@post("/retry", status_code=202)
async def retry_deliveries(services: NamedDependency[Services], data: JSONBody[RetryBody]) -> Response[RecoveryView]:
    """Send deliveries again, with the same ids, as a job: up to 1,000 by their `ids`, or all that a search finds.

    A search that names no `status` means what was not acknowledged: failed and retrying. The job is at the answer's
    `Location`.
    """
    return _begun(await _retried(services, data))


@post("/{webhook_id:str}/recover", status_code=202)
async def recover_webhook(
    services: NamedDependency[Services], webhook_id: FromPath[UUID], data: JSONBody[RecoverBody]
) -> Response[RecoveryView]:
    """Send a webhook all again that it did not acknowledge of the events from `since` until `until`, as a job.

    With `missing` also what it would hear now and never had a delivery of, because it was paused, disabled or not there. The
    job is at the answer's `Location`.
    """
    begun = await recoveries.begin_webhook(
        services, webhook_id, data.since, data.until, missing=data.missing, rate_per_second=data.rate_per_second
    )
    return _begun(begun)


@get("/")
async def list_recoveries(services: NamedDependency[Services], limit: Limit = 50, cursor: After = None) -> list[RecoveryView]:
    """List recoveries, newest first. They are kept as long as history."""
    return [_view(found) for found in await recoveries.list_recoveries(services, limit=limit, after=cursor)]


@get("/{recovery_id:uuid}")
async def get_recovery(services: NamedDependency[Services], recovery_id: FromPath[UUID]) -> RecoveryView:
    """Read how far a recovery has come."""
    return _view(await recoveries.read(services, recovery_id))


@post("/{recovery_id:uuid}/cancel", status_code=200)
async def cancel_recovery(services: NamedDependency[Services], recovery_id: FromPath[UUID]) -> RecoveryView:
    """End a recovery early. What it has put into the queue is delivered."""
    return _view(await recoveries.cancel(services, recovery_id))


async def _retried(services: Services, data: RetryBody) -> Recovery:
    words = {name: getattr(data, name) for name in asking.DELIVERY_WORDS if getattr(data, name) is not None}
    if data.ids is not UNSET:
        if words:
            raise InvalidInputError("ids", f"ids does not go with {next(iter(words))}; leave one out.")
        return await recoveries.begin_ids(services, data.ids, rate_per_second=data.rate_per_second)
    if not words:
        example = '{"status": "failed"}'
        raise InvalidInputError("ids", f"The body does not say what to send again. Write ids, or a search such as {example}.")
    for name in ("type", "status", "failure", "response_status"):
        if name in words:
            words[name] = [str(word) for word in words[name]] if isinstance(words[name], list) else [str(words[name])]
    asked = asking.deliveries_asked(services.group_id, **words)
    return await recoveries.begin_search(services, asked, rate_per_second=data.rate_per_second)


def _begun(recovery: Recovery) -> Response[RecoveryView]:
    return Response(_view(recovery), headers={"Location": f"/api/v1/recoveries/{recovery.id}"})


def _view(recovery: Recovery) -> RecoveryView:
    question = recovery.question
    ids = () if question is None else question.ids
    return RecoveryView(
        id=recovery.id,
        state=recovery.state,
        webhook_id=recovery.webhook_id,
        search=None if question is None or ids else asking.as_words(question),
        ids=list(ids),
        since=recovery.since,
        until=recovery.until,
        missing=recovery.missing,
        rate_per_second=recovery.rate_per_second,
        progress=share_done(recovery),
        found_count=recovery.found_count,
        queued_count=recovery.queued_count,
        skipped_count=recovery.skipped_count,
        error=recovery.error,
        created_at=recovery.created_at,
        updated_at=recovery.updated_at,
        finished_at=recovery.finished_at,
    )


router = Router("/api/v1/recoveries", route_handlers=[list_recoveries, get_recovery, cancel_recovery], tags=["Recoveries"])
