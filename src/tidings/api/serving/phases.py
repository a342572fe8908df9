"""What a connection does at a time, and whether it is read."""

from enum import IntEnum

from uvicorn.protocols.http.flow_control import FlowControl


class Phase(IntEnum):
    """What a connection waits for."""

    REST = 0  # for the next request to begin
    HEAD = 1
    BODY = 2
    ANSWER = 3  # for us
    OVER = 4  # for its end: what comes is dropped


class Flow(FlowControl):
    """Whether more is read.

    Attributes:
        is_held: It is not, although the application waits: what would come is another request's.
        is_resting: It is not for a moment: what came took more of the event loop than it is worth.
    """

    is_held = False
    is_resting = False

    def resume_reading(self) -> None:
        """Read on, unless it is held or rests."""
        if not (self.is_held or self.is_resting):
            super().resume_reading()
