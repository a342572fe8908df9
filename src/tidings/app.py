"""The only module that joins everything: database, worker and API, opened in order and closed in reverse."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import msgspec
import uvicorn

from tidings import __version__
from tidings.api.publishing import PublishingFirst
from tidings.api.server import create_app
from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.operations.services import Services
from tidings.portal.door import Portal
from tidings.profiles import PROFILES
from tidings.sources.group_commit import Publisher
from tidings.store.database import open_database
from tidings.store.embedded import start_embedded
from tidings.store.migrations import migrate
from tidings.store.secrets import SecretBox, load_or_make_key
from tidings.store.settings import load_installation
from tidings.store.signing_keys import load_key_ring
from tidings.transport.sender import Sender
from tidings.worker.service import Worker
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings")

MAX_CONNECTIONS = 10  # to PostgreSQL, of one process; its two listeners and two that commit what is published come on top
RESPAWN_INTERVAL = 1.0  # seconds before a worker process that died is started again


class Ready(msgspec.Struct, frozen=True):
    """What is known once everything runs.

    Attributes:
        url: Where the API listens; None without one.
        database_url: The PostgreSQL in use.
        new_admin_key: The key, when it was made just now; it is shown nowhere else.
    """

    url: str | None
    database_url: str
    new_admin_key: str | None


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Services]:
    """Open the database, bring its schema up to date, and lend the parts that everything else is made of.

    Raises:
        StartupError: The database or the configuration does not allow it.
    """
    if config.default_profile is not None and config.default_profile not in PROFILES:
        raise StartupError(f"default_profile is {config.default_profile!r}; write one of {', '.join(PROFILES)}.")
    async with AsyncExitStack() as stack:
        url = config.database_url
        if url is None:
            server = await asyncio.to_thread(start_embedded, config.data_dir)
            stack.callback(server.cleanup)
            url = server.get_uri()
        database = await open_database(url, max_connections=MAX_CONNECTIONS)
        stack.push_async_callback(database.close)
        for name in await migrate(database):
            logger.info("migration %s applied", name)
        box = SecretBox(config.secret_key or load_or_make_key(config.data_dir))
        installation = await load_installation(database, box, config.admin_key)
        keys = await load_key_ring(database, box, issuer=config.public_url or "tidings")
        sender = Sender(allowed=config.allowed_networks, allow_http=config.allow_http)
        stack.push_async_callback(sender.close)
        publisher = Publisher(database)
        stack.push_async_callback(publisher.close)
        yield Services(config, database, box, sender, Clock(), installation, keys, publisher)


def make_worker(services: Services) -> Worker:
    """Return a worker made of these parts."""
    config = services.config
    return Worker(
        services.database,
        services.box,
        services.sender,
        services.clock,
        keys=services.keys.current,
        salt=services.installation.salt,
        retention_days=config.retention_days,
        max_in_flight=config.max_in_flight,
        stop_grace_seconds=config.stop_grace_seconds,
        sql_jobs=config.sql_jobs,
    )


async def run(
    config: Config,
    stop: Signal,
    *,
    with_api: bool,
    with_worker: bool,
    on_ready: Callable[[Ready], None] = lambda _: None,
) -> None:
    """Run an API, a worker or both until told to stop.

    Raises:
        StartupError: It cannot start.
        WorkerFailedError: A duty of the worker died.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(opened(config))
        url = None
        if with_worker:
            worker = make_worker(services)
            stack.push_async_callback(worker.stop)
            await worker.start()
            if config.workers > 1:
                await stack.enter_async_context(_more_workers(services))
        if with_api:
            url = await stack.enter_async_context(_serving(services))
        on_ready(Ready(url, services.database.url, services.installation.new_admin_key))
        if not with_worker:
            await stop.wait()
            return
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(worker.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    if worker.failed.is_set:
        raise WorkerFailedError


class WorkerFailedError(Exception):
    """A duty of the worker died; the log has the cause."""


# The API ---------------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: stopping is decided in one place."""

    @contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def _serving(services: Services) -> AsyncIterator[str]:
    """Serve the API while the block runs; lends its URL."""
    config = services.config
    listener = _bind(config)
    portal = Portal()
    server = _Server(
        uvicorn.Config(
            PublishingFirst(create_app(services, version=__version__, plugins=[portal]), services),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
            server_header=False,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="api")
    host = f"[{config.host}]" if ":" in config.host else config.host
    try:
        yield config.public_url or f"http://{host}:{listener.getsockname()[1]}"
    finally:
        portal.close()
        server.should_exit = True
        await task


def _bind(config: Config) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"The API cannot listen on {config.host} port {config.port} ({error.strerror}). Set TIDINGS_PORT to another."
        ) from error


# More worker processes -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _more_workers(services: Services) -> AsyncIterator[None]:
    """Keep `workers - 1` worker processes running beside this one while the block runs."""
    stopping = Signal()
    keepers = [asyncio.create_task(_keep_worker(services, stopping)) for _ in range(services.config.workers - 1)]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*keepers)


async def _keep_worker(services: Services, stopping: Signal) -> None:
    while not stopping.is_set:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tidings", "worker", env=os.environ | _settings_for_child(services)
        )
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            process.terminate()
            await ended
        elif not stopping.is_set:
            logger.error("worker process %d ended with %s; starting another", process.pid, process.returncode)
            await stopping.wait(RESPAWN_INTERVAL)


def _settings_for_child(services: Services) -> dict[str, str]:
    """Return this process's settings as environment, whatever they came from."""
    config = services.config
    settings = {
        "DATABASE_URL": services.database.url,
        "SECRET_KEY": config.secret_key or load_or_make_key(config.data_dir),
        "ALLOW_PRIVATE_NETWORKS": config.allow_private_networks,
        "ALLOW_HTTP": str(config.allow_http).lower(),
        "RETENTION_DAYS": str(config.retention_days),
        "LOG_FORMAT": config.log_format,
        "LOG_LEVEL": config.log_level,
        "MAX_IN_FLIGHT": str(config.max_in_flight),
        "STOP_GRACE_SECONDS": str(config.stop_grace_seconds),
        "PUBLIC_URL": config.public_url or "",
        "SQL_JOBS": msgspec.json.encode(config.sql_jobs).decode(),
        "WORKERS": "1",
        "CONFIG": "",
    }
    return {f"TIDINGS_{name}": value for name, value in settings.items()}
