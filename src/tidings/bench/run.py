"""Running the measurements and showing what came of them."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tidings.bench.curves import Curve, keep
from tidings.bench.growth import FULL_GROWTH, GROWTH_MEASURES, QUICK_GROWTH, GrowthPlan
from tidings.bench.measures import FULL, MEASURES, QUICK, Figures, Measure, Plan
from tidings.bench.stage import Stage, staged
from tidings.core.errors import InvalidInputError

# What each figure should reach on a machine with two cores: (key, bound, is it a minimum).
GOALS: dict[str, tuple[float, bool]] = {
    "yardstick_ratio": (0.75, True),
    "sender_ratio": (1, True),
    "postgres_us": (22, False),
    "wal_bytes": (1100, False),
    "latency_p50_ms": (8, False),
    "latency_p99_ms": (40, False),
    "capture_ratio": (0.6, True),
    "capture_vs_notify": (1.4, True),
    "hostile_p99_ratio": (2, False),
    "backlog_ratio": (0.8, True),
    "publish_per_s": (20_000, True),
    "publish_single_ratio": (0.5, True),
    "publish_latency_p50_ms": (3.75, False),
    "capture_bulk_us": (15, False),
    "backfill_rows_per_s": (20_000, True),
    "cron_fired_s": (5, False),
    "late_jobs_p99_ratio": (2, False),
    "portal_first_page_bytes": (120_000, False),
    "portal_worst_p95_ms": (100, False),
    "policies_ratio": (1.05, False),
    "listen_per_s": (300, True),
    "listen_added_p50_ms": (10, False),
    "fair_below_p99_ratio": (2, False),
    "fair_beyond_p99_ratio": (2, False),
    "fair_hanging_p99_ratio": (2, False),
    "rss_mb": (200, False),
    "fleet_source_postgres_us": (10, False),
    "fleet_home_postgres_us": (15, False),
    "fleet_process_ratio": (1.2, False),
    "fleet_homes_ratio": (1.1, False),
    "fleet_processes_ratio": (1.1, False),
    "fleet_latency_p50_ms": (8, False),
    "fleet_latency_p99_ms": (50, False),
    "fleet_takeover_relay_plain_s": (20, False),
    "fleet_takeover_process_plain_s": (20, False),
    "fleet_takeover_node_plain_s": (20, False),
    "fleet_takeover_relay_ordered_s": (20, False),
    "fleet_takeover_process_ordered_s": (20, False),
    "fleet_takeover_node_ordered_s": (20, False),
}


async def _fleet(stage: Stage, plan: Plan) -> Figures:
    from tidings.bench.fleet import FULL_FLEET, QUICK_FLEET, fleet  # with what only members of a fleet have installed

    return await fleet(stage, QUICK_FLEET if plan is QUICK else FULL_FLEET)


# Those that are made only when they are named: they need what nobody else does, and take minutes.
APART: dict[str, Measure] = {"fleet": _fleet}


def run_bench(*, quick: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Measure and print: one JSON object, or a table.

    Raises:
        InvalidInputError: `only` names a measurement that does not exist.
    """
    names = _chosen(only, MEASURES | APART if only else MEASURES)
    figures: Figures = {}
    try:
        uvloop.run(_measure(names, QUICK if quick else FULL, figures))
    except BaseException:  # minutes of measuring are not thrown away with what came of them
        if figures:
            click.echo(msgspec.json.encode(figures), err=True)
        raise
    if as_json:
        click.echo(msgspec.json.encode(_machine() | {"quick": quick} | figures))
    else:
        Console().print(_table(figures))


def run_growth(*, quick: bool, only: tuple[str, ...], as_json: bool, pictures: Path | None) -> None:
    """Measure how figures grow and print the curves: one JSON object, or tables.

    Args:
        pictures: The folder to keep figures and pictures in, each curve as soon as it is measured.

    Raises:
        InvalidInputError: `only` names a measurement that does not exist; or what is kept in the folder cannot be read.
    """
    names = _chosen(only, GROWTH_MEASURES)
    curves: dict[str, Curve] = {}

    def take(name: str, points: list[Figures]) -> None:
        curves[name] = Curve(**_machine(), quick=quick, points=[_rounded(point) for point in points])
        if pictures is not None:
            keep(pictures, {name: curves[name]})

    uvloop.run(_measure_growth(names, QUICK_GROWTH if quick else FULL_GROWTH, take))
    if as_json:
        click.echo(msgspec.json.encode(curves))
        return
    for name, curve in curves.items():
        Console().print(_curve_table(name, curve))


def _chosen(only: tuple[str, ...], measures: Iterable[str]) -> list[str]:
    """Return the names of the measurements to make, in the order they are made."""
    unknown = sorted(set(only) - set(measures))
    if unknown:
        raise InvalidInputError("only", f"There is no measurement {unknown[0]!r}; there are {', '.join(measures)}.")
    return [name for name in measures if not only or name in only]


async def _measure(names: list[str], plan: Plan, figures: Figures) -> None:
    with _progress(names) as steps:
        async with staged() as stage, stage.running("worker"):
            for name in steps:
                try:
                    figures |= _rounded(await (MEASURES | APART)[name](stage, plan))
                finally:
                    figures |= _rounded(stage.told)


def _rounded(figures: Figures) -> Figures:
    return {key: round(value, 3) for key, value in figures.items()}


async def _measure_growth(names: list[str], plan: GrowthPlan, take: Callable[[str, list[Figures]], None]) -> None:
    with _progress(names) as steps:
        async with staged() as stage:
            for name in steps:
                take(name, await GROWTH_MEASURES[name](stage, plan))


@contextmanager
def _progress(names: list[str]) -> Iterator[Iterator[str]]:
    """Lend the names one after the other, and show where we are."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("setting the stage", total=len(names))

        def steps() -> Iterator[str]:
            for name in names:
                progress.update(bar, description=name)
                yield name
                progress.advance(bar)

        yield steps()


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
        table.add_row(key, _shown(value), goal)
    return table


def _curve_table(name: str, curve: Curve) -> Table:
    """Return a table with a column for each point of a curve."""
    table = Table("figure", *("" for _ in curve.points), title=name)
    for key in curve.points[-1]:
        table.add_row(key, *(_shown(point[key]) if key in point else "" for point in curve.points))
    return table


def _shown(value: float) -> str:
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
