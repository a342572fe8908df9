"""Why an event goes to webhooks, or does not; and what a webhook would have been sent of what happened."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core import explain as deciding
from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.event import Event, delivery_id
from tidings.core.explain import Explanation, near
from tidings.core.question import Question
from tidings.core.redaction import Redaction
from tidings.core.search import drive_of_deliveries, first_id, id_time
from tidings.core.vocabulary import OPEN
from tidings.core.webhook import Subscription, Webhook
from tidings.operations import lookups
from tidings.operations.history.attempts import MAX_BODIES, SentRequest, redaction_for, shown
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.profiles import PROFILES, prepare
from tidings.sources import tables
from tidings.store import history, search, walks, webhooks
from tidings.store.database import Connection

LOOKED_AT: Final = 500  # webhooks among which the nearest come first; those of a larger group come in so many at a time
MAX_EXPLAINED: Final = 100  # webhooks in one answer
FORMER: Final = 1000  # deliveries that are looked for of an event from before their ids told it
MAX_DAYS: Final = 366  # that a dry run goes back
MAX_DRY_RUN: Final = 1000  # events in one answer
_CURSOR = re.compile(r"(?P<offset>[0-9]{1,3})(\.(?P<after>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}))?")
_PLACEHOLDER_URL = "https://example.com/"  # of a dry run that names none: nothing is sent


class ExplainedWebhook(msgspec.Struct, frozen=True):
    """Whether an event goes to a webhook, and why.

    Attributes:
        explanation: As the webhook is now.
        request: What would be sent now; None where nothing is, nothing can be made of the event, or the bodies of those before
            take all the room.
        delivery_id, state: Of the delivery that there is; None: there is none.
    """

    webhook: Subscription
    explanation: Explanation
    request: SentRequest | None
    delivery_id: UUID | None
    state: State | None


class Explained(msgspec.Struct, frozen=True):
    """An event and webhooks of its group: those it is sent to, then those it is most nearly sent to.

    Attributes:
        event: Without its records.
        cursor: Where to go on; None: these were all.
    """

    event: Event
    webhooks: list[ExplainedWebhook]
    cursor: str | None


class Heard(msgspec.Struct, frozen=True):
    """An event that a webhook would have been sent, without its records. `name`: what its receiver knows it as."""

    event: Event
    name: str


class DryRun(msgspec.Struct, frozen=True):
    """What a webhook would have been sent, newest first.

    Attributes:
        webhook: As it was asked about. One that is not saved has an id that means nothing.
        seen: How many events were looked at.
        since: The time that was asked for begins here.
        searched_to: How far was looked, where that was not all.
        cursor: Where to go on; None: all was looked at.
    """

    webhook: Subscription
    events: list[Heard]
    seen: int
    since: datetime
    searched_to: datetime | None
    cursor: UUID | None


async def explain(
    services: Services, event_id: UUID, *, limit: int = 20, cursor: str | None = None, webhook_id: UUID | None = None
) -> Explained:
    """Explain an event for each webhook of its group, those it is sent to and the nearest first, `LOOKED_AT` at a time.

    Args:
        limit: How many webhooks at most; at most `MAX_EXPLAINED`.
        cursor: Of the page before.
        webhook_id: For this one alone.

    Raises:
        InvalidInputError: The cursor is none of ours.
        NotFoundError: There is no such event, or no such webhook.
    """
    async with services.database.snapshot() as connection:
        event = await _event(services, connection, event_id)
        if webhook_id is not None:
            one = lookups.found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
            return Explained(event, await _explained(services, connection, event, [one]), None)
        after, offset = _place(cursor)
        some = await webhooks.list_webhooks(connection, services.group_id, limit=LOOKED_AT + 1, after=after)
        batch = some[:LOOKED_AT]
        ordered = sorted(batch, key=lambda webhook: near(deciding.explain(event, webhook)))
        page = ordered[offset : offset + limit]
        found = await _explained(services, connection, event, page)
    following: str | None
    if offset + limit < len(batch):
        following = _cursor(after, offset + limit)
    else:
        following = _cursor(batch[-1].id, 0) if len(some) > LOOKED_AT else None
    return Explained(event, found, following)


async def dry_run(
    services: Services, asked: WebhookChange, *, days: int = 7, limit: int = 50, cursor: UUID | None = None
) -> DryRun:
    """Return what a webhook that is not saved would have been sent of the last days. Its URL may be left out.

    Args:
        limit: How many events at most; at most `MAX_DRY_RUN`. They are fewer where a budget of rows or time ended the look.
        cursor: Of the page before.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    now = services.clock.now()
    if asked.url is UNSET:
        asked = msgspec.structs.replace(asked, url=_PLACEHOLDER_URL)
    webhook, _ = subscriptions.draft(services, asked)
    async with services.database.snapshot() as connection:
        return await _dry_run(connection, await _with_tables(services, connection, webhook), now, days, limit, cursor)


async def dry_run_webhook(
    services: Services,
    webhook_id: UUID,
    change: WebhookChange | None = None,
    *,
    days: int = 7,
    limit: int = 50,
    cursor: UUID | None = None,
) -> DryRun:
    """Return what a webhook would have been sent of the last days, were it enabled: as it is, or as a change would make it.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such webhook.
    """
    now = services.clock.now()
    async with services.database.snapshot() as connection:
        webhook = lookups.found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        if change is not None:
            before, webhook = webhook, changed(webhook, change, now=now)
            if webhook.events != before.events:
                webhook = await _with_tables(services, connection, webhook)
        return await _dry_run(connection, webhook, now, days, limit, cursor)


# Explaining ------------------------------------------------------------------------------------------------------------------


async def _event(services: Services, connection: Connection, event_id: UUID) -> Event:
    found = (event for event in await history.events_by_id(connection, [event_id]) if event.group_id == services.group_id)
    return there(next(found, None), f"There is no event {event_id}; history is kept for the days of retention.")


async def _explained(
    services: Services, connection: Connection, event: Event, page: Sequence[Subscription]
) -> list[ExplainedWebhook]:
    """Explain an event for some webhooks, with what is there of each and what would be sent."""
    explanations = [deciding.explain(event, webhook) for webhook in page]
    there = await _deliveries(services, connection, event, page)
    sent = [explanation.webhook_id for explanation in explanations if explanation.is_sent]
    opened = {one.id: one for one in await webhooks.webhooks_by_id(connection, services.box, sent)} if sent else {}
    room, found = MAX_BODIES, []
    for webhook, explanation in zip(page, explanations, strict=True):
        id_, state = there.get(webhook.id, (None, None))
        done = await redaction_for(connection, event, webhook.id) if webhook.id in opened else None
        request = _request(services, opened.get(webhook.id), event, id_ or delivery_id(event.id, webhook.id), done)
        room -= len((request and request.body) or "")
        if room < 0 and request is not None:
            request = msgspec.structs.replace(request, body=None)
        found.append(ExplainedWebhook(webhook, explanation, request, id_, state))
    return found


async def _deliveries(
    services: Services, connection: Connection, event: Event, page: Sequence[Subscription]
) -> dict[UUID, tuple[UUID, State]]:
    """Return what became of an event, by webhook: of those of the page at least, where ids tell; else of `FORMER` at most."""
    exact_ids_from = first_id(services.installation.exact_ids_from)
    if event.id >= exact_ids_from:
        ids = [delivery_id(event.id, webhook.id) for webhook in page]
    else:
        question = Question(group_id=services.group_id, event_id=event.id)
        drive = drive_of_deliveries(question, await walks.known(connection, question, exact_ids_from))
        ids = (await walks.walk(connection, drive, drive.span, FORMER, newest_first=True)).ids
    rows = await search.deliveries(connection, services.group_id, ids) if ids else []
    return {row["webhook_id"]: (row["id"], State(row["status"])) for row in rows}


def _request(
    services: Services, webhook: Subscription | None, event: Event, id_: UUID, done: Redaction | None
) -> SentRequest | None:
    """Return the request that would be made now; None where none can be."""
    if not isinstance(webhook, Webhook):
        return None
    try:
        timestamp = int(services.clock.now().timestamp())
        return shown(prepare(webhook, services.keys.current), event, id_, timestamp, done)
    except InvalidInputError:
        return None


def _cursor(after: UUID | None, offset: int) -> str:
    return f"{offset}" if after is None else f"{offset}.{after}"


def _place(cursor: str | None) -> tuple[UUID | None, int]:
    """Return behind which webhook a page's batch begins, and how many of the batch came before.

    Raises:
        InvalidInputError: The cursor is none of ours.
    """
    if cursor is None:
        return None, 0
    if (read := _CURSOR.fullmatch(cursor)) is None:
        raise InvalidInputError("cursor", "cursor was changed. Take it from the page before, or leave it out.")
    return (UUID(read["after"]) if read["after"] else None), int(read["offset"])


# Dry runs --------------------------------------------------------------------------------------------------------------------


async def _dry_run(
    connection: Connection, webhook: Subscription, now: datetime, days: int, limit: int, cursor: UUID | None
) -> DryRun:
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInputError("days", f"days is {days}; write 1 to {MAX_DAYS}.")
    since = now - timedelta(days=days)
    run = await walks.dry_run(connection, webhook, since, now, limit, before=cursor)
    searched_to = None if run.before is None else id_time(run.before)
    profile = PROFILES.get(webhook.profile)  # one that is set aside can have any
    name_of = (OPEN if profile is None else profile.vocabulary).name_of
    return DryRun(webhook, [Heard(event, name_of(event)) for event in run.events], run.seen, since, searched_to, run.before)


async def _with_tables(services: Services, connection: Connection, webhook: Subscription) -> Subscription:
    found = await tables.resolve_filters(
        connection, webhook.events, webhook.group_id, are_elsewhere=services.are_tables_elsewhere
    )
    return msgspec.structs.replace(webhook, events=found)
