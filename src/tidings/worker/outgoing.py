"""What waits at a source for one home: the first flights at hand, the others in the database, in one order.

A home that takes nothing keeps its own flights and nobody else's. So each has a line of its own, of which only the beginning
is in memory, however long it is.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.pressure import Waits, Why
from tidings.store.relay import Flight, Load
from tidings.worker.signals import Signal

MAX_AT_HAND: Final = 16  # flights
MAX_BYTES_AT_HAND: Final = 4 * 2**20  # of them; one is at hand however large it is
FRAME: Final = 200  # bytes that a flight takes in the database beside its cargo


class Outgoing:
    """The line of one home.

    Attributes:
        flights: That the stream does not have yet, and `events` of them; `bytes` that they take in the database.
        earlier: Flights of these that were there when it began.
        why: Why the first of them is not taken.
        is_drained: The home is drained: nothing is sent to it.
        is_sending: The first is on its way, or was and may yet arrive.
        call: Is set when there is something to send, or when the home is drained no more.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.flights = self.events = self.bytes = self.earlier = 0
        self.why = Why.NOTHING
        self.is_drained = False
        self.is_sending = False
        self.call = Signal()
        self._at_hand: deque[Flight] = deque()
        self._bytes_at_hand = 0
        self._behind: int | None = None  # the number of the last at hand, behind which others are; None: there are none

    def begin(self, load: Load | None) -> None:
        """Begin with what is in the database."""
        self._at_hand.clear()
        self._bytes_at_hand = 0
        self._behind = None if load is None else 0
        load = load or Load(0, 0, 0)
        self.earlier = load.flights
        self.flights, self.events, self.bytes = load.flights, load.events, load.bytes + FRAME * load.flights

    @property
    def first(self) -> Flight | None:
        """What is to be sent next, if it is at hand."""
        return self._at_hand[0] if self._at_hand else None

    @property
    def behind(self) -> int | None:
        """Behind which number the next are to be read; None: all are at hand, or enough."""
        return self._behind if len(self._at_hand) <= MAX_AT_HAND // 2 else None

    def add(self, flight: Flight) -> None:
        """Add one that was packed and written down just now."""
        self.flights += 1
        self.events += flight.event_count
        self.bytes += len(flight.cargo) + FRAME
        if self._behind is None and self._has_room(flight):
            self._take(flight)
        elif self._behind is None:
            self._behind = self._at_hand[-1].number

    def load(self, found: Sequence[Flight]) -> None:
        """Have the next ones at hand that were read; none: there are no more."""
        for flight in found:
            self._take(flight)
        self._behind = found[-1].number if found else None

    def mark_split(self, flight: UUID) -> None:
        """Note of the first that it travels in pieces, unless it is another by now: the stream took it whole after all."""
        if self._at_hand and self._at_hand[0].id == flight:
            self._at_hand[0] = msgspec.structs.replace(self._at_hand[0], is_split=True)

    def done(self) -> Flight:
        """Take out the first: the stream has it."""
        flight = self._at_hand.popleft()
        self._bytes_at_hand -= len(flight.cargo)
        self.flights -= 1
        self.earlier = max(0, self.earlier - 1)  # they go first
        self.events -= flight.event_count
        self.bytes -= len(flight.cargo) + FRAME
        self.why = Why.NOTHING
        return flight

    def waits(self, now: datetime) -> Waits:
        """Return what waits, and why."""
        first = self.first
        seconds = 0.0 if first is None or first.made_at is None else max(0.0, (now - first.made_at).total_seconds())
        why = Why.DRAINED if self.is_drained else self.why
        return Waits(self.home, self.flights, self.events, self.bytes, seconds, why if self.flights else Why.NOTHING)

    def _has_room(self, flight: Flight) -> bool:
        return not self._at_hand or (
            len(self._at_hand) < MAX_AT_HAND and self._bytes_at_hand + len(flight.cargo) <= MAX_BYTES_AT_HAND
        )

    def _take(self, flight: Flight) -> None:
        self._at_hand.append(flight)
        self._bytes_at_hand += len(flight.cargo)
        self.call.set()
