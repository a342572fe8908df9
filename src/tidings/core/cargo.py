"""What travels from a source to a home: events that were committed and are not routed yet, packed.

A flight is packed once and never changed. Whoever sends it again sends the same bytes under the same name, so that it is landed
once however often it comes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.event import Event

FORMAT: Final = 1
MAX_EVENTS: Final = 500  # of a flight
ROOM: Final = 4096  # bytes of a message that are the stream's own, and the frame of the cargo


class _Carried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event as the outbox has it: before rules and routes."""

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


class _Cargo(msgspec.Struct, frozen=True, array_like=True):
    format: int
    events: list[msgspec.Raw]


class Packed(msgspec.Struct, frozen=True):
    """A cargo, and how many events it has."""

    data: bytes
    count: int


class CargoError(ValueError):
    """These bytes are no cargo that this version can read; with the reason."""


_encode = msgspec.msgpack.Encoder().encode
_decode_cargo = msgspec.msgpack.Decoder(_Cargo).decode
_decode_event = msgspec.msgpack.Decoder(_Carried).decode


def packed(events: Iterable[Event]) -> list[bytes]:
    """Return events, each packed alone."""
    return [_encode(_Carried(*msgspec.structs.astuple(event)[:15])) for event in events]


def too_large(sizes: Sequence[int], limit: int) -> list[int]:
    """Return the positions of what no message of so many bytes can carry."""
    return [position for position, size in enumerate(sizes) if size > limit - ROOM]


def flights(carried: Sequence[bytes], limit: int) -> list[Packed]:
    """Return cargoes of what was packed, in its order, each of so many bytes at most; none of it may be too large."""
    found: list[Packed] = []
    batch: list[msgspec.Raw] = []
    size = 0
    for one in carried:
        if batch and (size + len(one) > limit - ROOM or len(batch) == MAX_EVENTS):
            found.append(Packed(_encode(_Cargo(FORMAT, batch)), len(batch)))
            batch, size = [], 0
        batch.append(msgspec.Raw(one))
        size += len(one)
    if batch:
        found.append(Packed(_encode(_Cargo(FORMAT, batch)), len(batch)))
    return found


def unpacked(cargo: bytes) -> list[Event]:
    """Return the events of a cargo.

    Raises:
        CargoError: It is none, of a version that is not known here, or an event in it cannot be read.
    """
    try:
        found = _decode_cargo(cargo)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CargoError(f"It cannot be read ({error}).") from error
    if found.format != FORMAT:
        raise CargoError(f"It is of format {found.format}, and this version of Tidings reads {FORMAT}. Upgrade homes first.")
    try:
        return [Event(*msgspec.structs.astuple(_decode_event(one))) for one in found.events]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CargoError(f"An event in it cannot be read ({error}).") from error
