"""What a worker tells OpenTelemetry: spans of what it routes and attempts, and figures. Unless that is asked for, nothing.

The dispatcher and the recorder speak to `Telemetry`; what speaks OTLP (`worker.otel`) is imported when it is asked for.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from tidings.core.event import Event
from tidings.core.outcome import Result
from tidings.core.telemetry import wanted
from tidings.store import outbox, queue
from tidings.store.database import Database

logger = logging.getLogger("tidings.telemetry")

WATCH_INTERVAL: Final = 15.0  # seconds between looks at what waits


class Waiting(msgspec.Struct, frozen=True):
    """What waits in the whole installation, and for how long the oldest has."""

    outbox_rows: int
    outbox_lag_seconds: float
    queue_lag_seconds: float


class Telemetry(Protocol):
    """Who is told what a worker does. Nothing of it waits, and nothing of it fails."""

    def adopted(self, events: list[Event]) -> list[Event]:
        """Return events that were taken out of the outbox, each in a trace, with what was decided about recording it."""

    def routed(self, events: Sequence[Event], taken_at: datetime, routed_at: datetime) -> None:
        """Hear of events that were routed and committed together."""

    def relayed(self, events: Sequence[Event], taken_at: datetime, sent_at: datetime) -> None:
        """Hear of events of a source that the stream has taken over together."""

    def landed(self, events: Sequence[Event], received_at: datetime, landed_at: datetime) -> None:
        """Hear of events that came by the stream and are in the outbox of their home."""

    def attempted(self, results: Sequence[Result]) -> None:
        """Hear of attempts that are on record."""

    def waits(self, waiting: Waiting) -> None:
        """Hear what waits."""

    async def close(self) -> None:
        """Send what there is, for a few seconds at most, and stop."""


class Watch:
    """Looks at what waits, for those who watch figures by OpenTelemetry."""

    def __init__(self, database: Database, telemetry: Telemetry) -> None:
        self._database = database
        self._telemetry = telemetry

    async def run_once(self) -> None:
        """Look once."""
        async with self._database.connection() as connection:
            backlog, lag = await outbox.backlog(connection), await queue.lag_seconds(connection)
        self._telemetry.waits(Waiting(backlog.waiting, backlog.lag_seconds, lag))


def open_telemetry(variables: Mapping[str, str], version: str) -> Telemetry | None:
    """Return what variables ask for; None: nothing. What cannot be had is told, and keeps nobody from delivering."""
    asked = wanted(variables)
    for problem in asked.problems:
        logger.warning("%s", problem)
    if not asked:
        return None
    try:
        from tidings.worker.otel import OpenTelemetry
    except ImportError as error:
        logger.warning(
            "OTEL_ variables ask for OpenTelemetry, which is not installed (%s): nothing is exported. Install tidings[otel].",
            error,
        )
        return None
    try:
        return OpenTelemetry(asked, version)
    except Exception as error:  # noqa: BLE001 - whatever the library makes of its variables
        logger.warning("OpenTelemetry cannot begin as its OTEL_ variables say (%r): nothing is exported.", error)
        return None
