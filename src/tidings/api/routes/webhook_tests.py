"""`POST /api/v1/webhooks/{id}/test`: an event of any type goes to one webhook alone, and what came of it is told."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.api.dialects import fluxbase
from tidings.api.routes.test_view import TestResult, view
from tidings.operations.services import Services
from tidings.operations.webhooks import testing
from tidings.operations.webhooks.samples import Sample


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
    tested = await testing.send(services, webhook_id, sample)
    return fluxbase.test_result(view(tested), tested.profile)


def raw_documents(body: bytes) -> dict[str, bytes | UnsetType]:
    """Return the documents of a sample as the text they came as."""
    raw = msgspec.json.decode(body or b"{}", type=_RawBody | None) or _RawBody()
    documents = {name: getattr(raw, name) for name in _RawBody.__struct_fields__}
    return {name: UNSET if document is UNSET else bytes(document) for name, document in documents.items()}
