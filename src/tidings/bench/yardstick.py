"""The yardstick: the least that a durable delivery can cost on this machine.

A bare pipeline without any of the product's features: rows are taken from an outbox, signed, sent over kept-alive connections
and recorded, in batches; the same PostgreSQL, the same receiver. Absolute figures say little between machines, so the engine is
compared with this line, in turns with it. It runs as a process of its own, as the engine does:

    python -m tidings.bench.yardstick pipeline DATABASE_URL PORT ROWS    durable deliveries a second
    python -m tidings.bench.yardstick sender   DATABASE_URL PORT ROWS    signed requests a second, without PostgreSQL
"""

import asyncio
import hmac
import sys
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httptools
import uvloop

from tidings.bench.statements import YARDSTICK

BATCH = 500
CONNECTIONS = 128
MAX_WAITING = 2000  # rows taken and not sent
MAX_RECORDED = 1000  # results in one transaction
SECRET = b"whsec_secretsecretsecret"

_ATTEMPT = ["delivery_id", "n", "at", "ms", "code", "error", "response"]


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time."""

    done: asyncio.Future[tuple[int, bytes]]
    parser: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done.set_result((self.parser.get_status_code(), self.body))

    def send(self, request: bytes, loop: asyncio.AbstractEventLoop) -> asyncio.Future[tuple[int, bytes]]:
        self.done, self.parser, self.body = loop.create_future(), httptools.HttpResponseParser(self), b""
        self.transport.write(request)
        return self.done


class _Sender:
    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Exchange] = []

    async def post(self, row: Any) -> tuple[int, bytes]:
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await self._loop.create_connection(_Exchange, "127.0.0.1", self._port)
        answer = await connection.send(_request(row), self._loop)
        self._idle.append(connection)
        return answer


def _request(row: Any) -> bytes:
    at = b"%d" % time.time()
    body = b'{"type":"%b","timestamp":"%b","data":{"table":"%b","record":%b}}' % (
        row["type"].encode(), row["at"].isoformat().encode(), row["tbl"].encode(), row["record"].encode(),
    )  # fmt: skip
    signature = hmac.digest(SECRET, b"%d.%b.%b" % (row["id"], at, body), "sha256").hex()
    return (
        b"POST /yardstick HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\nContent-Type: application/json\r\n"
        b"webhook-id: %d\r\nwebhook-timestamp: %b\r\nwebhook-signature: v1,%b\r\nUser-Agent: bare/1\r\n\r\n%b"
        % (len(body), row["id"], at, signature.encode(), body)
    )


async def sender(port: int, requests: int) -> float:
    """Return how many signed requests a second go out and are answered."""
    record = '{"note":"' + "x" * 360 + '"}'
    row = {"id": 1, "type": "INSERT", "tbl": "orders", "at": datetime.now(UTC), "record": record}
    todo, posting = iter(range(requests)), _Sender(port)

    async def pump() -> None:
        for _ in todo:
            await posting.post(row)

    started = time.perf_counter()
    await asyncio.gather(*(pump() for _ in range(CONNECTIONS)))
    return requests / (time.perf_counter() - started)


class _Pipeline:
    def __init__(self, pool: Any, port: int) -> None:
        self._pool = pool
        self._sender = _Sender(port)
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(MAX_WAITING)
        self._results: asyncio.Queue[tuple[int, float, int, bytes]] = asyncio.Queue()

    async def run(self, rows: int) -> None:
        senders = [asyncio.create_task(self._deliver()) for _ in range(CONNECTIONS)]
        await asyncio.gather(self._take(), self._record(rows))
        for task in senders:
            task.cancel()

    async def _take(self) -> None:
        while rows := await self._pool.fetch(YARDSTICK["take"], BATCH):
            for row in rows:
                await self._waiting.put(row)

    async def _deliver(self) -> None:
        while True:
            row = await self._waiting.get()
            begun = time.perf_counter()
            status, body = await self._sender.post(row)
            self._results.put_nowait((row["id"], (time.perf_counter() - begun) * 1e3, status, body))

    async def _record(self, left: int) -> None:
        while left:
            results = [await self._results.get()]
            await asyncio.sleep(0.01)
            while not self._results.empty() and len(results) < MAX_RECORDED:
                results.append(self._results.get_nowait())
            now = datetime.now(UTC)
            attempts = [(number, 1, now, ms, status, None, body.decode()) for number, ms, status, body in results]
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(YARDSTICK["finish"], [r[0] for r in results], [r[2] for r in results])
                await connection.copy_records_to_table("attempts", schema_name="yardstick", records=attempts, columns=_ATTEMPT)
            left -= len(results)


async def pipeline(url: str, port: int, rows: int) -> float:
    """Return how many durable deliveries a second the bare pipeline makes."""
    pool = await asyncpg.create_pool(url, min_size=3, max_size=3)
    await pool.execute(YARDSTICK["prepare"])
    await pool.execute(YARDSTICK["fill"], rows)
    await pool.execute(YARDSTICK["tidy"])
    started = time.perf_counter()
    await _Pipeline(pool, port).run(rows)
    rate = rows / (time.perf_counter() - started)
    await pool.execute(YARDSTICK["clear"])
    await pool.close()
    return rate


def main(what: str, url: str, port: str, rows: str) -> None:
    """Run one line and print its rate."""
    running = sender(int(port), int(rows)) if what == "sender" else pipeline(url, int(port), int(rows))
    print(uvloop.run(running))  # noqa: T201 - the bench reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
