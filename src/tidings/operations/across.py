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
from tidings.core.homes import ABOUT, UNREAD
from tidings.core.voucher import HEADER, VouchedKey, Voucher, cursor_key, digest_of, is_for, opened, said_of, seal_key, sealed
from tidings.store import placing
from tidings.store.database import Database
from tidings.store.placing import Known
from tidings.transport.homes import ANSWER_SECONDS, Answer, Homes

logger = logging.getLogger("tidings.homes")

MAX_KNOWN: Final = 10_000  # groups whose home is remembered, so that nobody weighs all homes for each request
LIST_SECONDS: Final = 10.0  # for a home's part of a list
READ_INTERVAL: Final = 1.0  # seconds between looks whether groups live elsewhere by now
NEXT_BEFORE: Final = "Tidings-Before"  # of a part of the audit: its next page has what has a smaller number
MAX_SAID: Final = 65_536  # bytes of what a home answers to a question of ours; a key with its scopes has a few hundred


class About(msgspec.Struct, frozen=True):
    """What a home tells others of itself. `public_url`: where browsers find it; None: it does not say."""

    home: str
    public_url: str | None


class Directory:
    """Where groups live. One event loop reads and writes it.

    Until it was read once, what follows from the names of the homes holds: a home that knows better refuses what is brought to
    the wrong one.
    """

    def __init__(self, homes: Iterable[str]) -> None:
        """Make it. `homes`: that there are, as far as the settings say."""
        self._fleet = Fleet(tuple(sorted(homes)))
        self._known: dict[str, str] = {}

    @property
    def fleet(self) -> Fleet:
        """The fleet, as it was read last."""
        return self._fleet

    def learn(self, fleet: Fleet) -> None:
        """Take over what it is by now."""
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


class DirectoryReader:
    """Reads the directory from the database of the home, where its workers write down what they hear of it."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._known: Known | None = None
        self._failovers = 0

    async def run_once(self) -> bool:
        """Look whether it has changed; return whether it has. While the database is away, what was read last holds."""
        seen = self._database.server.failovers
        async with self._database.connection() as connection:
            known = self._known if self._failovers == seen else None  # a version can stand for something else by now
            found = await placing.renewed(connection, known)
        self._failovers = seen
        if found is self._known:
            return False
        self._known = found
        if found is None:
            return False
        self._directory.learn(found.placing.fleet)
        return True


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
        group_header: str | None = None,
        is_whole: bool = False,
        seconds: float = ANSWER_SECONDS,
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask a home for what a caller asks, or for ourselves, and lend what it answers.

        Args:
            key: The caller's, as it was judged here; None: we ask for ourselves.
            group_id: The group that it is about; None: it is for the home.
            group_header: What the request says of its group, as its header does; None: nothing.
            is_whole: The voucher says what the body is.
            seconds: Without a byte of an answer.

        Raises:
            BusyError: The group has as many calls under way there as others leave.
            HomeAwayError: It does not answer.
            HomesDisagreeError: It does not believe us.
        """
        body = digest_of(content) if is_whole and isinstance(content, bytes) else ""
        voucher = Voucher(
            self.home, home, self._clock.now(), method, said_of(target, group_header), body, key, address, group_id,
        )  # fmt: skip
        line = HEADER.encode(), sealed(voucher, self._key).encode()
        of = None if key is None else group_id or ""
        return self._homes.asked(home, method, target, [*headers, line], content, of=of, seconds=seconds)

    def opened(self, text: str, method: str, target: bytes, group_header: str | None = None) -> Voucher | None:
        """Return the voucher that a request came with; None: nobody who may has made it for this request."""
        voucher = opened(text, self._key, self._clock.now())
        return voucher if voucher is not None and is_for(voucher, self.home, method, target, group_header) else None

    # Asking for ourselves -------------------------------------------------------------------------------------------------

    async def ask(self, home: str, path: str, body: bytes, *, seconds: float) -> bytes:
        """Ask a home something for ourselves, and return what it answers.

        Args:
            seconds: For all of its answer.

        Raises:
            HomeAwayError: It does not answer, or with something else.
            HomesDisagreeError: It does not believe us.
        """
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        try:
            async with (
                asyncio.timeout(seconds),
                self.hand_on(home, "POST", path.encode(), headers, body, key=None, is_whole=True) as answer,
            ):
                said = await answer.whole(MAX_SAID)
        except TimeoutError as error:
            raise HomeAwayError(
                f"Home {home} of the fleet does not answer within {seconds:g} s. Try again.", home=home
            ) from error
        if answer.status != 200:
            raise HomeAwayError(f"Home {home} answers {answer.status}.", home=home)
        return said

    async def part_of_each(
        self, targets: dict[str, str], caller: VouchedKey, address: str
    ) -> dict[str, tuple[bytes, str | None]]:
        """Return the part of a list of each home that answers, and the number that it says it goes on before.

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
                    nexts[home] = dict(answer.headers).get(NEXT_BEFORE.lower().encode(), b"").decode("latin-1") or None
                    return said

        answers = await _of_each(list(targets), ask)
        return {home: (body, nexts[home]) for home, body in answers.items()}

    async def about(self, home: str) -> About | None:
        """Return what a home says of itself; None: it does not answer."""
        try:
            return msgspec.json.decode(await self.ask(home, ABOUT, b"{}", seconds=LIST_SECONDS), type=About)
        except (TidingsError, *UNREAD) as error:
            logger.info("home %s: %s", home, error)
            return None

    async def close(self) -> None:
        """Give back the connections."""
        await self._homes.close()


async def _of_each(homes: Sequence[str], ask: Callable[[str], Awaitable[bytes]]) -> dict[str, bytes]:
    """Return what each home answered that did."""
    answers: dict[str, bytes] = {}

    async def one(home: str) -> None:
        try:
            answers[home] = await ask(home)
        except (TidingsError, TimeoutError) as error:
            logger.info("home %s: %s", home, error or "it did not answer in time")

    await asyncio.gather(*(one(home) for home in homes))
    return answers
