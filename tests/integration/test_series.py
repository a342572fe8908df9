"""Attempts by webhook in /metrics: so many series at most, which stay whose they are, and never count twice or backwards."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver, answer, says
from tidings.api.routes.health import OTHERS, families
from tidings.config import Config
from tidings.core.retry import ONCE
from tidings.operations import readings
from tidings.worker.bookkeeping import STILL_WRITTEN, Bookkeeper

MOST = 2


@pytest.fixture
async def engine(config: Config) -> Any:
    async with engine_of(msgspec.structs.replace(config, metrics_webhooks=MOST)) as engine:
        engine.clock.stand_still()
        yield engine


async def deliver(engine: Engine, type_: str, count: int = 1) -> None:
    for _ in range(count):
        await engine.publish(type_)
    await engine.cycle()


async def told(engine: Engine) -> dict[tuple[str, str], float]:
    """Sum up what is over, and return what is told of webhooks, without zeros."""
    engine.clock.ahead += STILL_WRITTEN + timedelta(minutes=2)
    await Bookkeeper(engine.services.wide, engine.clock, retention_days=30, most_series=MOST).run_once()
    services = msgspec.structs.replace(engine.services, clock=engine.clock)
    (family,) = [each for each in families(await readings.read(services)) if each.name == "tidings_webhook_attempts"]
    assert len(family.samples) <= (MOST + 1) * 3
    return {(one.labels["webhook"], one.labels["outcome"]): one.value for one in family.samples if one.value}


async def add(engine: Engine, receiver: Receiver, type_: str) -> UUID:
    return (await engine.add_webhook(receiver.url(), type_, retry=ONCE)).id


async def test_the_first_have_series_and_the_rest_are_counted_together(engine: Engine, receiver: Receiver) -> None:
    one, two, three = [await add(engine, receiver, type_) for type_ in ("a.a", "b.b", "c.c")]
    assert await told(engine) == {}
    await deliver(engine, "a.a", 2)
    receiver.scripts.append(says(answer(400)))
    await deliver(engine, "a.a")
    first = {(str(one), "succeeded"): 2, (str(one), "failed"): 1}
    assert await told(engine) == first
    assert await told(engine) == first, "nothing is counted twice"
    await deliver(engine, "b.b", 3)
    await told(engine)
    await deliver(engine, "c.c", 4)
    all_three = first | {(str(two), "succeeded"): 3, (OTHERS, "succeeded"): 4}
    assert await told(engine) == all_three, "who comes third is among others, however much it delivers"
    # A series ends with its webhook, and its place is another's, from nothing on. The others' goes on as it was.
    await engine.sql("delete from tidings.webhooks where id = $1", one)
    await deliver(engine, "c.c", 5)
    found = await told(engine)
    assert found == {(str(two), "succeeded"): 3, (OTHERS, "succeeded"): 4, (str(three), "succeeded"): 5}


async def test_fewer_series_end_the_latest_and_count_on(engine: Engine, receiver: Receiver) -> None:
    one, two = [await add(engine, receiver, type_) for type_ in ("a.a", "b.b")]
    await deliver(engine, "a.a")
    await told(engine)
    await deliver(engine, "b.b")
    assert set(await told(engine)) == {(str(one), "succeeded"), (str(two), "succeeded")}
    await Bookkeeper(engine.services.wide, engine.clock, retention_days=30, most_series=1).run_once()
    rows = await engine.sql("select distinct webhook_id from tidings.webhook_counters")
    assert [row["webhook_id"] for row in rows] == [one]
    await Bookkeeper(engine.services.wide, engine.clock, retention_days=30, most_series=0).run_once()
    await deliver(engine, "a.a", 7)
    engine.clock.ahead += STILL_WRITTEN + timedelta(minutes=2)
    await Bookkeeper(engine.services.wide, engine.clock, retention_days=30, most_series=0).run_once()
    (row,) = await engine.sql("select webhook_id, count from tidings.webhook_counters")
    assert (row["webhook_id"], row["count"]) == (UUID(int=0), 7)
