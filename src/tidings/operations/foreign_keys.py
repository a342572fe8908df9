"""Keys of other homes: a key is kept at one home, and opens what it opens at whichever home is asked.

A home that is shown a key which it does not have asks the others for the key of that id, telling the hash of what was shown; so
nobody's key travels. Which home had it is remembered, and what it said is believed for a second, as everywhere: a key that is
revoked at its home stops within two at the others.

Who guesses can make a home ask the others, so that is bounded: one question for all who show the same, so many at once; ids
that nobody has are not asked for again for some seconds; and for addresses that showed too many wrong keys, so many a second.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec

from tidings.core.api_key import ApiKey, fits, id_of
from tidings.core.errors import HomeAwayError, MalformedBodyError
from tidings.core.homes import KEYS
from tidings.core.scopes import known_scopes
from tidings.operations.across import Across
from tidings.operations.admission import BELIEVED, Admission

MAX_REMEMBERED: Final = 10_000  # keys whose home is known
MAX_UNKNOWN: Final = 1_000  # ids that nobody has
UNKNOWN_SECONDS: Final = 5.0  # that they are not asked for again
AT_ONCE: Final = 16  # questions
FOR_SHUT: Final = 10  # questions in a second for addresses that are shut, of which no key is known yet
ANSWER_SECONDS: Final = 5.0

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

Name = TypeVar("Name")
Value = TypeVar("Value")


class Asked(msgspec.Struct, frozen=True):
    """What a home asks another: the id in a key, the hash of the whole, and where it was shown."""

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
    except msgspec.MsgspecError as error:
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
        self._homes: OrderedDict[str, str] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[tuple[str, bytes], asyncio.Task[ApiKey | None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
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
        return self._homes.get(named)

    async def _find(self, asked: Asked) -> ApiKey | None:
        async with self._room:
            others = self._across.others
            if (known := self._homes.get(asked.named)) is not None:
                if (key := await self._of([known], asked)) is not None:
                    return key
                self._homes.pop(asked.named, None)  # its group has moved, perhaps
                others = [home for home in others if home != known]
            key = await self._of(others, asked)
            if key is None:
                _remember(self._unknown, asked.named, self._monotonic(), MAX_UNKNOWN)
            return key

    async def _of(self, homes: list[str], asked: Asked) -> ApiKey | None:
        began = self._monotonic()
        answers, away = await self._across.ask_homes(homes, KEYS, msgspec.json.encode(asked), seconds=ANSWER_SECONDS)
        for home, body in answers.items():
            try:
                told = msgspec.json.decode(body, type=Told)
            except msgspec.MsgspecError:  # of another release, or not of Tidings at all
                away = [*away, home]
                continue
            if told.state == "unknown":
                continue
            _remember(self._homes, asked.named, home, MAX_REMEMBERED)
            if told.state == "wrong" or told.key is None:
                return _stub(asked.named)
            key = _read(told.key)
            _remember(self._held, asked.digest, (key, began), MAX_REMEMBERED)
            return key
        if away:
            raise HomeAwayError(
                f"This key is not of this home, and home {away[0]}, which may have it, does not answer. Try again.",
                home=away[0],
            )
        return None

    def _may_ask_for_shut(self) -> bool:
        now = self._monotonic()
        if now - self._shut_since >= 1:
            self._shut_since, self._shut_asked = now, 0
        self._shut_asked += 1
        return self._shut_asked <= FOR_SHUT


def _read(told: dict[str, Any]) -> ApiKey:
    """Return a key as its home tells it. A scope of a newer release opens nothing here."""
    return msgspec.convert(told | {"scopes": [scope.value for scope in known_scopes(told["scopes"])]}, ApiKey)


def _stub(named: str) -> ApiKey:
    """Return a key that nothing fits, by which wrong ones are counted."""
    return ApiKey(id_of(named) or UUID(int=0), "", None, (), b"", _LONG_AGO)


def _remember(kept: "OrderedDict[Name, Value]", name: Name, value: Value, most: int) -> None:
    kept.pop(name, None)
    kept[name] = value
    while len(kept) > most:
        kept.popitem(last=False)
