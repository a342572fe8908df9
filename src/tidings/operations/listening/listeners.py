"""Listeners: made or found by name, listed, deleted; what waits for one, skipped."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.audit import Action
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.listening import MAX_LISTENERS, MAX_NAME_LENGTH, MAX_WAITING, QUICK, SKIPPED
from tidings.core.text import check_text
from tidings.core.webhook import LISTENER, Subscription, Webhook
from tidings.operations import audit
from tidings.operations.listening.mirrors import standing_of
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.operations.webhooks.secret_forms import fits
from tidings.operations.webhooks.shown import on_record
from tidings.profiles import PROFILES
from tidings.sources import tables
from tidings.store import listening, queue, webhooks
from tidings.store.database import Connection

_NOWHERE: Final = (
    "https://listener.invalid/"  # RFC 2606: no such name is ever found, should a worker of an older version call it
)


class ListenerAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which listener: its name, and what it hears: `events`, with a profile, or what a webhook hears, as that is told it.

    With neither it hears everything.
    """

    name: str
    webhook_id: UUID | None = None
    events: list[Any] | str | UnsetType = UNSET
    profile: str | UnsetType = UNSET


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener as it is shown.

    Attributes:
        id: Of the webhook that it is: its deliveries are found by that.
        webhook_id: The webhook whose settings it has; None: its own.
        enabled: It hears what happens; False: because of `reason`.
        waiting: Deliveries that no client has taken yet.
        under_way: Those that clients have.
        clients: How many are connected.
        heard_at: When one of them asked last.
        held_until: Until when nothing is given out: the receiver asked to be left alone (Retry-After), or, with order, what is
            first waits for its next attempt; None: it is not held.
        secret: Verifies its deliveries; in the answer to its making alone, and not of a webhook that it mirrors.
    """

    id: UUID
    name: str
    webhook_id: UUID | None
    events: list[Any]
    profile: str
    timeout_seconds: float
    enabled: bool
    reason: str | None
    waiting: int
    under_way: int
    clients: int
    created_at: datetime
    heard_at: datetime
    held_until: datetime | None
    secret: str | UnsetType = UNSET


async def open_listener(services: Services, asked: ListenerAsked) -> Listener:
    """Return the listener of a name, made when there is none, and changed when it hears something else.

    Raises:
        ConflictError: The group has as many listeners as it may have, or the webhook cannot be mirrored.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such webhook to mirror.
    """
    _check(asked)
    async with services.database.connection() as connection:
        there_is = await listening.called(connection, services.group_id, asked.name)
        webhook = None
        if there_is is not None and there_is[1] == asked.webhook_id:
            before = await webhooks.open_webhook(connection, services.box, services.group_id, there_is[0])
            if before is not None and _is_same(before, await _wanted(services, connection, asked, before)):
                webhook = before
    if webhook is None:
        webhook = await _make(services, asked)
    listener = await read(services, webhook.id)
    return listener if asked.webhook_id is not None else msgspec.structs.replace(listener, secret=webhook.secret)


async def list_listeners(services: Services) -> list[Listener]:
    """Return the group's listeners, by name."""
    async with services.database.connection() as connection:
        return [_shown(row) for row in await listening.find(connection, services.group_id, None, MAX_LISTENERS)]


async def read(services: Services, listener_id: UUID) -> Listener:
    """Return a listener.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        rows = await listening.find(connection, services.group_id, listener_id, 1)
    return _shown(there(rows[0] if rows else None, f"There is no listener {listener_id}."))


async def remove(services: Services, listener_id: UUID) -> None:
    """Delete a listener. What waits for it is cancelled.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        await listening.hear(connection, listener_id)  # its row first, as its clients lock them
        webhook = await listened(services, connection, listener_id)
        await tables.keep_in_step(connection, was=webhook)
        await queue.cancel_of_webhook(connection, listener_id)
        await webhooks.delete_webhook(connection, listener_id)
        await audit.note(services, connection, Action.WEBHOOK_DELETED, listener_id, webhook.name, before=on_record(webhook))


async def skip(services: Services, listener_id: UUID) -> int:
    """Cancel what waits for a listener, and return how many deliveries that were. It is held no longer.

    Raises:
        NotFoundError: There is none.
    """
    count = 0
    while True:
        async with services.database.transaction() as connection:
            webhook = await listened(services, connection, listener_id)
            skipped = await listening.skip(connection, listener_id, MAX_WAITING, SKIPPED)
            if not count:
                await audit.note(services, connection, Action.LISTENER_SKIPPED, listener_id, webhook.name)
            await listening.ring(connection, [listener_id])  # what comes now need not wait
        count += skipped
        if skipped < MAX_WAITING:
            return count


async def listened(services: Services, connection: Connection, listener_id: UUID) -> Subscription:
    """Return the webhook that a listener is.

    Raises:
        NotFoundError: There is no such listener.
    """
    webhook = await webhooks.get_webhook(connection, services.group_id, listener_id)
    return there(webhook if webhook is not None and webhook.is_listener else None, f"There is no listener {listener_id}.")


def _check(asked: ListenerAsked) -> None:
    check_text(asked.name, "name")
    if not 1 <= len(asked.name) <= MAX_NAME_LENGTH or asked.name != asked.name.strip():
        raise InvalidInputError("name", f"name must have 1 to {MAX_NAME_LENGTH} characters, and no blanks around them.")
    if asked.webhook_id is not None:
        for field in ("events", "profile"):
            if getattr(asked, field) is not UNSET:
                raise InvalidInputError(field, f"{field} does not go with webhook_id, whose own it takes; leave one out.")


async def _make(services: Services, asked: ListenerAsked) -> Webhook:
    async with services.database.transaction() as connection:
        await listening.lock_names(connection, services.group_id)
        there_is = await listening.called(connection, services.group_id, asked.name)
        if there_is is None:
            if await listening.count(connection, services.group_id) >= MAX_LISTENERS:
                raise ConflictError(
                    f"The group has {MAX_LISTENERS} listeners, and no room for another. Delete one: tidings listeners delete."
                )
            if asked.webhook_id is not None:  # who changes it now finds this one, or is found by it
                await webhooks.lock_webhook(connection, services.box, services.group_id, asked.webhook_id)
            wanted = await _wanted(services, connection, asked, None)
            made, _ = await subscriptions.add(services, connection, wanted)
            await listening.add(connection, made.id, services.group_id, asked.name, asked.webhook_id)
            return made
        locked = await webhooks.lock_webhook(connection, services.box, services.group_id, there_is[0])
        before = webhooks.readable(found(locked, there_is[0]))
        wanted = await _wanted(services, connection, asked, before)
        await listening.mirror(connection, before.id, asked.webhook_id)
        if _is_same(before, wanted):
            return before
        wanted = msgspec.structs.replace(
            wanted,
            events=await tables.resolve_filters(
                connection, wanted.events, wanted.group_id, are_elsewhere=services.are_tables_elsewhere
            ),
            updated_at=services.clock.now(),
        )
        await tables.keep_in_step(connection, needed_by=wanted, was=before)
        await queue.announce(connection)
        states: dict[str, Any] = {"before": on_record(before), "after": on_record(wanted)}
        await audit.note(services, connection, Action.WEBHOOK_CHANGED, wanted.id, wanted.name, **states)
        return await webhooks.update_webhook(connection, services.box, wanted, was=before)


async def _wanted(services: Services, connection: Connection, asked: ListenerAsked, before: Webhook | None) -> Webhook:
    """Return the webhook that a listener should be."""
    now = services.clock.now()
    url = f"{_NOWHERE}{quote(asked.name, safe='')}"
    own: dict[str, Any] = {
        "id": uuid4() if before is None else before.id,
        "created_at": now if before is None else before.created_at,
        "updated_at": now,
        "version": 1 if before is None else before.version,
        "name": asked.name,
        "url": url,
        "managed_by": f"{LISTENER}{asked.name}",
        **standing_of(before),
    }
    if asked.webhook_id is not None:
        return msgspec.structs.replace(await _mirrored(services, connection, asked.webhook_id), **own, rate_per_second=None)
    events = ["*"] if asked.events is UNSET else asked.events
    change = WebhookChange(name=asked.name, url=url, events=events, profile=asked.profile)
    drafted, _ = subscriptions.draft(services, change)
    drafted = msgspec.structs.replace(drafted, **own, retry=QUICK)
    if before is None or not fits(before.secret, PROFILES[drafted.profile]):
        return drafted
    kept = {name: getattr(before, name) for name in ("secret", "previous_secret", "previous_secret_until")}
    return msgspec.structs.replace(
        drafted,
        **kept,
        events=await tables.resolve_filters(
            connection, drafted.events, drafted.group_id, are_elsewhere=services.are_tables_elsewhere
        ),
    )


async def _mirrored(services: Services, connection: Connection, webhook_id: UUID) -> Webhook:
    webhook = found(await webhooks.open_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
    if webhook.is_listener:
        raise ConflictError("This webhook is a listener itself. Name a webhook, or events.")
    if not webhook.events:
        raise ConflictError("This webhook hears its job's ticks alone, which go nowhere else. Name events instead.")
    return webhook


def _is_same(before: Webhook, wanted: Webhook) -> bool:
    return before == msgspec.structs.replace(wanted, updated_at=before.updated_at)


def _shown(row: Any) -> Listener:
    return Listener(
        id=row["id"],
        name=row["name"],
        webhook_id=row["mirrors"],
        events=msgspec.json.decode(row["events"]),
        profile=row["profile"],
        timeout_seconds=row["timeout_seconds"],
        enabled=row["enabled"],
        reason=row["fault"] or row["disabled_reason"],
        waiting=row["waiting"],
        under_way=row["under_way"],
        clients=row["clients"],
        created_at=row["created_at"],
        heard_at=row["heard_at"],
        held_until=row["held_until"],
    )
