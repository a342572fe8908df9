"""Faults between any two steps: the statements of PostgreSQL and calls of the stream are counted, and one of them ends it all."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from tidings.store.database import Own
from tidings.transport.stream import StreamAwayError

SECONDS = 0.2  # that flights are waited for
METHODS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_records_to_table")


class KilledError(Exception):
    """Whoever did this is dead from now on."""


class Fault:
    """What happens at one step.

    Attributes:
        at: At which step, from 1 on.
        is_after: It happens once the step was done, and nobody hears of that; else before.
        is_fatal: It is the end of the process; else of the connection alone.
        has_happened: Whether there was such a step.
    """

    def __init__(self, at: int, *, is_after: bool, is_fatal: bool) -> None:
        self.at, self.is_after, self.is_fatal = at, is_after, is_fatal
        self.has_happened = False
        self._count = 0

    async def step(self, do: Callable[[], Awaitable[Any]], connection: Any = None) -> Any:
        """Do a step, unless it is the one; whoever is killed does none behind it."""
        if self.has_happened and self.is_fatal:
            raise KilledError
        self._count += 1
        if self._count != self.at:
            return await do()
        self.has_happened = True
        if self.is_after:
            await do()
        if connection is not None:
            connection.terminate()
        if self.is_fatal:
            raise KilledError
        raise asyncpg.ConnectionDoesNotExistError("injected") if connection is not None else StreamAwayError("injected")

    def __str__(self) -> str:
        return f"{'killed' if self.is_fatal else 'cut off'} {'after' if self.is_after else 'before'} step {self.at}"


@contextmanager
def statements(fault: Fault, database: str) -> Iterator[None]:
    """Have the statements on one database be steps, while the block runs."""
    originals = {name: getattr(Own, name) for name in METHODS}

    def counted(original: Any) -> Any:
        async def call(self: Any, *args: Any, **options: Any) -> Any:
            if self._params.database != database:
                return await original(self, *args, **options)
            return await fault.step(lambda: original(self, *args, **options), self)

        return call

    for name, original in originals.items():
        setattr(Own, name, counted(original))
    try:
        yield
    finally:
        for name in METHODS:
            if name in Own.__dict__:
                delattr(Own, name)


class Calls:
    """A stream whose calls are steps, and what is done with the flights that it brings. It waits for none for long."""

    def __init__(self, stream: Any, fault: Fault, names: tuple[str, ...] = ()) -> None:
        self._stream, self._fault, self._names = stream, fault, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if name not in self._names:
            return found

        async def call(*args: Any) -> Any:
            return await self._fault.step(lambda: found(*args))

        return call

    async def receive(self, home: str, seconds: float) -> list["Flight"]:
        """Return flights that came within some seconds, `SECONDS` at most."""
        found = await self._fault.step(lambda: self._stream.receive(home, min(seconds, SECONDS)))
        return [Flight(one, self._fault) for one in found]


class Flight:
    """A flight that came. To acknowledge it is a step."""

    def __init__(self, flight: Any, fault: Fault) -> None:
        self._flight, self._fault = flight, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flight, name)

    async def done(self) -> None:
        """Acknowledge it."""
        await self._fault.step(self._flight.done)
