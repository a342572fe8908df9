"""However many receivers never answer, those that do are not kept waiting: the engine's own decisions, in virtual time.

Lanes, their trust and what they have under way are kept here as PostgreSQL keeps them; who gets how many places is decided by the code
that decides it in a worker (`core.lanes`, `worker.places`). Nothing that would help besides is counted on: no breaker rests.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

import pytest

from tidings.core.delivery import Delivery
from tidings.core.lanes import DueLane, claim_shares, share_out
from tidings.store.queue import MAX_LANES, MAX_OTHER_LANES
from tidings.worker.places import Places

STEP = 0.02  # seconds between two looks of the engine
TIMEOUT = 30.0  # of receivers that never answer
ANSWER = 0.01  # seconds that a healthy receiver takes
HEALTHY = 5
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class Lane:
    id: UUID
    is_healthy: bool
    trusted: bool
    concurrency: int
    waiting: deque[float] = field(default_factory=deque)  # when each was published
    in_flight: int = 0
    due_at: float = 0.0


@dataclass
class World:
    """A worker, PostgreSQL's lanes and receivers, as far as places go."""

    lanes: list[Lane]
    limit: int
    now: float = 0.0
    ends: list[tuple[float, int, Lane, Delivery]] = field(default_factory=list)
    numbers: count = field(default_factory=count)
    waits: list[float] = field(default_factory=list)  # of healthy deliveries, from their event to the attempt

    def __post_init__(self) -> None:
        self.places = Places(self.limit, monotonic=lambda: self.now)
        self.by_id = {lane.id: lane for lane in self.lanes}

    def publish(self, lanes: list[Lane]) -> None:
        """Route one event to lanes: what may be leased at once is."""
        capacity = self.places.free()
        doubted = {lane.id for lane in lanes if not lane.trusted or self.places.is_slow(lane.id)}
        others = self.places.lend_to_others(at_most=capacity)
        rooms = {lane.id: 0 if lane.waiting else lane.concurrency - lane.in_flight for lane in lanes}
        leased, waiting = share_out(lanes, lambda lane: lane.id, rooms, capacity, doubted=doubted, others_capacity=others)
        for lane in leased:
            self.begin(lane, self.now, is_trusted=lane.id not in doubted)
        self.places.give_back(others)
        for lane in waiting:
            lane.waiting.append(self.now)

    def claim(self) -> None:
        capacity = self.places.claim()
        if not capacity:
            return
        others = self.places.lend_to_others(at_most=capacity)
        due = sorted((lane for lane in self.lanes if lane.waiting and lane.due_at <= self.now), key=lambda lane: lane.due_at)
        found = [lane for lane in due if lane.trusted][: min(MAX_LANES, capacity)]
        found += [lane for lane in due if not lane.trusted][: min(MAX_OTHER_LANES, others)]
        seen = [
            DueLane(
                lane.id,
                lane.trusted and not self.places.is_slow(lane.id),
                lane.in_flight,
                max(0, min(lane.concurrency - lane.in_flight, len(lane.waiting))),
            )
            for lane in found
        ]
        for webhook_id, share in claim_shares(seen, capacity, others).items():
            lane = self.by_id[webhook_id]
            lane.due_at = self.now if share else self.now + 0.25
            is_trusted = lane.trusted and not self.places.is_slow(lane.id)
            for _ in range(share):
                self.begin(lane, lane.waiting.popleft(), is_trusted=is_trusted)
        self.places.give_back(others)
        self.places.end_claim(0)

    def begin(self, lane: Lane, published: float, *, is_trusted: bool) -> None:
        delivery = Delivery(lane.id, lane.id, lane.id, "default", 1, _AT, 1, False, is_trusted)
        self.places.enter(delivery)
        lane.in_flight += 1
        if lane.is_healthy:
            self.waits.append(self.now - published)
        heappush(self.ends, (self.now + (ANSWER if lane.is_healthy else TIMEOUT), next(self.numbers), lane, delivery))

    def go_on(self) -> None:
        self.now += STEP
        while self.ends and self.ends[0][0] <= self.now:
            _, _, lane, delivery = heappop(self.ends)
            self.places.leave(delivery)
            lane.in_flight -= 1
            lane.trusted, lane.due_at = lane.is_healthy, min(lane.due_at, self.now)


@pytest.mark.parametrize(
    ("hostile", "concurrency", "were_fine"),
    [(50, 100, False), (2000, 20, False), (50, 100, True), (400, 100, True)],
    ids=["a few", "very many", "a few that were fine", "many that were fine"],
)
def test_healthy_lanes_wait_a_bounded_time_whatever_share_of_lanes_never_answers(
    hostile: int, concurrency: int, were_fine: bool
) -> None:
    numbers = iter(range(1, 100_000))
    healthy = [Lane(UUID(int=next(numbers)), True, True, 100) for _ in range(HEALTHY)]
    lanes = [Lane(UUID(int=next(numbers)), False, were_fine, concurrency) for _ in range(hostile)]
    world = World([*healthy, *lanes], limit=256)
    for step in range(int(90 / STEP)):
        world.publish([*healthy, *lanes[step % 4 :: 4]] if step % 5 == 0 else [])
        world.claim()
        world.go_on()
    world.waits += [world.now - at for lane in healthy for at in lane.waiting]
    assert len(world.ends) > world.limit, "those that never answer take all the places they can get"
    assert sorted(world.waits)[int(len(world.waits) * 0.99)] < 2.0
    assert max(world.waits) < 4.0
