"""Where events come from that are routed: the outbox, or flights that came by the stream. What is done with them is one code.

What is taken is taken inside the transaction that routes it: when that fails, it is as if nothing had been taken.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from tidings.clock import Clock
from tidings.core.event import Event
from tidings.store import outbox, relay
from tidings.store.database import Connection
from tidings.worker.batches import Batch


class AtHand(msgspec.Struct, frozen=True):
    """What was taken, in its order.

    Attributes:
        numbers: Of each event, by which it is told from others: in the outbox, or by its place.
        faults: What cannot become events: its number, and why. Then there are no events.
        uncounted: Those of the events whose bytes nobody has counted yet.
        origins: Of events that came from a source of a fleet, which.
        routes_version: The version of the subscriptions, as of the moment it was taken or later.
        privacy_version: That of the redaction rules.
    """

    events: list[Event] = []
    numbers: list[int] = []
    faults: dict[int, str] = {}
    uncounted: list[Event] = []
    origins: dict[UUID, str] = {}
    routes_version: int = 0
    privacy_version: int = 0


class Supply(Protocol):
    """Where events come from."""

    async def take(self, connection: Connection, batch: Batch) -> AtHand:
        """Take events for a batch, inside the caller's transaction; nothing when there are none."""


class FromOutbox:
    """The outbox: by age, or a share of each group."""

    def __init__(self, clock: Clock, salt: int) -> None:
        self._clock = clock
        self._salt = salt

    async def take(self, connection: Connection, batch: Batch) -> AtHand:
        """Take its oldest rows, or those of the groups whose turn it is."""
        if batch.shares is None:
            taken = await outbox.take(connection, batch.limit)
        else:
            taken = await outbox.take_shares(connection, batch.shares)
        events, faults = outbox.read_events(taken, self._salt, self._clock.now())
        if faults:
            return AtHand(numbers=taken.numbers, faults=faults)
        return AtHand(
            events, taken.numbers, {}, outbox.uncounted(taken, events), outbox.origins(taken, events), taken.routes_version,
            taken.privacy_version,
        )  # fmt: skip


class Arrival(msgspec.Struct, frozen=True):
    """A flight that came by the stream, unpacked."""

    id: UUID
    source: str
    events: list[Event]


class NotNowError(Exception):
    """What came by the stream is to wait in the outbox, behind what waits there."""


class FromStream:
    """Flights, in the order they are to be landed in. Each is noted as landed by what takes its events.

    Attributes:
        new: Those that had not been landed before, once taken.
    """

    def __init__(self, clock: Clock, arrivals: Sequence[Arrival]) -> None:
        self._clock = clock
        self._arrivals = arrivals
        self.new: set[UUID] = set()

    async def take(self, connection: Connection, batch: Batch) -> AtHand:
        """Take what was not landed before.

        Raises:
            NotNowError: Something waits in the outbox: what came before it from the same source, or what others have there.
        """
        landed = await relay.begin_landing(connection, [arrival.id for arrival in self._arrivals])
        if not landed.is_outbox_empty:
            raise NotNowError
        self.new = landed.new
        events, faults, origins = list[Event](), dict[int, str](), dict[UUID, str]()
        now, left = self._clock.now(), set(landed.new)
        for arrival in self._arrivals:
            if arrival.id not in left:
                continue
            left.discard(arrival.id)  # one can come twice at once
            for brought in arrival.events:
                event, fault = outbox.read_brought(brought, now)
                if fault is not None:
                    faults[len(events)] = fault
                events.append(event)
                origins[event.id] = arrival.source
        numbers = list(range(len(events)))
        if faults:
            return AtHand(numbers=numbers, faults=faults)
        return AtHand(events, numbers, {}, events, origins, landed.routes_version, landed.privacy_version)
