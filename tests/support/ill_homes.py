"""Homes of a fleet that are unwell: real servers that do not answer as a home does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

FLOOD_BYTES: Final = 100 * 2**20

Answering = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hangs(_: bytes, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """It takes what it is asked, and says nothing."""
    await reader.read()


async def drips(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers a byte at a time, and comes to no end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    is_there = True
    while is_there:
        writer.write(b"[")
        await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                is_there = bool(await reader.read(65_536))  # what is left of the question; nothing: whoever asked is gone


async def babbles(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers 200 with what no home says."""
    say(writer, b'<html>[{"id": 7}]')


async def garbles(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers 200 with what is no text, in the shape that is asked for: a list, or what a home says of a key or itself."""
    say(writer, b'{"state": "\xff", "home": "\xff"}' if head.startswith(b"POST") else b'[{"id": "\xff", "who": "\xff"}]')


async def nests(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers 200 with what is nested more deeply than anybody reads."""
    say(writer, b'{"state": "fits", "key": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}")


async def floods(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It answers more than anybody reads."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD_BYTES)
    for _ in range(FLOOD_BYTES // 2**20):
        writer.write(b" " * 2**20)
        await writer.drain()


async def breaks(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It dies in the middle of an answer."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n[{"id": ')
    await writer.drain()


async def leads_on(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It leads to somewhere else."""
    writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def knows_no_key(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It has no key that it is asked for."""
    say(writer, b'{"state": "unknown"}')


async def says_wrong(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It has each key that it is asked for, and another secret of it."""
    say(writer, b'{"state": "wrong"}')


def says(body: bytes, *lines: bytes) -> Answering:
    """Return how a home answers 200 with a body and more lines of the head, whatever it is asked."""

    async def answering(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer, body, *lines)

    return answering


def say(writer: asyncio.StreamWriter, body: bytes, *lines: bytes) -> None:
    """Answer 200 with a body, and more lines of the head."""
    more = b"".join(line + b"\r\n" for line in lines)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(body), body))


class IllHome:
    """One of them. `answering` may be changed; `heads`: of what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.heads: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer while the block runs."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await self.answering(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def ill_homes(answering: Mapping[str, Answering]) -> AsyncIterator[dict[str, IllHome]]:
    """Lend homes by name."""
    homes = {name: IllHome(how) for name, how in answering.items()}
    async with AsyncExitStack() as stack:
        for home in homes.values():
            await stack.enter_async_context(home.serving())
        yield homes
