"""Who gets the places there are: which fresh deliveries are leased as they are routed, and how much each lane of a claim gets.

A lane with nothing due has nobody to overtake, so what is routed to it can be leased to the worker that routes it, in the
same transaction: one write less, one round trip sooner. Everything else waits to be claimed: lanes with a backlog,
resting or closed ones, and those whose rate or order only a claim can keep.

A lane is trusted while its last attempt succeeded. Receivers that fail hold a place for up to their timeout, where others
need one for milliseconds; served in turn with them, the others would wait for all those timeouts. So trusted lanes come
first, and the others share what they leave: an eighth of each claim at least. Among themselves groups are brought to the same
number under way, and so are the lanes of each group; they are not given the same number each time: who answers at once gives
its places back, and has all it wants. A group with a thousand lanes gets no more than one with three that want as much.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
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
        group_id: Whose it is.
    """

    webhook_id: UUID
    trusted: bool
    in_flight: int
    wanted: int
    group_id: str = ""


class GroupTurns:
    """Whose turn it is to have lanes looked at by a worker's claims, while more are due than one looks at.

    Those that have been due longest are looked at first, whoever has them; a group with thousands would have others wait until
    it is through. So a claim looks at lanes of the next groups in line as well, by the order of their names, round and round.
    """

    def __init__(self) -> None:
        self._behind = {True: "", False: ""}  # the group that had its turn last, of trusted lanes and of others

    def behind(self, is_trusted: bool) -> str:
        """Return the group behind which the next look begins; nothing: with the first."""
        return self._behind[is_trusted]

    def served(self, is_trusted: bool, last: str | None) -> None:
        """Take note of a look that went as far as a group; None: as far as there are groups."""
        self._behind[is_trusted] = last or ""

    def end(self, is_trusted: bool) -> None:
        """Take note that nobody waits for a turn."""
        self._behind[is_trusted] = ""


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
    """Bring groups to the same number under way, and the lanes of each, as far as they want and the capacity goes."""
    if sum(lane.wanted for lane in lanes) <= capacity:
        return {lane.webhook_id: lane.wanted for lane in lanes}
    by_group: dict[str, list[DueLane]] = {}
    for lane in lanes:
        by_group.setdefault(lane.group_id, []).append(lane)
    sums = [(sum(lane.in_flight for lane in theirs), sum(lane.wanted for lane in theirs)) for theirs in by_group.values()]
    shares: dict[UUID, int] = {}
    for theirs, share in zip(by_group.values(), _fill(sums, capacity), strict=True):
        mine = _fill([(lane.in_flight, lane.wanted) for lane in theirs], share)
        shares |= {lane.webhook_id: most for lane, most in zip(theirs, mine, strict=True)}
    return shares


def _fill(wants: Sequence[tuple[int, int]], capacity: int) -> list[int]:
    """Return how much each gets of a capacity; of each, how much it has and how much more it wants."""
    if sum(wanted for _, wanted in wants) <= capacity:
        return [wanted for _, wanted in wants]
    low, high = 0, max(had + wanted for had, wanted in wants)
    while high - low > 1:
        level = (low + high) // 2
        if sum(_up_to(level, want) for want in wants) <= capacity:
            low = level
        else:
            high = level
    left = capacity - sum(_up_to(low, want) for want in wants)
    shares = []
    for want in wants:  # what does not go round is of those due longest
        more = min(left, _up_to(low + 1, want) - _up_to(low, want))
        left -= more
        shares.append(_up_to(low, want) + more)
    return shares


def _up_to(level: int, want: tuple[int, int]) -> int:
    had, wanted = want
    return min(wanted, max(0, level - had))


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


def in_turns(things: list[T], group_of: Callable[[T], str]) -> list[T]:
    """Return things so that groups take turns, those of each in their order."""
    had: Counter[str] = Counter()
    ranked = []
    for place, thing in enumerate(things):
        group_id = group_of(thing)
        ranked.append((had[group_id], place, thing))
        had[group_id] += 1
    return things if len(had) < 2 else [thing for _, _, thing in sorted(ranked, key=itemgetter(0, 1))]


def place_after(last: datetime | None, occurred_at: datetime, now: datetime) -> datetime:
    """Return the place of an event in ordered lanes: its time, and behind the one that its group wrote to the outbox before it.

    The clock of who routes must not decide, since somebody else routed what is waiting. It only keeps an event that is of the
    future, because PostgreSQL's clock was put back, from holding up its lane until then.
    """
    place = occurred_at if occurred_at <= now + SKEW else now
    return place if last is None else max(place, last + timedelta(microseconds=1))
