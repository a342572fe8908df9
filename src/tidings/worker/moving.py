"""Moving a group from one home of a fleet to another, with deliveries going on until the moment that it moves.

A group's events are routed by one home at a time, and its deliveries are made by one. So there is one moment at which it moves:
the transaction in which the old home deletes what it has of the group, and notes that it left. Before it all is copied to the
new home, where lanes are closed and dispatchers pass over the group: what is there does nothing, and is deleted when the move
is called off or begins anew. After it the new home opens the lanes. Whoever dies in between leaves the group at rest in both,
with all of it in one of them at least; the same command goes on from there. Two who move one group, or one who calls off what
another is at, would delete each the other's copy: who moves a group is alone with it, over the connections that it moves by.

So that nothing of the group is overtaken, what is on its way is waited for, from the sources on: they keep what is for the
group until the fleet says that it has moved (`Fleet.parked`); what they had sent is landed; what was landed is routed; attempts
that are under way end. From then on, for the time that copying takes, the group's deliveries wait, and changes of it are
refused with 503. What its old home captures or is given for it meanwhile stays in the outbox there, and travels on behind all
the rest.

History follows afterwards (`worker.move_history`), to where the group lives by then; until it has, it is looked for at the old
home.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tidings.core.errors import BusyError, StartupError
from tidings.core.fleet import Fleet, parking, with_groups
from tidings.sources import tables
from tidings.store import moving
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database, said
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.move_ends import Ends, Way
from tidings.worker.move_history import carry_all, carry_history
from tidings.worker.move_standbys import expect_at_standbys
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.moving")

LOOK_INTERVAL: Final = 0.2  # seconds between looks whether what is waited for has come
PATIENCE: Final = 60.0  # seconds for each of these, beyond which the move is called off


class Moved(msgspec.Struct, frozen=True):
    """What was moved, or would be: how many rows of each table."""

    group_id: str
    home: str
    rows: dict[str, int]


class Move:
    """Takes one group to another home. Begun again, it goes on where it was broken off."""

    def __init__(
        self,
        here: Database,
        there: Database,
        way: Way,
        group_id: str,
        *,
        source: str,
        target: str,
        version: Callable[[], int],
        besides: Collection[str] = (),
        patience: float = PATIENCE,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make it.

        Args:
            source: The home that the group lives at, whose database `here` is.
            target: The one that it is to live at, whose database `there` is.
            version: Returns the version of a directory that is changed now.
            besides: Senders that are gone for good, and are not waited for.
            tell: Is told what is done next.
        """
        self._tell = tell
        self._here, self._there, self._way = here, there, way
        self._group, self._source, self._target = group_id, source, target
        self._version, self._besides, self._patience = version, frozenset(besides), patience
        self._ends = Ends(here, there, way, group_id, source=source, target=target)

    async def plan(self) -> Moved:
        """Return what would be moved, with history.

        Raises:
            StartupError: It could not.
        """
        await self._ends.expect_homes()
        await self._ends.check()
        async with self._here.connection() as connection:
            steps = await moving.plan(connection, self._group, moving.SETTINGS)
            return Moved(self._group, self._target, {step.name: await connection.fetchval(step.count) for step in steps})

    async def run(self) -> Moved:
        """Move the group, and its history.

        Raises:
            StartupError: It cannot be moved, with the remedy; it lives where it lived. Or a database went away: begun again, it
                goes on.
            StreamAwayError: The stream did not answer; begun again, it goes on.
        """
        await self._ends.expect_homes()
        with self._told():
            async with self._ends.alone(self._patience) as (here, there):
                return await self._run(here, there)

    async def _run(self, here: Connection, there: Connection) -> Moved:
        rows: dict[str, int] = {}
        found = await moving.standing(here, self._group)
        if found is not None and found.has_left:
            await self._ends.expect_last_move(here, there, found)
        elif found is not None and found.home != self._target:
            raise StartupError(f"{self._group} is being moved to {found.home}. Let that end first, or call it off: --abandon.")
        elif found is not None and await self._ends.has_arrived(here, there):
            rows = await self._leave_again(here)
        else:
            await self._ends.check()
            await self._abandon(here, there)  # what was broken off, if anything was
            try:
                await self._park(here)
                rows = await self._switch(here, there)
            except (StartupError, *UNAVAILABLE):
                await self._call_off(here, there)
                raise
        await self._arrive()
        return Moved(self._group, self._target, rows | await self._carry_history(here, there))

    async def _carry_history(self, here: Connection, there: Connection) -> dict[str, int]:
        return await carry_history(here, there, self._group, self._target, patience=self._patience, tell=self._tell)

    async def abandon(self) -> None:
        """Call the move off, where the group has not left.

        Raises:
            StartupError: It has; or somebody is moving it at this moment; or a database went away.
        """
        await self._ends.expect_homes()
        with self._told():
            async with self._ends.alone(self._patience) as (here, there):
                await self._abandon(here, there)

    async def _abandon(self, here: Connection, there: Connection) -> None:
        found = await moving.standing(here, self._group)
        if found is not None and found.has_left:
            raise StartupError(f"{self._group} lives at {found.home} already. Begin the move again, and it ends.")
        if found is not None and found.home != self._target:
            raise StartupError(f"{self._group} is being moved to {found.home}, not to {self._target}. Say --to {found.home}.")
        if found is not None and await self._ends.has_arrived(here, there):
            raise StartupError(f"{self._group} lives at {self._target} already. Begin the move again, and it ends.")
        await self._resume(here)
        # What is at the other home does nothing: where that is away now, whoever begins again deletes it.
        async with there.transaction():
            if await self._ends.is_arriving(there):
                await moving.remove(there, await moving.plan(there, self._group, moving.SETTINGS))
                await moving.end(there, self._group)

    async def _resume(self, here: Connection) -> None:
        """Have the group go on here."""
        async with here.transaction():
            found = await moving.standing(here, self._group)
            if found is not None and not found.has_left:
                await moving.open_lanes(here, self._group)
                await moving.end(here, self._group)
        if self._group in (await self._way.bucket.fleet()).parked:
            await self._way.bucket.change(lambda fleet: parking(fleet, self._group, self._version(), is_parked=False))

    async def _call_off(self, here: Connection, there: Connection) -> None:
        """Call a move off that cannot go on, as far as the databases answer."""
        try:
            await self._abandon(here, there)
        except (*COLLISIONS, *UNAVAILABLE, StreamAwayError) as error:
            logger.warning("the move of %s is called off as far as that can be: %s", self._group, said(error))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have what the databases do to a move be told in a sentence."""
        try:
            yield
        except COLLISIONS as error:
            raise StartupError(f"Somebody else changed {self._group} at this moment. Begin the same again.") from error
        except UNAVAILABLE as error:
            raise StartupError(
                f"A database went away while {self._group} was moved ({said(error)}). Nothing of it is lost. Begin the same "
                "again once both answer, and it goes on; or call it off: --abandon."
            ) from error

    # Before ------------------------------------------------------------------------------------------------------------

    async def _park(self, here: Connection) -> None:
        """Have nothing of the group be on its way any more."""
        self._tell("having sources keep what is for it")
        fleet = await self._way.bucket.change(lambda fleet: parking(fleet, self._group, self._version(), is_parked=True))
        await self._until(lambda: self._are_settled(fleet.version), "All senders to have heard of it; is a relay not running?")
        last = await self._way.flights.last(self._source)

        async def is_landed() -> bool:
            return await self._way.flights.first(self._source) > last

        await self._until(is_landed, f"What was sent to {self._source} to be landed there; does serve run?")
        async with self._here.connection() as connection:
            row = await moving.last_row(connection)
        await self._until(lambda: self._asked(lambda c: moving.is_routed(c, self._group, row)), "What was landed to be routed.")
        self._tell("having both homes pass over it")
        async with self._there.transaction() as connection:
            await moving.begin(connection, self._group, self._target)
        self._tell("having this home pass over it")
        async with self._here.transaction() as connection:
            await moving.begin(connection, self._group, self._target)
        await expect_at_standbys(here, self._source, self._patience)
        await self._until(self._is_known, "Transactions that were open to end: some may route what is for it.")
        await self._rest()

    async def _rest(self) -> None:
        """Have no delivery of the group be under way here, and none begin."""
        self._tell("waiting for attempts under way")
        async with self._here.transaction() as connection:
            await moving.close(connection, self._group)
        await self._until(lambda: self._asked(lambda c: moving.is_at_rest(c, self._group)), "Attempts under way to end.")

    async def _are_settled(self, version: int) -> bool:
        found = await self._way.bucket.settled()
        return all(settled >= version for member, settled in found.items() if member not in self._besides)

    async def _is_known(self) -> bool:
        async with self._here.connection() as connection:
            found = await moving.standing(connection, self._group)
        return found is not None and found.is_known

    async def _asked(self, question: Callable[[Connection], Awaitable[bool]]) -> bool:
        async with self._here.connection() as connection:
            return await question(connection)

    async def _until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while not await is_so():
                    await Signal().wait(LOOK_INTERVAL)
        except TimeoutError:
            raise StartupError(
                f"This was waited for in vain: {what} {self._group} lives where it lived; move it again."
            ) from None

    # The moment --------------------------------------------------------------------------------------------------------

    async def _switch(self, here: Connection, there: Connection) -> dict[str, int]:
        """Copy all but history to the new home, and delete it here: from then on the group lives there."""
        self._tell("locking it")
        try:
            async with here.transaction():
                if not await moving.lock(here, self._group):
                    raise StartupError(f"Somebody opened a webhook of {self._group} while it was to be moved. Move it again.")
                await self._ends.expect_movable(here)  # it may have been begun since
                steps = await moving.plan(here, self._group, moving.SETTINGS)
                await moving.make_days_of_queue(here, there, self._group)
                await moving.awake(here, self._clear(there, steps))
                async with there.transaction():
                    rows = await carry_all(here, there, steps, self._tell)
                    await moving.tell_changes(there, webhooks := await moving.webhooks(here, self._group))
                await moving.awake(here, expect_at_standbys(there, self._target, self._patience))
                self._tell("deleting it here")
                await moving.remove(here, steps)
                await moving.tell_changes(here, webhooks)
                await moving.note_left(here, self._group)
                self._tell("letting it go")
        except COLLISIONS as error:
            raise StartupError(f"Somebody changed {self._group} while it was to be moved. Move it again.") from error
        logger.info("group %s lives at %s", self._group, self._target)
        await self._expect_kept(here)
        return rows

    async def _expect_kept(self, here: Connection) -> None:
        """Have the standbys of this home know that the group left, before its new home goes on with it."""
        try:
            await expect_at_standbys(here, self._source, self._patience)
        except StartupError as error:  # there is no way back, and the group does not rest for it
            logger.warning("group %s left, which not all standbys know: %s", self._group, error)

    async def _clear(self, there: Connection, steps: list[moving.Step]) -> None:
        """Delete what is of the group where it is to live, such as what was counted of it there."""
        async with there.transaction():
            await moving.remove(there, steps)

    async def _leave_again(self, here: Connection) -> dict[str, int]:
        """Delete what this database has of the group again, since it lost the transaction in which the group left."""
        await self._rest()
        self._tell("deleting it here")
        async with here.transaction():
            if not await moving.lock(here, self._group):
                raise StartupError(f"Somebody opened a webhook of {self._group} at this moment. Begin the same again.")
            steps, webhooks = await moving.plan(here, self._group, moving.SETTINGS), await moving.webhooks(here, self._group)
            await moving.remove(here, steps)
            await moving.tell_changes(here, webhooks)
            await moving.note_left(here, self._group)
        logger.warning("group %s had left for %s already; what was here of it again is deleted", self._group, self._target)
        return {}

    async def _arrive(self) -> None:
        """Have the new home go on, and all who send know it."""
        self._tell("telling the fleet")
        await self._way.bucket.change(self._arrived)
        self._tell("having its new home go on")
        async with self._there.transaction() as connection:
            if await self._ends.is_arriving(connection):  # else it arrived, and is on its way from there by now
                await moving.open_lanes(connection, self._group)
                await moving.end(connection, self._group)
        for database in (self._here, self._there):
            try:
                await tables.keep_all_in_step(database)
            except BusyError as error:
                logger.warning("triggers are brought up to date by the next change of a webhook: %s", error)

    def _arrived(self, fleet: Fleet) -> Fleet:
        if fleet.home_of(self._group) == self._target:
            return fleet  # it was told before: whoever has parked the group now moves it on from there
        free = parking(fleet, self._group, self._version(), is_parked=False)
        return with_groups(free, {self._group: self._target}, self._version())
