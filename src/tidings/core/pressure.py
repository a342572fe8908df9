"""Where and why things wait in a fleet: what its members say of themselves, and what of that somebody should see to.

Sources say every few seconds what waits there for each home, and why; the stream says what it keeps. Nobody has to ask a
source: a home reads both, and so does whoever looks after the stream.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from tidings.core.ahead import Said, Turn
from tidings.core.fleet import MAX_HOMES, home_of_sender, is_of_home

REPORT_INTERVAL: Final = 3.0  # seconds between two words of a source
HEARING_SECONDS: Final = 4 * REPORT_INTERVAL  # in which a source at work says something, whatever its clock says
SILENT: Final = timedelta(seconds=30)  # a source that said nothing for longer does not work, or cannot reach the stream
GONE: Final = timedelta(days=7)  # a source that said nothing for longer is none any more
LATE_SECONDS: Final = 60.0  # that a flight may wait anywhere; usually it is some milliseconds
NEARLY_FULL: Final = 0.8  # of what the stream keeps for a home
MAX_SOURCES: Final = 200  # that are read, in the order of their names
MAX_REPORT_BYTES: Final = 65_536  # of what one says

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=30)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e12)]


class Why(StrEnum):
    """Why the first flight for a home is still at its source."""

    NOTHING = ""  # it is on its way, or there is none
    AWAY = "away"
    FULL = "full"
    LARGE = "large"
    DRAINED = "drained"


TO_START: Final = "More than half of NATS's nodes have to run: start those that do not."

_WHY: Final = {
    Why.AWAY: "the stream does not answer, or has no quorum",
    Why.FULL: "the stream has no room left for it: its home lands too little, or give it more (--max-bytes)",
    Why.LARGE: "the first flight is larger than max_payload of NATS: set that higher again",
    Why.DRAINED: "it is drained; go on with: tidings stream drain --home {home} --resume",
}


class Waits(msgspec.Struct, frozen=True):
    """What waits at a source for one home: packed, and not in the stream yet. `seconds`: for how long the oldest has."""

    home: _Name
    flights: _Count
    events: _Count
    bytes: _Count
    seconds: _Seconds
    why: Why


class Report(msgspec.Struct, frozen=True):
    """What a source says of itself.

    Attributes:
        at: When it said so.
        outbox_rows: Rows that are not packed yet, and `outbox_seconds`: for how long the oldest has waited.
        is_full: So much is packed that the rest waits in the outbox.
        drained: Homes that nothing is on the way to from here, since they are drained, and `heeded`: the revision of what was
            said about that.
        waits: Homes that something waits for.
        database: What tells the database of a source from all others; "": it is not said.
        set_aside: Events that cannot be sent and lie aside, as many as are counted.
    """

    at: datetime
    outbox_rows: _Count
    outbox_seconds: _Seconds
    is_full: bool
    drained: Annotated[list[_Name], msgspec.Meta(max_length=MAX_HOMES)]
    waits: Annotated[list[Waits], msgspec.Meta(max_length=MAX_HOMES)]
    heeded: _Count = 0
    database: Annotated[str, msgspec.Meta(max_length=64)] = ""
    set_aside: _Count = 0

    def is_of_another(self, database: str) -> bool:
        """Whether another database than this one says so."""
        return self.database not in {"", database}


class Drained(msgspec.Struct, frozen=True):
    """Homes that nothing is sent to, and the revision of that: each change has a greater one."""

    homes: frozenset[str]
    revision: int


class Standing(msgspec.Struct, frozen=True):
    """What the stream keeps for a home.

    Attributes:
        flights: That are not landed, and `bytes` of them, of `most_bytes` at most; -1: without a limit.
        seconds: For how long the oldest has waited.
        replicas: How many nodes are to hold it, and `current`: how many of these are up to date.
        leader: The node that leads; "": none does, so that nothing is taken.
        behind: Nodes that are not up to date.
        last: The number of the last flight that came: how many there were since the stream was made.
    """

    home: str
    flights: int
    bytes: int
    most_bytes: int
    replicas: int
    current: int
    leader: str
    seconds: float = 0.0
    behind: tuple[str, ...] = ()
    last: int = 0

    @property
    def share(self) -> float:
        """How much of its room is used, from 0 to 1; 0 where there is no limit."""
        return self.bytes / self.most_bytes if self.most_bytes > 0 else 0.0


class Seen(msgspec.Struct, frozen=True):
    """What one look at the stream found.

    Attributes:
        homes: Of those who may be looked at: all, to whoever looks after the stream; to a home, itself.
        missing: Homes that have no stream.
        sources: What each said last; None: what it said cannot be read.
        drained: Homes that are drained.
        ahead: What homes say of sending ahead, where they have said anything; None: it cannot be read.
        away: Why nothing could be seen; "": the stream has answered.
        parked: Groups that are to move, as far as it was asked: sources keep what is for them.
    """

    at: datetime
    homes: list[Standing]
    missing: list[str] = []
    sources: dict[str, Report | None] = {}
    drained: list[str] = []
    away: str = ""
    ahead: dict[str, Said | None] = {}
    parked: list[str] = []


TROUBLES: Final = (
    "stream_away", "stream_missing", "stream_leaderless", "stream_behind", "stream_full", "home_late", "home_ahead",
    "home_ahead_unread", "home_silent", "move_unfinished",
    "source_silent", "source_unread", "source_waits", "source_full", "source_late", "source_set_aside",
)  # fmt: skip


class Trouble(msgspec.Struct, frozen=True):
    """Something in a fleet that somebody should see to. `about`: the home or source. `since`: seconds, where that is known."""

    name: str
    about: str
    sentence: str
    seconds: float | None = None


def read_report(said: bytes) -> Report | None:
    """Return what a source said; None: it cannot be read."""
    if len(said) > MAX_REPORT_BYTES:
        return None
    try:
        report = msgspec.json.decode(said, type=Report)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return None if report.at.tzinfo is None else report


def sources_of(seen: Seen) -> Mapping[str, Report | None]:
    """Return what sources said lately, by their names in order: those that were silent for days are none any more."""
    return {name: report for name, report in sorted(seen.sources.items()) if report is None or seen.at - report.at < GONE}


def troubles(seen: Seen) -> list[Trouble]:
    """Return what somebody should see to, the stream first."""
    if seen.away:
        return [
            Trouble(
                "stream_away",
                "",
                f"Nothing comes by the stream: {seen.away.rstrip('.')}. What is committed at sources waits. {TO_START}",
            )
        ]
    found = [
        Trouble(
            "stream_missing", home, f"The fleet has no stream for {home}: nothing comes there. Run tidings stream init again."
        )
        for home in seen.missing
    ]
    for one in seen.homes:
        found += _of_home(one, is_drained=one.home in seen.drained)
    found += [trouble for home, said in sorted(seen.ahead.items()) for trouble in _of_ahead(home, said, seen.at)]
    for name, report in sources_of(seen).items():
        found += _of_source(name, report, seen.at)
    return found


def _of_home(one: Standing, *, is_drained: bool) -> list[Trouble]:
    found, home = [], one.home
    if not one.leader:
        text = f"No node leads the stream of {home}: it takes and gives nothing. Start the nodes that are away."
        found.append(Trouble("stream_leaderless", home, text))
    elif one.current < one.replicas:
        behind = f" ({', '.join(one.behind)} behind or away)" if one.behind else ""
        text = f"{one.current} of {one.replicas} copies of the stream of {home} are up to date{behind}. Start what is away."
        found.append(Trouble("stream_behind", home, text))
    if one.share >= NEARLY_FULL:
        text = (
            f"The stream of {home} is {one.share:.0%} full. Once it is full, sources keep what goes there: see that the home "
            "lands what comes, or give the stream more room."
        )
        found.append(Trouble("stream_full", home, text, one.seconds))
    if one.flights and one.seconds > LATE_SECONDS and not is_drained:
        text = (
            f"{_flights(one.flights)} for {home} in the stream, the oldest for {span(one.seconds)}: the home does not land "
            "what comes, or too little. Look at its log, and run tidings doctor there."
        )
        found.append(Trouble("home_late", home, text, one.seconds))
    return found


def _of_ahead(home: str, said: Said | None, at: datetime) -> list[Trouble]:
    if said is None:
        text = f"What home {home} says of sending ahead of its database cannot be read. Run one version everywhere."
        return [Trouble("home_ahead_unread", home, text)]
    if said.state is not Turn.AHEAD:
        return []
    seconds = said.seconds(at)
    text = (
        f"Home {home} has sent ahead for {span(seconds)}, since its database is away: first attempts are made, and all else "
        "waits until it is back. See to its PostgreSQL."
    )
    return [Trouble("home_ahead", home, text, seconds)]


def _of_source(name: str, report: Report | None, at: datetime) -> list[Trouble]:
    if report is None:
        return [
            Trouble("source_unread", name, f"What source {name} says of itself cannot be read. Run one version everywhere.")
        ]
    silent = at - report.at
    if silent > SILENT:
        if is_of_home(name):
            text = (
                f"Home {home_of_sender(name)} has said nothing for {span(silent.total_seconds())}: no serve or worker "
                "runs there, or it cannot reach its database or the stream. What it has for other homes waits, and first "
                "attempts at most are made there. Start what is away."
            )
            return [Trouble("source_silent", name, text, silent.total_seconds())]
        text = (
            f"Source {name} has said nothing for {span(silent.total_seconds())}: no relay works there, or it cannot reach the "
            f"stream. Its rows wait. Start tidings relay; a source that is none any more is forgotten after {GONE.days} days."
        )
        return [Trouble("source_silent", name, text, silent.total_seconds())]
    found = [
        Trouble("source_waits", name, f"{_flights(one.flights)} at source {name} for {one.home}: {why(one)}.", one.seconds)
        for one in report.waits
        if one.why not in {Why.NOTHING, Why.DRAINED}
    ]
    if report.is_full:
        text = f"Source {name} has packed as much as it keeps: {report.outbox_rows:,} rows wait in its outbox, for all homes."
        found.append(Trouble("source_full", name, text, report.outbox_seconds))
    elif report.outbox_seconds > LATE_SECONDS:
        text = f"Rows at source {name} have waited for {span(report.outbox_seconds)} to be packed. Look at the relay's log."
        found.append(Trouble("source_late", name, text, report.outbox_seconds))
    if report.set_aside:
        text = (
            f"{report.set_aside:,} events were set aside at source {name}: they cannot be sent, and stay in its database until "
            "somebody looks. Run tidings api with its settings, and ask there why: tidings set-aside list."
        )
        found.append(Trouble("source_set_aside", name, text))
    return found


def why(one: Waits) -> str:
    """Return a sentence's part that tells why something waits, with the remedy; empty where nothing holds it."""
    return _WHY.get(one.why, "").format(home=one.home)


def still_on_the_way(seen: Seen, homes: Sequence[str], revision: int, gone: Collection[str]) -> list[str]:
    """Return, as sentences, what keeps homes from being drained: what sources still send, and what is not landed yet.

    Args:
        revision: Of what is drained, as it was said.
        gone: Sources that have said nothing while they were watched: no relay works there, and one that begins asks first.
    """
    found = [f"{home} is drained no longer: somebody has run --resume." for home in homes if home not in seen.drained]
    for name, report in seen.sources.items():
        if name in gone:
            continue
        if report is None:
            found.append(f"What source {name} says cannot be read.")
        elif report.heeded < revision or not set(homes) <= set(report.drained):
            found.append(f"Source {name} has not said yet that it sends nothing to {', '.join(homes)}.")
    found += [
        f"{_flights(one.flights)} for {one.home} in the stream." for one in seen.homes if one.home in homes and one.flights
    ]
    return found


def _flights(number: int) -> str:
    return "1 flight waits" if number == 1 else f"{number:,} flights wait"


def span(seconds: float) -> str:
    """Return how long something has been so, in words."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
