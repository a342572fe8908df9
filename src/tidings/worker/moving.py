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

History follows afterwards, page by page, each copied, counted and then deleted; until it has, it is looked for at the old home.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol
from uuid import UUID

import msgspec

from tidings.core.errors import BusyError, StartupError
from tidings.core.fleet import Fleet, parking, with_groups
from tidings.sources import tables
from tidings.store import moving, placing
from tidings.store.database import COLLISIONS, Connection, Database
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.moving")

PAGE: Final = 1000  # rows of history that are taken together
LOOK_INTERVAL: Final = 0.2  # seconds between looks whether what is waited for has come
PATIENCE: Final = 60.0  # seconds for each of these, beyond which the move is called off
HISTORY: Final = ("published", "events", "deliveries")
_FIRST: Final = UUID(int=0)


class Bucket(Protocol):
    """What all members of a fleet agree about, as far as a move needs it."""

    async def fleet(self) -> Fleet:
        """Return what the fleet is."""

    async def change(self, changed: Callable[[Fleet], Fleet]) -> Fleet:
        """Change the directory, and return it."""

    async def settled(self) -> dict[str, int]:
        """Return by which version of it each sender has sent all."""


class Flights(Protocol):
    """What is on its way to homes, as far as a move needs it."""

    async def last(self, home: str) -> int:
        """Return the number of the last flight to a home."""

    async def first(self, home: str) -> int:
        """Return the number of the first flight to a home that it has not landed."""


class Way(Protocol):
    """The stream, as far as a move needs it."""

    @property
    def bucket(self) -> Bucket:
        """What all agree about."""

    @property
    def flights(self) -> Flights:
        """What is on its way."""


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

    async def plan(self) -> Moved:
        """Return what would be moved, with history.

        Raises:
            StartupError: It could not.
        """
        await self._expect_homes()
        await self._check()
        async with self._here.connection() as connection:
            steps = await moving.plan(connection, self._group, moving.SETTINGS)
            return Moved(self._group, self._target, {step.name: await connection.fetchval(step.count) for step in steps})

    async def run(self) -> Moved:
        """Move the group, and its history.

        Raises:
            StartupError: It cannot be moved, with the remedy; it lives where it lived.
            StreamAwayError: The stream did not answer; begun again, it goes on.
        """
        await self._expect_homes()
        async with self._alone() as (here, there):
            return await self._run(here, there)

    async def _run(self, here: Connection, there: Connection) -> Moved:
        rows: dict[str, int] = {}
        found = await moving.standing(here, self._group)
        if found is not None and found.home != self._target:
            raise StartupError(f"{self._group} is being moved to {found.home}. Let that end first, or call it off: --abandon.")
        if found is not None and found.has_left:
            await self._expect_last_move()
        else:
            await self._check()
            await self._abandon(here, there)  # what was broken off, if anything was
            try:
                await self._park()
                rows = await self._switch(here, there)
            except StartupError:
                await self._abandon(here, there)
                raise
        await self._arrive()
        for kind in HISTORY:  # with events of what waits, which were copied before
            rows[kind] = await self._carry_history(here, there, kind)
        return Moved(self._group, self._target, rows)

    async def abandon(self) -> None:
        """Call the move off, where the group has not left.

        Raises:
            StartupError: It has; or somebody is moving it at this moment.
        """
        await self._expect_homes()
        async with self._alone() as (here, there):
            await self._abandon(here, there)

    async def _abandon(self, here: Connection, there: Connection) -> None:
        found = await moving.standing(here, self._group)
        if found is not None and found.has_left:
            raise StartupError(f"{self._group} lives at {found.home} already. Begin the move again, and it ends.")
        if found is not None and found.home != self._target:
            raise StartupError(f"{self._group} is being moved to {found.home}, not to {self._target}. Say --to {found.home}.")
        async with there.transaction():
            arriving = await moving.standing(there, self._group)
            if arriving is not None and not arriving.has_left:
                await moving.remove(there, await moving.plan(there, self._group, moving.SETTINGS))
                await moving.end(there, self._group)
        if found is not None:
            async with here.transaction():
                await moving.open_lanes(here, self._group)
                await moving.end(here, self._group)
        if self._group in (await self._way.bucket.fleet()).parked:
            await self._way.bucket.change(lambda fleet: parking(fleet, self._group, self._version(), is_parked=False))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[tuple[Connection, Connection]]:
        """Lend a connection to each home, over which nobody else moves the group.

        Raises:
            StartupError: Somebody does.
        """
        here, there = await self._here.dedicated(), await self._there.dedicated()
        try:
            for connection in (here, there):
                if not await moving.be_alone(connection, self._group):
                    raise StartupError(
                        f"Somebody is moving {self._group} at this moment. Let that end, or end that command; then try again."
                    )
            yield here, there
        finally:
            here.terminate()
            there.terminate()

    async def _expect_homes(self) -> None:
        """Return when the databases are those of the homes that were named.

        Raises:
            StartupError: They are not.
        """
        for database, home, setting in (
            (self._here, self._source, "TIDINGS_DATABASE_URL"),
            (self._there, self._target, "--database"),
        ):
            async with database.connection() as connection:
                known = await placing.get(connection)
            if known is None or known.placing.home != home:
                its = "no home of a fleet yet" if known is None else f"that of home {known.placing.home}"
                raise StartupError(
                    f"The database of {setting} is {its}, and not that of {home}. Correct {setting}; a home knows what it is "
                    "called once serve has run there."
                )

    # Before ------------------------------------------------------------------------------------------------------------

    async def _expect_last_move(self) -> None:
        """Refuse to go on with a move behind which others came: the fleet would look for the group where it was before them."""
        lives_at = (await self._way.bucket.fleet()).home_of(self._group)
        if lives_at not in {self._source, self._target}:
            raise StartupError(
                f"{self._group} was moved from here to {self._target}, and lives at {lives_at} by now. Where history of it is "
                f"here still, move it back to {self._target}, then run this again."
            )

    async def _check(self) -> None:
        """Refuse what cannot be moved."""
        fleet = await self._way.bucket.fleet()
        if self._target not in fleet.homes:
            raise StartupError(f"The fleet has no home {self._target!r}; it has {', '.join(fleet.homes)}.")
        if self._target == self._source:
            raise StartupError(f"{self._group} would be moved to where it is, {self._source}.")
        if (lives_at := fleet.home_of(self._group)) != self._source:
            raise StartupError(
                f"{self._group} lives at {lives_at}, and this is the database of {self._source}. Move it from there."
            )
        async with self._here.connection() as here, self._there.connection() as there:
            ours, theirs = await moving.other(here), await moving.other(there)
            if ours.schema != theirs.schema:
                raise StartupError("The two homes have schemas of different versions. Upgrade both, then move the group.")
            if ours.fingerprint != theirs.fingerprint:
                raise StartupError("The two homes have different secret keys. Give both the same first: tidings rekey.")
            await self._expect_movable(here)
            if await moving.standing(there, self._group) is None and await moving.is_there(there, self._group):
                raise StartupError(f"There is a group {self._group} at {self._target} already, and two cannot become one.")

    async def _expect_movable(self, here: Connection) -> None:
        if in_the_way := await moving.in_the_way(here, self._group):
            some = ", ".join(f"{count} {kind}" for kind, count in in_the_way.items())
            raise StartupError(
                f"{self._group} has {some}, which cannot be moved. Let jobs end; export collections, and delete them."
            )

    async def _park(self) -> None:
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
        await self._until(self._is_known, "Transactions that were open to end: some may route what is for it.")
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
                await self._expect_movable(here)  # it may have been begun since
                steps = await moving.plan(here, self._group, moving.SETTINGS)
                await moving.make_days(here, there, await moving.queued_events(here, self._group))
                async with there.transaction():
                    await moving.remove(there, steps)  # what a move that was broken off had copied
                    rows = await self._carry(here, there, steps)
                    await moving.tell_changes(there, webhooks := await moving.webhooks(here, self._group))
                self._tell("deleting it here")
                await moving.remove(here, steps)
                await moving.tell_changes(here, webhooks)
                await moving.note_left(here, self._group)
                self._tell("letting it go")
        except COLLISIONS as error:
            raise StartupError(f"Somebody changed {self._group} while it was to be moved. Move it again.") from error
        logger.info("group %s lives at %s", self._group, self._target)
        return rows

    async def _arrive(self) -> None:
        """Have the new home go on, and all who send know it."""
        self._tell("telling the fleet")
        await self._way.bucket.change(self._arrived)
        self._tell("having its new home go on")
        async with self._there.transaction() as connection:
            arriving = await moving.standing(connection, self._group)
            if arriving is not None and not arriving.has_left:  # else it arrived, and is on its way from there by now
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

    # Afterwards --------------------------------------------------------------------------------------------------------

    async def _carry_history(self, here: Connection, there: Connection, kind: str) -> int:
        """Take history along, page by page; return how many events or deliveries that were."""
        count, behind = 0, _FIRST
        while ids := await moving.page(here, kind, self._group, behind, PAGE):
            behind = ids[-1]
            await moving.make_days(here, there, ids)
            async with here.transaction():
                steps = await moving.plan(here, self._group, kind, ids)
                async with there.transaction():
                    await self._carry(here, there, steps)
                self._tell(f"deleting {kind} here")
                await moving.remove(here, steps)
            count += len(ids)
        return count

    async def _carry(self, here: Connection, there: Connection, steps: Sequence[moving.Step]) -> dict[str, int]:
        rows: dict[str, int] = {}
        for step in steps:
            self._tell(f"copying {step.name}")
            rows[step.name] = await moving.carry(here, there, step)
        return rows
