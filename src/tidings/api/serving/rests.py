"""Connections that take the event loop for what is of no use to anybody are not read for a while.

Bodies in pieces of a byte cost a call for each, and what follows a refused request is read only to be dropped. Neither can be
refused sooner than it is read, and a client can send it as fast as memory is copied. So it is paid for with rests: all such
connections together take a tenth of the loop. What a connection takes is summed up over all its reads, since who sends few
pieces at a time sends them more often. Bytes pay for pieces: whoever uploads in chunks of a kilobyte never rests.
"""

import asyncio
from collections.abc import Callable

from tidings.api.serving.entrance import Entrance
from tidings.api.serving.phases import Flow

PIECE_SECONDS = 2e-6  # that a piece of a body takes, about
PIECE_BYTES = 256  # that pay for one: those who mean well send larger ones
REQUEST_PIECES = 4  # that a request has free: small bodies come in one or two
SAVED_PIECES = 64  # that are paid for in advance, at most
DROP_SECONDS, DROP_BYTE_SECONDS = 50e-6, 0.5e-9  # that a read takes whose bytes are dropped
SPENT_AT_ONCE = 200e-6  # seconds of the event loop, until a connection rests

_SAVED = -SAVED_PIECES * PIECE_SECONDS
_FREE = REQUEST_PIECES * PIECE_SECONDS


class Rests:
    """What one connection took of the event loop, and whether it rests for it."""

    def __init__(self, entrance: Entrance, loop: asyncio.AbstractEventLoop, read_on: Callable[[], None]) -> None:
        """Make it. `read_on`: is called after a rest."""
        self._entrance = entrance
        self._loop = loop
        self._read_on = read_on
        self._spent = 0.0  # seconds of the event loop, since the last rest; below nothing: what is paid for in advance
        self._timer: asyncio.TimerHandle | None = None

    @property
    def are_due(self) -> bool:
        """Whether enough was taken for a rest."""
        return self._spent >= SPENT_AT_ONCE

    def began(self) -> None:
        """Take note of a new request."""
        self._spent = max(_SAVED, self._spent - _FREE)

    def took_piece(self, length: int) -> None:
        """Take note of a piece of a body."""
        self._spent = max(_SAVED, self._spent + PIECE_SECONDS * (1 - length / PIECE_BYTES))

    def dropped(self, length: int) -> None:
        """Take note of so many bytes that were read for nothing."""
        self._spent = max(0.0, self._spent) + DROP_SECONDS + length * DROP_BYTE_SECONDS

    def begin(self, flow: Flow) -> None:
        """Read nothing for a while, if enough was taken."""
        if not self.are_due or self._timer is not None:
            return
        self._entrance.resting += 1
        flow.is_resting = True
        flow.pause_reading()
        self._timer = self._loop.call_later(self._entrance.rest_seconds(self._spent), self._read_on)

    def end(self, flow: Flow) -> None:
        """Rest no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._spent = None, 0.0
            self._entrance.resting -= 1
            flow.is_resting = False
