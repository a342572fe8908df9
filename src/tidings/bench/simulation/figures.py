"""What is noted while a simulation runs, and what must hold whatever happens."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import exp, log
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.bench.simulation.parts import Leased, Row
from tidings.bench.simulation.world import Kind

WINDOW: Final = 5.0  # seconds of commits that are looked at together
LEAST: Final = 0.001  # seconds; what is quicker counts as that
_STEPS: Final = 20  # of a histogram, for each e-fold: a value is told 5 % too large at most


class Times:
    """Times from commit on, by window of the commit."""

    def __init__(self) -> None:
        self.windows: dict[int, Counter[int]] = {}

    def add(self, committed_at: float, seconds: float) -> None:
        """Count one."""
        counts = self.windows.setdefault(int(committed_at / WINDOW), Counter())
        counts[max(0, int(log(max(seconds, LEAST) / LEAST) * _STEPS) + 1)] += 1

    def share(self, part: float, windows: Iterable[int] | None = None) -> float | None:
        """Return below which time such a part of those in some windows was; None: there are none."""
        counts: Counter[int] = Counter()
        for window in self.windows if windows is None else windows:
            counts += self.windows.get(window, Counter())
        left = counts.total() * part
        for step in sorted(counts):
            left -= counts[step]
            if left <= 0:
                return LEAST * exp(step / _STEPS)
        return None


class Moment(msgspec.Struct, frozen=True):
    """How things stood. `waiting`: what receivers that are well had not got yet. `received_count`: since the beginning."""

    at: float
    committed_count: int
    received_count: int
    waiting: Mapping[str, int]


class Ledger:
    """What was committed, begun, received, recorded; and by how much a promise was broken."""

    def __init__(self, loud: int, loud_home: int) -> None:
        self._loud, self._loud_home = loud, loud_home
        self.committed_count = self.received_count = self.repeated_count = 0
        self.succeeded_count = self.failed_count = self.attempt_count = 0
        self.out_of_order = 0  # first receipts in ordered lanes that came before one of an earlier event
        self.above_limit = 0  # leases that a lane had beyond what it allows, at most
        self.webhooks: set[int] = set()
        self.delays: dict[Kind, Times] = {kind: Times() for kind in Kind}  # commit to the first success
        self.waits = {name: Times() for name in ("loud", "beside it", "at other homes")}  # commit to the first attempt
        self.waits_landed = {name: Times() for name in self.waits}  # the same from when it was landed
        self.open: Counter[int] = Counter()  # by home: what receivers that are well have not got yet
        self.moments: list[Moment] = []
        self.begun_at: dict[UUID, list[float]] = {}  # attempts of lanes with a rate
        self._leases: Counter[UUID] = Counter()
        self._latest: dict[UUID, int] = {}

    def committed(self, row: Row, home: int) -> None:
        """Count an event."""
        self.committed_count += 1
        self.open[home] += row.webhook.kind.is_well
        self.webhooks.add(row.webhook.number)

    def leased(self, deliveries: Iterable[Leased]) -> None:
        """Count leases."""
        for delivery in deliveries:
            lane = delivery.row.lane
            self._leases[lane.id] += 1
            limit = 1 if lane.ordered else lane.concurrency
            self.above_limit = max(self.above_limit, self._leases[lane.id] - limit)

    def gave_back(self, delivery: Leased) -> None:
        """Count a lease that is over."""
        self._leases[delivery.webhook_id] -= 1
        if not self._leases[delivery.webhook_id]:
            del self._leases[delivery.webhook_id]

    def began(self, delivery: Leased, at: float, home: int) -> None:
        """Count an attempt."""
        row = delivery.row
        self.attempt_count += 1
        if row.webhook.rate is not None:
            self.begun_at.setdefault(row.lane.id, []).append(at)
        if row.began_at < 0:
            row.began_at = at
            if row.webhook.kind in {Kind.FAST, Kind.USUAL} and not row.webhook.ordered and row.webhook.rate is None:
                is_loud = row.webhook.group == self._loud
                name = "loud" if is_loud else "beside it" if home == self._loud_home else "at other homes"
                self.waits[name].add(row.committed_at, at - row.committed_at)
                self.waits_landed[name].add(row.committed_at, at - row.landed_at)

    def received(self, delivery: Leased, at: float, home: int) -> None:
        """Count what a receiver took."""
        row = delivery.row
        if row.received_at >= 0:
            self.repeated_count += 1
            return
        row.received_at = at
        self.received_count += 1
        self.open[home] -= row.webhook.kind.is_well
        self.delays[row.webhook.kind].add(row.committed_at, at - row.committed_at)
        if row.webhook.ordered:
            latest = self._latest.get(delivery.webhook_id, -1)
            self.out_of_order += row.number < latest
            self._latest[delivery.webhook_id] = max(latest, row.number)

    @property
    def under_way(self) -> int:
        """How many are leased, those that dead processes held included, until they are due again."""
        return self._leases.total()

    def finished(self, *, has_succeeded: bool) -> None:
        """Count a delivery whose end is on record."""
        if has_succeeded:
            self.succeeded_count += 1
        else:
            self.failed_count += 1

    def above_rate(self, rates: Mapping[UUID, float]) -> float:
        """Return by how many attempts a lane went beyond its rate at most, in any stretch of time."""
        worst = 0.0
        for id_, times in self.begun_at.items():
            rate = rates[id_]
            tokens, before = max(rate, 1.0), 0.0
            for at in sorted(times):
                tokens = min(max(rate, 1.0), tokens + rate * (at - before)) - 1
                before = at
                worst = max(worst, -tokens)
        return worst


def table(ledger: Ledger, windows: Mapping[str, Iterable[int]]) -> list[dict[str, Any]]:
    """Return p50 and p99 from commit to the first success, by class of receiver and stretch of time."""
    rows = []
    for kind, times in ledger.delays.items():
        for name, some in windows.items():
            some = list(some)  # noqa: PLW2901 - read twice
            median, p99 = times.share(0.5, some), times.share(0.99, some)
            if median is not None and p99 is not None:
                rows.append({"receivers": kind.title, "when": name, "p50_s": round(median, 3), "p99_s": round(p99, 3)})
    return rows
