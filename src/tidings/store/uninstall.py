"""Leaving: what there is of ours in a database, and taking it away."""

from collections.abc import Sequence

import msgspec

from tidings.core.errors import BusyError, ConflictError, StartupError
from tidings.store import capture, roles
from tidings.store.database import COLLISIONS, Database
from tidings.store.statements import load

MOST_NAMED = 20  # triggers in one sentence

_SQL = load("uninstall")
MAX_DEPENDENTS = 100  # that are looked for


class Trigger(msgspec.Struct, frozen=True):
    """A trigger of ours on somebody's table.

    Attributes:
        is_allowed: Our role owns the table, or may make triggers on it: then it can take away its own too
        (`store.capture.remove`).
        drop: What its owner has to run, where it is not.
    """

    schema: str
    table: str
    name: str
    owner: str
    is_allowed: bool
    drop: str


class Found(msgspec.Struct, frozen=True):
    """What there is of ours.

    Attributes:
        triggers: On tables outside the schema `tidings`.
        collections: Schema and name of the tables of collections: people's data.
        dependents: What others made of what is in the schema `tidings`, such as views.
        bytes: Of the schema `tidings`.
        events: About how many; PostgreSQL's estimate.
        deliveries: The same.
    """

    triggers: tuple[Trigger, ...]
    collections: tuple[tuple[str, str], ...]
    dependents: tuple[str, ...]
    bytes: int
    events: int
    deliveries: int


async def look(database: Database) -> Found | None:
    """Return what there is of ours in a database; None where there is nothing."""
    async with database.connection() as connection:
        if not await connection.fetchval(_SQL["is_there"]):
            return None
        triggers = [Trigger(*row.values()) for row in await connection.fetch(_SQL["triggers"])]
        collections = [tuple(row.values()) for row in await connection.fetch(_SQL["collections"])]
        dependents = [row["shown"] for row in await connection.fetch(_SQL["dependents"], MAX_DEPENDENTS)]
        size = await connection.fetchrow(_SQL["size"])
    return Found(tuple(triggers), tuple(collections), tuple(dependents), **dict(size))


async def remove(database: Database, found: Found, *, with_collections: bool) -> None:
    """Take it away: the triggers one by one, the tables of collections if that is wanted, then the schema `tidings`.

    Whatever is refused or held up leaves the rest for the next time: to do it again goes on where it ended.

    Raises:
        BusyError: Somebody else's transaction holds a table.
        ConflictError: A worker is running, or somebody made something of what is ours.
        StartupError: Our role may not drop a trigger, or the schema.
    """
    async with database.connection() as connection:
        if workers := await connection.fetchval(_SQL["live_workers"]):
            raise ConflictError(f"{workers} worker(s) are running. Stop every process of Tidings, then uninstall it.")
    if found.dependents:
        raise ConflictError(
            f"Nothing was removed: {len(found.dependents)} thing(s) that others made would go with schema tidings: "
            f"{', '.join(found.dependents[:20])}. Drop them, or have them do without it, first."
        )
    if forbidden := [one for one in found.triggers if not one.is_allowed]:
        raise StartupError(
            f"{len(forbidden)} trigger(s) are on tables that this role does not own, and nothing was removed. "
            f"{statements_of(forbidden)}"
        )
    async with database.connection() as connection:
        here = await roles.look(connection)
    if here.is_running_role:
        raise StartupError(f"Schema tidings belongs to {here.owner}; {here.role} may not take it away. Run it as {here.owner}.")
    for one in found.triggers:
        try:
            async with database.transaction() as connection:
                await connection.execute(_SQL["set_lock_timeout"])
                await capture.remove(connection, (one.schema, one.table), one.name)
        except (BusyError, *COLLISIONS) as error:
            raise BusyError(
                f"Somebody else's transaction holds {one.schema}.{one.table}. Run it again; it goes on from there."
            ) from error
    if with_collections:
        for schema, table in found.collections:
            await _drop(database, _SQL["drop_table"], schema, table)
        for schema in sorted({schema for schema, _ in found.collections}):
            await _drop(database, _SQL["drop_empty_schema"], schema)
    else:
        for schema, table in found.collections:
            await _drop(database, _SQL["close_table"], schema, table)
            await _drop(database, _SQL["revoke_records"], schema, table)
    async with database.connection() as connection:
        partitions = [row["relname"] for row in await connection.fetch(_SQL["partitions"])]
    for name in partitions:  # one by one: PostgreSQL has not locks enough for the history of a year in one transaction
        await _drop(database, _SQL["drop_partition"], name)
    await _run(database, _SQL["drop_schema"], "schema tidings")


def statements_of(triggers: Sequence[Trigger]) -> str:
    """Return who has to run what so that triggers go, so many as one can read."""
    by_owner: dict[str, list[str]] = {}
    for one in triggers[:MOST_NAMED]:
        by_owner.setdefault(one.owner, []).append(one.drop)
    told = " ".join(f"Have {owner} run: {' '.join(statements)}" for owner, statements in by_owner.items())
    more = len(triggers) - MOST_NAMED
    return told + (f" There are {more} more, which are named once these are gone." if more > 0 else "")


async def _drop(database: Database, maker: str, *names: str) -> None:
    async with database.connection() as connection:
        statement = await connection.fetchval(maker, *names)
    if statement is not None:
        await _run(database, statement, ".".join(names[:2]))


async def _run(database: Database, statement: str, what: str) -> None:
    try:
        async with database.transaction() as connection:
            await connection.execute(_SQL["set_lock_timeout"])
            await connection.execute(statement)
    except COLLISIONS as error:
        raise BusyError(f"Somebody else's transaction holds {what}. Run it again; it goes on from there.") from error
