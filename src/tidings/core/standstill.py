"""Telling what stands still by looking at it again and again, without comparing anybody's clock with another's.

The naive way compares the time that a worker wrote with the time now. When a clock is put forward by three hours, every worker
is dead by that, and what all of them are sending is given to others. Here only the looker's own seconds count, between looks at
something that has not changed. Who has not looked for a while knows nothing, and begins again.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Standstill(Generic[Key]):
    """What has not changed for `limit` seconds of looking."""

    def __init__(self, limit: float, *, longest_gap: float) -> None:
        self._limit = limit
        self._longest_gap = longest_gap
        self._looked_at: float | None = None
        self._seen: dict[Key, tuple[object, float]] = {}

    def look(self, found: Mapping[Key, object], at: float) -> list[Key]:
        """Take note of what there is, and return what has stood still for too long.

        Args:
            found: The things by their names, each with what changes while it moves.
            at: Seconds of a clock that only goes forward.
        """
        if self._looked_at is None or at - self._looked_at > self._longest_gap:
            self._seen.clear()
        self._looked_at = at
        before, self._seen = self._seen, {}
        for key, value in found.items():
            known = before.get(key)
            self._seen[key] = known if known is not None and known[0] == value else (value, at)
        return [key for key, (_, since) in self._seen.items() if at - since >= self._limit]
