"""The state table and what is derived from it."""

import re
from importlib.resources import files

import pytest

from tidings.core.delivery import FINISHED, TRANSITIONS, State, Step, may, state_of_waiting


def test_every_finished_state_is_in_the_database_constraint_and_no_other() -> None:
    sql = (files("tidings.store") / "migrations" / "0001_engine.sql").read_text()
    match = re.search(r"constraint finished check \(status in \((.*?)\)\)", sql)
    assert match is not None
    assert set(re.findall(r"'(\w+)'", match[1])) == {state.value for state in FINISHED}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_a_step_is_possible_exactly_when_the_table_says_so(state: State, step: Step) -> None:
    assert may(state, step) == ((state, step) in TRANSITIONS)


def test_every_state_is_reached_from_pending() -> None:
    reached = {State.PENDING}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached:
        reached |= more
    assert reached == set(State)


def test_a_cancelled_delivery_stays_cancelled() -> None:
    assert not [step for step in Step if may(State.CANCELLED, step)]


def test_the_state_of_a_waiting_delivery_follows_from_its_attempts() -> None:
    assert (state_of_waiting(0), state_of_waiting(1), state_of_waiting(7)) == (State.PENDING, State.RETRYING, State.RETRYING)


def test_the_documented_diagram_shows_every_transition() -> None:
    documented = (files("tidings") / ".." / ".." / "docs" / "design.md").read_text()
    for (state, step), to in TRANSITIONS.items():
        assert f"| {state} | {step} | {to} |" in documented
