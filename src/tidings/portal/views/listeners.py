"""Listeners as a page shows them: who receives by `tidings listen`, and what waits for them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.core.listening import FULL
from tidings.operations.listening.listeners import Listener
from tidings.portal.views.lists import Column, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, State, When, when
from tidings.portal.views.text import Shown, count, number, visible

PATH = "/settings/listeners"


class ListenerRow(msgspec.Struct, frozen=True):
    """A listener.

    Attributes:
        hears: Its events, or `webhook`.
        mirrored: The page of the webhook that it mirrors; empty: none.
        why: Why nothing comes, where nothing does; else empty.
        held: Until when nothing is given out.
    """

    name: Shown
    state: State
    hears: Shown
    mirrored: str
    why: str
    held: When | None
    waiting: str
    under_way: str
    made: When
    heard: When


class ListenersView(msgspec.Struct, frozen=True):
    """A group's listeners."""

    sections: tuple[Section, ...]
    table: Table
    empty: Empty | None


def listeners_view(found: Sequence[Listener], now: datetime) -> ListenersView:
    """Return a group's listeners, by name."""
    columns = (
        Column("Name", "wide"),
        Column("State"),
        Column("Hears", "wide"),
        Column("Waits", "number"),
        Column("Under way", "number", is_minor=True),
        Column("Made", is_minor=True),
        Column("Asked last"),
        Column("Take away", "action"),
    )
    rows = tuple(Row(str(one.id), f"/webhooks/{one.id}", f"listener {one.name}", _row(one, now)) for one in found)
    empty = None if rows else Empty(
        "Nobody listens",
        "A listener brings deliveries to a machine without a public address: run tidings listen 3000 there. It stays for three "
        "days after it asked last, and keeps what comes meanwhile.",
        icon="radio",
    )  # fmt: skip
    return ListenersView(sections(SETTINGS, PATH), Table("listeners", "Listeners", columns, rows), empty)


def _row(one: Listener, now: datetime) -> ListenerRow:
    hears = ", ".join(event if isinstance(event, str) else msgspec.json.encode(event).decode() for event in one.events)
    held = one.held_until if one.waiting and one.held_until is not None and one.held_until > now else None
    return ListenerRow(
        visible(one.name, limit=100),
        _state(one, is_held=held is not None),
        visible("everything" if one.events == ["*"] else hears, limit=200),
        "" if one.webhook_id is None else f"/webhooks/{one.webhook_id}",
        "" if one.enabled else visible(one.reason or "It is disabled.", limit=300).plain,
        None if held is None else when(held, now),
        number(one.waiting),
        number(one.under_way),
        when(one.created_at, now),
        when(one.heard_at, now),
    )


def _state(one: Listener, *, is_held: bool) -> State:
    if not one.enabled:
        return State("bad", "circle-alert", "full" if one.reason == FULL else "disabled")
    if is_held:
        return State("warn", "clock", "held")
    if one.clients:
        return State("good", "check", "listening" if one.clients == 1 else f"{count(one.clients, 'client')}")
    return State("quiet", "clock", "nobody there")
