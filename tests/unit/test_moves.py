"""What is said of moves that were broken off."""

from datetime import UTC, datetime, timedelta

from tidings.core.moves import MAX_TOLD, Unfinished, troubles_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEGUN = NOW - timedelta(minutes=12)


def said(one: Unfinished) -> str:
    (trouble,) = troubles_of([one], "east", NOW)
    assert (trouble.name, trouble.about) == ("move_unfinished", one.group_id)
    return trouble.sentence


def test_the_home_that_a_group_is_to_leave_says_since_when_and_both_commands() -> None:
    assert said(Unfinished("acme", "west", BEGUN)) == (
        "A move of acme to west was begun 12 minutes ago, and nobody is at it: nothing of it is delivered. Go on here: tidings "
        "stream move acme --to west --database URL; or call it off with the same and --abandon."
    )


def test_the_home_that_it_is_to_come_to_says_where_to_go_on_and_nothing_of_calling_it_off() -> None:
    """It may have left already, and be in one home alone."""
    text = said(Unfinished("acme", "east", BEGUN))
    assert "at the home that it comes from: tidings stream move acme --to east --database URL" in text
    assert "--abandon" not in text


def test_a_group_that_sources_keep_back_is_told_too() -> None:
    assert "sources keep what comes for it" in said(Unfinished("acme", None, None))


def test_a_name_stands_in_the_command_as_a_shell_reads_it() -> None:
    assert "stream move 'a b; c' --to" in said(Unfinished("a b; c", "west", BEGUN))


def test_ten_are_told_one_by_one_and_the_rest_as_a_number() -> None:
    moves = [Unfinished(f"group-{number}", "west", BEGUN) for number in range(MAX_TOLD + 3)]
    assert len(troubles_of(moves[:MAX_TOLD], "east", NOW)) == MAX_TOLD
    told = troubles_of(moves, "east", NOW)
    assert (len(told), told[-1].sentence[:20]) == (MAX_TOLD + 1, "3 more groups rest, ")
