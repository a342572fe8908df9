"""What a batch of results adds up to: for its lanes, for the statistics of this minute, for the counters."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from tidings.core.outcome import GiveUp, Gone, Outcome, Released, Result, RetryAt, Succeeded, retry_after_seconds
from tidings.core.statistics import Tally
from tidings.store.queue import LaneTally
from tidings.store.statistics import WHOLE_GROUP, Key

K = TypeVar("K")

MAX_REASON = 300  # characters of the last failure that a lane keeps, since its row is written with each batch
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


class _OfWebhook:
    """What the results of one webhook add up to: one look-up for each result, however much is counted."""

    __slots__ = ("group_id", "lane", "others", "own")

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.lane = LaneTally()
        self.own: dict[str, Tally] = {}
        self.others: dict[str, Tally] = {}  # tests and our own faults: neither the webhook's success nor its failure

    def add(self, result: Result, now: datetime) -> None:
        _add_to_lane(self.lane, result, now)
        name = outcome_name(result.outcome)
        if name is not None:
            is_own = not result.delivery.is_test and result.exchange.failure not in _OUR_FAULTS
            tallies = self.own if is_own else self.others
            tally = tallies.get(name)
            if tally is None:
                tally = tallies[name] = Tally()
            tally.add(result.exchange.timings.total_ms)


def add_up(results: list[Result], now: datetime) -> Batch:
    """Return what results mean for lanes, statistics and counters."""
    webhooks: dict[UUID, _OfWebhook] = {}
    for result in results:
        delivery = result.delivery
        of_webhook = webhooks.get(delivery.webhook_id)
        if of_webhook is None:
            of_webhook = webhooks[delivery.webhook_id] = _OfWebhook(delivery.group_id)
        of_webhook.add(result, now)
    batch = Batch({webhook_id: sums.lane for webhook_id, sums in webhooks.items()}, {}, {})
    for webhook_id, sums in webhooks.items():
        for name, tally in sums.own.items():
            batch.statistics[sums.group_id, webhook_id, name] = tally
            _merge(batch.statistics, (sums.group_id, WHOLE_GROUP, name), tally)
            _merge(batch.counters, name, tally)
        for name, tally in sums.others.items():
            _merge(batch.counters, name, tally)
    return batch


def _merge(tallies: dict[K, Tally], key: K, tally: Tally) -> None:
    known = tallies.get(key)
    if known is None:
        known = tallies[key] = Tally()  # one of its own: what is given counts elsewhere too
    known.take_in(tally)


def _add_to_lane(tally: LaneTally, result: Result, now: datetime) -> None:
    tally.ended += 1
    outcome, is_test = result.outcome, result.delivery.is_test
    tally.tests += is_test
    if isinstance(outcome, Succeeded):
        tally.succeeded += 1
        tally.tests_succeeded += is_test
        return
    tally.retried += isinstance(outcome, RetryAt | Released)
    if is_test:  # one that fails is its maker's to see, and one that waits again goes past its lane
        return
    if isinstance(outcome, RetryAt | Released):
        tally.retry_at = outcome.at if tally.retry_at is None else min(tally.retry_at, outcome.at)
    if not isinstance(outcome, Released) and result.exchange.failure not in _OUR_FAULTS:
        tally.failed += 1
        tally.reason = outcome.reason[:MAX_REASON]
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

    def discard(self) -> None:
        """Forget what was staged: it was not written."""
        self._staged = None

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
