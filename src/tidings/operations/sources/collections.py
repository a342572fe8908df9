"""Collections: a table for records of one shape each, and webhooks for their triggers."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from tidings.core.audit import Action
from tidings.core.errors import InvalidInputError
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.operations.sources.triggers import keep_triggers, parse_triggers
from tidings.sources import collections
from tidings.store.collections import Collection
from tidings.store.collections import list_collections as listed

_REPEAT = "Only with this name does a collection, and all that is in it, go."


async def create(
    services: Services,
    name: str,
    *,
    kind: str = "base",
    fields: Sequence[Any] = (),
    options: dict[str, Any] | None = None,
    author: str | None = None,
) -> Collection:
    """Create a collection: a table for its records, and a webhook for each of its triggers, in one transaction.

    Args:
        kind: `base` or `auth`.
        fields: As callers write them, such as `{"name": "title", "type": "text"}`.
        options: With `triggers`, if any.

    Raises:
        ConflictError: There is one of that name.
        InvalidInputError: With the field and the reason.
    """
    triggers = await parse_triggers(services, options or {})
    async with services.database.transaction() as connection:
        made = await collections.create(
            connection,
            services.clock,
            services.group_id,
            name=name,
            kind=kind,
            fields=list(fields),
            options=options or {},
            author=author,
        )
        await keep_triggers(services, connection, made, triggers)
        await audit.note(services, connection, Action.COLLECTION_CREATED, made.id, made.name, after=made)
        return made


async def list_collections(services: Services, *, limit: int, offset: int = 0) -> list[Collection]:
    """Return a page of collections, in order of their names."""
    async with services.database.connection() as connection:
        return await listed(connection, services.group_id, limit=limit, offset=offset)


async def read(services: Services, name: str) -> Collection:
    """Return a collection.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return await collections.found(connection, services.group_id, name)


async def change(
    services: Services,
    name: str,
    *,
    kind: str | UnsetType = UNSET,
    fields: Sequence[Any] | None = None,
    options: dict[str, Any] | None = None,
    drop: Sequence[str] = (),
) -> Collection:
    """Change what is given of a collection. A change of the fields that would lose data is refused, with what to do.

    Args:
        kind: The same as it is; it cannot be changed.
        fields: All of them.
        options: All of them; what is no longer among their triggers loses its webhook.
        drop: Fields whose values may be lost by this change.

    Raises:
        ConflictError: Data would be lost.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    triggers = None if options is None else await parse_triggers(services, options)
    async with services.database.transaction() as connection:
        before = await collections.found(connection, services.group_id, name)
        if kind is not UNSET and kind != before.type:
            raise InvalidInputError("type", "type cannot be changed; create another collection.")
        made = await collections.change(
            connection,
            services.clock,
            services.group_id,
            name,
            fields=None if fields is None else list(fields),
            options=options,
            drop=list(drop),
        )
        if triggers is not None:
            await keep_triggers(services, connection, made, triggers)
        await audit.note(services, connection, Action.COLLECTION_CHANGED, made.id, made.name, before=before, after=made)
        return made


async def remove(services: Services, name: str, *, confirm: str | None) -> None:
    """Delete a collection with all its records and triggers.

    Args:
        confirm: Its name again, since nothing brings it back.

    Raises:
        InvalidInputError: It is not confirmed.
        NotFoundError: There is none.
    """
    if confirm != name:
        raise InvalidInputError("confirm", f"confirm must be {name!r}. {_REPEAT}")
    async with services.database.transaction() as connection:
        gone = await collections.remove(connection, services.clock, services.group_id, name)
        await keep_triggers(services, connection, gone, [])
        await audit.note(services, connection, Action.COLLECTION_DELETED, gone.id, gone.name, before=gone)
