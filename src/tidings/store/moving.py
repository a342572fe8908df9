"""A group's rows on their way from one home to another (theory: `worker.moving`)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.errors import StartupError
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("moving")
_PAGES: Final = {"events": _SQL["events"], "deliveries": _SQL["deliveries"], "published": _SQL["published"]}
_PARTS: Final = 8  # of a table's rows, as PostgreSQL sends them, that are at hand
SETTINGS: Final = "settings"  # the step that is done in one transaction


class Step(msgspec.Struct, frozen=True):
    """What a group has in a table, and the statements that take it along.

    Attributes:
        stays: It is also others', or is taken with history: it is not deleted where it was.
        is_counted: As many rows must be there as were here.
    """

    step: str
    name: str
    columns: str
    stays: bool
    is_counted: bool
    staged: str
    take: str
    count: str
    stage: str
    put: str
    remove: str


class Standing(msgspec.Struct, frozen=True):
    """How far a move is. `is_known`: whoever did not know of it has ended."""

    home: str
    has_left: bool
    is_known: bool


class Other(msgspec.Struct, frozen=True):
    """What two homes must have alike: the secret key, by its fingerprint, and the schema."""

    fingerprint: str | None
    schema: int


async def plan(connection: Connection, group_id: str, step: str, ids: Sequence[UUID] = ()) -> list[Step]:
    """Return what is done for a step of a move, in order; of history, for a page of it."""
    rows = await connection.fetch(_SQL["plan"], group_id, ids)
    return [Step(**row) for row in rows if row["step"] == step]


async def carry(here: Connection, there: Connection, step: Step) -> int:
    """Copy what a step names to another home, in the transactions open at both; return how many rows that were.

    Raises:
        StartupError: Rows of the group are there already under other names.
    """
    await there.execute(step.stage)
    await _pour(here, there, step)
    await there.execute(step.put)
    count: int = await here.fetchval(step.count)
    if step.is_counted and (found := await there.fetchval(step.count)) != count:
        raise StartupError(
            f"{count} rows of {step.name} are of the group, and {found} of them could be put where it is to live: something "
            "else is called so there. Rename it here, then move the group again."
        )
    return count


async def _pour(here: Connection, there: Connection, step: Step) -> None:
    """Have PostgreSQL write rows to PostgreSQL as it keeps them; no more than some parts are at hand."""
    parts: asyncio.Queue[bytes | None] = asyncio.Queue(_PARTS)

    async def take() -> None:
        await here.copy_from_query(step.take, output=parts.put, format="binary")
        await parts.put(None)

    async def taken() -> AsyncIterator[bytes]:
        while (part := await parts.get()) is not None:
            yield part

    columns = [name.strip('"') for name in step.columns.split(", ")]
    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        group.create_task(there.copy_to_table(step.staged, source=taken(), columns=columns, format="binary"))


async def remove(connection: Connection, steps: Sequence[Step]) -> None:
    """Delete what was moved, or was to be."""
    for step in reversed(steps):
        if not step.stays:
            await connection.execute(step.remove)


async def begin(connection: Connection, group_id: str, home: str) -> None:
    """Take note that a group is being moved to a home: dispatchers pass over it from now on."""
    await connection.execute(_SQL["begin"], group_id, home)
    await connection.execute(_SQL["bump"])


async def standing(connection: Connection, group_id: str) -> Standing | None:
    """Return how far the move of a group is; None: it is not moved from here, nor here."""
    row = await connection.fetchrow(_SQL["get"], group_id)
    return None if row is None else Standing(**row)


async def note_left(connection: Connection, group_id: str) -> None:
    """Take note that a group lives elsewhere from this transaction on."""
    await connection.execute(_SQL["note_left"], group_id)
    await connection.execute(_SQL["bump"])


async def left_for(connection: Connection, group_id: str) -> str | None:
    """Return the home that a group was moved to from here; None: to none, nor will it before this transaction ends."""
    await connection.execute(_SQL["stay"], group_id)
    home: str | None = await connection.fetchval(_SQL["left_for"], group_id)
    return home


async def end(connection: Connection, group_id: str) -> None:
    """Take note that a group is not being moved, nor was."""
    await connection.execute(_SQL["end"], group_id)
    await connection.execute(_SQL["bump"])


async def be_alone(connection: Connection, group_id: str) -> bool:
    """Have nobody else move a group from here, or here, as long as this connection lasts; False: somebody does."""
    return bool(await connection.fetchval(_SQL["be_alone"], group_id))


async def in_the_way(connection: Connection, group_id: str) -> dict[str, int]:
    """Return what keeps a group from being moved, by kind."""
    return {kind: count for kind, count in dict(await connection.fetchrow(_SQL["in_the_way"], group_id)).items() if count}


async def is_there(connection: Connection, group_id: str) -> bool:
    """Whether a home has anything of a group."""
    return bool(await connection.fetchval(_SQL["is_there"], group_id))


async def last_row(connection: Connection) -> int:
    """Return the number of the last row of the outbox."""
    return int(await connection.fetchval(_SQL["last_row"]))


async def is_routed(connection: Connection, group_id: str, upto: int) -> bool:
    """Whether nothing of a group waits to be routed up to a row."""
    return bool(await connection.fetchval(_SQL["is_routed"], group_id, upto))


async def close(connection: Connection, group_id: str) -> None:
    """Have nothing of a group begin any more."""
    await connection.execute(_SQL["close"], group_id)


async def lock(connection: Connection, group_id: str) -> bool:
    """Keep others from changing what is to be moved, to the end of the transaction; False: something of it is under way."""
    await connection.execute(_SQL["lock"], group_id)
    return await is_at_rest(connection, group_id)


async def is_at_rest(connection: Connection, group_id: str) -> bool:
    """Whether no delivery of a group is under way, nor could one begin."""
    return bool(await connection.fetchval(_SQL["is_at_rest"], group_id))


async def open_lanes(connection: Connection, group_id: str) -> None:
    """Have deliveries of a group go on, where its webhooks want it."""
    await connection.execute(_SQL["open"], group_id)
    await connection.execute(_SQL["tell_changes"], await webhooks(connection, group_id))


async def tell_changes(connection: Connection, webhook_ids: Sequence[UUID]) -> None:
    """Have workers look at webhooks anew."""
    await connection.execute(_SQL["tell_changes"], webhook_ids)


async def webhooks(connection: Connection, group_id: str) -> list[UUID]:
    """Return the ids of a group's webhooks."""
    return [row["id"] for row in await connection.fetch(_SQL["webhooks"], group_id)]


async def page(connection: Connection, kind: str, group_id: str, behind: UUID, limit: int) -> list[UUID]:
    """Return the ids of a page of a group's history: of `events`, `deliveries` or `published`."""
    return [row["id"] for row in await connection.fetch(_PAGES[kind], group_id, behind, limit)]


async def make_days(here: Connection, there: Connection, ids: Sequence[UUID]) -> None:
    """Make the partitions that events or deliveries of these ids stand in."""
    for row in await here.fetch(_SQL["days"], ids):
        day: date = row["day"]
        await there.execute(_SQL["make_day"], day)


async def queued_events(connection: Connection, group_id: str) -> list[UUID]:
    """Return the events of what waits to be delivered."""
    return [row["id"] for row in await connection.fetch(_SQL["queued_events"], group_id)]


async def other(connection: Connection) -> Other:
    """Return what two homes must have alike."""
    return Other(**await connection.fetchrow(_SQL["key"]))
