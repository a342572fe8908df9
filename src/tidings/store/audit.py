"""What people did, as rows: written with what they tell, and forgotten in time."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tidings.core.audit import MAX_ADDRESS, MAX_SUBJECT, Action, Actor, Who
from tidings.store.database import Connection
from tidings.store.statements import load

KEPT = timedelta(days=365)
MAX_OF_GROUP = 10_000  # and as many that are about no group
NEWEST = 1000  # entries that tell which groups are looked at
BUSY_GROUPS = 50  # of them are looked at each time
FORGOTTEN_AT_ONCE = 10_000  # entries of each

_SQL = load("audit")


class Entry(msgspec.Struct, frozen=True):
    """What somebody did.

    Attributes:
        number: Its place: a later one has a greater number.
        group_id: The group that it is about; None: the installation.
        who_id: Of the key, the session, the member or the portal link.
        subject: What it was called then: a webhook's name, a browser.
        key_id: The key that it was done with, or that the session was begun with.
        key_name: What that was called then; of a member the address.
    """

    number: int
    at: datetime
    group_id: str | None
    action: str
    who: Who
    who_id: UUID | None
    address: str
    subject_id: UUID | None
    subject: str
    key_id: UUID | None = None
    key_name: str = ""


async def add(
    connection: Connection,
    action: Action,
    actor: Actor,
    *,
    now: datetime,
    group_id: str | None,
    subject_id: UUID | None,
    subject: str,
) -> None:
    """Put on record what somebody did, in the transaction that does it."""
    address, subject = _storable(actor.address, MAX_ADDRESS), _storable(subject, MAX_SUBJECT)
    values = now, group_id, action.value, actor.who.value, actor.id, address, subject_id, subject, actor.key_id, actor.key_name
    await connection.execute(_SQL["add"], *values)


async def list_entries(connection: Connection, *, group_id: str | None, before: int | None, limit: int) -> list[Entry]:
    """Return what was done, newest first.

    Args:
        group_id: What is about one group; None: everything.
        before: Only what has a smaller number.
    """
    rows = await connection.fetch(_SQL["list"], group_id, before, limit)
    return [Entry(**{**row, "who": Who(row["who"])}) for row in rows]


async def forget(connection: Connection, now: datetime) -> None:
    """Take away what is too old or too much; some of it at a time, and looking only where something was written of late."""
    await connection.execute(_SQL["forget_old"], now - KEPT, FORGOTTEN_AT_ONCE)
    for row in await connection.fetch(_SQL["busy"], NEWEST, BUSY_GROUPS):
        if row["group_id"] is None:
            await connection.execute(_SQL["forget_of_none"], MAX_OF_GROUP, FORGOTTEN_AT_ONCE)
        else:
            await connection.execute(_SQL["forget_of_group"], row["group_id"], MAX_OF_GROUP, FORGOTTEN_AT_ONCE)


def _storable(text: str, limit: int) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:limit]
