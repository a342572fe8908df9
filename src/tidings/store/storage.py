"""How much of what is written to history counts as stored, by group and day: the texts that it keeps."""

from collections.abc import Iterable
from datetime import date

from tidings.core.event import Event, day_of
from tidings.core.limits import text_bytes
from tidings.core.outcome import Exchange, Result

Stored = dict[tuple[str, date], tuple[int, int]]  # of a group and a day: bytes and events


def event_bytes(event: Event) -> int:
    """Return how many bytes of an event are kept."""
    return text_bytes(event.record) + text_bytes(event.old_record)


def stored_of(events: Iterable[Event]) -> Stored:
    """Return what events add."""
    stored: Stored = {}
    for event in events:
        key = event.group_id, day_of(event.id)
        size, count = stored.get(key, (0, 0))
        stored[key] = size + event_bytes(event), count + 1
    return stored


def answered(results: Iterable[Result]) -> Stored:
    """Return what receivers' answers add, to the days of their events."""
    stored: Stored = {}
    for result in results:
        if size := _answer_bytes(result.exchange):
            key = result.delivery.group_id, day_of(result.delivery.event_id)
            stored[key] = stored.get(key, (0, 0))[0] + size, 0
    return stored


def _answer_bytes(exchange: Exchange) -> int:
    return len(exchange.body) + sum(len(name) + len(value) for name, value in exchange.headers)
