"""One run: what is committed, what is lost, what came of it."""

from random import Random
from typing import Any, Final

import msgspec

from tidings.bench.simulation.figures import WINDOW, Ledger, Moment, table
from tidings.bench.simulation.home import Home
from tidings.bench.simulation.parts import Agenda, Row
from tidings.bench.simulation.world import Kind, Plan, Webhook, World

TICK: Final = 0.02  # seconds between what relays send
LOOK: Final = 1.0  # seconds between looks at what waits
LOUD_WEBHOOKS: Final = 64
LOST: Final = "homes lost"
LOUD: Final = "the loud one's"
OTHERS: Final = "other homes"
BACK: Final = 1.1  # times what waited before the loss, at which a home has caught up
SPARE: Final = 100  # deliveries more, since few are waiting at a home that does well


class Found(msgspec.Struct, frozen=True):
    """What a run found.

    Attributes:
        caught_up_s: From the return of the homes that were lost until as little waits there as before.
        busiest_home_share: What the busiest home had of the load, over the mean; the loud group's transaction not counted.
    """

    plan: Plan
    committed: int
    succeeded: int
    failed: int
    waiting: int
    lost: int
    repeated: int
    attempts: int
    webhooks: int
    out_of_order: int
    above_limit: int
    above_rate: float
    caught_up_s: float | None
    busiest_home_share: float
    delays: list[dict[str, Any]]
    waits: list[dict[str, Any]]


class Run:
    """A fleet, from its beginning on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rng = Random(plan.seed)
        self._world, self._agenda = World(plan), Agenda()
        self.lost_homes = frozenset(self._rng.sample(range(plan.homes), round(plan.homes * plan.lost_share)))
        self.loud = next(group for group in range(plan.groups) if self._world.home_of(group) not in self.lost_homes)
        self.loud_home = self._world.home_of(self.loud)
        self.ledger = Ledger(self.loud, self.loud_home)
        workers = [plan.workers // plan.homes + (number < plan.workers % plan.homes) for number in range(plan.homes)]
        self.homes = [
            Home(self._world, self._agenda, self._rng, self.ledger, number, count) for number, count in enumerate(workers)
        ]
        self._number = 0
        self._owed = 0.0
        self._of_home = [0] * plan.homes

    def run(self) -> Found:
        """Let it all happen."""
        plan, agenda = self.plan, self._agenda
        agenda.at(0.0, self._tick)
        agenda.at(0.0, self._look)
        agenda.at(plan.loss_at, self._lose)
        agenda.at(plan.loud_at, self._be_loud)
        agenda.run(plan.drained_by)
        return self._found()

    # What happens --------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Commit what is committed within a tick, and have it arrive."""
        now = self._agenda.now
        self._owed += self.plan.per_second * TICK
        count = int(self._owed)
        self._owed -= count
        webhooks = [self._world.busy_webhook(self._rng) for _ in range(count)]
        for webhook in webhooks:
            self._of_home[self._world.home_of(webhook.group)] += 1
        self._commit(webhooks)
        if now + TICK < self.plan.seconds:
            self._agenda.at(now + TICK, self._tick)

    def _commit(self, webhooks: list[Webhook]) -> None:
        now = self._agenda.now
        by_home: dict[int, list[Row]] = {}
        for webhook in webhooks:
            number = self._world.home_of(webhook.group)
            lane = self.homes[number].lane(webhook)
            self._number += 1
            row = Row(now, self._number, webhook, lane.group_id, lane)
            self.ledger.committed(row, number)
            by_home.setdefault(number, []).append(row)
        for number, rows in by_home.items():
            self._agenda.at(now + TICK, self.homes[number].arrive, rows)

    def _be_loud(self) -> None:
        """Have one group commit very much at once."""
        found: list[Webhook] = []
        for number in range(self.plan.webhooks):
            webhook = self._world.webhook(number)
            if webhook.group == self.loud and webhook.kind in {Kind.FAST, Kind.USUAL} and not webhook.ordered:
                if webhook.rate is None:
                    found.append(webhook)
                if len(found) == LOUD_WEBHOOKS:
                    break
        self._commit([found[number % len(found)] for number in range(self.plan.loud_events)])

    def _lose(self) -> None:
        """Lose a part of all machines at once: databases of homes, and workers of the other homes."""
        plan, agenda = self.plan, self._agenda
        there = [
            (number, worker)
            for number, home in enumerate(self.homes)
            if number not in self.lost_homes
            for worker in range(len(home.processes))
        ]
        for number, worker in self._rng.sample(there, round(plan.workers * plan.lost_share)):
            self.homes[number].lose_process(worker)
            agenda.at(plan.workers_back_at, self.homes[number].replace_process, worker)
        for number in sorted(self.lost_homes):
            self.homes[number].go_away()
            agenda.at(plan.homes_back_at, self.homes[number].come_back)

    def _look(self) -> None:
        """Note how things stand."""
        waiting = {LOST: 0, LOUD: 0, OTHERS: 0}
        ledger = self.ledger
        for number, count in ledger.open.items():
            if number in self.lost_homes:
                waiting[LOST] += count
            else:
                waiting[LOUD if number == self.loud_home else OTHERS] += count
        ledger.moments.append(Moment(self._agenda.now, ledger.committed_count, ledger.received_count, waiting))
        if self._agenda.now + LOOK <= self.plan.drained_by:
            self._agenda.at(self._agenda.now + LOOK, self._look)

    # What came of it -----------------------------------------------------------------------------------------------------

    def _found(self) -> Found:
        plan, ledger = self.plan, self.ledger
        waiting = sum(home.waiting for home in self.homes)
        accounted = ledger.succeeded_count + ledger.failed_count + waiting + ledger.under_way
        rates = {lane.id: lane.rate for home in self.homes for lane in home.lanes.values() if lane.rate is not None}
        stretches = {
            "before": range(windows(plan.down_from * 0.25), windows(plan.down_from)),
            "a tenth is lost": range(windows(plan.loss_at), windows(plan.workers_back_at)),
            "one group is loud": range(windows(plan.loud_at), windows(plan.loud_at) + 2),
        }
        return Found(
            plan, ledger.committed_count, ledger.succeeded_count, ledger.failed_count, waiting + ledger.under_way,
            ledger.committed_count - accounted, ledger.repeated_count, ledger.attempt_count, len(ledger.webhooks),
            ledger.out_of_order, max(0, ledger.above_limit), round(ledger.above_rate(rates), 6), self._caught_up(),
            round(max(self._of_home) / max(1, sum(self._of_home)) * plan.homes, 2),
            table(ledger, stretches), self._waits(stretches),
        )  # fmt: skip

    def _waits(self, stretches: dict[str, range]) -> list[dict[str, Any]]:
        rows = []
        for name, times in self.ledger.waits.items():
            for when, some in stretches.items():
                median, p99 = times.share(0.5, some), times.share(0.99, some)
                landed = self.ledger.waits_landed[name].share(0.99, some)
                if median is not None and p99 is not None and landed is not None:
                    figures = {"p50_s": round(median, 3), "p99_s": round(p99, 3), "p99_since_landed_s": round(landed, 3)}
                    rows.append({"group": name, "when": when} | figures)
        return rows

    def _caught_up(self) -> float | None:
        moments = self.ledger.moments
        before = max((one.waiting[LOST] for one in moments if one.at < self.plan.loss_at), default=0)
        for one in moments:
            if one.at >= self.plan.homes_back_at and one.waiting[LOST] <= before * BACK + SPARE:
                return round(one.at - self.plan.homes_back_at, 1)
        return None


def windows(at: float) -> int:
    """Return which window a time is in."""
    return int(at / WINDOW)
