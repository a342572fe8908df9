"""A line in which groups take turns: of whoever has much in it, one thing at a time."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ByGroup(Generic[T]):
    """A queue of things that belong to groups. Of one group they keep their order; groups take turns."""

    __slots__ = ("_lines", "_turns")

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()

    def append(self, group_id: str, thing: T) -> None:
        """Put a thing behind those of its group."""
        line = self._lines.get(group_id)
        if line is None:
            self._lines[group_id] = deque((thing,))
            self._turns.append(group_id)
        else:
            line.append(thing)

    def popleft(self) -> T:
        """Take the next thing of the group whose turn it is.

        Raises:
            IndexError: There is nothing.
        """
        group_id = self._turns[0]
        line = self._lines[group_id]
        thing = line.popleft()
        if line:
            self._turns.rotate(-1)
        else:
            del self._lines[group_id]
            self._turns.popleft()
        return thing

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self._turns)
