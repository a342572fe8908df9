"""Deliveries for a client of a listener: leased, made ready to be sent, and waited for."""

from datetime import datetime
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.delivery import Delivery
from tidings.core.errors import BusyError, ConflictError, InvalidInputError, RenderError
from tidings.core.event import Event
from tidings.core.listening import (
    LEASE_SECONDS,
    MAX_ANSWER_BYTES,
    MAX_CLIENTS,
    MAX_HELD,
    MAX_LEASED,
    MAX_LEFT,
    MAX_WAIT_SECONDS,
)
from tidings.core.outcome import Exchange
from tidings.core.webhook import Webhook
from tidings.operations.listening.listeners import listened
from tidings.operations.listening.results import Told, write
from tidings.operations.services import Services
from tidings.profiles import Prepared, describe, prepare
from tidings.store import flights, listening, payloads, webhooks
from tidings.store.database import Connection

MAX_WAITS: Final = 64  # requests of one process that wait for deliveries
HELD_UP_SECONDS: Final = 0.1  # until the next look when what is due cannot go out: in an ordered lane another is before it
LOOK_SECONDS: Final = 2.0  # between looks while nothing rings: should a ring be lost
_GONE: Final = (
    "There is nothing to send: its event is not in history, or its payload is hidden for good, past its time, or erased."
)


class TakeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client asks for.

    `session`: its own id, which it made up. `held`: the leases it has, of which no result was acknowledged; what it was given
    beside these has not reached it, and is given again. `limit`: how many deliveries more at most; 0 with nothing held ends the
    session, for good.
    """

    session: UUID
    held: list[int] = []
    limit: int = MAX_LEASED
    wait_seconds: float = 0.0


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that a client has until it tells what came of it, or is silent for half a minute.

    `headers` and `body` are what a worker would have sent now, its signature among them. `version` is the webhook's.
    """

    lease: int
    id: UUID
    event_id: UUID
    event: str
    attempt_number: int
    method: str
    headers: list[tuple[str, str]]
    body: str
    timeout_seconds: float
    version: int


class Taken(msgspec.Struct, frozen=True):
    """What a client was given. `waiting`: how many deliveries wait beside these. `is_latest`: no later one took its place.

    `held_until`: until when nothing is given out, since the receiver asked to be left alone, or, of a listener with order, what
    is first waits for its next attempt.
    """

    deliveries: list[Leased]
    waiting: int
    is_latest: bool = True
    held_until: datetime | None = None


_OVER: Final = Taken([], 0, is_latest=False)


async def take(services: Services, listener_id: UUID, asked: TakeAsked) -> Taken:
    """Lease deliveries to a client, and wait for some when there are none yet. It renews the client's lease on what it holds.

    Raises:
        BusyError: Too many wait in this process.
        ConflictError: The listener has as many clients as it may have, or the session is over.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such listener.
    """
    _check(asked)
    turn = await _begin(services, listener_id, asked)
    room = min(asked.limit, MAX_LEASED, MAX_HELD - len(asked.held))
    until = monotonic() + asked.wait_seconds
    if asked.wait_seconds and services.bell.waiting >= MAX_WAITS:
        raise BusyError("As many clients of listeners wait here as may. Try again in a moment.")
    with services.bell.heard(listener_id) as ear:
        while True:
            ear.clear()
            taken, due_in = await _look(services, listener_id, asked.session, turn, room)
            left = until - monotonic()
            if taken.deliveries or not taken.is_latest or left <= 0 or room <= 0 or services.bell.is_closed:
                return taken
            await ear.wait(min(left, due_in))


def _check(asked: TakeAsked) -> None:
    if not 0 <= asked.limit <= MAX_LEASED:
        raise InvalidInputError("limit", f"limit must be 0 to {MAX_LEASED}.")
    if not 0 <= asked.wait_seconds <= MAX_WAIT_SECONDS:
        raise InvalidInputError("wait_seconds", f"wait_seconds must be 0 to {MAX_WAIT_SECONDS:.0f}.")
    if len(asked.held) > MAX_HELD or not all(0 <= lease < 2**63 for lease in asked.held):
        raise InvalidInputError("held", f"held must name at most {MAX_HELD} leases, as they were given.")


async def _begin(services: Services, listener_id: UUID, asked: TakeAsked) -> UUID | None:
    """Take note of a request, and put back what has not reached its client; return its turn; None: the session ends with it."""
    async with services.wide.transaction() as connection:
        await listened(services, connection, listener_id)
        await listening.hear(connection, listener_id)
        is_leaving = asked.limit == 0 and not asked.held
        turn = await _begin_turn(connection, listener_id, asked.session, is_leaving=is_leaving)
        lost = await listening.unheld(connection, asked.session, listener_id, asked.held)
        if await flights.put_back(connection, lost, None):
            await listening.ring(connection, [listener_id])
        if is_leaving:
            await listening.end_session(connection, asked.session, listener_id)
            return None
        return turn


async def _begin_turn(connection: Connection, listener_id: UUID, session: UUID, *, is_leaving: bool) -> UUID:
    """Return the turn of a request of a client, which is entered when it is new."""
    if (there_is := await listening.begin_turn(connection, session, listener_id)) is not None:
        turn, is_over = there_is
        if is_over and not is_leaving:  # perhaps sent before it left, and late
            raise ConflictError("The session is over; make up another id.")
        return turn
    clients, left = await listening.count_sessions(connection, listener_id)
    if clients >= MAX_CLIENTS and not is_leaving:
        raise ConflictError(f"The listener has {MAX_CLIENTS} clients, and no room for another.")
    if left >= MAX_LEFT:
        raise ConflictError(
            f"{MAX_LEFT:,} clients left the listener within {LEASE_SECONDS:.0f} seconds. Keep a session for many requests."
        )
    begun = await listening.begin_session(connection, session, listener_id)
    if begun is None:
        raise ConflictError("The session is another listener's; make up another id.")
    return begun


async def _look(services: Services, listener_id: UUID, session: UUID, turn: UUID | None, room: int) -> tuple[Taken, float]:
    """Lease what is due now; return it, and in how many seconds to look again when that is nothing."""
    async with services.database.connection() as connection:  # who only waits locks and writes nothing
        waits = await listening.waits(connection, listener_id)
    if waits is None:
        return _OVER, 0.0
    due_in = LOOK_SECONDS if waits.due_at is None else (waits.due_at - services.clock.now()).total_seconds()
    if room <= 0 or turn is None or due_in > 0:
        return Taken([], waits.count, held_until=waits.held_until), min(LOOK_SECONDS, due_in)
    async with services.wide.transaction() as connection:
        if not await listening.hold_turn(connection, session, turn):
            return _OVER, 0.0
        webhook = await webhooks.open_webhook(connection, services.box, services.group_id, listener_id)
        leased = [] if webhook is None else await _lease(services, connection, webhook, session, room)
    return Taken(leased, max(0, waits.count - len(leased)), held_until=waits.held_until), HELD_UP_SECONDS


async def _lease(services: Services, connection: Connection, webhook: Webhook, session: UUID, room: int) -> list[Leased]:
    now = services.clock.now()
    deliveries = await listening.lease(connection, session, webhook.id, now, room)
    if not deliveries:
        return []
    events = await payloads.events_to_send(connection, services.box, list({d.event_id for d in deliveries}))
    prepared = prepare(webhook, services.keys.current)
    leased: list[Leased] = []
    broken: dict[int, Told] = {}
    size = 0
    for place, delivery in enumerate(deliveries):
        event = events.get(delivery.event_id)
        made = _made(prepared, event, delivery, int(now.timestamp()))
        if isinstance(made, Told):
            broken[delivery.flight_id] = made
            continue
        size += len(made.body)
        if leased and size > MAX_ANSWER_BYTES:
            await flights.put_back(connection, [each.flight_id for each in deliveries[place:]], None)
            break
        leased.append(made)
    if broken:
        await write(services, connection, webhook, session, broken)
    return leased


def _made(prepared: Prepared, event: Event | None, delivery: Delivery, timestamp: int) -> Leased | Told:
    """Return a delivery as its client sends it, or what came of it when it cannot be written."""
    webhook = prepared.webhook
    if event is None:
        return Told(Exchange(failure="render", error=_GONE), webhook.version)
    try:
        request = describe(prepared.write(event, delivery.id, timestamp, number=delivery.attempt_number))
    except RenderError as error:
        return Told(Exchange(failure="render", error=error.message), webhook.version)
    return Leased(
        lease=delivery.flight_id,
        id=delivery.id,
        event_id=event.id,
        event=event.type,
        attempt_number=delivery.attempt_number,
        method=request.method,
        headers=[(name, value) for name, value in request.headers if name.lower() not in {"host", "content-length"}],
        body=request.body.decode(),
        timeout_seconds=webhook.timeout_seconds,
        version=webhook.version,
    )
