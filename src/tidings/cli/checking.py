"""`tidings check`: what is wrong, in sentences."""

import asyncio

import click
import msgspec

from tidings.app import opened
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.core.diagnosis import Problem
from tidings.core.errors import StartupError
from tidings.operations import diagnosis


def run_check(config: Config, *, as_json: bool) -> int:
    """Tell what is wrong, each with its remedy, and return the exit code: 0 when nothing is, else 1."""
    set_up_logs(config.log_format, "critical")
    problems = asyncio.run(_check(config))
    if as_json:
        click.echo(msgspec.json.encode({"problems": problems}))
    else:
        click.echo("\n".join(f"{problem.name}: {problem.sentence}" for problem in problems) or "All is well.")
    return 1 if problems else 0


async def _check(config: Config) -> list[Problem]:
    try:
        async with opened(config, is_to_change=False) as services:
            return await diagnosis.examine(services)
    except StartupError as error:
        return [Problem("start", error.message, is_fatal=True)]
