"""Webhooks as rows, and what workers are told of their changes."""

import re
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from tidings.core.credentials import NOTHING
from tidings.core.errors import ConflictError
from tidings.core.webhook import Subscription, Webhook
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load
from tidings.store.webhook_rows import filter_to_json, read

_SQL = load("webhooks")
_encode = msgspec.json.encode
_WILD, _ESCAPED = r"([\\%_])", r"\\\1"

LOOKED_THROUGH = 10_000  # webhooks of a group, the newest, where a text or a trouble is looked for

W = TypeVar("W", bound=Subscription)


async def routes_version(connection: Connection) -> int:
    """Return the version of the subscriptions, as of this statement."""
    version: int = await connection.fetchval(_SQL["routes_version"])
    return version


async def routes_after(connection: Connection, webhook_id: UUID, limit: int) -> list[Any]:
    """Return what routing needs of the webhooks behind an id, in order of their ids: rows for `webhook_rows.read_route`."""
    rows: list[Any] = await connection.fetch(_SQL["routes_after"], webhook_id, limit)
    return rows


async def changes_after(connection: Connection, version: int, limit: int) -> list[Any]:
    """Return the changes behind a version in their order: rows with `version`, `webhook_id`, and the webhook as it is now.

    `profile` is null where it is deleted. A version that is missing was forgotten, or told without saying of which webhook.
    """
    rows: list[Any] = await connection.fetch(_SQL["changes_after"], version, limit)
    return rows


async def forget_changes(connection: Connection, before: Any, limit: int) -> None:
    """Forget changes from before a time, so many at most, the oldest first."""
    await connection.execute(_SQL["forget_changes"], before, limit)


async def get_webhook(connection: Connection, group_id: str, webhook_id: UUID) -> Subscription | None:
    """Return a webhook of the group, without its secrets."""
    row = await connection.fetchrow(_SQL["get_webhook"], group_id, webhook_id)
    return None if row is None else read(row)


async def open_webhook(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID) -> Webhook | None:
    """Return a webhook of the group with its secrets.

    Raises:
        ConflictError: It cannot be read; with the remedy.
    """
    row = await connection.fetchrow(_SQL["get_webhook"], group_id, webhook_id)
    return None if row is None else readable(read(row, box))


def readable(webhook: Subscription) -> Webhook:
    """Return the webhook, which was read with its secrets.

    Raises:
        ConflictError: It could not be read; with the remedy.
    """
    if not isinstance(webhook, Webhook):
        raise ConflictError(webhook.fault or "The webhook was read without its secrets.")
    return webhook


async def webhooks_by_id(connection: Connection, box: SecretBox, webhook_ids: list[UUID]) -> list[Subscription]:
    """Return the webhooks with these ids: with their secrets, where they can be read."""
    return [read(row, box) for row in await connection.fetch(_SQL["webhooks_by_id"], webhook_ids)]


async def lock_webhook(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID) -> Subscription | None:
    """Return a webhook of the group, with its secrets where it can be read, locked to the end of the transaction."""
    row = await connection.fetchrow(_SQL["lock_webhook"], group_id, webhook_id)
    return None if row is None else read(row, box)


async def managed_webhooks(connection: Connection, box: SecretBox, managed_by: str) -> list[Subscription]:
    """Return the webhooks that something manages, oldest first, with their secrets where they can be read."""
    return [read(row, box) for row in await connection.fetch(_SQL["managed_webhooks"], managed_by)]


async def list_webhooks(
    connection: Connection, group_id: str, *, limit: int, offset: int = 0, after: UUID | None = None
) -> list[Subscription]:
    """Return a page of the group's webhooks, newest first, without their secrets.

    Args:
        after: The last one of the page before; one that is gone has nothing after it.
    """
    return [read(row) for row in await connection.fetch(_SQL["list_webhooks"], group_id, limit, offset, after)]


async def troubled(connection: Connection, group_id: str, limit: int) -> list[Any]:
    """Return the group's webhooks that were set aside or disabled, and not by their owner, as rows."""
    rows: list[Any] = await connection.fetch(_SQL["troubled"], group_id, limit, LOOKED_THROUGH)
    return rows


async def webhooks_called(
    connection: Connection, group_id: str, words: str, *, after: UUID | None = None, limit: int
) -> tuple[list[Subscription], UUID | None]:
    """Return webhooks whose name or URL holds a text, newest first, without their secrets, and where to go on from.

    So does their id, for a text of eight letters and more: fewer would stand in many by chance.
    At most `LOOKED_THROUGH` are looked at; a page can be empty and there be more behind it.

    Args:
        words: The text; empty: any.
        after: Where the page before ended.
    """
    pattern = f"%{re.sub(_WILD, _ESCAPED, words)}%" if words else None
    rows = await connection.fetch(_SQL["webhooks_called"], group_id, pattern, after, limit + 1, LOOKED_THROUGH)
    found = [row for row in rows if row["matches"]]
    if len(found) > limit:
        return [read(row) for row in found[:limit]], found[limit - 1]["id"]
    is_end = not rows or rows[-1]["place"] < LOOKED_THROUGH
    return [read(row) for row in found], None if is_end else rows[-1]["id"]


# Changes ---------------------------------------------------------------------------------------------------------------
# Each is told to workers by its last statement, whose lock holds back every other change to the end of the transaction. What
# takes long, such as triggers, belongs before it.


async def insert_webhook(connection: Connection, box: SecretBox, webhook: Webhook) -> None:
    """Write a new webhook with its lane, its first version and the tables it names, and tell workers."""
    head = (webhook.group_id, webhook.profile, webhook.created_at)
    values = (*_values(webhook), *_sealed(webhook, box), webhook.managed_by, *_credentials(webhook, box))
    await connection.execute(_SQL["insert_webhook"], *head, *values)
    await put_tables(connection, webhook)
    await connection.execute(_SQL["record_changes"], [webhook.id], webhook.updated_at)


async def update_webhook(connection: Connection, box: SecretBox, webhook: W, *, was: Subscription) -> W:
    """Write a changed webhook, its lane and the tables it names; when it differs from what it was, as a new version.

    Its lane rests no longer: the owner has just looked after it. A `Subscription` keeps the secrets that are stored.

    Returns:
        The webhook, with its version.
    """
    is_new = webhook != msgspec.structs.replace(
        was, updated_at=webhook.updated_at, fault=webhook.fault, problems=webhook.problems
    )
    webhook = msgspec.structs.replace(webhook, version=was.version + is_new)
    secrets = _sealed(webhook, box) if isinstance(webhook, Webhook) and _secrets(webhook) != _secrets(was) else (None,) * 3
    credentials: tuple[Any, ...] = (False, None, None)
    if isinstance(webhook, Webhook) and not (isinstance(was, Webhook) and webhook.credentials == was.credentials):
        credentials = (True, *_credentials(webhook, box))
    head = (webhook.disabled_reason, webhook.updated_at, webhook.version, webhook.fault, webhook.profile)
    await connection.execute(_SQL["update_webhook"], *head, *_values(webhook), *secrets, *credentials)
    if webhook.tables != was.tables or was.problems:  # what named its tables could not be read
        await put_tables(connection, webhook)
    if is_new:
        await connection.execute(_SQL["record_changes"], [webhook.id], webhook.updated_at)
    return webhook


def _secrets(webhook: Subscription) -> tuple[Any, ...] | None:
    if not isinstance(webhook, Webhook):
        return None
    return (webhook.secret, webhook.previous_secret, webhook.previous_secret_until)


def _sealed(webhook: Webhook, box: SecretBox) -> tuple[Any, ...]:
    previous = webhook.previous_secret
    sealed = None if previous is None else box.seal(previous, webhook.id)
    return (box.seal(webhook.secret, webhook.id), sealed, webhook.previous_secret_until)


def _credentials(webhook: Webhook, box: SecretBox) -> tuple[str | None, bytes | None]:
    """Return what is shown of a webhook's credentials, and all of them, encrypted."""
    if webhook.credentials == NOTHING:
        return None, None
    whole = _encode(webhook.credentials).decode()
    return _encode(webhook.credentials_shown).decode(), box.seal(whole, webhook.id)


def _values(webhook: Subscription) -> tuple[Any, ...]:
    """Return what both statements write, in the order of their parameters."""
    return (
        webhook.id,
        webhook.name,
        webhook.description,
        webhook.url,
        webhook.enabled,
        _encode([filter_to_json(wanted) for wanted in webhook.events]).decode(),
        webhook.asymmetric,
        None if webhook.signature is None else _encode(webhook.signature).decode(),
        webhook.body_template,
        webhook.jwt_enabled,
        webhook.method,
        _encode(webhook.headers).decode(),
        webhook.timeout_seconds,
        _encode(webhook.retry).decode(),
        webhook.concurrency,
        webhook.rate_per_second,
        webhook.ordered,
    )


async def put_tables(connection: Connection, webhook: Subscription) -> None:
    """Write down which tables a webhook names."""
    named = [(schema, table, operation) for (schema, table), wanted in webhook.tables.items() for operation in sorted(wanted)]
    schemas, tables, operations = zip(*named, strict=True) if named else ((), (), ())
    await connection.execute(_SQL["put_tables"], webhook.id, schemas, tables, operations)


async def tell_changed(connection: Connection, webhook_ids: list[UUID]) -> None:
    """Keep the present state of webhooks as a version, and tell workers of it: the last statement of a transaction."""
    await connection.execute(_SQL["record_changes"], webhook_ids, None)


async def lock_rows(connection: Connection, webhook_ids: list[UUID]) -> None:
    """Keep others from changing webhooks until the transaction ends."""
    await connection.execute(_SQL["lock_rows"], webhook_ids)


async def disable_webhooks(connection: Connection, webhook_ids: list[UUID], reason: str) -> list[UUID]:
    """Disable webhooks, with the reason their owners will see; return those that were not before."""
    disabled = [row["id"] for row in await connection.fetch(_SQL["disable_webhooks"], webhook_ids, reason)]
    if disabled:
        await connection.execute(_SQL["record_changes"], disabled, None)
    return disabled


async def delete_webhook(connection: Connection, webhook_id: UUID) -> None:
    """Delete a webhook and its lane; its versions stay. Its unfinished deliveries are ended by `queue.cancel_of_webhook`."""
    await connection.execute(_SQL["delete_webhook"], webhook_id)
    await connection.execute(_SQL["record_changes"], [webhook_id], None)


async def set_aside(connection: Connection, webhooks: list[tuple[UUID, int, str]]) -> list[UUID]:
    """Write down why webhooks cannot be read and close their lanes, in the caller's transaction.

    What waits for one is delivered once it is changed so that it can be read. One that is being changed now is left as it is;
    its lane rests for a second.

    Args:
        webhooks: Of each its id, the version that was read, and the sentence.

    Returns:
        Those of which it was not known.
    """
    rows = await connection.fetch(_SQL["set_aside"], *map(list, zip(*webhooks, strict=True)))
    return [row["id"] for row in rows]
