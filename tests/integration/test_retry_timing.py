"""When each profile tries again, through the whole engine and by a virtual clock: to the second, jitter bounds included."""

from datetime import timedelta

import pytest

from tests.support.engine import engine_of
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.profiles import PROFILES
from tidings.store import queue

DELAYS = {
    "standard": [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400],
    "vivreal": [60, 300, 1800, 7200, 43_200],  # seed 001's table
    "vivreal-content": [60, 300, 1800, 7200, 43_200],
    "fluxbase": [5, 10, 20],
    "vski": [2, 4, 8, 16, 32],
}


@pytest.mark.parametrize("profile", DELAYS)
async def test_a_profile_tries_again_when_its_system_says_then_fails_and_can_be_sent_by_hand(
    config: Config, receiver: Receiver, profile: str
) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        await engine.user.execute("create table posts (id int)")
        settings = PROFILES[profile]
        await engine.add_webhook(
            receiver.url(), {"table": "posts"}, profile=profile, retry=settings.retry, timeout_seconds=settings.timeout_seconds
        )
        await engine.user.execute("insert into posts values (1)")
        engine.clock.stand_still()
        assert await engine.cycle() == 1
        for tried, delay in enumerate(DELAYS[profile], 1):
            ended = (await engine.attempts())[-1]["started_at"]
            due = await engine.value("select due_at from tidings.queue")
            assert delay <= (due - ended).total_seconds() <= delay * 1.1
            engine.clock.ahead += due - engine.clock.now() - timedelta(seconds=1)
            assert await engine.cycle() == 0
            engine.clock.ahead += timedelta(seconds=1)
            assert await engine.cycle() == 1
            assert len(receiver.received) == tried + 1
        (failed,) = await engine.deliveries()
        assert (failed["status"], failed["attempt_count"]) == ("failed", len(DELAYS[profile]) + 1)
        assert await engine.value("select count(*) from tidings.queue") == 0

        receiver.otherwise = says(answer(200))
        async with engine.services.wide.transaction() as connection:
            await queue.send_again(connection, [failed["id"]])
        engine.clock.ahead += timedelta(minutes=10)  # its lane has rested
        assert await engine.cycle() == 1
        (sent,) = await engine.deliveries()
        assert (sent["id"], sent["status"], sent["attempt_count"]) == (failed["id"], "succeeded", len(DELAYS[profile]) + 2)
    assert len({request.body for request in receiver.received}) == 1
    if profile != "standard":
        signatures = {tuple(v for n, v in request.headers.items() if "signature" in n) for request in receiver.received}
        assert len(signatures) == 1
