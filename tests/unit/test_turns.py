"""Places that calls of several groups wait for: whose turn it is, and what is left by those who do not wait to the end."""

import asyncio

import pytest

from tidings.core.errors import BusyError
from tidings.store.turns import Places


async def settle() -> None:
    """Let everything that can go on go on, and come to rest."""
    for _ in range(10):
        await asyncio.sleep(0)


class Calls:
    """Calls that take a place and keep it until they are told to end."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.begun: list[str] = []
        self._ends: list[asyncio.Event] = []

    async def _call(self, group: str) -> None:
        await self.places.take(group)
        self.begun.append(group)
        end = asyncio.Event()
        self._ends.append(end)
        try:
            await end.wait()
        finally:
            self.places.give()

    def call(self, group: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._call(group))

    async def end_one(self) -> None:
        self._ends.pop(0).set()
        await settle()


async def test_a_call_waits_for_no_more_than_one_of_each_other_group() -> None:
    calls = Calls(Places(2))
    waiting = [calls.call(group) for group in ["loud"] * 50 + ["quiet", "quiet", "still"]]
    await settle()
    assert calls.begun == ["loud", "loud"]
    for _ in range(6):
        await calls.end_one()
    assert calls.begun[2:] == ["loud", "quiet", "still", "loud", "quiet", "loud"]
    for one in waiting:
        one.cancel()
    await settle()


async def test_who_goes_away_leaves_its_place_to_the_next() -> None:
    calls = Calls(Places(1))
    first, gone, called, last = (calls.call(group) for group in "abcd")
    await settle()
    gone.cancel()
    await settle()
    calls._ends[0].set()
    await asyncio.sleep(0)  # the first gives its place to the third,
    called.cancel()  # which goes away before it has heard of it
    await settle()
    assert calls.begun == ["a", "d"]
    assert first.done()
    await calls.end_one()
    await calls.end_one()
    assert last.done()
    await asyncio.wait_for(calls.places.take("a"), 1)  # nothing is lost


async def test_a_group_has_so_many_waiting_and_others_wait_beside_them() -> None:
    calls = Calls(Places(1, most_waiting=3))
    tasks = [calls.call("loud") for _ in range(4)]
    await settle()
    with pytest.raises(BusyError, match="of this group"):
        await calls.places.take("loud")
    tasks.append(calls.call("quiet"))
    await settle()
    await calls.end_one()
    await calls.end_one()
    assert calls.begun == ["loud", "loud", "quiet"]
    for task in tasks:
        task.cancel()
    await settle()
    await asyncio.wait_for(calls.places.take("loud"), 1)


async def test_nobody_waits_for_ever() -> None:
    places = Places(1, most_waiting=1, patience=0.0)
    await places.take("a")
    for _ in range(3):  # whoever gave up is not counted among those who wait
        with pytest.raises(BusyError, match="All connections"):
            await places.take("a")
    places.give()
    await places.take("a")
