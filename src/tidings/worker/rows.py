"""Which rows of an outbox a relay sends: all of a source's; of a home's, those of groups that live elsewhere."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from tidings.core import cargo
from tidings.core.crowds import split
from tidings.core.fleet import Fleet, Placing
from tidings.store import outbox, placing
from tidings.store.database import Connection
from tidings.store.outbox import Taken
from tidings.worker import doorbell
from tidings.worker.signals import Signal

BATCH: Final = cargo.MAX_EVENTS  # rows taken at a time for a home: one more would travel alone
MOST_BATCHES: Final = 4  # taken together where there are as many homes, so that each has a flight worth its journey
MOST_GROUPS: Final = 64  # of one batch, while one is held; and that are looked at together at a home
PAGES: Final = 16  # of groups, that are looked at for a batch at a home
LOOK_INTERVAL: Final = 0.2  # seconds between looks of a home for what is not its own
LOOKS: Final = 5  # into an empty outbox, after which what was sent is forgotten

_NOTHING: Final = Taken([], [], 0)


class Rows(Protocol):
    """What a relay takes."""

    async def take(self, owner: Connection, fleet: Fleet) -> Taken:
        """Take the oldest rows that are to be sent, inside the caller's transaction."""

    async def rest(self, bell: Connection, rung: Signal, look: Callable[[], Awaitable[int]]) -> bool:
        """Sleep until there may be more; whether the doorbell is held, and is to be put back."""


class Everything:
    """All rows of a source. While a group is held, what is for it stays, and nothing of others waits behind it."""

    def __init__(self) -> None:
        self._behind = ""  # the group that was served last

    async def take(self, owner: Connection, fleet: Fleet) -> Taken:
        """Take the oldest rows, or of each group that is not held its oldest."""
        if not fleet.held:
            return await outbox.take_alone(owner, BATCH * min(len(fleet.homes), MOST_BATCHES))
        shares = split(await outbox.groups(owner, self._behind, fleet.held, most=MOST_GROUPS, deep=BATCH), BATCH)
        if not shares:
            return _NOTHING
        self._behind = next(reversed(shares))
        return await outbox.take_shares(owner, shares)

    async def rest(self, bell: Connection, rung: Signal, look: Callable[[], Awaitable[int]]) -> bool:
        """Sleep until somebody commits."""
        return await doorbell.rest(bell, rung, look)


class Elsewhere:
    """Rows of a home whose groups live at other homes. Its dispatchers pass over them.

    A row that a later version of the directory led here than the one we know is left until we know it: it was not sent here
    to be sent back. As a version says one thing to all, and each home sends on only what an older one led to it, nothing goes
    in circles.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._behind = ""
        self._unknown: dict[str, int] = {}  # groups with such rows: up to which version

    async def take(self, owner: Connection, fleet: Fleet) -> Taken:
        """Take the oldest rows of some groups that live elsewhere, each in its order."""
        known = await placing.get(owner)
        if known is None:
            return _NOTHING
        groups = await self._groups(owner, known.placing, fleet)
        if not groups:
            return _NOTHING
        taken = await outbox.take_onward(owner, groups, max(1, BATCH // len(groups)))
        led_here = {group_id: version for group_id, version in outbox.placed_by(taken).items() if version >= fleet.version}
        if led_here:
            self._unknown = led_here
            raise LedHereError(led_here)
        return taken

    async def _groups(self, owner: Connection, here: Placing, fleet: Fleet) -> list[str]:
        """Return groups with rows that are to be sent on: what we have written down and what is followed both say so."""
        self._unknown = {group_id: version for group_id, version in self._unknown.items() if version >= fleet.version}
        for _ in range(PAGES):
            waiting = [one.group_id for one in await outbox.groups(owner, self._behind, fleet.held, most=MOST_GROUPS, deep=1)]
            owned = await placing.owned(owner, waiting)
            found = [
                group_id
                for group_id in waiting
                if here.is_elsewhere(group_id, owned)
                and fleet.home_of(group_id) not in {self._home, here.home}
                and group_id not in self._unknown
            ]
            self._behind = waiting[-1] if len(waiting) == MOST_GROUPS else ""
            if found or not self._behind:
                return found
        return []

    async def rest(self, bell: Connection, rung: Signal, look: Callable[[], Awaitable[int]]) -> bool:
        """Sleep until the next look: the doorbell is the dispatchers'.

        While the outbox is empty nothing more than that is asked. What was sent is forgotten in the end all the same.
        """
        for _ in range(LOOKS):
            if await rung.wait(LOOK_INTERVAL) or not await outbox.is_empty(bell):
                break
        return False


class LedHereError(Exception):
    """Rows were led here by a directory that is not older than ours; of each group up to which version."""

    def __init__(self, groups: dict[str, int]) -> None:
        super().__init__(", ".join(sorted(groups)[:3]))
        self.groups = groups
