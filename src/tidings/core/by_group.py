"""A line in which groups take turns: of whoever has much in it, one thing at a time."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ByGroup(Generic[T]):
    """A queue of things that belong to groups. Of one group they keep their order; groups take turns."""

    __slots__ = ("_count", "_lines", "_turns")

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()
        self._count = 0

    def append(self, group_id: str, thing: T) -> None:
        """Put a thing behind those of its group."""
        self._count += 1
        line = self._lines.get(group_id)
        if line is None:
            self._lines[group_id] = deque((thing,))
            self._turns.append(group_id)
        else:
            line.append(thing)

    @property
    def first(self) -> T:
        """What `popleft` would take.

        Raises:
            IndexError: There is nothing.
        """
        return self._lines[self._turns[0]][0]

    def count(self, group_id: str) -> int:
        """Return how many things a group has in it."""
        return len(self._lines.get(group_id, ()))

    def discard(self, group_id: str, thing: T) -> None:
        """Take a thing out, wherever it is among those of its group, if it is there."""
        line = self._lines.get(group_id)
        if line is not None and thing in line:
            line.remove(thing)
            self._count -= 1
            if not line:
                del self._lines[group_id]
                self._turns.remove(group_id)

    def popleft(self) -> T:
        """Take the next thing of the group whose turn it is.

        Raises:
            IndexError: There is nothing.
        """
        group_id = self._turns[0]
        line = self._lines[group_id]
        thing = line.popleft()
        self._count -= 1
        if line:
            self._turns.rotate(-1)
        else:
            del self._lines[group_id]
            self._turns.popleft()
        return thing

    def __len__(self) -> int:
        """Return how many things there are."""
        return self._count

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self._turns)
