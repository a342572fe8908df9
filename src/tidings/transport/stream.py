"""The stream between sources and homes: NATS JetStream, which replicates and elects (docs/fleet.md).

One stream for each home holds the flights that are on their way there, until the home has landed them. One bucket of keys holds
what all members agree about. Nothing else of NATS is used, and this module alone knows it.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from tidings.core.capture import TableName
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.core.kept import Holding
from tidings.core.pressure import Drained, Report, Why, read_report
from tidings.transport.stream_access import options_of, urls_of, without_secrets
from tidings.transport.stream_away import StreamAwayError

try:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import Error as NatsError
    from nats.errors import MaxPayloadError
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg
    from nats.js.errors import APIError, KeyWrongLastSequenceError, NotFoundError

    from tidings.transport.stream_client import SILENT_SECONDS, MendedClient, headers_of
except ImportError as error:  # pragma: no cover - the extra is installed where tests run
    raise StartupError('TIDINGS_STREAM needs what "tidings[fleet]" brings. Run: pip install "tidings[fleet]"') from error

logger = logging.getLogger("tidings.stream")

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10.0  # for answers
SEND_SECONDS: Final = 4.0  # for the quorum to have a flight, before it is sent again: of a node that died no answer comes
LANDING_SECONDS: Final = 5.0  # until a flight that was received and not acknowledged comes again
RECEIVED_AT_ONCE: Final = 8  # flights
BUCKET: Final = "TIDINGS"
CONSUMER: Final = "home"
# Keys of the bucket, and what keys begin with
FLEET, WISHES, SETTLED, DRAINED, SOURCES, HOMES = "fleet", "wishes", "settled", "drained", "sources", "homes"
TRIES: Final = 5  # at what somebody else may change meanwhile
UNREAD: Final = (msgspec.MsgspecError, ValueError, RecursionError)  # said of what is no JSON; ValueError: no text in it
MAX_SAID: Final = 300  # characters of what the stream said
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]  # of a schema or a table
_Operation = Literal["INSERT", "UPDATE", "DELETE"]
_MESSAGE_ID: Final = "Nats-Msg-Id"
_STORED_IN: Final = "Nats-Stream"  # what the server answers with, from a stream
_FOR: Final = "Tidings-For"  # home and source
_FLIGHTS: Final = "tidings.flights."
_WHOLE: Final = "Tidings-Whole"  # of a piece of a flight: that flight's id
_NO_ROOM: Final = {10023, 10047}  # no resources; no room in storage. A limit of a stream's is told by its text alone


class Arrived:
    """A flight that came, until it is acknowledged."""

    def __init__(self, message: Msg) -> None:
        self._message: Any = message

    @property
    def name(self) -> str:
        """What its sender called it."""
        return str((self._message.headers or {}).get(_MESSAGE_ID, ""))

    @property
    def id(self) -> UUID | None:
        """The flight's id; None: whoever sent it was no relay.

        The stream sends answers wherever it is asked to, with its own rights. A member could have it answer with another
        flight, or with a value that the member has put, where another's flights come from: by what they say of themselves they
        are told from flights.
        """
        headers = self._message.headers or {}
        if _STORED_IN in headers or headers.get(_FOR) != str(self._message.subject).removeprefix(_FLIGHTS):
            return None
        try:
            return UUID(self.name)
        except ValueError:
            return None

    @property
    def whole(self) -> UUID | None:
        """The flight that this is a piece of; None: it is none."""
        try:
            return UUID((self._message.headers or {}).get(_WHOLE, ""))
        except ValueError:
            return None

    @property
    def is_new(self) -> bool:
        """Whether the stream has given it to nobody before."""
        return int(self._message.metadata.num_delivered) == 1

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
        """Acknowledge it: the stream does not bring it again."""
        async with told():
            await self._message.ack()


class Kept(Arrived):
    """A flight that was asked for by its number. There is nothing to acknowledge."""

    def __init__(self, message: RawStreamMsg) -> None:
        self._message: Any = message
        # As those of a flight that arrives are read, so that both are called the same; the library's own reading differs.
        message.headers = headers_of(b64decode(message.hdrs or ""))

    @property
    def sequence(self) -> int:
        """Its number in the stream of its home."""
        return int(self._message.seq)

    @property
    def cargo(self) -> bytes:
        """What it carries."""
        return bytes(self._message.data or b"")

    @property
    def is_new(self) -> bool:
        """Whether the stream has given it to nobody before: it has."""
        return False

    async def done(self) -> None:
        """Do nothing."""


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
        raise StreamAwayError(said or type(error).__name__, _why(error)) from (None if "Msg(" in str(error) else error)


def _why(error: BaseException) -> Why:
    if isinstance(error, MaxPayloadError):
        return Why.LARGE
    if isinstance(error, APIError) and (error.err_code in _NO_ROOM or "maximum" in str(error.description)):
        return Why.FULL
    return Why.AWAY


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

    @property
    def connected_to(self) -> str:
        """The name of the server that we are connected to; "": none."""
        return str((self._client._server_info or {}).get("server_name", ""))  # noqa: SLF001 - it tells nobody else

    async def ask(self, subject: str, question: bytes) -> bytes:
        """Return what the servers answer."""
        return bytes((await self._client.request(subject, question, timeout=ANSWER_SECONDS)).data)

    # What all agree about --------------------------------------------------------------------------------------------

    async def fleet(self) -> Fleet:
        """Return what the fleet is.

        Raises:
            StartupError: There is none here.
            StreamAwayError: No answer came.
        """
        return (await self.fleet_and_revision())[0]

    async def fleet_and_revision(self) -> tuple[Fleet, int]:
        """As `fleet`, with the number that a change of it has to name."""
        none = StartupError(f"There is no fleet at {self.servers}. Run: tidings stream init --home NAME")
        async with told():
            try:
                bucket = await self.jetstream.key_value(BUCKET)
                entry = await bucket.get(FLEET)
            except NotFoundError:
                raise none from None
        try:
            return msgspec.json.decode(entry.value or b"", type=Fleet), entry.revision or 0
        except UNREAD as error:
            raise StartupError(f"What the fleet at {self.servers} is cannot be read: {error}.") from error

    async def join(self, member: str) -> None:
        """Be known as one who sends, before anything is sent: whoever moves a group waits for what is on its way from all.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            with suppress(KeyWrongLastSequenceError):  # it is known
                await bucket.create(f"{SETTLED}.{member}", b"0")

    async def tell_settled(self, member: str, version: int) -> None:
        """Tell by which version of the directory a member sends, and that nothing by an older one is on its way."""
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            await bucket.put(f"{SETTLED}.{member}", str(version).encode())

    async def put_wishes(self, home: str, wanted: Mapping[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks of a home want to hear of tables."""
        rows = [(*table, sorted(operations)) for table, operations in sorted(wanted.items())]
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            await bucket.put(f"{WISHES}.{home}", msgspec.json.encode(rows))

    async def wishes(self, homes: Iterable[str]) -> dict[str, dict[TableName, frozenset[str]] | None]:
        """Return what webhooks of homes want to hear of tables; None: what a home has said cannot be read."""
        found: dict[str, dict[TableName, frozenset[str]] | None] = {}
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            for home in homes:
                with suppress(NotFoundError):
                    entry = await bucket.get(f"{WISHES}.{home}")
                    found[home] = _wanted(entry.value or b"[]")
        return found

    # What members say of themselves --------------------------------------------------------------------------------------

    async def report(self, source: str, report: Report) -> None:
        """Say how a source is."""
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            await bucket.put(f"{SOURCES}.{source}", msgspec.json.encode(report))

    async def said(self, source: str) -> Report | None:
        """Return what a source said of itself last; None: nothing, or nobody can read it.

        Raises:
            StreamAwayError: No answer came.
        """
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            try:
                return read_report((await bucket.get(f"{SOURCES}.{source}")).value or b"")
            except NotFoundError:
                return None

    async def drain(self, homes: Collection[str], *, is_over: bool = False) -> Drained:
        """Have sources send nothing to homes from now on, or go on; return the homes that are drained now.

        Raises:
            StreamAwayError: No answer came, or others change the same all the time.
        """
        for _ in range(TRIES):
            known = await self.drained()
            changed = known.homes - set(homes) if is_over else known.homes | set(homes)
            if changed == known.homes:
                return known
            async with told():
                bucket = await self.jetstream.key_value(BUCKET)
                try:
                    revision = await bucket.update(DRAINED, msgspec.json.encode(sorted(changed)), last=known.revision)
                except KeyWrongLastSequenceError:
                    continue
            return Drained(changed, revision)
        raise StreamAwayError("others say at the same moment what is drained; try again")

    async def drained(self) -> Drained:
        """Return homes that nothing is to be sent to.

        Raises:
            StreamAwayError: No answer came.
        """
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            try:
                entry = await bucket.get(DRAINED)
            except NotFoundError as error:  # one that was deleted by hand has a revision that the next has to name
                return Drained(frozenset(), getattr(getattr(error, "entry", None), "revision", None) or 0)
        try:
            return Drained(frozenset(msgspec.json.decode(entry.value or b"[]", type=list[str])), entry.revision or 0)
        except UNREAD as error:
            raise StreamAwayError(f"what is drained cannot be read ({error}); delete {DRAINED} from bucket {BUCKET}") from error

    async def claim(self, home: str, identity: str, *, is_to_take: bool) -> str:
        """Have a database be the one that a home is, if none is yet; return which one is.

        Args:
            is_to_take: It takes the place of the one that was.

        Raises:
            StreamAwayError: No answer came.
        """
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            if is_to_take:
                await bucket.put(f"{HOMES}.{home}", identity.encode())
                return identity
            try:
                entry = await bucket.get(f"{HOMES}.{home}")
            except NotFoundError:
                with suppress(KeyWrongLastSequenceError):
                    await bucket.create(f"{HOMES}.{home}", identity.encode())
                    return identity
                entry = await bucket.get(f"{HOMES}.{home}")
        return (entry.value or b"").decode("ascii", "replace")

    async def part(self, home: str, member: str) -> None:
        """Have a home be known no more that the fleet is without: whoever moves a group, or drains, would wait for it.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            bucket = await self.jetstream.key_value(BUCKET)
            for key in (f"{SETTLED}.{member}", f"{SOURCES}.{member}", f"{HOMES}.{home}"):
                await bucket.delete(key)

    # Flights -----------------------------------------------------------------------------------------------------------

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        """Send a flight, and return once the quorum has it.

        Args:
            whole: The flight that this is a piece of.

        Raises:
            StreamAwayError: It is not known whether the stream has it. Sent again, it is landed once all the same.
        """
        async with told():
            await self.jetstream.publish(
                subject_of(home, source),
                cargo,
                timeout=SEND_SECONDS,
                stream=stream_of(home),
                headers={_MESSAGE_ID: str(flight), _FOR: f"{home}.{source}"} | ({} if whole is None else {_WHOLE: str(whole)}),
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
        """Return the number of the first flight that waits for a home, or will: all before it were landed.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        holding = await self.holding(home)
        following = max(holding.landed + 1, holding.first)
        if following > holding.last:
            return holding.last + 1
        async with told():
            try:  # somebody may have deleted some with the tools of NATS
                return int((await self.jetstream.get_msg(stream_of(home), seq=following, subject=">", next=True)).seq or 0)
            except NotFoundError:
                return holding.last + 1

    async def holding(self, home: str) -> Holding:
        """Return what the stream holds for a home.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            landed = (await self.jetstream.consumer_info(stream_of(home), CONSUMER)).ack_floor
            found = await self.jetstream.stream_info(stream_of(home))
        return Holding(
            max(1, found.state.first_seq),  # 0 where nothing ever came
            found.state.last_seq,
            0 if landed is None else landed.stream_seq,
            found.state.bytes,
            found.config.max_bytes or -1,
        )

    async def kept(self, home: str, number: int) -> Kept | None:
        """Return a flight by its number in the stream of its home; None: the stream keeps it no more.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            try:
                return Kept(await self.jetstream.get_msg(stream_of(home), seq=number))
            except NotFoundError:
                return None

    async def forget(self, home: str, last: int) -> None:
        """Have the stream forget the flights of a home up to a number.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            await self.jetstream.purge_stream(stream_of(home), seq=last + 1)

    async def last(self, home: str) -> int:
        """Return the number of the last flight that was sent to a home.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            return int((await self.jetstream.stream_info(stream_of(home))).state.last_seq)


def _wanted(said: bytes) -> dict[TableName, frozenset[str]] | None:
    try:
        rows = msgspec.json.decode(said, type=list[tuple[_Name, _Name, list[_Operation]]])
    except UNREAD:
        return None
    return {(schema, table): frozenset(operations) for schema, table, operations in rows}


def stream_of(home: str) -> str:
    """Return what the stream of a home is called."""
    return f"TIDINGS_{home}"


def subject_of(home: str, source: str) -> str:
    """Return the subject of what a source sends to a home."""
    return f"{_FLIGHTS}{home}.{source}"


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
            logger.error("%s. Give this member what docs/fleet.md says it needs.", said)

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
            "into TIDINGS_STREAM that may do this (docs/fleet.md, who may do what in the stream)."
        )

    async def lost(self) -> None:
        if self.is_wanted and not self._is_lost:
            self._is_lost = True
            logger.warning("the stream is away; what is committed waits, and nothing is lost")

    async def found(self) -> None:
        if self._is_lost:
            self._is_lost = False
            logger.warning("the stream is back")


__all__ = ["Arrived", "Stream", "StreamAwayError", "opened"]
