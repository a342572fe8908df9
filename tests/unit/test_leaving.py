"""What people are told when they leave."""

from tidings.store.uninstall import MOST_NAMED, Trigger, statements_of


def trigger(number: int, owner: str) -> Trigger:
    return Trigger("s", f"t{number}", "tidings_capture", owner, is_allowed=False, drop=f"DROP TRIGGER x ON s.t{number};")


def test_each_owner_is_told_what_to_run() -> None:
    assert statements_of([trigger(1, "ada"), trigger(2, "bob"), trigger(3, "ada")]) == (
        "Have ada run: DROP TRIGGER x ON s.t1; DROP TRIGGER x ON s.t3; Have bob run: DROP TRIGGER x ON s.t2;"
    )


def test_no_more_is_named_than_one_can_read() -> None:
    told = statements_of([trigger(number, "ada") for number in range(MOST_NAMED + 3)])
    assert told.count("DROP TRIGGER") == MOST_NAMED
    assert told.endswith("There are 3 more, which are named once these are gone.")
