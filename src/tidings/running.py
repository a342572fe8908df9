"""Running what `app` joins: an API, a worker or both, and worker processes beside this one, until told to stop."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg
import msgspec

from tidings import __version__
from tidings.api.across import AcrossHomes
from tidings.api.bins import Bins
from tidings.api.moved import MovedAway
from tidings.api.proxies import BehindProxies
from tidings.api.publishing import PublishingFirst
from tidings.api.server import create_app
from tidings.api.serving.server import limits_of, serving
from tidings.api.serving.stopping import StoppingServer
from tidings.api.serving.watching import Watching
from tidings.api.tails import Tails
from tidings.app import FOR_BINS, FOR_CALLS, FOR_NOTICES, FOR_WIDE, make_worker, opened
from tidings.config import Config
from tidings.configured import parse_address
from tidings.core.errors import StartupError, TidingsError
from tidings.core.home import COPY
from tidings.core.homes import parse_homes
from tidings.core.shares import share_out
from tidings.operations.across import READ_INTERVAL, Across, Directory, DirectoryReader
from tidings.operations.foreign_keys import ForeignKeys
from tidings.operations.services import Services
from tidings.portal.door import Portal
from tidings.store import home, relay
from tidings.store.database import COLLISIONS, UNAVAILABLE
from tidings.store.migrations import has_schema
from tidings.store.outages import sentence
from tidings.store.secrets import load_or_make_key
from tidings.store.settings import is_key_in_use
from tidings.transport.descriptors import descriptor_limit
from tidings.transport.homes import Homes
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.service import Worker
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry, open_telemetry

logger = logging.getLogger("tidings")

WATCHERS = 16  # connections at the address that metrics have for themselves
KEY_INTERVAL = 1.0  # seconds between looks whether SECRET_KEY is still the one in use
ADOPTION_INTERVAL = 1.0  # seconds between looks whether a copy was adopted
READER_STOP_SECONDS = 2.0
RESPAWN_INTERVAL = 1.0  # seconds before a worker process that died is started again


class Ready(msgspec.Struct, frozen=True):
    """What is known once everything runs.

    Attributes:
        url: Where the API listens; None without one.
        database_url: The PostgreSQL in use.
        new_admin_key: The key, when it was made just now; it is shown nowhere else.
        secret_key_file: Where the secret key is, unless the settings say the key itself.
    """

    url: str | None
    database_url: str
    new_admin_key: str | None
    secret_key_file: str | None = None


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
        url = None
        with _starting():
            services = await stack.enter_async_context(opened(config))
            await stack.enter_async_context(_while_key_is_in_use(services, stop))
            telemetry = asked_telemetry()
            if telemetry is not None:
                stack.push_async_callback(telemetry.close)
            services = msgspec.structs.replace(services, telemetry=telemetry)
            is_held = await home.settle(services.wide) and with_worker
            if with_worker and not is_held:
                worker = await _working(stack, services, telemetry)
        if with_api:
            url = await stack.enter_async_context(_serving(await stack.enter_async_context(_among_homes(services))))
        key_file = None if config.secret_key is not None else str(config.key_file)
        on_ready(Ready(url, services.wide.url, services.installation.new_admin_key, key_file))
        if not with_worker or (is_held and not await _adopted(services, stop)):
            await stop.wait()
            return
        if is_held:
            with _starting():
                worker = await _working(stack, services, telemetry)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(worker.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if worker.failed.is_set and not await has_schema(services.wide):
            raise StartupError(GONE)
    if worker.failed.is_set:
        raise WorkerFailedError


@asynccontextmanager
async def _while_key_is_in_use(services: Services, stop: Signal) -> AsyncIterator[None]:
    """Have the process stop when SECRET_KEY is changed while the block runs: what it sealed from then on nobody could read.

    Raises:
        StartupError: It was changed.
    """
    watching = asyncio.create_task(_key_is_changed(services, stop), name="look at SECRET_KEY")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    if not watching.cancelled() and watching.result():
        raise StartupError(KEY_CHANGED)


async def _key_is_changed(services: Services, stop: Signal) -> bool:
    """Wait until the key in use is another than this process's, and have it stop; False: it is to stop before."""
    while not await stop.wait(KEY_INTERVAL):
        # Away, busy, or without our schema: others tell of that.
        with suppress(*UNAVAILABLE, TimeoutError, TidingsError, asyncpg.PostgresError):
            async with services.wide.connection() as connection:
                if not await is_key_in_use(connection, services.box):
                    logger.error("%s", KEY_CHANGED)
                    stop.set()
                    return True
    return False


KEY_CHANGED = (
    "SECRET_KEY was changed by tidings rekey while this process ran, so it stops: nobody could read what it seals now. Start "
    "it again with the new key in TIDINGS_SECRET_KEY."
)


async def _working(stack: AsyncExitStack, services: Services, telemetry: Telemetry | None) -> Worker:
    """Return a worker that has begun, with as many other processes as there are to be."""
    async with services.wide.connection() as connection:
        if (source := await relay.source(connection)) is not None:
            raise StartupError(
                f"This database is the source {source!r} of a fleet: what is committed here is routed at the homes. Run "
                "tidings relay here, and serve or worker at the homes."
            )
    if services.config.home is not None and services.config.stream is None:
        raise StartupError("home is set and stream is not: say where the stream is that brings what is to be delivered.")
    worker = make_worker(services, telemetry)
    stack.push_async_callback(worker.stop)
    await worker.start()
    if services.config.workers > 1:
        await stack.enter_async_context(_more_workers(services))
    if services.config.home is not None:
        from tidings.worker.landing import Packing, landing  # with what only members of a fleet have installed

        packing = Packing(
            services.box, services.clock, services.installation.salt, worker.telemetry, worker.dispatcher, worker.known
        )
        await stack.enter_async_context(landing(services.config, services.wide, packing, on_failed=worker.failed.set))
    return worker


async def _adopted(services: Services, stop: Signal) -> bool:
    """Wait until the copy that this database is becomes the installation's own; False: this process is to stop before."""
    logger.warning("%s", COPY)
    while not await stop.wait(ADOPTION_INTERVAL):
        try:
            async with services.wide.connection() as connection:
                if not await home.is_held(connection):
                    logger.warning("This database was adopted: routing and sending begin.")
                    return True
        except (*UNAVAILABLE, TimeoutError) as error:
            services.wide.outages.failed(error)
        except asyncpg.UndefinedTableError as error:
            raise StartupError(GONE) from error
    return False


GONE = (
    "Schema tidings was taken out of the database while this process ran, so it stops: nothing is captured or delivered. "
    "To begin anew, start Tidings again."
)


@contextmanager
def _starting() -> Iterator[None]:
    """Have an outage that comes while this process starts be told as one: there is nothing yet that could wait."""
    try:
        yield
    except UNAVAILABLE as error:
        raise StartupError(f"PostgreSQL went away while Tidings was starting. {sentence(error)}") from error
    except COLLISIONS as error:
        raise StartupError(
            f"Somebody holds a lock that Tidings needs to start ({error}). See pg_locks, or start it again in a moment."
        ) from error


class WorkerFailedError(Exception):
    """A duty of the worker died; the log has the cause."""


# The API ---------------------------------------------------------------------------------------------------------------


class _Server(StoppingServer):
    """uvicorn without its own signal handlers: stopping is decided in one place."""

    @contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def _among_homes(services: Services) -> AsyncIterator[Services]:
    """Lend the parts of a home that asks the others of its fleet, where it is told where they are."""
    config = services.config
    if config.homes is None or config.home is None or config.homes_key is None:
        yield services
        return
    addresses = parse_homes(config.homes)
    directory = Directory({*addresses, config.home})
    others = {name: url for name, url in addresses.items() if name != config.home}
    across = Across(config.home, config.homes_key, directory, Homes(others, ca_file=config.ca_file), services.clock)
    services.admission.elsewhere = ForeignKeys(across)
    reader, stopping = DirectoryReader(services.wide, directory), Signal()
    with suppress(*UNAVAILABLE):
        await reader.run_once()  # before anybody asks
    crew = Crew("where groups live stays as it was read last", logger=logger)
    crew.begin("reader of the directory", every(READ_INTERVAL, reader, stopping))
    try:
        yield msgspec.structs.replace(services, across=across)
    finally:
        stopping.set()
        await crew.settle(READER_STOP_SECONDS)
        services.admission.elsewhere = None
        await across.close()


@asynccontextmanager
async def _serving(services: Services) -> AsyncIterator[str]:
    """Serve the API while the block runs; lends its URL."""
    config = services.config
    shares = share_out(descriptor_limit())
    listener = _bind(config.host, config.port, shares.backlog, "TIDINGS_PORT")
    logger.log(logging.INFO if shares.is_enough else logging.WARNING, "%s", shares.sentence)
    portal, bins = Portal(), Bins()
    watcher = None if config.metrics_address is None else _bind(*parse_address(config.metrics_address), WATCHERS)
    services = msgspec.structs.replace(
        services,
        requests=services.requests.share(FOR_CALLS, most_waiting=shares.incoming // 2),
        wide=services.wide.share(FOR_WIDE, most_waiting=shares.incoming // 2),
        for_notices=services.wide.share(FOR_NOTICES),
        for_bins=services.wide.share(FOR_BINS),
    )
    tails = Tails()
    framework = create_app(services, version=__version__, plugins=[portal, bins], tails=tails)
    application: Any = PublishingFirst(framework, services)
    if config.home is not None:
        application = MovedAway(application, services)
    if services.across is not None:
        application = AcrossHomes(application, services, services.across)
    application = BehindProxies(application, config.trusted_networks)
    servers = {"api": (_Server(serving(application, limits_of(config, shares.incoming))), listener)}
    if watcher is not None:
        limits = limits_of(config, WATCHERS)
        servers["metrics"] = _Server(serving(Watching(application), limits, is_first=False)), watcher
    tasks = [asyncio.create_task(server.serve(sockets=[listening]), name=name) for name, (server, listening) in servers.items()]
    host = f"[{config.host}]" if ":" in config.host else config.host
    try:
        yield config.public_url or f"http://{host}:{listener.getsockname()[1]}"
    finally:
        portal.close()
        services.bell.close()
        tails.close()
        bins.close()
        for server, _ in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)


def asked_telemetry() -> Telemetry | None:
    """Return what the environment's variables of OpenTelemetry ask for; None: nothing."""
    return open_telemetry(os.environ, __version__)


@asynccontextmanager
async def watched(config: Config, application: Any) -> AsyncIterator[None]:
    """Have an application answer at the address for metrics, where there is one, while the block runs."""
    if config.metrics_address is None:
        yield
        return
    listener = _bind(*parse_address(config.metrics_address), WATCHERS)
    server = _Server(serving(Watching(application), limits_of(config, WATCHERS), is_first=False))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="metrics")
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _bind(host: str, port: int, backlog: int, setting: str = "TIDINGS_METRICS_ADDRESS") -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise StartupError(
            f"The API cannot listen on {host} port {port} ({error.strerror}). Set {setting} to another."
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
            sys.executable,
            "-m",
            "tidings",
            "worker",
            "--parent",
            str(os.getpid()),
            env=os.environ | _settings_for_child(services),
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
        "DATABASE_URL": services.wide.url,
        "REQUEST_ROLE": config.request_role,
        "SECRET_KEY": config.secret_key or load_or_make_key(config.key_file),
        "ALLOW_PRIVATE_NETWORKS": config.allow_private_networks,
        "DENY_NETWORKS": config.deny_networks,
        "ALLOW_PORTS": config.allow_ports,
        "DENY_PORTS": config.deny_ports,
        "HTTP_HOSTS": config.http_hosts or "",
        "PROXY": config.proxy or "",
        "CA_FILE": str(config.ca_file or ""),
        "ALLOW_HTTP": str(config.allow_http).lower(),
        "RETENTION_DAYS": str(config.retention_days),
        "PAYLOAD_RETENTION_HOURS": str(config.payload_retention_hours),
        "AUDIT_DAYS": str(config.audit_days),
        "LOG_FORMAT": config.log_format,
        "LOG_LEVEL": config.log_level,
        "LOG_ATTEMPTS": str(config.log_attempts).lower(),
        "METRICS_WEBHOOKS": str(config.metrics_webhooks),
        "MAX_IN_FLIGHT": str(config.max_in_flight),
        "LOOP_DEPTH": str(config.loop_depth),
        "STOP_GRACE_SECONDS": str(config.stop_grace_seconds),
        "PUBLIC_URL": config.public_url or "",
        "SQL_JOBS": msgspec.json.encode(config.sql_jobs).decode(),
        "WORKERS": "1",
        "HOME": "",
        "HOMES": "",
        "CONFIG": "",
    }
    return {f"TIDINGS_{name}": value for name, value in settings.items()}
