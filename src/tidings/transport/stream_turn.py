"""One at a time makes the stream of a fleet: two who begin at once would each take back what the other has made.

Who is at work says so by a key that only one can make, and says it again after each step. A key that nobody has touched for
a while is of somebody who died; whoever takes it over goes on with what is there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import uuid4

from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.errors import APIError, KeyWrongLastSequenceError, NoStreamResponseError, NotFoundError
from nats.js.kv import KeyValue

from tidings.core.errors import StartupError
from tidings.transport.stream import Stream
from tidings.transport.stream_bucket import BUCKET

MAKING: Final = "making"
LOOK_INTERVAL: Final = 0.5  # seconds
DEAD_SECONDS: Final = 30.0  # without a step; one takes some milliseconds, and with several nodes some seconds
WAIT_SECONDS: Final = 120.0
_IN_USE: Final = 10058  # a stream of this name is there, made in another way


class Turn:
    """The right to make things, until it is given back."""

    def __init__(self, bucket: KeyValue, revision: int) -> None:
        self.bucket = bucket
        self._revision = revision

    async def keep(self) -> None:
        """Say that we are at work still.

        Raises:
            StartupError: Somebody has taken us for dead, and is at work instead.
        """
        try:
            self._revision = await self.bucket.update(MAKING, uuid4().bytes, last=self._revision)
        except KeyWrongLastSequenceError as error:
            raise LostTurnError from error

    async def end(self) -> None:
        """Give it back."""
        await self.bucket.delete(MAKING, last=self._revision)


class LostTurnError(StartupError):
    """Another `stream init` has begun meanwhile, since this one stood still. Run it again."""

    def __init__(self) -> None:
        super().__init__("Another `stream init` has begun meanwhile, since this one stood still. Run it again.")


@asynccontextmanager
async def turn(way: Stream, replicas: int, *, dead_seconds: float = DEAD_SECONDS) -> AsyncIterator[Turn]:
    """Have the turn while the block runs; the bucket is made for it where there is none.

    Raises:
        StartupError: Somebody else makes things all the time.
    """
    found = await _taken(way, replicas, dead_seconds)
    try:
        yield found
    except LostTurnError:
        raise
    except BaseException:
        with suppress(NatsError, OSError, TimeoutError):  # it may have gone with the bucket
            await found.end()
        raise
    await found.end()


async def _taken(way: Stream, replicas: int, dead_seconds: float) -> Turn:
    seen: tuple[int, float] = (0, 0.0)  # a revision, and for how long it has stood
    for _ in range(int(max(WAIT_SECONDS, 2 * dead_seconds) / LOOK_INTERVAL)):
        bucket = await _bucket(way, replicas)
        try:
            return Turn(bucket, await bucket.create(MAKING, uuid4().bytes))
        except KeyWrongLastSequenceError:
            pass
        except (NotFoundError, NoStreamResponseError):
            continue  # the bucket was taken back in between
        try:
            revision = (await bucket.get(MAKING)).revision or 0
        except NotFoundError:
            continue
        seen = (revision, seen[1] + LOOK_INTERVAL if revision == seen[0] else 0.0)
        if seen[1] >= dead_seconds:
            try:
                return Turn(bucket, await bucket.update(MAKING, uuid4().bytes, last=revision))
            except KeyWrongLastSequenceError:
                continue
        await asyncio.sleep(LOOK_INTERVAL)
    raise StartupError("Others make the stream of this fleet all the time. Try again when they are done.")


async def _bucket(way: Stream, replicas: int) -> KeyValue:
    """Return the bucket; made where there is none. Who may write one key may not take all others away with it.

    A bucket takes that wish by itself (`Nats-Rollup`), and permissions do not see it.
    """
    name = f"KV_{BUCKET}"
    try:
        config = (await way.jetstream.stream_info(name)).config
        if config.allow_rollup_hdrs:
            config.allow_rollup_hdrs = False
            await way.jetstream.update_stream(config)
    except NotFoundError:
        await _make_bucket(way, name, replicas)
    return await way.jetstream.key_value(BUCKET)


async def _make_bucket(way: Stream, name: str, replicas: int) -> None:
    try:
        await way.jetstream.add_stream(
            StreamConfig(
                name=name, subjects=[f"$KV.{BUCKET}.>"], discard=DiscardPolicy.NEW, max_msgs_per_subject=1,
                num_replicas=replicas, allow_direct=True, deny_delete=True,
            )
        )  # fmt: skip
    except APIError as error:
        if error.err_code != _IN_USE:
            raise
