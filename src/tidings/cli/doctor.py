"""`tidings doctor` beside the database: what is wrong with the installation, in sentences."""

import asyncio
from pathlib import Path

from tidings.app import opened
from tidings.cli.here import why_none
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.core.diagnosis import Examined, Problem
from tidings.core.errors import StartupError
from tidings.operations import diagnosis
from tidings.store.embedded import Embedded


def examine_here(config: Config) -> Examined:
    """Return what is wrong with the installation of these settings. Nothing is changed, made or started."""
    set_up_logs(config.log_format, "critical")
    if config.database_url is None and (missing := _missing(config.data_dir)) is not None:
        return Examined([missing], ["embedded"])
    return asyncio.run(_examine(config))


def _missing(data_dir: Path) -> Problem | None:
    if (why := why_none(data_dir)) is not None:
        remedy = "Set it, name the folder with --data-dir, or ask a server: tidings doctor --server URL."
        return Problem("embedded", f"{why} {remedy}", is_fatal=True)
    embedded = Embedded(data_dir)
    if embedded.get_pid() is None:
        return Problem(
            "embedded", f"The embedded PostgreSQL in {embedded.pgdata} is not running. Start tidings serve.", is_fatal=True
        )
    return None


async def _examine(config: Config) -> Examined:
    try:
        async with opened(config, is_to_change=False) as services:
            return await diagnosis.examine(services, is_outward=True)
    except StartupError as error:
        return Examined([Problem("start", error.message, is_fatal=True)], ["database", "schema"])
