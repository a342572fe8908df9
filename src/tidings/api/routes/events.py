"""`/api/v1/events`: publishing, and reading what happened."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import paging, with_pages
from tidings.api.http.questions import asked_of_events
from tidings.api.routes.explanations import explain_event
from tidings.core.errors import InvalidInputError, TidingsError
from tidings.operations.history import events
from tidings.operations.history.events import RecordedEvent
from tidings.operations.history.search import Asked, Paging
from tidings.operations.services import Services
from tidings.sources.publish import Draft, Published

MAX_BATCH = 10_000
MAX_BATCH_BYTES = 33_554_432
_LINES = (
    'This call takes NDJSON: one event a line, such as {"type": "order.paid", "data": {}}. Send a file with '
    "curl -H 'Content-Type: application/x-ndjson' --data-binary @events.ndjson; `jq -c '.[]'` makes lines of an array."
)


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event to publish.

    Attributes:
        type: A dotted name, such as `order.paid`.
        data: Any JSON. It is kept and sent with the digits it came with.
        subject: What the event is about, for people and searches.
        id: Your own id of the fact. Publishing it again sends nothing again.
    """

    type: str
    data: Any
    subject: str | None = None
    id: str | None = None


class _RawData(msgspec.Struct, frozen=True):
    """The data of a new event as the text it came as: reading it as numbers would lose digits."""

    data: msgspec.Raw


class _Line(NewEvent, frozen=True, forbid_unknown_fields=True):
    """One line of a batch, its data as text."""

    data: msgspec.Raw


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_data = msgspec.json.Decoder(_RawData).decode


class LineError(msgspec.Struct, frozen=True):
    """Why a line of a batch was not accepted; lines are counted from 1. `retry_after_seconds`: of one that came too soon."""

    line: int
    error: str
    code: str
    field: str | None = None
    retry_after_seconds: int | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of a batch. `ids`: of each line that is not blank the event's id, null where it was not accepted."""

    accepted: int
    duplicates: int
    ids: list[UUID | None]
    errors: list[LineError]


class EventView(msgspec.Struct, frozen=True):
    """An event as read. `record` and `old_record` are as they were committed, but for what `redacted` names; null once
    `payload_gone` says why they went (`retention`, `erasure`).
    """

    id: UUID
    source: str
    type: str
    operation: str | None
    subject: str | None
    schema: str | None
    table: str | None
    record: msgspec.Raw
    old_record: msgspec.Raw
    occurred_at: datetime
    external_id: str | None
    capture_error: str | None
    delivery_count: int
    redacted: tuple[str, ...]
    payload_gone: str | None
    payload_gone_at: datetime | None


@post("/", status_code=202)
async def publish_event(
    services: NamedDependency[Services], request: Request[Any, Any, Any], data: JSONBody[NewEvent]
) -> Response[Published]:
    """Publish an event. When this answers 202, it is committed and will be delivered; publishing an `id` again is answered with
    the first event's id. After 503 with code UNAVAILABLE it may or may not be committed: publish it again, with the same `id`.
    Beyond the group's limits it is refused with 413 or 429 and nothing is committed; headers tell what is left of them.
    """
    published = await publish_one(services, await request.body(), data)
    return Response(published, headers=events.headers(services))


async def publish_one(services: Services, body: bytes, said: NewEvent) -> Published:
    """Publish the event that a body is.

    Args:
        said: The body as read.

    Raises:
        TidingsError: As `Publisher.publish` does.
    """
    return await events.publish(services, Draft(said.type, bytes(_decode_data(body).data), said.subject, said.id))


@post("/batch", status_code=202, request_max_body_size=MAX_BATCH_BYTES)
async def publish_batch(services: NamedDependency[Services], request: Request[Any, Any, Any]) -> Response[BatchResult]:
    """Publish up to 10,000 events, one JSON document a line (NDJSON), each as to `POST /api/v1/events`.

    Lines that cannot be accepted are told with their number and keep none of the others. When this answers, the rest is
    committed and will be delivered. Of a group with limits as many lines are taken as they allow, in their order; the others
    are told with code LIMIT_REACHED, to be published again later, or PAYLOAD_TOO_LARGE. When none of the lines can be accepted
    it is an error: that of the first line, as if it had come alone, with its number; 429 when all come too soon.
    """
    lines = [(number, line) for number, line in enumerate((await request.body()).split(b"\n"), 1) if line.strip()]
    if not 1 <= len(lines) <= MAX_BATCH:
        raise InvalidInputError(
            "body", f"body has {len(lines)} lines; write 1 to {MAX_BATCH} events, one JSON document a line."
        )
    if lines[0][1].lstrip().startswith(b"["):  # before a line of it that is an event by chance is taken
        raise InvalidInputError("body", f"The body is a JSON array. {_LINES}")
    results = await events.publish_batch(
        services, [(number, _read_line(line)) for number, line in lines], form=_other_form([line for _, line in lines])
    )
    return Response(_batch_result(results), headers=events.headers(services))


def _other_form(lines: list[bytes]) -> str | None:
    """Tell what a body is that has no event for a line, as far as one can tell; None: nothing that we know."""
    first = lines[0].strip()
    if len(lines) == 1 and re.search(rb"\}\s*\{", first):
        return (
            f"The body has several documents in one line, as `curl -d @file` makes of lines: it takes out their ends. {_LINES}"
        )
    if len(lines) > 1 and first == b"{":
        return f"The body is JSON over several lines. {_LINES}"
    return None


def _read_line(line: bytes) -> Draft | InvalidInputError:
    try:
        said = _decode_line(line)
        line.decode()  # PostgreSQL takes nothing but UTF-8
    except UnicodeDecodeError:
        return InvalidInputError("line", "The line is not UTF-8.")
    except (msgspec.DecodeError, RecursionError) as error:
        return InvalidInputError("line", f"The line is not an event: {error or 'it is nested too deeply'}.")
    return Draft(said.type, bytes(said.data), said.subject, said.id)


def _batch_result(results: list[tuple[int, Published | TidingsError]]) -> BatchResult:
    published = [result for _, result in results if isinstance(result, Published)]
    duplicates = sum(result.duplicate for result in published)
    return BatchResult(
        accepted=len(published) - duplicates,
        duplicates=duplicates,
        ids=[result.id if isinstance(result, Published) else None for _, result in results],
        errors=[
            LineError(
                number, result.message, result.code, result.details.get("field"), result.details.get("retry_after_seconds")
            )
            for number, result in results
            if isinstance(result, TidingsError)
        ],
    )


@get(
    "/",
    dependencies={
        "asked": Provide(asked_of_events, sync_to_thread=False),
        "paging": Provide(paging, sync_to_thread=False),
    },
)
async def list_events(
    services: NamedDependency[Services],
    asked: NamedDependency[Asked],
    paging: NamedDependency[Paging],
    request: Request[Any, Any, Any],
) -> Response[list[EventView]]:
    """List events, newest first. Headers tell where to go on, and how far was looked, as for deliveries."""
    found = await events.find(services, asked, paging)
    return with_pages(request, found.result, [_view(event) for event in found.items])


@get("/{event_id:uuid}")
async def get_event(services: NamedDependency[Services], event_id: FromPath[UUID]) -> EventView:
    """Read an event. One that was published a moment ago is there once it is routed."""
    return _view(await events.read(services, event_id))


def _view(event: RecordedEvent) -> EventView:
    fields: dict[str, Any] = {name: getattr(event, name) for name in EventView.__struct_fields__}
    documents = {name: msgspec.Raw((fields[name] or "null").encode()) for name in ("record", "old_record")}
    return EventView(**fields | documents)


router = Router(
    "/api/v1/events", route_handlers=[publish_event, publish_batch, list_events, get_event, explain_event], tags=["Events"]
)
