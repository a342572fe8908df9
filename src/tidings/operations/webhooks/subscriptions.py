"""Webhooks: create, read, change, remove."""

from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.audit import Action
from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError
from tidings.core.warned import Warned
from tidings.core.webhook import Subscription, Webhook
from tidings.operations import audit, egress
from tidings.operations.listening import mirrors
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.webhooks import credentials, warnings
from tidings.operations.webhooks.changes import WebhookChange, changed, drafted
from tidings.operations.webhooks.room import check_room
from tidings.operations.webhooks.shapes import Choice, Shape, chosen_profile, shape_of
from tidings.operations.webhooks.shown import on_record
from tidings.operations.webhooks.unheard import check_spoken
from tidings.sources import tables
from tidings.sources.tables import TableState
from tidings.store import listening, queue, webhook_versions, webhooks
from tidings.store.database import Connection
from tidings.store.webhook_versions import Version

_WHERE = {
    "collection": "Change the triggers in the collection's options",
    "listener": "Say to `tidings listen` what it hears, or delete it with `tidings listeners delete`,",
}

W = TypeVar("W", bound=Subscription)
W_co = TypeVar("W_co", bound=Subscription, covariant=True)


class Standing(msgspec.Struct, Generic[W_co], frozen=True):
    """A webhook, and how each table it names is doing. `warnings`: of one that was changed, what it will not hear."""

    webhook: W_co
    tables: list[TableState]
    warnings: list[Warned] = []


class Made(msgspec.Struct, frozen=True):
    """A webhook that was created.

    Attributes:
        reason: Why it has its profile, in a sentence.
        warnings: What it will not hear.
    """

    webhook: Webhook
    tables: list[TableState]
    reason: str
    warnings: list[Warned] = []


async def create(services: Services, asked: WebhookChange) -> Made:
    """Create a webhook, and put triggers on the tables it names, in one transaction.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if asked.url is not UNSET:
        await egress.check_callable(services, asked.url)
    webhook, reason = draft(services, asked)
    await _check_token_url(services, webhook)
    async with services.database.transaction() as connection:
        webhook, states = await add(services, connection, webhook)
        return Made(webhook, states, reason, await warnings.read(services, connection, webhook, states))


async def add(services: Services, connection: Connection, webhook: Webhook) -> tuple[Webhook, list[TableState]]:
    """Write a new webhook in a transaction, with the triggers on the tables that it names, and return it with their states.

    Raises:
        InvalidInputError: A table is not there.
        LimitReachedError: The group has as many as it may.
    """
    webhook = await _with_tables(services, connection, webhook)
    await tables.keep_in_step(connection, needed_by=webhook)
    states = await tables.table_states(connection, webhook)
    await check_room(services, connection)
    await webhooks.insert_webhook(connection, services.box, webhook)
    await audit.note(services, connection, Action.WEBHOOK_CREATED, webhook.id, webhook.name, after=on_record(webhook))
    return webhook, states


def draft(services: Services, asked: WebhookChange) -> tuple[Webhook, str]:
    """Return the webhook that would be created, and why it has its profile.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    choice, shape = choice_of(services, asked)
    try:
        check_spoken(choice, shape)
        now = services.clock.now()
        return drafted(asked, group_id=services.group_id, default_profile=choice.profile, now=now), choice.reason
    except InvalidInputError as error:
        if asked.profile is UNSET and error.field.startswith(("events", "secret")):
            raise InvalidInputError(
                error.field, f"{error.message} It is read as profile {choice.profile}: {choice.reason}"
            ) from error
        raise


def choice_of(services: Services, asked: WebhookChange) -> tuple[Choice, Shape]:
    """Return the profile of the webhook that would be created, and what of it that follows from.

    Raises:
        InvalidInputError: There is no profile of the name that is asked for.
    """
    fields = (name for name in asked.__struct_fields__ if getattr(asked, name) is not UNSET)
    shape = shape_of(fields, asked.events or (), asked.secret or None)
    return chosen_profile(asked.profile or None, services.config.default_profile, shape), shape


async def list_webhooks(services: Services, *, limit: int, offset: int = 0, after: UUID | None = None) -> list[Subscription]:
    """Return the group's webhooks, newest first.

    Args:
        after: The last webhook of the page before.

    Raises:
        InvalidInputError: Both an offset and the last webhook are given.
        NotFoundError: There is no such webhook to go on from.
    """
    if after is not None and offset:
        raise InvalidInputError("offset", "offset does not go with a cursor, which knows its place; leave one out.")
    async with services.database.connection() as connection:
        if after is not None:
            last = await webhooks.get_webhook(connection, services.group_id, after)
            there(last, f"There is no webhook {after} to go on from.")
        return await webhooks.list_webhooks(connection, services.group_id, limit=limit, offset=offset, after=after)


async def read(services: Services, webhook_id: UUID) -> Standing[Subscription]:
    """Return a webhook, with the state of each table it names.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        return Standing(webhook, await tables.table_states(connection, webhook))


async def change(services: Services, webhook_id: UUID, asked: WebhookChange) -> Standing[Subscription]:
    """Change what is asked of a webhook; the rest stays.

    Raises:
        ConflictError: It is changed elsewhere, or nothing here can read it.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    if asked.url is not UNSET:
        await _check_other_url(services, webhook_id, asked.url)  # asks DNS, so not while a row is locked
    if isinstance(asked.auth, dict) and isinstance(token_url := asked.auth.get("token_url"), str):
        await egress.check_callable(services, token_url, "auth.token_url")
    now = services.clock.now()
    async with services.database.transaction() as connection:
        before = found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        webhook = changed(before, asked, now=now)
        if webhook is before or (webhook == before and not before.problems):  # credentials that are said again, too
            states = await tables.table_states(connection, before)
            return Standing(before, states, await warnings.read(services, connection, before, states))
        _own(before)
        await listening.lock_mirrors(connection, services.group_id, webhook_id)  # before tables are, as who listens does
        if webhook.events != before.events:
            webhook = await _with_tables(services, connection, webhook)
        webhook = msgspec.structs.replace(webhook, updated_at=now)
        await tables.keep_in_step(connection, needed_by=webhook, was=before)
        states = await tables.table_states(connection, webhook)
        await queue.announce(connection)
        changes: dict[str, Any] = {"before": on_record(before), "after": on_record(webhook)}
        await audit.note(services, connection, Action.WEBHOOK_CHANGED, webhook.id, webhook.name, **changes)
        if credentials.differ(webhook, before):
            changes = {"before": credentials.on_record(before), "after": credentials.on_record(webhook)}
            await audit.note(services, connection, Action.CREDENTIALS_CHANGED, webhook.id, webhook.name, **changes)
        if asked.secret not in {UNSET, None}:
            await audit.note(services, connection, Action.SECRET_ROTATED, webhook.id, webhook.name)
        webhook = await webhooks.update_webhook(connection, services.box, webhook, was=before)
        await mirrors.follow(services, connection, webhook.id)
        return Standing(webhook, states, await warnings.read(services, connection, webhook, states))


async def remove(services: Services, webhook_id: UUID) -> None:
    """Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends.

    Raises:
        ConflictError: It belongs to a collection or a job.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        webhook = _own(found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id))
        await tables.keep_in_step(connection, was=webhook)
        await queue.cancel_of_webhook(connection, webhook_id)
        await webhooks.delete_webhook(connection, webhook_id)
        await audit.note(services, connection, Action.WEBHOOK_DELETED, webhook.id, webhook.name, before=on_record(webhook))


async def changeable(services: Services, webhook_id: UUID) -> Subscription:
    """Return a webhook that is changed as itself, before anybody fills a form for nothing.

    Raises:
        ConflictError: It belongs to a collection or a job.
        NotFoundError: There is none.
    """
    return _own((await read(services, webhook_id)).webhook)


async def list_versions(services: Services, webhook_id: UUID, *, limit: int, before: int | None = None) -> list[Version]:
    """Return what a webhook was and what changed when, newest first. Versions outlive it, as long as history names them.

    Args:
        before: The last version of the page before.

    Raises:
        NotFoundError: There is no such webhook, and was none.
    """
    async with services.database.connection() as connection:
        page = await webhook_versions.list_versions(
            connection, services.box, services.group_id, webhook_id, before=before, limit=limit
        )
    if not page and before is None:
        raise NotFoundError(f"There is no webhook {webhook_id}.")
    return page


async def _check_token_url(services: Services, webhook: Webhook) -> None:
    """Refuse an endpoint of tokens that may not be called as its name resolves now."""
    if (url := credentials.token_url_of(webhook)) is not None:
        await egress.check_callable(services, url, "auth.token_url")


async def _check_other_url(services: Services, webhook_id: UUID, url: str) -> None:
    """Refuse a URL that may not be called, unless the webhook has it: a name that is gone refuses no other change."""
    async with services.database.connection() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
    if webhook.url != url or "url" in webhook.problems:
        await egress.check_callable(services, url)


def _own(webhook: W) -> W:
    """Refuse to change what follows from something else."""
    if webhook.managed_by is not None:
        kind = {"cron": "job"}.get(named := webhook.managed_by.partition(":")[0], named)
        where = _WHERE.get(kind, "Change the job itself")
        raise ConflictError(f"This webhook belongs to a {kind}. {where} instead.", managed_by=webhook.managed_by)
    return webhook


async def _with_tables(services: Services, connection: Connection, webhook: W) -> W:
    return msgspec.structs.replace(
        webhook,
        events=await tables.resolve_filters(
            connection, webhook.events, webhook.group_id, are_elsewhere=services.are_tables_elsewhere
        ),
    )
