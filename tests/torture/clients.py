"""Hostile clients, each by its name. Run as a process of its own: `python -m tests.torture.clients HOST PORT`, until its input ends.

It prints how often each was at work, and how often it was answered, by status, when it is told to stop.
"""

import asyncio
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

PAUSE = 0.1  # seconds between two turns of one client
PATIENCE = 20.0  # seconds that a turn lasts at most
MANY = 300

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"GET /api/v1/webhooks HTTP/1.1\r\nhost: x\r\n"
NOTICE = b"POST /in/shop HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = NOTICE + b"transfer-encoding: chunked\r\n\r\n"


async def drip(writer: asyncio.StreamWriter, first: bytes, piece: bytes) -> None:
    writer.write(first)
    while not writer.is_closing():
        writer.write(piece)
        await asyncio.sleep(0.2)


async def pour(writer: asyncio.StreamWriter, first: bytes, piece: bytes) -> None:
    writer.write(first)
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()


async def say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def half_close(writer: asyncio.StreamWriter, data: bytes) -> None:
    await say(writer, data)
    writer.write_eof()


async def reset(writer: asyncio.StreamWriter, data: bytes) -> None:
    await say(writer, data)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # the kernel's buffers fill, and then the server's
    await pour(writer, b"", b"GET /sign-in HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n")


_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
CLIENTS: dict[str, Behaviour] = {
    "slow header": lambda r, w: drip(w, HEAD + b"x: ", b"a"),
    "slow headers": lambda r, w: drip(w, HEAD, b"a: b\r\n"),
    "slow path": lambda r, w: drip(w, b"GET /", b"a"),
    "slow body": lambda r, w: drip(w, NOTICE + b"content-length: 1000\r\n\r\n", b" "),
    "slow chunks": lambda r, w: drip(w, CHUNKED, b"1\r\n \r\n"),
    "silent": lambda r, w: asyncio.sleep(PATIENCE),
    "endless header": lambda r, w: pour(w, HEAD + b"x: ", b"a" * 65_536),
    "endless headers": lambda r, w: pour(w, HEAD, b"a: b\r\n" * 10_000),
    "endless path": lambda r, w: pour(w, b"GET /", b"a" * 65_536),
    "endless body": lambda r, w: pour(w, CHUNKED, b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n"),
    "endless body without a key": lambda r, w: pour(w, CHUNKED.replace(b"/in/shop", b"/api/v1/events"), b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n"),
    "endless chunk extension": lambda r, w: pour(w, CHUNKED + b"1;", b"a" * 65_536),
    "endless trailers": lambda r, w: pour(w, CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
    "tiny chunks": lambda r, w: pour(w, CHUNKED, b"1\r\na\r\n" * 5_000),
    "many headers": lambda r, w: say(w, HEAD + b"a: b\r\n" * 4_000 + b"\r\n"),
    "declared too large": lambda r, w: say(w, NOTICE + b"content-length: 1000000000000\r\n\r\n"),
    "oversized": lambda r, w: pour(w, NOTICE + b"content-length: 33000000\r\n\r\n", b"a" * 65_536),
    "length twice": lambda r, w: say(w, NOTICE + b"content-length: 1\r\ncontent-length: 2\r\n\r\naa"),
    "length and chunks": lambda r, w: say(w, NOTICE + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "negative length": lambda r, w: say(w, NOTICE + b"content-length: -1\r\n\r\n"),
    "garbage": lambda r, w: say(w, bytes(range(256)) * 20),
    "TLS": lambda r, w: say(w, _HELLO),
    "HTTP/2": lambda r, w: say(w, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": lambda r, w: say(w, b"GET /\r\n"),
    "websocket": lambda r, w: say(w, HEAD + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n"),
    "half-closed head": lambda r, w: half_close(w, HEAD),
    "half-closed body": lambda r, w: half_close(w, NOTICE + b"content-length: 100\r\n\r\n{"),
    "half-closed request": lambda r, w: half_close(w, HEAD + b"\r\n"),
    "pipelined": lambda r, w: say(w, (HEAD + b"\r\n") * 1_000),
    "never reads": never_read,
    "reset head": lambda r, w: reset(w, HEAD),
    "reset request": lambda r, w: reset(w, HEAD + b"\r\n"),
    "expects": lambda r, w: say(w, NOTICE + b"expect: 100-continue\r\ncontent-length: 900000\r\n\r\n"),
    "wrong notices": lambda r, w: say(w, NOTICE + b"content-length: 2\r\nconnection: close\r\n\r\n{}"),
}  # fmt: skip


class Crowd:
    """All of them at once, over and over, from a few addresses."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.turns: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    async def _open(self, number: int) -> Streams:
        address = (f"127.0.0.{2 + number % 3}", 0)
        return await asyncio.open_connection(self._host, self._port, local_addr=address)

    async def client(self, name: str, number: int) -> None:
        while True:
            self.turns[name] += 1
            with suppress(OSError, TimeoutError):
                reader, writer = await self._open(number)
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._turn(name, reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(PAUSE)

    async def _turn(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hostile = asyncio.ensure_future(CLIENTS[name](reader, writer))
        try:
            if name != "never reads":
                first = await reader.readline()
                self.answers[first[9:12].decode("latin-1") or "closed"] += 1
                while await reader.read(65_536):
                    pass
            await hostile
        finally:
            hostile.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await hostile

    async def many(self) -> None:
        """Hold as many connections with a head that never ends as the server lets be."""
        held: list[Streams] = []
        while True:
            held = [one for one in held if not (one[0].at_eof() or one[1].is_closing())]
            with suppress(OSError):
                while len(held) < MANY:
                    held.append(await self._open(0))
                    held[-1][1].write(HEAD)
                    self.turns["many"] += 1
            await asyncio.sleep(PAUSE)


async def main(host: str, port: int) -> None:
    crowd = Crowd(host, port)
    tasks: list[Any] = [asyncio.create_task(crowd.client(name, number)) for number, name in enumerate(CLIENTS)]
    tasks.append(asyncio.create_task(crowd.many()))
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    faults = [repr(task.exception()) for task in tasks if not task.cancelled() and task.exception()]
    print(json.dumps({"turns": crowd.turns, "answers": crowd.answers, "faults": faults}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
