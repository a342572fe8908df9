"""Why an event goes to webhooks or does not, as a page shows it."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.event import Event, row_id
from tidings.core.explain import Condition, FilterExplained
from tidings.operations.history.attempts import SentRequest
from tidings.operations.history.explaining import Explained, ExplainedWebhook
from tidings.portal.views import documents, small
from tidings.portal.views.documents import Document, Headers
from tidings.portal.views.lists import Pager, link
from tidings.portal.views.recover import as_field
from tidings.portal.views.small import Empty, Id, State, Url, When, ident, url, when
from tidings.portal.views.text import Shown, count, visible

SENT = State("good", "check", "sent")
NOT_SENT = State("quiet", "x", "not sent")


def about(event: Event) -> str:
    """Return what the pages of events say it is about: `orders 17`, or what its publisher said."""
    if event.table_name is None:
        return event.subject or ""
    row = row_id(event.record if event.record is not None else event.old_record)
    return f"{event.table_name} {row}" if row is not None else event.table_name


class ConditionView(msgspec.Struct, frozen=True):
    """One thing that is asked, with its sign."""

    holds: bool
    sentence: Shown


class EntryView(msgspec.Struct, frozen=True):
    """An entry of a webhook's events. `name`: where it stands."""

    name: str
    matches: bool
    conditions: tuple[ConditionView, ...]


class RequestView(msgspec.Struct, frozen=True):
    """The request that would be sent. `body` None: those of the webhooks above take all the room."""

    method: str
    url: Url
    headers: Headers
    body: Document | None


class WebhookView(msgspec.Struct, frozen=True):
    """Whether the event goes to a webhook, and why.

    Attributes:
        anchor: Id of the element.
        delivery: What became of it; None: nothing was sent.
        entries: Of its events: those that match, then the nearest.
        more: How many entries are not shown, as a sentence.
        recover: Where it can be sent, when it goes there and was not; empty: it was, or does not.
    """

    anchor: str
    name: Shown
    href: str
    url: Url
    state: State
    sentence: Shown
    conditions: tuple[ConditionView, ...]
    entries: tuple[EntryView, ...]
    more: str
    notes: tuple[Shown, ...]
    delivery: Id | None
    delivery_state: State | None
    recover: str
    request: RequestView | None


class ExplainView(msgspec.Struct, frozen=True):
    """An event, and each webhook of its group."""

    event: Id
    type: Shown
    happened: When
    subject: Shown
    said: str
    webhooks: tuple[WebhookView, ...]
    pager: Pager
    empty: Empty | None


def explain_view(found: Explained, now: datetime, *, webhook_id: UUID | None = None, is_first: bool = True) -> ExplainView:
    """Return an explained event as its page shows it.

    Args:
        webhook_id: The one webhook it was asked for.
        is_first: It is the first page.
    """
    event, path = found.event, f"/events/{found.event.id}"
    onward = link(f"{path}/explain", {"cursor": found.cursor}) if found.cursor else ""
    sent = sum(one.explanation.is_sent for one in found.webhooks)
    said = f"It goes to {count(sent, 'webhook')} of the {len(found.webhooks)} shown, as they are now."
    if webhook_id is not None:
        said = "As the webhook is now."
    empty = None
    if not found.webhooks and is_first:
        empty = Empty("There are no webhooks", "So nobody hears of this event.", "New webhook", "/webhooks/new", icon="webhook")
    return ExplainView(
        event=ident(event.id, path),
        type=visible(event.type, limit=120),
        happened=when(event.occurred_at, now),
        subject=visible(about(event), limit=160),
        said=said if found.webhooks else "",
        webhooks=tuple(_webhook(one, event.occurred_at) for one in found.webhooks),
        pager=Pager(older=onward),
        empty=empty,
    )


def _webhook(one: ExplainedWebhook, occurred_at: datetime) -> WebhookView:
    said, webhook = one.explanation, one.webhook
    since = {"since": as_field(occurred_at), "missing": "true"}
    left = said.filter_count - len(said.filters)
    return WebhookView(
        anchor=f"webhook-{webhook.id}",
        name=visible(webhook.name, limit=120),
        href=f"/webhooks/{webhook.id}",
        url=url(webhook.url),
        state=SENT if said.is_sent else NOT_SENT,
        sentence=visible(said.sentence, limit=1000),
        conditions=_conditions(said.conditions),
        entries=tuple(_entry(item) for item in said.filters),
        more=f"{count(left, 'entry', 'entries')} further from matching." if left > 0 else "",
        notes=tuple(visible(note, limit=600) for note in said.notes),
        delivery=None if one.delivery_id is None else ident(one.delivery_id, f"/deliveries/{one.delivery_id}"),
        delivery_state=None if one.state is None else small.state(one.state),
        recover=link(f"/webhooks/{webhook.id}/recover", since) if said.is_sent and one.delivery_id is None else "",
        request=None if one.request is None else _request(one.request),
    )


def _conditions(conditions: Iterable[Condition]) -> tuple[ConditionView, ...]:
    return tuple(ConditionView(one.holds, visible(_without_answer(one), limit=800)) for one in conditions)


def _without_answer(condition: Condition) -> str:
    """Return the sentence without its `yes` or `no`, which the sign says."""
    return condition.sentence.removesuffix(": yes").removesuffix(": no")


def _entry(item: FilterExplained) -> EntryView:
    return EntryView(f"Entry {item.position + 1}", item.matches, _conditions(item.conditions))


def _request(request: SentRequest) -> RequestView:
    body = None if request.body is None else documents.document(request.body)
    return RequestView(request.method, url(request.url), documents.headers(request.headers), body)
