"""Why a row of the outbox cannot become an event, as a sentence.

Anybody who may write to the table can have written it: a capture function, `tidings.publish`, or somebody's hand. What is
let through here can be written to history, found there, and dropped with its day.
"""

from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache

from tidings.core.event import Event, milliseconds
from tidings.core.filters import OPERATIONS
from tidings.core.group import RULE, group_fault

SOURCES = frozenset({"tables", "collections", "cron", "integrations", "publish", "tidings"})
MAX_TYPE_LENGTH = 2000  # characters
MAX_EVENT_BYTES = 16 * 2**20  # of both records as JSON; to write and send that holds up others for a tenth of a second
MAX_AHEAD = timedelta(days=366)  # a day in the future has partitions made for it, and nothing drops them before it is over

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # an id cannot tell an earlier time
_DAY_MS = 86_400_000
_MAX_SHOWN = 100  # characters of a value in a sentence

_group_fault = lru_cache(maxsize=4096)(group_fault)  # the same few come again and again


def event_fault(event: Event, now: datetime) -> str | None:
    """Return why an event cannot be routed; None when nothing is wrong with it."""
    at = event.occurred_at
    if not _FIRST <= at <= now + MAX_AHEAD:
        return f"Its time (occurred_at) is {_year(at)}; from 1970 on to a year from now can be told."
    if event.id.int >> 80 != milliseconds(at) and (fault := _id_fault(event, at)) is not None:
        return fault
    return _name_fault(event)


def _name_fault(event: Event) -> str | None:
    if (group := _group_fault(event.group_id)) is not None:
        return f"Its group is {_shown(event.group_id)}, and {group}. {RULE}"
    if event.source not in SOURCES:
        return f"Its source is {_shown(event.source)}; there are {', '.join(sorted(SOURCES))}."
    if not event.type or len(event.type) > MAX_TYPE_LENGTH:
        return f"Its type must have 1 to {MAX_TYPE_LENGTH:,} characters; it has {len(event.type or ''):,}."
    if event.operation is not None and event.operation not in OPERATIONS:
        return f"Its operation is {_shown(event.operation)}; there are INSERT, UPDATE and DELETE."
    return None


def table_fault(schema: str | None, table: str | None, operation: str | None) -> str | None:
    """Return why a row cannot be the change of a table's row; None when it can."""
    if not schema or not table:
        return "It is the change of a row, but names no table (table_schema, table_name)."
    if operation not in OPERATIONS:
        return f"It is the change of a row, but its operation is {_shown(operation)}; there are INSERT, UPDATE and DELETE."
    return None


def size_fault(size: int | None) -> str | None:
    """Return why an event is too large, when its size was found worth while to be measured."""
    if size is None or size <= MAX_EVENT_BYTES:
        return None
    return (
        f"Its records have {size:,} bytes as JSON; no more than {MAX_EVENT_BYTES:,} are sent. "
        "Leave columns out (the table's setting exclude), or send a reference."
    )


def _id_fault(event: Event, at: datetime) -> str | None:
    if event.id.version != 7 or (event.id.int >> 80) // _DAY_MS != milliseconds(at) // _DAY_MS:
        return f"Its event_id {event.id} is no UUIDv7 of the day it occurred, {at:%Y-%m-%d}; leave it null to have one made."
    return None


def _year(at: datetime) -> str:
    if at.year == MAXYEAR:
        return "past the year 9998"
    return f"in the year {at.year}" if at.year > 1 else "before the year 2"


def _shown(value: str | None) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
