"""The stream between sources and homes: NATS JetStream, which replicates and elects (docs/fleet.md).

One stream for each home holds the flights that are on their way there, until the home has landed them. One bucket of keys holds
what all members agree about. Nothing else of NATS is used, and this module alone knows it.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from tidings.core.capture import TableName
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet

try:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import Error as NatsError
    from nats.js import JetStreamContext
    from nats.js.errors import NotFoundError
except ImportError as error:  # pragma: no cover - the extra is installed where tests run
    raise StartupError('TIDINGS_STREAM needs what "tidings[fleet]" brings. Run: pip install "tidings[fleet]"') from error

logger = logging.getLogger("tidings.stream")

CONNECT_SECONDS: Final = 5
SILENT_SECONDS: Final = 10  # for which a server may take nothing, or answer no ping, until it is left for another
CLOSING_SECONDS: Final = 3
ANSWER_SECONDS: Final = 10.0  # for answers
SEND_SECONDS: Final = 4.0  # for the quorum to have a flight, before it is sent again: of a node that died no answer comes
LANDING_SECONDS: Final = 5.0  # until a flight that was received and not acknowledged comes again
RECEIVED_AT_ONCE: Final = 8  # flights
BUCKET: Final = "TIDINGS"
CONSUMER: Final = "home"
FLEET, _WISHES = "fleet", "wishes"
MAX_SAID: Final = 300  # characters of what the stream said
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]  # of a schema or a table
_Operation = Literal["INSERT", "UPDATE", "DELETE"]
_MESSAGE_ID: Final = "Nats-Msg-Id"


class StreamAwayError(Exception):
    """The stream did not do what was asked now, and may later. Its text tells why."""


class Arrived:
    """A flight that came, until it is acknowledged."""

    def __init__(self, message: Msg) -> None:
        self._message = message

    @property
    def name(self) -> str:
        """What its sender called it."""
        return str((self._message.headers or {}).get(_MESSAGE_ID, ""))

    @property
    def id(self) -> UUID | None:
        """The flight's id; None: whoever sent it was no relay."""
        try:
            return UUID(self.name)
        except ValueError:
            return None

    @property
    def source(self) -> str:
        """Where it came from, as its subject says: by the servers' permissions nobody else may write there."""
        return str(self._message.subject).rpartition(".")[2]

    @property
    def sequence(self) -> int:
        """Its number in the stream of its home, without gaps."""
        return int(self._message.metadata.sequence.stream)

    @property
    def cargo(self) -> bytes:
        """What it carries."""
        return bytes(self._message.data)

    async def done(self) -> None:
        """Acknowledge it: the stream forgets it."""
        async with told():
            await self._message.ack()


@asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Have what the stream refuses, or does not answer in time, be said as StreamAwayError.

    The client's own limits begin once a request has left; to one that never does they never come.
    """
    try:
        async with asyncio.timeout(1.5 * ANSWER_SECONDS):
            yield
    except (NatsError, OSError, TimeoutError) as error:
        # Some say the message they are about, which is nobody's but the receivers'.
        said = str(error).partition(": Msg(")[0].removeprefix("nats: ")[:MAX_SAID]
        raise StreamAwayError(said or type(error).__name__) from (None if "Msg(" in str(error) else error)


class Stream:
    """A connection to the stream. It connects again by itself, until the stream tells it to go for good (`until_closed`)."""

    def __init__(self, client: Client, servers: str, closed: asyncio.Event) -> None:
        self._client = client
        self.servers = servers  # as they are shown: without secrets
        self.jetstream: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self._closed = closed
        self._pull: Any = None

    async def until_closed(self) -> None:
        """Wait until the stream has closed the connection for good: credentials that ended, too many connections.

        Raises:
            StartupError: That is so.
        """
        await self._closed.wait()
        reason = self._client.last_error or "it gave no reason"
        raise StartupError(f"NATS at {self.servers} closed the connection ({reason}). Correct the credentials, or its limits.")

    @property
    def most_bytes(self) -> int:
        """What a message may have."""
        return int(self._client.max_payload)

    @property
    def version(self) -> tuple[int, int]:
        """Of the server that we are connected to."""
        version = self._client.connected_server_version
        return version.major, version.minor

    # What all agree about --------------------------------------------------------------------------------------------

    async def fleet(self) -> Fleet:
        """Return what the fleet is.

        Raises:
            StartupError: There is none here.
            StreamAwayError: No answer came.
        """
        none = StartupError(f"There is no fleet at {self.servers}. Run: tidings stream init --home NAME")
        async with told():
            try:
                bucket = await self.jetstream.key_value(BUCKET)
                entry = await bucket.get(FLEET)
            except NotFoundError:
                raise none from None
        try:
            return msgspec.json.decode(entry.value or b"", type=Fleet)
        except msgspec.MsgspecError as error:
            raise StartupError(f"What the fleet at {self.servers} is cannot be read: {error}.") from error

    async def put_wishes(self, home: str, wanted: Mapping[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks of a home want to hear of tables."""
        rows = [(*table, sorted(operations)) for table, operations in sorted(wanted.items())]
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            await bucket.put(f"{_WISHES}.{home}", msgspec.json.encode(rows))

    async def wishes(self, homes: Iterable[str]) -> dict[str, dict[TableName, frozenset[str]] | None]:
        """Return what webhooks of homes want to hear of tables; None: what a home has said cannot be read."""
        found: dict[str, dict[TableName, frozenset[str]] | None] = {}
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            for home in homes:
                with suppress(NotFoundError):
                    entry = await bucket.get(f"{_WISHES}.{home}")
                    found[home] = _wanted(entry.value or b"[]")
        return found

    # Flights -----------------------------------------------------------------------------------------------------------

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes) -> None:
        """Send a flight, and return once the quorum has it.

        Raises:
            StreamAwayError: It is not known whether the stream has it. Sent again, it is landed once all the same.
        """
        async with told():
            await self.jetstream.publish(
                subject_of(home, source),
                cargo,
                timeout=SEND_SECONDS,
                stream=stream_of(home),
                headers={_MESSAGE_ID: str(flight)},
            )

    async def receive(self, home: str, seconds: float) -> list[Arrived]:
        """Return flights for a home that came within some seconds.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            if self._pull is None:
                self._pull = await self.jetstream.pull_subscribe_bind(CONSUMER, stream_of(home))
            try:
                return [Arrived(one) for one in await self._pull.fetch(RECEIVED_AT_ONCE, timeout=seconds)]
            except TimeoutError:
                return []

    async def first(self, home: str) -> int:
        """Return the number of the first flight that the stream keeps for a home, or will: all before it were landed.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            state = (await self.jetstream.stream_info(stream_of(home))).state
            return int(state.first_seq if state.messages else state.last_seq + 1)


def _wanted(said: bytes) -> dict[TableName, frozenset[str]] | None:
    try:
        rows = msgspec.json.decode(said, type=list[tuple[_Name, _Name, list[_Operation]]])
    except msgspec.MsgspecError:
        return None
    return {(schema, table): frozenset(operations) for schema, table, operations in rows}


def stream_of(home: str) -> str:
    """Return what the stream of a home is called."""
    return f"TIDINGS_{home}"


def subject_of(home: str, source: str) -> str:
    """Return the subject of what a source sends to a home."""
    return f"tidings.flights.{home}.{source}"


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
    urls = [url.strip() for url in servers.split(",")]
    shown = ", ".join(_without_secrets(url) for url in urls)
    for url in urls:
        if urlsplit(url).scheme not in {"nats", "tls"} or not urlsplit(url).hostname:
            raise StartupError(f"TIDINGS_STREAM has {_without_secrets(url)!r}. Write nats://host:port, several with commas.")
    tls = None
    if any(urlsplit(url).scheme == "tls" for url in urls):
        tls = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    refused: list[BaseException] = []
    noting, closed = _Noting(), asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    async def on_reconnected() -> None:
        _leave_when_silent(client)
        await noting.found()

    async def on_error(error: Exception) -> None:
        refused.append(error)
        del refused[:-1]
        if (said := str(error)[:MAX_SAID]) != noting.said and "permissions violation" in said.lower():
            noting.said = said  # else nothing tells it from a stream that does not answer
            logger.error("%s. Give this member what docs/fleet.md says it needs.", said)

    client = Client()
    options: dict[str, Any] = {"tls": tls} if tls is not None else {}
    if credentials is not None:
        options["user_credentials"] = str(credentials)
    connecting = client.connect(
        urls, name="tidings", inbox_prefix=inbox, error_cb=on_error,
        disconnected_cb=noting.lost, reconnected_cb=on_reconnected, closed_cb=on_closed,
        ping_interval=SILENT_SECONDS // 2, max_outstanding_pings=1,
        connect_timeout=CONNECT_SECONDS, max_reconnect_attempts=3, reconnect_time_wait=1, **options,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 3):
            await connecting
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        await _close(client)
        raise StartupError(
            f"NATS at {shown} cannot be reached ({refused[-1] if refused else error or type(error).__name__}). Start it, or "
            "correct TIDINGS_STREAM."
        ) from error
    client.options["max_reconnect_attempts"] = -1
    _leave_when_silent(client)
    noting.is_wanted = True
    try:
        yield Stream(client, shown, closed)
    finally:
        noting.is_wanted = False
        await _close(client)


def _leave_when_silent(client: Client) -> None:
    """Have the system break a connection by which nothing can be sent, so that the client turns to another server.

    The client itself waits without a bound until what it has sent is taken, and a server that is frozen takes nothing.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock = _transport(client).get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_SECONDS * 1000)


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await client.close()
    except TimeoutError:  # as above
        _transport(client).abort()


def _transport(client: Client) -> Any:
    return client._transport._io_writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - nothing else leads there


class _Noting:
    """Says once that the stream is gone, and once that it is back."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.said = ""  # about permissions, last
        self._is_lost = False

    async def lost(self) -> None:
        if self.is_wanted and not self._is_lost:
            self._is_lost = True
            logger.warning("the stream is away; what is committed waits, and nothing is lost")

    async def found(self) -> None:
        if self._is_lost:
            self._is_lost = False
            logger.warning("the stream is back")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:200]


__all__ = ["Arrived", "Stream", "StreamAwayError", "opened"]
