"""Events: publish them, search them, read them."""

from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.batch import refusal_of_all
from tidings.core.errors import InvalidInputError, TidingsError
from tidings.core.event import Event, row_id
from tidings.core.redaction import read_mark
from tidings.operations.history.search import Asked, Found, Paging, find_events
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.profiles.parts import current
from tidings.sources import publish as publishing
from tidings.sources.publish import Draft, Published
from tidings.store import search


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event of history. `record` and `old_record` are JSON text, as they were committed.

    Attributes:
        delivery_count: How many webhooks wanted it.
        redacted: The paths of what a rule keeps out of it; `(subject)` for its subject.
        payload_gone: Why its payload is not kept any more, `retention` or `erasure`; None: it is.
        traceparent: The trace that it belongs to (`core.trace`); None: of none.
    """

    id: UUID
    source: str
    type: str
    operation: str | None
    subject: str | None
    schema: str | None
    table: str | None
    record: str | None
    old_record: str | None
    occurred_at: datetime
    external_id: str | None
    capture_error: str | None
    delivery_count: int
    redacted: tuple[str, ...] = ()
    payload_gone: str | None = None
    payload_gone_at: datetime | None = None
    traceparent: str | None = None


def publish(services: Services, draft: Draft) -> Awaitable[Published]:
    """Publish an event, together with those that others publish at the same moment.

    Raises:
        LimitReachedError: The group publishes too much (`core.limits`).
        PayloadTooLargeError: The event is larger than the group may send.
        TidingsError: As `Publisher.publish` does.
    """
    if services.hops:
        return _publish_alone(services, draft)
    if services.allowance.is_free(services.group_id):
        return services.publisher.publish(services.group_id, draft, services.clock.now(), traceparent=services.traceparent)
    return _publish_within(services, draft)


async def _publish_within(services: Services, draft: Draft) -> Published:
    """Publish an event of a group that has limits, or may have."""
    group_id, allowance = services.group_id, services.allowance
    await allowance.check(group_id, [len(draft.data)])
    is_counted = allowance.is_counting(group_id)
    now, trace = services.clock.now(), services.traceparent
    return await services.publisher.publish(group_id, draft, now, is_counted=is_counted, traceparent=trace)


async def _publish_alone(services: Services, draft: Draft) -> Published:
    """Publish an event that deliveries led to: the transaction says so, and is its own."""
    (published,) = await publish_all(services, [draft])
    if isinstance(published, TidingsError):
        raise published
    return published


async def publish_all(services: Services, drafts: Sequence[Draft | InvalidInputError]) -> list[Published | TidingsError]:
    """Publish several events in one transaction. What cannot be accepted keeps none of the others.

    Of a group with limits as many are taken as they allow, in their order; the others are answered with why not.

    Args:
        drafts: An error stands for what could not even be read; it comes back in its place.
    """
    group_id = services.group_id
    readable = [draft for draft in drafts if isinstance(draft, Draft)]
    refusals: list[TidingsError | None] = [None] * len(readable)
    if not services.allowance.is_free(group_id):
        refusals = await services.allowance.admit(group_id, [len(draft.data) for draft in readable])
    within = [draft for draft, refusal in zip(readable, refusals, strict=True) if refusal is None]
    is_counted = services.allowance.is_counting(group_id)
    published: Iterator[Published | TidingsError] = iter(())
    if within:
        async with services.database.transaction() as connection:
            published = iter(
                await publishing.publish(connection, group_id, within, services.clock.now(), is_counted=is_counted)
            )
    answers = iter([next(published) if refusal is None else refusal for refusal in refusals])
    return [next(answers) if isinstance(draft, Draft) else draft for draft in drafts]


async def publish_batch(
    services: Services, lines: Sequence[tuple[int, Draft | InvalidInputError]], *, form: str | None = None
) -> list[tuple[int, Published | TidingsError]]:
    """Publish the events of a batch as `publish_all` does, and return what came of each line, with its number.

    Args:
        lines: Their numbers and what they say; one at least.
        form: What is said when none is accepted since the whole is no batch.

    Raises:
        TidingsError: None was accepted: what the first line would have been refused with alone.
        LimitReachedError: All come too soon.
    """
    results = await publish_all(services, [draft for _, draft in lines])
    told = [(number, result) for (number, _), result in zip(lines, results, strict=True)]
    if (refusal := refusal_of_all(told, form)) is not None:
        raise refusal
    return told


def headers(services: Services) -> dict[str, str]:
    """Return what tells a publisher how much of the group's limits is left; nothing where it has none."""
    return services.allowance.headers(services.group_id)


async def find(services: Services, asked: Asked, paging: Paging) -> Found[RecordedEvent]:
    """Return a page of events, newest first.

    Raises:
        InvalidInputError: The cursor is not this question's, or a type is unknown.
    """
    async with services.database.snapshot() as connection:
        result = await find_events(services, connection, asked, paging)
        rows = await search.events(connection, services.group_id, result.page.ids)
    return Found(result, [recorded(row) for row in rows])


async def read(services: Services, event_id: UUID) -> RecordedEvent:
    """Return an event. One that was published a moment ago is there once it is routed.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        rows = await search.events(connection, services.group_id, [event_id])
    sentence = f"There is no event {event_id}; history is kept for the days of retention."
    return recorded(there(next(iter(rows), None), sentence))


def record_id(event: Event) -> str | None:
    """Return the id of the row an event is about, when it has one."""
    return None if event.operation is None else row_id(current(event))


def recorded(row: Any) -> RecordedEvent:
    """Return a row of `store.search.events` as an event."""
    renamed = {"schema": row["table_schema"], "table": row["table_name"]}
    mark = read_mark(row["redaction"])
    made = renamed | {"redacted": () if mark is None else mark.hidden}
    fields = {name: row[name] for name in RecordedEvent.__struct_fields__ if name not in made}
    return RecordedEvent(**fields, **made)
