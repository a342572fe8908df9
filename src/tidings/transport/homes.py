"""Asks the other homes of the fleet over HTTP. The operator says where they are, so their addresses are not judged as those of
webhooks are; they are reached by TLS, and nothing that they answer leads on to somewhere else.

A home that hangs takes no more than its share of what one process asks at once, and one that cannot be reached is not tried
again for a second: whoever asks for it is told at once.
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidings.core.errors import HomeAwayError, HomesDisagreeError, InvalidInputError
from tidings.transport.tls import Contexts

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 60.0  # without a byte of an answer
AT_ONCE: Final = 48  # of one home; a process works on 256 calls at once
AWAY_SECONDS: Final = 1.0  # that a home is not tried which could not be reached
KEPT_SECONDS: Final = 20.0  # that a connection is kept; servers keep theirs for longer
REFUSED: Final = "tidings-voucher-refused"  # in the head of an answer: a home does not believe another
MAX_BYTES: Final = 16 * 2**20  # of an answer that is read whole

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"server", b"date"}
)  # fmt: skip

Lines = Sequence[tuple[bytes, bytes]]


class Answer:
    """What a home answers: its head, and its body as it comes."""

    def __init__(self, home: str, response: "httpx.Response") -> None:
        self._home = home
        self._response = response
        self.status = response.status_code
        self.headers: Lines = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP]

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

    async def whole(self) -> bytes:
        """Return the body.

        Raises:
            HomeAwayError: It broke off, or is larger than anybody reads.
        """
        body = bytearray()
        async for part in self.parts():
            body += part
            if len(body) > MAX_BYTES:
                raise _away(self._home, f"it answers more than {MAX_BYTES} bytes; ask for fewer at once")
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
        self._under_way = dict.fromkeys(self.addresses, 0)
        self._away_until = dict.fromkeys(self.addresses, float("-inf"))

    @asynccontextmanager
    async def asked(
        self, home: str, method: str, target: bytes, headers: Lines, content: AsyncIterable[bytes] | bytes | None = None
    ) -> AsyncIterator[Answer]:
        """Ask a home, and lend what it answers.

        Args:
            target: The path with its query, sent as it is.

        Raises:
            HomeAwayError: It does not answer, or too many wait for it.
            HomesDisagreeError: It does not believe us; or we are not told where it is.
        """
        import httpx

        self._expect_room(home)
        self._under_way[home] += 1
        try:
            request = self._client(home).build_request(
                method, self.addresses[home], headers=list(headers), content=content, extensions={"target": target}
            )
            response = await self._sent(home, request)
            try:
                if REFUSED in response.headers:
                    raise HomesDisagreeError(
                        f"Home {home} does not believe this home. Give both the same TIDINGS_HOMES_KEY, and clocks that agree."
                    )
                if 300 <= response.status_code < 400:
                    raise _away(home, f"it answers {response.status_code}, which leads to somewhere else. Correct its address")
                yield Answer(home, response)
            finally:
                await response.aclose()
        except httpx.StreamError as error:
            raise _away(home, type(error).__name__) from error
        finally:
            self._under_way[home] -= 1

    async def close(self) -> None:
        """Give back the connections."""
        for client in self._clients.values():
            await client.aclose()

    def _expect_room(self, home: str) -> None:
        if home not in self.addresses:
            raise HomesDisagreeError(f"Home {home} has no address here. Name it in TIDINGS_HOMES, and start this home again.")
        if self._monotonic() < self._away_until[home]:
            raise _away(home, "it could not be reached a moment ago; nothing was done")
        if self._under_way[home] >= AT_ONCE:
            raise _away(home, f"{AT_ONCE} calls wait for it already; nothing was done")

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
                timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=KEPT_SECONDS),
            )  # fmt: skip
            client.headers.clear()  # what is sent is the caller's
        return client


def _away(home: str, why: str) -> HomeAwayError:
    return HomeAwayError(f"Home {home} of the fleet does not answer: {why}. Try again.", home=home)
