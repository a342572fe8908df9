"""Passwords of `auth` collections: hashed and compared beside the event loop, few at once, and guessed at seldom.

Hashing takes 50 ms and 64 MiB by intent. So it has threads of its own, which nothing else waits for; and it is done while no
connection to the database is held, which deliveries and other calls want.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2

from tidings.core.collection import MAX_PASSWORD_LENGTH
from tidings.core.errors import BusyError, TooManyAttemptsError
from tidings.core.guesses import Guesses

AT_ONCE = 2  # each takes a core for as long as it lasts
MAX_WAITING = 32  # calls; more would wait longer than a second

T = TypeVar("T")


class Passwords:
    """Hashes and compares passwords. One per process; it belongs to one event loop."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._hasher = argon2.PasswordHasher()  # argon2id by RFC 9106, second recommended option
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")  # begun when they are first needed
        self._waiting = 0
        self._nobody: str | None = None
        self._monotonic = monotonic
        self._guesses = Guesses()

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
            TooManyAttemptsError: There were too many wrong guesses (`core.guesses`).
        """
        now = self._monotonic()
        if wait := self._guesses.admit(account, address, now):
            raise TooManyAttemptsError(
                "There were too many wrong passwords. Try again later.", retry_after_seconds=math.ceil(wait)
            )
        if len(password) > MAX_PASSWORD_LENGTH:
            return False
        try:
            is_right = await self._run(lambda: self._compare(known, password))
        except BusyError:
            self._guesses.was_not_looked_at(account, address, now)
            raise
        if is_right:
            self._guesses.was_right(account, address, self._monotonic())
        return is_right

    def _compare(self, known: str | None, password: str) -> bool:
        if known is None and self._nobody is None:
            self._nobody = self._hasher.hash("nobody's password")
        try:
            return self._hasher.verify(known or self._nobody or "", password) and known is not None
        except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):  # or what is stored is no hash
            return False
        except argon2.exceptions.VerificationError as error:  # it is broken, or there was no room for the 64 MiB
            if "Memory" in str(error):
                raise MemoryError from error
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("Too many passwords are being looked at; nothing was done. Try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (argon2.exceptions.HashingError, MemoryError) as error:
            raise BusyError("There is no memory to look at a password; nothing was done. Try again.") from error
        finally:
            self._waiting -= 1
