"""Whose guesses at passwords are heard, and when.

The problem: to stop somebody who guesses, an account was closed after ten wrong passwords, and an address after a hundred. So
anybody could close anybody's account, and one user of a network could close it for all of its users. Our rule:

- Guesses are counted by account and address together. After the first few each must wait, for twice as long as the one before,
  up to a few minutes. Who guesses slows nobody but those at the same address who want the same account.
- Whoever got in from an address before is known there. What strangers do slows them no more.
- Against guesses at one account from many addresses, strangers wait for each other: as above, after more of them, and shorter.
  So whoever keeps guessing from many addresses keeps its owner out where they never got in before: the price of being slow.
- An address from which many different accounts fail tries a list. No account that is not known there is heard from it any more,
  until its window ends. Each account that gets in makes room for one that fails, so that a server which asks for all its users
  is no list.

All of it is in memory: a restart forgives and forgets, each process counts for itself, and what was used least recently makes
way. An attempt is counted when it is heard, before it is known to be wrong: else any number could be made at once.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

import msgspec

from tidings.core.attempts import network_of

WINDOW_SECONDS: Final = 900.0  # after which who is quiet is forgotten, and in which accounts of an address are counted
FREE: Final = 5  # wrong ones from one address, before the next must wait
LONGEST: Final = 300.0  # seconds
LONGEST_KNOWN: Final = 60.0  # for who is known there: others at that address may be to blame
FREE_STRANGERS: Final = 50  # wrong ones at one account, of all addresses where it is not known
LONGEST_STRANGERS: Final = 30.0
FAILING_ACCOUNTS: Final = 100  # of one address in a window
MAX_PAIRS: Final = 20_000
MAX_ACCOUNTS: Final = 20_000
MAX_ADDRESSES: Final = 10_000
MAX_KNOWN: Final = 50_000

Pair = tuple[str, str]
K = TypeVar("K")
V = TypeVar("V")


class _Wrong(msgspec.Struct):
    """Wrong guesses that follow each other: how many, and when the last one was heard, and the one before."""

    count: int
    at: float
    before: float = float("-inf")

    def add(self, now: float) -> None:
        self.count, self.before, self.at = self.count + 1, self.at, now

    def take_back(self, at: float) -> None:
        """Forget the one that was heard then. After the first few no two are heard at once, so it is the last one."""
        self.count = max(0, self.count - 1)
        if self.at == at:
            self.at = self.before


class _Window(msgspec.Struct):
    """What an address did since: how many accounts failed, and got in."""

    began: float
    failing: int = 0
    right: int = 0


class _Recent(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was set least recently."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class Guesses:
    """Decides which guesses are heard. One event loop reads and writes it; `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self._pairs: _Recent[Pair, _Wrong] = _Recent(MAX_PAIRS)
        self._accounts: _Recent[str, _Wrong] = _Recent(MAX_ACCOUNTS)
        self._addresses: _Recent[str, _Window] = _Recent(MAX_ADDRESSES)
        self._known: _Recent[Pair, float] = _Recent(MAX_KNOWN)

    def admit(self, account: str, address: str, now: float) -> float:
        """Count a guess as a wrong one, and return 0; or the seconds until one is heard, and count nothing."""
        pair = (account, network_of(address))
        if wait := self._wait(pair, now):
            return wait
        wrong = _going_on(self._pairs.get(pair), now)
        window = self._window(pair[1], now)
        if not wrong.count:
            window.failing += 1
        wrong.add(now)
        self._pairs.put(pair, wrong)
        self._addresses.put(pair[1], window)
        if pair not in self._known:
            others = _going_on(self._accounts.get(account), now)
            others.add(now)
            self._accounts.put(account, others)
        return 0.0

    def was_right(self, account: str, address: str, now: float) -> None:
        """Take back what was counted for an account at an address, and know it there from now on."""
        pair = (account, network_of(address))
        window = self._window(pair[1], now)
        if (wrong := self._pairs.pop(pair, None)) is not None:
            window.failing = max(0, window.failing - 1)
            if pair not in self._known and account in self._accounts:
                self._accounts[account].count = max(0, self._accounts[account].count - wrong.count)
        if self._known.get(pair, float("-inf")) < window.began:
            window.right += 1
        self._known.put(pair, now)
        self._addresses.put(pair[1], window)

    def was_not_looked_at(self, account: str, address: str, at: float) -> None:
        """Take back a guess that was heard at a time and, by our own fault, never compared: it costs no wait either."""
        pair = (account, network_of(address))
        if (wrong := self._pairs.get(pair)) is not None:
            wrong.take_back(at)
            if not wrong.count:
                del self._pairs[pair]
                if (window := self._addresses.get(pair[1])) is not None:
                    window.failing = max(0, window.failing - 1)
        if pair not in self._known and account in self._accounts:
            self._accounts[account].take_back(at)

    def _wait(self, pair: Pair, now: float) -> float:
        wrong = self._pairs.get(pair)
        if pair in self._known:
            return _delay(wrong, now, FREE, LONGEST_KNOWN)
        wait = max(
            _delay(wrong, now, FREE, LONGEST),
            _delay(self._accounts.get(pair[0]), now, FREE_STRANGERS, LONGEST_STRANGERS),
        )
        window = self._window(pair[1], now)
        is_new = not _going_on(wrong, now).count
        if is_new and window.failing >= FAILING_ACCOUNTS + window.right:
            wait = max(wait, window.began + WINDOW_SECONDS - now)
        return wait

    def _window(self, address: str, now: float) -> _Window:
        found = self._addresses.get(address)
        return found if found is not None and now - found.began < WINDOW_SECONDS else _Window(now)


def _going_on(wrong: _Wrong | None, now: float) -> _Wrong:
    return wrong if wrong is not None and now - wrong.at < WINDOW_SECONDS else _Wrong(0, now)


def _delay(wrong: _Wrong | None, now: float, free: int, longest: float) -> float:
    count = _going_on(wrong, now).count
    if wrong is None or count < free:
        return 0.0
    return max(0.0, wrong.at + min(2.0 ** min(count - free, 20), longest) - now)
