"""A fleet in virtual time, in small: what must hold whatever is lost, and that the same seed is the same run."""

from pathlib import Path

import msgspec
import pytest

from tidings.bench.simulation.drawing import FILE, keep, pictures
from tidings.bench.simulation.run import LOST, LOUD, OTHERS, Found, Run
from tidings.bench.simulation.world import SHORT, Kind, World


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(SHORT)


@pytest.fixture(scope="module")
def found(run: Run) -> Found:
    return run.run()


def p99(found: Found, group: str, when: str, key: str = "p99_s") -> float:
    (row,) = (one for one in found.waits if one["group"] == group and one["when"] == when)
    return float(row[key])


def test_nothing_is_lost_whatever_machines_are(found: Found) -> None:
    assert found.lost == 0
    assert found.committed == pytest.approx(SHORT.per_second * SHORT.seconds + SHORT.loud_events, rel=0.001)
    assert found.repeated > 0, "what was under way at machines that were lost was sent again"


def test_all_that_can_be_received_is_in_the_end(run: Run, found: Found) -> None:
    assert found.failed == 0
    assert +run.ledger.open == {}
    unwell = found.waiting / found.committed
    assert 0.015 < unwell < 0.06, "what fails and hangs waits for its next attempt, and of what was down a part"


def test_no_lane_has_more_under_way_than_it_allows_nor_goes_beyond_its_rate(found: Found) -> None:
    assert (found.above_limit, found.above_rate) == (0, 0.0)


def test_ordered_lanes_keep_their_order(run: Run, found: Found) -> None:
    ordered = [lane for home in run.homes for lane in home.lanes.values() if lane.ordered and lane.has_succeeded]
    assert len(ordered) > 100
    assert found.out_of_order == 0


def test_homes_that_were_lost_catch_up_within_seconds(run: Run, found: Found) -> None:
    moments = run.ledger.moments
    most = max(one.waiting[LOST] for one in moments)
    before = max(one.waiting[LOST] for one in moments if one.at < SHORT.loss_at)
    assert most > 5 * before, "they were lost"
    assert found.caught_up_s is not None
    assert found.caught_up_s < SHORT.homes_back_at - SHORT.loss_at


def test_homes_that_are_not_lost_notice_nothing(run: Run) -> None:
    before = max(one.waiting[LOUD] + one.waiting[OTHERS] for one in run.ledger.moments if one.at < SHORT.loss_at)
    after = [one for one in run.ledger.moments if SHORT.workers_back_at + 5 < one.at < SHORT.loud_at]
    assert max(one.waiting[LOUD] + one.waiting[OTHERS] for one in after) < 1.5 * before


def test_a_loud_group_holds_up_quiet_ones_of_its_home_a_little_and_of_others_not_at_all(found: Found) -> None:
    loud, before = p99(found, "loud", "one group is loud"), p99(found, "beside it", "before")
    assert loud > 20 * before, "it is loud"
    assert p99(found, "beside it", "one group is loud", "p99_since_landed_s") < loud / 4
    assert p99(found, "at other homes", "one group is loud") < 3 * before


def test_receivers_that_fail_or_hang_hold_up_no_others(found: Found) -> None:
    told = {(row["receivers"], row["when"]): row["p99_s"] for row in found.delays}
    assert told[Kind.FAST.title, "before"] < 1
    assert Kind.HANGING.title not in {receivers for receivers, _ in told}


def test_the_same_seed_is_the_same_run_and_another_is_another() -> None:
    plan = msgspec.structs.replace(SHORT, seconds=8, drained_by=10, loss_at=3, homes_back_at=5, workers_back_at=6, loud_at=7)
    first, again, other = (Run(msgspec.structs.replace(plan, seed=seed)).run() for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_groups_and_webhooks_follow_from_their_numbers() -> None:
    world = World(SHORT)
    webhooks = [world.webhook(number) for number in range(20_000)]
    counts = [sum(one.kind is kind for one in webhooks) / 20 for kind in Kind]
    assert counts == pytest.approx([kind.per_mille for kind in Kind], rel=0.25)
    homes = {world.home_of(one.group) for one in webhooks}
    assert homes == set(range(SHORT.homes))


def test_a_run_is_drawn(run: Run, found: Found, tmp_path: Path) -> None:
    keep(tmp_path, run, found)
    assert {path.name for path in tmp_path.iterdir()} == {FILE, *(f"fleet-{name}.svg" for name in pictures(run))}
    assert msgspec.json.decode((tmp_path / FILE).read_bytes(), type=Found) == msgspec.json.decode(
        msgspec.json.encode(found), type=Found
    )
