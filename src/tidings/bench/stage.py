"""What every measurement stands on: a PostgreSQL of its own, one engine process, one receiver."""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

import tidings
from tidings.app import opened
from tidings.bench.processes import cpu
from tidings.bench.receiver import Receiver
from tidings.bench.statements import SQL
from tidings.config import Config
from tidings.core.capture import TableName
from tidings.core.filters import Filter
from tidings.core.signature import new_secret
from tidings.core.webhook import Webhook
from tidings.operations.services import Services
from tidings.running import Ready
from tidings.sources import backfill, tables
from tidings.store import webhooks
from tidings.store.embedded import start_embedded

KEY = "bench"
STATEMENT_TIMEOUT = 1800  # seconds; filling a table with millions of rows takes long

_TPS = re.compile(r"tps = ([\d.]+)")


class Usage(msgspec.Struct, frozen=True):
    """What was used so far: CPU by the engine's processes and by all of PostgreSQL's, and write-ahead log."""

    engine_seconds: float
    postgres_seconds: float
    wal_bytes: float

    def each_since(self, before: "Usage", count: int) -> dict[str, float]:
        """Return what each of so many deliveries took since then: microseconds of CPU, bytes of log."""
        return {
            "engine_us": (self.engine_seconds - before.engine_seconds) / count * 1e6,
            "postgres_us": (self.postgres_seconds - before.postgres_seconds) / count * 1e6,
            "wal_bytes": (self.wal_bytes - before.wal_bytes) / count,
        }


class Stage:
    """One PostgreSQL, one engine, one receiver; measurements follow each other on it."""

    def __init__(self, services: Services, server: Any, receiver: Receiver) -> None:
        self.services = services
        self.receiver = receiver
        self._server = server
        self._engines: list[asyncio.subprocess.Process] = []
        self._kept: dict[str, Any] = {}
        self._ending = AsyncExitStack()
        self.told: dict[str, float] = {}  # what a measurement has found that is not done: kept, should it break off

    async def close(self) -> None:
        """Let go of what was kept."""
        await self._ending.aclose()

    async def kept(self, name: str, make: Callable[["Stage"], Awaitable[Any]]) -> Any:
        """Return what is made once, on a database of its own, for all measurements that ask for it.

        That database is the one that `apart` lends: nothing is set apart any more once something is kept.
        """
        if name not in self._kept:
            self._kept[name] = await make(await self._ending.enter_async_context(self.apart()))
        return self._kept[name]

    async def execute(self, sql: str, *args: Any) -> None:
        """Run a statement."""
        async with self.services.wide.connection() as connection:
            await connection.execute(sql, *args, timeout=STATEMENT_TIMEOUT)

    async def value(self, sql: str, *args: Any) -> Any:
        """Return what a statement says."""
        async with self.services.wide.connection() as connection:
            return await connection.fetchval(sql, *args, timeout=STATEMENT_TIMEOUT)

    @property
    def database_url(self) -> str:
        """The URL of the PostgreSQL that the measurements are about."""
        return self.services.config.database_url or ""

    async def add_webhook(
        self, wanted: Filter, path: str, *, concurrency: int = 100, group_id: str = "default", ordered: bool = False
    ) -> UUID:
        """Subscribe a path of the receiver to something."""
        webhook = self._webhook(path, events=(wanted,), concurrency=concurrency, group_id=group_id, ordered=ordered)
        async with self.services.wide.transaction() as connection:
            await webhooks.insert_webhook(connection, self.services.box, webhook)
            await tables.keep_in_step(connection, needed_by=webhook)
        return webhook.id

    def _webhook(self, path: str, *, group_id: str = "default", **fields: Any) -> Webhook:
        now = self.services.clock.now()
        return Webhook(
            id=uuid4(),
            group_id=group_id,
            name=path,
            url=self.receiver.url(path),
            secret=new_secret(bytes(32)),
            created_at=now,
            updated_at=now,
            **fields,
        )

    async def backfill(self, webhook_id: UUID, table: TableName) -> None:
        """Send a table's rows to a webhook, and wait until all are routed."""
        services = self.services
        async with services.wide.transaction() as connection:
            (webhook,) = await webhooks.webhooks_by_id(connection, services.box, [webhook_id])
            await backfill.begin(connection, webhook, table, services.clock.now())
            await tables.keep_in_step(connection, needed=table)
        async with services.wide.connection() as connection:
            while not await connection.fetchval(SQL["backfill_is_over"]):  # noqa: ASYNC110 - PostgreSQL does not tell
                await asyncio.sleep(0.02)

    async def add_job_webhooks(self, count: int) -> None:
        """Make what jobs are carried by."""
        async with self.services.wide.transaction() as connection:
            for number in range(count):
                await webhooks.insert_webhook(connection, self.services.box, self._webhook(f"/job{number}"))

    async def fire_jobs(self, count: int, due_in: timedelta) -> float:
        """Make a job for each such webhook, all due at once; return the seconds from then until their requests are recorded."""
        due = self.services.clock.now() + due_in
        async with self.services.wide.connection() as connection:
            await connection.execute(SQL["add_jobs"], due)
            while await connection.fetchval(SQL["finished_deliveries"]) < count:  # noqa: ASYNC110 - PostgreSQL does not tell
                await asyncio.sleep(0.02)
            taken: timedelta = self.services.clock.now() - due
            await connection.execute(SQL["clear_jobs"])
        return taken.total_seconds()

    async def clear_webhooks(self) -> None:
        """Remove every webhook, what is queued for them, and their triggers."""
        await self.execute(SQL["clear_webhooks"])
        await tables.keep_all_in_step(self.services.wide)

    async def settled(self, limit: float = 600) -> None:
        """Wait until every event is routed and every delivery that can be finished is."""
        async with asyncio.timeout(limit), self.services.wide.connection() as connection:
            while await connection.fetchval(SQL["is_unsettled"]):  # noqa: ASYNC110 - PostgreSQL does not tell
                await asyncio.sleep(0.02)

    async def pgbench(self, script: str, seconds: int) -> float:
        """Return the transactions per second that 8 clients reach with a script."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            process = await asyncio.create_subprocess_exec(
                str(self._server.program("pgbench")),
                *("-n", "-M", "prepared", "-c", "8", "-j", "1", "-T", str(seconds), "-f", file.name),
                self._server.get_uri(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            output, _ = await process.communicate()
        match = _TPS.search(output.decode())
        if match is None:
            raise RuntimeError("pgbench printed no rate")
        return float(match[1])

    @asynccontextmanager
    async def api(self) -> AsyncIterator[str]:
        """Serve the API from a process of its own; lends its URL."""
        process, ready = await _start(self.services.config, "api")
        try:
            yield ready.url or ""
        finally:
            await stop_process(process)

    async def yardstick(self, what: str, rows: int) -> float:
        """Return the rate of the bare `pipeline` or the bare `sender`, run as a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tidings.bench.yardstick",
                what,
                self._server.get_uri(),
                str(self.receiver.port),
                str(rows),
            ),
            stdout=subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return float(output)

    async def usage(self) -> Usage:
        """Return what was used so far."""
        async with self.services.wide.connection() as connection:
            wal = await connection.fetchval(SQL["wal_position"])
            pids = await connection.fetchval(SQL["server_processes"])
        engine = sum(cpu(process.pid).own for process in self._engines)
        postgres = sum(cpu(pid).own for pid in pids) + cpu(cpu(pids[0]).parent).ended_children
        return Usage(engine, postgres, float(wal))

    @asynccontextmanager
    async def apart(self) -> AsyncIterator["Stage"]:
        """Lend a stage on a database of its own, where no engine runs yet."""
        await self.execute(SQL["create_database"])
        url = self._server.get_uri().replace("/postgres?", "/apart?")
        config = msgspec.structs.replace(self.services.config, database_url=url)
        async with opened(config) as services:
            yield Stage(services, self._server, self.receiver)
        await self.execute(SQL["drop_database"])

    def configured(self, **settings: Any) -> "Stage":
        """Return a stage on the same database, whose processes are started with other settings."""
        config = msgspec.structs.replace(self.services.config, **settings)
        return Stage(msgspec.structs.replace(self.services, config=config), self._server, self.receiver)

    @asynccontextmanager
    async def running(self, command: str, count: int = 1) -> AsyncIterator[str]:
        """Run processes of the engine, each a `worker` or a `serve`; lends the URL of the last one's API, when it has one."""
        url = None
        try:
            for _ in range(count):
                process, ready = await _start(self.services.config, command)
                self._engines.append(process)
                url = ready.url
            yield url or ""
        finally:
            while self._engines:
                await stop_process(self._engines.pop())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple["Stage", str]]:
        """Serve API and worker from one process, on a database of its own; lends a stage that is about it, and its URL."""
        async with self.apart() as stage, stage.running("serve") as url:
            yield stage, url

    def engine_rss_mb(self) -> float:
        """Return the resident memory of the engine's processes, in MiB."""
        return sum(_rss_kb(process.pid) for process in self._engines) / 1024


def _rss_kb(pid: int) -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) if match else 0


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Set the stage, without an engine yet, and clear it away afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tidings-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = start_embedded(folder)
        stack.callback(server.cleanup)
        receiver = Receiver()
        stack.callback(receiver.close)
        config = Config(
            database_url=server.get_uri(),
            data_dir=folder,
            secret_key="bench",  # noqa: S106
            admin_key=KEY,
            allow_private_networks="127.0.0.0/8",
            log_level="error",
        )
        services = await stack.enter_async_context(opened(config))
        stage = Stage(services, server, receiver)
        stack.push_async_callback(stage.close)
        await stage.execute(SQL["prepare"])
        yield stage


async def _start(config: Config, command: str) -> tuple[asyncio.subprocess.Process, Ready]:
    """Start a process of ours, and return it with what it says when it is ready."""
    process, said = await start_process(config, command)
    return process, msgspec.json.decode(said, type=Ready)


async def start_process(config: Config, command: str) -> tuple[asyncio.subprocess.Process, bytes]:
    """Start a process of ours, and return it with the line that it prints when it is ready: JSON."""
    settings = {
        "TIDINGS_DATABASE_URL": config.database_url,
        "TIDINGS_SECRET_KEY": config.secret_key,
        "TIDINGS_ADMIN_KEY": config.admin_key,
        "TIDINGS_PORT": "0",
        "TIDINGS_ALLOW_PRIVATE_NETWORKS": config.allow_private_networks,
        "TIDINGS_LOG_LEVEL": config.log_level,
        "TIDINGS_REQUEST_ROLE": config.request_role,
        "TIDINGS_STREAM": config.stream,
        "TIDINGS_HOME": config.home,
        "TIDINGS_SOURCE": config.source,
        "PYTHONPATH": str(Path(tidings.__file__).parents[1]),  # the code that measures is the code that is measured
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidings", command, "--json"),
        env={name: value for name, value in settings.items() if value is not None},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - asked for above
    said = await process.stdout.readline()
    if not said:
        raise RuntimeError(f"tidings {command} did not start; what it printed says why")
    return process, said


async def stop_process(engine: asyncio.subprocess.Process) -> None:
    """End a process of ours."""
    if engine.returncode is None:
        engine.kill()  # what hangs by intent would keep a polite stop waiting
        await engine.wait()
