"""Publish inside your own transaction: the event is committed with your change, or not at all.

The event goes to the outbox of a Tidings in the same database, by the SQL function `tidings.publish`, on the connection you
have at hand: of asyncpg, of psycopg, or of SQLAlchemy with either. Nothing is sent before you commit, and nothing can be lost
after. The function is granted to nobody but its owner:

    grant usage on schema tidings to app; grant execute on function tidings.publish to app;
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from tidings.client.exchange import trace_of
from tidings.core.hops import hops_of

# One call of one function, in the placeholders of each driver. Data goes as text: an application may have a codec of its own
# for json, which would encode it once more.
_CALL = "select tidings.publish({0}::text, {1}::text::json, {2}::text, {3}::text, {4}::text)"
_NAMES = ("type", "data", "subject", "id", "group")
_ASYNCPG = _CALL.format("$1", "$2", "$3", "$4", "$5")
_PSYCOPG = _CALL.format("%s", "%s", "%s", "%s", "%s")
_SQLALCHEMY = (
    "select tidings.publish(cast(:type as text), cast(cast(:data as text) as json), cast(:subject as text), cast(:id as text), "
    "cast(:group as text))"
)

# Of a trace that the transaction says already nothing is taken away where the headers name none.
_CAUSE = (
    "select set_config('tidings.hops', {0}, true), "
    "set_config('tidings.traceparent', coalesce(nullif({1}, ''), current_setting('tidings.traceparent', true), ''), true)"
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def publish(
    connection: Any, type: str, data: Any, *, subject: str | None = None, id: str | None = None, group: str = "default"
) -> UUID:
    """Publish an event in the transaction of a connection.

    Args:
        connection: A psycopg `Connection`, or a SQLAlchemy `Connection` or `Session` on psycopg.
        type: A dotted name, such as `order.paid`.
        data: What JSON can say; decimals keep their digits, times become ISO 8601.
        subject: What it is about, for people and searches.
        id: Your own id of the fact. Publishing it again publishes nothing, and returns the first event's id.
        group: Whose event it is.

    Returns:
        The event's id.

    Raises:
        TypeError: It is no connection of these kinds; for asynchronous ones there is `publish_async`.
        The driver's own errors: The type is none, the group does not exist, or the id was published with other content.
            As after any error, the transaction can only be rolled back, to a savepoint or wholly.
    """
    values = (type, _encode(data).decode(), subject, id, group)
    match _kind_of(connection):
        case "psycopg":
            with connection.cursor(row_factory=_tuples()) as cursor:
                return _as_uuid(cursor.execute(_PSYCOPG, values).fetchone()[0])
        case "sqlalchemy":
            return _as_uuid(connection.execute(_text(), dict(zip(_NAMES, values, strict=True))).scalar_one())
        case _:
            raise _stranger(connection)


async def publish_async(
    connection: Any, type: str, data: Any, *, subject: str | None = None, id: str | None = None, group: str = "default"
) -> UUID:
    """Publish an event in the transaction of a connection, as `publish` does.

    Args:
        connection: An asyncpg connection, also from its pool; a psycopg `AsyncConnection`; or a SQLAlchemy `AsyncConnection` or
            `AsyncSession` on either.
    """
    values = (type, _encode(data).decode(), subject, id, group)
    match _kind_of(connection):
        case "asyncpg":
            return _as_uuid(await connection.fetchval(_ASYNCPG, *values))
        case "psycopg async":
            async with connection.cursor(row_factory=_tuples()) as cursor:
                return _as_uuid((await (await cursor.execute(_PSYCOPG, values)).fetchone())[0])
        case "sqlalchemy async":
            return _as_uuid((await connection.execute(_text(), dict(zip(_NAMES, values, strict=True)))).scalar_one())
        case _:
            raise _stranger(connection)


def within(connection: Any, headers: Mapping[str, str]) -> None:
    """Say that a delivery led to what this transaction does: its rows and events. So loops are found, and traces go on.

    Args:
        connection: As of `publish`, inside a transaction.
        headers: Of the delivery, as the receiver got them.
    """
    hops, trace = _cause_of(headers)
    match _kind_of(connection):
        case "psycopg":
            connection.execute(_CAUSE.format("%s", "%s"), (hops, trace))
        case "sqlalchemy":
            connection.execute(_text(_CAUSE.format(":hops", ":trace")), {"hops": hops, "trace": trace})
        case _:
            raise _stranger(connection)


async def within_async(connection: Any, headers: Mapping[str, str]) -> None:
    """Say that a delivery led to what this transaction does, as `within` does, on a connection that `publish_async` takes."""
    hops, trace = _cause_of(headers)
    match _kind_of(connection):
        case "asyncpg":
            await connection.execute(_CAUSE.format("$1", "$2::text"), hops, trace)
        case "psycopg async":
            await connection.execute(_CAUSE.format("%s", "%s"), (hops, trace))
        case "sqlalchemy async":
            await connection.execute(_text(_CAUSE.format(":hops", ":trace")), {"hops": hops, "trace": trace})
        case _:
            raise _stranger(connection)


def _cause_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return how many deliveries led to what headers came with, and its trace, as settings of a transaction."""
    handed_on = trace_of(headers)
    return str(hops_of(handed_on.get("baggage"))), handed_on.get("traceparent", "")


def _kind_of(connection: Any) -> str | None:
    """Tell a connection by the class it is of: importing the drivers would make all of them needed."""
    for base in type(connection).__mro__:
        library = base.__module__.partition(".")[0]
        is_async = base.__name__.startswith("Async")
        if library == "asyncpg":
            return "asyncpg"
        if library in {"psycopg", "sqlalchemy"}:
            return f"{library} async" if is_async else library
    return None


def _tuples() -> Any:
    from psycopg.rows import tuple_row

    return tuple_row


def _text(statement: str = _SQLALCHEMY) -> Any:
    from sqlalchemy import text

    return text(statement)


def _as_uuid(value: Any) -> UUID:
    return value if type(value) is UUID else UUID(str(value))


def _stranger(connection: Any) -> TypeError:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return TypeError(
        f"{kind} is not a connection this can publish on: publish takes psycopg's and SQLAlchemy's, publish_async asyncpg's, "
        "psycopg's AsyncConnection and SQLAlchemy's AsyncConnection and AsyncSession."
    )
