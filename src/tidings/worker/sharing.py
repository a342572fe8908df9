"""Whose rows a batch is of, while some groups crowd others in the outbox (theory: `core.crowds`)."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum

from tidings.core.crowds import Courtesy, Crowd, split
from tidings.core.event import Event
from tidings.store import outbox
from tidings.store.database import Database
from tidings.worker.signals import Signal

SHARED_BATCH = 64  # rows of a batch while others are about: what is small soon makes room
MOST_GROUPS = 64  # of one batch
EAGER_INTERVAL = 0.002  # seconds between looks for rows of others, where some were seen lately
LOOK_INTERVAL = 0.02  # else


class Way(Enum):
    """How a batch is chosen."""

    BY_AGE = "the oldest rows, whoever wrote them"
    OF_ALL = "a share of each group"
    OF_OTHERS = "a share of each group that does not crowd"


class Sharing:
    """What a dispatcher knows of the groups it routes.

    Attributes:
        crowded: Set while a group crowds others.
    """

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._crowd = Crowd()
        self._courtesy = Courtesy()
        self._has_others = False
        self._behind = dict.fromkeys(Way, "")  # the group that was served last
        self.crowded = Signal()

    def note(self, events: Iterable[Event]) -> None:
        """Take note of events that were routed."""
        now = self._monotonic()
        self._crowd.note(Counter(event.group_id for event in events), now)
        if not self.crowded.is_set and self._crowd.crowding(now):
            self.crowded.set()

    def look(self, groups: Collection[str]) -> bool:
        """Return whether any group crowds others now: of those with webhooks, since nobody waits for what goes nowhere."""
        crowding = self._crowd.crowding(self._monotonic())
        self._has_others = bool(crowding) and len(groups) > sum(group_id in groups for group_id in crowding)
        if not self._has_others:
            self.crowded.clear()
        return self._has_others

    @property
    def is_shared(self) -> bool:
        """Whether a group that crowds others has others beside it, who want little."""
        if not self._has_others:
            return False
        now = self._monotonic()
        return self._crowd.are_others_about(now) and bool(self._crowd.crowding(now))

    def limit(self, limit: int) -> int:
        """Return how many rows a batch has, of as many as it could have."""
        return min(limit, SHARED_BATCH) if self.is_shared else limit

    def took(self, seconds: float) -> None:
        """Take note how long a batch of others took, from the look for it until it was routed."""
        self._courtesy.took(seconds)

    def rest_seconds(self, work_seconds: float) -> float:
        """Return how long to rest after a batch of a backlog that took so long."""
        return self._courtesy.rest_seconds(work_seconds) if self.is_shared else 0.0

    @property
    def interval(self) -> float:
        """Seconds between two looks for rows of others."""
        return EAGER_INTERVAL if self._crowd.are_others_about(self._monotonic()) else LOOK_INTERVAL

    def way(self) -> Way:
        """Return how the batches of a backlog are chosen now."""
        return Way.OF_ALL if len(self._crowd.crowding(self._monotonic())) > 1 else Way.BY_AGE

    async def shares(self, way: Way, limit: int, passed: Sequence[str] = ()) -> dict[str, int]:
        """Return how many rows of which groups a batch is to have.

        Args:
            passed: Groups whose rows are not for us, in the order of their names.
        """
        past = sorted({*passed, *self._crowd.crowding(self._monotonic())}) if way is Way.OF_OTHERS else passed
        async with self._database.connection() as connection:
            waiting = await outbox.groups(connection, self._behind[way], past, most=MOST_GROUPS, deep=limit)
        return split(waiting, limit)

    def served(self, way: Way, shares: dict[str, int]) -> None:
        """Take note that groups had their shares; the next batch begins with those behind them."""
        if shares:
            self._behind[way] = next(reversed(shares))
