"""Limits of the data of one event, where nobody could refuse it: a captured change, a job's tick, a record's.

Such an event is set aside with its reason, as one that is too large for anybody. What was published was let through, or
refused, where it came in, and is never set aside for a limit that was lowered since.
"""

from collections.abc import Iterable
from typing import Final

from tidings.core.event import OPERATIONAL, Event
from tidings.core.limits import payload_fault
from tidings.store import limits
from tidings.store.database import Database
from tidings.store.limits import Payloads
from tidings.store.storage import event_bytes

PAYLOADS_INTERVAL: Final = 1.0  # seconds between looks whether limits were changed

_JUDGED_BEFORE: Final = frozenset({"publish", OPERATIONAL})


class PayloadLimits:
    """The limits that this process knows of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = Payloads()

    async def run_once(self) -> None:
        """Read them again if any limit of a group was changed."""
        async with self._database.connection() as connection:
            if await limits.version(connection) != self._known.version:
                self._known = await limits.payloads(connection)

    def faults(self, rows: Iterable[tuple[int, Event]]) -> dict[int, str]:
        """Return, for each event that is larger than its group may send, its number and why it cannot be routed."""
        if self._known.are_none:
            return {}
        found: dict[int, str] = {}
        for number, event in rows:
            allowed = self._known.of(event.group_id) if event.source not in _JUDGED_BEFORE else None
            if allowed is not None and (size := event_bytes(event)) > allowed:
                found[number] = payload_fault(allowed, size)
        return found
