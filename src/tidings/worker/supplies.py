"""Where events come from that are routed: the outbox, or flights that came by the stream. What is done with them is one code.

What is taken is taken inside the transaction that routes it: when that fails, it is as if nothing had been taken.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import msgspec

from tidings.clock import Clock
from tidings.core.answers import Answer
from tidings.core.event import Event
from tidings.store import outbox, relay
from tidings.store.database import Connection
from tidings.worker.batches import Batch

ROUTED_TOGETHER: Final = 512  # events of several flights that are routed in one transaction; of one flight as many as it has
MOST_BYTES: Final = 16 * 2**20  # of them, packed; a flight that has more goes through the outbox, which takes it in parts


class AtHand(msgspec.Struct, frozen=True):
    """What was taken, in its order.

    Attributes:
        numbers: Of each event, by which it is told from others: in the outbox, or by its place.
        faults: What cannot become events: its number, and why. Then there are no events.
        uncounted: Those of the events whose bytes nobody has counted yet.
        origins: Of events that came from a source of a fleet, which.
        answers: What was answered to deliveries of these events already, by their ids: while the database was away.
        routes_version: The version of the subscriptions, as of the moment it was taken or later.
        privacy_version: That of the redaction rules.
        placing_version: That of what is known about where groups live; None: this is no home of a fleet.
    """

    events: list[Event] = []
    numbers: list[int] = []
    faults: dict[int, str] = {}
    uncounted: list[Event] = []
    origins: dict[UUID, str] = {}
    answers: Mapping[UUID, Answer] = {}
    routes_version: int = 0
    privacy_version: int = 0
    placing_version: int | None = None


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
            events,
            taken.numbers,
            uncounted=outbox.uncounted(taken, events),
            origins=outbox.origins(taken, events),
            answers=outbox.answers(taken),
            routes_version=taken.routes_version,
            privacy_version=taken.privacy_version,
            placing_version=taken.placing_version,
        )


class Arrival(msgspec.Struct, frozen=True):
    """A flight that came by the stream, unpacked. `source`: whose clock its events have their order by."""

    id: UUID
    source: str
    events: list[Event]
    bytes: int = 0


def together(arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
    """Return the first of what came, and with it those behind it that fit into one batch."""
    count = size = 0
    for at, arrival in enumerate(arrivals):
        count, size = count + len(arrival.events), size + arrival.bytes
        if at and (count > ROUTED_TOGETHER or size > MOST_BYTES):
            return arrivals[:at]
    return arrivals


class MaybeRoutedError(Exception):
    """The database went as a batch was committed: nobody knows whether it was."""


class NotNowError(Exception):
    """What came by the stream is to go through the outbox: something waits there, or some of it was landed before."""


class FromStream:
    """Flights, in the order they are to be landed in. Each is noted as landed by what takes its events.

    Attributes:
        new: Those that had not been landed before, once taken.
        landed: Their events.
    """

    def __init__(
        self,
        clock: Clock,
        arrivals: Sequence[Arrival],
        *,
        history: str | None = None,
        answers: Mapping[UUID, Answer] | None = None,
    ) -> None:
        """Make it.

        Args:
            history: Of PostgreSQL, where whoever lands them began to land; None: anywhere.
            answers: What was answered to their deliveries already, by their ids.
        """
        self._answers = answers or {}
        self._clock = clock
        self._arrivals = arrivals
        self._history = history
        self.new: set[UUID] = set()
        self.landed: list[Event] = []

    async def take(self, connection: Connection, batch: Batch) -> AtHand:
        """Take them; nothing when all were landed before.

        Raises:
            NotNowError: Something waits in the outbox: what came before it from the same source, or what others have there. Or
                some were landed before: another process of the home may have put them there at this moment, unseen by us.
            MovedError: This is another history.
            TooManyGroupsError: They are of groups that are not there, and more are not made.
        """
        ids = {arrival.id for arrival in self._arrivals}
        groups = {event.group_id for arrival in self._arrivals for event in arrival.events}
        found = await relay.begin_landing(connection, list(ids), groups, history=self._history)
        if not found.is_outbox_empty or (found.new and found.new != ids):
            raise NotNowError
        if not found.new:
            return AtHand()
        self.new = found.new
        self.landed, faults, origins = [], dict[int, str](), dict[UUID, str]()
        events, now, left = list[Event](), self._clock.now(), set(found.new)
        for arrival in self._arrivals:
            if arrival.id not in left:
                continue
            left.discard(arrival.id)  # one can come twice at once
            self.landed += arrival.events
            for brought in arrival.events:
                event, fault = outbox.read_brought(brought, now)
                if fault is not None:
                    faults[len(events)] = fault
                events.append(event)
                origins[event.id] = arrival.source
        numbers = list(range(len(events)))
        if faults:
            return AtHand(numbers=numbers, faults=faults)
        await relay.add_groups(connection, found.new_groups)
        return AtHand(
            events,
            numbers,
            uncounted=events,
            origins=origins,
            answers=self._answers,
            routes_version=found.routes_version,
            privacy_version=found.privacy_version,
            placing_version=found.placing_version,
        )
