"""A lane's row, in memory.

What a lane allows, and what results mean for it, is decided by PostgreSQL: `lock_lanes_to_route`, `make_due`, `claim`,
`settle_lanes` and `ground` of `store/sql`. A simulation of a million lanes cannot ask it, so the same is said here once more;
tests/integration/test_simulated_lanes.py holds all but `ground` to PostgreSQL through random histories. Times are seconds.
"""

from heapq import heappop, heappush
from math import floor, inf
from typing import Any, Final
from uuid import UUID

MOST_REST: Final = 300.0  # seconds
LONG: Final = 20  # deliveries that wait, from which a breaker spreads a lane
FAILING: Final = 5  # failures in a row, from which it rests
ORDERED_AHEAD: Final = 10.0  # seconds that a place in an ordered lane may be ahead of the clock
UNROUTED_PAUSE: Final = 0.05  # seconds until an ordered lane is looked at again, while something before its head is not routed
PUT_OFF: Final = 0.25  # seconds that a lane waits for which there was no room
SATURATED_NET: Final = 1.0  # seconds


def _latest(*times: float | None) -> float:
    return max(time for time in times if time is not None)


class Lane:
    """One webhook's lane, and what waits in it.

    Attributes:
        waiting_rows: By place and number, as the queue's index has them; what follows is the caller's.
    """

    __slots__ = (
        "allowance", "concurrency", "due_at", "failure_count", "group_id", "has_succeeded", "held_until", "id", "in_flight",
        "ordered", "rate", "refilled_at", "rest_count", "resting_until", "saturated", "tokens", "waiting", "waiting_rows",
    )  # fmt: skip

    def __init__(
        self,
        id_: UUID,
        group_id: str,
        *,
        concurrency: int = 100,
        rate: float | None = None,
        ordered: bool = False,
        now: float = 0,
    ) -> None:
        self.id = id_
        self.group_id = group_id
        self.concurrency = concurrency
        self.rate = rate
        self.ordered = ordered
        self.allowance = min(concurrency, 10)
        self.tokens = 0.0 if rate is None else max(rate, 1.0)
        self.refilled_at = now
        self.due_at = inf
        self.in_flight = self.waiting = 0
        self.failure_count = self.rest_count = 0
        self.resting_until: float | None = None
        self.held_until: float | None = None
        self.saturated = self.has_succeeded = False
        self.waiting_rows: list[tuple[float, int, Any]] | None = None

    @property
    def trusted(self) -> bool:
        """Whether its last attempt succeeded."""
        return self.has_succeeded and self.failure_count == 0

    @property
    def is_long(self) -> bool:
        """Whether so many deliveries wait that its breaker spreads them."""
        return self.waiting >= LONG

    @property
    def wanted(self) -> int:
        """How many more attempts a claim could begin."""
        return max(0, min(self._places - self.in_flight, self.waiting))

    @property
    def _places(self) -> int:
        if self.ordered:
            return 1
        return min(self.concurrency, self.allowance if self.is_long else max(self.allowance, LONG))

    def room(self, now: float) -> int:
        """Return how many deliveries it can be given as they are routed."""
        if (
            self.due_at <= now
            or self.saturated
            or self.ordered
            or self.rate is not None
            or (self.held_until is not None and self.held_until > now)
            or (self.is_long and self.resting_until is not None and self.resting_until > now)
        ):
            return 0
        places = self._places if self.failure_count else min(self.concurrency, self.allowance)
        return max(0, places - self.in_flight)

    def lease(self, count: int) -> None:
        """Take note of deliveries that are leased as they are routed."""
        self.in_flight += count

    def put(self, rows: list[tuple[float, int, Any]], now: float) -> None:
        """Have fresh deliveries wait."""
        self._keep(rows)
        self.waiting += len(rows)
        if not self.saturated:
            rest = self.resting_until if self.is_long else None
            self.due_at = _latest(self.held_until, rest, min(self.due_at, now))

    def _keep(self, rows: list[tuple[float, int, Any]]) -> None:
        if self.waiting_rows is None:
            self.waiting_rows = []
        for row in rows:
            heappush(self.waiting_rows, row)

    def claim(self, share: int, now: float, unrouted: float = inf) -> list[Any]:
        """Take what is due, at most a share, and return it.

        Args:
            unrouted: In an ordered lane, the time of the first event of its group that is not routed yet.
        """
        if self.rate is not None:
            full = max(self.rate, 1.0)
            self.tokens = min(full, self.tokens + self.rate * max(0.0, now - self.refilled_at))
            self.refilled_at = now
        free = self._places - self.in_flight
        if self.rate is not None:
            free = min(free, floor(self.tokens))
        room, ahead = min(free, share), ORDERED_AHEAD if self.ordered else 0.0
        rows = self.waiting_rows or []
        taken: list[Any] = []
        while rows and len(taken) < room and rows[0][0] - ahead <= now and not (self.ordered and unrouted <= rows[0][0]):
            taken.append(heappop(rows)[2])
        next_due = rows[0][0] - ahead if rows else None
        took = len(taken)
        self.in_flight += took
        self.waiting -= took
        if self.rate is not None:
            self.tokens -= took
        is_due = next_due is not None and next_due <= now
        self.saturated = is_due and took >= free and (self.rate is None or self.tokens >= 1)
        self.due_at = _latest(
            self.held_until, self.resting_until if self.is_long else None, self._due_after(next_due, now, took < free)
        )
        return taken

    def _due_after(self, next_due: float | None, now: float, has_room: bool) -> float:
        if next_due is None:
            return inf
        if next_due > now:
            return next_due
        if has_room:
            return now + UNROUTED_PAUSE if self.ordered else now
        if self.rate is not None and self.tokens < 1:
            return now + (1 - self.tokens) / self.rate
        return now + SATURATED_NET

    def put_off(self, now: float) -> None:
        """Have it wait for a moment, since there was no room for it."""
        self.due_at = now + PUT_OFF

    def settle(
        self,
        now: float,
        *,
        succeeded: int = 0,
        failed: int = 0,
        retry_at: float | None = None,
        rest_until: float | None = None,
        ended: int,
        retried: list[tuple[float, int, Any]],
    ) -> bool:
        """Apply what results mean, and return whether a claim would find something.

        Args:
            retry_at: The earliest next attempt.
            rest_until: Until when its receiver asked to be left alone.
            retried: Those that wait again.
        """
        before = self.failure_count
        failures = 0 if succeeded else before + failed
        rests = 0 if succeeded else self.rest_count
        if not succeeded and failed and failures >= FAILING:
            if self.resting_until is None or self.resting_until <= now:
                rests += 1
            self.allowance = 1
        elif succeeded:
            self.allowance = min(self.concurrency, self.allowance * 2)
            self.has_succeeded = True
        if rests > self.rest_count:
            self.resting_until = now + min(MOST_REST, 2.0 ** min(rests - 1, 10))
        elif succeeded:
            self.resting_until = None
        held = [time for time in (retry_at if self.ordered else self.held_until, rest_until) if time is not None]
        self.held_until = max(held, default=None) if not self.ordered or ended else self.held_until
        self.failure_count, self.rest_count = failures, rests
        self.in_flight -= ended
        self._keep(retried)
        self.waiting += len(retried)
        is_told = self.saturated or (failures == 0 and before > 0)
        least = min(now if is_told else self.due_at, inf if retry_at is None else retry_at, self.due_at)
        self.saturated = False
        self.due_at = _latest(self.held_until, self.resting_until if self.is_long else None, least)
        return self.due_at <= now

    def ground(self, rows: list[tuple[float, int, Any]], now: float) -> None:
        """Take back what a worker held that is dead."""
        self.in_flight -= len(rows)
        self._keep(rows)
        self.waiting += len(rows)
        self.saturated = False
        self.due_at = _latest(self.held_until, min(self.due_at, now))
