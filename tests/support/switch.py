"""A TCP port in front of PostgreSQL: turned to another server, cut, or silent, as a network is."""

import asyncio
from typing import Any

import msgspec

from tidings.config import Config


class Switch:
    """Passes connections on to a Unix socket. Who connects sees one server, whatever is behind."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._server: Any = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def turn(self, folder: str) -> None:
        """Lead to the server whose socket is in this folder from now on; connections there are end."""
        self._folder = folder
        self._drop()

    def cut(self) -> None:
        """End all connections, and take no other."""
        self._is_cut = True
        self._drop()

    def silence(self) -> None:
        """Take everything and pass nothing on: nobody is told that nobody listens."""
        self._flowing.clear()

    def forget(self) -> None:
        """Pass nothing on over the connections there are, and tell nobody; those that come from now on work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def mend(self) -> None:
        """Work again."""
        self._is_cut = False
        self._flowing.set()

    async def stop(self) -> None:
        self._server.close()
        self._drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self._writers.add(writer)
        flowing = self._flowing
        await flowing.wait()
        try:
            there = await asyncio.open_unix_connection(f"{self._folder}/.s.PGSQL.5432")
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(there[1])
        for source, sink in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._pass(source, sink, flowing))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        try:
            while data := await source.read(65536):
                await flowing.wait()
                sink.write(data)
                await sink.drain()
        except (OSError, RuntimeError, asyncio.CancelledError):  # RuntimeError: uvloop's, of a transport that was aborted
            pass
        finally:
            sink.transport.abort() if self._is_cut else sink.close()
            self._writers.discard(sink)


def behind(switch: Switch, config: Config) -> Config:
    """Return settings by which that PostgreSQL is reached through the switch."""
    assert config.database_url is not None
    name = config.database_url.partition("?")[0].rpartition("/")[2]
    return msgspec.structs.replace(config, database_url=switch.url(name))
