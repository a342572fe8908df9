"""Guesses at passwords: whose are heard."""

import pytest

from tidings.core.collection import MAX_PASSWORD_LENGTH
from tidings.core.errors import TooManyAttemptsError
from tidings.sources.passwords import WRONG_BY_ACCOUNT, WRONG_BY_ADDRESS, Passwords

WRONG = "x" * (MAX_PASSWORD_LENGTH + 1)  # no time is spent on one so long


async def test_guesses_that_are_not_heard_shut_no_account() -> None:
    passwords = Passwords(monotonic=lambda: 0.0)
    known = await passwords.hash("right")
    for number in range(WRONG_BY_ADDRESS):
        assert not await passwords.fits(known, WRONG, account=f"another {number}", address="192.0.2.1")
    for _ in range(WRONG_BY_ACCOUNT):
        with pytest.raises(TooManyAttemptsError):
            await passwords.fits(known, WRONG, account="owner", address="192.0.2.1")
    assert await passwords.fits(known, "right", account="owner", address="192.0.2.2")
