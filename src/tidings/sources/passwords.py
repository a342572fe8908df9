"""Passwords of `auth` collections: hashed and compared beside the event loop, few at once, and guessed at seldom.

Hashing takes 50 ms and 64 MiB by intent. So it has threads of its own, which nothing else waits for; and it is done while no
connection to the database is held, which deliveries and other calls want.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2

from tidings.core.attempts import Attempts
from tidings.core.collection import MAX_PASSWORD_LENGTH
from tidings.core.errors import BusyError, TooManyAttemptsError

AT_ONCE = 2  # each takes a core for as long as it lasts
MAX_WAITING = 32  # calls; more would wait longer than a second
WRONG_BY_ACCOUNT = 10  # guesses in five minutes
WRONG_BY_ADDRESS = 100  # of all accounts: the address may be that of a customer's own server, which asks for all its users

T = TypeVar("T")


class Passwords:
    """Hashes and compares passwords. One per process; it belongs to one event loop."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._hasher = argon2.PasswordHasher()  # argon2id by RFC 9106, second recommended option
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")  # begun when they are first needed
        self._waiting = 0
        self._nobody: str | None = None
        self._monotonic = monotonic
        self._by_account = Attempts(WRONG_BY_ACCOUNT)
        self._by_address = Attempts(WRONG_BY_ADDRESS)

    async def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises:
            BusyError: Too many wait for theirs.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def fits(self, known: str | None, password: str, *, account: str, address: str) -> bool:
        """Say whether a password is the one of which `known` is kept; None takes as long, and it is not.

        Args:
            account: Whose password it should be.
            address: Who asks.

        Raises:
            BusyError: Too many wait for theirs.
            TooManyAttemptsError: There were too many wrong guesses.
        """
        now = self._monotonic()
        # The address first: guesses of one that is not heard any more must not shut accounts to their owners.
        wait = self._by_address.admit(address, now)
        if not wait and (wait := self._by_account.admit(account, now)):
            self._by_address.give_back(address)
        if wait:
            raise TooManyAttemptsError(
                "There were too many wrong passwords. Try again later.", retry_after_seconds=int(wait) + 1
            )
        if len(password) > MAX_PASSWORD_LENGTH:
            return False
        try:
            is_right = await self._run(lambda: self._compare(known, password))
        except BusyError:  # it was not looked at
            self._by_account.give_back(account)
            self._by_address.give_back(address)
            raise
        if is_right:
            self._by_account.forgive(account)
            self._by_address.give_back(address)  # not all: who has one account of their own would guess at others' for ever
        return is_right

    def _compare(self, known: str | None, password: str) -> bool:
        if known is None and self._nobody is None:
            self._nobody = self._hasher.hash("nobody's password")
        try:
            return self._hasher.verify(known or self._nobody or "", password) and known is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):  # or what is stored is no hash
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("Too many passwords are being looked at; nothing was done. Try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
