"""What was set aside, of all groups: what cannot be read may belong to none.

Rows of the outbox that could not be routed, of the queue that history cannot hold, and flights from other databases that cannot
be read wait here until somebody puts them back or discards them. Settings that cannot be read stay where they are; they are
listed here, tried again, or removed.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.operations.sources import integrations, jobs, tables
from tidings.operations.webhooks import subscriptions
from tidings.store import faults, outbox, queue, set_aside
from tidings.store.faults import Fault

MAX_NUMBER = 2**63 - 1
PAGE = 100  # settings, unless another number is asked for


class SetAside(msgspec.Struct, frozen=True):
    """A row that was set aside.

    Attributes:
        number: By which it is asked for.
        kind: `event`, of the outbox; `delivery`, of the queue; or `flight`, which came from another database (`source`).
        reason: Why it could not be routed, or delivered.
        row: The row as JSON text; None in lists, and where it is too large to be shown.
    """

    number: int
    kind: str
    group_id: str | None
    source: str | None
    type: str | None
    schema: str | None
    table: str | None
    operation: str | None
    reason: str
    at: datetime
    row: str | None = None


async def list_rows(services: Services, *, limit: int, before: int | None = None) -> list[SetAside]:
    """Return a page of what was set aside, newest first.

    Args:
        before: Only what has a smaller number.
    """
    last = None if before is None else max(min(before, MAX_NUMBER), 0)
    async with services.wide.connection() as connection:
        return [_row(found) for found in await set_aside.list_rows(connection, limit=limit, before=last)]


async def read(services: Services, number: int) -> SetAside:
    """Return what was set aside under a number, with the row.

    Raises:
        NotFoundError: There is nothing.
    """
    async with services.wide.connection() as connection:
        found = there(await set_aside.get(connection, min(number, MAX_NUMBER)), _nothing(number))
    return _row(found, found["row_as_json"])


async def route_again(services: Services, number: int) -> None:
    """Put a row back where it was taken from. When its reason still holds, it is set aside again, under another number.

    Raises:
        ConflictError: It cannot be read as what it is said to be, its source may not make it, its webhook was deleted, or its
            group has an erasure under way.
        NotFoundError: There is nothing under that number.
    """
    async with services.wide.transaction() as connection:
        kind = there(await set_aside.try_again(connection, min(number, MAX_NUMBER), services.box), _nothing(number))
        await (queue.announce(connection) if kind == "delivery" else outbox.ring(connection))
        await audit.note(services, connection, Action.ROUTED_AGAIN, subject=str(number), is_of_group=False)


async def discard(services: Services, number: int) -> None:
    """Delete a row for good: its event is told to nobody.

    Raises:
        NotFoundError: There is nothing under that number.
    """
    async with services.wide.transaction() as connection:
        there(await set_aside.discard(connection, min(number, MAX_NUMBER)) or None, _nothing(number))
        await audit.note(services, connection, Action.DISCARDED, subject=str(number), is_of_group=False)


def _nothing(number: int) -> str:
    return f"Nothing is set aside under {number}; it was routed again or discarded."


def _row(found: Any, text: str | None = None) -> SetAside:
    return SetAside(
        found["id"],
        found["kind"],
        found["group_id"],
        found["source"],
        found["type"],
        found["table_schema"],
        found["table_name"],
        found["operation"],
        found["error"],
        found["rejected_at"],
        text,
    )


# Settings ------------------------------------------------------------------------------------------------------------------


async def list_settings(services: Services, *, limit: int = PAGE, after: str = "") -> list[Fault]:
    """Return what of all groups' settings cannot be read, kind by kind.

    What is new to it is found by the worker that looks: of integrations, collections and tables a thousand every half a minute.

    Args:
        after: The cursor of the last one of the page before.

    Raises:
        InvalidInputError: That is no cursor of this list.
    """
    if after and (after.partition(":")[0] not in faults.KINDS or "\0" in after):
        raise InvalidInputError("cursor", f"{after!r} is no cursor of this list. Take that of the last setting you have.")
    async with services.wide.snapshot() as connection:
        return await faults.list_faults(connection, services.box, limit=limit, after=after)


async def retry_setting(services: Services, kind: str, id_: str) -> None:
    """Read a setting again. What can be read by now is in force again; the same happens by itself within a minute.

    Raises:
        ConflictError: It still cannot be read; with the reason.
        NotFoundError: Nothing of that kind and id is set aside.
    """
    fault = await _fault(services, kind, id_)
    async with services.wide.transaction() as connection:
        if kind == "webhook":
            done = await faults.mend_webhook(connection, services.box, str(fault.group_id), UUID(fault.id))
        elif kind == "job":
            mended, _ = await faults.mend_jobs(connection, UUID(int=UUID(fault.id).int - 1), services.clock.now())
            done = UUID(fault.id) in mended
        else:
            done = False  # it was read just now
        if done:
            await audit.note(services, connection, Action.SETTING_RETRIED, subject=f"{kind} {fault.name}", is_of_group=False)
    if not done:
        raise ConflictError(fault.reason)


async def discard_setting(services: Services, kind: str, id_: str) -> None:
    """Remove a setting that cannot be read: a webhook with what waits for it, a job, an integration, or a table's settings.

    Raises:
        ConflictError: It is of a kind that is removed in its own place.
        NotFoundError: Nothing of that kind and id is set aside.
    """
    fault = await _fault(services, kind, id_)
    acting = services if fault.group_id is None else msgspec.structs.replace(services, group_id=fault.group_id)
    match kind:
        case "webhook":
            await subscriptions.remove(acting, UUID(fault.id))
        case "job":
            await jobs.remove(acting, UUID(fault.id))
        case "integration":
            await integrations.remove(acting, fault.id)
        case "table":
            await tables.reset(acting, fault.id)
        case _:
            raise ConflictError(f"A {kind} is not removed from here. {fault.reason}")


async def _fault(services: Services, kind: str, id_: str) -> Fault:
    if kind not in faults.KINDS:
        raise NotFoundError(f"There is no kind {kind!r} of settings.")
    async with services.wide.snapshot() as connection:
        return there(await faults.find(connection, services.box, kind, id_), f"No {kind} {id_!r} is set aside.")
