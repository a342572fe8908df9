"""The only module that joins everything: the parts of a process, opened in order and closed in reverse. `running` runs them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.shares import share_out
from tidings.operations.admission import Admission
from tidings.operations.allowance import Allowance
from tidings.operations.services import Services
from tidings.profiles import PROFILES
from tidings.sources.group_commit import Publisher
from tidings.store import request_role, roles
from tidings.store.bell import Bell
from tidings.store.database import Database, open_database
from tidings.store.embedded import Embedded
from tidings.store.migrations import expect_schema, is_ahead, migrate
from tidings.store.secrets import SecretBox, find_key, load_or_make_key
from tidings.store.settings import is_keyed, load_installation
from tidings.store.signing_keys import load_key_ring
from tidings.store.workers import database_time
from tidings.transport.descriptors import descriptor_limit
from tidings.transport.provider import Provider
from tidings.transport.sender import MAX_IDLE_CONNECTIONS, Sender
from tidings.worker.service import Worker
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings")

# Connections to PostgreSQL of one process: shares, so that neither calls nor notices nor bins nor keys (one looks, one reads)
# nor limits take what deliveries need. Two listeners and two that commit what is published come on top, and one where
# `tidings listen` is answered.
FOR_DELIVERIES, FOR_CALLS, FOR_NOTICES, FOR_BINS, FOR_KEYS, FOR_LIMITS = 10, 6, 2, 1, 2, 1
FOR_WIDE = 4  # calls that are about no single group
FOR_ALL = FOR_DELIVERIES + FOR_CALLS + FOR_WIDE + FOR_NOTICES + FOR_BINS + FOR_KEYS + FOR_LIMITS


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
        box = await box_of(database, config, is_to_change=is_to_change)
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


async def box_of(database: Database, config: Config, *, is_to_change: bool) -> SecretBox:
    """Return what opens this database's secrets.

    Raises:
        StartupError: There is no secret key, and it cannot be made.
    """
    return SecretBox(await _secret_key(database, config, is_to_change=is_to_change))


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
        async with database.connection() as connection:
            is_newest = not await is_ahead(connection)  # another may need rights that this program does not know
        await roles.give(database, None, is_to_take=is_newest)
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


def make_worker(services: Services, telemetry: Telemetry | None = None) -> Worker:
    """Return a worker made of these parts. It closes `telemetry` when it stops."""
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
        log_attempts=config.log_attempts,
        metrics_webhooks=config.metrics_webhooks,
        telemetry=telemetry,
    )
