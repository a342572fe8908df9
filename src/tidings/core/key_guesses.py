"""How often a key may be wrong, by the address that shows it and by the key that it says it is.

A right key of 32 characters or more is always heard, whatever was guessed before it: nobody finds one by trying, and whoever
shares an address with somebody who guesses, or whose key is guessed at by all the world, is not shut out by that. A shorter
one, which the settings may have, waits while its address is shut. Kept in memory and bounded; each process counts for itself.
"""

import math
from collections import OrderedDict
from typing import Final

from tidings.core.attempts import network_of
from tidings.core.errors import TooManyAttemptsError

WRONG_BY_ADDRESS: Final = 30  # wrong keys from one address in a window
WRONG_BY_KEY: Final = 30  # and of one key, from wherever
WINDOW_SECONDS: Final = 60.0
MAX_REMEMBERED: Final = 10_000  # of each; the one not seen for longest is forgotten first


class _Counts:
    """Counts what is wrong, by name. One event loop reads and writes it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Return 0, or the seconds until the next one is heard."""
        began, made = self._seen.get(name, (now, 0))
        return max(0.0, began + WINDOW_SECONDS - now) if made >= self._most else 0.0

    def add(self, name: str, now: float) -> None:
        began, made = self._seen.pop(name, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, made = now, 0
        self._seen[name] = (began, min(made + 1, self._most))
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)


class Guesses:
    """Wrong keys, as they were shown."""

    def __init__(self) -> None:
        self._by_address = _Counts(WRONG_BY_ADDRESS)
        self._by_key = _Counts(WRONG_BY_KEY)

    def is_shut(self, address: str, now: float) -> bool:
        """Whether so many wrong keys came from an address that it is not listened to.

        Args:
            now: Monotonic seconds.
        """
        return self._by_address.wait(network_of(address), now) > 0

    def refuse_shut(self, address: str, now: float) -> None:
        """Refuse an address that is not listened to.

        Raises:
            TooManyAttemptsError: It is one.
        """
        if wait := self._by_address.wait(network_of(address), now):
            raise _too_many("from your address", wait)

    def count(self, address: str, key_id: str | None, now: float) -> None:
        """Count a wrong key.

        Args:
            key_id: The key that it said it is; None: none that there is.

        Raises:
            TooManyAttemptsError: It is one too many: the answer is when to try again, and not what was wrong.
        """
        network = network_of(address)
        wait, of_key = self._by_address.wait(network, now), self._by_key.wait(key_id, now) if key_id else 0.0
        self._by_address.add(network, now)
        if key_id:
            self._by_key.add(key_id, now)
        if wait:
            raise _too_many("from your address", wait)
        if of_key:
            raise _too_many("for this key", of_key)


def _too_many(whence: str, wait: float) -> TooManyAttemptsError:
    seconds = max(1, math.ceil(wait))
    return TooManyAttemptsError(f"Too many wrong keys came {whence}. Try again in {seconds} s.", retry_after_seconds=seconds)
