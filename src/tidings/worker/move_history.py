"""History of a group that lives at another home by now: it follows, page by page, each copied, counted and then deleted.

It does not change any more, so one pass is enough, and whoever dies in between leaves each page at one of the two homes.
"""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from tidings.store import moving
from tidings.store.database import Connection
from tidings.worker.move_standbys import expect_at_standbys

PAGE: Final = 1000  # rows of history that are taken together
_KINDS: Final = ("events", "deliveries")
_FIRST: Final = UUID(int=0)


async def carry_history(
    here: Connection, there: Connection, group_id: str, home: str, *, patience: float, tell: Callable[[str], None]
) -> dict[str, int]:
    """Take what is left of a group's history along; return how many of each kind that were.

    Args:
        home: The one that the group lives at.
        patience: Seconds that its standbys are waited for.
        tell: Is told what is done next.

    Raises:
        StartupError: Something else is called so there, or its standbys are behind.
    """
    move = _History(here, there, group_id, home, patience, tell)
    return {"published": await move.carry_published()} | {kind: await move.carry_kind(kind) for kind in _KINDS}


class _History:
    """History on its way."""

    def __init__(
        self, here: Connection, there: Connection, group_id: str, home: str, patience: float, tell: Callable[[str], None]
    ) -> None:
        self._here, self._there, self._group = here, there, group_id
        self._home, self._patience, self._tell = home, patience, tell

    async def carry_published(self) -> int:
        """Take along what says that an event was published already, before the event."""
        count, behind = 0, ""
        while names := await moving.published(self._here, self._group, behind, PAGE):
            behind = names[-1]
            await self._carry_page("published", names=names)
            count += len(names)
        return count

    async def carry_kind(self, kind: str) -> int:
        """Take events or deliveries along."""
        count, behind = 0, _FIRST
        while ids := await moving.page(self._here, kind, self._group, behind, PAGE):
            behind = ids[-1]
            await moving.make_days(self._here, self._there, ids)
            await self._carry_page(kind, ids=ids)
            count += len(ids)
        return count

    async def _carry_page(self, kind: str, *, ids: Sequence[UUID] = (), names: Sequence[str] = ()) -> None:
        here, there = self._here, self._there
        async with here.transaction():
            steps = await moving.plan(here, self._group, kind, ids, names)
            async with there.transaction():
                await carry_all(here, there, steps, self._tell)
            await moving.awake(here, expect_at_standbys(there, self._home, self._patience))
            self._tell(f"deleting {kind} here")
            await moving.remove(here, steps)


async def carry_all(
    here: Connection, there: Connection, steps: Sequence[moving.Step], tell: Callable[[str], None]
) -> dict[str, int]:
    """Copy what steps name to another home, in the transactions open at both; return how many rows of each table that were.

    Args:
        tell: Is told what is done next.

    Raises:
        StartupError: Something else is called so there.
    """
    rows: dict[str, int] = {}
    for step in steps:
        tell(f"copying {step.name}")
        rows[step.name] = await moving.carry(here, there, step)
    return rows
