"""What a home has sent ahead of its database: a second stream of the home, beside the one that brings its flights.

While the database of a home is away, what receivers answered waits here until whoever lands flights records it with them. Each
answer is of one flight, by the flight's number. Beside that, a key of the bucket says who sends ahead at this moment.

The servers send answers of their own wherever they are asked to, with their own rights: also here. What the home has put itself
says for what; nothing else is read (as with flights, `stream.Arrived`).
"""

import logging
import re
from typing import Final

from nats.js.api import DiscardPolicy, Header, RawStreamMsg, RetentionPolicy, StorageType, StoreCompression, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.js.kv import KV_DEL, KV_OP, KV_PURGE

from tidings.transport.stream import Stream
from tidings.transport.stream_answers import told
from tidings.transport.stream_bucket import BUCKET
from tidings.transport.stream_flights import CONSUMER, SEND_SECONDS, stream_of

logger = logging.getLogger("tidings.stream")

MAX_MESSAGES: Final = 100_000  # of a home; as many subjects as the servers name in one answer
MAX_BYTES: Final = 256_000_000
SHARE: Final = 8  # of the room for a home's flights, this has one such part
AHEAD: Final = "ahead"
_FOR: Final = "Tidings-For"
_STORED_IN: Final = "Nats-Stream"  # what the server answers with, from a stream
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_NO_STREAM: Final = 10059
_WRONG_LAST: Final = {10071, 10164}  # somebody else has changed the key; both are in use
_NO_DUPLICATES_SECONDS: Final = 0.1  # the least that there is: nothing here has an id


def ahead_of(home: str) -> str:
    """Return what the stream is called that keeps what was answered to a home that sends ahead. No home can be called so."""
    return f"TIDINGS_AHEAD_{home}"


def ahead_config(home: str, replicas: int, most_bytes: int) -> StreamConfig:
    """Return how that stream is made.

    Args:
        most_bytes: That the stream of the home's flights may have; -1: without a limit.
    """
    return StreamConfig(
        name=ahead_of(home), subjects=[f"tidings.{AHEAD}.{home}.>"], retention=RetentionPolicy.LIMITS, storage=StorageType.FILE,
        discard=DiscardPolicy.NEW, num_replicas=replicas, max_msgs=MAX_MESSAGES,
        max_bytes=min(MAX_BYTES, most_bytes // SHARE) if most_bytes > 0 else MAX_BYTES,
        duplicate_window=_NO_DUPLICATES_SECONDS, compression=StoreCompression.S2,
    )  # fmt: skip


class AheadStream:
    """What was answered to a home that sends ahead, and who does. Any number of processes may use it at once."""

    def __init__(self, way: Stream, home: str) -> None:
        self._way = way
        self._home = home
        self._stream = ahead_of(home)
        self._subject = f"tidings.{AHEAD}.{home}."
        self._whose = f"{AHEAD}.{home}"
        self._key = f"$KV.{BUCKET}.{AHEAD}.{home}"
        self._is_missing = False

    # What was answered ---------------------------------------------------------------------------------------------------

    async def put(self, number: int, data: bytes) -> None:
        """Put what was answered for a flight, and return once the quorum has it.

        Raises:
            StreamAwayError: It is not known whether the stream has it; put again, it may be there twice. `Why.FULL`: there is
                no room, and it is not there. `Why.LARGE`: it is larger than a message.
        """
        async with told():
            await self._way.jetstream.publish(
                f"{self._subject}{number}",
                data,
                timeout=SEND_SECONDS,
                stream=self._stream,
                headers={_FOR: f"{self._whose}.{number}"},
            )

    async def numbers(self) -> dict[int, int]:
        """Return the numbers of flights that something was answered for, in order, and how many messages each has.

        0 stands before them where there are doubts (`core.answers.DOUBTS`). Nothing, where the stream is not there.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            try:
                info = await self._way.jetstream.stream_info(self._stream, subjects_filter=f"{self._subject}>")
            except NotFoundError:
                return {}
        found = {
            int(name): count
            for subject, count in (info.state.subjects or {}).items()
            if _NUMBER.fullmatch(name := subject.removeprefix(self._subject))
        }
        return dict(sorted(found.items()))

    async def read(self, number: int, count: int) -> list[bytes]:
        """Return what was answered for a flight, in the order in which it was put.

        Each message is asked for alone, so that the time is bounded for each and not for all.

        Args:
            count: Messages that are looked at, at most (`numbers`). What the home did not put is among them, and left out.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        found: list[bytes] = []
        following = 1
        for _ in range(count):
            async with told():
                try:
                    message = await self._way.jetstream.get_msg(
                        self._stream, seq=following, subject=f"{self._subject}{number}", next=True
                    )
                except NotFoundError:
                    break
            following = int(message.seq or 0) + 1
            if _is_of(message, f"{self._whose}.{number}"):
                found.append(bytes(message.data or b""))
        return found

    async def forget(self, number: int | None = None) -> None:
        """Have the stream forget what was answered for a flight, or for all; also what was put since it was read.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            try:
                await self._way.jetstream.purge_stream(
                    self._stream, subject=None if number is None else f"{self._subject}{number}"
                )
            except NotFoundError:
                return

    async def has_room(self) -> bool:
        """Whether at least half of the room is free; not where the stream is not there, which is said once.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            try:
                info = await self._way.jetstream.stream_info(self._stream)
            except NotFoundError:
                self._say_missing()
                return False
        self._is_missing = False
        used = ((info.state.messages, info.config.max_msgs), (info.state.bytes, info.config.max_bytes))
        return all(limit is None or limit <= 0 or 2 * there <= limit for there, limit in used)

    def _say_missing(self) -> None:
        if not self._is_missing:
            self._is_missing = True
            logger.warning(
                "the stream %s is not there, so that nothing is sent ahead while the database is away: run tidings stream init "
                "again, with the homes that there are",
                self._stream,
            )

    async def is_received(self) -> tuple[bool, int]:
        """Return whether somebody of the home waits for its flights now, and up to which number all were landed.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with told():
            info = await self._way.jetstream.consumer_info(stream_of(self._home), CONSUMER)
        return bool(info.num_waiting), 0 if info.ack_floor is None else info.ack_floor.stream_seq

    # Who sends ahead ----------------------------------------------------------------------------------------------------

    async def state(self) -> tuple[bytes, int]:
        """Return what was said last about who sends ahead, and its revision.

        The node that leads is asked: another may not have heard of it yet.

        Returns:
            The value and its revision; `(b"", 0)`: there is none. `(b"", revision)`: what is there was put by nobody of this
            home. It says nothing, and may be changed.

        Raises:
            StreamAwayError: The stream did not answer, or there is no fleet.
        """
        async with told():
            message = await self._last()
        if message is None or _is_deleted(message):
            return b"", 0
        return bytes(message.data or b"") if _is_of(message, self._whose) else b"", int(message.seq or 0)

    async def change(self, value: bytes, revision: int) -> int | None:
        """Say who sends ahead, if nobody has said anything since.

        Args:
            revision: Of what was said last (`state`); 0: nothing was.

        Returns:
            The revision of what is said now; None: somebody else was first, and nothing was changed.

        Raises:
            StreamAwayError: It is not known whether it was changed: ask what is said now.
        """
        async with told():
            made = await self._change(value, revision)
            if made is None and revision == 0 and (last := await self._last()) is not None and _is_deleted(last):
                made = await self._change(value, int(last.seq or 0))  # to the servers a key that was deleted has a revision
            return made

    async def _change(self, value: bytes, revision: int) -> int | None:
        headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision), _FOR: self._whose}
        try:
            made = await self._way.jetstream.publish(
                self._key, value, timeout=SEND_SECONDS, stream=f"KV_{BUCKET}", headers=headers
            )
        except APIError as error:
            if error.err_code in _WRONG_LAST:
                return None
            raise
        return int(made.seq)

    async def _last(self) -> RawStreamMsg | None:
        try:
            return await self._way.jetstream.get_last_msg(f"KV_{BUCKET}", self._key)
        except NotFoundError as error:
            if error.err_code == _NO_STREAM:
                raise
            return None


def _is_of(message: RawStreamMsg, what: str) -> bool:
    headers = message.headers or {}
    return headers.get(_FOR) == what and _STORED_IN not in headers


def _is_deleted(message: RawStreamMsg) -> bool:
    return (message.headers or {}).get(KV_OP) in {KV_DEL, KV_PURGE}
