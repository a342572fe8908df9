"""Places that many share: nobody takes more of them than are free.

A fixed share for each would leave places empty while few come, or run out of them while many do. By this rule one alone takes
half of the places, two a third each, and so on; whoever comes next always finds one, until each of very many has one.
"""

from collections import Counter


class Places:
    """So many places. One event loop reads and writes it."""

    def __init__(self, most: int) -> None:
        """Make it. `most`: places for all."""
        self.most = most
        self._taken: Counter[str] = Counter()
        self._all = 0

    def take(self, name: str) -> bool:
        """Take a place for somebody, and return whether there was one for them."""
        if not self.is_free_for(name):
            return False
        self._taken[name] += 1
        self._all += 1
        return True

    def is_free_for(self, name: str) -> bool:
        """Whether somebody would get a place."""
        return self._taken[name] < self.most - self._all

    def taken_by(self, name: str) -> int:
        """Return how many places somebody has."""
        return self._taken[name]

    def give_back(self, name: str) -> None:
        """Give a place back."""
        self._all -= 1
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]
