"""The database as everybody has it: connections that are lent, transactions, and what these may meet.

How a connection is made is in `reaching`, what an outage is in `outages`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from tidings.store.instants import read_any_time
from tidings.store.leading import Leading
from tidings.store.outages import UNAVAILABLE, NotificationsFullError, Outages, said
from tidings.store.reaching import SETTINGS, Connection, expect_reachable, reconnect
from tidings.store.statements import load
from tidings.store.turns import MAX_WAITING, Places

__all__ = [
    "COLLISIONS", "ROW_FAULTS", "UNAVAILABLE", "UNSTORABLE", "UNSTORABLE_NUMBER", "Connection", "Database", "Own", "Server",
    "add_rows", "open_database", "open_pool", "said",
]  # fmt: skip

_SQL = load("database")

# Two transactions were in each other's way: the same again can succeed at once.
COLLISIONS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)

# What is in some row does not allow what was to be done with it. Nothing is wrong with us or with PostgreSQL.
ROW_FAULTS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

# A text with U+0000, which no column and no parameter can hold.
UNSTORABLE = asyncpg.CharacterNotInRepertoireError

# A number beyond a column's or a parameter's type; its message tells it from other values that do not fit.
UNSTORABLE_NUMBER = asyncpg.DataError

LEND_SECONDS = 30.0  # until a connection of the pool is free, and then until it is clean again
# What led to a transaction; columns of the outbox read it (`core.hops`, `core.trace`).
_CAUSE = "select set_config('tidings.hops', $1, true), set_config('tidings.traceparent', $2, true)"


class Own(asyncpg.Connection):  # type: ignore[misc]
    """A connection, and what is known of the role that it was opened by.

    Attributes:
        may_copy: Whether rows can be copied into our tables: not where the role does not own them, as policies bind it then.
    """

    may_copy = True
    _is_left_as_found = False

    def leave_as_found(self, *, is_so: bool) -> None:
        """Take note whether whoever has it now leaves nothing behind in the session."""
        self._is_left_as_found = is_so

    def get_reset_query(self) -> str:
        """Return what is sent when the connection is given back, which tidies its session; nothing where nothing is left there.

        An open transaction is rolled back all the same.
        """
        return "" if self._is_left_as_found else str(super().get_reset_query())

    async def look_at_role(self) -> None:
        """Find out what the role may do."""
        self.may_copy = await self.fetchval(_SQL["may_copy"])


async def add_rows(connection: Connection, table: str, columns: Sequence[str], records: Sequence[tuple[Any, ...]]) -> None:
    """Write many rows into a table of ours: by COPY, or one by one in a journey where that cannot be."""
    if getattr(connection, "may_copy", True):  # one that somebody else opened is the owner's
        await connection.copy_records_to_table(table, schema_name="tidings", columns=columns, records=records)
        return
    statement = _inserts.get((table, *columns))
    if statement is None:
        statement = _inserts[table, *columns] = await connection.fetchval(_SQL["insert_rows"], table, columns)
    await connection.executemany(statement, records)


_inserts: dict[tuple[str, ...], str] = {}  # of each table that rows are added to


class Server:
    """A pool of connections to one PostgreSQL, and what is known of it.

    Attributes:
        outages: What is known of its health, by all who ask it anything.
        is_of_groups: Its connections see the rows of one group at a time (`store.request_role`).
        leading: Which database its connections lead to.
        failovers: How often another server was found to have taken over: what was committed a moment before may be gone.
    """

    def __init__(self, outages: Outages | None = None, *, is_of_groups: bool = False) -> None:
        self.outages = outages or Outages()
        self.is_of_groups = is_of_groups
        self.leading = Leading()
        self.failovers = 0
        self.pool: Any = None
        self._history: tuple[int, str] | None = None
        self._expiring: asyncio.Future[None] | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take note of outages that what is done here meets.

        Raises:
            NotificationsFullError: The queue of notifications is full; nothing was committed. PostgreSQL calls that a limit of
                the program's, as it does with what no repetition can help.
        """
        try:
            yield
        except asyncpg.ProgramLimitExceededError as error:
            if "NOTIFY" not in str(error):  # in any language
                raise
            full = NotificationsFullError(str(error))
            self.outages.failed(full)
            raise full from error
        except UNAVAILABLE as error:
            self.outages.failed(error)
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                # Open new connections from now on: another server may be the primary. (Tasks that nobody refers to can vanish.)
                self._expiring = asyncio.ensure_future(self.pool.expire_connections())
            raise

    @asynccontextmanager
    async def lend(self, group_id: str | None = None, *, is_left_as_found: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection of the pool.

        Args:
            group_id: The group that it acts for; None: none, whose rows are none, where connections see one group's.
            is_left_as_found: As of `Database.for_own_statements`.
        """
        with self.noting():
            async with self.pool.acquire(timeout=LEND_SECONDS) as connection:
                connection.leave_as_found(is_so=is_left_as_found)
                if self.is_of_groups:
                    await connection.act_for(group_id or "")
                yield connection

    async def greet(self, connection: Connection) -> None:
        """Prepare a new connection, and take note which server it leads to."""
        await self.leading.expect(connection)
        await read_any_time(connection)
        await connection.look_at_role()
        timeline = await connection.fetchval(_SQL["timeline"])
        if timeline is not None:
            history = (self.leading.moves, timeline)
            self.failovers += self._history not in {None, history}
            self._history = history


class Database:
    """A PostgreSQL, or a share of its connections."""

    def __init__(
        self,
        url: str,
        server: Server,
        *,
        places: Places | None = None,
        hops: int = 0,
        traceparent: str | None = None,
        group_id: str | None = None,
        turn_of: str = "",
        is_left_as_found: bool = False,
    ) -> None:
        self.url = url
        self.server = server
        self._places = places
        self._hops = hops
        self._traceparent = traceparent
        self._group_id = group_id
        self._turn_of = turn_of
        self._is_left_as_found = is_left_as_found

    @property
    def outages(self) -> Outages:
        """What is known of its health."""
        return self.server.outages

    def share(self, connections: int, *, most_waiting: int = MAX_WAITING) -> "Database":
        """Return the same pool for somebody who may use so many of its connections at once.

        Whoever finds none free waits for a while, in turns of the groups (`store.turns`).

        Args:
            connections: How many.
            most_waiting: How many calls of one group may wait.
        """
        return self._but(places=Places(connections, most_waiting=most_waiting))

    def after(self, hops: int, traceparent: str | None) -> "Database":
        """Return the same, for what so many deliveries led to, in a trace: events that its transactions write say so.

        Args:
            hops: See `core.hops`.
            traceparent: See `core.trace`; None: of no trace.
        """
        return self._but(hops=hops, traceparent=traceparent)

    def acting_for(self, group_id: str) -> "Database":
        """Return the same for one group: over connections that see one group's rows, those are its."""
        return self._but(group_id=group_id, turn_of=group_id)

    def in_turn_of(self, group_id: str) -> "Database":
        """Return the same for calls of one group, whatever they may see: they wait in its turns."""
        return self._but(turn_of=group_id)

    def for_own_statements(self) -> "Database":
        """Return the same for what is done thousands of times: statements of ours alone, about tables of ours alone.

        They leave nothing behind in a session, so that nothing is tidied up after them, which is more work than
        many of them are. A trigger or a function of somebody else's may leave something: what can run one has the other kind.
        """
        return self._but(is_left_as_found=True)

    def _but(
        self,
        *,
        places: Places | None = None,
        hops: int | None = None,
        traceparent: str | None = None,
        group_id: str | None = None,
        turn_of: str | None = None,
        is_left_as_found: bool | None = None,
    ) -> "Database":
        return Database(
            self.url,
            self.server,
            places=places or self._places,
            hops=self._hops if hops is None else hops,
            traceparent=traceparent or self._traceparent,
            group_id=self._group_id if group_id is None else group_id,
            turn_of=self._turn_of if turn_of is None else turn_of,
            is_left_as_found=self._is_left_as_found if is_left_as_found is None else is_left_as_found,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection from the pool.

        Raises:
            BusyError: All of this share are in use, and none came free in time, or too many of the group wait.
        """
        if self._places is None:
            async with self.server.lend(self._group_id, is_left_as_found=self._is_left_as_found) as connection:
                yield connection
            return
        await self._places.take(self._turn_of)
        try:
            async with self.server.lend(self._group_id, is_left_as_found=self._is_left_as_found) as connection:
                yield connection
        finally:
            self._places.give()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction."""
        with self.server.noting():  # a commit that fails too
            async with self.connection() as connection, connection.transaction():
                if self._hops or self._traceparent is not None:
                    await connection.execute(_CAUSE, str(self._hops or ""), self._traceparent or "")
                yield connection
        self.outages.worked()

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
        with self.server.noting():
            connection = await reconnect(
                self.url, server_settings=SETTINGS | settings, command_timeout=command_timeout, connection_class=Own
            )
            try:
                await self.server.leading.expect(connection)
                await read_any_time(connection)
                await connection.look_at_role()
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def close(self) -> None:
        """Close the pool; at most five seconds are given to connections that are busy."""
        try:
            await asyncio.wait_for(self.server.pool.close(), 5)
        except (TimeoutError, *UNAVAILABLE):
            self.server.pool.terminate()


async def open_database(url: str, *, max_connections: int = 10) -> Database:
    """Connect, and make sure that this PostgreSQL can be worked with.

    Raises:
        StartupError: Unreachable, refused, too old, or read-only; one sentence with the remedy.
    """
    await expect_reachable(url)
    return Database(url, await open_pool(url, Server(), max_connections=max_connections))


async def open_pool(
    url: str,
    server: Server,
    *,
    max_connections: int,
    connection_class: type[Own] = Own,
    prepare_connection: Callable[[Connection], Awaitable[None]] | None = None,
) -> Server:
    """Give a server its pool, which opens connections as they are needed, and return it.

    Args:
        connection_class: What connections are.
        prepare_connection: What is done with each before it is lent; None: it is greeted.
    """
    server.pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_connections,
        server_settings=SETTINGS,
        max_inactive_connection_lifetime=300,
        command_timeout=60,
        connect=reconnect,
        init=prepare_connection or server.greet,
        connection_class=connection_class,
    )
    return server
