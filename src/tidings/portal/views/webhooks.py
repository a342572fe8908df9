"""The list of webhooks, and the words that webhooks are told in."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.core.filters import CollectionFilter, Filter, TableFilter
from tidings.core.health import Health
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.listing import Listed, Listing
from tidings.portal.views.lists import Column, Pager, Row, Table, link
from tidings.portal.views.small import Empty, State, Url, When, state, url, when
from tidings.portal.views.text import Shown, number, share, visible

PATH = "/webhooks"
EVENTS_SHOWN = 2  # of a webhook in the list
_ALARMING = frozenset({"failing", "resting", "disabled", "set_aside", "expiring", "expired"})


class WebhookRow(msgspec.Struct, frozen=True):
    """The cells of a webhook. `trouble`: why it does not fare well, or None; `since`: since when it is in this state."""

    name: Shown
    url: Url
    state: State
    since: When | None
    events: Shown
    rate: str
    rate_tone: str
    waiting: str
    trouble: Shown | None
    managed: str


class WebhooksView(msgspec.Struct, frozen=True):
    """A page of webhooks. `empty` stands there when there is none; `words`: what was searched for."""

    words: str
    table: Table
    pager: Pager
    empty: Empty | None


_COLUMNS = (
    Column("State"),
    Column("Webhook", "wide"),
    Column("Events", is_minor=True),
    Column("Success, last hour", "number"),
    Column("Waiting", "number"),
)


def webhooks_view(listing: Listing, words: str, after: str, now: datetime, *, may_make: bool = True) -> WebhooksView:
    """Return a page of webhooks as people look through it.

    Args:
        after: Where the page before ended; empty: this is the first.
        may_make: Who looks may make one, and is led to where.
    """
    rows = tuple(_row(item, now) for item in listing.items)
    older = link(PATH, {"q": words, "cursor": str(listing.following)}) if listing.following else ""
    newest = link(PATH, {"q": words}) if after else ""
    said = "" if not listing.following or rows else "None of the last 10\u2009000 is called so; older ones may be."
    empty = None if rows or listing.following else _nothing(words, after, may_make=may_make)
    return WebhooksView(words, Table("webhooks", "Webhooks", _COLUMNS, rows), Pager(newest, older, said), empty)


def _row(item: Listed, now: datetime) -> Row:
    webhook, health = item.webhook, item.state.health
    called = standing_of(webhook, health)
    rate, tone = rate_of(item.success_rate)
    name = visible(webhook.name, limit=60)
    cells = WebhookRow(
        name=name,
        url=url(webhook.url),
        state=state(called),
        since=None if health.since is None else when(health.since, now),
        events=visible("its job fires" if manager_of(webhook) == "job" else events_in_short(webhook.events), limit=80),
        rate=rate,
        rate_tone=tone,
        waiting=number(item.state.lane.waiting),
        trouble=visible(health.sentence, limit=240) if called in _ALARMING else None,
        managed=manager_of(webhook),
    )
    return Row(str(webhook.id), f"{PATH}/{webhook.id}", f"{name.plain}, {state(called).word}", cells)


def _nothing(words: str, after: str, *, may_make: bool) -> Empty:
    if words:
        return Empty("No webhook is called so", "The search looks at names, URLs and ids.", "All webhooks", PATH, icon="search")
    if after:
        return Empty("That was the last one", "There is no webhook behind it.", "All webhooks", PATH, icon="webhook")
    if not may_make:
        return Empty("No webhooks yet", "Somebody who may make webhooks in this group has made none so far.", icon="webhook")
    return Empty(
        "No webhooks yet",
        "A webhook, or endpoint, is a URL of yours that hears of what happens: rows that change, records that are published, "
        "events that your applications send. Nothing is sent before there is one.",
        "New webhook",
        f"{PATH}/new",
        'curl $URL/api/v1/webhooks -H "Authorization: Bearer $KEY" -d \'{"url": "https://example.com/hook", "events": ["*"]}\'',
        "webhook",
    )


# Words -------------------------------------------------------------------------------------------------------------------


def standing_of(webhook: Subscription, health: Health) -> str:
    """Return what a webhook's state is called: of one that cannot be read, that first."""
    return "set_aside" if webhook.fault is not None and webhook.enabled else health.state.value


def rate_of(rate: float | None) -> tuple[str, str]:
    """Return a success rate in percent, and its tone. What is not all is never 100 %."""
    if rate is None:
        return "–", "quiet"
    said = share(round(rate * 1_000_000), 1_000_000)
    return said, "good" if rate >= 0.99 else "warn" if rate >= 0.9 else "bad"


def events_in_short(events: Sequence[Filter]) -> str:
    """Return what a webhook wants, in a few words."""
    if not events:
        return "nothing"
    said = ", ".join(filter_words(wanted) for wanted in events[:EVENTS_SHOWN])
    more = len(events) - EVENTS_SHOWN
    return f"{said} and {more} more" if more > 0 else said


def filter_words(wanted: Filter) -> str:
    """Return what one entry of a webhook's events means."""
    match wanted:
        case TableFilter(table="*"):
            return f"every table: {_joined(wanted.operations)}"
        case TableFilter():
            schema = "" if wanted.schema in {None, "public"} else f"{wanted.schema}."
            return f"{schema}{wanted.table}: {_joined(wanted.operations)}"
        case CollectionFilter():
            return f"{wanted.collection}: {_joined(wanted.actions)}"
        case _:
            return "everything" if wanted.name == "*" else wanted.name


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names)


def manager_of(webhook: Subscription) -> str:
    """Return what a webhook belongs to, in a word: a job or a collection; empty: to nothing."""
    kind = "" if webhook.managed_by is None else webhook.managed_by.partition(":")[0]
    return "job" if kind == "cron" else kind
