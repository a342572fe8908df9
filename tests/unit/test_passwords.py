"""Passwords: that our own shortage is nobody's wrong guess, and that guesses are asked of `core.guesses`."""

from typing import Any

import argon2
import pytest

from tidings.core.collection import MAX_PASSWORD_LENGTH
from tidings.core.errors import BusyError, TooManyAttemptsError
from tidings.core.guesses import FREE
from tidings.sources.passwords import Passwords

WRONG = "x" * (MAX_PASSWORD_LENGTH + 1)  # no time is spent on one so long


async def test_guesses_of_strangers_shut_no_account_to_its_owner() -> None:
    passwords = Passwords(monotonic=lambda: 0.0)
    known = await passwords.hash("right")
    assert await passwords.fits(known, "right", account="owner", address="192.0.2.1")
    for number in range(FREE):
        assert not await passwords.fits(known, WRONG, account="owner", address="192.0.2.2"), number
    with pytest.raises(TooManyAttemptsError) as refused:
        await passwords.fits(known, "right", account="owner", address="192.0.2.2")
    assert refused.value.details["retry_after_seconds"] == 1
    assert await passwords.fits(known, "right", account="owner", address="192.0.2.1")
    assert await passwords.fits(known, "right", account="owner", address="192.0.2.3")


class _Starved(argon2.PasswordHasher):
    """One on a machine whose memory is used up."""

    def verify(self, *args: Any, **kwargs: Any) -> Any:
        raise argon2.exceptions.VerificationError("Memory allocation error")


async def test_a_password_for_which_there_is_no_memory_is_no_wrong_one() -> None:
    passwords = Passwords(monotonic=lambda: 0.0)
    known = await passwords.hash("right")
    hasher, passwords._hasher = passwords._hasher, _Starved()
    for _ in range(2 * FREE):
        with pytest.raises(BusyError):
            await passwords.fits(known, "right", account="owner", address="192.0.2.1")
    passwords._hasher = hasher
    assert await passwords.fits(known, "right", account="owner", address="192.0.2.1")


async def test_what_is_stored_and_is_no_hash_fits_nothing() -> None:
    passwords = Passwords(monotonic=lambda: 0.0)
    for known in ("", "nonsense", "$argon2id$nonsense"):
        assert not await passwords.fits(known, "right", account=known, address="192.0.2.1")
