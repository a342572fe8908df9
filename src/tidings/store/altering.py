"""Statements that alter a table of the user's, and what can come of them."""

import asyncpg

from tidings.core.capture import TableName
from tidings.core.errors import BusyError, InvalidInputError
from tidings.store.database import UNAVAILABLE, Connection


async def run_on(connection: Connection, statement: str, table: TableName) -> None:
    """Run one statement that PostgreSQL has formatted; prepared, so that it can be no more than one."""
    shown = ".".join(table)
    try:
        await (await connection.prepare(statement)).fetch()
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise BusyError(
            f"Table {shown} is locked by another transaction, and waiting for it would hold up its writers. Try again."
        ) from error
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise InvalidInputError("events", f"Table {shown} has just been dropped.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise InvalidInputError(
            "events",
            f"The database role may not change the triggers of {shown} ({error}). `tidings grants` prints what it needs.",
        ) from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.InvalidTextRepresentationError, asyncpg.FeatureNotSupportedError) as error:
        raise InvalidInputError("when", f"A condition on {shown} cannot be used: {error}.") from error
    except UNAVAILABLE:
        raise
    except asyncpg.PostgresError as error:  # of this table's own; the others go on
        raise InvalidInputError("events", f"PostgreSQL refuses a trigger on {shown}: {error}.") from error
