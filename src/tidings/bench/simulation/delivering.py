"""What a home does with deliveries, in virtual time: claims, sends, records, and takes back what dead processes held."""

from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any, Final
from uuid import UUID

from tidings.bench.simulation.figures import Ledger
from tidings.bench.simulation.lanes import Lane
from tidings.bench.simulation.parts import Agenda, Leased, Outbox, Process, leased_of, moment, seconds_of
from tidings.bench.simulation.world import Plan, Webhook, World, group_name
from tidings.core.by_group import ByGroup
from tidings.core.lanes import DueLane, claim_shares
from tidings.core.outcome import SUCCEEDED, Exchange, GiveUp, Outcome, RetryAt, Succeeded, decide
from tidings.core.retry import STANDARD
from tidings.store.queue import MAX_LANES, MAX_OTHER_LANES
from tidings.worker import duties
from tidings.worker.deliverer import RETRY_INTERVAL
from tidings.worker.recorder import FLUSH_INTERVAL, FULL, MAX_BATCH

SILENCE: Final = duties.SILENCE.total_seconds()  # until a worker that is silent is buried
RESCUE: Final = duties.RESCUE_INTERVAL / 2  # seconds until somebody looks for what nobody flies, in the mean
LOOK: Final = 0.02  # seconds until processes that lacked places are asked again
# What part of a delivery's CPU is spent where; the rest is routing's.
_SENDING: Final = 0.3
_CLAIMING: Final = 0.3
_RECORDING: Final = 0.3


class Delivering:
    """A home's lanes and processes."""

    def __init__(self, world: World, agenda: Agenda, rng: Random, ledger: Ledger, number: int, workers: int) -> None:
        self._world, self._agenda, self._rng, self._ledger = world, agenda, rng, ledger
        self._plan: Plan = world.plan
        self._number = number
        self.is_away = False
        self.processes = [Process(self._plan.max_in_flight, agenda.clock) for _ in range(workers)]
        self.outbox = Outbox()
        self.lanes: dict[int, Lane] = {}
        self.queued = 0  # deliveries that wait in lanes
        self._groups: dict[str, None] = {}  # those with webhooks here that were heard of
        self._postgres_until = 0.0
        self._due: dict[bool, list[tuple[float, int, Lane]]] = {True: [], False: []}
        self._entries = 0
        self._wakes_at = inf
        self._turn = 0

    def lane(self, webhook: Webhook) -> Lane:
        """Return the lane of a webhook."""
        lane = self.lanes.get(webhook.number)
        if lane is None:
            lane = self.lanes[webhook.number] = Lane(
                UUID(int=webhook.number), group_name(webhook.group), rate=webhook.rate, ordered=webhook.ordered,
                now=self._agenda.now,
            )  # fmt: skip
            self._groups[lane.group_id] = None
        return lane

    def _works(self, process: Process, count: int, part: float) -> float:
        """Return when PostgreSQL and a process have done a part of the work of so many deliveries."""
        plan, now = self._plan, self._agenda.now
        each = count * part * plan.slowness / 1e6
        self._postgres_until = max(now, self._postgres_until) + each * plan.postgres_us / plan.postgres_cores
        process.busy_until = max(now, process.busy_until) + each * plan.engine_us
        return max(self._postgres_until, process.busy_until) + plan.journey

    # Claiming ----------------------------------------------------------------------------------------------------------

    def _look_at(self, lane: Lane) -> None:
        """Take note of when a lane is due."""
        if lane.due_at < inf:
            self._entries += 1
            heappush(self._due[lane.trusted], (lane.due_at, self._entries, lane))
            self._wake(max(lane.due_at, self._agenda.now))

    def _wake(self, at: float) -> None:
        if at < self._wakes_at:
            self._wakes_at = at
            self._agenda.at(at, self._woken, at)

    def _woken(self, at: float) -> None:
        if at != self._wakes_at or self.is_away:
            return
        self._wakes_at = inf
        has_claimed = False
        for _ in range(len(self.processes)):
            self._turn = (self._turn + 1) % len(self.processes)
            process = self.processes[self._turn]
            if process.died_at == inf and not process.is_claiming and self._claim(process):
                has_claimed = True
                break
        due = self._next_due()
        if due < inf:
            self._wake(max(due, self._agenda.now + (RETRY_INTERVAL if has_claimed else LOOK)))

    def _next_due(self) -> float:
        found = inf
        for is_trusted, heap in self._due.items():
            while heap and not _is_current(heap[0], is_trusted):
                heappop(heap)
            if heap:
                found = min(found, heap[0][0])
        return found

    def _due_lanes(self, is_trusted: bool, limit: int) -> list[Lane]:
        """Return lanes that are due, those due longest first; they are looked at no more until `_look_at`."""
        heap, now = self._due[is_trusted], self._agenda.now
        found: dict[UUID, Lane] = {}
        while heap and len(found) < limit and heap[0][0] <= now:
            entry = heappop(heap)
            if _is_current(entry, is_trusted):
                found[entry[2].id] = entry[2]
        return list(found.values())

    def _claim(self, process: Process) -> bool:
        places, now = process.places, self._agenda.now
        free = places.claim()
        if not free:
            return False
        others = places.lend_to_others(at_most=free)
        looked = self._due_lanes(True, min(MAX_LANES, free)) + self._due_lanes(False, min(MAX_OTHER_LANES, others))
        lanes = [
            DueLane(lane.id, lane.trusted and not places.is_slow(lane.id), lane.in_flight, lane.wanted, lane.group_id)
            for lane in looked
        ]
        doubted = {lane.webhook_id for lane in lanes if not lane.trusted}
        shares = claim_shares([lane for lane in lanes if lane.trusted or others], free, others)
        claimed: list[Leased] = []
        for lane in looked:
            if lane.id not in shares:
                lane.put_off(now)
            else:
                unrouted = self.outbox.first_of(lane.group_id) if lane.ordered else inf
                claimed += [
                    leased_of(row, attempts + 1, is_trusted=lane.id not in doubted)
                    for row, attempts in lane.claim(shares[lane.id], now, unrouted)
                ]
            self._look_at(lane)
        self.queued -= len(claimed)
        self._ledger.leased(claimed)
        if not claimed:
            places.give_back(others)
            places.end_claim(0)
            return bool(looked)
        process.is_claiming = True
        claimed.sort(key=_rank)
        self._agenda.at(self._works(process, len(claimed), _CLAIMING), self._claimed, process, claimed, others)
        return True

    def _claimed(self, process: Process, claimed: list[Leased], others: int) -> None:
        process.is_claiming = False
        if process.died_at < inf:
            self._hold(process, claimed)
            return
        self._begin(process, claimed)
        process.places.give_back(others)
        process.places.end_claim(sum(delivery.is_trusted for delivery in claimed))

    # Sending -----------------------------------------------------------------------------------------------------------

    def _begin(self, process: Process, leased: list[Leased]) -> None:
        """Begin attempts: of lanes that are trusted first, and groups take turns."""
        each = _SENDING * self._plan.engine_us * self._plan.slowness / 1e6
        ready: ByGroup[Leased] = ByGroup()
        others: ByGroup[Leased] = ByGroup()
        for delivery in leased:
            process.places.enter(delivery)
            process.airborne[delivery] = None
            (ready if delivery.is_trusted else others).append(delivery.group_id, delivery)
        at = max(self._agenda.now, process.busy_until)
        for line in (ready, others):
            while line:
                delivery = line.popleft()
                at += each
                seconds, exchange = self._world.answer(delivery.row.webhook.kind, at, self._rng)
                self._ledger.began(delivery, at, self._number)
                self._agenda.at(at + seconds, self._done, process, delivery, exchange, at)
        process.busy_until = at

    def _done(self, process: Process, delivery: Leased, exchange: Exchange, began_at: float) -> None:
        now = self._agenda.now
        if exchange.is_success and began_at <= process.died_at:
            self._ledger.received(delivery, now, self._number)
        if process.died_at < inf:
            return
        process.places.leave(delivery)
        if delivery not in process.airborne:
            return  # it was given to somebody else: a late result is refused
        outcome: Outcome = SUCCEEDED
        if not exchange.is_success:
            outcome = decide(exchange, delivery.attempt_number, STANDARD, moment(now), self._rng)
        process.results.append((delivery, outcome))
        process.places.unrecorded = len(process.results)
        if not process.is_recording:
            process.is_recording = True
            self._agenda.at(now + FLUSH_INTERVAL, self._flush, process)

    # Recording ---------------------------------------------------------------------------------------------------------

    def _flush(self, process: Process) -> None:
        process.is_recording = False
        if self.is_away or process.died_at < inf or not process.results:
            return
        process.is_recording = True
        batch = process.results[:MAX_BATCH]
        self._agenda.at(self._works(process, len(batch), _RECORDING), self._recorded, process, batch)

    def _recorded(self, process: Process, batch: list[tuple[Leased, Outcome]]) -> None:
        process.is_recording = False
        if self.is_away or process.died_at < inf or not process.results or process.results[0] is not batch[0]:
            return  # it was not written, and what it was about is due again
        del process.results[: len(batch)]
        by_lane: dict[UUID, list[tuple[Leased, Outcome]]] = {}
        for result in batch:
            del process.airborne[result[0]]
            self._ledger.gave_back(result[0])
            by_lane.setdefault(result[0].webhook_id, []).append(result)
        is_due = False
        for theirs in by_lane.values():
            is_due |= self._settle(theirs[0][0].row.lane, theirs)
        process.places.unrecorded = len(process.results)
        process.places.look()
        if is_due:
            self._wake(self._agenda.now)
        if process.results:
            process.is_recording = True
            wait = 0.0 if len(process.results) >= FULL else FLUSH_INTERVAL
            self._agenda.at(self._agenda.now + wait, self._flush, process)

    def _settle(self, lane: Lane, results: list[tuple[Leased, Outcome]]) -> bool:
        succeeded = failed = 0
        retry_at: float | None = None
        retried: list[tuple[float, int, Any]] = []
        for delivery, outcome in results:
            row = delivery.row
            match outcome:
                case Succeeded():
                    succeeded += 1
                    self._ledger.finished(has_succeeded=True)
                case RetryAt(at=when):
                    failed += 1
                    at = seconds_of(when)
                    retry_at = at if retry_at is None else min(retry_at, at)
                    place = row.committed_at if lane.ordered else at
                    retried.append((place, row.number, (row, delivery.attempt_number)))
                case GiveUp():
                    failed += 1
                    self._ledger.finished(has_succeeded=False)
        self.queued += len(retried)
        is_due = lane.settle(
            self._agenda.now, succeeded=succeeded, failed=failed, retry_at=retry_at, ended=len(results), retried=retried
        )
        self._look_at(lane)
        return is_due

    # Taking back -----------------------------------------------------------------------------------------------------

    def _bury_later(self, process: Process) -> None:
        """Take note that what a dead process holds is due again once it was silent for so long."""
        self._agenda.at(self._agenda.now + SILENCE + RESCUE, self._ground, process)

    def _hold(self, process: Process, leased: list[Leased]) -> None:
        """Take note of what was leased to a process that is dead."""
        process.airborne |= dict.fromkeys(leased)
        self._bury_later(process)

    def _ground(self, process: Process) -> None:
        if self.is_away:
            self._agenda.at(self._agenda.now + RESCUE, self._ground, process)
        else:
            self._put_back(process.forget())

    def _put_back(self, held: list[Leased]) -> None:
        now = self._agenda.now
        by_lane: dict[UUID, list[Leased]] = {}
        for delivery in held:
            self._ledger.gave_back(delivery)
            by_lane.setdefault(delivery.webhook_id, []).append(delivery)
        for theirs in by_lane.values():
            lane = theirs[0].row.lane
            rows = [(d.row.committed_at if lane.ordered else now, d.row.number, (d.row, d.attempt_number)) for d in theirs]
            lane.ground(rows, now)
            self._look_at(lane)
        self.queued += len(held)


def _is_current(entry: tuple[float, int, Lane], is_trusted: bool) -> bool:
    return entry[0] == entry[2].due_at and entry[2].trusted is is_trusted


def _rank(delivery: Leased) -> bool:
    return not delivery.is_trusted
