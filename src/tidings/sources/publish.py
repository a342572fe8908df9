"""Events that applications publish."""

import hashlib
import secrets
from uuid import UUID

import msgspec

from tidings.clock import Clock
from tidings.core.errors import ConflictError, InvalidInputError, RenderError
from tidings.core.event import Event, milliseconds, uuid7
from tidings.core.jsontext import stable
from tidings.core.webhook import TypeFilter, parse_filter
from tidings.store import outbox
from tidings.store.database import Connection

MAX_EXTERNAL_ID_LENGTH = 200
RESERVED_FAMILIES = ("table.", "webhook.")


class Published(msgspec.Struct, frozen=True):
    """What became of a publication. `duplicate`: it had been published before, and nothing was sent again."""

    id: UUID
    duplicate: bool


async def publish(
    connection: Connection,
    clock: Clock,
    *,
    group_id: str,
    type_: str,
    data: bytes,
    subject: str | None = None,
    external_id: str | None = None,
) -> Published:
    """Write an event to the outbox, in the caller's transaction.

    Args:
        data: JSON text, kept as it is.
        external_id: The publisher's own id. Publishing it again is answered with the first event's id.

    Raises:
        InvalidInputError: With the field and the reason.
        ConflictError: The same external id was published with another type or other data.
    """
    _check(type_, data, external_id)
    now = clock.now()
    event = Event(
        id=uuid7(milliseconds(now), secrets.randbits(74)),
        group_id=group_id,
        source="publish",
        type=type_,
        operation=None,
        subject=subject,
        table_schema=None,
        table_name=None,
        record=data.decode(),
        old_record=None,
        occurred_at=now,
        external_id=external_id,
    )
    if external_id is not None:
        digest = hashlib.sha256(b"\x00".join((type_.encode(), (subject or "").encode(), data))).digest()
        known = await outbox.claim_external_id(connection, group_id, external_id, event.id, digest)
        if known is not None:
            if known[1] != digest:
                raise ConflictError(
                    f"An event with the id {external_id!r} was published before, with other content. Give this one its own id.",
                    event_id=str(known[0]),
                )
            return Published(known[0], duplicate=True)
    await outbox.publish(connection, event)
    return Published(event.id, duplicate=False)


def _check(type_: str, data: bytes, external_id: str | None) -> None:
    if type_.startswith(RESERVED_FAMILIES):
        raise InvalidInputError("type", f"type is {type_!r}; the families table. and webhook. are made by Tidings.")
    try:
        kind = parse_filter(type_, 0)
    except InvalidInputError:
        kind = None
    if not isinstance(kind, TypeFilter) or type_.endswith("*"):
        raise InvalidInputError("type", f"type is {type_!r}; write a dotted name such as order.paid.")
    if external_id is not None and not 1 <= len(external_id) <= MAX_EXTERNAL_ID_LENGTH:
        raise InvalidInputError("id", f"id must have 1 to {MAX_EXTERNAL_ID_LENGTH} characters.")
    try:
        stable(data)  # what cannot be sent is refused now, not at delivery
    except RenderError as error:
        raise InvalidInputError("data", error.message) from error
