"""What is to be sent of events that are kept without what rules hide: sealed, and for as long as a delivery needs it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.errors import StartupError
from tidings.core.event import Event, day_of, delivery_id_bounds, uuid7
from tidings.core.redaction import Redaction, read_mark
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("payloads")

FIRST_LOOK: Final = timedelta(seconds=2)  # after an event was routed: most deliveries have ended then


class Whole(msgspec.Struct, frozen=True, gc=False):
    """What is sealed of an event."""

    record: str | None = None
    old_record: str | None = None
    subject: str | None = None
    external_id: str | None = None
    capture_error: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Whole).decode


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How the deliveries of an event stand."""

    is_open: bool
    has_failed: bool


async def keep(connection: Connection, box: SecretBox, wholes: Sequence[tuple[Event, Redaction]], now: datetime) -> None:
    """Seal the whole payloads of events that are kept without some of it, each with what rules do to it."""
    if wholes:
        await connection.execute(
            _SQL["seal"],
            [event.id for event, _ in wholes],
            [event.group_id for event, _ in wholes],
            [_sealed(box, event) for event, _ in wholes],
            [mark.resend_hours for _, mark in wholes],
            [now + FIRST_LOOK] * len(wholes),
        )


async def end_later(connection: Connection, ends: Mapping[UUID, tuple[str, datetime]]) -> None:
    """Write down when payloads of events end: of each its group, and the time."""
    if ends:
        groups, times = zip(*ends.values(), strict=True)
        await connection.execute(_SQL["end_later"], list(ends), groups, times)


def _sealed(box: SecretBox, event: Event) -> bytes:
    whole = Whole(event.record, event.old_record, event.subject, event.external_id, event.capture_error)
    try:
        text = _encode(whole).decode()
    except UnicodeEncodeError:  # half a surrogate pair; PostgreSQL never gives one, since text is UTF-8
        text = _encode(Whole(event.record)).decode()
    return box.seal(text, event.id)


def opened(box: SecretBox, sealed: bytes, event: Event) -> Event | None:
    """Return an event as it was, or None when it cannot be read any more, as under another key."""
    whole = read_sealed(box, sealed, event.id)
    if whole is None:
        return None
    return msgspec.structs.replace(event, **{name: getattr(whole, name) for name in Whole.__struct_fields__})


def read_sealed(box: SecretBox, sealed: bytes, event_id: UUID) -> Whole | None:
    """Return what is sealed of an event, or None when it cannot be read any more."""
    try:
        return _decode(box.open(sealed, event_id))
    except (StartupError, msgspec.MsgspecError):
        return None


async def events_to_send(connection: Connection, box: SecretBox, ids: Sequence[UUID]) -> dict[UUID, Event]:
    """Return events as they are to be sent. Those are left out that cannot be: gone, or hidden for good."""
    rows = await connection.fetch(_SQL["events"], ids, min(ids), max(ids)) if ids else []
    found: dict[UUID, Event] = {}
    for row in rows:
        *columns, sealed = row
        event = Event(*columns)
        mark = read_mark(event.redaction)
        if event.payload_gone is not None:
            continue
        if mark is None or not mark.hidden:
            found[event.id] = event
        elif sealed is not None and (whole := opened(box, sealed, event)) is not None:
            found[event.id] = whole
    return found


async def is_there(connection: Connection, event_id: UUID) -> bool:
    """Tell whether an event can be sent as it was."""
    is_it: bool = await connection.fetchval(_SQL["is_there"], event_id)
    return is_it


# Taking away ---------------------------------------------------------------------------------------------------------------


async def sealed_due(connection: Connection, now: datetime, limit: int) -> list[Any]:
    """Return what of sealed payloads is to be looked at, locked: `event_id`, `resend_hours`, `look_count`, `ends_at`."""
    rows: list[Any] = await connection.fetch(_SQL["sealed_due"], now, limit)
    return rows


async def ends_due(connection: Connection, now: datetime, limit: int) -> list[UUID]:
    """Return events whose payloads are to end, locked."""
    return [row[0] for row in await connection.fetch(_SQL["ends_due"], now, limit)]


async def standing(connection: Connection, event_ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """Return how the deliveries of events stand."""
    rows = await connection.fetch(_SQL["standing"], event_ids, *await bounds_of(connection, event_ids))
    return {row["id"]: Standing(row["is_open"], row["has_failed"]) for row in rows}


async def bounds_of(connection: Connection, event_ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Return of events the smallest and the largest ids that their deliveries can have."""
    exact_from: int | None = await connection.fetchval(_SQL["exact_ids_from"])
    bounds = [
        delivery_id_bounds(id_)
        if id_.int >> 80 >= (exact_from or 0)
        else (uuid7(id_.int >> 80, 0), uuid7(id_.int >> 80, (1 << 74) - 1))
        for id_ in event_ids
    ]
    return [low for low, _ in bounds], [high for _, high in bounds]


async def look_later(connection: Connection, times: Mapping[UUID, tuple[datetime, bool]]) -> None:
    """Look at sealed payloads again at a time, which is the end of their time or not."""
    if times:
        at, is_end = zip(*times.values(), strict=True)
        await connection.execute(_SQL["look_later"], list(times), at, is_end)


async def shred(connection: Connection, event_ids: Sequence[UUID]) -> None:
    """Delete sealed payloads."""
    if event_ids:
        await connection.execute(_SQL["shred"], event_ids)


async def put_off(connection: Connection, event_ids: Sequence[UUID], until: datetime) -> None:
    """Look again later at payloads that are to end."""
    if event_ids:
        await connection.execute(_SQL["put_off"], event_ids, until)


async def uncount(connection: Connection, event_ids: Sequence[UUID]) -> None:
    """Count the payloads of events as stored no more, in the transaction that takes them out. Answers go on counting."""
    days = [day_of(event_id) for event_id in event_ids]
    await connection.execute(_SQL["uncount"], event_ids, days, min(event_ids), max(event_ids))


async def empty(connection: Connection, event_ids: Sequence[UUID], why: str, now: datetime) -> None:
    """Take the payloads of events, and what was answered to them, out of history. Their records stay."""
    if not event_ids:
        return
    await uncount(connection, event_ids)
    await connection.execute(_SQL["empty"], event_ids, min(event_ids), max(event_ids), why, now)
    await connection.execute(_SQL["empty_responses"], event_ids, *await bounds_of(connection, event_ids))
    await connection.execute(_SQL["shred"], event_ids)
    await connection.execute(_SQL["forget_ends"], event_ids)


async def next_window(connection: Connection, behind: UUID, before: UUID, limit: int) -> list[Any]:
    """Return events in the order of their ids, `id` and `has_payload`."""
    rows: list[Any] = await connection.fetch(_SQL["window"], behind, before, limit)
    return rows


async def position(connection: Connection) -> UUID | None:
    """Return how far payloads were taken out by age, locked; None: another process is at it."""
    await connection.execute(_SQL["begin_position"])
    found: UUID | None = await connection.fetchval(_SQL["position"])
    return found


async def advance(connection: Connection, to: UUID) -> None:
    """Write down how far payloads were taken out."""
    await connection.execute(_SQL["advance"], to)
