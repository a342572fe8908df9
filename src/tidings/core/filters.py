"""What a webhook wants: the entries of its `events`, read from what its owner wrote, and which events each matches."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import OPERATIONAL, Event
from tidings.core.near import did_you_mean
from tidings.core.vocabulary import CONTENT_ACTIONS, OPEN, Vocabulary

OPERATIONS = ("INSERT", "UPDATE", "DELETE")
MAX_FILTERS = 1000
MAX_TYPE_LENGTH = 200

_TYPE = re.compile(r"[^\s.*\x00]+(\.[^\s.*\x00]+)*")


# What a filter is looked up by (`core.routing`): an event type, or a family as it is written (`order.*`, `*`); an operation on
# any table, (operation,), or on one, (operation, schema, table); a type of one collection's records, (collection, type).
Kind = str | tuple[str | None, ...]


class TableFilter(msgspec.Struct, frozen=True):
    """Changes of one table, or of every captured table when `table` is `*`."""

    table: str
    schema: str | None = None
    operations: tuple[str, ...] = OPERATIONS

    def matches(self, event: Event) -> bool:
        """Tell whether the event is a change this filter names."""
        if event.source != "tables" or event.operation not in self.operations:
            return False
        return self.table == "*" or (self.table == event.table_name and self.schema == event.table_schema)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        table = () if self.table == "*" else (self.schema, self.table)
        return tuple((operation, *table) for operation in self.operations)


class TypeFilter(msgspec.Struct, frozen=True):
    """A single event type, a family such as `content.*`, or `*`, by the names of the webhook's profile.

    Attributes:
        name: As the webhook's owner wrote it.
        types: Our types and families it stands for. A family is `*`, or ends in `.*`.
        operations: Operations on any captured table it stands for as well.
    """

    name: str
    types: tuple[str, ...]
    operations: tuple[str, ...] = ()

    def matches(self, event: Event) -> bool:
        """Tell whether the event's type is one of those named, or of a family named."""
        if event.operation in self.operations and event.source == "tables":
            return True
        types = self.types if event.source != OPERATIONAL else [type_ for type_ in self.types if type_ != "*"]
        return any(event.type.startswith(t[:-1]) if t.endswith("*") else event.type == t for t in types)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        return (*self.types, *((operation,) for operation in self.operations))


class CollectionFilter(msgspec.Struct, frozen=True):
    """What is done to the records of one collection.

    Attributes:
        types: Our types that the actions stand for, by the profile's words: where one has no word for publishing, that is an
            update.
    """

    collection: str
    actions: tuple[str, ...]
    types: tuple[str, ...]

    def matches(self, event: Event) -> bool:
        """Tell whether the event is one of these actions on a record of the collection."""
        return event.source == "collections" and event.table_name == self.collection and event.type in self.types

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        return tuple((self.collection, type_) for type_ in self.types)


Filter = TableFilter | TypeFilter | CollectionFilter


def parse_filter(item: Any, position: int, vocabulary: Vocabulary = OPEN) -> Filter:
    """Read one entry of `events`, by the names of a profile.

    `table.orders.updated` and `table.sales.orders.*` are read as the table filters they stand for, so that the
    tables they name are captured.

    Raises:
        InvalidInputError: It is neither a type, a family nor a table filter.
    """
    field = f"events[{position}]"
    if isinstance(item, dict) and "collection" in item:
        return _parse_collection_filter(item, field, vocabulary)
    if isinstance(item, dict):
        return _parse_table_filter(item, field)
    if not isinstance(item, str):
        raise InvalidInputError(field, f'{field} must be an event type such as "order.paid", or {{"table": "orders"}}.')
    if item == "*":
        return type_filter(item, vocabulary, field)
    if not _TYPE.fullmatch(item.removesuffix(".*")) or len(item) > MAX_TYPE_LENGTH:
        raise InvalidInputError(
            field,
            f'{field} is {item!r}; write a type such as "order.paid", a family such as "order.*", or "*" for all.',
        )
    if item.startswith("table.") and item != "table.*":
        return _parse_table_type(item, field)
    return type_filter(item, vocabulary, field)


def type_filter(name: str, vocabulary: Vocabulary = OPEN, field: str = "events") -> TypeFilter:
    """Return the filter a name stands for.

    Raises:
        InvalidInputError: The profile has no event of that name.
    """
    return TypeFilter(name, vocabulary.types_named(name, field), vocabulary.operations_named(name))


def _parse_table_type(item: str, field: str) -> TableFilter:
    actions = {"inserted": ("INSERT",), "updated": ("UPDATE",), "deleted": ("DELETE",), "*": OPERATIONS}
    _, *names, action = item.split(".")
    if len(names) not in {1, 2} or action not in actions:
        raise InvalidInputError(
            field,
            f"{field} is {item!r}; write table.<name>.inserted, .updated, .deleted or .*, with the schema before the "
            f'name outside public; for a name with dots write {{"schema": …, "table": …}}.{did_you_mean(action, actions)}',
        )
    schema = names[0] if len(names) == 2 else "public"
    return TableFilter(table=names[-1], schema=schema, operations=actions[action])


def _parse_table_filter(item: dict[str, Any], field: str) -> TableFilter:
    unknown = sorted(set(item) - {"table", "schema", "operations"})
    if unknown:
        raise InvalidInputError(f"{field}.{unknown[0]}", f"{field} has the unknown field {unknown[0]!r}.")
    table, schema = item.get("table"), item.get("schema")
    if not isinstance(table, str) or not table:
        raise InvalidInputError(f"{field}.table", f"{field}.table must be the name of a table.")
    if schema is not None and (not isinstance(schema, str) or not schema):
        raise InvalidInputError(f"{field}.schema", f"{field}.schema must be the name of a schema.")
    operations = item.get("operations", ["*"])
    if not isinstance(operations, list) or not operations:
        raise InvalidInputError(f"{field}.operations", f"{field}.operations must be a list with at least one entry.")
    wanted: set[str] = set()
    for operation in operations:
        name = operation.upper() if isinstance(operation, str) else ""
        if name not in {*OPERATIONS, "*"}:
            raise InvalidInputError(
                f"{field}.operations",
                f"{field}.operations has {operation!r}; write INSERT, UPDATE, DELETE or *."
                f"{did_you_mean(name, OPERATIONS) or ' TRUNCATE is not captured.'}",
            )
        wanted |= set(OPERATIONS) if name == "*" else {name}
    return TableFilter(table=table, schema=schema, operations=tuple(o for o in OPERATIONS if o in wanted))


def _parse_collection_filter(item: dict[str, Any], field: str, vocabulary: Vocabulary) -> CollectionFilter:
    unknown = sorted(set(item) - {"collection", "actions"})
    if unknown:
        raise InvalidInputError(f"{field}.{unknown[0]}", f"{field} has the unknown field {unknown[0]!r}.")
    collection, actions = item["collection"], item.get("actions", ["*"])
    if not isinstance(collection, str) or not collection:
        raise InvalidInputError(f"{field}.collection", f"{field}.collection must be the name of a collection.")
    if not isinstance(actions, list) or not actions:
        raise InvalidInputError(f"{field}.actions", f"{field}.actions must be a list with at least one entry.")
    for action in actions:
        if action not in {*CONTENT_ACTIONS, "*"}:
            near = did_you_mean(str(action), CONTENT_ACTIONS)
            known = ", ".join(CONTENT_ACTIONS)
            raise InvalidInputError(f"{field}.actions", f"{field}.actions has {action!r}; write {known} or *.{near}")
    return collection_filter(collection, actions, vocabulary)


def collection_filter(collection: str, actions: Sequence[str], vocabulary: Vocabulary = OPEN) -> CollectionFilter:
    """Return the filter of known actions on a collection's records."""
    wanted = tuple(name for name in CONTENT_ACTIONS if name in actions or "*" in actions)
    types = {type_ for name in wanted for type_ in vocabulary.told_as(CONTENT_ACTIONS[name])}
    return CollectionFilter(collection, wanted, tuple(sorted(types)))
