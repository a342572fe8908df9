"""The stream between sources and homes: NATS JetStream, which replicates and elects (docs/fleet.md).

One stream for each home holds the flights that are on their way there, until the home has landed them (`stream_flights`). One
bucket of keys holds what all members agree about (`stream_bucket`). Nothing else of NATS is used; here is the connection.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tidings.core.errors import StartupError
from tidings.transport.stream_access import options_of, urls_of, without_secrets
from tidings.transport.stream_away import StreamAwayError

try:
    from nats.aio.client import Client
    from nats.errors import Error as NatsError
    from nats.js import JetStreamContext

    from tidings.transport.stream_answers import ANSWER_SECONDS, MAX_SAID
    from tidings.transport.stream_bucket import Bucket
    from tidings.transport.stream_client import SILENT_SECONDS, MendedClient
    from tidings.transport.stream_flights import Flights
except ImportError as error:  # pragma: no cover - the extra is installed where tests run
    raise StartupError('TIDINGS_STREAM needs what "tidings[fleet]" brings. Run: pip install "tidings[fleet]"') from error

logger = logging.getLogger("tidings.stream")

CONNECT_SECONDS: Final = 5


class Stream:
    """A connection to the stream. It connects again by itself, until the stream tells it to go for good (`until_closed`).

    Attributes:
        servers: As they are shown: without secrets.
        jetstream: By which streams are made, and looked at.
        flights: What is on its way to homes.
        bucket: What all members agree about.
    """

    def __init__(self, client: Client, servers: str, closed: asyncio.Event) -> None:
        self._client = client
        self.servers = servers
        self.jetstream: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self.flights = Flights(client, self.jetstream)
        self.bucket = Bucket(client, self.jetstream, servers)
        self._closed = closed

    async def until_closed(self) -> None:
        """Wait until the stream has closed the connection for good: credentials that ended, too many connections.

        Raises:
            StartupError: That is so.
        """
        await self._closed.wait()
        reason = self._client.last_error or "it gave no reason"
        raise StartupError(f"NATS at {self.servers} closed the connection ({reason}). Correct the credentials, or its limits.")

    @property
    def version(self) -> tuple[int, int]:
        """Of the server that we are connected to."""
        version = self._client.connected_server_version
        return version.major, version.minor

    @property
    def connected_to(self) -> str:
        """The name of the server that we are connected to; "": none."""
        return str((self._client._server_info or {}).get("server_name", ""))  # noqa: SLF001 - it tells nobody else

    async def ask(self, subject: str, question: bytes) -> bytes:
        """Return what the servers answer."""
        return bytes((await self._client.request(subject, question, timeout=ANSWER_SECONDS)).data)


def inbox_of(role: str, name: str) -> str:
    """Return what subjects begin with that answers to a member come to, so that it may be denied to hear others'.

    Flights come to homes by it: whoever may subscribe to all inboxes reads them.
    """
    return f"_INBOX.{role}.{name}"


@asynccontextmanager
async def opened(
    servers: str, *, credentials: Path | None, ca_file: Path | None, inbox: str = "_INBOX"
) -> AsyncIterator[Stream]:
    """Lend a connection to the stream.

    Args:
        servers: URLs with commas, `nats://…` or `tls://…`; a user and a password, or a token, in them.
        credentials: A file of NATS credentials (`.creds`).
        inbox: What the subjects begin with that answers, and flights, come to: of each member its own (`inbox_of`).

    Raises:
        StartupError: No server can be reached, or it refuses us.
    """
    urls = urls_of(servers)
    shown = ", ".join(without_secrets(url) for url in urls)
    options = options_of(urls, credentials, ca_file)
    noting, closed = _Noting(shown), asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    async def on_reconnected() -> None:
        client.leave_when_silent()
        await noting.found()

    client = MendedClient()
    connecting = client.connect(
        urls, name="tidings", inbox_prefix=inbox, error_cb=noting.refused,
        disconnected_cb=noting.lost, reconnected_cb=on_reconnected, closed_cb=on_closed,
        ping_interval=SILENT_SECONDS // 2, max_outstanding_pings=1,
        connect_timeout=CONNECT_SECONDS, max_reconnect_attempts=3, reconnect_time_wait=1, **options,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 3):
            await connecting
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        await client.end()
        raise noting.unreached(error) from error
    client.options["max_reconnect_attempts"] = -1
    client.leave_when_silent()
    noting.is_wanted = True
    try:
        yield Stream(client, shown, closed)
    except (StartupError, StreamAwayError) as error:
        if not noting.is_deaf(inbox):
            raise
        raise noting.unheard(inbox) from error
    finally:
        noting.is_wanted = False
        await client.end()


class _Noting:
    """Says once that the stream is gone, and once that it is back; remembers what its servers refused last."""

    def __init__(self, shown: str) -> None:
        """Make it. `shown`: the servers, without secrets."""
        self.is_wanted = False
        self._shown = shown
        self._error: Exception | None = None
        self._said = ""  # about permissions, last
        self._is_login_refused = False
        self._is_lost = False

    async def refused(self, error: Exception) -> None:
        self._error = error
        self._is_login_refused |= "authorization violation" in str(error).lower()
        if (said := str(error)[:MAX_SAID]) != self._said and "permissions violation" in said.lower():
            self._said = said  # else nothing tells it from a stream that does not answer
            logger.error("%s. Give this member what docs/fleet-reference.md says it needs.", said)

    def unreached(self, error: Exception) -> StartupError:
        """Return why no server could be reached."""
        if self._is_login_refused:  # which of the servers says so, and which breaks the connection at once, is chance
            return StartupError(
                f"NATS at {self._shown} cannot be reached (it refuses this login). Correct the user and the password in "
                "TIDINGS_STREAM, or the file that TIDINGS_STREAM_CREDENTIALS names."
            )
        why = self._error or error
        return StartupError(
            f"NATS at {self._shown} cannot be reached ({str(why) or type(why).__name__}). Start it, or correct TIDINGS_STREAM."
        )

    def is_deaf(self, inbox: str) -> bool:
        """Whether answers were refused to come to us."""
        return f'subscription to "{inbox.lower()}.' in self._said.lower()

    def unheard(self, inbox: str) -> StartupError:
        """Return why no answer comes, where they were refused to come to us."""
        return StartupError(
            f"NATS at {self._shown} does not let this login hear answers at {inbox}.>, so that none comes. Write the login "
            "into TIDINGS_STREAM that may do this (docs/fleet-reference.md, who may do what in the stream)."
        )

    async def lost(self) -> None:
        if self.is_wanted and not self._is_lost:
            self._is_lost = True
            logger.warning("the stream is away; what is committed waits, and nothing is lost")

    async def found(self) -> None:
        if self._is_lost:
            self._is_lost = False
            logger.warning("the stream is back")


__all__ = ["Stream", "StreamAwayError", "inbox_of", "opened"]
