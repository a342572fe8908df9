"""How much of what is written to history counts as stored, by group and day: the texts that it keeps.

This is asked for every event and every answer, so days are numbers until the few that there are become dates.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

from tidings.core.event import Event
from tidings.core.limits import text_bytes
from tidings.core.outcome import Result

Stored = dict[tuple[str, date], tuple[int, int]]  # of a group and a day: bytes and events

_IDS_OF_DAY: Final = 86_400_000 << 80  # as numbers: an id begins with its milliseconds (`core.event.day_of`)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


def event_bytes(event: Event) -> int:
    """Return how many bytes of an event are kept."""
    return text_bytes(event.record) + text_bytes(event.old_record)


def stored_of(events: Iterable[Event]) -> Stored:
    """Return what events add."""
    sizes: dict[tuple[str, int], tuple[int, int]] = {}
    for event in events:
        key = event.group_id, event.id.int // _IDS_OF_DAY
        size, count = sizes.get(key, (0, 0))
        sizes[key] = size + event_bytes(event), count + 1
    return {(group_id, _date(day)): added for (group_id, day), added in sizes.items()}


def answered(results: Iterable[Result]) -> Stored:
    """Return what receivers' answers add, to the days of their events."""
    sizes: dict[tuple[str, int], int] = {}
    for result in results:
        exchange = result.exchange
        size = len(exchange.body)
        for name, value in exchange.headers:
            size += len(name) + len(value)
        if size:
            key = result.delivery.group_id, result.delivery.event_id.int // _IDS_OF_DAY
            sizes[key] = sizes.get(key, 0) + size
    return {(group_id, _date(day)): (size, 0) for (group_id, day), size in sizes.items()}


def _date(day: int) -> date:
    return date.fromordinal(_FIRST_DAY + day)
