"""Places that many share: one takes no more than are free, so that others find some."""

import random

from tidings.core.places import Places


def _filled(places: Places, name: str) -> int:
    while places.take(name):
        pass
    return places.taken_by(name)


def test_one_alone_takes_half_and_whoever_comes_next_finds_some() -> None:
    places = Places(48)
    assert _filled(places, "a") == 24
    assert _filled(places, "b") == 12
    assert _filled(places, "c") == 6
    assert places.take("d")


def test_those_who_come_in_turns_have_the_same() -> None:
    places = Places(48)
    for _ in range(48):
        for name in "abc":
            places.take(name)
    assert [places.taken_by(name) for name in "abc"] == [12, 12, 12]


def test_never_more_are_taken_than_there_are_and_all_come_back() -> None:
    rng, places, held = random.Random(7), Places(10), []
    for _ in range(5_000):
        name = str(rng.randrange(40))
        if rng.random() < 0.6 and places.take(name):
            held.append(name)
        elif held:
            places.give_back(held.pop(rng.randrange(len(held))))
        assert len(held) <= 10
        assert places.is_free_for("somebody else") == (len(held) < 10)
    while held:
        places.give_back(held.pop())
    assert _filled(places, "a") == 5
    assert not places._taken.keys() - {"a"}, "nobody is remembered who has none"
