"""What goes wrong, as small things with a beginning and an end."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.clusters import Pair
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import handles_sigterm, settings
from tidings.store.database import UNAVAILABLE

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
FAULTS = (*UNAVAILABLE, asyncpg.PostgresError)


class Crew:
    """Worker processes, each replaced when it ends, as a supervisor would; their clocks can be stepped."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._options: dict[str, Any] = {}
        self._count = count
        self._keepers: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self.processes: list[asyncio.subprocess.Process | None] = [None] * count
        self.codes: Counter[int] = Counter()

    async def start(self, **options: Any) -> None:
        self._options = options
        for number in range(self._count):
            self.clock(number).write_text("+0")
            self._keepers.append(asyncio.create_task(self._keep(number)))

    def clock(self, number: int) -> Path:
        """The file that says how far the clock of a worker is off."""
        return self._folder / f"clock-{number}"

    def log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"

    async def stop(self) -> list[int]:
        """Ask all to stop, and return their exit codes.

        One that was started a moment ago is awaited first: until it handles SIGTERM, the signal would just kill it.
        """
        self._thaw()
        await eventually(self._can_be_stopped)
        self._is_stopping = True
        for process in self.processes:
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return [await process.wait() for process in self.processes if process is not None]

    async def kill(self) -> None:
        self._is_stopping = True
        for process in self.processes:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _can_be_stopped(self) -> bool:
        return all(process is not None and handles_sigterm(process) for process in self.processes)

    def _thaw(self) -> None:
        for process in self.processes:
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGCONT)

    async def _keep(self, number: int) -> None:
        faked = {
            "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.clock(number)), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        } if FAKETIME is not None else {}  # fmt: skip
        environment = settings(log_level="warning", **self._options) | faked
        while not self._is_stopping:
            with self.log(number).open("ab") as log:
                process = self.processes[number] = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tidings", "worker", env=environment, stdout=log, stderr=log
                )
            code = await process.wait()
            if not self._is_stopping:
                self.codes[code] += 1
                await asyncio.sleep(0.2)


class World:
    """What chaos is done to."""

    def __init__(self, pair: Pair, crew: Crew, rng: random.Random) -> None:
        self.pair = pair
        self.crew = crew
        self.rng = rng
        self.is_receiver_down = False

    def victim(self) -> tuple[int, asyncio.subprocess.Process] | None:
        running = [(n, p) for n, p in enumerate(self.crew.processes) if p is not None and p.returncode is None]
        return self.rng.choice(running) if running else None


class Chaos:
    """Something that goes wrong for a while. `seconds`: between which it lasts."""

    seconds = (1.0, 8.0)

    def __init__(self, world: World) -> None:
        self.world = world

    async def begin(self) -> None: ...

    async def end(self) -> None: ...


class KilledWorker(Chaos):
    seconds = (0.0, 1.0)

    async def begin(self) -> None:
        if (victim := self.world.victim()) is not None:
            victim[1].kill()


class StoppedWorker(Chaos):
    """A worker stands still: shorter than others take it for dead, or longer."""

    seconds = (1.0, 16.0)

    async def begin(self) -> None:
        self._victim = self.world.victim()
        if self._victim is not None:
            self._victim[1].send_signal(signal.SIGSTOP)

    async def end(self) -> None:
        if self._victim is not None and self._victim[1].returncode is None:
            self._victim[1].send_signal(signal.SIGCONT)


class SteppedClock(Chaos):
    """The clock of a worker's machine is put forward or back by three hours, and later put right."""

    async def begin(self) -> None:
        self._clock = self.world.crew.clock(self.world.rng.randrange(len(self.world.crew.processes)))
        self._clock.write_text(self.world.rng.choice(("+3h", "-3h")))

    async def end(self) -> None:
        self._clock.write_text("+0")


class ReceiverDown(Chaos):
    async def begin(self) -> None:
        self.world.is_receiver_down = True

    async def end(self) -> None:
        self.world.is_receiver_down = False


class _Session(Chaos):
    """Something that somebody does in a session of PostgreSQL, which may end with it."""

    _connection: Any = None

    async def begin(self) -> None:
        with contextlib.suppress(*FAULTS):
            self._connection = await asyncpg.connect(self.world.pair.switch.url(), timeout=5, command_timeout=10)
            await self.do(self._connection)

    async def do(self, connection: Any) -> None: ...

    async def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class LongTransaction(_Session):
    """Somebody changes a captured row, and commits long after."""

    seconds = (3.0, 20.0)

    async def do(self, connection: Any) -> None:
        await connection.execute("begin")
        await connection.execute("insert into ledger values ($1)", 10**9 + self.world.rng.randrange(10**9))

    async def end(self) -> None:
        with contextlib.suppress(*FAULTS):
            if self._connection is not None:
                await self._connection.execute("commit" if self.world.rng.random() < 0.5 else "rollback")
        await super().end()


class LockedTable(_Session):
    seconds = (1.0, 6.0)

    async def do(self, connection: Any) -> None:
        table = self.world.rng.choice(
            [
                "ledger",
                "tidings.outbox",
                "tidings.queue",
                "tidings.flights",
                "tidings.deliveries",
                "tidings.lanes",
                "tidings.workers",
            ]
        )
        await connection.execute("begin; set local lock_timeout = '3s'")
        await connection.execute(f"lock table {table} in access exclusive mode")


class UsedUpConnections(Chaos):
    seconds = (2.0, 8.0)

    async def begin(self) -> None:
        self._connections: list[Any] = []
        with contextlib.suppress(*FAULTS):
            while len(self._connections) < 200:
                self._connections.append(await asyncpg.connect(self.world.pair.switch.url(), timeout=5))

    async def end(self) -> None:
        for connection in self._connections:
            connection.terminate()


class CutNetwork(Chaos):
    async def begin(self) -> None:
        self.world.pair.switch.cut()

    async def end(self) -> None:
        self.world.pair.switch.mend()


class SilentNetwork(CutNetwork):
    """The network is gone, and says nothing."""

    seconds = (2.0, 15.0)

    async def begin(self) -> None:
        self.world.pair.switch.silence()


class RestartedPostgres(Chaos):
    seconds = (0.0, 4.0)

    async def begin(self) -> None:
        await asyncio.to_thread(self.world.pair.primary.stop)

    async def end(self) -> None:
        await self.world.pair.bring_up()


class CrashedPostgres(RestartedPostgres):
    async def begin(self) -> None:
        await self.world.pair.crash()


class CrashedSession(Chaos):
    """One process of PostgreSQL dies, and all others begin anew."""

    seconds = (0.0, 2.0)

    async def begin(self) -> None:
        with contextlib.suppress(*FAULTS):
            pid = await self.world.pair.ask(
                "select pid from pg_stat_activity where application_name = 'tidings' order by random() limit 1"
            )
            if pid is not None:
                os.kill(pid, signal.SIGKILL)


class FullDisk(Chaos):
    """The disk under PostgreSQL is full; PostgreSQL may end by it, and is started again when there is room."""

    seconds = (3.0, 12.0)

    async def begin(self) -> None:
        await asyncio.to_thread(self.world.pair.disk.fill)

    async def end(self) -> None:
        self.world.pair.disk.free()
        if not self.world.pair.primary.is_up():
            await self.world.pair.bring_up()


class FailedOver(Chaos):
    """The primary is lost, the standby is promoted, and gets a standby of its own."""

    seconds = (2.0, 5.0)

    async def begin(self) -> None:
        await self.world.pair.fail_over(is_read_only_for=self.world.rng.uniform(0, 5))

    async def end(self) -> None:
        await self.world.pair.add_standby()


OF_WORKERS = (
    KilledWorker,
    StoppedWorker,
    KilledWorker,
    SteppedClock,
    ReceiverDown,
    LongTransaction,
    LockedTable,
    UsedUpConnections,
)
OF_POSTGRES = (RestartedPostgres, CrashedPostgres, CrashedSession, FailedOver, FullDisk, CutNetwork, SilentNetwork)


async def rage(world: World, kinds: tuple[type[Chaos], ...], seconds: float, happened: Counter[str], slowness: float) -> None:
    """Have one thing after the other go wrong, each kind once before any comes again.

    Args:
        slowness: 1: things last as long as they say; less: so much shorter.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    bag: list[type[Chaos]] = []
    while loop.time() < until:
        bag = bag or world.rng.sample(kinds, len(kinds))
        chaos = bag.pop()(world)
        happened[type(chaos).__name__] += 1
        await chaos.begin()
        try:
            await asyncio.sleep(world.rng.uniform(*chaos.seconds) * slowness)
        finally:
            await chaos.end()
        await asyncio.sleep(world.rng.uniform(0.5, 4) * slowness)
