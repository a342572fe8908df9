"""The redaction rules as a worker holds them, and what they do to the events that it routes and to the answers that it gets.

The dispatcher reads the rules' version in the statement that takes rows of the outbox, as it does that of subscriptions: what
is routed after a rule was made is kept by it. Rules about one webhook's answers alone hold within a second.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tidings.core.event import Event, about
from tidings.core.redaction import Rule, kept_of_answers, read_mark, redacted_event, redaction_of
from tidings.core.scrubbing import Keeping, keeping_of
from tidings.core.webhook import Webhook
from tidings.store import payloads, redaction
from tidings.store.database import Connection, Database
from tidings.store.secrets import SecretBox
from tidings.worker.event_cache import EventCache
from tidings.worker.loops import Matched

logger = logging.getLogger("tidings.privacy")

RULES_INTERVAL = 1.0  # seconds


class Privacy:
    """What of events and answers is kept. One per process; the dispatcher and a duty bring it up to date."""

    def __init__(self, database: Database, box: SecretBox, cache: EventCache) -> None:
        self.box = box
        self._database = database
        self._cache = cache
        self._version = 0
        self._failovers = database.server.failovers
        self._rules: dict[str, tuple[Rule, ...]] = {}

    async def run_once(self) -> None:
        """Bring the rules up to date."""
        async with self._database.connection() as connection:
            await self.at_least(connection, await redaction.version(connection))

    async def at_least(self, connection: Connection, version: int) -> None:
        """Have the rules, no older than a version that was read beside the work they are for."""
        seen = self._database.server.failovers  # after one, a lower version may be newer
        if self._version < version or self._failovers != seen:
            rules = await redaction.all_rules(connection)
            if self._version < version or self._failovers != seen:  # else somebody has read them later meanwhile
                self._rules, self._version, self._failovers = rules, version, seen
                self._cache.clear()  # among what is remembered can be what was erased

    @property
    def hiding(self) -> list[str]:
        """The groups that have rules which hide something of events."""
        return [group_id for group_id, rules in self._rules.items() if any(rule.hides for rule in rules)]

    def has_rules(self, group_id: str) -> bool:
        """Whether a group has any."""
        return group_id in self._rules

    async def keep(self, connection: Connection, matched: Sequence[Matched], now: datetime) -> Sequence[Matched]:
        """Return events with their deliveries as they are kept; what is to be sent of them beyond that is sealed for these.

        The events among what is returned say in `redaction` what was done.
        """
        if not self._rules:
            return matched
        kept = [self._kept(one) for one in matched]
        wholes = [
            (whole.event, mark)
            for whole, one in zip(matched, kept, strict=True)
            if one.deliveries and (mark := read_mark(one.event.redaction)) is not None and mark.hidden
        ]
        await payloads.keep(connection, self.box, wholes, now)
        ends = {
            one.event.id: (one.event.group_id, max(now, one.event.occurred_at) + timedelta(hours=mark.payload_hours))
            for one in kept
            if (mark := read_mark(one.event.redaction)) is not None and mark.payload_hours is not None
        }
        await payloads.end_later(connection, ends)
        return kept

    def _kept(self, one: Matched) -> Matched:
        event = one.event
        rules = self._rules.get(event.group_id)
        done = rules and redaction_of(rules, event.type, (delivery.webhook_id for delivery in one.deliveries))
        if not done:
            return one
        kept = redacted_event(event, done)
        return Matched(
            kept, one.about if about(event) == about(kept) else None, one.deliveries
        )  # a hash of it could be tried out

    def keeping(self, event: Event, webhook: Webhook) -> Keeping | None:
        """Return what is kept of the answers to an event that is sent to a webhook; None: all."""
        if event.redaction is None and event.group_id not in self._rules:
            return None
        mark = read_mark(event.redaction)
        done = kept_of_answers(mark, self._rules.get(event.group_id, ()), event.type, webhook.id)
        if done is None:
            return None
        kept = None if mark is None or not mark.hidden else redacted_event(event, mark)
        return keeping_of(done, event, kept)


def marked(events: Iterable[Event], kept: Iterable[Matched]) -> list[Event]:
    """Return whole events that say what rules did to them as they are kept."""
    marks = {one.event.id: one.event.redaction for one in kept if one.event.redaction is not None}
    if not marks:
        return list(events)
    return [msgspec.structs.replace(event, redaction=marks.get(event.id)) for event in events]
