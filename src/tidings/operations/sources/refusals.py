"""Notices that were refused, counted by reason.

Whoever can reach us can send as many as they like, and none of them is genuine. So a refusal does not become a row each, nor a
write each: what a process refused is added up and written at most once a second, when the next is refused or somebody looks.
What is not written when a process ends is not told; the counts say what is wrong, not how often to the last one.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tidings.store.integrations import Refusals

WRITE_INTERVAL = timedelta(seconds=1)
MAX_SAID = 500  # characters kept of what a sender was told
MAX_PENDING = 4000  # reasons and integrations that are added up at a time


class Tally:
    """What was refused and is not written yet. One event loop reads and writes it."""

    def __init__(self) -> None:
        self._pending: dict[tuple[UUID, str], Refusals] = {}
        self._written_at: datetime | None = None

    def note(self, integration_id: UUID, reason: str, said: str, now: datetime) -> bool:
        """Count a refusal; True: it is time to write."""
        key, said = (integration_id, reason), said[:MAX_SAID].replace("\0", "")
        before = self._pending.get(key)
        if before is not None:
            self._pending[key] = msgspec.structs.replace(before, count=before.count + 1, said=said, last_at=now)
        elif len(self._pending) < MAX_PENDING:
            self._pending[key] = Refusals(integration_id, reason, 1, said, now, now)
        return self._written_at is None or now - self._written_at >= WRITE_INTERVAL or now < self._written_at

    def take(self, now: datetime) -> list[Refusals]:
        """Return what is to be written, and begin anew."""
        taken = list(self._pending.values())
        self._pending.clear()
        self._written_at = now
        return taken
