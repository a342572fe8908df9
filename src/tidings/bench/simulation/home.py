"""A home in virtual time: what lands is routed, claimed, sent and recorded by its processes.

Who gets what is decided by the real code: `core.lanes`, `core.crowds`, `worker.places`, `worker.sharing`, `core.outcome`.
What is simplified: a batch decides when it begins and takes effect when it ends; claims look at lanes by age alone, not at
those of other groups in turn as well; a process has one batch under way, where the real one may have two.
"""

from collections import deque
from collections.abc import Coroutine
from math import inf
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from tidings.bench.simulation.delivering import LOOK, RESCUE, Delivering
from tidings.bench.simulation.figures import Ledger
from tidings.bench.simulation.parts import Agenda, Leased, Process, Row, leased_of
from tidings.bench.simulation.world import World
from tidings.core.lanes import in_turns, share_out
from tidings.worker.batches import BATCH
from tidings.worker.intake import FULL_INTERVAL, MAX_OUTBOX
from tidings.worker.places import MAX_UNRECORDED, PATIENCE
from tidings.worker.sharing import Way

T = TypeVar("T")

LANDED_AT_ONCE: Final = 500  # rows: a flight
_LATE: Final = round(PATIENCE / LOOK)  # times that a batch waits for places
_ROUTING: Final = 0.4  # of a delivery's CPU


class Home(Delivering):
    """A database with its workers."""

    def __init__(self, world: World, agenda: Agenda, rng: Random, ledger: Ledger, number: int, workers: int) -> None:
        super().__init__(world, agenda, rng, ledger, number, workers)
        self.stream: deque[Row] = deque()
        self._is_landing = False

    # What comes --------------------------------------------------------------------------------------------------------

    def arrive(self, rows: list[Row]) -> None:
        """Have rows come by the stream."""
        self.stream.extend(rows)
        self._land()

    def _land(self) -> None:
        if self.is_away or self._is_landing or not self.stream:
            return
        if len(self.outbox) > MAX_OUTBOX:
            self._is_landing = True
            self._agenda.at(self._agenda.now + FULL_INTERVAL, self._landed, [])
            return
        rows = [self.stream.popleft() for _ in range(min(LANDED_AT_ONCE, len(self.stream)))]
        plan = self._plan
        self._postgres_until = max(self._agenda.now, self._postgres_until) + (
            len(rows) * plan.landing_us * plan.slowness / 1e6 / plan.postgres_cores
        )
        self._is_landing = True
        self._agenda.at(self._postgres_until + plan.journey, self._landed, rows)

    def _landed(self, rows: list[Row]) -> None:
        self._is_landing = False
        for row in rows:
            row.landed_at = self._agenda.now
            self.outbox.add(row)
        self._ring()
        self._land()

    # Routing -----------------------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        """Have processes that sleep route what is there."""
        if self.is_away:
            return
        wanted = -(-len(self.outbox) // BATCH)
        for _ in range(len(self.processes)):
            if wanted <= 0:
                return
            self._turn = (self._turn + 1) % len(self.processes)
            process = self.processes[self._turn]
            if process.died_at < inf:
                continue
            if not process.is_routing:
                wanted -= 1
                self._route(process, Way.BY_AGE)
            if not process.is_beside and process.sharing.crowding:
                self._route_beside(process)

    def _route(self, process: Process, way: Way) -> None:
        """Begin a batch, or wait for places for it a little."""
        process.is_routing = False
        if self.is_away or process.died_at < inf or not len(self.outbox):
            return
        process.sharing.look(self._groups)
        process.is_routing = self._route_batch(process, way, can_wait=process.late < _LATE)
        if not process.is_routing and len(self.outbox):
            process.late += 1
            process.is_routing = True
            self._agenda.at(self._agenda.now + LOOK, self._route, process, way)

    def _route_beside(self, process: Process) -> None:
        """Route what others have while a group crowds them."""
        process.is_beside = False
        if self.is_away or process.died_at < inf or not process.sharing.look(self._groups):
            return
        process.is_beside = self._route_batch(process, Way.OF_OTHERS, can_wait=False)
        if not process.is_beside and len(self.outbox):
            process.is_beside = True
            self._agenda.at(self._agenda.now + process.sharing.interval, self._route_beside, process)

    def _route_batch(self, process: Process, way: Way, *, can_wait: bool) -> bool:
        """Route a batch if there is one and it may begin."""
        places, sharing = process.places, process.sharing
        limit, is_beside = sharing.limit(BATCH), way is Way.OF_OTHERS
        shares = None if way is Way.BY_AGE else sharing.shares_of(self.outbox, way, limit)
        if shares is not None and not shares:
            return False
        places.share(is_shared=sharing.is_shared)
        promised = _at_once(places.promise(limit, can_wait=False, is_beside=is_beside))
        waiting = min(limit, len(self.outbox))
        if can_wait and (promised < min(waiting, self._plan.max_in_flight // 2) or places.unrecorded > MAX_UNRECORDED):
            places.keep_promise(promised)
            return False
        process.late = 0
        rows = self.outbox.take(limit) if shares is None else self.outbox.take_shares(shares)
        if shares is not None:
            sharing.served(way, shares)
        leased, others = self._lease(process, rows, places.room(promised, is_beside=is_beside))
        begun = self._agenda.now
        end = self._works(process, len(rows), _ROUTING)
        self._agenda.at(end, self._routed, process, way, rows, leased, others, promised, begun)
        return True

    def _lease(self, process: Process, rows: list[Row], capacity: int) -> tuple[list[Leased], int]:
        """Lease what can be begun at once, and have the rest wait in its lanes."""
        now, places = self._agenda.now, process.places
        lanes = {row.lane.id: row.lane for row in rows}
        rooms = {id_: lane.room(now) for id_, lane in lanes.items()}
        doubted = {id_ for id_, lane in lanes.items() if not lane.trusted or places.is_slow(id_)}
        fresh = in_turns(rows, _group_of) if len(rows) > capacity else rows
        others = 0
        if doubted:
            others = places.lend_to_others(at_most=min(capacity, sum(row.lane.id in doubted for row in fresh)))
        now_, later = share_out(fresh, _lane_of, rooms, capacity, doubted=doubted, others_capacity=others)
        for row in now_:
            row.lane.lease(1)
        waits: dict[UUID, list[tuple[float, int, Any]]] = {}
        for row in later:
            waits.setdefault(row.lane.id, []).append((row.committed_at, row.number, (row, 0)))
        for id_, theirs in waits.items():
            lanes[id_].put(theirs, now)
            self._look_at(lanes[id_])
        self.queued += len(later)
        leased = [leased_of(row, 1, is_trusted=row.lane.id not in doubted) for row in now_]
        self._ledger.leased(leased)
        return leased, others

    def _routed(
        self, process: Process, way: Way, rows: list[Row], leased: list[Leased], others: int, promised: int, begun: float
    ) -> None:
        if process.died_at < inf:
            self._hold(process, leased)
            return
        self._begin(process, leased)
        process.places.give_back(others)
        process.places.keep_promise(promised)
        process.sharing.note_rows(rows)
        took = self._agenda.now - begun
        if way is Way.OF_OTHERS:
            process.sharing.took(took)
            process.is_beside = True
            self._agenda.at(self._agenda.now + process.sharing.interval, self._route_beside, process)
            return
        rest = process.sharing.rest_seconds(took)
        self._agenda.at(self._agenda.now + rest, self._route, process, process.sharing.way())

    # What is lost ------------------------------------------------------------------------------------------------------

    def lose_process(self, number: int) -> None:
        """Have a process die; what it holds is due again once it was silent for so long."""
        process = self.processes[number]
        process.died_at = self._agenda.now
        self._bury_later(process)

    def replace_process(self, number: int) -> None:
        """Have another process in the place of one that died."""
        self.processes[number] = Process(self._plan.max_in_flight, self._agenda.clock)
        self._ring()

    def go_away(self) -> None:
        """Have its database be lost."""
        self.is_away = True

    def come_back(self) -> None:
        """Have a standby take over: each process begins anew, and what it held is due again."""
        self.is_away = False
        for process in self.processes:
            if process.died_at == inf:
                self._agenda.at(self._agenda.now + RESCUE, self._put_back, process.forget())
        self._wakes_at = inf
        self._wake(self._agenda.now)
        self._land()
        self._ring()

    @property
    def waiting(self) -> int:
        """How many wait: in the stream, in the outbox, in lanes."""
        return len(self.stream) + len(self.outbox) + self.queued


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("It waits.")


def _lane_of(row: Row) -> UUID:
    return row.lane.id


def _group_of(row: Row) -> str:
    return row.group_id
