"""Deliveries: what became of each event for each webhook. Search them, read them, send them again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action
from tidings.core.delivery import State, Step, may
from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError, RenderError
from tidings.core.event import Event
from tidings.core.redaction import why_unsendable
from tidings.core.search import id_time
from tidings.core.webhook import Subscription, Webhook
from tidings.operations import audit, lookups
from tidings.operations.history.attempts import GONE
from tidings.operations.history.search import Asked, Found, Paging, count_deliveries, find_deliveries
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.profiles import PROFILES, prepare
from tidings.profiles.template import is_plain_text
from tidings.store import history, queue, search, webhook_versions, webhooks
from tidings.store.database import Connection
from tidings.store.payloads import is_there

MAX_PAYLOADS = 8_388_608  # bytes of payloads in one answer; those of further deliveries are read one by one
MAX_RETRIED = 100  # at once, each in a transaction of its own; more are a recovery


class Delivery(msgspec.Struct, frozen=True):
    """A delivery with its event and its webhook. What is said of a response is of the last attempt that has a result.

    Attributes:
        webhook: As of the last attempt that has a result, or as it is now. None when it is gone; without secrets when it cannot
            be read.
        total_ms: How long that attempt took.
        created_at: The time of its event, to the millisecond.
    """

    id: UUID
    webhook_id: UUID
    event: Event
    webhook: Subscription | None
    state: State
    attempt_count: int
    response_status: int | None
    response_body: str | None
    failure: str | None
    error: str | None
    is_test: bool
    created_at: datetime
    finished_at: datetime | None
    next_retry_at: datetime | None
    total_ms: float | None = None

    @property
    def told_as(self) -> str:
        """What its receiver calls the event; our own word when the webhook is gone."""
        profile = None if self.webhook is None else PROFILES.get(self.webhook.profile)
        return self.event.type if profile is None else profile.vocabulary.name_of(self.event)

    @property
    def delivered_at(self) -> datetime | None:
        """When it was acknowledged."""
        return self.finished_at if self.state is State.SUCCEEDED else None


async def find(services: Services, asked: Asked, paging: Paging) -> Found[Delivery]:
    """Return a page of deliveries, unfinished and finished, newest first.

    Raises:
        InvalidInputError: The cursor is not this question's, or a type is unknown.
    """
    async with services.database.snapshot() as connection:
        result = await find_deliveries(services, connection, asked, paging)
        return Found(result, await _read(services, connection, result.page.ids))


async def find_of_webhook(services: Services, webhook_id: UUID, asked: Asked, paging: Paging) -> Found[Delivery]:
    """Return a page of the deliveries of a webhook that there is, newest first.

    Raises:
        InvalidInputError: As `find` does.
        NotFoundError: There is no such webhook.
    """
    async with services.database.snapshot() as connection:
        lookups.found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        result = await find_deliveries(services, connection, asked.of_webhook(webhook_id), paging)
        return Found(result, await _read(services, connection, result.page.ids))


async def count(services: Services, asked: Asked, states: Sequence[State]) -> dict[State, str]:
    """Return how many deliveries of each of these states fit what else is asked, as counts are told (`core.search`).

    Raises:
        InvalidInputError: As `find` does, or a text is asked for.
    """
    async with services.database.snapshot() as connection:
        return {state: await count_deliveries(services, connection, asked.in_state(state)) for state in states}


async def read(services: Services, delivery_id: UUID) -> Delivery:
    """Return a delivery.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return await _read_one(services, connection, delivery_id)


async def retry(services: Services, delivery_id: UUID) -> Delivery:
    """Send a delivery again, with the same id: a finished one anew, a waiting one at once.

    Raises:
        ConflictError: Its webhook is deleted or disabled, or its state does not allow it now.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        rows = await search.deliveries(connection, services.group_id, [delivery_id])
        row = there(next(iter(rows), None), GONE.format(delivery_id))
        webhook = await webhooks.get_webhook(connection, services.group_id, row["webhook_id"])
        if webhook is None:
            raise ConflictError("The webhook of this delivery was deleted; there is nowhere to send it.")
        if not webhook.enabled:
            raise ConflictError("The webhook of this delivery is disabled. Enable it, then send again.")
        await _expect_payload(connection, row["event_id"])
        state = State(row["status"])
        if may(state, Step.RESENT):
            await queue.send_again(connection, [delivery_id])
        elif not await queue.send_again_now(connection, delivery_id):
            raise ConflictError(f"The delivery is {state}; it cannot be sent again now.")
        await audit.note(
            services,
            connection,
            Action.DELIVERY_RETRIED,
            delivery_id,
            webhook.name,
            before={"status": state.value},
            after={"status": State.PENDING.value},
        )
        return await _read_one(services, connection, delivery_id)


async def _expect_payload(connection: Connection, event_id: UUID) -> None:
    """Refuse to send an event again that can only be sent otherwise than it was.

    Raises:
        ConflictError: Its payload is hidden for good, or gone.
    """
    if not await is_there(connection, event_id):
        event = next(iter(await history.events_by_id(connection, [event_id])), None)
        raise ConflictError(why_unsendable(event))


class Retried(msgspec.Struct, frozen=True):
    """What came of sending several again. `refused`: why one was not, each reason once."""

    sent: int
    refused_count: int
    refused: tuple[str, ...]


async def retry_several(services: Services, delivery_ids: Sequence[UUID]) -> Retried:
    """Send deliveries again, each for itself: one that cannot be sent keeps none of the others.

    Raises:
        InvalidInputError: They are more than `MAX_RETRIED`.
    """
    ids = list(dict.fromkeys(delivery_ids))
    if len(ids) > MAX_RETRIED:
        raise InvalidInputError("id", f"{len(ids)} deliveries are too many at once; choose at most {MAX_RETRIED}.")
    reasons: list[str] = []
    for delivery_id in ids:
        try:
            await retry(services, delivery_id)
        except (ConflictError, NotFoundError) as error:
            reasons.append(error.message)
    return Retried(len(ids) - len(reasons), len(reasons), tuple(dict.fromkeys(reasons)))


def payloads(services: Services, deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return the body of each delivery as JSON, as its last attempt sent it or the next one will: in a string when it is none.

    Returns:
        None where the webhook is gone or cannot be read, nothing can be made of the event, or those before take all the room.
    """
    room, found = MAX_PAYLOADS, []
    for delivery in deliveries:
        payload = _payload(services, delivery)
        room -= len(payload or b"")
        found.append(payload if room >= 0 else None)
    return found


def _payload(services: Services, delivery: Delivery) -> bytes | None:
    webhook = delivery.webhook
    if not isinstance(webhook, Webhook) or delivery.event.payload_gone is not None:
        return None
    try:
        body = prepare(webhook, services.keys.current).body(delivery.event)
    except (RenderError, InvalidInputError):
        return None
    is_text = webhook.body_template is not None and is_plain_text(webhook.headers)
    return msgspec.json.encode(body.decode()) if is_text else body or None


async def _read_one(services: Services, connection: Connection, delivery_id: UUID) -> Delivery:
    found = await _read(services, connection, [delivery_id])
    return there(next(iter(found), None), GONE.format(delivery_id))


async def _read(services: Services, connection: Connection, ids: Sequence[UUID]) -> list[Delivery]:
    """Return deliveries of the group, in the order of the ids; those that are gone are left out."""
    rows = await search.deliveries(connection, services.group_id, ids)
    if not rows:
        return []
    events = {event.id: event for event in await history.events_by_id(connection, list({row["event_id"] for row in rows}))}
    made_with = {(row["webhook_id"], row["webhook_version"]) for row in rows if row["webhook_version"] is not None}
    then = await webhook_versions.versions_of(connection, services.box, made_with) if made_with else {}
    wanted = list({row["webhook_id"] for row in rows if (row["webhook_id"], row["webhook_version"]) not in then})
    now = {w.id: w for w in await webhooks.webhooks_by_id(connection, services.box, wanted)} if wanted else {}
    found = []
    for row in rows:
        webhook = then.get((row["webhook_id"], row["webhook_version"])) or now.get(row["webhook_id"])
        if row["event_id"] in events:
            found.append(_delivery(row, events[row["event_id"]], webhook))
    return found


def _delivery(row: Any, event: Event, webhook: Subscription | None) -> Delivery:
    return Delivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        event=event,
        webhook=webhook,
        state=State(row["status"]),
        attempt_count=row["attempt_count"],
        response_status=row["last_status"],
        response_body=row["response_body"],
        failure=row["failure"],
        error=row["last_error"],
        is_test=row["is_test"],
        created_at=id_time(row["id"]),
        finished_at=row["finished_at"],
        next_retry_at=row["next_retry_at"],
        total_ms=row["total_ms"],
    )
