"""Duties that run beside each other, and how they end."""

import asyncio

from tidings.worker.crew import ended


async def test_a_task_that_does_not_hear_that_it_is_to_end_is_told_again() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def duty() -> None:
        await asyncio.wait_for(answer, 100)
        await asyncio.Event().wait()

    task = asyncio.create_task(duty())
    await asyncio.sleep(0)
    answer.set_result(None)  # in the moment in which it is told: it goes on, as far as Python 3.11 has it
    await ended([task])
    assert task.cancelled()
