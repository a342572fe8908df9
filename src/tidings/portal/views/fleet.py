"""How the fleet is, as a page shows it: what waits in the stream and at sources, since when, and why."""

from datetime import datetime

import msgspec

from tidings.core.pressure import LATE_SECONDS, NEARLY_FULL, SILENT, Report, Seen, Standing, Waits, sources_of, why
from tidings.operations.fleet import Watched
from tidings.portal.views.lists import Column, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, State, When, when
from tidings.portal.views.text import Shown, count, duration, number, share, size, visible

PATH = "/settings/fleet"
_WELL, _WAITS, _SILENT = (
    State("good", "check", "goes on"),
    State("warn", "clock", "waits"),
    State("bad", "circle-alert", "silent"),
)


class SourceRow(msgspec.Struct, frozen=True):
    """A source. `waiting`: flights for this home that the stream does not have yet."""

    name: Shown
    state: State
    seen: When | None
    rows: str
    waiting: str
    oldest: str
    why: Shown


class FleetView(msgspec.Struct, frozen=True):
    """The page. `facts`: of the stream, as label, value, hint and tone."""

    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str, str, str], ...]
    troubles: tuple[Shown, ...]
    table: Table
    seen: When | None
    empty: Empty | None


def fleet_view(watched: Watched | None, now: datetime) -> FleetView:
    """Return the page."""
    here = sections(SETTINGS, PATH)
    columns = (
        Column("Source", "wide"), Column("State"), Column("Seen"), Column("In its outbox", "number"),
        Column("On its way here", "number"), Column("Oldest", "number"), Column("Why", "wide", is_minor=True),
    )  # fmt: skip
    if watched is None:
        empty = Empty(
            "This installation is no home of a fleet",
            "Several databases can send what happens in them to one that delivers: see the guide, A fleet. Until then there is "
            "nothing to watch here.",
            icon="layers",
        )
        return FleetView(here, (), (), Table("sources", "Sources", columns, ()), None, empty)
    seen = watched.seen
    rows = tuple(Row(name, "", f"source {name}", _source(name, report, seen, now)) for name, report in sources_of(seen).items())
    facts = () if watched.is_stale or not seen.homes else _facts(seen.homes[0])
    said = tuple(visible(one.sentence, limit=1000) for one in watched.troubles)
    return FleetView(here, facts, said, Table("sources", "Sources", columns, rows), when(seen.at, now), None)


def _facts(one: Standing) -> tuple[tuple[str, str, str, str], ...]:
    late = one.seconds > LATE_SECONDS
    room = f"of {size(one.most_bytes)}" if one.most_bytes > 0 else "without a limit"
    used = share(one.bytes, one.most_bytes) if one.most_bytes > 0 else size(one.bytes)
    copies = "good" if one.current == one.replicas and one.leader else "bad"
    return (
        ("Flights in the stream", number(one.flights), "that this home has not landed", "warn" if late else "quiet"),
        ("Oldest", duration(one.seconds * 1000) if one.flights else "–", "in the stream", "warn" if late else "quiet"),
        ("Room used", used, room, "warn" if one.share >= NEARLY_FULL else "quiet"),
        ("Copies up to date", f"{one.current} of {one.replicas}", f"{one.leader or 'nobody'} leads", copies),
    )


def _source(name: str, report: Report | None, seen: Seen, now: datetime) -> SourceRow:
    if report is None:
        text = visible("What it says cannot be read: run one version everywhere.")
        return SourceRow(visible(name), _SILENT, None, "–", "–", "–", text)
    ours: Waits | None = next((one for one in report.waits if any(one.home == home.home for home in seen.homes)), None)
    is_silent = seen.at - report.at > SILENT
    is_waiting = report.is_full or bool(ours is not None and why(ours))
    said = "" if ours is None else why(ours)
    return SourceRow(
        visible(name),
        _SILENT if is_silent else _WAITS if is_waiting else _WELL,
        when(report.at, now),
        number(report.outbox_rows),
        "–" if ours is None else count(ours.events, "event"),
        "–" if ours is None else duration(ours.seconds * 1000),
        visible(said or ("Nothing was heard of it." if is_silent else "")),
    )
