"""Events routed a moment ago, so that a delivery seldom has to read its event back."""

from collections import OrderedDict
from uuid import UUID

from tidings.core.event import Event

MAX_EVENTS = 20_000
MAX_TEXT = 32_000_000  # characters of record and old_record together

_OVERHEAD = 600  # characters that an event costs beside its records, roughly


class EventCache:
    """The latest events, up to a bound in number and in size. Written by the dispatcher, read by the deliverer."""

    def __init__(self) -> None:
        self._events: OrderedDict[UUID, Event] = OrderedDict()
        self._size = 0

    def add(self, event: Event) -> None:
        """Remember an event, forgetting the oldest when there are too many."""
        if event.id in self._events:
            return
        self._events[event.id] = event
        self._size += _size(event)
        while self._size > MAX_TEXT or len(self._events) > MAX_EVENTS:
            _, oldest = self._events.popitem(last=False)
            self._size -= _size(oldest)

    def clear(self) -> None:
        """Forget all."""
        self._events.clear()
        self._size = 0

    def get(self, event_id: UUID) -> Event | None:
        """Return the event, when it is remembered."""
        return self._events.get(event_id)


def _size(event: Event) -> int:
    return _OVERHEAD + len(event.record or "") + len(event.old_record or "")
