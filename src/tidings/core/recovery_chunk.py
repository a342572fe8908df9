"""What one chunk of a recovery does with what it found (theory: `core.recovery`)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from tidings.core import delivery
from tidings.core.recovery import MAX_WAITING, chunk_size


class Lane(msgspec.Struct, frozen=True):
    """What a plan needs to know of a lane."""

    waiting: int
    is_enabled: bool

    @property
    def room(self) -> int:
        """How many deliveries a recovery may add: the lane may rest now and be back a second later."""
        return max(0, MAX_WAITING - self.waiting)


def put_now(lane: Lane, rate_per_second: float | None) -> int:
    """Return how many missing deliveries a chunk adds to a lane at most."""
    return min(chunk_size(rate_per_second), lane.room)


class Plan(msgspec.Struct, frozen=True):
    """What a chunk does with what it found.

    Attributes:
        again: Finished deliveries that go back into the queue.
        hurried: Deliveries that wait for their next attempt, which is made due.
        skipped: How many are left alone.
        held_at: The first that is not dealt with, because its lane is full; None: all are.
        held_by: The webhook whose lane that is.
    """

    again: tuple[UUID, ...]
    hurried: tuple[UUID, ...]
    skipped: int
    held_at: UUID | None = None
    held_by: UUID | None = None


def planned(
    found: Sequence[UUID],
    standing: Mapping[UUID, tuple[UUID, delivery.State]],
    lanes: Mapping[UUID, Lane],
    states: Sequence[delivery.State],
) -> Plan:
    """Decide what becomes of the deliveries that a chunk found, in their order.

    Args:
        standing: Where those that wait or are finished stand now, with their webhooks.
        lanes: Of these webhooks; one that is missing was deleted.
        states: Which states are asked for.
    """
    again: list[UUID] = []
    hurried: list[UUID] = []
    skipped = 0
    added: Counter[UUID] = Counter()
    for id_ in found:
        webhook_id, state = standing.get(id_, (None, delivery.State.SENDING))
        lane = None if webhook_id is None else lanes.get(webhook_id)
        if webhook_id is None or lane is None or not lane.is_enabled or state not in states:
            skipped += 1
        elif state == delivery.State.RETRYING:
            hurried.append(id_)
        elif added[webhook_id] < lane.room:
            again.append(id_)
            added[webhook_id] += 1
        else:
            return Plan(tuple(again), tuple(hurried), skipped, id_, webhook_id)
    return Plan(tuple(again), tuple(hurried), skipped)
