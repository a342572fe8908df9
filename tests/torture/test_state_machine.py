"""Random steps of several workers against real PostgreSQL: a delivery is in one place, and moves as its table says.

The parts are the real ones, dispatcher, deliverer, recorder, rescuer, recoverer and the operations of people; what is not there is the
network: what a receiver answers, and when, is a step as well. Time goes on when a step says so. After each step the whole database
is looked at.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

import asyncpg
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.conftest import url_of
from tests.support.engine import VirtualClock
from tests.support.torture import LONG, told
from tidings.app import make_worker, opened
from tidings.config import Config
from tidings.core.errors import TidingsError
from tidings.core.filters import parse_filter
from tidings.core.outcome import Exchange, Timings
from tidings.core.retry import parse_policy
from tidings.core.signature import new_secret
from tidings.core.webhook import Webhook
from tidings.operations.history import deliveries, recoveries
from tidings.operations.services import Services
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.store import flights, webhooks
from tidings.worker.service import Worker

T = TypeVar("T")

EXAMPLES, STEPS = (300, 60) if LONG else (12, 30)
WORKERS = 3
MAX_WEBHOOKS = 4
ANSWERS = {
    "ok": Exchange(200, timings=Timings(total_ms=3)),
    "refused": Exchange(500, timings=Timings(total_ms=3)),
    "asked to wait": Exchange(429, headers=(("retry-after", "30"),), timings=Timings(total_ms=3)),
    "gone": Exchange(410, timings=Timings(total_ms=3)),
    "silent": Exchange(failure="timeout", error="It did not answer.", timings=Timings(total_ms=3)),
    "stopped": Exchange(failure="stopped", error="The worker stopped."),
    "not renderable": Exchange(failure="render", error="It cannot be written."),
}

FAILURES = ("refused", "silent")
SHORTEST_DELAY = timedelta(seconds=5)
USUAL = ("route", "claim", "claim", "record", "ok", "ok", "ok", "refused", "refused", "silent", "stopped", *ANSWERS)

# All that must hold, each a query that finds what does not.
OPEN = """(select u.* from tidings.under_way u where not exists (select from tidings.attempts a where a.delivery_id = u.id and a.number = u.number)
  and not exists (select from tidings.deliveries d where d.id = u.id and d.attempt_count = u.number))"""
RULES = {
    "a delivery is in one place": f"""select id, count(*) from (select id from tidings.queue union all select id from tidings.deliveries
      union all select id from {OPEN} o) p group by id having count(*) > 1""",
    "lanes count what is under way": f"""select l.webhook_id, l.in_flight, (select count(*) from {OPEN} o where o.webhook_id = l.webhook_id)
      from tidings.lanes l where l.in_flight <> (select count(*) from {OPEN} o where o.webhook_id = l.webhook_id)""",
    "lanes count what waits": """select l.webhook_id, l.waiting, (select count(*) from tidings.queue q where q.webhook_id = l.webhook_id)
      from tidings.lanes l where l.waiting <> (select count(*) from tidings.queue q where q.webhook_id = l.webhook_id)""",
    "never more than the limit is under way": """select webhook_id, in_flight, concurrency from tidings.lanes
      where in_flight > case when ordered then 1 else concurrency end""",
    "what waits has a lane": """select id from tidings.queue q where not exists (select from tidings.lanes l where l.webhook_id = q.webhook_id)""",
    "attempts are numbered one by one": f"""select p.id, p.made, a.numbers from (
        select id, attempt_count as made, null::integer as own from tidings.queue
        union all select id, attempt_count, case when started_at is not null then attempt_count end from tidings.deliveries
        union all select id, number - 1, null from {OPEN} o) p
      cross join lateral (select coalesce(array_agg(number order by number), '{{}}') as numbers from (
        select number from tidings.attempts where delivery_id = p.id union all select p.own where p.own is not null) n) a
      where a.numbers <> array(select generate_series(1, p.made))""",
    "no delivery is lost": f"""select e.id, e.delivery_count from tidings.events e where e.delivery_count <> (
      select count(*) from (select event_id from tidings.queue union all select event_id from tidings.deliveries
        union all select event_id from {OPEN} o) p where p.event_id = e.id)""",
    "statistics are the attempts": """select webhook_id, counted, made from (
        select webhook_id, sum(count) as counted from tidings.statistics where span = 'minute' and webhook_id <> '00000000-0000-0000-0000-000000000000'
        group by webhook_id) s
      full join (select webhook_id, count(*) as made from (
          select d.webhook_id, a.failure from tidings.attempts a
            join (select id, webhook_id from tidings.deliveries union select id, webhook_id from tidings.queue union select id, webhook_id from tidings.under_way) d
            on d.id = a.delivery_id
          union all select webhook_id, failure from tidings.deliveries where started_at is not null) t
        where coalesce(failure, '') not in ('lost', 'stopped', 'internal', 'render') group by webhook_id) m using (webhook_id)
      where counted is distinct from made""",
    "what came into the queue less what left it is what is in it": """select c.count, q.count from
      (select coalesce(sum(case name when 'claimed' then -count else count end), 0) as count from tidings.counters where name in ('queued', 'requeued', 'claimed')) c,
      (select count(*) from tidings.queue) q where c.count <> q.count""",
}  # fmt: skip


ENDS = """select status as what, count(*) from tidings.deliveries group by status
  union all select failure, count(*) from tidings.attempts where failure is not null group by failure"""


class Call:
    """An attempt under way, as its sender knows it."""

    def __init__(self, done: Callable[[Exchange], None]) -> None:
        self.done = done

    def abort(self) -> None:
        """As the sender does: it ends as stopped."""


class Held:
    """Stands for the network: attempts go on until a step answers them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def has_idle(self, target: Any) -> bool:
        return True

    def start(self, target: Any, data: bytes, *, done: Callable[[Exchange], None], **_: Any) -> Call:
        call = Call(done)
        self.calls.append(call)
        return call

    async def close(self) -> None:
        """Nothing is open."""


class World:
    """A database and the workers on it."""

    def __init__(self, services: Services, user: Any, clock: VirtualClock) -> None:
        self.services, self.user, self.clock = services, user, clock
        self.networks: list[Held] = []
        self.workers: list[Worker] = []
        self.published = 0
        self.places: dict[UUID, datetime] = {}  # where in its ordered lane each delivery stands that was leased
        self.not_before: dict[UUID, datetime] = {}  # when each delivery that failed may be tried again

    def forget_places(self) -> None:
        """Somebody sends deliveries again: their places and times are new."""
        self.places.clear()
        self.not_before.clear()

    async def begin(self) -> None:
        for _ in range(WORKERS):
            self.networks.append(Held())
            self.workers.append(await self._worker(self.networks[-1]))

    async def _worker(self, network: Held) -> Worker:
        worker = make_worker(msgspec.structs.replace(self.services, sender=network))  # type: ignore[arg-type]
        await worker.heart.begin()
        return worker

    async def replace(self, number: int) -> None:
        """A process dies and another one begins in its place: what it knew is gone."""
        self.networks[number] = Held()
        self.workers[number].heart.let_go()
        self.workers[number] = await self._worker(self.networks[number])

    async def turn(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


workers = st.integers(0, WORKERS - 1)
places = st.integers(0, 30)


WORK = st.lists(st.tuples(workers, st.sampled_from(USUAL), places), min_size=20, max_size=80)


class Deliveries(RuleBasedStateMachine):
    """What can happen to deliveries."""

    postgres = template = ""
    folder = Path()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        self.name = f"tidings_steps_{uuid4().hex[:12]}"
        admin = await asyncpg.connect(self.postgres)
        await admin.execute(f"create database {self.name} template {self.template}")
        await admin.close()
        url = url_of(self.postgres, self.name)
        config = Config(database_url=url, data_dir=self.folder, secret_key="test", admin_key="test", max_in_flight=64)
        self.stack = opened(config)
        clock = VirtualClock()
        services = msgspec.structs.replace(await self.stack.__aenter__(), clock=clock)
        self.user = await asyncpg.connect(url)
        self.world = World(services, self.user, clock)
        await self.world.begin()

    def teardown(self) -> None:
        try:
            self.all_is_worked_off()
            self.all_holds()
        finally:
            self.run(self._close())
            self.loop.close()

    async def _close(self) -> None:
        for row in await self.user.fetch(ENDS):
            _ends[row["what"]] += row["count"]
        for worker in self.world.workers:
            worker.heart.let_go()
        await self.user.close()
        await self.stack.__aexit__(None, None, None)
        admin = await asyncpg.connect(self.postgres)
        await admin.execute(f"drop database {self.name} with (force)")
        await admin.close()

    # People -----------------------------------------------------------------------------------------------------------

    @initialize(concurrency=st.integers(1, 3))
    def first(self, concurrency: int) -> None:
        self.subscribe(True, 1)
        self.subscribe(False, concurrency)
        self.publish(6)

    @rule(ordered=st.booleans(), concurrency=st.integers(1, 3))
    def subscribe(self, ordered: bool, concurrency: int) -> None:
        async def step() -> None:
            world, now = self.world, self.world.clock.now()
            if await self.user.fetchval("select count(*) from tidings.webhooks") >= MAX_WEBHOOKS:
                return
            made = Webhook(
                id=uuid4(), group_id="default", name="w", url="https://example.com/", secret=new_secret(b"x" * 32), created_at=now,
                updated_at=now, events=(parse_filter("a.b", 0),), ordered=ordered, concurrency=concurrency,
                retry=parse_policy({"delays": [SHORTEST_DELAY.seconds, 60]}),
            )  # fmt: skip
            async with world.services.wide.transaction() as connection:
                await webhooks.insert_webhook(connection, world.services.box, made)

        self.run(step())

    @rule(count=st.integers(1, 6))
    def publish(self, count: int) -> None:
        self.world.published += count
        self.run(
            self.user.execute(
                "insert into tidings.outbox (source, type, record) select 'publish', 'a.b', '{}' from generate_series(1, $1)",
                count,
            )
        )

    @rule(place=places, enabled=st.booleans())
    def pause_or_resume(self, place: int, enabled: bool) -> None:
        self._with_webhook(place, lambda id_: subscriptions.change(self.world.services, id_, WebhookChange(enabled=enabled)))

    @rule(place=places)
    def delete(self, place: int) -> None:
        if place < 2:  # seldom
            self._with_webhook(place, lambda id_: subscriptions.remove(self.world.services, id_))

    @rule(place=places)
    def send_again(self, place: int) -> None:
        self.world.forget_places()

        async def step() -> None:
            ids = [
                row[0]
                for row in await self.user.fetch(
                    "select id from tidings.deliveries union select id from tidings.queue order by id"
                )
            ]
            if ids:
                await deliveries.retry(self.world.services, ids[place % len(ids)])

        self._as_people_do(step())

    @rule(place=places, missing=st.booleans())
    def recover(self, place: int, missing: bool) -> None:
        since = self.world.clock.now() - timedelta(hours=2)
        self.world.forget_places()
        self._with_webhook(place, lambda id_: recoveries.begin_webhook(self.world.services, id_, since, missing=missing))

    def _with_webhook(self, place: int, act: Callable[[UUID], Coroutine[Any, Any, Any]]) -> None:
        async def step() -> None:
            ids = [row[0] for row in await self.user.fetch("select id from tidings.webhooks order by created_at, id")]
            if ids:
                await act(ids[place % len(ids)])

        self._as_people_do(step())

    def _as_people_do(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            self.run(step)
        except TidingsError as error:
            if error.status >= 500:  # refused with a reason is fine
                raise

    # Workers ----------------------------------------------------------------------------------------------------------

    @rule(steps=WORK)
    def work(self, steps: list[tuple[int, str, int]]) -> None:
        """Some of what workers do all the time, in any order. There are more such rules, so that it is most of what happens."""
        for number, step, place in steps:
            self.run(self._work(number, step, place))
            if LONG:
                self.all_holds()

    @rule(steps=WORK)
    def work_on(self, steps: list[tuple[int, str, int]]) -> None:
        self.work(steps)

    @rule(steps=WORK, count=st.integers(1, 6))
    def publish_and_work(self, steps: list[tuple[int, str, int]], count: int) -> None:
        self.publish(count)
        self.work(steps)

    @rule(steps=WORK, seconds=st.sampled_from([6, 61]))
    def work_later(self, steps: list[tuple[int, str, int]], seconds: int) -> None:
        self.time_passes(seconds)
        self.work(steps)

    async def _work(self, number: int, step: str, place: int) -> None:
        worker, calls = self.world.workers[number], self.world.networks[number].calls
        match step:
            case "route":
                known = set(worker.attempts.under_way)
                await worker.dispatcher.run_once()
                await self.world.turn()
                self.world.places |= {leased.id: leased.due_at for leased in set(worker.attempts.under_way) - known}
            case "claim":
                await self._claim(worker)
            case "record":
                await worker.recorder.run_once()
            case answer if calls:
                call = calls.pop(place % len(calls))
                if answer in FAILURES:
                    for leased, held in worker.attempts.under_way.items():
                        if held is cast("Any", call):
                            self.world.not_before[leased.id] = self.world.clock.now() + SHORTEST_DELAY
                call.done(ANSWERS[answer])

    async def _claim(self, worker: Worker) -> None:
        before = "select q.webhook_id, min(q.due_at) from tidings.queue q join tidings.lanes l using (webhook_id) where l.ordered group by 1"
        first = {row[0]: row[1] for row in await self.user.fetch(before)}
        known = set(worker.attempts.under_way)
        await worker.deliverer.run_once()
        await self.world.turn()
        now = self.world.clock.now()
        for leased in set(worker.attempts.under_way) - known:
            assert now >= self.world.not_before.get(leased.id, now), "a delivery was tried again before its time"
            if leased.webhook_id in first:
                assert leased.due_at == first[leased.webhook_id], "an ordered lane was overtaken"
                assert leased.due_at == self.world.places.setdefault(leased.id, leased.due_at), (
                    "a delivery lost its place in an ordered lane"
                )

    @rule(number=workers)
    def keep_flights_small(self, number: int) -> None:
        for flight in self.world.workers[number].airborne._flights.values():
            flight.begun -= 10  # as if it had been long
        self.run(self.world.workers[number].recorder._keep_flights_small())

    @rule(number=workers)
    def is_declared_dead(self, number: int) -> None:
        """A worker that hangs, and goes on: its results come late, and are refused. What it tried is tried again at once."""
        self.world.not_before.clear()
        self.run(self.user.execute("delete from tidings.workers where id = $1", self.world.workers[number].me.worker_id))

    @rule(number=workers)
    def beat(self, number: int) -> None:
        self.run(self.world.workers[number].heart.run_once())

    @rule(number=workers)
    def die(self, number: int) -> None:
        self.is_declared_dead(number)
        self.run(self.world.replace(number))

    @rule(number=workers, recorded=st.booleans())
    def die_at_work(self, number: int, recorded: bool) -> None:
        """A process dies with all that it has just begun, one of it recorded, and somebody else finds that out."""
        self.publish(4)
        self.run(self._work(number, "route", 0))
        self.run(self._work(number, "ok", 0))
        if recorded:
            self.run(self._work(number, "record", 0))
        self.die(number)
        self.rescue()

    @rule(number=workers, dies=st.booleans())
    def fail_and_try_again(self, number: int, dies: bool) -> None:
        """What a worker has just begun is refused, or lost with the worker, and others try it again when it is time."""
        self.publish(2)
        for _ in range(3):  # the first time fresh ones, then those that wait for their next attempt
            self.run(self._work(number, "route", 0))
            self.run(self._work(number, "claim", 0))
            if dies:
                self.die(number)
                self.rescue()
            while self.world.networks[number].calls:
                self.run(self._work(number, "refused", 0))
            self.run(self._work(number, "record", 0))
            self.time_passes(61)

    @rule()
    def rescue(self) -> None:
        async def step() -> None:
            async with self.world.services.wide.transaction() as connection:
                await flights.ground_orphans(connection)

        self.run(step())

    @rule(number=workers)
    def bring_recoveries_on(self, number: int) -> None:
        self.world.forget_places()
        self.run(self.world.workers[number].recoverer.run_once())

    @rule(seconds=st.sampled_from([1, 6, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.ahead += timedelta(seconds=seconds)

    def all_is_worked_off(self) -> None:
        """Everything that waits is delivered once receivers are well and time goes on."""

        async def step() -> None:
            for _ in range(60):
                self.world.clock.ahead += timedelta(seconds=301)
                for worker, network in zip(self.world.workers, self.world.networks, strict=True):
                    await worker.heart.run_once()
                    await worker.dispatcher.run_once()
                    await self._claim(worker)
                    while network.calls:
                        network.calls.pop().done(ANSWERS["ok"])
                    await worker.recorder.run_once()
                async with self.world.services.wide.transaction() as connection:
                    await flights.ground_orphans(connection)
                left = await self.user.fetchval(
                    f"select (select count(*) from tidings.outbox) + (select count(*) from {OPEN} o) + (select count(*) from tidings.queue q "
                    "join tidings.lanes l using (webhook_id) where l.open)"
                )
                if not left:
                    return
            raise AssertionError(f"{left} deliveries are never made")

        self.run(step())

    # What must hold ---------------------------------------------------------------------------------------------------

    @invariant()
    def all_holds(self) -> None:
        async def look() -> None:
            for said, query in RULES.items():
                found = await self.user.fetch(query)
                assert not found, (said, found)
            routed = await self.user.fetchval(
                "select (select count(*) from tidings.events where source = 'publish') + (select count(*) from tidings.outbox where source = 'publish')"
            )
            assert routed == self.world.published

        self.run(look())
        _looked[0] += 1


_looked = [0]
_ends: Counter[str] = Counter()


async def test_a_delivery_is_in_one_place_and_moves_as_its_table_says(postgres: str, template: str, tmp_path: Path) -> None:
    _looked[0] = 0
    _ends.clear()
    kept = type("Kept", (Deliveries,), {"postgres": postgres, "template": template, "folder": tmp_path})
    rules = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not LONG,
    )
    await asyncio.to_thread(run_state_machine_as_test, kept, settings=rules)
    assert {"succeeded", "failed", *(("cancelled", "lost") if LONG else ())} <= _ends.keys(), _ends  # it did happen
    told(
        "state-machine",
        {
            "workers": WORKERS,
            "runs of random steps": EXAMPLES,
            "steps, each followed by a look at the whole database": _looked[0],
            "kinds of steps": len(
                [name for name in dir(Deliveries) if hasattr(getattr(Deliveries, name), "hypothesis_stateful_rule")]
            ),
            **{f"deliveries or attempts that ended as {what}": count for what, count in sorted(_ends.items())},
            "rules that must hold": len(RULES) + 2,
            "steps after which one did not": 0,
        },
    )
