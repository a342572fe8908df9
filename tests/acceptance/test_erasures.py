"""An erasure in a world of processes that are killed in the middle of it."""

import pytest

from tests.integration.test_erasures import ADA, BOB, plant, publish
from tests.support.engine import Engine, engine_of, eventually
from tests.support.privacy import places_with
from tests.support.process import Process
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.erasure import Erasure, Subject
from tidings.core.job import State
from tidings.operations import erasures


async def _begun(engine: Engine) -> Erasure:
    """Begin an erasure, and bring it on until all is routed that was committed before."""
    begun = await erasures.begin(engine.services, Subject(ADA))

    async def is_routed() -> bool:
        await engine.worker.eraser.bring_on()
        return (await erasures.read(engine.services, begun.id)).stage != "outbox"

    await eventually(is_routed)
    return begun


@pytest.mark.parametrize("held", ["events", "bin_requests"])
async def test_a_process_that_is_killed_while_it_erases_leaves_nothing_half_done_and_another_goes_on(
    config: Config, receiver: Receiver, held: str
) -> None:
    """It is killed where it waits for a row in the middle of its transaction, with others of the same chunk written."""
    settings = {"database_url": config.database_url, "data_dir": config.data_dir, "secret_key": "test", "admin_key": "test"}
    async with engine_of(config) as engine:
        await engine.sql("create table people (id int primary key, email text)")
        await engine.add_webhook(receiver.url(), "*")
        await plant(engine)
        for number in range(20):
            await publish(engine, ADA if number % 2 else BOB, id_=f"paid-{number}")
        while await engine.unfinished() or await engine.value("select count(*) from tidings.outbox"):
            await engine.cycle()
        begun = await _begun(engine)
        count = f"select count(*) from tidings.{held}" + " where payload_gone is not null" * (held == "events")
        before = await engine.value(count)
        async with engine.holding(f"select from tidings.{held} for update"):
            killed = await Process.start("serve", port=0, **settings)
            await eventually(lambda: engine.are_waiting(1))
            reached = await erasures.read(engine.services, begun.id)
            await killed.kill()
        assert reached.stage == {"events": "events", "bin_requests": "bins"}[held]
        await eventually(lambda: _is_alone(engine, begun))
        assert await engine.value(count) == before
        assert (await erasures.read(engine.services, begun.id)).stage == reached.stage

        another = await Process.start("serve", port=0, **settings)

        async def is_over() -> Erasure | None:
            found = await erasures.read(engine.services, begun.id)
            return None if found.is_open else found

        done = await eventually(is_over)
        assert await another.stop() == 0
        assert done.state is State.DONE
        assert done.report["events"].erased == done.report["events"].found == 10
        assert await places_with(engine.user, ADA) == []
        assert await places_with(engine.user, BOB) != []


async def _is_alone(engine: Engine, begun: Erasure) -> bool:
    """Tell whether the transaction of whoever was killed has ended: the erasure is not locked any more."""
    locked = "select not exists (select from tidings.erasures where id = $1 for update skip locked)"
    return not await engine.value(locked, begun.id)
