"""A real HTTP server that says what it was told to and remembers what it got."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

from tests.support.limits import PATIENCE


@dataclass
class Received:
    """One request, whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""


def answer(status: int = 200, body: bytes = b"ok", headers: dict[str, str] | None = None) -> bytes:
    """Return a response as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


Script = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


async def ok(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer())


def says(data: bytes) -> Script:
    """Answer with these bytes, whatever they are."""

    async def script(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


async def hangs(_: Received, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def resets(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@dataclass
class Receiver:
    """Answers each request by the next script in `scripts`, or by `otherwise`."""

    otherwise: Script = ok
    scripts: deque[Script] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: Any = None
    _tasks: set[Any] = field(default_factory=set)

    async def start(self, **options: Any) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        self.port = self._server.sockets[0].getsockname()[1]

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def wait_for(self, count: int, limit: float = PATIENCE) -> list[Received]:
        """Wait until that many requests have come."""
        async with asyncio.timeout(limit), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._exchanges(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _exchanges(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = _Parser()
        while data := await reader.read(65536):
            parser.feed(data)
            if parser.complete is None:
                continue
            received, parser = parser.complete, _Parser()
            async with self._arrived:
                self.received.append(received)
                self._arrived.notify_all()
            script = self.scripts.popleft() if self.scripts else self.otherwise
            await script(received, writer)
            await writer.drain()


class _Parser:
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}
        self._body = self._url = self._raw = b""
        self.complete: Received | None = None

    def feed(self, data: bytes) -> None:
        self._raw += data
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        self.complete = Received(method, self._url.decode(), self._headers, self._body, self._raw)
