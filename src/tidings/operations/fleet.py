"""How the fleet is that this installation is a home of: what waits for it in the stream and at sources, since when, and why."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidings.core.moves import troubles_of
from tidings.core.pressure import Seen, Trouble, troubles
from tidings.operations.services import Services
from tidings.store import fleet, moving, placing
from tidings.store.database import Connection

STALE: Final = timedelta(seconds=60)  # somebody looks every five seconds
MAX_MOVES: Final = 1000  # that were broken off, and are counted


class Watched(msgspec.Struct, frozen=True):
    """What was seen last, and what somebody should see to. `is_stale`: nobody has looked for a while."""

    seen: Seen
    troubles: list[Trouble]
    is_stale: bool = False


async def read(services: Services) -> Watched | None:
    """Return how the fleet is; None: this installation is no home of one."""
    async with services.wide.connection() as connection:
        return await read_over(connection, services)


async def read_over(connection: Connection, services: Services) -> Watched | None:
    """As `read`, over a connection with the owner's rights."""
    seen, now, home = await fleet.seen(connection), services.clock.now(), services.config.home
    moves = [] if home is None else await _moves(connection, home, now)
    if seen is not None and now - seen.at <= STALE:
        return Watched(seen, [*troubles(seen), *moves])
    if home is None:
        return None  # it was one once, or never
    last = "" if seen is None else f" since {seen.at:%Y-%m-%d %H:%M} UTC"
    said = (
        f"No worker of this home has looked at the stream{last}: nothing that comes is landed. Start serve or worker with "
        "TIDINGS_STREAM and TIDINGS_HOME."
    )
    return Watched(Seen(now, []) if seen is None else seen, [Trouble("home_silent", home, said), *moves], is_stale=True)


async def _moves(connection: Connection, home: str, now: datetime) -> list[Trouble]:
    """Return what is to be said of moves that were broken off: a group that is only parked is told where it lives."""
    known = await placing.get(connection)
    found = [
        one
        for one in await moving.unfinished(connection, MAX_MOVES)
        if one.home is not None or (known is not None and known.placing.fleet.home_of(one.group_id) == home)
    ]
    return troubles_of(found, home, now)
