"""A real forward proxy: tunnels by CONNECT, passes on what comes in absolute form, and fails as it is told to."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

MAX_HEAD = 65_536


class ForwardProxy:
    """Knows names of its own, as proxies do. `says`: what it answers instead, whole; empty: it hangs up."""

    def __init__(self, port_of: dict[str, int], *, user: str = "") -> None:
        self.port_of = port_of
        self.user = user
        self.says: bytes | None = None
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def url(self, user: str = "") -> str:
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, to, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {to}")
        if self.says is not None:
            writer.write(self.says)
            await writer.drain()
            return
        wanted = "Proxy-Authorization: Basic " + base64.b64encode(self.user.encode()).decode()
        if self.user and wanted.encode() not in head:
            writer.write(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host = to.rpartition(":")[0] if method == "CONNECT" else urlsplit(to).hostname or ""
        if host not in self.port_of:
            writer.write(b"HTTP/1.1 502 No such host\r\nContent-Length: 11\r\n\r\n10.9.8.7 no")
            await writer.drain()
            return
        answers, there = await asyncio.open_connection("127.0.0.1", self.port_of[host])
        self._writers.add(there)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"proxy-")]
            there.write(b"\r\n".join([lines[0].replace(to.encode(), (urlsplit(to).path or "/").encode()), *lines[1:]]))
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, there))
            both.create_task(_pump(answers, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def forward_proxy(port_of: dict[str, int], *, user: str = "") -> AsyncIterator[ForwardProxy]:
    """Run one while the block runs."""
    proxy = ForwardProxy(port_of, user=user)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=MAX_HEAD)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
