"""The only module that joins everything: database, worker and API, opened in order and closed in reverse."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tidings import __version__
from tidings.api.bins import Bins
from tidings.api.proxies import BehindProxies
from tidings.api.publishing import PublishingFirst
from tidings.api.server import create_app
from tidings.api.serving.server import limits_of, serving
from tidings.api.serving.stopping import StoppingServer
from tidings.api.serving.watching import Watching
from tidings.api.tails import Tails
from tidings.clock import Clock
from tidings.config import Config, parse_address
from tidings.core.errors import StartupError
from tidings.core.home import COPY
from tidings.core.shares import share_out
from tidings.operations.admission import Admission
from tidings.operations.allowance import Allowance
from tidings.operations.services import Services
from tidings.portal.door import Portal
from tidings.profiles import PROFILES
from tidings.sources.group_commit import Publisher
from tidings.store import home, relay, request_role, roles
from tidings.store.bell import Bell
from tidings.store.database import COLLISIONS, UNAVAILABLE, Database, open_database
from tidings.store.embedded import Embedded
from tidings.store.migrations import expect_schema, has_schema, migrate
from tidings.store.outages import sentence
from tidings.store.secrets import SecretBox, find_key, load_or_make_key
from tidings.store.settings import is_keyed, load_installation
from tidings.store.signing_keys import load_key_ring
from tidings.store.workers import database_time
from tidings.transport.descriptors import descriptor_limit
from tidings.transport.provider import Provider
from tidings.transport.sender import MAX_IDLE_CONNECTIONS, Sender
from tidings.worker.service import Worker
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings")

# Connections to PostgreSQL of one process: shares, so that neither calls nor notices nor bins nor keys (one looks, one reads)
# nor limits take what deliveries need. Two listeners and two that commit what is published come on top, and one where
# `tidings listen` is answered.
FOR_DELIVERIES, FOR_CALLS, FOR_NOTICES, FOR_BINS, FOR_KEYS, FOR_LIMITS = 10, 6, 2, 1, 2, 1
FOR_WIDE = 4  # calls that are about no single group
FOR_ALL = FOR_DELIVERIES + FOR_CALLS + FOR_WIDE + FOR_NOTICES + FOR_BINS + FOR_KEYS + FOR_LIMITS
WATCHERS = 16  # connections at the address that metrics have for themselves
ADOPTION_INTERVAL = 1.0  # seconds between looks whether a copy was adopted
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


@asynccontextmanager
async def opened(config: Config, *, is_to_change: bool = True) -> AsyncIterator[Services]:
    """Open the database, bring its schema up to date, and lend the parts that everything else is made of.

    Args:
        is_to_change: False: leave everything as it is, and refuse what would have to be changed.

    Raises:
        StartupError: The database or the configuration does not allow it.
    """
    if config.default_profile is not None and config.default_profile not in PROFILES:
        raise StartupError(f"default_profile is {config.default_profile!r}; write one of {', '.join(PROFILES)}.")
    async with AsyncExitStack() as stack:
        apart = FOR_CALLS if config.request_role != request_role.NONE else 0
        database = await stack.enter_async_context(database_of(config, max_connections=FOR_ALL - apart))
        await _prepared(database, config, is_to_change=is_to_change)
        requests = await request_role.open_for_requests(database, config.request_role, max_connections=FOR_CALLS)
        stack.push_async_callback(requests.close)
        box = SecretBox(await _secret_key(database, config, is_to_change=is_to_change))
        key_file = None if config.secret_key is not None else config.key_file
        installation = await load_installation(database, box, config.admin_key if is_to_change else None, key_file=key_file)
        keys = await load_key_ring(database, box, issuer=config.public_url or "tidings")
        idle = min(MAX_IDLE_CONNECTIONS, share_out(descriptor_limit()).idle)
        sender = Sender(config.egress, ca_file=config.ca_file, proxy=config.forward_proxy, max_idle=idle)
        stack.push_async_callback(sender.close)
        publisher = Publisher(database)
        stack.push_async_callback(publisher.close)
        bell = Bell(database)
        stack.callback(bell.close)
        admission = Admission(*(database.share(1) for _ in range(FOR_KEYS)))
        stack.push_async_callback(admission.close)
        allowance = Allowance(admission, database.share(FOR_LIMITS))
        stack.callback(allowance.close)
        clock = Clock()
        async with database.connection() as connection:
            clock.adjust(await database_time(connection))
        provider = None
        if config.oidc_issuer is not None:
            provider = Provider(config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret)
            stack.push_async_callback(provider.close)
        yield Services(
            config, database, requests, box, sender, clock, installation, keys, publisher, bell, admission, allowance,
            provider=provider,
        )  # fmt: skip


async def _secret_key(database: Database, config: Config, *, is_to_change: bool) -> str:
    """Return the secret key. It is made where nothing is encrypted yet, and nowhere else: another would open nothing.

    Raises:
        StartupError: There is none, and it cannot be made.
    """
    path = config.key_file
    key = config.secret_key or find_key(path)
    if key is not None:
        return key
    if await is_keyed(database):
        raise StartupError(
            f"There is no secret key: TIDINGS_SECRET_KEY is not set, and there is no {path}. This database's secrets are "
            f"encrypted under "
            "one: set it, or bring its copy to that file. Nothing was written."
        )
    if not is_to_change:
        raise StartupError(f"There is no secret key: neither TIDINGS_SECRET_KEY is set nor is there {path}.")
    made = load_or_make_key(path)
    logger.warning(
        "the secret key was made: %s. Keep a copy of it: without it no secret in the database can be read again", path
    )
    return made


async def _prepared(database: Database, config: Config, *, is_to_change: bool) -> None:
    """Have the schema and the rights that this program needs, or find that they are there."""
    async with database.connection() as connection:
        here = await roles.look(connection)
    if here.is_running_role:
        if here.may_use:
            await expect_schema(database)
        await roles.expect_rights(database, owner=here.owner or "")
    elif is_to_change:
        for name in await migrate(database):
            logger.info("migration %s applied", name)
        await roles.give(database, None)
    else:
        await expect_schema(database)
    await request_role.prepare(database, config.request_role, is_to_change=is_to_change and not here.is_running_role)


@asynccontextmanager
async def database_of(config: Config, *, max_connections: int = 2) -> AsyncIterator[Database]:
    """Lend the database as it is, whatever its schema.

    Raises:
        StartupError: It cannot be reached.
    """
    async with AsyncExitStack() as stack:
        url = config.database_url
        if url is None:
            url = await stack.enter_async_context(_embedded(config.data_dir))
        database = await open_database(url, max_connections=max_connections)
        stack.push_async_callback(database.close)
        yield database


@asynccontextmanager
async def _embedded(data_dir: Path) -> AsyncIterator[str]:
    """Keep the embedded PostgreSQL running while the block runs; lends its URL."""
    server = Embedded(data_dir)
    try:
        await asyncio.to_thread(server.start)
        keeping = asyncio.create_task(server.keep(), name="embedded PostgreSQL")
        try:
            yield server.get_uri()
        finally:
            server.release()
            await keeping
    finally:
        await asyncio.to_thread(server.stop)


def make_worker(services: Services) -> Worker:
    """Return a worker made of these parts."""
    config = services.config
    return Worker(
        services.wide,
        services.box,
        services.sender,
        services.clock,
        keys=services.keys,
        salt=services.installation.salt,
        retention_days=config.retention_days,
        payload_hours=config.payload_retention_hours,
        audit_days=config.audit_days,
        max_in_flight=config.max_in_flight,
        loop_depth=config.loop_depth,
        stop_grace_seconds=config.stop_grace_seconds,
        sql_jobs=config.sql_jobs,
        max_connections=share_out(descriptor_limit()).sending,
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
        url = None
        with _starting():
            services = await stack.enter_async_context(opened(config))
            is_held = await home.settle(services.wide) and with_worker
            if with_worker and not is_held:
                worker = await _working(stack, services)
        if with_api:
            url = await stack.enter_async_context(_serving(services))
        key_file = None if config.secret_key is not None else str(config.key_file)
        on_ready(Ready(url, services.wide.url, services.installation.new_admin_key, key_file))
        if not with_worker or (is_held and not await _adopted(services, stop)):
            await stop.wait()
            return
        if is_held:
            with _starting():
                worker = await _working(stack, services)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(worker.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if worker.failed.is_set and not await has_schema(services.wide):
            raise StartupError(GONE)
    if worker.failed.is_set:
        raise WorkerFailedError


async def _working(stack: AsyncExitStack, services: Services) -> Worker:
    """Return a worker that has begun, with as many other processes as there are to be."""
    async with services.wide.connection() as connection:
        if (source := await relay.source(connection)) is not None:
            raise StartupError(
                f"This database is the source {source!r} of a fleet: what is committed here is routed at the homes. Run "
                "tidings relay here, and serve or worker at the homes."
            )
    worker = make_worker(services)
    stack.push_async_callback(worker.stop)
    await worker.start()
    if services.config.workers > 1:
        await stack.enter_async_context(_more_workers(services))
    if services.config.home is not None:
        from tidings.worker.landing import landing  # with what only members of a fleet have installed

        await stack.enter_async_context(landing(services.config, services.wide, on_failed=worker.failed.set))
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
        "MAX_IN_FLIGHT": str(config.max_in_flight),
        "LOOP_DEPTH": str(config.loop_depth),
        "STOP_GRACE_SECONDS": str(config.stop_grace_seconds),
        "PUBLIC_URL": config.public_url or "",
        "SQL_JOBS": msgspec.json.encode(config.sql_jobs).decode(),
        "WORKERS": "1",
        "HOME": "",
        "CONFIG": "",
    }
    return {f"TIDINGS_{name}": value for name, value in settings.items()}
