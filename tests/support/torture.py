"""The suites that try to break Tidings: short in `make test`, long in `make torture`, which writes what they found to docs/reliability.md."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import msgspec

LONG = os.environ.get("TIDINGS_TORTURE") == "long"  # minutes instead of seconds
REPORTS = Path(__file__).parents[2] / "build" / "torture"


class Report(msgspec.Struct, frozen=True):
    """What one suite measured in its long form: (what, figure), as they stand in the table of docs/reliability.md."""

    suite: str
    at: str  # the day, YYYY-MM-DD
    machine: str
    figures: list[tuple[str, str]]


def told(suite: str, figures: dict[str, str | int | float]) -> None:
    """Keep the figures of a suite for docs/reliability.md. In the short form nothing is written: its figures are too small to be quoted."""
    if not LONG:
        return
    REPORTS.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    report = Report(
        suite, datetime.now(UTC).date().isoformat(), machine, [(what, _shown(figure)) for what, figure in figures.items()]
    )
    (REPORTS / f"{suite}.json").write_bytes(msgspec.json.encode(report))


def _shown(figure: str | int | float) -> str:
    match figure:
        case int():
            return f"{figure:,}"
        case float():
            return f"{figure:,.2f}"
        case _:
            return figure
