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

    def not_after(self, database_time: datetime) -> datetime:
        """Return the time, or PostgreSQL's as it was read just now, where that was put back since the last heartbeat."""
        return min(self.now(), database_time)

    def adjust(self, database_time: datetime, *, age: timedelta = timedelta()) -> None:
        """Take over PostgreSQL's time.

        Args:
            age: How old it is at most: an answer can wait for a standby, or for a process that was stopped. A time between
                the two that this clock tells already may be the right one, and stays.
        """
        at, since = self._set
        now = time.monotonic()
        self._set = (min(max(at + timedelta(seconds=now - since), database_time), database_time + age), now)


def machine_time() -> datetime:
    """Return what this machine's own clock says. It decides nothing, and is compared with PostgreSQL's."""
    return datetime.now(UTC)
