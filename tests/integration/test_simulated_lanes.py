"""Lanes of the simulation and PostgreSQL's: the same histories, step by step, lead to the same rows."""

from datetime import UTC, datetime, timedelta
from math import inf
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.engine import Engine, engine_of
from tidings.bench.simulation.lanes import Lane
from tidings.config import Config
from tidings.core.delivery import Delivery
from tidings.store import flights, queue
from tidings.store.queue import LaneTally, Queued, Retry

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = 150
_ROW = """
select in_flight, waiting, allowance, failure_count, rest_count, saturated, trusted, tokens, rate_per_second is not null as limited,
  extract(epoch from resting_until - $2)::float8 as resting, extract(epoch from held_until - $2)::float8 as held,
  case when due_at = 'infinity' then 'infinity'::float8 else extract(epoch from due_at - $2)::float8 end as due
from tidings.lanes where webhook_id = $1
"""


def at(seconds: float) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


class Pair:
    """A lane of PostgreSQL and one in memory, which live through the same."""

    def __init__(self, engine: Engine, lane: Lane, group_id: str, rng: Random) -> None:
        self.engine, self.lane, self.rng = engine, lane, rng
        self.group_id = group_id
        self.now = 0.0
        self.number = 0
        self.under_way: dict[UUID, tuple[Delivery, float]] = {}  # each with its place
        self.unrouted = inf
        self.worker = uuid4()

    async def route(self) -> None:
        fresh = [self._fresh() for _ in range(self.rng.choice((1, 1, 3, 8, 30)))]
        async with self.engine.services.wide.transaction() as connection:
            rooms, doubted = await queue.lock_lanes(connection, [self.lane.id], at(self.now))
            room = self.lane.room(self.now)
            assert (rooms, doubted) == ({self.lane.id: room}, set() if self.lane.trusted else {self.lane.id})
            leased, waiting = fresh[:room], fresh[room:]
            if leased:
                flight = await flights.begin(connection, self.worker, leased, at(self.now))
                self.under_way |= {q.id: (self._leased(q.id, 1, flight), self.now) for q in leased}
            if waiting:
                await queue.put(connection, waiting, at(self.now), 0)
        if leased:
            self.lane.lease(len(leased))
        if waiting:
            self.lane.put([(self.now, q.id.int, (q.id, 0, self.now)) for q in waiting], self.now)

    def _fresh(self) -> Queued:
        self.number += 1
        return Queued(UUID(int=self.number), self.lane.id, UUID(int=self.number), self.group_id, False, at(self.now))

    def _leased(self, id_: UUID, number: int, flight: int) -> Delivery:
        return Delivery(id_, id_, self.lane.id, self.group_id, number, at(self.now), flight)

    async def claim(self) -> None:
        capacity = self.rng.choice((1, 5, 100))
        async with self.engine.services.wide.transaction() as connection:
            _, found = await queue.claim(connection, self.worker, at(self.now), capacity=capacity, part=0)
        taken = {delivery.id: delivery for flight in found for delivery in flight}
        mine: list[Any] = []
        if self.lane.due_at <= self.now:
            mine = self.lane.claim(min(self.lane.wanted, capacity), self.now, self.unrouted)
        assert sorted(taken) == sorted(id_ for id_, _, _ in mine)
        assert {id_: taken[id_].attempt_number for id_, _, _ in mine} == {id_: made + 1 for id_, made, _ in mine}
        self.under_way |= {id_: (taken[id_], place) for id_, _, place in mine}

    async def settle(self) -> None:
        if not self.under_way:
            return
        ended = self.rng.sample(sorted(self.under_way), self.rng.randint(1, len(self.under_way)))
        part = self.rng.choice((0.0, 0.0, 0.5, 1.0))
        tally, retries, rows = LaneTally(ended=len(ended)), [], []
        retry_at = rest_until = None
        for id_ in ended:
            delivery, place = self.under_way.pop(id_)
            if self.rng.random() < part:
                tally.succeeded += 1
                continue
            tally.failed += 1
            if self.rng.random() < 0.1:
                continue  # for good
            again = self.now + self.rng.choice((0.0, 0.5, 5.0, 300.0))
            retry_at = again if retry_at is None else min(retry_at, again)
            retries.append(Retry(delivery, delivery.attempt_number, at(again), 500, "no"))
            rows.append((place if self.lane.ordered else again, id_.int, (id_, delivery.attempt_number, place)))
            if self.rng.random() < 0.2:
                rest_until = again if rest_until is None else max(rest_until, again)
        tally.retried = len(retries)
        tally.retry_at = None if retry_at is None else at(retry_at)
        tally.rest_until = None if rest_until is None else at(rest_until)
        async with self.engine.services.wide.transaction() as connection:
            settled = await queue.settle_lanes(connection, {self.lane.id: tally}, at(self.now))
            if retries:
                await queue.wait_again(connection, retries, at(self.now), 0)
        assert settled.is_due == self.lane.settle(
            self.now,
            succeeded=tally.succeeded,
            failed=tally.failed,
            retry_at=retry_at,
            rest_until=rest_until,
            ended=len(ended),
            retried=rows,
        )

    async def outbox(self) -> None:
        """Something of its group is committed that nobody has routed, or is routed."""
        if self.unrouted == inf:
            self.unrouted = self.now
            await self.engine.sql(
                "insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a.b', '{}', $1)",
                at(self.now),
            )
        else:
            self.unrouted = inf
            await self.engine.sql("delete from tidings.outbox")

    async def assert_same(self, said: str) -> None:
        (row,) = await self.engine.sql(_ROW, self.lane.id, BEGINNING)
        lane = self.lane
        told = [
            row[name] for name in ("in_flight", "waiting", "allowance", "failure_count", "rest_count", "saturated", "trusted")
        ]
        mine = [lane.in_flight, lane.waiting, lane.allowance, lane.failure_count, lane.rest_count, lane.saturated, lane.trusted]
        assert told == mine, said
        for name, value in (("resting", lane.resting_until), ("held", lane.held_until), ("due", lane.due_at)):
            assert row[name] == (None if value is None else pytest.approx(value, abs=1e-4)), f"{said}: {name}"
        if row["limited"]:
            assert row["tokens"] == pytest.approx(lane.tokens, abs=1e-4), said


@pytest.mark.parametrize(
    "limits",
    [{}, {"concurrency": 3}, {"ordered": True}, {"rate_per_second": 2.5}, {"rate_per_second": 0.5, "ordered": True}],
    ids=["as made", "three at once", "ordered", "rate", "rate and ordered"],
)
async def test_a_simulated_lane_lives_as_one_of_postgresql_does(config: Config, limits: dict[str, Any]) -> None:
    rng = Random(str(limits))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook("http://127.0.0.1:1/", "order.*", **limits)
        lane = Lane(
            webhook.id, "default", concurrency=webhook.concurrency, rate=webhook.rate_per_second, ordered=webhook.ordered
        )
        await engine.sql("update tidings.lanes set refilled_at = $2 where webhook_id = $1", webhook.id, BEGINNING)
        pair = Pair(engine, lane, "default", rng)
        steps = [pair.route, pair.claim, pair.claim, pair.settle, *([pair.outbox] if webhook.ordered else [])]
        for number in range(STEPS):
            pair.now += rng.choice((0.0, 0.125, 0.5, 1.0, 4.0, 30.0))
            step = rng.choice(steps)
            await step()
            await pair.assert_same(f"step {number}, {step.__name__}")
        assert lane.failure_count or lane.has_succeeded
