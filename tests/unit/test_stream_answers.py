"""What is said of the stream where it refuses: why, and nothing of what was sent."""

import traceback

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError, MsgAlreadyAckdError

from tidings.core.pressure import Why
from tidings.transport.stream_answers import MAX_SAID, told
from tidings.transport.stream_away import StreamAwayError


async def test_a_refusal_tells_nothing_of_the_message_that_it_is_about() -> None:
    message = Msg(Client(), subject="tidings.flights.here.shop", data=b"the card of a customer")
    assert "card" in str(MsgAlreadyAckdError(message)), "the library says it"
    with pytest.raises(StreamAwayError) as refused:
        async with told():
            raise MsgAlreadyAckdError(message)
    assert "card" not in "".join(traceback.format_exception(refused.value))
    assert "already acknowledged" in str(refused.value)


async def test_a_refusal_is_as_long_as_a_line_has_room_for_and_says_why() -> None:
    with pytest.raises(StreamAwayError) as refused:
        async with told():
            raise OSError("x" * 10_000)
    assert len(str(refused.value)) == MAX_SAID
    with pytest.raises(StreamAwayError) as refused:
        async with told():
            raise MaxPayloadError
    assert refused.value.why is Why.LARGE
