"""How the installation is: whether it is ready, and all that is wrong with it."""

import asyncio
import shutil
from collections.abc import Sequence
from functools import partial

from tidings.clock import machine_time
from tidings.core.diagnosis import TOGETHER, Examined, Problem, Way, cut_off, unready, unwell
from tidings.core.target import parse_target
from tidings.operations import fleet, rights
from tidings.operations.services import Services
from tidings.operations.sources import captures
from tidings.store import vitals
from tidings.store.database import UNAVAILABLE
from tidings.store.migrations import LAST
from tidings.store.outages import sentence
from tidings.store.request_role import NONE

LOOK_SECONDS = 3.0  # for an answer of the database
REACH_SECONDS = 5.0  # for a connection to a host that webhooks name
GROUPS, HOSTS = 1000, 5  # that are looked through for hosts, and hosts that are tried

_ALWAYS = (
    "database", "schema", "rights", "workers", "routing", "queue", "clock", "connections", "notifications", "partitions",
    "set_aside", "webhooks", "certificates", "tables", "backfills", "keys", "groups",
)  # fmt: skip


async def why_not_ready(services: Services) -> list[Problem]:
    """Return why nothing can be delivered now; nothing: all is well. Many may ask at once."""
    return await services.readiness.share(partial(look, services))


async def look(services: Services) -> list[Problem]:
    """Return why nothing can be delivered now, as one look at the database tells."""
    try:
        async with asyncio.timeout(LOOK_SECONDS), services.wide.connection() as connection:
            found = await vitals.read(connection, LAST, is_all=False)
    except UNAVAILABLE as error:
        return [Problem("database", sentence(error), is_fatal=True)]
    problems = unready(found, LAST)
    # It answers; but what was written just now may have been refused, because its disk is full for one.
    if not problems and (outage := services.wide.outages.current) is not None and not await _is_over(services):
        reason, seconds = outage
        problems = [Problem("database", f"{reason} So it has been for {seconds:.0f} s.", is_fatal=True)]
    return problems


async def _is_over(services: Services) -> bool:
    """Try whether the database can be written, and nobody fails meanwhile: who failed last may not have tried again yet."""
    outages = services.wide.outages
    failures = outages.failures
    return await vitals.can_write(services.wide, LOOK_SECONDS) and outages.failures == failures


async def examine(services: Services, *, is_outward: bool = False) -> Examined:
    """Return all that is wrong, what stops deliveries first.

    Args:
        is_outward: Open connections to some hosts that webhooks name too, for up to `REACH_SECONDS`. Nothing is sent.
    """
    problems = await look(services)
    if any(problem.name == "database" for problem in problems):
        return Examined(problems, ["database"])
    if any(problem.name == "schema" for problem in problems):
        return Examined(problems, ["database", "schema"])
    async with services.wide.snapshot() as connection:
        found = await vitals.read(connection, LAST, is_all=True)
        uncaptured = len(await captures.uncaptured(connection, are_elsewhere=services.are_tables_elsewhere))
        lacking = await rights.problems(connection)
        watched = await fleet.read_over(connection, services)
        urls = await vitals.urls(connection, GROUPS, HOSTS) if is_outward else []
    config = services.config
    disk_left = None if config.database_url else (await asyncio.to_thread(shutil.disk_usage, config.data_dir)).free
    problems += [TOGETHER] if config.request_role == NONE else []
    problems += lacking
    problems += unwell(found, machine_time=machine_time(), disk_left=disk_left, uncaptured=uncaptured)
    problems += [Problem(one.name, one.sentence) for one in watched.troubles] if watched else []
    looked_at = [*_ALWAYS, *(["fleet"] if watched else []), *([] if disk_left is None else ["embedded", "disk"])]
    if ways := await _ways(services, urls):
        problems += cut_off(ways)
        looked_at += ["dns", "egress"]
    return Examined(problems, looked_at)


async def _ways(services: Services, urls: Sequence[str]) -> list[Way]:
    """Return what comes of connecting to the hosts of these URLs, all at once."""
    hosts = dict(list({parse_target(url).host: url for url in urls}.items())[:HOSTS])
    reached = await asyncio.gather(*(services.sender.reach(parse_target(url), REACH_SECONDS) for url in hosts.values()))
    return [Way(host, one.failure, one.error) for host, one in zip(hosts, reached, strict=True)]
