"""A group's rows on their way from one home to another (theory: `worker.moving`)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import date
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from tidings.core.errors import StartupError
from tidings.core.moves import Unfinished
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("moving")
_PAGES: Final = {"events": _SQL["events"], "deliveries": _SQL["deliveries"]}
_PARTS: Final = 8  # of a table's rows, as PostgreSQL sends them, that are at hand
AWAKE_INTERVAL: Final = 10.0  # seconds between signs of life to a home that waits for the other; its patience is a minute
MAX_THINGS: Final = 1000  # of each kind, by which a copy is known
SETTINGS: Final = "settings"  # the step that is done in one transaction

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """What a group has in a table, and the statements that take it along.

    Attributes:
        stays: It is also others', or is taken with history: it is not deleted where it was.
        is_shared: Whoever changes it keeps changes of all other groups waiting, to the end of the transaction.
        is_counted: As many rows must be there as were here.
    """

    step: str
    name: str
    columns: str
    stays: bool
    is_shared: bool
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


class Going(msgspec.Struct, frozen=True):
    """Where a group has gone, or goes. `is_leaving`: somebody has locked what is to be moved at this moment."""

    home: str
    has_left: bool
    is_leaving: bool


class Other(msgspec.Struct, frozen=True):
    """What two homes must have alike: the secret key, by its fingerprint, and the schema."""

    fingerprint: str | None
    schema: int


async def plan(
    connection: Connection, group_id: str, step: str, ids: Sequence[UUID] = (), names: Sequence[str] = ()
) -> list[Step]:
    """Return what is done for a step of a move, in order; of history, for a page of it.

    Args:
        ids: Of the page's events or deliveries.
        names: Or the ids that publishers gave.
    """
    rows = await connection.fetch(_SQL["plan"], group_id, ids, names)
    return [Step(**row) for row in rows if row["step"] == step]


async def carry(here: Connection, there: Connection, step: Step) -> int:
    """Copy what a step names to another home, in the transactions open at both; return how many rows that were.

    Raises:
        StartupError: Rows of the group are there already under other names.
    """
    await there.execute(step.stage)
    await _pour(here, there, step)
    await awake(here, there.execute(step.put))
    count: int = await awake(there, here.fetchval(step.count))
    if step.is_counted and (found := await awake(here, there.fetchval(step.count))) != count:
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
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            group.create_task(there.copy_to_table(step.staged, source=taken(), columns=columns, format="binary"))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the other was told to stop for it


async def awake(idle: Connection, doing: Coroutine[Any, Any, T], *, interval: float = AWAKE_INTERVAL) -> T:
    """Return what is done at one home, while the transaction at the other waits for it.

    PostgreSQL ends transactions in which nothing happens for a minute, so that a process that stands still keeps no locks. This
    one does not: it says so as long as it runs.

    Args:
        interval: Seconds between signs of life.
    """
    task = asyncio.ensure_future(doing)
    try:
        while not (await asyncio.wait([task], timeout=interval))[0]:
            await idle.execute(_SQL["awake"])
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def remove(connection: Connection, steps: Sequence[Step]) -> None:
    """Delete what was moved, or was to be; last what keeps changes of other groups waiting."""
    in_order = [step for step in steps if step.is_shared] + [step for step in steps if not step.is_shared]
    for step in reversed(in_order):
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


async def follow(connection: Connection, group_id: str, home: str) -> None:
    """Take note that a group that left lives at another home by now than the one that it left for."""
    await connection.execute(_SQL["follow"], group_id, home)
    await connection.execute(_SQL["bump"])


async def left_for(connection: Connection, group_id: str) -> str | None:
    """Return the home that a group was moved to from here; None: to none, nor will it before this transaction ends."""
    await connection.execute(_SQL["stay"], group_id)
    home: str | None = await connection.fetchval(_SQL["left_for"], group_id)
    return home


async def unfinished(connection: Connection, limit: int) -> list[Unfinished]:
    """Return moves from here and to here that nobody is at, the oldest first, then groups that are only parked."""
    return [Unfinished(**row) for row in await connection.fetch(_SQL["unfinished"], limit)]


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


async def things(connection: Connection, group_id: str) -> list[UUID]:
    """Return ids of what a group has, so many of each kind at most: nothing else is called so at any home."""
    return [row["id"] for row in await connection.fetch(_SQL["things"], group_id, MAX_THINGS)]


async def has_any(connection: Connection, group_id: str, ids: Sequence[UUID]) -> bool:
    """Whether a group has any of these."""
    return bool(await connection.fetchval(_SQL["has_any"], group_id, ids))


async def written(connection: Connection) -> str:
    """Return how far the log of a home's PostgreSQL is."""
    return str(await connection.fetchval(_SQL["written"]))


async def is_at_standbys(connection: Connection, place: str) -> bool:
    """Whether the standbys that are connected have the log up to a place; of those that nobody may look at it is believed."""
    return bool(await connection.fetchval(_SQL["is_at_standbys"], place))


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
    await connection.execute(_SQL["leave"], group_id)
    await connection.execute(_SQL["lock"], group_id)
    return await is_at_rest(connection, group_id)


async def going(connection: Connection, group_id: str) -> Going | None:
    """Return where a group has gone, or goes; None: nowhere."""
    row = await connection.fetchrow(_SQL["going"], group_id)
    return None if row is None else Going(**row)


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
    """Return the ids of a page of a group's history: of `events` or `deliveries`."""
    return [row["id"] for row in await connection.fetch(_PAGES[kind], group_id, behind, limit)]


async def published(connection: Connection, group_id: str, behind: str, limit: int) -> list[str]:
    """Return a page of the ids that publishers gave a group's events."""
    return [row["id"] for row in await connection.fetch(_SQL["published"], group_id, behind, limit)]


async def make_days(here: Connection, there: Connection, ids: Sequence[UUID]) -> None:
    """Make the partitions that events or deliveries of these ids stand in."""
    for row in await here.fetch(_SQL["days"], ids):
        day: date = row["day"]
        await there.execute(_SQL["make_day"], day)


async def make_days_of_queue(here: Connection, there: Connection, group_id: str) -> None:
    """Make the partitions that what waits stands in, with its events and attempts."""
    for row in await here.fetch(_SQL["queued_days"], group_id):
        await there.execute(_SQL["make_day"], row["day"])


async def other(connection: Connection) -> Other:
    """Return what two homes must have alike."""
    return Other(**await connection.fetchrow(_SQL["key"]))
