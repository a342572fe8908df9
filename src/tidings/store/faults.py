"""Settings that cannot be read as they are stored, of all groups; and those among them that can be read again.

What is wrong with webhooks and jobs is written down where it is found, since work for them must stop. What is wrong with
integrations, collections and tables is found anew whenever they are read, so they come back by themselves.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.webhook import Webhook
from tidings.store import capture, collections, cron, integrations, queue, set_aside, webhooks
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load
from tidings.store.webhook_rows import read

_SQL = load("faults")

KINDS = ("webhook", "job", "integration", "collection", "table", "backfill")
_WRITTEN_DOWN = frozenset({"webhook", "job", "backfill"})  # the others are found whenever they are read
LOOKED_THROUGH = 1000  # integrations and collections, those that were changed last
MENDED_AT_ONCE = 100


class Fault(msgspec.Struct, frozen=True):
    """A setting that cannot be read.

    Attributes:
        kind: One of `KINDS`.
        id: By which it is asked for; the name of an integration, a collection or a table.
        reason: Why it is set aside, with the remedy.
        since: Since when; for what is read anew each time, when it was changed last.
    """

    kind: str
    id: str
    name: str
    group_id: str | None
    reason: str
    since: datetime | None


async def find(connection: Connection, box: SecretBox, kind: str, id_: str) -> Fault | None:
    """Return a setting that cannot be read, however many others there are."""
    found = [Fault(**row) for row in await connection.fetch(_SQL["known"], len(KINDS), id_)]
    if kind not in _WRITTEN_DOWN:
        found = await list_faults(connection, box, limit=LOOKED_THROUGH)
    return next((fault for fault in found if (fault.kind, fault.id) == (kind, id_)), None)


async def list_faults(connection: Connection, box: SecretBox, *, limit: int) -> list[Fault]:
    """Return what cannot be read, of each kind so many at most."""
    found = [Fault(**row) for row in await connection.fetch(_SQL["known"], limit, None)]
    rows = await connection.fetch(_SQL["integrations"], LOOKED_THROUGH)
    found += _some(limit, (_of_integration(integrations.from_row(row, box)) for row in rows))
    rows = await connection.fetch(_SQL["collections"], LOOKED_THROUGH)
    found += _some(limit, (_of_collection(collections.from_row(row)) for row in rows))
    names = await capture.tables_with_settings(connection)
    settings = (await capture.settings_of(connection, names)).values() if names else ()
    found += _some(limit, (_of_table(each) for each in settings))
    return found


async def counts(connection: Connection, box: SecretBox, *, limit: int) -> dict[str, int]:
    """Return how many things of each kind are set aside, events and deliveries among them; so many of each at most."""
    found = await set_aside.counts(connection, limit=limit)
    for fault in await list_faults(connection, box, limit=limit):
        if fault.kind not in {"webhook", "job"}:  # those are counted by index
            found[fault.kind] = found.get(fault.kind, 0) + 1
    return found


def _some(limit: int, faults: Iterator[Fault | None]) -> list[Fault]:
    return [fault for fault in faults if fault is not None][:limit]


def _of_integration(one: integrations.Integration) -> Fault | None:
    return None if one.fault is None else Fault("integration", one.name, one.name, one.group_id, one.fault, one.updated_at)


def _of_collection(one: collections.Collection) -> Fault | None:
    return None if one.fault is None else Fault("collection", one.name, one.name, one.group_id, one.fault, one.updated_at)


def _of_table(one: Any) -> Fault | None:
    shown = ".".join(one.name)
    return None if one.fault is None else Fault("table", shown, shown, None, one.fault, None)


async def mend_webhooks(connection: Connection, box: SecretBox, after: UUID) -> tuple[list[UUID], UUID | None]:
    """Send again to webhooks behind an id that are set aside and can be read, in the caller's transaction.

    Returns:
        Those, and where to go on from; None: these were the last.
    """
    rows = await connection.fetch(_SQL["webhooks_after"], after, MENDED_AT_ONCE)
    readable = [webhook for webhook in (read(row, box) for row in rows) if isinstance(webhook, Webhook)]
    return await _mend(connection, readable), rows[-1]["id"] if len(rows) == MENDED_AT_ONCE else None


async def _mend(connection: Connection, readable: list[Webhook]) -> list[UUID]:
    if not readable:
        return []
    versions = [webhook.version for webhook in readable]
    rows = await connection.fetch(_SQL["mend_webhooks"], [webhook.id for webhook in readable], versions)
    mended = [row["webhook_id"] for row in rows]
    for webhook in readable:
        if webhook.id in mended:
            await webhooks.put_tables(connection, webhook)
    if mended:
        await queue.announce(connection)
        await webhooks.tell_changed(connection, mended)
    return mended


async def mend_jobs(connection: Connection, after: UUID, now: datetime) -> tuple[list[UUID], UUID | None]:
    """Make jobs behind an id active again that are set aside and can be read, as `mend_webhooks` does."""
    rows = await connection.fetch(_SQL["jobs_after"], after, MENDED_AT_ONCE)
    mended = []
    for job in map(cron.from_row, rows):
        try:
            next_at = job.times.after(now)
        except InvalidInputError:
            continue
        mended += [row["id"] for row in await connection.fetch(_SQL["mend_job"], job.id, job.updated_at, next_at)]
    return mended, rows[-1]["id"] if len(rows) == MENDED_AT_ONCE else None


async def mend_webhook(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID) -> bool:
    """Send again to a webhook that is set aside, if it can be read; whether it can."""
    webhook = await webhooks.lock_webhook(connection, box, group_id, webhook_id)
    return isinstance(webhook, Webhook) and bool(await _mend(connection, [webhook]))
