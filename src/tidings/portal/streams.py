"""What is live: one stream of events for a page, and one watch for all streams of a process.

Pages that poll cost the database more the more people look, most of it for nothing. So a process looks once a second, with one
small query for all streams, and only while there are any: have the counters of statistics moved? Only when they have, the next
look reads the newest deliveries, by key. Each stream is told what concerns it, and never more than one message of a kind waits:
a browser that is slow to read gets the latest, not a backlog.

Left out on purpose: rows whose state changes are not sent. A page that shows something unfinished asks for itself again when it
hears `changed`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.errors import BusyError
from tidings.core.event import milliseconds
from tidings.core.pauses import Pauses
from tidings.core.search import first_id
from tidings.operations import bins, live
from tidings.operations.services import Services
from tidings.store.database import UNAVAILABLE
from tidings.store.live import NewDelivery

logger = logging.getLogger("tidings.portal")

INTERVAL: Final = 1.0  # seconds between looks
BREATH: Final = 15.0  # seconds after which a silent stream says that it is there
MAX_STREAMS: Final = 100  # of a process
MAX_OF_SESSION: Final = 10
MAX_OF_CUSTOMERS: Final = 75  # of all customers together: operators keep the rest
MAX_OF_CUSTOMER: Final = 20  # of the customers of one group, however many links and browsers they have
MAX_ROWS: Final = 200  # of one look
MAX_COUNTED: Final = 1_000  # new rows of one stream
LOOK_BACK: Final = timedelta(minutes=5)  # a delivery is listed once it waits or is done, which can be later than its event


class Wants(msgspec.Struct, frozen=True):
    """Which new deliveries a stream is told of.

    Attributes:
        after: Newer than this one; None: it is not told of any.
        states, webhook_id: Only these; any, when empty or None.
        pace: Looks between one `changed` and the next; what changes meanwhile is told then.
        is_behind: The page shows something unfinished, which may have changed before its stream began.
        bin_id: Of a request bin: it is told when something came to it, and of nothing else.
        came: How many had come when its page was made.
    """

    after: UUID | None = None
    states: frozenset[str] = frozenset()
    webhook_id: UUID | None = None
    pace: int = 4
    is_behind: bool = False
    bin_id: UUID | None = None
    came: int = 0

    def has(self, row: NewDelivery) -> bool:
        """Whether it is told of this one."""
        return (
            self.after is not None
            and row.id > self.after
            and (not self.states or row.status in self.states)
            and (self.webhook_id is None or row.webhook_id == self.webhook_id)
        )


class Stream:
    """The stream of one page. The watch puts messages in, the page's response takes them out."""

    def __init__(
        self,
        services: Services,
        session_id: UUID,
        wants: Wants,
        tell: Callable[[int, bool], str],
        *,
        is_customer: bool = False,
    ) -> None:
        """Make one.

        Args:
            is_customer: A customer's page asks.
            tell: Makes the message of so many new rows; or of more, when that is True.
        """
        self.services = services
        self.session_id = session_id
        self.is_customer = is_customer
        self.wants = wants
        self._tell = tell
        self._seen: set[UUID] = set()
        self._messages: dict[str, str] = {}
        self._news = asyncio.Event()
        self._is_over = False
        self._owes = wants.is_behind
        self._looks = wants.pace
        self._came = wants.came

    def hear_bin(self, came: int) -> None:
        """Tell when something came to the bin; a bin that is gone is told as something, too."""
        if came != self._came:
            self._came = came
            self.put("changed")

    def pass_look(self, *, is_news: bool) -> None:
        """Take note of a look, and tell that something changed when it is time to."""
        self._owes |= is_news
        self._looks += 1
        if self._owes and self._looks >= self.wants.pace:
            self._owes, self._looks = False, 0
            self.put("changed")

    def put(self, event: str, data: str = "") -> None:
        """Leave a message, in place of one of its kind that was not taken yet."""
        self._messages[event] = data
        self._news.set()

    def hear(self, rows: Collection[NewDelivery], *, is_all: bool) -> None:
        """Count those of the newest deliveries that are its own."""
        mine = {row.id for row in rows if row.group_id == self.services.group_id and self.wants.has(row)}
        if mine <= self._seen:
            return
        if len(self._seen) < MAX_COUNTED:
            self._seen |= mine
        self.put("new", self._tell(len(self._seen), not is_all or len(self._seen) >= MAX_COUNTED))

    def end(self) -> None:
        """Let it end, once what was left is taken."""
        self._is_over = True
        self._news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages as they are sent, until it ends."""
        yield b"retry: 2000\n\n"
        while True:
            while self._messages:
                event = next(iter(self._messages))
                yield message(event, self._messages.pop(event))
            if self._is_over:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(BREATH):
                    await self._news.wait()
            except TimeoutError:
                yield b": still there\n\n"


def message(event: str, data: str) -> bytes:
    """Return an event as it is sent: a line break in it would begin another field."""
    lines = "".join(f"data: {line}\n" for line in data.replace("\r", "\n").split("\n"))
    return f"event: {event}\n{lines}\n".encode("utf-8", "replace")


class Watch:
    """Looks for all streams of a process, while there are any."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._has_news = False
        self._is_closed = False
        self._stopping = asyncio.Event()

    async def follow(self, stream: Stream) -> AsyncIterator[bytes]:
        """Yield what a stream is told, until it ends or nobody reads it any more."""
        try:
            async for text in stream.messages():
                yield text
        finally:
            self._streams.discard(stream)

    def add(self, stream: Stream) -> None:
        """Watch for a stream too.

        Raises:
            BusyError: There are too many, or the server stops.
        """
        own = sum(one.session_id == stream.session_id for one in self._streams)
        is_full = len(self._streams) >= MAX_STREAMS or own >= MAX_OF_SESSION
        if stream.is_customer:
            theirs = [one.services.group_id for one in self._streams if one.is_customer]
            group = theirs.count(stream.services.group_id)
            is_full = is_full or len(theirs) >= MAX_OF_CUSTOMERS or group >= MAX_OF_CUSTOMER
        if self._is_closed or is_full:
            raise BusyError("Too many pages are live. This one tries again; load it anew to see what has come.")
        self._streams.add(stream)
        self._has_news = True  # what came since its page was made
        if self._task is None or self._task.done():
            self._stopping = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="live pages")

    def close(self) -> None:
        """End every stream, and begin no other: the server stops."""
        self._is_closed = True
        self._stopping.set()
        for stream in self._streams:
            stream.end()

    async def _run(self) -> None:
        pauses = Pauses(INTERVAL)
        try:
            counted: int | None = None
            while self._streams and not self._is_closed:
                wait = INTERVAL
                try:
                    counted = await self.look(counted)
                    pauses.reset()
                except UNAVAILABLE as error:
                    logger.debug("live pages wait for the database: %s", error)
                    wait = pauses.next()
                try:
                    async with asyncio.timeout(wait):
                        await self._stopping.wait()
                except TimeoutError:
                    pass
        finally:
            for stream in self._streams:
                stream.end()

    async def _look_at_bins(self, services: Services) -> None:
        """Ask for all bins that somebody looks at how many requests came, with one more query."""
        watching = [stream for stream in self._streams if stream.wants.bin_id is not None]
        if not watching:
            return
        counts = await bins.counts(services, [stream.wants.bin_id for stream in watching if stream.wants.bin_id is not None])
        for stream in watching:
            found = counts.get((stream.services.group_id, stream.wants.bin_id))
            stream.hear_bin(-1 if found is None else found)

    async def look(self, counted: int | None) -> int | None:
        """Look once, with one query: whether something was counted, or when it was, for the newest deliveries.

        Args:
            counted: What the last look that asked for it found.

        Returns:
            What this one found.
        """
        services = next(iter(self._streams)).services
        starts = [stream.wants.after for stream in self._streams if stream.wants.after is not None]
        if self._has_news and starts and counted is not None:
            self._has_news = False
            recent = first_id(milliseconds(services.clock.now() - LOOK_BACK))
            rows = await live.newest(services, max(min(starts), recent), MAX_ROWS)
            for stream in self._streams:
                stream.hear(rows, is_all=len(rows) < MAX_ROWS)
            return counted
        found = await live.look(services, list({stream.session_id for stream in self._streams}))
        is_news = counted is not None and found.counted != counted
        for stream in self._streams:
            if stream.session_id not in found.sessions:
                stream.put("over")
                stream.end()
            elif stream.wants.bin_id is None:
                stream.pass_look(is_news=is_news)
        await self._look_at_bins(services)
        self._has_news |= is_news  # and stays, when nothing was counted before: that is the number to begin with
        return found.counted
