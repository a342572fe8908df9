"""What is packed at a source and waits for each home, and who sends it there: one flight after the other to each.

The loop that takes rows out of the outbox has the connection that owns it (`relay`). Senders have none: what they need of the
database (to have more at hand, to note that a flight travels in pieces, to forget what was sent) they leave to that loop, and
wake it.
"""

import logging
from collections.abc import Collection, Coroutine
from typing import Any, Final, Protocol
from uuid import UUID

from prometheus_client import Counter

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.fleet import Fleet
from tidings.core.pauses import Pauses
from tidings.core.pressure import Why
from tidings.store import relay
from tidings.store.database import Connection
from tidings.store.relay import Flight
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.outgoing import MAX_AT_HAND, MAX_BYTES_AT_HAND, Outgoing
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.relay")

MAX_WAITING: Final = 16  # flights that wait for each of the homes, beyond which nothing is taken
MAX_SENT: Final = 64  # flights that are forgotten at once, not with what is packed next or within a second

SENT = Counter("tidings_relay_events_total", "Events of this source that the stream has taken over, by their home.", ["home"])


class Way(Protocol):
    """The stream, as far as a source needs it."""

    @property
    def most_bytes(self) -> int:
        """What a message may have."""

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        """Send a flight, or a piece of one; returns once the quorum has it."""


async def send(stream: Way, source: str, flight: Flight) -> None:
    """Send a flight as it travels: whole, or in pieces once one of these may have been sent.

    Raises:
        StreamAwayError: It is not known whether the stream has all of it. Sent again, it is landed once all the same.
    """
    if not flight.is_split:
        await stream.send(flight.home, source, flight.id, flight.cargo)
        return
    for at, piece in enumerate(cargo.pieces(flight.cargo)):
        await stream.send(flight.home, source, cargo.piece_id(flight.id, at), piece.data, whole=flight.id)


class Lines:
    """The line of each home of a fleet, from one beginning to the next.

    Attributes:
        outgoing: What waits for each home. The loop that takes rows writes it, and of each line its sender.
        is_full: So much waits that nothing is taken out of the outbox.
        settled: The version of the directory by which all is sent that may still be on its way; None: of none.
        moved: Is set when a line got shorter, or is stuck.
        wanted: Is set when the loop that has the connection has something to do for the lines.
    """

    def __init__(
        self,
        stream: Way,
        fleet: Fleet,
        clock: Clock,
        *,
        source: str,
        room: int,
        telemetry: Telemetry | None,
        wanted: Signal,
        stopped: Signal,
    ) -> None:
        """Make them.

        Args:
            source: Who sends.
            room: Bytes of flights that may wait, of all homes.
            telemetry: Who is told of what was sent.
            stopped: Is set when nothing more is to be sent.
        """
        self._stream = stream
        self._fleet = fleet
        self._clock = clock
        self._source = source
        self._room = room
        self._telemetry = telemetry
        self.wanted = wanted
        self._stopped = stopped
        self.outgoing = {home: Outgoing(home) for home in fleet.homes}
        self.settled: int | None = None
        self.is_full = False
        self.moved = Signal()
        self._drained: frozenset[str] = frozenset()
        self._sent: list[UUID] = []  # that are to be forgotten
        self._to_split: list[Outgoing] = []  # whose first flight is larger than what the stream carries
        self._is_away = False

    # Of the loop that takes rows ----------------------------------------------------------------------------------------

    async def begin(self, owner: Connection, fleet: Fleet) -> None:
        """Begin with what the relay before us did not finish, or we ourselves before the database was away."""
        self._fleet = fleet
        self.outgoing = {home: Outgoing(home) for home in fleet.homes}
        self.drain(self._drained)
        await self.forget_sent(owner)
        if stranded := await relay.stranded(owner, fleet.homes):
            logger.error("%d flights are for homes that the fleet does not have; they stay in tidings.relay_flights", stranded)
        self._to_split.clear()
        loads = await relay.loads(owner, fleet.homes)
        for home, one in self.outgoing.items():
            one.begin(loads.get(home))
        self._settle()

    def drain(self, homes: frozenset[str]) -> None:
        """Send nothing to these homes from now on, and to others again."""
        self._drained = homes
        for home, one in self.outgoing.items():
            one.is_drained = home in homes
            one.call.set()
        self.moved.set()

    def wake(self) -> None:
        """Have all who wait here look whether they are to stop."""
        self.moved.set()
        for one in self.outgoing.values():
            one.call.set()

    async def tend(self, owner: Connection) -> None:
        """Do what senders have left to be done, have what waits be at hand for them, and see whether there is room for more."""
        self.moved.clear()
        await self._split(owner)
        for one in self.outgoing.values():
            if one.behind is not None:
                one.load(
                    await relay.left_to(owner, one.home, behind=one.behind, limit=MAX_AT_HAND, most_bytes=MAX_BYTES_AT_HAND)
                )
        self.is_full = sum(one.bytes for one in self.outgoing.values()) >= self._room or all(
            one.flights >= MAX_WAITING for one in self.outgoing.values()
        )

    @property
    def are_moving(self) -> bool:
        """Whether flights wait for one that is under way. Nobody waits for a home that takes nothing."""
        return any(one.flights > 1 and one.why is Why.NOTHING and not one.is_drained for one in self.outgoing.values())

    def add(self, flights: Collection[Flight]) -> None:
        """Have flights sent that were written down just now."""
        for flight in flights:
            self.outgoing[flight.home].add(flight)

    def take_sent(self) -> list[UUID]:
        """Return what was sent, for the caller to forget; it gives back what it could not (`give_back`)."""
        sent, self._sent = self._sent, []
        return sent

    def give_back(self, sent: Collection[UUID]) -> None:
        """Take back what could not be forgotten."""
        self._sent += sent

    async def forget_sent(self, owner: Connection) -> None:
        """Forget what was sent."""
        sent = self.take_sent()
        if not sent:
            return
        try:
            await relay.forget(owner, sent)
        except BaseException:
            self.give_back(sent)
            raise

    async def _split(self, owner: Connection) -> None:
        """Note of flights that they travel in pieces, before the first of these is sent."""
        for outgoing in self._to_split:
            if (flight := outgoing.first) is not None and not flight.is_split:
                await relay.split(owner, flight.id)
                outgoing.mark_split(flight.id)
                logger.warning("a flight for %s is larger than the stream carries now, and travels in pieces", outgoing.home)
        self._to_split.clear()

    def _settle(self) -> None:
        if not any(one.earlier for one in self.outgoing.values()):
            self.settled = self._fleet.version

    # Of the senders -----------------------------------------------------------------------------------------------------

    def senders(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what sends to each home, until it is stopped."""
        return {home: self._send_to(one) for home, one in self.outgoing.items()}

    async def _send_to(self, outgoing: Outgoing) -> None:
        """Send flights to a home, one after the other."""
        pauses = Pauses()
        while not self._stopped.is_set:
            flight = outgoing.first
            if flight is None or outgoing.is_drained:
                outgoing.call.clear()
                await outgoing.call.wait()
                continue
            outgoing.is_sending = True
            try:
                await send(self._stream, self._source, flight)
            except StreamAwayError as error:
                self._tell(outgoing, error)
                if error.why is Why.LARGE and not flight.is_split:
                    self._to_split.append(outgoing)
                    self.wanted.set()
                self.moved.set()
                await self._stopped.wait(pauses.next())
                continue
            finally:
                outgoing.is_sending = False
            self._tell(outgoing, None)
            pauses.reset()
            outgoing.done()
            self._sent.append(flight.id)
            self._settle()
            SENT.labels(outgoing.home).inc(flight.event_count)
            if self._telemetry is not None and flight.made_at is not None:
                self._telemetry.relayed(cargo.unpacked(flight.cargo), flight.made_at, self._clock.now())
            self.moved.set()
            if outgoing.behind is not None or len(self._sent) >= MAX_SENT:
                self.wanted.set()

    def _tell(self, outgoing: Outgoing, error: StreamAwayError | None) -> None:
        """Say once that the stream does not take something, and once that it does again."""
        if error is None:
            if outgoing.why not in {Why.NOTHING, Why.AWAY}:
                logger.warning("the stream takes what is committed for %s again", outgoing.home)
            if self._is_away:
                logger.warning("the stream takes what is committed again")
            self._is_away = False
            return
        if error.why is Why.AWAY and not self._is_away:
            logger.warning("the stream does not take what is committed, which waits: %s", error)
            self._is_away = True
        elif error.why is not Why.AWAY and outgoing.why is not error.why:
            logger.warning("the stream does not take what is committed for %s, which waits: %s", outgoing.home, error)
        outgoing.why = error.why
