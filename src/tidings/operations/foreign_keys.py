"""Keys of other homes: a key is kept at one home, and opens what it opens at whichever home is asked.

A home that is shown a key which it does not have asks the others for the key of that id, telling the hash of what was shown; so
nobody's key travels. The first home whose key it is decides, and nobody waits for the others; which it was is remembered, and
what it said is believed for a second, as everywhere: a key that is revoked at its home stops within two at the others.

Databases that were copied have keys of one id at several homes, and so has a group that is being moved. One that says that the
key is wrong is not believed before the others were asked, nor one where the key's group does not live, unless no other has it.

Who guesses can make a home ask the others, so that is bounded: one question for all who show the same, so many at once of each
home; ids that nobody has are not asked for again for some seconds; and for addresses that showed too many wrong keys, so many a
second. A home that hangs has questions of its own to it wait, and nobody else's.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec

from tidings.core.api_key import ApiKey, fits, id_of
from tidings.core.errors import HomeAwayError, HomesDisagreeError, MalformedBodyError, TidingsError
from tidings.core.homes import KEYS, UNREAD
from tidings.core.scopes import known_scopes
from tidings.operations.across import Across
from tidings.operations.admission import BELIEVED, Admission

logger = logging.getLogger("tidings.homes")

MAX_REMEMBERED: Final = 10_000  # keys whose home is known
MAX_UNKNOWN: Final = 1_000  # ids that nobody has
UNKNOWN_SECONDS: Final = 5.0  # that they are not asked for again
AT_ONCE: Final = 16  # questions to one home
MAX_WAITING: Final = 64  # to one home, with those; more of them are answered at once: it is away
FOR_SHUT: Final = 10  # questions in a second for addresses that are shut, of which no key is known yet
ANSWER_SECONDS: Final = 5.0  # for an answer, with the wait for its turn

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

Name = TypeVar("Name")
Value = TypeVar("Value")


class Asked(msgspec.Struct, frozen=True):
    """What a home asks another: the id in a key, the hash of the whole (empty: only who has it), and where it was shown."""

    named: str
    digest: bytes
    address: str


class Told(msgspec.Struct, frozen=True):
    """What it answers. `key`: only when the hash fits."""

    state: Literal["unknown", "wrong", "fits"]
    key: dict[str, Any] | None = None


async def tell(admission: Admission, body: bytes, now: datetime) -> Told:
    """Answer another home.

    Raises:
        MalformedBodyError: It asks for nothing that we know.
    """
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except UNREAD as error:
        raise MalformedBodyError("The body is no question about a key.") from error
    key = await admission.own(asked.named, asked.digest, asked.address, now)
    if key is None:
        return Told("unknown")
    return Told("fits", msgspec.to_builtins(key)) if fits(key, asked.digest) else Told("wrong")


class ForeignKeys:
    """The keys of the other homes. One event loop reads and writes it."""

    def __init__(self, across: Across, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._across = across
        self._monotonic = monotonic
        self._held: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()
        self._homes: OrderedDict[str, tuple[str, bool]] = OrderedDict()  # and whether what was shown fitted there
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[tuple[str, bytes], asyncio.Task[ApiKey | None]] = {}
        self._lines: dict[str, _Line] = {}
        self._shut_since, self._shut_asked = 0.0, 0

    def held(self, digest: bytes) -> ApiKey | None:
        """Return a key of theirs that was good within the last second."""
        key, at = self._held.get(digest, (None, 0.0))
        return key if self._monotonic() - at < BELIEVED else None

    async def find(self, named: str, digest: bytes, address: str, *, is_shut: bool) -> ApiKey | None:
        """Return the key of theirs that has an id, whether or not it fits; None where there is none.

        Raises:
            HomeAwayError: A home that may have it does not answer.
        """
        if self._monotonic() - self._unknown.get(named, float("-inf")) < UNKNOWN_SECONDS:
            return None
        if is_shut and named not in self._homes and not self._may_ask_for_shut():
            return None
        asking = self._asking.get((named, digest))
        if asking is None:
            asking = asyncio.create_task(self._find(Asked(named, digest, address)), name="ask for a key")
            self._asking[named, digest] = asking
            asking.add_done_callback(lambda _: self._asking.pop((named, digest), None))
        return await asyncio.shield(asking)

    def home_of(self, named: str) -> str | None:
        """Return the home that had a key of this id when it was asked last."""
        known = self._homes.get(named)
        return None if known is None else known[0]

    async def _find(self, asked: Asked) -> ApiKey | None:
        others = self._across.others
        if (known := self._homes.get(asked.named)) is not None:
            home, has_fitted = known
            key = await self._of([home], asked)
            if key is not None and (has_fitted or fits(key, asked.digest)):
                return key
            if key is None:
                self._homes.pop(asked.named, None)  # its group has moved, perhaps
                others = [other for other in others if other != home]
        key = await self._of(others, asked)
        if key is None:
            _remember(self._unknown, asked.named, self._monotonic(), MAX_UNKNOWN)
        return key

    async def _of(self, homes: list[str], asked: Asked) -> ApiKey | None:
        """Return the key as the first of these homes has it that may decide about it; None: none has it.

        Raises:
            HomeAwayError: None that answers has it, and not all do.
        """
        began, content = self._monotonic(), msgspec.json.encode(asked)
        asking = {asyncio.create_task(self._ask(home, asked, content), name=f"ask {home} for a key"): home for home in homes}
        away: TidingsError | None = None
        known: tuple[str, ApiKey] | None = None  # where it is wrong, or where its group does not live
        try:
            waiting = set(asking)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=asking.__getitem__):
                    home = asking[task]
                    try:
                        key = task.result()
                    except TidingsError as error:
                        logger.info("home %s, asked for a key: %s", home, error)  # who shows the key is not told why
                        away = error
                        continue
                    if key is None:
                        continue
                    if not asked.digest or (fits(key, asked.digest) and self._is_of(home, key)):
                        return self._learned(asked, home, key, began)
                    if known is None or fits(key, asked.digest):
                        known = home, key
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if known is not None:
            return self._learned(asked, *known, began)
        if away is not None:
            who = away.details.get("home")
            raise HomeAwayError(
                f"This key is not of this home, and home {who}, which may have it, does not answer. Try again.", home=who
            ) from away
        return None

    def _is_of(self, home: str, key: ApiKey) -> bool:
        return key.group_id is None or self._across.directory.home_of(key.group_id) == home

    def _learned(self, asked: Asked, home: str, key: ApiKey, began: float) -> ApiKey:
        has_fitted = fits(key, asked.digest)
        _remember(self._homes, asked.named, (home, has_fitted or self._homes.get(asked.named) == (home, True)), MAX_REMEMBERED)
        if has_fitted:
            _remember(self._held, asked.digest, (key, began), MAX_REMEMBERED)
        return key

    async def _ask(self, home: str, asked: Asked, content: bytes) -> ApiKey | None:
        """Return a key as a home has it, or one that nothing fits where what was shown is not it; None: it has none.

        Raises:
            HomeAwayError: It does not answer, or with what cannot be read: of another release, or not of Tidings at all.
        """
        line = self._lines.setdefault(home, _Line())
        if line.waiting >= MAX_WAITING:
            raise HomeAwayError(f"{MAX_WAITING} questions wait for home {home} of the fleet already. Try again.", home=home)
        line.waiting += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS), line.room:
                said = await self._across.ask(home, KEYS, content, seconds=ANSWER_SECONDS)
            return _read(msgspec.json.decode(said, type=Told), asked.named)
        except (*UNREAD, KeyError, TypeError) as error:
            why = "Correct its address in TIDINGS_HOMES, or run one version everywhere."
            raise HomeAwayError(f"What home {home} of the fleet answers cannot be read. {why}", home=home) from error
        except (TimeoutError, HomesDisagreeError) as error:
            why = str(error) or f"nothing came within {ANSWER_SECONDS:g} s"
            raise HomeAwayError(f"Home {home} of the fleet does not answer: {why}. Try again.", home=home) from error
        finally:
            line.waiting -= 1

    def _may_ask_for_shut(self) -> bool:
        now = self._monotonic()
        if now - self._shut_since >= 1:
            self._shut_since, self._shut_asked = now, 0
        self._shut_asked += 1
        return self._shut_asked <= FOR_SHUT


class _Line:
    """Questions to one home: those that are asked, and all that wait."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0


def _read(told: Told, named: str) -> ApiKey | None:
    """Return a key as its home tells it. A scope of a newer release opens nothing here."""
    if told.state == "unknown":
        return None
    if told.state == "wrong" or told.key is None:
        return _stub(named)
    return msgspec.convert(told.key | {"scopes": [scope.value for scope in known_scopes(told.key["scopes"])]}, ApiKey)


def _stub(named: str) -> ApiKey:
    """Return a key that nothing fits, by which wrong ones are counted."""
    return ApiKey(id_of(named) or UUID(int=0), "", None, (), b"", _LONG_AGO)


def _remember(kept: "OrderedDict[Name, Value]", name: Name, value: Value, most: int) -> None:
    kept.pop(name, None)
    kept[name] = value
    while len(kept) > most:
        kept.popitem(last=False)
