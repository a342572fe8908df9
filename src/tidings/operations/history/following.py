"""Attempts as they are recorded: hear of them, and read the deliveries that they were made for."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.delivery import State
from tidings.core.question import states_named, words_of
from tidings.operations.services import Services
from tidings.store import history, live, search
from tidings.store.live import Hear

LISTEN_SECONDS = 30.0  # that a statement of the listener's may take: a network that is gone says nothing
PROBE_SECONDS = 10.0  # between looks whether the listener's connection is there


class Wanted(msgspec.Struct, frozen=True):
    """Which attempts somebody wants to hear of; any, where nothing is said.

    Attributes:
        types: Of the event, by our names; one that ends with `*` stands for all that begin so.
    """

    webhook_id: UUID | None = None
    types: tuple[str, ...] = ()
    states: tuple[State, ...] = ()

    def takes(self, tried: "Tried") -> bool:
        """Whether it is one of these."""
        return (
            (self.webhook_id is None or tried.webhook_id == self.webhook_id)
            and (not self.states or State(tried.status) in self.states)
            and (not self.types or any(_is_of(tried.event, one) for one in self.types))
        )


def _is_of(type_: str, wanted_type: str) -> bool:
    return type_.startswith(wanted_type[:-1]) if wanted_type.endswith("*") else type_ == wanted_type


class Tried(msgspec.Struct, frozen=True):
    """A delivery that was tried just now. `number`: of the first attempt that is told of here; `attempts`: of the last."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event: str
    status: str
    attempts: int
    number: int
    created_at: datetime


def wanted(webhook_id: UUID | None, types: Sequence[str] | None, status: Sequence[str] | None) -> Wanted:
    """Return what was asked for. Words of a list may stand in one text, with commas.

    Raises:
        InvalidInputError: There is no such state.
    """
    return Wanted(webhook_id, words_of("type", types), states_named(words_of("status", status)))


async def read_tried(services: Services, attempts: dict[UUID, int]) -> list[Tried]:
    """Return those of deliveries that are of the group, in the order they were told of.

    Args:
        attempts: Of each delivery the first attempt that was told of.
    """
    async with services.database.connection() as connection:
        rows = await search.deliveries(connection, services.group_id, list(attempts))
        if not rows:
            return []
        events = {one.id: one for one in await history.events_by_id(connection, list({row["event_id"] for row in rows}))}
    return [
        Tried(
            row["id"], row["webhook_id"], row["event_id"], event.type, row["status"], row["attempt_count"], attempts[row["id"]],
            event.occurred_at,
        )
        for row in rows
        if (event := events.get(row["event_id"])) is not None
    ]  # fmt: skip


async def listen(services: Services, hear: Hear, note_gap: Callable[[], None], stopping: asyncio.Event) -> None:
    """Hear of attempts of all groups, until told to stop.

    Args:
        note_gap: Called once nothing is missed from then on, and whenever something was.

    Raises:
        OSError, asyncpg.PostgresError: The database went away.
    """
    connection = await services.wide.dedicated(command_timeout=LISTEN_SECONDS)
    try:
        await live.listen(connection, hear, note_gap)
        note_gap()
        while not stopping.is_set():
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                await live.probe(connection)
    finally:
        connection.terminate()
