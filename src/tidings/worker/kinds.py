"""The partitions, groups and kinds that events need, and which of them are known to be in the database."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from tidings.core.event import DEFAULT_GROUP, Event
from tidings.store import groups, history
from tidings.store.database import Connection

KNOWN_FOR = timedelta(minutes=1)
MAX_KNOWN = 50_000  # groups and kinds


class Made(NamedTuple):
    """What a transaction has made sure of: days, groups, and kinds (group, type, day)."""

    days: set[date]
    groups: set[str]
    kinds: set[tuple[str, str, date]]


class Kinds:
    """What is known to be there. Of one dispatcher, which adds to it once its transaction is committed."""

    def __init__(self, now: datetime) -> None:
        self._since = now
        self._days: set[date] = set()
        self._groups = {DEFAULT_GROUP}
        self._kinds: set[tuple[str, str, date]] = set()

    async def make_sure(self, connection: Connection, events: list[Event], now: datetime) -> Made:
        """Make sure of what events need, in the caller's transaction, and return what that was.

        The janitor makes partitions ahead, but rows can be older than it thinks. Groups are made on first sight.
        """
        if now - self._since >= KNOWN_FOR:  # a group that was deleted is made anew by events
            self._groups, self._kinds, self._since = {DEFAULT_GROUP}, set(), now
        kinds = {(event.group_id, event.type, event.occurred_at.astimezone(UTC).date()) for event in events} - self._kinds
        if not kinds:  # what is known with its kind is known with its day and its group
            return Made(set(), set(), set())
        days = {day for _, _, day in kinds} - self._days
        for day in sorted(days):
            await history.ensure_day(connection, day)
        group_ids = {group_id for group_id, _, _ in kinds} - self._groups
        if group_ids:
            await groups.add(connection, group_ids)
        await history.note_kinds(connection, kinds)
        return Made(days, group_ids, kinds)

    def remember(self, made: Made) -> None:
        """Take note that what was made is committed."""
        if len(self._groups) + len(self._kinds) > MAX_KNOWN:
            self._groups, self._kinds = {DEFAULT_GROUP}, set()
        self._days |= made.days
        self._groups |= made.groups
        self._kinds |= made.kinds

    def forget_days(self) -> None:
        """Look at the partitions again: some may have been dropped."""
        self._days.clear()
        self._kinds.clear()
