"""The other homes of the fleet, as a home asks them: for what lives there, and for their part of lists that tell of all."""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from tidings.clock import Clock
from tidings.core.errors import HomeAwayError, TidingsError
from tidings.core.fleet import Fleet
from tidings.core.group import MAX_GROUP_LENGTH
from tidings.core.homes import ABOUT
from tidings.core.voucher import HEADER, VouchedKey, Voucher, cursor_key, digest_of, is_for, opened, seal_key, sealed
from tidings.transport.homes import Answer, Homes

logger = logging.getLogger("tidings.homes")

MAX_KNOWN: Final = 10_000  # groups whose home is remembered, so that nobody weighs all homes for each request
LIST_SECONDS: Final = 10.0  # for a home's part of a list


class About(msgspec.Struct, frozen=True):
    """What a home tells others of itself. `public_url`: where browsers find it; None: it does not say."""

    home: str
    public_url: str | None


class Directory:
    """Where groups live. One event loop reads and writes it."""

    def __init__(self, homes: Iterable[str]) -> None:
        self._fleet = Fleet(tuple(sorted(homes)))
        self._known: dict[str, str] = {}

    @property
    def fleet(self) -> Fleet:
        """The fleet, as it was read last."""
        return self._fleet

    def learn(self, fleet: Fleet) -> None:
        """Take over what the stream says."""
        if fleet != self._fleet:
            self._fleet = fleet
            self._known.clear()

    def hear(self, group_id: str, home: str) -> None:
        """Take note where a group went that left from here, until the stream says where groups live."""
        if self.home_of(group_id) != home:
            self._known[group_id] = home

    def home_of(self, group_id: str) -> str:
        """Return the home of a group."""
        if len(group_id) > MAX_GROUP_LENGTH:
            return self._fleet.home_of(group_id)  # no group is called so
        home = self._known.get(group_id)
        if home is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            home = self._known[group_id] = self._fleet.home_of(group_id)
        return home


class Across:
    """The other homes. It belongs to one event loop.

    Attributes:
        home: What this one is called.
        directory: Where groups live.
        cursor_key: What cursors of all homes are sealed with.
    """

    def __init__(self, home: str, homes_key: str, directory: Directory, homes: Homes, clock: Clock) -> None:
        self.home = home
        self.directory = directory
        self._homes = homes
        self._key = seal_key(homes_key)
        self.cursor_key = cursor_key(homes_key)
        self._clock = clock

    @property
    def others(self) -> list[str]:
        """The other homes, in order."""
        return [home for home in self.directory.fleet.homes if home != self.home]

    def elsewhere(self, group_id: str) -> str | None:
        """Return the home of a group; None: it is this one."""
        home = self.directory.home_of(group_id)
        return None if home == self.home else home

    # Handing on ----------------------------------------------------------------------------------------------------------

    def hand_on(
        self,
        home: str,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        content: AsyncIterable[bytes] | bytes | None = None,
        *,
        key: VouchedKey | None,
        address: str = "",
        group_id: str | None = None,
        is_whole: bool = False,
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask a home for what a caller asks, or for ourselves, and lend what it answers.

        Args:
            key: The caller's, as it was judged here; None: we ask for ourselves.
            group_id: The group that it is about; None: it is for the home.
            is_whole: The voucher says what the body is.

        Raises:
            HomeAwayError: It does not answer.
            HomesDisagreeError: It does not believe us.
        """
        body = digest_of(content) if is_whole and isinstance(content, bytes) else ""
        voucher = Voucher(
            self.home, home, self._clock.now(), method, digest_of(target), body, key, address, group_id,
        )  # fmt: skip
        line = HEADER.encode(), sealed(voucher, self._key).encode()
        return self._homes.asked(home, method, target, [*headers, line], content)

    def opened(self, text: str, method: str, target: bytes) -> Voucher | None:
        """Return the voucher that a request came with; None: nobody who may has made it for this request."""
        voucher = opened(text, self._key, self._clock.now())
        return voucher if voucher is not None and is_for(voucher, self.home, method, target) else None

    # Asking for ourselves -------------------------------------------------------------------------------------------------

    async def ask_homes(
        self, homes: Sequence[str], path: str, body: bytes, *, seconds: float
    ) -> tuple[dict[str, bytes], list[str]]:
        """Ask homes the same at once, and return what each answered, and which did not answer."""
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

        async def ask(home: str) -> bytes:
            async with asyncio.timeout(seconds):
                target = path.encode()
                async with self.hand_on(home, "POST", target, headers, body, key=None, is_whole=True) as answer:
                    said = await answer.whole()
                    if answer.status != 200:
                        raise HomeAwayError(f"Home {home} answers {answer.status}.", home=home)
                    return said

        return await _of_each(homes, ask)

    async def part_of_each(
        self, targets: dict[str, str], caller: VouchedKey, address: str
    ) -> dict[str, tuple[bytes, str | None]]:
        """Return the part of a list of each home that answers, and the cursor that it goes on with.

        Args:
            targets: What each home is asked for.
        """
        nexts: dict[str, str | None] = {}

        async def ask(home: str) -> bytes:
            async with asyncio.timeout(LIST_SECONDS):
                target = targets[home].encode()
                async with self.hand_on(home, "GET", target, [], key=caller, address=address) as answer:
                    said = await answer.whole()
                    if answer.status != 200:
                        raise HomeAwayError(f"Home {home} answers {answer.status}.", home=home)
                    nexts[home] = dict(answer.headers).get(b"tidings-next", b"").decode("latin-1") or None
                    return said

        answers, _ = await _of_each(list(targets), ask)
        return {home: (body, nexts[home]) for home, body in answers.items()}

    async def about(self, home: str) -> About | None:
        """Return what a home says of itself; None: it does not answer."""
        answers, _ = await self.ask_homes([home], ABOUT, b"{}", seconds=LIST_SECONDS)
        return msgspec.json.decode(answers[home], type=About) if home in answers else None

    async def close(self) -> None:
        """Give back the connections."""
        await self._homes.close()


async def _of_each(homes: Sequence[str], ask: Callable[[str], Awaitable[bytes]]) -> tuple[dict[str, bytes], list[str]]:
    """Return what each home answered, and which did not."""
    answers: dict[str, bytes] = {}

    async def one(home: str) -> None:
        try:
            answers[home] = await ask(home)
        except (TidingsError, TimeoutError) as error:
            logger.info("home %s: %s", home, error or "it did not answer in time")

    await asyncio.gather(*(one(home) for home in homes))
    return answers, [home for home in homes if home not in answers]
