"""What travels from a source to a home: events that were committed and are not routed yet, packed.

A flight is packed once and never changed. Whoever sends it again sends the same bytes under the same name, so that it is landed
once however often it comes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec

from tidings.core.event import Event
from tidings.core.fleet import is_of_home

FORMAT: Final = 1
MAX_EVENTS: Final = 500  # of a flight
_OF_SOURCES: Final = frozenset({"tables", "publish"})
_OWN_TYPES: Final = ("table.", "webhook.")
LEAST_CARRIED: Final = 65_536  # bytes of a message that every server must take
ROOM: Final = 4096  # bytes of a message that are the stream's own, and the frame of the cargo


class _Carried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event as the outbox has it: before rules and routes. Written out: other versions read it, whatever Event becomes."""

    id: UUID
    group_id: str
    source: str
    type: str
    operation: str | None
    subject: str | None
    table_schema: str | None
    table_name: str | None
    record: str | None
    old_record: str | None
    occurred_at: datetime
    external_id: str | None
    webhook_id: UUID | None
    capture_error: str | None
    hops: int | None
    traceparent: str | None = None


class _Cargo(msgspec.Struct, frozen=True, array_like=True):
    format: int
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]
    placed_by: int | None = None  # the version of the directory that it was sent by
    origin: str | None = None  # the source that all of it came from, where another home sends it on


class Unpacked(msgspec.Struct, frozen=True):
    """Events that came.

    Attributes:
        placed_by: The version of the directory that led them here; None: whoever sent them has none.
        origin: The source that they came from, where another home sent them on.
    """

    events: list[Event]
    placed_by: int | None = None
    origin: str | None = None


class Packed(msgspec.Struct, frozen=True):
    """A cargo, and how many events it has."""

    data: bytes
    count: int


_SHARED: Final = len(_Carried.__struct_fields__) - 1  # members that both have, in one order; the trace comes last


class CargoError(ValueError):
    """These bytes are no cargo that this version can read; with the reason."""


_encode = msgspec.msgpack.Encoder().encode
_decode_cargo = msgspec.msgpack.Decoder(_Cargo).decode
_decode_event = msgspec.msgpack.Decoder(_Carried).decode


class ForeignEventError(ValueError):
    """A source has sent an event that none makes; with the reason."""


def check_carried(event: Event, *, is_of_home: bool = False) -> None:
    """Refuse an event that only its home can make: what Tidings tells of itself, or what is meant for one webhook.

    Args:
        is_of_home: It comes from another home, where the group's events may have been made.

    Raises:
        ForeignEventError: It is one.
    """
    if event.occurred_at.tzinfo is None:
        raise ForeignEventError(f"Its time {event.occurred_at.isoformat()} has no zone.")
    if not is_of_home:
        check_origin(event.source, event.type, is_for_one=event.webhook_id is not None)


def check_origin(source: str | None, type_: str | None, *, is_for_one: bool) -> None:
    """Refuse what is said to come from another database and that only a home can make.

    Args:
        is_for_one: It is meant for one webhook.

    Raises:
        ForeignEventError: Only a home makes it.
    """
    if source not in _OF_SOURCES:
        raise ForeignEventError(
            f"Its source is {(source or '')[:60]!r}, and what comes from another database is of tables or publish."
        )
    if is_for_one:
        raise ForeignEventError("It is meant for one webhook, and only the home of a webhook makes such events.")
    if source == "publish" and (type_ or "").startswith(_OWN_TYPES):
        raise ForeignEventError("Its type is of a family that Tidings makes itself.")


def alone(event: Event) -> bytes:
    """Return a cargo of one event."""
    return _encode(_Cargo(FORMAT, [msgspec.Raw(one) for one in packed([event])]))


def packed(events: Iterable[Event]) -> list[bytes]:
    """Return events, each packed alone."""
    return [_encode((*msgspec.structs.astuple(event)[:_SHARED], event.traceparent)) for event in events]


def _event(carried: _Carried) -> Event:
    *shared, traceparent = msgspec.structs.astuple(carried)
    return msgspec.structs.replace(Event(*shared), traceparent=traceparent)


def too_large(sizes: Sequence[int], limit: int) -> list[int]:
    """Return the positions of what no message of so many bytes can carry."""
    return [position for position, size in enumerate(sizes) if size > limit - ROOM]


def flights(carried: Sequence[bytes], limit: int, placed_by: int | None = None, origin: str | None = None) -> list[Packed]:
    """Return cargoes of what was packed, in its order, each of so many bytes at most; none of it may be too large.

    Args:
        placed_by: The version of the directory that says where they go.
        origin: The source that all of it came from, where it is sent on.
    """
    found: list[Packed] = []
    batch: list[msgspec.Raw] = []
    size = 0
    for one in carried:
        if batch and (size + len(one) > limit - ROOM or len(batch) == MAX_EVENTS):
            found.append(Packed(_encode(_Cargo(FORMAT, batch, placed_by, origin)), len(batch)))
            batch, size = [], 0
        batch.append(msgspec.Raw(one))
        size += len(one)
    if batch:
        found.append(Packed(_encode(_Cargo(FORMAT, batch, placed_by, origin)), len(batch)))
    return found


def pieces(cargo: bytes) -> list[Packed]:
    """Return what is in a cargo as several, each of the least that any server carries, or with one event that is larger.

    They depend on the cargo alone: whoever cuts it again cuts it into the same, whatever is carried by then.

    Raises:
        CargoError: It cannot be read.
    """
    try:
        found = _decode_cargo(cargo)
        return flights([bytes(one) for one in found.events], LEAST_CARRIED, found.placed_by, found.origin)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CargoError(f"It cannot be read ({error}).") from error


def piece_id(flight: UUID, at: int) -> UUID:
    """Return the id of a piece of a flight by its position."""
    return uuid5(flight, str(at))


def unpacked(cargo: bytes) -> list[Event]:
    """Return the events of a cargo; as `opened`."""
    return opened(cargo).events


def opened(cargo: bytes) -> Unpacked:
    """Return the events of a cargo, and by what it was sent.

    Raises:
        CargoError: It is none, of a version that is not known here, or an event in it cannot be read.
    """
    try:
        found = _decode_cargo(cargo)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CargoError(f"It cannot be read ({error}).") from error
    if found.format != FORMAT:
        raise CargoError(f"It is of format {found.format}, and this version of Tidings reads {FORMAT}. Upgrade homes first.")
    if found.placed_by is not None and not 0 <= found.placed_by < 2**63:
        raise CargoError(f"It was sent by a directory of version {found.placed_by}, and there is none.")
    try:
        return Unpacked([_event(_decode_event(one)) for one in found.events], found.placed_by, found.origin)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CargoError(f"An event in it cannot be read ({error}).") from error


def origin_of(sender: str, found: Unpacked) -> str:
    """Return the source whose clock events have their order by. A home is believed about it; a source speaks for itself."""
    return found.origin or sender if is_of_home(sender) else sender
