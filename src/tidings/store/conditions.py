"""Conditions: what PostgreSQL makes of them, and the functions that evaluate them."""

from typing import Final

import asyncpg
import msgspec

from tidings.core.capture import TableName
from tidings.core.condition import OPERATORS, Guard, read_condition
from tidings.core.condition_tree import Called, Function, Type, called, judge, parse_tree
from tidings.core.errors import InvalidInputError
from tidings.store.altering import run_on
from tidings.store.database import Connection, said
from tidings.store.statements import load

_SQL = load("conditions")
MAX_DROPPED: Final = 100  # functions at a time


async def judge_condition(connection: Connection, table: TableName, operations: str, bare: str) -> None:
    """Refuse a condition that may do more than look at a row.

    Args:
        operations: As a trigger has them, such as INSERT OR UPDATE.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
        InvalidInputError: It is not one, or it calls what is not allowed.
    """
    columns = read_condition(bare, operations.partition(" ")[0]).columns
    for row in await connection.fetch(_SQL["unreadable_columns"], *table, columns):
        raise InvalidInputError(
            "when",
            f"The condition names the column {row['name']!r}, whose type {row['type']} is made of others; it cannot be in one.",
        )
    attempt = connection.transaction()
    await attempt.start()
    try:
        probe = await connection.fetchval(_SQL["probe"], *table, operations, bare)
        await connection.execute(_SQL["see_types"], *table)
        await run_on(connection, probe, table)
        await connection.execute(_SQL["see_own"])
        tree = await connection.fetchval(_SQL["probed"], *table)
    finally:
        await attempt.rollback()
    try:
        parsed = parse_tree(tree)
        asked = called(parsed)
    except RecursionError as error:
        raise InvalidInputError("when", "The condition is nested too deeply; write fewer operators in a row.") from error
    types = {row["oid"]: Type(**dict(row)) for row in await connection.fetch(_SQL["types"], asked.types)}
    judge(parsed, await _functions(connection, asked, types), types)
    await _plan(connection, table, bare)


async def _plan(connection: Connection, table: TableName, bare: str) -> None:
    """Refuse a condition that fails whatever a row holds, such as one with 1/0 in it.

    A function with such a condition fails when it is planned, and not always when it is called again: of its two triggers, one
    for rows that it is true of and one for those of which it cannot be said, neither would tell of a row.
    """
    try:
        async with connection.transaction():
            await connection.execute(await connection.fetchval(_SQL["plan"], *table, bare))
    except asyncpg.DataError as error:
        raise InvalidInputError(
            "when", f"The condition fails whatever a row holds: {said(error)}. Change that part."
        ) from error


async def _functions(connection: Connection, asked: Called, types: dict[int, Type]) -> dict[int, Function]:
    oids = {*asked.functions, *(oid for type_ in types.values() for oid in (type_.reads, type_.writes))}
    rows = await connection.fetch(_SQL["functions"], sorted(oids), sorted(OPERATORS))
    return {row["oid"]: msgspec.convert(dict(row), Function) for row in rows}


async def make_guard(connection: Connection, guard: Guard) -> None:
    """Make the function that evaluates a condition."""
    await connection.execute(_SQL["make_guard"], guard.name, guard.body, guard.is_settled)


async def drop_unused_guards(connection: Connection) -> None:
    """Drop functions of conditions that no trigger calls any more. The caller holds the lock on triggers."""
    for row in await connection.fetch(_SQL["unused_guards"], MAX_DROPPED):
        await connection.execute(_SQL["drop_guard"], row["name"])
