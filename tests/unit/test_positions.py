"""Lists of all homes: put together in their order, each entry once, with one cursor that nobody can change."""

import random

import pytest

from tidings.core.errors import InvalidInputError
from tidings.core.fleet import MAX_HOMES
from tidings.core.positions import MAX_CURSOR, START, Part, Positions, opened, sealed, together

KEY, QUESTION = b"k" * 32, b"q" * 16
HOMES = ("asia", "eu", "us")


def _part(of: list[int], position: str, limit: int) -> Part[int]:
    """Return a page of a home, newest first, as it goes on before a number."""
    found = [one for one in of if not position or one < int(position)][:limit]
    return Part(found, str(found[-1]) if len(found) == limit else None)


@pytest.mark.parametrize("seed", range(20))
def test_a_walk_meets_each_entry_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    numbers = list(range(60))
    rng.shuffle(numbers)
    stored = {home: sorted(numbers[at * 20 : at * 20 + rng.randint(0, 20)], reverse=True) for at, home in enumerate(HOMES)}
    limit, seen = rng.randint(1, 9), []
    text = sealed(Positions(dict.fromkeys(HOMES, START)), KEY, QUESTION)
    while text:
        begin = opened(text, KEY, QUESTION)
        parts = {home: _part(stored[home], at, limit) for home, at in begin.parts.items()}
        page = together(begin, parts, limit, order=lambda one: -one, position=str)
        assert len(page.items) <= limit
        seen += page.items
        text = "" if page.positions is None else sealed(page.positions, KEY, QUESTION)
    assert seen == sorted(((home, one) for home, of in stored.items() for one in of), key=lambda each: -each[1])


def test_a_home_that_is_away_is_named_on_every_page_and_asked_no_more() -> None:
    begin = Positions(dict.fromkeys(HOMES, START))
    page = together(begin, {"eu": Part([9, 8], "8"), "us": Part([7], None)}, 2, order=lambda one: -one, position=str)
    assert (page.items, page.away) == ([("eu", 9), ("eu", 8)], ("asia",))
    assert page.positions is not None
    assert (page.positions.parts, page.positions.away) == ({"eu": "8", "us": START}, ("asia",))
    last = together(page.positions, {"eu": Part([], None), "us": Part([7], None)}, 2, order=lambda one: -one, position=str)
    assert (last.items, last.positions, last.away) == ([("us", 7)], None, ("asia",))


@pytest.mark.parametrize(
    "change", [lambda text: text[:-2] + "AA", lambda text: text[4:], lambda text: "all.", lambda _: "all.é"]
)
def test_a_cursor_that_was_changed_is_refused(change: object) -> None:
    text = sealed(Positions({"eu": "1"}), KEY, QUESTION)
    with pytest.raises(InvalidInputError) as refused:
        opened(change(text), KEY, QUESTION)  # type: ignore[operator]
    assert refused.value.field == "cursor"


def test_a_cursor_serves_for_its_own_question_and_installation() -> None:
    text = sealed(Positions({"eu": "1"}), KEY, QUESTION)
    for key, question in ((b"other", QUESTION), (KEY, b"other")):
        with pytest.raises(InvalidInputError):
            opened(text, key, question)


@pytest.mark.parametrize("seed", range(5))
def test_a_cursor_of_as_many_homes_as_there_may_be_fits_where_cursors_travel(seed: int) -> None:
    rng = random.Random(seed)
    signs = "abcdefghijklmnopqrstuvwxyz0123456789"
    names = ["".join(rng.choices(signs, k=30)) for _ in range(MAX_HOMES)]
    numbers = Positions({name: str(rng.randrange(2**62, 2**63)) for name in names[:70]}, tuple(names[70:]))
    of_groups = Positions(dict.fromkeys(names, "".join(chr(rng.randrange(0x10000, 0x1F000)) for _ in range(100))))
    for positions in (numbers, of_groups, Positions({name: str(2**63 - 1 - at) for at, name in enumerate(names)})):
        text = sealed(positions, KEY, QUESTION)
        assert len(text) <= MAX_CURSOR
        assert opened(text, KEY, QUESTION) == positions


def test_a_cursor_that_is_longer_or_unpacks_to_more_than_any_is_refused() -> None:
    for positions in (
        Positions({"eu": "1" * 1000}),
        Positions({"eu": "1" * 200_000}),
        Positions({str(n): "" for n in range(101)}),
    ):
        with pytest.raises(InvalidInputError):
            opened(sealed(positions, KEY, QUESTION), KEY, QUESTION)
    with pytest.raises(InvalidInputError):
        opened("all." + "A" * MAX_CURSOR, KEY, QUESTION)
