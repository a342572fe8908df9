"""The exact request that a webhook would send: as it is, as a change would make it, or before it is saved."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.errors import InvalidInputError, NotFoundError, RenderError
from tidings.core.event import Event, delivery_id
from tidings.core.question import Question
from tidings.core.webhook import Subscription, Webhook
from tidings.operations.egress import check_written, narrowing_of
from tidings.operations.history.search import Asked, Paging, find_events
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.operations.webhooks.samples import Sample, sampled, wanted_sample
from tidings.operations.webhooks.subscriptions import draft
from tidings.profiles import PROFILES, SecretForm, describe, prepare
from tidings.sources import tables
from tidings.store import event_types, history, search, webhooks
from tidings.store.database import Connection

RECENT_EVENTS = 50  # among which one is looked for that the webhook wants
KNOWN_TYPES = 500  # types of the group that samples are made of and near names are found among

_MADE_LATER = "The secret is made when the webhook is saved, so the signature will be another."
_SIGNED_BY_EXAMPLE = "Signed with an example; the secret is made when you save."
# A preview that is asked for at every key pressed is signed with this, so that a signature changes only with what is signed.
_EXAMPLE_SECRETS = {SecretForm.WHSEC: f"whsec_{'A' * 43}=", SecretForm.TEXT: "a" * 64}
_NONE_LATELY = f"None of the group's last {RECENT_EVENTS} events is one that the webhook wants, so this is a sample."
_IN_OVERLAP = (
    "For a day deliveries verify with the secret before as well; what carries one signature carries that one's until then."
)


class Shown(msgspec.Struct, frozen=True):
    """The event a preview shows. `name`: what the profile calls it; `is_sample`: it never happened."""

    id: UUID
    type: str
    name: str
    is_sample: bool
    occurred_at: datetime


class Preview(msgspec.Struct, frozen=True):
    """A request as it would be sent now, and what to know about it.

    Attributes:
        body: As text.
        profile_reason: Why it has its profile; of a webhook that is not saved yet.
        notes: What will differ when it is sent.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str
    profile: str
    event: Shown
    notes: list[str]
    profile_reason: str | None = None


class Wish(msgspec.Struct, frozen=True):
    """Which event a preview shows: one of history, or a sample. With neither, the last one that the webhook wants.

    Attributes:
        is_made_up: With neither, a sample that the webhook wants: whoever asks may not see what happened.
    """

    event_id: UUID | None = None
    sample: Sample | None = None
    is_made_up: bool = False


async def of_webhook(services: Services, webhook_id: UUID, asked: WebhookChange, wish: Wish) -> Preview:
    """Return the request of a webhook as a change would make it. Nothing is changed or sent.

    Raises:
        ConflictError: The webhook cannot be read.
        InvalidInputError: With the field and the reason, as the change itself would be refused.
        NotFoundError: There is no such webhook, or no such event.
    """
    now = services.clock.now()
    async with services.database.snapshot() as connection:
        before = found(await webhooks.open_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        webhook = changed(before, asked, now=now)
        if webhook.url != before.url:
            check_written(services, webhook.url, webhook.narrowing)
        notes = [_IN_OVERLAP] if webhook.secret != before.secret and webhook.previous_secret is not None else []
        return await _preview(services, connection, webhook, wish, now, notes)


async def of_draft(services: Services, asked: WebhookChange, wish: Wish, *, is_repeated: bool = False) -> Preview:
    """Return the request of a webhook that is not saved yet; without `events` it hears everything.

    Args:
        is_repeated: It is asked again and again; without a secret in `asked`, the same example signs each time.

    Raises:
        InvalidInputError: With the field and the reason, as its creation would be refused.
        NotFoundError: There is no such event.
    """
    if asked.events is UNSET:
        asked = msgspec.structs.replace(asked, events=["*"])
    if asked.url is not UNSET:
        check_written(services, asked.url, await narrowing_of(services))
    webhook, reason = draft(services, asked)
    notes = [] if asked.secret else [_SIGNED_BY_EXAMPLE if is_repeated else _MADE_LATER]
    if not asked.secret and is_repeated:
        webhook = msgspec.structs.replace(webhook, secret=_EXAMPLE_SECRETS[PROFILES[webhook.profile].secret_form])
    async with services.database.snapshot() as connection:
        preview = await _preview(services, connection, webhook, wish, services.clock.now(), notes)
    return msgspec.structs.replace(preview, profile_reason=reason)


async def known_types(services: Services, connection: Connection) -> dict[str, str | None]:
    """Return types that applications of the group publish, each with its example as JSON text where the catalogue has one."""
    seen: dict[str, str | None] = dict.fromkeys(await search.kinds(connection, services.group_id, KNOWN_TYPES))
    ours = await event_types.list_types(connection, services.group_id)
    return {row["name"]: row["example"] for row in ours} | {name: None for name in seen if not name.startswith("table.")}


async def _preview(
    services: Services, connection: Connection, webhook: Webhook, wish: Wish, now: datetime, notes: list[str]
) -> Preview:
    events = await tables.resolve_filters(
        connection, webhook.events, webhook.group_id, are_elsewhere=services.are_tables_elsewhere
    )
    webhook = msgspec.structs.replace(webhook, events=events)
    event, is_sample = await _event(services, connection, webhook, wish, now)
    if is_sample and wish == Wish():
        notes = [*notes, _NONE_LATELY]
    try:
        prepared = prepare(webhook, services.keys.current)
        request = describe(prepared.write(event, delivery_id(event.id, webhook.id), int(now.timestamp())))
    except RenderError as error:
        raise InvalidInputError("data" if wish.event_id is None else "event_id", error.message) from error
    name = PROFILES[webhook.profile].vocabulary.name_of(event)
    return Preview(
        method=request.method,
        url=webhook.url,
        headers=request.headers,
        body=request.body.decode("utf-8", "replace"),
        profile=webhook.profile,
        event=Shown(event.id, event.type, name, is_sample, event.occurred_at),
        notes=notes,
    )


async def _event(
    services: Services, connection: Connection, webhook: Subscription, wish: Wish, now: datetime
) -> tuple[Event, bool]:
    """Return the event to show, and whether it is a sample."""
    if wish.event_id is not None and wish.sample is not None:
        raise InvalidInputError("event_id", "event_id names an event that happened; leave it out to have a sample.")
    if wish.event_id is not None:
        (event,) = [*await history.events_by_id(connection, [wish.event_id]), None][:1]
        if event is None or event.group_id != services.group_id:
            raise NotFoundError(f"There is no event {wish.event_id}; history is kept for the days of retention.")
        return event, False
    if (
        wish.sample is None
        and not wish.is_made_up
        and (event := await _latest_wanted(services, connection, webhook)) is not None
    ):
        return event, False
    if wish.sample is not None:
        return await sample_of(services, connection, webhook, wish.sample, now), True
    return wanted_sample(webhook, await known_types(services, connection), now), True


async def sample_of(
    services: Services, connection: Connection, webhook: Subscription, sample: Sample, now: datetime, **more: Any
) -> Event:
    """Return the event that a sample stands for, with what the group's applications publish known.

    Args:
        more: Further fields of the event.

    Raises:
        InvalidInputError: The webhook's profile has no event of that name, or a document cannot be sent.
    """
    return sampled(webhook, sample, await known_types(services, connection), now, **more)


async def _latest_wanted(services: Services, connection: Connection, webhook: Subscription) -> Event | None:
    asked = Asked(Question(group_id=services.group_id))
    result = await find_events(services, connection, asked, Paging(RECENT_EVENTS, 0, None, count=False))
    if not result.page.ids:
        return None
    wanted = [
        event
        for event in await history.events_by_id(connection, result.page.ids)
        if event.webhook_id in {None, webhook.id} and not event.is_test and webhook.wants(event)
    ]
    return max(wanted, key=lambda event: (event.occurred_at, event.id), default=None)
