"""Versions of webhooks: what each attempt in history was made from, and what changed when.

They are written with the webhook (`webhooks.record_changes`) and outlive it, until no history names them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import StartupError
from tidings.core.webhook import Webhook
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load
from tidings.store.webhook_rows import read

_SQL = load("webhook_versions")

HIDDEN = "(hidden)"

# Columns in which two versions may differ, by the names the API has for them; those that are JSON, and those that are secret.
_FIELDS = {
    name: name
    for name in (
        "name", "description", "url", "enabled", "disabled_reason", "profile", "events", "secret", "previous_secret",
        "previous_secret_until", "signature", "body_template", "jwt_enabled", "method", "headers", "timeout_seconds",
        "retry", "concurrency", "rate_per_second", "ordered",
    )
} | {"is_asymmetric": "asymmetric", "sealed_credentials": "credentials"}  # fmt: skip
_JSON = frozenset({"sealed_credentials", "events", "signature", "headers", "retry"})
_SECRET = frozenset({"secret", "previous_secret", "sealed_credentials"})


class Version(msgspec.Struct, frozen=True):
    """A version of a webhook, for its history.

    Attributes:
        superseded_at: When the next one was made, or the webhook was deleted; None for the present one.
        changes: Field to what it was in the version before and what it is in this one; secrets are not shown. Empty when the
            version before is not kept, as for the first one.
    """

    version: int
    created_at: datetime
    superseded_at: datetime | None
    changes: dict[str, tuple[Any, Any]]


async def version_of(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID, version: int) -> Webhook | None:
    """Return a webhook of the group as it was in a version, deleted or not; None when that is not kept or cannot be read."""
    found = (await versions_of(connection, box, [(webhook_id, version)])).get((webhook_id, version))
    return found if found is not None and found.group_id == group_id else None


async def versions_of(
    connection: Connection, box: SecretBox, wanted: Iterable[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Webhook]:
    """Return webhooks as they were in versions, deleted or not. What is not kept or cannot be read is left out."""
    pairs = list(wanted)
    ids, numbers = [webhook_id for webhook_id, _ in pairs], [number for _, number in pairs]
    rows = await connection.fetch(_SQL["versions_by_number"], ids, numbers)
    read_as = {(row["webhook_id"], row["version"]): read(_as_webhook(row), box) for row in rows}
    return {key: webhook for key, webhook in read_as.items() if isinstance(webhook, Webhook)}


def _as_webhook(row: Any) -> dict[str, Any]:
    """Return the row of a version as the row of a webhook."""
    own = {
        "id": row["webhook_id"],
        "created_at": row["webhook_created_at"],
        "updated_at": row["created_at"],
        "fault": None,
        "narrowing": None,
    }
    return dict(row) | own


async def list_versions(
    connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID, *, before: int | None, limit: int
) -> list[Version]:
    """Return a page of a webhook's versions, newest first, deleted or not.

    Args:
        before: The last number of the page before; None: the first page.
    """
    rows = await connection.fetch(_SQL["list_versions"], group_id, webhook_id, before, limit + 1)
    older = [*rows[1:], None]  # one more than is shown, to compare the last one with
    return [_version(row, previous, box) for row, previous in zip(rows[:limit], older, strict=False)]


async def secret_before(connection: Connection, box: SecretBox, webhook: Webhook, now: datetime, *, limit: int) -> str | None:
    """Return the last secret that a webhook had and that signs nothing now; None: its last versions tell of none."""
    signing = {webhook.secret}
    if webhook.previous_secret_until is not None and webhook.previous_secret_until > now:
        signing.add(webhook.previous_secret or "")
    rows = await connection.fetch(_SQL["list_versions"], webhook.group_id, webhook.id, None, limit)
    for row in rows:
        was = read(_as_webhook(row), box)
        if isinstance(was, Webhook) and was.profile == webhook.profile and was.secret not in signing:
            return was.secret
    return None


def _version(row: Any, previous: Any | None, box: SecretBox) -> Version:
    changed = [column for column in _FIELDS if _differs(column, row, previous, box)] if previous is not None else []
    changes = {_FIELDS[column]: (_shown(previous, column), _shown(row, column)) for column in changed}
    return Version(row["version"], row["created_at"], row["superseded_at"], changes)


def _differs(column: str, row: Any, previous: Any, box: SecretBox) -> bool:
    if column not in _SECRET or None in (row[column], previous[column]):
        return bool(_shown(row, column) != _shown(previous, column))
    try:  # one secret encrypted twice has two texts
        return box.open(row[column], row["webhook_id"]) != box.open(previous[column], row["webhook_id"])
    except StartupError:
        return True


def _shown(row: Any, column: str) -> Any:
    value = row["credentials" if column == "sealed_credentials" else column]  # which says by itself what is hidden
    if value is None:
        return None
    if column in {"secret", "previous_secret"}:
        return HIDDEN
    try:
        return msgspec.json.decode(value) if column in _JSON else value
    except (msgspec.MsgspecError, RecursionError):  # a number that no double holds, say: shown as it is stored
        return value


async def forget_versions(connection: Connection, limit: int) -> None:
    """Forget versions that no history names any more, so many at most, the oldest first."""
    await connection.execute(_SQL["forget_versions"], limit)
