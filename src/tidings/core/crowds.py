"""Fair shares between groups: who crowds the others, and how much of a batch each group that waits gets.

The outbox is worked off in the order of its numbers, which is the cheapest way and fair to events, but not to groups: a
group that writes a hundred thousand rows at once has everybody else wait behind them. So a worker remembers which groups it
has routed much of lately. Beside those, it looks for the others by itself, in small batches that wait for nobody; and
where several crowd, a batch is split between them.

On a machine with enough processors that is all. Where processors are short, others' small batches wait for them, however soon
they begin. So batches of those that crowd are small as well while others are about, and are followed by rests: longer ones the
longer others' batches take, and never so long that less than two fifths of the time is left.

Shares are equal, and nobody gets more than waits: what one leaves goes to those who want more. Where a batch has not even one
row for each group, it goes on with the next groups in line, round and round.
"""

from collections.abc import Mapping, Sequence
from math import exp

import msgspec

CROWDING = 256.0  # rows routed within a second or so that make a group one that crowds others
MOST_CROWDING = 16  # groups that are looked past
REMEMBERED = 1000  # groups whose rows are counted
SEEN_FOR = 10.0  # seconds that others are looked for eagerly after some of theirs were found
SLOW_RATIO = 1.5  # others' batches that take more than so many times the quickest lack processors
MOST_REST = 1.5  # seconds of rest for each second of work of those that crowd
LONGEST_REST = 0.25  # seconds
_WEIGHT = 0.2  # of the last batch in what others' batches take
_FORGET = 1.001  # the quickest time grows by this with each batch, so that a lucky one does not count for ever


class Waiting(msgspec.Struct, frozen=True):
    """A group with rows in the outbox, and how many those are; counted no further than a batch could take."""

    group_id: str
    count: int


def split(waiting: Sequence[Waiting], capacity: int) -> dict[str, int]:
    """Return how many rows of a batch each group gets, those first in line first: as equal as may be, and none in vain."""
    level, left = 0, capacity
    for done, count in enumerate(sorted(one.count for one in waiting)):
        level = left // (len(waiting) - done)
        if count > level:
            break
        level, left = count, left - count
    shares = {one.group_id: min(one.count, level) for one in waiting}
    left = capacity - sum(shares.values())
    for one in waiting:  # what does not go round is of those first in line
        if left > 0 and shares[one.group_id] < one.count:
            shares[one.group_id] += 1
            left -= 1
    return {group_id: share for group_id, share in shares.items() if share}


class Crowd:
    """Remembers of which groups a worker has routed how much lately. Times are seconds of one clock that only goes on."""

    def __init__(self) -> None:
        # How many and as of when; a second later a third of them counts. Those noted last are last.
        self._rows: dict[str, tuple[float, float]] = {}
        self._crowding: dict[str, None] = {}
        self._others: dict[str, float] = {}  # when those that do not crowd were noted, the latest last

    def note(self, counts: Mapping[str, int], now: float) -> None:
        """Take note of a batch: so many rows of each group were routed."""
        for group_id, count in counts.items():
            rows, at = self._rows.pop(group_id, (0.0, now))
            rows = rows * exp(at - now) + count
            self._rows[group_id] = rows, now
            self._others.pop(group_id, None)  # who crowds was no other to itself before
            if rows >= CROWDING:
                self._crowding[group_id] = None
            elif group_id not in self._crowding:
                self._others[group_id] = now
        while len(self._rows) > REMEMBERED:
            forgotten = next(iter(self._rows))
            del self._rows[forgotten]
            self._others.pop(forgotten, None)

    def crowding(self, now: float) -> list[str]:
        """Return the groups that crowd others, at most so many as are looked past, in the order of their names."""
        rows = {group_id: self._now_of(group_id, now) for group_id in self._crowding}
        self._crowding = {group_id: None for group_id, count in rows.items() if count >= CROWDING / 4}
        return sorted(sorted(self._crowding, key=lambda group_id: -rows[group_id])[:MOST_CROWDING])

    @property
    def remembered(self) -> int:
        """How many groups are remembered."""
        return len(self._rows)

    def are_others_about(self, now: float) -> bool:
        """Whether rows of groups that do not crowd were routed lately."""
        return bool(self._others) and now - next(reversed(self._others.values())) < SEEN_FOR

    def _now_of(self, group_id: str, now: float) -> float:
        rows, at = self._rows.get(group_id, (0.0, now))
        return rows * exp(at - now)


class Courtesy:
    """Decides how long those that crowd rest after a batch, from how long others' batches take."""

    def __init__(self) -> None:
        self._quickest = float("inf")
        self._usual = 0.0

    def took(self, seconds: float) -> None:
        """Take note of a batch of others, from the look for it until it was routed."""
        self._quickest = min(self._quickest * _FORGET, seconds)
        self._usual = self._usual * (1 - _WEIGHT) + seconds * _WEIGHT if self._usual else seconds

    def rest_seconds(self, work_seconds: float) -> float:
        """Return how long to rest after so much work for those that crowd."""
        if not self._usual:
            return 0.0
        ratio = min(MOST_REST, max(0.0, self._usual / max(self._quickest, 1e-4) - SLOW_RATIO))
        return min(LONGEST_REST, ratio * work_seconds)
