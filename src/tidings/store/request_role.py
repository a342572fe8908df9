"""The role that queries of requests run under, and the connections that have it.

The problem: one forgotten `where group_id = $1` shows a tenant what is another's. Our own role owns the tables, so PostgreSQL
keeps nothing from it.

So requests have a pool of their own. Its connections take another role as they are opened, one that owns nothing, may do with
each table what requests do and no more (`store.request_rights`), and sees the rows of one group alone: the one that the session
says (`tidings.group`), which row-level security compares. A connection keeps its group until it is lent for another, so most
requests ask nothing more than they did; and it is never lent for one group while its session may say another.

Left out: whoever can make us run SQL of their own can also write `set tidings.group`. This is against our mistakes, not
against that.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from tidings.core.errors import StartupError
from tidings.core.grants import quoted
from tidings.core.pauses import Pauses
from tidings.store import roles
from tidings.store.database import COLLISIONS, Connection, Database, Own, Server, open_pool, said
from tidings.store.migrations import is_ahead
from tidings.store.request_rights import RIGHTS
from tidings.store.statements import load

logger = logging.getLogger("tidings.database")

NONE = "none"  # in place of a role's name: requests run under our own
MAX_TRIES = 12  # each waits 2 s for a lock, and there are up to 5 s between them: about a minute

_SQL = load("request_role")


class OfOneGroup(Own):
    """A connection that sees the rows of one group."""

    _acts_for: str | None = None  # what the session says for certain; None: not known

    async def act_for(self, group_id: str) -> None:
        """See the rows of this group from now on. Outside any transaction, so that none can take it back."""
        if self._acts_for == group_id:
            return
        self._acts_for = None  # whatever becomes of the statement, also when nobody waits for it any more
        await self.execute(_SQL["act_for"], group_id)
        self._acts_for = group_id

    def get_reset_query(self) -> str:
        """Return what is sent when the connection is given back: nothing, so that it keeps its group.

        An open transaction is rolled back all the same, and what a request sets ends with its transaction.
        """
        return ""


@asynccontextmanager
async def as_owner(connection: Connection) -> AsyncIterator[None]:
    """Do with our own rights what asks for them: what is of all groups, or the user's own tables. Keep it short.

    It is done in the transaction that is open, or in one of its own. Over a connection that has these rights nothing changes.
    """
    if not connection.is_in_transaction():
        async with connection.transaction(), as_owner(connection):
            yield
        return
    was = await connection.fetchval(_SQL["raise"])
    try:
        yield
    except BaseException:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError):  # a failed transaction ends this by itself
            await connection.execute(_SQL["lower"], was)
        raise
    await connection.execute(_SQL["lower"], was)


async def open_for_requests(database: Database, role: str, *, max_connections: int) -> Database:
    """Return the same PostgreSQL over connections that have the role. Whoever uses it says for which group (`acting_for`).

    Args:
        role: `NONE`: over those of the database, with its rights.
    """
    if role == NONE:
        return database
    server = Server(database.outages, is_of_groups=True)

    async def take_role(connection: Connection) -> None:
        await server.greet(connection)
        await connection.execute(_SQL["take"], role)  # not at its beginning: poolers between us ignore what is said there

    await open_pool(
        database.url, server, max_connections=max_connections, connection_class=OfOneGroup, prepare_connection=take_role
    )
    return Database(database.url, server)


async def prepare(
    database: Database, role: str, *, is_to_change: bool = True, tries: int = MAX_TRIES, takers: Sequence[str] = ()
) -> None:
    """Make the role where it is not there, and give it what requests need and nothing else.

    Args:
        is_to_change: False: only see whether it can be used.
        tries: How often to begin, while others change the role (roles are the whole server's) or hold tables of collections.
        takers: Roles that are to run Tidings, if ours is not: they must be able to take it.

    Raises:
        StartupError: It cannot be used; with the statements that change that.
    """
    if role == NONE:
        logger.warning("requests run with all rights of the database's role: nothing but our own SQL keeps groups apart")
        return
    pauses = Pauses()
    for left in reversed(range(tries)):
        if await _is_prepared(database, role, takers, is_to_change=is_to_change):
            return
        if left:
            await asyncio.sleep(pauses.next())
    raise StartupError(
        f"The role {role} was not given its rights: other processes change it, or transactions that are open for long use "
        "tables of collections. Let them end, and start again."
    )


async def _is_prepared(database: Database, role: str, takers: Sequence[str], *, is_to_change: bool) -> bool:
    """Prepare it, unless another process is just doing the same for another database, or holds what is to be changed."""
    owner = ""
    try:
        async with database.transaction() as connection:
            owner = await connection.fetchval(_SQL["owner"])
            await _prepare(connection, role, takers or [owner], is_to_change=is_to_change)
    except asyncpg.InsufficientPrivilegeError as error:
        raise _unusable(role, takers or [owner], said(error)) from error
    except (*COLLISIONS, asyncpg.InternalServerError, asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError) as error:
        logger.info(
            "role %s is prepared again in a moment: %s", role, said(error)
        )  # "tuple concurrently updated", and its like
        return False
    return True


async def _prepare(connection: Connection, role: str, takers: Sequence[str], *, is_to_change: bool) -> None:
    await connection.execute(_SQL["lock"])
    await connection.execute(_SQL["set_lock_timeout"])
    found = await connection.fetchrow(_SQL["find"], role)
    if found is None and is_to_change:
        await connection.execute(await connection.fetchval(_SQL["create"], role))
        logger.info("role %s made: queries of requests run under it", role)
        found = await connection.fetchrow(_SQL["find"], role)
    if found is None:
        raise asyncpg.InsufficientPrivilegeError(f"there is no role {role}")
    if found["is_strong"]:
        raise StartupError(
            f"The role {role} is a superuser, has BYPASSRLS, or has the rights of whoever owns our tables: row-level security "
            "keeps nothing from it. Set TIDINGS_REQUEST_ROLE to another."
        )
    for taker in takers:
        if not await roles.may_take(connection, taker, role):
            if not is_to_change:
                raise asyncpg.InsufficientPrivilegeError(f"{taker} may not act as {role}")
            await connection.execute(await connection.fetchval(_SQL["join"], role, taker))
    if is_to_change:
        await _grant(connection, role)


async def differences(connection: Connection, role: str, *, is_to_take: bool = True) -> list[str]:
    """Return what makes the rights of the role those that requests need, as statements.

    Args:
        is_to_take: Also what takes back rights that are too many.
    """
    wanted = sorted((name, verb, column) for name, rights in RIGHTS.items() for verb, column in rights)
    names, verbs, columns = (list(part) for part in zip(*wanted, strict=True))
    return [row["statement"] for row in await connection.fetch(_SQL["differences"], role, names, verbs, columns, is_to_take)]


async def _grant(connection: Connection, role: str) -> None:
    """Grant what is missing, and take back what is too much: unless the schema is a newer program's, which may need it."""
    for statement in await differences(connection, role, is_to_take=not await is_ahead(connection)):
        await connection.execute(statement)
    await connection.execute(_SQL["open_collections"], role)


def _unusable(role: str, takers: Sequence[str], reason: str) -> StartupError:
    given = " ".join(f"grant {quoted(role)} to {quoted(taker)};" for taker in takers)
    return StartupError(
        f"Queries of requests cannot run under a role of their own: {reason}. As a superuser, or a role that may create roles, "
        f"run: create role {quoted(role)} nologin; {given} and start again. TIDINGS_REQUEST_ROLE names another "
        f"role; {NONE} instead of a name has them run with all rights of {takers[0]}, which keeps nothing apart."
    )
