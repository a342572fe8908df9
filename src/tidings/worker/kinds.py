"""The partitions, groups and kinds that events need, and which of the partitions and kinds are known to be in the database.

Groups are not remembered. One that was deleted is made anew by an event that names it, and whoever remembered it would write
history that belongs to nobody. One statement a batch makes sure of them; the group that is always there needs none.
"""

from datetime import UTC, date
from typing import NamedTuple

from tidings.core.event import DEFAULT_GROUP, Event
from tidings.store import groups, history
from tidings.store.database import Connection

MAX_KNOWN = 50_000  # kinds


class Made(NamedTuple):
    """What a transaction has made sure of: days, and kinds (group, type, day)."""

    days: set[date]
    kinds: set[tuple[str, str, date]]


class Kinds:
    """What is known to be there. Of one dispatcher, which adds to it once its transaction is committed."""

    def __init__(self) -> None:
        self._days: set[date] = set()
        self._kinds: set[tuple[str, str, date]] = set()

    async def make_sure(self, connection: Connection, events: list[Event]) -> Made:
        """Make sure of what events need, in the caller's transaction, and return what that was.

        The janitor makes partitions ahead, but rows can be older than it thinks. Groups are made on first sight.
        """
        if group_ids := {event.group_id for event in events} - {DEFAULT_GROUP}:
            await groups.add(connection, group_ids)
        kinds = {(event.group_id, event.type, event.occurred_at.astimezone(UTC).date()) for event in events} - self._kinds
        if not kinds:  # what is known with its kind is known with its day
            return Made(set(), set())
        days = {day for _, _, day in kinds} - self._days
        for day in sorted(days):
            await history.ensure_day(connection, day)
        await history.note_kinds(connection, kinds)
        return Made(days, kinds)

    def remember(self, made: Made) -> None:
        """Take note that what was made is committed."""
        if len(self._kinds) > MAX_KNOWN:
            self._kinds.clear()
        self._days |= made.days
        self._kinds |= made.kinds

    def forget_days(self) -> None:
        """Look at the partitions again: some may have been dropped."""
        self._days.clear()
        self._kinds.clear()
