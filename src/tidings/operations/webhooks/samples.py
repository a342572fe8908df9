"""Sample events of every type that a webhook can hear of, by the names of its profile. Nothing is read or written here."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.errors import InvalidInputError, RenderError
from tidings.core.event import OPERATIONAL, TEST_TYPE, Event, table_event_type
from tidings.core.event_type import BUILT_IN
from tidings.core.filters import OPERATIONS, CollectionFilter, TableFilter, TypeFilter, parse_filter
from tidings.core.jsontext import stable
from tidings.core.near import did_you_mean
from tidings.core.vocabulary import Vocabulary
from tidings.core.webhook import Subscription
from tidings.profiles import PROFILES
from tidings.sources.publish import new_event

MAX_NAME_BYTES = 63  # of a table or its schema
NAMES_TRIED = 200  # until one is found that a webhook wants

SAMPLE = '{"test":true}'
_ROW = '{"id":1}'
_ROW_BEFORE = '{"id":0}'
_TABLE, _COLLECTION, _COLLECTION_ID = "orders", "posts", "0198c5ef-0000-7000-8000-000000000000"

_EXAMPLES: Final = {one.name: json.dumps(one.example) for one in BUILT_IN if "<" not in one.name}
_RECORD, _RECORD_BEFORE = (
    json.dumps(example)
    for one in BUILT_IN
    if one.name == "content.created"
    for example in (one.example["record"], one.example["record"] | {"title": "Draft"})
)
_CONTENT_OPERATIONS: Final = {"content.created": "INSERT", "content.deleted": "DELETE"}  # all others are updates
_SOURCES: Final = {
    "collection": "collections", "integration": "integrations", "site": "integrations", "cron": "cron", "webhook": OPERATIONAL,
    "tidings": OPERATIONAL,
}  # fmt: skip


class Sample(msgspec.Struct, frozen=True):
    """What a sample event says. Documents are JSON as it came, with all digits.

    Attributes:
        event: A type by the names of the webhook's profile, or the operation on a table; a test event when it is None, or with
            `table` an insertion.
        table: Whose row was changed.
        record: The row, or the record of a collection.
        data: What the event says, instead of an example; of a row the same as `record`.
    """

    event: str | None = None
    table: str | None = None
    schema: str = "public"
    record: bytes | UnsetType = UNSET
    old_record: bytes | UnsetType = UNSET
    data: bytes | UnsetType = UNSET


def sampled(webhook: Subscription, sample: Sample, known: Mapping[str, str | None], now: datetime, **more: Any) -> Event:
    """Return the event that a sample stands for.

    Args:
        known: Types of the webhook's group beside those that Tidings makes, each with an example as JSON text, or None.
        more: Further fields of the event.

    Raises:
        InvalidInputError: The profile has no event of that name, with the nearest it has; or a document cannot be sent.
    """
    said = {name: document_text(name, getattr(sample, name)) for name in ("record", "old_record", "data")}
    said["record"] = said["data"] if sample.record is UNSET else said["record"]
    vocabulary = PROFILES[webhook.profile].vocabulary
    if sample.table is not None:
        for field, name in (("table", sample.table), ("schema", sample.schema)):
            if not 1 <= len(name.encode()) <= MAX_NAME_BYTES or "\0" in name:
                raise InvalidInputError(field, f"{field} must have 1 to {MAX_NAME_BYTES} bytes, as PostgreSQL's names do.")
        operation = _operation(sample.event or "INSERT", vocabulary)
        return _row(webhook, (sample.schema, sample.table), operation, said, now, **more)
    if sample.event in {None, TEST_TYPE, vocabulary.test}:
        record = SAMPLE if sample.data is UNSET else said["data"]
        return new_event(webhook.group_id, "publish", TEST_TYPE, record, now, **more)
    return _named(webhook, sample.event or "", said, known, now, **more)


def wanted_sample(webhook: Subscription, known: Mapping[str, str | None], now: datetime) -> Event:
    """Return a sample of the first thing that a webhook wants, or a test event when it wants nothing that is known."""
    rows = _row_samples(webhook)
    named = [rows.get(name) or Sample(name) for name in names_of(webhook, known)]
    for sample in [*named, *rows.values()][:NAMES_TRIED]:
        event = sampled(webhook, sample, known, now)
        if webhook.wants(event):
            return event
    return sampled(webhook, Sample(), known, now)


def names_of(webhook: Subscription, known: Iterable[str]) -> list[str]:
    """Return the names of the events that a webhook can be sent, those it asks for first.

    Args:
        known: Types of its group beside those that Tidings makes.
    """
    vocabulary = PROFILES[webhook.profile].vocabulary
    if vocabulary.sent is not None:
        return [*vocabulary.names, *(name for name in known if name.startswith(vocabulary.free or ("\0",)))]
    named = [wanted.name for wanted in webhook.events if isinstance(wanted, TypeFilter) and not wanted.name.endswith("*")]
    return list(dict.fromkeys([*named, *_row_samples(webhook), *known, *_EXAMPLES]))


def _row_samples(webhook: Subscription) -> dict[str, Sample]:
    """Return the changes of the tables that a webhook names, by their types: a type tells no name with dots."""
    return {
        table_event_type(wanted.schema or "public", wanted.table, operation): Sample(
            operation, wanted.table, wanted.schema or "public"
        )
        for wanted in _tables(webhook)
        if wanted.table != "*"
        for operation in wanted.operations
    }


def _named(
    webhook: Subscription, name: str, said: dict[str, str | None], known: Mapping[str, str | None], now: datetime, **more: Any
) -> Event:
    vocabulary = PROFILES[webhook.profile].vocabulary
    if vocabulary.sent is not None:
        type_ = next((ours for ours, sent in vocabulary.sent.items() if sent == name), None)
        if type_ is None and not name.endswith("*") and name.startswith(vocabulary.free or ("\0",)):
            type_ = name
    else:
        type_ = name if _is_known(webhook, name, known) else None
    table = next(((one.schema or "public", one.table) for one in _tables(webhook) if one.table != "*"), None)
    if type_ is None and name.upper() in OPERATIONS and table is not None:
        return _row(webhook, table, name.upper(), said, now, **more)
    if type_ is None and vocabulary.sent is None and (row := _row_named(name)) is not None:
        return _row(webhook, row[0], row[1], said, now, **more)
    if type_ is None:
        raise _unknown(webhook, name, known)
    if type_.startswith("content."):
        operation = _CONTENT_OPERATIONS.get(type_, "UPDATE")
        collection = next((one.collection for one in webhook.events if isinstance(one, CollectionFilter)), None)
        is_row = vocabulary.has_rows and collection is None
        if is_row or (collection is None and table is not None and vocabulary.sent is not None):
            return _row(webhook, table or ("public", _TABLE), operation, said, now, **more)
        return _content(webhook, collection or _COLLECTION, type_, operation, said, now, **more)
    example = known.get(name) or _EXAMPLES.get(type_) or SAMPLE
    record = example if said["record"] is None else said["record"]
    family = type_.partition(".")[0]
    about = {"subject": _COLLECTION_ID, "table_name": _COLLECTION} if family == "collection" else {}
    return new_event(webhook.group_id, _SOURCES.get(family, "publish"), type_, record, now, **about, **more)


def _tables(webhook: Subscription) -> list[TableFilter]:
    return [wanted for wanted in webhook.events if isinstance(wanted, TableFilter)]


def _is_known(webhook: Subscription, name: str, known: Mapping[str, str | None]) -> bool:
    """Tell whether there is a type of that name, or the webhook names it: publishers need not say what they publish."""
    if name in known or name in _EXAMPLES:
        return not name.endswith("*")
    return any(
        isinstance(wanted, TypeFilter) and (wanted.name == name or _is_in_family(wanted.name, name))
        for wanted in webhook.events
    )


def _is_in_family(family: str, name: str) -> bool:
    return family not in {"*", name} and family.endswith(".*") and name.startswith(family[:-1]) and not name.endswith("*")


def _row_named(name: str) -> tuple[tuple[str, str], str] | None:
    """Return table and operation of `table.orders.inserted`."""
    if not name.startswith("table.") or name.endswith("*"):
        return None
    try:
        wanted = parse_filter(name, 0)
    except InvalidInputError:
        return None
    return ((wanted.schema or "public", wanted.table), wanted.operations[0]) if isinstance(wanted, TableFilter) else None


def _unknown(webhook: Subscription, name: str, known: Mapping[str, str | None]) -> InvalidInputError:
    names, vocabulary = names_of(webhook, known), PROFILES[webhook.profile].vocabulary
    called = (vocabulary.sent or {}).get(name)
    near = f' It is called "{called}" here.' if called else did_you_mean(name, names)
    if vocabulary.sent is not None:
        remedy = f"There are {', '.join(names)}."
    else:
        remedy = (
            "Write a type that the webhook names or that was published before, one of the catalogue of event types, "
            'or {"table": "orders", "event": "INSERT"}.'
        )
    return InvalidInputError("event", f"event is {name!r}, which profile {webhook.profile} does not know.{near} {remedy}")


def _operation(name: str, vocabulary: Vocabulary) -> str:
    """Return the operation on a table that a name stands for: its own, or what the profile calls it.

    Raises:
        InvalidInputError: It is none.
    """
    if name.upper() in OPERATIONS:
        return name.upper()
    for ours, operation in (("content.created", "INSERT"), ("content.updated", "UPDATE"), ("content.deleted", "DELETE")):
        if vocabulary.sent is not None and vocabulary.sent.get(ours) == name:
            return operation
    near = did_you_mean(name, OPERATIONS)
    raise InvalidInputError("event", f"event is {name!r}; with a table write INSERT, UPDATE or DELETE.{near}")


def _row(
    webhook: Subscription, table: tuple[str, str], operation: str, said: dict[str, str | None], now: datetime, **more: Any
) -> Event:
    record, old_record = _changed(operation, said, _ROW, _ROW_BEFORE)
    return new_event(
        webhook.group_id, "tables", table_event_type(*table, operation), record, now, operation=operation,
        subject=".".join(table), table_schema=table[0], table_name=table[1], old_record=old_record, **more,
    )  # fmt: skip


def _content(
    webhook: Subscription, collection: str, type_: str, operation: str, said: dict[str, str | None], now: datetime, **more: Any
) -> Event:
    record, old_record = _changed(operation, said, _RECORD, _RECORD_BEFORE)
    return new_event(
        webhook.group_id, "collections", type_, record, now, operation=operation, subject=_COLLECTION_ID,
        table_schema="content", table_name=collection, old_record=old_record, **more,
    )  # fmt: skip


def _changed(operation: str, said: dict[str, str | None], example: str, before: str) -> tuple[str | None, str | None]:
    """Return a row as it is after the operation, and as it was before it: what was said, else an example."""
    record, old_record = said["record"], said["old_record"]
    if record is None and old_record is None:
        record, old_record = example, before
    match operation:
        case "INSERT":
            return record, None
        case "UPDATE":
            return record, old_record
        case _:
            return None, said["old_record"] or record


def document_text(field: str, document: bytes | UnsetType) -> str | None:
    """Return a document as text; what cannot be sent is refused now, not at delivery.

    Raises:
        InvalidInputError: It cannot be sent.
    """
    if document is UNSET or document == b"null":
        return None
    try:
        stable(document)
    except RenderError as error:
        raise InvalidInputError(field, error.message) from error
    return document.decode()
