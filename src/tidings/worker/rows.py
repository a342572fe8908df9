"""Which rows of an outbox a relay sends: all of a source's; of a home's, those of groups that live elsewhere."""

import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

from tidings.core import cargo
from tidings.core.crowds import split
from tidings.core.fleet import Fleet, Placing
from tidings.store import outbox, placing
from tidings.store.database import Connection
from tidings.store.outbox import Taken
from tidings.worker import doorbell
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.relay")

BATCH: Final = cargo.MAX_EVENTS  # rows taken at a time for a home: one more would travel alone
MOST_BATCHES: Final = 4  # taken together where there are as many homes, so that each has a flight worth its journey
MOST_GROUPS: Final = 64  # of one batch, while one is parked; and that are looked at together at a home
PAGES: Final = 16  # of groups, that are looked at for a batch at a home
MAX_UNKNOWN: Final = 10_000  # groups that are waited with
VAIN_SECONDS: Final = 60.0  # for which a version of the directory is waited for; members hear of one within some seconds
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
    """All rows of a source. While a group is parked, what is for it stays, and nothing of others waits behind it."""

    def __init__(self) -> None:
        self._behind = ""  # the group that was served last

    async def take(self, owner: Connection, fleet: Fleet) -> Taken:
        """Take the oldest rows, or of each group that is not parked its oldest."""
        if not fleet.parked:
            return await outbox.take_alone(owner, BATCH * min(len(fleet.homes), MOST_BATCHES))
        shares = split(await outbox.groups(owner, self._behind, fleet.parked, most=MOST_GROUPS, deep=BATCH), BATCH)
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

    A version that nobody hears of was never: whoever sent by it made it up. What was sent by it does not wait for ever.
    """

    def __init__(self, home: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._behind = ""
        self._owner: Connection = None
        self._known: placing.Known | None = None
        self._monotonic = monotonic
        self._unknown: dict[str, int] = {}  # groups with such rows: up to which version
        self._since: float | None = None  # when the first of these was begun to be waited for
        self._version = -1  # of the directory that was known then
        self._vain: int | None = None  # the version that was waited for in vain, with all later ones; None: none was

    async def take(self, owner: Connection, fleet: Fleet) -> Taken:
        """Take the oldest rows of some groups that live elsewhere, each in its order."""
        self._hear(fleet.version)
        if owner is not self._owner:  # after a failover a version can stand for something else
            self._owner, self._known = owner, None
        self._known = await placing.renewed(owner, self._known)
        if self._known is None:
            return _NOTHING
        groups = await self._groups(owner, self._known.placing, fleet)
        if not groups:
            return _NOTHING
        taken = await outbox.take_onward(owner, groups, max(1, BATCH // len(groups)))
        led_here = {
            group_id: version
            for group_id, version in outbox.placed_by(taken).items()
            if version >= fleet.version and (self._vain is None or version < self._vain)
        }
        if led_here:
            self._unknown = led_here if len(self._unknown) > MAX_UNKNOWN else self._unknown | led_here
            self._since = self._monotonic() if self._since is None else self._since
            raise LedHereError(led_here)
        return taken

    def _hear(self, version: int) -> None:
        """Take note of the version that is known now, and of those that were waited for in vain."""
        if version != self._version:
            self._version = version
            self._unknown = {group_id: later for group_id, later in self._unknown.items() if later > version}
            self._since = self._since if self._unknown else None
            self._vain = None if self._vain is None or self._vain < version else self._vain
        if self._since is not None and self._monotonic() - self._since >= VAIN_SECONDS:
            self._vain, some = min(self._unknown.values()), min(self._unknown)
            self._unknown, self._since = {}, None
            logger.warning(
                "what came for groups such as %s is sent on: nobody has heard of version %d of the directory, by which it came",
                some, self._vain,
            )  # fmt: skip

    async def _groups(self, owner: Connection, here: Placing, fleet: Fleet) -> list[str]:
        """Return groups with rows that are to be sent on: what we have written down and what is followed both say so."""
        for _ in range(PAGES):
            waiting = [one.group_id for one in await outbox.groups(owner, self._behind, fleet.parked, most=MOST_GROUPS, deep=1)]
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
    """Rows of some groups were led here by a directory that is not older than ours; the first of these groups are named."""

    def __init__(self, groups: Collection[str]) -> None:
        super().__init__(", ".join(sorted(groups)[:3]))
