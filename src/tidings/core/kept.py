"""Which flights a stream keeps that were landed: for a while, unless its room is needed.

A standby of a home that copies a moment behind does not have what was committed last. At a source that is what its users lost
too; at a home it would be events that are committed elsewhere. So the stream forgets a flight only a while after it was landed.
"""

from collections import deque
from typing import Final

import msgspec

KEPT_SECONDS: Final = 60.0  # for which a flight is kept once it was landed
MOST_OF_ROOM: Final = 0.5  # of what a stream may hold, beyond which nothing that was landed is kept


class Holding(msgspec.Struct, frozen=True):
    """What the stream of a home holds, by the numbers of flights.

    Attributes:
        first: The first that it keeps.
        last: The last that came.
        landed: That up to which all were acknowledged.
        most_bytes: What it may hold; -1: as much as there is room for.
    """

    first: int
    last: int
    landed: int
    bytes: int
    most_bytes: int

    @property
    def is_scarce(self) -> bool:
        """Whether its room is needed for what was not landed yet."""
        return 0 < self.most_bytes * MOST_OF_ROOM < self.bytes


class Landings:
    """What was landed when, as it was seen from moment to moment."""

    def __init__(self, seconds: float = KEPT_SECONDS) -> None:
        """Have seen nothing. `seconds`: for which what was landed is kept."""
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()
        self._long_ago = 0

    def to_forget(self, holding: Holding, now: float) -> int | None:
        """Take note of what is landed now; return the number up to which flights are to be forgotten; None: none is."""
        if holding.landed < max(self._long_ago, self._seen[-1][1] if self._seen else 0):
            self._seen.clear()  # the stream was made anew, or its new leader knows less
            self._long_ago = 0
        if not self._seen or self._seen[-1][1] != holding.landed:
            self._seen.append((now, holding.landed))
        while self._seen and self._seen[0][0] <= now - self._seconds:
            self._long_ago = self._seen.popleft()[1]
        last = holding.landed if holding.is_scarce else self._long_ago
        return last if last >= holding.first else None
