"""What has happened a moment ago, for pages that somebody looks at."""

from collections.abc import Sequence
from uuid import UUID

from tidings.operations.services import Services
from tidings.store import live
from tidings.store.live import Look, NewDelivery


async def look(services: Services, sessions: Sequence[UUID]) -> Look:
    """Return whether anything happened, and which of these sessions are not over."""
    async with services.wide.connection() as connection:
        return await live.look(connection, sessions, services.clock.now())


async def newest(services: Services, after: UUID, limit: int) -> list[NewDelivery]:
    """Return the newest deliveries after one, of all groups, newest first."""
    async with services.wide.connection() as connection:
        return await live.newest(connection, after, limit)
