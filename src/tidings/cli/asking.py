"""Short work on the database, for commands that end: what PostgreSQL refuses or an outage breaks off is told in a sentence."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from tidings.core.errors import StartupError
from tidings.store.database import COLLISIONS, UNAVAILABLE, said
from tidings.store.outages import sentence

T = TypeVar("T")


def done(work: Coroutine[Any, Any, T]) -> T:
    """Do some work and return what came of it.

    Raises:
        StartupError: PostgreSQL did not let it be done; with the remedy.
    """
    try:
        return asyncio.run(work)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"The database role may not do this ({said(error)}). Run it as the role that owns schema tidings; "
            "`tidings grants` prints what each role needs."
        ) from error
    except COLLISIONS as error:
        raise StartupError(f"Somebody else holds what this needs ({said(error)}). Run it again in a moment.") from error
    except UNAVAILABLE as error:
        raise StartupError(f"PostgreSQL went away meanwhile. {sentence(error)} Run this again once it is back.") from error
