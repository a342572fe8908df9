"""The history of deliveries, as a page: Webhook Delivery."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from tidings.core.delivery import State as Stage
from tidings.core.outcome import FAILURES
from tidings.core.search import id_time
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.events import record_id
from tidings.operations.history.search import Asked, Found
from tidings.portal.views.lists import Column, Filter, FilterBar, Option, Pager, Row, Table, filter_bar, link, pager
from tidings.portal.views.questions import settled
from tidings.portal.views.small import Empty, Notice, State, When, state, when
from tidings.portal.views.text import Shown, count, duration, visible

PATH = "/deliveries"
TARGET = "history"
PAGE = 50  # rows

COUNTED = (Stage.FAILED, Stage.RETRYING, Stage.PENDING, Stage.SUCCEEDED)  # one bounded question each
_STAGES = (*COUNTED[:3], Stage.SENDING, Stage.SUCCEEDED, Stage.CANCELLED)
_SPANS = (("", "any time"), ("1h", "last hour"), ("1d", "last day"), ("7d", "7 days"))


class DeliveryRow(msgspec.Struct, frozen=True):
    """The cells of a delivery in a list.

    Attributes:
        told_as: What its receiver calls the event, where that is another name than ours.
        answer: The status of the last response, or what went wrong without one.
    """

    at: When
    state: State
    type: Shown
    told_as: Shown | None
    webhook: Shown
    answer: str
    answer_tone: str
    tries: str
    took: str
    record: Shown
    next_retry: When | None
    is_test: bool


class StateChoice(msgspec.Struct, frozen=True):
    """A state to look for. `href` sets it or takes it away; `count` is empty where it is not known."""

    state: State
    href: str
    is_chosen: bool
    count: str = ""


class Choice(msgspec.Struct, frozen=True):
    """One of a few choices, as a link."""

    label: str
    href: str
    is_chosen: bool


class HistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """The page.

    Attributes:
        states: What to look for; `counts`: the path that counts them, empty where nothing can be counted.
        spans: Quick choices of time.
        live: The path of the stream that tells of new rows; empty: this is not the newest page.
        back: This page, to come back to.
    """

    filters: FilterBar
    states: tuple[StateChoice, ...]
    spans: tuple[Choice, ...]
    counts: str
    table: Table
    pager: Pager
    empty: Empty | None
    live: str
    back: str


def offered(webhooks: Sequence[str]) -> list[Filter]:
    """Return the filters. Those that are asked for most come first, the others are folded away.

    Args:
        webhooks: Names to choose from.
    """
    names = tuple(Option(name, name) for name in webhooks)
    failures = tuple(Option(name, name.replace("_", " ")) for name in FAILURES)
    states = tuple(Option(stage.value, state(stage).word) for stage in _STAGES)
    return [
        Filter("text", "Text in the payload", hint="3 characters or more"),
        Filter("webhook", "Webhook", options=names, hint="name, URL or id"),
        Filter("type", "Event", hint="order.paid, order.*, INSERT"),
        Filter("table", "Table", hint="orders"),
        Filter("record_id", "Record id", hint="17"),
        Filter("status", "State", "several", states),
        Filter("response_status", "Answer", hint="500, 4xx", is_minor=True),
        Filter("failure", "Failure", "choice", failures, is_minor=True),
        Filter("since", "From", hint="1h, 7d, 2026-11-21 14:00", is_minor=True),
        Filter("until", "To", hint="2026-11-21 15:00", is_minor=True),
        Filter("event_id", "Event id", hint="01a1fc32-…", is_minor=True),
    ]


def history(
    found: Found[Delivery] | None,
    question: Asked | None,
    asked: Mapping[str, str],
    now: datetime,
    *,
    webhooks: Sequence[str] = (),
    webhook_id: UUID | None = None,
    error: str = "",
    may_retry: bool = True,
) -> HistoryView:
    """Return the page of what was found.

    Args:
        found: None: what was asked for could not be understood; `error` says why.
        webhook_id: The webhook that is asked for.
        may_retry: Who looks may send them again.
    """
    filters = {name: value for name, value in asked.items() if name != "cursor"}
    items = [] if found is None else found.items
    pages, empty = Pager(), None
    if found is not None and question is not None:
        pages = delivery_pager(PATH, found, settled(asked, question))
        empty = None if items else _empty(filters, pages)
    is_newest = found is not None and not asked.get("cursor") and not filters.get("until")
    return HistoryView(
        filters=filter_bar(PATH, TARGET, offered(webhooks), filters, error=error),
        states=state_choices(filters),
        spans=tuple(
            Choice(label, link(PATH, {**filters, "since": value}), filters.get("since", "") == value) for value, label in _SPANS
        ),
        counts="" if found is None or filters.get("text") else link(f"{PATH}/counts", filters),
        table=deliveries_table(items, now, form="chosen" if may_retry else ""),
        pager=pages,
        empty=empty,
        live=live_path(filters, webhook_id, items[0].id if items else None) if is_newest else "",
        back=link(PATH, asked),
    )


def live_path(filters: Mapping[str, str], webhook_id: UUID | None, newest: UUID | None) -> str:
    """Return the path of the stream that tells of rows which are newer than these."""
    others = any(value for name, value in filters.items() if name not in {"status", "webhook", "since"})
    parameters = {
        "of": "deliveries",
        "after": str(newest or ""),
        "status": filters.get("status", ""),
        "webhook_id": str(webhook_id or ""),
        "loosely": "yes" if others else "",
        "back": link(PATH, filters),
    }
    return link("/live", parameters)


def state_choices(filters: Mapping[str, str], counts: Mapping[Stage, str] | None = None) -> tuple[StateChoice, ...]:
    """Return the states to look for, each with a way to set it or to take it away, and how many there are of it."""
    chosen = [one for one in filters.get("status", "").split(",") if one]
    found = []
    for stage in _STAGES:
        others = [one for one in chosen if one != stage] if stage in chosen else [*chosen, stage.value]
        number = (counts or {}).get(stage, "").replace(">10000", ">10\u2009000")
        href = link(PATH, {**filters, "status": ",".join(others)})
        found.append(StateChoice(state(stage), href, stage in chosen, number))
    return tuple(found)


def deliveries_table(items: Sequence[Delivery], now: datetime, *, name: str = "deliveries", form: str = "") -> Table:
    """Return deliveries as a table; with a form its rows can be selected."""
    columns = (
        Column("Time"),
        Column("State"),
        Column("Event", "wide"),
        Column("Webhook"),
        Column("Answer", "number"),
        Column("Tries", "number", is_minor=True),
        Column("Took", "number", is_minor=True),
        Column("Record", is_minor=True),
    )
    return Table(name, "Deliveries, newest first", columns, tuple(_row(one, now) for one in items), bool(form), form)


def _row(one: Delivery, now: datetime) -> Row:
    name = webhook_name(one)
    said = state(one.state)
    label = f"{visible(one.event.type, limit=40).plain} to {name.plain}, {said.word}"
    cells = DeliveryRow(
        when(one.created_at, now),
        said,
        visible(one.event.type, limit=80),
        visible(one.told_as, limit=60) if one.told_as != one.event.type else None,
        name,
        *answer(one),
        str(one.attempt_count or "–"),
        duration(one.total_ms),
        visible(record_of(one), limit=60),
        when(one.next_retry_at, now) if one.state is Stage.RETRYING and one.next_retry_at else None,
        one.is_test,
    )
    return Row(str(one.id), f"{PATH}/{one.id}", label, cells)


def webhook_name(one: Delivery) -> Shown:
    """Return what the webhook of a delivery is called."""
    return visible("deleted webhook" if one.webhook is None else one.webhook.name or one.webhook.url, limit=60)


def answer(one: Delivery) -> tuple[str, str]:
    """Return what came back last, in a word, and its tone."""
    if one.response_status is not None:
        return str(one.response_status), "good" if 200 <= one.response_status < 300 else "bad"
    return (one.failure.replace("_", " "), "bad") if one.failure else ("–", "quiet")


def record_of(one: Delivery) -> str:
    """Return which record a delivery is about: `orders 17`; what its publisher said, or nothing."""
    event = one.event
    if event.table_name is None:
        return event.subject or ""
    row = record_id(event)
    return f"{event.table_name} {row}" if row is not None else event.table_name


def delivery_pager(path: str, found: Found[Delivery], asked: Mapping[str, str]) -> Pager:
    """Return the way on, and how far was looked."""
    page, seal = found.result.page, found.result.seal
    newer, older = (None if cursor is None else seal.text(cursor) for cursor in (page.newer, page.older))
    return pager(
        path, asked, newer=newer, older=older, said=looked_said(len(found.items), page.searched_to, "delivery", "deliveries")
    )


def looked_said(shown: int, searched_to: UUID | None, one: str, many: str) -> str:
    """Return how many are shown, and how far was looked when that was not to the end."""
    if searched_to is None:
        return count(shown, one, many) if shown else ""
    at = id_time(searched_to).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{count(shown, one, many)} so far; looked back to {at}. “Older” looks further."


def _empty(filters: Mapping[str, str], pages: Pager) -> Empty:
    if pages.older:
        return Empty("Nothing so far", pages.said, "Look further", pages.older, icon="search")
    if filters:
        text = "No delivery fits all that is asked. Take a filter away, or look for the event: nobody may have wanted it."
        return Empty("Nothing fits", text, "All deliveries", PATH, icon="search")
    return Empty(
        "No deliveries yet",
        "Each event that a webhook wants becomes a delivery, and is kept here with every attempt. Nothing was sent so far.",
        "New webhook",
        "/webhooks/new",
        'curl -X POST $URL/api/v1/events -H "Authorization: Bearer $KEY" -d \'{"type": "order.paid", "data": {}}\'',
        "send",
    )


def retried_said(sent: int, refused_count: int, refused: Sequence[str]) -> Notice:
    """Return what came of sending several again."""
    if not sent and not refused_count:
        return Notice("info", "Nothing was selected. Tick the boxes of the rows to send again.")
    said = f"{count(sent, 'delivery goes', 'deliveries go')} out again." if sent else "None was sent again."
    if not refused_count:
        return Notice("good", said)
    return Notice("warn" if sent else "bad", f"{said} {count(refused_count, 'was', 'were')} not: {refused[0]}")
