"""What a batch of results adds up to: for its lanes, for the statistics of this minute, for the counters."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.outcome import GiveUp, Gone, Outcome, Released, RetryAt, Succeeded, retry_after_seconds
from tidings.core.statistics import Tally
from tidings.store.queue import LaneTally
from tidings.store.statistics import WHOLE_GROUP, Key
from tidings.worker.result import Result

MAX_REMEMBERED = 20_000  # rows of one minute that are kept at hand; past this the recorder begins new rows

_OUR_FAULTS = frozenset({"stopped", "internal", "render"})  # they say nothing about the receiver


def outcome_name(outcome: Outcome) -> str | None:
    """Return what an outcome is counted as; None when no attempt was made."""
    match outcome:
        case Succeeded():
            return "succeeded"
        case RetryAt():
            return "retried"
        case GiveUp() | Gone():
            return "failed"
        case Released():
            return None


class Batch(msgspec.Struct, frozen=True):
    """What a batch of results adds up to."""

    lanes: dict[UUID, LaneTally]
    statistics: dict[Key, Tally]
    counters: dict[str, Tally]


def add_up(results: list[Result], now: datetime) -> Batch:
    """Return what results mean for lanes, statistics and counters.

    Tests and our own faults are neither a webhook's success nor its failure.
    """
    batch = Batch({}, {}, {})
    for result in results:
        _add_to_lane(batch.lanes.setdefault(result.delivery.webhook_id, LaneTally()), result, now)
        name = outcome_name(result.outcome)
        if name is None:
            continue
        total_ms = result.exchange.timings.total_ms
        batch.counters.setdefault(name, Tally()).add(total_ms)
        if result.delivery.is_test or result.exchange.failure in _OUR_FAULTS:
            continue
        for webhook_id in (result.delivery.webhook_id, WHOLE_GROUP):
            batch.statistics.setdefault((result.delivery.group_id, webhook_id, name), Tally()).add(total_ms)
    return batch


def _add_to_lane(tally: LaneTally, result: Result, now: datetime) -> None:
    tally.ended += 1
    outcome = result.outcome
    if isinstance(outcome, Succeeded):
        tally.succeeded += 1
        return
    if isinstance(outcome, RetryAt | Released):
        tally.retried += 1
        tally.retry_at = outcome.at if tally.retry_at is None else min(tally.retry_at, outcome.at)
    # A test that fails is its maker's to see: real deliveries do not wait because of it.
    is_failure = not isinstance(outcome, Released) and not result.delivery.is_test
    tally.failed += is_failure and result.exchange.failure not in _OUR_FAULTS
    if isinstance(outcome, RetryAt) and retry_after_seconds(result.exchange, now) is not None:
        tally.rest_until = outcome.at if tally.rest_until is None else max(tally.rest_until, outcome.at)


class Minute:
    """What one recorder has counted in the present minute: it writes whole rows, of a part that is its own."""

    def __init__(self) -> None:
        self._begun: tuple[int, datetime] | None = None
        self._rows: dict[Key, Tally] = {}
        self._staged: tuple[tuple[int, datetime], dict[Key, Tally]] | None = None

    def stage(self, part: int, begun: datetime, batch: dict[Key, Tally]) -> dict[Key, Tally]:
        """Return the rows that a batch changes, as they are with it. They count once they are committed."""
        known = self._rows if self._begun == (part, begun) else {}
        rows = {key: known[key].plus(tally) if key in known else tally for key, tally in batch.items()}
        self._staged = ((part, begun), rows)
        return rows

    def commit(self) -> None:
        """Take over what was staged: it is written."""
        if self._staged is None:
            return
        begun, rows = self._staged
        if begun != self._begun:
            self._begun, self._rows = begun, {}
        self._rows |= rows
        self._staged = None

    @property
    def is_full(self) -> bool:
        """Whether so many rows are remembered that the recorder should begin a new part."""
        return len(self._rows) > MAX_REMEMBERED
