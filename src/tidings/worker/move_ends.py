"""The two homes that a group moves between, and what has to be so at both (theory: `worker.moving`)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.store import moving, placing
from tidings.store.database import Connection, Database


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


class Ends:
    """The home that a group is at, and the one that it is to live at."""

    def __init__(self, here: Database, there: Database, way: Way, group_id: str, *, source: str, target: str) -> None:
        """Make it.

        Args:
            source: The home that the group lives at, whose database `here` is.
            target: The one that it is to live at, whose database `there` is.
        """
        self._here, self._there, self._way = here, there, way
        self._group, self._source, self._target = group_id, source, target

    @asynccontextmanager
    async def alone(self, patience: float) -> AsyncIterator[tuple[Connection, Connection]]:
        """Lend a connection to each home, over which nobody else moves the group.

        Args:
            patience: Seconds that locks of others are waited for.

        Raises:
            StartupError: Somebody does.
        """
        # However long copying takes; who is waited for is waited for as long as for all else.
        lock_timeout = f"{max(1, round(patience * 1000))}ms"
        here = await self._here.dedicated(statement_timeout="0", lock_timeout=lock_timeout)
        try:
            there = await self._there.dedicated(statement_timeout="0", lock_timeout=lock_timeout)
        except BaseException:
            here.terminate()
            raise
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

    async def expect_homes(self) -> None:
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

    async def expect_last_move(self, here: Connection, there: Connection, found: moving.Standing) -> None:
        """Go on with a move that came to where the group lives; or have what is left here follow it to where it lives by now.

        Raises:
            StartupError: Other moves came behind it: the fleet would look for the group where it was before them.
        """
        lives_at = (await self._way.bucket.fleet()).home_of(self._group)
        if lives_at == self._target != found.home:
            onward = await moving.standing(there, self._group)
            if onward is not None and onward.has_left:
                raise StartupError(f"{self._group} is on its way from {lives_at} to {onward.home}. Let that end first.")
            await self.expect_alike()
            async with here.transaction():
                await moving.follow(here, self._group, self._target)
        elif found.home != self._target or lives_at not in {self._source, self._target}:
            if lives_at == self._source:
                raise StartupError(f"{self._group} left for {found.home}, and that did not end. Say --to {found.home}.")
            raise StartupError(
                f"{self._group} was moved from here to {found.home}, and lives at {lives_at} by now. What is of it here "
                f"still goes there: tidings stream move {self._group} --to {lives_at}, with the --database of {lives_at}."
            )

    async def is_arriving(self, there: Connection) -> bool:
        """Whether there is a copy of the group that does nothing: not one that is about to leave from there."""
        found = await moving.standing(there, self._group)
        return found is not None and not found.has_left and found.home == self._target

    async def has_arrived(self, here: Connection, there: Connection) -> bool:
        """Whether the group lives at the other home, though what is known here is older.

        So it is when a standby that was behind has taken over here since. The directory alone does not say so, since somebody
        can write it: what has one id at both homes was copied.
        """
        if (await self._way.bucket.fleet()).home_of(self._group) != self._target or await self.is_arriving(there):
            return False
        return await moving.has_any(there, self._group, await moving.things(here, self._group))

    async def check(self) -> None:
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
        await self.expect_alike()
        async with self._here.connection() as here, self._there.connection() as there:
            await self.expect_movable(here)
            if not await self.is_arriving(there) and await moving.is_there(there, self._group):
                raise StartupError(f"There is a group {self._group} at {self._target} already, and two cannot become one.")

    async def expect_alike(self) -> None:
        """Refuse homes of which one cannot read what the other wrote."""
        async with self._here.connection() as here, self._there.connection() as there:
            ours, theirs = await moving.other(here), await moving.other(there)
        if ours.schema != theirs.schema:
            raise StartupError("The two homes have schemas of different versions. Upgrade both, then move the group.")
        if ours.fingerprint != theirs.fingerprint:
            raise StartupError("The two homes have different secret keys. Give both the same first: tidings rekey.")

    async def expect_movable(self, here: Connection) -> None:
        """Refuse to move a group with things that cannot be moved."""
        if in_the_way := await moving.in_the_way(here, self._group):
            some = ", ".join(f"{count} {kind}" for kind, count in in_the_way.items())
            raise StartupError(
                f"{self._group} has {some}, which cannot be moved. Let jobs end; export collections, and delete them."
            )
