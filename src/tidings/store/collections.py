"""Collections as rows, and the tables they are."""

from datetime import datetime
from hashlib import md5
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.collection import COLUMN_TYPES, PASSWORD_COLUMN, Field, all_fields
from tidings.core.errors import BusyError, ConflictError, InvalidInputError
from tidings.core.grants import quoted
from tidings.store.database import Connection
from tidings.store.request_role import as_owner
from tidings.store.statements import load

_SQL = load("collections")

UNIQUE, RELATION = "u", "r"  # kinds of constraints, by which their names begin


class Collection(msgspec.Struct, frozen=True):
    """A collection, and where its table is.

    Attributes:
        fields: Its own, without those that every collection has.
        options: As its owner wrote them, `triggers` among them.
        fault: Why it is set aside: what cannot be read of it says nothing, and its records are left alone.
    """

    id: UUID
    group_id: str
    name: str
    type: str
    fields: tuple[Field, ...]
    options: dict[str, Any]
    author: str | None
    table_schema: str
    created_at: datetime
    updated_at: datetime
    fault: str | None = None

    @property
    def table(self) -> tuple[str, str]:
        """Schema and table."""
        return (self.table_schema, self.name)


def from_row(row: Any) -> Collection:
    """Read a row as far as it can be: one that was changed by hand stops nobody."""
    values = dict(row)
    fields: tuple[Field, ...] = ()
    options: dict[str, Any] = {}
    fault = None
    try:
        fields = msgspec.json.decode(row["fields"], type=tuple[Field, ...])
        options = msgspec.json.decode(row["options"], type=dict[str, Any])
        for field in fields:
            COLUMN_TYPES[field.type]
    except (msgspec.MsgspecError, ValueError, LookupError, RecursionError) as error:
        fault = (
            f"Set aside, since its fields or options cannot be read as they are stored ({error}). Restore both columns of its "
            "row in tidings.collections, or delete the collection."
        )
    return Collection(**values | {"fields": fields, "options": options}, fault=fault)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def get(connection: Connection, group_id: str, name: str) -> Collection | None:
    """Return a collection of the group."""
    row = await connection.fetchrow(_SQL["get"], group_id, name)
    return None if row is None else from_row(row)


async def lock(connection: Connection, group_id: str, name: str) -> Collection | None:
    """Return a collection of the group, locked to the end of the transaction, which waits no longer than 2 s for any lock.

    Raises:
        BusyError: Somebody else is changing it.
    """
    await connection.execute(_SQL["set_lock_timeout"])
    try:
        row = await connection.fetchrow(_SQL["lock"], group_id, name)
    except asyncpg.LockNotAvailableError as error:
        raise _busy() from error
    return None if row is None else from_row(row)


async def list_collections(connection: Connection, group_id: str, *, limit: int, offset: int) -> list[Collection]:
    """Return a page of the group's collections, in order of their names."""
    return [from_row(row) for row in await connection.fetch(_SQL["list"], group_id, limit, offset)]


async def names(connection: Connection, group_id: str, limit: int, *, after: str = "") -> list[str]:
    """Return the names of the group's collections in their order, so many at most; only those behind this one."""
    return [row["name"] for row in await connection.fetch(_SQL["names"], group_id, limit, after)]


async def insert(connection: Connection, made: Collection) -> None:
    """Write a new collection and make its table.

    Raises:
        ConflictError: The name is taken, or the schema is somebody else's.
        InvalidInputError: A relation refers to a collection that does not exist, or our role may not make tables.
    """
    try:
        await connection.execute(
            _SQL["insert"],
            made.id,
            made.group_id,
            made.name,
            made.type,
            _json(made.fields),
            _json(made.options),
            made.author,
            made.table_schema,
            made.created_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(
            f"There is a collection {made.name!r} already. Change it with PATCH, or choose another name."
        ) from error
    if (lacking := await connection.fetchrow(_SQL["missing_schema_right"], made.table_schema)) is not None:
        raise InvalidInputError(
            "name",
            "Collections have a schema for each group, and the role that owns schema tidings may make none. As "
            f"{lacking['owner']}, or as an administrator, run: {lacking['statement']}",
        )
    await _change(connection, "create_schema", made.table_schema, "")
    if (stranger := await connection.fetchval(_SQL["foreign_schema"], made.table_schema)) is not None:
        raise ConflictError(
            f"Schema {made.table_schema} is there already and belongs to {stranger}, who could put another table in the place "
            f"of this one. As an administrator, drop it, or have it belong to whoever owns schema tidings: "
            f"ALTER SCHEMA {quoted(made.table_schema)} OWNER TO …;"
        )
    columns = [*all_fields(made.fields), *([PASSWORD_COLUMN] if made.type == "auth" else [])]
    await _change(
        connection,
        "create_table",
        *made.table,
        [column.name for column in columns],
        [column.column_type for column in columns],
        [column.required for column in columns],
    )
    for field in made.fields:
        await _constrain(connection, made, field)
    await _change(connection, "create_due_index", *made.table)
    await _change(connection, "create_trigger", *made.table, str(made.id), made.name, made.group_id)
    asking = await connection.fetchval(_SQL["who_asks"])
    if asking != "none":
        await _change(connection, "open_table", *made.table, made.group_id, asking)


async def update(connection: Connection, changed: Collection) -> None:
    """Write what changed of a collection; its table is changed by the functions below."""
    await connection.execute(
        _SQL["update"], changed.id, _json(changed.fields), _json(changed.options), changed.author, changed.updated_at
    )


async def let_go(connection: Connection, collection: Collection) -> None:
    """Have the other collections of its group, which go too, no longer refer to a collection.

    Raises:
        BusyError: Somebody else is using one of them.
    """
    for schema, table, name in await connection.fetch(_SQL["referring"], *collection.table, collection.group_id):
        await _change(connection, "drop_constraint", schema, table, name)


async def delete(connection: Connection, collection: Collection) -> None:
    """Delete a collection, with its table and all that is in it.

    Raises:
        ConflictError: Another collection refers to it.
    """
    await connection.execute(_SQL["delete"], collection.id)
    await _change(connection, "drop_table", *collection.table)


# Columns ---------------------------------------------------------------------------------------------------------------


async def count_values(connection: Connection, collection: Collection, column: str) -> int:
    """Return how many records have a value in a column."""
    count: int = await connection.fetchval(await connection.fetchval(_SQL["count_values"], *collection.table, column))
    return count


async def add_column(connection: Connection, collection: Collection, field: Field) -> None:
    """Add a field's column.

    Raises:
        InvalidInputError: It is required, and there are records that would not have it.
    """
    await _change(connection, "add_column", *collection.table, field.name, field.column_type)
    await constrain_column(connection, collection, None, field)


async def drop_column(connection: Connection, collection: Collection, column: str) -> None:
    """Drop a column, with all that is in it."""
    await _change(connection, "drop_column", *collection.table, column)


async def rename_column(connection: Connection, collection: Collection, old: str, new: str) -> None:
    """Give a column another name."""
    await _change(connection, "rename_column", *collection.table, old, new)


async def retype_column(connection: Connection, collection: Collection, field: Field) -> None:
    """Give a column a field's type.

    Raises:
        InvalidInputError: Some value cannot be of that type.
    """
    try:
        await _change(connection, "retype_column", *collection.table, field.name, field.column_type)
    except (asyncpg.DataError, asyncpg.CannotCoerceError) as error:
        raise InvalidInputError(
            f"schema.{field.name}", f"{field.name} cannot become {field.type}: {error}. Correct these records first."
        ) from error


async def constrain_column(connection: Connection, collection: Collection, old: Field | None, new: Field) -> None:
    """Make a column required, unique and related as its field says.

    Raises:
        InvalidInputError: The records there are do not allow it.
    """
    table = collection.table
    if old is not None and old.required != new.required and not new.required:
        await _change(connection, "require_column", *table, new.name, False)
    if new.required and (old is None or not old.required):
        try:
            await _change(connection, "require_column", *table, new.name, True)
        except asyncpg.NotNullViolationError as error:
            raise InvalidInputError(
                f"schema.{new.name}",
                f"{new.name} cannot be required while there are records without it. Fill it in them first, then require it.",
            ) from error
    if old is not None and old.unique and not new.unique:
        await _change(connection, "drop_unique", *table, old.name)
    if old is not None and old.collection is not None and (old.collection, old.required) != (new.collection, new.required):
        await _change(connection, "drop_relation", *table, old.name)
        old = msgspec.structs.replace(old, collection=None)
    unchanged = old is not None and (old.unique, old.collection) == (new.unique, new.collection)
    if not unchanged:
        gained = msgspec.structs.replace(
            new,
            unique=new.unique and not (old is not None and old.unique),
            collection=new.collection if old is None or old.collection is None else None,
        )
        await _constrain(connection, collection, gained)


def constraint_name(kind: str, table: str, column: str) -> str:
    """Return the name of what keeps a column `UNIQUE` or a `RELATION`, as `collections.sql` gives it."""
    return f"{kind}_{md5(f'{table}.{column}'.encode(), usedforsecurity=False).hexdigest()}"


async def _constrain(connection: Connection, collection: Collection, field: Field) -> None:
    if field.unique:
        try:
            await _change(connection, "add_unique", *collection.table, field.name)
        except asyncpg.UniqueViolationError as error:
            raise InvalidInputError(
                f"schema.{field.name}", f"{field.name} cannot be unique: {error.detail} Correct these records first."
            ) from error
    if field.collection is not None:
        try:
            await _change(connection, "add_relation", *collection.table, field.name, field.collection, field.required)
        except asyncpg.UndefinedTableError as error:
            raise InvalidInputError(
                f"schema.{field.name}", f"{field.name} refers to {field.collection!r}, which is no collection. Make it first."
            ) from error
        except asyncpg.ForeignKeyViolationError as error:
            raise InvalidInputError(
                f"schema.{field.name}", f"{field.name} cannot refer to {field.collection!r}: {error.detail}"
            ) from error


async def _change(connection: Connection, what: str, schema: str, table: str, *args: Any) -> None:
    """Change a table as its owner, which is who owns our schema (migration 0049)."""
    try:
        async with as_owner(connection):
            await connection.execute(_SQL["change"], what, schema, table, _json(args))
    except asyncpg.LockNotAvailableError as error:
        raise _busy() from error
    except asyncpg.DependentObjectsStillExistError as error:
        raise ConflictError(f"Something else depends on it: {error.detail} Change or delete that first.") from error
    except asyncpg.DuplicateColumnError as error:
        raise ConflictError(f"{error}. A name is free once the field that has it is gone: do it in two steps.") from error
    except asyncpg.DuplicateTableError as error:
        raise ConflictError("There is a table of that name in the group's schema already. Choose another name.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise InvalidInputError(
            "name",
            f"The role of PostgreSQL that owns schema tidings may not do that ({error}). Collections have a schema for "
            f"each group: "
            "grant that role CREATE on the database (`tidings grants` prints the statement).",
        ) from error


def _busy() -> BusyError:
    return BusyError("The collection is locked by another transaction, and waiting for it would hold up others. Try again.")


# Publishing ------------------------------------------------------------------------------------------------------------


async def announce_due(connection: Connection, now: datetime) -> int:
    """Mark the records whose time to be published has come; return how many these were."""
    marked: int = await connection.fetchval(_SQL["announce_due"], now)
    return marked
