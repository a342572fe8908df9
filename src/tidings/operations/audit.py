"""The record of what people did: operations write it in their own transactions; here it is read."""

from uuid import UUID

from tidings.core.api_key import check_group
from tidings.core.audit import Action, Actor
from tidings.operations.services import Services
from tidings.store import audit
from tidings.store.audit import Entry
from tidings.store.database import Connection

MAX_NUMBER = 2**63 - 1


async def note(
    services: Services,
    connection: Connection,
    action: Action,
    subject_id: UUID | None = None,
    subject: str = "",
    *,
    by: Actor | None = None,
    is_of_group: bool = True,
) -> None:
    """Put on record what is done in this transaction: with it, or not at all.

    Args:
        subject: What it is called. No secret: all who may read the record read it.
        by: Who does it; None: whoever the services act for.
        is_of_group: It is about the group that the services act for; otherwise about the installation.
    """
    group_id = services.group_id if is_of_group else None
    now = services.clock.now()
    await audit.add(
        connection, action, by or services.actor, now=now, group_id=group_id, subject_id=subject_id, subject=subject
    )


async def list_entries(
    services: Services, *, limit: int, before: int | None = None, group_id: str | None = None
) -> list[Entry]:
    """Return what people did, newest first.

    Args:
        before: Only what has a smaller number: the last one of the page before.
        group_id: Only what is about this group; None: of all groups, and of the installation; for whoever may act for one
            group alone, of that.

    Raises:
        ForbiddenError: The group is not for whoever asks.
    """
    group_id = group_id or services.bound_to
    if group_id is not None:
        check_group(services.bound_to, group_id)
    last = None if before is None else max(min(before, MAX_NUMBER), 0)
    async with services.wide.connection() as connection:
        return await audit.list_entries(connection, group_id=group_id, before=last, limit=limit)
