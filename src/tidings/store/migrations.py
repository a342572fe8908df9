"""Numbered migrations, applied at start. Several processes may start at once.

What alters a table waits for every transaction that has used it, and all who come to use it wait behind that: one that is
open and idle would hold up each write of a captured table, as the trigger reads tables of ours. So no lock is waited for longer
than 2 s; then everything is taken back, which lets the others through, and tried again a little later.
"""

import asyncio
import logging
import re
from importlib.resources import files

import asyncpg

from tidings.core.diagnosis import unready
from tidings.core.errors import StartupError
from tidings.core.grants import migration_for, quoted
from tidings.core.near import did_you_mean
from tidings.core.pauses import Pauses
from tidings.store import roles, vitals
from tidings.store.database import UNAVAILABLE, Connection, Database
from tidings.store.statements import load

logger = logging.getLogger("tidings.migrations")

MAX_SECONDS = 3600  # for one migration; some copy every row of a table
MAX_TRIES = 12  # each waits 2 s for a lock, and there are up to 5 s between them: about a minute

_SQL = load("migrations")
_COUNT = re.compile(r"[0-9]{1,9}")
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


def available() -> list[tuple[int, str, str]]:
    """Return every migration of this version as (number, name, SQL), in order."""
    return sorted(
        (int(match[1]), match[2], path.read_text())
        for path in (files("tidings.store") / "migrations").iterdir()
        if (match := _FILE_NAME.fullmatch(path.name))
    )


LAST = max(number for number, _, _ in available())  # that this program knows
# The last migration of the oldest program that can run on the schema of this one. What came after it only adds, and a test
# reads it; a migration that does more raises this number to its own, and then every process stops for the upgrade.
OLDEST = 49


async def migrate(database: Database, *, tries: int = MAX_TRIES, to: str | None = None) -> list[str]:
    """Bring schema `tidings` up to date, all or nothing, and return the names of what was applied.

    Args:
        tries: How often to begin, while open transactions hold what is to be changed.
        to: The last that is to be applied, by name or number; None: all.

    Raises:
        StartupError: The role may not create the schema, the schema is newer than this program, or somebody holds its tables.
    """
    pauses, last = Pauses(), _number(to)
    for left in reversed(range(tries)):
        try:
            return await _migrate_once(database, last)
        except asyncpg.LockNotAvailableError as error:
            blocker = await _who_blocks(database)
            if not left:
                raise StartupError(f"Schema tidings cannot be migrated, and is as it was: {blocker}") from error
            logger.warning("migrations were taken back and begin again, so that nobody waits behind them: %s", blocker)
        await asyncio.sleep(pauses.next())
    return []


async def has_schema(database: Database) -> bool:
    """Tell whether schema `tidings` is there; where nobody can say, it is taken to be."""
    try:
        async with database.connection() as connection:
            return bool(await connection.fetchval(_SQL["is_there"]))
    except (*UNAVAILABLE, TimeoutError):
        return True


async def pending(database: Database, *, to: str | None = None) -> list[str]:
    """Return the names of what `migrate` would apply, and change nothing.

    Raises:
        StartupError: The schema is newer than this program can work with, or there is no migration of that name.
    """
    last = _number(to)
    async with database.connection() as connection:
        is_there: bool = await connection.fetchval(_SQL["is_there"])
        done = {row["number"] for row in await connection.fetch(_SQL["applied"])} if is_there else set()
        steps = await _ahead(connection, done, last)
    return [f"{number:04d}_{name}" for number, name, _ in steps]


def _number(to: str | None) -> int:
    """Return the number of the migration that is meant.

    Raises:
        StartupError: There is none.
    """
    if to is None:
        return LAST
    for number, name, _ in available():
        if to in {f"{number:04d}_{name}", name} or (to.isdecimal() and to.isascii() and len(to) < 10 and int(to) == number):
            return number
    names = [f"{number:04d}_{name}" for number, name, _ in available()]
    raise StartupError(f"There is no migration {to!r}; the last is {names[-1]}.{did_you_mean(to, names)}")


async def _migrate_once(database: Database, last: int) -> list[str]:
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock"])  # the others wait here, then find nothing to do
        await connection.execute(_SQL["set_lock_timeout"])
        _refuse_strangers(await roles.look(connection))
        if (stranger := await connection.fetchval(_SQL["stranger"])) is not None:
            raise StartupError(
                f"There is a schema tidings already, which belongs to {stranger} and is not Tidings'. Whoever owns a schema, "
                f"or put something into it, could have things done with the rights of those who use it. Look what it is, and "
                f"drop or rename it; or migrate as {stranger}, if it is empty and meant for this."
            )
        try:
            await connection.execute(_SQL["prepare"])
            return await _apply(connection, last)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartupError(
                f"The migration was taken back, since the database role lacks a right ({error}). `tidings grants` prints "
                f"what it needs."
            ) from error


def _refuse_strangers(here: roles.Situation) -> None:
    """Refuse to migrate what our role does not own, or may not make."""
    if here.is_running_role:
        raise StartupError(
            f"Schema tidings belongs to {here.owner}, and {here.role} may not migrate it. Run `tidings migrate` as "
            f"{here.owner}; where "
            f"{here.role} is to run Tidings without owning it: {migration_for(here.role)}. To have {here.role} own it instead, "
            f"as an administrator run: REASSIGN OWNED BY {quoted(here.owner or '')} TO {quoted(here.role)}; which gives it all "
            f"that {here.owner} owns in this database."
        )
    if here.owner is None and not here.may_create:
        raise StartupError(
            f"There is no schema tidings yet, and {here.role} may not create it. As {here.database_owner}, who owns the "
            f"database, run: "
            f"GRANT CREATE ON DATABASE {quoted(here.database)} TO {quoted(here.role)}; and start again. `tidings grants` "
            f"prints all that it needs. Where another role is to own the schema, run `tidings migrate` as that one, with "
            f"TIDINGS_RUNNING_ROLE={here.role}."
        )


async def _who_blocks(database: Database) -> str:
    """Return in a sentence whose transaction holds our tables for longest."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_SQL["blocker"])
    if row is None:
        return "other transactions use its tables all the time. Try again when less is going on."
    return (
        f"process {row['pid']} of role {row['role']} ({row['application'] or 'without a name'}, {row['state']}) has used its "
        f"tables in a transaction that is open for {row['seconds']:.0f} s. Let it end, or run "
        f"select pg_terminate_backend({row['pid']}), and start again."
    )


async def is_ahead(connection: Connection) -> bool:
    """Whether the schema was made by a newer program, which lets this one run on it."""
    return bool(await connection.fetchval(_SQL["is_ahead"], LAST))


async def expect_schema(database: Database) -> None:
    """Return when schema `tidings` is the one of this program.

    Raises:
        StartupError: It is missing, older or newer.
    """
    async with database.connection() as connection:
        found = await vitals.read(connection, LAST, is_all=False)
    for problem in unready(found, LAST):
        if problem.name in {"schema", "read_only"}:
            raise StartupError(problem.sentence)


async def _apply(connection: Connection, last: int) -> list[str]:
    done = {row["number"] for row in await connection.fetch(_SQL["applied"])}
    applied = []
    for number, name, sql in await _ahead(connection, done, last):
        await connection.execute(sql, timeout=MAX_SECONDS)
        await connection.execute(_SQL["record"], number, name)
        applied.append(f"{number:04d}_{name}")
    if applied:  # of a schema on the way to a later one nobody says what of it a program before it can bear
        await connection.execute(_SQL["put_oldest"], str(min(OLDEST, last)))
    return applied


async def _ahead(connection: Connection, done: set[int], last: int) -> list[tuple[int, str, str]]:
    """Return what is to be applied. On the schema of a newer program that says that this one can run there: nothing.

    Raises:
        StartupError: The schema is newer than this program can work with.
    """
    newer = sorted(done - {number for number, _, _ in available()})
    if not newer:
        return [one for one in available() if one[0] not in done and one[0] <= last]
    found = await connection.fetchval(_SQL["oldest"])
    if found is None or not _COUNT.fullmatch(found) or int(found) > LAST or {number for number, _, _ in available()} - done:
        raise StartupError(
            f"Schema tidings was made by a newer Tidings (it has migration {newer[-1]}). Run that version, or a later one."
        )
    logger.info("the schema is of a newer Tidings (migration %d), which lets this one run on it", newer[-1])
    return []
