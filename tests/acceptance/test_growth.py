"""The measurements that fill in by SQL, in small: they run, and what they fill in is what the engine works with."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tidings.bench.curves import FILE
from tidings.bench.growth import GROWTH_MEASURES, GrowthPlan
from tidings.bench.history import past_of
from tidings.bench.portal import browsing
from tidings.bench.stage import Stage, staged
from tidings.cli.main import cli

PLAN = GrowthPlan(
    webhooks=(64, 300), stored=(300, 600), workers=(2,), rates=(50,), payloads=(300,), probes=2, backlog=500, runs=1, seconds=2
)
FIGURES = {
    "webhooks": {
        "webhooks",
        "create_p50_ms",
        "first_delivery_p95_ms",
        "start_s",
        "rss_mb",
        "deliveries_per_s",
        "webhook_disk_bytes",
    },
    "stored": {"stored", "deliveries_per_s", "latency_p50_ms", "latency_p99_ms"},
    "workers": {"workers", "deliveries_per_s", "engine_us", "postgres_us", "wal_bytes"},
    "rate": {"per_s", "engine_cores", "postgres_cores"},
    "payload": {"payload_bytes", "storage_bytes", "statistics_row_bytes", "wal_bytes"},
}


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.mark.parametrize("name", GROWTH_MEASURES)
async def test_every_curve_has_its_points_and_every_point_its_figures(stage: Stage, name: str) -> None:
    points = await GROWTH_MEASURES[name](stage, PLAN)
    assert [point for point in points if not FIGURES[name] <= set(point)] == []
    assert all(math.isfinite(value) for point in points for value in point.values())
    if name in {"webhooks", "stored", "workers"}:
        assert [point[name] for point in points] == list(getattr(PLAN, name))


def test_pictures_are_drawn_again_from_the_figures_that_are_kept(tmp_path: Path) -> None:
    kept = {"workers": {"date": "2026-11-21", "cores": 2, "machine": "x86_64", "python": "3.11", "quick": True,
                        "points": [{"workers": 1, "deliveries_per_s": 9000}]}}  # fmt: skip
    (tmp_path / FILE).write_bytes(msgspec.json.encode(kept))
    assert CliRunner().invoke(cli, ["bench", "--pictures", str(tmp_path)]).exit_code == 0
    assert [path.name for path in tmp_path.glob("*.svg")] == ["growth-workers-deliveries.svg"]


def test_what_cannot_be_measured_or_drawn_is_told_in_a_sentence(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(cli, ["bench", "--growth", "--only", "rss"])
    assert (unknown.exit_code, unknown.output.split(";")[0]) == (1, "tidings: There is no measurement 'rss'")
    missing = CliRunner().invoke(cli, ["bench", "--pictures", str(tmp_path)])
    assert (missing.exit_code, "Measure first" in missing.output) == (1, True)


async def test_every_page_of_the_portal_is_measured_beside_a_history(stage: Stage) -> None:
    """The last one: what it fills in stays for whoever asks next."""
    past = await past_of(stage, deliveries=3000, waiting=200)
    assert await past_of(stage, deliveries=1, waiting=1) is past
    figures = await browsing(past, 1)
    assert 10_000 < figures["portal_first_page_bytes"] < 120_000
    assert {"portal_overview_p50_ms", "portal_list_failed_p95_ms", "portal_look_record_p95_ms"} <= set(figures)
    assert max(figures[name] for name in figures if name.endswith("_ms")) == figures["portal_worst_p95_ms"]
