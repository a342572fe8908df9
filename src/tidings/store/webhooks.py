"""Webhooks as rows."""

from typing import Any
from uuid import UUID

import msgspec

from tidings.core.retry import parse_policy
from tidings.core.routing import Routes
from tidings.core.vocabulary import Vocabulary
from tidings.core.webhook import (
    CollectionFilter,
    Filter,
    Signature,
    TableFilter,
    TypeFilter,
    Webhook,
    collection_filter,
    type_filter,
)
from tidings.profiles import PROFILES
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("webhooks")
_encode = msgspec.json.encode


def _filter_from_json(item: Any, vocabulary: Vocabulary) -> Filter:
    if isinstance(item, str):
        return type_filter(item, vocabulary)
    if "collection" in item:
        return collection_filter(item["collection"], item["actions"], vocabulary)
    return msgspec.convert(item, TableFilter)


def filter_to_json(wanted: Filter) -> Any:
    """Return a filter as the API and the database write it."""
    match wanted:
        case TypeFilter():
            return wanted.name
        case CollectionFilter():
            return {"collection": wanted.collection, "actions": list(wanted.actions)}
        case _:
            return msgspec.to_builtins(wanted)


def _from_row(row: Any, box: SecretBox) -> Webhook:
    vocabulary = PROFILES[row["profile"]].vocabulary
    signature = row["signature"]
    return Webhook(
        id=row["id"],
        group_id=row["group_id"],
        name=row["name"],
        description=row["description"],
        url=row["url"],
        enabled=row["enabled"],
        disabled_reason=row["disabled_reason"],
        profile=row["profile"],
        events=tuple(_filter_from_json(item, vocabulary) for item in msgspec.json.decode(row["events"])),
        secret=box.open(row["secret"], row["id"]),
        previous_secret=None if row["previous_secret"] is None else box.open(row["previous_secret"], row["id"]),
        previous_secret_until=row["previous_secret_until"],
        asymmetric=row["is_asymmetric"],
        signature=None if signature is None else msgspec.json.decode(signature, type=Signature),
        body_template=row["body_template"],
        jwt_enabled=row["jwt_enabled"],
        method=row["method"],
        headers=msgspec.json.decode(row["headers"]),
        timeout_seconds=row["timeout_seconds"],
        retry=parse_policy(msgspec.json.decode(row["retry"])),
        concurrency=row["concurrency"],
        rate_per_second=row["rate_per_second"],
        ordered=row["ordered"],
        managed_by=row["managed_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _events_json(webhook: Webhook) -> str:
    return _encode([filter_to_json(wanted) for wanted in webhook.events]).decode()


async def routes_version(connection: Connection) -> int:
    """Return the version of the subscriptions, as of this statement."""
    version: int = await connection.fetchval(_SQL["routes_version"])
    return version


async def load_routes(connection: Connection, box: SecretBox) -> Routes:
    """Return the index of all webhooks. The version is read first: a change in between is noticed next time."""
    version = await routes_version(connection)
    rows = await connection.fetch(_SQL["all_webhooks"])
    return Routes([_from_row(row, box) for row in rows], version)


async def all_webhooks(connection: Connection, box: SecretBox) -> list[Webhook]:
    """Return every webhook of every group."""
    return [_from_row(row, box) for row in await connection.fetch(_SQL["all_webhooks"])]


async def get_webhook(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID) -> Webhook | None:
    """Return a webhook of the group."""
    row = await connection.fetchrow(_SQL["get_webhook"], group_id, webhook_id)
    return None if row is None else _from_row(row, box)


async def webhooks_by_id(connection: Connection, box: SecretBox, webhook_ids: list[UUID]) -> list[Webhook]:
    """Return the webhooks with these ids."""
    return [_from_row(row, box) for row in await connection.fetch(_SQL["webhooks_by_id"], webhook_ids)]


async def lock_webhook(connection: Connection, box: SecretBox, group_id: str, webhook_id: UUID) -> Webhook | None:
    """Return a webhook of the group, locked to the end of the transaction."""
    row = await connection.fetchrow(_SQL["lock_webhook"], group_id, webhook_id)
    return None if row is None else _from_row(row, box)


async def managed_webhooks(connection: Connection, box: SecretBox, managed_by: str) -> list[Webhook]:
    """Return the webhooks that something manages, oldest first."""
    return [_from_row(row, box) for row in await connection.fetch(_SQL["managed_webhooks"], managed_by)]


async def list_webhooks(connection: Connection, box: SecretBox, group_id: str, *, limit: int, offset: int) -> list[Webhook]:
    """Return a page of the group's webhooks, newest first."""
    rows = await connection.fetch(_SQL["list_webhooks"], group_id, limit, offset)
    return [_from_row(row, box) for row in rows]


async def insert_webhook(connection: Connection, box: SecretBox, webhook: Webhook) -> None:
    """Write a new webhook and its lane, and tell dispatchers."""
    await connection.execute(
        _SQL["insert_webhook"],
        webhook.group_id,
        webhook.profile,
        webhook.created_at,
        *_values(webhook, box),
        webhook.managed_by,
    )
    await connection.execute(_SQL["bump_routes_version"])


async def update_webhook(connection: Connection, box: SecretBox, webhook: Webhook) -> None:
    """Write a changed webhook and its lane, and tell dispatchers."""
    await connection.execute(_SQL["update_webhook"], webhook.disabled_reason, webhook.updated_at, *_values(webhook, box))
    await connection.execute(_SQL["bump_routes_version"])


def _values(webhook: Webhook, box: SecretBox) -> tuple[Any, ...]:
    """Return what both statements write, in the order of their parameters."""
    previous = webhook.previous_secret
    return (
        webhook.id,
        webhook.name,
        webhook.description,
        webhook.url,
        webhook.enabled,
        _events_json(webhook),
        box.seal(webhook.secret, webhook.id),
        None if previous is None else box.seal(previous, webhook.id),
        webhook.previous_secret_until,
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


async def disable_webhooks(connection: Connection, webhook_ids: list[UUID], reason: str) -> None:
    """Disable webhooks, with the reason their owners will see."""
    await connection.execute(_SQL["disable_webhooks"], webhook_ids, reason)


async def delete_webhook(connection: Connection, webhook_id: UUID) -> None:
    """Delete a webhook and its lane. Its unfinished deliveries are ended by `queue.cancel_of_webhook`."""
    await connection.execute(_SQL["delete_webhook"], webhook_id)
    await connection.execute(_SQL["bump_routes_version"])
