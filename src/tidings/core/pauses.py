"""Waiting longer and longer for something that does not work."""


class Pauses:
    """Seconds to wait after one failure, the next, and so on: each twice the one before, up to the longest."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Return how long to wait now."""
        seconds = self._next
        self._next = min(self._longest, seconds * 2)
        return seconds

    def reset(self) -> None:
        """Take note that it works again."""
        self._next = self._first
