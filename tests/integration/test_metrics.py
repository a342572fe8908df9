"""Statistics and metrics: what the recorder counts is read whole, by any step, by whichever process."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import engine_of
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.errors import InvalidInputError
from tidings.core.retry import Delays
from tidings.core.statistics import BOUNDS_MS, KEPT, MAX_POINTS, STEPS, Period, Stretch, Tally, period_of, series_of
from tidings.store import history, outbox, statistics
from tidings.store.statistics import WHOLE_GROUP
from tidings.worker.bookkeeping import STILL_WRITTEN, Bookkeeper

NOW = datetime(2026, 11, 21, 13, 45, 30, tzinfo=UTC)


def tally(*milliseconds: float) -> Tally:
    made = Tally()
    for value in milliseconds:
        made.add(value)
    return made


# Periods and series ------------------------------------------------------------------------------------------------------


def test_a_period_is_the_last_day_by_minutes_or_what_is_said_in_whole_steps() -> None:
    assert period_of(None, None, None, NOW) == Period(
        datetime(2026, 11, 20, 13, tzinfo=UTC), datetime(2026, 11, 21, 14, tzinfo=UTC), "hour"
    )
    minutes = period_of(NOW - timedelta(hours=2), None, None, NOW)
    assert (minutes.step, minutes.since.second, minutes.until.second) == ("minute", 0, 0)
    assert minutes.until - minutes.since == timedelta(minutes=121)
    month = period_of(NOW - timedelta(days=30), NOW, "day", NOW)
    assert (month.since, month.until) == (datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
    assert period_of(NOW - timedelta(days=30), None, None, NOW).step == "hour"
    assert period_of(NOW - timedelta(days=300), None, None, NOW).step == "day"


@pytest.mark.parametrize(
    ("since", "until", "step", "field"),
    [
        (NOW, NOW, None, "until"),
        (NOW, NOW - timedelta(days=1), None, "until"),
        (datetime(2026, 11, 21), None, None, "since"),
        (NOW - timedelta(days=1), None, "week", "step"),
        (NOW - timedelta(days=2), None, "minute", "step"),
        (NOW - timedelta(days=40), None, "hour", "step"),
        (NOW - timedelta(days=4), NOW - timedelta(days=3, hours=22), "minute", "since"),
        (NOW - timedelta(days=101), NOW - timedelta(days=90), "hour", "since"),
        (NOW - timedelta(days=1102), None, "day", "since"),
        (None, datetime(1, 1, 1, tzinfo=UTC), None, "until"),
        (NOW + timedelta(days=9), None, None, "since"),
    ],
)
def test_a_period_that_cannot_be_told_is_refused_with_its_field(since: Any, until: Any, step: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        period_of(since, until, step, NOW)
    assert caught.value.field == field


@given(
    since=st.datetimes(datetime(2026, 11, 19), datetime(2026, 11, 21, 13)),
    hours=st.integers(1, 60),
    step=st.sampled_from([*STEPS, None]),
)
def test_a_series_has_every_step_once_and_no_more_than_its_bound(since: datetime, hours: int, step: str | None) -> None:
    begun = since.replace(tzinfo=UTC)
    try:
        period = period_of(begun, begun + timedelta(hours=hours), step, NOW)
    except InvalidInputError:
        return
    total, points = series_of([], period, NOW)
    assert period.since <= begun
    assert len(points) <= MAX_POINTS
    assert [point.starts_at for point in points] == [period.since + n * STEPS[period.step] for n in range(len(points))]
    assert points[-1].starts_at + STEPS[period.step] == period.until
    assert (total.success_rate, total.p95_ms, total.per_second) == (None, None, 0)


def test_what_was_counted_in_parts_adds_up_in_its_step() -> None:
    period = Period(NOW.replace(minute=0, second=0), NOW.replace(hour=15, minute=0, second=0), "hour")
    some, more = tally(*[4] * 98, 900, 900), tally(7)
    at = period.since + timedelta(minutes=5)
    stretches = [
        Stretch(period.since, "succeeded", some.count, some.latencies),
        Stretch(at, "succeeded", more.count, more.latencies),
        Stretch(at, "failed", 1, tally(100_000).latencies),
        Stretch(at + timedelta(hours=1), "retried", 2, tally(5, 5).latencies),
    ]
    total, (first, second) = series_of(stretches, period, NOW)
    assert (first.succeeded, first.failed, first.retried) == (101, 1, 0)
    assert first.success_rate == pytest.approx(101 / 102)
    assert (first.p50_ms, second.success_rate) == (pytest.approx(4, abs=1), 0)
    assert first.p99_ms is not None
    assert 700 <= first.p99_ms <= 1000
    assert first.per_second == pytest.approx(102 / 2730)  # of the present hour, what has passed
    assert (total.succeeded, total.retried, total.failed) == (101, 2, 1)


# Rows ----------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    minutes=st.lists(
        st.tuples(st.integers(0, 60 * 50), st.sampled_from(["succeeded", "retried", "failed"]), st.integers(1, 3)), max_size=40
    ),
    rolled=st.integers(0, 60 * 50),
    step=st.sampled_from(["minute", "hour", "day"]),
)
async def test_what_is_read_is_the_same_however_much_of_it_is_summed_up(
    books: Any, minutes: list[tuple[int, str, int]], rolled: int, step: str
) -> None:
    await books.execute("truncate tidings.statistics")
    start = datetime(2026, 11, 18, tzinfo=UTC)
    hook, expected = UUID(int=1), dict.fromkeys(("succeeded", "retried", "failed"), 0)
    for minute, outcome, part in dict.fromkeys(minutes):
        for group, webhook in (("default", hook), ("default", WHOLE_GROUP), ("acme", hook)):
            await statistics.write(
                books, part, start + timedelta(minutes=minute), {(group, webhook, outcome): tally(5, 50)}, {}
            )
        expected[outcome] += 2
    await statistics.roll_up(books, start + timedelta(minutes=rolled))
    period = Period(start, start + (timedelta(days=3) if step != "minute" else timedelta(minutes=60 * 51)), step)
    total, points = series_of(await statistics.read(books, "default", hook, period), period, NOW)
    assert {name: getattr(total, name) for name in expected} == expected
    assert sum(point.succeeded for point in points) == expected["succeeded"]


@pytest.fixture
async def books(database_url: str) -> Any:
    connection = await asyncpg.connect(database_url)
    await connection.execute("set timezone = 'UTC'")
    yield connection
    await connection.close()


async def test_the_bookkeeper_sums_up_forgets_and_leaves_the_present_alone(config: Config) -> None:
    async with engine_of(config) as engine:
        now = engine.clock.now().replace(second=0, microsecond=0)
        async with engine.services.wide.connection() as connection:
            for age in (
                timedelta(),
                STILL_WRITTEN - timedelta(minutes=1),
                STILL_WRITTEN + timedelta(minutes=1),
                KEPT["minute"] * 2,
            ):
                key = ("default", WHOLE_GROUP, "succeeded")
                await statistics.write(connection, 3, now - age, {key: tally(5)}, {"succeeded": tally(5)})
            day = now.date()
            await history.note_kinds(
                connection, [("default", "old.kind", day - timedelta(days=31)), ("default", "new.kind", day)]
            )
        await engine.sql("update tidings.counters set updated_at = now() - interval '2 hours' where part = 3")
        keeper = Bookkeeper(engine.services.wide, engine.clock, retention_days=30)
        assert await keeper.run_once() == 2
        rows = await engine.sql("select span, count, is_rolled_up, part from tidings.statistics order by span, starts_at desc")
        assert [tuple(row) for row in rows] == [
            ("day", 1, False, 0), ("day", 1, False, 0), ("hour", 1, False, 0), ("hour", 1, False, 0),
            ("minute", 1, False, 3), ("minute", 1, False, 3), ("minute", 1, True, 3),
        ]  # fmt: skip
        assert await engine.sql("select part, count from tidings.counters where name = 'succeeded'") == [(0, 4)]
        assert [row[0] for row in await engine.sql("select type from tidings.event_kinds")] == ["new.kind"]
        assert await keeper.run_once() == 0


# Over HTTP -----------------------------------------------------------------------------------------------------------------


async def scraped(client: httpx.AsyncClient) -> dict[str, float]:
    lines = [line for line in (await client.get("/metrics")).text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def test_attempts_of_every_process_are_in_statistics_and_metrics(
    config: Config, receiver: Receiver, api_server: ApiServer
) -> None:
    receiver.scripts += [says(answer(200)), says(answer(500)), says(answer(410))]
    async with engine_of(config) as one, engine_of(config) as two, api_server.serving(two.services) as url:
        webhook = await one.add_webhook(receiver.url(), "order.*", retry=Delays(delays=(600,), jitter=0), concurrency=1)
        for engine in (one, two, one):
            await engine.publish()
            await engine.cycle()
        await one.worker.dispatcher.run_once()  # that the webhook was disabled is an event too
        async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}) as client:
            said = (await client.get(f"/api/v1/webhooks/{webhook.id}/statistics")).json()
            total = said["total"]
            assert (total["succeeded"], total["retried"], total["failed"]) == (1, 1, 1)
            assert total["success_rate"] == pytest.approx(1 / 3)
            assert total["p99_ms"] > 0
            assert said["step"] == "hour"
            for params in ({}, {"webhook_id": str(webhook.id)}):
                assert (await client.get("/api/v1/statistics", params=params)).json()["total"]["p99_ms"] == total["p99_ms"]
            assert (await client.get(f"/api/v1/webhooks/{UUID(int=9)}/statistics")).status_code == 404
            bad = await client.get("/api/v1/statistics", params={"step": "week"})
            assert (bad.status_code, bad.json()["field"]) == (422, "step")
            metrics = await scraped(client)
        for outcome in ("succeeded", "retried", "failed"):
            assert metrics[f'tidings_attempt_seconds_count{{outcome="{outcome}"}}'] == 1
            assert metrics[f'tidings_attempt_seconds_bucket{{le="60",outcome="{outcome}"}}'] == 1
        assert (metrics["tidings_queue_waiting"], metrics["tidings_queue_sending"], metrics["tidings_queue_unfinished"]) == (
            1,
            0,
            1,
        )
        assert metrics["tidings_outbox_rows"] == 0


async def test_a_long_outbox_is_not_counted_but_bounded_from_above(books: Any) -> None:
    rows = "insert into tidings.outbox (source, type, occurred_at) select 'publish', 'a.b', now() - interval '90 seconds' from generate_series(1, $1::integer)"
    await books.execute(rows, 10_000)
    assert (await outbox.backlog(books)).waiting == 10_000
    await books.execute("delete from tidings.outbox where id % 2 = 0 and id > 1 and id < 10000")
    await books.execute(rows, 9_000)
    backlog = await outbox.backlog(books)
    assert 14_001 <= backlog.waiting <= 19_000
    assert backlog.lag_seconds >= 90
    await books.execute("truncate tidings.outbox")
    assert await outbox.backlog(books) == outbox.Backlog(0, 0)


def test_bounds_are_in_order() -> None:
    assert sorted(set(BOUNDS_MS)) == list(BOUNDS_MS)
