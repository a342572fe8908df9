"""Whose guesses at passwords are heard (`core.guesses`), in virtual time."""

import tracemalloc

from tidings.core import guesses
from tidings.core.guesses import FAILING_ACCOUNTS, FREE, FREE_STRANGERS, LONGEST, LONGEST_KNOWN, WINDOW_SECONDS, Guesses

OWNER, HOME, AWAY = "the owner", "192.0.2.1", "198.51.100.7"


def heard(found: Guesses, account: str, address: str, began: float, seconds: float) -> list[float]:
    """Return when one who never stops guessing is heard, in so many seconds."""
    now, times = began, []
    while now < began + seconds:
        wait = found.admit(account, address, now)
        if not wait:
            times.append(now - began)
        now += wait
    return times


def test_the_first_guesses_are_heard_at_once_and_each_of_the_next_waits_twice_as_long() -> None:
    times = heard(Guesses(), OWNER, AWAY, 0.0, 1000.0)
    assert times == [0.0] * FREE + [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0, 255.0, 511.0, 811.0]
    assert len(heard(Guesses(), OWNER, AWAY, 0.0, 86_400.0)) <= 300


def test_who_was_there_before_is_heard_while_strangers_guess() -> None:
    found = Guesses()
    assert not found.admit(OWNER, HOME, 0.0)
    found.was_right(OWNER, HOME, 0.0)
    for number in range(1000):
        found.admit(OWNER, f"203.0.{number // 256}.{number % 256}", 1.0)
    assert found.admit(OWNER, AWAY, 1.0) > 0
    assert found.admit(OWNER, HOME, 1.0) == 0
    assert found.admit("another", AWAY, 1.0) == 0


def test_guesses_from_many_addresses_are_slowed_together() -> None:
    found, now, count = Guesses(), 0.0, 0
    while now < 3600:
        wait = found.admit(OWNER, f"203.0.{count // 256}.{count % 256}", now)
        count += not wait
        now += wait
    assert FREE_STRANGERS < count < FREE_STRANGERS + 130
    heard(found, OWNER, AWAY, now, 1.0)
    assert 0 < found.admit(OWNER, HOME, now + 1) <= guesses.LONGEST_STRANGERS


def test_a_right_one_takes_back_the_wrong_ones_of_its_address_and_of_no_other() -> None:
    found = Guesses()
    for _ in range(FREE):
        assert not found.admit(OWNER, HOME, 0.0)
        assert not found.admit(OWNER, AWAY, 0.0)
    found.was_right(OWNER, HOME, 0.0)
    assert len(heard(found, OWNER, HOME, 0.0, 0.5)) == FREE
    assert heard(found, OWNER, AWAY, 0.0, 0.5) == []


def test_somebody_at_the_address_of_an_owner_does_not_keep_them_out_for_long() -> None:
    found = Guesses()
    found.was_right(OWNER, HOME, 0.0)
    heard(found, OWNER, HOME, 0.0, 3600.0)
    assert 0 < found.admit(OWNER, HOME, 3600.0) <= LONGEST_KNOWN < LONGEST


def test_an_address_that_tries_a_list_of_accounts_is_heard_for_so_many_and_who_is_known_there_for_ever() -> None:
    found = Guesses()
    found.was_right(OWNER, HOME, 0.0)
    room = FAILING_ACCOUNTS + 1  # the owner's getting in made room for one
    waits = [found.admit(f"account {number}", HOME, 1.0) for number in range(room + 50)]
    assert waits[:room] == [0.0] * room
    assert waits[room:] == [WINDOW_SECONDS - 1.0] * 50
    assert found.admit(OWNER, HOME, 1.0) == 0
    assert found.admit("account 0", HOME, 1.0) == 0  # mistyped, and tries again
    assert found.admit("account 0", AWAY, 1.0) == 0
    assert found.admit("account 200", HOME, WINDOW_SECONDS) == 0


def test_a_server_that_asks_for_all_its_users_is_no_list() -> None:
    found = Guesses()
    for number in range(10_000):
        account, now = f"account {number}", number * 0.01
        if number % 10 == 0:
            assert not found.admit(account, HOME, now)  # mistyped, every tenth
        if number % 30:
            assert not found.admit(account, HOME, now)
            found.was_right(account, HOME, now)


def test_a_guess_that_was_not_looked_at_counts_nowhere() -> None:
    found = Guesses()
    for number in range(1000):
        assert not found.admit(OWNER, AWAY, 0.0)
        found.was_not_looked_at(OWNER, AWAY, 0.0)
        assert not found.admit(f"account {number}", AWAY, 0.0)
        found.was_not_looked_at(f"account {number}", AWAY, 0.0)


def test_a_guess_that_was_not_looked_at_costs_no_wait() -> None:
    found = Guesses()
    for _ in range(FREE):
        assert not found.admit(OWNER, AWAY, 0.0)
    assert not found.admit(OWNER, AWAY, 10.0)
    assert found.admit(OWNER, AWAY, 10.0) > 0
    found.was_not_looked_at(OWNER, AWAY, 10.0)
    assert not found.admit(OWNER, AWAY, 10.0), "not for its owner"
    strangers = Guesses()
    for number in range(FREE_STRANGERS):
        assert not strangers.admit(OWNER, f"198.51.100.{number}", 0.0)
    assert not strangers.admit(OWNER, AWAY, 10.0)
    strangers.was_not_looked_at(OWNER, AWAY, 10.0)
    assert not strangers.admit(OWNER, "203.0.113.9", 10.0), "nor for others who want the account"


def test_the_quiet_are_forgotten() -> None:
    found = Guesses()
    assert heard(found, OWNER, AWAY, 0.0, 0.5) == [0.0] * FREE
    assert heard(found, OWNER, AWAY, WINDOW_SECONDS, 0.5) == [0.0] * FREE


def test_the_addresses_of_one_customer_count_as_one() -> None:
    found = Guesses()
    waits = [found.admit(OWNER, f"2001:db8:1:2::{number:x}", 0.0) for number in range(FREE + 1)]
    assert waits == [0.0] * FREE + [1.0]


def test_memory_is_bounded() -> None:
    found = Guesses()
    tracemalloc.start()
    try:
        for number in range(60_000):
            account, address = f"account {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            found.admit(account, address, 0.0)
            if number % 2:
                found.was_right(account, address, 0.0)
        assert tracemalloc.get_traced_memory()[0] < 40_000_000
    finally:
        tracemalloc.stop()
    assert len(found._pairs) <= guesses.MAX_PAIRS
    assert len(found._accounts) <= guesses.MAX_ACCOUNTS
    assert len(found._addresses) <= guesses.MAX_ADDRESSES
    assert len(found._known) <= guesses.MAX_KNOWN
