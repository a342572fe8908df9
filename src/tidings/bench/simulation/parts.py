"""What moves in a simulation: virtual time, rows of an outbox, what is leased, a worker's process."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from math import inf
from typing import Any, Final, cast

import msgspec

from tidings.bench.simulation.lanes import Lane
from tidings.bench.simulation.world import Webhook
from tidings.core.crowds import Waiting, split
from tidings.core.delivery import Delivery
from tidings.core.outcome import Outcome
from tidings.store.database import Database
from tidings.worker.places import Places
from tidings.worker.sharing import MOST_GROUPS, Sharing, Way

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    """Return seconds of virtual time as those who decide read it."""
    return BEGINNING + timedelta(seconds=seconds)


def seconds_of(at: datetime) -> float:
    """Return a time that was decided as virtual time."""
    return (at - BEGINNING).total_seconds()


class Agenda:
    """What will happen when. Things of one time happen in the order in which they were put here."""

    def __init__(self) -> None:
        self.now = 0.0
        self._things: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def clock(self) -> float:
        """Return the time, for those who take a clock."""
        return self.now

    def at(self, time: float, what: Callable[..., None], *arguments: Any) -> None:
        """Have something happen."""
        self._count += 1
        heappush(self._things, (time, self._count, what, arguments))

    def run(self, until: float) -> None:
        """Let things happen until a time."""
        things = self._things
        while things and things[0][0] <= until:
            self.now, _, what, arguments = heappop(things)
            what(*arguments)


class Row(msgspec.Struct, gc=False, eq=False):
    """An event that was committed, for one webhook. `began_at`, `received_at`: its first attempt, its first success."""

    committed_at: float
    number: int
    webhook: Webhook
    group_id: str
    lane: Lane
    landed_at: float = -1.0
    began_at: float = -1.0
    received_at: float = -1.0
    is_taken: bool = False


class Leased(Delivery, frozen=True, gc=False, eq=False, kw_only=True):
    """A delivery that a process has, and the row it comes from."""

    row: Row


def leased_of(row: Row, attempt_number: int, *, is_trusted: bool) -> Leased:
    """Return a row as a process gets it. Ids are told apart by nobody here."""
    lane = row.lane
    return Leased(
        lane.id, lane.id, lane.id, row.group_id, attempt_number, BEGINNING, 0, is_trusted=is_trusted, row=row
    )  # fmt: skip


class Outbox:
    """Rows that are not routed yet, by age and by group."""

    def __init__(self) -> None:
        self._by_age: deque[Row] = deque()
        self._by_group: dict[str, deque[Row]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def add(self, row: Row) -> None:
        """Put a row behind all others."""
        self._count += 1
        self._by_age.append(row)
        self._by_group.setdefault(row.group_id, deque()).append(row)

    def take(self, limit: int) -> list[Row]:
        """Take the oldest."""
        found: list[Row] = []
        while self._by_age and len(found) < limit:
            row = self._by_age.popleft()
            if not row.is_taken:
                self._take_first(row.group_id, found)
        return found

    def take_shares(self, shares: Mapping[str, int]) -> list[Row]:
        """Take the oldest of each group."""
        found: list[Row] = []
        for group_id, share in shares.items():
            for _ in range(share):
                self._take_first(group_id, found)
        return found

    def _take_first(self, group_id: str, found: list[Row]) -> None:
        theirs = self._by_group[group_id]
        row = theirs.popleft()
        row.is_taken = True
        if not theirs:
            del self._by_group[group_id]
        self._count -= 1
        found.append(row)

    def groups(self, behind: str, past: Collection[str], *, most: int, deep: int) -> list[Waiting]:
        """Return the next groups in line, as `store.outbox.groups` does."""
        names = sorted(name for name in self._by_group if name not in past)
        line = [name for name in names if name > behind] + [name for name in names if name <= behind]
        return [Waiting(name, min(deep, len(self._by_group[name]))) for name in line[:most]]

    def first_of(self, group_id: str) -> float:
        """Return when the first row of a group was committed; infinity: it has none."""
        theirs = self._by_group.get(group_id)
        return theirs[0].committed_at if theirs else inf


class SharingHere(Sharing):
    """Whose rows a batch is of, asked of an outbox in memory."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(cast("Database", None), monotonic=monotonic)  # which only `shares` would ask

    def shares_of(self, outbox: Outbox, way: Way, limit: int) -> dict[str, int]:
        """Return how many rows of which groups a batch is to have, as `shares` does."""
        past = self.crowding if way is Way.OF_OTHERS else []
        return split(outbox.groups(self._behind[way], past, most=MOST_GROUPS, deep=limit), limit)

    def note_rows(self, rows: list[Row]) -> None:
        """Take note of rows that were routed, as `note` does."""
        self._crowd.note(Counter(row.group_id for row in rows), self._monotonic())

    @property
    def crowding(self) -> list[str]:
        """The groups that crowd others now."""
        return self._crowd.crowding(self._monotonic())


class Process:
    """A worker's process.

    Attributes:
        busy_until: When its core is free again.
        airborne: What it holds.
        results: What came of attempts, not written yet.
        late: How often it has put off a batch for want of places.
    """

    def __init__(self, max_in_flight: int, clock: Callable[[], float]) -> None:
        self.places = Places(max_in_flight, monotonic=clock)
        self.sharing = SharingHere(clock)
        self.busy_until = 0.0
        self.died_at = inf
        self.airborne: dict[Leased, None] = {}
        self.results: list[tuple[Leased, Outcome]] = []
        self.is_routing = self.is_beside = self.is_claiming = self.is_recording = False
        self.late = 0

    def forget(self) -> list[Leased]:
        """Give up all that it holds, and return it."""
        held = list(self.airborne)
        self.airborne.clear()
        self.results.clear()
        self.places.unrecorded = 0
        return held
