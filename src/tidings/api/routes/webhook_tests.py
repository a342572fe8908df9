"""`POST /api/v1/webhooks/{id}/test`: an event of any type goes to one webhook alone, and what came of it is told."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.operations.services import Services
from tidings.operations.webhooks import testing
from tidings.operations.webhooks.samples import Sample
from tidings.operations.webhooks.testing import Ending, Tested


class TestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the test event is: `event`, a type by the names of the webhook's profile, with `data` instead of the example.

    With `table` it is the change of a row, as seed 004's clients ask for; with neither it is `webhook.test`.
    """

    event: str | None = None
    table: str | None = None
    schema: str = "public"
    record: Any = None
    old_record: Any = None
    data: Any = None


class _RawBody(msgspec.Struct, frozen=True):
    """Its documents as the text they came as: reading them as numbers would lose digits."""

    record: msgspec.Raw | UnsetType = UNSET
    old_record: msgspec.Raw | UnsetType = UNSET
    data: msgspec.Raw | UnsetType = UNSET


class TestResult(msgspec.Struct, frozen=True):
    """What came of a test delivery. `success` is null while no attempt is on record."""

    outcome: Ending
    success: bool | None
    message: str
    event_id: UUID
    delivery_id: UUID
    status_code: int | None = None
    response_body: str | None = None
    error: str | None = None
    total_ms: float | None = None


@post("/{webhook_id:str}/test", status_code=200)
async def send_test(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    data: JSONBody[TestBody | None] = None,
) -> TestResult:
    """Send a test event, past breaker, order, rate and pause, and wait for what comes of it. It is tried once.

    It waits no longer than the webhook's timeout and a second.
    """
    body = data or TestBody()
    sample = Sample(body.event, body.table, body.schema, **raw_documents(await request.body()))
    return _view(await testing.send(services, webhook_id, sample))


def raw_documents(body: bytes) -> dict[str, bytes | UnsetType]:
    """Return the documents of a sample as the text they came as."""
    raw = msgspec.json.decode(body or b"{}", type=_RawBody | None) or _RawBody()
    documents = {name: getattr(raw, name) for name in _RawBody.__struct_fields__}
    return {name: UNSET if document is UNSET else bytes(document) for name, document in documents.items()}


def _view(tested: Tested) -> TestResult:
    fields = {name: getattr(tested, name) for name in Tested.__struct_fields__}
    return TestResult(message=_message(tested), **fields)


def _message(tested: Tested) -> str:
    match tested.outcome:
        case Ending.NO_WORKER:
            return "No worker runs, so nothing was sent yet. Start one: tidings worker. The test goes out then."
        case Ending.WAITING:
            return "A worker runs, but no attempt is on record yet; look at the delivery later."
        case Ending.TIMED_OUT:
            return f"The receiver did not answer in time: {tested.error}"
        case Ending.REFUSED:
            return f"The receiver could not be reached: {tested.error}"
        case _ if tested.success:
            return "Test webhook sent successfully"
        case _:
            return f"The test failed: {tested.error}"
