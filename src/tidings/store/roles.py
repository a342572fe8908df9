"""Roles of PostgreSQL: who we are, what that role lacks, and giving a role that owns nothing what it needs."""

import asyncio
import logging
from collections.abc import Collection

import msgspec

from tidings.core.errors import StartupError
from tidings.core.grants import migration_for, quoted
from tidings.core.pauses import Pauses
from tidings.store.database import COLLISIONS, Connection, Database, said
from tidings.store.running_rights import FUNCTIONS, RIGHTS
from tidings.store.statements import load

logger = logging.getLogger("tidings.database")

MOST_NAMED = 8  # statements in one sentence
MAX_TRIES = 12  # each waits 2 s for a lock, and there are up to 5 s between them: about a minute

_SQL = load("roles")
_LOCKS = load("request_role")  # as for migrations and the role of requests


class Situation(msgspec.Struct, frozen=True):
    """Who we are in a database, and whose it is.

    Attributes:
        owner: Of the schema `tidings`; None: there is no such schema.
        is_own: That is us, or somebody whose rights we have.
        may_use: Whether we may look into it.
        may_create: Whether our role may make schemas.
        version: PostgreSQL's.
        is_managed: It has a role that providers give instead of a superuser.
    """

    role: str
    database: str
    database_owner: str
    owner: str | None
    is_own: bool | None
    may_use: bool
    may_make_roles: bool
    is_superuser: bool
    may_create: bool
    version: int
    is_managed: bool

    @property
    def is_running_role(self) -> bool:
        """Whether the schema is there and somebody else's."""
        return self.owner is not None and not self.is_own


class Lacking(msgspec.Struct, frozen=True):
    """A right that is missing. `owner`: who may give it."""

    owner: str
    statement: str


async def look(connection: Connection) -> Situation:
    """Return who we are, and whose the schema is."""
    return Situation(**dict(await connection.fetchrow(_SQL["look"])))


async def missing(connection: Connection, role: str) -> list[str]:
    """Return what a role lacks to run Tidings in a schema that is there and somebody else's, as the statements that give it."""
    told = [row["statement"] for row in await connection.fetch(_SQL["missing_schema"], role)]
    if not (await look(connection)).may_use:
        return told
    rows = await connection.fetch(_SQL["missing"], role, *_wanted(), list(FUNCTIONS))
    return told + [row["statement"] for row in rows]


async def missing_on(
    connection: Connection, tables: Collection[tuple[str, str]], verbs: Collection[str], role: str | None = None
) -> list[Lacking]:
    """Return what a role lacks on tables, and on their partitions.

    Args:
        role: None: ours.
    """
    schemas, names = [schema for schema, _ in tables], [name for _, name in tables]
    if role is None:
        role = await connection.fetchval(_SQL["our_role"])
    rows = await connection.fetch(_SQL["missing_on"], schemas, names, list(verbs), role)
    return [Lacking(row["owner"], row["statement"]) for row in rows]


async def missing_to_lock(connection: Connection, tables: Collection[tuple[str, str]], role: str) -> list[Lacking]:
    """Return what a role lacks to lock rows of tables against changes, of those that backfills are possible of."""
    rows = await connection.fetch(_SQL["missing_to_lock"], [schema for schema, _ in tables], [name for _, name in tables], role)
    return [Lacking(row["owner"], row["statement"]) for row in rows]


async def named_tables(connection: Connection) -> list[tuple[str, str]]:
    """Return the tables that webhooks name."""
    return [(row["table_schema"], row["table_name"]) for row in await connection.fetch(_SQL["named_tables"])]


async def exists(connection: Connection, role: str) -> bool:
    """Whether there is such a role."""
    found: bool = await connection.fetchval(_SQL["exists"], role)
    return found


async def may_take(connection: Connection, who: str, role: str) -> bool:
    """Whether one role may take another (`set role`)."""
    found: bool = await connection.fetchval(_SQL["may_take"], who, role)
    return found


async def may_create(connection: Connection, role: str) -> bool:
    """Whether a role may make schemas in this database."""
    found: bool = await connection.fetchval(_SQL["may_create"], role)
    return found


async def running_roles(connection: Connection) -> list[str]:
    """Return the roles that were given what running takes."""
    return [row["role"] for row in await connection.fetch(_SQL["running_roles"])]


async def give(database: Database, role: str | None, *, tries: int = MAX_TRIES, is_to_take: bool = True) -> list[str]:
    """Give roles that own nothing what running takes, as the owner of the schema; return the statements that were run.

    A policy takes its table for itself for a moment. As with migrations, nobody is to wait behind us for longer.

    Args:
        role: One that is to run Tidings from now on; None: only those that were told before.
        tries: How often to begin, while others hold the tables.
        is_to_take: Take back what is too much.

    Raises:
        StartupError: There is no such role, or somebody holds the tables.
    """
    pauses = Pauses()
    for left in reversed(range(tries)):
        try:
            return await _give_once(database, role, is_to_take=is_to_take)
        except COLLISIONS as error:
            if not left:
                raise StartupError(
                    "Roles were not given their rights: transactions that are open for long use tables of Tidings. Let them "
                    "end (pg_stat_activity names them), and run this again. Nothing was changed."
                ) from error
            logger.info("roles are given their rights in a moment: %s", said(error))
        await asyncio.sleep(pauses.next())
    return []


async def _give_once(database: Database, role: str | None, *, is_to_take: bool) -> list[str]:
    async with database.transaction() as connection:
        await connection.execute(_LOCKS["lock"])
        await connection.execute(_LOCKS["set_lock_timeout"])
        situation = await look(connection)
        roles = await running_roles(connection)
        if role is not None and role not in roles and role != situation.role:
            if not await exists(connection, role):
                raise StartupError(
                    f"There is no role {role}, which TIDINGS_RUNNING_ROLE names. Run, where roles may be made: CREATE ROLE "
                    f"{quoted(role)} LOGIN;"
                )
            roles.append(role)
        statements = []
        for one in roles:
            rows = await connection.fetch(_SQL["too_much"], one, *_wanted()) if is_to_take else []
            told = [*(await missing(connection, one)), *(row["statement"] for row in rows)]
            for statement in told:
                await connection.execute(statement)
            if told:
                logger.info("role %s: %d rights were put right", one, len(told))
            statements += told
    return statements


async def expect_rights(database: Database, *, owner: str) -> None:
    """Return when our role, which does not own the schema, may do all that running takes.

    Raises:
        StartupError: It may not; with the statements.
    """
    async with database.connection() as connection:
        role = await connection.fetchval(_SQL["our_role"])
        told = await missing(connection, role)
    if told:
        raise StartupError(
            f"The database role {role} lacks {len(told)} right(s) on schema tidings, which {owner} owns. As {owner} run: "
            f"{migration_for(role)}. Or run these statements: {sentence_of(told)}"
        )


def sentence_of(statements: Collection[str]) -> str:
    """Return statements in one line, so many as one can read."""
    named = list(statements)[:MOST_NAMED]
    more = len(statements) - len(named)
    return " ".join(named) + (f" … and {more} more, which `tidings grants --check` prints." if more else "")


def _wanted() -> tuple[list[str], list[str]]:
    pairs = sorted((name, verb) for name, verbs in RIGHTS.items() for verb in verbs)
    return [name for name, _ in pairs], [verb for _, verb in pairs]
