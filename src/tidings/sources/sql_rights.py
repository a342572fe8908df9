"""Whether a job's SQL may be run by the role of its group, before it is run for the first time, at night perhaps.

PostgreSQL looks at rights as a statement begins, and so it does when it is only explained. What cannot be explained (several
statements, DO, CALL) is not looked at, nor what functions do that it calls; and where there is no answer, nothing is refused.
"""

import asyncio
import re
from typing import Final

import asyncpg

from tidings.core.errors import InvalidInputError
from tidings.store import cron
from tidings.store.database import Connection, said

LOOK_SECONDS: Final = 5.0
_DENIED: Final = re.compile(r"permission denied for (table|view|materialized view|foreign table|schema|function|sequence) (.+)")
# What a statement does with a table, by the words before its name. What it changes, it mostly reads too.
_DOES: Final = {r"insert\s+into\s+": ["insert"], r"update\s+(?:only\s+)?": ["update", "select"],
                r"delete\s+from\s+(?:only\s+)?": ["delete", "select"]}  # fmt: skip
_OTHERWISE: Final = {
    "schema": "USAGE ON SCHEMA", "function": "EXECUTE ON FUNCTION", "sequence": "USAGE ON SEQUENCE",
}  # fmt: skip


async def check_allowed(url: str | None, sql: str) -> None:
    """Refuse SQL that the role of this connection may not run, with the statement that lets it.

    Args:
        url: The connection of the job's group; None: it has none, which is refused elsewhere.

    Raises:
        InvalidInputError: It may not.
    """
    if url is None:
        return
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            connection = await asyncpg.connect(url, server_settings={"application_name": "tidings cron"})
            try:
                await _look(connection, sql)
            finally:
                connection.terminate()
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return  # nothing is known of its rights


async def _look(connection: Connection, sql: str) -> None:
    statement = await cron.explanation_of(connection, sql)
    try:
        async with connection.transaction(readonly=True):
            await connection.fetch(statement)  # prepared, so that it can be no more than one
    except asyncpg.InsufficientPrivilegeError as error:
        role = connection.get_settings().session_authorization
        remedy = await _remedy(connection, said(error), sql)
        raise InvalidInputError(
            "sql", f"The database role {role}, which this group's SQL jobs run as, may not do that: {said(error)}.{remedy}"
        ) from error


async def _remedy(connection: Connection, message: str, sql: str) -> str:
    found = _DENIED.fullmatch(message)
    if found is None:
        return ""
    kind, name = found[1], found[2]
    if kind in _OTHERWISE:
        statement: str | None = await cron.grant_otherwise(connection, _OTHERWISE[kind], name)
    else:
        called = rf'(?:[\w"]+\.)?"?{re.escape(name)}\b'
        told = [verbs for words, verbs in _DOES.items() if re.search(rf"\b{words}{called}", sql, re.IGNORECASE)]
        does = [verb for verbs in told for verb in verbs] or ["select"]
        statement = await cron.grant_on_table(connection, name, does)
    return "" if statement is None else f" As its owner run: {statement}"
