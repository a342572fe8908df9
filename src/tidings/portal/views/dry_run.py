"""What a webhook would have been sent of the last days, as pages show it."""

from datetime import datetime
from urllib.parse import quote
from uuid import UUID

import msgspec

from tidings.operations.history.explaining import DryRun, Heard
from tidings.portal.views.explain import about
from tidings.portal.views.lists import Column, Option, Pager, Row, Table, link
from tidings.portal.views.small import Empty, When, when
from tidings.portal.views.text import Shown, count, number, visible

DAYS = (1, 7, 30)  # that are offered
DEFAULT_DAYS = 7
PAGE_SIZE = 50


class HeardRow(msgspec.Struct, frozen=True):
    """An event that would have been sent. `name`: as its receiver knows it; `explain`: why, of a webhook that is saved."""

    name: Shown
    about: Shown
    at: When
    explain: str


class DryRunView(msgspec.Struct, frozen=True):
    """What would have been sent.

    Attributes:
        days: Those to choose from.
        said: How many there are, and of how many events.
        error: Why nobody can tell.
    """

    days: tuple[Option, ...]
    said: str
    table: Table
    pager: Pager
    empty: Empty | None
    error: str = ""


def days_of(text: str) -> int:
    """Return how many days are asked for; what is none of those offered is the usual one."""
    return int(text) if text in {str(days) for days in DAYS} else DEFAULT_DAYS


def dry_run_view(run: DryRun, days: int, now: datetime, *, path: str = "") -> DryRunView:
    """Return what would have been sent.

    Args:
        path: Of the page that shows it, to go on from; empty: a form that shows the first of them only.
    """
    rows = tuple(_row(one, now, run.webhook.id if path else None) for one in run.events)
    span = _span(days)
    more = run.cursor is not None
    said = f"{count(len(rows), 'event')} of the last {span}, of {number(run.seen)} looked at"
    if more:
        reached = f", back to {when(run.searched_to, now).exact}" if run.searched_to else ""
        said = f"The newest {count(len(rows), 'event')}{reached}; there may be more before"
    older = link(path, {"days": str(days), "cursor": str(run.cursor)}) if path and more else ""
    empty = None
    if not rows and not more:
        empty = Empty(
            f"Nothing in the last {span}",
            f"{_looked(run.seen)} Look further back, choose other events, or see on the page of an event why it did not match.",
            "All events", "/events", icon="zap",
        )  # fmt: skip
    columns = (Column("Event", "wide"), Column("About"), Column("Happened"), *((Column("Why", "action"),) if path else ()))
    table = Table("would-send", "What would have been sent", columns, rows)
    return DryRunView(_options(days), f"{said}.", table, Pager(older=older), empty)


def refused_view(days: int, error: str) -> DryRunView:
    """Return why nobody can tell what would have been sent."""
    return DryRunView(_options(days), "", Table("would-send", "", (), ()), Pager(), None, error)


def _looked(seen: int) -> str:
    if not seen:
        return "No event came that it might hear of."
    return f"Of {count(seen, 'event')} that it might hear of, it would have been sent none."


def _options(days: int) -> tuple[Option, ...]:
    return tuple(Option(str(one), f"the last {_span(one)}", one == days) for one in DAYS)


def _span(days: int) -> str:
    return "24 hours" if days == 1 else f"{days} days"


def _row(one: Heard, now: datetime, webhook_id: UUID | None) -> Row:
    event = one.event
    path = f"/events/{quote(str(event.id))}"
    why = link(f"{path}/explain", {"webhook_id": str(webhook_id)}) if webhook_id else ""
    row = HeardRow(visible(one.name, limit=80), visible(about(event), limit=60), when(event.occurred_at, now), why)
    return Row(str(event.id), path, f"event {one.name}", row)
