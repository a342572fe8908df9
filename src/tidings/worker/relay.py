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
from typing import Final
from uuid import UUID, uuid4

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.errors import StartupError
from tidings.core.event import Event
from tidings.core.fleet import Fleet
from tidings.core.pauses import Pauses
from tidings.store import outbox, relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.relay import Flight
from tidings.store.secrets import SecretBox
from tidings.transport.stream_away import StreamAwayError
from tidings.worker import doorbell
from tidings.worker.batches import BadRowsError
from tidings.worker.crew import ended
from tidings.worker.lines import Lines, Way
from tidings.worker.outgoing import Outgoing
from tidings.worker.rows import BATCH, Everything, LedHereError, Rows
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.relay")

ROOM: Final = 256 * 2**20  # bytes of flights that wait, beyond which nothing is taken, whichever home they are for
SMALL: Final = BATCH // 4  # rows, fewer of which are not taken again while flights wait for one that is under way
GATHER_SECONDS: Final = 0.1  # at most: homes are not to wait for each other
MAX_GROUPS: Final = 10_000  # whose home is remembered
STANDBY_INTERVAL: Final = 1.0  # seconds between looks whether the relay at work is gone


class Relay:
    """Takes what is in an outbox to the homes. Others stand by until it is gone.

    Attributes:
        is_at_work: Is set while this one does, and stands by no more.
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
        self._salt = salt
        self._telemetry = telemetry
        self._next_fleet = fleet  # that is gone by from the next beginning on
        self._homes: dict[str, str] = {}  # of groups
        self._stopped, self._lost = Signal(), Signal()
        self._pauses, self._collided = Pauses(), Pauses(0.01, 1.0)
        self._is_calm = False  # what was taken last was little
        self._rung = Signal()
        self.is_at_work = Signal()
        self._lines = Lines(
            stream, fleet, clock, source=source, room=room, telemetry=telemetry, wanted=self._rung, stopped=self._stopped
        )

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
        self._rung.set()
        self._lines.wake()

    def follow(self, fleet: Fleet) -> None:
        """Go by this directory from now on: what is packed by an older one is sent first."""
        if fleet != self._next_fleet:
            self._next_fleet = fleet
            self._rung.set()
            self._lines.moved.set()

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is taken: it stops, its connection or a sender has ended, or there is a newer directory."""
        return self._stopped.is_set or self._lost.is_set or self._next_fleet is not self._fleet

    def drain(self, homes: frozenset[str]) -> None:
        """Send nothing to these homes from now on, and to others again."""
        self._lines.drain(homes)

    @property
    def outgoing(self) -> Mapping[str, Outgoing]:
        """What waits for each home."""
        return self._lines.outgoing

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing is taken out of the outbox."""
        return self._lines.is_full

    @property
    def settled(self) -> int | None:
        """The version of the directory by which all is sent that may still be on its way; None: of none."""
        return self._lines.settled

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
                self._rung.set()
                self._lines.moved.set()

            bell.add_termination_listener(end)
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self._rung.set())
            await self._look_anew()
            await self._begin(bell)
            self.is_at_work.set()
            senders = [asyncio.create_task(one, name=f"relay to {home}") for home, one in self._lines.senders().items()]
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
                self._rung.clear()
                if waking is not None:
                    await waking
                    waking = None
                taken = await self.run_once(bell)
                self._pauses.reset()
                if taken < BATCH and await self._rows.rest(bell, self._rung, partial(self.run_once, bell)):
                    waking = asyncio.create_task(outbox.wake(bell))
            if not bell.is_closed():
                if waking is not None:
                    await waking
                with suppress(*COLLISIONS):
                    await self._lines.forget_sent(bell)  # whoever goes on need not send them again
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
        except BadRowsError as error:
            await self._reject(owner, error.faults)
        return BATCH

    async def _wait_for_room(self, owner: Connection) -> None:
        """Return once something may be packed, or the relay is to stop; have what waits be at hand for those who send."""
        has_gathered = False
        while True:
            await self._lines.tend(owner)
            is_to_gather = self._is_calm and self._lines.are_moving and not has_gathered
            if not (self.is_full or is_to_gather) or owner.is_closed() or self._is_over:
                return
            if self.is_full:
                await self._lines.forget_sent(owner)
            # What is committed meanwhile travels together; each by itself would wait for the answer to the one before.
            has_gathered = True
            await self._lines.moved.wait(1.0 if self.is_full else GATHER_SECONDS)

    async def _pack(self, owner: Connection) -> int:
        sent, flights = self._lines.take_sent(), list[Flight]()
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
            self._lines.give_back(sent)
            raise
        self._database.outages.worked()
        self._is_calm = len(taken.numbers) < SMALL
        self._lines.add(flights)
        return len(taken.numbers)

    def _flights(
        self, events: list[Event], numbers: list[int], faults: dict[int, str], origins: Mapping[UUID, str]
    ) -> list[Flight]:
        """Return flights that carry these events.

        Args:
            origins: The sources of those that came from one; each has flights of its own.

        Raises:
            BadRowsError: Some have faults, or are larger than what the stream carries.
        """
        if faults:
            raise BadRowsError(faults)
        limit = self._stream.most_bytes
        carried = cargo.packed(events)
        if large := cargo.too_large([len(one) for one in carried], limit):
            reason = "It has {:,} bytes, and the stream carries {:,}. Set max_payload of NATS higher, then route it again."
            raise BadRowsError({numbers[at]: reason.format(len(carried[at]), limit - cargo.ROOM) for at in large})
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

    # Beginning ---------------------------------------------------------------------------------------------------------

    async def _look_anew(self) -> None:
        if self._look is None:
            return
        try:
            found = await self._look()
        except (StreamAwayError, StartupError):
            return  # what is known stays
        if found.version > self._next_fleet.version:
            self._next_fleet = found

    async def _begin(self, owner: Connection) -> None:
        """Begin, by a directory that may be another."""
        self._fleet = self._next_fleet
        self._is_calm = False
        self._homes.clear()
        await self._lines.begin(owner, self._fleet)
