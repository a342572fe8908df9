"""The one clock: every process of an installation reads PostgreSQL's time."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """PostgreSQL's time as of the last heartbeat, and the seconds since then by a clock that nobody puts forward or back.

    Workers on several machines compare times that others wrote; a machine whose clock is wrong, or is put right, would send
    retries early or late. `adjust` is called with each heartbeat, by another thread.
    """

    def __init__(self) -> None:
        self._set = (datetime.now(UTC), time.monotonic())  # one object, so that nobody reads half a change

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        at, since = self._set
        return at + timedelta(seconds=time.monotonic() - since)

    def adjust(self, database_time: datetime) -> None:
        """Take over PostgreSQL's time, as it was a moment ago."""
        self._set = (database_time, time.monotonic())


def machine_time() -> datetime:
    """Return what this machine's own clock says. It decides nothing, and is compared with PostgreSQL's."""
    return datetime.now(UTC)
