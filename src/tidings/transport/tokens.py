"""Tokens that receivers want: fetched once for all who wait, kept until shortly before their end, fetched anew when refused.

A token's endpoint is called by the same sender as everything else, so by the same rules of what may be called.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from tidings.core.credentials import OAuth2
from tidings.core.echoes import echo_of_tokens
from tidings.core.oauth2 import Token, token_of, token_request
from tidings.core.outcome import EXHAUSTED, Exchange
from tidings.core.target import Target, Way, parse_target
from tidings.transport.connection import STOPPED, Call, Done

if TYPE_CHECKING:
    from tidings.transport.sender import Sender

logger = logging.getLogger("tidings.sender")

MAX_TOKENS = 10_000
FETCH_SECONDS = 10.0
HOLD_SECONDS = 1.0
FORCED_INTERVAL = 60.0  # seconds between two tokens that are fetched because a receiver refused the one before

Have = Callable[[str | Exchange], None]


class _Held:
    """The token of one client."""

    __slots__ = ("call", "failed_until", "failure", "forced_at", "refresh_at", "text", "until", "waiting")

    def __init__(self) -> None:
        self.text = ""
        self.until = self.refresh_at = self.failed_until = 0.0
        self.forced_at = -FORCED_INTERVAL
        self.failure: Exchange | None = None
        self.call: Call | None = None
        self.waiting: list[Have] = []


class Tokens:
    """The tokens of all clients of a process.

    Attributes:
        fetch_seconds: How long one answer of an endpoint may take.
        hold_seconds: How long after a failure everybody is told the same.
    """

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self.fetch_seconds, self.hold_seconds = FETCH_SECONDS, HOLD_SECONDS
        self._held: OrderedDict[tuple[OAuth2, Way | None], _Held] = OrderedDict()  # the one used last at the end

    def want(self, client: OAuth2, way: Way | None, have: Have) -> None:
        """Tell `have` a token, or what to tell of the attempt that wanted it: at once when that is known."""
        held, now = self._of(client, way), perf_counter()
        if now < held.until:
            if now >= held.refresh_at and held.call is None and now >= held.failed_until:
                self._fetch(held, client, way)
            have(held.text)
        elif held.call is None and held.failure is not None and now < held.failed_until:
            have(held.failure)
        else:
            held.waiting.append(have)
            if held.call is None:
                self._fetch(held, client, way)

    def give_up(self, client: OAuth2, way: Way | None, have: Have) -> bool:
        """Wait no more, and tell whether that was so. The token is fetched all the same: others want it too."""
        waiting = self._of(client, way).waiting
        is_waiting = have in waiting
        if is_waiting:
            waiting.remove(have)
        return is_waiting

    def refused(self, client: OAuth2, way: Way | None, text: str) -> bool:
        """Hear that a receiver refused a token, and tell whether it is worth asking for another.

        One that a receiver refuses whatever it is costs its endpoint a request a minute.
        """
        held, now = self._of(client, way), perf_counter()
        if held.text != text:
            return now < held.until or held.call is not None  # there is another since
        if now < held.forced_at + FORCED_INTERVAL:
            return False
        held.forced_at, held.until = now, 0.0
        return True

    def _of(self, client: OAuth2, way: Way | None) -> _Held:
        held = self._held.get((client, way))
        if held is None:
            held = self._held[client, way] = _Held()
            if len(self._held) > MAX_TOKENS:
                self._held.popitem(last=False)  # who waits for it is told all the same
        else:
            self._held.move_to_end((client, way))
        return held

    def _fetch(self, held: _Held, client: OAuth2, way: Way | None, *, is_fresh: bool = False) -> None:
        def done(exchange: Exchange) -> None:
            held.call = None
            if exchange.is_stale_connection and not is_fresh:
                self._fetch(held, client, way, is_fresh=True)
            else:
                self._fetched(held, token_of(client, exchange))

        target, data = parse_target(client.token_url, way), token_request(client)
        held.call = self._sender.start(target, data, timeout_seconds=self.fetch_seconds, done=done, is_fresh=is_fresh)

    def _fetched(self, held: _Held, found: Token | Exchange) -> None:
        now = perf_counter()
        told: str | Exchange
        if isinstance(found, Token):
            held.text, held.until, held.refresh_at = found.text, now + found.seconds, now + found.refresh_seconds
            held.failure, held.failed_until, told = None, 0.0, found.text
        else:
            held.failure, held.failed_until, told = found, now + self.hold_seconds, found
        waiting, held.waiting = held.waiting, []
        for have in waiting:
            have(told)


class Authorized:
    """An exchange that needs a token first; it ends as one. A receiver's 401 has one other token fetched and tried."""

    def __init__(
        self,
        sender: "Sender",
        target: Target,
        client: OAuth2,
        write: Callable[[str], bytes],
        *,
        timeout_seconds: float,
        done: Done,
        is_fresh: bool = False,
    ) -> None:
        """Make it.

        Args:
            write: Returns the request with the line that it is given.
            is_fresh: Open a connection, whatever others stand open.
        """
        self._sender, self._target, self._client, self._write = sender, target, client, write
        self._way = None if target.by is None or target.by.narrowing is None else Way(target.by.narrowing)
        self._timeout_seconds = timeout_seconds
        self._is_fresh = is_fresh
        self._done: Done | None = done
        self._token = ""
        self._tokens: tuple[str, ...] = ()  # that were sent: two at most
        self._began: float | None = None
        self._is_last = False
        self._call: Call | None = None

    def start(self) -> None:
        """Begin. What came of it may be told before this returns; where this raises, nothing is told."""
        try:
            self._sender.tokens.want(self._client, self._way, self._have)
        except BaseException:
            self._done = None
            self._sender.tokens.give_up(self._client, self._way, self._have)
            raise

    def abort(self) -> None:
        """End it, as `Call.abort` does."""
        if self._call is not None:
            self._call.abort()
        elif self._sender.tokens.give_up(self._client, self._way, self._have):
            self._tell(Exchange(failure="stopped", error=STOPPED))

    def _have(self, found: str | Exchange) -> None:
        if isinstance(found, Exchange):
            self._tell(found)
            return
        now = perf_counter()
        self._token, self._began = found, now if self._began is None else self._began
        self._tokens += (found,)
        left = max(0.1, self._timeout_seconds - (now - self._began))
        try:
            data = self._write(f"Authorization: Bearer {found}\r\n")
            self._call = self._sender.start(self._target, data, timeout_seconds=left, done=self._ended, is_fresh=self._is_fresh)
        except Exception as error:  # noqa: BLE001 - others wait for the same token, and are told it in the same turn
            kind, target = type(error).__name__, self._target  # its text can hold what a rule hides
            logger.error("no request with a token could be made to %s port %d: %s", target.host, target.port, kind)  # noqa: TRY400
            failure = EXHAUSTED if isinstance(error, MemoryError) else "internal"
            self._tell(Exchange(failure=failure, error=f"Tidings failed to make the attempt ({kind})."))

    def _ended(self, exchange: Exchange) -> None:
        self._call = None
        if exchange.status == 401 and not self._is_last and self._sender.tokens.refused(self._client, self._way, self._token):
            self._is_last = True
            self._sender.tokens.want(self._client, self._way, self._have)
            return
        self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(echo_of_tokens(self._client, self._tokens).hidden(exchange))


async def send_authorized(
    sender: "Sender",
    target: Target,
    client: OAuth2,
    write: Callable[[str], bytes],
    *,
    timeout_seconds: float,
    is_fresh: bool = False,
) -> Exchange:
    """Make one exchange with a token, and return what came of it. Cancelling it closes the connection."""
    answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    call = Authorized(
        sender, target, client, write, timeout_seconds=timeout_seconds, is_fresh=is_fresh,
        done=lambda exchange: None if answer.done() else answer.set_result(exchange),
    )  # fmt: skip
    call.start()
    try:
        return await answer
    finally:
        call.abort()
