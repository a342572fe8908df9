"""Whether the changes of one record are made by those who are told of them.

A receiver that writes back to the row it was told of makes a loop that no header shows. From outside it looks like a row that
changes often: each change comes after the delivery of the one before. To tell one from the other, the delivery is put off.
Where the changes come from elsewhere the next does not wait for it; where they come from the receiver nothing changes until the
delivery has gone out. Put off some times, for longer than changes take otherwise, and waited for each time: it is a loop.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec

SUSPECT = 6  # changes of a record, each within QUIET of the one before, after which a process looks into history
QUIET = timedelta(seconds=30)
MAX_GAP = timedelta(seconds=10)  # what changes less often is no loop that would harm anybody
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(seconds=30)
TIMES = 3  # as long as changes take is a delivery put off
PUT_OFF = 6  # deliveries put off and waited for, before it is called a loop; an honest row pauses now and then by chance
MAX_RECORDS = 10_000  # remembered


class Change(msgspec.Struct, frozen=True):
    """A change of a record, and when its delivery to a webhook began; None: it has not."""

    at: datetime
    sent_at: datetime | None


class PutOff(msgspec.Struct, frozen=True):
    """The delivery is put off for a while."""

    length: timedelta


class Loop(msgspec.Struct, frozen=True):
    """The delivery is not made. `reason`: a sentence."""

    reason: str


def put_off_of(depth: int) -> int:
    """Return how many of the last `depth` deliveries must have been put off and waited for."""
    return max(2, min(PUT_OFF, depth * 3 // 8))


def decide_flip(changes: Sequence[Change], now: datetime, depth: int) -> PutOff | Loop | None:
    """Return what is to be done about the delivery of a record's newest change; None: nothing.

    Args:
        changes: Those before it, oldest first.
        now: When the newest was made.
    """
    chain = list(changes[-depth:])
    if len(chain) < depth:
        return None
    following = [*(change.at for change in chain[1:]), now]
    if any(change.sent_at is None or later <= change.sent_at for change, later in zip(chain, following, strict=True)):
        return None  # one did not wait for the delivery of the one before
    usual = timedelta(
        seconds=median((later - change.at).total_seconds() for change, later in zip(chain, following, strict=True))
    )
    if usual > MAX_GAP:
        return None
    length = min(max(SHORTEST, TIMES * usual), LONGEST)
    count = sum(change.sent_at is not None and change.sent_at - change.at >= length * 0.9 for change in chain)
    if count < put_off_of(depth):
        return PutOff(length)
    return Loop(
        f"Stopped: the last {len(chain)} changes of this record each followed the delivery of the one before, and waited "
        "for it when it was put off. Its receiver changes the record that it is told of; have it leave out its own changes."
    )


class Flips:
    """Counts changes of records that follow each other closely: those used last, up to a bound."""

    def __init__(self) -> None:
        self._records: dict[int, tuple[int, datetime]] = {}

    def is_suspect(self, about: int, now: datetime) -> bool:
        """Note a change, and tell whether so many came one after the other that history should be asked."""
        count, at = self._records.pop(about, (0, now))
        count = count + 1 if now - at <= QUIET else 1
        self._records[about] = (count, now)
        if len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]
        return count >= SUSPECT

    def forget(self, about: int) -> None:
        """Begin to count anew: its changes do not wait for deliveries."""
        self._records.pop(about, None)
