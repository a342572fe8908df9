"""Who is let in: keys at hand, without asking the database for each call.

Keys are held in memory, and so is how often keys were changed when somebody last looked (`tidings.api_key_changes`). What is
held counts for a second from the moment of that look. After half a second the next call has somebody look again, beside it;
only after a whole second without any call does one wait for the look. So a key that is revoked stops within a second, in
every process, whatever becomes of the network between: what cannot be looked at is not believed.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

from tidings.core.api_key import (
    KEY_REQUIRED,
    MAX_KEY,
    SETTINGS_KEY_ID,
    UNGUESSABLE,
    ApiKey,
    check_good,
    fits,
    hash_of,
    id_of,
    id_text,
    is_good,
    is_mistyped,
)
from tidings.core.errors import TidingsError, UnauthorizedError
from tidings.core.key_guesses import Guesses
from tidings.store import api_keys
from tidings.store.api_keys import USE_SECONDS, Use
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database

logger = logging.getLogger("tidings.keys")

LOOK_AFTER: Final = 0.5  # seconds since the last look, until the next call has somebody look again
BELIEVED: Final = 1.0  # seconds that a look counts
MAX_HELD: Final = 10_000  # keys in memory
MAX_UNKNOWN: Final = 1_000  # ids that no key has, remembered so that they are not asked for again and again
CLOSE_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 2.0  # for the answer to a look or a read, after which its connection is taken for dead

Answer = TypeVar("Answer")

_SETTINGS = "settings"  # in place of an id's text


class Elsewhere(Protocol):
    """The other homes of the fleet, as far as their keys are concerned."""

    def held(self, digest: bytes) -> ApiKey | None:
        """Return a key of theirs that was good within the last second."""

    async def find(self, named: str, digest: bytes, address: str, *, is_shut: bool) -> ApiKey | None:
        """Return the key of theirs that has an id, whether or not it fits; None where there is none.

        Raises:
            TidingsError: That cannot be known now.
        """

    def home_of(self, named: str) -> str | None:
        """Return the home that had a key of this id when it was asked last."""


class Admission:
    """The keys that are at hand. One event loop reads and writes it.

    Attributes:
        elsewhere: Where keys are looked for that are not here; None: nowhere.
        on_look: Is told what each look found of limits (`operations.allowance`), and when it began: one look for both.
    """

    def __init__(self, looks: Database, reads: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make it.

        Args:
            looks: What is looked at by, and by nothing else: whoever shows wrong keys can have keys read all the time.
            reads: What keys are read and their uses written by.
        """
        self._looks = looks
        self._reads = reads
        self._monotonic = monotonic
        self._held: OrderedDict[str, ApiKey] = OrderedDict()
        self._unknown: OrderedDict[str, None] = OrderedDict()
        self._version = 0
        self._looked_at = -BELIEVED
        self._changed_at = -BELIEVED
        self._looking: asyncio.Task[Exception | None] | None = None
        self._guesses = Guesses()
        self._noted: dict[UUID, float] = {}
        self._uses: dict[UUID, Use] = {}
        self._noting: asyncio.Task[None] | None = None
        self.on_look: Callable[[int, float], None] = lambda version, began: None
        self.elsewhere: Elsewhere | None = None

    def at_hand(self, presented: str, address: str, now: datetime) -> ApiKey | None:
        """Return the key that this is, when that is known without asking anybody; None: ask `admit`.

        Args:
            presented: The key as text.
            address: Where it comes from.
            now: The time that keys expire by.
        """
        at = self._monotonic()
        if not presented or at - self._looked_at >= BELIEVED:
            return None
        digest = hash_of(presented[:MAX_KEY])
        key = self._held_as(presented, digest)
        if key is None and self.elsewhere is not None:
            key = self.elsewhere.held(digest)
            return key if key is not None and is_good(key, digest, now) else None  # its home notes its use
        if key is None or not is_good(key, digest, now):
            return None
        if len(presented) < UNGUESSABLE and self._guesses.is_shut(address, at):
            return None
        if at - self._looked_at >= LOOK_AFTER:
            self._begin_look()
        self._note(key, address, at, now)
        return key

    async def admit(self, presented: str, address: str, now: datetime) -> ApiKey:
        """Return the key that this is.

        Raises:
            TooManyAttemptsError: Too many wrong ones were shown.
            UnauthorizedError: It is missing, wrong, expired, revoked or replaced.
        """
        if not presented:
            raise UnauthorizedError(KEY_REQUIRED)
        self.refuse_guess(presented, address)
        if (key := self.at_hand(presented, address, now)) is not None:
            return key
        digest = hash_of(presented[:MAX_KEY])
        key = await self._asked_for(presented, digest)
        if key is None and self.elsewhere is not None and (named := id_text(presented)) is not None:
            is_shut = self._guesses.is_shut(address, self._monotonic())
            key = await self.elsewhere.find(named, digest, address, is_shut=is_shut)
            if key is not None and fits(key, digest):
                check_good(key, digest, now)
                return key
        if key is not None and fits(key, digest):
            check_good(key, digest, now)
            self._note(key, address, self._monotonic(), now)
            return key
        self._guesses.count(address, None if key is None else str(key.id), self._monotonic())
        raise _wrong(presented)

    def refuse_guess(self, presented: str, address: str) -> None:
        """Refuse what is short enough to be found by trying, where too many wrong keys came before it.

        Raises:
            TooManyAttemptsError: It is not listened to.
        """
        if presented and len(presented) < UNGUESSABLE:
            self._guesses.refuse_shut(address, self._monotonic())

    async def own(self, named: str, digest: bytes, address: str, now: datetime) -> ApiKey | None:
        """Return the key of this home that has an id, whether or not it fits: another home asks, which judges it.

        Args:
            named: As `id_text` returns it.
            address: Where the key was shown, for the record of its use.
        """
        await self._look_since(self._monotonic(), lambda: named in self._held and fits(self._held[named], digest))
        key = await self._of_id(named)
        if key is not None and is_good(key, digest, now):
            self._note(key, address, self._monotonic(), now)
        return key

    def changed(self) -> None:
        """Believe nothing that was held until now, nor what a look tells that is under way: this process has changed a key."""
        self._looked_at = -BELIEVED
        self._changed_at = self._monotonic()

    async def close(self) -> None:
        """Write what is noted, and end what is under way."""
        if self._noting is not None:
            await asyncio.wait([self._noting], timeout=CLOSE_SECONDS)
        for task in (self._looking, self._noting):
            if task is not None:
                task.cancel()

    def look_soon(self) -> None:
        """Have somebody look, beside what is done."""
        self._begin_look()

    async def looked(self) -> None:
        """Wait for a look, which may have begun before now.

        Raises:
            Exception: As whatever asks the database.
        """
        await self._looked()

    # Keys --------------------------------------------------------------------------------------------------------------------

    def _held_as(self, presented: str, digest: bytes) -> ApiKey | None:
        settings = self._held.get(_SETTINGS)
        if settings is not None and fits(settings, digest):
            return settings
        named = id_text(presented)
        return self._held.get(named) if named is not None else None

    async def _asked_for(self, presented: str, digest: bytes) -> ApiKey | None:
        """Return the key that a text says it is, whether or not it fits; None where there is none."""

        def at_hand() -> ApiKey | None:
            held = self._held_as(presented, digest)
            return held if held is not None and fits(held, digest) else None

        if await self._look_since(self._monotonic(), lambda: at_hand() is not None):
            return at_hand()
        settings = self._held.get(_SETTINGS) or await self._read(_SETTINGS, SETTINGS_KEY_ID)
        if settings is not None and fits(settings, digest):
            return settings
        named = id_text(presented)
        return None if named is None else await self._of_id(named)

    async def _look_since(self, began: float, is_at_hand: Callable[[], bool]) -> bool:
        """Look until what is held is believed, and return whether the key is among it: for such a one an older look does."""
        if began - self._looked_at >= BELIEVED:
            await self._looked()
        if is_at_hand() and self._monotonic() - self._looked_at < BELIEVED:
            return True
        for _ in range(2):  # it may have been made or rotated this moment, since a look that is under way began
            if self._looked_at <= began:
                await self._looked()
        return False

    async def _of_id(self, named: str) -> ApiKey | None:
        key_id = id_of(named)
        if key_id is None or key_id == SETTINGS_KEY_ID or named in self._unknown:
            return None
        return self._held.get(named) or await self._read(named, key_id)

    async def _read(self, name: str, key_id: UUID) -> ApiKey | None:
        began, (version, key) = await self._answer(self._reads, lambda connection: api_keys.find(connection, key_id))
        if self._learn(version, began):
            if key is None:
                self._unknown[name] = None
            else:
                self._held[name] = key
            while len(self._held) > MAX_HELD:
                self._held.popitem(last=False)
            while len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popitem(last=False)
        return key

    async def _looked(self) -> None:
        """Wait for a look: one for all who wait, and one failure."""
        looking = self._begin_look()
        await asyncio.wait([looking])
        if not looking.cancelled() and (fault := looking.result()) is not None:
            raise fault

    def _begin_look(self) -> asyncio.Task[Exception | None]:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_beside(), name="look at keys")
        return self._looking

    async def _look_beside(self) -> Exception | None:
        """Look, and return why not: whoever waits raises it, and where nobody does it is of no account."""
        try:
            await self._look()
        except (*UNAVAILABLE, TidingsError) as error:
            logger.debug("keys cannot be looked at: %s", error)
            return error
        finally:
            self._looking = None
        return None

    async def _look(self) -> None:
        began, (version, limits_version) = await self._answer(self._looks, api_keys.versions)
        self._learn(version, began)
        self.on_look(limits_version, began)

    async def _answer(self, database: Database, ask: Callable[[Connection], Awaitable[Answer]]) -> tuple[float, Answer]:
        """Return what PostgreSQL says, and when it was asked.

        A connection that a network forgot says nothing for as long as TCP waits, and everybody who shows a key waits for this
        one: it is dropped, and another one is asked, once.

        Raises:
            TimeoutError: That one says nothing either.
        """
        for _ in range(2):
            async with database.connection() as connection:
                began = self._monotonic()  # not before there is a connection: what was waited for one would not count
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        return began, await ask(connection)
                except TimeoutError:
                    connection.terminate()
        raise TimeoutError(f"PostgreSQL said nothing within {ANSWER_SECONDS:g} s, over two connections.")

    def _learn(self, version: int, at: float) -> bool:
        """Take note of what a look found that began then, and return whether what it read may be held.

        Looks may end in another order than they began in: one that began before the last that counts says nothing new, nor does
        one that began before this process changed a key.
        """
        if at < max(self._looked_at, self._changed_at):
            return version == self._version
        if version != self._version:
            self._held.clear()
            self._unknown.clear()
            self._version = version
        self._looked_at = at
        return True

    # Uses --------------------------------------------------------------------------------------------------------------------

    def _note(self, key: ApiKey, address: str, at: float, now: datetime) -> None:
        """Note that a key was used, unless that was noted within a minute. It is written beside the call, never before it."""
        if at - self._noted.get(key.id, -USE_SECONDS) < USE_SECONDS:
            return
        if len(self._noted) >= MAX_HELD:
            self._noted.clear()
        self._noted[key.id] = at
        self._uses[key.id] = Use(now, address)
        if self._noting is None:
            self._noting = asyncio.create_task(self._write_uses(), name="note uses of keys")

    async def _write_uses(self) -> None:
        try:
            while self._uses:
                uses, self._uses = self._uses, {}
                with suppress(*UNAVAILABLE, *COLLISIONS, TidingsError):  # the next minute has another
                    async with self._reads.transaction() as connection:
                        await api_keys.note_uses(connection, list(uses.items()))
        finally:
            self._noting = None


def _wrong(presented: str) -> UnauthorizedError:
    if is_mistyped(presented):
        return UnauthorizedError("This key was cut off or mistyped: its end does not fit the rest. Copy it again, whole.")
    return UnauthorizedError(KEY_REQUIRED)
