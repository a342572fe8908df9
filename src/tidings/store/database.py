"""The connection to PostgreSQL, and what is asked of it before anything else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tidings.core.errors import BusyError, StartupError
from tidings.store.instants import read_any_time

MIN_SERVER_VERSION = 14  # CREATE OR REPLACE TRIGGER

SHARE_PATIENCE = 10.0  # seconds that a request waits for a connection

Connection = Any  # asyncpg has no types of its own; this name says what is meant

# The connection is gone, or PostgreSQL is going down or out of room: nothing was wrong with what was asked.
UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.CannotConnectNowError,
)

# Two transactions were in each other's way: the same again can succeed at once.
COLLISIONS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)

# What is in some row does not allow what was to be done with it. Nothing is wrong with us or with PostgreSQL.
ROW_FAULTS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

# A text with U+0000, which no column and no parameter can hold.
UNSTORABLE = asyncpg.CharacterNotInRepertoireError

# A number beyond a column's or a parameter's type; its message tells it from other values that do not fit.
UNSTORABLE_NUMBER = asyncpg.DataError

# jit: compiling costs more than any of our queries. Sequential and bitmap scans: our tables turn over faster than their
# statistics, and these scans read the rows of the last minute's deliveries again each time; a plain index scan marks them.
# A process that freezes, or whose host is gone, must not keep its turn of the outbox, nor its locks on lanes.
_SETTINGS = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "application_name": "tidings",
    "timezone": "UTC",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}


class Database:
    """A pool of connections to one PostgreSQL, or a share of one."""

    def __init__(self, url: str, pool: Any, *, places: asyncio.Semaphore | None = None, hops: int = 0) -> None:
        self.url = url
        self._pool = pool
        self._places = places
        self._hops = hops

    def share(self, connections: int) -> "Database":
        """Return the same pool for somebody who may use so many of its connections at once, and waits for them for a while."""
        return Database(self.url, self._pool, places=asyncio.Semaphore(connections), hops=self._hops)

    def after(self, hops: int) -> "Database":
        """Return the same, for what so many deliveries led to: events that its transactions write say so (`core.hops`)."""
        return Database(self.url, self._pool, places=self._places, hops=hops)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection from the pool.

        Raises:
            BusyError: All of this share are in use, and none came free in time.
        """
        if self._places is None:
            async with self._pool.acquire() as connection:
                yield connection
            return
        try:
            if self._places.locked():
                await asyncio.wait_for(self._places.acquire(), SHARE_PATIENCE)
            else:  # without the task that waiting for a time costs
                await self._places.acquire()
        except TimeoutError:
            raise BusyError("All connections to the database are in use; nothing was done. Try again.") from None
        try:
            async with self._pool.acquire() as connection:
                yield connection
        finally:
            self._places.release()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction."""
        async with self.connection() as connection, connection.transaction():
            if self._hops:
                await connection.execute("select set_config('tidings.hops', $1, true)", str(self._hops))
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection that sees one moment of the database and writes nothing.

        Its plans are made once, whatever is asked: planning for each question over every day's partition takes longer than the
        answer, and the statements that are for this leave the planner no choice.
        """
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("set local plan_cache_mode = force_generic_plan")
            yield connection

    async def dedicated(self, *, command_timeout: float | None = None, **settings: str) -> Connection:
        """Open a connection outside the pool. The caller closes it.

        Args:
            command_timeout: Seconds that a statement may take; None: any.
            settings: Of PostgreSQL, for this connection.
        """
        connection = await asyncpg.connect(
            self.url, server_settings=_SETTINGS | settings, timeout=10, command_timeout=command_timeout
        )
        await read_any_time(connection)
        return connection

    async def close(self) -> None:
        """Close the pool; at most five seconds are given to connections that are busy."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except (TimeoutError, *UNAVAILABLE):
            self._pool.terminate()


async def open_database(url: str, *, max_connections: int = 10) -> Database:
    """Connect, and make sure that this PostgreSQL can be worked with.

    Raises:
        StartupError: Unreachable, refused, too old, or read-only; one sentence with the remedy.
    """
    try:
        connection = await asyncpg.connect(url, server_settings=_SETTINGS, timeout=10)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise StartupError(f"PostgreSQL at {where(url)} refused the connection: {error}.") from error
    except (*UNAVAILABLE, TimeoutError, asyncpg.PostgresError) as error:
        raise StartupError(
            f"PostgreSQL at {where(url)} cannot be reached ({error or type(error).__name__}). "
            "Start it, or correct TIDINGS_DATABASE_URL."
        ) from error
    except ValueError as error:
        raise StartupError(f"TIDINGS_DATABASE_URL is not a connection URL: {error}.") from error
    try:
        await _check(connection, url)
    finally:
        await connection.close()
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_connections,
        init=read_any_time,
        server_settings=_SETTINGS,
        max_inactive_connection_lifetime=300,
        command_timeout=60,
    )
    return Database(url, pool)


async def _check(connection: Connection, url: str) -> None:
    version = connection.get_server_version()
    if version.major < MIN_SERVER_VERSION:
        raise StartupError(
            f"PostgreSQL at {where(url)} is version {version.major}; Tidings needs {MIN_SERVER_VERSION} or newer."
        )
    if await connection.fetchval("select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean"):
        raise StartupError(
            f"PostgreSQL at {where(url)} is read-only (a replica, or default_transaction_read_only is on). "
            "Tidings needs the primary."
        )


def where(url: str) -> str:
    """Return a connection URL without user and password, for messages."""
    tail = url.rsplit("@", 1)[-1]
    return tail.split("://", 1)[-1].split("?", 1)[0] if "host=" not in tail else tail.split("host=", 1)[1]
