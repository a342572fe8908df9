"""What the stream refuses, or does not answer in time, said as one error that tells why."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.errors import APIError

from tidings.core.pressure import Why
from tidings.transport.stream_away import StreamAwayError

ANSWER_SECONDS: Final = 10.0  # for answers
UNREAD: Final = (msgspec.MsgspecError, ValueError, RecursionError)  # said of what is no JSON; ValueError: no text in it
MAX_SAID: Final = 300  # characters of what the stream said
_NO_ROOM: Final = {10023, 10047}  # no resources; no room in storage. A limit of a stream's is told by its text alone


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
