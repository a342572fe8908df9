"""Statistics: written with the results they count, summed up once, read without history."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.core.statistics import BOUNDS_MS, KEPT, Tally, percentile_ms
from tidings.running import _serving
from tidings.store import statistics
from tidings.store.statistics import WHOLE_GROUP
from tidings.store.tallies import MAX_REMEMBERED
from tidings.worker.bookkeeping import Bookkeeper

KEY = {"Authorization": "Bearer test"}


def tally(*milliseconds: float) -> Tally:
    made = Tally()
    for value in milliseconds:
        made.add(value)
    return made


@given(values=st.lists(st.floats(0, 100_000), min_size=1, max_size=200), share=st.floats(0.01, 1))
@settings(deadline=None)
def test_a_percentile_is_off_by_less_than_the_distance_of_two_bounds(values: list[float], share: float) -> None:
    found = percentile_ms(tally(*values).latencies, share)
    exact = sorted(values)[min(len(values) - 1, int(len(values) * share - 1e-9))]
    bounds = (0.0, *BOUNDS_MS)
    low = max((bound for bound in bounds if bound < exact), default=0.0)
    high = min((bound for bound in BOUNDS_MS if bound >= exact), default=BOUNDS_MS[-1])
    assert found is not None
    assert low <= found <= high


def bookkeeper(engine: Engine) -> Bookkeeper:
    return Bookkeeper(engine.services.wide, engine.clock, retention_days=30)


async def test_each_attempt_is_counted_once_for_its_webhook_and_its_group(config: Config, receiver: Receiver) -> None:
    receiver.scripts.extend([says(answer(500)), says(answer(500))])
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(1, 1), jitter=0))
        for _ in range(3):
            await engine.publish()
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=5)
        await engine.cycle()
        rows = await engine.sql(
            "select webhook_id, outcome, sum(count) as n from tidings.statistics where span = 'minute' group by 1, 2"
        )
        counts = {(row["webhook_id"], row["outcome"]): row["n"] for row in rows}
        made = len(await engine.attempts())
        assert counts[webhook.id, "succeeded"] == counts[WHOLE_GROUP, "succeeded"] == 3
        assert counts[webhook.id, "retried"] == counts[WHOLE_GROUP, "retried"] == made - 3
        counters = {
            row["name"]: row["count"]
            for row in await engine.sql("select name, sum(count) as count from tidings.counters group by 1")
        }
        assert (counters["succeeded"], counters["retried"]) == (3, made - 3)


async def test_tests_are_counted_by_process_but_not_for_the_webhook(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await engine.user.execute(
            "insert into tidings.outbox (source, type, record, webhook_id) values ('publish', 'webhook.test', '{}', $1)",
            webhook.id,
        )
        await engine.cycle()
        assert await engine.value("select count(*) from tidings.statistics") == 0
        assert await engine.value("select sum(count) from tidings.counters where name = 'succeeded'") == 1


async def test_a_result_whose_transaction_fails_is_not_counted_twice(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.worker.attempts.drain(10)
        await engine.user.execute("alter table tidings.lanes rename to lanes_away")
        with pytest.raises(Exception, match="lanes"):
            await engine.worker.recorder.run_once()
        await engine.user.execute("alter table tidings.lanes_away rename to lanes")
        await engine.worker.recorder.run_once()
        assert await engine.value("select sum(count) from tidings.statistics where webhook_id <> $1", WHOLE_GROUP) == 1


async def test_minutes_become_hours_and_days_once_whoever_sums_up(config: Config) -> None:
    async with engine_of(config) as engine:
        webhook, hour = uuid4(), datetime(2026, 11, 20, 13, tzinfo=UTC)
        async with engine.services.wide.transaction() as connection:
            for minute in range(0, 120, 7):
                for part in (1, 2):
                    rows = {("default", webhook, "succeeded"): tally(1, 50, 4000), ("default", webhook, "failed"): tally(2)}
                    await statistics.write(connection, part, hour + timedelta(minutes=minute), rows, {})
        engine.clock.put_to(hour + timedelta(hours=3))
        expected = 18 * 2 * 4
        assert await bookkeeper(engine).run_once() == 18 * 2 * 2
        assert await bookkeeper(engine).run_once() == 0
        for span in ("hour", "day"):
            assert await engine.value("select sum(count) from tidings.statistics where span = $1", span) == expected
        assert (
            await engine.value("select latencies[12] from tidings.statistics where span = 'day' and outcome = 'succeeded'") == 0
        )
        assert (
            await engine.value("select latencies[10] from tidings.statistics where span = 'day' and outcome = 'succeeded'")
            == 36
        )


async def test_old_rows_are_forgotten_and_counters_of_the_gone_summed_up(config: Config) -> None:
    async with engine_of(config) as engine:
        now = engine.clock.now()
        async with engine.services.wide.transaction() as connection:
            await statistics.write(
                connection,
                7,
                now - KEPT["minute"] - timedelta(hours=1),
                {("default", uuid4(), "failed"): tally(1)},
                {"failed": tally(5, 6)},
            )
            await statistics.write(connection, 8, now, {}, {"failed": tally(7)})
        await engine.user.execute("update tidings.counters set updated_at = now() - interval '2 hours' where part = 7")
        await bookkeeper(engine).run_once()
        assert await engine.value("select count(*) from tidings.statistics where span = 'minute'") == 0
        rows = await engine.sql(
            "select part, count, latencies[5] as l from tidings.counters where name = 'failed' order by part"
        )
        assert [tuple(row) for row in rows] == [(0, 2, 1), (8, 1, 1)]
        async with engine.services.wide.connection() as connection:
            assert (await statistics.counters(connection))["failed"].count == 3


async def test_a_recorder_that_has_too_many_rows_at_hand_begins_a_new_part(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        before = engine.worker.me.part
        await engine.cycle()
        minute = engine.worker.recorder._minute
        minute._rows |= {("default", uuid4(), "succeeded"): Tally() for _ in range(MAX_REMEMBERED)}
        await engine.worker.recorder._begin_new_rows()
        assert engine.worker.me.part != before
        assert not engine.worker.recorder._minute.is_full


@pytest.fixture
async def served(config: Config, receiver: Receiver) -> Any:
    async with (
        engine_of(config) as engine,
        _serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield engine, client


async def test_a_month_is_read_from_days_with_the_minutes_that_are_not_in_them_yet(served: Any, receiver: Receiver) -> None:
    engine, client = served
    webhook = await engine.add_webhook(receiver.url(), "*")
    now = engine.clock.now()
    async with engine.services.wide.transaction() as connection:
        for days in range(40):
            rows = {("default", id_, name): tally(*values) for id_ in (webhook.id, WHOLE_GROUP)
                    for name, values in (("succeeded", [10] * 9), ("failed", [1]))}  # fmt: skip
            await statistics.write(connection, 1, (now - timedelta(days=days)).replace(second=0, microsecond=0), rows, {})
    await bookkeeper(engine).run_once()
    async with engine.services.wide.connection() as connection:
        assert (await connection.fetchval("select count(*) from tidings.statistics where span = 'minute'")) <= 4 * 4
    since = (now - timedelta(days=29)).isoformat()
    for path in (f"/api/v1/webhooks/{webhook.id}/statistics", "/api/v1/statistics"):
        found = (await client.get(path, params={"since": since, "step": "day"})).json()
        assert (found["total"]["succeeded"], found["total"]["failed"], found["total"]["success_rate"]) == (270, 30, 0.9)
        assert len(found["series"]) == 30
        assert 7 <= found["total"]["p99_ms"] <= 10


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "2020-01-01T00:00:00Z", "step": "minute"}, "since"),
        ({"since": "1000-01-01T00:00:00Z", "step": "day"}, "since"),
        ({"step": "week"}, "step"),
        ({"since": "yesterday"}, "since"),
        ({"webhook": "x"}, "webhook"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_with_its_field(served: Any, params: Any, field: str) -> None:
    _, client = served
    response = await client.get("/api/v1/statistics", params=params)
    assert (response.status_code, response.json()["field"]) == (422, field), response.text
