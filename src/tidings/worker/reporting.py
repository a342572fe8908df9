"""A source says how it is: to the stream, where its homes read it, and to whoever watches its figures.

It hears there too which homes are drained: nothing is sent to them until they are no longer.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.clock import Clock
from tidings.core.errors import StartupError
from tidings.core.pressure import HEARING_SECONDS, REPORT_INTERVAL, Drained, Report, Seen, Waits, Why, troubles
from tidings.store import outbox, set_aside
from tidings.store.database import UNAVAILABLE, Database
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.relay import Relay
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.relay")

__all__ = ["FIGURES", "REPORT_INTERVAL", "Reporter"]

MAX_SET_ASIDE: Final = 10_000  # that are counted
_REASONS: Final = [why for why in Why if why is not Why.NOTHING]


class Way(Protocol):
    """The stream, as far as a source says by it how it is."""

    async def report(self, source: str, report: Report) -> None:
        """Say how a source is."""

    async def said(self, source: str) -> Report | None:
        """Return what a source said last; None: nothing that can be read."""

    async def drained(self) -> Drained:
        """Return homes that nothing is to be sent to."""


class Figures(Collector):
    """What the relays of this process tell those who watch it. One that stands by tells that alone."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[Report | None, Sequence[Waits]]] = {}

    def set(self, source: str, report: Report | None, waits: Sequence[Waits]) -> None:
        """Take over what is so now. `report`: None while the relay stands by."""
        self._told[source] = report, waits

    def forget(self, source: str) -> None:
        """Tell nothing more: the relay has ended."""
        self._told.pop(source, None)

    def collect(self) -> Iterator[Metric]:
        """Return the figures."""
        at_work = {source: report for source, (report, _) in self._told.items() if report is not None}
        text = "1 where this relay sends what is committed, 0 where it stands by."
        family = GaugeMetricFamily("tidings_relay_at_work", text, labels=["source"])
        for source in self._told:
            family.add_metric([source], float(source in at_work))
        yield family
        for name, text, figure in (
            ("outbox_rows", "Rows of a source that are not packed yet; past 10,000 an upper bound.", "outbox_rows"),
            ("outbox_lag_seconds", "Age of the oldest row of a source that is not packed yet.", "outbox_seconds"),
            (
                "set_aside",
                "Events of a source that cannot be sent and were set aside; 10,000 are counted at most.",
                "set_aside",
            ),
            ("full", "1 while so much is packed at a source that the rest waits in its outbox.", "is_full"),
        ):
            family = GaugeMetricFamily(f"tidings_relay_{name}", text, labels=["source"])
            for source, report in at_work.items():
                family.add_metric([source], float(getattr(report, figure)))
            yield family
        every = [(source, one) for source, (_, waits) in self._told.items() for one in waits]
        for name, text in (
            ("flights", "Flights at a source that the stream does not have yet, by their home."),
            ("events", "Events of these flights."),
            ("bytes", "Bytes that these flights take in the source's database."),
            ("seconds", "For how long the oldest of these flights has waited."),
        ):
            family = GaugeMetricFamily(f"tidings_relay_waiting_{name}", text, labels=["source", "home"])
            for source, one in every:
                family.add_metric([source, one.home], getattr(one, name))
            yield family
        text = "1 for the reason why what waits at a source for a home does: away, full, large, drained."
        reasons = GaugeMetricFamily("tidings_relay_waiting_reason", text, labels=["source", "home", "reason"])
        for source, one in every:
            for why in _REASONS:
                reasons.add_metric([source, one.home, why.value], int(one.why is why))
        yield reasons


FIGURES: Final = Figures()
REGISTRY.register(FIGURES)


class Reporter:
    """Says how a source is, and has its relay heed what is drained."""

    def __init__(self, database: Database, stream: Way, relay: Relay, clock: Clock, source: str, *, identity: str = "") -> None:
        """Make it. `identity`: what tells the database of a source from all others; "": nobody looks for others of the name."""
        self._database = database
        self._stream = stream
        self._relay = relay
        self._clock = clock
        self._source = source
        self._refused = ""  # why nothing could be said, last
        self._report: Report | None = None  # what was so last; None: this relay stands by
        self._heeded = 0
        self._has_looked = False
        self._identity = identity
        self._other: Report | None = None  # what another database said under our name, before we said anything
        self._has_reported = False
        self._doubled = Signal()

    async def expect_alone(self, stop: Signal) -> None:
        """Return when no other database is at work under this name: whoever was would have said something meanwhile.

        Raises:
            StartupError: One is.
            StreamAwayError: The stream did not answer.
        """
        before = await self._stream.said(self._source)
        if before is None or not before.is_of_another(self._identity):
            return
        logger.warning("another database was source %s; it is looked for some seconds whether it is still", self._source)
        if not await stop.wait(HEARING_SECONDS) and await self._stream.said(self._source) != before:
            raise _doubled(self._source)
        self._other = before

    async def until_doubled(self) -> None:
        """Wait until another database has begun to speak under this name.

        Raises:
            StartupError: One has.
        """
        await self._doubled.wait()
        raise _doubled(self._source)

    async def heed(self) -> None:
        """Have the relay heed what is drained.

        Raises:
            StreamAwayError: It is not known; what was drained before is.
        """
        found = await self._stream.drained()
        self._relay.drain(found.homes)
        self._heeded = found.revision

    @property
    def sender(self) -> str:
        """What it speaks for."""
        return self._source

    def end(self) -> None:
        """Tell no figures any more."""
        FIGURES.forget(self._source)

    @property
    def is_database_up(self) -> bool:
        """Whether the source's database answers, by what all of this process met that asked it."""
        return self._database.outages.current is None

    def why_not_ready(self) -> list[str]:
        """Return, in sentences, what keeps events from going on from here; a relay that stands by is ready."""
        if (outage := self._database.outages.current) is not None:
            reason, seconds = outage
            return [f"{reason} So it has been for {seconds:.0f} s, and what is committed at source {self._source} waits there."]
        if self._report is None:
            return [] if self._has_looked else ["The relay has only begun."]
        seen = Seen(self._clock.now(), [], sources={self._source: self._report})
        # What lies aside keeps nothing else from going on.
        return [trouble.sentence for trouble in troubles(seen) if trouble.name != "source_set_aside"]

    async def run_once(self) -> bool:
        """Say how the source is, where this relay is at work there; return whether it was said."""
        refused = ""
        try:
            await self.heed()
        except StreamAwayError as error:
            refused = str(error)
        self._has_looked = True
        if not self._relay.is_at_work.is_set:
            self._report = None
            FIGURES.set(self._source, None, [])
            return False
        backlog, aside = await self._backlog()
        now = self._clock.now()
        waits = [one.waits(now) for one in self._relay.outgoing.values()]
        drained = [one.home for one in self._relay.outgoing.values() if one.is_drained and not one.is_sending]
        lag = max(0.0, backlog.lag_seconds)
        some = [one for one in waits if one.flights]
        report = Report(now, backlog.waiting, lag, self._relay.is_full, drained, some, self._heeded, self._identity, aside)
        self._report = report
        FIGURES.set(self._source, report, waits)
        try:
            await self._look_for_others()
            await self._stream.report(self._source, report)
            self._has_reported = True
        except StreamAwayError as error:
            refused = str(error)
        if refused and refused != self._refused:
            logger.info("homes cannot be told now how this source is: %s", refused)
        self._refused = refused
        return not refused

    async def _backlog(self) -> tuple[outbox.Backlog, int]:
        """Return what is not packed yet, and how many rows lie aside."""
        try:
            async with self._database.connection() as connection:
                return await outbox.backlog(connection), await set_aside.count(connection, limit=MAX_SET_ASIDE)
        except UNAVAILABLE:
            # What was so is not known to be so still: nothing is told as it was, and no relay is at work without its database.
            self._report = None
            FIGURES.set(self._source, None, [])
            raise

    async def _look_for_others(self) -> None:
        """Look whether another database has spoken under our name since we did."""
        if not self._identity:
            return
        said = await self._stream.said(self._source)
        if said is None or not said.is_of_another(self._identity) or said == self._other:
            return
        if self._has_reported:
            self._doubled.set()
        self._other = said


def _doubled(source: str) -> StartupError:
    return StartupError(
        f"Another database is source {source!r} of the fleet, and its relay is at work. Give each its own TIDINGS_SOURCE: the "
        "fleet tells by it what is on its way."
    )
