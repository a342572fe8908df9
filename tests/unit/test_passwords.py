"""Guesses at passwords: whose are heard."""

import pytest

from tidings.core.errors import TooManyAttemptsError
from tidings.sources.passwords import WRONG_BY_ACCOUNT, WRONG_BY_ADDRESS, Passwords


async def test_guesses_that_are_not_heard_shut_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(monotonic=lambda: 0.0)
    monkeypatch.setattr(passwords, "_compare", lambda known, password: known == password)
    for number in range(WRONG_BY_ADDRESS):
        assert not await passwords.fits("right", "wrong", account=f"another {number}", address="192.0.2.1")
    for _ in range(WRONG_BY_ACCOUNT):
        with pytest.raises(TooManyAttemptsError):
            await passwords.fits("right", "wrong", account="owner", address="192.0.2.1")
    assert await passwords.fits("right", "right", account="owner", address="192.0.2.2")
