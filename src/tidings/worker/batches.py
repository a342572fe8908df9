"""A batch of the outbox on its way: what it may have, and what became of it."""

import logging
from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from tidings.core.answers import Answer
from tidings.core.delivery import Delivery
from tidings.core.event import OPERATIONAL, Event
from tidings.core.webhook import Webhook
from tidings.store import outbox
from tidings.store.database import Database
from tidings.store.queue import Queued
from tidings.worker.loops import Sorted

logger = logging.getLogger("tidings.dispatcher")


class BadRowsError(Exception):
    """Rows of a batch cannot become events; `faults`: the number of each, and why."""

    def __init__(self, faults: dict[int, str]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


class Size(msgspec.Struct):
    """How many rows the next batch may have, by what came of the last; `suspect`: the row that failed alone."""

    limit: int
    suspect: int | None = None


class Batch(msgspec.Struct):
    """A batch that is being routed: how many rows at most, their numbers once read, and the places that are kept for it."""

    limit: int
    promised: int
    size: Size
    others: int = 0  # of lanes that are not trusted
    numbers: list[int] = []
    shares: dict[str, int] | None = None  # of groups; None: by age
    is_beside: bool = False  # of groups that do not crowd others
    origins: dict[UUID, str] = {}  # of events that came from sources of a fleet
    answers: Mapping[UUID, Answer] = {}  # to deliveries that were attempted while the database was away


async def drop_known(database: Database, numbers: list[int]) -> bool:
    """Drop those rows of a batch that came from other databases and were told already; tell whether there were any.

    A source whose standby took over does not know what it had packed last, and packs it again.
    """
    async with database.transaction() as connection:
        dropped = await outbox.drop_known(connection, numbers)
    if dropped:
        logger.warning("%d events came again from another database, and are told once", dropped)
    return dropped > 0


class Taker(Protocol):
    """Who takes deliveries over as they are routed: the deliverer of this process."""

    def begin(self, delivery: Delivery, event: Event, webhook: Webhook) -> None:
        """Take over a delivery that was leased to it."""

    def attempted(self, delivery: Delivery, event: Event, webhook: Webhook, answer: Answer) -> None:
        """Take over a delivery that was leased to it, and whose attempt was made before."""


class Routed(msgspec.Struct, frozen=True):
    """What became of a batch: its events, and of their deliveries those that are leased at once and those that wait.

    Attributes:
        leases: The flights that lease them, each with its deliveries. Usually one: there are more where more attempts were
            made while the database was away than one may hold.
        doubted: The lanes that are not trusted.
        listeners: Webhooks whose deliveries wait for their clients, not for workers.
    """

    events: list[Event]
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
