"""Collections and their records: tables that Tidings makes, so that content events are captured rows like any others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tidings.clock import Clock
from tidings.core.collection import (
    ARCHIVED,
    CREATED,
    ID,
    KINDS,
    PASSWORD,
    PASSWORD_HASH,
    STANDING,
    UPDATED,
    Field,
    Record,
    all_fields,
    check_name,
    check_record,
    parse_fields,
    schema_of,
)
from tidings.core.errors import ConflictError, InvalidInputError, InvalidRecordError, NotFoundError, ValuesLostError
from tidings.sources.publish import new_event, new_id
from tidings.store import collections, outbox, records
from tidings.store.collections import Collection
from tidings.store.database import Connection

MAX_BULK = 1000

# What a column's values survive: by way of text, everything that text can say.
_LOSSLESS = {("date", "timestamptz"), *(("text", other) for other in ("numeric", "boolean", "json", "timestamptz"))}

Hashes = Mapping[int, str]  # of passwords, by the position of their records
NO_HASHES: Hashes = {}


async def found(connection: Connection, group_id: str, name: str) -> Collection:
    """Return a collection.

    Raises:
        ConflictError: It is set aside, since it cannot be read.
        NotFoundError: There is none of that name.
    """
    return _readable(_there(await collections.get(connection, group_id, name), name))


def _there(collection: Collection | None, name: str) -> Collection:
    if collection is None:
        raise NotFoundError(f"There is no collection {name!r}. Create the collection first.")
    return collection


def _readable(collection: Collection) -> Collection:
    if collection.fault is not None:
        raise ConflictError(collection.fault)
    return collection


async def create(
    connection: Connection,
    clock: Clock,
    group_id: str,
    *,
    name: str,
    kind: str,
    fields: Sequence[Any],
    options: dict[str, Any],
    author: str | None,
) -> Collection:
    """Make a collection with its table, in the caller's transaction.

    Raises:
        ConflictError: The name is taken.
        InvalidInputError: With the field at fault.
    """
    check_name(name, "name")
    if kind not in KINDS:
        raise InvalidInputError("type", f"type is {kind!r}; write {' or '.join(KINDS)}.")
    now = clock.now()
    made = Collection(
        id=new_id(now),
        group_id=group_id,
        name=name,
        type=kind,
        fields=parse_fields(fields, kind),
        options=options,
        author=author,
        table_schema=schema_of(group_id),
        created_at=now,
        updated_at=now,
    )
    await collections.insert(connection, made)
    await _tell(connection, made, "created", now)
    return made


async def change(
    connection: Connection,
    clock: Clock,
    group_id: str,
    name: str,
    *,
    fields: Sequence[Any] | None,
    options: dict[str, Any] | None,
    drop: Sequence[str],
) -> Collection:
    """Change a collection and its table, in the caller's transaction.

    Args:
        fields: All it is to have; None: those it has. A field with `was` is that one under another name.
        drop: Names of fields whose values may be lost.

    Raises:
        ConflictError: Something depends on what would go.
        InvalidInputError: With the field at fault; values would be lost.
        NotFoundError: There is none of that name.
    """
    old = _readable(_there(await collections.lock(connection, group_id, name), name))
    new = msgspec.structs.replace(old, updated_at=clock.now(), options=old.options if options is None else options)
    if fields is not None:
        new = msgspec.structs.replace(new, fields=parse_fields(fields, old.type))
        await _alter(connection, old, new.fields, _renamed(old, fields), frozenset(drop))
    await collections.update(connection, new)
    await _tell(connection, new, "updated", new.updated_at)
    return new


def _renamed(old: Collection, items: Sequence[Any]) -> dict[str, str]:
    """Return the new name of each old field that gets one. What every collection has keeps its name."""
    standing = {field.name for field in STANDING}
    names = {field.name for field in old.fields} - standing
    renamed = {}
    for position, item in enumerate(items):
        if isinstance(item, dict) and (was := item.get("was")) not in {None, item.get("name")}:
            if was not in names or item["name"] in standing:
                raise InvalidInputError(
                    f"schema[{position}].was",
                    f"schema[{position}].was is {was!r}; of the fields only {', '.join(sorted(names))} can be renamed.",
                )
            renamed[was] = item["name"]
    return renamed


async def _alter(
    connection: Connection, old: Collection, fields: Sequence[Field], renamed: Mapping[str, str], may_go: frozenset[str]
) -> None:
    """Make the table's columns those of the new fields. The standing ones are there whether declared or not."""
    before = {}
    for field in all_fields(old.fields):
        name = renamed.get(field.name, field.name)
        before[name] = msgspec.structs.replace(field, name=name)
        if name != field.name:
            await _unbind(connection, old, field)
            await collections.rename_column(connection, old, field.name, name)
            await collections.constrain_column(
                connection, old, msgspec.structs.replace(before[name], unique=False, collection=None), before[name]
            )
    after = {field.name: field for field in all_fields(fields)}
    for name in before:
        if name not in after:
            if name not in may_go:
                remedy = f'To let them go name {name} in drop; if it has another name now, say {{"was": "{name}"}} in it.'
                await _refuse_loss(connection, old, name, "go with it", remedy, is_allowed=True)
            await collections.drop_column(connection, old, name)
    for name, field in after.items():
        if name not in before:
            await collections.add_column(connection, old, field)
            continue
        types = (before[name].column_type, field.column_type)
        if types[0] != types[1]:
            if types not in _LOSSLESS and types[1] != "text":
                remedy = "Add a field of the new type beside it, or empty it first."
                await _refuse_loss(connection, old, name, f"not survive as {field.type}", remedy)
            await collections.retype_column(connection, old, field)
        if name != ARCHIVED:  # never null, whatever is said of it
            await collections.constrain_column(connection, old, before[name], field)


async def _unbind(connection: Connection, collection: Collection, field: Field) -> None:
    """Take away what is named after a column, before it gets another name."""
    bare = msgspec.structs.replace(field, unique=False, collection=None)
    await collections.constrain_column(connection, collection, field, bare)


async def _refuse_loss(
    connection: Connection, collection: Collection, name: str, what: str, remedy: str, *, is_allowed: bool = False
) -> None:
    """Refuse a change when records have values that would be lost by it."""
    count = await collections.count_values(connection, collection, name)
    if count:
        held = "1 record has a value" if count == 1 else f"{count} records have a value"
        raise ValuesLostError(name, f"{held} in {name!r}, which would {what}.", remedy, is_allowed=is_allowed)


async def remove(connection: Connection, clock: Clock, group_id: str, name: str) -> Collection:
    """Delete a collection with all its records, in the caller's transaction. The records are not told one by one.

    Raises:
        ConflictError: Another collection refers to it.
        NotFoundError: There is none of that name.
    """
    old = _there(await collections.lock(connection, group_id, name), name)
    await collections.delete(connection, old)
    await _tell(connection, old, "deleted", clock.now())
    return old


def document(collection: Collection) -> dict[str, Any]:
    """Return a collection as its events show it: without its options, where there may be tokens for receivers."""
    return {
        "id": str(collection.id),
        "name": collection.name,
        "type": collection.type,
        "schema": msgspec.to_builtins(collection.fields),
        "author": collection.author,
        "created": collection.created_at,
        "updated": collection.updated_at,
    }


async def _tell(connection: Connection, collection: Collection, action: str, now: datetime) -> None:
    event = new_event(
        collection.group_id,
        "collections",
        f"collection.{action}",
        msgspec.json.encode(document(collection)).decode(),
        now,
        subject=str(collection.id),
        table_schema=collection.table_schema,
        table_name=collection.name,
    )
    await outbox.publish(connection, [event])


# Records ---------------------------------------------------------------------------------------------------------------


async def create_records(
    connection: Connection, clock: Clock, collection: Collection, items: Sequence[Record], hashes: Hashes = NO_HASHES
) -> list[str]:
    """Write records, in the caller's transaction, and return them as JSON text.

    Args:
        hashes: Of the passwords among the items, by position.

    Raises:
        ConflictError: One with that id, or that value of a unique field, is there already.
        InvalidRecordError: Of each field that does not fit, why.
    """
    now = msgspec.json.encode(clock.now())
    drafts = []
    for values in _with_hashes(checked(collection, items, is_new=True), hashes):
        standing = {ID: msgspec.json.encode(str(new_id(clock.now()))), ARCHIVED: b"false"}
        drafts.append(standing | values | {CREATED: now, UPDATED: now})
    ids = [msgspec.json.decode(draft[ID]) for draft in drafts]
    made = await records.insert(connection, collection, _columns(drafts), _as_array(drafts))
    return [made[record_id] for record_id in ids]


async def change_records(
    connection: Connection, clock: Clock, collection: Collection, items: Sequence[Record], hashes: Hashes = NO_HASHES
) -> list[str]:
    """Change records, each by its id, in the caller's transaction, and return them as JSON text.

    Args:
        hashes: Of the passwords among the items, by position.

    Raises:
        ConflictError: A record with that value of a unique field is there already.
        InvalidRecordError: Of each field that does not fit, why.
        NotFoundError: One is not there; then none is changed.
    """
    now = msgspec.json.encode(clock.now())
    drafts = [values | {UPDATED: now} for values in _with_hashes(checked(collection, items, is_new=False), hashes)]
    if (lacking := next((position for position, draft in enumerate(drafts) if ID not in draft), None)) is not None:
        raise InvalidRecordError({f"[{lacking}].id": f"[{lacking}].id is required: which record to change."})
    ids = [msgspec.json.decode(draft[ID]) for draft in drafts]
    if len(set(ids)) < len(ids):
        raise InvalidRecordError({"id": "id: a record is named twice; change it once."})
    made = await records.update(connection, collection, [c for c in _columns(drafts) if c != ID], _as_array(drafts))
    _check_there(ids, set(made), collection)
    return [made[record_id] for record_id in ids]


async def delete_records(connection: Connection, collection: Collection, ids: Sequence[str]) -> None:
    """Delete records, in the caller's transaction.

    Raises:
        ConflictError: Another record cannot be without one of them.
        NotFoundError: One is not there; then none is deleted.
    """
    _check_count(ids)
    _check_there(ids, await records.delete(connection, collection, ids), collection)


def _check_count(items: Sequence[Any]) -> None:
    if not 1 <= len(items) <= MAX_BULK:
        raise InvalidInputError("body", f"body has {len(items)} records; write 1 to {MAX_BULK} at once.")


def _check_there(ids: Sequence[str], there: set[str], collection: Collection) -> None:
    if missing := next((record_id for record_id in ids if record_id not in there), None):
        raise NotFoundError(f"There is no record {missing!r} in {collection.name}.")


def checked(collection: Collection, items: Sequence[Record], *, is_new: bool) -> list[dict[str, bytes]]:
    """Return every record as it is to be stored, but for its password, which is to be hashed; writes nothing.

    Raises:
        InvalidInputError: They are too many.
        InvalidRecordError: Of each field that does not fit, why; when several are given, it names which.
    """
    _check_count(items)
    fit: list[dict[str, bytes]] = []
    problems: dict[str, str] = {}
    for position, item in enumerate(items):
        try:
            values = check_record(collection.fields, item, kind=collection.type, is_new=is_new)
        except InvalidRecordError as error:
            place = f"[{position}]." if len(items) > 1 else ""
            problems |= {f"{place}{name}": f"{place}{said}" for name, said in error.details["fields"].items()}
            continue
        fit.append(values)
    if problems:
        raise InvalidRecordError(problems)
    return fit


def _with_hashes(records_: list[dict[str, bytes]], hashes: Hashes) -> list[dict[str, bytes]]:
    for position, values in enumerate(records_):
        if values.pop(PASSWORD, None) is not None:
            values[PASSWORD_HASH] = msgspec.json.encode(hashes[position])
    return records_


def _columns(drafts: Sequence[Mapping[str, bytes]]) -> list[str]:
    return list(dict.fromkeys(name for draft in drafts for name in draft))


def _as_array(drafts: Sequence[Mapping[str, bytes]]) -> bytes:
    return msgspec.json.encode([{name: msgspec.Raw(value) for name, value in draft.items()} for draft in drafts])
