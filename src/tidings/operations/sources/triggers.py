"""The triggers in a collection's options: each is a webhook with profile `vski`, changed with its collection.

Triggers are told apart by action, method and URL: what stays the same keeps its webhook, and so its history and what is under
way.
"""

from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.filters import CollectionFilter
from tidings.core.vocabulary import CONTENT_ACTIONS
from tidings.core.webhook import MAX_NAME_LENGTH, Subscription
from tidings.operations.egress import check_callable
from tidings.operations.listening import mirrors
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import WebhookChange, changed, drafted, headers_of, repaired
from tidings.operations.webhooks.room import check_room
from tidings.store import queue, webhooks
from tidings.store.collections import Collection
from tidings.store.database import Connection

MAX_TRIGGERS = 50
MAX_TRIES = 100  # seed 003's system draws the line here


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


async def parse_triggers(services: Services, options: dict[str, Any]) -> list[Trigger]:
    """Read and check the triggers in a collection's options; asks DNS, so not inside a transaction.

    Raises:
        InvalidInputError: With the trigger at fault, such as `options.triggers[2].url`.
    """
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
            await check_callable(services, trigger.url)
        except InvalidInputError as error:
            raise InvalidInputError(f"{place}.{error.field}", f"{place}.{error.message}") from error
        triggers.append(trigger)
    return triggers


async def keep_triggers(services: Services, connection: Connection, collection: Collection, triggers: list[Trigger]) -> None:
    """Make the collection's webhooks those that its triggers ask for, in the caller's transaction."""
    owner = f"collection:{collection.id}"
    there: dict[tuple[str, ...], Subscription] = {}
    for webhook in await webhooks.managed_webhooks(connection, services.box, owner):
        there[_action_of(webhook), webhook.method, webhook.url] = webhook
    for trigger in triggers:
        asked = _as_webhook(collection, trigger)
        if trigger.identity in there:
            was = there.pop(trigger.identity)
            now = services.clock.now()
            webhook = msgspec.structs.replace(changed(repaired(was), asked, now=now), updated_at=now)
            await webhooks.update_webhook(connection, services.box, webhook, was=was)
            await mirrors.follow(services, connection, webhook.id)
            continue
        asked = msgspec.structs.replace(asked, url=trigger.url, profile="vski")
        made = drafted(asked, group_id=services.group_id, default_profile="vski", now=services.clock.now())
        await check_room(services, connection)
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
