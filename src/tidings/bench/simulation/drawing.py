"""What a run found, as pictures and as a file beside them."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from tidings.bench.pictures import Picture, Series, draw
from tidings.bench.simulation.figures import LEAST, WINDOW, Times
from tidings.bench.simulation.run import Found, Run
from tidings.bench.simulation.world import Kind, Plan

FILE: Final = "fleet-simulation.json"
_COMMITTED, _RECEIVED = attrgetter("committed_count"), attrgetter("received_count")
_STRIDE: Final = 5  # seconds between points
_SECONDS: Final = "seconds since the beginning"


def keep(folder: Path, run: Run, found: Found) -> None:
    """Write what was found, and the pictures of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    for name, picture in pictures(run).items():
        (folder / f"fleet-{name}.svg").write_text(draw(picture))


def pictures(run: Run) -> dict[str, Picture]:
    """Return the pictures of a run."""
    plan, ledger = run.plan, run.ledger
    moments = ledger.moments[::_STRIDE]
    note = f"simulated, seed {plan.seed}"
    backlog = [
        Series(name, tuple((one.at, one.waiting[name]) for one in moments)) for name in moments[0].waiting
    ]  # fmt: skip
    rates = [
        Series(name, tuple((later.at, (count(later) - count(one)) / _STRIDE) for one, later in pairwise(moments)))
        for name, count in (("committed", _COMMITTED), ("received", _RECEIVED))
    ]
    delays = {kind.title: times for kind, times in ledger.delays.items() if kind in {Kind.FAST, Kind.USUAL, Kind.SLOW}}
    return {
        "backlog": Picture("What waits for receivers that are well", note, _SECONDS, "deliveries", tuple(backlog)),
        "rate": Picture("Committed and received", note, _SECONDS, "a second", tuple(rates)),
        "delay": Picture("Commit to receipt, p99, by receivers", note, f"{_SECONDS}, of the commit", "s", _p99s(delays, plan)),
        "fairness": Picture(
            "Commit to the first attempt, p99", note, f"{_SECONDS}, of the commit", "s", _p99s(ledger.waits, plan)
        ),
    }


def _p99s(times: Mapping[str, Times], plan: Plan) -> tuple[Series, ...]:
    return tuple(Series(name, tuple(_points(one, range(int(plan.seconds / WINDOW))))) for name, one in times.items())


def _points(times: Times, windows: Iterable[int]) -> Iterable[tuple[float, float]]:
    for window in windows:
        if (p99 := times.share(0.99, (window,))) is not None:
            yield window * WINDOW, max(p99, LEAST)
