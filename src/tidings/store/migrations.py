"""Numbered migrations, applied at start. Several processes may start at once."""

import re
from importlib.resources import files

import asyncpg

from tidings.core.diagnosis import unready
from tidings.core.errors import StartupError
from tidings.store import vitals
from tidings.store.database import Connection, Database
from tidings.store.statements import load

MAX_SECONDS = 3600  # for one migration; some copy every row of a table

_SQL = load("migrations")
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


def available() -> list[tuple[int, str, str]]:
    """Return every migration of this version as (number, name, SQL), in order."""
    return sorted(
        (int(match[1]), match[2], path.read_text())
        for path in (files("tidings.store") / "migrations").iterdir()
        if (match := _FILE_NAME.fullmatch(path.name))
    )


LAST = max(number for number, _, _ in available())  # that this program knows


async def migrate(database: Database) -> list[str]:
    """Bring schema `tidings` up to date, all or nothing, and return the names of what was applied.

    Raises:
        StartupError: The role may not create the schema, or the schema is newer than this program.
    """
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock"])  # the others wait here, then find nothing to do
        try:
            await connection.execute(_SQL["prepare"])
            return await _apply(connection)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartupError(
                f"The database role may not create schema tidings ({error}). "
                "Grant it CREATE on the database, or run `tidings migrate` once as its owner."
            ) from error


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


async def _apply(connection: Connection) -> list[str]:
    known = available()
    done = {row["number"] for row in await connection.fetch(_SQL["applied"])}
    if newer := sorted(done - {number for number, _, _ in known}):
        raise StartupError(
            f"Schema tidings was made by a newer Tidings (it has migration {newer[-1]}). Run that version, or a later one."
        )
    applied = []
    for number, name, sql in known:
        if number not in done:
            await connection.execute(sql, timeout=MAX_SECONDS)
            await connection.execute(_SQL["record"], number, name)
            applied.append(f"{number:04d}_{name}")
    return applied
