"""Connections that take the event loop for what is of no use to anybody are not read for a while.

Bodies in pieces of a byte cost a call for each, and what follows a refused request is read only to be dropped. Neither can be
refused sooner than it is read, and a client can send it as fast as memory is copied. So it is paid for with rests: all such
connections together take a tenth of the loop.
"""

import asyncio
from collections.abc import Callable

from tidings.api.serving.entrance import Entrance
from tidings.api.serving.phases import Flow

MOST_PIECES = 500  # of bodies, read at a time; those who mean well send larger ones
PIECE_SECONDS = 2e-6  # that one takes, about
DROP_SECONDS, DROP_BYTE_SECONDS = 50e-6, 0.5e-9  # that a read takes whose bytes are dropped
SPENT_AT_ONCE = 200e-6  # seconds of the event loop, until a connection rests; less than `MOST_PIECES` take


class Rests:
    """What one connection took of the event loop, and whether it rests for it."""

    def __init__(self, entrance: Entrance, loop: asyncio.AbstractEventLoop, read_on: Callable[[], None]) -> None:
        """Make it. `read_on`: is called after a rest."""
        self._entrance = entrance
        self._loop = loop
        self._read_on = read_on
        self._spent = 0.0  # seconds of the event loop, since the last rest
        self._timer: asyncio.TimerHandle | None = None

    def took_pieces(self, pieces: int) -> None:
        """Take note of how many pieces of bodies were read at once."""
        if pieces > MOST_PIECES:
            self._spent += pieces * PIECE_SECONDS

    def dropped(self, length: int) -> None:
        """Take note of so many bytes that were read for nothing."""
        self._spent += DROP_SECONDS + length * DROP_BYTE_SECONDS

    def begin(self, flow: Flow) -> None:
        """Read nothing for a while, if enough was taken."""
        if self._spent < SPENT_AT_ONCE or self._timer is not None:
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
