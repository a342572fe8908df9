"""Where groups of a fleet live, and what changes of its directory do to them: nothing, but to those that they name."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.errors import StartupError
from tidings.core.fleet import (
    MAX_HOMES,
    MAX_MOVED,
    MAX_PARKED,
    Fleet,
    Placing,
    fleet_of,
    is_of_home,
    parking,
    sender_of,
    spread,
    with_groups,
    with_homes,
    without_home,
)

NAMES = ("a", "b", "c", "d", "e")
homes = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(lambda names: tuple(sorted(names)))
groups = st.lists(st.text(min_size=1, max_size=8), max_size=30, unique=True)
fleets = st.builds(lambda names, groups: with_groups(Fleet(names), dict.fromkeys(groups, names[0]), 1), homes, groups)


@given(fleets, homes, groups)
def test_homes_that_are_added_move_no_group_not_even_one_that_nobody_knows_yet(
    fleet: Fleet, more: tuple[str, ...], some: list[str]
) -> None:
    after = with_homes(fleet, more, 9)
    assert {*after.homes} == {*fleet.homes, *more}
    assert [after.home_of(group) for group in some] == [fleet.home_of(group) for group in some]
    assert (after.version > fleet.version) == (after.homes != fleet.homes)


@given(fleets, groups, st.data())
def test_names_lead_elsewhere_and_groups_that_there_are_stay(fleet: Fleet, some: list[str], data: st.DataObject) -> None:
    opened = data.draw(st.lists(st.sampled_from(fleet.homes), min_size=1, unique=True))
    after = spread(fleet, opened, {group: fleet.home_of(group) for group in some}, 9)
    for group in {*some, *fleet.moved}:
        assert after.home_of(group) == fleet.home_of(group)
    assert all(after.hashed_home_of(group) in opened for group in some)


@given(fleets, groups, st.data())
def test_groups_are_where_they_are_put_and_others_where_they_were(fleet: Fleet, some: list[str], data: st.DataObject) -> None:
    put = {group: data.draw(st.sampled_from(fleet.homes)) for group in some}
    after = with_groups(fleet, put, 9)
    assert {group: after.home_of(group) for group in some} == put
    assert all(after.home_of(group) == home for group, home in fleet.moved.items() if group not in put)
    assert all(after.hashed_home_of(group) != home for group, home in after.moved.items()), "nothing is remembered in vain"


def test_a_home_is_taken_away_once_nothing_leads_there() -> None:
    fleet = with_groups(with_homes(fleet_of(("a", "b")), ["c"], 1), {"acme": "c"}, 2)
    for home, why in (("x", "no home 'x'"), ("a", "names lead to a"), ("c", "home of acme")):
        with pytest.raises(StartupError, match=why):
            without_home(fleet, home, 3, followed=fleet.version)
    many = with_groups(fleet, {f"g{number}": "c" for number in range(9)}, 3)
    with pytest.raises(StartupError, match="and others"):
        without_home(many, "c", 4, followed=many.version)
    free = with_groups(fleet, {"acme": "a"}, 3)
    with pytest.raises(StartupError, match="Somebody else has changed"):
        without_home(free, "c", 4, followed=fleet.version)
    assert without_home(free, "c", 4, followed=free.version).homes == ("a", "b")


def test_what_no_directory_can_say_is_refused_with_a_sentence() -> None:
    fleet = fleet_of(("a", "b"))
    for change in (
        lambda: with_homes(fleet, [f"h{number}" for number in range(MAX_HOMES)], 1),
        lambda: with_groups(fleet, {"acme": "x"}, 1),
        lambda: with_groups(fleet, {f"g{number}": "a" for number in range(3 * MAX_MOVED)}, 1),
        lambda: spread(fleet, ["x"], {}, 1),
        lambda: spread(fleet, [], {}, 1),
    ):
        with pytest.raises(StartupError, match=r"\.$"):
            change()


def test_groups_are_parked_and_let_go_some_at_a_time() -> None:
    fleet = fleet_of(("a", "b"))
    for number in range(MAX_PARKED):
        fleet = parking(fleet, f"g{number}", 1, is_parked=True)
    assert len(fleet.parked) == MAX_PARKED
    with pytest.raises(StartupError, match="are being moved"):
        parking(fleet, "one more", 1, is_parked=True)
    assert "g3" not in parking(fleet, "g3", 1, is_parked=False).parked


def test_a_directory_is_written_as_members_of_all_versions_read_it() -> None:
    """None of its words may change: members refuse one that they do not know, and have no other directory."""
    written = b'{"homes":["a","b"],"version":7,"open_homes":["a"],"moved":{"acme":"b"},"held":["umbrella"]}'
    fleet = Fleet(("a", "b"), 7, ("a",), {"acme": "b"}, ("umbrella",))
    assert msgspec.json.decode(written, type=Fleet) == fleet
    assert msgspec.json.encode(fleet) == written


def test_a_version_is_never_less_than_before_even_where_clocks_go_back() -> None:
    fleet = with_groups(Fleet(("a",), version=100), {}, 7)
    assert fleet.version == 101


def test_a_home_routes_what_is_its_own_what_has_webhooks_there_and_nothing_that_moves() -> None:
    fleet = with_groups(fleet_of(("a", "b")), {"here": "a", "there": "b", "left": "a", "parked": "a"}, 1)
    placing = Placing("a", fleet, frozenset({"left"}), frozenset({"parked"}))
    assert not placing.is_elsewhere("here", ())
    assert placing.is_elsewhere("there", ())
    assert not placing.is_elsewhere("there", {"there"})
    assert placing.is_elsewhere("left", {"left"})
    assert placing.is_elsewhere("parked", {"parked"})


def test_a_home_that_sends_on_is_taken_for_no_source() -> None:
    assert is_of_home(sender_of("eu"))
    assert not is_of_home("eu")
