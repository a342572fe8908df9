"""Asks the other homes of the fleet over HTTP. The operator says where they are, so their addresses are not judged as those of
webhooks are; they are reached by TLS, and nothing that they answer leads on to somewhere else.

A home that hangs takes no more than its share of what one process asks at once, and one that cannot be reached is not tried
again for a second: whoever asks for it is told at once. What one home is asked at once is shared by the groups that it is asked
for (`core.places`): calls that wait for an answer to begin, and answers that are on their way, which may have no end. What a
home asks for itself has places of its own, so that no group's calls keep a key from being found.
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidings.core.errors import BusyError, HomeAwayError, HomesDisagreeError, InvalidInputError
from tidings.core.places import Places
from tidings.transport.tls import Contexts

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 60.0  # without a byte of an answer
RECEIVER_SECONDS: Final = 330.0  # the same, where a home answers when a receiver has: that may take 300
WAITING: Final = 48  # calls that wait for one home's answers to begin; a process works on 256 calls at once
UNDER_WAY: Final = 144  # and with answers on their way: listening without an end takes no place among those 256
OWN: Final = 24  # questions of ours to one home, of either kind
AWAY_SECONDS: Final = 1.0  # that a home is not tried which could not be reached
KEPT_SECONDS: Final = 20.0  # that a connection is kept; servers keep theirs for longer
REFUSED: Final = "tidings-voucher-refused"  # in the head of an answer: a home does not believe another
MAX_BYTES: Final = 16 * 2**20  # of an answer that is read whole

# What an answer says of its connection alone; and cookies, which are of one home.
_KEPT: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"server", b"date", b"set-cookie"}
)  # fmt: skip

Lines = Sequence[tuple[bytes, bytes]]


class Answer:
    """What a home answers: its head, and its body as it comes."""

    def __init__(self, home: str, response: "httpx.Response") -> None:
        self._home = home
        self._response = response
        self.status = response.status_code
        self.headers: Lines = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _KEPT]

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body, as it came.

        Raises:
            HomeAwayError: It broke off.
        """
        import httpx

        try:
            async for part in self._response.aiter_raw():
                yield part
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise _away(self._home, f"it broke off ({type(error).__name__})") from error

    async def whole(self, most: int = MAX_BYTES) -> bytes:
        """Return the body.

        Args:
            most: Bytes that it has at most.

        Raises:
            HomeAwayError: It broke off, or is larger than anybody reads.
        """
        body = bytearray()
        async for part in self.parts():
            body += part
            if len(body) > most:
                raise _away(self._home, f"it answers more than {most} bytes; ask for fewer at once")
        return bytes(body)


class Homes:
    """The other homes. It belongs to one event loop."""

    def __init__(
        self, addresses: Mapping[str, str], *, ca_file: Path | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Make it.

        Args:
            addresses: Where their APIs are, by name.
            ca_file: Further authorities, in PEM form.

        Raises:
            StartupError: That file cannot be read.
        """
        self.addresses = dict(addresses)
        self._contexts = Contexts(ca_file)
        self._monotonic = monotonic
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._waiting = {home: Places(WAITING) for home in self.addresses}
        self._under_way = {home: Places(UNDER_WAY) for home in self.addresses}
        self._own = dict.fromkeys(self.addresses, 0)
        self._away_until = dict.fromkeys(self.addresses, float("-inf"))

    @asynccontextmanager
    async def asked(
        self,
        home: str,
        method: str,
        target: bytes,
        headers: Lines,
        content: AsyncIterable[bytes] | bytes | None = None,
        *,
        of: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> AsyncIterator[Answer]:
        """Ask a home, and lend what it answers.

        Args:
            target: The path with its query, sent as it is.
            of: For whom, of those who share the home's places: a group, or an empty text; None: for ourselves.
            seconds: Without a byte of an answer.

        Raises:
            BusyError: So much is under way for them that others would get no place.
            HomeAwayError: It does not answer, or too many wait for it.
            HomesDisagreeError: It does not believe us; or we are not told where it is.
        """
        import httpx

        self._expect_known(home)
        with self._place(home, of) as began:
            try:
                request = self._client(home).build_request(
                    method,
                    self.addresses[home],
                    headers=list(headers),
                    content=content,
                    extensions={"target": target},
                    timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
                )
                response = await self._sent(home, request)
                began()
                try:
                    self._check(home, response)
                    yield Answer(home, response)
                finally:
                    await response.aclose()
            except httpx.StreamError as error:
                raise _away(home, type(error).__name__) from error

    async def close(self) -> None:
        """Give back the connections."""
        for client in self._clients.values():
            await client.aclose()

    def _expect_known(self, home: str) -> None:
        if home not in self.addresses:
            raise HomesDisagreeError(f"Home {home} has no address here. Name it in TIDINGS_HOMES, and start this home again.")
        if self._monotonic() < self._away_until[home]:
            raise _away(home, "it could not be reached a moment ago; nothing was done")

    @contextmanager
    def _place(self, home: str, of: str | None) -> Iterator[Callable[[], None]]:
        """Hold a place while the block runs. What is lent is called when the answer has begun."""
        if of is None:
            if self._own[home] >= OWN:
                raise _away(home, f"{OWN} questions wait for it already; nothing was done")
            self._own[home] += 1
            try:
                yield lambda: None
            finally:
                self._own[home] -= 1
            return
        waiting, under_way = self._waiting[home], self._under_way[home]
        if not waiting.take(of):
            raise _full(home, of, waiting, "wait for it already")
        is_waiting = True

        def began() -> None:
            nonlocal is_waiting
            is_waiting = False
            waiting.give_back(of)

        try:
            if not under_way.take(of):
                raise _full(home, of, under_way, "are under way there")
            try:
                yield began
            finally:
                under_way.give_back(of)
        finally:
            if is_waiting:
                waiting.give_back(of)

    def _check(self, home: str, response: "httpx.Response") -> None:
        if REFUSED in response.headers:
            raise HomesDisagreeError(
                f"Home {home} does not believe this home. Give both the same TIDINGS_HOMES_KEY, clocks that agree, and one "
                "version of Tidings."
            )
        if 300 <= response.status_code < 400:
            raise _away(home, f"it answers {response.status_code}, which leads to somewhere else. Correct its address")

    async def _sent(self, home: str, request: "httpx.Request") -> "httpx.Response":
        import httpx

        is_repeatable = request.method in {"GET", "HEAD"}
        for is_last in (not is_repeatable, True):
            try:
                return await self._client(home).send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self._away_until[home] = self._monotonic() + AWAY_SECONDS
                raise _away(home, "it cannot be reached; nothing was done") from error
            except httpx.RemoteProtocolError as error:  # a connection that was kept, and closed by then
                if is_last:
                    raise _away(home, "it broke off; what was asked for may have been done") from error
            except httpx.LocalProtocolError as error:
                raise InvalidInputError("headers", f"The request cannot be handed on to home {home}: {error}.") from error
            except (httpx.HTTPError, OSError) as error:
                raise _away(home, f"{type(error).__name__}; what was asked for may have been done") from error
        raise AssertionError

    def _client(self, home: str) -> "httpx.AsyncClient":
        import httpx  # a fifth of a second, which only fleets wait for

        client = self._clients.get(home)
        if client is None:
            # Proxies of the environment are for what is outside; homes are reached as they are.
            client = self._clients[home] = httpx.AsyncClient(
                verify=self._contexts.for_all, trust_env=False, follow_redirects=False,
                limits=httpx.Limits(
                    max_connections=UNDER_WAY + OWN, max_keepalive_connections=WAITING, keepalive_expiry=KEPT_SECONDS
                ),
            )  # fmt: skip
            client.headers.clear()  # what is sent is the caller's
        return client


def _away(home: str, why: str) -> HomeAwayError:
    return HomeAwayError(f"Home {home} of the fleet does not answer: {why}. Try again.", home=home)


def _full(home: str, of: str, places: Places, doing: str) -> BusyError | HomeAwayError:
    """Return why there is no place: all are taken, or so many by one that others would get none."""
    if not places.taken_by(of):
        return _away(home, f"{places.most} calls {doing}; nothing was done")
    whose = f"for the group {of!r}" if of else "for no group"
    return BusyError(f"{places.taken_by(of)} calls {whose} to home {home} {doing}, as many as others leave. Try again.")
