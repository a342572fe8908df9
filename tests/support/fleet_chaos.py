"""A fleet that everything happens to: its processes, the nodes of its stream and its databases die, and are started again."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tests.support.limits import PATIENCE
from tests.support.process import settings
from tests.support.stream import Cluster, Node
from tidings.store.database import UNAVAILABLE
from tidings.store.embedded import Embedded

AWAY = (*UNAVAILABLE, asyncpg.PostgresError, TimeoutError)  # what a session says whose server died
AGAIN_SECONDS = 0.2  # until what ended is started again, as by a supervisor


class Part:
    """A process of the fleet. Whatever ends it, it is started again."""

    def __init__(self, name: str, folder: Path, *command: str, **values: Any) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._values = values | {"data_dir": folder / name}
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_killed = self._is_stopping = False
        self._is_ready = asyncio.Event()
        self.ready: dict[str, Any] = {}
        self.ended: Counter[int] = Counter()  # by itself, by exit code

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._keeper = asyncio.create_task(self._keep(), name=self.name)
        ready = asyncio.create_task(self._is_ready.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([self._keeper, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        assert self._is_ready.is_set(), self.log.read_text()

    async def _keep(self) -> None:
        while not self._is_stopping:
            with self.log.open("ab") as log:
                process = self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tidings", *self._command, "--json", env=settings(log_level="info", **self._values),
                    stdout=subprocess.PIPE, stderr=log,
                )  # fmt: skip
            assert process.stdout is not None
            line = await process.stdout.readline()
            said = msgspec.json.decode(line) if line else {"error": "nothing was said"}
            if "error" not in said:
                self.ready = said
                self._is_ready.set()
            code = await process.wait()
            self._is_ready.clear()
            if not self._is_killed and not self._is_stopping and "error" not in said:
                self.ended[code] += 1
            self._is_killed = False
            await asyncio.sleep(AGAIN_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, and wait until another is ready in its place."""
        self._is_ready.clear()
        self._is_killed = True
        self._signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await self._is_ready.wait()

    async def freeze(self, seconds: float) -> None:
        """Have it stand still for a while."""
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    async def stop(self) -> int:
        """Ask it to stop once it is ready, and return its exit code."""
        async with asyncio.timeout(PATIENCE):
            await self._is_ready.wait()
        self._is_stopping = True
        self._signal(signal.SIGTERM)
        assert self._process is not None
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def end(self) -> None:
        """Leave nothing of it, whatever has happened."""
        self._is_stopping = True
        self._signal(signal.SIGKILL)
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)


class Server:
    """A PostgreSQL of one member alone, which is crashed and started again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._cluster = Embedded(folder)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._cluster.get_uri()

    async def start(self) -> None:
        """Start it."""
        await asyncio.to_thread(self._cluster.start)

    async def stop(self) -> None:
        """Stop it."""
        await asyncio.to_thread(self._cluster.stop)

    async def crash(self, seconds: float) -> None:
        """Have it abandon everything at once, and be away for a while."""
        pid = self._cluster.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        async with asyncio.timeout(PATIENCE):
            while self._cluster.get_pid() is not None:
                await asyncio.sleep(0.02)
        await asyncio.sleep(seconds)
        await self.start()

    async def restart(self, seconds: float) -> None:
        """Have it end in good order, and be away for a while."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def value(self, question: str) -> Any:
        """Ask it."""
        connection = await asyncpg.connect(self.url, timeout=PATIENCE)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    async def rows(self, question: str) -> list[Any]:
        """Ask it for rows."""
        connection = await asyncpg.connect(self.url, timeout=PATIENCE)
        try:
            found: list[Any] = await connection.fetch(question)
            return found
        finally:
            await connection.close()


async def servers(folder: Path, names: Sequence[str]) -> dict[str, Server]:
    """Make a PostgreSQL for each, and start them. One is made, and the others are its copies: making takes long."""
    first = Embedded(folder / names[0])
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(first.stop)
    for name in names[1:]:
        (folder / name).mkdir()
        shutil.copystat(folder / names[0], folder / name)
        await asyncio.to_thread(subprocess.run, ["cp", "-a", str(first.pgdata), str(folder / name / "postgres")], check=True)
    found = {name: Server(name, folder / name) for name in names}
    await asyncio.gather(*(each.start() for each in found.values()))
    return found


Blow = Callable[[random.Random, float], Awaitable[None]]


def blows_of_parts(parts: Sequence[Part], *, every: int = 1) -> dict[str, list[Blow]]:
    """Return what is done to processes, by name. `every`: of frozen ones, which of them alone."""

    def killed(part: Part) -> Blow:
        async def blow(_: random.Random, __: float) -> None:
            await part.kill()

        return blow

    def frozen(part: Part) -> Blow:
        async def blow(chance: random.Random, longest: float) -> None:
            await part.freeze(chance.uniform(0.2, longest))

        return blow

    return {
        "processes killed": [killed(part) for part in parts],
        "processes frozen": [frozen(part) for part in parts[::every]],
    }


def blows_of_nodes(nodes: Sequence[Node]) -> dict[str, list[Blow]]:
    """Return what is done to the nodes of the stream, by name."""

    def killed(node: Node) -> Blow:
        async def blow(chance: random.Random, longest: float) -> None:
            node.kill()
            await asyncio.sleep(chance.uniform(0.1, longest))
            node.start()

        return blow

    def frozen(node: Node) -> Blow:
        async def blow(chance: random.Random, longest: float) -> None:
            node.freeze()
            try:
                await asyncio.sleep(chance.uniform(0.2, longest))
            finally:
                node.thaw()

        return blow

    return {
        "nodes of the stream killed": [killed(node) for node in nodes],
        "nodes of the stream frozen": [frozen(node) for node in nodes],
    }


def blows_of_servers(found: Sequence[Server]) -> dict[str, list[Blow]]:
    """Return what is done to databases, by name."""

    def of(blow: Callable[[float], Awaitable[None]]) -> Blow:
        async def done(chance: random.Random, longest: float) -> None:
            await blow(chance.uniform(0.0, longest))

        return done

    return {
        "databases crashed": [of(each.crash) for each in found],
        "databases restarted": [of(each.restart) for each in found],
    }


async def rage(
    blows: dict[str, list[Blow]],
    chance: random.Random,
    is_over: Callable[[], bool],
    happened: Counter[str],
    *,
    longest: float,
    pauses: tuple[float, float],
) -> None:
    """Do one thing after the other, each once before any is done again, and until it is over."""
    while True:
        bag = [(what, blow) for what, each in blows.items() for blow in each]
        chance.shuffle(bag)
        for what, blow in bag:
            happened[what] += 1
            await blow(chance, longest)
            await asyncio.sleep(chance.uniform(*pauses))
        if is_over():
            return


async def without_quorum(cluster: Cluster, seconds: float) -> None:
    """Have all nodes but one stand still."""
    frozen = cluster.nodes[: len(cluster.nodes) // 2 + 1]
    for node in frozen:
        node.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        for node in frozen:
            node.thaw()
