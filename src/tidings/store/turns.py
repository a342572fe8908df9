"""Who may use a share of the connections to PostgreSQL next: groups take turns.

A group whose services call from very many addresses has very many calls at a time. Those wait for each other; a call of another
group waits for a place, and for no more than one call of each of the others.
"""

import asyncio

from tidings.core.by_group import ByGroup
from tidings.core.errors import BusyError

PATIENCE = 10.0  # seconds that a call waits
MAX_WAITING = 2048  # calls of one group: half of the connections that clients can have at most


class Places:
    """So many who use something at a time. One event loop uses it.

    A place goes from who is done to who is next, and is free only while nobody waits: who comes later overtakes nobody.
    """

    def __init__(self, count: int, *, most_waiting: int = MAX_WAITING, patience: float = PATIENCE) -> None:
        """Make them.

        Args:
            count: How many there are.
            most_waiting: How many of one group may wait, so that what they wait with is left to others as well.
            patience: Seconds that each waits.
        """
        self._free = count
        self._most_waiting = most_waiting
        self._patience = patience
        self._waiting: ByGroup[asyncio.Future[None]] = ByGroup()

    async def take(self, group_id: str) -> None:
        """Have a place, until `give`. Whoever is cancelled meanwhile has none.

        Raises:
            BusyError: Too many of the group wait already, or none came free in time.
        """
        if self._free:
            self._free -= 1
            return
        if self._waiting.count(group_id) >= self._most_waiting:
            raise BusyError(
                "Too many calls of this group are under way at a time; nothing was done. Make fewer, and try again."
            )
        called = asyncio.get_running_loop().create_future()
        self._waiting.append(group_id, called)
        try:
            async with asyncio.timeout(self._patience):
                await called
        except BaseException as error:
            if called.done() and not called.cancelled():
                self.give()  # it was called in the same turn of the loop
            else:
                self._waiting.discard(group_id, called)
            if isinstance(error, TimeoutError):
                raise BusyError("All connections to the database are in use; nothing was done. Try again.") from None
            raise

    def give(self) -> None:
        """Give a place back: to the one whose turn it is, if anybody waits."""
        while self._waiting:
            called = self._waiting.popleft()
            if not called.done():  # else it was cancelled in this turn of the loop, and is about to take itself out
                called.set_result(None)
                return
        self._free += 1
