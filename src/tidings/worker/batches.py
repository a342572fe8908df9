"""A batch of events on its way through the dispatcher: how large it may be, what it may have, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from tidings.core.answers import Answer
from tidings.core.delivery import Delivery
from tidings.core.event import OPERATIONAL, Event
from tidings.core.lanes import place_after
from tidings.core.webhook import Webhook
from tidings.store.queue import Queued
from tidings.worker.loops import Sorted

BATCH: Final = 512  # two turns of the outbox
MANY_DELIVERIES: Final = 5000  # of one batch; when events go to so many webhooks, the next batch takes half as many of them


class BadRowsError(Exception):
    """Rows of a batch cannot become events; `faults`: the number of each, and why."""

    def __init__(self, faults: dict[int, str]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


class Size(msgspec.Struct):
    """How many rows the next batch may have, by what came of the last.

    Attributes:
        suspect: The number of the row that has failed alone; None: none has.
    """

    limit: int = BATCH
    suspect: int | None = None

    def grow(self) -> None:
        """Take twice as many rows, up to a whole batch."""
        self.limit = min(BATCH, self.limit * 2)

    def routed(self, deliveries: int) -> None:
        """Take note of a batch that made so many deliveries."""
        if deliveries > MANY_DELIVERIES:
            self.limit = max(1, self.limit // 2)
        else:
            self.grow()

    def failed(self, numbers: Sequence[int]) -> int | None:
        """Take note that these rows cannot be routed together; return the number of the one at fault, if it is known.

        Until then half as many are taken. It is known once it has failed alone twice: another process's janitor may have
        dropped its day, which is not its fault.
        """
        alone = numbers[0] if len(numbers) == 1 else None
        if alone is not None and alone == self.suspect:
            self.suspect = None
            return alone
        self.limit, self.suspect = max(1, len(numbers) // 2), alone
        return None


class Batch(msgspec.Struct):
    """A batch that is being routed: how many rows at most, their numbers once read, and the places that are kept for it."""

    limit: int
    promised: int
    size: Size
    others: int = 0  # of lanes that are not trusted
    numbers: list[int] = []
    shares: dict[str, int] | None = None  # of groups; None: by age
    is_beside: bool = False  # of groups that do not crowd others
    is_written: bool = False  # what is left is to commit it


class Taker(Protocol):
    """Who takes deliveries over as they are routed: the deliverer of this process."""

    def begin(self, delivery: Delivery, event: Event, webhook: Webhook) -> None:
        """Take over a delivery that was leased to it."""

    def attempted(self, delivery: Delivery, event: Event, webhook: Webhook, answer: Answer) -> None:
        """Take over a delivery that was leased to it, and whose attempt was made before."""


class Routed(msgspec.Struct, frozen=True):
    """What became of a batch: its events, and of their deliveries those that are leased at once and those that wait.

    Attributes:
        worker_id: Whose flights these are.
        leases: The flights that lease them, each with its deliveries. Usually one: there are more where more attempts were
            made while the database was away than one may hold.
        doubted: The lanes that are not trusted.
        listeners: Webhooks whose deliveries wait for their clients, not for workers.
    """

    events: list[Event]
    worker_id: UUID
    leases: dict[int, list[Queued]] = {}
    waiting: list[Queued] = []
    webhooks: dict[UUID, Webhook] = {}
    answers: Mapping[UUID, Answer] = {}
    doubted: set[UUID] = set()
    listeners: set[UUID] = set()

    def deliveries(self) -> list[list[Delivery]]:
        """Return what each flight leases, as those who send take it."""
        return [
            [
                Delivery(
                    q.id, q.event_id, q.webhook_id, q.group_id, 1, q.due_at, flight_id, q.is_test,
                    q.webhook_id not in self.doubted,
                )
                for q in leased
            ]
            for flight_id, leased in self.leases.items()
        ]  # fmt: skip


def is_told_to_all(event: Event) -> bool:
    """Whether Tidings tells this of a webhook, to all who want to hear such things."""
    return event.source == OPERATIONAL and event.webhook_id is None


def attempted(
    fresh: list[Queued], answers: Mapping[UUID, Answer], lanes: Collection[UUID]
) -> tuple[list[Queued], list[Queued]]:
    """Part deliveries whose attempts were made while the database was away from those to be made.

    They are leased as if they began now, and take no place.

    Args:
        lanes: Those whose webhooks are there still.
    """
    if not answers:
        return [], fresh
    made = [q for q in fresh if q.id in answers and q.webhook_id in lanes]
    known = {q.id for q in made}
    return made, [q for q in fresh if q.id not in known]


def without(fresh: list[Queued], looped: Sorted) -> tuple[list[Queued], list[Queued]]:
    """Return the deliveries that are made as usual, and those that are put off."""
    if not (looped.stopped or looped.put_off):
        return fresh, []
    put_off = [msgspec.structs.replace(q, due_at=looped.put_off[q.id]) for q in fresh if q.id in looped.put_off]
    return [q for q in fresh if q.id not in looped.put_off and q.id not in looped.stopped], put_off


def in_order(
    waiting: list[Queued], ordered: Collection[UUID], events: Sequence[Event], origins: Mapping[UUID, str], now: datetime
) -> list[Queued]:
    """Return deliveries that wait, with the places in their order of those whose lanes keep one.

    Args:
        ordered: The lanes that keep an order.
        events: All of the batch, in the order they were taken.
        origins: The source of those events that came from a source of a fleet.
    """
    places: dict[UUID, datetime] = {}
    latest: dict[tuple[str, str | None], datetime] = {}  # of each group and origin: no order hangs on clocks of others
    for event in events:
        line = event.group_id, origins.get(event.id)
        places[event.id] = latest[line] = place_after(latest.get(line), event.occurred_at, now)
    return [
        msgspec.structs.replace(q, due_at=places[q.event_id]) if q.webhook_id in ordered and not q.is_test else q
        for q in waiting
    ]
