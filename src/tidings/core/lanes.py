"""Which fresh deliveries may be leased as they are routed, and which wait in their lane.

A lane with nothing due has nobody to overtake, so what is routed to it can be leased to the worker that routes it, in the
same transaction: one write less, one round trip sooner. Everything else waits to be claimed: lanes with a backlog,
resting or closed ones, and those whose rate or order only a claim can keep.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")

SKEW = timedelta(seconds=10)  # how far the clocks of two processes are apart at most: a heartbeat's answer can be late


def share_out(
    deliveries: Iterable[T], lane_of: Callable[[T], UUID], rooms: Mapping[UUID, int], capacity: int
) -> tuple[list[T], list[T]]:
    """Return the deliveries to lease now and those that wait, each in their order.

    Args:
        rooms: How many more deliveries each lane may have under way; lanes that are not in it only wait. Once one
            delivery of a lane waits, those behind it wait too.
        capacity: How many this worker can take on.
    """
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
