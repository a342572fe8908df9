"""An event, and the ids that follow from it.

Ids are a pure function of the outbox row. If PostgreSQL crashes between a send and the record of it, or a batch is
routed twice, the same change gets the same event id and the same delivery ids again, so receivers can drop the repeat.
Both are UUIDv7 with the event's own time, which puts event, deliveries and attempts of one change in the same day's
partition and lets an id alone find its row.
"""

from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from uuid import UUID, SafeUUID

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ACTIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}

TEST_TYPE = "webhook.test"
OPERATIONAL = "tidings"  # the source of what Tidings tells of itself (`core.operational`)
DEFAULT_GROUP = "default"

# Of the 74 bits of a delivery's id that are not its time, 24 are its event's, and 50 tell its webhooks apart: with a million
# webhooks for one event the odds of two alike are one in two thousand.
_OWN_BITS = 50
_EVENT_PART = 0xFF_FFFF


class Event(msgspec.Struct, frozen=True, gc=False):
    """One immutable fact.

    Attributes:
        source: `tables`, `collections`, `cron`, `integrations`, `publish` or `tidings`.
        type: `resource.action`, such as `table.orders.inserted`.
        operation: INSERT, UPDATE or DELETE where a row changed, else None.
        subject: What it is about: `schema.table`, the id of a collection, job or integration, or what the publisher said.
        record: JSON text: the row after an INSERT or UPDATE, or what was published.
        old_record: JSON text: the row before an UPDATE or DELETE.
        occurred_at: When the row changed, or when the event was published. Aware.
        external_id: The publisher's own id, by which publishing is idempotent.
        webhook_id: The webhook the event is meant for: the only one, except for a job's, which others may hear too.
        capture_error: Why `record` is missing, when PostgreSQL could not write the row as JSON.
        hops: How many deliveries led to it (`core.hops`); None: it is of a version that did not count.
        redaction: What rules did to it as it is kept (`core.redaction.Redaction`), as JSON text; None: nothing.
        payload_gone: Why its payload is not kept any more, `retention` or `erasure`; None: it is.
        traceparent: The trace that it belongs to, and the span that caused it (`core.trace`); None: of none.
    """

    id: UUID
    group_id: str
    source: str
    type: str
    operation: str | None
    subject: str | None
    table_schema: str | None
    table_name: str | None
    record: str | None
    old_record: str | None
    occurred_at: datetime
    external_id: str | None = None
    webhook_id: UUID | None = None
    capture_error: str | None = None
    hops: int | None = 0
    redaction: str | None = None
    payload_gone: str | None = None
    traceparent: str | None = None

    @property
    def is_test(self) -> bool:
        """Whether somebody asked for it as a test: marked, in one of another type, where no publisher can."""
        return self.type == TEST_TYPE or (self.external_id == TEST_TYPE and self.webhook_id is not None)


def table_event_type(schema: str, table: str, operation: str) -> str:
    """Return `table.<name>.inserted`, with the schema before the name outside `public`."""
    name = table if schema == "public" else f"{schema}.{table}"
    return f"table.{name}.{_ACTIONS[operation]}"


def row_action(operation: str) -> str:
    """Return how the types of row changes end: `.inserted`."""
    return f".{_ACTIONS[operation]}"


def milliseconds(at: datetime) -> int:
    """Return whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def uuid7(unix_ms: int, tail: int) -> UUID:
    """Return the UUIDv7 (RFC 9562, section 5.7) of a time and 74 bits that tell it from others."""
    high = ((unix_ms & 0xFFFF_FFFF_FFFF) << 16) | 0x7000 | (tail >> 62) & 0xFFF
    low = (0b10 << 62) | (tail & 0x3FFF_FFFF_FFFF_FFFF)
    return _uuid_of((high << 64) | low)


def _uuid_of(value: int) -> UUID:
    """Return `UUID(int=value)` in less than half the time: two are made for each delivery."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", value)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made


def event_id(occurred_at: datetime, outbox_id: int, salt: int) -> UUID:
    """Return the id of the event that an outbox row becomes.

    Args:
        salt: 34 bits chosen once per installation, so that two installations do not share ids.
    """
    return uuid7(milliseconds(occurred_at), (salt & 0x3_FFFF_FFFF) << 40 | outbox_id & 0xFF_FFFF_FFFF)


def delivery_id(event: UUID, webhook: UUID) -> UUID:
    """Return the id of the delivery of an event to a webhook.

    It begins with the event's time and the end of the event's id, so that the deliveries of one event stand together and an
    index on ids alone finds them (`delivery_id_bounds`).
    """
    digest = blake2b(event.bytes + webhook.bytes, digest_size=7).digest()
    return uuid7(event.int >> 80, (event.int & _EVENT_PART) << _OWN_BITS | int.from_bytes(digest, "big") >> 6)


def delivery_id_bounds(event: UUID) -> tuple[UUID, UUID]:
    """Return the smallest and the largest id that a delivery of an event can have. Some between them can be others'."""
    first = (event.int & _EVENT_PART) << _OWN_BITS
    unix_ms = event.int >> 80
    return uuid7(unix_ms, first), uuid7(unix_ms, first | (1 << _OWN_BITS) - 1)


def about_hash(group_id: str, *what: str) -> int:
    """Return the number by which history finds the events about something: a subject, or a table and the id of its record.

    Args:
        what: `(subject,)`, or `(table, record_id)` without the table's schema.

    Returns:
        A signed integer of 64 bits, as PostgreSQL's bigint.
    """
    digest = blake2b("\x00".join((group_id, *what)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class _Identified(msgspec.Struct, frozen=True, gc=False):
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object_id: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="_id")


_identify = msgspec.json.Decoder(_Identified).decode


def row_id(record: str | None) -> str | None:
    """Return the `id` or `_id` of a row as text, or None when it has none that can be read."""
    if record is None:
        return None
    try:
        row = _identify(record)
        found = row.object_id if isinstance(row.id, msgspec.UnsetType) else row.id
        if isinstance(found, msgspec.UnsetType):
            return None
        text = bytes(found)
        return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def about(event: Event) -> int | None:
    """Return the hash of what an event is about: of its row, or else of its subject; None when it has neither."""
    if event.operation is None:
        return None if event.subject is None else about_hash(event.group_id, event.subject)
    identity = row_id(event.record if event.record is not None else event.old_record)
    return None if identity is None else about_hash(event.group_id, event.table_name or "", identity)


def day_of(event: UUID) -> date:
    """Return the day (UTC) of an event, which its id begins with: of its partition, and of those of its deliveries."""
    return datetime.fromtimestamp((event.int >> 80) / 1000, UTC).date()


def day_bounds(day_start: datetime) -> tuple[UUID, UUID]:
    """Return the smallest id of a day (from its midnight, UTC) and the smallest of the next."""
    start = milliseconds(day_start)
    return UUID(int=start << 80), UUID(int=(start + 86_400_000) << 80)
