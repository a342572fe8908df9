"""The one clock: every process of an installation reads PostgreSQL's time."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The system's clock, set right by PostgreSQL's.

    Workers on several machines compare times that others wrote; a machine whose clock is wrong would send retries early
    or late. `adjust` is called with each heartbeat.
    """

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def adjust(self, database_time: datetime) -> None:
        """Take over PostgreSQL's time, as it was a moment ago."""
        self._offset = database_time - datetime.now(UTC)
