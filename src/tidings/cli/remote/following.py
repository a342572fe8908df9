"""Which attempts are new: what `tidings tail` has seen, and what an answer adds to it.

The API lists deliveries, newest event first, each with how many attempts it has had. So an attempt is new when that number has
grown. A delivery that is not finished is looked at again until it is, however old its event; one that is sent again by hand
shows among those that wait for another attempt.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

MAX_KNOWN: Final = 20_000  # deliveries that are remembered; the oldest are forgotten
UNFINISHED: Final = frozenset({"pending", "sending", "retrying"})


class New(NamedTuple):
    """Attempts of a delivery that were not shown: from the first to the last, by number."""

    delivery: dict[str, Any]
    first: int
    last: int


class Following:
    """What was seen of each delivery."""

    def __init__(self, *, max_known: int = MAX_KNOWN) -> None:
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._open: OrderedDict[str, None] = OrderedDict()
        self._max = max_known

    def begin(self, deliveries: Iterable[dict[str, Any]]) -> None:
        """Take note of what was there before, which is not shown."""
        for delivery in deliveries:
            self._note(delivery, tried(delivery))

    def see(self, deliveries: Iterable[dict[str, Any]], *, is_old: bool = False) -> list[New]:
        """Return what is new in an answer, the oldest event first.

        Args:
            is_old: They are not of the list of the newest: of one that is not known, the last attempt alone is new.
        """
        found = []
        for delivery in deliveries:
            count = tried(delivery)
            before = self._tries.get(delivery["id"])
            if before is None and is_old:
                before = max(count - 1, 0)
            if count > (before or 0):
                found.append(New(delivery, (before or 0) + 1, count))
            self._note(delivery, max(count, before or 0))
        return found[::-1]

    def hear(self, delivery: dict[str, Any], number: int) -> list[New]:
        """Return what is new in a delivery that was tried just now.

        Args:
            number: The first attempt that is told of: of a delivery that is not known, those before it are old.
        """
        if delivery["id"] not in self._tries and number > 1:
            self._note(delivery, number - 1)
        return self.see([delivery])

    def knows(self, delivery: dict[str, Any]) -> bool:
        """Whether an answer says nothing new of a delivery."""
        return self._tries.get(delivery["id"]) == tried(delivery)

    def waiting(self, met: set[str], limit: int) -> list[str]:
        """Return ids of unfinished deliveries that an answer did not hold, those that were not looked at for longest first."""
        chosen = [id_ for id_ in self._open if id_ not in met][:limit]
        for id_ in chosen:
            self._open.move_to_end(id_)
        return chosen

    def forget(self, id_: str) -> None:
        """Look at a delivery no more."""
        self._open.pop(id_, None)

    def _note(self, delivery: dict[str, Any], count: int) -> None:
        id_ = delivery["id"]
        self._tries[id_] = count
        self._tries.move_to_end(id_)
        if delivery["status"] in UNFINISHED:
            self._open.setdefault(id_)
        else:
            self._open.pop(id_, None)
        while len(self._tries) > self._max:
            gone, _ = self._tries.popitem(last=False)
            self._open.pop(gone, None)


def tried(delivery: dict[str, Any]) -> int:
    """Return how many attempts of a delivery have an end: one that is under way is counted by the server already."""
    count: int = delivery["attempts"]
    under_way = 1 if delivery["status"] == "sending" else 0
    return max(count - under_way, 0)
