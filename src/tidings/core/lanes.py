"""Who gets the places there are: which fresh deliveries are leased as they are routed, and how much each lane of a claim gets.

A lane with nothing due has nobody to overtake, so what is routed to it can be leased to the worker that routes it, in the
same transaction: one write less, one round trip sooner. Everything else waits to be claimed: lanes with a backlog,
resting or closed ones, and those whose rate or order only a claim can keep.

A lane is trusted while its last attempt succeeded. Receivers that fail hold a place for up to their timeout, where others
need one for milliseconds; served in turn with them, the others would wait for all those timeouts. So trusted lanes come
first, and the others share what they leave: an eighth of each claim at least. Among themselves lanes are brought to the same
number under way, not given the same number each time: who answers at once gives its places back, and has all it wants.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")

SKEW = timedelta(seconds=10)  # how far the clocks of two processes are apart at most: a heartbeat's answer can be late
LEAST_FOR_OTHERS = 8  # lanes that are not trusted get one of so many places of a claim, though trusted ones want all


class DueLane(msgspec.Struct, frozen=True):
    """A lane that a claim has locked.

    Attributes:
        trusted: Its last attempt succeeded.
        in_flight: Attempts under way, over all workers.
        wanted: How many more it could begin, by its own limits and what waits.
    """

    webhook_id: UUID
    trusted: bool
    in_flight: int
    wanted: int


def claim_shares(lanes: Sequence[DueLane], capacity: int, others_capacity: int) -> dict[UUID, int]:
    """Return how many deliveries a claim takes of each lane at most.

    Args:
        lanes: Those due longest first.
        capacity: For all together.
        others_capacity: For those that are not trusted, of that.
    """
    trusted = [lane for lane in lanes if lane.trusted]
    others = [lane for lane in lanes if not lane.trusted]
    most = min(others_capacity, sum(lane.wanted for lane in others))
    kept = min(most, capacity, max(1, capacity // LEAST_FOR_OTHERS))
    shares = _level(trusted, capacity - kept)
    return shares | _level(others, min(most, capacity - sum(shares.values())))


def _level(lanes: Sequence[DueLane], capacity: int) -> dict[UUID, int]:
    """Bring lanes to the same number under way, as far as they want and the capacity goes."""
    if sum(lane.wanted for lane in lanes) <= capacity:
        return {lane.webhook_id: lane.wanted for lane in lanes}
    low, high = 0, max(lane.in_flight + lane.wanted for lane in lanes)
    while high - low > 1:
        level = (low + high) // 2
        if sum(_up_to(level, lane) for lane in lanes) <= capacity:
            low = level
        else:
            high = level
    left = capacity - sum(_up_to(low, lane) for lane in lanes)
    shares = {}
    for lane in lanes:  # what does not go round is of those due longest
        more = min(left, _up_to(low + 1, lane) - _up_to(low, lane))
        left -= more
        shares[lane.webhook_id] = _up_to(low, lane) + more
    return shares


def _up_to(level: int, lane: DueLane) -> int:
    return min(lane.wanted, max(0, level - lane.in_flight))


def share_out(
    deliveries: Iterable[T],
    lane_of: Callable[[T], UUID],
    rooms: Mapping[UUID, int],
    capacity: int,
    *,
    doubted: Collection[UUID] = (),
    others_capacity: int = 0,
) -> tuple[list[T], list[T]]:
    """Return the deliveries to lease now and those that wait, those of trusted lanes first, else in their order.

    Args:
        rooms: How many more deliveries each lane may have under way; lanes that are not in it only wait. Once one
            delivery of a lane waits, those behind it wait too.
        capacity: How many this worker can take on.
        doubted: The lanes that are not trusted.
        others_capacity: How many of those lanes' deliveries, of the capacity.
    """
    if not doubted:
        return _share_out(deliveries, lane_of, rooms, capacity)
    trusted: list[T] = []
    others: list[T] = []
    for delivery in deliveries:
        (others if lane_of(delivery) in doubted else trusted).append(delivery)
    leased, waiting = _share_out(trusted, lane_of, rooms, capacity)
    more, behind = _share_out(others, lane_of, rooms, min(others_capacity, capacity - len(leased)))
    return leased + more, waiting + behind


def _share_out(
    deliveries: Iterable[T], lane_of: Callable[[T], UUID], rooms: Mapping[UUID, int], capacity: int
) -> tuple[list[T], list[T]]:
    left = dict(rooms)
    leased: list[T] = []
    waiting: list[T] = []
    for delivery in deliveries:
        lane = lane_of(delivery)
        room = left.get(lane, 0)
        if room > 0 and len(leased) < capacity:
            left[lane] = room - 1
            leased.append(delivery)
        else:
            left[lane] = 0
            waiting.append(delivery)
    return leased, waiting


def place_after(last: datetime | None, occurred_at: datetime, now: datetime) -> datetime:
    """Return the place of an event in ordered lanes: its time, and behind the one that was written to the outbox before it.

    The clock of who routes must not decide, since somebody else routed what is waiting. It only keeps an event that is of the
    future, because PostgreSQL's clock was put back, from holding up its lane until then.
    """
    place = occurred_at if occurred_at <= now + SKEW else now
    return place if last is None else max(place, last + timedelta(microseconds=1))
