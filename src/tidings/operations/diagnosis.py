"""How the installation is: whether it is ready, and all that is wrong with it."""

import asyncio
import shutil
from functools import partial

from tidings.clock import machine_time
from tidings.core.diagnosis import Problem, unready, unwell
from tidings.operations.services import Services
from tidings.operations.sources import captures
from tidings.store import vitals
from tidings.store.database import UNAVAILABLE
from tidings.store.migrations import LAST
from tidings.store.outages import sentence

LOOK_SECONDS = 3.0  # for an answer of the database


async def why_not_ready(services: Services) -> list[Problem]:
    """Return why nothing can be delivered now; nothing: all is well. Many may ask at once."""
    return await services.readiness.share(partial(look, services))


async def look(services: Services) -> list[Problem]:
    """Return why nothing can be delivered now, as one look at the database tells."""
    try:
        async with asyncio.timeout(LOOK_SECONDS), services.database.connection() as connection:
            found = await vitals.read(connection, LAST, is_all=False)
    except UNAVAILABLE as error:
        return [Problem("database", sentence(error), is_fatal=True)]
    problems = unready(found, LAST)
    # It answers; but what was written just now may have been refused, because its disk is full for one.
    if not problems and (outage := services.database.outages.current) is not None and not await _is_over(services):
        reason, seconds = outage
        problems = [Problem("database", f"{reason} So it has been for {seconds:.0f} s.", is_fatal=True)]
    return problems


async def _is_over(services: Services) -> bool:
    """Try whether the database can be written, and nobody fails meanwhile: who failed last may not have tried again yet."""
    outages = services.database.outages
    failures = outages.failures
    return await vitals.can_write(services.database, LOOK_SECONDS) and outages.failures == failures


async def examine(services: Services) -> list[Problem]:
    """Return all that is wrong, what stops deliveries first."""
    problems = await look(services)
    if any(problem.name in {"database", "schema"} for problem in problems):
        return problems
    async with services.database.snapshot() as connection:
        found = await vitals.read(connection, LAST, is_all=True)
        uncaptured = len(await captures.uncaptured(connection))
    config = services.config
    disk_left = None if config.database_url else (await asyncio.to_thread(shutil.disk_usage, config.data_dir)).free
    return problems + unwell(found, machine_time=machine_time(), disk_left=disk_left, uncaptured=uncaptured)
