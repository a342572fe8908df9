"""The load of the benchmarks: events published one by one, from a process of their own.

It speaks HTTP over bare connections: a client library costs more than the calls that are measured.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import httptools
import uvloop

WARMING = 1.0  # seconds at the steady rate that do not count: connections are opened, lanes are new


class _Caller(asyncio.Protocol):
    """One connection, which makes one call after the other."""

    _answer: asyncio.Future[None]

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if (status := self._parser.get_status_code()) == 202:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(RuntimeError(f"the API answered {status}"))
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(RuntimeError("the API closed the connection"))

    async def publish(self, head: bytes, event: bytes) -> None:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(event), event))
        await self._answer


P = ParamSpec("P")
T = TypeVar("T")


async def run_load(load: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run one of the functions below in a process of its own, and return what it returns."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return await loop.run_in_executor(process, partial(load, *args, **kwargs))


def publish_together(url: str, key: str, connections: int, count: int, kinds: int) -> None:
    """Publish numbered events, each as soon as its connection is free, of types `bench.t0` to as many kinds as there are."""
    todo = iter(range(count))

    async def work(caller: _Caller, head: bytes) -> None:
        for number in todo:
            await caller.publish(head, _event(number, number % kinds))

    async def main() -> None:
        async with _calling(url, key, connections) as (callers, head):
            await asyncio.gather(*(work(caller, head) for caller in callers))

    uvloop.run(main())


def publish_steadily(url: str, key: str, per_second: int, seconds: int) -> dict[int, float]:
    """Publish numbered events one at a time; return when each was called for (seconds since 1970), but of the first second."""
    begun: dict[int, float] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with _calling(url, key, 1) as ((caller,), head):
            start = loop.time()
            for number in range(per_second * seconds):
                await asyncio.sleep(max(0.0, start + number / per_second - loop.time()))
                if number >= per_second * WARMING:
                    begun[number] = time.time()
                await caller.publish(head, _event(number, 0))

    uvloop.run(main())
    return begun


def _event(number: int, kind: int) -> bytes:
    """Return an event of about 400 bytes."""
    return b'{"type":"bench.t%d","data":{"n":%d,"note":"%s"}}' % (kind, number, b"x" * 340)


@asynccontextmanager
async def _calling(url: str, key: str, count: int) -> AsyncIterator[tuple[list[_Caller], bytes]]:
    """Open connections; lends them and what every call begins with."""
    parts = urlsplit(url)
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(_Caller, parts.hostname or "", parts.port or 80) for _ in range(count)]
    try:
        yield [caller for _, caller in pairs], head.encode()
    finally:
        for transport, _ in pairs:
            transport.close()
