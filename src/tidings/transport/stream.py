"""The stream between sources and homes: NATS JetStream, which replicates and elects (docs/fleet.md).

One stream for each home holds the flights that are on their way there, until the home has landed them. One bucket of keys holds
what all members agree about. Nothing else of NATS is used, and this module alone knows it.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
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
    from nats.js.api import (
        AckPolicy,
        ConsumerConfig,
        DiscardPolicy,
        RetentionPolicy,
        StorageType,
        StoreCompression,
        StreamConfig,
    )
    from nats.js.errors import APIError, BadRequestError, NotFoundError, ServiceUnavailableError
except ImportError as error:  # pragma: no cover - the extra is installed where tests run
    raise StartupError('TIDINGS_STREAM needs what "tidings[fleet]" brings. Run: pip install "tidings[fleet]"') from error

logger = logging.getLogger("tidings.stream")

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10.0  # for the quorum to have a flight, and for answers
LANDING_SECONDS: Final = 5.0  # until a flight that was received and not acknowledged comes again
RECEIVED_AT_ONCE: Final = 8  # flights
MAX_UNACKNOWLEDGED: Final = 64  # flights of one home, of all its processes
MAX_BYTES: Final = 8 * 2**30  # of flights that wait for a home, unless it is said otherwise
DUPLICATE_SECONDS: Final = 120.0  # within which the stream itself knows a flight again; homes always do
LEAST_PAYLOAD: Final = 65_536  # bytes of a message that servers must take
LEAST_VERSION: Final = (2, 10)
BUCKET: Final = "TIDINGS"
_CONSUMER: Final = "home"
_FLEET, _WISHES = "fleet", "wishes"
_TOO_FEW_NODES: Final = {10005, 10074, 10023}  # no suitable peers; replicas not supported alone; insufficient resources
MAX_SAID: Final = 300  # characters of what the stream said
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
    def sequence(self) -> int:
        """Its number in the stream of its home, without gaps."""
        return int(self._message.metadata.sequence.stream)

    @property
    def cargo(self) -> bytes:
        """What it carries."""
        return bytes(self._message.data)

    async def done(self) -> None:
        """Acknowledge it: the stream forgets it."""
        with _told():
            await self._message.ack()


class Standing(msgspec.Struct, frozen=True):
    """What waits for a home. `replicas`: how many nodes hold it; `current`: how many of these are up to date."""

    home: str
    flights: int
    bytes: int
    most_bytes: int
    replicas: int
    current: int
    leader: str


@contextmanager
def _told() -> Any:
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        # Some say the message they are about, which is nobody's but the receivers'.
        said = str(error).partition(": Msg(")[0].removeprefix("nats: ")[:MAX_SAID]
        raise StreamAwayError(said or type(error).__name__) from (None if "Msg(" in str(error) else error)


class Stream:
    """A connection to the stream. It connects again by itself, for ever."""

    def __init__(self, client: Client, servers: str) -> None:
        self._client = client
        self._servers = servers
        self._jetstream: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self._pull: Any = None

    @property
    def most_bytes(self) -> int:
        """What a message may have."""
        return int(self._client.max_payload)

    # What all agree about --------------------------------------------------------------------------------------------

    async def fleet(self) -> Fleet:
        """Return what the fleet is.

        Raises:
            StartupError: There is none here.
            StreamAwayError: No answer came.
        """
        none = StartupError(f"There is no fleet at {self._servers}. Run: tidings stream init --home NAME")
        with _told():
            try:
                bucket = await self._jetstream.key_value(BUCKET)
                entry = await bucket.get(_FLEET)
            except NotFoundError:
                raise none from None
        try:
            return msgspec.json.decode(entry.value or b"", type=Fleet)
        except msgspec.MsgspecError as error:
            raise StartupError(f"What the fleet at {self._servers} is cannot be read: {error}.") from error

    async def put_wishes(self, home: str, wanted: Mapping[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks of a home want to hear of tables."""
        rows = [(*table, sorted(operations)) for table, operations in sorted(wanted.items())]
        with _told():
            bucket = await self._jetstream.key_value(BUCKET)
            await bucket.put(f"{_WISHES}.{home}", msgspec.json.encode(rows))

    async def wishes(self, homes: Iterable[str]) -> dict[str, dict[TableName, frozenset[str]]]:
        """Return what webhooks of homes want to hear of tables; of those that have said it."""
        found = {}
        with _told():
            bucket = await self._jetstream.key_value(BUCKET)
            for home in homes:
                with suppress(NotFoundError):
                    entry = await bucket.get(f"{_WISHES}.{home}")
                    rows = msgspec.json.decode(entry.value or b"[]", type=list[tuple[str, str, list[str]]])
                    found[home] = {(schema, table): frozenset(operations) for schema, table, operations in rows}
        return found

    # Flights -----------------------------------------------------------------------------------------------------------

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes) -> None:
        """Send a flight, and return once the quorum has it.

        Raises:
            StreamAwayError: It is not known whether the stream has it. Sent again, it is landed once all the same.
        """
        with _told():
            await self._jetstream.publish(
                _subject(home, source), cargo, timeout=ANSWER_SECONDS, stream=_stream(home), headers={_MESSAGE_ID: str(flight)}
            )

    async def receive(self, home: str, seconds: float) -> list[Arrived]:
        """Return flights for a home that came within some seconds.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        with _told():
            if self._pull is None:
                self._pull = await self._jetstream.pull_subscribe_bind(_CONSUMER, _stream(home))
            try:
                return [Arrived(one) for one in await self._pull.fetch(RECEIVED_AT_ONCE, timeout=seconds)]
            except TimeoutError:
                return []

    async def unacknowledged(self, home: str) -> int:
        """Return how many flights were given to somebody who has not acknowledged them; they come again after a while.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        with _told():
            info = await self._jetstream.consumer_info(_stream(home), _CONSUMER)
            return int(info.num_ack_pending or 0)

    # Looking after it --------------------------------------------------------------------------------------------------

    async def make(self, fleet: Fleet, *, replicas: int, most_bytes: int) -> None:
        """Make what a fleet needs; nothing, when something of it cannot be made. What is there stays.

        Raises:
            StartupError: The servers cannot do it, or another fleet is there; with the remedy.
        """
        self._check_servers()
        made: list[str] = []
        try:
            await self._jetstream.account_info()
            await self._make_bucket(fleet, replicas, made)
            for home in fleet.homes:
                await self._make_stream(home, replicas, most_bytes, made)
        except BaseException as error:
            for name in made:
                with suppress(NatsError, OSError, TimeoutError):
                    await self._jetstream.delete_stream(name)
            if isinstance(error, NatsError | OSError | TimeoutError):
                raise StartupError(self._why(error, replicas)) from error
            raise

    async def _make_bucket(self, fleet: Fleet, replicas: int, made: list[str]) -> None:
        try:
            there = await self.fleet()
        except StartupError:
            there = None
        if there is not None:
            if there != fleet:
                raise StartupError(
                    f"There is a fleet at {self._servers} already, with homes {', '.join(there.homes)}. Homes are not added "
                    "or taken away while groups live in them: name these, or use another account of NATS."
                )
            return
        made.append(f"KV_{BUCKET}")
        bucket = await self._jetstream.create_key_value(bucket=BUCKET, history=1, replicas=replicas)
        await bucket.put(_FLEET, msgspec.json.encode(fleet))

    async def _make_stream(self, home: str, replicas: int, most_bytes: int, made: list[str]) -> None:
        name = _stream(home)
        try:
            await self._jetstream.stream_info(name)
        except NotFoundError:
            pass
        else:
            return
        made.append(name)
        await self._jetstream.add_stream(
            StreamConfig(
                name=name, subjects=[_subject(home, "*")], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE,
                discard=DiscardPolicy.NEW, num_replicas=replicas, max_bytes=most_bytes, duplicate_window=DUPLICATE_SECONDS,
                compression=StoreCompression.S2,
            )
        )  # fmt: skip
        await self._jetstream.add_consumer(
            name,
            ConsumerConfig(
                durable_name=_CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=LANDING_SECONDS,
                max_ack_pending=MAX_UNACKNOWLEDGED,
            ),
        )  # fmt: skip

    def _check_servers(self) -> None:
        version = (self._client.connected_server_version.major, self._client.connected_server_version.minor)
        if version < LEAST_VERSION:
            raise StartupError(
                f"NATS at {self._servers} is {version[0]}.{version[1]}; Tidings needs {LEAST_VERSION[0]}.{LEAST_VERSION[1]} or "
                "later."
            )
        if self.most_bytes < LEAST_PAYLOAD:
            raise StartupError(
                f"NATS at {self._servers} takes messages of {self.most_bytes:,} bytes. Set max_payload to {LEAST_PAYLOAD:,} or "
                "more."
            )

    def _why(self, error: BaseException, replicas: int) -> str:
        if isinstance(error, APIError) and error.err_code in _TOO_FEW_NODES:
            return (
                f"NATS at {self._servers} cannot keep {replicas} copies ({error.description}). Start as many nodes with "
                "JetStream, with room on their disks, or ask for fewer: --replicas."
            )
        if isinstance(error, ServiceUnavailableError) or "no responders" in str(error):
            return f"NATS at {self._servers} has no JetStream, or none that answers. Start its nodes with jetstream enabled."
        if isinstance(error, BadRequestError | APIError):
            return f"NATS at {self._servers} refused: {error.description}."
        return f"NATS at {self._servers} did not answer ({error or type(error).__name__})."

    async def standing(self, fleet: Fleet) -> list[Standing]:
        """Return what waits for each home.

        Raises:
            StreamAwayError: No answer came, or the stream of a home is gone.
        """
        found = []
        with _told():
            for home in fleet.homes:
                info = await self._jetstream.stream_info(_stream(home))
                peers = (info.cluster.replicas or []) if info.cluster is not None else []
                found.append(
                    Standing(
                        home, info.state.messages, info.state.bytes, info.config.max_bytes or -1, info.config.num_replicas or 1,
                        1 + sum(bool(peer.current) for peer in peers), (info.cluster.leader if info.cluster else "") or "",
                    )
                )  # fmt: skip
        return found


def _stream(home: str) -> str:
    return f"TIDINGS_{home}"


def _subject(home: str, source: str) -> str:
    return f"tidings.flights.{home}.{source}"


@asynccontextmanager
async def opened(servers: str, *, credentials: Path | None, ca_file: Path | None) -> AsyncIterator[Stream]:
    """Lend a connection to the stream.

    Args:
        servers: URLs with commas, `nats://…` or `tls://…`; a user and a password, or a token, in them.
        credentials: A file of NATS credentials (`.creds`).

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
    noting = _Noting()

    async def on_error(error: Exception) -> None:
        refused.append(error)
        del refused[:-1]

    client = Client()
    options: dict[str, Any] = {"tls": tls} if tls is not None else {}
    if credentials is not None:
        options["user_credentials"] = str(credentials)
    connecting = client.connect(
        urls, name="tidings", error_cb=on_error, disconnected_cb=noting.lost, reconnected_cb=noting.found,
        connect_timeout=CONNECT_SECONDS, max_reconnect_attempts=3, reconnect_time_wait=1, **options,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 3):
            await connecting
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        await client.close()
        raise StartupError(
            f"NATS at {shown} cannot be reached ({refused[-1] if refused else error or type(error).__name__}). Start it, or "
            "correct TIDINGS_STREAM."
        ) from error
    client.options["max_reconnect_attempts"] = -1
    noting.is_wanted = True
    try:
        yield Stream(client, shown)
    finally:
        noting.is_wanted = False
        await client.close()


class _Noting:
    """Says once that the stream is gone, and once that it is back."""

    def __init__(self) -> None:
        self.is_wanted = False
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


__all__ = ["Arrived", "Standing", "Stream", "StreamAwayError", "opened"]
