"""Integrations, the objects they told of, and the notices that were received."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.errors import ConflictError, StartupError
from tidings.core.notice import PLATFORMS, ObjectNews, Stored
from tidings.core.webhook import SIGNATURE_FORMATS
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("integrations")
MAX_TYPE_LENGTH = 200  # characters kept of what a sender calls its notice


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a system signs that is not known by name.

    Attributes:
        header: Where the signature is.
        format: As of a webhook's own signature: `hex`, `sha256=hex`, `base64`, or `t=,v1=`.
        id_header: Where the notice's id is; None: its body's `id`, or its digest.
        deployed_types: Types that say that a site was deployed.
    """

    header: str = "x-signature"
    format: str = "hex"
    id_header: str | None = None
    deployed_types: tuple[str, ...] = ()


class Integration(msgspec.Struct, frozen=True):
    """A system that sends notices to `/in/<name>`."""

    id: UUID
    group_id: str
    name: str
    platform: str
    secret: str
    settings: Settings
    enabled: bool
    created_at: datetime
    updated_at: datetime
    problems: dict[str, str] = {}

    @property
    def fault(self) -> str | None:
        """Why it is set aside, with the remedy; None: all of it can be read."""
        if not self.problems:
            return None
        remedy = f"Change integration {self.name} and write {'it' if len(self.problems) == 1 else 'them'} anew."
        said = " ".join(self.problems.values())
        return f"Set aside, since {' and '.join(self.problems)} cannot be read. {said} {remedy}"


class Refusals(msgspec.Struct, frozen=True):
    """How many notices of an integration were refused for a reason.

    Attributes:
        reason: `disconnected`, `signature`, `replayed`, `body` or `fault`.
        said: What the sender of the last one was told.
    """

    integration_id: UUID
    reason: str
    count: int
    said: str
    first_at: datetime
    last_at: datetime


def from_row(row: Any, box: SecretBox) -> Integration:
    """Read a row as far as it can be: one that was sealed under another key, or changed by hand, stops nobody."""
    values, problems = dict(row), {}
    try:
        values["secret"] = box.open(row["secret"], row["id"])
    except StartupError as error:
        values["secret"], problems["secret"] = "", error.message
    try:
        values["settings"] = _read_settings(row["settings"])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        values["settings"], problems["settings"] = Settings(), f"settings: {error}."
    if row["platform"] not in PLATFORMS:
        problems["platform"] = f"There is no platform {row['platform']!r}."
    return Integration(**values, problems=problems)


def _read_settings(text: str) -> Settings:
    settings = msgspec.json.decode(text, type=Settings)
    if settings.format not in SIGNATURE_FORMATS:
        raise ValueError(f"There is no format {settings.format!r}")
    return settings


async def insert(connection: Connection, box: SecretBox, made: Integration) -> None:
    """Write a new integration.

    Raises:
        ConflictError: The name is taken.
    """
    sealed, settings = box.seal(made.secret, made.id), msgspec.json.encode(made.settings).decode()
    try:
        await connection.execute(
            _SQL["insert"], made.id, made.group_id, made.name, made.platform, sealed, settings, made.created_at
        )
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"There is an integration {made.name!r} already. Choose another name.") from error


async def update(connection: Connection, box: SecretBox, changed: Integration) -> None:
    """Write a changed integration."""
    sealed, settings = box.seal(changed.secret, changed.id), msgspec.json.encode(changed.settings).decode()
    await connection.execute(_SQL["update"], changed.id, sealed, settings, changed.enabled, changed.updated_at)


async def delete(connection: Connection, integration_id: UUID) -> None:
    """Delete an integration with its objects."""
    await connection.execute(_SQL["delete"], integration_id)


async def get(connection: Connection, box: SecretBox, name: str) -> Integration | None:
    """Return the integration of that name, of whichever group."""
    row = await connection.fetchrow(_SQL["get"], name)
    return None if row is None else from_row(row, box)


async def list_integrations(
    connection: Connection, box: SecretBox, group_id: str, *, limit: int, offset: int
) -> list[Integration]:
    """Return a page of the group's integrations, in order of their names."""
    return [from_row(row, box) for row in await connection.fetch(_SQL["list"], group_id, limit, offset)]


async def remember_notice(
    connection: Connection, integration_id: UUID, notice_id: str, digest: bytes, now: datetime, *, type_: str
) -> bool:
    """Remember a notice; False: it was known."""
    kept = type_[:MAX_TYPE_LENGTH]
    return await connection.fetchval(_SQL["remember_notice"], integration_id, notice_id, digest, now, kept) is not None


async def list_notices(connection: Connection, integration_id: UUID, *, limit: int) -> list[Any]:
    """Return the last notices of an integration as rows, newest first."""
    rows: list[Any] = await connection.fetch(_SQL["list_notices"], integration_id, limit)
    return rows


async def count_refusals(connection: Connection, refusals: Sequence[Refusals]) -> None:
    """Add to how many notices were refused."""
    columns = zip(*((r.integration_id, r.reason, r.count, r.said, r.first_at, r.last_at) for r in refusals), strict=True)
    await connection.execute(_SQL["count_refusals"], *columns)


async def list_refusals(connection: Connection, integration_id: UUID) -> list[Refusals]:
    """Return how many notices of an integration were refused, by reason, the last one first."""
    rows = await connection.fetch(_SQL["list_refusals"], integration_id)
    return [
        Refusals(integration_id, row["reason"], row["refused_count"], row["said"], row["first_at"], row["last_at"])
        for row in rows
    ]


async def id_of_digest(connection: Connection, integration_id: UUID, digest: bytes) -> str | None:
    """Return the id under which the same content came before."""
    found: str | None = await connection.fetchval(_SQL["id_of_digest"], integration_id, digest)
    return found


async def forget_notices(connection: Connection, older_than: datetime) -> None:
    """Forget notices that history no longer holds."""
    await connection.execute(_SQL["forget_notices"], older_than)


async def lock_object(connection: Connection, integration_id: UUID, news: ObjectNews) -> Stored | None:
    """Return an object as it is known; nobody else changes it until the transaction ends."""
    await connection.execute(_SQL["lock_object"], integration_id, news.type, news.id)
    row = await connection.fetchrow(_SQL["get_object"], integration_id, news.type, news.id)
    return None if row is None else Stored(row["version"], row["data"])


async def put_object(connection: Connection, integration_id: UUID, news: ObjectNews, now: datetime) -> None:
    """Write an object as it is known now."""
    await connection.execute(_SQL["put_object"], integration_id, news.type, news.id, news.version, news.data, now)


async def list_objects(
    connection: Connection, integration_id: UUID, *, type_: str | None, limit: int, offset: int
) -> list[Any]:
    """Return a page of an integration's objects as rows."""
    rows: list[Any] = await connection.fetch(_SQL["list_objects"], integration_id, type_, limit, offset)
    return rows


async def object_ids(connection: Connection, integration_id: UUID, types: Sequence[str]) -> set[tuple[str, str]]:
    """Return type and id of each object of these types."""
    rows = await connection.fetch(_SQL["object_ids"], integration_id, types)
    return {(row["object_type"], row["object_id"]) for row in rows}
