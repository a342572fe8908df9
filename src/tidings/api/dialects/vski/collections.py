"""`/api/collections` and `/api/v1/collections`: collections in the shapes of seed 003's system, and their triggers.

A trigger in a collection's options is a webhook with profile `vski`. Triggers are told apart by action, method and URL: what
stays the same keeps its webhook, and so its history and what is under way.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit, Offset
from tidings.core.collection import Field
from tidings.core.errors import InvalidInputError
from tidings.core.vocabulary import CONTENT_ACTIONS
from tidings.core.webhook import MAX_NAME_LENGTH, CollectionFilter, Subscription
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import WebhookChange, changed, drafted, headers_of, repaired
from tidings.operations.webhooks.subscriptions import check_webhook_url
from tidings.sources import collections
from tidings.store import queue, webhooks
from tidings.store.collections import Collection
from tidings.store.collections import list_collections as listed
from tidings.store.database import Connection

MAX_TRIGGERS = 50
MAX_TRIES = 100  # seed 003's system draws the line here
_REPEAT = "Only with this name does a collection, and all that is in it, go."


class Trigger(msgspec.Struct, frozen=True):
    """One of `options.triggers`: what is sent where when something is done to a record."""

    action: str
    url: str
    method: str = "POST"
    headers: dict[str, str] | str = {}
    body: str | None = None
    retryLimit: int = 5  # noqa: N815 - the seed's spelling
    jwtEnabled: bool = False  # noqa: N815
    active: bool = True

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from the others."""
        return (self.action, self.method.upper(), self.url)


class CollectionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a collection. To create: `name` at least. To change: only what changes.

    Attributes:
        fields: The same as `schema`.
        options: An object, or the same as a JSON string.
        drop: Fields whose values may be lost by this change.
    """

    name: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    schema: list[Any] | UnsetType = UNSET
    fields: list[Any] | UnsetType = UNSET
    options: dict[str, Any] | str | UnsetType = UNSET
    author: str | None = None
    drop: list[str] = []


class CollectionView(msgspec.Struct, frozen=True):
    """A collection as read."""

    id: str
    name: str
    type: str
    schema: list[Field]
    options: dict[str, Any]
    author: str | None
    created: datetime
    updated: datetime


def _view(collection: Collection) -> CollectionView:
    return CollectionView(
        id=str(collection.id),
        name=collection.name,
        type=collection.type,
        schema=list(collection.fields),
        options=collection.options,
        author=collection.author,
        created=collection.created_at,
        updated=collection.updated_at,
    )


@post("/", status_code=201)
async def create_collection(services: NamedDependency[Services], data: JSONBody[CollectionChange]) -> CollectionView:
    """Create a collection: a table for its records, and a webhook for each of its triggers, in one transaction."""
    if data.name is UNSET:
        raise InvalidInputError("name", "name is required.")
    options = _options(data.options)
    triggers = await _triggers(services, options)
    async with services.database.transaction() as connection:
        made = await collections.create(
            connection,
            services.clock,
            services.group_id,
            name=data.name,
            kind="base" if data.type is UNSET else data.type,
            fields=_fields(data) or [],
            options=options,
            author=data.author,
        )
        await _keep_triggers(services, connection, made, triggers)
        return _view(made)


@get("/")
async def list_collections(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[CollectionView]:
    """List collections, in order of their names."""
    async with services.database.connection() as connection:
        page = await listed(connection, services.group_id, limit=limit, offset=offset)
    return [_view(collection) for collection in page]


@get("/{collection:str}")
async def get_collection(services: NamedDependency[Services], collection: FromPath[str]) -> CollectionView:
    """Read a collection."""
    async with services.database.connection() as connection:
        return _view(await collections.found(connection, services.group_id, collection))


@patch("/{collection:str}")
async def change_collection(
    services: NamedDependency[Services], collection: FromPath[str], data: JSONBody[CollectionChange]
) -> CollectionView:
    """Change what the body names. A change of the schema that would lose data is refused, with what to do."""
    if data.name is not UNSET and data.name != collection:
        raise InvalidInputError("name", "name cannot be changed; create another collection.")
    options = None if data.options is UNSET else _options(data.options)
    triggers = None if options is None else await _triggers(services, options)
    async with services.database.transaction() as connection:
        before = await collections.found(connection, services.group_id, collection)
        if data.type is not UNSET and data.type != before.type:
            raise InvalidInputError("type", "type cannot be changed; create another collection.")
        made = await collections.change(
            connection,
            services.clock,
            services.group_id,
            collection,
            fields=_fields(data),
            options=options,
            drop=data.drop,
        )
        if triggers is not None:
            await _keep_triggers(services, connection, made, triggers)
        return _view(made)


@delete("/{collection:str}", status_code=204)
async def delete_collection(
    services: NamedDependency[Services],
    collection: FromPath[str],
    confirm: Annotated[str | None, QueryParameter(description="The collection's name again.")] = None,
) -> None:
    """Delete a collection with all its records and triggers. It says its name twice, since nothing brings it back."""
    if confirm != collection:
        raise InvalidInputError("confirm", f"confirm must be {collection!r}. {_REPEAT}")
    async with services.database.transaction() as connection:
        gone = await collections.remove(connection, services.clock, services.group_id, collection)
        await _keep_triggers(services, connection, gone, [])


def _fields(data: CollectionChange) -> list[Any] | None:
    if data.schema is not UNSET and data.fields is not UNSET and data.schema != data.fields:
        raise InvalidInputError("fields", "fields and schema say the same; write one of them.")
    given = data.schema if data.schema is not UNSET else data.fields
    return None if given is UNSET else given


def _options(given: dict[str, Any] | str | UnsetType) -> dict[str, Any]:
    if given is UNSET:
        return {}
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInputError("options", f"options is no JSON object: {error}.") from error


# Triggers --------------------------------------------------------------------------------------------------------------


async def _triggers(services: Services, options: dict[str, Any]) -> list[Trigger]:
    """Read and check the triggers; asks DNS, so not inside a transaction."""
    given = options.get("triggers", [])
    if not isinstance(given, list) or len(given) > MAX_TRIGGERS:
        raise InvalidInputError("options.triggers", f"options.triggers must be a list of at most {MAX_TRIGGERS}.")
    triggers: list[Trigger] = []
    for position, item in enumerate(given):
        place = f"options.triggers[{position}]"
        try:
            trigger = msgspec.convert(item, Trigger)
        except msgspec.ValidationError as error:
            raise InvalidInputError(place, f'{place}: {error}. Write {{"action": "create", "url": "https://…"}}.') from error
        if trigger.action not in {*CONTENT_ACTIONS, "*"}:
            raise InvalidInputError(
                f"{place}.action", f"{place}.action is {trigger.action!r}; write {', '.join(CONTENT_ACTIONS)} or *."
            )
        if not 1 <= trigger.retryLimit <= MAX_TRIES:
            raise InvalidInputError(f"{place}.retryLimit", f"{place}.retryLimit must be 1 to {MAX_TRIES}.")
        if trigger.identity in {other.identity for other in triggers}:
            raise InvalidInputError(place, f"{place} is there twice: same action, method and url.")
        try:
            await check_webhook_url(services, trigger.url)
        except InvalidInputError as error:
            raise InvalidInputError(f"{place}.{error.field}", f"{place}.{error.message}") from error
        triggers.append(trigger)
    return triggers


async def _keep_triggers(services: Services, connection: Connection, collection: Collection, triggers: list[Trigger]) -> None:
    """Make the collection's webhooks those that its triggers ask for, in the caller's transaction."""
    owner = f"collection:{collection.id}"
    there: dict[tuple[str, ...], Subscription] = {}
    for webhook in await webhooks.managed_webhooks(connection, services.box, owner):
        there[_action_of(webhook), webhook.method, webhook.url] = webhook
    for trigger in triggers:
        asked = _as_webhook(collection, trigger)
        if trigger.identity in there:
            was = there.pop(trigger.identity)
            webhook = msgspec.structs.replace(changed(repaired(was), asked), updated_at=services.clock.now())
            await webhooks.update_webhook(connection, services.box, webhook, was=was)
            continue
        asked = msgspec.structs.replace(asked, url=trigger.url, profile="vski")
        made = drafted(asked, group_id=services.group_id, default_profile="vski", now=services.clock.now())
        await webhooks.insert_webhook(connection, services.box, msgspec.structs.replace(made, managed_by=owner))
    for webhook in there.values():
        await queue.cancel_of_webhook(connection, webhook.id)
        await webhooks.delete_webhook(connection, webhook.id)
    await queue.announce(connection)


def _action_of(webhook: Subscription) -> str:
    """Return the action of the trigger that a webhook is; empty when that cannot be read, so that the webhook is made anew."""
    match webhook.events:
        case (CollectionFilter(actions=actions),):
            return "*" if len(actions) == len(CONTENT_ACTIONS) else actions[0]
        case _:
            return ""


def _as_webhook(collection: Collection, trigger: Trigger) -> WebhookChange:
    return WebhookChange(
        name=f"{collection.name}: {trigger.action}"[:MAX_NAME_LENGTH],
        method=trigger.method,
        headers=headers_of(trigger.headers),
        body_template=trigger.body,
        max_retries=trigger.retryLimit,
        jwt_enabled=trigger.jwtEnabled,
        enabled=trigger.active,
        events=[{"collection": collection.name, "actions": [trigger.action]}],
    )


_HANDLERS = [create_collection, list_collections, get_collection, change_collection, delete_collection]
router = Router("/api/collections", route_handlers=_HANDLERS, tags=["Collections"])
v1_router = Router("/api/v1/collections", route_handlers=_HANDLERS, tags=["Collections"])
