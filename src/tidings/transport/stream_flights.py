"""Flights on their way to a home, in its stream: sent by sources, and kept until the home has landed them and forgets them."""

from base64 import b64decode
from typing import Any, Final
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from tidings.core.kept import Holding
from tidings.transport.stream_answers import told
from tidings.transport.stream_client import headers_of

SEND_SECONDS: Final = 4.0  # for the quorum to have a flight, before it is sent again: of a node that died no answer comes
LANDING_SECONDS: Final = 5.0  # until a flight that was received and not acknowledged comes again
RECEIVED_AT_ONCE: Final = 8  # flights
CONSUMER: Final = "home"
_MESSAGE_ID: Final = "Nats-Msg-Id"
_STORED_IN: Final = "Nats-Stream"  # what the server answers with, from a stream
_FOR: Final = "Tidings-For"  # home and source
_FLIGHTS: Final = "tidings.flights."
_WHOLE: Final = "Tidings-Whole"  # of a piece of a flight: that flight's id


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


class Flights:
    """Sends flights to homes, and hands a home those that came for it."""

    def __init__(self, client: Client, jetstream: JetStreamContext) -> None:
        self._client = client
        self._jetstream = jetstream
        self._pull: Any = None

    @property
    def most_bytes(self) -> int:
        """What one may have, with what it travels in: the servers' limit of a message."""
        return int(self._client.max_payload)

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        """Send a flight, and return once the quorum has it.

        Args:
            whole: The flight that this is a piece of.

        Raises:
            StreamAwayError: It is not known whether the stream has it. Sent again, it is landed once all the same.
        """
        async with told():
            await self._jetstream.publish(
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
                self._pull = await self._jetstream.pull_subscribe_bind(CONSUMER, stream_of(home))
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
                return int((await self._jetstream.get_msg(stream_of(home), seq=following, subject=">", next=True)).seq or 0)
            except NotFoundError:
                return holding.last + 1

    async def holding(self, home: str) -> Holding:
        """Return what the stream holds for a home.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            landed = (await self._jetstream.consumer_info(stream_of(home), CONSUMER)).ack_floor
            found = await self._jetstream.stream_info(stream_of(home))
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
                return Kept(await self._jetstream.get_msg(stream_of(home), seq=number))
            except NotFoundError:
                return None

    async def forget(self, home: str, last: int) -> None:
        """Have the stream forget the flights of a home up to a number.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            await self._jetstream.purge_stream(stream_of(home), seq=last + 1)

    async def last(self, home: str) -> int:
        """Return the number of the last flight that was sent to a home.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            return int((await self._jetstream.stream_info(stream_of(home))).state.last_seq)


def stream_of(home: str) -> str:
    """Return what the stream of a home is called."""
    return f"TIDINGS_{home}"


def subject_of(home: str, source: str) -> str:
    """Return the subject of what a source sends to a home."""
    return f"{_FLIGHTS}{home}.{source}"
