"""The relay of a source: what is committed there is packed, sent into the stream, and forgotten once the quorum has it.

Rows leave the outbox in the transaction that writes down the flight they are packed into. A crash at any moment leaves an
event in the outbox, or in a flight that is sent again as it was, under the same id; its home lands it once. One process at a
time does so for a source, and sends to each home one flight after the other: what was committed first arrives first.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final, Protocol
from uuid import UUID, uuid4

from prometheus_client import Counter, Gauge

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.capture import TableName
from tidings.core.errors import BusyError
from tidings.core.event import Event
from tidings.core.fleet import Fleet
from tidings.core.pauses import Pauses
from tidings.sources import tables
from tidings.store import outbox, relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.relay import Flight
from tidings.store.secrets import SecretBox
from tidings.transport.stream import StreamAwayError
from tidings.worker import doorbell
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.relay")

BATCH: Final = cargo.MAX_EVENTS  # rows taken at a time for a home: one more would travel alone
MOST_BATCHES: Final = 4  # taken together where there are as many homes, so that each has a flight worth its journey
MAX_WAITING: Final = 16  # flights that the stream does not have yet, beyond which nothing is taken
SMALL: Final = BATCH // 4  # rows, fewer of which are not taken again while flights wait for one that is under way
MAX_SENT: Final = 64  # flights that are forgotten at once, not with what is packed next or within a second
MAX_LEFT: Final = 64  # flights of a relay that died, read together
MAX_LEFT_BYTES: Final = 32 * 2**20  # of them; one is read however large it is
MAX_GROUPS: Final = 10_000  # whose home is remembered
STANDBY_INTERVAL: Final = 1.0  # seconds between looks whether the relay at work is gone
WISHES_INTERVAL: Final = 2.0  # seconds
KEEPING_INTERVAL: Final = 60.0  # seconds
COMPARED_EVERY: Final = 30  # looks

SENT = Counter("tidings_relay_events_total", "Events that the stream has taken over from this source.")
WAITING = Gauge("tidings_relay_flights_waiting", "Flights that the stream has not acknowledged.")


class Way(Protocol):
    """The stream, as far as a source needs it."""

    @property
    def most_bytes(self) -> int:
        """What a message may have."""

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes) -> None:
        """Send a flight; returns once the quorum has it."""

    async def wishes(self, homes: tuple[str, ...]) -> dict[str, dict[TableName, frozenset[str]] | None]:
        """Return what webhooks of homes want to hear; None: what a home has said cannot be read."""


class _BadRowsError(Exception):
    def __init__(self, faults: dict[int, str]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


class Relay:
    """Takes what is in the outbox of a source to the homes. Others stand by until it is gone."""

    def __init__(
        self, database: Database, stream: Way, fleet: Fleet, box: SecretBox, clock: Clock, *, source: str, salt: int
    ) -> None:
        self._database = database
        self._stream = stream
        self._fleet = fleet
        self._box = box
        self._clock = clock
        self._source = source
        self._salt = salt
        self._homes: dict[str, str] = {}  # of groups
        self._waiting: Mapping[str, deque[Flight]] = {home: deque() for home in fleet.homes}
        self._sent: list[UUID] = []  # that are to be forgotten
        self._left_behind: int | None = None  # the last of what a relay before us left that was read; None: all of it was
        self._calls = {home: Signal() for home in fleet.homes}
        self._room = Signal()
        self._stopped = Signal()
        self._pauses = Pauses()
        self._is_away = False
        self._is_calm = False  # what was taken last was little
        self._refused: set[str] = set()  # homes whose last flight the stream did not take: nobody else waits for them
        self._batch = BATCH * min(len(fleet.homes), MOST_BATCHES)
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
        for call in self._calls.values():
            call.set()

    async def _run_connected(self) -> None:
        bell = await self._database.dedicated(command_timeout=doorbell.BELL_SECONDS)
        senders: list[asyncio.Task[None]] = []
        try:
            if not await relay.try_own(bell):
                self._pauses.reset()
                await self._stopped.wait(STANDBY_INTERVAL)
                return
            lost = Signal()

            def end(_: object) -> None:
                lost.set()
                self.rung.set()
                self._room.set()

            bell.add_termination_listener(end)
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self.rung.set())
            await self._begin_with_left(bell)
            self.is_at_work.set()
            senders = [asyncio.create_task(self._send_to(home), name=f"relay to {home}") for home in self._fleet.homes]
            for sender in senders:
                sender.add_done_callback(end)
            await self._take(bell, lost)
            for sender in senders:
                if sender.done() and not self._stopped.is_set:
                    sender.result()  # it has died: its error is ours
        finally:
            for sender in senders:
                sender.cancel()
            if senders:
                await asyncio.wait(senders)
            bell.terminate()

    # Out of the outbox -------------------------------------------------------------------------------------------------

    async def _take(self, bell: Connection, lost: Signal) -> None:
        waking: asyncio.Task[None] | None = None
        try:
            while not (self._stopped.is_set or lost.is_set):
                self.rung.clear()
                if waking is not None:
                    await waking
                    waking = None
                taken = await self.run_once(bell)
                self._pauses.reset()
                if taken < self._batch and await doorbell.rest(bell, self.rung, partial(self.run_once, bell)):
                    waking = asyncio.create_task(outbox.wake(bell))
            if waking is not None:
                await waking
                waking = None
            if not lost.is_set:
                await self._forget_sent(bell)  # whoever goes on need not send them again
        finally:
            if waking is not None:
                waking.cancel()

    async def run_once(self, owner: Connection) -> int:
        """Pack what is committed, up to a batch, and forget what was sent; return how many rows that were.

        While the stream has not taken what was packed before, nothing is: rows wait where they are.

        Args:
            owner: The connection that has the outbox: what is packed is written over it alone. When PostgreSQL has ended it,
                another relay may be at work, which must not find flights of ours behind its own.
        """
        while self._is_to_wait() and not (self._stopped.is_set or owner.is_closed()):
            self._room.clear()
            if self._count() >= MAX_WAITING:
                await self._forget_sent(owner)
            await self._room.wait(1.0)
        if self._stopped.is_set:
            return 0
        if self._left_behind is not None:
            await self._load_left(owner)
            return self._batch
        try:
            return await self._pack(owner)
        except _BadRowsError as error:
            await self._reject(owner, error.faults)
            return self._batch
        except COLLISIONS:
            return self._batch  # nothing is wrong with the rows; go again

    def _is_to_wait(self) -> bool:
        """Whether nothing is taken now: much waits for the stream; or little was committed, and waits for what is under way.

        What is committed meanwhile travels together then; each by itself would wait for the answer to the one before.
        """
        if self._count() >= MAX_WAITING:
            return True
        return self._is_calm and any(len(flights) > 1 for home, flights in self._waiting.items() if home not in self._refused)

    async def _pack(self, owner: Connection) -> int:
        sent, self._sent = self._sent, []
        try:
            async with owner.transaction():
                if sent:
                    await relay.forget(owner, sent)
                taken = await outbox.take(owner, self._batch)
                events, faults = outbox.read_events(taken, self._salt, self._clock.now())
                flights = self._flights(events, taken.numbers, faults)
                if flights:
                    await relay.keep(owner, flights)
        except BaseException:
            self._sent += sent
            raise
        self._database.outages.worked()
        self._is_calm = len(taken.numbers) < SMALL
        for flight in flights:
            self._waiting[flight.home].append(flight)
            self._calls[flight.home].set()
        WAITING.set(self._count())
        return len(taken.numbers)

    def _flights(self, events: list[Event], numbers: list[int], faults: dict[int, str]) -> list[Flight]:
        """Return flights that carry these events.

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
        by_home: dict[str, list[bytes]] = {}
        for event, one in zip(events, carried, strict=True):
            by_home.setdefault(self._home_of(event.group_id), []).append(one)
        return [
            Flight(uuid4(), home, packed.data, packed.count)
            for home, theirs in by_home.items()
            for packed in cargo.flights(theirs, limit)
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

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def _begin_with_left(self, owner: Connection) -> None:
        """Begin with what the relay before us did not finish, or we ourselves before the database was away."""
        for waiting in self._waiting.values():
            waiting.clear()
        await self._forget_sent(owner)
        if stranded := await relay.stranded(owner, self._fleet.homes):
            logger.error("%d flights are for homes that the fleet does not have; they stay in tidings.relay_flights", stranded)
        self._left_behind = 0
        await self._load_left(owner)

    async def _load_left(self, owner: Connection) -> None:
        """Read some more of what was left; until all of it is read, nothing is packed that would overtake it."""
        left = await relay.left(
            owner, self._fleet.homes, behind=self._left_behind or 0, limit=MAX_LEFT, most_bytes=MAX_LEFT_BYTES
        )
        for flight in left.flights:
            self._waiting[flight.home].append(flight)
            self._calls[flight.home].set()
        self._left_behind = left.last
        WAITING.set(self._count())

    async def _send_to(self, home: str) -> None:
        """Send flights to a home, one after the other."""
        waiting, call, pauses = self._waiting[home], self._calls[home], Pauses()
        while not self._stopped.is_set:
            if not waiting:
                call.clear()
                await call.wait()
                continue
            flight = waiting[0]
            try:
                await self._stream.send(home, self._source, flight.id, flight.cargo)
            except StreamAwayError as error:
                self._refused.add(home)
                self._room.set()
                if not self._is_away:
                    logger.warning("the stream does not take what is committed, which waits: %s", error)
                self._is_away = True
                await self._stopped.wait(pauses.next())
                continue
            if self._is_away:
                logger.warning("the stream takes what is committed again")
            self._is_away = False
            self._refused.discard(home)
            pauses.reset()
            waiting.popleft()
            self._sent.append(flight.id)
            SENT.inc(flight.event_count)
            WAITING.set(self._count())
            self._room.set()
            if len(self._sent) >= MAX_SENT:
                self.rung.set()

    async def _forget_sent(self, owner: Connection) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            await relay.forget(owner, sent)
        except BaseException:
            self._sent += sent
            raise


class Wishes:
    """Has the tables of a source captured that webhooks at the homes name."""

    def __init__(self, database: Database, stream: Way, fleet: Fleet) -> None:
        self._database = database
        self._stream = stream
        self._fleet = fleet
        self._unread: frozenset[str] = frozenset()  # homes whose wishes could not be read, when they were looked at last
        self._due = 0  # looks until triggers are compared with wishes, whatever has changed: tables are made meanwhile

    async def run_once(self) -> int:
        """Bring triggers up to date, and return how many homes wish something else than before."""
        try:
            said = await self._stream.wishes(self._fleet.homes)
        except StreamAwayError as error:
            logger.info("what homes want to hear is not known now: %s", error)
            return 0
        unread = frozenset(home for home, wishes in said.items() if wishes is None)
        if unread - self._unread:
            logger.error(
                "what %s wants to hear of tables cannot be read; what it wanted before stays", ", ".join(sorted(unread))
            )
        self._unread = unread
        wanted = {home: wishes for home, wishes in said.items() if wishes is not None}
        async with self._database.transaction() as connection:
            known = await relay.wishes(connection)
            changed = {home: wishes for home, wishes in wanted.items() if wishes != known.get(home, {})}
            if changed:
                await relay.put_wishes(connection, changed)
        if changed:
            logger.info("what %s want to hear of tables has changed", ", ".join(sorted(changed)))
            self._due = 0
        if self._due <= 0:
            try:
                await tables.keep_all_in_step(self._database)
                self._due = COMPARED_EVERY
            except BusyError as error:
                logger.info("triggers are brought up to date later: %s", error)
        self._due -= 1
        return len(changed)


class Keeper:
    """Forgets what a source needs no more; no worker runs there whose janitor would."""

    def __init__(self, database: Database, clock: Clock, *, retention_days: int) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(days=retention_days)

    async def run_once(self) -> None:
        """Forget publishers' ids that are older than what homes keep."""
        async with self._database.connection() as connection:
            await outbox.forget_external_ids(connection, self._clock.now() - self._retention)
