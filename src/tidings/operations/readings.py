"""How the installation is doing: whether it can answer, what waits, and what all processes have counted."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from tidings.core.errors import BusyError
from tidings.operations import fleet
from tidings.operations.fleet import Watched
from tidings.operations.services import Services
from tidings.store import faults, flights, health, outbox, queue, statistics
from tidings.store.database import UNAVAILABLE
from tidings.store.statistics import Counted, Series

_NONE = Counted(0)
MAX_SET_ASIDE = 10_000  # of each kind, that are counted
ANSWER_SECONDS: Final = 3.0  # for all that is read of the database, where somebody waits who has figures of his own to tell


class Readings(msgspec.Struct, frozen=True):
    """What waits in the whole installation, and what was counted since it began.

    Attributes:
        outbox_rows: Events not yet routed; past 10,000 an upper bound.
        outbox_lag_seconds: Age of the oldest of them.
        waiting: Deliveries that wait for a place, their turn or their next attempt.
        sending: Deliveries a worker holds, those of the last second that are done included.
        queue_lag_seconds: How long the lane that is due longest has waited.
        counted: By name; attempts by their outcome.
        failing: Webhooks that have been failing long enough to be warned of, and `resting`: those of them that rest. Of both
            10,000 are counted at most.
        series: What was counted of each webhook that has a series of its own, and of all others.
        fleet: How the fleet is that this installation is a home of; None: of none.
        set_aside: How many things of each kind are set aside, `MAX_SET_ASIDE` of each at most.
    """

    outbox_rows: int
    outbox_lag_seconds: float
    waiting: int
    sending: int
    queue_lag_seconds: float
    counted: Mapping[str, Counted]
    failing: int
    resting: int
    set_aside: Mapping[str, int]
    series: Sequence[Series] = ()
    fleet: Watched | None = None


async def read(services: Services) -> Readings:
    """Return how the installation is doing. Nothing is looked through for it, however much waits."""
    async with services.wide.connection() as connection:
        counted = await statistics.counters(connection)
        backlog, sending = await outbox.backlog(connection), await flights.under_way(connection)
        lag = await queue.lag_seconds(connection)
        unwell = await health.count(connection, services.clock.now())
        aside = await faults.counts(connection, limit=MAX_SET_ASIDE)
        series = await statistics.series(connection, services.config.metrics_webhooks)
        watched = await fleet.read_over(connection, services)
    taken_out = counted.get("claimed", _NONE).count
    waiting = sum(counted.get(name, _NONE).count for name in ("queued", "requeued")) - taken_out
    return Readings(
        backlog.waiting, backlog.lag_seconds, waiting, sending, lag, counted, unwell.failing, unwell.resting, aside, series,
        watched,
    )  # fmt: skip


async def read_in_time(services: Services, *, seconds: float = ANSWER_SECONDS) -> Readings | None:
    """Return the same; None: the database is away, has no connection for us, or does not answer in time.

    Args:
        seconds: That it may take.
    """
    try:
        found: Readings | None = await services.scraped.within(seconds, partial(read, services))
    except (BusyError, *UNAVAILABLE):
        return None
    return found
