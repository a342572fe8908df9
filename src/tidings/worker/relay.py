"""The relay of a source: what is committed there is packed, sent into the stream, and forgotten once the quorum has it.

Rows leave the outbox in the transaction that writes down the flight they are packed into. A crash at any moment leaves an
event in the outbox, or in a flight that is sent again as it was, under the same id; its home lands it once. One process at a
time does so for a source, and sends to each home one flight after the other: what was committed first arrives first.

A home that takes nothing does not keep others from theirs: rows are taken in the order of all homes, and what is for it is
packed and waits in the database, while others go on and until that is so much that the outbox has to keep the rest.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, Protocol
from uuid import UUID, uuid4

from prometheus_client import Counter

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.errors import StartupError
from tidings.core.event import Event
from tidings.core.fleet import Fleet
from tidings.core.pauses import Pauses
from tidings.core.pressure import Why
from tidings.store import outbox, relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.relay import Flight
from tidings.store.secrets import SecretBox
from tidings.transport.stream_away import StreamAwayError
from tidings.worker import doorbell
from tidings.worker.crew import ended
from tidings.worker.outgoing import MAX_AT_HAND, MAX_BYTES_AT_HAND, Outgoing
from tidings.worker.rows import BATCH, Everything, LedHereError, Rows
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.relay")

MAX_WAITING: Final = 16  # flights that wait for each of the homes, beyond which nothing is taken
ROOM: Final = 256 * 2**20  # bytes of flights that wait, beyond which nothing is taken, whichever home they are for
SMALL: Final = BATCH // 4  # rows, fewer of which are not taken again while flights wait for one that is under way
GATHER_SECONDS: Final = 0.1  # at most: homes are not to wait for each other
MAX_SENT: Final = 64  # flights that are forgotten at once, not with what is packed next or within a second
MAX_GROUPS: Final = 10_000  # whose home is remembered
STANDBY_INTERVAL: Final = 1.0  # seconds between looks whether the relay at work is gone

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


class _BadRowsError(Exception):
    def __init__(self, faults: dict[int, str]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


class Relay:
    """Takes what is in an outbox to the homes. Others stand by until it is gone.

    Attributes:
        settled: The version of the directory by which all is sent that may still be on its way; None: of none.
        outgoing: What waits for each home. The loop that takes rows writes it, and of each line its sender.
        is_full: So much waits that nothing is taken out of the outbox.
    """

    def __init__(
        self,
        database: Database,
        stream: Way,
        fleet: Fleet,
        box: SecretBox,
        clock: Clock,
        *,
        source: str,
        salt: int,
        room: int = ROOM,
        telemetry: Telemetry | None = None,
        rows: Rows | None = None,
        look: Callable[[], Awaitable[Fleet]] | None = None,
    ) -> None:
        """Make it.

        Args:
            source: What it is called as a sender.
            room: Bytes of flights that may wait, of all homes.
            telemetry: Who is told of what was sent.
            rows: Which rows it takes; None: all.
            look: Returns the directory, when it begins: who was at work before may have said that it goes by a later one.
        """
        self._database = database
        self._rows = rows or Everything()
        self._look = look
        self._stream = stream
        self._fleet = fleet
        self._box = box
        self._clock = clock
        self._source = source
        self._salt = salt
        self._room_bytes = room
        self._telemetry = telemetry
        self._next_fleet = fleet  # that is gone by from the next beginning on
        self._homes: dict[str, str] = {}  # of groups
        self._held: frozenset[str] = frozenset()  # homes
        self.outgoing = {home: Outgoing(home) for home in fleet.homes}
        self.settled: int | None = None
        self.is_full = False
        self._sent: list[UUID] = []  # that are to be forgotten
        self._to_split: list[Outgoing] = []  # whose first flight is larger than what the stream carries
        self._room = Signal()
        self._stopped, self._lost = Signal(), Signal()
        self._pauses, self._collided = Pauses(), Pauses(0.01, 1.0)
        self._is_away = False
        self._is_calm = False  # what was taken last was little
        self.rung = Signal()
        self.is_at_work = Signal()

    async def run(self) -> None:
        """Take and send until told to stop, through outages of the database and of the stream."""
        while not self._stopped.is_set:
            try:
                await self._run_connected()
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
                await self._stopped.wait(self._pauses.next())
            finally:
                self.is_at_work.clear()

    def stop(self) -> None:
        """End the loop. What the stream does not have yet is sent by whoever goes on."""
        self._stopped.set()
        self.rung.set()
        self._room.set()
        for one in self.outgoing.values():
            one.call.set()

    def follow(self, fleet: Fleet) -> None:
        """Go by this directory from now on: what is packed by an older one is sent first."""
        if fleet != self._next_fleet:
            self._next_fleet = fleet
            self.rung.set()
            self._room.set()

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is taken: it stops, its connection or a sender has ended, or there is a newer directory."""
        return self._stopped.is_set or self._lost.is_set or self._next_fleet is not self._fleet

    def hold(self, homes: frozenset[str]) -> None:
        """Send nothing to these homes from now on, and to others again."""
        self._held = homes
        for home, one in self.outgoing.items():
            one.is_held = home in homes
            one.call.set()
        self._room.set()

    async def _run_connected(self) -> None:
        bell = await self._database.dedicated(command_timeout=doorbell.BELL_SECONDS)
        senders: list[asyncio.Task[None]] = []
        try:
            if not await relay.try_own(bell):
                self._pauses.reset()
                await self._stopped.wait(STANDBY_INTERVAL)
                return
            lost = self._lost = Signal()

            def end(_: object) -> None:
                lost.set()
                self.rung.set()
                self._room.set()

            bell.add_termination_listener(end)
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self.rung.set())
            await self._look_anew()
            await self._begin_with_left(bell)
            self.is_at_work.set()
            senders = [asyncio.create_task(self._send_to(one), name=f"relay to {home}") for home, one in self.outgoing.items()]
            for sender in senders:
                sender.add_done_callback(end)
            await self._take(bell)
            for sender in senders:
                if sender.done() and not self._stopped.is_set:
                    sender.result()  # it has died: its error is ours
        finally:
            await ended(senders)
            bell.terminate()

    # Out of the outbox -------------------------------------------------------------------------------------------------

    async def _take(self, bell: Connection) -> None:
        waking: asyncio.Task[None] | None = None
        try:
            while not self._is_over:
                self.rung.clear()
                if waking is not None:
                    await waking
                    waking = None
                taken = await self.run_once(bell)
                self._pauses.reset()
                if taken < BATCH and await self._rows.rest(bell, self.rung, partial(self.run_once, bell)):
                    waking = asyncio.create_task(outbox.wake(bell))
            if not bell.is_closed():
                if waking is not None:
                    await waking
                with suppress(*COLLISIONS):
                    await self._forget_sent(bell)  # whoever goes on need not send them again
        finally:
            if waking is not None:
                waking.cancel()

    async def run_once(self, owner: Connection) -> int:
        """Pack what is committed, up to a batch, and forget what was sent; return how many rows that were.

        While so much waits that no home could go on by it, nothing is packed: rows wait where they are.

        Args:
            owner: The connection that has the outbox: what is packed is written over it alone. When PostgreSQL has ended it,
                another relay may be at work, which must not find flights of ours behind its own.
        """
        try:
            await self._wait_for_room(owner)
            taken = 0 if self._is_over else await self._pack_or_reject(owner)
        except (*COLLISIONS, LedHereError) as error:  # nothing is wrong with the rows; go again
            if isinstance(error, LedHereError):
                logger.info("what came for groups such as %s waits until the fleet says here what it says elsewhere", error)
            await self._stopped.wait(self._collided.next())
            return BATCH
        self._collided.reset()
        return taken

    async def _pack_or_reject(self, owner: Connection) -> int:
        try:
            return await self._pack(owner)
        except _BadRowsError as error:
            await self._reject(owner, error.faults)
        return BATCH

    async def _wait_for_room(self, owner: Connection) -> None:
        """Return once something may be packed, or the relay is to stop; have what waits be at hand for those who send."""
        has_gathered = False
        while True:
            self._room.clear()
            await self._split(owner)
            for one in self.outgoing.values():
                if one.behind is not None:
                    one.load(
                        await relay.left_to(owner, one.home, behind=one.behind, limit=MAX_AT_HAND, most_bytes=MAX_BYTES_AT_HAND)
                    )
            self.is_full = sum(one.bytes for one in self.outgoing.values()) >= self._room_bytes or all(
                one.flights >= MAX_WAITING for one in self.outgoing.values()
            )
            is_to_wait = self.is_full or (self._is_to_gather() and not has_gathered)
            if not is_to_wait or owner.is_closed() or self._is_over:
                return
            if self.is_full:
                await self._forget_sent(owner)
            has_gathered = True
            await self._room.wait(1.0 if self.is_full else GATHER_SECONDS)

    def _is_to_gather(self) -> bool:
        """Whether little was committed last, and flights wait for one that is under way.

        What is committed meanwhile travels together then; each by itself would wait for the answer to the one before. Nobody
        waits for a home that takes nothing.
        """
        return self._is_calm and any(
            one.flights > 1 and one.why is Why.NOTHING and not one.is_held for one in self.outgoing.values()
        )

    async def _pack(self, owner: Connection) -> int:
        sent, self._sent = self._sent, []
        flights: list[Flight] = []
        try:
            async with owner.transaction():
                if sent:
                    await relay.forget(owner, sent)
                taken = await self._rows.take(owner, self._fleet)
                now = self._clock.now()
                events, faults = outbox.read_events(taken, self._salt, now)
                if self._telemetry is not None:
                    events = self._telemetry.adopted(events)
                if made := self._flights(events, taken.numbers, faults, outbox.origins(taken, events)):
                    flights = await relay.keep(owner, made)
        except BaseException:
            self._sent += sent
            raise
        self._database.outages.worked()
        self._is_calm = len(taken.numbers) < SMALL
        for flight in flights:
            self.outgoing[flight.home].add(flight)
        return len(taken.numbers)

    def _flights(
        self, events: list[Event], numbers: list[int], faults: dict[int, str], origins: Mapping[UUID, str]
    ) -> list[Flight]:
        """Return flights that carry these events.

        Args:
            origins: The sources of those that came from one; each has flights of its own.

        Raises:
            _BadRowsError: Some have faults, or are larger than what the stream carries.
        """
        if faults:
            raise _BadRowsError(faults)
        limit = self._stream.most_bytes
        carried = cargo.packed(events)
        if large := cargo.too_large([len(one) for one in carried], limit):
            reason = "It has {:,} bytes, and the stream carries {:,}. Set max_payload of NATS higher, then route it again."
            raise _BadRowsError({numbers[at]: reason.format(len(carried[at]), limit - cargo.ROOM) for at in large})
        by_home: dict[tuple[str, str | None], list[bytes]] = {}
        for event, one in zip(events, carried, strict=True):
            by_home.setdefault((self._home_of(event.group_id), origins.get(event.id)), []).append(one)
        return [
            Flight(uuid4(), home, packed.data, packed.count)
            for (home, origin), theirs in by_home.items()
            for packed in cargo.flights(theirs, limit, self._fleet.version, origin)
        ]

    def _home_of(self, group_id: str) -> str:
        home = self._homes.get(group_id)
        if home is None:
            if len(self._homes) >= MAX_GROUPS:
                self._homes.clear()
            home = self._homes[group_id] = self._fleet.home_of(group_id)
        return home

    async def _reject(self, owner: Connection, faults: dict[int, str]) -> None:
        async with owner.transaction():
            faults = await outbox.reject(owner, faults, self._box)
        number, reason = next(iter(faults.items()))
        logger.error("%d outbox rows cannot be sent and were set aside, the first is %d: %s", len(faults), number, reason)

    # Into the stream ---------------------------------------------------------------------------------------------------

    async def _begin_with_left(self, owner: Connection) -> None:
        """Begin with what the relay before us did not finish, or we ourselves before the database was away."""
        self._go_by(self._next_fleet)
        await self._forget_sent(owner)
        if stranded := await relay.stranded(owner, self._fleet.homes):
            logger.error("%d flights are for homes that the fleet does not have; they stay in tidings.relay_flights", stranded)
        self._to_split.clear()
        loads = await relay.loads(owner, self._fleet.homes)
        for home, one in self.outgoing.items():
            one.begin(loads.get(home))
        self._settle()

    async def _look_anew(self) -> None:
        if self._look is None:
            return
        try:
            found = await self._look()
        except (StreamAwayError, StartupError):
            return  # what is known stays
        if found.version > self._next_fleet.version:
            self._next_fleet = found

    def _go_by(self, fleet: Fleet) -> None:
        """Begin anew, by a directory that may be another."""
        self._fleet = fleet
        self._is_calm = False
        self._homes.clear()
        self.outgoing = {home: Outgoing(home) for home in fleet.homes}
        self.hold(self._held)

    def _settle(self) -> None:
        if not any(one.earlier for one in self.outgoing.values()):
            self.settled = self._fleet.version

    async def _send_to(self, outgoing: Outgoing) -> None:
        """Send flights to a home, one after the other."""
        pauses = Pauses()
        while not self._stopped.is_set:
            flight = outgoing.first
            if flight is None or outgoing.is_held:
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
                    self.rung.set()
                self._room.set()
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
            self._room.set()
            if outgoing.behind is not None or len(self._sent) >= MAX_SENT:
                self.rung.set()

    async def _split(self, owner: Connection) -> None:
        """Note of flights that they travel in pieces, before the first of these is sent."""
        for outgoing in self._to_split:
            if (flight := outgoing.first) is not None and not flight.is_split:
                await relay.split(owner, flight.id)
                outgoing.mark_split(flight.id)
                logger.warning("a flight for %s is larger than the stream carries now, and travels in pieces", outgoing.home)
        self._to_split.clear()

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

    async def _forget_sent(self, owner: Connection) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            await relay.forget(owner, sent)
        except BaseException:
            self._sent += sent
            raise
