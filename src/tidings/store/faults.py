"""Settings that cannot be read as they are stored, of all groups; and those among them that can be read again.

What is wrong with webhooks, jobs and backfills is written in their rows where it is found, since work for them must stop. What
is wrong with integrations, collections and tables is found whenever they are read. So that a list need not read all of
them, the mender looks through them, some at a time, and writes down which it could not read (`look_through`). A list reads
those again: what was mended is not in it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.table_name import full_name, parse_name
from tidings.core.webhook import Webhook
from tidings.store import capture, collections, cron, integrations, queue, set_aside, webhooks
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load
from tidings.store.webhook_rows import read

_SQL = load("faults")

KINDS = ("webhook", "job", "backfill", "integration", "collection", "table")
SWEPT = ("integration", "collection", "table")
_FROM_THE_FIRST = UUID(int=0)
_IN_THEIR_ROWS = {"webhook": _SQL["known_webhooks"], "job": _SQL["known_jobs"], "backfill": _SQL["known_backfills"]}
_BY_KEY = {"integration": _SQL["integrations_by_key"], "collection": _SQL["collections_by_key"], "table": _SQL["tables_by_key"]}
_THESE = {"integration": _SQL["these_integrations"], "collection": _SQL["these_collections"], "table": _SQL["these_tables"]}
LOOKED_THROUGH = 1000  # settings of a kind that are read at a time
MENDED_AT_ONCE = 100


class Fault(msgspec.Struct, frozen=True):
    """A setting that cannot be read.

    Attributes:
        kind: One of `KINDS`.
        id: By which it is asked for: the name of an integration or a collection, or of a table (`core.table_name`).
        reason: Why it is set aside, with the remedy; empty: it is not.
        since: Since when; for what is read anew each time, when it was changed last.
        key: Its place among those of its kind.
    """

    kind: str
    id: str
    name: str
    group_id: str | None
    reason: str
    since: datetime | None
    key: str = ""

    @property
    def cursor(self) -> str:
        """What a list goes on behind it with."""
        return f"{self.kind}:{self.key}"


async def find(connection: Connection, box: SecretBox, kind: str, id_: str) -> Fault | None:
    """Return a setting that cannot be read, however many others there are."""
    if kind in _IN_THEIR_ROWS:
        try:
            before = UUID(int=max(UUID(id_).int - 1, 0))
        except ValueError:
            return None
        rows = await connection.fetch(_IN_THEIR_ROWS[kind], before, 1)
        found = [Fault(kind, **row) for row in rows]
    elif kind == "integration":
        one = await integrations.get(connection, box, id_)
        found = [] if one is None else [_of_integration(one)]
    elif kind == "collection":
        rows = await connection.fetch(_SQL["named_collections"], id_, LOOKED_THROUGH)
        found = [_of_collection(collections.from_row(row)) for row in rows]
    else:
        schema, name = parse_name(id_)
        found = [_of_table(each, "") for each in (await capture.settings_of(connection, [(schema or "", name)])).values()]
    return next((fault for fault in found if fault.reason and fault.id == id_), None)


async def list_faults(connection: Connection, box: SecretBox, *, limit: int, after: str = "") -> list[Fault]:
    """Return what cannot be read, kind by kind.

    Args:
        after: The cursor of the last one of the page before; empty: from the first.
    """
    kind, _, key = after.partition(":")
    found: list[Fault] = []
    for each in KINDS[KINDS.index(kind) if kind in KINDS else 0 :]:
        behind = key if each == kind else ""
        while len(found) < limit and (page := await _known(connection, box, each, behind, limit - len(found))):
            faults, behind = page
            found += faults
    return found


async def _known(connection: Connection, box: SecretBox, kind: str, behind: str, limit: int) -> tuple[list[Fault], str] | None:
    """Return some of a kind, and the key to go on behind; None when there is no more."""
    if kind in _IN_THEIR_ROWS:
        rows = await connection.fetch(_IN_THEIR_ROWS[kind], _id(behind), limit)
        return ([Fault(kind, **row) for row in rows], rows[-1]["key"]) if rows else None
    keys = [row["key"] for row in await connection.fetch(_SQL["known"], kind, behind, limit)]
    if not keys:
        return None
    rows = await connection.fetch(_THESE[kind], keys)
    return [fault for fault in await _read(connection, box, kind, rows) if fault.reason], keys[-1]


def _id(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        return _FROM_THE_FIRST


async def _read(connection: Connection, box: SecretBox, kind: str, rows: list[Any]) -> list[Fault]:
    """Read settings of a kind; those without a reason can be read."""
    if kind == "integration":
        return [_of_integration(integrations.from_row(row, box)) for row in rows]
    if kind == "collection":
        return [_of_collection(collections.from_row(row)) for row in rows]
    keys = {(row["table_schema"], row["table_name"]): row["key"] for row in rows}
    settings = await capture.settings_of(connection, keys) if keys else {}
    return [_of_table(settings[name], key) for name, key in keys.items() if name in settings]


async def look_through(connection: Connection, box: SecretBox, kind: str, after: str) -> str:
    """Read some settings of a kind, and write down which of them cannot be read; in the caller's transaction.

    Args:
        after: Where the last look ended; empty: at the end of all.

    Returns:
        Where this one ended; empty: at the end of all.
    """
    rows = await connection.fetch(_BY_KEY[kind], after, LOOKED_THROUGH)
    read_now = await _read(connection, box, kind, rows)
    last = None if len(rows) < LOOKED_THROUGH else str(rows[-1]["key" if kind == "table" else "id"])
    bad = [fault.key for fault in read_now if fault.reason]
    await connection.execute(_SQL["strike_out"], kind, after, last, bad)
    if bad:
        await connection.execute(_SQL["write_down"], kind, bad)
    return last or ""


async def counts(connection: Connection, *, limit: int) -> dict[str, int]:
    """Return how many things of each kind are set aside, events and deliveries among them; so many of each at most."""
    found = await set_aside.counts(connection, limit=limit)
    for row in await connection.fetch(_SQL["count_known"], limit):
        found[row["kind"]] = found.get(row["kind"], 0) + row["count"]
    return found


def _of_integration(one: integrations.Integration) -> Fault:
    return Fault("integration", one.name, one.name, one.group_id, one.fault or "", one.updated_at, str(one.id))


def _of_collection(one: collections.Collection) -> Fault:
    return Fault("collection", one.name, one.name, one.group_id, one.fault or "", one.updated_at, str(one.id))


def _of_table(one: Any, key: str) -> Fault:
    return Fault("table", full_name(*one.name), ".".join(one.name), None, one.fault or "", None, key)


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
