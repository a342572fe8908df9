"""Events that applications publish."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import ConflictError, InvalidInputError, RenderError, TidingsError
from tidings.core.event import Event, milliseconds, uuid7
from tidings.core.event_type import check_data
from tidings.core.filters import TypeFilter, parse_filter
from tidings.core.jsontext import stable
from tidings.core.text import check_text
from tidings.store import event_types, limits, outbox
from tidings.store.database import Connection
from tidings.store.storage import stored_of

MAX_EXTERNAL_ID_LENGTH = 200
RESERVED_FAMILIES = ("table.", "webhook.")


class Published(msgspec.Struct, frozen=True):
    """What became of a publication. `duplicate`: it had been published before, and nothing was sent again."""

    id: UUID
    duplicate: bool


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event as its publisher says it.

    Attributes:
        data: JSON text, kept as it is.
        external_id: The publisher's own id. Publishing it again is answered with the first event's id.
    """

    type: str
    data: bytes
    subject: str | None = None
    external_id: str | None = None

    @property
    def size(self) -> int:
        """How much there is to keep, in characters or bytes, about."""
        return len(self.data) + len(self.subject or "")

    @property
    def digest(self) -> bytes:
        """Tells one content from another."""
        return hashlib.sha256(b"\x00".join((self.type.encode(), (self.subject or "").encode(), self.data))).digest()


async def publish(
    connection: Connection, group_id: str, drafts: Sequence[Draft], now: datetime, *, is_counted: bool = False
) -> list[Published | TidingsError]:
    """Write events to the outbox, in the caller's transaction, and return what became of each.

    A draft that cannot be accepted is answered with the reason and keeps none of the others.

    Args:
        is_counted: Their bytes are counted here, since their group has limits; else where they are routed.
    """
    results: dict[int, Published | TidingsError] = {}
    events: dict[int, Event] = {}
    for position, draft in enumerate(drafts):
        try:
            check(draft)
            events[position] = event_of(group_id, draft, now)
        except InvalidInputError as error:
            results[position] = error
    schemas = await event_types.schemas(connection, {(group_id, event.type) for event in events.values()})
    results |= refused_by_schema(events, schemas)
    fit = {position: event for position, event in events.items() if position not in results}
    results |= await _known(connection, group_id, drafts, fit)
    news = {position: event for position, event in fit.items() if position not in results}
    if news:
        await outbox.publish(connection, list(news.values()), is_counted=is_counted)
        if is_counted:
            await limits.add(connection, stored_of(news.values()))
    results |= {position: Published(event.id, duplicate=False) for position, event in news.items()}
    return [results[position] for position in range(len(drafts))]


def check(draft: Draft) -> None:
    """Refuse what cannot be stored or sent, whatever the schema of its type says.

    Raises:
        InvalidInputError: With the field.
    """
    check_type(draft.type)
    for field, value in (("subject", draft.subject), ("id", draft.external_id)):
        if value is not None and "\x00" in value:
            raise InvalidInputError(field, f"{field} contains U+0000, which PostgreSQL cannot store.")
    if draft.external_id is not None and not 1 <= len(draft.external_id) <= MAX_EXTERNAL_ID_LENGTH:
        raise InvalidInputError("id", f"id must have 1 to {MAX_EXTERNAL_ID_LENGTH} characters.")
    try:
        stable(draft.data)  # what cannot be sent is refused now, not at delivery
    except RenderError as error:
        raise InvalidInputError("data", error.message) from error


def refused_by_schema(
    events: Mapping[int, Event], schemas: Mapping[event_types.TypeKey, event_types.Schema | None]
) -> dict[int, InvalidInputError]:
    """Return, for each event whose data does not match its type's schema, why."""
    refused: dict[int, InvalidInputError] = {}
    for position, event in events.items():
        if (schema := schemas.get((event.group_id, event.type))) is not None:
            try:
                check_data(event.type, schema.text, event.record or "null")
            except InvalidInputError as error:
                refused[position] = error
    return refused


def answer_again(draft: Draft, event_id: UUID, digest: bytes) -> Published | ConflictError:
    """Return what to answer where a publisher's id stands for an event already, whose content has this digest."""
    if digest == draft.digest:
        return Published(event_id, duplicate=True)
    return ConflictError(
        f"An event with the id {draft.external_id!r} was published before, with other content. Give this one its own id.",
        event_id=str(event_id),
    )


def event_of(group_id: str, draft: Draft, now: datetime, traceparent: str | None = None) -> Event:
    """Return the event that a draft becomes, in the trace that its publication belongs to."""
    return Event(
        new_id(now), group_id, "publish", draft.type, None, draft.subject, None, None, draft.data.decode(), None, now,
        draft.external_id, traceparent=traceparent,
    )  # fmt: skip


def new_id(now: datetime) -> UUID:
    """Return an id for something that happens now."""
    return uuid7(milliseconds(now), secrets.randbits(74))


def new_event(group_id: str, source: str, type_: str, record: str | None, now: datetime, **more: Any) -> Event:
    """Return an event that happens now and is not the change of a row.

    Args:
        more: Further fields of the event; those that are missing are None.
    """
    blank = dict.fromkeys(("operation", "subject", "table_schema", "table_name", "old_record"))
    given = {"id": new_id(now), "group_id": group_id, "source": source, "type": type_, "record": record, "occurred_at": now}
    return Event(**{**blank, **given, **more})


async def _known(
    connection: Connection, group_id: str, drafts: Sequence[Draft], events: Mapping[int, Event]
) -> dict[int, Published | TidingsError]:
    """Remember the publishers' ids, and return what to answer where one was known, or stands in the batch twice."""
    first: dict[str, int] = {}
    repeats: dict[int, str] = {}
    for position in events:
        if (external_id := drafts[position].external_id) is not None:
            if external_id in first:
                repeats[position] = external_id
            else:
                first[external_id] = position
    if not first:
        return {}
    claims = [(external_id, events[position].id, drafts[position].digest) for external_id, position in first.items()]
    known = await outbox.claim_external_ids(connection, group_id, claims)
    repeats |= {position: external_id for external_id, position in first.items() if external_id in known}
    known = {external_id: (event_id, digest) for external_id, event_id, digest in claims} | known
    return {position: answer_again(drafts[position], *known[external_id]) for position, external_id in repeats.items()}


@lru_cache(maxsize=4096)  # the same few types come again and again
def check_type(type_: str) -> None:
    """Refuse what applications cannot publish.

    Raises:
        InvalidInputError: With what to write.
    """
    check_text(type_, "type")
    if type_.startswith(RESERVED_FAMILIES):
        raise InvalidInputError("type", f"type is {type_!r}; the families table. and webhook. are made by Tidings.")
    try:
        kind = parse_filter(type_, 0)
    except InvalidInputError:
        kind = None
    if not isinstance(kind, TypeFilter) or type_.endswith("*"):
        raise InvalidInputError("type", f"type is {type_!r}; write a dotted name such as order.paid.")
