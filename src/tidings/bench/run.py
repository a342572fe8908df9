"""Running the measurements and showing what came of them."""

import os
import platform
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tidings.bench.measures import FULL, MEASURES, QUICK, Figures, Plan
from tidings.bench.stage import staged
from tidings.core.errors import InvalidInputError

# What each figure should reach on a machine with two cores: (key, bound, is it a minimum).
GOALS: dict[str, tuple[float, bool]] = {
    "deliveries_per_s": (10_000, True),
    "latency_p50_ms": (8, False),
    "latency_p99_ms": (40, False),
    "capture_ratio": (0.6, True),
    "capture_vs_notify": (1.4, True),
    "hostile_p99_ratio": (2, False),
    "backlog_ratio": (0.8, True),
    "publish_per_s": (20_000, True),
    "capture_bulk_us": (15, False),
    "backfill_rows_per_s": (20_000, True),
    "cron_fired_s": (5, False),
    "late_jobs_p99_ratio": (3, False),
    "rss_mb": (200, False),
}


def run_bench(*, quick: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Measure and print: one JSON object, or a table.

    Raises:
        InvalidInputError: `only` names a measurement that does not exist.
    """
    unknown = sorted(set(only) - set(MEASURES))
    if unknown:
        raise InvalidInputError("only", f"There is no measurement {unknown[0]!r}; there are {', '.join(MEASURES)}.")
    names = [name for name in MEASURES if not only or name in only]
    figures = uvloop.run(_measure(names, QUICK if quick else FULL))
    if as_json:
        click.echo(msgspec.json.encode(_machine() | {"quick": quick} | figures))
    else:
        Console().print(_table(figures))


async def _measure(names: list[str], plan: Plan) -> Figures:
    figures: Figures = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("setting the stage", total=len(names))
        async with staged() as stage, stage.running("worker"):
            for name in names:
                progress.update(bar, description=name)
                figures |= await MEASURES[name](stage, plan)
                progress.advance(bar)
    return {key: round(value, 3) for key, value in figures.items()}


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def _table(figures: Figures) -> Table:
    table = Table("figure", "measured", "goal")
    for key, value in figures.items():
        bound, is_minimum = GOALS.get(key, (None, True))
        goal = "" if bound is None else f"{'at least' if is_minimum else 'at most'} {bound:,g}"
        table.add_row(key, f"{value:,.3g}" if value < 100 else f"{value:,.0f}", goal)
    return table
