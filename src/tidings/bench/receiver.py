"""The receiver of the benchmarks: a process that answers every request with 200, or accepts and never answers."""

import asyncio
import multiprocessing
import os
import re
import time
from multiprocessing.connection import Connection
from typing import Any

import httptools
import uvloop

START_TIMEOUT = 20.0  # seconds

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_NUMBER = re.compile(rb'"n":(\d+)')


class _Counted:
    """How many requests were answered."""

    requests = 0


class _Exchange(asyncio.Protocol):
    """One connection. Paths that begin with /hang are read and never answered."""

    def __init__(self, arrivals: dict[int, float], counted: _Counted) -> None:
        self._arrivals = arrivals
        self._counted = counted
        self._body = b""
        self._hangs = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._hangs = url.startswith(b"/hang")

    def on_body(self, body: bytes) -> None:
        self._body = body

    def on_message_complete(self) -> None:
        if self._hangs:
            return
        if (match := _NUMBER.search(self._body)) is not None:
            self._arrivals.setdefault(int(match[1]), time.time())
        self._counted.requests += 1
        self._transport.write(_ANSWER)


def _main(pipe: Connection) -> None:
    # The last core, as far from the engine as this machine allows.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    arrivals: dict[int, float] = {}
    counted = _Counted()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Exchange(arrivals, counted), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        loop.add_reader(pipe.fileno(), hand_over)
        await server.serve_forever()

    def hand_over() -> None:
        os.set_blocking(pipe.fileno(), True)  # the event loop has made it otherwise, and much does not fit at once
        if pipe.recv() == "requests":
            pipe.send(counted.requests)
            return
        pipe.send(dict(arrivals))
        arrivals.clear()

    uvloop.run(serve())


class Receiver:
    """Starts the process and asks it what arrived."""

    def __init__(self) -> None:
        self._pipe, there = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_main, args=(there,), daemon=True)
        self._process.start()
        if not self._pipe.poll(START_TIMEOUT):
            raise RuntimeError("the benchmark's receiver did not start")
        self.port: int = self._pipe.recv()

    def url(self, path: str) -> str:
        """Return the URL of a path here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def arrivals(self) -> dict[int, float]:
        """Return when each numbered record first arrived (seconds since 1970), and forget it."""
        self._pipe.send("arrivals")
        found: dict[int, float] = self._pipe.recv()
        return found

    @property
    def requests(self) -> int:
        """How many requests were answered so far, repeated ones too."""
        self._pipe.send("requests")
        count: int = self._pipe.recv()
        return count

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
